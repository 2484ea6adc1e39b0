//! What clients did and saw, in one list, whoever ran it: the simulation or real clients.

use std::collections::BTreeSet;

use towpath::coordinator::share::values::AcknowledgeType;

/// A partition, as a small number; the runner knows which one it means.
pub(crate) type Partition = u32;
/// A moment on the history's own clock; only order matters.
pub(crate) type Moment = u64;

/// A record as a member of a share group got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) offset: i64,
    /// None of a marker, which nobody should get.
    pub(crate) value: Option<u64>,
    pub(crate) count: u16,
}

/// What became of an acknowledgement in a share group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It counts.
    Done,
    /// It does not, for certain.
    Refused,
    /// The member does not know.
    Unknown,
}

/// How a client's send ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendOutcome {
    /// Acknowledged at this offset.
    Acked(i64),
    /// Refused for certain: it must never be seen.
    Failed,
    /// The client does not know.
    Unknown,
}

/// One thing a client did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A producer sent one record with a value that nobody else sends.
    Send { producer: u32, partition: Partition, value: u64, outcome: SendOutcome },
    /// A consumer read from an offset on and got these records; it asks on where it stopped. With
    /// `claims_end` the whole answer was empty: the agent said that there is nothing to read.
    Read {
        consumer: u32,
        partition: Partition,
        from: i64,
        records: Vec<(i64, u64)>,
        high_watermark: i64,
        claims_end: bool,
    },
    /// A consumer of what is committed read from an offset on, got these records, and reads on from `until`.
    ReadCommitted { partition: Partition, from: i64, until: i64, records: Vec<(i64, u64)> },
    /// Somebody asked for the end of a partition.
    End { partition: Partition, high_watermark: i64 },
    /// A group committed an offset.
    Commit { group: u32, partition: Partition, offset: i64, acked: bool },
    /// A group asked for its committed offset (−1: none).
    Committed { group: u32, partition: Partition, offset: i64 },
    /// A member of the share group got these records through an agent.
    ShareDelivered { member: u32, agent: usize, partition: Partition, records: Vec<Delivery> },
    /// A member said what became of records that it had.
    ShareAcknowledged { member: u32, partition: Partition, verdicts: Vec<(i64, AcknowledgeType)>, outcome: Verdict },
    /// A member's session on an agent may have ended.
    ShareLeft { member: u32, agent: usize },
    /// The share group came to the end of a partition's log.
    ShareEmptied { partition: Partition, end: i64 },
    /// There is a dead letter of this record.
    ShareLetter { partition: Partition, offset: i64 },
    /// A transaction ended in a partition: the offsets that it wrote there, its marker's, and whether it was aborted.
    TransactionEnded { partition: Partition, offsets: Vec<i64>, marker: i64, aborted: bool },
    /// Something bad happened to an agent, or (`began` is false) it is over.
    Trouble { agent: usize, began: bool },
    /// The last read of a partition from its beginning to its end, after all faults ended.
    Final { partition: Partition, records: Vec<(i64, u64)> },
}

/// An operation with the moments of its call and its return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) called: Moment,
    pub(crate) returned: Moment,
    pub(crate) operation: Operation,
}

/// Events in the order of their return.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) events: Vec<Event>,
    /// The last moment that was handed out.
    pub(crate) clock: Moment,
    /// Whether producers are idempotent: only then a value at two offsets is an anomaly.
    pub(crate) idempotent: bool,
}

impl History {
    /// Where markers of transactions are: offsets that nobody reads a record at.
    pub(crate) fn markers(&self) -> BTreeSet<(Partition, i64)> {
        let marker = |event: &Event| match event.operation {
            Operation::TransactionEnded { partition, marker, .. } => Some((partition, marker)),
            _ => None,
        };
        self.events.iter().filter_map(marker).collect()
    }

    pub(crate) fn push(&mut self, called: Moment, returned: Moment, operation: Operation) {
        self.events.push(Event { called, returned, operation });
    }
}
