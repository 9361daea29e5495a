//! The plan alone: what goes, in which order, and what never does.

use std::collections::{BTreeMap, HashSet};

use hearthkeep::store::catalog::Entry;
use hearthkeep::store::retention::{Deletion, DiskState, Reason};
use hearthkeep_format::SegmentId;
use proptest::prelude::*;

use crate::shelf::{MINUTE_US, Shelf, camera, entry, hold, roomy, stream};
use crate::store_support::START_US;

const DAY_MINUTES: u64 = 1440;

fn sequences(deletions: &[Deletion]) -> Vec<u64> {
    deletions.iter().map(|d| d.entry.sequence).collect()
}

#[test]
fn two_streams_of_a_camera_share_its_bytes() {
    let both = (0..10).flat_map(|n| [entry(1, n, 0), entry(2, n, 0)]);
    let mut shelf = Shelf::new(both, &[roomy(0)]);
    shelf.cameras = vec![camera(&[1, 2], Some(1550))];
    let deletions = shelf.plan();
    assert_eq!(sequences(&deletions), [0, 0, 1, 1, 2]);
    assert!(deletions.iter().all(|d| d.reason == Reason::CameraBytes));
}

#[test]
fn each_disk_loses_its_own_oldest() {
    let disks = [
        DiskState {
            max_bytes: Some(800),
            ..roomy(0)
        },
        DiskState {
            free_bytes: 50,
            reserve_bytes: 200,
            ..roomy(1)
        },
    ];
    let shelf = Shelf::new((0..20).map(|n| entry(1, n, (n % 2) as u16)), &disks);
    let found = shelf.plan();
    let found: Vec<_> = found.iter().map(|d| (d.entry.sequence, d.reason)).collect();
    let (bytes, space) = (Reason::DiskBytes, Reason::FreeSpace);
    assert_eq!(found, [(0, bytes), (2, bytes), (1, space), (3, space)]);
}

#[test]
fn a_deletion_that_was_begun_is_finished_first() {
    let mut entries: Vec<_> = (0..4).map(|n| entry(1, n, 0)).collect();
    entries[0].tombstone = true;
    let deletions = Shelf::new(entries, &[roomy(0)]).plan();
    assert_eq!(deletions.len(), 1);
    assert_eq!(deletions[0].reason, Reason::Begun);
}

#[test]
fn a_camera_that_was_off_for_weeks_is_not_left_with_nothing() {
    // Of the first there are three days, long ago; the second has three weeks of late.
    let old = (0..3 * DAY_MINUTES).map(|n| entry(1, n, 0));
    let new = (40 * DAY_MINUTES..61 * DAY_MINUTES).map(|n| entry(2, n, 0));
    let full = DiskState {
        max_bytes: Some(10 * DAY_MINUTES * 100),
        ..roomy(0)
    };
    let mut shelf = Shelf::new(old.chain(new), &[full]);
    shelf.cameras = vec![camera(&[1], None), camera(&[2], None)];
    let deletions = shelf.plan();
    let left = |shelf: &Shelf, of| shelf.streams.get(&stream(of)).map_or(0, Vec::len) as u64;
    let mut after = shelf.clone();
    after.delete(&deletions);
    let (first, second) = (left(&after, 1), left(&after, 2));
    assert_eq!(first + second, 10 * DAY_MINUTES);
    assert!((DAY_MINUTES..DAY_MINUTES + 8).contains(&first), "{first}");
    // Where there is room for a day and a half in all, the oldest of the last days goes whosever it is.
    shelf.disks[0].max_bytes = Some(3 * DAY_MINUTES * 50);
    let deletions = shelf.plan();
    shelf.delete(&deletions);
    assert_eq!(
        (left(&shelf, 1), left(&shelf, 2)),
        (DAY_MINUTES / 2, DAY_MINUTES)
    );
}

