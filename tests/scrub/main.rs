//! The background scrub: what is damaged is told, what is written, deleted or unplugged meanwhile is not taken for damage, and a
//! restart goes on where it stood. Real files on a real disk, in simulated time.
#![allow(clippy::unwrap_used)]

mod hooked;
#[path = "../store_support/log_files.rs"]
mod log_files;
#[path = "../store_support/mod.rs"]
mod store_support;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hearthkeep::clock::Clock;
use hearthkeep::store::turns::Hands;
use hearthkeep::store::{Options, ScrubPhase, ScrubSettings, ScrubStatus, Store, lock};
use hearthkeep::web::footage::DiskStatus;
use hearthkeep_format::{Identity, Keyring, MetadataKey, SeededRandom};
use hooked::Hooked;
use log_files::log_files;
use store_support::{FaultyDisk, GENERATION, Home, Sealed, until};

const DAYS: u32 = 1;
const DAY_US: u64 = 86_400_000_000;
/// Pieces of work of a store with one disk, in the order in which they begin.
const WRITER: usize = 0;
const KEEPER: usize = 1;
const SCRUB: usize = 2;

/// A store whose time goes on only as the test lets it.
struct House {
    store: Store,
    hands: Hands,
}

impl House {
    fn open(home: &Home) -> Self {
        Self::open_with(home, home.options())
    }

    fn open_with(home: &Home, mut options: Options) -> Self {
        options.scrub = Some(ScrubSettings::new(DAYS));
        let lock = lock::acquire(home.state.path()).unwrap();
        let (store, hands, _) = Store::open_driven(options, lock).unwrap();
        Self { store, hands }
    }

    fn scrub(&self) -> Option<ScrubStatus> {
        self.store.disks()[0].scrub.clone()
    }

    /// Ends as a recorder that is told to.
    fn close(self) {
        self.store.close();
    }

    /// Gives the next turn at its time, and says whose it was.
    fn turn(&self, home: &Home) -> usize {
        let (at_us, number) = self.hands.waiting().into_iter().min().unwrap();
        self.turn_of(home, at_us, number);
        number
    }

    fn turn_of(&self, home: &Home, at_us: u64, number: usize) {
        let mut left_us = at_us.saturating_sub(home.clock.monotonic_us());
        while left_us > 0 {
            let step_us = u32::try_from(left_us).unwrap_or(u32::MAX);
            home.clock.advance_us(step_us);
            left_us -= u64::from(step_us);
        }
        self.hands.turn(number);
    }

    /// Gives turns until something is so, for two simulated days at most.
    fn until(
        &self,
        home: &Home,
        what: &str,
        mut is_so: impl FnMut(&ScrubStatus) -> bool,
    ) -> ScrubStatus {
        let begun_us = home.clock.monotonic_us();
        while home.clock.monotonic_us() - begun_us < 2 * DAY_US {
            if self.turn(home) == SCRUB
                && let Some(scrub) = self.scrub().filter(|scrub| is_so(scrub))
            {
                return scrub;
            }
        }
        panic!("not in two days: {what}: {:?}", self.scrub());
    }

    /// Until a whole round has ended.
    fn round(&self, home: &Home) -> ScrubStatus {
        self.until(home, "a round", |scrub| scrub.phase == ScrubPhase::Resting)
    }
}

