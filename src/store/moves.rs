//! What is to be moved between disks, and whereto: what a drained disk holds, the newest first; and the oldest of the hot ones to the
//! cold ones, where a hot one is nearly full, and where it is old enough.

use std::collections::HashSet;
use std::sync::Arc;

use hearthkeep_format::{DiskId, SegmentId};

use super::Shared;
use super::age::Now;
use super::catalog::Entry;
use super::mount::MountedDisk;
use super::pass::what_is_old;
use super::retention::{CameraBudget, DiskState};
use crate::config::Tier;

/// Segments that are looked up at once.
const LIST_MAX: usize = 1024;
/// Segments of a stream that are looked up at once to make room.
const MAKE_ROOM_MAX: usize = 64;
/// So many are moved to the cold disks before it is looked again whether there is room for what is drained.
const COOLED_BESIDE_MAX: usize = 16;
/// This part of what a hot disk may have is kept free for new footage, as long as a cold one takes the oldest; but so many segments on a
/// small one.
const LEAD_PART: i64 = 32;
const LEAD_SEGMENTS: i64 = 2;
/// While that can be moved, nothing is deleted before a hot disk has this part more than its budget, or less than this part of its reserve.
const BEYOND_PART: u64 = 20;
const RESERVE_LEFT_PART: u64 = 4;
/// Until it is looked again whether footage has become old enough.
const AGE_PERIOD_US: u64 = 60_000_000;
/// Room that a disk must have beside a segment that is moved there, where it may go into its reserve.
const ROOM_BYTES_MIN: u64 = 64 << 20;

const NO_ROOM: &str = "the other disks have no more room: add a disk, or drain it with --let-go";

const NO_LOG: &str = "the signed log cannot be written: it goes on once that can be";

pub(super) const NOT_RID: &str = "what was moved cannot be deleted here";

/// What to do next.
pub(super) enum Move {
    /// There is nothing to be moved.
    Nothing,
    /// There is, and no disk has room for it.
    NoRoom,
    /// Move a segment from one disk to another.
    Segment(Entry, Arc<MountedDisk>, Arc<MountedDisk>),
    /// Give a segment its tail, so that it can be moved.
    Torn(Entry, Arc<MountedDisk>),
}

/// What is to be moved next, the first of it last.
#[derive(Default)]
pub(super) struct Moves {
    list: Vec<Entry>,
    /// It is old footage for the cold disks, and no disk that is emptied.
    is_cooling: bool,
    /// It makes room on a hot disk that fills.
    makes_room: bool,
    /// When it is looked again what is old, by monotonic time, us.
    age_at_us: u64,
    /// What could not be moved: not tried again before the next start.
    passed_over: HashSet<SegmentId>,
}

impl Moves {
    /// `refuses` says of which disks what was moved cannot be deleted.
    pub(super) fn next(
        &mut self,
        shared: &Shared,
        now: Option<Now>,
        refuses: impl Fn(DiskId) -> bool,
    ) -> Move {
        let mut next = self.take(shared);
        if matches!(next, Move::Nothing) {
            (self.list, self.is_cooling, self.makes_room) = (self.to_drain(shared), false, false);
            next = self.take(shared);
        }
        if !matches!(next, Move::Nothing | Move::NoRoom) {
            return next;
        }
        // What has no room on the hot disks keeps nothing from the cold ones.
        self.is_cooling = true;
        self.list = self.to_make_room(shared, refuses);
        self.makes_room = !self.list.is_empty();
        let monotonic_us = shared.clock.monotonic_us();
        if self.list.is_empty() && monotonic_us >= self.age_at_us {
            self.list = now.map_or_else(Vec::new, |now| self.to_cool(shared, now));
            if self.list.is_empty() {
                self.age_at_us = monotonic_us.saturating_add(AGE_PERIOD_US);
            }
        }
        if matches!(next, Move::NoRoom) {
            // There may be room soon.
            let wanted = self.list.len().saturating_sub(COOLED_BESIDE_MAX);
            self.list.drain(..wanted);
        }
        match self.take(shared) {
            Move::Nothing => next,
            cooling => cooling,
        }
    }

    /// The first of the list that is still to be moved.
    fn take(&mut self, shared: &Shared) -> Move {
        while let Some(entry) = self.list.pop() {
            let known = shared.catalog.find(&entry.stream, &entry.segment);
            let is_as_listed = known.is_ok_and(|known| known == Some(entry));
            let Some(from) = shared.slots.disk(entry.disk).filter(|_| is_as_listed) else {
                continue;
            };
            // It may have been told to stop, or hang since.
            let is_to_stop = !self.is_cooling && !shared.slots.is_draining(from.id);
            if is_to_stop || from.keeps_waiting() {
                continue;
            }
            if entry.torn {
                return Move::Torn(entry, from);
            }
            return match target(shared, &entry, &from, self.makes_room) {
                Some(to) => Move::Segment(entry, from, to),
                None => {
                    // With the others of it: the next look finds them again.
                    self.list.clear();
                    no_room(shared, &from);
                    Move::NoRoom
                }
            };
        }
        Move::Nothing
    }

