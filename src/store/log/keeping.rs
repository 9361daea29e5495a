//! The work of keeping the log, done in the keeper's turns.

use std::sync::Arc;

use hearthkeep_format::log::{
    BeginCause, Checkpoint, Deleted, DeletedSegment, DeletionCause, Entry as LogEntry, Record,
    SegmentClosed, Stamped,
};
use hearthkeep_format::{DiskId, LogId};

use super::chain::{FoundLog, Reader, find};
use super::files::{self, End};
use super::own::{Own, OwnFile};
use super::seats::{self, Current, Seats};
use super::start::{self, Course, Found};
use super::walk::{self, Search, Walk};
use super::{LogSettings, Published};
use crate::disk::{Disk, Front};
use crate::limits::{LOG_BATCH_MS_MAX, LOG_BATCH_SEGMENTS, LOG_QUEUE_RECORDS_MAX, LOG_RETRY_MS};
use crate::random::OsRandom;
use crate::store::catalog::Entry;
use crate::store::inspect::{Inspected, Place, inspect};
use crate::store::retention::{Deletion, Reason};
use crate::store::{Shared, SharedKeys, layout};

/// Segments that a record of deletion names here.
const DELETED_AT_ONCE: usize = 256;

/// What keeps the log.
pub(in crate::store) struct Keeping {
    shared: Arc<Shared>,
    generation: u32,
    file: OwnFile,
    stage: Stage,
    ours: Option<Ours>,
    /// A key that has signed nothing yet, since a log could not be begun.
    fresh: Option<Own>,
    seats: Seats,
    /// Logs before ours, which every disk is to carry too.
    older: Vec<LogId>,
    /// Segments that the catalog has and the log is still to get.
    closed: Vec<Entry>,
    batch_at_us: Option<u64>,
    /// Not before this is the log written again after a failure.
    retry_at_us: u64,
    /// Where something was left out for want of room: the catalog is walked once more.
    walk_again: bool,
}

/// How far a start has come.
enum Stage {
    Unopened,
    Replaying(Box<Replay>),
    Walking(Walk),
    Searching(Box<Search>),
    Ready,
}

struct Replay {
    logs: std::vec::IntoIter<FoundLog>,
    at: Option<(FoundLog, Reader)>,
    unread: u64,
}

/// The log that is written to.
struct Ours {
    own: Own,
    end: End,
}

impl Keeping {
    pub fn new(shared: Arc<Shared>, settings: LogSettings, state_dir: &std::path::Path) -> Self {
        Self {
            shared,
            generation: settings.generation,
            file: OwnFile::new(state_dir, settings.state_key),
            stage: Stage::Unopened,
            ours: None,
            fresh: None,
            seats: Seats::default(),
            older: Vec::new(),
            closed: Vec::new(),
            batch_at_us: None,
            retry_at_us: 0,
            walk_again: false,
        }
    }

    /// Does what is due, and says when the next turn is, by monotonic time in us. `is_settled` says whether the catalog knows all
    /// footage.
    pub fn turn(&mut self, is_settled: bool) -> u64 {
        let now_us = self.now_us();
        self.seats.renew(self.shared.log_disks(), &self.older);
        if self.go_on_starting(is_settled) {
            return now_us;
        }
        if matches!(self.stage, Stage::Unopened) {
            return self.retry_at_us;
        }
        let seats_us = self.step_seats(now_us);
        if self.is_due(now_us) {
            self.flush();
        }
        seats_us.min(self.due_us())
    }

    /// Writes all that there is: the recorder ends.
    pub fn finish(&mut self) {
        while matches!(self.stage, Stage::Unopened | Stage::Replaying(_))
            && self.go_on_starting(false)
        {}
        self.retry_at_us = 0;
        while !matches!(self.stage, Stage::Unopened) && self.has_something() && self.flush() {}
    }

    /// Takes note of segments that the catalog has got: they get their entries within a minute.
    pub fn closed(&mut self, entries: &[Entry]) {
        let whole = entries.iter().filter(|entry| !entry.torn);
        self.closed.extend(whole);
        if self.closed.len() > LOG_QUEUE_RECORDS_MAX {
            self.closed.truncate(LOG_QUEUE_RECORDS_MAX);
            self.walk_again = true;
        }
        let by_us = self.now_us().saturating_add(LOG_BATCH_MS_MAX * 1_000);
        self.batch_at_us.get_or_insert(by_us);
    }

