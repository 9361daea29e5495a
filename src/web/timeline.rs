//! What there is of a stream, as the API's JSON has it.

use std::collections::HashMap;
use std::path::PathBuf;

use hearthkeep_format::segment::GapCause;
use hearthkeep_format::{EpochId, SegmentId};
use serde::Serialize;
use utoipa::ToSchema;

use super::error;
use super::footage::as_text;
use crate::record::{self, DAMAGED, ROTTEN, sentence};
use crate::store::{self, GapSpan, Span};

/// What there is of a stream in a span of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Timeline {
    /// In the order of time.
    pub segments: Vec<TimelineSegment>,
    /// Known absences.
    pub gaps: Vec<TimelineGap>,
    /// Where pictures may be damaged, or are missing of a segment.
    pub damaged: Vec<DamagedSpan>,
    /// The first segment that begins after the span, however long after.
    pub next: Option<TimelineSegment>,
}

/// A segment in a timeline.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TimelineSegment {
    /// 32 hex digits.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub id: SegmentId,
    /// 32 hex digits: segments of one epoch share an envelope.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub epoch: EpochId,
    /// Wall time of the first sample, µs since 1970.
    pub start_us: i64,
    /// µs.
    pub duration_us: u64,
    /// On the disk.
    pub bytes: u64,
    /// One higher in each segment of the stream.
    pub sequence: u64,
    /// It was torn by a crash and mended without its secret.
    pub recovered: bool,
    /// It is still being written.
    pub open: bool,
}

/// A known absence.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TimelineGap {
    /// µs since 1970.
    pub start_us: i64,
    /// µs since 1970.
    pub end_us: i64,
    /// As `docs/format.md`, 5.6, names it; `removed` where there was footage that somebody removed, `away` where it is on
    /// a disk that is not here, and `unknown`.
    pub cause: String,
    /// The cause for people.
    pub sentence: String,
    /// It lasts: `end_us` is now, and nothing is kept yet.
    pub open: bool,
}

/// Footage that is damaged, or may be: packets of it were lost on the way from the camera, which counts up to the next key frame that came
/// whole; or the disk has something else than was written.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DamagedSpan {
    /// µs since 1970.
    pub start_us: i64,
    /// µs since 1970.
    pub end_us: i64,
    /// What it is, for people.
    pub sentence: String,
    /// It lasts: `end_us` is now.
    pub open: bool,
}

/// Of lost packets. Without an end it lasts until now.
pub(super) fn damaged_row(start_us: i64, end_us: Option<i64>, now_us: i64) -> DamagedSpan {
    DamagedSpan {
        start_us,
        end_us: end_us.unwrap_or(now_us),
        sentence: DAMAGED.to_owned(),
        open: end_us.is_none(),
    }
}

/// Of what a disk has damaged.
pub(super) fn rotten_row(&(start_us, end_us): &(i64, i64)) -> DamagedSpan {
    DamagedSpan {
        start_us,
        end_us,
        sentence: ROTTEN.to_owned(),
        open: false,
    }
}

pub(super) fn segment_row(span: &Span) -> TimelineSegment {
    TimelineSegment {
        id: span.segment,
        epoch: span.epoch,
        start_us: span.start_us,
        duration_us: span.duration_us,
        bytes: span.bytes,
        sequence: span.sequence,
        recovered: span.recovered,
        open: span.open,
    }
}

/// `away` are the folders of the disks that are not here, by their numbers.
pub(super) fn gap_row(gap: &GapSpan, away: &HashMap<u16, PathBuf>) -> TimelineGap {
    let (cause, sentence) = match gap {
        GapSpan { removed: true, .. } => (
            "removed",
            "Footage was removed here: the box's log has it, and the box did not delete it."
                .to_owned(),
        ),
        GapSpan {
            away: Some(disk), ..
        } => {
            let sentence = match away.get(disk) {
                Some(disk) => error::sentence(&store::Error::Away { disk: disk.clone() }),
                // It came while this was asked.
                None => "This footage is on a disk that has just come back: look again.".to_owned(),
            };
            ("away", sentence)
        }
        gap => (
            gap.cause.map_or("unknown", GapCause::as_str),
            sentence(gap.cause).to_owned(),
        ),
    };
    TimelineGap {
        start_us: gap.start_us,
        end_us: gap.end_us,
        cause: cause.to_owned(),
        sentence,
        open: false,
    }
}

/// A gap that lasts until now; `None` of a stream that has never been recorded: nothing is missing before its first picture.
pub(super) fn open_gap_row(gap: &record::OpenGap, now_us: i64) -> Option<TimelineGap> {
    Some(TimelineGap {
        start_us: gap.since_us?,
        end_us: now_us,
        cause: gap.cause.as_str().to_owned(),
        sentence: gap.sentence().to_owned(),
        open: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footage_on_a_disk_that_has_come_back_is_not_said_to_be_away() {
        let gap = GapSpan {
            start_us: 0,
            end_us: 1,
            cause: None,
            removed: false,
            away: Some(3),
        };
        let here = gap_row(&gap, &HashMap::new()).sentence;
        assert!(here.contains("come back"), "{here}");
        let away = HashMap::from([(3, PathBuf::from("/mnt/b"))]);
        let away = gap_row(&gap, &away).sentence;
        assert!(
            away.contains("the disk /mnt/b, which is not here"),
            "{away}"
        );
    }
}
