//! Starts without a disk to record on: it is told as long as it lasts and afterwards, and the commands lead out of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::commands::{camera, done, folder, listed, one_camera, refused};
use super::installation::{Installation, Running, await_condition, path};
use super::rows::{cause, end_us, now_us, number, of_stream, start_us};
use super::viewer::Viewer;

const LONG: Duration = Duration::from_secs(90);
/// From the begin of a gap until it is told, and from the return of a disk until it is recorded to.
const TOLD_US: i64 = 10_000_000;
const RESUMED_US: i64 = 15_000_000;

/// The footage's disk is not there: its path leads to a bare mount point. Where it is now.
pub fn lose(disk: &Path) -> PathBuf {
    let lost = disk.with_extension("lost");
    std::fs::rename(disk, &lost).unwrap();
    std::fs::create_dir(disk).unwrap();
    lost
}

fn until_recorded(recorder: &mut Running<'_>, segments: usize) {
    recorder.until("it is recorded", LONG, |list| {
        let rows = of_stream(list, "good");
        let well = rows
            .iter()
            .filter(|row| row["bytes"].as_u64() > Some(50_000));
        well.count() >= segments
    });
}

/// Waits until something is recorded to a disk.
fn until_it_is_on(disk: &Path) {
    let is_long = |file: &PathBuf| std::fs::metadata(file).is_ok_and(|facts| facts.len() > 50_000);
    await_condition("it is recorded there", LONG, || {
        super::mounts::segments(disk).iter().any(is_long)
    });
}

