//! From RTP time stamps to decode times: the tracks in step with each other, and each going forward.
//!
//! retina places a stream's time stamps by the `rtptime` of the camera's RTP-Info (RFC 2326, 12.33), and
//! where one is missing begins each stream at its first packet. Cameras are known to send wrong ones:
//! when the two tracks then begin further apart than they arrived, arrival decides.

use super::ErrorKind;
use crate::limits::{
    TIMESTAMP_AHEAD_MS_MAX, TIMESTAMP_AUDIO_BACK_MS_MAX, TIMESTAMP_STILL_MS_MAX,
    TRACKS_APART_MS_MAX,
};

const US: i128 = 1_000_000;

/// The zero of a session: its first sample, of whichever track.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zero {
    elapsed: i64,
    timescale: u32,
    arrived_us: u64,
}

/// The times of one track.
#[derive(Debug)]
pub(super) struct Timeline {
    timescale: u32,
    /// Whether a step back is always an error: with pictures it means B-frames.
    strict: bool,
    /// What is taken off a time stamp; known from the first one on.
    offset: Option<i64>,
    previous: Option<Previous>,
    /// The sample by which the time stamps were last seen to go on.
    moved: Option<(i64, u64)>,
}

/// A track's last sample.
#[derive(Debug, Clone, Copy)]
struct Previous {
    /// As its time stamp says.
    stamp: i64,
    /// As it was placed.
    placed: i64,
    arrived_us: u64,
}

impl Timeline {
    /// `timescale` is not 0: retina refuses such a clock.
    pub(super) fn new(timescale: u32, strict: bool) -> Self {
        Self {
            timescale: timescale.max(1),
            strict,
            offset: None,
            previous: None,
            moved: None,
        }
    }

    /// The decode time, in ticks since `zero`, of a sample that stands `elapsed` ticks after retina's
    /// start of the stream and came at `arrived_us`. Always later than the one before. Slightly
    /// negative where this track begins before the one that came first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timestamps`] when the time went back, or ran ahead of arrival; [`ErrorKind::TimeStandsStill`] when it
    /// hardly went on: such pictures would all stand in one moment, and no segment of them would ever be due.
    pub(super) fn place(
        &mut self,
        elapsed: i64,
        arrived_us: u64,
        zero: &mut Option<Zero>,
    ) -> Result<i64, ErrorKind> {
        let timescale = self.timescale;
        let zero = *zero.get_or_insert(Zero {
            elapsed,
            timescale,
            arrived_us,
        });
        let offset = *self
            .offset
            .get_or_insert_with(|| offset(&zero, elapsed, timescale, arrived_us));
        let time = elapsed
            .checked_sub(offset)
            .ok_or_else(|| self.jump(i64::MAX))?;
        let Some(previous) = self.previous else {
            self.previous = Some(Previous {
                stamp: time,
                placed: time,
                arrived_us,
            });
            return Ok(time);
        };
        let before = if self.strict {
            previous.stamp
        } else {
            previous.placed
        };
        let step = time.saturating_sub(before);
        let since_us = arrived_us.saturating_sub(previous.arrived_us);
        let ahead_ms = self.ms(step).saturating_sub((since_us / 1000) as i64);
        let back_ms_max = if self.strict {
            0
        } else {
            TIMESTAMP_AUDIO_BACK_MS_MAX as i64
        };
        if ahead_ms > TIMESTAMP_AHEAD_MS_MAX as i64 {
            return Err(self.jump(step));
        }
        if step < 0 && (self.strict || self.ms(step) < -back_ms_max) {
            return Err(self.jump(step));
        }
        self.check_moves(time, arrived_us)?;
        // Two pictures or frames of one time: MP4 wants each to last.
        let placed = time.max(previous.placed.saturating_add(1));
        self.previous = Some(Previous {
            stamp: time,
            placed,
            arrived_us,
        });
        Ok(placed)
    }

    fn check_moves(&mut self, time: i64, arrived_us: u64) -> Result<(), ErrorKind> {
        let (moved, moved_us) = *self.moved.get_or_insert((time, arrived_us));
        if self.ms(time.saturating_sub(moved)) >= TIMESTAMP_STILL_MS_MAX as i64 / 10 {
            self.moved = Some((time, arrived_us));
            return Ok(());
        }
        let still_ms = arrived_us.saturating_sub(moved_us) / 1000;
        // Sound may pause, and does not decide when a segment ends.
        if self.strict && still_ms >= TIMESTAMP_STILL_MS_MAX {
            return Err(ErrorKind::TimeStandsStill { still_ms });
        }
        Ok(())
    }

    fn ms(&self, ticks: i64) -> i64 {
        (i128::from(ticks) * 1000 / i128::from(self.timescale)) as i64
    }

    fn jump(&self, ticks: i64) -> ErrorKind {
        // A step back of less than a millisecond is still one.
        let jump_ms = self.ms(ticks);
        ErrorKind::Timestamps {
            jump_ms: if ticks < 0 { jump_ms.min(-1) } else { jump_ms },
        }
    }
}

