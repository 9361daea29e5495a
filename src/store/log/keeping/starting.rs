//! What a start has to do: find the log to go on with, replay what the logs say, and compare it with the footage.

use std::collections::BTreeSet;
use std::sync::Arc;

use hearthkeep_format::DiskId;
use hearthkeep_format::log::{BeginCause, Hold, Record, Stamped};

use super::super::chain::find;
use super::super::files::{End, LogFiles};
use super::super::own::Own;
use super::super::replayed::Replayed;
use super::super::seats::Seats;
use super::super::source::{self, Source};
use super::super::start::{self, Course, Found, Sight};
use super::super::summary::Summed;
use super::super::walk::{self, Missing, Search, Walk};
use super::joining::{Joining, before};
use super::summing::entries;
use super::{Keeping, Known, Ours, Stage};
use crate::disk::Disk;
use crate::limits::LOG_GIVEN_UP_MS;
use crate::store::catalog::Entry;
use crate::store::inspect::Keys;

/// Tries to read what a disk fails to read.
const TRIES_MAX: u32 = 6;

/// The reading of all logs, piece by piece.
pub(super) struct Replay {
    sources: std::vec::IntoIter<Source>,
    at: Option<Source>,
    unread: u64,
    /// Logs that were read to their end.
    read: Vec<Summed>,
    /// Where what a disk fails to read is passed over: until when, by monotonic time in us, entry by entry.
    gives_up: Option<u64>,
    /// The disks of which something was passed over.
    failing: BTreeSet<DiskId>,
    /// The disks whose logs are among these.
    looked: BTreeSet<DiskId>,
    /// Whether the state folder remembers the holds.
    is_remembered: bool,
}

impl Keeping {
    /// Goes on with what a start has to do; false when there is nothing of it to do now.
    pub(super) fn go_on_starting(&mut self, known: Known) -> bool {
        match std::mem::replace(&mut self.stage, Stage::Unopened) {
            Stage::Unopened if self.now_us() < self.retry_at_us => return false,
            Stage::Unopened => self.open(),
            Stage::Replaying(replay) => match self.replay(replay) {
                Ok(stage) => {
                    self.stage = stage;
                    if matches!(self.stage, Stage::Unopened) {
                        return false;
                    }
                }
                Err(what) => {
                    self.unreadable(&what);
                    return false;
                }
            },
            Stage::Walking(walk) if known == Known::Little => {
                self.stage = Stage::Walking(walk);
                return false;
            }
            Stage::Walking(walk) => self.stage = self.walk(walk, known),
            Stage::Searching(search) => self.stage = self.search(search, known),
            Stage::Ready if self.is_to_walk(known) && self.closed.is_empty() => {
                (self.walk_again, self.accuses_later) = (false, false);
                self.stage = Stage::Walking(self.new_walk());
            }
            Stage::Ready => {
                self.stage = Stage::Ready;
                return false;
            }
        }
        true
    }

    /// Finds out which log to go on with, or begins one.
    fn open(&mut self) {
        let disks = self.shared.log_disks();
        let mounted = self.shared.slots.mounted();
        let is_silent = |id: &DiskId| disks.iter().all(|disk| disk.id != *id);
        let silent: Vec<_> = mounted
            .iter()
            .map(|disk| disk.id)
            .filter(is_silent)
            .collect();
        let (store, keys) = (&self.shared.store, &*self.shared.keys);
        let gives_up = self.gives_up();
        let sight = Sight {
            disks: &disks,
            silent: &silent,
            gives_up,
        };
        let Found {
            chain,
            mut sources,
            troubles,
            course,
            unread,
            lost,
        } = match start::look(&sight, store, keys, &self.file) {
            Ok(found) => found,
            Err(what) => return self.unreadable(&what),
        };
        let goes_on = match &course {
            Course::GoOn { own, .. } => Some(own.key.log()),
            Course::Later { .. } | Course::Begin { .. } => None,
        };
        let (older, mut published) = before(&chain, goes_on);
        self.older = older;
        let before = chain.logs.iter().map(|log| &log.files);
        let before = before.filter(|files| Some(files.key.log()) != goes_on);
        self.older_bytes = before.map(LogFiles::on_disk_bytes).sum();
        published.extend(lost);
        let summary = self.summary();
        let summary = summary.filter(|of| source::go_on(&mut sources, &of.logs));
        self.summed = Some(summary.as_ref().map_or(0, |of| entries(&of.logs)));
        let looked = disks.iter().map(|disk| disk.id);
        let mut replay = Replay {
            looked: looked.filter(|disk| !unread.disks.contains(disk)).collect(),
            ..Replay::of(sources)
        };
        let until_us = self.now_us().saturating_add(LOG_GIVEN_UP_MS * 1_000);
        replay.gives_up = gives_up.then_some(until_us);
        self.joining = Joining::of(unread, matches!(course, Course::Begin { .. }));
        {
            let mut inner = self.shared.log.lock();
            self.is_sure = match (&course, &inner.remembered) {
                (Course::GoOn { own, .. } | Course::Later { own, .. }, Some(known)) => {
                    known.is_all_of(&chain, own)
                }
                _ => false,
            };
            inner.trouble.found = troubles;
            inner.published = published;
            replay.is_remembered = inner.remembered.is_some();
            if !replay.is_remembered && self.joining.is_blind {
                inner.unheard.extend(&self.joining.disks);
            }
            self.joining.disks.extend(&inner.unheard);
            let holds = inner.remembered.as_ref().map(|known| known.holds.clone());
            let read = summary.map_or_else(Replayed::default, |of| of.replayed);
            inner.replayed = read.and_doubting(holds.unwrap_or_default());
            inner.holds_version += 1;
            inner.is_replayed = false;
        }
        self.seats = Seats::default();
        self.seats.renew(disks, &self.older);
        match course {
            Course::GoOn { own, end, leader } => {
                self.seats.lead(leader);
                self.ours = Some(Ours { own, end });
                self.publish();
            }
            Course::Later { why, .. } => self.failed(&why),
            Course::Begin { cause, previous } => self.begin(cause, previous),
        }
        // Also where none could be begun: what is held must be known before anything is deleted.
        self.stage = Stage::Replaying(Box::new(replay));
    }

