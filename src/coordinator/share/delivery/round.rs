//! A round: everything that waits in a lane, decided together and stored in one step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use crate::coordinator::share::delivery::cache::Known;
use crate::coordinator::share::delivery::context::Context;
use crate::coordinator::share::delivery::counters::Seen;
use crate::coordinator::share::delivery::job::{Job, Outcome, Part};
use crate::coordinator::share::delivery::read::{ReadOutcome, read_window};
use crate::coordinator::share::delivery::seat::{Moment, Seat, Tally};
use crate::coordinator::share::delivery::store::{Found, Planned, Stored, read, store};
use crate::coordinator::share::delivery::take::{Taker, blocked_by};
use crate::coordinator::share::delivery::work::{Acquisition, WantedPartition};
use crate::coordinator::share::partition::document::{StoredPartition, encode};
use crate::coordinator::share::partition::signature::Signature;
use crate::metastore::error::MetastoreError;
use crate::model::error::{Condition, Failure};
use crate::model::group::GroupId;
use crate::model::topic::TopicIdPartition;

/// How old the metastore's time may be.
const TIME_AGE_MAX: Duration = Duration::from_secs(10);
/// So much is read at first for every member that wants records of a partition …
const READ_BYTES: u32 = 256 << 10;
/// … and no more than this for all of them.
const READ_BYTES_MAX: u32 = 4 << 20;

/// Who wants what of a partition: jobs by their places, in the order in which they came.
type Places = BTreeMap<TopicIdPartition, Vec<(usize, Part)>>;

/// What a round left to the next one.
#[derive(Debug, Default)]
pub(super) struct Leftover {
    /// Partitions that must be read before anything is decided on them.
    pub doubted: BTreeSet<TopicIdPartition>,
    /// Another agent was faster somewhere.
    pub is_conflict: bool,
}

/// Decides everything that is pending in `jobs`, stores it, and notes in the jobs what became of it.
pub(super) async fn round(
    context: &Context,
    group_id: &GroupId,
    jobs: &mut [Job],
    doubted: &BTreeSet<TopicIdPartition>,
) -> Leftover {
    context.counters.rounds.inc();
    let moment = match moment(context, group_id).await {
        Ok(moment) => moment,
        Err(error) => {
            fail_all(jobs, &error.to_string());
            return Leftover::default();
        }
    };
    let mut round = Round { context, group_id, moment, seats: BTreeMap::new() };
    let places = places(jobs);
    for (partition, found, is_read) in round.look_up(jobs, &places, doubted).await {
        round.seat(jobs, (partition, places[&partition].as_slice()), found, is_read);
    }
    round.settle_acknowledgements(jobs, &places);
    round.acquire(jobs).await;
    round.finish(jobs).await
}

async fn moment(context: &Context, group_id: &GroupId) -> Result<Moment, MetastoreError> {
    context.time.renew(&*context.parts.metastore, TIME_AGE_MAX).await?;
    let (rules, now) = (context.rules_of(group_id), context.time.now());
    let held_until = rules.config.dead_letters.as_ref().and_then(|letters| {
        let held_until = context.parts.letters.held_until(group_id, letters, now);
        held_until.filter(|until| *until > now)
    });
    Ok(Moment { rules, now, living: context.living(), is_held: held_until.is_some() })
}

fn places(jobs: &[Job]) -> Places {
    let mut places = Places::new();
    for (index, job) in jobs.iter().enumerate() {
        for (partition, part) in job.pending() {
            places.entry(partition).or_default().push((index, part));
        }
    }
    places
}

fn fail_all(jobs: &mut [Job], reason: &str) {
    for job in jobs {
        let pending: Vec<Part> = job.pending().map(|(_, part)| part).collect();
        for part in pending {
            job.note(part, Outcome::unavailable(part, reason));
        }
    }
}

struct Round<'a> {
    context: &'a Context,
    group_id: &'a GroupId,
    moment: Moment,
    seats: BTreeMap<TopicIdPartition, Seat>,
}

