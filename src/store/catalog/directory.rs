//! What of the catalog stays in memory: a summary of each bucket, their sums, a tally of each epoch. About 360 bytes for 64
//! segments: 6 MB for a million.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

use hearthkeep_format::{DiskId, EpochId, SegmentId, StreamId};

use super::entry::{BUCKET_SEGMENTS, Entry, Fields};
use super::groups::{Group, Groups, LEVELS, Order, Step};
use super::numbers::Numbers;

/// What is known of a bucket without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The earliest start and the latest end of its segments, wall time in us.
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
    /// Bytes of its segments on each disk that has any.
    pub(crate) bytes: Box<[(u16, u64)]>,
    /// The fingerprint of each segment.
    pub(crate) fingerprints: Box<[u32]>,
}

impl Summary {
    /// The summary of a bucket that is not empty.
    pub(crate) fn of(entries: &[Entry]) -> Self {
        let mut bytes: Vec<(u16, u64)> = Vec::with_capacity(1);
        for entry in entries {
            match bytes.iter_mut().find(|(disk, _)| *disk == entry.disk) {
                Some((_, sum)) => *sum += u64::from(entry.bytes),
                None => bytes.push((entry.disk, u64::from(entry.bytes))),
            }
        }
        Self {
            from_us: entries.iter().map(|e| e.start_us).min().unwrap_or(0),
            to_us: entries.iter().map(Entry::end_us).max().unwrap_or(0),
            bytes: bytes.into(),
            fingerprints: entries
                .iter()
                .map(|e| Entry::fingerprint(&e.segment))
                .collect(),
        }
    }

    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(18 + 10 * self.bytes.len() + 4 * self.fingerprints.len());
        out.extend_from_slice(&self.from_us.to_be_bytes());
        out.extend_from_slice(&self.to_us.to_be_bytes());
        out.extend_from_slice(&(self.bytes.len() as u16).to_be_bytes());
        for (disk, bytes) in &self.bytes {
            out.extend_from_slice(&disk.to_be_bytes());
            out.extend_from_slice(&bytes.to_be_bytes());
        }
        for fingerprint in &self.fingerprints {
            out.extend_from_slice(&fingerprint.to_be_bytes());
        }
        out
    }

    /// Whether a bucket of this number can be so: sums of what is not are beyond what numbers hold.
    pub(crate) fn is_possible(&self, number: u64) -> bool {
        let segments = self.fingerprints.len() as u64;
        let bytes = self
            .bytes
            .iter()
            .try_fold(0_u64, |sum, (_, bytes)| sum.checked_add(*bytes));
        number <= u64::MAX / BUCKET_SEGMENTS
            && self.from_us <= self.to_us
            && segments > 0
            && self.bytes.len() as u64 <= segments
            && bytes.is_some_and(|bytes| bytes <= segments * u64::from(u32::MAX))
    }

    pub(crate) fn unpack(packed: &[u8]) -> Option<Self> {
        let (head, rest) = packed.split_first_chunk::<18>()?;
        let mut head = Fields(head);
        let from_us = i64::from_be_bytes(head.take());
        let to_us = i64::from_be_bytes(head.take());
        let disks = usize::from(u16::from_be_bytes(head.take()));
        let (bytes, fingerprints) = rest.split_at_checked(disks * 10)?;
        let (fingerprints, []) = fingerprints.as_chunks::<4>() else {
            return None;
        };
        let bytes = bytes.as_chunks::<10>().0.iter().map(|sum| {
            let mut sum = Fields(sum);
            (
                u16::from_be_bytes(sum.take()),
                u64::from_be_bytes(sum.take()),
            )
        });
        Some(Self {
            from_us,
            to_us,
            bytes: bytes.collect(),
            fingerprints: fingerprints
                .iter()
                .map(|f| u32::from_be_bytes(*f))
                .collect(),
        })
    }
}

/// How many segments of an epoch lie on a disk, and the exclusive or of their ids: equal to that of a folder's listing only
/// if both hold the same random ids. The ids of those that a start has something to do about are left out, so that it looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of segments.
    pub count: u32,
    /// All ids in one.
    pub mix: [u8; 16],
}

