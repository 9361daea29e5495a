//! Disks that the store knows and that its configuration does not have: somebody took them out of it by hand. What lies on them is away,
//! and nobody has given it up.

use std::path::Path;

use hearthkeep_format::DiskId;

use super::door;
use crate::config;
use crate::keys::{KnownDisk, Standing, StateFolder};
use crate::store::AbsentDisk;

/// Those that are neither `here` nor expected at one of the configured paths whose disk is `away`.
pub fn left_out<'a>(
    state: &StateFolder,
    here: &[DiskId],
    away: impl Iterator<Item = &'a Path>,
) -> Vec<KnownDisk> {
    let expected: Vec<_> = away
        .filter_map(|path| door::remembered(path, state))
        .collect();
    let mut found: Vec<KnownDisk> = Vec::new();
    // Where it was last says the last of its paths.
    for known in state.disks().iter().rev() {
        let is_told = found.iter().any(|other| other.id == known.id);
        let is_meant = here.contains(&known.id) || expected.contains(&known.id);
        if !is_told && !is_meant && state.standing(known.id) != Standing::Retired {
            found.push(known.clone());
        }
    }
    found
}

/// What is to be done with one, in a sentence.
pub fn why_left_out(known: &KnownDisk) -> String {
    let (id, path) = (known.id, known.path.display());
    format!(
        "the disk {id}, which was last at {path}, belongs to this store and is none of its configuration: what lies on it cannot be \
         seen. Put it back (`hearthkeep disk add {path}`, or the folder that it is mounted at now), or give up what is on it with \
         `hearthkeep disk retire --forget {id}`"
    )
}

/// The same, as a store takes it.
pub(super) fn absent(known: &KnownDisk, index: usize) -> AbsentDisk {
    AbsentDisk {
        wanted: config::Disk {
            path: known.path.clone(),
            max_bytes: None,
            tier: config::Tier::default(),
        },
        index,
        id: Some(known.id),
        error: why_left_out(known),
    }
}
