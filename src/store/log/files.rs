//! A log on one disk (`docs/format.md`, 9.3): read as far as a checkpoint says, and appended to.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use hearthkeep_format::log::{Checkpoint, ENTRY_LEN_MAX, Entry, LogKey, NOTE_LEN_MAX};
use hearthkeep_format::merkle::{self, Hash, Tree};
use hearthkeep_format::{LogId, StoreId};

use super::super::layout;
use super::super::recovery::ids;
use crate::disk::{Disk, DiskFile, read_file};
use crate::limits::LOG_PIECE_BYTES;

pub(super) const KEY: &str = "key";
pub(super) const ENTRIES: &str = "entries";
pub(super) const TREE: &str = "tree";
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const NODE_LEN: usize = 40;

const _: () = assert!(ENTRY_LEN_MAX <= LOG_PIECE_BYTES);

/// Why a log on a disk cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The disk refused.
    #[error("the disk failed: {0}")]
    Io(#[from] io::Error),
    /// Its key or its checkpoint is not as it was signed, or not this log's.
    #[error("{0}")]
    Format(#[from] hearthkeep_format::Error),
    /// Its key or its checkpoint is no text.
    #[error("its {0} is not a text")]
    NoText(&'static str),
    /// Its entries do not add up to what was signed.
    #[error("its entries are not those that its checkpoint was signed for")]
    Unsound,
    /// Its entries are right, and its tree is another one than theirs.
    #[error("its tree is damaged; its entries are whole")]
    Tree,
    /// It is signed, and another history than the copy that counts.
    #[error(
        "it is signed, and tells another history than the copy on another disk: a disk or the state folder was put back to an older state, or the log's key was used elsewhere"
    )]
    Forked,
    /// Its first entry does not say that it is this log.
    #[error("its first entry is another log's, or cannot be opened")]
    NotBegun,
}

impl Flaw {
    /// Whether this says something of the copy: that it is not there, or not as it was written. `Err` where the disk did not let it be
    /// read, which says nothing of it.
    pub(super) fn of_copy(self) -> io::Result<()> {
        match self {
            Self::Io(error) if !is_lack(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the disk did not let it be read.
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Io(error) if !is_lack(error))
    }
}

impl From<Flaw> for io::Error {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Io(error) => error,
            flaw => Self::new(io::ErrorKind::InvalidData, flaw.to_string()),
        }
    }
}

/// Whether an error says that something is not there, or not as it was written: not that a disk failed to read it.
pub(super) fn is_lack(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, InvalidData, NotADirectory, NotFound, UnexpectedEof};
    matches!(
        error.kind(),
        NotFound | UnexpectedEof | InvalidData | FileTooLarge | NotADirectory
    )
}

/// Where a log ends.
#[derive(Debug, Clone, Default)]
pub(super) struct End {
    /// The tree over its entries.
    pub tree: Tree,
    /// The length of `entries`.
    pub bytes: u64,
}

impl End {
    /// What the log takes on a disk.
    pub fn on_disk_bytes(&self) -> u64 {
        self.bytes + merkle::hashes_of(self.tree.count()) * NODE_LEN as u64
    }
}

/// A log on one disk.
pub struct LogFiles {
    /// What its checkpoints are signed with.
    pub key: LogKey,
    /// Its newest checkpoint, as it was signed.
    pub note: String,
    /// What that says.
    pub checkpoint: Checkpoint,
    pub(super) entries: Box<dyn DiskFile>,
    pub(super) tree: Box<dyn DiskFile>,
}

/// Whether a disk's own checkpoint of a log, and the key that it has of it, can be used.
///
/// # Errors
/// Those of the disk.
pub(super) fn vouches(disk: &dyn Disk, key: &LogKey) -> io::Result<bool> {
    match LogFiles::open(disk, &key.store, &key.log()) {
        Ok(_) => Ok(true),
        Err(flaw) => flaw.of_copy().map(|()| false),
    }
}