    /// Writes that segments are about to be deleted, before they are: a crash in between is then nobody's theft. That it cannot
    /// be written keeps nothing from being deleted.
    pub fn deleting(&mut self, deletions: &[Deletion]) {
        let mut sorted: Vec<_> = deletions.iter().collect();
        let group =
            |deletion: &Deletion| (deletion.entry.stream, cause_of(deletion.reason).as_u8());
        sorted.sort_by_key(|deletion| group(deletion));
        for of_one in sorted.chunk_by(|a, b| group(a) == group(b)) {
            for some in of_one.chunks(DELETED_AT_ONCE) {
                let segment = |deletion: &&Deletion| DeletedSegment {
                    segment: deletion.entry.segment,
                    sequence: deletion.entry.sequence,
                };
                self.shared.log.append(Record::Deleted(Deleted {
                    stream: some[0].entry.stream,
                    cause: cause_of(some[0].reason),
                    segments: some.iter().map(segment).collect(),
                }));
            }
        }
        let gone = |entry: &Entry| deletions.iter().any(|d| d.entry.segment == entry.segment);
        self.closed.retain(|entry| !gone(entry));
        if !self.is_starting() && self.now_us() >= self.retry_at_us {
            self.flush();
        }
    }

    /// Whether deletions are to wait: until the log is open, a hold in it may not be known.
    pub fn is_starting(&self) -> bool {
        match self.stage {
            Stage::Unopened => self.retry_at_us == 0,
            Stage::Replaying(_) => true,
            _ => false,
        }
    }

    fn now_us(&self) -> u64 {
        self.shared.clock.monotonic_us()
    }

    fn retry_us(&self) -> u64 {
        self.now_us().saturating_add(LOG_RETRY_MS * 1_000)
    }

    fn has_something(&self) -> bool {
        !self.closed.is_empty() || !self.shared.log.lock().queue.is_empty()
    }

    fn is_due(&self, now_us: u64) -> bool {
        self.due_us() <= now_us
    }

    fn due_us(&self) -> u64 {
        let due_us = match self.shared.log.lock().queue.is_empty() {
            false => 0,
            true => self.batch_at_us.unwrap_or(u64::MAX),
        };
        due_us.max(self.retry_at_us)
    }

    /// Goes on with what a start has to do; false when there is nothing of it to do now.
    fn go_on_starting(&mut self, is_settled: bool) -> bool {
        match std::mem::replace(&mut self.stage, Stage::Unopened) {
            Stage::Unopened => return self.now_us() >= self.retry_at_us && self.open(),
            Stage::Replaying(replay) => self.stage = self.replay(replay),
            Stage::Walking(walk) => match is_settled {
                true => self.stage = self.walk(walk),
                false => {
                    self.stage = Stage::Walking(walk);
                    return false;
                }
            },
            Stage::Searching(search) => self.stage = self.search(search),
            Stage::Ready if self.walk_again && self.closed.is_empty() => {
                self.walk_again = false;
                self.stage = Stage::Walking(self.new_walk());
            }
            Stage::Ready => {
                self.stage = Stage::Ready;
                return false;
            }
        }
        true
    }

    /// Finds out which log to go on with, or begins one. False when it has to be tried again later.
    fn open(&mut self) -> bool {
        let disks = self.shared.log_disks();
        let Found {
            chain,
            troubles,
            course,
        } = start::look(&disks, &self.shared.store, &*self.shared.keys, &self.file);
        let goes_on = match &course {
            Course::GoOn { own, .. } => Some(own.key.log()),
            Course::Begin { .. } => None,
        };
        let before = chain.logs.iter().map(|log| &log.files);
        let before = before.filter(|files| Some(files.checkpoint.log) != goes_on);
        let published = before.clone().map(|files| Published {
            key: files.key.to_text(),
            note: files.note.clone(),
        });
        let published = published.collect();
        self.older = before.map(|files| files.checkpoint.log).collect();
        for trouble in &troubles {
            tracing::error!("{trouble}");
        }
        {
            let mut inner = self.shared.log.lock();
            inner.trouble.found = troubles;
            inner.published = published;
        }
        self.seats = Seats::default();
        self.seats.renew(disks, &self.older);
        let is_open = match course {
            Course::GoOn { own, end, leader } => {
                self.seats.lead(leader);
                self.ours = Some(Ours { own, end });
                self.publish();
                true
            }
            Course::Begin { cause, previous } => self.begin(cause, previous),
        };
        if is_open {
            self.stage = Stage::Replaying(Box::new(Replay::new(chain.logs)));
        }
        is_open
    }

    /// Begins a log; false when that failed.
    fn begin(&mut self, cause: BeginCause, previous: String) -> bool {
        let store = self.shared.store;
        let own = self.fresh.take().unwrap_or_else(|| Own::generate(store));
        let record = Record::Begun {
            store,
            key: own.key.key,
            cause,
            previous,
        };
        let retry_us = self.retry_us();
        self.seats.begin(&own.key, retry_us);
        let end = End::default();
        self.ours = Some(Ours { own, end });
        match self.write(&[self.stamped(record)]) {
            Ok(()) => {
                tracing::info!(cause = cause.as_str(), "a new log begins");
                true
            }
            Err(what) => {
                self.fresh = self.ours.take().map(|ours| ours.own);
                self.failed(&what);
                false
            }
        }
    }

