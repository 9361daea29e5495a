//! Another passphrase: with the old one, or with the recovery kit where it is forgotten.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/installation.rs"]
mod installation;

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::{Cameras, clip};
use installation::{CameraEntry, HEARTHKEEP, Installation, await_condition, path};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn who_has_forgotten_the_passphrase_sets_a_new_one_with_the_kit() {
    let cameras = Cameras::start(&[&format!("door={}", clip("h264_small").display())]);
    let door = || CameraEntry {
        name: "door",
        url: cameras.url("door"),
        more: "",
    };
    let (installation, other) = (Installation::new(&[door()]), Installation::new(&[]));
    let mut recorder = installation.start();
    recorder.until("it is recorded", LONG, |list| {
        list[0]["duration_us"]
            .as_u64()
            .is_some_and(|us| us > 2_000_000)
    });
    let kit = installation.kit_file();
    let new = installation.folder().join("new-passphrase");
    std::fs::write(&new, "seven green herons by the weir\n").unwrap();
    let kit = ["--kit", path(&kit), "--passphrase-file", path(&new)];
    said(&change(&installation, &kit), 75, "stop it first");
    recorder.terminate();

    let weak = installation.folder().join("weak");
    std::fs::write(&weak, "short\n").unwrap();
    let others = other.kit_file();
    let old = installation.passphrase_file();
    for (arguments, words) in [
        (
            ["--kit", path(&others), "--passphrase-file", path(&new)],
            "another store's",
        ),
        (
            ["--kit", kit[1], "--passphrase-file", path(&weak)],
            "12 characters",
        ),
        (
            [
                "--old-passphrase-file",
                path(&new),
                "--passphrase-file",
                path(&new),
            ],
            "wrong passphrase",
        ),
        (["--kit", kit[1], "--name", "nobody"], "no account"),
    ] {
        said(&change(&installation, &arguments), 77, words);
    }
    assert!(opens(&installation, path(&old)), "nothing has changed");

    said(&change(&installation, &kit), 0, "");
    only(&installation, path(&new), path(&old));

    // And with the new one, which is the old one by now.
    let newest = installation.folder().join("newest");
    std::fs::write(&newest, "a copper kettle on the blue stove\n").unwrap();
    let again = [
        "--old-passphrase-file",
        path(&new),
        "--passphrase-file",
        path(&newest),
    ];
    said(&change(&installation, &again), 0, "");
    only(&installation, path(&newest), path(&new));
}

/// This passphrase lets in and opens footage, also over HTTPS, and that one does neither.
fn only(installation: &Installation, this: &str, that: &str) {
    assert!(opens(installation, this) && !opens(installation, that));
    let recorder = installation.start();
    let mut status = Value::Null;
    await_condition("it has a page", LONG, || {
        let output = installation.run("status", &["--json"]);
        status = serde_json::from_slice(&output.stdout).unwrap();
        status["addresses"][0].is_string()
    });
    let address = status["addresses"][0].as_str().unwrap();
    let fingerprint = status["fingerprint"].as_str().unwrap();
    let play = |passphrase: &str| {
        let mut command = Command::new(HEARTHKEEP);
        command
            .env_remove("HOME")
            .env_remove("XDG_STATE_HOME")
            .args(["play", "--camera", "door", "--box", address])
            .args([
                "--fingerprint",
                fingerprint,
                "--passphrase-file",
                passphrase,
            ]);
        command.stdin(Stdio::null()).output().unwrap()
    };
    said(&play(that), 77, "the box says");
    let played = play(this);
    assert!(
        played.status.success() && played.stdout.len() > 50_000,
        "{:?}",
        played.stderr
    );
    recorder.terminate();
}

fn opens(installation: &Installation, passphrase: &str) -> bool {
    let output = installation.run("check", &["--passphrase-file", passphrase]);
    assert!(matches!(output.status.code(), Some(0 | 77)), "{output:?}");
    output.status.success()
}

fn change(installation: &Installation, arguments: &[&str]) -> Output {
    let mut command = Command::new(HEARTHKEEP);
    command
        .args([
            "keys",
            "passphrase",
            "--config",
            path(&installation.config()),
        ])
        .args(arguments);
    command.stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn said(output: &Output, code: i32, words: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(code) && text.contains(words),
        "{words}: {output:?}"
    );
}
