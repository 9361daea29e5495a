//! A simulated disk: an image, and what it does to whoever uses it.

use std::io::{self, IoSlice};
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hearthkeep::disk::{Disk, DiskFile, Space};
use hearthkeep::store::layout;
use hearthkeep_format::StreamId;

use crate::chance::Chance;
use crate::image::{Image, Node};
use crate::ledger::{is_copy, place_of};
use crate::scarcity::Footage;
use crate::world;

const APPEND_US: u64 = 300;
const SYNC_US: u64 = 6_000;
/// A call that takes longer is trouble.
const SLOW_US: u64 = 300_000;

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// Footage that is recorded: of a stream, or of all that are under a folder.
    Footage(Option<StreamId>),
    /// The log, the disk's id, or a copy that is being made of what lies elsewhere: what fails there costs no footage.
    Other,
}

impl About {
    fn of(path: &Path) -> Self {
        let mut names = path.components().map(Component::as_os_str);
        match names.next() {
            Some(first) if first != layout::FOOTAGE => Self::Other,
            _ if is_copy(path) => Self::Other,
            _ => {
                let stream = names.next().and_then(|name| name.to_str());
                Self::Footage(stream.and_then(StreamId::from_hex))
            }
        }
    }
}

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
    /// It takes no more files and folders, or bytes, than these, whatever it shows.
    pub files_max: Option<usize>,
    pub bytes_max: Option<u64>,
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

impl State {
    /// Bytes that it still takes.
    fn room(&self) -> u64 {
        let most = self.faults.bytes_max.unwrap_or(u64::MAX);
        most.min(self.capacity).saturating_sub(self.image.bytes())
    }

    fn takes_names(&self) -> bool {
        let most = self.faults.files_max;
        most.is_none_or(|most| self.image.names() < most)
    }

    /// All segments on it.
    pub fn footage(&self) -> Footage {
        let files = self.image.all_files();
        let of_footage = files.filter(|(path, _)| place_of(path).is_some());
        let mut footage = Footage::default();
        for (_, content) in of_footage {
            footage.bytes += content.len() as u64;
            footage.segment = footage.segment.max(content.len() as u64);
        }
        footage
    }
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
            let about = About::Footage(None);
            return Err(self.trouble(about, io::Error::other("the disk is gone")));
        }
        match world::is_off() {
            true => Err(io::Error::other("the power is gone")),
            false => Ok(state),
        }
    }

    /// Takes as long as the disk needs, in which the world goes on.
    fn take(&self, us: u64, about: About) -> io::Result<MutexGuard<'_, State>> {
        if let About::Footage(Some(stream)) = about {
            world::touch(self.number, stream);
        }
        let us = {
            let state = &mut *self.state();
            let slow_us = state.faults.slow_us * 2 + us;
            us + state.chance.below(slow_us + 1)
        };
        let took_us = world::pass(us);
        if took_us > SLOW_US && about != About::Other {
            world::trouble(self.number, took_us);
        }
        self.is_chosen()
    }

    /// Whether a call is one of those that are to fail, of which `left` are left.
    fn fails(
        &self,
        about: About,
        state: &mut State,
        left: impl Fn(&mut Faults) -> &mut u32,
    ) -> io::Result<()> {
        let left = left(&mut state.faults);
        match left.checked_sub(1) {
            Some(rest) => {
                *left = rest;
                Err(self.trouble(about, io::Error::other("the disk failed")))
            }
            None => Ok(()),
        }
    }

    /// Footage may be missing around this, where it is about footage.
    fn trouble(&self, about: About, error: io::Error) -> io::Error {
        if about != About::Other {
            world::trouble(self.number, 0);
        }
        world::failed(self.number);
        error
    }

    /// It is full, or says so.
    fn no_room(&self, about: About, state: &State) -> io::Error {
        if state.image.bytes() < state.capacity {
            let is_footage = about != About::Other;
            world::refused_room(self.number, state.footage(), is_footage);
            return io::ErrorKind::StorageFull.into();
        }
        self.trouble(about, io::ErrorKind::StorageFull.into())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.is_chosen()?;
        Ok(Box::new(SimFile {
            file: state.image.file(path)?,
            returns: state.returns,
            about: About::of(path),
            disk: self.clone(),
        }))
    }
}

impl Disk for SimDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let about = About::of(path);
        let mut state = self.take(APPEND_US, about)?;
        if state.room() == 0 || !state.takes_names() {
            return Err(self.no_room(about, &state));
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
        let about = About::of(path);
        let mut state = self.take(APPEND_US, about)?;
        if !state.takes_names() && state.image.find(path).is_err() {
            return Err(self.no_room(about, &state));
        }
        state.image.make(path, true)?;
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let about = About::of(path);
        let mut state = self.take(SYNC_US, about)?;
        self.fails(about, &mut state, |faults| &mut faults.fail_folder_syncs)?;
        state.image.sync_folder(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.take(APPEND_US, About::of(from))?;
        state.image.move_over(from, to)?;
        let bytes = state.image.content(state.image.file(to)?).len() as u64;
        drop(state);
        if let Some((stream, ..)) = place_of(to) {
            world::written(self.number, stream, bytes, true);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.take(APPEND_US, About::Other)?;
        let about = About::Other;
        if let Err(error) = self.fails(about, &mut state, |faults| &mut faults.fail_removals) {
            drop(state);
            world::not_removed(self.number, path);
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
        let mut state = self.take(APPEND_US, About::Other)?;
        state.image.remove(path, true)
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
    about: About,
}

impl SimFile {
    fn is_still_there<'a>(
        &self,
        state: MutexGuard<'a, State>,
    ) -> io::Result<MutexGuard<'a, State>> {
        match state.returns == self.returns {
            true => Ok(state),
            false => {
                let error = io::Error::other("the disk was gone meanwhile");
                Err(self.disk.trouble(self.about, error))
            }
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
        let mut state = self.is_still_there(self.disk.take(APPEND_US, self.about)?)?;
        let bytes: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let free = state.room();
        let failed = self
            .disk
            .fails(self.about, &mut state, |faults| &mut faults.fail_writes);
        let written = match &failed {
            Err(_) => state.chance.below(bytes.len() as u64 + 1),
            Ok(()) => free.min(bytes.len() as u64),
        };
        let written = written.min(free) as usize;
        state.image.append(self.file, &bytes[..written]);
        if let About::Footage(Some(stream)) = self.about {
            world::written(self.disk.number, stream, written as u64, false);
        }
        match written == bytes.len() {
            _ if failed.is_err() => failed,
            true => Ok(()),
            false => Err(self.disk.no_room(self.about, &state)),
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.is_still_there(self.disk.take(APPEND_US, self.about)?)?;
        state.image.truncate(self.file, len as usize);
        Ok(())
    }

    fn forget(&self) -> io::Result<()> {
        let mut state = self.is_still_there(self.disk.is_chosen()?)?;
        state.image.forget(self.file);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.is_still_there(self.disk.take(SYNC_US, self.about)?)?;
        let failed = self
            .disk
            .fails(self.about, &mut state, |faults| &mut faults.fail_syncs);
        if let Err(error) = failed {
            state.image.fail_to_sync(self.file);
            return Err(error);
        }
        state.image.sync(self.file);
        Ok(())
    }
}
