//! Segments with real fragments, opened as they are by their owner, on a disk with bad sectors.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hearthkeep::archive::Segment;
use hearthkeep::disk::{DiskFile, Front};
use hearthkeep_format::epoch::{self, Chain, Epoch};
use hearthkeep_format::fmp4::{Fragment, SampleTable, Track, init_segment};
use hearthkeep_format::fragmenter::{Fragmenter, Limits, Sample, TrackClock};
use hearthkeep_format::segment::{
    Begin, ChunkType, IndexEntry, Preamble, ReadAt, SegmentWriter, Start,
};
use hearthkeep_format::{
    BootId, Identity, Keyring, Kind, MetadataKey, OpenKeyring, Random, RunId, SeededRandom,
    SegmentId, StoreId, StreamId, generation,
};

pub const SECTOR: u64 = 4096;
/// Fragments of a segment.
pub const CHUNKS: usize = 12;
/// Fragments of a GOP.
pub const GOP_CHUNKS: usize = 4;

const START_US: i64 = 1_790_000_000_000_000;
const CHUNK_US: u64 = 500_000;
const TIMESCALE: u32 = 90_000;
const SAMPLE_TICKS: u64 = 4_500;
const CHUNK_SAMPLES: usize = 10;
const SAMPLE_BYTES: usize = 1_500;
const EIO: i32 = 5;

/// One stream of a store, and what opens it.
pub struct Shelf {
    pub keyring: OpenKeyring,
    m: MetadataKey,
    store: StoreId,
    stream: StreamId,
    epoch: Epoch,
    chain: Chain,
    random: SeededRandom,
    tracks: Vec<Track>,
    sequence: u64,
}

impl Shelf {
    pub fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let mut random = SeededRandom::new(seed);
        let store = StoreId::random(&mut random);
        let stream = StreamId::random(&mut random);
        let owner = Identity::generate(&mut random);
        let kit = Identity::generate(&mut random);
        let created = generation::create_first(&store, &owner, &kit, &mut random);
        let mut keyring = Keyring::new(store);
        keyring.add_generation(&created);
        let recipient = created.identity.recipient();
        let (epoch, chain) = epoch::begin(1, &recipient, &store, &stream, Kind::Media, &mut random);
        Self {
            keyring: keyring.open(&owner).unwrap(),
            m: created.metadata_key,
            store,
            stream,
            epoch,
            chain,
            random,
            tracks: vec![Track::video(1, TIMESCALE, sample_entry()).unwrap()],
            sequence: 0,
        }
    }

    /// The next segment of the same run: three GOPs of two seconds.
    pub fn record(&mut self) -> Recorded {
        let length_us = CHUNKS as i64 * CHUNK_US as i64;
        let wall_us = START_US + self.sequence as i64 * length_us;
        let preamble = Preamble {
            run: RunId::from_bytes([2; 16]),
            anchor_us: START_US,
            init: init_segment(&self.tracks),
        };
        let start = Start {
            wall_us,
            monotonic_us: 5,
            boot: BootId::from_bytes([1; 16]),
            clock_trusted: true,
            gap: None,
            sequence: self.sequence,
        };
        let begin = Begin {
            store: self.store,
            stream: self.stream,
            epoch: &self.epoch,
            kind: Kind::Media,
            start,
            preamble: &preamble,
        };
        let secret = self.chain.next();
        let (mut writer, mut bytes) =
            SegmentWriter::begin(begin, secret, &self.m, &mut self.random).unwrap();
        let (mut chunks, mut payloads) = (Vec::new(), Vec::new());
        let mut table = SampleTable::new();
        for (n, (fragment, payload)) in (0..).zip(self.fragments()) {
            table.push_fragment(&fragment).unwrap();
            let mut buffer = vec![0; SegmentWriter::HEADROOM];
            fragment.write_to(n as u32 + 1, &mut buffer);
            let entry = IndexEntry {
                start_us: n * CHUNK_US,
                duration_us: CHUNK_US as u32,
                key_frame: fragment.starts_with_key(),
                chunk_type: ChunkType::Fragment,
            };
            let random = &mut self.random;
            writer.seal_in_place(&mut buffer, entry, random).unwrap();
            let at = bytes.len() as u64;
            chunks.push(at..at + buffer.len() as u64);
            payloads.push(payload);
            bytes.extend(buffer);
        }
        assert_eq!(chunks.len(), CHUNKS);
        let id = writer.id();
        let mut encoded = Vec::new();
        table.encode(&mut encoded);
        let span = wall_us..wall_us + length_us;
        bytes.extend(writer.finish(span.end, &encoded, &mut self.random).unwrap());
        self.sequence += 1;
        Recorded {
            id,
            span,
            bytes: Arc::new(bytes),
            chunks,
            payloads,
            bad: 0..0,
            failures: Arc::default(),
            opened: Cell::new(0),
            opens_left: Cell::new(u32::MAX),
            errno: Cell::new(0),
        }
    }

    /// The fragments of the next segment, and what each carries.
    fn fragments(&mut self) -> Vec<(Fragment, Vec<u8>)> {
        let clock = TrackClock {
            timescale: TIMESCALE,
            is_video: true,
        };
        let mut fragmenter = Fragmenter::new(vec![clock], Limits::default()).unwrap();
        let samples = CHUNKS * CHUNK_SAMPLES;
        let first = self.sequence * samples as u64;
        let (mut fragments, mut sent) = (Vec::new(), Vec::new());
        for n in 0..samples {
            let mut data = vec![0; SAMPLE_BYTES];
            self.random.fill(&mut data);
            sent.extend_from_slice(&data);
            let sample = Sample {
                track: 0,
                decode_time: (first + n as u64) * SAMPLE_TICKS,
                composition_offset: 0,
                key: n % (CHUNK_SAMPLES * GOP_CHUNKS) == 0,
                data,
            };
            fragmenter.push(sample).unwrap();
            fragments.extend(std::iter::from_fn(|| fragmenter.pull()));
        }
        fragments.extend(fragmenter.finish());
        let payloads = sent
            .chunks(CHUNK_SAMPLES * SAMPLE_BYTES)
            .map(<[u8]>::to_vec);
        fragments.into_iter().zip(payloads).collect()
    }
}

