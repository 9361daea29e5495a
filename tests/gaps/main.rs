//! Cameras that hang, end, leave and change while they are recorded: what the list says of it, that the footage on both sides
//! is exact, and that the log says it once.
#![allow(clippy::unwrap_used)]

#[path = "../web/client.rs"]
#[allow(dead_code)]
mod client;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/installation.rs"]
mod installation;
#[path = "../common/judge.rs"]
mod judge;
#[path = "../common/rows.rs"]
mod rows;
#[path = "../common/scripted.rs"]
mod scripted;
#[path = "../common/told_gap.rs"]
mod told_gap;
#[path = "../common/viewer.rs"]
mod viewer;

mod told;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Cameras, clip};
use installation::{CameraEntry, Installation, await_condition, path};
use rows::{now_us, text};
use serde_json::Value;
use viewer::{Viewer, Visit};

const LONG: Duration = Duration::from_secs(90);
/// A fragment: an export ends with the one that its end lies in.
const FRAGMENT_US: i64 = 500_000;

#[test]
fn each_gap_has_its_cause_and_costs_nothing_around_it() {
    let (small, other, h265) = (clip("h264_small"), clip("h264_other"), clip("h265_small"));
    let names = ["hangs", "ends", "leaves", "changes", "recodes"];
    let shown = names.map(|name| format!("{name}={}", small.display()));
    let mut cameras = Cameras::start(&shown.each_ref().map(String::as_str));
    let urls = names.map(|name| cameras.url(name).to_owned());
    let entries = CameraEntry::plain(&names, &urls);
    let installation = Installation::new(&entries);
    let mut recorder = installation.start();
    let all = |list: &Value, segments: usize, us: i64| {
        names.iter().all(|name| {
            let rows = rows(list, name);
            rows.len() >= segments && rows.last().is_some_and(|row| duration_us(row) >= us)
        })
    };
    recorder.until("all are recorded", LONG, |list| all(list, 1, 4_000_000));
    cameras.tell("stall hangs");
    cameras.tell("kill ends");
    cameras.tell("drop leaves");
    cameras.tell(&format!("switch changes {}", other.display()));
    cameras.tell(&format!("switch recodes {}", h265.display()));
    recorder.until("all but one are recorded again", LONG, |list| {
        let again = |name: &&str| rows(list, name).len() >= 2;
        names.iter().filter(|name| **name != "hangs").all(again)
    });
    recorder.until("the log says that it hangs", LONG, |_| {
        installation.log().contains("has sent no picture for")
    });
    assert!(installation.log().contains("cause=\"camera-stalled\""));
    cameras.tell("resume hangs");
    recorder.until("all are recorded again", LONG, |list| {
        all(list, 2, 4_000_000)
    });
    recorder.terminate();

    let list = installation.list(&[]);
    for (name, causes) in [
        ("hangs", &["camera-stalled"][..]),
        // The BYE is not passed on: the camera is silent from then on.
        ("ends", &["camera-stalled", "camera-lost"]),
        ("leaves", &["camera-lost"]),
        ("changes", &["parameters"]),
        // No camera changes its codec without ending its stream.
        ("recodes", &["camera-lost"]),
    ] {
        let rows = rows(&list, name);
        assert_eq!(rows.len(), 2, "{rows:#?}");
        assert!(rows.iter().all(|row| row["state"] == "whole"), "{rows:#?}");
        assert_eq!(rows[0]["gap_before"]["cause"], "start");
        let gap = &rows[1]["gap_before"];
        assert!(
            causes.iter().any(|cause| gap["cause"] == *cause),
            "{name}: {gap}"
        );
        let between = start_us(rows[1]) - start_us(rows[0]) - duration_us(rows[0]);
        // A run is anchored when it begins, by arrival: it may seem to begin just before the end of the last.
        let told = gap["length_us"].as_i64().unwrap_or(0);
        assert!(name != "changes" || told < 200_000, "{gap}");
        assert!(
            (told - between.max(0)).abs() <= 1_000,
            "{name}: {told} us, not {between}"
        );
    }

    for name in names {
        let rows = rows(&list, name);
        let after = match name {
            "changes" => &other,
            "recodes" => &h265,
            _ => &small,
        };
        let end = start_us(rows[0]) + duration_us(rows[0]);
        exact_span(&installation, name, start_us(rows[0]), rows[0], &small);
        // Two runs may seem to overlap by some milliseconds; the first is not wanted here.
        let from = end.max(start_us(rows[1])) + 1_000;
        exact_span(&installation, name, from, rows[1], after);
    }
    over_the_change(&installation, &rows(&list, "changes"), [&small, &other]);
    said_once(&installation.log(), "leaves");
    said_once(&installation.log(), "hangs");
}

