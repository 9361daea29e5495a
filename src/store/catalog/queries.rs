//! What the catalog is asked.

use std::collections::{BTreeMap, HashMap, HashSet};

use hearthkeep_format::{DiskId, EpochId, SegmentId, StreamId};

use super::groups::{self, Group, LEVELS, Order, Step};
use super::{BUCKET_SEGMENTS, Catalog, CatalogError, Entry, Tally};
use crate::store::age::{History, Part, Piece};
use crate::store::held::Held;
use crate::store::retention::{Bucket, Buckets};

/// How much a stream has, from when to when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of segments.
    pub segments: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// The earliest start, us of wall time; `None` where there is nothing.
    pub first_us: Option<i64>,
    /// The latest end, us of wall time.
    pub last_us: Option<i64>,
}

impl Catalog {
    /// The segments of a stream that have something of a span of wall time, by their start.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn timeline(
        &self,
        stream: &StreamId,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<Entry>, CatalogError> {
        let numbers = self.directory().within(stream, from_us, to_us);
        let mut found = Vec::new();
        for number in numbers {
            let bucket = self.bucket(stream, number)?;
            found.extend(bucket.into_iter().filter(|entry| {
                entry.start_us < to_us && entry.end_us() > from_us && !entry.tombstone
            }));
        }
        found.sort_by_key(|entry| (entry.start_us, entry.sequence));
        Ok(found)
    }

