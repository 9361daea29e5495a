//! What a viewer on the command line says that has seen a log before: of removed footage, of disks and boxes that were put back,
//! and of another history.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::common::{Cameras, clip};
use crate::installation::{CameraEntry, Installation, await_condition, path};
use crate::rig::{copy, said};

const LONG: Duration = Duration::from_secs(60);

fn without_cameras() -> Installation {
    let nobody = CameraEntry {
        name: "gone",
        url: "rtsp://127.0.0.1:9/live",
        more: "",
    };
    Installation::new(&[nobody])
}

/// One start and end of the recorder: what it does is in the log.
fn run(installation: &Installation) {
    let mut recorder = installation.start();
    recorder.address();
    await_condition("its log is there", LONG, || {
        installation.footage().join("log").exists()
    });
    recorder.terminate();
}

/// State folder and disk as they are now, or as they were.
fn image(installation: &Installation, of: &Path, to: &Path) {
    for name in ["state", "footage"] {
        let _ = fs::remove_dir_all(to.join(name));
        copy(&of.join(name), &to.join(name));
    }
    drop(fs::remove_file(installation.state().join("status.socket")));
}

/// A camera, and a box that has recorded so much of it so many times, us.
pub fn one_door(times: usize, least_us: u64) -> (Cameras, Installation) {
    let cameras = Cameras::start(&[&format!("door={}", clip("h264_small").display())]);
    let door = CameraEntry {
        name: "door",
        url: cameras.url("door"),
        more: "",
    };
    let installation = Installation::new(&[door]);
    for _ in 0..times {
        let mut recorder = installation.start();
        let before = installation.list(&[]).as_array().unwrap().len();
        recorder.until("it is recorded", LONG, |list| {
            list[before]["duration_us"]
                .as_u64()
                .is_some_and(|us| us > least_us)
        });
        recorder.terminate();
    }
    (cameras, installation)
}

#[test]
fn a_segment_that_was_removed_is_named_and_is_no_mere_gap() {
    let (_cameras, installation) = one_door(2, 2_000_000);
    said(&installation.run("check", &[]), 0, "0 removed");
    let segment = installation.list(&[])[0]["segment"]
        .as_str()
        .unwrap()
        .to_owned();
    let files = Installation::files(&installation.footage());
    let file = files.iter().find(|file| path(file).contains(&segment));
    fs::remove_file(file.unwrap()).unwrap();

    said(
        &installation.run("check", &[]),
        65,
        "was removed: the signed log has it",
    );
    let json = installation.run("check", &["--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["removed"].as_array().unwrap().len(), 1);
    assert!(
        json["removed"][0]["path"]
            .as_str()
            .unwrap()
            .contains(&segment)
    );
    // The disk and the kit are enough to know that it is missing; the store may have a newer log, which says why.
    let mut alone = std::process::Command::new(crate::installation::HEARTHKEEP);
    alone.arg("check").arg("--disk").arg(installation.footage());
    alone.arg("--kit").arg(installation.kit_file());
    alone.env("XDG_STATE_HOME", installation.folder().join("elsewhere"));
    let alone = alone.output().unwrap();
    said(&alone, 65, "is missing: the signed log has it");
    said(&alone, 65, " 1 missing");
    assert!(!String::from_utf8_lossy(&alone.stdout).contains("was removed"));

    let mut recorder = installation.start();
    recorder.address();
    await_condition("the recorder says so too", LONG, || {
        let status = installation.run("status", &[]);
        String::from_utf8_lossy(&status.stdout).contains("somebody removed it")
    });
    recorder.terminate();
}

#[test]
fn a_box_that_was_put_back_contradicts_what_was_seen_of_it() {
    let (installation, kept) = (without_cameras(), tempfile::tempdir().unwrap());
    run(&installation);
    image(&installation, installation.folder(), kept.path());
    run(&installation);
    said(
        &installation.run("check", &[]),
        0,
        "entries of the signed log were read",
    );

    image(&installation, kept.path(), installation.folder());
    for command in ["check", "list", "check"] {
        said(
            &installation.run(command, &[]),
            65,
            "the signed log was rolled back",
        );
    }
    // Over what was seen another history grows.
    run(&installation);
    run(&installation);
    let checked = installation.run("check", &[]);
    said(&checked, 65, "the signed log was forked");
    let words = String::from_utf8_lossy(&checked.stderr);
    let file = words.split("is kept in ").nth(1).unwrap();
    let file = file.split(": remove the file").next().unwrap();
    fs::remove_file(file).unwrap();
    said(
        &installation.run("check", &[]),
        0,
        "entries of the signed log were read",
    );
}

#[test]
fn a_box_that_is_read_from_afar_is_remembered_as_well() {
    let (installation, kept) = (without_cameras(), tempfile::tempdir().unwrap());
    run(&installation);
    image(&installation, installation.folder(), kept.path());
    let asked = |installation: &Installation| {
        let mut recorder = installation.start();
        let address = format!("https://{}", recorder.address());
        let status = installation.run("status", &["--json"]);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        let fingerprint = status["fingerprint"].as_str().unwrap().to_owned();
        let mut list = std::process::Command::new(crate::installation::HEARTHKEEP);
        list.args(["list", "--box", &address, "--fingerprint", &fingerprint]);
        list.arg("--passphrase-file")
            .arg(installation.passphrase_file());
        list.env("XDG_STATE_HOME", installation.folder().join("afar"));
        let output = list.output().unwrap();
        recorder.terminate();
        output
    };
    said(&asked(&installation), 0, "");
    said(&asked(&installation), 0, "");
    image(&installation, kept.path(), installation.folder());
    let put_back = asked(&installation);
    assert_eq!(put_back.status.code(), Some(65), "{put_back:?}");
    let words = String::from_utf8_lossy(&put_back.stderr).into_owned();
    assert!(
        words.contains("was rolled back") || words.contains("was forked"),
        "{words}"
    );
}

#[test]
fn a_new_log_that_goes_on_from_what_was_seen_is_said_and_believed() {
    let installation = without_cameras();
    run(&installation);
    said(
        &installation.run("check", &[]),
        0,
        "entries of the signed log were read",
    );
    fs::remove_file(installation.state().join("log.sealed")).unwrap();
    run(&installation);
    said(
        &installation.run("check", &[]),
        0,
        "a new signed log has begun (state-restored)",
    );
    let again = installation.run("check", &[]);
    said(&again, 0, "entries of the signed log were read");
    assert!(again.stderr.is_empty(), "{again:?}");
    // Somebody takes the older one away, and with it what was seen.
    fs::remove_dir_all(installation.footage().join("log")).unwrap();
    said(
        &installation.run("check", &[]),
        65,
        "the signed log is gone",
    );
}
