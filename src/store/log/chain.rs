//! All logs of a store that its disks have, the oldest first, and what they say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hearthkeep_format::log::{Checkpoint, Entry, Record, Stamped};
use hearthkeep_format::merkle::Tree;
use hearthkeep_format::{LogId, StoreId};

use super::files::{Flaw, LogFiles, folder, logs_on, mend_tree};
use crate::disk::Disk;
use crate::store::inspect::Keys;
use crate::store::layout;

/// A log, as the disk has it that has most of it.
pub struct FoundLog {
    /// Its files.
    pub files: LogFiles,
    /// Which of the disks they lie on.
    pub disk: usize,
    /// When it was begun, wall time in us.
    pub begun_us: i64,
    /// The last checkpoint of the log before it; empty where there was none.
    pub previous: String,
}

/// The logs of a store, the oldest first.
#[derive(Default)]
pub struct Chain {
    /// The logs.
    pub logs: Vec<FoundLog>,
    /// Further copies of them, on other disks: shorter ones, where a disk was away, or as long.
    pub copies: Vec<FoundLog>,
    /// Copies that cannot be used: which of the disks, where on it, and why.
    pub flaws: Vec<(usize, PathBuf, Flaw)>,
}

impl Chain {
    /// Reads a copy from its beginning, and looks whether it is the beginning of the log that counts.
    ///
    /// # Errors
    /// [`Flaw::Forked`]; or what is wrong with the copy itself.
    pub fn compare(&self, copy: &FoundLog) -> Result<(), Flaw> {
        let checkpoint = &copy.files.checkpoint;
        let is_it = |log: &&FoundLog| log.files.checkpoint.log == checkpoint.log;
        if let Some(log) = self.logs.iter().find(is_it)
            && log.files.root_at(checkpoint.size)? != checkpoint.root
        {
            return Err(Flaw::Forked);
        }
        // Leaves are hashes of what is sealed: no key is needed.
        let mut reader = Reader::new(std::sync::Arc::new(|_| None));
        while !reader.next(&copy.files)?.is_empty() {}
        Ok(())
    }
}

/// Finds the logs of a store. Of each the longest copy that holds what its checkpoint was signed for counts.
pub fn find(disks: &[Arc<dyn Disk>], store: &StoreId, keys: &Keys) -> Chain {
    find_in(disks, store, keys, |_, _, _| Ok(false))
}

/// The same by who may write: a tree that does not fit its entries is made again.
pub(super) fn find_and_mend(disks: &[Arc<dyn Disk>], store: &StoreId, keys: &Keys) -> Chain {
    find_in(disks, store, keys, |disk, store, log| {
        mend_tree(disk, store, log)
    })
}

fn find_in(
    disks: &[Arc<dyn Disk>],
    store: &StoreId,
    keys: &Keys,
    mend: impl Fn(&dyn Disk, &StoreId, &LogId) -> Result<bool, Flaw>,
) -> Chain {
    let mut chain = Chain::default();
    let mut found: BTreeMap<LogId, FoundLog> = BTreeMap::new();
    for (index, disk) in disks.iter().enumerate() {
        let logs = logs_on(&**disk).unwrap_or_else(|error| {
            chain
                .flaws
                .push((index, PathBuf::from(layout::LOG), error.into()));
            Vec::new()
        });
        for log in logs {
            let look = || look(&**disk, index, store, &log, keys);
            let looked = match look() {
                Err(Flaw::Unsound) => match mend(&**disk, store, &log) {
                    Ok(true) => look(),
                    Err(flaw) if flaw.is_failure() => Err(flaw),
                    _ => Err(Flaw::Unsound),
                },
                looked => looked,
            };
            let size = |log: &FoundLog| log.files.checkpoint.size;
            match looked {
                Ok(one) if found.get(&log).is_none_or(|other| size(other) < size(&one)) => {
                    chain.copies.extend(found.insert(log, one));
                }
                Ok(one) => chain.copies.push(one),
                Err(flaw) => chain.flaws.push((index, folder(&log), flaw)),
            }
        }
    }
    chain.logs = in_order(found);
    chain
}

