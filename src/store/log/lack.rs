//! What the disks lack of logs that their writer has signed, by who else knows: the state folder remembers the last checkpoint, and
//! each log names the one before it.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use hearthkeep_format::log::{Checkpoint, LogKey};
use hearthkeep_format::{LogId, StoreId};

use super::chain::{Chain, FoundLog};
use super::files::{Flaw, LogFiles, folder};
use super::own::OwnFile;
use crate::disk::Disk;
use crate::state_file::StateKey;

/// A log that was signed, and that the disks do not have as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The log.
    pub log: LogId,
    /// How many entries were signed.
    pub signed: u64,
    /// How many the disks have.
    pub there: u64,
    /// Whether the disks have another history: no disk that is away makes up for that.
    pub is_forked: bool,
    /// Whether a log has begun since, and this is what it names; else the state folder remembers it.
    pub is_named: bool,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            log, signed, there, ..
        } = self;
        match (self.is_forked, self.is_named) {
            (true, _) => write!(
                f,
                "the log {log} was forked: the {signed} entries that were signed are not those that the disks have. A disk or the state folder was put back \
                 to an older state, or the log's key was used elsewhere"
            ),
            (false, false) => write!(
                f,
                "the log was rolled back: {signed} entries of it were published, and the disks that are here have {there} of them. Somebody put back an \
                 older copy of a disk or removed a part of the log, or a disk that had more of it is used no more. The next start begins a new log"
            ),
            (false, true) => write!(
                f,
                "the log {log} had {signed} entries when the log after it began, and the disks that are here have {there} of them. Somebody put back an \
                 older copy of a disk or removed a part of the log, or a disk that had more of it is used no more: what was removed \
                 before the new log began may be told by nobody"
            ),
        }
    }
}

/// What the disks lack of the log that the state folder remembers; `None` where they have all of it, or nothing is remembered. What is
/// damaged is a flaw of the chain, and nothing that is lacking. A recorder may be at work.
///
/// # Errors
/// Where the state folder does not tell, or a disk fails.
pub fn lacking(
    (state_dir, key): (&Path, StateKey),
    store: &StoreId,
    disks: &[Arc<dyn Disk>],
    chain: &Chain,
) -> io::Result<Option<Lack>> {
    let Some((own, checkpoint)) = OwnFile::new(state_dir, key).read(*store)? else {
        return Ok(None);
    };
    let mut logs = chain.logs.iter();
    let there = logs.find(|log| log.files.checkpoint.log == checkpoint.log);
    let signed = (own.key, &own.note[..], &checkpoint);
    Ok(lack(signed, disks, chain, there)?.map(|lack| Lack {
        is_named: false,
        ..lack
    }))
}

impl Chain {
    /// What the disks lack of the logs that later ones name.
    ///
    /// # Errors
    /// Where a disk fails.
    pub fn lacks(&self, disks: &[Arc<dyn Disk>]) -> io::Result<Vec<Lack>> {
        let mut lacks = Vec::new();
        for log in &self.logs {
            // A log that names nothing readable is the first one, or says that there was none.
            let Ok(named) = Checkpoint::read_unverified(&log.previous) else {
                continue;
            };
            let mut before = self.logs.iter();
            let before = before.find(|before| before.files.checkpoint.log == named.log);
            let lack = match before {
                Some(before) => lack(
                    (before.files.key, &log.previous, &named),
                    disks,
                    self,
                    Some(before),
                )?,
                None if self.is_damaged(&named.log) => None,
                None => Some(Lack::of(&named, None)),
            };
            lacks.extend(lack);
        }
        Ok(lacks)
    }

    /// Whether a disk has a copy of it that cannot be used, or cannot be looked at.
    fn is_damaged(&self, log: &LogId) -> bool {
        let folder = folder(log);
        let of_it = |path: &Path| folder.starts_with(path);
        self.flaws.iter().any(|(_, path, _)| of_it(path))
    }
}

impl Lack {
    fn of(signed: &Checkpoint, there: Option<&FoundLog>) -> Self {
        let there = there.map_or(0, |log| log.files.checkpoint.size);
        Self {
            log: signed.log,
            signed: signed.size,
            there: there.min(signed.size),
            is_forked: there >= signed.size,
            is_named: true,
        }
    }
}

/// What all disks together lack of what was signed. Their own checkpoints may be older than their entries: they are written last.
fn lack(
    (key, note, checkpoint): (LogKey, &str, &Checkpoint),
    disks: &[Arc<dyn Disk>],
    chain: &Chain,
    there: Option<&FoundLog>,
) -> io::Result<Option<Lack>> {
    let forged = |_| {
        let what = "the checkpoint that the log after it names is not signed with its key";
        io::Error::new(io::ErrorKind::InvalidData, what)
    };
    Checkpoint::verify(note, &key).map_err(forged)?;
    let (mut is_damaged, mut failed) = (chain.is_damaged(&checkpoint.log), None);
    for disk in disks {
        let files = match LogFiles::open_at(&**disk, key, note) {
            Ok(files) => files,
            Err(flaw) => {
                failed = flaw.of_copy().err().or(failed);
                continue;
            }
        };
        // By its entries, where its tree has rotted.
        let has_all = files.holds(checkpoint).and_then(|holds| match holds {
            true => Ok(true),
            false => is_whole(&files),
        });
        match has_all {
            Ok(true) => return Ok(None),
            Ok(false) => {}
            Err(error) => failed = Some(error),
        }
    }
    // A copy that holds by its tree what it was signed for, and whose entries have rotted, has a flaw of its own.
    is_damaged |= there.is_some_and(|log| log.files.verify().is_err());
    match failed {
        Some(error) => Err(error),
        None if is_damaged => Ok(None),
        None => Ok(Some(Lack::of(checkpoint, there))),
    }
}

fn is_whole(files: &LogFiles) -> io::Result<bool> {
    match files.verify() {
        Ok(()) | Err(Flaw::Tree) => Ok(true),
        Err(flaw) => flaw.of_copy().map(|()| false),
    }
}
