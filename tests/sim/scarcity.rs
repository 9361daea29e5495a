//! What runs short: a disk takes no more files or bytes although it shows room, a hot disk fills while a cold one has room, the state folder
//! takes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hearthkeep::config::Tier;
use hearthkeep_format::SegmentId;

use crate::chance::Chance;
use crate::happenings::{Fate, Happening};
use crate::world::World;

const SALT: u64 = 0x7363_6172_6365;
const SECOND_US: u64 = 1_000_000;
/// Files of the state folder that are replaced whole.
const STATE_FILES: [&str; 5] = [
    "log.sealed",
    "log.holds.sealed",
    "log.deleted.sealed",
    "clock.anchors",
    "scrub.json",
];
/// What of a disk may go at once that says that it is full while it shows room; and of one with little, where that is less than a segment for
/// each camera and a few.
const LET_GO_PART: u64 = 8;
const LET_GO_OF_LITTLE_PART: u64 = 4;
const MORE_SEGMENTS: u64 = 4;
/// What may be told late once the state folder takes something again.
const TOLD_US: u64 = 60 * SECOND_US;
/// A disk with less footage does not run short: what a write that fails leaves behind stays until the next start, and may be as much.
const SHORT_FROM_BYTES: u64 = 100_000;
/// What the recorder knows about a disk after a start.
const KNOWN_US: u64 = 30 * SECOND_US;

/// What a disk has too little of, whatever it shows: so many more than it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    Files(usize),
    Bytes(u64),
}

/// What ran short, and what follows from it.
#[derive(Default)]
pub struct Scarcity {
    /// Disks that said that they are full while they showed room, since the recorder has them.
    limited: BTreeMap<usize, Limited>,
    /// When a call of a disk failed last.
    failed_us: BTreeMap<usize, u64>,
    state_fails: bool,
    /// Since when the state folder takes something, or nothing.
    takes_since_us: u64,
    fails_since_us: u64,
    /// What was deleted meanwhile, while no disk may have taken that either, and the log may not have.
    untold: BTreeSet<SegmentId>,
    /// The same of a recorder that ended then: no log says that it was deleted.
    pub forgotten: BTreeSet<SegmentId>,
    /// How often a disk said so.
    pub refusals: u64,
}

/// How a disk may be limited that said so.
#[derive(Debug, Clone, Copy)]
pub struct Limited {
    /// The least that the recorder may have limited it to, bytes of footage.
    pub bytes: u64,
    /// It has so few segments that less than one for each camera may go.
    pub is_little: bool,
}

/// The footage of a disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Footage {
    pub bytes: u64,
    /// Its largest segment.
    pub segment: u64,
}

impl Fate {
    /// In a life of its own, as upkeep is.
    pub fn add_scarcity(&mut self, seed: u64) {
        let mut chance = Chance::of(seed ^ SALT);
        if chance.below(2) == 0 {
            return;
        }
        self.cools_when_full = self.cold.is_some() && chance.below(3) > 0;
        for kind in 0..3 {
            if chance.below(3) > 0 {
                continue;
            }
            let disk = chance.below(self.disks.len() as u64) as usize;
            let at_us = chance.below(self.span_us);
            let until_us = at_us + (5 + chance.below(120)) * SECOND_US;
            let short = |of| [Some(of), None].map(|of| Happening::Short { disk, of });
            let happenings = match kind {
                0 => short(Short::Files(chance.below(4) as usize)),
                1 => short(Short::Bytes(chance.below(20_000))),
                _ => [false, true].map(|takes| Happening::State { takes }),
            };
            let times = [at_us, until_us].into_iter();
            self.script.extend(times.zip(happenings));
        }
        self.script.sort_by_key(|(at_us, _)| *at_us);
    }
}

impl Scarcity {
    /// A call of a disk failed.
    pub fn fails(&mut self, disk: usize, now_us: u64) {
        self.failed_us.insert(disk, now_us);
    }

    /// A disk says that it is full, which shows room.
    pub fn refuses(&mut self, disk: usize, footage: Footage, cameras: usize) {
        self.refusals += 1;
        let Footage { bytes, segment } = footage;
        let for_each = segment * cameras as u64;
        let piece = for_each + segment * MORE_SEGMENTS;
        let may_go = (bytes / LET_GO_PART).max(piece.min(bytes / LET_GO_OF_LITTLE_PART));
        let new = Limited {
            bytes: bytes - may_go,
            is_little: may_go < for_each,
        };
        let limited = self.limited.entry(disk).or_insert(new);
        limited.bytes = limited.bytes.min(new.bytes);
        limited.is_little |= new.is_little;
    }

