//! A plain MP4 with its `moov` in front, from sample tables alone: no chunk is opened to build it.
//!
//! `mdat` is the payloads of fragments, one after another as they were recorded, so the exporter
//! writes [`Movie::head`] and then copies the `mdat` content of each fragment that
//! [`Movie::payloads`] names.
//!
//! # Time
//!
//! All samples of a run keep the distances that its camera's clock gave them, across its segments: the
//! last sample of a segment lasts until the first of the next. A new run begins at its wall time, to
//! the nearest tick of each track and counted from the movie's first run, so that nothing adds up. The
//! last sample of each track before the gap lasts until then. When a clock was slow and a run would
//! begin before the one before it has ended, it begins right after it, on all tracks alike; the runs
//! after it are not moved with it.
//!
//! A movie begins when the first sample of any track is shown or heard; a track that begins later
//! starts with an empty edit (section 8.6.6). Sound is not trimmed to pictures or the other way round:
//! presentation time is decode time and composition offset, as the camera had it.

mod columns;
mod write;

use core::ops::Range;

use self::columns::MovieTrack;
use super::table::SampleTable;
use super::{Error, Result, Track, TrackKind};

/// Samples that one movie may have: some three days of video and sound.
pub const MOVIE_SAMPLES_MAX: u64 = 20_000_000;

/// Where a segment lies in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentPlace {
    /// It is of the same run as the segment added before it: decode times go on. Chunks or whole
    /// segments may be missing in between.
    SameRun,
    /// It is the first one added of its run.
    NewRun {
        /// Wall time of the run's decode time 0, in microseconds since 1970. It may lie before the
        /// movie's beginning, when only the end of a run is exported.
        origin_us: i64,
    },
}

/// The payload of one fragment, to be copied into a movie's `mdat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadRange {
    /// Which call of [`MovieBuilder::add_segment`], from 0.
    pub segment: u32,
    /// Which fragment of that segment's table, from 0.
    pub chunk: u32,
    /// Bytes of its `mdat` content. A fragment with another length does not belong to the table.
    pub bytes: u32,
}

/// A movie that is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movie {
    head: Vec<u8>,
    payloads: Vec<PayloadRange>,
    payload_bytes: u64,
}

impl Movie {
    /// The file's beginning: `ftyp`, `moov` and the header of `mdat`.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// What follows, in this order, up to the end of the file.
    pub fn payloads(&self) -> &[PayloadRange] {
        &self.payloads
    }

    /// Bytes of the whole file.
    pub fn file_bytes(&self) -> u64 {
        self.head.len() as u64 + self.payload_bytes
    }
}

/// Collects segments in the order of time. It holds about ten bytes a sample.
#[derive(Debug, Default)]
pub struct MovieBuilder {
    tracks: Vec<MovieTrack>,
    payloads: Vec<PayloadRange>,
    payload_bytes: u64,
    segments: u32,
    samples: u64,
    /// Wall time of decode time 0 of the first run.
    first_origin_us: Option<i64>,
    /// How much later than the first run the current one has its decode time 0, as laid out.
    run_offset_us: i128,
    /// The first sample's wall time in words.
    date: Option<String>,
}

/// One track of a segment on its way into a track of the movie.
struct Feed<'a> {
    walk: super::column::Walk<'a>,
    track: &'a Track,
    /// Index of the movie's track.
    slot: usize,
    /// Which of the movie's track's sample entries, from 1.
    entry: u32,
}

impl MovieBuilder {
    /// A movie without samples.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says when the first sample was taken, with the offset from UTC that was in force there: `2026-11-22T19:30:00+0100`. Without it
    /// the file tells the time in UTC alone.
    pub fn date(&mut self, date: String) {
        self.date = Some(date);
    }

