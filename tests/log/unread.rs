//! A log that cannot be read, or has rotted: nothing that is held goes, nobody is accused, and no copy is lost for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hearthkeep::disk::Disk;
use hearthkeep::store::{MountedDisk, Store, layout, lock};
use hearthkeep_format::log::{Hold, Record};
use hearthkeep_format::segment::GapCause;

use crate::rig::{copy, folder, hold, logs_on, open, open_on, settings};
use crate::store_support::{FaultyDisk, Home, Sealed, until};

pub const LONG: Duration = Duration::from_secs(60);
/// What a disk may have of footage: less than a segment has here.
const ROOM_BYTES: u64 = 1_000;
pub const HOLDS: &str = "log.holds.sealed";
const FILES: [&str; 4] = ["entries", "tree", "key", "checkpoint"];

/// Makes the log longer by so many records.
fn grow(home: &Home, store: &Store, count: i64) {
    for n in 0..count {
        let ticket = store.log().append(Record::Gap {
            stream: home.stream(1).id,
            cause: GapCause::CameraLost,
            from_us: 100 * n,
            to_us: 100 * n + 10,
        });
        assert!(store.log().wait_for(ticket, LONG));
    }
}

/// A home with two segments, the first of which is held.
pub struct Held {
    pub home: Home,
    pub held: Sealed,
    pub other: Sealed,
    pub hold: Hold,
}

impl Held {
    pub fn new(seed: u64, more: impl Fn(&Home) -> Vec<MountedDisk>) -> Self {
        let home = Home::new(seed);
        let store = open_on(&home, more(&home));
        let mut stream = home.stream(1);
        let (held, other) = (stream.seal(4, 20_000), stream.seal(4, 20_000));
        for sealed in [&held, &other] {
            sealed.record(&store);
        }
        until("both are there", || {
            store.usage(&held.new.stream).segments == 2
        });
        let hold = hold(&store, &held);
        grow(&home, &store, 3);
        until("all have it", || {
            let mut disks = store.disks().into_iter();
            disks.all(|disk| store.log().is_whole_on(&disk.id.unwrap()))
        });
        drop(store);
        Self {
            home,
            held,
            other,
            hold,
        }
    }

    /// Opens it where there is no room for any footage.
    fn open(&self, disk: Arc<dyn Disk>, more: Vec<MountedDisk>) -> Store {
        let (path, home) = (self.home.disk.path(), &self.home);
        let max_bytes = Some(ROOM_BYTES);
        let disk = MountedDisk::with(disk, path, home.store, home.disk_id, max_bytes).unwrap();
        let mut options = home.options_with(disk);
        options.disks.extend(more);
        options.log = Some(settings());
        home.open_with(options).0
    }

    pub fn is_there(&self, sealed: &Sealed) -> bool {
        self.home.path_of(&sealed.new).exists()
    }

    pub fn is_known(&self, store: &Store) -> bool {
        until("the log is read", || store.log().is_replayed());
        store.holds().unwrap().contains(&self.hold)
    }
}

/// Has the keeper look again at what failed.
pub fn retry(home: &Home, store: &Store) {
    home.clock.advance_us(11_000_000);
    store.log().append(Record::Gap {
        stream: home.stream(1).id,
        cause: GapCause::CameraLost,
        from_us: 1,
        to_us: 2,
    });
}

#[test]
fn while_the_log_cannot_be_read_nothing_goes_and_no_log_begins() {
    let of = Held::new(61, |_| Vec::new());
    let (disk, faults) = FaultyDisk::new(of.home.disk.path());
    let entries = folder(of.home.disk.path()).join("entries");
    let before = fs::read(&entries).unwrap();
    faults.fail_log.store(true, Ordering::SeqCst);
    let store = of.open(disk, Vec::new());
    until("it is told", || !store.log().troubles().is_empty());
    for _ in 0..3 {
        retry(&of.home, &store);
        let troubles = store.log().troubles();
        assert!(troubles[0].contains("cannot be read"), "{troubles:?}");
        assert!(!store.log().is_replayed());
        assert!(of.is_there(&of.held) && of.is_there(&of.other));
    }
    faults.fail_log.store(false, Ordering::SeqCst);
    until("it is read", || {
        retry(&of.home, &store);
        store.log().is_replayed()
    });
    assert!(of.is_known(&store));
    // Retention may have looked just before that.
    until("what is not held goes", || {
        retry(&of.home, &store);
        !of.is_there(&of.other)
    });
    assert!(of.is_there(&of.held));
    drop(store);
    assert!(fs::read(&entries).unwrap().starts_with(&before));
    assert_eq!(logs_on(&of.home, of.home.disk.path()).len(), 1);
}

