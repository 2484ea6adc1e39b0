//! The steps that give offsets and take them away.
//!
//! ```text
//! commit ─► at once: one statement ─► done, refused
//!                └► undecided ─► locked: begin, lock and read, decide here, write, commit
//! ```

use std::collections::{BTreeMap, VecDeque};

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::base::clock::Timestamp;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::postgres::batch_index::ids;
use crate::metastore::postgres::convert::{column, only, signed, unsigned_column};
use crate::metastore::postgres::error::{Effect, Failure};
use crate::metastore::postgres::handle::PostgresMetastore;
use crate::metastore::postgres::plan::{CommitPlan, DocumentColumns, assume_accepted, from_decided};
use crate::metastore::postgres::pool::settle;
use crate::metastore::postgres::state_store::conflict_at;
use crate::metastore::postgres::step::{StepColumns, StepRange, decode, encode, receipt};
use crate::metastore::sequencing::{
    PartitionHead, ProducerState, REMEMBERED_BATCHES, RememberedBatch, refusal_of, sequence_range,
};
use crate::metastore::values::{CommitObject, CommitReceipt, LogStartMove, LogStartReceipt};
use crate::model::object::ObjectKey;
use crate::model::offset::Offset;
use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
use crate::model::topic::TopicIdPartition;

const COMMIT: &str = "SELECT outcome, conflict, committed_at, log_starts, high_watermarks, byte_sizes, append_times \
     FROM commit_object($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
     $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33)";

/// Begins every transaction that will add a step: while it is open, the feed does not pass it by.
const ANNOUNCE: &str = "LOCK TABLE steps IN ROW EXCLUSIVE MODE";

/// How many extents one transaction drops: few enough that a commit waits for it no longer than for another.
const DROPPED_MAX: i32 = 5_000;

/// What `commit_object` answers.
enum Outcome {
    Done(StepColumns),
    /// An earlier try went through; this is what it did.
    DoneBefore(CommitReceipt),
    Undecided,
}

impl PostgresMetastore {
    /// Commits an object, and wakes those who follow the feed.
    pub(super) async fn commit(&self, commit: &CommitObject) -> Result<CommitReceipt> {
        if let Some(twice) = commit.ranges.windows(2).find(|pair| pair[0].partition >= pair[1].partition) {
            let reason = format!("the ranges of {} are not in order at {}", commit.object, twice[1].partition);
            return Err(MetastoreError::Unavailable(reason));
        }
        let mut attempts = self.database.attempts();
        loop {
            match self.try_commit(commit).await {
                Ok(receipt) => {
                    self.bell.ring();
                    return Ok(receipt);
                }
                Err(failure) => attempts.after(failure).await?,
            }
        }
    }

    async fn try_commit(&self, commit: &CommitObject) -> std::result::Result<CommitReceipt, Failure> {
        if let Some(plan) = assume_accepted(commit) {
            let documents = DocumentColumns::new(&commit.documents);
            let object = (commit.object.as_str(), signed(commit.byte_size));
            let parameters = parameters(commit, &object, &plan, &documents, &false, &None);
            let rows = self.database.try_query(Effect::Write, COMMIT, &parameters).await?;
            match self.outcome(commit, only(&rows)?).await? {
                Outcome::Done(columns) => return Ok(receipt(&commit.object, plan.ranges, &columns)?),
                Outcome::DoneBefore(receipt) => return Ok(receipt),
                Outcome::Undecided => {}
            }
        }
        self.commit_locked(commit).await
    }

