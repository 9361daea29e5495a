//! The box: a store on simulated disks, and the recorder's own code on what the cameras send.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use hearthkeep::config;
use hearthkeep::disk::Disk;
use hearthkeep::keys::Sealing;
use hearthkeep::random::SharedRandom;
use hearthkeep::record::ByHand;
use hearthkeep::store::catalog::Memory;
use hearthkeep::store::layout::{self, DiskIdentity};
use hearthkeep::store::retention::CameraBudget;
use hearthkeep::store::writer::Budget;
use hearthkeep::store::{
    AbsentDisk, Doorkeeper, MountedDisk, Options, SharedKeys, Store, Timeline, lock,
};
use hearthkeep_format::{DiskId, Identity, MetadataKey, Random, SeededRandom, StoreId};

use crate::budgets;
use crate::careless::Planted;
use crate::database::SimShelf;
use crate::history;
use crate::progress;
use crate::world::World;

pub const GENERATION: u32 = 1;
const SECOND_US: u64 = 1_000_000;
/// What ends of segments and heads may take beyond the queues' bound: they are never refused.
const ENDS_BYTES_MAX: u64 = 64 << 10;

/// A box, switched on or off.
pub struct House {
    pub world: Rc<World>,
    pub identity: Identity,
    pub m: [u8; 32],
    pub store_id: StoreId,
    sealing: Arc<Sealing>,
    random: SharedRandom,
    queues: Arc<Budget>,
    state: tempfile::TempDir,
    planted: Option<Planted>,
    /// What there is of each camera in the end, as the page shows it.
    pub shown: RefCell<Vec<Timeline>>,
}

impl House {
    pub fn new(seed: u64, planted: Option<Planted>) -> Self {
        let world = World::begin(seed);
        let mut random = SeededRandom::new(!seed);
        let mut m = [0; 32];
        random.fill(&mut m);
        let identity = Identity::generate(&mut random);
        let store_id = StoreId::random(&mut random);
        let sealing = Sealing {
            generation: GENERATION,
            recipient: identity.recipient(),
            metadata_key: MetadataKey::from_bytes(m),
        };
        let shm = Path::new("/dev/shm");
        let state = match shm.is_dir() {
            true => tempfile::tempdir_in(shm),
            false => tempfile::tempdir(),
        };
        let house = Self {
            identity,
            m,
            store_id,
            sealing: Arc::new(sealing),
            random: SharedRandom::new(random),
            queues: Arc::new(Budget::new(world.fate.queue_bytes)),
            state: state.unwrap(),
            planted,
            world,
            shown: RefCell::default(),
        };
        let folder = house.state.path().to_owned();
        house.world.state_folder.replace(folder);
        for (number, disk) in house.world.disks.iter().enumerate() {
            // One that fails meanwhile is asked again, also by a box that went off meanwhile.
            let mark = || {
                house.world.off.set(false);
                layout::mark(disk, Path::new("disk"), &house.disk_identity(number))
            };
            assert!((0..9).any(|_| mark().is_ok()), "seed {seed}");
        }
        house
    }

    pub fn disk_identity(&self, number: usize) -> DiskIdentity {
        DiskIdentity {
            store: self.store_id,
            disk: DiskId::from_bytes([number as u8 + 1; 16]),
        }
    }

