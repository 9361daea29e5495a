//! One pass of retention: what there is to know is gathered, the plan is made, and carried out.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hearthkeep_format::StreamId;

use super::age::{self, DAY_US, Now, Old, Steady};
use super::catalog::{Catalog, Entry};
use super::growth::Growth;
use super::retention::{CameraBudget, Deletion, DiskState, Reason, StreamState, plan};
use super::{MountedDisk, Shared, layout};
use crate::limits::{RETENTION_BATCH_SEGMENTS, RETENTION_PERIOD_MS};

/// Room that a full disk must have before it is written to again, or this part of a small one.
const ROOM_BYTES_MIN: u64 = 64 << 20;
const ROOM_PART: u64 = 64;

/// For how long nothing is deleted on a disk that refused to: others are not to wait for it.
const REFUSING_US: u64 = 300_000_000;
/// The same where it is full, and nothing is recorded on it until something was deleted.
const REFUSING_FULL_US: u64 = 3_000_000;

/// A disk that ran full is looked at this often until it has room.
const FULL_PERIOD_US: u64 = 1_000_000;

/// What passes remember of each other.
#[derive(Default)]
pub(super) struct Passes {
    steady: Steady,
    /// Disks that did not let go of a file, and when they are asked again, by monotonic time, us.
    refusing: HashMap<u16, u64>,
    growth: HashMap<u16, Growth>,
    /// The time as the last pass believed it.
    now: Option<Now>,
}

impl Passes {
    /// Makes one; returns in how many us the next one should be made. `tell` is told before anything is deleted.
    pub(super) fn next(&mut self, shared: &Shared, tell: &mut dyn FnMut(&[Deletion])) -> u64 {
        let clock = &shared.clock;
        let (wall_us, monotonic_us) = (clock.wall_us(), clock.monotonic_us());
        let now = self.steady.look(wall_us, monotonic_us, clock.trusted());
        self.now = now;
        self.refusing.retain(|_, until_us| *until_us > monotonic_us);
        let (mut states, wait_us) = self.look_ahead(shared);
        states.retain(|state| !self.refusing.contains_key(&state.disk));
        let deletions = plan_now(shared, now, &states);
        let (gone, refusing) = delete(shared, deletions, tell);
        let now_us = clock.monotonic_us();
        for number in refusing {
            let is_full = shared.slots.disk(number).is_some_and(|disk| disk.is_full());
            let wait_us = if is_full {
                REFUSING_FULL_US
            } else {
                REFUSING_US
            };
            let until_us = now_us.saturating_add(wait_us);
            self.refusing.insert(number, until_us);
        }
        let disks = shared.slots.mounted();
        for disk in disks.iter().filter(|disk| disk.is_full()) {
            let has_room = disk.space().is_none_or(|space| {
                space.free_bytes >= ROOM_BYTES_MIN.min(space.total_bytes / ROOM_PART)
            });
            let made_room = gone.iter().any(|d| d.entry.disk == disk.number());
            disk.set_full(!has_room && !made_room);
        }
        for Deletion { entry, .. } in &gone {
            if let Some(growth) = self.growth.get_mut(&entry.disk) {
                growth.deleted(u64::from(entry.bytes));
            }
        }
        if gone.len() >= RETENTION_BATCH_SEGMENTS {
            0
        } else if disks.iter().any(|disk| disk.is_full()) {
            FULL_PERIOD_US
        } else {
            wait_us
        }
    }

    /// How the disks will be at the next pass, and in how many us that should be made.
    fn look_ahead(&mut self, shared: &Shared) -> (Vec<DiskState>, u64) {
        let now_us = shared.clock.monotonic_us();
        let mut wait_us = RETENTION_PERIOD_MS * 1_000;
        let ahead = |disk: &Arc<MountedDisk>| {
            let state = shared.state(disk);
            let growth = self.growth.entry(state.disk).or_default();
            let (then, period_us) = growth.look(now_us, state);
            wait_us = wait_us.min(period_us);
            then
        };
        (shared.slots.mounted().iter().map(ahead).collect(), wait_us)
    }

    /// The time as the last pass believed it; `None` where it did not.
    pub(super) fn now(&self) -> Option<Now> {
        self.now
    }
}

fn plan_now(shared: &Shared, now: Option<Now>, disks: &[DiskState]) -> Vec<Deletion> {
    let catalog = &shared.catalog;
    let mounted: HashSet<u16> = disks.iter().map(|state| state.disk).collect();
    let cameras = &shared.cameras;
    let on_mounted = |mut used: Vec<(u16, u64)>| {
        used.retain(|(disk, _)| mounted.contains(disk));
        used
    };
    let mut old = now.map_or_else(HashMap::new, |now| what_is_old(catalog, cameras, now));
    let streams = catalog.streams().into_iter().map(|stream| StreamState {
        stream,
        used: on_mounted(catalog.stream_bytes(&stream)),
        old: old.remove(&stream),
        // An entry that cannot be read ends the stream's turn; the catalog is rebuilt at the next start.
        oldest_first: catalog
            .oldest_first(&stream)
            .map_while(Result::ok)
            .filter(|entry| mounted.contains(&entry.disk)),
    });
    let streams = streams.collect();
    let spared = shared.segments().keys().copied().collect();
    plan(streams, cameras, disks, &spared, RETENTION_BATCH_SEGMENTS)
}

