//! A small store in memory: two streams with pictures and sound, a torn segment, the keyring twice, the id file, the signed log.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep::disk::Disk;
use hearthkeep::store::anchors::Anchors;
use hearthkeep::store::check::{self, Findings, Known, Looked, Reading, Slice, Subject};
use hearthkeep::store::inspect::{Keys, Place};
use hearthkeep::store::layout::{self, DiskIdentity};
use hearthkeep::store::repair::{Repair, plan};
use hearthkeep_format::epoch::{self, Chain, Epoch, EpochSecret};
use hearthkeep_format::fmp4::{SampleTable, Track, init_segment};
use hearthkeep_format::fragmenter::{Fragmenter, Limits, Sample, TrackClock};
use hearthkeep_format::log::{BeginCause, Hold, OPEN_END_US, Record, SegmentClosed};
use hearthkeep_format::segment::{
    Begin, ChunkType, File, GapCause, Header, IndexEntry, Preamble, SegmentOpener, SegmentWriter,
    Start,
};
use hearthkeep_format::{
    BootId, DiskId, EpochId, Error, HoldId, Identity, Keyring, Kind, MetadataKey, OpenKeyring,
    Random, RunId, SeededRandom, StoreId, StreamId, generation,
};

use super::log_files::log_files;
use super::memory::Memory;

const START_US: i64 = 1_790_000_000_000_000;
const FRAGMENT_US: u64 = 500_000;
const FRAGMENTS: u64 = 3;

/// A segment, and where its parts end.
pub struct Sealed {
    pub place: Place,
    pub bytes: Vec<u8>,
    /// Where header and envelope, chunk 0, each fragment's chunk and the footer's end.
    pub edges: Vec<usize>,
    pub torn: bool,
}

pub struct Shelf {
    pub disk: Memory,
    pub segments: Vec<Sealed>,
    pub keyring_bytes: Vec<u8>,
    pub store: StoreId,
    pub m: [u8; 32],
    /// What the signed log says.
    pub said: Vec<Option<Record>>,
    open: OpenKeyring,
    secrets: HashMap<EpochId, EpochSecret>,
    id: DiskId,
    anchors: Anchors,
}

/// The bodies of a segment's fragments, by number.
pub type Footage = BTreeMap<u32, Vec<u8>>;

