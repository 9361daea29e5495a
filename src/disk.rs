//! What the store needs of a disk, and the real one.
//!
//! The trait is small so that a simulated disk (with a live and a durable image, a failing fsync, a full file system)
//! can stand in for the real one. Paths are relative to the disk's root. Nothing here retries: whoever calls decides
//! what a failure means.

mod ahead;
mod bounded;
mod sequential;

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hearthkeep_format::segment::ReadAt;
use rustix::fs::{Advice, AtFlags, FileType, Mode, OFlags};

pub use ahead::{Turn, read_ahead};
pub use bounded::{BoundedDisk, Lane, Patience, is_no_answer, no_answer};
pub use sequential::{Pace, Sequential, readers};

/// Slices that one `writev` takes (IOV_MAX of Linux).
const SLICES_MAX: usize = 1024;
/// What a disk loses at least when it cannot read: a sector of today's disks, and a page of the kernel's.
const SECTOR_BYTES: u64 = 4096;

/// A disk: a folder tree that can be made durable piece by piece.
pub trait Disk: Send + Sync {
    /// Makes a file that must not exist yet, open for appending and reading. Its name is durable only after
    /// [`Disk::sync_folder`] of its folder.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for reading.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file that exists for reading, appending and truncating.
    fn open_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Calls `each` with the name of every entry of a folder, in no order, and with whether it is a folder itself. Names that are not
    /// UTF-8 are not ours and are left out.
    fn list(&self, folder: &Path, each: &mut dyn FnMut(&str, bool)) -> io::Result<()>;

    /// Makes a folder. One that exists is an error of kind `AlreadyExists`.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable. The root is the empty path.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Renames a file over another.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder that is empty; one that is not is an error.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Size and free space of the file system.
    fn space(&self) -> io::Result<Space>;

    /// Whether whoever goes to the disk by its path still comes to this one: false when it was unmounted, or another one was
    /// mounted there. One that has no path is always in its place.
    fn is_in_place(&self) -> io::Result<bool> {
        Ok(true)
    }
}

