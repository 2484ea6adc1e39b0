//! The guard's shapes against the generated codec: they must agree on every byte of every request.

use kafka_protocol::messages::ApiKey;
use towpath::wire::guard;
use towpath::wire::shapes::table;

use crate::codec::CODECS;
use crate::random::Bodies;

/// Calls `check` for every API and version that both sides know.
pub(crate) fn every_version(mut check: impl FnMut(&crate::codec::Codec, i16)) {
    for codec in CODECS {
        for version in codec.min..=codec.max {
            check(codec, version);
        }
    }
}

#[test]
fn shapes_and_codec_describe_the_same_apis_and_versions() {
    let _alone = crate::alone();
    assert_eq!(table::REQUESTS.len(), CODECS.len());
    for codec in CODECS {
        let shape = table::request(codec.key).unwrap_or_else(|| panic!("key {} has no shape", codec.key));
        assert_eq!((shape.min, shape.max), (codec.min, codec.max), "key {}", codec.key);
        let api = ApiKey::try_from(codec.key).unwrap();
        for version in codec.min..=codec.max {
            let flexible = api.request_header_version(version) >= 2;
            assert_eq!(flexible, version >= shape.flexible, "{api:?} version {version}");
        }
    }
}

#[test]
fn what_has_the_shape_is_decoded_to_the_last_byte() {
    let _alone = crate::alone();
    let mut bodies = Bodies::from_seed(1);
    every_version(|codec, version| {
        let shape = table::request(codec.key).unwrap();
        for _ in 0..60 {
            let body = bodies.draw(shape, version);
            let name = format!("key {} version {version}, body {body:02x?}", codec.key);
            assert_eq!(guard::check_request(codec.key, version, &body), Ok(body.len()), "{name}");
            assert_eq!((codec.decode)(body, version), Some(0), "{name}");
        }
    });
}

#[test]
fn what_the_codec_encodes_has_the_shape_to_the_last_byte() {
    let _alone = crate::alone();
    let mut bodies = Bodies::from_seed(2);
    every_version(|codec, version| {
        let shape = table::request(codec.key).unwrap();
        for _ in 0..60 {
            let body = bodies.draw(shape, version);
            let name = format!("key {} version {version}, body {body:02x?}", codec.key);
            let encoded = (codec.recode)(body, version).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(guard::check_request(codec.key, version, &encoded), Ok(encoded.len()), "{name}");
            assert_eq!((codec.recode)(encoded.clone().into(), version), Ok(encoded), "{name}");
        }
    });
}

#[test]
fn what_passes_the_guard_is_read_as_far_as_the_guard_said() {
    let _alone = crate::alone();
    let mut bodies = Bodies::from_seed(3);
    let mut decoded = 0;
    every_version(|codec, version| {
        let shape = table::request(codec.key).unwrap();
        for _ in 0..200 {
            let drawn = bodies.draw(shape, version);
            let body = bodies.mutate(&drawn);
            let Ok(used) = guard::check_request(codec.key, version, &body) else { continue };
            // The codec still refuses what is no UTF-8.
            if let Some(left) = (codec.decode)(body.clone(), version) {
                decoded += 1;
                assert_eq!(used, body.len() - left, "key {} version {version}, body {body:02x?}", codec.key);
            }
        }
    });
    assert!(decoded > 1000, "mutations that are all refused test nothing: {decoded}");
}
