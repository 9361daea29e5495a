//! The sample table of a segment: when and how large every sample is, without opening its chunks.
//!
//! # Bytes
//!
//! A *varint* is an unsigned LEB128 number of at most 64 bits in its shortest form: seven bits a byte,
//! lowest first, the top bit set on all bytes but the last. A *delta* is the zigzag form of a signed
//! difference, as a varint: 0, -1, 1, -2 … become 0, 1, 2, 3 …
//!
//! ```text
//! u8       version = 1
//! u8       T, the number of tracks that have samples, at most 8
//! varint   C, the number of chunks: fragments, in the order of the file
//! T times: varint   track identifier, 1 to 2³²-1, each above the one before
//!          varint   decode time of the track's first sample, in its ticks from the start of the run
//! C times: T times: varint   samples of this track in this chunk
//! T times: for each of the track's samples, chunk after chunk:
//!          varint   size << 1 | key     size in bytes, 1 to 2³¹-1; key = 1 if it decodes alone
//!          delta    duration less that of the track's sample before (0 before the first), in ticks
//!          delta    composition offset less that of the track's sample before (0 before the first)
//! ```
//!
//! Nothing follows. Each table has exactly one encoding. A sample takes five bytes as a rule: three for
//! its size and one for each delta.
//!
//! A sample's decode time is the track's first decode time plus all durations before it: a duration is
//! the distance to the track's next sample, also across a hole in the camera's sound and across a chunk
//! that could not be read. Inside a chunk, samples' bytes stand track after track in the order above.

use core::ops::Range;

use super::bytes::Reader;
use super::column::{Column, Walk, check_run};
use super::varint::{get, put, unzigzag, zigzag};
use super::{Error, Fragment, FragmentView, Result, SampleInfo, TRACKS_MAX};

/// The only version there is.
const VERSION: u8 = 1;

/// Samples and chunks of one segment, held in columns: about four bytes a sample.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SampleTable {
    /// In the order of their identifiers.
    tracks: Vec<Column>,
    chunks: u32,
}

/// Bounds for [`SampleTable::decode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableLimits {
    /// Chunks of a table.
    pub chunks_max: u32,
    /// Samples of all tracks of a table together.
    pub samples_max: u32,
}

impl SampleTable {
    /// An empty table; tracks appear with their first samples.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next chunk's samples from a fragment that is being written.
    ///
    /// # Errors
    /// [`Error::NotMonotonic`] when a track's decode time lies before the end of its last sample,
    /// [`Error::GapTooLong`] when a hole before it does not fit the last sample's duration,
    /// [`Error::TimeOutOfRange`] and [`Error::TooMany`]. Nothing has been added then.
    pub fn push_fragment<D>(&mut self, fragment: &Fragment<D>) -> Result<()> {
        self.push_runs(fragment.runs().iter().map(|run| {
            let samples = run.samples().iter().map(|sample| sample.info);
            (run.track_id(), run.decode_time(), samples)
        }))
    }

    /// Adds the next chunk's samples from a fragment that was read.
    ///
    /// # Errors
    /// As [`Self::push_fragment`].
    pub fn push_view(&mut self, view: &FragmentView) -> Result<()> {
        self.push_runs(
            view.runs
                .iter()
                .map(|run| (run.track_id, run.decode_time, run.samples.iter().copied())),
        )
    }

