//! The fuzzers' seed corpora, run through the functions that the fuzzers call.
//!
//! `REGENERATE=1 cargo test -p hearthkeep-format --test corpora` writes the seeds anew.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "vectors/forge.rs"]
#[allow(dead_code, reason = "only good segments are needed here")]
mod forge;
#[path = "../../../fuzz/targets.rs"]
mod targets;

use std::path::{Path, PathBuf};

use forge::Forge;
use hearthkeep_format::{Identity, Keyring, SeededRandom, StoreId, generation};

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 7] = [
    ("header", targets::header),
    ("walk", targets::walk),
    ("footer", targets::footer),
    ("tail", targets::tail),
    ("stanza", targets::stanza),
    ("keyring", targets::keyring),
    ("statement", targets::statement),
];

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target)
}

/// Seeds that reach far into each parser.
fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    // An envelope that is none: whoever has E does not look into it, and the files stay small.
    let mut forge = Forge::new(7, b"no envelope".to_vec(), |_| {});
    let chunks = [
        forge.chunk(&Forge::fragment(1)),
        forge.chunk(&Forge::fragment(2)),
    ];
    let plan = forge.footer(&chunks);
    let footer = forge.chunk(&plan);
    let whole = forge.file(&[&chunks[..], &[footer]].concat(), false);
    let recovered = forge.file(&chunks, true);
    let end = whole[whole.len() - 128..].to_vec();

    let mut rng = SeededRandom::new(5);
    let store = StoreId::random(&mut rng);
    let (owner, kit) = (Identity::generate(&mut rng), Identity::generate(&mut rng));
    let created = generation::create_first(&store, &owner, &kit, &mut rng);
    let mut keyring = Keyring::new(store);
    keyring.add_generation(&created);
    keyring.seal_streams(&created.metadata_key, 1, "[]", &mut rng);
    vec![
        ("header", "head", forge.head()),
        ("walk", "torn", whole[..forge.head().len() + 200].to_vec()),
        ("walk", "recovered", recovered),
        ("walk", "whole", whole),
        ("footer", "footer", plan.body),
        (
            "tail",
            "header-and-tail",
            [&forge.header[..], &end].concat(),
        ),
        ("stanza", "envelope", forge::envelope(0x11, 0)),
        ("stanza", "two", forge::envelope(0x11, 1)),
        ("keyring", "empty", Keyring::new(store).encode()),
        ("keyring", "one-generation", keyring.encode()),
        ("statement", "first", created.statement),
    ]
}

#[test]
fn corpora_are_read_without_surprise() {
    if std::env::var_os("REGENERATE").is_some() {
        for (target, name, bytes) in seeds() {
            std::fs::create_dir_all(folder(target)).unwrap();
            std::fs::write(folder(target).join(name), bytes).unwrap();
        }
    }
    for (target, run) in TARGETS {
        let mut count = 0;
        for entry in std::fs::read_dir(folder(target)).unwrap() {
            run(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{target} has no seeds");
    }
}

/// A few changes to each seed: a fuzzer would make more, and find out which matter.
#[test]
fn seeds_with_changes_are_read_without_surprise() {
    for (target, _, bytes) in seeds() {
        let run = TARGETS.iter().find(|(name, _)| *name == target).unwrap().1;
        let step = (bytes.len() / 400).max(1);
        for at in (0..bytes.len()).step_by(step) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            run(&changed);
            run(&bytes[..at]);
        }
    }
}
