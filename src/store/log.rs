//! The signed log (`docs/format.md`, section 9): what happened to the store, in the order in which it happened.
//!
//! Whoever has something to tell hands a [`Record`] to [`Log::append`] and goes on: nothing of recording waits for the log or fails
//! for it. The store's keeper writes it in its turns ([`keeping`]), one copy to each disk: entries and tree are synced, the
//! checkpoint is signed and remembered in the state folder ([`own`]), put beside them and only then published. What the records
//! lead to ([`replayed`]) is known again after each start.

mod audits;
mod chain;
mod files;
mod keeping;
mod lack;
mod mending;
mod moves;
mod own;
mod places;
mod proofs;
mod ranges;
mod refuge;
mod remains;
mod remembered;
mod replayed;
mod seats;
mod sound;
mod source;
mod start;
mod summary;
mod unlogged;
mod waiting;
mod walk;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hearthkeep_format::log::{
    Deleted, DeletedSegment, DeletionCause, Hold, Record, SegmentClosed, Stamped,
};
use hearthkeep_format::segment::{Gap, GapCause};
use hearthkeep_format::{BootId, DiskId, EpochId, StoreId, StreamId};

pub use audits::{WaitingAudits, audit};
pub use chain::{Chain, FoundLog, Read, Reader, find};
pub(super) use files::logs_on;
pub use files::{Flaw, LogFiles};
pub(super) use keeping::{Keeping, Known, May};
pub use lack::{Lack, lacking};
pub use mending::{Mendable, Remedy};
pub use own::LastSigned;
use own::OwnFile;
pub use refuge::{OnDisks, unlogged_on};
use remembered::{Remembered, RememberedFile};
use replayed::Replayed;
pub use replayed::{Anchor, LoggedGap};
pub(super) use seats::LogDisk;
pub use seats::{give, has_left_behind};
pub(super) use sound::look_at_logs;
use summary::SummaryFile;
use unlogged::Unlogged;
pub use unlogged::{set_aside, unlogged};

use super::catalog::Entry;
use super::held::Held;
use super::turns::Bell;
use super::writer::NewSegment;
use crate::clock::Clock;
use crate::limits::LOG_QUEUE_RECORDS_MAX;
use crate::state_file::StateKey;

/// Segments that a record of deletion names here.
const DELETED_AT_ONCE: usize = 256;
/// The same where the queue is full.
const MERGED_MAX: usize = 4 * DELETED_AT_ONCE;

/// In the log of a segment that was moved and was too damaged to tell its root.
pub(super) const UNKNOWN_ROOT: [u8; 32] = [0; 32];

/// What the log is kept with.
#[derive(Clone)]
pub struct LogSettings {
    /// What seals `log.sealed` in the state folder.
    pub state_key: StateKey,
    /// The generation whose metadata key seals entries.
    pub generation: u32,
}

/// A record that was handed over: [`Log::is_published`] says whether it is in a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl Ticket {
    /// Whether there was no room for the record: it is lost.
    pub(super) fn is_lost(self) -> bool {
        self.0 == u64::MAX
    }
}

/// A log's key and newest checkpoint, as viewers get them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The key, as signed-note writes it.
    pub key: String,
    /// The checkpoint.
    pub note: String,
}

/// The front of the log: what the rest of the recorder tells it and asks it.
pub struct Log {
    clock: Arc<dyn Clock>,
    /// The keeper's.
    bell: OnceLock<Arc<Bell>>,
    inner: Mutex<Inner>,
    /// Rung when records are published.
    news: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Whether there is a log: without settings there is none.
    is_kept: bool,
    generation: u32,
    queue: Vec<Stamped>,
    /// The epochs in which streams are.
    epochs: HashMap<StreamId, EpochId>,
    /// How many records were ever handed over, and how many of them are in a checkpoint.
    taken: u64,
    published_records: u64,
    replayed: Replayed,
    is_replayed: bool,
    /// What the state folder says of holds; `None` where it says nothing.
    remembered: Option<Remembered>,
    /// Disks whose logs may have holds that nobody here knows.
    unheard: BTreeSet<DiskId>,
    /// Another one after each change of what is held.
    holds_version: u64,
    /// The disks that have all of it.
    whole: Vec<DiskId>,
    /// Segments that should be on a mounted disk and are not.
    removed: HashMap<StreamId, Vec<SegmentClosed>>,
    /// What all logs take on a disk that has all of them.
    bytes: u64,
    /// The oldest first; the last one is written to.
    published: Vec<Published>,
    trouble: Troubles,
}

