//! What is asked and commanded of the disks while the store is open.

use std::path::Path;

use hearthkeep_format::DiskId;

use super::catalog::Catalog;
use super::health::DiskFault;
use super::lock::Lock;
use super::mount::{AbsentDisk, DiskStatus, DiskUse};
use super::notes::Notes;
use super::scrub::{Scrub, ScrubPhase};
use super::slots::{Drain, Place, Slot};
use super::{Error, Options, Result, Shared, Store, log, prepare};
use crate::config;

/// The footage on a disk, as far as the catalog knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OnDisk {
    /// Segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Wall time at which the oldest starts, us.
    pub oldest_us: Option<i64>,
}

impl Store {
    /// How the disks are, in the order of the configuration.
    pub fn disks(&self) -> Vec<DiskStatus> {
        let mut statuses = self.shared.statuses();
        if self.scrub().as_ref().is_some_and(Scrub::has_ended) {
            let told = statuses.iter_mut().filter_map(|disk| disk.scrub.as_mut());
            told.for_each(|scrub| scrub.phase = ScrubPhase::Failed);
        }
        statuses
    }

    /// How the disks of a store are that nobody works with now.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn disks_at_rest(options: Options, _lock: &Lock) -> Result<Vec<DiskStatus>> {
        Ok(prepare(options)?.statuses())
    }

    /// What the catalog knows of on a disk, which may be away.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn on_disk(&self, id: DiskId) -> Result<OnDisk> {
        self.shared.on_disk(id)
    }

    /// Bytes of the footage on a disk that are held, as far as the catalog knows; the disk may be away.
    pub fn held_on_disk(&self, id: DiskId) -> u64 {
        let Some(number) = self.shared.catalog.known_number(&id) else {
            return 0;
        };
        let (held, _) = self.shared.log.held();
        let held = self.shared.catalog.held_bytes(&held);
        let on_it = held.iter().filter(|((_, disk), _)| *disk == number);
        on_it.map(|(_, bytes)| bytes).sum()
    }

    /// Whether a disk of this path is to be used.
    pub fn has_slot(&self, path: &Path) -> bool {
        let slots = self.shared.slots.read();
        let mut wanted = slots.iter().filter(|slot| slot.is_wanted());
        wanted.any(|slot| slot.wanted.path == path)
    }

    /// Uses another disk from now on: it is mounted within moments, or its status says why not.
    pub fn add_disk(&self, wanted: &config::Disk, id: DiskId) {
        self.shared.slots.add(wanted, id);
        self.look_at_disks();
    }

    /// Has a disk emptied: no new footage goes to it, and what is on it is moved to the others. With `let_go` the oldest footage of
    /// all may be deleted where they have no room.
    ///
    /// # Errors
    /// [`Error::NoSuchDisk`], [`Error::LastDisk`], [`Error::NoRoom`].
    pub fn drain_disk(&self, id: DiskId, let_go: bool) -> Result<()> {
        let slots = &self.shared.slots;
        if !slots.read().iter().any(|slot| slot.id == Some(id)) {
            return Err(Error::NoSuchDisk);
        }
        let others = slots.mounted().into_iter();
        let others: Vec<_> = others
            .filter(|disk| disk.id != id && !slots.is_draining(disk.id))
            .collect();
        if others.is_empty() {
            return Err(Error::LastDisk);
        }
        let needed = self.on_disk(id)?.bytes;
        let room = others.iter().map(|disk| {
            self.shared.state(disk);
            let spare = disk.spare_bytes(self.shared.growing_bytes(disk));
            u64::try_from(spare).unwrap_or(0)
        });
        let there = room.fold(0, u64::saturating_add);
        if needed > there && !let_go {
            return Err(Error::NoRoom { needed, there });
        }
        let drain = Drain {
            let_go,
            ..Drain::default()
        };
        slots.drains().insert(id, drain);
        self.look_at_disks();
        Ok(())
    }

    /// Uses a disk again that was to be emptied.
    pub fn keep_disk(&self, id: DiskId) {
        self.shared.slots.drains().remove(&id);
    }

    /// Expects that a disk may be taken out: it is empty, or its footage is given up with `forget`.
    ///
    /// # Errors
    /// [`Error::NoSuchDisk`], [`Error::LastDisk`], [`Error::NotEmpty`], [`Error::Unlisted`], [`Error::LastLog`] until another disk has all of the log,
    /// [`Error::NoAnswer`] while it does not say what it has of that.
    pub fn expect_retirable(&self, id: DiskId, forget: bool) -> Result<()> {
        let slots = &self.shared.slots;
        let is_it = |slot: &&Slot| slot.id == Some(id);
        let Some(is_away) = (slots.read().iter().find(is_it)).map(|slot| slot.mounted().is_none())
        else {
            return Err(Error::NoSuchDisk);
        };
        let is_another = |slot: &Slot| slot.is_wanted() && slot.id != Some(id);
        if !slots.read().iter().any(is_another) {
            return Err(Error::LastDisk);
        }
        let OnDisk {
            segments,
            bytes,
            oldest_us,
        } = self.on_disk(id)?;
        let in_hand = slots.drains().get(&id).is_some_and(|drain| drain.in_hand);
        if !forget && (segments > 0 || in_hand || self.shared.is_written_to(id)) {
            return Err(Error::NotEmpty {
                segments,
                bytes,
                oldest_us,
                held_bytes: self.held_on_disk(id),
            });
        }
        if !forget && is_away && self.shared.catalog.why_in_memory().is_some() {
            return Err(Error::Unlisted);
        }
        self.shared.expect_log_elsewhere(id)
    }

    /// Uses a disk no more, whatever is on it: [`Store::expect_retirable`] says whether that is right.
    ///
    /// # Errors
    /// [`Error::NoSuchDisk`].
    pub fn retire_disk(&self, id: DiskId) -> Result<()> {
        let slot = self.shared.slots.remove(id).ok_or(Error::NoSuchDisk)?;
        if let Some(disk) = slot.mounted() {
            disk.close_writer();
        }
        self.give_up(id);
        Ok(())
    }

    /// Forgets what was on a disk that is used no more.
    pub fn give_up(&self, id: DiskId) {
        self.shared.slots.forget_left_out(id);
        self.shared.slots.drains().remove(&id);
        if let Some(keeper) = &*self.keeper() {
            self.shared.give_up(&[id], keeper.notes());
        }
    }

    fn look_at_disks(&self) {
        if let Some(keeper) = &*self.keeper() {
            keeper.notes().look_at_disks();
        }
    }
}

