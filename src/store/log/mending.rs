//! A damaged copy of a log, made again from one on another disk that is whole; a damaged tree, from its own entries; key and checkpoint,
//! from the state folder.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep_format::{LogId, StoreId};

use super::chain::{Chain, FoundLog};
use super::files::{self, Flaw, LogFiles, TREE};
use super::own::LastSigned;
use super::remains::{Lead, Remains};
use super::sound::mend_tree;
use crate::disk::{Disk, DiskFile};
use crate::limits::LOG_PIECE_BYTES;
use crate::store::layout;
use crate::store::repair::{Refusal, move_aside};

/// A damaged copy of a log that can be made whole again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mendable {
    /// The log.
    pub log: LogId,
    /// Its folder, below a disk's.
    pub path: PathBuf,
    /// Which of the disks has the damaged copy.
    pub to: usize,
    /// How it is made whole.
    pub remedy: Remedy,
}

/// How a damaged copy is made whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Only its tree is damaged, which follows from its entries.
    Tree,
    /// Its entries are all that was signed: key and checkpoint are written as the state folder remembers them.
    Signed(LastSigned),
    /// The whole copy of this one of the disks takes its place.
    Copy(usize),
}

impl Mendable {
    /// Replaces what is damaged; a copy whose place another one takes is moved to the folder `lost` of its disk. To be called while
    /// nobody writes the log. A crash just between leaves none in that place, which the next start makes up for.
    ///
    /// # Errors
    /// What a disk says: then it is as it was.
    pub fn mend(&self, disks: &[Arc<dyn Disk>], store: &StoreId) -> Result<(), Refusal> {
        let to = &*disks[self.to];
        match &self.remedy {
            Remedy::Tree => match mend_tree(to, store, &self.log)? {
                true => Ok(()),
                false => Err("its entries are not what was signed either by now".into()),
            },
            Remedy::Signed(last) => {
                let key = format!("{}\n", last.key.to_text());
                layout::replace(to, &self.path.join(files::KEY), key.as_bytes())?;
                files::put_checkpoint(to, &self.log, &last.note)?;
                Ok(LogFiles::open(to, store, &self.log)?.verify()?)
            }
            Remedy::Copy(from) => self.copy(&*disks[*from], to, store),
        }
    }

    /// The new copy is whole before the old one goes.
    fn copy(&self, from: &dyn Disk, to: &dyn Disk, store: &StoreId) -> Result<(), Refusal> {
        let lead = LogFiles::open(from, store, &self.log)?;
        let beside = files::beside(&self.log);
        files::remove(to, &beside)?;
        let done = copy_to(&lead, to, &beside)
            .and_then(|()| LogFiles::open_in(to, &beside, store, &self.log)?.verify())
            .map_err(Refusal::from)
            .and_then(|()| Ok(swap(to, &beside, &self.path)?));
        if done.is_err() {
            // A disk that fails may refuse this too: then `check` tells of what is left.
            let _ = files::remove(to, &beside);
        }
        done
    }
}

/// Writes all of a log into a folder: its tree from its entries, whatever the other disk's has between its roots.
fn copy_to(lead: &LogFiles, to: &dyn Disk, folder: &Path) -> Result<(), Flaw> {
    layout::create_folders(to, folder)?;
    let file = |name| to.create_new(&folder.join(name));
    let [key, entries, tree, checkpoint] = [
        file(files::KEY)?,
        file(files::ENTRIES)?,
        file(TREE)?,
        file(files::CHECKPOINT)?,
    ];
    let append = |file: &dyn DiskFile, bytes: &[u8]| file.append(&mut [IoSlice::new(bytes)]);
    append(&*key, format!("{}\n", lead.key.to_text()).as_bytes())?;
    append(&*checkpoint, lead.note.as_bytes())?;
    let (mut nodes, mut end) = (Vec::new(), 0);
    lead.walk(&|_| Ok(()), |_, more| {
        nodes.extend_from_slice(more);
        end = more.last_chunk().map_or(end, |at| u64::from_be_bytes(*at));
        if nodes.len() >= LOG_PIECE_BYTES {
            append(&*tree, &nodes)?;
            nodes.clear();
        }
        Ok(())
    })?;
    append(&*tree, &nodes)?;
    let mut at = 0;
    while at < end {
        let mut bytes = lead.bytes_from(at)?;
        bytes.truncate(usize::try_from(end - at).unwrap_or(usize::MAX));
        if bytes.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        append(&*entries, &bytes)?;
        at += bytes.len() as u64;
    }
    [key, entries, tree, checkpoint]
        .iter()
        .try_for_each(|file| file.sync_data())?;
    Ok(to.sync_folder(folder)?)
}

/// Puts a folder in the place of another, which goes to the folder `lost`. Where that fails, the other one is where it was.
fn swap(disk: &dyn Disk, beside: &Path, path: &Path) -> io::Result<()> {
    let aside = move_aside(disk, path)?;
    if let Err(error) = disk.rename(beside, path) {
        let _ = disk.rename(&aside, path);
        return Err(error);
    }
    disk.sync_folder(path.parent().unwrap_or(Path::new("")))
}

