//! One pass of retention: what there is to know is gathered, the plan is made, and carried out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hearthkeep_format::StreamId;
use hearthkeep_format::log::Record;

use super::Shared;
use super::age::{self, DAY_US, Now, Old, Steady};
use super::catalog::{Catalog, Entry};
use super::deleting::{self, Outcome};
use super::forecast;
use super::growth::{Growths, Of};
use super::held::Held;
use super::limiting;
use super::log::{Keeping, May};
use super::mount::MountedDisk;
use super::mover::Moved;
use super::moves;
use super::retention::{CameraBudget, Deletion, DiskState, Situation, StreamState, last_day, plan};
use crate::limits::{
    FORECAST_PERIOD_MS, RETENTION_BATCH_SEGMENTS, RETENTION_PERIOD_MS, WATCH_PERIOD_MS,
};

/// A disk that ran full is looked at this often until it has room.
const FULL_PERIOD_US: u64 = 1_000_000;
/// For how long nothing is deleted on a disk that refused to, at first and at most: others are not to wait for it.
const REFUSING_US_MIN: u64 = 10_000_000;
const REFUSING_US_MAX: u64 = 300_000_000;
/// The same where it is full, and nothing is recorded on it until something was deleted; at first.
const REFUSING_FULL_US: u64 = 3_000_000;
/// After so many refusals one after another that is doubled, so often: each try takes two entries in the log.
const REFUSALS_TO_DOUBLE: u32 = 10;
const DOUBLED_MAX: u32 = 4;

/// What passes remember of each other.
#[derive(Default)]
pub(super) struct Passes {
    steady: Steady,
    /// Disks that did not let go of a file, and when that was, by monotonic time, us.
    refusing: HashMap<u16, u64>,
    /// How often they did not since they last did. Such a disk is asked for one file at a time: the log has what is to be deleted before it
    /// goes, and is not to tell of a thousand deletions that do not happen.
    refusals: HashMap<u16, u32>,
    /// Of what disks did not say whether it is deleted.
    doubtful: Vec<Deletion>,
    growths: Growths,
    /// What is old, and until when that is believed, by monotonic time, us.
    old: Option<(u64, HashMap<StreamId, Old>)>,
    held: Holdings,
    /// The time as the last pass believed it.
    now: Option<Now>,
}

/// What is held, as far as it is not counted anew each time.
#[derive(Default)]
struct Holdings {
    /// By which holds; none before the first look.
    version: Option<u64>,
    held: Held,
    bytes: HashMap<(StreamId, u16), u64>,
    /// When it is counted again, by monotonic time, us.
    again_at_us: u64,
}

