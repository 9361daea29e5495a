//! Segments that are whole, or were begun and dropped; what stands in them, and their limits.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Built, World, entry, footage, lost, start, wall_end};
use hearthkeep_format::segment::{
    SegmentOpener, SegmentWriter, State, locked, recover, scrub, walk,
};
use hearthkeep_format::{Error, Kind};

const FRAGMENTS: u32 = 4;

fn small() -> (World, Built) {
    let mut world = World::new(1);
    let built = world.build(FRAGMENTS, 100);
    (world, built)
}

#[test]
fn what_was_sealed_is_opened() {
    let (world, built) = small();
    let file = world.open(&built.bytes).unwrap();
    assert_eq!(lost(&footage(&file), &built), 0);
    assert_eq!(file.preamble().init, b"the init segment");
    assert_eq!(file.opener().start(), Ok(start()));
    assert_eq!(file.opener().head_len(), built.edges[1]);
    let footer = file.footer().unwrap();
    assert_eq!(footer.duration_us, 2_000_000);
    assert_eq!(footer.wall_end_us, wall_end(FRAGMENTS));
    assert_eq!(footer.sample_table, b"sample table");
    assert_eq!(file.check(Some(&world.m)).unwrap().to_string(), "whole");
    assert_eq!(file.check(None).unwrap().to_string(), "whole");

    let report = scrub(&built.bytes, &world.m).unwrap();
    assert!(report.is_whole());
    let end = report.end.unwrap();
    assert_eq!(
        (end.chunks, end.key_chunks, end.duration_us),
        (FRAGMENTS + 2, 2, 2_000_000)
    );
    assert_eq!(end.root, walk(&built.bytes, None).unwrap().root());
    assert_eq!(
        recover(&built.bytes, &world.m, &mut world.rng.clone()).unwrap(),
        None
    );
}

#[test]
fn a_member_of_the_generation_opens_it() {
    let (mut world, built) = small();
    let open = |head: &[u8], world: &World| SegmentOpener::open(head, &world.generation, &world.m);
    let opener = open(&built.bytes, &world).unwrap();
    let chunk = &built.bytes[built.edges[2]..built.edges[3]];
    let opened = opener.open_nth(2, chunk).unwrap();
    assert_eq!(
        (opened.k, opened.is_final, opened.entry),
        (2, false, Some(entry(1)))
    );
    assert_eq!(opened.body, built.bodies[1]);
    assert_eq!(
        opener.open_nth(3, chunk),
        Err(Error::Tampered {
            what: "order of chunks"
        })
    );
    let mut buffer = chunk.to_vec();
    let in_place = opener.open_chunk_in_place(&mut buffer).unwrap();
    assert_eq!(buffer[in_place.body], built.bodies[1]);

    world.generation = hearthkeep_format::Identity::generate(&mut world.rng);
    assert_eq!(
        open(&built.bytes, &world).unwrap_err(),
        Error::NoMatchingIdentity
    );
}

#[test]
fn what_the_locked_recorder_reads() {
    let (world, built) = small();
    let header = built.bytes.first_chunk().unwrap();
    assert_eq!(locked::open_start(header, &world.m), Ok(start()));
    let tail = built.bytes.last_chunk().unwrap();
    let places = locked::Tail::parse(tail).unwrap();
    assert_eq!(
        places.footer_offset as usize,
        built.edges[built.edges.len() - 2]
    );
    assert_eq!(places.copy_offset as usize, *built.edges.last().unwrap());
    assert_eq!(
        locked::open_end(header, tail, &world.m).unwrap().chunks,
        FRAGMENTS + 2
    );
    for i in 0..FRAGMENTS as usize {
        let chunk = built.bytes[built.edges[i + 1]..].first_chunk().unwrap();
        assert_eq!(
            locked::open_index(header, chunk, &world.m),
            Ok(entry(i as u32))
        );
        assert_eq!(
            locked::chunk_len(chunk),
            Ok(built.edges[i + 2] - built.edges[i + 1])
        );
    }
    let other = World::new(2).m;
    assert_eq!(
        locked::open_start(header, &other),
        Err(Error::Tampered {
            what: "start block"
        })
    );
    assert!(scrub(&built.bytes, &other).is_err());
}

#[test]
fn without_the_metadata_key_footage_opens_and_times_do_not() {
    let (world, built) = small();
    let opener = world.unlock_without_m(&built.bytes).unwrap();
    assert_eq!(
        opener.start(),
        Err(Error::MissingKey {
            what: "start block"
        })
    );
    let chunk = &built.bytes[built.edges[1]..built.edges[2]];
    assert_eq!(opener.open_chunk(chunk).unwrap().entry, None);
}

#[test]
fn a_span_begins_with_a_key_frame() {
    let (world, built) = small();
    let numbers = |bytes: &[u8], span| {
        let file = world.open(bytes).unwrap();
        file.range(span)
            .iter()
            .map(|place| place.k)
            .collect::<Vec<_>>()
    };
    let torn = &built.bytes[..built.edges[5]];
    for bytes in [built.bytes.as_slice(), torn] {
        assert_eq!(numbers(bytes, 0..u64::MAX), [1, 2, 3, 4]);
        assert_eq!(numbers(bytes, 700_000..900_000), [1, 2]);
        assert_eq!(numbers(bytes, 1_000_000..1_000_001), [3]);
        assert_eq!(numbers(bytes, 1_500_000..9_000_000), [3, 4]);
        assert_eq!(numbers(bytes, 0..0), [] as [u32; 0]);
    }
}

