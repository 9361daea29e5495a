//! What keeps the catalog: it inserts what is durable, finishes recovery in the background, and runs retention.
//!
//! All that changes the catalog after the start happens here, in the turns of one thread, so that no two of them need to agree.

use std::io;
use std::sync::{Arc, mpsc};

use hearthkeep_format::log::Record;
use hearthkeep_format::segment::{GapCause, Start};
use hearthkeep_format::{EpochId, StreamId};

use super::Shared;
use super::catalog::Entry;
use super::failed::Failed;
use super::health::is_full;
use super::inspect::Place;
use super::later::{Due, Later};
use super::log::{Keeping, Known, May};
use super::mount::MountedDisk;
use super::mover::Mover;
use super::notes::{Inbox, Note, Notes};
use super::outage::Outage;
use super::pass::Passes;
use super::reanchoring::Reanchoring;
use super::recovery::Report;
use super::retention::{Deletion, Reason};
use super::roll_call::RollCall;
use super::turns::{self, Next, Worker};
use super::watch::Watch;
use super::writer::{Event, Means, Segment, State};
use crate::clock::offset_us;
use crate::limits::{CATALOG_LAG_MS_MAX, COMPARED_LATE_MS_MAX};

/// What the catalog did not take is tried again after this.
const INSERT_AGAIN_US: u64 = 10_000_000;

/// An epoch on a disk, by its number.
pub(super) type EpochOn = (u16, StreamId, EpochId);

/// Those that are still to be compared with the catalog.
pub(super) type Backlog = Vec<EpochOn>;

/// The keeper's handle.
pub(super) struct Keeper {
    notes: Notes,
    worker: Worker,
}

impl Keeper {
    pub(super) fn start(
        shared: Arc<Shared>,
        means: Means,
        notes: Notes,
        inbox: Inbox,
        backlog: Backlog,
        log: Option<Keeping>,
    ) -> io::Result<Self> {
        shared.log.wake_by(Arc::clone(&inbox.bell));
        let (clock, driver) = (Arc::clone(&shared.clock), means.driver.clone());
        // At rest nothing is deleted, not even where it was moved from.
        let look_at_us = match shared.at_rest {
            true => u64::MAX,
            false => clock.monotonic_us(),
        };
        // Without a log nobody would say that something is gone.
        let roll_call_from_us = match shared.log.is_kept() {
            true => look_at_us,
            false => u64::MAX,
        };
        let work = Work {
            look_at_us,
            reanchoring: Reanchoring::begin(&shared),
            shared,
            inbox: inbox.notes,
            backlog,
            later: Later::default(),
            found: Report::default(),
            waits_since_us: None,
            has_changed: false,
            is_late: false,
            entries: Vec::new(),
            inserted: 0,
            insert_at_us: None,
            outage: Outage::default(),
            passes: Passes::default(),
            watch: Watch::new(means, notes.clone()),
            mover: Mover::new(look_at_us),
            roll_call: RollCall::new(roll_call_from_us),
            failed: Failed::default(),
            log,
            was_replayed: false,
            may: May::Nothing,
        };
        let worker = driver.start("store-keeper".into(), work, inbox.bell, clock)?;
        Ok(Self { notes, worker })
    }

