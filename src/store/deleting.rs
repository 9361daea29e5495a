//! A plan is carried out: tombstone, log, unlink, forget. Wherever a crash falls, the next start says what there is.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;

use super::catalog::Entry;
use super::log::Keeping;
use super::retention::{Deletion, Reason};
use super::{Shared, layout};
use crate::disk::is_no_answer;
use crate::limits::RETENTION_BATCH_SEGMENTS;

/// What came of a plan.
#[derive(Default)]
pub(super) struct Outcome {
    /// What is gone.
    pub gone: Vec<Deletion>,
    /// Disks that did not let go of something.
    pub refusing: HashSet<u16>,
    /// What a disk did not answer for: it may be gone, or go yet. It keeps its mark until [`settle`] knows.
    pub doubtful: Vec<Deletion>,
    /// What is held has changed meanwhile, so that another plan is to be made.
    pub is_outdated: bool,
}

/// Deletes, and tells the log before. Where what is held changes meanwhile the rest stays: `version` is that of the holds that were known
/// when the plan was made.
pub(super) fn delete(
    shared: &Shared,
    deletions: Vec<Deletion>,
    version: Option<u64>,
    mut log: Option<&mut Keeping>,
) -> Outcome {
    let mut outcome = Outcome::default();
    if deletions.is_empty() {
        return outcome;
    }
    if let Err(error) = mark(shared, deletions.iter().map(|d| &d.entry), true) {
        tracing::error!("nothing is deleted: {}", super::Error::Catalog(error));
        // Or the next start would go on with what was never begun.
        _ = mark(shared, deletions.iter().map(|d| &d.entry), false);
        return outcome;
    }
    if let Some(log) = log.as_deref_mut() {
        log.deleting(&deletions);
    }
    let mut stays = Vec::new();
    for deletion in deletions {
        let disk = deletion.entry.disk;
        let refuses = outcome.refusing.contains(&disk);
        let unlinked = match refuses {
            true => Unlinked::Refused,
            false => unlink(shared, &deletion.entry, version),
        };
        match unlinked {
            Unlinked::Gone => outcome.gone.push(deletion),
            Unlinked::Outdated => {
                stays.push(deletion.entry);
                outcome.is_outdated = true;
            }
            Unlinked::Refused => {
                stays.push(deletion.entry);
                outcome.refusing.insert(disk);
            }
            Unlinked::Doubtful => {
                outcome.doubtful.push(deletion);
                outcome.refusing.insert(disk);
            }
        }
    }
    conclude(shared, &outcome, &stays, log);
    outcome
}

/// Looks at what disks did not answer for. What is still there is footage again; what is on a disk that has gone is seen to when it
/// comes back.
pub(super) fn settle(
    shared: &Shared,
    doubtful: Vec<Deletion>,
    log: Option<&mut Keeping>,
) -> Outcome {
    let (mut outcome, mut stays) = (Outcome::default(), Vec::new());
    for deletion in doubtful {
        let entry = &deletion.entry;
        let Some(disk) = shared.slots.disk(entry.disk) else {
            continue;
        };
        // Calls of a disk are made in their order: what was given up has come to its end when this one is answered.
        let opened = disk.patient().open_read(&path_of(entry));
        match opened {
            Err(error) if is_no_answer(&error) => outcome.doubtful.push(deletion),
            // Its disk may have been away and back meanwhile: then that was seen to, and it may have been moved since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                outcome.gone.extend(marked(shared, entry).map(|_| deletion));
            }
            _ => stays.extend(marked(shared, entry)),
        }
    }
    conclude(shared, &outcome, &stays, log);
    outcome
}

/// What the catalog has of a segment by now, if that is still about to be deleted from the same disk.
fn marked(shared: &Shared, entry: &Entry) -> Option<Entry> {
    let known = shared.catalog.find(&entry.stream, &entry.segment);
    let known = known.ok().flatten();
    known.filter(|known| known.tombstone && known.disk == entry.disk)
}

/// Forgets what is gone, and takes the marks from what stays.
fn conclude(shared: &Shared, outcome: &Outcome, stays: &[Entry], log: Option<&mut Keeping>) {
    let forgotten: Vec<_> = outcome.gone.iter().map(|d| d.entry).collect();
    let forgetting = shared.catalog.forget(&forgotten);
    let marking = forgetting.and_then(|()| match stays.is_empty() {
        true => shared.catalog.flush(),
        false => mark(shared, stays.iter(), false),
    });
    if let Err(error) = marking {
        tracing::error!("{}", super::Error::Catalog(error));
    }
    if let Some(log) = log {
        // The log says that they are gone.
        log.closed(stays);
        log.deleted();
    }
    tell(shared, &outcome.gone);
}

/// Sets or takes away the mark of what is about to be deleted, durably.
fn mark<'a>(
    shared: &Shared,
    entries: impl Iterator<Item = &'a Entry>,
    tombstone: bool,
) -> Result<(), super::CatalogError> {
    let marked: Vec<_> = entries
        .map(|entry| Entry {
            tombstone,
            ..*entry
        })
        .collect();
    shared.catalog.insert(&marked)?;
    shared.catalog.flush()
}

enum Unlinked {
    Gone,
    /// What is held has changed since the plan was made.
    Outdated,
    /// The disk does not let go of it.
    Refused,
    /// The disk did not answer in time.
    Doubtful,
}

fn unlink(shared: &Shared, entry: &Entry, version: Option<u64>) -> Unlinked {
    // Whoever sets a hold does it before or after this: what is there when he is told that it is held stays.
    let _gate = shared.gate();
    if version != Some(shared.log.holds_version()) {
        return Unlinked::Outdated;
    }
    let Some(disk) = shared.slots.disk(entry.disk) else {
        return Unlinked::Refused;
    };
    let path = path_of(entry);
    let patient = disk.patient();
    match patient.remove_file(&path) {
        Ok(()) => {
            // Fails while the epoch has other segments, which is nearly always.
            let folder = layout::epoch_folder(&entry.stream, &entry.epoch);
            let tally = shared
                .catalog
                .epoch_tally(&entry.stream, &entry.epoch, entry.disk);
            if tally.count <= RETENTION_BATCH_SEGMENTS as u32 {
                let _ = patient.remove_folder(&folder);
            }
            Unlinked::Gone
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Unlinked::Gone,
        Err(error) if is_no_answer(&error) => {
            tracing::error!(path = %disk.path.join(path).display(), "it is not known whether it is deleted: {error}");
            Unlinked::Doubtful
        }
        Err(error) => {
            tracing::error!(path = %disk.path.join(path).display(), "could not delete: {error}");
            Unlinked::Refused
        }
    }
}

fn path_of(entry: &Entry) -> PathBuf {
    layout::segment_path(&entry.stream, &entry.epoch, &entry.segment)
}

fn tell(shared: &Shared, gone: &[Deletion]) {
    let mut by_reason: HashMap<Reason, (u64, u64)> = HashMap::new();
    for Deletion { entry, reason } in gone {
        let sum = by_reason.entry(*reason).or_default();
        *sum = (sum.0 + 1, sum.1 + u64::from(entry.bytes));
    }
    let mut deleted = shared.deleted();
    for (reason, (segments, bytes)) in by_reason {
        let sum = deleted.entry(reason.as_str()).or_default();
        *sum = (sum.0 + segments, sum.1 + bytes);
        tracing::info!(
            reason = reason.as_str(),
            segments,
            bytes,
            "footage was deleted"
        );
    }
}
