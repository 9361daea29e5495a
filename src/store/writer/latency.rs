//! How long fsync takes, over a window of the last ones.

use std::time::Duration;

use crate::limits::FSYNC_SAMPLES_MIN;

const WINDOW: usize = 512;

/// The last 512 durations of fdatasync.
#[derive(Debug, Clone, Default)]
pub struct Latency {
    durations: Vec<Duration>,
    next: usize,
}

impl Latency {
    /// Counts one in, and the oldest out.
    pub(super) fn add(&mut self, duration: Duration) {
        if self.durations.len() < WINDOW {
            self.durations.push(duration);
        } else {
            self.durations[self.next] = duration;
        }
        self.next = (self.next + 1) % WINDOW;
    }

    /// The duration that 99 of 100 do not exceed; `None` before there were enough to say so.
    pub fn p99(&self) -> Option<Duration> {
        let is_enough = self.durations.len() >= FSYNC_SAMPLES_MIN;
        is_enough.then(|| self.p99_so_far())?
    }

    /// The same of however many there were; `None` before the first.
    pub fn p99_so_far(&self) -> Option<Duration> {
        let mut sorted = self.durations.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * 99).div_ceil(100);
        sorted.get(rank.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_forgets() {
        let mut latency = Latency::default();
        assert_eq!(latency.p99_so_far(), None);
        latency.add(Duration::from_secs(9));
        assert_eq!(latency.p99_so_far(), Some(Duration::from_secs(9)));
        (1..=WINDOW as u64).for_each(|ms| latency.add(Duration::from_millis(ms)));
        assert_eq!(latency.p99(), Some(Duration::from_millis(507)));
    }

    #[test]
    fn nothing_is_said_before_there_are_enough() {
        let mut latency = Latency::default();
        (1..FSYNC_SAMPLES_MIN).for_each(|_| latency.add(Duration::from_secs(9)));
        assert_eq!(latency.p99(), None);
        latency.add(Duration::from_secs(9));
        assert_eq!(latency.p99(), Some(Duration::from_secs(9)));
    }
}
