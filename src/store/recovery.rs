//! Making catalog and disks agree: at a start, and when the catalog is rebuilt.
//!
//! The catalog is believed only where an epoch's folder lists exactly the segments that it tallies. Where they differ, the files it
//! does not know are read (header and tail), torn ones get their tail, and what is no longer there is forgotten. A deletion that a
//! crash interrupted is not finished: what is still there is footage again, until retention decides. No person's
//! secret is needed. Files that are damaged or foreign are left and reported, never deleted.
//!
//! With 100,000 segments the listing is all it costs. Only the newest epoch of each stream is compared before the store is
//! ready, on every disk that has some of it, since the next sequence follows from it; the others follow in the background.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep_format::{EpochId, SegmentId, StoreId, StreamId};

use super::anchors::Anchors;
use super::catalog::{Catalog, Entry, Tally};
use super::inspect::{Inspected, Keys, Mended, Place, Strange, inspect, mend, start_of, walk_torn};
use super::{CatalogError, layout};
use crate::disk::{Disk, Front, is_no_answer};
use crate::random::SharedRandom;

/// Strange files that a report names; more are counted.
const NAMED_MAX: usize = 100;
/// Segments that are put into the catalog at once.
const INSERTED_AT_ONCE: usize = 4096;
/// Files of an epoch that are synced before they are believed; more of them come only of a catalog that is made anew.
const SETTLED_MAX: usize = 256;
/// Threads that read files of an epoch at once.
const READERS_MAX: usize = 4;

/// What was found and done.
#[derive(Debug, Default)]
pub struct Report {
    /// Files in footage folders.
    pub files: u64,
    /// Whole segments that the catalog did not know.
    pub inserted: u64,
    /// Torn ones that got their tail.
    pub recovered: u64,
    /// Torn ones that were removed because not even their head was whole.
    pub removed: u64,
    /// Segments the catalog knew that are no longer there.
    pub forgotten: u64,
    /// Segments among these whose deletion had begun: the recorder removed them.
    pub deleted: Vec<Entry>,
    /// Those whose deletion had begun and which are still there: it is decided anew.
    pub undeleted: u64,
    /// Files that were left alone.
    pub strange: u64,
    /// Files and folders among these, and folders beside them, that the disk did not let be read: what is in them nobody knows.
    pub unread: u64,
    /// Times that the disk gave no answer in time: what was left for that is to be looked at again.
    pub unanswered: u64,
    /// Other disks, by their numbers, that gave none, and of which it is not known whether what they have is the same as what was left
    /// here.
    pub undecided: BTreeSet<u16>,
    /// The first hundred of those, and why.
    pub named: Vec<(PathBuf, Strange)>,
}

impl Report {
    /// Adds what another one found.
    pub fn add(&mut self, other: Self) {
        self.files += other.files;
        self.inserted += other.inserted;
        self.recovered += other.recovered;
        self.removed += other.removed;
        self.forgotten += other.forgotten;
        self.deleted.extend(other.deleted);
        self.undeleted += other.undeleted;
        self.strange += other.strange;
        self.unread += other.unread;
        self.unanswered += other.unanswered;
        self.undecided.extend(other.undecided);
        let room = NAMED_MAX.saturating_sub(self.named.len());
        self.named.extend(other.named.into_iter().take(room));
    }

    pub(super) fn leave(&mut self, path: PathBuf, why: Strange) {
        if let Strange::Io(error) = &why
            && is_no_answer(error)
        {
            tracing::warn!(path = %path.display(), "left for later: {error}");
            return self.was_not_answered();
        }
        tracing::warn!(path = %path.display(), "left alone: {why}");
        self.strange += 1;
        self.unread += u64::from(matches!(why, Strange::Io(_)));
        if self.named.len() < NAMED_MAX {
            self.named.push((path, why));
        }
    }
}

impl Report {
    /// Whether the catalog is another one by what was found.
    pub(super) fn has_changed(&self) -> bool {
        self.inserted + self.recovered + self.removed + self.forgotten > 0
    }

    /// A call did not come back in time: what it was to tell nobody knows yet.
    pub(super) fn was_not_answered(&mut self) {
        self.unread += 1;
        self.unanswered += 1;
    }

    /// Something could not be read, and is passed over if the disk says why.
    pub(super) fn not_read(&mut self, error: &io::Error) {
        self.unread += 1;
        self.unanswered += u64::from(is_no_answer(error));
    }
}

/// An epoch that the catalog knows nothing of on a disk, with the sequence of any segment in it.
pub type Unknown = (StreamId, EpochId, u64);

/// The disk of a number, while it is there.
pub type Elsewhere<'a> = dyn Fn(u16) -> Option<Arc<dyn Disk>> + Sync + 'a;

