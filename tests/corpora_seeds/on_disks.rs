//! Seeds of what lies on disks, and of what viewers keep of it: logs and segments.

use hearthkeep_format::epoch::{self, Chain, Epoch};
use hearthkeep_format::log::{
    AnchorCause, AuditKind, Deleted, DeletedSegment, DeletionCause, Hold, OPEN_END_US, Record,
    SegmentClosed, Stamped,
};
use hearthkeep_format::segment::{
    Begin, ChunkType, GapCause, HEADER_LEN, IndexEntry, Preamble, SegmentWriter, Start,
};
use hearthkeep_format::{
    BootId, DiskId, EpochId, HoldId, Identity, Kind, MetadataKey, RunId, SeededRandom, SegmentId,
    StreamId,
};
use serde_json::json;

use super::NOW_US;
use crate::targets::{Made, STORE, deleted_seal, shown};

const SIGNER: [u8; 32] = [0x60; 32];
const M: [u8; 32] = [0x30; 32];

/// One record of each kind.
fn records() -> Vec<Stamped> {
    let (stream, epoch) = (StreamId::from_bytes([2; 16]), EpochId::from_bytes([3; 16]));
    let (boot, hold) = (BootId::from_bytes([4; 16]), HoldId::from_bytes([5; 16]));
    let closed = |number: u8| {
        Record::SegmentClosed(SegmentClosed {
            stream,
            epoch,
            segment: SegmentId::from_bytes([number; 16]),
            disk: DiskId::from_bytes([1; 16]),
            root: [7; 32],
            sequence: u64::from(number),
            start_us: NOW_US,
            duration_us: 60_000_000,
            bytes: 1000,
            kind: Kind::Media,
            recovered: false,
            clock_trusted: true,
        })
    };
    let (who, reason) = ("robin".to_owned(), "the fence".to_owned());
    let held = |id| {
        Record::Hold(Hold {
            id,
            streams: vec![stream],
            from_us: NOW_US,
            to_us: NOW_US + 1,
            until_us: OPEN_END_US,
            reason: reason.clone(),
            who: who.clone(),
        })
    };
    let records = [
        Record::Started {
            boot,
            monotonic_us: 5,
            after_crash: true,
            version: "1".to_owned(),
        },
        Record::EpochOpened {
            stream,
            kind: Kind::Media,
            epoch,
            generation: 1,
        },
        closed(8),
        closed(9),
        Record::Deleted(Deleted {
            stream,
            cause: DeletionCause::Age,
            segments: vec![DeletedSegment {
                segment: SegmentId::from_bytes([8; 16]),
                sequence: 8,
            }],
        }),
        Record::Gap {
            stream,
            cause: GapCause::CameraLost,
            from_us: NOW_US,
            to_us: OPEN_END_US,
        },
        held(hold),
        held(HoldId::from_bytes([6; 16])),
        Record::ClockAnchor {
            boot,
            monotonic_us: 9,
            wall_us: NOW_US,
            cause: AnchorCause::Trusted,
        },
        Record::Unhold {
            id: hold,
            reason: reason.clone(),
            who: who.clone(),
        },
        Record::Audit {
            kind: AuditKind::Claimed,
            who: who.clone(),
            detail: String::new(),
        },
    ];
    let stamped = |record| Stamped {
        wall_us: NOW_US,
        clock_trusted: true,
        record,
    };
    records.map(stamped).to_vec()
}

/// A log under whose checkpoint walks succeed. What stands behind its tree is looked at by nobody: it makes the cut between entries and
/// tree one that the target can name.
pub fn log_files() -> Vec<(&'static str, Vec<u8>)> {
    let (records, mut seeds) = (records(), Vec::new());
    for (name, count) in [("one", 0), ("signed", records.len())] {
        let made = Made::of(SIGNER, "", &records[..count]);
        let cut = (0..4096).find_map(|padding| {
            let length = made.entries.len() + made.tree.len() + padding;
            let part = (0..256).find(|part| length * part / 256 == made.entries.len());
            Some((part?, padding))
        });
        let (part, padding) = cut.unwrap();
        let size = count as u8 + 1;
        let numbers = [size, size / 2, size, u8::try_from(part).unwrap()];
        let padding = vec![0; padding];
        let seed = [&numbers[..], &made.entries, &made.tree, &padding].concat();
        seeds.push((name, seed));
    }
    seeds
}

/// A log before a start: whole; with one of two copies damaged; and cut off.
pub fn log_starts() -> Vec<(&'static str, Vec<u8>)> {
    let mut told = Vec::new();
    for stamped in records() {
        let mut record = Vec::new();
        stamped.encode(&mut record).unwrap();
        told.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
        told.extend(record);
    }
    let seed = |name, how: u8| (name, [&[how, 2, 0], &told[..]].concat());
    vec![
        seed("whole", 0),
        seed("entry-of-one", 4),
        seed("entry-of-two", 0x44),
        seed("tree", 0x05),
        seed("cut", 0x80),
    ]
}