#[test]
fn a_camera_that_is_gone_keeps_no_last_day() {
    let gone = (0..100).map(|n| entry(1, n, 0));
    let here = (0..100).map(|n| entry(2, n, 0));
    let full = DiskState {
        max_bytes: Some(10_000),
        ..roomy(0)
    };
    let mut shelf = Shelf::new(gone.chain(here), &[full]);
    shelf.cameras = vec![camera(&[2], None)];
    let deletions = shelf.plan();
    assert_eq!(deletions.len(), 100);
    assert!(deletions.iter().all(|d| d.entry.stream == stream(1)));
}

#[test]
fn a_wrong_clock_makes_no_footage_the_oldest() {
    // The second camera came while the box thought it was 1970; the third while it was years ahead.
    let first = (0..40).map(|n| entry(1, n, 0));
    let in_1970 = (0..20).map(|n| Entry {
        clock_trusted: false,
        start_us: n as i64 * MINUTE_US,
        ..entry(2, n, 0)
    });
    let mut ahead: Vec<_> = (0..20).map(|n| entry(3, n, 0)).collect();
    ahead[..10].iter_mut().for_each(|e| e.start_us *= 2);
    let full = DiskState {
        max_bytes: Some(5_000),
        ..roomy(0)
    };
    let all = first.chain(in_1970).chain(ahead);
    let mut shelf = Shelf::new(all, &[full]);
    shelf.now_us = Some(START_US + 100 * MINUTE_US);
    let deletions = shelf.plan();
    let of = |number| {
        deletions
            .iter()
            .filter(move |d: &&Deletion| d.entry.stream == stream(number))
    };
    // What is dated ahead began before the first that is dated as it should be, which is the tenth minute: from then on
    // the first and the third have equally old ones.
    assert_eq!((of(1).count(), of(2).count(), of(3).count()), (15, 0, 15));
}

#[test]
fn what_has_no_date_is_held_with_what_lies_around_it() {
    let mut entries: Vec<_> = (0..30).map(|n| entry(1, n, 0)).collect();
    for entry in &mut entries[10..15] {
        (entry.clock_trusted, entry.start_us) = (false, 0);
    }
    let full = DiskState {
        max_bytes: Some(0),
        ..roomy(0)
    };
    let mut shelf = Shelf::new(entries, &[full]);
    // The twelfth minute: nothing is dated so.
    let at = |minute: i64| START_US + minute * MINUTE_US;
    shelf.holds = vec![hold(&[1], at(12), at(13))];
    shelf.now_us = Some(at(1000));
    let gone: HashSet<_> = sequences(&shelf.plan()).into_iter().collect();
    let kept: Vec<_> = (0..30).filter(|n| !gone.contains(n)).collect();
    assert_eq!(kept, [10, 11, 12, 13, 14]);
    shelf.holds = vec![hold(&[1], at(20), at(21))];
    let gone = sequences(&shelf.plan());
    assert_eq!(gone.len(), 29, "{gone:?}");
}

#[test]
fn a_year_is_not_read_for_a_minute() {
    let year = (0..365 * DAY_MINUTES / 8).map(|n| entry(1, n, u16::from(n > 60_000)));
    let disks = [
        roomy(0),
        DiskState {
            free_bytes: 0,
            reserve_bytes: 150,
            ..roomy(1)
        },
    ];
    let mut shelf = Shelf::new(year, &disks);
    shelf.holds = vec![hold(&[], START_US, START_US + 65_000 * MINUTE_US)];
    shelf.cameras = vec![camera(&[1], Some(60_000 * 100))];
    shelf.now_us = Some(START_US + 1_000_000 * MINUTE_US);
    let deletions = shelf.plan();
    assert_eq!(sequences(&deletions), [65_000, 65_001]);
    assert!(shelf.reads.get() <= 4, "{} buckets", shelf.reads.get());
}