/// Segments that are being written.
pub type Growing<'a> = dyn Fn() -> HashSet<SegmentId> + Sync + 'a;

/// What recovery works with: one disk and the catalog.
#[derive(Clone, Copy)]
pub struct Recovery<'a> {
    /// The store whose footage is looked for.
    pub store: StoreId,
    /// The disk.
    pub disk: &'a dyn Disk,
    /// Its number in the catalog.
    pub number: u16,
    /// The catalog.
    pub catalog: &'a Catalog,
    /// What is known of the clock.
    pub anchors: &'a Anchors,
    /// Metadata keys by generation.
    pub keys: &'a Keys,
    /// The other disks by their numbers, while they are there: a segment may lie on two.
    pub elsewhere: &'a Elsewhere<'a>,
    /// The segments of the epoch that is looked at which grow, asked for after its files are known: those are left alone.
    pub growing: Option<&'a Growing<'a>>,
    /// For the tails of torn segments.
    pub random: &'a SharedRandom,
}

impl Recovery<'_> {
    /// The epochs of a disk that the catalog may not know wholly, and those it knows of and that have gone: all there are. What cannot
    /// be listed of a stream is counted in the report.
    ///
    /// # Errors
    /// When the disk cannot be listed.
    pub fn epochs(&self, report: &mut Report) -> io::Result<Vec<(StreamId, EpochId)>> {
        let mut epochs = Vec::new();
        for stream in ids(self.disk, Path::new(layout::FOOTAGE), StreamId::from_hex)? {
            let folder = layout::stream_folder(&stream);
            let mut of_stream = ids(self.disk, &folder, EpochId::from_hex).unwrap_or_else(|error| {
                tracing::error!(folder = %folder.display(), "the footage in it cannot be looked at: {error}");
                report.not_read(&error);
                Vec::new()
            });
            of_stream.extend(self.catalog.epochs(&stream, self.number));
            of_stream.sort_unstable();
            of_stream.dedup();
            epochs.extend(of_stream.into_iter().map(|epoch| (stream, epoch)));
        }
        for stream in self.catalog.streams() {
            let epochs_of_it = self.catalog.epochs(&stream, self.number);
            epochs.extend(epochs_of_it.into_iter().map(|epoch| (stream, epoch)));
        }
        epochs.sort_unstable();
        epochs.dedup();
        Ok(epochs)
    }

    /// Of a disk's epochs, those that the catalog knows nothing of there, with the sequence of any segment in each. Sequences go on
    /// over epochs whatever the clock said: they say which is the newest.
    pub fn unknown(&self, epochs: &[(StreamId, EpochId)], report: &mut Report) -> Vec<Unknown> {
        let is_unknown = |(stream, epoch): &&(StreamId, EpochId)| {
            self.catalog.epoch_tally(stream, epoch, self.number) == Tally::default()
        };
        let sampled = epochs.iter().filter(is_unknown).map(|(stream, epoch)| {
            let sampled = self.sample(stream, epoch).unwrap_or_else(|error| {
                report.not_read(&error);
                None
            });
            (*stream, *epoch, sampled.unwrap_or(0))
        });
        sampled.collect()
    }

    /// Makes catalog and disk agree on one epoch.
    ///
    /// # Errors
    /// When the catalog cannot be read or written. What a disk refuses is reported and left.
    pub fn epoch(&self, stream: &StreamId, epoch: &EpochId) -> Result<Report, CatalogError> {
        let mut report = Report::default();
        let folder = layout::epoch_folder(stream, epoch);
        let mut names = match self.names(&folder) {
            Ok(names) => names,
            Err(error) => {
                report.leave(folder, error.into());
                return Ok(report);
            }
        };
        let growing = self.growing.map_or_else(HashSet::new, |growing| growing());
        names.retain(|segment| !growing.contains(segment));
        report.files = names.len() as u64;
        let mut tally = Tally::default();
        names.iter().for_each(|segment| tally.add(segment));
        if tally == self.catalog.epoch_tally(stream, epoch, self.number) {
            return Ok(report);
        }
        let known = self.catalog.epoch(stream, epoch, self.number)?;
        let mut known_tally = Tally::default();
        known.iter().for_each(|entry| known_tally.enter(entry));
        if known_tally != self.catalog.epoch_tally(stream, epoch, self.number) {
            self.catalog.doubt();
        }
        let mut known: HashMap<_, _> = known.into_iter().map(|e| (e.segment, e)).collect();
        // What is left in `known` is gone. What is torn or was to be deleted is looked at as if it were not known: whoever plans what goes
        // knows what is held and what time it is, and nobody does here.
        let is_unknown = |segment: &SegmentId| {
            let entry = known.remove(segment);
            report.undeleted += u64::from(entry.is_some_and(|entry| entry.tombstone));
            entry.is_none_or(|entry| !entry.is_settled())
        };
        let unknown: Vec<_> = names
            .into_iter()
            .filter(is_unknown)
            .map(|segment| Place {
                stream: *stream,
                epoch: *epoch,
                segment,
            })
            .collect();
        let gone: Vec<Entry> = known.into_values().collect();
        report.forgotten = gone.len() as u64;
        report.deleted = gone.iter().filter(|gone| gone.tombstone).copied().collect();
        self.catalog.forget(&gone)?;
        let unknown = self.without_copies(unknown, &mut report)?;
        self.take_in(&unknown, &mut report)?;
        Ok(report)
    }

    /// The segments in an epoch's folder. What a crash left of one that was being copied there is removed: its original stands where
    /// it was.
    fn names(&self, folder: &Path) -> io::Result<Vec<SegmentId>> {
        let mut begun = Vec::new();
        let names = ids(self.disk, folder, |name| {
            begun.extend(layout::is_copying(name).then(|| name.to_owned()));
            layout::segment_of(name)
        });
        for name in begun {
            let path = folder.join(name);
            match self.disk.remove_file(&path) {
                Ok(()) => {
                    tracing::info!(path = %path.display(), "a copy that was not finished was removed")
                }
                Err(error) => tracing::error!(path = %path.display(), "could not delete: {error}"),
            }
        }
        names
    }

    fn take_in(&self, unknown: &[Place], report: &mut Report) -> Result<(), CatalogError> {
        let mut entries = Vec::new();
        if unknown.len() <= SETTLED_MAX && !self.settle(unknown) {
            report.was_not_answered();
            return Ok(());
        }
        for (place, inspected) in unknown.iter().zip(self.inspect_all(unknown)) {
            match inspected {
                Inspected::Whole(facts) => {
                    report.inserted += 1;
                    entries.push(facts.corrected(self.anchors).entry(self.number));
                }
                Inspected::Torn => entries.extend(self.mend(place, report)),
                // What never became durable may be all zeros; mending looks closer, and reports.
                Inspected::Strange(Strange::NoSegment(_)) => {
                    entries.extend(self.mend(place, report));
                }
                Inspected::Strange(why) => {
                    let path = layout::segment_path(&place.stream, &place.epoch, &place.segment);
                    report.leave(path, why);
                }
            }
        }
        entries.sort_by_key(|entry| entry.sequence);
        entries
            .chunks(INSERTED_AT_ONCE)
            .try_for_each(|some| self.catalog.insert(some))
    }

    /// Whoever wrote these files may have died before they were durable, or a sync may have failed: then memory has what the disk
    /// does not. So they are synced, and read from the disk itself. False where the disk does not answer: then nobody knows.
    fn settle(&self, places: &[Place]) -> bool {
        let mut folders = BTreeSet::new();
        let mut is_answered = true;
        for place in places {
            let path = layout::segment_path(&place.stream, &place.epoch, &place.segment);
            let settled = self.disk.open_write(&path).and_then(|file| {
                let synced = file.sync_data();
                file.forget().and(synced)
            });
            if let Err(error) = settled {
                tracing::warn!(path = %path.display(), "could not be made durable: {error}");
                is_answered &= !is_no_answer(&error);
            }
            folders.extend(path.ancestors().skip(1).map(Path::to_owned));
        }
        for folder in folders {
            if let Err(error) = self.disk.sync_folder(&folder) {
                tracing::warn!(folder = %folder.display(), "could not be made durable: {error}");
                is_answered &= !is_no_answer(&error);
            }
        }
        is_answered
    }

    /// Gives a segment its tail of which a write failed: by what is on the disk, and not by what memory still has.
    pub fn settle_and_mend(&self, place: &Place, report: &mut Report) -> Option<Entry> {
        if self.settle(&[*place]) {
            return self.mend(place, report);
        }
        report.was_not_answered();
        None
    }

    /// Gives a torn segment its tail.
    pub fn mend(&self, place: &Place, report: &mut Report) -> Option<Entry> {
        let path = layout::segment_path(&place.stream, &place.epoch, &place.segment);
        let mended = mend(
            self.disk,
            &path,
            place,
            &self.store,
            self.keys,
            &mut self.random.clone(),
        );
        match mended {
            Ok(Mended::Whole(facts)) => {
                report.recovered += 1;
                tracing::info!(
                    path = %path.display(), duration_us = facts.end.duration_us,
                    "a torn segment was closed after its last whole chunk"
                );
                return Some(facts.corrected(self.anchors).entry(self.number));
            }
            Ok(Mended::Removed) => {
                report.removed += 1;
                tracing::info!(
                    path = %path.display(),
                    "a segment whose head was never written whole was removed: it held nothing"
                );
            }
            Err(why) => {
                let entry = self.unmended(place, &path, &why);
                report.leave(path, why);
                return entry;
            }
        }
        None
    }

    /// What there is to know of a torn segment that the disk did not let be mended. The next start tries again, or soon whoever asked
    /// a disk that did not answer; until then its stream goes on after it.
    fn unmended(&self, place: &Place, path: &Path, why: &Strange) -> Option<Entry> {
        let Strange::Io(_) = why else { return None };
        let file = self.disk.open_read(path).and_then(Front::whole).ok()?;
        let facts = walk_torn(&file, place, &self.store, self.keys).ok()?;
        Some(Entry {
            torn: true,
            ..facts.corrected(self.anchors).entry(self.number)
        })
    }

    /// Reads both ends of many files, on several threads where there are many.
    fn inspect_all(&self, places: &[Place]) -> Vec<Inspected> {
        let readers = std::thread::available_parallelism().map_or(1, usize::from);
        let readers = readers.min(READERS_MAX).min(places.len() / 64 + 1);
        if readers == 1 {
            return places.iter().map(|place| self.inspect(place)).collect();
        }
        let share = places.len().div_ceil(readers);
        let read = |places: &[Place]| places.iter().map(|p| self.inspect(p)).collect::<Vec<_>>();
        std::thread::scope(|scope| {
            let shares = places.chunks(share);
            let readers: Vec<_> = shares.map(|places| scope.spawn(|| read(places))).collect();
            let read = readers.into_iter().flat_map(|reader| {
                reader
                    .join()
                    .expect("reading the ends of files does not panic")
            });
            read.collect()
        })
    }

    fn inspect(&self, place: &Place) -> Inspected {
        let path = layout::segment_path(&place.stream, &place.epoch, &place.segment);
        match self.disk.open_read(&path).and_then(Front::whole) {
            Ok(file) => inspect(&file, place, &self.store, self.keys),
            Err(error) => Inspected::Strange(error.into()),
        }
    }

    /// The sequence of any segment of an epoch. What cannot be read is passed over, but for a disk that does not answer.
    fn sample(&self, stream: &StreamId, epoch: &EpochId) -> io::Result<Option<u64>> {
        let folder = layout::epoch_folder(stream, epoch);
        for segment in ids(self.disk, &folder, layout::segment_of)? {
            let place = Place {
                stream: *stream,
                epoch: *epoch,
                segment,
            };
            let path = layout::segment_path(stream, epoch, &segment);
            let file = match self.disk.open_read(&path).and_then(Front::whole) {
                Err(error) if is_no_answer(&error) => return Err(error),
                Err(_) => continue,
                Ok(file) => file,
            };
            match start_of(&file, &place, &self.store, self.keys) {
                Err(error) if is_no_answer(&error) => return Err(error),
                Ok(Some(start)) => return Ok(Some(start.sequence)),
                Ok(None) | Err(_) => {}
            }
        }
        Ok(None)
    }
}

