//! A simulated disk: an image, and what it does to whoever uses it.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hearthkeep::disk::{Disk, DiskFile, Space};

use crate::chance::Chance;
use crate::image::{Image, Node};
use crate::world;

const APPEND_US: u64 = 300;
const SYNC_US: u64 = 6_000;
/// A call that takes longer is trouble.
const SLOW_US: u64 = 300_000;

/// What is wrong with a disk.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Faults {
    /// Every write and sync takes up to twice this much longer.
    pub slow_us: u64,
    /// So many of the next calls fail.
    pub fail_writes: u32,
    pub fail_syncs: u32,
    pub fail_folder_syncs: u32,
    pub fail_removals: u32,
    /// Nothing works.
    pub gone: bool,
}

pub struct State {
    pub image: Image,
    pub faults: Faults,
    pub capacity: u64,
    chance: Chance,
    /// Files that were opened before a return are lost to who has them.
    returns: u64,
}

/// A disk; clones are the same one.
#[derive(Clone)]
pub struct SimDisk {
    number: usize,
    state: Arc<Mutex<State>>,
}

impl SimDisk {
    pub fn new(number: usize, capacity: u64, seed: u64) -> Self {
        let state = State {
            image: Image::default(),
            faults: Faults::default(),
            capacity,
            chance: Chance::of(seed),
            returns: 0,
        };
        Self {
            number,
            state: Arc::new(Mutex::new(state)),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine loses its power.
    pub fn cut(&self) {
        let state = &mut *self.state();
        state.image.cut(&mut state.chance);
        state.returns += 1;
    }

    /// It is pulled out; what was not durable may be lost.
    pub fn vanish(&self) {
        self.cut();
        self.state().faults.gone = true;
    }

    fn is_chosen(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.faults.gone {
            return Err(trouble(io::Error::other("the disk is gone")));
        }
        match world::is_off() {
            true => Err(io::Error::other("the power is gone")),
            false => Ok(state),
        }
    }

    /// Takes as long as the disk needs, in which the world goes on.
    fn take(&self, us: u64) -> io::Result<MutexGuard<'_, State>> {
        let us = {
            let state = &mut *self.state();
            let slow_us = state.faults.slow_us * 2 + us;
            us + state.chance.below(slow_us + 1)
        };
        let took_us = world::pass(us);
        if took_us > SLOW_US {
            world::trouble(took_us);
        }
        self.is_chosen()
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.is_chosen()?;
        Ok(Box::new(SimFile {
            file: state.image.file(path)?,
            returns: state.returns,
            disk: self.clone(),
        }))
    }
}

/// Footage may be missing around this.
fn trouble(error: io::Error) -> io::Error {
    world::trouble(0);
    error
}

/// Whether this call is one of those that are to fail.
fn fails(left: &mut u32) -> io::Result<()> {
    match left.checked_sub(1) {
        Some(rest) => {
            *left = rest;
            Err(trouble(io::Error::other("the disk failed")))
        }
        None => Ok(()),
    }
}

impl Disk for SimDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.take(APPEND_US)?;
        if state.image.bytes() >= state.capacity {
            return Err(trouble(io::ErrorKind::StorageFull.into()));
        }
        state.image.make(path, false)?;
        drop(state);
        self.open(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }

    fn list(&self, folder: &Path, each: &mut dyn FnMut(&str, bool)) -> io::Result<()> {
        let state = self.is_chosen()?;
        if state.image.find(folder)? != Node::Folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        for (path, node) in state.image.names_in(folder) {
            let name = path.file_name().and_then(|name| name.to_str());
            each(name.unwrap_or_default(), node == Node::Folder);
        }
        Ok(())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.take(APPEND_US)?.image.make(path, true)?;
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.take(SYNC_US)?;
        fails(&mut state.faults.fail_folder_syncs)?;
        state.image.sync_folder(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.take(APPEND_US)?.image.move_over(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.take(APPEND_US)?;
        if let Err(error) = fails(&mut state.faults.fail_removals) {
            drop(state);
            world::not_removed(path);
            return Err(error);
        }
        let content = state.image.content(state.image.file(path)?).to_vec();
        let free = state.capacity.saturating_sub(state.image.bytes());
        state.image.remove(path, false)?;
        drop(state);
        world::removed(self.number, path, content, free);
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.take(APPEND_US)?.image.remove(path, true)
    }

    fn space(&self) -> io::Result<Space> {
        let state = self.is_chosen()?;
        Ok(Space {
            total_bytes: state.capacity,
            free_bytes: state.capacity.saturating_sub(state.image.bytes()),
        })
    }
}

struct SimFile {
    disk: SimDisk,
    file: u64,
    returns: u64,
}

impl SimFile {
    fn is_still_there<'a>(
        &self,
        state: MutexGuard<'a, State>,
    ) -> io::Result<MutexGuard<'a, State>> {
        match state.returns == self.returns {
            true => Ok(state),
            false => Err(trouble(io::Error::other("the disk was gone meanwhile"))),
        }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let state = self.is_still_there(self.disk.is_chosen()?)?;
        let content = state.image.content(self.file);
        let rest = content.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn size(&self) -> io::Result<u64> {
        let state = self.is_still_there(self.disk.is_chosen()?)?;
        Ok(state.image.content(self.file).len() as u64)
    }

    fn append(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut state = self.is_still_there(self.disk.take(APPEND_US)?)?;
        let bytes: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let free = state.capacity.saturating_sub(state.image.bytes());
        let failed = fails(&mut state.faults.fail_writes);
        let written = match &failed {
            Err(_) => state.chance.below(bytes.len() as u64 + 1),
            Ok(()) => free.min(bytes.len() as u64),
        };
        let written = written.min(free) as usize;
        state.image.append(self.file, &bytes[..written]);
        match written == bytes.len() {
            _ if failed.is_err() => failed,
            true => Ok(()),
            false => Err(trouble(io::ErrorKind::StorageFull.into())),
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.is_still_there(self.disk.take(APPEND_US)?)?;
        state.image.truncate(self.file, len as usize);
        Ok(())
    }

    fn forget(&self) -> io::Result<()> {
        let mut state = self.is_still_there(self.disk.is_chosen()?)?;
        state.image.forget(self.file);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.is_still_there(self.disk.take(SYNC_US)?)?;
        if let Err(error) = fails(&mut state.faults.fail_syncs) {
            state.image.fail_to_sync(self.file);
            return Err(error);
        }
        state.image.sync(self.file);
        Ok(())
    }
}