#[test]
fn a_log_that_hangs_while_it_is_read_is_waited_for() {
    let of = Held::new(62, |_| Vec::new());
    let (disk, faults) = FaultyDisk::new(of.home.disk.path());
    faults.stall_log_reads(true);
    let store = of.open(disk, Vec::new());
    until("it is told", || !store.log().troubles().is_empty());
    assert!(!store.log().is_replayed());
    assert!(of.is_there(&of.held) && of.is_there(&of.other));
    faults.stall_log_reads(false);
    until("it is read", || {
        retry(&of.home, &store);
        store.log().is_replayed()
    });
    assert!(of.is_known(&store));
    // Retention may have looked just before that.
    until("what is not held goes", || {
        retry(&of.home, &store);
        !of.is_there(&of.other)
    });
    assert!(of.is_there(&of.held));
    drop(store);
    assert_eq!(logs_on(&of.home, of.home.disk.path()).len(), 1);
}

#[test]
fn nobody_who_asks_the_log_waits_for_a_read_of_it() {
    let of = Held::new(68, |_| Vec::new());
    let (disk, faults) = FaultyDisk::new(of.home.disk.path());
    let mut options = of.home.options_on(disk);
    options.log = Some(settings());
    let lock = lock::acquire(of.home.state.path()).unwrap();
    let (store, hands, _) = Store::open_driven(options, lock).unwrap();
    let stream = of.home.stream(1).id;
    let mut stalled = 0;
    while !store.log().is_replayed() {
        faults.stall_log_reads(true);
        let (asked, answered) = mpsc::channel();
        std::thread::scope(|scope| {
            let (_, keeper) = hands.waiting().into_iter().min().unwrap();
            let hands = &hands;
            let turn = scope.spawn(move || hands.turn(keeper));
            while faults.readers() == 0 && !turn.is_finished() {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            if !turn.is_finished() {
                stalled += 1;
                scope.spawn(|| {
                    let log = store.log();
                    let holds = (store.holds().is_err(), log.holds(), log.troubles());
                    let gaps = log.gaps(&stream, i64::MIN, i64::MAX);
                    let timeline = store.timeline(&stream, i64::MIN, i64::MAX).unwrap();
                    drop(asked.send((holds, gaps, timeline.segments.len())));
                });
                let answer = answered.recv_timeout(LONG);
                let is_stalled = faults.readers() > 0;
                // Before anything is claimed: who waits must come to an end.
                faults.stall_log_reads(false);
                let (holds, _, segments) = answer.expect("it answers while the read stalls");
                assert!(is_stalled && holds.0 && segments == 2);
            }
            faults.stall_log_reads(false);
        });
    }
    assert!(stalled > 1, "{stalled} turns read something");
    assert!(store.holds().unwrap().contains(&of.hold));
}

/// Opens a store again and again, with another byte of a log's files flipped each time. Every so manieth is.
fn flip_each(of: &Held, logs: &Path, others: &dyn Fn() -> Vec<MountedDisk>, every: usize) {
    let saved = tempfile::tempdir().unwrap();
    let state = of.home.state.path().join("log.sealed");
    copy(logs, &saved.path().join("log"));
    copy(&state, &saved.path().join("log.sealed"));
    let log = folder(logs.parent().unwrap());
    for file in FILES {
        let path: PathBuf = log.join(file);
        let length = fs::read(&path).unwrap().len();
        for at in (0..length).step_by(every) {
            let mut bytes = fs::read(&path).unwrap();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            let store = open_on(&of.home, others());
            assert!(of.is_known(&store), "{file}, byte {at}");
            drop(store);
            fs::remove_dir_all(logs).unwrap();
            copy(&saved.path().join("log"), logs);
            copy(&saved.path().join("log.sealed"), &state);
        }
    }
}

#[test]
fn whatever_rots_of_the_only_log_what_is_held_is_known() {
    let of = Held::new(63, |_| Vec::new());
    flip_each(&of, &of.home.disk.path().join("log"), &Vec::new, 67);
}

#[test]
fn whatever_rots_of_one_log_the_other_disk_has_what_is_held() {
    let second = tempfile::tempdir().unwrap();
    let of = Held::new(64, |home| vec![home.another_disk(second.path(), 9)]);
    let others = || {
        // What the state folder remembers is not to help.
        _ = fs::remove_file(of.home.state.path().join(HOLDS));
        vec![of.home.another_disk(second.path(), 9)]
    };
    flip_each(&of, &of.home.disk.path().join("log"), &others, 101);
}

#[test]
fn a_start_with_a_disk_that_lags_does_not_forget_what_is_held() {
    let second = tempfile::tempdir().unwrap();
    let of = Held::new(65, |_| Vec::new());
    // A disk with the beginning of the log only.
    let log = folder(of.home.disk.path());
    drop(open_on(
        &of.home,
        vec![of.home.another_disk(second.path(), 9)],
    ));
    fs::remove_dir_all(second.path().join("log")).unwrap();
    let only = of.home.another_disk(second.path(), 9);
    let mut options = of.home.options_with(only);
    options.log = Some(settings());
    let store = of.home.open_with(options).0;
    assert!(of.is_known(&store));
    until("the new log has it", || {
        logs_on(&of.home, second.path())
            .concat()
            .contains(&Record::Hold(of.hold.clone()))
    });
    drop(store);
    assert!(log.exists());
    // Both logs say it, and that it is ended counts.
    let store = open_on(&of.home, vec![of.home.another_disk(second.path(), 9)]);
    assert!(of.is_known(&store));
    let ticket = store.unhold(&of.hold.id, "it is over", "robin").unwrap();
    assert!(store.log().wait_for(ticket, LONG));
    drop(store);
    let store = open(&of.home);
    assert!(!of.is_known(&store));
}

#[test]
fn a_tree_that_rots_is_no_other_history() {
    let second = tempfile::tempdir().unwrap();
    let of = Held::new(66, |home| vec![home.another_disk(second.path(), 9)]);
    let store = open(&of.home);
    grow(&of.home, &store, 12);
    drop(store);
    // Every hash of the leading tree, one after the other; the other disk has the beginning of it.
    let (tree, saved) = (
        folder(of.home.disk.path()).join("tree"),
        tempfile::tempdir().unwrap(),
    );
    copy(&second.path().join("log"), &saved.path().join("log"));
    let nodes = fs::read(&tree).unwrap();
    for at in (0..nodes.len()).step_by(40) {
        fs::write(&tree, &nodes).unwrap();
        let mut bytes = nodes.clone();
        bytes[at] ^= 1;
        fs::write(&tree, bytes).unwrap();
        fs::remove_dir_all(second.path().join("log")).unwrap();
        copy(&saved.path().join("log"), &second.path().join("log"));
        fs::copy(
            of.home.state.path().join("log.sealed"),
            saved.path().join("log.sealed"),
        )
        .unwrap();
        let entries = fs::read(tree.with_file_name("entries")).unwrap();
        let checkpoint = fs::read(tree.with_file_name("checkpoint")).unwrap();
        let store = open_on(&of.home, vec![of.home.another_disk(second.path(), 9)]);
        grow(&of.home, &store, 1);
        let troubles = store.log().troubles();
        assert!(troubles.is_empty(), "node {}: {troubles:?}", at / 40);
        drop(store);
        fs::write(tree.with_file_name("entries"), entries).unwrap();
        fs::write(tree.with_file_name("checkpoint"), checkpoint).unwrap();
        fs::copy(
            saved.path().join("log.sealed"),
            of.home.state.path().join("log.sealed"),
        )
        .unwrap();
    }
}

#[test]
fn what_was_removed_is_told_whatever_rots_of_one_log() {
    let second = tempfile::tempdir().unwrap();
    let of = Held::new(69, |home| vec![home.another_disk(second.path(), 9)]);
    // On whichever disk it is.
    let new = &of.other.new;
    let path = layout::segment_path(&new.stream, &new.epoch, &new.segment);
    let mut disks = [of.home.disk.path(), second.path()].into_iter();
    let gone = disks.find(|disk| disk.join(&path).exists());
    fs::remove_file(gone.unwrap().join(path)).unwrap();
    let entries = folder(of.home.disk.path()).join("entries");
    let mut bytes = fs::read(&entries).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&entries, bytes).unwrap();
    let store = open_on(&of.home, vec![of.home.another_disk(second.path(), 9)]);
    until("it is told", || store.log().removed_count() == 1);
}