impl Shelf {
    pub fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let mut random = SeededRandom::new(seed);
        let store = StoreId::random(&mut random);
        let owner = Identity::generate(&mut random);
        let kit = Identity::generate(&mut random);
        let created = generation::create_first(&store, &owner, &kit, &mut random);
        let mut keyring = Keyring::new(store);
        keyring.add_generation(&created);
        keyring.seal_streams(&created.metadata_key, 1, "[]", &mut random);
        let mut shelf = Self {
            disk: Memory::default(),
            segments: Vec::new(),
            keyring_bytes: keyring.encode(),
            store,
            m: *created.metadata_key.as_bytes(),
            said: Vec::new(),
            open: keyring.open(&owner).unwrap(),
            secrets: HashMap::new(),
            id: DiskId::random(&mut random),
            anchors: Anchors::default(),
        };
        for torn in [&[false, false, true][..], &[false]] {
            let recipient = created.identity.recipient();
            let stream = StreamId::random(&mut random);
            let kind = Kind::Media;
            let begun = epoch::begin(1, &recipient, &store, &stream, kind, &mut random);
            let mut camera = Camera::new(stream, begun);
            for &torn in torn {
                let sealed = camera.record(&shelf, torn, &mut random);
                let secret = shelf.secret(&sealed);
                shelf.secrets.insert(sealed.place.epoch, secret);
                shelf.segments.push(sealed);
            }
        }
        shelf.fill();
        shelf.keep_log(&Identity::generate(&mut random));
        shelf
    }

    /// Its signed log: seven entries, so that the tree has nodes that its root needs and such that it does not.
    fn keep_log(&mut self, signer: &Identity) {
        let closed = |sealed: &Sealed| {
            Record::SegmentClosed(SegmentClosed {
                stream: sealed.place.stream,
                epoch: sealed.place.epoch,
                segment: sealed.place.segment,
                disk: self.id,
                root: [7; 32],
                sequence: 0,
                start_us: START_US,
                duration_us: FRAGMENTS * FRAGMENT_US,
                bytes: sealed.bytes.len() as u64,
                kind: Kind::Media,
                recovered: false,
                clock_trusted: true,
            })
        };
        let mut records: Vec<_> = self.segments.iter().map(closed).collect();
        records.push(Record::Gap {
            stream: self.segments[0].place.stream,
            cause: GapCause::CameraLost,
            from_us: START_US,
            to_us: START_US + 1,
        });
        records.push(Record::Hold(Hold {
            id: HoldId::from_bytes([9; 16]),
            streams: Vec::new(),
            from_us: START_US,
            to_us: START_US + 1,
            until_us: OPEN_END_US,
            reason: "the fence".to_owned(),
            who: "robin".to_owned(),
        }));
        let (m, signer) = (MetadataKey::from_bytes(self.m), signer.signing_key());
        for (path, bytes) in log_files(self.store, &signer, (1, &m), records.clone()) {
            self.disk.put(&path, Arc::new(bytes));
        }
        let key = signer.verifying_key();
        let begun = Record::Begun {
            store: self.store,
            key,
            cause: BeginCause::First,
            previous: String::new(),
        };
        self.said = std::iter::once(begun).chain(records).map(Some).collect();
    }

    fn fill(&self) {
        let put = |path: &Path, bytes: Vec<u8>| self.disk.put(path, Arc::new(bytes));
        for sealed in &self.segments {
            put(&sealed.place.path(), sealed.bytes.clone());
        }
        for copy in layout::KEYRING_COPIES {
            let path = Path::new(layout::KEYRING).join(copy);
            put(&path, self.keyring_bytes.clone());
        }
        put(Path::new(layout::ID_FILE), self.id_file(false));
    }

    /// The disk's id file, of one that is in use or of one that was retired.
    pub fn id_file(&self, retired: bool) -> Vec<u8> {
        let identity = DiskIdentity {
            store: self.store,
            disk: self.id,
        };
        layout::id_file(&identity, retired)
    }

    pub fn keys(&self) -> Box<Keys> {
        let m = self.m;
        Box::new(move |generation| (generation == 1).then(|| MetadataKey::from_bytes(m)))
    }

    fn known<'a>(&'a self, keys: &'a Keys, open: bool) -> Known<'a> {
        let streams = self.segments.iter().map(|sealed| sealed.place.stream);
        Known {
            store: self.store,
            keys,
            streams: Some(streams.collect::<HashSet<_>>()),
            keyring: Some(self.keyring_bytes.clone()),
            anchors: &self.anchors,
            folders: Vec::new(),
            at_work: false,
            open: open.then_some(&self.open),
        }
    }

    fn subjects(&self, disk: &Memory) -> Vec<Subject> {
        vec![Subject {
            path: PathBuf::from("/disk"),
            disk: Arc::new(disk.clone()) as Arc<dyn Disk>,
            id: Some(self.id),
            readers: 1,
        }]
    }

    /// What the locked check finds.
    pub fn check(&self, disk: &Memory) -> Findings {
        let keys = self.keys();
        let known = self.known(&*keys, false);
        check::check(&self.subjects(disk), &known, Slice::ALL, &|_| Ok(()))
    }

    /// The same beside a recorder that is at work.
    pub fn check_beside(&self, disk: &Memory) -> Findings {
        let keys = self.keys();
        let known = Known {
            at_work: true,
            ..self.known(&*keys, false)
        };
        check::check(&self.subjects(disk), &known, Slice::ALL, &|_| Ok(()))
    }

    /// What the owner finds in one segment.
    pub fn open_check(&self, disk: &Memory, place: &Place) -> Looked {
        let keys = self.keys();
        let known = self.known(&*keys, true);
        check::look(0, disk, place, &known, Reading::Through, &|_| Ok(())).unwrap()
    }

    /// Repairs a disk; errors are left, as the program leaves them.
    pub fn repair(&self, disk: &Memory, findings: &Findings, quarantine: bool) -> Vec<String> {
        let disks = self.subjects(disk);
        let keys = self.keys();
        let repair = Repair {
            disks: &disks,
            store: self.store,
            keys: &*keys,
            keyring: Some(self.keyring_bytes.clone()),
        };
        let steps = plan(findings, quarantine);
        let done = steps.iter().map(|step| repair.carry_out(step));
        done.filter_map(Result::err)
            .map(|error| error.to_string())
            .collect()
    }

    /// What the owner can open of a segment; nothing of one that is gone or refused.
    pub fn footage(&self, disk: &Memory, place: &Place) -> Footage {
        self.opened(disk, place, &|head| {
            let header = Header::parse(head)?;
            let keys = self.open.generation(header.generation);
            let (identity, m) = keys.ok_or(Error::NoMatchingIdentity)?;
            SegmentOpener::open(head, identity, m)
        })
    }

    /// The same with the epoch's secret, which is faster, and looks at no envelope.
    pub fn footage_by_epoch(&self, disk: &Memory, place: &Place) -> Footage {
        let m = MetadataKey::from_bytes(self.m);
        let secret = &self.secrets[&place.epoch];
        self.opened(disk, place, &|head| {
            SegmentOpener::open_with_epoch(head, secret, Some(&m))
        })
    }

    /// The epoch's secret, by the envelope of a segment.
    fn secret(&self, sealed: &Sealed) -> EpochSecret {
        let header = Header::parse(&sealed.bytes).unwrap();
        let envelope = &sealed.bytes[256..header.first_chunk_offset as usize];
        let (identity, _) = self.open.generation(1).unwrap();
        epoch::open(envelope, identity, &header.place()).unwrap()
    }

    fn opened(
        &self,
        disk: &Memory,
        place: &Place,
        unlock: &dyn Fn(&[u8]) -> Result<SegmentOpener, Error>,
    ) -> Footage {
        let Some(bytes) = disk.files().remove(&place.path()) else {
            return Footage::default();
        };
        let Ok(file) = File::open(&**bytes, unlock) else {
            return Footage::default();
        };
        let places = file.places().iter();
        places
            .filter_map(|place| Some((place.k, file.read(place).ok()?)))
            .collect()
    }
}

