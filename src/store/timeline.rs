//! What there is of a stream in a span of time, and what there is not.

use std::sync::Arc;

use hearthkeep_format::log::SegmentClosed;
use hearthkeep_format::segment::{GapCause, Start};
use hearthkeep_format::{EpochId, SegmentId};

use super::catalog::Entry;
use super::log::LoggedGap;
use super::writer::{Segment, State};

/// Shorter absences between two segments are the clock's drift, not a gap.
const TOLERANCE_US: i64 = 500_000;

/// What there is of a stream in a span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Segments by their start.
    pub segments: Vec<Span>,
    /// Gaps between them, and before the first.
    pub gaps: Vec<GapSpan>,
    /// Where pictures may be damaged because packets were lost: from when to when in wall time, us.
    pub damaged: Vec<(i64, i64)>,
    /// Where pictures are lost because the disk has something else than was written, as far as the scrub has found it: the same.
    pub rotten: Vec<(i64, i64)>,
    /// The first segment that begins after the span.
    pub next: Option<Span>,
}

/// A segment on the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its id.
    pub segment: SegmentId,
    /// Its epoch.
    pub epoch: EpochId,
    /// Wall time of its first sample, us.
    pub start_us: i64,
    /// Media duration, us; of an open segment, of what is durable.
    pub duration_us: u64,
    /// Bytes; of an open segment, what is durable.
    pub bytes: u64,
    /// One higher in each segment of the stream.
    pub sequence: u64,
    /// Whether it was torn, and closed at a later start.
    pub recovered: bool,
    /// Whether it has no tail: it still grows, or a write to it failed.
    pub open: bool,
    /// Number of its disk in the catalog.
    pub(super) disk: u16,
    /// Whether more of it is on its way to the disk.
    grows: bool,
    gap: Option<(GapCause, Option<u64>)>,
}

/// An absence on the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapSpan {
    /// Wall time from which on nothing is there, us.
    pub start_us: i64,
    /// Wall time at which there is something again, us.
    pub end_us: i64,
    /// Why; `None` where no segment says so.
    pub cause: Option<GapCause>,
    /// Whether there was footage that somebody removed: the log has it, and says nothing of a deletion.
    pub removed: bool,
    /// The number of the disk that has this footage, where that is not here.
    pub away: Option<u16>,
}

impl Span {
    /// Wall time of its end, us.
    pub fn end_us(&self) -> i64 {
        self.start_us.saturating_add_unsigned(self.duration_us)
    }

    pub(super) fn of_entry(entry: &Entry) -> Self {
        Self {
            segment: entry.segment,
            epoch: entry.epoch,
            start_us: entry.start_us,
            duration_us: entry.duration_us,
            bytes: u64::from(entry.bytes),
            sequence: entry.sequence,
            recovered: entry.recovered,
            open: entry.torn,
            disk: entry.disk,
            grows: false,
            gap: entry.gap.map(|gap| (gap.cause, gap.length_us)),
        }
    }

    /// `start` is what its start block says, at its true time.
    pub(super) fn of_segment(segment: &Arc<Segment>, start: &Start) -> Self {
        Self {
            segment: segment.new.segment,
            epoch: segment.new.epoch,
            start_us: start.wall_us,
            duration_us: segment.durable_us(),
            bytes: segment.durable_bytes(),
            sequence: start.sequence,
            recovered: false,
            open: segment.state() != State::Closed,
            disk: segment.disk,
            grows: segment.state() == State::Open,
            gap: start.gap.map(|gap| (gap.cause, gap.length_us)),
        }
    }
}

/// The timeline of a span from segments in any order. `around` are the last one before the span and the first one after it, where
/// there are any: the gaps between may reach into it.
pub(super) fn timeline(
    mut segments: Vec<Span>,
    around: (Option<Span>, Option<Span>),
    from_us: i64,
    to_us: i64,
) -> Timeline {
    segments.sort_by_key(|span| (span.start_us, span.sequence));
    let (before, next) = around;
    let mut gaps = Vec::new();
    let mut last = before.as_ref();
    for span in segments.iter().chain(&next) {
        gaps.extend(gaps_before(span, last));
        // One that a clock had dated too late may lie within another.
        last = last
            .filter(|last| last.end_us() > span.end_us())
            .or(Some(span));
    }
    gaps.retain(|gap| gap.start_us < to_us && gap.end_us > from_us);
    // One of which nothing but the head was ever written tells of a gap only.
    segments.retain(|span| span.duration_us > 0);
    Timeline {
        segments,
        gaps,
        damaged: Vec::new(),
        rotten: Vec::new(),
        next,
    }
}

