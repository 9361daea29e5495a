//! Pictures that packets lost on the way may have damaged: from the last one before the loss to the next key frame that came whole.

use std::mem;

use crate::limits::DAMAGE_TOLD_US_MIN;

/// A span of pictures that may be damaged, us; the end is not part of it.
pub(super) type Damaged<T> = (T, T);

/// The damage in one run, in us of media time from its start.
#[derive(Debug, Default)]
pub(super) struct Damage {
    /// Packets were lost since the picture before.
    is_lost: bool,
    last_us: Option<u64>,
    since_us: Option<u64>,
}

impl Damage {
    /// Packets were lost before the next picture.
    pub(super) fn lost(&mut self) {
        self.is_lost = true;
    }

    /// Since when pictures may be damaged, while they may.
    pub(super) fn since_us(&self) -> Option<u64> {
        self.since_us
    }

    /// Takes the next picture. Returns a span that has ended before it, and of damage without an end a piece now and then.
    pub(super) fn picture(&mut self, at_us: u64, is_key: bool) -> Option<Damaged<u64>> {
        let is_lost = mem::take(&mut self.is_lost);
        let before_us = self.last_us.replace(at_us);
        let Some(since_us) = self.since_us else {
            // What was lost may be the beginning of this picture too.
            self.since_us = is_lost.then_some(before_us.unwrap_or(at_us));
            return None;
        };
        let is_over = is_key && !is_lost;
        let is_long = at_us.saturating_sub(since_us) >= DAMAGE_TOLD_US_MIN;
        if !is_over && !is_long {
            return None;
        }
        self.since_us = (!is_over).then_some(at_us);
        Some((since_us, at_us))
    }

    /// No picture follows. Returns the span that ends with the last one.
    pub(super) fn end(&mut self) -> Option<Damaged<u64>> {
        let since_us = self.since_us.take()?;
        Some((since_us, self.last_us?.max(since_us + 1)))
    }
}

/// What of a stream's damage the log has not been told, in us of wall time.
#[derive(Debug, Default)]
pub(super) struct Marks {
    open_us: Option<i64>,
    untold: Option<Damaged<i64>>,
    /// When the log was told last, in monotonic time.
    told_us: Option<u64>,
    length_us: u64,
}

impl Marks {
    /// Pictures of a span may be damaged, and those since `open_us`.
    pub(super) fn add(&mut self, span: Option<Damaged<i64>>, open_us: Option<i64>) {
        self.open_us = open_us;
        let Some((from_us, to_us)) = span else { return };
        self.length_us += u64::try_from(to_us.saturating_sub(from_us)).unwrap_or(0);
        // What comes before the log may be told again is told as one: it is to say where to look, at a bounded cost.
        let (known_us, end_us) = self.untold.unwrap_or((from_us, to_us));
        self.untold = Some((known_us.min(from_us), end_us.max(to_us)));
    }

    /// What the log is to be told now, if anything; all that is left where it `is_last`.
    pub(super) fn take(&mut self, now_us: u64, is_last: bool) -> Option<Damaged<i64>> {
        let is_due = |told_us| now_us.saturating_sub(told_us) >= DAMAGE_TOLD_US_MIN;
        if !is_last && !self.told_us.is_none_or(is_due) {
            return None;
        }
        let span = self.untold.take()?;
        self.told_us = Some(now_us);
        Some(span)
    }

    /// What the log has not been told, the end missing where it lasts.
    pub(super) fn untold(&self) -> Vec<(i64, Option<i64>)> {
        let ended = self.untold.map(|(from_us, to_us)| (from_us, Some(to_us)));
        let open = self.open_us.map(|from_us| (from_us, None));
        ended.into_iter().chain(open).collect()
    }

    /// For how long in all pictures may have been damaged, us.
    pub(super) fn length_us(&self) -> u64 {
        self.length_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: u64 = 1_000_000;

    /// The spans that come of pictures, ten a second with a key frame each second, where packets are lost before some.
    fn spans(pictures: u64, is_lost: impl Fn(u64) -> bool) -> Vec<Damaged<u64>> {
        let mut damage = Damage::default();
        let picture = |n: u64| {
            if is_lost(n) {
                damage.lost();
            }
            damage.picture(n * SECOND_US / 10, n.is_multiple_of(10))
        };
        let mut spans: Vec<_> = (0..pictures).filter_map(picture).collect();
        spans.extend(damage.end());
        spans
    }

    #[test]
    fn a_loss_damages_pictures_up_to_the_next_key_frame() {
        let tenth = SECOND_US / 10;
        assert_eq!(spans(40, |_| false), []);
        assert_eq!(spans(40, |n| n == 13), [(12 * tenth, 20 * tenth)]);
        let twice = spans(40, |n| n == 13 || n == 17);
        assert_eq!(twice, [(12 * tenth, 20 * tenth)]);
        let key = spans(40, |n| n == 20);
        assert_eq!(
            key,
            [(19 * tenth, 30 * tenth)],
            "its own beginning may lack"
        );
        assert_eq!(spans(40, |n| n == 35), [(34 * tenth, 39 * tenth)]);
        assert_eq!(spans(1, |n| n == 0), [(0, 1)]);
    }

    #[test]
    fn damage_without_an_end_is_told_in_pieces_without_a_hole() {
        let spans = spans(10 * 200, |_| true);
        assert_eq!(spans.len(), 4, "{spans:?}");
        assert_eq!(spans[0].0, 0);
        assert!(spans.windows(2).all(|two| two[0].1 == two[1].0));
    }

    #[test]
    fn the_log_is_told_at_once_and_then_once_a_minute() {
        let mut marks = Marks::default();
        marks.add(None, Some(5));
        assert_eq!(marks.take(0, false), None, "it lasts");
        assert_eq!(marks.untold(), [(5, None)]);
        marks.add(Some((5, 10)), None);
        assert_eq!(marks.take(1, false), Some((5, 10)));
        marks.add(Some((20, 25)), None);
        marks.add(Some((40, 45)), Some(60));
        assert_eq!(marks.take(2, false), None);
        assert_eq!(marks.untold(), [(20, Some(45)), (60, None)]);
        assert_eq!(marks.take(1 + DAMAGE_TOLD_US_MIN, false), Some((20, 45)));
        marks.add(Some((60, 61)), None);
        assert_eq!(marks.take(2 + DAMAGE_TOLD_US_MIN, true), Some((60, 61)));
        assert_eq!(marks.take(3 + DAMAGE_TOLD_US_MIN, true), None);
        assert_eq!(marks.length_us(), 16);
    }
}
