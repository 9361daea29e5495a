//! Footage that was moved to another disk, and what the signed log says of it: nobody is accused while that disk is away, and who
//! removes it there is found out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hearthkeep::disk::{Disk, RealDisk};
use hearthkeep::store::log::{Reader, find};
use hearthkeep::store::{DiskUse, MountedDisk, Options, ScrubSettings};
use hearthkeep_format::log::Record;
use hearthkeep_format::{DiskId, SegmentId};

use super::chance::Chance;
use super::commands::{camera, folder, listed, one_camera};
use super::doubtful::with_log;
use super::installation::{HEARTHKEEP, Installation, await_condition, path};
use super::mounts::segments;
use super::rig::{Rig, SECOND_US, away, options, path_of, second_disk, segments_on, still_home};
use super::store_support::{Home, Sealed};

const LONG: Duration = Duration::from_secs(120);
const USB: DiskId = DiskId::from_bytes([9; 16]);

/// A home whose second disk has so many segments, which the log has there.
fn filled(seed: u64, count: usize) -> (Home, tempfile::TempDir, PathBuf, Vec<Sealed>) {
    let (home, folder) = still_home(seed);
    let usb = folder.path().join("usb");
    second_disk(&home, &usb, 9);
    let mut both = both(&home, &usb);
    both.spread.pinned.insert(home.stream(1).id, usb.clone());
    let rig = Rig::open(&home, with_log(both));
    let mut stream = home.stream(1);
    let all: Vec<_> = (0..count).map(|_| rig.record(&mut stream).0).collect();
    assert!(all.iter().all(|sealed| rig.where_is(sealed) == usb));
    rig.pass(70 * SECOND_US);
    rig.store.close();
    drop(rig);
    (home, folder, usb, all)
}

fn both(home: &Home, usb: &Path) -> Options {
    let disk = MountedDisk::open(usb, home.store, USB, None).unwrap();
    options(home, vec![disk])
}

/// The same, where the second disk is to be emptied.
fn draining(home: &Home, usb: &Path) -> Options {
    let mut both = both(home, usb);
    both.spread.drains.insert(USB, Default::default());
    both
}

fn drain(rig: &Rig, usb: &Path) {
    for _ in 0..600 {
        if rig.is(usb) == DiskUse::Drained {
            return;
        }
        rig.pass(SECOND_US);
    }
    panic!("it is not emptied: {:?}", rig.status(usb));
}

/// Where the log on a disk says that each segment lies.
fn places(home: &Home, disk: &Path) -> HashMap<SegmentId, DiskId> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(disk).unwrap());
    let chain = find(&[disk], &home.store, &*home.keys());
    let mut places = HashMap::new();
    for log in &chain.logs {
        let mut reader = Reader::new(home.keys());
        loop {
            let read = reader.next(&log.files).unwrap();
            if read.is_empty() {
                break;
            }
            for (_, stamped) in read {
                if let Record::SegmentClosed(closed) = stamped.unwrap().record {
                    places.insert(closed.segment, closed.disk);
                }
            }
        }
    }
    places
}

fn lies_on(home: &Home, sealed: &[Sealed], disk: DiskId) -> bool {
    let places = places(home, home.disk.path());
    sealed
        .iter()
        .all(|sealed| places[&sealed.new.segment] == disk)
}

fn removed(rig: &Rig) -> u64 {
    rig.store.log().removed_count()
}

/// Opens the home's disk alone, as after the other one was taken out.
fn alone(home: &Home) -> Rig<'_> {
    let rig = Rig::open(home, with_log(options(home, Vec::new())));
    rig.pass(20 * SECOND_US);
    rig
}

