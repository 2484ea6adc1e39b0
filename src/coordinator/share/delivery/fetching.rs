//! A ShareFetch: asks the lane, and waits for something to ask it for.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::base::task::TaskKind;
use crate::coordinator::share::delivery::begin::find_starts;
use crate::coordinator::share::delivery::board::Wait;
use crate::coordinator::share::delivery::context::{Context, GroupRules};
use crate::coordinator::share::delivery::look::{Look, Outlook};
use crate::coordinator::share::delivery::read::{bytes_of, warm};
use crate::coordinator::share::delivery::seat::is_fresh;
use crate::coordinator::share::delivery::submit::{Submitted, hand_in, submit};
use crate::coordinator::share::delivery::topics::{find, without_topic};
use crate::coordinator::share::delivery::work::{Acquire, Acquisition, Done, WantedPartition, Work};
use crate::coordinator::share::values::{
    AcknowledgeType, PartitionAcknowledgement, ShareFetchAnswer, ShareFetchRequest, SharedRecords,
};
use crate::log::tail::Subscription;
use crate::model::error::Failure;
use crate::model::offset::Offset;

/// No wait is longer, whatever the client asks for.
const WAIT_LONGEST: Duration = Duration::from_secs(3_600);
/// An answer that has nothing but failures comes no sooner: clients ask again at once.
const FAILURE_PAUSE: Duration = Duration::from_millis(200);
/// For so long acknowledgements of a fetch that waits for records wait for a write that is made anyway.
const PATIENCE: Duration = Duration::from_millis(100);
/// Locks that end sooner than this do not wait: more than patience and a write take.
const LOCK_MARGIN: Duration = Duration::from_secs(2);
/// So often a pass goes back to the lane with what the lane found missing.
const PREPARATIONS_MAX: u32 = 4;

/// A ShareFetch under way.
pub(super) struct Fetching<'a> {
    context: &'a Arc<Context>,
    request: ShareFetchRequest,
    asked: Instant,
    deadline: Instant,
    /// Partitions that exist, with their places in the request.
    wanted: Vec<(usize, WantedPartition)>,
    fetched: Vec<Result<SharedRecords, Failure>>,
    acknowledged: Vec<Result<(), Failure>>,
    /// Acknowledgements that have not been asked for, with their places.
    unasked: Vec<(usize, PartitionAcknowledgement)>,
    /// Acknowledgements on their way, by their places.
    owed: Option<(Vec<usize>, Submitted)>,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    /// Something may have changed.
    News,
    /// Time is over.
    Deadline,
    /// The agent finishes what it has.
    Drain,
}

/// What a fetch listens to.
struct News {
    states: Wait,
    logs: Subscription,
}

impl<'a> Fetching<'a> {
    /// Sorts out what does not exist.
    pub(super) async fn new(context: &'a Arc<Context>, mut request: ShareFetchRequest) -> Self {
        let asked = Instant::now();
        let deadline = asked + request.wait_max.min(WAIT_LONGEST);
        let acknowledgements = std::mem::take(&mut request.acknowledgements);
        let mut fetching = Self {
            context,
            asked,
            deadline,
            wanted: Vec::with_capacity(request.partitions.len()),
            fetched: Vec::with_capacity(request.partitions.len()),
            acknowledged: vec![Ok(()); acknowledgements.len()],
            unasked: Vec::with_capacity(acknowledgements.len()),
            owed: None,
            request,
        };
        for (place, partition) in fetching.request.partitions.iter().enumerate() {
            match find(context, *partition).await {
                Ok(wanted) => {
                    fetching.wanted.push((place, wanted));
                    fetching.fetched.push(Ok(SharedRecords::default()));
                }
                Err(failure) => fetching.fetched.push(Err(failure)),
            }
        }
        for (place, acknowledgement) in acknowledgements.into_iter().enumerate() {
            match find(context, acknowledgement.partition).await {
                Ok(_) => fetching.unasked.push((place, acknowledgement)),
                Err(failure) => fetching.acknowledged[place] = Err(failure),
            }
        }
        fetching
    }

