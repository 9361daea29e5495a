//! A store that a newer version of this program has written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Output};

use hearthkeep::keys::StateFolder;
use hearthkeep::random::OsRandom;
use serde_json::Value;

use super::installation::{HEARTHKEEP, Installation, path, read};
use super::{camera, failed, one_camera, record};

const FILE: &str = "store.sealed";

/// Everything that a store has, by where it is, but for who holds its lock.
fn all_files(installation: &Installation) -> BTreeMap<PathBuf, Vec<u8>> {
    let folders = [installation.state(), installation.footage()];
    let files = folders
        .iter()
        .flat_map(|folder| Installation::files(folder));
    let lock = installation.state().join("lock");
    let files = files.filter(|file| *file != lock);
    files.map(|file| (file.clone(), read(&file))).collect()
}

fn in_two_words(installation: &Installation, words: &[&str], more: &[&str]) -> Output {
    let mut command = Command::new(HEARTHKEEP);
    command
        .args(words)
        .arg("--config")
        .arg(installation.config());
    command.args(more).output().unwrap()
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let (_cameras, url, _) = one_camera();
    let installation = Installation::new(&[camera("good", &url)]);
    record(&installation, 2_000_000);
    let key = StateFolder::load(&installation.state())
        .unwrap()
        .state_key();
    let file = installation.state().join(FILE);
    let mut state: Value = serde_json::from_slice(&key.open(FILE, &read(&file)).unwrap()).unwrap();
    state["version"] = 2.into();
    state["of_the_future"] = Value::Null;
    let sealed = key.seal(FILE, state.to_string().as_bytes(), &mut OsRandom);
    std::fs::write(&file, sealed).unwrap();
    let another = installation.folder().join("another");
    std::fs::create_dir(&another).unwrap();
    let before = all_files(&installation);
    let footage = path(&installation.footage()).to_owned();
    for (command, more) in [
        (&["run"][..], &[][..]),
        (&["init"], &[]),
        (&["list"], &[]),
        (&["check"], &[]),
        (&["repair"], &["--quarantine"]),
        (&["reindex"], &[]),
        (&["export"], &["--camera", "good", "--out", "-"]),
        (
            &["play"],
            &["--camera", "good", "--from", "2026-01-01T00:00:00Z"],
        ),
        (&["status"], &[]),
        (&["disk", "list"], &[]),
        (&["disk", "add"], &[path(&another)]),
        (&["disk", "drain"], &[&*footage]),
        (&["disk", "retire"], &[&*footage]),
        (&["hold", "list"], &[]),
        (&["keys"], &[]),
    ] {
        let output = match command {
            [command] => installation.run(command, more),
            words => in_two_words(&installation, words, more),
        };
        failed(&output, 1, "a newer version of Hearthkeep has written");
        let after = all_files(&installation);
        let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let differs = |path: &&&PathBuf| before.get(**path) != after.get(**path);
        let changed: Vec<_> = paths.iter().filter(differs).collect();
        assert!(changed.is_empty(), "{command:?}: {changed:?}");
    }
}
