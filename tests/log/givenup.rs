//! A disk whose log cannot be read keeps a start waiting for minutes and not for ever: retention goes on by what can be read, what only that
//! disk says is not lost, and nobody is accused.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hearthkeep::store::{MountedDisk, Store};
use hearthkeep_format::DiskId;
use hearthkeep_format::log::{BeginCause, Hold, Record};

use crate::rig::{begun, copy, hold, logs_on, settings};
use crate::store_support::{Faults, FaultyDisk, Home, Sealed, until};
use crate::unread::{HOLDS, retry};

/// What a disk may have of footage: less than a segment has here.
const ROOM_BYTES: u64 = 1_000;
/// The number of the second disk.
const SECOND: u8 = 9;

/// Two disks with two segments each, the older one of which is held: of the first disk as both logs say, of the second as only its own
/// log says, since the first one lags.
struct Two {
    home: Home,
    second: tempfile::TempDir,
    /// The disk that each lies on, and which is held.
    first: [Sealed; 2],
    other: [Sealed; 2],
    hold: Hold,
}

impl Two {
    fn new(seed: u64) -> Self {
        let (home, second) = (Home::new(seed), tempfile::tempdir().unwrap());
        let mut streams = [home.stream(1), home.stream(2)];
        let first = [0, 1].map(|_| streams[0].seal(4, 20_000));
        let other = [0, 1].map(|_| streams[1].seal(4, 20_000));
        drop(home.another_disk(second.path(), SECOND));
        let mut two = Self {
            hold: Hold {
                id: hearthkeep_format::HoldId::from_bytes([0; 16]),
                streams: Vec::new(),
                from_us: 0,
                to_us: 0,
                until_us: 0,
                reason: String::new(),
                who: String::new(),
            },
            home,
            second,
            first,
            other,
        };
        let (store, _) = two.open(None);
        for sealed in two.first.iter().chain(&two.other) {
            sealed.record(&store);
        }
        until("all are there", || {
            [&two.first, &two.other]
                .iter()
                .all(|of| store.usage(&of[0].new.stream).segments == 2)
        });
        hold(&store, &two.first[0]);
        two.close(store);
        let lags = tempfile::tempdir().unwrap();
        let logs = two.home.disk.path().join("log");
        copy(&logs, &lags.path().join("log"));
        let (store, _) = two.open(None);
        two.hold = hold(&store, &two.other[0]);
        two.close(store);
        fs::remove_dir_all(&logs).unwrap();
        copy(&lags.path().join("log"), &logs);
        two
    }

    /// Opens it, with no room for footage where that is said.
    fn open(&self, max_bytes: Option<u64>) -> (Store, Arc<Faults>) {
        self.open_failing(max_bytes, |_| {})
    }

    fn open_failing(&self, max_bytes: Option<u64>, fail: impl Fn(&Faults)) -> (Store, Arc<Faults>) {
        let (home, path) = (&self.home, self.second.path());
        let (disk, faults) = FaultyDisk::new(path);
        fail(&faults);
        let first = MountedDisk::open(home.disk.path(), home.store, home.disk_id, max_bytes);
        let id = DiskId::from_bytes([SECOND; 16]);
        let mut options = home.options_with(first.unwrap());
        options
            .disks
            .push(MountedDisk::with(disk, path, home.store, id, max_bytes).unwrap());
        options.log = Some(settings());
        let pinned = &mut options.spread.pinned;
        pinned.insert(home.stream(1).id, home.disk.path().to_owned());
        pinned.insert(home.stream(2).id, path.to_owned());
        (home.open_with(options).0, faults)
    }

    fn close(&self, store: Store) {
        until("both have all of the log", || {
            let mut disks = store.disks().into_iter();
            disks.all(|disk| store.log().is_whole_on(&disk.id.unwrap()))
        });
        store.close();
    }

    fn lose_state(&self) {
        for name in ["log.sealed", HOLDS] {
            fs::remove_file(self.home.state.path().join(name)).unwrap();
        }
    }

    fn path_on(&self, disk: &Path, sealed: &Sealed) -> PathBuf {
        let path = self.home.path_of(&sealed.new);
        disk.join(path.strip_prefix(self.home.disk.path()).unwrap())
    }

    /// Which of the segments of a stream are there.
    fn there(&self, of: &[Sealed; 2]) -> [bool; 2] {
        let disks = [self.home.disk.path(), self.second.path()];
        [0, 1].map(|n| {
            let mut paths = disks.iter().map(|disk| self.path_on(disk, &of[n]));
            paths.any(|path| path.exists())
        })
    }

