//! What is deleted, and why: a pure plan, carried out in steps that a crash may fall between.
//!
//! By age goes what [`age`](super::age) finds old, and nothing while the clock is not trusted. Budgets of bytes hold whatever the clock
//! says, so a disk never fills. Footage that no camera of the configuration has any more has no age: it stays until
//! its disk needs the room.

use std::collections::{HashMap, HashSet, VecDeque};

use hearthkeep_format::{SegmentId, StreamId};

use super::age::Old;
use super::catalog::Entry;

/// Segments of a stream that are passed over in a plan because their dates say that they are not old.
const KEPT_MAX: usize = 1024;

/// What a camera may keep. Its streams share it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CameraBudget {
    /// The camera's streams.
    pub streams: Vec<StreamId>,
    /// Days after which its segments are deleted.
    pub keep_days: Option<u32>,
    /// Bytes beyond which its oldest segments are deleted.
    pub max_bytes: Option<u64>,
}

/// What a disk holds and may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskState {
    /// Its number in the catalog.
    pub disk: u16,
    /// Bytes of segments on it.
    pub used_bytes: u64,
    /// Bytes beyond which its oldest segments are deleted.
    pub max_bytes: Option<u64>,
    /// Free bytes of its file system.
    pub free_bytes: u64,
    /// Free bytes there must be.
    pub reserve_bytes: u64,
}

/// What a stream has, the oldest first.
pub struct StreamState<I> {
    /// The stream.
    pub stream: StreamId,
    /// Bytes of its segments on each mounted disk that has any.
    pub used: Vec<(u16, u64)>,
    /// Which of them are older than its camera keeps.
    pub old: Option<Old>,
    /// Its segments by their sequence. Read only as far as needed.
    pub oldest_first: I,
}

/// Why a segment is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A deletion that a crash had interrupted.
    Begun,
    /// Older than its camera keeps.
    Age,
    /// Beyond its camera's bytes.
    CameraBytes,
    /// Beyond its disk's bytes.
    DiskBytes,
    /// To keep the disk's reserve free.
    FreeSpace,
    /// Its disk was retired, and it was given up with it.
    ByHand,
}

impl Reason {
    /// Its name in the log and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Age => "age",
            Self::CameraBytes => "camera-bytes",
            Self::DiskBytes => "disk-bytes",
            Self::FreeSpace => "free-space",
            Self::ByHand => "by-hand",
        }
    }
}

/// A segment that is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// The segment.
    pub entry: Entry,
    /// Why.
    pub reason: Reason,
}

/// What is to be deleted now, at most `deletions_max` segments.
///
/// Every stream loses its oldest segments first, in the order of their sequence; where a disk is too full, the oldest by wall time
/// of all streams that have something on it. `spared` (what is open) is never deleted.
pub fn plan<I: Iterator<Item = Entry>>(
    streams: Vec<StreamState<I>>,
    cameras: &[CameraBudget],
    disks: &[DiskState],
    spared: &HashSet<SegmentId>,
    deletions_max: usize,
) -> Vec<Deletion> {
    let mut plan = Plan {
        streams: streams
            .into_iter()
            .map(|state| Heap {
                stream: state.stream,
                used: state.used.into_iter().collect(),
                old: state.old,
                ahead: VecDeque::new(),
                rest: state.oldest_first,
            })
            .collect(),
        freed: HashMap::new(),
        deletions: Vec::new(),
        spared,
        deletions_max,
    };
    plan.finish_begun();
    plan.by_age();
    for camera in cameras {
        plan.for_camera(camera);
    }
    for disk in disks {
        plan.for_disk(disk);
    }
    plan.deletions
}

struct Plan<'a, I: Iterator<Item = Entry>> {
    streams: Vec<Heap<I>>,
    /// Bytes that the plan frees on each disk.
    freed: HashMap<u16, u64>,
    deletions: Vec<Deletion>,
    spared: &'a HashSet<SegmentId>,
    deletions_max: usize,
}

/// What is left of a stream.
struct Heap<I> {
    stream: StreamId,
    used: HashMap<u16, u64>,
    old: Option<Old>,
    /// Read already.
    ahead: VecDeque<Entry>,
    rest: I,
}

