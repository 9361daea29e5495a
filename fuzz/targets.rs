//! What each fuzz target does with its bytes. `src/format/tests/corpora.rs` runs the same functions
//! over the corpora in every test run, without a fuzzer. What needs the recorder itself stands in `fuzz/house_targets.rs`.
//!
//! No input may panic, and what is accepted must hold: footage is what was sealed, and what is read
//! and written again stays the same.
#![allow(dead_code, reason = "each target uses one of them")]

use hearthkeep_format::epoch::EpochSecret;
use hearthkeep_format::fmp4::{
    FragmentView, MovieBuilder, SampleTable, SegmentPlace, TableLimits, Track, init_segment,
    parse_fragment, parse_init, shift_decode_times,
};
use hearthkeep_format::fragmenter::{Fragmenter, Limits, Sample, TrackClock};
use hearthkeep_format::generation::Statement;
use hearthkeep_format::log::{Checkpoint, Entry, LogKey, Stamped};
use hearthkeep_format::merkle::{verify_consistency, verify_inclusion};
use hearthkeep_format::segment::{
    self, ChunkPrefix, File, Footer, Header, Preamble, SegmentOpener, locked, recover, scrub,
};
use hearthkeep_format::{Identity, Keyring, LogId, MetadataKey, Recipient, SeededRandom, age, kit};

/// E and M of the segments in `tests/data/vectors`, from which the corpus is taken.
const E: [u8; 32] = [0xE0; 32];
const M: [u8; 32] = [0x30; 32];
/// The seed of the generation in the vectors.
const GENERATION: [u8; 32] = [0x60; 32];

pub fn header(data: &[u8]) {
    let m = MetadataKey::from_bytes(M);
    if let Ok(header) = Header::parse(data) {
        assert_eq!(header.as_bytes()[..], data[..256]);
        assert_eq!(header.segment_id().as_bytes()[..], header.salt[..16]);
        let _ = locked::open_start(header.as_bytes(), &m);
    }
    let _ = unlock(data, Some(&m));
}

pub fn walk(data: &[u8]) {
    let m = MetadataKey::from_bytes(M);
    let size = data.len() as u64;
    if let Ok(walk) = segment::walk(data, None) {
        assert!(walk.good_end <= size);
        assert!(
            walk.chunks
                .is_sorted_by(|a, b| { a.k < b.k && a.offset + u64::from(a.length) <= b.offset })
        );
    }
    let report = scrub(data, &m);
    if let Ok(Some(recovery)) = recover(data, &m, &mut SeededRandom::new(1)) {
        let mut closed = data[..recovery.keep as usize].to_vec();
        closed.extend_from_slice(&recovery.append);
        let report = scrub(&closed, &m).expect("its head was good enough to be recovered");
        assert_eq!(report.end, Some(recovery.end));
    }
    for m in [None, Some(&m)] {
        let Ok(file) = File::open(data, |head| unlock(head, m)) else {
            continue;
        };
        for place in file.places() {
            if let Ok(body) = file.read(place) {
                assert_eq!(
                    body,
                    format!("fragment {}.", place.k).repeat(4).into_bytes()
                );
            }
        }
        let said = file.check(m).expect("memory is always read");
        if said.is_whole() && m.is_some() {
            assert!(report.as_ref().expect("it opened").is_whole());
        }
    }
}

pub fn footer(data: &[u8]) {
    let _ = Preamble::decode(data);
    let _ = ChunkPrefix::parse(data);
    if let Ok(footer) = Footer::decode(data) {
        assert_eq!(
            data.len(),
            20 + 24 * footer.fragments.len() + footer.sample_table.len()
        );
    }
}

pub fn tail(data: &[u8]) {
    let m = MetadataKey::from_bytes(M);
    let (Some(tail), Some(header)) = (data.last_chunk(), data.first_chunk()) else {
        return;
    };
    let _ = locked::Tail::parse(tail);
    let _ = locked::open_end(header, tail, &m);
    let chunk = data.first_chunk().expect("256 bytes are there");
    let _ = locked::chunk_len(chunk);
    let _ = locked::open_index(header, chunk, &m);
}

