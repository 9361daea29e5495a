//! As `fuzz/targets.rs`, for the parsers of the recorder itself. `tests/corpora.rs` runs them in every test run.
#![allow(dead_code, reason = "each target uses one of them")]

#[path = "log_targets.rs"]
mod log;
#[path = "../tests/flips/memory.rs"]
mod memory;

use std::path::Path;
use std::sync::Arc;

use hearthkeep::clock::SimClock;
use hearthkeep::config::{Config, Error};
use hearthkeep::disk::{Disk, Front};
use hearthkeep::keys::{StateFolder, decode_streams};
use hearthkeep::limits::{CAMERAS_MAX, DISKS_MAX};
use hearthkeep::people::People;
use hearthkeep::play;
use hearthkeep::pool;
use hearthkeep::state_file::{StateKey, summed};
use hearthkeep::store::anchors::Anchors;
use hearthkeep::store::catalog::{Batch, Catalog, Database, Memory as Records};
use hearthkeep::store::check::{self, Known, Reading, Slice, Subject};
use hearthkeep::store::inspect::{self, Inspected, Mended, Place};
use hearthkeep::store::layout::{self, DiskIdentity};
use hearthkeep::store::repair::{Repair, plan};
use hearthkeep::web::tls::{Tls, TlsSettings, read_fingerprint};
use hearthkeep_format::segment::{HEADER_LEN, Header, Layout, Start, lost_at_torn_end};
use hearthkeep_format::{BootId, DiskId, MetadataKey, SeededRandom, StoreId};
pub use log::{Made, deleted_seal, log_deleted, log_files, log_seen, log_start, shown};
use memory::Memory;

/// M of the segments in the corpus of `walk`.
const M: [u8; 32] = [0x30; 32];

pub fn index(data: &[u8]) {
    let Ok(index) = play::index(&data, |_| Some(MetadataKey::from_bytes(M))) else {
        return;
    };
    let mut end = index.head_bytes;
    for chunk in &index.chunks {
        assert!(chunk.k > 0 && chunk.bytes > 0 && chunk.offset >= end);
        end = chunk.offset + u64::from(chunk.bytes);
    }
    assert!(end <= data.len() as u64);
}

/// A file where the recorder looks for a segment: whatever it makes of it, it is the same the next time, and mending invents nothing.
pub fn torn(data: &[u8]) {
    let head = data.first_chunk::<HEADER_LEN>();
    let Some(header) = head.and_then(|head| Header::parse(head).ok()) else {
        return;
    };
    let place = Place {
        stream: header.stream,
        epoch: header.epoch,
        segment: header.segment_id(),
    };
    let (disk, path, store) = (Memory::default(), place.path(), header.store);
    disk.put(&path, Arc::new(data.to_vec()));
    let keys = |_| Some(MetadataKey::from_bytes(M));
    let look = || {
        let file = disk.open_read(&path).expect("it was put there");
        let front = Front::whole(file).expect("memory is always read");
        inspect::inspect(&front, &place, &store, &keys)
    };
    let before = look();
    examine(&disk, &place, &store);
    let mut random = SeededRandom::new(1);
    match inspect::mend(&disk, &path, &place, &store, &keys, &mut random) {
        Ok(Mended::Whole(facts)) => {
            examine(&disk, &place, &store);
            let Inspected::Whole(after) = look() else {
                panic!("what was mended is whole");
            };
            assert_eq!((facts.end, facts.bytes), (after.end, after.bytes));
            if let Inspected::Whole(before) = before {
                assert_eq!(before.end, after.end);
                // A head that is damaged is made anew from its copy: as long as that is.
                let layout = Layout::find(&data, None).expect("it was found");
                assert!(layout.first.is_err() || before.bytes == after.bytes);
            }
        }
        Ok(Mended::Removed) => assert!(matches!(before, Inspected::Torn)),
        Err(_) => assert_eq!(
            disk.bytes(&path)[..],
            *data,
            "what is strange is left alone"
        ),
    }
}

