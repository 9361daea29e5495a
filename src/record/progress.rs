//! How far a stream's footage is: what its task, its segments and the watchdog know of it together.
//!
//! A gap is open from the moment that nothing is kept until a disk has taken the head of another segment. The task says so
//! where it knows ([`Progress::lost`]); the watchdog where it does not ([`Progress::stuck_at`]), and takes that back itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hearthkeep_format::SegmentId;
use hearthkeep_format::segment::GapCause;
use tokio::sync::Notify;

use super::damage::{Damaged, Marks};
use super::gap::{OpenGap, Stuck};
use crate::clock::Clock;
use crate::limits::CLOCK_JUMP_US_MIN;
use crate::store::writer::{Segment, State as SegmentState};

/// One stream's. Its monotonic times are those of [`Clock::monotonic_us`].
pub(super) struct Progress {
    clock: Arc<dyn Clock>,
    /// When a picture or sound came last.
    arrived_us: AtomicU64,
    /// When something was handed to a disk last, or was to be from then on.
    sealed_us: AtomicU64,
    restart: Notify,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Those that are not wholly durable, and the newest; with their lengths as sealed.
    segments: Vec<(Arc<Segment>, u64)>,
    /// What ended well and was lost on its way to the disk, and has not been told: wall time, us.
    holes: Vec<(i64, i64)>,
    /// The newest segment's, where that is told already.
    told_of: Option<SegmentId>,
    /// Wall time to which older ones are durable, us.
    end_us: Option<i64>,
    gap: Option<Gap>,
    marks: Marks,
    /// How long gaps lasted that have ended, or whose cause has changed, us.
    ended_us: BTreeMap<GapCause, u64>,
    /// Monotonic time up to which they are counted: a gap that goes on after a try that failed begins before that.
    counted_to_us: Option<u64>,
}

struct Gap {
    cause: GapCause,
    since_us: Option<i64>,
    /// How much of it had passed when it was noticed, us.
    before_us: u64,
    /// As much of that was counted before: the gap had ended by what was lost again.
    again_us: u64,
    /// When it got this cause; its time before that is counted already.
    from_us: u64,
    counted_us: u64,
    stuck: Option<Stuck>,
    /// Whether the task knows of it too.
    is_told: bool,
}

/// How far footage is durable: it changes with every batch that a disk acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    segment: Option<SegmentId>,
    durable_bytes: u64,
    /// What is on its way to a disk.
    pub queued_bytes: u64,
}

impl Position {
    /// Whether more is durable than there was.
    pub(super) fn has_moved_from(&self, before: &Self) -> bool {
        (self.segment, self.durable_bytes) != (before.segment, before.durable_bytes)
    }
}

impl Progress {
    /// A stream of which nothing is kept yet, for this reason. `end_us` is wall time to which there is footage.
    pub(super) fn new(clock: Arc<dyn Clock>, (cause, end_us): (GapCause, Option<i64>)) -> Self {
        let now_us = clock.monotonic_us();
        let progress = Self {
            clock,
            arrived_us: AtomicU64::new(now_us),
            sealed_us: AtomicU64::new(now_us),
            restart: Notify::new(),
            known: Mutex::new(Known {
                end_us,
                ..Known::default()
            }),
        };
        progress.lost(cause, end_us);
        progress
    }

    /// A sample came.
    pub(super) fn arrived(&self, at_us: u64) {
        self.arrived_us.store(at_us, Ordering::Relaxed);
    }

    /// When a sample came last.
    pub(super) fn arrived_us(&self) -> u64 {
        self.arrived_us.load(Ordering::Relaxed)
    }

    /// From now on something should come, or be sealed.
    pub(super) fn expect(&self) {
        let now_us = self.clock.monotonic_us();
        self.sealed_us.store(now_us, Ordering::Relaxed);
    }

    /// When something was handed to a disk last, or was expected from then on.
    pub(super) fn sealed_us(&self) -> u64 {
        self.sealed_us.load(Ordering::Relaxed)
    }

    /// A disk has taken the head of a segment: what is lost is lost, and the gap has ended.
    pub(super) fn begun(&self, segment: Arc<Segment>, sealed_bytes: u64) {
        self.expect();
        let now_us = self.clock.monotonic_us();
        let mut known = self.known();
        known.settle();
        known.segments.push((segment, sealed_bytes));
        if known.gap.as_ref().is_some_and(|gap| gap.is_told) {
            known.close_gap(now_us);
        }
    }

    /// The newest segment is this long now.
    pub(super) fn sealed(&self, sealed_bytes: u64) {
        self.expect();
        if let Some((_, sealed)) = self.known().segments.last_mut() {
            *sealed = sealed_bytes;
        }
    }

    /// Nothing is kept, for a reason that the task knows. `since_us` is wall time to which there is footage.
    pub(super) fn lost(&self, cause: GapCause, since_us: Option<i64>) {
        self.open_gap(cause, since_us, None, true);
    }

