//! Disks that are not there, not ours or not writable: said, never written to, and no reason to stop the others.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::installation::{Installation, Running, await_condition, path};
use super::{LONG, camera, failed, one_camera, record, recorded_us};

#[test]
fn a_disk_that_cannot_be_used_is_never_written_to() {
    let (_cameras, url, _) = one_camera();
    let cameras = [camera("good", &url)];
    let installation = Installation::unmade(&cameras);
    let not_a_folder = installation.folder().join("file");
    std::fs::write(&not_a_folder, "not a folder").unwrap();
    let in_use = installation.folder().join("in use");
    std::fs::create_dir_all(in_use.join("photos")).unwrap();
    let kit = installation.kit_file();
    for (disk, sentence) in [
        ("missing", "missing cannot be opened (No such file"),
        ("file", "file cannot be opened (Not a directory"),
        // Nobody can write there, not even root.
        (
            "/proc/tty/ldisc",
            "could not write /proc/tty/ldisc/hearthkeep-disk.json",
        ),
        ("in use", "in use is no disk of this store, and not empty"),
    ] {
        installation.write_config_with_disks(&cameras, &[disk]);
        failed(
            &installation.run("init", &["--recovery-kit-out", path(&kit)]),
            1,
            sentence,
        );
        assert!(!kit.exists(), "there is no owner yet, and so no kit");
    }
    installation.write_config(&cameras);
    installation.init();
    record(&installation, 1_000_000);
    for disk in ["missing", "file", "/proc/tty/ldisc", "in use"] {
        installation.write_config_with_disks(&cameras, &[disk]);
        failed(&installation.run("reindex", &[]), 1, disk);
        waits_for_a_disk(&installation, disk);
    }

    // The disk is not mounted: what is at its path is the bare mount point.
    installation.write_config(&cameras);
    let elsewhere = installation.folder().join("elsewhere");
    std::fs::rename(installation.footage(), &elsewhere).unwrap();
    std::fs::create_dir(installation.footage()).unwrap();
    waits_for_a_disk(
        &installation,
        "has no hearthkeep-disk.json: its disk is not mounted",
    );
    assert!(Installation::files(&installation.footage()).is_empty());

    // Another store's disk is there.
    let other = Installation::new(&cameras);
    std::fs::remove_dir(installation.footage()).unwrap();
    std::os::unix::fs::symlink(other.footage(), installation.footage()).unwrap();
    let before = Installation::files(&other.footage());
    let mut recorder = waits_for_a_disk(&installation, "belongs to another store");
    assert_eq!(Installation::files(&other.footage()), before);

    // It is back, and recording begins by itself.
    std::fs::remove_file(installation.footage()).unwrap();
    std::fs::rename(&elsewhere, installation.footage()).unwrap();
    recorder.until("it is recorded again", LONG, |list| {
        recorded_us(list) >= 2_000_000
    });
    recorder.terminate();
}

/// A recorder that has said why it has no disk, and serves its page meanwhile. It is ended when dropped.
fn waits_for_a_disk<'a>(installation: &'a Installation, sentence: &str) -> Running<'a> {
    let said_before = installation.log().len();
    let mut recorder = installation.start();
    await_condition(sentence, LONG, || {
        installation.log()[said_before..].contains(sentence)
    });
    recorder.address();
    recorder
}

#[test]
fn a_disk_that_moved_is_not_made_anew_where_it_was_last() {
    let (_cameras, url, _) = one_camera();
    let cameras = [camera("good", &url)];
    let installation = Installation::new(&cameras);
    record(&installation, 1_000_000);
    let moved = installation.folder().join("moved");
    std::fs::rename(installation.footage(), &moved).unwrap();
    installation.write_config_with_disks(&cameras, &["moved"]);
    let so_far = recorded_us(&installation.list(&[]));
    record(&installation, so_far + 1_000_000);

    let away = installation.folder().join("away");
    std::fs::rename(&moved, &away).unwrap();
    std::fs::create_dir(&moved).unwrap();
    std::fs::create_dir(installation.footage()).unwrap();
    // However the path is written, what is there is the bare mount point; and so is where it was before.
    for disk in ["moved", path(&moved), "./moved/../moved", "footage"] {
        installation.write_config_with_disks(&cameras, &[disk]);
        drop(waits_for_a_disk(&installation, "its disk is not mounted"));
        assert!(Installation::files(&moved).is_empty());
        assert!(Installation::files(&installation.footage()).is_empty());
    }
}

#[test]
fn a_state_folder_from_a_backup_keeps_the_names_of_its_streams() {
    let (_cameras, url, _) = one_camera();
    let installation = Installation::new(&[camera("good", &url)]);
    record(&installation, 1_000_000);
    let backup = installation.folder().join("backup");
    let copied = |from: &Path, to: &Path| {
        std::fs::remove_dir_all(to).ok();
        let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(status.unwrap().success());
    };
    copied(&installation.state(), &backup);
    let two = [camera("later", &url), camera("good", &url)];
    installation.write_config(&two);
    let mut recorder = installation.start();
    recorder.until("the other one is recorded too", LONG, |list| {
        list.as_array()
            .unwrap()
            .iter()
            .any(|row| row["camera"] == "later")
    });
    recorder.terminate();
    let before = installation.list(&[]);

    copied(&backup, &installation.state());
    record(&installation, recorded_us(&before) + 1_000_000);
    let ids = |list: &Value, name: &str| -> BTreeSet<String> {
        let rows = list.as_array().unwrap().iter();
        rows.filter(|row| row["camera"] == name)
            .map(|row| row["stream"].as_str().unwrap().to_owned())
            .collect()
    };
    let after = installation.list(&[]);
    for name in ["good", "later"] {
        assert_eq!(ids(&before, name).len(), 1);
        assert_eq!(ids(&after, name), ids(&before, name), "{name}");
    }
}

#[test]
fn a_disk_that_is_away_does_not_stop_the_others() {
    let (_cameras, url, _) = one_camera();
    let cameras = [camera("good", &url)];
    let installation = Installation::new(&cameras);
    let other = installation.folder().join("other");
    std::fs::create_dir(&other).unwrap();
    let mut add = Command::new(super::installation::HEARTHKEEP);
    add.args(["disk", "add", "--config"]);
    add.arg(installation.config()).arg(&other);
    assert!(add.status().unwrap().success());
    record(&installation, 1_000_000);

    let away = installation.folder().join("away");
    std::fs::rename(&other, &away).unwrap();
    std::fs::create_dir(&other).unwrap();
    let said_before = installation.log().len();
    record(&installation, 3_000_000);
    let log = &installation.log()[said_before..];
    assert!(
        log.contains("other has no hearthkeep-disk.json: its disk is not mounted"),
        "{log}"
    );
    assert!(Installation::files(&other).is_empty());

    std::fs::remove_dir(&other).unwrap();
    std::fs::rename(&away, &other).unwrap();
    record(&installation, 5_000_000);
    let check = installation.run("check", &[]);
    assert!(check.status.success(), "{check:?}");
}
