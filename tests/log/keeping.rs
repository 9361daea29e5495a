//! The log that a store keeps on its disks.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use hearthkeep_format::log::{
    AnchorCause, BeginCause, DeletionCause, Hold, OPEN_END_US, Record, SegmentClosed,
};
use hearthkeep_format::segment::{Gap, GapCause};
use hearthkeep_format::{BootId, HoldId};

use crate::rig::{
    begun, chain, copy, folder, logs_on, open, open_on, published, records, settings,
};
use crate::store_support::{FaultyDisk, Home, START_US, Sealed, until};

fn closed(records: &[Record]) -> Vec<&SegmentClosed> {
    let closed = records.iter().filter_map(|record| match record {
        Record::SegmentClosed(closed) => Some(closed),
        _ => None,
    });
    closed.collect()
}

fn anchor(n: u64) -> Record {
    Record::ClockAnchor {
        boot: BootId::from_bytes([1; 16]),
        monotonic_us: n,
        wall_us: START_US,
        cause: AnchorCause::Trusted,
    }
}

/// A run of the recorder that records some segments.
fn run(home: &Home, stream: u64, count: usize) -> Vec<Sealed> {
    let mut stream = home.stream(stream);
    run_more(home, &mut stream, count)
}

fn run_more(home: &Home, stream: &mut crate::store_support::Stream, count: usize) -> Vec<Sealed> {
    let store = open(home);
    let sealed: Vec<_> = (0..count).map(|_| stream.seal(2, 100)).collect();
    sealed.iter().for_each(|sealed| sealed.record(&store));
    drop(store);
    sealed
}

#[test]
fn what_is_recorded_stands_in_the_log() {
    let home = Home::new(1);
    let store = open(&home);
    let mut stream = home.stream(1);
    let first = stream.seal(3, 100);
    first.record(&store);
    let mut second = stream.seal(2, 100);
    second.new.start.gap = Some(Gap {
        cause: GapCause::CameraLost,
        length_us: Some(7_000_000),
    });
    second.record(&store);
    drop(store);
    let records = records(&home);
    assert!(matches!(
        &records[0],
        Record::Begun {
            cause: BeginCause::First,
            ..
        }
    ));
    // The clock was known from the beginning.
    assert!(matches!(&records[1], Record::ClockAnchor { .. }));
    assert!(matches!(
        &records[2],
        Record::Started {
            after_crash: false,
            ..
        }
    ));
    let epochs = records
        .iter()
        .filter(|r| matches!(r, Record::EpochOpened { .. }));
    assert_eq!(epochs.count(), 1);
    assert!(records.contains(&Record::Gap {
        stream: stream.id,
        cause: GapCause::CameraLost,
        from_us: second.new.start.wall_us - 7_000_000,
        to_us: second.new.start.wall_us,
    }));
    let closed = closed(&records);
    assert_eq!(closed.len(), 2);
    for (closed, sealed) in closed.iter().zip([&first, &second]) {
        assert_eq!(closed.segment, sealed.new.segment);
        assert_eq!(closed.sequence, sealed.new.start.sequence);
        assert_eq!(closed.start_us, sealed.new.start.wall_us);
        assert_eq!(closed.duration_us, sealed.duration_us);
        assert_eq!(closed.bytes, sealed.bytes().len() as u64);
        assert_eq!(closed.disk, home.disk_id);
        assert!(!closed.recovered && closed.clock_trusted);
    }
    assert_ne!(closed[0].root, closed[1].root);
}

#[test]
fn a_checkpoint_is_published_within_a_minute_and_only_when_it_is_durable() {
    let home = Home::new(2);
    let store = open(&home);
    until("it is begun", || published(&store).is_some());
    let before = published(&store).unwrap();
    home.stream(1).seal(2, 100).record(&store);
    until("it is in the catalog", || {
        store.usage(&home.stream(1).id).segments == 1
    });
    // The keeper sleeps by the machine's time and not by the test's: what is told at once wakes it.
    home.clock.advance_us(61_000_000);
    let ticket = store.log().append(anchor(1));
    until("it is published", || store.log().is_published(ticket));
    let now = published(&store).unwrap();
    assert!(now.size > before.size);
    let on_disk = chain(&home, &[home.disk.path()]);
    assert_eq!(on_disk.logs[0].files.checkpoint, now);
    until("the segment is in it", || {
        closed(&records(&home)).len() == 1
    });
    let lead = store.open_log(None, now.size).unwrap();
    let proof = lead.consistency(before.size, now.size).unwrap();
    hearthkeep_format::merkle::verify_consistency(
        before.size,
        now.size,
        &proof,
        &before.root,
        &now.root,
    )
    .unwrap();
}

