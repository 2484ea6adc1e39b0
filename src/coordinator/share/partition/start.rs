//! The log begins later than it did.

use crate::coordinator::share::partition::state::SharePartitionState;
use crate::model::offset::Offset;

/// Moves the start offset up to the start of the log. What lies below is forgotten, whoever holds it: those records are
/// gone, and acknowledgements below the start offset are ignored. Answers whether the state is another one.
pub fn move_log_start(state: &mut SharePartitionState, log_start: Offset) -> bool {
    if log_start <= state.start_offset() {
        return false;
    }
    state.cut_before(log_start);
    state.settle();
    true
}