/// What of each stream is older than its camera keeps.
pub(super) fn what_is_old(
    catalog: &Catalog,
    cameras: &[CameraBudget],
    now: Now,
) -> HashMap<StreamId, Old> {
    let kept_for_days: Vec<_> = cameras
        .iter()
        .filter_map(|camera| Some((camera, i64::from(camera.keep_days?))))
        .collect();
    if kept_for_days.is_empty() {
        return HashMap::new();
    }
    let last = |stream| Some((stream, catalog.last(&stream).ok()??));
    let last: HashMap<StreamId, Entry> = catalog.streams().into_iter().filter_map(last).collect();
    // What recorded last knows of the time since another one stopped.
    let dated = |entry: &&Entry| entry.clock_trusted && entry.end_us() <= now.wall_us;
    let witness = last.values().filter(dated).max_by_key(|e| e.end_us());
    let known_since_us = |end_us: i64| {
        witness.map_or(0, |witness| {
            let tail_us = age::tail_us(witness.end_us(), now, || 0);
            age::known_since_us(&catalog.history(witness.stream), tail_us, end_us)
        })
    };
    let mut found = HashMap::new();
    for (camera, days) in kept_for_days {
        for stream in &camera.streams {
            let Some(last) = last.get(stream) else {
                continue;
            };
            let known_us = || match last.clock_trusted {
                true => known_since_us(last.end_us()),
                false => 0,
            };
            let tail_us = age::tail_us(last.end_us(), now, known_us);
            let keep_us = days.saturating_mul(DAY_US);
            let old = Old::find(&catalog.history(*stream), keep_us, tail_us, now);
            found.extend(old.map(|old| (*stream, old)));
        }
    }
    found
}

/// Tombstone, flush, unlink, forget: wherever a crash falls, the next start goes on. Returns what is gone, and the disks that
/// did not let go of something.
fn delete(
    shared: &Shared,
    deletions: Vec<Deletion>,
    tell: &mut dyn FnMut(&[Deletion]),
) -> (Vec<Deletion>, HashSet<u16>) {
    let (mut gone, mut refusing) = (Vec::new(), HashSet::new());
    if deletions.is_empty() {
        return (gone, refusing);
    }
    let marked: Vec<_> = deletions
        .iter()
        .map(|deletion| Entry {
            tombstone: true,
            ..deletion.entry
        })
        .collect();
    let marking = shared
        .catalog
        .insert(&marked)
        .and_then(|()| shared.catalog.flush());
    if let Err(error) = marking {
        tracing::error!("nothing is deleted: {}", super::Error::Catalog(error));
        shared.catalog_failed.store(true, Ordering::Relaxed);
        return (gone, refusing);
    }
    tell(&deletions);
    for deletion in deletions {
        let disk = deletion.entry.disk;
        if !refusing.contains(&disk) && unlink(shared, &deletion.entry) {
            gone.push(deletion);
        } else {
            refusing.insert(disk);
        }
    }
    let forgotten: Vec<_> = gone.iter().map(|deletion| deletion.entry).collect();
    if let Err(error) = shared
        .catalog
        .forget(&forgotten)
        .and_then(|()| shared.catalog.flush())
    {
        tracing::error!("{}", super::Error::Catalog(error));
    }
    let mut by_reason: HashMap<Reason, (u64, u64)> = HashMap::new();
    for Deletion { entry, reason } in &gone {
        let sum = by_reason.entry(*reason).or_default();
        *sum = (sum.0 + 1, sum.1 + u64::from(entry.bytes));
    }
    for (reason, (segments, bytes)) in by_reason {
        tracing::info!(
            reason = reason.as_str(),
            segments,
            bytes,
            "footage was deleted"
        );
    }
    (gone, refusing)
}

/// Whether the file is gone.
fn unlink(shared: &Shared, entry: &Entry) -> bool {
    let Some(disk) = shared.slots.disk(entry.disk) else {
        return false;
    };
    let path = layout::segment_path(&entry.stream, &entry.epoch, &entry.segment);
    match disk.disk.remove_file(&path) {
        Ok(()) => {
            // Fails while the epoch has other segments, which is nearly always.
            let folder = layout::epoch_folder(&entry.stream, &entry.epoch);
            let tally = shared
                .catalog
                .epoch_tally(&entry.stream, &entry.epoch, entry.disk);
            if tally.count <= RETENTION_BATCH_SEGMENTS as u32 {
                let _ = disk.disk.remove_folder(&folder);
            }
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            tracing::error!(path = %disk.path.join(path).display(), "could not delete: {error}");
            false
        }
    }
}
