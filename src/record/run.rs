//! One run: the unbroken samples of one RTSP session, from the first key frame on.

use std::sync::Arc;

use hearthkeep_format::fmp4::{self, Track, TrackKind};
use hearthkeep_format::fragmenter::{Fragmenter, Limits, Sample, TrackClock};
use hearthkeep_format::segment::Preamble;
use hearthkeep_format::{Random, RunId};

use super::anchor::Anchor;
use super::damage::{Damage, Damaged};
use super::writing::Writing;
use crate::camera;
use crate::clock::{Clock, offset_us};
use crate::limits::{FRAGMENT_US_MAX, FRAGMENT_WATCHED_US_MAX};

/// How a session ended.
pub(super) enum RunEnd {
    /// The recorder was told to stop.
    Stopped,
    /// The camera, or what it sent.
    Camera(camera::Error),
    /// What it sent cannot be recorded.
    Unrecordable(fmp4::Error),
    /// The watchdog found that nothing of what it sends is recorded.
    Stuck,
}

/// Samples on their way into segments.
pub(super) struct Run {
    id: RunId,
    tracks: Vec<Track>,
    init: Vec<u8>,
    clock: Arc<dyn Clock>,
    damage: Damage,
    begun: Option<Begun>,
}

/// What is known from the first key frame on.
struct Begun {
    fragmenter: Fragmenter,
    anchor: Anchor,
    /// Decode time of the run's start, in each track's ticks.
    origins: Vec<i64>,
}

impl Run {
    pub(super) fn new(
        tracks: &[camera::Track],
        clock: Arc<dyn Clock>,
        random: &mut dyn Random,
    ) -> Self {
        let tracks: Vec<_> = (1..)
            .zip(tracks)
            .map(|(id, track)| mp4_track(id, track))
            .collect();
        Self {
            id: RunId::random(random),
            init: fmp4::init_segment(&tracks),
            tracks,
            clock,
            damage: Damage::default(),
            begun: None,
        }
    }

    /// Whether the first key frame has come.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Packets of the pictures were lost before the next one.
    pub(super) fn lost(&mut self) {
        self.damage.lost();
    }

    /// Takes a sample. Samples before the first key frame are left out: nothing could play them.
    ///
    /// # Errors
    /// What the camera sent cannot be recorded; the run is over.
    pub(super) fn take(
        &mut self,
        sample: camera::Sample,
        writing: &mut Writing,
    ) -> fmp4::Result<()> {
        let Some(track) = self.tracks.get(sample.track) else {
            return Ok(());
        };
        let is_video = track.kind.is_video();
        let media_us = micros(sample.decode_time, track.timescale);
        if self.begun.is_none() {
            if !(is_video && sample.key) {
                return Ok(());
            }
            let age_us = self.clock.monotonic_us().saturating_sub(sample.arrived_us);
            let wall_us = self.clock.wall_us().saturating_sub_unsigned(age_us);
            self.begun = Some(self.begin(media_us, wall_us)?);
        }
        let Some(begun) = &mut self.begun else {
            return Ok(());
        };
        let origin = begun.origins[sample.track];
        let Ok(decode_time) = u64::try_from(sample.decode_time - origin) else {
            return Ok(());
        };
        if is_video {
            let media_us = media_us - micros(origin, track.timescale);
            begun.anchor.observe(sample.arrived_us, media_us);
            let was_whole = self.damage.since_us().is_none();
            let at_us = u64::try_from(media_us).unwrap_or(0);
            let ended = self.damage.picture(at_us, sample.key);
            if ended.is_some() || was_whole != self.damage.since_us().is_none() {
                tell_damage(ended, self.damage.since_us(), &begun.anchor, writing);
            }
        }
        let watched = writing.is_watched();
        begun.fragmenter.set_duration_max_us(if watched {
            FRAGMENT_WATCHED_US_MAX
        } else {
            FRAGMENT_US_MAX
        });
        let sample = Sample {
            track: sample.track,
            decode_time,
            composition_offset: sample.composition_offset,
            key: sample.key,
            data: sample.data,
        };
        begun.fragmenter.push(sample)?;
        self.pull(writing);
        Ok(())
    }

