//! One segment, opened, and which of its fragments are wanted.

use std::collections::BTreeSet;
use std::ops::Range;

use hearthkeep_format::fmp4::{SampleTable, TableLimits, Track, parse_fragment, parse_init};
use hearthkeep_format::segment::{ChunkType, File, Place, ReadAt, ReadError, SegmentOpener};
use hearthkeep_format::{Error as FormatError, OpenKeyring, RunId};

use super::{Error, Loss, Segment};
use crate::limits::{SEGMENT_CHUNKS_MAX, SEGMENT_SAMPLES_MAX};

/// A segment whose sample table is known, and the fragments in it that can be opened.
pub(super) struct Piece<'a> {
    pub file: File<Box<dyn ReadAt + 'a>>,
    pub tracks: Vec<Track>,
    pub table: SampleTable,
    /// Where the fragments of `table` stand, one for each.
    pub places: Vec<Place>,
    /// Wall time at which it ends as it was listed, in microseconds.
    ends_us: i64,
    /// By how much its own times are moved: it was recorded before the box knew the time.
    moved_us: i64,
}

/// Fragments that show a span, and what of it cannot be shown.
#[derive(Default)]
pub(super) struct Wanted {
    /// Ranges of the table's fragments.
    pub ranges: Vec<Range<u32>>,
    /// The chunks that are damaged or gone (by k; none where it is not known how many are), and the wall time that is lost with
    /// them up to the next key frame.
    pub lost: Vec<(Range<u32>, Range<i64>)>,
}

impl Wanted {
    fn take(&mut self, fragment: u32, begins_us: i64) {
        self.find_end(begins_us);
        match self.ranges.last_mut() {
            Some(range) if range.end == fragment => range.end += 1,
            _ => self.ranges.push(fragment..fragment + 1),
        }
    }

    fn lose(&mut self, chunks: Range<u32>, from_us: i64) {
        match self.lost.last_mut() {
            Some((lost, span)) if span.end == i64::MAX => lost.end = chunks.end,
            _ => self.lost.push((chunks, from_us..i64::MAX)),
        }
    }

    /// Whether the end of a loss has not been found yet.
    fn is_losing(&self) -> bool {
        self.lost
            .last()
            .is_some_and(|(_, span)| span.end == i64::MAX)
    }

    fn find_end(&mut self, at_us: i64) {
        if let Some((_, span)) = self.lost.last_mut() {
            span.end = span.end.min(at_us);
        }
    }
}

/// Why a segment yields nothing.
pub(super) enum Unusable {
    /// It is gone, or damaged beyond use.
    Lost(Loss),
    /// All further work is in vain.
    Fatal(Error),
}

impl Unusable {
    pub fn of(segment: &dyn Segment, source: ReadError) -> Self {
        Loss::of(segment, source).map_or_else(Self::Fatal, Self::Lost)
    }
}

impl<'a> Piece<'a> {
    /// Opens a segment with the keys of its generation.
    pub fn open(segment: &'a dyn Segment, keyring: &OpenKeyring) -> Result<Self, Unusable> {
        let bytes = segment
            .open()
            .map_err(|source| Unusable::of(segment, source.into()))?;
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
                    segment: segment.id(),
                    generation,
                }));
            }
            (Err(source), None) => return Err(Unusable::of(segment, source)),
        };
        let tracks = parse_init(&file.preamble().init)
            .map_err(|error| Unusable::Lost(Loss::Damaged(format!("is damaged: {error}"))))?;
        let (table, places) =
            sample_table(&file).map_err(|source| Unusable::of(segment, source))?;
        let listed = segment.span();
        let own_us = file.opener().start().map(|start| start.wall_us);
        Ok(Self {
            moved_us: own_us.map_or(0, |own_us| listed.start.saturating_sub(own_us)),
            file,
            tracks,
            table,
            places,
            ends_us: listed.end,
        })
    }

    /// The run it belongs to.
    pub fn run(&self) -> RunId {
        self.file.preamble().run
    }

    /// The fragments that show `span` (wall time, in microseconds): from the key frame before it, without the chunks in `bad`
    /// (by their k) and what needs them.
    pub fn wanted(&self, span: &Range<i64>, bad: &BTreeSet<u32>) -> Wanted {
        let mut wanted = Wanted::default();
        let first_us = self.first_wall_us();
        let relative = |wall_us: i64| u64::try_from(wall_us.saturating_sub(first_us)).unwrap_or(0);
        if span.end <= first_us {
            return wanted;
        }
        let inside = self.file.range(relative(span.start)..relative(span.end));
        let (Some(first), Some(last)) = (inside.first(), inside.last()) else {
            if self.places.is_empty() && first_us < self.ends_us {
                wanted.lost.push((1..1, first_us..self.ends_us));
            }
            return wanted;
        };
        // Before the first fragment that was found, others may be gone, and after the last one.
        let found = self.file.places();
        let (mut next_k, mut end_us) = match found.first() == Some(first) {
            true => (1, first_us),
            false => (first.k, self.wall_us_of(first)),
        };
        for (index, place) in (0..).zip(&self.places) {
            if place.k < first.k || place.k > last.k {
                continue;
            }
            let begins_us = self.wall_us_of(place);
            if next_k < place.k {
                wanted.lose(next_k..place.k, end_us);
            }
            next_k = place.k + 1;
            let key = place.entry.is_some_and(|entry| entry.key_frame);
            if bad.contains(&place.k) {
                wanted.lose(place.k..next_k, begins_us);
            } else if key || !(wanted.is_losing() || wanted.ranges.is_empty()) {
                wanted.take(index, begins_us);
            }
            end_us = end_us.max(self.end_us_of(place));
        }
        if next_k <= last.k {
            wanted.lose(next_k..last.k + 1, end_us);
            end_us = end_us.max(self.end_us_of(last));
        }
        if found.last() == Some(last) && end_us < self.ends_us {
            wanted.lose(last.k + 1..last.k + 1, end_us);
            end_us = self.ends_us;
        }
        wanted.find_end(end_us);
        for (_, lost) in &mut wanted.lost {
            *lost = lost.start.max(span.start)..lost.end.min(span.end);
        }
        wanted.lost.retain(|(_, lost)| !lost.is_empty());
        wanted
    }

    /// Wall time of the first sample, in microseconds.
    pub fn first_wall_us(&self) -> i64 {
        match self.file.opener().start() {
            Ok(start) => start.wall_us.saturating_add(self.moved_us),
            // The start block is the only thing that is lost: the anchor and the first decode time say the same.
            Err(_) => self.origin_us(),
        }
    }

    /// Wall time at which a fragment begins, in microseconds.
    pub fn wall_us_of(&self, place: &Place) -> i64 {
        self.first_wall_us()
            .saturating_add_unsigned(place.entry.map_or(0, |entry| entry.start_us))
    }

    fn end_us_of(&self, place: &Place) -> i64 {
        let duration_us = place.entry.map_or(0, |entry| entry.duration_us);
        self.wall_us_of(place).saturating_add(duration_us.into())
    }

    /// Wall time of the run's decode time 0, in microseconds.
    pub fn origin_us(&self) -> i64 {
        let anchor_us = self.file.preamble().anchor_us;
        anchor_us.saturating_add(self.moved_us)
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
