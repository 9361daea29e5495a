//! Disks that the store knows and that its configuration does not have: somebody took them out of it by hand. What lies on them is away,
//! and nobody has given it up.

use std::path::Path;

use hearthkeep_format::DiskId;

use super::door;
use crate::config;
use crate::keys::{KnownDisk, Standing, StateFolder};
use crate::store::{AbsentDisk, why_left_out};

/// The disks of the store that are not here.
pub struct NotHere {
    /// Which one is expected at each of the configured paths whose disk is away.
    pub expected: Vec<Option<DiskId>>,
    /// Those that are expected at none of them.
    pub left_out: Vec<KnownDisk>,
}

impl NotHere {
    /// Those that are not `here`, each at its configured path, where the disks of the configured paths `away` are not.
    pub fn of(state: &StateFolder, here: &[(DiskId, &Path)], away: &[&Path]) -> Self {
        let expected = expected(state, here, away);
        let is_expected = |known: &&KnownDisk| expected.contains(&Some(known.id));
        let left_out = elsewhere(state, here).filter(|known| !is_expected(known));
        let left_out = left_out.cloned().collect();
        Self { expected, left_out }
    }
}

/// Which disk is expected at each of the configured paths whose disk is `away`: the one that was last there or, where that one is `here` at
/// another path, one that was last at a configured path where another one is now, as where two drives were exchanged and one of them is
/// late.
fn expected(state: &StateFolder, here: &[(DiskId, &Path)], away: &[&Path]) -> Vec<Option<DiskId>> {
    let is_here = |id: &DiskId| here.iter().any(|(other, _)| other == id);
    let last = |path: &&Path| door::remembered(path, state);
    let mut expected: Vec<_> = away.iter().map(last).collect();
    let meant = expected.clone();
    let is_taken: Vec<_> = here.iter().map(|(_, path)| config::real(path)).collect();
    let mut homeless = elsewhere(state, here)
        .filter(|known| !meant.contains(&Some(known.id)) && is_taken.contains(&known.path));
    let exchanged = expected
        .iter_mut()
        .filter(|id| id.as_ref().is_some_and(is_here));
    exchanged.for_each(|id| *id = homeless.next().map(|known| known.id));
    expected
}

/// Those that are known and not `here`, each where it was last.
fn elsewhere<'a>(
    state: &'a StateFolder,
    here: &'a [(DiskId, &Path)],
) -> impl Iterator<Item = &'a KnownDisk> {
    let is_here = |known: &KnownDisk| here.iter().any(|(id, _)| *id == known.id);
    let is_last = |known: &KnownDisk| state.path_of(known.id) == Some(&*known.path);
    let newest = state.disks().iter().rev();
    let known = newest.filter(move |known| is_last(known) && !is_here(known));
    known.filter(|known| state.standing(known.id) != Standing::Retired)
}

/// One, as a store takes it, which is also told what is to be done.
pub(super) fn absent(known: &KnownDisk, index: usize) -> AbsentDisk {
    AbsentDisk {
        wanted: config::Disk {
            path: known.path.clone(),
            max_bytes: None,
            tier: config::Tier::default(),
        },
        index,
        id: Some(known.id),
        error: why_left_out(known.id, &known.path),
    }
}
