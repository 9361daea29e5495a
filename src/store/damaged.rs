//! Where pictures may be damaged: a gap of the log's that lies over footage, of the cause `camera-data`.

use hearthkeep_format::segment::GapCause;

use super::Span;
use super::log::LoggedGap;

/// Pieces that are apart by less are one: a segment ends between them.
const TOLERANCE_US: i64 = 500_000;

/// What of these segments, in the order of time, may be damaged: from when to when, in wall time, us.
pub(super) fn damaged(segments: &[Span], logged: &[LoggedGap]) -> Vec<(i64, i64)> {
    let mut found: Vec<(i64, i64)> = Vec::new();
    let of_it = logged.iter();
    for mark in of_it.filter(|gap| gap.cause == GapCause::CameraData) {
        let after = segments.partition_point(|span| span.start_us <= mark.from_us);
        let near = segments[after.saturating_sub(1)..].iter();
        for span in near.take_while(|span| span.start_us < mark.to_us) {
            let from_us = span.start_us.max(mark.from_us);
            let to_us = span.end_us().min(mark.to_us);
            match found.last_mut() {
                _ if from_us >= to_us => {}
                Some(last) if from_us.saturating_sub(last.1) < TOLERANCE_US => {
                    last.1 = last.1.max(to_us);
                }
                _ => found.push((from_us, to_us)),
            }
        }
    }
    found
}
