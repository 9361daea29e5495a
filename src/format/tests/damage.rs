//! Segments cut at every byte, flipped at every bit, with holes, and recovered.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Built, World, footage, lost};
use hearthkeep_format::segment::{Damage, SegmentOpener, recover, scrub, survey};

fn small() -> (World, Built) {
    let mut world = World::new(1);
    let built = world.build(4, 100);
    (world, built)
}

/// Whatever a crash leaves is never taken for a whole segment, and every whole chunk in it opens.
#[test]
fn cut_at_every_byte() {
    let (world, built) = small();
    for n in 0..built.bytes.len() {
        let cut = &built.bytes[..n];
        let whole = built.edges[2..6].iter().filter(|&&edge| edge <= n).count();
        if n < built.edges[1] {
            assert!(world.open(cut).is_err(), "cut at {n}");
            assert!(
                recover(cut, &world.m, &mut world.rng.clone()).is_err(),
                "cut at {n}"
            );
            assert!(scrub(cut, &world.m).is_err(), "cut at {n}");
            continue;
        }
        let file = world.open(cut).unwrap();
        assert_eq!(lost(&footage(&file), &built), 4 - whole, "cut at {n}");
        for report in [
            file.check(Some(&world.m)),
            file.check(None),
            scrub(cut, &world.m),
        ] {
            assert_eq!(report.unwrap().to_string(), "torn", "cut at {n}");
        }
        let recovered = recovered(&world, cut);
        let file = world.open(&recovered).unwrap();
        assert_eq!(
            lost(&footage(&file), &built),
            4 - whole,
            "recovered after a cut at {n}"
        );
        assert_eq!(file.footer().is_some(), n >= built.edges[6]);
        for report in [file.check(Some(&world.m)), scrub(&recovered, &world.m)] {
            let report = report.unwrap();
            assert_eq!(report.to_string(), "recovered", "cut at {n}");
            let expected = whole as u32 + 1 + u32::from(n >= built.edges[6]);
            assert_eq!(report.end.unwrap().chunks, expected);
        }
    }
}

fn recovered(world: &World, torn: &[u8]) -> Vec<u8> {
    let recovery = recover(torn, &world.m, &mut world.rng.clone())
        .unwrap()
        .unwrap();
    assert_eq!(
        survey(torn, &world.m).unwrap(),
        Some((recovery.keep, recovery.end))
    );
    let mut bytes = torn[..recovery.keep as usize].to_vec();
    bytes.extend_from_slice(&recovery.append);
    bytes
}

/// A flipped bit is always found, and costs at most the chunk it hits; in head, copy and tail
/// nothing.
#[test]
fn flip_every_bit() {
    let (world, built) = small();
    flip_every_bit_of(&world, &built, &built.bytes);
}

#[test]
fn flip_every_bit_of_a_recovered_segment() {
    let (world, built) = small();
    flip_every_bit_of(
        &world,
        &built,
        &recovered(&world, &built.bytes[..built.edges[6] - 1]),
    );
}

fn flip_every_bit_of(world: &World, built: &Built, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    let fragments = built.edges[1]..built.edges[5];
    for n in 0..bytes.len() {
        for bit in 0..8 {
            bytes[n] ^= 1 << bit;
            let file = world
                .open(&bytes)
                .unwrap_or_else(|error| panic!("byte {n}: {error}"));
            let expected = usize::from(fragments.contains(&n));
            assert_eq!(
                lost(&footage(&file), built),
                expected,
                "byte {n}, bit {bit}"
            );
            let report = file.check(Some(&world.m)).unwrap();
            assert_eq!(report.damage.len(), 1, "byte {n}, bit {bit}: {report}");
            let locked = scrub(&bytes, &world.m).unwrap();
            assert_eq!(locked.damage.len(), 1, "byte {n}, bit {bit}: {locked}");
            bytes[n] ^= 1 << bit;
        }
    }
}

