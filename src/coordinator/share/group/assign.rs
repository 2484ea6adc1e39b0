//! The assignor `simple`, the only one that share groups have.
//!
//! Members that all subscribe to the same share all partitions as one pool; otherwise every topic is a pool of its own,
//! shared out among its subscribers. In a pool of `P` partitions and `M` members every partition has `ceil(M / P)`
//! members, and every member has as many partitions as any other, give or take one. What a member had it keeps as far
//! as that allows. The same input always gives the same assignment.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::coordinator::share::values::Assignment;
use crate::model::group::MemberId;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};

/// A member as the assignor sees it.
#[derive(Clone, Debug)]
pub struct Subscriber<'a> {
    /// Topics it subscribes to that exist.
    pub topics: BTreeSet<TopicId>,
    /// What it has now.
    pub assigned: &'a Assignment,
}

/// Who gets what. Every member has an entry, if an empty one; partitions are in ascending order.
#[must_use]
pub fn assign<'a>(
    members: &'a BTreeMap<MemberId, Subscriber<'a>>,
    partitions: &BTreeMap<TopicId, &BTreeSet<PartitionIndex>>,
) -> BTreeMap<MemberId, Assignment> {
    let mut shares: Shares<'a> = members.keys().map(|member_id| (member_id, BTreeSet::new())).collect();
    let topics: BTreeSet<TopicId> = members.values().flat_map(|member| member.topics.iter().copied()).collect();
    let all_of = |topic_id: TopicId| {
        let partitions = partitions.get(&topic_id).into_iter().copied().flatten();
        partitions.map(move |partition| TopicIdPartition::new(topic_id, *partition))
    };
    if members.values().all(|member| member.topics == topics) {
        let pool = topics.iter().flat_map(|topic_id| all_of(*topic_id)).collect();
        share_out(members.iter().collect(), &pool, &mut shares);
    } else {
        for topic_id in topics {
            let subscribers = members.iter().filter(|(_, member)| member.topics.contains(&topic_id)).collect();
            share_out(subscribers, &all_of(topic_id).collect(), &mut shares);
        }
    }
    let by_topic = |share: BTreeSet<TopicIdPartition>| {
        let mut assignment = Assignment::new();
        for TopicIdPartition { topic_id, partition } in share {
            assignment.entry(topic_id).or_default().push(partition);
        }
        assignment
    };
    shares.into_iter().map(|(member_id, share)| (member_id.clone(), by_topic(share))).collect()
}

/// What each member has got so far.
type Shares<'a> = BTreeMap<&'a MemberId, BTreeSet<TopicIdPartition>>;

/// Shares one pool out among its subscribers, and adds it to what they have from other pools.
fn share_out<'a>(
    mut subscribers: Vec<(&'a MemberId, &Subscriber<'a>)>,
    partitions: &BTreeSet<TopicIdPartition>,
    shares: &mut Shares<'a>,
) {
    if subscribers.is_empty() || partitions.is_empty() {
        return;
    }
    let former = |member: &Subscriber<'_>| -> Vec<TopicIdPartition> {
        let of_topic = |(topic_id, indexes): (&TopicId, &Vec<PartitionIndex>)| {
            let topic_id = *topic_id;
            indexes.iter().map(|index| TopicIdPartition::new(topic_id, *index)).collect::<Vec<_>>()
        };
        member.assigned.iter().flat_map(of_topic).filter(|partition| partitions.contains(partition)).collect()
    };
    // The larger shares go to those who have most here, so that they can keep it, then to those who have least
    // elsewhere.
    subscribers.sort_by_cached_key(|(member_id, member)| {
        (Reverse(former(member).len()), shares.get(member_id).map_or(0, BTreeSet::len), *member_id)
    });
    let mut pool = Pool::new(subscribers.len(), partitions);
    let quotas = quotas(subscribers.len(), pool.sharing * partitions.len());
    for ((member_id, member), quota) in subscribers.iter().zip(&quotas) {
        former(member).into_iter().take(*quota).for_each(|partition| pool.keep(member_id, partition));
    }
    let mut hungry: Vec<_> = subscribers.iter().map(|(member_id, _)| *member_id).zip(quotas).collect();
    hungry.sort();
    for (member_id, quota) in hungry {
        while pool.share_of(member_id) < quota && pool.fill(member_id) {}
    }
    for (member_id, share) in pool.shares {
        shares.entry(member_id).or_default().extend(share);
    }
}

/// `total` places in as many parts that differ by one at most, the larger ones first.
fn quotas(parts: usize, total: usize) -> Vec<usize> {
    let (least, larger) = (total / parts, total % parts);
    (0..parts).map(|part| least + usize::from(part < larger)).collect()
}

/// Partitions that are being shared out.
struct Pool<'a> {
    /// How many members a partition is to have.
    sharing: usize,
    holders: BTreeMap<TopicIdPartition, BTreeSet<&'a MemberId>>,
    shares: Shares<'a>,
    /// Partitions that want more members, those with the fewest first.
    open: BTreeSet<(usize, TopicIdPartition)>,
}

impl<'a> Pool<'a> {
    fn new(subscriber_count: usize, partitions: &BTreeSet<TopicIdPartition>) -> Self {
        Self {
            sharing: subscriber_count.div_ceil(partitions.len()),
            holders: partitions.iter().map(|partition| (*partition, BTreeSet::new())).collect(),
            shares: Shares::new(),
            open: partitions.iter().map(|partition| (0, *partition)).collect(),
        }
    }

    fn share_of(&self, member_id: &MemberId) -> usize {
        self.shares.get(member_id).map_or(0, BTreeSet::len)
    }

    fn holds(&self, member_id: &MemberId, partition: &TopicIdPartition) -> bool {
        self.holders.get(partition).is_some_and(|holders| holders.contains(member_id))
    }

    /// Leaves a member what it had, unless enough others have it.
    fn keep(&mut self, member_id: &'a MemberId, partition: TopicIdPartition) {
        if self.holders.get(&partition).is_some_and(|holders| holders.len() < self.sharing) {
            self.give(member_id, partition);
        }
    }

    fn give(&mut self, member_id: &'a MemberId, partition: TopicIdPartition) {
        let Some(holders) = self.holders.get_mut(&partition) else { return };
        let before = holders.len();
        if holders.insert(member_id) {
            self.open.remove(&(before, partition));
            if before + 1 < self.sharing {
                self.open.insert((before + 1, partition));
            }
            self.shares.entry(member_id).or_default().insert(partition);
        }
    }

    /// Gives a member one more partition; says whether there was one.
    fn fill(&mut self, member_id: &'a MemberId) -> bool {
        let wanted = self.open.iter().map(|(_, partition)| *partition).find(|found| !self.holds(member_id, found));
        if let Some(partition) = wanted {
            self.give(member_id, partition);
            return true;
        }
        // What is left is its own already. Somebody else who has no part in that can take it, and give another
        // partition away for it.
        let Some((_, own)) = self.open.first().copied() else { return false };
        let is_swap = |(partition, holders): (&TopicIdPartition, &BTreeSet<&'a MemberId>)| {
            let other = holders.iter().find(|other| !self.holds(other, &own))?;
            (!holders.contains(member_id)).then_some((*partition, *other))
        };
        let Some((partition, other)) = self.holders.iter().find_map(is_swap) else { return false };
        if let Some(holders) = self.holders.get_mut(&partition) {
            holders.remove(other);
            holders.insert(member_id);
        }
        self.shares.entry(other).or_default().remove(&partition);
        self.shares.entry(member_id).or_default().insert(partition);
        self.give(other, own);
        true
    }
}

#[cfg(test)]
mod tests;