/// What is wrong with the log, in sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Troubles {
    /// It cannot be written.
    writing: Option<String>,
    /// What was found at the start.
    found: Vec<String>,
    /// What could not be read at the start, and cannot yet.
    unheard: Option<String>,
}

impl Inner {
    /// As which serial the state folder remembers the holds.
    fn remembered_serial(&self) -> u64 {
        self.remembered.as_ref().map_or(0, |known| known.serial)
    }
}

impl Log {
    pub(super) fn new(clock: Arc<dyn Clock>, settings: Option<&LogSettings>) -> Self {
        let inner = Inner {
            is_kept: settings.is_some(),
            is_replayed: settings.is_none(),
            generation: settings.map_or(0, |settings| settings.generation),
            ..Inner::default()
        };
        Self {
            clock,
            bell: OnceLock::new(),
            inner: Mutex::new(inner),
            news: Condvar::new(),
        }
    }

    /// Who is woken when there is something to write.
    pub(super) fn wake_by(&self, bell: Arc<Bell>) {
        let _ = self.bell.set(bell);
    }

    /// Hands over a record, which is written at once. Never waits.
    pub fn append(&self, record: Record) -> Ticket {
        self.append_stamped(Stamped {
            wall_us: self.clock.wall_us(),
            clock_trusted: self.clock.trusted(),
            record,
        })
    }

    /// The same with what happened before.
    fn append_stamped(&self, stamped: Stamped) -> Ticket {
        let mut inner = self.lock();
        if !inner.is_kept {
            return Ticket(0);
        }
        let is_deletion = matches!(stamped.record, Record::Deleted(_));
        let queued_max = match is_deletion {
            // Without them the next start would say that somebody removed what was deleted.
            true => 2 * LOG_QUEUE_RECORDS_MAX,
            false => LOG_QUEUE_RECORDS_MAX,
        };
        if inner.queue.len() >= queued_max {
            // Not what it says: a hold has people's words.
            tracing::error!(is_deletion, "the log cannot be written: a record is lost");
            return Ticket(u64::MAX);
        }
        // Before the replay, what is on the disk comes first.
        if inner.is_replayed {
            inner.replayed.apply(&stamped);
        }
        if matches!(
            stamped.record,
            Record::Started { .. }
                | Record::Hold(_)
                | Record::Unhold { .. }
                | Record::ClockAnchor { .. }
        ) {
            inner.holds_version += 1;
        }
        if inner.queue.len() < LOG_QUEUE_RECORDS_MAX || !merged(&mut inner.queue, &stamped) {
            inner.queue.push(stamped);
            inner.taken += 1;
        }
        let ticket = Ticket(inner.taken);
        drop(inner);
        if let Some(bell) = self.bell.get() {
            bell.ring();
        }
        ticket
    }

    /// Takes note of what a clock says that nobody vouches for: what is recorded from now on is shown by it, and held by it.
    pub(super) fn clock_says(&self, boot: BootId, offset_us: i64) {
        let mut inner = self.lock();
        if inner.is_replayed && inner.replayed.moves.started(boot, offset_us) {
            inner.holds_version += 1;
        }
    }

