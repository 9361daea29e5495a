//! Footage that moves between disks: off one that is emptied, and to the cold ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hearthkeep::config::Tier;
use hearthkeep::state_file::StateKey;
use hearthkeep::store::{DiskUse, Error, LogSettings, MountedDisk, Options};
use zeroize::Zeroizing;

use super::chance::Chance;
use super::rig::{Rig, SECOND_US, options, second_disk, segments_on, still_home};
use super::store_support::{Faults, FaultyDisk, GENERATION, Home, Sealed};

/// Records these segments of two streams to the second disk.
fn fill(rig: &Rig<'_>, usb: &Path, count: usize) -> Vec<Sealed> {
    let mut streams = [rig.home.stream(1), rig.home.stream(2)];
    let mut filled = Vec::new();
    for _ in 0..count {
        for stream in &mut streams {
            let sealed = stream.seal(3, 30_000);
            sealed.record(&rig.store);
            filled.push(sealed);
        }
    }
    rig.pass(5 * SECOND_US);
    assert!(filled.iter().all(|sealed| rig.where_is(sealed) == usb));
    filled
}

/// The home's disk, and one in the folder that both streams are recorded to.
fn pinned_to(
    home: &Home,
    usb: &Path,
) -> (MountedDisk, Vec<(hearthkeep_format::StreamId, PathBuf)>) {
    let pinned = [1, 2].map(|n| (home.stream(n).id, usb.to_owned()));
    (second_disk(home, usb, 9), pinned.into())
}

#[test]
fn a_drained_disk_is_emptied_and_nothing_new_goes_to_it() {
    let (home, folder) = still_home(51);
    let usb = folder.path().join("usb");
    let (disk, pinned) = pinned_to(&home, &usb);
    let id = disk.id;
    let mut both = options(&home, vec![disk]);
    both.spread.pinned.extend(pinned);
    let rig = Rig::open(&home, both);
    let filled = fill(&rig, &usb, 5);
    rig.store.drain_disk(id, false).unwrap();
    assert_eq!(rig.is(&usb), DiskUse::Draining);
    let mut stream = home.stream(3);
    assert_eq!(rig.record(&mut stream).1, home.disk.path());
    rig.pass(60 * SECOND_US);
    let status = rig.status(&usb);
    assert_eq!((status.state, status.used_bytes), (DiskUse::Drained, 0));
    let drain = status.drain.unwrap();
    assert_eq!((drain.moved_segments, drain.trouble), (10, None));
    for sealed in &filled {
        assert_eq!(rig.where_is(sealed), home.disk.path());
        assert_eq!(rig.read(sealed), sealed.bytes());
    }
    let (left, others) = segments_on(&[&usb]);
    assert!(left.is_empty() && others.is_empty());
    rig.store.expect_retirable(id, false).unwrap();
    rig.store.retire_disk(id).unwrap();
    assert_eq!(rig.store.disks().len(), 1);
    let only = rig.store.disks()[0].id.unwrap();
    assert!(matches!(
        rig.store.drain_disk(only, true),
        Err(Error::LastDisk)
    ));
    assert!(matches!(
        rig.store.expect_retirable(only, true),
        Err(Error::LastDisk)
    ));
}

#[test]
fn a_disk_with_footage_is_retired_only_with_it() {
    let (home, folder) = still_home(52);
    let usb = folder.path().join("usb");
    let (disk, pinned) = pinned_to(&home, &usb);
    let id = disk.id;
    let mut both = options(&home, vec![disk]);
    both.spread.pinned.extend(pinned);
    let rig = Rig::open(&home, both);
    let filled = fill(&rig, &usb, 2);
    let refused = rig.store.expect_retirable(id, false).unwrap_err();
    let sentence = refused.to_string();
    assert!(
        matches!(refused, Error::NotEmpty { segments: 4, .. }) && sentence.contains("drain"),
        "{sentence}"
    );
    rig.store.expect_retirable(id, true).unwrap();
    rig.store.retire_disk(id).unwrap();
    rig.pass(5 * SECOND_US);
    assert!(rig.store.streams().is_empty(), "it is forgotten");
    assert_eq!(
        segments_on(&[&usb]).0.len(),
        filled.len(),
        "and nothing was deleted"
    );
}

