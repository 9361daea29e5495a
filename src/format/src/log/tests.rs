use super::*;
use crate::aead::record::during;
use crate::segment::GapCause;
use crate::{
    BootId, DiskId, EpochId, Error, HoldId, Identity, Kind, LogId, MetadataKey, SeededRandom,
    SegmentId, SigningKey, StoreId, StreamId, merkle,
};

const STORE: StoreId = StoreId::from_bytes([0x51; 16]);

fn key() -> SigningKey {
    Identity::from_seed([9; 32]).signing_key()
}

fn log_key() -> LogKey {
    LogKey {
        store: STORE,
        key: key().verifying_key(),
    }
}

fn stamped(record: Record) -> Stamped {
    Stamped {
        wall_us: 1_767_225_600_000_000,
        clock_trusted: true,
        record,
    }
}

/// One of each.
fn records() -> Vec<Record> {
    let stream = StreamId::from_bytes([1; 16]);
    let epoch = EpochId::from_bytes([2; 16]);
    let segment = SegmentId::from_bytes([3; 16]);
    let text = str::to_owned;
    vec![
        Record::Begun {
            store: STORE,
            key: key().verifying_key(),
            cause: BeginCause::RolledBack,
            previous: text("a note\n"),
        },
        Record::Started {
            boot: BootId::from_bytes([4; 16]),
            monotonic_us: 5,
            after_crash: true,
            version: text("0.1.0"),
        },
        Record::EpochOpened {
            stream,
            kind: Kind::Media,
            epoch,
            generation: 3,
        },
        Record::SegmentClosed(SegmentClosed {
            stream,
            epoch,
            segment,
            disk: DiskId::from_bytes([6; 16]),
            kind: Kind::Previews,
            root: [7; 32],
            sequence: 8,
            start_us: -9,
            duration_us: 10,
            bytes: 11,
            recovered: true,
            clock_trusted: false,
        }),
        Record::Deleted(Deleted {
            stream,
            cause: DeletionCause::ByHand,
            segments: vec![
                DeletedSegment {
                    segment,
                    sequence: 12,
                };
                2
            ],
        }),
        Record::Gap {
            stream,
            cause: GapCause::CameraLost,
            from_us: 13,
            to_us: OPEN_END_US,
        },
        Record::Hold(Hold {
            id: HoldId::from_bytes([14; 16]),
            streams: vec![stream; 3],
            from_us: 15,
            to_us: 16,
            until_us: OPEN_END_US,
            reason: text("the fence"),
            who: text("owner"),
        }),
        Record::Unhold {
            id: HoldId::from_bytes([14; 16]),
            reason: text("done"),
            who: text(""),
        },
        Record::ClockAnchor {
            boot: BootId::from_bytes([4; 16]),
            monotonic_us: 17,
            wall_us: 18,
            cause: AnchorCause::Jump,
        },
        Record::Audit {
            kind: AuditKind::Passphrase,
            who: text("owner"),
            detail: text("with the kit"),
        },
    ]
}

