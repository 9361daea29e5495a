//! Starts the project's test cameras: a real RTSP server (GStreamer's) over clips made by ffmpeg.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// GStreamer's Python module belongs to the system's Python, not to the first one in the path.
const PYTHON: &str = "/usr/bin/python3";
const PACKAGES: &str = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base \
     gstreamer1.0-plugins-good ffmpeg fonts-dejavu-core";

/// A running camera server; dropping it ends it.
pub struct Cameras {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    urls: Vec<String>,
}

impl Cameras {
    /// Starts `cameras.py` with these arguments on a free port, and waits until it is ready.
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(PYTHON)
            .arg(folder().join("cameras.py"))
            .args(["--port", "0"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {PYTHON}: {error}"));
        let commands = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut urls = Vec::new();
        for line in answers.by_ref() {
            let line = line.unwrap();
            if line == "READY" {
                return Self {
                    child,
                    commands,
                    answers,
                    urls,
                };
            }
            urls.push(line);
        }
        let status = child.wait().unwrap();
        panic!("the test cameras ended ({status}); they need the packages: {PACKAGES}");
    }

    /// The address of a camera by its name.
    pub fn url(&self, name: &str) -> &str {
        let ending = format!("/{name}");
        let found = self.urls.iter().find(|url| url.ends_with(&ending));
        found.unwrap_or_else(|| panic!("no camera {name} among {:?}", self.urls))
    }

    /// Tells the server something, such as `stall door`, and waits until it has been done.
    pub fn tell(&mut self, command: &str) {
        let answer = self.ask(command);
        assert!(answer.starts_with("ok"), "{command}: {answer}");
    }

    /// What the server answers to a question, such as `clock door`.
    pub fn ask(&mut self, question: &str) -> String {
        writeln!(self.commands, "{question}").unwrap();
        let answer = self.answers.next();
        answer.expect("the test cameras have ended").unwrap()
    }
}

impl Drop for Cameras {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `NAME=PATH` of a clip as `make_clips.py` makes it; made once, then taken from its cache.
pub fn clip(name: &str) -> PathBuf {
    let output = Command::new(PYTHON)
        .arg(folder().join("make_clips.py"))
        .arg("--dir")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/clips"))
        .arg(name)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {PYTHON}: {error}"));
    assert!(
        output.status.success(),
        "clips cannot be made; they need the packages: {PACKAGES}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let path = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    PathBuf::from(path.unwrap_or_else(|| panic!("no clip {name}: {text}")))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cameras")
}
