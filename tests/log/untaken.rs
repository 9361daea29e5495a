//! A state folder that takes nothing while footage is deleted: whoever looks afterwards accuses nobody of what the recorder deleted, and
//! misses what somebody removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hearthkeep::disk::{Disk, RealDisk};
use hearthkeep::state_file::StateKey;
use hearthkeep::store::Options;
use hearthkeep::store::log::{OnDisks, unlogged_on};
use hearthkeep::store::retention::CameraBudget;
use hearthkeep_format::log::Record;
use zeroize::Zeroizing;

use crate::rig::{copy, open, records, settings};
use crate::store_support::{FaultyDisk, Home, Sealed, until};

const COUNT: usize = 8;

/// Has the state folder refuse to replace any of the log's files; until it is called.
fn block(home: &Home) -> impl FnOnce() {
    let files = ["log.sealed", "log.deleted.sealed", "log.holds.sealed"];
    let places = files.map(|file| home.state.path().join(format!(".{file}.new")));
    for place in &places {
        fs::create_dir(place).unwrap();
        fs::write(place.join("full"), "").unwrap();
    }
    move || {
        let _: [(); 3] = places.map(|place| fs::remove_dir_all(place).unwrap());
    }
}

fn refuge(disk: &Path) -> PathBuf {
    disk.join("log/deleted.sealed")
}

/// Room for so many of the segments.
fn with_room(home: &Home, all: &[Sealed], count: u64) -> Options {
    let mut options = home.options();
    options.log = Some(settings());
    options.cameras = vec![CameraBudget {
        streams: vec![all[0].new.stream],
        max_bytes: Some(count * all[0].bytes().len() as u64),
        ..CameraBudget::default()
    }];
    options
}

/// A home whose log has some segments.
fn filled(seed: u64) -> (Home, Vec<Sealed>) {
    let home = Home::new(seed);
    let mut stream = home.stream(1);
    let all: Vec<_> = (0..COUNT).map(|_| stream.seal(2, 1_000)).collect();
    let store = open(&home);
    for sealed in &all {
        sealed.record(&store);
    }
    until("all are there", || {
        store.usage(&stream.id).segments == COUNT as u64
    });
    drop(store);
    let closed = records(&home)
        .into_iter()
        .filter(|record| matches!(record, Record::SegmentClosed(_)));
    assert_eq!(closed.count(), COUNT);
    (home, all)
}

/// Has all but so many deleted, and ends.
fn delete(home: &Home, all: &[Sealed], left: usize) {
    let store = home.open_with(with_room(home, all, left as u64)).0;
    let gone = &all[..COUNT - left];
    until("the oldest are gone", || {
        home.clock.advance_us(1_000_000);
        gone.iter()
            .all(|sealed| !home.path_of(&sealed.new).exists())
    });
    drop(store);
    let is_there = |sealed: &Sealed| home.path_of(&sealed.new).exists();
    assert!(all[COUNT - left..].iter().all(is_there));
}

/// Removes one as a thief does.
fn steal(home: &Home, sealed: &Sealed) {
    fs::remove_file(home.path_of(&sealed.new)).unwrap();
}

/// A start tells these as removed, and nothing else.
fn is_told(home: &Home, stolen: &[&Sealed]) {
    let store = open(home);
    until("the theft is told", || store.log().removed_count() > 0);
    let stream = &stolen[0].new.stream;
    let removed = store.log().removed(stream, i64::MIN, i64::MAX);
    let removed: Vec<_> = removed.iter().map(|closed| closed.segment).collect();
    let expected: Vec<_> = stolen.iter().map(|sealed| sealed.new.segment).collect();
    assert_eq!(removed, expected);
}

/// Sequences that the log says were deleted.
fn deleted(home: &Home) -> Vec<u64> {
    let deleted = records(home).into_iter().filter_map(|record| match record {
        Record::Deleted(deleted) => Some(deleted.segments),
        _ => None,
    });
    deleted.flatten().map(|one| one.sequence).collect()
}

fn on_disk(home: &Home, key: [u8; 32]) -> OnDisks {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(home.disk.path()).unwrap());
    let key = StateKey::new(Zeroizing::new(key));
    unlogged_on(&[disk], &home.store, Some((home.state.path(), key)))
}

#[test]
fn what_was_deleted_meanwhile_is_nobodys_theft_at_the_next_start() {
    let (home, all) = filled(301);
    let goes_on = block(&home);
    delete(&home, &all, 5);
    // A life that finds the folder as it is, and deletes more.
    delete(&home, &all, 3);
    let told = on_disk(&home, [5; 32]);
    let named = told.deleted.iter().flat_map(|of| &of.segments);
    let mut named: Vec<_> = named.map(|one| one.sequence).collect();
    named.sort_unstable();
    named.dedup();
    assert_eq!((named, told.unread), ((0..5).collect(), Vec::new()));
    steal(&home, &all[6]);
    is_told(&home, &[&all[6]]);
    // It is nothing that somebody without the machine's key can read, or write.
    assert_eq!(on_disk(&home, [6; 32]).unread.len(), 1);
    goes_on();
    steal(&home, &all[7]);
    is_told(&home, &[&all[6], &all[7]]);
    until("the log has it", || {
        (0..5).all(|sequence| deleted(&home).contains(&sequence))
    });
    assert!(!refuge(home.disk.path()).exists(), "the log has all");
    is_told(&home, &[&all[6], &all[7]]);
}

#[test]
fn what_a_disk_remembers_from_before_the_log_went_on_hides_no_theft() {
    let (home, all) = filled(302);
    let (goes_on, kept) = (block(&home), tempfile::tempdir().unwrap());
    // What was to be deleted stays, as where a crash comes before it goes.
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    faults.keep_footage.store(true, Ordering::SeqCst);
    let mut options = with_room(&home, &all, 7);
    options.disks = home.options_on(disk).disks;
    let store = home.open_with(options).0;
    until("it is remembered", || {
        home.clock.advance_us(1_000_000);
        refuge(home.disk.path()).exists()
    });
    drop(store);
    let aside = kept.path().join("aside");
    copy(&refuge(home.disk.path()), &aside);
    goes_on();
    let store = open(&home);
    until("it is footage again, for the log too", || {
        let last = |record: &Record| match record {
            Record::SegmentClosed(closed) if closed.sequence == 0 => Some(true),
            Record::Deleted(deleted) if deleted.segments[0].sequence == 0 => Some(false),
            _ => None,
        };
        home.clock.advance_us(1_000_000);
        let records = records(&home);
        let said: Vec<_> = records.iter().filter_map(last).collect();
        said.ends_with(&[false, true])
    });
    drop(store);
    assert!(!refuge(home.disk.path()).exists());
    copy(&aside, &refuge(home.disk.path()));
    assert_eq!(on_disk(&home, [5; 32]).deleted, []);
    steal(&home, &all[0]);
    is_told(&home, &[&all[0]]);
    assert!(
        !refuge(home.disk.path()).exists(),
        "it says nothing any more"
    );
}

#[test]
fn what_cannot_be_used_hides_nothing() {
    let (home, all) = filled(303);
    let goes_on = block(&home);
    delete(&home, &all, 5);
    fs::write(refuge(home.disk.path()), "torn").unwrap();
    goes_on();
    is_told(&home, &[&all[0], &all[1], &all[2]]);
}
