//! Cases of the state store.

use futures::future::join_all;

use crate::metastore::conformance::kit::{Bench, body};
use crate::metastore::conformance::suite::Case;
use crate::metastore::error::MetastoreError;
use crate::metastore::values::{
    DocumentChange, DocumentKey, DocumentKind, DocumentPut, DocumentVersion, DocumentWrite, Expect,
};

/// Every case.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("a document counts its versions from one", versions_count_from_one),
        Case::new("expectations hold or nothing happens", expectations_hold),
        Case::new("a conflict names the first document and applies nothing", a_conflict_applies_nothing),
        Case::new("versions never repeat after a deletion", versions_never_repeat),
        Case::new("a check changes nothing", a_check_changes_nothing),
        Case::new("deleting what is not there is no error", deleting_nothing),
        Case::new("kinds do not share names", kinds_do_not_share_names),
        Case::new("documents are listed by prefix, in order, page by page", documents_are_listed),
        Case::new("empty and binary contents are kept", contents_are_kept),
        Case::new("one of many writers at a version wins", one_writer_wins),
    ]
}

fn conflict(key: &DocumentKey) -> Result<u64, MetastoreError> {
    Err(MetastoreError::Conflict { key: key.clone() })
}

async fn versions_count_from_one(bench: Bench) {
    let key = bench.document(DocumentKind::Group, "group");
    assert_eq!(bench.read(&key).await, None);
    assert_eq!(bench.write(&key, Expect::Absent, body("a")).await, Ok(1));
    assert_eq!(bench.write(&key, Expect::Version(DocumentVersion(1)), body("b")).await, Ok(2));
    assert_eq!(bench.write(&key, Expect::Any, body("b")).await, Ok(3));
    assert_eq!(bench.read(&key).await, Some((3, "b".into())));
}

async fn expectations_hold(bench: Bench) {
    let key = bench.document(DocumentKind::Group, "group");
    let version = |version| Expect::Version(DocumentVersion(version));
    assert_eq!(bench.write(&key, version(1), body("a")).await, conflict(&key));
    assert_eq!(bench.write(&key, version(0), body("a")).await, conflict(&key));
    assert_eq!(bench.write(&key, Expect::Absent, body("a")).await, Ok(1));
    assert_eq!(bench.write(&key, Expect::Absent, body("b")).await, conflict(&key));
    assert_eq!(bench.write(&key, version(2), body("b")).await, conflict(&key));
    assert_eq!(bench.write(&key, version(2), DocumentChange::Delete).await, conflict(&key));
    assert_eq!(bench.read(&key).await, Some((1, "a".into())));
    assert_eq!(bench.write(&key, version(1), DocumentChange::Delete).await, Ok(1));
    assert_eq!(bench.read(&key).await, None);
    assert_eq!(bench.write(&key, version(1), body("b")).await, conflict(&key));
}

async fn a_conflict_applies_nothing(bench: Bench) {
    let names = ["one", "two", "three", "four"];
    let [one, two, three, four] = names.map(|name| bench.document(DocumentKind::CommittedOffset, name));
    bench.write(&two, Expect::Absent, body("held")).await.expect("created");
    bench.write(&three, Expect::Absent, body("held")).await.expect("created");
    let put = |key: &DocumentKey, expect, change| DocumentPut { key: key.clone(), expect, change };
    let puts = vec![
        put(&four, Expect::Any, body("new")),
        put(&three, Expect::Any, DocumentChange::Delete),
        put(&two, Expect::Absent, body("new")),
        put(&one, Expect::Version(DocumentVersion(1)), body("new")),
    ];
    let outcome = bench.metastore.write_documents(DocumentWrite { puts }).await;
    assert_eq!(outcome, Err(MetastoreError::Conflict { key: two.clone() }));
    assert_eq!((bench.read(&one).await, bench.read(&four).await), (None, None));
    assert_eq!(bench.read(&two).await, Some((1, "held".into())));
    assert_eq!(bench.read(&three).await, Some((1, "held".into())));
    let puts = vec![
        put(&one, Expect::Absent, body("new")),
        put(&two, Expect::Version(DocumentVersion(1)), body("new")),
        put(&three, Expect::Any, DocumentChange::Delete),
        put(&four, Expect::Absent, DocumentChange::Check),
    ];
    let versions = bench.metastore.write_documents(DocumentWrite { puts }).await.expect("all hold");
    assert_eq!(versions, [1, 2, 1, 0].map(DocumentVersion));
    assert_eq!(bench.metastore.write_documents(DocumentWrite::default()).await, Ok(vec![]));
}

async fn versions_never_repeat(bench: Bench) {
    let key = bench.document(DocumentKind::ShareGroup, "group");
    let mut last = 0;
    for _ in 0..3 {
        for text in ["a", "b"] {
            let version = bench.write(&key, Expect::Any, body(text)).await.expect("written");
            assert!(version > last, "{version} after {last}");
            last = version;
        }
        assert_eq!(bench.write(&key, Expect::Any, DocumentChange::Delete).await, Ok(last));
        let created = bench.write(&key, Expect::Absent, body("c")).await.expect("created again");
        assert!(created > last, "{created} after {last}");
        last = created;
        assert_eq!(bench.read(&key).await.map(|(version, _)| version), Some(created));
    }
}

