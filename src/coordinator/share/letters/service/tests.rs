use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::base::crc::crc32c;
use crate::config::log::LogSettings;
use crate::coordinator::share::partition::letter::LetterCause;
use crate::log::append::upload::upload;
use crate::log::kit::{Agent, Mishap, START, ToxicMetastore, World, fetch};
use crate::metastore::batch_index::BatchIndex;
use crate::metastore::catalog::Catalog;
use crate::metastore::state_store::StateStore;
use crate::metastore::values::{
    BatchCommit, CommitObject, ConfigChange, ConfigResource, Configs, DocumentChange, DocumentKey, DocumentKind,
    DocumentPut, DocumentVersion, DocumentWrite, Expect, LogStartMove, NewTopic, RangeCommit,
};
use crate::model::offset::Offset;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};
use crate::record::batch::{Batches, RecordBatch};
use crate::record::build::{BatchBuilder, BatchShape, NewRecord};
use crate::record::decompress::Compression;

const NOW: Timestamp = Timestamp(START.0 + 5_000);

struct Bench {
    world: World,
    agent: Agent,
    letters: Letters,
    metrics: Metrics,
    config: ShareDeadLetterConfig,
}

/// A letter as a consumer of the topic finds it.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    headers: Vec<(String, String)>,
    key: Option<String>,
    value: Option<String>,
}

impl Found {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(other, _)| other.strip_prefix("__dlq.errors.") == Some(name));
        &found.expect("there").1
    }
}

fn key(partition: i32) -> DocumentKey {
    DocumentKey { kind: DocumentKind::SharePartition, name: format!("workers/{partition}").into() }
}

fn put(partition: i32, version: u64, body: &'static str) -> DocumentPut {
    let expect = if version == 0 { Expect::Absent } else { Expect::Version(DocumentVersion(version)) };
    DocumentPut { key: key(partition), expect, change: DocumentChange::Put(Bytes::from_static(body.as_bytes())) }
}

fn rejected(first: i64, last: i64) -> DeadLetter {
    DeadLetter { first: Offset(first), last: Offset(last), delivery_count: 2, cause: LetterCause::Rejected }
}

impl Bench {
    async fn new() -> Self {
        let world = World::new().await;
        let agent = world.agent(1, LogSettings::default()).await;
        let config = ShareDeadLetterConfig {
            topic: TopicName::new("dlq.workers").expect("legal"),
            copy_record: true,
            auto_create_topic: false,
            per_minute_max: None,
        };
        let bench = Self::over(world, agent, config);
        for partition in 0..8 {
            let write = DocumentWrite { puts: vec![put(partition, 0, "before")] };
            bench.world.metastore.write_documents(write).await.expect("created");
        }
        bench
    }

    fn over(world: World, agent: Agent, config: ShareDeadLetterConfig) -> Self {
        let (metrics, metastore) = (Metrics::default(), Arc::clone(&world.metastore));
        let letters = Letters::new(LetterParts {
            catalog: CatalogCache::new(Arc::<ToxicMetastore>::clone(&metastore) as Arc<dyn Metastore>),
            metastore,
            reader: agent.reader.clone(),
            append: agent.atomic.clone(),
            defaults: BrokerDefaults { partition_count: 2, ..BrokerDefaults::default() },
            rng: Rng::from_seed(3),
            metrics: metrics.clone(),
        });
        Self { world, agent, letters, metrics, config }
    }

    /// Creates the topic for letters.
    async fn topic(&self, partition_count: i32, entries: &[(&str, &str)]) -> TopicId {
        let topic_id = TopicId(Rng::from_entropy().uuid());
        let configs = entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let name = self.config.topic.clone();
        let topic = NewTopic { topic_id, name, partition_count, replication_factor: 1, configs };
        assert_eq!(self.world.metastore.create_topics(vec![topic]).await, Ok(vec![Ok(())]));
        topic_id
    }

    async fn enabled_topic(&self) -> TopicId {
        self.topic(3, &[("errors.deadletterqueue.group.enable", "true")]).await
    }

    /// A round of one partition, whose document is at version 1.
    fn round(&self, partition: i32, letters: &[DeadLetter]) -> LetterRound {
        LetterRound {
            group_id: GroupId::from("workers"),
            config: self.config.clone(),
            letters: vec![(self.world.partition(partition), letters.to_vec())],
            documents: DocumentWrite { puts: vec![put(partition, 1, "after")] },
            now: NOW,
        }
    }

