//! How fast disks and cameras' budgets fill: retention deletes ahead of it, so that a budget holds between two looks as well.

use std::collections::HashMap;

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
/// No more than this part of a budget is ever deleted ahead: a rate may be measured wrongly.
const AHEAD_PART: u64 = 8;

/// What fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Of {
    /// A disk, by its number.
    Disk(u16),
    /// What a camera may keep; by its place in the configuration.
    Camera(usize),
}

/// How fast disks and cameras' budgets fill.
#[derive(Debug, Default)]
pub(super) struct Growths(HashMap<Of, Growth>);

/// A look at all of them.
pub(super) struct Look<'a> {
    growths: &'a mut HashMap<Of, Growth>,
    now_us: u64,
    /// In how many us the next should be.
    pub wait_us: u64,
}

impl Growths {
    /// Looks at them, by monotonic time in us.
    pub fn look(&mut self, now_us: u64) -> Look<'_> {
        Look {
            growths: &mut self.0,
            now_us,
            wait_us: PERIOD_US_MAX,
        }
    }

    /// Takes note of what was deleted: it does not make anything fill more slowly.
    pub fn deleted(&mut self, of: Of, bytes: u64) {
        if let Some(growth) = self.0.get_mut(&of) {
            growth.deleted(bytes);
        }
    }

    /// Takes note that footage is known anew that was there before: what is measured next begins after that. Rates stay, and so does what is
    /// expected, or nobody would see before the next look that something fills.
    pub fn taken_in(&mut self) {
        self.0.values_mut().for_each(|growth| growth.since = None);
    }

    /// Whether one has filled so much faster than the last look thought that the next is not to wait.
    pub fn is_outgrown(&self, of: Of, used_bytes: u64) -> bool {
        let growth = self.0.get(&of);
        growth.is_some_and(|growth| used_bytes > growth.expected)
    }

    /// Takes note of what came that was not recorded: no more of it is to be expected.
    pub fn came(&mut self, of: Of, bytes: u64) {
        if let Some(growth) = self.0.get_mut(&of) {
            growth.came(bytes);
        }
    }
}

impl Look<'_> {
    /// How a disk will be at the next look.
    pub fn disk(&mut self, state: DiskState) -> DiskState {
        let by_space = state.used_bytes.saturating_add(state.free_bytes);
        let by_space = by_space.saturating_sub(state.reserve_bytes);
        let budget = state.max_bytes.map_or(by_space, |max| max.min(by_space));
        let coming = self.coming(Of::Disk(state.disk), state.used_bytes, budget);
        DiskState {
            used_bytes: state.used_bytes.saturating_add(coming),
            free_bytes: state.free_bytes.saturating_sub(coming),
            ..state
        }
    }

    /// Bytes that a camera will have more at the next look.
    pub fn camera(&mut self, index: usize, used_bytes: u64, max_bytes: u64) -> u64 {
        self.coming(Of::Camera(index), used_bytes, max_bytes)
    }

    fn coming(&mut self, of: Of, used_bytes: u64, budget: u64) -> u64 {
        let growth = self.growths.entry(of).or_default();
        let (coming, period_us) = growth.look(self.now_us, used_bytes, budget);
        self.wait_us = self.wait_us.min(period_us);
        coming
    }
}

/// How fast one of them fills.
#[derive(Debug, Default)]
struct Growth {
    /// Monotonic time, us, and bytes of footage then.
    since: Option<(u64, u64)>,
    bytes_per_s: Option<u64>,
    /// Bytes that there may be by the next look, and bytes that there may ever be.
    expected: u64,
    budget: u64,
}

impl Growth {
    /// Takes note of how much there is. Returns how much more it will be at the next look, and in how many us that should be.
    fn look(&mut self, now_us: u64, used_bytes: u64, budget: u64) -> (u64, u64) {
        let (since_us, bytes) = *self.since.get_or_insert((now_us, used_bytes));
        let elapsed_us = now_us.saturating_sub(since_us);
        if elapsed_us >= MEASURED_US_MIN {
            let grown = used_bytes.saturating_sub(bytes);
            self.bytes_per_s = Some(over(grown, 1_000_000, elapsed_us));
            self.since = Some((now_us, used_bytes));
        }
        let period_us = self.period_us(used_bytes, budget);
        let bytes_per_s = self.bytes_per_s.unwrap_or(0);
        let coming = over(bytes_per_s, period_us + BATCH_US, 1_000_000);
        let coming = coming.min(budget / AHEAD_PART);
        let then = used_bytes.saturating_add(coming);
        // A rate may be measured wrongly, and changes: it is no matter before half of the room beside it is taken.
        self.expected = then.saturating_add(budget.saturating_sub(then) / 2);
        self.budget = budget;
        (coming, period_us)
    }

    fn came(&mut self, bytes: u64) {
        if let Some((_, used)) = &mut self.since {
            *used = used.saturating_add(bytes);
        }
    }

