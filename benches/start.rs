//! What a start costs with many segments on the disk: `cargo bench --bench start`.
//!
//! Segments are real and small. `HEARTHKEEP_BENCH_SEGMENTS` sets another number than 100,000, `HEARTHKEEP_BENCH_DIR` the
//! folder they are written to. Caches of the kernel are warm: drop them between the runs to measure cold. The bars: a segment
//! is begun within 10 s of the start, the catalog rebuilt within 60 s.
#![allow(clippy::unwrap_used, missing_docs)]

mod many;
#[path = "../tests/store_support/mod.rs"]
mod store_support;

use std::time::{Duration, Instant};

use hearthkeep::store::{Store, lock};
use store_support::until;

const START_MAX: Duration = Duration::from_secs(10);
const REINDEX_MAX: Duration = Duration::from_secs(60);

fn main() {
    let segments = many::number("HEARTHKEEP_BENCH_SEGMENTS", 100_000);
    let home = many::home();
    let begun = Instant::now();
    many::fill(&home, segments, 1, 50);
    println!("{segments} segments written in {:.1?}", begun.elapsed());

    let held = lock::acquire(home.state.path()).unwrap();
    let begun = Instant::now();
    let report = Store::reindex(home.options(), &held).unwrap().report;
    let took = begun.elapsed();
    println!("catalog rebuilt in {took:.1?} ({} files)", report.files);
    assert_eq!(report.inserted, report.files);
    assert!(took < REINDEX_MAX, "the bar is {REINDEX_MAX:?}");
    drop(held);

    let mut stream = home.stream(0);
    stream.sequence = segments;
    let mut record = |what: &str| {
        let begun = Instant::now();
        let (store, report) = home.open();
        let ready = begun.elapsed();
        let sealed = stream.seal(1, 50);
        let handle = sealed.begin(&store);
        until("it is durable", || handle.segment().durable_bytes() > 0);
        let took = begun.elapsed();
        println!(
            "{what}: ready in {ready:.0?} ({} files compared, {} read), the first segment durable in {took:.0?}",
            report.files, report.inserted
        );
        assert!(took < START_MAX, "the bar is {START_MAX:?}");
        handle.finish(sealed.end.clone(), sealed.duration_us);
        (begun, store)
    };
    let (_, store) = record("with its catalog");
    store.close();
    drop(store);

    std::fs::remove_dir_all(home.catalog()).unwrap();
    let (begun, store) = record("without a catalog");
    let known = |store: &Store| -> u64 {
        let streams = store.streams();
        streams.iter().map(|s| store.usage(s).segments).sum()
    };
    while known(&store) < segments {
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("all known again in {:.1?}", begun.elapsed());
}
