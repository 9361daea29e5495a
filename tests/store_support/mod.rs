//! A store in temporary folders, streams that fill it with real segments, and a disk that fails when told to.
#![allow(dead_code, unused_imports, missing_docs, clippy::unwrap_used)]

mod faulty_disk;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hearthkeep::clock::SimClock;
use hearthkeep::disk::{Disk, RealDisk};
use hearthkeep::store::layout::{self, DiskIdentity};
use hearthkeep::store::recovery::Report;
use hearthkeep::store::turns::Driver;
use hearthkeep::store::writer::{Budget, Means, NewSegment, Pace, SegmentHandle};
use hearthkeep::store::{MountedDisk, Options, SharedKeys, Store, lock};
use hearthkeep_format::epoch::{self, Chain, Epoch};
use hearthkeep_format::segment::{
    Begin, ChunkType, Gap, GapCause, IndexEntry, Preamble, SegmentWriter, Start,
};
use hearthkeep_format::{
    BootId, DiskId, Identity, Kind, MetadataKey, Random, RunId, SeededRandom, StoreId, StreamId,
};

pub use faulty_disk::{Faults, FaultyDisk, Files};

pub const START_US: i64 = 1_790_000_000_000_000;
pub const GENERATION: u32 = 1;

/// A short pace, so that tests do not wait.
pub const QUICK: Pace = Pace {
    sync_interval: Duration::from_millis(10),
    queue_age_max: Duration::from_secs(30),
    write_early_bytes: 32 << 20,
};

pub struct Home {
    pub state: tempfile::TempDir,
    pub disk: tempfile::TempDir,
    pub store: StoreId,
    pub disk_id: DiskId,
    pub generation: Identity,
    pub m: [u8; 32],
    pub clock: Arc<SimClock>,
}

impl Home {
    pub fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let mut random = SeededRandom::new(seed);
        let mut m = [0; 32];
        random.fill(&mut m);
        let home = Self {
            state: tempfile::tempdir().unwrap(),
            disk: tempfile::tempdir().unwrap(),
            store: StoreId::random(&mut random),
            disk_id: DiskId::random(&mut random),
            generation: Identity::generate(&mut random),
            m,
            clock: Arc::new(SimClock::new(START_US).going()),
        };
        home.mark();
        home
    }

    /// Puts an empty disk and state folder below another folder.
    pub fn move_to(&mut self, folder: &std::path::Path) {
        self.state = tempfile::tempdir_in(folder).unwrap();
        self.disk = tempfile::tempdir_in(folder).unwrap();
        self.mark();
    }

    fn mark(&self) {
        let disk = RealDisk::open(self.disk.path()).unwrap();
        let identity = DiskIdentity {
            store: self.store,
            disk: self.disk_id,
        };
        layout::mark(&disk, self.disk.path(), &identity).unwrap();
    }

    pub fn keys(&self) -> SharedKeys {
        let m = self.m;
        Arc::new(move |number| (number == GENERATION).then(|| MetadataKey::from_bytes(m)))
    }

    pub fn options(&self) -> Options {
        let disk = MountedDisk::open(self.disk.path(), self.store, self.disk_id, None).unwrap();
        self.options_with(disk)
    }

    /// Makes another disk of the store in this folder.
    pub fn another_disk(&self, folder: &std::path::Path, number: u8) -> MountedDisk {
        let identity = DiskIdentity {
            store: self.store,
            disk: DiskId::from_bytes([number; 16]),
        };
        layout::mark(&RealDisk::open(folder).unwrap(), folder, &identity).unwrap();
        MountedDisk::open(folder, self.store, identity.disk, None).unwrap()
    }

    pub fn options_on(&self, disk: Arc<dyn Disk>) -> Options {
        let path = self.disk.path();
        self.options_with(MountedDisk::with(disk, path, self.store, self.disk_id, None).unwrap())
    }

    pub fn options_with(&self, disk: MountedDisk) -> Options {
        let state = self.state.path().to_owned();
        let clock = Arc::clone(&self.clock) as Arc<_>;
        let mut options = Options::new(state, self.store, vec![disk], self.keys(), clock);
        options.pace = QUICK;
        options.reserve_bytes_min = 0;
        options
    }

    /// What a writer without a store works with.
    pub fn means(&self, budget: Arc<Budget>, pace: Pace) -> Means {
        Means {
            budget,
            pace,
            clock: Arc::clone(&self.clock) as Arc<_>,
            driver: Driver::Threads,
        }
    }

    pub fn open(&self) -> (Store, Report) {
        self.open_with(self.options())
    }

    pub fn open_with(&self, options: Options) -> (Store, Report) {
        Store::open(options, lock::acquire(self.state.path()).unwrap()).unwrap()
    }

    pub fn catalog(&self) -> PathBuf {
        self.state.path().join("catalog")
    }

    pub fn stream(&self, number: u64) -> Stream {
        Stream::new(self, number)
    }

    pub fn path_of(&self, new: &NewSegment) -> PathBuf {
        let path = layout::segment_path(&new.stream, &new.epoch, &new.segment);
        self.disk.path().join(path)
    }
}

/// A stream in one epoch.
pub struct Stream {
    pub id: StreamId,
    store: StoreId,
    m: [u8; 32],
    epoch: Epoch,
    chain: Chain,
    random: SeededRandom,
    pub sequence: u64,
    pub wall_us: i64,
    pub clock_trusted: bool,
    /// The boot that it is recorded in, and wall time less monotonic time then, us; without it, monotonic time says nothing.
    pub clock: Option<(BootId, i64)>,
}

