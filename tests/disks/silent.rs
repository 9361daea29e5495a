//! Disks that do not answer in time, as drives that spin up: what was given up is made up for as soon as they do.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use hearthkeep::clock::{Clock, SimClock};
use hearthkeep::config;
use hearthkeep::store::{DiskUse, Doorkeeper, MountedDisk};
use hearthkeep_format::{DiskId, StoreId};

use super::failing::faulty_second;
use super::rig::{Rig, SECOND_US, away, options, path_of, second_disk, still_home};
use super::store_support::{Faults, FaultyDisk, Home, START_US, Sealed};

/// Lets in a disk that may not answer.
struct SilentDoor {
    store: StoreId,
    id: DiskId,
    disk: Arc<FaultyDisk>,
}

impl Doorkeeper for SilentDoor {
    fn admit(&self, wanted: &config::Disk, _: &[Arc<MountedDisk>]) -> Result<MountedDisk, String> {
        let disk = Arc::clone(&self.disk) as Arc<_>;
        MountedDisk::with(disk, &wanted.path, self.store, self.id, None)
            .map_err(|error| error.to_string())
    }
}

/// Takes long to say that a disk is not there.
struct SlowDoor {
    clock: Arc<SimClock>,
    asked: Mutex<Vec<PathBuf>>,
}

impl Doorkeeper for SlowDoor {
    fn admit(&self, wanted: &config::Disk, _: &[Arc<MountedDisk>]) -> Result<MountedDisk, String> {
        self.clock.advance_us(6_000_000);
        self.asked.lock().unwrap().push(wanted.path.clone());
        Err("it does not answer".to_owned())
    }
}

#[test]
fn disks_that_do_not_answer_are_asked_one_a_turn() {
    let (home, folder) = still_home(57);
    let paths: Vec<_> = (0..3).map(|n| folder.path().join(n.to_string())).collect();
    let mut one = options(&home, Vec::new());
    let absent = paths.iter().map(|path| away(path, 1, None));
    one.absent.extend(absent);
    let door = Arc::new(SlowDoor {
        clock: Arc::clone(&home.clock),
        asked: Mutex::default(),
    });
    one.doorkeeper = Some(Arc::clone(&door) as Arc<_>);
    let rig = Rig::open(&home, one);
    for _ in 0..200 {
        let before = door.asked.lock().unwrap().len();
        rig.turns(1);
        let asked = door.asked.lock().unwrap().len() - before;
        assert!(asked <= 1, "{asked} in a turn");
    }
    let asked = door.asked.lock().unwrap();
    let times = paths
        .iter()
        .map(|path| asked.iter().filter(|one| *one == path).count());
    let times: Vec<_> = times.collect();
    assert!(
        times[0] > 3 && times.iter().max().unwrap() - times.iter().min().unwrap() <= 1,
        "{times:?}"
    );
}

fn be_silent(faults: &Faults, silent: bool) {
    faults.silent.store(silent, Ordering::SeqCst);
}

/// A home with a second disk, on which there is footage of two epochs that no catalog knows, the newest last.
fn with_footage(seed: u64) -> (Home, tempfile::TempDir, PathBuf, [Sealed; 2]) {
    let (home, folder) = still_home(seed);
    let usb = folder.path().join("usb");
    second_disk(&home, &usb, 9);
    let mut stream = home.stream(1);
    let older = stream.seal(2, 20_000);
    stream.new_epoch(&home);
    let newer = stream.seal(2, 20_000);
    for sealed in [&older, &newer] {
        sealed.leave_on(&usb, sealed.bytes().len());
    }
    (home, folder, usb, [older, newer])
}

fn is_known(rig: &Rig, sealed: &Sealed) -> bool {
    let timeline = rig.store.timeline(&sealed.new.stream, i64::MIN, i64::MAX);
    let segments = timeline.unwrap().segments;
    segments
        .iter()
        .any(|span| span.segment == sealed.new.segment)
}

#[test]
fn a_disk_that_returns_is_used_once_it_answers() {
    let (home, _folder, usb, [older, newer]) = with_footage(51);
    let (disk, faults) = FaultyDisk::new(&usb);
    let id = DiskId::from_bytes([9; 16]);
    let mut one = options(&home, Vec::new());
    one.absent.push(away(&usb, 1, Some(id)));
    let store = home.store;
    one.doorkeeper = Some(Arc::new(SilentDoor { store, id, disk }));
    be_silent(&faults, true);
    let rig = Rig::open(&home, one);
    rig.pass(20 * SECOND_US);
    assert_eq!(rig.is(&usb), DiskUse::Absent);
    let error = rig.status(&usb).error.unwrap();
    assert!(error.contains("does not answer"), "{error}");
    let mut stream = home.stream(2);
    assert_eq!(rig.record(&mut stream).1, home.disk.path());
    be_silent(&faults, false);
    rig.pass(3 * SECOND_US);
    assert_eq!(rig.is(&usb), DiskUse::InUse);
    for sealed in [&older, &newer] {
        assert_eq!(rig.read(sealed), sealed.bytes());
    }
    assert_eq!(rig.store.strange_files(), 0);
}

