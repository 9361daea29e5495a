//! Walking large and hostile files: in bounded memory and with bounded work.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::Cell;

use common::{World, entry, footage, lost};
use hearthkeep_format::segment::{
    Layout, RESYNC_BYTES_MAX, ReadAt, SegmentWriter, Step, Walker, locked, walk,
};

/// Counts what is read, and remembers the largest read.
struct Counting<'a> {
    bytes: &'a [u8],
    read: Cell<u64>,
    largest: Cell<usize>,
}

impl<'a> Counting<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            read: Cell::new(0),
            largest: Cell::new(0),
        }
    }
}

impl ReadAt for Counting<'_> {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.read.set(self.read.get() + buffer.len() as u64);
        self.largest.set(self.largest.get().max(buffer.len()));
        self.bytes.read_at(offset, buffer)
    }
}

#[test]
fn a_large_segment_is_walked_in_small_pieces() {
    let mut world = World::new(21);
    let built = world.build(12, 3_000_000);
    let file = Counting::new(&built.bytes);
    let layout = Layout::find(&file, Some(&world.m)).unwrap();
    let index = locked::Index::new(&layout.head().header, &world.m);
    let chunks = Walker::new(&file, &layout, Some(&index))
        .inspect(|step| assert!(matches!(step, Ok(Step::Chunk(_)))))
        .count();
    assert_eq!(chunks, 14);
    assert!(file.largest.get() <= 64 * 1024);
    assert!(
        file.read.get() < built.bytes.len() as u64 + 100_000,
        "each byte is read once"
    );
}

#[test]
fn a_damaged_length_costs_one_chunk_and_little_work() {
    let mut world = World::new(22);
    let built = world.build(12, 700_000);
    for k in 1..=12 {
        for (at, bit) in [
            (0, 0x80),
            (1, 0x20),
            (2, 0x10),
            (3, 1),
            (4, 1),
            (4, 2),
            (5, 1),
            (7, 1),
        ] {
            let mut bytes = built.bytes.clone();
            bytes[built.edges[k] + at] ^= bit;
            let file = Counting::new(&bytes);
            let walk = walk(&file, Some(&world.m)).unwrap();
            assert_eq!(walk.chunks.len(), 13, "chunk {k}, byte {at}");
            assert_eq!(walk.damaged.len(), 1);
            assert_eq!(walk.damaged[0].missing, k as u32..k as u32 + 1);
            assert!(file.read.get() < 3 * bytes.len() as u64);
        }
    }
}

/// Every place in this file claims to be a chunk of many megabytes.
#[test]
fn a_hostile_file_cannot_make_a_reader_work_forever() {
    let mut world = World::new(23);
    let built = world.build(1, 100);
    let mut bytes = built.bytes[..built.edges[1]].to_vec();
    while bytes.len() < 6_000_000 {
        bytes.extend_from_slice(&[0, 0x20, 0, 0, 0, 0, 1, 0]);
    }
    let file = Counting::new(&bytes);
    let chunks = walk(&file, None).unwrap().chunks;
    assert_eq!(chunks.len(), 1);
    let bound = 2 * RESYNC_BYTES_MAX + 4 * bytes.len() as u64;
    assert!(
        file.read.get() < bound,
        "{} bytes read of {}",
        file.read.get(),
        bytes.len()
    );

    // With the metadata key, the index entries tell without hashing.
    let file = Counting::new(&bytes);
    assert_eq!(walk(&file, Some(&world.m)).unwrap().chunks.len(), 1);
    assert!(file.read.get() < 128 * bytes.len() as u64);
}

/// A disk that reuses blocks may leave another segment's chunks behind the end of a torn one.
#[test]
fn what_an_older_segment_left_behind_is_not_taken() {
    let mut world = World::new(24);
    let (old, new) = (world.build(6, 100), world.build(6, 100));
    let torn = [
        &new.bytes[..new.edges[3]],
        &old.bytes[old.edges[3]..old.edges[7]],
    ]
    .concat();
    assert_eq!(walk(&torn, Some(&world.m)).unwrap().chunks.len(), 3);
    assert_eq!(
        walk(&torn, None).unwrap().chunks.len(),
        7,
        "their leaves are right"
    );
    let file = world.open(&torn).unwrap();
    assert_eq!(lost(&footage(&file), &new), 4);
}

#[test]
fn a_chunk_of_no_bytes_is_a_chunk() {
    let mut world = World::new(25);
    let (mut writer, mut bytes) = world.begin();
    let mut chunk = vec![0; SegmentWriter::HEADROOM];
    writer
        .seal_in_place(&mut chunk, entry(0), &mut world.rng)
        .unwrap();
    bytes.extend_from_slice(&chunk);
    bytes.extend(writer.finish(0, b"", &mut world.rng).unwrap());
    let file = world.open(&bytes).unwrap();
    assert_eq!(footage(&file), [(1, Vec::new())]);
    assert!(file.check(Some(&world.m)).unwrap().is_whole());
}