    /// Whether what cannot be read has been waited for long enough.
    fn gives_up(&self) -> bool {
        let by_us = self.unread_since_us.saturating_add(LOG_GIVEN_UP_MS * 1_000);
        self.tries >= TRIES_MAX || self.tries > 1 && self.now_us() >= by_us
    }

    /// Tries to read the log again later. What is held may not be known until then.
    fn unreadable(&mut self, what: &str) {
        if self.tries == 0 {
            self.unread_since_us = self.now_us();
        }
        self.tries = self.tries.saturating_add(1);
        self.told(format!(
            "the log cannot be read: {what}. Recording goes on; for the next minutes, or until it can be read, nothing is deleted but what a \
             full disk needs"
        ));
    }

    /// Begins a log, or leaves that for later.
    fn begin(&mut self, cause: BeginCause, previous: String) {
        let store = self.shared.store;
        let own = self
            .fresh
            .take()
            .unwrap_or_else(|| Own::generate(store, &mut self.shared.random.clone()));
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
            Ok(()) => tracing::info!(cause = cause.as_str(), "a new log begins"),
            Err(what) => {
                self.fresh = self.ours.take().map(|ours| ours.own);
                self.failed(&what);
            }
        }
    }

    /// Begins another log while one is being written: that one cannot be gone on with.
    pub(super) fn begin_anew(&mut self, cause: BeginCause, sentence: String) {
        tracing::error!("{sentence}");
        self.shared.log.lock().trouble.found.push(sentence);
        // Of the one before, more is known here than was read.
        self.summed = None;
        if let Some(ours) = self.ours.take() {
            self.older.push(ours.own.key.log());
            self.older_bytes += ours.end.on_disk_bytes();
            self.begin(cause, ours.own.note);
        }
    }

    /// Reads on. `Err` says which disk failed.
    fn replay(&mut self, mut replay: Box<Replay>) -> Result<Stage, String> {
        let (log, now_us) = (&self.shared.log, self.now_us());
        if replay.step(&*self.shared.keys, now_us, &mut |stamped| log.read(stamped))? {
            return Ok(Stage::Replaying(replay));
        }
        let mut inner = log.lock();
        let (looked, failing) = (&replay.looked, &replay.failing);
        inner
            .unheard
            .retain(|disk| !looked.contains(disk) || failing.contains(disk));
        if !replay.is_remembered {
            inner.unheard.extend(failing);
        }
        let joining = &mut self.joining;
        joining.disks.retain(|disk| !looked.contains(disk));
        joining.disks.extend(failing);
        self.is_doubtful = replay.unread > 0;
        self.read = match self.is_doubtful {
            true => Vec::new(),
            false => std::mem::take(&mut replay.read),
        };
        if replay.unread > 0 {
            let count = replay.unread;
            let sentence =
                format!("{count} entries of the log cannot be read; `hearthkeep check` says more");
            tracing::error!("{sentence}");
            inner.trouble.found.push(sentence);
        }
        let (boot, remembered) = (self.shared.clock.boot_id(), inner.remembered.clone());
        let moves = remembered.unwrap_or_default().moves;
        let lacking = inner.replayed.recall(moves, boot);
        let queued = inner.queue.clone();
        queued
            .iter()
            .for_each(|stamped| inner.replayed.apply(stamped));
        let holds = &inner.replayed.holds;
        let is_lacking = |hold: &Hold| {
            let record = Record::Hold(hold.clone());
            holds.contains_key(&hold.id) && queued.iter().all(|queued| queued.record != record)
        };
        let lacking: Vec<_> = lacking.into_iter().filter(is_lacking).collect();
        inner.is_replayed = true;
        inner.holds_version += 1;
        drop(inner);
        self.tries = 0;
        self.tell_unheard();
        for hold in lacking {
            tracing::warn!(id = %hold.id, "a hold is in the state folder and not in the log that is here: the log gets it again");
            log.append(Record::Hold(hold));
        }
        // Also where no log can be gone on with: the next try forgets again what is read here.
        if let Err(what) = self.keep_holds() {
            self.failed(&what);
        }
        Ok(match self.ours {
            Some(_) => Stage::Walking(self.new_walk()),
            None => Stage::Unopened,
        })
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

    fn is_to_walk(&self, known: Known) -> bool {
        self.walk_again || (self.accuses_later && self.may_accuse(known))
    }

    fn walk(&mut self, mut walk: Walk, known: Known) -> Stage {
        let live = |stream: &_| {
            let inner = self.shared.log.lock();
            inner.replayed.live.get(stream).cloned().unwrap_or_default()
        };
        let catalog = &self.shared.catalog;
        let lies = |entry: &Entry| {
            let disk = catalog.disk(entry.disk);
            disk.is_some_and(|disk| self.shared.log.lies_on(entry, &disk))
        };
        match walk.step(catalog, live, lies) {
            walk::Step::Unlogged(entries) => {
                if !entries.is_empty() {
                    self.closed(&entries);
                    self.flush();
                }
                Stage::Walking(walk)
            }
            walk::Step::Over(missing) => {
                self.shared.log.is_back(&missing);
                self.look_for(missing, known)
            }
        }
    }

    fn look_for(&mut self, missing: Missing, known: Known) -> Stage {
        // What could not be read may say that it was deleted.
        if missing.is_empty() || self.is_doubtful {
            return Stage::Ready;
        }
        if !self.may_accuse(known) {
            self.accuses_later = true;
            return Stage::Ready;
        }
        let disks = self.shared.log_disks();
        let raw: Vec<_> = disks.iter().map(|disk| Arc::clone(&disk.disk)).collect();
        let keys = Arc::clone(&self.shared.keys);
        let chain = find(&raw, &self.shared.store, &*keys);
        let ours = self.ours.as_ref();
        let ours = ours.map(|Ours { own, .. }| (own.key, own.note.clone(), true));
        let sources = source::all(&disks, &chain, ours);
        Stage::Searching(Box::new(Search::new(missing, sources, keys)))
    }

    fn search(&mut self, mut search: Box<Search>, known: Known) -> Stage {
        if !search.step() {
            return Stage::Searching(search);
        }
        if !self.may_accuse(known) {
            self.accuses_later = true;
            return Stage::Ready;
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
}

impl Replay {
    /// The reading of these, which does not give up.
    pub(super) fn of(sources: Vec<Source>) -> Self {
        Self {
            sources: sources.into_iter(),
            at: None,
            unread: 0,
            read: Vec::new(),
            gives_up: None,
            failing: BTreeSet::new(),
            looked: BTreeSet::new(),
            is_remembered: false,
        }
    }

    /// Reads a piece; false at the end. `Err` says why that is to be tried again.
    pub(super) fn step(
        &mut self,
        keys: &Keys,
        now_us: u64,
        apply: &mut dyn FnMut(&Stamped),
    ) -> Result<bool, String> {
        let Some(mut source) = self.at.take() else {
            self.at = self.sources.next();
            return Ok(self.at.is_some());
        };
        let piece = match (source.next(keys), self.gives_up) {
            (Err(error), Some(until_us)) => {
                tracing::error!(log = %source.log(), "an entry of the log cannot be read: {error}");
                self.failing.extend(source.failing());
                match now_us < until_us {
                    true => source.pass_over(),
                    false => source.end(),
                }
            }
            (read, _) => read.map_err(|error| error.to_string())?,
        };
        if piece.is_empty() {
            self.read.push(source.summed());
            return Ok(true);
        }
        for stamped in piece {
            match stamped {
                Some(stamped) => apply(&stamped),
                None => self.unread += 1,
            }
        }
        self.at = Some(source);
        Ok(true)
    }
}
