//! A disk without room: retention makes some before it is too late, and where somebody else took it, recording goes on.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::durable::{are_durable, ids};
use super::installation::{Installation, Running, await_condition};
use super::loop_disk::{Kind, LoopDisk, move_onto};
use super::rows::{cause, end_us, now_us, of_stream, start_us};
use super::street::Street;
use super::viewer::{Viewer, Visit};

const CAMERAS: usize = 16;
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
    let viewer = Viewer::new(&installation, &mut recorder);
    let visit = viewer.visit(&mut recorder);
    let ids = ids(&visit);
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
        for (number, row) in (0..).zip(&rows) {
            assert_eq!(row["sequence"], number, "{before:#}");
        }
    }
    let output = installation.run("reindex", &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(installation.list(&[]), before);
    nothing_panicked(&installation);
    street.is_what_was_recorded(&installation);
}

/// All segments that there were, those that were deleted since included: by stream and start, to where each was durable.
#[derive(Default)]
struct Seen(HashMap<String, BTreeMap<i64, i64>>);

impl Seen {
    fn look(&mut self, visit: &Visit, ids: &[String]) {
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

    /// The longest time after `from_us` of which a stream has nothing.
    fn longest_hole_us(&self, from_us: i64) -> i64 {
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