#[test]
fn who_removes_footage_that_was_moved_off_a_retired_disk_is_found_out() {
    let (home, _folder, usb, all) = filled(201, 4);
    let rig = Rig::open(&home, with_log(draining(&home, &usb)));
    drain(&rig, &usb);
    assert!(lies_on(&home, &all, home.disk_id), "the log was told");
    rig.store.expect_retirable(USB, false).unwrap();
    rig.store.retire_disk(USB).unwrap();
    rig.store.close();
    drop(rig);
    let rig = alone(&home);
    assert_eq!(removed(&rig), 0);
    rig.store.close();
    drop(rig);
    std::fs::remove_file(home.path_of(&all[1].new)).unwrap();
    let rig = alone(&home);
    assert_eq!(removed(&rig), 1);
    let told = rig.store.log().removed(&all[1].new.stream, 0, i64::MAX);
    assert_eq!(told[0].segment, all[1].new.segment);
}

#[test]
fn the_log_is_told_of_what_is_moved_however_damaged_it_is() {
    let (home, _folder, usb, all) = filled(209, 3);
    let spoil = |sealed: &Sealed, at: fn(usize) -> usize| {
        let file = usb.join(path_of(sealed));
        let mut bytes = std::fs::read(&file).unwrap();
        let at = at(bytes.len());
        bytes[at] ^= 1;
        std::fs::write(file, bytes).unwrap();
    };
    let rig = Rig::open(&home, with_log(draining(&home, &usb)));
    spoil(&all[0], |_| 0);
    spoil(&all[1], |length| length - 1);
    drain(&rig, &usb);
    assert!(lies_on(&home, &all, home.disk_id), "the log was told");
    rig.store.close();
    drop(rig);
    std::fs::remove_file(home.path_of(&all[0].new)).unwrap();
    let rig = alone(&home);
    assert_eq!(removed(&rig), 1, "and who removes it there is found out");
}

#[test]
fn a_log_that_was_not_told_of_moves_is_told_at_the_next_start() {
    let (home, _folder, usb, all) = filled(202, 3);
    // As recorders did that never told the log.
    let rig = Rig::open(&home, draining(&home, &usb));
    drain(&rig, &usb);
    rig.store.close();
    drop(rig);
    assert!(lies_on(&home, &all, USB));
    let rig = Rig::open(&home, with_log(both(&home, &usb)));
    rig.pass(20 * SECOND_US);
    assert!(lies_on(&home, &all, home.disk_id));
    let told = places(&home, home.disk.path()).len();
    assert_eq!((told, removed(&rig)), (all.len(), 0));
    rig.store.close();
    drop(rig);
    std::fs::remove_file(home.path_of(&all[0].new)).unwrap();
    assert_eq!(removed(&alone(&home)), 1);
}

/// The log cannot be written: its place in the state folder is taken.
fn block(home: &Home) -> impl FnOnce() {
    let (file, aside) = (
        home.state.path().join("log.sealed"),
        home.state.path().join("aside"),
    );
    std::fs::rename(&file, &aside).unwrap();
    std::fs::create_dir(&file).unwrap();
    std::fs::write(file.join("full"), "").unwrap();
    move || {
        std::fs::remove_dir_all(&file).unwrap();
        std::fs::rename(&aside, &file).unwrap();
    }
}

#[test]
fn nothing_is_moved_while_the_log_cannot_be_written() {
    let (home, _folder, usb, all) = filled(203, 3);
    let rig = Rig::open(&home, with_log(both(&home, &usb)));
    rig.pass(20 * SECOND_US);
    let let_go = block(&home);
    rig.store.drain_disk(USB, false).unwrap();
    rig.pass(120 * SECOND_US);
    assert_eq!(rig.is(&usb), DiskUse::Draining);
    assert!(all.iter().all(|sealed| usb.join(path_of(sealed)).exists()));
    assert!(rig.store.log().troubles()[0].contains("cannot be written"));
    let_go();
    drain(&rig, &usb);
    assert!(lies_on(&home, &all, home.disk_id));
    assert_eq!(rig.store.log().troubles(), Vec::<String>::new());
    assert!(all.iter().all(|sealed| rig.read(sealed) == sealed.bytes()));
}

