//! Nothing readable on the disk: a scan of every byte that a run leaves behind, a disk and the kit alone, and the state
//! folder without passphrase and kit.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/installation.rs"]
mod installation;
#[path = "../common/judge.rs"]
mod judge;
mod scan;
mod state;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::{Cameras, clip};
use hearthkeep_format::{Identity, kit};
use installation::{CameraEntry, HEARTHKEEP, Installation, PASSPHRASE, path, read};
use scan::nothing_is_readable;
use serde_json::Value;
use state::the_state_folder_opens_no_past_segment;

const USER: &str = "Quillfeather";
const PASSWORD: &str = "Canary-8Xq7-Wendeltreppe";
const NAMES: [&str; 2] = ["Gartenhaus Nord", "Kellertreppe"];
const CLIPS: [&str; 2] = ["h264_small", "h265_small"];

/// Two cameras behind a login, recorded for some seconds, listed and exported; `clips` is what they showed.
struct AfterARun {
    installation: Installation,
    clips: Vec<PathBuf>,
    secrets: Vec<(&'static str, String)>,
}

impl AfterARun {
    fn new() -> Self {
        let clips: Vec<_> = CLIPS.iter().map(|name| clip(name)).collect();
        let shown = ["one", "two"].iter().zip(&clips);
        let shown: Vec<_> = shown
            .map(|(name, clip)| format!("{name}={}", clip.display()))
            .collect();
        let cameras =
            Cameras::start(&["--user", USER, "--password", PASSWORD, &shown[0], &shown[1]]);
        let passwords = tempfile::tempdir().unwrap();
        let password_file = passwords.path().join("kellertreppe.pw");
        std::fs::write(&password_file, format!("{PASSWORD}\n")).unwrap();
        let url = cameras
            .url("one")
            .replace("rtsp://", &format!("rtsp://{USER}:{PASSWORD}@"));
        let more = format!(
            "username = \"{USER}\"\npassword_file = \"{}\"",
            password_file.display()
        );
        let installation = Installation::new(&[
            CameraEntry {
                name: NAMES[0],
                url: &url,
                more: "",
            },
            CameraEntry {
                name: NAMES[1],
                url: cameras.url("two"),
                more: &more,
            },
        ]);
        // Twice, so that there are several epochs, and a segment that ended as it should in each.
        for recorded in [6_000_000, 12_000_000] {
            let mut recorder = installation.start();
            recorder.until(
                "both cameras are recorded",
                Duration::from_secs(60),
                |list| {
                    let of = |name| {
                        list.as_array()
                            .unwrap()
                            .iter()
                            .filter(move |row| row["camera"] == name)
                    };
                    let long = |name| {
                        of(name)
                            .map(|row| row["duration_us"].as_u64().unwrap())
                            .sum::<u64>()
                    };
                    NAMES.iter().all(|name| long(*name) >= recorded)
                },
            );
            recorder.terminate();
        }
        let host = cameras
            .url("one")
            .trim_start_matches("rtsp://")
            .trim_end_matches("/one")
            .to_owned();
        let kit_text = std::fs::read_to_string(installation.kit_file()).unwrap();
        let mut secrets = vec![
            ("a camera's name", NAMES[0].to_owned()),
            ("a camera's name", NAMES[1].to_owned()),
            ("a user name", USER.to_owned()),
            ("a password", PASSWORD.to_owned()),
            (
                "a user name and password as Basic sends them",
                BASE64.encode(format!("{USER}:{PASSWORD}")),
            ),
            ("the passphrase", PASSPHRASE.to_owned()),
            ("a camera's address", host),
            ("a camera's address", "rtsp://".to_owned()),
            ("a secret key as text", "AGE-SECRET-KEY".to_owned()),
        ];
        let groups = kit::groups(&kit::parse(&kit_text).unwrap());
        let groups = groups.iter().filter(|group| group.len() >= 6);
        secrets.extend(groups.map(|group| ("a group of the kit", group.to_string())));
        Self {
            installation,
            clips,
            secrets,
        }
    }

