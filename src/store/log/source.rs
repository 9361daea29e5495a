//! A log as a start reads it: from whichever of its copies has an entry as it was written.
//!
//! An entry opens under its log and its index, or it is not that entry. So nothing else is asked of a copy here: one whose tree or
//! checkpoint has rotted still gives its entries, and where one entry has rotted another copy has it.

use std::collections::BTreeSet;
use std::io;

use hearthkeep_format::log::{Checkpoint, Entry, LogKey, Stamped};
use hearthkeep_format::merkle::Hash;
use hearthkeep_format::{DiskId, LogId};

use super::chain::Chain;
use super::files::{self, LogFiles};
use super::seats::LogDisk;
use super::summary::Summed;
use crate::store::inspect::Keys;

/// A log, and its copies.
pub(super) struct Source {
    log: LogId,
    size: u64,
    /// The root over all entries, as it was signed.
    root: Hash,
    /// The next entry.
    at: u64,
    copies: Vec<Copy>,
    /// Why another copy could not be opened, which may have what these lack.
    failed: Option<io::Error>,
    /// The disks that failed to be read.
    failing: BTreeSet<DiskId>,
}

struct Copy {
    disk: DiskId,
    files: LogFiles,
    /// An entry, and where it begins.
    at: (u64, u64),
}

/// What comes next in a log; `None` for an entry that no copy gives.
pub(super) type Piece = Vec<Option<Stamped>>;

/// All logs of the disks, in the order of the chain. `ours` is what the state folder remembers, and whether the disks have all of that.
pub(super) fn all(
    disks: &[LogDisk],
    chain: &Chain,
    ours: Option<(LogKey, String, bool)>,
) -> Vec<Source> {
    let found = chain.logs.iter().map(|log| &log.files);
    let mut wanted: Vec<_> = found.map(|files| (files.key, files.note.clone())).collect();
    if let Some((key, note, is_there)) = ours {
        match wanted
            .iter_mut()
            .find(|(known, _)| known.log() == key.log())
        {
            // A disk's own checkpoint may be older than its entries: it is written after that of the state folder.
            Some(found) if is_there => found.1 = note,
            Some(_) => {}
            None => wanted.push((key, note)),
        }
    }
    let source = |(key, note)| Source::open(disks, key, note);
    wanted.into_iter().map(source).collect()
}

/// Goes on behind what was summed up before, if these logs begin with just that; whether they do.
pub(super) fn go_on(sources: &mut [Source], summed: &[Summed]) -> bool {
    let Some((last, before)) = summed.split_last() else {
        return false;
    };
    // One that has grown meanwhile would be followed by others that were read without what is new in it.
    let are_whole = sources
        .iter()
        .zip(before)
        .all(|(source, of)| source.size == of.size && source.begins_with(of));
    let at_last = sources.get(before.len());
    let is_it = are_whole && at_last.is_some_and(|source| source.begins_with(last));
    if is_it {
        let both = sources.iter_mut().zip(summed);
        both.for_each(|(source, of)| source.at = of.size);
    }
    is_it
}

impl Source {
    fn open(disks: &[LogDisk], key: LogKey, note: String) -> Self {
        let mut source = Self {
            log: key.log(),
            size: 0,
            root: Hash::default(),
            at: 0,
            copies: Vec::new(),
            failed: None,
            failing: BTreeSet::new(),
        };
        for disk in disks {
            let (id, at) = (disk.id, (0, 0));
            match LogFiles::open_at(&*disk.disk, key, &note) {
                Ok(files) => source.copies.push(Copy {
                    disk: id,
                    files,
                    at,
                }),
                Err(flaw) => {
                    if let Err(error) = flaw.of_copy() {
                        source.failed = Some(error);
                        source.failing.insert(id);
                    }
                }
            }
        }
        // What no disk has is not to be read, and what a disk fails to open is.
        if (!source.copies.is_empty() || source.failed.is_some())
            && let Ok(checkpoint) = Checkpoint::verify(&note, &key)
        {
            (source.size, source.root) = (checkpoint.size, checkpoint.root);
        }
        // Of a copy whose checkpoint has rotted more may have been published than is known here.
        let behind = source.copies.iter().filter_map(|copy| {
            let disk = disks.iter().find(|disk| disk.id == copy.disk)?;
            match files::vouches(&*disk.disk, &key) {
                Ok(false) => copy.files.entries_behind().ok(),
                _ => None,
            }
        });
        source.size += behind.max().unwrap_or(0);
        source
    }

