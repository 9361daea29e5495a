//! Disks that leave, return, and have another one in their place.

use std::path::Path;

use hearthkeep::config::Placement;
use hearthkeep::store::DiskUse;
use hearthkeep::store::writer::{Refused, State};
use hearthkeep_format::DiskId;

use super::installation::Installation;
use super::rig::{Rig, SECOND_US, away, options, path_of, second_disk, still_home};
use super::store_support::Home;

/// Takes the disk's folder away and leaves a bare mount point.
fn unmount(path: &Path) {
    let elsewhere = path.with_extension("elsewhere");
    std::fs::rename(path, elsewhere).unwrap();
    std::fs::create_dir(path).unwrap();
}

fn mount(path: &Path) {
    std::fs::remove_dir(path).unwrap();
    std::fs::rename(path.with_extension("elsewhere"), path).unwrap();
}

#[test]
fn a_disk_leaves_and_returns_while_another_is_recorded_to() {
    let (home, folder) = still_home(31);
    let usb = folder.path().join("usb");
    let mut two = options(&home, vec![second_disk(&home, &usb, 9)]);
    two.spread.placement = Placement::RoundRobin;
    let rig = Rig::open(&home, two);
    let mut stream = home.stream(1);
    let first = rig.record(&mut stream);
    let whole = rig.record(&mut stream);
    assert_eq!((&first.1, &whole.1), (&home.disk.path().into(), &usb));
    // One that is open on it when it goes: half of it durable.
    rig.record(&mut stream);
    let torn = stream.seal(4, 20_000);
    let handle = rig.store.begin(torn.new, torn.head.clone()).unwrap();
    for (n, chunk) in torn.chunks.iter().take(2).enumerate() {
        handle.append(chunk.clone(), (n as u64 + 1) * 500_000);
    }
    rig.pass(2 * SECOND_US);
    assert!(usb.join(path_of(&torn)).exists());
    handle.append(torn.chunks[2].clone(), 1_500_000);

    unmount(&usb);
    rig.pass(3 * SECOND_US);
    let status = rig.status(&usb);
    assert_eq!(status.state, DiskUse::Absent);
    let error = status.error.unwrap();
    assert!(error.contains("its disk is not mounted"), "{error}");
    assert_eq!(handle.room(1), Err(Refused::Poisoned));
    assert_eq!(handle.segment().state(), State::Poisoned);
    drop(handle);
    for _ in 0..4 {
        assert_eq!(rig.record(&mut stream).1, home.disk.path(), "the other one");
    }
    assert!(Installation::files(&usb).is_empty(), "the bare mount point");
    assert!(
        rig.store
            .open_segment(&whole.0.new.stream, &whole.0.new.segment)
            .is_err()
    );

    mount(&usb);
    rig.pass(3 * SECOND_US);
    assert_eq!(rig.is(&usb), DiskUse::InUse);
    assert_eq!(rig.status(&usb).error, None);
    let after: Vec<_> = (0..2).map(|_| rig.record(&mut stream).1).collect();
    assert!(after.contains(&usb), "it is recorded to again: {after:?}");
    assert_eq!(rig.read(&whole.0), whole.0.bytes());
    // The torn one got its tail; what was durable is in it.
    let mended = rig.read(&torn);
    let durable = torn.head.len() + torn.chunks[0].len() + torn.chunks[1].len();
    assert_eq!(mended[..durable], torn.bytes()[..durable]);
    let timeline = rig.store.timeline(
        &torn.new.stream,
        torn.new.start.wall_us,
        torn.new.start.wall_us + 1,
    );
    let span = timeline.unwrap().segments[0];
    assert!(
        span.recovered && !span.open && span.duration_us >= 1_000_000,
        "{span:?}"
    );
    assert_eq!(rig.store.strange_files(), 0);
}

#[test]
fn another_disk_at_the_path_is_not_written_to() {
    let (home, folder) = still_home(32);
    let usb = folder.path().join("usb");
    let rig = Rig::open(&home, options(&home, vec![second_disk(&home, &usb, 9)]));
    unmount(&usb);
    let other = Home::new(33);
    std::fs::remove_dir(&usb).unwrap();
    std::os::unix::fs::symlink(other.disk.path(), &usb).unwrap();
    let before = Installation::files(other.disk.path());
    rig.pass(3 * SECOND_US);
    assert_eq!(rig.is(&usb), DiskUse::Absent);
    let error = rig.status(&usb).error.unwrap();
    assert!(error.contains("belongs to another store"), "{error}");
    let mut stream = home.stream(1);
    for _ in 0..3 {
        assert_eq!(rig.record(&mut stream).1, home.disk.path());
    }
    assert_eq!(Installation::files(other.disk.path()), before);
}