/// A file of a [`Disk`]. It ends at its end: all writing is appending.
pub trait DiskFile: Send + Sync {
    /// Reads at `offset` into `bytes`; fewer than asked for only at the end, where it is 0.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize>;

    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Writes the slices at the end, one after another, all of them or an error (then any part may have been written).
    fn append(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// Cuts the file to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Makes content and length durable (fdatasync). After an error nothing is known about what was written, and
    /// another call that succeeds does not change that.
    fn sync_data(&self) -> io::Result<()>;

    /// Says that these bytes are read next. It does not wait for them, and may do nothing.
    fn will_read(&self, _offset: u64, _bytes: u64) {}

    /// Says that nobody needs what was read of it any longer. It may do nothing.
    fn was_read(&self) {}

    /// Forgets what the machine remembers of it, as far as it can, so that what is read next is what is on the disk: after a sync
    /// that failed, memory and disk may differ.
    fn forget(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The first bytes of a file, as the format crate reads them. They do not change, even while the file grows.
pub struct Front {
    file: Box<dyn DiskFile>,
    bytes: u64,
    /// Where reading goes on past sectors that the disk cannot read: those that are known.
    bad_sectors: Option<Mutex<BTreeSet<u64>>>,
}

impl Front {
    /// All that is in the file now.
    pub fn whole(file: Box<dyn DiskFile>) -> io::Result<Self> {
        let bytes = file.size()?;
        Ok(Self::new(file, bytes))
    }

    /// Its first `bytes`, or fewer where it has fewer.
    pub fn of(file: Box<dyn DiskFile>, bytes: u64) -> io::Result<Self> {
        let bytes = file.size()?.min(bytes);
        Ok(Self::new(file, bytes))
    }

    fn new(file: Box<dyn DiskFile>, bytes: u64) -> Self {
        Self {
            file,
            bytes,
            bad_sectors: None,
        }
    }

    /// The same, for somebody who only reads: sectors that the disk cannot read are zeros, so that they cost the chunk they
    /// are in and not the file. Nobody may write to a file what was learned from it in this way.
    pub fn past_bad_sectors(mut self) -> Self {
        self.bad_sectors = Some(Mutex::default());
        self
    }

    /// How many sectors the disk could not read so far.
    pub fn bad_sectors(&self) -> usize {
        let bad = self.bad_sectors.as_ref();
        bad.map_or(0, |bad| {
            bad.lock().unwrap_or_else(PoisonError::into_inner).len()
        })
    }

    /// The file itself.
    pub fn file(&self) -> &dyn DiskFile {
        &*self.file
    }

    fn read_exactly(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self.file.read_at(offset, buffer)? {
            n if n == buffer.len() => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Reads sector by sector. One that is known to be bad is not asked for again: a disk takes seconds to give up.
    fn read_around(
        &self,
        bad: &mut BTreeSet<u64>,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let sector = at / SECTOR_BYTES;
            let left = ((sector + 1) * SECTOR_BYTES - at) as usize;
            let end = buffer.len().min(done + left);
            let piece = &mut buffer[done..end];
            if !bad.contains(&sector) {
                match self.read_exactly(at, piece) {
                    Err(error) if is_bad_sector(&error) => _ = bad.insert(sector),
                    read => read?,
                }
            }
            if bad.contains(&sector) {
                piece.fill(0);
            }
            done = end;
        }
        Ok(())
    }
}

/// Whether a disk said that it cannot read this place (EIO).
pub fn is_bad_sector(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

impl ReadAt for Front {
    fn size(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(bad) = &self.bad_sectors else {
            return self.read_exactly(offset, buffer);
        };
        let mut bad = bad.lock().unwrap_or_else(PoisonError::into_inner);
        let sectors = offset / SECTOR_BYTES..=(offset + buffer.len() as u64) / SECTOR_BYTES;
        if bad.range(sectors).next().is_none() {
            match self.read_exactly(offset, buffer) {
                Err(error) if is_bad_sector(&error) => {}
                read => return read,
            }
        }
        self.read_around(&mut bad, offset, buffer)
    }
}

/// Size and free space of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// The whole of it, in bytes.
    pub total_bytes: u64,
    /// What an ordinary user may still write, in bytes.
    pub free_bytes: u64,
}

/// Reads a whole file of at most `bytes_max` bytes; an error of kind `FileTooLarge` beyond.
pub fn read_file(disk: &dyn Disk, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = Front::whole(disk.open_read(path)?)?;
    let size = usize::try_from(file.bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
    if file.bytes > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; size];
    ReadAt::read_at(&file, 0, &mut bytes)?;
    Ok(bytes)
}

/// A folder of the machine.
///
/// It is held open and everything is reached through it: when a disk is unmounted under it, calls fail instead of
/// landing in the bare mount point.
#[derive(Debug)]
pub struct RealDisk {
    root: OwnedFd,
    path: PathBuf,
}

impl RealDisk {
    /// Opens the folder at `path`, which must exist.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self {
            root,
            path: path.to_owned(),
        })
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open_at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(rustix::fs::openat(
            &self.root,
            path,
            flags,
            Mode::from_raw_mode(0o600),
        )?)
    }

    fn file(&self, path: &Path, flags: OFlags) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(self.open_at(path, flags)?)))
    }
}