    /// Hands over what is held back, and ends the segment.
    pub(super) fn finish(mut self, writing: &mut Writing) {
        self.flush(writing);
        writing.finish();
    }

    fn begin(&self, media_us: i64, wall_us: i64) -> fmp4::Result<Begun> {
        let clocks = self.tracks.iter().map(|track| TrackClock {
            timescale: track.timescale,
            is_video: track.kind.is_video(),
        });
        let fragmenter = Fragmenter::new(clocks.collect(), Limits::default())?;
        let origins = self
            .tracks
            .iter()
            .map(|track| ticks(media_us, track.timescale))
            .collect();
        Ok(Begun {
            fragmenter,
            anchor: Anchor::new(wall_us, 0),
            origins,
        })
    }

    fn pull(&mut self, writing: &mut Writing) {
        let Some(begun) = &mut self.begun else { return };
        let Begun {
            fragmenter, anchor, ..
        } = begun;
        while let Some(fragment) = fragmenter.pull() {
            let mut preamble = || Preamble {
                run: self.id,
                anchor_us: anchor.next_segment(offset_us(&*self.clock)),
                init: self.init.clone(),
            };
            writing.take(&fragment, &mut preamble);
        }
    }

    fn flush(&mut self, writing: &mut Writing) {
        let Some(Begun {
            fragmenter,
            mut anchor,
            ..
        }) = self.begun.take()
        else {
            return;
        };
        if let Some(ended) = self.damage.end() {
            tell_damage(Some(ended), None, &anchor, writing);
        }
        let mut preamble = || Preamble {
            run: self.id,
            anchor_us: anchor.next_segment(offset_us(&*self.clock)),
            init: self.init.clone(),
        };
        for fragment in fragmenter.finish() {
            writing.take(&fragment, &mut preamble);
        }
    }
}

/// Tells of damage that has ended, and since when it lasts, in wall time.
fn tell_damage(
    ended: Option<Damaged<u64>>,
    since_us: Option<u64>,
    anchor: &Anchor,
    writing: &Writing,
) {
    let wall_us = |media_us| anchor.wall_us(media_us);
    let ended = ended.map(|(from_us, to_us)| (wall_us(from_us), wall_us(to_us)));
    writing.damaged(ended, since_us.map(wall_us));
}

/// A camera's track as MP4 numbers it.
fn mp4_track(id: u32, track: &camera::Track) -> Track {
    let kind = match track.kind {
        camera::TrackKind::Video { width, height } => TrackKind::Video { width, height },
        camera::TrackKind::Audio {
            sample_rate,
            channels,
        } => TrackKind::Audio {
            sample_rate,
            channels,
        },
    };
    Track {
        id,
        timescale: track.timescale,
        kind,
        sample_entry: track.sample_entry.clone(),
    }
}

/// Ticks to microseconds, rounded down.
fn micros(ticks: i64, timescale: u32) -> i64 {
    clamp(i128::from(ticks) * 1_000_000 / i128::from(timescale.max(1)))
}

/// Microseconds to ticks, rounded to the nearest.
fn ticks(micros: i64, timescale: u32) -> i64 {
    clamp((i128::from(micros) * i128::from(timescale) + 500_000).div_euclid(1_000_000))
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_microseconds() {
        assert_eq!(micros(90_000, 90_000), 1_000_000);
        assert_eq!(ticks(1_000_000, 48_000), 48_000);
        assert_eq!(ticks(micros(3_001, 90_000), 90_000), 3_001);
        assert_eq!(ticks(i64::MAX, u32::MAX), i64::MAX);
    }
}
