use proptest::prelude::*;

use super::kit::Kit;
use super::*;
use crate::coordinator::share::values::ShareGroupState;
use crate::model::error::Condition;
use crate::model::topic::PartitionIndex;

// ---------------------------------------------------------------- joining, living, leaving

#[test]
fn the_first_answer_holds_the_assignment() {
    let mut kit = Kit::new(&[("t", 3)]);
    assert_eq!(kit.join("a", &["t"]), (1, vec!["t/0,1,2".to_owned()]));
    assert_eq!((kit.persisted, kit.initialised.len()), (1, 3));
    assert!(kit.initialised.iter().all(|(_, from_the_beginning)| !from_the_beginning));
    assert_eq!(kit.join("b", &["t"]), (2, vec!["t/2".to_owned()]));
    assert_eq!((kit.persisted, kit.initialised.len()), (2, 3));
    let answer = kit.beat("a", 1).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment.map(|assignment| kit.shown(&assignment))), {
        (2, Some(vec!["t/0,1".to_owned()]))
    });
    assert_eq!(answer.heartbeat_interval, Duration::from_secs(5));
}

#[test]
fn heartbeats_that_change_nothing_store_nothing_and_answer_without_assignment() {
    let mut kit = Kit::new(&[("t", 3)]);
    kit.join("a", &["t"]);
    kit.join("b", &["t"]);
    let persisted = kit.persisted;
    kit.beat("a", 1).unwrap();
    for _ in 0..3 {
        for member in ["a", "b"] {
            let answer = kit.beat(member, 2).unwrap();
            assert_eq!((answer.member_epoch, answer.assignment), (2, None));
        }
        kit.pass(5_000);
    }
    assert_eq!(kit.persisted, persisted);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let sound = Kit::request("a", 0, Some(&["t"]));
    let long = "é".repeat(37);
    for (name, broken) in [
        ("no group", ShareHeartbeat { group_id: "".into(), ..sound.clone() }),
        ("no member", ShareHeartbeat { member_id: "".into(), ..sound.clone() }),
        ("long member", ShareHeartbeat { member_id: (&*long).into(), ..sound.clone() }),
        ("empty rack", ShareHeartbeat { rack: Some("".into()), ..sound.clone() }),
        ("epoch", ShareHeartbeat { member_epoch: -2, ..sound.clone() }),
        ("joins without topics", Kit::request("a", 0, None)),
        ("joins with no topics", Kit::request("a", 0, Some(&[]))),
    ] {
        assert_eq!(Kit::new(&[("t", 1)]).send(broken), Err(Condition::InvalidRequest), "{name}");
    }
    assert!(Kit::new(&[("t", 1)]).send(ShareHeartbeat { member_id: "é".repeat(36)[..].into(), ..sound }).is_ok());
}

#[test]
fn groups_and_members_that_are_not_there_are_refused() {
    let mut kit = Kit::new(&[("t", 1)]);
    assert_eq!(kit.beat("a", 1), Err(Condition::GroupIdNotFound));
    assert_eq!(kit.beat("a", -1), Err(Condition::GroupIdNotFound));
    kit.join("a", &["t"]);
    assert_eq!(kit.beat("b", 1), Err(Condition::UnknownMemberId));
    assert_eq!(kit.beat("b", -1), Err(Condition::UnknownMemberId));
    kit.limits.size_max = 1;
    assert_eq!(kit.send(Kit::request("b", 0, Some(&["t"]))), Err(Condition::GroupMaxSizeReached));
    assert_eq!(kit.join("a", &["t"]).0, 1, "who is in may join again");
}

