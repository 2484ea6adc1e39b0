use uuid::Uuid;

use super::*;
use crate::base::clock::Timestamp;
use crate::config::log::LogSettings;
use crate::log::kit::{ToxicMetastore, World};
use crate::model::object::{ByteRange, ObjectKey};
use crate::model::producer::ProducerId;
use crate::model::topic::{PartitionIndex, TopicId};

fn bounds(stable: i64) -> PartitionBounds {
    PartitionBounds {
        log_start_offset: Offset(0),
        high_watermark: Offset(40),
        last_stable_offset: Offset(stable),
        byte_size: 0,
    }
}

/// Ten offsets, decided up to an offset; aborted: first offset and marker.
fn known(base: i64, decided_until: i64, aborted: &[(i64, i64)]) -> KnownExtent {
    let extent = Extent {
        base_offset: Offset(base),
        last_offset: Offset(base + 9),
        object: ObjectKey::from("wal/x"),
        bytes: ByteRange { position: 64, length: 100 },
        crc: 0,
        max_timestamp: Timestamp(0),
        append_time: Timestamp(0),
    };
    let transaction = |&(first, last): &(i64, i64)| AbortedTransaction {
        first_offset: Offset(first),
        last_offset: Offset(last),
        producer_id: ProducerId(1),
    };
    let aborted = aborted.iter().map(transaction).collect();
    KnownExtent { extent, heat: Heat::Tail, decided_until: Offset(decided_until), aborted }
}

/// What a reader from `offset` on gets: the extents' first offsets, up to where, what was aborted, whether it is cut;
/// `None` when the metastore must be asked, and "end" at the end.
fn judged(offset: i64, read_committed: bool, stable: i64, extents: Vec<KnownExtent>) -> Option<String> {
    let partition = TopicIdPartition::new(TopicId(Uuid::from_u128(1)), PartitionIndex(0));
    let wanted = Wanted { partition, offset: Offset(offset), bytes_max: 1_000, read_committed };
    Some(match judge(&wanted, TailView { bounds: bounds(stable), extents })? {
        Located::AtEnd { .. } => "end".to_owned(),
        Located::Failed(failure) => failure.to_string(),
        Located::Found { readable, .. } => {
            let bases: Vec<_> = readable.extents.iter().map(|(extent, _)| extent.base_offset.0).collect();
            let aborted: Vec<_> = readable.aborted.iter().map(|one| (one.first_offset.0, one.last_offset.0)).collect();
            let cut = if readable.is_cut { " cut" } else { "" };
            format!("{bases:?} until {} aborted {aborted:?}{cut}", readable.until)
        }
    })
}

#[test]
fn who_reads_what_is_uncommitted_gets_all_and_hears_of_no_transaction() {
    let all = || vec![known(0, 10, &[]), known(10, 20, &[(12, 25)]), known(20, 20, &[(12, 25)])];
    assert_eq!(judged(0, false, 12, all()).as_deref(), Some("[0, 10, 20] until 40 aborted []"));
}

#[test]
fn who_reads_what_is_committed_stops_at_the_last_stable_offset() {
    // In the middle of an extent, which is read up to there.
    let open = || vec![known(0, 10, &[]), known(10, 15, &[]), known(20, 20, &[])];
    assert_eq!(judged(0, true, 15, open()).as_deref(), Some("[0, 10] until 15 aborted []"));
    assert_eq!(judged(12, true, 15, open()[1..].to_vec()).as_deref(), Some("[10] until 15 aborted []"));
    assert_eq!(judged(15, true, 15, open()[1..].to_vec()).as_deref(), Some("end"));
    assert_eq!(judged(25, true, 15, open()[2..].to_vec()).as_deref(), Some("end"));
}

#[test]
fn what_nobody_here_knows_to_be_committed_is_asked_for() {
    // Transactions have ended since; the tail does not know how.
    let undecided = || vec![known(0, 10, &[]), known(10, 15, &[]), known(20, 20, &[]), known(30, 40, &[])];
    assert_eq!(judged(0, true, 40, undecided()).as_deref(), Some("[0, 10] until 15 aborted [] cut"));
    assert_eq!(judged(12, true, 40, undecided()[1..].to_vec()).as_deref(), Some("[10] until 15 aborted [] cut"));
    assert_eq!(judged(15, true, 40, undecided()[1..].to_vec()), None);
    assert_eq!(judged(20, true, 40, undecided()[2..].to_vec()), None);
    assert_eq!(judged(30, true, 40, undecided()[3..].to_vec()).as_deref(), Some("[30] until 40 aborted []"));
    // Cut at the edge of an extent.
    let edge = vec![known(0, 10, &[]), known(10, 10, &[]), known(20, 30, &[])];
    assert_eq!(judged(0, true, 40, edge).as_deref(), Some("[0] until 10 aborted [] cut"));
}

#[test]
fn a_transaction_that_reaches_into_several_extents_is_named_once() {
    let told = vec![known(0, 10, &[(3, 25), (5, 8)]), known(10, 20, &[(3, 25)]), known(20, 30, &[(3, 25), (22, 28)])];
    let expected = "[0, 10, 20] until 30 aborted [(3, 25), (5, 8), (22, 28)]";
    assert_eq!(judged(0, true, 30, told).as_deref(), Some(expected));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_read_up_to_where_it_was_stable_however_far_others_are() {
    let world = World::new().await;
    let metastore: Arc<dyn Metastore> = Arc::<ToxicMetastore>::clone(&world.metastore);
    let locator = Locator { metastore, tail: Tail::new(&LogSettings::default()) };
    let (partition, bytes_max) = (world.partition(0), 1_000);
    let wanted = Wanted { partition, offset: Offset(10), bytes_max, read_committed: true };
    let extents = vec![known(10, 15, &[]).extent];
    // A transaction that begins at 15 ended while the answer was on its way, and our own commit told so.
    locator.tail.apply(partition, bounds(40), &[]);
    let answer = PartitionExtents { bounds: bounds(15), extents: extents.clone(), aborted: Vec::new() };
    let Located::Found { bounds: told, readable } = locator.take_answer(&wanted, Some(answer)) else {
        panic!("there is something to read")
    };
    assert_eq!((told.last_stable_offset, readable.until), (Offset(40), Offset(15)));
    // From there on the metastore is asked, and names what was aborted.
    let rest = Wanted { offset: Offset(15), ..wanted };
    assert_eq!(locator.look(&rest), None);
    let aborted = known(10, 20, &[(15, 30)]).aborted.to_vec();
    let answer = PartitionExtents { bounds: bounds(40), extents, aborted: aborted.clone() };
    let expected =
        Readable { extents: vec![(known(10, 20, &[]).extent, Heat::Cold)], until: Offset(40), aborted, is_cut: false };
    assert_eq!(locator.take_answer(&rest, Some(answer)), Located::Found { bounds: bounds(40), readable: expected });
    assert!(matches!(locator.look(&rest), Some(Located::Found { .. })), "it is remembered");
}