    /// What lies on disks that are to be emptied: a stream's newest segments first, which are missed most if the disk dies.
    fn to_drain(&self, shared: &Shared) -> Vec<Entry> {
        let answering = answering(shared);
        let drained = answering.iter().filter(|d| shared.slots.is_draining(d.id));
        for disk in drained {
            let number = disk.number();
            for stream in shared.catalog.streams() {
                let bytes = shared.catalog.stream_bytes(&stream);
                if !bytes.iter().any(|(on, _)| *on == number) {
                    continue;
                }
                let entries = shared.catalog.oldest_first_on(&stream, [number].into());
                let on_it = entries.map_while(Result::ok);
                let on_it = on_it.filter(|entry| self.is_movable(entry));
                let mut newest = std::collections::VecDeque::new();
                for entry in on_it {
                    newest.push_back(entry);
                    if newest.len() > LIST_MAX {
                        newest.pop_front();
                    }
                }
                if !newest.is_empty() {
                    return newest.into();
                }
            }
        }
        Vec::new()
    }

    /// The oldest of the hot disks that are nearly full: nothing of it is to be deleted while a cold one has room. One that does not let go
    /// of what was moved gets no room by that.
    fn to_make_room(&self, shared: &Shared, refuses: impl Fn(DiskId) -> bool) -> Vec<Entry> {
        let mut found = Vec::new();
        let answering = answering(shared).into_iter();
        for disk in answering.filter(|disk| !refuses(disk.id)) {
            let bytes = if_nearly_full(shared, &disk);
            if bytes > 0 && goes_to_cold(shared, &disk, true) {
                found.extend(self.oldest_on(shared, disk.number(), bytes));
            }
        }
        found.sort_by_key(|entry| std::cmp::Reverse(entry.start_us));
        found
    }

    /// The oldest segments on a disk, so many bytes of them.
    fn oldest_on(&self, shared: &Shared, number: u16, bytes: u64) -> Vec<Entry> {
        let mut found = Vec::new();
        for stream in shared.catalog.streams() {
            let on_it = shared.catalog.stream_bytes(&stream);
            if on_it.iter().any(|(on, _)| *on == number) {
                let entries = shared.catalog.oldest_first_on(&stream, [number].into());
                let entries = entries.map_while(Result::ok);
                let movable = entries.filter(|entry| self.is_movable(entry));
                found.extend(movable.take(MAKE_ROOM_MAX));
            }
        }
        found.sort_by_key(|entry| entry.start_us);
        let mut taken_bytes = 0;
        let is_wanted = |entry: &&Entry| {
            let is_wanted = taken_bytes < bytes;
            taken_bytes += u64::from(entry.bytes);
            is_wanted
        };
        let wanted = found.iter().take_while(is_wanted).count();
        found.truncate(wanted);
        found
    }

    /// What of the hot disks is old enough for the cold ones.
    fn to_cool(&self, shared: &Shared, now: Now) -> Vec<Entry> {
        let (Some(days), mounted) = (shared.cold_after_days, answering(shared)) else {
            return Vec::new();
        };
        if !mounted.iter().any(|disk| disk.tier == Tier::Cold) {
            return Vec::new();
        }
        let is_drained = |disk: &MountedDisk| shared.slots.is_draining(disk.id);
        let hot = mounted
            .iter()
            .filter(|disk| disk.tier == Tier::Hot && !is_drained(disk));
        let hot: HashSet<u16> = hot.map(|disk| disk.number()).collect();
        let all = CameraBudget {
            streams: shared.catalog.streams(),
            keep_days: Some(days),
            ..CameraBudget::default()
        };
        let mut found = Vec::new();
        for (stream, old) in what_is_old(&shared.catalog, &[all], now) {
            let entries = shared.catalog.oldest_first_on(&stream, hot.clone());
            let old = entries
                .map_while(Result::ok)
                .take_while(|entry| old.has_passed(entry))
                .filter(|entry| old.is_old(entry) && self.is_movable(entry));
            found.extend(old.take(LIST_MAX));
        }
        found.sort_by_key(|entry| std::cmp::Reverse(entry.start_us));
        found
    }

    fn is_movable(&self, entry: &Entry) -> bool {
        !entry.tombstone && !self.passed_over.contains(&entry.segment)
    }

