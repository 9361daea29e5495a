//! The disks that carry the log: which of them have all of it, and how the others get what they lack.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hearthkeep_format::log::LogKey;
use hearthkeep_format::merkle;
use hearthkeep_format::{DiskId, LogId, StoreId};

use super::files::{self, End, LogFiles, NODE_LEN};
use super::remains::Remains;
use super::sound::mend_tree;
use crate::disk::Disk;
use crate::store::repair::move_aside;

/// A mounted disk, as far as the log needs it.
#[derive(Clone)]
pub(in crate::store) struct LogDisk {
    pub id: DiskId,
    pub path: PathBuf,
    pub disk: Arc<dyn Disk>,
}

/// The log that is written to.
pub(super) struct Current<'a> {
    pub key: LogKey,
    pub note: &'a str,
    pub end: &'a End,
}

/// How far a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has not been looked at.
    Unknown,
    /// It has all of the log.
    Whole,
    /// It failed; it is tried again at this monotonic time, us.
    Failed(u64),
    /// It does not have all of the log, and no other disk is there to give it what it lacks.
    Lacks,
}

struct Seat {
    disk: LogDisk,
    state: State,
    /// Logs before the current one that it may lack.
    older: Vec<LogId>,
}

/// A copy that is being made.
struct Follow {
    log: LogId,
    from: LogDisk,
    to: LogDisk,
    end: End,
    note: String,
}

/// What a look at a disk leads to.
enum Looked {
    /// It has all.
    Whole,
    /// It gets the rest.
    Behind,
    /// It has a log that is signed with the same key and is another one.
    Forked,
}

/// All disks that are there.
#[derive(Default)]
pub(super) struct Seats {
    seats: Vec<Seat>,
    follow: Option<Follow>,
}

/// What a step came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is nothing to do before this monotonic time, us.
    Idle(u64),
    /// There may be more to do.
    More,
    /// A disk has come whose log forks from this one: nothing more may be signed with this key.
    Forked(PathBuf),
    /// None of the disks that are there has all that was published.
    Lost,
}

impl Seats {
    /// Takes note of which disks are there. `older` are the logs that each must carry besides the current one.
    pub fn renew(&mut self, disks: Vec<LogDisk>, older: &[LogId]) {
        let is_there = |seat: &Seat| {
            let same = |disk: &LogDisk| {
                disk.id == seat.disk.id && Arc::ptr_eq(&disk.disk, &seat.disk.disk)
            };
            disks.iter().any(same)
        };
        self.seats.retain(is_there);
        for disk in disks {
            if self.seats.iter().all(|seat| seat.disk.id != disk.id) {
                self.seats.push(Seat {
                    disk,
                    state: State::Unknown,
                    older: older.to_vec(),
                });
            }
        }
    }

    /// Begins a log on all disks; those that refuse are tried again later.
    pub fn begin(&mut self, key: &LogKey, retry_us: u64) {
        self.follow = None;
        for seat in &mut self.seats {
            seat.state = match files::begin(&*seat.disk.disk, key) {
                Ok(()) => State::Whole,
                Err(error) => seat.failed(&error, retry_us),
            };
        }
    }

    /// Says that this disk has all of the log that is gone on with, cut to its end.
    pub fn lead(&mut self, leader: DiskId) {
        for seat in self.seats.iter_mut().filter(|s| s.disk.id == leader) {
            seat.state = State::Whole;
        }
    }

    /// Does something on each disk that has all of the log. Returns how many it was done on, and why not on another.
    pub fn on_whole(
        &mut self,
        retry_us: u64,
        mut act: impl FnMut(&dyn Disk) -> io::Result<()>,
    ) -> (usize, Option<String>) {
        let (mut done, mut failure) = (0, None);
        for seat in self.seats.iter_mut().filter(|s| s.state == State::Whole) {
            match act(&*seat.disk.disk) {
                Ok(()) => done += 1,
                Err(error) => {
                    failure = Some(format!("{}: {error}", seat.disk.path.display()));
                    seat.state = seat.failed(&error, retry_us);
                }
            }
        }
        (done, failure)
    }

    /// Brings the disks a step nearer to having all logs. `retry_us` is when one that fails is tried again.
    pub fn step(
        &mut self,
        store: &StoreId,
        current: &Current<'_>,
        now_us: u64,
        retry_us: u64,
    ) -> Step {
        if let Some(follow) = self.follow.take() {
            return self.go_on(follow, retry_us);
        }
        for seat in &mut self.seats {
            if matches!(seat.state, State::Failed(until_us) if until_us <= now_us) {
                seat.state = State::Unknown;
            }
        }
        let Some(leader) = self.leader() else {
            return self.look_for_leader(current, retry_us);
        };
        let unknown = self.seats.iter().position(|s| s.state == State::Unknown);
        if let Some(index) = unknown {
            return self.examine(index, &leader, store, current, retry_us);
        }
        let lacking = |seat: &Seat| seat.state == State::Whole && !seat.older.is_empty();
        if let Some(index) = self.seats.iter().position(lacking) {
            let log = self.seats[index].older.pop();
            self.follow = log.and_then(|log| self.follow_older(index, store, log));
            return Step::More;
        }
        Step::Idle(self.next_retry_us())
    }

