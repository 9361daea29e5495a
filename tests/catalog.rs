//! The catalog: what is found again, what damage costs, and that it is never believed where it should not be.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "common/copied.rs"]
mod copied;
mod store_support;

use std::path::Path;

use copied::copy;
use hearthkeep::store::catalog::{Catalog, Entry};
use hearthkeep_format::segment::{Gap, GapCause};
use hearthkeep_format::{
    DiskId, EpochId, Kind, Random, SeededRandom, SegmentId, StoreId, StreamId,
};
use proptest::prelude::*;
use store_support::START_US;

const STORE: StoreId = StoreId::from_bytes([3; 16]);
/// Parts of a database that rot, one at a time, a 32nd of it each.
const ROTTEN: usize = 64;

fn open(folder: &Path) -> Catalog {
    let opened = Catalog::open(folder, &STORE).unwrap();
    assert!(opened.moved_aside.is_none(), "{:?}", opened.moved_aside);
    opened.catalog
}

fn entry(stream: u8, sequence: u64) -> Entry {
    let mut random = SeededRandom::new(sequence | u64::from(stream) << 40);
    let mut id = [0; 16];
    random.fill(&mut id);
    Entry {
        stream: StreamId::from_bytes([stream; 16]),
        kind: Kind::Media,
        epoch: EpochId::from_bytes([(sequence / 100) as u8; 16]),
        segment: SegmentId::from_bytes(id),
        disk: 0,
        start_us: START_US + sequence as i64 * 60_000_000,
        duration_us: 60_000_000,
        bytes: 1000 + sequence as u32,
        sequence,
        clock_trusted: true,
        recovered: false,
        tombstone: false,
        torn: false,
        gap: sequence.is_multiple_of(50).then_some(Gap {
            cause: GapCause::CameraLost,
            length_us: Some(sequence),
        }),
    }
}

#[test]
fn it_finds_what_it_was_given_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("catalog");
    let disk = DiskId::from_bytes([8; 16]);
    let entries: Vec<_> = (0..1000).map(|n| entry(1, n)).collect();
    let catalog = open(&folder);
    assert_eq!(catalog.disk_number(&disk).unwrap(), 0);
    catalog.insert(&entries).unwrap();
    catalog.insert(&entries[40..90]).unwrap();
    catalog.flush().unwrap();
    check(&catalog, disk, &entries);
    drop(catalog);
    let opened = Catalog::open(&folder, &STORE).unwrap();
    assert!(!opened.fresh && opened.moved_aside.is_none());
    check(&opened.catalog, disk, &entries);
}

fn check(catalog: &Catalog, disk: DiskId, entries: &[Entry]) {
    let stream = entries[0].stream;
    assert_eq!(catalog.disk(0), Some(disk));
    assert_eq!(catalog.len(), 1000);
    assert_eq!(catalog.last(&stream).unwrap().as_ref(), entries.last());
    let all: Vec<_> = catalog.oldest_first(&stream).map(Result::unwrap).collect();
    assert_eq!(all, entries);
    for wanted in entries.iter().step_by(37) {
        assert_eq!(
            catalog.find(&stream, &wanted.segment).unwrap().as_ref(),
            Some(wanted)
        );
    }
    assert_eq!(
        catalog
            .find(&stream, &SegmentId::from_bytes([0; 16]))
            .unwrap(),
        None
    );
    let hour = (entries[500].start_us + 1, entries[560].start_us + 1);
    assert_eq!(
        catalog.timeline(&stream, hour.0, hour.1).unwrap(),
        entries[500..=560]
    );
    let next = catalog
        .next_from(&stream, entries[700].start_us - 5)
        .unwrap();
    assert_eq!(next.as_ref(), Some(&entries[700]));
    // Also where a bucket, of 64 segments, ends in between.
    for n in 1..entries.len() {
        let (before, after) = (&entries[n - 1], &entries[n]);
        let next = catalog.next_from(&stream, before.start_us + 1).unwrap();
        assert_eq!(next.as_ref(), Some(after), "after {n}");
        let last = catalog.last_before(&stream, after.end_us() - 1).unwrap();
        assert_eq!(last.as_ref(), Some(before), "before {n}");
    }
    assert_eq!(
        catalog.next_from(&stream, entries[999].end_us()).unwrap(),
        None
    );
    let usage = catalog.usage(&stream);
    let bytes: u64 = entries.iter().map(|entry| u64::from(entry.bytes)).sum();
    assert_eq!((usage.segments, usage.bytes), (1000, bytes));
    assert_eq!(usage.first_us, Some(entries[0].start_us));
    assert_eq!(usage.last_us, Some(entries[999].end_us()));
    assert_eq!(catalog.disk_bytes(0), bytes);
    assert_eq!(
        catalog.epoch_tally(&stream, &entries[0].epoch, 0).count,
        100
    );
    assert_eq!(
        catalog.epoch(&stream, &entries[250].epoch, 0).unwrap(),
        entries[200..300]
    );
    let other = StreamId::from_bytes([9; 16]);
    assert!(
        catalog
            .timeline(&other, i64::MIN, i64::MAX)
            .unwrap()
            .is_empty()
    );
    assert_eq!(catalog.last(&other).unwrap(), None);
}