#[test]
fn only_the_current_and_the_previous_epoch_are_accepted() {
    let mut kit = Kit::new(&[("t", 9)]);
    kit.join("a", &["t"]);
    kit.join("b", &["t"]);
    assert_eq!(kit.beat("a", 2), Err(Condition::FencedMemberEpoch), "nobody told it 2");
    assert_eq!(kit.beat("a", 1).unwrap().member_epoch, 2);
    let again = kit.beat("a", 1).unwrap();
    assert_eq!(again.member_epoch, 2, "the answer may have been lost");
    assert!(again.assignment.is_some(), "and the assignment with it");
    kit.join("c", &["t"]);
    assert_eq!(kit.beat("a", 2).unwrap().member_epoch, 3);
    assert_eq!(kit.beat("a", 1), Err(Condition::FencedMemberEpoch));
    assert_eq!(kit.beat("a", 4), Err(Condition::FencedMemberEpoch));
    assert_eq!(kit.join("a", &["t"]).0, 3, "joining again is always possible");
    assert_eq!(kit.group.group_epoch, 3, "and changes nothing");
}

#[test]
fn who_leaves_is_gone_at_once_whatever_its_epoch() {
    let mut kit = Kit::new(&[("t", 2)]);
    kit.join("a", &["t"]);
    kit.join("b", &["t"]);
    let answer = kit.beat("a", -1).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (-1, None));
    assert_eq!(kit.group.group_epoch, 3);
    kit.pass(1_000);
    assert_eq!((kit.group.assignment_epoch, kit.assigned("b")), (3, vec!["t/0,1".to_owned()]));
    kit.beat("b", -1).unwrap();
    assert_eq!((kit.group.state(), kit.group.assignment_epoch), (ShareGroupState::Empty, 4));
    assert_eq!(kit.group.topics.len(), 1, "what it has read is kept");
}

#[test]
fn a_silent_member_is_removed_and_the_others_take_over() {
    let mut kit = Kit::new(&[("t", 2)]);
    kit.join("a", &["t"]);
    kit.join("b", &["t"]);
    kit.pass(44_999);
    kit.beat("b", 2).unwrap();
    assert_eq!(kit.group.members.len(), 2);
    kit.pass(1);
    assert_eq!(kit.group.members.len(), 1);
    assert_eq!((kit.group.group_epoch, kit.assigned("b")), (3, vec!["t/0,1".to_owned()]));
    assert_eq!(kit.beat("a", 2), Err(Condition::UnknownMemberId));
    let answer = kit.beat("b", 2).unwrap();
    assert_eq!(answer.assignment.map(|assignment| kit.shown(&assignment)), Some(vec!["t/0,1".to_owned()]));
}

#[test]
fn an_assignment_waits_for_its_interval_unless_somebody_joins() {
    let mut kit = Kit::new(&[("t", 6)]);
    kit.limits.assignment_interval = Duration::from_secs(10);
    for member in ["a", "b", "c"] {
        kit.join(member, &["t"]);
    }
    assert_eq!((kit.group.group_epoch, kit.group.assignment_epoch), (3, 3));
    kit.beat("c", -1).unwrap();
    assert_eq!((kit.group.group_epoch, kit.group.assignment_epoch), (4, 3));
    let answer = kit.beat("a", 1).unwrap();
    assert_eq!(answer.member_epoch, 3, "the assignment it has is that of epoch 3");
    kit.pass(9_999);
    assert_eq!(kit.group.assignment_epoch, 3);
    kit.pass(1);
    assert_eq!(kit.group.assignment_epoch, 4);
    kit.beat("b", -1).unwrap();
    assert_eq!(kit.group.assignment_epoch, 4);
    kit.join("d", &["t"]);
    assert_eq!((kit.group.group_epoch, kit.group.assignment_epoch), (6, 6));
}

#[test]
fn what_a_member_says_of_itself_is_kept() {
    let mut kit = Kit::new(&[("t", 1), ("u", 1)]);
    let joining = ShareHeartbeat { rack: Some("r".into()), ..Kit::request("a", 0, Some(&["t", "t"])) };
    kit.send(joining).unwrap();
    let persisted = kit.persisted;
    let moved = ShareHeartbeat { client_host: "/192.0.2.2".into(), ..Kit::request("a", 1, None) };
    kit.send(moved.clone()).unwrap();
    kit.send(moved).unwrap();
    assert_eq!((kit.persisted, kit.group.group_epoch), (persisted + 1, 1), "stored once, nothing is assigned anew");
    let described = kit.group.describe().members.remove(0);
    assert_eq!((described.rack.as_deref(), &*described.client_host), (Some("r"), "/192.0.2.2"));
    assert_eq!(described.subscribed, [TopicName::new("t").unwrap()]);
}