    fn deleted(&mut self, bytes: u64) {
        if let Some((_, used)) = &mut self.since {
            *used = used.saturating_sub(bytes);
        }
        // Where it cannot be kept, nothing is looked at more often for that.
        if self.expected > self.budget {
            self.expected = self.expected.saturating_sub(bytes).max(self.budget);
        }
    }

    /// As long as it takes to write a hundredth of what there may be; far from that, the longest there is.
    fn period_us(&self, used_bytes: u64, budget: u64) -> u64 {
        let Some(bytes_per_s) = self.bytes_per_s else {
            return MEASURED_US_MIN;
        };
        let coming = over(bytes_per_s, PERIOD_US_MAX + BATCH_US, 1_000_000);
        if used_bytes.saturating_add(coming) <= budget {
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

    /// A look at a disk: bytes used at the next one, and us until then.
    fn look(growths: &mut Growths, now_us: u64, state: DiskState) -> (u64, u64) {
        let mut look = growths.look(now_us);
        let then = look.disk(state);
        (then.used_bytes, look.wait_us)
    }

    #[test]
    fn it_looks_ahead_and_often_where_a_budget_is_small() {
        let mut growths = Growths::default();
        let first = look(&mut growths, 0, disk(0, 40_000_000));
        assert_eq!(first, (0, MEASURED_US_MIN));
        // A megabyte a second.
        let (then, period_us) = look(&mut growths, 5 * SECOND_US, disk(5_000_000, 400_000_000));
        assert_eq!(
            period_us, PERIOD_US_MAX,
            "there is room for longer than that"
        );
        assert_eq!(then, 5_000_000 + 31_500_000);
        let (then, period_us) = look(&mut growths, 35 * SECOND_US, disk(35_000_000, 40_000_000));
        assert_eq!(period_us, PERIOD_US_MIN);
        assert_eq!(then, 35_000_000 + 2_500_000);
    }

    #[test]
    fn what_is_deleted_does_not_slow_it_down() {
        let mut growths = Growths::default();
        look(&mut growths, 0, disk(30_000_000, 40_000_000));
        growths.deleted(Of::Disk(0), 20_000_000);
        let (then, _) = look(&mut growths, 10 * SECOND_US, disk(20_000_000, 20_000_000));
        assert_eq!(then, 20_000_000 + 2_500_000);
    }

    #[test]
    fn nothing_is_deleted_ahead_of_what_is_moved() {
        let mut growths = Growths::default();
        look(&mut growths, 0, disk(10_000_000, 40_000_000));
        growths.came(Of::Disk(0), 25_000_000);
        let (then, _) = look(&mut growths, 10 * SECOND_US, disk(36_000_000, 40_000_000));
        assert_eq!(then, 36_000_000 + 100_000 * 31_500 / 1_000);
    }

    #[test]
    fn what_fills_faster_than_it_did_is_looked_at_before_its_time() {
        let mut growths = Growths::default();
        let of = Of::Disk(0);
        assert!(!growths.is_outgrown(of, 1), "it was never looked at");
        look(&mut growths, 0, disk(10_000_000, 40_000_000));
        look(&mut growths, 10 * SECOND_US, disk(10_000_000, 40_000_000));
        assert!(!growths.is_outgrown(of, 25_000_000));
        assert!(growths.is_outgrown(of, 25_000_001), "half of its room");
        // Beyond its budget, it is what was deleted that counts.
        look(&mut growths, 20 * SECOND_US, disk(50_000_000, 40_000_000));
        assert!(!growths.is_outgrown(of, 50_000_000), "nothing can go");
        growths.deleted(of, 20_000_000);
        assert!(growths.is_outgrown(of, 40_000_001));
    }

    #[test]
    fn what_was_there_before_is_no_growth_and_ends_no_watch() {
        let mut growths = Growths::default();
        let of = Of::Disk(0);
        look(&mut growths, 0, disk(10_000_000, 40_000_000));
        look(&mut growths, 10 * SECOND_US, disk(11_000_000, 40_000_000));
        growths.taken_in();
        assert!(growths.is_outgrown(of, 30_000_000), "before the next look");
        let (then, _) = look(&mut growths, 20 * SECOND_US, disk(30_000_000, 40_000_000));
        assert_eq!(then, 30_000_000 + 3_150_000, "as fast as before");
    }

    #[test]
    fn a_large_disk_is_looked_at_as_seldom_as_ever() {
        let mut growths = Growths::default();
        let budget = 100_000_000_000;
        look(&mut growths, 0, disk(budget, budget));
        let full = disk(budget + 480_000_000, budget);
        let (then, period_us) = look(&mut growths, 30 * SECOND_US, full);
        assert_eq!(period_us, PERIOD_US_MAX);
        assert_eq!(then, budget + 480_000_000 + 504_000_000);
    }

    #[test]
    fn a_rate_that_cannot_be_costs_an_eighth_of_a_budget_at_most() {
        let mut growths = Growths::default();
        growths.look(0).camera(3, 0, 8_000_000);
        let mut look = growths.look(5 * SECOND_US);
        assert_eq!(look.camera(3, 1 << 40, 8_000_000), 1_000_000);
        assert_eq!(look.wait_us, PERIOD_US_MIN);
    }
}