    /// Applies the acknowledgements, acquires, waits.
    pub(super) async fn run(mut self) -> ShareFetchAnswer {
        let wants_records = self.request.records_max > 0 && self.request.bytes_max > 0 && !self.wanted.is_empty();
        if wants_records {
            self.acquire().await;
            self.settle().await;
        } else if !self.unasked.is_empty() {
            self.pass(false, false).await;
        }
        if self.has_failed() && !self.has_records() {
            let draining = self.context.supervisor.token(TaskKind::Connection);
            let until = self.deadline.min(Instant::now() + FAILURE_PAUSE);
            let _ = timeout_at(until, draining.cancelled()).await;
        }
        ShareFetchAnswer {
            lock_duration: self.rules().rules.lock_duration,
            fetched: self.fetched,
            acknowledged: self.acknowledged,
        }
    }

    async fn acquire(&mut self) {
        let mut is_enough = self.request.bytes_min <= 1 || self.is_enough();
        if !self.unasked.is_empty()
            && !self.is_enough()
            && let Some(until) = self.patience()
        {
            self.hand_in(until).await;
            is_enough = false;
        }
        let mut news = None;
        loop {
            if is_enough || !self.unasked.is_empty() {
                self.pass(is_enough, false).await;
                if self.has_failed() || self.has_records() {
                    return;
                }
            }
            let Some(news) = &news else {
                // What came before anybody listened told nobody: one look at what is in memory finds it.
                news = Some(self.listen());
                is_enough = Instant::now() < self.deadline && self.is_enough();
                continue;
            };
            match self.wait(news).await {
                Wake::News => is_enough = self.is_enough(),
                Wake::Deadline => return self.look_once_more().await,
                Wake::Drain => return,
            }
        }
    }

    /// Until when the acknowledgements may wait for a write that is made anyway: for what this fetch acquires soon, or
    /// for another request's. Nobody else may be waiting for what they give back, and no lock may end meanwhile.
    fn patience(&self) -> Option<Instant> {
        let until = Instant::now() + PATIENCE;
        if until >= self.deadline {
            return None;
        }
        let rules = self.rules();
        let look = self.look(&rules);
        let locked_until = look.now.plus(LOCK_MARGIN);
        let is_quiet = |kind: &AcknowledgeType| !matches!(kind, AcknowledgeType::Release | AcknowledgeType::Renew);
        let may_wait = |(_, acknowledgement): &(usize, PartitionAcknowledgement)| {
            look.may_wait(acknowledgement.partition, locked_until)
                && acknowledgement.batches.iter().flat_map(|batch| &batch.types).all(is_quiet)
        };
        self.unasked.iter().all(may_wait).then_some(until)
    }

    /// Gives the acknowledgements to the lane, which may wait for company.
    async fn hand_in(&mut self, until: Instant) {
        let (places, acknowledgements): (Vec<usize>, Vec<_>) = self.unasked.drain(..).unzip();
        let work = Work::acknowledging(self.request.member_id.clone(), self.asked, acknowledgements);
        let work = Work { patient_until: Some(until), ..work };
        self.owed = Some((places, hand_in(self.context, &self.request.group_id, work).await));
    }

    /// Learns what became of acknowledgements that are on their way.
    async fn settle(&mut self) {
        if let Some((places, submitted)) = self.owed.take() {
            self.note_acknowledged(places, submitted.done().await.acknowledged);
        }
    }

    fn note_acknowledged(&mut self, places: Vec<usize>, outcomes: Vec<Result<(), Failure>>) {
        for (place, outcome) in places.into_iter().zip(outcomes) {
            self.acknowledged[place] = outcome;
        }
    }

    fn listen(&self) -> News {
        let partitions = || self.wanted.iter().map(|(_, wanted)| wanted.partition);
        let states = self.context.board.wait_for(&self.request.group_id, partitions());
        News { states, logs: self.context.parts.tail.subscribe(partitions()) }
    }