    /// How a disk may be limited by now. Such a limit holds for a minute, for two where the disk says so again, and is lifted by pieces in a
    /// quarter of an hour after that: all lives are shorter.
    pub fn limit(&self, disk: usize) -> Option<Limited> {
        self.limited.get(&disk).copied()
    }

    /// The recorder has a disk anew.
    pub fn begins_with(&mut self, disk: usize) {
        self.limited.remove(&disk);
    }

    /// A segment was deleted.
    pub fn deletes(&mut self, segment: SegmentId, disks: usize, now_us: u64) {
        if !self.may_forget(now_us) {
            self.untold.clear();
        } else if (0..disks).all(|disk| self.failed_us.get(&disk) >= Some(&self.fails_since_us)) {
            self.untold.insert(segment);
        }
    }

    fn may_forget(&self, now_us: u64) -> bool {
        self.state_fails || (self.takes_since_us > 0 && now_us < self.takes_since_us + TOLD_US)
    }

    /// The recorder has ended: what the log was not told nobody knows.
    pub fn ends(&mut self, now_us: u64) {
        let untold = std::mem::take(&mut self.untold);
        if self.may_forget(now_us) {
            self.forgotten.extend(untold);
        }
    }

    /// Whether the state folder takes nothing.
    pub fn state_fails(&self) -> bool {
        self.state_fails
    }
}

impl World {
    /// The state folder takes what is written there, or nothing.
    pub fn set_state(&self, takes: bool) {
        self.shelf.refuse(!takes);
        let scarcity = &mut *self.scarcity.borrow_mut();
        if scarcity.state_fails == takes {
            let folder = self.state_folder.borrow();
            for name in STATE_FILES {
                block(&folder.join(format!(".{name}.new")), !takes);
            }
            let since_us = match takes {
                true => &mut scarcity.takes_since_us,
                false => &mut scarcity.fails_since_us,
            };
            *since_us = self.now_us();
        }
        scarcity.state_fails = !takes;
    }

    /// A disk runs short of something, or no longer. One with hardly any footage has nothing to let go of, and does not.
    pub fn set_short(&self, disk: usize, of: Option<Short>) {
        let state = &mut *self.disks[disk].state();
        let least = crate::number("HEARTHKEEP_SIM_SHORT_FROM").unwrap_or(SHORT_FROM_BYTES);
        let of = of.filter(|_| state.footage().bytes >= least);
        let faults = &mut state.faults;
        (faults.files_max, faults.bytes_max) = match of {
            Some(Short::Files(more)) => (Some(state.image.names() + more), None),
            Some(Short::Bytes(more)) => (None, Some(state.image.bytes() + more)),
            None => (None, None),
        };
    }

    /// Whether so many bytes of a hot disk could be on a cold one as well as not at all: it works, and has room.
    pub fn could_move(&self, disk: usize, bytes: u64) -> bool {
        let upkeep = self.upkeep.borrow();
        let Some(cold) = self.fate.cold else {
            return false;
        };
        if self.fate.tier(disk) != Tier::Hot
            || [disk, cold].iter().any(|disk| upkeep.is_drained(*disk))
        {
            return false;
        }
        let since_us = self.started_us.get();
        let has_failed = self.scarcity.borrow().failed_us.get(&cold) >= Some(&since_us);
        if has_failed || self.now_us() < since_us + KNOWN_US {
            return false;
        }
        let (state, max) = (self.disks[cold].state(), self.fate.disks[cold].1);
        let free = state.capacity.saturating_sub(state.image.bytes());
        let footage = state.footage().bytes;
        drop(state);
        let beside = |of: u64, taken: u64| of.saturating_sub(taken) > bytes * 2 + self.ahead(cold);
        beside(free, self.reserve(cold)) && max.is_none_or(|max| beside(max, footage))
    }
}

/// Lets nobody write a file of this name, whoever it is.
fn block(path: &Path, is_blocked: bool) {
    let done = match is_blocked {
        true => std::fs::create_dir(path),
        false => std::fs::remove_dir(path),
    };
    done.expect("the state folder of a simulated house can be changed");
}
