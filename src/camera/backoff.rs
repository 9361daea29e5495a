//! How long to wait before a camera is tried again.

use std::time::Duration;

use hearthkeep_format::Random;

use super::ErrorKind;
use crate::limits::{BACKOFF_ABSENT_MS_MAX, BACKOFF_MS_MAX, BACKOFF_MS_MIN, BACKOFF_RESET_MS};

/// Waits that double with each failure, with jitter so that cameras behind one switch are not all
/// tried at once when it is back.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after a connection that lasted `up` (zero where none was made) and ended with
    /// `kind`: from half to the whole of 1 s, 2 s, 4 s ... up to 30 s; up to 5 s where the camera is
    /// merely absent, so that its return is seen soon. A connection of a minute starts anew.
    pub fn wait(&mut self, up: Duration, kind: &ErrorKind, random: &mut dyn Random) -> Duration {
        if up >= Duration::from_millis(BACKOFF_RESET_MS) {
            self.failures = 0;
        }
        let most = if kind.is_absence() {
            BACKOFF_ABSENT_MS_MAX
        } else {
            BACKOFF_MS_MAX
        };
        let doubled = BACKOFF_MS_MIN << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let whole_ms = doubled.min(most);
        let mut draw = [0; 8];
        random.fill(&mut draw);
        let jitter_ms = u64::from_le_bytes(draw) % (whole_ms / 2 + 1);
        Duration::from_millis(whole_ms - jitter_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u64);

    impl Random for Fixed {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0.to_le_bytes()[..bytes.len()]);
        }
    }

    fn waits(kind: &ErrorKind, draw: u64) -> Vec<u64> {
        let mut backoff = Backoff::default();
        let wait = |_| {
            backoff
                .wait(Duration::ZERO, kind, &mut Fixed(draw))
                .as_millis() as u64
        };
        (0..7).map(wait).collect()
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        let refused = ErrorKind::RefusedCredentials;
        assert_eq!(
            waits(&refused, 0),
            [1000, 2000, 4000, 8000, 16000, 30000, 30000]
        );
        assert_eq!(
            waits(&ErrorKind::Ended, 0),
            [1000, 2000, 4000, 5000, 5000, 5000, 5000]
        );
        assert!(
            waits(&refused, u64::MAX)
                .iter()
                .zip(waits(&refused, 0))
                .all(|(a, b)| *a >= b / 2)
        );
    }

    #[test]
    fn a_good_minute_starts_anew() {
        let mut backoff = Backoff::default();
        for (up_s, wait_ms) in [(0, 1000), (0, 2000), (59, 4000), (60, 1000), (0, 2000)] {
            let up = Duration::from_secs(up_s);
            let wait = backoff.wait(up, &ErrorKind::Ended, &mut Fixed(0));
            assert_eq!(wait, Duration::from_millis(wait_ms), "after {up_s} s");
        }
    }
}