impl Chain {
    /// The copies that are damaged and whose entries are whole, or of which another disk has whole ones, which have all that they show
    /// to have been published. `last` is what the state folder remembers of the log that was written last.
    /// Where whole copies contradict each other, none is: somebody will want to look at them.
    pub fn mendable(
        &self,
        disks: &[Arc<dyn Disk>],
        store: &StoreId,
        last: Option<&LastSigned>,
    ) -> Vec<Mendable> {
        let found = self.all().map(|copy| copy.files.checkpoint.log);
        let remembered = last.map(|last| last.key.log());
        let mut logs: Vec<LogId> = found.chain(remembered).collect();
        logs.sort_unstable();
        logs.dedup();
        let of_log = |log: LogId| {
            let last = last.filter(|last| last.key.log() == log);
            self.copies_of(log, disks, last).mendable(store)
        };
        logs.into_iter().flat_map(of_log).collect()
    }

    fn all(&self) -> impl Iterator<Item = &FoundLog> {
        self.logs.iter().chain(&self.copies)
    }

    fn copies_of<'a>(
        &'a self,
        log: LogId,
        disks: &'a [Arc<dyn Disk>],
        last: Option<&'a LastSigned>,
    ) -> Copies<'a> {
        let path = files::folder(&log);
        let of_it = self.flaws.iter().filter(|(_, at, _)| *at == path);
        let refused = of_it.filter(|(_, _, flaw)| !is_of_the_machine(flaw));
        let mut copies = Copies {
            log,
            disks,
            last,
            whole: Vec::new(),
            rotten: Vec::new(),
            damaged: refused.map(|(disk, _, _)| *disk).collect(),
        };
        for copy in self.all().filter(|copy| copy.files.checkpoint.log == log) {
            match copy.files.verify() {
                Ok(()) => copies.whole.push(copy),
                Err(Flaw::Tree) => copies.rotten.push(copy),
                Err(_) => copies.damaged.push(copy.disk),
            }
        }
        copies
    }
}

/// The copies of one log, by what is wrong with them.
struct Copies<'a> {
    log: LogId,
    disks: &'a [Arc<dyn Disk>],
    last: Option<&'a LastSigned>,
    whole: Vec<&'a FoundLog>,
    /// Whole but for their trees.
    rotten: Vec<&'a FoundLog>,
    /// The disks of the others.
    damaged: Vec<usize>,
}

impl Copies<'_> {
    fn mendable(&self, store: &StoreId) -> Vec<Mendable> {
        let mendable = |to, remedy| Mendable {
            log: self.log,
            path: files::folder(&self.log),
            to,
            remedy,
        };
        // The trees first: what is copied from them is right then.
        let trees = self.rotten.iter().map(|copy| (copy.disk, Remedy::Tree));
        let (replaced, signed) = (self.replaced(), self.signed(store));
        let signed = signed.filter(|(disk, _)| replaced.iter().all(|(to, _)| to != disk));
        let all = trees.chain(replaced.iter().cloned()).chain(signed);
        all.map(|(to, remedy)| mendable(to, remedy)).collect()
    }

    /// Those of which another disk has a whole copy that may take their place.
    fn replaced(&self) -> Vec<(usize, Remedy)> {
        // Of those that go furthest the first one: one whose tree is right, if there is any.
        let whole = || self.whole.iter().chain(&self.rotten);
        let furthest = whole().rev();
        let Some(copy) = furthest.max_by_key(|copy| copy.files.checkpoint.size) else {
            return Vec::new();
        };
        let remains = |disk: &usize| Remains::on(*disk, &*self.disks[*disk], &copy.files.key).ok();
        let damaged: Vec<_> = self.damaged.iter().filter_map(remains).collect();
        let others = whole().map(|copy| &copy.files.checkpoint);
        let last = self.last.map(|last| &last.checkpoint);
        let signed = damaged.iter().filter_map(|of| of.signed.as_ref());
        let compared = others.clone().chain(signed).chain(last);
        let sizes: Vec<_> = compared.map(|checkpoint| checkpoint.size).collect();
        let Ok(lead) = Lead::read(&copy.files, &sizes) else {
            return Vec::new();
        };
        if !others.clone().all(|other| lead.goes_on_from(other)) {
            return Vec::new();
        }
        let fits = |of: &&Remains| lead.may_replace(of, last).unwrap_or(false);
        let replaced = damaged.iter().filter(fits);
        replaced
            .map(|of| (of.disk, Remedy::Copy(copy.disk)))
            .collect()
    }

    /// Those that have exactly what the state folder remembers, and lack what it was signed with.
    fn signed<'a>(&'a self, store: &'a StoreId) -> impl Iterator<Item = (usize, Remedy)> + 'a {
        let damaged = self.last.into_iter().flat_map(move |last| {
            let damaged = self.damaged.iter();
            damaged.map(move |disk| (*disk, &*self.disks[*disk], last))
        });
        damaged.filter_map(move |(number, disk, last)| {
            let is_unsigned = LogFiles::open(disk, store, &self.log).is_err();
            let files = LogFiles::open_at(disk, last.key, &last.note).ok()?;
            let is_it = is_unsigned && files.verify().is_ok() && files.is_all().ok()?;
            is_it.then(|| (number, Remedy::Signed(last.clone())))
        })
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
