//! A disk whose calls come back: a drive that hangs keeps the thread of its errands, and nobody who asks for them.
//!
//! Calls are made one after another on a thread of the disk's own. Whoever asked waits for at most the patience; after that the call
//! has failed for him, with an error of kind `TimedOut`, whatever becomes of it. While it lasts, all others fail at once, and one that was
//! not begun is never made: what comes later is made after it, and in order.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Disk, DiskFile, Space};
use crate::limits::DISK_PATIENCE_MS_MIN;

type Errand = Box<dyn FnOnce() + Send>;

/// A [`Disk`] that answers in time, or with an error.
pub struct BoundedDisk {
    disk: Arc<dyn Disk>,
    lane: Arc<Lane>,
}

/// The thread and those who wait for it.
pub struct Lane {
    errands: mpsc::Sender<Errand>,
    patience: Mutex<Patience>,
    /// Whether a call was given up since then.
    was_silent: AtomicBool,
    given_up: AtomicU64,
    /// Since when a call that was given up has not come back.
    hangs_since: Mutex<Option<Instant>>,
}

/// For how long calls are waited for.
#[derive(Clone)]
pub enum Patience {
    /// Each for so long.
    Each(Duration),
    /// All of several disks, one after another, for so long together, and then each for a second. A disk that did not answer once is not
    /// asked again.
    Together(Arc<Mutex<Duration>>),
}

/// How far a call is, as whoever asked and the thread agree on it under the lane's lock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Queued,
    Begun,
    Done,
    GivenUp,
}

/// Whether an error says that a disk did not answer in time.
///
/// A kernel that says `ETIMEDOUT` of a drive has an answer: that drive has failed.
pub fn is_no_answer(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none()
}

/// That a disk did not answer in time.
pub fn no_answer() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer")
}

impl Patience {
    /// For disks that are asked one after another.
    pub fn together(longest: Duration) -> Self {
        Self::Together(Arc::new(Mutex::new(longest)))
    }

    /// For how long the next call is waited for.
    fn longest(&self) -> Duration {
        match self {
            Self::Each(longest) => *longest,
            Self::Together(left) => (*lock(left)).max(Self::LEAST),
        }
    }

    /// Counts what a call took.
    fn took(&self, took: Duration) {
        if let Self::Together(left) = self
            && took >= Self::LEAST
        {
            let mut left = lock(left);
            *left = left.saturating_sub(took);
        }
    }

    const LEAST: Duration = Duration::from_millis(DISK_PATIENCE_MS_MIN);
}

impl BoundedDisk {
    /// Puts a bound on the calls of a disk.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub fn new(disk: Arc<dyn Disk>, name: String, patience: Patience) -> io::Result<Self> {
        Ok(Self::on(Arc::new(Lane::new(name, patience)?), disk))
    }

    /// The same on a thread that there is.
    pub fn on(lane: Arc<Lane>, disk: Arc<dyn Disk>) -> Self {
        Self { disk, lane }
    }

    /// The thread of its calls.
    pub fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    fn call<T: Send + 'static>(
        &self,
        act: impl FnOnce(&dyn Disk) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let disk = Arc::clone(&self.disk);
        self.lane.call(move || act(&*disk))
    }

    fn open(
        &self,
        path: &Path,
        open: fn(&dyn Disk, &Path) -> io::Result<Box<dyn DiskFile>>,
    ) -> io::Result<Box<dyn DiskFile>> {
        let path = path.to_owned();
        let file = self.call(move |disk| open(disk, &path))?;
        Ok(Box::new(BoundedFile {
            file: Some(file.into()),
            lane: Arc::clone(&self.lane),
        }))
    }
}

