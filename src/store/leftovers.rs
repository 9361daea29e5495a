//! What was moved to another disk, and which its own disk did not let go of, or not in time; and what was copied to a disk that did not
//! say whether it has its name: the file goes once that disk answers again, or lets go of it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use hearthkeep_format::DiskId;

use super::inspect::Place;
use super::keeper::Backlog;
use super::mount::MountedDisk;
use super::recovery::Report;
use super::{Shared, layout};
use crate::disk::is_no_answer;

/// For how long a disk that refused is not asked again, at first and at most: both copies are read each time.
const REFUSING_US_MIN: u64 = 10_000_000;
const REFUSING_US_MAX: u64 = 3_600_000_000;
/// So many are remembered. Others go at the next start.
const LEFT_MAX: usize = 4096;

/// The files, and on which disks they are.
#[derive(Default)]
pub(super) struct Leftovers {
    left: Vec<(Place, Arc<MountedDisk>)>,
    /// Disks that did not let go of something.
    refusing: HashMap<DiskId, Refusing>,
    /// One was settled in the last turn, and there may be more to settle.
    goes_on: bool,
    /// Where something lies whose other copy was deleted meanwhile: it is footage again.
    found: Backlog,
}

#[derive(Default)]
struct Refusing {
    times: u32,
    /// When it is asked again, by monotonic time, us.
    again_at_us: u64,
}

/// What came of a file.
enum Outcome {
    Settled,
    /// It is the only copy by now.
    Found,
    /// It is not known yet.
    Waits,
    /// Its disk does not let go of it.
    Refused,
}

impl Leftovers {
    pub(super) fn push(&mut self, place: Place, on: &Arc<MountedDisk>) {
        if self.left.len() < LEFT_MAX {
            self.left.push((place, Arc::clone(on)));
        }
    }

    /// The same of a file that its disk did not let go of.
    pub(super) fn refused(&mut self, place: Place, on: &Arc<MountedDisk>, now_us: u64) {
        let refusing = self.refusing.get(&on.id);
        if refusing.is_none_or(|refusing| now_us >= refusing.again_at_us) {
            self.refuses(on.id, now_us);
        }
        self.push(place, on);
    }

    fn refuses(&mut self, disk: DiskId, now_us: u64) {
        let refusing = self.refusing.entry(disk).or_default();
        let wait_us = (REFUSING_US_MIN << refusing.times.min(16)).min(REFUSING_US_MAX);
        refusing.times = refusing.times.saturating_add(1);
        refusing.again_at_us = now_us.saturating_add(wait_us);
    }

    /// In how many us there may be something to do; `None` where nothing is left. While a disk hangs it is looked at this often.
    pub(super) fn wait_us(&self, now_us: u64, often_us: u64) -> Option<u64> {
        let often_us = if self.goes_on { 0 } else { often_us };
        let wait_us = |(_, on): &(Place, Arc<MountedDisk>)| match self.refusing.get(&on.id) {
            Some(refusing) => refusing.again_at_us.saturating_sub(now_us).max(often_us),
            None => often_us,
        };
        self.left.iter().map(wait_us).min()
    }

    /// Whether there are any on a disk.
    pub(super) fn has_of(&self, disk: DiskId) -> bool {
        self.left.iter().any(|(_, on)| on.id == disk)
    }

    /// Whether a disk did not let go of something when it was last asked.
    pub(super) fn is_refused_by(&self, disk: DiskId) -> bool {
        self.refusing.contains_key(&disk)
    }

    /// The epochs in which something was found that is to be compared with the catalog.
    pub(super) fn take_found(&mut self) -> Backlog {
        std::mem::take(&mut self.found)
    }

    /// Removes what can be by now. Returns the disks on which something was looked at.
    pub(super) fn turn(&mut self, shared: &Shared) -> Vec<DiskId> {
        let now_us = shared.clock.monotonic_us();
        let mut looked_at = Vec::new();
        self.goes_on = false;
        for (place, on) in std::mem::take(&mut self.left) {
            let refusing = self.refusing.get(&on.id);
            let is_refusing = refusing.is_some_and(|refusing| now_us < refusing.again_at_us);
            // Both copies are read, while others wait: one at a time.
            if self.goes_on || on.hangs() || on.keeps_waiting() || is_refusing {
                self.left.push((place, on));
                continue;
            }
            looked_at.push(on.id);
            match settle(shared, &place, &on) {
                Outcome::Settled => {
                    self.refusing.remove(&on.id);
                    self.goes_on = true;
                }
                Outcome::Found => self.found.push((on.number(), place.stream, place.epoch)),
                Outcome::Waits => self.left.push((place, on)),
                Outcome::Refused => {
                    self.refuses(on.id, now_us);
                    self.left.push((place, on));
                }
            }
        }
        looked_at
    }
}

/// Looks at a file. One whose disk has gone is seen to when that comes back.
fn settle(shared: &Shared, place: &Place, on: &Arc<MountedDisk>) -> Outcome {
    let there = shared.slots.disk(on.number());
    if there.is_none_or(|there| !Arc::ptr_eq(&there, on)) {
        return Outcome::Settled;
    }
    let patient = on.patient();
    match patient.open_read(&place.path()) {
        Err(error) if is_no_answer(&error) => return Outcome::Waits,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tidy(shared, place, on);
            return Outcome::Settled;
        }
        _ => {}
    }
    // The other one may have gone meanwhile: then this is the only one that is here.
    let known = shared.catalog.find(&place.stream, &place.segment);
    let known = known.unwrap_or_default();
    if known.is_some_and(|known| shared.slots.disk(known.disk).is_none()) {
        return Outcome::Waits;
    }
    let elsewhere = |number| shared.other(number);
    let recovery = shared.recovery(on.number(), &*patient, &elsewhere);
    let mut report = Report::default();
    let rest = recovery.without_copies(vec![*place], &mut report);
    if report.unanswered > 0 || !report.undecided.is_empty() {
        return Outcome::Waits;
    }
    shared.found(&report);
    match rest {
        Ok(rest) if rest.is_empty() && report.strange == 0 => {
            if patient.open_read(&place.path()).is_ok() {
                return Outcome::Refused;
            }
            tidy(shared, place, on);
        }
        Ok(rest) if !rest.is_empty() => return Outcome::Found,
        // What is no copy of what it should be was told, and stays.
        Ok(_) => {}
        Err(error) => tracing::error!("{}", super::Error::Catalog(error)),
    }
    Outcome::Settled
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