/// What is to be taken off this track's time stamps so that they count from `zero`.
fn offset(zero: &Zero, elapsed: i64, timescale: u32, arrived_us: u64) -> i64 {
    let ticks = |time: i128, scale: u32| time * i128::from(timescale) / i128::from(scale);
    let by_stamps = ticks(i128::from(zero.elapsed), zero.timescale);
    let apart_us = (i128::from(elapsed) - by_stamps) * US / i128::from(timescale);
    let arrived_apart_us = i128::from(arrived_us) - i128::from(zero.arrived_us);
    let offset = if (apart_us - arrived_apart_us).abs() > i128::from(TRACKS_APART_MS_MAX) * 1000 {
        i128::from(elapsed) - arrived_apart_us * i128::from(timescale) / US
    } else {
        by_stamps
    };
    i64::try_from(offset).unwrap_or(elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_are_in_step_by_their_stamps() {
        let mut zero = None;
        let (mut video, mut audio) = (Timeline::new(90_000, true), Timeline::new(48_000, false));
        assert_eq!(
            video.place(900_000, 5_000_000, &mut zero),
            Ok(0),
            "10 s after RTP-Info"
        );
        assert_eq!(
            audio.place(480_000 - 1024, 5_100_000, &mut zero),
            Ok(-1024),
            "a frame before it"
        );
        assert_eq!(video.place(903_000, 5_100_000, &mut zero), Ok(3_000));
        assert_eq!(audio.place(480_000, 5_100_000, &mut zero), Ok(0));
    }

    #[test]
    fn a_wrong_rtp_info_is_found_by_arrival() {
        let mut zero = None;
        let (mut video, mut audio) = (Timeline::new(90_000, true), Timeline::new(8_000, false));
        assert_eq!(video.place(0, 1_000_000, &mut zero), Ok(0));
        let hours = 8_000 * 3600 * 5;
        assert_eq!(
            audio.place(hours, 1_500_000, &mut zero),
            Ok(4_000),
            "half a second later"
        );
        assert_eq!(audio.place(hours + 1024, 1_600_000, &mut zero), Ok(5_024));
    }

    #[test]
    fn pictures_only_go_forward() {
        let jump = |stamps: &[(i64, u64)]| {
            let mut video = Timeline::new(90_000, true);
            let mut zero = None;
            stamps
                .iter()
                .try_for_each(|&(at, ms)| video.place(at, ms * 1000, &mut zero).map(drop))
        };
        assert_eq!(jump(&[(0, 0), (3000, 33), (6000, 66)]), Ok(()));
        assert_eq!(
            jump(&[(0, 0), (0, 0), (3000, 33)]),
            Ok(()),
            "two of one time"
        );
        let of_one_time = [(9000, 0), (9000, 0), (9000, 1), (9001, 2), (12_000, 33)];
        assert_eq!(jump(&of_one_time), Ok(()), "and more");
        let error = |jump_ms| Err(ErrorKind::Timestamps { jump_ms });
        assert_eq!(
            jump(&[(0, 0), (9000, 33), (3000, 66)]),
            error(-66),
            "B-frames"
        );
        assert_eq!(jump(&[(9000, 0), (8999, 33)]), error(-1));
        assert_eq!(jump(&[(0, 0), (90_000 * 11, 33)]), error(11_000));
        assert_eq!(
            jump(&[(0, 0), (90_000 * 11, 9_000)]),
            Ok(()),
            "it was silent as long"
        );
    }

    #[test]
    fn time_that_stands_still_is_noticed() {
        // Thirty pictures a second whose time stamps go on by this much each.
        let end = |ticks: i64, seconds: u64| {
            let mut video = Timeline::new(90_000, true);
            (0..30 * seconds).find_map(|n| {
                let placed = video.place(n as i64 * ticks, n * 33_333, &mut None);
                placed.err().map(|error| (n / 30, error))
            })
        };
        for ticks in [0, 1, 100] {
            let (second, error) = end(ticks, 60).unwrap();
            assert!((9..=11).contains(&second), "{second} s");
            assert!(
                matches!(error, ErrorKind::TimeStandsStill { .. }),
                "{error:?}"
            );
        }
        for ticks in [1500, 3_000, 6_000] {
            assert_eq!(end(ticks, 3600), None, "slow or quick, but going on");
        }
        let mut rare = Timeline::new(90_000, true);
        for n in 0..100 {
            let placed = rare.place(n * 9 * 90_000, n as u64 * 9_000_000, &mut None);
            assert_eq!(placed, Ok(n * 9 * 90_000), "one picture in 9 s");
        }
        let mut sound = Timeline::new(48_000, false);
        assert!((0..100).all(|n| sound.place(n, n as u64 * 1_000_000, &mut None).is_ok()));
    }

    #[test]
    fn sound_is_straightened() {
        let mut audio = Timeline::new(48_000, false);
        let times: Vec<_> = [0, 1024, 1000, 3072, -48_000]
            .into_iter()
            .map(|at| audio.place(at, 0, &mut None).ok())
            .collect();
        assert_eq!(times, [Some(0), Some(1024), Some(1025), Some(3072), None]);
    }

    #[test]
    fn no_number_is_too_large() {
        for elapsed in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX] {
            for second in [i64::MIN, -1, 0, i64::MAX] {
                let mut zero = None;
                let mut track = Timeline::new(1, true);
                let _ = track.place(elapsed, 0, &mut zero);
                let _ = track.place(second, u64::MAX, &mut zero);
                let _ = Timeline::new(u32::MAX, false).place(second, u64::MAX, &mut zero);
            }
        }
    }
}
