//! What a viewer that keeps the newest checkpoint it has seen says of the logs that it is shown now (`docs/format.md`, 9.6).
//!
//! Proofs come from wherever the log is, and that may take its time: an [`Examination`] says what it has to know next, and is told.

use super::{BeginCause, Checkpoint, Entry, LogKey, Record, Verdict, judge};
use crate::merkle::{self, Hash};
use crate::{LogId, MetadataKey};

/// A log's key and newest checkpoint, both as texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// As [`LogKey::to_text`] writes it.
    pub key: String,
    /// As [`Checkpoint::sign`] writes it.
    pub note: String,
}

/// What an examination has to know next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The proof of consistency between two sizes of a log.
    Consistency {
        /// The log.
        log: LogId,
        /// The smaller size.
        from: u64,
        /// The larger one.
        to: u64,
    },
    /// Entry 0 of a log, and the proof that it is in the tree of this size.
    First {
        /// The log.
        log: LogId,
        /// The size.
        size: u64,
    },
    /// Nothing more.
    Done(Outcome),
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There is no log, and there was none.
    None,
    /// All is as it should be: this is to be kept from now on. Where new logs have begun since, why each did.
    Keep(Head, Vec<BeginCause>),
    /// Something is wrong: what was kept stays.
    Complain(Complaint),
}

/// What is wrong with a log that was seen before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Complaint {
    /// No log is shown.
    #[error("the signed log is gone: it had {seen} entries when it was last seen from here")]
    Gone {
        /// How many entries it had.
        seen: u64,
    },
    /// What is shown is not signed as it must be.
    #[error("the signed log cannot be believed: {0}")]
    Unsigned(crate::Error),
    /// It is shorter than it was.
    #[error(
        "the signed log was rolled back: it had {seen} entries when it was last seen from here, and now it has {now}. Somebody put back an older copy of \
         the disks or of the whole box; footage since then may be missing"
    )]
    RolledBack {
        /// How many entries it had.
        seen: u64,
        /// How many it has.
        now: u64,
    },
    /// It is another one under the same key.
    #[error(
        "the signed log was forked: what it says now is not what it said when it was last seen from here. Somebody who has the box's state folder has written \
         another history"
    )]
    Forked,
    /// Another log is shown, and it does not name what was seen.
    #[error(
        "another signed log is shown than the one that was last seen from here, and it does not go on from that one: this is another box, or somebody has \
         replaced its history"
    )]
    Replaced,
}

/// A log whose key and checkpoint were verified.
struct Verified {
    head: Head,
    key: LogKey,
    checkpoint: Checkpoint,
}

impl Verified {
    fn of(head: &Head) -> crate::Result<Self> {
        let key = LogKey::from_text(&head.key)?;
        Ok(Self {
            checkpoint: Checkpoint::verify(&head.note, &key)?,
            key,
            head: head.clone(),
        })
    }
}

/// The examination of what is shown, against what was kept.
pub struct Examination {
    seen: Option<Verified>,
    /// Those that are shown from the one that was seen on, the oldest first.
    shown: Vec<Verified>,
    /// Which of those follows from the one before; the first is the one that was seen.
    at: usize,
    /// The checkpoint that the log after the one that was seen names.
    named: Option<Checkpoint>,
    causes: Vec<BeginCause>,
}

impl Examination {
    /// Begins. `kept` is what was kept the last time, `shown` all logs that are shown now, the oldest first.
    pub fn begin(kept: Option<&Head>, shown: &[Head]) -> (Self, Ask) {
        let mut examination = Self {
            seen: None,
            shown: Vec::new(),
            at: 0,
            named: None,
            causes: Vec::new(),
        };
        let ask = match examination.take(kept, shown) {
            Ok(ask) => ask,
            Err(error) => complain(Complaint::Unsigned(error)),
        };
        (examination, ask)
    }

    fn take(&mut self, kept: Option<&Head>, shown: &[Head]) -> crate::Result<Ask> {
        let seen = kept.map(Verified::of).transpose()?;
        let Some(newest) = shown.last() else {
            return Ok(match seen {
                Some(seen) => complain(Complaint::Gone {
                    seen: seen.checkpoint.size,
                }),
                None => Ask::Done(Outcome::None),
            });
        };
        let Some(seen) = seen else {
            let newest = Verified::of(newest)?;
            return Ok(Ask::Done(Outcome::Keep(newest.head, Vec::new())));
        };
        let shown = shown.iter().map(Verified::of);
        let mut shown = shown.collect::<crate::Result<Vec<_>>>()?;
        let same = |log: &Verified| log.checkpoint.log == seen.checkpoint.log;
        let Some(at) = shown.iter().position(same) else {
            return Ok(complain(Complaint::Replaced));
        };
        self.shown = shown.split_off(at);
        let ask = match self.shown.len() {
            1 => grown(&seen.checkpoint, &self.shown[0].checkpoint),
            _ => self.next_first(),
        };
        self.seen = Some(seen);
        Ok(ask.unwrap_or_else(|| self.keep()))
    }

