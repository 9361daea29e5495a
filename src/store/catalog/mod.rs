//! The index of segments: a cache that can be deleted, in which a million segments are found fast.
//!
//! It may lag the footage and never leads it: an entry is written when its segment is durable. It holds no names. See
//! [`entry`] for what stands where.

mod copied;
mod database;
mod db;
mod directory;
mod entry;
mod groups;
mod left_behind;
mod memory;
mod numbers;
mod queries;
mod refuge;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use hearthkeep_format::{DiskId, EpochId, StoreId, StreamId};

pub(super) use copied::Copied;
pub use database::{Batch, Database, Each, Shelf};
pub use db::CatalogError;
pub(super) use db::Folder;
pub use directory::Tally;
use directory::{Directory, EpochFolder, Summary};
pub(super) use entry::BUCKET_SEGMENTS;
pub use entry::Entry;
use entry::{PARTS, part_key, summary_key, tally_key};
pub(super) use entry::{pack, unpack};
pub use memory::Memory;
use numbers::Numbers;
pub use queries::{OldestFirst, Usage};
use refuge::Refuge;

/// Written under `v`; another one is a catalog of another version, which is rebuilt.
const VERSION: &[u8] = b"hearthkeep catalog 2 ";

/// The catalog of a store.
///
/// One thread writes; any may read meanwhile, and sees a bucket before or after a change.
pub struct Catalog {
    store: StoreId,
    /// Another one is put here under the directory's lock only.
    db: RwLock<Arc<dyn Database>>,
    directory: RwLock<Directory>,
    writing: Mutex<()>,
    refuge: Mutex<Refuge>,
    /// See [`Catalog::take_lost`].
    has_lost: AtomicBool,
}

/// A catalog and how it was come by.
pub struct Opened {
    /// The catalog.
    pub catalog: Catalog,
    /// Whether it is new and says nothing about what lies on the disks.
    pub fresh: bool,
    /// Why an older one was moved aside, where that happened, and to where.
    pub moved_aside: Option<(CatalogError, PathBuf)>,
}

impl Catalog {
    /// Opens the catalog in `folder`. What is damaged is moved aside, and a new one begun.
    ///
    /// # Errors
    /// When the machine is at fault (no room, no permission), or a new one cannot be made either.
    pub fn open(folder: &Path, store: &StoreId) -> Result<Opened, CatalogError> {
        Self::open_from(&Folder(folder.to_owned()), store)
    }

    /// Removes the catalog in `folder`.
    ///
    /// # Errors
    /// When it stays there.
    pub fn remove(folder: &Path) -> std::io::Result<()> {
        Folder(folder.to_owned()).remove()
    }

    /// Opens the catalog of the database that is kept there. What is damaged is moved aside, and a new one begun.
    ///
    /// # Errors
    /// As [`Catalog::open`].
    pub fn open_from(shelf: &dyn Shelf, store: &StoreId) -> Result<Opened, CatalogError> {
        let problem = match Self::open_as_it_is(shelf, store) {
            Ok((catalog, fresh)) => {
                return Ok(Opened {
                    catalog,
                    fresh,
                    moved_aside: None,
                });
            }
            Err(problem) if problem.is_damage() => problem,
            Err(problem) => return Err(problem),
        };
        let aside = shelf.move_aside()?;
        let (catalog, fresh) = Self::open_as_it_is(shelf, store)?;
        let moved_aside = Some((problem, aside));
        Ok(Opened {
            catalog,
            fresh,
            moved_aside,
        })
    }

