//! Single flight, CRC, bounds, abandoned loads.

use std::time::Duration;

use futures::FutureExt;
use object_store::memory::InMemory;

use super::*;
use crate::base::crc::crc32c;
use crate::base::rng::Rng;
use crate::object::meter::Operation;

const KIB: u64 = 1024;

fn settings(tail_bytes: u64, cold_bytes: u64) -> ObjectSettings {
    ObjectSettings { cache_tail_bytes: tail_bytes, cache_cold_bytes: cold_bytes, ..ObjectSettings::default() }
}

/// A storage with one object of `size` bytes, and a cache.
async fn house(size: usize, settings: &ObjectSettings) -> (ObjectStorage, RangeCache, ObjectKey, Bytes) {
    let metrics = Metrics::default();
    let storage = ObjectStorage::over(Arc::new(InMemory::new()), "", settings, Rng::from_seed(1), &metrics);
    let body: Bytes = (0..size).map(|n| (n * 31 % 251) as u8).collect::<Vec<_>>().into();
    let key = ObjectKey::from("wal/3f/object");
    storage.put_new(&key, vec![body.clone()], Purpose::Append).await.expect("it is new");
    (storage, RangeCache::new(settings, &metrics), key, body)
}

fn wanted(body: &Bytes, position: u64, length: u32) -> WantedRange {
    let bytes = ByteRange { position, length };
    WantedRange { bytes, crc: crc32c(&body[position as usize..bytes.end() as usize]) }
}

fn gets(storage: &ObjectStorage) -> u64 {
    storage.counters().of(Purpose::Fetch, Operation::Get).requests
}

async fn load(
    cache: &RangeCache,
    storage: &ObjectStorage,
    key: &ObjectKey,
    wanted: &[WantedRange],
) -> Vec<Result<Slices, ObjectError>> {
    cache.load(storage, key, wanted, Heat::Tail, Purpose::Fetch).await
}

#[tokio::test(start_paused = true)]
async fn a_range_is_loaded_once_and_neighbours_together() {
    let (storage, cache, key, body) = house(1000, &settings(KIB * KIB, KIB * KIB)).await;
    let ranges = [wanted(&body, 500, 100), wanted(&body, 0, 10), wanted(&body, 500, 100)];
    for _ in 0..3 {
        let loaded = load(&cache, &storage, &key, &ranges).await;
        for (range, slices) in ranges.iter().zip(&loaded) {
            let slices = slices.as_ref().expect("it is sound");
            assert_eq!(slices.concat(), body[range.bytes.position as usize..range.bytes.end() as usize]);
        }
    }
    assert_eq!(gets(&storage), 1);
    assert!(cache.flights().is_empty());
}

