//! Consumer groups.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::try_join_all;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::Message;

use crate::kit::{PATIENCE, World, send, take, value};

/// Lets both members work until they share the partitions half and half.
async fn settle(members: [&StreamConsumer; 2], partitions: usize) {
    let shared = async {
        loop {
            let counts = members.map(|member| member.assignment().map_or(0, |assigned| assigned.count()));
            if counts == [partitions / 2; 2] {
                break;
            }
            for member in members {
                // Rebalances happen inside; there is no record yet.
                let none = tokio::time::timeout(Duration::from_millis(20), member.recv()).await;
                assert!(none.is_err(), "{none:?}");
            }
        }
    };
    tokio::time::timeout(PATIENCE, shared).await.expect("the members share the partitions");
}

async fn send_all(world: &World, values: &[String]) {
    let producer = world.producer();
    let sends = values.iter().zip((0..4).cycle()).map(|(text, partition)| send(&producer, "work", partition, text));
    try_join_all(sends).await.expect("acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_share_the_partitions_and_their_successor_goes_on_where_they_committed() {
    let world = World::start().await;
    world.create_topic("work", 4, &[]).await;
    let (first, second) = (world.member("crew"), world.member("crew"));
    for member in [&first, &second] {
        member.subscribe(&["work"]).expect("subscribed");
    }
    settle([&first, &second], 4).await;
    let values: Vec<String> = (0..40).map(|index| format!("before {index}")).collect();
    send_all(&world, &values).await;
    // Ten a partition, two partitions a member.
    let (one, other) = tokio::join!(take(&first, 20), take(&second, 20));
    let partitions =
        |taken: &[rdkafka::message::OwnedMessage]| taken.iter().map(Message::partition).collect::<BTreeSet<_>>();
    assert!(partitions(&one).is_disjoint(&partitions(&other)));
    let seen: BTreeSet<&str> = one.iter().chain(&other).map(value).collect();
    assert_eq!(seen, values.iter().map(String::as_str).collect());
    for member in [first, second] {
        member.commit_consumer_state(CommitMode::Sync).expect("committed");
    }

    let values: Vec<String> = (0..12).map(|index| format!("after {index}")).collect();
    send_all(&world, &values).await;
    let successor = world.member("crew");
    successor.subscribe(&["work"]).expect("subscribed");
    let taken = take(&successor, values.len()).await;
    assert_eq!(taken.iter().map(value).collect::<BTreeSet<_>>(), values.iter().map(String::as_str).collect());
    drop(successor);
    world.stop().await;
}
