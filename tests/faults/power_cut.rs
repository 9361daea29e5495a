//! The power goes again and again while it records: what was durable is there afterwards, and nothing else.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::chance::Chance;
use super::installation::{Installation, path, read};
use super::loop_disk::{Kind, LoopDisk, move_onto};
use super::rows::{cause, end_us, now_us, number, of_stream, start_us, text};
use super::street::Street;
use super::viewer::{Viewer, Visit};

const CAMERAS: usize = 4;
const DISK_BYTES: u64 = 2 << 30;
/// The longest that it records between two cuts, in ms.
const LIFE_MS_MAX: u64 = 4_000;
/// What a cut may cost a stream, in microseconds before it.
const LOST_US_MAX: i64 = 2_500_000;
/// From the cut until it is recorded again; mounting and starting included.
const BACK_US_MAX: i64 = 5_000_000;
/// A segment that begins so soon after the one before goes on where that ended.
const CONTINUES_US_MAX: i64 = 100_000;
/// A camera whose first pictures come late seems to be ahead of the time afterwards, by as much.
const AHEAD_US_MAX: i64 = 2_000_000;
const LONG: Duration = Duration::from_secs(60);

pub fn on_ext4() {
    cut_again_and_again(Kind::Ext4, cuts(4));
}

pub fn on_xfs() {
    cut_again_and_again(Kind::Xfs, cuts(3));
}

fn cuts(otherwise: u32) -> u32 {
    std::env::var("HEARTHKEEP_TEST_CUTS").map_or(otherwise, |cuts| cuts.parse().unwrap())
}

fn cut_again_and_again(kind: Kind, cuts: u32) {
    let street = Street::new(CAMERAS);
    let installation = Installation::unmade(&street.entries());
    let mount_point = installation.folder().join("disk");
    std::fs::create_dir(&mount_point).unwrap();
    let disk = LoopDisk::mount_new(kind, DISK_BYTES, &mount_point);
    move_onto(&installation, &mount_point);
    installation.init();

    let mut chance = Chance::new();
    let mut recorder = installation.start();
    let viewer = Viewer::new(&installation, &mut recorder);
    let mut lives = Vec::new();
    for cut in 1..=cuts {
        let visit = viewer.visit(&mut recorder);
        let streams = visit.until_all_record(LONG);
        // Chance is the subject here: there is no condition to wait for.
        std::thread::sleep(Duration::from_millis(chance.below(LIFE_MS_MAX)));
        let durable = Durable::of(&visit, &streams, &installation);
        let cut_us = now_us();
        disk.cut();
        recorder.kill();
        disk.unmount();
        disk.mount();
        let lost = durable.missing(&installation);
        assert!(lost.is_empty(), "cut {cut}: {lost:#?}");
        println!("cut {cut}: {} segments had to be there", durable.0.len());
        lives.push(Life {
            cut_us,
            since_us: since(&streams),
        });
        recorder = installation.start();
        let visit = viewer.visit(&mut recorder);
        visit.until_all_record(LONG);
        durable.is_told_of(&visit);
    }
    recorder.terminate();

    let list = installation.list(&[]);
    let worst = worst(&list, &lives);
    println!("{cuts} cuts on {kind:?}: {worst:?}");
    assert!(
        worst.lost_us <= LOST_US_MAX && worst.back_us <= BACK_US_MAX,
        "{worst:?}"
    );
    let pictures = street.is_what_was_recorded(&installation);
    println!("{pictures:?} pictures, all of them the cameras'");
    is_sound(&installation);
    let log = installation.log();
    let rebuilt = log.lines().find(|line| line.contains("rebuilt"));
    assert!(rebuilt.is_none(), "{rebuilt:?}\n{log}");
}

/// One life of the recorder.
struct Life {
    cut_us: i64,
    /// Since when each stream had been recorded.
    since_us: HashMap<String, i64>,
}

fn since(streams: &[Value]) -> HashMap<String, i64> {
    let since = |stream: &Value| (text(stream, "id"), stream["since_us"].as_i64().unwrap());
    streams.iter().map(since).collect()
}

/// What the recorder said was durable, by segment; and the bytes that it then had.
struct Durable(HashMap<String, Known>);

struct Known {
    stream: String,
    told: Value,
    file: PathBuf,
    bytes: Vec<u8>,
}

