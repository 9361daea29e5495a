//! Footage that moves from hot disks to cold ones: when it is old, and when a hot one fills.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hearthkeep::config::Tier;
use hearthkeep::store::{MountedDisk, NewHold, Options};

use super::doubtful::with_log;
use super::failing::faulty_second;
use super::moving::fill;
use super::rig::{Rig, SECOND_US, options, path_of, second_disk, segments_on, still_home};
use super::store_support::{Faults, FaultyDisk, Files, Home, Sealed};

#[test]
fn footage_moves_to_the_cold_disk_when_it_is_old() {
    let (home, folder) = still_home(55);
    let attic = folder.path().join("attic");
    let mut disk = second_disk(&home, &attic, 9);
    disk.tier = Tier::Cold;
    let mut both = options(&home, vec![disk]);
    both.spread.cold_after_days = Some(7);
    let rig = Rig::open(&home, both);
    let day_us = 86_400 * SECOND_US;
    let mut stream = home.stream(1);
    let mut days = Vec::new();
    for _ in 0..10 {
        let (sealed, disk) = rig.record(&mut stream);
        assert_eq!(disk, home.disk.path(), "new footage is for the hot one");
        days.push(sealed);
        // Nobody waits for a day: the disks' watch alone would look 43,200 times.
        rig.advance(day_us);
        rig.pass(60 * SECOND_US);
        stream.wall_us = hearthkeep::clock::Clock::wall_us(&*home.clock);
    }
    let is_cold: Vec<_> = days
        .iter()
        .map(|sealed| rig.where_is(sealed) == attic)
        .collect();
    let cold = is_cold.iter().filter(|is_cold| **is_cold).count();
    assert!((2..=4).contains(&cold), "{is_cold:?}");
    assert!(
        is_cold.is_sorted_by(|a, b| a >= b),
        "the oldest: {is_cold:?}"
    );
    assert!(days.iter().all(|sealed| rig.read(sealed) == sealed.bytes()));
}

#[test]
fn a_cold_disk_that_is_full_of_what_is_held_takes_nothing_that_would_go_at_once() {
    let (home, folder) = still_home(62);
    let attic = folder.path().join("attic");
    let mut cold = second_disk(&home, &attic, 9);
    cold.tier = Tier::Cold;
    // Of four segments and a half.
    cold.max_bytes = Some(200_000);
    let mut both = with_log(options(&home, vec![cold]));
    both.spread.cold_after_days = Some(7);
    let rig = Rig::open(&home, both);
    let (day_us, mut stream) = (86_400 * SECOND_US, home.stream(1));
    let held: Vec<_> = (0..4).map(|_| rig.record(&mut stream).0).collect();
    let new = NewHold {
        streams: Vec::new(),
        from_us: held[0].new.start.wall_us,
        to_us: Some(stream.wall_us),
        until_us: None,
        reason: "the fence".to_owned(),
        who: "robin".to_owned(),
    };
    rig.store.hold(new).unwrap();
    let mut loose = Vec::new();
    for _ in 0..12 {
        rig.advance(day_us);
        rig.pass(60 * SECOND_US);
        stream.wall_us = hearthkeep::clock::Clock::wall_us(&*home.clock);
        loose.push(rig.record(&mut stream).0);
    }
    rig.pass(300 * SECOND_US);
    assert!(held.iter().all(|sealed| rig.where_is(sealed) == attic));
    assert_eq!(rig.store.deleted(), Default::default(), "nothing had to go");
    let on_hot = |sealed: &Sealed| rig.where_is(sealed) == home.disk.path();
    assert!(loose.iter().all(on_hot));
}

/// Whether a segment can be opened.
fn is_there(rig: &Rig<'_>, sealed: &Sealed) -> bool {
    let new = &sealed.new;
    rig.store.open_segment(&new.stream, &new.segment).is_ok()
}

/// How many segments of these are left, which are to be the newest.
fn newest_left(rig: &Rig<'_>, recorded: &[Sealed]) -> usize {
    let kept = recorded.iter().map(|sealed| is_there(rig, sealed));
    let kept: Vec<_> = kept.collect();
    assert!(kept.is_sorted(), "what is left is the newest: {kept:?}");
    kept.iter().filter(|kept| **kept).count()
}

