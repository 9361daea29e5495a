//! Where the catalog goes on once its database takes nothing more, as on a disk that became read-only: in memory.
//!
//! The database is read once more for that. What it does not tell any more is not in the catalog then, until somebody compares it with
//! the disks ([`Catalog::take_lost`]). Once the database can be written again, all goes back there ([`Catalog::go_home`]), and what it has
//! of what nobody could find again meanwhile, as on a disk that is away, is taken back before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::directory::EpochFolder;
use super::entry::{summary_key, tally_key};
use super::left_behind::LeftBehind;
use super::{
    Batch, Catalog, CatalogError, Database, Entry, Memory, Shelf, Summary, Tally, disk_key, lock,
    put, put_bucket, read_directory, read_parts, version_of,
};

/// Whether a catalog may go on in memory, and whether it does.
#[derive(Debug, Default)]
pub(super) enum Refuge {
    /// It may not: whoever has it open wants it where it is.
    #[default]
    Closed,
    Open,
    /// It does, and why.
    Taken {
        why: String,
        left: LeftBehind,
    },
}

impl Catalog {
    /// From now on a database that takes nothing more is no error: the catalog goes on in memory.
    pub fn may_go_on_in_memory(&self) {
        let mut refuge = self.refuge();
        if matches!(*refuge, Refuge::Closed) {
            *refuge = Refuge::Open;
        }
    }

    /// Why it is in memory only, where it is.
    pub fn why_in_memory(&self) -> Option<String> {
        match &*self.refuge() {
            Refuge::Taken { why, .. } => Some(why.clone()),
            Refuge::Closed | Refuge::Open => None,
        }
    }

    /// Takes note of why it was made in memory.
    pub(crate) fn set_in_memory(&self, why: &CatalogError) {
        *self.refuge() = Refuge::Taken {
            why: why.cause(),
            left: LeftBehind::default(),
        };
    }

    /// Whether something that was in it could not be taken along since this was asked last: it is on the disks, and to be compared with
    /// them.
    pub fn take_lost(&self) -> bool {
        self.has_lost.swap(false, Ordering::Relaxed)
    }

    /// Whether [`Catalog::take_lost`] would say so.
    pub fn has_lost(&self) -> bool {
        self.has_lost.load(Ordering::Relaxed)
    }

    /// Goes on in memory. To be called by whoever holds `writing`. `Err` where it may not, or does already.
    pub(super) fn take_refuge(&self, error: CatalogError) -> Result<(), CatalogError> {
        if !matches!(*self.refuge(), Refuge::Open) {
            return Err(error);
        }
        let (memory, left) = self.carry()?;
        let directory = read_directory(&memory)?;
        tracing::error!(
            "the state folder does not take the catalog ({}): it goes on in memory, and with it recording and deletion. Look at the disk of \
             that folder",
            error.cause()
        );
        self.directory_mut(|known| {
            known.renew(directory);
            self.set_db(Arc::new(memory));
        });
        self.has_lost.fetch_or(!left.is_empty(), Ordering::Relaxed);
        *self.refuge() = Refuge::Taken {
            why: error.cause(),
            left,
        };
        Ok(())
    }

    /// What the database still tells, and what it does not tell any more.
    fn carry(&self) -> Result<(Memory, LeftBehind), CatalogError> {
        let (before, memory) = (self.db(), Memory::default());
        let mut tallies = HashMap::<EpochFolder, Tally>::new();
        let mut left = LeftBehind::default();
        let directory = self.directory();
        let mut batch = Batch::default();
        batch.put(b"v", &version_of(&self.store));
        directory.numbers.put_all(&mut batch);
        for (number, disk) in (0..).zip(&directory.disks) {
            batch.put(&disk_key(number), disk.as_bytes());
        }
        for (stream, summaries) in &directory.streams {
            for (number, summary) in summaries {
                let expected = summary.fingerprints.len();
                let Ok(entries) = read_parts(&*before, stream, *number, expected) else {
                    left.leave(*stream, *number, summary);
                    continue;
                };
                put_bucket(&mut batch, (stream, *number), &[], &entries);
                let summary = Summary::of(&entries).pack();
                batch.put(&summary_key(stream, *number), &summary);
                for entry in &entries {
                    let folder = (*stream, entry.epoch, entry.disk);
                    tallies.entry(folder).or_default().enter(entry);
                }
                memory.apply(std::mem::take(&mut batch))?;
            }
        }
        for ((stream, epoch, disk), tally) in &tallies {
            batch.put(&tally_key(stream, epoch, *disk), &tally.pack());
        }
        memory.apply(batch)?;
        Ok((memory, left))
    }

