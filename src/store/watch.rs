//! Watches the disks: one that is no longer where it was is let go of before anything lands on the bare mount point, and one that
//! is back is written to again.
//!
//! A simulator that lets disks vanish and return has two handles, and production takes the same way:
//!
//! - [`Disk::is_in_place`](crate::disk::Disk::is_in_place) of the disk that vanishes says no, or its id file is gone or another's
//!   (`layout::mark` writes one); or every call of it fails;
//! - [`Doorkeeper::admit`], handed over in `Options::doorkeeper`, is asked every [`WATCH_PERIOD_MS`] for each disk that is away,
//!   and gives a [`MountedDisk::with`] of whatever disk is there now, or a sentence. The disk it gives is a new one to the
//!   store: files that the old one held open must fail from then on, as those of an unplugged disk do.
//!
//! All times come from the store's clock, and all of it happens in the keeper's turns.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hearthkeep_format::{EpochId, StreamId};

use super::keeper::Backlog;
use super::layout::{self, DiskIdentity};
use super::mount::{MountedDisk, running};
use super::notes::Notes;
use super::recovery::{self, Report};
use super::writer::Means;
use super::{Error, Result, Shared};
use crate::config;
use crate::disk::{Patience, is_no_answer};
use crate::limits::{DISK_PATIENCE_MS_MAX, WATCH_PERIOD_MS};

/// Who knows which disk belongs where, and what must stand on it before it is written to.
pub trait Doorkeeper: Send + Sync {
    /// Opens a disk that was away, if it is the right one; `others` are those that are there, for what its keyring knows and theirs
    /// do not.
    ///
    /// # Errors
    /// A sentence that says what is there instead. Nothing was written.
    fn admit(
        &self,
        wanted: &config::Disk,
        others: &[Arc<MountedDisk>],
    ) -> Result<MountedDisk, String>;
}

pub(super) struct Watch {
    means: Means,
    notes: Notes,
    at_us: u64,
    /// What was logged last of each path that is away.
    said: HashMap<PathBuf, String>,
    /// The slot with which the next look at the empty ones begins.
    next: Option<PathBuf>,
}

impl Watch {
    pub(super) fn new(means: Means, notes: Notes) -> Self {
        Self {
            at_us: means.clock.monotonic_us(),
            means,
            notes,
            said: HashMap::new(),
            next: None,
        }
    }

    /// When the disks are looked at next, by monotonic time in us.
    pub(super) fn due_us(&self) -> u64 {
        self.at_us
    }

    /// Looks at all disks at the next turn.
    pub(super) fn hurry(&mut self) {
        self.at_us = 0;
    }

    /// Looks at all disks. Returns what of those that came back is still to be compared with the catalog; `None` where none did.
    pub(super) fn turn(&mut self, shared: &Shared, found: &mut Report) -> Option<Backlog> {
        for disk in shared.slots.mounted() {
            match is_still_there(shared, &disk) {
                // It may be there; that it hangs is told elsewhere.
                Err(Error::Io { source, .. }) if is_no_answer(&source) => {}
                Err(error) => lose(shared, &disk, &error),
                Ok(()) => {}
            }
        }
        let mut backlog = None;
        let begun_us = self.means.clock.monotonic_us();
        for wanted in self.empty(shared) {
            // Who else waits for the keeper is not to wait for one disk after another.
            let took_us = self.means.clock.monotonic_us().saturating_sub(begun_us);
            if took_us >= DISK_PATIENCE_MS_MAX * 1_000 {
                self.next = Some(wanted.path);
                break;
            }
            if !shared.slots.has_left(&wanted.path) {
                continue;
            }
            match self.admit(shared, &wanted, found) {
                Ok(older) => {
                    self.said.remove(&wanted.path);
                    backlog.get_or_insert_with(Backlog::new).extend(older);
                }
                Err(why) => self.miss(shared, &wanted, why),
            }
        }
        let now_us = self.means.clock.monotonic_us();
        self.at_us = now_us.saturating_add(WATCH_PERIOD_MS * 1_000);
        backlog
    }

    /// The empty slots, those first that the last look did not come to.
    fn empty(&mut self, shared: &Shared) -> Vec<config::Disk> {
        let mut empty = shared.slots.empty();
        let next = self.next.take();
        let first = empty
            .iter()
            .position(|wanted| Some(&wanted.path) == next.as_ref());
        empty.rotate_left(first.unwrap_or(0));
        empty
    }

