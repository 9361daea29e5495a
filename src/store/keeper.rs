//! The thread that keeps the catalog: it inserts what is durable, finishes recovery in the background, and runs retention.
//!
//! All that changes the catalog after the start happens here, one thing after another, so that no two of them need to agree.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, PoisonError, mpsc};
use std::time::{Duration, Instant};

use hearthkeep_format::{EpochId, StreamId};

use super::catalog::Entry;
use super::inspect::Place;
use super::mount::is_full;
use super::recovery::Report;
use super::retention::{Deletion, DiskState, Now, Reason, StreamState, plan};
use super::writer::{Event, Segment, State};
use super::{MountedDisk, Shared, layout};
use crate::limits::{CATALOG_LAG_MS_MAX, RETENTION_BATCH_SEGMENTS, RETENTION_PERIOD_MS};

/// A disk that ran full is looked at this often until it has room.
const FULL_PERIOD: Duration = Duration::from_secs(1);
/// Room that a full disk must have before it is written to again.
const ROOM_BYTES_MIN: u64 = 64 << 20;
/// Poisoned segments that are remembered for the timeline; the next start finds them all.
const POISONED_KEPT: usize = 1000;
/// A wall clock that goes ahead of the monotonic one by more than this between two passes has jumped.
const JUMP_US_MIN: i64 = 3_600_000_000;

/// What the keeper is told.
pub(super) enum Note {
    /// Something happened to a segment.
    Event(Event),
    /// End, when all that was told before is done.
    Stop,
}

/// An epoch on a disk that is still to be compared with the catalog.
pub(super) type Backlog = Vec<(usize, StreamId, EpochId)>;

/// The thread's handle.
pub(super) struct Keeper {
    notes: mpsc::Sender<Note>,
    thread: std::thread::JoinHandle<()>,
}

impl Keeper {
    pub(super) fn start(
        shared: Arc<Shared>,
        notes: mpsc::Sender<Note>,
        inbox: mpsc::Receiver<Note>,
        backlog: Backlog,
    ) -> io::Result<Self> {
        let work = Work {
            shared,
            backlog,
            found: Report::default(),
            closed: Vec::new(),
            insert_at: None,
            look_at: Instant::now(),
            clock_before: None,
            clock_jumped: false,
        };
        let thread = std::thread::Builder::new()
            .name("store-keeper".into())
            .spawn(move || work.run(&inbox))?;
        Ok(Self { notes, thread })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends the thread after what it was told before. False when it had died.
    pub(super) fn stop(self) -> bool {
        let ended_well = self.notes.send(Note::Stop).is_ok() && self.thread.join().is_ok();
        if !ended_well {
            tracing::error!("the catalog's thread had ended: the next start makes up for it");
        }
        ended_well
    }
}

struct Work {
    shared: Arc<Shared>,
    backlog: Backlog,
    found: Report,
    closed: Vec<Arc<Segment>>,
    insert_at: Option<Instant>,
    look_at: Instant,
    clock_before: Option<(i64, u64)>,
    clock_jumped: bool,
}

impl Work {
    fn run(mut self, inbox: &mpsc::Receiver<Note>) {
        loop {
            let due = self
                .insert_at
                .map_or(self.look_at, |at| at.min(self.look_at));
            let wait = match self.backlog.is_empty() {
                true => due.saturating_duration_since(Instant::now()),
                false => Duration::ZERO,
            };
            match inbox.recv_timeout(wait) {
                Ok(Note::Event(event)) => self.event(event),
                Ok(Note::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if self.insert_at.is_some_and(|at| Instant::now() >= at) {
                        self.insert();
                    }
                    // A catalog that does not know all footage would call the wrong segments the oldest.
                    if !self.backlog.is_empty() {
                        self.compare_one_epoch();
                    } else if Instant::now() >= self.look_at {
                        self.look();
                    }
                }
            }
        }
        self.insert();
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Durable(_) => {}
            Event::Closed(segment) => {
                self.closed.push(segment);
                let lag = Duration::from_millis(CATALOG_LAG_MS_MAX);
                self.insert_at.get_or_insert_with(|| Instant::now() + lag);
            }
            Event::Abandoned(segment) => self.mend(&segment),
            Event::Poisoned(segment, error) => {
                let id = segment.new.segment;
                tracing::error!(%id, stream = %segment.new.stream, "a segment is poisoned: {error}");
                if is_full(&error) {
                    self.look_at = Instant::now();
                }
                self.forget_old_poisoned();
            }
        }
    }