    async fn document(&self, partition: i32) -> (u64, String) {
        let found = self.world.metastore.get_documents(vec![key(partition)]).await.expect("readable");
        let found = found.into_iter().next().flatten().expect("there");
        (found.version.0, String::from_utf8_lossy(&found.body).into_owned())
    }

    async fn found_in(&self, topic_id: TopicId, partition: i32) -> Vec<Found> {
        let to = TopicIdPartition::new(topic_id, PartitionIndex(partition));
        let outcome = self.agent.reader.fetch(fetch(to, 0)).await.pop().expect("one outcome").expect("readable");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let mut found = Vec::new();
        for batch in Batches::new(Bytes::from(outcome.records.concat())) {
            let batch = batch.expect("well-formed");
            for record in batch.records(&batch.body(1 << 24).expect("plain")) {
                let record = record.expect("well-formed");
                assert_eq!(record.timestamp, NOW);
                let headers = record.headers.map(|(name, value)| (text(name), text(value.expect("text")))).collect();
                found.push(Found { headers, key: record.key.map(text), value: record.value.map(text) });
            }
        }
        found
    }

    async fn offsets_in(&self, topic_id: TopicId, partition: i32) -> Vec<String> {
        let found = self.found_in(topic_id, partition).await;
        found.iter().map(|letter| letter.header("offset").to_owned()).collect()
    }

    /// Appends records with key, value and a header of their own.
    async fn produce(&self, partition: i32, compression: Compression, numbers: std::ops::Range<i32>) {
        let mut builder = BatchBuilder::new(BatchShape { compression, ..BatchShape::default() });
        for number in numbers {
            let (key, value) = (format!("key-{number}"), format!("value-{number}"));
            let headers = vec![(&b"trace"[..], Some(&b"secret"[..]))];
            let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
            builder.push(&NewRecord { timestamp: START, key, value, headers });
        }
        let records = builder.build().expect("builds");
        self.agent.append_batch(self.world.partition(partition), records).await.expect("appended");
    }

    /// Appends a batch that no client may send.
    async fn append_raw(&self, partition: i32, batch: Bytes) {
        let (agent, to) = (&self.agent, self.world.partition(partition));
        let node = **agent.node.load();
        let rng = Rng::from_entropy();
        let parts = vec![(to, vec![batch.clone()])];
        let uploaded = upload(&agent.storage, uuid::Uuid::from_u128(5), node, &rng, parts).await.expect("uploaded");
        let header = RecordBatch::parse(&batch).expect("well-formed");
        let commit = BatchCommit {
            length: u32::try_from(batch.len()).expect("small"),
            crc: uploaded.batch_crcs[0][0],
            record_count: (header.header().last_offset_delta + 1).unsigned_abs(),
            max_timestamp: START,
            producer: None,
        };
        let position = uploaded.ranges[0].position;
        let ranges = vec![RangeCommit { partition: to, position, batches: vec![commit] }];
        let (documents, byte_size) = (DocumentWrite::default(), uploaded.byte_size);
        let object = uploaded.key;
        let commit = CommitObject { node, object, byte_size, ranges, documents, all_or_nothing: false };
        self.world.metastore.inner.commit_object(commit).await.expect("committed");
    }

