//! Moves footage between disks: off one that is drained, and to the cold ones when it is old enough. Nothing is opened for it.
//!
//! Of a segment, step by step: it is copied beside its new place, under a name that is no segment's; synced, read again and compared
//! by its hash; renamed, and the folders synced; then the log says that it lies there, and then the catalog, both durably; and only
//! then does the old file go. So a crash leaves one copy or two, never none: a copy that was not finished is removed, and of two that are
//! the same one is ([`copies`](super::copies)), when the epoch is compared at the next start, which also tells the log where it found
//! what. While the log cannot be written nothing is moved: who reads it later would look for footage where it is no more.
//!
//! It works in small pieces and leaves the disks to recording in between.

use std::io::{self, IoSlice};
use std::sync::Arc;

use hearthkeep_format::DiskId;
use sha2::{Digest, Sha256};

use super::age::Now;
use super::catalog::Entry;
use super::copies::PIECE_BYTES;
use super::inspect::Place;
use super::keeper::{Backlog, EpochOn};
use super::leftovers::{self, Leftovers};
use super::log::Keeping;
use super::mount::MountedDisk;
use super::moves::{self, Move, Moves, NOT_RID};
use super::recovery::Report;
use super::{Shared, layout};
use crate::disk::{DiskFile, is_no_answer};
use crate::limits::{MOVE_BYTES_PER_S_MAX, MOVE_REST, MOVE_UNSYNCED_BYTES_MAX};

/// Until it is looked again whether there is old footage to move.
const IDLE_US: u64 = 60_000_000;
/// The same while a disk is drained, on which a segment may still be open, and where there is a cold disk, before which a hot one may fill.
const DRAINING_US: u64 = 5_000_000;
/// While the writer of a disk that is moved from or to is behind, and where there is no room.
const PAUSE_US: u64 = 1_000_000;

/// The work, a turn at a time.
pub(super) struct Mover {
    at_us: u64,
    moves: Moves,
    copying: Option<Copying>,
    /// Files that were moved, and that their disk did not let go of in time; and copies that it did not give their name in time.
    leftovers: Leftovers,
    /// What has changed its place since it was last asked.
    moved: Vec<Moved>,
}

/// A segment that has changed its place.
pub(super) struct Moved {
    /// The number of the disk on which it was.
    pub from: u16,
    /// The number of the disk on which it is.
    pub to: u16,
    /// Its bytes.
    pub bytes: u64,
}

/// A segment on its way.
struct Copying {
    entry: Entry,
    from: Arc<MountedDisk>,
    to: Arc<MountedDisk>,
    source: Box<dyn DiskFile>,
    target: Box<dyn DiskFile>,
    bytes: u64,
    /// Bytes copied or, once that is done, read again.
    at: u64,
    unsynced: u64,
    hash: Sha256,
    /// The hash of what was copied, once all is.
    copied: Option<[u8; 32]>,
    /// Whether the copy has a segment's name: it waits for the log.
    is_named: bool,
}

/// Which of the two disks failed.
enum Failed {
    Source(io::Error),
    Target(io::Error),
}

impl Mover {
    pub(super) fn new(now_us: u64) -> Self {
        Self {
            at_us: now_us,
            moves: Moves::default(),
            copying: None,
            leftovers: Leftovers::default(),
            moved: Vec::new(),
        }
    }

    /// When it wants its next turn, by monotonic time in us.
    pub(super) fn due_us(&self) -> u64 {
        self.at_us
    }

    /// Looks at once whether there is anything to move.
    pub(super) fn hurry(&mut self) {
        self.at_us = 0;
    }

    /// Takes a piece of a segment further. `now` is the time as retention believes it. Returns what is elsewhere now.
    pub(super) fn turn(
        &mut self,
        shared: &Shared,
        now: Option<Now>,
        log: Option<&mut Keeping>,
    ) -> Vec<Moved> {
        let begun_us = shared.clock.monotonic_us();
        let waits = |copying: &Copying| copying.from.keeps_waiting() || copying.to.keeps_waiting();
        let rest_us = match self.copying.as_ref().is_some_and(waits) {
            true => PAUSE_US,
            false => self.step(shared, now, log),
        };
        let took_us = shared.clock.monotonic_us().saturating_sub(begun_us);
        let rest_us = rest_us.max(took_us.saturating_mul(MOVE_REST));
        self.at_us = begun_us.saturating_add(took_us + rest_us);
        std::mem::take(&mut self.moved)
    }

