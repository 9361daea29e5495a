//! The vectors of `tests/data/log`: logs with one fault each, with what a reader must say, and what a viewer that has seen them
//! before must.
//!
//! `REGENERATE=1 cargo test -p hearthkeep-format --test log_vectors` writes them anew; they are the same each time. They are
//! run by this test, by `tests/interop/log.mjs` and by `tests/interop/log.py`.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "vectors/forge.rs"]
#[allow(dead_code, reason = "only keys and hashes are needed here")]
mod forge;

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use hearthkeep_format::log::{Checkpoint, Entry, LogKey, Record, Verdict, judge};
use hearthkeep_format::{Identity, MetadataKey, SigningKey, merkle};
use sha2::{Digest, Sha256};

const STORE: [u8; 16] = [0x50; 16];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/log")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A log, written from `docs/format.md` and not with the crate's writer.
#[derive(Clone)]
struct Forged {
    seed: u8,
    entries: Vec<Vec<u8>>,
}

impl Forged {
    fn new(seed: u8) -> Self {
        let entries = Vec::new();
        let mut forged = Self { seed, entries };
        let body = [&STORE[..], &forged.public(), &[1, 0, 0, 0]].concat();
        forged.push(1, &body);
        forged
    }

    fn key(&self) -> SigningKey {
        Identity::from_seed([self.seed; 32]).signing_key()
    }

    fn public(&self) -> [u8; 32] {
        *self.key().verifying_key().as_bytes()
    }

    fn log(&self) -> [u8; 16] {
        let hash = Sha256::new_with_prefix(b"hearthkeep/v1/log-id")
            .chain_update(STORE)
            .chain_update(self.public())
            .finalize();
        hash[..16].try_into().unwrap()
    }

    fn name(&self) -> String {
        format!("hearthkeep/v1/{}/{}", hex(&STORE), hex(&self.log()))
    }

    fn key_id(&self) -> Vec<u8> {
        let text = [self.name().as_bytes(), b"\n\x01", &self.public()].concat();
        Sha256::digest(text)[..4].to_vec()
    }

    fn key_text(&self) -> String {
        let typed = [&[1][..], &self.public()].concat();
        format!(
            "{}+{}+{}",
            self.name(),
            hex(&self.key_id()),
            BASE64.encode(typed)
        )
    }

    fn push(&mut self, kind: u8, body: &[u8]) {
        let index = self.entries.len() as u64;
        let record = [&[kind, 1, 0, 0, 0, 0, 0, 0][..], &index.to_be_bytes(), body].concat();
        self.entries.push(self.seal(index, &record));
    }

    fn seal(&self, index: u64, record: &[u8]) -> Vec<u8> {
        let mut head = (record.len() as u32 + 16).to_be_bytes().to_vec();
        head.extend_from_slice(&1u32.to_be_bytes());
        head.extend_from_slice(&[0xA0 + index as u8; 16]);
        let info = [
            b"hearthkeep/v1/log",
            &self.log()[..],
            &head[8..],
            &index.to_be_bytes(),
        ];
        let key: [u8; 32] = forge::expand(&forge::M, &info);
        let cipher = chacha20poly1305::ChaCha20Poly1305::new((&key).into());
        let payload = Payload {
            msg: record,
            aad: &head,
        };
        let sealed = cipher.encrypt(&[0; 12].into(), payload).unwrap();
        [head, sealed].concat()
    }

    fn leaves(&self) -> Vec<merkle::Hash> {
        self.entries
            .iter()
            .map(|entry| forge::leaf(entry))
            .collect()
    }

    fn note(&self) -> String {
        let root = merkle::root(&self.leaves());
        let name = self.name();
        let body = format!("{name}\n{}\n{}\n", self.entries.len(), BASE64.encode(root));
        let signature = [self.key_id(), self.key().sign(body.as_bytes()).to_vec()].concat();
        format!("{body}\n\u{2014} {name} {}\n", BASE64.encode(signature))
    }

    fn proof(&self, old: u64) -> Vec<merkle::Hash> {
        let leaves = self.leaves();
        let node = |level: u32, index: u64| {
            let from = (index << level) as usize;
            hearthkeep_format::Result::<_>::Ok(merkle::root(&leaves[from..from + (1 << level)]))
        };
        merkle::consistency(old, leaves.len() as u64, node).unwrap()
    }
}

