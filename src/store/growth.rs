//! How fast a disk fills: retention deletes ahead of it, so that a budget holds between two looks as well.

use super::retention::DiskState;
use crate::limits::{RETENTION_PERIOD_MS, SYNC_INTERVAL_MS_MAX};

/// A rate is of this time at least: writes come in batches.
const MEASURED_US_MIN: u64 = 4_500_000;
/// Between two looks, at least.
const PERIOD_US_MIN: u64 = 1_000_000;
const PERIOD_US_MAX: u64 = RETENTION_PERIOD_MS * 1_000;
/// What a look sees may be older by this.
const BATCH_US: u64 = SYNC_INTERVAL_MS_MAX * 1_000;
/// The part of a budget that may be written between two looks near its end.
const BUDGET_PART: u64 = 100;

/// How fast one disk fills.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// Monotonic time, us, and bytes of footage then.
    since: Option<(u64, u64)>,
    bytes_per_s: Option<u64>,
}

impl Growth {
    /// Takes note of how a disk is. Returns how it will be at the next look, and in how many us that should be.
    pub fn look(&mut self, now_us: u64, state: DiskState) -> (DiskState, u64) {
        let (since_us, bytes) = *self.since.get_or_insert((now_us, state.used_bytes));
        let elapsed_us = now_us.saturating_sub(since_us);
        if elapsed_us >= MEASURED_US_MIN {
            let grown = state.used_bytes.saturating_sub(bytes);
            self.bytes_per_s = Some(over(grown, 1_000_000, elapsed_us));
            self.since = Some((now_us, state.used_bytes));
        }
        let period_us = self.period_us(&state);
        let bytes_per_s = self.bytes_per_s.unwrap_or(0);
        let coming = over(bytes_per_s, period_us + BATCH_US, 1_000_000);
        let then = DiskState {
            used_bytes: state.used_bytes.saturating_add(coming),
            free_bytes: state.free_bytes.saturating_sub(coming),
            ..state
        };
        (then, period_us)
    }

    /// Takes note of what was deleted: it does not make a disk fill more slowly.
    pub fn deleted(&mut self, bytes: u64) {
        if let Some((_, used)) = &mut self.since {
            *used = used.saturating_sub(bytes);
        }
    }

    /// As long as it takes to write a hundredth of what the disk may hold; far from that, the longest there is.
    fn period_us(&self, state: &DiskState) -> u64 {
        let Some(bytes_per_s) = self.bytes_per_s else {
            return MEASURED_US_MIN;
        };
        let by_space = state.used_bytes.saturating_add(state.free_bytes);
        let by_space = by_space.saturating_sub(state.reserve_bytes);
        let budget = state.max_bytes.map_or(by_space, |max| max.min(by_space));
        let coming = over(bytes_per_s, PERIOD_US_MAX + BATCH_US, 1_000_000);
        if state.used_bytes.saturating_add(coming) <= budget {
            return PERIOD_US_MAX;
        }
        let part_us = over(budget / BUDGET_PART, 1_000_000, bytes_per_s.max(1));
        part_us.clamp(PERIOD_US_MIN, PERIOD_US_MAX)
    }
}

/// `of * times / by`, without running over on the way.
fn over(of: u64, times: u64, by: u64) -> u64 {
    let result = u128::from(of) * u128::from(times) / u128::from(by);
    u64::try_from(result).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: u64 = 1_000_000;

    fn disk(used_bytes: u64, max_bytes: u64) -> DiskState {
        DiskState {
            disk: 0,
            used_bytes,
            max_bytes: Some(max_bytes),
            free_bytes: 1 << 40,
            reserve_bytes: 0,
        }
    }

    #[test]
    fn it_looks_ahead_and_often_where_a_budget_is_small() {
        let mut growth = Growth::default();
        let (now, period_us) = growth.look(0, disk(0, 40_000_000));
        assert_eq!((now.used_bytes, period_us), (0, MEASURED_US_MIN));
        // A megabyte a second.
        let (then, period_us) = growth.look(5 * SECOND_US, disk(5_000_000, 40_000_000));
        assert_eq!(
            period_us, PERIOD_US_MAX,
            "there is room for longer than that"
        );
        assert_eq!(then.used_bytes, 5_000_000 + 31_500_000);
        let (then, period_us) = growth.look(35 * SECOND_US, disk(35_000_000, 40_000_000));
        assert_eq!(period_us, PERIOD_US_MIN);
        assert_eq!(then.used_bytes, 35_000_000 + 2_500_000);
    }

    #[test]
    fn what_is_deleted_does_not_slow_it_down() {
        let mut growth = Growth::default();
        growth.look(0, disk(30_000_000, 40_000_000));
        growth.deleted(20_000_000);
        let (then, _) = growth.look(10 * SECOND_US, disk(20_000_000, 20_000_000));
        assert_eq!(then.used_bytes, 20_000_000 + 2_500_000);
    }

    #[test]
    fn a_large_disk_is_looked_at_as_seldom_as_ever() {
        let mut growth = Growth::default();
        let budget = 100_000_000_000;
        growth.look(0, disk(budget, budget));
        let (then, period_us) = growth.look(30 * SECOND_US, disk(budget + 480_000_000, budget));
        assert_eq!(period_us, PERIOD_US_MAX);
        assert_eq!(then.used_bytes, budget + 480_000_000 + 504_000_000);
    }
}