#[test]
fn one_disk_at_two_paths_is_used_once() {
    let (home, folder) = still_home(34);
    let again = folder.path().join("again");
    std::os::unix::fs::symlink(home.disk.path(), &again).unwrap();
    let mut options = options(&home, Vec::new());
    options.absent.push(away(&again, 1, None));
    let rig = Rig::open(&home, options);
    rig.pass(3 * SECOND_US);
    assert_eq!(rig.is(&again), DiskUse::Absent);
    let error = rig.status(&again).error.unwrap();
    assert!(
        error.contains("another configured one once more"),
        "{error}"
    );
}

#[test]
fn the_only_disk_returns() {
    let (home, folder) = still_home(35);
    let usb = folder.path().join("usb");
    let disk = second_disk(&home, &usb, 9);
    let mut one = options(&home, vec![disk]);
    one.disks.remove(0);
    let rig = Rig::open(&home, one);
    let mut stream = home.stream(1);
    let (before, _) = rig.record(&mut stream);
    unmount(&usb);
    rig.pass(3 * SECOND_US);
    let lost = stream.seal(1, 100);
    let refused = rig.store.begin(lost.new, lost.head.clone()).map(drop);
    assert_eq!(refused, Err(Refused::NoDisk));
    mount(&usb);
    rig.pass(3 * SECOND_US);
    rig.record(&mut stream);
    assert_eq!(rig.read(&before), before.bytes());
}

#[test]
fn what_was_recorded_on_a_disk_that_is_away_at_the_start_keeps_its_sequences() {
    let (home, folder) = still_home(36);
    let usb = folder.path().join("usb");
    let disk = second_disk(&home, &usb, 9);
    let id = disk.id;
    let mut first = options(&home, vec![disk]);
    first.spread.pinned.insert(home.stream(1).id, usb.clone());
    let rig = Rig::open(&home, first);
    let mut stream = home.stream(1);
    let (known, _) = rig.record(&mut stream);
    // Torn, and never catalogued: its sequence is known on that disk only.
    let torn = stream.seal(2, 20_000);
    let handle = torn.begin(&rig.store);
    rig.pass(2 * SECOND_US);
    rig.die();
    drop(handle);

    unmount(&usb);
    let mut alone = options(&home, Vec::new());
    alone.absent.push(away(&usb, 1, Some(id)));
    let rig = Rig::open(&home, alone);
    stream.new_epoch(&home);
    stream.sequence = rig.store.next_sequence(&stream.id);
    assert!(stream.sequence > torn.new.start.sequence);
    let (elsewhere, _) = rig.record(&mut stream);
    mount(&usb);
    rig.pass(3 * SECOND_US);
    assert_eq!(rig.is(&usb), DiskUse::InUse);
    let timeline = rig.store.timeline(&stream.id, i64::MIN, i64::MAX).unwrap();
    let mut sequences: Vec<_> = timeline.segments.iter().map(|span| span.sequence).collect();
    sequences.sort_unstable();
    let expected = [&known, &torn, &elsewhere].map(|sealed| sealed.new.start.sequence);
    assert_eq!(sequences, expected, "all of them, and none twice");
    assert_eq!(rig.read(&known), known.bytes());
}

#[test]
fn two_starts_without_all_disks_give_no_sequence_twice_within_a_minute() {
    let (home, folder) = still_home(38);
    let usb = folder.path().join("usb");
    let disk = second_disk(&home, &usb, 9);
    let id = disk.id;
    let third = away(&folder.path().join("third"), 2, None);
    let mut first = options(&home, vec![disk]);
    first.absent.push(third);
    first.spread.pinned.insert(home.stream(1).id, usb.clone());
    let rig = Rig::open(&home, first);
    let mut stream = home.stream(1);
    // It passes over numbers already, and is torn: only that disk knows which it has.
    stream.sequence = rig.store.next_sequence(&stream.id);
    let torn = stream.seal(2, 20_000);
    let handle = torn.begin(&rig.store);
    rig.pass(2 * SECOND_US);
    rig.die();
    drop(handle);

    unmount(&usb);
    let mut alone = options(&home, Vec::new());
    alone.absent.push(away(&usb, 1, Some(id)));
    let rig = Rig::open(&home, alone);
    let next = rig.store.next_sequence(&stream.id);
    assert!(
        next > torn.new.start.sequence,
        "{next} was given already, or may have been"
    );
}