    fn open_as_it_is(shelf: &dyn Shelf, store: &StoreId) -> Result<(Self, bool), CatalogError> {
        let db = shelf.open()?;
        let version = version_of(store);
        let found = db.get(b"v")?;
        let fresh = found.is_none() && is_empty(&*db)?;
        if fresh {
            let mut batch = Batch::default();
            batch.put(b"v", &version);
            db.apply(batch)?;
            db.flush()?;
        } else if found.as_deref() != Some(version.as_slice()) {
            return Err(CatalogError::Damaged(
                "it is another store's or another version's",
            ));
        }
        let directory = read_directory(&*db)?;
        if !directory.is_consistent() {
            return Err(CatalogError::Damaged("its sums do not agree"));
        }
        let catalog = Self {
            store: *store,
            db: RwLock::new(Arc::from(db)),
            directory: RwLock::new(directory),
            writing: Mutex::default(),
            refuge: Mutex::default(),
            has_lost: AtomicBool::new(false),
        };
        Ok((catalog, fresh))
    }

    /// The number of a disk in entries; a disk not seen before gets the next one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn disk_number(&self, disk: &DiskId) -> Result<u16, CatalogError> {
        let _writing = lock(&self.writing);
        let known = self
            .directory()
            .disks
            .iter()
            .position(|known| known == disk);
        let number = known.unwrap_or_else(|| self.directory().disks.len());
        let number = u16::try_from(number).map_err(|_| CatalogError::Damaged("65,536 disks"))?;
        if known.is_none() {
            let enter = || {
                let mut batch = Batch::default();
                batch.put(&disk_key(number), disk.as_bytes());
                self.db().apply(batch)
            };
            self.or_in_memory(enter)?;
            // Where this fails it becomes durable with what is said of the disk later, or not at all as that.
            if let Err(error) = self.db().flush() {
                tracing::error!("the catalog does not keep a disk's number yet: {error}");
            }
            self.directory_mut(|directory| directory.disks.push(*disk));
        }
        Ok(number)
    }

    /// The disk of a number.
    pub fn disk(&self, number: u16) -> Option<DiskId> {
        self.directory().disks.get(usize::from(number)).copied()
    }

    /// Inserts segments that are durable, or replaces what was known of them. Durable after [`Catalog::flush`].
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn insert(&self, entries: &[Entry]) -> Result<(), CatalogError> {
        self.change(entries, put)
    }

    /// Forgets segments that are no longer on a disk. Durable after [`Catalog::flush`].
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn forget(&self, entries: &[Entry]) -> Result<(), CatalogError> {
        self.change(entries, |bucket, entry| {
            bucket.retain(|known| known.segment != entry.segment);
        })
    }

    /// Summaries of buckets, and of groups of them, that were looked at since it was opened: what is asked of it costs that, beside
    /// what the database is asked for.
    pub fn looks(&self) -> u64 {
        self.directory().looks()
    }

    /// Makes all changes durable.
    ///
    /// # Errors
    /// When that fails: nothing is known then about the last changes, and the next start checks.
    pub fn flush(&self) -> Result<(), CatalogError> {
        let _writing = lock(&self.writing);
        self.or_in_memory(|| self.db().flush())
    }

    fn change(
        &self,
        entries: &[Entry],
        edit: impl Fn(&mut Vec<Entry>, &Entry),
    ) -> Result<(), CatalogError> {
        let _writing = lock(&self.writing);
        self.or_in_memory(|| self.try_to_change(entries, &edit))?;
        self.heard_of(entries);
        Ok(())
    }

    /// Does something with the database; where that fails, once more with the catalog in memory, if it may go on there.
    fn or_in_memory(&self, act: impl Fn() -> Result<(), CatalogError>) -> Result<(), CatalogError> {
        match act() {
            Ok(()) => Ok(()),
            Err(error) => {
                self.take_refuge(error)?;
                act()
            }
        }
    }

    fn try_to_change(
        &self,
        entries: &[Entry],
        edit: &impl Fn(&mut Vec<Entry>, &Entry),
    ) -> Result<(), CatalogError> {
        let mut edits: BTreeMap<(StreamId, u64), Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            edits
                .entry((entry.stream, entry.bucket()))
                .or_default()
                .push(entry);
        }
        let mut batch = Batch::default();
        let mut tallies: HashMap<EpochFolder, Tally> = HashMap::new();
        let mut summaries = Vec::with_capacity(edits.len());
        let mut gone = Vec::new();
        for ((stream, number), edits) in edits {
            let before = self.bucket(&stream, number)?;
            self.tally(&mut tallies, &before, Tally::leave);
            let mut bucket = before.clone();
            edits.iter().for_each(|entry| edit(&mut bucket, entry));
            bucket.sort_by_key(|entry| (entry.sequence, *entry.segment.as_bytes()));
            self.tally(&mut tallies, &bucket, Tally::enter);
            gone.extend(self.newest_that_goes((&stream, number), &before, &bucket));
            let summary = (!bucket.is_empty()).then(|| Summary::of(&bucket));
            put_bucket(&mut batch, (&stream, number), &before, &bucket);
            let packed = summary.as_ref().map(Summary::pack);
            batch.set(&summary_key(&stream, number), packed.as_deref());
            summaries.push((stream, number, summary));
        }
        for ((stream, epoch, disk), tally) in &tallies {
            let key = tally_key(stream, epoch, *disk);
            let packed = (tally.count > 0).then(|| tally.pack());
            batch.set(&key, packed.as_ref().map(<[u8; 20]>::as_slice));
        }
        for (stream, highest) in &gone {
            numbers::put_gone(&mut batch, stream, *highest);
        }
        self.directory_mut(|directory| {
            self.db().apply(batch)?;
            directory.numbers.gone.extend(gone);
            for (stream, number, summary) in summaries {
                directory.set(stream, number, summary);
            }
            for (folder, tally) in tallies {
                directory.set_tally(folder, tally);
            }
            Ok(())
        })
    }

    /// The highest sequence number of a stream that is gone, where a bucket loses the newest segment of all.
    fn newest_that_goes(
        &self,
        (stream, number): (&StreamId, u64),
        before: &[Entry],
        after: &[Entry],
    ) -> Option<(StreamId, u64)> {
        let directory = self.directory();
        let newest = |bucket: &[Entry]| bucket.last().map(|entry| entry.sequence);
        let is_newest = directory.newest_bucket(stream) == Some(number);
        let goes = newest(before).filter(|_| is_newest && newest(after) < newest(before))?;
        let before = directory.numbers.gone.get(stream).copied();
        Some((*stream, before.map_or(goes, |before| before.max(goes))))
    }

    /// Counts a bucket's segments into or out of the tallies of their epochs.
    fn tally(
        &self,
        tallies: &mut HashMap<EpochFolder, Tally>,
        bucket: &[Entry],
        count: fn(&mut Tally, &Entry),
    ) {
        let directory = self.directory();
        for entry in bucket {
            let folder = (entry.stream, entry.epoch, entry.disk);
            let known = || directory.epochs.get(&folder).copied().unwrap_or_default();
            count(tallies.entry(folder).or_insert_with(known), entry);
        }
    }

    /// A bucket, empty where there is none.
    ///
    /// What cannot be read makes the next start doubt the catalog: it would not read every bucket by itself.
    fn bucket(&self, stream: &StreamId, number: u64) -> Result<Vec<Entry>, CatalogError> {
        let read = {
            // Held over both, so that they are of one moment.
            let directory = self.directory();
            let expected = directory.segments_of(stream, number);
            match expected {
                0 => Ok(Vec::new()),
                _ => read_parts(&*self.db(), stream, number, expected),
            }
        };
        if read.as_ref().is_err_and(CatalogError::is_damage) {
            self.doubt();
        }
        read
    }

    /// Makes the next start rebuild the catalog.
    pub(super) fn doubt(&self) {
        tracing::error!("the catalog contradicts itself: it is rebuilt at the next start");
        self.db().doubt();
    }

    fn db(&self) -> Arc<dyn Database> {
        Arc::clone(&self.db.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_db(&self, db: Arc<dyn Database>) {
        *self.db.write().unwrap_or_else(PoisonError::into_inner) = db;
    }

    fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn directory_mut<T>(&self, edit: impl FnOnce(&mut Directory) -> T) -> T {
        let mut directory = self
            .directory
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        edit(&mut directory)
    }
}

/// Puts an entry into its bucket.
fn put(bucket: &mut Vec<Entry>, entry: &Entry) {
    let mut known = bucket.iter_mut();
    match known.find(|known| known.segment == entry.segment) {
        Some(known) => *known = *entry,
        None => bucket.push(*entry),
    }
}

/// What stands under `v`.
fn version_of(store: &StoreId) -> Vec<u8> {
    [VERSION, store.as_bytes()].concat()
}

fn disk_key(number: u16) -> [u8; 3] {
    let [high, low] = number.to_be_bytes();
    [b'd', high, low]
}

/// The entries of a bucket, which are to be so many.
fn read_parts(
    db: &dyn Database,
    stream: &StreamId,
    number: u64,
    expected: usize,
) -> Result<Vec<Entry>, CatalogError> {
    let mut entries = Vec::with_capacity(expected);
    for part in 0..PARTS {
        let packed = db.get(&part_key(stream, number, part))?;
        let unpacked = entry::unpack(*stream, &packed.unwrap_or_default());
        entries.extend(unpacked.ok_or(CatalogError::Damaged("an entry cannot be read"))?);
    }
    if entries.len() != expected {
        return Err(CatalogError::Damaged(
            "a bucket is not what its summary says",
        ));
    }
    db.evict_around(&part_key(stream, number, 0));
    Ok(entries)
}

/// Writes the parts of a bucket that changed.
fn put_bucket(
    batch: &mut Batch,
    (stream, number): (&StreamId, u64),
    before: &[Entry],
    after: &[Entry],
) {
    for part in 0..PARTS {
        let pack = |bucket: &[Entry]| entry::pack(bucket.iter().filter(|e| e.part() == part));
        let packed = pack(after);
        if packed != pack(before) {
            let packed = (!packed.is_empty()).then_some(packed.as_slice());
            batch.set(&part_key(stream, number, part), packed);
        }
    }
}

fn is_empty(db: &dyn Database) -> Result<bool, CatalogError> {
    let mut empty = true;
    db.scan(b"", &mut |_, _| {
        empty = false;
        Ok(())
    })?;
    Ok(empty)
}

fn read_directory(db: &dyn Database) -> Result<Directory, CatalogError> {
    const STRANGE: CatalogError = CatalogError::Damaged("a summary cannot be read");
    let mut directory = Directory::default();
    db.scan(b"d", &mut |key, id| {
        let id: [u8; 16] = id.try_into().map_err(|_| STRANGE)?;
        if key[1..] != (directory.disks.len() as u16).to_be_bytes() {
            return Err(CatalogError::Damaged("a disk is missing in it"));
        }
        directory.disks.push(DiskId::from_bytes(id));
        Ok(())
    })?;
    db.scan(b"e", &mut |key, tally| {
        let key: &[u8; 35] = key.try_into().map_err(|_| STRANGE)?;
        let mut key = entry::Fields(&key[1..]);
        let folder = (
            StreamId::from_bytes(key.take()),
            EpochId::from_bytes(key.take()),
            u16::from_be_bytes(key.take()),
        );
        let tally = Tally::unpack(tally).ok_or(STRANGE)?;
        directory.epochs.insert(folder, tally);
        Ok(())
    })?;
    db.scan(b"s", &mut |key, summary| {
        let key: &[u8; 25] = key.try_into().map_err(|_| STRANGE)?;
        let mut key = entry::Fields(&key[1..]);
        let stream = StreamId::from_bytes(key.take());
        let number = u64::from_be_bytes(key.take());
        let summary = Summary::unpack(summary).filter(|summary| summary.is_possible(number));
        let summary = summary.ok_or(STRANGE)?;
        directory.set_summary(stream, number, Some(summary));
        Ok(())
    })?;
    directory.numbers = Numbers::read(db)?;
    directory.sum_up();
    Ok(directory)
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