impl OnDisk {
    /// What a catalog has on a disk.
    pub(super) fn of(catalog: &Catalog, id: DiskId) -> Result<Self> {
        let Some(number) = catalog.known_number(&id) else {
            return Ok(Self::default());
        };
        Ok(Self {
            segments: catalog.disk_segments(number),
            bytes: catalog.disk_bytes(number),
            oldest_us: catalog.disk_oldest_us(number)?,
        })
    }
}

impl DiskStatus {
    /// The same of a disk that the configuration does not have.
    pub(crate) fn left_out(self) -> Self {
        Self {
            state: DiskUse::LeftOut,
            fault: Some(DiskFault::LeftOut),
            ..self
        }
    }
}

impl Shared {
    fn on_disk(&self, id: DiskId) -> Result<OnDisk> {
        OnDisk::of(&self.catalog, id)
    }

    /// Has the keeper forget what is on disks that are used no more.
    pub(super) fn give_up(&self, disks: &[DiskId], notes: &Notes) {
        let numbers = disks.iter().filter_map(|id| self.catalog.known_number(id));
        // What memory does not tell of them the database may.
        let is_there = |number: &u16| {
            self.catalog.disk_segments(*number) > 0 || self.catalog.why_in_memory().is_some()
        };
        let there = numbers.filter(is_there);
        there.for_each(|number| notes.forget(number));
    }

    /// Expects that nothing of the log is on this disk only, of those that are there.
    fn expect_log_elsewhere(&self, id: DiskId) -> Result<()> {
        let mounted = self.slots.mounted();
        let own = mounted.iter().find(|disk| disk.id == id);
        let is_silent = || own.filter(|own| own.keeps_waiting() || own.hangs());
        let before = is_silent();
        let is_last = self.is_last_with_log(id);
        // What it could not be asked for is not elsewhere.
        match before.or_else(is_silent) {
            Some(silent) => Err(Error::NoAnswer {
                disk: silent.path.clone(),
            }),
            None if is_last => Err(Error::LastLog),
            None => Ok(()),
        }
    }

    fn is_last_with_log(&self, id: DiskId) -> bool {
        let (own, others): (Vec<_>, Vec<_>) =
            self.log_disks().into_iter().partition(|disk| disk.id == id);
        let others: Vec<_> = others.into_iter().map(|other| other.disk).collect();
        own.iter()
            .any(|own| log::has_left_behind(&*own.disk, &others, &self.store))
    }

    /// Whether a segment grows on a disk, or waits for the catalog.
    fn is_written_to(&self, id: DiskId) -> bool {
        let number = self.catalog.known_number(&id);
        let segments = self.segments();
        segments.values().any(|s| Some(s.disk) == number)
    }

    fn statuses(&self) -> Vec<DiskStatus> {
        let slots = self.slots.now();
        let indexed = slots.iter().enumerate();
        indexed
            .map(|(index, slot)| self.status(index, slot))
            .collect()
    }

    fn status(&self, index: usize, slot: &Slot) -> DiskStatus {
        let mut status = match &slot.place {
            Place::Mounted(disk) => disk.status(self.clock.monotonic_us()),
            Place::Leaving(_, error) | Place::Absent(error) | Place::LeftOut(error) => AbsentDisk {
                wanted: slot.wanted.clone(),
                index,
                id: slot.id,
                error: error.clone(),
            }
            .status(),
        };
        if !slot.is_wanted() {
            status = status.left_out();
        }
        let Some(id) = slot.id else { return status };
        // What the catalog cannot say is not shown; its own trouble is told elsewhere.
        let there = self.on_disk(id).unwrap_or_default();
        status.segments = there.segments;
        status.used_bytes = there.bytes;
        status.oldest_us = there.oldest_us;
        status.scrub = self.scrub.status(id);
        status.drain = self.slots.drains().get(&id).cloned();
        if let Some(drain) = &status.drain {
            // What keeps it from being emptied comes before what does not.
            let is_minor = status.fault.is_none_or(|fault| {
                matches!(
                    fault,
                    DiskFault::Misplaced | DiskFault::Full | DiskFault::Limited
                )
            });
            if is_minor && drain.trouble.is_some() {
                status.error.clone_from(&drain.trouble);
                status.fault = Some(DiskFault::Drain);
            }
            if status.state == DiskUse::InUse {
                let is_empty = there.segments == 0 && !drain.in_hand && !self.is_written_to(id);
                status.state = match is_empty {
                    true => DiskUse::Drained,
                    false => DiskUse::Draining,
                };
            }
        }
        status
    }
}
