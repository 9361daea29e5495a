//! What the log is told of a stream: changes, and a reminder; not every attempt at a camera that is switched off.

use crate::limits::{TROUBLE_FLAPPING_US, TROUBLE_REMINDER_US};

/// What was told last of a stream's trouble.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// What was said, and when in monotonic time.
    last: Option<(String, u64)>,
    /// Whether that still holds as far as the log says.
    is_failing: bool,
}

impl Told {
    /// Whether the log is to say this: always what is new; the same again as a reminder, and when the stream was recorded in
    /// between, but not each time that a camera comes and goes within seconds.
    pub(super) fn failed(&mut self, sentence: &str, now_us: u64) -> bool {
        let wait_us = if self.is_failing {
            TROUBLE_REMINDER_US
        } else {
            TROUBLE_FLAPPING_US
        };
        let is_known = self.last.as_ref().is_some_and(|(last, at_us)| {
            last == sentence && now_us.saturating_sub(*at_us) < wait_us
        });
        if !is_known {
            self.last = Some((sentence.to_owned(), now_us));
            self.is_failing = true;
        }
        !is_known
    }

    /// Whether the log is to say that the stream is recorded again.
    pub(super) fn returned(&mut self) -> bool {
        std::mem::take(&mut self.is_failing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_is_off_is_told_once_an_hour() {
        let mut told = Told::default();
        let attempts = (0..24 * 3600).step_by(5);
        let lines = attempts
            .filter(|s| told.failed("off", s * 1_000_000))
            .count();
        assert_eq!(lines, 24);
        assert!(told.returned());
        assert!(!told.returned(), "its return is told once");
    }

    #[test]
    fn changes_are_told_at_once() {
        let mut told = Told::default();
        assert!(!told.returned(), "nothing had been wrong");
        assert!(told.failed("off", 0));
        assert!(told.failed("wrong password", 1));
        assert!(!told.failed("wrong password", 2));
        assert!(told.returned());
        assert!(told.failed("wrong password", TROUBLE_FLAPPING_US + 1));
    }

    #[test]
    fn one_that_comes_and_goes_is_told_each_minute() {
        let mut told = Told::default();
        let mut lines = 0;
        for second in (0..600).step_by(5) {
            lines += u32::from(told.failed("ended", second * 1_000_000));
            lines += u32::from(told.returned());
        }
        assert_eq!(lines, 20);
    }
}
