//! What was moved to another disk, and which its own disk did not let go of in time; and what was copied to a disk that did not say
//! whether it has its name: the file goes once that disk answers again.

use std::io;
use std::sync::Arc;

use hearthkeep_format::DiskId;

use super::inspect::Place;
use super::mount::MountedDisk;
use super::recovery::Report;
use super::{Shared, layout};
use crate::disk::is_no_answer;

/// The files, and on which disks they are.
#[derive(Default)]
pub(super) struct Leftovers(Vec<(Place, Arc<MountedDisk>)>);

impl Leftovers {
    pub(super) fn push(&mut self, place: Place, on: &Arc<MountedDisk>) {
        self.0.push((place, Arc::clone(on)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there are any on a disk.
    pub(super) fn has_of(&self, disk: DiskId) -> bool {
        self.0.iter().any(|(_, on)| on.id == disk)
    }

    /// Removes what can be by now. Returns the disks on which something was looked at.
    pub(super) fn turn(&mut self, shared: &Shared) -> Vec<DiskId> {
        let mut looked_at = Vec::new();
        self.0.retain(|(place, on)| {
            if on.hangs() {
                return true;
            }
            looked_at.push(on.id);
            !is_settled(shared, place, on)
        });
        looked_at
    }
}

/// Whether there is nothing more to do. One whose disk has gone is seen to when that comes back.
fn is_settled(shared: &Shared, place: &Place, on: &Arc<MountedDisk>) -> bool {
    let there = shared.slots.disk(on.number());
    if there.is_none_or(|there| !Arc::ptr_eq(&there, on)) {
        return true;
    }
    let patient = on.patient();
    match patient.open_read(&place.path()) {
        Err(error) if is_no_answer(&error) => return false,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tidy(shared, place, on);
            return true;
        }
        _ => {}
    }
    // The other one may have gone meanwhile: then this is the only one that is here.
    let known = shared.catalog.find(&place.stream, &place.segment);
    let known = known.unwrap_or_default();
    if known.is_some_and(|known| shared.slots.disk(known.disk).is_none()) {
        return false;
    }
    let elsewhere = |number| shared.other(number);
    let recovery = shared.recovery(on.number(), &*patient, &elsewhere);
    let mut report = Report::default();
    let rest = recovery.without_copies(vec![*place], &mut report);
    if report.unanswered > 0 || !report.undecided.is_empty() {
        return false;
    }
    shared.found(&report);
    match rest {
        Ok(rest) if rest.is_empty() => tidy(shared, place, on),
        // What is no copy of anything is looked at as any file that is found, at the next start.
        Ok(_) => {}
        Err(error) => tracing::error!("{}", super::Error::Catalog(error)),
    }
    true
}

/// Removes the folder that a file was in, if it was the last.
pub(super) fn tidy(shared: &Shared, place: &Place, on: &MountedDisk) {
    let tally = shared
        .catalog
        .epoch_tally(&place.stream, &place.epoch, on.number());
    if tally.count == 0 {
        let folder = layout::epoch_folder(&place.stream, &place.epoch);
        // It fails where something else is in it, and may stay then.
        let _ = on.patient().remove_folder(&folder);
    }
}
