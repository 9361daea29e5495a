//! What is damaged, unreadable or gone costs itself and nothing else; footage comes in the order of time.
#![allow(clippy::unwrap_used)]

mod archive_support;
mod store_support;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use archive_support::{CHUNKS, GOP_CHUNKS, Recorded, SECTOR, Shelf};
use hearthkeep::archive::{Error, Export, Exported, Loss, Segment, Skipped, export, stream};
use hearthkeep::disk::{Disk, RealDisk};
use hearthkeep::store::{browse, layout};
use store_support::{GENERATION, Home, START_US};

const EVERYTHING: Range<i64> = i64::MIN..i64::MAX;

fn all_of<'a>(shelf: &'a Shelf, segments: &'a [&'a dyn Segment]) -> Export<'a> {
    Export {
        segments,
        keyring: &shelf.keyring,
        span: EVERYTHING,
        unusable: &[],
    }
}

/// Exports into memory. `begun` counts how often the file was begun.
fn exported(
    shelf: &Shelf,
    segments: &[&Recorded],
    begun: &mut u32,
) -> Result<(Exported, Vec<u8>), Error> {
    let segments: Vec<_> = segments.iter().map(|one| *one as &dyn Segment).collect();
    let request = all_of(shelf, &segments);
    let path = tempfile::NamedTempFile::new().unwrap();
    let mut output = || {
        *begun += 1;
        std::fs::File::create(path.path()).map(Some)
    };
    let done = export(&request, &mut output, &mut |_, _| {})?;
    Ok((done, std::fs::read(path.path()).unwrap()))
}

fn streamed(shelf: &Shelf, segments: &[&Recorded]) -> (Vec<Skipped>, Vec<u8>) {
    let segments: Vec<_> = segments.iter().map(|one| *one as &dyn Segment).collect();
    let request = all_of(shelf, &segments);
    let mut out = Vec::new();
    let done = stream(&request, &mut out).unwrap();
    (done.skipped, out)
}

/// The chunks that are lost with these, by their number from 0: what follows up to the next key frame needs them.
fn lost_with(damaged: &BTreeSet<usize>) -> BTreeSet<usize> {
    let rest_of_gop = |chunk: usize| chunk..(chunk / GOP_CHUNKS + 1) * GOP_CHUNKS;
    damaged.iter().copied().flat_map(rest_of_gop).collect()
}

fn spans(skipped: &[Skipped]) -> Vec<Range<i64>> {
    let span = |one: &Skipped| {
        assert!(one.is_damaged(), "{one}");
        one.span.clone().unwrap()
    };
    skipped.iter().map(span).collect()
}

#[test]
fn a_bad_sector_costs_its_chunk_wherever_it_is() {
    let mut shelf = Shelf::new(3);
    let mut segment = shelf.record();
    for sector in 0..(segment.bytes.len() as u64).div_ceil(SECTOR) {
        let bad = sector * SECTOR..(sector + 1) * SECTOR;
        let hit = |chunk: &Range<u64>| chunk.start < bad.end && chunk.end > bad.start;
        let damaged = (0..CHUNKS).filter(|chunk| hit(&segment.chunks[*chunk]));
        let lost = lost_with(&damaged.collect());
        segment.make_bad(bad.clone());

        let (done, file) = exported(&shelf, &[&segment], &mut 0).unwrap();
        let wanted: Vec<u8> = (0..CHUNKS)
            .filter(|chunk| !lost.contains(chunk))
            .flat_map(|chunk| segment.payloads[chunk].clone())
            .collect();
        assert!(file.ends_with(&wanted), "sector {sector}");
        assert_eq!(done.bytes as usize, file.len());
        let told = segment.spans_of(&lost);
        assert_eq!(spans(&done.skipped), told, "sector {sector}");

        let (skipped, out) = streamed(&shelf, &[&segment]);
        assert_eq!(spans(&skipped), told, "sector {sector}");
        for chunk in 0..CHUNKS {
            let payload = &segment.payloads[chunk];
            let shown = out.windows(payload.len()).any(|window| window == payload);
            assert_eq!(shown, !lost.contains(&chunk), "sector {sector}");
        }
    }
}

#[test]
fn a_sector_that_is_known_to_be_bad_is_not_asked_for_again() {
    let mut shelf = Shelf::new(4);
    let mut segment = shelf.record();
    let place = segment.chunks[5].start;
    segment.make_bad(place..place + 1);
    exported(&shelf, &[&segment], &mut 0).unwrap();
    // The read that fails, and the sector alone, each time that the chunk is come upon; checked again in vain, it is known.
    let failures = segment.failures();
    assert_eq!(failures, 2 * 2, "of {} times opened", segment.opened());
}

