//! What follows from the log's records: holds, anchors, gaps, and which segments there should be.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use hearthkeep_format::log::{AnchorCause, Deleted, Hold, Record, Stamped};
use hearthkeep_format::segment::GapCause;
use hearthkeep_format::{BootId, HoldId, StreamId};

use super::moves::Moves;
use super::places::Places;
use super::ranges::Ranges;
use crate::limits::{LOG_ANCHORS_MAX, LOG_GAPS_MAX};

/// What the wall clock said at a moment of a boot, when it was trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The boot that the monotonic time counts from.
    pub boot: BootId,
    /// Monotonic time, us.
    pub monotonic_us: u64,
    /// Wall time, us.
    pub wall_us: i64,
    /// What made it worth telling.
    pub cause: AnchorCause,
}

/// A gap that the log tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedGap {
    /// Wall time from which on nothing is there, us.
    pub from_us: i64,
    /// Wall time at which there is something again; the end of time while that is not known.
    pub to_us: i64,
    /// Why.
    pub cause: GapCause,
}

/// The state that the records lead to.
#[derive(Default)]
pub(super) struct Replayed {
    pub holds: BTreeMap<HoldId, Hold>,
    /// The newest ones, in the order of the log.
    pub anchors: VecDeque<Anchor>,
    /// By stream and beginning.
    pub gaps: HashMap<StreamId, BTreeMap<i64, LoggedGap>>,
    pub gaps_count: usize,
    /// Sequences of the segments that were closed and not deleted.
    pub live: HashMap<StreamId, Ranges>,
    /// Where these lie.
    pub places: Places,
    pub moves: Moves,
    /// Holds that the state folder remembers and of which nothing was read yet, neither that they were set nor that they were ended.
    pub doubted: BTreeMap<HoldId, Hold>,
    /// Holds that were ended: what is read of a disk later may know of their beginning only.
    pub ended: BTreeSet<HoldId>,
}

impl Replayed {
    /// Nothing yet, where the state folder remembers these holds.
    pub fn doubting(holds: BTreeMap<HoldId, Hold>) -> Self {
        Self::default().and_doubting(holds)
    }

    /// This, where the state folder remembers these holds.
    pub fn and_doubting(mut self, holds: BTreeMap<HoldId, Hold>) -> Self {
        let is_read = |id: &HoldId| self.holds.contains_key(id) || self.ended.contains(id);
        let unread = holds.into_iter().filter(|(id, _)| !is_read(id));
        self.doubted = unread.collect();
        self
    }

    /// All is read: what is still doubted is held. Returns what of it the log does not have.
    pub fn recall(&mut self, moves: Moves, now: BootId) -> Vec<Hold> {
        let lacking = std::mem::take(&mut self.doubted);
        self.moves.join(moves, now);
        self.holds.extend(lacking.clone());
        self.moves
            .shifts
            .retain(|id, _| self.holds.contains_key(id));
        self.moves.set_here.retain(|id| self.holds.contains_key(id));
        lacking.into_values().collect()
    }

    /// Takes in what a disk says that could not be read when all others were: the holds of it that stand, and how they are moved. Returns
    /// those that were not known.
    pub fn join(&mut self, other: Self, now: BootId) -> Vec<Hold> {
        let is_new = |id: &HoldId| !self.holds.contains_key(id) && !self.ended.contains(id);
        let new: Vec<_> = other
            .holds
            .into_values()
            .filter(|hold| is_new(&hold.id))
            .collect();
        self.doubted
            .extend(new.iter().map(|hold| (hold.id, hold.clone())));
        self.recall(other.moves, now)
    }

    pub fn apply(&mut self, stamped: &Stamped) {
        match &stamped.record {
            Record::Started {
                boot, monotonic_us, ..
            } => {
                let offset_us = stamped.wall_us.saturating_sub_unsigned(*monotonic_us);
                self.moves.started(*boot, offset_us);
            }
            Record::SegmentClosed(closed) => {
                self.live
                    .entry(closed.stream)
                    .or_default()
                    .insert(closed.sequence);
                self.places
                    .insert(closed.stream, closed.sequence, closed.disk);
            }
            Record::Deleted(Deleted {
                stream, segments, ..
            }) => {
                if let Some(live) = self.live.get_mut(stream) {
                    segments.iter().for_each(|s| live.remove(s.sequence));
                }
                let places = &mut self.places;
                segments
                    .iter()
                    .for_each(|s| places.remove(stream, s.sequence));
            }
            Record::Gap {
                stream,
                cause,
                from_us,
                to_us,
            } => self.gap(
                *stream,
                LoggedGap {
                    from_us: *from_us,
                    to_us: *to_us,
                    cause: *cause,
                },
            ),
            Record::Hold(hold) => {
                self.moves.held(hold.id);
                self.doubted.remove(&hold.id);
                self.holds.insert(hold.id, hold.clone());
            }
            Record::Unhold { id, .. } => {
                self.moves.ended(id);
                self.doubted.remove(id);
                self.holds.remove(id);
                self.ended.insert(*id);
            }
            Record::ClockAnchor {
                boot,
                monotonic_us,
                wall_us,
                cause,
            } => {
                if self.anchors.len() == LOG_ANCHORS_MAX {
                    self.anchors.pop_front();
                }
                let offset_us = wall_us.saturating_sub_unsigned(*monotonic_us);
                self.moves.anchored(*boot, offset_us);
                self.anchors.push_back(Anchor {
                    boot: *boot,
                    monotonic_us: *monotonic_us,
                    wall_us: *wall_us,
                    cause: *cause,
                });
            }
            _ => {}
        }
    }