#[test]
fn a_disk_does_not_go_with_the_last_of_the_log() {
    let (home, folder) = still_home(58);
    let mut only = options(&home, Vec::new());
    only.log = Some(LogSettings {
        state_key: StateKey::new(Zeroizing::new([5; 32])),
        generation: GENERATION,
    });
    let rig = Rig::open(&home, only);
    rig.pass(5 * SECOND_US);
    let first = rig.store.disks()[0].id.unwrap();
    let usb = folder.path().join("usb");
    let second = second_disk(&home, &usb, 9);
    let wanted = hearthkeep::config::Disk {
        path: usb.clone(),
        max_bytes: None,
        tier: Tier::Hot,
    };
    rig.store.add_disk(&wanted, second.id);
    let refused = rig.store.expect_retirable(first, true).unwrap_err();
    assert!(matches!(refused, Error::LastLog), "{refused}");
    assert_eq!(rig.is(home.disk.path()), DiskUse::InUse, "it is as it was");
    rig.pass(10 * SECOND_US);
    rig.store.expect_retirable(first, true).unwrap();
    rig.store.retire_disk(first).unwrap();
    rig.pass(5 * SECOND_US);
    assert_eq!(rig.store.log().troubles(), Vec::<String>::new());
    assert_eq!(rig.store.log().published().len(), 1, "it goes on");
}

#[test]
fn where_the_others_have_no_room_nothing_is_eaten_unless_it_may_go() {
    let (home, folder) = still_home(53);
    let usb = folder.path().join("usb");
    let (disk, pinned) = pinned_to(&home, &usb);
    let id = disk.id;
    let mut both = options(&home, vec![disk]);
    both.disks[0].max_bytes = Some(700_000);
    both.spread.pinned.extend(pinned);
    let rig = Rig::open(&home, both);
    let mut old = home.stream(3);
    let old: Vec<_> = (0..5).map(|_| rig.record(&mut old).0).collect();
    let mut filled = fill(&rig, &usb, 6);
    let refused = rig.store.drain_disk(id, false).unwrap_err();
    assert!(matches!(refused, Error::NoRoom { .. }), "{refused}");
    assert_eq!(rig.is(&usb), DiskUse::InUse);
    rig.pass(120 * SECOND_US);
    assert!(
        old.iter()
            .chain(&filled)
            .all(|sealed| rig.read(sealed) == sealed.bytes())
    );

    rig.store.drain_disk(id, true).unwrap();
    rig.pass(1200 * SECOND_US);
    assert_eq!(rig.is(&usb), DiskUse::Drained);
    let used = rig.status(home.disk.path()).used_bytes;
    assert!(used <= 700_000, "{used}");
    let bytes = |sealed: &Sealed| sealed.bytes().len() as u64;
    assert!(
        used + 2 * bytes(&filled[0]) > 700_000,
        "no more went than had to: {used}"
    );
    // What went is the oldest of all, whichever disk it was on.
    filled.extend(old);
    filled.sort_by_key(|sealed| std::cmp::Reverse(sealed.new.start.wall_us));
    let is_there = |sealed: &Sealed| {
        rig.store
            .open_segment(&sealed.new.stream, &sealed.new.segment)
            .is_ok()
    };
    let kept = filled.iter().position(|sealed| !is_there(sealed)).unwrap();
    let newer = filled[kept].new.start.wall_us;
    assert!(
        kept >= 5
            && filled[kept..]
                .iter()
                .all(|s| !is_there(s) || s.new.start.wall_us == newer)
    );
}