    /// Puts closed segments into the catalog.
    fn insert(&mut self) {
        self.insert_at = None;
        let closed = std::mem::take(&mut self.closed);
        if closed.is_empty() {
            return;
        }
        let entries: Vec<_> = closed.iter().map(|segment| entry_of(segment)).collect();
        self.insert_entries(&entries);
    }

    fn insert_entries(&mut self, entries: &[Entry]) {
        let catalog = &self.shared.catalog;
        match catalog.insert(entries).and_then(|()| catalog.flush()) {
            Ok(()) => {
                let mut segments = self.shared.segments();
                entries
                    .iter()
                    .for_each(|entry| drop(segments.remove(&entry.segment)));
            }
            // They stay in memory, and on the disk: the next start finds them.
            Err(error) => tracing::error!("{}", super::Error::Catalog(error)),
        }
    }

    /// Gives an abandoned segment its tail.
    fn mend(&mut self, segment: &Segment) {
        let new = &segment.new;
        let place = Place {
            stream: new.stream,
            epoch: new.epoch,
            segment: new.segment,
        };
        let shared = Arc::clone(&self.shared);
        let Some(disk) = shared.disk(segment.disk) else {
            return;
        };
        let mut report = Report::default();
        match shared.recovery(disk).mend(&place, &mut report) {
            Some(entry) => self.insert_entries(&[entry]),
            None => drop(shared.segments().remove(&new.segment)),
        }
    }

    fn forget_old_poisoned(&self) {
        let mut segments = self.shared.segments();
        segments.retain(|_, s| s.state() != State::Poisoned || s.durable_bytes() > 0);
        let mut poisoned: Vec<_> = segments
            .values()
            .filter(|segment| segment.state() == State::Poisoned)
            .map(|segment| (segment.new.start.wall_us, segment.new.segment))
            .collect();
        poisoned.sort_unstable();
        for (_, id) in poisoned.iter().rev().skip(POISONED_KEPT) {
            segments.remove(id);
        }
    }

    fn compare_one_epoch(&mut self) {
        let Some((disk, stream, epoch)) = self.backlog.pop() else {
            return;
        };
        let disk = &self.shared.disks[disk];
        match self.shared.recovery(disk).epoch(&stream, &epoch) {
            Ok(report) => self.found.add(report),
            Err(error) => tracing::error!("{}", super::Error::Catalog(error)),
        }
        if self.backlog.is_empty() {
            let found = std::mem::take(&mut self.found);
            if let Err(error) = self.shared.catalog.flush() {
                tracing::error!("{}", super::Error::Catalog(error));
            }
            tracing::info!(
                files = found.files,
                inserted = found.inserted,
                recovered = found.recovered,
                removed = found.removed,
                forgotten = found.forgotten,
                left_alone = found.strange,
                "all footage was compared with the catalog"
            );
        }
    }

    /// One pass of retention.
    fn look(&mut self) {
        let shared = Arc::clone(&self.shared);
        let state = |disk: &MountedDisk| {
            let used = shared.catalog.disk_bytes(disk.number());
            disk.state(used, shared.reserve_bytes_min)
        };
        let states: Vec<_> = shared.disks.iter().map(state).collect();
        let deletions = self.plan(&shared, &states);
        let more = deletions.len() >= RETENTION_BATCH_SEGMENTS;
        if !deletions.is_empty() {
            self.delete(&shared, &deletions);
        }
        for disk in shared.disks.iter().filter(|disk| disk.is_full()) {
            let has_room = disk
                .space()
                .is_none_or(|space| space.free_bytes >= ROOM_BYTES_MIN);
            let made_room = deletions.iter().any(|d| d.entry.disk == disk.number());
            disk.set_full(!has_room && !made_room);
        }
        let wait = if more {
            Duration::ZERO
        } else if shared.disks.iter().any(MountedDisk::is_full) {
            FULL_PERIOD
        } else {
            Duration::from_millis(RETENTION_PERIOD_MS)
        };
        self.look_at = Instant::now() + wait;
    }

