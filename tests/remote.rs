//! Footage of a running box, read over HTTPS with its pinned certificate: the same as from its disks.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/installation.rs"]
mod installation;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::{Cameras, clip};
use installation::{CameraEntry, HEARTHKEEP, Installation, await_condition, path};
use serde_json::Value;

#[test]
fn a_box_is_read_over_https() {
    let cameras = Cameras::start(&[&format!("door={}", clip("h264_small").display())]);
    let installation = Installation::new(&[CameraEntry {
        name: "door",
        url: cameras.url("door"),
        more: "",
    }]);
    let mut recorder = installation.start();
    recorder.until("it is recorded", Duration::from_secs(60), |list| {
        list[0]["duration_us"]
            .as_u64()
            .is_some_and(|us| us > 8_000_000)
    });
    let asked = Box::of(&installation);
    let end = rfc3339(installation.list(&[])[0]["start_us"].as_i64().unwrap() + 5_000_000);

    let listed = asked.run("list", &["--json"]);
    assert!(listed.status.success(), "{listed:?}");
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let local = installation.list(&[]);
    for name in [
        "camera", "feed", "stream", "segment", "start", "sequence", "state",
    ] {
        assert_eq!(listed[0][name], local[0][name], "{name}");
    }

    // The segment is still being written; up to here it is the same from both sides.
    let span = ["--camera", "door", "--to", &end];
    let remote = asked.run("play", &span);
    assert!(remote.status.success(), "{remote:?}");
    assert!(remote.stdout.len() > 100_000);
    assert!(remote.stdout == installation.run("play", &span).stdout);
    for side in ["here", "there"] {
        let file = installation.folder().join(side);
        let arguments = [&span[..], &["--out", path(&file)]].concat();
        let output = match side {
            "here" => installation.run("export", &arguments),
            _ => asked.run("export", &arguments),
        };
        assert!(output.status.success(), "{output:?}");
    }
    let read = |side| std::fs::read(installation.folder().join(side)).unwrap();
    assert!(read("here") == read("there"));

    refusals(&asked, &installation);
    drop(recorder);
    assert_eq!(asked.run("list", &[]).status.code(), Some(69));
}

#[test]
fn the_right_box_under_a_wrong_name_is_told_from_a_wrong_box() {
    let installation = Installation::new(&[]);
    let config = std::fs::read_to_string(installation.config()).unwrap();
    // An address of this machine that no certificate stands for.
    let config = config.replace("127.0.0.1:0", "127.0.0.2:0");
    std::fs::write(installation.config(), &config).unwrap();
    let recorder = installation.start();
    let asked = Box::of(&installation);
    let output = asked.run("list", &[]);
    said(&output, 77, "its certificate does not stand for 127.0.0.2");
    recorder.terminate();
}

fn refusals(asked: &Box, installation: &Installation) {
    let stranger = Box {
        fingerprint: "00".repeat(32),
        ..asked.clone()
    };
    said(
        &stranger.run("list", &[]),
        77,
        "is not the box with this fingerprint",
    );
    let wrong = installation.folder().join("wrong");
    std::fs::write(&wrong, "not the passphrase at all\n").unwrap();
    let wrong = Box {
        passphrase_file: path(&wrong).to_owned(),
        ..asked.clone()
    };
    said(&wrong.run("list", &[]), 77, "the box says");
    let log = installation.log();
    assert!(log.contains("a sign-in was refused"), "{log}");
    assert!(!log.contains("not the passphrase at all"), "{log}");
    said(&asked.run("play", &["--camera", "attic"]), 66, "\"door\"");
    let config = installation.config();
    said(
        &asked.run("list", &["--config", path(&config)]),
        2,
        "cannot be used with",
    );
}

fn said(output: &Output, code: i32, words: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(code) && text.contains(words),
        "{code}: {output:?}"
    );
}

#[derive(Clone)]
struct Box {
    url: String,
    fingerprint: String,
    passphrase_file: String,
}

impl Box {
    fn of(installation: &Installation) -> Self {
        let mut address = None;
        await_condition("the address in the log", Duration::from_secs(30), || {
            let log = installation.log();
            let found = log.split("address=").nth(1);
            address = found.and_then(|rest| Some(rest.split_whitespace().next()?.to_owned()));
            address.is_some()
        });
        let status = installation.run("status", &["--json"]);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        Self {
            url: format!("https://{}", address.unwrap()),
            fingerprint: status["fingerprint"].as_str().unwrap().to_owned(),
            passphrase_file: path(&installation.passphrase_file()).to_owned(),
        }
    }

    /// In a folder without a configuration, as on another machine.
    fn run(&self, subcommand: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(HEARTHKEEP);
        command
            .env_remove("HOME")
            .env_remove("XDG_STATE_HOME")
            .arg(subcommand)
            .args(["--box", &self.url, "--fingerprint", &self.fingerprint]);
        command
            .args(["--passphrase-file", &self.passphrase_file])
            .args(arguments);
        command
            .current_dir(Path::new("/"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

fn rfc3339(wall_us: i64) -> String {
    jiff::Timestamp::from_microsecond(wall_us)
        .unwrap()
        .to_string()
}
