//! Starting, stopping, starting again; and what operators ask.

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};
use tokio::net::TcpStream;

use crate::kit::{PATIENCE, World, get, send, take, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_over_the_same_folder_keeps_everything() {
    let mut world = World::start().await;
    world.create_topic("kept", 2, &[("max.message.bytes", "2000")]).await;
    let mut commit = TopicPartitionList::new();
    commit.add_partition_offset("kept", 1, Offset::Offset(2)).expect("a partition");
    let mut cluster_id = None;
    for (round, next_offset) in (0..3).zip((0..).step_by(5)) {
        let producer = world.producer();
        let found = producer.client().fetch_cluster_id(PATIENCE);
        assert!(found.is_some());
        assert_eq!(*cluster_id.get_or_insert_with(|| found.clone()), found);
        for offset in next_offset..next_offset + 5 {
            assert_eq!(send(&producer, "kept", 1, &offset.to_string()).await, Ok(offset));
        }
        send(&producer, "kept", 0, &"x".repeat(3_000)).await.expect_err("the topic's limit is kept");
        let reader = world.reader("kept", 1);
        let read = take(&reader, usize::try_from(next_offset).expect("small") + 5).await;
        let expected: Vec<String> = (0..next_offset + 5).map(|offset| offset.to_string()).collect();
        assert_eq!(read.iter().map(value).collect::<Vec<_>>(), expected);
        let metadata = reader.fetch_metadata(Some("kept"), PATIENCE).expect("metadata");
        assert_eq!(metadata.topics()[0].partitions().len(), 2);
        let member = world.member("keeper");
        if round == 0 {
            member.commit(&commit, CommitMode::Sync).expect("committed");
        }
        let committed = member.committed_offsets(commit.clone(), PATIENCE).expect("committed offsets");
        assert_eq!(committed.elements()[0].offset(), Offset::Offset(2), "round {round}");
        drop((producer, reader, member));
        world = world.restart().await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_says_that_it_is_ready_and_what_it_did() {
    let world = World::start().await;
    let http = world.agent.http.expect("an address");
    assert_eq!(send(&world.producer(), "counted", 0, "one").await, Ok(0));
    assert!(get(http, "/livez").await.starts_with("HTTP/1.1 200 "));
    let ready = get(http, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200 ") && ready.contains("\"ready\":true"), "{ready}");
    let metrics = get(http, "/metrics").await;
    let produced = metrics.lines().find(|line| line.contains("request_seconds_count{") && line.contains("\"Produce\""));
    assert!(produced.is_some_and(|line| line.ends_with(" 1")), "{metrics}");
    assert!(get(http, "/nothing").await.starts_with("HTTP/1.1 404 "));
    world.stop().await;
    TcpStream::connect(http).await.expect_err("nobody listens any more");
}
