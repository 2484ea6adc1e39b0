//! What can happen, and what must hold.

use std::collections::BTreeMap;
use std::sync::Mutex;

use stateright::{Model, Property};
use towpath::base::clock::Timestamp;
use towpath::coordinator::share::partition::acknowledge::AcknowledgeRefusal;
use towpath::coordinator::share::partition::run::Holder;
use towpath::model::node::{NodeEpoch, NodeId, NodeIdentity};

use crate::decide::{Asked, Decision, Mutant, empty, state};
use crate::world::{
    Agent, Ask, DELIVERY_COUNT_LIMIT, Held, Known, LAST_TICK, LOCK_TICKS, Member, RECORDS, Told, Work, World,
};

pub(crate) const ONE_HOLDER: &str = "a record is with one member at a time, unless its lock ended";
pub(crate) const FINISHED_STAYS: &str = "what was told to be finished is not delivered again";
pub(crate) const COUNTED: &str = "every acquisition adds one to the delivery count";
pub(crate) const LIMITED: &str = "no record is delivered more often than the limit";
pub(crate) const OWN_ONLY: &str = "nobody ends the lock of another member";
pub(crate) const NOTHING_SKIPPED: &str = "the start offset passes only what is finished";
pub(crate) const ALL_CAN_END: &str = "every record can be finished from here";

/// Two members, two agents, two records.
pub(crate) struct ShareModel {
    pub(crate) mutant: Option<Mutant>,
    /// How many agents die at most.
    pub(crate) deaths: u8,
    /// How many answers are lost at most.
    pub(crate) losses: u8,
    memory: Memory,
}

/// Decisions are pure, so each is made once: thousands of moments share a document.
#[derive(Default)]
struct Memory {
    decisions: Mutex<BTreeMap<Question, Answer>>,
    ends: Mutex<BTreeMap<Ending, bool>>,
}

/// A document, who asks for what through which agent, when, and which agents are over.
type Question = (Vec<u8>, usize, usize, Ask, i64, [i64; 2]);

/// A document, and which agents are over.
type Ending = (Vec<u8>, [i64; 2]);

type Answer = Result<Option<Decision>, AcknowledgeRefusal>;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A member asks, its agent decides.
    Ask(usize, Ask),
    /// The store answers an agent, which answers the member; or the member never hears of it.
    Put { agent: usize, is_heard: bool },
    /// The store does (or does not) do it, and its answer is lost.
    PutUnknown { agent: usize, is_done: bool },
    /// An agent that does not know reads what is there.
    Read { agent: usize },
    /// An agent dies; its members go to the other one.
    Die { agent: usize },
    /// Time passes.
    Tick,
}

fn epochs(world: &World) -> [i64; 2] {
    [world.agents[0].epoch, world.agents[1].epoch]
}

impl ShareModel {
    pub(crate) fn new(mutant: Option<Mutant>, deaths: u8, losses: u8) -> Self {
        Self { mutant, deaths, losses, memory: Memory::default() }
    }

    fn decided(&self, world: &World, body: &[u8], member: usize, ask: Ask) -> Answer {
        let agent = world.members[member].agent;
        let question = (body.to_vec(), member, agent, ask, world.now, epochs(world));
        if let Some(known) = self.memory.decisions.lock().expect("nobody panics").get(&question) {
            return known.clone();
        }
        let asked = Asked { member, node: world.node(agent), now: world.time(), mutant: self.mutant };
        let answer = asked.decide(body, ask, &Self::is_over(world));
        self.memory.decisions.lock().expect("nobody panics").insert(question, answer.clone());
        answer
    }

    fn is_over(world: &World) -> impl Fn(&Holder) -> bool + use<> {
        let epochs = epochs(world);
        move |holder| {
            let agent = usize::try_from(holder.node.node_id.0).expect("two agents");
            holder.node.node_epoch.0 < epochs[agent]
        }
    }

    fn ask(&self, world: &mut World, member: usize, ask: Ask) -> Option<()> {
        let index = world.members[member].agent;
        let known = world.agents[index].known.clone();
        let (body, is_newest) = known.map_or((world.body.clone(), true), |known| (known.body, known.is_newest));
        let decided = self.decided(world, &body, member, ask);
        if let Ask::Accept(offset) | Ask::Reject(offset) | Ask::Release(offset) = ask {
            // Whatever comes of it: the member does not work on it any more.
            held(world, member, offset)?.is_live = false;
        }
        match decided {
            // An old copy does not refuse: the agent reads again.
            Err(_) if !is_newest => world.agents[index].known = None,
            Err(_) => world.members[member].held.retain(|held| Ask::Renew(held.offset) != ask && held.is_live),
            Ok(None) if !is_newest => world.agents[index].known = None,
            Ok(None) => return None,
            Ok(Some(Decision { body, acquired, finished })) => {
                let deadline = world.time().0 + i64::try_from(LOCK_TICKS).expect("few");
                let work = Work { member, ask, body, is_newest, is_unknown: false, deadline, acquired, finished };
                if self.mutant == Some(Mutant::AnswerFirst) {
                    answer(world, &work);
                }
                world.agents[index].work = Some(work);
            }
        }
        Some(())
    }

