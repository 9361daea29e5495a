//! Judges of an export that know nothing of Hearthkeep: the test cameras' oracle, and ffmpeg.

#![allow(dead_code)]

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What `slices.py` says of a file that should be a piece of these endlessly repeated clips.
pub fn slices(file: &Path, clips: &[&Path], options: &[&str]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cameras/slices.py");
    let output = Command::new("/usr/bin/python3")
        .arg(script)
        .arg(file)
        .args(clips)
        .args(options)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The same, and fails unless all is exact: bytes, order, times, and sound in step within 40 ms.
pub fn exact(file: &Path, clip: &Path) -> Value {
    let verdict = slices(file, &[clip], &["--av-ms-max", "40"]);
    assert_eq!(verdict["ok"], true, "{}: {verdict:#}", file.display());
    verdict
}

/// Decodes all of a file with ffmpeg, which may not say a word.
pub fn decodes_silently(file: &Path) {
    decodes(file, &[]);
}

/// The same for a file with gaps: ffmpeg is not to press its pictures into the even rate that it guesses from them.
pub fn decodes_silently_with_gaps(file: &Path) {
    decodes(file, &["-fps_mode", "passthrough", "-enc_time_base", "-1"]);
}

fn decodes(file: &Path, options: &[&str]) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-v", "warning", "-i"])
        .arg(file)
        .args(options)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let is_silent = output.status.success() && said.trim().is_empty();
    assert!(is_silent, "{}: {said}", file.display());
}
