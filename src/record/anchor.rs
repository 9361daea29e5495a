//! Media time to wall time.
//!
//! A camera counts its own time; the box has another clock. A run is anchored once (`wall = anchor + media time`). The two
//! clocks drift apart, and what the network delays arrives late but never early, so the smallest difference seen during a
//! segment is the best estimate of the true one. Each new segment moves its anchor towards that estimate by at most
//! [`SLEW_US_MAX`]; a larger error than [`STEP_US_MIN`] means that somebody set a clock, and the anchor follows at once.

/// How far an anchor moves from one segment to the next, in microseconds: 1 ms for each second of a 60 s segment, which
/// is more than the worst quartz drifts.
pub const SLEW_US_MAX: i64 = 60_000;

/// From this error on a clock was set, and did not drift; in microseconds.
pub const STEP_US_MIN: i64 = 2_000_000;

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

    /// Takes note of a sample's arrival; both in microseconds.
    pub fn observe(&mut self, wall_us: i64, media_us: i64) {
        let difference = wall_us - media_us;
        self.smallest_us = Some(
            self.smallest_us
                .map_or(difference, |least| least.min(difference)),
        );
    }

    /// The anchor for a segment that begins now; in microseconds.
    pub fn next_segment(&mut self) -> i64 {
        if let Some(seen) = self.smallest_us.take() {
            let error = seen - self.current_us;
            self.current_us += if error.abs() >= STEP_US_MIN {
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

    #[test]
    fn a_drifting_camera_is_followed() {
        let mut anchor = Anchor::new(1_000 * SECOND, 0);
        // The camera runs 0.05 % slow: after each minute its clock shows 30 ms less. Arrival jitters by up to 100 ms.
        for minute in 0..600 {
            for second in 0..60 {
                let wall = (1_000 + minute * 60 + second) * SECOND;
                let media = (wall - 1_000 * SECOND) * 9_995 / 10_000;
                anchor.observe(wall + (second * 37 % 100) * 1_000, media);
            }
            let elapsed = (minute + 1) * 60 * SECOND;
            let error =
                anchor.next_segment() + elapsed * 9_995 / 10_000 - (1_000 * SECOND + elapsed);
            assert!(error.abs() <= 31_000, "minute {minute}: {error} us");
        }
    }

    #[test]
    fn a_late_packet_does_not_move_the_anchor() {
        let mut anchor = Anchor::new(5 * SECOND, 0);
        anchor.observe(6 * SECOND, SECOND);
        anchor.observe(8 * SECOND + 400_000, 2 * SECOND);
        assert_eq!(anchor.next_segment(), 5 * SECOND);
    }

    #[test]
    fn a_set_clock_is_followed_at_once() {
        let mut anchor = Anchor::new(5 * SECOND, 0);
        anchor.observe(3_600 * SECOND, SECOND);
        assert_eq!(anchor.next_segment(), 3_599 * SECOND);
    }

    #[test]
    fn nothing_seen_changes_nothing() {
        let mut anchor = Anchor::new(5 * SECOND, SECOND);
        assert_eq!(anchor.next_segment(), 4 * SECOND);
        assert_eq!(anchor.next_segment(), 4 * SECOND);
    }
}