impl Durable {
    /// All that may have changed: segments that are open, and the newest that are not.
    fn of(visit: &Visit, streams: &[Value], installation: &Installation) -> Self {
        let mut told = Vec::new();
        for stream in streams {
            let stream = text(stream, "id");
            let timeline = visit.timeline(&stream);
            let newest = timeline["segments"].as_array().unwrap().iter().rev();
            told.extend(newest.take(4).map(|told| (stream.clone(), told.clone())));
        }
        // Looked for after they were told of: a file may be new.
        let files = segment_files(installation);
        let known = told.into_iter().map(|(stream, told)| {
            let id = text(&told, "id");
            let file = files.iter().find(|file| path(file).contains(&id));
            let file = file.unwrap_or_else(|| panic!("no file: {told:#}")).clone();
            let mut bytes = read(&file);
            bytes.truncate(number(&told, "bytes") as usize);
            assert_eq!(bytes.len() as u64, number(&told, "bytes"), "{told:#}");
            let known = Known {
                stream,
                told,
                file,
                bytes,
            };
            (id, known)
        });
        Self(known.collect())
    }

    /// What is not there any more, byte by byte.
    fn missing(&self, installation: &Installation) -> Vec<&Value> {
        let files = segment_files(installation);
        let is_there = |known: &Known| {
            files.contains(&known.file) && read(&known.file).starts_with(&known.bytes)
        };
        let lost = self.0.values().filter(|known| !is_there(known));
        lost.map(|known| &known.told).collect()
    }

    /// The recorder that was started after the cut has all of it, and no less of any.
    fn is_told_of(&self, visit: &Visit) {
        let mut timelines: HashMap<&str, Value> = HashMap::new();
        for (id, known) in &self.0 {
            let timeline = timelines
                .entry(&known.stream)
                .or_insert_with(|| visit.timeline(&known.stream));
            let now = timeline["segments"]
                .as_array()
                .unwrap()
                .iter()
                .find(|now| now["id"] == id.as_str());
            let (told, now) = (
                &known.told,
                now.unwrap_or_else(|| panic!("lost: {:#}", known.told)),
            );
            for field in ["start_us", "sequence", "epoch"] {
                assert_eq!(told[field], now[field], "{field}: {told:#} {now:#}");
            }
            for field in ["duration_us", "bytes"] {
                assert!(
                    number(now, field) >= number(told, field),
                    "{field}: {told:#} {now:#}"
                );
            }
        }
    }
}

/// None before anything was written.
fn segment_files(installation: &Installation) -> Vec<PathBuf> {
    let folder = installation.footage().join("footage");
    match folder.exists() {
        true => Installation::files(&folder),
        false => Vec::new(),
    }
}

/// The worst that was seen of any stream.
#[derive(Debug, Default)]
struct Worst {
    back_us: i64,
    lost_us: i64,
}

/// Looks at what each cut cost each stream; every hole in the footage is around a cut, and says so.
fn worst(list: &Value, lives: &[Life]) -> Worst {
    let mut worst = Worst::default();
    for stream in lives[0].since_us.keys() {
        let rows = of_stream(list, stream);
        for (number, row) in (0..).zip(&rows) {
            assert_eq!(row["sequence"], number, "{row:#}");
        }
        for life in lives {
            let before = rows.iter().rev().find(|row| start_us(row) < life.cut_us);
            // Where nothing of this life was durable yet, what is lost began with it.
            let reached_us = before
                .map_or(i64::MIN, |row| end_us(row))
                .max(life.since_us[stream]);
            worst.lost_us = worst.lost_us.max(life.cut_us - reached_us);
        }
        for (life, next) in lives.iter().zip(&lives[1..]) {
            worst.back_us = worst.back_us.max(next.since_us[stream] - life.cut_us);
        }
        for pair in rows.windows(2) {
            holes_are_cuts(pair[0], pair[1], lives);
        }
    }
    worst
}

/// Where there is a hole there was a cut, and it is told.
fn holes_are_cuts(before: &Value, after: &Value, lives: &[Life]) {
    let (from_us, to_us) = (end_us(before), start_us(after));
    let Some(cause) = cause(after) else {
        assert!(to_us - from_us < CONTINUES_US_MAX, "{before:#} {after:#}");
        return;
    };
    let around = from_us - AHEAD_US_MAX..to_us;
    let is_cut = lives.iter().any(|life| around.contains(&life.cut_us));
    assert!(cause == "crash" && is_cut, "{before:#} {after:#}");
    let length_us = &after["gap_before"]["length_us"];
    assert_eq!(*length_us, to_us - from_us, "{before:#} {after:#}");
}

fn is_sound(installation: &Installation) {
    let passphrase = installation.passphrase_file();
    let output = installation.run("check", &["--json", "--passphrase-file", path(&passphrase)]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{found:#}");
    let nothing = serde_json::json!([]);
    assert_eq!((&found["damaged"], &found["strange"]), (&nothing, &nothing));
}