/// One export over a change of parameter sets: every picture of both sides, in one file that decodes.
fn over_the_change(installation: &Installation, rows: &[&Value], clips: [&Path; 2]) {
    let mp4 = installation.folder().join("change.mp4");
    let arguments = ["--camera", "changes", "--out", path(&mp4)];
    let output = installation.run("export", &arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let verdict = judge::slices(&mp4, &clips, &["--av-ms-max", "40", "--gaps"]);
    assert_eq!(verdict["ok"], true, "{verdict:#}");
    // The new segment is placed by the clock of the box again, which may be some milliseconds later. Nothing is missing in them.
    let holes = ["video", "audio"].map(|kind| verdict[kind]["gaps"].as_array().unwrap());
    for hole in holes.into_iter().flatten() {
        let length_s = hole["to_s"].as_f64().unwrap() - hole["from_s"].as_f64().unwrap();
        assert!(length_s < 0.3, "{verdict:#}");
        let missing = &hole["missing_modulo_loop"];
        assert!(missing.is_null() || *missing == 0, "{verdict:#}");
    }
    let changes = verdict["video"]["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{verdict:#}");
    let changed_s = changes[0]["time_s"].as_f64().unwrap();
    let [before_s, all_s] = [
        duration_us(rows[0]) as f64 / 1e6,
        verdict["video"]["seconds"].as_f64().unwrap(),
    ];
    assert!((changed_s - before_s).abs() < 0.2, "{verdict:#}");
    let after_s = duration_us(rows[1]) as f64 / 1e6;
    assert!((all_s - before_s - after_s).abs() < 0.6, "{verdict:#}");
    judge::decodes_silently(&mp4);
}

#[test]
fn a_gap_is_told_while_it_lasts() {
    let clip = clip("h264_small");
    let cameras = Cameras::start(&[&format!("leaves={}", clip.display())]);
    let url = cameras.url("leaves").to_owned();
    let entry = CameraEntry {
        name: "leaves",
        url: &url,
        more: "",
    };
    let installation = Installation::new(&[entry]);
    let mut recorder = installation.start();
    recorder.until("it is recorded", LONG, |list| {
        rows(list, "leaves")
            .iter()
            .any(|row| duration_us(row) > 1_000_000)
    });
    assert_eq!(open_gap(&installation, "leaves"), Value::Null);
    drop(cameras);
    recorder.until("it is told", Duration::from_secs(10), |_| {
        open_gap(&installation, "leaves")["cause"] == "camera-lost"
    });
    let log = installation.log();
    assert!(log.contains("cause=\"camera-lost\""), "{log}");
    let since = open_gap(&installation, "leaves")["since"].clone();
    let listed = installation.list(&["--gaps"]);
    let lasting = rows(&listed, "leaves").last().copied().cloned().unwrap();
    assert_eq!(lasting["state"], "open-gap", "{listed:#}");
    assert_eq!(lasting["cause"], "camera-lost");
    assert_eq!(lasting["segment"], Value::Null);
    let table = String::from_utf8(installation.run("list", &[]).stdout).unwrap();
    assert!(
        table.contains("nothing is kept (camera-lost), and it lasts"),
        "{table}"
    );
    let without = installation.list(&[]);
    assert!(
        rows(&without, "leaves")
            .iter()
            .all(|row| row["state"] != "open-gap")
    );
    recorder.until("it is told from where footage ends", LONG, |list| {
        let end_us = start_us(&list[0]) + duration_us(&list[0]);
        since == rfc3339(end_us)
    });
    recorder.terminate();
    let listed = installation.list(&["--gaps"]);
    let states = rows(&listed, "leaves").into_iter().map(|row| &row["state"]);
    assert_eq!(
        states.collect::<Vec<_>>(),
        ["whole"],
        "nothing lasts while nothing runs"
    );
}

/// A damaged picture is kept and marked: what is outside the mark is exact, and the log keeps the mark over a restart.
#[test]
fn lost_packets_mark_what_they_may_have_damaged() {
    let small = clip("h264_small");
    let mut cameras = Cameras::start(&[&format!("loses={}", small.display())]);
    let url = cameras.url("loses").to_owned();
    let installation = Installation::new(&CameraEntry::plain(&["loses"], &[url]));
    let mut recorder = installation.start();
    let viewer = Viewer::new(&installation, &mut recorder);
    let visit = viewer.visit(&mut recorder);
    let recorded_until = |list: &Value, us: i64| {
        let last = rows(list, "loses").last().copied().cloned();
        last.is_some_and(|row| start_us(&row) + duration_us(&row) > us)
    };
    recorder.until("it is recorded", LONG, |list| {
        rows(list, "loses")
            .iter()
            .any(|row| duration_us(row) > 4_000_000)
    });
    let id = text(&visit.streams()[0], "id");
    let damaged = |visit: &Visit| visit.timeline(&id)["damaged"].as_array().unwrap().clone();
    assert_eq!(damaged(&visit), Vec::<Value>::new());
    let metric = "hearthkeep_stream_damaged_seconds_total{camera=\"loses\",feed=\"main\"} ";
    assert!(metrics(&installation).contains(&format!("{metric}0\n")));

    let lost_us = now_us();
    cameras.tell("lose loses 0.2");
    await_condition("it is marked while it lasts", LONG, || {
        !damaged(&visit).is_empty()
    });
    let seconds = (now_us() - lost_us) as f64 / 1e6;
    println!("marked {seconds:.1} s after the first packet may have been lost");
    assert!(
        damaged(&visit)[0]["sentence"]
            .as_str()
            .unwrap()
            .contains("Packets were lost")
    );
    cameras.tell("lose loses 0");
    let whole_us = now_us();
    await_condition("no more is marked", LONG, || {
        damaged(&visit).iter().all(|span| span["open"] == false)
    });
    assert!(!metrics(&installation).contains(&format!("{metric}0\n")));
    let said = installation.log();
    let said: Vec<_> = said
        .lines()
        .filter(|line| line.contains("Packets were lost"))
        .collect();
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(
        said[0].contains("camera-data") && said[0].contains("loses"),
        "{said:#?}"
    );
    recorder.until("whole pictures follow", LONG, |list| {
        recorded_until(list, whole_us + 5_000_000)
    });
    recorder.terminate();

    let mut recorder = installation.start();
    let visit = viewer.visit(&mut recorder);
    await_condition("the marks are still there", LONG, || {
        !damaged(&visit).is_empty()
    });
    let marks = damaged(&visit);
    let afar = installation.list_from_afar(&mut recorder);
    recorder.terminate();
    let (first_us, last_us) = (
        marks[0]["start_us"].as_i64().unwrap(),
        marks.last().unwrap()["end_us"].as_i64().unwrap(),
    );
    assert!(
        first_us > lost_us - 2_000_000 && last_us < whole_us + 3_000_000,
        "{marks:?}"
    );
    let list = installation.list(&[]);
    let rows = rows(&list, "loses");
    assert!(
        rows[0]["duration_us"].as_i64() > Some(last_us - start_us(rows[0])),
        "{list:#}"
    );
    for list in [&list, &afar] {
        let listed = listed_damage(list);
        assert_eq!(start_us(listed[0]), first_us, "{list:#}");
        let ends = listed.iter().map(|damage| damage["end_us"].as_i64());
        assert_eq!(ends.max().unwrap(), Some(last_us), "{list:#}");
    }
    let table = installation.run("list", &["--camera", "loses"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("(damaged for "), "{table}");
    // Sound is lost too, from when it was told to be; it damages no picture. What is sent is placed by its camera's clock, a little
    // to either side of when it was.
    let whole = |from_us: i64, to_us: i64| {
        let seconds = exact(&installation, "loses", (from_us, to_us), &small);
        let least = (to_us - from_us) as f64 / 1e6 - 0.6;
        assert!(seconds > least, "{seconds} of {least} s");
    };
    whole(start_us(rows[0]), first_us.min(lost_us) - 200_000);
    let end_us = start_us(rows[0]) + duration_us(rows[0]);
    whole(last_us.max(whole_us + 1_000_000), end_us);
}

/// What `list --json` calls damaged of the camera that loses packets.
fn listed_damage(list: &Value) -> Vec<&Value> {
    let listed = rows(list, "loses").into_iter();
    let listed = listed.filter_map(|row| row["damaged"].as_array());
    listed.flatten().collect()
}

fn metrics(installation: &Installation) -> String {
    let metrics = installation.run("status", &["--metrics"]);
    String::from_utf8(metrics.stdout).unwrap()
}

/// What a segment covers is exported exactly, and nothing of the clip is missing in it.
fn exact_span(installation: &Installation, camera: &str, from_us: i64, row: &Value, clip: &Path) {
    let end_us = start_us(row) + duration_us(row);
    let seconds = exact(installation, camera, (from_us, end_us), clip);
    let expected = duration_us(row) as f64 / 1e6;
    assert!(
        (expected - 0.6..expected + 0.1).contains(&seconds),
        "{camera}: {seconds} of {expected} s"
    );
}

/// Exports from the key frame before a span to its end, and compares it with the clip. Returns how long it is, in s.
fn exact(
    installation: &Installation,
    camera: &str,
    (from_us, end_us): (i64, i64),
    clip: &Path,
) -> f64 {
    let from = rfc3339(from_us);
    let to = rfc3339(end_us - FRAGMENT_US / 2);
    let mp4: PathBuf = installation.folder().join("span.mp4");
    let arguments = [
        "--camera",
        camera,
        "--from",
        &from,
        "--to",
        &to,
        "--out",
        path(&mp4),
    ];
    let output = installation.run("export", &arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let verdict = judge::exact(&mp4, clip);
    judge::decodes_silently(&mp4);
    std::fs::remove_file(mp4).unwrap();
    verdict["video"]["seconds"].as_f64().unwrap()
}

/// What `status` says of a gap while it lasts.
fn open_gap(installation: &Installation, camera: &str) -> Value {
    let output = installation.run("status", &["--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cameras = status["cameras"].as_array().unwrap();
    let row = cameras.iter().find(|row| row["camera"] == camera);
    row.unwrap()["gap"].clone()
}

/// One line when it went, one when it was back.
fn said_once(log: &str, camera: &str) {
    let lines = log
        .lines()
        .filter(|line| line.contains(&format!("camera={camera}")));
    let lines: Vec<_> = lines.collect();
    let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count("it is recorded again"), 1, "{lines:#?}");
    let troubles = lines.iter().filter(|line| line.contains("WARN")).count();
    assert_eq!(troubles, 1, "{lines:#?}");
}

fn rows<'a>(list: &'a Value, camera: &str) -> Vec<&'a Value> {
    let rows = list.as_array().unwrap().iter();
    rows.filter(|row| row["camera"] == camera).collect()
}

fn start_us(row: &Value) -> i64 {
    row["start_us"].as_i64().unwrap()
}

fn duration_us(row: &Value) -> i64 {
    row["duration_us"].as_i64().unwrap()
}

fn rfc3339(wall_us: i64) -> String {
    jiff::Timestamp::from_microsecond(wall_us)
        .unwrap()
        .to_string()
}