    /// Before it is said that there is nothing: what was produced, or given back, before the request came must be
    /// seen, wherever that was.
    async fn look_once_more(&mut self) {
        if let Err(failure) = self.context.parts.reader.catch_up(self.asked).await {
            for (place, _) in &self.wanted {
                self.fetched[*place] = Err(failure.clone());
            }
            return;
        }
        let rules = self.rules();
        let look = self.look(&rules);
        let is_settled = self.wanted.iter().all(|(_, wanted)| {
            let known = self.context.cache.get(&(self.request.group_id.clone(), wanted.partition));
            let is_fresh = known.is_some_and(|known| is_fresh(&look.living, known.confirmed, self.asked));
            is_fresh && matches!(look.outlook(wanted.partition, 1), Outlook::Nothing(_))
        });
        if !is_settled && !rules.config.paused {
            self.pass(true, true).await;
        }
    }

    /// Waits until something may have changed.
    async fn wait(&self, news: &News) -> Wake {
        if Instant::now() >= self.deadline {
            return Wake::Deadline;
        }
        let draining = self.context.supervisor.token(TaskKind::Connection);
        let change = self.next_change().filter(|change| *change < self.deadline);
        let until = change.unwrap_or(self.deadline);
        tokio::select! {
            biased;
            () = draining.cancelled() => Wake::Drain,
            () = news.states.news() => Wake::News,
            () = news.logs.news() => Wake::News,
            () = sleep_until(until) => if change.is_some() { Wake::News } else { Wake::Deadline },
        }
    }

    /// When a lock or a rest ends next.
    fn next_change(&self) -> Option<Instant> {
        let rules = self.rules();
        let look = self.look(&rules);
        let changes = self.wanted.iter().filter_map(|(_, wanted)| match look.outlook(wanted.partition, 1) {
            Outlook::Nothing(change) => change,
            Outlook::Unknown | Outlook::Bytes(_) => None,
        });
        let wait = self.context.time.until(changes.min()?).max(Duration::from_millis(1));
        Some(Instant::now() + wait)
    }

    /// Whether it is worth asking the lane.
    fn is_enough(&self) -> bool {
        let rules = self.rules();
        if rules.config.paused {
            return false;
        }
        let look = self.look(&rules);
        let wished = u64::from(self.request.bytes_min.min(self.request.bytes_max).max(1));
        let mut bytes = 0_u64;
        for (_, wanted) in &self.wanted {
            match look.outlook(wanted.partition, wished) {
                Outlook::Unknown => return true,
                Outlook::Nothing(_) => {}
                Outlook::Bytes(more) => bytes = bytes.saturating_add(more),
            }
        }
        bytes >= wished
    }

    fn rules(&self) -> Arc<GroupRules> {
        self.context.rules_of(&self.request.group_id)
    }

    fn look<'b>(&'b self, rules: &'b GroupRules) -> Look<'b> {
        let (living, now) = (self.context.living(), self.context.time.now());
        Look { context: self.context, group_id: &self.request.group_id, rules, living, now }
    }

    fn has_records(&self) -> bool {
        self.fetched.iter().flatten().any(|got| !got.acquired.is_empty())
    }

    fn has_failed(&self) -> bool {
        self.fetched.iter().any(Result::is_err)
    }