#[test]
fn a_copy_that_waits_for_the_log_outlives_the_disk_that_it_came_from() {
    let (home, folder, usb, all) = filled(204, 1);
    let rig = Rig::open(&home, with_log(both(&home, &usb)));
    rig.pass(20 * SECOND_US);
    let let_go = block(&home);
    rig.store.drain_disk(USB, false).unwrap();
    let copy = home.path_of(&all[0].new);
    for _ in 0..60 {
        rig.pass(SECOND_US);
        if copy.exists() {
            break;
        }
    }
    assert!(copy.exists() && usb.join(path_of(&all[0])).exists());
    let elsewhere = folder.path().join("elsewhere");
    std::fs::rename(&usb, &elsewhere).unwrap();
    rig.pass(20 * SECOND_US);
    let_go();
    rig.pass(20 * SECOND_US);
    assert!(copy.exists());
    rig.store.close();
    drop(rig);
    // The disk never comes back.
    let mut one = with_log(options(&home, Vec::new()));
    one.absent.push(away(&usb, 1, Some(USB)));
    let rig = Rig::open(&home, one);
    rig.pass(20 * SECOND_US);
    assert_eq!(rig.read(&all[0]), all[0].bytes());
    assert!(lies_on(&home, &all, home.disk_id));
    // It does, and there is one again.
    std::fs::rename(&elsewhere, &usb).unwrap();
    rig.pass(20 * SECOND_US);
    rig.where_is(&all[0]);
    assert_eq!((rig.read(&all[0]), removed(&rig)), (all[0].bytes(), 0));
}

/// The process dies at any point of a drain that the log is told of, again and again.
#[test]
fn a_crash_anywhere_in_a_drain_accuses_nobody() {
    let mut chance = Chance::new();
    for round in 0..6 {
        let (home, _folder, usb, all) = filled(205, 4);
        let mut deaths = 0;
        loop {
            let rig = Rig::open(&home, with_log(draining(&home, &usb)));
            if chance.below(4) == 0 {
                // It lives on for long enough to say what it misses.
                rig.pass(3 * SECOND_US);
            }
            rig.turns(chance.below(60));
            let context = format!("round {round}, after {deaths} deaths");
            assert_eq!(removed(&rig), 0, "{context}");
            for sealed in &all {
                assert_eq!(rig.read(sealed), sealed.bytes(), "{context}");
            }
            let is_over = rig.is(&usb) == DiskUse::Drained;
            rig.die();
            if is_over {
                break;
            }
            deaths += 1;
        }
        let rig = Rig::open(&home, with_log(both(&home, &usb)));
        rig.pass(20 * SECOND_US);
        assert!(lies_on(&home, &all, home.disk_id), "round {round}");
        assert_eq!((removed(&rig), rig.store.strange_files()), (0, 0));
        let (found, others) = segments_on(&[home.disk.path(), &usb]);
        assert!(found.values().all(|copies| copies.len() == 1) && others.is_empty());
    }
}

#[test]
fn what_is_removed_while_the_recorder_runs_is_told_within_a_day() {
    let (home, _folder, usb, all) = filled(206, 4);
    let rig = Rig::open(&home, with_log(both(&home, &usb)));
    rig.pass(20 * SECOND_US);
    std::fs::remove_file(usb.join(path_of(&all[2]))).unwrap();
    // Nobody waits for a day: the disks' watch alone would look 43,200 times.
    rig.advance(86_400 * SECOND_US);
    rig.pass(60 * SECOND_US);
    assert_eq!(removed(&rig), 1);
    let told = rig.store.log().removed(&all[2].new.stream, 0, i64::MAX);
    assert_eq!(told[0].segment, all[2].new.segment);
    assert_eq!(rig.store.log().troubles().len(), 1);
    for sealed in [&all[0], &all[1], &all[3]] {
        assert_eq!(rig.read(sealed), sealed.bytes());
    }
}

#[test]
fn what_the_scrub_misses_counts_as_removed() {
    let (home, _folder, usb, all) = filled(207, 4);
    let mut scrubbed = with_log(both(&home, &usb));
    scrubbed.scrub = Some(ScrubSettings::new(1));
    let rig = Rig::open(&home, scrubbed);
    rig.pass(20 * SECOND_US);
    std::fs::remove_file(usb.join(path_of(&all[3]))).unwrap();
    // In less than a day, in which it is missed without the scrub.
    for _ in 0..12 * 60 {
        rig.pass(60 * SECOND_US);
        if removed(&rig) > 0 {
            break;
        }
    }
    assert_eq!(removed(&rig), 1, "{:?}", rig.status(&usb).scrub);
}

