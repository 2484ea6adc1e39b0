//! The names of objects below the cluster's prefix. Nothing else makes keys.
//!
//! ```text
//! towpath-cluster.json                        binds the prefix to one cluster
//! wal/3f/3fa09c…                              WAL objects: 32 hex digits, the first two repeated as a folder
//! metastore/…                                 the embedded metastore
//! probe/9c1b…                                 short-lived: what the start-up probe writes and deletes
//! ```
//!
//! A store spreads keys over its machines by their beginnings; random digits directly after `wal/` give it 256
//! places to cut. Keys hold no `%`: some servers decode it when they list.

use crate::base::rng::Rng;
use crate::model::object::ObjectKey;

/// The object that binds the prefix to one cluster.
pub const IDENTITY_KEY: &str = "towpath-cluster.json";

/// The folder of the embedded metastore, without slashes at its ends.
pub const METASTORE_FOLDER: &str = "metastore";

/// The folder of WAL objects, without slashes at its ends.
pub const WAL_FOLDER: &str = "wal";

/// A new WAL object's key; 122 random bits, so that it is never given twice.
#[must_use]
pub fn wal_key(rng: &Rng) -> ObjectKey {
    let id = rng.uuid().simple().to_string();
    ObjectKey::from(format!("{WAL_FOLDER}/{}/{id}", &id[..2]).as_str())
}

/// Whether `key` has the form that [`wal_key`] gives.
#[must_use]
pub fn is_wal_key(key: &ObjectKey) -> bool {
    let mut parts = key.as_str().split('/');
    let (folder, shard, id, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(shard), Some(id), None) = (shard, id, rest) else { return false };
    let lower_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    folder == Some(WAL_FOLDER)
        && id.len() == 32
        && id.chars().all(lower_hex)
        && shard.len() == 2
        && id.starts_with(shard)
}

/// A key for the start-up probe.
#[must_use]
pub(crate) fn probe_key(rng: &Rng) -> ObjectKey {
    ObjectKey::from(format!("probe/{}", rng.uuid().simple()).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wal_keys_are_recognised_and_spread() {
        let rng = Rng::from_seed(7);
        let keys: std::collections::BTreeSet<_> = (0..2_000).map(|_| wal_key(&rng)).collect();
        assert_eq!(keys.len(), 2_000);
        assert!(keys.iter().all(is_wal_key));
        let shards: std::collections::BTreeSet<_> = keys.iter().map(|key| key.as_str()[4..6].to_owned()).collect();
        assert!(shards.len() > 250, "{}", shards.len());
    }

    #[test]
    fn other_keys_are_not_wal_keys() {
        let id = "3fa09c3fa09c3fa09c3fa09c3fa09c3f";
        for key in [
            IDENTITY_KEY.to_owned(),
            format!("wal/{id}"),
            format!("wal/3a/{id}"),
            format!("wal/3f/{id}0"),
            format!("wal/3f/{id}/x"),
            format!("WAL/3f/{id}"),
            format!("wal/3f/{}", id.to_uppercase()),
            "wal//".to_owned(),
            "metastore/wal/x".to_owned(),
        ] {
            assert!(!is_wal_key(&ObjectKey::from(key.as_str())), "{key}");
        }
    }
}
