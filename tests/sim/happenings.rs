//! What happens to a house, and when: all of it follows from the seed.

use std::sync::Arc;

use hearthkeep::clock::SimClock;
use hearthkeep_format::{BootId, Random, SeededRandom, StreamId};

use crate::cameras::Model;
use crate::chance::Chance;
use crate::disk::SimDisk;
use crate::ledger::LOST_US_MAX;
use crate::scarcity::Short;
use crate::world::{START_US, World};
use crate::{HAVE_FOUND, HAVE_FOUND_SINCE};

const SECOND_US: u64 = 1_000_000;
/// What of a stream may be queued for a disk without a word to it, and how long it takes until a disk that went is let go of and the next
/// key frame goes elsewhere.
const QUEUED_US: u64 = 2_500_000;
const LETS_GO_US: u64 = 8_000_000;

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    PowerCut,
    Kill,
    /// Somebody stops the recorder.
    Stop,
    Slow {
        disk: usize,
        us: u64,
    },
    FailWrites {
        disk: usize,
        times: u32,
    },
    FailSyncs {
        disk: usize,
        times: u32,
    },
    FailFolderSyncs {
        disk: usize,
        times: u32,
    },
    FailRemovals {
        disk: usize,
        times: u32,
    },
    Vanish {
        disk: usize,
    },
    Return {
        disk: usize,
    },
    /// The disk's capacity changes, as where somebody else writes to it.
    Capacity {
        disk: usize,
        bytes: u64,
    },
    CatalogFails {
        times: u32,
    },
    /// Found at the next start.
    CatalogIsDamaged,
    Camera {
        camera: usize,
        on: bool,
    },
    Parameters {
        camera: usize,
    },
    /// The box's clock is set, by so many seconds off the truth.
    Clock {
        off_s: i64,
        trusted: bool,
    },
    /// Somebody wants all footage of a camera to be held, or no longer.
    Hold {
        camera: usize,
        on: bool,
    },
    /// Somebody wants a disk to be emptied, and footage to be let go for it or not; or no longer.
    Drain {
        disk: usize,
        let_go: Option<bool>,
    },
    /// A disk has too little of something that it does not show, or no longer.
    Short {
        disk: usize,
        of: Option<Short>,
    },
    /// The state folder takes what is written there, or nothing.
    State {
        takes: bool,
    },
    /// After the next power cut the box does not know the time for so long.
    ForgetsTime,
}

/// A house and its fate.
#[derive(Debug)]
pub struct Fate {
    pub cameras: Vec<Model>,
    pub camera_max: Vec<Option<u64>>,
    pub keep_days: Vec<Option<u32>>,
    /// Capacity and budget of each disk.
    pub disks: Vec<(u64, Option<u64>)>,
    /// The disk for old footage, where there is one.
    pub cold: Option<usize>,
    /// Whether only what hot disks have no room for goes there.
    pub cools_when_full: bool,
    pub is_scrubbed: bool,
    pub queue_bytes: u64,
    pub span_us: u64,
    /// In the order of time.
    pub script: Vec<(u64, Happening)>,
}

