//! From samples to fragments.
//!
//! # Contract
//!
//! A [`Fragmenter`] serves one run: from the first key frame of one RTSP session until something is
//! missing. The caller alternates:
//!
//! 1. [`push`](Fragmenter::push) one sample. An error means that this sample was not taken and that
//!    nothing has changed; the caller decides whether to leave it out or to end the run.
//! 2. [`pull`](Fragmenter::pull) until it gives `None`. A push before that is refused, so that what is
//!    held stays bounded.
//! 3. At the run's end, [`finish`](Fragmenter::finish) and take what it gives. A fragmenter that is
//!    dropped loses at most the samples since the last cut.
//!
//! In return:
//!
//! - Each sample that was taken comes out exactly once, in the order of its track.
//! - A sample's duration is the next one's decode time less its own. So the last sample of each track
//!   is held back until the next one is pushed; only `finish` has to assume a duration: that of the
//!   sample before, or else 1/30 s (video) or 1024 ticks (audio: an AAC frame).
//! - A fragment is cut right before each video key frame, which therefore begins the next one that
//!   holds video, and as soon as the video in it has reached the longest duration that was asked for.
//!   Audio goes where its duration became known. Without video, audio decides. A fragment is cut
//!   earlier when another sample might exceed [`Limits`].
//! - When video stands still, audio alone is cut every two seconds, so that a power cut costs no more.
//!   This begins with the run's second video sample: until then nothing could be played.
//! - With a video track, nothing is taken before the first key frame
//!   ([`Error::BeforeFirstKey`]): the caller drops those samples and counts decode times from there.
//!
//! Decode times go on through all segments of a run: a segment ends between two fragments and the
//! fragmenter does not notice.

mod track;

use std::collections::VecDeque;

use self::track::TrackState;
use crate::fmp4::{
    Error, FRAGMENT_BYTES_MAX, FRAGMENT_SAMPLES_MAX, Fragment, FragmentTimes, Result,
    SAMPLE_OVERHEAD_BYTES_MAX, TRACKS_MAX, overhead_bytes_max,
};

/// Audio of a run whose video stands still is cut after this long.
const AUDIO_ALONE_MAX_US: u32 = 2_000_000;

/// Longest duration of a fragment until [`Fragmenter::set_duration_max_us`] says another.
const DURATION_MAX_US_DEFAULT: u32 = 500_000;

/// A track's clock, as far as fragmenting depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackClock {
    /// Ticks a second; not 0.
    pub timescale: u32,
    /// Whether its key frames cut fragments. At most one track may.
    pub is_video: bool,
}

/// Bounds of one fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of `moof` and `mdat` together; at most [`FRAGMENT_BYTES_MAX`].
    pub fragment_bytes_max: u32,
    /// Samples of all tracks together; from 1 to [`FRAGMENT_SAMPLES_MAX`].
    pub fragment_samples_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fragment_bytes_max: FRAGMENT_BYTES_MAX,
            fragment_samples_max: FRAGMENT_SAMPLES_MAX,
        }
    }
}

/// One sample as the camera gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample<D = Vec<u8>> {
    /// Index of its track, from 0.
    pub track: usize,
    /// Decode time in the track's ticks since the run's start.
    pub decode_time: u64,
    /// Presentation time less decode time, in ticks.
    pub composition_offset: i32,
    /// Whether it decodes alone. Audio samples count as key frames whatever they say.
    pub key: bool,
    /// NAL units with their lengths in front, or a raw audio frame. It is moved, not copied.
    pub data: D,
}

/// Cuts samples into fragments; see the module's contract.
///
/// `D` owns a sample's bytes: `Vec<u8>`, or anything else that can be moved and seen as bytes.
#[derive(Debug)]
pub struct Fragmenter<D = Vec<u8>> {
    tracks: Vec<TrackState<D>>,
    video: Option<usize>,
    limits: Limits,
    duration_max_us: u32,
    ready: VecDeque<Fragment<D>>,
    pending_samples: u32,
    pending_bytes: usize,
    /// Whether a video sample has been released into a fragment.
    video_begun: bool,
    samples_taken: u64,
    samples_given: u64,
}

