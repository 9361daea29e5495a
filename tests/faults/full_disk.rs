//! A disk without room: retention makes some before it is too late, and where somebody else took it, recording goes on.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::durable::{are_durable, ids, visited};
use super::installation::{Installation, Running, await_condition};
use super::loop_disk::{Kind, LoopDisk, move_onto};
use super::rows::{cause, end_us, now_us, of_stream, start_us};
use super::street::Street;
use super::viewer::{Viewer, Visit};

const CAMERAS: usize = 16;
/// The same where each segment takes an inode.
const FEW: usize = 4;
const CLIPS: [&str; 1] = ["h264_360p15"];
const LONG: Duration = Duration::from_secs(90);
/// A stream is never without a segment for longer.
const WITHOUT_US_MAX: i64 = 5_000_000;
/// What waits for its batch, and what a batch takes.
const UNWRITTEN_US_MAX: i64 = 3_000_000;
/// What a disk may hold: more than the segments that are open, of which nothing can be deleted.
const BUDGET_BYTES: u64 = 44_000_000;
/// How long each life of a recorder without room for its state is: some segments end meanwhile.
const LIFE_US: i64 = 3_000_000;
/// And how long it goes on then; in the first one, until a segment ends.
const WITHOUT_ROOM_US: [i64; 4] = [15_000_000, 2_000_000, 0, 0];
/// How long somebody else has all the room of a disk. What can be deleted lasts for longer.
const NO_ROOM: Duration = Duration::from_secs(12);
/// How long it records beyond its budget.
const FULL: Duration = Duration::from_secs(30);

fn full_for() -> Duration {
    let seconds = std::env::var("HEARTHKEEP_TEST_FULL_SECONDS");
    seconds.map_or(FULL, |seconds| {
        Duration::from_secs(seconds.parse().unwrap())
    })
}

pub fn budgets_hold() {
    let street = Street::showing(CAMERAS, &CLIPS);
    let installation = Installation::unmade(&street.entries());
    let disk = format!("footage\"\nmax_bytes = \"{}MB", BUDGET_BYTES / 1_000_000);
    installation.write_config_with_disks(&street.entries(), &[&disk]);
    installation.init();
    let recorder = installation.start();
    let used = || bytes_of(&installation.footage().join("footage"));
    await_condition("its budget is used", LONG, || {
        used() > BUDGET_BYTES / 100 * 90
    });
    let (begun, mut most) = (Instant::now(), 0);
    while begun.elapsed() < full_for() {
        most = most.max(used());
        std::thread::park_timeout(Duration::from_millis(100));
    }
    recorder.terminate();
    println!("at most {most} bytes of {BUDGET_BYTES}");
    assert!(most <= BUDGET_BYTES / 100 * 101, "{most} bytes");
    assert!(
        most > BUDGET_BYTES / 2,
        "what may be kept is kept: {most} bytes"
    );
    let list = installation.list(&[]);
    let rows = list.as_array().unwrap();
    assert!(
        rows.iter()
            .all(|row| matches!(cause(row), None | Some("start"))),
        "{list:#}"
    );
    nothing_panicked(&installation);
    street.is_what_was_recorded(&installation);
}

pub fn no_room_at_all() {
    let street = Street::showing(CAMERAS, &CLIPS);
    let (installation, disk) = on_loop_disk(&street, 256 << 20, "footage");
    let mut recorder = installation.start();
    let (visit, ids) = visited(&installation, &mut recorder);
    until_durable(
        &installation,
        &mut recorder,
        &visit,
        &ids,
        now_us() + 20_000_000,
    );

    let mut seen = Seen::default();
    seen.look(&visit, &ids);
    let full_us = now_us();
    let ballast = fill(&disk);
    let begun = Instant::now();
    while begun.elapsed() < NO_ROOM {
        seen.look(&visit, &ids);
        let late_us = now_us() - seen.all_reach_us();
        assert!(
            late_us < WITHOUT_US_MAX + UNWRITTEN_US_MAX,
            "{late_us} µs without anything durable"
        );
        std::thread::park_timeout(Duration::from_millis(500));
    }
    let log = installation.log();
    assert!(log.contains("No space left on device"), "{log}");
    is_told(&installation, &visit, "it was full");
    std::fs::remove_file(ballast).unwrap();
    let with_room_us = now_us() + 3_000_000;
    until_durable(&installation, &mut recorder, &visit, &ids, with_room_us);
    seen.look(&visit, &ids);
    recorder.terminate();

    let longest_us = seen.longest_hole_us(full_us);
    println!(
        "no stream was without a segment for longer than {} ms",
        longest_us / 1000
    );
    assert!(longest_us < WITHOUT_US_MAX);
    nothing_panicked(&installation);
    street.is_what_was_recorded(&installation);
}