/// What a disk remembers of deletions: beside a log as it is, before that went on, and sealed already.
pub fn logs_deleted() -> Vec<(&'static str, Vec<u8>)> {
    let mut told = Vec::new();
    let deletion = |stamped: &Stamped| matches!(stamped.record, Record::Deleted(_));
    let deletions = records().into_iter().filter(deletion);
    for stamped in deletions.cycle().take(2) {
        let mut record = Vec::new();
        stamped.encode(&mut record).unwrap();
        told.extend(u32::try_from(record.len()).unwrap().to_be_bytes());
        told.extend(record);
    }
    let log = shown()[0].key.log();
    let beside = |size: u64| -> [u8; 24] {
        let beside = [&log.as_bytes()[..], &size.to_be_bytes()];
        beside.concat().try_into().unwrap()
    };
    vec![
        ("two", [&[0], &beside(1)[..], &told].concat()),
        ("before", [&[0], &beside(0)[..], &told].concat()),
        ("none", [&[0], &beside(1)[..]].concat()),
        (
            "sealed",
            [vec![1], deleted_seal(&beside(1), &told)].concat(),
        ),
    ]
}

/// What is kept of the logs that the target shows: their newest checkpoints, and an older one.
pub fn logs_seen() -> Vec<(&'static str, Vec<u8>)> {
    let [first, second] = shown();
    let older = Made::of(SIGNER, "", &[]);
    let kept = |made: &Made| {
        let head = json!({"key": made.key.to_text(), "checkpoint": made.note});
        serde_json::to_vec_pretty(&head).unwrap()
    };
    vec![
        ("first", kept(&first)),
        ("second", kept(&second)),
        ("older", kept(&older)),
        ("older-and-no-proof", [kept(&older), vec![0; 33]].concat()),
    ]
}

/// A finished segment and one of the same epoch that was torn: as a crash leaves it; with another envelope; with a chunk that is damaged;
/// and a finished one without its head.
pub fn repaired() -> Vec<(&'static str, Vec<u8>)> {
    let mut random = SeededRandom::new(9);
    let identity = Identity::generate(&mut random);
    let stream = StreamId::from_bytes([2; 16]);
    let recipient = identity.recipient();
    let (epoch, mut chain) = epoch::begin(1, &recipient, &STORE, &stream, Kind::Media, &mut random);
    // Whoever has M does not look into it, and the files stay small.
    let epoch = Epoch {
        envelope: b"no envelope".to_vec(),
        ..epoch
    };
    let (finished, _) = segment(&epoch, stream, &mut chain, &mut random);
    let (whole, torn_at) = segment(&epoch, stream, &mut chain, &mut random);
    let torn = &whole[..torn_at];
    let changed = |bytes: &[u8], at: usize| {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        changed
    };
    let seed = |name, first: &[u8], second: &[u8]| {
        let length = u16::try_from(first.len()).unwrap().to_be_bytes();
        (name, [&length[..], first, second].concat())
    };
    vec![
        seed("torn", &finished, torn),
        seed("envelope", &finished, &changed(torn, HEADER_LEN + 3)),
        seed("chunk", &finished, &changed(torn, torn_at - 300)),
        seed("head", &changed(&finished, HEADER_LEN + 30), &whole),
        seed("tail", &finished, &changed(&whole, whole.len() - 9)),
    ]
}

/// A small segment, and where its last chunk but the footer ends, less some bytes.
fn segment(
    epoch: &Epoch,
    stream: StreamId,
    chain: &mut Chain,
    random: &mut SeededRandom,
) -> (Vec<u8>, usize) {
    let start = Start {
        wall_us: NOW_US,
        monotonic_us: 5,
        boot: BootId::from_bytes([4; 16]),
        clock_trusted: true,
        gap: None,
        sequence: 0,
    };
    let preamble = Preamble {
        run: RunId::from_bytes([6; 16]),
        anchor_us: NOW_US,
        init: vec![7; 20],
    };
    let begin = Begin {
        store: STORE,
        stream,
        epoch,
        kind: Kind::Media,
        start,
        preamble: &preamble,
    };
    let m = MetadataKey::from_bytes(M);
    let begun = SegmentWriter::begin(begin, chain.next(), &m, random);
    let (mut writer, mut bytes) = begun.unwrap();
    for number in 0..4 {
        let mut chunk = vec![number; SegmentWriter::HEADROOM + 40];
        let entry = IndexEntry {
            start_us: u64::from(number) * 500_000,
            duration_us: 500_000,
            key_frame: number == 0,
            chunk_type: ChunkType::Fragment,
        };
        writer.seal_in_place(&mut chunk, entry, random).unwrap();
        bytes.extend(chunk);
    }
    let torn_at = bytes.len() - 20;
    bytes.extend(writer.finish(NOW_US, b"table", random).unwrap());
    (bytes, torn_at)
}
