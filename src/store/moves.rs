//! What is to be moved between disks, and whereto: what a drained disk holds, the newest first, and what of the hot ones is old
//! enough for the cold ones, the oldest first.

use std::collections::HashSet;
use std::sync::Arc;

use hearthkeep_format::{DiskId, SegmentId};

use super::Shared;
use super::age::Now;
use super::catalog::Entry;
use super::mount::MountedDisk;
use super::pass::what_is_old;
use super::retention::CameraBudget;
use crate::config::Tier;

/// Segments that are looked up at once.
const LIST_MAX: usize = 1024;
/// Room that a disk must have beside a segment that is moved there, where it may go into its reserve.
const ROOM_BYTES_MIN: u64 = 64 << 20;

const NO_ROOM: &str = "the other disks have no more room: add a disk, or drain it with --let-go";

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
    /// What could not be moved: not tried again before the next start.
    passed_over: HashSet<SegmentId>,
}

impl Moves {
    pub(super) fn next(&mut self, shared: &Shared, now: Option<Now>) -> Move {
        if self.list.is_empty() {
            self.list = self.to_drain(shared);
            self.is_cooling = self.list.is_empty();
        }
        if self.list.is_empty() {
            self.list = now.map_or_else(Vec::new, |now| self.to_cool(shared, now));
        }
        while let Some(entry) = self.list.pop() {
            let known = shared.catalog.find(&entry.stream, &entry.segment);
            let is_as_listed = known.is_ok_and(|known| known == Some(entry));
            let Some(from) = shared.slots.disk(entry.disk).filter(|_| is_as_listed) else {
                continue;
            };
            // It may have been told to stop.
            if !self.is_cooling && !shared.slots.is_draining(from.id) {
                continue;
            }
            if entry.torn {
                return Move::Torn(entry, from);
            }
            return match target(shared, &entry, &from) {
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
        let mounted = shared.slots.mounted();
        let drained = mounted.iter().filter(|d| shared.slots.is_draining(d.id));
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

    /// What of the hot disks is old enough for the cold ones.
    fn to_cool(&self, shared: &Shared, now: Now) -> Vec<Entry> {
        let (Some(days), mounted) = (shared.cold_after_days, shared.slots.mounted()) else {
            return Vec::new();
        };
        if !mounted.iter().any(|disk| disk.tier == Tier::Cold) {
            return Vec::new();
        }
        let hot = mounted.iter().filter(|disk| disk.tier == Tier::Hot);
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
        if let Some(drain) = shared.slots.drains().get_mut(&disk)
            && let Some(trouble) = &drain.trouble
            && trouble.starts_with(NOT_RID)
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

/// The disk that a segment is moved to: one of the right tier that has the most room. Into a disk's reserve it goes only where
/// something older may go for it, which retention does.
fn target(shared: &Shared, entry: &Entry, from: &MountedDisk) -> Option<Arc<MountedDisk>> {
    let drain = shared.slots.drains().get(&from.id).cloned();
    let tier = match drain {
        Some(_) => from.tier,
        None => Tier::Cold,
    };
    let bytes = u64::from(entry.bytes);
    let now_us = shared.clock.monotonic_us();
    let may_take = |disk: &Arc<MountedDisk>| {
        let is_open = disk.id != from.id
            && !disk.is_full()
            && !disk.is_avoided(now_us)
            && !shared.slots.is_draining(disk.id)
            && (drain.is_some() || disk.tier == tier);
        if !is_open {
            return None;
        }
        let state = shared.state(disk);
        let spare = disk.spare_bytes(shared.growing_bytes(disk));
        let may_displace = match &drain {
            Some(drain) => drain.let_go,
            // Where retention could not make room for the one before it, there is none for this one.
            None => disk.oldest_us() < entry.start_us && spare >= 0,
        };
        let fits = spare >= i64::try_from(bytes).unwrap_or(i64::MAX);
        let has_space =
            state.free_bytes >= bytes.saturating_add(ROOM_BYTES_MIN.min(state.reserve_bytes));
        (fits || (may_displace && has_space)).then_some(spare)
    };
    let disks = shared.slots.mounted();
    let candidates = disks
        .iter()
        .filter_map(|disk| Some((disk, may_take(disk)?)));
    let best = candidates.max_by_key(|(disk, spare)| (disk.tier == tier, *spare));
    best.map(|(disk, _)| Arc::clone(disk))
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