impl Round<'_> {
    /// What is stored of every partition: from memory, or (`true`) read together where memory is missing or not good
    /// enough.
    async fn look_up(
        &self,
        jobs: &[Job],
        places: &Places,
        doubted: &BTreeSet<TopicIdPartition>,
    ) -> Vec<(TopicIdPartition, Found, bool)> {
        let (mut all, mut unknown) = (Vec::with_capacity(places.len()), Vec::new());
        for (partition, parts) in places {
            let known = self.context.cache.get(&(self.group_id.clone(), *partition));
            let is_good = |known: &Known| {
                !doubted.contains(partition)
                    && parts.iter().all(|(index, part)| {
                        let work = &jobs[*index].work;
                        let is_last_look = matches!(part, Part::Acquire(_)) && work.acquire.is_last_look;
                        !is_last_look || self.moment.is_fresh(known.confirmed, work.asked)
                    })
            };
            match known.filter(is_good) {
                Some(known) => all.push((*partition, Found::Known(known), false)),
                None => unknown.push((self.group_id.clone(), *partition)),
            }
        }
        if !unknown.is_empty() {
            let found = read(self.context, &unknown).await;
            all.extend(unknown.into_iter().zip(found).map(|((_, partition), found)| (partition, found, true)));
        }
        all
    }

    /// Takes a partition into the round, or answers at once where that can not be.
    fn seat(
        &mut self,
        jobs: &mut [Job],
        (partition, parts): (TopicIdPartition, &[(usize, Part)]),
        found: Found,
        is_read: bool,
    ) {
        let Found::Known(known) = found else {
            for (index, part) in parts {
                jobs[*index].note(*part, without_state(&found, *part));
            }
            return;
        };
        let is_paused = self.moment.rules.config.paused;
        let starts = |(index, _): &(usize, Part)| jobs[*index].work.acquire.starts.get(&partition).copied();
        let start = parts.iter().find_map(starts).filter(|_| !is_paused);
        let Some(mut seat) = Seat::new(known, is_read, start) else {
            for (index, part) in parts {
                jobs[*index].note(*part, undecided(*part, is_paused));
            }
            return;
        };
        let log_start = self.context.parts.tail.bounds(partition).map(|bounds| bounds.log_start_offset);
        seat.begin(log_start, &self.moment);
        self.seats.insert(partition, seat);
    }

    /// Acknowledgements and releases, in the order in which they came.
    fn settle_acknowledgements(&mut self, jobs: &[Job], places: &Places) {
        for (partition, seat) in &mut self.seats {
            for (index, part) in &places[partition] {
                let work = &jobs[*index].work;
                let outcome = match part {
                    Part::Acknowledgement(place) => {
                        Outcome::Acknowledged(seat.acknowledge(work, &work.acknowledgements[*place], &self.moment))
                    }
                    Part::Release(_) => Outcome::Released(seat.release(work, &self.moment)),
                    Part::Acquire(_) => continue,
                };
                seat.outcomes.push((*index, *part, outcome));
            }
        }
    }

    /// Acquisitions: one read per partition for all that want it, then one member after the other in the order in which
    /// they came.
    async fn acquire(&mut self, jobs: &[Job]) {
        let Moment { rules, is_held, .. } = &self.moment;
        let is_idle = rules.config.paused || *is_held;
        let mut wishes: Vec<(usize, Vec<(usize, WantedPartition)>)> = Vec::new();
        for (index, job) in jobs.iter().enumerate() {
            let wanted = job.pending().filter_map(|(partition, part)| {
                let Part::Acquire(place) = part else { return None };
                let is_seated = self.seats.get(&partition).is_some_and(|seat| !seat.is_doubted);
                is_seated.then(|| (place, job.work.acquire.partitions[place]))
            });
            let wanted: Vec<_> = wanted.collect();
            let (records, bytes, _) = job.left();
            if is_idle || records == 0 || bytes == 0 || !job.is_awaited() {
                self.note_nothing(index, &wanted);
            } else if !wanted.is_empty() {
                wishes.push((index, wanted));
            }
        }
        self.read_ahead(&wishes).await;
        for (index, wanted) in wishes {
            let (records, bytes, is_first) = jobs[index].left();
            let is_acquirable = |(_, wanted): &&(usize, WantedPartition)| {
                self.seats.get(&wanted.partition).is_some_and(|seat| seat.is_acquirable(&self.moment))
            };
            let count = wanted.iter().filter(is_acquirable).count().max(1) as u64;
            let (context, moment, work) = (self.context, &self.moment, &jobs[index].work);
            let mut taker = Taker { context, moment, work, records, bytes, is_first, share: (bytes / count).max(1) };
            for (place, wanted) in wanted {
                let Some(seat) = self.seats.get_mut(&wanted.partition) else { continue };
                let acquisition = taker.take(seat, &wanted).await;
                seat.outcomes.push((index, Part::Acquire(place), Outcome::Acquired(acquisition)));
            }
        }
    }

    fn note_nothing(&mut self, index: usize, wanted: &[(usize, WantedPartition)]) {
        for (place, wanted) in wanted {
            if let Some(seat) = self.seats.get_mut(&wanted.partition) {
                let nothing = Outcome::Acquired(Acquisition::Nothing);
                seat.outcomes.push((index, Part::Acquire(*place), nothing));
            }
        }
    }

    /// Reads all wanted partitions side by side.
    async fn read_ahead(&mut self, wishes: &[(usize, Vec<(usize, WantedPartition)>)]) {
        let mut reads: BTreeMap<TopicIdPartition, (WantedPartition, u32)> = BTreeMap::new();
        for (_, wanted) in wishes.iter().flat_map(|(_, wanted)| wanted) {
            let (_, bytes) = reads.entry(wanted.partition).or_insert((*wanted, 0));
            *bytes = bytes.saturating_add(READ_BYTES).min(READ_BYTES_MAX);
        }
        let read_committed = self.moment.rules.config.read_committed;
        let reads = reads.into_iter().filter_map(|(partition, (wanted, bytes))| {
            let offset = self.seats.get(&partition)?.next_offset(&self.moment)?;
            let context = self.context;
            Some(async move {
                let outcome = read_window(context, &wanted, offset, bytes, read_committed).await;
                (partition, offset, outcome)
            })
        });
        let outcomes = join_all(reads.collect::<Vec<_>>()).await;
        for (partition, offset, outcome) in outcomes {
            let Some(seat) = self.seats.get_mut(&partition) else { continue };
            match outcome {
                ReadOutcome::Window(window) => seat.window = Some(window),
                // Looked into when somebody's turn comes.
                ReadOutcome::OutOfRange => {}
                other => seat.blocked = blocked_by(other).map(|acquisition| (offset, acquisition)),
            }
        }
    }

    /// Stores what changed, and notes what became of it.
    async fn finish(self, jobs: &mut [Job]) -> Leftover {
        let mut leftover = Leftover::default();
        let (mut planned, mut changed) = (Vec::new(), BTreeMap::new());
        for (partition, seat) in self.seats {
            if seat.is_doubted {
                leftover.doubted.insert(partition);
                continue;
            }
            if !seat.is_changed() {
                note_all(jobs, seat.outcomes);
                continue;
            }
            let Seat { known, mut state, outcomes, letters, tally, .. } = seat;
            let (node, number) = (self.moment.living.this(), self.context.next_write());
            let signature = Signature { node, number, at: self.moment.now };
            state.sign(signature);
            let stored = StoredPartition::Decided(state);
            planned.push(Planned { partition, version: known.version, body: encode(&stored), signature, letters });
            changed.insert(partition, Changed { stored: Arc::new(stored), outcomes, tally });
        }
        if planned.is_empty() {
            return leftover;
        }
        let asked = Instant::now();
        let now = self.moment.now;
        let letters = self.moment.rules.config.dead_letters.as_ref().map(|config| (config, now));
        for (partition, stored) in store(self.context, self.group_id, planned, letters).await {
            let Some(changed) = changed.remove(&partition) else { continue };
            match stored {
                Stored::Done(version) => {
                    let key = (self.group_id.clone(), partition);
                    match version {
                        Some(version) => {
                            let stored = Arc::clone(&changed.stored);
                            self.context.cache.put(&key, Known { stored, version, confirmed: asked });
                        }
                        None => self.context.cache.remove(&key),
                    }
                    show(self.context, &key, &self.moment, &changed);
                    note_all(jobs, changed.outcomes);
                    self.context.board.tell(&key);
                }
                Stored::Conflict => leftover.is_conflict = true,
                Stored::Failed(reason) => {
                    for (index, part, _) in changed.outcomes {
                        jobs[index].note(part, Outcome::unavailable(part, &reason));
                    }
                }
            }
        }
        leftover
    }
}