#[test]
fn records_are_read_back_and_nothing_else_is() {
    for record in records() {
        let record = stamped(record);
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        assert_eq!(Stamped::decode(&bytes), Ok(record.clone()), "{record:?}");
        for length in 0..bytes.len() {
            assert!(Stamped::decode(&bytes[..length]).is_err(), "{record:?}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(Stamped::decode(&longer).is_err(), "{record:?}");
        // Whatever else is read is another record, written in one way only.
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x41;
            if let Ok(other) = Stamped::decode(&changed) {
                assert_ne!(other, record);
                let mut again = Vec::new();
                other.encode(&mut again).unwrap();
                assert!(again == changed || matches!(other.record, Record::Unknown { .. }));
            }
        }
    }
    let unknown = [&[200, 0, 0, 0, 0, 0, 0, 0][..], &[0; 8], b"what comes"].concat();
    let unknown = Stamped::decode(&unknown).unwrap();
    assert_eq!(unknown.record, Record::Unknown { kind: 200 });
}

#[test]
fn what_is_too_long_is_refused() {
    let too_long = |record| {
        let refused = stamped(record).encode(&mut Vec::new());
        assert!(matches!(refused, Err(Error::Limit { .. })), "{refused:?}");
    };
    too_long(Record::Audit {
        kind: AuditKind::Claimed,
        who: "x".repeat(TEXT_LEN_MAX + 1),
        detail: String::new(),
    });
    too_long(Record::Deleted(Deleted {
        stream: StreamId::from_bytes([1; 16]),
        cause: DeletionCause::Age,
        segments: vec![
            DeletedSegment {
                segment: SegmentId::from_bytes([3; 16]),
                sequence: 1,
            };
            1025
        ],
    }));
}

#[test]
fn entries_open_in_their_place_only() {
    let (m, log) = (MetadataKey::from_bytes([0x30; 32]), log_key().log());
    let record = stamped(records().swap_remove(3));
    let random = &mut SeededRandom::new(1);
    let sealed = Entry::seal(&record, &log, 7, (1, &m), random).unwrap();
    let entry = Entry::parse(&sealed).unwrap();
    assert_eq!((entry.generation, entry.bytes()), (1, &sealed[..]));
    assert_eq!(entry.leaf(), merkle::leaf(&[&sealed]));
    assert_eq!(entry.open(&log, 7, &m), Ok(record));
    assert!(entry.open(&log, 8, &m).is_err());
    let other = LogId::from_bytes([0; 16]);
    assert!(entry.open(&other, 7, &m).is_err());
    let other = MetadataKey::from_bytes([0x31; 32]);
    assert!(entry.open(&log, 7, &other).is_err());
    for at in 0..sealed.len() {
        assert!(Entry::parse(&sealed[..at]).is_err());
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        let opened = Entry::parse(&changed).and_then(|entry| entry.open(&log, 7, &m));
        assert!(opened.is_err(), "byte {at}");
    }
    let mut huge = sealed.clone();
    huge[..4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(Entry::parse(&huge), Err(Error::Limit { .. })));
}

/// A crash lets an index be written again, with another record.
#[test]
fn no_key_seals_twice_where_an_index_is_written_again() {
    let (m, log) = (MetadataKey::from_bytes([0x30; 32]), log_key().log());
    let random = &mut SeededRandom::new(2);
    let used = during(|| {
        for record in records().into_iter().chain(records()) {
            Entry::seal(&stamped(record), &log, 7, (1, &m), random).unwrap();
        }
    });
    let keys: std::collections::BTreeSet<_> = used.iter().collect();
    assert_eq!((used.len(), keys.len()), (20, 20));
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint {
        store: STORE,
        log: log_key().log(),
        size,
        root: [size as u8; 32],
    }
}

#[test]
fn checkpoints_verify_under_their_key_only() {
    let note = checkpoint(12).sign(&key()).unwrap();
    assert_eq!(Checkpoint::verify(&note, &log_key()), Ok(checkpoint(12)));
    assert_eq!(Checkpoint::read_unverified(&note), Ok(checkpoint(12)));
    let stranger = Identity::from_seed([8; 32]).signing_key();
    let stranger = LogKey {
        store: STORE,
        key: stranger.verifying_key(),
    };
    let refused = Checkpoint::verify(&note, &stranger);
    assert!(matches!(refused, Err(Error::Foreign { .. })));
    for at in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[at] ^= 1;
        if let Ok(changed) = String::from_utf8(bytes) {
            assert!(
                Checkpoint::verify(&changed, &log_key()).is_err(),
                "{changed}"
            );
        }
        if note.is_char_boundary(at) {
            assert!(Checkpoint::verify(&note[..at], &log_key()).is_err());
        }
    }
    // A witness may sign it too, and somebody may add a line before it signs: neither says anything here.
    let witnessed = format!("{note}\u{2014} witness.example/w AAAAAAAA\n");
    assert!(Checkpoint::verify(&witnessed, &log_key()).is_ok());
    let many = "\u{2014} witness.example/w AAAAAAAA\n".repeat(16);
    assert!(Checkpoint::verify(&format!("{note}{many}"), &log_key()).is_err());
    let foreign = Checkpoint {
        log: LogId::from_bytes([0; 16]),
        ..checkpoint(1)
    };
    assert!(foreign.sign(&key()).is_err(), "another log's key");
}

#[test]
fn checkpoints_are_written_in_one_way() {
    let note = checkpoint(12).sign(&key()).unwrap();
    for (from, to) in [
        ("\n12\n", "\n012\n"),
        ("\n12\n", "\n+12\n"),
        ("\n12\n", "\n-12\n"),
        ("\n12\n", "\n1099511627777\n"),
        ("\n12\n", "\n12 \n"),
        ("hearthkeep/v1", "hearthkeep/v2"),
        ("/5151", "/A151"),
        ("\n12\n", "\n12\n\n"),
    ] {
        let changed = note.replacen(from, to, 1);
        assert_ne!(changed, note);
        assert!(Checkpoint::read_unverified(&changed).is_err(), "{changed}");
    }
    assert!(Checkpoint::read_unverified(&note.replace("\n12\n", "\n13\n")).is_ok());
    let long = "x".repeat(NOTE_LEN_MAX);
    assert!(Checkpoint::read_unverified(&format!("{note}{long}\n")).is_err());
}

