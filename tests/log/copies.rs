//! Copies of one log on several disks: the furthest counts, a shorter one is its beginning, and another history is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep::disk::{Disk, RealDisk};
use hearthkeep::store::log::Flaw;
use hearthkeep_format::log::Record;
use hearthkeep_format::{Identity, MetadataKey, SeededRandom, SigningKey};

use crate::installation::{CameraEntry, HEARTHKEEP, Installation, await_condition, path};
use crate::log_files::log_files;
use crate::rig::{chain, folder};
use crate::store_support::{GENERATION, Home};

/// Leaves a log on a disk, with these after its first entry; says where its entries are.
fn leave(home: &Home, disk: &Path, key: &SigningKey, boots: &[u64]) -> PathBuf {
    let started = |monotonic_us: &u64| Record::Started {
        boot: hearthkeep_format::BootId::from_bytes([1; 16]),
        monotonic_us: *monotonic_us,
        after_crash: false,
        version: String::new(),
    };
    let m = MetadataKey::from_bytes(home.m);
    let records = boots.iter().map(started);
    for (path, bytes) in log_files(home.store, key, (GENERATION, &m), records) {
        let path = disk.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder(disk).join("entries")
}

#[test]
fn a_copy_that_lags_is_sound_and_another_history_is_not() {
    let home = Home::new(51);
    let key = Identity::generate(&mut SeededRandom::new(8)).signing_key();
    let disks: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let paths: Vec<_> = disks.iter().map(|disk| disk.path()).collect();
    leave(&home, paths[0], &key, &[1, 2, 3]);
    leave(&home, paths[1], &key, &[1, 2, 3, 4, 5]);
    leave(&home, paths[2], &key, &[1, 2, 9, 4]);
    let equal = leave(&home, paths[3], &key, &[1, 2, 3, 4, 5]);
    let compared = || {
        let chain = chain(&home, &paths);
        assert!(chain.flaws.is_empty(), "{:?}", chain.flaws);
        assert_eq!((chain.logs.len(), chain.logs[0].disk), (1, 1));
        let copies = chain.copies.iter();
        let mut compared: Vec<_> = copies
            .map(|copy| {
                (
                    copy.disk,
                    chain.compare(copy).map_err(|flaw| flaw.to_string()),
                )
            })
            .collect();
        compared.sort_by_key(|(disk, _)| *disk);
        compared
    };
    let another = Err(Flaw::Forked.to_string());
    assert_eq!(compared(), [(0, Ok(())), (2, another.clone()), (3, Ok(()))]);

    // An entry that was changed in its place, which its tree does not know.
    let mut bytes = fs::read(&equal).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&equal, &bytes).unwrap();
    let unsound = Err(Flaw::Unsound.to_string());
    assert_eq!(compared(), [(0, Ok(())), (2, another), (3, unsound)]);
}

