//! What is told of the time between two pictures, against how long nothing was there.

use hearthkeep_format::SegmentId;
use hearthkeep_format::segment::GapCause;

use crate::cameras::Camera;
use crate::house::House;

const SECOND_US: u64 = 1_000_000;

/// A gap may be so much longer than the hole, and so much shorter.
const TOO_LONG_US: u64 = 3 * SECOND_US;
const TOO_SHORT_US: u64 = SECOND_US / 2;

/// A hole of less has no gap in the timeline: half a second by the camera's clock, which may be 0.1 % off, and by whole ticks.
const HOLE_US_MIN: u64 = SECOND_US / 2 + SECOND_US / 1_000;

/// The cause and length of the gaps that are shown between two segments, `Some(None)` where there are none; `None` where the segments
/// are not shown.
pub fn told(
    house: &House,
    camera: usize,
    (last, next): (SegmentId, SegmentId),
) -> Option<Option<(GapCause, u64)>> {
    let shown = house.shown.borrow();
    let shown = shown.get(camera)?;
    let span = |id| shown.segments.iter().find(|span| span.segment == id);
    let (last, next) = (span(last)?, span(next)?);
    let (from_us, to_us) = (last.end_us(), next.start_us);
    let between = shown.gaps.iter().filter_map(|gap| {
        let length_us = gap.end_us.min(to_us) - gap.start_us.max(from_us);
        Some((gap.cause?, u64::try_from(length_us).ok()?))
    });
    let between: Vec<_> = between.filter(|(_, us)| *us > 0).collect();
    let causes = || between.iter().map(|(cause, _)| *cause);
    let of_disk = causes().find(|cause| *cause == GapCause::DiskError);
    let cause = of_disk.or_else(|| causes().next());
    Some(cause.map(|cause| (cause, between.iter().map(|(_, us)| us).sum())))
}

/// What is wrong with what is told between two pictures, a gap's cause and length or nothing, if anything; `None` where that cannot
/// be said.
pub fn too_wrong(
    house: &House,
    sent: &Camera,
    (last, picture): (usize, usize),
    told: Option<(GapCause, u64)>,
) -> Option<Option<String>> {
    let (from_us, to_us) = (sent.sent[last] + sent.model.period_us, sent.sent[picture]);
    let hole_us = to_us.saturating_sub(from_us);
    let ledger = house.world.ledger.borrow();
    // Dates from before a jump stay in use until a segment ends; those of a boot that has ended stay for good.
    let mut around = from_us.saturating_sub(70 * SECOND_US)..=to_us + SECOND_US;
    let boots = &ledger.boots;
    let boot_of = |at_us: u64| boots.partition_point(|boot_us| *boot_us <= at_us);
    let (before, after) = (boot_of(from_us), boot_of(to_us));
    if before != after {
        let begun_us = before.checked_sub(1).map_or(0, |boot| boots[boot]);
        around = begun_us..=boots.get(after).copied().unwrap_or(u64::MAX);
    }
    if ledger.jumps.iter().any(|at_us| around.contains(at_us)) {
        return None;
    }
    let wrong = match told {
        None if hole_us >= HOLE_US_MIN => "no gap is told, and".to_owned(),
        Some((cause, length_us)) if !tells(cause, length_us, hole_us) => {
            format!("its gap ({cause}) is {length_us} us long,")
        }
        _ => return Some(None),
    };
    Some(Some(format!(
        "{wrong} the hole {hole_us}, from {from_us} to {to_us}"
    )))
}

/// Whether a gap of this length tells of the hole. Of a poisoned segment more may be there than was known to be durable.
fn tells(cause: GapCause, gap_us: u64, hole_us: u64) -> bool {
    let is_too_long = gap_us > hole_us + TOO_LONG_US;
    gap_us + TOO_SHORT_US >= hole_us && (!is_too_long || cause == GapCause::DiskError)
}