    /// Takes note of a segment that begins: the gap before it is told at once, and the epoch where it is a new one.
    pub(super) fn begun(&self, new: &NewSegment) {
        if let Some(Gap {
            cause,
            length_us: Some(length_us),
        }) = new.start.gap
            && cause != GapCause::Start
            && length_us > 0
        {
            self.append(Record::Gap {
                stream: new.stream,
                cause,
                from_us: new.start.wall_us.saturating_sub_unsigned(length_us),
                to_us: new.start.wall_us,
            });
        }
        let mut inner = self.lock();
        let before = inner.epochs.insert(new.stream, new.epoch);
        let generation = inner.generation;
        drop(inner);
        if before != Some(new.epoch) {
            self.append(Record::EpochOpened {
                stream: new.stream,
                kind: new.kind,
                epoch: new.epoch,
                generation,
            });
        }
    }

    /// Whether a stream is in an epoch since the start: it may be recorded into at any moment.
    pub(super) fn is_in(&self, stream: &StreamId, epoch: &EpochId) -> bool {
        self.lock().epochs.get(stream) == Some(epoch)
    }

    /// Takes note of segments of a stream that are gone, and whose deletion a crash had interrupted.
    pub(super) fn deleted(&self, gone: &[Entry]) {
        for some in gone.chunks(DELETED_AT_ONCE) {
            let segment = |entry: &Entry| DeletedSegment {
                segment: entry.segment,
                sequence: entry.sequence,
            };
            self.append(Record::Deleted(Deleted {
                stream: some[0].stream,
                cause: DeletionCause::Begun,
                segments: some.iter().map(segment).collect(),
            }));
        }
    }

    /// Whether a record is in a published checkpoint.
    pub fn is_published(&self, ticket: Ticket) -> bool {
        self.lock().published_records >= ticket.0
    }

