//! Holds follow footage that the clock moves.
//!
//! A hold says from when to when, in the times that its footage was shown at when it was set. An anchor moves what its boot has
//! recorded (`docs/decisions/0006-anchors-of-the-clock.md`), and with it what is held. Which offset a time was read with cannot be
//! told from the hold, so from then on it covers its span as it was set, and as every offset that the boot has had would move it:
//! never less than what was meant, and beyond it only where the same boot had another time.

use std::collections::HashMap;

use hearthkeep_format::log::{Hold, OPEN_END_US};
use hearthkeep_format::{BootId, HoldId};

use crate::limits::CLOCK_STEP_US_MIN;

/// Offsets of a boot that are remembered, the newest.
const OFFSETS_MAX: usize = 16;
/// Ways in which a hold is moved, the newest: those of the last two anchors at least, while the catalog follows from one to the other.
const SHIFTS_MAX: usize = 2 * OFFSETS_MAX;

/// Steps of the clock that are smaller are not noted: what is moved may have been, and may be, so far from where it is reckoned to be.
const SLACK_US: i64 = 2 * CLOCK_STEP_US_MIN as i64;

/// How holds are moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Moves {
    pub boot: Option<BootId>,
    /// Wall time less monotonic time, as this boot has had it, us.
    pub offsets: Vec<i64>,
    /// Holds that were set in this boot.
    pub set_here: Vec<HoldId>,
    /// By how much the spans of holds are moved, us.
    pub shifts: HashMap<HoldId, Vec<i64>>,
}

impl Moves {
    /// Takes note of what the clock says, in this boot, to what is recorded from now on; whether that is new.
    pub fn started(&mut self, boot: BootId, offset_us: i64) -> bool {
        if self.boot != Some(boot) {
            self.boot = Some(boot);
            self.offsets.clear();
            // What another boot recorded is tied to nothing any more: its holds stay where they are.
            self.set_here.clear();
        }
        let is_known = |known: &i64| known.abs_diff(offset_us) < CLOCK_STEP_US_MIN;
        if self.offsets.iter().any(is_known) {
            return false;
        }
        if self.offsets.len() == OFFSETS_MAX {
            self.offsets.remove(0);
        }
        self.offsets.push(offset_us);
        true
    }

    /// Takes note of an anchor: what the boot has recorded before is shown by it from now on.
    pub fn anchored(&mut self, boot: BootId, offset_us: i64) {
        self.started(boot, offset_us);
        for id in &self.set_here {
            let of_it = self.shifts.entry(*id).or_default();
            for known in &self.offsets {
                let shift_us = match offset_us.saturating_sub(*known) {
                    small if small.unsigned_abs() < CLOCK_STEP_US_MIN => 0,
                    shift_us => shift_us,
                };
                // The newest last: it is the one that is believed.
                of_it.retain(|other| *other != shift_us);
                of_it.push(shift_us);
            }
            let surplus = of_it.len().saturating_sub(SHIFTS_MAX);
            of_it.drain(..surplus);
        }
    }

    /// Takes note of a hold that was set.
    pub fn held(&mut self, id: HoldId) {
        if !self.set_here.contains(&id) {
            self.set_here.push(id);
        }
    }

    /// Takes note of a hold that was ended.
    pub fn ended(&mut self, id: &HoldId) {
        self.set_here.retain(|known| known != id);
        self.shifts.remove(id);
    }

    /// Takes in what was remembered besides, in whichever boot this is.
    pub fn join(&mut self, other: Self, now: BootId) {
        if other.boot == Some(now) {
            other
                .offsets
                .iter()
                .for_each(|offset_us| _ = self.started(now, *offset_us));
            other.set_here.iter().for_each(|id| self.held(*id));
        }
        for (id, shifts) in other.shifts {
            let of_it = self.shifts.entry(id).or_default();
            let unknown = shifts.into_iter().filter(|shift| !of_it.contains(shift));
            let unknown: Vec<_> = unknown.collect();
            of_it.splice(0..0, unknown);
            let surplus = of_it.len().saturating_sub(SHIFTS_MAX);
            of_it.drain(..surplus);
        }
    }