    fn counted(&self, name: &str) -> u64 {
        let text = self.metrics.render();
        let prefix = format!("towpath_dead_letter_queue_{name}_total");
        let line = text.lines().find(|line| line.starts_with(&prefix));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_names_its_record_and_carries_its_content() {
    for compression in [Compression::None, Compression::Zstd, Compression::Gzip] {
        let bench = Bench::new().await;
        let topic_id = bench.enabled_topic().await;
        bench.produce(5, compression, 0..3).await;
        let limit = DeadLetter { delivery_count: 5, cause: LetterCause::DeliveryLimit, ..rejected(2, 2) };
        let receipt = bench.letters.commit(bench.round(5, &[rejected(0, 0), limit])).await.expect("stored");
        let expected = LetterReceipt { documents: vec![Some(DocumentVersion(2))], written: 2, dropped: 0 };
        assert_eq!(receipt, expected);
        assert_eq!(bench.document(5).await, (2, "after".to_owned()));
        let found = bench.found_in(topic_id, 2).await;
        let letter = |offset: &str, count: &str, message: &str| {
            let texts = ["events", "5", offset, "workers", count, message];
            let names = ["topic", "partition", "offset", "group", "delivery.count", "message"];
            let headers = names.iter().zip(texts);
            let headers = headers.map(|(name, text)| (format!("__dlq.errors.{name}"), text.to_owned())).collect();
            Found { headers, key: Some(format!("key-{offset}")), value: Some(format!("value-{offset}")) }
        };
        let first = letter("0", "2", "Offset rejected by client.");
        let second = letter("2", "5", "Offset delivery count exceeded the threshold.");
        assert_eq!(found, [first, second], "the record's own headers stay behind");
        assert_eq!((bench.counted("record_count"), bench.counted("total_produce_requests")), (2, 1));
        assert_eq!(bench.counted("failed_produce_requests"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn content_stays_behind_unless_the_group_wants_it() {
    let mut bench = Bench::new().await;
    bench.config.copy_record = false;
    let topic_id = bench.enabled_topic().await;
    bench.produce(0, Compression::Zstd, 0..4).await;
    bench.letters.commit(bench.round(0, &[rejected(1, 2)])).await.expect("stored");
    let found = bench.found_in(topic_id, 0).await;
    assert_eq!(found.iter().map(|letter| letter.header("offset")).collect::<Vec<_>>(), ["1", "2"]);
    assert!(found.iter().all(|letter| letter.key.is_none() && letter.value.is_none()));
}

#[tokio::test(start_paused = true)]
async fn content_that_the_topic_can_not_take_stays_behind() {
    let bench = Bench::new().await;
    let enabled = ("errors.deadletterqueue.group.enable", "true");
    let topic_id = bench.topic(1, &[enabled, ("max.message.bytes", "600")]).await;
    let mut builder = BatchBuilder::new(BatchShape { compression: Compression::Zstd, ..BatchShape::default() });
    for length in [10, 5_000, 20, 300, 300] {
        builder.push_value(START, "x".repeat(length).as_bytes());
    }
    let records = builder.build().expect("builds");
    assert!(records.len() < 600, "decompressed sizes count");
    bench.agent.append_batch(bench.world.partition(0), records).await.expect("appended");
    let receipt = bench.letters.commit(bench.round(0, &[rejected(0, 4)])).await.expect("stored");
    assert_eq!((receipt.written, receipt.dropped), (5, 0));
    let found = bench.found_in(topic_id, 0).await;
    let lengths: Vec<_> = found.iter().map(|letter| letter.value.as_ref().map(String::len)).collect();
    assert_eq!(lengths, [Some(10), None, Some(20), Some(300), Some(300)]);
}

#[tokio::test(start_paused = true)]
async fn offsets_without_a_record_make_no_letter() {
    for copy_record in [true, false] {
        let mut bench = Bench::new().await;
        bench.config.copy_record = copy_record;
        let topic_id = bench.enabled_topic().await;
        bench.produce(0, Compression::None, 0..2).await;
        let mut marker = BatchBuilder::new(BatchShape { control: true, ..BatchShape::default() });
        marker.push_value(START, b"commit");
        bench.append_raw(0, marker.build().expect("builds")).await;
        // Two records and then three offsets whose records were cleaned away.
        let mut sparse = BatchBuilder::default();
        sparse.push_value(START, b"three");
        sparse.push_value(START, b"four");
        let mut sparse = sparse.build().expect("builds").to_vec();
        sparse[23..27].copy_from_slice(&4_i32.to_be_bytes());
        let crc = crc32c(&sparse[21..]);
        sparse[17..21].copy_from_slice(&crc.to_be_bytes());
        bench.append_raw(0, sparse.into()).await;
        bench.produce(0, Compression::None, 8..10).await;
        let receipt = bench.letters.commit(bench.round(0, &[rejected(1, 6), rejected(7, 8)])).await.expect("stored");
        assert_eq!((receipt.written, receipt.dropped), (4, 0));
        assert_eq!(bench.offsets_in(topic_id, 0).await, ["1", "3", "4", "8"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_round_of_several_partitions_is_one_object_and_one_step() {
    let bench = Bench::new().await;
    let topic_id = bench.enabled_topic().await;
    for partition in [1, 4, 6] {
        bench.produce(partition, Compression::None, 0..2).await;
    }
    let puts = bench.agent.puts();
    let mut round = bench.round(1, &[rejected(0, 1)]);
    round.letters.extend([(bench.world.partition(4), vec![rejected(1, 1)]), (bench.world.partition(6), vec![])]);
    round.documents.puts.extend([put(4, 1, "four"), put(6, 1, "six")]);
    let receipt = bench.letters.commit(round).await.expect("stored");
    assert_eq!((receipt.documents, receipt.written), (vec![Some(DocumentVersion(2)); 3], 3));
    assert_eq!(bench.agent.puts() - puts, 1);
    let found = bench.found_in(topic_id, 1).await;
    let places: Vec<_> = found.iter().map(|letter| (letter.header("partition"), letter.header("offset"))).collect();
    assert_eq!(places, [("1", "0"), ("1", "1"), ("4", "1")]);
    assert_eq!((bench.document(4).await.1, bench.document(6).await.1), ("four".to_owned(), "six".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_letter_exists_exactly_when_the_state_moved() {
    let bench = Bench::new().await;
    let topic_id = bench.enabled_topic().await;
    bench.produce(0, Compression::None, 0..1).await;
    let mut stale = bench.round(0, &[rejected(0, 0)]);
    stale.documents.puts.push(put(3, 7, "never"));
    assert_eq!(bench.letters.commit(stale).await, Err(LetterFailure::Conflict(key(3))));
    assert_eq!((bench.document(0).await.0, bench.found_in(topic_id, 0).await.len()), (1, 0));
    assert_eq!(bench.counted("failed_produce_requests"), 0, "a conflict is nothing to worry about");

    bench.world.mishaps(&[Mishap::Unavailable; 100]);
    let away = bench.letters.commit(bench.round(0, &[rejected(0, 0)])).await;
    assert!(matches!(away, Err(LetterFailure::Unavailable(_))), "{away:?}");
    bench.world.metastore.mishaps.lock().unwrap().clear();
    *bench.world.store.refuses.lock().unwrap() = true;
    let refused = bench.letters.commit(bench.round(0, &[rejected(0, 0)])).await;
    assert!(matches!(refused, Err(LetterFailure::Unavailable(_))), "{refused:?}");
    *bench.world.store.refuses.lock().unwrap() = false;
    assert_eq!((bench.document(0).await.0, bench.found_in(topic_id, 0).await.len()), (1, 0));
    assert_eq!((bench.counted("failed_produce_requests"), bench.counted("record_count")), (2, 0));

    let mishaps = [Mishap::AnswerLost, Mishap::RequestLost, Mishap::Late(Duration::from_secs(5)), Mishap::Tombstoned];
    for (done, mishap) in (1..).zip(mishaps) {
        bench.world.mishaps(&[mishap]);
        let mut round = bench.round(0, &[rejected(0, 0)]);
        round.documents.puts = vec![put(0, done, "after")];
        let receipt = bench.letters.commit(round).await.expect("stored in the end");
        assert_eq!(receipt.documents, [Some(DocumentVersion(done + 1))], "{mishap:?}");
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(bench.document(0).await.0, done + 1, "{mishap:?}");
        assert_eq!(bench.found_in(topic_id, 0).await.len() as u64, done, "{mishap:?}: one letter a step");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_topic_is_created_if_the_cluster_says_so() {
    let mut bench = Bench::new().await;
    bench.produce(3, Compression::None, 0..1).await;
    let receipt = bench.letters.commit(bench.round(3, &[rejected(0, 0)])).await.expect("stored");
    assert_eq!((receipt.written, receipt.dropped, receipt.documents), (0, 1, vec![Some(DocumentVersion(2))]));
    assert_eq!(bench.document(3).await, (2, "after".to_owned()), "given up without a letter, as in Kafka");
    assert_eq!((bench.counted("failed_produce_requests"), bench.counted("dropped_record_count")), (1, 1));

    bench.config.auto_create_topic = true;
    let mut round = bench.round(3, &[rejected(0, 0)]);
    round.documents.puts = vec![put(3, 2, "again")];
    let receipt = bench.letters.commit(round).await.expect("stored");
    assert_eq!((receipt.written, receipt.dropped), (1, 0));
    let snapshot = bench.letters.0.catalog.snapshot();
    let topic = snapshot.topics.get(&bench.config.topic).expect("created");
    let entries = [("errors.deadletterqueue.group.enable", "true"), ("message.timestamp.type", "CreateTime")];
    let entries: Configs = entries.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!((topic.partition_count, &topic.configs), (2, &entries));
    assert_eq!(bench.offsets_in(topic.topic_id, 1).await, ["0"]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_takes_letters_only_if_it_says_so() {
    let mut bench = Bench::new().await;
    bench.config.auto_create_topic = true;
    let topic_id = bench.topic(1, &[]).await;
    bench.produce(0, Compression::None, 0..2).await;
    let receipt = bench.letters.commit(bench.round(0, &[rejected(0, 1)])).await.expect("stored");
    assert_eq!((receipt.written, receipt.dropped), (0, 2));
    assert_eq!(bench.found_in(topic_id, 0).await, []);
    let enable = ConfigChange::Set("errors.deadletterqueue.group.enable".to_owned(), "true".to_owned());
    let altered = bench.world.metastore.alter_configs(ConfigResource::Topic(topic_id), vec![enable]).await;
    assert_eq!(altered, Ok(Ok(())));
    let mut round = bench.round(0, &[rejected(0, 1)]);
    round.documents.puts = vec![put(0, 2, "again")];
    assert_eq!(bench.letters.commit(round).await.expect("stored").written, 2, "this agent looks again");
}

/// What this agent knows of topics is old: the step itself finds out, and moves nothing.
#[tokio::test(start_paused = true)]
async fn a_topic_that_was_deleted_meanwhile_loses_no_letter() {
    let mut bench = Bench::new().await;
    bench.config.auto_create_topic = true;
    let old = bench.enabled_topic().await;
    bench.letters.0.catalog.refresh().await.expect("readable");
    bench.produce(0, Compression::None, 0..1).await;
    bench.world.metastore.delete_topics(vec![old]).await.expect("deleted");
    let receipt = bench.letters.commit(bench.round(0, &[rejected(0, 0)])).await.expect("stored");
    assert_eq!((receipt.written, receipt.dropped), (1, 0));
    let new = bench.letters.0.catalog.snapshot().topics[&bench.config.topic].topic_id;
    assert_ne!(new, old);
    assert_eq!(bench.offsets_in(new, 0).await, ["0"]);
    assert_eq!(bench.document(0).await.0, 2);
}

#[tokio::test(start_paused = true)]
async fn deleted_and_damaged_records_leave_letters_without_content() {
    let bench = Bench::new().await;
    let topic_id = bench.enabled_topic().await;
    bench.produce(0, Compression::None, 0..4).await;
    bench.produce(1, Compression::None, 0..2).await;
    let moved = LogStartMove { partition: bench.world.partition(0), offset: Some(Offset(2)) };
    bench.world.metastore.move_log_start(vec![moved]).await.expect("moved");
    // Until this agent hears of it, the records are still there for it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.letters.commit(bench.round(0, &[rejected(0, 3)])).await.expect("stored");
    let found = bench.found_in(topic_id, 0).await;
    let places: Vec<_> = found.iter().map(|letter| (letter.header("offset"), letter.value.as_deref())).collect();
    assert_eq!(places, [("0", None), ("1", None), ("2", Some("value-2")), ("3", Some("value-3"))]);

    // Another agent, which does not have the bytes in memory.
    bench.world.corrupt_all().await;
    let Bench { world, config, agent, .. } = bench;
    let bench = Bench::over(world.clone(), world.agent(2, LogSettings::default()).await, config);
    drop(agent);
    let receipt = bench.letters.commit(bench.round(1, &[rejected(0, 1)])).await.expect("stored");
    assert_eq!((receipt.written, receipt.dropped), (2, 0));
    let found = bench.found_in(topic_id, 1).await;
    assert_eq!(found.iter().map(|letter| letter.value.as_deref()).collect::<Vec<_>>(), [None, None]);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_now_is_not_given_up() {
    let bench = Bench::new().await;
    let topic_id = bench.enabled_topic().await;
    bench.produce(0, Compression::None, 0..1).await;
    let Bench { world, config, agent, .. } = bench;
    let bench = Bench::over(world.clone(), world.agent(2, LogSettings::default()).await, config);
    drop(agent);
    bench.world.delete_all().await;
    let outcome = bench.letters.commit(bench.round(0, &[rejected(0, 0)])).await;
    assert!(matches!(outcome, Err(LetterFailure::Unavailable(_))), "{outcome:?}");
    let beyond = bench.letters.commit(bench.round(0, &[rejected(1, 1)])).await;
    assert!(matches!(beyond, Err(LetterFailure::Unavailable(_))), "{beyond:?}");
    assert_eq!((bench.document(0).await.0, bench.found_in(topic_id, 0).await.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn records_of_a_deleted_topic_are_given_up_without_letters() {
    let bench = Bench::new().await;
    bench.enabled_topic().await;
    bench.produce(0, Compression::None, 0..3).await;
    bench.world.metastore.delete_topics(vec![bench.world.topic_id]).await.expect("deleted");
    let receipt = bench.letters.commit(bench.round(0, &[rejected(0, 2)])).await.expect("stored");
    assert_eq!((receipt.written, receipt.dropped), (0, 3));
    assert_eq!(bench.document(0).await.0, 2);
}

#[tokio::test(start_paused = true)]
async fn beyond_its_limit_a_group_gives_nothing_up() {
    let mut bench = Bench::new().await;
    bench.config.per_minute_max = Some(2);
    let topic_id = bench.enabled_topic().await;
    bench.produce(0, Compression::None, 0..9).await;
    let group_id = GroupId::from("workers");
    assert_eq!(bench.letters.held_until(&group_id, &bench.config, NOW), None);
    bench.letters.commit(bench.round(0, &[rejected(0, 2)])).await.expect("a round is not cut");
    let until = Timestamp(NOW.0 + 60_000);
    assert_eq!(bench.letters.held_until(&group_id, &bench.config, NOW), Some(until));
    let round = |version, letters: &[DeadLetter], now| {
        let documents = DocumentWrite { puts: vec![put(0, version, "after")] };
        LetterRound { documents, now, ..bench.round(0, letters) }
    };
    let held = bench.letters.commit(round(2, &[rejected(3, 3)], Timestamp(until.0 - 1))).await;
    assert_eq!(held, Err(LetterFailure::Held { until }));
    assert_eq!((bench.document(0).await.0, bench.found_in(topic_id, 0).await.len()), (2, 3), "nothing has changed");
    bench.letters.commit(round(2, &[], NOW)).await.expect("what gives nothing up goes on");
    assert_eq!(bench.document(0).await.0, 3);
    // The found letters' own time is checked elsewhere.
    let receipt = bench.letters.commit(round(3, &[rejected(3, 3)], until)).await.expect("a new minute");
    assert_eq!(receipt.written, 1);
}

#[tokio::test(start_paused = true)]
async fn content_is_bounded_and_letters_are_not_lost_for_it() {
    let bench = Bench::new().await;
    let topic_id = bench.enabled_topic().await;
    let size = 1_000_000;
    for _ in 0..40 {
        let mut builder = BatchBuilder::new(BatchShape { compression: Compression::Zstd, ..BatchShape::default() });
        builder.push_value(START, "x".repeat(size).as_bytes());
        let records = builder.build().expect("builds");
        bench.agent.append_batch(bench.world.partition(0), records).await.expect("appended");
    }
    let receipt = bench.letters.commit(bench.round(0, &[rejected(0, 39)])).await.expect("stored");
    assert_eq!((receipt.written, receipt.dropped), (40, 0));
    let mut counts: BTreeMap<bool, usize> = BTreeMap::new();
    let mut offset = 0;
    while offset < 40 {
        let to = TopicIdPartition::new(topic_id, PartitionIndex(0));
        let outcome = bench.agent.reader.fetch(fetch(to, offset)).await.pop().expect("one").expect("readable");
        for batch in Batches::new(Bytes::from(outcome.records.concat())) {
            let batch = batch.expect("well-formed");
            offset = batch.header().last_offset().0 + 1;
            for record in batch.records(&batch.body(1 << 24).expect("plain")) {
                *counts.entry(record.expect("well-formed").value.is_some()).or_default() += 1;
            }
        }
    }
    assert_eq!(counts, BTreeMap::from([(false, 40 - CONTENT_BYTES_MAX / size), (true, CONTENT_BYTES_MAX / size)]));
}
