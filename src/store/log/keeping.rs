//! The work of keeping the log, done in the keeper's turns.

mod joining;
mod starting;
mod summing;
mod untold;
mod writing;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hearthkeep_format::log::{BeginCause, Deleted, DeletedSegment, Record};
use hearthkeep_format::{LogId, SegmentId};

use super::files::End;
use super::own::{Own, OwnFile};
use super::remembered::RememberedFile;
use super::seats::{self, Current, Seats};
use super::summary::{SummaryFile, Summed};
use super::unlogged::Unlogged;
use super::walk::{Search, Walk};
use super::{DELETED_AT_ONCE, LogSettings, WaitingAudits};
use crate::limits::{
    LOG_BATCH_MS_MAX, LOG_QUEUE_RECORDS_MAX, LOG_RETRY_MS, LOG_UNREAD_MS_MAX, WATCH_PERIOD_MS,
};
use crate::state_file::StateKey;
use crate::store::Shared;
use crate::store::catalog::Entry;
use crate::store::retention::Deletion;
use joining::Joining;
use starting::Replay;
use untold::Untold;
use writing::cause_of;

/// Steps that are made towards disks that lack something when the recorder ends.
const LAST_STEPS: usize = 16;

/// What keeps the log.
pub(in crate::store) struct Keeping {
    shared: Arc<Shared>,
    generation: u32,
    /// What seals the files of the state folder.
    state_key: StateKey,
    file: OwnFile,
    stage: Stage,
    ours: Option<Ours>,
    /// A key that has signed nothing yet, since a log could not be begun.
    fresh: Option<Own>,
    seats: Seats,
    /// Logs before ours, which every disk is to carry too.
    older: Vec<LogId>,
    /// What those take on a disk.
    older_bytes: u64,
    /// Segments that the catalog has and the log is still to get.
    closed: Vec<Entry>,
    batch_at_us: Option<u64>,
    /// Those among them whose disks did not answer when their entries were to be made, and when these are asked again.
    silent: HashMap<SegmentId, Entry>,
    ask_at_us: u64,
    /// Whether there was no room for all of those: the catalog is walked once they have their entries.
    is_silent_cut: bool,
    /// Where deletions stand that could not be written.
    unlogged: Unlogged,
    untold: Untold,
    /// What people did while no log was open.
    audits: WaitingAudits,
    /// Not before this is the log written again after a failure.
    retry_at_us: u64,
    /// Where something was left out for want of room, or could not be looked at: the catalog is walked once more.
    walk_again: bool,
    /// Something is missing, and it could not be said yet that somebody removed it.
    accuses_later: bool,
    /// Where holds are remembered besides the log.
    remembered: RememberedFile,
    /// How often the log could not be read since the start, and since when, by monotonic time in us.
    tries: u32,
    unread_since_us: u64,
    joining: Joining,
    /// Whether some of the log could not be read.
    is_doubtful: bool,
    /// The logs that were read to their end, as they were then.
    read: Vec<Summed>,
    summary: SummaryFile,
    /// How many entries the last summary is of; `None` where there is to be none before the next start.
    summed: Option<u64>,
    /// Whether the state folder is known to remember all holds that the logs have.
    is_sure: bool,
    begun_at_us: u64,
}

/// What may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum May {
    /// All that is not kept.
    All,
    /// What a disk needs to be recorded on within its budget: some of the log could not be read.
    Room,
    /// What a disk needs to be recorded on, whatever its budget is: the state folder says what is held, and as much of the log as is read.
    Reserve,
    /// Nothing: what is held is not known.
    Nothing,
}

/// How far the catalog knows all footage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Known {
    /// Some is still to be compared with it.
    Little,
    /// The same, on disks that have not answered for long: nobody waits for them any more.
    Enough,
    /// All that is on disks which are there.
    All,
}

/// How far a start has come.
enum Stage {
    Unopened,
    Replaying(Box<Replay>),
    Walking(Walk),
    Searching(Box<Search>),
    Ready,
}

/// The log that is written to.
struct Ours {
    own: Own,
    end: End,
}

impl Keeping {
    pub fn new(shared: Arc<Shared>, settings: LogSettings, state_dir: &std::path::Path) -> Self {
        let unlogged = Unlogged::new(state_dir, settings.state_key.clone());
        match unlogged.read() {
            Ok(deleted) => deleted.into_iter().for_each(|deleted| {
                shared.log.append(Record::Deleted(deleted));
            }),
            Err(what) => tracing::error!(
                "log.deleted.sealed in the state folder cannot be used ({what}): of some footage that was deleted the log does not say so"
            ),
        }
        let audits = WaitingAudits::new(state_dir, settings.state_key.clone());
        match audits.read() {
            Ok(waiting) => waiting.into_iter().for_each(|stamped| {
                shared.log.append_stamped(stamped);
            }),
            Err(what) => tracing::error!(
                "log.audits.sealed in the state folder cannot be used ({what}): of what people did while no recorder ran the log does not say all"
            ),
        }
        let remembered = RememberedFile::new(state_dir, settings.state_key.clone());
        let known = remembered.read().unwrap_or_else(|error| {
            tracing::error!("log.holds.sealed in the state folder cannot be used ({error}): what is held is what the log says");
            None
        });
        let mut inner = shared.log.lock();
        inner.unheard = known
            .as_ref()
            .map_or_else(BTreeSet::new, |known| known.unheard.clone());
        inner.remembered = known;
        drop(inner);
        Self {
            begun_at_us: shared.clock.monotonic_us(),
            shared,
            remembered,
            tries: 0,
            unread_since_us: 0,
            joining: Joining::default(),
            is_doubtful: false,
            read: Vec::new(),
            summary: SummaryFile::new(state_dir, settings.state_key.clone()),
            summed: None,
            is_sure: false,
            generation: settings.generation,
            file: OwnFile::new(state_dir, settings.state_key.clone()),
            state_key: settings.state_key,
            unlogged,
            untold: Untold::default(),
            audits,
            stage: Stage::Unopened,
            ours: None,
            fresh: None,
            seats: Seats::default(),
            older: Vec::new(),
            older_bytes: 0,
            closed: Vec::new(),
            batch_at_us: None,
            silent: HashMap::new(),
            ask_at_us: 0,
            is_silent_cut: false,
            retry_at_us: 0,
            walk_again: false,
            accuses_later: false,
        }
    }

