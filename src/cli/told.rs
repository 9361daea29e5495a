//! What the signed logs on the disks tell: of the footage that there should be, and of what else they are the home.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use hearthkeep_format::log::{Hold, Record, SegmentClosed};
use hearthkeep_format::{HoldId, SegmentId};
use serde::Serialize;

use super::gaps::Logged;
use super::local::Local;
use super::span::rfc3339;
use crate::store::layout;
use crate::store::log::{self, Chain, Flaw, FoundLog, LastSigned, Mendable, Reader, Remedy};

/// What to do about a damaged copy of which no other disk has a whole one.
const ALONE: &str = "no other disk that is here has a whole copy that goes on from it. Plug in those that are away and run `hearthkeep check` \
                     again; where there is none, copy this folder to another disk before it gets worse. Footage opens without the log, but what \
                     is held and what was removed is known only as far as the log can be read";

const ELSEWHERE: &str = ". Somebody removed it, unless the recorder deleted or moved it later than the log goes that is here, as that of a disk \
                         that was away. Give all disks of the store, or check it with its configuration";

const SIGNED: &str = "its entries are whole. Stop the recorder and run `hearthkeep repair`, which writes key and checkpoint again as the state \
                      folder remembers them";

const TREE: &str = "nothing of what it says is lost. Stop the recorder and run `hearthkeep repair`, which makes the tree again";

/// All that the logs say.
#[derive(Default)]
pub(super) struct Told {
    /// Segments that were closed and not deleted: where they lie by the last record of each, and what they were by the first.
    pub live: HashMap<SegmentId, SegmentClosed>,
    /// What is wrong with the logs.
    pub flaws: Vec<LogFinding>,
    /// Of those the last about each copy that is damaged: which of the disks, where on it, and the number of the flaw.
    damaged: BTreeMap<(usize, PathBuf), usize>,
    /// Entries that were read.
    pub entries: u64,
    /// The gaps that they tell of, by stream and beginning.
    pub gaps: Logged,
    /// Those of them that tell what the clock said.
    pub anchors: u64,
    /// Those that tell what people did to the store.
    pub audits: u64,
    /// The holds that stand.
    pub holds: BTreeMap<HoldId, Hold>,
}

/// What the signed log tells, or what is wrong with it.
#[derive(Serialize)]
pub(super) struct LogFinding {
    /// On which disk, where it is about a copy of the log.
    pub disk: Option<PathBuf>,
    pub path: String,
    pub what: String,
}

impl LogFinding {
    /// One that is about no single disk.
    pub fn of_store(path: String, what: String) -> Self {
        let disk = None;
        Self { disk, path, what }
    }
}

impl Told {
    /// Reads all logs from their beginning, and checks them against what was signed.
    pub fn read(local: &Local, logs: &Chain) -> Self {
        let mut told = Self::default();
        for (disk, path, flaw) in &logs.flaws {
            told.damage(local, *disk, path, flaw);
        }
        logs.readable().for_each(|log| told.take(local, log));
        // What the log is still to be told. Where that cannot be read, it is a finding of its own.
        let waiting = local
            .state()
            .and_then(|state| log::unlogged(state.folder(), state.state_key()).ok());
        let state = local.state();
        let state = state.map(|state| (state.folder(), state.state_key()));
        let on_disks = log::unlogged_on(&local.disks, &local.store(), state);
        let deleted = waiting.into_iter().flatten().chain(on_disks.deleted);
        deleted.for_each(|deleted| told.apply(Record::Deleted(deleted)));
        for (disk, path, why) in on_disks.unread {
            told.flaw(local, disk, &path, &why);
        }
        told
    }

    /// Reads all of them and their further copies too, whatever lies in them.
    pub fn verify(&mut self, local: &Local, logs: &Chain) {
        for (of, flaw) in logs.verify() {
            let path = path_of(of);
            match flaw {
                Flaw::Forked => self.flaw(local, of.disk, &path, &flaw),
                // Told already, when it was read for what it says.
                _ if self.damaged.contains_key(&(of.disk, path.clone())) => {}
                flaw => self.damage(local, of.disk, &path, &flaw),
            }
        }
    }

    /// Says of each damaged copy what to do, and returns those that can be made whole. To be called once, after all were
    /// verified.
    pub fn advise(&mut self, local: &Local, logs: &Chain) -> Vec<Mendable> {
        let damaged = std::mem::take(&mut self.damaged);
        if damaged.is_empty() {
            return Vec::new();
        }
        let mendable = logs.mendable(&local.disks, &local.store(), last_signed(local).as_ref());
        for ((disk, path), flaw) in damaged {
            let is_it = |one: &&Mendable| one.to == disk && one.path == path;
            let remedy = mendable.iter().find(is_it).map(|one| &one.remedy);
            let advice = match remedy {
                Some(Remedy::Tree) => TREE.to_owned(),
                Some(Remedy::Signed(_)) => SIGNED.to_owned(),
                Some(Remedy::Copy(from)) => format!(
                    "stop the recorder and run `hearthkeep repair`, which copies it from {}",
                    local.paths[*from].display()
                ),
                None => ALONE.to_owned(),
            };
            let what = &mut self.flaws[flaw].what;
            *what = format!("{what}: {advice}");
        }
        mendable
    }

