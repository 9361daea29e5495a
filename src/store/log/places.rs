//! On which disk each segment lies by the last word of the log: a byte a segment.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use hearthkeep_format::{DiskId, StreamId};

/// Sequences of a page.
const PAGE: u64 = 64;
/// Of a byte: no segment.
const NONE: u8 = 0;
/// Of a byte: on one of more disks than are told apart here.
const ANY: u8 = u8::MAX;

/// Bytes of a page's sequences: the number of the disk among those that the log names, from 1.
type Page = [u8; PAGE as usize];

/// Segments that follow each other on one disk: the first sequence, how many, and their byte.
pub(super) type Run = (u64, u64, u8);

#[derive(Default)]
pub(super) struct Places {
    disks: Vec<DiskId>,
    pages: HashMap<StreamId, BTreeMap<u64, Page>>,
}

impl Places {
    pub fn insert(&mut self, stream: StreamId, sequence: u64, disk: DiskId) {
        let known = self.disks.iter().position(|known| *known == disk);
        let number = known.unwrap_or_else(|| {
            if self.disks.len() < usize::from(ANY) {
                self.disks.push(disk);
            }
            self.disks.len() - 1
        });
        let is_it = self.disks[number] == disk;
        let byte = match u8::try_from(number + 1) {
            Ok(byte) if is_it => byte,
            _ => ANY,
        };
        let pages = self.pages.entry(stream).or_default();
        let page = pages
            .entry(sequence / PAGE)
            .or_insert([NONE; PAGE as usize]);
        page[(sequence % PAGE) as usize] = byte;
    }

    pub fn remove(&mut self, stream: &StreamId, sequence: u64) {
        let Some(pages) = self.pages.get_mut(stream) else {
            return;
        };
        if let Some(page) = pages.get_mut(&(sequence / PAGE)) {
            page[(sequence % PAGE) as usize] = NONE;
            if page.iter().all(|byte| *byte == NONE) {
                pages.remove(&(sequence / PAGE));
            }
        }
    }

    /// None yet, with these numbers for disks.
    pub fn on(disks: Vec<DiskId>) -> Self {
        Self {
            disks,
            ..Self::default()
        }
    }

    /// The disks, by their numbers.
    pub fn disks(&self) -> impl Iterator<Item = &DiskId> {
        self.disks.iter()
    }

    /// Where all segments lie, by stream.
    pub fn runs(&self) -> impl Iterator<Item = (&StreamId, Vec<Run>)> {
        self.pages.iter().map(|(stream, pages)| {
            let mut runs: Vec<Run> = Vec::new();
            let bytes = pages
                .iter()
                .flat_map(|(page, bytes)| bytes.iter().zip(page * PAGE..=u64::MAX));
            for (byte, sequence) in bytes.filter(|(byte, _)| **byte != NONE) {
                match runs.last_mut() {
                    Some((from, count, of)) if *from + *count == sequence && of == byte => {
                        *count += 1;
                    }
                    _ => runs.push((sequence, 1, *byte)),
                }
            }
            (stream, runs)
        })
    }

    /// Puts a run back, and returns its sequences; `None` where there cannot be such a one.
    pub fn put(&mut self, stream: StreamId, (from, count, byte): Run) -> Option<Range<u64>> {
        let is_known = byte == ANY || byte != NONE && usize::from(byte) <= self.disks.len();
        let end = from.checked_add(count).filter(|_| is_known)?;
        let pages = self.pages.entry(stream).or_default();
        let mut at = from;
        while at < end {
            let count = (end - at).min(PAGE - at % PAGE);
            let page = pages.entry(at / PAGE).or_insert([NONE; PAGE as usize]);
            page[(at % PAGE) as usize..][..count as usize].fill(byte);
            at += count;
        }
        Some(from..end)
    }

    /// Whether a segment lies there, as far as that is told apart.
    pub fn is_on(&self, stream: &StreamId, sequence: u64, disk: &DiskId) -> bool {
        let page = self
            .pages
            .get(stream)
            .and_then(|pages| pages.get(&(sequence / PAGE)));
        match page.map_or(NONE, |page| page[(sequence % PAGE) as usize]) {
            NONE => false,
            ANY => true,
            number => self.disks.get(usize::from(number) - 1) == Some(disk),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(number: u16) -> DiskId {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        DiskId::from_bytes(id)
    }

    #[test]
    fn the_last_word_of_each_counts() {
        let (mut places, stream) = (Places::default(), StreamId::from_bytes([1; 16]));
        let other = StreamId::from_bytes([2; 16]);
        for sequence in 0..1000 {
            places.insert(stream, sequence, disk((sequence % 2) as u16));
        }
        places.insert(stream, 7, disk(2));
        places.remove(&stream, 8);
        let on = |sequence, number| places.is_on(&stream, sequence, &disk(number));
        for sequence in (0..1000).filter(|sequence| !matches!(sequence, 7 | 8)) {
            let is_odd = sequence % 2 == 1;
            assert_eq!((on(sequence, 0), on(sequence, 1)), (!is_odd, is_odd));
        }
        assert_eq!((on(7, 1), on(7, 2)), (false, true));
        assert!((0..3).all(|number| !on(8, number) && !on(1000, number)));
        assert!(!places.is_on(&other, 1, &disk(1)));
        (0..1000).for_each(|sequence| places.remove(&stream, sequence));
        assert!(places.pages[&stream].is_empty());
    }

    #[test]
    fn of_more_disks_than_a_byte_tells_apart_none_is_the_wrong_one() {
        let (mut places, stream) = (Places::default(), StreamId::from_bytes([1; 16]));
        for number in 0..300 {
            places.insert(stream, u64::from(number), disk(number));
        }
        for number in 0..300_u16 {
            assert!(places.is_on(&stream, u64::from(number), &disk(number)));
        }
        assert!(!places.is_on(&stream, 0, &disk(1)));
    }
}