// ---------------------------------------------------------------- subscriptions and topics

#[test]
fn a_changed_subscription_is_assigned_and_no_subscription_is_no_departure() {
    let mut kit = Kit::new(&[("t", 2), ("u", 1)]);
    kit.join("a", &["t"]);
    kit.pass(1_000);
    let answer = kit.send(Kit::request("a", 1, Some(&["t", "u"]))).unwrap();
    assert_eq!(answer.assignment.map(|assignment| kit.shown(&assignment)), Some(vec!["t/0,1".into(), "u/0".into()]));
    let same = kit.send(Kit::request("a", 2, Some(&["u", "t"]))).unwrap();
    assert_eq!((same.member_epoch, same.assignment.map(|a| a.len())), (2, Some(2)), "who names topics is told");
    kit.pass(1_000);
    let nothing = kit.send(Kit::request("a", 2, Some(&[]))).unwrap();
    assert_eq!((nothing.member_epoch, nothing.assignment.map(|a| a.len())), (3, Some(0)));
    assert_eq!(kit.group.state(), ShareGroupState::Stable);
    assert_eq!(kit.group.topics.len(), 2);
}

#[test]
fn a_topic_that_comes_later_is_found_at_the_next_heartbeat() {
    let mut kit = Kit::new(&[]);
    assert_eq!(kit.join("a", &["t"]), (1, vec![]));
    kit.pass(5_000);
    assert_eq!(kit.beat("a", 1).unwrap().assignment, None);
    kit.topic("other", 1);
    assert_eq!(kit.beat("a", 1).unwrap().member_epoch, 1);
    kit.topic("t", 1);
    let answer = kit.beat("a", 1).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment.map(|a| kit.shown(&a))), (2, Some(vec!["t/0".to_owned()])));
    assert_eq!(kit.initialised, [(TopicIdPartition::new(kit.id_of("t"), PartitionIndex(0)), false)]);
}

#[test]
fn partitions_added_to_a_known_topic_begin_at_the_beginning() {
    let mut kit = Kit::new(&[("t", 1)]);
    kit.join("a", &["t"]);
    kit.initialised.clear();
    kit.topic("t", 3);
    kit.pass(1_000);
    kit.beat("a", 1).unwrap();
    assert_eq!(kit.assigned("a"), ["t/0,1,2"]);
    let news: Vec<_> = kit.initialised.iter().map(|(new, beginning)| (new.partition.0, *beginning)).collect();
    assert_eq!(news, [(1, true), (2, true)]);
    // Also when nobody was there to see it, and another agent is the home now.
    kit.beat("a", -1).unwrap();
    kit.restart();
    kit.topic("t", 4);
    kit.join("b", &["t"]);
    assert_eq!(kit.initialised.last().map(|(new, beginning)| (new.partition.0, *beginning)), Some((3, true)));
}

#[test]
fn a_deleted_topic_is_forgotten_and_its_name_begins_anew() {
    let mut kit = Kit::new(&[("t", 2), ("u", 1)]);
    kit.join("a", &["t", "u"]);
    let former = kit.id_of("t");
    kit.delete_topic("t");
    kit.topic("t", 1);
    kit.pass(1_000);
    let answer = kit.beat("a", 1).unwrap();
    assert_eq!(answer.assignment.map(|a| kit.shown(&a)), Some(vec!["u/0".to_owned(), "t/0".to_owned()]));
    assert_eq!(kit.forgotten, [0, 1].map(|index| TopicIdPartition::new(former, PartitionIndex(index))));
    assert_eq!(kit.initialised.last().map(|(_, beginning)| *beginning), Some(false));
    // A topic that nobody reads any more is forgotten without a rebalance.
    kit.pass(1_000);
    kit.send(Kit::request("a", 2, Some(&["t"]))).unwrap();
    let epoch = kit.group.group_epoch;
    kit.delete_topic("u");
    kit.tick();
    assert_eq!((kit.group.topics.len(), kit.group.group_epoch), (1, epoch));
}

