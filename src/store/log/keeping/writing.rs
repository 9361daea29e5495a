//! Records become entries, and entries a checkpoint that is signed, remembered and published.

use std::collections::BTreeMap;

use hearthkeep_format::log::{
    Checkpoint, DeletionCause, Entry as LogEntry, Record, SegmentClosed, Stamped,
};

use super::super::files;
use super::super::remembered::Remembered;
use super::super::{Published, UNKNOWN_ROOT};
use super::{Keeping, Ours};
use crate::disk::{Disk, Front, is_no_answer};
use crate::limits::LOG_BATCH_SEGMENTS;
use crate::store::catalog::Entry;
use crate::store::inspect::{Inspected, Place, Strange, inspect};
use crate::store::mount::MountedDisk;
use crate::store::retention::Reason;

/// A segment whose disk does not answer.
struct Silent(Entry);

impl Keeping {
    /// Writes what there is, a batch of it; whether it could.
    pub(super) fn flush(&mut self) -> bool {
        let queued = self.shared.log.lock().queue.clone();
        let some = self.closed.len().min(LOG_BATCH_SEGMENTS);
        let mut records = queued.clone();
        let mut batch = self.closed[..some].to_vec();
        batch.sort_by_key(|entry| entry.sequence);
        batch.dedup_by_key(|entry| entry.segment);
        let mut silent = Vec::new();
        for entry in &batch {
            match self.closed_record(entry) {
                Ok(record) => records.extend(record),
                Err(Silent(entry)) => silent.push(entry),
            }
        }
        let written = match records.is_empty() {
            true => Ok(()),
            false => self.keep_holds().and_then(|()| self.write(&records)),
        };
        if let Err(what) = written {
            self.failed(&what);
            return false;
        }
        self.closed.drain(..some);
        self.wait_for(silent);
        let now_us = self.now_us();
        // What is left of a large batch goes at once.
        self.batch_at_us = (!self.closed.is_empty()).then_some(now_us);
        let mut inner = self.shared.log.lock();
        inner.queue.drain(..queued.len());
        inner.published_records += queued.len() as u64;
        for record in &records[queued.len()..] {
            inner.replayed.apply(record);
        }
        inner.trouble.writing = None;
        let is_all = inner.queue.is_empty();
        drop(inner);
        if is_all {
            self.forget_unlogged();
            self.audits.forget();
        }
        self.shared.log.news.notify_all();
        true
    }

    /// Has the state folder remember the holds as they are now: before the log does.
    pub(super) fn keep_holds(&mut self) -> Result<(), String> {
        let (remembered, version) = {
            let inner = self.shared.log.lock();
            if !inner.is_replayed || self.remembered.is_of(inner.holds_version) {
                return Ok(());
            }
            let (holds, moves) = (&inner.replayed.holds, &inner.replayed.moves);
            let known = inner.remembered_serial();
            let ours = self.ours.as_ref();
            let read = self.read.iter().map(|of| (of.log, of.size));
            let mut logs: BTreeMap<_, _> = read.collect();
            let log = ours.map(|ours| (ours.own.key.log(), ours.end.tree.count()));
            // What could not be read may have a hold, and be read next time.
            logs.extend(log.filter(|_| !self.is_doubtful));
            let remembered = Remembered {
                holds: holds.clone(),
                moves: moves.clone(),
                logs,
                unheard: inner.unheard.clone(),
                serial: known.max(ours.map_or(0, |ours| ours.own.holds)) + 1,
            };
            (remembered, inner.holds_version)
        };
        let random = &mut self.shared.random.clone();
        self.remembered
            .write(&remembered, version, random)
            .map_err(|error| format!("log.holds.sealed in the state folder: {error}"))?;
        self.shared.log.lock().remembered = Some(remembered);
        Ok(())
    }

