//! The index of segments: a cache that can be deleted, in which a million segments are found fast.
//!
//! It may lag the footage and never leads it: an entry is written when its segment is durable. It holds no names. See
//! [`entry`] for what stands where.

mod db;
mod directory;
mod entry;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use hearthkeep_format::{DiskId, EpochId, SegmentId, StoreId, StreamId};

pub use db::CatalogError;
use db::{Batch, Db};
pub use directory::Tally;
use directory::{Directory, EpochFolder, Summary};
pub use entry::Entry;
use entry::{bucket_key, tally_key};

/// Written under `v`; another one is a catalog of another version, which is rebuilt.
const VERSION: &[u8] = b"hearthkeep catalog 1 ";

/// The catalog of a store.
///
/// One thread writes; any may read meanwhile, and sees a bucket before or after a change.
pub struct Catalog {
    db: Db,
    directory: RwLock<Directory>,
    writing: Mutex<()>,
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

/// How much a stream has, from when to when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of segments.
    pub segments: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// The earliest start, us of wall time; `None` where there is nothing.
    pub first_us: Option<i64>,
    /// The latest end, us of wall time.
    pub last_us: Option<i64>,
}

impl Catalog {
    /// Opens the catalog in `folder`. Whatever is wrong with what is there, it is moved aside and a new one begun.
    ///
    /// # Errors
    /// When a new one cannot be made either.
    pub fn open(folder: &Path, store: &StoreId) -> Result<Opened, CatalogError> {
        let problem = match Self::open_as_it_is(folder, store) {
            Ok((catalog, fresh)) => {
                return Ok(Opened {
                    catalog,
                    fresh,
                    moved_aside: None,
                });
            }
            Err(problem) => problem,
        };
        let aside = move_aside(folder)?;
        let (catalog, fresh) = Self::open_as_it_is(folder, store)?;
        let moved_aside = Some((problem, aside));
        Ok(Opened {
            catalog,
            fresh,
            moved_aside,
        })
    }

    fn open_as_it_is(folder: &Path, store: &StoreId) -> Result<(Self, bool), CatalogError> {
        let db = Db::open(folder)?;
        let version = [VERSION, store.as_bytes()].concat();
        let fresh = db.is_empty()?;
        if fresh {
            let mut batch = Batch::default();
            batch.put(b"v", &version);
            db.apply(batch)?;
            db.flush()?;
        } else if db.get(b"v")?.as_deref() != Some(version.as_slice()) {
            return Err(CatalogError::Damaged(
                "it is another store's or another version's",
            ));
        }
        let directory = read_directory(&db)?;
        if !directory.is_consistent() {
            return Err(CatalogError::Damaged("its sums do not agree"));
        }
        let directory = RwLock::new(directory);
        let writing = Mutex::new(());
        Ok((
            Self {
                db,
                directory,
                writing,
            },
            fresh,
        ))
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
            let mut batch = Batch::default();
            batch.put(&[b'd', (number >> 8) as u8, number as u8], disk.as_bytes());
            self.db.apply(batch)?;
            self.db.flush()?;
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
        self.change(entries, |bucket, entry| {
            match bucket
                .iter_mut()
                .find(|known| known.segment == entry.segment)
            {
                Some(known) => *known = *entry,
                None => bucket.push(*entry),
            }
        })
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

    /// Makes all changes durable.
    ///
    /// # Errors
    /// When that fails: nothing is known then about the last changes, and the next start checks.
    pub fn flush(&self) -> Result<(), CatalogError> {
        self.db.flush()
    }

    fn change(
        &self,
        entries: &[Entry],
        edit: impl Fn(&mut Vec<Entry>, &Entry),
    ) -> Result<(), CatalogError> {
        let _writing = lock(&self.writing);
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
        for ((stream, number), edits) in edits {
            let mut bucket = self.bucket(&stream, number)?;
            self.tally(&mut tallies, &bucket, Tally::remove);
            edits.iter().for_each(|entry| edit(&mut bucket, entry));
            bucket.sort_by_key(|entry| (entry.sequence, *entry.segment.as_bytes()));
            self.tally(&mut tallies, &bucket, Tally::add);
            let summary = (!bucket.is_empty()).then(|| Summary::of(&bucket));
            put_bucket(&mut batch, (&stream, number), &bucket, summary.as_ref());
            summaries.push((stream, number, summary));
        }
        for ((stream, epoch, disk), tally) in &tallies {
            let key = tally_key(stream, epoch, *disk);
            match tally.count {
                0 => batch.remove(&key),
                _ => batch.put(&key, &tally.pack()),
            }
        }
        self.db.apply(batch)?;
        self.directory_mut(|directory| {
            for (stream, number, summary) in summaries {
                directory.set(stream, number, summary);
            }
            for (folder, tally) in tallies {
                directory.set_tally(folder, tally);
            }
        });
        Ok(())
    }

    /// Counts a bucket's segments into or out of the tallies of their epochs.
    fn tally(
        &self,
        tallies: &mut HashMap<EpochFolder, Tally>,
        bucket: &[Entry],
        count: fn(&mut Tally, &SegmentId),
    ) {
        let directory = self.directory();
        for entry in bucket {
            let folder = (entry.stream, entry.epoch, entry.disk);
            let known = || directory.epochs.get(&folder).copied().unwrap_or_default();
            count(tallies.entry(folder).or_insert_with(known), &entry.segment);
        }
    }

    /// The segments of a stream that have something of a span of wall time, by their start.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn timeline(
        &self,
        stream: &StreamId,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<Entry>, CatalogError> {
        let numbers = self.directory().within(stream, from_us, to_us);
        let mut found = Vec::new();
        for number in numbers {
            let bucket = self.bucket(stream, number)?;
            found.extend(bucket.into_iter().filter(|entry| {
                entry.start_us < to_us && entry.end_us() > from_us && !entry.tombstone
            }));
        }
        found.sort_by_key(|entry| (entry.start_us, entry.sequence));
        Ok(found)
    }

    /// The segment of a stream that starts first at or after a wall time.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn next_from(&self, stream: &StreamId, at_us: i64) -> Result<Option<Entry>, CatalogError> {
        let Some(number) = self.directory().first_from(stream, at_us) else {
            return Ok(None);
        };
        let bucket = self.bucket(stream, number)?;
        let later = bucket.into_iter().filter(|entry| entry.start_us >= at_us);
        Ok(later.min_by_key(|entry| entry.start_us))
    }

