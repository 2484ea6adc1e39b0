use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::time::Instant;

use super::*;
use crate::base::clock::Timestamp;
use crate::base::task::Phase;
use crate::config::log::LogSettings;
use crate::config::topic::{TimestampType, TopicConfig};
use crate::log::append::values::Appended;
use crate::log::kit::{Mishap, START, World, appended, batch, request};
use crate::metastore::catalog::Catalog;
use crate::metastore::values::NewNode;
use crate::model::error::Condition;
use crate::model::node::Endpoint;
use crate::model::offset::Offset;
use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};

fn condition(outcome: AppendOutcome) -> Result<Offset, Condition> {
    outcome.map(|appended| appended.base_offset).map_err(|failure| failure.failure.condition)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[tokio::test(start_paused = true)]
async fn what_is_appended_is_durable_sequenced_and_readable() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    let partition = world.partition(0);
    assert_eq!(agent.append(partition, &["a", "b"]).await, appended(0));
    assert_eq!(agent.append(partition, &["c"]).await, appended(2));
    assert_eq!(world.objects().await.len(), 2);
    let expected: Vec<(i64, String)> = (0..).zip(["a", "b", "c"].map(String::from)).collect();
    assert_eq!(agent.read(partition, 0).await, expected);
    assert_eq!(agent.gets(), 0, "own appends are read from memory");
    let other = world.agent(2, LogSettings::default()).await;
    assert_eq!(other.read(partition, 0).await, expected);
    assert_eq!(other.gets(), 2, "another agent reads the objects");
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_together_share_an_object_in_order_of_their_calls() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    let appends: Vec<_> = (0..50).map(|number| agent.append(world.partition(number % 4), &["v"])).collect();
    let outcomes = join_all(appends).await;
    for (number, outcome) in (0..).zip(outcomes) {
        assert_eq!(outcome, appended(number / 4), "append {number}");
    }
    assert_eq!((agent.puts(), world.metastore.commits.lock().unwrap().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn uploads_overlap_and_commits_keep_the_order_of_admission() {
    let world = World::new().await;
    // The first upload is the slowest: the others are done before it.
    world.put_times(&[400, 50, 10, 10, 10]);
    let settings = LogSettings { object_bytes_max: 1, ..LogSettings::default() };
    let agent = world.agent(1, settings).await;
    let start = Instant::now();
    let appends: Vec<_> = (0..5).map(|_| agent.append(world.partition(0), &["v"])).collect();
    let outcomes = join_all(appends).await;
    for (number, outcome) in (0..).zip(outcomes) {
        assert_eq!(outcome, appended(number));
    }
    assert_eq!(world.store.puts_now.lock().unwrap().1, 5, "all at the same time");
    assert!(start.elapsed() < ms(410), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_linger_is_short_when_idle_and_longer_when_busy() {
    let world = World::new().await;
    world.put_times(&[100]);
    let agent = world.agent(1, LogSettings::default()).await;
    let start = Instant::now();
    let first = agent.append(world.partition(0), &["a"]);
    tokio::time::sleep(ms(10)).await;
    let rest: Vec<_> = (0..10).map(|_| agent.append(world.partition(0), &["b"])).collect();
    assert_eq!(first.await, appended(0));
    assert!((ms(100)..ms(105)).contains(&start.elapsed()), "{:?}", start.elapsed());
    join_all(rest).await;
    // They waited for the first upload to end, not for the whole linger, and went together.
    assert!((ms(200)..ms(210)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(agent.puts(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_idle_writer_makes_no_request() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!((agent.puts(), agent.gets()), (0, 0));
    assert!(world.metastore.commits.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn small_objects_keep_to_the_put_budget() {
    let world = World::new().await;
    let settings = LogSettings { puts_per_second: 4.0, puts_burst: 10.0, ..LogSettings::default() };
    let agent = world.agent(1, settings).await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        agent.append(world.partition(0), &["v"]).await.expect("appended");
    }
    // Ten at once, four a second after that.
    assert!((245..=252).contains(&agent.puts()), "{}", agent.puts());
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_by_asking_and_nothing_is_appended_twice() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    world.mishaps(&[Mishap::AnswerLost]);
    *world.metastore.receipts_unavailable.lock().unwrap() = 3;
    assert_eq!(agent.append(world.partition(0), &["a"]).await, appended(0));
    assert_eq!(agent.append(world.partition(0), &["b"]).await, appended(1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_is_repeated_once_it_is_known_to_be_lost() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    world.mishaps(&[Mishap::RequestLost, Mishap::Unavailable, Mishap::RequestLost]);
    assert_eq!(agent.append(world.partition(0), &["a"]).await, appended(0));
    assert_eq!(agent.read(world.partition(0), 0).await, [(0, "a".to_owned())]);
    let commits = world.metastore.commits.lock().unwrap().clone();
    assert!(commits.len() == 4 && commits.windows(2).all(|pair| pair[0] == pair[1]), "{commits:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_no_failure_and_the_order_is_kept_behind_it() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    // Nothing can be found out for a long time.
    world.mishaps(&[Mishap::AnswerLost]);
    world.mishaps(&[Mishap::RequestLost; 10]);
    *world.metastore.receipts_unavailable.lock().unwrap() = 10;
    let short = agent.writer.append(request(world.partition(0), batch(None, &["a"]), ms(50)));
    tokio::time::sleep(ms(5)).await;
    let patient = agent.append(world.partition(0), &["b"]);
    assert_eq!(condition(short.await.remove(0)), Err(Condition::RequestTimedOut));
    assert_eq!(patient.await, appended(1), "the first append took effect after all, and before the second");
    let values: Vec<_> = agent.read(world.partition(0), 0).await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_metastore_is_tried_again_until_nobody_waits() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    world.mishaps(&[Mishap::Unavailable; 5]);
    assert_eq!(agent.append(world.partition(0), &["a"]).await, appended(0));
    world.mishaps(&[Mishap::Unavailable; 1_000]);
    let outcome = agent.writer.append(request(world.partition(0), batch(None, &["b"]), ms(100))).await.remove(0);
    assert_eq!(condition(outcome), Err(Condition::RequestTimedOut));
    tokio::time::sleep(ms(2_000)).await;
    world.metastore.mishaps.lock().unwrap().clear();
    assert_eq!(agent.append(world.partition(0), &["c"]).await, appended(1), "what was given up is not appended");
    assert_eq!(agent.writer.pressure().bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_tombstoned_object_is_written_again_under_another_key() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    world.mishaps(&[Mishap::Tombstoned]);
    let (first, second) = (agent.append(world.partition(0), &["a"]), agent.append(world.partition(0), &["b"]));
    assert_eq!((first.await, second.await), (appended(0), appended(1)));
    let commits = world.metastore.commits.lock().unwrap().clone();
    assert!(commits.len() == 2 && commits[0] != commits[1], "{commits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_fails_appends_for_certain() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    *world.store.refuses.lock().unwrap() = true;
    let outcome = agent.append(world.partition(0), &["a"]).await;
    assert_eq!(condition(outcome), Err(Condition::KafkaStorageError));
    *world.store.refuses.lock().unwrap() = false;
    assert_eq!(agent.append(world.partition(0), &["b"]).await, appended(0));
}

#[tokio::test(start_paused = true)]
async fn a_fenced_writer_fails_its_waiters_and_stops_the_agent() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    world.metastore.deregister_node(**agent.node.load()).await.expect("available");
    let (first, second) = (agent.append(world.partition(0), &["a"]), agent.append(world.partition(1), &["b"]));
    assert_eq!(condition(first.await), Err(Condition::NotLeaderOrFollower));
    assert_eq!(condition(second.await), Err(Condition::NotLeaderOrFollower));
    assert!(agent.supervisor.failed().await.contains("fenced"));
    assert_eq!(condition(agent.append(world.partition(0), &["c"]).await), Err(Condition::NotLeaderOrFollower));
}

#[tokio::test(start_paused = true)]
async fn a_writer_whose_node_registered_again_goes_on() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    world.metastore.deregister_node(**agent.node.load()).await.expect("available");
    let node = NewNode {
        node_id: None,
        incarnation: uuid::Uuid::from_u128(99),
        endpoint: Endpoint { host: "h".into(), port: 1 },
        rack: None,
        session_ms: 1_000_000,
    };
    let append = agent.append(world.partition(0), &["a"]);
    let record = world.metastore.register_node(node).await.expect("free");
    agent.node.store(Arc::new(record.identity));
    assert_eq!(append.await, appended(0));
}

#[tokio::test(start_paused = true)]
async fn duplicates_get_their_first_offset_whichever_agent_they_reach() {
    let world = World::new().await;
    let (one, two) = (world.agent(1, LogSettings::default()).await, world.agent(2, LogSettings::default()).await);
    let partition = world.partition(0);
    assert_eq!(one.append_as((9, 0), partition, &["a", "b"]).await, appended(0));
    assert_eq!(one.append_as((9, 2), partition, &["c"]).await, appended(2));
    assert_eq!(two.append_as((9, 0), partition, &["a", "b"]).await, appended(0));
    assert_eq!(one.append_as((9, 2), partition, &["c"]).await, appended(2));
    assert_eq!(two.append_as((9, 3), partition, &["d"]).await, appended(3));
    let values: Vec<_> = one.read(partition, 0).await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn batches_with_a_gap_before_them_wait_for_the_other_agent() {
    let world = World::new().await;
    let (one, two) = (world.agent(1, LogSettings::default()).await, world.agent(2, LogSettings::default()).await);
    let partition = world.partition(0);
    assert_eq!(one.append_as((9, 0), partition, &["a"]).await, appended(0));
    // The leader moves from one to two while b is on its way.
    world.mishaps(&[Mishap::Slow(ms(700))]);
    let b = one.append_as((9, 1), partition, &["b"]);
    tokio::time::sleep(ms(20)).await;
    let c = two.append_as((9, 2), partition, &["c"]);
    tokio::time::sleep(ms(20)).await;
    let start = Instant::now();
    let d = two.append_as((9, 3), partition, &["d"]);
    let e = two.append_as((9, 4), partition, &["e"]);
    assert_eq!((b.await, c.await, d.await, e.await), (appended(1), appended(2), appended(3), appended(4)));
    assert!(start.elapsed() < ms(750), "they go on as soon as the feed tells: {:?}", start.elapsed());
    assert_eq!(two.puts(), 2, "the gap costs one more object, not one per attempt");
    let values: Vec<_> = two.read(partition, 0).await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "b", "c", "d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_batches_of_a_producer_may_travel_through_two_agents() {
    let world = World::new().await;
    let (one, two) = (world.agent(1, LogSettings::default()).await, world.agent(2, LogSettings::default()).await);
    let partition = world.partition(0);
    // The leader moves while the very first batch is on its way.
    world.mishaps(&[Mishap::Slow(ms(700))]);
    let a = one.append_as((9, 0), partition, &["a"]);
    tokio::time::sleep(ms(20)).await;
    let (b, c) = (two.append_as((9, 1), partition, &["b"]), two.append_as((9, 2), partition, &["c"]));
    assert_eq!((a.await, b.await, c.await), (appended(0), appended(1), appended(2)));
    let values: Vec<_> = two.read(partition, 0).await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_begins_beyond_zero_is_let_in_after_a_while() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    let partition = world.partition(0);
    let start = Instant::now();
    let (first, behind) = (agent.append_as((9, 5), partition, &["f"]), agent.append_as((9, 6), partition, &["g"]));
    // Whoever else writes there wakes it too early, and must not cost it its place.
    tokio::time::sleep(ms(500)).await;
    assert_eq!(agent.append(partition, &["other"]).await, appended(0));
    assert_eq!((first.await, behind.await), (appended(1), appended(2)));
    assert!((ms(2_000)..ms(2_100)).contains(&start.elapsed()), "{:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(agent.append_as((9, 7), partition, &["h"]).await, appended(3));
    assert!(start.elapsed() < ms(10), "{:?}", start.elapsed());
    assert_eq!(
        condition(agent.append_as((9, 4), partition, &["e"]).await),
        Err(Condition::OutOfOrderSequenceNumber),
        "what comes later than the wait has no place any more"
    );
}

#[tokio::test(start_paused = true)]
async fn producers_beyond_those_that_can_wait_are_let_in_at_once() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings { puts_per_second: 0.0, ..LogSettings::default() }).await;
    let partition = world.partition(0);
    let waiting: Vec<_> = (0..1_024).map(|producer| agent.append_as((producer, 5), partition, &["v"])).collect();
    tokio::time::sleep(ms(100)).await;
    let start = Instant::now();
    assert_eq!(agent.append_as((5_000, 5), partition, &["v"]).await, appended(0));
    assert!(start.elapsed() < ms(100), "{:?}", start.elapsed());
    for outcome in join_all(waiting).await {
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_batch_that_comes_to_the_same_agent_goes_before_those_that_wait() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    let partition = world.partition(0);
    assert_eq!(agent.append_as((9, 0), partition, &["a"]).await, appended(0));
    let c = agent.append_as((9, 2), partition, &["c"]);
    tokio::time::sleep(ms(20)).await;
    let b = agent.append_as((9, 1), partition, &["b"]);
    assert_eq!((b.await, c.await), (appended(1), appended(2)));
    let second = agent.append_as((10, 1), partition, &["e"]);
    tokio::time::sleep(ms(20)).await;
    let first = agent.append_as((10, 0), partition, &["d"]);
    assert_eq!((first.await, second.await), (appended(3), appended(4)));
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_stays_is_refused_after_a_while() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    let partition = world.partition(0);
    assert_eq!(agent.append_as((9, 0), partition, &["a"]).await, appended(0));
    let start = Instant::now();
    let (gap, behind) = (agent.append_as((9, 5), partition, &["f"]), agent.append_as((9, 6), partition, &["g"]));
    assert_eq!(condition(gap.await), Err(Condition::OutOfOrderSequenceNumber));
    assert_eq!(condition(behind.await), Err(Condition::OutOfOrderSequenceNumber));
    assert!((ms(2_000)..ms(2_100)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(agent.append_as((9, 1), partition, &["b"]).await, appended(1));
}

#[tokio::test(start_paused = true)]
async fn old_epochs_and_unknown_partitions_are_refused() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    let newer = batch(Some((ProducerId(9), ProducerEpoch(3), Sequence(0))), &["a"]);
    assert_eq!(agent.append_batch(world.partition(0), newer).await, appended(0));
    let older = agent.append_as((9, 0), world.partition(0), &["b"]).await;
    assert_eq!(condition(older), Err(Condition::InvalidProducerEpoch));
    let nowhere = agent.append(world.partition(99), &["c"]).await;
    assert_eq!(condition(nowhere), Err(Condition::UnknownTopicOrPartition));
    let mut broken = batch(None, &["d"]).to_vec();
    *broken.last_mut().expect("not empty") ^= 1;
    let puts = agent.puts();
    assert_eq!(condition(agent.append_batch(world.partition(0), broken.into()).await), Err(Condition::CorruptMessage));
    assert_eq!(agent.puts(), puts, "what is refused at once is not written");
}

#[tokio::test(start_paused = true)]
async fn append_time_is_told_where_the_topic_stamps_by_it() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    let mut request = request(world.partition(0), batch(None, &["a"]), ms(1_000));
    let config = TopicConfig { timestamp_type: TimestampType::LogAppendTime, ..TopicConfig::default() };
    request.partitions[0].config = Arc::new(config);
    let Ok(Appended { log_append_time, .. }) = agent.writer.append(request).await.remove(0) else {
        panic!("appended");
    };
    assert!((START.0..START.0 + 10).contains(&log_append_time.0), "{log_append_time}");
    assert_ne!(log_append_time, Timestamp::NONE);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_budget_appends_wait_in_order() {
    let world = World::new().await;
    world.put_times(&[100]);
    let value = "v".repeat(1_000);
    let settings = LogSettings {
        object_bytes_max: 2_000,
        append_bytes_max: 4_000,
        puts_per_second: 0.0,
        ..LogSettings::default()
    };
    let agent = world.agent(1, settings).await;
    let start = Instant::now();
    // Four at a time; when the last two are on their way there is room again.
    let appends: Vec<_> = (0..22).map(|_| agent.append(world.partition(0), &[&value])).collect();
    let pressure = agent.writer.pressure();
    assert!(pressure.bytes() > 20_000);
    assert!(pressure.relieved().now_or_never().is_none());
    let mut appends = std::pin::pin!(join_all(appends));
    tokio::select! {
        _ = &mut appends => panic!("the budget is not obeyed"),
        () = pressure.relieved() => {}
    }
    assert!(pressure.bytes() < 4_000);
    for (number, outcome) in (0..).zip(appends.await) {
        assert_eq!(outcome, appended(number));
    }
    assert!(world.store.puts_now.lock().unwrap().1 <= 3);
    assert!(start.elapsed() >= ms(500), "{:?}", start.elapsed());
    assert_eq!(pressure.bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_waited_too_long_for_admission_is_not_appended() {
    let world = World::new().await;
    world.put_times(&[500]);
    let settings = LogSettings { append_bytes_max: 1, ..LogSettings::default() };
    let agent = world.agent(1, settings).await;
    let first = agent.append(world.partition(0), &["a"]);
    tokio::time::sleep(ms(10)).await;
    let late = agent.writer.append(request(world.partition(0), batch(None, &["b"]), ms(100)));
    assert_eq!(condition(late.await.remove(0)), Err(Condition::RequestTimedOut));
    assert_eq!(first.await, appended(0));
    assert_eq!(agent.append(world.partition(0), &["c"]).await, appended(1));
}

#[tokio::test(start_paused = true)]
async fn a_stopping_writer_writes_and_answers_what_it_has() {
    let world = World::new().await;
    world.put_times(&[50]);
    let agent = world.agent(1, LogSettings::default()).await;
    let first = agent.append(world.partition(0), &["a"]);
    tokio::time::sleep(ms(10)).await;
    let second = agent.append(world.partition(0), &["b"]);
    let gap = agent.append_as((9, 0), world.partition(1), &["x"]).now_or_never();
    assert!(gap.is_none());
    let start = Instant::now();
    assert!(agent.supervisor.stop_phase(Phase::Drain, Duration::from_secs(5)).await);
    assert!(start.elapsed() < ms(120), "{:?}", start.elapsed());
    assert_eq!((first.await, second.await), (appended(0), appended(1)));
    assert_eq!(condition(agent.append(world.partition(0), &["c"]).await), Err(Condition::NotLeaderOrFollower));
}

#[tokio::test(start_paused = true)]
async fn an_append_whose_caller_went_away_is_appended_all_the_same() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    drop(agent.append(world.partition(0), &["a"]));
    assert_eq!(agent.append(world.partition(0), &["b"]).await, appended(1));
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_the_same_object_fills_costs_no_wait() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    let partition = world.partition(0);
    assert_eq!(agent.append_as((9, 0), partition, &["a"]).await, appended(0));
    let start = Instant::now();
    let (c, b) = (agent.append_as((9, 2), partition, &["c"]), agent.append_as((9, 1), partition, &["b"]));
    assert_eq!((b.await, c.await), (appended(1), appended(2)));
    assert!(start.elapsed() < ms(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_commit_in_doubt_is_not_given_up_even_when_nobody_waits() {
    let world = World::new().await;
    let agent = world.agent(1, LogSettings::default()).await;
    world.mishaps(&[Mishap::Late(ms(3_000))]);
    world.mishaps(&[Mishap::RequestLost; 8]);
    let short = agent.writer.append(request(world.partition(0), batch(None, &["a"]), ms(10)));
    tokio::time::sleep(ms(5)).await;
    let patient = agent.append(world.partition(0), &["b"]);
    assert_eq!(condition(short.await.remove(0)), Err(Condition::RequestTimedOut));
    assert_eq!(patient.await, appended(1), "what may still be applied is not overtaken");
    tokio::time::sleep(ms(5_000)).await;
    let values: Vec<_> = agent.read(world.partition(0), 0).await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "b"]);
}
