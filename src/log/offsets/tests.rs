use super::*;
use crate::config::log::LogSettings;
use crate::log::kit::{Agent, START, World};
use crate::metastore::batch_index::BatchIndex;
use crate::metastore::values::LogStartMove;
use crate::record::build::{BatchBuilder, BatchShape};
use crate::record::decompress::Compression;

/// Offsets 0–8: three batches, two of them in one object, with times out of order.
const TIMES: [&[i64]; 3] = [&[10, 30, 20], &[5, 25, 60], &[40, 60, 50]];

async fn filled(world: &World) -> Agent {
    let agent = world.agent(1, LogSettings::default()).await;
    let compressions = [Compression::None, Compression::Lz4, Compression::Gzip];
    let mut appends = Vec::new();
    for (times, compression) in TIMES.iter().zip(compressions) {
        let mut builder = BatchBuilder::new(BatchShape { compression, ..BatchShape::default() });
        for time in *times {
            builder.push_value(Timestamp(*time), b"value");
        }
        appends.push(agent.append_batch(world.partition(0), builder.build().expect("builds")));
        if appends.len() == 2 {
            futures::future::join_all(appends.drain(..)).await;
        }
    }
    futures::future::join_all(appends).await;
    agent
}

async fn check(agent: &Agent, world: &World, spec: OffsetSpec, expected: (i64, i64)) {
    let query = OffsetQuery {
        partition: world.partition(0),
        spec,
        timestamp_type: TimestampType::CreateTime,
        read_committed: false,
    };
    let found = agent.offsets.find(vec![query]).await.remove(0).expect("found");
    assert_eq!((found.offset.0, found.timestamp.0), expected, "{spec:?}");
}

#[tokio::test(start_paused = true)]
async fn offsets_are_found_by_every_specification() {
    let world = World::new().await;
    let agent = filled(&world).await;
    check(&agent, &world, OffsetSpec::Earliest, (0, -1)).await;
    check(&agent, &world, OffsetSpec::Latest, (9, -1)).await;
    check(&agent, &world, OffsetSpec::MaxTimestamp, (5, 60)).await;
    for (time, expected) in
        [(0, (0, 10)), (10, (0, 10)), (11, (1, 30)), (30, (1, 30)), (31, (5, 60)), (60, (5, 60)), (61, (-1, -1))]
    {
        check(&agent, &world, OffsetSpec::AtOrAfter(Timestamp(time)), expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn records_before_the_log_start_are_not_found() {
    let world = World::new().await;
    let agent = filled(&world).await;
    let trim = LogStartMove { partition: world.partition(0), offset: Some(Offset(6)) };
    world.metastore.move_log_start(vec![trim]).await.expect("available");
    check(&agent, &world, OffsetSpec::Earliest, (6, -1)).await;
    check(&agent, &world, OffsetSpec::AtOrAfter(Timestamp(10)), (6, 40)).await;
    check(&agent, &world, OffsetSpec::AtOrAfter(Timestamp(45)), (7, 60)).await;
    // In the middle of an extent.
    let world = World::new().await;
    let agent = filled(&world).await;
    let trim = LogStartMove { partition: world.partition(0), offset: Some(Offset(4)) };
    world.metastore.move_log_start(vec![trim]).await.expect("available");
    check(&agent, &world, OffsetSpec::AtOrAfter(Timestamp(10)), (4, 25)).await;
    check(&agent, &world, OffsetSpec::AtOrAfter(Timestamp(26)), (5, 60)).await;
}

#[tokio::test(start_paused = true)]
async fn append_time_is_found_from_the_index_alone() {
    let world = World::new().await;
    let agent = filled(&world).await;
    let query = |spec| OffsetQuery {
        partition: world.partition(0),
        spec,
        timestamp_type: TimestampType::LogAppendTime,
        read_committed: true,
    };
    let queries = vec![
        query(OffsetSpec::AtOrAfter(START)),
        query(OffsetSpec::MaxTimestamp),
        query(OffsetSpec::AtOrAfter(Timestamp(START.0 + 1_000_000))),
        OffsetQuery { partition: world.partition(99), ..query(OffsetSpec::Latest) },
        OffsetQuery { partition: world.partition(1), ..query(OffsetSpec::MaxTimestamp) },
    ];
    let found = agent.offsets.find(queries).await;
    let offsets: Vec<_> = found.iter().map(|found| found.as_ref().map(|found| found.offset.0)).collect();
    assert_eq!((offsets[0], offsets[1], offsets[2], offsets[4]), (Ok(0), Ok(6), Ok(-1), Ok(-1)));
    let failure = found[3].as_ref().expect_err("unknown");
    assert_eq!(failure.condition, Condition::UnknownTopicOrPartition);
    assert_eq!(agent.gets(), 0);
}
