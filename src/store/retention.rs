//! What is deleted, and why: a pure plan, carried out in steps that a crash may fall between.
//!
//! By age goes what [`age`](super::age) finds old, and nothing while the clock is not trusted. Budgets of bytes hold whatever the clock
//! says, so a disk never fills. Footage that no camera of the configuration has any more has no age: it stays until
//! its disk needs the room. What is held ([`Held`]) is never deleted, nor what is still being written.
//!
//! A stream loses its segments in the order of their sequence. Among streams the oldest goes first, but the last day of each stream
//! ([`last_day`]) only when all others are down to theirs: a camera that was off for weeks is not left with nothing
//! while the others keep weeks.

mod cursor;

use std::collections::{HashMap, HashSet};

use hearthkeep_format::{SegmentId, StreamId};

use super::age::{DAY_US, Old};
use super::catalog::Entry;
use super::held::Held;
use crate::limits::SEGMENT_US_MAX;
use cursor::{Cursor, Rules};

/// Segments of a stream that are passed over in a plan because their dates say that they are not old.
const KEPT_MAX: usize = 1024;

/// What a camera may keep. Its streams share it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CameraBudget {
    /// The camera's name.
    pub name: String,
    /// The camera's streams.
    pub streams: Vec<StreamId>,
    /// Days after which its segments are deleted.
    pub keep_days: Option<u32>,
    /// Bytes beyond which its oldest segments are deleted, besides those that are held.
    pub max_bytes: Option<u64>,
}

/// What a disk holds and may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskState {
    /// Its number in the catalog.
    pub disk: u16,
    /// Bytes of segments on it, open ones included.
    pub used_bytes: u64,
    /// Bytes of segments beyond which its oldest are deleted.
    pub max_bytes: Option<u64>,
    /// Free bytes of its file system.
    pub free_bytes: u64,
    /// Free bytes there must be.
    pub reserve_bytes: u64,
}

/// What a stream has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    /// The stream.
    pub stream: StreamId,
    /// Bytes of its segments on each mounted disk that has any.
    pub used: Vec<(u16, u64)>,
    /// Bytes of segments that are not among these yet.
    pub growing_bytes: u64,
    /// Bytes among these that are held.
    pub held_bytes: u64,
    /// Which of its segments are older than its camera keeps.
    pub old: Option<Old>,
    /// The bucket from which on its last day is: see [`last_day`]. `u64::MAX` for a camera that is gone.
    pub last_day: u64,
}

impl StreamState {
    /// What of it counts for its camera. What is held does not: it is room that its owner gave besides.
    pub fn counted_bytes(&self) -> u64 {
        let used: u64 = self.used.iter().map(|(_, bytes)| bytes).sum();
        used.saturating_sub(self.held_bytes) + self.growing_bytes
    }
}

/// Segments of a stream that follow each other, as far as they are known without being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its number; higher ones have later segments.
    pub number: u64,
    /// The earliest start of its segments, wall time in us.
    pub from_us: i64,
    /// The latest end.
    pub to_us: i64,
    /// How many they are.
    pub segments: usize,
    /// Their bytes on each disk that has any.
    pub bytes: Vec<(u16, u64)>,
}

/// Where segments are found, read only as far as needed.
pub trait Buckets {
    /// The first bucket of a stream whose number is this or higher.
    fn from(&self, stream: &StreamId, number: u64) -> Option<Bucket>;

    /// The last bucket of a stream whose number is lower.
    fn before(&self, stream: &StreamId, number: u64) -> Option<Bucket>;

    /// The first of these that is wanted. It may be asked whether any of several that follow each other is: they come as one then, under
    /// the number of the last.
    fn wanted_from(
        &self,
        stream: &StreamId,
        number: u64,
        is_wanted: &mut dyn FnMut(&Bucket) -> bool,
    ) -> Option<Bucket> {
        let mut bucket = self.from(stream, number)?;
        while !is_wanted(&bucket) {
            bucket = self.from(stream, bucket.number + 1)?;
        }
        Some(bucket)
    }

    /// The segments of a bucket by their sequence; none where they cannot be read.
    fn segments(&self, stream: &StreamId, number: u64) -> Vec<Entry>;
}

/// Why a segment is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A deletion that was begun before and not finished.
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

/// What a plan is made of.
pub struct Situation<'a> {
    /// The streams that have segments.
    pub streams: Vec<StreamState>,
    /// What cameras may keep.
    pub cameras: &'a [CameraBudget],
    /// The mounted disks. Nothing is deleted on others.
    pub disks: &'a [DiskState],
    /// What is still being written.
    pub spared: &'a HashSet<SegmentId>,
    /// What is held.
    pub held: &'a Held,
    /// Wall time; `None` while it is not trusted.
    pub now_us: Option<i64>,
    /// The most segments to delete.
    pub deletions_max: usize,
}

/// The bucket from which on a stream's last day of footage is: nothing of a day that ends with its last segment is before it.
pub fn last_day(buckets: &impl Buckets, stream: &StreamId) -> u64 {
    let (mut number, mut left_us) = (u64::MAX, DAY_US);
    while left_us > 0
        && let Some(bucket) = buckets.before(stream, number)
    {
        // Of the footage in it: where there are gaps, it is less than it spans.
        let most_us = (bucket.segments as u64).saturating_mul(SEGMENT_US_MAX);
        let spans_us = bucket.to_us.saturating_sub(bucket.from_us);
        left_us -= spans_us.clamp(1, i64::try_from(most_us).unwrap_or(i64::MAX).max(1));
        number = bucket.number;
    }
    number
}

