//! As `fuzz/targets.rs`, for the parsers of the recorder itself. `tests/corpora.rs` runs them in every test run.
#![allow(dead_code, reason = "each target uses one of them")]

use std::path::Path;

use hearthkeep::config::{Config, Error};
use hearthkeep::limits::{CAMERAS_MAX, DISKS_MAX};
use hearthkeep::play;
use hearthkeep_format::MetadataKey;

/// M of the segments in the corpus of `walk`.
const M: [u8; 32] = [0x30; 32];

pub fn index(data: &[u8]) {
    let Ok(index) = play::index(&data, |_| Some(MetadataKey::from_bytes(M))) else {
        return;
    };
    let mut end = index.head_bytes;
    for chunk in &index.chunks {
        assert!(chunk.k > 0 && chunk.bytes > 0 && chunk.offset >= end);
        end = chunk.offset + u64::from(chunk.bytes);
    }
    assert!(end <= data.len() as u64);
}

pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Config::parse(text, Path::new("hearthkeep.toml")) {
        Ok(config) => {
            assert!((1..=DISKS_MAX).contains(&config.disks.len()));
            assert!(config.cameras.len() <= CAMERAS_MAX);
            no_secret(text, &format!("{config:?}"));
        }
        Err(Error::Mistakes(mistakes)) => no_secret(text, &mistakes.to_string()),
        Err(_) => {}
    }
}

/// What the seeds use as a password is never shown.
fn no_secret(text: &str, said: &str) {
    let secret = "hunter2";
    let plain = text
        .lines()
        .any(|line| line == format!("password = \"{secret}\""));
    assert!(!(plain && said.contains(secret)), "{said}");
}