/// The home's disk with a budget, on which files fail to be opened when told to, and a cold one without.
fn hot_and_cold(home: &Home, attic: &Path, max_bytes: u64) -> (Options, Arc<Faults>) {
    let mut cold = second_disk(home, attic, 9);
    cold.tier = Tier::Cold;
    let mut both = options(home, vec![cold]);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let (path, id) = (home.disk.path(), home.disk_id);
    both.disks[0] = MountedDisk::with(disk, path, home.store, id, Some(max_bytes)).unwrap();
    (both, faults)
}

#[test]
fn a_full_hot_disk_gives_its_oldest_to_the_cold_one_and_deletes_nothing() {
    const MAX_BYTES: u64 = 700_000;
    let (home, folder) = still_home(59);
    let attic = folder.path().join("attic");
    let (mut both, _) = hot_and_cold(&home, &attic, MAX_BYTES);
    // Nothing is so old yet.
    both.spread.cold_after_days = Some(7);
    let rig = Rig::open(&home, both);
    let mut stream = home.stream(1);
    let mut recorded = Vec::new();
    for _ in 0..60 {
        recorded.push(rig.record(&mut stream));
        let used = rig.status(home.disk.path()).used_bytes;
        assert!(used <= MAX_BYTES / 20 * 21, "{used}");
    }
    rig.pass(120 * SECOND_US);
    assert_eq!(rig.store.deleted(), Default::default(), "nothing had to go");
    assert!(
        recorded
            .iter()
            .all(|(sealed, _)| rig.read(sealed) == sealed.bytes())
    );
    assert!(rig.status(home.disk.path()).used_bytes <= MAX_BYTES);
    let is_hot = |(_, disk): &&(Sealed, PathBuf)| disk == home.disk.path();
    let hot = recorded.iter().filter(is_hot).count();
    assert!(hot >= 50, "new footage is for the hot one: {hot} of 60");
    let cold = recorded
        .iter()
        .take_while(|(sealed, _)| rig.where_is(sealed) == attic);
    assert!(cold.count() >= 40, "the oldest moved");
}

#[test]
fn where_moving_takes_too_long_new_footage_goes_to_the_cold_disk() {
    moving_takes_too_long(60, false);
}

#[test]
fn also_that_of_a_camera_that_asks_for_the_hot_disk() {
    moving_takes_too_long(64, true);
}

fn moving_takes_too_long(seed: u64, is_pinned: bool) {
    const MAX_BYTES: u64 = 1_500_000;
    let (home, folder) = still_home(seed);
    let attic = folder.path().join("attic");
    let (mut both, faults) = hot_and_cold(&home, &attic, MAX_BYTES);
    if is_pinned {
        let hot = home.disk.path().to_owned();
        both.spread.pinned.insert(home.stream(1).id, hot);
    }
    let rig = Rig::open(&home, both);
    let mut stream = home.stream(1);
    // What is moved would have to be opened.
    faults.silent_files.store(true, Ordering::SeqCst);
    let recorded: Vec<_> = (0..80).map(|_| rig.record(&mut stream)).collect();
    rig.pass(120 * SECOND_US);
    assert_eq!(rig.store.deleted(), Default::default(), "nothing had to go");
    let used = rig.status(home.disk.path()).used_bytes;
    assert!(
        (MAX_BYTES - 50_000..MAX_BYTES / 20 * 21).contains(&used),
        "{used}"
    );
    assert_eq!(recorded[79].1, attic);
    faults.silent_files.store(false, Ordering::SeqCst);
    rig.pass(60 * SECOND_US);
    assert!(rig.status(home.disk.path()).used_bytes < MAX_BYTES);
    assert_eq!(rig.record(&mut stream).1, home.disk.path(), "there is room");
    assert!(
        recorded
            .iter()
            .all(|(sealed, _)| rig.read(sealed) == sealed.bytes())
    );
    assert_eq!(rig.where_is(&recorded[0].0), attic, "the oldest moved");
}

