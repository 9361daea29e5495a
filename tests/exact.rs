//! Every slice and every AAC frame exactly once, from the camera through sealed segments to the exported file; and what
//! has arrived when the recorder is told to end is there afterwards.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/installation.rs"]
mod installation;
#[path = "common/judge.rs"]
mod judge;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Cameras, clip};
use installation::{CameraEntry, Installation, path};
use serde_json::Value;

/// What may be on its way from the camera when the recorder is told to end, in seconds.
const ON_ITS_WAY_S: f64 = 0.2;

struct Feed {
    name: &'static str,
    clip: PathBuf,
    pictures_per_s: f64,
}

/// Two cameras with H.264, one with H.265 and a sub-stream; all with AAC.
fn feeds() -> Vec<Feed> {
    let full = std::env::var("HEARTHKEEP_TEST_CLIPS").is_ok_and(|clips| clips == "full");
    let feed = |name, small, full_size: &str| {
        let name_of_clip = if full { full_size } else { small };
        let pictures_per_s = if name_of_clip.ends_with("p30") {
            30.0
        } else {
            15.0
        };
        Feed {
            name,
            clip: clip(name_of_clip),
            pictures_per_s,
        }
    };
    vec![
        feed("door", "h264_small", "h264_1080p30"),
        feed("garden", "h264_other", "h264_1080p30"),
        feed("garage", "h265_small", "h265_1080p30"),
        feed("sub", "h264_360p15", "h264_360p15"),
    ]
}

#[test]
fn every_slice_and_audio_frame_is_there_once() {
    let seconds = std::env::var("HEARTHKEEP_TEST_SECONDS").map_or(40, |s| s.parse().unwrap());
    let feeds = feeds();
    let shown: Vec<_> = feeds
        .iter()
        .map(|f| format!("{}={}", f.name, f.clip.display()))
        .collect();
    let mut cameras = Cameras::start(&shown.iter().map(String::as_str).collect::<Vec<_>>());
    let urls: Vec<_> = feeds
        .iter()
        .map(|f| cameras.url(f.name).to_owned())
        .collect();
    let entry = |(feed, url)| CameraEntry {
        name: Feed::name(feed),
        url,
        more: "",
    };
    let entries: Vec<_> = feeds
        .iter()
        .zip(urls.iter().map(String::as_str))
        .map(entry)
        .collect();
    let installation = Installation::new(&entries);

    let mut recorder = installation.start();
    let half = Duration::from_secs(seconds / 2).as_micros() as u64;
    let limit = Duration::from_secs(seconds + 60);
    recorder.until("half of the time is recorded", limit, |list| {
        feeds
            .iter()
            .all(|feed| recorded_us(list, feed.name) >= half)
    });
    export_while_recording(&installation, &feeds[0]);
    recorder.until("all of the time is recorded", limit, |list| {
        feeds
            .iter()
            .all(|feed| recorded_us(list, feed.name) >= 2 * half)
    });
    let last_sent: Vec<_> = feeds
        .iter()
        .map(|feed| last_picture_sent(&mut cameras, feed))
        .collect();
    let ended_us = now_us();
    recorder.terminate();

    let list = installation.list(&[]);
    for (feed, last_sent) in feeds.iter().zip(last_sent) {
        let mp4 = export(&installation, feed.name, &[]);
        let verdict = judge::exact(&mp4, &feed.clip);
        judge::decodes_silently(&mp4);
        println!("{}: {verdict:#}", feed.name);
        all_arrivals_are_there(feed, &list, ended_us, &verdict, last_sent);
    }
    let segments = |feed: &Feed| of_camera(&list, feed.name).count();
    assert!(
        segments(&feeds[0]) >= 2,
        "a segment's boundary was crossed: {list:#}"
    );
    assert!(
        list.as_array()
            .unwrap()
            .iter()
            .all(|row| row["state"] == "whole"),
        "{list:#}"
    );

    a_span_inside(&installation, &feeds[0], &list);
    to_standard_output(&installation, &feeds[1]);
    by_the_kit(&installation, &feeds[2]);
}

impl Feed {
    fn name(&self) -> &'static str {
        self.name
    }
}

/// Reading works beside the recorder, up to what is durable.
fn export_while_recording(installation: &Installation, feed: &Feed) {
    let mp4 = export(installation, feed.name, &[]);
    let verdict = judge::exact(&mp4, &feed.clip);
    judge::decodes_silently(&mp4);
    assert!(verdict["video"]["count"].as_u64().unwrap() > 0);
}