/// The folder of a log, below a disk's.
pub(super) fn folder(log: &LogId) -> PathBuf {
    Path::new(layout::LOG).join(log.to_string())
}

/// Where a log is copied to before it takes its place.
pub(super) fn beside(log: &LogId) -> PathBuf {
    let mut beside = folder(log).into_os_string();
    beside.push(layout::NEW);
    beside.into()
}

/// Removes a folder and the files in it, if it is there.
pub(super) fn remove(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    let mut names = Vec::new();
    match disk.list(folder, &mut |name, _| names.push(name.to_owned())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed?,
    }
    for name in names {
        disk.remove_file(&folder.join(name))?;
    }
    disk.remove_folder(folder)
}

/// The logs of a disk that were published once.
pub(in crate::store) fn logs_on(disk: &dyn Disk) -> io::Result<Vec<LogId>> {
    let mut logs = ids(disk, Path::new(layout::LOG), LogId::from_hex)?;
    logs.sort_unstable();
    // One without a checkpoint was begun and never published.
    logs.retain(|log| match disk.open_read(&folder(log).join(CHECKPOINT)) {
        Err(error) => error.kind() != io::ErrorKind::NotFound,
        Ok(_) => true,
    });
    Ok(logs)
}

impl LogFiles {
    /// Opens a log of a store on a disk. Its entries are not looked at.
    ///
    /// # Errors
    /// Where key or checkpoint are not as they were written.
    pub fn open(disk: &dyn Disk, store: &StoreId, log: &LogId) -> Result<Self, Flaw> {
        Self::open_in(disk, &folder(log), store, log)
    }

    /// The same in another folder.
    pub(super) fn open_in(
        disk: &dyn Disk,
        folder: &Path,
        store: &StoreId,
        log: &LogId,
    ) -> Result<Self, Flaw> {
        let text = |name| -> Result<String, Flaw> {
            let bytes = read_file(disk, &folder.join(name), NOTE_LEN_MAX as u64)?;
            String::from_utf8(bytes).map_err(|_| Flaw::NoText(name))
        };
        let key = LogKey::from_text(text(KEY)?.trim_end_matches('\n'))?;
        if key.store != *store || key.log() != *log {
            return Err(hearthkeep_format::Error::Foreign { what: "log key" }.into());
        }
        let note = text(CHECKPOINT)?;
        Ok(Self {
            checkpoint: Checkpoint::verify(&note, &key)?,
            key,
            note,
            entries: disk.open_read(&folder.join(ENTRIES))?,
            tree: open_tree(disk, folder)?,
        })
    }

    /// Opens a log as far as this checkpoint says, which its writer has signed: that on the disk may be older, or not be there yet.
    ///
    /// # Errors
    /// Where its files cannot be opened.
    pub(super) fn open_at(disk: &dyn Disk, key: LogKey, note: &str) -> Result<Self, Flaw> {
        let folder = folder(&key.log());
        Ok(Self {
            checkpoint: Checkpoint::verify(note, &key)?,
            key,
            note: note.to_owned(),
            entries: disk.open_read(&folder.join(ENTRIES))?,
            tree: open_tree(disk, &folder)?,
        })
    }