    /// The disks that have all of it.
    pub fn whole(&self) -> Vec<DiskId> {
        let whole = self.seats.iter().filter(|seat| seat.state == State::Whole);
        whole.map(|seat| seat.disk.id).collect()
    }

    fn leader(&self) -> Option<LogDisk> {
        let whole = self.seats.iter().find(|seat| seat.state == State::Whole);
        whole.map(|seat| seat.disk.clone())
    }

    /// Looks for a disk that has all that was published.
    fn look_for_leader(&mut self, current: &Current<'_>, retry_us: u64) -> Step {
        let log = current.key.log();
        let unknown = |seat: &&mut Seat| seat.state == State::Unknown;
        if let Some(seat) = self.seats.iter_mut().find(unknown) {
            let disk = &*seat.disk.disk;
            let holds = || match LogFiles::open_at(disk, current.key, current.note) {
                Ok(files) => files.holds(&files.checkpoint),
                Err(flaw) => flaw.of_copy().map(|()| false),
            };
            // Entries that its own checkpoint does not have may be there in memory only, since a sync failed.
            let vouches = || match LogFiles::open(disk, &current.key.store, &log) {
                Ok(own) => Ok(own.checkpoint.size >= current.end.tree.count()),
                Err(flaw) => flaw.of_copy().map(|()| false),
            };
            // It may be its tree alone that is lost.
            let has_all = || match holds()? {
                true => Ok(true),
                false if !vouches()? => Ok(false),
                false => match mend_tree(disk, &current.key.store, &log) {
                    Ok(is_mended) => Ok(is_mended && holds()?),
                    Err(flaw) => flaw.of_copy().map(|()| false),
                },
            };
            let cut = || {
                files::cut(disk, &log, current.end)?;
                files::put_checkpoint(disk, &log, current.note)
            };
            let looked = has_all().and_then(|has_all| has_all.then(cut).transpose());
            seat.state = match looked {
                Ok(Some(())) => State::Whole,
                Ok(None) => State::Lacks,
                Err(error) => seat.failed(&error, retry_us),
            };
            let found = seat.state == State::Whole;
            let lacking = self.seats.iter_mut().filter(|s| s.state == State::Lacks);
            if found {
                lacking.for_each(|seat| seat.state = State::Unknown);
            }
            return Step::More;
        }
        let all_lack = self.seats.iter().all(|seat| seat.state == State::Lacks);
        match all_lack && !self.seats.is_empty() {
            true => Step::Lost,
            false => Step::Idle(self.next_retry_us()),
        }
    }

    fn next_retry_us(&self) -> u64 {
        let retries = self.seats.iter().filter_map(|seat| match seat.state {
            State::Failed(until_us) => Some(until_us),
            _ => None,
        });
        retries.min().unwrap_or(u64::MAX)
    }

    fn examine(
        &mut self,
        index: usize,
        leader: &LogDisk,
        store: &StoreId,
        current: &Current<'_>,
        retry_us: u64,
    ) -> Step {
        let seat = &mut self.seats[index];
        let log = current.key.log();
        let looked = LogFiles::open(&*leader.disk, store, &log)
            .map_err(io::Error::other)
            .and_then(|lead| look(&*seat.disk.disk, store, &current.key, &lead));
        match looked {
            Ok(Looked::Whole) => seat.state = State::Whole,
            Ok(Looked::Behind) => {
                self.follow = Some(Follow {
                    log,
                    from: leader.clone(),
                    to: seat.disk.clone(),
                    end: current.end.clone(),
                    note: current.note.to_owned(),
                });
            }
            Ok(Looked::Forked) => {
                seat.state = State::Failed(u64::MAX);
                return Step::Forked(seat.disk.path.clone());
            }
            Err(error) => seat.state = seat.failed(&error, retry_us),
        }
        Step::More
    }

    /// What is to be copied of an older log to a disk that has less of it than another.
    fn follow_older(&self, index: usize, store: &StoreId, log: LogId) -> Option<Follow> {
        let open = |disk: &LogDisk| LogFiles::open(&*disk.disk, store, &log).ok();
        let sound = |files: &LogFiles| files.holds(&files.checkpoint).unwrap_or(false);
        let others = self.seats.iter().map(|seat| &seat.disk);
        let others = others.filter_map(|disk| Some((disk, open(disk).filter(sound)?)));
        let (from, lead) = others.max_by_key(|(_, files)| files.checkpoint.size)?;
        let to = &self.seats[index].disk;
        if from.id == to.id {
            return None;
        }
        match look(&*to.disk, store, &lead.key, &lead) {
            Ok(Looked::Behind) => Some(Follow {
                log,
                from: from.clone(),
                to: to.clone(),
                end: lead.end(lead.checkpoint.size).ok()?,
                note: lead.note,
            }),
            // What forks is left as it is: somebody will want to look at it.
            _ => None,
        }
    }