#[test]
fn a_tree_that_rots_is_made_again_to_the_end_of_what_was_published() {
    let of = Held::new(71, |_| Vec::new());
    let log = folder(of.home.disk.path());
    let checkpoint = fs::read(log.join("checkpoint")).unwrap();
    let store = open(&of.home);
    grow(&of.home, &store, 2);
    drop(store);
    // As a crash leaves it after the state folder has the newest checkpoint, and before the disk has.
    fs::write(log.join("checkpoint"), checkpoint).unwrap();
    let mut tree = fs::read(log.join("tree")).unwrap();
    tree.iter_mut().step_by(40).for_each(|byte| *byte ^= 1);
    fs::write(log.join("tree"), tree).unwrap();
    let store = open(&of.home);
    assert!(of.is_known(&store));
    assert_eq!(store.log().troubles(), Vec::<String>::new());
    drop(store);
    assert_eq!(logs_on(&of.home, of.home.disk.path()).len(), 1);
}

#[test]
fn a_tree_that_is_gone_is_made_again_before_a_start_and_while_it_records() {
    let of = Held::new(72, |_| Vec::new());
    let tree = folder(of.home.disk.path()).join("tree");
    let nodes = fs::read(&tree).unwrap();
    fs::remove_file(&tree).unwrap();
    let store = open(&of.home);
    assert!(of.is_known(&store));
    assert!(fs::read(&tree).unwrap().starts_with(&nodes));
    fs::remove_file(&tree).unwrap();
    let ticket = store.log().append(Record::Gap {
        stream: of.home.stream(1).id,
        cause: GapCause::CameraLost,
        from_us: 1,
        to_us: 2,
    });
    until("it is made again", || {
        of.home.clock.advance_us(11_000_000);
        store.log().is_published(ticket)
    });
    assert!(fs::read(&tree).unwrap().len() > nodes.len());
    assert_eq!(store.log().troubles(), Vec::<String>::new());
    drop(store);
    let logs = logs_on(&of.home, of.home.disk.path());
    assert_eq!(logs.len(), 1, "no log was rolled back");
}

