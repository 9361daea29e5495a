//! Copies of one log on several disks: the furthest counts, a shorter one is its beginning, and another history is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep::disk::{Disk, RealDisk};
use hearthkeep::store::log::{Flaw, LastSigned, Mendable, Remedy};
use hearthkeep_format::log::{LogKey, Record};
use hearthkeep_format::{Identity, MetadataKey, SeededRandom, SigningKey};

use crate::installation::{CameraEntry, HEARTHKEEP, Installation, await_condition, path};
use crate::log_files::log_files;
use crate::rig::{chain, copy, folder};
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

/// A store with a camera that is not there, and a disk beside the first.
fn two_disks() -> Installation {
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
    installation
}

/// One start and end of the recorder, until both disks have what it does of the log; what it said.
fn record(installation: &Installation) -> String {
    let checkpoint = |disk: &Path| {
        let log = fs::read_dir(disk.join("log")).ok()?.next()?.ok()?;
        fs::read(log.path().join("checkpoint")).ok()
    };
    let before = checkpoint(&installation.footage());
    let said_before = installation.log().len();
    let mut recorder = installation.start();
    recorder.address();
    await_condition("both have it", std::time::Duration::from_secs(60), || {
        let first = checkpoint(&installation.footage());
        first.is_some()
            && first != before
            && first == checkpoint(&installation.folder().join("spare"))
    });
    recorder.terminate();
    installation.log()[said_before..].to_owned()
}

/// How a command ended, and what it printed.
fn said(installation: &Installation, command: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = installation.run(command, arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), said)
}

#[test]
fn a_copy_that_was_changed_is_told_by_check() {
    let installation = two_disks();
    let spare = installation.folder().join("spare");
    record(&installation);
    let check = || self::said(&installation, "check", &[]);
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
    let repair = |more: &[&str]| self::said(&installation, "repair", more);
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
    let copied = || copied(&chain(&home, &paths).mendable(&opened, &home.store, None));
    assert_eq!(copied(), [(0, 1), (0, 4)]);
    for one in chain(&home, &paths).mendable(&opened, &home.store, None) {
        one.mend(&opened, &home.store).unwrap();
    }
    assert_eq!(copied(), []);
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
    assert_eq!(copied(), []);
}

/// From which disk to which a copy would be made; nothing else is to be done.
fn copied(mendable: &[Mendable]) -> Vec<(usize, usize)> {
    let from = |one: &Mendable| match one.remedy {
        Remedy::Copy(from) => (from, one.to),
        _ => panic!("{one:?}"),
    };
    let mut copied: Vec<_> = mendable.iter().map(from).collect();
    copied.sort_unstable();
    copied
}

/// What a copy is signed with.
fn signed(entries: &Path) -> LastSigned {
    let of = |name| fs::read_to_string(entries.with_file_name(name)).unwrap();
    let key = LogKey::from_text(of("key").trim_end()).unwrap();
    LastSigned::verify(key, of("checkpoint")).unwrap()
}

