//! Disks that refuse, fail or cannot be read: no reason not to record, and none to wait for them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hearthkeep::clock::Clock;
use hearthkeep::store::MountedDisk;
use hearthkeep::store::recovery::Report;

use super::rig::{Rig, SECOND_US, options, path_of, second_disk, still_home};
use super::store_support::{Faults, FaultyDisk, Home};

/// A second disk that fails when told to.
pub fn faulty_second(home: &Home, folder: &std::path::Path) -> (MountedDisk, Arc<Faults>) {
    let id = second_disk(home, folder, 9).id;
    let (disk, faults) = FaultyDisk::new(folder);
    let disk = MountedDisk::with(disk, folder, home.store, id, None).unwrap();
    (disk, faults)
}

#[test]
fn a_disk_that_fails_again_and_again_is_tried_less_and_less_often() {
    let (home, folder) = still_home(41);
    let usb = folder.path().join("usb");
    let (disk, faults) = faulty_second(&home, &usb);
    let mut both = options(&home, vec![disk]);
    both.spread.pinned.insert(home.stream(1).id, usb.clone());
    let rig = Rig::open(&home, both);
    faults.fail_sync.store(true, Ordering::SeqCst);
    let mut stream = home.stream(1);
    let mut tried_us = Vec::new();
    let begun_us = home.clock.monotonic_us();
    while tried_us.len() < 9 {
        let sealed = stream.seal(1, 100);
        sealed.record(&rig.store);
        rig.pass(2 * SECOND_US);
        if usb.join(path_of(&sealed)).exists() {
            tried_us.push(home.clock.monotonic_us() - begun_us);
        }
    }
    let waits: Vec<_> = tried_us
        .windows(2)
        .map(|w| (w[1] - w[0]) / SECOND_US)
        .collect();
    for (wait, expected) in waits.iter().zip([10, 20, 40, 80, 160, 320, 600, 600]) {
        assert!((expected..expected + 3).contains(wait), "{waits:?}");
    }
    assert!(rig.status(&usb).error.unwrap().contains("writing failed"));
    // It works again, and is found to at the next try; what was is told until then, and when that was.
    faults.fail_sync.store(false, Ordering::SeqCst);
    rig.pass(601 * SECOND_US);
    let told = rig.status(&usb).error.unwrap();
    assert!(told.contains("writing failed 10 min ago"), "{told}");
    assert_eq!(rig.record(&mut stream).1, usb);
    assert_eq!(rig.status(&usb).error, None);
    assert_eq!(rig.record(&mut stream).1, usb);
}

#[test]
fn a_disk_that_refuses_deletions_keeps_no_other_from_them() {
    let (home, folder) = still_home(42);
    let usb = folder.path().join("usb");
    let (mut disk, faults) = faulty_second(&home, &usb);
    disk.max_bytes = Some(100_000);
    let mut both = options(&home, vec![disk]);
    both.disks[0].max_bytes = Some(100_000);
    let (first, second) = (home.stream(1).id, home.stream(2).id);
    both.spread
        .pinned
        .insert(first, home.disk.path().to_owned());
    both.spread.pinned.insert(second, usb.clone());
    let rig = Rig::open(&home, both);
    faults.fail_remove.store(true, Ordering::SeqCst);
    let (mut good, mut bad) = (home.stream(1), home.stream(2));
    for _ in 0..20 {
        rig.record(&mut good);
        rig.record(&mut bad);
    }
    rig.pass(31 * SECOND_US);
    assert!(
        rig.status(home.disk.path()).used_bytes <= 100_000,
        "its oldest went"
    );
    assert!(rig.status(&usb).used_bytes > 500_000, "all is still there");
    // It is asked again after 10 s, twice as long each time up to five minutes, for one file.
    let asked = || faults.removals.load(Ordering::SeqCst);
    let at_first = asked();
    assert!((2..=6).contains(&at_first), "{at_first} times at first");
    rig.pass(600 * SECOND_US);
    let before = asked();
    rig.pass(240 * SECOND_US);
    let asked_again = asked() - before;
    assert!(asked_again <= 1, "{asked_again} times in four minutes");
    faults.fail_remove.store(false, Ordering::SeqCst);
    rig.pass(331 * SECOND_US);
    assert!(rig.status(&usb).used_bytes <= 100_000, "as soon as it can");
}

#[test]
fn a_folder_that_cannot_be_listed_keeps_nobody_from_recording() {
    let (home, folder) = still_home(43);
    let usb = folder.path().join("usb");
    second_disk(&home, &usb, 9);
    let mut stream = home.stream(1);
    let unknown = stream.seal(2, 20_000);
    unknown.leave_on(&usb, unknown.bytes().len());
    let (disk, faults) = faulty_second(&home, &usb);
    faults.fail_list.store(true, Ordering::SeqCst);
    let rig = Rig::open(&home, options(&home, vec![disk]));
    let Report { inserted, .. } = rig.report;
    assert_eq!(inserted, 0, "it is not seen");
    stream.new_epoch(&home);
    rig.record(&mut stream);
    rig.pass(60 * SECOND_US);
    rig.store.close();
    drop(rig);

    let (disk, _) = faulty_second(&home, &usb);
    let rig = Rig::open(&home, options(&home, vec![disk]));
    rig.pass(SECOND_US);
    assert_eq!(rig.read(&unknown), unknown.bytes());
}
