//! Playing to standard output: one stream over several runs, in formats that ffmpeg takes without a word.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/installation.rs"]
mod installation;
#[path = "common/judge.rs"]
mod judge;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Cameras, clip};
use installation::{CameraEntry, HEARTHKEEP, Installation, path};
use serde_json::Value;

#[test]
fn a_player_gets_one_stream() {
    build_media();
    let clip = clip("h264_small");
    let cameras = Cameras::start(&[&format!("door={}", clip.display())]);
    let url = cameras.url("door");
    let installation = Installation::new(&[CameraEntry {
        name: "door",
        url,
        more: "",
    }]);
    record_for(&installation, 5_000_000);
    // A gap that is longer than any step between pictures.
    std::thread::park_timeout(Duration::from_secs(2));
    record_for(&installation, 10_000_000);
    let list = installation.list(&[]);

    let whole = play(&installation, "whole.mp4", &[]);
    judge::decodes_silently_with_gaps(&whole);
    goes_on_in_time(&whole, &list);

    let first_run_ends = list[0]["end"].as_str().unwrap();
    let first_run = play(&installation, "run.mp4", &["--to", first_run_ends]);
    judge::exact(&first_run, &clip);

    for (format, name) in [("mpegts", "whole.ts"), ("matroska", "whole.mkv")] {
        let file = play(&installation, name, &["--format", format]);
        let packets = |file: &Path| packets(file, "v:0").len();
        assert_eq!(packets(&file), packets(&whole), "{format}");
    }
    let second_run_begins = list.as_array().unwrap().last().unwrap()["start"]
        .as_str()
        .unwrap();
    let png = play(
        &installation,
        "a.png",
        &["--format", "png", "--from", second_run_begins],
    );
    let png = std::fs::read(png).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.windows(4).any(|w| w == b"IEND"));

    a_player_that_quits(&installation);
    other_answers(&installation);
}

/// The span of wall time is that of the stream, gap included, and no time goes back.
fn goes_on_in_time(file: &Path, list: &Value) {
    let rows = list.as_array().unwrap();
    let (first, last) = (&rows[0], rows.last().unwrap());
    let us = |row: &Value, name: &str| row[name].as_i64().unwrap();
    let wall_s =
        (us(last, "start_us") + us(last, "duration_us") - us(first, "start_us")) as f64 / 1e6;
    for stream in ["v:0", "a:0"] {
        let times = packets(file, stream);
        assert!(times[0].abs() < 0.2, "{stream} begins at {} s", times[0]);
        let seconds = times.last().unwrap() - times[0];
        assert!(
            (seconds - wall_s).abs() < 0.5,
            "{stream}: {seconds} s of {wall_s} s"
        );
        let steps = || times.windows(2).map(|two| two[1] - two[0]);
        assert!(steps().all(|step| step > 0.0), "{stream} goes back");
        assert_eq!(
            steps().filter(|step| *step > 0.4).count(),
            1,
            "{stream}: the gap is kept"
        );
    }
}

fn a_player_that_quits(installation: &Installation) {
    for format in ["fmp4", "mpegts"] {
        let mut command = installation.command("play");
        let passphrase_file = installation.passphrase_file();
        command.args(["--camera", "door", "--format", format, "--passphrase-file"]);
        let mut child = command
            .arg(passphrase_file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut beginning = [0; 188];
        let mut player = child.stdout.take().unwrap();
        player.read_exact(&mut beginning).unwrap();
        drop(player);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{format}: {said}"
        );
    }
}

fn other_answers(installation: &Installation) {
    let nothing = ["--camera", "door", "--to", "2001-01-01T00:00:00Z"];
    assert_eq!(installation.run("play", &nothing).status.code(), Some(66));
    let stranger = installation.run("play", &["--camera", "attic"]);
    assert_eq!(stranger.status.code(), Some(66));
    // Alone in a folder and with an empty PATH there is no child to be found.
    let alone = installation.folder().join("hearthkeep");
    std::fs::copy(HEARTHKEEP, &alone).unwrap();
    let output = Command::new(alone)
        .args(["play", "--camera", "door", "--format", "mpegts", "--config"])
        .arg(installation.config())
        .arg("--passphrase-file")
        .arg(installation.passphrase_file())
        .env("PATH", "")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && said.contains("hearthkeep-media"),
        "{said}"
    );
}