    /// Builds again the table of a segment from its fragments in the order of the file.
    ///
    /// Where fragments are missing in between, the last sample before them lasts until the next one.
    ///
    /// # Errors
    /// As [`Self::push_fragment`].
    pub fn from_views<'a>(views: impl IntoIterator<Item = &'a FragmentView>) -> Result<Self> {
        let mut table = Self::new();
        views
            .into_iter()
            .try_for_each(|view| table.push_view(view))?;
        Ok(table)
    }

    /// How many chunks were added.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Identifiers of the tracks that have samples, in ascending order, which is that of their bytes
    /// in each chunk.
    pub fn track_ids(&self) -> impl Iterator<Item = u32> {
        self.tracks.iter().map(|column| column.track_id)
    }

    /// Samples of all tracks.
    pub fn samples(&self) -> u64 {
        self.tracks
            .iter()
            .map(|column| column.sizes.len() as u64)
            .sum()
    }

    /// A track's time from its first sample to the end of its last, in its ticks from the run's start;
    /// `None` for a track without samples.
    pub fn span(&self, track_id: u32) -> Option<Range<u64>> {
        let column = self
            .tracks
            .iter()
            .find(|column| column.track_id == track_id)?;
        Some(column.first_decode_time..column.end)
    }

    /// Walks through one track's samples, chunk by chunk.
    pub(super) fn walk(&self, track_id: u32) -> Option<Walk<'_>> {
        self.tracks
            .iter()
            .find(|column| column.track_id == track_id)
            .map(Walk::new)
    }

    /// Appends the table's bytes; the module says what they are.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.push(u8::try_from(self.tracks.len()).expect("there are at most 8 tracks"));
        put(out, u64::from(self.chunks));
        for column in &self.tracks {
            put(out, u64::from(column.track_id));
            put(out, column.first_decode_time);
        }
        for chunk in 0..self.chunks as usize {
            for column in &self.tracks {
                put(out, u64::from(column.chunk_samples[chunk]));
            }
        }
        for column in &self.tracks {
            let (mut duration, mut composition) = (0, 0);
            for info in Walk::new(column).samples(column.sizes.len() as u32) {
                put(out, u64::from(info.size) << 1 | u64::from(info.key));
                put(out, zigzag(i64::from(info.duration) - duration));
                put(
                    out,
                    zigzag(i64::from(info.composition_offset) - composition),
                );
                duration = i64::from(info.duration);
                composition = i64::from(info.composition_offset);
            }
        }
    }

    /// Reads a table that fills `bytes`.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Malformed`] and [`Error::TooMany`] with the offset. Any input
    /// gives a result, and memory is bounded by the input's length.
    pub fn decode(bytes: &[u8], limits: TableLimits) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8("a sample table")? != VERSION {
            return Err(Error::Malformed {
                offset: 0,
                what: "an unknown version of sample table",
            });
        }
        let track_count = usize::from(reader.u8("a sample table")?);
        if track_count > TRACKS_MAX {
            let limit = TRACKS_MAX as u64;
            return Err(Error::TooMany {
                offset: 1,
                what: "tracks in a sample table",
                limit,
            });
        }
        let chunks = bounded(&mut reader, "chunks in a sample table", limits.chunks_max)?;
        let mut tracks = Vec::with_capacity(track_count);
        for _ in 0..track_count {
            let previous = tracks.last().map_or(0, |column: &Column| column.track_id);
            tracks.push(decode_track(&mut reader, previous)?);
        }
        decode_chunks(&mut reader, &mut tracks, chunks, limits.samples_max)?;
        for column in &mut tracks {
            decode_samples(&mut reader, column)?;
        }
        if !reader.is_empty() {
            return Err(reader.malformed("bytes follow the sample table"));
        }
        Ok(Self { tracks, chunks })
    }

    /// Adds one chunk. All of it is checked before anything is added.
    fn push_runs<S>(&mut self, runs: impl Iterator<Item = (u32, u64, S)> + Clone) -> Result<()>
    where
        S: Iterator<Item = SampleInfo> + Clone,
    {
        let mut previous = 0;
        let mut added = 0;
        for (track_id, decode_time, samples) in runs.clone() {
            if track_id <= previous {
                return Err(Error::Tracks {
                    what: "a chunk's tracks are not in ascending order",
                });
            }
            previous = track_id;
            let known = self
                .tracks
                .iter()
                .find(|column| column.track_id == track_id);
            added += usize::from(known.is_none());
            check_run(known, track_id, decode_time, samples)?;
        }
        if self.tracks.len() + added > TRACKS_MAX {
            let limit = TRACKS_MAX as u64;
            return Err(Error::TooMany {
                offset: 0,
                what: "tracks",
                limit,
            });
        }
        for (track_id, decode_time, samples) in runs {
            let index = self.column_index(track_id, decode_time);
            self.tracks[index].push_run(decode_time, samples);
        }
        self.chunks += 1;
        for column in &mut self.tracks {
            column.chunk_samples.resize(self.chunks as usize, 0);
        }
        Ok(())
    }

    fn column_index(&mut self, track_id: u32, decode_time: u64) -> usize {
        match self
            .tracks
            .binary_search_by_key(&track_id, |column| column.track_id)
        {
            Ok(index) => index,
            Err(index) => {
                let mut column = Column::new(track_id, decode_time);
                column.chunk_samples.resize(self.chunks as usize, 0);
                self.tracks.insert(index, column);
                index
            }
        }
    }
}

