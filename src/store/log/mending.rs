//! A damaged copy of a log, made again from one on another disk that is whole.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hearthkeep_format::log::Entry;
use hearthkeep_format::merkle::{Hash, Tree};
use hearthkeep_format::{LogId, StoreId};

use super::chain::{Chain, FoundLog};
use super::files::{self, Flaw, LogFiles};
use crate::disk::Disk;
use crate::store::repair::{Refusal, move_aside};

/// A damaged copy of a log that a whole one on another disk can take the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mendable {
    /// The log.
    pub log: LogId,
    /// Its folder, below a disk's.
    pub path: PathBuf,
    /// Which of the disks has the whole copy.
    pub from: usize,
    /// Which of them has the damaged one.
    pub to: usize,
}

impl Mendable {
    /// Moves the damaged copy to the folder `lost` of its disk, and copies the whole one. To be called while nobody writes the log.
    /// A crash in between leaves none, which the next start makes up for.
    ///
    /// # Errors
    /// What a disk says.
    pub fn mend(&self, disks: &[Arc<dyn Disk>], store: &StoreId) -> Result<(), Refusal> {
        let (from, to) = (&*disks[self.from], &*disks[self.to]);
        let lead = LogFiles::open(from, store, &self.log)?;
        let end = lead.end(lead.checkpoint.size)?;
        move_aside(to, &self.path)?;
        files::begin(to, &lead.key)?;
        while !files::copy_piece(from, to, &self.log, &end)? {}
        files::put_checkpoint(to, &self.log, &lead.note)?;
        // From the entries, whatever the other disk's tree has between its roots.
        match files::mend_tree(to, store, &self.log)? {
            true => Ok(()),
            false => {
                Err("what was copied is not what was signed: one of the two disks fails".into())
            }
        }
    }
}

impl Chain {
    /// The copies that are damaged and of which another disk has a whole one, which goes on from all that they were signed for.
    /// Where whole copies contradict each other, none is: somebody will want to look at them.
    pub fn mendable(&self, disks: &[Arc<dyn Disk>], store: &StoreId) -> Vec<Mendable> {
        let mut logs: Vec<LogId> = self.all().map(|copy| copy.files.checkpoint.log).collect();
        logs.sort_unstable();
        logs.dedup();
        let of_log = |log| self.mendable_of(log, disks, store);
        logs.into_iter().flat_map(of_log).collect()
    }

    fn all(&self) -> impl Iterator<Item = &FoundLog> {
        self.logs.iter().chain(&self.copies)
    }

    fn mendable_of(&self, log: LogId, disks: &[Arc<dyn Disk>], store: &StoreId) -> Vec<Mendable> {
        let path = files::folder(&log);
        let copies = self.all().filter(|copy| copy.files.checkpoint.log == log);
        let (whole, broken): (Vec<_>, Vec<_>) =
            copies.partition(|copy| roots(&copy.files, &[]).is_ok());
        let of_it = self.flaws.iter().filter(|(_, at, _)| *at == path);
        let refused = of_it.filter(|(_, _, flaw)| !is_of_the_machine(flaw));
        let mut damaged: Vec<_> = refused.map(|(disk, _, _)| *disk).collect();
        damaged.extend(broken.iter().map(|copy| copy.disk));
        let Some(lead) = whole.iter().max_by_key(|copy| copy.files.checkpoint.size) else {
            return Vec::new();
        };
        // What a damaged copy was signed for is believed as far as its signature goes.
        let opened = damaged.iter().map(|disk| {
            let opened = LogFiles::open(&*disks[*disk], store, &log);
            opened.ok().map(|files| files.checkpoint)
        });
        let signed: Vec<_> = opened.collect();
        let others = whole.iter().map(|copy| &copy.files.checkpoint);
        let sizes: Vec<_> = others.clone().chain(signed.iter().flatten()).collect();
        let sizes: Vec<_> = sizes.iter().map(|checkpoint| checkpoint.size).collect();
        let Ok(roots) = roots(&lead.files, &sizes) else {
            return Vec::new();
        };
        let goes_on = |size: u64, root: &Hash| roots.get(&size) == Some(root);
        if !others.clone().all(|other| goes_on(other.size, &other.root)) {
            return Vec::new();
        }
        let fits = damaged.into_iter().zip(signed).filter(|(_, signed)| {
            let fits = |checkpoint: &hearthkeep_format::log::Checkpoint| {
                goes_on(checkpoint.size, &checkpoint.root)
            };
            signed.as_ref().is_none_or(fits)
        });
        let mendable = fits.map(|(to, _)| Mendable {
            log,
            path: path.clone(),
            from: lead.disk,
            to,
        });
        mendable.collect()
    }
}

/// Whether a disk refused, and nothing is known of the copy.
fn is_of_the_machine(flaw: &Flaw) -> bool {
    let is_there = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
        )
    };
    matches!(flaw, Flaw::Io(error) if !is_there(error))
}

/// Reads a copy from its beginning to what it was signed for: its roots at these sizes, as far as it has them.
fn roots(files: &LogFiles, sizes: &[u64]) -> Result<BTreeMap<u64, Hash>, Flaw> {
    let (mut tree, mut roots) = (Tree::default(), BTreeMap::new());
    let size = files.checkpoint.size;
    while tree.count() < size {
        let piece = files.piece(tree.count(), size)?;
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let entry = Entry::parse(rest)?;
            tree.push(entry.leaf());
            if sizes.contains(&tree.count()) {
                roots.insert(tree.count(), tree.root());
            }
            rest = &rest[entry.bytes().len()..];
        }
    }
    match tree.root() == files.checkpoint.root {
        true => Ok(roots),
        false => Err(Flaw::Unsound),
    }
}