    fn export(&self, camera: &str) -> PathBuf {
        let mp4 = self.installation.folder().join(format!("{camera}.mp4"));
        let output = self
            .installation
            .run("export", &["--camera", camera, "--out", path(&mp4)]);
        assert!(output.status.success(), "{output:?}");
        mp4
    }
}

#[test]
fn a_disk_and_a_state_folder_tell_nothing() {
    let run = AfterARun::new();
    let exports: Vec<_> = NAMES.iter().map(|name| run.export(name)).collect();
    nothing_is_readable(&run, &exports);
    a_disk_and_the_kit_are_enough(&run, &exports);
    the_state_folder_opens_no_past_segment(&run);
}

fn a_disk_and_the_kit_are_enough(run: &AfterARun, exports: &[PathBuf]) {
    let elsewhere = tempfile::tempdir().unwrap();
    let disk = elsewhere.path().join("disk");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(run.installation.footage())
        .arg(&disk)
        .status();
    assert!(copied.unwrap().success());
    let kit_file = elsewhere.path().join("kit");
    std::fs::copy(run.installation.kit_file(), &kit_file).unwrap();

    for ((camera, export), clip) in NAMES.iter().zip(exports).zip(&run.clips) {
        let out = elsewhere.path().join("out.mp4");
        let output = on_disk(
            "export",
            &disk,
            Some(&kit_file),
            &["--camera", camera, "--out", path(&out)],
        );
        assert!(output.status.success(), "{output:?}");
        assert!(
            read(&out) == read(export),
            "the same as with passphrase, state folder and configuration"
        );
        let verdict = judge::slices(&out, &[clip], &["--gaps", "--av-ms-max", "40"]);
        assert_eq!(verdict["ok"], true, "{verdict:#}");
        let said: String = String::from_utf8(output.stderr).unwrap();
        let (_, after) = said.split_once("signing key of these disks: ").unwrap();
        let fingerprint = after.split_once(" (").unwrap().0;
        let page = std::fs::read_to_string(&kit_file).unwrap();
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        assert!(bare(&page).contains(&bare(fingerprint)), "{said}\n{page}");
    }
    let list = on_disk("list", &disk, Some(&kit_file), &["--json"]);
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(list, run.installation.list(&[]));
    let check = on_disk("check", &disk, Some(&kit_file), &[]);
    assert!(check.status.success(), "{check:?}");

    // Another kit does not open it, no kit is a mistake, and a bare folder is no disk.
    let other = Identity::from_seed([7; 32]);
    let other_kit = elsewhere.path().join("other kit");
    std::fs::write(&other_kit, other.to_text().as_str()).unwrap();
    let exports = ["--camera", NAMES[0], "--out", "-"];
    let code = |output: Output| (output.status.code(), output.stdout.len());
    assert_eq!(
        code(on_disk("export", &disk, Some(&other_kit), &exports)),
        (Some(77), 0)
    );
    assert_eq!(code(on_disk("export", &disk, None, &exports)), (Some(2), 0));
    let bare = on_disk("export", elsewhere.path(), Some(&kit_file), &exports);
    assert_eq!(bare.status.code(), Some(66), "{bare:?}");
}

fn on_disk(subcommand: &str, disk: &Path, kit: Option<&Path>, more: &[&str]) -> Output {
    let mut command = Command::new(HEARTHKEEP);
    command.arg(subcommand).arg("--disk").arg(disk).args(more);
    command.env_remove("HOME").env_remove("XDG_STATE_HOME");
    if let Some(kit) = kit {
        command.arg("--kit").arg(kit);
    }
    command.output().unwrap()
}

/// How many different bytes there are.
fn different(bytes: &[u8]) -> u32 {
    let mut seen = [0u64; 4];
    for byte in bytes {
        seen[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
    seen.iter().map(|bits| bits.count_ones()).sum()
}
