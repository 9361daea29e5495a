//! Deletions that the log cannot be told of now: they are remembered in the state folder and, where that takes nothing, on the disks
//! themselves. Without that, a start would find missing what this recorder deleted, and say that somebody removed it.

use std::collections::BTreeSet;
use std::io;

use hearthkeep_format::DiskId;
use hearthkeep_format::log::{Deleted, Record};

use super::super::files;
use super::super::refuge::{self, Beside, Refuge};
use super::super::seats::LogDisk;
use super::{Keeping, Ours};

/// Where they are remembered besides the state folder.
#[derive(Default)]
pub(super) struct Untold {
    /// Whether some are remembered nowhere.
    is_nowhere: bool,
    /// Disks that were asked what they remember.
    heard: BTreeSet<DiskId>,
    /// Disks that remember some.
    on: BTreeSet<DiskId>,
    /// Not before this is one asked again that failed, by monotonic time in us.
    again_at_us: u64,
}

impl Keeping {
    /// Remembers which deletions the log is still to be told.
    pub(super) fn keep_unlogged(&mut self) {
        // Not under the lock, which a segment that begins waits for.
        let queued = self.shared.log.lock().queue.clone();
        let deleted = || {
            queued.iter().filter_map(|stamped| match &stamped.record {
                Record::Deleted(deleted) => Some(deleted),
                _ => None,
            })
        };
        let random = &mut self.shared.random.clone();
        let Err(error) = self.unlogged.write(deleted(), random) else {
            self.untold.is_nowhere = false;
            return;
        };
        let kept = self.keep_on_disks(deleted());
        self.untold.is_nowhere = kept.is_err();
        if let Err(disks) = kept {
            tracing::error!(
                "log.deleted.sealed cannot be written, neither in the state folder ({error}) nor on a disk ({disks}). If the recorder dies now, \
                 the next start says that somebody removed what it deleted itself"
            );
        }
    }

    /// To be told when what was to be deleted is gone: where nothing took it before, there may be room now.
    pub fn deleted(&mut self) {
        if self.untold.is_nowhere {
            self.keep_unlogged();
        }
    }

    fn keep_on_disks<'a>(&mut self, deleted: impl Iterator<Item = &'a Deleted>) -> io::Result<()> {
        let beside = self.beside().ok_or(io::ErrorKind::NotFound)?;
        let (key, random) = (&self.state_key, &mut self.shared.random.clone());
        let sealed = refuge::seal(key, beside, deleted, random)?;
        let (mut is_kept, mut failed) = (false, io::ErrorKind::NotFound.into());
        for LogDisk { id, path, disk } in self.shared.log_disks() {
            // What one that was not asked yet remembers is not to be lost.
            if !self.untold.heard.contains(&id) {
                continue;
            }
            match refuge::put(&*disk, &sealed) {
                Ok(()) => {
                    is_kept = true;
                    self.untold.on.insert(id);
                }
                Err(error) => {
                    let path = path.display();
                    tracing::warn!("{path} does not take which deletions the log lacks: {error}");
                    failed = error;
                }
            }
        }
        is_kept.then_some(()).ok_or(failed)
    }

    /// How far the log is that what is remembered waits for.
    fn beside(&self) -> Option<Beside> {
        if let Some(Ours { own, end }) = &self.ours {
            return Some((own.key.log(), end.tree.count()));
        }
        let remembered = self.file.read(self.shared.store).ok().flatten();
        remembered.map(|(_, checkpoint)| (checkpoint.log, checkpoint.size))
    }

    /// Asks disks that came what they remember.
    pub(super) fn hear_disks(&mut self) {
        let mounted: BTreeSet<_> = self
            .shared
            .slots
            .mounted()
            .iter()
            .map(|disk| disk.id)
            .collect();
        self.untold.heard.retain(|disk| mounted.contains(disk));
        if self.has_heard_all() || self.now_us() < self.untold.again_at_us {
            return;
        }
        let disks = self.shared.log_disks();
        for disk in &disks {
            if self.untold.heard.contains(&disk.id) {
                continue;
            }
            match refuge::read(&*disk.disk) {
                Ok(None) => {}
                Ok(Some(found)) => self.take_over(&found, disk, &disks),
                Err(error) if files::is_lack(&error) => refuge::unusable(&disk.path),
                Err(error) => {
                    let path = disk.path.display();
                    tracing::warn!("{path} does not say which deletions the log lacks: {error}");
                    self.untold.again_at_us = self.retry_us();
                    continue;
                }
            }
            self.untold.heard.insert(disk.id);
        }
    }

    /// Whether each disk that is there was asked.
    pub(super) fn has_heard_all(&self) -> bool {
        let disks = self.shared.log_disks();
        disks
            .iter()
            .all(|disk| self.untold.heard.contains(&disk.id))
    }

    fn take_over(&mut self, found: &Refuge, disk: &LogDisk, disks: &[LogDisk]) {
        let raw = disks.iter().map(|disk| &*disk.disk);
        if !found.counts(raw, &self.shared.store, self.beside()) {
            if let Err(error) = refuge::remove(&*disk.disk) {
                tracing::warn!(path = %disk.path.display(), "could not delete: {error}");
            }
            return;
        }
        let Some(deleted) = found.open(&self.state_key) else {
            return refuge::unusable(&disk.path);
        };
        self.untold.on.insert(disk.id);
        for deleted in deleted {
            if self.is_news(&deleted) {
                self.shared.log.append(Record::Deleted(deleted));
                self.walk_again = true;
            }
        }
    }

    /// Whether the log, as far as it is read, has any of these segments.
    fn is_news(&self, deleted: &Deleted) -> bool {
        let inner = self.shared.log.lock();
        let live = inner.replayed.live.get(&deleted.stream);
        let has = |sequence| live.is_some_and(|live| live.contains(sequence));
        !inner.is_replayed || deleted.segments.iter().any(|segment| has(segment.sequence))
    }

    /// The log has all.
    pub(super) fn forget_unlogged(&mut self) {
        self.unlogged.forget();
        self.untold.is_nowhere = false;
        if self.untold.on.is_empty() {
            return;
        }
        for LogDisk { id, path, disk } in self.shared.log_disks() {
            if !self.untold.on.contains(&id) {
                continue;
            }
            match refuge::remove(&*disk) {
                Ok(()) => drop(self.untold.on.remove(&id)),
                // It says nothing any more: the log has gone on.
                Err(error) => tracing::warn!(path = %path.display(), "could not delete: {error}"),
            }
        }
    }
}