impl Fate {
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::of(seed);
        let mut random = SeededRandom::new(seed);
        let cameras: Vec<_> = (0..1 + chance.below(3))
            .map(|_| model(&mut chance, &mut random))
            .collect();
        let budgeted = chance.below(2) == 0;
        let camera_max = cameras
            .iter()
            .map(|_| (budgeted && chance.below(3) > 0).then(|| 60_000 + chance.below(400_000)))
            .collect();
        let disks = (0..1 + chance.below(2))
            .map(|_| {
                let capacity = 400_000 + chance.below(3_000_000);
                let max = (chance.below(3) == 0).then(|| 200_000 + chance.below(800_000));
                (capacity, max)
            })
            .collect();
        let mut fate = Self {
            keep_days: Vec::new(),
            cameras,
            camera_max,
            disks,
            cold: None,
            cools_when_full: false,
            is_scrubbed: false,
            queue_bytes: 96 << 10,
            span_us: (60 + chance.below(300)) * SECOND_US,
            script: Vec::new(),
        };
        for _ in 0..chance.below(10) {
            fate.add(&mut chance);
        }
        // None of what lives this long is older, whatever the clock says.
        let mut keeps = |_: &Model| (chance.below(2) == 0).then_some(1);
        fate.keep_days = fate.cameras.iter().map(&mut keeps).collect();
        if chance.below(3) == 0 {
            let camera = chance.below(fate.cameras.len() as u64) as usize;
            let begun_us = chance.below(fate.span_us);
            let ended_us = begun_us + chance.below(fate.span_us);
            for (at_us, on) in [(begun_us, true), (ended_us, false)] {
                fate.script.push((at_us, Happening::Hold { camera, on }));
            }
        }
        fate.script.sort_by_key(|(at_us, _)| *at_us);
        // What has found something is to find it again.
        if !HAVE_FOUND.contains(&seed) {
            fate.add_upkeep(seed);
            if !HAVE_FOUND_SINCE.contains(&seed) {
                fate.add_scarcity(seed);
            }
        }
        fate
    }

    pub fn add(&mut self, chance: &mut Chance) {
        let at_us = chance.below(self.span_us);
        let until_us = at_us + (1 + chance.below(60)) * SECOND_US / (1 + chance.below(10));
        let disk = chance.below(self.disks.len() as u64) as usize;
        let camera = chance.below(self.cameras.len() as u64) as usize;
        let times = 1 + chance.below(3) as u32;
        let mut happens = |at_us, happening| self.script.push((at_us, happening));
        match chance.below(17) {
            0..3 => happens(at_us, Happening::PowerCut),
            3 => happens(at_us, Happening::Kill),
            4 => happens(at_us, Happening::Stop),
            5 => {
                let us = 100_000 << chance.below(7);
                happens(at_us, Happening::Slow { disk, us });
                happens(until_us, Happening::Slow { disk, us: 0 });
            }
            6 => happens(at_us, Happening::FailWrites { disk, times }),
            7 | 8 => happens(at_us, Happening::FailSyncs { disk, times }),
            9 => happens(at_us, Happening::FailFolderSyncs { disk, times }),
            10 => happens(at_us, Happening::FailRemovals { disk, times }),
            11 => {
                happens(at_us, Happening::Vanish { disk });
                happens(until_us, Happening::Return { disk });
            }
            12 => {
                let bytes = self.disks[disk].0;
                let less = chance.below(bytes);
                happens(at_us, Happening::Capacity { disk, bytes: less });
                happens(until_us, Happening::Capacity { disk, bytes });
            }
            13 => match chance.below(2) {
                0 => happens(at_us, Happening::CatalogFails { times }),
                _ => happens(at_us, Happening::CatalogIsDamaged),
            },
            14 => {
                happens(at_us, Happening::Camera { camera, on: false });
                happens(until_us, Happening::Camera { camera, on: true });
            }
            15 => happens(at_us, Happening::Parameters { camera }),
            _ => {
                let sign = chance.below(2) as i64 * 2 - 1;
                let off_s = sign * (8 << chance.below(26));
                let trusted = chance.below(3) > 0;
                happens(at_us, Happening::Clock { off_s, trusted });
                let (off_s, trusted) = (0, true);
                happens(until_us, Happening::Clock { off_s, trusted });
                if chance.below(2) == 0 {
                    happens(at_us, Happening::ForgetsTime);
                }
            }
        }
    }
}

fn model(chance: &mut Chance, random: &mut dyn Random) -> Model {
    Model {
        stream: StreamId::random(random),
        period_us: [125_000, 200_000, 250_000][chance.below(3) as usize],
        gop: 4 + chance.below(16) as usize,
        drift: chance.below(2_001) as i64 - 1_000,
        bytes: 1 + chance.below(120),
    }
}

impl World {
    pub fn happens(&self, happening: Happening) {
        tracing::info!(at_us = self.now_us(), "{happening:?}");
        let faults = |disk: usize| self.disks[disk].state();
        match happening {
            Happening::PowerCut => self.dies(true),
            Happening::Kill => self.dies(false),
            Happening::Stop => self.stop.set(true),
            Happening::Slow { disk, us } => faults(disk).faults.slow_us = us,
            Happening::FailWrites { disk, times } => faults(disk).faults.fail_writes = times,
            Happening::FailSyncs { disk, times } => faults(disk).faults.fail_syncs = times,
            Happening::FailFolderSyncs { disk, times } => {
                faults(disk).faults.fail_folder_syncs = times;
            }
            Happening::FailRemovals { disk, times } => faults(disk).faults.fail_removals = times,
            Happening::Vanish { disk } => {
                self.hear();
                self.disks[disk].vanish();
                // What had begun there may only have been queued, so that the disk knows nothing of it.
                let (before_us, after_us) = (self.now_us().saturating_sub(QUEUED_US), LETS_GO_US);
                self.excuse(before_us, self.now_us() + after_us, None);
            }
            Happening::Return { disk } => {
                faults(disk).faults.gone = false;
                self.begins_with(disk);
            }
            Happening::Capacity { disk, bytes } => {
                self.plans_wait(Some(disk), false);
                faults(disk).capacity = bytes;
            }
            Happening::CatalogFails { times } => self.shelf.fail_flushes(times),
            Happening::CatalogIsDamaged => self.shelf.damage(),
            Happening::Camera { camera, on } => {
                self.excuse_next(camera);
                self.cameras.borrow_mut()[camera].switch(on);
            }
            Happening::Parameters { camera } => {
                self.excuse_next(camera);
                self.cameras.borrow_mut()[camera].change();
            }
            Happening::Clock { off_s, trusted } => self.set_clock(off_s, trusted),
            Happening::Hold { camera, on } => self.holds.borrow_mut().wanted.push((camera, on)),
            Happening::Drain { disk, let_go } => {
                self.upkeep.borrow_mut().wanted.push((disk, let_go));
            }
            Happening::Short { disk, of } => self.set_short(disk, of),
            Happening::State { takes } => self.set_state(takes),
            Happening::ForgetsTime => self.forgets_time.set(true),
        }
    }

