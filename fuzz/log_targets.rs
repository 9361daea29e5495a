//! The targets of the signed log as it lies on disks, and of what viewers keep of it. Part of `house_targets.rs`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep::cli::kept_head;
use hearthkeep::clock::{Clock, SimClock};
use hearthkeep::disk::Disk;
use hearthkeep::state_file::StateKey;
use hearthkeep::store::anchors::Anchors;
use hearthkeep::store::catalog::Memory as Records;
use hearthkeep::store::layout::{self, DiskIdentity};
use hearthkeep::store::log::{Flaw, LogFiles, OnDisks, Reader, find, unlogged_on};
use hearthkeep::store::{LogSettings, MountedDisk, Options, SharedKeys, Store, lock};
use hearthkeep_format::log::{
    Ask, BeginCause, Checkpoint, Entry, Examination, Head, LogKey, Outcome, Record, Stamped,
};
use hearthkeep_format::merkle::{Hash, Tree, verify_consistency, verify_inclusion};
use hearthkeep_format::{DiskId, HoldId, Identity, LogId, MetadataKey, SeededRandom, SigningKey};

use super::memory::Memory;
use super::{M, STORE};

/// The seed of the key that signs the logs of the corpora, as bytes and as it stands in `log.sealed`.
const SIGNER: [u8; 32] = [0x60; 32];
const SIGNER_TEXT: &str = "YGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGA=";
/// The key of the machine whose logs these are.
const MACHINE: [u8; 32] = [5; 32];
/// Where a disk remembers deletions, which is part of what they are sealed for.
const DELETED: &str = "log/deleted.sealed";
const RECORDS_MAX: usize = 32;
/// What fits an entry.
const RECORD_LEN_MAX: usize = 32 << 10;
/// Turns after which a start has read its log: a few a disk and a piece.
const TURNS_MAX: usize = 2_000;

/// The files of a log.
#[derive(Clone)]
pub struct Made {
    pub key: LogKey,
    pub note: String,
    pub entries: Vec<u8>,
    pub tree: Vec<u8>,
}

/// What the entries at the beginning of these bytes come to.
struct Told {
    leaves: Vec<Hash>,
    /// The roots over the first of them, from none on.
    roots: Vec<Hash>,
}

impl Told {
    fn of(mut entries: &[u8], size: u64) -> Self {
        let (mut tree, mut leaves) = (Tree::default(), Vec::new());
        let mut roots = vec![tree.root()];
        while tree.count() < size
            && let Ok(entry) = Entry::parse(entries)
        {
            tree.push(entry.leaf());
            leaves.push(entry.leaf());
            roots.push(tree.root());
            entries = &entries[entry.bytes().len()..];
        }
        Self { leaves, roots }
    }
}

fn signer(seed: [u8; 32]) -> (SigningKey, LogKey) {
    let signer = Identity::from_seed(seed).signing_key();
    let key = LogKey {
        store: STORE,
        key: signer.verifying_key(),
    };
    (signer, key)
}

fn signed(seed: [u8; 32], size: u64, root: Hash) -> String {
    let (signer, key) = signer(seed);
    let checkpoint = Checkpoint {
        store: STORE,
        log: key.log(),
        size,
        root,
    };
    checkpoint.sign(&signer).expect("it is this log's key")
}

impl Made {
    /// A log that says this after its first entry.
    pub fn of(seed: [u8; 32], previous: &str, records: &[Stamped]) -> Self {
        let (_, key) = signer(seed);
        let begun = Stamped {
            wall_us: 1,
            clock_trusted: true,
            record: Record::Begun {
                store: STORE,
                key: key.key,
                cause: BeginCause::First,
                previous: previous.to_owned(),
            },
        };
        let (m, mut random) = (MetadataKey::from_bytes(M), SeededRandom::new(7));
        let (mut tree, mut entries, mut nodes) = (Tree::default(), Vec::new(), Vec::new());
        for (index, stamped) in (0..).zip(std::iter::once(&begun).chain(records)) {
            let sealed = Entry::seal(stamped, &key.log(), index, (1, &m), &mut random);
            let sealed = sealed.expect("what was decoded can be sealed");
            let leaf = Entry::parse(&sealed).expect("it was sealed").leaf();
            entries.extend(sealed);
            let end = entries.len() as u64;
            tree.push_told(leaf, |hash| {
                nodes.extend_from_slice(&hash);
                nodes.extend_from_slice(&end.to_be_bytes());
            });
        }
        Self {
            key,
            note: signed(seed, tree.count(), tree.root()),
            entries,
            tree: nodes,
        }
    }

    pub fn folder(&self) -> PathBuf {
        Path::new(layout::LOG).join(self.key.log().to_string())
    }