    fn plan(&mut self, shared: &Shared, states: &[DiskState]) -> Vec<Deletion> {
        let mounted: HashSet<u16> = states.iter().map(|state| state.disk).collect();
        let streams: Vec<_> = shared
            .catalog
            .streams()
            .into_iter()
            .map(|stream| StreamState {
                stream,
                used: shared.catalog.stream_bytes(&stream),
                // An entry that cannot be read ends the stream's turn; the catalog is rebuilt at the next start.
                oldest_first: shared
                    .catalog
                    .oldest_first(&stream)
                    .map_while(Result::ok)
                    .filter(|entry| mounted.contains(&entry.disk)),
            })
            .collect();
        let cameras = shared
            .cameras
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let spared = shared.segments().keys().copied().collect();
        let now = self.now(shared);
        plan(
            streams,
            &cameras,
            states,
            now,
            &spared,
            RETENTION_BATCH_SEGMENTS,
        )
    }

    fn now(&mut self, shared: &Shared) -> Now {
        let (wall_us, monotonic_us) = (shared.clock.wall_us(), shared.clock.monotonic_us());
        if let Some((wall_before, monotonic_before)) = self.clock_before {
            let passed = i64::try_from(monotonic_us.saturating_sub(monotonic_before));
            let ahead = wall_us
                .saturating_sub(wall_before)
                .saturating_sub(passed.unwrap_or(0));
            if ahead > JUMP_US_MIN && !self.clock_jumped {
                self.clock_jumped = true;
                tracing::warn!("the clock jumped ahead: nothing is deleted by age until a restart");
            }
        }
        self.clock_before = Some((wall_us, monotonic_us));
        let usages = shared
            .catalog
            .streams()
            .into_iter()
            .map(|s| shared.catalog.usage(&s));
        Now {
            wall_us,
            trusted: shared.clock.trusted() && !self.clock_jumped,
            newest_us: usages.filter_map(|usage| usage.last_us).max(),
        }
    }

    /// Tombstone, flush, unlink, forget: wherever a crash falls, the next start goes on.
    fn delete(&self, shared: &Shared, deletions: &[Deletion]) {
        let marked: Vec<_> = deletions
            .iter()
            .map(|deletion| Entry {
                tombstone: true,
                ..deletion.entry
            })
            .collect();
        let marking = shared
            .catalog
            .insert(&marked)
            .and_then(|()| shared.catalog.flush());
        if let Err(error) = marking {
            tracing::error!("nothing is deleted: {}", super::Error::Catalog(error));
            return;
        }
        let gone: Vec<_> = marked
            .into_iter()
            .filter(|entry| unlink(shared, entry))
            .collect();
        if let Err(error) = shared
            .catalog
            .forget(&gone)
            .and_then(|()| shared.catalog.flush())
        {
            tracing::error!("{}", super::Error::Catalog(error));
        }
        let mut by_reason: HashMap<Reason, (u64, u64)> = HashMap::new();
        for Deletion { entry, reason } in deletions {
            let sum = by_reason.entry(*reason).or_default();
            *sum = (sum.0 + 1, sum.1 + u64::from(entry.bytes));
        }
        for (reason, (segments, bytes)) in by_reason {
            tracing::info!(
                reason = reason.as_str(),
                segments,
                bytes,
                "footage was deleted"
            );
        }
    }
}

/// Whether the file is gone.
fn unlink(shared: &Shared, entry: &Entry) -> bool {
    let Some(disk) = shared.disk(entry.disk) else {
        return false;
    };
    let path = layout::segment_path(&entry.stream, &entry.epoch, &entry.segment);
    match disk.disk.remove_file(&path) {
        Ok(()) => {
            // Fails while the epoch has other segments, which is nearly always.
            let folder = layout::epoch_folder(&entry.stream, &entry.epoch);
            let tally = shared
                .catalog
                .epoch_tally(&entry.stream, &entry.epoch, entry.disk);
            if tally.count <= RETENTION_BATCH_SEGMENTS as u32 {
                let _ = disk.disk.remove_folder(&folder);
            }
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            tracing::error!(path = %disk.path.join(path).display(), "could not delete: {error}");
            false
        }
    }
}

fn entry_of(segment: &Segment) -> Entry {
    let new = &segment.new;
    Entry {
        stream: new.stream,
        kind: new.kind,
        epoch: new.epoch,
        segment: new.segment,
        disk: segment.disk,
        start_us: new.start.wall_us,
        duration_us: segment.durable_us(),
        bytes: u32::try_from(segment.durable_bytes()).unwrap_or(u32::MAX),
        sequence: new.start.sequence,
        clock_trusted: new.start.clock_trusted,
        recovered: false,
        tombstone: false,
        gap: new.start.gap,
    }
}