impl<I: Iterator<Item = Entry>> Plan<'_, I> {
    fn finish_begun(&mut self) {
        for index in 0..self.streams.len() {
            while self.streams[index]
                .peek()
                .is_some_and(|entry| entry.tombstone)
            {
                if !self.delete_next(index, Reason::Begun) {
                    return;
                }
            }
        }
    }

    fn by_age(&mut self) {
        for index in 0..self.streams.len() {
            let Some(old) = self.streams[index].old else {
                continue;
            };
            // One whose own date says otherwise stays, and does not keep those behind it.
            let mut nth = 0;
            while let Some(entry) = self.streams[index]
                .nth(nth)
                .filter(|entry| old.has_passed(entry))
            {
                if !old.is_old(entry) {
                    nth += 1;
                } else if !self.delete_nth(index, nth, Reason::Age) {
                    return;
                }
                if nth > KEPT_MAX {
                    break;
                }
            }
        }
    }

    fn for_camera(&mut self, camera: &CameraBudget) {
        let of_it: Vec<usize> = (0..self.streams.len())
            .filter(|i| camera.streams.contains(&self.streams[*i].stream))
            .collect();
        let Some(max_bytes) = camera.max_bytes else {
            return;
        };
        let used = |plan: &Self| {
            of_it
                .iter()
                .map(|&i| plan.streams[i].used_bytes())
                .sum::<u64>()
        };
        while used(self) > max_bytes {
            let Some(index) = self.oldest(&of_it) else {
                return;
            };
            if !self.delete_next(index, Reason::CameraBytes) {
                return;
            }
        }
    }

    fn for_disk(&mut self, state: &DiskState) {
        let has_some = |heap: &Heap<I>| heap.used.get(&state.disk).is_some_and(|bytes| *bytes > 0);
        loop {
            let freed = self.freed.get(&state.disk).copied().unwrap_or(0);
            let used = state.used_bytes.saturating_sub(freed);
            let reason = if state.max_bytes.is_some_and(|max| used > max) {
                Reason::DiskBytes
            } else if state.free_bytes.saturating_add(freed) < state.reserve_bytes {
                Reason::FreeSpace
            } else {
                break;
            };
            let oldest = self
                .streams
                .iter_mut()
                .enumerate()
                .filter(|(_, heap)| has_some(heap));
            let oldest = oldest.filter_map(|(index, heap)| {
                let (nth, entry) = heap.first_on(state.disk)?;
                Some((entry.start_us, index, nth))
            });
            let Some((_, index, nth)) = oldest.min() else {
                break;
            };
            if !self.delete_nth(index, nth, reason) {
                break;
            }
        }
    }

    /// The stream whose next segment is the oldest by wall time.
    fn oldest(&mut self, among: &[usize]) -> Option<usize> {
        let starts = among.iter().filter_map(|&index| {
            let next = self.streams[index].peek()?;
            Some((next.start_us, index))
        });
        starts.min().map(|(_, index)| index)
    }

    /// Whether there may be more deletions.
    fn delete_next(&mut self, index: usize, reason: Reason) -> bool {
        self.delete_nth(index, 0, reason)
    }

    fn delete_nth(&mut self, index: usize, nth: usize, reason: Reason) -> bool {
        let heap = &mut self.streams[index];
        let Some(entry) = heap.take(nth) else {
            return true;
        };
        if self.spared.contains(&entry.segment) {
            return true;
        }
        let bytes = u64::from(entry.bytes);
        if let Some(used) = heap.used.get_mut(&entry.disk) {
            *used = used.saturating_sub(bytes);
        }
        *self.freed.entry(entry.disk).or_default() += bytes;
        self.deletions.push(Deletion { entry, reason });
        self.deletions.len() < self.deletions_max
    }
}

impl<I: Iterator<Item = Entry>> Heap<I> {
    fn used_bytes(&self) -> u64 {
        self.used.values().sum()
    }

    fn peek(&mut self) -> Option<&Entry> {
        self.nth(0)
    }

    fn nth(&mut self, nth: usize) -> Option<&Entry> {
        while self.ahead.len() <= nth {
            self.ahead.push_back(self.rest.next()?);
        }
        self.ahead.get(nth)
    }

    fn take(&mut self, nth: usize) -> Option<Entry> {
        self.nth(nth)?;
        self.ahead.remove(nth)
    }

    /// The first segment on a disk, passing over those on others.
    fn first_on(&mut self, disk: u16) -> Option<(usize, Entry)> {
        (0..)
            .map_while(|nth| Some((nth, *self.nth(nth)?)))
            .find(|(_, entry)| entry.disk == disk)
    }
}
