//! A drive that never comes back from a write of the log: the log, retention and recording go on with the others.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hearthkeep::store::{Error, Store};
use hearthkeep_format::log::Record;
use hearthkeep_format::segment::GapCause;

use crate::rig::settings;
use crate::store_support::{FaultyDisk, Home, until};

const LONG: Duration = Duration::from_secs(120);
/// What the disk that works may hold: a few of the segments below.
const ROOM_BYTES: u64 = 200_000;

#[test]
fn a_disk_that_hangs_in_the_log_keeps_neither_the_log_nor_retention_from_going_on() {
    let (home, well) = (Home::new(21), tempfile::tempdir().unwrap());
    let (hanging, faults) = FaultyDisk::new(home.disk.path());
    let mut options = home.options_on(hanging);
    let mut other = home.another_disk(well.path(), 9);
    other.max_bytes = Some(ROOM_BYTES);
    options.disks.push(other);
    options.log = Some(settings());
    let mut stream = home.stream(1);
    let path = well.path().to_owned();
    options.spread.pinned.insert(stream.id, path);
    let store = home.open_with(options).0;
    until("the log is on both", || {
        let notes = [home.disk.path(), well.path()].map(checkpoint);
        notes[0].is_some() && notes[0] == notes[1]
    });

    faults.stall_log(true);
    let before = checkpoint(home.disk.path());
    let id = stream.id;
    let gap = |from_us| Record::Gap {
        stream: id,
        cause: GapCause::CameraLost,
        from_us,
        to_us: from_us + 10,
    };
    let ticket = store.log().append(gap(100));
    assert!(store.log().wait_for(ticket, LONG), "it goes to the other");
    let published = store.log().published().pop().unwrap().note;
    assert_eq!(Some(&published), checkpoint(well.path()).as_ref());
    assert_eq!(before, checkpoint(home.disk.path()), "this one hangs");
    until("it is told", || {
        trouble_of(&store, home.disk.path()).contains("has not answered for")
    });
    assert_eq!(store.log().troubles(), Vec::<String>::new());

    let first = stream.seal(2, 20_000);
    first.record(&store);
    let on_well = |sealed: &crate::store_support::Sealed| {
        let path = home.path_of(&sealed.new);
        let below = path.strip_prefix(home.disk.path()).unwrap();
        well.path().join(below)
    };
    until("it is recorded", || on_well(&first).exists());
    for _ in 0..2 * ROOM_BYTES / 80_000 + 2 {
        let sealed = stream.seal(4, 20_000);
        sealed.record(&store);
        until("it is recorded", || on_well(&sealed).exists());
    }
    // The first look after the start was before there was anything.
    let begun = Instant::now();
    while on_well(&first).exists() {
        assert!(begun.elapsed() < LONG, "what is beyond the budget goes");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    // And a second time nothing waits for it: it is known to hang.
    let ticket = store.log().append(gap(200));
    assert!(store.log().wait_for(ticket, Duration::from_secs(5)));

    let refused = store.expect_retirable(home.disk_id, true);
    assert!(
        matches!(refused, Err(Error::NoAnswer { .. })),
        "{refused:?}"
    );
    faults.stall_log(false);
    until("it has all of the log", || {
        let newest = store.log().published().pop().unwrap().note;
        checkpoint(home.disk.path()).as_ref() == Some(&newest)
    });
    store.close();
}

fn trouble_of(store: &Store, disk: &Path) -> String {
    let mut disks = store.disks().into_iter();
    let status = disks.find(|status| status.path == disk).unwrap();
    status.error.unwrap_or_default()
}

/// The newest checkpoint of the only log on a disk.
fn checkpoint(disk: &Path) -> Option<String> {
    let logs = std::fs::read_dir(disk.join("log")).ok()?;
    let logs: Vec<PathBuf> = logs.map(|log| log.unwrap().path()).collect();
    assert!(logs.len() <= 1, "{logs:?}");
    std::fs::read_to_string(logs.first()?.join("checkpoint")).ok()
}
