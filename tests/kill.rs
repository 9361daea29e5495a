//! kill -9 at random moments: what had been written is there afterwards, nothing is invented, and recording goes on soon,
//! with nobody there to type a passphrase.
#![allow(clippy::unwrap_used)]

#[path = "common/chance.rs"]
mod chance;
mod common;
#[path = "common/installation.rs"]
mod installation;
#[path = "common/judge.rs"]
mod judge;
#[path = "common/rows.rs"]
mod rows;
#[path = "common/street.rs"]
mod street;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chance::Chance;
use common::{Cameras, clip};
use installation::{CameraEntry, Installation, Running, path};
use rows::{end_us, now_us, number, start_us, text};
use serde_json::Value;
use street::Street;

/// Twelve, so that the first segments end 5, 10, 15 s ... after a start: kills hit their ends and beginnings too.
const CAMERAS: usize = 12;
/// The longest that the recorder lives, in ms.
const LIFE_MS_MAX: u64 = 8_000;
/// From the kill until the first picture that is recorded again.
const BACK_WITHIN_US: i64 = 5_000_000;
/// What a kill may cost a stream, in microseconds before it.
const LOST_US_MAX: i64 = 2_500_000;

#[test]
fn what_was_written_survives_and_nothing_is_invented() {
    let _alone = ONE_STREET.lock().unwrap_or_else(PoisonError::into_inner);
    let street = Street::new(CAMERAS);
    let installation = Installation::new(&street.entries());
    killed_again_and_again(&street, &installation, kills(8));
}

#[test]
fn on_two_disks_too() {
    let _alone = ONE_STREET.lock().unwrap_or_else(PoisonError::into_inner);
    let street = Street::new(CAMERAS);
    let installation = Installation::unmade(&street.entries());
    // With budgets that leave the same room, segments go to one disk and to the other.
    let disks = ["footage", "other"].map(|disk| format!("{disk}\"\nmax_bytes = \"1GB"));
    installation.write_config_with_disks(&street.entries(), &disks.each_ref().map(String::as_str));
    let other = installation.folder().join("other");
    std::fs::create_dir(&other).unwrap();
    installation.init();
    killed_again_and_again(&street, &installation, kills(4));
    // All that one life begins with goes to one disk, and what the next does to the other.
    for disk in [installation.footage(), other] {
        assert!(Installation::files(&disk.join("footage")).len() >= CAMERAS);
    }
}

/// The streets would take the processor from each other, and what is measured is time.
static ONE_STREET: Mutex<()> = Mutex::new(());

fn kills(otherwise: u32) -> u32 {
    std::env::var("HEARTHKEEP_TEST_KILLS").map_or(otherwise, |kills| kills.parse().unwrap())
}

/// Short ones are more frequent: most can go wrong where something begins.
fn life(chance: &mut Chance) -> Duration {
    let most_ms = chance.below(LIFE_MS_MAX) + 1;
    Duration::from_millis(chance.below(most_ms))
}

fn killed_again_and_again(street: &Street, installation: &Installation, kills: u32) {
    let mut chance = Chance::new();
    let mut worst = Worst::default();
    let mut recorder = installation.start();
    until_all_record(&mut recorder, &HashMap::new());
    for cycle in 1..=kills {
        let life = life(&mut chance);
        // Chance is the subject here: there is no condition to wait for.
        std::thread::sleep(life);
        let before = Segments::of(&installation.list(&[]));
        recorder.kill();
        // By now it is dead: what began before is of its life.
        let killed_us = now_us();
        recorder = installation.start();
        until_all_record(&mut recorder, &before.highest());
        let after = Segments::of(&installation.list(&[]));
        after.hold_all_of(&before);
        worst.see(&before, &after, killed_us);
        println!(
            "kill {cycle} after {life:?}: {} segments; {worst:?}",
            after.0.len()
        );
    }
    println!("{worst:?}");
    recorder.terminate();
    assert!(
        worst.back_us <= BACK_WITHIN_US && worst.lost_us <= LOST_US_MAX,
        "{worst:?}"
    );

    let list = Segments::of(&installation.list(&[]));
    list.are_numbered_without_a_hole();
    is_sound(installation);
    street.is_what_was_recorded(installation);
    reindexing_changes_nothing(installation, &list);
    let log = installation.log();
    let trouble = log
        .lines()
        .find(|line| line.contains("ERROR") || line.contains("rebuilt"));
    assert!(trouble.is_none(), "{trouble:?}\n{log}");
}

#[test]
fn a_crash_while_the_camera_is_away_is_no_shutdown() {
    let shown = format!("door={}", clip("h264_small").display());
    let mut cameras = Some(Cameras::start(&[&shown]));
    let url = cameras.as_ref().unwrap().url("door").to_owned();
    let port = url
        .trim_start_matches("rtsp://127.0.0.1:")
        .trim_end_matches("/door")
        .to_owned();
    let installation = Installation::new(&[CameraEntry {
        name: "door",
        url: &url,
        more: "",
    }]);
    let limit = Duration::from_secs(60);
    for (kill, cause) in [(true, "crash"), (false, "shutdown")] {
        let mut recorder = installation.start();
        let newest = Segments::of(&installation.list(&[]))
            .highest()
            .into_values()
            .max();
        recorder.until("a segment ends because the camera is gone", limit, |list| {
            let newer = |row: &Value| newest.is_none_or(|newest| number(row, "sequence") > newest);
            let of_now: Vec<_> = list
                .as_array()
                .unwrap()
                .iter()
                .filter(|row| newer(row))
                .collect();
            if of_now
                .iter()
                .any(|row| number(row, "duration_us") > 1_000_000)
            {
                cameras = None;
            }
            of_now.iter().any(|row| row["state"] == "whole")
        });
        match kill {
            true => recorder.kill(),
            false => recorder.terminate(),
        }
        cameras = Some(Cameras::start(&["--port", &port, &shown]));
        let mut recorder = installation.start();
        let before = Segments::of(&installation.list(&[])).0.len();
        recorder.until("it is recorded again", limit, |list| {
            Segments::of(list).0.len() > before
        });
        recorder.terminate();
        let list = installation.list(&[]);
        let last = list.as_array().unwrap().last().unwrap();
        assert_eq!(last["gap_before"]["cause"], cause, "{list:#}");
    }
}