    pub(super) fn notes(&self) -> &Notes {
        &self.notes
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
    later: Later,
    found: Report,
    /// Since when retention waits for footage to be compared or dated, by monotonic time in us.
    waits_since_us: Option<u64>,
    /// Whether comparing has changed the catalog since the backlog was empty.
    has_changed: bool,
    /// Whether some of the backlog had to wait for a disk.
    is_late: bool,
    /// What the catalog is to know, and when each says that it begins: the time may be known better once the catalog takes it.
    entries: Vec<(Entry, Start)>,
    /// How many of these it has, though not durably yet: it may have dated or moved them since, and is not told of them again.
    inserted: usize,
    insert_at_us: Option<u64>,
    look_at_us: u64,
    outage: Outage,
    passes: Passes,
    reanchoring: Option<Reanchoring>,
    watch: Watch,
    mover: Mover,
    roll_call: RollCall,
    failed: Failed,
    log: Option<Keeping>,
    /// Whether the log had been read in the last turn.
    was_replayed: bool,
    /// What was allowed to be deleted in the last turn.
    may: May,
}

impl turns::Work for Work {
    fn turn(&mut self) -> Next {
        loop {
            match self.inbox.try_recv() {
                Ok(Note::Event(event)) => self.event(event),
                Ok(Note::Disks) => {
                    self.watch.hurry();
                    self.mover.hurry();
                }
                Ok(Note::Forget(number)) => self.forget(number),
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
        if self.entries.is_empty() {
            self.shared.waiting.ends();
        }
        if let Some(backlog) = self.outage.turn(&self.shared, &mut self.later) {
            self.take_up(backlog);
        }
        if self.now_us() >= self.watch.due_us() {
            self.look_at_clock();
            self.look_at_disks();
            self.look_early();
        }
        if self.now_us() >= self.later.due_us() {
            self.try_again();
        }
        let known = self.known();
        let log = self.log.as_mut();
        let log_at_us = log.map_or(u64::MAX, |log| log.turn(known));
        self.join_anchors();
        match known == Known::Little || self.reanchoring.is_some() {
            true => self.make_room(),
            false => self.waits_since_us = None,
        }
        // A catalog that does not know all footage would call the wrong segments the oldest.
        if !self.backlog.is_empty() {
            self.compare_one_epoch();
            self.shared.waiting.goes_on(self.now_us());
            return Next::At(self.now_us());
        }
        let insert_at_us = self.insert_at_us.unwrap_or(u64::MAX);
        let looked_at_us = self.watch.due_us().min(self.later.due_us()).min(log_at_us);
        if known == Known::Little {
            return Next::At(insert_at_us.min(looked_at_us));
        }
        // Retention's ages follow from these times.
        if let Some(reanchoring) = self.reanchoring.take() {
            self.date(reanchoring);
            return Next::At(self.now_us());
        }
        let may = self.log.as_ref().map_or(May::All, Keeping::may_delete);
        if std::mem::replace(&mut self.may, may) != may {
            self.look_at_us = match self.look_at_us {
                // At rest nothing is ever deleted.
                u64::MAX => u64::MAX,
                at_us => at_us.min(self.now_us()),
            };
        }
        if self.now_us() >= self.look_at_us && may != May::Nothing {
            self.look(may);
        }
        if self.now_us() >= self.mover.due_us() {
            let (now, log) = (self.passes.now(), self.log.as_mut());
            let moved = self.mover.turn(&self.shared, now, log);
            let found = self.mover.take_found();
            self.is_late |= !found.is_empty();
            self.backlog.extend(found);
            self.passes.moved(&moved);
            if !moved.is_empty() {
                self.look_early();
            }
        }
        self.roll_call.look_at(self.shared.scrub.take_missed());
        if self.now_us() >= self.roll_call.due_us() && self.roll_call.turn(&self.shared) {
            self.passes.taken_in();
            self.log.iter_mut().for_each(Keeping::walk_again);
        }
        let background_us = self.mover.due_us().min(looked_at_us);
        let background_us = background_us.min(self.roll_call.due_us());
        let look_at_us = match may {
            May::Nothing => u64::MAX,
            May::All | May::Room | May::Reserve => self.look_at_us,
        };
        Next::At(look_at_us.min(insert_at_us).min(background_us))
    }
}

impl Work {
    fn now_us(&self) -> u64 {
        self.shared.clock.monotonic_us()
    }

    /// How far the catalog knows all footage.
    fn known(&self) -> Known {
        match () {
            () if !self.backlog.is_empty() || self.later.holds_up(self.now_us()) => Known::Little,
            () if self.shared.catalog.has_lost() => Known::Little,
            () if self.later.has_epochs() => Known::Enough,
            () => Known::All,
        }
    }

    /// Brings some footage to its true time; what is on a disk that does not answer, later.
    fn date(&mut self, mut reanchoring: Reanchoring) {
        if reanchoring.turn(&self.shared) {
            self.reanchoring = Some(reanchoring);
            return;
        }
        if reanchoring.has_moved() {
            self.passes.taken_in();
        }
        self.later.date(reanchoring.silent(), self.now_us());
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Durable(_) => {}
            Event::Closed(segment) => self.insert_soon(&segment),
            Event::Abandoned(segment) => self.mend(segment),
            Event::Poisoned(segment, error) => {
                let id = segment.new.segment;
                let cause = GapCause::DiskError.as_str();
                tracing::error!(%id, stream = %segment.new.stream, cause, "a segment is poisoned: {error}");
                if is_full(&error) {
                    self.look_at_us = self.now_us();
                }
                // It takes room, and plays to where it is durable.
                if segment.durable_bytes() > 0 {
                    self.insert_soon(&segment);
                } else {
                    self.shared.segments().remove(&id);
                    self.tell_lost(&segment);
                    self.failed.take(&self.shared, &segment);
                }
            }
        }
    }

    /// Tells the log of a segment of which nothing became durable: the next one may have begun before that was known.
    fn tell_lost(&self, segment: &Segment) {
        let start = self.shared.anchors.corrected(&segment.new.start);
        let to_us = start.wall_us.saturating_add_unsigned(segment.handed_us());
        if to_us > start.wall_us {
            self.shared.log.append(Record::Gap {
                stream: segment.new.stream,
                cause: GapCause::DiskError,
                from_us: start.wall_us,
                to_us,
            });
        }
    }

    /// Remembers what is to be put into the catalog.
    fn insert_soon(&mut self, segment: &Segment) {
        self.entries.push((entry_of(segment), segment.new.start));
        self.shared.waiting.begins(self.now_us());
        let by_us = self.now_us().saturating_add(CATALOG_LAG_MS_MAX * 1_000);
        self.insert_at_us.get_or_insert(by_us);
    }

    /// Puts what has ended into the catalog, each at its true time as far as that is known by now. Where that fails it stays in memory,
    /// and on the disk: it is tried again, and the next start finds it.
    fn insert(&mut self) {
        self.insert_at_us = None;
        if self.entries.is_empty() {
            return;
        }
        let (catalog, anchors) = (&self.shared.catalog, &self.shared.anchors);
        let waiting = self.entries.iter();
        let entries: Vec<_> = waiting
            .map(|(entry, start)| entry.at(&anchors.corrected(start)))
            .collect();
        let inserted = catalog.insert(&entries[self.inserted..]);
        let flushed = inserted.and_then(|()| {
            self.inserted = entries.len();
            catalog.flush()
        });
        if let Err(error) = flushed {
            tracing::error!("{}", super::Error::Catalog(error));
            self.insert_at_us = Some(self.now_us().saturating_add(INSERT_AGAIN_US));
            return;
        }
        self.entries.clear();
        self.inserted = 0;
        let mut segments = self.shared.segments();
        for entry in &entries {
            segments.remove(&entry.segment);
        }
        drop(segments);
        self.log.iter_mut().for_each(|log| log.closed(&entries));
    }

    /// Gives an abandoned segment its tail; later, where its disk does not answer.
    fn mend(&mut self, segment: Arc<Segment>) {
        let place = Place::of_new(&segment.new);
        let new = &segment.new;
        let shared = Arc::clone(&self.shared);
        let Some(disk) = shared.slots.disk(segment.disk) else {
            // It is mended when its disk comes back.
            shared.segments().remove(&new.segment);
            return;
        };
        let mut report = Report::default();
        let elsewhere = |number| shared.other(number);
        let patient = disk.patient();
        let recovery = shared.recovery(disk.number(), &*patient, &elsewhere);
        let mended = recovery.mend(&place, &mut report);
        if report.unanswered > 0 {
            return self.later.mend(segment, self.now_us());
        }
        match mended {
            Some(entry) => {
                self.entries.push((entry, segment.new.start));
                self.insert();
            }
            None => drop(shared.segments().remove(&new.segment)),
        }
    }

    /// Makes a pass of retention, and says when the next one is due.
    fn look(&mut self, may: May) {
        let wait_us = self.passes.next(&self.shared, self.log.as_mut(), may);
        self.look_at_us = self.now_us().saturating_add(wait_us);
    }

    /// Makes the next pass due where something fills faster than the last one thought, or was filled by what moved.
    fn look_early(&mut self) {
        if self.passes.is_outgrown(&self.shared) {
            self.look_at_us = self.look_at_us.min(self.now_us());
        }
    }

    /// While retention waits: what comes is lost where a disk is full, and nobody waits for long with that.
    fn make_room(&mut self) {
        let now_us = self.now_us();
        let since_us = *self.waits_since_us.get_or_insert(now_us);
        let has_waited = now_us.saturating_sub(since_us) >= COMPARED_LATE_MS_MAX * 1_000;
        let may = self.log.as_ref().map_or(May::All, Keeping::may_delete);
        if !has_waited || now_us < self.look_at_us || may == May::Nothing {
            return;
        }
        let mounted = self.shared.slots.mounted();
        if mounted.iter().any(|disk| disk.is_full()) {
            self.look(May::Reserve);
        }
    }

    /// Looks whether the clock has become known, or was set: then all that was recorded before in this boot moves with it.
    fn look_at_clock(&mut self) {
        let clock = &*self.shared.clock;
        if !clock.trusted() {
            self.shared
                .log
                .clock_says(clock.boot_id(), offset_us(clock));
        }
        let Some(record) = self.shared.anchors.look(clock) else {
            return;
        };
        self.shared.log.append(record);
        self.reanchoring = Reanchoring::begin(&self.shared);
    }

    /// Has footage follow what the log tells of the clock and the state folder did not know, once it is read.
    fn join_anchors(&mut self) {
        let is_replayed = self.shared.log.is_replayed();
        if std::mem::replace(&mut self.was_replayed, is_replayed) || !is_replayed {
            return;
        }
        let (anchors, boot) = (self.shared.log.anchors(), self.shared.clock.boot_id());
        if self.shared.anchors.join(anchors, boot) {
            self.reanchoring = Reanchoring::begin(&self.shared);
        }
    }

    fn look_at_disks(&mut self) {
        // What ended on a disk that is lost is catalogued before it may come back, so that it is looked at then.
        self.insert();
        if let Some(backlog) = self.watch.turn(&self.shared, &mut self.found) {
            self.take_up(backlog);
        }
    }

    /// Has epochs compared with the catalog that it may not know.
    fn take_up(&mut self, backlog: Backlog) {
        self.backlog.extend(backlog);
        self.log.iter_mut().for_each(Keeping::walk_again);
        // What the catalog knows of a disk that was away may not follow the newest anchor yet.
        self.reanchoring = Reanchoring::begin(&self.shared);
        self.passes.taken_in();
    }

    /// Forgets the segments of a disk.
    fn forget(&mut self, number: u16) {
        self.insert();
        self.shared
            .segments()
            .retain(|_, segment| segment.disk != number);
        let catalog = &self.shared.catalog;
        catalog.give_up(number);
        for stream in catalog.streams() {
            let entries = catalog.oldest_first(&stream).map_while(Result::ok);
            let on_it: Vec<_> = entries.filter(|entry| entry.disk == number).collect();
            let given_up = on_it.iter().map(|entry| Deletion {
                entry: *entry,
                reason: Reason::ByHand,
            });
            let given_up: Vec<_> = given_up.collect();
            self.log.iter_mut().for_each(|log| log.deleting(&given_up));
            if let Err(error) = catalog.forget(&on_it).and_then(|()| catalog.flush()) {
                tracing::error!("{}", super::Error::Catalog(error));
            }
        }
    }

    /// Tries again what disks did not answer for.
    fn try_again(&mut self) {
        let Due {
            epochs,
            mends,
            dates,
        } = self.later.take(&self.shared, self.now_us());
        self.is_late |= !epochs.is_empty();
        self.backlog.extend(epochs);
        if self.backlog.is_empty() {
            // A disk that was waited for may have nothing.
            self.later.end_if_over();
        }
        mends.into_iter().for_each(|segment| self.mend(segment));
        if dates {
            self.reanchoring = Reanchoring::begin(&self.shared);
        }
    }

    /// Compares an epoch with the catalog. Returns the disk, by its number, for which that is to be done again later.
    fn compare(
        &mut self,
        disk: &MountedDisk,
        stream: &StreamId,
        epoch: &EpochId,
    ) -> super::Result<Option<u16>> {
        let report = self.shared.compare(disk, stream, epoch)?;
        self.has_changed |= report.has_changed();
        if report.unanswered > 0 {
            return Ok(Some(disk.number()));
        }
        if let Some(other) = report.undecided.first() {
            return Ok(Some(*other));
        }
        self.shared.found(&report);
        self.found.add(report);
        Ok(None)
    }

    fn compare_one_epoch(&mut self) {
        let Some(epoch_on) = self.backlog.pop() else {
            return;
        };
        let (number, stream, epoch) = epoch_on;
        // One that is gone again is compared when it comes back.
        if let Some(disk) = self.shared.slots.disk(number) {
            let waits_for = match disk.hangs() {
                true => Ok(Some(number)),
                false => {
                    self.mover.leave_to_comparing(&epoch_on);
                    self.compare(&disk, &stream, &epoch)
                }
            };
            match waits_for {
                Ok(None) => {}
                Ok(Some(waits_for)) => {
                    self.later.compare(epoch_on, waits_for, self.now_us());
                }
                Err(error) => tracing::error!("{error}"),
            }
        }
        if !self.backlog.is_empty() {
            return;
        }
        let is_late = std::mem::take(&mut self.is_late);
        if std::mem::take(&mut self.has_changed) {
            self.passes.taken_in();
            // What was compared in time is in the walk that waits for it.
            if is_late {
                self.log.iter_mut().for_each(Keeping::walk_again);
            }
        }
        if let Err(error) = self.shared.catalog.flush() {
            tracing::error!("{}", super::Error::Catalog(error));
        }
        if self.later.end_if_over() {
            let found = std::mem::take(&mut self.found);
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

/// A segment at the time that it says itself.
fn entry_of(segment: &Segment) -> Entry {
    let new = &segment.new;
    let start = &new.start;
    Entry {
        stream: new.stream,
        kind: new.kind,
        epoch: new.epoch,
        segment: new.segment,
        disk: segment.disk,
        start_us: start.wall_us,
        duration_us: segment.durable_us(),
        bytes: u32::try_from(segment.durable_bytes()).unwrap_or(u32::MAX),
        sequence: start.sequence,
        clock_trusted: start.clock_trusted,
        recovered: false,
        tombstone: false,
        torn: segment.state() == State::Poisoned,
        gap: start.gap,
    }
}