pub fn stanza(data: &[u8]) {
    let stanzas = age::stanza_count(data);
    if age::open(&[&Identity::from_seed(GENERATION)], data).is_ok() {
        assert!(stanzas.is_ok_and(|count| count > 0));
    }
}

pub fn keyring(data: &[u8]) {
    if let Ok(keyring) = Keyring::decode(data) {
        assert_eq!(Keyring::decode(&keyring.encode()).as_ref(), Ok(&keyring));
        let _ = keyring.verify();
    }
}

pub fn statement(data: &[u8]) {
    if let Ok(statement) = Statement::parse(data) {
        assert!(!statement.members.is_empty() && statement.members.len() <= 64);
    }
}

pub fn table(data: &[u8]) {
    let limits = TableLimits {
        chunks_max: 1_000,
        samples_max: 10_000,
    };
    let Ok(table) = SampleTable::decode(data, limits) else {
        return;
    };
    let mut again = Vec::new();
    table.encode(&mut again);
    assert_eq!(again, data, "each table has exactly one encoding");
    assert!(table.chunks() <= limits.chunks_max && table.samples() <= 10_000);
    let tracks: Vec<_> = table.track_ids().filter_map(audio_track).collect();
    let mut movie = MovieBuilder::new();
    let place = SegmentPlace::NewRun { origin_us: 0 };
    if movie
        .add_segment(&tracks, &table, 0..table.chunks(), place)
        .is_ok()
        && let Ok(movie) = movie.finish()
    {
        let payloads: u64 = movie
            .payloads()
            .iter()
            .map(|one| u64::from(one.bytes))
            .sum();
        assert_eq!(movie.file_bytes(), movie.head().len() as u64 + payloads);
    }
}

/// A track that any table may speak of.
fn audio_track(id: u32) -> Option<Track> {
    let mut entry = vec![0; 36];
    entry[3] = 36;
    entry[4..8].copy_from_slice(b"mp4a");
    Track::audio(id, 48_000, entry).ok()
}

pub fn init(data: &[u8]) {
    if let Ok(tracks) = parse_init(data) {
        assert!(!tracks.is_empty());
        tracks.iter().for_each(|track| _ = track.codec_string());
        assert_eq!(parse_init(&init_segment(&tracks)), Ok(tracks));
    }
}

pub fn fragment(data: &[u8]) {
    let Ok(view) = parse_fragment(data) else {
        return;
    };
    assert!(view.payload.end <= data.len());
    let mut at = view.payload.start;
    for run in &view.runs {
        let bytes: u64 = run.samples.iter().map(|one| u64::from(one.size)).sum();
        assert_eq!((run.data.start, run.data.len() as u64), (at, bytes));
        at = run.data.end;
    }
    assert_eq!(at, view.payload.end);
    let _ = SampleTable::from_views([&view]);
    let mut moved = data.to_vec();
    if shift_decode_times(&mut moved, 7, |_| 1_000).is_ok() {
        let mut expected = view.clone();
        expected.sequence = 7;
        expected
            .runs
            .iter_mut()
            .for_each(|run| run.decode_time += 1_000);
        assert_eq!(parse_fragment(&moved), Ok(expected));
    }
}