    /// What the store is opened with, those disks that are there.
    pub fn options(&self, shelf: &SimShelf) -> Options {
        let (mut disks, mut absent, mut known) = (Vec::new(), Vec::new(), Vec::new());
        for (number, disk) in self.world.disks.iter().enumerate() {
            let path = Path::new("disk").join(number.to_string());
            let id = self.disk_identity(number).disk;
            let max_bytes = self.world.fate.disks[number].1;
            let tier = self.world.fate.tier(number);
            let disk: Arc<dyn Disk> = Planted::in_front_of(self.planted, disk.clone());
            known.push((path.clone(), id, Arc::clone(&disk)));
            match MountedDisk::with(disk, &path, self.store_id, id, max_bytes) {
                Ok(mut disk) => {
                    disk.tier = tier;
                    disks.push(disk);
                }
                Err(error) => absent.push(AbsentDisk {
                    wanted: config::Disk {
                        path,
                        max_bytes,
                        tier,
                    },
                    index: number,
                    id: Some(id),
                    error: error.to_string(),
                }),
            }
        }
        let m = self.m;
        let keys: SharedKeys = Arc::new(move |_| Some(MetadataKey::from_bytes(m)));
        let state = self.state.path().to_owned();
        let clock = self.world.clock();
        let mut options = Options::new(state, self.store_id, disks, keys, clock);
        options.absent = absent;
        options.doorkeeper = Some(Arc::new(Door {
            store: self.store_id,
            known,
        }));
        options.reserve_bytes_min = 0;
        options.queues = Arc::clone(&self.queues);
        options.catalog = Some(Arc::new(shelf.clone()));
        options.random = self.random.clone();
        options.log = Some(history::settings());
        let fate = &self.world.fate;
        let id = |disk| self.disk_identity(disk).disk;
        options.spread = self.world.upkeep.borrow().spread(fate, id);
        options.scrub = fate.scrub();
        let limits = fate.camera_max.iter().zip(&fate.keep_days);
        let cameras = fate.cameras.iter().zip(limits);
        options.cameras = cameras
            .map(|(model, (max_bytes, keep_days))| CameraBudget {
                streams: vec![model.stream],
                max_bytes: *max_bytes,
                keep_days: *keep_days,
                ..CameraBudget::default()
            })
            .collect();
        options
    }

    /// Starts the recorder; `None` where it cannot be.
    fn start(&self, with_cameras: bool) -> Option<Arc<Store>> {
        self.world.off.set(false);
        self.world.stop.set(false);
        // Footage is read again from the beginning, or nothing would be after the first minutes.
        _ = std::fs::remove_file(self.state.path().join("scrub.json"));
        self.world.started_us.set(self.world.now_us());
        let lock = lock::acquire(self.state.path()).unwrap();
        let mut options = self.options(&self.world.shelf);
        if with_cameras {
            Planted::in_budgets(self.planted, &mut options);
        }
        let in_memory = self.world.scarcity.borrow().state_fails();
        if in_memory {
            options.catalog = Some(Arc::new(Memory::default()));
        }
        let is_lost = in_memory || self.world.shelf.content().is_empty();
        let is_without = is_lost && !options.absent.is_empty();
        for (number, disk) in self.world.disks.iter().enumerate() {
            if !disk.state().faults.gone {
                self.world.begins_with(number);
            }
        }
        let opened = Store::open_driven(options, lock);
        let (store, hands, report) = opened
            .inspect_err(|error| tracing::warn!("the recorder does not start: {error}"))
            .ok()?;
        tracing::info!(at_us = self.world.now_us(), ?report, "the recorder starts");
        let store = Arc::new(store);
        let streams = self.world.fate.cameras.iter().map(|model| model.stream);
        let begins_anew = |stream: &_| is_without || matches!(store.last(stream), Ok(None));
        let now_us = self.world.now_us();
        let mut ledger = self.world.ledger.borrow_mut();
        ledger.begin_anew(streams.filter(begins_anew), now_us);
        drop(ledger);
        self.world.runs(hands, store.events());
        if with_cameras && !self.world.off.get() {
            for (number, camera) in self.world.cameras.borrow_mut().iter_mut().enumerate() {
                self.world.excuse_next(number);
                camera.connect(ByHand::new(
                    camera.model.stream,
                    self.store_id,
                    Arc::clone(&self.sealing),
                    Arc::clone(&store),
                    self.world.clock(),
                    self.random.clone(),
                ));
            }
        }
        Some(store)
    }

    /// Ends the recorder as it should, or what is left of it where it has died.
    fn end(&self, store: &Store) {
        if !self.world.off.get() {
            let mut cameras = self.world.cameras.take();
            cameras.iter_mut().for_each(|camera| camera.disconnect());
            self.world.cameras.replace(cameras);
            store.close();
        }
        let mut cameras = self.world.cameras.borrow_mut();
        cameras.iter_mut().for_each(|camera| camera.lose_box());
        drop(cameras);
        self.world.runs_no_more();
    }

