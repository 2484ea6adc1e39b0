//! The first corpus: whole and valid inputs of each decoder.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use towpath::base::clock::Timestamp;
use towpath::model::node::{NodeEpoch, NodeId, NodeIdentity};
use towpath::model::topic::{PartitionIndex, TopicId, TopicIdPartition};
use towpath::object::layout::{HEADER_BYTES, WalObject};
use towpath::record::build::{BatchBuilder, BatchShape, NewRecord};
use towpath::record::decompress::Compression;
use towpath::wire::header::RequestStart;
use towpath::wire::shapes::table;
use uuid::Uuid;

use crate::codec::CODECS;
use crate::random::Bodies;

type Seeds = Vec<(String, Vec<u8>)>;

/// A request of every API in its oldest and in its newest version.
pub(crate) fn requests() -> Seeds {
    let mut seeds = Seeds::new();
    for codec in CODECS {
        let mut versions = vec![codec.min, codec.max];
        versions.dedup();
        for version in versions {
            let mut bodies = Bodies::from_seed(u64::from(codec.key.unsigned_abs()));
            let api = ApiKey::try_from(codec.key).unwrap();
            let mut frame = BytesMut::new();
            let start = RequestStart { api_key: codec.key, version, correlation_id: 1 };
            start.put(api.request_header_version(version), "seed", &mut frame);
            frame.extend_from_slice(&bodies.draw(table::request(codec.key).unwrap(), version));
            seeds.push((format!("{:02}-v{version}", codec.key), frame.to_vec()));
        }
    }
    seeds
}

/// Frames as a connection carries them.
pub(crate) fn frames() -> Seeds {
    let framed = |request: &[u8]| [&u32::try_from(request.len()).unwrap().to_be_bytes()[..], request].concat();
    let stream: Vec<u8> = requests().iter().take(3).flat_map(|(_, request)| framed(request)).collect();
    vec![("three".into(), stream), ("empty".into(), framed(&[])), ("http".into(), b"GET / HTTP/1.1\r\n\r\n".to_vec())]
}

fn batch(compression: Compression) -> Vec<u8> {
    let shape = BatchShape { compression, ..BatchShape::default() };
    let mut builder = BatchBuilder::new(shape);
    for number in 0..5_u8 {
        builder.push(&NewRecord {
            timestamp: Timestamp(1_700_000_000_000 + i64::from(number)),
            key: (number % 2 == 0).then_some(b"key"),
            value: Some(&[number; 40]),
            headers: vec![(b"twice", Some(b"a")), (b"twice", None)],
        });
    }
    builder.build().unwrap().to_vec()
}

/// A batch in each compression, and two in a row.
pub(crate) fn record_batches() -> Seeds {
    let all = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let mut seeds: Seeds = all.iter().map(|one| (format!("{one:?}").to_lowercase(), batch(*one))).collect();
    seeds.push(("two".into(), [batch(Compression::None), batch(Compression::Lz4)].concat()));
    seeds
}

fn object() -> Vec<u8> {
    let partition = |index| TopicIdPartition::new(TopicId(Uuid::from_u128(7)), PartitionIndex(index));
    let writer = NodeIdentity { node_id: NodeId(1), node_epoch: NodeEpoch(2) };
    let parts = (0..3).map(|index| (partition(index), vec![Bytes::from(batch(Compression::None))])).collect();
    WalObject::build(Uuid::from_u128(9), writer, parts).slices.concat()
}

/// The head of an object.
pub(crate) fn wal_headers() -> Seeds {
    vec![("head".into(), object()[..usize::try_from(HEADER_BYTES).unwrap()].to_vec())]
}

/// The tail of an object, and a whole object.
pub(crate) fn wal_footers() -> Seeds {
    let object = object();
    let tail = object[object.len() - 200..].to_vec();
    vec![("tail".into(), tail), ("object".into(), object)]
}
