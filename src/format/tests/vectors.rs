//! The vectors of `tests/data/vectors`: one fault each, with what a reader must say.
//!
//! `REGENERATE=1 cargo test -p hearthkeep-format --test vectors` writes them anew; they are the
//! same each time. They are run by this test, by `tests/interop/vectors.mjs` and by
//! `tests/interop/vectors.py`.
#![allow(clippy::unwrap_used)]

#[path = "vectors/cases.rs"]
mod cases;
#[path = "vectors/forge.rs"]
mod forge;

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cases::Case;
use hearthkeep_format::epoch::EpochSecret;
use hearthkeep_format::segment::{File, Header, ReadError, SegmentOpener, scrub};
use hearthkeep_format::{Error, Identity, MetadataKey, Result, age};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/vectors")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> [u8; 32] {
    assert_eq!(text.len(), 64);
    std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..][..2], 16).unwrap())
}

fn encode(case: &Case) -> String {
    let mut text = format!("comment: {}\nexpect: {}\n", case.comment, case.expect);
    if let Some(expect) = case.expect_with_e {
        text += &format!("expect-with-e: {expect}\n");
    }
    let footage: Vec<_> = case.footage.iter().map(u32::to_string).collect();
    text += format!("footage: {}", footage.join(" ")).trim_end();
    if case.footer_misleads {
        text += "\nfootage-by-footer:";
    }
    text += &format!("\ne: {}\nm: {}\n", hex(&forge::E), hex(&forge::M));
    let generation = Identity::from_seed(forge::GENERATION);
    text += &format!("generation: {}\n\n", generation.to_text().as_str());
    for line in BASE64_STANDARD.encode(&case.bytes).as_bytes().chunks(100) {
        text += std::str::from_utf8(line).unwrap();
        text += "\n";
    }
    text
}

#[test]
fn vectors_are_as_they_were_generated() {
    let cases = cases::all();
    if std::env::var_os("REGENERATE").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        for case in &cases {
            std::fs::write(folder().join(format!("{}.vec", case.name)), encode(case)).unwrap();
        }
    }
    let count = std::fs::read_dir(folder()).unwrap().count();
    assert_eq!(
        count,
        cases.len(),
        "a file that is no case, or a case without a file"
    );
    for case in &cases {
        let found = std::fs::read_to_string(folder().join(format!("{}.vec", case.name))).unwrap();
        assert_eq!(found, encode(case), "{}", case.name);
        assert!(found.len() < 16 * 1024, "{} is too large", case.name);
    }
}

struct Vector {
    expect: String,
    expect_with_e: String,
    footage: Vec<u32>,
    e: [u8; 32],
    m: MetadataKey,
    generation: Identity,
    bytes: Vec<u8>,
}

fn parse(text: &str) -> Vector {
    let (head, body) = text.split_once("\n\n").unwrap();
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim().to_owned())
    };
    let expect = field("expect").unwrap();
    let footage = field("footage-by-footer").or(field("footage")).unwrap();
    Vector {
        expect_with_e: field("expect-with-e").unwrap_or(expect.clone()),
        expect,
        footage: footage
            .split_whitespace()
            .map(|k| k.parse().unwrap())
            .collect(),
        e: from_hex(&field("e").unwrap()),
        m: MetadataKey::from_bytes(from_hex(&field("m").unwrap())),
        generation: Identity::from_text(&field("generation").unwrap()).unwrap(),
        bytes: BASE64_STANDARD.decode(body.replace('\n', "")).unwrap(),
    }
}

/// What a reader says of a file, and the fragments it gets out.
fn read(
    bytes: &[u8],
    m: Option<&MetadataKey>,
    unlock: impl FnMut(&[u8]) -> Result<SegmentOpener>,
) -> (String, Vec<u32>) {
    let file = match File::open(bytes, unlock) {
        Ok(file) => file,
        Err(ReadError::Format(_)) => return ("refused".to_owned(), Vec::new()),
        Err(ReadError::Io(error)) => panic!("{error}"),
    };
    assert_eq!(file.preamble().init, b"init.");
    let mut footage = Vec::new();
    for place in file.places() {
        if let Ok(body) = file.read(place) {
            assert_eq!(body, format!("fragment {}.", place.k).repeat(4).as_bytes());
            footage.push(place.k);
        }
    }
    (file.check(m).unwrap().to_string(), footage)
}

#[test]
fn every_vector_reads_as_it_must() {
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let vector = parse(&std::fs::read_to_string(path).unwrap());
        let m = &vector.m;
        let with_identity = read(&vector.bytes, Some(m), |head| {
            SegmentOpener::open(head, &vector.generation, m)
        });
        if with_identity != (vector.expect.clone(), vector.footage.clone()) {
            wrong.push(format!("{name}: {with_identity:?}"));
        }
        let with_e = read(&vector.bytes, None, |head| {
            // Whoever opened the envelope himself has seen how many stanzas it has.
            let header = Header::parse(head)?;
            let envelope = &head[256..header.first_chunk_offset as usize];
            if age::stanza_count(envelope) == Ok(2) {
                return Err(Error::Foreign { what: "envelope" });
            }
            let secret = EpochSecret::from_bytes(vector.e, &header.stream, header.kind);
            SegmentOpener::open_with_epoch(head, &secret, None)
        });
        let differs = vector.expect != vector.expect_with_e;
        if with_e.0 != vector.expect_with_e || !differs && with_e.1 != vector.footage {
            wrong.push(format!("{name} with E: {with_e:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The locked recorder takes nothing for whole that somebody without a key has changed.
#[test]
fn the_locked_recorder_finds_what_needs_no_key() {
    /// Sealed wrongly by somebody who knows E, which the recorder cannot see.
    const NEED_E: [&str; 5] = [
        "commitment-wrong",
        "two-stanzas",
        "wrong-store",
        "fragment-of-no-type",
        "fragment-is-preamble",
    ];
    for case in cases::all() {
        let m = MetadataKey::from_bytes(forge::M);
        if let Ok(report) = scrub(&case.bytes, &m) {
            let may_pass = case.expect == "whole" || NEED_E.contains(&case.name);
            assert!(!report.is_whole() || may_pass, "{}: {report}", case.name);
        }
    }
}