#[test]
fn very_many_partitions_come_and_go_in_steps() {
    let mut kit = Kit::new(&[("t", 25)]);
    kit.documents_max = 10;
    assert_eq!(kit.join("a", &["t"]).1, ["t/0,1,2,3,4,5,6,7,8,9"]);
    kit.pass(3_000);
    assert_eq!((kit.initialised.len(), kit.group.topics[&kit.id_of("t")].initialised.len()), (25, 25));
    assert!(kit.initialised.iter().all(|(_, from_the_beginning)| !from_the_beginning));
    let answer = kit.beat("a", 1).unwrap();
    assert_eq!(answer.assignment.map(|a| a.values().map(Vec::len).sum()), Some(25));
    kit.initialised.clear();
    kit.topic("t", 48);
    kit.beat("a", answer.member_epoch).unwrap();
    kit.pass(3_000);
    assert_eq!(kit.initialised.len(), 23);
    assert!(kit.initialised.iter().all(|(_, from_the_beginning)| *from_the_beginning));
    kit.delete_topic("t");
    kit.tick();
    kit.pass(3_000);
    assert_eq!((kit.forgotten.len(), kit.group.topics.len()), (48, 0));
    assert_eq!(kit.assigned("a"), Vec::<String>::new());
}

#[test]
fn another_home_goes_on_where_the_group_stood() {
    let mut kit = Kit::new(&[("t", 4)]);
    kit.join("a", &["t"]);
    kit.join("b", &["t"]);
    // Told, but not stored: only a change is.
    assert_eq!(kit.beat("a", 1).unwrap().member_epoch, 2);
    kit.restart();
    let answer = kit.beat("a", 2).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (2, None), "no rebalance");
    kit.restart();
    let answer = kit.beat("a", 1).unwrap();
    assert!(answer.assignment.is_some(), "it may have missed the answer");
    kit.restart();
    assert_eq!(kit.beat("a", 3), Err(Condition::FencedMemberEpoch), "nobody can have told it 3");
    assert_eq!(kit.beat("b", 2).unwrap().assignment, None);
    assert_eq!((kit.group.group_epoch, kit.group.assignment_epoch), (2, 2));
}

// ---------------------------------------------------------------- whatever happens

/// A member as its client knows it.
#[derive(Clone, Debug, Default)]
struct Client {
    epoch: i32,
    assigned: Option<crate::coordinator::share::values::Assignment>,
    /// It missed an answer; after a second one it would be fenced, as in Kafka.
    missed: bool,
}

#[derive(Clone, Debug)]
enum Happening {
    Join(usize, bool),
    Beat(usize, bool),
    Subscribe(usize, bool),
    Leave(usize),
    Pass(u64),
    Topic(usize, i32),
    DeleteTopic(usize),
    Restart,
}

fn happening() -> impl Strategy<Value = Happening> {
    let member = 0..4_usize;
    prop_oneof![
        2 => (member.clone(), any::<bool>()).prop_map(|(member, both)| Happening::Join(member, both)),
        6 => (member.clone(), any::<bool>()).prop_map(|(member, lost)| Happening::Beat(member, lost)),
        1 => (member.clone(), any::<bool>()).prop_map(|(member, both)| Happening::Subscribe(member, both)),
        1 => member.prop_map(Happening::Leave),
        2 => (0..2_000_u64).prop_map(Happening::Pass),
        1 => (0..2_usize, 0..3).prop_map(|(topic, more)| Happening::Topic(topic, more)),
        1 => (0..2_usize).prop_map(Happening::DeleteTopic),
        1 => Just(Happening::Restart),
    ]
}

const TOPICS: [&str; 2] = ["t", "u"];
const MEMBERS: [&str; 4] = ["a", "b", "c", "d"];