    fn put(&self, disk: &Memory) {
        let put = |name: &str, bytes: &[u8]| {
            disk.put(&self.folder().join(name), Arc::new(bytes.to_vec()));
        };
        put("key", format!("{}\n", self.key.to_text()).as_bytes());
        put("checkpoint", self.note.as_bytes());
        put("entries", &self.entries);
        put("tree", &self.tree);
    }
}

fn keys() -> SharedKeys {
    Arc::new(|generation| (generation == 1).then(|| MetadataKey::from_bytes(M)))
}

/// A log whose entries and tree are whatever lies on the disk, once under a checkpoint that was signed for these entries, and once under
/// another one. Returns how many copies could be made whole.
pub fn log_files(data: &[u8]) -> usize {
    let Some((numbers, rest)) = data.split_first_chunk::<4>() else {
        return 0;
    };
    let [size, from, to, part] = numbers.map(u64::from);
    let (entries, tree) = rest.split_at(rest.len() * part as usize / 256);
    let told = Told::of(entries, size);
    let root = told.roots.get(size as usize);
    let mut mended = 0;
    for root in [root.copied(), Some([7; 32])].into_iter().flatten() {
        let made = Made {
            key: signer(SIGNER).1,
            note: signed(SIGNER, size, root),
            entries: entries.to_vec(),
            tree: tree.to_vec(),
        };
        let disk = Memory::default();
        made.put(&disk);
        let files = LogFiles::open(&disk, &STORE, &made.key.log());
        let files = files.expect("key and checkpoint are right");
        let is_right = told.roots.get(size as usize) == Some(&root);
        match files.verify() {
            Ok(()) | Err(Flaw::Tree) => assert!(is_right),
            Err(_) => assert!(!is_right, "these entries were signed"),
        }
        if let Ok(piece) = files.piece(from, to) {
            assert!(piece.len() <= entries.len());
        }
        let _ = files.consistency(from, to);
        if is_right {
            prove(&files, &told, from, size);
        }
        mended += read_all(&made, &disk, is_right);
    }
    mended
}

/// What is proven of a log whose entries are right is so, whatever its tree says.
fn prove(files: &LogFiles, told: &Told, at: u64, size: u64) {
    let root = told.roots[size as usize];
    if let Some(leaf) = told.leaves.get(at as usize)
        && let Ok(proof) = files.inclusion(at, size)
    {
        verify_inclusion(leaf, at, size, &proof, &root).expect("it is in there");
    }
    if let Some(begins) = told.roots.get(at as usize)
        && at > 0
        && let Ok(proof) = files.consistency(at, size)
    {
        verify_consistency(at, size, &proof, begins, &root).expect("it is its beginning");
    }
}

/// All that is asked of logs on disks: of this one, and of one that was cut off. Returns how many of them could be made whole.
fn read_all(made: &Made, disk: &Memory, is_right: bool) -> usize {
    let cut = Memory::default();
    Made {
        entries: made.entries[..made.entries.len() / 2].to_vec(),
        ..made.clone()
    }
    .put(&cut);
    let disks: Vec<Arc<dyn Disk>> = vec![Arc::new(disk.clone()), Arc::new(cut)];
    let keys = keys();
    let look = || find(&disks, &STORE, &*keys);
    let chain = look();
    let _ = (chain.verify(), chain.lacks(&disks));
    for log in chain.readable() {
        let (mut reader, mut count) = (Reader::new(Arc::clone(&keys)), 0);
        while let Ok(read) = reader.next(&log.files)
            && !read.is_empty()
        {
            for (index, _) in read {
                assert_eq!(index, count, "each entry once, in its order");
                count += 1;
            }
        }
        assert!(count <= log.files.checkpoint.size);
    }
    let _ = Anchors::logged(&disks, &STORE, &keys);
    let mendable = chain.mendable(&disks, &STORE, None);
    for one in &mendable {
        assert!(is_right, "nothing comes of what was not signed");
        one.mend(&disks, &STORE).expect("memory takes it");
        let mended = LogFiles::open(&*disks[one.to], &STORE, &one.log);
        let mended = mended.expect("it was written").verify();
        assert!(mended.is_ok(), "{mended:?}");
    }
    assert_eq!(look().mendable(&disks, &STORE, None), [], "it is mended");
    mendable.len()
}

/// Records, each after its length; those that are none are left out.
fn records(mut data: &[u8]) -> Vec<Stamped> {
    let mut records = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk::<2>()
        && records.len() < RECORDS_MAX
    {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (record, rest) = rest.split_at(length);
        let fits = record.len() <= RECORD_LEN_MAX;
        records.extend(Stamped::decode(record).ok().filter(|_| fits));
        data = rest;
    }
    // Those that nobody writes after the first entry.
    let is_no_more =
        |record: &Record| matches!(record, Record::Begun { .. } | Record::Unknown { .. });
    records.retain(|stamped| !is_no_more(&stamped.record));
    records
}