impl Disk for RealDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL;
        self.file(path, flags)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file(path, OFlags::RDONLY)
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file(path, OFlags::RDWR | OFlags::APPEND)
    }

    fn list(&self, folder: &Path, each: &mut dyn FnMut(&str, bool)) -> io::Result<()> {
        let folder = self.open_at(folder, OFlags::RDONLY | OFlags::DIRECTORY)?;
        for entry in rustix::fs::Dir::read_from(&folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems do not tell in the listing.
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(stat.st_mode)
                }
                known => known,
            };
            each(name, kind == FileType::Directory);
        }
        Ok(())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(
            &self.root,
            path,
            Mode::from_raw_mode(0o700),
        )?)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let folder = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(rustix::fs::fsync(folder)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.root, from, &self.root, to)?)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.root, path, AtFlags::empty())?)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.root, path, AtFlags::REMOVEDIR)?)
    }

    fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::fstatvfs(&self.root)?;
        Ok(Space {
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    fn is_in_place(&self) -> io::Result<bool> {
        let held = rustix::fs::fstat(&self.root)?;
        match rustix::fs::stat(&self.path) {
            Ok(there) => Ok((there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[derive(Debug)]
struct RealFile(OwnedFd);

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < bytes.len() {
            match rustix::io::pread(&self.0, &mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(filled)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(u64::try_from(rustix::fs::fstat(&self.0)?.st_size).unwrap_or(0))
    }

    fn append(&self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        while !slices.is_empty() {
            let some = slices.len().min(SLICES_MAX);
            match rustix::io::writev(&self.0, &slices[..some]) {
                Ok(0) if slices[..some].iter().any(|slice| !slice.is_empty()) => {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                // Empty slices only: writev took none of them, and there is nothing to take.
                Ok(0) => slices = &mut slices[some..],
                Ok(n) => IoSlice::advance_slices(&mut slices, n),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        Ok(rustix::fs::ftruncate(&self.0, len)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.0)?)
    }

    fn will_read(&self, offset: u64, bytes: u64) {
        // Advice that is not taken costs time and nothing else.
        let bytes = NonZeroU64::new(bytes);
        let _ = rustix::fs::fadvise(&self.0, offset, bytes, Advice::WillNeed);
    }

    fn was_read(&self) {
        let _ = rustix::fs::fadvise(&self.0, 0, None, Advice::DontNeed);
    }

    fn forget(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.0, 0, None, Advice::DontNeed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_grows_is_read_and_cut() {
        let folder = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(folder.path()).unwrap();
        disk.create_folder(Path::new("a")).unwrap();
        let path = Path::new("a/file");
        let file = disk.create_new(path).unwrap();
        assert!(disk.create_new(path).is_err(), "it exists");
        // More slices than one writev takes, some of them empty.
        let pieces: Vec<Vec<u8>> = (0..3000u32)
            .map(|i| vec![i as u8; i as usize % 3])
            .collect();
        let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        file.append(&mut slices).unwrap();
        file.sync_data().unwrap();
        disk.sync_folder(Path::new("a")).unwrap();
        disk.sync_folder(Path::new("")).unwrap();
        let whole = pieces.concat();
        assert_eq!(read_file(&disk, path, 1 << 20).unwrap(), whole);
        assert!(read_file(&disk, path, 10).is_err());
        let file = disk.open_write(path).unwrap();
        file.truncate(5).unwrap();
        file.append(&mut [IoSlice::new(b"x")]).unwrap();
        assert_eq!(read_file(&disk, path, 10).unwrap().len(), 6);
        let mut six = [0; 8];
        assert_eq!(file.read_at(0, &mut six).unwrap(), 6);
        let front = Front::of(file, 4).unwrap();
        assert_eq!(front.size(), 4);
        front.read_at(2, &mut six[..2]).unwrap();
        assert!(front.read_at(2, &mut six[..3]).is_err(), "not of the front");
        assert!(front.read_at(u64::MAX, &mut six).is_err());
    }

    #[test]
    fn listing_tells_folders_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(folder.path()).unwrap();
        disk.create_folder(Path::new("folder")).unwrap();
        disk.create_new(Path::new("file")).unwrap();
        let mut found = Vec::new();
        disk.list(Path::new(""), &mut |name, is_folder| {
            found.push((name.to_owned(), is_folder))
        })
        .unwrap();
        found.sort();
        assert_eq!(
            found,
            [("file".to_owned(), false), ("folder".to_owned(), true)]
        );
        assert!(disk.remove_folder(Path::new("file")).is_err());
        disk.remove_folder(Path::new("folder")).unwrap();
        disk.remove_file(Path::new("file")).unwrap();
        assert!(disk.space().unwrap().total_bytes > 0);
    }

    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("target"), "x").unwrap();
        std::os::unix::fs::symlink("target", folder.path().join("link")).unwrap();
        let disk = RealDisk::open(folder.path()).unwrap();
        assert!(disk.open_read(Path::new("link")).is_err());
    }
}
