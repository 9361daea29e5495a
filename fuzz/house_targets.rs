//! As `fuzz/targets.rs`, for the parsers of the recorder itself. `tests/corpora.rs` runs them in every test run.
#![allow(dead_code, reason = "each target uses one of them")]

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
use hearthkeep::state_file::StateKey;
use hearthkeep::store::anchors::Anchors;
use hearthkeep::store::catalog::{Batch, Catalog, Database, Memory as Records};
use hearthkeep::store::check;
use hearthkeep::store::inspect::{self, Inspected, Mended, Place};
use hearthkeep::store::layout;
use hearthkeep::store::log::LogFiles;
use hearthkeep_format::log::{Checkpoint, LogKey};
use hearthkeep_format::segment::{HEADER_LEN, Header, Layout, Start};
use hearthkeep_format::{BootId, Identity, MetadataKey, SeededRandom, StoreId};
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
    let mut random = SeededRandom::new(1);
    match inspect::mend(&disk, &path, &place, &store, &keys, &mut random) {
        Ok(Mended::Whole(facts)) => {
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

/// A log whose checkpoint is right: its entries and its tree are whatever lies on the disk.
pub fn log_files(data: &[u8]) {
    let Some((numbers, rest)) = data.split_first_chunk::<4>() else {
        return;
    };
    let [size, from, to, part] = numbers.map(u64::from);
    let store = StoreId::from_bytes([0x20; 16]);
    let signer = Identity::from_seed([0x60; 32]).signing_key();
    let key = LogKey {
        store,
        key: signer.verifying_key(),
    };
    let log = key.log();
    let root = [7; 32];
    let checkpoint = Checkpoint {
        store,
        log,
        size,
        root,
    };
    let note = checkpoint.sign(&signer).expect("it is this log's key");
    let (entries, tree) = rest.split_at(rest.len() * part as usize / 256);
    let disk = Memory::default();
    let folder = Path::new(layout::LOG).join(log.to_string());
    let put = |name: &str, bytes: &[u8]| disk.put(&folder.join(name), Arc::new(bytes.to_vec()));
    put("key", format!("{}\n", key.to_text()).as_bytes());
    put("checkpoint", note.as_bytes());
    put("entries", entries);
    put("tree", tree);
    let files = LogFiles::open(&disk, &store, &log).expect("key and checkpoint are right");
    if let Ok(piece) = files.piece(from, to) {
        assert!(piece.len() <= entries.len());
    }
    let _ = files.consistency(from, to);
    let _ = files.inclusion(from, size);
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

/// The files of a state folder, by the first byte. What is sealed there is sealed here, since nothing else gets past the seal.
pub const STATE_FILES: [(&str, bool); 9] = [
    ("clock.anchors", false),
    ("scrub.json", false),
    ("log.sealed", true),
    ("log.holds.sealed", true),
    ("log.deleted.sealed", true),
    ("store.sealed", true),
    ("people.sealed", true),
    ("streams", false),
    ("log.audits.sealed", true),
];

/// A file of the state folder, with whatever its seal lets through.
pub fn state_files(data: &[u8]) {
    thread_local! {
        static FOLDER: (tempfile::TempDir, StateKey) = {
            let folder = tempfile::tempdir().expect("there is room for a folder");
            let made = StateFolder::create_unclaimed(folder.path(), &mut SeededRandom::new(1));
            let key = made.expect("it is empty").state_key();
            (folder, key)
        };
    }
    let Some((file, content)) = data.split_first() else {
        return;
    };
    let (name, is_sealed) = STATE_FILES[usize::from(*file) % STATE_FILES.len()];
    if name == "streams" {
        let _ = std::str::from_utf8(content).map(decode_streams);
        return;
    }
    FOLDER.with(|(folder, key)| {
        let folder = folder.path();
        let sealed = match is_sealed {
            true => key.seal(name, content, &mut SeededRandom::new(2)),
            false => content.to_vec(),
        };
        std::fs::write(folder.join(name), sealed).expect("there is room for a file");
        read_state(name, folder, key);
        std::fs::remove_file(folder.join(name)).expect("it was written");
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
