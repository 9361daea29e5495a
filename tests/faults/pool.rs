//! A disk that hangs and is then unplugged: what had ended well and only waited for it is a gap that is told, and so is where the
//! footage is that the disk has.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::durable::{are_durable, durable_us, until_durable, visited};
use super::fuse_disk::{Asked, FuseDisk};
use super::installation::{Installation, await_condition, path};
use super::rows::{end_us, now_us, number, start_us, text};
use super::street::Street;
use super::viewer::Visit;

const LONG: Duration = Duration::from_secs(60);
/// Within which it must be told.
const TOLD: Duration = Duration::from_secs(10);

pub fn a_disk_that_goes_takes_along_what_was_queued() {
    let mut street = Street::new(1);
    let installation = Installation::unmade(&street.entries());
    let [behind, other] = ["behind", "other"].map(|name| installation.folder().join(name));
    std::fs::create_dir(&behind).unwrap();
    std::fs::create_dir(&other).unwrap();
    let disk = FuseDisk::mount(&behind, &installation.footage());
    let mut entries = street.entries();
    entries[0].more = "disk = \"footage\"";
    installation.write_config_with_disks(&entries, &["footage", "other"]);
    installation.init();
    let name = street.names[0].clone();
    let mut recorder = installation.start();
    let (visit, ids) = visited(&installation, &mut recorder);
    let id = &ids[0];
    until_durable(&visit, &ids, now_us());

    // A segment ends while nothing becomes durable: a part of it is in the queue only. The next goes on with the other disk as soon as
    // this one is late.
    let trouble = disk.faults.hang(&[Asked::Sync]);
    await_condition("some pictures come", LONG, || is_recording_for(&visit, 2.0));
    // From now on none more.
    let durable = durable_us(&visit, id);
    for _ in 0..2 {
        let waits = reconnects(&installation, &name);
        await_condition("some pictures come", LONG, || is_recording_for(&visit, 2.0));
        street.cameras.tell(&format!("drop {name}"));
        await_condition("it is connected again", LONG, || {
            reconnects(&installation, &name) > waits
        });
    }
    let gone = Instant::now();
    let unmounted = Command::new("umount")
        .arg("--lazy")
        .arg(installation.footage())
        .status();
    assert!(unmounted.unwrap().success());
    let hole = || {
        let timeline = visit.timeline(id);
        let gaps = timeline["gaps"].as_array().unwrap().clone();
        let lost = gaps.into_iter().filter(|gap| gap["cause"] == "disk-error");
        lost.min_by_key(|gap| gap["start_us"].as_i64())
    };
    await_condition("the hole is told", TOLD, || {
        let is_told = |gap: Value| (gap["start_us"].as_i64().unwrap() - durable).abs() < 1_000_000;
        hole().is_some_and(is_told)
            && installation
                .log()
                .contains("of footage that waited to be written are lost")
    });
    println!("the hole is told after {:?}", gone.elapsed());
    let lost_s = metric(
        &installation,
        &format!(
            "hearthkeep_stream_gap_seconds_total{{camera=\"{name}\",feed=\"main\",cause=\"disk-error\"}}"
        ),
    );
    assert!(lost_s > 1.0, "{lost_s} s");
    // It goes on with the other disk.
    let from_us = now_us();
    await_condition("it is recorded elsewhere", LONG, || {
        are_durable(&visit, &ids, from_us)
    });

    // What the disk has is neither footage nor lost.
    let timeline = visit.timeline(id);
    let gaps = timeline["gaps"].as_array().unwrap();
    let away = gaps.iter().find(|gap| gap["cause"] == "away");
    let away = away.unwrap_or_else(|| panic!("{timeline:#}"));
    assert!(
        text(away, "sentence").contains(path(&installation.footage())),
        "{away:#}"
    );
    assert!((away["end_us"].as_i64().unwrap() - durable).abs() < 1_000_000);
    let here = timeline["segments"].as_array().unwrap();
    assert!(
        here.iter().all(|row| start_us(row) > durable),
        "{timeline:#}"
    );
    let catalogued = &first_on(&behind);
    let answer = visit
        .client()
        .get(&format!("/api/v1/segments/{id}/{catalogued}/index"));
    assert_eq!((answer.status, answer.code().as_str()), (409, "disk-away"));
    assert!(
        answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("plug it in")
    );
    let listed = installation.run("list", &[]);
    let said = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert!(
        said.contains("its disk is not mounted") && said.contains("footage"),
        "{said}"
    );
    let out = installation.folder().join("part.mp4");
    let exported = installation.run("export", &["--camera", &name, "--out", path(&out)]);
    assert_eq!(exported.status.code(), Some(1), "{exported:?}");
    assert!(String::from_utf8_lossy(&exported.stderr).contains("its disk is not mounted"));
    assert!(out.exists(), "the rest is there");

    drop(trouble);
    // The signed log has it, also for the next start.
    let end = here.iter().map(end_us).max().unwrap();
    assert!(end > from_us && number(&here[0], "bytes") > 0);
    recorder.terminate();
    drop(disk);
}

/// The id of the first segment on a disk.
fn first_on(disk: &std::path::Path) -> String {
    let mut files = Installation::files(&disk.join("footage"));
    files.retain(|file| path(file).ends_with(".hks"));
    files.sort_by_key(|file| std::fs::metadata(file).unwrap().modified().unwrap());
    files[0].file_stem().unwrap().to_str().unwrap().to_owned()
}

fn is_recording_for(visit: &Visit, seconds: f64) -> bool {
    let streams = visit.streams();
    let since_us = streams[0]["since_us"].as_i64().unwrap();
    streams[0]["state"] == "recording" && (now_us() - since_us) as f64 / 1e6 > seconds
}

fn reconnects(installation: &Installation, camera: &str) -> f64 {
    metric(
        installation,
        &format!("hearthkeep_stream_reconnects_total{{camera=\"{camera}\",feed=\"main\"}}"),
    )
}

/// The value of a sample; 0 where there is none.
fn metric(installation: &Installation, sample: &str) -> f64 {
    let output = installation.run("status", &["--metrics"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(sample));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}
