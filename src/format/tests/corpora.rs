//! The fuzzers' seed corpora, run through the functions that the fuzzers call.
//!
//! `REGENERATE=1 cargo test -p hearthkeep-format --test corpora` writes the seeds anew.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, reason = "only what records is needed here")]
mod clips;
#[path = "vectors/forge.rs"]
#[allow(dead_code, reason = "only good segments are needed here")]
mod forge;
#[path = "../../../fuzz/targets.rs"]
mod targets;

use std::path::{Path, PathBuf};

use forge::Forge;
use hearthkeep_format::log::{
    AuditKind, BeginCause, Checkpoint, Deleted, DeletedSegment, DeletionCause, Entry, Hold, LogKey,
    OPEN_END_US, Record, Stamped,
};
use hearthkeep_format::segment::GapCause;
use hearthkeep_format::{
    HoldId, Identity, Keyring, LogId, MetadataKey, SeededRandom, SegmentId, StoreId, StreamId,
    generation, kit, merkle,
};

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 16] = [
    ("header", targets::header),
    ("walk", targets::walk),
    ("footer", targets::footer),
    ("tail", targets::tail),
    ("stanza", targets::stanza),
    ("keyring", targets::keyring),
    ("statement", targets::statement),
    ("table", targets::table),
    ("init", targets::init),
    ("fragment", targets::fragment),
    ("fragmenter", targets::fragmenter),
    ("texts", targets::texts),
    ("log_record", targets::log_record),
    ("log_entry", targets::log_entry),
    ("log_checkpoint", targets::log_checkpoint),
    ("log_proof", targets::log_proof),
];

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target)
}

/// Seeds that reach far into each parser.
fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    // An envelope that is none: whoever has E does not look into it, and the files stay small.
    let mut forge = Forge::new(7, b"no envelope".to_vec(), |_| {});
    let chunks = [
        forge.chunk(&Forge::fragment(1)),
        forge.chunk(&Forge::fragment(2)),
    ];
    let plan = forge.footer(&chunks);
    let footer = forge.chunk(&plan);
    let whole = forge.file(&[&chunks[..], &[footer]].concat(), false);
    let recovered = forge.file(&chunks, true);
    let end = whole[whole.len() - 128..].to_vec();

    let mut rng = SeededRandom::new(5);
    let store = StoreId::random(&mut rng);
    let (owner, kit) = (Identity::generate(&mut rng), Identity::generate(&mut rng));
    let created = generation::create_first(&store, &owner, &kit, &mut rng);
    let mut keyring = Keyring::new(store);
    keyring.add_generation(&created);
    keyring.seal_streams(&created.metadata_key, 1, "[]", &mut rng);
    let mut seeds = vec![
        ("header", "head", forge.head()),
        ("walk", "torn", whole[..forge.head().len() + 200].to_vec()),
        ("walk", "recovered", recovered),
        ("walk", "whole", whole),
        ("footer", "footer", plan.body),
        (
            "tail",
            "header-and-tail",
            [&forge.header[..], &end].concat(),
        ),
        ("stanza", "envelope", forge::envelope(0x11, 0)),
        ("stanza", "two", forge::envelope(0x11, 1)),
        ("keyring", "empty", Keyring::new(store).encode()),
        ("keyring", "one-generation", keyring.encode()),
        ("statement", "first", created.statement),
    ];
    seeds.extend(footage_seeds());
    seeds.extend(text_seeds(&kit, &store, &owner));
    seeds.extend(log_seeds(store, &owner));
    seeds
}

/// A log of a few entries, its checkpoint and proofs about it.
fn log_seeds(store: StoreId, owner: &Identity) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let key = LogKey {
        store,
        key: owner.signing_key().verifying_key(),
    };
    let stream = StreamId::from_bytes([2; 16]);
    let records = [
        Record::Begun {
            store,
            key: key.key,
            cause: BeginCause::First,
            previous: String::new(),
        },
        Record::Gap {
            stream,
            cause: GapCause::CameraLost,
            from_us: 1,
            to_us: OPEN_END_US,
        },
        Record::Deleted(Deleted {
            stream,
            cause: DeletionCause::Age,
            segments: vec![
                DeletedSegment {
                    segment: SegmentId::from_bytes([3; 16]),
                    sequence: 4,
                };
                3
            ],
        }),
        Record::Hold(Hold {
            id: HoldId::from_bytes([5; 16]),
            streams: vec![stream; 2],
            from_us: 1,
            to_us: 2,
            until_us: 3,
            reason: "the fence".to_owned(),
            who: "owner".to_owned(),
        }),
        Record::Audit {
            kind: AuditKind::Claimed,
            who: "owner".to_owned(),
            detail: String::new(),
        },
    ];
    let (m, log) = (
        MetadataKey::from_bytes(forge::M),
        LogId::from_bytes([0x10; 16]),
    );
    let (mut seeds, mut entries, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
    let names = ["begun", "gap", "deleted", "hold", "audit"];
    for ((index, record), name) in (0..).zip(records).zip(names) {
        let stamped = Stamped {
            wall_us: 6,
            clock_trusted: true,
            record,
        };
        let mut bytes = Vec::new();
        stamped.encode(&mut bytes).unwrap();
        seeds.push(("log_record", name, bytes));
        let sealed = Entry::seal(
            &stamped,
            &log,
            index,
            (1, &m),
            &mut SeededRandom::new(index),
        );
        entries.extend(sealed.unwrap());
        leaves.push([index as u8; 32]);
    }
    seeds.push(("log_entry", "five", entries));
    let root = merkle::root(&leaves);
    let checkpoint = Checkpoint {
        store,
        log: key.log(),
        size: 5,
        root,
    };
    let note = checkpoint.sign(&owner.signing_key()).unwrap();
    let text = format!("{}\n{note}", key.to_text());
    seeds.push(("log_checkpoint", "key-and-note", text.into_bytes()));
    let node = |level: u32, index: u64| {
        let from = (index << level) as usize;
        hearthkeep_format::Result::<_>::Ok(merkle::root(&leaves[from..from + (1 << level)]))
    };
    let proof = |first: [u8; 32], hashes: Vec<[u8; 32]>, small: u64| {
        let numbers = [small.to_be_bytes(), 5u64.to_be_bytes()].concat();
        [root.as_slice(), &first, &hashes.concat(), &numbers].concat()
    };
    let inclusion = merkle::inclusion(2, 5, node).unwrap();
    seeds.push(("log_proof", "inclusion", proof(leaves[2], inclusion, 2)));
    let consistency = merkle::consistency(3, 5, node).unwrap();
    let first = merkle::root(&leaves[..3]);
    seeds.push(("log_proof", "consistency", proof(first, consistency, 3)));
    seeds
}

