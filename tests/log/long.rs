//! A log that is long takes room, which counts, and is read and made again a piece at a time.

use std::fs;

use hearthkeep::limits::{LOG_COUNTED_BYTES, LOG_PIECE_BYTES};
use hearthkeep::store::{MountedDisk, Store};
use hearthkeep_format::log::{DeletionCause, Record};
use hearthkeep_format::segment::GapCause;

use crate::rig::{folder, open, records, settings};
use crate::store_support::{Home, until};
use crate::unread::LONG;

/// Entries that take more than a step of what is counted, and of whose tree there is more than a piece.
const ENTRIES: i64 = 6_600;
const SEGMENTS: u64 = 20;

fn grow(home: &Home, store: &Store) {
    let stream = home.stream(1).id;
    for some in (0..ENTRIES).collect::<Vec<_>>().chunks(2_000) {
        let tickets = some.iter().map(|n| {
            store.log().append(Record::Gap {
                stream,
                cause: GapCause::CameraLost,
                from_us: 100 * n,
                to_us: 100 * n + 10,
            })
        });
        let last = tickets.last().unwrap();
        assert!(store.log().wait_for(last, LONG));
    }
}

/// Has retention look twice.
fn look(home: &Home, store: &Store) {
    for _ in 0..2 {
        home.clock.advance_us(31_000_000);
        let stream = home.stream(1).id;
        let ticket = store.log().append(Record::Gap {
            stream,
            cause: GapCause::CameraLost,
            from_us: 1,
            to_us: 2,
        });
        assert!(store.log().wait_for(ticket, LONG));
    }
}

#[test]
fn the_log_counts_for_the_budget_of_its_disk() {
    let home = Home::new(73);
    let mut stream = home.stream(0);
    let sealed: Vec<_> = (0..SEGMENTS).map(|_| stream.seal(1, 100_000)).collect();
    let footage: u64 = sealed.iter().map(|one| one.bytes().len() as u64).sum();
    // Room for all of it, and for what is deleted ahead of more; not for the log besides.
    let max_bytes = footage + 600_000;
    let disk = MountedDisk::open(home.disk.path(), home.store, home.disk_id, Some(max_bytes));
    let mut options = home.options_with(disk.unwrap());
    options.log = Some(settings());
    let store = home.open_with(options).0;
    until("the log is read", || store.log().is_replayed());
    sealed.iter().for_each(|one| one.record(&store));
    until("all are catalogued", || {
        store.usage(&stream.id).segments == SEGMENTS
    });
    look(&home, &store);
    assert_eq!(store.usage(&stream.id).segments, SEGMENTS, "all have room");
    grow(&home, &store);
    let log: u64 = ["entries", "tree"]
        .map(|name| {
            fs::metadata(folder(home.disk.path()).join(name))
                .unwrap()
                .len()
        })
        .iter()
        .sum();
    assert!(
        log > LOG_COUNTED_BYTES && log < 2 * LOG_COUNTED_BYTES,
        "{log}"
    );
    look(&home, &store);
    until("the oldest make room for the log", || {
        store.disks()[0].used_bytes + LOG_COUNTED_BYTES <= max_bytes
    });
    let left = store.usage(&stream.id).segments;
    assert!(
        left >= SEGMENTS / 2 - 2,
        "{left} are left, and the log has no more than half"
    );
    store.close();
    let records = records(&home);
    let is_for_room = |record: &Record| match record {
        Record::Deleted(deleted) => deleted.cause == DeletionCause::DiskBytes,
        _ => false,
    };
    assert!(records.iter().any(is_for_room));
}

#[test]
fn the_tree_of_a_long_log_is_made_again() {
    let home = Home::new(74);
    let store = open(&home);
    until("the log is read", || store.log().is_replayed());
    grow(&home, &store);
    store.close();
    drop(store);
    let path = folder(home.disk.path()).join("tree");
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() > 2 * LOG_PIECE_BYTES);
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let store = open(&home);
    until("the log is read", || store.log().is_replayed());
    assert_eq!(store.log().troubles(), Vec::<String>::new());
    store.close();
    drop(store);
    let now = fs::read(&path).unwrap();
    assert!(
        now.starts_with(&whole),
        "the log went on, and its tree is as it was"
    );
    // Where the entries are not right either, nothing is done.
    let entries = path.with_file_name("entries");
    let mut bytes = fs::read(&entries).unwrap();
    bytes[1_000] ^= 1;
    fs::write(&entries, bytes).unwrap();
    fs::write(&path, &now[..now.len() / 2]).unwrap();
    let store = open(&home);
    until("the log is read", || store.log().is_replayed());
    assert!(!store.log().troubles().is_empty());
    assert_eq!(fs::read(&path).unwrap(), now[..now.len() / 2]);
    assert!(!path.with_file_name("tree.new").exists());
    store.close();
}