async fn a_check_changes_nothing(bench: Bench) {
    let key = bench.document(DocumentKind::Transaction, "id");
    let check = DocumentChange::Check;
    assert_eq!(bench.write(&key, Expect::Absent, check.clone()).await, Ok(0));
    assert_eq!(bench.read(&key).await, None);
    bench.write(&key, Expect::Any, body("a")).await.expect("written");
    assert_eq!(bench.write(&key, Expect::Version(DocumentVersion(1)), check.clone()).await, Ok(1));
    assert_eq!(bench.write(&key, Expect::Any, check.clone()).await, Ok(1));
    assert_eq!(bench.write(&key, Expect::Absent, check.clone()).await, conflict(&key));
    assert_eq!(bench.write(&key, Expect::Version(DocumentVersion(2)), check).await, conflict(&key));
    assert_eq!(bench.read(&key).await, Some((1, "a".into())));
}

async fn deleting_nothing(bench: Bench) {
    let key = bench.document(DocumentKind::Group, "group");
    assert_eq!(bench.write(&key, Expect::Any, DocumentChange::Delete).await, Ok(0));
    assert_eq!(bench.write(&key, Expect::Absent, body("a")).await, Ok(1), "nothing was there");
    assert_eq!(bench.write(&key, Expect::Any, DocumentChange::Delete).await, Ok(1));
    bench.write(&key, Expect::Absent, DocumentChange::Delete).await.expect("gone already");
    assert_eq!(bench.read(&key).await, None);
}

async fn kinds_do_not_share_names(bench: Bench) {
    let keys = DocumentKind::ALL.map(|kind| bench.document(kind, "same"));
    for (index, key) in keys.iter().enumerate() {
        bench
            .write(key, Expect::Absent, DocumentChange::Put(vec![u8::try_from(index).expect("small")].into()))
            .await
            .expect("free");
    }
    let found = bench.metastore.get_documents(keys.to_vec()).await.expect("readable");
    for (index, document) in found.into_iter().enumerate() {
        let document = document.expect("exists");
        assert_eq!(
            (document.key, document.body.to_vec()),
            (keys[index].clone(), vec![u8::try_from(index).expect("small")])
        );
    }
}

async fn documents_are_listed(bench: Bench) {
    let kind = DocumentKind::CommittedOffset;
    let names = ["a", "a/b", "a0", "b", "b/", "b/\u{e9}", "b/z", "ba", "\u{1F600}"];
    for name in names.iter().rev() {
        bench.write(&bench.document(kind, name), Expect::Absent, body("x")).await.expect("free");
    }
    let gone = bench.document(kind, "b/gone");
    bench.write(&gone, Expect::Absent, body("x")).await.expect("free");
    bench.write(&gone, Expect::Any, DocumentChange::Delete).await.expect("deleted");
    bench.write(&bench.document(DocumentKind::Group, "b/other kind"), Expect::Absent, body("x")).await.expect("free");
    let root = bench.document(kind, "").name;
    let list = async |prefix: &str, after: Option<&str>, limit: u32| -> Vec<String> {
        let after = after.map(|after| format!("{root}{after}").into());
        let found = bench.metastore.list_documents(kind, &format!("{root}{prefix}"), after, limit).await;
        let strip = |name: &str| name.strip_prefix(root.as_ref()).expect("of this bench").to_owned();
        found.expect("listed").iter().map(|document| strip(&document.key.name)).collect()
    };
    let mut sorted = names.to_vec();
    sorted.sort_unstable_by(|left, right| left.as_bytes().cmp(right.as_bytes()));
    assert_eq!(list("", None, 100).await, sorted);
    assert_eq!(list("b/", None, 100).await, ["b/", "b/z", "b/\u{e9}"]);
    assert_eq!(list("b/", Some("b/"), 100).await, ["b/z", "b/\u{e9}"]);
    assert_eq!(list("b/", Some("a"), 100).await, ["b/", "b/z", "b/\u{e9}"]);
    assert_eq!(list("b/", Some("c"), 100).await, [""; 0]);
    assert_eq!(list("b/", Some("b/aa"), 1).await, ["b/z"]);
    assert_eq!(list("nothing", None, 100).await, [""; 0]);
    let mut paged = Vec::new();
    loop {
        let page = list("", paged.last().map(String::as_str), 2).await;
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, sorted);
}

async fn contents_are_kept(bench: Bench) {
    let key = bench.document(DocumentKind::SharePartition, "empty");
    bench.write(&key, Expect::Any, body("")).await.expect("written");
    assert_eq!(bench.read(&key).await, Some((1, "".into())), "an empty document exists");
    let binary: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let key = bench.document(DocumentKind::SharePartition, "it's \"odd\" \\ % _ \u{1F600}");
    bench.write(&key, Expect::Any, DocumentChange::Put(binary.clone().into())).await.expect("written");
    assert_eq!(bench.read(&key).await, Some((1, binary.into())));
}

async fn one_writer_wins(bench: Bench) {
    let key = bench.document(DocumentKind::SharePartition, "contended");
    bench.write(&key, Expect::Absent, body("start")).await.expect("created");
    for round in 1..4 {
        let expect = Expect::Version(DocumentVersion(round));
        let outcomes = join_all((0..6).map(|_| bench.write(&key, expect, body("mine")))).await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "exactly one writer wins: {outcomes:?}");
        assert!(outcomes.iter().all(|outcome| *outcome == Ok(round + 1) || *outcome == conflict(&key)));
    }
}
