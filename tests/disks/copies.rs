//! A segment on two disks, as a crash in the middle of moving it leaves it.

use std::path::{Path, PathBuf};

use hearthkeep::store::layout;

use super::rig::{Rig, SECOND_US, away, options, path_of, second_disk, segments_on, still_home};
use super::store_support::{Home, Sealed};

/// A catalogued segment on the home's disk, with an epoch of its own that no stream goes on with.
fn with_a_segment(home: &Home, usb: &Path) -> Sealed {
    let rig = Rig::open(home, options(home, vec![second_disk(home, usb, 9)]));
    let mut stream = home.stream(1);
    let (sealed, disk) = loop {
        let (sealed, disk) = rig.record(&mut stream);
        if disk == home.disk.path() {
            break (sealed, disk);
        }
    };
    assert_eq!(disk, home.disk.path());
    rig.store.close();
    sealed
}

fn copies(home: &Home, usb: &Path, sealed: &Sealed) -> Vec<PathBuf> {
    let (mut found, _) = segments_on(&[home.disk.path(), usb]);
    found.remove(&sealed.new.segment).unwrap_or_default()
}

fn reopened<'a>(home: &'a Home, usb: &Path) -> Rig<'a> {
    let rig = Rig::open(home, options(home, vec![second_disk(home, usb, 9)]));
    rig.pass(2 * SECOND_US);
    rig
}

#[test]
fn of_two_that_are_the_same_one_goes() {
    for seed in 61..65 {
        let (home, folder) = still_home(seed);
        let usb = folder.path().join("usb");
        let sealed = with_a_segment(&home, &usb);
        sealed.leave_on(&usb, sealed.bytes().len());
        if seed == 63 {
            // The catalog may know nothing.
            std::fs::remove_dir_all(home.catalog()).unwrap();
        }
        let rig = reopened(&home, &usb);
        assert_eq!(copies(&home, &usb, &sealed).len(), 1);
        assert_eq!(rig.read(&sealed), sealed.bytes());
        assert_eq!(rig.store.strange_files(), 0);
    }
}

#[test]
fn two_that_differ_both_stay() {
    let (home, folder) = still_home(66);
    let usb = folder.path().join("usb");
    let sealed = with_a_segment(&home, &usb);
    sealed.leave_on(&usb, sealed.bytes().len());
    let second = usb.join(path_of(&sealed));
    let mut bytes = std::fs::read(&second).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&second, &bytes).unwrap();
    let rig = reopened(&home, &usb);
    assert_eq!(copies(&home, &usb, &sealed).len(), 2);
    assert_eq!(rig.read(&sealed), sealed.bytes());
    assert_eq!(rig.store.strange_files(), 1, "and it is told");
}

#[test]
fn a_copy_is_as_good_while_the_first_is_away() {
    let (home, folder) = still_home(67);
    let usb = folder.path().join("usb");
    let sealed = with_a_segment(&home, &usb);
    sealed.leave_on(&usb, sealed.bytes().len());
    // The home's disk, which the catalog names, is away.
    let elsewhere = folder.path().join("elsewhere");
    std::fs::rename(home.disk.path(), &elsewhere).unwrap();
    std::fs::create_dir(home.disk.path()).unwrap();
    let mut alone = options_without_home(&home, &usb);
    alone
        .absent
        .push(away(home.disk.path(), 0, Some(home.disk_id)));
    let rig = Rig::open(&home, alone);
    rig.pass(3 * SECOND_US);
    assert_eq!(rig.read(&sealed), sealed.bytes());
    std::fs::remove_dir(home.disk.path()).unwrap();
    std::fs::rename(&elsewhere, home.disk.path()).unwrap();
    rig.pass(3 * SECOND_US);
    assert_eq!(copies(&home, &usb, &sealed).len(), 1, "one of them went");
    assert_eq!(rig.read(&sealed), sealed.bytes());
}

fn options_without_home(home: &Home, usb: &Path) -> hearthkeep::store::Options {
    let disk = second_disk(home, usb, 9);
    let mut options = options_of(home, disk);
    options.pace = Default::default();
    options
}

fn options_of(home: &Home, disk: hearthkeep::store::MountedDisk) -> hearthkeep::store::Options {
    let door = super::rig::Door {
        store: home.store,
        asked: Default::default(),
    };
    let mut options = home.options_with(disk);
    options.doorkeeper = Some(std::sync::Arc::new(door));
    options
}

#[test]
fn what_was_not_copied_wholly_is_removed() {
    let (home, folder) = still_home(68);
    let usb = folder.path().join("usb");
    let sealed = with_a_segment(&home, &usb);
    let new = &sealed.new;
    let begun = usb.join(layout::epoch_folder(&new.stream, &new.epoch));
    std::fs::create_dir_all(&begun).unwrap();
    let begun = begun.join(format!("{}.hks.moving", new.segment));
    std::fs::write(&begun, &sealed.bytes()[..10_000]).unwrap();
    let rig = reopened(&home, &usb);
    assert!(!begun.exists());
    assert_eq!(rig.read(&sealed), sealed.bytes());
}