    /// Reads under locks, decides, writes: one transaction, several round trips.
    async fn commit_locked(&self, commit: &CommitObject) -> std::result::Result<CommitReceipt, Failure> {
        let mut client = self.database.client().await?;
        let mut committing = false;
        let answer = self.database.within(async {
            let failure = |error| Failure::of(Effect::Read, &error);
            let transaction = client.transaction().await.map_err(failure)?;
            transaction.batch_execute(ANNOUNCE).await.map_err(failure)?;
            let (plan, now) = decide(&transaction, commit).await?;
            let documents = DocumentColumns::new(&commit.documents);
            let (object, now) = ((commit.object.as_str(), signed(commit.byte_size)), Some(now));
            let parameters = parameters(commit, &object, &plan, &documents, &true, &now);
            let statement = transaction.prepare_cached(COMMIT).await.map_err(failure)?;
            let row = transaction.query_one(&statement, &parameters).await.map_err(failure)?;
            // Asked only now, since an earlier try, a fence, a tombstone and a conflict come first. The transaction
            // ends with this future, uncommitted.
            if let (0, Some(refusal)) = (column::<i32>(&row, 0)?, refusal_of_all(commit, &plan)) {
                return Err(Failure::Final(refusal));
            }
            committing = true;
            transaction.commit().await.map_err(|error| Failure::of(Effect::Write, &error))?;
            Ok((plan, row))
        });
        let answer = answer.await;
        let effect = if committing { Effect::Write } else { Effect::Read };
        let (plan, row) = settle(client, effect, answer)?;
        match self.outcome(commit, &row).await? {
            Outcome::Done(columns) => Ok(receipt(&commit.object, plan.ranges, &columns)?),
            Outcome::DoneBefore(receipt) => Ok(receipt),
            Outcome::Undecided => Err(Failure::Retry("a topic was deleted at the same time".to_owned())),
        }
    }

    /// Reads what `commit_object` answered.
    async fn outcome(&self, commit: &CommitObject, row: &Row) -> std::result::Result<Outcome, Failure> {
        let refusal = match column::<i32>(row, 0)? {
            0 => return Ok(Outcome::Done(step_columns(row, 2)?)),
            1 => self.fenced(commit.node).await,
            2 => MetastoreError::Tombstoned { key: commit.object.clone() },
            3 => conflict_at(&commit.documents, column(row, 1)?),
            5 => return Ok(Outcome::Undecided),
            // Committed before. The function may have seen the object without its step (6): then another try was
            // committed between two of its statements, and the step is there by now.
            _ => match self.stored_receipt(&commit.object).await? {
                Some(receipt) => return Ok(Outcome::DoneBefore(receipt)),
                None => receipt_is_gone(&commit.object),
            },
        };
        Err(Failure::Final(refusal))
    }

    /// The receipt of a commit, as long as it is kept.
    pub(super) async fn stored_receipt(&self, object: &ObjectKey) -> Result<Option<CommitReceipt>> {
        let statement = "SELECT body, committed_at, log_starts, high_watermarks, byte_sizes, append_times \
                         FROM steps WHERE object_key = $1";
        let rows = self.database.query(Effect::Read, statement, &[&object.as_str()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(receipt(object, decode(column(row, 0)?)?, &step_columns(row, 1)?)?))
    }

    /// Moves log starts, as many extents at a time as one short transaction can drop.
    pub(super) async fn move_log_starts(&self, moves: &[LogStartMove]) -> Result<Vec<LogStartReceipt>> {
        if moves.is_empty() {
            return Ok(Vec::new());
        }
        let mut attempts = self.database.attempts();
        loop {
            match self.try_move_log_starts(moves).await {
                Ok((receipts, more)) => {
                    self.bell.ring();
                    if !more {
                        return Ok(receipts);
                    }
                    // That was progress: what is left has its own budget of attempts.
                    attempts = self.database.attempts();
                }
                Err(failure) => attempts.after(failure).await?,
            }
        }
    }

    /// One transaction's worth; the second answer says that there is more to do.
    async fn try_move_log_starts(
        &self,
        moves: &[LogStartMove],
    ) -> std::result::Result<(Vec<LogStartReceipt>, bool), Failure> {
        let mut client = self.database.client().await?;
        let mut committing = false;
        let answer = self.database.within(async {
            let failure = |error| Failure::of(Effect::Read, &error);
            let transaction = client.transaction().await.map_err(failure)?;
            transaction.batch_execute(ANNOUNCE).await.map_err(failure)?;
            let moved = move_each(&transaction, moves).await?;
            committing = true;
            transaction.commit().await.map_err(|error| Failure::of(Effect::Write, &error))?;
            Ok(moved)
        });
        let answer = answer.await;
        settle(client, if committing { Effect::Write } else { Effect::Read }, answer)
    }
}

/// Why a commit that is all or nothing comes to nothing.
fn refusal_of_all(commit: &CommitObject, plan: &CommitPlan) -> Option<MetastoreError> {
    let mut ranges = plan.ranges.iter().filter(|_| commit.all_or_nothing);
    ranges.find_map(|range| refusal_of(range.partition, &range.batches))
}

fn receipt_is_gone(object: &ObjectKey) -> MetastoreError {
    MetastoreError::Unknown(format!("object {object} was committed so long ago that its receipt is gone"))
}

/// The parameters of [`COMMIT`], in its order.
fn parameters<'a>(
    commit: &'a CommitObject,
    (key, byte_size): &'a (&'a str, i64),
    plan: &'a CommitPlan,
    documents: &'a DocumentColumns<'a>,
    decided: &'a bool,
    now: &'a Option<i64>,
) -> [&'a (dyn ToSql + Sync); 33] {
    let CommitPlan { extents, claims, .. } = plan;
    [
        &commit.node.node_id.0,
        &commit.node.node_epoch.0,
        key,
        byte_size,
        &plan.body,
        decided,
        now,
        &plan.topic_ids,
        &plan.partitions,
        &plan.records,
        &plan.bytes,
        &plan.maxima,
        &extents.range,
        &extents.base,
        &extents.last,
        &extents.position,
        &extents.length,
        &extents.crc,
        &extents.max_timestamp,
        &extents.running,
        &claims.range,
        &claims.producer,
        &claims.first_epoch,
        &claims.first_sequence,
        &claims.epoch,
        &claims.next_sequence,
        &claims.records,
        &claims.batches,
        &documents.kinds,
        &documents.names,
        &documents.expects,
        &documents.changes,
        &documents.bodies,
    ]
}