#[test]
fn where_the_cold_disk_is_full_too_the_oldest_of_all_goes() {
    let (home, folder) = still_home(61);
    let attic = folder.path().join("attic");
    let (mut both, _) = hot_and_cold(&home, &attic, 700_000);
    both.disks[1].max_bytes = Some(500_000);
    let rig = Rig::open(&home, both);
    let mut stream = home.stream(1);
    let mut recorded = Vec::new();
    for _ in 0..200 {
        recorded.push(stream.seal(2, 5_000));
        recorded[recorded.len() - 1].record(&rig.store);
        rig.pass(5 * SECOND_US);
    }
    rig.pass(120 * SECOND_US);
    let count = newest_left(&rig, &recorded);
    // Of 15,012 bytes each.
    assert!((72..=79).contains(&count), "as both may have: {count}");
    for (disk, max) in [(home.disk.path(), 700_000), (&attic, 500_000)] {
        let used = rig.status(disk).used_bytes;
        assert!(used <= max, "{used} of {max}");
    }
}

#[test]
fn a_hot_disk_without_a_budget_keeps_a_quarter_of_its_reserve() {
    const RESERVE_BYTES: u64 = 400_000;
    let (home, folder) = still_home(67);
    let attic = folder.path().join("attic");
    let (mut both, faults) = hot_and_cold(&home, &attic, 0);
    both.disks[0].max_bytes = None;
    both.reserve_bytes_min = RESERVE_BYTES;
    faults.size.store(2_000_000, Ordering::SeqCst);
    let rig = Rig::open(&home, both);
    let mut stream = home.stream(1);
    let free_bytes = || rig.status(home.disk.path()).space.unwrap().free_bytes;
    for is_silent in [false, true] {
        // What is moved would have to be opened.
        faults.silent_files.store(is_silent, Ordering::SeqCst);
        for _ in 0..60 {
            rig.record(&mut stream);
            let free = free_bytes();
            assert!(free >= RESERVE_BYTES / 4, "{free}");
        }
    }
    assert_eq!(rig.store.deleted(), Default::default(), "nothing had to go");
    assert!(free_bytes() < RESERVE_BYTES + 100_000, "it is in use");
}

#[test]
fn a_drain_without_room_keeps_no_hot_disk_from_handing_its_oldest_on() {
    let (home, folder) = still_home(65);
    let (attic, usb) = (folder.path().join("attic"), folder.path().join("usb"));
    let (cold, leaving) = (
        second_disk(&home, &attic, 9).id,
        second_disk(&home, &usb, 8).id,
    );
    let open = |path: &Path, id, max_bytes| MountedDisk::open(path, home.store, id, max_bytes);
    let hot_and_cold = || {
        let mut cold = open(&attic, cold, Some(500_000)).unwrap();
        cold.tier = Tier::Cold;
        let mut both = options(&home, vec![cold]);
        both.disks[0].max_bytes = Some(700_000);
        both
    };
    let rig = Rig::open(&home, hot_and_cold());
    let mut stream = home.stream(3);
    let mut recorded: Vec<_> = (0..60).map(|_| rig.record(&mut stream).0).collect();
    rig.store.close();
    drop(rig);

    let mut all = hot_and_cold();
    all.disks.push(open(&usb, leaving, None).unwrap());
    let pinned = [1, 2].map(|n| (home.stream(n).id, usb.clone()));
    all.spread.pinned.extend(pinned);
    let rig = Rig::open(&home, all);
    let drained = fill(&rig, &usb, 6);
    rig.store.close();
    drop(rig);

    let mut all = hot_and_cold();
    all.disks.push(open(&usb, leaving, None).unwrap());
    all.spread.drains.insert(leaving, Default::default());
    let rig = Rig::open(&home, all);
    stream.new_epoch(&home);
    recorded.extend((0..60).map(|_| rig.record(&mut stream).0));
    rig.pass(120 * SECOND_US);
    let count = newest_left(&rig, &recorded);
    let used = [home.disk.path(), &attic].map(|disk| rig.status(disk).used_bytes);
    // Of 40,212 bytes each; what the hot one keeps for new footage is free.
    assert!(count >= 22, "{count}, {used:?}");
    assert!(
        drained.iter().all(|sealed| is_there(&rig, sealed)),
        "without being told nothing goes"
    );
}

