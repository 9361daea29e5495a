//! One segment, opened, and which of its fragments are wanted.

use std::collections::BTreeSet;
use std::ops::Range;

use hearthkeep_format::fmp4::{SampleTable, TableLimits, Track, parse_fragment, parse_init};
use hearthkeep_format::segment::{ChunkType, File, Place, ReadAt, ReadError, SegmentOpener};
use hearthkeep_format::{Error as FormatError, OpenKeyring, RunId};

use super::{Error, Segment};
use crate::limits::{SEGMENT_CHUNKS_MAX, SEGMENT_SAMPLES_MAX};

/// A segment whose sample table is known, and the fragments in it that can be opened.
pub(super) struct Piece<'a> {
    pub file: File<Box<dyn ReadAt + 'a>>,
    pub tracks: Vec<Track>,
    pub table: SampleTable,
    /// Where the fragments of `table` stand, one for each.
    pub places: Vec<Place>,
}

/// Why a segment yields nothing.
pub(super) enum Unusable {
    /// It is damaged beyond use; in words.
    Damaged(String),
    /// All further work is in vain.
    Fatal(Error),
}

impl<'a> Piece<'a> {
    /// Opens a segment with the keys of its generation.
    pub fn open(segment: &'a dyn Segment, keyring: &OpenKeyring) -> Result<Self, Unusable> {
        let id = segment.id();
        let bytes = segment.open().map_err(|source| {
            Unusable::Fatal(Error::Read {
                segment: id,
                source: source.into(),
            })
        })?;
        let mut unknown_generation = None;
        let file = File::open(bytes, |head| {
            let header = hearthkeep_format::segment::Header::parse(head)?;
            match keyring.generation(header.generation) {
                Some((identity, m)) => SegmentOpener::open(head, identity, m),
                None => {
                    unknown_generation = Some(header.generation);
                    Err(FormatError::NoMatchingIdentity)
                }
            }
        });
        let file = match (file, unknown_generation) {
            (Ok(file), _) => file,
            (Err(_), Some(generation)) => {
                return Err(Unusable::Fatal(Error::NotAllowed {
                    segment: id,
                    generation,
                }));
            }
            (Err(ReadError::Format(error)), None) => {
                return Err(Unusable::Damaged(error.to_string()));
            }
            (Err(source), None) => {
                return Err(Unusable::Fatal(Error::Read {
                    segment: id,
                    source,
                }));
            }
        };
        let tracks = parse_init(&file.preamble().init)
            .map_err(|error| Unusable::Damaged(error.to_string()))?;
        let (table, places) = sample_table(&file).map_err(|source| {
            Unusable::Fatal(Error::Read {
                segment: id,
                source,
            })
        })?;
        Ok(Self {
            file,
            tracks,
            table,
            places,
        })
    }

    /// The run it belongs to.
    pub fn run(&self) -> RunId {
        self.file.preamble().run
    }

    /// The ranges of fragments that show `span` (wall time, in microseconds): from the key frame before it, without the
    /// chunks in `bad` (by their k) and what needs them.
    pub fn wanted(&self, span: &Range<i64>, bad: &BTreeSet<u32>) -> Vec<Range<u32>> {
        let first_us = self.first_wall_us();
        let relative = |wall_us: i64| u64::try_from(wall_us.saturating_sub(first_us)).unwrap_or(0);
        if span.end <= first_us {
            return Vec::new();
        }
        let inside = self.file.range(relative(span.start)..relative(span.end));
        let (Some(first), Some(last)) = (inside.first(), inside.last()) else {
            return Vec::new();
        };
        let mut ranges: Vec<Range<u32>> = Vec::new();
        let mut whole = false;
        for (index, place) in (0..).zip(&self.places) {
            if place.k < first.k || place.k > last.k {
                continue;
            }
            let key = place.entry.is_some_and(|entry| entry.key_frame);
            let follows = ranges.last().is_some_and(|range| range.end == index);
            whole = !bad.contains(&place.k) && (key || (whole && follows));
            match ranges.last_mut() {
                Some(range) if whole && range.end == index => range.end += 1,
                _ if whole => ranges.push(index..index + 1),
                _ => {}
            }
        }
        ranges
    }

    /// Wall time of the first sample, in microseconds.
    pub fn first_wall_us(&self) -> i64 {
        match self.file.opener().start() {
            Ok(start) => start.wall_us,
            // The start block is the only thing that is lost: the anchor and the first decode time say the same.
            Err(_) => self.origin_us(),
        }
    }

    /// Wall time at which a fragment of the table begins, in microseconds.
    pub fn wall_us_of(&self, chunk: u32) -> i64 {
        let entry = self
            .places
            .get(chunk as usize)
            .and_then(|place| place.entry);
        self.first_wall_us()
            .saturating_add_unsigned(entry.map_or(0, |entry| entry.start_us))
    }

    /// Wall time of the run's decode time 0, in microseconds.
    pub fn origin_us(&self) -> i64 {
        self.file.preamble().anchor_us
    }
}

/// The table of a segment's samples, out of its footer; without one, out of the fragments themselves.
fn sample_table<R: ReadAt>(file: &File<R>) -> Result<(SampleTable, Vec<Place>), ReadError> {
    let limits = TableLimits {
        chunks_max: SEGMENT_CHUNKS_MAX,
        samples_max: SEGMENT_SAMPLES_MAX,
    };
    let is_fragment = |place: &&Place| {
        place
            .entry
            .is_none_or(|entry| entry.chunk_type == ChunkType::Fragment)
    };
    if let Some(footer) = file.footer()
        && let Ok(table) = SampleTable::decode(&footer.sample_table, limits)
        && table.chunks() as usize == footer.fragments.len()
        && table.chunks() as usize == file.places().iter().filter(is_fragment).count()
    {
        return Ok((
            table,
            file.places().iter().filter(is_fragment).copied().collect(),
        ));
    }
    let mut table = SampleTable::new();
    let mut places = Vec::new();
    let mut buffer = Vec::new();
    for place in file.places().iter().filter(is_fragment) {
        let body = match file.read_into(place, &mut buffer) {
            Ok(body) => body,
            // A damaged chunk costs itself: the table goes on behind it.
            Err(ReadError::Format(_)) => continue,
            Err(error) => return Err(error),
        };
        let Ok(view) = parse_fragment(&buffer[body]) else {
            continue;
        };
        if table.push_view(&view).is_ok() {
            places.push(*place);
        }
    }
    Ok((table, places))
}
