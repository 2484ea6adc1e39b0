//! Records that are given up although nobody could process them: candidates for the dead letter queue (KIP-1191).

use crate::coordinator::share::partition::run::Run;
use crate::model::offset::Offset;

/// Neighbouring offsets that were archived for one reason. Some may have no record (compaction, control batches).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The first offset.
    pub first: Offset,
    /// The last offset.
    pub last: Offset,
    /// How often they had been delivered.
    pub delivery_count: u16,
    /// Why.
    pub cause: LetterCause,
}

/// Why a record was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterCause {
    /// A member rejected it.
    Rejected,
    /// It had been delivered as often as the limit allows.
    DeliveryLimit,
}

/// Dead letters of one decision, in the order of their offsets.
#[derive(Debug, Default)]
pub(super) struct Letters(Vec<DeadLetter>);

impl Letters {
    /// Adds a run as it was before it was archived.
    pub(super) fn push(&mut self, run: &Run, cause: LetterCause) {
        match self.0.last_mut() {
            Some(letter)
                if letter.last.plus(1) == run.first
                    && letter.delivery_count == run.delivery_count
                    && letter.cause == cause =>
            {
                letter.last = run.last;
            }
            _ => {
                let Run { first, last, delivery_count, .. } = *run;
                self.0.push(DeadLetter { first, last, delivery_count, cause });
            }
        }
    }

    pub(super) fn into_inner(self) -> Vec<DeadLetter> {
        self.0
    }
}