/// A byte that was put in anywhere is found, and costs at most the chunk that it is put into, or the way to open the file.
#[test]
fn insert_at_every_place() {
    let (world, built) = small();
    let fragments = built.edges[1]..built.edges[5];
    for n in 0..=built.bytes.len() {
        for byte in [0, 0xA5] {
            let mut bytes = built.bytes.clone();
            bytes.insert(n, byte);
            let reports = [
                world.open(&bytes).and_then(|file| {
                    let most = usize::from(fragments.contains(&n) && !built.edges.contains(&n));
                    assert!(lost(&footage(&file), &built) <= most, "at {n}");
                    file.check(Some(&world.m))
                }),
                world.open(&bytes).and_then(|file| file.check(None)),
                scrub(&bytes, &world.m),
            ];
            for report in reports.into_iter().flatten() {
                assert!(!report.is_whole(), "{byte} at {n}: {report}");
            }
        }
    }
}

/// The owner of the generation's identity finds flips in the envelope himself.
#[test]
fn flip_every_byte_of_the_head_with_an_identity() {
    let (world, built) = small();
    let mut bytes = built.bytes.clone();
    for n in 0..built.edges[1] {
        bytes[n] ^= 0x10;
        let unlock = |head: &[u8]| SegmentOpener::open(head, &world.generation, &world.m);
        assert!(unlock(&bytes[..built.edges[1]]).is_err(), "byte {n}");
        let file = hearthkeep_format::segment::File::open(&bytes, unlock).unwrap();
        assert_eq!(lost(&footage(&file), &built), 0);
        assert_eq!(
            file.check(Some(&world.m)).unwrap().damage,
            [Damage::Head],
            "byte {n}"
        );
        bytes[n] ^= 0x10;
    }
}

/// The same in a file that has no copy yet: nothing false comes out, and chunks cost no other
/// chunks.
#[test]
fn flip_every_byte_of_a_torn_segment() {
    let (world, built) = small();
    let mut bytes = built.bytes[..built.edges[5]].to_vec();
    for n in 0..bytes.len() {
        bytes[n] ^= 0x40;
        match world.open(&bytes) {
            Ok(file) => {
                // The envelope is not looked at by somebody who has the epoch's key already.
                let is_envelope = (256..built.edges[0]).contains(&n);
                assert!(n >= built.edges[1] || is_envelope, "byte {n}");
                assert_eq!(
                    lost(&footage(&file), &built),
                    usize::from(!is_envelope),
                    "byte {n}"
                );
            }
            Err(_) => assert!(n < built.edges[1], "byte {n}"),
        }
        bytes[n] ^= 0x40;
    }
}

#[test]
fn a_lost_sector_costs_what_it_held() {
    let mut world = World::new(3);
    let built = world.build(30, 300);
    for from in (0..built.bytes.len()).step_by(61) {
        let mut bytes = built.bytes.clone();
        let to = (from + 512).min(bytes.len());
        bytes[from..to].fill(0);
        let hit = built.edges[1..32]
            .windows(2)
            .filter(|e| e[0] < to && e[1] > from)
            .count();
        let file = world.open(&bytes).unwrap();
        // Fewer where the first bytes of a chunk were zero before.
        assert!(lost(&footage(&file), &built) <= hit, "sector at {from}");
        assert!(!file.check(Some(&world.m)).unwrap().is_whole());
        assert!(!scrub(&bytes, &world.m).unwrap().is_whole());
    }
}

/// A torn file whose middle never reached the disk keeps what is after the hole.
#[test]
fn recovery_keeps_what_is_beyond_a_hole() {
    let (world, built) = small();
    let mut torn = built.bytes[..built.edges[5] + 20].to_vec();
    torn[built.edges[2]..built.edges[3]].fill(0);
    let bytes = recovered(&world, &torn);
    let file = world.open(&bytes).unwrap();
    assert_eq!(lost(&footage(&file), &built), 1);
    let report = scrub(&bytes, &world.m).unwrap();
    assert_eq!(report.to_string(), "recovered, tampered at chunk 2");
    assert_eq!(report, file.check(Some(&world.m)).unwrap());
}