fn bounded(reader: &mut Reader<'_>, what: &'static str, limit: u32) -> Result<u32> {
    let offset = reader.offset();
    u32::try_from(get(reader, what)?)
        .ok()
        .filter(|&count| count <= limit)
        .ok_or(Error::TooMany {
            offset,
            what,
            limit: u64::from(limit),
        })
}

fn decode_track(reader: &mut Reader<'_>, previous: u32) -> Result<Column> {
    let offset = reader.offset();
    let track_id = u32::try_from(get(reader, "a track's identifier")?)
        .ok()
        .filter(|&track_id| track_id > previous)
        .ok_or(Error::Malformed {
            offset,
            what: "tracks are not in ascending order",
        })?;
    Ok(Column::new(
        track_id,
        get(reader, "a track's first decode time")?,
    ))
}

fn decode_chunks(
    reader: &mut Reader<'_>,
    tracks: &mut [Column],
    chunks: u32,
    samples_max: u32,
) -> Result<()> {
    let mut samples_left = samples_max;
    for _ in 0..chunks {
        for column in &mut *tracks {
            let offset = reader.offset();
            let samples = bounded(reader, "samples in a sample table", samples_max)?;
            samples_left = samples_left.checked_sub(samples).ok_or(Error::TooMany {
                offset,
                what: "samples in a sample table",
                limit: u64::from(samples_max),
            })?;
            column.chunk_samples.push(samples);
        }
    }
    Ok(())
}

fn decode_samples(reader: &mut Reader<'_>, column: &mut Column) -> Result<()> {
    let start = reader.offset();
    let samples: u32 = column.chunk_samples.iter().sum();
    // Three bytes at least are a sample: this bounds what is set aside by what there is.
    if reader.rest().len() / 3 < samples as usize {
        return Err(Error::Truncated {
            offset: start,
            what: "a sample table",
        });
    }
    if samples == 0 {
        let what = "a sample table names a track without samples";
        return Err(Error::Malformed {
            offset: start,
            what,
        });
    }
    column.sizes.reserve_exact(samples as usize);
    let (mut duration, mut composition) = (0_u32, 0_i32);
    for _ in 0..samples {
        let offset = reader.offset();
        let wrong = |what| Error::Malformed { offset, what };
        let size = u32::try_from(get(reader, "a sample")?)
            .ok()
            .filter(|&size| size >> 1 != 0)
            .ok_or(wrong("a sample's size is out of range"))?;
        duration = i64::from(duration)
            .checked_add(unzigzag(get(reader, "a sample")?))
            .and_then(|duration| u32::try_from(duration).ok())
            .ok_or(wrong("a sample's duration is out of range"))?;
        composition = i64::from(composition)
            .checked_add(unzigzag(get(reader, "a sample")?))
            .and_then(|composition| i32::try_from(composition).ok())
            .ok_or(wrong("a sample's composition offset is out of range"))?;
        column.end = column
            .end
            .checked_add(u64::from(duration))
            .ok_or(wrong("a sample's decode time is out of range"))?;
        column.sizes.push(size);
        column.durations.push(duration);
        column.composition_offsets.push(composition);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
