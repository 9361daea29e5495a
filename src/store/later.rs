//! What a disk that did not answer is to be asked again: which epochs it has, those that could not be compared, torn segments that got
//! no tail, and when footage was recorded.
//!
//! A drive that spins up, or that a cable holds up, is back within a minute, and what was given up must not be lost for that until the
//! next start. So it waits here; what no disk answers for costs nobody else anything but for a while: see [`Later::holds_up`].

use std::collections::BTreeSet;
use std::sync::Arc;

use super::keeper::{Backlog, EpochOn};
use super::recovery::Report;
use super::writer::Segment;
use super::{MountedDisk, Shared};
use crate::limits::{COMPARED_LATE_MS_MAX, WATCH_PERIOD_MS};

/// What waits, and when it is looked at again.
#[derive(Default)]
pub(super) struct Later {
    /// Disks all of whose epochs are to be compared, and which did not say which these are.
    unlisted: BTreeSet<u16>,
    /// Each with the disk that it waits for, by its number.
    epochs: Vec<(u16, EpochOn)>,
    mends: Vec<Arc<Segment>>,
    /// Disks whose footage could not be brought to the time that the newest anchor of the clock says.
    undated: BTreeSet<u16>,
    at_us: Option<u64>,
    /// Since when there has been an epoch, or such a disk.
    since_us: Option<u64>,
}

/// What can be tried now.
pub(super) struct Due {
    pub epochs: Backlog,
    pub mends: Vec<Arc<Segment>>,
    /// Footage can be brought to its true time that could not.
    pub dates: bool,
}

impl Later {
    /// All epochs of a disk, which are to be compared; those of one that does not answer come with what can be tried once it does.
    pub(super) fn list(&mut self, shared: &Shared, disk: &MountedDisk) -> Backlog {
        let mut report = Report::default();
        let epochs = shared.listed(disk, &mut report);
        if report.unanswered > 0 {
            let now_us = shared.clock.monotonic_us();
            self.since_us.get_or_insert(now_us);
            self.unlisted.insert(disk.number());
            self.wake(now_us);
            return Backlog::new();
        }
        let epochs = epochs.into_iter();
        epochs
            .map(|(stream, epoch)| (disk.number(), stream, epoch))
            .collect()
    }

    /// An epoch is to be compared again once a disk answers: its own, or another one that has the same.
    pub(super) fn compare(&mut self, epoch: EpochOn, waits_for: u16, now_us: u64) {
        self.since_us.get_or_insert(now_us);
        self.epochs.push((waits_for, epoch));
        self.wake(now_us);
    }

    /// A torn segment is to get its tail.
    pub(super) fn mend(&mut self, segment: Arc<Segment>, now_us: u64) {
        self.mends.push(segment);
        self.wake(now_us);
    }

    /// What is on these disks is to be brought to its true time.
    pub(super) fn date(&mut self, disks: BTreeSet<u16>, now_us: u64) {
        if !disks.is_empty() {
            self.undated.extend(disks);
            self.wake(now_us);
        }
    }

    /// When it is to be looked at, by monotonic time in us.
    pub(super) fn due_us(&self) -> u64 {
        self.at_us.unwrap_or(u64::MAX)
    }

    /// Whether epochs are still missing which have not been missing for long. Whoever needs a catalog that knows all footage waits so
    /// long, and no longer for a drive that may never come back.
    pub(super) fn holds_up(&self, now_us: u64) -> bool {
        let missing_us = self
            .since_us
            .map(|since_us| now_us.saturating_sub(since_us));
        missing_us.is_some_and(|us| us < COMPARED_LATE_MS_MAX * 1_000)
    }

    /// What can be tried now; all else stays, without another word, until its disk answers. What is on a disk that has gone is seen to
    /// when it comes back.
    pub(super) fn take(&mut self, shared: &Shared, now_us: u64) -> Due {
        self.at_us = None;
        let hangs = |number: u16| {
            let disk = shared.slots.disk(number);
            disk.is_some_and(|disk| disk.hangs())
        };
        let epochs = self.epochs.extract_if(.., |(disk, _)| !hangs(*disk));
        let mut epochs: Backlog = epochs.map(|(_, epoch)| epoch).collect();
        let mends = self.mends.extract_if(.., |segment| !hangs(segment.disk));
        let mends = mends.collect();
        let unlisted = std::mem::take(&mut self.unlisted).into_iter();
        let (silent, listable): (BTreeSet<_>, BTreeSet<_>) =
            unlisted.partition(|disk| hangs(*disk));
        self.unlisted = silent;
        let there = listable.iter().filter_map(|disk| shared.slots.disk(*disk));
        there.for_each(|disk| epochs.extend(self.list(shared, &disk)));
        let undated = self.undated.len();
        self.undated.retain(|disk| hangs(*disk));
        if self.has_epochs() || !self.mends.is_empty() || !self.undated.is_empty() {
            self.wake(now_us);
        }
        Due {
            epochs,
            mends,
            dates: self.undated.len() < undated,
        }
    }

    /// Whether epochs are missing, for however long.
    pub(super) fn has_epochs(&self) -> bool {
        !self.epochs.is_empty() || !self.unlisted.is_empty()
    }

    /// To be told when what could be tried was compared: where nothing is left that waits, the wait ends. Whether it has.
    pub(super) fn end_if_over(&mut self) -> bool {
        if !self.has_epochs() {
            self.since_us = None;
        }
        !self.has_epochs()
    }

    fn wake(&mut self, now_us: u64) {
        let at_us = now_us.saturating_add(WATCH_PERIOD_MS * 1_000);
        self.at_us.get_or_insert(at_us);
    }
}