    /// The epochs in which something lies that was moved, and is the only copy by now: they are to be compared with the catalog.
    pub(super) fn take_found(&mut self) -> Backlog {
        self.leftovers.take_found()
    }

    /// To be told before an epoch of a disk is compared with the catalog: a copy on its way there is begun anew after that. Comparing takes
    /// it for what a crash has left, finished or not: it removes what has no name yet, and of two that are the same one.
    pub(super) fn leave_to_comparing(&mut self, (number, stream, epoch): &EpochOn) {
        self.copying.take_if(|copying| {
            copying.to.number() == *number
                && (copying.entry.stream, copying.entry.epoch) == (*stream, *epoch)
        });
    }

    /// Returns for how long to rest at least, in us.
    fn step(&mut self, shared: &Shared, now: Option<Now>, log: Option<&mut Keeping>) -> u64 {
        let Some(mut copying) = self.copying.take() else {
            for disk in self.leftovers.turn(shared) {
                self.tell_in_hand(shared, disk);
            }
            let rest_us = self.begin_next(shared, now);
            let now_us = shared.clock.monotonic_us();
            let left_us = self.leftovers.wait_us(now_us, DRAINING_US);
            return rest_us.min(left_us.unwrap_or(u64::MAX));
        };
        if !copying.is_wanted(shared) {
            match copying.is_named {
                true => self.leave(shared, &copying),
                false => drop(copying.give_up()),
            }
            return 0;
        }
        if copying.is_named {
            return self.hand_over(shared, copying, log);
        }
        let step = match copying.copied {
            None => copying.copy(),
            Some(_) if copying.at < copying.bytes => copying.read_again(),
            Some(copied) => return self.finish(shared, copying, copied, log),
        };
        match step {
            Ok(bytes) => {
                self.copying = Some(copying);
                bytes * 1_000_000 / MOVE_BYTES_PER_S_MAX
            }
            Err(failed) => self.fail(shared, copying, failed),
        }
    }

    fn begin_next(&mut self, shared: &Shared, now: Option<Now>) -> u64 {
        let leftovers = &self.leftovers;
        let refuses = |disk| leftovers.is_refused_by(disk);
        match self.moves.next(shared, now, refuses) {
            Move::Nothing if shared.slots.drains().is_empty() && !moves::may_fill(shared) => {
                IDLE_US
            }
            Move::Nothing => DRAINING_US,
            Move::NoRoom => PAUSE_US,
            Move::Segment(entry, from, to) => match Copying::begin(&entry, &from, &to) {
                Ok(copying) => {
                    self.copying = Some(copying);
                    0
                }
                Err(failed) => self.failed(shared, &entry, (&from, &to), failed),
            },
            Move::Torn(entry, from) => {
                let moves = &mut self.moves;
                mend(shared, &entry, &from, moves);
                0
            }
        }
    }

    /// The copy becomes the segment.
    fn finish(
        &mut self,
        shared: &Shared,
        mut copying: Copying,
        copied: [u8; 32],
        log: Option<&mut Keeping>,
    ) -> u64 {
        let digest: [u8; 32] = copying.hash.clone().finalize().into();
        if digest != copied {
            let error = io::Error::other("what was written is read back otherwise");
            return self.fail(shared, copying, Failed::Target(error));
        }
        if let Err(error) = copying.rename() {
            if is_no_answer(&error) {
                // It may get its name yet, and would outlive what it was copied from.
                self.leftovers.push(Place::of(&copying.entry), &copying.to);
            }
            return self.fail(shared, copying, Failed::Target(error));
        }
        copying.is_named = true;
        copying.to.is_clean(shared.clock.monotonic_us());
        self.hand_over(shared, copying, log)
    }

    /// The log names the new place, then the catalog, and then the old file goes.
    fn hand_over(
        &mut self,
        shared: &Shared,
        copying: Copying,
        mut log: Option<&mut Keeping>,
    ) -> u64 {
        let Copying {
            entry, from, to, ..
        } = &copying;
        let moved = Entry {
            disk: to.number(),
            ..*entry
        };
        if log.as_deref_mut().is_some_and(|log| !log.moved(&moved, to)) {
            self.moves.waits_for_log(shared, from.id);
            self.copying = Some(copying);
            return PAUSE_US;
        }
        self.moves.is_logged(shared, from.id);
        self.moves.in_hand(shared, from.id, true);
        let catalog = &shared.catalog;
        match catalog.insert(&[moved]).and_then(|()| catalog.flush()) {
            Ok(()) => self.let_go(shared, &copying),
            Err(error) => {
                // Both copies stay; the next start sees to them.
                tracing::error!("{}", super::Error::Catalog(error));
                self.moves.pass_over(entry);
                // The log says what the catalog does.
                log.into_iter().for_each(|log| log.closed(&[*entry]));
            }
        }
        self.tell_in_hand(shared, from.id);
        0
    }