    /// Nothing is kept for another reason from now on: what there was of a gap before has ended.
    pub(super) fn turned(&self, cause: GapCause) {
        let (now_us, wall_us) = (self.clock.monotonic_us(), self.clock.wall_us());
        self.known().close_gap(now_us);
        self.open_gap(cause, Some(wall_us), None, true);
    }

    /// Nothing is kept, and the task does not know.
    pub(super) fn stuck_at(&self, stuck: Stuck) {
        let since_us = self.end_us();
        self.open_gap(stuck.cause(), since_us, Some(stuck), false);
    }

    /// What the watchdog saw is over.
    pub(super) fn is_getting_on(&self) {
        let now_us = self.clock.monotonic_us();
        let mut known = self.known();
        match &mut known.gap {
            Some(gap) if gap.is_told => gap.stuck = None,
            Some(_) => known.close_gap(now_us),
            None => {}
        }
    }

    fn open_gap(
        &self,
        cause: GapCause,
        since_us: Option<i64>,
        stuck: Option<Stuck>,
        is_told: bool,
    ) {
        let (now_us, wall_us) = (self.clock.monotonic_us(), self.clock.wall_us());
        let mut known = self.known();
        if let Some(gap) = &mut known.gap {
            gap.is_told |= is_told;
            gap.stuck = stuck;
            if gap.cause != cause {
                let counted = gap.uncounted_us(now_us);
                let before = std::mem::replace(&mut gap.cause, cause);
                gap.from_us = now_us;
                gap.counted_us += counted;
                *known.ended_us.entry(before).or_default() += counted;
            }
            return;
        }
        let before_us =
            since_us.and_then(|since| u64::try_from(wall_us.saturating_sub(since)).ok());
        let before_us = before_us.unwrap_or(0);
        let not_counted_us = known.counted_to_us.map(|to| now_us.saturating_sub(to));
        known.gap = Some(Gap {
            cause,
            since_us,
            before_us,
            again_us: not_counted_us.map_or(0, |most| before_us.saturating_sub(most)),
            from_us: now_us,
            counted_us: 0,
            stuck,
            is_told,
        });
    }

    /// The gap that is open now.
    pub(super) fn gap(&self) -> Option<OpenGap> {
        let (now_us, wall_us) = (self.clock.monotonic_us(), self.clock.wall_us());
        let known = self.known();
        let gap = known.gap.as_ref()?;
        let length_us = gap.again_us + gap.counted_us + gap.uncounted_us(now_us);
        // A clock that was set meanwhile tells another time of its beginning.
        let since_us = gap.since_us.map(|since| {
            let counted = wall_us.saturating_sub_unsigned(length_us);
            match counted.abs_diff(since) < CLOCK_JUMP_US_MIN {
                true => since,
                false => counted,
            }
        });
        Some(OpenGap {
            cause: gap.cause,
            since_us,
            length_us,
            stuck: gap.stuck,
        })
    }

    /// For how long nothing was kept since the recorder started, by cause, us; the gap that is open included.
    pub(super) fn gap_lengths_us(&self) -> BTreeMap<GapCause, u64> {
        let now_us = self.clock.monotonic_us();
        let known = self.known();
        let mut lengths = known.ended_us.clone();
        if let Some(gap) = &known.gap {
            *lengths.entry(gap.cause).or_default() += gap.uncounted_us(now_us);
        }
        lengths
    }

    /// Wall time to which there is durable footage, us.
    pub(super) fn end_us(&self) -> Option<i64> {
        let known = self.known();
        let ends = known.segments.iter().rev().filter_map(|(s, _)| end_of(s));
        ends.chain(known.end_us).next()
    }

    /// How far footage is durable now.
    pub(super) fn position(&self) -> Position {
        let mut known = self.known();
        known.settle();
        let open = known.segments.iter();
        let open = open.filter(|(segment, _)| segment.state() == SegmentState::Open);
        let queued = open.map(|(segment, sealed)| sealed.saturating_sub(segment.durable_bytes()));
        Position {
            segment: known.segments.last().map(|(newest, _)| newest.new.segment),
            durable_bytes: known.segments.iter().map(|(s, _)| s.durable_bytes()).sum(),
            queued_bytes: queued.sum(),
        }
    }

    /// What was lost of segments that had ended, since it was last asked: wall times, us.
    pub(super) fn take_holes(&self) -> Vec<(i64, i64)> {
        let mut known = self.known();
        known.settle();
        std::mem::take(&mut known.holes)
    }

    /// Pictures of a span of wall time may be damaged, and those since `open_us`.
    pub(super) fn damaged(&self, span: Option<Damaged<i64>>, open_us: Option<i64>) {
        self.known().marks.add(span, open_us);
    }