impl<D: AsRef<[u8]>> Fragmenter<D> {
    /// Starts a run with these tracks. Their identifiers in the fragments are 1, 2 and so on.
    ///
    /// # Errors
    /// [`Error::Tracks`] when there are none or more than [`TRACKS_MAX`], more than one is video or a
    /// timescale is 0; [`Error::TooMany`] when a limit is 0 or above what can be sealed.
    pub fn new(tracks: Vec<TrackClock>, limits: Limits) -> Result<Self> {
        if tracks.is_empty() || tracks.len() > TRACKS_MAX {
            return Err(Error::Tracks {
                what: "there are none or too many",
            });
        }
        if tracks.iter().any(|track| track.timescale == 0) {
            return Err(Error::Tracks {
                what: "a timescale is 0",
            });
        }
        if tracks.iter().filter(|track| track.is_video).count() > 1 {
            return Err(Error::Tracks {
                what: "more than one is video",
            });
        }
        if !(1..=FRAGMENT_BYTES_MAX).contains(&limits.fragment_bytes_max) {
            let limit = u64::from(FRAGMENT_BYTES_MAX);
            return Err(Error::TooMany {
                offset: 0,
                what: "bytes in a fragment",
                limit,
            });
        }
        if !(1..=FRAGMENT_SAMPLES_MAX).contains(&limits.fragment_samples_max) {
            let limit = u64::from(FRAGMENT_SAMPLES_MAX);
            return Err(Error::TooMany {
                offset: 0,
                what: "samples in a fragment",
                limit,
            });
        }
        Ok(Self {
            video: tracks.iter().position(|track| track.is_video),
            tracks: (1..)
                .zip(tracks)
                .map(|(id, clock)| TrackState::new(id, clock))
                .collect(),
            limits,
            duration_max_us: DURATION_MAX_US_DEFAULT,
            ready: VecDeque::new(),
            pending_samples: 0,
            pending_bytes: 0,
            video_begun: false,
            samples_taken: 0,
            samples_given: 0,
        })
    }

    /// Sets how long a fragment gets before it is cut, in microseconds; 500 ms until it is called.
    ///
    /// It holds from the next sample on. A fragment can be longer by one sample.
    pub fn set_duration_max_us(&mut self, duration_max_us: u32) {
        self.duration_max_us = duration_max_us;
    }

    /// Takes the next sample of a track. Samples of different tracks may come in any order.
    ///
    /// # Errors
    /// [`Error::NotPulled`], [`Error::UnknownTrack`], [`Error::EmptySample`],
    /// [`Error::SampleTooLarge`], [`Error::BeforeFirstKey`], [`Error::NotMonotonic`] (also for two
    /// samples at one time), [`Error::GapTooLong`] (2³² ticks or more since the one before) and
    /// [`Error::TimeOutOfRange`] (2⁶³ ticks or more). The sample is then dropped and nothing else has
    /// happened.
    pub fn push(&mut self, sample: Sample<D>) -> Result<()> {
        if !self.ready.is_empty() {
            return Err(Error::NotPulled);
        }
        let index = sample.track;
        let duration = self.check(&sample)?;
        let is_video = self.video == Some(index);
        if let Some(duration) = duration {
            self.release(index, duration);
            self.cut_if_long(index);
        }
        if is_video && sample.key {
            self.cut();
        }
        let track = &mut self.tracks[index];
        if duration.is_none() {
            track.released_end = sample.decode_time;
        }
        track.held = Some(sample);
        self.samples_taken += 1;
        Ok(())
    }

    /// Gives the next fragment that is complete.
    pub fn pull(&mut self) -> Option<Fragment<D>> {
        let fragment = self.ready.pop_front()?;
        let samples: usize = fragment.runs().iter().map(|run| run.samples().len()).sum();
        self.samples_given += samples as u64;
        Some(fragment)
    }

    /// Cuts a fragment now, of those samples whose durations are known; the run goes on.
    pub fn flush(&mut self) {
        self.cut();
    }

    /// Ends the run and gives everything that is left, at most a few fragments.
    pub fn finish(mut self) -> impl Iterator<Item = Fragment<D>> {
        for index in 0..self.tracks.len() {
            let track = &self.tracks[index];
            if track.held.is_some() {
                let assumed = track.last_duration.unwrap_or(track.only_duration());
                self.release(index, assumed);
            }
        }
        self.cut();
        self.ready.into_iter()
    }

    /// Panics when the state contradicts itself. For tests and fuzzing, after each call.
    pub fn check_invariants(&self) {
        let ready = self
            .ready
            .iter()
            .flat_map(Fragment::runs)
            .map(|run| run.samples().len());
        let pending = self.tracks.iter().map(|track| track.pending.len());
        let held = self
            .tracks
            .iter()
            .filter(|track| track.held.is_some())
            .count();
        let inside: usize = ready.chain(pending.clone()).sum::<usize>() + held;
        assert_eq!(
            self.samples_taken,
            self.samples_given + inside as u64,
            "samples are conserved"
        );
        assert_eq!(pending.sum::<usize>(), self.pending_samples as usize);
        assert!(self.pending_samples <= self.limits.fragment_samples_max);
        assert!(self.pending_bytes <= self.limits.fragment_bytes_max as usize);
        let mut bytes = 0;
        for track in &self.tracks {
            let ticks: u64 = track
                .pending
                .iter()
                .map(|s| u64::from(s.info.duration))
                .sum();
            if !track.pending.is_empty() {
                assert_eq!(
                    track.pending_start + ticks,
                    track.released_end,
                    "durations are exact"
                );
            }
            if let Some(held) = &track.held {
                assert_eq!(
                    held.decode_time, track.released_end,
                    "nothing is between the two"
                );
            }
            bytes += track
                .pending
                .iter()
                .map(|s| s.data.as_ref().len())
                .sum::<usize>();
            let late_keys = track.pending.iter().skip(1).any(|s| s.info.key);
            assert!(
                !track.clock.is_video || !late_keys,
                "a key frame begins its fragment"
            );
        }
        assert_eq!(
            bytes + self.pending_samples as usize * SAMPLE_OVERHEAD_BYTES_MAX,
            self.pending_bytes
        );
        assert!(
            self.ready
                .iter()
                .all(|f| f.encoded_len() <= self.limits.fragment_bytes_max as usize)
        );
    }