    /// Adds the fragments `chunks` of a segment.
    ///
    /// `tracks` are those of its init segment. The first video track of each segment continues the
    /// movie's first one, and so on for each kind; other sample entries than before and other
    /// timescales are possible, missing tracks too.
    ///
    /// # Errors
    /// [`Error::ChunkRange`]; [`Error::NotAKeyFrame`] when the first video sample of the range is
    /// none; [`Error::UnknownTrack`] when the table has a track that `tracks` has not;
    /// [`Error::NothingToContinue`]; [`Error::NotMonotonic`] when a segment goes back within its run;
    /// [`Error::GapTooLong`] when a gap has 2³¹ ticks or more of a track, which is six hours at 90 kHz:
    /// players cannot show it, so another file must begin; [`Error::TimeOutOfRange`] and
    /// [`Error::TooMany`]. After an error the builder must be dropped.
    pub fn add_segment(
        &mut self,
        tracks: &[Track],
        table: &SampleTable,
        chunks: Range<u32>,
        place: SegmentPlace,
    ) -> Result<()> {
        if chunks.start >= chunks.end || chunks.end > table.chunks() {
            let Range { start: first, end } = chunks;
            return Err(Error::ChunkRange {
                first,
                end,
                chunks: table.chunks(),
            });
        }
        let mut feeds = self.feeds(tracks, table)?;
        for feed in &mut feeds {
            for _ in 0..chunks.start {
                let samples = feed.walk.next_chunk().unwrap_or(0);
                feed.walk.samples(samples).for_each(drop);
            }
        }
        check_key(&feeds, &chunks)?;
        self.place_run(&feeds, &chunks, place)?;
        for chunk in chunks {
            self.add_chunk(&mut feeds, chunk)?;
        }
        self.segments += 1;
        Ok(())
    }

    /// Lays out the file.
    ///
    /// # Errors
    /// [`Error::NoSamples`].
    pub fn finish(mut self) -> Result<Movie> {
        self.tracks.retain(|track| track.first_time().is_some());
        for (id, track) in (1..).zip(&mut self.tracks) {
            track.end(id);
        }
        let first_origin_us = self.first_origin_us.ok_or(Error::NoSamples)?;
        let date = self.date.as_deref();
        let head = write::head(&self.tracks, first_origin_us, date, self.payload_bytes)?;
        Ok(Movie {
            head,
            payloads: self.payloads,
            payload_bytes: self.payload_bytes,
        })
    }

    /// Pairs the table's tracks with the movie's, in the order of their bytes.
    fn feeds<'a>(&mut self, tracks: &'a [Track], table: &'a SampleTable) -> Result<Vec<Feed<'a>>> {
        let mut feeds = Vec::new();
        for id in table.track_ids() {
            let index = tracks.iter().position(|track| track.id == id);
            let index = index.ok_or(Error::UnknownTrack { track: id })?;
            let track = &tracks[index];
            if track.timescale == 0 {
                return Err(Error::Tracks {
                    what: "a timescale is 0",
                });
            }
            let same_kind = |kind: &TrackKind| kind.is_video() == track.kind.is_video();
            let ordinal = tracks[..index]
                .iter()
                .filter(|other| same_kind(&other.kind))
                .count();
            let known = (0..self.tracks.len())
                .filter(|&slot| same_kind(&self.tracks[slot].track().kind))
                .nth(ordinal);
            let slot = known.unwrap_or_else(|| {
                self.tracks.push(MovieTrack::new(track));
                self.tracks.len() - 1
            });
            let entry = self.tracks[slot].sample_entry(&track.sample_entry);
            let walk = table.walk(id).expect("the table has named this track");
            feeds.push(Feed {
                walk,
                track,
                slot,
                entry,
            });
        }
        Ok(feeds)
    }

