//! How much of the bare cipher's and hash's speed sealing and opening keep: `cargo bench -p
//! hearthkeep-format`.
//!
//! Each round runs all candidates one after another and the best of all rounds counts, since
//! machines are shared.

use std::hint::black_box;
use std::time::{Duration, Instant};

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use hearthkeep_format::epoch::{Epoch, EpochSecret};
use hearthkeep_format::segment::{
    Begin, ChunkType, IndexEntry, Preamble, SegmentOpener, SegmentWriter, Start,
};
use hearthkeep_format::{
    BootId, EpochId, Kind, MetadataKey, Random, RunId, SeededRandom, StoreId, StreamId,
};
use sha2::{Digest, Sha256};

const ROUNDS: usize = 300;
const BYTES_A_ROUND: usize = 2 * 1024 * 1024;

/// As quick as the operating system's generator, which fills 16 bytes a chunk.
struct Quick(u64);

impl Random for Quick {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

fn main() {
    println!(
        "{:>9} {:>12} {:>12} {:>7} {:>12} {:>12} {:>7}",
        "body", "bare", "seal", "", "bare", "open", ""
    );
    for length in [
        1024,
        4 * 1024,
        16 * 1024,
        64 * 1024,
        256 * 1024,
        1024 * 1024,
    ] {
        bench(length);
    }
}

fn bench(length: usize) {
    let count = (BYTES_A_ROUND / length).min(15_000);
    let [mut bare_seal, mut seal, mut bare_open, mut open] = [Duration::MAX; 4];
    let buffer = || {
        let mut buffer = Vec::with_capacity(length + 105);
        buffer.resize(SegmentWriter::HEADROOM + length, 0x5A);
        buffer
    };
    for round in 0..ROUNDS {
        let mut buffers: Vec<_> = (0..count).map(|_| buffer()).collect();
        bare_seal = bare_seal.min(time(|| buffers.iter_mut().for_each(seal_bare)));
        bare_open = bare_open.min(time(|| {
            buffers.iter_mut().for_each(|buffer| open_bare(buffer))
        }));

        let mut buffers: Vec<_> = (0..count).map(|_| buffer()).collect();
        let mut rng = Quick(round as u64);
        let (mut writer, opener) = begin();
        seal = seal.min(time(|| {
            for buffer in &mut buffers {
                writer
                    .seal_in_place(buffer, ENTRY, &mut rng)
                    .expect("within the limits");
            }
        }));
        open = open.min(time(|| {
            for buffer in &mut buffers {
                black_box(opener.open_chunk_in_place(buffer).expect("just sealed"));
            }
        }));
    }
    let speed = |time: Duration| (count * length) as f64 / time.as_secs_f64() / 1e6;
    let ratio = |bare: Duration, ours: Duration| 100.0 * bare.as_secs_f64() / ours.as_secs_f64();
    println!(
        "{length:>9} {:>7.0} MB/s {:>7.0} MB/s {:>5.1} % {:>7.0} MB/s {:>7.0} MB/s {:>5.1} %",
        speed(bare_seal),
        speed(seal),
        ratio(bare_seal, seal),
        speed(bare_open),
        speed(open),
        ratio(bare_open, open),
    );
}

const ENTRY: IndexEntry = IndexEntry {
    start_us: 0,
    duration_us: 0,
    key_frame: false,
    chunk_type: ChunkType::Fragment,
};

fn seal_bare(buffer: &mut Vec<u8>) {
    let (head, body) = buffer.split_at_mut(56);
    let tag = ChaCha20Poly1305::new(&[7; 32].into())
        .encrypt_inout_detached(&[0; 12].into(), head, InOutBuf::from(body))
        .expect("short");
    buffer.extend_from_slice(&tag);
    let leaf = Sha256::digest(&buffer);
    buffer.extend_from_slice(&leaf);
}

fn open_bare(buffer: &mut [u8]) {
    let (sealed, leaf) = buffer.split_last_chunk_mut::<32>().expect("sealed above");
    assert_eq!(Sha256::digest(&*sealed).as_slice(), leaf);
    let (head, body) = sealed.split_at_mut(56);
    let (body, tag) = body.split_last_chunk_mut::<16>().expect("sealed above");
    ChaCha20Poly1305::new(&[7; 32].into())
        .decrypt_inout_detached(&[0; 12].into(), head, InOutBuf::from(body), (&*tag).into())
        .expect("sealed above");
}

fn begin() -> (SegmentWriter, SegmentOpener) {
    let mut rng = SeededRandom::new(1);
    let (store, stream) = (StoreId::random(&mut rng), StreamId::random(&mut rng));
    let epoch = Epoch {
        id: EpochId::random(&mut rng),
        generation: 1,
        envelope: vec![0; 1700],
    };
    let secret = EpochSecret::from_bytes([3; 32], &stream, Kind::Media);
    let m = MetadataKey::generate(&mut rng);
    let start = Start {
        wall_us: 0,
        monotonic_us: 0,
        boot: BootId::from_bytes([0; 16]),
        clock_trusted: true,
        gap: None,
        sequence: 0,
    };
    let preamble = Preamble {
        run: RunId::random(&mut rng),
        anchor_us: 0,
        init: vec![0; 700],
    };
    let begin = Begin {
        store,
        stream,
        epoch: &epoch,
        kind: Kind::Media,
        start,
        preamble: &preamble,
    };
    let first = secret.segment(0).expect("step 0");
    let (writer, head) = SegmentWriter::begin(begin, first, &m, &mut rng).expect("small");
    let opener = SegmentOpener::open_with_epoch(&head, &secret, Some(&m)).expect("just written");
    (writer, opener)
}

fn time(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}