#[test]
fn a_disk_that_hangs_when_it_goes_is_not_used_before_it_let_go() {
    use super::store_support::{FaultyDisk, QUICK, until};
    use hearthkeep::store::MountedDisk;
    // With threads: a call that hangs in a disk hangs for real.
    let home = Home::new(37);
    let folder = tempfile::tempdir().unwrap();
    let usb = folder.path().join("usb");
    let id = second_disk(&home, &usb, 9).id;
    let (faulty, faults) = FaultyDisk::new(&usb);
    let disk = MountedDisk::with(faulty, &usb, home.store, id, None).unwrap();
    let mut both = options(&home, vec![disk]);
    both.pace = QUICK;
    both.spread.pinned.insert(home.stream(1).id, usb.clone());
    let (store, _) = home.open_with(both);
    let mut stream = home.stream(1);
    faults.stall(true);
    let hanging = stream.seal(2, 20_000);
    let handle = hanging.begin(&store);
    let appends = || faults.appends.load(std::sync::atomic::Ordering::SeqCst);
    until("a write hangs in it", || appends() > 0);
    unmount(&usb);
    let status = || store.disks().into_iter().find(|s| s.path == usb).unwrap();
    until("it is missed", || status().state == DiskUse::Absent);
    mount(&usb);
    let next = stream.seal(2, 20_000);
    next.record(&store);
    until("another disk took it", || {
        home.disk.path().join(path_of(&next)).exists()
    });
    assert_eq!(status().state, DiskUse::Absent, "a write hangs in it");
    assert!(status().error.unwrap().contains("is gone"));
    faults.stall(false);
    until("it is used again", || status().state == DiskUse::InUse);
    drop(handle);
    store.close();
}

#[test]
fn a_disk_in_which_a_moved_segment_hangs_is_not_used_before_it_let_go() {
    use std::time::{Duration, Instant};

    use super::store_support::{FaultyDisk, QUICK};
    use hearthkeep::store::MountedDisk;
    const LONG: Duration = Duration::from_secs(60);
    let until = |what: &str, is_so: &mut dyn FnMut() -> bool| {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < LONG, "{what}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    };
    let home = Home::new(38);
    let folder = tempfile::tempdir().unwrap();
    let usb = folder.path().join("usb");
    let id = second_disk(&home, &usb, 9).id;
    let (faulty, faults) = FaultyDisk::new(&usb);
    let disk = MountedDisk::with(faulty, &usb, home.store, id, None).unwrap();
    let mut both = options(&home, vec![disk]);
    both.pace = QUICK;
    let own = home.disk.path().to_owned();
    both.spread.pinned.insert(home.stream(1).id, own);
    let (store, _) = home.open_with(both);
    let sealed = home.stream(1).seal(2, 20_000);
    sealed.record(&store);
    until("it is catalogued", &mut || {
        store.usage(&sealed.new.stream).segments == 1
    });
    faults.stall(true);
    store.drain_disk(home.disk_id, false).unwrap();
    let appends = || faults.appends.load(std::sync::atomic::Ordering::SeqCst);
    until("it hangs where it is moved to", &mut || appends() > 0);
    unmount(&usb);
    let status = || store.disks().into_iter().find(|s| s.path == usb).unwrap();
    until("the disk is missed", &mut || {
        status().state == DiskUse::Absent
    });
    mount(&usb);
    // It is looked at every 2 s.
    let mounted = Instant::now();
    while mounted.elapsed() < Duration::from_secs(7) {
        assert_eq!(status().state, DiskUse::Absent, "a write hangs in it");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    faults.stall(false);
    until("it is used again", &mut || status().state == DiskUse::InUse);
    store.close();
}

#[test]
fn one_that_is_added_where_another_is_left_out_is_found_by_that_path() {
    let (home, folder) = still_home(97);
    let usb = folder.path().join("usb");
    let mut only = options(&home, Vec::new());
    let known = away(&usb, 1, Some(DiskId::from_bytes([8; 16])));
    let wanted = known.wanted.clone();
    only.left_out = vec![known];
    let rig = Rig::open(&home, only);
    assert_eq!(rig.is(&usb), DiskUse::LeftOut);
    let added = second_disk(&home, &usb, 9);
    rig.store.add_disk(&wanted, added.id);
    let status = rig.status(&usb);
    assert_eq!(
        (status.state, status.id),
        (DiskUse::Absent, Some(added.id)),
        "to be taken in"
    );
    rig.pass(10 * SECOND_US);
    assert_eq!(rig.is(&usb), DiskUse::InUse);
    assert_eq!(rig.store.disks().len(), 3, "the other one is still told");
}