#[tokio::test(start_paused = true)]
async fn concurrent_readers_share_a_load() {
    let (storage, cache, key, body) = house(1000, &settings(KIB * KIB, KIB * KIB)).await;
    let (first, both) = ([wanted(&body, 0, 10)], [wanted(&body, 0, 10), wanted(&body, 900, 10)]);
    let (one, two, three) = tokio::join!(
        load(&cache, &storage, &key, &first),
        load(&cache, &storage, &key, &both),
        load(&cache, &storage, &key, &both),
    );
    assert!(one.iter().chain(&two).chain(&three).all(Result::is_ok));
    assert_eq!(gets(&storage), 2, "one for each range, none twice");
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_load_is_taken_over() {
    let (storage, cache, key, body) = house(1000, &settings(KIB * KIB, KIB * KIB)).await;
    let ranges = [wanted(&body, 0, 10)];
    // Another consumer has claimed the range, and goes away while this one waits.
    let claim = cache.claim((key.clone(), ranges[0].bytes)).unwrap_or_else(|_| panic!("nobody else is here"));
    let mut waiting = std::pin::pin!(load(&cache, &storage, &key, &ranges));
    assert!(tokio::time::timeout(Duration::from_secs(1), waiting.as_mut()).await.is_err());
    assert_eq!(gets(&storage), 0);
    drop(claim);
    assert!(waiting.await[0].is_ok());
    assert_eq!(gets(&storage), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_load_leaves_no_claim() {
    let (storage, cache, key, body) = house(1000, &settings(KIB * KIB, KIB * KIB)).await;
    let ranges = [wanted(&body, 0, 10)];
    {
        let mut other = std::pin::pin!(load(&cache, &storage, &key, &ranges));
        let _ = other.as_mut().now_or_never();
    }
    assert!(cache.flights().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_fails_its_crc_fails_alone_and_is_not_remembered() {
    let (storage, cache, key, body) = house(1000, &settings(KIB * KIB, KIB * KIB)).await;
    let mut wrong = wanted(&body, 100, 100);
    wrong.crc ^= 1;
    let beyond = WantedRange { bytes: ByteRange { position: 990, length: 20 }, crc: 0 };
    let ranges = [wanted(&body, 0, 100), wrong, beyond, wanted(&body, 900, 50)];
    let loaded = load(&cache, &storage, &key, &ranges).await;
    assert!(loaded[0].is_ok() && loaded[3].is_ok(), "{loaded:?}");
    assert!(matches!(&loaded[1], Err(ObjectError::Corrupt { reason, .. }) if reason.contains("CRC-32C")));
    assert!(matches!(&loaded[2], Err(ObjectError::Corrupt { reason, .. }) if reason.contains("ends before")));
    assert!(cache.get(&key, wrong.bytes).is_none());
    assert!(cache.get(&key, ranges[0].bytes).is_some());
    // Asked again it is read again: perhaps only the way here was bad.
    let again = load(&cache, &storage, &key, &[wanted(&body, 100, 100)]).await;
    assert!(again[0].is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_missing_object_is_an_error_of_every_range() {
    let (storage, cache, _, body) = house(10, &settings(KIB, KIB)).await;
    let missing = ObjectKey::from("wal/00/missing");
    let loaded = load(&cache, &storage, &missing, &[wanted(&body, 0, 1), wanted(&body, 2, 1)]).await;
    assert_eq!(loaded, vec![Err(ObjectError::NotFound(missing.clone())); 2]);
    assert!(load(&cache, &storage, &missing, &[]).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn uploads_are_remembered_as_they_are() {
    let (storage, cache, key, body) = house(1000, &settings(KIB * KIB, KIB * KIB)).await;
    let slices = vec![body.slice(100..150), body.slice(150..300)];
    cache.insert(&key, ByteRange { position: 100, length: 200 }, slices.clone());
    let loaded = load(&cache, &storage, &key, &[wanted(&body, 100, 200)]).await;
    let found = loaded[0].as_ref().expect("it is sound");
    let addresses = |slices: &[Bytes]| slices.iter().map(|slice| slice.as_ptr()).collect::<Vec<_>>();
    assert_eq!(addresses(found), addresses(&slices), "the very same bytes");
    assert_eq!(gets(&storage), 0);
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_and_cold_reads_spare_the_tail() {
    let (storage, cache, key, body) = house(400_000, &settings(100 * KIB, 50 * KIB)).await;
    for n in 0..8 {
        load(&cache, &storage, &key, &[wanted(&body, n * 10_000, 10_000)]).await;
    }
    for n in 8..40 {
        cache.load(&storage, &key, &[wanted(&body, n * 10_000, 10_000)], Heat::Cold, Purpose::Fetch).await;
    }
    let held = async |range: std::ops::Range<u64>| {
        let mut count = 0;
        for n in range {
            count += u64::from(cache.get(&key, wanted(&body, n * 10_000, 10_000).bytes).is_some());
        }
        count
    };
    assert_eq!(held(0..8).await, 8, "the tail is untouched");
    assert_eq!(held(8..40).await, 4, "fifty KiB hold four with their overhead");
    assert_eq!(held(36..40).await, 4, "the last ones");
    for n in 20..40 {
        load(&cache, &storage, &key, &[wanted(&body, n * 10_000 + 1, 9_999)]).await;
    }
    assert!(cache.0.tail.weighted_size() * WEIGHT_UNIT_BYTES <= 100 * KIB);
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_the_memory_is_served_but_not_remembered() {
    let (storage, cache, key, body) = house(100_000, &settings(KIB, KIB)).await;
    let ranges = [wanted(&body, 0, 100_000)];
    assert!(load(&cache, &storage, &key, &ranges).await[0].is_ok());
    assert!(cache.get(&key, ranges[0].bytes).is_none());
}
