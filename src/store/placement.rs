//! Which disk a new segment goes to: a pure rule over what was last known of the disks.

use std::cmp::Reverse;

use crate::config::{Placement, Tier};

/// A disk that could take a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// A write to it failed a short while ago, or it keeps waiting.
    pub failed: bool,
    /// It has been waited for for a while: it will answer, but others that have room come first.
    pub late: bool,
    /// It is being emptied: it takes new footage only when otherwise that would be lost.
    pub leaving: bool,
    /// What it is for.
    pub tier: Tier,
    /// The camera asks for it.
    pub pinned: bool,
    /// Bytes that it may still take, of its budget and beside its reserve; negative where it has too many.
    pub spare_bytes: i64,
    /// Wall time at which its oldest footage that may be deleted starts, us.
    pub oldest_us: i64,
}

/// The candidates' indexes, the one to ask first in front. `turn` counts the segments begun before.
///
/// What is beyond a budget or in a reserve is no room: retention would only delete there, while another disk stays empty. A cold one takes new
/// footage where no hot one has room, until what is there has been moved. Where
/// no disk has room, the one with the oldest footage is next whatever the rule, for what is written there displaces that. A camera that asks for
/// a hot disk without room goes on elsewhere too where a cold one has some: what is there moves meanwhile, and is not displaced.
pub(super) fn order(rule: Placement, candidates: &[Candidate], turn: u64) -> Vec<usize> {
    let count = candidates.len() as u64;
    let may_take = |it: &Candidate| !it.failed && !it.leaving && it.spare_bytes > 0;
    let mut cold = candidates.iter().filter(|it| it.tier == Tier::Cold);
    let is_cold_open = cold.any(may_take);
    let mut order: Vec<_> = (0..candidates.len()).collect();
    order.sort_by_key(|&index| {
        let it = candidates[index];
        let has_room = it.spare_bytes > 0;
        let by_rule = match (has_room, rule) {
            (false, _) => it.oldest_us,
            (true, Placement::MostRoom) => it.spare_bytes.saturating_neg(),
            (true, Placement::RoundRobin) => {
                (index as u64 + count - turn % count) as i64 % count as i64
            }
            (true, Placement::SpillOver) => 0,
        };
        let is_hot = it.tier == Tier::Hot;
        let pinned = it.pinned && !it.late && (has_room || !is_hot || !is_cold_open);
        (
            it.failed,
            it.leaving,
            Reverse(pinned),
            !has_room,
            Reverse(is_hot),
            it.late,
            by_rule,
            index,
        )
    });
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMY: Candidate = Candidate {
        failed: false,
        late: false,
        leaving: false,
        tier: Tier::Hot,
        pinned: false,
        spare_bytes: 1000,
        oldest_us: 0,
    };

    fn with_spare(spare_bytes: i64) -> Candidate {
        Candidate {
            spare_bytes,
            ..ROOMY
        }
    }

    #[test]
    fn each_rule_has_its_order_while_there_is_room() {
        let disks = [with_spare(10), with_spare(30), with_spare(20)];
        assert_eq!(order(Placement::MostRoom, &disks, 5), [1, 2, 0]);
        assert_eq!(order(Placement::SpillOver, &disks, 5), [0, 1, 2]);
        let turns: Vec<_> = (0..4)
            .map(|turn| order(Placement::RoundRobin, &disks, turn))
            .collect();
        assert_eq!(turns, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
        let first_is_full = [with_spare(-1), with_spare(1), with_spare(2)];
        assert_eq!(order(Placement::SpillOver, &first_is_full, 0), [1, 2, 0]);
        assert_eq!(order(Placement::RoundRobin, &first_is_full, 0)[0], 1);
    }

    #[test]
    fn where_none_has_room_the_oldest_footage_is_displaced() {
        let full = |oldest_us| Candidate {
            oldest_us,
            ..with_spare(-5)
        };
        let disks = [full(30), full(10), full(20)];
        for rule in Placement::ALL {
            assert_eq!(order(rule, &disks, 1), [1, 2, 0], "{rule:?}");
        }
    }

    #[test]
    fn a_camera_s_own_disk_comes_first_unless_it_fails_or_leaves() {
        let pinned = Candidate {
            pinned: true,
            ..with_spare(-1)
        };
        assert_eq!(order(Placement::MostRoom, &[ROOMY, pinned], 0), [1, 0]);
        for gone in [
            Candidate {
                failed: true,
                ..pinned
            },
            Candidate {
                leaving: true,
                ..pinned
            },
        ] {
            assert_eq!(order(Placement::MostRoom, &[gone, ROOMY], 0), [1, 0]);
        }
    }

    #[test]
    fn a_late_disk_comes_behind_others_that_have_room_and_stay() {
        let late = Candidate {
            late: true,
            ..with_spare(9)
        };
        let pinned = Candidate {
            pinned: true,
            ..late
        };
        let leaving = Candidate {
            leaving: true,
            ..ROOMY
        };
        let cold = Candidate {
            tier: Tier::Cold,
            ..ROOMY
        };
        for late in [late, pinned] {
            let others = [late, with_spare(1), leaving, cold, with_spare(-1)];
            let order = order(Placement::MostRoom, &others, 0);
            assert_eq!(order, [1, 0, 3, 4, 2], "{late:?}");
        }
    }

    #[test]
    fn a_camera_s_own_disk_without_room_is_not_displaced_while_a_cold_one_has_some() {
        let own = |spare_bytes| Candidate {
            pinned: true,
            ..with_spare(spare_bytes)
        };
        let cold = |spare_bytes| Candidate {
            tier: Tier::Cold,
            ..with_spare(spare_bytes)
        };
        let by_room = |disks: &[Candidate]| order(Placement::MostRoom, disks, 0);
        assert_eq!(by_room(&[cold(9), own(1)]), [1, 0]);
        assert_eq!(by_room(&[own(-1), cold(9)]), [1, 0]);
        assert_eq!(by_room(&[cold(-1), own(-1)]), [1, 0]);
    }

    #[test]
    fn a_cold_disk_takes_new_footage_only_where_no_hot_one_has_room() {
        let cold = Candidate {
            tier: Tier::Cold,
            ..ROOMY
        };
        let full_cold = Candidate {
            spare_bytes: -9,
            ..cold
        };
        let (some, none) = (with_spare(1), with_spare(-9));
        let by_room = |disks: &[Candidate]| order(Placement::MostRoom, disks, 0);
        assert_eq!(by_room(&[cold, some]), [1, 0]);
        assert_eq!(by_room(&[cold, none]), [0, 1]);
        assert_eq!(by_room(&[full_cold, none]), [1, 0]);
        let failed = Candidate {
            failed: true,
            ..ROOMY
        };
        let leaving = Candidate {
            leaving: true,
            ..ROOMY
        };
        assert_eq!(
            order(Placement::SpillOver, &[failed, leaving, cold], 0),
            [2, 1, 0]
        );
    }
}