/// A group with its clients.
struct World {
    kit: Kit,
    clients: [Option<Client>; 4],
    counts: [i32; 2],
}

impl World {
    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Join(member, both) => self.send(member, 0, Some(&TOPICS[..1 + usize::from(both)]), false),
            Happening::Subscribe(member, both) => {
                let Some(client) = &self.clients[member] else { return };
                self.send(member, client.epoch, Some(&TOPICS[usize::from(both)..]), false);
            }
            Happening::Beat(member, lost) => {
                let Some(client) = &self.clients[member] else { return };
                let (epoch, lost) = (client.epoch, lost && !client.missed);
                self.send(member, epoch, None, lost);
            }
            Happening::Leave(member) => {
                if self.clients[member].take().is_some() {
                    self.kit.beat(MEMBERS[member], -1).unwrap();
                }
            }
            Happening::Pass(ms) => self.kit.pass(ms),
            Happening::Topic(topic, more) => {
                self.counts[topic] += more;
                if self.counts[topic] > 0 {
                    self.kit.topic(TOPICS[topic], self.counts[topic]);
                }
            }
            Happening::DeleteTopic(topic) => {
                if std::mem::take(&mut self.counts[topic]) > 0 {
                    self.kit.delete_topic(TOPICS[topic]);
                }
            }
            Happening::Restart => {
                if self.kit.group.exists {
                    self.kit.restart();
                }
            }
        }
    }

    fn send(&mut self, member: usize, epoch: i32, topics: Option<&[&str]>, lost: bool) {
        let answer = self.kit.send(Kit::request(MEMBERS[member], epoch, topics));
        let answer = answer.expect("whoever behaves is not refused");
        if lost {
            if let Some(client) = &mut self.clients[member] {
                client.missed = true;
            }
            return;
        }
        let client = self.clients[member].get_or_insert_default();
        client.epoch = answer.member_epoch;
        client.missed = false;
        client.assigned = answer.assignment.or(client.assigned.take());
        let known = &self.kit.group.members[&MEMBERS[member].into()].assigned;
        assert_eq!(client.assigned.as_ref(), Some(known), "the client knows what it may fetch from");
    }
}

proptest! {
    #[test]
    fn clients_know_what_they_have_and_in_the_end_everything_is_assigned(
        happenings in proptest::collection::vec(happening(), 1..60),
        documents_max in 1..6_usize,
    ) {
        let mut world = World { kit: Kit::new(&[]), clients: Default::default(), counts: [0, 0] };
        world.kit.documents_max = documents_max;
        for happening in happenings {
            // Sessions are long against what a test lasts; expiry has its own test.
            world.kit.limits.session_timeout = Duration::from_secs(100_000);
            world.happen(happening);
        }
        if world.kit.group.exists {
            world.kit.tick();
            world.kit.pass(10_000);
        }
        let group = &world.kit.group;
        prop_assert_eq!(group.assignment_epoch, group.group_epoch);
        for (topic_id, record) in &world.kit.catalog.topics_by_id {
            let is_wanted = group.members.values().any(|member| member.subscribed.contains(&record.name));
            for index in (0..record.partition_count).map(PartitionIndex) {
                let has = |assigned: &crate::coordinator::share::values::Assignment| {
                    assigned.get(topic_id).is_some_and(|partitions| partitions.contains(&index))
                };
                prop_assert_eq!(group.members.values().any(|member| has(&member.assigned)), is_wanted);
            }
        }
        prop_assert!(group.topics.keys().all(|topic_id| world.kit.catalog.topics_by_id.contains_key(topic_id)));
        // No share partition comes or goes twice.
        let mut living = std::collections::BTreeSet::new();
        for (partition, _) in &world.kit.initialised {
            prop_assert!(living.insert(*partition), "{} twice", partition);
        }
        for partition in &world.kit.forgotten {
            prop_assert!(living.remove(partition), "{} was not there", partition);
        }
        prop_assert_eq!(living, group.initialised().collect());
    }
}