    fn take(&mut self, local: &Local, log: &FoundLog) {
        let path = path_of(log);
        let mut reader = Reader::new(local.keys());
        loop {
            let read = match reader.next(&log.files) {
                Ok(read) if read.is_empty() => return,
                Ok(read) => read,
                Err(flaw) => return self.damage(local, log.disk, &path, &flaw),
            };
            for (index, stamped) in read {
                self.entries += 1;
                match stamped {
                    Ok(stamped) => self.apply(stamped.record),
                    Err(error) => {
                        let what = format_args!("entry {index}: {error}");
                        self.flaw(local, log.disk, &path, &what);
                    }
                }
            }
        }
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::SegmentClosed(closed) => {
                let live = self.live.entry(closed.segment);
                live.and_modify(|known| known.disk = closed.disk)
                    .or_insert(closed);
            }
            Record::Deleted(deleted) => {
                for deleted in deleted.segments {
                    self.live.remove(&deleted.segment);
                }
            }
            Record::Hold(hold) => {
                self.holds.insert(hold.id, hold);
            }
            Record::Unhold { id, .. } => {
                self.holds.remove(&id);
            }
            Record::Gap {
                stream,
                from_us,
                to_us,
                cause,
            } => {
                self.gaps.insert((stream, from_us), (to_us, cause.as_str()));
            }
            Record::ClockAnchor { .. } => self.anchors += 1,
            Record::Audit { .. } => self.audits += 1,
            _ => {}
        }
    }

    fn damage(&mut self, local: &Local, disk: usize, path: &Path, what: &Flaw) {
        self.flaw(local, disk, path, what);
        let number = self.flaws.len() - 1;
        self.damaged.insert((disk, path.to_owned()), number);
    }

    fn flaw(&mut self, local: &Local, disk: usize, path: &Path, what: &dyn std::fmt::Display) {
        self.flaws.push(LogFinding {
            disk: local.paths.get(disk).cloned(),
            path: path.display().to_string(),
            what: what.to_string(),
        });
    }
}

/// What the state folder remembers of the log; nothing of disks by themselves.
fn last_signed(local: &Local) -> Option<LastSigned> {
    let state = local.state()?;
    LastSigned::remembered(state.folder(), state.state_key(), &local.store())
}

fn path_of(log: &FoundLog) -> PathBuf {
    Path::new(layout::LOG).join(log.files.checkpoint.log.to_string())
}

/// Of the segments that there should be, those that are on no disk although the one is here that they should be on. `there` was
/// found after the log was read. `away` are those that the catalog has on disks that are not here: footage may have been moved before
/// the log was told of that. It is `None` where nobody knows what is on a disk that is away.
pub(super) fn removed(
    local: &Local,
    mut live: HashMap<SegmentId, SegmentClosed>,
    there: &HashSet<SegmentId>,
    away: Option<&HashSet<SegmentId>>,
) -> Vec<LogFinding> {
    let Some(away) = away else {
        return Vec::new();
    };
    live.retain(|segment, _| !there.contains(segment) && !away.contains(segment));
    let here: HashSet<_> = local.disk_ids().into_iter().collect();
    live.retain(|_, closed| here.contains(&closed.disk));
    // It may have been moved from a disk that was looked at later to one that was before.
    live.retain(|_, closed| !is_anywhere(local, closed));
    if !live.is_empty() {
        // The recorder may have deleted some meanwhile: it tells the log first.
        let now = Told::read(local, &local.logs()).live;
        live.retain(|segment, _| now.contains_key(segment));
    }
    let mut gone: Vec<_> = live.into_values().collect();
    gone.sort_by_key(|closed| (closed.stream, closed.sequence));
    // Disks by themselves may have an older log than the store.
    let is_alone = local.state().is_none();
    gone.iter()
        .map(|closed| finding(closed, is_alone))
        .collect()
}

fn is_anywhere(local: &Local, closed: &SegmentClosed) -> bool {
    let path = layout::segment_path(&closed.stream, &closed.epoch, &closed.segment);
    local.disks.iter().any(|disk| disk.open_read(&path).is_ok())
}

fn finding(closed: &SegmentClosed, is_alone: bool) -> LogFinding {
    let end_us = closed.start_us.saturating_add_unsigned(closed.duration_us);
    let path = layout::segment_path(&closed.stream, &closed.epoch, &closed.segment);
    LogFinding {
        disk: None,
        path: path.display().to_string(),
        what: format!(
            "{}: the signed log has it, with footage from {} to {}, and says nothing of its deletion{}",
            if is_alone {
                "is missing"
            } else {
                "was removed"
            },
            rfc3339(closed.start_us),
            rfc3339(end_us),
            if is_alone { ELSEWHERE } else { "" }
        ),
    }
}
