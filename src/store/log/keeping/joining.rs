//! Disks whose logs could not be read when a start gave up on them. Each is read once it can be: what it alone says is held is held from
//! then on.

use std::collections::BTreeSet;
use std::slice;
use std::sync::Arc;

use hearthkeep_format::log::Record;
use hearthkeep_format::{DiskId, LogId};

use super::super::Published;
use super::super::chain::{Chain, find, find_and_mend};
use super::super::files::Flaw;
use super::super::replayed::Replayed;
use super::super::source;
use super::super::start::Unread;
use super::Keeping;
use super::starting::Replay;
use crate::limits::LOG_JOIN_MS;

/// What is still to be read.
#[derive(Default)]
pub(super) struct Joining {
    /// Disks whose logs could not be read.
    pub disks: BTreeSet<DiskId>,
    /// Whether a log was begun without knowing what they have.
    pub is_blind: bool,
    /// Why one of them could not be read, in a sentence.
    pub why: Option<String>,
    reading: Option<Box<Reading>>,
    /// The disk that was tried last, and when the next one is.
    tried: Option<DiskId>,
    again_at_us: u64,
}

/// A disk whose logs are being read.
struct Reading {
    disk: DiskId,
    replay: Replay,
    says: Replayed,
}

impl Joining {
    pub fn of(unread: Unread, is_begun: bool) -> Self {
        Self {
            is_blind: is_begun && !unread.disks.is_empty(),
            disks: unread.disks,
            why: unread.why,
            ..Self::default()
        }
    }
}

impl Keeping {
    /// Reads on in the logs of a disk that could not be read before, where there is one. Returns when that is to be gone on with.
    pub(super) fn join(&mut self, now_us: u64) -> u64 {
        let Some(mut reading) = self.joining.reading.take() else {
            return self.begin_joining(now_us);
        };
        let (keys, says) = (Arc::clone(&self.shared.keys), &mut reading.says);
        let apply = &mut |stamped: &_| says.apply(stamped);
        match reading.replay.step(&*keys, now_us, apply) {
            Ok(true) => self.joining.reading = Some(reading),
            Ok(false) => self.joined(*reading),
            Err(what) => tracing::warn!("a disk's log cannot be read yet: {what}"),
        }
        now_us
    }

    fn begin_joining(&mut self, now_us: u64) -> u64 {
        if self.joining.disks.is_empty() || now_us < self.joining.again_at_us {
            return match self.joining.disks.is_empty() {
                true => u64::MAX,
                false => self.joining.again_at_us,
            };
        }
        self.joining.again_at_us = now_us.saturating_add(LOG_JOIN_MS * 1_000);
        self.forget_gone();
        let mut disks = self.shared.log_disks();
        disks.retain(|disk| self.joining.disks.contains(&disk.id));
        // One that fails is not to keep another from being read.
        disks.sort_by_key(|disk| (Some(disk.id) <= self.joining.tried, disk.id));
        let Some(disk) = disks.first() else {
            return self.joining.again_at_us;
        };
        self.joining.tried = Some(disk.id);
        let (store, keys) = (&self.shared.store, &*self.shared.keys);
        let chain = find_and_mend(&[Arc::clone(&disk.disk)], store, keys);
        if has_failure(&chain) {
            return self.joining.again_at_us;
        }
        let sources = source::all(slice::from_ref(disk), &chain, None);
        self.joining.reading = Some(Box::new(Reading {
            disk: disk.id,
            replay: Replay::of(sources),
            says: Replayed::default(),
        }));
        now_us
    }

    /// All logs of a disk are read.
    fn joined(&mut self, Reading { disk, says, .. }: Reading) {
        let boot = self.shared.clock.boot_id();
        self.joining.disks.remove(&disk);
        self.joining.is_blind &= !self.joining.disks.is_empty();
        let log = &self.shared.log;
        let new = {
            let mut inner = log.lock();
            inner.unheard.remove(&disk);
            inner.holds_version += 1;
            inner.replayed.join(says, boot)
        };
        tracing::info!(%disk, "the log of a disk that could not be read at the start is read");
        for hold in new {
            tracing::warn!(id = %hold.id, "a hold is in the log of that disk only: it is in force again");
            log.append(Record::Hold(hold));
        }
        self.show_older();
        self.tell_unheard();
    }

    /// Once all disks of the configuration are there, nobody waits for one that is not among them.
    fn forget_gone(&mut self) {
        let slots = &self.shared.slots;
        if !slots.is_whole() {
            return;
        }
        let mounted: BTreeSet<_> = slots.mounted().iter().map(|disk| disk.id).collect();
        self.joining.disks.retain(|disk| mounted.contains(disk));
        self.joining.is_blind &= !self.joining.disks.is_empty();
        let mut inner = self.shared.log.lock();
        let before = inner.unheard.len();
        inner.unheard.retain(|disk| mounted.contains(disk));
        if inner.unheard.len() < before {
            inner.holds_version += 1;
        }
        drop(inner);
        self.tell_unheard();
    }

    /// Says which deletions wait for what could not be read, and why.
    pub(super) fn tell_unheard(&self) {
        let mut inner = self.shared.log.lock();
        let is_limited = self.joining.is_blind || !inner.unheard.is_empty();
        let spares = match inner.unheard.is_empty() {
            true => "",
            false => "nothing is deleted on that disk, and ",
        };
        let why = self.joining.why.as_deref();
        let why = why.unwrap_or("a disk is away whose log was not read yet");
        let sentence = format!(
            "some of the log could not be read: {why}. It is tried again each minute. What is held by that alone is not known until then: \
             {spares}elsewhere only what a full disk or one beyond its max_bytes needs. Where it stays so, take that disk out (`hearthkeep disk retire`)"
        );
        inner.trouble.unheard = is_limited.then_some(sentence);
    }

    /// Shows what is published of the logs before ours as all disks have it.
    fn show_older(&mut self) {
        let disks = self.shared.log_disks();
        let raw: Vec<_> = disks.iter().map(|disk| Arc::clone(&disk.disk)).collect();
        let chain = find(&raw, &self.shared.store, &*self.shared.keys);
        let Some(ours) = self.ours.as_ref().filter(|_| !has_failure(&chain)) else {
            return;
        };
        let (older, published) = before(&chain, Some(ours.own.key.log()));
        self.older = older;
        self.shared.log.lock().published = published;
        self.publish();
    }
}

/// The logs of a chain besides the one that is gone on with.
pub(super) fn before(chain: &Chain, goes_on: Option<LogId>) -> (Vec<LogId>, Vec<Published>) {
    let logs = chain.logs.iter().map(|log| &log.files);
    let before = logs.filter(|files| Some(files.checkpoint.log) != goes_on);
    let published = |files: &super::super::files::LogFiles| Published {
        key: files.key.to_text(),
        note: files.note.clone(),
    };
    before
        .map(|files| (files.checkpoint.log, published(files)))
        .unzip()
}

fn has_failure(chain: &Chain) -> bool {
    let mut flaws = chain.flaws.iter();
    flaws.any(|(.., flaw): &(_, _, Flaw)| flaw.is_failure())
}