impl Tally {
    /// Counts a segment in.
    pub fn add(&mut self, segment: &SegmentId) {
        self.count = self.count.saturating_add(1);
        self.mix(segment);
    }

    /// Counts an entry in.
    pub(crate) fn enter(&mut self, entry: &Entry) {
        self.count = self.count.saturating_add(1);
        self.mix_settled(entry);
    }

    /// Counts an entry out.
    pub(crate) fn leave(&mut self, entry: &Entry) {
        self.count = self.count.saturating_sub(1);
        self.mix_settled(entry);
    }

    fn mix_settled(&mut self, entry: &Entry) {
        if entry.is_settled() {
            self.mix(&entry.segment);
        }
    }

    fn mix(&mut self, segment: &SegmentId) {
        for (mixed, byte) in self.mix.iter_mut().zip(segment.as_bytes()) {
            *mixed ^= byte;
        }
    }

    pub(crate) fn pack(&self) -> [u8; 20] {
        let mut out = [0; 20];
        out[..4].copy_from_slice(&self.count.to_be_bytes());
        out[4..].copy_from_slice(&self.mix);
        out
    }

    pub(crate) fn unpack(packed: &[u8]) -> Option<Self> {
        let packed: &[u8; 20] = packed.try_into().ok()?;
        let mut fields = Fields(packed);
        Some(Self {
            count: u32::from_be_bytes(fields.take()),
            mix: fields.take(),
        })
    }
}

/// Where a tally stands: an epoch's folder on one disk.
pub(crate) type EpochFolder = (StreamId, EpochId, u16);

/// What all summaries of a stream come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) segments: u64,
    /// Bytes of its segments on each disk that has any.
    pub(crate) bytes: BTreeMap<u16, u64>,
}

impl Sum {
    fn enter(&mut self, summary: &Summary) {
        self.segments += summary.fingerprints.len() as u64;
        for (disk, bytes) in &summary.bytes {
            *self.bytes.entry(*disk).or_default() += bytes;
        }
    }

    fn leave(&mut self, summary: &Summary) {
        self.segments -= summary.fingerprints.len() as u64;
        for (disk, bytes) in &summary.bytes {
            if let Some(sum) = self.bytes.get_mut(disk) {
                *sum -= bytes;
                if *sum == 0 {
                    self.bytes.remove(disk);
                }
            }
        }
    }
}

/// All summaries and tallies.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub(crate) streams: BTreeMap<StreamId, BTreeMap<u64, Summary>>,
    /// The summaries of each stream in a tree.
    groups: HashMap<StreamId, Groups>,
    pub(crate) epochs: HashMap<EpochFolder, Tally>,
    /// What the summaries of each stream come to, so that nobody has to go through all of them.
    pub(crate) sums: BTreeMap<StreamId, Sum>,
    /// The disk of each number.
    pub(crate) disks: Vec<DiskId>,
    /// What is remembered of sequence numbers.
    pub(super) numbers: Numbers,
    /// See [`Directory::looks`].
    looks: AtomicU64,
}

impl Directory {
    /// Summaries and groups that were looked at so far: what questions cost, without a clock.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// Puts another one in its place.
    pub(crate) fn renew(&mut self, by: Self) {
        let looks = self.looks().into();
        *self = Self { looks, ..by };
    }

