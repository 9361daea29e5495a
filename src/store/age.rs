//! How old footage is, where the wall clock may be wrong.
//!
//! What a segment's date and the clock say is not believed alone: a clock that jumps ahead would make everything old at
//! once, and so would the first segment recorded under it. Counted is the time that is known to have passed since: the footage after
//! it, and the gaps between. A gap is as long as the dates on its two sides say, but one of more than an hour, which may be
//! a clock that was set, counts only once a fourteenth of it, and at least a day, is known to have passed after it. So a box that was off
//! for two weeks deletes what is too old after a day, and a clock that is three years ahead has to stand for eleven weeks.
//! Nothing is stored for this: the footage itself tells it, also after a restart. `docs/decisions/0005-age-is-counted.md`
//! has the reasons.

use super::catalog::Entry;
use crate::limits::{AGE_GAP_US_MAX, AGE_STANDS_PART, AGE_STANDS_US_MIN, SEGMENT_US_MAX};

/// A day.
pub const DAY_US: i64 = 86_400_000_000;
/// Many segments that take no longer than this have no long gap between them.
const PLAIN_US_MAX: i64 =
    super::catalog::BUCKET_SEGMENTS as i64 * SEGMENT_US_MAX as i64 + AGE_GAP_US_MAX;

/// Some footage of a stream: a segment, or some that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// A segment's sequence; of several, the number that [`History::segments`] knows them by.
    pub number: u64,
    /// Its start, or their earliest, wall time in us.
    pub from_us: i64,
    /// Its end, or their latest.
    pub to_us: i64,
    /// Whether the box trusted its clock; where it is not known of several, true.
    pub dated: bool,
}

/// Pieces that follow each other, counted as one where no jump is in them.
///
/// Of gaps of an hour at most, between the dates of one piece and the next, all are counted but for what the clock had been set back
/// before: so of all of them only their sum, and the most that any first ones come to, matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Where the newest piece ends, wall time in us.
    to_us: i64,
    /// Where the oldest begins.
    from_us: i64,
    /// The earliest of where they begin.
    earliest_us: i64,
    /// How long they are together.
    length_us: i64,
    /// The gaps between them together; where dates overlap they are negative.
    gaps_us: i64,
    /// The most that the first of these come to, counted from the newest; none is 0.
    gaps_us_max: i64,
    /// Whether there is no jump in it.
    is_plain: bool,
}

/// Some of a stream's footage: at level 0 at most 64 segments, which can be asked for one by one; else parts of the level below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// 0 for a piece.
    pub level: u8,
    /// Its number among those of its level.
    pub number: u64,
    /// All of it together.
    pub run: Run,
}

/// A stream's footage, as the catalog knows it.
pub trait History {
    /// What a part consists of, or where none is named, all of it: the newest first.
    fn parts(&self, of: Option<&Part>) -> Vec<Part>;

    /// The segments of a part of level 0 one by one, the newest first; `None` where they cannot be read.
    fn segments(&self, number: u64) -> Option<Vec<Piece>>;
}

/// What time it is, as far as it can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Wall time, us.
    pub wall_us: i64,
    /// For how long the clock has been seen to go on without a jump, us.
    pub steady_us: i64,
}

/// Which segments of a stream are old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Old {
    /// The highest sequence that is old by the time known to have passed.
    pub through: u64,
    /// Wall time that an end which can be believed must be before.
    pub before_us: i64,
    /// Wall time now: no end that can be believed is after it.
    pub wall_us: i64,
}

impl Piece {
    /// A segment.
    pub fn of(entry: &Entry) -> Self {
        Self {
            number: entry.sequence,
            from_us: entry.start_us,
            to_us: entry.end_us(),
            dated: entry.clock_trusted,
        }
    }
}

impl Run {
    /// A piece alone.
    pub fn of(piece: &Piece) -> Self {
        let length_us = piece.to_us.saturating_sub(piece.from_us);
        Self {
            to_us: piece.to_us,
            from_us: piece.from_us,
            earliest_us: piece.from_us,
            length_us: length_us.max(0),
            gaps_us: 0,
            gaps_us_max: 0,
            is_plain: length_us <= PLAIN_US_MAX,
        }
    }