/// A partition that is to be another one from now on.
struct Changed {
    stored: Arc<StoredPartition>,
    outcomes: Vec<(usize, Part, Outcome)>,
    tally: Tally,
}

fn note_all(jobs: &mut [Job], outcomes: Vec<(usize, Part, Outcome)>) {
    for (index, part, outcome) in outcomes {
        jobs[index].note(part, outcome);
    }
}

/// Counts what is stored.
fn show(context: &Context, key: &(GroupId, TopicIdPartition), moment: &Moment, changed: &Changed) {
    let Tally { acknowledged, timed_out, acquired } = &changed.tally;
    acknowledged.iter().for_each(|done| context.counters.acknowledged(done));
    context.counters.lock_timeouts.inc_by(*timed_out);
    context.counters.acquired.inc_by(*acquired);
    let StoredPartition::Decided(state) = &*changed.stored else { return };
    let seen = Seen {
        state,
        lock_duration: moment.rules.rules.lock_duration,
        now: moment.now,
        high_watermark: context.parts.tail.bounds(key.1).map(|bounds| bounds.high_watermark),
    };
    context.counters.show(key, &seen, || {
        let snapshot = context.parts.catalog.snapshot();
        let topic = snapshot.topics_by_id.get(&key.1.topic_id);
        topic.map_or_else(|| key.1.topic_id.to_string(), |topic| topic.name.to_string())
    });
}