/// The pictures are as many as the time says, and the last that was sent is there, but for what was on its way.
fn all_arrivals_are_there(
    feed: &Feed,
    list: &Value,
    ended_us: i64,
    verdict: &Value,
    last_sent: i64,
) {
    let first_us = of_camera(list, feed.name)
        .map(|row| row["start_us"].as_i64().unwrap())
        .min();
    let count = verdict["video"]["count"].as_f64().unwrap();
    let due = ((ended_us - first_us.unwrap()) as f64 / 1e6 - ON_ITS_WAY_S) * feed.pictures_per_s;
    assert!(
        count >= due.floor(),
        "{}: {count} pictures, {due} were due",
        feed.name
    );

    let loop_pictures = (8.0 * feed.pictures_per_s) as i64;
    let last_recorded = verdict["video"]["last_index"].as_i64().unwrap();
    // It may also have sent some more since it was asked.
    let missing = (last_sent - last_recorded + loop_pictures / 2).rem_euclid(loop_pictures)
        - loop_pictures / 2;
    let allowed = (ON_ITS_WAY_S * feed.pictures_per_s).ceil() as i64;
    println!(
        "{}: {missing} of {allowed} pictures missing at the end",
        feed.name
    );
    assert!(
        missing <= allowed,
        "{}: {missing} pictures are missing at the end",
        feed.name
    );
}

fn a_span_inside(installation: &Installation, feed: &Feed, list: &Value) {
    // Across the first boundary of segments.
    let first = of_camera(list, feed.name).next().unwrap();
    let end_us = first["start_us"].as_i64().unwrap() + first["duration_us"].as_i64().unwrap();
    let (from, to) = (rfc3339(end_us - 5_300_000), rfc3339(end_us + 4_200_000));
    let within = installation.list(&["--camera", feed.name, "--from", &from, "--to", &to]);
    let ids = |list: &Value, count: usize| -> Vec<Value> {
        let rows = of_camera(list, feed.name).take(count);
        rows.map(|row| row["segment"].clone()).collect()
    };
    assert_eq!(within.as_array().unwrap().len(), 2, "{within:#}");
    assert_eq!(ids(&within, 2), ids(list, 2));
    let mp4 = export(installation, feed.name, &["--from", &from, "--to", &to]);
    let verdict = judge::exact(&mp4, &feed.clip);
    judge::decodes_silently(&mp4);
    // It begins at the key frame before, and ends with the fragment that the end lies in.
    let seconds = verdict["video"]["seconds"].as_f64().unwrap();
    let key_frames_apart = if feed.pictures_per_s > 15.0 { 2.0 } else { 1.0 };
    assert!(
        (9.4..9.5 + key_frames_apart + 0.6).contains(&seconds),
        "{seconds} s: {verdict:#}"
    );
}

fn to_standard_output(installation: &Installation, feed: &Feed) {
    let output = installation.run("export", &["--camera", feed.name, "--out", "-"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let to_file = std::fs::read(export(installation, feed.name, &[])).unwrap();
    assert!(
        output.stdout == to_file,
        "a file and standard output get the same"
    );
}

fn by_the_kit(installation: &Installation, feed: &Feed) {
    let by_passphrase = std::fs::read(export(installation, feed.name, &[])).unwrap();
    let kit = installation.kit_file();
    let by_kit = std::fs::read(export(installation, feed.name, &["--kit", path(&kit)])).unwrap();
    assert!(by_kit == by_passphrase);
}

fn export(installation: &Installation, camera: &str, more: &[&str]) -> PathBuf {
    let mp4 = installation.folder().join(format!("{camera}.mp4"));
    let output = installation.run(
        "export",
        &[&["--camera", camera, "--out", path(&mp4)], more].concat(),
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!Path::new(&format!("{}.part", mp4.display())).exists());
    mp4
}

fn of_camera<'a>(list: &'a Value, camera: &'a str) -> impl Iterator<Item = &'a Value> {
    list.as_array()
        .unwrap()
        .iter()
        .filter(move |row| row["camera"] == camera)
}

fn recorded_us(list: &Value, camera: &str) -> u64 {
    of_camera(list, camera)
        .map(|row| row["duration_us"].as_u64().unwrap())
        .sum()
}

/// The number in its clip of the picture that a camera has sent last.
fn last_picture_sent(cameras: &mut Cameras, feed: &Feed) -> i64 {
    let answer = cameras.ask(&format!("clock {}", feed.name));
    let number = answer
        .split(' ')
        .find_map(|word| word.strip_prefix("frame="));
    number
        .unwrap_or_else(|| panic!("{answer}"))
        .parse()
        .unwrap()
}

fn now_us() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_micros() as i64
}

fn rfc3339(wall_us: i64) -> String {
    jiff::Timestamp::from_microsecond(wall_us)
        .unwrap()
        .to_string()
}