    /// Both of them, this one after the older one.
    #[must_use]
    pub fn after(&self, older: &Self) -> Self {
        let gap_us = self.from_us.saturating_sub(older.to_us);
        let until_us = self.gaps_us.saturating_add(gap_us);
        let most_us = until_us.max(until_us.saturating_add(older.gaps_us_max));
        Self {
            to_us: self.to_us,
            from_us: older.from_us,
            earliest_us: self.earliest_us.min(older.earliest_us),
            length_us: self.length_us.saturating_add(older.length_us),
            gaps_us: until_us.saturating_add(older.gaps_us),
            gaps_us_max: self.gaps_us_max.max(most_us),
            is_plain: self.is_plain && older.is_plain && is_short(gap_us),
        }
    }
}

/// Whether a gap between two dates is no jump.
fn is_short(gap_us: i64) -> bool {
    (-AGE_GAP_US_MAX..=AGE_GAP_US_MAX).contains(&gap_us)
}

impl Old {
    /// What of a stream is older than `keep_us`. `tail_us` is the time known to have passed since its last segment, as
    /// [`tail_us`] finds it.
    pub fn find(history: &dyn History, keep_us: i64, tail_us: i64, now: Now) -> Option<Self> {
        let old = |through| Self {
            through,
            before_us: now.wall_us.saturating_sub(keep_us),
            wall_us: now.wall_us,
        };
        let mut count = Count::new(tail_us);
        let mut ahead = in_turn(history, None);
        while let Some(part) = ahead.pop() {
            let beyond = count.beyond(&part.run);
            if let Some(beyond) = beyond.filter(|beyond| beyond.age_us <= keep_us) {
                count = beyond;
                continue;
            }
            if part.level > 0 {
                ahead.append(&mut in_turn(history, Some(&part)));
                continue;
            }
            for segment in history.segments(part.number)? {
                if count.reach(&segment) > keep_us {
                    return Some(old(segment.number));
                }
                count.pass(&segment);
            }
        }
        None
    }

    /// Whether a segment is old: by the time that has passed, and by its own date where that can be believed.
    pub fn is_old(&self, entry: &Entry) -> bool {
        let dated = entry.clock_trusted && entry.end_us() <= self.wall_us;
        self.has_passed(entry) && (!dated || entry.end_us() < self.before_us)
    }

    /// Whether it is old by the time that has passed.
    pub fn has_passed(&self, entry: &Entry) -> bool {
        entry.sequence <= self.through
    }
}

/// The time that is known to have passed since `end_us`, the end of a stream's last segment: as long as the clock says where
/// that is an hour at most, or stands. `known_us` is asked what is known of a longer one otherwise.
pub fn tail_us(end_us: i64, now: Now, known_us: impl FnOnce() -> i64) -> i64 {
    let gap_us = now.wall_us.saturating_sub(end_us).max(0);
    if gap_us <= AGE_GAP_US_MAX {
        return gap_us;
    }
    let known_us = known_us().max(now.steady_us);
    match stands(gap_us, known_us) {
        true => gap_us,
        false => gap_us.min(known_us),
    }
}

/// Whether a time that was set for the future has come: the clock was seen to go there without a jump, or what it says has stood for as
/// long as a jump would have to that began at `set_after_us`, before which nobody had set it, and for a day however short the jump was.
/// Dates of footage do not tell: those of a boot are moved with its clock.
pub fn has_come(time_us: i64, set_after_us: i64, now: Now) -> bool {
    let begun_us = now.wall_us.saturating_sub(now.steady_us);
    let was_seen = (begun_us..=now.wall_us).contains(&time_us);
    // It was set before it was to come, whatever is dated.
    let jump_us = begun_us.saturating_sub(set_after_us.min(time_us));
    was_seen || (time_us < begun_us && has_stood(jump_us, now.steady_us))
}

/// The time that a stream's footage knows to have passed since a wall time of which its own dates say the same.
pub fn known_since_us(history: &dyn History, tail_us: i64, since_us: i64) -> i64 {
    let mut count = Count::new(tail_us);
    let mut ahead = in_turn(history, None);
    while let Some(part) = ahead.pop() {
        let beyond = count.beyond(&part.run);
        if let Some(beyond) = beyond.filter(|_| part.run.earliest_us > since_us) {
            count = beyond;
            continue;
        }
        if part.level > 0 {
            ahead.append(&mut in_turn(history, Some(&part)));
            continue;
        }
        let split = match beyond {
            Some(_) => Some(vec![part.piece()]),
            None => history.segments(part.number),
        };
        for piece in split.unwrap_or_default() {
            if piece.dated && piece.to_us <= since_us {
                return count.age_us;
            }
            if piece.dated && piece.from_us <= since_us {
                return count.reach(&piece).saturating_add(piece.to_us - since_us);
            }
            count.pass(&piece);
        }
    }
    count.age_us
}

