//! Whether what the catalog has is still there: once a day, epoch by epoch, the names on the disks are compared with it. A file that
//! somebody removes while the recorder runs is missed within a day, and not when the scrub comes to it. What is missed is forgotten, as
//! at a start, and the log then says whether somebody removed it. The scrub has an epoch looked at at once.
//!
//! Only names are read, and of one epoch a turn, with a rest between: an epoch has at most a day.

use std::collections::HashSet;
use std::io;

use hearthkeep_format::{EpochId, StreamId};

use super::catalog::{Entry, Tally};
use super::inspect::Place;
use super::keeper::{Backlog, EpochOn};
use super::mount::MountedDisk;
use super::watch::is_still_there;
use super::{Error, Shared, layout, recovery};
use crate::limits::{ROLL_CALL_MS, ROLL_CALL_REST_MS};

/// The work, an epoch a turn.
pub(super) struct RollCall {
    at_us: u64,
    /// When the next round begins.
    next_us: u64,
    epochs: Backlog,
    /// Those whose disk had more urgent things to do.
    later: Backlog,
}

impl RollCall {
    /// The first round is a period from now: a start has compared all.
    pub(super) fn new(now_us: u64) -> Self {
        let next_us = now_us.saturating_add(ROLL_CALL_MS * 1_000);
        Self {
            at_us: next_us,
            next_us,
            epochs: Backlog::new(),
            later: Backlog::new(),
        }
    }

    /// When it wants its next turn, by monotonic time in us.
    pub(super) fn due_us(&self) -> u64 {
        self.at_us
    }

    /// Looks at what the scrub missed something of, at once.
    pub(super) fn look_at(&mut self, missed: Backlog) {
        if !missed.is_empty() {
            self.epochs.extend(missed);
            self.at_us = 0;
        }
    }

    /// Looks at an epoch. Returns whether the catalog has forgotten something that was not there.
    pub(super) fn turn(&mut self, shared: &Shared) -> bool {
        let now_us = shared.clock.monotonic_us();
        if self.epochs.is_empty() {
            self.epochs = std::mem::take(&mut self.later);
            if now_us >= self.next_us {
                self.next_us = now_us.saturating_add(ROLL_CALL_MS * 1_000);
                self.epochs = all(shared);
            }
        }
        let looked = self.epochs.pop().and_then(|epoch| {
            if is_busy(shared, &epoch) {
                self.later.push(epoch);
                return None;
            }
            Some(look(shared, epoch))
        });
        self.at_us = match self.epochs.is_empty() && self.later.is_empty() {
            true => self.next_us,
            false => now_us.saturating_add(ROLL_CALL_REST_MS * 1_000),
        };
        let looked = looked.unwrap_or(Ok(false));
        looked.unwrap_or_else(|error| {
            tracing::warn!("what is on the disks is compared with the catalog later: {error}");
            false
        })
    }
}

/// All epochs that the catalog has on disks that are there.
fn all(shared: &Shared) -> Backlog {
    let mut epochs = Backlog::new();
    for disk in shared.slots.mounted() {
        let number = disk.number();
        for stream in shared.catalog.streams() {
            let of_it = shared.catalog.epochs(&stream, number);
            epochs.extend(of_it.into_iter().map(|epoch| (number, stream, epoch)));
        }
    }
    epochs
}

/// Whether the disk of an epoch has more urgent things to do.
fn is_busy(shared: &Shared, (number, ..): &EpochOn) -> bool {
    let disk = shared.slots.disk(*number);
    disk.is_some_and(|disk| disk.hangs() || disk.keeps_waiting() || disk.is_needed())
}

/// Forgets what the catalog has of an epoch and is not there; whether there was any.
fn look(shared: &Shared, (number, stream, epoch): EpochOn) -> super::Result<bool> {
    let Some(disk) = shared.slots.disk(number) else {
        return Ok(false);
    };
    let gone = missing(shared, &disk, &stream, &epoch)?;
    if gone.is_empty() || is_still_there(shared, &disk).is_err() {
        return Ok(false);
    }
    for entry in &gone {
        let path = disk.path.join(Place::of(entry).path());
        tracing::error!(path = %path.display(), "the catalog knows this segment, and its file is not there any more");
    }
    let catalog = &shared.catalog;
    catalog.forget(&gone).and_then(|()| catalog.flush())?;
    Ok(true)
}

/// What the catalog has of an epoch on a disk and the disk does not.
fn missing(
    shared: &Shared,
    disk: &MountedDisk,
    stream: &StreamId,
    epoch: &EpochId,
) -> super::Result<Vec<Entry>> {
    let patient = disk.patient();
    let folder = layout::epoch_folder(stream, epoch);
    let names = recovery::ids(&*patient, &folder, layout::segment_of);
    let names = names.map_err(|error| Error::io("list", &disk.path.join(&folder), error))?;
    let mut tally = Tally::default();
    names.iter().for_each(|segment| tally.add(segment));
    if tally == shared.catalog.epoch_tally(stream, epoch, disk.number()) {
        return Ok(Vec::new());
    }
    let there: HashSet<_> = names.into_iter().collect();
    let known = shared.catalog.epoch(stream, epoch, disk.number())?;
    let is_absent = |entry: &Entry| {
        let opened = patient.open_read(&Place::of(entry).path());
        opened.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let missing = known
        .into_iter()
        .filter(|entry| entry.is_settled() && !there.contains(&entry.segment) && is_absent(entry));
    Ok(missing.collect())
}