#[test]
fn holds_anchors_and_gaps_are_known_again_after_a_start() {
    let home = Home::new(3);
    let stream = home.stream(1).id;
    let hold = |n: u8| Hold {
        id: HoldId::from_bytes([n; 16]),
        streams: vec![stream],
        from_us: START_US,
        to_us: OPEN_END_US,
        until_us: OPEN_END_US,
        reason: "the fence".to_owned(),
        who: "owner".to_owned(),
    };
    let store = open(&home);
    store.log().append(Record::Hold(hold(1)));
    store.log().append(Record::Hold(hold(2)));
    store.log().append(Record::Unhold {
        id: hold(1).id,
        reason: String::new(),
        who: "owner".to_owned(),
    });
    store.log().append(anchor(9));
    store.log().append(Record::Gap {
        stream,
        cause: GapCause::CameraLost,
        from_us: START_US,
        to_us: START_US + 5,
    });
    until("what came before the replay counts", || {
        store.log().holds() == [hold(2)]
    });
    drop(store);
    for _ in 0..2 {
        let store = open(&home);
        until("it is replayed", || store.log().is_replayed());
        assert_eq!(store.log().holds(), [hold(2)]);
        // After the one of the start, whose boot and clock are still the same.
        let anchors = store.log().anchors();
        let told: Vec<_> = anchors.iter().map(|anchor| anchor.monotonic_us).collect();
        assert!(matches!(told[..], [start, 9] if start > 9), "{told:?}");
        let gaps = store.log().gaps(&stream, START_US - 1, START_US + 1);
        assert_eq!(gaps[0].to_us, START_US + 5);
        assert!(store.log().gaps(&stream, START_US + 5, i64::MAX).is_empty());
        drop(store);
    }
}

#[test]
fn a_torn_tail_is_cut_and_the_log_goes_on() {
    let home = Home::new(4);
    run(&home, 1, 2);
    let before = records(&home);
    for name in ["entries", "tree"] {
        let path = folder(home.disk.path()).join(name);
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(&[7; 61]).unwrap();
    }
    run(&home, 2, 1);
    let after = records(&home);
    assert_eq!(after[..before.len()], before);
    assert!(after.len() > before.len());
    folder(home.disk.path());
}

#[test]
fn a_tree_that_was_lost_is_made_again() {
    let home = Home::new(5);
    run(&home, 1, 3);
    let before = records(&home);
    let tree = folder(home.disk.path()).join("tree");
    let whole = fs::read(&tree).unwrap();
    fs::write(&tree, &whole[..whole.len() / 2]).unwrap();
    let store = open(&home);
    until("it is replayed", || store.log().is_replayed());
    assert_eq!(fs::read(&tree).unwrap()[..whole.len()], whole);
    assert_eq!(store.log().troubles(), Vec::<String>::new());
    drop(store);
    assert_eq!(records(&home)[..before.len()], before);
}

#[test]
fn a_disk_that_was_put_back_begins_a_new_log_that_names_the_old_checkpoint() {
    let home = Home::new(6);
    run(&home, 1, 1);
    let kept = tempfile::tempdir().unwrap();
    copy(&home.disk.path().join("log"), &kept.path().join("log"));
    run(&home, 2, 1);
    let size = records(&home).len() as u64;
    fs::remove_dir_all(home.disk.path().join("log")).unwrap();
    copy(&kept.path().join("log"), &home.disk.path().join("log"));

    let store = open(&home);
    until("it is replayed", || store.log().is_replayed());
    let troubles = store.log().troubles();
    assert!(troubles[0].contains("rolled back"), "{troubles:?}");
    drop(store);
    let logs = logs_on(&home, home.disk.path());
    assert_eq!(logs.len(), 2);
    assert_eq!(begun(&logs), (BeginCause::RolledBack, Some(size)));
    // It goes on as any other from then on.
    run(&home, 3, 1);
    let again = logs_on(&home, home.disk.path());
    assert_eq!(again.len(), 2);
    assert!(again[1].len() > logs[1].len());
    let store = open(&home);
    until("both are told", || store.log().published().len() == 2);
}