#[test]
fn log_keys_are_read_back() {
    let text = log_key().to_text();
    assert_eq!(LogKey::from_text(&text), Ok(log_key()));
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let changed = String::from_utf8(bytes).unwrap();
        assert!(LogKey::from_text(&changed).is_err(), "{changed}");
    }
    let id = log_key().log();
    let other = LogKey {
        store: StoreId::from_bytes([1; 16]),
        ..log_key()
    };
    assert_ne!(other.log(), id, "a log of another store");
}

#[test]
fn a_viewer_says_what_has_become_of_a_log() {
    let leaves: Vec<merkle::Hash> = (0..9u8).map(|i| [i; 32]).collect();
    let at = |size: usize| Checkpoint {
        root: merkle::root(&leaves[..size]),
        ..checkpoint(size as u64)
    };
    let proof = |old: u64, size: u64| {
        let nodes = |level: u32, index: u64| {
            let from = (index << level) as usize;
            crate::Result::<_>::Ok(merkle::root(&leaves[from..from + (1 << level)]))
        };
        merkle::consistency(old, size, nodes).unwrap()
    };
    assert_eq!(judge(&at(5), &at(9), &proof(5, 9)), Verdict::Grown);
    assert_eq!(judge(&at(5), &at(5), &[]), Verdict::Same);
    assert_eq!(judge(&at(9), &at(5), &[]), Verdict::RolledBack);
    let forked = |size| Checkpoint {
        root: [1; 32],
        ..at(size)
    };
    assert_eq!(judge(&at(5), &forked(5), &[]), Verdict::Forked);
    assert_eq!(judge(&at(5), &forked(9), &proof(5, 9)), Verdict::Forked);
    assert_eq!(judge(&at(5), &at(9), &proof(4, 9)), Verdict::Forked);
    let other = Checkpoint {
        log: LogId::from_bytes([0; 16]),
        ..at(9)
    };
    assert_eq!(judge(&at(5), &other, &[]), Verdict::OtherLog);
}

/// Logs one after another, as a box would show them.
struct Shown {
    keys: Vec<SigningKey>,
    entries: Vec<Vec<Vec<u8>>>,
}

impl Shown {
    fn new() -> Self {
        let (keys, entries) = (Vec::new(), Vec::new());
        let mut shown = Self { keys, entries };
        shown.begin(String::new());
        shown
    }

    fn m() -> MetadataKey {
        MetadataKey::from_bytes([0x30; 32])
    }

    fn key(&self, n: usize) -> LogKey {
        LogKey {
            store: STORE,
            key: self.keys[n].verifying_key(),
        }
    }

    fn begin(&mut self, previous: String) {
        let seed = 40 + self.keys.len() as u8;
        self.keys
            .push(Identity::from_seed([seed; 32]).signing_key());
        self.entries.push(Vec::new());
        let key = self.keys.last().unwrap().verifying_key();
        self.push(Record::Begun {
            store: STORE,
            key,
            cause: BeginCause::StateRestored,
            previous,
        });
    }

    fn push(&mut self, record: Record) {
        let n = self.keys.len() - 1;
        let (log, index) = (self.key(n).log(), self.entries[n].len() as u64);
        let random = &mut SeededRandom::new(index + 100 * n as u64);
        let sealed = Entry::seal(&stamped(record), &log, index, (1, &Self::m()), random);
        self.entries[n].push(sealed.unwrap());
    }

    fn grow(&mut self, by: usize) {
        (0..by).for_each(|_| self.push(records().swap_remove(8)));
    }

    fn leaves(&self, n: usize) -> Vec<merkle::Hash> {
        let entry = |entry: &Vec<u8>| merkle::leaf(&[entry]);
        self.entries[n].iter().map(entry).collect()
    }

    fn head(&self, n: usize) -> Head {
        let leaves = self.leaves(n);
        let checkpoint = Checkpoint {
            store: STORE,
            log: self.key(n).log(),
            size: leaves.len() as u64,
            root: merkle::root(&leaves),
        };
        Head {
            key: self.key(n).to_text(),
            note: checkpoint.sign(&self.keys[n]).unwrap(),
        }
    }

    fn heads(&self) -> Vec<Head> {
        (0..self.keys.len()).map(|n| self.head(n)).collect()
    }

