//! Which log is gone on with after a start, or why a new one begins.

use std::io;
use std::sync::Arc;

use hearthkeep_format::log::{BeginCause, Checkpoint};
use hearthkeep_format::{DiskId, StoreId};

use super::chain::{self, Chain, FoundLog, find_and_mend};
use super::files::{self, End, LogFiles};
use super::own::{Own, OwnFile, rolled_back};
use super::seats::LogDisk;
use crate::disk::Disk;
use crate::store::inspect::Keys;

/// What a start found.
pub(super) struct Found {
    /// All logs that the disks have, as far as the disks' own checkpoints say.
    pub chain: Chain,
    /// The one of them that the state folder remembers, as far as that says, where a disk has all of it.
    pub whole: Option<FoundLog>,
    /// What is wrong, in sentences.
    pub troubles: Vec<String>,
    pub course: Course,
}

/// What is done.
pub(super) enum Course {
    /// The log goes on where it ends on this disk.
    GoOn { own: Own, end: End, leader: DiskId },
    /// All that was published is there, on disks that do not let it be gone on with now: that is tried again. Why, in a sentence.
    Later(String),
    /// A new one begins.
    Begin { cause: BeginCause, previous: String },
}

/// Looks at the disks and at what the state folder remembers.
pub(super) fn look(disks: &[LogDisk], store: &StoreId, keys: &Keys, file: &OwnFile) -> Found {
    let raw: Vec<Arc<dyn Disk>> = disks.iter().map(|disk| Arc::clone(&disk.disk)).collect();
    let chain = find_and_mend(&raw, store, keys);
    let mut troubles: Vec<String> = chain
        .flaws
        .iter()
        .map(|(disk, path, flaw)| {
            let path = disks[*disk].path.join(path);
            format!(
                "the copy of the log in {} cannot be used: {flaw}",
                path.display()
            )
        })
        .collect();
    let remembered = file.read(*store).unwrap_or_else(|what| {
        troubles.push(format!(
            "log.sealed in the state folder cannot be used ({what}): a new log begins"
        ));
        None
    });
    let mut whole = None;
    let course = match remembered {
        None => without_memory(&chain),
        Some((own, checkpoint)) => {
            whole = find_whole(&raw, &own, keys);
            with_memory(disks, &chain, own, &checkpoint, &mut troubles)
        }
    };
    Found {
        chain,
        whole,
        troubles,
        course,
    }
}

fn without_memory(chain: &Chain) -> Course {
    let last = chain.logs.last();
    let previous = last.map_or_else(String::new, |log| log.files.note.clone());
    let cause = match last {
        Some(_) => BeginCause::StateRestored,
        None => BeginCause::First,
    };
    Course::Begin { cause, previous }
}

/// A disk's own checkpoint may be older than its entries: it is written after that of the state folder.
fn find_whole(disks: &[Arc<dyn Disk>], own: &Own, keys: &Keys) -> Option<FoundLog> {
    let mut disks = disks.iter().enumerate();
    disks.find_map(|(index, disk)| {
        let files = LogFiles::open_at(&**disk, own.key, &own.note).ok()?;
        chain::found(files, index, keys).ok()
    })
}

fn with_memory(
    disks: &[LogDisk],
    chain: &Chain,
    own: Own,
    checkpoint: &Checkpoint,
    troubles: &mut Vec<String>,
) -> Course {
    let is_ours = |log: &&FoundLog| log.files.checkpoint.log == checkpoint.log;
    if let Some(log) = chain.logs.iter().find(is_ours)
        && log.files.checkpoint.size > checkpoint.size
    {
        tracing::warn!(
            "the disks have more of the log than the state folder knows of: it came back from a backup, and a new log begins"
        );
        return Course::Begin {
            cause: BeginCause::StateRestored,
            previous: log.files.note.clone(),
        };
    }
    let mut failed = None;
    for disk in disks {
        let end = match end_on(&*disk.disk, &own, checkpoint) {
            Ok(Some(end)) => end,
            Ok(None) => continue,
            Err(error) => {
                failed = Some(format!("{}: {error}", disk.path.display()));
                continue;
            }
        };
        let log = &checkpoint.log;
        let cut = files::cut(&*disk.disk, log, &end)
            .and_then(|()| files::put_checkpoint(&*disk.disk, log, &own.note));
        match cut {
            Ok(()) => {
                let leader = disk.id;
                return Course::GoOn { own, end, leader };
            }
            Err(error) => failed = Some(format!("{}: {error}", disk.path.display())),
        }
    }
    if let Some(failed) = failed {
        return Course::Later(failed);
    }
    let there = chain.logs.iter().find(is_ours);
    let sentence = rolled_back(checkpoint, there);
    tracing::error!("{sentence}");
    troubles.push(sentence);
    Course::Begin {
        cause: BeginCause::RolledBack,
        previous: own.note,
    }
}

/// Where the log ends on a disk that has all that was published; `None` where that does not have it.
fn end_on(disk: &dyn Disk, own: &Own, checkpoint: &Checkpoint) -> io::Result<Option<End>> {
    let files = match LogFiles::open_at(disk, own.key, &own.note) {
        Ok(files) => files,
        Err(flaw) => return flaw.of_copy().map(|()| None),
    };
    match files.holds(checkpoint)? {
        true => files.end(checkpoint.size).map(Some),
        false => Ok(None),
    }
}