/// A sealed segment on a disk that is not what it was.
pub struct Recorded {
    id: SegmentId,
    span: Range<i64>,
    pub bytes: Arc<Vec<u8>>,
    /// Where the fragments' chunks lie.
    pub chunks: Vec<Range<u64>>,
    /// What they carry.
    pub payloads: Vec<Vec<u8>>,
    bad: Range<u64>,
    failures: Arc<AtomicU32>,
    opened: Cell<u32>,
    opens_left: Cell<u32>,
    errno: Cell<i32>,
}

impl Recorded {
    /// From now on the sectors of these bytes, and no others, cannot be read.
    pub fn make_bad(&mut self, bytes: Range<u64>) {
        self.bad = bytes.start / SECTOR * SECTOR..bytes.end.next_multiple_of(SECTOR);
    }

    /// It is there so often, and then no more.
    pub fn delete_after(&self, opens: u32) {
        self.opens_left.set(opens);
    }

    /// It cannot be opened any more, for this reason.
    pub fn fail_with(&self, errno: i32) {
        self.errno.set(errno);
    }

    /// How often a read failed.
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How often it was opened.
    pub fn opened(&self) -> u32 {
        self.opened.get()
    }

    /// The wall time of chunks, joined where they touch.
    pub fn spans_of(&self, chunks: &BTreeSet<usize>) -> Vec<Range<i64>> {
        let mut spans: Vec<Range<i64>> = Vec::new();
        for chunk in chunks {
            let start = self.span.start + (*chunk as u64 * CHUNK_US) as i64;
            let end = start + CHUNK_US as i64;
            match spans.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => spans.push(start..end),
            }
        }
        spans
    }
}

impl Segment for Recorded {
    fn id(&self) -> SegmentId {
        self.id
    }

    fn span(&self) -> Range<i64> {
        self.span.clone()
    }

    fn open(&self) -> io::Result<Box<dyn ReadAt + '_>> {
        if self.errno.get() != 0 {
            return Err(io::Error::from_raw_os_error(self.errno.get()));
        }
        let left = self.opens_left.get().checked_sub(1);
        self.opens_left.set(left.ok_or(io::ErrorKind::NotFound)?);
        self.opened.set(self.opened.get() + 1);
        let file = BadFile {
            bytes: Arc::clone(&self.bytes),
            bad: self.bad.clone(),
            failures: Arc::clone(&self.failures),
        };
        Ok(Box::new(Front::whole(Box::new(file))?.past_bad_sectors()))
    }
}

/// A file with a range that the disk cannot read.
struct BadFile {
    bytes: Arc<Vec<u8>>,
    bad: Range<u64>,
    failures: Arc<AtomicU32>,
}

impl DiskFile for BadFile {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let end = offset + bytes.len() as u64;
        if offset < self.bad.end && end > self.bad.start {
            self.failures.fetch_add(1, Ordering::Relaxed);
            return Err(io::Error::from_raw_os_error(EIO));
        }
        ReadAt::read_at(&*self.bytes, offset, bytes)?;
        Ok(bytes.len())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn append(&self, _: &mut [IoSlice<'_>]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

/// An `avc1` box with a size of pictures, and nothing else in it.
fn sample_entry() -> Vec<u8> {
    let mut entry = vec![0; 86];
    entry[3] = 86;
    entry[4..8].copy_from_slice(b"avc1");
    entry[32..36].copy_from_slice(&[0, 160, 0, 90]);
    entry
}