impl Passes {
    /// Makes one; how long the next can wait, us.
    pub(super) fn next(&mut self, shared: &Shared, mut log: Option<&mut Keeping>, may: May) -> u64 {
        let clock = &shared.clock;
        let (wall_us, monotonic_us) = (clock.wall_us(), clock.monotonic_us());
        let now = self.steady.look(wall_us, monotonic_us, clock.trusted());
        self.now = now;
        // One that ran full meanwhile is asked at once.
        let refusals = &self.refusals;
        self.refusing.retain(|number, since_us| {
            let is_full = shared
                .slots
                .disk(*number)
                .is_some_and(|disk| disk.is_full());
            let wait_us = match is_full {
                true => REFUSING_FULL_US << doubled(refusals.get(number)),
                false => refusing_us(refusals.get(number)),
            };
            monotonic_us < since_us.saturating_add(wait_us)
        });
        let mounted = shared.slots.mounted();
        self.look_at_doubtful(shared, &mounted, log.as_deref_mut());
        self.look_at_age(shared, now.filter(|_| may == May::All), monotonic_us);
        if self.held.look(shared, monotonic_us) {
            forecast::tell(shared, now, &self.held.bytes);
        }
        limiting::look(shared, &mounted, monotonic_us);
        let states: Vec<_> = mounted.iter().map(|disk| shared.state(disk)).collect();
        let (mut disks, mut cameras, wait_us) = self.look_ahead(shared, &states);
        limiting::expect_nothing(shared, &states, &mut disks);
        moves::give_time(shared, &states, &mut disks);
        if may != May::All {
            cameras.clear();
        }
        if may == May::Reserve {
            disks.iter_mut().for_each(|state| state.max_bytes = None);
        }
        let unheard = shared.log.unheard();
        let is_unheard = |number| {
            let mut mounted = mounted.iter();
            mounted.any(|disk| disk.number() == number && unheard.contains(&disk.id))
        };
        disks.retain(|state| !is_unheard(state.disk));
        let hangs = |number| shared.slots.disk(number).is_some_and(|disk| disk.hangs());
        disks.retain(|state| !self.refusing.contains_key(&state.disk) && !hangs(state.disk));
        let streams = self.streams(shared, &disks);
        let mut spared: HashSet<_> = shared.segments().keys().copied().collect();
        spared.extend(self.doubtful.iter().map(|of| of.entry.segment));
        let mut deletions = plan(
            &shared.catalog,
            Situation {
                streams,
                cameras: &cameras,
                disks: &disks,
                spared: &spared,
                held: &self.held.held,
                now_us: now.map(|now| now.wall_us),
                deletions_max: RETENTION_BATCH_SEGMENTS,
            },
        );
        let mut asked = HashSet::new();
        deletions.retain(|Deletion { entry, .. }| {
            !self.refusals.contains_key(&entry.disk) || asked.insert(entry.disk)
        });
        let outcome = deleting::delete(shared, deletions, self.held.version, log);
        let lets_go_again = self.mind(shared, &mounted, &outcome);
        let is_cut_off = outcome.is_outdated || outcome.gone.len() >= RETENTION_BATCH_SEGMENTS;
        if lets_go_again || is_cut_off {
            0
        } else if mounted.iter().any(|disk| disk.is_full()) {
            FULL_PERIOD_US
        } else if !self.doubtful.is_empty() {
            wait_us.min(WATCH_PERIOD_MS * 1_000)
        } else {
            wait_us
        }
    }

    /// Looks at what disks did not answer for. One that answers by now is asked again.
    fn look_at_doubtful(
        &mut self,
        shared: &Shared,
        mounted: &[Arc<MountedDisk>],
        log: Option<&mut Keeping>,
    ) {
        if self.doubtful.is_empty() {
            return;
        }
        let doubtful = std::mem::take(&mut self.doubtful);
        let disks: HashSet<u16> = doubtful.iter().map(|of| of.entry.disk).collect();
        let outcome = deleting::settle(shared, doubtful, log);
        let is_silent = |disk: &u16| outcome.doubtful.iter().any(|of| of.entry.disk == *disk);
        for disk in disks.iter().filter(|disk| !is_silent(disk)) {
            self.refusing.remove(disk);
        }
        self.mind(shared, mounted, &outcome);
    }

    /// The time as the last pass believed it; `None` where it did not.
    pub(super) fn now(&self) -> Option<Now> {
        self.now
    }

    /// To be told when the catalog has taken in footage that was there before, or knows its times better: that says nothing of how
    /// fast anything fills, and what was drawn from the catalog is drawn anew.
    pub(super) fn taken_in(&mut self) {
        self.growths.taken_in();
        self.old = None;
        self.held.again_at_us = 0;
    }

    /// To be told what has moved from a disk to another: nothing is to be deleted ahead of that.
    pub(super) fn moved(&mut self, moved: &[Moved]) {
        for Moved { from, to, bytes } in moved {
            self.growths.came(Of::Disk(*to), *bytes);
            self.growths.deleted(Of::Disk(*from), *bytes);
        }
    }

    /// Whether a disk or a camera's budget has filled so much faster than the last pass thought that the next is not to wait.
    pub(super) fn is_outgrown(&self, shared: &Shared) -> bool {
        let growing = growing_bytes(shared);
        let on_disk = |disk: &Arc<MountedDisk>| {
            let catalogued = shared.catalog.disk_bytes(disk.number());
            let bytes = catalogued + shared.growing_bytes(disk);
            self.growths.is_outgrown(Of::Disk(disk.number()), bytes)
        };
        let cameras = shared.cameras.iter().enumerate();
        let mut budgeted = cameras.filter(|(_, camera)| camera.max_bytes.is_some());
        shared.slots.mounted().iter().any(on_disk)
            || budgeted.any(|(index, camera)| {
                let bytes = bytes_of(shared, camera, &growing);
                self.growths.is_outgrown(Of::Camera(index), bytes)
            })
    }

