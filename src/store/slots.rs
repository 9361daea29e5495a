//! The disks of a store, which come and go while it runs.
//!
//! Each disk of the configuration has a slot: one that is mounted has a writer, one that is away has a reason. What watches them
//! ([`watch`](super::watch)) is the only one that mounts and loses disks; anybody may ask.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hearthkeep_format::{DiskId, StreamId};

use super::mount::{AbsentDisk, MountedDisk};
use super::placement::{self, Candidate};
use crate::config::{self, Placement};

/// How footage is spread over the disks.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    /// Which disk a new segment goes to.
    pub placement: Placement,
    /// Days after which footage moves to the cold disks.
    pub cold_after_days: Option<u32>,
    /// Streams that have a disk of their own: its path in the configuration.
    pub pinned: HashMap<StreamId, PathBuf>,
    /// Disks that are to be emptied.
    pub drains: HashMap<DiskId, Drain>,
}

/// That a disk is to be emptied, and how far that is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drain {
    /// Where the others have no room, the oldest footage may go.
    pub let_go: bool,
    /// Segments that were moved since the start.
    pub moved_segments: u64,
    /// Their bytes.
    pub moved_bytes: u64,
    /// Whether a segment is just changing its place: the catalog has it elsewhere already, and its old file is still there.
    pub in_hand: bool,
    /// Why it does not go on, where it does not.
    pub trouble: Option<String>,
}

pub(super) struct Slots {
    slots: RwLock<Vec<Slot>>,
    placement: Placement,
    pinned: HashMap<StreamId, PathBuf>,
    drains: Mutex<HashMap<DiskId, Drain>>,
    /// Segments begun so far.
    turn: AtomicU64,
}

/// A disk of the configuration.
#[derive(Clone)]
pub(super) struct Slot {
    pub wanted: config::Disk,
    /// Which disk it is, once that is known.
    pub id: Option<DiskId>,
    pub place: Place,
}

#[derive(Clone)]
pub(super) enum Place {
    /// It is there and written to.
    Mounted(Arc<MountedDisk>),
    /// It is lost, and what wrote to it has not ended yet: it may hang in the last write. Until then nothing else may touch it.
    Leaving(Arc<MountedDisk>, String),
    /// It is not there, and why.
    Absent(String),
    /// It is known, and no longer in the configuration, and what is to be done: it is not looked for, whatever is at its path.
    LeftOut(String),
}

impl Slots {
    pub(super) fn new(
        disks: Vec<MountedDisk>,
        absent: &[AbsentDisk],
        left_out: &[AbsentDisk],
        spread: &Spread,
    ) -> Self {
        let mounted = |disk: MountedDisk| Slot {
            wanted: disk.wanted(),
            id: Some(disk.id),
            place: Place::Mounted(Arc::new(disk)),
        };
        let mut slots: Vec<_> = disks.into_iter().map(mounted).collect();
        for away in absent {
            let slot = Slot {
                wanted: away.wanted.clone(),
                id: away.id,
                place: Place::Absent(away.error.clone()),
            };
            slots.insert(away.index.min(slots.len()), slot);
        }
        slots.extend(left_out.iter().map(|known| Slot {
            wanted: known.wanted.clone(),
            id: known.id,
            place: Place::LeftOut(known.error.clone()),
        }));
        are_nowhere_else(&mut slots);
        Self {
            slots: RwLock::new(slots),
            placement: spread.placement,
            pinned: spread.pinned.clone(),
            drains: Mutex::new(spread.drains.clone()),
            turn: AtomicU64::new(0),
        }
    }