/// What a part consists of, or all of it, the newest last.
fn in_turn(history: &dyn History, of: Option<&Part>) -> Vec<Part> {
    let mut parts = history.parts(of);
    parts.reverse();
    parts
}

impl Part {
    /// One of level 0 as a whole.
    fn piece(&self) -> Piece {
        Piece {
            number: self.number,
            from_us: self.run.from_us,
            to_us: self.run.to_us,
            dated: true,
        }
    }
}

/// Whether a gap is believed after which this much time is known to have passed.
fn stands(gap_us: i64, known_us: i64) -> bool {
    gap_us <= AGE_GAP_US_MAX || has_stood(gap_us, known_us)
}

/// Whether a clock that jumped has gone on for so long that it is believed.
fn has_stood(jump_us: i64, since_us: i64) -> bool {
    since_us >= AGE_STANDS_US_MIN.max(jump_us / AGE_STANDS_PART)
}

/// The time that has passed, counted from now back.
#[derive(Debug, Clone, Copy)]
struct Count {
    age_us: i64,
    /// Where the dates that were counted last begin.
    later_us: Option<i64>,
    /// By how much the clock was set back: by that much it had been ahead.
    back_us: i64,
}

impl Count {
    const fn new(tail_us: i64) -> Self {
        Self {
            age_us: tail_us,
            later_us: None,
            back_us: 0,
        }
    }

    /// The count beyond a run; `None` where there is a jump in it or after it, so that its pieces are to be counted one by one.
    fn beyond(&self, run: &Run) -> Option<Self> {
        let later_us = self.later_us;
        let gap_us = later_us.map_or(0, |later_us| later_us.saturating_sub(run.to_us));
        if !run.is_plain || !is_short(gap_us) {
            return None;
        }
        let most_us = gap_us.max(gap_us.saturating_add(run.gaps_us_max)).max(0);
        let counted_us = most_us.saturating_sub(self.back_us).max(0);
        let gaps_us = gap_us.saturating_add(run.gaps_us);
        let passed_us = run.length_us.saturating_add(counted_us);
        Some(Self {
            age_us: self.age_us.saturating_add(passed_us),
            later_us: Some(run.from_us),
            back_us: self
                .back_us
                .saturating_sub(gaps_us)
                .saturating_add(counted_us),
        })
    }

    /// The age of a piece's end, with the gap after it.
    fn reach(&mut self, piece: &Piece) -> i64 {
        if let Some(later_us) = self.later_us.filter(|_| piece.dated) {
            self.later_us = Some(piece.to_us);
            let gap_us = later_us.saturating_sub(piece.to_us);
            if gap_us < 0 {
                self.back_us = self.back_us.saturating_sub(gap_us);
            } else {
                let ahead_us = gap_us.min(self.back_us);
                self.back_us -= ahead_us;
                let gap_us = gap_us - ahead_us;
                if stands(gap_us, self.age_us) {
                    self.age_us = self.age_us.saturating_add(gap_us);
                }
            }
        }
        self.age_us
    }

    /// Counts a piece. Of one without a date only the length is known: the gap around it may be before or after it.
    fn pass(&mut self, piece: &Piece) {
        self.reach(piece);
        let length_us = piece.to_us.saturating_sub(piece.from_us).max(0);
        self.age_us = self.age_us.saturating_add(length_us);
        if piece.dated {
            self.later_us = Some(piece.from_us);
        } else {
            self.later_us = self.later_us.map(|us| us.saturating_sub(length_us));
        }
    }
}

/// For how long the clock has gone on without a jump.
#[derive(Debug, Default)]
pub struct Steady {
    /// Wall time less monotonic time, and monotonic time, when it was looked at first.
    since: Option<(i64, u64)>,
}

