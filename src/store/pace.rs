//! How often budgets are looked at: so often that between two looks none is exceeded by more than a little.

use std::collections::HashMap;

use crate::limits::{RETENTION_PERIOD_MS, RETENTION_PERIOD_MS_MIN};

/// A budget and how far it was used, before and after a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gauge {
    /// What it is of.
    pub of: Of,
    /// Bytes used when the pass began.
    pub before: u64,
    /// Bytes used when it was over.
    pub after: u64,
    /// Bytes that may be used.
    pub limit: u64,
    /// By how many bytes more it may be exceeded between two passes.
    pub slack: u64,
}

/// What a budget is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Of {
    Disk(u16),
    Reserve(u16),
    Camera(usize),
}

/// What is remembered from pass to pass.
#[derive(Default)]
pub(super) struct Pace {
    at_us: u64,
    after: HashMap<Of, u64>,
}

impl Pace {
    /// How long the next pass can wait after one at a monotonic time, us.
    pub(super) fn wait_us(&mut self, now_us: u64, gauges: &[Gauge]) -> u64 {
        let passed_us = now_us.saturating_sub(self.at_us).max(1);
        let least_us = RETENTION_PERIOD_MS_MIN * 1_000;
        let mut wait_us = RETENTION_PERIOD_MS * 1_000;
        for gauge in gauges {
            let Some(before) = self.after.get(&gauge.of) else {
                // How fast it grows is not known yet.
                wait_us = least_us;
                continue;
            };
            let grown = gauge.before.saturating_sub(*before);
            // Where it is exceeded, nothing more can be deleted: that is no reason to hurry.
            let left = gauge.limit.saturating_sub(gauge.after) + gauge.slack;
            let until_us = u128::from(left) * u128::from(passed_us) / u128::from(grown.max(1));
            wait_us = wait_us.min(u64::try_from(until_us).unwrap_or(u64::MAX));
        }
        self.at_us = now_us;
        self.after = gauges.iter().map(|gauge| (gauge.of, gauge.after)).collect();
        wait_us.max(least_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_that_fills_is_looked_at_before_it_is_exceeded_by_much() {
        let mut pace = Pace::default();
        let gauge = |before, after| Gauge {
            of: Of::Disk(0),
            before,
            after,
            limit: 1_000_000,
            slack: 5_000,
        };
        let least_us = RETENTION_PERIOD_MS_MIN * 1_000;
        assert_eq!(
            pace.wait_us(0, &[]),
            RETENTION_PERIOD_MS * 1_000,
            "there is none"
        );
        assert_eq!(
            pace.wait_us(0, &[gauge(0, 0)]),
            least_us,
            "its rate is not known"
        );
        // 1,000 bytes a second: a thousand seconds are left, and then five.
        assert_eq!(pace.wait_us(1_000_000, &[gauge(1_000, 1_000)]), 30_000_000);
        let full = gauge(1_002_000, 999_000);
        assert_eq!(pace.wait_us(1_002_000_000, &[full]), 6_000_000);
        assert_eq!(
            pace.wait_us(1_002_100_000, &[gauge(1_999_000, 999_000)]),
            least_us
        );
    }
}