/// What a camera's clip becomes, and the same with a fault.
fn footage_seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let clip = clips::Clip::read(include_bytes!("data/h264_aac_160x90.mp4"));
    let segment = clip.record(0, 1).swap_remove(0);
    let mut table = Vec::new();
    segment.table.encode(&mut table);
    let init = hearthkeep_format::fmp4::init_segment(&clip.tracks());
    let fragment = segment.fragments[0].clone();
    // Two GOPs with sound between, a cut in the middle of one, and a sample that goes back in time.
    let steps = [
        [2, 0, 0, 9],
        [1, 1, 4, 3],
        [0, 9, 8, 5],
        [4, 9, 8, 5],
        [1, 1, 4, 3],
        [2, 9, 8, 9],
        [8, 9, 9, 0],
        [0, 0, 0, 7],
    ];
    vec![
        ("table", "cut", table[..table.len() - 1].to_vec()),
        ("table", "long", [&table[..], &[0]].concat()),
        ("table", "two-tracks", table),
        ("init", "second-moov", [&init[..], &init].concat()),
        ("init", "two-tracks", init),
        ("fragment", "cut", fragment[..fragment.len() - 1].to_vec()),
        ("fragment", "count", changed(&fragment, b"trun", 11)),
        ("fragment", "version", changed(&fragment, b"tfdt", 4)),
        ("fragment", "two-tracks", fragment),
        ("fragmenter", "two-gops", steps.concat()),
        ("fragmenter", "not-pulled", steps.map(unpulled).concat()),
    ]
}

/// The step, and what is ready stays where it is.
fn unpulled([what, time, shift, size]: [u8; 4]) -> [u8; 4] {
    [what | 8, time, shift, size]
}

/// With another number in the byte that stands so far behind the beginning of a box's name.
fn changed(bytes: &[u8], name: &[u8], behind: usize) -> Vec<u8> {
    let at = bytes.windows(name.len()).position(|w| w == name).unwrap();
    let mut bytes = bytes.to_vec();
    bytes[at + behind] = bytes[at + behind].wrapping_add(1);
    bytes
}

fn text_seeds(
    kit: &Identity,
    store: &StoreId,
    owner: &Identity,
) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let page = kit::page(kit, store, &owner.signing_key().verifying_key());
    let groups = kit::groups(kit);
    let groups: Vec<_> = groups.iter().map(|group| group.as_str()).collect();
    let text = kit.to_text();
    let mistyped = text.replace(groups[3], &groups[3].chars().rev().collect::<String>());
    let texts = [
        ("page", page.to_string()),
        ("groups", groups.join(" ")),
        ("missing-group", groups[1..].join(" ")),
        ("mistyped", mistyped),
        ("identity", text.to_string()),
        ("recipient", kit.recipient().to_text()),
    ];
    let seed = |(name, text): (_, String)| ("texts", name, text.into_bytes());
    texts.map(seed).into()
}

#[test]
fn corpora_are_read_without_surprise() {
    if std::env::var_os("REGENERATE").is_some() {
        for (target, name, bytes) in seeds() {
            std::fs::create_dir_all(folder(target)).unwrap();
            std::fs::write(folder(target).join(name), bytes).unwrap();
        }
    }
    for (target, run) in TARGETS {
        let mut count = 0;
        for entry in std::fs::read_dir(folder(target)).unwrap() {
            run(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{target} has no seeds");
    }
}

/// A few changes to each seed: a fuzzer would make more, and find out which matter.
#[test]
fn seeds_with_changes_are_read_without_surprise() {
    for (target, _, bytes) in seeds() {
        let run = TARGETS.iter().find(|(name, _)| *name == target).unwrap().1;
        let step = (bytes.len() / 400).max(1);
        for at in (0..bytes.len()).step_by(step) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            run(&changed);
            run(&bytes[..at]);
        }
    }
}
