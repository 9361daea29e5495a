//! The seed corpora of the recorder's own fuzz targets, run through the functions that the fuzzers call; those of the format
//! are run by `src/format/tests/corpora.rs`.
//!
//! `REGENERATE=1 cargo test --test corpora` writes those that `corpora_seeds/` makes anew.
#![allow(clippy::unwrap_used)]

mod corpora_seeds;
#[path = "../fuzz/house_targets.rs"]
mod targets;

use std::path::Path;

/// Every file of a folder.
fn seeds(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(folder).unwrap();
    let read: Vec<_> = entries
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(!read.is_empty());
    read
}

/// The seed, cut short everywhere and changed everywhere. Returns what comes of the seed itself.
fn with_changes<T>(seed: &[u8], run: fn(&[u8]) -> T) -> T {
    with_some_changes(seed, 400, run)
}

/// The same for what takes long: at about so many places.
fn with_some_changes<T>(seed: &[u8], places: usize, run: fn(&[u8]) -> T) -> T {
    let come = run(seed);
    let step = (seed.len() / places).max(1);
    for at in (0..seed.len()).step_by(step) {
        let mut changed = seed.to_vec();
        changed[at] ^= 1 << (at % 7);
        run(&changed);
        run(&seed[..at]);
    }
    come
}

#[test]
fn a_segment_is_indexed_without_surprise() {
    for seed in seeds("fuzz/corpus/index") {
        with_changes(&seed, targets::index);
    }
}

#[test]
fn a_torn_file_is_mended_without_surprise() {
    for seed in seeds("fuzz/corpus/torn") {
        with_changes(&seed, targets::torn);
    }
}

#[test]
fn an_id_file_is_read_without_surprise() {
    for seed in seeds("fuzz/corpus/id_file") {
        with_changes(&seed, targets::id_file);
    }
}

#[test]
fn a_log_s_files_are_read_without_surprise() {
    let seeds = made_seeds("log_files", corpora_seeds::log_files());
    let mended = seeds
        .iter()
        .map(|seed| with_some_changes(seed, 150, targets::log_files));
    assert_eq!(mended.sum::<usize>(), 2, "a copy of each that was signed");
}

#[test]
fn a_start_reads_its_log_without_surprise() {
    let seeds = made_seeds("log_start", corpora_seeds::log_starts());
    let held = seeds
        .iter()
        .map(|seed| with_some_changes(seed, 40, targets::log_start).len());
    // All but the one that is cut off before its holds.
    assert_eq!(held.sum::<usize>(), seeds.len() - 1);
}

#[test]
fn what_was_seen_of_a_log_is_read_without_surprise() {
    let seeds = made_seeds("log_seen", corpora_seeds::logs_seen());
    let believed = seeds
        .iter()
        .map(|seed| with_changes(seed, targets::log_seen));
    assert_eq!(believed.sum::<usize>(), 4);
}

#[test]
fn what_a_disk_remembers_of_deletions_is_read_without_surprise() {
    let seeds = made_seeds("log_deleted", corpora_seeds::logs_deleted());
    let believed = seeds
        .iter()
        .map(|seed| with_changes(seed, targets::log_deleted));
    assert_eq!(believed.sum::<usize>(), 4, "two of two that count");
}

#[test]
fn two_segments_are_repaired_without_surprise() {
    let seeds = made_seeds("repaired", corpora_seeds::repaired());
    let done: Vec<_> = seeds
        .iter()
        .map(|seed| with_some_changes(seed, 100, targets::repaired))
        .collect();
    assert!(
        done.iter().all(|done| *done > 0) && done.contains(&2),
        "one gets its envelope and then its end: {done:?}"
    );
}

/// The seeds of a target that are made here, written anew where that was asked for.
fn made_seeds(target: &str, seeds: Vec<(&str, Vec<u8>)>) -> Vec<Vec<u8>> {
    if std::env::var_os("REGENERATE").is_some() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(target);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in seeds {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
    self::seeds(&format!("fuzz/corpus/{target}"))
}

#[test]
fn a_catalog_is_read_without_surprise() {
    for seed in made_seeds("catalog", corpora_seeds::catalogs()) {
        with_changes(&seed, targets::catalog);
    }
}

#[test]
fn the_state_folder_s_files_are_read_without_surprise() {
    for seed in made_seeds("state_files", corpora_seeds::state_files()) {
        let (name, _) = targets::STATE_FILES[usize::from(seed[0])];
        // Certificates are made anew each time.
        let places = if name.starts_with("tls/") { 50 } else { 400 };
        with_some_changes(&seed, places, targets::state_files);
    }
}

#[test]
fn a_configuration_is_read_without_surprise() {
    // Mistakes that people make, with what is to be said of them behind: that is no configuration either.
    let mistakes = seeds("tests/data/config");
    for seed in seeds("fuzz/corpus/config").into_iter().chain(mistakes) {
        with_changes(&seed, targets::config);
    }
}
