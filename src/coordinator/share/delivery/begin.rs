//! Where a group begins to read a partition that nobody of it has read yet (`share.auto.offset.reset`).

use std::collections::BTreeMap;

use crate::config::share_group::ShareOffsetReset;
use crate::coordinator::share::delivery::context::Context;
use crate::coordinator::share::delivery::topics::without_topic;
use crate::coordinator::share::delivery::work::WantedPartition;
use crate::log::offsets::{OffsetQuery, OffsetSpec};
use crate::model::error::Failure;
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;

/// Asks the metastore where each partition begins. The answer decides once it is stored.
pub(super) async fn find_starts(
    context: &Context,
    reset: ShareOffsetReset,
    wanted: &[WantedPartition],
) -> BTreeMap<TopicIdPartition, Result<Offset, Failure>> {
    let spec = match reset {
        ShareOffsetReset::Latest => OffsetSpec::Latest,
        ShareOffsetReset::Earliest => OffsetSpec::Earliest,
        ShareOffsetReset::ByDuration(duration) => OffsetSpec::AtOrAfter(context.time.now().minus(duration)),
    };
    let mut starts = ask(context, spec, wanted).await;
    // Nothing is that young: what comes next will be.
    let is_late = |wanted: &&WantedPartition| starts.get(&wanted.partition) == Some(&Ok(Offset::NONE));
    let late: Vec<WantedPartition> = wanted.iter().filter(is_late).copied().collect();
    if !late.is_empty() {
        starts.extend(ask(context, OffsetSpec::Latest, &late).await);
    }
    starts
}

async fn ask(
    context: &Context,
    spec: OffsetSpec,
    wanted: &[WantedPartition],
) -> BTreeMap<TopicIdPartition, Result<Offset, Failure>> {
    // A group begins at the high watermark also when it reads only what is committed, as in Kafka.
    let query = |wanted: &WantedPartition| OffsetQuery {
        partition: wanted.partition,
        spec,
        timestamp_type: wanted.timestamp_type,
        read_committed: false,
    };
    let found = context.parts.offsets.find(wanted.iter().map(query).collect()).await;
    let start = |found: Result<crate::log::offsets::FoundOffset, Failure>| {
        found.map(|found| found.offset).map_err(without_topic)
    };
    wanted.iter().map(|wanted| wanted.partition).zip(found.into_iter().map(start)).collect()
}
