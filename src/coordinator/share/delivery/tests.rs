//! One agent, or two of them, and what their members get.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::coordinator::share::delivery::kit::{Kit, counted, decided, group, meanwhile, offsets, pass, texts};
use crate::coordinator::share::partition::document::StoredPartition;
use crate::coordinator::share::values::{AcknowledgeType, AcquireMode, ShareFetchRequest};
use crate::log::kit::DocumentMishap;
use crate::metastore::batch_index::BatchIndex;
use crate::metastore::catalog::Catalog;
use crate::metastore::values::{LogStartMove, NewTopic};
use crate::model::error::Condition;
use crate::model::offset::Offset;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};

use AcknowledgeType::{Accept, Reject, Release};

fn waiting(request: ShareFetchRequest, milliseconds: u64) -> ShareFetchRequest {
    ShareFetchRequest { wait_max: Duration::from_millis(milliseconds), ..request }
}

#[tokio::test(start_paused = true)]
async fn what_is_fetched_is_acknowledged_with_the_next_fetch_in_one_write() {
    let kit = Kit::new().await;
    kit.produce_batch(0, 10).await;
    let answer = kit.one.delivery.fetch(kit.fetch("a", &[0])).await;
    assert_eq!(texts(&answer), ["0-9×1"]);
    assert_eq!(offsets(&answer, 0), (0..10).collect::<Vec<_>>());
    assert_eq!(answer.lock_duration, Duration::from_secs(30));
    assert_eq!(kit.writes(), [1]);
    kit.produce_batch(0, 5).await;
    let said = vec![kit.said(0, 0, 9, Accept)];
    let reads = kit.reads();
    assert_eq!(reads, 1, "the document is read once");
    let next = ShareFetchRequest { acknowledgements: said, ..kit.fetch("a", &[0]) };
    let answer = kit.one.delivery.fetch(next).await;
    assert_eq!((texts(&answer), answer.acknowledged), (vec!["10-14×1".to_owned()], vec![Ok(())]));
    assert_eq!((kit.writes(), kit.reads()), (vec![1], 0), "one write, and nothing else");
    let (state, _) = kit.stored(0).await;
    assert_eq!((state.start_offset(), state.end_offset()), (Offset(10), Offset(15)));
    assert_eq!(counted(&kit.one, "towpath_record_acknowledgements_total{ack_type=\"accept\"}"), 10);
    assert_eq!(counted(&kit.one, "towpath_share_record_acquisitions_total"), 15);
}

#[tokio::test(start_paused = true)]
async fn what_a_waiting_fetch_accepts_is_stored_with_what_it_gets() {
    let kit = Kit::new().await;
    let accepting = |first, last| ShareFetchRequest {
        acknowledgements: vec![kit.said(0, first, last, Accept)],
        ..waiting(kit.fetch("a", &[0]), 5_000)
    };
    kit.produce_batch(0, 10).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["0-9×1"]);
    kit.writes();
    let later = async {
        pass(40).await;
        kit.produce_batch(0, 5).await;
    };
    let (answer, ()) = tokio::join!(kit.one.delivery.fetch(accepting(0, 9)), later);
    assert_eq!((texts(&answer), answer.acknowledged), (vec!["10-14×1".to_owned()], vec![Ok(())]));
    assert_eq!(kit.writes(), [1]);
    // Nothing comes: it is stored soon all the same.
    let (delivery, request) = (kit.one.delivery.clone(), accepting(10, 14));
    let fetching = meanwhile(async move { delivery.fetch(request).await });
    pass(90).await;
    assert_eq!(kit.stored(0).await.0.start_offset(), Offset(10));
    pass(20).await;
    assert_eq!(kit.stored(0).await.0.start_offset(), Offset(15));
    assert_eq!(kit.writes(), [1]);
    kit.produce_batch(0, 1).await;
    let answer = fetching.await.expect("it ends");
    assert_eq!((texts(&answer), answer.acknowledged), (vec!["15-15×1".to_owned()], vec![Ok(())]));
}

