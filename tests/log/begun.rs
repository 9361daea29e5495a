//! A deletion that a crash interrupted is decided anew: what is held meanwhile stays, and the log says what there is.

use std::fs;
use std::time::Duration;

use hearthkeep::store::catalog::{Catalog, Entry};
use hearthkeep::store::{MountedDisk, Options, Store};
use hearthkeep_format::SegmentId;
use hearthkeep_format::log::{Deleted, DeletedSegment, DeletionCause, Record};

use crate::rig::{hold, open, records, settings};
use crate::store_support::{Home, Sealed, until};

const LONG: Duration = Duration::from_secs(60);
/// What a disk may have of footage: less than a segment has here.
const ROOM_BYTES: u64 = 1_000;

/// A home with three segments of which the log says that they are deleted, and a crash came before their files went: but for
/// the last of them.
fn with_deletions_begun(home: &Home) -> Vec<Sealed> {
    let store = open(home);
    let mut stream = home.stream(1);
    let all: Vec<_> = (0..3).map(|_| stream.seal(4, 20_000)).collect();
    all.iter().for_each(|sealed| sealed.record(&store));
    until("all are there", || store.usage(&stream.id).segments == 3);
    drop(store);
    let store = open(home);
    until("the log is read", || store.log().is_replayed());
    let segment = |sealed: &Sealed| DeletedSegment {
        segment: sealed.new.segment,
        sequence: sealed.new.start.sequence,
    };
    let ticket = store.log().append(Record::Deleted(Deleted {
        stream: stream.id,
        cause: DeletionCause::DiskBytes,
        segments: all.iter().map(segment).collect(),
    }));
    assert!(store.log().wait_for(ticket, LONG));
    drop(store);
    let catalog = Catalog::open(&home.catalog(), &home.store).unwrap().catalog;
    for sealed in &all {
        let entry = catalog.find(&stream.id, &sealed.new.segment);
        let tombstone = Entry {
            tombstone: true,
            ..entry.unwrap().unwrap()
        };
        catalog.insert(&[tombstone]).unwrap();
    }
    catalog.flush().unwrap();
    fs::remove_file(home.path_of(&all[2].new)).unwrap();
    all
}

fn options(home: &Home, max_bytes: Option<u64>) -> Options {
    let path = home.disk.path();
    let disk = MountedDisk::open(path, home.store, home.disk_id, max_bytes).unwrap();
    let mut options = home.options_with(disk);
    options.log = Some(settings());
    options
}

fn is_shown(store: &Store, sealed: &Sealed) -> bool {
    let timeline = store.timeline(&sealed.new.stream, i64::MIN, i64::MAX);
    let mut segments = timeline.unwrap().segments.into_iter();
    segments.any(|span| span.segment == sealed.new.segment)
}

/// What the log said last of a segment: whether it is there.
fn is_there_by(records: &[Record], segment: SegmentId) -> bool {
    let mut of_it = records.iter().rev().filter_map(|record| match record {
        Record::SegmentClosed(closed) => (closed.segment == segment).then_some(true),
        Record::Deleted(deleted) => {
            let mut named = deleted.segments.iter();
            named.any(|one| one.segment == segment).then_some(false)
        }
        _ => None,
    });
    of_it.next().expect("the log tells of it")
}

#[test]
fn what_is_held_by_then_stays_and_the_log_has_it_again() {
    let home = Home::new(71);
    let all = with_deletions_begun(&home);
    let there = |n: usize| home.path_of(&all[n].new).exists();
    // A command without a recorder deletes nothing.
    let mut at_rest = options(&home, Some(ROOM_BYTES));
    (at_rest.records, at_rest.at_rest) = (false, true);
    let (store, report) = home.open_with(at_rest);
    assert_eq!((report.undeleted, report.deleted.len()), (2, 1));
    assert!(is_shown(&store, &all[0]) && is_shown(&store, &all[1]));
    assert!(!is_shown(&store, &all[2]));
    hold(&store, &all[0]);
    drop(store);
    assert!(there(0) && there(1));

    let (store, _) = home.open_with(options(&home, Some(ROOM_BYTES)));
    until("what is not held goes", || !there(1));
    assert!(there(0) && is_shown(&store, &all[0]));
    assert_eq!(store.log().removed_count(), 0, "nobody is accused");
    drop(store);
    let records = records(&home);
    let said = all.iter().map(|one| is_there_by(&records, one.new.segment));
    assert_eq!(said.collect::<Vec<_>>(), [true, false, false]);
}

#[test]
fn what_a_crash_kept_from_the_log_is_no_theft() {
    let home = Home::new(72);
    let store = open(&home);
    let mut stream = home.stream(1);
    let sealed = stream.seal(4, 20_000);
    sealed.record(&store);
    until("it is there", || store.usage(&stream.id).segments == 1);
    drop(store);
    // Neither the log nor the state folder could be written, and then the recorder died.
    let catalog = Catalog::open(&home.catalog(), &home.store).unwrap().catalog;
    let entry = catalog.find(&stream.id, &sealed.new.segment);
    let tombstone = Entry {
        tombstone: true,
        ..entry.unwrap().unwrap()
    };
    catalog.insert(&[tombstone]).unwrap();
    catalog.flush().unwrap();
    drop(catalog);
    fs::remove_file(home.path_of(&sealed.new)).unwrap();
    let store = open(&home);
    until("it is told", || {
        !is_there_by(&records(&home), sealed.new.segment)
    });
    assert_eq!(store.log().removed_count(), 0);
}