/// What becomes of a part whose partition has no state.
fn without_state(found: &Found, part: Part) -> Outcome {
    let (condition, message) = match (found, part) {
        (Found::Unavailable(reason), part) => return Outcome::unavailable(part, reason),
        (Found::Missing, Part::Release(_)) => return Outcome::Released(true),
        (Found::Missing, Part::Acknowledgement(_)) => {
            (Condition::UnknownTopicOrPartition, "the group never fetched from this partition")
        }
        (Found::Missing, Part::Acquire(_)) => (
            Condition::UnknownServerError,
            "the group's state of this partition is not initialised; a member must subscribe to its topic first",
        ),
        (Found::Unreadable | Found::Known(_), Part::Release(_)) => return Outcome::Released(false),
        (Found::Unreadable | Found::Known(_), _) => {
            (Condition::UnknownServerError, "the group's state of this partition can not be read by this version")
        }
    };
    let failure = Failure::new(condition, message);
    match part {
        Part::Acquire(_) => Outcome::Acquired(Acquisition::Failed(failure)),
        _ => Outcome::Acknowledged(Err(failure)),
    }
}

/// What becomes of a part whose partition's start nobody has decided.
fn undecided(part: Part, is_paused: bool) -> Outcome {
    match part {
        Part::Acquire(_) if is_paused => Outcome::Acquired(Acquisition::Nothing),
        Part::Acquire(_) => Outcome::Acquired(Acquisition::Undecided),
        Part::Release(_) => Outcome::Released(true),
        Part::Acknowledgement(_) => {
            let message = "the group never fetched from this partition";
            Outcome::Acknowledged(Err(Failure::new(Condition::UnknownTopicOrPartition, message)))
        }
    }
}