    /// The segment of a stream that starts first at or after a wall time.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn next_from(
        &self,
        stream: &StreamId,
        mut at_us: i64,
    ) -> Result<Option<Entry>, CatalogError> {
        loop {
            let Some(number) = self.directory().first_from(stream, at_us) else {
                return Ok(None);
            };
            let bucket = self.bucket(stream, number)?;
            let to_us = bucket.iter().map(Entry::end_us).max();
            let later = bucket.into_iter().filter(|entry| entry.start_us >= at_us);
            let next = later.min_by_key(|entry| entry.start_us);
            match to_us {
                // The time may be within the last segment of a bucket.
                Some(to_us) if next.is_none() && to_us > at_us => at_us = to_us,
                _ => return Ok(next),
            }
        }
    }

    /// The segment of a stream that ends last at or before a wall time.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn last_before(
        &self,
        stream: &StreamId,
        mut at_us: i64,
    ) -> Result<Option<Entry>, CatalogError> {
        loop {
            let Some(number) = self.directory().last_before(stream, at_us) else {
                return Ok(None);
            };
            let bucket = self.bucket(stream, number)?;
            let from_us = bucket.iter().map(|entry| entry.start_us).min();
            let earlier = bucket.into_iter().filter(|entry| entry.end_us() <= at_us);
            let last = earlier
                .filter(|entry| !entry.tombstone)
                .max_by_key(Entry::end_us);
            match from_us {
                // The time may be within the first segment of a bucket.
                Some(from_us) if last.is_none() && from_us < at_us => at_us = from_us,
                _ => return Ok(last),
            }
        }
    }

    /// A segment of a stream.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn find(
        &self,
        stream: &StreamId,
        segment: &SegmentId,
    ) -> Result<Option<Entry>, CatalogError> {
        let numbers = self.directory().holding(stream, segment);
        for number in numbers {
            let bucket = self.bucket(stream, number)?;
            if let Some(entry) = bucket.iter().find(|entry| entry.segment == *segment) {
                return Ok(Some(*entry));
            }
        }
        Ok(None)
    }

    /// The segment of a stream with the highest sequence.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn last(&self, stream: &StreamId) -> Result<Option<Entry>, CatalogError> {
        let newest = self.directory().newest_bucket(stream);
        match newest {
            Some(number) => Ok(self.bucket(stream, number)?.pop()),
            None => Ok(None),
        }
    }

    /// A sequence that no segment of a stream exceeds, as far as is known without reading any; `None` where there is none.
    pub fn highest_possible(&self, stream: &StreamId) -> Option<u64> {
        let number = self.directory().newest_bucket(stream)?;
        Some(number * BUCKET_SEGMENTS + (BUCKET_SEGMENTS - 1))
    }

    /// The segments of a stream in the order of their sequence, read bucket by bucket as the iterator is driven.
    pub fn oldest_first(&self, stream: &StreamId) -> OldestFirst<'_> {
        OldestFirst {
            catalog: self,
            stream: *stream,
            next: 0,
            disks: None,
            entries: Vec::new().into_iter(),
        }
    }

    /// The same of some disks only.
    pub(in crate::store) fn oldest_first_on(
        &self,
        stream: &StreamId,
        disks: HashSet<u16>,
    ) -> OldestFirst<'_> {
        OldestFirst {
            disks: Some(disks),
            ..self.oldest_first(stream)
        }
    }

    /// The numbers of a stream's buckets, for [`Catalog::in_bucket`].
    pub(in crate::store) fn buckets(&self, stream: &StreamId) -> Vec<u64> {
        let directory = self.directory();
        let buckets = directory.streams.get(stream).into_iter();
        buckets.flat_map(BTreeMap::keys).copied().collect()
    }

    /// The segments of a stream in one bucket.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub(in crate::store) fn in_bucket(
        &self,
        stream: &StreamId,
        number: u64,
    ) -> Result<Vec<Entry>, CatalogError> {
        self.bucket(stream, number)
    }

    /// A stream's footage as ages are counted by.
    pub fn history(&self, stream: StreamId) -> impl History + use<'_> {
        StreamHistory {
            catalog: self,
            stream,
        }
    }

    /// The streams that have segments.
    pub fn streams(&self) -> Vec<StreamId> {
        self.directory().streams.keys().copied().collect()
    }

    /// What a stream has.
    pub fn usage(&self, stream: &StreamId) -> Usage {
        let directory = self.directory();
        let mut usage = Usage::default();
        directory.walk(stream, 0..=u64::MAX, Order::OldestFirst, &mut |group| {
            usage.segments += group.segments as u64;
            usage.bytes += group.disks.iter().map(|(_, bytes, _)| bytes).sum::<u64>();
            let first = usage.first_us.unwrap_or(i64::MAX);
            usage.first_us = Some(first.min(group.from_us));
            let last = usage.last_us.unwrap_or(i64::MIN);
            usage.last_us = Some(last.max(group.to_us));
            Step::Over
        });
        usage
    }

    /// Bytes of a stream's segments on each disk that has any.
    pub fn stream_bytes(&self, stream: &StreamId) -> Vec<(u16, u64)> {
        let directory = self.directory();
        let bytes = directory.sums.get(stream).map(|sum| &sum.bytes);
        bytes
            .into_iter()
            .flatten()
            .map(|(disk, bytes)| (*disk, *bytes))
            .collect()
    }

    /// Bytes of a stream's segments on each disk since a wall time, us, and from when on they are. Where only some of a bucket
    /// is so young, its part in time is taken.
    pub(in crate::store) fn recorded_since(
        &self,
        stream: &StreamId,
        since_us: i64,
    ) -> Option<(i64, BTreeMap<u16, u64>)> {
        let directory = self.directory();
        directory.streams.get(stream)?;
        let (mut first_us, mut sums) = (i64::MAX, BTreeMap::new());
        directory.walk(stream, 0..=u64::MAX, Order::NewestFirst, &mut |group| {
            if group.to_us <= since_us {
                return Step::Stop;
            }
            if group.level > 0 && group.from_us < since_us {
                return Step::Into;
            }
            first_us = first_us.min(group.from_us);
            let young_us = group.to_us.saturating_sub(group.from_us.max(since_us));
            let spans_us = group.to_us.saturating_sub(group.from_us).max(1);
            let part = young_us as f64 / spans_us as f64;
            for (disk, bytes, _) in &group.disks {
                *sums.entry(*disk).or_insert(0) += (*bytes as f64 * part) as u64;
            }
            Step::Over
        });
        Some((first_us.max(since_us), sums))
    }

    /// Bytes of each stream's segments on each disk that are held. Where only some of a bucket is, its part in time is taken.
    pub(in crate::store) fn held_bytes(&self, held: &Held) -> HashMap<(StreamId, u16), u64> {
        let mut sums = HashMap::new();
        if held.is_empty() {
            return sums;
        }
        let directory = self.directory();
        for stream in directory.streams.keys() {
            directory.walk(stream, 0..=u64::MAX, Order::OldestFirst, &mut |group| {
                let part = held.share(stream, group.from_us, group.to_us);
                if group.level > 0 && part > 0.0 && part < 1.0 {
                    return Step::Into;
                }
                for (disk, bytes, _) in group.disks.iter().filter(|_| part > 0.0) {
                    *sums.entry((*stream, *disk)).or_insert(0) += (*bytes as f64 * part) as u64;
                }
                Step::Over
            });
        }
        sums
    }

    /// Bytes of all segments on a disk.
    pub fn disk_bytes(&self, disk: u16) -> u64 {
        let directory = self.directory();
        let sums = directory.sums.values();
        sums.filter_map(|sum| sum.bytes.get(&disk)).sum()
    }

    /// Segments on a disk.
    pub fn disk_segments(&self, disk: u16) -> u64 {
        let directory = self.directory();
        let tallies = directory.epochs.iter();
        let on_it = tallies.filter(|((_, _, on), _)| *on == disk);
        on_it.map(|(_, tally)| u64::from(tally.count)).sum()
    }

    /// Wall time at which the oldest segment on a disk starts, us; as far as the clock went on.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn disk_oldest_us(&self, disk: u16) -> Result<Option<i64>, CatalogError> {
        let first = {
            let directory = self.directory();
            let since = |group: &Group| {
                let on_it = group.disks.iter().find(|(on, ..)| *on == disk);
                on_it.map(|(.., from_us)| *from_us)
            };
            let mut first: Option<(i64, StreamId)> = None;
            for stream in directory.streams.keys() {
                directory.walk(stream, 0..=u64::MAX, Order::OldestFirst, &mut |group| {
                    let of_it = since(group).map(|from_us| (from_us, *stream));
                    first = first.into_iter().chain(of_it).min();
                    Step::Over
                });
            }
            first.and_then(|(first_us, stream)| {
                let is_it = &mut |group: &Group| since(group) == Some(first_us);
                let bucket = directory.first_wanted(&stream, 0, is_it)?;
                Some((stream, bucket.number))
            })
        };
        let Some((stream, number)) = first else {
            return Ok(None);
        };
        let bucket = self.bucket(&stream, number)?;
        let on_it = bucket.iter().filter(|entry| entry.disk == disk);
        Ok(on_it.map(|entry| entry.start_us).min())
    }

    /// The same of the segments that nobody holds: what may be deleted there.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub(in crate::store) fn disk_oldest_loose_us(
        &self,
        disk: u16,
        held: &Held,
    ) -> Result<Option<i64>, CatalogError> {
        if held.is_empty() {
            return self.disk_oldest_us(disk);
        }
        let mut oldest_us = None;
        for stream in self.streams() {
            let mut next = 0;
            while let Some(bucket) = self.first_loose(&stream, next, disk, held)
                && oldest_us.is_none_or(|oldest_us| bucket.from_us < oldest_us)
            {
                let entries = self.bucket(&stream, bucket.number)?;
                let is_loose = |entry: &&Entry| {
                    entry.disk == disk && !held.touches(&stream, entry.start_us, entry.end_us())
                };
                let loose = entries.iter().filter(is_loose).map(|entry| entry.start_us);
                if let Some(first_us) = loose.min() {
                    oldest_us = oldest_us.into_iter().chain([first_us]).min();
                    break;
                }
                next = bucket.number + 1;
            }
        }
        Ok(oldest_us)
    }

    /// The first bucket of a stream from a number on that has something on a disk and is not held as a whole.
    fn first_loose(&self, stream: &StreamId, from: u64, disk: u16, held: &Held) -> Option<Group> {
        let is_wanted = &mut |group: &Group| {
            let is_on = group.disks.iter().any(|(on, ..)| *on == disk);
            is_on && !held.covers(stream, group.from_us, group.to_us)
        };
        self.directory().first_wanted(stream, from, is_wanted)
    }

    /// The number of a disk, if the catalog knows it.
    pub fn known_number(&self, disk: &DiskId) -> Option<u16> {
        let directory = self.directory();
        let index = directory.disks.iter().position(|known| known == disk)?;
        u16::try_from(index).ok()
    }

    /// Number of segments.
    pub fn len(&self) -> u64 {
        self.directory().sums.values().map(|sum| sum.segments).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known of the segments of an epoch on a disk.
    pub fn epoch_tally(&self, stream: &StreamId, epoch: &EpochId, disk: u16) -> Tally {
        let folder = (*stream, *epoch, disk);
        self.directory()
            .epochs
            .get(&folder)
            .copied()
            .unwrap_or_default()
    }

    /// The epochs of a stream that have segments on a disk.
    pub fn epochs(&self, stream: &StreamId, disk: u16) -> Vec<EpochId> {
        let directory = self.directory();
        let folders = directory.epochs.keys();
        folders
            .filter(|(of, _, on)| of == stream && *on == disk)
            .map(|(_, epoch, _)| *epoch)
            .collect()
    }

    /// The segments of an epoch that lie on a disk. This reads all of the stream's.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn epoch(
        &self,
        stream: &StreamId,
        epoch: &EpochId,
        disk: u16,
    ) -> Result<Vec<Entry>, CatalogError> {
        if self.epoch_tally(stream, epoch, disk).count == 0 {
            return Ok(Vec::new());
        }
        let is_of_it = |entry: &Entry| entry.epoch == *epoch && entry.disk == disk;
        self.oldest_first(stream)
            .filter(|entry| entry.as_ref().map_or(true, is_of_it))
            .collect()
    }
}