    fn put(&self, world: &mut World, index: usize, is_heard: bool) -> Option<()> {
        let work = world.agents[index].work.take()?;
        if !work.is_newest && self.mutant != Some(Mutant::IgnoreVersion) {
            world.agents[index].known = None;
            return is_heard.then_some(());
        }
        store(world, &work);
        world.agents[index].known = Some(Known { body: work.body.clone(), is_newest: true });
        if is_heard && self.mutant != Some(Mutant::AnswerFirst) {
            answer(world, &work);
        }
        Some(())
    }

    fn put_unknown(&self, world: &mut World, index: usize, is_done: bool) -> Option<()> {
        let mut work = world.agents[index].work.take()?;
        if is_done && !work.is_newest {
            return None;
        }
        if is_done {
            store(world, &work);
        }
        world.agents[index].known = None;
        if self.mutant == Some(Mutant::UnknownIsDone) {
            answer(world, &work);
        } else {
            work.is_unknown = true;
            world.agents[index].work = Some(work);
        }
        Some(())
    }

    /// From here on nothing goes wrong any more: does everything end?
    fn all_can_end(&self, world: &World) -> bool {
        let question = (world.body.clone(), epochs(world));
        if let Some(known) = self.memory.ends.lock().expect("nobody panics").get(&question) {
            return *known;
        }
        let ends = self.let_all_end(world);
        self.memory.ends.lock().expect("nobody panics").insert(question, ends);
        ends
    }

    fn let_all_end(&self, world: &World) -> bool {
        let mut body = world.body.clone();
        let node = NodeIdentity { node_id: NodeId(0), node_epoch: NodeEpoch(world.agents[0].epoch) };
        let is_over = Self::is_over(world);
        let mut decided = |ask, now| {
            let asked = Asked { member: 0, node, now, mutant: self.mutant };
            if let Ok(Some(decision)) = asked.decide(&body, ask, &is_over) {
                body = decision.body;
                return decision.acquired;
            }
            Vec::new()
        };
        for round in 1..=2 * RECORDS {
            let now = Timestamp(1_000 * round);
            for (offset, _) in decided(Ask::Acquire, now) {
                decided(Ask::Accept(offset), now);
            }
        }
        state(&body).start_offset().0 == RECORDS
    }
}

fn held(world: &mut World, member: usize, offset: i64) -> Option<&mut Held> {
    world.members[member].held.iter_mut().find(|held| held.offset == offset)
}

/// The store takes a document; everything that was read before is old now.
fn store(world: &mut World, work: &Work) {
    world.body.clone_from(&work.body);
    for agent in &mut world.agents {
        agent.known.iter_mut().for_each(|known| known.is_newest = false);
        agent.work.iter_mut().for_each(|work| work.is_newest = false);
    }
    for (offset, delivery_count) in &work.acquired {
        let index = usize::try_from(*offset).expect("a record");
        world.told.deliveries[index] += 1;
        if world.told.deliveries[index] != *delivery_count {
            world.broken(COUNTED);
        }
        if world.told.deliveries[index] > DELIVERY_COUNT_LIMIT {
            world.broken(LIMITED);
        }
        if world.told.finished[index] {
            world.broken(FINISHED_STAYS);
        }
    }
    for offset in &work.finished {
        world.told.ended[usize::try_from(*offset).expect("a record")] = true;
    }
    let start = usize::try_from(state(&work.body).start_offset().0).expect("small");
    if !world.told.ended.iter().take(start).all(|ended| *ended) {
        world.broken(NOTHING_SKIPPED);
    }
}

/// The member hears what was done.
fn answer(world: &mut World, work: &Work) {
    let others_lock = |world: &World, offset: i64| {
        world.members[1 - work.member].held.iter().any(|held| held.offset == offset && held.is_live)
    };
    for (offset, _) in &work.acquired {
        if others_lock(world, *offset) {
            world.broken(ONE_HOLDER);
        }
        let held = Held { offset: *offset, deadline: work.deadline, is_live: world.time().0 < work.deadline };
        let own = &mut world.members[work.member].held;
        own.retain(|other| other.offset != *offset);
        own.push(held);
        own.sort_by_key(|held| held.offset);
    }
    match work.ask {
        Ask::Accept(offset) | Ask::Reject(offset) | Ask::Release(offset) => {
            if others_lock(world, offset) {
                world.broken(OWN_ONLY);
            }
            if !matches!(work.ask, Ask::Release(_)) {
                world.told.finished[usize::try_from(offset).expect("a record")] = true;
            }
            world.members[work.member].held.retain(|held| held.offset != offset);
        }
        Ask::Renew(offset) => {
            if let Some(held) = held(world, work.member, offset) {
                held.deadline = work.deadline;
            }
        }
        Ask::Acquire => {}
    }
}

