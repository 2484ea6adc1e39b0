//! The object store room against an S3 server in this process and against a store with faults in virtual time.

mod kit;

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::time::Instant;
use towpath::base::metrics::Metrics;
use towpath::base::rng::Rng;
use towpath::config::objects::ObjectSettings;
use towpath::model::node::{NodeEpoch, NodeId, NodeIdentity};
use towpath::model::object::{ByteRange, ObjectKey};
use towpath::model::topic::{PartitionIndex, TopicId, TopicIdPartition};
use towpath::object::error::ObjectError;
use towpath::object::footer::read_footer;
use towpath::object::identity::{self, IdentityError};
use towpath::object::key::{METASTORE_FOLDER, wal_key};
use towpath::object::layout::WalObject;
use towpath::object::meter::{Operation, Purpose};
use towpath::object::open::OpenError;
use towpath::object::probe::{ProbeError, probe};
use towpath::object::store::ObjectStorage;
use uuid::Uuid;

use kit::s3::{Fault, Mode, S3Server};
use kit::toxic_store::{Climate, Tally, Toxic, ToxicStore};

/// Real sockets: short waits.
fn quick() -> ObjectSettings {
    ObjectSettings {
        attempt_timeout_ms: 300,
        call_timeout_ms: 5_000,
        attempts_max: 4,
        pause_first_ms: 5,
        pause_longest_ms: 10,
        hedge: false,
        ..ObjectSettings::default()
    }
}

fn open(url: &str, settings: &ObjectSettings) -> ObjectStorage {
    ObjectStorage::open(url, settings, Rng::from_seed(1), &Metrics::default()).expect("the URL is fine")
}

fn toxic(settings: &ObjectSettings, seed: u64) -> (Arc<ToxicStore>, ObjectStorage) {
    let toxic = ToxicStore::new(Arc::new(InMemory::new()), Rng::from_seed(seed));
    let store = Arc::clone(&toxic) as Arc<dyn ObjectStore>;
    let storage = ObjectStorage::over(store, "cluster", settings, Rng::from_seed(seed + 1), &Metrics::default());
    (toxic, storage)
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::from(text)
}

