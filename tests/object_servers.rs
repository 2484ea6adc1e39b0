//! The object store room against real servers, when the environment names them: `eval "$(localstack/start up s3
//! seaweedfs)"` sets what is read here. They check signatures and checksums, which the server in `kit/` does not.

use bytes::Bytes;
use towpath::base::metrics::Metrics;
use towpath::base::rng::Rng;
use towpath::config::objects::ObjectSettings;
use towpath::model::object::{ByteRange, ObjectKey};
use towpath::object::error::ObjectError;
use towpath::object::key::wal_key;
use towpath::object::meter::Purpose;
use towpath::object::probe::probe;
use towpath::object::store::ObjectStorage;

/// A prefix of its own below the one that `variable` names.
fn fresh_storage(variable: &str, rng: &Rng) -> Option<ObjectStorage> {
    let Ok(url) = std::env::var(variable) else {
        eprintln!("{variable} names no server: nothing is tested against it");
        return None;
    };
    let mut url = url::Url::parse(&url).expect("the variable holds a URL");
    url.set_path(&format!("{}/test-{}", url.path(), rng.uuid().simple()));
    let (settings, metrics) = (ObjectSettings::default(), Metrics::default());
    Some(ObjectStorage::open(url.as_str(), &settings, rng.clone(), &metrics).expect("the URL is fine"))
}

async fn check(variable: &str) {
    let rng = Rng::from_entropy();
    let Some(storage) = fresh_storage(variable, &rng) else { return };
    probe(&storage, &rng).await.unwrap_or_else(|refusal| panic!("{variable}: {refusal}"));

    // Many slices, as an upload has them; the server checks the CRC over all.
    let batch = Bytes::from((0..9_973_u32).map(|n| (n * 31 % 251) as u8).collect::<Vec<_>>());
    let slices: Vec<Bytes> = (0..400).map(|n| batch.slice(n..)).collect();
    let whole = slices.concat();
    let key = wal_key(&rng);
    storage.put_new(&key, slices, Purpose::Append).await.expect("it is new");
    let again = storage.put_new(&key, vec![batch.clone()], Purpose::Append).await;
    assert_eq!(again, Err(ObjectError::AlreadyExists(key.clone())), "{variable}");
    let size = whole.len() as u64;
    assert_eq!(storage.head_size(&key, Purpose::Fetch).await, Ok(Some(size)), "{variable}");
    let ranges = [(0, 10), (1_000_000, 65_536), (size - 7, 7)].map(|(position, length)| ByteRange { position, length });
    let parts = storage.get_ranges(&key, &ranges, Purpose::Fetch).await.expect("it is there");
    for (range, part) in ranges.iter().zip(parts) {
        assert_eq!(part, whole[range.position as usize..range.end() as usize], "{variable}");
    }
    let beyond = ByteRange { position: size, length: 1 };
    let short = storage.get_ranges(&key, &[beyond], Purpose::Fetch).await;
    assert!(matches!(short, Err(ObjectError::Corrupt { .. })), "{variable}: {short:?}");

    let listed = storage.list("wal", None, 10, Purpose::Upkeep).await.expect("listing works");
    assert_eq!(listed.iter().map(|object| (&object.key, object.byte_size)).collect::<Vec<_>>(), [(&key, size)]);
    let keys = [key.clone(), ObjectKey::from("wal/00/never-was")];
    storage.delete(&keys, Purpose::Upkeep).await.expect("they can go");
    let gone = storage.get_whole(&key, size, Purpose::Fetch).await;
    assert_eq!(gone, Err(ObjectError::NotFound(key)), "{variable}");
}

#[tokio::test]
async fn localstack_is_fit() {
    check("TOWPATH_TEST_S3").await;
}

#[tokio::test]
async fn seaweedfs_is_fit() {
    check("TOWPATH_TEST_SEAWEEDFS").await;
}
