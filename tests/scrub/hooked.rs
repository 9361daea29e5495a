//! A disk on which something happens when a segment is opened.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use hearthkeep::disk::{Disk, DiskFile, RealDisk, Space};
use hearthkeep::store::{MountedDisk, Options};

use crate::store_support::Home;

/// The disk.
pub struct Hooked {
    real: RealDisk,
    /// Before the segment is opened, and after.
    hooks: Arc<[Hook; 2]>,
    is_away: Arc<AtomicBool>,
}

pub type Hook = Mutex<Option<Box<dyn FnOnce(&Path) + Send>>>;

struct Leaving(Box<dyn DiskFile>, Arc<AtomicBool>);

impl DiskFile for Leaving {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> std::io::Result<usize> {
        match self.1.load(Ordering::Relaxed) {
            true => Err(rustix::io::Errno::IO.into()),
            false => self.0.read_at(offset, bytes),
        }
    }

    fn size(&self) -> std::io::Result<u64> {
        self.0.size()
    }

    fn append(&self, slices: &mut [std::io::IoSlice<'_>]) -> std::io::Result<()> {
        self.0.append(slices)
    }

    fn truncate(&self, len: u64) -> std::io::Result<()> {
        self.0.truncate(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.0.sync_data()
    }
}

impl Disk for Hooked {
    fn create_new(&self, path: &Path) -> std::io::Result<Box<dyn DiskFile>> {
        self.real.create_new(path)
    }

    fn open_read(&self, path: &Path) -> std::io::Result<Box<dyn DiskFile>> {
        let is_segment = path.starts_with("footage");
        let take = |at: usize| self.hooks[at].lock().unwrap().take_if(|_| is_segment);
        if let Some(hook) = take(0) {
            hook(path);
        }
        let opened = self.real.open_read(path)?;
        if let Some(hook) = take(1) {
            hook(path);
        }
        Ok(Box::new(Leaving(opened, Arc::clone(&self.is_away))))
    }

    fn open_write(&self, path: &Path) -> std::io::Result<Box<dyn DiskFile>> {
        self.real.open_write(path)
    }

    fn list(&self, folder: &Path, each: &mut dyn FnMut(&str, bool)) -> std::io::Result<()> {
        self.real.list(folder, each)
    }

    fn create_folder(&self, path: &Path) -> std::io::Result<()> {
        self.real.create_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> std::io::Result<()> {
        self.real.sync_folder(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.real.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> std::io::Result<()> {
        self.real.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> std::io::Result<()> {
        self.real.remove_folder(path)
    }

    fn space(&self) -> std::io::Result<Space> {
        self.real.space()
    }

    fn is_in_place(&self) -> std::io::Result<bool> {
        Ok(!self.is_away.load(Ordering::Relaxed))
    }
}

impl Hooked {
    pub fn on(home: &Home, max_bytes: Option<u64>) -> (Options, Arc<[Hook; 2]>, Arc<AtomicBool>) {
        let path = home.disk.path();
        let (hooks, is_away) = (Arc::<[Hook; 2]>::default(), Arc::<AtomicBool>::default());
        let disk = Arc::new(Self {
            real: RealDisk::open(path).unwrap(),
            hooks: Arc::clone(&hooks),
            is_away: Arc::clone(&is_away),
        });
        let disk = MountedDisk::with(disk, path, home.store, home.disk_id, max_bytes).unwrap();
        (home.options_with(disk), hooks, is_away)
    }
}
