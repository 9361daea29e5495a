//! As `fuzz/targets.rs`, for the parsers of the recorder itself. `tests/corpora.rs` runs them in every test run.
#![allow(dead_code, reason = "each target uses one of them")]

#[path = "../tests/flips/memory.rs"]
mod memory;

use std::path::Path;
use std::sync::Arc;

use hearthkeep::config::{Config, Error};
use hearthkeep::disk::{Disk, Front};
use hearthkeep::limits::{CAMERAS_MAX, DISKS_MAX};
use hearthkeep::play;
use hearthkeep::store::inspect::{self, Inspected, Mended, Place};
use hearthkeep::store::layout;
use hearthkeep::store::log::LogFiles;
use hearthkeep_format::log::{Checkpoint, LogKey};
use hearthkeep_format::segment::{HEADER_LEN, Header};
use hearthkeep_format::{Identity, MetadataKey, SeededRandom, StoreId};
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
                assert_eq!((before.end, before.bytes), (after.end, after.bytes));
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

/// What the seeds use as a password is never shown.
fn no_secret(text: &str, said: &str) {
    let secret = "hunter2";
    let plain = text
        .lines()
        .any(|line| line == format!("password = \"{secret}\""));
    assert!(!(plain && said.contains(secret)), "{said}");
}