    fn looked(&self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    /// Looks at what a stream has of buckets of these numbers, from the highest groups down as far as `look` says.
    pub(crate) fn walk(
        &self,
        stream: &StreamId,
        buckets: RangeInclusive<u64>,
        order: Order,
        look: &mut dyn FnMut(&Group) -> Step,
    ) {
        self.walk_from(stream, LEVELS, buckets, order, look);
    }

    /// The same from groups of a level down.
    pub(crate) fn walk_from(
        &self,
        stream: &StreamId,
        level: u8,
        buckets: RangeInclusive<u64>,
        order: Order,
        look: &mut dyn FnMut(&Group) -> Step,
    ) {
        let of_it = self.streams.get(stream).zip(self.groups.get(stream));
        if let Some((summaries, groups)) = of_it {
            groups.walk(summaries, level, buckets, order, &mut |group| {
                self.looked();
                look(group)
            });
        }
    }

    /// The first bucket of a stream from a number on that is wanted. Asked is also whether any of a group may be.
    pub(crate) fn first_wanted(
        &self,
        stream: &StreamId,
        from: u64,
        is_wanted: &mut dyn FnMut(&Group) -> bool,
    ) -> Option<Group> {
        let mut found = None;
        self.walk(
            stream,
            from..=u64::MAX,
            Order::OldestFirst,
            &mut |group| match is_wanted(group) {
                false => Step::Over,
                true if group.level > 0 => Step::Into,
                true => {
                    found = Some(group.clone());
                    Step::Stop
                }
            },
        );
        found
    }

    /// Sums up what was set with [`Directory::set_summary`].
    pub(crate) fn sum_up(&mut self) {
        self.groups = self
            .streams
            .iter()
            .map(|(stream, summaries)| (*stream, Groups::of(summaries)))
            .collect();
    }

    /// Whether summaries and tallies speak of equally many segments.
    pub(crate) fn is_consistent(&self) -> bool {
        let summed: usize = self.buckets().map(|s| s.fingerprints.len()).sum();
        let tallied: usize = self.epochs.values().map(|tally| tally.count as usize).sum();
        let disks = self.disks.len();
        summed == tallied
            && self
                .epochs
                .keys()
                .all(|(_, _, disk)| usize::from(*disk) < disks)
    }

    pub(crate) fn buckets(&self) -> impl Iterator<Item = &Summary> {
        self.streams.values().flat_map(BTreeMap::values)
    }

    /// How many segments a bucket has.
    pub(crate) fn segments_of(&self, stream: &StreamId, bucket: u64) -> usize {
        let summary = self
            .streams
            .get(stream)
            .and_then(|buckets| buckets.get(&bucket));
        summary.map_or(0, |summary| summary.fingerprints.len())
    }

    /// The number of a stream's bucket with the highest sequence numbers.
    pub(crate) fn newest_bucket(&self, stream: &StreamId) -> Option<u64> {
        let (number, _) = self.streams.get(stream)?.last_key_value()?;
        Some(*number)
    }

    /// Numbers of the buckets that may hold something of a span.
    pub(crate) fn within(&self, stream: &StreamId, from_us: i64, to_us: i64) -> Vec<u64> {
        let mut found = Vec::new();
        self.walk(stream, 0..=u64::MAX, Order::OldestFirst, &mut |group| {
            let is_within = group.from_us < to_us && group.to_us > from_us;
            if is_within && group.level == 0 {
                found.push(group.number);
            }
            if is_within { Step::Into } else { Step::Over }
        });
        found
    }

    /// Numbers of the buckets that may hold a segment: one, but for chance.
    pub(crate) fn holding(&self, stream: &StreamId, segment: &SegmentId) -> Vec<u64> {
        let wanted = Entry::fingerprint(segment);
        self.filtered(stream, |s| s.fingerprints.contains(&wanted))
    }

    /// The bucket in which the first segment starts that does so at or after a time, as long as the clock went on.
    pub(crate) fn first_from(&self, stream: &StreamId, at_us: i64) -> Option<u64> {
        let mut first: Option<(i64, u64)> = None;
        self.walk(stream, 0..=u64::MAX, Order::OldestFirst, &mut |group| {
            let from_us = group.from_us.max(at_us);
            if group.to_us <= at_us || first.is_some_and(|(us, _)| us <= from_us) {
                return Step::Over;
            }
            if group.level == 0 {
                first = Some((from_us, group.number));
            }
            Step::Into
        });
        first.map(|(_, number)| number)
    }

    /// The bucket of which a segment ends last at or before a time, as long as the clock went on.
    pub(crate) fn last_before(&self, stream: &StreamId, at_us: i64) -> Option<u64> {
        let mut last: Option<(i64, u64)> = None;
        self.walk(stream, 0..=u64::MAX, Order::NewestFirst, &mut |group| {
            let to_us = group.to_us.min(at_us);
            if group.from_us >= at_us || last.is_some_and(|(us, _)| us >= to_us) {
                return Step::Over;
            }
            if group.level == 0 {
                last = Some((to_us, group.number));
            }
            Step::Into
        });
        last.map(|(_, number)| number)
    }

    fn filtered(&self, stream: &StreamId, keep: impl Fn(&Summary) -> bool) -> Vec<u64> {
        let buckets = self.streams.get(stream).into_iter().flatten();
        buckets
            .inspect(|_| self.looked())
            .filter(|(_, s)| keep(s))
            .map(|(number, _)| *number)
            .collect()
    }

    /// Replaces a bucket's summary, or forgets it.
    pub(crate) fn set(&mut self, stream: StreamId, bucket: u64, summary: Option<Summary>) {
        self.set_summary(stream, bucket, summary);
        match self.streams.get(&stream) {
            Some(summaries) => {
                let groups = self.groups.entry(stream).or_default();
                groups.renew(summaries, bucket);
            }
            None => _ = self.groups.remove(&stream),
        }
    }

    /// The same without summing up.
    pub(crate) fn set_summary(&mut self, stream: StreamId, bucket: u64, summary: Option<Summary>) {
        let buckets = self.streams.entry(stream).or_default();
        let sum = self.sums.entry(stream).or_default();
        summary.iter().for_each(|summary| sum.enter(summary));
        let before = match summary {
            Some(summary) => buckets.insert(bucket, summary),
            None => buckets.remove(&bucket),
        };
        before.iter().for_each(|summary| sum.leave(summary));
        if buckets.is_empty() {
            self.streams.remove(&stream);
            self.sums.remove(&stream);
        }
    }

    /// Replaces an epoch's tally, or forgets it.
    pub(crate) fn set_tally(&mut self, folder: EpochFolder, tally: Tally) {
        match tally.count {
            0 => self.epochs.remove(&folder),
            _ => self.epochs.insert(folder, tally),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read_back() {
        let summary = Summary {
            from_us: -5,
            to_us: 9,
            bytes: [(0, 1 << 40), (3, 7)].into(),
            fingerprints: [1, 2, u32::MAX].into(),
        };
        let packed = summary.pack();
        assert_eq!(Summary::unpack(&packed).unwrap(), summary);
        for cut in 0..38 {
            assert!(Summary::unpack(&packed[..cut]).is_none(), "{cut}");
        }
    }

    #[test]
    fn a_tally_forgets_what_is_counted_out_and_leaves_out_what_is_not_settled() {
        let ids: Vec<_> = (0..9).map(|i| SegmentId::from_bytes([i; 16])).collect();
        let entries: Vec<_> = ids.iter().map(|id| entry(*id)).collect();
        let (mut listed, mut tally) = (Tally::default(), Tally::default());
        ids.iter().for_each(|id| listed.add(id));
        entries.iter().for_each(|entry| tally.enter(entry));
        assert_eq!(tally, listed);
        tally.leave(&entries[4]);
        assert_ne!(tally, listed);
        tally.enter(&Entry {
            torn: true,
            ..entries[4]
        });
        assert_eq!(tally.count, listed.count);
        assert_ne!(tally, listed);
        assert_eq!(Tally::unpack(&tally.pack()), Some(tally));
    }

    fn entry(segment: SegmentId) -> Entry {
        Entry {
            stream: StreamId::from_bytes([1; 16]),
            kind: hearthkeep_format::Kind::Media,
            epoch: EpochId::from_bytes([2; 16]),
            segment,
            disk: 0,
            start_us: 0,
            duration_us: 1,
            bytes: 1,
            sequence: 0,
            clock_trusted: true,
            recovered: false,
            tombstone: false,
            torn: false,
            gap: None,
        }
    }
}
