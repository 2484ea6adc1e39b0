//! A bounded map that keeps what was used lately.

use std::collections::BTreeMap;

/// Two generations: what is used moves to the young one; when that is full, the old one is dropped. Holds between
/// one and two times `generation_max` entries, and forgets nothing that was used among the last `generation_max`.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: BTreeMap<K, V>,
    old: BTreeMap<K, V>,
    generation_max: usize,
}

impl<K: Ord + Clone, V: Clone> Recent<K, V> {
    /// An empty map.
    pub(super) fn new(generation_max: usize) -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new(), generation_max }
    }

    /// What is known of a key.
    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    /// Keeps a value.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_used_and_stays_bounded() {
        let mut recent = Recent::new(10);
        for number in 0..1000 {
            recent.insert(number, number);
            assert_eq!(recent.get(&0), Some(0), "used every time");
            assert!(recent.young.len() + recent.old.len() <= 20);
        }
        assert_eq!(recent.get(&999), Some(999));
        assert_eq!(recent.get(&500), None);
        recent.insert(999, 7);
        assert_eq!(recent.get(&999), Some(7));
        recent.clear();
        assert_eq!(recent.get(&999), None);
    }
}
