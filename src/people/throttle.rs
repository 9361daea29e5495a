//! How often somebody may try: five times a minute from an address, and as often at an account.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::limits::{
    THROTTLE_ATTEMPTS_MAX, THROTTLE_ENTRIES_MAX, THROTTLE_WINDOW_S, THROTTLED_ADDRESS_PREFIX_BITS,
};

const WINDOW_US: i64 = THROTTLE_WINDOW_S * 1_000_000;

/// What is tried at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// An account that exists, or the claim code: few, so no flood of made-up names can push them out.
    Known([u8; 16]),
    /// A name nobody has: treated alike.
    Unknown([u8; 16]),
}

/// The attempts of the last minute. Wall time, so that it means something after a restart.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Throttle {
    addresses: Table,
    known: Table,
    unknown: Table,
}

impl Throttle {
    /// Counts an attempt, or says for how many µs there may be none. A refused attempt does not count: an impatient owner
    /// is not shut out for longer.
    pub fn attempt(&mut self, address: IpAddr, target: Target, now_us: i64) -> Result<(), i64> {
        let address = address_key(address);
        let wait = self
            .addresses
            .wait_us(&address, now_us)
            .max(self.target(target).wait_us(target.key(), now_us));
        if wait > 0 {
            return Err(wait);
        }
        self.addresses.count(address, now_us);
        self.target(target).count(*target.key(), now_us);
        Ok(())
    }

    /// Takes the newest attempt back: it was right.
    pub fn forgive(&mut self, address: IpAddr, target: Target) {
        self.addresses.take_back(&address_key(address));
        self.target(target).take_back(target.key());
    }

    fn target(&mut self, target: Target) -> &mut Table {
        match target {
            Target::Known(_) => &mut self.known,
            Target::Unknown(_) => &mut self.unknown,
        }
    }
}

impl Target {
    fn key(&self) -> &[u8; 16] {
        let (Self::Known(key) | Self::Unknown(key)) = self;
        key
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Table(HashMap<String, Vec<i64>>);

impl Table {
    /// How long until the oldest of five attempts is a minute old.
    fn wait_us(&mut self, key: &[u8; 16], now_us: i64) -> i64 {
        let Some(times) = self.0.get_mut(&hex(key)) else {
            return 0;
        };
        prune(times, now_us);
        let oldest = times
            .len()
            .checked_sub(THROTTLE_ATTEMPTS_MAX)
            .map(|at| times[at]);
        oldest.map_or(0, |oldest| (oldest + WINDOW_US - now_us).max(0))
    }

    fn count(&mut self, key: [u8; 16], now_us: i64) {
        let key = hex(&key);
        if !self.0.contains_key(&key) && self.0.len() >= THROTTLE_ENTRIES_MAX {
            self.make_room(now_us);
        }
        self.0.entry(key).or_default().push(now_us);
    }

    fn take_back(&mut self, key: &[u8; 16]) {
        if let Some(times) = self.0.get_mut(&hex(key)) {
            times.pop();
        }
    }

    /// Forgets what is over; where nothing is, whoever tried longest ago.
    fn make_room(&mut self, now_us: i64) {
        self.0.retain(|_, times| {
            prune(times, now_us);
            !times.is_empty()
        });
        if self.0.len() >= THROTTLE_ENTRIES_MAX {
            let oldest = self.0.iter().min_by_key(|(_, times)| times.last().copied());
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.0.remove(&key);
            }
        }
    }
}

/// Drops what is over. A time to come means that the clock was set back: it counts as now, for a minute at most.
fn prune(times: &mut Vec<i64>, now_us: i64) {
    times
        .iter_mut()
        .for_each(|time| *time = (*time).min(now_us));
    times.retain(|time| now_us.saturating_sub(*time) < WINDOW_US);
}

/// An IPv6 network counts as one address: a host has the choice of 2^64 in its own.
fn address_key(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => {
            let mask = u128::MAX << (128 - THROTTLED_ADDRESS_PREFIX_BITS);
            Ipv6Addr::from_bits(v6.to_bits() & mask).octets()
        }
    }
}

fn hex(key: &[u8; 16]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: i64 = 1_000_000;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 168, 1, last])
    }

    fn known(byte: u8) -> Target {
        Target::Known([byte; 16])
    }

    #[test]
    fn five_a_minute_from_an_address_and_at_an_account() {
        let mut throttle = Throttle::default();
        let start = 1_800_000_000 * SECOND_US;
        for i in 0..5 {
            throttle
                .attempt(address(1), known(i), start + i64::from(i) * SECOND_US)
                .unwrap();
        }
        let now = start + 10 * SECOND_US;
        assert_eq!(
            throttle.attempt(address(1), known(9), now),
            Err(50 * SECOND_US),
            "the address"
        );
        for i in 2..6 {
            throttle.attempt(address(i), known(0), now).unwrap();
        }
        assert!(
            throttle.attempt(address(7), known(0), now).is_err(),
            "the account"
        );
        assert_eq!(
            throttle.attempt(address(1), known(9), start + 60 * SECOND_US),
            Ok(())
        );
        assert!(
            throttle
                .attempt(address(1), known(9), start + 60 * SECOND_US)
                .is_err()
        );
    }

    #[test]
    fn a_right_attempt_is_taken_back() {
        let mut throttle = Throttle::default();
        for _ in 0..50 {
            throttle.attempt(address(1), known(1), SECOND_US).unwrap();
            throttle.forgive(address(1), known(1));
        }
    }

    #[test]
    fn a_clock_that_jumps_costs_a_minute_at_most() {
        let mut throttle = Throttle::default();
        let late = 2_000_000_000 * SECOND_US;
        (0..5).for_each(|_| throttle.attempt(address(1), known(1), late).unwrap());
        assert_eq!(throttle.attempt(address(1), known(1), 0), Err(WINDOW_US));
        assert_eq!(throttle.attempt(address(1), known(1), WINDOW_US), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_a_flood_of_names_frees_no_account() {
        let mut throttle = Throttle::default();
        (0..5).for_each(|i| throttle.attempt(address(i), known(1), 0).unwrap());
        for i in 0..3 * THROTTLE_ENTRIES_MAX as u32 {
            let mut name = [0; 16];
            name[..4].copy_from_slice(&i.to_be_bytes());
            let address = IpAddr::from((0x0a00_0000 + i).to_be_bytes());
            throttle.attempt(address, Target::Unknown(name), 1).unwrap();
        }
        assert_eq!(throttle.unknown.0.len(), THROTTLE_ENTRIES_MAX);
        assert_eq!(throttle.addresses.0.len(), THROTTLE_ENTRIES_MAX);
        assert!(throttle.attempt(address(99), known(1), 2).is_err());
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let key = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(key("fd00::1"), key("fd00::ffff:1"));
        assert_ne!(key("fd00::1"), key("fd00:0:0:1::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
        assert_ne!(key("10.0.0.2"), key("10.0.0.1"));
    }
}