#[test]
fn a_disk_that_does_not_answer_at_a_start_is_away_until_it_does() {
    let (home, _folder, usb, [older, newer]) = with_footage(52);
    let (disk, faults) = faulty_second(&home, &usb);
    be_silent(&faults, true);
    let rig = Rig::open(&home, options(&home, vec![disk]));
    assert_eq!(rig.is(&usb), DiskUse::Absent);
    let error = rig.status(&usb).error.unwrap();
    assert!(error.contains("does not answer"), "{error}");
    let sequence = rig.store.next_sequence(&newer.new.stream);
    assert!(sequence > newer.new.start.sequence, "none is given twice");
    // What lets it in sees another one, which answers.
    rig.pass(3 * SECOND_US);
    assert_eq!(rig.is(&usb), DiskUse::InUse);
    for sealed in [&older, &newer] {
        assert_eq!(rig.read(sealed), sealed.bytes());
    }
}

#[test]
fn what_is_compared_in_the_background_is_compared_again() {
    let (home, _folder, usb, [older, newer]) = with_footage(53);
    let (disk, faults) = faulty_second(&home, &usb);
    let rig = Rig::open(&home, options(&home, vec![disk]));
    be_silent(&faults, true);
    assert!(is_known(&rig, &newer) && !is_known(&rig, &older));
    rig.pass(20 * SECOND_US);
    assert!(!is_known(&rig, &older), "nobody could look");
    assert_eq!(rig.store.strange_files(), 0, "and nothing is wrong with it");
    be_silent(&faults, false);
    rig.pass(3 * SECOND_US);
    assert_eq!(rig.read(&older), older.bytes());
}

#[test]
fn a_disk_that_stays_silent_keeps_retention_waiting_for_a_minute_only() {
    let (home, _folder, usb, _) = with_footage(54);
    let (disk, faults) = faulty_second(&home, &usb);
    let mut both = options(&home, vec![disk]);
    both.disks[0].max_bytes = Some(100_000);
    let stream = home.stream(2).id;
    let own = home.disk.path().to_owned();
    both.spread.pinned.insert(stream, own);
    let rig = Rig::open(&home, both);
    be_silent(&faults, true);
    let used_bytes = || rig.status(home.disk.path()).used_bytes;
    let mut stream = home.stream(2);
    for _ in 0..5 {
        rig.record(&mut stream);
    }
    assert!(used_bytes() > 100_000, "it waits for what it does not know");
    rig.pass(80 * SECOND_US);
    assert!(used_bytes() <= 100_000);
}

#[test]
fn a_torn_segment_gets_its_tail_once_its_disk_answers() {
    let (home, folder) = still_home(55);
    let usb = folder.path().join("usb");
    let (disk, faults) = faulty_second(&home, &usb);
    let mut both = options(&home, vec![disk]);
    both.spread.pinned.insert(home.stream(1).id, usb.clone());
    let rig = Rig::open(&home, both);
    let torn = home.stream(1).seal(4, 20_000);
    let handle = torn.begin(&rig.store);
    rig.pass(2 * SECOND_US);
    be_silent(&faults, true);
    drop(handle);
    rig.pass(20 * SECOND_US);
    assert!(is_known(&rig, &torn), "it is not forgotten");
    be_silent(&faults, false);
    rig.pass(3 * SECOND_US);
    let timeline = rig.store.timeline(&torn.new.stream, i64::MIN, i64::MAX);
    let span = timeline.unwrap().segments[0];
    assert!(span.recovered && !span.open, "{span:?}");
}

#[test]
fn a_drain_goes_on_once_the_disk_answers() {
    let (home, folder) = still_home(56);
    let usb = folder.path().join("usb");
    let (disk, faults) = faulty_second(&home, &usb);
    let id = disk.id;
    let mut both = options(&home, vec![disk]);
    both.spread.pinned.insert(home.stream(1).id, usb.clone());
    let rig = Rig::open(&home, both);
    let mut stream = home.stream(1);
    let all: Vec<_> = (0..3).map(|_| rig.record(&mut stream).0).collect();
    assert!(is_on(&usb, &all[0]));
    be_silent(&faults, true);
    rig.store.drain_disk(id, false).unwrap();
    rig.pass(60 * SECOND_US);
    assert_eq!(rig.is(&usb), DiskUse::Draining);
    be_silent(&faults, false);
    rig.pass(60 * SECOND_US);
    assert_eq!(rig.is(&usb), DiskUse::Drained);
    for sealed in &all {
        assert!(is_on(home.disk.path(), sealed));
        assert_eq!(rig.read(sealed), sealed.bytes());
    }
}