    /// A copy that has its name is not wanted any more. What was deleted meanwhile goes here, too. Else it goes once it is known to be the
    /// same as what it was copied from: where that is away, it is the only one that is here.
    fn leave(&mut self, shared: &Shared, copying: &Copying) {
        let (entry, place) = (&copying.entry, Place::of(&copying.entry));
        let known = shared.catalog.find(&entry.stream, &entry.segment);
        let is_deleted = matches!(known, Ok(None)) && !shared.log.has(entry);
        let removed = is_deleted.then(|| copying.to.patient().remove_file(&place.path()));
        if !matches!(removed, Some(Ok(()))) {
            self.leftovers.push(place, &copying.to);
        }
    }

    /// A disk is empty once its files are gone, too; but for those that it does not let go of.
    fn tell_in_hand(&self, shared: &Shared, from: DiskId) {
        let (has_left, is_refused) = (
            self.leftovers.has_of(from),
            self.leftovers.is_refused_by(from),
        );
        if !has_left {
            self.moves.is_rid(shared, from);
        }
        self.moves.in_hand(shared, from, has_left && !is_refused);
    }

    /// What was moved goes from where it was.
    fn let_go(&mut self, shared: &Shared, copying: &Copying) {
        let Copying {
            entry, from, to, ..
        } = copying;
        self.moved.push(Moved {
            from: from.number(),
            to: to.number(),
            bytes: u64::from(entry.bytes),
        });
        let path = layout::segment_path(&entry.stream, &entry.epoch, &entry.segment);
        match from.patient().remove_file(&path) {
            Err(error) if is_no_answer(&error) => {
                tracing::warn!(path = %from.path.join(path).display(), "what was moved is deleted here later: {error}");
                self.leftovers.push(Place::of(entry), from);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let sentence = format!("{NOT_RID}: {error}");
                tracing::error!(path = %from.path.join(path).display(), "{sentence}");
                self.moves.trouble(shared, from.id, sentence);
                let now_us = shared.clock.monotonic_us();
                self.leftovers.refused(Place::of(entry), from, now_us);
            }
            _ => leftovers::tidy(shared, &Place::of(entry), from),
        }
        self.moves.moved(shared, entry, from.id);
    }

    fn fail(&mut self, shared: &Shared, copying: Copying, failed: Failed) -> u64 {
        let (entry, from, to) = copying.give_up();
        self.failed(shared, &entry, (&from, &to), failed)
    }

    fn failed(
        &mut self,
        shared: &Shared,
        entry: &Entry,
        (from, to): (&Arc<MountedDisk>, &Arc<MountedDisk>),
        failed: Failed,
    ) -> u64 {
        let path = layout::segment_path(&entry.stream, &entry.epoch, &entry.segment);
        match failed {
            Failed::Source(error) if is_no_answer(&error) => {
                tracing::warn!(path = %from.path.display(), "footage is moved from there later: {error}");
            }
            Failed::Source(error) => {
                let path = from.path.join(path);
                let sentence = format!("{} cannot be read: {error}", path.display());
                tracing::error!("not moved: {sentence}");
                self.moves.trouble(shared, from.id, sentence);
                self.moves.pass_over(entry);
            }
            Failed::Target(error) => {
                tracing::error!(path = %to.path.display(), "footage could not be moved there: {error}");
                to.failed(&error, shared.clock.monotonic_us());
            }
        }
        PAUSE_US
    }
}

/// Gives a segment its tail that a failed write has left without, so that it can be moved.
fn mend(shared: &Shared, entry: &Entry, from: &MountedDisk, moves: &mut Moves) {
    let place = Place::of(entry);
    let elsewhere = |number| shared.other(number);
    let patient = from.patient();
    let recovery = shared.recovery(from.number(), &*patient, &elsewhere);
    let catalog = &shared.catalog;
    let mut report = Report::default();
    let mended = match recovery.settle_and_mend(&place, &mut report) {
        // It is on the next list again.
        _ if report.unanswered > 0 => return,
        Some(mended) if !mended.torn => catalog.insert(&[mended]).and_then(|()| catalog.flush()),
        _ => {
            moves.pass_over(entry);
            Ok(())
        }
    };
    if let Err(error) = mended {
        tracing::error!("{}", super::Error::Catalog(error));
        moves.pass_over(entry);
    }
}

