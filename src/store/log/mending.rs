//! A damaged copy of a log, made again from one on another disk that is whole; a damaged tree, from its own entries.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hearthkeep_format::merkle::Hash;
use hearthkeep_format::{LogId, StoreId};

use super::chain::{Chain, FoundLog};
use super::files::{self, Flaw, LogFiles};
use super::sound::mend_tree;
use crate::disk::Disk;
use crate::store::repair::{Refusal, move_aside};

/// A damaged copy of a log that can be made whole again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mendable {
    /// The log.
    pub log: LogId,
    /// Its folder, below a disk's.
    pub path: PathBuf,
    /// Which of the disks has a whole copy to take its place; `None` where only its tree is damaged, which follows from its entries.
    pub from: Option<usize>,
    /// Which of them has the damaged one.
    pub to: usize,
}

impl Mendable {
    /// Moves the damaged copy to the folder `lost` of its disk, and copies the whole one; or replaces its tree. To be called while
    /// nobody writes the log. A crash in between leaves none, which the next start makes up for.
    ///
    /// # Errors
    /// What a disk says.
    pub fn mend(&self, disks: &[Arc<dyn Disk>], store: &StoreId) -> Result<(), Refusal> {
        let to = &*disks[self.to];
        let Some(from) = self.from.map(|from| &*disks[from]) else {
            return match mend_tree(to, store, &self.log)? {
                true => Ok(()),
                false => Err("its entries are not what was signed either by now".into()),
            };
        };
        let lead = LogFiles::open(from, store, &self.log)?;
        let end = lead.end(lead.checkpoint.size)?;
        move_aside(to, &self.path)?;
        files::begin(to, &lead.key)?;
        while !files::copy_piece(from, to, &self.log, &end)? {}
        files::put_checkpoint(to, &self.log, &lead.note)?;
        // From the entries, whatever the other disk's tree has between its roots.
        match mend_tree(to, store, &self.log)? {
            true => Ok(()),
            false => {
                Err("what was copied is not what was signed: one of the two disks fails".into())
            }
        }
    }
}

impl Chain {
    /// The copies that are damaged and whose entries are whole, or of which another disk has whole ones, which go on from all that they
    /// were signed for.
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
        let (mut whole, mut rotten, mut broken) = (Vec::new(), Vec::new(), Vec::new());
        for copy in copies {
            match copy.files.verify() {
                Ok(()) => whole.push(copy),
                Err(Flaw::Tree) => rotten.push(copy),
                Err(_) => broken.push(copy),
            }
        }
        let mendable = |from, to| Mendable {
            log,
            path: path.clone(),
            from,
            to,
        };
        // The trees first: what is copied from them is right then.
        let trees = rotten.iter().map(|copy| mendable(None, copy.disk));
        let mut all: Vec<_> = trees.collect();
        whole.append(&mut rotten);
        let of_it = self.flaws.iter().filter(|(_, at, _)| *at == path);
        let refused = of_it.filter(|(_, _, flaw)| !is_of_the_machine(flaw));
        let mut damaged: Vec<_> = refused.map(|(disk, _, _)| *disk).collect();
        damaged.extend(broken.iter().map(|copy| copy.disk));
        // Of those that go furthest the first one: one whose tree is right, if there is any.
        let furthest = whole.iter().rev();
        let Some(lead) = furthest.max_by_key(|copy| copy.files.checkpoint.size) else {
            return all;
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
            return all;
        };
        let goes_on = |size: u64, root: &Hash| roots.get(&size) == Some(root);
        if !others.clone().all(|other| goes_on(other.size, &other.root)) {
            return all;
        }
        let fits = damaged.into_iter().zip(signed).filter(|(_, signed)| {
            let fits = |checkpoint: &hearthkeep_format::log::Checkpoint| {
                goes_on(checkpoint.size, &checkpoint.root)
            };
            signed.as_ref().is_none_or(fits)
        });
        all.extend(fits.map(|(to, _)| mendable(Some(lead.disk), to)));
        all
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

/// The roots of a copy at these sizes, as far as it has them, by its entries.
fn roots(files: &LogFiles, sizes: &[u64]) -> Result<BTreeMap<u64, Hash>, Flaw> {
    let mut roots = BTreeMap::new();
    files.walk(&|_| Ok(()), |tree, _| {
        if sizes.contains(&tree.count()) {
            roots.insert(tree.count(), tree.root());
        }
        Ok(())
    })?;
    Ok(roots)
}