struct Case {
    name: &'static str,
    comment: &'static str,
    key: String,
    note: String,
    entries: Vec<u8>,
    expect: &'static str,
    seen: Option<(String, Vec<merkle::Hash>, &'static str)>,
}

/// A log with one entry of each of these types.
fn forged() -> Forged {
    let mut forged = Forged::new(3);
    let boot = [7; 16];
    forged.push(
        2,
        &[&boot[..], &9u64.to_be_bytes(), &[0, 0, 0, 5], b"0.1.0"].concat(),
    );
    let span = [1i64.to_be_bytes(), i64::MAX.to_be_bytes()].concat();
    forged.push(6, &[&[1; 16][..], &span, &[4]].concat());
    forged.push(
        9,
        &[&boot[..], &9u64.to_be_bytes(), &5i64.to_be_bytes(), &[1]].concat(),
    );
    forged.push(200, b"of another time");
    forged
}

const WHOLE: &str = "whole records 1 2 6 9 200";

fn cases() -> Vec<Case> {
    let whole = forged();
    let case = |name, comment, expect| Case {
        name,
        comment,
        key: whole.key_text(),
        note: whole.note(),
        entries: whole.entries.concat(),
        expect,
        seen: None,
    };
    let (mut flipped, mut swapped, mut elsewhere) = (whole.clone(), whole.clone(), whole.clone());
    flipped.entries[2][30] ^= 1;
    swapped.entries.swap(1, 2);
    elsewhere.entries[0] = {
        let body = [&STORE[..], &[9; 32], &[1, 0, 0, 0]].concat();
        let record = [&[1, 1, 0, 0, 0, 0, 0, 0][..], &[0; 8], &body].concat();
        whole.seal(0, &record)
    };
    let mut witnessed = whole.note();
    witnessed += "\u{2014} witness.example/w AAAAAAAA\n";
    let stranger = Forged::new(4);
    let mut cases = vec![
        case("whole", "nothing", WHOLE),
        Case {
            note: witnessed,
            ..case("witnessed", "somebody else has signed it as well", WHOLE)
        },
        Case {
            entries: [whole.entries.concat(), vec![1; 40]].concat(),
            ..case("torn", "bytes after what was signed", WHOLE)
        },
        Case {
            key: whole.key_text().replace(&hex(&STORE), &hex(&[0x51; 16])),
            ..case(
                "key-of-another-store",
                "the log id does not follow from store and key",
                "key",
            )
        },
        Case {
            note: whole.note().replace("\n5\n", "\n4\n"),
            ..case(
                "changed-size",
                "the number of entries is not the one that was signed",
                "checkpoint",
            )
        },
        Case {
            note: stranger.note(),
            ..case(
                "checkpoint-of-another-log",
                "the checkpoint is another log's",
                "checkpoint",
            )
        },
        Case {
            note: whole.note().replace("\n5\n", "\n05\n"),
            ..case(
                "leading-zero",
                "a number is written in another way",
                "checkpoint",
            )
        },
        Case {
            entries: flipped.entries.concat(),
            ..case("flipped", "a bit of an entry", "entry 2")
        },
        Case {
            entries: swapped.entries.concat(),
            ..case("swapped", "two entries", "entry 1")
        },
        Case {
            entries: whole.entries[..4].concat(),
            ..case("cut", "the last entry is gone", "root")
        },
        Case {
            note: elsewhere.note(),
            entries: elsewhere.entries.concat(),
            ..case(
                "begun-elsewhere",
                "the first entry names another key",
                "first",
            )
        },
    ];
    let seen = |name, comment, note: String, proof: Vec<merkle::Hash>, verdict| Case {
        seen: Some((note, proof, verdict)),
        ..case(name, comment, WHOLE)
    };
    let mut early = whole.clone();
    early.entries.truncate(3);
    let mut later = whole.clone();
    later.push(200, b"more");
    let mut other = early.clone();
    other.entries[2] = later.entries[4].clone();
    cases.extend([
        seen(
            "seen-same",
            "it was seen as it is",
            whole.note(),
            vec![],
            "same",
        ),
        seen(
            "seen-grown",
            "it was shorter",
            early.note(),
            whole.proof(3),
            "grown",
        ),
        seen(
            "seen-later",
            "it was longer",
            later.note(),
            vec![],
            "rolled-back",
        ),
        seen(
            "seen-other",
            "another history was seen",
            other.note(),
            whole.proof(3),
            "forked",
        ),
        seen(
            "seen-wrong-proof",
            "the proof is for another size",
            early.note(),
            whole.proof(2),
            "forked",
        ),
        seen(
            "seen-stranger",
            "another log was seen",
            stranger.note(),
            vec![],
            "other-log",
        ),
    ]);
    cases
}

fn encode(case: &Case) -> String {
    let one_line = |note: &str| note.replace('\n', "\\n");
    let mut text = format!("comment: {}\nexpect: {}\n", case.comment, case.expect);
    text += &format!("key: {}\ncheckpoint: {}\n", case.key, one_line(&case.note));
    text += &format!("m: {}\n", hex(&forge::M));
    if let Some((note, proof, verdict)) = &case.seen {
        let proof: Vec<_> = proof.iter().map(|hash| BASE64.encode(hash)).collect();
        text += &format!("seen: {}\n", one_line(note));
        text += format!("proof: {}", proof.join(" ")).trim_end();
        text += &format!("\nverdict: {verdict}\n");
    }
    text += "\n";
    for line in BASE64.encode(&case.entries).as_bytes().chunks(100) {
        text += std::str::from_utf8(line).unwrap();
        text += "\n";
    }
    text
}

#[test]
fn vectors_are_as_they_were_generated() {
    let cases = cases();
    let path = |case: &Case| folder().join(format!("{}.log", case.name));
    if std::env::var_os("REGENERATE").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        for case in &cases {
            std::fs::write(path(case), encode(case)).unwrap();
        }
    }
    assert_eq!(std::fs::read_dir(folder()).unwrap().count(), cases.len());
    for case in &cases {
        assert_eq!(
            std::fs::read_to_string(path(case)).unwrap(),
            encode(case),
            "{}",
            case.name
        );
    }
}