prop_compose! {
    /// Some of a stream, with what a clock can do to it.
    fn segments(of: u8)(
        minutes in prop::collection::vec((50u32..150, 0u16..3, 0u8..12), 0..40),
    ) -> Vec<Entry> {
        let segment = |(n, (bytes, disk, clock)): (usize, (u32, u16, u8))| {
            let entry = Entry { bytes, ..entry(of, n as u64, disk) };
            match clock {
                0 => Entry { clock_trusted: false, start_us: n as i64, ..entry },
                1 => Entry { start_us: entry.start_us * 2, ..entry },
                _ => entry,
            }
        };
        minutes.into_iter().enumerate().map(segment).collect()
    }
}

prop_compose! {
    /// A disk of a number, with or without a budget and a need for room.
    fn disk(number: u16)(max in prop::option::of(0u64..4000), free in 0u64..2000, reserve in 0u64..2000) -> DiskState {
        DiskState { disk: number, used_bytes: 0, max_bytes: max, free_bytes: free, reserve_bytes: reserve }
    }
}

prop_compose! {
    fn shelves()(
        streams in (segments(1), segments(2), segments(3)),
        disks in (disk(0), disk(1)),
        budgets in prop::collection::vec(prop::option::of(0u64..3000), 2..=2),
        holds in prop::collection::vec((prop::collection::vec(1u8..4, 0..2), 0i64..45, 1i64..12), 0..3),
        open in prop::collection::vec((1u8..4, 0u64..40), 0..3),
        is_dated in any::<bool>(),
    ) -> Shelf {
        // On the third disk there may be footage too, and it is away.
        let mut shelf = Shelf::new(
            streams.0.into_iter().chain(streams.1).chain(streams.2),
            &[disks.0, disks.1],
        );
        shelf.cameras = vec![camera(&[1, 2], budgets[0]), camera(&[3], budgets[1])];
        let at = |minute| START_US + minute * MINUTE_US;
        shelf.holds = holds.iter().map(|(of, from, length)| hold(of, at(*from), at(from + length))).collect();
        shelf.spared = open.iter().map(|(of, n)| entry(*of, *n, 0).segment).collect();
        shelf.now_us = is_dated.then_some(at(100));
        shelf
    }
}

/// What may not go: not there, open, or held by the date that is shown.
fn stays(shelf: &Shelf, entry: &Entry) -> bool {
    let is_there = shelf.disks.iter().any(|disk| disk.disk == entry.disk);
    let held = shelf
        .held()
        .touches(&entry.stream, entry.start_us, entry.end_us());
    !is_there || held || shelf.spared.contains(&entry.segment)
}

/// Whether the dates of a segment and its neighbours leave no doubt whether it is held.
fn is_clear(shelf: &Shelf, entry: &Entry) -> bool {
    shelf.holds.is_empty()
        || (entry.clock_trusted && shelf.now_us.is_none_or(|now| entry.end_us() <= now))
}

fn bytes<'a>(entries: impl Iterator<Item = &'a Entry>) -> u64 {
    entries.map(|entry| u64::from(entry.bytes)).sum()
}

