//! The age vectors of C2SP CCTV, `tests/data/cctv-age/`.
//!
//! This crate knows binary files and the identity type `AGE-SECRET-KEY-PQ-`. So, by what a vector
//! itself says:
//!
//! - `armored: yes` is passed over;
//! - with an identity of ours, the vector is run as it stands, with those identities;
//! - with X25519 identities or a passphrase only, the recipient cannot be tried, but the vector
//!   names its file key: what `success`, `HMAC failure` and `payload failure` expect is run with
//!   that; `header failure` is run where the framing is at fault, and passed over where the fault
//!   is in a stanza type that we leave alone; `no match` is about such stanzas and passed over.
//!
//! The numbers are asserted, so a parser that became lenient would be noticed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;

use hearthkeep_format::{Error, Identity, age};
use sha2::{Digest, Sha256};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Run {
    WithIdentity,
    WithFileKey,
    HeaderOnly,
    PassedOverArmored,
    PassedOverOtherStanza,
}

struct Vector {
    fields: Vec<(String, String)>,
    file: Vec<u8>,
}

impl Vector {
    fn parse(bytes: &[u8]) -> Self {
        let split = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let fields: Vec<(String, String)> = std::str::from_utf8(&bytes[..split])
            .unwrap()
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let known = [
            "expect",
            "payload",
            "identity",
            "passphrase",
            "armored",
            "file key",
        ];
        let known = known.iter().chain(&["comment", "compressed"]);
        assert!(
            fields
                .iter()
                .all(|(key, _)| known.clone().any(|k| k == key)),
            "{fields:?}"
        );
        let mut vector = Self {
            fields,
            file: bytes[split + 2..].to_vec(),
        };
        if let Some(compressed) = vector.field("compressed") {
            assert_eq!(compressed, "zlib");
            vector.file = miniz_oxide::inflate::decompress_to_vec_zlib(&vector.file).unwrap();
        }
        vector
    }

    fn field(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(k, _)| k == key)
            .map(|(_, value)| value.as_str())
    }

    fn file_key(&self) -> [u8; 16] {
        unhex(self.field("file key").unwrap()).try_into().unwrap()
    }

    fn run(&self) -> Run {
        let expect = self.field("expect").unwrap();
        if self.field("armored") == Some("yes") {
            return Run::PassedOverArmored;
        }
        let identities: Vec<Identity> = self
            .all("identity")
            .filter_map(|text| Identity::from_text(text).ok())
            .collect();
        let identities: Vec<&Identity> = identities.iter().collect();
        // A hybrid identity beside an X25519 one: the fault may be in the stanza for the other.
        let others = self.all("identity").count() - identities.len();
        let undecided = others > 0 && expect == "header failure";
        if !identities.is_empty() && !undecided {
            self.check(expect, age::open(&identities, &self.file));
            return Run::WithIdentity;
        }
        match expect {
            "success" | "HMAC failure" | "payload failure" => {
                self.check(expect, age::open_with_file_key(self.file_key(), &self.file));
                Run::WithFileKey
            }
            "header failure" => match age::stanza_count(&self.file) {
                Err(error) => {
                    assert!(is_header_failure(&error), "{error:?}");
                    Run::HeaderOnly
                }
                Ok(_) => Run::PassedOverOtherStanza,
            },
            "no match" => {
                age::stanza_count(&self.file).unwrap();
                Run::PassedOverOtherStanza
            }
            other => panic!("{other}"),
        }
    }

    /// Nothing is released of a payload that fails, so the hash of what other APIs release first is
    /// not compared.
    fn check(&self, expect: &str, result: Result<impl AsRef<[u8]>, Error>) {
        match (expect, result) {
            ("success", Ok(payload)) => {
                let hash = Sha256::digest(payload.as_ref());
                assert_eq!(hash.as_slice(), unhex(self.field("payload").unwrap()));
            }
            ("no match", Err(Error::NoMatchingIdentity))
            | ("HMAC failure", Err(Error::Tampered { what: "age header" })) => {}
            ("header failure", Err(error)) if is_header_failure(&error) => {}
            ("payload failure", Err(error)) if is_payload_failure(&error) => {}
            (_, Ok(_)) => panic!("expected {expect}, but it opened"),
            (_, Err(error)) => panic!("expected {expect}, found {error:?}"),
        }
    }
}

fn is_header_failure(error: &Error) -> bool {
    let what = match error {
        Error::Malformed { what, .. } | Error::Truncated { what } => *what,
        _ => return false,
    };
    ["age header", "age stanza", "age nonce"].contains(&what)
}

fn is_payload_failure(error: &Error) -> bool {
    matches!(
        error,
        Error::Tampered {
            what: "age payload"
        } | Error::Truncated {
            what: "age payload"
        } | Error::Malformed {
            what: "age payload",
            ..
        }
    )
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn every_vector_does_as_it_expects() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/cctv-age");
    let mut runs: BTreeMap<Run, Vec<String>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // Vectors are named in lower case without an extension; beside them stand README.md and the
        // like.
        if !name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            continue;
        }
        println!("{name}");
        let vector = Vector::parse(&std::fs::read(&path).unwrap());
        runs.entry(vector.run()).or_default().push(name);
    }
    for (run, names) in &runs {
        println!("{run:?}: {} ({})", names.len(), names.join(", "));
    }
    let counts: Vec<(Run, usize)> = runs
        .iter()
        .map(|(run, names)| (*run, names.len()))
        .collect();
    let expected = [
        (Run::WithIdentity, 17),
        (Run::WithFileKey, 34),
        (Run::HeaderOnly, 25),
        (Run::PassedOverArmored, 33),
        (Run::PassedOverOtherStanza, 34),
    ];
    assert_eq!(counts, expected);
}