    /// Does what is due, and says when the next turn is, by monotonic time in us.
    pub fn turn(&mut self, known: Known) -> u64 {
        let now_us = self.now_us();
        self.seats.renew(self.shared.log_disks(), &self.older);
        self.hear_disks();
        if self.go_on_starting(known) {
            return now_us;
        }
        if matches!(self.stage, Stage::Unopened) {
            return self.retry_at_us;
        }
        if now_us >= self.retry_at_us
            && let Err(what) = self.keep_holds()
        {
            self.failed(&what);
        }
        let join_us = self.join(now_us);
        let seats_us = self.step_seats(now_us);
        if now_us >= self.ask_at_us {
            self.ask_again();
        }
        if self.is_due(now_us) {
            self.flush();
        }
        self.sum_up();
        self.shared.log.lock().whole = self.seats.whole();
        seats_us.min(join_us).min(self.due_us())
    }

    /// Writes all that there is: the recorder ends.
    pub fn finish(&mut self) {
        while matches!(self.stage, Stage::Unopened | Stage::Replaying(_))
            && self.go_on_starting(Known::Little)
        {}
        self.retry_at_us = 0;
        if matches!(self.stage, Stage::Unopened) {
            return;
        }
        self.ask_again();
        while self.has_something() && self.flush() {}
        // A disk that lacks little gets it; one that lacks much gets it after the next start.
        for _ in 0..LAST_STEPS {
            if self.step_seats(self.now_us()) > self.now_us() {
                break;
            }
        }
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

    /// Keeps segments whose disks did not answer, until they do.
    fn wait_for(&mut self, silent: Vec<Entry>) {
        for entry in silent {
            let has_room = self.silent.len() < LOG_QUEUE_RECORDS_MAX;
            self.is_silent_cut |= !has_room;
            if has_room {
                self.silent.insert(entry.segment, entry);
            }
        }
    }

    /// What waits for a disk that answers by now gets its entry with the next batch. What is on one that has gone is found when that
    /// comes back.
    fn ask_again(&mut self) {
        self.ask_at_us = self.now_us().saturating_add(WATCH_PERIOD_MS * 1_000);
        let slots = &self.shared.slots;
        let hangs = |entry: &Entry| slots.disk(entry.disk).is_some_and(|disk| disk.hangs());
        let answered = self.silent.extract_if(|_, entry| !hangs(entry));
        let answered: Vec<_> = answered.map(|(_, entry)| entry).collect();
        if answered.is_empty() {
            return;
        }
        self.closed(&answered);
        self.walk_again |= std::mem::take(&mut self.is_silent_cut);
    }

    /// To be told when disks are looked at that could not be at the start: what is there and not in the log gets its entries.
    pub fn walk_again(&mut self) {
        self.walk_again = true;
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
        self.silent.retain(|_, entry| !gone(entry));
        let is_due = !self.is_starting() && self.now_us() >= self.retry_at_us;
        if !(is_due && self.flush()) {
            self.keep_unlogged();
        }
    }

    /// What may be deleted: until the log is read, a hold in it may not be known. However long that takes, a full disk does not wait for
    /// it where the state folder knows the holds; and not for ever where it may lack some.
    pub fn may_delete(&self) -> May {
        let inner = self.shared.log.lock();
        let by_us = self.begun_at_us.saturating_add(LOG_UNREAD_MS_MAX * 1_000);
        let is_time = self.is_sure || self.tries > 0 || self.now_us() >= by_us;
        let is_limited = self.joining.is_blind || !inner.unheard.is_empty();
        match () {
            () if inner.is_replayed && is_limited => May::Room,
            () if inner.is_replayed => May::All,
            () if is_time && inner.remembered.is_some() => May::Reserve,
            () => May::Nothing,
        }
    }

    /// Whether what the catalog does not have is on no disk: each that is there answers and was compared, and none that is away may have
    /// what nobody here has heard of. Nor is there one whose log could not be read: an older log may say there that it was deleted.
    fn may_accuse(&self, known: Known) -> bool {
        let slots = &self.shared.slots;
        let is_silent = || slots.mounted().iter().any(|disk| disk.keeps_waiting());
        let may_not = self.shared.may_not_know_all.load(Ordering::Relaxed);
        let knows_all = slots.is_whole() || !may_not;
        let is_read = self.joining.disks.is_empty() || self.older.is_empty();
        known == Known::All && knows_all && is_read && !is_silent() && self.has_heard_all()
    }

    fn is_starting(&self) -> bool {
        !self.shared.log.is_replayed()
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
            // One that keeps others waiting may have it.
            seats::Step::Lost
                if self.shared.log_disks().len() < self.shared.slots.mounted().len() =>
            {
                self.retry_us()
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
}
