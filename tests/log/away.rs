//! Disks that are away are nobody's crime; what was signed and is on no disk of a store that is all here is told, also to who has
//! never seen it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::installation::{CameraEntry, HEARTHKEEP, Installation, await_condition};
use crate::rig::{copy, said};

const LONG: Duration = Duration::from_secs(60);

/// A store without cameras on these disks.
fn on(disks: &[&str]) -> Installation {
    let nobody = CameraEntry {
        name: "gone",
        url: "rtsp://127.0.0.1:9/live",
        more: "",
    };
    let installation = Installation::unmade(&[]);
    for disk in disks {
        fs::create_dir_all(installation.folder().join(disk)).unwrap();
    }
    installation.write_config_with_disks(&[nobody], disks);
    installation.init();
    installation
}

/// Bytes of all logs on a disk.
fn entries(disk: &Path) -> u64 {
    let log = disk.join("log");
    if !log.exists() {
        return 0;
    }
    let files = Installation::files(&log).into_iter();
    let entries = files.filter(|file| file.ends_with("entries"));
    entries.map(|file| file.metadata().unwrap().len()).sum()
}

/// Starts and ends the recorder: each of these disks has more of the log then.
fn run(installation: &Installation, disks: &[&str]) {
    let paths = disks.iter().map(|disk| installation.folder().join(disk));
    let before: Vec<(PathBuf, u64)> = paths.map(|path| (path.clone(), entries(&path))).collect();
    let mut recorder = installation.start();
    recorder.address();
    await_condition("their logs are written on", LONG, || {
        before.iter().all(|(disk, before)| entries(disk) > *before)
    });
    recorder.terminate();
}

/// A disk is taken away, or brought back.
fn rename(installation: &Installation, from: &str, to: &str) {
    let (from, to) = (
        installation.folder().join(from),
        installation.folder().join(to),
    );
    fs::rename(from, to).unwrap();
}

/// A command of somebody who has seen nothing before.
fn newcomer(installation: &Installation, subcommand: &str) -> Output {
    let mut command = installation.command(subcommand);
    let nothing = tempfile::tempdir().unwrap();
    command.env("XDG_STATE_HOME", nothing.path());
    command.output().unwrap()
}

#[test]
fn a_disk_that_is_not_mounted_is_no_log_that_is_gone() {
    let installation = on(&["footage"]);
    run(&installation, &["footage"]);
    said(&installation.run("check", &[]), 0, "0 removed");
    for bare in [false, true] {
        rename(&installation, "footage", "unplugged");
        if bare {
            fs::create_dir(installation.footage()).unwrap();
        }
        let checked = installation.run("check", &[]);
        said(
            &checked,
            1,
            "cannot be compared with what was seen of it from here while the disk",
        );
        said(
            &checked,
            1,
            "cannot be compared with all that was signed while the disk",
        );
        said(
            &newcomer(&installation, "check"),
            1,
            "the disks that are here have 0 of them",
        );
        said(&installation.run("list", &[]), 1, "footage");
        let _ = fs::remove_dir(installation.footage());
        rename(&installation, "unplugged", "footage");
    }
    said(&installation.run("check", &[]), 0, "0 removed");
}