/// A file as `check` looks at it, and where it was torn for what a crash does not cut off.
fn examine(disk: &Memory, place: &Place, store: &StoreId) {
    let (keys, anchors) = (|_| Some(MetadataKey::from_bytes(M)), Anchors::default());
    let known = known(*store, &keys, &anchors);
    for reading in [Reading::Ends, Reading::Through] {
        let looked = check::look(0, disk, place, &known, reading, &|_| Ok(()));
        assert!(looked.is_some(), "it was put there");
    }
    let bytes = disk.bytes(&place.path());
    if let Ok(lost) = lost_at_torn_end(&&bytes[..], &MetadataKey::from_bytes(M)) {
        assert!(lost.start <= lost.end);
    }
}

fn known<'a>(store: StoreId, keys: &'a inspect::Keys, anchors: &'a Anchors) -> Known<'a> {
    Known {
        store,
        keys,
        streams: None,
        keyring: None,
        anchors,
        folders: Vec::new(),
        at_work: false,
        open: None,
    }
}

/// Two segments of a store on one disk, which `check` looks at and `repair` mends: as often as there is something to do, which ends, and
/// no file is lost by it. Returns how much was done.
pub fn repaired(data: &[u8]) -> usize {
    let Some((length, rest)) = data.split_first_chunk::<2>() else {
        return 0;
    };
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let (first, second) = rest.split_at(length);
    let disk = Memory::default();
    let mut store = None;
    for bytes in [first, second] {
        let head = bytes.first_chunk::<HEADER_LEN>();
        let Some(header) = head.and_then(|head| Header::parse(head).ok()) else {
            return 0;
        };
        let place = Place {
            stream: header.stream,
            epoch: header.epoch,
            segment: header.segment_id(),
        };
        store.get_or_insert(header.store);
        disk.put(&place.path(), Arc::new(bytes.to_vec()));
    }
    let identity = DiskIdentity {
        store: store.expect("there are two segments"),
        disk: DiskId::from_bytes([1; 16]),
    };
    let id_file = layout::id_file(&identity, false);
    disk.put(Path::new(layout::ID_FILE), Arc::new(id_file));
    let (keys, anchors) = (|_| Some(MetadataKey::from_bytes(M)), Anchors::default());
    let known = known(identity.store, &keys, &anchors);
    let subjects = [Subject {
        path: Path::new("/srv/disk").to_owned(),
        disk: Arc::new(disk.clone()),
        id: Some(identity.disk),
        readers: 1,
    }];
    let repair = Repair {
        disks: &subjects,
        store: identity.store,
        keys: &keys,
        keyring: None,
    };
    let mut all = 0;
    for _ in 0..ROUNDS_MAX {
        let findings = check::check(&subjects, &known, Slice::ALL, &|_| Ok(()));
        let (steps, before) = (plan(&findings, true), disk.files().len());
        // A torn file without a chunk goes, as at a start.
        let done = steps.iter().filter(|step| repair.carry_out(step).is_ok());
        let done = done.count();
        assert!(disk.files().len() + findings.torn.len() >= before);
        if done == 0 {
            return all;
        }
        all += done;
    }
    panic!("there is always something to repair");
}

/// Rounds after which nothing is left to be done for two files: a head, an envelope, an end, and what is moved out of the way.
const ROUNDS_MAX: usize = 8;

pub fn id_file(data: &[u8]) {
    let (disk, at) = (Memory::default(), Path::new("/srv/disk"));
    disk.put(Path::new(layout::ID_FILE), Arc::new(data.to_vec()));
    let Ok(found) = layout::identify(&disk, at) else {
        return;
    };
    let identity = found.expect("the file is there");
    let retired = layout::is_retired(&disk, at).expect("it was read");
    let again = layout::id_file(&identity, retired);
    disk.put(Path::new(layout::ID_FILE), Arc::new(again));
    assert_eq!(layout::identify(&disk, at).ok(), Some(Some(identity)));
}