    /// As they are now, for who may wait for a disk or the catalog meanwhile: the thread that reads cameras looks at them too.
    pub(super) fn now(&self) -> Vec<Slot> {
        self.read().clone()
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Vec<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Slot>> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that are there.
    pub(super) fn mounted(&self) -> Vec<Arc<MountedDisk>> {
        self.read()
            .iter()
            .filter_map(Slot::mounted)
            .cloned()
            .collect()
    }

    /// The disk with this number in the catalog, while it is there.
    pub(super) fn disk(&self, number: u16) -> Option<Arc<MountedDisk>> {
        let slots = self.read();
        let mut mounted = slots.iter().filter_map(Slot::mounted);
        mounted.find(|disk| disk.number() == number).cloned()
    }

    /// Whether all disks are there that the store knows, also those that were left out of the configuration.
    pub(super) fn is_whole(&self) -> bool {
        self.read().iter().all(|slot| slot.mounted().is_some())
    }

    /// Those that are there, the one that a new segment of the stream should go to in front.
    pub(super) fn in_order(
        &self,
        stream: &StreamId,
        now_us: u64,
        growing_bytes: impl Fn(&MountedDisk) -> u64,
    ) -> Vec<Arc<MountedDisk>> {
        let mut disks = self.mounted();
        let own = self.pinned.get(stream);
        let candidate = |disk: &Arc<MountedDisk>| Candidate {
            failed: disk.is_avoided(now_us) || disk.keeps_waiting(),
            late: disk.is_late(),
            leaving: self.is_draining(disk.id),
            tier: disk.tier,
            pinned: own == Some(&disk.path),
            spare_bytes: disk.spare_bytes(growing_bytes(disk)),
            oldest_us: disk.oldest_us(),
        };
        let candidates: Vec<_> = disks.iter().map(candidate).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let order = placement::order(self.placement, &candidates, turn);
        let ordered = order.into_iter().map(|index| Arc::clone(&disks[index]));
        disks = ordered.collect();
        disks
    }

    /// Whether a disk keeps waiting while another one takes footage: what is recorded there should go on with that one.
    pub(super) fn is_to_be_left(&self, number: u16, now_us: u64) -> bool {
        let (own, others): (Vec<_>, Vec<_>) = self
            .mounted()
            .into_iter()
            .partition(|disk| disk.number() == number);
        own.iter().any(|disk| disk.keeps_waiting())
            && others.iter().any(|disk| disk.takes_footage(now_us))
    }

    /// The path of the disk that a stream is to be recorded to, where its camera has one.
    pub(super) fn pinned_to(&self, stream: &StreamId) -> Option<&Path> {
        self.pinned.get(stream).map(PathBuf::as_path)
    }

    /// Why the disk of a slot is not there.
    pub(super) fn why_away(&self, path: &Path) -> String {
        let slots = self.read();
        let slot = slots.iter().find(|slot| slot.wanted.path == path);
        match slot.map(|slot| &slot.place) {
            Some(Place::Leaving(_, why) | Place::Absent(why)) => why.clone(),
            _ => String::new(),
        }
    }

    // ---- what the watch does

    /// The slots that are empty, and those whose disk is on its way out.
    pub(super) fn empty(&self) -> Vec<config::Disk> {
        let slots = self.read();
        let empty = slots
            .iter()
            .filter(|slot| slot.is_wanted() && slot.mounted().is_none());
        empty.map(|slot| slot.wanted.clone()).collect()
    }

    /// A disk is no longer where it was.
    pub(super) fn lose(&self, disk: &Arc<MountedDisk>, why: String) {
        self.change(&disk.path, |slot| {
            slot.place = Place::Leaving(Arc::clone(disk), why);
        });
    }

    /// Whether the slot's former disk is let go of by all that used it.
    pub(super) fn has_left(&self, path: &Path) -> bool {
        let mut has_left = true;
        self.change(path, |slot| {
            if let Place::Leaving(disk, why) = &slot.place {
                // A write that nobody waits for any more still lands in the file, which may be open anew by then.
                has_left = disk.writer_has_ended() && !disk.hangs();
                if has_left {
                    slot.place = Place::Absent(why.clone());
                }
            }
        });
        has_left
    }

    /// Why a slot is empty.
    pub(super) fn miss(&self, path: &Path, why: &str) {
        self.change(path, |slot| slot.place = Place::Absent(why.to_owned()));
    }

    /// A disk is there. False where its slot has gone meanwhile.
    pub(super) fn mount(&self, disk: &Arc<MountedDisk>) -> bool {
        let mut slots = self.write();
        let Some(slot) = configured(&mut slots, &disk.path) else {
            return false;
        };
        let before = slot.id.replace(disk.id);
        slot.place = Place::Mounted(Arc::clone(disk));
        goes_elsewhere(&mut slots, before, disk.id, &disk.path);
        are_nowhere_else(&mut slots);
        true
    }

    fn change(&self, path: &Path, edit: impl FnOnce(&mut Slot)) {
        let mut slots = self.write();
        if let Some(slot) = configured(&mut slots, path) {
            edit(slot);
        }
        are_nowhere_else(&mut slots);
    }

    // ---- what is commanded

    /// A disk of the configuration that is to be used from now on. One that is there at the path already stays; the place of one that is
    /// not is taken.
    pub(super) fn add(&self, wanted: &config::Disk, id: DiskId) {
        self.forget_left_out(id);
        let mut slots = self.write();
        if let Some(slot) = configured(&mut slots, &wanted.path) {
            if let Place::Absent(why) = &mut slot.place {
                *why = being_taken_in(&wanted.path);
            }
            if slot.mounted().is_none() {
                let before = slot.id.replace(id);
                goes_elsewhere(&mut slots, before, id, &wanted.path);
            }
            return;
        }
        // Before those that were left out: who looks for a path finds what is configured there first.
        let at = slots
            .iter()
            .position(|slot| !slot.is_wanted())
            .unwrap_or(slots.len());
        let added = Slot {
            wanted: wanted.clone(),
            id: Some(id),
            place: Place::Absent(being_taken_in(&wanted.path)),
        };
        slots.insert(at, added);
    }

    /// A disk that is to be used no more.
    pub(super) fn remove(&self, id: DiskId) -> Option<Slot> {
        let mut slots = self.write();
        let index = slots.iter().position(|slot| slot.id == Some(id))?;
        self.drains().remove(&id);
        Some(slots.remove(index))
    }

    /// A disk that was left out of the configuration is expected no more: it is back in, or given up.
    pub(super) fn forget_left_out(&self, id: DiskId) {
        let mut slots = self.write();
        slots.retain(|slot| slot.is_wanted() || slot.id != Some(id));
    }

    pub(super) fn drains(&self) -> MutexGuard<'_, HashMap<DiskId, Drain>> {
        self.drains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_draining(&self, id: DiskId) -> bool {
        self.drains().contains_key(&id)
    }
}

/// The slot of a path of the configuration.
fn configured<'a>(slots: &'a mut [Slot], path: &Path) -> Option<&'a mut Slot> {
    let mut wanted = slots.iter_mut().filter(|slot| slot.is_wanted());
    wanted.find(|slot| slot.wanted.path == path)
}

