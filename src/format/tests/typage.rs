//! Age files against typage, another implementation: it opens ours (`tests/interop/typage.mjs
//! --check`), we open its.
//!
//! Our files follow from a seed, so this test also holds [`age::seal`] to the bytes it once wrote.
//! They are written anew by
//! `HEARTHKEEP_WRITE_FIXTURES=1 cargo test -p hearthkeep-format --test typage`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::PathBuf;

use hearthkeep_format::{Error, Identity, Recipient, SeededRandom, age};
use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/typage")
}

struct File {
    name: String,
    recipients: Vec<usize>,
    plaintext: Vec<u8>,
}

fn manifest() -> (Vec<(Identity, Recipient)>, Vec<File>) {
    let manifest = std::fs::read(folder().join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let identities = manifest["identities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|identity| {
            (
                Identity::from_text(identity["identity"].as_str().unwrap()).unwrap(),
                Recipient::from_text(identity["recipient"].as_str().unwrap()).unwrap(),
            )
        });
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let files = manifest["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| File {
            name: file["name"].as_str().unwrap().to_owned(),
            recipients: file["recipients"]
                .as_array()
                .unwrap()
                .iter()
                .map(number)
                .collect(),
            plaintext: (0..number(&file["length"]))
                .map(|index| (index % 251) as u8)
                .collect(),
        });
    (identities.collect(), files.collect())
}

#[test]
fn our_files_are_the_ones_typage_opens() {
    let (identities, files) = manifest();
    for (index, file) in files
        .iter()
        .filter(|file| file.name.starts_with("rust-"))
        .enumerate()
    {
        let recipients: Vec<&Recipient> = file
            .recipients
            .iter()
            .map(|&index| &identities[index].1)
            .collect();
        let sealed = age::seal(
            &recipients,
            &file.plaintext,
            &mut SeededRandom::new(index as u64),
        );
        let path = folder().join(&file.name);
        if std::env::var_os("HEARTHKEEP_WRITE_FIXTURES").is_some() {
            std::fs::write(&path, &sealed).unwrap();
        }
        assert!(
            std::fs::read(&path).unwrap() == sealed,
            "{} is another",
            file.name
        );
    }
}

#[test]
fn files_of_both_open_for_their_recipients_only() {
    let (identities, files) = manifest();
    assert!(files.iter().any(|file| file.name.starts_with("typage-")));
    for (identity, recipient) in &identities {
        assert_eq!(identity.recipient(), *recipient);
    }
    for file in &files {
        let sealed = std::fs::read(folder().join(&file.name)).unwrap();
        assert_eq!(age::stanza_count(&sealed), Ok(file.recipients.len()));
        for (index, (identity, _)) in identities.iter().enumerate() {
            match age::open(&[identity], &sealed) {
                Ok(plaintext) => {
                    assert!(file.recipients.contains(&index), "{}", file.name);
                    assert!(*plaintext == file.plaintext, "{}", file.name);
                }
                Err(error) => {
                    assert!(!file.recipients.contains(&index), "{}: {error}", file.name);
                    assert_eq!(error, Error::NoMatchingIdentity);
                }
            }
        }
    }
}