/// A metric's value, of the cause where one is named.
fn metric(installation: &Installation, name: &str, cause: &str) -> Option<f64> {
    let text = installation.run("status", &["--metrics"]).stdout;
    let text = String::from_utf8(text).unwrap();
    let mut lines = text.lines();
    let is_it = |line: &&str| line.starts_with(&format!("{name}{{")) && line.contains(cause);
    let line = lines.find(is_it)?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn a_start_that_waits_for_its_disk_is_an_open_gap_and_another_one_than_that_before_it() {
    let (_cameras, url) = one_camera();
    let installation = Installation::new(&[camera(&url)]);
    let mut recorder = installation.start();
    until_recorded(&mut recorder, 1);
    let viewer = Viewer::new(&installation, &mut recorder);
    recorder.terminate();
    let before = installation.list(&[]);
    let ended_us = end_us(of_stream(&before, "good")[0]);

    let lost = lose(&installation.footage());
    // What is shorter than half a second is no gap of its own.
    await_condition("it is off for a while", LONG, || {
        now_us() > ended_us + 2_000_000
    });
    let begun_us = now_us();
    let mut recorder = installation.start();
    await_condition("the metrics tell it", LONG, || {
        metric(&installation, "hearthkeep_stream_gap_open", "") == Some(1.0)
    });
    let told_us = now_us();
    let open = "hearthkeep_stream_gap_open_seconds";
    assert!(metric(&installation, open, "\"disk-error\"").is_some());
    let age = metric(&installation, "hearthkeep_stream_durable_age_seconds", "");
    assert!(age >= Some((begun_us - ended_us) as f64 / 1e6), "{age:?}");
    let status = installation.run("status", &["--json"]);
    assert_eq!(status.status.code(), Some(4));
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let gap = &status["cameras"][0]["gap"];
    assert_eq!(gap["cause"], "disk-error", "{status:#}");
    assert!(
        installation
            .log()
            .contains("nothing is recorded: there is no disk")
    );
    let visit = viewer.visit(&mut recorder);
    let streams = visit.streams();
    assert_eq!(streams[0]["gap"]["cause"], "disk-error", "{streams:?}");
    let id = streams[0]["id"].as_str().unwrap();
    let timeline = visit.timeline(id);
    let gap = &timeline["gaps"][0];
    assert!(
        gap["open"] == true && gap["cause"] == "disk-error" && start_us(gap) >= begun_us,
        "{timeline:#}"
    );
    let waited_us = start_us(gap);
    println!("told after {:.1} s", (told_us - waited_us) as f64 / 1e6);
    assert!(told_us - waited_us < TOLD_US);

    std::fs::remove_dir(installation.footage()).unwrap();
    std::fs::rename(lost, installation.footage()).unwrap();
    let returned_us = now_us();
    until_recorded(&mut recorder, 2);
    let told = |gaps: &Value| -> Vec<(String, i64, i64)> {
        let gaps = gaps.as_array().unwrap().iter();
        let told = |gap: &Value| {
            (
                gap["cause"].as_str().unwrap().to_owned(),
                start_us(gap),
                gap["end_us"].as_i64().unwrap(),
            )
        };
        gaps.map(told).collect()
    };
    let mut gaps = Vec::new();
    await_condition("the log says what was before", LONG, || {
        gaps = told(&visit.timeline(id)["gaps"]);
        gaps.len() == 2 && gaps.iter().all(|(cause, ..)| cause != "unknown")
    });
    let causes: Vec<_> = gaps.iter().map(|(cause, ..)| cause.as_str()).collect();
    assert_eq!(causes, ["shutdown", "disk-error"], "{gaps:?}");
    let near = |one: i64, other: i64| (one - other).abs() < 600_000;
    assert!(
        near(gaps[0].1, ended_us) && near(gaps[0].2, waited_us),
        "{gaps:?}"
    );
    assert!(near(gaps[1].1, waited_us), "{gaps:?}");
    let said = installation.log();
    let said = said.split("nothing was recorded for ").last().unwrap();
    let (said_s, _) = said.split_once(" s before this start").unwrap();
    let said_us = (said_s.parse::<f64>().unwrap() * 1e6) as i64;
    assert!(near(said_us, waited_us - ended_us), "{said_us}: {gaps:?}");
    recorder.terminate();

    let list = installation.list(&["--gaps"]);
    let rows = list.as_array().unwrap();
    let alone: Vec<_> = rows.iter().filter(|row| row["state"] == "gap").collect();
    assert_eq!(alone.len(), 1, "{list:#}");
    assert_eq!(alone[0]["cause"], "shutdown");
    assert!(near(start_us(alone[0]), ended_us) && near(end_us(alone[0]), waited_us));
    let later = |row: &&Value| start_us(row) > waited_us && row["segment"].is_string();
    let next = rows.iter().find(later).unwrap();
    assert_eq!(cause(next), Some("disk-error"), "{list:#}");
    let resumed_us = start_us(next) - returned_us;
    println!("recorded after {:.1} s", resumed_us as f64 / 1e6);
    assert!(resumed_us < RESUMED_US);
    let length_us = number(&next["gap_before"], "length_us") as i64;
    assert!(near(start_us(next) - length_us, waited_us), "{list:#}");
    assert_eq!(installation.run("check", &[]).status.code(), Some(0));
}

#[test]
fn where_the_only_disk_is_lost_another_one_takes_over_without_a_restart() {
    let (_cameras, url) = one_camera();
    let installation = Installation::new(&[camera(&url)]);
    let mut recorder = installation.start();
    until_recorded(&mut recorder, 1);
    recorder.terminate();
    let footage = installation.footage();
    let before = listed(&installation, &footage);
    lose(&footage);
    let is_told = || {
        let row = listed(&installation, &footage);
        assert_eq!(
            (&row["state"], &row["id"]),
            (&"absent".into(), &before["id"])
        );
        assert_eq!(row["used_bytes"], before["used_bytes"]);
        let error = row["error"].as_str().unwrap();
        assert!(error.contains("disk add --replace"), "{error}");
        refused(
            &installation,
            &["add", path(&footage)],
            1,
            "disk add --replace",
        );
        let retire = ["retire", path(&footage), "--forget"];
        refused(&installation, &retire, 1, "`hearthkeep disk add`");
        assert!(Installation::files(&footage).is_empty());
    };
    is_told();
    let recorder = installation.start();
    await_condition("it waits", LONG, || {
        installation
            .log()
            .contains("nothing is recorded: there is no disk")
    });
    is_told();

    // At another folder first; then the lost one goes.
    let new = folder(&installation, "new");
    done(&installation, &["add", path(&new)]);
    await_condition("it is in use", LONG, || {
        listed(&installation, &new)["state"] == "in use"
    });
    until_it_is_on(&new);
    let told = done(&installation, &["retire", path(&footage), "--forget"]);
    assert!(told.contains("With it went"), "{told}");
    recorder.terminate();

    // At its own folder, with a recorder that waits.
    let lost = lose(&new);
    let recorder = installation.start();
    await_condition("it waits again", LONG, || {
        let log = installation.log();
        log.matches("nothing is recorded: there is no disk").count() == 2
    });
    let config = std::fs::read(installation.config()).unwrap();
    let old_id = listed(&installation, &new)["id"].clone();
    // What the log cannot be told now undoes nothing.
    let in_the_way = installation.state().join(".log.audits.sealed.new");
    std::fs::create_dir(&in_the_way).unwrap();
    done(&installation, &["add", "--replace", path(&new)]);
    std::fs::remove_dir(&in_the_way).unwrap();
    assert!(
        installation
            .log()
            .contains("the signed log will not say so")
    );
    assert_eq!(std::fs::read(installation.config()).unwrap(), config);
    await_condition("it is in use", LONG, || {
        listed(&installation, &new)["state"] == "in use"
    });
    assert_ne!(listed(&installation, &new)["id"], old_id);
    refused(
        &installation,
        &["add", "--replace", path(&new)],
        1,
        "already",
    );
    until_it_is_on(&new);
    recorder.terminate();
    refused(
        &installation,
        &["add", "--replace", path(&new)],
        1,
        "not lost",
    );
    // With them the log was lost, which who looked before is told; all else is well.
    let check = installation.run("check", &[]);
    let [found, said] = [&check.stdout, &check.stderr].map(|text| String::from_utf8_lossy(text));
    assert_eq!(check.status.code(), Some(65), "{check:?}");
    assert!(
        said.contains("signed log") && found.contains("0 damaged"),
        "{check:?}"
    );
    // The old one is not taken by mistake.
    installation.write_config_with_disks(&[camera(&url)], &["new", path(&lost)]);
    let error = listed(&installation, &lost)["error"].clone();
    assert!(error.as_str().unwrap().contains("was retired"), "{error}");
}

#[test]
fn a_disk_of_several_that_are_lost_is_taken_out_while_none_is_there() {
    let (_cameras, url) = one_camera();
    let installation = Installation::unmade(&[camera(&url)]);
    let other = folder(&installation, "other");
    installation.write_config_with_disks(&[camera(&url)], &["footage", "other"]);
    installation.init();
    let mut recorder = installation.start();
    until_recorded(&mut recorder, 1);
    recorder.terminate();
    for third in [false, true] {
        let disks = [installation.footage(), other.clone()];
        let lost = disks.each_ref().map(|disk| lose(disk));
        let recorder = third.then(|| {
            let recorder = installation.start();
            await_condition("it waits", LONG, || {
                installation.log().contains("nothing is recorded")
            });
            recorder
        });
        refused(&installation, &["retire", path(&other)], 1, "--forget");
        if third {
            done(&installation, &["retire", path(&other), "--forget"]);
            let config = std::fs::read_to_string(installation.config()).unwrap();
            assert!(!config.contains("other"), "{config}");
        }
        drop(recorder);
        for (disk, lost) in disks.iter().zip(lost) {
            std::fs::remove_dir(disk).unwrap();
            std::fs::rename(lost, disk).unwrap();
        }
    }
    // What the catalog had of it is forgotten once a store is open.
    let mut recorder = installation.start();
    until_recorded(&mut recorder, 1);
    recorder.terminate();
    done(&installation, &["add", path(&other)]);
    assert_eq!(listed(&installation, &other)["state"], "in use");
}
