//! Which segment comes next: by the catalog, so that neither what is being written nor what is being deleted is looked at.

use super::round::Position;
use crate::store::catalog::{BUCKET_SEGMENTS, Catalog, Entry};
use crate::store::retention::{Bucket, Buckets as _};

/// Buckets of the catalog that are passed over in a turn.
const BUCKETS_A_TURN: usize = 256;

/// What comes next in a round.
pub(super) enum Step {
    /// To look at this one.
    Look(Entry),
    /// To ask again: there was nothing so far.
    Ask,
    /// Nothing: all was read.
    End,
}

/// Finds what comes next on the disk with this number, after `at`.
pub(super) fn next(catalog: &Catalog, disk: u16, at: &mut Option<Position>) -> Step {
    if let Some(at) = at
        && let Some(step) = in_stream(catalog, disk, at)
    {
        return step;
    }
    let before = at.as_ref().and_then(Position::stream);
    let streams = catalog.streams().into_iter();
    let following = streams.filter(|stream| before.is_none_or(|before| *stream > before));
    let Some(stream) = following.min() else {
        return Step::End;
    };
    // A stream whose end cannot be read now is looked at as far as it goes.
    let last = catalog.last(&stream).ok().flatten();
    let last = last.map_or(u64::MAX, |last| last.sequence);
    *at = Some(Position::before(&stream, last));
    Step::Ask
}

/// `None` where the stream has no more.
fn in_stream(catalog: &Catalog, disk: u16, at: &mut Position) -> Option<Step> {
    let stream = at.stream()?;
    let mut number = at
        .after()
        .map_or(0, |(sequence, _)| sequence / BUCKET_SEGMENTS);
    for _ in 0..BUCKETS_A_TURN {
        let bucket = catalog.from(&stream, number)?;
        if bucket.number.saturating_mul(BUCKET_SEGMENTS) > at.last() {
            return None;
        }
        if has_any(&bucket, disk) {
            let entries = catalog.segments(&stream, bucket.number);
            let found = entries.into_iter().filter(|entry| is_next(entry, disk, at));
            if let Some(entry) = found.min_by_key(|entry| (entry.sequence, entry.segment)) {
                return Some(Step::Look(entry));
            }
        }
        number = bucket.number + 1;
    }
    // So far there was nothing of this disk's.
    let passed = number.saturating_mul(BUCKET_SEGMENTS).saturating_sub(1);
    at.pass(
        passed,
        &hearthkeep_format::SegmentId::from_bytes([0xff; 16]),
    );
    Some(Step::Ask)
}

fn has_any(bucket: &Bucket, disk: u16) -> bool {
    bucket.bytes.iter().any(|(on, _)| *on == disk)
}

fn is_next(entry: &Entry, disk: u16, at: &Position) -> bool {
    let is_behind = at
        .after()
        .is_some_and(|after| (entry.sequence, entry.segment) <= after);
    entry.disk == disk && entry.is_settled() && entry.sequence <= at.last() && !is_behind
}
