//! Bytes of any kind and segments with random changes: no panic, no false footage, and no more
//! memory than the limits and the file allow.
#![allow(clippy::unwrap_used)]
#![allow(
    unsafe_code,
    reason = "a global allocator that counts is an unsafe trait"
)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{Built, World, footage, lost};
use hearthkeep_format::segment::{
    ChunkPrefix, Footer, Header, Preamble, ReadAt, locked, recover, scrub, walk,
};
use proptest::prelude::*;

/// Counts what the current thread holds, and the most it held.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // While a thread ends its counters are gone: nothing is measured then.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: passes everything on to the system's allocator and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn most_held_during(work: impl FnOnce()) -> usize {
    let before = HELD.get();
    MOST.set(before);
    work();
    usize::try_from(MOST.get() - before).unwrap()
}

/// Everything that reads bytes reads these.
fn read_everything(world: &World, bytes: &[u8], built: &Built) {
    let _ = Header::parse(bytes);
    let _ = Preamble::decode(bytes);
    let _ = Footer::decode(bytes);
    let _ = ChunkPrefix::parse(bytes);
    if let (Some(header), Some(tail)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let _ = locked::Tail::parse(tail);
        let _ = locked::open_start(header, &world.m);
        let _ = locked::open_end(header, tail, &world.m);
        let chunk = tail.first_chunk().unwrap();
        let _ = locked::open_index(header, chunk, &world.m);
        let _ = locked::chunk_len(chunk);
    }
    let _ = walk(&bytes, None);
    let _ = scrub(&bytes, &world.m);
    let _ = recover(&bytes, &world.m, &mut world.rng.clone());
    if let Ok(file) = world.open(bytes) {
        lost(&footage(&file), built);
        let whole = file.check(Some(&world.m)).unwrap().is_whole();
        assert!(!whole || bytes == built.bytes);
    }
}

/// What reading a file of this length may hold: a few times the file and fixed buffers.
fn memory_max(length: usize) -> usize {
    8 * length + 1024 * 1024
}

fn small() -> (World, Built) {
    let mut world = World::new(31);
    let built = world.build(4, 100);
    (world, built)
}

#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Copy(usize, usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = 0usize..8192;
    prop_oneof![
        6 => (at.clone(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => at.clone().prop_map(Change::Cut),
        2 => (at.clone(), prop::collection::vec(any::<u8>(), 1..200))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (at.clone(), 1usize..400).prop_map(|(at, n)| Change::Remove(at, n)),
        2 => (at.clone(), at, 1usize..400).prop_map(|(from, to, n)| Change::Copy(from, to, n)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let within = |at: usize, bytes: &Vec<u8>| at % (bytes.len() + 1);
    match change {
        Change::Set(at, byte) => {
            let at = within(*at, bytes);
            if let Some(old) = bytes.get_mut(at) {
                *old = *byte;
            }
        }
        Change::Cut(at) => bytes.truncate(within(*at, bytes)),
        Change::Insert(at, new) => {
            let at = within(*at, bytes);
            bytes.splice(at..at, new.iter().copied());
        }
        Change::Remove(at, n) => {
            let at = within(*at, bytes);
            let end = (at + n).min(bytes.len());
            bytes.drain(at..end);
        }
        Change::Copy(from, to, n) => {
            let from = within(*from, bytes);
            let piece = bytes[from..(from + n).min(bytes.len())].to_vec();
            let to = within(*to, bytes);
            bytes.splice(to..to, piece);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_segment_is_read_without_surprise(
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let (world, built) = small();
        let mut bytes = built.bytes.clone();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        let held = most_held_during(|| read_everything(&world, &bytes, &built));
        prop_assert!(held < memory_max(bytes.len()), "{} bytes held", held);
    }

    #[test]
    fn random_bytes_are_read_without_surprise(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let (world, built) = small();
        let held = most_held_during(|| read_everything(&world, &bytes, &built));
        prop_assert!(held < memory_max(bytes.len()), "{} bytes held", held);
    }

    /// Lengths are random, and what surrounds them is right.
    #[test]
    fn lengths_are_not_believed(k in 0usize..6, length: u32) {
        let (world, built) = small();
        let mut bytes = built.bytes.clone();
        bytes[built.edges[k]..][..4].copy_from_slice(&length.to_be_bytes());
        let held = most_held_during(|| read_everything(&world, &bytes, &built));
        prop_assert!(held < memory_max(bytes.len()), "{} bytes held", held);
    }
}

#[test]
fn a_reader_may_be_a_trait_object() {
    let (world, built) = small();
    let file: &dyn ReadAt = &built.bytes;
    assert!(world.open(file).unwrap().check(None).unwrap().is_whole());
}
