//! Chance that can be had again: its seed is printed, and taken from `HEARTHKEEP_TEST_SEED`.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64.
pub struct Chance(u64);

#[allow(dead_code)]
impl Chance {
    pub const fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub fn new() -> Self {
        let of_now = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_nanos() as u64
        };
        let seed = std::env::var("HEARTHKEEP_TEST_SEED")
            .map_or_else(|_| of_now(), |seed| seed.parse().unwrap());
        println!("HEARTHKEEP_TEST_SEED={seed}");
        Self(seed)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
