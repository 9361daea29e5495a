//! The signed log against the disks: what each segment was when it was finished.

use std::collections::HashSet;

use hearthkeep_format::SegmentId;
use hearthkeep_format::log::SegmentClosed;

use super::{Finding, Findings, Kind};
use crate::store::log::UNKNOWN_ROOT;

impl Findings {
    /// Compares with what the log had of finished segments that were not deleted, before they were looked at: where one has no end,
    /// another root or another length, somebody changed it, whatever the file says of itself by now.
    pub fn compare_logged<'a>(&mut self, logged: impl Fn(&SegmentId) -> Option<&'a SegmentClosed>) {
        let mut found = Vec::new();
        for (disk, place) in &self.torn {
            let Some(closed) = logged(&place.segment) else {
                continue;
            };
            self.finished.insert((*disk, *place));
            found.push(of(closed, Finding::cut(*disk, place)));
        }
        // Where a file is damaged in another way, that says more of it.
        let damaged = self
            .found
            .iter()
            .filter(|found| found.kind != Kind::Catalog);
        let damaged: HashSet<_> = damaged
            .map(|found| (found.disk, found.path.clone()))
            .collect();
        for one in &self.indexed {
            let closed = logged(&one.segment());
            // Where that was read, and not only where it was moved to as too damaged to tell.
            let closed = closed.filter(|closed| closed.root != UNKNOWN_ROOT);
            let closed = closed.filter(|closed| !one.is_as_finished(&closed.root, closed.bytes));
            found.extend(closed.map(|closed| of(closed, one.changed(closed.bytes))));
        }
        found.retain(|found| !damaged.contains(&(found.disk, found.path.clone())));
        self.found.extend(found);
    }
}

fn of(closed: &SegmentClosed, finding: Finding) -> Finding {
    let end_us = closed.start_us.saturating_add_unsigned(closed.duration_us);
    Finding {
        span_us: Some(closed.start_us..end_us),
        ..finding
    }
}