/// A segment's bytes.
pub struct Sealed {
    pub new: NewSegment,
    pub head: Bytes,
    pub chunks: Vec<Bytes>,
    pub end: Bytes,
    pub duration_us: u64,
}

impl Sealed {
    pub fn bytes(&self) -> Vec<u8> {
        let mut whole = self.head.to_vec();
        self.chunks
            .iter()
            .for_each(|chunk| whole.extend_from_slice(chunk));
        whole.extend_from_slice(&self.end);
        whole
    }

    /// Queues all but the end.
    pub fn begin(&self, store: &Store) -> SegmentHandle {
        let handle = store.begin(self.new, self.head.clone()).unwrap();
        for (n, chunk) in self.chunks.iter().enumerate() {
            handle.append(chunk.clone(), (n as u64 + 1) * FRAGMENT_US);
        }
        handle
    }

    pub fn record(&self, store: &Store) {
        self.begin(store).finish(self.end.clone(), self.duration_us);
    }

    /// Writes it as another process would have left it, without any store.
    pub fn leave(&self, home: &Home, bytes: usize) {
        self.leave_on(home.disk.path(), bytes);
    }

    /// The same on another disk.
    pub fn leave_on(&self, disk: &std::path::Path, bytes: usize) {
        let new = &self.new;
        let path = disk.join(layout::segment_path(&new.stream, &new.epoch, &new.segment));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &self.bytes()[..bytes]).unwrap();
    }

    pub fn leave_whole(&self, home: &Home) {
        self.leave(home, self.bytes().len());
    }
}

pub const FRAGMENT_US: u64 = 500_000;

impl Stream {
    fn new(home: &Home, number: u64) -> Self {
        let mut random = SeededRandom::new(number + 1000);
        let id = StreamId::random(&mut random);
        let mut stream = Self {
            id,
            store: home.store,
            m: home.m,
            epoch: Epoch {
                id: hearthkeep_format::EpochId::from_bytes([0; 16]),
                generation: 0,
                envelope: Vec::new(),
            },
            chain: epoch::begin(
                1,
                &home.generation.recipient(),
                &home.store,
                &id,
                Kind::Media,
                &mut random,
            )
            .1,
            random,
            sequence: 0,
            wall_us: START_US,
            clock_trusted: true,
            clock: None,
        };
        stream.new_epoch(home);
        stream
    }

    pub fn new_epoch(&mut self, home: &Home) {
        let recipient = home.generation.recipient();
        let random = &mut self.random;
        let (epoch, chain) = epoch::begin(
            GENERATION,
            &recipient,
            &self.store,
            &self.id,
            Kind::Media,
            random,
        );
        self.epoch = epoch;
        self.chain = chain;
    }

    pub fn epoch(&self) -> hearthkeep_format::EpochId {
        self.epoch.id
    }

    /// The next segment: so many fragments of half a second and so many bytes.
    pub fn seal(&mut self, fragments: usize, fragment_bytes: usize) -> Sealed {
        let gap = (self.sequence == 0).then_some(Gap {
            cause: GapCause::Start,
            length_us: None,
        });
        let start = Start {
            wall_us: self.wall_us,
            monotonic_us: self.clock.map_or(5, |(_, offset_us)| {
                self.wall_us.saturating_sub(offset_us).unsigned_abs()
            }),
            boot: self
                .clock
                .map_or(BootId::from_bytes([1; 16]), |(boot, _)| boot),
            clock_trusted: self.clock_trusted,
            gap,
            sequence: self.sequence,
        };
        let preamble = Preamble {
            run: RunId::from_bytes([2; 16]),
            anchor_us: START_US,
            init: vec![7; 100],
        };
        let begin = Begin {
            store: self.store,
            stream: self.id,
            epoch: &self.epoch,
            kind: Kind::Media,
            start,
            preamble: &preamble,
        };
        let m = MetadataKey::from_bytes(self.m);
        let secret = self.chain.next();
        let random = &mut self.random;
        let (mut writer, head) = SegmentWriter::begin(begin, secret, &m, random).unwrap();
        let mut chunks = Vec::new();
        for n in 0..fragments {
            let mut buffer = vec![n as u8; SegmentWriter::HEADROOM + fragment_bytes];
            let entry = IndexEntry {
                start_us: n as u64 * FRAGMENT_US,
                duration_us: FRAGMENT_US as u32,
                key_frame: n % 4 == 0,
                chunk_type: ChunkType::Fragment,
            };
            writer.seal_in_place(&mut buffer, entry, random).unwrap();
            chunks.push(Bytes::from(buffer));
        }
        let duration_us = fragments as u64 * FRAGMENT_US;
        let new = NewSegment {
            stream: self.id,
            kind: Kind::Media,
            epoch: self.epoch.id,
            segment: writer.id(),
            start,
        };
        self.sequence += 1;
        self.wall_us += duration_us as i64;
        let end = writer.finish(self.wall_us, b"table", random).unwrap();
        Sealed {
            new,
            head: head.into(),
            chunks,
            end: end.into(),
            duration_us,
        }
    }
}

/// Waits until something is so, at most ten seconds.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "not within 10 s: {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}
