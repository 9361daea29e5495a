//! The signed logs on the disks against all that is known of them from elsewhere: what this user has seen of them, what the state
//! folder remembers, and what each log names of the one before. A disk that is away may have what the others lack.

use std::path::{Path, PathBuf};

use hearthkeep_format::LogId;
use hearthkeep_format::log::{Ask, Head};

use super::local::Local;
use super::output::{ExitStatus, Failure, OrFail};
use super::told::{LogFinding, Told};
use super::witness;
use crate::store::layout;
use crate::store::log::{self, Chain, FoundLog, Lack};

impl Local {
    /// Why these may not be all disks of the store, for a sentence that goes on from "while"; `None` where they are.
    pub fn others(&self) -> Option<String> {
        let Some(state) = self.state() else {
            return Some("disks are read by themselves, and another one may have more".to_owned());
        };
        let absent = self.absent().iter().map(|(path, _)| path.clone());
        let mut away: Vec<PathBuf> = absent.chain(self.bare()).collect();
        let here = self.disk_ids();
        let is_another = |path: &&PathBuf| {
            let canonical = path.canonicalize();
            let known = canonical.ok().and_then(|at| state.disk_at(&at));
            known.is_some_and(|known| !here.contains(&known)) && !away.contains(path)
        };
        let others: Vec<_> = self.paths.iter().filter(is_another).cloned().collect();
        away.extend(others);
        let names: Vec<_> = away.iter().map(|path| path.display().to_string()).collect();
        match names.len() {
            0 => None,
            1 => Some(format!("the disk {} is away", names[0])),
            _ => Some(format!("the disks {} are away", names.join(" and "))),
        }
    }

    /// Compares the signed log with what this user has seen of it before, and says what is wrong.
    pub fn witness(&self, logs: &Chain) -> ExitStatus {
        let head = |log: &FoundLog| Head {
            key: log.files.key.to_text(),
            note: log.files.note.clone(),
        };
        let heads: Vec<_> = logs.logs.iter().map(head).collect();
        let of = |id: &LogId| {
            let found = logs.logs.iter().find(|log| log.files.checkpoint.log == *id);
            found.ok_or_else(|| Failure::new(ExitStatus::Damaged, "it is not there"))
        };
        let keys = self.keys();
        let others = self.others();
        witness::examine(
            &self.store(),
            &heads,
            others.as_deref(),
            &*keys,
            |ask| match ask {
                Ask::Consistency { log, from, to } => {
                    let hashes = of(log)?.files.consistency(*from, *to);
                    Ok((Vec::new(), hashes.or_fail(ExitStatus::Damaged)?))
                }
                Ask::First { log, size } => {
                    let files = &of(log)?.files;
                    let first = files.piece(0, 1).or_fail(ExitStatus::Damaged)?;
                    let hashes = files.inclusion(0, *size).or_fail(ExitStatus::Damaged)?;
                    Ok((first, hashes))
                }
                Ask::Done(_) => Ok((Vec::new(), Vec::new())),
            },
        )
    }
}

impl Told {
    /// Adds what the disks lack of the logs that were signed. Where a disk is away that may have it, says on standard error that it
    /// cannot be compared, which is what the exit status tells.
    pub fn compare(&mut self, local: &Local, logs: &Chain) -> ExitStatus {
        let remembered = local.state().map_or(Ok(None), |state| {
            let of_state = (state.folder(), state.state_key());
            log::lacking(of_state, &local.store(), &local.disks, logs)
        });
        let named = logs.lacks(&local.disks);
        let (others, mut status) = (local.others(), ExitStatus::Done);
        let mut unsure = |why: &str| {
            eprintln!(
                "hearthkeep: the signed log cannot be compared with all that was signed {why}"
            );
            status = ExitStatus::Failed;
        };
        let mut lacks = Vec::new();
        for (found, of) in [
            (
                remembered.map(Vec::from_iter),
                "log.sealed in the state folder",
            ),
            (named, layout::LOG),
        ] {
            match found {
                Ok(found) => lacks.extend(found),
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    let what = format!("it cannot be used: {error}");
                    self.flaws.push(LogFinding::of_store(of.to_owned(), what));
                }
                Err(error) => unsure(&format!("({of}: {error})")),
            }
        }
        for lack in lacks {
            let Lack { signed, there, .. } = lack;
            match &others {
                Some(others) if !lack.is_forked => unsure(&format!(
                    "while {others}: it had {signed} entries, and the disks that are here have {there} of them"
                )),
                _ => {
                    let path = Path::new(layout::LOG).join(lack.log.to_string());
                    let path = path.display().to_string();
                    self.flaws
                        .push(LogFinding::of_store(path, lack.to_string()));
                }
            }
        }
        status
    }
}