impl Model for ShareModel {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let member = |agent| Member { agent, held: Vec::new() };
        vec![World {
            now: 0,
            body: empty(),
            agents: [Agent::default(), Agent::default()],
            members: [member(0), member(1)],
            told: Told::default(),
            deaths_left: self.deaths,
            losses_left: self.losses,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if !world.told.broken.is_empty() {
            return;
        }
        for (index, member) in world.members.iter().enumerate() {
            if world.agents[member.agent].work.is_some() {
                continue;
            }
            steps.push(Step::Ask(index, Ask::Acquire));
            for Held { offset, .. } in &member.held {
                steps.push(Step::Ask(index, Ask::Accept(*offset)));
                steps.push(Step::Ask(index, Ask::Release(*offset)));
                // One record for each of the rarer ones is enough.
                steps.push(Step::Ask(index, if *offset == 0 { Ask::Renew(0) } else { Ask::Reject(*offset) }));
            }
        }
        for (agent, work) in world.agents.iter().enumerate() {
            match &work.work {
                Some(work) if work.is_unknown => steps.push(Step::Read { agent }),
                Some(_) => {
                    steps.push(Step::Put { agent, is_heard: true });
                    if world.losses_left > 0 {
                        steps.push(Step::Put { agent, is_heard: false });
                        steps.push(Step::PutUnknown { agent, is_done: true });
                        steps.push(Step::PutUnknown { agent, is_done: false });
                    }
                }
                None => {}
            }
            if world.deaths_left > 0 {
                steps.push(Step::Die { agent });
            }
        }
        if world.now < LAST_TICK {
            steps.push(Step::Tick);
        }
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        match step {
            Step::Ask(member, ask) => self.ask(&mut world, member, ask)?,
            Step::Put { agent, is_heard } => {
                world.losses_left -= u8::from(!is_heard);
                self.put(&mut world, agent, is_heard)?;
            }
            Step::PutUnknown { agent, is_done } => {
                world.losses_left -= 1;
                self.put_unknown(&mut world, agent, is_done)?;
            }
            Step::Read { agent } => {
                let work = world.agents[agent].work.take()?;
                world.agents[agent].known = None;
                // Nobody else writes the same document: it would name another holder or another moment.
                if world.body == work.body {
                    answer(&mut world, &work);
                }
            }
            Step::Die { agent } => {
                world.deaths_left -= 1;
                world.agents[agent] = Agent { epoch: world.agents[agent].epoch + 1, ..Agent::default() };
                for member in world.members.iter_mut().filter(|member| member.agent == agent) {
                    member.agent = 1 - agent;
                    member.held.iter_mut().for_each(|held| held.is_live = false);
                }
            }
            Step::Tick => {
                world.now += 1;
                let now = world.time().0;
                let held = world.members.iter_mut().flat_map(|member| &mut member.held);
                held.for_each(|held| held.is_live &= now < held.deadline);
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(ONE_HOLDER, |_, world: &World| !world.told.broken.contains(&ONE_HOLDER)),
            Property::always(FINISHED_STAYS, |_, world: &World| !world.told.broken.contains(&FINISHED_STAYS)),
            Property::always(COUNTED, |_, world: &World| !world.told.broken.contains(&COUNTED)),
            Property::always(LIMITED, |_, world: &World| !world.told.broken.contains(&LIMITED)),
            Property::always(OWN_ONLY, |_, world: &World| !world.told.broken.contains(&OWN_ONLY)),
            Property::always(NOTHING_SKIPPED, |_, world: &World| !world.told.broken.contains(&NOTHING_SKIPPED)),
            Property::always(ALL_CAN_END, |model: &Self, world: &World| model.all_can_end(world)),
            Property::sometimes("everything is finished", |_, world: &World| world.told.ended.iter().all(|it| *it)),
            Property::sometimes("a record is delivered again", |_, world: &World| world.told.deliveries.contains(&2)),
            Property::sometimes("an agent decides on an old copy", |_, world: &World| {
                world.agents.iter().any(|agent| agent.work.as_ref().is_some_and(|work| !work.is_newest))
            }),
        ];
        if self.losses > 0 {
            properties.push(Property::sometimes("an answer is lost and found", |_, world: &World| {
                world
                    .agents
                    .iter()
                    .any(|agent| agent.work.as_ref().is_some_and(|work| work.is_unknown && work.body == world.body))
            }));
        }
        properties
    }
}