    pub(super) fn failed(&mut self, what: &str) {
        self.told(format!(
            "the log cannot be written: {what}. Recording goes on; what happens meanwhile is written when it can be"
        ));
    }

    /// Says what is wrong, once, and leaves the log alone for a while.
    pub(super) fn told(&mut self, sentence: String) {
        let mut inner = self.shared.log.lock();
        if inner.trouble.writing.as_ref() != Some(&sentence) {
            tracing::error!("{sentence}");
        }
        inner.trouble.writing = Some(sentence);
        drop(inner);
        self.retry_at_us = self.retry_us();
    }

    /// Writes records to all disks that have the log, signs, remembers and publishes. `Err` says why none of it counts.
    pub(super) fn write(&mut self, records: &[Stamped]) -> Result<(), String> {
        let retry_us = self.retry_us();
        let ours = self.ours.as_mut().ok_or("there is no log yet")?;
        let log = ours.own.key.log();
        let m = (self.shared.keys)(self.generation).ok_or("its metadata key is not known")?;
        let (mut end, mut entries, mut nodes) = (ours.end.clone(), Vec::new(), Vec::new());
        for record in records {
            let sealed = LogEntry::seal(
                record,
                &log,
                end.tree.count(),
                (self.generation, &m),
                &mut self.shared.random.clone(),
            )
            .map_err(|error| error.to_string())?;
            end.bytes += sealed.len() as u64;
            let entry = LogEntry::parse(&sealed).map_err(|error| error.to_string())?;
            files::push(&mut end.tree, &entry, end.bytes, &mut nodes);
            entries.extend_from_slice(&sealed);
        }
        let (done, failure) = self.seats.on_whole(retry_us, |disk| {
            files::append(disk, &log, &ours.end, &entries, &nodes)
        });
        if done == 0 {
            return Err(failure.unwrap_or_else(|| "no disk that is here has it".to_owned()));
        }
        let checkpoint = Checkpoint {
            store: self.shared.store,
            log,
            size: end.tree.count(),
            root: end.tree.root(),
        };
        let note = checkpoint.sign(&ours.own.signing_key());
        let before =
            std::mem::replace(&mut ours.own.note, note.map_err(|error| error.to_string())?);
        let serial = self.shared.log.lock().remembered_serial();
        ours.own.holds = ours.own.holds.max(serial);
        if let Err(error) = self.file.write(&ours.own, &mut self.shared.random.clone()) {
            ours.own.note = before;
            return Err(format!("log.sealed in the state folder: {error}"));
        }
        ours.end = end;
        let note = &ours.own.note;
        let put = |disk: &dyn Disk| files::put_checkpoint(disk, &log, note);
        if self.seats.on_whole(retry_us, put).0 > 0 {
            self.publish();
        }
        Ok(())
    }

    /// Shows the newest checkpoint to whoever asks.
    pub(super) fn publish(&self) {
        let Some(Ours { own, end }) = &self.ours else {
            return;
        };
        let now = Published {
            key: own.key.to_text(),
            note: own.note.clone(),
        };
        let mut inner = self.shared.log.lock();
        inner.bytes = self.older_bytes + end.on_disk_bytes();
        let published = &mut inner.published;
        match published.last_mut().filter(|last| last.key == now.key) {
            Some(last) => *last = now,
            None => published.push(now),
        }
    }

    pub(super) fn stamped(&self, record: Record) -> Stamped {
        Stamped {
            wall_us: self.shared.clock.wall_us(),
            clock_trusted: self.shared.clock.trusted(),
            record,
        }
    }

