//! What is told of the time between two pictures, against how long nothing was there.

use hearthkeep_format::SegmentId;
use hearthkeep_format::segment::GapCause;

use crate::cameras::Camera;
use crate::house::House;

const SECOND_US: u64 = 1_000_000;

/// The cause and length of the gaps that are shown between two segments; `None` where they are not shown, or what is between them
/// is not told by dates.
pub fn told(
    house: &House,
    camera: usize,
    (last, next): (SegmentId, SegmentId),
) -> Option<(GapCause, u64)> {
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
    let is_of_disk = between
        .iter()
        .any(|(cause, _)| *cause == GapCause::DiskError);
    let first = between.first().map_or(GapCause::Start, |(cause, _)| *cause);
    let cause = if is_of_disk {
        GapCause::DiskError
    } else {
        first
    };
    Some((cause, between.iter().map(|(_, us)| us).sum()))
}

/// What is wrong with a gap that is told between two pictures, if anything; `None` where that cannot be said.
pub fn too_wrong(
    house: &House,
    sent: &Camera,
    (last, picture): (usize, usize),
    (cause, length_us): (GapCause, u64),
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
    Some((!tells(cause, length_us, hole_us)).then(|| {
        format!(
            "its gap ({cause}) is {length_us} us long, the hole {hole_us}, from {from_us} to {to_us}"
        )
    }))
}

/// Whether a gap of this length tells of the hole. Of a poisoned segment more may be there than was known to be durable.
fn tells(cause: GapCause, gap_us: u64, hole_us: u64) -> bool {
    let is_too_long = gap_us > hole_us + 3 * SECOND_US;
    gap_us + 2 * SECOND_US >= hole_us && (!is_too_long || cause == GapCause::DiskError)
}