    /// Tells what was asked for: the proof's hashes, and entry 0 where that was asked for. `m` gives metadata keys.
    pub fn tell(
        &mut self,
        first: &[u8],
        hashes: &[Hash],
        m: &dyn Fn(u32) -> Option<MetadataKey>,
    ) -> Ask {
        match self.at + 1 < self.shown.len() {
            true => self.take_first(first, hashes, m),
            false => self.take_consistency(hashes),
        }
    }

    fn take_first(
        &mut self,
        first: &[u8],
        hashes: &[Hash],
        m: &dyn Fn(u32) -> Option<MetadataKey>,
    ) -> Ask {
        let (before, log) = (&self.shown[self.at], &self.shown[self.at + 1]);
        let Some((cause, previous)) = begun(log, first, hashes, m) else {
            return complain(Complaint::Replaced);
        };
        match Checkpoint::verify(&previous, &before.key) {
            Ok(named) if self.at == 0 => self.named = Some(named),
            Ok(_) => {}
            Err(_) => return complain(Complaint::Replaced),
        }
        self.causes.push(cause);
        self.at += 1;
        if self.at + 1 < self.shown.len() {
            return self.next_first().unwrap_or_else(|| self.keep());
        }
        let ask = match (&self.seen, &self.named) {
            (Some(seen), Some(named)) => grown(&seen.checkpoint, named),
            _ => None,
        };
        ask.unwrap_or_else(|| self.keep())
    }

    fn take_consistency(&self, hashes: &[Hash]) -> Ask {
        let (Some(seen), Some(first)) = (&self.seen, self.shown.first()) else {
            return complain(Complaint::Replaced);
        };
        let now = self.named.unwrap_or(first.checkpoint);
        match judge(&seen.checkpoint, &now, hashes) {
            Verdict::Same | Verdict::Grown => self.keep(),
            _ => complain(Complaint::Forked),
        }
    }

    /// Asks for the beginning of the log after the one at hand.
    fn next_first(&self) -> Option<Ask> {
        let checkpoint = &self.shown.get(self.at + 1)?.checkpoint;
        Some(Ask::First {
            log: checkpoint.log,
            size: checkpoint.size,
        })
    }

    fn keep(&self) -> Ask {
        match self.shown.last() {
            Some(newest) => {
                let (head, causes) = (newest.head.clone(), self.causes.clone());
                Ask::Done(Outcome::Keep(head, causes))
            }
            None => Ask::Done(Outcome::None),
        }
    }
}

fn complain(complaint: Complaint) -> Ask {
    Ask::Done(Outcome::Complain(complaint))
}

/// What is to be asked or said of a log that was seen, and is shown now; nothing where it is the same.
fn grown(seen: &Checkpoint, now: &Checkpoint) -> Option<Ask> {
    if now.size < seen.size {
        let (seen, now) = (seen.size, now.size);
        return Some(complain(Complaint::RolledBack { seen, now }));
    }
    if now.size > seen.size {
        return Some(Ask::Consistency {
            log: seen.log,
            from: seen.size,
            to: now.size,
        });
    }
    (now != seen).then(|| complain(Complaint::Forked))
}

/// Why a log began, and the checkpoint that it names; nothing where its first entry is not what it must be.
fn begun(
    log: &Verified,
    first: &[u8],
    hashes: &[Hash],
    m: &dyn Fn(u32) -> Option<MetadataKey>,
) -> Option<(BeginCause, String)> {
    let entry = Entry::parse(first).ok()?;
    let Checkpoint { size, root, .. } = &log.checkpoint;
    merkle::verify_inclusion(&entry.leaf(), 0, *size, hashes, root).ok()?;
    let m = m(entry.generation)?;
    let stamped = entry.open(&log.checkpoint.log, 0, &m).ok()?;
    match stamped.record {
        Record::Begun {
            store,
            key,
            cause,
            previous,
        } if store == log.key.store && key == log.key.key => Some((cause, previous)),
        _ => None,
    }
}
