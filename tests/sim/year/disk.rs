//! A disk of which only footage is left out: names and lengths of files, and what is in those that are no footage.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use hearthkeep::disk::{Disk, DiskFile, Space};
use hearthkeep::store::layout;

use super::cpu_ns;

/// What was asked of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub calls: u64,
    /// CPU time that its own work took, ns: sorted paths in memory slow down as they grow, as no file system does.
    pub cpu_ns: u64,
}

#[derive(Default)]
struct State {
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Content>,
    used: u64,
    counts: Counts,
}

#[derive(Default, Clone)]
struct Content {
    length: u64,
    bytes: Vec<u8>,
}

/// Clones are the same one.
#[derive(Clone)]
pub struct LeanDisk {
    capacity: u64,
    state: Arc<Mutex<State>>,
}

impl LeanDisk {
    pub fn new(capacity: u64) -> Self {
        let state = Arc::default();
        Self { capacity, state }
    }

    pub fn counts(&self) -> Counts {
        self.locked().counts
    }

    pub fn used(&self) -> u64 {
        self.locked().used
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Does what is the disk's own work.
    fn own<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let begun_ns = cpu_ns();
        let mut state = self.locked();
        let done = work(&mut state);
        state.counts.calls += 1;
        state.counts.cpu_ns += cpu_ns() - begun_ns;
        done
    }

    fn file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        match self.own(|state| state.files.contains_key(path)) {
            true => Ok(Box::new(LeanFile {
                disk: self.clone(),
                path: path.to_owned(),
            })),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl State {
    fn has_folder(&self, path: &Path) -> bool {
        path.as_os_str().is_empty() || self.folders.contains(path)
    }

    fn content(&self, path: &Path) -> io::Result<&Content> {
        Ok(self.files.get(path).ok_or(io::ErrorKind::NotFound)?)
    }

    fn change(&mut self, path: &Path, edit: impl FnOnce(&mut Content)) -> io::Result<()> {
        let content = self.files.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        self.used -= content.length;
        edit(content);
        self.used += content.length;
        Ok(())
    }
}

impl Disk for LeanDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.own(|state| {
            if !path.parent().is_some_and(|folder| state.has_folder(folder)) {
                return Err(io::ErrorKind::NotFound);
            }
            if state.files.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists);
            }
            state.files.insert(path.to_owned(), Content::default());
            Ok(())
        })?;
        self.file(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file(path)
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file(path)
    }

    fn list(&self, folder: &Path, each: &mut dyn FnMut(&str, bool)) -> io::Result<()> {
        let found = self.own(|state| {
            if !state.has_folder(folder) {
                return Err(io::ErrorKind::NotFound);
            }
            let files = state.files.keys().map(|path| (path, false));
            let all = files.chain(state.folders.iter().map(|path| (path, true)));
            let within = all.filter(|(path, _)| path.parent() == Some(folder));
            let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            let found = within.map(|(path, is_folder)| (name(path), is_folder));
            Ok(found.collect::<Vec<_>>())
        })?;
        found
            .iter()
            .for_each(|(name, is_folder)| each(name, *is_folder));
        Ok(())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.own(|state| {
            if !path.parent().is_some_and(|folder| state.has_folder(folder)) {
                return Err(io::ErrorKind::NotFound.into());
            }
            match state.folders.insert(path.to_owned()) {
                true => Ok(()),
                false => Err(io::ErrorKind::AlreadyExists.into()),
            }
        })
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.own(|_| Ok(()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.own(|state| {
            let content = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
            let before = state.files.insert(to.to_owned(), content);
            state.used -= before.map_or(0, |before| before.length);
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.own(|state| {
            let content = state.files.remove(path).ok_or(io::ErrorKind::NotFound)?;
            state.used -= content.length;
            Ok(())
        })
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.own(|state| {
            let within = state.files.range(path.to_owned()..).next();
            if within.is_some_and(|(file, _)| file.starts_with(path)) {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            state.folders.remove(path);
            Ok(())
        })
    }

    fn space(&self) -> io::Result<Space> {
        self.own(|state| {
            Ok(Space {
                total_bytes: self.capacity,
                free_bytes: self.capacity.saturating_sub(state.used),
            })
        })
    }
}

struct LeanFile {
    disk: LeanDisk,
    path: PathBuf,
}

impl DiskFile for LeanFile {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.disk.own(|state| {
            let content = state.content(&self.path)?;
            let rest = content.bytes.get(offset as usize..).unwrap_or_default();
            let length = rest.len().min(bytes.len());
            bytes[..length].copy_from_slice(&rest[..length]);
            Ok(length)
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.disk
            .own(|state| state.content(&self.path).map(|content| content.length))
    }

    fn append(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let is_footage = self.path.starts_with(layout::FOOTAGE);
        let append = |content: &mut Content| {
            for slice in slices {
                content.length += slice.len() as u64;
                if !is_footage {
                    content.bytes.extend_from_slice(slice);
                }
            }
        };
        self.disk.own(|state| state.change(&self.path, append))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let truncate = |content: &mut Content| {
            content.length = len;
            content.bytes.truncate(len as usize);
        };
        self.disk.own(|state| state.change(&self.path, truncate))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.own(|_| Ok(()))
    }
}
