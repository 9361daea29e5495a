//! What a start costs with many segments on the disk, after the box was killed: `cargo bench --bench start`.
//!
//! Segments are real and small, and the signed log has an entry for each: [`before`]. `HEARTHKEEP_BENCH_SEGMENTS` sets another
//! number than 102,000, of which some are deleted, `HEARTHKEEP_BENCH_DIR` the folder they are written to. The kernel's caches are
//! dropped before each, as after a power cut, where that is allowed (root): it is said where it is not. The bars: a segment is
//! durable within 10 s of the start, the catalog rebuilt and the log read within 60 s.
#![allow(clippy::unwrap_used, missing_docs)]

mod before;
#[path = "../many/mod.rs"]
mod many;
#[path = "../../tests/store_support/mod.rs"]
mod store_support;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hearthkeep::disk::{Disk, RealDisk};
use hearthkeep::store::log::{Reader, find};
use hearthkeep::store::{Store, layout, lock};
use hearthkeep_format::log::Record;

use before::{known, logged, wait};
use store_support::{Home, Stream, until};

const START_MAX: Duration = Duration::from_secs(10);
const REINDEX_MAX: Duration = Duration::from_secs(60);

fn main() {
    let segments = many::number("HEARTHKEEP_BENCH_SEGMENTS", 102_000);
    if std::env::args().any(|argument| argument == before::LIVES) {
        return before::live(segments);
    }
    let home = many::home();
    before::killed(&home);
    let mut stream = home.stream(0);
    stream.sequence = 2 * segments;
    let entries = start("after a kill", &home, &mut stream);
    reindex(&home, entries);
    std::fs::remove_dir_all(home.catalog()).unwrap();
    start("without a catalog", &home, &mut stream);
}

/// Has the kernel forget all that it has of all disks, as a power cut does. Whether it has.
fn forget() -> &'static str {
    rustix::fs::sync();
    match std::fs::write("/proc/sys/vm/drop_caches", "3") {
        Ok(()) => "cold",
        Err(_) => "with warm caches",
    }
}

/// Starts, records a segment, waits until all is known, and ends. Returns how many entries the log has then.
fn start(what: &str, home: &Home, stream: &mut Stream) -> u64 {
    let files = before::files(&home.disk.path().join("footage"));
    let caches = forget();
    let begun = Instant::now();
    let store = before::open(home, home.options());
    let ready = begun.elapsed();
    let sealed = stream.seal(1, 50);
    let handle = sealed.begin(&store);
    until("it is durable", || handle.segment().durable_bytes() > 0);
    let recorded = begun.elapsed();
    handle.finish(sealed.end.clone(), sealed.duration_us);
    wait("the log is read", || store.log().is_replayed());
    let replayed = begun.elapsed();
    wait("all are known", || known(&store) == files + 1);
    let all = begun.elapsed();
    println!(
        "{what}, {caches}: ready in {ready:.2?}, the first segment durable in {recorded:.2?}; the log's {} entries read in {replayed:.1?}, all {} segments \
         known in {all:.1?}",
        logged(&store),
        known(&store),
    );
    assert!(recorded < START_MAX, "the bar is {START_MAX:?}");
    store.close();
    assert_eq!(store.log().troubles(), Vec::<String>::new());
    logged(&store)
}

/// What the command does: the catalog anew, then the logs from their beginning, and whether what they have is there.
fn reindex(home: &Home, entries: u64) {
    let held = lock::acquire(home.state.path()).unwrap();
    let caches = forget();
    let begun = Instant::now();
    let report = Store::reindex(home.options(), &held).unwrap().report;
    let rebuilt = begun.elapsed();
    assert_eq!(report.inserted, report.files);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(home.disk.path()).unwrap());
    let chain = find(&[Arc::clone(&disk)], &home.store, &*home.keys());
    assert!(chain.flaws.is_empty(), "{:?}", chain.flaws);
    let (mut read, mut live) = (0, HashMap::new());
    for log in chain.readable() {
        let mut reader = Reader::new(home.keys());
        loop {
            let piece = reader.next(&log.files).unwrap();
            if piece.is_empty() {
                break;
            }
            read += piece.len() as u64;
            for (_, stamped) in piece {
                match stamped.unwrap().record {
                    Record::SegmentClosed(closed) => {
                        live.insert(closed.segment, closed);
                    }
                    Record::Deleted(deleted) => {
                        let gone = deleted.segments.iter();
                        gone.for_each(|gone| _ = live.remove(&gone.segment));
                    }
                    _ => {}
                }
            }
        }
    }
    for closed in live.values() {
        let path = layout::segment_path(&closed.stream, &closed.epoch, &closed.segment);
        disk.open_read(&path).unwrap();
    }
    let took = begun.elapsed();
    println!(
        "reindex, {caches}: {} files in {rebuilt:.1?}, with the log's {read} entries and the {} segments it has {took:.1?}",
        report.files,
        live.len(),
    );
    assert_eq!((read, live.len() as u64), (entries, report.files));
    assert!(took < REINDEX_MAX, "the bar is {REINDEX_MAX:?}");
}