/// A start that goes on with a log of these records, of which a disk has one copy that is damaged or cut off anywhere, and another disk
/// a second one, or none. Returns what is held then.
pub fn log_start(data: &[u8]) -> BTreeSet<HoldId> {
    let Some(([how, high, low], rest)) = data.split_first_chunk::<3>() else {
        return BTreeSet::new();
    };
    let records = records(rest);
    let made = Made::of(SIGNER, "", &records);
    let disks = [Memory::default(), Memory::default()];
    made.put(&disks[0]);
    if how & 0x40 != 0 {
        made.put(&disks[1]);
    }
    let name = ["entries", "tree", "checkpoint", "key"][usize::from(how & 3)];
    let path = made.folder().join(name);
    let mut bytes = disks[0].bytes(&path).to_vec();
    let at = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
    match how & 0x80 {
        0 => bytes[at] ^= how >> 2 & 0xF,
        _ => bytes.truncate(at),
    }
    disks[0].put(&path, Arc::new(bytes));
    let held = records.iter().filter_map(|stamped| match &stamped.record {
        Record::Hold(hold) => Some(hold.id),
        _ => None,
    });
    let held: BTreeSet<_> = held.collect();
    let replayed = start(&made, &disks);
    assert!(replayed.is_subset(&held), "no hold is made up");
    replayed
}

/// Starts a recorder there, and returns what is held by then.
fn start(made: &Made, disks: &[Memory; 2]) -> BTreeSet<HoldId> {
    let folder = super::temporary();
    let state_key = StateKey::new(MACHINE.into());
    let own = format!(
        r#"{{"version":1,"seed":"{SIGNER_TEXT}","checkpoint":{:?}}}"#,
        made.note
    );
    let sealed = state_key.seal("log.sealed", own.as_bytes(), &mut SeededRandom::new(2));
    std::fs::write(folder.path().join("log.sealed"), sealed).expect("there is room for a file");
    let mounted = (1..).zip(disks).map(|(number, disk)| {
        let identity = DiskIdentity {
            store: STORE,
            disk: DiskId::from_bytes([number; 16]),
        };
        let id_file = layout::id_file(&identity, false);
        disk.put(Path::new(layout::ID_FILE), Arc::new(id_file));
        let path = PathBuf::from(format!("/disk/{number}"));
        let mounted = MountedDisk::with(Arc::new(disk.clone()), &path, STORE, identity.disk, None);
        mounted.expect("its id file is right")
    });
    let clock = Arc::new(SimClock::new(1_790_000_000_000_000));
    let state = folder.path().to_owned();
    let mut options = Options::new(state, STORE, mounted.collect(), keys(), clock.clone());
    options.catalog = Some(Arc::new(Records::default()));
    options.log = Some(LogSettings {
        state_key,
        generation: 1,
    });
    let lock = lock::acquire(folder.path()).expect("nobody else has it");
    let (store, hands, _) = Store::open_driven(options, lock).expect("its disks are there");
    for _ in 0..TURNS_MAX {
        if store.log().is_replayed() {
            break;
        }
        let next = hands.waiting().into_iter().min();
        let (at_us, number) = next.expect("the keeper waits for its turn");
        let wait_us = at_us.saturating_sub(clock.monotonic_us());
        clock.advance_us(u32::try_from(wait_us).unwrap_or(u32::MAX));
        hands.turn(number);
    }
    assert!(store.log().is_replayed(), "a start comes to its end");
    let held = store.log().holds().into_iter().map(|hold| hold.id);
    let held = held.collect();
    store.close();
    held
}

/// Seals what a disk remembers of deletions, behind 24 bytes that say beside which log, and how long that was.
pub fn deleted_seal(beside: &[u8; 24], plain: &[u8]) -> Vec<u8> {
    let (log, size) = beside.split_at(16);
    let log = LogId::from_bytes(log.try_into().expect("24 bytes are 16 and 8"));
    let size = u64::from_be_bytes(size.try_into().expect("24 bytes are 16 and 8"));
    let name = format!("{DELETED}/{log}/{size}");
    let sealed = StateKey::new(MACHINE.into()).seal(&name, plain, &mut SeededRandom::new(2));
    [&beside[..], &sealed].concat()
}