    /// Reads on; nothing at the end. `Err` where no copy gives the next entry and a disk failed, which may go over.
    pub fn next(&mut self, keys: &Keys) -> io::Result<Piece> {
        if self.at >= self.size {
            return Ok(Vec::new());
        }
        let (mut failed, mut is_behind) = (self.failed.take(), false);
        for copy in &mut self.copies {
            match copy.read(&self.log, self.at, self.size, keys) {
                Ok(piece) if piece.is_empty() => is_behind = true,
                Ok(piece) => {
                    self.at += piece.len() as u64;
                    self.failed = failed;
                    return Ok(piece);
                }
                Err(error) if files::is_lack(&error) => {}
                Err(error) => {
                    failed = Some(error);
                    self.failing.insert(copy.disk);
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        // Where no copy goes on there is nothing to pass over.
        match is_behind {
            true => Ok(self.pass_over()),
            false => Ok(self.end()),
        }
    }

    /// Goes on behind an entry that cannot be read; nothing at the end.
    pub fn pass_over(&mut self) -> Piece {
        if self.at >= self.size {
            return Vec::new();
        }
        self.at += 1;
        vec![None]
    }

    /// Leaves all that comes.
    pub fn end(&mut self) -> Piece {
        match std::mem::replace(&mut self.at, self.size) < self.size {
            true => vec![None],
            false => Vec::new(),
        }
    }

    pub fn log(&self) -> LogId {
        self.log
    }

    /// Whether it begins with these entries, by the tree of a copy.
    fn begins_with(&self, of: &Summed) -> bool {
        let is_root = |copy: &Copy| copy.files.root_at(of.size).is_ok_and(|at| at == of.root);
        self.log == of.log && self.size >= of.size && self.copies.iter().any(is_root)
    }

    /// All that it has.
    pub fn summed(&self) -> Summed {
        let Self {
            log, size, root, ..
        } = *self;
        Summed { log, size, root }
    }

    /// The disks that failed to be read by now.
    pub fn failing(&self) -> &BTreeSet<DiskId> {
        &self.failing
    }
}

impl Copy {
    /// The entries from this one on, as far as they open.
    fn read(&mut self, log: &LogId, from: u64, size: u64, keys: &Keys) -> io::Result<Piece> {
        if from >= size {
            return Ok(Vec::new());
        }
        // Where the one before ended is known by reading it; where that could not be read, the tree says it.
        let behind = Some(self.at.1).filter(|_| self.at.0 == from);
        let mut failed = Some(io::ErrorKind::UnexpectedEof.into());
        for start in behind
            .into_iter()
            .map(Ok)
            .chain(std::iter::once_with(|| self.files.end_bytes(from)))
        {
            let read = start.and_then(|start| Ok((start, self.files.bytes_from(start)?)));
            match read {
                Ok((_, bytes)) if bytes.is_empty() => {}
                Ok((start, bytes)) => {
                    failed = None;
                    let (piece, length) = open(&bytes, log, from, size, keys);
                    if !piece.is_empty() {
                        self.at = (from + piece.len() as u64, start + length as u64);
                        return Ok(piece);
                    }
                }
                Err(error) if !files::is_lack(&error) => return Err(error),
                Err(_) => {}
            }
        }
        failed.map_or(Ok(Vec::new()), Err)
    }
}

/// The entries at the beginning of these bytes that open, and their length. One whose key is not known is passed over.
fn open(bytes: &[u8], log: &LogId, from: u64, size: u64, keys: &Keys) -> (Piece, usize) {
    let (mut piece, mut at) = (Vec::new(), 0);
    while let Ok(entry) = Entry::parse(&bytes[at..])
        && from + (piece.len() as u64) < size
    {
        let opened = keys(entry.generation).map(|m| entry.open(log, from + piece.len() as u64, &m));
        match opened {
            Some(Ok(stamped)) => piece.push(Some(stamped)),
            _ => break,
        }
        at += entry.bytes().len();
    }
    (piece, at)
}