    /// What comes before the next key frame may be missing.
    pub fn excuse_next(&self, camera: usize) {
        let gop_us = {
            let model = &self.fate.cameras[camera];
            model.period_us * (model.gop as u64 + 1)
        };
        let from_us = self.now_us().saturating_sub(SECOND_US);
        let to_us = self.now_us() + gop_us;
        self.excuse(from_us, to_us, Some(camera));
    }

    /// Footage of all cameras, or of one, may be missing.
    pub fn excuse(&self, from_us: u64, to_us: u64, camera: Option<usize>) {
        let excuses = &mut self.ledger.borrow_mut().excuses;
        excuses.excuse(from_us, to_us, camera);
    }

    /// The recorder has a disk again, and goes on with what was begun there.
    pub fn begins_with(&self, disk: usize) {
        let excuses = &mut self.ledger.borrow_mut().excuses;
        excuses.begins_with(disk, self.now_us());
        self.scarcity.borrow_mut().begins_with(disk);
    }

    fn dies(&self, without_power: bool) {
        self.hear();
        self.off.set(true);
        let deaths = match without_power {
            true => &self.power_cuts,
            false => &self.kills,
        };
        deaths.set(deaths.get() + 1);
        let now_us = self.now_us();
        let from_us = now_us.saturating_sub(LOST_US_MAX);
        self.excuse(from_us, now_us, None);
        self.shelf.cut(&mut self.chance.borrow_mut());
        if without_power {
            self.disks.iter().for_each(SimDisk::cut);
            self.boots();
        }
    }

    fn boots(&self) {
        let knows = !self.forgets_time.take();
        let mut boot = [0; 16];
        boot[..8].copy_from_slice(&(self.now_us() + 1).to_be_bytes());
        let true_us = START_US.saturating_add_unsigned(self.now_us());
        let wall_us = match knows {
            true => true_us,
            false => 5_000_000,
        };
        let clock = SimClock::new(wall_us).with_boot(BootId::from_bytes(boot));
        clock.set_trusted(knows);
        self.clock.replace(Arc::new(clock));
        self.ledger.borrow_mut().boots.push(self.now_us());
        self.is_off_by(wall_us - true_us);
        if !knows {
            let learns_us = self.now_us() + 10 * SECOND_US;
            let learns = Happening::Clock {
                off_s: 0,
                trusted: true,
            };
            let mut script = self.script.borrow_mut();
            let at = script.partition_point(|(at_us, _)| *at_us <= learns_us);
            script.insert(at, (learns_us, learns));
        }
    }

    fn set_clock(&self, off_s: i64, trusted: bool) {
        let true_us = START_US.saturating_add_unsigned(self.now_us());
        let clock = self.clock.borrow();
        clock.set_wall_us(true_us + off_s * SECOND_US as i64);
        clock.set_trusted(trusted);
        self.is_off_by(off_s * SECOND_US as i64);
    }

    /// The clock says this much more than the truth from now on.
    fn is_off_by(&self, us: i64) {
        if self.off_us.replace(us) != us {
            let now_us = self.now_us();
            self.ledger.borrow_mut().jumps.push(now_us);
        }
    }

    /// Everything works again, and the rest of the script is void.
    pub fn heal(&self) {
        self.script.borrow_mut().clear();
        for (disk, (capacity, _)) in self.disks.iter().zip(&self.fate.disks) {
            let mut state = disk.state();
            state.faults = Default::default();
            state.capacity = *capacity;
        }
        self.shelf.fail_flushes(0);
        self.set_state(true);
        self.set_clock(0, true);
        for camera in 0..self.fate.cameras.len() {
            if !self.cameras.borrow()[camera].is_on {
                self.excuse_next(camera);
                self.cameras.borrow_mut()[camera].switch(true);
            }
        }
    }
}