#[test]
fn a_hot_disk_that_lets_nothing_go_is_not_copied_to_the_cold_one() {
    const MAX_BYTES: u64 = 700_000;
    let (home, folder) = still_home(66);
    let attic = folder.path().join("attic");
    let (both, faults) = hot_and_cold(&home, &attic, MAX_BYTES);
    let rig = Rig::open(&home, both);
    let mut stream = home.stream(1);
    faults.fail_remove.store(true, Ordering::SeqCst);
    let mut recorded: Vec<_> = (0..60).map(|_| rig.record(&mut stream).0).collect();
    let (found, _) = segments_on(&[home.disk.path(), &attic]);
    let copied = found.values().filter(|copies| copies.len() > 1).count();
    assert!((1..=2).contains(&copied), "{copied} lie on both");
    faults.fail_remove.store(false, Ordering::SeqCst);
    rig.pass(3_700 * SECOND_US);
    recorded.extend((0..20).map(|_| rig.record(&mut stream).0));
    for sealed in &recorded {
        rig.where_is(sealed);
        assert_eq!(rig.read(sealed), sealed.bytes());
    }
}

/// A cold disk that is found where it says so, on which files are made as told.
fn faulty_cold(home: &Home, attic: &Path) -> (MountedDisk, Arc<Faults>) {
    let (mut cold, faults) = faulty_second(home, attic);
    cold.tier = Tier::Cold;
    (cold, faults)
}

#[test]
fn a_cold_disk_that_takes_nothing_lets_its_oldest_go_for_newer() {
    const MAX_BYTES: u64 = 700_000;
    let (home, folder) = still_home(62);
    let attic = folder.path().join("attic");
    let (cold, faults) = faulty_cold(&home, &attic);
    let mut both = options(&home, vec![cold]);
    both.disks[0].max_bytes = Some(MAX_BYTES);
    let rig = Rig::open(&home, both);
    let mut stream = home.stream(1);
    let mut recorded: Vec<_> = (0..80).map(|_| rig.record(&mut stream).0).collect();
    let on_cold = |recorded: &[Sealed]| {
        let is_cold = |sealed: &&Sealed| attic.join(path_of(sealed)).exists();
        recorded.iter().filter(is_cold).count()
    };
    let before = on_cold(&recorded);
    assert!(before > 60, "{before}");
    // Its file system shows room all the time.
    *faults.files.lock().unwrap() = Files::Left(0);
    recorded.extend((0..20).map(|_| rig.record(&mut stream).0));
    let status = rig.status(&attic);
    let told = status.error.unwrap();
    assert!(status.is_full && told.contains("inodes"), "{told}");
    recorded.extend((0..100).map(|_| rig.record(&mut stream).0));
    rig.pass(120 * SECOND_US);
    let after = on_cold(&recorded);
    assert!(
        (before - 8..=before + 1).contains(&after),
        "{before}, then {after}"
    );
    let is_there = |sealed: &Sealed| {
        let opened = rig
            .store
            .open_segment(&sealed.new.stream, &sealed.new.segment);
        opened.is_ok()
    };
    let kept: Vec<_> = recorded.iter().map(is_there).collect();
    assert!(kept.is_sorted(), "what is left is the newest: {kept:?}");
}

#[test]
fn a_move_that_goes_well_ends_what_was_told_of_a_cold_disk() {
    let (home, folder) = still_home(63);
    let attic = folder.path().join("attic");
    let (cold, faults) = faulty_cold(&home, &attic);
    let mut both = options(&home, vec![cold]);
    both.disks[0].max_bytes = Some(700_000);
    let rig = Rig::open(&home, both);
    let mut stream = home.stream(1);
    let record = |stream: &mut _, count: usize| (0..count).for_each(|_| _ = rig.record(stream));
    record(&mut stream, 40);
    assert_eq!(rig.status(&attic).error, None);
    // One that spins up is asked later, and that is all.
    faults.hang_renames.store(true, Ordering::SeqCst);
    record(&mut stream, 2);
    faults.answer_again(&attic, false);
    assert_eq!(rig.status(&attic).error, None);
    record(&mut stream, 10);
    faults.fail_append.store(true, Ordering::SeqCst);
    record(&mut stream, 4);
    faults.fail_append.store(false, Ordering::SeqCst);
    let told = rig.status(&attic).error.unwrap();
    assert!(told.contains("writing failed"), "{told}");
    rig.pass(600 * SECOND_US);
    record(&mut stream, 10);
    assert_eq!(rig.status(&attic).error, None);
}