pub fn no_inodes() {
    let street = Street::new(FEW);
    let (installation, disk) = with_few_inodes(&street);
    installation.init();
    let mut out = OutOfInodes::make(street, &installation, &disk);
    let visit = out.viewer.visit(&mut out.recorder);
    is_told(&installation, &visit, "out of inodes");
    let metrics = String::from_utf8(visit.client().get("/metrics").body).unwrap();
    let full = metrics
        .lines()
        .find(|line| line.starts_with("hearthkeep_disk_full{"));
    assert!(full.unwrap().ends_with(" 1"), "{metrics}");
    // All go on, also with their next segments, in the room of what was deleted.
    out.drop_all();
    let (now, ids) = (now_us(), out.ids.clone());
    until_durable(
        &installation,
        &mut out.recorder,
        &visit,
        &ids,
        now + 3_000_000,
    );
    let deleted = count(&installation, "footage was deleted");
    let (before, left) = (out.segments, segments(&installation));
    println!(
        "footage was deleted {deleted} times, a little each time: {left} segments of {before}"
    );
    assert!(deleted > 0 && left >= before - before / 4 - FEW);
    out.ends(&installation);
}

pub fn no_inodes_beside_a_disk_with_room() {
    let street = Street::new(FEW);
    let (installation, disk) = with_few_inodes(&street);
    let other = installation.folder().join("other");
    std::fs::create_dir(&other).unwrap();
    // The disk with more room is the one whose inodes go.
    let disks = ["footage", "other\"\nmax_bytes = \"50MB"];
    installation.write_config_with_disks(&street.entries(), &disks);
    installation.init();
    let mut out = OutOfInodes::make(street, &installation, &disk);
    let visit = out.viewer.visit(&mut out.recorder);
    is_told(&installation, &visit, "out of inodes");
    let poisoned = count(&installation, "a segment is poisoned");
    let ids = out.ids.clone();
    for _ in 0..3 {
        out.drop_all();
        let now = now_us();
        until_durable(
            &installation,
            &mut out.recorder,
            &visit,
            &ids,
            now + 2_000_000,
        );
    }
    let more = count(&installation, "a segment is poisoned") - poisoned;
    println!("{poisoned} segments were poisoned, and {more} after that");
    assert!(more <= FEW, "it is tried again and again");
    let on_other = Installation::files(&other.join("footage")).len();
    assert!(on_other >= 3 * FEW, "{on_other} segments on the other disk");
    let deleted = count(&installation, "footage was deleted");
    assert_eq!(deleted, 0, "there was room beside it");
    out.ends(&installation);
}

/// A recorder whose disk has run out of inodes, while its file system shows room.
struct OutOfInodes<'a> {
    street: Street,
    recorder: Running<'a>,
    viewer: Viewer,
    ids: Vec<String>,
    /// How many segments there were.
    segments: usize,
}

