//! What is on a simulated disk: as programs see it, and as it would be after a power cut.
//!
//! Content becomes durable by syncing the file, names by syncing the folder that holds them. What is not synced may be there
//! after a cut all the same: any first changes of a file, the last of them torn at any byte, with sectors missing in between; and
//! any of the names, in no order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::chance::Chance;

const SECTOR_BYTES: usize = 512;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    Folder,
    File(u64),
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Debug)]
enum Rename {
    Made(PathBuf, Node),
    Removed(PathBuf),
    Moved(PathBuf, PathBuf),
}

#[derive(Debug)]
enum Change {
    Appended(Vec<u8>),
    Cut(usize),
}

#[derive(Debug, Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Image {
    files: BTreeMap<u64, Content>,
    live: Names,
    durable: Names,
    unsynced: Vec<Rename>,
    made: u64,
}

impl Image {
    pub fn find(&self, path: &Path) -> io::Result<Node> {
        if path.as_os_str().is_empty() {
            return Ok(Node::Folder);
        }
        self.live.get(path).copied().ok_or_else(not_found)
    }

    pub fn file(&self, path: &Path) -> io::Result<u64> {
        match self.find(path)? {
            Node::File(file) => Ok(file),
            Node::Folder => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// Makes a name; a file's number is returned, 0 for a folder.
    pub fn make(&mut self, path: &Path, is_folder: bool) -> io::Result<u64> {
        if self.find(above(path))? != Node::Folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if self.live.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = if is_folder {
            Node::Folder
        } else {
            self.made += 1;
            self.files.insert(self.made, Content::default());
            Node::File(self.made)
        };
        self.rename(Rename::Made(path.to_owned(), node));
        Ok(self.made)
    }

    pub fn remove(&mut self, path: &Path, is_folder: bool) -> io::Result<()> {
        if (self.find(path)? == Node::Folder) != is_folder {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if is_folder && self.names_in(path).next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.rename(Rename::Removed(path.to_owned()));
        Ok(())
    }

    pub fn move_over(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.find(from)?;
        self.rename(Rename::Moved(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn rename(&mut self, rename: Rename) {
        rename.apply(&mut self.live);
        self.unsynced.push(rename);
    }

    /// What lies in a folder.
    pub fn names_in<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = (&'a Path, Node)> {
        let below = self.live.range(folder.to_owned()..);
        let below = below.skip_while(move |(path, _)| path.as_path() == folder);
        let below = below.take_while(move |(path, _)| path.starts_with(folder));
        let within = below.filter(move |(path, _)| above(path) == folder);
        within.map(|(path, node)| (path.as_path(), *node))
    }

    /// Every file with its path.
    pub fn all_files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.live.iter().filter_map(|(path, node)| match node {
            Node::File(file) => Some((path.as_path(), self.content(*file))),
            Node::Folder => None,
        })
    }

    /// How many files and folders there are.
    pub fn names(&self) -> usize {
        self.live.len()
    }

    /// Makes the names in a folder durable.
    pub fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        if self.find(folder)? != Node::Folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let durable = &mut self.durable;
        self.unsynced.retain(|rename| {
            let is_of_it = rename.is_in(folder);
            if is_of_it {
                rename.apply(durable);
            }
            !is_of_it
        });
        Ok(())
    }

    pub fn content(&self, file: u64) -> &[u8] {
        self.files.get(&file).map_or(&[], |file| &file.live)
    }

    /// What is there of a file, and would be after a power cut, whatever becomes of all that is not synced.
    pub fn durable(&self, path: &Path) -> Option<&[u8]> {
        if self.live.get(path) != self.durable.get(path) {
            return None;
        }
        let mut above = path.ancestors().skip(1);
        let is_named = |folder: &Path| {
            folder.as_os_str().is_empty() || self.durable.get(folder) == Some(&Node::Folder)
        };
        match self.durable.get(path)? {
            Node::File(file) if above.all(is_named) => Some(&self.files.get(file)?.durable),
            _ => None,
        }
    }

    /// Bytes of all files that have a name.
    pub fn bytes(&self) -> u64 {
        self.all_files()
            .map(|(_, content)| content.len() as u64)
            .sum()
    }

    pub fn append(&mut self, file: u64, bytes: &[u8]) {
        if let Some(content) = self.files.get_mut(&file) {
            content.live.extend_from_slice(bytes);
            content.unsynced.push(Change::Appended(bytes.to_vec()));
        }
    }

    pub fn truncate(&mut self, file: u64, len: usize) {
        if let Some(content) = self.files.get_mut(&file) {
            content.live.truncate(len);
            content.unsynced.push(Change::Cut(len));
        }
    }

    pub fn sync(&mut self, file: u64) {
        if let Some(content) = self.files.get_mut(&file) {
            for change in content.unsynced.drain(..) {
                change.apply(&mut content.durable);
            }
        }
    }

    /// What the kernel does when the disk refuses: what was to be written is no longer remembered as such. It can be read back as
    /// long as it is in memory, and nothing will ever write it; another sync that succeeds says nothing about it.
    pub fn fail_to_sync(&mut self, file: u64) {
        if let Some(content) = self.files.get_mut(&file) {
            for change in &mut content.unsynced {
                if let Change::Appended(bytes) = change {
                    bytes.fill(0);
                }
            }
        }
    }

    /// What is read from now on comes from the disk.
    pub fn forget(&mut self, file: u64) {
        if let Some(content) = self.files.get_mut(&file) {
            content.live = content.durable.clone();
            for change in &content.unsynced {
                change.apply(&mut content.live);
            }
        }
    }

    /// The machine loses its power.
    pub fn cut(&mut self, chance: &mut Chance) {
        let kept = chance.below(5);
        for rename in std::mem::take(&mut self.unsynced) {
            if chance.below(4) < kept {
                rename.apply(&mut self.durable);
            }
        }
        // What lies in a folder without a name is gone with it.
        let mut reached = Names::new();
        for (path, node) in std::mem::take(&mut self.durable) {
            let folder = above(&path);
            if folder.as_os_str().is_empty() || reached.get(folder) == Some(&Node::Folder) {
                reached.insert(path, node);
            }
        }
        let reordered = chance.below(3) == 0;
        for content in self.files.values_mut() {
            content.cut(chance, reordered);
        }
        self.durable = reached;
        self.live = self.durable.clone();
        let named: BTreeSet<_> = self.live.values().copied().collect();
        self.files
            .retain(|file, _| named.contains(&Node::File(*file)));
    }
}

impl PartialOrd for Node {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Node {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let number = |node: &Self| match node {
            Self::Folder => 0,
            Self::File(file) => *file,
        };
        number(self).cmp(&number(other))
    }
}

impl Rename {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Made(path, node) => _ = names.insert(path.clone(), *node),
            Self::Removed(path) => _ = names.remove(path),
            Self::Moved(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }

    fn is_in(&self, folder: &Path) -> bool {
        match self {
            Self::Made(path, _) | Self::Removed(path) | Self::Moved(_, path) => {
                above(path) == folder
            }
        }
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Appended(bytes) => content.extend_from_slice(bytes),
            Self::Cut(len) => content.truncate(*len),
        }
    }
}

impl Content {
    fn cut(&mut self, chance: &mut Chance, reordered: bool) {
        let count = self.unsynced.len() as u64;
        let whole = chance.below(count + 1);
        for (n, change) in (0..).zip(std::mem::take(&mut self.unsynced)) {
            let Change::Appended(mut bytes) = change else {
                if n < whole {
                    change.apply(&mut self.durable);
                }
                continue;
            };
            if n == whole {
                bytes.truncate(chance.below(bytes.len() as u64 + 1) as usize);
            } else if n > whole {
                break;
            }
            let from = self.durable.len();
            self.durable.extend_from_slice(&bytes);
            if reordered {
                self.forget_sectors(from, chance);
            }
        }
        self.live = self.durable.clone();
    }

    /// Some sectors of what was written last never were.
    fn forget_sectors(&mut self, from: usize, chance: &mut Chance) {
        let mut at = from;
        while at < self.durable.len() {
            let end = self
                .durable
                .len()
                .min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
            if chance.below(4) == 0 {
                self.durable[at..end].fill(0);
            }
            at = end;
        }
    }
}

fn above(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}