/// The newest epochs of each stream: that of the last segment which the catalog knows, or those that began after it.
///
/// # Errors
/// When the catalog cannot be read.
pub(super) fn newest(
    catalog: &Catalog,
    unknown: Vec<Unknown>,
) -> Result<HashSet<(StreamId, EpochId)>, CatalogError> {
    let mut newest: HashMap<StreamId, (u64, Vec<EpochId>)> = HashMap::new();
    for stream in catalog.streams() {
        if let Some(last) = catalog.last(&stream)? {
            newest.insert(stream, (last.sequence, vec![last.epoch]));
        }
    }
    for (stream, epoch, sequence) in unknown {
        let (highest, epochs) = newest.entry(stream).or_insert((sequence, Vec::new()));
        if sequence > *highest {
            (*highest, *epochs) = (sequence, vec![epoch]);
        } else if sequence == *highest {
            epochs.push(epoch);
        }
    }
    let pairs = |(stream, (_, epochs)): (StreamId, (u64, Vec<EpochId>))| {
        epochs.into_iter().map(move |epoch| (stream, epoch))
    };
    Ok(newest.into_iter().flat_map(pairs).collect())
}

/// What the names of a folder stand for; nothing where it does not exist.
pub(super) fn ids<T>(
    disk: &dyn Disk,
    folder: &Path,
    mut read: impl FnMut(&str) -> Option<T>,
) -> io::Result<Vec<T>> {
    let mut found = Vec::new();
    match disk.list(folder, &mut |name, _| found.extend(read(name))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(found),
    }
}
