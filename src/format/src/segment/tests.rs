//! No key and nonce seal twice, whatever happens to the recorder.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{Begin, ChunkType, IndexEntry, Preamble, SegmentWriter, Start};
use crate::aead::record;
use crate::epoch::{self, Epoch, EpochSecret};
use crate::{BootId, Identity, Kind, MetadataKey, RunId, SeededRandom, StoreId, StreamId};

/// What may happen to a recorder.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The next segment begins; the one before is dropped.
    Begin,
    /// A chunk is sealed and stored.
    Seal,
    /// A chunk is sealed and its bytes are lost on the way to the disk.
    FailedWrite,
    /// The segment is finished and the next begins.
    Finish,
    /// The machine is set back to the snapshot: the same chain, the same segment, the same numbers,
    /// from there on. Only the operating system's generator does not give the same bytes again.
    Restore,
    /// A snapshot is taken.
    Snapshot,
    /// The recorder starts again: a new epoch.
    Restart,
}

struct Recorder {
    rng: SeededRandom,
    generation: Identity,
    m: MetadataKey,
    store: StoreId,
    stream: StreamId,
    epoch: Epoch,
    secret: EpochSecret,
    step: u64,
    writer: SegmentWriter,
}

impl Recorder {
    fn new(seed: u64) -> Self {
        let mut rng = SeededRandom::new(seed);
        let generation = Identity::generate(&mut rng);
        let m = MetadataKey::generate(&mut rng);
        let (store, stream) = (StoreId::random(&mut rng), StreamId::random(&mut rng));
        let (epoch, secret) = begin_epoch(&generation, store, stream, &mut rng);
        let writer = begin_segment(&epoch, &secret, 0, (store, stream), &m, &mut rng);
        Self {
            rng,
            generation,
            m,
            store,
            stream,
            epoch,
            secret,
            step: 0,
            writer,
        }
    }

    fn begin(&mut self) {
        self.step += 1;
        let place = (self.store, self.stream);
        self.writer = begin_segment(
            &self.epoch,
            &self.secret,
            self.step,
            place,
            &self.m,
            &mut self.rng,
        );
    }

    fn seal(&mut self) {
        let entry = IndexEntry {
            start_us: 0,
            duration_us: 1,
            key_frame: true,
            chunk_type: ChunkType::Fragment,
        };
        let mut buffer = vec![0; SegmentWriter::HEADROOM + 5];
        self.writer
            .seal_in_place(&mut buffer, entry, &mut self.rng)
            .unwrap();
    }
}

fn begin_epoch(
    generation: &Identity,
    store: StoreId,
    stream: StreamId,
    rng: &mut SeededRandom,
) -> (Epoch, EpochSecret) {
    let recipient = generation.recipient();
    let (epoch, _) = epoch::begin(1, &recipient, &store, &stream, Kind::Media, rng);
    let place = epoch::Place {
        store,
        stream,
        kind: Kind::Media,
        epoch: epoch.id,
        generation: 1,
    };
    let secret = epoch::open(&epoch.envelope, generation, &place).unwrap();
    (epoch, secret)
}

fn begin_segment(
    epoch: &Epoch,
    secret: &EpochSecret,
    step: u64,
    (store, stream): (StoreId, StreamId),
    m: &MetadataKey,
    rng: &mut SeededRandom,
) -> SegmentWriter {
    let start = Start {
        wall_us: 0,
        monotonic_us: 0,
        boot: BootId::from_bytes([0; 16]),
        clock_trusted: false,
        gap: None,
        sequence: 0,
    };
    let preamble = Preamble {
        run: RunId::from_bytes([0; 16]),
        anchor_us: 0,
        init: Vec::new(),
    };
    let begin = Begin {
        store,
        stream,
        epoch,
        kind: Kind::Media,
        start,
        preamble: &preamble,
    };
    SegmentWriter::begin(begin, secret.segment(step).unwrap(), m, rng)
        .unwrap()
        .0
}

fn run(seed: u64, events: &[Event]) {
    let mut recorder = Recorder::new(seed);
    let mut snapshot = (recorder.step, recorder.writer.snapshot());
    for event in events {
        match event {
            Event::Begin => recorder.begin(),
            Event::Seal | Event::FailedWrite => recorder.seal(),
            Event::Finish => {
                let writer = recorder.writer.snapshot();
                writer.finish(0, b"", &mut recorder.rng).unwrap();
                recorder.begin();
            }
            Event::Snapshot => snapshot = (recorder.step, recorder.writer.snapshot()),
            Event::Restore => {
                recorder.step = snapshot.0;
                recorder.writer = snapshot.1.snapshot();
            }
            Event::Restart => {
                let (store, stream) = (recorder.store, recorder.stream);
                let begun = begin_epoch(&recorder.generation, store, stream, &mut recorder.rng);
                (recorder.epoch, recorder.secret) = begun;
                recorder.step = 0;
                recorder.begin();
                snapshot = (recorder.step, recorder.writer.snapshot());
            }
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Begin),
        10 => Just(Event::Seal),
        3 => Just(Event::FailedWrite),
        2 => Just(Event::Finish),
        2 => Just(Event::Snapshot),
        4 => Just(Event::Restore),
        1 => Just(Event::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_key_and_nonce_seal_twice(seed: u64, events in prop::collection::vec(event(), 1..60)) {
        let used = record::during(|| run(seed, &events));
        let count = used.len();
        prop_assert!(count >= 3, "nothing was recorded");
        let distinct: HashSet<_> = used.into_iter().collect();
        prop_assert_eq!(distinct.len(), count, "seed {}", seed);
    }
}

/// The recorder of this test sees what it must: a generator that repeats itself is found out.
#[test]
fn a_generator_that_repeats_is_found() {
    let used = record::during(|| {
        let mut recorder = Recorder::new(1);
        let snapshot = (recorder.rng.clone(), recorder.writer.snapshot());
        recorder.seal();
        (recorder.rng, recorder.writer) = snapshot;
        recorder.seal();
    });
    let count = used.len();
    assert!(used.into_iter().collect::<HashSet<_>>().len() < count);
}
