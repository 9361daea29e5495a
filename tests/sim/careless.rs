//! Bugs that are planted to see that they are found: a disk is used as careless code would use it.
//!
//! Each stands between the recorder and the simulated disk, or in what the recorder is told, so that nothing of it is in the recorder.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use hearthkeep::disk::{Disk, DiskFile, Space};
use hearthkeep::store::Options;

use crate::disk::SimDisk;

/// What the code forgets or mistakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// Footage is acknowledged before the folder that names it is synced.
    NamesNotSynced,
    /// A sync that failed is tried again, and believed.
    SyncTriedAgain,
    /// A write that was cut short is taken for a whole one.
    ShortWriteTaken,
    /// What is deleted is the newest of the folder, not what was named.
    WrongFileRemoved,
    /// While it records, retention takes budgets to be a fifth larger than they are.
    DeletesTooLate,
}

impl Planted {
    /// The disk as it is used with this bug, or without.
    pub fn in_front_of(planted: Option<Self>, disk: SimDisk) -> Arc<dyn Disk> {
        match planted {
            Some(bug) => Arc::new(Careless { disk, bug }),
            None => Arc::new(disk),
        }
    }

    /// Budgets as they are taken with this bug, or without.
    pub fn in_budgets(planted: Option<Self>, options: &mut Options) {
        if planted == Some(Self::DeletesTooLate) {
            let disks = options.disks.iter_mut().map(|disk| &mut disk.max_bytes);
            let cameras = options.cameras.iter_mut();
            let budgets = disks.chain(cameras.map(|camera| &mut camera.max_bytes));
            budgets.flatten().for_each(|bytes| *bytes += *bytes / 5);
        }
    }
}

struct Careless {
    disk: SimDisk,
    bug: Planted,
}

impl Careless {
    fn file(&self, file: io::Result<Box<dyn DiskFile>>) -> io::Result<Box<dyn DiskFile>> {
        let bug = self.bug;
        Ok(Box::new(CarelessFile { file: file?, bug }))
    }

    fn newest_beside(&self, path: &Path) -> Option<std::path::PathBuf> {
        let state = self.disk.state();
        let files = state.image.names_in(path.parent()?);
        let numbered = files.filter_map(|(path, node)| match node {
            crate::image::Node::File(number) => Some((number, path.to_owned())),
            crate::image::Node::Folder => None,
        });
        Some(numbered.max()?.1)
    }
}

impl Disk for Careless {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file(self.disk.create_new(path))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open_read(path)
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file(self.disk.open_write(path))
    }

    fn list(&self, folder: &Path, each: &mut dyn FnMut(&str, bool)) -> io::Result<()> {
        self.disk.list(folder, each)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.create_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        match self.bug {
            Planted::NamesNotSynced => Ok(()),
            _ => self.disk.sync_folder(path),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        if self.bug == Planted::WrongFileRemoved
            && let Some(newest) = self.newest_beside(path)
        {
            return self.disk.remove_file(&newest);
        }
        self.disk.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_folder(path)
    }

    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }
}

struct CarelessFile {
    file: Box<dyn DiskFile>,
    bug: Planted,
}

impl DiskFile for CarelessFile {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, bytes)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn append(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        match self.file.append(slices) {
            Err(_) if self.bug == Planted::ShortWriteTaken => Ok(()),
            written => written,
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }

    fn forget(&self) -> io::Result<()> {
        self.file.forget()
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.file.sync_data() {
            Err(_) if self.bug == Planted::SyncTriedAgain => self.file.sync_data(),
            synced => synced,
        }
    }
}