#[test]
fn damage_at_both_ends_is_told_with_its_time() {
    let mut shelf = Shelf::new(5);
    let mut segment = shelf.record();
    // Footer, copy and tail with the last chunks; nothing says any more how many there were.
    segment.make_bad(segment.chunks[CHUNKS - 2].start..segment.bytes.len() as u64);
    let lost = (CHUNKS - 3..CHUNKS).collect();
    let (done, _) = exported(&shelf, &[&segment], &mut 0).unwrap();
    let told = spans(&done.skipped);
    assert_eq!(told.last().unwrap().end, segment.span().end, "{told:?}");
    assert_eq!(
        told,
        segment.spans_of(&lost),
        "the sector before the last two chunks ends the third last"
    );

    // All of it.
    segment.make_bad(0..segment.bytes.len() as u64);
    let error = exported(&shelf, &[&segment], &mut 0).unwrap_err();
    assert!(matches!(&error, Error::AllDamaged(_)), "{error}");
}

#[test]
fn a_segment_that_was_deleted_after_it_was_listed_is_told_and_passed_over() {
    let mut shelf = Shelf::new(6);
    let oldest = shelf.record();
    let others = [shelf.record(), shelf.record()];
    let all = [&oldest, &others[0], &others[1]];
    let rest: Vec<u8> = others
        .iter()
        .flat_map(|one| one.payloads.concat())
        .collect();
    let deleted = [Skipped {
        segment: oldest.id(),
        span: Some(oldest.span()),
        loss: Loss::Deleted,
    }];

    // Before it was read at all, and between the two passes over it.
    for (opens, times_begun) in [(0, 1), (1, 2)] {
        oldest.delete_after(opens);
        let mut begun = 0;
        let (done, file) = exported(&shelf, &all, &mut begun).unwrap();
        assert_eq!(
            (done.skipped.as_slice(), begun),
            (&deleted[..], times_begun)
        );
        assert_eq!(done.begins_us, others[0].span().start);
        assert!(file.ends_with(&rest) && !file.ends_with(&oldest.payloads.concat()));
    }
    oldest.delete_after(0);
    assert_eq!(streamed(&shelf, &all).0, deleted);

    // What cannot be begun again says so.
    oldest.delete_after(1);
    let segments = all.map(|one| one as &dyn Segment);
    let request = all_of(&shelf, &segments);
    let mut once = Some(Vec::new());
    let error = export(&request, &mut || Ok(once.take()), &mut |_, _| {}).unwrap_err();
    assert!(
        error.to_string().contains("was deleted meanwhile"),
        "{error}"
    );

    // Nothing is left: that is no damage.
    oldest.delete_after(0);
    let error = exported(&shelf, &[&oldest], &mut 0).unwrap_err();
    assert!(matches!(error, Error::Nothing), "{error}");
}

#[test]
fn a_disk_that_is_gone_ends_the_export() {
    let mut shelf = Shelf::new(7);
    let (first, second) = (shelf.record(), shelf.record());
    first.fail_with(rustix::io::Errno::NODEV.raw_os_error());
    let error = exported(&shelf, &[&first, &second], &mut 0).unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
}

#[test]
fn two_disks_that_count_alike_are_listed_in_the_order_of_time() {
    let home = Home::new(8);
    let mut stream = home.stream(1);
    for _ in 0..3 {
        stream.seal(4, 100).leave_whole(&home);
    }
    // The other disk, which was away: what was recorded without it begins to count again.
    let other = tempfile::tempdir().unwrap();
    stream.sequence = 1;
    let mut newest = Vec::new();
    for _ in 0..2 {
        let sealed = stream.seal(4, 100);
        let new = &sealed.new;
        let path = layout::segment_path(&new.stream, &new.epoch, &new.segment);
        let path = other.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, sealed.bytes()).unwrap();
        newest.push(sealed.new.segment);
    }
    let disk = |path: &Path| Arc::new(RealDisk::open(path).unwrap()) as Arc<dyn Disk>;
    for disks in [
        [home.disk.path(), other.path()],
        [other.path(), home.disk.path()],
    ] {
        let disks = disks.map(disk);
        let listing = browse::list(&disks, &home.store, &*home.keys(), Some(&stream.id)).unwrap();
        let rows = listing.segments.iter();
        let begins: Vec<_> = rows.map(|listed| listed.facts.start.wall_us).collect();
        let expected: Vec<_> = (0..5).map(|n| START_US + n * 2_000_000).collect();
        assert_eq!(begins, expected, "of generation {GENERATION}");
        let last = listing.segments[3..].iter();
        let ids: Vec<_> = last
            .map(|listed| listed.facts.header.segment_id())
            .collect();
        assert_eq!(ids, newest);
    }
}

#[test]
fn a_flipped_bit_in_a_header_does_not_hide_its_segment() {
    let home = Home::new(9);
    let sealed = home.stream(1).seal(4, 100);
    let path = home.path_of(&sealed.new);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let disks = [Arc::new(RealDisk::open(home.disk.path()).unwrap()) as Arc<dyn Disk>];
    for at in 0..256 {
        let mut bytes = sealed.bytes();
        bytes[at] ^= 0x10;
        std::fs::write(&path, bytes).unwrap();
        let listing = browse::list(&disks, &home.store, &*home.keys(), None).unwrap();
        assert!(
            listing.oddities.is_empty(),
            "byte {at}: {:?}",
            listing.oddities
        );
        let start = &listing.segments[0].facts.start;
        assert_eq!(*start, sealed.new.start, "byte {at}");
    }
}
