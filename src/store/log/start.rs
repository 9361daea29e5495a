//! Which log is gone on with after a start, or why a new one begins.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use hearthkeep_format::log::{BeginCause, Checkpoint, LogKey};
use hearthkeep_format::{DiskId, StoreId};

use super::Published;
use super::chain::{Chain, FoundLog, find_and_mend};
use super::files::{self, End, LogFiles};
use super::own::{Own, OwnFile, rolled_back};
use super::seats::LogDisk;
use super::source::{self, Source};
use crate::disk::Disk;
use crate::store::inspect::Keys;

/// What a start looks at.
pub(super) struct Sight<'a> {
    pub disks: &'a [LogDisk],
    /// Disks that are there and keep others waiting.
    pub silent: &'a [DiskId],
    /// Whether what cannot be read has been waited for long enough.
    pub gives_up: bool,
}

/// What a start found.
pub(super) struct Found {
    /// All logs that the disks have, as far as the disks' own checkpoints say.
    pub chain: Chain,
    /// What they say is read from these.
    pub sources: Vec<Source>,
    /// What is wrong, in sentences.
    pub troubles: Vec<String>,
    pub course: Course,
    /// Where not all could be looked at.
    pub unread: Unread,
    /// What the state folder remembers as published and the disks that can be read do not have.
    pub lost: Option<Published>,
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

/// The disks whose logs could not be looked at, and why that of one could not, in a sentence.
#[derive(Default)]
pub(super) struct Unread {
    pub disks: BTreeSet<DiskId>,
    pub why: Option<String>,
}

impl Unread {
    fn note(&mut self, disk: DiskId, why: String) {
        self.disks.insert(disk);
        self.why.get_or_insert(why);
    }
}

/// Looks at the disks and at what the state folder remembers. `Err` says what could not be read, where nothing follows from that, and it
/// is to be tried again.
pub(super) fn look(
    sight: &Sight<'_>,
    store: &StoreId,
    keys: &Keys,
    file: &OwnFile,
) -> Result<Found, String> {
    let disks = sight.disks;
    let raw: Vec<Arc<dyn Disk>> = disks.iter().map(|disk| Arc::clone(&disk.disk)).collect();
    let chain = find_and_mend(&raw, store, keys);
    let (mut unread, mut troubles, mut failures) = (Unread::default(), Vec::new(), Vec::new());
    for (disk, path, flaw) in &chain.flaws {
        let path = disks[*disk].path.join(path);
        let path = path.display();
        let sentence = format!("the copy of the log in {path} cannot be used: {flaw}");
        if flaw.is_failure() {
            unread.note(disks[*disk].id, sentence.clone());
            failures.push(sentence);
        } else {
            troubles.push(sentence);
        }
    }
    for disk in sight.silent {
        unread.note(*disk, "a disk does not answer".to_owned());
    }
    let remembered = match file.read(*store) {
        Ok(remembered) => remembered,
        Err(error) if files::is_lack(&error) || sight.gives_up => {
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
        Some((own, checkpoint)) => {
            let found = (&mut unread, &mut failures);
            with_memory(disks, &chain, own, &checkpoint, found)
        }
    };
    // Nobody is accused, and no log ends, for what could not be looked at; but it is not waited for without an end.
    let course = match (course, &unread.why) {
        (Course::Begin { .. }, Some(why)) if !sight.gives_up => return Err(why.clone()),
        (Course::Begin { previous, .. }, Some(_)) => Course::Begin {
            cause: BeginCause::StateRestored,
            previous,
        },
        (course, _) => {
            troubles.append(&mut failures);
            course
        }
    };
    troubles
        .iter()
        .for_each(|trouble| tracing::error!("{trouble}"));
    let begins = matches!(course, Course::Begin { .. });
    let is_found = |key: &LogKey| {
        let mut found = chain.logs.iter();
        found.any(|log| log.files.key.log() == key.log())
    };
    let lost = ours
        .as_ref()
        .filter(|(key, _)| begins && unread.why.is_some() && !is_found(key));
    Ok(Found {
        lost: lost.map(|(key, note)| Published {
            key: key.to_text(),
            note: note.clone(),
        }),
        sources: source::all(disks, &chain, ours.map(|(key, note)| (key, note, !begins))),
        chain,
        troubles,
        course,
        unread,
    })
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
    (unread, troubles): (&mut Unread, &mut Vec<String>),
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
    let (mut failed, mut beyond) = (None, None);
    for disk in disks {
        let end = match end_on(&*disk.disk, &own, checkpoint) {
            Ok(Ends::Here(end)) => end,
            Ok(Ends::Elsewhere) => continue,
            Ok(Ends::Beyond) => {
                beyond = Some(disk.path.display());
                continue;
            }
            Err(error) => {
                unread.note(disk.id, format!("{}: {error}", disk.path.display()));
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
        return Course::Later { own, why: failed };
    }
    if let Some(path) = beyond {
        troubles.push(format!(
            "the copy of the log in {path} goes on behind what the state folder knows of, and its checkpoint cannot be read: the state folder may \
             have come back from a backup. A new log begins, and that copy stays as it is"
        ));
        return Course::Begin {
            cause: BeginCause::StateRestored,
            previous: own.note,
        };
    }
    troubles.push(rolled_back(checkpoint, chain.logs.iter().find(is_ours)));
    Course::Begin {
        cause: BeginCause::RolledBack,
        previous: own.note,
    }
}

/// Where the log ends on a disk.
enum Ends {
    /// It has all that was published as far as is known, and nothing that counts behind that.
    Here(End),
    /// It has more, and nothing says whether that was published.
    Beyond,
    /// It does not have all.
    Elsewhere,
}

fn end_on(disk: &dyn Disk, own: &Own, checkpoint: &Checkpoint) -> io::Result<Ends> {
    let files = match LogFiles::open_at(disk, own.key, &own.note) {
        Ok(files) => files,
        Err(flaw) => return flaw.of_copy().map(|()| Ends::Elsewhere),
    };
    if !files.holds(checkpoint)? {
        return Ok(Ends::Elsewhere);
    }
    // What stands behind was never published where the disk's own checkpoint does not have it either.
    match files::vouches(disk, &own.key)? || files.is_all()? {
        true => files.end(checkpoint.size).map(Ends::Here),
        false => Ok(Ends::Beyond),
    }
}
