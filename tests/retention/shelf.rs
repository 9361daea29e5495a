//! Footage that a plan is made for, in memory, in buckets of four segments.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};

use hearthkeep::store::catalog::Entry;
use hearthkeep::store::held::Held;
use hearthkeep::store::retention::{
    Bucket, Buckets, CameraBudget, Deletion, DiskState, Situation, StreamState, last_day, plan,
};
use hearthkeep_format::log::Hold;
use hearthkeep_format::{EpochId, HoldId, Kind, SegmentId, StreamId};

use crate::store_support::START_US;

pub const MINUTE_US: i64 = 60_000_000;
const BUCKET: u64 = 4;

pub fn stream(number: u8) -> StreamId {
    StreamId::from_bytes([number; 16])
}

pub fn entry(of: u8, sequence: u64, disk: u16) -> Entry {
    let mut id = [of; 16];
    id[..8].copy_from_slice(&sequence.to_be_bytes());
    Entry {
        stream: stream(of),
        kind: Kind::Media,
        epoch: EpochId::from_bytes([0; 16]),
        segment: SegmentId::from_bytes(id),
        disk,
        start_us: START_US + sequence as i64 * MINUTE_US,
        duration_us: MINUTE_US as u64,
        bytes: 100,
        sequence,
        clock_trusted: true,
        recovered: false,
        tombstone: false,
        torn: false,
        gap: None,
    }
}

pub fn roomy(disk: u16) -> DiskState {
    DiskState {
        disk,
        used_bytes: 0,
        max_bytes: None,
        free_bytes: 1 << 40,
        reserve_bytes: 1,
    }
}

pub fn camera(streams: &[u8], max_bytes: Option<u64>) -> CameraBudget {
    CameraBudget {
        streams: streams.iter().map(|n| stream(*n)).collect(),
        max_bytes,
        ..CameraBudget::default()
    }
}

pub fn hold(streams: &[u8], from_us: i64, to_us: i64) -> Hold {
    Hold {
        id: HoldId::from_bytes([0; 16]),
        streams: streams.iter().map(|n| stream(*n)).collect(),
        from_us,
        to_us,
        until_us: i64::MAX,
        reason: String::new(),
        who: String::new(),
    }
}

/// The footage, and all that a plan needs to know beside it.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    pub streams: BTreeMap<StreamId, Vec<Entry>>,
    pub cameras: Vec<CameraBudget>,
    pub disks: Vec<DiskState>,
    pub spared: HashSet<SegmentId>,
    pub holds: Vec<Hold>,
    pub now_us: Option<i64>,
    /// Buckets that were read.
    pub reads: Cell<usize>,
}

impl Shelf {
    /// With what the disks hold counted.
    pub fn new(entries: impl IntoIterator<Item = Entry>, disks: &[DiskState]) -> Self {
        let mut shelf = Self {
            disks: disks.to_vec(),
            ..Self::default()
        };
        for entry in entries {
            shelf.streams.entry(entry.stream).or_default().push(entry);
            shelf.count(&entry, u64::wrapping_add);
        }
        shelf
    }

    fn count(&mut self, entry: &Entry, count: fn(u64, u64) -> u64) {
        for disk in self.disks.iter_mut().filter(|d| d.disk == entry.disk) {
            disk.used_bytes = count(disk.used_bytes, entry.bytes.into());
        }
    }

    pub fn held(&self) -> Held {
        Held::by(&self.holds)
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.streams.values().flatten()
    }

    pub fn plan(&self) -> Vec<Deletion> {
        self.plan_some(usize::MAX)
    }

    pub fn plan_some(&self, deletions_max: usize) -> Vec<Deletion> {
        let held = self.held();
        let known: HashSet<_> = self.cameras.iter().flat_map(|c| &c.streams).collect();
        let state = |(stream, entries): (&StreamId, &Vec<Entry>)| {
            let mut used: BTreeMap<u16, u64> = BTreeMap::new();
            let mut held_bytes = 0;
            for entry in entries {
                if self.disks.iter().any(|disk| disk.disk == entry.disk) {
                    *used.entry(entry.disk).or_default() += u64::from(entry.bytes);
                    let is_held = held.touches(stream, entry.start_us, entry.end_us());
                    held_bytes += u64::from(entry.bytes) * u64::from(is_held);
                }
            }
            StreamState {
                stream: *stream,
                used: used.into_iter().collect(),
                growing_bytes: 0,
                held_bytes,
                old: None,
                last_day: match known.contains(stream) {
                    true => last_day(self, stream),
                    false => u64::MAX,
                },
            }
        };
        let situation = Situation {
            streams: self.streams.iter().map(state).collect(),
            cameras: &self.cameras,
            disks: &self.disks,
            spared: &self.spared,
            held: &held,
            now_us: self.now_us,
            deletions_max,
        };
        plan(self, situation)
    }

    /// Takes away what was deleted.
    pub fn delete(&mut self, deletions: &[Deletion]) {
        let gone: HashSet<_> = deletions.iter().map(|d| d.entry.segment).collect();
        for entries in self.streams.values_mut() {
            entries.retain(|kept| !gone.contains(&kept.segment));
        }
        for Deletion { entry, .. } in deletions {
            self.count(entry, u64::wrapping_sub);
            for disk in self.disks.iter_mut().filter(|d| d.disk == entry.disk) {
                disk.free_bytes += u64::from(entry.bytes);
            }
        }
        self.streams.retain(|_, entries| !entries.is_empty());
    }

    fn bucket(&self, of: &StreamId, number: u64) -> Bucket {
        let entries = self.in_bucket(of, number);
        Bucket {
            number,
            from_us: entries.iter().map(|e| e.start_us).min().unwrap(),
            to_us: entries.iter().map(Entry::end_us).max().unwrap(),
            segments: entries.len(),
            bytes: entries.iter().map(|e| (e.disk, e.bytes.into())).collect(),
        }
    }

    fn in_bucket(&self, of: &StreamId, number: u64) -> Vec<Entry> {
        let entries = self.of(of);
        let from = |number| entries.partition_point(|e| e.sequence / BUCKET < number);
        entries[from(number)..from(number + 1)].to_vec()
    }

    fn of(&self, of: &StreamId) -> &[Entry] {
        self.streams.get(of).map_or(&[], Vec::as_slice)
    }
}

impl Buckets for Shelf {
    fn from(&self, stream: &StreamId, number: u64) -> Option<Bucket> {
        let entries = self.of(stream);
        let first = entries.partition_point(|e| e.sequence / BUCKET < number);
        Some(self.bucket(stream, entries.get(first)?.sequence / BUCKET))
    }

    fn before(&self, stream: &StreamId, number: u64) -> Option<Bucket> {
        let entries = self.of(stream);
        let end = entries.partition_point(|e| e.sequence / BUCKET < number);
        Some(self.bucket(stream, entries.get(end.checked_sub(1)?)?.sequence / BUCKET))
    }

    fn segments(&self, stream: &StreamId, number: u64) -> Vec<Entry> {
        self.reads.set(self.reads.get() + 1);
        self.in_bucket(stream, number)
    }
}