/// What a disk remembers of deletions beside a log of one entry, whatever it says: behind the seal, or, after an odd byte, as it lies
/// there. Returns how many are believed.
pub fn log_deleted(data: &[u8]) -> usize {
    let Some((how, rest)) = data.split_first() else {
        return 0;
    };
    let lies = match rest.split_first_chunk::<24>() {
        Some((beside, plain)) if how % 2 == 0 => deleted_seal(beside, plain),
        _ => rest.to_vec(),
    };
    let (made, disk) = (Made::of(SIGNER, "", &[]), Memory::default());
    made.put(&disk);
    let found = deleted_on(&disk, &lies, MACHINE);
    let Some(beside) = rest.first_chunk::<24>() else {
        assert!(found.deleted.is_empty());
        return 0;
    };
    if beside[..16] == made.key.log().as_bytes()[..] && beside[16..] == [0; 8] {
        assert!(found.deleted.is_empty(), "the log has gone on since");
        assert_eq!(found.unread, [], "nor is anything lacking");
        return 0;
    }
    assert!(found.deleted.is_empty() || found.unread.is_empty());
    let other = deleted_on(&disk, &lies, [6; 32]);
    assert_eq!((other.deleted.len(), other.unread.len()), (0, 1));
    let mut again = Vec::new();
    for deleted in &found.deleted {
        let stamped = Stamped {
            wall_us: 0,
            clock_trusted: false,
            record: Record::Deleted(deleted.clone()),
        };
        let mut record = Vec::new();
        let encoded = stamped.encode(&mut record);
        encoded.expect("what was decoded can be encoded");
        again.extend((record.len() as u32).to_be_bytes());
        again.extend(record);
    }
    let again = deleted_on(&disk, &deleted_seal(beside, &again), MACHINE);
    assert_eq!(again.deleted, found.deleted, "as it is written again");
    found.deleted.len()
}

/// What is found by whoever has this key.
fn deleted_on(disk: &Memory, lies: &[u8], key: [u8; 32]) -> OnDisks {
    disk.put(Path::new(DELETED), Arc::new(lies.to_vec()));
    let (disks, no_folder) = ([Arc::new(disk.clone()) as Arc<dyn Disk>], "/nowhere");
    let state = (Path::new(no_folder), StateKey::new(key.into()));
    unlogged_on(&disks, &STORE, Some(state))
}

/// The two logs that the target `log_seen` shows: the second goes on from the first as it was at two entries.
pub fn shown() -> [Made; 2] {
    let started = |monotonic_us| Stamped {
        wall_us: 2,
        clock_trusted: true,
        record: Record::Started {
            boot: hearthkeep_format::BootId::from_bytes([1; 16]),
            monotonic_us,
            after_crash: false,
            version: String::new(),
        },
    };
    let all = [started(1), started(2)];
    let before = Made::of(SIGNER, "", &all[..1]);
    [
        Made::of(SIGNER, "", &all),
        Made::of([0x61; 32], &before.note, &[]),
    ]
}

/// The file in which a viewer keeps what it has seen, and behind a zero byte what somebody else answers instead of a proof. Returns
/// how often what is shown was believed.
pub fn log_seen(data: &[u8]) -> usize {
    let end = data.iter().position(|byte| *byte == 0);
    let (file, answer) = data.split_at(end.unwrap_or(data.len()));
    let Ok(kept) = kept_head(file) else {
        return 0;
    };
    let mut believed = 0;
    let (made, disk) = (shown(), Memory::default());
    made.iter().for_each(|made| made.put(&disk));
    let heads = made.each_ref().map(|made| Head {
        key: made.key.to_text(),
        note: made.note.clone(),
    });
    let is_ours = heads.iter().any(|head| head.key == kept.key);
    for shown in [&heads[..0], &heads[..1], &heads[..]] {
        let (mut examination, mut ask) = Examination::begin(Some(&kept), shown);
        let outcome = loop {
            let (log, first) = match &ask {
                Ask::Done(outcome) => break outcome.clone(),
                Ask::Consistency { log, .. } | Ask::First { log, .. } => {
                    let files = LogFiles::open(&disk, &STORE, log).expect("it was put there");
                    let first = files.piece(0, 1).expect("memory is always read");
                    (files, first)
                }
            };
            let proof = match &ask {
                Ask::Consistency { from, to, .. } => log.consistency(*from, *to),
                _ => log.inclusion(0, log.checkpoint.size),
            };
            let proof = match answer.get(1..) {
                None | Some([]) => proof.unwrap_or_default(),
                Some(answer) => answer.as_chunks::<32>().0.to_vec(),
            };
            ask = examination.tell(&first, &proof, &|_| Some(MetadataKey::from_bytes(M)));
        };
        match outcome {
            Outcome::Keep(head, _) => {
                assert!(is_ours, "another log's key was kept");
                assert_eq!(Some(&head), shown.last());
                believed += 1;
            }
            Outcome::Complain(_) => {}
            Outcome::None => panic!("something was seen before"),
        }
    }
    believed
}