#[test]
fn the_newest_copy_that_is_unplugged_is_no_log_that_was_rolled_back() {
    let installation = on(&["footage", "spare"]);
    run(&installation, &["footage", "spare"]);
    rename(&installation, "spare", "unplugged");
    run(&installation, &["footage"]);
    // What it has is seen, and so is that the other one is not here.
    said(&installation.run("check", &[]), 1, "spare");
    rename(&installation, "unplugged", "spare");
    rename(&installation, "footage", "unplugged");
    for command in ["check", "list"] {
        let output = installation.run(command, &[]);
        said(
            &output,
            1,
            "cannot be compared with what was seen of it from here while the disk",
        );
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!words.contains("rolled back"), "{words}");
    }
    said(
        &newcomer(&installation, "check"),
        1,
        "cannot be compared with all that was signed",
    );
    said(
        &installation.run("repair", &["--dry-run"]),
        1,
        "cannot be compared with all that was signed",
    );
    said(
        &installation.run("reindex", &[]),
        1,
        "cannot be compared with all that was signed",
    );
    // An old disk by itself, on the machine where the newest one was seen.
    let mut alone = Command::new(HEARTHKEEP);
    alone.env("XDG_STATE_HOME", installation.folder().join("seen"));
    alone
        .arg("check")
        .arg("--disk")
        .arg(installation.folder().join("spare"));
    alone.arg("--kit").arg(installation.kit_file());
    said(
        &alone.output().unwrap(),
        1,
        "while disks are read by themselves",
    );
    // Both are here again: what the one lacks the other has.
    rename(&installation, "unplugged", "footage");
    said(&installation.run("check", &[]), 0, "0 removed");
}

#[test]
fn another_history_is_told_also_where_a_disk_is_away() {
    let installation = on(&["footage", "spare"]);
    run(&installation, &["footage", "spare"]);
    let old = tempfile::tempdir().unwrap();
    for name in ["state", "footage", "spare"] {
        copy(&installation.folder().join(name), &old.path().join(name));
    }
    run(&installation, &["footage", "spare"]);
    said(&installation.run("check", &[]), 0, "0 removed");
    for name in ["state", "footage", "spare"] {
        fs::remove_dir_all(installation.folder().join(name)).unwrap();
        copy(&old.path().join(name), &installation.folder().join(name));
    }
    drop(fs::remove_file(installation.state().join("status.socket")));
    for _ in 0..2 {
        run(&installation, &["footage", "spare"]);
    }
    rename(&installation, "spare", "unplugged");
    said(
        &installation.run("check", &[]),
        65,
        "the signed log was forked",
    );
}

#[test]
fn an_older_log_is_told_to_who_has_seen_nothing() {
    let installation = on(&["footage"]);
    run(&installation, &["footage"]);
    let (log, old) = (
        installation.footage().join("log"),
        tempfile::tempdir().unwrap(),
    );
    copy(&log, &old.path().join("log"));
    run(&installation, &["footage"]);
    said(&newcomer(&installation, "check"), 0, "0 removed");
    let put_back = || {
        let _ = fs::remove_dir_all(&log);
        copy(&old.path().join("log"), &log);
    };
    put_back();
    said(
        &newcomer(&installation, "check"),
        65,
        "the log was rolled back",
    );
    said(&installation.run("repair", &[]), 65, "left as it is: log/");
    fs::remove_dir_all(&log).unwrap();
    said(
        &newcomer(&installation, "check"),
        65,
        "the disks that are here have 0 of them",
    );

    // The recorder says so at one start; the log that it begins says so for good.
    put_back();
    for _ in 0..2 {
        run(&installation, &["footage"]);
    }
    said(
        &newcomer(&installation, "check"),
        65,
        "when the log after it began",
    );
    said(
        &installation.run("repair", &[]),
        65,
        "when the log after it began",
    );
    let oldest = fs::read_dir(old.path().join("log")).unwrap().next();
    let oldest = oldest.unwrap().unwrap().file_name();
    fs::remove_dir_all(log.join(oldest)).unwrap();
    let gone = newcomer(&installation, "check");
    said(
        &gone,
        65,
        "the disks that are here have 0 of them. Somebody",
    );
}

#[test]
fn a_log_that_rots_is_damage_and_nobody_s_doing() {
    let installation = on(&["footage"]);
    for _ in 0..2 {
        run(&installation, &["footage"]);
    }
    let folder = crate::rig::folder(&installation.footage());
    for name in ["entries", "checkpoint", "tree", "key"] {
        let path = folder.join(name);
        let before = fs::read(&path).unwrap();
        let mut bytes = before.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let checked = newcomer(&installation, "check");
        said(&checked, 65, "log/");
        let words = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(!words.contains("Somebody"), "{name}: {words}");
        fs::write(&path, before).unwrap();
    }
}