    /// Does not try this one again.
    pub(super) fn pass_over(&mut self, entry: &Entry) {
        self.passed_over.insert(entry.segment);
    }

    /// Notes why a disk is not emptied, or not wholly.
    pub(super) fn trouble(&self, shared: &Shared, disk: DiskId, sentence: String) {
        if let Some(drain) = shared.slots.drains().get_mut(&disk) {
            drain.trouble = Some(sentence);
        }
    }

    /// Notes that nothing of what was moved lies on a disk any more.
    pub(super) fn is_rid(&self, shared: &Shared, disk: DiskId) {
        self.is_over(shared, disk, NOT_RID);
    }

    /// Notes that what is moved off a disk waits for the log.
    pub(super) fn waits_for_log(&self, shared: &Shared, disk: DiskId) {
        if let Some(drain) = shared.slots.drains().get_mut(&disk) {
            drain.trouble.get_or_insert_with(|| NO_LOG.to_owned());
        }
    }

    /// Notes that the log has what is moved off a disk.
    pub(super) fn is_logged(&self, shared: &Shared, disk: DiskId) {
        self.is_over(shared, disk, NO_LOG);
    }

    fn is_over(&self, shared: &Shared, disk: DiskId, trouble: &str) {
        if let Some(drain) = shared.slots.drains().get_mut(&disk)
            && let Some(told) = &drain.trouble
            && told.starts_with(trouble)
        {
            drain.trouble = None;
        }
    }

    /// Notes whether a segment of a disk is just changing its place.
    pub(super) fn in_hand(&self, shared: &Shared, from: DiskId, in_hand: bool) {
        if let Some(drain) = shared.slots.drains().get_mut(&from) {
            drain.in_hand = in_hand;
        }
    }

    /// Counts what was moved off a disk.
    pub(super) fn moved(&self, shared: &Shared, entry: &Entry, from: DiskId) {
        if let Some(drain) = shared.slots.drains().get_mut(&from) {
            if drain.trouble.as_deref() == Some(NO_ROOM) {
                drain.trouble = None;
            }
            drain.moved_segments += 1;
            drain.moved_bytes += u64::from(entry.bytes);
        }
    }
}

/// The disks that are there and do not hang: nothing is moved off others.
fn answering(shared: &Shared) -> Vec<Arc<MountedDisk>> {
    let mut disks = shared.slots.mounted();
    disks.retain(|disk| !disk.keeps_waiting());
    disks
}

/// The disk that a segment is moved to: one of the right tier that has the most room. Into a disk's reserve it goes only where
/// something older may go for it, which retention does.
fn target(
    shared: &Shared,
    entry: &Entry,
    from: &MountedDisk,
    makes_room: bool,
) -> Option<Arc<MountedDisk>> {
    let drain = shared.slots.drains().get(&from.id).cloned();
    let tier = match drain {
        Some(_) => from.tier,
        None => Tier::Cold,
    };
    // What is held goes from a hot disk that fills for what would be deleted there instead.
    let goes_us = match makes_room {
        true => entry.start_us.max(from.oldest_us()),
        false => entry.start_us,
    };
    let may_take = |disk: &Arc<MountedDisk>| {
        let is_open = disk.id != from.id && (drain.is_some() || disk.tier == tier);
        if !is_open {
            return None;
        }
        let may_displace = |disk: &MountedDisk, spare: i64| match &drain {
            Some(drain) => drain.let_go,
            // Where retention could not make room for the one before it, there is none for this one.
            None => disk.oldest_us() < goes_us && spare >= 0,
        };
        // Nor may it have what a hot disk has its oldest handed on for: something older would go for that.
        let kept_bytes = match &drain {
            Some(drain) if !drain.let_go && may_fill(shared) => lead_bytes(shared, disk),
            _ => 0,
        };
        spare_for(
            shared,
            disk,
            u64::from(entry.bytes) + kept_bytes,
            may_displace,
        )
    };
    let disks = shared.slots.mounted();
    let candidates = disks
        .iter()
        .filter_map(|disk| Some((disk, may_take(disk)?)));
    let best = candidates.max_by_key(|(disk, spare)| (disk.tier == tier, *spare));
    best.map(|(disk, _)| Arc::clone(disk))
}