fn left(home: &Home, segments: usize, bytes: usize) -> Vec<Sealed> {
    let mut stream = home.stream(1);
    let sealed: Vec<_> = (0..segments).map(|_| stream.seal(8, bytes)).collect();
    sealed.iter().for_each(|sealed| sealed.leave_whole(home));
    sealed
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_byte_is_told_until_it_is_mended() {
    let home = Home::new(1);
    let sealed = left(&home, 5, 4_000);
    let path = home.path_of(&sealed[2].new);
    flip(&path);
    let first = House::open(&home);
    assert_eq!(first.scrub(), None, "a start is left in peace");
    let scrub = first.round(&home);
    assert_eq!((scrub.damaged, scrub.findings.len()), (1, 1));
    let finding = &scrub.findings[0];
    assert_eq!(home.disk.path().join(&finding.path), path);
    assert!(finding.what.contains("damaged at chunk"), "{finding:?}");
    assert!(finding.stream == Some(sealed[2].new.stream) && finding.span_us.is_some());
    let span_us = finding.span_us.unwrap();
    let rotten = |house: &House| {
        let stream = &sealed[2].new.stream;
        house
            .store
            .timeline(stream, i64::MIN, i64::MAX)
            .unwrap()
            .rotten
    };
    assert_eq!(rotten(&first), [span_us], "it is in the timeline");
    let told = DiskStatus::of(&first.store.disks()[0]).scrub.unwrap();
    assert_eq!((told.state.as_str(), told.percent), ("resting", 100));
    let trouble = told.trouble.unwrap();
    let file_name = path.file_name().unwrap().to_str().unwrap();
    assert!(
        trouble.contains(file_name) && trouble.contains("hearthkeep repair"),
        "{trouble}"
    );
    first.close();

    // A restart knows it still, and looks again.
    std::fs::write(&path, sealed[2].bytes()).unwrap();
    let second = House::open(&home);
    assert_eq!(second.scrub().unwrap().findings, scrub.findings);
    assert_eq!(rotten(&second), [span_us]);
    second.until(&home, "it is mended", |scrub| scrub.damaged == 0);
    assert_eq!(rotten(&second), []);
    assert_eq!(
        DiskStatus::of(&second.store.disks()[0])
            .scrub
            .unwrap()
            .trouble,
        None
    );

    // And the next round finds what is damaged after the last one.
    let begun_us = second.scrub().unwrap().begun_us;
    flip(&home.path_of(&sealed[4].new));
    let again = second.until(&home, "the next round", |scrub| {
        scrub.damaged == 1 && scrub.phase == ScrubPhase::Resting
    });
    let after_us = again.begun_us.abs_diff(begun_us);
    assert!(
        (DAY_US..DAY_US + DAY_US / 10).contains(&after_us),
        "{after_us}"
    );
}

#[test]
fn a_file_that_is_gone_or_cut_off_is_told() {
    let home = Home::new(2);
    let sealed = left(&home, 6, 4_000);
    let store = House::open(&home);
    std::fs::remove_file(home.path_of(&sealed[1].new)).unwrap();
    let whole = sealed[3].bytes().len();
    sealed[3].leave(&home, whole - sealed[3].end.len());
    let scrub = store.round(&home);
    let what: Vec<_> = scrub
        .findings
        .iter()
        .map(|found| found.what.as_str())
        .collect();
    assert_eq!(what.len(), 2, "{scrub:?}");
    assert!(
        what[0].contains("not there") && what[1].contains("cut off"),
        "{what:?}"
    );
}

#[test]
fn what_lies_beside_the_footage_is_read_too() {
    let home = Home::new(12);
    left(&home, 2, 4_000);
    let at = |path: &str| home.disk.path().join(path);
    let signer = Identity::generate(&mut SeededRandom::new(3)).signing_key();
    let m = MetadataKey::from_bytes(home.m);
    for (path, bytes) in log_files(home.store, &signer, (GENERATION, &m), []) {
        std::fs::create_dir_all(at(path.parent().unwrap().to_str().unwrap())).unwrap();
        std::fs::write(home.disk.path().join(path), bytes).unwrap();
    }
    let log = std::fs::read_dir(at("log"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let keyring = Keyring::new(home.store).encode();
    std::fs::create_dir_all(at("keyring")).unwrap();
    for copy in ["keyring/a", "keyring/b"] {
        std::fs::write(at(copy), &keyring).unwrap();
    }
    let tree = log.path().join("tree");
    let whole = std::fs::read(&tree).unwrap();
    flip(&tree);
    flip(&at("keyring/b"));
    let house = House::open(&home);
    let scrub = house.round(&home);
    assert_eq!(scrub.damaged, 2, "{scrub:?}");
    let mut found: Vec<_> = scrub.findings.iter().map(|f| at(&f.path)).collect();
    found.sort();
    assert_eq!(found, [at("keyring/b"), log.path()]);
    house.close();

    // A restart knows it still; the next round that finds it whole forgets it.
    let house = House::open(&home);
    assert_eq!(house.scrub().unwrap().findings, scrub.findings);
    std::fs::write(&tree, whole).unwrap();
    std::fs::write(at("keyring/b"), &keyring).unwrap();
    house.until(&home, "it is mended", |scrub| scrub.damaged == 0);
}

#[test]
fn a_restart_goes_on_and_reads_nothing_twice() {
    let home = Home::new(3);
    let sealed = left(&home, 40, 40_000);
    let bytes: u64 = sealed
        .iter()
        .map(|sealed| sealed.bytes().len() as u64)
        .sum();
    let first = House::open(&home);
    let before = first.until(&home, "half of it", |scrub| scrub.read_bytes > bytes / 2);
    assert_eq!(before.phase, ScrubPhase::Reading);
    let told = DiskStatus::of(&first.store.disks()[0]).scrub.unwrap();
    assert!((50..60).contains(&told.percent), "{told:?}");
    first.close();

    let second = House::open(&home);
    let resumed = second.scrub().unwrap();
    assert_eq!(
        (resumed.read_bytes, resumed.begun_us),
        (before.read_bytes, before.begun_us)
    );
    let after = second.round(&home);
    assert_eq!(after.begun_us, before.begun_us);
    // Heads and tails are read beside.
    let fits = |read: u64| (bytes..bytes + bytes / 20).contains(&read);
    assert!(fits(after.read_bytes), "{} of {bytes}", after.read_bytes);
    assert_eq!(
        after.read_since_start_bytes + before.read_bytes,
        after.read_bytes
    );
    second.close();

    // Without the file, or with a damaged one, it begins anew.
    let kept = home.state.path().join("scrub.json");
    for damage in [None, Some("{\"version\":1,")] {
        match damage {
            None => std::fs::remove_file(&kept).unwrap(),
            Some(text) => std::fs::write(&kept, text).unwrap(),
        }
        let anew = House::open(&home);
        assert_eq!(anew.scrub(), None);
        let scrub = anew.round(&home);
        assert!(fits(scrub.read_since_start_bytes) && scrub.begun_us > before.begun_us);
        anew.close();
    }
}

#[test]
fn it_takes_its_time() {
    let home = Home::new(4);
    let bytes: u64 = left(&home, 40, 100_000)
        .iter()
        .map(|sealed| sealed.bytes().len() as u64)
        .sum();
    let store = House::open(&home);
    let begun_us = home.clock.monotonic_us();
    store.round(&home);
    let took_us = home.clock.monotonic_us() - begun_us;
    // At the least rate, after the minute that a start has for itself.
    let needed_us = 60_000_000 + bytes * 1_000_000 / hearthkeep::limits::SCRUB_BYTES_PER_S_MIN;
    assert!(
        (needed_us..needed_us * 2).contains(&took_us),
        "{took_us} of {needed_us}"
    );
}

#[test]
fn what_is_being_written_is_no_finding() {
    let home = Home::new(5);
    left(&home, 2, 4_000);
    let mut stream = home.stream(9);
    let store = House::open(&home);
    let sealed = stream.seal(6, 4_000);
    let handle = sealed.begin(&store.store);
    let scrub = store.round(&home);
    assert!(handle.segment().durable_bytes() > 0, "it is on the disk");
    assert_eq!(scrub.damaged, 0, "{scrub:?}");
    handle.finish(sealed.end.clone(), sealed.duration_us);
    // The next round reads it.
    let before = scrub.begun_us;
    let next = store.until(&home, "the next round", |scrub| {
        scrub.begun_us > before && scrub.phase == ScrubPhase::Resting
    });
    assert!(
        next.read_bytes > scrub.read_bytes && next.damaged == 0,
        "{next:?}"
    );
}

#[test]
fn what_is_deleted_while_it_is_read_is_no_finding() {
    for at in [0, 1] {
        let home = Home::new(6);
        let sealed = left(&home, 6, 4_000);
        let size = sealed[0].bytes().len() as u64;
        // Room for half of them: the first pass of retention deletes the others.
        let (options, hooks, _) = Hooked::on(&home, Some(3 * size + size / 2));
        let store = House::open_with(&home, options);
        let (hands, root) = (store.hands.clone(), home.disk.path().to_owned());
        let deleted = Arc::new(Mutex::new(None::<PathBuf>));
        let told = Arc::clone(&deleted);
        *hooks[at].lock().unwrap() = Some(Box::new(move |path: &Path| {
            let file = root.join(path);
            for _ in 0..100 {
                hands.turn(KEEPER);
                if !file.exists() {
                    *told.lock().unwrap() = Some(file);
                    return;
                }
            }
        }));
        // The keeper gets no turn before.
        for _ in 0..10 {
            let waiting = store.hands.waiting();
            let (at_us, _) = waiting.into_iter().find(|(_, n)| *n == SCRUB).unwrap();
            store.turn_of(&home, at_us, SCRUB);
        }
        assert!(
            deleted.lock().unwrap().is_some(),
            "nothing was deleted meanwhile"
        );
        let scrub = store.round(&home);
        assert_eq!(scrub.damaged, 0, "{scrub:?}");
    }
}

#[test]
fn a_disk_that_goes_while_it_is_read_is_no_finding() {
    let home = Home::new(7);
    left(&home, 4, 4_000);
    let (options, hooks, is_away) = Hooked::on(&home, None);
    let store = House::open_with(&home, options);
    store.until(&home, "the first is read", |scrub| scrub.read_bytes > 0);
    let gone = Arc::clone(&is_away);
    *hooks[1].lock().unwrap() = Some(Box::new(move |_: &Path| {
        gone.store(true, Ordering::Relaxed);
    }));
    while !is_away.load(Ordering::Relaxed) {
        store.turn(&home);
    }
    for _ in 0..50 {
        store.turn(&home);
    }
    let disk = &store.store.disks()[0];
    assert!(disk.error.is_some(), "it is told as away");
    assert_eq!(disk.scrub.as_ref().unwrap().damaged, 0, "{disk:?}");
}

#[test]
fn a_round_is_late_by_the_days_on_which_its_disk_was_there() {
    let home = Home::new(15);
    left(&home, 4, 4_000);
    let days = |days: u32| (0..24 * days).for_each(|_| home.clock.advance_us(3_600_000_000));
    let (options, _, is_away) = Hooked::on(&home, None);
    let store = House::open_with(&home, options);
    store.until(&home, "the first is read", |scrub| scrub.read_bytes > 0);
    is_away.store(true, Ordering::Relaxed);
    while store.store.disks()[0].error.is_none() {
        store.turn(&home);
    }
    store.hands.turn(SCRUB);
    days(10);
    for _ in 0..50 {
        store.turn(&home);
    }
    let before = store.scrub().unwrap();
    assert_eq!(before.late_days, None);
    store.close();
    days(10);
    let store = House::open(&home);
    store.until(&home, "it goes on", |scrub| {
        scrub.read_bytes > before.read_bytes
    });
    assert_eq!(store.scrub().unwrap().late_days, None);
    days(3);
    store.hands.turn(SCRUB);
    assert_eq!(store.scrub().unwrap().late_days, Some(3));
}

#[test]
fn a_disk_that_recording_needs_is_left_alone() {
    let home = Home::new(8);
    left(&home, 2, 4_000);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let store = House::open_with(&home, home.options_on(disk));
    faults.stall(true);
    let sealed = home.stream(9).seal(2, 1_000);
    let handle = sealed.begin(&store.store);
    home.clock.advance_us(5_000_000);
    let hands = store.hands.clone();
    let writer = std::thread::spawn(move || hands.turn(WRITER));
    until("a write does not come back", || faults.writers() > 0);
    let begun = Instant::now();
    let phase = || store.scrub().map(|scrub| scrub.phase);
    while phase() != Some(ScrubPhase::Waiting) {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{:?}",
            store.scrub()
        );
        home.clock.advance_us(1_000_000);
        store.hands.turn(SCRUB);
    }
    assert_eq!(store.scrub().unwrap().read_since_start_bytes, 0);
    faults.stall(false);
    writer.join().unwrap();
    handle.finish(sealed.end.clone(), sealed.duration_us);
    assert_eq!(store.round(&home).damaged, 0);
}

#[test]
fn a_disk_that_is_slow_for_good_is_read_a_tenth_of_the_time() {
    const EACH_US: u32 = 2_000_000;
    let home = Home::new(14);
    left(&home, 6, 4_000);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let store = House::open_with(&home, home.options_on(disk));
    let (clock, worked) = (Arc::clone(&home.clock), Arc::new(AtomicU32::new(0)));
    let times = Arc::clone(&worked);
    *faults.each.lock().unwrap() = Some(Box::new(move || {
        times.fetch_add(1, Ordering::SeqCst);
        clock.advance_us(EACH_US);
    }));
    let sealed = home.stream(9).seal(2, 1_000);
    let handle = sealed.begin(&store.store);
    handle.finish(sealed.end.clone(), sealed.duration_us);
    while store.store.usage(&sealed.new.stream).segments == 0 {
        store.turn(&home);
    }
    let (begun_us, mut read) = (home.clock.monotonic_us(), 0);
    let is_resting = |scrub: ScrubStatus| scrub.phase == ScrubPhase::Resting;
    while !store.scrub().is_some_and(is_resting) {
        let before = worked.load(Ordering::SeqCst);
        if store.turn(&home) == SCRUB {
            read += worked.load(Ordering::SeqCst) - before;
        }
    }
    let scrub = store.scrub().unwrap();
    assert!(scrub.read_bytes > 6 * 8 * 4_000, "{scrub:?}");
    let took_us = home.clock.monotonic_us() - begun_us;
    let read_us = u64::from(read * EACH_US);
    let (read_s, took_s) = (read_us / 1_000_000, took_us / 1_000_000);
    println!("read for {read_s} of {took_s} s");
    assert!(
        (9..12).contains(&(took_us / read_us)),
        "{read_s} of {took_s} s"
    );
}

#[test]
fn without_days_nothing_is_read() {
    let home = Home::new(10);
    let sealed = left(&home, 2, 4_000);
    flip(&home.path_of(&sealed[0].new));
    let lock = lock::acquire(home.state.path()).unwrap();
    let (store, hands, _) = Store::open_driven(home.options(), lock).unwrap();
    let numbers: Vec<_> = hands
        .waiting()
        .into_iter()
        .map(|(_, number)| number)
        .collect();
    assert!(!numbers.contains(&SCRUB), "{numbers:?}");
    assert_eq!(store.disks()[0].scrub, None);
    store.close();
    assert!(!home.state.path().join("scrub.json").exists());
}

#[test]
fn the_thread_ends_in_the_midst_of_a_segment() {
    let (home, _other, faults, store) = two_disks(11);
    wait_until(&store, "it reads", |_| is_in_the_midst(&faults));
    let told = Instant::now();
    store.close();
    drop(store);
    assert!(
        told.elapsed() < Duration::from_secs(20),
        "it was waited for"
    );
    assert!(
        home.state.path().join("scrub.json").exists(),
        "what it knew is noted"
    );
    // Nothing is left that holds the catalog.
    home.open();
}

/// A store with threads. Its first disk is faulty and has a segment of half a minute's reading, the second three shorter ones.
fn two_disks(seed: u64) -> (Home, tempfile::TempDir, Arc<store_support::Faults>, Store) {
    let home = Home::new(seed);
    left(&home, 1, 1_000_000);
    let other = tempfile::tempdir().unwrap();
    let second = home.another_disk(other.path(), 9);
    let mut stream = home.stream(2);
    for _ in 0..3 {
        let sealed = stream.seal(8, 300_000);
        sealed.leave_on(other.path(), sealed.bytes().len());
    }
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let mut options = home.options_on(disk);
    options.disks.push(second);
    options.scrub = Some(ScrubSettings {
        days: DAYS,
        peace: Duration::ZERO,
    });
    let own = home.disk.path().to_owned();
    options.spread.pinned.insert(home.stream(3).id, own);
    let (store, _) = home.open_with(options);
    (home, other, faults, store)
}

/// Whether the first disk's segment is being read: a start reads only its ends.
fn is_in_the_midst(faults: &store_support::Faults) -> bool {
    faults.read_bytes.load(Ordering::SeqCst) > 500_000
}

fn wait_until(store: &Store, what: &str, mut is_so: impl FnMut(&Store) -> bool) {
    let begun = Instant::now();
    while !is_so(store) {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn phase(store: &Store, disk: usize) -> Option<ScrubPhase> {
    store.disks()[disk].scrub.as_ref().map(|scrub| scrub.phase)
}

#[test]
fn a_disk_that_recording_needs_keeps_no_other_from_being_read() {
    let (home, _other, faults, store) = two_disks(12);
    wait_until(&store, "it reads", |_| is_in_the_midst(&faults));
    faults.stall(true);
    let sealed = home.stream(3).seal(2, 1_000);
    let handle = sealed.begin(&store);
    let appends = || faults.appends.load(Ordering::SeqCst);
    wait_until(&store, "a write hangs", |_| appends() > 0);
    for (disk, wanted) in [(1, ScrubPhase::Resting), (0, ScrubPhase::Waiting)] {
        wait_until(&store, "the other is read, and this waits", |store| {
            home.clock.advance_us(1_000_000);
            phase(store, disk) == Some(wanted)
        });
    }
    faults.stall(false);
    drop(handle);
    store.close();
}

#[test]
fn a_disk_that_hangs_keeps_no_other_from_being_read() {
    let (home, _other, faults, store) = two_disks(13);
    wait_until(&store, "it reads", |_| is_in_the_midst(&faults));
    faults.stall_reads(true);
    wait_until(&store, "the other is read", |store| {
        home.clock.advance_us(100_000);
        phase(store, 1) == Some(ScrubPhase::Resting)
    });
    assert_eq!(store.disks()[0].scrub.as_ref().unwrap().damaged, 0);
    faults.stall_reads(false);
    store.close();
}
