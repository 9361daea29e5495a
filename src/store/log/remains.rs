//! What a damaged copy of a log still shows of how far it went, by which nothing older takes its place.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use hearthkeep_format::log::{Checkpoint, LogKey, NOTE_LEN_MAX};
use hearthkeep_format::merkle::{self, Hash};

use super::files::{CHECKPOINT, ENTRIES, Flaw, LogFiles, NODE_LEN, TREE, folder, is_lack};
use crate::disk::{Disk, DiskFile, read_file};
use crate::limits::LOG_PIECE_BYTES;

/// A damaged copy. Files that are not there count as empty.
pub(super) struct Remains {
    /// Which of the disks it is on.
    pub disk: usize,
    /// What it was signed for, where that can still be read.
    pub signed: Option<Checkpoint>,
    entries: Option<Box<dyn DiskFile>>,
    tree: Option<Box<dyn DiskFile>>,
}

impl Remains {
    /// Looks at the copy of the log of this key on a disk: its own key may be what is damaged.
    ///
    /// # Errors
    /// Where the disk fails: then nothing is known of the copy.
    pub fn on(number: usize, disk: &dyn Disk, key: &LogKey) -> io::Result<Self> {
        let folder = folder(&key.log());
        let file = |name| there(disk.open_read(&folder.join(name)));
        let note = there(read_file(
            disk,
            &folder.join(CHECKPOINT),
            NOTE_LEN_MAX as u64,
        ))?;
        let note = note.and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(Self {
            disk: number,
            signed: note.and_then(|note| Checkpoint::verify(&note, key).ok()),
            entries: file(Path::new(ENTRIES))?,
            tree: file(Path::new(TREE))?,
        })
    }

    /// Whether it has nothing behind so many bytes of entries, and of the tree.
    pub fn is_within(&self, entries: u64, tree: u64) -> io::Result<bool> {
        Ok(size(self.entries.as_deref())? <= entries && size(self.tree.as_deref())? <= tree)
    }

    /// Whether what it has is the beginning of a whole one: by its entries, or by a tree over all of them.
    fn begins(&self, whole: &LogFiles) -> io::Result<bool> {
        if is_beginning(self.entries.as_deref(), &*whole.entries)? {
            return Ok(true);
        }
        let Some(tree) = &self.tree else {
            return Ok(false);
        };
        let mut last = [0; 8];
        let Some(at) = tree.size()?.checked_sub(last.len() as u64) else {
            return Ok(false);
        };
        tree.read_at(at, &mut last)?;
        let is_over_all = u64::from_be_bytes(last) >= size(self.entries.as_deref())?;
        Ok(is_over_all && is_beginning(Some(&**tree), &*whole.tree)?)
    }
}

/// The whole copy of a log that goes furthest.
pub(super) struct Lead<'a> {
    files: &'a LogFiles,
    /// Its roots at the sizes that others are compared at.
    roots: BTreeMap<u64, Hash>,
    /// Where its entries end.
    end: u64,
}

impl<'a> Lead<'a> {
    /// Reads it, by its entries.
    ///
    /// # Errors
    /// Those of the disk; where it is not whole any more.
    pub fn read(files: &'a LogFiles, sizes: &[u64]) -> Result<Self, Flaw> {
        let (mut roots, mut end) = (BTreeMap::new(), 0);
        files.walk(&|_| Ok(()), |tree, nodes| {
            end = nodes.last_chunk().map_or(end, |at| u64::from_be_bytes(*at));
            if sizes.contains(&tree.count()) {
                roots.insert(tree.count(), tree.root());
            }
            Ok(())
        })?;
        Ok(Self { files, roots, end })
    }

    /// Whether it goes on from a checkpoint at one of those sizes.
    pub fn goes_on_from(&self, checkpoint: &Checkpoint) -> bool {
        self.roots.get(&checkpoint.size) == Some(&checkpoint.root)
    }

    /// Whether nothing that was published is lost where it takes the place of a damaged copy. `last` is what the state folder
    /// remembers of this log.
    ///
    /// # Errors
    /// Where a disk fails.
    pub fn may_replace(&self, damaged: &Remains, last: Option<&Checkpoint>) -> io::Result<bool> {
        let nodes = merkle::hashes_of(self.files.checkpoint.size) * NODE_LEN as u64;
        let is_within = damaged.is_within(self.end, nodes)?;
        match &damaged.signed {
            Some(signed) if !self.goes_on_from(signed) => Ok(false),
            // What stands behind what it was signed for was never published, unless the state folder knows better.
            Some(_) => Ok(is_within || last.is_none_or(|last| self.goes_on_from(last))),
            None => Ok(is_within && damaged.begins(self.files)?),
        }
    }
}

/// `None` where something is not there, or not as it was written.
fn there<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if is_lack(&error) => Ok(None),
        read => read.map(Some),
    }
}

fn size(file: Option<&dyn DiskFile>) -> io::Result<u64> {
    file.map_or(Ok(0), DiskFile::size)
}

fn is_beginning(part: Option<&dyn DiskFile>, whole: &dyn DiskFile) -> io::Result<bool> {
    let Some(part) = part else { return Ok(true) };
    let (length, mut at) = (part.size()?, 0);
    while at < length {
        let piece = (length - at).min(LOG_PIECE_BYTES as u64) as usize;
        let (mut ours, mut theirs) = (vec![0; piece], vec![0; piece]);
        let read = part.read_at(at, &mut ours)?;
        if read < piece || whole.read_at(at, &mut theirs)? < piece || ours != theirs {
            return Ok(false);
        }
        at += piece as u64;
    }
    Ok(true)
}
