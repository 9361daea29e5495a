//! What each fuzz target does with its bytes. `src/format/tests/corpora.rs` runs the same functions
//! over the corpora in every test run, without a fuzzer.
//!
//! No input may panic, and what is accepted must hold: footage is what was sealed, and what is read
//! and written again stays the same.
#![allow(dead_code, reason = "each target uses one of them")]

use hearthkeep_format::epoch::EpochSecret;
use hearthkeep_format::generation::Statement;
use hearthkeep_format::segment::{
    self, ChunkPrefix, File, Footer, Header, Preamble, SegmentOpener, locked, recover, scrub,
};
use hearthkeep_format::{Identity, Keyring, MetadataKey, SeededRandom, age};

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

fn unlock(head: &[u8], m: Option<&MetadataKey>) -> hearthkeep_format::Result<SegmentOpener> {
    let header = Header::parse(head)?;
    let secret = EpochSecret::from_bytes(E, &header.stream, header.kind);
    SegmentOpener::open_with_epoch(head, &secret, m)
}
