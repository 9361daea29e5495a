//! Where each disk belongs and what the configuration says of it there. A disk that comes up at another one's path, as where two lines of
//! fstab or two USB plugs are exchanged, keeps what is said of it: by the other one's budget its footage would be deleted at once.

use std::path::{Path, PathBuf};

use hearthkeep_format::DiskId;
use serde::{Deserialize, Serialize};

use crate::config::{self, Tier};
use crate::keys::StateFolder;
use crate::limits::HOMES_FILE_BYTES_MAX;
use crate::state_file;
use crate::store::Misplaced;

/// In the state folder. It is made again out of the configuration where it is lost, and says nothing of disks that are misplaced then.
const FILE: &str = "disks.json";
/// Another one is of another version of this program.
const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Home {
    disk: String,
    path: PathBuf,
    max_bytes: Option<u64>,
    cold: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    disks: Vec<Home>,
}

/// What a state folder remembers of that.
pub(super) struct Homes {
    file: PathBuf,
    homes: Vec<Home>,
    before: Vec<Home>,
}

impl Homes {
    pub(super) fn read(state_dir: &Path) -> Self {
        let file = state_dir.join(FILE);
        let homes = read(&file).unwrap_or_else(|error| {
            let file = file.display();
            tracing::warn!("{file} is made anew, since it cannot be read: {error}");
            Vec::new()
        });
        Self {
            file,
            before: homes.clone(),
            homes,
        }
    }

    /// Keeps those of disks that the store knows. Nothing is worth a night that is not recorded: that it cannot be is told only.
    pub(super) fn keep(mut self, state: &StateFolder) {
        let known = |home: &Home| DiskId::from_hex(&home.disk).and_then(|id| state.path_of(id));
        self.homes.retain(|home| known(home).is_some());
        if self.homes == self.before {
            return;
        }
        let kept = Kept {
            version: VERSION,
            disks: self.homes.clone(),
        };
        let bytes = serde_json::to_vec(&kept).expect("plain values become JSON");
        if let Err(error) = state_file::replace_summed(&self.file, &bytes) {
            let file = self.file.display();
            tracing::error!(
                "{file} cannot be written; it is tried again at the next start: {error}"
            );
        }
    }

    /// What is said of a disk that was found at `real_path`, where the configuration `wanted` another one; `None` where that is meant: it
    /// is where it belongs, the configuration has no such path any more, or says the same here as it did there. `last` is where it was
    /// before this start, which counts for one of which nothing is remembered.
    pub(super) fn place(
        &mut self,
        id: DiskId,
        last: Option<&Path>,
        real_path: &Path,
        wanted: &config::Disk,
        configured: &[config::Disk],
    ) -> Option<Misplaced> {
        let known = self.home(id).cloned();
        let known = known.or_else(|| Home::at(id, last?, configured));
        let here = Home::of(id, real_path, wanted);
        let is_elsewhere = |home: &Home| home.path != here.path && home.is_otherwise(&here);
        // Where the configuration says otherwise of its path by now, and not the same as of this one, somebody wants that.
        let at_home = |home: Home| {
            Some(Home::of(
                id,
                &home.path,
                configured_at(&home.path, configured)?,
            ))
        };
        let home = known.filter(is_elsewhere).and_then(at_home);
        let Some(home) = home.filter(is_elsewhere) else {
            self.set(here);
            return None;
        };
        let misplaced = home.misplaced(wanted);
        self.set(home);
        Some(misplaced)
    }

    /// Somebody said just now where a disk belongs.
    pub(super) fn forget(&mut self, id: DiskId) {
        let id = id.to_string();
        self.homes.retain(|home| home.disk != id);
    }

    fn home(&self, id: DiskId) -> Option<&Home> {
        let id = id.to_string();
        self.homes.iter().find(|home| home.disk == id)
    }

    fn set(&mut self, home: Home) {
        match self.homes.iter_mut().find(|one| one.disk == home.disk) {
            Some(known) => *known = home,
            None => self.homes.push(home),
        }
    }
}

impl Home {
    fn of(id: DiskId, path: &Path, wanted: &config::Disk) -> Self {
        Self {
            disk: id.to_string(),
            path: path.to_owned(),
            max_bytes: wanted.max_bytes,
            cold: wanted.tier == Tier::Cold,
        }
    }

    /// By what the configuration says of a path.
    fn at(id: DiskId, path: &Path, configured: &[config::Disk]) -> Option<Self> {
        let wanted = configured_at(path, configured)?;
        Some(Self::of(id, path, wanted))
    }

    fn is_otherwise(&self, other: &Self) -> bool {
        (self.max_bytes, self.cold) != (other.max_bytes, other.cold)
    }

    fn misplaced(&self, wanted: &config::Disk) -> Misplaced {
        let (path, home) = (wanted.path.display(), self.path.display());
        Misplaced {
            max_bytes: self.max_bytes,
            tier: if self.cold { Tier::Cold } else { Tier::Hot },
            wanted: wanted.clone(),
            why: format!(
                "the disk at {path} is the one that was at {home}, so it keeps the max_bytes and the tier that the configuration says for \
                 {home}: mount the disks where they were, or exchange their paths in the configuration; where it is to be as the \
                 configuration says for {path}, type `hearthkeep disk add {path}` and start the recorder again"
            ),
        }
    }
}

/// What the configuration says of a folder.
fn configured_at<'a>(path: &Path, configured: &'a [config::Disk]) -> Option<&'a config::Disk> {
    let mut plain = configured.iter();
    let plain = plain.find(|disk| std::path::absolute(&disk.path).is_ok_and(|at| at == path));
    let mut others = configured.iter();
    // Where a drive hangs, only one that is written otherwise waits for it.
    plain.or_else(|| {
        others.find(|disk| std::fs::canonicalize(&disk.path).is_ok_and(|at| at == path))
    })
}

/// The file that cannot be used, and what a start does then.
pub fn look_at_homes(state_dir: &Path) -> Option<(PathBuf, String)> {
    let error = read(&state_dir.join(FILE)).err()?;
    let what = format!(
        "it cannot be used: {error}; the next start makes it anew, and takes disks that are at each other's paths for where they belong"
    );
    Some((PathBuf::from(FILE), what))
}

fn read(file: &Path) -> std::io::Result<Vec<Home>> {
    let Some(bytes) = state_file::read_summed(file, HOMES_FILE_BYTES_MAX)? else {
        return Ok(Vec::new());
    };
    let kept: Kept = serde_json::from_slice(&bytes)?;
    match kept.version {
        VERSION => Ok(kept.disks),
        _ => Err(std::io::ErrorKind::InvalidData.into()),
    }
}
