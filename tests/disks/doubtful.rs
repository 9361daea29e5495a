//! Deletions that a disk does not answer for: they may come to pass yet, so nothing is believed before it answers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hearthkeep::state_file::StateKey;
use hearthkeep::store::{DiskUse, LogSettings, MountedDisk, NewHold, Options};
use hearthkeep_format::DiskId;
use zeroize::Zeroizing;

use super::failing::faulty_second;
use super::rig::{Rig, SECOND_US, options, path_of, second_disk, still_home};
use super::store_support::{Faults, FaultyDisk, GENERATION, Home, Sealed};

/// Less than a segment has here.
const ROOM_BYTES: u64 = 1_000;

pub fn with_log(mut options: Options) -> Options {
    options.log = Some(LogSettings {
        state_key: StateKey::new(Zeroizing::new([5; 32])),
        generation: GENERATION,
    });
    options
}

/// A home whose second disk has a segment.
pub fn with_a_segment(seed: u64) -> (Home, tempfile::TempDir, Sealed) {
    let (home, folder, mut all) = with_many(seed, 1);
    (home, folder, all.remove(0))
}

/// A home whose second disk has so many segments.
fn with_many(seed: u64, count: usize) -> (Home, tempfile::TempDir, Vec<Sealed>) {
    let (home, folder) = still_home(seed);
    let usb = folder.path().join("usb");
    let mut both = with_log(options(&home, vec![second_disk(&home, &usb, 9)]));
    both.spread.pinned.insert(home.stream(1).id, usb.clone());
    let rig = Rig::open(&home, both);
    let mut stream = home.stream(1);
    let all = (0..count).map(|_| {
        let (sealed, disk) = rig.record(&mut stream);
        assert_eq!(disk, usb);
        sealed
    });
    let all = all.collect();
    rig.pass(70 * SECOND_US);
    rig.store.close();
    drop(rig);
    (home, folder, all)
}

/// Opens it where the second disk may not have anything, and hangs as soon as something is to be deleted there.
fn with_a_deletion_that_hangs<'a>(home: &'a Home, usb: &Path) -> (Rig<'a>, Arc<Faults>) {
    let (disk, faults) = FaultyDisk::new(usb);
    let id = DiskId::from_bytes([9; 16]);
    let full = Some(ROOM_BYTES);
    let disk = MountedDisk::with(disk, usb, home.store, id, full).unwrap();
    let rig = Rig::open(home, with_log(options(home, vec![disk])));
    faults.hang_removals.store(true, Ordering::SeqCst);
    rig.pass(20 * SECOND_US);
    assert!(faults.silent.load(Ordering::SeqCst), "it was to be deleted");
    (rig, faults)
}

fn shown(rig: &Rig, sealed: &Sealed) -> usize {
    let timeline = rig.store.timeline(&sealed.new.stream, i64::MIN, i64::MAX);
    timeline.unwrap().segments.len()
}

fn segments(rig: &Rig, sealed: &Sealed) -> u64 {
    rig.store.usage(&sealed.new.stream).segments
}

#[test]
fn what_goes_late_is_forgotten_then_and_nobody_is_accused() {
    let (home, folder, sealed) = with_a_segment(71);
    let usb = folder.path().join("usb");
    let (rig, faults) = with_a_deletion_that_hangs(&home, &usb);
    rig.pass(600 * SECOND_US);
    let asked = faults.hanging.lock().unwrap().len();
    assert_eq!(asked, 1, "it is not asked again before it answers");
    assert_eq!((shown(&rig, &sealed), segments(&rig, &sealed)), (0, 1));
    assert!(rig.store.deleted().is_empty(), "nobody knows yet");
    faults.answer_again(&usb, true);
    rig.pass(3 * SECOND_US);
    assert_eq!(segments(&rig, &sealed), 0);
    assert_eq!(rig.store.deleted()["disk-bytes"].0, 1);
    rig.store.close();
    drop(rig);
    let both = options(&home, vec![second_disk(&home, &usb, 9)]);
    let rig = Rig::open(&home, with_log(both));
    rig.pass(20 * SECOND_US);
    assert_eq!(rig.store.log().removed_count(), 0);
    assert_eq!(rig.store.log().troubles(), Vec::<String>::new());
}

#[test]
fn what_is_still_there_and_held_by_then_is_footage_again() {
    let (home, folder, sealed) = with_a_segment(72);
    let usb = folder.path().join("usb");
    let (rig, faults) = with_a_deletion_that_hangs(&home, &usb);
    let from_us = sealed.new.start.wall_us;
    let new = NewHold {
        streams: vec![sealed.new.stream],
        from_us,
        to_us: Some(from_us + 1),
        until_us: None,
        reason: "the fence".to_owned(),
        who: "robin".to_owned(),
    };
    rig.store.hold(new).unwrap();
    rig.pass(60 * SECOND_US);
    assert_eq!(shown(&rig, &sealed), 0);
    faults.answer_again(&usb, false);
    rig.pass(400 * SECOND_US);
    assert_eq!((shown(&rig, &sealed), segments(&rig, &sealed)), (1, 1));
    assert_eq!(rig.read(&sealed), sealed.bytes());
    // That the log has it again is seen by its being missed.
    rig.store.close();
    drop(rig);
    std::fs::remove_file(usb.join(path_of(&sealed))).unwrap();
    let both = options(&home, vec![second_disk(&home, &usb, 9)]);
    let rig = Rig::open(&home, with_log(both));
    rig.pass(20 * SECOND_US);
    assert_eq!(rig.store.log().removed_count(), 1);
}

