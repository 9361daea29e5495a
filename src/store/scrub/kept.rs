//! Where each disk's round stands, kept in the state folder. It says nothing that the catalog does not say; a file that is lost or
//! cannot be read costs the progress that it told of.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use hearthkeep_format::DiskId;
use serde::{Deserialize, Serialize};

use super::round::Round;
use crate::limits::SCRUB_FILE_BYTES_MAX;
use crate::state_file;

pub(in crate::store) const FILE: &str = "scrub.json";
/// Another one is of another version of this program.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    disks: BTreeMap<String, Round>,
}

/// What a state folder has; nothing where that cannot be read.
pub(super) fn read(state_dir: &Path) -> BTreeMap<DiskId, Round> {
    let file = state_dir.join(FILE);
    read_file(&file).unwrap_or_else(|error| {
        tracing::warn!(file = %file.display(), "all footage is read again from the beginning: {error}");
        BTreeMap::new()
    })
}

/// Whether what a state folder has can be read.
pub(in crate::store) fn look(state_dir: &Path) -> io::Result<()> {
    read_file(&state_dir.join(FILE)).map(drop)
}

fn read_file(file: &Path) -> io::Result<BTreeMap<DiskId, Round>> {
    let Some(bytes) = state_file::read_summed(file, SCRUB_FILE_BYTES_MAX)? else {
        return Ok(BTreeMap::new());
    };
    let strange = || io::Error::from(io::ErrorKind::InvalidData);
    let kept: Kept = serde_json::from_slice(&bytes)?;
    if kept.version != VERSION {
        return Err(strange());
    }
    let disk = |(id, round): (String, Round)| {
        let id = DiskId::from_hex(&id).filter(|_| round.is_sound());
        Ok((id.ok_or_else(strange)?, round))
    };
    kept.disks.into_iter().map(disk).collect()
}

/// Keeps them.
///
/// # Errors
/// Those of the file system; what was kept before is there then.
pub(super) fn write(state_dir: &Path, disks: &BTreeMap<DiskId, Round>) -> io::Result<()> {
    let disks = disks
        .iter()
        .map(|(id, round)| (id.to_string(), round.clone()));
    let kept = Kept {
        version: VERSION,
        disks: disks.collect(),
    };
    let bytes = serde_json::to_vec(&kept)?;
    state_file::replace_summed(&state_dir.join(FILE), &bytes)
}

#[cfg(test)]
mod tests {
    use super::super::round::Position;
    use super::*;
    use hearthkeep_format::{SegmentId, StreamId};

    #[test]
    fn it_is_read_back_and_damage_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).is_empty());
        let mut round = Round::default();
        round.begin(7);
        let mut at = Position::before(&StreamId::from_bytes([1; 16]), 9);
        at.pass(4, &SegmentId::from_bytes([2; 16]));
        round.at = Some(at);
        let rounds = BTreeMap::from([(DiskId::from_bytes([3; 16]), round)]);
        write(folder.path(), &rounds).unwrap();
        assert_eq!(read(folder.path()), rounds);

        let file = folder.path().join(FILE);
        let whole = std::fs::read(&file).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&file, &whole[..length]).unwrap();
            assert!(read(folder.path()).is_empty(), "cut to {length}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            std::fs::write(&file, &flipped).unwrap();
            assert!(read(folder.path()).is_empty(), "flipped at {at}");
        }
    }
}