/// See [`Catalog::oldest_first`].
pub struct OldestFirst<'a> {
    catalog: &'a Catalog,
    stream: StreamId,
    /// The number of the bucket from which on the next is looked for.
    next: u64,
    /// The disks of which segments are wanted; `None` means all.
    disks: Option<HashSet<u16>>,
    entries: std::vec::IntoIter<Entry>,
}

impl OldestFirst<'_> {
    fn is_on(&self, disk: u16) -> bool {
        self.disks
            .as_ref()
            .is_none_or(|disks| disks.contains(&disk))
    }

    fn next_bucket(&self) -> Option<u64> {
        let wanted = &mut |group: &Group| group.disks.iter().any(|(disk, ..)| self.is_on(*disk));
        let directory = self.catalog.directory();
        let bucket = directory.first_wanted(&self.stream, self.next, wanted)?;
        Some(bucket.number)
    }
}

impl Iterator for OldestFirst<'_> {
    type Item = Result<Entry, CatalogError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.entries.next() {
                if self.is_on(entry.disk) {
                    return Some(Ok(entry));
                }
                continue;
            }
            let number = self.next_bucket()?;
            self.next = number.checked_add(1)?;
            match self.catalog.bucket(&self.stream, number) {
                Ok(entries) => self.entries = entries.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Buckets for Catalog {
    fn from(&self, stream: &StreamId, number: u64) -> Option<Bucket> {
        let directory = self.directory();
        let first = directory.first_wanted(stream, number, &mut |_| true);
        first.as_ref().map(bucket_of)
    }

    fn before(&self, stream: &StreamId, number: u64) -> Option<Bucket> {
        let until = number.checked_sub(1)?;
        let (directory, mut found) = (self.directory(), None);
        let newest = Order::NewestFirst;
        directory.walk_from(stream, 0, 0..=until, newest, &mut |group| {
            found = Some(bucket_of(group));
            Step::Stop
        });
        found
    }

    fn wanted_from(
        &self,
        stream: &StreamId,
        number: u64,
        is_wanted: &mut dyn FnMut(&Bucket) -> bool,
    ) -> Option<Bucket> {
        let directory = self.directory();
        let wanted = &mut |group: &Group| is_wanted(&bucket_of(group));
        let first = directory.first_wanted(stream, number, wanted);
        first.as_ref().map(bucket_of)
    }

    fn segments(&self, stream: &StreamId, number: u64) -> Vec<Entry> {
        // What cannot be read makes the next start rebuild the catalog.
        self.bucket(stream, number).unwrap_or_default()
    }
}

/// Of several buckets, under the number of the last.
fn bucket_of(group: &Group) -> Bucket {
    Bucket {
        number: *group.buckets().end(),
        from_us: group.from_us,
        to_us: group.to_us,
        segments: group.segments,
        bytes: group
            .disks
            .iter()
            .map(|(disk, bytes, _)| (*disk, *bytes))
            .collect(),
    }
}

/// A stream's buckets, as long as nothing is asked of them that their summaries say.
struct StreamHistory<'a> {
    catalog: &'a Catalog,
    stream: StreamId,
}

impl History for StreamHistory<'_> {
    fn parts(&self, of: Option<&Part>) -> Vec<Part> {
        let directory = self.catalog.directory();
        let (level, buckets) = match of {
            Some(part) => (part.level - 1, groups::buckets(part.level, part.number)),
            None => (LEVELS, 0..=u64::MAX),
        };
        let mut parts = Vec::new();
        let newest = Order::NewestFirst;
        directory.walk_from(&self.stream, level, buckets, newest, &mut |group| {
            parts.push(Part {
                level: group.level,
                number: group.number,
                run: group.run,
            });
            Step::Over
        });
        parts
    }

    fn segments(&self, number: u64) -> Option<Vec<Piece>> {
        let bucket = self.catalog.bucket(&self.stream, number).ok()?;
        Some(bucket.iter().rev().map(Piece::of).collect())
    }
}