/// What a command says on both its outputs, and its exit code.
fn said(installation: &Installation, command: &str) -> (Option<i32>, String) {
    let output = installation.run(command, &[]);
    let both = [output.stdout, output.stderr].concat();
    let both = String::from_utf8_lossy(&both).into_owned();
    (output.status.code(), both)
}

fn disk(installation: &Installation, command: &str, folder: &Path) {
    let mut process = std::process::Command::new(HEARTHKEEP);
    process.args(["disk", command, path(folder), "--config"]);
    let done = process.arg(installation.config()).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn check_accuses_nobody_of_what_was_moved_to_a_disk_that_is_away() {
    let (_cameras, url) = one_camera();
    let installation = Installation::new(&[camera(&url)]);
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |list| {
        list[0]["bytes"].as_u64() > Some(50_000)
    });
    let (old, new) = (installation.footage(), folder(&installation, "new"));
    disk(&installation, "add", &new);
    await_condition("it is in use", LONG, || {
        listed(&installation, &new)["state"] == "in use"
    });
    disk(&installation, "drain", &old);
    await_condition("the old one is empty", LONG, || {
        listed(&installation, &old)["state"] == "drained"
    });
    recorder.terminate();
    let (code, told) = said(&installation, "check");
    assert_eq!(code, Some(0), "{told}");

    let aside = installation.folder().join("unplugged");
    let unplug = |disk: &Path| {
        std::fs::rename(disk, &aside).unwrap();
        std::fs::create_dir(disk).unwrap();
    };
    let plug_in = |disk: &Path| {
        std::fs::remove_dir(disk).unwrap();
        std::fs::rename(&aside, disk).unwrap();
    };
    let accuses_nobody = |disk: &Path| {
        unplug(disk);
        let (code, told) = said(&installation, "check");
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(" 0 removed"), "{told}");
        let (_, told) = said(&installation, "reindex");
        assert!(!told.contains("somebody removed"), "{told}");
        plug_in(disk);
    };
    accuses_nobody(&new);

    // The log was not told of this one: the catalog knows.
    let moved = segments(&new).remove(0);
    let to = old.join(moved.strip_prefix(&new).unwrap());
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::rename(&moved, &to).unwrap();
    let (code, told) = said(&installation, "reindex");
    assert_eq!(code, Some(0), "{told}");
    accuses_nobody(&old);
    std::fs::rename(&to, &moved).unwrap();
    let (code, told) = said(&installation, "reindex");
    assert_eq!(code, Some(0), "{told}");

    // Somebody cuts it off at a chunk's end, and nothing but the log knows.
    let whole = std::fs::read(&moved).unwrap();
    let footer_at = whole.len() - 128 + 8;
    let footer_at = u32::from_be_bytes(whole[footer_at..footer_at + 4].try_into().unwrap());
    let cut = &whole[..footer_at as usize];
    std::fs::write(&moved, cut).unwrap();
    let (code, told) = said(&installation, "repair");
    assert_eq!(code, Some(65), "{told}");
    assert_eq!(std::fs::read(&moved).unwrap(), cut, "it is left: {told}");
    std::fs::remove_dir_all(installation.state().join("catalog")).unwrap();
    let (code, told) = said(&installation, "check");
    assert_eq!(code, Some(65), "{told}");
    assert!(told.contains("has been cut off since"), "{told}");
    // A start, or what makes the catalog anew, closes it: the log knows better.
    let _ = said(&installation, "reindex");
    assert_ne!(std::fs::read(&moved).unwrap(), cut);
    let (code, told) = said(&installation, "check");
    assert_eq!(code, Some(65), "{told}");
    assert!(told.contains("not as it was finished"), "{told}");

    std::fs::remove_file(&moved).unwrap();
    let (code, told) = said(&installation, "check");
    assert_eq!(code, Some(65), "{told}");
    assert!(told.contains("was removed"), "{told}");
}