#[test]
fn what_is_still_there_and_not_held_goes_then() {
    let (home, folder, sealed) = with_a_segment(73);
    let usb = folder.path().join("usb");
    let (rig, faults) = with_a_deletion_that_hangs(&home, &usb);
    faults.answer_again(&usb, false);
    rig.pass(40 * SECOND_US);
    assert_eq!(segments(&rig, &sealed), 0);
    assert!(!usb.join(path_of(&sealed)).exists());
}

#[test]
fn what_was_moved_goes_from_where_it_was_once_that_disk_answers() {
    for is_done in [false, true] {
        let (home, folder) = still_home(74);
        let usb = folder.path().join("usb");
        let (disk, faults) = faulty_second(&home, &usb);
        let id = disk.id;
        let mut both = options(&home, vec![disk]);
        both.spread.pinned.insert(home.stream(1).id, usb.clone());
        let rig = Rig::open(&home, both);
        let mut stream = home.stream(1);
        let all: Vec<_> = (0..2).map(|_| rig.record(&mut stream).0).collect();
        let on = |disk: &Path| {
            all.iter()
                .filter(|s| disk.join(path_of(s)).exists())
                .count()
        };
        assert_eq!(on(&usb), 2);
        faults.hang_removals.store(true, Ordering::SeqCst);
        rig.store.drain_disk(id, false).unwrap();
        rig.pass(60 * SECOND_US);
        assert_eq!((on(home.disk.path()), on(&usb)), (1, 2), "it hangs");
        assert_eq!(rig.is(&usb), DiskUse::Draining);
        faults.answer_again(&usb, is_done);
        rig.pass(60 * SECOND_US);
        assert_eq!((on(home.disk.path()), on(&usb)), (2, 0));
        assert_eq!(rig.is(&usb), DiskUse::Drained);
        for sealed in &all {
            assert_eq!(rig.read(sealed), sealed.bytes());
        }
    }
}

#[test]
fn a_copy_that_gets_its_name_late_is_no_second_one() {
    for is_done in [false, true] {
        let (home, folder) = still_home(75);
        let (usb, third) = (folder.path().join("usb"), folder.path().join("third"));
        let (disk, faults) = faulty_second(&home, &usb);
        let mut other = second_disk(&home, &third, 8);
        // The first choice is the one with more room.
        other.max_bytes = Some(1_000_000);
        let mut all = options(&home, vec![disk, other]);
        let own = home.disk.path().to_owned();
        all.spread.pinned.insert(home.stream(1).id, own.clone());
        let rig = Rig::open(&home, all);
        let (sealed, disk) = rig.record(&mut home.stream(1));
        assert_eq!(disk, own);
        let on = || [&own, &usb, &third].map(|disk| disk.join(path_of(&sealed)).exists());
        faults.hang_renames.store(true, Ordering::SeqCst);
        rig.store.drain_disk(home.disk_id, false).unwrap();
        rig.pass(60 * SECOND_US);
        assert!(faults.silent.load(Ordering::SeqCst), "it was asked first");
        assert_eq!(on(), [false, false, true]);
        faults.answer_again(&usb, is_done);
        assert_eq!(on(), [false, is_done, true]);
        rig.pass(70 * SECOND_US);
        assert_eq!(on(), [false, false, true]);
        assert_eq!(rig.read(&sealed), sealed.bytes());
    }
}

/// How many segments the next start finds to be removed, where these are.
fn accused_of(home: &Home, usb: &Path, removed: &[Sealed]) -> u64 {
    for sealed in removed {
        std::fs::remove_file(usb.join(path_of(sealed))).unwrap();
    }
    let both = options(home, vec![second_disk(home, usb, 9)]);
    let rig = Rig::open(home, with_log(both));
    rig.pass(20 * SECOND_US);
    rig.store.log().removed_count()
}

#[test]
fn the_log_takes_back_all_deletions_that_did_not_happen() {
    let (home, folder, all) = with_many(76, 5);
    let usb = folder.path().join("usb");
    let (rig, faults) = with_a_deletion_that_hangs(&home, &usb);
    let new = NewHold {
        streams: vec![all[0].new.stream],
        from_us: all[0].new.start.wall_us,
        to_us: None,
        until_us: None,
        reason: "the fence".to_owned(),
        who: "robin".to_owned(),
    };
    rig.store.hold(new).unwrap();
    // The log is to have them again within a minute, in which nobody can look at them.
    rig.pass(120 * SECOND_US);
    faults.answer_again(&usb, false);
    rig.pass(130 * SECOND_US);
    assert_eq!(shown(&rig, &all[0]), 5);
    rig.store.close();
    drop(rig);
    assert_eq!(accused_of(&home, &usb, &all), 5);
}

#[test]
fn what_was_closed_before_a_disk_hung_gets_its_entry_once_that_answers() {
    let (home, folder) = still_home(77);
    let usb = folder.path().join("usb");
    let (disk, faults) = faulty_second(&home, &usb);
    let mut both = with_log(options(&home, vec![disk]));
    both.spread.pinned.insert(home.stream(1).id, usb.clone());
    let rig = Rig::open(&home, both);
    rig.pass(70 * SECOND_US);
    let (sealed, disk) = rig.record(&mut home.stream(1));
    assert_eq!(disk, usb);
    faults.silent.store(true, Ordering::SeqCst);
    rig.pass(130 * SECOND_US);
    faults.silent.store(false, Ordering::SeqCst);
    rig.pass(130 * SECOND_US);
    rig.store.close();
    drop(rig);
    assert_eq!(accused_of(&home, &usb, &[sealed]), 1);
}