/// What was expected `at` a path where another disk is `now` is expected where that one was or, where that is nowhere, left out.
fn goes_elsewhere(slots: &mut Vec<Slot>, before: Option<DiskId>, now: DiskId, at: &Path) {
    let has = |slot: &Slot, id| slot.id == Some(id);
    let Some(before) = before.filter(|id| !slots.iter().any(|slot| has(slot, *id))) else {
        return;
    };
    let mut empty = slots
        .iter_mut()
        .filter(|slot| slot.is_wanted() && slot.wanted.path != at);
    if let Some(slot) = empty.find(|slot| has(slot, now)) {
        slot.id = Some(before);
        return;
    }
    let wanted = config::Disk {
        path: at.to_owned(),
        max_bytes: None,
        tier: config::Tier::default(),
    };
    slots.push(Slot {
        wanted,
        id: Some(before),
        place: Place::LeftOut(why_left_out(before, at)),
    });
}

/// A disk that is there is neither left out, nor waited for at another path.
fn are_nowhere_else(slots: &mut Vec<Slot>) {
    let mounted = slots.iter().filter_map(Slot::mounted);
    let here: Vec<_> = mounted.map(|disk| disk.id).collect();
    let is_here = |slot: &Slot| slot.id.is_some_and(|id| here.contains(&id));
    slots.retain(|slot| slot.is_wanted() || !is_here(slot));
    let empty = slots.iter_mut().filter(|slot| slot.mounted().is_none());
    for slot in empty.filter(|slot| is_here(slot)) {
        slot.id = None;
    }
}

/// What is to be done with a disk that the store knows and its configuration does not have, and that was last at a path.
pub fn why_left_out(id: DiskId, path: &Path) -> String {
    let path = path.display();
    format!(
        "the disk {id}, which was last at {path}, belongs to this store and is none of its configuration: what lies on it cannot be \
         seen. Put it back (`hearthkeep disk add {path}`, or the folder that it is mounted at now), or give up what is on it with \
         `hearthkeep disk retire --forget {id}`"
    )
}

/// Why a disk that was just added is not in use.
pub fn being_taken_in(path: &Path) -> String {
    format!("the disk at {} is being taken into use", path.display())
}

impl Slot {
    /// Whether the configuration has it.
    pub(super) fn is_wanted(&self) -> bool {
        !matches!(self.place, Place::LeftOut(_))
    }

    pub(super) fn mounted(&self) -> Option<&Arc<MountedDisk>> {
        match &self.place {
            Place::Mounted(disk) => Some(disk),
            _ => None,
        }
    }
}
