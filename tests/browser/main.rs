//! The page of a real box in a real browser: claim, kit, sign-in, live and playback, judged by the counter in the pictures.
//!
//! `web-ui/e2e/run.mjs` drives Debian's chromium and prints what it saw; this test compares it with the cameras' own clock.
//! `gap.rs` has a camera go, come back and lose packets while the page is open;
//! `log.rs` has a browser come back to a store that somebody changed meanwhile;
//! `trouble.rs` shows the same page where things are wrong, driven by `web-ui/e2e/trouble.mjs`.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/copied.rs"]
mod copied;
mod gap;
#[path = "../common/installation.rs"]
mod installation;
mod log;
#[path = "../common/rows.rs"]
mod rows;
#[path = "../common/scripted.rs"]
mod scripted;
#[path = "../common/shifted.rs"]
mod shifted;
mod trouble;

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{Cameras, clip};
use copied::copy;
use installation::{CameraEntry, Installation, await_condition, path};
use serde_json::Value;

/// Pictures a second of the clip, and in one loop of it.
const FPS: f64 = 15.0;
const LOOP: f64 = 120.0;

/// How far the live picture may be behind the camera, and a picture that was sought from the time asked for: half a picture
/// and what the way through RTSP and the ingest thread adds.
const LIVE_LATENCY_S_MAX: f64 = 0.7;
const SEEK_ERROR_S_MAX: f64 = 0.35;
const FIRST_PICTURE_MS_MAX: f64 = 300.0;

/// Times are measured: one browser at a time.
static MACHINE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_box_is_claimed_watched_and_played_back() {
    let _alone = alone();
    let small = clip("h264_small");
    let mounts: Vec<_> = (1..=4).map(|n| format!("c{n}={}", path(&small))).collect();
    let mounts: Vec<_> = mounts.iter().map(String::as_str).collect();
    let mut cameras = Cameras::start(&mounts);
    let urls: Vec<_> = (1..=4)
        .map(|n| cameras.url(&format!("c{n}")).to_owned())
        .collect();
    let names = [
        "front door",
        "<img src=x onerror=alert(1)>",
        "garden",
        "yard",
    ];
    let entries = CameraEntry::plain(&names, &urls);
    let installation = Installation::unmade(&entries);
    let mut running = installation.start();
    let address = running.address();
    let code = installation.state().join("claim-code");
    await_condition("the claim code", Duration::from_secs(10), || code.exists());

    let seen = drive(
        &["e2e/run.mjs"],
        &[
            ("HEARTHKEEP_URL", &format!("https://{address}")),
            ("HEARTHKEEP_CLAIM_CODE_FILE", path(&code)),
            ("HEARTHKEEP_CAMERA", "front door"),
            ("HEARTHKEEP_TILES", "4"),
        ],
    );
    assert_eq!(seen["ok"], true, "{seen:#}\n{}", installation.log());
    assert!(
        !installation.log().contains("AGE-SECRET-KEY"),
        "the kit has no business in the log"
    );

    let clock = SourceClock::ask(&mut cameras, "c1");
    let live: Vec<f64> = numbers(&seen["live"]["samples"], |sample| {
        clock.behind(sample["value"].as_f64()?, sample["atMs"].as_f64()? / 1e3)
    });
    let latency = median(live);
    println!("live latency {latency:.3} s (median)");
    assert!(latency < LIVE_LATENCY_S_MAX, "{latency}");

    let seeks = &seen["playback"]["seeks"];
    let first = median(numbers(seeks, |seek| seek["firstPictureMs"].as_f64()));
    println!(
        "first picture after a seek {first} ms (median of {})",
        seeks.as_array().unwrap().len()
    );
    assert!(first < FIRST_PICTURE_MS_MAX, "{first}");
    let errors = numbers(seeks, |seek| {
        clock.error(seek["counter"].as_f64()?, seek["targetUs"].as_f64()? / 1e6)
    });
    for error in &errors {
        assert!(
            error.abs() < SEEK_ERROR_S_MAX,
            "a seek showed another time: {errors:?}"
        );
    }
    running.terminate();
}

/// Runs a driver of `web-ui/e2e` and returns what it saw.
fn drive(command: &[&str], settings: &[(&str, &str)]) -> Value {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut node = Command::new("node");
    node.args(command)
        .current_dir(format!("{root}/web-ui"))
        .envs(settings.iter().copied());
    let output = node
        .output()
        .expect("node is not installed: `make setup` does it");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!(
            "the browser could not be driven: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// The file of a segment, on the disk.
fn file_of(installation: &Installation, segment: &str) -> PathBuf {
    let files = Installation::files(&installation.footage());
    let file = files.into_iter().find(|file| path(file).contains(segment));
    file.unwrap()
}

/// Which picture a camera pushed when, in its own words.
struct SourceClock {
    picture: f64,
    unix_s: f64,
}

impl SourceClock {
    /// `clock c1` is answered by `clock c1 frame=<n> loop=<l> unix_us=<t>`.
    fn ask(cameras: &mut Cameras, name: &str) -> Self {
        let answer = cameras.ask(&format!("clock {name}"));
        let field = |key: &str| -> f64 {
            let value = answer
                .split(key)
                .nth(1)
                .and_then(|rest| rest.split_whitespace().next());
            value
                .and_then(|value| value.parse().ok())
                .unwrap_or_else(|| panic!("{answer}"))
        };
        Self {
            picture: field("frame="),
            unix_s: field("unix_us=") / 1e6,
        }
    }

    /// How long before `at` (s) the camera last pushed picture `counter`: 0 to one loop.
    fn behind(&self, counter: f64, at: f64) -> Option<f64> {
        let pushed = self.unix_s + (counter - self.picture) / FPS;
        Some((at - pushed).rem_euclid(LOOP / FPS))
    }

    /// The same around zero: half a loop before to half a loop after.
    fn error(&self, counter: f64, at: f64) -> Option<f64> {
        let behind = self.behind(counter, at)?;
        Some(if behind > LOOP / FPS / 2.0 {
            behind - LOOP / FPS
        } else {
            behind
        })
    }
}

fn numbers(rows: &Value, number: impl Fn(&Value) -> Option<f64>) -> Vec<f64> {
    let rows = rows.as_array().unwrap();
    assert!(!rows.is_empty());
    rows.iter().map(|row| number(row).unwrap()).collect()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
