//! A summary of the log now and then, from which the next start goes on.

use super::super::summary::{Summary, Summed, Written};
use super::Keeping;
use crate::limits::LOG_SUMMARY_ENTRIES;

impl Keeping {
    /// The summary of the state folder, if there is one that can be used.
    pub(super) fn summary(&self) -> Option<Summary> {
        self.summary.read().unwrap_or_else(|error| {
            tracing::warn!("log.summary.sealed in the state folder cannot be used ({error}): all of the log is read");
            None
        })
    }

    /// Writes one where the log has grown by enough since the last one. Without it the next start takes longer, and no more.
    pub(super) fn sum_up(&mut self) {
        let Some(logs) = self.summed_now() else {
            return;
        };
        let written = {
            let inner = self.shared.log.lock();
            // What waits to be written is known here, and in no log yet.
            let knows_more = !inner.is_replayed || !inner.queue.is_empty();
            if knows_more || !inner.unheard.is_empty() {
                return;
            }
            Written::of(&logs, &inner.replayed)
        };
        self.summed = Some(entries(&logs));
        let random = &mut self.shared.random.clone();
        if let Err(error) = written.and_then(|written| self.summary.write(&written, random)) {
            tracing::warn!("log.summary.sealed in the state folder cannot be written: {error}");
        }
    }

    /// The logs as they are now, where it is time for a summary and all of them were read.
    fn summed_now(&self) -> Option<Vec<Summed>> {
        let (ours, summed) = (self.ours.as_ref()?, self.summed?);
        let is_all = !self.is_doubtful && !self.joining.is_blind && self.joining.disks.is_empty();
        let now = Summed {
            log: ours.own.key.log(),
            size: ours.end.tree.count(),
            root: ours.end.tree.root(),
        };
        let before = self.read.iter().filter(|of| of.log != now.log);
        let logs: Vec<_> = before.copied().chain([now]).collect();
        let is_time = entries(&logs) >= summed.saturating_add(LOG_SUMMARY_ENTRIES);
        (is_all && is_time).then_some(logs)
    }
}

/// How many entries they have.
pub(super) fn entries(logs: &[Summed]) -> u64 {
    logs.iter().map(|of| of.size).sum()
}