    fn miss(&mut self, shared: &Shared, wanted: &config::Disk, why: String) {
        shared.slots.miss(&wanted.path, &why);
        if self.said.get(&wanted.path) != Some(&why) {
            tracing::error!("{why}");
            self.said.insert(wanted.path.clone(), why);
        }
    }

    fn admit(
        &self,
        shared: &Shared,
        wanted: &config::Disk,
        found: &mut Report,
    ) -> Result<Backlog, String> {
        let Some(doorkeeper) = &shared.doorkeeper else {
            return Err(shared.slots.why_away(&wanted.path));
        };
        let others = shared.slots.mounted();
        let disk = doorkeeper.admit(wanted, &others)?;
        if others.iter().any(|other| other.id == disk.id) {
            return Err(twice(&disk));
        }
        let backlog = self.take_in(shared, disk, found);
        backlog.map_err(|error| error.to_string())
    }

    /// What a stream is recording into now is compared before the disk is written to, so that no file is taken for torn that
    /// grows; the rest afterwards. A disk that does not answer meanwhile is not used yet.
    fn take_in(&self, shared: &Shared, disk: MountedDisk, found: &mut Report) -> Result<Backlog> {
        disk.set_number(shared.catalog.disk_number(&disk.id)?);
        let patience = Patience::together(Duration::from_millis(DISK_PATIENCE_MS_MAX));
        disk.bound(&self.means.driver, &patience)?;
        let disk = Arc::new(disk);
        let mut seen = Report::default();
        let (epochs, unknown) = shared.epochs_of(&disk, &mut seen);
        let mut at_once = recovery::newest(&shared.catalog, unknown)?;
        at_once.extend(recording_into(shared));
        let mut backlog = Backlog::new();
        for (stream, epoch) in epochs {
            if !at_once.contains(&(stream, epoch)) {
                backlog.push((disk.number(), stream, epoch));
            } else if seen.unanswered == 0 {
                let (report, is_undecided) = shared.compare_first(&disk, &stream, &epoch)?;
                seen.add(report);
                // One that grows is no more looked at once the disk is written to.
                let is_over = is_undecided && !shared.log.is_in(&stream, &epoch);
                backlog.extend(is_over.then_some((disk.number(), stream, epoch)));
            }
        }
        if seen.unanswered > 0 {
            let disk = disk.path.clone();
            return Err(Error::NoAnswer { disk });
        }
        shared.found(&seen);
        found.add(seen);
        disk.bound(&self.means.driver, &running())?;
        shared.state(&disk);
        disk.start_writer(
            self.means.clone(),
            self.notes.clone(),
            shared.events.clone(),
        )?;
        let path = disk.path.display();
        if shared.slots.mount(&disk) {
            tracing::info!(%path, id = %disk.id, "a disk is there again, and in use");
        }
        Ok(backlog)
    }
}

/// That this disk is mounted already, at another path.
pub(super) fn twice(disk: &MountedDisk) -> String {
    format!(
        "the disk at {} is another configured one once more (a copy, or the same folder by another name): take one of both out of \
         the configuration",
        disk.path.display()
    )
}

fn recording_into(shared: &Shared) -> HashSet<(StreamId, EpochId)> {
    let segments = shared.segments();
    let places = segments.values().map(|s| (s.new.stream, s.new.epoch));
    places.collect()
}

/// Whether a disk is still where it was found.
pub(super) fn is_still_there(shared: &Shared, disk: &MountedDisk) -> Result<()> {
    let looked_at = disk.looked_at();
    let in_place = looked_at.is_in_place();
    if !in_place.map_err(|error| Error::io("look at", &disk.path, error))? {
        return Err(Error::Gone {
            disk: disk.path.clone(),
        });
    }
    let identity = DiskIdentity {
        store: shared.store,
        disk: disk.id,
    };
    layout::expect(&*looked_at, &disk.path, &identity)
}

/// Lets go of a disk: nothing more is written to it, and what was being recorded to it goes on elsewhere at the next key frame.
fn lose(shared: &Shared, disk: &Arc<MountedDisk>, error: &Error) {
    tracing::error!("{error}. Recording goes on where another disk takes it");
    shared.slots.lose(disk, error.to_string());
    let mut segments = shared.segments();
    let on_it = segments.values().filter(|s| s.disk == disk.number());
    disk.abandon_writer(on_it);
    // Of what was only queued nothing is there, and no writer tells of it.
    segments.retain(|_, s| s.disk != disk.number() || s.durable_bytes() > 0);
}
