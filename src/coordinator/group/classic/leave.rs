//! LeaveGroup.

use crate::coordinator::group::classic::state::{ClassicGroup, Turn};
use crate::coordinator::group::values::{GroupState, Leaving};
use crate::model::error::Condition;

impl ClassicGroup {
    /// Removes members, each for itself, and rebalances once for all of them.
    pub fn leave(&mut self, members: &[Leaving], turn: &mut Turn<'_>) -> Vec<Result<(), Condition>> {
        let results: Vec<_> = members.iter().map(|leaving| self.remove_leaving(leaving, turn)).collect();
        if results.iter().any(Result::is_ok) {
            match self.state {
                GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(turn),
                GroupState::PreparingRebalance => self.maybe_complete_join(turn),
                GroupState::Empty | GroupState::Dead => {}
            }
        }
        results
    }

    fn remove_leaving(&mut self, leaving: &Leaving, turn: &mut Turn<'_>) -> Result<(), Condition> {
        let holder = leaving.instance_id.as_ref().and_then(|instance_id| self.static_members.get(instance_id));
        if leaving.member_id.as_str().is_empty() {
            // An administrator removes a static member by its instance id alone.
            let holder = holder.cloned().ok_or(Condition::UnknownMemberId)?;
            self.remove_member(&holder, turn);
            return Ok(());
        }
        if self.pending_join.remove(&leaving.member_id).is_some() {
            return Ok(());
        }
        self.validate_member(&leaving.member_id, leaving.instance_id.as_ref())?;
        self.remove_member(&leaving.member_id, turn);
        Ok(())
    }
}
