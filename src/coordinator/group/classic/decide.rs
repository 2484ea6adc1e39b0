//! One event at a time.

use crate::config::coordinators::CoordinatorSettings;
use crate::coordinator::group::classic::state::{ClassicGroup, Turn};
use crate::coordinator::group::values::{Answer, Effects, Event, Now};

/// What an event makes of a group.
#[must_use]
pub fn decide(
    mut group: ClassicGroup,
    event: Event,
    now: Now,
    settings: &CoordinatorSettings,
) -> (ClassicGroup, Effects) {
    let mut turn = Turn { now, settings, effects: Effects::default() };
    match event {
        Event::Join { ticket, request, fresh } => group.join(ticket, request, fresh, &mut turn),
        Event::Sync { ticket, request } => group.sync(ticket, request, &mut turn),
        Event::Heartbeat { ticket, claim } => {
            let answer = Answer::Heartbeat(group.heartbeat(&claim, &turn));
            turn.effects.answers.push((ticket, answer));
        }
        Event::Leave { ticket, members } => {
            let answer = Answer::Leave(Ok(group.leave(&members, &mut turn)));
            turn.effects.answers.push((ticket, answer));
        }
        Event::Tick => group.tick(&mut turn),
    }
    (group, turn.effects)
}

#[cfg(test)]
mod invariants;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod tests;
