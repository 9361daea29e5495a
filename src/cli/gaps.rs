//! Gaps that stand before no segment: at the end of one that failed, before what was only queued on a disk that was lost, and those
//! that last. Of these only a running recorder knows: the log has a gap once it has ended.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

use hearthkeep_format::StreamId;
use hearthkeep_format::log::OPEN_END_US;
use hearthkeep_format::segment::GapCause;

use super::running;
use super::status::report::{self, StreamReport};
use crate::store::browse::Listed;

/// The gaps of a log, by stream and beginning: until when, and why.
pub(super) type Logged = BTreeMap<(StreamId, i64), (i64, &'static str)>;

/// A gap that stands before no segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoneGap {
    pub start_us: i64,
    /// `None` while it lasts.
    pub end_us: Option<i64>,
    pub cause: String,
}

/// A segment, as far as gaps go: from when to when, and whether it says why there was nothing before.
pub(super) struct Begin {
    pub start_us: i64,
    pub end_us: i64,
    /// Since when there was nothing, where it says so.
    pub tells_from_us: Option<i64>,
}

/// Of the gaps of a stream, each from when to when and why, those that no segment tells of. Where no footage is known from before one,
/// it is left out: what was there has been deleted.
pub(super) fn lone(
    segments: &[Begin],
    gaps: impl IntoIterator<Item = (i64, i64, String)>,
) -> Vec<LoneGap> {
    let mut lone: Vec<LoneGap> = Vec::new();
    for (start_us, end_us, cause) in gaps {
        if segments
            .first()
            .is_none_or(|first| start_us < first.start_us)
        {
            continue;
        }
        // What the log says of footage that is there: its pictures may be damaged.
        let is_over_footage = |begin: &Begin| begin.start_us <= start_us && start_us < begin.end_us;
        if cause == GapCause::CameraData.as_str()
            && end_us != OPEN_END_US
            && segments.iter().any(is_over_footage)
        {
            continue;
        }
        // A gap is a little longer than what a segment that begins in it says.
        let next = segments.iter().find(|begin| begin.start_us > start_us);
        let is_told = |next: &&Begin| {
            let from_us = next.tells_from_us;
            // What was tried meanwhile, and lost, lies within.
            from_us.is_some_and(|from_us| next.start_us <= end_us || from_us <= start_us)
        };
        if next.is_some_and(|next| is_told(&next)) {
            continue;
        }
        let end_us = next.map_or(end_us, |next| next.start_us.min(end_us));
        let gap = LoneGap {
            start_us,
            end_us: (end_us != OPEN_END_US).then_some(end_us),
            cause,
        };
        // One that two answers share was told in two parts.
        match lone.last_mut() {
            Some(last) if last.cause == gap.cause && last.end_us == Some(gap.start_us) => {
                last.end_us = gap.end_us;
            }
            _ => lone.push(gap),
        }
    }
    // What was tried within another one is no gap of its own.
    lone.sort_by_key(|gap| gap.start_us);
    let mut widest: Vec<LoneGap> = Vec::new();
    for gap in lone {
        if !widest.iter().any(|wide| wide.covers(&gap)) {
            widest.push(gap);
        }
    }
    widest
}

/// The same of a stream whose segments were listed, by what the log says and what lasts.
pub(super) fn of_log(
    listed: &[Listed],
    logged: &Logged,
    stream: &StreamId,
    lasting: Option<(i64, String)>,
) -> Vec<LoneGap> {
    let of_it = listed
        .iter()
        .filter(|one| one.facts.header.stream == *stream);
    let begins: Vec<_> = of_it
        .map(|one| Begin {
            start_us: one.span().start,
            end_us: one.span().end,
            tells_from_us: one.facts.start.gap.map(|gap| {
                let start_us = one.span().start;
                // Of one whose length nobody knows, no more than its end.
                gap.length_us.map_or(start_us, |length_us| {
                    start_us.saturating_sub_unsigned(length_us)
                })
            }),
        })
        .collect();
    let gaps = logged.range((*stream, i64::MIN)..=(*stream, i64::MAX));
    let gaps = gaps.map(|((_, from), (to, cause))| (*from, *to, (*cause).to_owned()));
    let lasting = lasting.map(|(since_us, cause)| (since_us, OPEN_END_US, cause));
    lone(&begins, gaps.chain(lasting))
}