#[test]
fn a_state_folder_from_a_backup_begins_a_new_log() {
    let home = Home::new(7);
    run(&home, 1, 1);
    let own = home.state.path().join("log.sealed");
    let backup = fs::read(&own).unwrap();
    run(&home, 2, 1);
    let size = records(&home).len() as u64;
    fs::write(&own, backup).unwrap();
    run(&home, 3, 1);
    let logs = logs_on(&home, home.disk.path());
    assert_eq!(begun(&logs), (BeginCause::StateRestored, Some(size)));

    fs::remove_file(&own).unwrap();
    let size = logs[1].len() as u64;
    run(&home, 4, 1);
    let logs = logs_on(&home, home.disk.path());
    assert_eq!(logs.len(), 3);
    assert_eq!(begun(&logs), (BeginCause::StateRestored, Some(size)));

    fs::write(&own, b"changed").unwrap();
    let store = open(&home);
    until("it is replayed", || store.log().is_replayed());
    assert!(store.log().troubles()[0].contains("log.sealed"));
    drop(store);
    assert_eq!(logs_on(&home, home.disk.path()).len(), 4);
}

#[test]
fn a_disk_that_was_away_gets_what_it_lacks() {
    let (home, second) = (Home::new(8), tempfile::tempdir().unwrap());
    let disk = || home.another_disk(second.path(), 9);
    let with_both = |stream: u64| {
        let store = open_on(&home, vec![disk()]);
        home.stream(stream).seal(2, 100).record(&store);
        until("both have it", || {
            let size = published(&store).map_or(u64::MAX, |p| p.size);
            let there = |path| {
                chain(&home, &[path])
                    .logs
                    .iter()
                    .any(|l| l.files.checkpoint.size == size)
            };
            store.log().is_replayed() && there(home.disk.path()) && there(second.path())
        });
        drop(store);
    };
    with_both(1);
    run(&home, 2, 3);
    let whole = records(&home);
    assert!(logs_on(&home, second.path())[0].len() < whole.len());
    with_both(3);
    assert_eq!(
        logs_on(&home, second.path()),
        logs_on(&home, home.disk.path())
    );

    // An older log comes along, too.
    fs::remove_file(home.state.path().join("log.sealed")).unwrap();
    run(&home, 4, 1);
    let third = tempfile::tempdir().unwrap();
    let store = open_on(&home, vec![home.another_disk(third.path(), 10)]);
    until("the new disk has both logs", || {
        chain(&home, &[third.path()]).logs.len() == 2
    });
    drop(store);
    assert_eq!(
        logs_on(&home, third.path()),
        logs_on(&home, home.disk.path())
    );
}

#[test]
fn nothing_of_recording_waits_for_a_log_that_cannot_be_written() {
    let home = Home::new(9);
    let (disk, _faults) = FaultyDisk::new(home.disk.path());
    // A file where the folder of the logs should be.
    fs::write(home.disk.path().join("log"), "").unwrap();
    let mut options = home.options_on(disk);
    options.log = Some(settings());
    let (store, _) = home.open_with(options);
    let mut stream = home.stream(1);
    let sealed = [stream.seal(2, 100), stream.seal(2, 100)];
    sealed.iter().for_each(|sealed| sealed.record(&store));
    until("it is recorded", || store.usage(&stream.id).segments == 2);
    until("it is told", || !store.log().troubles().is_empty());
    let trouble = store.log().troubles().remove(0);
    assert!(trouble.contains("the log cannot be written"), "{trouble}");
    fs::remove_file(home.disk.path().join("log")).unwrap();
    home.clock.advance_us(11_000_000);
    let ticket = store.log().append(anchor(1));
    until("it is written", || store.log().is_published(ticket));
    assert_eq!(store.log().troubles(), Vec::<String>::new());
    drop(store);
    let records = records(&home);
    assert_eq!(closed(&records).len(), 2);
}

