//! What is collected about one track of a movie.

use crate::fmp4::column::Runs;
use crate::fmp4::{Error, Result, SampleInfo, Track};

/// Players read a sample's duration as a signed number of 32 bits.
const DURATION_MAX: i64 = i32::MAX as i64;

/// One track of a movie, in columns that become its tables.
#[derive(Debug)]
pub(super) struct MovieTrack {
    /// Identifier, timescale and kind of the movie's track; the sample entry is the first one.
    track: Track,
    entries: Vec<Vec<u8>>,
    first_time: Option<i64>,
    last_time: i64,
    /// The last sample's duration as its table gives it.
    last_duration: u32,
    pub sizes: Vec<u32>,
    pub durations: Runs<u32>,
    pub composition_offsets: Runs<i32>,
    /// Numbers of the key frames, from 1.
    pub keys: Vec<u32>,
    /// From the start of the payload.
    pub chunk_offsets: Vec<u64>,
    /// (First chunk from 1, samples a chunk, sample entry), for chunks from there on.
    pub chunk_runs: Vec<(u32, u32, u32)>,
}

impl MovieTrack {
    pub fn new(track: &Track) -> Self {
        Self {
            track: track.clone(),
            entries: Vec::new(),
            first_time: None,
            last_time: 0,
            last_duration: 0,
            sizes: Vec::new(),
            durations: Runs::new(),
            composition_offsets: Runs::new(),
            keys: Vec::new(),
            chunk_offsets: Vec::new(),
            chunk_runs: Vec::new(),
        }
    }

    pub fn track(&self) -> &Track {
        &self.track
    }

    /// All sample entries that occur, in the order of their numbers.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.entries.iter().map(|entry| &entry[..])
    }

    /// When the first sample is decoded, in the track's ticks; `None` without samples.
    pub fn first_time(&self) -> Option<i64> {
        self.first_time
    }

    /// From decoding the first sample to showing it, in the track's ticks. An edit cannot begin before
    /// its media does, so a negative offset counts as none.
    pub fn first_composition(&self) -> i64 {
        let first = self.composition_offsets.as_slice().first();
        first.map_or(0, |&(_, offset)| i64::from(offset.max(0)))
    }

    /// When the last sample ends, in the track's ticks; `None` without samples.
    pub fn end_time(&self) -> Option<i64> {
        self.first_time
            .map(|_| self.last_time + i64::from(self.last_duration))
    }

    /// From the first sample to the end of the last, in the track's ticks.
    pub fn duration(&self) -> u64 {
        let end = self.end_time().unwrap_or(0);
        u64::try_from(end - self.first_time.unwrap_or(0)).unwrap_or(0)
    }

    /// The most that `trak` can take, with all its tables.
    pub fn table_bytes_max(&self) -> usize {
        let entries: usize = self.entries.iter().map(Vec::len).sum();
        let rows = 4 * (self.sizes.len() + self.keys.len())
            + 8 * (self.durations.as_slice().len() + self.composition_offsets.as_slice().len())
            + 8 * self.chunk_offsets.len()
            + 12 * self.chunk_runs.len();
        1024 + entries + rows
    }

    /// The number of this sample entry, from 1.
    pub fn sample_entry(&mut self, entry: &[u8]) -> u32 {
        let known = self.entries.iter().position(|other| other == entry);
        let index = known.unwrap_or_else(|| {
            self.entries.push(entry.to_vec());
            self.entries.len() - 1
        });
        u32::try_from(index + 1).expect("sample entries are few")
    }

    /// When a sample of a run is decoded, in this track's ticks: `decode_time` has `timescale` ticks a
    /// second and counts from where the run has its decode time 0, `run_offset_us` after the first's.
    pub fn time(&self, decode_time: u64, timescale: u32, run_offset_us: i128) -> i128 {
        let ticks = i128::from(self.track.timescale);
        let run = (run_offset_us * ticks + 500_000).div_euclid(1_000_000);
        run + if timescale == self.track.timescale {
            i128::from(decode_time)
        } else {
            i128::from(decode_time) * ticks / i128::from(timescale)
        }
    }

    /// Begins a chunk in the sense of MP4: samples of this track that stand together.
    pub fn begin_chunk(&mut self, offset: u64, samples: u32, entry: u32) {
        self.chunk_offsets.push(offset);
        let chunk = self.chunk_offsets.len() as u32;
        if self
            .chunk_runs
            .last()
            .is_none_or(|&(_, count, last)| (count, last) != (samples, entry))
        {
            self.chunk_runs.push((chunk, samples, entry));
        }
    }

    /// Adds a sample of `source`, decoded at `time`; the one before it lasts until then.
    pub fn push(&mut self, time: i128, info: &SampleInfo, source: &Track) -> Result<()> {
        let out_of_range = Error::TimeOutOfRange { track: source.id };
        let time = i64::try_from(time)
            .ok()
            .filter(|time| time.unsigned_abs() < 1 << 62)
            .ok_or_else(|| out_of_range.clone())?;
        if self.first_time.is_none() {
            self.first_time = Some(time);
        } else {
            let ticks = time - self.last_time;
            if ticks <= 0 {
                return Err(Error::NotMonotonic {
                    track: source.id,
                    previous: self.last_time.max(0) as u64,
                    next: time.max(0) as u64,
                });
            }
            self.push_duration(ticks, source.id)?;
        }
        self.last_time = time;
        let (from, to) = (
            i128::from(source.timescale),
            i128::from(self.track.timescale),
        );
        let scale = |ticks: i128| ticks * to / from;
        self.last_duration = scale(info.duration.into()).clamp(1, DURATION_MAX.into()) as u32;
        let composition = i32::try_from(scale(info.composition_offset.into()));
        self.composition_offsets
            .push(composition.map_err(|_| out_of_range)?);
        self.sizes.push(info.size);
        if info.key {
            self.keys.push(self.sizes.len() as u32);
        }
        Ok(())
    }

    /// Gives the last sample the duration that its table knows, and the track its identifier.
    pub fn end(&mut self, id: u32) {
        self.durations.push(self.last_duration);
        self.track.id = id;
    }

    fn push_duration(&mut self, ticks: i64, track: u32) -> Result<()> {
        if ticks > DURATION_MAX {
            return Err(Error::GapTooLong {
                track,
                ticks: ticks as u64,
            });
        }
        self.durations.push(ticks as u32);
        Ok(())
    }
}