#[test]
fn limits_are_kept() {
    let mut world = World::new(4);
    let (mut writer, _) = world.begin();
    let mut rng = world.rng.clone();
    let headroom = SegmentWriter::HEADROOM;
    let mut seal = |writer: &mut SegmentWriter, buffer: &mut Vec<u8>, i| {
        writer.seal_in_place(buffer, entry(i), &mut rng)
    };
    let largest = 16 * 1024 * 1024 - 17;
    let mut buffer = vec![0; headroom + largest + 1];
    let limit = Err(Error::Limit {
        what: "chunk",
        limit: 16 * 1024 * 1024,
    });
    assert_eq!(seal(&mut writer, &mut buffer, 0), limit);
    assert_eq!(
        buffer,
        vec![0; headroom + largest + 1],
        "the buffer is untouched"
    );
    assert!(seal(&mut writer, &mut vec![0; headroom - 1], 0).is_err());
    let mut foreign = entry(0);
    foreign.chunk_type = hearthkeep_format::segment::ChunkType::Footer;
    let mut fresh = vec![0; headroom];
    assert!(
        writer
            .seal_in_place(&mut fresh, foreign, &mut world.rng)
            .is_err()
    );

    for i in 0..31 {
        buffer.clear();
        buffer.resize(headroom + largest, 1);
        assert_eq!(seal(&mut writer, &mut buffer, i), Ok(i + 1));
    }
    buffer.clear();
    buffer.resize(headroom + largest, 1);
    let limit = Err(Error::Limit {
        what: "segment",
        limit: 512 * 1024 * 1024,
    });
    assert_eq!(seal(&mut writer, &mut buffer, 31), limit);
    assert_eq!(writer.chunks(), 32);
    writer.finish(0, b"", &mut world.rng).unwrap();
}

#[test]
fn the_last_number_belongs_to_the_footer() {
    let mut world = World::new(5);
    let (mut writer, head) = world.begin();
    let mut bytes = head;
    for i in 0..19_998 {
        let mut buffer = vec![0; SegmentWriter::HEADROOM];
        writer
            .seal_in_place(&mut buffer, entry(i), &mut world.rng)
            .unwrap();
        bytes.extend_from_slice(&buffer);
    }
    let mut buffer = vec![0; SegmentWriter::HEADROOM];
    let limit = Err(Error::Limit {
        what: "number of chunks",
        limit: 20_000,
    });
    assert_eq!(
        writer.seal_in_place(&mut buffer, entry(0), &mut world.rng),
        limit
    );
    bytes.extend(writer.finish(0, b"", &mut world.rng).unwrap());
    let file = world.open(&bytes).unwrap();
    assert_eq!(file.places().len(), 19_998);
    assert!(file.check(Some(&world.m)).unwrap().is_whole());
}

#[test]
fn a_header_beyond_what_is_known_is_refused() {
    let (world, built) = small();
    let refused = |offset: usize, value: u8| {
        let mut head = built.bytes[..built.edges[1]].to_vec();
        head[offset] = value;
        world.unlock(&head).unwrap_err()
    };
    assert_eq!(
        refused(8, 2),
        Error::UnknownVersion {
            what: "segment",
            found: 2
        }
    );
    assert_eq!(
        refused(9, 2),
        Error::UnknownVersion {
            what: "suite",
            found: 2
        }
    );
    assert_eq!(
        refused(10, 4),
        Error::Malformed {
            what: "header",
            offset: 10
        }
    );
    assert_eq!(
        refused(11, 1),
        Error::Malformed {
            what: "header",
            offset: 11
        }
    );
    assert_eq!(
        refused(255, 1),
        Error::Malformed {
            what: "header",
            offset: 255
        }
    );
    assert!(matches!(
        refused(12, 1),
        Error::Limit {
            what: "envelope",
            ..
        }
    ));
    assert!(matches!(
        refused(64, 1),
        Error::Limit {
            what: "step of the chain",
            ..
        }
    ));
    assert_eq!(refused(16, 1), Error::Tampered { what: "commitment" });
    assert_eq!(
        refused(10, Kind::Events.as_u8()),
        Error::Tampered { what: "commitment" }
    );
    assert_eq!(
        refused(140, 1),
        Error::Tampered {
            what: "start block"
        }
    );
}

#[test]
fn nothing_of_a_dropped_writer_is_taken_for_whole() {
    let mut world = World::new(6);
    let (mut writer, mut bytes) = world.begin();
    let mut chunk = vec![0; SegmentWriter::HEADROOM + 10];
    writer
        .seal_in_place(&mut chunk, entry(0), &mut world.rng)
        .unwrap();
    bytes.extend_from_slice(&chunk);
    drop(writer);
    let report = world.open(&bytes).unwrap().check(Some(&world.m)).unwrap();
    assert_eq!((report.state, report.chunks), (State::Torn, 2));
}