/// What the crate says of a log.
fn say(case: &Case) -> String {
    let Ok(key) = LogKey::from_text(&case.key) else {
        return "key".to_owned();
    };
    let Ok(checkpoint) = Checkpoint::verify(&case.note, &key) else {
        return "checkpoint".to_owned();
    };
    let m = MetadataKey::from_bytes(forge::M);
    let (mut tree, mut rest, mut said) =
        (merkle::Tree::default(), &case.entries[..], String::new());
    while tree.count() < checkpoint.size {
        let Ok(entry) = Entry::parse(rest) else {
            return "root".to_owned();
        };
        let Ok(stamped) = entry.open(&checkpoint.log, tree.count(), &m) else {
            return format!("entry {}", tree.count());
        };
        let kind = match stamped.record {
            Record::Begun {
                store, key: named, ..
            } if store == key.store && named == key.key => 1,
            _ if tree.count() == 0 => return "first".to_owned(),
            Record::Started { .. } => 2,
            Record::Gap { .. } => 6,
            Record::ClockAnchor { .. } => 9,
            Record::Unknown { kind } => kind,
            other => panic!("{other:?}"),
        };
        said += &format!(" {kind}");
        tree.push(entry.leaf());
        rest = &rest[entry.bytes().len()..];
    }
    match tree.root() == checkpoint.root {
        true => format!("whole records{said}"),
        false => "root".to_owned(),
    }
}

#[test]
fn every_vector_reads_as_it_must() {
    for case in cases() {
        assert_eq!(say(&case), case.expect, "{}", case.name);
        let Some((note, proof, expected)) = &case.seen else {
            continue;
        };
        let read = |note: &str| Checkpoint::read_unverified(note).unwrap();
        let verdict = match judge(&read(note), &read(&case.note), proof) {
            Verdict::Same => "same",
            Verdict::Grown => "grown",
            Verdict::RolledBack => "rolled-back",
            Verdict::Forked => "forked",
            Verdict::OtherLog => "other-log",
        };
        assert_eq!(verdict, *expected, "{}", case.name);
    }
}