/// The store of the catalogs and state files in the corpus.
pub const STORE: StoreId = StoreId::from_bytes([0x20; 16]);

/// What a database in memory has, as the target `catalog` reads it: length of key and value, key, value.
pub fn records_of(records: &Records) -> Vec<u8> {
    let mut out = Vec::new();
    let told = records.scan(b"", &mut |key, value| {
        out.push(key.len() as u8);
        out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        out.extend_from_slice(key);
        out.extend_from_slice(value);
        Ok(())
    });
    told.expect("memory is always read");
    out
}

fn records(mut data: &[u8]) -> Option<Records> {
    let records = Records::default();
    Catalog::open_from(&records, &STORE).ok()?;
    let mut batch = Batch::default();
    while let Some(([key, a, b], rest)) = data.split_first_chunk::<3>() {
        let value = usize::from(u16::from_be_bytes([*a, *b]));
        let (key, rest) = rest.split_at_checked(usize::from(*key))?;
        let (value, rest) = rest.split_at_checked(value)?;
        batch.0.push((key.to_vec(), Some(value.to_vec())));
        data = rest;
    }
    records.apply(batch).ok()?;
    Some(records)
}

/// A catalog whose database has whatever it has: what opens can be asked and changed.
pub fn catalog(data: &[u8]) {
    let Some(records) = records(data) else {
        return;
    };
    let opened =
        Catalog::open_from(&records, &STORE).expect("a new one is made of what is damaged");
    let catalog = opened.catalog;
    let mut known = Vec::new();
    for stream in catalog.streams() {
        let _ = (catalog.usage(&stream), catalog.stream_bytes(&stream));
        let _ = (catalog.last(&stream), catalog.highest_possible(&stream));
        let _ = catalog.timeline(&stream, i64::MIN, i64::MAX);
        for at_us in [i64::MIN, 0, 1_790_000_100_000_000, i64::MAX] {
            let _ = catalog.next_from(&stream, at_us);
            let _ = catalog.last_before(&stream, at_us);
        }
        for epoch in catalog.epochs(&stream, 0) {
            let _ = catalog.epoch(&stream, &epoch, 0);
        }
        known.extend(
            catalog
                .oldest_first(&stream)
                .take_while(Result::is_ok)
                .flatten(),
        );
    }
    let _ = (
        catalog.disk_bytes(0),
        catalog.disk_segments(0),
        catalog.disk_oldest_us(0),
        catalog.len(),
    );
    for entry in known.iter().take(4) {
        // What is listed may lie beside something that is damaged, by which it is looked for.
        let _ = catalog.find(&entry.stream, &entry.segment);
        let _ = catalog.forget(&[*entry]);
        let _ = catalog.insert(&[*entry]);
    }
}

/// What keeps a file of a state folder from being read that is not as it was written.
#[derive(Clone, Copy)]
pub enum Behind {
    Nothing,
    Sum,
    Seal,
}

impl Behind {
    /// The file of a content: nothing else gets past it.
    pub fn put(self, name: &str, content: &[u8], key: &StateKey) -> Vec<u8> {
        match self {
            Self::Nothing => content.to_vec(),
            Self::Sum => summed(content),
            Self::Seal => key.seal(name, content, &mut SeededRandom::new(2)),
        }
    }
}

/// The files of a state folder, by the first byte.
pub const STATE_FILES: [(&str, Behind); 14] = [
    ("clock.anchors", Behind::Sum),
    ("scrub.json", Behind::Sum),
    ("log.sealed", Behind::Seal),
    ("log.holds.sealed", Behind::Seal),
    ("log.deleted.sealed", Behind::Seal),
    ("store.sealed", Behind::Seal),
    ("people.sealed", Behind::Seal),
    ("streams", Behind::Nothing),
    ("log.audits.sealed", Behind::Seal),
    ("tls/authority.json", Behind::Nothing),
    ("tls/authority-before.json", Behind::Nothing),
    ("tls/leaf.json", Behind::Nothing),
    ("log.summary.sealed", Behind::Seal),
    ("disks.json", Behind::Sum),
];

