//! What there is of a stream, and its segments opened, while the store is written to.

use std::collections::HashMap;
use std::path::PathBuf;

use hearthkeep_format::{SegmentId, StreamId};

use super::catalog::Entry;
use super::check::{Page, PageFrom};
use super::damaged::damaged;
use super::{Error, OpenSegment, Result, Span, Store, Timeline, layout, timeline};
use crate::disk::Front;

/// Segments on disks that are away which are passed over in search of one that is here: a week's.
const AWAY_PASSED_OVER_MAX: usize = 10_000;

/// How much there is of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Number of segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Wall time at which the oldest starts, us; `None` where there is nothing.
    pub oldest_us: Option<i64>,
    /// Wall time at which the newest ends, us; `None` where there is nothing.
    pub newest_us: Option<i64>,
}

impl Store {
    /// What there is of a stream in a span of wall time, us; open segments as far as they are durable.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn timeline(&self, stream: &StreamId, from_us: i64, to_us: i64) -> Result<Timeline> {
        // Memory first: what is catalogued between the two looks is seen twice rather than not at all.
        let mut spans = self.in_memory(stream);
        let catalogued = self.shared.catalog.timeline(stream, from_us, to_us)?;
        spans.retain(|span| catalogued.iter().all(|entry| entry.segment != span.segment));
        let later = spans.iter().filter(|span| span.start_us >= to_us).copied();
        let later = later.min_by_key(|span| span.start_us);
        let before = spans.iter().filter(|span| span.end_us() <= from_us);
        let before = before.max_by_key(|span| span.end_us()).copied();
        let is_within = |span: &Span| span.start_us < to_us && span.end_us() > from_us;
        spans.retain(|span| span.duration_us > 0 && is_within(span));
        spans.extend(catalogued.iter().map(Span::of_entry));
        let next = self.shared.catalog.next_from(stream, to_us)?;
        let next = next.as_ref().map(Span::of_entry).or(later);
        let last = self.shared.catalog.last_before(stream, from_us)?;
        let last = last.as_ref().map(Span::of_entry);
        let last = last.into_iter().chain(before).max_by_key(Span::end_us);
        let mut timeline = timeline::timeline(spans, (last, next), from_us, to_us);
        timeline::tell_logged(&mut timeline.gaps, |from_us, to_us| {
            self.log().gaps(stream, from_us, to_us)
        });
        let removed = self.log().removed(stream, from_us, to_us);
        timeline::tell_removed(&mut timeline.gaps, &removed);
        let away = self.disks_away();
        if !away.is_empty() {
            timeline::tell_away(&mut timeline, |disk| away.contains_key(&disk));
            timeline.next = self.next_here(stream, timeline.next, &away)?;
        }
        let logged = self.log().gaps(stream, from_us, to_us);
        timeline.damaged = damaged(&timeline.segments, &logged);
        timeline.rotten = self.shared.scrub.lost(stream, &timeline.segments);
        Ok(timeline)
    }

    /// How much there is of a stream, from when and to when, open segments as far as they are durable. No disk is asked. What is in memory
    /// counts as not catalogued where the catalog cannot be read.
    pub fn kept(&self, stream: &StreamId) -> Kept {
        let mut spans = self.in_memory(stream);
        let is_catalogued = |span: &Span| {
            let found = self.shared.catalog.find(stream, &span.segment);
            found.is_ok_and(|entry| entry.is_some())
        };
        spans.retain(|span| !is_catalogued(span));
        let usage = self.usage(stream);
        let oldest_us = spans.iter().map(|span| span.start_us);
        let newest_us = spans.iter().map(Span::end_us);
        Kept {
            segments: usage.segments + spans.len() as u64,
            bytes: usage.bytes + spans.iter().map(|span| span.bytes).sum::<u64>(),
            oldest_us: oldest_us.chain(usage.first_us).min(),
            newest_us: newest_us.chain(usage.last_us).max(),
        }
    }

    /// A page of what the catalog has, from there on or from its beginning.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn catalogued(&self, from: Option<&PageFrom>) -> Result<Page> {
        Ok(Page::of(&self.shared.catalog, from)?)
    }

    /// The first segment from one on that is not on a disk that is away.
    fn next_here(
        &self,
        stream: &StreamId,
        mut next: Option<Span>,
        away: &HashMap<u16, PathBuf>,
    ) -> Result<Option<Span>> {
        for _ in 0..AWAY_PASSED_OVER_MAX {
            let Some(span) = next.filter(|span| away.contains_key(&span.disk)) else {
                break;
            };
            let after = self.shared.catalog.next_from(stream, span.start_us + 1)?;
            next = after.as_ref().map(Span::of_entry);
        }
        Ok(next)
    }

    /// The folders of the disks that are not there, by their numbers in the catalog.
    pub fn disks_away(&self) -> HashMap<u16, PathBuf> {
        let slots = self.shared.slots.now().into_iter();
        let away = slots.filter(|slot| slot.mounted().is_none());
        let numbered = away.filter_map(|slot| {
            let number = self.shared.catalog.known_number(&slot.id?)?;
            Some((number, slot.wanted.path))
        });
        numbered.collect()
    }

    /// Opens a segment for reading, as far as it is durable.
    ///
    /// # Errors
    /// [`Error::NoSegment`], [`Error::Away`]; or what the disk or catalog says.
    pub fn open_segment(&self, stream: &StreamId, segment: &SegmentId) -> Result<OpenSegment> {
        let in_memory = self.shared.segments().get(segment).cloned();
        let in_memory = in_memory.filter(|known| known.new.stream == *stream);
        if let Some(known) = in_memory {
            let span = self.shared.span_of(&known);
            return self.open_file(span, (stream, segment), known.disk, Some(span.bytes));
        }
        let find = || {
            let entry = self.shared.catalog.find(stream, segment)?;
            entry
                .filter(|entry| !entry.tombstone)
                .ok_or(Error::NoSegment)
        };
        let open = |entry: &Entry| {
            let limit = entry.torn.then_some(u64::from(entry.bytes));
            self.open_file(Span::of_entry(entry), (stream, segment), entry.disk, limit)
        };
        let entry = find()?;
        match open(&entry) {
            // It may have been moved to another disk in between.
            Err(Error::NoSegment) => match find()? {
                moved if moved.disk != entry.disk => open(&moved),
                _ => Err(Error::NoSegment),
            },
            opened => opened,
        }
    }

    fn open_file(
        &self,
        span: Span,
        (stream, segment): (&StreamId, &SegmentId),
        disk: u16,
        limit: Option<u64>,
    ) -> Result<OpenSegment> {
        let Some(disk) = self.shared.slots.disk(disk) else {
            let away = self.disks_away().remove(&disk);
            return Err(away.map_or(Error::NoSegment, |disk| Error::Away { disk }));
        };
        let path = layout::segment_path(stream, &span.epoch, segment);
        let opened = disk.disk.open_read(&path).and_then(|file| match limit {
            Some(bytes) => Front::of(file, bytes),
            None => Front::whole(file),
        });
        match opened {
            Ok(front) => {
                let front = front.past_bad_sectors();
                Ok(OpenSegment { front, span })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::NoSegment),
            Err(error) => Err(Error::io("read", &disk.path.join(path), error)),
        }
    }
}