#[test]
fn a_copy_that_was_changed_is_told_by_check() {
    let nobody = CameraEntry {
        name: "gone",
        url: "rtsp://127.0.0.1:9/live",
        more: "",
    };
    let installation = Installation::new(&[nobody]);
    let spare = installation.folder().join("spare");
    fs::create_dir(&spare).unwrap();
    let mut add = std::process::Command::new(HEARTHKEEP);
    add.args(["disk", "add", path(&spare), "--config"])
        .arg(installation.config());
    assert!(add.status().unwrap().success());
    let mut recorder = installation.start();
    recorder.address();
    let checkpoint = |disk: &Path| {
        let log = fs::read_dir(disk.join("log")).ok()?.next()?.ok()?;
        fs::read(log.path().join("checkpoint")).ok()
    };
    await_condition("both have it", std::time::Duration::from_secs(60), || {
        let first = checkpoint(&installation.footage());
        first.is_some() && first == checkpoint(&spare)
    });
    recorder.terminate();
    let check = || {
        let output = installation.run("check", &[]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");

    let entries = folder(&spare).join("entries");
    let mut bytes = fs::read(&entries).unwrap();
    // Of the second: that the first is right is looked at wherever the log is.
    let first = 24 + u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    bytes[first + 30] ^= 1;
    fs::write(&entries, bytes).unwrap();
    let (code, said) = check();
    assert_eq!(code, Some(65), "{said}");
    let told = said.lines().find(|line| line.contains(path(&spare)));
    assert!(
        told.is_some_and(|told| told.contains("its entries are not those")
            && told.contains("run `hearthkeep repair`, which copies it from")
            && told.contains(path(&installation.footage()))),
        "{said}"
    );

    // It is copied from the whole one; what it was is kept.
    let damaged = fs::read(&entries).unwrap();
    let repair = |more: &[&str]| {
        let output = installation.run("repair", more);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = repair(&["--dry-run"]);
    assert_eq!(code, Some(65), "{said}");
    assert!(said.contains("copied from another disk"), "{said}");
    assert_eq!(fs::read(&entries).unwrap(), damaged);
    let (code, said) = repair(&[]);
    assert_eq!(code, Some(0), "{said}");
    let whole = folder(&installation.footage());
    for name in ["key", "entries", "tree", "checkpoint"] {
        let of = |folder: &Path| fs::read(folder.join(name)).unwrap();
        assert_eq!(of(&folder(&spare)), of(&whole), "{name}");
    }
    let aside = spare.join("lost/log").join(whole.file_name().unwrap());
    assert_eq!(fs::read(aside.join("entries")).unwrap(), damaged);
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = repair(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("there is nothing to repair"), "{said}");
    // A hash of the tree that no root needs: it is made again from the entries, which are right.
    let (tree, nodes) = (whole.join("tree"), fs::read(whole.join("tree")).unwrap());
    let mut bytes = nodes.clone();
    bytes[7] ^= 1;
    fs::write(&tree, &bytes).unwrap();
    let (code, said) = check();
    assert_eq!(code, Some(65), "{said}");
    let told = said.lines().find(|line| line.contains(path(&whole)));
    assert!(
        told.is_some_and(
            |told| told.contains("its tree is damaged; its entries are whole")
                && told.contains("makes the tree again")
        ),
        "{said}"
    );
    let (code, said) = repair(&["--dry-run"]);
    assert_eq!(code, Some(65), "{said}");
    assert_eq!(fs::read(&tree).unwrap(), bytes);
    let (code, said) = repair(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("its tree to be made again"), "{said}");
    assert_eq!(fs::read(&tree).unwrap(), nodes);
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");
    // Where both are damaged, none is copied.
    for disk in [&spare, &installation.footage()] {
        let entries = folder(disk).join("entries");
        let mut bytes = fs::read(&entries).unwrap();
        bytes[first + 30] ^= 1;
        fs::write(&entries, bytes).unwrap();
    }
    let (code, said) = repair(&[]);
    assert_eq!(code, Some(65), "{said}");
    assert!(
        said.contains("no other disk that is here has a whole copy"),
        "{said}"
    );
}

#[test]
fn only_a_whole_copy_that_goes_on_from_a_damaged_one_takes_its_place() {
    let home = Home::new(52);
    let key = Identity::generate(&mut SeededRandom::new(8)).signing_key();
    let disks: Vec<_> = (0..5).map(|_| tempfile::tempdir().unwrap()).collect();
    let paths: Vec<_> = disks.iter().map(|disk| disk.path()).collect();
    leave(&home, paths[0], &key, &[1, 2, 3]);
    let damage = |entries: &Path| {
        let mut bytes = fs::read(entries).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(entries, bytes).unwrap();
    };
    // The beginning of it; another history; more than it; and one that was cut off.
    damage(&leave(&home, paths[1], &key, &[1, 2]));
    damage(&leave(&home, paths[2], &key, &[1, 9]));
    damage(&leave(&home, paths[3], &key, &[1, 2, 3, 4]));
    let cut = leave(&home, paths[4], &key, &[1, 2, 3]);
    fs::write(&cut, &fs::read(&cut).unwrap()[..60]).unwrap();
    let opened: Vec<_> = paths
        .iter()
        .map(|path| Arc::new(RealDisk::open(path).unwrap()) as Arc<dyn Disk>)
        .collect();
    let mendable = || {
        let found = chain(&home, &paths).mendable(&opened, &home.store);
        let mut of: Vec<_> = found.iter().map(|one| (one.from, one.to)).collect();
        of.sort_unstable();
        of
    };
    assert_eq!(mendable(), [(Some(0), 1), (Some(0), 4)]);
    for one in chain(&home, &paths).mendable(&opened, &home.store) {
        one.mend(&opened, &home.store).unwrap();
    }
    assert_eq!(mendable(), []);
    let whole = folder(paths[0]);
    for disk in [paths[1], paths[4]] {
        for name in ["key", "entries", "tree", "checkpoint"] {
            let of = |folder: &Path| fs::read(folder.join(name)).unwrap();
            assert_eq!(of(&folder(disk)), of(&whole), "{name}");
        }
    }
    // Two whole ones that contradict each other.
    leave(&home, paths[2], &key, &[1, 9]);
    damage(&leave(&home, paths[1], &key, &[1, 2]));
    assert_eq!(mendable(), []);
}