    /// The root of a complete subtree, and where its last entry ends.
    fn node(&self, level: u32, index: u64) -> io::Result<(Hash, u64)> {
        let mut node = [0; NODE_LEN];
        let at = merkle::position(level, index) * NODE_LEN as u64;
        if self.tree.read_at(at, &mut node)? < NODE_LEN {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (hash, end) = node.split_at(32);
        let end = end.try_into().expect("40 bytes are 32 and 8");
        let hash = hash.try_into().expect("40 bytes are 32 and 8");
        Ok((hash, u64::from_be_bytes(end)))
    }

    pub(super) fn hash(&self, level: u32, index: u64) -> io::Result<Hash> {
        Ok(self.node(level, index)?.0)
    }

    /// Where the first `size` entries end.
    pub(super) fn end_bytes(&self, size: u64) -> io::Result<u64> {
        match size.checked_sub(1) {
            Some(last) => Ok(self.node(0, last)?.1),
            None => Ok(0),
        }
    }

    /// Where the log ends after its first `size` entries.
    pub(super) fn end(&self, size: u64) -> io::Result<End> {
        let (mut at, mut roots) = (0, Vec::new());
        for level in (0..64).rev().filter(|level| size >> level & 1 == 1) {
            roots.push(self.hash(level, at >> level)?);
            at += 1 << level;
        }
        let tree = Tree::of(size, roots).ok_or(io::ErrorKind::InvalidData)?;
        let bytes = self.end_bytes(size)?;
        Ok(End { tree, bytes })
    }

    /// What it takes there, as far as the disk tells.
    pub(super) fn on_disk_bytes(&self) -> u64 {
        let sizes = [self.entries.size(), self.tree.size()];
        sizes.into_iter().filter_map(Result::ok).sum()
    }

    /// Whether all that a checkpoint was signed for is there. That no entry was changed in its place is found on reading it.
    ///
    /// # Errors
    /// Where the disk does not let that be found out.
    pub(super) fn holds(&self, checkpoint: &Checkpoint) -> io::Result<bool> {
        let looked =
            || -> io::Result<bool> {
                let end = self.end(checkpoint.size)?;
                if end.tree.root() != checkpoint.root {
                    return Ok(false);
                }
                let size = self.entries.size()?;
                // No hash covers where the tree says that the last entry ends, and what comes after is cut off.
                Ok(size == end.bytes
                    || size > end.bytes && self.ends_at(checkpoint.size)? == end.bytes)
            };
        match looked() {
            Err(error) if is_lack(&error) => Ok(false),
            looked => looked,
        }
    }

    /// Whether nothing stands behind what its checkpoint was signed for.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn is_all(&self) -> io::Result<bool> {
        let size = self.checkpoint.size;
        let nodes_end = merkle::hashes_of(size) * NODE_LEN as u64;
        Ok(self.entries.size()? == self.end_bytes(size)? && self.tree.size()? == nodes_end)
    }

    /// Where the first `size` entries end by what the last of them says of its length.
    fn ends_at(&self, size: u64) -> io::Result<u64> {
        let Some(last) = size.checked_sub(1) else {
            return Ok(0);
        };
        let start = self.end_bytes(last)?;
        let mut bytes = vec![0; ENTRY_LEN_MAX];
        let read = self.entries.read_at(start, &mut bytes)?;
        let entry = Entry::parse(&bytes[..read]).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(start + entry.bytes().len() as u64)
    }

    /// The entries from index `from` to before `to`, as they lie there: as many as fit a piece.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn piece(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let to = to.min(self.checkpoint.size);
        if from >= to {
            return Ok(Vec::new());
        }
        let (start, end) = (self.end_bytes(from)?, self.end_bytes(to)?);
        let length = end.checked_sub(start).ok_or(io::ErrorKind::InvalidData)?;
        let mut bytes = vec![0; length.min(LOG_PIECE_BYTES as u64) as usize];
        if self.entries.read_at(start, &mut bytes)? < bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let whole = whole_entries(&bytes);
        bytes.truncate(whole);
        match whole {
            0 => Err(io::ErrorKind::InvalidData.into()),
            _ => Ok(bytes),
        }
    }

    /// What lies there from this byte on, as much as fits a piece.
    pub(super) fn bytes_from(&self, start: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; LOG_PIECE_BYTES];
        let read = self.entries.read_at(start, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// The root over the first `size` entries, by the tree.
    pub(super) fn root_at(&self, size: u64) -> io::Result<Hash> {
        merkle::root_at(size, |level, index| self.hash(level, index))
    }
}

/// Opens the tree of a log. One that is not there is empty: it follows from the entries, as one does that has rotted.
fn open_tree(disk: &dyn Disk, folder: &Path) -> io::Result<Box<dyn DiskFile>> {
    match disk.open_read(&folder.join(TREE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Box::new(Nothing)),
        opened => opened,
    }
}

