//! Which log is gone on with after a start, or why a new one begins.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hearthkeep_format::log::{BeginCause, Checkpoint};
use hearthkeep_format::{DiskId, StoreId};

use super::chain::{Chain, FoundLog, find_and_mend};
use super::files::{self, End, Flaw, LogFiles};
use super::own::{Own, OwnFile, rolled_back};
use super::seats::LogDisk;
use super::source::{self, Source};
use crate::disk::Disk;
use crate::store::inspect::Keys;

/// What a start found.
pub(super) struct Found {
    /// All logs that the disks have, as far as the disks' own checkpoints say.
    pub chain: Chain,
    /// What they say is read from these.
    pub sources: Vec<Source>,
    /// What is wrong, in sentences.
    pub troubles: Vec<String>,
    pub course: Course,
}

/// What is done.
pub(super) enum Course {
    /// The log goes on where it ends on this disk.
    GoOn { own: Own, end: End, leader: DiskId },
    /// All that was published is there, on disks that do not let it be gone on with now: that is tried again. Why, in a sentence.
    Later { own: Own, why: String },
    /// A new one begins.
    Begin { cause: BeginCause, previous: String },
}

/// Looks at the disks and at what the state folder remembers. `is_all` says whether these are all disks that are there, and none of them
/// keeps others waiting. `Err` says what could not be read: nothing follows from that, and it is to be tried again.
pub(super) fn look(
    disks: &[LogDisk],
    is_all: bool,
    store: &StoreId,
    keys: &Keys,
    file: &OwnFile,
) -> Result<Found, String> {
    let raw: Vec<Arc<dyn Disk>> = disks.iter().map(|disk| Arc::clone(&disk.disk)).collect();
    let chain = find_and_mend(&raw, store, keys);
    let flaw_in = |(disk, path, flaw): &(usize, PathBuf, Flaw)| {
        let path = disks[*disk].path.join(path);
        format!(
            "the copy of the log in {} cannot be used: {flaw}",
            path.display()
        )
    };
    let mut troubles: Vec<String> = chain.flaws.iter().map(flaw_in).collect();
    let is_failure = |(.., flaw): &&(usize, PathBuf, Flaw)| flaw.is_failure();
    let failed = chain.flaws.iter().find(is_failure).map(flaw_in);
    let failed = failed.or_else(|| (!is_all).then(|| "a disk does not answer".to_owned()));
    let remembered = match file.read(*store) {
        Ok(remembered) => remembered,
        Err(error) if files::is_lack(&error) => {
            troubles.push(format!(
                "log.sealed in the state folder cannot be used ({error}): a new log begins"
            ));
            None
        }
        Err(error) => return Err(format!("log.sealed in the state folder: {error}")),
    };
    let ours = remembered
        .as_ref()
        .map(|(own, _)| (own.key, own.note.clone()));
    let course = match remembered {
        None => without_memory(&chain),
        Some((own, checkpoint)) => with_memory(disks, &chain, own, &checkpoint, &mut troubles)?,
    };
    match (course, failed) {
        // Nobody is accused, and no log ends, for what could not be looked at.
        (Course::Begin { .. }, Some(failed)) => Err(failed),
        (course, _) => {
            troubles
                .iter()
                .for_each(|trouble| tracing::error!("{trouble}"));
            let is_there = !matches!(course, Course::Begin { .. });
            let ours = ours.map(|(key, note)| (key, note, is_there));
            Ok(Found {
                sources: source::all(disks, &chain, ours),
                chain,
                troubles,
                course,
            })
        }
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

fn with_memory(
    disks: &[LogDisk],
    chain: &Chain,
    own: Own,
    checkpoint: &Checkpoint,
    troubles: &mut Vec<String>,
) -> Result<Course, String> {
    let is_ours = |log: &&FoundLog| log.files.checkpoint.log == checkpoint.log;
    if let Some(log) = chain.logs.iter().find(is_ours)
        && log.files.checkpoint.size > checkpoint.size
    {
        tracing::warn!(
            "the disks have more of the log than the state folder knows of: it came back from a backup, and a new log begins"
        );
        return Ok(Course::Begin {
            cause: BeginCause::StateRestored,
            previous: log.files.note.clone(),
        });
    }
    let (mut failed, mut unread) = (None, None);
    for disk in disks {
        let end = match end_on(&*disk.disk, &own, checkpoint) {
            Ok(Some(end)) => end,
            Ok(None) => continue,
            Err(error) => {
                unread = Some(format!("{}: {error}", disk.path.display()));
                continue;
            }
        };
        let log = &checkpoint.log;
        let cut = files::cut(&*disk.disk, log, &end)
            .and_then(|()| files::put_checkpoint(&*disk.disk, log, &own.note));
        match cut {
            Ok(()) => {
                let leader = disk.id;
                return Ok(Course::GoOn { own, end, leader });
            }
            Err(error) => failed = Some(format!("{}: {error}", disk.path.display())),
        }
    }
    if let Some(failed) = failed {
        return Ok(Course::Later { own, why: failed });
    }
    if let Some(unread) = unread {
        return Err(unread);
    }
    let there = chain.logs.iter().find(is_ours);
    let sentence = rolled_back(checkpoint, there);
    troubles.push(sentence);
    Ok(Course::Begin {
        cause: BeginCause::RolledBack,
        previous: own.note,
    })
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
