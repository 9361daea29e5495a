//! How fast footage is checked without a secret, beside what the disk and the hash can do: `cargo bench --bench scrub`.
//!
//! The bar: 80 % of the disk's or the hash's speed, whichever is lower, in the median round. All are measured in turns, with as many files at
//! once, from files that the kernel has forgotten. `HEARTHKEEP_BENCH_BYTES` sets another size than 2 GiB, `HEARTHKEEP_BENCH_DIR` the folder.
#![allow(clippy::unwrap_used, missing_docs)]

mod many;
#[path = "../tests/store_support/mod.rs"]
mod store_support;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hearthkeep::disk::{self, Disk, RealDisk};
use hearthkeep::store::anchors::Anchors;
use hearthkeep::store::check::{Known, Slice, Subject, check};
use hearthkeep::store::survey::survey;
use sha2::{Digest as _, Sha256};
use store_support::Home;

/// As a camera of 4 Mbit/s: 250 KB each half a second, a minute a segment.
const FRAGMENT_BYTES: usize = 250_000;
const FRAGMENTS: usize = 120;
/// Each is compared with itself: a disk that others use too is not as fast in the next one.
const ROUNDS: usize = 11;
const SHARE_MIN: f64 = 0.8;

fn main() {
    let bytes = many::number("HEARTHKEEP_BENCH_BYTES", 2 << 30);
    let home = many::home();
    let segments = bytes / (FRAGMENT_BYTES * FRAGMENTS) as u64;
    many::fill(&home, segments, FRAGMENTS, FRAGMENT_BYTES);
    let files = files(&home);
    files
        .iter()
        .for_each(|file| std::fs::File::open(file).unwrap().sync_all().unwrap());
    let surveyed = survey(home.disk.path()).unwrap();
    let bytes: u64 = surveyed.iter().map(|stream| stream.bytes).sum();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let readers = disk::readers(home.disk.path(), cores);
    println!(
        "{} segments, {} MB, {readers} files at once",
        files.len(),
        bytes >> 20
    );
    let mut shares: Vec<_> = (0..ROUNDS)
        .map(|round| {
            let speed = |work: &dyn Fn()| {
                forget(&home, &files);
                let begun = Instant::now();
                work();
                bytes as f64 / begun.elapsed().as_secs_f64() / 1e6
            };
            let read = || speed(&|| each(&files, readers, read_alone));
            let checked = || speed(&|| scrub(&home, readers));
            // Whoever comes second may find something in the memory of what is below the kernel.
            let (read, checked) = match round % 2 {
                0 => (read(), checked()),
                _ => {
                    let checked = checked();
                    (read(), checked)
                }
            };
            let hash = speed(&|| each(&files, readers, hash_alone));
            let share = checked / read.min(hash);
            println!(
                "{round}: read alone {read:.0} MB/s, SHA-256 alone {hash:.0} MB/s, checked {checked:.0} MB/s: {:.0} % of the lower",
                share * 100.0
            );
            share
        })
        .collect();
    shares.sort_by(f64::total_cmp);
    let share = shares[ROUNDS / 2];
    println!("the median of the rounds: {:.0} %", share * 100.0);
    assert!(share >= SHARE_MIN, "the bar is {:.0} %", SHARE_MIN * 100.0);
}

fn files(home: &Home) -> Vec<PathBuf> {
    let mut folders = vec![home.disk.path().join("footage")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                files.push(path)
            }
        }
    }
    files
}

/// Makes the kernel forget what it has of the files.
fn forget(home: &Home, files: &[PathBuf]) {
    let disk = RealDisk::open(home.disk.path()).unwrap();
    for file in files {
        let path = file.strip_prefix(home.disk.path()).unwrap();
        disk.open_read(path).unwrap().was_read();
    }
}

fn each(files: &[PathBuf], readers: usize, work: fn(&Path)) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(file);
                }
            });
        }
    });
}

/// As `dd bs=1M`.
fn read_alone(file: &Path) {
    use std::io::Read as _;
    let mut file = std::fs::File::open(file).unwrap();
    let mut piece = vec![0; 1 << 20];
    while file.read(&mut piece).unwrap() > 0 {}
}

/// As many bytes as the file has, from memory.
fn hash_alone(file: &Path) {
    let bytes = file.metadata().unwrap().len() as usize;
    let chunk = vec![7; FRAGMENT_BYTES];
    for _ in 0..bytes / FRAGMENT_BYTES {
        std::hint::black_box(Sha256::digest(&chunk));
    }
}

fn scrub(home: &Home, readers: usize) {
    let subject = Subject {
        path: home.disk.path().to_owned(),
        disk: Arc::new(RealDisk::open(home.disk.path()).unwrap()),
        id: Some(home.disk_id),
        readers,
    };
    let keys = home.keys();
    let known = Known {
        store: home.store,
        keys: &*keys,
        streams: None::<HashSet<_>>,
        keyring: None,
        anchors: &Anchors::default(),
        folders: Vec::new(),
        at_work: false,
        open: None,
    };
    let findings = check(&[subject], &known, Slice::ALL, &|_| Ok(()));
    // It has no keyring, and says so of both copies.
    assert_eq!(findings.found.len(), 2, "{:?}", findings.found);
    assert_eq!(findings.segments.whole, findings.segments.all);
}
