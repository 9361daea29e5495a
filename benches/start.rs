//! What a start costs with many segments on the disk: `cargo bench --bench start`.
//!
//! Segments are real and small. `HEARTHKEEP_BENCH_SEGMENTS` sets another number than 100,000, `HEARTHKEEP_BENCH_DIR` the
//! folder they are written to. Caches of the kernel are warm: drop them between the runs to measure cold.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/store_support/mod.rs"]
mod store_support;

use std::time::Instant;

use hearthkeep::store::{Store, lock};
use store_support::Home;

const STREAMS: u64 = 16;
const EPOCH_SEGMENTS: u64 = 1440;

fn main() {
    let segments = std::env::var("HEARTHKEEP_BENCH_SEGMENTS");
    let segments: u64 = segments.map_or(100_000, |text| text.parse().unwrap());
    let mut home = Home::new(1);
    if let Ok(folder) = std::env::var("HEARTHKEEP_BENCH_DIR") {
        home.move_to(folder.as_ref());
    }
    let begun = Instant::now();
    for number in 0..STREAMS {
        let mut stream = home.stream(number);
        for n in 0..segments / STREAMS {
            if n % EPOCH_SEGMENTS == 0 {
                stream.new_epoch(&home);
            }
            stream.seal(1, 50).leave_whole(&home);
        }
    }
    println!("{segments} segments written in {:.1?}", begun.elapsed());

    let held = lock::acquire(home.state.path()).unwrap();
    let begun = Instant::now();
    let report = Store::reindex(home.options(), &held).unwrap();
    println!(
        "catalog rebuilt in {:.1?} ({} files)",
        begun.elapsed(),
        report.files
    );
    assert_eq!(report.inserted, report.files);
    drop(held);

    let begun = Instant::now();
    let (store, report) = home.open();
    println!(
        "ready to record in {:.0?} ({} files compared)",
        begun.elapsed(),
        report.files
    );
    store.close();
    drop(store);

    std::fs::remove_dir_all(home.catalog()).unwrap();
    let begun = Instant::now();
    let (store, report) = home.open();
    println!(
        "ready without a catalog in {:.0?} ({} files read)",
        begun.elapsed(),
        report.inserted
    );
    while store
        .streams()
        .iter()
        .map(|s| store.usage(s).segments)
        .sum::<u64>()
        < segments
    {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    println!("all known again in {:.1?}", begun.elapsed());
}
