//! All logs of a store that its disks have, the oldest first, and what they say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hearthkeep_format::log::{Checkpoint, Entry, Record, Stamped};
use hearthkeep_format::merkle::{Hash, Tree};
use hearthkeep_format::{LogId, StoreId};

use super::files::{Flaw, LogFiles, folder, logs_on};
use super::sound::mend_tree;
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
    /// Reads all copies from their beginning: those that are not as they were signed, and why. What could not be used at all is in
    /// [`flaws`](Self::flaws).
    pub fn verify(&self) -> Vec<(&FoundLog, Flaw)> {
        let logs = self.logs.iter().map(|log| (log, log.files.verify()));
        let copies = self.copies.iter().map(|copy| (copy, self.compare(copy)));
        let looked = logs.chain(copies);
        looked
            .filter_map(|(of, looked)| Some((of, looked.err()?)))
            .collect()
    }

    /// Each log as it is best read: where the copy that counts is damaged, from one that goes as far and is whole.
    pub fn readable(&self) -> impl Iterator<Item = &FoundLog> {
        self.logs.iter().map(|log| {
            let goes_as_far = |copy: &&FoundLog| copy.files.checkpoint == log.files.checkpoint;
            let mut others = self.copies.iter().filter(goes_as_far).peekable();
            match others.peek().is_some() && log.files.verify().is_err() {
                true => others
                    .find(|copy| copy.files.verify().is_ok())
                    .unwrap_or(log),
                false => log,
            }
        })
    }

    /// Reads a copy from its beginning, and looks whether it is the beginning of the log that counts.
    ///
    /// # Errors
    /// [`Flaw::Forked`]; or what is wrong with the copy itself.
    pub fn compare(&self, copy: &FoundLog) -> Result<(), Flaw> {
        let checkpoint = &copy.files.checkpoint;
        let is_it = |log: &&FoundLog| log.files.checkpoint.log == checkpoint.log;
        let log = self.logs.iter().find(is_it);
        // Where it cannot be told, the log that counts has a flaw of its own.
        if let Some(Ok(false)) = log.map(|log| log.files.begins_with(checkpoint)) {
            return Err(Flaw::Forked);
        }
        copy.files.verify()
    }
}

/// Finds the logs of a store. Of each the longest copy that holds what its checkpoint was signed for counts, also where its tree has
/// rotted.
pub fn find(disks: &[Arc<dyn Disk>], store: &StoreId, keys: &Keys) -> Chain {
    find_in(disks, store, keys, |disk, log, index| {
        let files = LogFiles::open(disk, store, log)?;
        match files.verify() {
            Err(Flaw::Tree) => begun(files, index, keys),
            looked => Err(looked.err().unwrap_or(Flaw::Unsound)),
        }
    })
}

/// The same by who may write: a tree that does not fit its entries is made again.
pub(super) fn find_and_mend(disks: &[Arc<dyn Disk>], store: &StoreId, keys: &Keys) -> Chain {
    find_in(disks, store, keys, |disk, log, index| {
        match mend_tree(disk, store, log)? {
            true => look(disk, index, store, log, keys),
            false => Err(Flaw::Unsound),
        }
    })
}

/// `make_do` is asked for what may be had of a copy whose tree or entries are not what was signed.
fn find_in(
    disks: &[Arc<dyn Disk>],
    store: &StoreId,
    keys: &Keys,
    make_do: impl Fn(&dyn Disk, &LogId, usize) -> Result<FoundLog, Flaw>,
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
            let looked = match look(&**disk, index, store, &log, keys) {
                Err(Flaw::Unsound) => match make_do(&**disk, &log, index) {
                    Err(flaw) if !flaw.is_failure() => Err(Flaw::Unsound),
                    made => made,
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
    begun(files, index, keys)
}

/// The same by its first entry alone.
fn begun(files: LogFiles, index: usize, keys: &Keys) -> Result<FoundLog, Flaw> {
    let first = files.bytes_from(0)?;
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
    /// Where the next entry begins.
    at: u64,
    keys: super::super::SharedKeys,
}

/// An entry that was read: its index, and what it says where it opens.
pub type Read = (u64, Result<Stamped, hearthkeep_format::Error>);

impl Reader {
    /// A reader at a log's beginning.
    pub fn new(keys: super::super::SharedKeys) -> Self {
        let tree = Tree::default();
        Self { tree, at: 0, keys }
    }

    /// The next entries; none at the end. Behind one that is damaged it goes on where the tree says that the next one begins: what it
    /// says of its own length may be wrong too.
    ///
    /// # Errors
    /// Where the disk fails, or at the end, where the entries do not add up to what was signed.
    pub fn next(&mut self, files: &LogFiles) -> Result<Vec<Read>, Flaw> {
        let size = files.checkpoint.size;
        if self.tree.count() == size {
            return match self.tree.root() == files.checkpoint.root {
                true => Ok(Vec::new()),
                false => Err(Flaw::Unsound),
            };
        }
        let bytes = files.bytes_from(self.at)?;
        let (mut rest, mut read) = (&bytes[..], Vec::new());
        while self.tree.count() < size {
            let index = self.tree.count();
            let entry = match Entry::parse(rest) {
                Ok(entry) => entry,
                // Of the last one in a piece not all may be there.
                Err(_) if !read.is_empty() => break,
                Err(error) => {
                    self.pass_over(files, [0; 32])?;
                    read.push((index, Err(error)));
                    break;
                }
            };
            match (self.keys)(entry.generation) {
                Some(m) => match entry.open(&files.checkpoint.log, index, &m) {
                    Ok(stamped) => read.push((index, Ok(stamped))),
                    Err(error) => {
                        self.pass_over(files, entry.leaf())?;
                        read.push((index, Err(error)));
                        break;
                    }
                },
                None => {
                    let error = hearthkeep_format::Error::MissingKey { what: "log entry" };
                    read.push((index, Err(error)));
                }
            }
            self.tree.push(entry.leaf());
            self.at += entry.bytes().len() as u64;
            rest = &rest[entry.bytes().len()..];
        }
        Ok(read)
    }

    /// Goes on behind a damaged entry.
    fn pass_over(&mut self, files: &LogFiles, leaf: Hash) -> Result<(), Flaw> {
        self.at = files.end_bytes(self.tree.count() + 1)?;
        self.tree.push(leaf);
        Ok(())
    }
}