fn is_on(disk: &Path, sealed: &Sealed) -> bool {
    disk.join(path_of(sealed)).exists()
}

#[test]
fn footage_of_a_disk_that_is_silent_while_the_clock_is_set_moves_once_it_answers() {
    let (home, folder) = still_home(58);
    let usb = folder.path().join("usb");
    let (disk, faults) = faulty_second(&home, &usb);
    home.clock.set_trusted(false);
    home.clock.set_wall_us(1_000_000);
    let mut both = options(&home, vec![disk]);
    both.spread.pinned.insert(home.stream(1).id, usb.clone());
    let rig = Rig::open(&home, both);
    let mut stream = home.stream(1);
    (stream.wall_us, stream.clock_trusted) = (1_000_000, false);
    let offset_us = 1_000_000 - home.clock.monotonic_us() as i64;
    stream.clock = Some((home.clock.boot_id(), offset_us));
    let (sealed, disk) = rig.record(&mut stream);
    assert_eq!(disk, usb);
    be_silent(&faults, true);
    let moved_us = START_US - 1_000_000;
    home.clock.set_wall_us(home.clock.wall_us() + moved_us);
    home.clock.set_trusted(true);
    rig.pass(600 * SECOND_US);
    let starts_at = || {
        let timeline = rig.store.timeline(&stream.id, i64::MIN, i64::MAX);
        let segments = timeline.unwrap().segments;
        assert_eq!(segments.len(), 1);
        segments[0].start_us
    };
    assert_eq!(starts_at(), sealed.new.start.wall_us, "nobody could look");
    be_silent(&faults, false);
    rig.pass(5 * SECOND_US);
    assert_eq!(starts_at(), START_US);
}

#[test]
fn a_second_copy_is_looked_at_once_the_disk_with_the_first_answers() {
    let (home, folder) = still_home(59);
    let usb = folder.path().join("usb");
    let mut both = options(&home, vec![second_disk(&home, &usb, 9)]);
    both.spread.pinned.insert(home.stream(1).id, usb.clone());
    let rig = Rig::open(&home, both);
    let (sealed, disk) = rig.record(&mut home.stream(1));
    assert_eq!(disk, usb);
    rig.store.close();
    drop(rig);
    // A copy on the home's disk, in the newest epoch of all.
    sealed.leave_whole(&home);
    let (disk, faults) = faulty_second(&home, &usb);
    faults.silent_files.store(true, Ordering::SeqCst);
    let rig = Rig::open(&home, options(&home, vec![disk]));
    rig.pass(10 * SECOND_US);
    assert!(is_on(home.disk.path(), &sealed), "nobody knows yet");
    faults.silent_files.store(false, Ordering::SeqCst);
    rig.pass(5 * SECOND_US);
    assert!(!is_on(home.disk.path(), &sealed) && is_on(&usb, &sealed));
    assert_eq!(rig.read(&sealed), sealed.bytes());
}

#[test]
fn a_full_disk_does_not_wait_for_a_slow_one_for_more_than_a_minute() {
    let (home, folder) = still_home(60);
    let usb = folder.path().join("usb");
    let (slow, slowness) = faulty_second(&home, &usb);
    let mut other = home.stream(2);
    let unknown: Vec<_> = (0..40)
        .map(|_| {
            other.new_epoch(&home);
            let sealed = other.seal(2, 20_000);
            sealed.leave_on(&usb, sealed.bytes().len());
            sealed
        })
        .collect();
    let (own, faults) = FaultyDisk::new(home.disk.path());
    let mut both = home.options_on(own);
    both.disks.push(slow);
    both.pace = Default::default();
    both.reserve_bytes_min = 1;
    let path = home.disk.path().to_owned();
    both.spread.pinned.insert(home.stream(1).id, path);
    let mut stream = home.stream(1);
    let old = stream.seal(2, 20_000);
    old.leave_whole(&home);
    stream.new_epoch(&home);
    let rig = Rig::open(&home, both);
    let clock = Arc::clone(&home.clock);
    let listed = Box::new(move || clock.advance_us(10_000_000));
    *slowness.listed.lock().unwrap() = Some(listed);
    faults.full.store(true, Ordering::SeqCst);
    stream.seal(2, 20_000).record(&rig.store);
    rig.pass(120 * SECOND_US);
    assert!(!is_on(home.disk.path(), &old), "the oldest of it went");
    let known = unknown.iter().filter(|sealed| is_known(&rig, sealed));
    assert!(known.count() < 30, "while there was more to be compared");
}