    /// Finds when the run begins in the movie.
    fn place_run(
        &mut self,
        feeds: &[Feed<'_>],
        chunks: &Range<u32>,
        place: SegmentPlace,
    ) -> Result<()> {
        let (first_origin_us, origin_us) = match (self.first_origin_us, place) {
            (None, SegmentPlace::SameRun) => return Err(Error::NothingToContinue),
            (Some(_), SegmentPlace::SameRun) => return Ok(()),
            (first, SegmentPlace::NewRun { origin_us }) => (first.unwrap_or(origin_us), origin_us),
        };
        self.first_origin_us = Some(first_origin_us);
        let wanted_us = i128::from(origin_us) - i128::from(first_origin_us);
        let mut later_us = 0;
        for feed in feeds
            .iter()
            .filter(|feed| feed.walk.has_samples(chunks.len()))
        {
            let slot = &self.tracks[feed.slot];
            let Some(end) = slot.end_time() else { continue };
            let time = slot.time(feed.walk.decode_time(), feed.track.timescale, wanted_us);
            let ticks = i128::from(end) - time;
            let timescale = i128::from(slot.track().timescale);
            // Rounded up: a microsecond too few would let the runs overlap by a tick.
            later_us = later_us.max((ticks * 1_000_000 + timescale - 1).div_euclid(timescale));
        }
        self.run_offset_us = wanted_us + later_us;
        Ok(())
    }

    fn add_chunk(&mut self, feeds: &mut [Feed<'_>], chunk: u32) -> Result<()> {
        let start = self.payload_bytes;
        for feed in feeds {
            let samples = feed.walk.next_chunk().unwrap_or(0);
            if samples == 0 {
                continue;
            }
            self.samples += u64::from(samples);
            if self.samples > MOVIE_SAMPLES_MAX {
                let limit = MOVIE_SAMPLES_MAX;
                return Err(Error::TooMany {
                    offset: 0,
                    what: "samples in a movie",
                    limit,
                });
            }
            let slot = &mut self.tracks[feed.slot];
            slot.begin_chunk(self.payload_bytes, samples, feed.entry);
            for _ in 0..samples {
                let decode_time = feed.walk.decode_time();
                let info = feed
                    .walk
                    .next_sample()
                    .expect("a chunk's samples are in its column");
                let time = slot.time(decode_time, feed.track.timescale, self.run_offset_us);
                slot.push(time, &info, feed.track)?;
                self.payload_bytes += u64::from(info.size);
            }
        }
        let bytes = u32::try_from(self.payload_bytes - start).map_err(|_| Error::TooMany {
            offset: 0,
            what: "bytes in a fragment",
            limit: u64::from(u32::MAX),
        })?;
        if bytes > 0 {
            self.payloads.push(PayloadRange {
                segment: self.segments,
                chunk,
                bytes,
            });
        }
        Ok(())
    }
}

/// Refuses a range that begins with pictures that do not decode alone.
fn check_key(feeds: &[Feed<'_>], chunks: &Range<u32>) -> Result<()> {
    for feed in feeds.iter().filter(|feed| feed.track.kind.is_video()) {
        if feed.walk.has_samples(chunks.len()) && !feed.walk.starts_with_key() {
            return Err(Error::NotAKeyFrame {
                chunk: chunks.start,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmp4::track::tests::two_tracks;
    use crate::fmp4::{FragmentView, RunView, SampleInfo};
    use proptest::prelude::*;

    fn any_run(track_id: u32) -> impl Strategy<Value = Option<RunView>> {
        let extreme = prop_oneof![
            Just(0),
            Just(1),
            Just(u32::MAX >> 1),
            Just(u32::MAX),
            0..5000_u32
        ];
        let info = (1..u32::MAX >> 1, extreme, any::<i32>(), any::<bool>()).prop_map(
            |(size, duration, composition_offset, key)| SampleInfo {
                size,
                duration,
                composition_offset,
                key,
            },
        );
        let samples = prop::collection::vec(info, 1..5);
        let time = prop_oneof![Just(0), 0..100_000_u64, any::<u64>()];
        let run = (samples, time).prop_map(move |(samples, decode_time)| RunView {
            track_id,
            decode_time,
            samples,
            data: 0..0,
        });
        prop::option::weighted(0.8, run)
    }

    proptest! {
        /// Tables come from chunks that somebody with the key has made up.
        #[test]
        fn any_tables_give_a_result(
            segments in prop::collection::vec(
                (any_run(1), any_run(2), 1..u32::MAX, prop::option::of(any::<i64>())), 1..6,
            ),
        ) {
            let mut builder = MovieBuilder::new();
            let mut bytes = 0;
            for (video, audio, timescale, origin_us) in segments {
                let runs: Vec<_> = video.into_iter().chain(audio).collect();
                let all = runs.iter().flat_map(|run| &run.samples);
                bytes += all.map(|info| u64::from(info.size)).sum::<u64>();
                let view = FragmentView { sequence: 0, runs, payload: 0..0 };
                let Ok(table) = SampleTable::from_views([&view]) else { return Ok(()) };
                let mut tracks = two_tracks();
                tracks[0].timescale = timescale;
                let place = origin_us.map_or(SegmentPlace::SameRun, |origin_us| {
                    SegmentPlace::NewRun { origin_us }
                });
                if builder.add_segment(&tracks, &table, 0..1, place).is_err() {
                    return Ok(());
                }
            }
            if let Ok(movie) = builder.finish() {
                prop_assert_eq!(movie.file_bytes(), movie.head().len() as u64 + bytes);
            }
        }
    }
}
