//! The catalog against the disks.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hearthkeep_format::{SegmentId, StreamId};

use super::{Finding, Findings, Kind, Known, Subject};
use crate::store::catalog::{Catalog, CatalogError, Entry};
use crate::store::inspect::Facts;
use crate::store::layout;
use crate::store::lock::Lock;

/// A segment as both its ends have it.
pub struct Indexed {
    disk: usize,
    entry: Entry,
}

impl Indexed {
    pub(super) fn new(disk: usize, facts: &Facts) -> Self {
        let entry = facts.entry(0);
        Self { disk, entry }
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
        let folder = state_dir.join("catalog");
        if !folder.exists() {
            let unknown = self.indexed.len() as u64;
            return Ok(Compared { known: 0, unknown });
        }
        let copy = Copy::of(&folder, state_dir.join("catalog.copy"))?;
        let opened = Catalog::open(&copy.0, &known.store)?;
        if let Some((why, _)) = opened.moved_aside {
            let what =
                format!("{why}; it is rebuilt at the next start, or by `hearthkeep reindex`");
            self.found.push(Finding {
                repairable: true,
                lost_us: Some(0),
                ..Finding::new(Kind::Catalog, super::STATE, "catalog", what)
            });
            return Ok(Compared::default());
        }
        self.compare_with(&opened.catalog, known, disks)
    }

    fn compare_with(
        &mut self,
        catalog: &Catalog,
        known: &Known<'_>,
        disks: &[Subject],
    ) -> Result<Compared, CatalogError> {
        let mut compared = Compared::default();
        let mut there: HashMap<(usize, StreamId, SegmentId), Entry> = HashMap::new();
        for Indexed { disk, entry } in &self.indexed {
            there.insert((*disk, entry.stream, entry.segment), *entry);
        }
        for stream in catalog.streams() {
            for entry in catalog.oldest_first(&stream) {
                let entry = entry?;
                let id = catalog.disk(entry.disk);
                let disk = disks.iter().position(|d| d.id.is_some() && d.id == id);
                let Some(disk) = disk.filter(|_| !entry.tombstone) else {
                    continue;
                };
                compared.known += 1;
                let found = there.remove(&(disk, stream, entry.segment));
                let found = found.map(|found| match known.anchors.is_settled() {
                    true => found,
                    // The next start brings it to the time that is known by now.
                    false => Entry {
                        start_us: entry.start_us,
                        clock_trusted: entry.clock_trusted,
                        ..found
                    },
                });
                self.found.extend(differ(disk, &disks[disk], &entry, found));
            }
        }
        compared.unknown = there.len() as u64;
        Ok(compared)
    }
}

fn differ(disk: usize, subject: &Subject, entry: &Entry, found: Option<Entry>) -> Option<Finding> {
    let path = layout::segment_path(&entry.stream, &entry.epoch, &entry.segment);
    let finding = |kind, what: &str| Finding {
        stream: Some(entry.stream),
        span_us: Some(entry.start_us..entry.end_us()),
        ..Finding::new(kind, disk, &path, what)
    };
    // A torn one, or one whose ends are damaged, is told as what it is.
    let Some(found) = found else {
        let is_there = subject.disk.open_read(&path);
        let is_gone = is_there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        return is_gone.then(|| Finding {
            lost_us: Some(entry.duration_us),
            ..finding(
                Kind::Gone,
                "the catalog knows this segment, and its file is not there",
            )
        });
    };
    let same = Entry {
        disk: entry.disk,
        torn: entry.torn,
        ..found
    };
    (!entry.torn && same != *entry).then(|| {
        let what = "the catalog says something else of this segment than the file does";
        finding(Kind::Catalog, what).repairable()
    })
}

/// A folder that is removed at the end.
struct Copy(PathBuf);

impl Copy {
    fn of(folder: &Path, to: PathBuf) -> io::Result<Self> {
        Catalog::remove(&to)?;
        let copy = Self(to);
        copy_folder(folder, &copy.0)?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = Catalog::remove(&self.0) {
            tracing::warn!("{} could not be removed: {error}", self.0.display());
        }
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}