/// Each four bytes are a step: track, key frame and whether to cut or pull; time since the last step; size.
pub fn fragmenter(data: &[u8]) {
    let clock = |timescale, is_video| TrackClock {
        timescale,
        is_video,
    };
    let tracks = vec![clock(90_000, true), clock(48_000, false)];
    let mut fragmenter = Fragmenter::new(tracks, Limits::default()).expect("two good tracks");
    let (mut time, mut fragments) = (0_u64, Vec::new());
    let mut taken = [Vec::new(), Vec::new()];
    for step in data.chunks_exact(4) {
        let track = usize::from(step[0] & 1);
        time += u64::from(step[1]) << (step[2] & 31);
        let sample = Sample {
            track,
            decode_time: time,
            composition_offset: i32::from(step[2]),
            key: step[0] & 2 != 0,
            data: vec![step[2]; usize::from(step[3])],
        };
        let bytes = sample.data.clone();
        if fragmenter.push(sample).is_ok() {
            taken[track].extend(bytes);
        }
        fragmenter.check_invariants();
        if step[0] & 4 != 0 {
            fragmenter.flush();
            fragmenter.check_invariants();
        }
        if step[0] & 8 == 0 {
            fragments.extend(std::iter::from_fn(|| fragmenter.pull()));
        }
    }
    fragments.extend(fragmenter.finish());
    let mut given = [Vec::new(), Vec::new()];
    let mut ends = [0; 2];
    for (sequence, fragment) in (1..).zip(fragments) {
        let mut bytes = Vec::new();
        fragment.write_to(sequence, &mut bytes);
        let FragmentView { runs, .. } = parse_fragment(&bytes).expect("our own is right");
        for run in runs {
            let track = run.track_id as usize - 1;
            assert!(run.decode_time >= ends[track], "a track goes back");
            let length = run.samples.iter().map(|one| u64::from(one.duration));
            ends[track] = run.decode_time + length.sum::<u64>();
            given[track].extend_from_slice(&bytes[run.data]);
        }
    }
    assert_eq!(given, taken, "every sample comes out once, in its order");
}

pub fn texts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(identity) = kit::parse(text) {
        let groups = kit::groups(&identity);
        let groups: Vec<_> = groups.iter().map(|group| group.as_str()).collect();
        let again = kit::parse(&groups.join(" ")).expect("its own groups are a kit");
        assert_eq!(again.seed(), identity.seed());
    }
    if let Ok(identity) = Identity::from_text(text) {
        assert!(identity.to_text().eq_ignore_ascii_case(text));
    }
    if let Ok(recipient) = Recipient::from_text(text) {
        assert!(recipient.to_text().eq_ignore_ascii_case(text));
    }
}

fn unlock(head: &[u8], m: Option<&MetadataKey>) -> hearthkeep_format::Result<SegmentOpener> {
    let header = Header::parse(head)?;
    let secret = EpochSecret::from_bytes(E, &header.stream, header.kind);
    SegmentOpener::open_with_epoch(head, &secret, m)
}

pub fn log_record(data: &[u8]) {
    let Ok(stamped) = Stamped::decode(data) else {
        return;
    };
    let mut again = Vec::new();
    stamped.encode(&mut again).expect("it was read");
    // Of a record of an unknown type, only the head is kept.
    assert!(data.starts_with(&again));
}

pub fn log_entry(data: &[u8]) {
    let (m, log) = (MetadataKey::from_bytes(M), LogId::from_bytes([0x10; 16]));
    let mut rest = data;
    for index in 0.. {
        let Ok(entry) = Entry::parse(rest) else {
            return;
        };
        rest = &rest[entry.bytes().len()..];
        if let Ok(stamped) = entry.open(&log, index, &m) {
            stamped.encode(&mut Vec::new()).expect("it was sealed once");
        }
    }
}

pub fn log_checkpoint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (first, note) = text.split_once('\n').unwrap_or((text, text));
    let _ = Checkpoint::read_unverified(note);
    if let Ok(key) = LogKey::from_text(first) {
        assert_eq!(key.to_text(), first);
        if let Ok(checkpoint) = Checkpoint::verify(note, &key) {
            assert_eq!((checkpoint.store, checkpoint.log), (key.store, key.log()));
        }
    }
}

pub fn log_proof(data: &[u8]) {
    let (hashes, rest) = data.as_chunks::<32>();
    let [root, leaf, proof @ ..] = hashes else {
        return;
    };
    let number = |at: usize| {
        let bytes = rest.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_be_bytes(bytes.unwrap_or_default())
    };
    for (small, large) in [(number(0), number(8)), (number(0) % 300, number(8) % 300)] {
        let included = verify_inclusion(leaf, small, large, proof, root).is_ok();
        assert!(!included || small < large);
        let consistent = verify_consistency(small, large, proof, leaf, root).is_ok();
        assert!(!consistent || small <= large);
    }
}
