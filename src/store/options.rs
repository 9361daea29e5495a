//! What a store is opened with.

use std::path::PathBuf;
use std::sync::Arc;

use hearthkeep_format::{DiskId, StoreId};

use super::SharedKeys;
use super::catalog::Shelf;
use super::log::LogSettings;
use super::mount::{AbsentDisk, MountedDisk};
use super::retention::CameraBudget;
use super::scrub::ScrubSettings;
use super::slots::Spread;
use super::watch::Doorkeeper;
use super::writer::{Budget, Pace};
use crate::clock::Clock;
use crate::limits::RESERVE_BYTES_MIN;
use crate::random::SharedRandom;

/// What a store is opened with.
pub struct Options {
    /// The state folder: the catalog is its folder `catalog`.
    pub state_dir: PathBuf,
    /// The store.
    pub store: StoreId,
    /// Its disks, in the order of the configuration. See [`MountedDisk::open`].
    pub disks: Vec<MountedDisk>,
    /// Those of the configuration that are not there; what the catalog has of them stays in it.
    pub absent: Vec<AbsentDisk>,
    /// Those that belong to the store and that the configuration does not have: they are away, and not looked for.
    pub left_out: Vec<AbsentDisk>,
    /// Those that were taken out of use for good: what the catalog still has of them is forgotten.
    pub retired: Vec<DiskId>,
    /// How footage is spread over them.
    pub spread: Spread,
    /// Who lets in disks that were away, or come anew; without one they stay away.
    pub doorkeeper: Option<Arc<dyn Doorkeeper>>,
    /// What cameras may keep.
    pub cameras: Vec<CameraBudget>,
    /// Whether footage is recorded with it: the next start is told if this process dies, and the log that it began. A command that works
    /// with a store leaves the mark of a recorder that died before it.
    pub records: bool,
    /// Whether it is opened by a command for a moment: then nothing is deleted, and the recorder's next start
    /// finds all that it would have found.
    pub at_rest: bool,
    /// Metadata keys by generation.
    pub keys: SharedKeys,
    /// The time, for ages.
    pub clock: Arc<dyn Clock>,
    /// Free bytes to keep on each disk at least; 5 % of it where that is more, but never over a quarter of it.
    pub reserve_bytes_min: u64,
    /// How the writers work.
    pub pace: Pace,
    /// What the signed log is kept with; without it there is none.
    pub log: Option<LogSettings>,
    /// How footage is read again in the background; without it, never.
    pub scrub: Option<ScrubSettings>,
    /// The memory of the writers' queues.
    pub queues: Arc<Budget>,
    /// Where the catalog's database is kept; where it is `None`, in the state folder.
    pub catalog: Option<Arc<dyn Shelf>>,
    /// For the tails of torn segments.
    pub random: SharedRandom,
}

impl Options {
    /// Options with the house's limits.
    pub fn new(
        state_dir: PathBuf,
        store: StoreId,
        disks: Vec<MountedDisk>,
        keys: SharedKeys,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            state_dir,
            store,
            disks,
            absent: Vec::new(),
            left_out: Vec::new(),
            retired: Vec::new(),
            spread: Spread::default(),
            doorkeeper: None,
            cameras: Vec::new(),
            records: true,
            at_rest: false,
            keys,
            clock,
            reserve_bytes_min: RESERVE_BYTES_MIN,
            pace: Pace::default(),
            log: None,
            scrub: None,
            queues: Arc::default(),
            catalog: None,
            random: SharedRandom::default(),
        }
    }
}