#[test]
fn what_a_crash_kept_from_the_log_is_in_it_after_the_next_start() {
    let home = Home::new(10);
    run(&home, 1, 1);
    let mut stream = home.stream(2);
    // One that was closed, and one that was torn.
    stream.seal(2, 100).leave_whole(&home);
    let torn = stream.seal(3, 100);
    torn.leave(&home, torn.bytes().len() - 300);
    let store = open(&home);
    until("they are in it", || {
        let records = records(&home);
        let of_it = closed(&records)
            .into_iter()
            .filter(|c| c.stream == stream.id);
        of_it.map(|c| c.recovered).collect::<Vec<_>>() == [false, true]
    });
    drop(store);
    let count = closed(&records(&home)).len();
    run(&home, 3, 1);
    assert_eq!(
        closed(&records(&home)).len(),
        count + 1,
        "none of them twice"
    );
}

#[test]
fn a_segment_that_was_removed_is_told_and_one_that_was_deleted_is_not() {
    let home = Home::new(11);
    let mut stream = home.stream(1);
    let sealed = run_more(&home, &mut stream, 4);
    let (gone, last) = (&sealed[1], &sealed[3]);
    for removed in [gone, last] {
        fs::remove_file(home.path_of(&removed.new)).unwrap();
    }
    let mut options = home.options();
    options.log = Some(settings());
    // The oldest is deleted by the rules meanwhile.
    options.cameras = vec![hearthkeep::store::retention::CameraBudget {
        streams: vec![stream.id],
        max_bytes: Some(2 * sealed[0].bytes().len() as u64 - 1),
        ..Default::default()
    }];
    let (store, _) = home.open_with(options);
    until("it is told", || store.log().removed_count() == 2);
    until("the oldest goes", || !home.path_of(&sealed[0].new).exists());
    let removed = store.log().removed(&stream.id, 0, i64::MAX);
    let removed: Vec<_> = removed.iter().map(|closed| closed.segment).collect();
    assert_eq!(removed, [gone.new.segment, last.new.segment]);
    let at = gone.new.start.wall_us;
    let timeline = store.timeline(&stream.id, at, at + 1).unwrap();
    assert!(timeline.gaps[0].removed, "{timeline:?}");
    drop(store);
    let records = records(&home);
    let deleted = records.iter().filter_map(|record| match record {
        Record::Deleted(deleted) => Some((deleted.cause, deleted.segments[0].segment)),
        _ => None,
    });
    let deleted: Vec<_> = deleted.collect();
    assert_eq!(
        deleted,
        [(DeletionCause::CameraBytes, sealed[0].new.segment)]
    );
    let store = open(&home);
    until("it is told again", || store.log().removed_count() == 2);
    drop(store);
}

#[test]
fn a_disk_that_is_away_has_lost_nothing() {
    let (home, second) = (Home::new(12), tempfile::tempdir().unwrap());
    let other = home.another_disk(second.path(), 9);
    let mut stream = home.stream(1);
    let sealed = [(); 6].map(|()| stream.seal(2, 100));
    for (n, sealed) in sealed.iter().enumerate() {
        match n % 2 {
            0 => sealed.leave_whole(&home),
            _ => sealed.leave_on(second.path(), sealed.bytes().len()),
        }
    }
    let store = open_on(&home, vec![other]);
    until("all are in the log", || closed(&records(&home)).len() == 6);
    drop(store);
    // That the search is over is seen by what it finds: one of those that are here.
    fs::remove_file(home.path_of(&sealed[0].new)).unwrap();
    fs::remove_dir_all(home.state.path().join("catalog")).unwrap();
    let store = open(&home);
    until("what is gone is told", || store.log().removed_count() > 0);
    assert_eq!(store.log().removed_count(), 1);
}
