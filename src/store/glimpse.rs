//! What the catalog tells while none of the disks is here: until when there is footage, and what lies on which disk.

use std::collections::HashMap;
use std::path::Path;

use hearthkeep_format::{DiskId, StoreId, StreamId};

use super::lock::Lock;
use super::mark::Mark;
use super::timeline::Span;
use super::{OnDisk, Result, Store, reserve};

/// What was known when the store was open last.
#[derive(Debug, Clone, Default)]
pub struct Glimpse {
    /// The last footage of each stream that has some.
    pub last: HashMap<StreamId, LastFootage>,
    /// What is on each disk.
    pub on_disk: HashMap<DiskId, OnDisk>,
}

/// Where a stream's footage ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastFootage {
    /// Wall time, us.
    pub end_us: i64,
    /// Whether the recorder died since then.
    pub after_crash: bool,
}

impl Store {
    /// Looks into the catalog of a store that cannot be opened for want of a disk. No disk is asked.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn glimpse(
        state_dir: &Path,
        store: &StoreId,
        disks: &[DiskId],
        _lock: &Lock,
    ) -> Result<Glimpse> {
        let catalog = reserve::open_catalog(state_dir, store)?.catalog;
        let after_crash = Mark::untouched(state_dir).after_crash();
        let mut glimpse = Glimpse::default();
        for stream in catalog.streams() {
            let last = catalog.last(&stream)?.as_ref().map(Span::of_entry);
            let last = last.map(|span| LastFootage {
                end_us: span.end_us(),
                after_crash: after_crash || span.recovered,
            });
            glimpse.last.extend(last.map(|last| (stream, last)));
        }
        for id in disks {
            glimpse.on_disk.insert(*id, OnDisk::of(&catalog, *id)?);
        }
        Ok(glimpse)
    }
}
