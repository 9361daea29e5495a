//! Media time to wall time.
//!
//! A camera counts its own time; the box has another clock. A run is anchored once (`wall = anchor + media time`). The two
//! clocks drift apart, and what the network delays arrives late but never early, so the smallest difference seen during a
//! segment is the best estimate of the true one. It is measured against monotonic time, which nobody sets; what the wall clock
//! says beside that is asked when a segment begins. Each new segment moves its anchor towards the estimate by at most
//! [`SLEW_US_MAX`]; a larger error than [`STEP_US_MIN`] means that somebody set a clock, and the anchor follows at once.

use crate::limits::CLOCK_STEP_US_MIN;

/// How far an anchor moves from one segment to the next, in microseconds: 1 ms for each second of a 60 s segment, which
/// is more than the worst quartz drifts.
pub const SLEW_US_MAX: i64 = 60_000;

/// From this error on a clock was set, and did not drift; in microseconds.
pub const STEP_US_MIN: i64 = CLOCK_STEP_US_MIN as i64;

/// The anchor of one run; see the module's text.
#[derive(Debug, Clone)]
pub struct Anchor {
    current_us: i64,
    smallest_us: Option<i64>,
}

impl Anchor {
    /// Anchors a run at its first sample, which arrived at `wall_us` with `media_us` of media time.
    pub fn new(wall_us: i64, media_us: i64) -> Self {
        Self {
            current_us: wall_us - media_us,
            smallest_us: None,
        }
    }

    /// Takes note of a sample that arrived at a monotonic time; both in microseconds.
    pub fn observe(&mut self, arrived_us: u64, media_us: i64) {
        let difference = i64::try_from(arrived_us)
            .unwrap_or(i64::MAX)
            .saturating_sub(media_us);
        let least = self
            .smallest_us
            .map_or(difference, |least| least.min(difference));
        self.smallest_us = Some(least);
    }

    /// Wall time of a media time by the anchor as it stands; both in microseconds.
    pub fn wall_us(&self, media_us: u64) -> i64 {
        self.current_us.saturating_add_unsigned(media_us)
    }

    /// The anchor for a segment that begins now; in microseconds. `offset_us` is wall time less monotonic time.
    pub fn next_segment(&mut self, offset_us: i64) -> i64 {
        if let Some(least) = self.smallest_us.take() {
            let error = least
                .saturating_add(offset_us)
                .saturating_sub(self.current_us);
            self.current_us += if error.saturating_abs() >= STEP_US_MIN {
                error
            } else {
                error.clamp(-SLEW_US_MAX, SLEW_US_MAX)
            };
        }
        self.current_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    /// Of wall and monotonic time.
    const OFFSET: i64 = 1_000 * SECOND;

    fn observe(anchor: &mut Anchor, arrived_us: i64, media_us: i64) {
        anchor.observe(arrived_us as u64, media_us);
    }

    #[test]
    fn a_drifting_camera_is_followed() {
        let mut anchor = Anchor::new(OFFSET, 0);
        // The camera runs 0.05 % slow: after each minute its clock shows 30 ms less. Arrival jitters by up to 100 ms.
        for minute in 0..600 {
            for second in 0..60 {
                let arrived = (minute * 60 + second) * SECOND;
                let media = arrived * 9_995 / 10_000;
                observe(&mut anchor, arrived + (second * 37 % 100) * 1_000, media);
            }
            let elapsed = (minute + 1) * 60 * SECOND;
            let shown = anchor.next_segment(OFFSET) + elapsed * 9_995 / 10_000;
            let error = shown - (OFFSET + elapsed);
            assert!(error.abs() <= 31_000, "minute {minute}: {error} us");
        }
    }

    #[test]
    fn a_late_packet_does_not_move_the_anchor() {
        let mut anchor = Anchor::new(OFFSET + 5 * SECOND, 0);
        observe(&mut anchor, 6 * SECOND, SECOND);
        observe(&mut anchor, 12 * SECOND, 2 * SECOND);
        assert_eq!(anchor.next_segment(OFFSET), OFFSET + 5 * SECOND);
    }

    #[test]
    fn a_set_clock_is_followed_at_once() {
        for set_by in [-3_000 * SECOND, 1_700_000_000 * SECOND] {
            let mut anchor = Anchor::new(OFFSET + 5 * SECOND, 0);
            // Most of the segment was recorded before it was set.
            observe(&mut anchor, 6 * SECOND, SECOND);
            observe(&mut anchor, 7 * SECOND, 2 * SECOND);
            assert_eq!(
                anchor.next_segment(OFFSET + set_by),
                OFFSET + set_by + 5 * SECOND
            );
        }
    }

    #[test]
    fn nothing_seen_changes_nothing() {
        let mut anchor = Anchor::new(5 * SECOND, SECOND);
        assert_eq!(anchor.next_segment(OFFSET), 4 * SECOND);
        assert_eq!(anchor.next_segment(0), 4 * SECOND);
    }
}
