//! Cases of the object ledger.

use std::time::Duration;

use crate::metastore::conformance::kit::{Bench, plain};
use crate::metastore::conformance::suite::Case;
use crate::metastore::error::MetastoreError;
use crate::metastore::values::{LogStartMove, ObjectState};

/// Every case.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("the ledger knows committed, tombstoned and unknown keys", the_ledger_knows_keys),
        Case::new("a committed object can not be tombstoned", a_committed_object_can_not_be_tombstoned),
        Case::new("dereferenced objects are found after their grace", dereferenced_after_grace),
        Case::new("dereferenced objects are limited", dereferenced_is_limited),
        Case::new("forgetting spares what extents refer to", forgetting_spares_the_living),
    ]
}

async fn the_ledger_knows_keys(bench: Bench) {
    let to = bench.partition("topic").await;
    bench.append("committed", to, vec![plain(1, 10)]).await;
    let keys = ["unknown", "committed", "tombstoned", "committed"].map(|name| bench.object(name)).to_vec();
    bench.metastore.tombstone(vec![keys[2].clone()]).await.expect("answered");
    let states = bench.metastore.object_states(keys).await.expect("answered");
    let committed = ObjectState::Committed { extent_count: 1 };
    assert_eq!(states, [ObjectState::Unknown, committed, ObjectState::Tombstoned, committed]);
}

async fn a_committed_object_can_not_be_tombstoned(bench: Bench) {
    let to = bench.partition("topic").await;
    bench.append("committed", to, vec![plain(1, 10)]).await;
    let keys = ["committed", "unknown"].map(|name| bench.object(name)).to_vec();
    for _ in 0..2 {
        assert_eq!(bench.metastore.tombstone(keys.clone()).await.expect("answered"), [false, true]);
    }
    let states = bench.metastore.object_states(keys).await.expect("answered");
    assert_eq!(states, [ObjectState::Committed { extent_count: 1 }, ObjectState::Tombstoned]);
    assert_eq!(bench.extents(to, 0).await.len(), 1);
}

/// An object that had extents and lost them.
async fn drop_all(bench: &Bench, topic: &str, object: &str) {
    let to = bench.partition(topic).await;
    bench.append(object, to, vec![plain(1, 10)]).await;
    let moved = bench.metastore.move_log_start(vec![LogStartMove { partition: to, offset: None }]).await;
    moved.expect("answered");
}

async fn dereferenced_after_grace(bench: Bench) {
    let to = bench.partition("topic").await;
    bench.append("living", to, vec![plain(1, 10)]).await;
    drop_all(&bench, "other", "left").await;
    let due = async |grace| bench.metastore.dereferenced(grace, u32::MAX).await.expect("answered");
    assert!(!due(Duration::from_secs(3600)).await.contains(&bench.object("left")), "its grace is not over");
    let now = due(Duration::ZERO).await;
    assert!(now.contains(&bench.object("left")) && !now.contains(&bench.object("living")));
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(due(Duration::from_millis(10)).await.contains(&bench.object("left")));
}

async fn dereferenced_is_limited(bench: Bench) {
    for index in 0..3 {
        drop_all(&bench, &format!("topic-{index}"), &format!("left-{index}")).await;
    }
    let due = bench.metastore.dereferenced(Duration::ZERO, 2).await.expect("answered");
    assert_eq!(due.len(), 2);
    assert!(bench.metastore.dereferenced(Duration::ZERO, 0).await.expect("answered").is_empty());
}

async fn forgetting_spares_the_living(bench: Bench) {
    let to = bench.partition("topic").await;
    bench.append("living", to, vec![plain(1, 10)]).await;
    drop_all(&bench, "other", "left").await;
    let keys = ["living", "left", "tombstoned", "unknown"].map(|name| bench.object(name)).to_vec();
    bench.metastore.tombstone(vec![keys[2].clone()]).await.expect("answered");
    for _ in 0..2 {
        bench.metastore.forget(keys.clone()).await.expect("forgotten");
    }
    let states = bench.metastore.object_states(keys.clone()).await.expect("answered");
    let living = ObjectState::Committed { extent_count: 1 };
    assert_eq!(states, [living, ObjectState::Unknown, ObjectState::Unknown, ObjectState::Unknown]);
    assert!(!bench.metastore.dereferenced(Duration::ZERO, u32::MAX).await.expect("answered").contains(&keys[1]));
    let commit = bench.commit_of("living", Vec::new());
    let again = bench.metastore.commit_object(commit).await;
    assert!(!matches!(again, Err(MetastoreError::Tombstoned { .. })), "the living keeps its receipt");
}
