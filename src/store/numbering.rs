//! Which sequence number a stream goes on with, so that none is given twice: also not that of footage which is deleted, or which nobody
//! here has heard of. A hole in the sequence does no harm.

use std::path::Path;
use std::sync::atomic::Ordering;

use hearthkeep_format::StreamId;

use super::{CatalogError, Shared, Store, layout, log, recovery};
use crate::disk::Disk;
use crate::limits::SEQUENCES_PASSED_OVER;

const MINUTE_US: u128 = 60_000_000;

impl Store {
    /// The sequence number that a stream goes on with: higher than that of any segment it has or had, also of those that a catalog that
    /// cannot be read does not tell of, and of those on a disk that is away, which nobody here may have heard of.
    pub fn next_sequence(&self, stream: &StreamId) -> u64 {
        let catalog = &self.shared.catalog;
        let last = self.last(stream).ok().flatten();
        let last = last.map(|last| last.sequence);
        let last = last.or_else(|| catalog.highest_possible(stream));
        let next = last.max(catalog.highest_gone(stream)).map_or(0, after);
        let known_from = catalog.numbers_known_from();
        let next = match known_from.is_some() && self.knows_all() {
            true => next,
            false => self.shared.passed_over(next),
        };
        next.max(known_from.unwrap_or(0))
    }
}

impl Shared {
    /// Has a catalog that never said from where on it knows all numbers say so: in a new store from the first, else beyond all that
    /// may have been given, since what was deleted before it was begun it has not heard of.
    pub(super) fn begin_numbers(&self) -> Result<(), CatalogError> {
        if self.catalog.numbers_known_from().is_some() {
            return Ok(());
        }
        let streams = self.catalog.streams();
        let highest = streams
            .iter()
            .filter_map(|stream| self.catalog.highest_possible(stream))
            .max();
        self.catalog.know_numbers_from(match self.is_new() {
            true => 0,
            false => self.passed_over(highest.map_or(0, after)),
        })
    }

    /// Whether nothing was ever recorded, as far as the disks tell: all are here, and none has a folder of a stream or a log.
    fn is_new(&self) -> bool {
        let has_nothing = |disk: &dyn Disk| {
            let streams = recovery::ids(disk, Path::new(layout::FOOTAGE), StreamId::from_hex);
            let logs = log::logs_on(disk);
            streams.is_ok_and(|streams| streams.is_empty())
                && logs.is_ok_and(|logs| logs.is_empty())
        };
        let mounted = self.slots.mounted();
        !self.may_not_know_all.load(Ordering::Relaxed)
            && self.catalog.streams().is_empty()
            && mounted.iter().all(|disk| has_nothing(&*disk.patient()))
    }

    /// Beyond `next`, and beyond what was passed over before too, where nothing that is here knows of it: time goes on, also between two
    /// starts of a minute.
    fn passed_over(&self, next: u64) -> u64 {
        let wall_us = match self.clock.trusted() {
            true => u128::try_from(self.clock.wall_us()).unwrap_or(0),
            false => 0,
        };
        let by_time = wall_us * u128::from(SEQUENCES_PASSED_OVER) / MINUTE_US;
        let by_time = u64::try_from(by_time).unwrap_or(u64::MAX);
        next.saturating_add(SEQUENCES_PASSED_OVER).max(by_time)
    }
}

const fn after(number: u64) -> u64 {
    number.saturating_add(1)
}
