//! What lies on a disk is no more than it may be, also where footage comes from another disk, and where it comes faster than before.

use std::path::Path;
use std::sync::atomic::Ordering;

use hearthkeep::config::Tier;
use hearthkeep::store::DiskUse;

use super::failing::faulty_second;
use super::rig::{Rig, SECOND_US, options, second_disk, segments_on, still_home};

/// Lets time pass; the most bytes that lay on a disk in it.
fn most_on(rig: &Rig<'_>, disk: &Path, seconds: u64) -> u64 {
    let used = (0..seconds * 10).map(|_| {
        rig.pass(SECOND_US / 10);
        rig.status(disk).used_bytes
    });
    used.max().unwrap_or(0)
}

#[test]
fn what_cools_waits_until_there_is_room_for_it() {
    let (home, folder) = still_home(71);
    let attic = folder.path().join("attic");
    let mut disk = second_disk(&home, &attic, 9);
    let max_bytes = 400_000;
    (disk.tier, disk.max_bytes) = (Tier::Cold, Some(max_bytes));
    let mut both = options(&home, vec![disk]);
    both.spread.cold_after_days = Some(7);
    let rig = Rig::open(&home, both);
    let mut stream = home.stream(1);
    let recorded: Vec<_> = (0..30).map(|_| rig.record(&mut stream).0).collect();
    let segment = recorded[0].bytes().len() as u64;
    assert!(max_bytes > 5 * segment && max_bytes < 15 * segment);
    // They are all old at once, and there is room for a third of them.
    rig.advance(8 * 86_400 * SECOND_US);
    stream.wall_us = hearthkeep::clock::Clock::wall_us(&*home.clock);
    rig.record(&mut stream);
    let most = most_on(&rig, &attic, 120);
    assert!(most > max_bytes - segment, "{most} bytes: it is in use");
    assert!(most <= max_bytes + segment, "{most} of {max_bytes} bytes");
    assert!(rig.status(&attic).used_bytes <= max_bytes);
}

#[test]
fn a_budget_holds_where_footage_comes_faster_than_before() {
    let (home, _folder) = still_home(72);
    let mut only = options(&home, Vec::new());
    let max_bytes = 2_000_000;
    only.disks[0].max_bytes = Some(max_bytes);
    let rig = Rig::open(&home, only);
    let mut stream = home.stream(1);
    // Little for so long that it is looked at seldom, and then a hundred times as much.
    for _ in 0..12 {
        stream.seal(1, 500).record(&rig.store);
        rig.pass(10 * SECOND_US);
    }
    let (mut most, mut a_second) = (0, 0);
    for _ in 0..60 {
        let sealed = stream.seal(2, 50_000);
        a_second = sealed.bytes().len() as u64;
        sealed.record(&rig.store);
        most = most_on(&rig, home.disk.path(), 1).max(most);
    }
    assert!(most > max_bytes / 2, "{most} bytes");
    assert!(most <= max_bytes + 4 * a_second, "{most} of {max_bytes}");
}

#[test]
fn what_was_moved_goes_once_its_disk_lets_go_of_it() {
    let (home, folder) = still_home(73);
    let usb = folder.path().join("usb");
    let (disk, faults) = faulty_second(&home, &usb);
    let id = disk.id;
    let mut both = options(&home, vec![disk]);
    let mut stream = home.stream(1);
    both.spread.pinned.insert(stream.id, usb.clone());
    let rig = Rig::open(&home, both);
    let recorded: Vec<_> = (0..3).map(|_| rig.record(&mut stream).0).collect();
    faults.fail_remove.store(true, Ordering::SeqCst);
    rig.store.drain_disk(id, false).unwrap();
    rig.pass(60 * SECOND_US);
    assert_eq!(rig.is(&usb), DiskUse::Drained, "no footage is only there");
    let drain = rig.status(&usb).drain.unwrap();
    assert!(drain.trouble.is_some(), "but not all is gone: {drain:?}");
    assert_eq!(segments_on(&[&usb]).0.len(), 3);
    let asked = faults.removals.load(Ordering::SeqCst);
    rig.pass(3_600 * SECOND_US);
    let asked = faults.removals.load(Ordering::SeqCst) - asked;
    assert!((1..=12).contains(&asked), "{asked} times in an hour");
    faults.fail_remove.store(false, Ordering::SeqCst);
    rig.pass(3_700 * SECOND_US);
    assert!(segments_on(&[&usb]).0.is_empty());
    assert_eq!(rig.status(&usb).drain.unwrap().trouble, None);
    for sealed in &recorded {
        assert_eq!(rig.where_is(sealed), home.disk.path());
        assert_eq!(rig.read(sealed), sealed.bytes());
    }
}
