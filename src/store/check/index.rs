//! The catalog against the disks.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use hearthkeep_format::SegmentId;

use super::{Catalogued, Finding, Findings, Kind, Known, Reading, Subject};
use crate::store::catalog::{CatalogError, Copied, Entry};
use crate::store::inspect::{Facts, Place};
use crate::store::lock::Lock;

/// A segment as both its ends have it.
pub struct Indexed {
    disk: usize,
    entry: Entry,
    root: [u8; 32],
    bytes: u64,
}

impl Indexed {
    pub(super) fn new(disk: usize, facts: &Facts) -> Self {
        Self {
            disk,
            entry: facts.entry(0),
            root: facts.end.root,
            bytes: facts.bytes,
        }
    }

    pub(in crate::store) fn segment(&self) -> SegmentId {
        self.entry.segment
    }

    pub(super) fn is_as_finished(&self, root: &[u8; 32], bytes: u64) -> bool {
        self.root == *root && self.bytes == bytes
    }

    /// It is another one than it was when it was finished with so many bytes.
    pub(super) fn changed(&self, finished_bytes: u64) -> Finding {
        let what = format!(
            "it is not as it was finished: the signed log has it with {finished_bytes} bytes and another root, and it has {} now. Somebody \
             changed it, or cut it off, after which it was closed again; put it back from a copy of the disk, if there is one",
            self.bytes
        );
        Finding {
            stream: Some(self.entry.stream),
            ..Finding::new(Kind::Root, self.disk, Place::of(&self.entry).path(), what)
        }
    }
}

/// How catalog and disks compare.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// Segments that the catalog has on these disks.
    pub known: u64,
    /// Segments on the disks that it does not have: it may lag after a crash, and the next start makes up for that.
    pub unknown: u64,
}

impl Findings {
    /// Compares with the catalog in a state folder, of which nobody else may make use meanwhile. It is copied and the copy is
    /// opened: opening a database changes it. What does not agree is found.
    ///
    /// # Errors
    /// When it cannot be copied, or not be read.
    pub fn compare(
        &mut self,
        state_dir: &Path,
        known: &Known<'_>,
        disks: &[Subject],
        _lock: &Lock,
    ) -> Result<Compared, CatalogError> {
        let Some(copy) = Copied::of(state_dir, &known.store)? else {
            let unknown = self.indexed.len() as u64;
            return Ok(Compared { known: 0, unknown });
        };
        if let Some((why, _)) = &copy.opened.moved_aside {
            let what =
                format!("{why}; it is rebuilt at the next start, or by `hearthkeep reindex`");
            let finding = Finding::new(Kind::Catalog, super::STATE, "catalog", what);
            self.found.push(finding.repairable());
            return Ok(Compared::default());
        }
        let catalog = &copy.opened.catalog;
        let streams = catalog.streams().into_iter();
        let entries = streams.flat_map(|stream| catalog.oldest_first(&stream));
        let told = entries.map(|entry| {
            entry.map(|entry| Catalogued {
                entry,
                disk: catalog.disk(entry.disk),
            })
        });
        let is_settled = known.anchors.is_settled();
        self.compare_with(told, (known, is_settled), disks, |_| Ok(true))
    }

    /// The same with what a running recorder tells, which goes on meanwhile: what does not agree is found only where it `still_has`
    /// the segment when its file has been looked at again. A recorder marks before it deletes, names a new place before it
    /// empties the old one, and has a segment only when it is finished.
    ///
    /// # Errors
    /// Those of what tells.
    pub fn compare_told<E>(
        &mut self,
        told: impl Iterator<Item = Result<Catalogued, E>>,
        still_has: impl FnMut(&Catalogued) -> Result<bool, E>,
        known: &Known<'_>,
        disks: &[Subject],
    ) -> Result<Compared, E> {
        self.compare_with(told, (known, false), disks, still_has)
    }

    /// `is_settled` is whether the catalog is at the times that are known by now: else the recorder brings it there.
    fn compare_with<E>(
        &mut self,
        told: impl Iterator<Item = Result<Catalogued, E>>,
        (known, is_settled): (&Known<'_>, bool),
        disks: &[Subject],
        mut still_has: impl FnMut(&Catalogued) -> Result<bool, E>,
    ) -> Result<Compared, E> {
        let mut compared = Compared::default();
        let indexed = self.indexed.iter();
        let mut there: HashMap<_, _> = indexed
            .map(|Indexed { disk, entry, .. }| ((*disk, entry.stream, entry.segment), *entry))
            .collect();
        let torn: HashSet<_> = self.torn.iter().copied().collect();
        for told in told {
            let told = told?;
            let entry = told.entry;
            let disk = disks
                .iter()
                .position(|d| d.id.is_some() && d.id == told.disk);
            if disk.is_none() {
                self.away.insert(entry.segment);
            }
            let Some(disk) = disk.filter(|_| !entry.tombstone) else {
                continue;
            };
            compared.known += 1;
            let subject = &disks[disk];
            let finding = match there.remove(&(disk, entry.stream, entry.segment)) {
                Some(found) => differ(disk, &entry, found, is_settled),
                None => missing(disk, subject, &entry, known, &torn),
            };
            if let Some(finding) = finding
                && still_has(&told)?
            {
                let at = (disk, Place::of(&entry));
                self.finished.extend(torn.contains(&at).then_some(at));
                self.found.push(finding);
            }
        }
        compared.unknown = there.len() as u64;
        Ok(compared)
    }
}

/// What is wrong with a segment of the catalog's that was not found whole.
fn missing(
    disk: usize,
    subject: &Subject,
    entry: &Entry,
    known: &Known<'_>,
    torn: &HashSet<(usize, Place)>,
) -> Option<Finding> {
    let place = Place::of(entry);
    let is_there = subject.disk.open_read(&place.path());
    if is_there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Some(Finding {
            span_us: Some(entry.start_us..entry.end_us()),
            lost_us: Some(entry.duration_us),
            ..Finding::gone(disk, &place)
        });
    }
    // One whose ends are damaged is told as what it is; one that had no end may have been finished since.
    if entry.torn || !torn.contains(&(disk, place)) {
        return None;
    }
    let now = super::look(disk, &*subject.disk, &place, known, Reading::Ends, &|_| {
        Ok(())
    })?;
    now.is_torn().then(|| Finding {
        span_us: Some(entry.start_us..entry.end_us()),
        ..Finding::cut(disk, &place)
    })
}

fn differ(disk: usize, entry: &Entry, found: Entry, is_settled: bool) -> Option<Finding> {
    let mut same = Entry {
        disk: entry.disk,
        torn: entry.torn,
        ..found
    };
    if !is_settled {
        (same.start_us, same.clock_trusted) = (entry.start_us, entry.clock_trusted);
    }
    (!entry.torn && same != *entry).then(|| {
        let what = "the catalog says something else of this segment than the file does";
        let finding = Finding::new(Kind::Catalog, disk, Place::of(entry).path(), what);
        Finding {
            stream: Some(entry.stream),
            span_us: Some(entry.start_us..entry.end_us()),
            ..finding.repairable()
        }
    })
}