impl Copying {
    fn begin(
        entry: &Entry,
        from: &Arc<MountedDisk>,
        to: &Arc<MountedDisk>,
    ) -> Result<Self, Failed> {
        let path = layout::segment_path(&entry.stream, &entry.epoch, &entry.segment);
        let source = from.patient().open_read(&path).map_err(Failed::Source)?;
        let bytes = source.size().map_err(Failed::Source)?;
        let beside = layout::copying_path(&entry.stream, &entry.epoch, &entry.segment);
        let disk = to.patient();
        let make = || {
            let folder = layout::epoch_folder(&entry.stream, &entry.epoch);
            layout::create_folders(&*disk, &folder)?;
            // Their names too, each time: a folder goes with the last segment in it, and is a new one when it comes back.
            let mut above = folder.ancestors().skip(1);
            above.try_for_each(|above| disk.sync_folder(above))?;
            match disk.remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            disk.create_new(&beside)
        };
        Ok(Self {
            entry: *entry,
            from: Arc::clone(from),
            to: Arc::clone(to),
            source,
            target: make().map_err(Failed::Target)?,
            bytes,
            at: 0,
            unsynced: 0,
            hash: Sha256::new(),
            copied: None,
            is_named: false,
        })
    }

    /// Whether both disks are still there, and the segment is still where it was: retention may have let it go.
    fn is_wanted(&self, shared: &Shared) -> bool {
        let is_there = |disk: &Arc<MountedDisk>| {
            let now = shared.slots.disk(disk.number());
            now.is_some_and(|now| Arc::ptr_eq(&now, disk))
        };
        let known = shared.catalog.find(&self.entry.stream, &self.entry.segment);
        is_there(&self.from)
            && is_there(&self.to)
            && known.is_ok_and(|known| known == Some(self.entry))
    }

    /// Copies a piece; returns its bytes.
    fn copy(&mut self) -> Result<u64, Failed> {
        let mut piece = vec![0; PIECE_BYTES];
        let read = self.source.read_at(self.at, &mut piece);
        let read = read.map_err(Failed::Source)?;
        let piece = &piece[..read];
        let appended = self.target.append(&mut [IoSlice::new(piece)]);
        appended.map_err(Failed::Target)?;
        self.hash.update(piece);
        self.at += read as u64;
        self.unsynced += read as u64;
        let all = read == 0 || self.at >= self.bytes;
        if all || self.unsynced >= MOVE_UNSYNCED_BYTES_MAX {
            self.target.sync_data().map_err(Failed::Target)?;
            self.unsynced = 0;
        }
        if all {
            // It is read again: from the disk itself, as far as the machine can do that.
            let _ = self.target.forget();
            self.copied = Some(std::mem::take(&mut self.hash).finalize().into());
            (self.bytes, self.at) = (self.at, 0);
        }
        Ok(read as u64)
    }

    /// Reads a piece of the copy; returns its bytes.
    fn read_again(&mut self) -> Result<u64, Failed> {
        let mut piece = vec![0; PIECE_BYTES];
        let read = self.target.read_at(self.at, &mut piece);
        let read = read.map_err(Failed::Target)?;
        if read == 0 {
            return Err(Failed::Target(io::ErrorKind::UnexpectedEof.into()));
        }
        self.hash.update(&piece[..read]);
        self.at += read as u64;
        Ok(read as u64)
    }

    /// Gives the copy its name, durably. Where that fails there is no copy: it would outlive what it was copied from.
    fn rename(&self) -> io::Result<()> {
        let Entry {
            stream,
            epoch,
            segment,
            ..
        } = &self.entry;
        let (disk, path) = (
            self.to.patient(),
            layout::segment_path(stream, epoch, segment),
        );
        disk.rename(&layout::copying_path(stream, epoch, segment), &path)?;
        let synced = disk.sync_folder(&layout::epoch_folder(stream, epoch));
        synced.inspect_err(|_| _ = disk.remove_file(&path))
    }

    /// Removes what there is of the copy. What cannot be removed is, at a later start.
    fn give_up(self) -> (Entry, Arc<MountedDisk>, Arc<MountedDisk>) {
        let entry = self.entry;
        let beside = layout::copying_path(&entry.stream, &entry.epoch, &entry.segment);
        let _ = self.to.patient().remove_file(&beside);
        (entry, self.from, self.to)
    }
}
