//! An MP4 file out of sealed segments: not re-encoded, its `moov` in front, gaps kept in time.
//!
//! Twice over the segments: first their sample tables give the `moov`, then their fragments' payloads follow. Each segment
//! is opened anew and closed again, so that memory does not grow with the span but for some ten bytes a sample. Damage that
//! is found on the way is left out, from the damaged chunk to the next key frame, and the file begun again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::ops::Range;

use hearthkeep_format::fmp4::movie::{Movie, MovieBuilder, SegmentPlace};
use hearthkeep_format::fmp4::parse_fragment;
use hearthkeep_format::segment::ReadError;
use hearthkeep_format::{OpenKeyring, SegmentId};

use super::piece::{Piece, Unusable};
use super::{Error, Segment};

/// What is to be exported.
pub struct Export<'a> {
    /// The stream's segments that may lie in the span, in the order of their sequence.
    pub segments: &'a [&'a dyn Segment],
    /// What opens them.
    pub keyring: &'a OpenKeyring,
    /// Wall time, in microseconds. The file begins at the key frame before its start.
    pub span: Range<i64>,
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

/// Footage that could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The segment.
    pub segment: SegmentId,
    /// What is wrong with it.
    pub reason: String,
}

/// Damaged chunks, by segment (its index) and k.
type Damage = BTreeMap<usize, BTreeSet<u32>>;

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
    let mut damage = Damage::new();
    loop {
        let plan = Plan::make(export, &damage)?;
        let Some(mut file) = output()? else {
            return Err(first_damage(export, &damage));
        };
        match plan.write(export, &mut file, progress)? {
            None => {
                file.flush()?;
                return Ok(plan.exported(export, &damage));
            }
            Some((segment, chunk)) => {
                damage.entry(segment).or_default().insert(chunk);
                find_damage(export, segment, &mut damage)?;
            }
        }
    }
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
    fn make(export: &Export<'_>, damage: &Damage) -> Result<Self, Error> {
        let nothing_bad = BTreeSet::new();
        let mut builder = MovieBuilder::new();
        let mut parts = Vec::new();
        let mut skipped = Vec::new();
        let mut begins_us = None;
        let mut last_run = None;
        for (index, segment) in export.segments.iter().enumerate() {
            let piece = match Piece::open(*segment, export.keyring) {
                Ok(piece) => piece,
                Err(Unusable::Fatal(error)) => return Err(error),
                Err(Unusable::Damaged(reason)) => {
                    skipped.push(Skipped {
                        segment: segment.id(),
                        reason,
                    });
                    continue;
                }
            };
            let bad = damage.get(&index).unwrap_or(&nothing_bad);
            for range in piece.wanted(&export.span, bad) {
                let place = match last_run == Some(piece.run()) {
                    true => SegmentPlace::SameRun,
                    false => SegmentPlace::NewRun {
                        origin_us: piece.origin_us(),
                    },
                };
                builder
                    .add_segment(&piece.tracks, &piece.table, range.clone(), place)
                    .map_err(Error::Movie)?;
                begins_us.get_or_insert_with(|| piece.wall_us_of(range.start));
                last_run = Some(piece.run());
                parts.push((index, range));
            }
        }
        let Some(begins_us) = begins_us else {
            return Err(nothing(skipped));
        };
        let movie = builder.finish().map_err(Error::Movie)?;
        Ok(Self {
            movie,
            parts,
            begins_us,
            skipped,
        })
    }

    /// Writes the file; returns the first damaged chunk (index of its segment, k), if there is one.
    fn write(
        &self,
        export: &Export<'_>,
        file: &mut dyn Write,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Option<(usize, u32)>, Error> {
        file.write_all(self.movie.head())?;
        let mut written = self.movie.head().len() as u64;
        let mut payloads = self.movie.payloads().iter();
        let mut open: Option<(usize, Piece<'_>)> = None;
        let mut buffer = Vec::new();
        for (index, range) in &self.parts {
            if open.as_ref().is_none_or(|(opened, _)| opened != index) {
                open = Some((*index, reopen(export, *index)?));
            }
            let Some((_, piece)) = &open else { continue };
            for chunk in range.clone() {
                let place = &piece.places[chunk as usize];
                let expected = payloads.next().map_or(0, |payload| payload.bytes as usize);
                let Some(payload) = payload(piece, place, expected, &mut buffer)
                    .map_err(|source| read_error(export, *index, source))?
                else {
                    return Ok(Some((*index, place.k)));
                };
                file.write_all(&buffer[payload])?;
                written += expected as u64;
                progress(written, self.movie.file_bytes());
            }
        }
        Ok(None)
    }

    fn exported(self, export: &Export<'_>, damage: &Damage) -> Exported {
        let mut skipped = self.skipped;
        for (index, chunks) in damage {
            let chunks: Vec<_> = chunks.iter().map(u32::to_string).collect();
            let reason = format!(
                "damaged at chunk {}; left out to the next key frame",
                chunks.join(", ")
            );
            skipped.push(Skipped {
                segment: export.segments[*index].id(),
                reason,
            });
        }
        Exported {
            bytes: self.movie.file_bytes(),
            begins_us: self.begins_us,
            skipped,
        }
    }
}

/// The payload of a fragment, in `buffer`; `None` when the chunk is damaged or is not what the table says.
fn payload(
    piece: &Piece<'_>,
    place: &hearthkeep_format::segment::Place,
    expected: usize,
    buffer: &mut Vec<u8>,
) -> Result<Option<Range<usize>>, ReadError> {
    let body = match piece.file.read_into(place, buffer) {
        Ok(body) => body,
        Err(ReadError::Format(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok(view) = parse_fragment(&buffer[body.clone()]) else {
        return Ok(None);
    };
    let payload = body.start + view.payload.start..body.start + view.payload.end;
    Ok((payload.len() == expected).then_some(payload))
}

/// Finds all damage from a segment on, so that the file is begun again once and not for each damaged chunk.
fn find_damage(export: &Export<'_>, from: usize, damage: &mut Damage) -> Result<(), Error> {
    let mut buffer = Vec::new();
    for index in from..export.segments.len() {
        let piece = match Piece::open(export.segments[index], export.keyring) {
            Ok(piece) => piece,
            Err(Unusable::Damaged(_)) => continue,
            Err(Unusable::Fatal(error)) => return Err(error),
        };
        for place in &piece.places {
            let read = piece.file.read_into(place, &mut buffer);
            let whole = match read {
                Ok(body) => parse_fragment(&buffer[body]).is_ok(),
                Err(ReadError::Format(_)) => false,
                Err(source) => return Err(read_error(export, index, source)),
            };
            if !whole {
                damage.entry(index).or_default().insert(place.k);
            }
        }
    }
    Ok(())
}

fn reopen<'a>(export: &Export<'a>, index: usize) -> Result<Piece<'a>, Error> {
    Piece::open(export.segments[index], export.keyring).map_err(|unusable| match unusable {
        Unusable::Fatal(error) => error,
        Unusable::Damaged(first) => Error::AllDamaged { count: 1, first },
    })
}

fn read_error(export: &Export<'_>, index: usize, source: ReadError) -> Error {
    Error::Read {
        segment: export.segments[index].id(),
        source,
    }
}

fn first_damage(export: &Export<'_>, damage: &Damage) -> Error {
    let (index, chunks) = damage
        .iter()
        .next()
        .expect("the output is asked for again only after damage");
    Error::DamagedOnTheWay {
        segment: export.segments[*index].id(),
        chunk: chunks.iter().next().copied().unwrap_or(0),
    }
}

fn nothing(skipped: Vec<Skipped>) -> Error {
    match skipped.first() {
        Some(first) => Error::AllDamaged {
            count: skipped.len(),
            first: first.reason.clone(),
        },
        None => Error::Nothing,
    }
}
