//! A log as cameras make it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hearthkeep::clock::SystemClock;
use hearthkeep::keys::StateFolder;
use hearthkeep::store::log::Ticket;
use hearthkeep::store::{LogSettings, MountedDisk, Options, SharedKeys, Store, lock};
use hearthkeep_format::log::{Deleted, DeletedSegment, DeletionCause, Record, SegmentClosed};
use hearthkeep_format::segment::GapCause;
use hearthkeep_format::{
    DiskId, EpochId, Kind, MetadataKey, Random, SeededRandom, SegmentId, StreamId,
};
use zeroize::Zeroizing;

use crate::installation::Installation;

const STREAMS: u64 = 16;
/// Segments of a stream's epoch, each a minute.
const EPOCH_SEGMENTS: u64 = 1440;
/// How many of a stream there are before the oldest goes.
const KEPT: u64 = 2880;
/// A stream has a gap after so many segments.
const GAP_AFTER: u64 = 500;
/// Records that are handed over at once.
const SOME: usize = 4000;
const LONG: Duration = Duration::from_secs(600);
const MINUTE_US: u64 = 60_000_000;

/// Writes so many entries with the recorder's own code: segments of 16 cameras, a minute each, and the deletion of each, in the end of all.
pub fn fill(home: &Installation, entries: u64) {
    let state = StateFolder::load(&home.state()).unwrap();
    let store = opened(&state, &home.footage());
    let disk = state.disks()[0].id;
    let (mut queued, mut told) = (Vec::new(), 0);
    let mut streams: Vec<_> = (0..STREAMS).map(Stream::new).collect();
    let (mut minute, mut is_ending) = (0, false);
    loop {
        let kept: u64 = streams.iter().map(Stream::kept).sum();
        if is_ending && kept == 0 {
            break;
        }
        is_ending |= told + queued.len() as u64 + kept >= entries;
        for stream in &mut streams {
            stream.minute(minute, disk, is_ending, &mut queued);
        }
        minute += 1;
        if queued.len() >= SOME {
            told += queued.len() as u64;
            tell(&store, &mut queued);
        }
    }
    tell(&store, &mut queued);
    store.close();
}

fn tell(store: &Store, queued: &mut Vec<Record>) {
    let last = queued.drain(..).map(|record| store.log().append(record));
    let last: Option<Ticket> = last.last();
    assert!(last.is_none_or(|last| store.log().wait_for(last, LONG)));
}

/// The store with its log.
fn opened(state: &StateFolder, footage: &Path) -> Store {
    let held = lock::acquire(state.folder()).unwrap();
    let (store, _) = Store::open(options(state, footage), held).unwrap();
    store
}

/// What a recorder opens it with.
pub fn options(state: &StateFolder, footage: &Path) -> Options {
    let disk = MountedDisk::open(footage, state.store(), state.disks()[0].id, None);
    let disks = vec![disk.unwrap()];
    let clock = Arc::new(SystemClock::new());
    let mut options = Options::new(
        state.folder().to_owned(),
        state.store(),
        disks,
        keys(state),
        clock,
    );
    options.log = Some(LogSettings {
        state_key: state.state_key(),
        generation: state.sealing().unwrap().generation,
    });
    options
}

pub fn keys(state: &StateFolder) -> SharedKeys {
    let sealing = state.sealing().unwrap();
    let m = Zeroizing::new(*sealing.metadata_key.as_bytes());
    Arc::new(move |number| (number == sealing.generation).then(|| MetadataKey::from_bytes(*m)))
}

/// Whether more than the cores can do is to be done, by the load of the last minute: bars say nothing then.
pub fn is_busy() -> bool {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let load: f64 = load.split(' ').next().unwrap().parse().unwrap();
    load > std::thread::available_parallelism().unwrap().get() as f64
}

struct Stream {
    id: StreamId,
    epoch: EpochId,
    random: SeededRandom,
    kept: std::collections::VecDeque<DeletedSegment>,
    next: u64,
}

impl Stream {
    fn new(number: u64) -> Self {
        let mut random = SeededRandom::new(number + 1);
        Self {
            id: StreamId::random(&mut random),
            epoch: EpochId::from_bytes([0; 16]),
            random,
            kept: std::collections::VecDeque::new(),
            next: 0,
        }
    }

    fn kept(&self) -> u64 {
        self.kept.len() as u64
    }

    /// What a minute tells: a segment more, and one less. Where all comes to its end, only that.
    fn minute(&mut self, minute: u64, disk: DiskId, is_ending: bool, to: &mut Vec<Record>) {
        let start_us = 1_790_000_000_000_000 + (minute * MINUTE_US) as i64;
        if !is_ending {
            if self.next.is_multiple_of(EPOCH_SEGMENTS) {
                self.epoch = EpochId::random(&mut self.random);
                to.push(Record::EpochOpened {
                    stream: self.id,
                    kind: Kind::Media,
                    epoch: self.epoch,
                    generation: 1,
                });
            }
            if self.next % GAP_AFTER == GAP_AFTER - 1 {
                to.push(Record::Gap {
                    stream: self.id,
                    cause: GapCause::CameraLost,
                    from_us: start_us - 5,
                    to_us: start_us,
                });
            }
            let closed = self.closed(start_us, disk);
            self.kept.push_back(DeletedSegment {
                segment: closed.segment,
                sequence: closed.sequence,
            });
            to.push(Record::SegmentClosed(closed));
        }
        if (is_ending || self.kept() > KEPT)
            && let Some(oldest) = self.kept.pop_front()
        {
            to.push(Record::Deleted(Deleted {
                stream: self.id,
                cause: DeletionCause::Age,
                segments: vec![oldest],
            }));
        }
    }

    fn closed(&mut self, start_us: i64, disk: DiskId) -> SegmentClosed {
        let mut root = [0; 32];
        self.random.fill(&mut root);
        self.next += 1;
        SegmentClosed {
            stream: self.id,
            epoch: self.epoch,
            segment: SegmentId::random(&mut self.random),
            disk,
            kind: Kind::Media,
            root,
            sequence: self.next,
            start_us,
            duration_us: MINUTE_US,
            bytes: 30_000_000,
            recovered: false,
            clock_trusted: true,
        }
    }
}
