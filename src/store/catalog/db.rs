//! The only file that knows sled, and what must be done around it.
//!
//! sled 0.34 answers `flush` before its bytes would survive a power cut (it calls `sync_file_range`), opens a truncated
//! database as an empty one, panics inside `open` on damaged bytes, and fails on a snapshot it had not finished. So: its
//! file and folders are synced here after each flush, every call is made where a panic is contained, snapshots
//! are deleted when they stand in the way, and nothing lives in it alone.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::database::{Batch, Database, Each, Shelf};

/// Pages sled may keep in memory, bytes: the catalog keeps what it needs often itself.
const CACHE_BYTES: u64 = 4 << 20;
/// See [`Db::evict_around`]; a page holds the values of two to four buckets.
const EVICT_EVERY_READS: u32 = 2;
const ACCESSES_BEFORE_EVICTION: u32 = 64;
/// A file beside the database's that says not to believe it.
const DOUBT: &str = "doubted";
/// Room that the database's file has beyond its end: some of sled's segments of 512 KiB, in which thousands of entries are
/// entered and forgotten.
const GROWTH_BYTES: u64 = 8 << 20;
/// Unit of `st_blocks`.
const BLOCK_BYTES: u64 = 512;
/// How long a lock that is held is waited for.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);

/// Why the catalog cannot be read or written. Whatever it is, the footage is not concerned: the catalog is rebuilt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The database refused.
    #[error("the catalog's database failed: {0}")]
    Database(#[from] sled::Error),
    /// The database panicked; that was contained.
    #[error("the catalog's database panicked: it is damaged")]
    Panicked,
    /// Its files could not be made durable.
    #[error("the catalog could not be made durable")]
    Sync(#[from] io::Error),
    /// It was read, and does not say what a catalog says.
    #[error("the catalog is damaged: {0}")]
    Damaged(&'static str),
}

impl CatalogError {
    /// Whether a new catalog would be better. Not where the machine is at fault: no room, no permission, or another process
    /// that has it open.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Database(sled::Error::Io(error)) | Self::Sync(error) => {
                let is_the_machines = matches!(
                    error.kind(),
                    io::ErrorKind::StorageFull
                        | io::ErrorKind::QuotaExceeded
                        | io::ErrorKind::PermissionDenied
                        | io::ErrorKind::ReadOnlyFilesystem
                );
                !is_the_machines && !self.is_lock()
            }
            _ => true,
        }
    }

    /// What was wrong at last, in as few words as possible.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Database(sled::Error::Io(error)) | Self::Sync(error) => error.to_string(),
            other => other.to_string(),
        }
    }

    /// sled tells this by its words only.
    pub(crate) fn is_lock(&self) -> bool {
        matches!(self, Self::Database(sled::Error::Io(error))
            if error.to_string().contains("could not acquire lock"))
    }
}

