//! Disks that take nothing although their file system shows room, as where they are out of inodes.

use std::sync::Arc;

use hearthkeep::store::writer::Refused;
use hearthkeep::store::{DiskFault, MountedDisk, Options};

use super::failing::faulty_second;
use super::rig::{Rig, SECOND_US, options, still_home};
use super::store_support::{Faults, FaultyDisk, Files, Home, Stream};

/// Options with the home's disk, on which files are made as told.
fn only_one(home: &Home) -> (Options, Arc<Faults>) {
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let (path, id) = (home.disk.path(), home.disk_id);
    let mut only = options(home, Vec::new());
    only.disks[0] = MountedDisk::with(disk, path, home.store, id, None).unwrap();
    (only, faults)
}

/// Offers the stream's next segment, and lets 5 s pass. Whether it was recorded.
fn offer(rig: &Rig<'_>, stream: &mut Stream) -> bool {
    let sealed = stream.seal(2, 20_000);
    let handle = rig.store.begin(sealed.new, sealed.head.clone());
    match handle {
        Ok(handle) => {
            for (n, chunk) in (1..).zip(&sealed.chunks) {
                handle.append(chunk.clone(), n * super::store_support::FRAGMENT_US);
            }
            handle.finish(sealed.end.clone(), sealed.duration_us);
        }
        Err(refused) => assert_eq!(refused, Refused::DiskFull),
    }
    rig.pass(5 * SECOND_US);
    let known = rig
        .store
        .open_segment(&sealed.new.stream, &sealed.new.segment);
    known.is_ok()
}

fn deleted(rig: &Rig<'_>) -> u64 {
    rig.store.deleted().values().map(|(count, _)| count).sum()
}

fn set(faults: &Faults, files: Files) {
    *faults.files.lock().unwrap() = files;
}

/// Where deleting does not help, an eighth goes at most, and it is told; recording goes on once there is room.
fn in_vain(seed: u64, files: Files) {
    let (home, _folder) = still_home(seed);
    let (only, faults) = only_one(&home);
    let rig = Rig::open(&home, only);
    let mut stream = home.stream(1);
    assert!((0..80).all(|_| offer(&rig, &mut stream)));
    set(&faults, files);
    let recorded = (0..240).filter(|_| offer(&rig, &mut stream)).count() as u64;
    let gone = deleted(&rig);
    assert!((1..=10 + recorded).contains(&gone), "{gone} of 80");
    let left = rig.store.usage(&stream.id).segments;
    assert!(left >= 70, "{left} of 80, after twenty minutes");
    let status = rig.status(home.disk.path());
    let told = status.error.unwrap();
    assert!(told.contains("deleting does not help"), "{told}");
    assert!(status.is_full);
    assert_eq!(status.fault, Some(DiskFault::Limited));
    set(&faults, Files::Many);
    rig.pass(2 * SECOND_US);
    assert!((0..20).all(|_| offer(&rig, &mut stream)));
}

#[test]
fn where_deleting_does_not_help_nearly_all_stays() {
    in_vain(91, Files::None);
}

#[test]
fn where_somebody_else_takes_what_comes_free_nearly_all_stays() {
    in_vain(92, Files::Contested(false));
}

#[test]
fn an_only_disk_without_inodes_goes_on_in_the_room_of_what_was_deleted() {
    let (home, _folder) = still_home(93);
    let (only, faults) = only_one(&home);
    let rig = Rig::open(&home, only);
    let mut stream = home.stream(1);
    assert!((0..80).all(|_| offer(&rig, &mut stream)));
    set(&faults, Files::Left(3));
    let missed = |count: u64, stream: &mut Stream| {
        let offered = (0..count).filter(|_| !offer(&rig, stream));
        offered.count()
    };
    // Each takes 5 s.
    assert!((1..=2).contains(&missed(6, &mut stream)), "within 10 s");
    let (at_first, then) = (missed(700, &mut stream), missed(700, &mut stream));
    println!("{at_first} segments were not recorded in an hour, {then} in another one");
    assert!(at_first <= 8 && then <= 2);
    let left = rig.store.usage(&stream.id).segments;
    assert!((70..=83).contains(&left), "{left} of 83 that it can have");
}

#[test]
fn nothing_is_deleted_beside_a_disk_with_room() {
    let (home, folder) = still_home(94);
    let usb = folder.path().join("usb");
    let (disk, faults) = faulty_second(&home, &usb);
    let mut both = options(&home, vec![disk]);
    let mut stream = home.stream(1);
    both.spread.pinned.insert(stream.id, usb.clone());
    let rig = Rig::open(&home, both);
    assert!((0..40).all(|_| offer(&rig, &mut stream)));
    set(&faults, Files::Left(0));
    let missed = (0..480).filter(|_| !offer(&rig, &mut stream)).count();
    assert_eq!(missed, 1, "in forty minutes");
    assert_eq!(deleted(&rig), 0);
    let status = rig.status(&usb);
    assert!(status.is_full && status.error.unwrap().contains("inodes"));
    assert_eq!(status.fault, Some(DiskFault::Limited));
    // It is used again once it takes something.
    set(&faults, Files::Many);
    rig.pass(2 * SECOND_US);
    assert_eq!(rig.record(&mut stream).1, usb);
}