    /// Begins another log while one is being written: that one cannot be gone on with.
    fn begin_anew(&mut self, cause: BeginCause, sentence: String) {
        tracing::error!("{sentence}");
        self.shared.log.lock().trouble.found.push(sentence);
        if let Some(ours) = self.ours.take() {
            self.older.push(ours.own.key.log());
            self.begin(cause, ours.own.note);
        }
    }

    fn replay(&self, mut replay: Box<Replay>) -> Stage {
        let log = &self.shared.log;
        if replay.step(&self.shared.keys, &mut |record| {
            log.lock().replayed.apply(record)
        }) {
            return Stage::Replaying(replay);
        }
        let mut inner = log.lock();
        if replay.unread > 0 {
            let count = replay.unread;
            let sentence =
                format!("{count} entries of the log cannot be read; `hearthkeep check` says more");
            tracing::error!("{sentence}");
            inner.trouble.found.push(sentence);
        }
        let queued: Vec<_> = inner.queue.iter().map(|s| s.record.clone()).collect();
        queued
            .iter()
            .for_each(|record| inner.replayed.apply(record));
        inner.is_replayed = true;
        drop(inner);
        Stage::Walking(self.new_walk())
    }

    fn new_walk(&self) -> Walk {
        let inner = self.shared.log.lock();
        let logged = inner.replayed.live.keys().copied();
        Walk::new(
            self.shared
                .catalog
                .streams()
                .into_iter()
                .chain(logged)
                .collect(),
        )
    }

    fn walk(&mut self, mut walk: Walk) -> Stage {
        let live = |stream: &_| {
            let inner = self.shared.log.lock();
            inner.replayed.live.get(stream).cloned().unwrap_or_default()
        };
        match walk.step(&self.shared.catalog, live) {
            walk::Step::Unlogged(entries) => {
                if !entries.is_empty() {
                    self.closed(&entries);
                    self.flush();
                }
                Stage::Walking(walk)
            }
            walk::Step::Over(missing) if missing.is_empty() => Stage::Ready,
            walk::Step::Over(missing) => {
                let disks: Vec<_> = self.disks().into_iter().map(|(_, disk)| disk).collect();
                let keys = Arc::clone(&self.shared.keys);
                let chain = find(&disks, &self.shared.store, &*keys);
                Stage::Searching(Box::new(Search::new(missing, chain.logs, keys)))
            }
        }
    }

    fn search(&self, mut search: Box<Search>) -> Stage {
        if !search.step() {
            return Stage::Searching(search);
        }
        let removed = search.removed(&self.disks());
        let count: usize = removed.values().map(Vec::len).sum();
        if count > 0 {
            tracing::error!(
                "{count} segments that the log has are on no disk, and were not deleted by this recorder: somebody removed them. \
                 `hearthkeep check` names them"
            );
        }
        self.shared.log.lock().removed = removed;
        Stage::Ready
    }

    fn disks(&self) -> Vec<(DiskId, Arc<dyn Disk>)> {
        let disks = self.shared.log_disks().into_iter();
        disks.map(|disk| (disk.id, disk.disk)).collect()
    }

    /// Brings disks that lack something nearer to having all. Returns when that is to be gone on with.
    fn step_seats(&mut self, now_us: u64) -> u64 {
        let retry_us = self.retry_us();
        let Some(ours) = &self.ours else {
            self.begin_again();
            return self.retry_at_us;
        };
        let current = Current {
            key: ours.own.key,
            note: &ours.own.note,
            end: &ours.end,
        };
        match self
            .seats
            .step(&self.shared.store, &current, now_us, retry_us)
        {
            seats::Step::More => now_us,
            seats::Step::Idle(until_us) => until_us,
            seats::Step::Forked(disk) => {
                let disk = disk.display();
                self.begin_anew(
                    BeginCause::StateRestored,
                    format!(
                        "the disk {disk} has another log that is signed with the same key: this state folder came back from a backup, or the disk \
                         did. A new log begins"
                    ),
                );
                now_us
            }
            seats::Step::Lost => {
                self.begin_anew(
                    BeginCause::RolledBack,
                    "no disk that is here has all of the log that was published: an older copy of a disk was put back, or a disk is missing. A \
                     new log begins"
                        .to_owned(),
                );
                now_us
            }
        }
    }

    /// Where a log could not even be begun, that is tried again.
    fn begin_again(&mut self) {
        if self.now_us() >= self.retry_at_us {
            self.stage = Stage::Unopened;
        }
    }