/// The gaps before a segment: the one that it tells of, never over what is there; and what else is missing since `last`, which is what
/// reaches furthest before it.
///
/// A segment may have begun before it was known that the end of the one before it could not be written: it knows of no gap then, or of
/// one that is too short.
fn gaps_before(span: &Span, last: Option<&Span>) -> impl Iterator<Item = GapSpan> {
    let end_us = span.start_us;
    let free_from = last.map(Span::end_us);
    let gap = |start_us: i64, end_us: i64, cause| GapSpan {
        start_us,
        end_us,
        cause,
        removed: false,
        away: None,
    };
    let told = match span.gap {
        Some((GapCause::Start, _)) | None => None,
        Some((cause, Some(length))) => {
            let start_us = end_us.saturating_sub_unsigned(length);
            let start_us = start_us.max(free_from.unwrap_or(start_us));
            Some(gap(start_us, end_us, Some(cause)))
        }
        Some((cause, None)) => free_from.map(|free_from| gap(free_from, end_us, Some(cause))),
    };
    // On another disk the next one may be durable before the end of this one is.
    let free_from = free_from.filter(|_| !last.is_some_and(|last| last.grows));
    // What is too short to be a gap belongs to the one beside it.
    let lasts = |gap: &GapSpan| gap.start_us < gap.end_us;
    let told = told.filter(lasts).map(|told| match free_from {
        Some(start_us) if told.start_us.saturating_sub(start_us) <= TOLERANCE_US => {
            GapSpan { start_us, ..told }
        }
        _ => told,
    });
    let until_us = told.map_or(end_us, |told| told.start_us);
    let untold = free_from
        .filter(|free_from| until_us.saturating_sub(*free_from) > TOLERANCE_US)
        .map(|free_from| {
            let is_cut_short = last.is_some_and(|last| last.open || last.recovered);
            gap(
                free_from,
                until_us,
                is_cut_short.then_some(GapCause::DiskError),
            )
        });
    [untold, told].into_iter().flatten()
}

/// Gives gaps that no segment explains the cause that the log has for them. Where a segment's end is torn that may be a disk's fault, or
/// the recorder's, which the log knows: it did not run.
pub(super) fn tell_logged(gaps: &mut [GapSpan], logged: impl Fn(i64, i64) -> Vec<LoggedGap>) {
    let is_guessed = |gap: &&mut GapSpan| matches!(gap.cause, None | Some(GapCause::DiskError));
    for gap in gaps.iter_mut().filter(is_guessed) {
        let shared =
            |known: &LoggedGap| gap.end_us.min(known.to_us) - gap.start_us.max(known.from_us);
        let within = logged(gap.start_us, gap.end_us);
        // Of two that cover it the one that says less beside it.
        let extent = |known: &LoggedGap| (shared(known), known.from_us.saturating_sub(known.to_us));
        let most = within.iter().max_by_key(|known| extent(known));
        // The one that covers it, but for what a camera's clock is off.
        let length_us = gap.end_us - gap.start_us;
        let covering = most.filter(|known| shared(known) * 2 > length_us);
        let did_not_run =
            |known: &&LoggedGap| matches!(known.cause, GapCause::Crash | GapCause::Shutdown);
        let covering = covering.filter(|known| gap.cause.is_none() || did_not_run(known));
        gap.cause = covering.map(|known| known.cause).or(gap.cause);
    }
}

/// Makes gaps of what lies on disks that are away: until they are back, nothing of it can be shown.
pub(super) fn tell_away(timeline: &mut Timeline, is_away: impl Fn(u16) -> bool) {
    let (away, here): (Vec<_>, Vec<_>) = timeline
        .segments
        .drain(..)
        .partition(|span| is_away(span.disk));
    timeline.segments = here;
    let mut joined: Vec<GapSpan> = Vec::new();
    for span in &away {
        let before = joined.last_mut().filter(|before| {
            let apart_us = span.start_us.saturating_sub(before.end_us);
            before.away == Some(span.disk) && apart_us <= TOLERANCE_US
        });
        match before {
            Some(before) => before.end_us = before.end_us.max(span.end_us()),
            None => joined.push(GapSpan {
                start_us: span.start_us,
                end_us: span.end_us(),
                cause: None,
                removed: false,
                away: Some(span.disk),
            }),
        }
    }
    timeline.gaps.extend(joined);
    timeline.gaps.sort_by_key(|gap| gap.start_us);
}

