//! A store that a newer version of this program has written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hearthkeep::keys::StateFolder;
use hearthkeep::random::OsRandom;
use serde_json::Value;

use super::installation::{Installation, read};
use super::{camera, failed, one_camera, record};

const FILE: &str = "store.sealed";

/// Everything that a store has, by where it is.
fn all_files(installation: &Installation) -> BTreeMap<PathBuf, Vec<u8>> {
    let folders = [installation.state(), installation.footage()];
    let files = folders.iter().flat_map(|folder| Installation::files(folder));
    files.map(|file| (file.clone(), read(&file))).collect()
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let (_cameras, url, _) = one_camera();
    let installation = Installation::new(&[camera("good", &url)]);
    record(&installation, 2_000_000);
    let key = StateFolder::load(&installation.state()).unwrap().state_key();
    let file = installation.state().join(FILE);
    let mut state: Value = serde_json::from_slice(&key.open(FILE, &read(&file)).unwrap()).unwrap();
    state["version"] = 2.into();
    state["of_the_future"] = Value::Null;
    let sealed = key.seal(FILE, state.to_string().as_bytes(), &mut OsRandom);
    std::fs::write(&file, sealed).unwrap();
    let before = all_files(&installation);
    for (command, more) in [
        ("run", &[][..]),
        ("list", &[]),
        ("check", &[]),
        ("repair", &["--quarantine"]),
        ("reindex", &[]),
        ("disk", &["list"]),
        ("export", &["--camera", "good", "--out", "-"]),
    ] {
        let output = installation.run(command, more);
        failed(&output, 1, "a newer version of Hearthkeep has written");
        assert_eq!(all_files(&installation), before, "{command}");
    }
}