    /// How the disks will be at the next pass, what the cameras may keep until then, and in how many us that should be made.
    fn look_ahead(
        &mut self,
        shared: &Shared,
        disks: &[DiskState],
    ) -> (Vec<DiskState>, Vec<CameraBudget>, u64) {
        let mut look = self.growths.look(shared.clock.monotonic_us());
        let disks = disks.iter().map(|state| look.disk(*state)).collect();
        let growing = growing_bytes(shared);
        let cameras = shared.cameras.iter().enumerate();
        let cameras = cameras.map(|(index, camera)| match camera.max_bytes {
            Some(max_bytes) => {
                let used = bytes_of(shared, camera, &growing);
                let coming = look.camera(index, used, max_bytes);
                CameraBudget {
                    max_bytes: Some(max_bytes.saturating_sub(coming)),
                    ..camera.clone()
                }
            }
            None => camera.clone(),
        });
        let cameras = cameras.collect();
        (disks, cameras, look.wait_us)
    }

    /// Draws from what was deleted which disks have room again, and which are not to be asked for a while. Whether one that had
    /// refused lets go again: then there is more to be deleted there.
    fn mind(&mut self, shared: &Shared, mounted: &[Arc<MountedDisk>], outcome: &Outcome) -> bool {
        let now_us = shared.clock.monotonic_us();
        let gone = outcome.gone.iter().map(|deletion| deletion.entry.disk);
        let lets_go = gone.filter(|disk| self.refusals.remove(disk).is_some());
        let lets_go_again = lets_go.count() > 0;
        self.doubtful.extend(&outcome.doubtful);
        for number in &outcome.refusing {
            let refusals = self.refusals.entry(*number).or_default();
            *refusals = refusals.saturating_add(1);
            self.refusing.insert(*number, now_us);
        }
        for disk in mounted.iter().filter(|disk| disk.is_full()) {
            let is_of_it = |deletion: &Deletion| deletion.entry.disk == disk.number();
            let made_room = outcome.gone.iter().any(is_of_it) && !disk.is_limited(now_us);
            let has_room = || disk.shows_room() && !limiting::takes_nothing(shared, disk);
            disk.set_full(!made_room && !has_room());
        }
        for Deletion { entry, .. } in &outcome.gone {
            let bytes = u64::from(entry.bytes);
            self.growths.deleted(Of::Disk(entry.disk), bytes);
            if let Some(disk) = shared.slots.disk(entry.disk) {
                disk.is_rid_of(bytes);
            }
            let of_it = |camera: &CameraBudget| camera.streams.contains(&entry.stream);
            if let Some(camera) = shared.cameras.iter().position(of_it) {
                self.growths.deleted(Of::Camera(camera), bytes);
            }
        }
        lets_go_again
    }

    /// Days pass slowly: what is old is not found out at each pass.
    fn look_at_age(&mut self, shared: &Shared, now: Option<Now>, monotonic_us: u64) {
        let Some(now) = now else {
            self.old = None;
            return;
        };
        let is_fresh = |until_us: u64| monotonic_us < until_us && now.steady_us > 0;
        if !self
            .old
            .as_ref()
            .is_some_and(|(until_us, _)| is_fresh(*until_us))
        {
            end_holds(shared, now);
            let until_us = monotonic_us.saturating_add(RETENTION_PERIOD_MS * 1_000);
            let old = what_is_old(&shared.catalog, &shared.cameras, now);
            self.old = Some((until_us, old));
        }
    }