fn record_for(installation: &Installation, until_us: u64) {
    let mut recorder = installation.start();
    recorder.until("it is recorded", Duration::from_secs(60), |list| {
        let rows = list.as_array().unwrap().iter();
        rows.map(|row| row["duration_us"].as_u64().unwrap())
            .sum::<u64>()
            >= until_us
    });
    let now = status(installation);
    assert_eq!(now["pid"], recorder.pid(), "{now:#}");
    let door = &now["cameras"][0];
    assert_eq!(
        (&door["camera"], &door["state"]),
        (&"door".into(), &"recording".into())
    );
    recorder.terminate();
    let now = status(installation);
    assert_eq!(
        (&now["running"], &now["claimed"]),
        (&false.into(), &true.into())
    );
    assert_eq!(now["cameras"][0]["state"], "stopped");
    let disk = &now["disks"][0];
    assert!(disk["error"].is_null() && disk["footage_bytes"].as_u64().unwrap() > 100_000);
    assert_eq!(now["fingerprint"].as_str().unwrap().len(), 95);
}

fn status(installation: &Installation) -> Value {
    let output = installation.run("status", &["--json"]);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn play(installation: &Installation, name: &str, more: &[&str]) -> PathBuf {
    let output = installation.run("play", &[&["--camera", "door"], more].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{more:?}: {said}"
    );
    let file = installation.folder().join(name);
    std::fs::write(&file, output.stdout).unwrap();
    file
}

/// Decode times of a stream's packets, in seconds.
fn packets(file: &Path, stream: &str) -> Vec<f64> {
    // FFmpeg's own remuxing to MPEG-TS puts parameter sets behind the SEI that needs them, and then complains of it once.
    let is_ts = file.extension().is_some_and(|extension| extension == "ts");
    let level = if is_ts { "fatal" } else { "warning" };
    let output = Command::new("ffprobe")
        .args(["-v", level, "-select_streams", stream])
        .args([
            "-show_entries",
            "packet=dts_time",
            "-of",
            "csv=p=0",
            path(file),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let number = |line: &str| line.trim_matches([',', ' ']).parse().ok();
    text.lines().filter_map(number).collect()
}

/// The child is a program of its own: building the recorder's tests does not build it.
fn build_media() {
    let folder = Path::new(HEARTHKEEP).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "-p",
        "hearthkeep-media",
        "--target-dir",
    ]);
    cargo.arg(folder.parent().unwrap());
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success());
}

#[test]
fn times_carry_the_offset_of_the_time_zone() {
    let cameras = Cameras::start(&[&format!("door={}", path(&clip("h264_small")))]);
    let urls = [cameras.url("door").to_owned()];
    let installation = Installation::new(&CameraEntry::plain(&["door"], &urls));
    let mut recorder = installation.start();
    recorder.until("it is recorded", Duration::from_secs(60), |list| {
        list[0]["duration_us"].as_u64() > Some(2_000_000)
    });
    recorder.terminate();
    let first = installation.list(&[])[0]["start_us"].as_i64().unwrap();
    let first = jiff::Timestamp::from_microsecond(first).unwrap();
    for name in ["Europe/Berlin", "America/St_Johns", "UTC"] {
        let zone = jiff::tz::TimeZone::get(name).unwrap();
        let offset = first.to_zoned(zone).offset();
        let mut list = installation.command("list");
        list.args(["--local-time", "--json"]).env("TZ", name);
        let list: serde_json::Value =
            serde_json::from_slice(&list.output().unwrap().stdout).unwrap();
        let shown = list[0]["start"].as_str().unwrap();
        assert_eq!(
            shown,
            first.display_with_offset(offset).to_string(),
            "{name}"
        );

        let file = installation.folder().join("local.mp4");
        let mut export = installation.command("export");
        export.args([
            "--camera",
            "door",
            "--out",
            path(&file),
            "--passphrase-file",
        ]);
        let export = export
            .arg(installation.passphrase_file())
            .env("TZ", name)
            .output()
            .unwrap();
        assert!(export.status.success(), "{export:?}");
        let tags = tags(&file);
        let date = tags["com.apple.quicktime.creationdate"].as_str().unwrap();
        let date = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%z", date).unwrap();
        assert_eq!(date.offset(), Some(offset), "{name}");
        let date = date.to_timestamp().unwrap();
        let utc: jiff::Timestamp = tags["creation_time"].as_str().unwrap().parse().unwrap();
        for time in [date, utc] {
            let away_s = time.duration_since(first).as_secs();
            assert!(away_s.abs() <= 1, "{name}: {time} is not {first}");
        }
    }
}

/// What ffprobe finds a file to say of itself.
fn tags(file: &Path) -> serde_json::Value {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "warning",
            "-show_entries",
            "format_tags",
            "-of",
            "json",
            path(file),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    found["format"]["tags"].clone()
}
