//! A signed log, made here and not by the recorder's own code.

use std::path::PathBuf;

use hearthkeep::store::layout;
use hearthkeep_format::log::{BeginCause, Checkpoint, Entry, LogKey, Record, Stamped};
use hearthkeep_format::merkle::Tree;
use hearthkeep_format::{MetadataKey, SeededRandom, SigningKey, StoreId};

/// Its files below a disk's folder: `key`, `entries`, `tree` and `checkpoint`. These records stand after its first entry; the same seed
/// seals the same entries.
pub fn log_files(
    store: StoreId,
    key: &SigningKey,
    sealed_under: (u32, &MetadataKey),
    records: impl IntoIterator<Item = Record>,
) -> [(PathBuf, Vec<u8>); 4] {
    let log_key = LogKey {
        store,
        key: key.verifying_key(),
    };
    let begun = Record::Begun {
        store,
        key: log_key.key,
        cause: BeginCause::First,
        previous: String::new(),
    };
    let mut random = SeededRandom::new(7);
    let (mut tree, mut entries, mut nodes) = (Tree::default(), Vec::new(), Vec::new());
    for (index, record) in (0..).zip(std::iter::once(begun).chain(records)) {
        let stamped = Stamped {
            wall_us: 1,
            clock_trusted: true,
            record,
        };
        let sealed = Entry::seal(&stamped, &log_key.log(), index, sealed_under, &mut random);
        let sealed = sealed.unwrap();
        let leaf = Entry::parse(&sealed).unwrap().leaf();
        entries.extend(sealed);
        let end = entries.len() as u64;
        tree.push_told(leaf, |hash| {
            nodes.extend_from_slice(&hash);
            nodes.extend_from_slice(&end.to_be_bytes());
        });
    }
    let checkpoint = Checkpoint {
        store,
        log: log_key.log(),
        size: tree.count(),
        root: tree.root(),
    };
    let note = checkpoint.sign(key).unwrap();
    let folder = PathBuf::from(layout::LOG).join(log_key.log().to_string());
    [
        ("key", format!("{}\n", log_key.to_text()).into_bytes()),
        ("entries", entries),
        ("tree", nodes),
        ("checkpoint", note.into_bytes()),
    ]
    .map(|(name, bytes)| (folder.join(name), bytes))
}
