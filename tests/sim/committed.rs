//! A simulated consumer that reads what is committed, as Kafka's clients do: by the list of aborted transactions and the
//! markers it comes across. And what such a consumer may not see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use towpath::base::rng::Rng;
use towpath::config::topic::TimestampType;
use towpath::log::fetch::values::{FetchRequest, PartitionFetch};
use towpath::metastore::values::AbortedTransaction;
use towpath::model::error::Condition;
use towpath::model::offset::Offset;
use towpath::model::producer::ProducerId;
use towpath::record::batch::{Batches, RecordBatch};

use crate::checker::Anomaly;
use crate::clients::partition;
use crate::history::{Event, History, Operation, Partition};
use crate::world::World;

/// Follows every partition up to its last stable offset, each time at another agent.
pub(crate) struct SimCommittedConsumer {
    pub(crate) world: Arc<World>,
    pub(crate) rng: Rng,
}

impl SimCommittedConsumer {
    /// Reads until the world says to stop.
    pub(crate) async fn run(self) {
        let mut next: BTreeMap<Partition, i64> = (0..self.world.partitions).map(|index| (index, 0)).collect();
        while !self.world.stopping() {
            self.poll(&mut next).await;
            tokio::time::sleep(self.rng.jitter(Duration::from_millis(150))).await;
        }
    }

    async fn poll(&self, next: &mut BTreeMap<Partition, i64>) {
        let world = &self.world;
        let order: Vec<(Partition, i64)> = next.iter().map(|(index, offset)| (*index, *offset)).collect();
        let fetch = |(index, offset): &(Partition, i64)| PartitionFetch {
            partition: partition(world.topic, *index),
            offset: Offset(*offset),
            bytes_max: 4_000,
            timestamp_type: TimestampType::CreateTime,
        };
        let request = FetchRequest {
            partitions: order.iter().map(fetch).collect(),
            bytes_min: u32::try_from(self.rng.below(2_000)).expect("small"),
            wait_max: Duration::from_millis(self.rng.below(300)),
            bytes_max: 10_000,
            read_committed: true,
        };
        let (called, agent) = (world.moment(), world.any_agent(&self.rng));
        let answer = world.call(&self.rng, agent, move |services| async move { services.reader.fetch(request).await });
        let Some(outcomes) = answer.await else { return };
        for ((index, from), outcome) in order.into_iter().zip(outcomes) {
            match outcome {
                Ok(fetched) => {
                    let (records, until) = committed(fetched.records, &fetched.aborted, from);
                    next.insert(index, until);
                    world.record(called, Operation::ReadCommitted { partition: index, from, until, records });
                }
                Err(failure) => assert!(
                    matches!(
                        failure.condition,
                        Condition::KafkaStorageError | Condition::NotLeaderOrFollower | Condition::CorruptMessage
                    ),
                    "a healthy fetch of partition {index} from {from} was refused: {failure:?}"
                ),
            }
        }
    }
}

/// What a client makes of a fetched run: the records that count, and where it reads on.
fn committed(records: Vec<Bytes>, aborted: &[AbortedTransaction], from: i64) -> (Vec<(i64, u64)>, i64) {
    let mut run = BytesMut::new();
    records.iter().for_each(|slice| run.extend_from_slice(slice));
    let (mut found, mut end) = (Vec::new(), from);
    let (mut coming, mut open) = (aborted.iter().peekable(), BTreeSet::<ProducerId>::new());
    for batch in Batches::new(run.freeze()) {
        let batch = batch.expect("whole batches");
        let header = *batch.header();
        end = header.last_offset().0 + 1;
        while let Some(begun) = coming.next_if(|one| one.first_offset <= header.last_offset()) {
            open.insert(begun.producer_id);
        }
        if header.is_control() {
            if is_abort(&batch) {
                open.remove(&header.producer_id);
            }
        } else if !(header.is_transactional() && open.contains(&header.producer_id)) {
            let body = batch.body(1 << 20).expect("uncompressed");
            let records = batch.records(&body).map(|record| record.expect("readable record"));
            let with_value = records.filter_map(|record| Some((record.offset.0, record.value?.first_chunk::<8>()?)));
            found.extend(with_value.map(|(offset, value)| (offset, u64::from_be_bytes(*value))));
        }
    }
    found.retain(|(offset, _)| *offset >= from);
    (found, end)
}

fn is_abort(marker: &RecordBatch) -> bool {
    let body = marker.body(1 << 20).expect("uncompressed");
    let record = marker.records(&body).next().expect("one record").expect("readable record");
    record.key.expect("a key")[2..4] == [0, 0]
}

/// Whoever reads what is committed gets every record that counts, in order, and no other.
pub(crate) fn check_committed(history: &History, found: &mut BTreeSet<Anomaly>) {
    let ended: Vec<(&Event, Partition, &[i64], i64, bool)> = history.events.iter().filter_map(ended).collect();
    for event in &history.events {
        let Operation::ReadCommitted { partition, from, until, records } = &event.operation else { continue };
        let (partition, mut missing) = (*partition, (*from..*until).collect::<BTreeSet<i64>>());
        let own = || ended.iter().filter(|(_, other, ..)| *other == partition);
        for (offset, _) in records {
            missing.remove(offset);
            if own().any(|(_, _, offsets, _, aborted)| *aborted && offsets.contains(offset)) {
                found.insert(Anomaly::AbortedRead { partition, offset: *offset });
            }
            let is_open = |end: &Event, offsets: &[i64], marker: i64| {
                offsets.first().is_some_and(|first| first <= offset) && *offset < marker && event.returned < end.called
            };
            if own().any(|(end, _, offsets, marker, _)| is_open(end, offsets, *marker)) {
                found.insert(Anomaly::OpenRead { partition, offset: *offset });
            }
        }
        for (_, _, offsets, marker, aborted) in own() {
            missing.remove(marker);
            missing.retain(|offset| !(*aborted && offsets.contains(offset)));
        }
        found.extend(missing.into_iter().map(|offset| Anomaly::CommittedSkipped { partition, offset }));
    }
}

fn ended(event: &Event) -> Option<(&Event, Partition, &[i64], i64, bool)> {
    match &event.operation {
        Operation::TransactionEnded { partition, offsets, marker, aborted } => {
            Some((event, *partition, offsets, *marker, *aborted))
        }
        _ => None,
    }
}