#[tokio::test(start_paused = true)]
async fn what_others_wait_for_or_what_ends_soon_does_not_wait() {
    let kit = Kit::new().await;
    kit.produce_batch(0, 10).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["0-9×1"]);
    // A release is somebody else's at once.
    let waits = meanwhile({
        let (delivery, request) = (kit.one.delivery.clone(), waiting(kit.fetch("b", &[0]), 5_000));
        async move { texts(&delivery.fetch(request).await) }
    });
    pass(10).await;
    let gives_back = ShareFetchRequest {
        acknowledgements: vec![kit.said(0, 0, 4, Release)],
        ..waiting(kit.fetch("a", &[1]), 60_000)
    };
    let began = Instant::now();
    let delivery = kit.one.delivery.clone();
    meanwhile(async move { delivery.fetch(gives_back).await });
    assert_eq!(waits.await.expect("it ends"), ["0-4×2"]);
    assert!(began.elapsed() < Duration::from_millis(50));
    // The lock of these ends in a second: they are accepted now or never.
    pass(29_000).await;
    let accepts = ShareFetchRequest {
        acknowledgements: vec![kit.said(0, 5, 9, Accept)],
        ..waiting(kit.fetch("a", &[1]), 60_000)
    };
    let delivery = kit.one.delivery.clone();
    meanwhile(async move { delivery.fetch(accepts).await });
    pass(10).await;
    assert_eq!(kit.stored(0).await.0.counts().acknowledged, 5);
}

