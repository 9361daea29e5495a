//! A disk that fails when told to.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use hearthkeep::disk::{Disk, DiskFile, RealDisk, Space, no_answer};

/// A real disk that fails or stalls when told to.
pub struct FaultyDisk {
    pub real: RealDisk,
    pub faults: Arc<Faults>,
    folder: PathBuf,
}

/// How many files can be made, while the file system shows room.
#[derive(Default)]
pub enum Files {
    #[default]
    Many,
    /// So many more; what is deleted makes room for another one.
    Left(u64),
    /// None, whatever is deleted.
    None,
    /// What is deleted makes room that somebody else takes, but for one file, if there is any now.
    Contested(bool),
}

impl Files {
    fn make_one(&mut self) -> io::Result<()> {
        let is_made = match self {
            Self::Many => true,
            Self::Left(left) => left.checked_sub(1).map(|less| *left = less).is_some(),
            Self::None => false,
            Self::Contested(room) => std::mem::take(room),
        };
        is_made.then_some(()).ok_or_else(full)
    }

    fn delete_one(&mut self, path: &Path) {
        match self {
            Self::Left(left) => *left += 1,
            Self::Contested(room) if path.starts_with("footage") => *room = true,
            _ => {}
        }
    }
}

#[derive(Default)]
pub struct Faults {
    pub full: AtomicBool,
    pub files: Mutex<Files>,
    /// Its size in bytes, of which footage takes its part; zero is as the real one is.
    pub size: AtomicU64,
    pub fail_sync: AtomicBool,
    /// Half of what is written arrives, and the disk says EIO.
    pub fail_append: AtomicBool,
    /// What is written is taken and forgotten.
    pub discard: AtomicBool,
    /// The thread that writes next panics.
    pub panic: AtomicBool,
    pub fail_sync_folder: AtomicBool,
    pub fail_list: AtomicBool,
    /// Whoever asks for footage has given up waiting by then.
    pub silent: AtomicBool,
    /// The same of who opens a file of it; folders are listed.
    pub silent_files: AtomicBool,
    /// Nothing of the log can be read or listed: EIO.
    pub fail_log: AtomicBool,
    /// Nothing can be deleted, as on a file system that became read-only.
    pub fail_remove: AtomicBool,
    /// No footage can be deleted, and all else can.
    pub keep_footage: AtomicBool,
    /// The disk does not answer any more once some footage is to be deleted, and is silent from then on.
    pub hang_removals: AtomicBool,
    /// What was to be deleted then.
    pub hanging: Mutex<Vec<PathBuf>>,
    /// The same of what gets another name: which, and from which.
    pub hang_renames: AtomicBool,
    pub hanging_renames: Mutex<Vec<(PathBuf, PathBuf)>>,
    /// Is done each time that footage is listed.
    pub listed: Mutex<Option<Box<dyn Fn() + Send>>>,
    /// Is done each time that something is read or synced.
    pub each: Mutex<Option<Box<dyn Fn() + Send>>>,
    /// How often something was to be deleted.
    pub removals: AtomicU64,
    pub syncs: AtomicU64,
    pub appends: AtomicU64,
    pub read_bytes: AtomicU64,
    /// Which folders were synced, in order.
    pub synced_folders: Mutex<Vec<PathBuf>>,
    /// Is done when a segment was removed, once.
    pub removed: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    stalled: Mutex<Stalled>,
    go_on: Condvar,
}

/// What does not come back from a write or a sync, or from a read.
#[derive(Default)]
struct Stalled {
    all: bool,
    log: bool,
    reads: bool,
    log_reads: bool,
    /// Who waits for a read.
    readers: usize,
    /// Who waits for a write or a sync.
    writers: usize,
}

impl Faults {
    pub fn stall(&self, stalled: bool) {
        self.stalled.lock().unwrap().all = stalled;
        self.go_on.notify_all();
    }

    /// The same of the files of the log only.
    pub fn stall_log(&self, stalled: bool) {
        self.stalled.lock().unwrap().log = stalled;
        self.go_on.notify_all();
    }

