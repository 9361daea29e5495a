//! What the catalog costs with a million segments: `cargo bench --bench catalog`.
//!
//! It is filled by one process, as 16 streams record, and measured by another, whose memory then is the catalog's alone.
//! `HEARTHKEEP_BENCH_SEGMENTS` sets another number.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::time::{Duration, Instant};

use hearthkeep::store::catalog::{Catalog, Entry};
use hearthkeep_format::{DiskId, EpochId, Kind, SegmentId, StoreId, StreamId};

const STREAMS: u64 = 16;
const START_US: i64 = 1_790_000_000_000_000;
const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 1440 * MINUTE_US;
const LOOKS: usize = 1000;

fn main() {
    let segments = std::env::var("HEARTHKEEP_BENCH_SEGMENTS");
    let segments: u64 = segments.map_or(1_000_000, |text| text.parse().unwrap());
    let arguments: Vec<_> = std::env::args().collect();
    match arguments
        .iter()
        .position(|argument| argument == "--measure")
    {
        Some(at) => measure(Path::new(&arguments[at + 1]), segments),
        None => {
            let folder = tempfile::tempdir().unwrap();
            let catalog = folder.path().join("catalog");
            fill(&catalog, segments);
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            let measured = again.arg("--measure").arg(&catalog).status().unwrap();
            assert!(measured.success());
        }
    }
}

fn fill(folder: &Path, segments: u64) {
    let catalog = Catalog::open(folder, &store()).unwrap().catalog;
    let disk = catalog.disk_number(&DiskId::from_bytes([9; 16])).unwrap();
    let begun = Instant::now();
    let minutes = segments / STREAMS;
    for minute in 0..minutes {
        let entries: Vec<_> = (0..STREAMS)
            .map(|stream| entry(stream, minute, disk))
            .collect();
        catalog.insert(&entries).unwrap();
        if minute % 512 == 0 {
            catalog.flush().unwrap();
        }
    }
    catalog.flush().unwrap();
    println!(
        "filled minute by minute with {} segments in {:.1?}; {} MB on the disk",
        catalog.len(),
        begun.elapsed(),
        folder_bytes(folder) >> 20
    );
}

fn measure(folder: &Path, segments: u64) {
    let empty = tempfile::tempdir().unwrap();
    drop(Catalog::open(empty.path(), &store()).unwrap());
    let before = resident_bytes();
    let begun = Instant::now();
    let catalog = Catalog::open(folder, &store()).unwrap().catalog;
    let found = catalog.len();
    let last = catalog.last(&stream(0)).unwrap().unwrap();
    println!(
        "ready in {:.0?} ({found} segments, the last {})",
        begun.elapsed(),
        last.segment
    );
    let ready = resident_bytes();
    let minutes = (segments / STREAMS) as i64;
    let mut seed = 1;
    let mut days = Vec::with_capacity(LOOKS);
    let mut finds = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS {
        let of = random(&mut seed) % STREAMS;
        let minute = (random(&mut seed) % minutes as u64) as i64;
        let from = START_US + minute * MINUTE_US;
        let begun = Instant::now();
        let day = catalog.timeline(&stream(of), from, from + DAY_US).unwrap();
        days.push(begun.elapsed());
        assert_eq!(day.len() as i64, 1440.min(minutes - minute));
        let wanted = entry(of, minute as u64, 0).segment;
        let begun = Instant::now();
        let entry = catalog.find(&stream(of), &wanted).unwrap().unwrap();
        finds.push(begun.elapsed());
        assert_eq!(entry.segment, wanted);
    }
    print_times("a day's timeline of a stream", days);
    print_times("a segment by its id", finds);
    let grown = |now: u64| now.saturating_sub(before) as f64 / 1e6;
    println!(
        "memory beyond an empty catalog: {:.1} MB when ready, {:.1} MB after {LOOKS} looks",
        grown(ready),
        grown(resident_bytes())
    );
}

fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (half, most) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("{what}: p50 {half:.0?}, p99 {most:.0?}");
}

fn entry(of: u64, minute: u64, disk: u16) -> Entry {
    let mut seed = of << 32 | minute | 1 << 60;
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random(&mut seed).to_be_bytes());
    id[8..].copy_from_slice(&random(&mut seed).to_be_bytes());
    let mut epoch = [of as u8; 16];
    epoch[8..].copy_from_slice(&(minute / 1440).to_be_bytes());
    Entry {
        stream: stream(of),
        kind: Kind::Media,
        epoch: EpochId::from_bytes(epoch),
        segment: SegmentId::from_bytes(id),
        disk,
        start_us: START_US + minute as i64 * MINUTE_US,
        duration_us: MINUTE_US as u64,
        bytes: 30_000_000,
        sequence: minute,
        clock_trusted: true,
        recovered: false,
        tombstone: false,
        torn: false,
        gap: None,
    }
}

fn stream(of: u64) -> StreamId {
    let mut seed = of + 77;
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random(&mut seed).to_be_bytes());
    StreamId::from_bytes(id)
}

fn store() -> StoreId {
    StoreId::from_bytes([3; 16])
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

fn folder_bytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}
