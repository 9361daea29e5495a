//! What a start has to do: find the log to go on with, replay what the logs say, and compare it with the footage.

use std::sync::Arc;

use hearthkeep_format::DiskId;
use hearthkeep_format::log::{BeginCause, Record, Stamped};

use super::super::Published;
use super::super::chain::{FoundLog, Reader, find};
use super::super::files::End;
use super::super::own::Own;
use super::super::replayed::Replayed;
use super::super::seats::Seats;
use super::super::start::{self, Course, Found};
use super::super::walk::{self, Search, Walk};
use super::{Keeping, Ours, Stage};
use crate::disk::Disk;
use crate::store::SharedKeys;

/// The reading of all logs, piece by piece.
pub(super) struct Replay {
    logs: std::vec::IntoIter<FoundLog>,
    at: Option<(FoundLog, Reader)>,
    unread: u64,
}

impl Keeping {
    /// Goes on with what a start has to do; false when there is nothing of it to do now.
    pub(super) fn go_on_starting(&mut self, is_settled: bool) -> bool {
        match std::mem::replace(&mut self.stage, Stage::Unopened) {
            Stage::Unopened if self.now_us() < self.retry_at_us => return false,
            Stage::Unopened => self.open(),
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

    /// Finds out which log to go on with, or begins one.
    fn open(&mut self) {
        let disks = self.shared.log_disks();
        let Found {
            chain,
            whole,
            troubles,
            course,
        } = start::look(&disks, &self.shared.store, &*self.shared.keys, &self.file);
        let goes_on = match &course {
            Course::GoOn { own, .. } => Some(own.key.log()),
            Course::Later(_) | Course::Begin { .. } => None,
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
            inner.replayed = Replayed::default();
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
            Course::Later(what) => self.failed(&what),
            Course::Begin { cause, previous } => self.begin(cause, previous),
        }
        // Also where none could be begun: what is held must be known before anything is deleted.
        let logs = chain.logs_with(whole);
        self.stage = Stage::Replaying(Box::new(Replay::new(logs)));
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
        if let Some(ours) = self.ours.take() {
            self.older.push(ours.own.key.log());
            self.begin(cause, ours.own.note);
        }
    }

    fn replay(&self, mut replay: Box<Replay>) -> Stage {
        let log = &self.shared.log;
        if replay.step(&self.shared.keys, &mut |stamped| {
            log.lock().replayed.apply(stamped)
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
        let queued = inner.queue.clone();
        queued
            .iter()
            .for_each(|stamped| inner.replayed.apply(stamped));
        inner.is_replayed = true;
        inner.holds_version += 1;
        drop(inner);
        match self.ours {
            Some(_) => Stage::Walking(self.new_walk()),
            None => Stage::Unopened,
        }
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
    fn step(&mut self, keys: &SharedKeys, apply: &mut dyn FnMut(&Stamped)) -> bool {
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
                        Ok(stamped) => apply(stamped),
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
