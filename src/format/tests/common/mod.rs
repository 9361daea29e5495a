//! A small segment with everything that is needed to open it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use hearthkeep_format::epoch::{self, Chain, Epoch, EpochSecret};
use hearthkeep_format::segment::{
    Begin, ChunkType, File, Gap, GapCause, IndexEntry, Preamble, ReadAt, ReadError, SegmentOpener,
    SegmentWriter, Start,
};
use hearthkeep_format::{
    BootId, Identity, Kind, MetadataKey, Result, RunId, SeededRandom, StoreId, StreamId,
};

pub struct World {
    pub rng: SeededRandom,
    pub store: StoreId,
    pub stream: StreamId,
    pub generation: Identity,
    pub m: MetadataKey,
    pub epoch: Epoch,
    pub chain: Chain,
    pub secret: EpochSecret,
}

pub struct Built {
    pub bytes: Vec<u8>,
    /// Where each chunk starts, and where the last one ends.
    pub edges: Vec<usize>,
    /// What was sealed: the body of chunk k + 1 is `bodies[k]`.
    pub bodies: Vec<Vec<u8>>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self::of_kind(seed, Kind::Media)
    }

    pub fn of_kind(seed: u64, kind: Kind) -> Self {
        let mut rng = SeededRandom::new(seed);
        let (store, stream) = (StoreId::random(&mut rng), StreamId::random(&mut rng));
        let generation = Identity::generate(&mut rng);
        let m = MetadataKey::generate(&mut rng);
        let recipient = generation.recipient();
        let (epoch, chain) = epoch::begin(3, &recipient, &store, &stream, kind, &mut rng);
        let place = epoch::Place {
            store,
            stream,
            kind,
            epoch: epoch.id,
            generation: 3,
        };
        let secret = epoch::open(&epoch.envelope, &generation, &place).unwrap();
        Self {
            rng,
            store,
            stream,
            generation,
            m,
            epoch,
            chain,
            secret,
        }
    }

    pub fn begin(&mut self) -> (SegmentWriter, Vec<u8>) {
        let secret = self.chain.next();
        let preamble = Preamble {
            run: RunId::random(&mut self.rng),
            anchor_us: 1_700_000_000_000_000,
            init: b"the init segment".to_vec(),
        };
        let begin = Begin {
            store: self.store,
            stream: self.stream,
            epoch: &self.epoch,
            kind: Kind::Media,
            start: start(),
            preamble: &preamble,
        };
        SegmentWriter::begin(begin, secret, &self.m, &mut self.rng).unwrap()
    }

    /// A whole segment of `count` fragments of `length` bytes.
    pub fn build(&mut self, count: u32, length: usize) -> Built {
        let (mut writer, mut bytes) = self.begin();
        let mut edges = vec![self.epoch.envelope.len() + 256, bytes.len()];
        let mut bodies = Vec::new();
        for i in 0..count {
            let body: Vec<u8> = (0..length).map(|j| (j as u32 * 7 + i) as u8).collect();
            let mut chunk = vec![0xEE; SegmentWriter::HEADROOM];
            chunk.extend_from_slice(&body);
            let k = writer
                .seal_in_place(&mut chunk, entry(i), &mut self.rng)
                .unwrap();
            assert_eq!(k, i + 1);
            bytes.extend_from_slice(&chunk);
            assert_eq!(writer.len(), bytes.len() as u64);
            edges.push(bytes.len());
            bodies.push(body);
        }
        let trailer = writer
            .finish(wall_end(count), b"sample table", &mut self.rng)
            .unwrap();
        edges.push(bytes.len() + trailer.len() - 128 - edges[1]);
        bytes.extend_from_slice(&trailer);
        Built {
            bytes,
            edges,
            bodies,
        }
    }

    pub fn unlock(&self, head: &[u8]) -> Result<SegmentOpener> {
        SegmentOpener::open_with_epoch(head, &self.secret, Some(&self.m))
    }

    pub fn unlock_without_m(&self, head: &[u8]) -> Result<SegmentOpener> {
        SegmentOpener::open_with_epoch(head, &self.secret, None)
    }

    pub fn open<R: ReadAt>(&self, file: R) -> Result<File<R>, ReadError> {
        File::open(file, |head| self.unlock(head))
    }
}

pub fn start() -> Start {
    Start {
        wall_us: 1_700_000_000_000_000,
        monotonic_us: 77,
        boot: BootId::from_bytes([7; 16]),
        clock_trusted: true,
        gap: Some(Gap {
            cause: GapCause::CameraLost,
            length_us: Some(5_000_000),
        }),
        sequence: 42,
    }
}

/// Half a second each, a key frame every other time.
pub fn entry(i: u32) -> IndexEntry {
    IndexEntry {
        start_us: u64::from(i) * 500_000,
        duration_us: 500_000,
        key_frame: i.is_multiple_of(2),
        chunk_type: ChunkType::Fragment,
    }
}

pub fn wall_end(count: u32) -> i64 {
    start().wall_us + i64::from(count) * 500_000
}

/// What comes out of a file: each fragment's number and body. Whatever cannot be opened is left
/// out.
pub fn footage<R: ReadAt>(file: &File<R>) -> Vec<(u32, Vec<u8>)> {
    let read = |place| Some((place, file.read(place).ok()?));
    file.places()
        .iter()
        .filter_map(read)
        .map(|(place, body)| (place.k, body))
        .collect()
}

/// Asserts that what came out was sealed, as this number, and returns how many fragments are
/// missing.
pub fn lost(footage: &[(u32, Vec<u8>)], built: &Built) -> usize {
    for (k, body) in footage {
        assert_eq!(*body, built.bodies[*k as usize - 1], "chunk {k}");
    }
    assert!(footage.is_sorted_by(|a, b| a.0 < b.0));
    built.bodies.len() - footage.len()
}