    /// Nothing comes back from reading a file.
    pub fn stall_reads(&self, stalled: bool) {
        self.stalled.lock().unwrap().reads = stalled;
        self.go_on.notify_all();
    }

    /// How many reads have not come back.
    pub fn readers(&self) -> usize {
        self.stalled.lock().unwrap().readers
    }

    /// How many writes and syncs have not come back.
    pub fn writers(&self) -> usize {
        self.stalled.lock().unwrap().writers
    }

    /// No read of the log comes back.
    pub fn stall_log_reads(&self, stalled: bool) {
        self.stalled.lock().unwrap().log_reads = stalled;
        self.go_on.notify_all();
    }

    /// The disk answers again; what hung is done by then, or never will be.
    pub fn answer_again(&self, disk: &Path, is_done: bool) {
        for path in self.hanging.lock().unwrap().drain(..) {
            if is_done {
                std::fs::remove_file(disk.join(path)).unwrap();
            }
        }
        for (from, to) in self.hanging_renames.lock().unwrap().drain(..) {
            if is_done {
                std::fs::rename(disk.join(from), disk.join(to)).unwrap();
            }
        }
        self.hang_removals.store(false, Ordering::SeqCst);
        self.hang_renames.store(false, Ordering::SeqCst);
        self.silent.store(false, Ordering::SeqCst);
    }

    /// What a read comes to.
    fn read(&self, is_log: bool) -> io::Result<()> {
        let mut stalled = self.stalled.lock().unwrap();
        stalled.readers += 1;
        let hangs = |stalled: &mut Stalled| stalled.reads || (is_log && stalled.log_reads);
        let mut stalled = self.go_on.wait_while(stalled, hangs).unwrap();
        stalled.readers -= 1;
        drop(stalled);
        match is_log && self.fail_log.load(Ordering::SeqCst) {
            true => Err(rustix::io::Errno::IO.into()),
            false => Ok(()),
        }
    }

    /// What listing or opening comes to.
    fn answer(&self, path: &Path) -> io::Result<()> {
        if path.starts_with("log") {
            self.read(true)?;
        }
        match path.starts_with("footage") && self.silent.load(Ordering::SeqCst) {
            true => Err(no_answer()),
            false => Ok(()),
        }
    }

    fn work(&self) {
        if let Some(each) = &*self.each.lock().unwrap() {
            each();
        }
    }

    fn pass(&self, is_log: bool) {
        let mut stalled = self.stalled.lock().unwrap();
        stalled.writers += 1;
        let hangs = |stalled: &mut Stalled| stalled.all || (is_log && stalled.log);
        self.go_on.wait_while(stalled, hangs).unwrap().writers -= 1;
    }
}

impl FaultyDisk {
    pub fn new(path: &Path) -> (Arc<Self>, Arc<Faults>) {
        let faults = Arc::new(Faults::default());
        let real = RealDisk::open(path).unwrap();
        (
            Arc::new(Self {
                real,
                faults: Arc::clone(&faults),
                folder: path.to_owned(),
            }),
            faults,
        )
    }

    fn wrap(
        &self,
        path: &Path,
        file: io::Result<Box<dyn DiskFile>>,
    ) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FaultyFile {
            real: file?,
            is_log: path.starts_with("log"),
            faults: Arc::clone(&self.faults),
        }))
    }
}

