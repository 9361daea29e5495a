//! What is done and told where the catalog's database takes nothing: what could not be taken along into memory is compared with the
//! disks, and the way back is tried again and again.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use hearthkeep_format::{EpochId, SegmentId, StreamId};

use super::keeper::Backlog;
use super::later::Later;
use super::writer::{Segment, State};
use super::{Shared, Store};
use crate::limits::{CATALOG_HOME_MS, CATALOG_LAG_MS_MAX, CATALOG_WAITS_MS_MAX};

/// A try takes this part of the time at most: a disk that fails takes its time to say so.
const TRY_REST: u64 = 20;

/// Since when segments wait for the catalog, by monotonic time in us.
#[derive(Debug)]
pub(super) struct Waiting(AtomicU64);

impl Default for Waiting {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl Waiting {
    /// One waits.
    pub fn begins(&self, now_us: u64) {
        let none = u64::MAX;
        let _ = (self.0).compare_exchange(none, now_us, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// None waits.
    pub fn ends(&self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }

    /// Something else was done, which may take long.
    pub fn goes_on(&self, now_us: u64) {
        let later = |since_us: u64| (since_us != u64::MAX).then_some(now_us);
        let _ = (self.0).fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    fn for_us(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.0.load(Ordering::Relaxed))
    }
}

/// What the keeper does about it.
#[derive(Default)]
pub(super) struct Outage {
    home_at_us: u64,
}

impl Outage {
    /// Does what is due. Returns what is to be compared with the disks: what the catalog lost when it went into memory, and what it had
    /// again of that when it came back.
    pub fn turn(&mut self, shared: &Shared, later: &mut Later) -> Option<Backlog> {
        let mut backlog = self.go_home(shared);
        let lost = lost(shared, later);
        let is_something = lost.is_some() || !backlog.is_empty();
        backlog.extend(lost.into_iter().flatten());
        is_something.then_some(backlog)
    }

    /// Tries to bring the catalog back where it belongs, if it is not there and that is due. Returns the epochs of which it knows
    /// something again by that: nobody has looked since whether it is still so.
    fn go_home(&mut self, shared: &Shared) -> Backlog {
        let (Some(home), Some(_)) = (&shared.home, shared.catalog.why_in_memory()) else {
            // The first try is due a while after it has failed.
            self.home_at_us = u64::MAX;
            return Backlog::new();
        };
        let now_us = shared.clock.monotonic_us();
        let wait_us = CATALOG_HOME_MS * 1_000;
        if self.home_at_us == u64::MAX {
            self.home_at_us = now_us.saturating_add(wait_us);
        }
        if now_us < self.home_at_us {
            return Backlog::new();
        }
        let taken_back = shared.catalog.go_home(&**home);
        match &taken_back {
            Err(error) => tracing::warn!("the catalog stays in memory: {}", error.cause()),
            // Their times are those of before.
            Ok(epochs) if !epochs.is_empty() => shared.anchors.unsettled(),
            Ok(_) if shared.anchors.is_settled() => shared.anchors.settled(true),
            Ok(_) => {}
        }
        let over_us = shared.clock.monotonic_us();
        let took_us = over_us.saturating_sub(now_us);
        self.home_at_us = over_us.saturating_add(wait_us.max(took_us.saturating_mul(TRY_REST)));
        let taken_back = taken_back.unwrap_or_default().into_iter();
        taken_back
            .map(|(stream, epoch, disk)| (disk, stream, epoch))
            .collect()
    }
}

/// All epochs on all disks that answer, where the catalog could not take along all that it knew; what is on the others waits for them.
fn lost(shared: &Shared, later: &mut Later) -> Option<Backlog> {
    if !shared.catalog.take_lost() {
        return None;
    }
    tracing::error!(
        "the catalog could not take along into memory all that it knew: it is compared with the disks again"
    );
    // What it knew of disks that are away it may have lost, too.
    shared.may_not_know_all.store(true, Ordering::Relaxed);
    let disks = shared.slots.mounted();
    let epochs = disks.iter().map(|disk| later.list(shared, disk));
    Some(epochs.flatten().collect())
}

impl Shared {
    /// The segments of an epoch that grow.
    pub(super) fn growing(&self, stream: &StreamId, epoch: &EpochId) -> HashSet<SegmentId> {
        let segments = self.segments();
        let grows = |segment: &&std::sync::Arc<Segment>| {
            let new = &segment.new;
            (new.stream, new.epoch) == (*stream, *epoch) && segment.state() == State::Open
        };
        let growing = segments.values().filter(grows);
        growing.map(|segment| segment.new.segment).collect()
    }
}

impl Store {
    /// What is wrong with the catalog, and what to do, in a sentence.
    pub fn catalog_trouble(&self) -> Option<String> {
        let shared = &self.shared;
        let folder = shared.state_dir.display();
        if let Some(why) = shared.catalog.why_in_memory() {
            return Some(format!(
                "the state folder {folder} does not take the catalog ({why}): it is kept in memory. Recording goes on, and so does the deletion \
                 of old footage; what is decided meanwhile may be forgotten at the next start. See whether the disk of that folder has room, \
                 and whether it fails: one that does, such as a worn SD card, becomes read-only, and is to be replaced"
            ));
        }
        let waited_us = shared.waiting.for_us(shared.clock.monotonic_us());
        let is_long = waited_us >= (CATALOG_LAG_MS_MAX + CATALOG_WAITS_MS_MAX) * 1_000;
        is_long.then(|| {
            let seconds = waited_us / 1_000_000;
            format!(
                "the catalog in the state folder {folder} has taken nothing for {seconds} s: recording goes on, but nothing is deleted until it \
                 does. Look at the disk of that folder: it hangs, or does other work"
            )
        })
    }
}