    /// A hold as it was set, and as it is moved.
    pub fn of<'a>(&'a self, hold: &'a Hold) -> impl Iterator<Item = Hold> + 'a {
        let shifts = self.shifts.get(&hold.id).into_iter().flatten();
        let moved = |shift_us: &i64| Hold {
            from_us: hold
                .from_us
                .saturating_add(*shift_us)
                .saturating_sub(SLACK_US),
            to_us: match hold.to_us {
                OPEN_END_US => OPEN_END_US,
                to_us => to_us.saturating_add(*shift_us).saturating_add(SLACK_US),
            },
            ..hold.clone()
        };
        std::iter::once(hold.clone()).chain(shifts.map(moved))
    }
}

#[cfg(test)]
mod tests {
    use hearthkeep_format::StreamId;
    use proptest::prelude::*;

    use super::*;
    use crate::store::held::Held;

    fn hold(from_us: i64, to_us: i64) -> Hold {
        Hold {
            id: HoldId::from_bytes([1; 16]),
            streams: Vec::new(),
            from_us,
            to_us,
            until_us: OPEN_END_US,
            reason: String::new(),
            who: String::new(),
        }
    }

    fn covers(moves: &Moves, hold: &Hold, at_us: i64) -> bool {
        let held = Held::by(&moves.of(hold).collect::<Vec<_>>());
        held.touches(&StreamId::from_bytes([2; 16]), at_us, at_us + 1)
    }

    proptest! {
        /// Whatever the clock does before a hold is set and after, trusted or not: what was shown within it stays held.
        #[test]
        fn what_was_held_stays_held(
            recorded in prop::collection::vec(-10_000_000_000i64..10_000_000_000, 1..5),
            of in any::<prop::sample::Index>(),
            before in prop::collection::vec(-10_000_000_000i64..10_000_000_000, 0..3),
            after in prop::collection::vec(-10_000_000_000i64..10_000_000_000, 0..5),
        ) {
            let boot = BootId::from_bytes([3; 16]);
            let mut moves = Moves::default();
            // Some runs while the time was not known, each with a clock of its own.
            recorded.iter().for_each(|offset_us| _ = moves.started(boot, *offset_us));
            before.iter().for_each(|offset_us| moves.anchored(boot, *offset_us));
            let monotonic_us = 50_000_000;
            let offset_us = before.last().copied().unwrap_or(recorded[of.index(recorded.len())]);
            let shown_us = offset_us + monotonic_us;
            let held = hold(shown_us, shown_us + 1);
            moves.held(held.id);
            prop_assert!(covers(&moves, &held, shown_us));
            for offset_us in after {
                moves.anchored(boot, offset_us);
                prop_assert!(covers(&moves, &held, offset_us + monotonic_us));
            }
        }
    }

    #[test]
    fn a_hold_follows_a_step_that_is_not_noted() {
        let boot = BootId::from_bytes([3; 16]);
        let mut moves = Moves::default();
        moves.started(boot, 0);
        moves.started(boot, -1_999_999);
        let held = hold(-1_999_999, -1_999_998);
        moves.held(held.id);
        moves.anchored(boot, 1_999_999);
        assert!(covers(&moves, &held, 1_999_999));
    }

    #[test]
    fn a_hold_follows_its_own_boot_only_and_there_is_an_end_to_it() {
        let (first, second) = (BootId::from_bytes([3; 16]), BootId::from_bytes([4; 16]));
        let mut moves = Moves::default();
        let held = hold(100, 200);
        moves.started(first, 0);
        moves.held(held.id);
        moves.anchored(first, 1_000_000_000);
        let spans = |moves: &Moves| -> Vec<_> {
            moves
                .of(&held)
                .map(|hold| (hold.from_us, hold.to_us))
                .collect()
        };
        let moved = [
            (100, 200),
            (996_000_100, 1_004_000_200),
            (-3_999_900, 4_000_200),
        ];
        assert_eq!(spans(&moves), moved);
        moves.started(second, 7_000_000_000);
        moves.anchored(second, 9_000_000_000);
        assert_eq!(spans(&moves), moved, "another boot moves nothing of it");
        moves.ended(&held.id);
        assert_eq!(spans(&moves).len(), 1);

        moves.held(held.id);
        (0..1000).for_each(|n| moves.anchored(second, n * 10_000_000));
        assert!(spans(&moves).len() <= SHIFTS_MAX + 1);
        let open = hold(100, OPEN_END_US);
        assert!(moves.of(&open).all(|hold| hold.to_us == OPEN_END_US));
    }
}