    fn examine(&self, kept: Option<&Head>) -> Outcome {
        let (mut examination, mut ask) = Examination::begin(kept, &self.heads());
        loop {
            let leaves = |log: LogId| {
                let n = (0..self.keys.len())
                    .find(|n| self.key(*n).log() == log)
                    .unwrap();
                (n, self.leaves(n))
            };
            let keys = |generation| (generation == 1).then(Self::m);
            ask = match ask {
                Ask::Done(outcome) => return outcome,
                Ask::Consistency { log, from, to } => {
                    let (_, leaves) = leaves(log);
                    let node = |level, index| node_of(&leaves, level, index);
                    let hashes = merkle::consistency(from, to, node).unwrap();
                    examination.tell(&[], &hashes, &keys)
                }
                Ask::First { log, size } => {
                    let (n, leaves) = leaves(log);
                    let node = |level, index| node_of(&leaves, level, index);
                    let hashes = merkle::inclusion(0, size, node).unwrap();
                    examination.tell(&self.entries[n][0], &hashes, &keys)
                }
            };
        }
    }
}

fn node_of(leaves: &[merkle::Hash], level: u32, index: u64) -> crate::Result<merkle::Hash> {
    let from = (index << level) as usize;
    Ok(merkle::root(&leaves[from..from + (1 << level)]))
}

#[test]
fn a_viewer_keeps_what_goes_on_from_what_it_saw() {
    let mut shown = Shown::new();
    let first = shown.head(0);
    assert_eq!(shown.examine(None), Outcome::Keep(first.clone(), vec![]));
    assert_eq!(
        shown.examine(Some(&first)),
        Outcome::Keep(first.clone(), vec![])
    );
    shown.grow(6);
    let seen = shown.head(0);
    assert_eq!(
        shown.examine(Some(&first)),
        Outcome::Keep(seen.clone(), vec![])
    );
    shown.grow(3);
    // Two new logs, each of which names the one before.
    for n in 0..2 {
        shown.begin(shown.head(n).note);
        shown.grow(n + 1);
    }
    let causes = vec![BeginCause::StateRestored; 2];
    for kept in [&first, &seen, &shown.head(0)] {
        assert_eq!(
            shown.examine(Some(kept)),
            Outcome::Keep(shown.head(2), causes.clone())
        );
    }
    let (mut none, empty) = (shown, Examination::begin(None, &[]).1);
    assert_eq!(empty, Ask::Done(Outcome::None));
    none.keys.clear();
    let gone = none.examine(Some(&seen));
    assert_eq!(gone, Outcome::Complain(Complaint::Gone { seen: 7 }));
}

#[test]
fn a_viewer_complains_of_what_does_not() {
    let mut shown = Shown::new();
    shown.grow(4);
    let early = shown.head(0);
    shown.grow(4);
    let seen = shown.head(0);
    let complaint = |shown: &Shown| match shown.examine(Some(&seen)) {
        Outcome::Complain(complaint) => complaint,
        other => panic!("{other:?}"),
    };
    shown.entries[0].truncate(5);
    assert_eq!(complaint(&shown), Complaint::RolledBack { seen: 9, now: 5 });
    (0..9).for_each(|_| shown.push(records().swap_remove(9)));
    assert_eq!(
        complaint(&shown),
        Complaint::Forked,
        "it has grown over what was seen"
    );
    shown.entries[0].truncate(9);
    assert_eq!(
        complaint(&shown),
        Complaint::Forked,
        "as long, and another one"
    );
    // A new log that names a checkpoint from before what was seen.
    shown.entries[0].truncate(5);
    shown.begin(early.note);
    assert_eq!(complaint(&shown), Complaint::RolledBack { seen: 9, now: 5 });
    // One that names nothing, and one that is shown without the one that was seen.
    shown.keys.pop();
    shown.entries.pop();
    shown.begin(String::new());
    assert_eq!(complaint(&shown), Complaint::Replaced);
    let heads = shown.heads();
    let (_, ask) = Examination::begin(Some(&seen), &heads[1..]);
    assert_eq!(ask, Ask::Done(Outcome::Complain(Complaint::Replaced)));
    let unsigned = Head {
        note: heads[0].note.replace("\n5\n", "\n6\n"),
        ..heads[0].clone()
    };
    let (_, ask) = Examination::begin(Some(&seen), &[unsigned]);
    assert!(matches!(
        ask,
        Ask::Done(Outcome::Complain(Complaint::Unsigned(_)))
    ));
}