#[test]
fn what_an_older_state_folder_does_not_know_of_is_kept_where_the_checkpoint_rots() {
    let of = Held::new(73, |_| Vec::new());
    let (log, state) = (folder(of.home.disk.path()), of.home.state.path());
    let saved = tempfile::tempdir().unwrap();
    for file in ["log.sealed", HOLDS] {
        copy(&state.join(file), &saved.path().join(file));
    }
    let store = open(&of.home);
    let later = hold(&store, &of.other);
    grow(&of.home, &store, 3);
    drop(store);
    let files = || FILES.map(|file| fs::read(log.join(file)).unwrap());
    for file in ["log.sealed", HOLDS] {
        copy(&saved.path().join(file), &state.join(file));
    }
    let mut checkpoint = fs::read(log.join("checkpoint")).unwrap();
    checkpoint[3] ^= 1;
    fs::write(log.join("checkpoint"), checkpoint).unwrap();
    let before = files();
    let store = open(&of.home);
    assert!(of.is_known(&store));
    assert!(
        store.holds().unwrap().contains(&later),
        "also of what is held"
    );
    let troubles = store.log().troubles();
    assert!(
        troubles
            .iter()
            .any(|told| told.contains("come back from a backup")),
        "{troubles:?}"
    );
    grow(&of.home, &store, 1);
    drop(store);
    assert_eq!(files(), before);
    let logs = fs::read_dir(log.parent().unwrap()).unwrap();
    assert_eq!(logs.count(), 2, "another log begins");
}

#[test]
fn a_damaged_copy_that_goes_on_behind_the_others_is_kept() {
    let second = tempfile::tempdir().unwrap();
    let of = Held::new(74, |home| vec![home.another_disk(second.path(), 9)]);
    let (log, state) = (folder(of.home.disk.path()), of.home.state.path());
    let saved = tempfile::tempdir().unwrap();
    copy(&state.join("log.sealed"), &saved.path().join("log.sealed"));
    let store = open(&of.home);
    grow(&of.home, &store, 3);
    drop(store);
    copy(&saved.path().join("log.sealed"), &state.join("log.sealed"));
    fs::write(log.join("checkpoint"), "torn").unwrap();
    let entries = fs::read(log.join("entries")).unwrap();
    let store = open_on(&of.home, vec![of.home.another_disk(second.path(), 9)]);
    until("both have the log", || {
        let mut disks = store.disks().into_iter();
        disks.all(|disk| store.log().is_whole_on(&disk.id.unwrap()))
    });
    drop(store);
    let aside = of.home.disk.path().join("lost/log");
    let aside = aside.join(log.file_name().unwrap()).join("entries");
    assert_eq!(fs::read(aside).unwrap(), entries);
}