    /// Lives through all that happens, and a minute more in which nothing does.
    pub fn live(&self) {
        let world = &self.world;
        let span_us = world.fate.span_us;
        let begun_us = world.now_us();
        world.excuse(0, begun_us, None);
        while world.now_us() < span_us {
            self.record_until(span_us);
            world.off.set(false);
            world.stop.set(false);
            let down_us = SECOND_US + world.chance.borrow_mut().below(10 * SECOND_US);
            let begun_us = world.now_us();
            world.run_until(begun_us + down_us);
            let now_us = world.now_us();
            world.excuse(begun_us, now_us, None);
        }
        world.heal();
        self.record_until(world.now_us() + 60 * SECOND_US);
        // What a start mends, and what retention does then; what could not be mended on a full disk is at the second.
        let begun_us = world.now_us();
        for _ in 0..2 {
            if let Some(store) = self.start(false) {
                world.run_until(world.now_us() + 5 * SECOND_US);
                let shown = world.fate.cameras.iter().map(|model| {
                    let all = store.timeline(&model.stream, i64::MIN, i64::MAX);
                    all.expect("the catalog can be read")
                });
                self.shown.replace(shown.collect());
                self.look_at_log(&store);
                self.end(&store);
            }
        }
        let now_us = world.now_us();
        world.excuse(begun_us, now_us, None);
    }

    /// Has done what is wanted with footage that lies there.
    fn keep_up(&self, store: &Store) {
        let mut upkeep = self.world.upkeep.take();
        upkeep.act(self, store);
        let meanwhile = self.world.upkeep.replace(upkeep);
        self.world
            .upkeep
            .borrow_mut()
            .wanted
            .extend(meanwhile.wanted);
    }

    /// Remembers what the log has published, and whom it accuses.
    fn look_at_log(&self, store: &Store) {
        let published = store.log().published().into_iter();
        let published = published.map(|published| (published.key, published.note));
        let ledger = &mut *self.world.ledger.borrow_mut();
        ledger.published.extend(published);
        if store.log().removed_count() > 0 {
            let models = self.world.fate.cameras.iter();
            let removed =
                models.flat_map(|model| store.log().removed(&model.stream, i64::MIN, i64::MAX));
            let removed = removed.map(|closed| closed.segment);
            let scarcity = self.world.scarcity.borrow();
            ledger.accuses(removed, &scarcity.forgotten, self.world.now_us());
        }
    }

    /// Records until then, or until the recorder ends.
    fn record_until(&self, end_us: u64) {
        let world = &self.world;
        let begun_us = world.now_us();
        let Some(store) = self.start(true) else {
            let now_us = world.now_us();
            world.excuse(begun_us, now_us, None);
            return;
        };
        let now_us = world.now_us();
        world.excuse(begun_us, now_us, None);
        let is_healed = world.script.borrow().is_empty() && end_us > world.fate.span_us;
        while world.now_us() < end_us && !world.off.get() && !world.stop.get() {
            world.run_until(end_us.min(world.now_us() + SECOND_US));
            self.look_at_log(&store);
            if !world.off.get() && is_healed {
                world.holds.borrow_mut().end(world, &store);
            } else if !world.off.get() {
                world.holds.borrow_mut().act(world, &store);
            }
            if !world.off.get() {
                self.keep_up(&store);
            }
            if !world.off.get() && !world.stop.get() {
                budgets::judge(self, now_us);
                progress::judge(self, now_us);
            }
            let queued = self.queues.queued_bytes();
            if queued > world.fate.queue_bytes + ENDS_BYTES_MAX {
                let mut ledger = world.ledger.borrow_mut();
                ledger.violated(format!("{queued} bytes are queued"));
            }
        }
        let ended_us = world.now_us();
        self.end(&store);
        let now_us = world.now_us();
        world.excuse(ended_us, now_us, None);
    }
}

/// Lets a disk in again that was away, as soon as it answers.
struct Door {
    store: StoreId,
    known: Vec<(std::path::PathBuf, DiskId, Arc<dyn Disk>)>,
}

impl Doorkeeper for Door {
    fn admit(&self, wanted: &config::Disk, _: &[Arc<MountedDisk>]) -> Result<MountedDisk, String> {
        let mut known = self.known.iter();
        let (_, id, disk) = known
            .find(|(path, ..)| *path == wanted.path)
            .ok_or("no such disk")?;
        let disk = Arc::clone(disk);
        let mounted = MountedDisk::with(disk, &wanted.path, self.store, *id, wanted.max_bytes);
        let mut mounted = mounted.map_err(|error| error.to_string())?;
        mounted.tier = wanted.tier;
        Ok(mounted)
    }
}
