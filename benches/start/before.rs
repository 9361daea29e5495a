//! The box before the start: another process, which records until it is killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hearthkeep::state_file::StateKey;
use hearthkeep::store::{LogSettings, MountedDisk, Options, Store, lock};
use hearthkeep_format::log::{Checkpoint, LogKey, Record};
use hearthkeep_format::segment::GapCause;
use zeroize::Zeroizing;

use crate::many;
use crate::store_support::{FRAGMENT_US, GENERATION, Home, Stream, until};

/// Makes this process the box that is killed.
pub const LIVES: &str = "--lives";
/// What it says when it is to be killed.
const RECORDING: &str = "recording";
/// One more segment in so many is recorded, and deleted again.
const DELETED: u64 = 20;
/// After so many segments there is a gap.
const GAP_AFTER: u64 = 100;
const LONG: Duration = Duration::from_secs(1800);

/// Leaves in `home` what a box had when it was killed: so many segments, a log with an entry for each, one segment of each stream
/// that is open, and after the log's last entry one that is torn.
pub fn killed(home: &Home) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    let mut child = child.arg(LIVES).stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = said.map(|line| line.unwrap());
    let said: Vec<_> = said.take_while(|line| line != RECORDING).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    for (name, to) in [("state", &home.state), ("disk", &home.disk)] {
        let from = said
            .iter()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        let (from, to) = (from.trim(), to.path());
        std::fs::remove_dir_all(to).unwrap();
        std::fs::rename(from, to).unwrap();
    }
    tear(home.disk.path());
}

/// Half of an entry after the last one, as a power cut leaves it.
fn tear(disk: &Path) {
    let logs = std::fs::read_dir(disk.join("log")).unwrap();
    for log in logs.map(|log| log.unwrap().path().join("entries")) {
        let half = std::fs::read(&log).unwrap()[..50].to_vec();
        let entries = std::fs::OpenOptions::new().append(true).open(log);
        entries.unwrap().write_all(&half).unwrap();
    }
}

/// Records, tells the log, deletes, and waits to be killed.
pub fn live(segments: u64) {
    let home = many::home();
    println!("state\t{}", home.state.path().display());
    println!("disk\t{}", home.disk.path().display());
    let begun = Instant::now();
    let mut streams = many::fill(&home, segments + segments / DELETED, 1, 50);
    let all = streams.iter().map(|stream| stream.sequence).sum();
    eprintln!("{all} segments written in {:.1?}", begun.elapsed());
    let begun = Instant::now();
    let used_bytes = have_logged(&home, &streams, all);
    let store = have_deleted(&home, used_bytes / all * segments, segments);
    eprintln!("logged, and some deleted, in {:.1?}", begun.elapsed());
    let open: Vec<_> = streams
        .iter_mut()
        .map(|stream| record(&store, stream))
        .collect();
    println!("{RECORDING}");
    loop {
        std::thread::park();
        assert!(!open.is_empty());
    }
}

/// A start to which all is new, which the log is told. Returns what it takes.
fn have_logged(home: &Home, streams: &[Stream], segments: u64) -> u64 {
    let store = open(home, home.options());
    for gap in 0..segments / GAP_AFTER {
        let stream = &streams[gap as usize % streams.len()];
        let to_us = stream.wall_us - gap as i64 * FRAGMENT_US as i64;
        store.log().append(Record::Gap {
            stream: stream.id,
            cause: GapCause::CameraLost,
            from_us: to_us - 1,
            to_us,
        });
    }
    wait("all are in the log", || {
        logged(&store) >= segments + segments / GAP_AFTER
    });
    let used_bytes = store.disks()[0].used_bytes;
    store.close();
    used_bytes
}

/// Another one, for which there is room for less.
fn have_deleted(home: &Home, max_bytes: u64, segments: u64) -> Store {
    let disk = MountedDisk::open(home.disk.path(), home.store, home.disk_id, Some(max_bytes));
    let store = open(home, home.options_with(disk.unwrap()));
    wait("the oldest are deleted", || known(&store) <= segments);
    store
}

/// Ends a segment of which the log has not heard when it is over, and begins another one, with half a chunk in the end.
fn record(store: &Store, stream: &mut Stream) -> impl Sized + use<> {
    stream.seal(4, 50).record(store);
    let sealed = stream.seal(4, 50);
    let handle = sealed.begin(store);
    let chunk = &sealed.chunks[0];
    handle.append(chunk.slice(..chunk.len() / 2), 5 * FRAGMENT_US);
    let whole: usize = sealed.chunks.iter().map(bytes::Bytes::len).sum();
    let bytes = sealed.head.len() + whole + chunk.len() / 2;
    until("it is durable", || {
        handle.segment().durable_bytes() == bytes as u64
    });
    handle
}

/// Opens the store with its log.
pub fn open(home: &Home, mut options: Options) -> Store {
    options.log = Some(LogSettings {
        state_key: StateKey::new(Zeroizing::new([5; 32])),
        generation: GENERATION,
    });
    let lock = lock::acquire(home.state.path()).unwrap();
    Store::open(options, lock).unwrap().0
}

/// How many entries the log has that is written to.
pub fn logged(store: &Store) -> u64 {
    let published = store.log().published().pop();
    published.map_or(0, |last| {
        let key = LogKey::from_text(&last.key).unwrap();
        Checkpoint::verify(&last.note, &key).unwrap().size
    })
}

/// How many segments the catalog has.
pub fn known(store: &Store) -> u64 {
    let streams = store.streams();
    streams.iter().map(|s| store.usage(s).segments).sum()
}

/// How many files lie in a folder and those below it.
pub fn files(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap());
    let count = |entry: std::fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => files(&entry.path()),
        false => 1,
    };
    entries.map(count).sum()
}

/// Waits for what takes long.
pub fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