/// The gaps that last, by camera and feed, as a running recorder tells them; since when and why. None where no recorder runs; one
/// that cannot be asked is told of.
pub(super) fn lasting(state_dir: &Path) -> HashMap<(String, String), (i64, String)> {
    let report = report::ask(state_dir).unwrap_or_else(|error| {
        let why = running::unasked(&error);
        eprintln!("hearthkeep: whether a gap lasts is not known: {why}");
        None
    });
    let gap = |stream: StreamReport| {
        let gap = stream.gap?;
        Some(((stream.camera, stream.feed), (gap.since_us?, gap.cause)))
    };
    let streams = report.into_iter().flat_map(|report| report.streams);
    streams.filter_map(gap).collect()
}

impl LoneGap {
    fn covers(&self, other: &Self) -> bool {
        let ends_later = self
            .end_us
            .is_none_or(|end_us| other.end_us.is_some_and(|other| other <= end_us));
        self.start_us <= other.start_us && ends_later
    }

    /// Whether it has something of a span.
    pub(super) fn is_in(&self, span: &Range<i64>) -> bool {
        self.start_us < span.end && self.end_us.is_none_or(|end_us| end_us > span.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(start_us: i64, tells: bool) -> Begin {
        Begin {
            start_us,
            end_us: start_us + 20,
            tells_from_us: tells.then_some(start_us - 30),
        }
    }

    #[test]
    fn what_was_tried_within_a_gap_is_none_of_its_own() {
        let tried = [gap(150, 160), gap(165, 172), gap(180, 190)];
        assert_eq!(spans(&[begin(100, true)], &tried).len(), 3);
        let told = Begin {
            tells_from_us: Some(120),
            ..begin(200, true)
        };
        assert_eq!(spans(&[begin(100, true), told], &tried), []);
        let lasts = [&tried[..], &[gap(120, OPEN_END_US)]].concat();
        assert_eq!(spans(&[begin(100, true)], &lasts), [(120, None)]);
        // One that was told apart, up to where another begins, stays.
        let told = Begin {
            tells_from_us: Some(160),
            ..begin(200, true)
        };
        let apart = [gap(120, 160), gap(170, 180)];
        assert_eq!(spans(&[begin(100, true), told], &apart), [(120, Some(160))]);
    }

    fn gap(start_us: i64, end_us: i64) -> (i64, i64, String) {
        (start_us, end_us, "disk-error".to_owned())
    }

    fn spans(segments: &[Begin], gaps: &[(i64, i64, String)]) -> Vec<(i64, Option<i64>)> {
        let lone = lone(segments, gaps.to_vec());
        lone.iter().map(|gap| (gap.start_us, gap.end_us)).collect()
    }

    #[test]
    fn only_what_no_segment_tells_stands_alone() {
        let segments = [begin(100, true), begin(200, true), begin(300, false)];
        // Before all that is known; told by the segment after it; before one that knows of none; and after all.
        let gaps = [gap(10, 100), gap(180, 200), gap(280, 300), gap(390, 400)];
        assert_eq!(
            spans(&segments, &gaps),
            [(280, Some(300)), (390, Some(400))]
        );
        // The next segment begins after its end: it tells of another one.
        assert_eq!(spans(&segments, &[gap(150, 160)]), [(150, Some(160))]);
        assert_eq!(spans(&[], &gaps), []);
    }

    #[test]
    fn what_may_be_damaged_is_no_gap() {
        let segments = [begin(100, true), begin(200, true)];
        let told = |from_us, to_us| (from_us, to_us, GapCause::CameraData.as_str().to_owned());
        assert_eq!(spans(&segments, &[told(110, 115), told(210, 230)]), []);
        let real = spans(&segments, &[told(120, 150), told(220, OPEN_END_US)]);
        assert_eq!(real, [(120, Some(150)), (220, None)]);
    }

    #[test]
    fn one_that_lasts_has_no_end_until_something_is_recorded() {
        let segments = [begin(100, true)];
        assert_eq!(spans(&segments, &[gap(150, OPEN_END_US)]), [(150, None)]);
        let segments = [begin(100, true), begin(200, false)];
        assert_eq!(
            spans(&segments, &[gap(150, OPEN_END_US)]),
            [(150, Some(200))]
        );
    }

    #[test]
    fn one_that_was_told_in_parts_is_one() {
        let parts = [gap(150, 170), gap(170, 190), gap(195, 199)];
        let expected = [(150, Some(190)), (195, Some(199))];
        assert_eq!(spans(&[begin(100, true)], &parts), expected);
    }
}