    /// Waits until a start has given up on the disk that fails, and what is beyond the first one's budget goes.
    fn give_up(&self, store: &Store) {
        until("it is told", || !store.log().troubles().is_empty());
        for _ in 0..3 {
            retry(&self.home, store);
            assert!(!store.log().is_replayed());
        }
        until("it is given up", || {
            retry(&self.home, store);
            store.log().is_replayed()
        });
        until("what nobody holds goes", || {
            retry(&self.home, store);
            !self.there(&self.first)[1]
        });
    }
}

fn told(store: &Store) -> String {
    store.log().troubles().join("\n")
}

#[test]
fn a_disk_whose_log_cannot_be_read_does_not_end_retention_where_the_state_is_lost() {
    let two = Two::new(81);
    two.lose_state();
    let fail = |faults: &Faults| faults.fail_log.store(true, Ordering::SeqCst);
    let (store, _) = two.open_failing(Some(ROOM_BYTES), fail);
    until("it is told", || !store.log().troubles().is_empty());
    assert_eq!(two.there(&two.first), [true; 2], "it may be held");
    two.give_up(&store);
    assert!(two.there(&two.first)[0], "its log says that it is held");
    let told_now = told(&store);
    assert!(told_now.contains("could not be read"), "{told_now}");
    assert!(!told_now.contains("rolled back"), "{told_now}");
    assert_eq!(store.log().removed_count(), 0);
    // It is recorded, and the log goes on; what is on the other disk stays, however far that is beyond its budget.
    let sealed = two.home.stream(3).seal(4, 20_000);
    sealed.record(&store);
    until("it is recorded", || {
        store.usage(&sealed.new.stream).segments == 1
    });
    until("a log has begun", || !store.log().published().is_empty());
    for _ in 0..5 {
        retry(&two.home, &store);
        assert_eq!(two.there(&two.other), [true; 2], "its log may hold it");
    }
    store.close();
    drop(store);

    // The next start still knows that there is something to be read.
    let (store, faults) = two.open_failing(Some(ROOM_BYTES), fail);
    until("the log is read", || store.log().is_replayed());
    for _ in 0..8 {
        retry(&two.home, &store);
        assert_eq!(two.there(&two.other), [true; 2], "its log may hold it");
    }
    assert!(told(&store).contains("nothing is deleted on that disk"));
    assert!(!store.holds().unwrap().contains(&two.hold));
    faults.fail_log.store(false, Ordering::SeqCst);
    until("its hold is known", || {
        retry(&two.home, &store);
        store.holds().unwrap().contains(&two.hold)
    });
    until("what nobody holds goes there too", || {
        retry(&two.home, &store);
        two.there(&two.other) == [true, false]
    });
    assert!(!told(&store).contains("some of the log could not be read"));
    until("the new log has the hold", || {
        let logs = logs_on(&two.home, two.home.disk.path());
        logs.last()
            .unwrap()
            .contains(&Record::Hold(two.hold.clone()))
    });
    assert_eq!(store.log().removed_count(), 0);
}

/// Where the state folder remembers the holds, and only the disk that fails has all of the log.
fn nobody_is_accused(seed: u64, fail: impl Fn(&Faults, bool)) {
    let two = Two::new(seed);
    let (store, faults) = two.open_failing(Some(ROOM_BYTES), |faults| fail(faults, true));
    two.give_up(&store);
    assert!(two.there(&two.first)[0] && two.there(&two.other)[0]);
    assert!(store.holds().unwrap().contains(&two.hold));
    let cause = || {
        let logs = logs_on(&two.home, two.home.disk.path());
        (logs.len() == 2).then(|| begun(&logs).0)
    };
    until("a log has begun", || cause().is_some());
    assert_eq!(cause(), Some(BeginCause::StateRestored));
    let told_now = told(&store);
    assert!(told_now.contains("could not be read"), "{told_now}");
    assert!(!told_now.contains("rolled back"), "{told_now}");
    fail(&faults, false);
    until("it is read", || {
        retry(&two.home, &store);
        !told(&store).contains("some of the log could not be read")
    });
    // Once, or it never has all.
    retry(&two.home, &store);
    until("it has all of the new log", || {
        store.log().is_whole_on(&DiskId::from_bytes([SECOND; 16]))
    });
    assert_eq!(store.log().removed_count(), 0);
    assert!(two.there(&two.first)[0] && two.there(&two.other)[0]);
}

#[test]
fn a_disk_that_fails_to_read_its_log_is_not_said_to_be_rolled_back() {
    nobody_is_accused(82, |faults, on| faults.fail_log.store(on, Ordering::SeqCst));
}

#[test]
fn a_disk_that_stays_silent_is_not_said_to_be_rolled_back() {
    nobody_is_accused(83, Faults::stall_log_reads);
}