/// Bytes of all files in a folder and below it, some of which may go meanwhile.
fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl Disk for FaultyDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        if self.faults.full.load(Ordering::SeqCst) {
            return Err(full());
        }
        self.faults.files.lock().unwrap().make_one()?;
        self.wrap(path, self.real.create_new(path))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.faults.answer(path)?;
        if path.starts_with("footage") && self.faults.silent_files.load(Ordering::SeqCst) {
            return Err(no_answer());
        }
        self.wrap(path, self.real.open_read(path))
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.faults.answer(path)?;
        self.wrap(path, self.real.open_write(path))
    }

    fn list(&self, folder: &Path, each: &mut dyn FnMut(&str, bool)) -> io::Result<()> {
        if self.faults.fail_list.load(Ordering::SeqCst) {
            return Err(io::Error::other("the folder cannot be read"));
        }
        self.faults.answer(folder)?;
        if folder.starts_with("footage")
            && let Some(listed) = &*self.faults.listed.lock().unwrap()
        {
            listed();
        }
        self.real.list(folder, each)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.real.create_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        if self.faults.fail_sync_folder.load(Ordering::SeqCst) {
            return Err(io::Error::other("the folder could not be synced"));
        }
        self.real.sync_folder(path)?;
        self.faults.synced_folders.lock().unwrap().push(path.into());
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if to.starts_with("footage") && self.faults.hang_renames.load(Ordering::SeqCst) {
            self.faults.silent.store(true, Ordering::SeqCst);
            let mut hanging = self.faults.hanging_renames.lock().unwrap();
            hanging.push((from.to_owned(), to.to_owned()));
            return Err(no_answer());
        }
        self.real.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.faults.removals.fetch_add(1, Ordering::SeqCst);
        if self.faults.fail_remove.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        if path.starts_with("footage") && self.faults.keep_footage.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if path.starts_with("footage") && self.faults.hang_removals.load(Ordering::SeqCst) {
            self.faults.silent.store(true, Ordering::SeqCst);
            self.faults.hanging.lock().unwrap().push(path.to_owned());
        }
        if path.starts_with("footage") {
            self.faults.answer(path)?;
        }
        self.faults.full.store(false, Ordering::SeqCst);
        self.real.remove_file(path)?;
        self.faults.files.lock().unwrap().delete_one(path);
        if path.starts_with("footage")
            && let Some(removed) = self.faults.removed.lock().unwrap().take()
        {
            removed();
        }
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.real.remove_folder(path)
    }

    fn is_in_place(&self) -> io::Result<bool> {
        self.real.is_in_place()
    }

    fn space(&self) -> io::Result<Space> {
        let mut space = self.real.space()?;
        let size = self.faults.size.load(Ordering::SeqCst);
        if size > 0 {
            let taken = bytes_below(&self.folder.join("footage"));
            (space.total_bytes, space.free_bytes) = (size, size.saturating_sub(taken));
        }
        let free_bytes = if self.faults.full.load(Ordering::SeqCst) {
            0
        } else {
            space.free_bytes
        };
        Ok(Space {
            free_bytes,
            ..space
        })
    }
}

struct FaultyFile {
    real: Box<dyn DiskFile>,
    is_log: bool,
    faults: Arc<Faults>,
}

impl DiskFile for FaultyFile {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.faults.read(self.is_log)?;
        let read = self.real.read_at(offset, bytes)?;
        self.faults.work();
        self.faults
            .read_bytes
            .fetch_add(read as u64, Ordering::SeqCst);
        Ok(read)
    }

    fn size(&self) -> io::Result<u64> {
        self.real.size()
    }

    fn append(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.faults.appends.fetch_add(1, Ordering::SeqCst);
        assert!(!self.faults.panic.load(Ordering::SeqCst), "on purpose");
        self.faults.pass(self.is_log);
        if self.faults.discard.load(Ordering::SeqCst) {
            return Ok(());
        }
        if self.faults.fail_append.load(Ordering::SeqCst) {
            let some = slices[0].len() / 2;
            self.real.append(&mut [IoSlice::new(&slices[0][..some])])?;
            return Err(rustix::io::Errno::IO.into());
        }
        if self.faults.full.load(Ordering::SeqCst) {
            // As a real one does: some of it fits.
            let some = slices[0].len() / 2;
            self.real.append(&mut [IoSlice::new(&slices[0][..some])])?;
            return Err(full());
        }
        self.real.append(slices)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.real.truncate(len)
    }

    fn forget(&self) -> io::Result<()> {
        self.real.forget()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.syncs.fetch_add(1, Ordering::SeqCst);
        self.faults.pass(self.is_log);
        self.faults.work();
        if self.faults.fail_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk lost what was written"));
        }
        self.real.sync_data()
    }
}
