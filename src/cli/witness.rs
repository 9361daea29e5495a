//! What this user has seen of signed logs, so that one that is shorter later, or another one, is noticed.
//!
//! The newest checkpoint of each store that was looked at from here is kept in `$XDG_STATE_HOME/hearthkeep/logs`, or in
//! `~/.local/state/hearthkeep/logs`, one file a store.

use std::path::PathBuf;

use hearthkeep_format::log::{Ask, Complaint, Examination, Head, Outcome};
use hearthkeep_format::merkle::Hash;
use hearthkeep_format::{MetadataKey, StoreId};
use serde::{Deserialize, Serialize};

use super::output::{ExitStatus, Failure};
use super::owner;
use crate::limits::STATE_FILE_BYTES_MAX;
use crate::state_file;

/// What answers an examination: entry 0 of a log where that is asked for, and a proof's hashes.
pub(super) type Answer = Result<(Vec<u8>, Vec<Hash>), Failure>;

/// The file in which a checkpoint is kept.
struct Kept(PathBuf);

#[derive(Serialize, Deserialize)]
struct Written {
    key: String,
    checkpoint: String,
}

/// Says that a box does not show its log. Where it was seen before, that is as if it were gone.
pub(super) fn not_shown(store: &StoreId, why: &Failure) -> ExitStatus {
    let sentence = &why.sentence;
    eprintln!("hearthkeep: the box does not show its signed log: {sentence}");
    match Kept::of(store).is_some_and(|kept| kept.0.exists()) {
        true => ExitStatus::Damaged,
        false => ExitStatus::Done,
    }
}

/// Compares the logs that are shown with what was seen from here before, says what is wrong, and keeps what is new. The exit
/// status is that of a command that has done all else. `others` says why what is shown may not be all there is.
pub(super) fn examine(
    store: &StoreId,
    shown: &[Head],
    others: Option<&str>,
    m: &dyn Fn(u32) -> Option<MetadataKey>,
    mut answer: impl FnMut(&Ask) -> Answer,
) -> ExitStatus {
    let Some(kept) = Kept::of(store) else {
        // A service without a home keeps nothing; nor does anybody look at what it says.
        return ExitStatus::Done;
    };
    // The home is the caller's.
    let seen = match owner::as_caller(|| kept.read()) {
        Ok(seen) => seen,
        Err(what) => {
            let path = kept.0.display();
            eprintln!(
                "hearthkeep: what was seen of the signed log, in {path}, cannot be used ({what}); remove the file to begin anew"
            );
            return ExitStatus::Damaged;
        }
    };
    let (mut examination, mut ask) = Examination::begin(seen.as_ref(), shown);
    let outcome = loop {
        ask = match ask {
            Ask::Done(outcome) => break outcome,
            ask => match answer(&ask) {
                Ok((first, hashes)) => examination.tell(&first, &hashes, m),
                Err(failure) => {
                    eprintln!(
                        "hearthkeep: the signed log was seen before and cannot be compared with that: {}",
                        failure.sentence
                    );
                    return ExitStatus::Damaged;
                }
            },
        };
    };
    if let (Outcome::Complain(complaint), Some(others)) = (&outcome, others)
        && let Some(what) = lacking(complaint)
    {
        eprintln!(
            "hearthkeep: the signed log cannot be compared with what was seen of it from here while {others}: {what}"
        );
        return ExitStatus::Failed;
    }
    kept.conclude(seen.as_ref(), outcome)
}

/// What is lacking where a complaint is of no more than that, which is nobody's doing as long as a disk is away.
fn lacking(complaint: &Complaint) -> Option<String> {
    Some(match complaint {
        Complaint::Gone { seen } => {
            format!("it had {seen} entries, and none of it is on the disks that are here")
        }
        Complaint::RolledBack { seen, now } => {
            format!("it had {seen} entries, and the disks that are here have {now} of them")
        }
        Complaint::Replaced => {
            "what is on the disks that are here does not go on from what was seen".to_owned()
        }
        Complaint::Unsigned(_) | Complaint::Forked => return None,
    })
}

/// What a file says in which the newest checkpoint of a store's log is kept.
///
/// # Errors
/// Why it is not one, in words.
pub fn kept_head(file: &[u8]) -> Result<Head, String> {
    let written: Written = serde_json::from_slice(file).map_err(|error| error.to_string())?;
    Ok(Head {
        key: written.key,
        note: written.checkpoint,
    })
}

impl Kept {
    fn of(store: &StoreId) -> Option<Self> {
        let set = |name| std::env::var_os(name).map(PathBuf::from);
        let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let state = state.or_else(|| Some(set("HOME")?.join(".local/state")))?;
        let file = state.join("hearthkeep/logs").join(format!("{store}.json"));
        Some(Self(file))
    }

    fn read(&self) -> Result<Option<Head>, String> {
        let bytes = state_file::read(&self.0, STATE_FILE_BYTES_MAX);
        let Some(bytes) = bytes.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        kept_head(&bytes).map(Some)
    }

    fn write(&self, head: &Head) -> std::io::Result<()> {
        let written = Written {
            key: head.key.clone(),
            checkpoint: head.note.clone(),
        };
        let text = serde_json::to_vec_pretty(&written).expect("plain values become JSON");
        self.0.parent().map_or(Ok(()), state_file::private_folder)?;
        state_file::replace(&self.0, &text)
    }

    fn conclude(&self, seen: Option<&Head>, outcome: Outcome) -> ExitStatus {
        match outcome {
            Outcome::None => ExitStatus::Done,
            Outcome::Keep(head, causes) => {
                for cause in causes {
                    eprintln!(
                        "hearthkeep: a new signed log has begun ({}); it goes on from what was seen before",
                        cause.as_str()
                    );
                }
                if seen != Some(&head)
                    && let Err(error) = owner::as_caller(|| self.write(&head))
                {
                    let path = self.0.display();
                    eprintln!(
                        "hearthkeep: what was seen of the signed log is not kept in {path}: {error}"
                    );
                }
                ExitStatus::Done
            }
            Outcome::Complain(complaint) => {
                eprintln!(
                    "hearthkeep: {complaint}. (What was seen is kept in {}: remove the file to believe from now on what is shown.)",
                    self.0.display()
                );
                ExitStatus::Damaged
            }
        }
    }
}
