//! The thread that keeps the catalog: it inserts what is durable, finishes recovery in the background, and runs retention.
//!
//! All that changes the catalog after the start happens here, one thing after another, so that no two of them need to agree.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use hearthkeep_format::{EpochId, StreamId};

use super::catalog::Entry;
use super::inspect::Place;
use super::mount::is_full;
use super::pass::Passes;
use super::recovery::Report;
use super::writer::{Event, Segment, State};
use super::{MountedDisk, Shared};
use crate::limits::{CATALOG_LAG_MS_MAX, RETENTION_PERIOD_MS};

/// A disk that ran full is looked at this often until it has room.
const FULL_PERIOD: Duration = Duration::from_secs(1);
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
            ended: Vec::new(),
            insert_at: None,
            look_at: Instant::now(),
            passes: Passes::default(),
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
    ended: Vec<Arc<Segment>>,
    insert_at: Option<Instant>,
    look_at: Instant,
    passes: Passes,
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
            Event::Closed(segment) => self.ended(segment),
            Event::Abandoned(segment) => self.mend(&segment),
            Event::Poisoned(segment, error) => {
                let id = segment.new.segment;
                tracing::error!(%id, stream = %segment.new.stream, "a segment is poisoned: {error}");
                if is_full(&error) {
                    self.look_at = Instant::now();
                }
                // It takes room, and plays to where it is durable. Without any of that the next start looks at it.
                if segment.durable_bytes() > 0 {
                    self.ended(segment);
                } else {
                    self.shared.segments().remove(&id);
                }
            }
        }
    }

    /// Remembers that a segment is to be put into the catalog.
    fn ended(&mut self, segment: Arc<Segment>) {
        self.ended.push(segment);
        let lag = Duration::from_millis(CATALOG_LAG_MS_MAX);
        self.insert_at.get_or_insert_with(|| Instant::now() + lag);
    }

    /// Puts the segments that have ended into the catalog.
    fn insert(&mut self) {
        self.insert_at = None;
        let ended = std::mem::take(&mut self.ended);
        if ended.is_empty() {
            return;
        }
        let entries: Vec<_> = ended.iter().map(|segment| entry_of(segment)).collect();
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

    /// Makes a pass of retention, and says when the next one is due.
    fn look(&mut self) {
        let wait = if self.passes.next(&self.shared) {
            Duration::ZERO
        } else if self.shared.disks.iter().any(MountedDisk::is_full) {
            FULL_PERIOD
        } else {
            Duration::from_millis(RETENTION_PERIOD_MS)
        };
        self.look_at = Instant::now() + wait;
    }

    fn compare_one_epoch(&mut self) {
        let Some((disk, stream, epoch)) = self.backlog.pop() else {
            return;
        };
        let disk = &self.shared.disks[disk];
        match self.shared.recovery(disk).epoch(&stream, &epoch) {
            Ok(report) => {
                self.shared
                    .strange
                    .fetch_add(report.strange, Ordering::Relaxed);
                self.found.add(report);
            }
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
        torn: segment.state() == State::Poisoned,
        gap: new.start.gap,
    }
}