/// A folder for what is synced.
fn temporary() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    let folder = match shm.is_dir() {
        true => tempfile::tempdir_in(shm),
        false => tempfile::tempdir(),
    };
    folder.expect("there is room for a folder")
}

/// A file of the state folder, with whatever its seal lets through.
pub fn state_files(data: &[u8]) {
    thread_local! {
        static FOLDER: (tempfile::TempDir, StateKey) = {
            let folder = temporary();
            let made = StateFolder::create_unclaimed(folder.path(), &mut SeededRandom::new(1));
            let key = made.expect("it is empty").state_key();
            (folder, key)
        };
    }
    let Some((file, content)) = data.split_first() else {
        return;
    };
    let (name, behind) = STATE_FILES[usize::from(*file) % STATE_FILES.len()];
    if name == "streams" {
        let _ = std::str::from_utf8(content).map(decode_streams);
        return;
    }
    FOLDER.with(|(folder, key)| {
        let folder = folder.path();
        let path = folder.join(name);
        let above = path.parent().expect("it is in a folder");
        std::fs::create_dir_all(above).expect("there is room for a folder");
        std::fs::write(&path, behind.put(name, content, key)).expect("there is room for a file");
        read_state(name, folder, key);
        match above == folder {
            true => std::fs::remove_file(path).expect("it was written"),
            // With what was made for lack of it.
            false => std::fs::remove_dir_all(above).expect("it was made"),
        }
    });
}

fn read_state(name: &str, folder: &Path, key: &StateKey) {
    match name {
        "store.sealed" => _ = StateFolder::load(folder),
        "people.sealed" => {
            let clock = Arc::new(SimClock::new(0));
            let _ = People::open(folder, key.clone(), [7; 32].into(), clock);
        }
        "clock.anchors" => {
            let anchors = Anchors::read(folder, Anchors::default);
            for (wall_us, monotonic_us) in [(0, 0), (i64::MAX, u64::MAX), (i64::MIN, 5)] {
                let _ = anchors.corrected(&Start {
                    wall_us,
                    monotonic_us,
                    boot: BootId::from_bytes([1; 16]),
                    clock_trusted: false,
                    gap: None,
                    sequence: 0,
                });
            }
        }
        "disks.json" => _ = pool::look_at_homes(folder),
        name if name.starts_with("tls/") => {
            let clock = Arc::new(SimClock::new(1_790_000_000_000_000));
            let (settings, state) = (TlsSettings::default(), folder);
            let _ = read_fingerprint(state, &settings);
            if let Ok(tls) = Tls::open(state, settings, clock) {
                assert!(tls.server_config().is_ok(), "what is shown can be served");
            }
        }
        _ => {}
    }
    for finding in check::look_at_state(folder, key, &STORE) {
        assert_eq!(finding.path, Path::new(name), "no other file is there");
    }
}

pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Config::parse(text, Path::new("hearthkeep.toml")) {
        Ok(config) => {
            assert!((1..=DISKS_MAX).contains(&config.disks.len()));
            assert!(config.cameras.len() <= CAMERAS_MAX);
            no_secret(text, &format!("{config:?}"));
        }
        Err(Error::Mistakes(mistakes)) => no_secret(text, &mistakes.to_string()),
        Err(_) => {}
    }
}

/// What the seeds use as a password is never shown, but where it is the value of something else too.
fn no_secret(text: &str, said: &str) {
    let secret = "hunter2";
    let plain = text
        .lines()
        .any(|line| line == format!("password = \"{secret}\""));
    let is_told = plain && text.matches(secret).count() == 1 && said.contains(secret);
    assert!(!is_told, "{said}");
}