    /// Writes what there is, a batch of it; whether it could.
    fn flush(&mut self) -> bool {
        let queued = self.shared.log.lock().queue.clone();
        let some = self.closed.len().min(LOG_BATCH_SEGMENTS);
        let mut records = queued.clone();
        let batch = self.closed[..some].to_vec();
        records.extend(batch.iter().filter_map(|entry| self.closed_record(entry)));
        if !records.is_empty()
            && let Err(what) = self.write(&records)
        {
            self.failed(&what);
            return false;
        }
        self.closed.drain(..some);
        let now_us = self.now_us();
        // What is left of a large batch goes at once.
        self.batch_at_us = (!self.closed.is_empty()).then_some(now_us);
        let mut inner = self.shared.log.lock();
        inner.queue.drain(..queued.len());
        inner.published_records += queued.len() as u64;
        for record in &records[queued.len()..] {
            inner.replayed.apply(&record.record);
        }
        inner.trouble.writing = None;
        true
    }

    fn failed(&mut self, what: &str) {
        let sentence = format!(
            "the log cannot be written: {what}. Recording goes on; what happens meanwhile is written when it can be"
        );
        let mut inner = self.shared.log.lock();
        if inner.trouble.writing.as_ref() != Some(&sentence) {
            tracing::error!("{sentence}");
        }
        inner.trouble.writing = Some(sentence);
        drop(inner);
        self.retry_at_us = self.retry_us();
    }

    /// Writes records to all disks that have the log, signs, remembers and publishes. `Err` says why none of it counts.
    fn write(&mut self, records: &[Stamped]) -> Result<(), String> {
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
                &mut OsRandom,
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
        if let Err(error) = self.file.write(&ours.own) {
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
    fn publish(&self) {
        let Some(Ours { own, .. }) = &self.ours else {
            return;
        };
        let now = Published {
            key: own.key.to_text(),
            note: own.note.clone(),
        };
        let published = &mut self.shared.log.lock().published;
        match published.last_mut().filter(|last| last.key == now.key) {
            Some(last) => *last = now,
            None => published.push(now),
        }
    }

    fn stamped(&self, record: Record) -> Stamped {
        Stamped {
            wall_us: self.shared.clock.wall_us(),
            clock_trusted: self.shared.clock.trusted(),
            record,
        }
    }

    /// What the log says of a segment, from both ends of its file. Nothing where it is not whole or not there any more.
    fn closed_record(&self, entry: &Entry) -> Option<Stamped> {
        let disk = self.shared.disk(entry.disk)?;
        let place = Place {
            stream: entry.stream,
            epoch: entry.epoch,
            segment: entry.segment,
        };
        let path = layout::segment_path(&place.stream, &place.epoch, &place.segment);
        let file = disk.disk.open_read(&path).and_then(Front::whole).ok()?;
        let inspected = inspect(&file, &place, &self.shared.store, &*self.shared.keys);
        let Inspected::Whole(facts) = inspected else {
            return None;
        };
        Some(self.stamped(Record::SegmentClosed(SegmentClosed {
            stream: entry.stream,
            epoch: entry.epoch,
            segment: entry.segment,
            disk: disk.id,
            kind: facts.header.kind,
            root: facts.end.root,
            sequence: facts.start.sequence,
            start_us: facts.start.wall_us,
            duration_us: facts.end.duration_us,
            bytes: facts.bytes,
            recovered: facts.recovered,
            clock_trusted: facts.start.clock_trusted,
        })))
    }
}

impl Replay {
    fn new(logs: Vec<FoundLog>) -> Self {
        Self {
            logs: logs.into_iter(),
            at: None,
            unread: 0,
        }
    }

    /// Reads a piece; false at the end.
    fn step(&mut self, keys: &SharedKeys, apply: &mut dyn FnMut(&Record)) -> bool {
        let Some((log, mut reader)) = self.at.take() else {
            let next = self.logs.next();
            self.at = next.map(|log| (log, Reader::new(Arc::clone(keys))));
            return self.at.is_some();
        };
        match reader.next(&log.files) {
            Ok(read) if read.is_empty() => {}
            Ok(read) => {
                for (_, stamped) in &read {
                    match stamped {
                        Ok(stamped) => apply(&stamped.record),
                        Err(_) => self.unread += 1,
                    }
                }
                self.at = Some((log, reader));
            }
            Err(flaw) => {
                tracing::error!(log = %log.files.checkpoint.log, "the log cannot be read on: {flaw}");
                self.unread += 1;
            }
        }
        true
    }
}

fn cause_of(reason: Reason) -> DeletionCause {
    match reason {
        Reason::Begun => DeletionCause::Begun,
        Reason::Age => DeletionCause::Age,
        Reason::CameraBytes => DeletionCause::CameraBytes,
        Reason::DiskBytes => DeletionCause::DiskBytes,
        Reason::FreeSpace => DeletionCause::FreeSpace,
    }
}