fn need(disk: &DiskState, freed: u64) -> bool {
    disk.max_bytes
        .is_some_and(|max| disk.used_bytes - freed > max)
        || disk.free_bytes + freed < disk.reserve_bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_may_not_go_stays_and_nothing_goes_twice(shelf in shelves()) {
        let deletions = shelf.plan();
        let ids: HashSet<SegmentId> = deletions.iter().map(|d| d.entry.segment).collect();
        prop_assert_eq!(ids.len(), deletions.len());
        prop_assert!(deletions.iter().all(|d| !stays(&shelf, &d.entry)));
        prop_assert_eq!(shelf.plan(), deletions, "a plan follows from what there is");
    }

    #[test]
    fn budgets_hold_afterwards_where_anything_is_left_that_may_go(shelf in shelves()) {
        let deletions = shelf.plan();
        let mut after = shelf.clone();
        after.delete(&deletions);
        let may_go = |entry: &&Entry| !stays(&after, entry) && is_clear(&after, entry);
        for disk in &after.disks {
            let left = after.entries().filter(|e| e.disk == disk.disk).find(may_go);
            prop_assert!(!need(disk, 0) || left.is_none(), "{:?}", left);
        }
        let held = after.held();
        for camera in &after.cameras {
            let of_it = || after.entries().filter(|e| camera.streams.contains(&e.stream));
            let counts = |e: &&Entry| e.disk < 2 && !held.touches(&e.stream, e.start_us, e.end_us());
            let over = camera.max_bytes.is_some_and(|max| bytes(of_it().filter(counts)) > max);
            prop_assert!(!over || of_it().find(may_go).is_none());
        }
    }

    #[test]
    fn nothing_goes_without_need(shelf in shelves()) {
        let deletions = shelf.plan();
        let held = shelf.held();
        for (nth, deletion) in deletions.iter().enumerate() {
            let before = &deletions[..nth];
            let of = |what: &dyn Fn(&Entry) -> bool| bytes(before.iter().map(|d| &d.entry).filter(|e| what(e)));
            let entry = deletion.entry;
            match deletion.reason {
                Reason::CameraBytes => {
                    let camera = shelf.cameras.iter().find(|c| c.streams.contains(&entry.stream)).unwrap();
                    let counts = |e: &&Entry| camera.streams.contains(&e.stream) && e.disk < 2
                        && !held.touches(&e.stream, e.start_us, e.end_us());
                    let used = bytes(shelf.entries().filter(counts));
                    let freed = of(&|e| camera.streams.contains(&e.stream));
                    prop_assert!(used - freed > camera.max_bytes.unwrap());
                }
                Reason::DiskBytes | Reason::FreeSpace => {
                    let disk = shelf.disks.iter().find(|d| d.disk == entry.disk).unwrap();
                    prop_assert!(need(disk, of(&|e| e.disk == disk.disk)));
                }
                Reason::Begun | Reason::Age | Reason::ByHand => prop_assert!(false, "nothing is begun, old or given up here"),
            }
        }
    }

    #[test]
    fn a_stream_loses_its_oldest_first(shelf in shelves()) {
        let deletions = shelf.plan();
        let gone: HashSet<SegmentId> = deletions.iter().map(|d| d.entry.segment).collect();
        for Deletion { entry, reason } in &deletions {
            let is_before = |e: &&Entry| e.stream == entry.stream && e.sequence < entry.sequence
                && (*reason == Reason::CameraBytes || e.disk == entry.disk);
            let passed_over = shelf.entries().filter(is_before)
                .find(|e| !gone.contains(&e.segment) && !stays(&shelf, e) && is_clear(&shelf, e));
            prop_assert!(passed_over.is_none(), "{entry:?} before {passed_over:?}");
        }
    }

    /// Wherever a crash falls between the deletions: what goes in the end is the same.
    #[test]
    fn a_crash_changes_nothing(shelf in shelves(), at in 0.0..1.0f64, batch in 1usize..9) {
        // Where dates contradict each other, what is gone is no evidence any more of what was when.
        let mut shelf = shelf;
        for entry in shelf.streams.values_mut().flatten() {
            entry.start_us = START_US + entry.sequence as i64 * MINUTE_US;
            entry.clock_trusted = true;
        }
        let whole = shelf.plan();
        let ids = |deletions: &[Deletion]| -> BTreeMap<SegmentId, Reason> {
            deletions.iter().map(|d| (d.entry.segment, d.reason)).collect()
        };
        let mut crashed = shelf.clone();
        let done = &whole[..(whole.len() as f64 * at) as usize];
        crashed.delete(done);
        let rest = crashed.plan();
        prop_assert_eq!(ids(&[done, &rest].concat()), ids(&whole));
        crashed.delete(&rest);
        prop_assert_eq!(crashed.plan(), []);
        // Nor does it matter in how many passes it is done.
        let (mut bit_by_bit, mut all) = (shelf, Vec::new());
        loop {
            let some = bit_by_bit.plan_some(batch);
            prop_assert!(some.len() <= batch);
            bit_by_bit.delete(&some);
            all.extend(some.iter().copied());
            if some.is_empty() { break; }
        }
        prop_assert_eq!(ids(&all), ids(&whole));
    }
}