fn slices(parts: &[&'static str]) -> Vec<Bytes> {
    parts.iter().map(|part| Bytes::from_static(part.as_bytes())).collect()
}

fn range(position: u64, length: u32) -> ByteRange {
    ByteRange { position, length }
}

#[tokio::test]
async fn every_backend_is_found_fit_and_gives_back_what_it_was_given() {
    let server = S3Server::start().await;
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file_url = format!("file://{}/made/when/missing", folder.path().display());
    for url in [server.url("some/prefix"), file_url, "memory:".to_owned()] {
        let storage = open(&url, &ObjectSettings::default());
        probe(&storage, &Rng::from_seed(9)).await.unwrap_or_else(|refusal| panic!("{url}: {refusal}"));
        let rest = storage.list("", None, 10, Purpose::Upkeep).await.expect("listing works");
        assert_eq!(rest, [], "{url}: the probe leaves nothing");

        let object = key("wal/3f/object");
        storage.put_new(&object, slices(&["head", "", "body", "tail"]), Purpose::Append).await.expect("it is new");
        let again = storage.put_new(&object, slices(&["other"]), Purpose::Append).await;
        assert_eq!(again, Err(ObjectError::AlreadyExists(object.clone())), "{url}");
        let wanted = [range(8, 4), range(0, 4), range(0, 0), range(3, 6)];
        let got = storage.get_ranges(&object, &wanted, Purpose::Fetch).await.expect("it is there");
        assert_eq!(got, slices(&["tail", "head", "", "dbodyt"]), "{url}");
        let whole = storage.get_whole(&object, 12, Purpose::Fetch).await.expect("it is there");
        assert_eq!(whole, "headbodytail", "{url}");
        assert_eq!(storage.head_size(&object, Purpose::Fetch).await, Ok(Some(12)), "{url}");

        for wanted in [range(8, 5), range(12, 1), range(100, 3)] {
            let short = storage.get_ranges(&object, &[wanted], Purpose::Fetch).await;
            assert!(matches!(short, Err(ObjectError::Corrupt { .. })), "{url}: {wanted:?} gave {short:?}");
        }
        let too_large = storage.get_whole(&object, 11, Purpose::Fetch).await;
        assert!(matches!(too_large, Err(ObjectError::Corrupt { .. })), "{url}: {too_large:?}");

        storage.delete(&[object.clone(), key("wal/3f/never-was")], Purpose::Upkeep).await.expect("it can go");
        storage.delete(std::slice::from_ref(&object), Purpose::Upkeep).await.expect("twice is fine");
        assert_eq!(storage.head_size(&object, Purpose::Fetch).await, Ok(None), "{url}");
        let gone = storage.get_ranges(&object, &wanted, Purpose::Fetch).await;
        assert_eq!(gone, Err(ObjectError::NotFound(object.clone())), "{url}");
        let gone = storage.get_whole(&object, 12, Purpose::Fetch).await;
        assert_eq!(gone, Err(ObjectError::NotFound(object)), "{url}");
    }
}

#[tokio::test]
async fn unfit_stores_are_refused_with_what_to_change() {
    let check = async |mode: Mode, expected: &[&str]| {
        let server = S3Server::start().await;
        server.set_mode(mode);
        let storage = open(&server.url("p"), &quick());
        let refusal = probe(&storage, &Rng::from_seed(2)).await.expect_err("it is unfit").to_string();
        assert!(refusal.starts_with("s3://towpath/p") || refusal.contains(" s3://towpath/p"), "{mode:?}: {refusal}");
        for part in expected {
            assert!(refusal.contains(part), "{mode:?}: '{part}' is missing in: {refusal}");
        }
    };
    check(Mode::IgnoresConditions, &["overwrites an existing object", "conditional writes"]).await;
    check(Mode::NoBucket, &["bucket", "does not exist", "NoSuchBucket", "create it"]).await;
    check(Mode::Forbids("PUT"), &["may not write", "AccessDenied", "grant them s3:PutObject"]).await;
    check(Mode::Forbids("GET"), &["may not read", "grant them s3:GetObject"]).await;
    check(Mode::Forbids("LIST"), &["may not list", "grant them s3:ListBucket"]).await;
    check(Mode::Forbids("DELETE"), &["may not delete", "grant them s3:DeleteObject"]).await;
}

#[tokio::test]
async fn a_refusal_is_not_retried_and_nothing_is_left_behind() {
    let server = S3Server::start().await;
    server.set_mode(Mode::Forbids("GET"));
    let storage = open(&server.url("p"), &quick());
    let refusal = probe(&storage, &Rng::from_seed(2)).await;
    assert!(matches!(refusal, Err(ProbeError::Refused(_))), "{refusal:?}");
    assert_eq!(server.count("GET"), 1, "{:?}", server.log());
    assert!(server.objects().is_empty());
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_said_to_be_unavailable() {
    let closed_port = "s3://b/p?endpoint=http://127.0.0.1:9&region=us-east-1&anonymous=true";
    let storage = open(closed_port, &quick());
    let refusal = probe(&storage, &Rng::from_seed(2)).await;
    assert!(matches!(refusal, Err(ProbeError::Unavailable(_))), "{refusal:?}");
    let put = storage.put_new(&key("k"), slices(&["x"]), Purpose::Append).await;
    assert!(matches!(put, Err(ObjectError::Unavailable(_))), "nothing was sent: {put:?}");
}

#[test]
fn urls_that_make_no_sense_are_refused_with_a_reason() {
    let check = |url: &str, expected: &str| {
        let opened = ObjectStorage::open(url, &ObjectSettings::default(), Rng::from_seed(1), &Metrics::default());
        let refusal = opened.expect_err("it makes no sense");
        assert!(matches!(refusal, OpenError::Url { .. }), "{url}: {refusal:?}");
        let sentence = refusal.to_string();
        assert!(sentence.contains(expected), "{url}: '{expected}' is missing in: {sentence}");
        assert!(!sentence.contains("hunter2"), "{url} gives a secret away: {sentence}");
    };
    check("bucket", "relative URL");
    check("ftp://b/p", "none of s3:");
    check("s3:///p", "s3://bucket/prefix");
    check("s3://b/p?endpoint=localhost:9000", "begins with neither");
    check("s3://b/p?secret=hunter2", "option 'secret' is not known");
    check("s3://user:hunter2@b/p", "environment");
    check("s3://b/p%2Fq", "prefix of letters");
    check("memory:?region=x", "known are: none");
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_recognised_as_our_own() {
    let server = S3Server::start().await;
    let rng = Rng::from_seed(3);
    for (fault, counted) in [
        // The second PUT finds the key taken; that is an answer, not an error.
        (Fault::ErrorAfter, 1),
        (Fault::LoseAnswer, 1),
        (Fault::ErrorBefore, 1),
        (Fault::SlowDown, 1),
        (Fault::Stall, 1),
    ] {
        let storage = open(&server.url("p"), &quick());
        let object = wal_key(&rng);
        server.inject(Method::PUT, fault);
        let outcome = storage.put_new(&object, slices(&["one", "two"]), Purpose::Append).await;
        assert_eq!(outcome, Ok(()), "{fault:?}");
        assert_eq!(
            server.objects().get(&format!("p/{object}")).map(Bytes::as_ref),
            Some(b"onetwo".as_ref()),
            "{fault:?}"
        );
        let count = storage.counters().of(Purpose::Append, Operation::Put);
        assert_eq!((count.requests, count.errors, count.bytes_sent), (2, counted, 12), "{fault:?}");
    }
    // The three first attempts that never reached the store were not checked; all others carried their CRC.
    assert_eq!(server.checked(), server.count("PUT") - 3);
}

#[tokio::test]
async fn another_object_under_our_key_is_never_taken_for_ours() {
    let server = S3Server::start().await;
    let storage = open(&server.url("p"), &quick());
    for (name, theirs) in [("same-size", "onetwO"), ("longer", "onetwo and more"), ("shorter", "one"), ("empty", "")] {
        let object = key(name);
        server.plant(&format!("p/{name}"), theirs);
        server.inject(Method::PUT, Fault::ErrorBefore);
        let outcome = storage.put_new(&object, slices(&["one", "two"]), Purpose::Append).await;
        assert_eq!(outcome, Err(ObjectError::AlreadyExists(object)), "{name}");
        assert_eq!(server.objects()[&format!("p/{name}")], theirs, "{name}");
    }
}

#[tokio::test]
async fn failures_beyond_the_budget_say_whether_anything_may_have_been_applied() {
    let server = S3Server::start().await;
    let storage = open(&server.url("p"), &quick());
    let put = async |fault: Fault| {
        (0..4).for_each(|_| server.inject(Method::PUT, fault));
        storage.put_new(&key(&format!("{fault:?}")), slices(&["x"]), Purpose::Append).await
    };
    assert!(matches!(put(Fault::SlowDown).await, Err(ObjectError::Unavailable(_))));
    assert!(matches!(put(Fault::ErrorBefore).await, Err(ObjectError::Unknown(_))));
    assert!(matches!(put(Fault::Stall).await, Err(ObjectError::Unknown(_))));
    assert_eq!(server.count("PUT"), 12, "four attempts each");
    (0..4).for_each(|_| server.inject(Method::GET, Fault::ErrorBefore));
    let read = storage.get_ranges(&key("k"), &[range(0, 1)], Purpose::Fetch).await;
    assert!(matches!(read, Err(ObjectError::Unavailable(_))), "{read:?}");
    // A right that is taken away while an earlier attempt hangs in the air leaves the doubt.
    server.inject(Method::PUT, Fault::LoseAnswer);
    let doubt = key("doubt");
    let (outcome, ()) = tokio::join!(storage.put_new(&doubt, slices(&["x"]), Purpose::Append), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.set_mode(Mode::Forbids("PUT"));
    });
    assert!(matches!(outcome, Err(ObjectError::Unknown(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_read_again() {
    let server = S3Server::start().await;
    let storage = open(&server.url("p"), &quick());
    let object = key("object");
    storage.put_new(&object, slices(&["0123456789"]), Purpose::Append).await.expect("it is new");
    server.inject(Method::GET, Fault::Truncate(3));
    server.inject(Method::GET, Fault::Stall);
    let got = storage.get_ranges(&object, &[range(2, 5)], Purpose::Fetch).await;
    assert_eq!(got, Ok(slices(&["23456"])));
    assert_eq!(server.count("GET"), 3);
}

#[tokio::test]
async fn listings_go_on_over_pages_in_order() {
    let server = S3Server::start().await;
    server.set_page_entries(7);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file_url = format!("file://{}", folder.path().display());
    for url in [server.url("deep/prefix"), file_url, "memory:".to_owned()] {
        let storage = open(&url, &ObjectSettings::default());
        let mut keys: Vec<_> = (0..40).map(|n| key(&format!("wal/{:02x}/{n}", n * 37 % 256))).collect();
        for object in &keys {
            storage.put_new(object, slices(&["x"]), Purpose::Append).await.expect("it is new");
        }
        storage.put_new(&key("other"), slices(&["x"]), Purpose::Append).await.expect("it is new");
        keys.sort();
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = storage.list("wal", after.as_ref(), 9, Purpose::Upkeep).await.expect("listing works");
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 9 && page.iter().all(|object| object.byte_size == 1), "{url}");
            after = Some(last.key.clone());
            listed.extend(page.into_iter().map(|object| object.key));
        }
        assert_eq!(listed, keys, "{url}");
        let all = storage.list("", None, 1_000, Purpose::Upkeep).await.expect("listing works");
        assert_eq!(all.len(), 41, "{url}");
    }
}

#[tokio::test]
async fn many_keys_are_deleted_in_few_requests() {
    let server = S3Server::start().await;
    let storage = open(&server.url("p"), &quick());
    let keys: Vec<_> = (0..2_100).map(|n| key(&format!("k{n}"))).collect();
    keys.iter().for_each(|key| server.plant(&format!("p/{key}"), "x"));
    server.plant("p/kept", "x");
    server.inject(Method::POST, Fault::ErrorAfter);
    storage.delete(&keys, Purpose::Upkeep).await.expect("they can go");
    assert_eq!(server.objects().into_keys().collect::<Vec<_>>(), ["p/kept"]);
    assert_eq!(server.count("POST"), 4, "three and one again");
    assert_eq!(storage.counters().of(Purpose::Upkeep, Operation::Delete).requests, 4);
}

#[tokio::test]
async fn requests_are_counted_by_purpose_and_shown_as_metrics() {
    let metrics = Metrics::default();
    let storage =
        ObjectStorage::open("memory:", &ObjectSettings::default(), Rng::from_seed(1), &metrics).expect("it opens");
    storage.put_new(&key("a"), slices(&["12345", "678"]), Purpose::Append).await.expect("it is new");
    // Three neighbours are one request, gap included; the whole is another.
    let wanted = [range(0, 1), range(1, 1), range(5, 3)];
    storage.get_ranges(&key("a"), &wanted, Purpose::Fetch).await.expect("it is there");
    storage.get_whole(&key("a"), 100, Purpose::Upkeep).await.expect("it is there");
    storage.raw().put(&"metastore/manifest".into(), "m1".into()).await.expect("raw works");
    let raw = storage.raw().get(&"metastore/manifest".into()).await.expect("raw works");
    assert_eq!(raw.bytes().await.expect("it has a body"), "m1");
    let counters = storage.counters();
    let of = |purpose, operation| {
        let count = counters.of(purpose, operation);
        (count.requests, count.errors, count.bytes_sent, count.bytes_received)
    };
    assert_eq!(of(Purpose::Append, Operation::Put), (1, 0, 8, 0));
    assert_eq!(of(Purpose::Fetch, Operation::Get), (1, 0, 0, 8));
    assert_eq!(of(Purpose::Upkeep, Operation::Get), (1, 0, 0, 8));
    assert_eq!(of(Purpose::Metastore, Operation::Put), (1, 0, 2, 0));
    assert_eq!(of(Purpose::Metastore, Operation::Get), (1, 0, 0, 2));
    assert_eq!(counters.total(Operation::Put).requests, 2);
    let page = metrics.render();
    let line = "towpath_object_requests_total{purpose=\"append\",operation=\"put\"} 1";
    assert!(page.contains(line), "{page}");
    let line = "towpath_object_received_bytes_total{purpose=\"fetch\",operation=\"get\"} 8";
    assert!(page.contains(line), "{page}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_put_is_sent_again_and_the_faster_one_counts() {
    let (toxic, storage) = toxic(&ObjectSettings::default(), 5);
    toxic.set_climate(Climate { latency: Duration::from_millis(20)..Duration::from_millis(40), ..Climate::default() });
    let rng = Rng::from_seed(6);
    for _ in 0..30 {
        storage.put_new(&wal_key(&rng), slices(&["x"]), Purpose::Append).await.expect("it is new");
    }
    for slow in [Toxic::Delay(Duration::from_secs(5)), Toxic::Stall, Toxic::LoseAnswer] {
        let (before, started) = (toxic.tally().puts, Instant::now());
        toxic.inject([slow]);
        let object = wal_key(&rng);
        storage.put_new(&object, slices(&["slow", "one"]), Purpose::Append).await.expect("it is new");
        assert_eq!(toxic.tally().puts - before, 2, "{slow:?}");
        assert!(started.elapsed() < Duration::from_millis(200), "{slow:?} took {:?}", started.elapsed());
        let whole = storage.get_whole(&object, 100, Purpose::Fetch).await.expect("it is there");
        assert_eq!(whole, "slowone", "{slow:?}");
    }
    toxic.inject([Toxic::Delay(Duration::from_secs(5))]);
    let started = Instant::now();
    storage.get_ranges(&wal_key(&rng), &[range(0, 1)], Purpose::Fetch).await.expect_err("it is not there");
    assert!(started.elapsed() < Duration::from_millis(1_200), "reads are hedged too: {:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_altogether_is_not_asked_twice_each_time() {
    let (toxic, storage) = toxic(&ObjectSettings::default(), 5);
    let latency = Duration::from_millis(3_000)..Duration::from_millis(3_001);
    toxic.set_climate(Climate { latency, ..Climate::default() });
    let rng = Rng::from_seed(6);
    for _ in 0..200 {
        storage.put_new(&wal_key(&rng), slices(&["x"]), Purpose::Append).await.expect("it is new");
    }
    assert!(toxic.tally().puts <= 200 + 10 + 10, "{:?}", toxic.tally());
}

/// Writes and reads under a climate of faults; gives what happened, to compare runs.
async fn storm(seed: u64) -> (Tally, Duration, Vec<String>) {
    let (toxic, storage) = toxic(&ObjectSettings::default(), seed);
    toxic.set_climate(Climate {
        latency: Duration::from_millis(1)..Duration::from_millis(80),
        error_before: 0.1,
        error_after: 0.1,
        stall: 0.05,
        truncate: 0.1,
        flip_bit: 0.0,
    });
    let (started, rng) = (Instant::now(), Rng::from_seed(seed + 2));
    let mut happened = Vec::new();
    for n in 0..150_u32 {
        let (object, body) = (wal_key(&rng), Bytes::from(format!("{seed} {n} body")));
        let outcome = storage.put_new(&object, vec![body.clone(), body.clone()], Purpose::Append).await;
        let twice = [&body[..], &body[..]].concat();
        let found = storage.get_whole(&object, 1_000, Purpose::Fetch).await;
        match (&outcome, &found) {
            (Ok(()), Ok(found)) => assert_eq!(found, &twice),
            (Ok(()), Err(failure)) => assert!(matches!(failure, ObjectError::Unavailable(_)), "lost: {failure}"),
            (Err(ObjectError::Unknown(_) | ObjectError::Unavailable(_)), _) => {}
            (Err(failure), _) => panic!("no fault explains: {failure}"),
        }
        happened.push(format!("{object} {outcome:?} {:?}", found.map(|bytes| bytes.len())));
    }
    (toxic.tally(), started.elapsed(), happened)
}

#[tokio::test(start_paused = true)]
async fn what_was_written_is_there_whatever_the_weather_and_the_same_each_time() {
    for seed in [10, 20, 30] {
        let first = storm(seed).await;
        assert!(first.0.faults > 50, "{:?}", first.0);
        let successes = first.2.iter().filter(|line| line.contains("Ok(())")).count();
        assert!(successes > 140, "{successes} of 150");
        assert_eq!(first, storm(seed).await, "seed {seed}");
    }
}

#[tokio::test]
async fn a_footer_is_found_from_the_end_whatever_its_size() {
    let storage = open("memory:", &ObjectSettings::default());
    let writer = NodeIdentity { node_id: NodeId(1), node_epoch: NodeEpoch(2) };
    for count in [0, 1, 100, 1_635, 1_637, 5_000] {
        let topic = TopicId(Uuid::from_u128(9));
        let parts = (0..count)
            .map(|n| (TopicIdPartition::new(topic, PartitionIndex(n)), slices(&["batch", "batch"])))
            .collect();
        let built = WalObject::build(Uuid::from_u128(4), writer, parts);
        let object = key(&format!("wal/{count}"));
        storage.put_new(&object, built.slices, Purpose::Append).await.expect("it is new");
        assert_eq!(storage.head_size(&object, Purpose::Upkeep).await, Ok(Some(built.byte_size)));
        let (header, footer) = read_footer(&storage, &object, Purpose::Upkeep).await.expect("it is sound");
        assert_eq!((header.writer, header.cluster_id), (writer, Uuid::from_u128(4)));
        assert_eq!(footer.entries.iter().map(|entry| entry.bytes).collect::<Vec<_>>(), built.ranges);
    }
    for (name, garbage) in [("short", vec![1; 127]), ("long", vec![1; 100_000])] {
        storage.put_new(&key(name), vec![garbage.into()], Purpose::Append).await.expect("it is new");
        let refusal = read_footer(&storage, &key(name), Purpose::Upkeep).await;
        assert!(matches!(refusal, Err(ObjectError::Corrupt { .. })), "{name}: {refusal:?}");
    }
    let missing = read_footer(&storage, &key("missing"), Purpose::Upkeep).await;
    assert_eq!(missing, Err(ObjectError::NotFound(key("missing"))));
}

#[tokio::test]
async fn a_prefix_belongs_to_the_first_cluster_that_binds_it() {
    let server = S3Server::start().await;
    let (ours, theirs) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let storage = open(&server.url("p"), &quick());
    assert_eq!(identity::bound_to(&storage).await, Ok(None));
    server.inject(Method::PUT, Fault::ErrorAfter);
    identity::bind(&storage, ours).await.expect("it is free");
    identity::bind(&storage, ours).await.expect("it is ours");
    assert_eq!(identity::bound_to(&storage).await, Ok(Some(ours)));
    let refusal = identity::bind(&storage, theirs).await.expect_err("it is not theirs");
    let sentence = refusal.to_string();
    assert!(
        sentence.starts_with("s3://towpath/p belongs to cluster 00000000-0000-0000-0000-000000000001"),
        "{sentence}"
    );
    assert!(sentence.contains("use another prefix"), "{sentence}");

    let race = open(&server.url("race"), &quick());
    let outcomes = futures::future::join_all([ours, theirs, ours, theirs].map(|id| identity::bind(&race, id))).await;
    let winner = identity::bound_to(&race).await.expect("it is readable").expect("it is bound");
    for (id, outcome) in [ours, theirs, ours, theirs].into_iter().zip(outcomes) {
        assert_eq!(outcome.is_ok(), id == winner, "{id}: {outcome:?}");
    }
    for garbage in ["", "{}", "{\"format\":2,\"cluster_id\":\"00000000-0000-0000-0000-000000000001\"}"] {
        server.plant("p/towpath-cluster.json", garbage);
        let refusal = identity::bind(&storage, ours).await;
        assert!(matches!(refusal, Err(IdentityError::Unreadable { .. })), "{garbage}: {refusal:?}");
    }
    server.plant("p/towpath-cluster.json", vec![b' '; 5_000]);
    let refusal = identity::bind(&storage, ours).await;
    assert!(matches!(refusal, Err(IdentityError::Unreadable { .. })), "{refusal:?}");
}

#[tokio::test]
async fn the_embedded_metastores_engine_works_over_the_raw_store() {
    let server = S3Server::start().await;
    let storage = open(&server.url("p"), &ObjectSettings::default());
    let put = async |value: &str| {
        let db = slatedb::Db::open(METASTORE_FOLDER, storage.raw()).await.expect("it opens");
        let before = db.get(b"key").await.expect("it reads");
        let written = db.put(b"key", value.as_bytes()).await.expect("it writes");
        written.await_durable().await.expect("it is durable");
        db.close().await.expect("it closes");
        before
    };
    assert_eq!(put("first").await, None);
    assert_eq!(put("second").await.as_deref(), Some(b"first".as_slice()));
    assert!(server.objects().keys().all(|key| key.starts_with("p/metastore/")), "{:?}", server.objects().keys());
    let counters = storage.counters();
    assert!(counters.of(Purpose::Metastore, Operation::Put).bytes_sent > 0, "{counters:?}");
    assert_eq!(counters.total(Operation::Put), counters.of(Purpose::Metastore, Operation::Put));
}
