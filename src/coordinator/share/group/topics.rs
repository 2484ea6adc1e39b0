//! Share partitions come and go with the topics that members subscribe to.

use crate::coordinator::share::group::decide::{Initialised, Turn};
use crate::coordinator::share::group::state::ShareGroup;
use crate::metastore::values::TopicRecord;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};

impl ShareGroup {
    /// Compares topics with the catalog, unless neither it nor what members subscribe to has changed: what is deleted
    /// is forgotten, what is new is initialised. What does not fit into one step is left for the next.
    pub fn compare_topics(&mut self, turn: &mut Turn<'_>) {
        let catalog = turn.surroundings.catalog;
        if self.seen_catalog == Some(catalog.version) && !self.topics_unfinished {
            return;
        }
        self.seen_catalog = Some(catalog.version);
        self.topics_unfinished = false;
        let is_gone = |topic_id: &&TopicId| !catalog.topics_by_id.contains_key(topic_id);
        let gone: Vec<TopicId> = self.topics.keys().filter(is_gone).copied().collect();
        for topic_id in gone {
            self.forget_topic(topic_id, turn);
        }
        let topics: Vec<_> = self.subscribed().into_iter().filter_map(|name| catalog.topics.get(name)).collect();
        for topic in topics {
            self.initialise_topic(topic, turn);
        }
    }

    fn forget_topic(&mut self, topic_id: TopicId, turn: &mut Turn<'_>) {
        turn.bump |= self.members.values().any(|member| member.assigned.contains_key(&topic_id));
        let Some(topic) = self.topics.get(&topic_id) else { return };
        let left = turn.documents_left();
        self.topics_unfinished |= topic.initialised.len() > left;
        let going = topic.initialised.iter().take(left).map(|partition| TopicIdPartition::new(topic_id, *partition));
        let going: Vec<_> = going.collect();
        for partition in going {
            self.forget(partition);
            turn.effects.forget.push(partition);
            turn.effects.persist = true;
        }
    }

    fn initialise_topic(&mut self, record: &TopicRecord, turn: &mut Turn<'_>) {
        let is_known = self.topics.contains_key(&record.topic_id);
        let topic = self.topics.entry(record.topic_id).or_default();
        let known_count = if is_known { topic.partition_count } else { record.partition_count };
        let mut looked_at = 0;
        for index in 0..record.partition_count {
            let partition = TopicIdPartition::new(record.topic_id, PartitionIndex(index));
            if !topic.initialised.contains(&partition.partition) {
                if turn.documents_left() == 0 {
                    self.topics_unfinished = true;
                    break;
                }
                let from_the_beginning = index >= known_count;
                turn.effects.initialise.push(Initialised { partition, from_the_beginning });
                topic.initialised.insert(partition.partition);
                turn.bump = true;
            }
            looked_at = index + 1;
        }
        topic.partition_count = known_count.max(looked_at);
        if topic.initialised.is_empty() {
            self.topics.remove(&record.topic_id);
        }
    }
}