fn step_columns(row: &Row, first: usize) -> Result<StepColumns> {
    Ok(StepColumns {
        committed_at: column(row, first)?,
        log_starts: column(row, first + 1)?,
        high_watermarks: column(row, first + 2)?,
        byte_sizes: column(row, first + 3)?,
        append_times: column(row, first + 4)?,
    })
}

/// Locks the commit's partitions and decides, batch by batch, what becomes of it. Also answers the time of the step.
async fn decide(
    transaction: &Transaction<'_>,
    commit: &CommitObject,
) -> std::result::Result<(CommitPlan, i64), Failure> {
    let failure = |error| Failure::of(Effect::Read, &error);
    let lock = "SELECT r.n, p.partition_id, p.log_start_offset, p.high_watermark, p.byte_size, p.append_time \
                FROM unnest($1::uuid[], $2::integer[]) WITH ORDINALITY r(topic_id, partition, n) \
                JOIN partitions p ON p.topic_id = r.topic_id AND p.partition = r.partition \
                ORDER BY p.topic_id, p.partition FOR NO KEY UPDATE OF p";
    let (topic_ids, partitions) = ids(commit.ranges.iter().map(|range| range.partition));
    let statement = transaction.prepare_cached(lock).await.map_err(failure)?;
    let rows = transaction.query(&statement, &[&topic_ids, &partitions]).await.map_err(failure)?;
    let mut heads: BTreeMap<usize, (i64, PartitionHead)> = BTreeMap::new();
    for row in &rows {
        let head = PartitionHead {
            log_start_offset: Offset(column(row, 2)?),
            high_watermark: Offset(column(row, 3)?),
            byte_size: unsigned_column(row, 4)?,
            append_time: Timestamp(column(row, 5)?),
        };
        heads.insert(unsigned_column::<usize>(row, 0)?.wrapping_sub(1), (column(row, 1)?, head));
    }
    // Read after the locks are held: what is found can not change any more, and the time is not behind an
    // earlier step's.
    let (now, mut producers) = read_producers(transaction, commit, &heads).await?;
    let mut decided = Vec::with_capacity(commit.ranges.len());
    for (index, range) in commit.ranges.iter().enumerate() {
        let Some((_, head)) = heads.get(&index) else {
            decided.push(((range, None), Offset(0)));
            continue;
        };
        let known = producers.entry(index).or_default();
        let sequenced = sequence_range(*head, known, &commit.object, range, Timestamp(now));
        decided.push(((range, Some(sequenced)), head.high_watermark));
    }
    Ok((from_decided(decided), now))
}