    /// The holds, also as footage was moved since they were set.
    pub fn held(&self) -> Vec<Hold> {
        let holds = self.holds.values();
        holds.flat_map(|hold| self.moves.of(hold)).collect()
    }

    /// The gaps of a stream that have something of a span, in the order of time.
    pub fn gaps(&self, stream: &StreamId, from_us: i64, to_us: i64) -> Vec<LoggedGap> {
        let of_it = self.gaps.get(stream).into_iter().flatten();
        let gaps = of_it.map(|(_, gap)| *gap);
        gaps.filter(|gap| gap.from_us < to_us && gap.to_us > from_us)
            .collect()
    }

    pub fn gap(&mut self, stream: StreamId, gap: LoggedGap) {
        let of_it = self.gaps.entry(stream).or_default();
        if of_it.insert(gap.from_us, gap).is_none() {
            self.gaps_count += 1;
        }
        if self.gaps_count > LOG_GAPS_MAX {
            // The oldest of whichever stream has most: those of others are few.
            let most = self.gaps.values_mut().max_by_key(|gaps| gaps.len());
            if most.and_then(BTreeMap::pop_first).is_some() {
                self.gaps_count -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(replayed: &mut Replayed, record: Record) {
        replayed.apply(&Stamped {
            wall_us: 0,
            clock_trusted: true,
            record,
        });
    }

    #[test]
    fn the_last_word_about_a_gap_counts() {
        let stream = StreamId::from_bytes([1; 16]);
        let mut replayed = Replayed::default();
        let mut gap = |from_us, to_us| {
            apply(
                &mut replayed,
                Record::Gap {
                    stream,
                    cause: GapCause::CameraLost,
                    from_us,
                    to_us,
                },
            );
        };
        gap(10, i64::MAX);
        gap(100, 200);
        gap(10, 50);
        let spans = |from, to| -> Vec<_> {
            let gaps = replayed.gaps(&stream, from, to);
            gaps.iter().map(|gap| (gap.from_us, gap.to_us)).collect()
        };
        assert_eq!(spans(0, 1000), [(10, 50), (100, 200)]);
        assert_eq!(spans(50, 101), [(100, 200)]);
        assert_eq!(spans(50, 100), []);
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let mut replayed = Replayed::default();
        for number in 0..=(LOG_GAPS_MAX as i64) {
            apply(
                &mut replayed,
                Record::Gap {
                    stream: StreamId::from_bytes([1; 16]),
                    cause: GapCause::CameraLost,
                    from_us: number * 10,
                    to_us: number * 10 + 5,
                },
            );
        }
        let all = replayed.gaps(&StreamId::from_bytes([1; 16]), 0, i64::MAX);
        assert_eq!((all.len(), all[0].from_us), (LOG_GAPS_MAX, 10));
    }
    #[test]
    fn what_is_read_later_does_not_bring_back_a_hold_that_was_ended() {
        let hold = |number| Hold {
            id: HoldId::from_bytes([number; 16]),
            streams: Vec::new(),
            from_us: 0,
            to_us: 1,
            until_us: i64::MAX,
            reason: String::new(),
            who: String::new(),
        };
        let (mut known, mut later) = (Replayed::default(), Replayed::default());
        for number in 1..4 {
            apply(&mut later, Record::Hold(hold(number)));
        }
        for number in 1..3 {
            apply(&mut known, Record::Hold(hold(number)));
        }
        let unhold = Record::Unhold {
            id: hold(1).id,
            reason: String::new(),
            who: String::new(),
        };
        apply(&mut known, unhold);
        let new = known.join(later, BootId::from_bytes([9; 16]));
        assert_eq!(new, [hold(3)]);
        let held: Vec<_> = known.holds.into_values().collect();
        assert_eq!(held, [hold(2), hold(3)]);
    }
}