/// What is to be deleted now.
///
/// Never more than needed, but for the last segment of each reason; where what is spared or held takes all the room, less.
pub fn plan(buckets: &impl Buckets, situation: Situation<'_>) -> Vec<Deletion> {
    let Situation {
        streams,
        cameras,
        disks,
        spared,
        held,
        now_us,
        deletions_max,
    } = situation;
    let mut plan = Plan {
        buckets,
        rules: Rules {
            mounted: disks.iter().map(|state| state.disk).collect(),
            spared,
            held,
            now_us,
            taken: HashSet::new(),
        },
        streams,
        freed: HashMap::new(),
        freed_of: HashMap::new(),
        deletions: Vec::new(),
        deletions_max,
    };
    plan.make(cameras, disks);
    plan.deletions
}

struct Plan<'a, B: Buckets> {
    buckets: &'a B,
    rules: Rules<'a>,
    streams: Vec<StreamState>,
    /// Bytes that the plan frees on each disk.
    freed: HashMap<u16, u64>,
    /// Bytes that the plan frees of each stream.
    freed_of: HashMap<StreamId, u64>,
    deletions: Vec<Deletion>,
    deletions_max: usize,
}

impl<B: Buckets> Plan<'_, B> {
    fn make(&mut self, cameras: &[CameraBudget], disks: &[DiskState]) {
        self.finish_begun();
        self.by_age();
        for camera in cameras {
            self.for_camera(camera);
        }
        for disk in disks {
            self.for_disk(disk);
        }
    }

    fn is_over(&self) -> bool {
        self.deletions.len() >= self.deletions_max
    }

    fn finish_begun(&mut self) {
        for index in 0..self.streams.len() {
            let mut cursor = Cursor::new(self.streams[index].stream, None, u64::MAX);
            while !self.is_over()
                && cursor
                    .peek(self.buckets, &self.rules)
                    .is_some_and(|entry| entry.tombstone)
            {
                self.delete_next(&mut cursor, Reason::Begun);
            }
        }
    }

    fn by_age(&mut self) {
        for index in 0..self.streams.len() {
            let StreamState { stream, old, .. } = &self.streams[index];
            let Some(old) = *old else {
                continue;
            };
            let mut cursor = Cursor::new(*stream, None, u64::MAX);
            // One whose own date says otherwise stays, and does not keep those behind it.
            let mut kept = 0;
            while !self.is_over()
                && kept <= KEPT_MAX
                && let Some(entry) = cursor.peek(self.buckets, &self.rules)
                && old.has_passed(entry)
            {
                if old.is_old(entry) {
                    self.delete_next(&mut cursor, Reason::Age);
                } else {
                    cursor.pass();
                    kept += 1;
                }
            }
        }
    }

    fn for_camera(&mut self, camera: &CameraBudget) {
        let Some(max_bytes) = camera.max_bytes else {
            return;
        };
        let is_of_it = |state: &&StreamState| camera.streams.contains(&state.stream);
        let of_it = || self.streams.iter().filter(is_of_it);
        let freed = |state: &StreamState| self.freed_of.get(&state.stream).copied().unwrap_or(0);
        let left = |state: &StreamState| state.counted_bytes().saturating_sub(freed(state));
        let mut used: u64 = of_it().map(left).sum();
        let new = |state: &StreamState| Cursor::new(state.stream, None, u64::MAX);
        let mut cursors: Vec<_> = of_it().map(new).collect();
        while used > max_bytes && !self.is_over() {
            let Some(index) = self.oldest(&mut cursors) else {
                return;
            };
            used -= used.min(self.delete_next(&mut cursors[index], Reason::CameraBytes));
        }
    }

    fn for_disk(&mut self, disk: &DiskState) {
        let on_it = |state: &&StreamState| state.used.iter().any(|(on, _)| *on == disk.disk);
        for spares_last_day in [true, false] {
            let of_it = self.streams.iter().filter(on_it);
            let cursor = |state: &StreamState| {
                let until = if spares_last_day {
                    state.last_day
                } else {
                    u64::MAX
                };
                Cursor::new(state.stream, Some(disk.disk), until)
            };
            let mut cursors: Vec<_> = of_it.map(cursor).collect();
            while !self.is_over()
                && let Some(reason) = self.needs_room(disk)
                && let Some(index) = self.oldest(&mut cursors)
            {
                self.delete_next(&mut cursors[index], reason);
            }
        }
    }

    /// Why more has to go of a disk, if it has to.
    fn needs_room(&self, disk: &DiskState) -> Option<Reason> {
        let freed = self.freed.get(&disk.disk).copied().unwrap_or(0);
        let used = disk.used_bytes.saturating_sub(freed);
        if disk.max_bytes.is_some_and(|max| used > max) {
            Some(Reason::DiskBytes)
        } else if disk.free_bytes.saturating_add(freed) < disk.reserve_bytes {
            Some(Reason::FreeSpace)
        } else {
            None
        }
    }

    /// The cursor whose next segment is the oldest.
    fn oldest(&self, cursors: &mut [Cursor]) -> Option<usize> {
        let ages = cursors
            .iter_mut()
            .enumerate()
            .filter_map(|(index, cursor)| {
                let since_us = cursor.known_us(self.buckets, &self.rules)?;
                Some((since_us, index))
            });
        ages.min().map(|(_, index)| index)
    }

    /// Takes the next segment into the plan; its bytes.
    fn delete_next(&mut self, cursor: &mut Cursor, reason: Reason) -> u64 {
        let Some(entry) = cursor.peek(self.buckets, &self.rules).copied() else {
            return 0;
        };
        cursor.pass();
        let bytes = u64::from(entry.bytes);
        *self.freed.entry(entry.disk).or_default() += bytes;
        *self.freed_of.entry(entry.stream).or_default() += bytes;
        self.rules.taken.insert(entry.segment);
        self.deletions.push(Deletion { entry, reason });
        bytes
    }
}