/// Each log after the one that it names; logs that do not name each other by the time at which they say that they began.
fn in_order(mut found: BTreeMap<LogId, FoundLog>) -> Vec<FoundLog> {
    let mut ordered: Vec<FoundLog> = Vec::new();
    while !found.is_empty() {
        let waits = |log: &&FoundLog| match Checkpoint::read_unverified(&log.previous) {
            Ok(previous) => found.contains_key(&previous.log),
            Err(_) => false,
        };
        let ready = found.values().filter(|log| !waits(log));
        // Where logs name each other in a circle, time alone decides.
        let next = ready.min_by_key(|log| log.begun_us);
        let next = next.or_else(|| found.values().min_by_key(|log| log.begun_us));
        let Some(id) = next.map(|log| log.files.checkpoint.log) else {
            break;
        };
        ordered.extend(found.remove(&id));
    }
    ordered
}

fn look(
    disk: &dyn Disk,
    index: usize,
    store: &StoreId,
    log: &LogId,
    keys: &Keys,
) -> Result<FoundLog, Flaw> {
    found(LogFiles::open(disk, store, log)?, index, keys)
}

/// A log whose files were opened on this of the disks, if it holds what its checkpoint was signed for.
pub(super) fn found(files: LogFiles, index: usize, keys: &Keys) -> Result<FoundLog, Flaw> {
    if !files.holds(&files.checkpoint)? {
        return Err(Flaw::Unsound);
    }
    let first = files.piece(0, 1)?;
    let entry = Entry::parse(&first)?;
    let m = keys(entry.generation).ok_or(Flaw::NotBegun)?;
    let stamped = entry
        .open(&files.checkpoint.log, 0, &m)
        .map_err(|_| Flaw::NotBegun)?;
    match stamped.record {
        Record::Begun {
            store,
            key,
            previous,
            ..
        } if store == files.key.store && key == files.key.key => Ok(FoundLog {
            files,
            disk: index,
            begun_us: stamped.wall_us,
            previous,
        }),
        _ => Err(Flaw::NotBegun),
    }
}

/// Reads a log piece by piece, from its first entry on, and checks it against what was signed.
pub struct Reader {
    tree: Tree,
    keys: super::super::SharedKeys,
}

/// An entry that was read: its index, and what it says where it opens.
pub type Read = (u64, Result<Stamped, hearthkeep_format::Error>);

impl Reader {
    /// A reader at a log's beginning.
    pub fn new(keys: super::super::SharedKeys) -> Self {
        let tree = Tree::default();
        Self { tree, keys }
    }

    /// The next entries; none at the end.
    ///
    /// # Errors
    /// Where the disk fails, or at the end, where the entries do not add up to what was signed.
    pub fn next(&mut self, files: &LogFiles) -> Result<Vec<Read>, Flaw> {
        let from = self.tree.count();
        if from == files.checkpoint.size {
            return match self.tree.root() == files.checkpoint.root {
                true => Ok(Vec::new()),
                false => Err(Flaw::Unsound),
            };
        }
        let piece = files.piece(from, files.checkpoint.size)?;
        let (mut rest, mut read) = (&piece[..], Vec::new());
        while !rest.is_empty() {
            let entry = Entry::parse(rest)?;
            let index = self.tree.count();
            self.tree.push(entry.leaf());
            rest = &rest[entry.bytes().len()..];
            let opened = match (self.keys)(entry.generation) {
                Some(m) => entry.open(&files.checkpoint.log, index, &m),
                None => Err(hearthkeep_format::Error::MissingKey { what: "log entry" }),
            };
            read.push((index, opened));
        }
        Ok(read)
    }
}
