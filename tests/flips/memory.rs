//! A disk in memory: as fast as a map of all flips needs it, and cut off at any point when told to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hearthkeep::disk::{Disk, DiskFile, Space};

type Content = Arc<Mutex<Arc<Vec<u8>>>>;

#[derive(Default)]
struct Inside {
    files: BTreeMap<PathBuf, Content>,
    folders: BTreeSet<PathBuf>,
    /// Changes that are still done; the process dies at the one after them.
    changes_left: Option<usize>,
    /// Whether only that one is refused.
    is_once: bool,
    changes: usize,
}

#[derive(Default, Clone)]
pub struct Memory(Arc<Mutex<Inside>>);

impl Memory {
    /// Another disk with the same content.
    pub fn twin(&self) -> Self {
        let twin = Self::default();
        self.files()
            .into_iter()
            .for_each(|(path, bytes)| twin.put(&path, bytes));
        let folders = self.0.lock().unwrap().folders.clone();
        twin.0.lock().unwrap().folders.extend(folders);
        twin
    }

    /// Takes a file away, as if it had never been.
    pub fn without(&self, path: &Path) {
        self.0.lock().unwrap().files.remove(path);
    }

    /// Puts a file, and its folders.
    pub fn put(&self, path: &Path, bytes: Arc<Vec<u8>>) {
        let mut inside = self.0.lock().unwrap();
        let above = path.ancestors().skip(1).map(Path::to_owned);
        inside.folders.extend(above);
        inside
            .files
            .insert(path.to_owned(), Arc::new(Mutex::new(bytes)));
    }

    pub fn files(&self) -> BTreeMap<PathBuf, Arc<Vec<u8>>> {
        let inside = self.0.lock().unwrap();
        let file = |(path, content): (&PathBuf, &Content)| {
            (path.clone(), Arc::clone(&content.lock().unwrap()))
        };
        inside.files.iter().map(file).collect()
    }

    pub fn bytes(&self, path: &Path) -> Arc<Vec<u8>> {
        Arc::clone(&self.files()[path])
    }

    /// From now on, after so many more changes, everything that changes something fails: what is done then is never done.
    pub fn die_after(&self, changes: usize) {
        self.0.lock().unwrap().changes_left = Some(changes);
    }

    /// After so many more changes one is refused, as by a disk that is full for a moment.
    pub fn refuse_after(&self, changes: usize) {
        self.die_after(changes);
        self.0.lock().unwrap().is_once = true;
    }

    /// How many changes there were.
    pub fn changes(&self) -> usize {
        self.0.lock().unwrap().changes
    }

    /// Counts a change; how much of it is done.
    fn change(&self) -> io::Result<()> {
        let mut inside = self.0.lock().unwrap();
        inside.changes += 1;
        let Some(left) = inside.changes_left else {
            return Ok(());
        };
        let is_done = left.checked_sub(1);
        inside.changes_left = is_done.or((!inside.is_once).then_some(0));
        is_done.map(drop).ok_or(ErrorKind::Other.into())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inside = self.0.lock().unwrap();
        let content = inside.files.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(MemoryFile {
            disk: self.clone(),
            content: Arc::clone(content),
        }))
    }
}

impl Disk for Memory {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.change()?;
        {
            let mut inside = self.0.lock().unwrap();
            if inside.files.contains_key(path) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            inside.files.insert(path.to_owned(), Content::default());
        }
        self.open(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }

    fn list(&self, folder: &Path, each: &mut dyn FnMut(&str, bool)) -> io::Result<()> {
        let inside = self.0.lock().unwrap();
        if !inside.folders.contains(folder) {
            return Err(ErrorKind::NotFound.into());
        }
        let files = inside.files.keys().map(|path| (path, false));
        let folders = inside.folders.iter().map(|path| (path, true));
        for (path, is_folder) in files.chain(folders) {
            if path.parent() == Some(folder) {
                each(path.file_name().unwrap().to_str().unwrap(), is_folder);
            }
        }
        Ok(())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        match self.0.lock().unwrap().folders.insert(path.to_owned()) {
            true => Ok(()),
            false => Err(ErrorKind::AlreadyExists.into()),
        }
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        let mut inside = self.0.lock().unwrap();
        if !inside.files.contains_key(from) && !inside.folders.contains(from) {
            return Err(ErrorKind::NotFound.into());
        }
        inside.files.remove(to);
        // What is in a folder goes with it.
        let moved = |path: PathBuf| match path.strip_prefix(from) {
            Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
            Ok(rest) => to.join(rest),
            Err(_) => path,
        };
        let (files, folders) = (mem::take(&mut inside.files), mem::take(&mut inside.folders));
        inside.files = files
            .into_iter()
            .map(|(path, content)| (moved(path), content))
            .collect();
        inside.folders = folders.into_iter().map(moved).collect();
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        if !self.0.lock().unwrap().files.contains_key(path) {
            return Err(ErrorKind::NotFound.into());
        }
        self.change()?;
        self.0.lock().unwrap().files.remove(path);
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        self.0.lock().unwrap().folders.remove(path);
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        Ok(Space {
            total_bytes: 1 << 40,
            free_bytes: 1 << 40,
        })
    }
}

struct MemoryFile {
    disk: Memory,
    content: Content,
}

impl DiskFile for MemoryFile {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let content = self.content.lock().unwrap();
        let rest = content.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.content.lock().unwrap().len() as u64)
    }

    /// Where the process dies in it, half of it is there.
    fn append(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let done = self.disk.change();
        let mut content = self.content.lock().unwrap();
        for slice in slices {
            let length = if done.is_ok() {
                slice.len()
            } else {
                slice.len() / 2
            };
            Arc::make_mut(&mut content).extend_from_slice(&slice[..length]);
        }
        done
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.change()?;
        Arc::make_mut(&mut self.content.lock().unwrap()).truncate(len as usize);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}
