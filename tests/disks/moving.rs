//! Footage that moves off a disk that is emptied, which a crash may end anywhere.

use std::path::{Path, PathBuf};

use hearthkeep::config::Tier;
use hearthkeep::state_file::StateKey;
use hearthkeep::store::{DiskUse, Error, LogSettings, MountedDisk};
use zeroize::Zeroizing;

use super::chance::Chance;
use super::rig::{Rig, SECOND_US, options, second_disk, segments_on, still_home};
use super::store_support::{GENERATION, Home, Sealed};

/// Records these segments of two streams to the second disk.
pub fn fill(rig: &Rig<'_>, usb: &Path, count: usize) -> Vec<Sealed> {
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