    /// What the log is to be told of that now; all that is left where it `is_last`.
    pub(super) fn take_damage(&self, is_last: bool) -> Option<Damaged<i64>> {
        let now_us = self.clock.monotonic_us();
        self.known().marks.take(now_us, is_last)
    }

    /// What it has not been told, the end missing where it lasts; and how long it was in all, us.
    pub(super) fn damage(&self) -> (Vec<(i64, Option<i64>)>, u64) {
        let known = self.known();
        (known.marks.untold(), known.marks.length_us())
    }

    /// Tells the task to end its run and to connect again.
    pub(super) fn restart(&self) {
        self.restart.notify_one();
    }

    /// Waits until it is told so.
    pub(super) async fn restarted(&self) {
        self.restart.notified().await;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Lets go of older segments that have ended.
    fn settle(&mut self) {
        self.find_holes();
        let last = self.segments.len().saturating_sub(1);
        let mut at = 0;
        let mut end_us = self.end_us;
        self.segments.retain(|(segment, _)| {
            let stays = at == last || segment.state() == SegmentState::Open;
            at += 1;
            if !stays {
                end_us = end_of(segment).or(end_us);
            }
            stays
        });
        self.end_us = end_us;
    }

    /// Notes what was lost of segments that had ended: neither the task nor the segment that followed knows of it.
    fn find_holes(&mut self) {
        for (segment, _) in &self.segments {
            let Some((from_us, to_us)) = segment.lost() else {
                continue;
            };
            let id = segment.new.segment;
            if self.told_of != Some(id) {
                self.holes.push((from_us, to_us));
                let lost_us = u64::try_from(to_us.saturating_sub(from_us)).unwrap_or(0);
                *self.ended_us.entry(GapCause::DiskError).or_default() += lost_us;
                self.told_of = Some(id);
            }
        }
    }

    fn close_gap(&mut self, now_us: u64) {
        if let Some(gap) = self.gap.take() {
            let length = gap.uncounted_us(now_us);
            *self.ended_us.entry(gap.cause).or_default() += length;
            self.counted_to_us = Some(now_us);
        }
    }
}

impl Gap {
    fn uncounted_us(&self, now_us: u64) -> u64 {
        let before_us = match self.counted_us {
            0 => self.before_us - self.again_us,
            _ => 0,
        };
        before_us + now_us.saturating_sub(self.from_us)
    }
}

/// Wall time to which a segment is durable; `None` while nothing of it is.
fn end_of(segment: &Segment) -> Option<i64> {
    let durable_us = segment.durable_us();
    (durable_us > 0).then(|| {
        segment
            .new
            .start
            .wall_us
            .saturating_add_unsigned(durable_us)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimClock;

    const S: u32 = 1_000_000;
    const SECOND_US: u64 = 1_000_000;

    #[test]
    fn a_hole_is_counted_once_however_often_it_is_tried_to_end_it() {
        let clock = Arc::new(SimClock::new(1_000_000_000));
        let begun_us = clock.wall_us();
        let progress = Progress::new(clock.clone(), (GapCause::Start, None));
        let close = || progress.known().close_gap(clock.monotonic_us());
        close();
        progress.lost(GapCause::DiskError, Some(begun_us));
        for _ in 0..30 {
            clock.advance_us(S);
            // A disk takes a head, and then fails.
            close();
            clock.advance_us(S);
            progress.lost(GapCause::DiskError, Some(begun_us));
        }
        let gap = progress.gap().unwrap();
        assert_eq!(
            (gap.length_us, gap.since_us),
            (60 * SECOND_US, Some(begun_us))
        );
        assert_eq!(
            progress.gap_lengths_us()[&GapCause::DiskError],
            60 * SECOND_US
        );
        close();
        // Another one, after footage.
        clock.advance_us(100 * S);
        progress.lost(GapCause::DiskError, Some(clock.wall_us() - 2_000_000));
        clock.advance_us(S);
        close();
        assert_eq!(
            progress.gap_lengths_us()[&GapCause::DiskError],
            63 * SECOND_US
        );
    }

    #[test]
    fn a_gap_that_has_another_cause_from_a_moment_on_is_two() {
        let clock = Arc::new(SimClock::new(1_000_000_000));
        let ended_us = clock.wall_us() - 40_000_000;
        let progress = Progress::new(clock.clone(), (GapCause::Shutdown, Some(ended_us)));
        let turned_us = clock.wall_us();
        progress.turned(GapCause::DiskError);
        clock.advance_us(7 * S);
        let gap = progress.gap().unwrap();
        let told = (gap.cause, gap.since_us, gap.length_us);
        assert_eq!(told, (GapCause::DiskError, Some(turned_us), 7 * SECOND_US));
        assert_eq!(progress.end_us(), Some(ended_us));
        let lengths = progress.gap_lengths_us();
        assert_eq!(lengths[&GapCause::Shutdown], 40 * SECOND_US);
        assert_eq!(lengths[&GapCause::DiskError], 7 * SECOND_US);
    }
}