fn flip(file: &Path, n: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[n] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn an_older_copy_never_takes_the_place_of_the_newest_one() {
    let home = Home::new(53);
    let key = Identity::generate(&mut SeededRandom::new(8)).signing_key();
    let disks: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let [newest, other] = [disks[0].path(), disks[1].path()];
    let opened = [newest, other].map(|path| Arc::new(RealDisk::open(path).unwrap()));
    let opened = opened.map(|disk| disk as Arc<dyn Disk>);
    let mendable = |last: Option<&LastSigned>| {
        chain(&home, &[newest, other]).mendable(&opened, &home.store, last)
    };
    let damages: [&dyn Fn(&Path); 4] = [
        &|folder| flip(&folder.join("checkpoint"), 3),
        &|folder| flip(&folder.join("key"), 3),
        &|folder| fs::remove_file(folder.join("entries")).unwrap(),
        &|folder| {
            flip(&folder.join("checkpoint"), 3);
            fs::remove_file(folder.join("tree")).unwrap();
        },
    ];
    for (n, damage) in damages.iter().enumerate() {
        // An older one, one as far and one that goes further; and one that goes further from another history.
        for (theirs, takes_its_place) in [
            (&[1, 2][..], false),
            (&[1, 2, 3, 4], true),
            (&[1, 2, 3, 4, 5], true),
            (&[1, 9, 3, 4, 5], false),
        ] {
            let entries = leave(&home, newest, &key, &[1, 2, 3, 4]);
            leave(&home, other, &key, theirs);
            damage(entries.parent().unwrap());
            let expected = if takes_its_place {
                vec![(1, 0)]
            } else {
                vec![]
            };
            assert_eq!(copied(&mendable(None)), expected, "damage {n}, {theirs:?}");
        }
    }

    // A tree that is gone is made again from its own entries, whatever the other disk has.
    for theirs in [&[1, 2][..], &[1, 2, 3, 4, 5]] {
        let tree = leave(&home, newest, &key, &[1, 2, 3, 4]).with_file_name("tree");
        leave(&home, other, &key, theirs);
        let nodes = fs::read(&tree).unwrap();
        fs::remove_file(&tree).unwrap();
        let chain = chain(&home, &[newest, other]);
        let [(_, Flaw::Tree)] = &chain.verify()[..] else {
            panic!("it is a damaged copy");
        };
        let again = mendable(None);
        let to_newest = |one: &&Mendable| one.to == 0;
        let mended: Vec<_> = again.iter().filter(to_newest).collect();
        assert_eq!(mended[0].remedy, Remedy::Tree);
        mended[0].mend(&opened, &home.store).unwrap();
        assert_eq!(fs::read(&tree).unwrap(), nodes);
    }

    // Nobody but the state folder knows that what stands behind its checkpoint counts.
    leave(&home, other, &key, &[1, 2]);
    let entries = leave(&home, newest, &key, &[1, 2, 3, 4]);
    let last = signed(&entries);
    let before = folder(other).join("checkpoint");
    fs::copy(before, entries.with_file_name("checkpoint")).unwrap();
    flip(&entries, 30);
    assert_eq!(copied(&mendable(Some(&last))), []);
    assert_eq!(copied(&mendable(None)), [(1, 0)]);

    // It has all that was signed, and is signed again.
    let entries = leave(&home, newest, &key, &[1, 2, 3, 4]);
    let earlier = signed(&folder(other).join("entries"));
    let whole = ["key", "entries", "tree", "checkpoint"].map(|name| entries.with_file_name(name));
    let before = whole.clone().map(|file| fs::read(file).unwrap());
    for name in ["key", "checkpoint"] {
        flip(&entries.with_file_name(name), 3);
        assert_eq!(mendable(Some(&earlier)), [], "it has more than that");
        let again = mendable(Some(&last));
        let [
            Mendable {
                remedy: Remedy::Signed(_),
                to: 0,
                ..
            },
        ] = &again[..]
        else {
            panic!("{again:?}");
        };
        again[0].mend(&opened, &home.store).unwrap();
        assert_eq!(whole.clone().map(|file| fs::read(file).unwrap()), before);
    }
    assert_eq!(mendable(Some(&last)), []);
}

#[test]
fn repair_signs_the_newest_copy_again_and_leaves_the_older_one_alone() {
    let installation = two_disks();
    let (first, spare) = (installation.footage(), installation.folder().join("spare"));
    record(&installation);
    let away = installation.folder().join("away");
    copy(&spare.join("log"), &away);
    record(&installation);
    // The spare disk was away meanwhile.
    fs::remove_dir_all(spare.join("log")).unwrap();
    copy(&away, &spare.join("log"));
    let (newest, older) = (folder(&first), folder(&spare));
    let files = |folder: &Path| {
        ["key", "entries", "tree", "checkpoint"].map(|name| fs::read(folder.join(name)).unwrap())
    };
    let (before, lag) = (files(&newest), files(&older));
    assert!(before[1].len() > lag[1].len() && before[1].starts_with(&lag[1]));

    flip(&newest.join("checkpoint"), 3);
    let (code, said) = self::said(&installation, "check", &[]);
    assert_eq!(code, Some(65), "{said}");
    assert!(said.contains("writes key and checkpoint again"), "{said}");
    let (code, said) = self::said(&installation, "repair", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!((files(&newest), files(&older)), (before, lag));
    let (code, said) = self::said(&installation, "check", &[]);
    assert_eq!(code, Some(0), "{said}");
    let began = record(&installation);
    assert_eq!(folder(&first), newest, "it goes on with the same log");
    assert!(!began.contains("rolled back"), "{began}");
}
