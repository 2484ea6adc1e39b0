use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use tokio::time::Instant;

use super::*;
use crate::base::clock::Timestamp;
use crate::log::kit::{START, World, appended, batch, fetch, records, request};
use crate::metastore::batch_index::BatchIndex;
use crate::metastore::catalog::Catalog;
use crate::metastore::values::LogStartMove;
use crate::model::offset::Offset;
use crate::record::batch::RecordBatch;

fn one(mut outcomes: Vec<FetchOutcome>) -> FetchOutcome {
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

fn condition(outcome: FetchOutcome) -> Option<Condition> {
    outcome.err().map(|failure| failure.condition)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// No pauses of the writer's pace get into the way.
fn settings() -> LogSettings {
    LogSettings { puts_per_second: 0.0, ..LogSettings::default() }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_at_the_end_waits_and_is_woken_by_the_commit() {
    let world = World::new().await;
    let (one_agent, two) = (world.agent(1, settings()).await, world.agent(2, settings()).await);
    for reader in [&one_agent, &two] {
        let start = Instant::now();
        let end = reader.read(world.partition(0), 0).await.len() as i64;
        let mut waiting = fetch(world.partition(0), end);
        waiting.wait_max = Duration::from_secs(30);
        let mut waiting = std::pin::pin!(reader.reader.fetch(waiting));
        assert!(waiting.as_mut().now_or_never().is_none());
        tokio::time::sleep(ms(500)).await;
        assert!(waiting.as_mut().now_or_never().is_none());
        // The writer is agent one; agent two hears of it by the feed.
        assert_eq!(one_agent.append(world.partition(0), &["news"]).await, appended(end));
        let fetched = one(waiting.await).expect("readable");
        assert_eq!(records(&fetched.records), [(end, "news".to_owned())]);
        assert_eq!(fetched.bounds.high_watermark, Offset(end + 1));
        assert!((ms(500)..ms(510)).contains(&start.elapsed()), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_empty_when_its_time_is_over_and_asks_nobody_meanwhile() {
    let world = World::new().await;
    let agent = world.agent(1, settings()).await;
    assert_eq!(agent.append(world.partition(0), &["a"]).await, appended(0));
    let lookups = *world.metastore.lookups.lock().unwrap();
    let start = Instant::now();
    let mut waiting = fetch(world.partition(0), 1);
    waiting.wait_max = Duration::from_secs(60);
    let waiting = agent.reader.fetch(waiting);
    let other = async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            agent.append(world.partition(1), &["elsewhere"]).await.expect("appended");
        }
    };
    let (outcome, ()) = futures::join!(waiting, other);
    let fetched = one(outcome).expect("no error");
    assert!(fetched.records.is_empty());
    assert_eq!(fetched.bounds.high_watermark, Offset(1));
    assert_eq!(start.elapsed().as_secs(), 60);
    assert_eq!(*world.metastore.lookups.lock().unwrap(), lookups, "news of other partitions do not matter");
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_many_bytes_goes_on_until_they_are_there() {
    let world = World::new().await;
    let agent = world.agent(1, settings()).await;
    let mut waiting = fetch(world.partition(0), 0);
    (waiting.wait_max, waiting.bytes_min) = (Duration::from_secs(60), 200);
    let mut waiting = std::pin::pin!(agent.reader.fetch(waiting));
    for value in ["a", "b"] {
        assert!(waiting.as_mut().now_or_never().is_none());
        agent.append(world.partition(0), &[value]).await.expect("appended");
        tokio::time::sleep(ms(10)).await;
    }
    assert!(waiting.as_mut().now_or_never().is_none(), "two batches are not 200 bytes");
    agent.append(world.partition(0), &["c"]).await.expect("appended");
    assert_eq!(records(&one(waiting.await).expect("readable").records).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn offsets_outside_of_the_log_are_errors_at_once() {
    let world = World::new().await;
    let agent = world.agent(1, settings()).await;
    agent.append(world.partition(0), &["a", "b", "c"]).await.expect("appended");
    for (partition, offset, expected) in [
        (0, 4, Some(Condition::OffsetOutOfRange)),
        (0, -1, Some(Condition::OffsetOutOfRange)),
        (0, 3, None),
        (1, 1, Some(Condition::OffsetOutOfRange)),
        (99, 0, Some(Condition::UnknownTopicOrPartition)),
    ] {
        let start = Instant::now();
        let mut request = fetch(world.partition(partition), offset);
        request.wait_max = ms(100);
        assert_eq!(condition(one(agent.reader.fetch(request).await)), expected, "{partition} {offset}");
        assert_eq!(start.elapsed() < ms(50), expected.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_one_partition_answers_the_others_at_once() {
    let world = World::new().await;
    let agent = world.agent(1, settings()).await;
    let mut request = fetch(world.partition(0), 0);
    request.partitions.extend(fetch(world.partition(99), 0).partitions);
    request.wait_max = Duration::from_secs(60);
    let start = Instant::now();
    let outcomes = agent.reader.fetch(request).await;
    assert!(outcomes[0].is_ok());
    assert_eq!(condition(outcomes[1].clone()), Some(Condition::UnknownTopicOrPartition));
    assert!(start.elapsed() < ms(10));
}

#[tokio::test(start_paused = true)]
async fn an_agent_behind_the_feed_asks_before_it_calls_an_offset_out_of_range() {
    let world = World::new().await;
    let (one_agent, behind) = (world.agent(1, settings()).await, world.agent(2, settings()).await);
    // It knows the partition, and then hears nothing more.
    assert!(behind.read(world.partition(0), 0).await.is_empty());
    behind.supervisor.stop_phase(crate::base::task::Phase::Metastore, ms(10)).await;
    one_agent.append(world.partition(0), &["a", "b"]).await.expect("appended");
    assert_eq!(behind.tail.bounds(world.partition(0)).map(|bounds| bounds.high_watermark), Some(Offset(0)));
    assert_eq!(behind.read(world.partition(0), 1).await.len(), 2, "the batch begins before the offset");
    let beyond = one(behind.reader.fetch(fetch(world.partition(0), 3)).await);
    assert_eq!(condition(beyond), Some(Condition::OffsetOutOfRange));
}

#[tokio::test(start_paused = true)]
async fn records_before_the_log_start_are_gone() {
    let world = World::new().await;
    let (agent, other) = (world.agent(1, settings()).await, world.agent(2, settings()).await);
    for value in ["a", "b", "c"] {
        agent.append(world.partition(0), &[value]).await.expect("appended");
    }
    let trim = LogStartMove { partition: world.partition(0), offset: Some(Offset(2)) };
    world.metastore.move_log_start(vec![trim]).await.expect("available");
    tokio::time::sleep(ms(10)).await;
    for reader in [&agent, &other] {
        let trimmed = one(reader.reader.fetch(fetch(world.partition(0), 1)).await);
        assert_eq!(condition(trimmed), Some(Condition::OffsetOutOfRange));
        assert_eq!(reader.read(world.partition(0), 2).await, [(2, "c".to_owned())]);
        let fetched = one(reader.reader.fetch(fetch(world.partition(0), 3)).await).expect("at the end");
        assert_eq!(fetched.bounds.log_start_offset, Offset(2));
    }
}

#[tokio::test(start_paused = true)]
async fn answers_are_cut_at_batch_boundaries_and_begin_with_the_batch_of_the_offset() {
    let world = World::new().await;
    let agent = world.agent(1, settings()).await;
    let appends: Vec<_> = ["ab", "cd", "ef"]
        .map(|pair| pair.split("").filter(|part| !part.is_empty()).collect::<Vec<_>>())
        .iter()
        .map(|pair| agent.append(world.partition(0), pair))
        .collect();
    futures::future::join_all(appends).await;
    assert_eq!(agent.puts(), 1, "one extent of three batches");
    let offsets = |found: Vec<(i64, String)>| found.into_iter().map(|(offset, _)| offset).collect::<Vec<_>>();
    assert_eq!(offsets(agent.read(world.partition(0), 3).await), [2, 3, 4, 5]);
    let size = batch(None, &["a", "b"]).len() as u32;
    for (bytes_max, expected) in [(0, 2), (size, 2), (2 * size - 1, 2), (2 * size, 4), (9 * size, 6)] {
        let mut request = fetch(world.partition(0), 0);
        request.partitions[0].bytes_max = bytes_max;
        let fetched = one(agent.reader.fetch(request).await).expect("readable");
        assert_eq!(records(&fetched.records).len(), expected, "at most {bytes_max} bytes");
        let mut request = fetch(world.partition(0), 0);
        request.bytes_max = bytes_max;
        let fetched = one(agent.reader.fetch(request).await).expect("readable");
        assert_eq!(records(&fetched.records).len(), expected, "at most {bytes_max} bytes of the request");
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_first_partition_may_break_the_limits() {
    let world = World::new().await;
    let agent = world.agent(1, settings()).await;
    for partition in 1..4 {
        agent.append(world.partition(partition), &["value"]).await.expect("appended");
    }
    let mut request = fetch(world.partition(0), 0);
    for partition in 1..4 {
        request.partitions.extend(fetch(world.partition(partition), 0).partitions);
    }
    request.bytes_max = 1;
    let outcomes = agent.reader.fetch(request).await;
    let counts: Vec<_> =
        outcomes.into_iter().map(|outcome| records(&outcome.expect("no error").records).len()).collect();
    assert_eq!(counts, [0, 1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_corrupt_object_is_an_error_of_its_own_partitions_and_is_not_remembered() {
    let world = World::new().await;
    let (writer, reader) = (world.agent(1, settings()).await, world.agent(2, settings()).await);
    writer.append(world.partition(0), &["a long enough value"]).await.expect("appended");
    let good = world.objects().await;
    world.corrupt_all().await;
    writer.append(world.partition(1), &["b"]).await.expect("appended");
    let mut request = fetch(world.partition(0), 0);
    request.partitions.extend(fetch(world.partition(1), 0).partitions);
    let outcomes = reader.reader.fetch(request.clone()).await;
    assert_eq!(condition(outcomes[0].clone()), Some(Condition::CorruptMessage));
    assert_eq!(records(&outcomes[1].as_ref().expect("readable").records), [(0, "b".to_owned())]);
    // The same bit again makes it whole; nothing wrong was kept.
    assert_eq!(good.len(), 1);
    world.flip(&good[0]).await;
    assert_eq!(reader.read(world.partition(0), 0).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_missing_object_is_looked_up_once_more_and_then_an_error() {
    let world = World::new().await;
    let (writer, reader) = (world.agent(1, settings()).await, world.agent(2, settings()).await);
    writer.append(world.partition(0), &["a"]).await.expect("appended");
    tokio::time::sleep(ms(10)).await;
    world.delete_all().await;
    let lookups = *world.metastore.lookups.lock().unwrap();
    let outcome = one(reader.reader.fetch(fetch(world.partition(0), 0)).await);
    assert_eq!(condition(outcome), Some(Condition::KafkaStorageError));
    assert_eq!(*world.metastore.lookups.lock().unwrap(), lookups + 1);
}

#[tokio::test(start_paused = true)]
async fn extents_that_the_tail_dropped_are_looked_up() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings { tail_extents_max: 2, older_extents_max: 4, ..settings() }).await;
    for number in 0..20 {
        agent.append(world.partition(0), &[&number.to_string()]).await.expect("appended");
    }
    let mut offset = 0;
    while offset < 20 {
        let found = agent.read(world.partition(0), offset).await;
        assert_eq!(found.first(), Some(&(offset, offset.to_string())));
        offset = found.last().expect("not empty").0 + 1;
    }
    assert!(agent.tail.extent_count() <= 6);
}

#[tokio::test(start_paused = true)]
async fn append_time_is_stamped_where_the_topic_says_so() {
    let world = World::new().await;
    let agent = world.agent(1, settings()).await;
    agent.writer.append(request(world.partition(0), batch(None, &["a"]), ms(1_000))).await;
    let mut request = fetch(world.partition(0), 0);
    request.partitions[0].timestamp_type = TimestampType::LogAppendTime;
    let fetched = one(agent.reader.fetch(request).await).expect("readable");
    let batch = RecordBatch::parse(&Bytes::from(fetched.records.concat())).expect("a batch");
    batch.verify().expect("a good checksum");
    assert!(batch.header().max_timestamp >= START && batch.header().max_timestamp != Timestamp::NONE);
    assert!(batch.header().is_log_append_time());
}

#[tokio::test(start_paused = true)]
async fn many_consumers_share_one_read_of_an_object() {
    let world = World::new().await;
    let (writer, reader) = (world.agent(1, settings()).await, world.agent(2, settings()).await);
    writer.append(world.partition(0), &["a"]).await.expect("appended");
    let reads = (0..100).map(|_| reader.read(world.partition(0), 0));
    assert!(futures::future::join_all(reads).await.iter().all(|found| found.len() == 1));
    assert_eq!(reader.gets(), 1);
}

#[tokio::test(start_paused = true)]
async fn deleting_a_topic_ends_the_wait_for_it() {
    let world = World::new().await;
    let agent = world.agent(1, settings()).await;
    agent.append(world.partition(0), &["a"]).await.expect("appended");
    let mut waiting = fetch(world.partition(0), 1);
    waiting.wait_max = Duration::from_secs(60);
    let start = Instant::now();
    let delete = async {
        tokio::time::sleep(ms(100)).await;
        world.metastore.delete_topics(vec![world.topic_id]).await.expect("available")
    };
    let (outcome, _) = futures::join!(agent.reader.fetch(waiting), delete);
    assert_eq!(condition(one(outcome)), Some(Condition::UnknownTopicOrPartition));
    assert!(start.elapsed() < ms(200), "{:?}", start.elapsed());
    assert_eq!(agent.tail.extent_count(), 0);
}
