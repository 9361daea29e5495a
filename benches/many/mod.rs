//! Stores with many segments, or with many bytes, for benches.

use super::store_support::{Home, Stream};

const STREAMS: u64 = 16;
const EPOCH_SEGMENTS: u64 = 1440;

/// A store in a temporary folder; below `HEARTHKEEP_BENCH_DIR`, where that is set.
pub fn home() -> Home {
    let mut home = Home::new(1);
    if let Ok(folder) = std::env::var("HEARTHKEEP_BENCH_DIR") {
        home.move_to(folder.as_ref());
    }
    home
}

/// So many segments of 16 streams, each with so many fragments of so many bytes. They are real, and as another recorder would
/// have left them. Returns the streams, which go on after them.
pub fn fill(home: &Home, segments: u64, fragments: usize, fragment_bytes: usize) -> Vec<Stream> {
    let fill = |number| {
        let mut stream = home.stream(number);
        for n in 0..segments / STREAMS.min(segments) {
            if n % EPOCH_SEGMENTS == 0 {
                stream.new_epoch(home);
            }
            stream.seal(fragments, fragment_bytes).leave_whole(home);
        }
        stream
    };
    (0..STREAMS.min(segments)).map(fill).collect()
}

/// A number from the environment.
pub fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}