impl Lane {
    /// A thread, and for how long it is waited for.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub fn new(name: String, patience: Patience) -> io::Result<Self> {
        let (errands, asked) = mpsc::channel::<Errand>();
        let work = move || asked.iter().for_each(|errand| errand());
        std::thread::Builder::new().name(name).spawn(work)?;
        Ok(Self {
            errands,
            patience: Mutex::new(patience),
            was_silent: AtomicBool::default(),
            given_up: AtomicU64::default(),
            hangs_since: Mutex::default(),
        })
    }

    /// From now on it is waited for as long as this.
    pub fn set_patience(&self, patience: Patience) {
        *lock(&self.patience) = patience;
        self.was_silent.store(false, Ordering::Relaxed);
    }

    /// For how long a call has lasted by now that was given up, if one lasts.
    pub fn hangs_for(&self) -> Option<Duration> {
        self.hangs().map(|since| since.elapsed())
    }

    /// Does something on the thread, and waits for it.
    ///
    /// # Errors
    /// What it says, or that there was no answer in time.
    pub fn call<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let patience = lock(&self.patience).clone();
        let is_over = matches!(patience, Patience::Together(_)) && self.was_silent();
        if is_over || self.hangs().is_some() {
            return Err(self.give_up());
        }
        let (answer, answered) = mpsc::sync_channel(1);
        let stage = Arc::new(Mutex::new(Stage::Queued));
        let (asked, lane) = (Instant::now(), Arc::downgrade(self));
        let theirs = Arc::clone(&stage);
        self.send(move || {
            {
                let mut stage = lock(&theirs);
                if *stage == Stage::GivenUp {
                    return;
                }
                *stage = Stage::Begun;
            }
            let result = act();
            let mut stage = lock(&theirs);
            if *stage == Stage::GivenUp
                && let Some(lane) = lane.upgrade()
            {
                *lane.hangs() = None;
            }
            *stage = Stage::Done;
            // Of one that was given up nobody takes the answer; it is let go of here.
            let _ = answer.send(result);
        })?;
        let answer = answered.recv_timeout(patience.longest());
        patience.took(asked.elapsed());
        match answer {
            Ok(result) => result,
            Err(RecvTimeoutError::Disconnected) => Err(no_answer()),
            Err(RecvTimeoutError::Timeout) => {
                let mut stage = lock(&stage);
                match *stage {
                    Stage::Done => return answered.try_recv().unwrap_or_else(|_| Err(no_answer())),
                    Stage::Begun => *self.hangs() = Some(asked),
                    Stage::Queued | Stage::GivenUp => {}
                }
                *stage = Stage::GivenUp;
                self.was_silent.store(true, Ordering::Relaxed);
                Err(self.give_up())
            }
        }
    }

    /// How many calls were given up by now, those included that were not made since another one hangs.
    pub fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Relaxed)
    }

    fn was_silent(&self) -> bool {
        self.was_silent.load(Ordering::Relaxed)
    }

    fn give_up(&self) -> io::Error {
        self.given_up.fetch_add(1, Ordering::Relaxed);
        no_answer()
    }

    fn send(&self, errand: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.errands
            .send(Box::new(errand))
            .map_err(|_| io::Error::other("the thread of the disk's errands has died"))
    }

    fn hangs(&self) -> MutexGuard<'_, Option<Instant>> {
        lock(&self.hangs_since)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk for BoundedDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path, |disk, path| disk.create_new(path))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path, |disk, path| disk.open_read(path))
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path, |disk, path| disk.open_write(path))
    }

    fn list(&self, folder: &Path, each: &mut dyn FnMut(&str, bool)) -> io::Result<()> {
        let folder = folder.to_owned();
        let names = self.call(move |disk| {
            let mut names = Vec::new();
            disk.list(&folder, &mut |name, is_folder| {
                names.push((name.to_owned(), is_folder));
            })?;
            Ok(names)
        })?;
        names
            .iter()
            .for_each(|(name, is_folder)| each(name, *is_folder));
        Ok(())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        self.call(move |disk| disk.create_folder(&path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        self.call(move |disk| disk.sync_folder(&path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.call(move |disk| disk.rename(&from, &to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        self.call(move |disk| disk.remove_file(&path))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        self.call(move |disk| disk.remove_folder(&path))
    }

    fn space(&self) -> io::Result<Space> {
        self.call(|disk| disk.space())
    }

    fn is_in_place(&self) -> io::Result<bool> {
        self.call(|disk| disk.is_in_place())
    }
}

struct BoundedFile {
    /// Nothing only while it is dropped.
    file: Option<Arc<dyn DiskFile>>,
    lane: Arc<Lane>,
}

impl BoundedFile {
    fn call<T: Send + 'static>(
        &self,
        act: impl FnOnce(&dyn DiskFile) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = self.file.clone().ok_or_else(no_answer)?;
        self.lane.call(move || act(&*file))
    }
}

impl DiskFile for BoundedFile {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let length = bytes.len();
        let read = self.call(move |file| {
            let mut read = vec![0; length];
            let count = file.read_at(offset, &mut read)?;
            read.truncate(count);
            Ok(read)
        })?;
        bytes[..read.len()].copy_from_slice(&read);
        Ok(read.len())
    }

    fn size(&self) -> io::Result<u64> {
        self.call(|file| file.size())
    }

    fn append(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let bytes: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        self.call(move |file| file.append(&mut [IoSlice::new(&bytes)]))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.call(move |file| file.truncate(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.call(|file| file.sync_data())
    }

    fn will_read(&self, offset: u64, bytes: u64) {
        // What it does not say is not needed.
        let _ = self.call(move |file| {
            file.will_read(offset, bytes);
            Ok(())
        });
    }

    fn was_read(&self) {
        let _ = self.call(|file| {
            file.was_read();
            Ok(())
        });
    }

    fn forget(&self) -> io::Result<()> {
        self.call(|file| file.forget())
    }
}

impl Drop for BoundedFile {
    fn drop(&mut self) {
        // To close a file may hang like anything else.
        let file = self.file.take();
        let _ = self.lane.send(move || drop(file));
    }
}

#[cfg(test)]
mod tests;
