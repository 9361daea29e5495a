//! A catalog that opens and cannot be read: recording goes on, and no sequence number is given twice.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hearthkeep::camera::{Sample, Track, TrackKind};
use hearthkeep::clock::Clock;
use hearthkeep::keys::Sealing;
use hearthkeep::random::SharedRandom;
use hearthkeep::record::ByHand;
use hearthkeep::store::Span;
use hearthkeep::store::catalog::{Batch, CatalogError, Database, Each, Memory, Shelf};
use hearthkeep_format::MetadataKey;
use hearthkeep_format::segment::GapCause;

use crate::rig::stream;
use crate::store_support::{GENERATION, Home, until};

/// Buckets of entries are kept under this; summaries of them elsewhere.
const BUCKETS: u8 = b'b';

/// A catalog whose entries cannot be read when it is told so.
#[derive(Clone, Default)]
struct Unreadable {
    memory: Memory,
    is_damaged: Arc<AtomicBool>,
}

struct Opened(Box<dyn Database>, Arc<AtomicBool>);

impl Shelf for Unreadable {
    fn open(&self) -> Result<Box<dyn Database>, CatalogError> {
        let opened = self.memory.open()?;
        Ok(Box::new(Opened(opened, Arc::clone(&self.is_damaged))))
    }

    fn move_aside(&self) -> io::Result<PathBuf> {
        self.memory.move_aside()
    }

    fn remove(&self) -> io::Result<()> {
        self.memory.remove()
    }
}

impl Database for Opened {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError> {
        match self.1.load(Ordering::SeqCst) && key[0] == BUCKETS {
            true => Err(CatalogError::Damaged("on purpose")),
            false => self.0.get(key),
        }
    }

    fn scan(&self, prefix: &[u8], each: &mut Each<'_>) -> Result<(), CatalogError> {
        self.0.scan(prefix, each)
    }

    fn apply(&self, batch: Batch) -> Result<(), CatalogError> {
        self.0.apply(batch)
    }

    fn flush(&self) -> Result<(), CatalogError> {
        self.0.flush()
    }

    fn doubt(&self) {}
}

/// Records for a moment, with a catalog that is damaged after it was opened or not. Returns the sequence number of what was
/// recorded, and what segments there are then by the catalog or in memory.
fn record(home: &Home, shelf: &Unreadable, is_damaged: bool) -> (Option<u64>, Vec<Span>) {
    let mut options = home.options();
    options.catalog = Some(Arc::new(shelf.clone()));
    let (store, _) = home.open_with(options);
    let store = Arc::new(store);
    shelf.is_damaged.store(is_damaged, Ordering::SeqCst);
    let mut events = store.events();
    let sealing = Sealing {
        generation: GENERATION,
        recipient: home.generation.recipient(),
        metadata_key: MetadataKey::from_bytes(home.m),
    };
    let clock = Arc::clone(&home.clock) as Arc<dyn Clock>;
    let mut camera = ByHand::new(
        stream(0),
        home.store,
        Arc::new(sealing),
        Arc::clone(&store),
        clock,
        SharedRandom::default(),
    );
    camera.connected(&[Track {
        timescale: 90_000,
        kind: TrackKind::Video {
            width: 640,
            height: 360,
        },
        codec: "avc1.640028".to_owned(),
        sample_entry: b"\0\0\0\x08avc1".to_vec(),
    }]);
    for n in 0..45 {
        let sample = Sample {
            track: 0,
            decode_time: n * 3_000,
            composition_offset: 0,
            key: n % 30 == 0,
            data: vec![0, 0, 0, 1, 0x65],
            arrived_us: n as u64 * 33_333,
        };
        camera.take(sample).unwrap();
    }
    camera.end(GapCause::Shutdown);
    let mut sequence = None;
    until("it is durable", || {
        while let Ok(event) = events.try_recv() {
            use hearthkeep::store::writer::Event::Closed;
            if let Closed(segment) = event {
                sequence = Some(segment.new.start.sequence);
            }
        }
        sequence.is_some()
    });
    drop(camera);
    shelf.is_damaged.store(false, Ordering::SeqCst);
    home.clock.advance_us(10_000_000);
    let timeline = store.timeline(&stream(0), i64::MIN, i64::MAX);
    (sequence, timeline.unwrap().segments)
}

#[test]
fn a_catalog_that_cannot_be_read_gives_no_number_twice() {
    let (home, shelf) = (Home::new(79), Unreadable::default());
    for n in 0..3 {
        assert_eq!(record(&home, &shelf, false).0, Some(n));
    }
    let (sequence, _) = record(&home, &shelf, true);
    assert!(sequence > Some(2), "{sequence:?}");
    let (next, segments) = record(&home, &shelf, false);
    assert!(next > sequence, "{next:?}");
    let mut sequences: Vec<_> = segments.iter().map(|span| span.sequence).collect();
    sequences.sort_unstable();
    sequences.dedup();
    assert_eq!(sequences.len(), 5, "{segments:?}");
}