/// Tells gaps in which there was footage that somebody removed apart from the others.
pub(super) fn tell_removed(gaps: &mut Vec<GapSpan>, removed: &[SegmentClosed]) {
    for segment in removed {
        let (from_us, to_us) = (
            segment.start_us,
            segment
                .start_us
                .saturating_add_unsigned(segment.duration_us),
        );
        let mut left = Vec::with_capacity(gaps.len() + 2);
        for gap in gaps.drain(..) {
            let before = GapSpan {
                end_us: gap.end_us.min(from_us),
                ..gap
            };
            let after = GapSpan {
                start_us: gap.start_us.max(to_us),
                ..gap
            };
            // Drift leaves slivers between two segments, which nobody would call a gap.
            let lasts = |gap: &GapSpan| gap.end_us.saturating_sub(gap.start_us) > TOLERANCE_US;
            match gap.removed || gap.end_us <= from_us || gap.start_us >= to_us {
                true => left.push(gap),
                false => left.extend([before, after].into_iter().filter(lasts)),
            }
        }
        left.push(GapSpan {
            start_us: from_us,
            end_us: to_us,
            cause: None,
            removed: true,
            away: None,
        });
        *gaps = left;
    }
    gaps.sort_by_key(|gap| gap.start_us);
}

#[cfg(test)]
mod tests {
    use super::super::damaged::damaged;
    use super::*;

    fn span(start_us: i64, duration_us: u64, gap: Option<(GapCause, Option<u64>)>) -> Span {
        Span {
            segment: SegmentId::from_bytes([start_us as u8; 16]),
            epoch: EpochId::from_bytes([0; 16]),
            start_us,
            duration_us,
            bytes: 1,
            sequence: start_us as u64,
            recovered: false,
            open: false,
            disk: 0,
            grows: false,
            gap,
        }
    }

    #[test]
    fn gaps_lie_between_what_is_there() {
        const S: i64 = 1_000_000;
        let minute = 60_000_000;
        let segments = vec![
            span(200 * S, minute, Some((GapCause::CameraLost, Some(minute)))),
            span(0, minute, Some((GapCause::Start, None))),
            span(60 * S + 200_000, minute, None),
            span(300 * S, minute, Some((GapCause::Crash, None))),
            span(400 * S, minute, None),
            span(
                460 * S + 200_000,
                59_600_000,
                Some((GapCause::Parameters, Some(0))),
            ),
        ];
        let next = span(
            600 * S,
            minute,
            Some((GapCause::Shutdown, Some(79_800_000))),
        );
        let found = timeline(segments, (None, Some(next)), 0, 560 * S);
        let gap = |start, end, cause| GapSpan {
            start_us: start * S,
            end_us: end * S,
            cause,
            removed: false,
            away: None,
        };
        assert_eq!(
            found.gaps,
            [
                GapSpan {
                    start_us: 120_200_000,
                    ..gap(0, 140, None)
                },
                gap(140, 200, Some(GapCause::CameraLost)),
                gap(260, 300, Some(GapCause::Crash)),
                gap(360, 400, None),
                GapSpan {
                    start_us: 519_800_000,
                    ..gap(0, 600, Some(GapCause::Shutdown))
                },
            ]
        );
        assert!(found.segments.is_sorted_by_key(|span| span.start_us));
        assert_eq!(found.next, Some(next));
    }

    #[test]
    fn what_could_not_be_written_is_missing_for_that_reason() {
        let poisoned = Span {
            open: true,
            ..span(0, 58_000_000, None)
        };
        let segments = vec![poisoned, span(60_000_000, 60_000_000, None)];
        let found = timeline(segments, (None, None), 0, 120_000_000);
        let gap = GapSpan {
            start_us: 58_000_000,
            end_us: 60_000_000,
            cause: Some(GapCause::DiskError),
            removed: false,
            away: None,
        };
        assert_eq!(found.gaps, [gap]);
        // It had begun with a gap of its own when that was found out; and so had one at which a span is looked at.
        let told = Some((GapCause::QueueFull, Some(1_000_000)));
        let segments = vec![poisoned, span(60_000_000, 60_000_000, told)];
        let found = timeline(segments, (None, None), 0, 120_000_000);
        let until = |end_us| GapSpan { end_us, ..gap };
        let told_gap = GapSpan {
            start_us: 59_000_000,
            cause: Some(GapCause::QueueFull),
            ..gap
        };
        assert_eq!(found.gaps, [until(59_000_000), told_gap]);
        let next = span(60_000_000, 60_000_000, told);
        let found = timeline(vec![next], (Some(poisoned), None), 58_200_000, 120_000_000);
        assert_eq!(found.gaps, [until(59_000_000), told_gap]);
    }

