//! A store on several disks whose turns and time the test gives, and whose disks come and go as it says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hearthkeep::clock::{Clock, SimClock};
use hearthkeep::config;
use hearthkeep::disk::RealDisk;
use hearthkeep::store::layout;
use hearthkeep::store::recovery::Report;
use hearthkeep::store::turns::Hands;
use hearthkeep::store::{
    AbsentDisk, DiskStatus, DiskUse, Doorkeeper, MountedDisk, Options, Store, lock,
};
use hearthkeep_format::{DiskId, SegmentId, StoreId};

use super::store_support::{Home, START_US, Sealed, Stream, until};

pub const SECOND_US: u64 = 1_000_000;

/// A store at work. It has no threads: nothing happens but in [`Rig::pass`].
pub struct Rig<'a> {
    pub home: &'a Home,
    pub store: Store,
    pub hands: Hands,
    pub report: Report,
}

/// A home whose time stands still, with an empty folder for further disks.
pub fn still_home(seed: u64) -> (Home, tempfile::TempDir) {
    let mut home = Home::new(seed);
    home.clock = Arc::new(SimClock::new(START_US));
    (home, tempfile::tempdir().unwrap())
}

/// Makes the folder of another disk, and the disk.
pub fn second_disk(home: &Home, folder: &Path, number: u8) -> MountedDisk {
    std::fs::create_dir_all(folder).unwrap();
    home.another_disk(folder, number)
}

/// Options with the home's disk and these.
pub fn options(home: &Home, disks: Vec<MountedDisk>) -> Options {
    let mut options = home.options();
    options.disks.extend(disks);
    options.pace = Default::default();
    let doorkeeper = Door {
        store: home.store,
        asked: AtomicU64::new(0),
    };
    options.doorkeeper = Some(Arc::new(doorkeeper));
    options
}

impl<'a> Rig<'a> {
    pub fn open(home: &'a Home, options: Options) -> Self {
        // A child that another test starts holds it too, from its fork until it becomes its program.
        let mut lock = None;
        until("the lock is free", || {
            lock = lock::acquire(home.state.path()).ok();
            lock.is_some()
        });
        let (store, hands, report) = Store::open_driven(options, lock.unwrap()).unwrap();
        Self {
            home,
            store,
            hands,
            report,
        }
    }

    /// Lets so much time pass; all that is due in it is done.
    pub fn pass(&self, us: u64) {
        let until_us = self.home.clock.monotonic_us() + us;
        while let Some((at_us, number)) = self.hands.waiting().into_iter().min() {
            if at_us > until_us {
                break;
            }
            let now_us = self.home.clock.monotonic_us();
            self.advance(at_us.saturating_sub(now_us));
            self.hands.turn(number);
        }
        let now_us = self.home.clock.monotonic_us();
        self.advance(until_us.saturating_sub(now_us));
    }

    /// Time passes in which nothing is done.
    pub fn advance(&self, mut us: u64) {
        while us > 0 {
            let step = u32::try_from(us).unwrap_or(u32::MAX);
            self.home.clock.advance_us(step);
            us -= u64::from(step);
        }
    }

    /// Gives so many turns, each at its time.
    pub fn turns(&self, count: u64) {
        for _ in 0..count {
            let Some((at_us, number)) = self.hands.waiting().into_iter().min() else {
                return;
            };
            let now_us = self.home.clock.monotonic_us();
            self.advance(at_us.saturating_sub(now_us));
            self.hands.turn(number);
        }
    }

    /// Records a segment and waits until it is catalogued; says on which disk it is.
    pub fn record(&self, stream: &mut Stream) -> (Sealed, PathBuf) {
        let sealed = stream.seal(2, 20_000);
        sealed.record(&self.store);
        self.pass(5 * SECOND_US);
        let path = self.where_is(&sealed);
        (sealed, path)
    }

    /// The disk that a segment's file is on.
    pub fn where_is(&self, sealed: &Sealed) -> PathBuf {
        let disks = self.store.disks();
        let path = path_of(sealed);
        let has_it = |status: &&DiskStatus| status.path.join(&path).exists();
        let found: Vec<_> = disks.iter().filter(has_it).collect();
        assert_eq!(found.len(), 1, "it is on one disk");
        found[0].path.clone()
    }

    pub fn status(&self, disk: &Path) -> DiskStatus {
        let disks = self.store.disks();
        disks.into_iter().find(|s| s.path == disk).unwrap()
    }

    pub fn is(&self, disk: &Path) -> DiskUse {
        self.status(disk).state
    }

    /// What the store hands out of a segment.
    pub fn read(&self, sealed: &Sealed) -> Vec<u8> {
        use hearthkeep_format::segment::ReadAt as _;
        let open = self
            .store
            .open_segment(&sealed.new.stream, &sealed.new.segment)
            .unwrap();
        let mut bytes = vec![0; open.front.size() as usize];
        open.front.read_at(0, &mut bytes).unwrap();
        bytes
    }

    /// The process dies here: nothing more is written.
    pub fn die(self) {
        self.hands.let_go();
    }
}

/// Where a segment's file is, below a disk.
pub fn path_of(sealed: &Sealed) -> PathBuf {
    let new = &sealed.new;
    layout::segment_path(&new.stream, &new.epoch, &new.segment)
}

/// All files below folders, by their segment; and those that are none.
pub fn segments_on(disks: &[&Path]) -> (BTreeMap<SegmentId, Vec<PathBuf>>, Vec<PathBuf>) {
    let (mut segments, mut others) = (BTreeMap::new(), Vec::new());
    for disk in disks {
        let footage = disk.join(layout::FOOTAGE);
        if !footage.exists() {
            continue;
        }
        for file in super::installation::Installation::files(&footage) {
            let name = file.file_name().unwrap().to_str().unwrap();
            match layout::segment_of(name) {
                Some(id) => segments.entry(id).or_insert_with(Vec::new).push(file),
                None => others.push(file),
            }
        }
    }
    (segments, others)
}

/// Lets in whatever disk of the store is there.
pub struct Door {
    pub store: StoreId,
    pub asked: AtomicU64,
}

impl Doorkeeper for Door {
    fn admit(&self, wanted: &config::Disk, _: &[Arc<MountedDisk>]) -> Result<MountedDisk, String> {
        self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let admit = || {
            let disk = RealDisk::open(&wanted.path).map_err(|error| error.to_string())?;
            let found = layout::identify(&disk, &wanted.path).map_err(|error| error.to_string())?;
            let found = found.ok_or("its disk is not mounted")?;
            MountedDisk::open(&wanted.path, self.store, found.disk, wanted.max_bytes)
                .map_err(|error| error.to_string())
        };
        let mut disk = admit()?;
        disk.tier = wanted.tier;
        Ok(disk)
    }
}

/// That a disk of the configuration is away when the store is opened.
pub fn away(path: &Path, index: usize, id: Option<DiskId>) -> AbsentDisk {
    AbsentDisk {
        wanted: config::Disk {
            path: path.to_owned(),
            max_bytes: None,
            tier: config::Tier::Hot,
        },
        index,
        id,
        error: "it is away".to_owned(),
    }
}