    /// A segment of a stream.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn find(
        &self,
        stream: &StreamId,
        segment: &SegmentId,
    ) -> Result<Option<Entry>, CatalogError> {
        let numbers = self.directory().holding(stream, segment);
        for number in numbers {
            let bucket = self.bucket(stream, number)?;
            if let Some(entry) = bucket.iter().find(|entry| entry.segment == *segment) {
                return Ok(Some(*entry));
            }
        }
        Ok(None)
    }

    /// The segment of a stream with the highest sequence.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn last(&self, stream: &StreamId) -> Result<Option<Entry>, CatalogError> {
        let number = {
            let directory = self.directory();
            let buckets = directory.streams.get(stream);
            buckets
                .and_then(BTreeMap::last_key_value)
                .map(|(number, _)| *number)
        };
        match number {
            Some(number) => Ok(self.bucket(stream, number)?.pop()),
            None => Ok(None),
        }
    }

    /// The segments of a stream in the order of their sequence, read bucket by bucket as the iterator is driven.
    pub fn oldest_first(&self, stream: &StreamId) -> OldestFirst<'_> {
        let directory = self.directory();
        let numbers = directory
            .streams
            .get(stream)
            .into_iter()
            .flat_map(BTreeMap::keys);
        OldestFirst {
            catalog: self,
            stream: *stream,
            buckets: numbers.copied().collect::<Vec<_>>().into_iter(),
            entries: Vec::new().into_iter(),
        }
    }

    /// The streams that have segments.
    pub fn streams(&self) -> Vec<StreamId> {
        self.directory().streams.keys().copied().collect()
    }

    /// What a stream has.
    pub fn usage(&self, stream: &StreamId) -> Usage {
        let directory = self.directory();
        let mut usage = Usage::default();
        for summary in directory
            .streams
            .get(stream)
            .into_iter()
            .flat_map(BTreeMap::values)
        {
            usage.segments += summary.fingerprints.len() as u64;
            usage.bytes += summary.bytes.iter().map(|(_, bytes)| bytes).sum::<u64>();
            let first = usage.first_us.unwrap_or(i64::MAX);
            usage.first_us = Some(first.min(summary.from_us));
            let last = usage.last_us.unwrap_or(i64::MIN);
            usage.last_us = Some(last.max(summary.to_us));
        }
        usage
    }

    /// Bytes of a stream's segments on each disk that has any.
    pub fn stream_bytes(&self, stream: &StreamId) -> Vec<(u16, u64)> {
        let directory = self.directory();
        let mut sums = BTreeMap::new();
        let summaries = directory
            .streams
            .get(stream)
            .into_iter()
            .flat_map(BTreeMap::values);
        for (disk, bytes) in summaries.flat_map(|summary| summary.bytes.iter()) {
            *sums.entry(*disk).or_insert(0) += bytes;
        }
        sums.into_iter().collect()
    }

    /// Bytes of all segments on a disk.
    pub fn disk_bytes(&self, disk: u16) -> u64 {
        let directory = self.directory();
        let sums = directory.buckets().flat_map(|summary| summary.bytes.iter());
        sums.filter(|(number, _)| *number == disk)
            .map(|(_, bytes)| bytes)
            .sum()
    }

    /// Number of segments.
    pub fn len(&self) -> u64 {
        self.directory()
            .buckets()
            .map(|s| s.fingerprints.len() as u64)
            .sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known of the segments of an epoch on a disk.
    pub fn epoch_tally(&self, stream: &StreamId, epoch: &EpochId, disk: u16) -> Tally {
        let folder = (*stream, *epoch, disk);
        self.directory()
            .epochs
            .get(&folder)
            .copied()
            .unwrap_or_default()
    }

    /// The epochs of a stream that have segments on a disk.
    pub fn epochs(&self, stream: &StreamId, disk: u16) -> Vec<EpochId> {
        let directory = self.directory();
        let folders = directory.epochs.keys();
        folders
            .filter(|(of, _, on)| of == stream && *on == disk)
            .map(|(_, epoch, _)| *epoch)
            .collect()
    }

    /// The segments of an epoch that lie on a disk. This reads all of the stream's.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn epoch(
        &self,
        stream: &StreamId,
        epoch: &EpochId,
        disk: u16,
    ) -> Result<Vec<Entry>, CatalogError> {
        if self.epoch_tally(stream, epoch, disk).count == 0 {
            return Ok(Vec::new());
        }
        let is_of_it = |entry: &Entry| entry.epoch == *epoch && entry.disk == disk;
        self.oldest_first(stream)
            .filter(|entry| entry.as_ref().map_or(true, is_of_it))
            .collect()
    }

    /// A bucket, empty where there is none.
    fn bucket(&self, stream: &StreamId, number: u64) -> Result<Vec<Entry>, CatalogError> {
        match self.db.get(&bucket_key(b'b', stream, number))? {
            Some(packed) => entry::unpack(*stream, &packed)
                .ok_or(CatalogError::Damaged("a bucket cannot be read")),
            None => Ok(Vec::new()),
        }
    }

    fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn directory_mut(&self, edit: impl FnOnce(&mut Directory)) {
        edit(
            &mut self
                .directory
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

/// See [`Catalog::oldest_first`].
pub struct OldestFirst<'a> {
    catalog: &'a Catalog,
    stream: StreamId,
    buckets: std::vec::IntoIter<u64>,
    entries: std::vec::IntoIter<Entry>,
}

impl Iterator for OldestFirst<'_> {
    type Item = Result<Entry, CatalogError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Some(Ok(entry));
            }
            match self.catalog.bucket(&self.stream, self.buckets.next()?) {
                Ok(entries) => self.entries = entries.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn put_bucket(
    batch: &mut Batch,
    (stream, number): (&StreamId, u64),
    bucket: &[Entry],
    summary: Option<&Summary>,
) {
    let (key, summary_key) = (
        bucket_key(b'b', stream, number),
        bucket_key(b's', stream, number),
    );
    match summary {
        Some(summary) => {
            batch.put(&key, &entry::pack(bucket));
            batch.put(&summary_key, &summary.pack());
        }
        None => {
            batch.remove(&key);
            batch.remove(&summary_key);
        }
    }
}

fn read_directory(db: &Db) -> Result<Directory, CatalogError> {
    const STRANGE: CatalogError = CatalogError::Damaged("a summary cannot be read");
    let mut directory = Directory::default();
    db.scan(b"d", &mut |_, id| {
        let id: [u8; 16] = id.try_into().map_err(|_| STRANGE)?;
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
        let summary = Summary::unpack(summary).ok_or(STRANGE)?;
        directory.set(stream, number, Some(summary));
        Ok(())
    })?;
    Ok(directory)
}

/// Renames the folder to `NAME.damaged`, of which the newest is kept.
fn move_aside(folder: &Path) -> Result<PathBuf, CatalogError> {
    let mut aside = folder.as_os_str().to_owned();
    aside.push(".damaged");
    let aside = PathBuf::from(aside);
    if aside.exists() {
        std::fs::remove_dir_all(&aside)?;
    }
    if folder.exists() {
        std::fs::rename(folder, &aside)?;
    }
    Ok(aside)
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