#[test]
fn damage_is_contained_moved_aside_and_noticed() {
    let seed = 11;
    println!("seed {seed}");
    let mut random = SeededRandom::new(seed);
    let home = tempfile::tempdir().unwrap();
    let original = home.path().join("original");
    let catalog = open(&original);
    catalog.disk_number(&DiskId::from_bytes([8; 16])).unwrap();
    for n in 0..300 {
        catalog.insert(&[entry(1, n)]).unwrap();
    }
    catalog.flush().unwrap();
    drop(catalog);
    let db = std::fs::read(original.join("db")).unwrap();
    let mut kinds = [0; 3];
    for round in 0..24 {
        let folder = home.path().join("catalog");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        for file in std::fs::read_dir(&original).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
            }
        }
        let mut bytes = db.clone();
        let mut draw = [0; 8];
        random.fill(&mut draw);
        let at = usize::from_be_bytes(draw) % bytes.len();
        match round % 3 {
            0 => bytes.truncate(at),
            1 => {
                let end = (at + 4096).min(bytes.len());
                random.fill(&mut bytes[at..end]);
            }
            _ => std::fs::write(folder.join("snap.0000000000000001.generating"), "torn").unwrap(),
        }
        std::fs::write(folder.join("db"), bytes).unwrap();
        let opened = Catalog::open(&folder, &STORE).unwrap();
        let kind = if opened.moved_aside.is_some() {
            assert!(opened.fresh);
            0
        } else if opened.catalog.len() == 300 {
            1
        } else {
            2
        };
        if round % 3 == 2 {
            assert_eq!(kind, 1, "a snapshot that was not finished costs nothing");
        }
        kinds[kind] += 1;
        // Whatever was opened works.
        opened.catalog.insert(&[entry(2, 1)]).unwrap();
        opened.catalog.flush().unwrap();
    }
    println!(
        "moved aside {}, whole {}, short {}",
        kinds[0], kinds[1], kinds[2]
    );
}

#[test]
fn a_catalog_that_could_not_be_read_is_not_believed_again() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("catalog");
    let catalog = open(&folder);
    catalog.disk_number(&DiskId::from_bytes([8; 16])).unwrap();
    for n in 0..2000 {
        catalog.insert(&[entry(1, n)]).unwrap();
    }
    catalog.flush().unwrap();
    drop(catalog);
    // Opened once more, its pages are known: before, rot in the last of them only looks like a write that was cut off.
    drop(open(&folder));
    let stream = StreamId::from_bytes([1; 16]);
    let whole = std::fs::read(folder.join("db")).unwrap();
    let (mut at_opening, mut at_reading) = (0, 0);
    for round in 0..ROTTEN {
        // Rot somewhere: opening may not see it, reading everything does.
        let rotten = home.path().join(round.to_string());
        copy(&folder, &rotten);
        let mut db = whole.clone();
        let begin = whole.len() / ROTTEN * round;
        let end = whole.len().min(begin + whole.len() / 32);
        let part = &mut db[begin..end];
        part.iter_mut().step_by(512).for_each(|byte| *byte ^= 0x55);
        std::fs::write(rotten.join("db"), db).unwrap();
        let opened = Catalog::open(&rotten, &STORE).unwrap();
        if opened.moved_aside.is_some() {
            at_opening += 1;
            continue;
        }
        let mut entries = opened.catalog.oldest_first(&stream);
        let failed = entries.any(|entry| entry.is_err());
        drop(entries);
        drop(opened);
        at_reading += usize::from(failed);
        let opened = Catalog::open(&rotten, &STORE).unwrap();
        assert_eq!(opened.moved_aside.is_some(), failed, "round {round}");
    }
    println!("of {ROTTEN} seen {at_opening} when it was opened, {at_reading} when it was read");
    assert!(at_reading > 0);
}

#[test]
fn another_stores_catalog_is_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("catalog");
    drop(open(&folder));
    let opened = Catalog::open(&folder, &StoreId::from_bytes([4; 16])).unwrap();
    assert!(opened.fresh && opened.moved_aside.unwrap().1.exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is inserted, replaced and forgotten, the catalog equals a plain list, and its sums agree after a restart.
    #[test]
    fn it_equals_a_plain_list(
        steps in prop::collection::vec((0u8..3, 0u64..400, 1u64..90, any::<bool>()), 1..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("catalog");
        let catalog = open(&folder);
        catalog.disk_number(&DiskId::from_bytes([8; 16])).unwrap();
        let mut model = std::collections::BTreeMap::new();
        for (stream, from, count, insert) in steps {
            let some: Vec<_> = (from..from + count).map(|n| entry(stream, n)).collect();
            if insert {
                catalog.insert(&some).unwrap();
                model.extend(some.into_iter().map(|entry| ((stream, entry.sequence), entry)));
            } else {
                catalog.forget(&some).unwrap();
                some.iter().for_each(|entry| {
                    model.remove(&(stream, entry.sequence));
                });
            }
        }
        catalog.flush().unwrap();
        drop(catalog);
        let catalog = open(&folder);
        prop_assert_eq!(catalog.len() as usize, model.len());
        for stream in 0..3 {
            let id = StreamId::from_bytes([stream; 16]);
            let found: Vec<_> = catalog.oldest_first(&id).map(Result::unwrap).collect();
            let wanted: Vec<_> =
                model.range((stream, 0)..(stream + 1, 0)).map(|(_, entry)| *entry).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
