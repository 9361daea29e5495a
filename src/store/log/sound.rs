//! A copy of a log, looked at as a whole: by its entries, which the checkpoint is signed over. The tree follows from them, and can be
//! wrong or made again.

use std::io::{self, IoSlice};
use std::path::PathBuf;

use hearthkeep_format::log::{Checkpoint, Entry};
use hearthkeep_format::merkle::{Hash, Tree};
use hearthkeep_format::{LogId, StoreId};

use super::files::{End, Flaw, LogFiles, TREE, folder, logs_on, push};
use crate::disk::{Disk, DiskFile, Pace};
use crate::limits::LOG_PIECE_BYTES;
use crate::store::layout;

impl LogFiles {
    /// Reads the entries that its checkpoint was signed for, each behind the one before by what that says of its own length: the tree
    /// has no part in it. `pace` is called with what is about to be read, bytes, and may wait; `each` is told of the tree over all up to
    /// an entry, and of the nodes that it adds to the file. Returns the tree over all, and where they end.
    ///
    /// # Errors
    /// [`Flaw::Unsound`] where they do not add up to what was signed; those of the disk, and of `each`.
    pub(super) fn walk(
        &self,
        pace: &Pace<'_>,
        mut each: impl FnMut(&Tree, &[u8]) -> Result<(), Flaw>,
    ) -> Result<End, Flaw> {
        let (mut tree, mut nodes, mut at) = (Tree::default(), Vec::new(), 0);
        while tree.count() < self.checkpoint.size {
            pace(LOG_PIECE_BYTES as u64)?;
            let (bytes, before) = (self.bytes_from(at)?, at);
            let mut rest = &bytes[..];
            while tree.count() < self.checkpoint.size
                && let Ok(entry) = Entry::parse(rest)
            {
                rest = &rest[entry.bytes().len()..];
                at += entry.bytes().len() as u64;
                nodes.clear();
                push(&mut tree, &entry, at, &mut nodes);
                each(&tree, &nodes)?;
            }
            if at == before {
                return Err(Flaw::Unsound);
            }
        }
        match tree.root() == self.checkpoint.root {
            true => Ok(End { tree, bytes: at }),
            false => Err(Flaw::Unsound),
        }
    }

    /// How many entries stand behind those that its checkpoint was signed for.
    pub(super) fn entries_behind(&self) -> io::Result<u64> {
        let size = self.checkpoint.size;
        let (count, _) = self.behind(self.end(size)?)?;
        Ok(count - size)
    }

    /// The nodes of the entries behind `end`, as far as they are there, and how many entries there are with them. Nobody vouches for these here: a disk's checkpoint is written last,
    /// and may be older than what was published.
    fn behind(&self, end: End) -> io::Result<(u64, Vec<u8>)> {
        let (
            End {
                mut tree,
                bytes: mut at,
            },
            mut nodes,
        ) = (end, Vec::new());
        loop {
            let (bytes, before) = (self.bytes_from(at)?, at);
            let mut rest = &bytes[..];
            while let Ok(entry) = Entry::parse(rest) {
                rest = &rest[entry.bytes().len()..];
                at += entry.bytes().len() as u64;
                push(&mut tree, &entry, at, &mut nodes);
            }
            if at == before {
                return Ok((tree.count(), nodes));
            }
        }
    }

    /// Reads all of it that its checkpoint was signed for: every entry, and every node of the tree.
    ///
    /// # Errors
    /// [`Flaw::Tree`] where only the tree is wrong, and [`Flaw::Unsound`] where entries are; those of the disk.
    pub fn verify(&self) -> Result<(), Flaw> {
        self.verify_at(&|_| Ok(()))
    }

    /// The same as fast as `pace` lets it.
    pub(super) fn verify_at(&self, pace: &Pace<'_>) -> Result<(), Flaw> {
        let (mut nodes, mut at, mut is_right) = (Vec::new(), 0, true);
        let mut compare = |nodes: &mut Vec<u8>| -> io::Result<()> {
            let mut found = vec![0; nodes.len()];
            let read = self.tree.read_at(at, &mut found)?;
            is_right &= found[..read] == **nodes;
            at += nodes.len() as u64;
            nodes.clear();
            Ok(())
        };
        self.walk(pace, |_, more| {
            nodes.extend_from_slice(more);
            match nodes.len() < LOG_PIECE_BYTES {
                true => Ok(()),
                false => Ok(compare(&mut nodes)?),
            }
        })?;
        compare(&mut nodes)?;
        match is_right {
            true => Ok(()),
            false => Err(Flaw::Tree),
        }
    }

    /// Whether another checkpoint of this log is of its beginning.
    ///
    /// # Errors
    /// Where that cannot be found out: the disk failed, or entries here are not those that were signed.
    pub(super) fn begins_with(&self, checkpoint: &Checkpoint) -> io::Result<bool> {
        if checkpoint.log != self.checkpoint.log || checkpoint.size > self.checkpoint.size {
            return Ok(false);
        }
        // A tree that rots is no other history: the entries themselves decide.
        Ok(self.root_at(checkpoint.size)? == checkpoint.root
            || self.signed_root_at(checkpoint.size)? == checkpoint.root)
    }

    fn signed_root_at(&self, size: u64) -> io::Result<Hash> {
        let mut root = Tree::default().root();
        let walked = self.walk(&|_| Ok(()), |tree, _| {
            if tree.count() == size {
                root = tree.root();
            }
            Ok(())
        });
        walked?;
        Ok(root)
    }
}

/// What is wrong with the logs on a disk, each read by itself: where, and why.
pub(in crate::store) fn look_at_logs(
    disk: &dyn Disk,
    store: &StoreId,
    pace: &Pace<'_>,
) -> Vec<(PathBuf, Flaw)> {
    let logs = match logs_on(disk) {
        Ok(logs) => logs,
        Err(error) => return vec![(PathBuf::from(layout::LOG), error.into())],
    };
    let look = |log: &LogId| {
        let files = LogFiles::open(disk, store, log)?;
        files.verify_at(pace)
    };
    let flaws = logs
        .iter()
        .filter_map(|log| Some((folder(log), look(log).err()?)));
    flaws.collect()
}

/// Makes the tree of a log again from its entries. False where those do not add up to what was signed: then nothing is done.
pub(super) fn mend_tree(disk: &dyn Disk, store: &StoreId, log: &LogId) -> Result<bool, Flaw> {
    let (files, path) = (LogFiles::open(disk, store, log)?, folder(log).join(TREE));
    let (beside, file) = layout::create_beside(disk, &path)?;
    let made = write_tree(&files, &*file);
    if made.is_err() {
        // A disk that fails may refuse this too: the next try begins with it.
        let _ = disk.remove_file(&beside);
    }
    match made {
        Err(Flaw::Unsound) => return Ok(false),
        made => made?,
    }
    layout::put(disk, &beside, &*file, &path)?;
    Ok(true)
}

/// Writes the tree over all entries, a piece at a time: of a long log it is long too.
fn write_tree(files: &LogFiles, to: &dyn DiskFile) -> Result<(), Flaw> {
    let mut nodes = Vec::new();
    let end = files.walk(&|_| Ok(()), |_, more| {
        nodes.extend_from_slice(more);
        if nodes.len() >= LOG_PIECE_BYTES {
            to.append(&mut [IoSlice::new(&nodes)])?;
            nodes.clear();
        }
        Ok(())
    })?;
    nodes.extend(files.behind(end)?.1);
    to.append(&mut [IoSlice::new(&nodes)])?;
    Ok(())
}