#[test]
fn a_drain_that_is_told_to_stop_stops() {
    let (home, folder) = still_home(54);
    let usb = folder.path().join("usb");
    let (disk, pinned) = pinned_to(&home, &usb);
    let id = disk.id;
    let mut both = options(&home, vec![disk]);
    both.spread.pinned.extend(pinned);
    let rig = Rig::open(&home, both);
    let filled = fill(&rig, &usb, 10);
    rig.store.drain_disk(id, false).unwrap();
    while rig.status(&usb).drain.unwrap().moved_segments < 3 {
        rig.turns(1);
    }
    rig.store.keep_disk(id);
    rig.pass(600 * SECOND_US);
    assert_eq!(rig.is(&usb), DiskUse::InUse);
    assert!(
        filled
            .iter()
            .all(|sealed| rig.read(sealed) == sealed.bytes())
    );
    let mut stream = home.stream(1);
    stream.sequence = rig.store.next_sequence(&stream.id);
    assert_eq!(rig.record(&mut stream).1, usb);
}

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
    const MAX_BYTES: u64 = 1_500_000;
    let (home, folder) = still_home(60);
    let attic = folder.path().join("attic");
    let (both, faults) = hot_and_cold(&home, &attic, MAX_BYTES);
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
    let is_there = |sealed: &Sealed| {
        let opened = rig
            .store
            .open_segment(&sealed.new.stream, &sealed.new.segment);
        opened.is_ok()
    };
    let kept: Vec<_> = recorded.iter().map(is_there).collect();
    assert!(kept.is_sorted(), "what is left is the newest: {kept:?}");
    let count = kept.iter().filter(|kept| **kept).count();
    // Of 15,012 bytes each.
    assert!((72..=79).contains(&count), "as both may have: {count}");
    for (disk, max) in [(home.disk.path(), 700_000), (&attic, 500_000)] {
        let used = rig.status(disk).used_bytes;
        assert!(used <= max, "{used} of {max}");
    }
}

/// The process dies at any point of a drain, again and again: at each start there is every segment, whole.
#[test]
fn a_crash_anywhere_in_a_drain_loses_nothing() {
    let mut chance = Chance::new();
    for round in 0..12 {
        let (home, folder) = still_home(56);
        let usb = folder.path().join("usb");
        let (disk, pinned) = pinned_to(&home, &usb);
        let id = disk.id;
        let mut both = options(&home, vec![disk]);
        both.spread.pinned.extend(pinned);
        let rig = Rig::open(&home, both);
        let filled = fill(&rig, &usb, 4);
        rig.store.close();
        drop(rig);
        let mut deaths = 0;
        loop {
            let disk = MountedDisk::open(&usb, home.store, id, None).unwrap();
            let mut both = options(&home, vec![disk]);
            both.spread.drains.insert(id, Default::default());
            let rig = Rig::open(&home, both);
            for sealed in &filled {
                assert_eq!(
                    rig.read(sealed),
                    sealed.bytes(),
                    "round {round}, after {deaths} deaths"
                );
                rig.where_is(sealed);
            }
            assert_eq!(rig.store.strange_files(), 0);
            if rig.is(&usb) == DiskUse::Drained {
                break;
            }
            rig.turns(chance.below(20));
            rig.die();
            deaths += 1;
            let (found, _) = segments_on(&[home.disk.path(), &usb]);
            for sealed in &filled {
                let copies = &found[&sealed.new.segment];
                let whole = |path: &PathBuf| std::fs::read(path).unwrap() == sealed.bytes();
                assert!(
                    copies.iter().all(whole),
                    "what has a segment's name is whole"
                );
            }
        }
        let (found, others) = segments_on(&[home.disk.path(), &usb]);
        assert!(found.len() == filled.len() && others.is_empty());
        assert!(found.values().all(|copies| copies.len() == 1));
        assert!(deaths > 0, "round {round}");
    }
}