/// A file that is not there, for who reads it.
struct Nothing;

impl DiskFile for Nothing {
    fn read_at(&self, _offset: u64, _bytes: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn append(&self, _slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn truncate(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Adds an entry that ends at `end` to a tree, and its nodes to those that are to be written.
pub(super) fn push(tree: &mut Tree, entry: &Entry<'_>, end: u64, nodes: &mut Vec<u8>) {
    tree.push_told(entry.leaf(), |hash| {
        nodes.extend_from_slice(&hash);
        nodes.extend_from_slice(&end.to_be_bytes());
    });
}

/// The length of the entries at the beginning of `bytes` of which all is there.
fn whole_entries(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Ok(entry) = Entry::parse(&bytes[at..]) {
        at += entry.bytes().len();
    }
    at
}

/// Makes the files of a log that has nothing yet, or has nothing that counts.
pub(super) fn begin(disk: &dyn Disk, key: &LogKey) -> io::Result<()> {
    let folder = folder(&key.log());
    layout::create_folders(disk, &folder)?;
    disk.sync_folder(Path::new(layout::LOG))?;
    disk.sync_folder(Path::new(""))?;
    let text = format!("{}\n", key.to_text());
    layout::replace(disk, &folder.join(KEY), text.as_bytes())?;
    for name in [ENTRIES, TREE] {
        let path = folder.join(name);
        match disk.create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.open_write(&path)?.truncate(0)?;
            }
            made => drop(made?),
        }
    }
    disk.sync_folder(&folder)
}

/// Appends entries and nodes, durably, to a log that ends at `end`. What stands behind that was never published.
pub(super) fn append(
    disk: &dyn Disk,
    log: &LogId,
    end: &End,
    entries: &[u8],
    nodes: &[u8],
) -> io::Result<()> {
    let nodes_end = merkle::hashes_of(end.tree.count()) * NODE_LEN as u64;
    for (name, end, bytes) in [(ENTRIES, end.bytes, entries), (TREE, nodes_end, nodes)] {
        let file = disk.open_write(&folder(log).join(name))?;
        match file.size()? {
            size if size < end => return Err(io::ErrorKind::UnexpectedEof.into()),
            size if size > end => file.truncate(end)?,
            _ => {}
        }
        file.append(&mut [IoSlice::new(bytes)])?;
        file.sync_data()?;
    }
    Ok(())
}

/// Puts a checkpoint there, durably.
pub(super) fn put_checkpoint(disk: &dyn Disk, log: &LogId, note: &str) -> io::Result<()> {
    layout::replace(disk, &folder(log).join(CHECKPOINT), note.as_bytes())
}

/// Cuts a log to its first entries that are there as they were signed.
pub(super) fn cut(disk: &dyn Disk, log: &LogId, end: &End) -> io::Result<()> {
    append(disk, log, end, &[], &[])
}

/// Copies the next piece of a log to a disk that has the beginning of it; true when it has all of it up to `end`, durably.
pub(super) fn copy_piece(
    from: &dyn Disk,
    to: &dyn Disk,
    log: &LogId,
    end: &End,
) -> io::Result<bool> {
    let nodes_end = merkle::hashes_of(end.tree.count()) * NODE_LEN as u64;
    for (name, end) in [(ENTRIES, end.bytes), (TREE, nodes_end)] {
        let path = folder(log).join(name);
        let target = to.open_write(&path)?;
        let at = target.size()?;
        if at < end {
            let mut bytes = vec![0; (end - at).min(4 * LOG_PIECE_BYTES as u64) as usize];
            if from.open_read(&path)?.read_at(at, &mut bytes)? < bytes.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            target.append(&mut [IoSlice::new(&bytes)])?;
            target.sync_data()?;
            return Ok(false);
        }
    }
    Ok(true)
}