    fn streams(&self, shared: &Shared, disks: &[DiskState]) -> Vec<StreamState> {
        let catalog = &shared.catalog;
        let is_mounted = |disk: u16| disks.iter().any(|state| state.disk == disk);
        let cameras = shared.cameras.iter();
        let known: HashSet<_> = cameras.flat_map(|camera| &camera.streams).collect();
        let growing = growing_bytes(shared);
        let state = |stream: StreamId| {
            let mut used = catalog.stream_bytes(&stream);
            used.retain(|(disk, _)| is_mounted(*disk));
            let held = |disk: u16| self.held.bytes.get(&(stream, disk)).copied().unwrap_or(0);
            StreamState {
                growing_bytes: growing.get(&stream).copied().unwrap_or(0),
                held_bytes: used
                    .iter()
                    .map(|(disk, bytes)| held(*disk).min(*bytes))
                    .sum(),
                old: self
                    .old
                    .as_ref()
                    .and_then(|(_, old)| old.get(&stream).copied()),
                last_day: match known.contains(&stream) {
                    true => last_day(catalog, &stream),
                    false => u64::MAX,
                },
                stream,
                used,
            }
        };
        catalog.streams().into_iter().map(state).collect()
    }
}

/// For how long a disk that is not full and refused so often is not asked.
fn refusing_us(refusals: Option<&u32>) -> u64 {
    let before = refusals.map_or(0, |refusals| refusals.saturating_sub(1));
    (REFUSING_US_MIN << before.min(16)).min(REFUSING_US_MAX)
}

/// How often the time is doubled for which a full disk is not asked that refused so often.
fn doubled(refusals: Option<&u32>) -> u32 {
    let before = refusals.map_or(0, |refusals| refusals.saturating_sub(1));
    (before / REFUSALS_TO_DOUBLE).min(DOUBLED_MAX)
}

impl Holdings {
    /// Counts again what is held, where that is due; whether it was.
    fn look(&mut self, shared: &Shared, monotonic_us: u64) -> bool {
        let is_due =
            self.version != Some(shared.log.holds_version()) || monotonic_us >= self.again_at_us;
        if is_due {
            let (held, version) = shared.log.held();
            self.bytes = shared.catalog.held_bytes(&held);
            (self.held, self.version) = (held, Some(version));
            self.again_at_us = monotonic_us.saturating_add(FORECAST_PERIOD_MS * 1_000);
        }
        is_due
    }
}

/// Ends the holds whose own end has come: a jump of the clock does not bring it about.
fn end_holds(shared: &Shared, now: Now) {
    let holds = shared.log.holds();
    let over: Vec<_> = holds
        .iter()
        .filter(|hold| hold.until_us <= now.wall_us)
        .collect();
    if over.is_empty() {
        return;
    }
    let catalog = &shared.catalog;
    let firsts = catalog.streams().into_iter();
    let oldest_us = firsts.filter_map(|stream| catalog.usage(&stream).first_us);
    let oldest_us = oldest_us.min().unwrap_or(i64::MIN);
    for hold in over {
        // It was set since then: no jump over its end was larger.
        let set_after_us = hold.from_us.max(oldest_us);
        if !age::has_come(hold.until_us, set_after_us, now) {
            continue;
        }
        tracing::info!(id = %hold.id, "a hold has ended: its time is over");
        shared.log.append(Record::Unhold {
            id: hold.id,
            reason: "its time is over".to_owned(),
            who: "the recorder".to_owned(),
        });
    }
}

/// Bytes of a camera's segments.
fn bytes_of(shared: &Shared, camera: &CameraBudget, growing: &HashMap<StreamId, u64>) -> u64 {
    let of_stream = |stream: &StreamId| {
        let catalogued = shared.catalog.stream_bytes(stream);
        let catalogued: u64 = catalogued.iter().map(|(_, bytes)| bytes).sum();
        catalogued + growing.get(stream).copied().unwrap_or(0)
    };
    camera.streams.iter().map(of_stream).sum()
}

/// Bytes of segments that the catalog does not have yet, by stream.
fn growing_bytes(shared: &Shared) -> HashMap<StreamId, u64> {
    let mut growing = HashMap::new();
    for segment in shared.segments().values() {
        *growing.entry(segment.new.stream).or_default() += segment.durable_bytes();
    }
    growing
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
