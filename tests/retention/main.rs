//! What retention deletes, what it never deletes, and that a crash between its steps costs nothing.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../store_support/mod.rs"]
mod store_support;

mod holds;
mod numbers;
mod outage;
mod plan;
mod shelf;

use std::sync::atomic::Ordering;

use hearthkeep::store::Store;
use hearthkeep::store::catalog::{Catalog, Entry};
use hearthkeep::store::retention::CameraBudget;
use hearthkeep::store::writer::{Refused, State};
use hearthkeep_format::StreamId;
use hearthkeep_format::segment::ReadAt as _;
use store_support::{FRAGMENT_US, FaultyDisk, Home, until};

/// A camera of one stream that may have so many bytes.
fn budgeted(stream: StreamId, max_bytes: u64) -> CameraBudget {
    CameraBudget {
        streams: vec![stream],
        max_bytes: Some(max_bytes),
        ..CameraBudget::default()
    }
}

#[test]
fn a_full_disk_is_an_event_and_recording_goes_on() {
    let home = Home::new(40);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let mut options = home.options_on(disk);
    options.reserve_bytes_min = 1;
    let (store, _) = home.open_with(options);
    let mut stream = home.stream(0);
    let old = stream.seal(2, 100);
    old.record(&store);
    until("the first is catalogued", || {
        store.usage(&stream.id).segments == 1
    });
    faults.full.store(true, Ordering::SeqCst);
    let handle = stream.seal(2, 100).begin(&store);
    until("it is poisoned", || {
        handle.segment().state() == State::Poisoned
    });
    // Retention runs at once, deletes the oldest, and there is room again.
    let next = stream.seal(2, 100);
    let begun = std::time::Instant::now();
    let handle = loop {
        match store.begin(next.new, next.head.clone()) {
            Ok(handle) => break handle,
            Err(refused) => assert_eq!(refused, Refused::DiskFull),
        }
        assert!(
            begun.elapsed().as_secs() < 5,
            "recording resumes within 5 s"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    until("it is durable", || handle.segment().durable_bytes() > 0);
    assert!(!home.path_of(&old.new).exists());
}

#[test]
fn a_poisoned_segment_takes_room_and_gets_its_tail_at_the_next_start() {
    let home = Home::new(47);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let (store, _) = home.open_with(home.options_on(disk));
    let mut stream = home.stream(0);
    let sealed = stream.seal(4, 3000);
    let handle = store.begin(sealed.new, sealed.head.clone()).unwrap();
    handle.append(sealed.chunks[0].clone(), FRAGMENT_US);
    until("a fragment is durable", || {
        handle.segment().durable_us() > 0
    });
    let durable = handle.segment().durable_bytes();
    faults.fail_sync.store(true, Ordering::SeqCst);
    handle.append(sealed.chunks[1].clone(), 2 * FRAGMENT_US);
    until("it is catalogued", || store.usage(&stream.id).segments == 1);
    assert_eq!(store.usage(&stream.id).bytes, durable);
    let all = |store: &Store| {
        store
            .timeline(&stream.id, i64::MIN, i64::MAX)
            .unwrap()
            .segments
    };
    assert_eq!(
        (all(&store)[0].open, all(&store)[0].duration_us),
        (true, FRAGMENT_US)
    );
    let opened = store.open_segment(&stream.id, &sealed.new.segment).unwrap();
    assert_eq!(
        opened.front.size(),
        durable,
        "what came after it is not believed"
    );
    drop(store);
    let (store, report) = home.open();
    assert_eq!((report.recovered, report.strange), (1, 0));
    assert!(all(&store)[0].recovered && !all(&store)[0].open);
    assert_eq!(store.usage(&stream.id).segments, 1);
    let bytes = home.path_of(&sealed.new).metadata().unwrap().len();
    assert_eq!(store.usage(&stream.id).bytes, bytes);
    drop(store);
    let (_store, report) = home.open();
    assert_eq!(report.recovered, 0, "it is settled");
}

#[test]
fn what_a_crash_left_of_a_deletion_is_footage_again_until_it_is_decided() {
    let home = Home::new(41);
    let mut stream = home.stream(0);
    let sealed: Vec<_> = (0..5).map(|_| stream.seal(1, 50)).collect();
    {
        let (store, _) = home.open();
        sealed.iter().for_each(|sealed| sealed.record(&store));
    }
    {
        let catalog = Catalog::open(&home.catalog(), &home.store).unwrap().catalog;
        let marked: Vec<_> = catalog
            .oldest_first(&stream.id)
            .filter(|entry| entry.as_ref().unwrap().sequence != 1)
            .take(3)
            .map(|entry| Entry {
                tombstone: true,
                ..entry.unwrap()
            })
            .collect();
        catalog.insert(&marked).unwrap();
        catalog.flush().unwrap();
    }
    // One was unlinked before the crash, the others were not, and lie between what stays.
    std::fs::remove_file(home.path_of(&sealed[0].new)).unwrap();
    let shown = |store: &Store| {
        let timeline = store.timeline(&stream.id, i64::MIN, i64::MAX).unwrap();
        let sequences = timeline.segments.iter().map(|span| span.sequence);
        sequences.collect::<Vec<_>>()
    };
    let (store, report) = home.open();
    assert_eq!(
        shown(&store),
        [1, 2, 3, 4],
        "nothing says that they are to go"
    );
    assert_eq!((report.undeleted, report.deleted.len()), (2, 1));
    drop(store);
    let mut options = home.options();
    options.cameras = vec![budgeted(stream.id, 2 * sealed[0].bytes().len() as u64)];
    let (store, _) = home.open_with(options);
    until("what is beyond the budget goes", || {
        store.usage(&stream.id).segments == 2
    });
    for (sealed, stays) in sealed.iter().zip([false, false, false, true, true]) {
        assert_eq!(home.path_of(&sealed.new).exists(), stays);
    }
}

#[test]
fn the_store_keeps_to_a_cameras_bytes_and_spares_what_is_open() {
    let home = Home::new(42);
    let mut stream = home.stream(0);
    let sealed: Vec<_> = (0..6).map(|_| stream.seal(2, 5000)).collect();
    let bytes = sealed[0].bytes().len() as u64;
    let budget = budgeted(stream.id, 3 * bytes + 10);
    {
        let (store, _) = home.open();
        sealed.iter().for_each(|sealed| sealed.record(&store));
    }
    let mut options = home.options();
    options.cameras = vec![budget];
    let (store, _) = home.open_with(options);
    until("three are left", || store.usage(&stream.id).segments == 3);
    let is_there = |n: usize| home.path_of(&sealed[n].new).exists();
    assert!(!is_there(2) && is_there(3));
    let open = stream.seal(1, 9000);
    let handle = open.begin(&store);
    until("it is durable", || handle.segment().durable_bytes() > 0);
    until("what is open counts", || !is_there(3));
    assert!(is_there(5) && home.path_of(&open.new).exists());
}

#[test]
fn a_segment_goes_where_its_budget_leaves_the_most_room() {
    let home = Home::new(43);
    let other = tempfile::tempdir().unwrap();
    let mut options = home.options();
    options.disks.push(home.another_disk(other.path(), 7));
    // Both lie on one file system, so that their free bytes are the same.
    options.disks[0].max_bytes = Some(50_000);
    options.disks[1].max_bytes = Some(60_000);
    let (store, _) = home.open_with(options);
    let mut stream = home.stream(0);
    let mut disks = Vec::new();
    let mut handles = Vec::new();
    for _ in 0..6 {
        let handle = stream.seal(1, 10_000).begin(&store);
        until("it is durable", || handle.segment().durable_us() > 0);
        disks.push(handle.segment().disk);
        handles.push(handle);
    }
    assert_eq!(disks, [1, 0, 1, 0, 1, 0]);
}

#[test]
fn what_lies_on_a_disk_that_is_away_does_not_cost_what_is_there() {
    let home = Home::new(44);
    let other = tempfile::tempdir().unwrap();
    let (mut stream, mut sign) = (home.stream(0), home.stream(9));
    let sealed: Vec<_> = (0..6).map(|_| stream.seal(2, 5000)).collect();
    let bytes = sealed[0].bytes().len();
    sealed[..3]
        .iter()
        .for_each(|s| s.leave_on(other.path(), bytes));
    sealed[3..].iter().for_each(|s| s.leave_whole(&home));
    {
        let mut options = home.options();
        options.disks.push(home.another_disk(other.path(), 7));
        let (store, _) = home.open_with(options);
        until("all are known", || store.usage(&stream.id).segments == 6);
    }
    // Of a second camera nothing may stay: that it goes shows that the plan was carried out.
    let sign = sign.seal(1, 10);
    sign.leave_whole(&home);
    let mut options = home.options();
    options.cameras = [(stream.id, 3 * bytes as u64), (sign.new.stream, 0)]
        .map(|(stream, max_bytes)| budgeted(stream, max_bytes))
        .into();
    let (store, _) = home.open_with(options);
    until("a pass was made", || !home.path_of(&sign.new).exists());
    assert_eq!(store.usage(&stream.id).segments, 6);
    assert!(sealed[3..].iter().all(|s| home.path_of(&s.new).exists()));
}
