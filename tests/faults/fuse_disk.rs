//! A file system that passes everything to a folder, and is slow, hangs or fails when told to.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fuser::*;

/// Requests that may wait at once; more than the recorder has threads that wait for a disk.
const THREADS: usize = 32;
const FRESH: Duration = Duration::from_secs(1);

/// What a process can ask of the file system that is told to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    Write,
    Sync,
    Read,
}

/// The file system, mounted until this is dropped.
pub struct FuseDisk {
    pub faults: Arc<Faults>,
    session: Option<BackgroundSession>,
}

impl FuseDisk {
    /// Serves `folder` at `at`.
    pub fn mount(folder: &Path, at: &Path) -> Self {
        let faults = Arc::new(Faults::default());
        let files = PassThrough {
            root: folder.to_owned(),
            paths: Mutex::new(HashMap::from([(INodeNo::ROOT.0, PathBuf::new())])),
            open: Mutex::default(),
            next_handle: AtomicU64::new(1),
            faults: Arc::clone(&faults),
        };
        let mut config = Config::default();
        config.n_threads = Some(THREADS);
        let session = spawn_mount(files, at, &config).unwrap();
        Self {
            faults,
            session: Some(session),
        }
    }
}

impl Drop for FuseDisk {
    fn drop(&mut self) {
        drop(self.session.take());
    }
}

/// Ends when it is dropped: a recorder that waits for a disk that hangs cannot even be killed.
pub struct Trouble<'a>(&'a Faults);

impl Drop for Trouble<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.rate = None;
        state.busy_until = None;
        state.late = Duration::ZERO;
        state.hanging.clear();
        drop(state);
        self.0.changed.notify_all();
    }
}

/// What is wrong with the file system, and what it saw.
#[derive(Default)]
pub struct Faults {
    state: Mutex<State>,
    changed: Condvar,
    written_bytes: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Bytes a second, shared by all that write.
    rate: Option<u64>,
    /// When what was written last will be done.
    busy_until: Option<Instant>,
    /// How long each sync takes.
    late: Duration,
    hanging: Vec<Asked>,
    failing: Option<Failing>,
    /// Files of which a write or sync has failed.
    failed: BTreeSet<u64>,
    /// How often one of those was written to or synced again.
    tried_again: u64,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    asked: Asked,
    times: u64,
    error: Errno,
}

impl Faults {
    /// Lets so many bytes a second through, until what this returns is dropped.
    pub fn slow_down(&self, bytes_per_s: u64) -> Trouble<'_> {
        self.lock().rate = Some(bytes_per_s);
        Trouble(self)
    }

    /// Lets each sync take so long, until what this returns is dropped.
    pub fn delay_syncs(&self, late: Duration) -> Trouble<'_> {
        self.lock().late = late;
        Trouble(self)
    }

    /// Answers these no more, until what this returns is dropped.
    pub fn hang(&self, asked: &[Asked]) -> Trouble<'_> {
        self.lock().hanging = asked.to_vec();
        Trouble(self)
    }

    /// Makes so many of these fail that are about footage, from now on.
    pub fn fail(&self, asked: Asked, times: u64, error: Errno) {
        self.lock().failing = Some(Failing {
            asked,
            times,
            error,
        });
    }

    /// How many files had a write or sync that failed, and how often one of those was written to or synced again.
    pub fn failed_files(&self) -> (usize, u64) {
        let state = self.lock();
        (state.failed.len(), state.tried_again)
    }

    /// Bytes that were written in all.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits while it hangs, and tells whether it is to fail.
    fn pass(&self, asked: Asked, inode: INodeNo, is_footage: bool) -> Result<(), Errno> {
        let mut state = self.lock();
        while state.hanging.contains(&asked) {
            state = self.changed.wait(state).unwrap();
        }
        if asked != Asked::Read && state.failed.contains(&inode.0) {
            state.tried_again += 1;
        }
        let failing = state.failing.as_mut();
        let failing =
            failing.filter(|failing| is_footage && failing.asked == asked && failing.times > 0);
        let Some(failing) = failing else {
            return Ok(());
        };
        failing.times -= 1;
        let error = failing.error;
        if asked != Asked::Read {
            state.failed.insert(inode.0);
        }
        Err(error)
    }

    fn late(&self) -> Duration {
        self.lock().late
    }

    /// Waits as long as so many bytes take.
    fn take_time(&self, bytes: u64) {
        let mut state = self.lock();
        let Some(rate) = state.rate else {
            return;
        };
        let takes = Duration::from_micros(bytes * 1_000_000 / rate);
        let now = Instant::now();
        let done = state.busy_until.unwrap_or(now).max(now) + takes;
        state.busy_until = Some(done);
        while state.rate == Some(rate) && Instant::now() < done {
            let left = done.saturating_duration_since(Instant::now());
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }
}