    /// Checks a sample against everything that may be wrong with it, and gives the duration of the
    /// one before it, if there is one.
    fn check(&self, sample: &Sample<D>) -> Result<Option<u32>> {
        let number = sample.track as u32;
        let track = self
            .tracks
            .get(sample.track)
            .ok_or(Error::UnknownTrack { track: number })?;
        let bytes = sample.data.as_ref().len();
        if bytes == 0 {
            return Err(Error::EmptySample { track: number });
        }
        let overhead = overhead_bytes_max(self.tracks.len()) + SAMPLE_OVERHEAD_BYTES_MAX;
        let bytes_max = (self.limits.fragment_bytes_max as usize).saturating_sub(overhead);
        if bytes > bytes_max {
            let (bytes, bytes_max) = (bytes as u64, bytes_max as u64);
            return Err(Error::SampleTooLarge {
                track: number,
                bytes,
                bytes_max,
            });
        }
        if sample.decode_time > i64::MAX as u64 {
            return Err(Error::TimeOutOfRange { track: number });
        }
        if let Some(video) = self.video
            && self.samples_taken == 0
            && !(sample.track == video && sample.key)
        {
            return Err(Error::BeforeFirstKey);
        }
        let Some(held) = &track.held else {
            return Ok(None);
        };
        let (previous, next) = (held.decode_time, sample.decode_time);
        let ticks = next
            .checked_sub(previous)
            .filter(|&ticks| ticks > 0)
            .ok_or(Error::NotMonotonic {
                track: number,
                previous,
                next,
            })?;
        let duration = u32::try_from(ticks).map_err(|_| Error::GapTooLong {
            track: number,
            ticks,
        })?;
        Ok(Some(duration))
    }

    /// Moves a track's held sample into the fragment that is being collected.
    fn release(&mut self, index: usize, duration: u32) {
        let track = &mut self.tracks[index];
        let held = track
            .held
            .take()
            .expect("a duration is known only of a held sample");
        track.last_duration = Some(duration);
        let bytes = held.data.as_ref().len() + SAMPLE_OVERHEAD_BYTES_MAX;
        let bytes_max = self.limits.fragment_bytes_max as usize;
        if self.pending_samples == self.limits.fragment_samples_max
            || self.collected_bytes() + bytes > bytes_max
        {
            self.cut();
        }
        self.pending_samples += 1;
        self.pending_bytes += bytes;
        self.video_begun |= self.video == Some(index);
        self.tracks[index].append(held, duration);
    }

    /// The most that the collected samples can take when written.
    fn collected_bytes(&self) -> usize {
        overhead_bytes_max(self.tracks.len()) + self.pending_bytes
    }

    /// Cuts when the track that has just grown has reached its longest duration.
    fn cut_if_long(&mut self, index: usize) {
        let track = &self.tracks[index];
        let longest_us = match self.video {
            Some(video) if video == index => self.duration_max_us,
            None => self.duration_max_us,
            Some(_) if self.video_begun => self.duration_max_us.max(AUDIO_ALONE_MAX_US),
            Some(_) => return,
        };
        let ticks = u128::from(track.released_end - track.pending_start);
        let long = ticks * 1_000_000 >= u128::from(longest_us) * u128::from(track.clock.timescale);
        if long {
            self.cut();
        }
    }

    /// Completes the fragment that is being collected, if it has samples.
    fn cut(&mut self) {
        if self.pending_samples == 0 {
            return;
        }
        let collected = |track: &&TrackState<D>| !track.pending.is_empty();
        let video = self.video.map(|video| &self.tracks[video]);
        let leading = video
            .filter(collected)
            .or_else(|| self.tracks.iter().find(collected))
            .expect("a fragment with samples has a track with samples");
        let decode_time_us = leading.ticks_to_us(leading.pending_start);
        let duration_us = leading.ticks_to_us(leading.released_end) - decode_time_us;
        let starts_with_key =
            video.is_none_or(|video| video.pending.first().is_some_and(|s| s.info.key));
        let times = FragmentTimes {
            starts_with_key,
            decode_time_us,
            duration_us: u32::try_from(duration_us).unwrap_or(u32::MAX),
        };
        let runs = self
            .tracks
            .iter_mut()
            .filter_map(TrackState::take_run)
            .collect();
        self.ready.push_back(Fragment::new(runs, times));
        self.pending_samples = 0;
        self.pending_bytes = 0;
    }
}

#[cfg(test)]
mod tests;