    /// Writes all of it to the database that is kept there, and goes on with that. Nothing to do where it is not in memory.
    ///
    /// What the database knew when it was left, and memory has heard nothing of since, comes back with it: returned are the epochs of
    /// that, by disk. Where these are there, they are to be compared.
    ///
    /// # Errors
    /// When that cannot be opened, read or written: then the catalog stays in memory.
    pub(in crate::store) fn go_home(
        &self,
        shelf: &dyn Shelf,
    ) -> Result<BTreeSet<EpochFolder>, CatalogError> {
        let _writing = lock(&self.writing);
        if self.why_in_memory().is_none() {
            return Ok(BTreeSet::new());
        }
        let home = match shelf.open() {
            Err(error) if error.is_damage() => {
                shelf.move_aside()?;
                shelf.open()
            }
            opened => opened,
        }?;
        let taken_back = self.take_back(&*home)?;
        home.apply(difference(&*home, &*self.db())?)?;
        home.flush()?;
        self.directory_mut(|_| self.set_db(Arc::from(home)));
        *self.refuge() = Refuge::Open;
        tracing::info!("the catalog is in the state folder again");
        Ok(taken_back)
    }

    /// Enters what was left behind in the database and is still wanted. To be called by whoever holds `writing`.
    fn take_back(&self, home: &dyn Database) -> Result<BTreeSet<EpochFolder>, CatalogError> {
        // Not read under the lock: the state folder may hang, and others are to say so.
        let left = match &*self.refuge() {
            Refuge::Taken { left, .. } => left.clone(),
            Refuge::Closed | Refuge::Open => LeftBehind::default(),
        };
        let mut taken_back = BTreeSet::new();
        for (stream, number) in left.buckets() {
            let entries = left.read(home, &stream, number)?;
            self.try_to_change(&entries, &put)?;
            let folders = entries.iter().map(|e| (e.stream, e.epoch, e.disk));
            taken_back.extend(folders);
        }
        Ok(taken_back)
    }

    /// Forgets what was left behind of segments that it was told of since.
    pub(super) fn heard_of(&self, entries: &[Entry]) {
        if let Refuge::Taken { left, .. } = &mut *self.refuge() {
            entries.iter().for_each(|entry| left.heard_of(entry));
        }
    }

    /// A disk is used no more: what it has is forgotten with it, also what was left behind.
    pub(in crate::store) fn give_up(&self, disk: u16) {
        if let Refuge::Taken { left, .. } = &mut *self.refuge() {
            left.give_up(disk);
        }
    }

    fn refuge(&self) -> MutexGuard<'_, Refuge> {
        self.refuge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What makes the one the same as the other.
fn difference(of: &dyn Database, to: &dyn Database) -> Result<Batch, CatalogError> {
    let mut wanted = BTreeMap::new();
    to.scan(b"", &mut |key, value| {
        wanted.insert(key.to_vec(), value.to_vec());
        Ok(())
    })?;
    let mut batch = Batch::default();
    of.scan(b"", &mut |key, value| {
        match wanted.remove(key) {
            Some(wanted) if wanted == value => {}
            wanted => batch.set(key, wanted.as_deref()),
        }
        Ok(())
    })?;
    for (key, value) in wanted {
        batch.put(&key, &value);
    }
    Ok(batch)
}