#[tokio::test(start_paused = true)]
async fn a_full_window_waits_for_nobody_unless_records_wait_for_room() {
    let kit = Kit::new().await;
    kit.configure("share.partition.max.record.locks", "100").await;
    kit.produce_batch(0, 100).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[0, 1])).await, ["0-99×1", ""]);
    for (produced, first, stored_at_once) in [(0, 50, false), (50, 60, true)] {
        if produced > 0 {
            kit.produce_batch(0, produced).await;
        }
        // Another partition is waited for: this one's records are none of its business.
        let accepts = ShareFetchRequest {
            acknowledgements: vec![kit.said(0, first, first + 9, Accept)],
            ..waiting(kit.fetch("a", &[1]), 5_000)
        };
        let delivery = kit.one.delivery.clone();
        kit.writes();
        meanwhile(async move { delivery.fetch(accepts).await });
        pass(50).await;
        assert_eq!(!kit.writes().is_empty(), stored_at_once, "{produced} more records");
        pass(100).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_finds_nothing_writes_nothing() {
    let kit = Kit::new().await;
    assert_eq!(kit.one.take(kit.fetch("a", &[0, 1])).await, ["", ""]);
    assert_eq!(kit.one.take(waiting(kit.fetch("a", &[0]), 500)).await, [""]);
    assert!(kit.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn many_partitions_and_many_members_share_a_write() {
    let kit = Kit::new().await;
    for index in 0..8 {
        kit.put(index, &decided(0)).await;
        kit.produce_batch(index, 3).await;
    }
    let all: Vec<i32> = (0..8).collect();
    assert_eq!(kit.one.take(kit.fetch("a", &all)).await, vec!["0-2×1"; 8]);
    assert_eq!(kit.writes(), [8]);
    for index in 0..8 {
        kit.produce_batch(index, 3).await;
    }
    let (b, c) = tokio::join!(kit.one.take(kit.fetch("b", &[0, 1])), kit.one.take(kit.fetch("c", &[2, 3])));
    assert_eq!((b, c), (vec!["3-5×1".to_owned(); 2], vec!["3-5×1".to_owned(); 2]));
    assert_eq!(kit.writes(), [4], "two requests of a round are one write");
}

#[tokio::test(start_paused = true)]
async fn members_share_a_partition_without_getting_anything_twice() {
    let kit = Kit::new().await;
    kit.produce(0, 40).await;
    let request = |member: &str| ShareFetchRequest { records_max: 7, ..kit.fetch(member, &[0]) };
    let requests: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(request).into();
    let answers = futures::future::join_all(requests.into_iter().map(|request| kit.one.delivery.fetch(request))).await;
    let texts: Vec<_> = answers.iter().map(|answer| texts(answer).remove(0)).collect();
    assert_eq!(texts, ["0-6×1", "7-13×1", "14-20×1", "21-27×1", "28-34×1", "35-39×1"]);
    assert_eq!(kit.writes(), [1]);
    for (answer, first) in answers.iter().zip((0..).step_by(7)) {
        assert_eq!(offsets(answer, 0), (first..(first + 7).min(40)).collect::<Vec<_>>(), "cut to what was acquired");
    }
    assert_eq!(kit.say(&kit.one, "a", (0, 7), Accept).await, Err(Condition::InvalidRecordState));
    assert_eq!(kit.say(&kit.one, "b", (7, 13), Accept).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn work_that_comes_during_a_write_is_the_next_write() {
    let kit = Kit::new().await;
    kit.produce(0, 100).await;
    kit.writes_take(50);
    let one = |member: usize| ShareFetchRequest { records_max: 10, ..kit.fetch(&member.to_string(), &[0]) };
    let first = kit.one.delivery.fetch(one(0));
    let rest = async {
        pass(10).await;
        futures::future::join_all((1..10).map(|member| kit.one.delivery.fetch(one(member)))).await
    };
    let (_, rest) = tokio::join!(first, rest);
    assert!(rest.iter().all(|answer| texts(answer) != [""]));
    assert_eq!(kit.writes(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn two_agents_share_a_partition() {
    let kit = Kit::with_two().await;
    kit.produce(0, 100).await;
    kit.two.log.tail.wait_beyond(kit.at(0), Offset(99)).await;
    let mut seen = vec![0; 100];
    for round in 0..10 {
        let request = |member: &str| ShareFetchRequest { records_max: 5, ..kit.fetch(member, &[0]) };
        let (a, b) = tokio::join!(kit.one.delivery.fetch(request("a")), kit.two.delivery.fetch(request("b")));
        for (answer, node, member) in [(a, &kit.one, "a"), (b, &kit.two, "b")] {
            let got = answer.fetched[0].clone().expect("a conflict is nobody's failure");
            assert!(!got.acquired.is_empty(), "round {round}");
            for range in got.acquired {
                assert_eq!(range.delivery_count, 1);
                (range.first.0..=range.last.0).for_each(|offset| seen[usize::try_from(offset).unwrap()] += 1);
                assert_eq!(kit.say(node, member, (range.first.0, range.last.0), Accept).await, Ok(()));
            }
        }
    }
    assert_eq!(seen, vec![1; 100]);
    assert_eq!(kit.stored(0).await.0.start_offset(), Offset(100));
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_reaches_any_agent() {
    let kit = Kit::with_two().await;
    kit.produce(0, 10).await;
    kit.two.log.tail.wait_beyond(kit.at(0), Offset(9)).await;
    assert_eq!(kit.two.take(ShareFetchRequest { records_max: 1, ..kit.fetch("b", &[0]) }).await, ["0-0×1"]);
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["1-9×1"]);
    // The second agent remembers a window of one offset; that must not be held against the member.
    assert_eq!(kit.say(&kit.two, "a", (1, 9), Accept).await, Ok(()));
    assert_eq!(kit.say(&kit.two, "a", (1, 9), Accept).await, Err(Condition::InvalidRecordState));
}

#[tokio::test(start_paused = true)]
async fn lost_answers_are_looked_into() {
    use DocumentMishap::{AnswerLost, RequestLost, Unavailable};
    for mishaps in [&[AnswerLost][..], &[RequestLost], &[RequestLost, AnswerLost], &[Unavailable, Unavailable]] {
        let kit = Kit::new().await;
        kit.produce(0, 10).await;
        kit.mishaps(mishaps);
        assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["0-9×1"], "{mishaps:?}");
        kit.mishaps(mishaps);
        assert_eq!(kit.say(&kit.one, "a", (0, 9), Accept).await, Ok(()), "{mishaps:?}");
        assert_eq!(kit.stored(0).await.0.start_offset(), Offset(10));
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_counts_though_its_answer_is_lost_and_another_agent_wrote_on_top() {
    let kit = Kit::with_two().await;
    kit.produce(0, 10).await;
    kit.two.log.tail.wait_beyond(kit.at(0), Offset(9)).await;
    let five = |member: &str| ShareFetchRequest { records_max: 5, ..kit.fetch(member, &[0]) };
    assert_eq!(kit.one.take(five("a")).await, ["0-4×1"]);
    kit.mishaps(&[DocumentMishap::AnswerLostAfter(Duration::from_millis(50))]);
    let on_top = async {
        pass(10).await;
        kit.two.take(five("b")).await
    };
    let (accepted, taken) = tokio::join!(kit.say(&kit.one, "a", (0, 4), Accept), on_top);
    assert_eq!((accepted, taken), (Ok(()), vec!["5-9×1".to_owned()]));
    // The first agent remembers nothing that the second one has changed.
    assert_eq!(kit.say(&kit.one, "b", (5, 9), Accept).await, Ok(()));
    assert_eq!(kit.stored(0).await.0.start_offset(), Offset(10));
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_stored_is_said_to_be_worth_another_try() {
    let kit = Kit::new().await;
    kit.produce(0, 10).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["0-9×1"]);
    kit.mishaps(&[DocumentMishap::Unavailable; 5]);
    assert_eq!(kit.say(&kit.one, "a", (0, 9), Accept).await, Err(Condition::CoordinatorNotAvailable));
    assert_eq!(kit.say(&kit.one, "a", (0, 9), Accept).await, Ok(()));
    kit.produce(0, 1).await;
    kit.mishaps(&[DocumentMishap::Unavailable; 5]);
    let asked = Instant::now();
    assert_eq!(kit.one.take(waiting(kit.fetch("a", &[0]), 5_000)).await, ["KafkaStorageError"]);
    assert!(asked.elapsed() >= Duration::from_millis(200), "clients that ask again at once do not make a storm");
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["10-10×1"]);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_ends_wakes_who_waits() {
    let kit = Kit::new().await;
    kit.produce(0, 2).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["0-1×1"]);
    let asked = Instant::now();
    assert_eq!(kit.one.take(waiting(kit.fetch("b", &[0]), 60_000)).await, ["0-1×2"]);
    let waited = asked.elapsed();
    assert!((29_900..30_100).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!(kit.say(&kit.one, "a", (0, 1), Accept).await, Err(Condition::InvalidRecordState));
    assert_eq!(counted(&kit.one, "towpath_acquisition_lock_timeout_total"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_produced_or_given_back_wakes_who_waits() {
    let kit = Kit::with_two().await;
    let wait = |node: &crate::coordinator::share::delivery::kit::Node, member: &str| {
        let (delivery, request) = (node.delivery.clone(), waiting(kit.fetch(member, &[0]), 20_000));
        meanwhile(async move {
            let asked = Instant::now();
            (texts(&delivery.fetch(request).await).remove(0), asked.elapsed())
        })
    };
    let (waiter, _) = (wait(&kit.one, "a"), pass(1_000).await);
    kit.produce_batch(0, 2).await;
    let (text, waited) = waiter.await.unwrap();
    assert_eq!(text, "0-1×1");
    assert!(waited < Duration::from_millis(1_100), "{waited:?}");
    let (waiter, _) = (wait(&kit.one, "b"), pass(1_000).await);
    assert_eq!(kit.say(&kit.one, "a", (0, 0), Release).await, Ok(()));
    let (text, waited) = waiter.await.unwrap();
    assert_eq!(text, "0-0×2");
    assert!(waited < Duration::from_millis(1_010), "{waited:?}");
    // At another agent it takes as long as that agent looks around.
    let (waiter, _) = (wait(&kit.two, "c"), pass(1_000).await);
    assert_eq!(kit.say(&kit.one, "a", (1, 1), Release).await, Ok(()));
    let (text, waited) = waiter.await.unwrap();
    assert_eq!(text, "1-1×2");
    assert!(waited < Duration::from_millis(1_300), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn before_nothing_is_said_other_agents_changes_are_seen() {
    let kit = Kit::with_two().await;
    kit.produce(0, 1).await;
    assert_eq!(kit.two.take(kit.fetch("b", &[0])).await, ["0-0×1"]);
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, [""]);
    assert_eq!(kit.say(&kit.two, "b", (0, 0), Release).await, Ok(()));
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["0-0×2"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_gives_back_what_it_holds() {
    let kit = Kit::new().await;
    kit.produce(0, 3).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["0-2×1"]);
    kit.one.delivery.release(group(), "a".into(), vec![kit.at(0), kit.at(1)]);
    let asked = Instant::now();
    assert_eq!(kit.one.take(waiting(kit.fetch("b", &[0]), 5_000)).await, ["0-2×2"]);
    assert!(asked.elapsed() < Duration::from_millis(10));
    assert_eq!(kit.writes().len(), 2, "the release and the acquisition share a round");
}

#[tokio::test(start_paused = true)]
async fn locks_of_an_agent_that_is_over_end_at_once() {
    let kit = Kit::with_two().await;
    let (one, two) = (**kit.one.log.node.load(), **kit.two.log.node.load());
    kit.produce(0, 2).await;
    kit.two.log.tail.wait_beyond(kit.at(0), Offset(1)).await;
    assert_eq!(kit.two.take(kit.fetch("b", &[0])).await, ["0-1×1"]);
    kit.one.sees(&[one]);
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, [""], "the view may be older than the acquisition");
    let (delivery, request) = (kit.one.delivery.clone(), waiting(kit.fetch("a", &[0]), 20_000));
    let waiter = meanwhile(async move { texts(&delivery.fetch(request).await) });
    pass(3_000).await;
    kit.one.sees(&[one]);
    let asked = Instant::now();
    assert_eq!(waiter.await.unwrap(), ["0-1×2"]);
    assert!(asked.elapsed() < Duration::from_millis(300));
    kit.one.sees(&[one, two]);
    assert_eq!(kit.say(&kit.two, "b", (0, 1), Accept).await, Err(Condition::InvalidRecordState));
}

#[tokio::test(start_paused = true)]
async fn what_was_acquired_for_nobody_is_given_back() {
    let kit = Kit::new().await;
    kit.produce(0, 2).await;
    kit.writes_take(100);
    let gone = tokio::time::timeout(Duration::from_millis(50), kit.one.delivery.fetch(kit.fetch("a", &[0]))).await;
    assert!(gone.is_err());
    assert_eq!(kit.one.take(waiting(kit.fetch("b", &[0]), 5_000)).await, ["0-1×2"]);
}

#[tokio::test(start_paused = true)]
async fn records_are_given_up_after_the_last_delivery() {
    let kit = Kit::new().await;
    kit.configure("share.delivery.count.limit", "2").await;
    kit.produce(0, 3).await;
    for count in 1..=2 {
        assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, [format!("0-2×{count}")]);
        assert_eq!(kit.say(&kit.one, "a", (0, 2), Release).await, Ok(()));
    }
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, [""]);
    assert_eq!(kit.stored(0).await.0.start_offset(), Offset(3));
    kit.produce(0, 1).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["3-3×1"]);
    assert_eq!(kit.say(&kit.one, "a", (3, 3), Reject).await, Ok(()));
    assert_eq!(kit.stored(0).await.0.start_offset(), Offset(4));
}

#[tokio::test(start_paused = true)]
async fn limits_of_records_and_bytes_are_kept() {
    let kit = Kit::new().await;
    for _ in 0..4 {
        kit.produce_batch(0, 10).await;
        kit.produce_batch(1, 10).await;
    }
    let strict = |records_max| ShareFetchRequest {
        records_max,
        batch_size: records_max,
        mode: AcquireMode::RecordLimit,
        ..kit.fetch("a", &[0, 1])
    };
    let answer = kit.one.delivery.fetch(strict(3)).await;
    assert_eq!((texts(&answer), offsets(&answer, 0).len()), (vec!["0-2×1".to_owned(), String::new()], 10));
    assert_eq!(kit.one.take(ShareFetchRequest { mode: AcquireMode::BatchOptimized, ..strict(3) }).await, ["3-9×1", ""]);
    // One batch comes however large it is, and from the first partition alone.
    let tiny = ShareFetchRequest { bytes_max: 1, ..kit.fetch("a", &[0, 1]) };
    assert_eq!(kit.one.take(tiny).await, ["10-19×1", ""]);
    let size = 400;
    let half = ShareFetchRequest { bytes_max: size, ..kit.fetch("a", &[1, 0]) };
    let answer = kit.one.delivery.fetch(half).await;
    assert!(answer.fetched.iter().all(|got| !got.as_ref().expect("no failure").acquired.is_empty()), "{answer:?}");
    assert!(offsets(&answer, 0).len() < 40, "bytes are divided between partitions");
    assert_eq!(kit.one.take(ShareFetchRequest { records_max: 0, ..kit.fetch("a", &[0]) }).await, [""]);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_waits_for_as_many_bytes_as_it_wants() {
    let kit = Kit::new().await;
    let (delivery, request) =
        (kit.one.delivery.clone(), ShareFetchRequest { bytes_min: 300, ..waiting(kit.fetch("a", &[0]), 10_000) });
    let waiter = meanwhile(async move { texts(&delivery.fetch(request).await) });
    for _ in 0..20 {
        pass(100).await;
        kit.produce(0, 1).await;
        if waiter.is_finished() {
            break;
        }
    }
    let text = waiter.await.unwrap().remove(0);
    assert!(text.starts_with("0-") && text != "0-0×1", "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_first_fetch_decides_where_a_group_begins() {
    let kit = Kit::new().await;
    kit.produce(2, 5).await;
    kit.produce(3, 5).await;
    kit.put(2, &StoredPartition::Undecided).await;
    kit.put(3, &StoredPartition::Undecided).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[2])).await, [""]);
    assert_eq!(kit.stored(2).await.0.start_offset(), Offset(5), "latest is the default, and stored");
    kit.configure("share.auto.offset.reset", "earliest").await;
    assert_eq!(kit.one.take(kit.fetch("a", &[3])).await, ["0-4×1"]);
    kit.put(4, &StoredPartition::Undecided).await;
    kit.produce(4, 5).await;
    kit.configure("share.auto.offset.reset", "by_duration:PT1H").await;
    assert_eq!(kit.one.take(kit.fetch("a", &[4])).await, ["0-4×1"]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_is_named_by_kafkas_errors() {
    let kit = Kit::new().await;
    let said = |index| kit.said(index, 0, 0, Accept);
    let request = ShareFetchRequest { acknowledgements: vec![said(5), said(100)], ..kit.fetch("a", &[5, 100]) };
    let answer = kit.one.delivery.fetch(request).await;
    assert_eq!(texts(&answer), ["UnknownServerError", "UnknownTopicOrPartition"]);
    let conditions = answer.acknowledged.iter().map(|outcome| outcome.clone().unwrap_err().condition);
    assert_eq!(conditions.collect::<Vec<_>>(), [Condition::UnknownTopicOrPartition; 2]);
    kit.world.metastore.delete_topics(vec![kit.world.topic_id]).await.expect("available")[0].clone().expect("there");
    kit.one.catalog.refresh().await.expect("available");
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["UnknownTopicId"]);
    assert_eq!(kit.say(&kit.one, "a", (0, 0), Accept).await, Err(Condition::UnknownTopicId));
}

#[tokio::test(start_paused = true)]
async fn the_log_start_takes_what_waits_below_it() {
    let kit = Kit::new().await;
    kit.produce(0, 10).await;
    assert_eq!(kit.one.take(ShareFetchRequest { records_max: 2, ..kit.fetch("a", &[0]) }).await, ["0-1×1"]);
    let log_start = LogStartMove { partition: kit.at(0), offset: Some(Offset(5)) };
    kit.world.metastore.move_log_start(vec![log_start]).await.expect("available");
    pass(100).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["5-9×1"]);
    assert_eq!(kit.stored(0).await.0.start_offset(), Offset(5));
}

#[tokio::test(start_paused = true)]
async fn a_paused_group_gets_nothing_until_it_goes_on() {
    let kit = Kit::new().await;
    kit.produce(0, 2).await;
    kit.configure("towpath.share.delivery.paused", "true").await;
    let (delivery, request) = (kit.one.delivery.clone(), waiting(kit.fetch("a", &[0]), 20_000));
    let waiter = meanwhile(async move { texts(&delivery.fetch(request).await) });
    pass(5_000).await;
    assert!(!waiter.is_finished());
    kit.configure("towpath.share.delivery.paused", "false").await;
    pass(300).await;
    assert!(waiter.is_finished());
    assert_eq!(waiter.await.unwrap(), ["0-1×1"]);
}

#[tokio::test(start_paused = true)]
async fn records_that_rest_come_back_after_their_rest() {
    let kit = Kit::new().await;
    kit.configure("towpath.share.redelivery.backoff.ms", "2000").await;
    kit.produce(0, 1).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["0-0×1"]);
    assert_eq!(kit.say(&kit.one, "a", (0, 0), Release).await, Ok(()));
    let asked = Instant::now();
    assert_eq!(kit.one.take(waiting(kit.fetch("a", &[0]), 20_000)).await, ["0-0×2"]);
    assert!((1_990..2_050).contains(&asked.elapsed().as_millis()), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_damaged_object_fails_its_partition_alone_and_slowly() {
    let kit = Kit::with_two().await;
    let value = "long enough to be hit by the damage";
    kit.one.log.append(kit.at(0), &[value]).await.expect("appended");
    kit.world.corrupt_all().await;
    kit.produce(1, 1).await;
    kit.two.log.tail.wait_beyond(kit.at(1), Offset(0)).await;
    let asked = Instant::now();
    assert_eq!(kit.two.take(waiting(kit.fetch("a", &[0]), 5_000)).await, ["CorruptMessage"]);
    assert!(asked.elapsed() >= Duration::from_millis(200));
    assert_eq!(kit.two.take(kit.fetch("a", &[0, 1])).await, ["CorruptMessage", "0-0×1"]);
}

#[tokio::test(start_paused = true)]
async fn slow_reads_do_not_hold_up_acknowledgements() {
    let kit = Kit::with_two().await;
    kit.produce(0, 1).await;
    kit.produce(1, 1).await;
    kit.two.log.tail.wait_beyond(kit.at(1), Offset(0)).await;
    assert_eq!(kit.two.take(kit.fetch("a", &[0])).await, ["0-0×1"]);
    *kit.world.store.get_time.lock().unwrap() = Duration::from_millis(800);
    let fetch = kit.two.take(kit.fetch("b", &[1]));
    let acknowledge = async {
        pass(5).await;
        let asked = Instant::now();
        assert_eq!(kit.say(&kit.two, "a", (0, 0), Accept).await, Ok(()));
        asked.elapsed()
    };
    let (text, waited) = tokio::join!(fetch, acknowledge);
    assert_eq!(text, ["0-0×1"]);
    assert!(waited < Duration::from_millis(30), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn waits_end_when_the_agent_drains_and_sessions_still_give_back() {
    let kit = Kit::new().await;
    kit.produce(1, 1).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[1])).await, ["0-0×1"]);
    let (delivery, request) = (kit.one.delivery.clone(), waiting(kit.fetch("a", &[0]), 60_000));
    let waiter = meanwhile(async move { texts(&delivery.fetch(request).await) });
    pass(10).await;
    let supervisor = kit.one.log.supervisor.clone();
    let (delivery, partition) = (kit.one.delivery.clone(), kit.at(1));
    supervisor.spawn(crate::base::task::TaskKind::Connection, "connection", async move {
        assert_eq!(waiter.await.unwrap(), [""]);
        delivery.release(group(), "a".into(), vec![partition]);
        Ok(())
    });
    let asked = Instant::now();
    supervisor.stop(Duration::from_secs(5)).await;
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert_eq!(kit.stored(1).await.0.counts().available, 1);
}

#[tokio::test(start_paused = true)]
async fn a_partitions_state_can_be_looked_at() {
    let kit = Kit::new().await;
    kit.produce(0, 6).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["0-5×1"]);
    assert_eq!(kit.say(&kit.one, "a", (1, 1), Accept).await, Ok(()));
    assert_eq!(kit.say(&kit.one, "a", (2, 3), Release).await, Ok(()));
    pass(4_000).await;
    let found = kit.one.delivery.inspect(&group(), vec![kit.at(0), kit.at(5)]).await.expect("available");
    let summary = found[0].expect("there");
    assert_eq!((summary.start_offset, summary.end_offset), (Some(Offset(0)), Some(Offset(6))));
    assert_eq!((summary.available, summary.acquired, summary.acknowledged, summary.archived), (2, 3, 1, 0));
    assert_eq!((summary.oldest_acquired_age, found[1]), (Some(Duration::from_secs(4)), None));
    let label = "{group=\"g\",topic=\"events\",partition=\"0\"}";
    assert_eq!(counted(&kit.one, &format!("towpath_in_flight_message_count{label}")), 3);
    assert_eq!(counted(&kit.one, &format!("towpath_share_partition_lag{label}")), 5);
}

#[tokio::test(start_paused = true)]
async fn what_the_administration_changes_is_seen_by_who_waits() {
    let kit = Kit::new().await;
    kit.produce(0, 4).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["0-3×1"]);
    kit.put(0, &decided(2)).await;
    pass(2_000).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["2-3×1"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_becomes_a_dead_letter_in_the_same_step() {
    let kit = Kit::new().await;
    let topic = NewTopic {
        topic_id: TopicId(Uuid::from_u128(99)),
        name: TopicName::new("dlq.g").expect("legal"),
        partition_count: 1,
        replication_factor: 1,
        configs: [("errors.deadletterqueue.group.enable".to_owned(), "true".to_owned())].into(),
    };
    let letters = TopicIdPartition::new(topic.topic_id, PartitionIndex(0));
    kit.world.metastore.create_topics(vec![topic]).await.expect("available")[0].clone().expect("new");
    kit.configure("errors.deadletterqueue.topic.name", "dlq.g").await;
    kit.produce(0, 3).await;
    assert_eq!(kit.one.take(kit.fetch("a", &[0])).await, ["0-2×1"]);
    assert_eq!(kit.writes(), [1]);
    assert_eq!(kit.say(&kit.one, "a", (1, 1), Reject).await, Ok(()));
    assert!(kit.writes().is_empty(), "the document went with the letter");
    assert_eq!(kit.one.log.read(letters, 0).await.len(), 1);
    assert_eq!(kit.stored(0).await.0.counts().archived, 1);
    assert_eq!(kit.say(&kit.one, "a", (0, 0), Accept).await, Ok(()));
    assert_eq!(kit.writes(), [1], "what gives nothing up is written as ever");
}
