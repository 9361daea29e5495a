//! A store with a log in temporary folders, and what lies on its disks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use hearthkeep::disk::{Disk, RealDisk};
use hearthkeep::state_file::StateKey;
use hearthkeep::store::log::{Chain, Reader, find};
use hearthkeep::store::{LogSettings, MountedDisk, NewHold, Store};
use hearthkeep_format::log::{BeginCause, Checkpoint, Hold, LogKey, Record};
use zeroize::Zeroizing;

pub use crate::copied::copy;
use crate::store_support::{GENERATION, Home, Sealed, until};

const LONG: Duration = Duration::from_secs(60);

pub fn settings() -> LogSettings {
    LogSettings {
        state_key: StateKey::new(Zeroizing::new([5; 32])),
        generation: GENERATION,
    }
}

pub fn open(home: &Home) -> Store {
    open_on(home, vec![])
}

/// With more disks than the one it has.
pub fn open_on(home: &Home, more: Vec<MountedDisk>) -> Store {
    let mut options = home.options();
    options.disks.extend(more);
    options.log = Some(settings());
    home.open_with(options).0
}

pub fn chain(home: &Home, disks: &[&Path]) -> Chain {
    let disks: Vec<Arc<dyn Disk>> = disks
        .iter()
        .map(|path| Arc::new(RealDisk::open(path).unwrap()) as Arc<dyn Disk>)
        .collect();
    find(&disks, &home.store, &*home.keys())
}

/// The records of the logs on a disk, the oldest log first; every entry opens, and adds up to what was signed.
pub fn logs_on(home: &Home, disk: &Path) -> Vec<Vec<Record>> {
    let chain = chain(home, &[disk]);
    assert!(chain.flaws.is_empty(), "{:?}", chain.flaws);
    let read = |log: &hearthkeep::store::log::FoundLog| {
        let (mut reader, mut records) = (Reader::new(home.keys()), Vec::new());
        loop {
            let read = reader.next(&log.files).unwrap();
            if read.is_empty() {
                return records;
            }
            for (index, stamped) in read {
                assert_eq!(index, records.len() as u64);
                records.push(stamped.unwrap().record);
            }
        }
    };
    chain.logs.iter().map(read).collect()
}

/// The records of the only log; none before it is published.
pub fn records(home: &Home) -> Vec<Record> {
    let mut logs = logs_on(home, home.disk.path());
    assert!(logs.len() <= 1);
    logs.pop().unwrap_or_default()
}

/// Why the newest log began, and how long the one before was that it names.
pub fn begun(logs: &[Vec<Record>]) -> (BeginCause, Option<u64>) {
    match &logs.last().unwrap()[0] {
        Record::Begun {
            cause, previous, ..
        } => {
            let previous = Checkpoint::read_unverified(previous);
            (*cause, previous.ok().map(|previous| previous.size))
        }
        other => panic!("{other:?}"),
    }
}

/// The newest checkpoint that a store has published, verified.
pub fn published(store: &Store) -> Option<Checkpoint> {
    let last = store.log().published().pop()?;
    let key = LogKey::from_text(&last.key).unwrap();
    Some(Checkpoint::verify(&last.note, &key).unwrap())
}

/// The folder of the only log on a disk.
pub fn folder(disk: &Path) -> PathBuf {
    let mut logs = fs::read_dir(disk.join("log")).unwrap();
    let folder = logs.next().unwrap().unwrap().path();
    assert!(logs.next().is_none(), "there is one log");
    folder
}

/// What a command that has ended said and ended with.
pub fn said(output: &Output, code: i32, words: &str) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(words), "{words:?} is not in: {text}");
}

/// Holds a segment from its first moment on, for good, as soon as the log is read.
pub fn hold(store: &Store, sealed: &Sealed) -> Hold {
    until("holds are known", || store.log().is_replayed());
    let from_us = sealed.new.start.wall_us;
    let (hold, ticket) = store
        .hold(NewHold {
            streams: vec![sealed.new.stream],
            from_us,
            to_us: Some(from_us + 1),
            until_us: None,
            reason: "the fence".to_owned(),
            who: "robin".to_owned(),
        })
        .unwrap();
    assert!(store.log().wait_for(ticket, LONG));
    hold
}