    fn go_on(&mut self, follow: Follow, retry_us: u64) -> Step {
        let copy = || -> io::Result<bool> {
            let done = files::copy_piece(
                &*follow.from.disk,
                &*follow.to.disk,
                &follow.log,
                &follow.end,
            )?;
            if done {
                files::put_checkpoint(&*follow.to.disk, &follow.log, &follow.note)?;
            }
            Ok(done)
        };
        match copy() {
            // It is looked at once more: the log may have grown meanwhile.
            Ok(true) => {
                tracing::info!(disk = %follow.to.path.display(), log = %follow.log, "a disk has the log again")
            }
            Ok(false) => self.follow = Some(follow),
            Err(error) => {
                let of_it = self.seats.iter_mut().filter(|s| s.disk.id == follow.to.id);
                of_it.for_each(|seat| seat.state = seat.failed(&error, retry_us));
            }
        }
        Step::More
    }
}

/// Gives a disk all that others have of the logs, at once and durably: what nobody else may do at the same time. What forks is left
/// as it is.
///
/// # Errors
/// When a copy cannot be read, or the disk does not take it.
pub fn give(others: &[Arc<dyn Disk>], to: &dyn Disk, store: &StoreId) -> io::Result<()> {
    let known = others
        .iter()
        .filter_map(|disk| files::logs_on(&**disk).ok());
    let logs: BTreeSet<LogId> = known.flatten().collect();
    for log in logs {
        let sound = |disk| {
            let opened = LogFiles::open(disk, store, &log).ok();
            opened.filter(|files| files.holds(&files.checkpoint).unwrap_or(false))
        };
        let found = others
            .iter()
            .filter_map(|disk| Some((disk, sound(&**disk)?)));
        let Some((from, lead)) = found.max_by_key(|(_, files)| files.checkpoint.size) else {
            continue;
        };
        if let Looked::Behind = look(to, store, &lead.key, &lead)? {
            let end = lead.end(lead.checkpoint.size)?;
            while !files::copy_piece(&**from, to, &log, &end)? {}
            files::put_checkpoint(to, &log, &lead.note)?;
        }
    }
    Ok(())
}

/// Whether something of the logs on a disk is on none of the others.
pub fn has_left_behind(disk: &dyn Disk, others: &[Arc<dyn Disk>], store: &StoreId) -> bool {
    let has_it = |other: &dyn Disk, own: &LogFiles| {
        let theirs = LogFiles::open(other, store, &own.key.log());
        // One that forks will never have it.
        theirs.is_ok_and(|theirs| {
            theirs.checkpoint.size >= own.checkpoint.size
                || matches!(own.begins_with(&theirs.checkpoint), Ok(false))
        })
    };
    let logs = files::logs_on(disk).unwrap_or_default();
    let mut opened = logs
        .iter()
        .filter_map(|log| LogFiles::open(disk, store, log).ok());
    opened.any(|own| !others.iter().any(|other| has_it(&**other, &own)))
}

impl Seat {
    fn failed(&self, error: &io::Error, retry_us: u64) -> State {
        let path = self.disk.path.display();
        tracing::warn!("the log's copy on {path} cannot be read or written: {error}");
        State::Failed(retry_us)
    }
}

/// Looks how a disk's copy of a log stands to the one that leads, and prepares it for what it lacks.
fn look(disk: &dyn Disk, store: &StoreId, key: &LogKey, lead: &LogFiles) -> io::Result<Looked> {
    let log = key.log();
    match LogFiles::open(disk, store, &log) {
        Ok(files) => {
            if files.holds(&files.checkpoint)? {
                if !lead.begins_with(&files.checkpoint)? {
                    return Ok(Looked::Forked);
                }
                files::cut(disk, &log, &files.end(files.checkpoint.size)?)?;
                if files.checkpoint == lead.checkpoint {
                    return Ok(Looked::Whole);
                }
                return Ok(Looked::Behind);
            }
        }
        // What the disk does not let be read may be all of it.
        Err(flaw) => flaw.of_copy()?,
    }
    // Nothing, or nothing that could be believed. What goes on behind the one that leads may be believed once more is known.
    let end = lead.end(lead.checkpoint.size)?;
    let nodes_end = merkle::hashes_of(end.tree.count()) * NODE_LEN as u64;
    if !Remains::on(0, disk, key)?.is_within(end.bytes, nodes_end)? {
        let aside = move_aside(disk, &files::folder(&log))?;
        let aside = aside.display();
        tracing::error!(
            "a disk has a damaged copy of the log that goes on behind the others: it is kept as {aside}"
        );
    }
    files::begin(disk, key)?;
    Ok(Looked::Behind)
}
