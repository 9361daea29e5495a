//! What the recorder does with footage that lies there: some houses have a cold disk, empty disks, and read footage again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use hearthkeep::config::Tier;
use hearthkeep::store::{DiskUse, ScrubSettings, Spread, Store};
use hearthkeep_format::DiskId;

use crate::chance::Chance;
use crate::footage;
use crate::happenings::{Fate, Happening};
use crate::house::House;
use crate::ledger::place_of;

const SALT: u64 = 0x7570_6b65_6570;
/// A start is left in peace by the scrub for so long.
const PEACE: std::time::Duration = std::time::Duration::from_secs(2);

/// What is to be done with footage that lies there, and what came of it.
#[derive(Default)]
pub struct Upkeep {
    /// Disks that are to be emptied, and whether footage may be let go for it; or that are to be used again.
    pub wanted: Vec<(usize, Option<bool>)>,
    /// Disks that are being emptied.
    drained: BTreeMap<usize, bool>,
    /// What the scrub has told.
    told: BTreeSet<(usize, String)>,
    /// What lay on disks that were told to be empty.
    left: BTreeSet<PathBuf>,
    /// Bytes that were read again in the run under way, by disk; and before.
    read: BTreeMap<usize, u64>,
    read_before: u64,
}

impl Fate {
    /// In a life of its own: what else happens in a house does not follow from it.
    pub fn add_upkeep(&mut self, seed: u64) {
        let mut chance = Chance::of(seed ^ SALT);
        self.is_scrubbed = chance.below(2) == 0;
        if chance.below(3) == 0 {
            self.cold = Some(self.disks.len());
            let max = (chance.below(3) == 0).then(|| 200_000 + chance.below(800_000));
            self.disks.push((400_000 + chance.below(3_000_000), max));
        }
        if self.disks.len() > 1 {
            for _ in 0..chance.below(3) {
                let disk = chance.below(self.disks.len() as u64) as usize;
                let begun_us = chance.below(self.span_us);
                let ended_us = begun_us + chance.below(self.span_us);
                let let_go = Some(chance.below(2) == 0);
                for (at_us, let_go) in [(begun_us, let_go), (ended_us, None)] {
                    self.script.push((at_us, Happening::Drain { disk, let_go }));
                }
            }
            for _ in 0..chance.below(3) {
                self.add(&mut chance);
            }
        }
        self.script.sort_by_key(|(at_us, _)| *at_us);
    }

    pub fn tier(&self, disk: usize) -> Tier {
        match self.cold == Some(disk) {
            true => Tier::Cold,
            false => Tier::Hot,
        }
    }

    pub fn scrub(&self) -> Option<ScrubSettings> {
        self.is_scrubbed.then(|| ScrubSettings {
            peace: PEACE,
            ..ScrubSettings::new(1)
        })
    }
}

impl Upkeep {
    /// How footage is spread, at a start.
    pub fn spread(&self, fate: &Fate, id: impl Fn(usize) -> DiskId) -> Spread {
        let mut spread = Spread {
            // What lives for minutes is old at once.
            cold_after_days: fate.cold.filter(|_| !fate.cools_when_full).map(|_| 0),
            ..Spread::default()
        };
        for (disk, let_go) in &self.drained {
            spread.drains.entry(id(*disk)).or_default().let_go = *let_go;
        }
        spread
    }

    /// Somebody empties disks, where the recorder does not refuse; and what it says is held against what there is.
    pub fn act(&mut self, house: &House, store: &Store) {
        for (disk, let_go) in std::mem::take(&mut self.wanted) {
            let id = house.disk_identity(disk).disk;
            match let_go {
                Some(let_go) if store.drain_disk(id, let_go).is_ok() => {
                    self.drained.insert(disk, let_go);
                }
                Some(_) => {}
                None => {
                    store.keep_disk(id);
                    self.drained.remove(&disk);
                }
            }
        }
        if self.drained.is_empty() && !house.world.fate.is_scrubbed {
            return;
        }
        for (disk, status) in store.disks().into_iter().enumerate() {
            if status.state == DiskUse::Drained {
                self.is_empty(house, disk);
            }
            let Some(scrub) = status.scrub else { continue };
            self.read.insert(disk, scrub.read_since_start_bytes);
            for finding in scrub.findings {
                if self.told.insert((disk, finding.path.clone()))
                    && footage::is_whole(house, disk, finding.path.as_ref())
                {
                    let (path, what) = (finding.path, finding.what);
                    house.world.ledger.borrow_mut().violated(format!(
                        "{path} on disk {disk} is whole, and is told to be damaged: {what}"
                    ));
                }
            }
        }
    }

    /// A disk is told to be empty: what was durable there is elsewhere, or was deleted there since.
    fn is_empty(&mut self, house: &House, disk: usize) {
        let world = &house.world;
        let ledger = world.ledger.borrow();
        let removed = ledger.removed.iter();
        let deleted = removed.filter_map(|file| Some(place_of(&file.path)?.2));
        let moved = ledger.moved.iter().filter(|(from, _)| *from != disk);
        let gone: BTreeSet<_> = deleted.chain(moved.map(|(_, segment)| *segment)).collect();
        let left = world.files().into_iter().find(|(on, path, _)| {
            let segment = place_of(path).map(|(.., segment)| segment);
            let is_meant = |id| ledger.known.contains_key(&id) && !gone.contains(&id);
            *on == disk && segment.is_some_and(is_meant) && !world.is_elsewhere(disk, path)
        });
        drop(ledger);
        if let Some((_, path, _)) = left
            && self.left.insert(path.clone())
        {
            let path = path.display();
            world
                .ledger
                .borrow_mut()
                .violated(format!("disk {disk} is told to be empty, and has {path}"));
        }
    }

    /// Whether a disk is to be emptied.
    pub fn is_drained(&self, disk: usize) -> bool {
        self.drained.contains_key(&disk)
    }

    /// The recorder has ended.
    pub fn ends(&mut self) {
        self.read_before += std::mem::take(&mut self.read).values().sum::<u64>();
    }

    /// Bytes that were read again.
    pub fn read_bytes(&self) -> u64 {
        self.read_before
    }
}