/// Waits until each camera has something of a segment that is newer than these.
fn until_all_record(recorder: &mut Running<'_>, newest: &HashMap<String, u64>) {
    recorder.until(
        "all cameras are recorded (again)",
        Duration::from_secs(60),
        |list| {
            let segments = Segments::of(list);
            let recorded = |(stream, sequence): (&String, &u64)| {
                let newer = newest.get(stream).is_none_or(|known| sequence > known);
                newer.then_some(())
            };
            segments.highest().iter().filter_map(recorded).count() == CAMERAS
        },
    );
}

/// What `list --json` says, by segment.
struct Segments(HashMap<String, Value>);

impl Segments {
    fn of(list: &Value) -> Self {
        let rows = list.as_array().unwrap().iter();
        let with_pictures = rows.filter(|row| row["duration_us"].as_u64().unwrap() > 0);
        Self(
            with_pictures
                .map(|row| (text(row, "segment"), row.clone()))
                .collect(),
        )
    }

    /// The highest sequence number of each stream.
    fn highest(&self) -> HashMap<String, u64> {
        let mut highest = HashMap::new();
        for row in self.0.values() {
            let of_stream = highest.entry(text(row, "stream")).or_default();
            *of_stream = number(row, "sequence").max(*of_stream);
        }
        highest
    }

    /// Whatever could be read before is there: whole segments unchanged, open ones with no less in them.
    fn hold_all_of(&self, before: &Self) {
        for (id, old) in &before.0 {
            let new = self.0.get(id).unwrap_or_else(|| panic!("lost: {old:#}"));
            for field in ["stream", "camera", "start_us", "sequence", "gap_before"] {
                assert_eq!(old[field], new[field], "{field} changed: {old:#} {new:#}");
            }
            if old["state"] == "open" {
                // It may have been finished between the look and the kill.
                assert!(
                    new["state"] == "recovered" || new["state"] == "whole",
                    "{new:#}"
                );
                assert!(
                    number(new, "duration_us") >= number(old, "duration_us"),
                    "{old:#} {new:#}"
                );
            } else {
                assert_eq!(old, new);
            }
        }
    }

    /// A stream's segments, the first one first.
    fn of_stream(&self, stream: &str) -> Vec<&Value> {
        let mut rows: Vec<_> = self
            .0
            .values()
            .filter(|row| row["stream"] == stream)
            .collect();
        rows.sort_by_key(|row| number(row, "sequence"));
        rows
    }

    fn are_numbered_without_a_hole(&self) {
        for (stream, highest) in self.highest() {
            let numbers: Vec<_> = self
                .of_stream(&stream)
                .iter()
                .map(|row| number(row, "sequence"))
                .collect();
            assert_eq!(numbers, (0..=highest).collect::<Vec<_>>(), "{stream}");
        }
    }
}

/// The worst that was seen of any stream.
#[derive(Debug, Default)]
struct Worst {
    back_us: i64,
    lost_us: i64,
}

impl Worst {
    /// Looks at what each stream lost by the kill, and at the gap that stands for it.
    fn see(&mut self, before: &Segments, after: &Segments, killed_us: i64) {
        for (stream, newest_before) in before.highest() {
            let rows = after.of_stream(&stream);
            // The first segment that begins after the kill; the one before it is what the kill cut off.
            let first_new = rows.iter().position(|row| start_us(row) > killed_us);
            let (cut, new) = (rows[first_new.unwrap() - 1], rows[first_new.unwrap()]);
            assert!(number(cut, "sequence") >= newest_before);
            self.back_us = self.back_us.max(start_us(new) - killed_us);
            self.lost_us = self.lost_us.max(killed_us - end_us(cut));
            assert_eq!(new["gap_before"]["cause"], "crash", "{cut:#} {new:#}");
            let length = new["gap_before"]["length_us"].as_i64().unwrap();
            assert_eq!(length, start_us(new) - end_us(cut), "{cut:#} {new:#}");
        }
    }
}

fn is_sound(installation: &Installation) {
    let passphrase = installation.passphrase_file();
    let output = installation.run("check", &["--json", "--passphrase-file", path(&passphrase)]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{found:#}");
    assert_eq!(found["opened"], true);
    assert!(found["recovered"].as_u64().unwrap() > 0, "{found:#}");
    assert_eq!(
        (&found["damaged"], &found["strange"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
}

fn reindexing_changes_nothing(installation: &Installation, before: &Segments) {
    let output = installation.run("reindex", &[]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let count = before.0.len();
    assert!(
        said.starts_with(&format!("{count} segments are in the catalog; 0 were torn")),
        "{said}"
    );
    let after = Segments::of(&installation.list(&[]));
    assert_eq!(after.0, before.0);
}