/// A folder that holds a database.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Shelf for Folder {
    fn open(&self) -> Result<Box<dyn Database>, CatalogError> {
        Ok(Box::new(Db::open(&self.0)?))
    }

    /// Renames the folder to `NAME.damaged`, of which the newest is kept.
    fn move_aside(&self) -> io::Result<PathBuf> {
        let mut aside = self.0.as_os_str().to_owned();
        aside.push(".damaged");
        let aside = PathBuf::from(aside);
        if aside.exists() {
            std::fs::remove_dir_all(&aside)?;
        }
        if self.0.exists() {
            std::fs::rename(&self.0, &aside)?;
        }
        Ok(aside)
    }

    fn remove(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// A sled database.
struct Db {
    /// There until it is dropped.
    db: Option<sled::Db>,
    folder: PathBuf,
    reads: AtomicU32,
}

impl Db {
    /// Opens the database in `folder`, or makes it. On damage it deletes the snapshots, which are caches, and tries once more.
    fn open(folder: &Path) -> Result<Self, CatalogError> {
        if folder.join(DOUBT).exists() {
            return Err(CatalogError::Damaged("it could not be read before"));
        }
        let snapshots = Snapshots::list(folder);
        if snapshots.unfinished {
            snapshots.delete()?;
        }
        let db = match open_patiently(folder) {
            Err(error) if error.is_damage() && !snapshots.files.is_empty() => {
                snapshots.delete()?;
                open_patiently(folder)
            }
            opened => opened,
        }?;
        let db = Self {
            db: Some(db),
            folder: folder.to_owned(),
            reads: AtomicU32::new(0),
        };
        db.flush()?;
        // The names of its files, and its own: once is enough, they do not change.
        if let Ok(conf) = File::open(folder.join("conf")) {
            conf.sync_all()?;
        }
        File::open(folder)?.sync_all()?;
        if let Some(parent) = folder.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(db)
    }

    fn sled(&self) -> &sled::Db {
        self.db.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for Db {
    /// sled syncs its file at its end, and panics where that fails, unless a write of its own has failed before. So one does.
    fn drop(&mut self) {
        if self.flush().is_err() {
            // Whatever is wrong was told when it went wrong.
            let _ = contained(|| {
                let version = self.sled().get(b"v")?.unwrap_or_default();
                self.sled().insert(b"v", version)?;
                Ok(self.sled().flush().map(drop)?)
            });
        }
        let db = self.db.take();
        let _ = contained(|| {
            drop(db);
            Ok(())
        });
    }
}

impl Database for Db {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError> {
        contained(|| Ok(self.sled().get(key)?.map(|value| value.to_vec())))
    }

    /// Makes sled look at its cache's limit, in the part of the cache that this key's page belongs to.
    ///
    /// It does so only after 64 accesses to each of 256 parts, up to which it keeps every page it has read: a few months'
    /// timelines looked through would be tens of megabytes. Accesses to a page that is there already cost little.
    fn evict_around(&self, key: &[u8]) {
        if self
            .reads
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(EVICT_EVERY_READS)
        {
            let touched = contained(|| {
                (0..ACCESSES_BEFORE_EVICTION)
                    .try_for_each(|_| Ok(self.sled().contains_key(key).map(drop)?))
            });
            // Whatever is wrong shows where the value is needed.
            drop(touched);
        }
    }

    fn scan(&self, prefix: &[u8], each: &mut Each<'_>) -> Result<(), CatalogError> {
        contained(|| {
            self.sled().scan_prefix(prefix).try_for_each(|item| {
                let (key, value) = item?;
                each(&key, &value)
            })
        })
    }

    fn apply(&self, batch: Batch) -> Result<(), CatalogError> {
        let mut writes = sled::Batch::default();
        for (key, value) in batch.0 {
            match value {
                Some(value) => writes.insert(key, value),
                None => writes.remove(key),
            }
        }
        contained(|| Ok(self.sled().apply_batch(writes)?))
    }

    fn flush(&self) -> Result<(), CatalogError> {
        contained(|| Ok(self.sled().flush().map(drop)?))?;
        let file = File::options().write(true).open(self.folder.join("db"))?;
        keep_room(&file)?;
        Ok(file.sync_all()?)
    }

    fn doubt(&self) {
        if let Err(error) = File::create(self.folder.join(DOUBT)) {
            tracing::error!("the catalog is damaged, and could not be marked so: {error}");
        }
    }
}

/// Keeps room for the database to grow into, beyond the end of its file: sled takes nothing more, and tells nothing more, once it
/// was refused a write. Where there is none already, or the file system cannot do it, that is no failure.
fn keep_room(file: &File) -> io::Result<()> {
    let facts = file.metadata()?;
    if facts.blocks() * BLOCK_BYTES < facts.len() + GROWTH_BYTES / 2 {
        let beyond = rustix::fs::FallocateFlags::KEEP_SIZE;
        if let Err(error) = rustix::fs::fallocate(file, beyond, 0, facts.len() + GROWTH_BYTES) {
            tracing::debug!(%error, "no room is kept for the catalog to grow into");
        }
    }
    Ok(())
}

/// Opens, waiting for a handle of this process that was just dropped: sled's own threads keep its lock a little longer.
fn open_patiently(folder: &Path) -> Result<sled::Db, CatalogError> {
    let begun = Instant::now();
    loop {
        match open_contained(folder) {
            Err(error) if error.is_lock() && begun.elapsed() < LOCK_WAIT_MAX => {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
}

fn open_contained(folder: &Path) -> Result<sled::Db, CatalogError> {
    let config = sled::Config::new()
        .path(folder)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None);
    // On a thread of its own: a panic ends with it.
    let opening = std::thread::Builder::new()
        .name("catalog-open".into())
        .spawn(move || config.open())?;
    Ok(opening.join().map_err(|_| CatalogError::Panicked)??)
}

fn contained<T>(call: impl FnOnce() -> Result<T, CatalogError>) -> Result<T, CatalogError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(CatalogError::Panicked))
}

/// sled's snapshot files: summaries of its log, which it can do without.
struct Snapshots {
    files: Vec<PathBuf>,
    unfinished: bool,
}

impl Snapshots {
    fn list(folder: &Path) -> Self {
        let mut found = Self {
            files: Vec::new(),
            unfinished: false,
        };
        for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = file.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("snap.") {
                found.unfinished |= name.ends_with(".generating");
                found.files.push(file.path());
            }
        }
        found
    }

    fn delete(&self) -> io::Result<()> {
        self.files.iter().try_for_each(std::fs::remove_file)
    }
}