    /// Writes where a copy of a segment lies, before it goes from where it was; whether the log has it. Who holds the log up keeps
    /// footage from being moved.
    pub fn moved(&mut self, copy: &Entry, to: &MountedDisk) -> bool {
        if self.is_starting() || self.ours.is_none() || self.now_us() < self.retry_at_us {
            return false;
        }
        if self.shared.log.lies_on(copy, &to.id) {
            return true;
        }
        let record = match self.record_of(copy, to) {
            Ok(Some(record)) => record,
            // The log does not have it, and what is damaged so cannot be said anything of.
            Ok(None) => return true,
            Err(Silent(_)) => return false,
        };
        if let Err(what) = self.write(std::slice::from_ref(&record)) {
            self.failed(&what);
            return false;
        }
        let mut inner = self.shared.log.lock();
        inner.replayed.apply(&record);
        inner.trouble.writing = None;
        true
    }

    /// What the log is to say of a segment where it does not yet, or says that it lies elsewhere. Nothing where it is not whole or not
    /// there any more, unless it lies elsewhere; `Err` where its disk does not say.
    fn closed_record(&self, entry: &Entry) -> Result<Option<Stamped>, Silent> {
        // It may have been moved since.
        let known = self.shared.catalog.find(&entry.stream, &entry.segment);
        let Some(known) = known.ok().flatten() else {
            return Ok(None);
        };
        let Some(disk) = self.shared.slots.disk(known.disk) else {
            return Ok(None);
        };
        if self.shared.log.lies_on(&known, &disk.id) {
            return Ok(None);
        }
        self.record_of(&known, &disk)
    }

    /// What there is to say of a segment on this disk, from both ends of its file.
    fn record_of(&self, known: &Entry, disk: &MountedDisk) -> Result<Option<Stamped>, Silent> {
        let place = Place::of(known);
        let file = disk
            .patient()
            .open_read(&place.path())
            .and_then(Front::whole);
        let inspected = match file {
            Ok(file) => inspect(&file, &place, &self.shared.store, &*self.shared.keys),
            Err(error) => Inspected::Strange(error.into()),
        };
        let facts = match inspected {
            Inspected::Whole(facts) => facts,
            Inspected::Strange(Strange::Io(error)) if is_no_answer(&error) => {
                return Err(Silent(*known));
            }
            Inspected::Strange(Strange::Io(_)) => return Ok(None),
            // Where it lies can be said of what the log has, however damaged it is by now.
            Inspected::Torn | Inspected::Strange(_) => {
                let is_logged = self.shared.log.has(known);
                return Ok(is_logged.then(|| self.place_of(known, disk)));
            }
        };
        Ok(Some(self.stamped(Record::SegmentClosed(SegmentClosed {
            stream: known.stream,
            epoch: known.epoch,
            segment: known.segment,
            disk: disk.id,
            kind: facts.header.kind,
            root: facts.end.root,
            sequence: facts.start.sequence,
            start_us: facts.start.wall_us,
            duration_us: facts.end.duration_us,
            bytes: facts.bytes,
            recovered: facts.recovered,
            clock_trusted: facts.start.clock_trusted,
        }))))
    }
}

impl Keeping {
    /// Where a segment lies that is too damaged to say what it is: that the log has already.
    fn place_of(&self, known: &Entry, disk: &MountedDisk) -> Stamped {
        self.stamped(Record::SegmentClosed(SegmentClosed {
            stream: known.stream,
            epoch: known.epoch,
            segment: known.segment,
            disk: disk.id,
            kind: known.kind,
            root: UNKNOWN_ROOT,
            sequence: known.sequence,
            start_us: known.start_us,
            duration_us: known.duration_us,
            bytes: u64::from(known.bytes),
            recovered: known.recovered,
            clock_trusted: known.clock_trusted,
        }))
    }
}

pub(super) fn cause_of(reason: Reason) -> DeletionCause {
    match reason {
        Reason::Begun => DeletionCause::Begun,
        Reason::Age => DeletionCause::Age,
        Reason::CameraBytes => DeletionCause::CameraBytes,
        Reason::DiskBytes => DeletionCause::DiskBytes,
        Reason::FreeSpace => DeletionCause::FreeSpace,
        Reason::ByHand => DeletionCause::ByHand,
    }
}
