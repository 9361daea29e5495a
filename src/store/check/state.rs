//! The small files of the state folder that a store keeps.

use std::path::Path;

use hearthkeep_format::StoreId;

use super::{Finding, Kind, STATE};
use crate::state_file::StateKey;
use crate::store::{anchors, log, scrub};

/// Those that cannot be read, and what a start does then. A recorder may be at work: they are replaced whole.
pub fn look_at_state(state_dir: &Path, key: &StateKey, store: &StoreId) -> Vec<Finding> {
    let text = |looked: std::io::Result<()>| looked.map_err(|error| error.to_string());
    let [own, holds, deleted, audits, summary] = log::look_at_state(state_dir, key, store);
    let looked = [
        (
            anchors::FILE,
            text(anchors::look(state_dir)),
            "at the next start what the clock said is read from the signed log",
        ),
        (
            scrub::FILE,
            text(scrub::look(state_dir)),
            "at the next start all footage is read again from the beginning",
        ),
        (
            own.0,
            own.1,
            "at the next start another signed log begins, which names this one",
        ),
        (
            holds.0,
            holds.1,
            "at the next start what is held is known from the signed log alone",
        ),
        (
            deleted.0,
            deleted.1,
            "footage that was deleted while the signed log could not be written may be told as removed",
        ),
        (
            audits.0,
            audits.1,
            "the signed log may lack who claimed the box, set a passphrase or added a disk while no recorder ran",
        ),
        (
            summary.0,
            summary.1,
            "the next start reads all of the signed log, which takes longer",
        ),
    ];
    let flaws = looked.into_iter().filter_map(|(file, looked, then)| {
        let what = format!("it cannot be used: {}; {then}", looked.err()?);
        Some(Finding::new(Kind::State, STATE, file, what))
    });
    flaws.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_that_cannot_be_read_is_found_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let key = StateKey::new([1; 32].into());
        let look = || look_at_state(folder.path(), &key, &StoreId::from_bytes([2; 16]));
        assert_eq!(look(), []);
        let files = [
            "clock.anchors",
            "scrub.json",
            "log.sealed",
            "log.holds.sealed",
            "log.deleted.sealed",
            "log.audits.sealed",
            "log.summary.sealed",
        ];
        for file in files {
            let file = folder.path().join(file);
            std::fs::write(&file, [7; 60]).unwrap();
            let found = look();
            let [finding] = &found[..] else {
                panic!("{}: {found:?}", file.display());
            };
            assert_eq!(folder.path().join(&finding.path), file);
            std::fs::remove_file(file).unwrap();
        }
    }
}