/// What a disk has to spare, if it takes so many bytes.
fn spare_for(
    shared: &Shared,
    disk: &MountedDisk,
    bytes: u64,
    may_displace: impl Fn(&MountedDisk, i64) -> bool,
) -> Option<i64> {
    let now_us = shared.clock.monotonic_us();
    if disk.is_full() || disk.is_avoided(now_us) || disk.keeps_waiting() {
        return None;
    }
    if shared.slots.is_draining(disk.id) {
        return None;
    }
    let state = shared.state(disk);
    let spare = disk.spare_bytes(shared.growing_bytes(disk));
    let fits = spare >= i64::try_from(bytes).unwrap_or(i64::MAX);
    let has_space =
        state.free_bytes >= bytes.saturating_add(ROOM_BYTES_MIN.min(state.reserve_bytes));
    (fits || (may_displace(disk, spare) && has_space)).then_some(spare)
}

/// How many bytes a hot disk has less to spare than it should.
pub(super) fn if_nearly_full(shared: &Shared, disk: &MountedDisk) -> u64 {
    let lead_bytes = lead_bytes(shared, disk);
    let spare = disk.spare_bytes(shared.growing_bytes(disk));
    // One that does not answer has none, and nothing is moved off it either.
    if spare == i64::MIN || lead_bytes == 0 {
        return 0;
    }
    let lead = i64::try_from(lead_bytes).unwrap_or(i64::MAX);
    u64::try_from(lead.saturating_sub(spare)).unwrap_or(0)
}

/// How many bytes a hot disk should have to spare; zero for others.
fn lead_bytes(shared: &Shared, disk: &MountedDisk) -> u64 {
    if disk.tier != Tier::Hot || shared.slots.is_draining(disk.id) {
        return 0;
    }
    let used_bytes = i64::try_from(shared.state(disk).used_bytes).unwrap_or(i64::MAX);
    let spare = disk.spare_bytes(shared.growing_bytes(disk));
    let segment_bytes = mean_bytes(shared, disk).unwrap_or(0);
    let segments_bytes = i64::from(segment_bytes).saturating_mul(LEAD_SEGMENTS);
    let part = used_bytes.saturating_add(spare).max(0) / LEAD_PART;
    u64::try_from(part.max(segments_bytes)).unwrap_or(0)
}

/// Whether a cold disk takes the oldest footage of a hot one; where it `may_displace`, for older footage that goes there.
fn goes_to_cold(shared: &Shared, from: &MountedDisk, may_displace: bool) -> bool {
    let Some(bytes) = mean_bytes(shared, from) else {
        return false;
    };
    if from.tier != Tier::Hot || shared.slots.is_draining(from.id) {
        return false;
    }
    let is_older = |disk: &MountedDisk, spare: i64| {
        may_displace && disk.oldest_us() < from.oldest_us() && spare >= 0
    };
    let mounted = shared.slots.mounted();
    let mut cold = mounted.iter().filter(|disk| disk.tier == Tier::Cold);
    cold.any(|disk| spare_for(shared, disk, u64::from(bytes), is_older).is_some())
}

/// Bytes of the segments on a disk, each; `None` where there is none.
pub(super) fn mean_bytes(shared: &Shared, disk: &MountedDisk) -> Option<u32> {
    let bytes = shared.catalog.disk_bytes(disk.number());
    let mean = bytes.checked_div(shared.catalog.disk_segments(disk.number()))?;
    u32::try_from(mean).ok()
}

/// Whether footage may have to move soon.
pub(super) fn may_fill(shared: &Shared) -> bool {
    let mounted = shared.slots.mounted();
    mounted.iter().any(|disk| disk.tier == Tier::Cold)
}

/// Of a hot disk whose oldest footage can move to a cold one nothing is deleted for what is coming: it moves meanwhile. Where the cold one
/// has room, nor is it for a little more than the disk is to have: where moving takes too long, new footage goes there. `then` is how the
/// disks will be at the next look.
pub(super) fn give_time(shared: &Shared, now: &[DiskState], then: &mut [DiskState]) {
    if !may_fill(shared) {
        return;
    }
    for (now, then) in now.iter().zip(then) {
        let Some(disk) = shared.slots.disk(now.disk) else {
            continue;
        };
        if goes_to_cold(shared, &disk, false) {
            *then = DiskState {
                max_bytes: now.max_bytes.map(|max| max + max / BEYOND_PART),
                reserve_bytes: now.reserve_bytes / RESERVE_LEFT_PART,
                ..*now
            };
        } else if goes_to_cold(shared, &disk, true) {
            *then = *now;
        }
    }
}

fn no_room(shared: &Shared, from: &MountedDisk) {
    let mut drains = shared.slots.drains();
    let Some(drain) = drains.get_mut(&from.id) else {
        return;
    };
    if drain.trouble.as_deref() != Some(NO_ROOM) {
        tracing::error!(
            "the disk at {} is not emptied further: {NO_ROOM}",
            from.path.display()
        );
        drain.trouble = Some(NO_ROOM.to_owned());
    }
}
