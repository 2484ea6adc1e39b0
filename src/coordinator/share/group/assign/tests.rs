use proptest::prelude::*;

use super::*;

fn topic(number: u128) -> TopicId {
    TopicId(uuid::Uuid::from_u128(number))
}

fn partitions(counts: &[i32]) -> BTreeMap<TopicId, BTreeSet<PartitionIndex>> {
    (1..).zip(counts).map(|(number, count)| (topic(number), (0..*count).map(PartitionIndex).collect())).collect()
}

type Subscriptions = BTreeMap<MemberId, BTreeSet<TopicId>>;

fn subscriptions(members: &[(&str, &[u128])]) -> Subscriptions {
    members.iter().map(|(id, topics)| ((*id).into(), topics.iter().map(|number| topic(*number)).collect())).collect()
}

fn run(
    subscriptions: &Subscriptions,
    partitions: &BTreeMap<TopicId, BTreeSet<PartitionIndex>>,
    former: &BTreeMap<MemberId, Assignment>,
) -> BTreeMap<MemberId, Assignment> {
    let nothing = Assignment::new();
    let members = subscriptions
        .iter()
        .map(|(member_id, topics)| {
            let assigned = former.get(member_id).unwrap_or(&nothing);
            (member_id.clone(), Subscriber { topics: topics.clone(), assigned })
        })
        .collect();
    let partitions = partitions.iter().map(|(topic_id, indexes)| (*topic_id, indexes)).collect();
    assign(&members, &partitions)
}

/// The assignment as text: `a: 1/0,1` for partitions 0 and 1 of topic 1.
fn shown(assignment: &BTreeMap<MemberId, Assignment>) -> Vec<String> {
    let topic = |(topic_id, partitions): (&TopicId, &Vec<PartitionIndex>)| {
        let partitions: Vec<_> = partitions.iter().map(ToString::to_string).collect();
        format!("{}/{}", topic_id.0.as_u128(), partitions.join(","))
    };
    let member = |(member_id, assignment): (&MemberId, &Assignment)| {
        format!("{member_id}: {}", assignment.iter().map(topic).collect::<Vec<_>>().join(" "))
    };
    assignment.iter().map(member).collect()
}

#[test]
fn shares_are_as_even_as_they_can_be() {
    for (members, counts, expected) in [
        (&[("a", &[1][..])][..], &[3][..], &["a: 1/0,1,2"][..]),
        (&[("a", &[1]), ("b", &[1])], &[3], &["a: 1/0,1", "b: 1/2"]),
        (&[("a", &[1]), ("b", &[1]), ("c", &[1])], &[1], &["a: 1/0", "b: 1/0", "c: 1/0"]),
        (&[("a", &[1]), ("b", &[1]), ("c", &[1])], &[2], &["a: 1/0,1", "b: 1/0", "c: 1/1"]),
        (&[("a", &[1, 2]), ("b", &[1, 2])], &[1, 2], &["a: 1/0 2/0", "b: 2/1"]),
        (&[("a", &[1]), ("b", &[1, 2])], &[3, 1], &["a: 1/0,1", "b: 1/2 2/0"]),
        (&[("a", &[]), ("b", &[1])], &[1], &["a: ", "b: 1/0"]),
        (&[("a", &[9])], &[1], &["a: "]),
        (&[], &[1], &[]),
    ] {
        let assignment = run(&subscriptions(members), &partitions(counts), &BTreeMap::new());
        assert_eq!(shown(&assignment), expected, "{members:?} {counts:?}");
    }
}

#[test]
fn a_member_that_comes_or_goes_moves_no_more_than_it_must() {
    let two = subscriptions(&[("a", &[1]), ("b", &[1])]);
    let three = subscriptions(&[("a", &[1]), ("b", &[1]), ("c", &[1])]);
    let six = partitions(&[6]);
    let before = run(&two, &six, &BTreeMap::new());
    let after = run(&three, &six, &before);
    assert_eq!(shown(&after), ["a: 1/0,1", "b: 1/3,4", "c: 1/2,5"]);
    let again = run(&two, &six, &after);
    assert_eq!(shown(&again), ["a: 1/0,1,2", "b: 1/3,4,5"]);
    // The one with the most keeps it, whatever its name.
    let seven = run(&two, &partitions(&[7]), &again);
    assert_eq!(shown(&seven), ["a: 1/0,1,2,6", "b: 1/3,4,5"]);
    let without_first: BTreeMap<_, _> = BTreeMap::from([("b".into(), after[&"b".into()].clone())]);
    assert_eq!(shown(&run(&two, &six, &without_first)), ["a: 1/0,1,2", "b: 1/3,4,5"]);
}

#[test]
fn a_place_that_only_its_holder_is_left_for_goes_to_somebody_else() {
    let members = subscriptions(&[("a", &[1]), ("b", &[1]), ("c", &[1])]);
    let one = |index: i32| Assignment::from([(topic(1), vec![PartitionIndex(index)])]);
    // One member more is to have two partitions, and only partition 0, which a has, wants another member.
    let former = BTreeMap::from([("a".into(), one(0)), ("b".into(), one(1)), ("c".into(), one(1))]);
    assert_eq!(shown(&run(&members, &partitions(&[2]), &former)), ["a: 1/0,1", "b: 1/0", "c: 1/1"]);
}

fn count(assignment: &Assignment) -> usize {
    assignment.values().map(Vec::len).sum()
}

