//! A full disk at a start, before the log is read: what is not held makes room, by what the state folder knows is held, and by what is
//! read.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hearthkeep::clock::Clock;
use hearthkeep::limits::{LOG_PIECE_BYTES, LOG_UNREAD_MS_MAX, SYNC_INTERVAL_MS_MAX};
use hearthkeep::store::turns::Hands;
use hearthkeep::store::{Store, lock};
use hearthkeep_format::SegmentId;
use hearthkeep_format::log::{Deleted, DeletedSegment, DeletionCause, Record};

use crate::rig::{hold, open, records, settings};
use crate::store_support::{Faults, FaultyDisk, Home, Sealed, until};
use crate::unread::{HOLDS, Held, LONG, retry};

/// So many turns a start takes at least to read the log.
const PIECES: usize = 16;
/// Entries that are more than it reads in one.
const IN_PIECE: usize = 50;

/// Gives a turn to all that wants one by now.
fn turns(home: &Home, hands: &Hands) {
    let now_us = home.clock.monotonic_us();
    for (at_us, number) in hands.waiting() {
        if at_us <= now_us {
            hands.turn(number);
        }
    }
}

/// Opens it on a full disk whose log cannot be read.
fn open_full(of: &Held) -> (Store, Arc<Faults>) {
    let (disk, faults) = FaultyDisk::new(of.home.disk.path());
    faults.fail_log.store(true, Ordering::SeqCst);
    faults.full.store(true, Ordering::SeqCst);
    let mut options = of.home.options_on(disk);
    options.reserve_bytes_min = 1;
    options.log = Some(settings());
    let store = of.home.open_with(options).0;
    until("it is told", || !store.log().troubles().is_empty());
    (store, faults)
}

#[test]
fn a_full_disk_without_its_log_loses_nothing_that_the_state_folder_knows_is_held() {
    let of = Held::new(67, |_| Vec::new());
    let holds = of.home.state.path().join(HOLDS);
    let saved = fs::read(&holds).unwrap();
    fs::remove_file(&holds).unwrap();
    let (store, _) = open_full(&of);
    for _ in 0..3 {
        retry(&of.home, &store);
        assert!(!store.log().is_replayed());
    }
    store.close();
    drop(store);
    assert!(of.is_there(&of.held) && of.is_there(&of.other), "who knows");

    fs::write(&holds, saved).unwrap();
    let (store, faults) = open_full(&of);
    until("what nobody holds goes", || {
        retry(&of.home, &store);
        !of.is_there(&of.other)
    });
    assert!(!store.log().is_replayed());
    faults.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        retry(&of.home, &store);
        assert!(of.is_there(&of.held), "however full it is");
    }
    faults.full.store(false, Ordering::SeqCst);
    faults.fail_log.store(false, Ordering::SeqCst);
    until("it is read", || {
        retry(&of.home, &store);
        store.log().is_replayed()
    });
    assert!(of.is_known(&store) && of.is_there(&of.held));
    drop(store);
    let deleted = records(&of.home).into_iter().any(|record| match record {
        Record::Deleted(deleted) => deleted.segments[0].segment == of.other.new.segment,
        _ => false,
    });
    assert!(deleted, "it is told of once that can be");
}

/// Segments of which the first two are held, and a log that takes many turns to read; and what the state folder remembered when it
/// knew of the first hold only.
struct Long {
    of: Held,
    loose: Sealed,
    older: Vec<u8>,
}

impl Long {
    fn new(seed: u64) -> Self {
        let of = Held::new(seed, |_| Vec::new());
        let older = fs::read(of.home.state.path().join(HOLDS)).unwrap();
        let store = open(&of.home);
        let loose = of.home.stream(2).seal(4, 20_000);
        loose.record(&store);
        hold(&store, &of.other);
        let gone = |sequence| DeletedSegment {
            segment: SegmentId::from_bytes([7; 16]),
            sequence,
        };
        let record = || {
            Record::Deleted(Deleted {
                stream: of.home.stream(9).id,
                cause: DeletionCause::ByHand,
                segments: (0..LOG_PIECE_BYTES as u64 / IN_PIECE as u64 / 16)
                    .map(gone)
                    .collect(),
            })
        };
        let tickets = (0..PIECES * IN_PIECE).map(|_| store.log().append(record()));
        assert!(store.log().wait_for(tickets.last().unwrap(), LONG));
        until("it is there", || {
            store.usage(&loose.new.stream).segments == 1
        });
        drop(store);
        Self { of, loose, older }
    }

    /// Opens it on a full disk, with turns by hand.
    fn open(&self) -> Opened {
        let (disk, faults) = FaultyDisk::new(self.of.home.disk.path());
        faults.full.store(true, Ordering::SeqCst);
        let mut options = self.of.home.options_on(disk);
        options.reserve_bytes_min = 1;
        options.log = Some(settings());
        let lock = lock::acquire(self.of.home.state.path()).unwrap();
        let (store, hands, _) = Store::open_driven(options, lock).unwrap();
        Opened {
            store,
            hands,
            faults,
        }
    }

    fn turn(&self, opened: &Opened) {
        turns(&self.of.home, &opened.hands);
        assert!(self.of.is_there(&self.of.held) && self.of.is_there(&self.of.other));
    }

    fn turn_while_unread(&self, opened: &Opened) {
        self.turn(opened);
        assert!(!opened.store.log().is_replayed(), "it is long");
    }
}

struct Opened {
    store: Store,
    hands: Hands,
    faults: Arc<Faults>,
}

#[test]
fn a_full_disk_does_not_wait_for_a_long_log() {
    let long = Long::new(69);
    let opened = long.open();
    while long.of.is_there(&long.loose) {
        long.turn_while_unread(&opened);
    }
    let sealed = long.of.home.stream(3).seal(4, 1_000);
    let handle = sealed.begin(&opened.store);
    let clock = &long.of.home.clock;
    clock.advance_us(SYNC_INTERVAL_MS_MAX as u32 * 1_000);
    while handle.segment().durable_bytes() == 0 {
        long.turn_while_unread(&opened);
    }
    while !opened.store.log().is_replayed() {
        long.turn(&opened);
    }
    assert_eq!(opened.store.holds().unwrap().len(), 2);
}

#[test]
fn a_hold_that_only_a_long_log_has_wins_over_a_full_disk() {
    let long = Long::new(70);
    fs::write(long.of.home.state.path().join(HOLDS), &long.older).unwrap();
    let opened = long.open();
    for _ in 0..PIECES / 2 {
        long.turn_while_unread(&opened);
        assert!(long.of.is_there(&long.loose), "there may be a hold");
    }
    // But recording does not wait for ever: by then the hold is read.
    long.of
        .home
        .clock
        .advance_us(LOG_UNREAD_MS_MAX as u32 * 1_000);
    while long.of.is_there(&long.loose) {
        long.turn_while_unread(&opened);
    }
    // As long as the disk is full the log cannot be gone on with, and is read again and again.
    for _ in 0..3 {
        opened.faults.full.store(true, Ordering::SeqCst);
        for is_read in [true, false] {
            while opened.store.log().is_replayed() != is_read {
                long.of.home.clock.advance_us(1_000_000);
                long.turn(&opened);
            }
        }
    }
}
