//! One track of a fragmenter.

use core::num::NonZeroU32;

use super::{Sample, TrackClock};
use crate::fmp4::{FragmentSample, Run, SampleInfo};

/// Samples in a raw AAC frame (ISO/IEC 14496-3 section 4.5.2.1): the duration of an only one.
const AAC_FRAME_TICKS: u32 = 1024;

#[derive(Debug)]
pub(super) struct TrackState<D> {
    pub id: NonZeroU32,
    pub clock: TrackClock,
    /// The last sample that was pushed; its duration is not known yet.
    pub held: Option<Sample<D>>,
    /// Samples of the fragment that is being collected.
    pub pending: Vec<FragmentSample<D>>,
    /// Decode time of the first pending sample.
    pub pending_start: u64,
    /// Decode time after the last released sample.
    pub released_end: u64,
    pub last_duration: Option<u32>,
}

impl<D: AsRef<[u8]>> TrackState<D> {
    pub fn new(id: u32, clock: TrackClock) -> Self {
        Self {
            id: NonZeroU32::new(id).expect("identifiers are counted from 1"),
            clock,
            held: None,
            pending: Vec::new(),
            pending_start: 0,
            released_end: 0,
            last_duration: None,
        }
    }

    /// The duration of a sample that stays the only one of its track.
    pub fn only_duration(&self) -> u32 {
        if self.clock.is_video {
            (self.clock.timescale / 30).max(1)
        } else {
            AAC_FRAME_TICKS
        }
    }

    /// Adds a sample whose duration is known to the fragment that is being collected.
    pub fn append(&mut self, sample: Sample<D>, duration: u32) {
        if self.pending.is_empty() {
            self.pending_start = sample.decode_time;
        }
        self.released_end = sample.decode_time + u64::from(duration);
        let info = SampleInfo {
            size: sample.data.as_ref().len() as u32,
            duration,
            composition_offset: sample.composition_offset,
            key: sample.key || !self.clock.is_video,
        };
        self.pending.push(FragmentSample {
            info,
            data: sample.data,
        });
    }

    /// What has been collected, if there is anything; the next fragment begins empty.
    pub fn take_run(&mut self) -> Option<Run<D>> {
        if self.pending.is_empty() {
            return None;
        }
        // The next fragment will be about as long as this one.
        let next = Vec::with_capacity(self.pending.len() + 1);
        let samples = core::mem::replace(&mut self.pending, next);
        Some(Run::new(self.id, self.pending_start, samples))
    }

    pub fn ticks_to_us(&self, ticks: u64) -> u64 {
        let us = u128::from(ticks) * 1_000_000 / u128::from(self.clock.timescale);
        u64::try_from(us).unwrap_or(u64::MAX)
    }
}
