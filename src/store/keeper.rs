//! What keeps the catalog: it inserts what is durable, finishes recovery in the background, and runs retention.
//!
//! All that changes the catalog after the start happens here, in the turns of one thread, so that no two of them need to agree.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use hearthkeep_format::{EpochId, StreamId};

use super::Shared;
use super::catalog::Entry;
use super::inspect::Place;
use super::log::Keeping;
use super::mount::is_full;
use super::pass::Passes;
use super::recovery::Report;
use super::turns::{self, Bell, Driver, Next, Worker};
use super::writer::{Event, Segment, State};
use crate::limits::CATALOG_LAG_MS_MAX;

/// What the catalog did not take is tried again after this.
const INSERT_AGAIN_US: u64 = 10_000_000;

/// What the keeper is told.
enum Note {
    /// Something happened to a segment.
    Event(Event),
    /// End, when all that was told before is done.
    Stop,
}

/// By which the keeper is told.
#[derive(Clone)]
pub(super) struct Notes {
    notes: mpsc::Sender<Note>,
    bell: Arc<Bell>,
}

/// The other end of them.
pub(super) struct Inbox {
    notes: mpsc::Receiver<Note>,
    bell: Arc<Bell>,
}

impl Notes {
    pub(super) fn new() -> (Self, Inbox) {
        let bell = Arc::<Bell>::default();
        let (sender, receiver) = mpsc::channel();
        let inbox = Inbox {
            notes: receiver,
            bell: Arc::clone(&bell),
        };
        let notes = sender;
        (Self { notes, bell }, inbox)
    }

    /// Tells what happened to a segment. The keeper ends after the writers: that nobody listens is no failure.
    pub(super) fn tell(&self, event: Event) {
        // That an open segment grew is nothing to wake for.
        if !matches!(event, Event::Durable(_)) {
            self.note(Note::Event(event));
        }
    }

    fn note(&self, note: Note) -> bool {
        let is_heard = self.notes.send(note).is_ok();
        self.bell.ring();
        is_heard
    }
}

/// An epoch on a disk that is still to be compared with the catalog.
pub(super) type Backlog = Vec<(usize, StreamId, EpochId)>;

/// The keeper's handle.
pub(super) struct Keeper {
    notes: Notes,
    worker: Worker,
}

impl Keeper {
    pub(super) fn start(
        shared: Arc<Shared>,
        driver: &Driver,
        notes: Notes,
        inbox: Inbox,
        backlog: Backlog,
        log: Option<Keeping>,
    ) -> io::Result<Self> {
        shared.log.wake_by(Arc::clone(&inbox.bell));
        let clock = Arc::clone(&shared.clock);
        let work = Work {
            look_at_us: clock.monotonic_us(),
            shared,
            inbox: inbox.notes,
            backlog,
            found: Report::default(),
            entries: Vec::new(),
            insert_at_us: None,
            passes: Passes::default(),
            log,
        };
        let worker = driver.start("store-keeper".into(), work, inbox.bell, clock)?;
        Ok(Self { notes, worker })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.worker.has_ended()
    }

    /// Ends it after what it was told before. False when it had died.
    pub(super) fn stop(self) -> bool {
        let ended_well = self.notes.note(Note::Stop) && self.worker.join();
        if !ended_well {
            tracing::error!("what keeps the catalog had ended: the next start makes up for it");
        }
        ended_well
    }
}

struct Work {
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Note>,
    backlog: Backlog,
    found: Report,
    /// What the catalog is to know.
    entries: Vec<Entry>,
    insert_at_us: Option<u64>,
    look_at_us: u64,
    passes: Passes,
    log: Option<Keeping>,
}

impl turns::Work for Work {
    fn turn(&mut self) -> Next {
        loop {
            match self.inbox.try_recv() {
                Ok(Note::Event(event)) => self.event(event),
                Ok(Note::Stop) | Err(mpsc::TryRecvError::Disconnected) => {
                    self.insert();
                    self.log.iter_mut().for_each(Keeping::finish);
                    return Next::Never;
                }
                Err(mpsc::TryRecvError::Empty) => break,
            }
        }
        if self
            .insert_at_us
            .is_some_and(|at_us| self.now_us() >= at_us)
        {
            self.insert();
        }
        let is_settled = self.backlog.is_empty();
        let log = self.log.as_mut();
        let log_at_us = log.map_or(u64::MAX, |log| log.turn(is_settled));
        // A catalog that does not know all footage would call the wrong segments the oldest.
        if !is_settled {
            self.compare_one_epoch();
            return Next::At(self.now_us());
        }
        let is_waiting = self.log.as_ref().is_some_and(Keeping::is_starting);
        if self.now_us() >= self.look_at_us && !is_waiting {
            self.look();
        }
        let insert_at_us = self.insert_at_us.unwrap_or(u64::MAX);
        Next::At(self.look_at_us.min(insert_at_us).min(log_at_us))
    }
}

impl Work {
    fn now_us(&self) -> u64 {
        self.shared.clock.monotonic_us()
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Durable(_) => {}
            Event::Closed(segment) => self.insert_soon(entry_of(&segment)),
            Event::Abandoned(segment) => self.mend(&segment),
            Event::Poisoned(segment, error) => {
                let id = segment.new.segment;
                tracing::error!(%id, stream = %segment.new.stream, "a segment is poisoned: {error}");
                if is_full(&error) {
                    self.look_at_us = self.now_us();
                }
                // It takes room, and plays to where it is durable. Without any of that the next start looks at it.
                if segment.durable_bytes() > 0 {
                    self.insert_soon(entry_of(&segment));
                } else {
                    self.shared.segments().remove(&id);
                }
            }
        }
    }

    /// Remembers what is to be put into the catalog.
    fn insert_soon(&mut self, entry: Entry) {
        self.entries.push(entry);
        let by_us = self.now_us().saturating_add(CATALOG_LAG_MS_MAX * 1_000);
        self.insert_at_us.get_or_insert(by_us);
    }

    /// Puts what has ended into the catalog. Where that fails it stays in memory, and on the disk: it is tried again, and the next
    /// start finds it.
    fn insert(&mut self) {
        self.insert_at_us = None;
        if self.entries.is_empty() {
            return;
        }
        let catalog = &self.shared.catalog;
        let inserted = catalog.insert(&self.entries);
        if let Err(error) = inserted.and_then(|()| catalog.flush()) {
            tracing::error!("{}", super::Error::Catalog(error));
            self.insert_at_us = Some(self.now_us().saturating_add(INSERT_AGAIN_US));
            return;
        }
        let entries = std::mem::take(&mut self.entries);
        let mut segments = self.shared.segments();
        for entry in &entries {
            segments.remove(&entry.segment);
        }
        drop(segments);
        self.log.iter_mut().for_each(|log| log.closed(&entries));
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
            Some(entry) => {
                self.entries.push(entry);
                self.insert();
            }
            None => drop(shared.segments().remove(&new.segment)),
        }
    }

    /// Makes a pass of retention, and says when the next one is due.
    fn look(&mut self) {
        let wait_us = self.passes.next(&self.shared, self.log.as_mut());
        self.look_at_us = self.now_us().saturating_add(wait_us);
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