struct PassThrough {
    root: PathBuf,
    /// By inode of the folder behind; the root is 1.
    paths: Mutex<HashMap<u64, PathBuf>>,
    open: Mutex<HashMap<u64, Arc<File>>>,
    next_handle: AtomicU64,
    faults: Arc<Faults>,
}

impl PassThrough {
    fn below(&self, inode: INodeNo) -> io::Result<PathBuf> {
        let paths = self.paths.lock().unwrap();
        let path = paths.get(&inode.0);
        path.cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn pass(&self, asked: Asked, inode: INodeNo) -> Result<(), Errno> {
        let path = self.below(inode);
        let is_footage = path.is_ok_and(|path| path.starts_with("footage"));
        self.faults.pass(asked, inode, is_footage)
    }

    /// Where a name of a folder is, below the root and in the folder behind.
    fn named(&self, parent: INodeNo, name: &OsStr) -> io::Result<(PathBuf, PathBuf)> {
        let below = self.below(parent)?.join(name);
        let behind = self.root.join(&below);
        Ok((below, behind))
    }

    fn entry(&self, parent: INodeNo, name: &OsStr) -> io::Result<FileAttr> {
        let (below, behind) = self.named(parent, name)?;
        let attributes = attributes(&std::fs::symlink_metadata(behind)?);
        self.paths.lock().unwrap().insert(attributes.ino.0, below);
        Ok(attributes)
    }

    fn of(&self, inode: INodeNo) -> io::Result<FileAttr> {
        let metadata = std::fs::symlink_metadata(self.root.join(self.below(inode)?))?;
        let mut attributes = attributes(&metadata);
        attributes.ino = inode;
        Ok(attributes)
    }

    fn keep(&self, file: File) -> FileHandle {
        let handle = self.next_handle.fetch_add(1, Ordering::SeqCst);
        self.open.lock().unwrap().insert(handle, Arc::new(file));
        FileHandle(handle)
    }

    fn file(&self, handle: FileHandle) -> io::Result<Arc<File>> {
        let open = self.open.lock().unwrap();
        let file = open.get(&handle.0);
        file.cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn names(&self, inode: INodeNo) -> io::Result<Vec<(INodeNo, FileType, std::ffi::OsString)>> {
        let mut names = vec![
            (inode, FileType::Directory, ".".into()),
            (INodeNo::ROOT, FileType::Directory, "..".into()),
        ];
        for entry in std::fs::read_dir(self.root.join(self.below(inode)?))? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let found = attributes(&metadata);
            names.push((found.ino, found.kind, entry.file_name()));
        }
        Ok(names)
    }
}

fn attributes(metadata: &std::fs::Metadata) -> FileAttr {
    let kind = match metadata.is_dir() {
        true => FileType::Directory,
        false => FileType::RegularFile,
    };
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    FileAttr {
        ino: INodeNo(metadata.ino()),
        size: metadata.size(),
        blocks: metadata.blocks(),
        atime: modified,
        mtime: modified,
        ctime: modified,
        crtime: modified,
        kind,
        perm: (metadata.mode() & 0o7777) as u16,
        nlink: metadata.nlink() as u32,
        uid: metadata.uid(),
        gid: metadata.gid(),
        rdev: 0,
        flags: 0,
        blksize: 4096,
    }
}

/// Answers with a value, or with the error that was met on the way to it.
macro_rules! answer {
    ($reply:ident, $result:expr, $value:pat => $tell:expr) => {
        match $result {
            Ok($value) => $tell,
            Err(error) => $reply.error(Errno::from(error)),
        }
    };
}

impl Filesystem for PassThrough {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer!(reply, self.entry(parent, name), found => reply.entry(&FRESH, &found, Generation(0)));
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer!(reply, self.of(inode), found => reply.attr(&FRESH, &found));
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = || {
            if let Some(size) = size {
                let path = self.root.join(self.below(inode)?);
                File::options().write(true).open(path)?.set_len(size)?;
            }
            self.of(inode)
        };
        answer!(reply, set(), found => reply.attr(&FRESH, &found));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let make = || {
            std::fs::create_dir(self.named(parent, name)?.1)?;
            self.entry(parent, name)
        };
        answer!(reply, make(), made => reply.entry(&FRESH, &made, Generation(0)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let remove = || std::fs::remove_file(self.named(parent, name)?.1);
        answer!(reply, remove(), () => reply.ok());
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let remove = || std::fs::remove_dir(self.named(parent, name)?.1);
        answer!(reply, remove(), () => reply.ok());
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to_parent: INodeNo,
        to_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let rename = || {
            let (from, to) = (
                self.named(parent, name)?.1,
                self.named(to_parent, to_name)?.1,
            );
            std::fs::rename(from, to)?;
            self.entry(to_parent, to_name).map(drop)
        };
        answer!(reply, rename(), () => reply.ok());
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let make = || {
            let is_new = flags & rustix::fs::OFlags::EXCL.bits() as i32 != 0;
            let mut options = File::options();
            options
                .read(true)
                .write(true)
                .create(true)
                .create_new(is_new);
            let file = options.mode(mode).open(self.named(parent, name)?.1)?;
            Ok::<_, io::Error>((self.entry(parent, name)?, self.keep(file)))
        };
        answer!(reply, make(), (made, handle) =>
            reply.created(&FRESH, &made, Generation(0), handle, FopenFlags::empty()));
    }

    fn open(&self, _: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let open = || {
            let writes = flags.acc_mode() != OpenAccMode::O_RDONLY;
            let path = self.root.join(self.below(inode)?);
            File::options().read(true).write(writes).open(path)
        };
        // Nothing is kept in the kernel: each read comes here.
        answer!(reply, open(), file => reply.opened(self.keep(file), FopenFlags::FOPEN_DIRECT_IO));
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if let Err(error) = self.pass(Asked::Read, inode) {
            return reply.error(error);
        }
        let read = || {
            let file = self.file(handle)?;
            let mut bytes = vec![0; size as usize];
            let mut filled = 0;
            while filled < bytes.len() {
                match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
                    0 => break,
                    n => filled += n,
                }
            }
            bytes.truncate(filled);
            Ok::<_, io::Error>(bytes)
        };
        answer!(reply, read(), bytes => reply.data(&bytes));
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        if let Err(error) = self.pass(Asked::Write, inode) {
            return reply.error(error);
        }
        self.faults.take_time(data.len() as u64);
        let write = || self.file(handle)?.write_all_at(data, offset);
        self.faults
            .written_bytes
            .fetch_add(data.len() as u64, Ordering::SeqCst);
        answer!(reply, write(), () => reply.written(data.len() as u32));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.open.lock().unwrap().remove(&handle.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, inode: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        if let Err(error) = self.pass(Asked::Sync, inode) {
            return reply.error(error);
        }
        std::thread::sleep(self.faults.late());
        let sync = || self.file(handle)?.sync_data();
        answer!(reply, sync(), () => reply.ok());
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let names = match self.names(inode) {
            Ok(names) => names,
            Err(error) => return reply.error(error.into()),
        };
        for (next, (inode, kind, name)) in (1..).zip(names).skip(offset as usize) {
            if reply.add(inode, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let stat = rustix::fs::statvfs(&self.root).map_err(io::Error::from);
        answer!(reply, stat, stat => reply.statfs(
            stat.f_blocks,
            stat.f_bfree,
            stat.f_bavail,
            stat.f_files,
            stat.f_ffree,
            stat.f_bsize as u32,
            255,
            stat.f_frsize as u32,
        ));
    }
}
