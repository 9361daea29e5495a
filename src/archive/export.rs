//! An MP4 file out of sealed segments: not re-encoded, its `moov` in front, gaps kept in time.
//!
//! Twice over the segments: first their sample tables give the `moov`, then their fragments' payloads follow. Each segment
//! is opened anew and closed again, so that memory does not grow with the span but for some ten bytes a sample. Damage that
//! is found on the way is left out, from the damaged chunk to the next key frame, and so is a segment that was deleted
//! meanwhile; then the file is begun again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::ops::Range;

use hearthkeep_format::fmp4::movie::{Movie, MovieBuilder, SegmentPlace};
use hearthkeep_format::fmp4::parse_fragment;
use hearthkeep_format::segment::{Place, ReadError};
use hearthkeep_format::{Error as FormatError, OpenKeyring};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::piece::{Piece, Unusable};
use super::{Error, Loss, Segment, Skipped};

/// What is to be exported.
pub struct Export<'a> {
    /// The stream's segments that may lie in the span, in the order of time.
    pub segments: &'a [&'a dyn Segment],
    /// What opens them.
    pub keyring: &'a OpenKeyring,
    /// Wall time, in microseconds. The file begins at the key frame before its start.
    pub span: Range<i64>,
    /// What the listing already found to be unusable.
    pub unusable: &'a [Skipped],
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Bytes of the file.
    pub bytes: u64,
    /// Wall time of its first sample, in microseconds.
    pub begins_us: i64,
    /// What had to be left out.
    pub skipped: Vec<Skipped>,
}

/// What was found to be lost while the file was written, by the segment's index.
#[derive(Default)]
struct Losses {
    segments: BTreeMap<usize, Loss>,
    chunks: BTreeMap<usize, BTreeSet<u32>>,
}

/// What ended the writing.
enum Found {
    Chunk(u32),
    Segment(Loss),
}