    #[test]
    fn what_was_lost_before_a_gap_that_is_told_too_short_is_a_gap_too() {
        let poisoned = Span {
            open: true,
            ..span(0, 58_000_000, None)
        };
        let told = Some((GapCause::CameraLost, Some(10_000_000)));
        let next = span(70_000_000, 60_000_000, told);
        let gaps = |last| {
            let found = timeline(vec![last, next], (None, None), 0, 130_000_000);
            let gaps = found.gaps.into_iter();
            gaps.map(|gap| (gap.start_us, gap.end_us, gap.cause.unwrap()))
                .collect::<Vec<_>>()
        };
        let of_camera = (60_000_000, 70_000_000, GapCause::CameraLost);
        let of_disk = (58_000_000, 60_000_000, GapCause::DiskError);
        assert_eq!(gaps(poisoned), [of_disk, of_camera]);
        let grows = Span {
            grows: true,
            ..poisoned
        };
        assert_eq!(gaps(grows), [of_camera], "it is not lost yet");
    }

    #[test]
    fn what_is_on_a_disk_that_is_away_is_a_gap_that_says_so() {
        let minute = 60_000_000;
        let on = |disk, start_us| Span {
            disk,
            ..span(start_us, minute, None)
        };
        let segments = [(1, 0), (2, 60_000_000), (2, 120_100_000), (1, 180_200_000)];
        let segments = segments.map(|(disk, start_us)| on(disk, start_us));
        let mut found = timeline(segments.to_vec(), (None, None), 0, i64::MAX);
        tell_away(&mut found, |disk| disk == 2);
        let disks: Vec<_> = found.segments.iter().map(|span| span.disk).collect();
        assert_eq!(disks, [1, 1]);
        let away = GapSpan {
            start_us: 60_000_000,
            end_us: 180_100_000,
            cause: None,
            removed: false,
            away: Some(2),
        };
        assert_eq!(found.gaps, [away], "one, although two segments are");
    }

    #[test]
    fn what_the_log_says_of_footage_that_is_there_is_damage() {
        const S: i64 = 1_000_000;
        let minute = 60_000_000;
        let segments = [
            span(0, minute, None),
            span(60 * S + 100_000, minute, None),
            span(200 * S, minute, None),
        ];
        let mark = |from: i64, to: i64| LoggedGap {
            from_us: from * S,
            to_us: to * S,
            cause: GapCause::CameraData,
        };
        let found = |marks: &[LoggedGap]| {
            let found = damaged(&segments, marks).into_iter();
            found
                .map(|(from_us, to_us)| (from_us / S, to_us / S))
                .collect::<Vec<_>>()
        };
        assert_eq!(found(&[mark(10, 12), mark(50, 70)]), [(10, 12), (50, 70)]);
        assert_eq!(found(&[mark(110, 210)]), [(110, 120), (200, 210)]);
        assert_eq!(
            found(&[mark(125, 200), mark(260, 300)]),
            [],
            "nothing is there"
        );
        let lost = LoggedGap {
            cause: GapCause::CameraLost,
            ..mark(10, 12)
        };
        assert_eq!(found(&[lost]), []);
    }

    #[test]
    fn what_the_log_knows_of_a_gap_is_said_of_it() {
        let gap = |start_us, end_us| GapSpan {
            start_us,
            end_us,
            cause: None,
            removed: false,
            away: None,
        };
        let mut gaps = [gap(0, 10), gap(100, 200), gap(300, 400)];
        let known = |from_us, to_us| LoggedGap {
            from_us,
            to_us,
            cause: GapCause::DiskError,
        };
        tell_logged(&mut gaps, |_, _| vec![known(110, 205), known(300, 310)]);
        let causes = gaps.map(|gap| gap.cause);
        assert_eq!(causes, [None, Some(GapCause::DiskError), None]);
    }

    #[test]
    fn there_is_no_gap_where_one_lies_within_another_and_nothing_without_length() {
        let minute = 60_000_000;
        let lost = Some((GapCause::DiskError, Some(30_000_000)));
        let segments = vec![
            span(0, minute, None),
            span(10_000_000, 1_000_000, None),
            span(60_000_000, minute, None),
            span(150_000_000, 0, lost),
            span(
                160_000_000,
                minute,
                Some((GapCause::DiskError, Some(10_000_000))),
            ),
        ];
        let found = timeline(segments, (None, None), 0, 300_000_000);
        let between: Vec<_> = found.gaps.iter().map(|g| (g.start_us, g.end_us)).collect();
        assert_eq!(
            between,
            [(120_000_000, 150_000_000), (150_000_000, 160_000_000)]
        );
        assert_eq!(found.segments.len(), 4);
    }
}