impl Steady {
    /// Looks at the clock; `None` while it is not trusted. Says in the log when it has jumped.
    pub fn look(&mut self, wall_us: i64, monotonic_us: u64, trusted: bool) -> Option<Now> {
        if !trusted {
            self.since = None;
            return None;
        }
        let offset_us = wall_us.saturating_sub_unsigned(monotonic_us);
        let jumped = |from: i64| offset_us.saturating_sub(from).saturating_abs() > AGE_GAP_US_MAX;
        if self.since.is_some_and(|(from, _)| jumped(from)) {
            self.since = None;
            tracing::warn!(
                "the clock was set by more than an hour: no footage is taken to be older for it until the new time has stood"
            );
        }
        let (_, begun_us) = *self.since.get_or_insert((offset_us, monotonic_us));
        let steady_us = i64::try_from(monotonic_us.saturating_sub(begun_us)).unwrap_or(i64::MAX);
        Some(Now { wall_us, steady_us })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = 3_600_000_000;

    #[test]
    fn a_jump_begins_the_clock_anew() {
        let mut steady = Steady::default();
        let mut look = |wall, monotonic, trusted| {
            let now = steady.look(wall, monotonic as u64, trusted);
            now.map(|now| now.steady_us)
        };
        assert_eq!(look(5 * DAY_US, 0, true), Some(0));
        assert_eq!(look(6 * DAY_US, DAY_US, true), Some(DAY_US));
        let slewed = 7 * DAY_US + HOUR_US / 2;
        assert_eq!(look(slewed, 2 * DAY_US, true), Some(2 * DAY_US));
        let crept = 8 * DAY_US + 2 * HOUR_US;
        assert_eq!(look(crept, 3 * DAY_US, true), Some(0), "in small steps");
        assert_eq!(look(0, 3 * DAY_US + 1, true), Some(0), "set back");
        assert_eq!(look(9 * DAY_US, 4 * DAY_US, false), None);
        assert_eq!(look(9 * DAY_US, 4 * DAY_US, true), Some(0));
    }

    #[test]
    fn a_time_comes_where_the_clock_goes_through_it_or_has_stood() {
        let come = |time_us, steady_us| {
            let wall_us = 100 * DAY_US;
            has_come(time_us, 86 * DAY_US, Now { wall_us, steady_us })
        };
        let soon_us = 100 * DAY_US - HOUR_US;
        assert!(!come(100 * DAY_US + 1, 10 * DAY_US), "to come");
        assert!(come(soon_us, HOUR_US), "gone through");
        assert!(!come(soon_us, HOUR_US - 1), "jumped over");
        assert!(!come(99 * DAY_US - 1, DAY_US - 1), "not for a day yet");
        assert!(come(99 * DAY_US - 1, DAY_US));
        let wall_us = 100 * DAY_US;
        let steady_us = 2 * DAY_US;
        let now = Now { wall_us, steady_us };
        assert!(!has_come(90 * DAY_US, 60 * DAY_US, now), "a long one");
        let set_after = |set_after_us, steady_us| {
            let now = Now { wall_us, steady_us };
            has_come(99 * DAY_US - 1, set_after_us, now)
        };
        let just_before_us = 99 * DAY_US - HOUR_US / 2;
        assert!(!set_after(just_before_us, DAY_US / 2), "a short one, too");
        assert!(set_after(just_before_us, DAY_US));
        assert!(
            !set_after(200 * DAY_US, DAY_US / 2),
            "dated by a wrong clock"
        );
    }

    #[test]
    fn what_the_clock_says_must_stand() {
        let now = |steady_us| Now {
            wall_us: 100 * DAY_US,
            steady_us,
        };
        assert_eq!(tail_us(100 * DAY_US - HOUR_US, now(0), || 0), HOUR_US);
        assert_eq!(tail_us(101 * DAY_US, now(0), || 0), 0);
        let two_weeks = 14 * DAY_US;
        let end_us = 100 * DAY_US - two_weeks;
        assert_eq!(tail_us(end_us, now(DAY_US - 1), || 0), DAY_US - 1);
        assert_eq!(tail_us(end_us, now(DAY_US), || 0), two_weeks);
        assert_eq!(tail_us(end_us, now(0), || DAY_US), two_weeks);
        assert_eq!(
            tail_us(100 * DAY_US - 28 * DAY_US, now(DAY_US), || 0),
            DAY_US,
            "a longer one stands for longer"
        );
    }
}