impl<'a> OutOfInodes<'a> {
    /// Records some segments, takes all inodes, and waits until all cameras are recorded all the same.
    fn make(street: Street, installation: &'a Installation, disk: &LoopDisk) -> Self {
        let mut recorder = installation.start();
        let viewer = Viewer::new(installation, &mut recorder);
        let visit = viewer.visit(&mut recorder);
        let ids = ids(&visit);
        let mut out = Self {
            street,
            recorder,
            viewer,
            ids,
            segments: 0,
        };
        for _ in 0..4 {
            let (now, ids) = (now_us(), out.ids.clone());
            until_durable(
                installation,
                &mut out.recorder,
                &visit,
                &ids,
                now + 1_000_000,
            );
            out.drop_all();
        }
        let (now, ids) = (now_us(), out.ids.clone());
        until_durable(installation, &mut out.recorder, &visit, &ids, now);
        out.segments = segments(installation);
        let files = disk.path().join("files");
        std::fs::create_dir(&files).unwrap();
        let mut taken = 0;
        while std::fs::File::create(files.join(taken.to_string())).is_ok() {
            taken += 1;
        }
        println!("{taken} inodes are taken");
        let free = rustix::fs::statvfs(disk.path()).unwrap();
        assert!(free.f_bavail * free.f_frsize > 100 << 20 && free.f_ffree == 0);
        let out_us = now_us();
        out.drop_all();
        await_condition("a disk says that it is full", LONG, || {
            installation
                .log()
                .contains("a segment is poisoned: No space left")
        });
        let failed_us = now_us();
        until_durable(
            installation,
            &mut out.recorder,
            &visit,
            &ids,
            out_us + 2_000_000,
        );
        let back_us = now_us() - out_us;
        println!("2 s of all cameras are durable after {} ms", back_us / 1000);
        // Before that there was nothing to be recorded: the cameras were not connected yet.
        let mut seen = Seen::default();
        seen.look(&visit, &out.ids);
        let without_us = seen.all_begun_us(out_us) - failed_us;
        println!(
            "all are recorded again {} ms after a segment failed",
            without_us / 1000
        );
        assert!(without_us < WITHOUT_US_MAX);
        out
    }

    /// Ends all segments, by the cameras' connections.
    fn drop_all(&mut self) {
        for name in self.street.names.clone() {
            self.street.cameras.tell(&format!("drop {name}"));
        }
    }

    fn ends(self, installation: &Installation) {
        self.recorder.terminate();
        nothing_panicked(installation);
        self.street.is_what_was_recorded(installation);
    }
}

/// An installation, not made yet, whose footage is to lie on a file system with few inodes.
fn with_few_inodes(street: &Street) -> (Installation, LoopDisk) {
    let installation = Installation::unmade(&street.entries());
    let mount_point = installation.folder().join("disk");
    std::fs::create_dir(&mount_point).unwrap();
    let disk = LoopDisk::with_inodes(1024, 256 << 20, &mount_point);
    std::fs::remove_dir(installation.footage()).unwrap();
    let footage = mount_point.join("footage");
    std::fs::create_dir(&footage).unwrap();
    std::os::unix::fs::symlink(footage, installation.footage()).unwrap();
    (installation, disk)
}