struct Camera {
    stream: StreamId,
    epoch: Epoch,
    chain: Chain,
    tracks: Vec<Track>,
    sequence: u64,
}

impl Camera {
    fn new(stream: StreamId, (epoch, chain): (Epoch, Chain)) -> Self {
        Self {
            stream,
            epoch,
            chain,
            tracks: vec![
                Track::video(1, 90_000, video_entry()).unwrap(),
                Track::audio(2, 48_000, audio_entry()).unwrap(),
            ],
            sequence: 0,
        }
    }

    /// The next segment; a torn one ends within its last fragment.
    fn record(&mut self, shelf: &Shelf, torn: bool, random: &mut SeededRandom) -> Sealed {
        let preamble = Preamble {
            run: RunId::from_bytes([2; 16]),
            anchor_us: START_US,
            init: init_segment(&self.tracks),
        };
        let length_us = (FRAGMENTS * FRAGMENT_US) as i64;
        let wall_us = START_US + self.sequence as i64 * length_us;
        let start = Start {
            wall_us,
            monotonic_us: 5,
            boot: BootId::from_bytes([1; 16]),
            clock_trusted: true,
            gap: None,
            sequence: self.sequence,
        };
        let begin = Begin {
            store: shelf.store,
            stream: self.stream,
            epoch: &self.epoch,
            kind: Kind::Media,
            start,
            preamble: &preamble,
        };
        let m = MetadataKey::from_bytes(shelf.m);
        let secret = self.chain.next();
        let (mut writer, mut bytes) = SegmentWriter::begin(begin, secret, &m, random).unwrap();
        let header = Header::parse(&bytes).unwrap();
        let mut edges = vec![header.first_chunk_offset as usize, bytes.len()];
        let mut table = SampleTable::new();
        for n in 0..FRAGMENTS {
            let fragment = self.fragment(n, random);
            table.push_fragment(&fragment).unwrap();
            let mut buffer = vec![0; SegmentWriter::HEADROOM];
            fragment.write_to(n as u32 + 1, &mut buffer);
            let entry = IndexEntry {
                start_us: n * FRAGMENT_US,
                duration_us: FRAGMENT_US as u32,
                key_frame: fragment.starts_with_key(),
                chunk_type: ChunkType::Fragment,
            };
            writer.seal_in_place(&mut buffer, entry, random).unwrap();
            bytes.extend(buffer);
            edges.push(bytes.len());
        }
        let place = Place {
            stream: self.stream,
            epoch: self.epoch.id,
            segment: writer.id(),
        };
        let mut encoded = Vec::new();
        table.encode(&mut encoded);
        bytes.extend(
            writer
                .finish(wall_us + length_us, &encoded, random)
                .unwrap(),
        );
        edges.push(bytes.len() - 128 - edges[1]);
        self.sequence += 1;
        if torn {
            bytes.truncate(edges[edges.len() - 2] - 40);
            edges.truncate(edges.len() - 2);
        }
        Sealed {
            place,
            bytes,
            edges,
            torn,
        }
    }

    /// Half a second of pictures and sound.
    fn fragment(&self, n: u64, random: &mut SeededRandom) -> hearthkeep_format::fmp4::Fragment {
        let clock = |timescale, is_video| TrackClock {
            timescale,
            is_video,
        };
        let clocks = vec![clock(90_000, true), clock(48_000, false)];
        let mut fragmenter = Fragmenter::new(clocks, Limits::default()).unwrap();
        let at = self.sequence * FRAGMENTS + n;
        let mut push = |track, decode_time, bytes, key| {
            let mut data = vec![0; bytes];
            random.fill(&mut data);
            let sample = Sample {
                track,
                decode_time,
                composition_offset: 0,
                key,
                data,
            };
            fragmenter.push(sample).unwrap();
        };
        for picture in 0..2 {
            push(0, at * 45_000 + picture * 22_500, 40, picture == 0);
        }
        for sound in 0..3 {
            push(1, at * 24_000 + sound * 8_000, 12, true);
        }
        fragmenter.finish().next().unwrap()
    }
}

/// An `avc1` box with a size of pictures, and nothing else in it.
fn video_entry() -> Vec<u8> {
    let mut entry = vec![0; 86];
    entry[3] = 86;
    entry[4..8].copy_from_slice(b"avc1");
    entry[32..36].copy_from_slice(&[0, 160, 0, 90]);
    entry
}

/// An `mp4a` box with channels and a rate, and nothing else in it.
fn audio_entry() -> Vec<u8> {
    let mut entry = vec![0; 36];
    entry[3] = 36;
    entry[4..8].copy_from_slice(b"mp4a");
    entry[24..28].copy_from_slice(&[0, 2, 0, 16]);
    entry[32..34].copy_from_slice(&48_000_u16.to_be_bytes());
    entry
}