    /// Asks the lane, once, or again with what it found missing.
    async fn pass(&mut self, acquires: bool, is_last_look: bool) {
        let mut acquire = Acquire {
            partitions: if acquires { self.wanted.iter().map(|(_, wanted)| *wanted).collect() } else { Vec::new() },
            records_max: self.request.records_max,
            batch_size: self.request.batch_size,
            mode: self.request.mode,
            bytes_max: self.request.bytes_max,
            is_last_look,
            ..Acquire::default()
        };
        self.warm_cold(&acquire.partitions).await;
        for _ in 0..PREPARATIONS_MAX {
            let (places, acknowledgements): (Vec<usize>, Vec<_>) = self.unasked.drain(..).unzip();
            let wanted = acquire.partitions.clone();
            let member_id = self.request.member_id.clone();
            let work =
                Work { acquire: acquire.clone(), ..Work::acknowledging(member_id, self.asked, acknowledgements) };
            let Done { acknowledged, acquired, .. } = submit(self.context, &self.request.group_id, work).await;
            self.note_acknowledged(places, acknowledged);
            let (undecided, cold) = self.take(&mut acquire, wanted.into_iter().zip(acquired).collect());
            if undecided.is_empty() && cold.is_empty() {
                return;
            }
            self.prepare(&mut acquire, undecided, cold).await;
        }
    }

    /// Takes what the lane gave, and sorts out what it found missing.
    fn take(
        &mut self,
        acquire: &mut Acquire,
        acquired: Vec<(WantedPartition, Acquisition)>,
    ) -> (Vec<WantedPartition>, Vec<(WantedPartition, Offset)>) {
        let (mut undecided, mut cold) = (Vec::new(), Vec::new());
        for (wanted, acquisition) in acquired {
            match acquisition {
                Acquisition::Nothing => {}
                Acquisition::Undecided => undecided.push(wanted),
                Acquisition::Cold(offset) => cold.push((wanted, offset)),
                Acquisition::Failed(failure) => self.note(&wanted, Err(without_topic(failure))),
                Acquisition::Records(got) => {
                    let count: i64 = got.acquired.iter().map(|range| range.last.0 - range.first.0 + 1).sum();
                    let count = u32::try_from(count).unwrap_or(u32::MAX);
                    acquire.records_max = acquire.records_max.saturating_sub(count);
                    let bytes = u32::try_from(bytes_of(&got.records)).unwrap_or(u32::MAX);
                    acquire.bytes_max = acquire.bytes_max.saturating_sub(bytes);
                    self.note(&wanted, Ok(got));
                }
            }
        }
        (undecided, cold)
    }

    fn note(&mut self, wanted: &WantedPartition, outcome: Result<SharedRecords, Failure>) {
        if let Some((place, _)) = self.wanted.iter().find(|(_, other)| other.partition == wanted.partition) {
            self.fetched[*place] = outcome;
        }
    }

    /// Finds out where partitions begin, and loads what is not in memory.
    async fn prepare(
        &mut self,
        acquire: &mut Acquire,
        undecided: Vec<WantedPartition>,
        cold: Vec<(WantedPartition, Offset)>,
    ) {
        let committed = self.rules().config.read_committed;
        let warm = cold.iter().map(|(wanted, offset)| warm(self.context, wanted, *offset, committed));
        let starts = async {
            let reset = self.rules().config.auto_offset_reset;
            if undecided.is_empty() { Default::default() } else { find_starts(self.context, reset, &undecided).await }
        };
        let (_, starts) = futures::future::join(join_all(warm), starts).await;
        acquire.partitions = cold.into_iter().map(|(wanted, _)| wanted).collect();
        for wanted in undecided {
            match starts.get(&wanted.partition) {
                Some(Ok(start)) => {
                    acquire.starts.insert(wanted.partition, *start);
                    acquire.partitions.push(wanted);
                }
                Some(Err(failure)) => self.note(&wanted, Err(failure.clone())),
                None => {}
            }
        }
    }

    /// Loads what is far behind before the lane is asked, so that the lane need not wait for it.
    async fn warm_cold(&self, wanted: &[WantedPartition]) {
        let rules = self.rules();
        let look = self.look(&rules);
        let cold = wanted.iter().filter_map(|wanted| Some((wanted, look.cold_offset(wanted.partition)?)));
        let cold: Vec<_> = cold.collect();
        let committed = rules.config.read_committed;
        join_all(cold.into_iter().map(|(wanted, offset)| warm(self.context, wanted, offset, committed))).await;
    }
}