type Producers = BTreeMap<usize, BTreeMap<ProducerId, ProducerState>>;

/// What the locked partitions remember of the producers in the commit, and the time.
async fn read_producers(
    transaction: &Transaction<'_>,
    commit: &CommitObject,
    heads: &BTreeMap<usize, (i64, PartitionHead)>,
) -> std::result::Result<(i64, Producers), Failure> {
    let failure = |error| Failure::of(Effect::Read, &error);
    let (mut places, mut partition_ids, mut producer_ids) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (partition_id, _)) in heads {
        let batches = commit.ranges.get(*index).map(|range| range.batches.as_slice()).unwrap_or_default();
        let mut of_range: Vec<_> = batches.iter().filter_map(|batch| Some(batch.producer?.producer_id.0)).collect();
        of_range.sort_unstable();
        of_range.dedup();
        for producer_id in of_range {
            places.push(signed(*index as u64));
            partition_ids.push(*partition_id);
            producer_ids.push(producer_id);
        }
    }
    let read = "SELECT now_ms(), r.place, s.producer_id, s.producer_epoch, s.record_count, s.last_write, s.batches \
                FROM (SELECT 1) one LEFT JOIN (unnest($1::bigint[], $2::bigint[], $3::bigint[]) \
                  r(place, partition_id, producer_id) JOIN producers s \
                  ON s.partition_id = r.partition_id AND s.producer_id = r.producer_id) ON true";
    let statement = transaction.prepare_cached(read).await.map_err(failure)?;
    let rows = transaction.query(&statement, &[&places, &partition_ids, &producer_ids]).await.map_err(failure)?;
    let mut producers = Producers::new();
    for row in &rows {
        let Some(place) = column::<Option<i64>>(row, 1)? else { continue };
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        producers.entry(place).or_default().insert(ProducerId(column(row, 2)?), producer_state(row, 3)?);
    }
    Ok((column(only(&rows)?, 0)?, producers))
}

/// A producer's state from its epoch, record count, last write and batches.
fn producer_state(row: &Row, first: usize) -> Result<ProducerState> {
    let mut batches: VecDeque<RememberedBatch> = VecDeque::new();
    for group in column::<Vec<&[u8]>>(row, first + 3)? {
        let (base, append_time) = (number(group, 0)?, number(group, 8)?);
        for batch in group.get(16..).unwrap_or_default().chunks(16) {
            let sequences = number(batch, 0)?;
            batches.push_back(RememberedBatch {
                // The upper half is the first sequence, the lower half the last.
                base_sequence: Sequence((sequences >> 32) as i32),
                last_sequence: Sequence(sequences as i32),
                base_offset: Offset(base.saturating_add(number(batch, 8)?)),
                append_time: Timestamp(append_time),
            });
        }
    }
    batches.drain(..batches.len().saturating_sub(REMEMBERED_BATCHES));
    Ok(ProducerState {
        producer_epoch: ProducerEpoch(column(row, first)?),
        forgotten_records: forgotten_after(unsigned_column(row, first + 1)?, &batches),
        batches,
        last_write: Timestamp(column(row, first + 2)?),
    })
}

/// How many of an epoch's records came before those that are remembered.
fn forgotten_after(written: u64, remembered: &VecDeque<RememberedBatch>) -> u32 {
    let span = |batch: &RememberedBatch| {
        let steps = (i64::from(batch.last_sequence.0) - i64::from(batch.base_sequence.0)) & i64::from(i32::MAX);
        steps.unsigned_abs() + 1
    };
    let forgotten = written.saturating_sub(remembered.iter().map(span).sum());
    // More would reach around into the sequences that are still to come.
    u32::try_from(forgotten.min(1 << 30)).unwrap_or(1 << 30)
}

