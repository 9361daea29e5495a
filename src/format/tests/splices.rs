//! Somebody who has no key rearranges a segment: chunks moved, doubled, taken away, exchanged with
//! another segment's, with their leaves made right again. It is always found, and nothing comes out
//! but what was sealed, where it was.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Built, World, footage, lost};
use hearthkeep_format::merkle;
use hearthkeep_format::segment::scrub;

struct Forgery {
    world: World,
    built: Built,
    other: Built,
}

impl Forgery {
    fn new() -> Self {
        let mut world = World::new(11);
        let (built, other) = (world.build(5, 80), world.build(5, 80));
        Self {
            world,
            built,
            other,
        }
    }

    fn chunk(&self, k: usize) -> Vec<u8> {
        self.built.bytes[self.built.edges[k]..self.built.edges[k + 1]].to_vec()
    }

    fn foreign(&self, k: usize) -> Vec<u8> {
        self.other.bytes[self.other.edges[k]..self.other.edges[k + 1]].to_vec()
    }

    /// The file with other bytes for chunks 1 to 6 (the footer).
    fn file(&self, chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.built.bytes[..self.built.edges[1]].to_vec();
        chunks
            .iter()
            .for_each(|chunk| bytes.extend_from_slice(chunk));
        bytes.extend_from_slice(&self.built.bytes[self.built.edges[7]..]);
        bytes
    }

    /// `what` is found by somebody with keys, and by the locked recorder; `lost_max` fragments are
    /// gone.
    #[track_caller]
    fn is_found(&self, chunks: &[Vec<u8>], lost_max: usize) -> String {
        let bytes = self.file(chunks);
        let file = self.world.open(&bytes).unwrap();
        assert!(lost(&footage(&file), &self.built) <= lost_max);
        let report = file.check(Some(&self.world.m)).unwrap();
        assert!(!report.is_whole());
        assert!(!file.check(None).unwrap().is_whole());
        assert!(!scrub(&bytes, &self.world.m).unwrap().is_whole());
        report.to_string()
    }

    fn chunks(&self) -> Vec<Vec<u8>> {
        (1..=6).map(|k| self.chunk(k)).collect()
    }
}

fn with_right_leaf(mut chunk: Vec<u8>) -> Vec<u8> {
    let at = chunk.len() - 32;
    let leaf = merkle::leaf(&[&chunk[..at]]);
    chunk[at..].copy_from_slice(&leaf);
    chunk
}

#[test]
fn the_untouched_file_is_whole() {
    let forgery = Forgery::new();
    assert_eq!(forgery.file(&forgery.chunks()), forgery.built.bytes);
    assert!(
        scrub(&forgery.built.bytes, &forgery.world.m)
            .unwrap()
            .is_whole()
    );
}

#[test]
fn chunks_exchanged() {
    let forgery = Forgery::new();
    for i in 0..5 {
        for j in 0..i {
            let mut chunks = forgery.chunks();
            chunks.swap(i, j);
            forgery.is_found(&chunks, 5);
        }
    }
}

#[test]
fn chunks_taken_away() {
    let forgery = Forgery::new();
    for i in 0..6 {
        let mut chunks = forgery.chunks();
        chunks.remove(i);
        let said = forgery.is_found(&chunks, 5);
        assert!(
            said.contains(&format!("tampered at chunk {}", i + 1)),
            "{said}"
        );
    }
}

#[test]
fn chunks_doubled() {
    let forgery = Forgery::new();
    for i in 0..6 {
        for j in 0..=6 {
            let mut chunks = forgery.chunks();
            chunks.insert(j, chunks[i].clone());
            forgery.is_found(&chunks, 5);
        }
    }
}

#[test]
fn chunks_of_another_segment() {
    let forgery = Forgery::new();
    for i in 0..6 {
        let mut chunks = forgery.chunks();
        chunks[i] = forgery.foreign(i + 1);
        let said = forgery.is_found(&chunks, 1);
        assert!(
            said.contains(&format!("tampered at chunk {}", i + 1)),
            "{said}"
        );
    }
}

#[test]
fn fields_changed_and_the_leaf_made_right() {
    let forgery = Forgery::new();
    for k in 1..=6 {
        let length = forgery.chunk(k).len();
        for at in [4, 5, 6, 7, 8, 23, 24, 39, 40, 55, 56, length - 33] {
            for bit in [0x01, 0x80] {
                let mut chunks = forgery.chunks();
                chunks[k - 1][at] ^= bit;
                chunks[k - 1] = with_right_leaf(std::mem::take(&mut chunks[k - 1]));
                forgery.is_found(&chunks, 1);
            }
        }
    }
}

#[test]
fn a_final_chunk_made_of_another() {
    let forgery = Forgery::new();
    let mut chunks = forgery.chunks();
    chunks.truncate(3);
    chunks[2][4] |= 1;
    chunks[2] = with_right_leaf(std::mem::take(&mut chunks[2]));
    forgery.is_found(&chunks, 5);
}

#[test]
fn bytes_put_in_or_put_behind() {
    let forgery = Forgery::new();
    let stray = with_right_leaf({
        let mut chunk = vec![0x5A; 56 + 20 + 32];
        chunk[..8].copy_from_slice(&[0, 0, 0, 20, 0, 0, 0, 3]);
        chunk
    });
    for i in 0..=6 {
        for bytes in [vec![0], vec![0xFF; 1000], stray.clone(), vec![0; 1]] {
            let mut chunks = forgery.chunks();
            chunks.insert(i, bytes);
            forgery.is_found(&chunks, 5);
        }
    }
    let mut bytes = forgery.built.bytes.clone();
    bytes.push(0);
    assert!(!scrub(&bytes, &forgery.world.m).unwrap().is_whole());
    assert_eq!(
        lost(
            &footage(&forgery.world.open(&bytes).unwrap()),
            &forgery.built
        ),
        0
    );
}

#[test]
fn heads_and_ends_of_another_segment() {
    let Forgery {
        world,
        built,
        other,
    } = Forgery::new();
    let join = |head: &Built, rest: &Built, at: fn(&Built) -> usize| {
        [&head.bytes[..at(head)], &rest.bytes[at(rest)..]].concat()
    };
    let cuts: [fn(&Built) -> usize; 5] = [
        |built| built.edges[0],
        |built| built.edges[1],
        |built| built.edges[6],
        |built| built.edges[7],
        |built| built.bytes.len() - 128,
    ];
    for (i, cut) in cuts.into_iter().enumerate() {
        let bytes = join(&built, &other, cut);
        if let Ok(report) = scrub(&bytes, &world.m) {
            assert!(!report.is_whole(), "cut {i}: {report}");
        }
        if let Ok(file) = world.open(&bytes) {
            assert!(!file.check(Some(&world.m)).unwrap().is_whole(), "cut {i}");
            assert!(!file.check(None).unwrap().is_whole() || i == 4, "cut {i}");
        }
    }
}