/// The first disk's trouble is told in words by `status`, with its exit code, and to the page.
fn is_told(installation: &Installation, visit: &Visit, words: &str) {
    let output = installation.run("status", &["--json"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = told["disks"][0]["error"].as_str().unwrap_or_default();
    assert!(error.contains(words), "{told:#}");
    let page = visit.client().get("/api/v1/status").json();
    let error = page["disks"][0]["error"].as_str();
    assert!(error.is_some_and(|error| error.contains(words)), "{page:#}");
}

/// How many segments there are.
fn segments(installation: &Installation) -> usize {
    installation.list(&[]).as_array().unwrap().len()
}

fn count(installation: &Installation, words: &str) -> usize {
    installation.log().matches(words).count()
}

pub fn no_room_for_the_state() {
    let street = Street::new(4);
    let (installation, disk) = on_loop_disk(&street, 64 << 20, "state");
    let mut recorder = installation.start();
    let viewer = Viewer::new(&installation, &mut recorder);
    let ids = ids(&viewer.visit(&mut recorder));

    // While it records; then twice when it starts, the second time without what was kept aside for this; then with room again.
    let mut running = Some(recorder);
    for (life, without_room_us) in WITHOUT_ROOM_US.into_iter().enumerate() {
        let mut recorder = running.take().unwrap_or_else(|| installation.start());
        let (visit, from_us) = (viewer.visit(&mut recorder), now_us());
        visit.until_all_record(LONG);
        until_durable(
            &installation,
            &mut recorder,
            &visit,
            &ids,
            from_us + LIFE_US,
        );
        if without_room_us > 0 {
            fill(&disk);
            let from_us = now_us();
            let until_us = from_us + without_room_us;
            until_durable(&installation, &mut recorder, &visit, &ids, until_us);
        } else {
            empty(&disk);
        }
        recorder.terminate();
        println!("life {life} ended well");
    }

    let before = installation.list(&[]);
    for id in &ids {
        let rows = of_stream(&before, id);
        let causes: Vec<_> = rows.iter().filter_map(|row| cause(row)).collect();
        assert!(
            causes.len() == WITHOUT_ROOM_US.len() && causes[0] == "start",
            "{before:#}"
        );
        assert!(
            causes[1..].iter().all(|cause| *cause == "shutdown"),
            "{before:#}"
        );
        // A catalog in memory passes over numbers that it may not know of.
        let numbers = rows.iter().map(|row| row["sequence"].as_u64().unwrap());
        assert!(numbers.is_sorted_by(|a, b| a < b), "{before:#}");
    }
    let output = installation.run("reindex", &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(installation.list(&[]), before);
    nothing_panicked(&installation);
    street.is_what_was_recorded(&installation);
}

/// All segments that there were, those that were deleted since included: by stream and start, to where each was durable.
#[derive(Default)]
pub struct Seen(HashMap<String, BTreeMap<i64, i64>>);

impl Seen {
    pub fn look(&mut self, visit: &Visit, ids: &[String]) {
        for id in ids {
            let of_stream = self.0.entry(id.clone()).or_default();
            for row in visit.timeline(id)["segments"].as_array().unwrap() {
                of_stream.insert(start_us(row), end_us(row));
            }
        }
    }

    /// Wall time to which all streams are durable.
    fn all_reach_us(&self) -> i64 {
        let reach = self
            .0
            .values()
            .filter_map(|segments| segments.values().max());
        *reach.min().unwrap()
    }

    /// When all streams had begun a segment after `from_us`.
    fn all_begun_us(&self, from_us: i64) -> i64 {
        let first = |segments: &BTreeMap<i64, i64>| *segments.range(from_us..).next().unwrap().0;
        self.0.values().map(first).max().unwrap()
    }

    /// The longest time after `from_us` of which a stream has nothing.
    pub fn longest_hole_us(&self, from_us: i64) -> i64 {
        let mut longest_us = 0;
        for segments in self.0.values() {
            let mut reached_us = segments
                .range(..from_us)
                .map(|(_, end)| *end)
                .max()
                .unwrap();
            for (start_us, end_us) in segments.range(from_us..) {
                longest_us = longest_us.max(start_us - reached_us);
                reached_us = reached_us.max(*end_us);
            }
        }
        longest_us
    }
}

/// An installation of which one folder is a small file system.
fn on_loop_disk(street: &Street, bytes: u64, which: &str) -> (Installation, LoopDisk) {
    let installation = Installation::unmade(&street.entries());
    let mount_point = installation.folder().join("disk");
    std::fs::create_dir(&mount_point).unwrap();
    let disk = LoopDisk::mount_new(Kind::Ext4, bytes, &mount_point);
    match which {
        "state" => {
            std::fs::create_dir(mount_point.join("state")).unwrap();
            std::os::unix::fs::symlink(mount_point.join("state"), installation.state()).unwrap();
        }
        _ => move_onto(&installation, &mount_point),
    }
    installation.init();
    (installation, disk)
}

pub fn until_durable(
    installation: &Installation,
    recorder: &mut Running<'_>,
    visit: &Visit,
    ids: &[String],
    wall_us: i64,
) {
    await_condition("all are durable", LONG, || {
        assert!(!recorder.has_ended(), "{}", installation.log());
        are_durable(visit, ids, wall_us)
    });
}

/// Gives back what [`fill`] took.
fn empty(disk: &LoopDisk) {
    for entry in std::fs::read_dir(disk.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("ballast") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// Takes all room that a disk has, and what comes free while it is taken.
fn fill(disk: &LoopDisk) -> std::path::PathBuf {
    let path = disk.path().join(format!("ballast-{}", now_us()));
    let file = std::fs::File::create(&path).unwrap();
    let (mut at, mut piece) = (0, 64 << 20);
    while piece >= 4096 {
        let none = rustix::fs::FallocateFlags::empty();
        match rustix::fs::fallocate(&file, none, at, piece) {
            Ok(()) => at += piece,
            Err(_) => piece /= 2,
        }
    }
    path
}

/// Bytes of all files below a folder, some of which may go meanwhile.
pub fn bytes_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_of(&entry.path()),
        Ok(metadata) => metadata.size(),
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

fn nothing_panicked(installation: &Installation) {
    let log = installation.log();
    assert!(!log.contains("panicked"), "{log}");
}