    /// Waits until a record is in a published checkpoint; whether it came to that in this time.
    pub fn wait_for(&self, ticket: Ticket, longest: Duration) -> bool {
        let is_waiting = |inner: &mut Inner| inner.published_records < ticket.0;
        let waited = self
            .news
            .wait_timeout_while(self.lock(), longest, is_waiting);
        let (inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        inner.published_records >= ticket.0
    }

    /// Whether all that stood in the log at the start is known. Until then holds may be missing.
    pub fn is_replayed(&self) -> bool {
        self.lock().is_replayed
    }

    /// The holds that stand.
    pub fn holds(&self) -> Vec<Hold> {
        self.lock().replayed.holds.values().cloned().collect()
    }

    /// What these cover, and a number that another one follows when they change.
    pub(super) fn held(&self) -> (Held, u64) {
        let inner = self.lock();
        if inner.is_replayed {
            return (Held::by(&inner.replayed.held()), inner.holds_version);
        }
        let Remembered { holds, moves, .. } = inner.remembered.clone().unwrap_or_default();
        let mut known = Replayed::doubting(holds);
        known.recall(moves, self.clock.boot_id());
        inner.queue.iter().for_each(|stamped| known.apply(stamped));
        // What is read by now may not be remembered. That it was ended may be read later.
        let held = [known.held(), inner.replayed.held()].concat();
        (Held::by(&held), inner.holds_version)
    }

    /// See [`Log::held`].
    pub(super) fn holds_version(&self) -> u64 {
        self.lock().holds_version
    }

    /// The disks whose logs could not be read, where nothing else knows what they hold: nothing is deleted there.
    pub(super) fn unheard(&self) -> BTreeSet<DiskId> {
        self.lock().unheard.clone()
    }

    /// Whether there is a log at all.
    pub(super) fn is_kept(&self) -> bool {
        self.lock().is_kept
    }

    /// What the wall clock said when it was trusted, the newest last.
    pub fn anchors(&self) -> Vec<Anchor> {
        self.lock().replayed.anchors.iter().copied().collect()
    }

    /// The gaps of a stream that have something of a span of wall time, us.
    pub fn gaps(&self, stream: &StreamId, from_us: i64, to_us: i64) -> Vec<LoggedGap> {
        self.lock().replayed.gaps(stream, from_us, to_us)
    }

    /// Segments of a stream that have something of a span, were closed and not deleted, and are not on the disk that they should be on:
    /// somebody removed them. As far as it has been compared since the start.
    pub fn removed(&self, stream: &StreamId, from_us: i64, to_us: i64) -> Vec<SegmentClosed> {
        let inner = self.lock();
        let of_it = inner.removed.get(stream).into_iter().flatten();
        let within = of_it.filter(|segment| {
            let end_us = segment
                .start_us
                .saturating_add_unsigned(segment.duration_us);
            segment.start_us < to_us && end_us > from_us
        });
        within.cloned().collect()
    }

    /// Whether the last word of the log about a segment is that it lies on this disk.
    fn lies_on(&self, entry: &Entry, disk: &DiskId) -> bool {
        let places = &self.lock().replayed.places;
        places.is_on(&entry.stream, entry.sequence, disk)
    }

    /// Whether the log has a segment that was not deleted.
    pub(super) fn has(&self, entry: &Entry) -> bool {
        let live = &self.lock().replayed.live;
        live.get(&entry.stream)
            .is_some_and(|live| live.contains(entry.sequence))
    }

    /// To be told of all that is missing by now: of what was told as removed, the rest is there again.
    fn is_back(&self, missing: &walk::Missing) {
        let removed = &mut self.lock().removed;
        removed.retain(|stream, segments| {
            let of_it = missing.get(stream);
            segments.retain(|one| of_it.is_some_and(|missing| missing.contains(&one.sequence)));
            !segments.is_empty()
        });
    }

    /// What all logs take on a disk that has all of them; nothing before a start has found them.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// How many segments were removed, of all streams.
    pub fn removed_count(&self) -> u64 {
        self.lock().removed.values().map(|of| of.len() as u64).sum()
    }

    /// All logs of the store with their newest checkpoints, the oldest first.
    pub fn published(&self) -> Vec<Published> {
        self.lock().published.clone()
    }

    /// Whether a disk has all of the log; true where there is none.
    pub fn is_whole_on(&self, disk: &DiskId) -> bool {
        let inner = self.lock();
        !inner.is_kept || inner.whole.contains(disk)
    }

    /// What is wrong, in sentences.
    pub fn troubles(&self) -> Vec<String> {
        let inner = self.lock();
        let Troubles {
            writing,
            found,
            unheard,
        } = &inner.trouble;
        let removed: usize = inner.removed.values().map(Vec::len).sum();
        let removed = match removed {
            0 => None,
            1 => Some(
                "a segment that the log has is gone from the disks, and this recorder did not delete it: somebody removed it \
                 (`hearthkeep check` names it)"
                    .to_owned(),
            ),
            more => Some(format!(
                "{more} segments that the log has are gone from the disks, and this recorder did not delete them: somebody removed them \
                 (`hearthkeep check` names them)"
            )),
        };
        let found = found.iter().chain(unheard).chain(&removed);
        writing.iter().chain(found).cloned().collect()
    }

    /// Takes in what is read of the log at a start.
    fn read(&self, stamped: &Stamped) {
        let mut inner = self.lock();
        inner.replayed.apply(stamped);
        if let Record::Hold(hold) = &stamped.record
            && inner
                .remembered
                .as_ref()
                .is_none_or(|known| !known.holds.contains_key(&hold.id))
        {
            inner.holds_version += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of the log in a state folder, and whether they can be read: its key and last checkpoint, the holds, deletions and
/// audits that it is still to be told of, and its summary.
pub(super) fn look_at_state(
    state_dir: &Path,
    key: &StateKey,
    store: &StoreId,
) -> [(&'static str, Result<(), String>); 5] {
    let own = OwnFile::new(state_dir, key.clone()).read(*store);
    let holds = RememberedFile::new(state_dir, key.clone()).read();
    let deleted = Unlogged::new(state_dir, key.clone()).read();
    let audits = WaitingAudits::new(state_dir, key.clone()).read();
    let summary = SummaryFile::new(state_dir, key.clone()).read();
    [
        (own::FILE, own.map(drop).map_err(|error| error.to_string())),
        (
            remembered::FILE,
            holds.map(drop).map_err(|error| error.to_string()),
        ),
        (unlogged::FILE, deleted.map(drop)),
        (audits::FILE, audits.map(drop)),
        (
            summary::FILE,
            summary.map(drop).map_err(|error| error.to_string()),
        ),
    ]
}

/// Adds deletions to those of the same stream and cause that wait already: whether there was room for them.
fn merged(queue: &mut [Stamped], new: &Stamped) -> bool {
    let Record::Deleted(new) = &new.record else {
        return false;
    };
    let mut waiting = queue
        .iter_mut()
        .rev()
        .filter_map(|of| match &mut of.record {
            Record::Deleted(of) => Some(of),
            _ => None,
        });
    let has_room = |of: &&mut Deleted| {
        (of.stream, of.cause.as_u8()) == (new.stream, new.cause.as_u8())
            && of.segments.len() + new.segments.len() <= MERGED_MAX
    };
    match waiting.find(has_room) {
        Some(of) => of.segments.extend(new.segments.iter().cloned()),
        None => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use hearthkeep_format::log::{AnchorCause, OPEN_END_US};
    use hearthkeep_format::{HoldId, SegmentId};
    use zeroize::Zeroizing;

    use super::*;
    use crate::clock::SimClock;

    fn log() -> Log {
        let settings = LogSettings {
            state_key: StateKey::new(Zeroizing::new([1; 32])),
            generation: 1,
        };
        let log = Log::new(Arc::new(SimClock::new(0)), Some(&settings));
        log.lock().is_replayed = true;
        log
    }

    #[test]
    fn a_full_queue_still_takes_deletions() {
        let log = log();
        let stream = StreamId::from_bytes([1; 16]);
        let gap = || Record::Gap {
            stream,
            cause: GapCause::CameraLost,
            from_us: 0,
            to_us: 1,
        };
        while !log.append(gap()).is_lost() {}
        for sequence in 0..50_000 {
            let deleted = log.append(Record::Deleted(Deleted {
                stream,
                cause: DeletionCause::FreeSpace,
                segments: vec![DeletedSegment {
                    segment: SegmentId::from_bytes([2; 16]),
                    sequence,
                }],
            }));
            assert!(!deleted.is_lost(), "{sequence}");
        }
        let inner = log.lock();
        let told = inner.queue.iter().map(|stamped| match &stamped.record {
            Record::Deleted(deleted) => deleted.segments.len(),
            _ => 0,
        });
        assert_eq!(told.sum::<usize>(), 50_000);
    }

    #[test]
    fn a_hold_follows_footage_of_a_clock_that_was_set_by_hand() {
        let log = log();
        let boot = BootId::from_bytes([3; 16]);
        let started = Record::Started {
            boot,
            monotonic_us: 0,
            after_crash: false,
            version: String::new(),
        };
        log.append(started);
        let (by_hand_us, true_us, at_us) = (5_000_000_000_000, 9_000_000_000_000, 60_000_000);
        log.clock_says(boot, by_hand_us);
        log.append(Record::Hold(Hold {
            id: HoldId::from_bytes([4; 16]),
            streams: Vec::new(),
            from_us: by_hand_us + at_us,
            to_us: by_hand_us + at_us + 1,
            until_us: OPEN_END_US,
            reason: String::new(),
            who: String::new(),
        }));
        log.append(Record::ClockAnchor {
            boot,
            monotonic_us: 2 * at_us as u64,
            wall_us: true_us + 2 * at_us,
            cause: AnchorCause::Trusted,
        });
        let stream = StreamId::from_bytes([1; 16]);
        let shown_us = true_us + at_us;
        assert!(log.held().0.touches(&stream, shown_us, shown_us + 1));
    }
}