fn number(bytes: &[u8], at: usize) -> Result<i64> {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
    bytes
        .map(|chunk| i64::from_be_bytes(*chunk))
        .ok_or_else(|| MetastoreError::Unreadable("what a partition remembers of a producer is cut short".to_owned()))
}

/// Moves each log start in turn, all of their partitions locked in order before the first.
async fn move_each(
    transaction: &Transaction<'_>,
    moves: &[LogStartMove],
) -> std::result::Result<(Vec<LogStartReceipt>, bool), Failure> {
    let failure = |error| Failure::of(Effect::Read, &error);
    let lock = "SELECT 1 FROM unnest($1::uuid[], $2::integer[]) r(topic_id, partition) \
                JOIN partitions p ON p.topic_id = r.topic_id AND p.partition = r.partition \
                ORDER BY p.topic_id, p.partition FOR NO KEY UPDATE OF p";
    let (topic_ids, partitions) = ids(moves.iter().map(|one| one.partition));
    let statement = transaction.prepare_cached(lock).await.map_err(failure)?;
    transaction.query(&statement, &[&topic_ids, &partitions]).await.map_err(failure)?;
    let step = "SELECT outcome, more, dropped, log_start, high, size FROM move_log_start($1, $2, $3, $4)";
    let statement = transaction.prepare_cached(step).await.map_err(failure)?;
    let (mut receipts, mut more, mut left) = (Vec::with_capacity(moves.len()), false, DROPPED_MAX);
    let mut moved = Moved::default();
    for LogStartMove { partition, offset } in moves {
        if left == 0 {
            more = true;
            break;
        }
        let wanted = offset.map(|offset| offset.0);
        let (topic_id, index) = (partition.topic_id.0, partition.partition.0);
        let row = transaction.query_one(&statement, &[&topic_id, &index, &wanted, &left]).await.map_err(failure)?;
        let outcome: i32 = column(&row, 0)?;
        receipts.push(match outcome {
            0 | 1 => LogStartReceipt::At(Offset(column(&row, 3)?)),
            2 => LogStartReceipt::OutOfRange,
            _ => LogStartReceipt::UnknownPartition,
        });
        if outcome == 1 {
            moved.push(*partition, &row)?;
        }
        let dropped: i64 = column(&row, 2)?;
        left = left.saturating_sub(i32::try_from(dropped).unwrap_or(left));
        if column(&row, 1)? {
            more = true;
            break;
        }
    }
    moved.note(transaction).await?;
    Ok((receipts, more))
}

/// Partitions whose bounds moved, as columns.
#[derive(Default)]
struct Moved {
    ranges: Vec<StepRange>,
    topic_ids: Vec<uuid::Uuid>,
    partitions: Vec<i32>,
    log_starts: Vec<i64>,
    highs: Vec<i64>,
    sizes: Vec<i64>,
}

impl Moved {
    fn push(&mut self, partition: TopicIdPartition, row: &Row) -> Result<()> {
        // In the columns known ranges stand by partition: keep them so, the later of two of one partition last.
        let at = self.ranges.partition_point(|range| range.partition <= partition);
        self.ranges.insert(at, StepRange { partition, known: true, batches: Vec::new(), extents: Vec::new() });
        self.topic_ids.insert(at, partition.topic_id.0);
        self.partitions.insert(at, partition.partition.0);
        self.log_starts.insert(at, column(row, 3)?);
        self.highs.insert(at, column(row, 4)?);
        self.sizes.insert(at, column(row, 5)?);
        Ok(())
    }

    /// Puts them into the feed.
    async fn note(self, transaction: &Transaction<'_>) -> std::result::Result<(), Failure> {
        if self.ranges.is_empty() {
            return Ok(());
        }
        let failure = |error| Failure::of(Effect::Read, &error);
        let note = "SELECT bounds_moved($1, $2, $3, $4, $5, $6)";
        let statement = transaction.prepare_cached(note).await.map_err(failure)?;
        let body = encode(&self.ranges);
        let parameters: [&(dyn ToSql + Sync); 6] =
            [&self.topic_ids, &self.partitions, &self.log_starts, &self.highs, &self.sizes, &body];
        transaction.query(&statement, &parameters).await.map_err(failure)?;
        Ok(())
    }
}