fn pairs(assignment: &BTreeMap<MemberId, Assignment>) -> BTreeSet<(MemberId, TopicIdPartition)> {
    let of_member = |(member_id, assignment): (&MemberId, &Assignment)| {
        let of_topic = |(topic_id, indexes): (&TopicId, &Vec<PartitionIndex>)| {
            indexes.iter().map(|index| TopicIdPartition::new(*topic_id, *index)).collect::<Vec<_>>()
        };
        assignment.iter().flat_map(of_topic).map(|partition| (member_id.clone(), partition)).collect::<Vec<_>>()
    };
    assignment.iter().flat_map(of_member).collect()
}

/// What holds of every assignment.
fn check(
    subscriptions: &Subscriptions,
    partitions: &BTreeMap<TopicId, BTreeSet<PartitionIndex>>,
    assignment: &BTreeMap<MemberId, Assignment>,
) {
    assert!(assignment.keys().eq(subscriptions.keys()));
    for (member_id, share) in assignment {
        for (topic_id, indexes) in share {
            assert!(subscriptions[member_id].contains(topic_id), "{member_id} does not subscribe to {topic_id}");
            assert!(indexes.windows(2).all(|pair| pair[0] < pair[1]), "{indexes:?} are not ascending");
            assert!(indexes.iter().all(|index| partitions[topic_id].contains(index)));
            assert!(!indexes.is_empty());
        }
        let has_choice = subscriptions[member_id].iter().any(|id| partitions.get(id).is_some_and(|p| !p.is_empty()));
        assert_eq!(count(share) > 0, has_choice, "{member_id}");
    }
    let pairs = pairs(assignment);
    for (topic_id, indexes) in partitions {
        let has_subscriber = subscriptions.values().any(|topics| topics.contains(topic_id));
        for index in indexes {
            let partition = TopicIdPartition::new(*topic_id, *index);
            let is_assigned = pairs.iter().any(|(_, assigned)| *assigned == partition);
            assert_eq!(is_assigned, has_subscriber, "{partition}");
        }
    }
}

/// Members of a pool differ by one partition at most, partitions have all the same number of members.
fn check_balance(assignment: &BTreeMap<MemberId, Assignment>, partition_count: usize) {
    let shares: Vec<_> = assignment.values().map(count).collect();
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    assert!(most - least <= 1, "{shares:?}");
    let sharing = assignment.len().div_ceil(partition_count);
    let pairs = pairs(assignment);
    let mut holders: BTreeMap<TopicIdPartition, usize> = BTreeMap::new();
    pairs.iter().for_each(|(_, partition)| *holders.entry(*partition).or_default() += 1);
    assert!(holders.values().all(|holders| *holders == sharing), "{holders:?}");
}

proptest! {
    #[test]
    fn a_homogeneous_group_is_balanced_and_stays_so(
        steps in proptest::collection::vec((1..14_usize, 0..14_usize, 1..5_i32, 0..5_i32), 1..8),
    ) {
        let mut former = BTreeMap::new();
        for (member_count, first, one, two) in steps {
            let subscriptions: Subscriptions = (first..first + member_count)
                .map(|number| (MemberId(format!("m{number}").into()), BTreeSet::from([topic(1), topic(2)])))
                .collect();
            let partitions = partitions(&[one, two]);
            let assignment = run(&subscriptions, &partitions, &former);
            check(&subscriptions, &partitions, &assignment);
            check_balance(&assignment, usize::try_from(one + two).unwrap());
            prop_assert_eq!(&run(&subscriptions, &partitions, &assignment), &assignment, "it is sticky");
            prop_assert_eq!(&run(&subscriptions, &partitions, &former), &assignment, "it is deterministic");
            former = assignment;
        }
    }

    #[test]
    fn a_newcomer_takes_from_the_others_only_what_is_its_share(member_count in 1..10_usize, count in 10..60_i32) {
        let member = |number: usize| (MemberId(format!("m{number:02}").into()), BTreeSet::from([topic(1)]));
        let mut subscriptions: Subscriptions = (0..member_count).map(member).collect();
        let partitions = partitions(&[count]);
        let before = run(&subscriptions, &partitions, &BTreeMap::new());
        subscriptions.extend([member(member_count)]);
        let after = run(&subscriptions, &partitions, &before);
        let moved = pairs(&after).difference(&pairs(&before)).count();
        prop_assert_eq!(moved, after.values().last().map_or(0, super::tests::count));
    }

    #[test]
    fn a_heterogeneous_group_leaves_nothing_and_nobody_out(
        steps in proptest::collection::vec(
            (proptest::collection::btree_map(0..12_u32, 0..8_u8, 1..10), proptest::collection::vec(0..6_i32, 3)),
            1..6,
        ),
    ) {
        let mut former = BTreeMap::new();
        for (members, counts) in steps {
            let topics = |bits: u8| (0..3_u8).filter(move |bit| bits & (1 << bit) != 0).map(|bit| topic(u128::from(bit) + 1));
            let subscriptions: Subscriptions = members
                .into_iter()
                .map(|(number, bits)| (MemberId(format!("m{number}").into()), topics(bits).collect()))
                .collect();
            let partitions = partitions(&counts);
            let assignment = run(&subscriptions, &partitions, &former);
            check(&subscriptions, &partitions, &assignment);
            prop_assert_eq!(&run(&subscriptions, &partitions, &assignment), &assignment, "it is sticky");
            former = assignment;
        }
    }
}