/// Writes the footage as MP4. `output` is called for the file to write to, and again for an empty one when damage
/// was found; `progress` is told bytes written and bytes in all.
///
/// # Errors
/// See [`Error`].
pub fn export<W: Write>(
    export: &Export<'_>,
    output: &mut dyn FnMut() -> io::Result<Option<W>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Exported, Error> {
    let mut losses = Losses::default();
    let mut lost_first = None;
    loop {
        let plan = Plan::make(export, &losses)?;
        let Some(mut file) = output()? else {
            let (segment, loss) = lost_first.expect("the output is asked for again after a loss");
            return Err(Error::LostOnTheWay { segment, loss });
        };
        let Some((index, found)) = plan.write(export, &mut file, progress)? else {
            file.flush()?;
            return Ok(plan.exported());
        };
        let loss = match &found {
            Found::Chunk(k) => Loss::of_chunks(&(*k..k + 1)),
            Found::Segment(loss) => loss.clone(),
        };
        lost_first.get_or_insert((export.segments[index].id(), loss));
        match found {
            Found::Chunk(k) => {
                losses.chunks.entry(index).or_default().insert(k);
                find_damage(export, index, &mut losses)?;
            }
            Found::Segment(loss) => _ = losses.segments.insert(index, loss),
        }
    }
}

/// A wall time with the offset of a time zone then, as QuickTime's metadata has it.
fn date_in(wall_us: i64, zone: TimeZone) -> String {
    let time = Timestamp::from_microsecond(wall_us).unwrap_or_default();
    let zoned = time.to_zoned(zone);
    zoned.strftime("%Y-%m-%dT%H:%M:%S%z").to_string()
}

/// The layout of the file, and what goes into it.
struct Plan {
    movie: Movie,
    /// For each call of `add_segment`: the segment's index and its fragments.
    parts: Vec<(usize, Range<u32>)>,
    begins_us: i64,
    skipped: Vec<Skipped>,
}

impl Plan {
    fn make(export: &Export<'_>, losses: &Losses) -> Result<Self, Error> {
        let nothing_bad = BTreeSet::new();
        let mut builder = MovieBuilder::new();
        let mut parts = Vec::new();
        let mut skipped = export.unusable.to_vec();
        let mut begins_us = None;
        let mut last_run = None;
        for (index, segment) in export.segments.iter().enumerate() {
            let opened = match losses.segments.get(&index) {
                Some(loss) => Err(Unusable::Lost(loss.clone())),
                None => Piece::open(*segment, export.keyring),
            };
            let piece = match opened {
                Ok(piece) => piece,
                Err(Unusable::Fatal(error)) => return Err(error),
                Err(Unusable::Lost(loss)) => {
                    skipped.push(Skipped::whole(*segment, loss));
                    continue;
                }
            };
            let bad = losses.chunks.get(&index).unwrap_or(&nothing_bad);
            let wanted = piece.wanted(&export.span, bad);
            skipped.extend(Skipped::chunks(*segment, wanted.lost));
            for range in wanted.ranges {
                let place = match last_run == Some(piece.run()) {
                    true => SegmentPlace::SameRun,
                    false => SegmentPlace::NewRun {
                        origin_us: piece.origin_us(),
                    },
                };
                builder
                    .add_segment(&piece.tracks, &piece.table, range.clone(), place)
                    .map_err(Error::Movie)?;
                begins_us
                    .get_or_insert_with(|| piece.wall_us_of(&piece.places[range.start as usize]));
                last_run = Some(piece.run());
                parts.push((index, range));
            }
        }
        let Some(begins_us) = begins_us else {
            return Err(nothing(skipped));
        };
        builder.date(date_in(begins_us, TimeZone::system()));
        let movie = builder.finish().map_err(Error::Movie)?;
        Ok(Self {
            movie,
            parts,
            begins_us,
            skipped,
        })
    }

    /// Writes the file; returns what turned out to be lost, and the index of its segment.
    fn write(
        &self,
        export: &Export<'_>,
        file: &mut dyn Write,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Option<(usize, Found)>, Error> {
        file.write_all(self.movie.head())?;
        let mut written = self.movie.head().len() as u64;
        let mut payloads = self.movie.payloads().iter();
        let mut open: Option<(usize, Piece<'_>)> = None;
        let mut buffer = Vec::new();
        for (index, range) in &self.parts {
            let segment = export.segments[*index];
            if open.as_ref().is_none_or(|(opened, _)| opened != index) {
                match Piece::open(segment, export.keyring) {
                    Ok(piece) => open = Some((*index, piece)),
                    Err(Unusable::Fatal(error)) => return Err(error),
                    Err(Unusable::Lost(loss)) => return Ok(Some((*index, Found::Segment(loss)))),
                }
            }
            let Some((_, piece)) = &open else { continue };
            for chunk in range.clone() {
                let expected = payloads.next().map_or(0, |payload| payload.bytes as usize);
                let Some(place) = piece.places.get(chunk as usize) else {
                    let loss = Loss::Damaged("was cut while it was read".to_owned());
                    return Ok(Some((*index, Found::Segment(loss))));
                };
                let payload = match payload(piece, place, expected, &mut buffer) {
                    Ok(payload) => payload,
                    Err(source) => {
                        let found = found(segment, place.k, source)?;
                        return Ok(Some((*index, found)));
                    }
                };
                file.write_all(&buffer[payload])?;
                written += expected as u64;
                progress(written, self.movie.file_bytes());
            }
        }
        Ok(None)
    }

    fn exported(self) -> Exported {
        Exported {
            bytes: self.movie.file_bytes(),
            begins_us: self.begins_us,
            skipped: self.skipped,
        }
    }
}

/// The payload of a fragment, in `buffer`. A chunk that is not what the table says is damaged.
fn payload(
    piece: &Piece<'_>,
    place: &Place,
    expected: usize,
    buffer: &mut Vec<u8>,
) -> Result<Range<usize>, ReadError> {
    let changed = || ReadError::Format(FormatError::Tampered { what: "fragment" });
    let body = piece.file.read_into(place, buffer)?;
    let view = parse_fragment(&buffer[body.clone()]).map_err(|_| changed())?;
    let payload = body.start + view.payload.start..body.start + view.payload.end;
    match payload.len() == expected {
        true => Ok(payload),
        false => Err(changed()),
    }
}

/// What a failed read of a chunk costs: the chunk, or the segment where that is gone.
fn found(segment: &dyn Segment, k: u32, source: ReadError) -> Result<Found, Error> {
    Ok(match Loss::of(segment, source)? {
        Loss::Deleted => Found::Segment(Loss::Deleted),
        Loss::Damaged(_) => Found::Chunk(k),
    })
}

/// Finds all damage from a segment on, so that the file is begun again once and not for each damaged chunk.
fn find_damage(export: &Export<'_>, from: usize, losses: &mut Losses) -> Result<(), Error> {
    let mut buffer = Vec::new();
    for (index, segment) in export.segments.iter().enumerate().skip(from) {
        let piece = match Piece::open(*segment, export.keyring) {
            Ok(piece) => piece,
            Err(Unusable::Lost(_)) => continue,
            Err(Unusable::Fatal(error)) => return Err(error),
        };
        let wanted = piece.wanted(&export.span, &BTreeSet::new());
        for chunk in wanted.ranges.into_iter().flatten() {
            let place = &piece.places[chunk as usize];
            let read = piece.file.read_into(place, &mut buffer);
            let found = match read {
                Ok(body) if parse_fragment(&buffer[body.clone()]).is_ok() => continue,
                Ok(_) => Found::Chunk(place.k),
                Err(source) => found(*segment, place.k, source)?,
            };
            match found {
                Found::Chunk(k) => _ = losses.chunks.entry(index).or_default().insert(k),
                // That it is gone is found again when it is opened.
                Found::Segment(_) => break,
            }
        }
    }
    Ok(())
}

/// Why there is no file.
pub(super) fn nothing(skipped: Vec<Skipped>) -> Error {
    let damaged = skipped.into_iter().find(Skipped::is_damaged);
    damaged.map_or(Error::Nothing, Error::AllDamaged)
}
