//! The sandbox holds on this kernel, and what is done in it is done.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

const CLIP: &[u8] = include_bytes!("../../format/tests/data/h264_128x96.mp4");

fn media(task: &str, input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearthkeep-media"));
    command.arg(task).env("HEARTHKEEP_LOG", "debug");
    let pipes = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let written = stdin.write_all(input);
    // One picture is had before all was read.
    assert!(written.is_ok() || task == "picture");
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Which layers the child says are on.
fn layers(said: &str, name: &str) -> bool {
    said.lines()
        .any(|line| line.contains(&format!("{name}: on")))
}

#[test]
fn nothing_can_be_opened_connected_to_or_started() {
    let output = media("sandbox", b"");
    let said = String::from_utf8(output.stdout).unwrap();
    let erred = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{erred}");
    let refused = |what: &str| said.lines().any(|line| line == format!("{what}: refused"));
    for what in [
        "reading a file",
        "a socket",
        "a program",
        "a thread",
        "a signal to the parent",
        "other limits",
    ] {
        assert!(refused(&format!("seccomp: on: {what}")), "{what}\n{said}");
    }
    // A kernel may be without landlock; then it is said, and the calls are refused all the same.
    if !said.contains("landlock: off, this kernel has no landlock") {
        for what in ["reading a file", "writing a file", "listening"] {
            assert!(refused(&format!("landlock: on: {what}")), "{what}\n{said}");
        }
    }
    let files = said.lines().find_map(|line| {
        line.strip_prefix("limits: on: ")?
            .strip_suffix(" more files could be opened")
    });
    assert!(files.unwrap().parse::<u32>().unwrap() < 16, "{said}");
}

#[test]
fn every_task_is_done_inside() {
    // A plain MP4 whose index stands in front reads like a fragmented one.
    let beginnings: [(&str, &[u8]); 3] = [
        ("mpegts", b"\x47"),
        ("matroska", b"\x1a\x45\xdf\xa3"),
        ("picture", b"\x89PNG\r\n\x1a\n"),
    ];
    for (task, beginning) in beginnings {
        let output = media(task, CLIP);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{task}: {said}");
        assert!(output.stdout.starts_with(beginning), "{task}");
        for layer in ["limits", "seccomp"] {
            assert!(layers(&said, layer), "{task}: {said}");
        }
    }
}

#[test]
fn it_never_writes_to_a_file() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    let path = std::path::Path::new(folder).join("sandbox-output");
    let file = std::fs::File::create(&path).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hearthkeep-media"))
        .arg("matroska")
        .stdin(Stdio::piped())
        .stdout(file)
        .spawn()
        .unwrap();
    let written = io::copy(&mut &CLIP[..], &mut child.stdin.take().unwrap());
    assert!(written.is_ok());
    assert!(!child.wait().unwrap().success());
    assert_eq!(std::fs::metadata(path).unwrap().len(), 0);
}
