//! Time, and who acts when: one thing after another, on one thread, in an order that follows from the seed.
//!
//! Whatever waits for a disk lets the world go on meanwhile ([`pass`]): cameras send, other disks write, the power fails. So a
//! turn of one piece of work may lie within the turn of another.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use hearthkeep::clock::{Clock, SimClock};
use hearthkeep::store::turns::Hands;
use hearthkeep::store::writer::Event;
use hearthkeep_format::StreamId;
use tokio::sync::broadcast;

use crate::budgets;
use crate::cameras::Camera;
use crate::chance::Chance;
use crate::database::SimShelf;
use crate::disk::SimDisk;
use crate::happenings::{Fate, Happening};
use crate::history::Holds;
use crate::ledger::{Before, Ledger, Written, place_of};
use crate::scarcity::{Footage, Scarcity};
use crate::upkeep::Upkeep;

/// True wall time at the beginning, us.
pub const START_US: i64 = 1_790_000_000_000_000;

const SECOND_US: u64 = 1_000_000;
/// What a chunk has beside its pictures.
const CHUNK_BYTES: u64 = 300;
/// See [`World::ahead`].
const AHEAD_S: u64 = 8;

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// The world of one seed.
pub struct World {
    pub fate: Fate,
    pub disks: Vec<SimDisk>,
    pub shelf: SimShelf,
    pub cameras: RefCell<Vec<Camera>>,
    pub ledger: RefCell<Ledger>,
    pub chance: RefCell<Chance>,
    /// The process has ended, and nothing that it still does has an effect.
    pub off: Cell<bool>,
    /// Somebody wants the recorder to stop.
    pub stop: Cell<bool>,
    /// True time since the beginning, us.
    now_us: Cell<u64>,
    pub script: RefCell<VecDeque<(u64, Happening)>>,
    pub clock: RefCell<Arc<SimClock>>,
    hands: RefCell<Hands>,
    events: RefCell<Option<broadcast::Receiver<Event>>>,
    pub forgets_time: Cell<bool>,
    pub holds: RefCell<Holds>,
    pub upkeep: RefCell<Upkeep>,
    pub scarcity: RefCell<Scarcity>,
    /// The folder of small files of the box.
    pub state_folder: RefCell<PathBuf>,
    /// When the recorder was started last, true time, us.
    pub started_us: Cell<u64>,
    /// By how much the box's clock is off, us.
    pub off_us: Cell<i64>,
    pub power_cuts: Cell<u64>,
    pub kills: Cell<u64>,
    /// Who acted when, and what the disks held then, in one number.
    pub story: Cell<u64>,
}

/// Who acts.
enum Actor {
    Work(usize),
    Camera(usize),
    Script,
}

/// Lets time pass, and what happens in it. Returns how long it took, which may be longer; us.
pub fn pass(us: u64) -> u64 {
    with(0, |world| world.pass(us))
}

/// Whether the process has ended.
pub fn is_off() -> bool {
    with(false, |world| world.off.get())
}

/// A disk gave trouble with footage for so long, up to now.
pub fn trouble(disk: usize, us: u64) {
    with((), |world| {
        let now_us = world.now_us();
        let from_us = now_us.saturating_sub(us);
        let excuses = &mut world.ledger.borrow_mut().excuses;
        excuses.trouble(disk, from_us, now_us);
    });
}

/// A stream's footage is written to a disk.
pub fn touch(disk: usize, stream: StreamId) {
    with((), |world| {
        let excuses = &mut world.ledger.borrow_mut().excuses;
        excuses.touch(disk, stream, world.now_us());
    });
}

/// The catalog was not made durable, so that nothing is deleted now.
pub fn catalog_failed() {
    with((), |world| world.plans_wait(None, false));
}

/// A disk did not let a file be removed.
pub fn not_removed(disk: usize, path: &Path) {
    with((), |world| {
        world.ledger.borrow_mut().refused.insert(path.to_owned());
        // What was planned with it waits as well, until the next start where it must.
        world.plans_wait(Some(disk), true);
    });
}

/// A call of a disk failed.
pub fn failed(disk: usize) {
    with((), |world| {
        let now_us = world.now_us();
        world.scarcity.borrow_mut().fails(disk, now_us);
    });
}

/// A disk said that it is full which shows room, and has this footage.
pub fn refused_room(disk: usize, footage: Footage, is_footage: bool) {
    with((), |world| {
        let now_us = world.now_us();
        let mut scarcity = world.scarcity.borrow_mut();
        scarcity.refuses(disk, footage, world.fate.cameras.len());
        scarcity.fails(disk, now_us);
        if is_footage {
            let excuses = &mut world.ledger.borrow_mut().excuses;
            excuses.is_full(disk, now_us, now_us);
        }
    });
}

/// So many bytes of footage came to a disk: they were recorded, or moved there.
pub fn written(disk: usize, stream: StreamId, bytes: u64, is_moved: bool) {
    with((), |world| {
        let at_us = world.now_us();
        let written = Written {
            at_us,
            disk,
            stream,
            bytes,
            is_moved,
        };
        let mut ledger = world.ledger.borrow_mut();
        ledger.writes(written, budgets::WRITTEN_US);
    });
}

/// A file was removed from a disk that had so much room before.
pub fn removed(disk: usize, path: &Path, content: Vec<u8>, free: u64) {
    with((), |world| world.removed(disk, path, content, free));
}

fn with<T>(otherwise: T, act: impl FnOnce(&World) -> T) -> T {
    let world = WORLD.with_borrow(Clone::clone);
    world.map_or(otherwise, |world| act(&world))
}

impl World {
    /// Begins the world of a seed, which is this thread's from now on.
    pub fn begin(seed: u64) -> Rc<Self> {
        let fate = Fate::of(seed);
        let mut chance = Chance::of(!seed);
        let disks = fate.disks.iter().enumerate();
        let disks = disks
            .map(|(number, (capacity, _))| {
                SimDisk::new(number, *capacity, seed ^ (number as u64 + 1) << 40)
            })
            .collect();
        let models = fate.cameras.iter().cloned();
        let cameras = models
            .map(|model| {
                let offset_us = chance.below(model.period_us);
                Camera::new(model, offset_us)
            })
            .collect();
        let world = Rc::new(Self {
            disks,
            shelf: SimShelf::default(),
            cameras: RefCell::new(cameras),
            ledger: RefCell::default(),
            chance: RefCell::new(chance),
            off: Cell::new(false),
            stop: Cell::new(false),
            now_us: Cell::new(0),
            script: RefCell::new(fate.script.clone().into()),
            clock: RefCell::new(Arc::new(SimClock::new(START_US))),
            hands: RefCell::default(),
            events: RefCell::default(),
            forgets_time: Cell::new(false),
            holds: RefCell::default(),
            upkeep: RefCell::default(),
            scarcity: RefCell::default(),
            state_folder: RefCell::default(),
            started_us: Cell::default(),
            off_us: Cell::default(),
            power_cuts: Cell::default(),
            kills: Cell::default(),
            story: Cell::default(),
            fate,
        });
        WORLD.set(Some(Rc::clone(&world)));
        world
    }

    /// Nothing moves any more.
    pub fn end() {
        WORLD.set(None);
    }

    pub fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    pub fn clock(&self) -> Arc<SimClock> {
        Arc::clone(&self.clock.borrow())
    }

    /// The box runs, with these.
    pub fn runs(&self, hands: Hands, events: broadcast::Receiver<Event>) {
        self.hands.replace(hands);
        self.events.replace(Some(events));
    }

    /// The box runs no more. What it was at stays as it is.
    pub fn runs_no_more(&self) {
        self.hear();
        self.hands.take().let_go();
        self.events.take();
        self.ledger.borrow_mut().all_are_closed();
        self.holds.borrow_mut().lose();
        self.scarcity.borrow_mut().ends(self.now_us());
        self.upkeep.borrow_mut().ends();
    }

    /// Goes on until this time, or until the process ends or is to stop.
    pub fn run_until(&self, end_us: u64) {
        while !self.off.get() && !self.stop.get() && self.act(end_us) {}
        if !self.off.get() && !self.stop.get() {
            self.go_to(end_us);
        }
    }

    fn pass(&self, us: u64) -> u64 {
        let begun_us = self.now_us();
        let end_us = begun_us + us;
        while !self.off.get() && self.act(end_us) {}
        if !self.off.get() {
            self.go_to(end_us);
        }
        self.now_us() - begun_us
    }

    /// Lets the next one act, if it is due by then.
    fn act(&self, end_us: u64) -> bool {
        let Some((at_us, actor)) = self.next().filter(|(at_us, _)| *at_us <= end_us) else {
            return false;
        };
        self.go_to(at_us);
        self.tell(at_us, &actor);
        match actor {
            Actor::Work(number) => {
                let hands = self.hands.borrow().clone();
                hands.turn(number);
                if !self.off.get() {
                    self.hear();
                }
            }
            Actor::Camera(number) => {
                let clock = self.clock();
                let sent = self.cameras.borrow_mut()[number].send(at_us, &*clock);
                if let Err(what) = sent {
                    self.ledger.borrow_mut().violated(what);
                }
            }
            Actor::Script => {
                let happening = self.script.borrow_mut().pop_front();
                if let Some((_, happening)) = happening {
                    self.happens(happening);
                }
            }
        }
        true
    }

    fn tell(&self, at_us: u64, actor: &Actor) {
        let who = match actor {
            Actor::Work(number) => *number as u64,
            Actor::Camera(number) => 100 + *number as u64,
            Actor::Script => 200,
        };
        let bytes: u64 = match actor {
            Actor::Script => self.files().iter().map(|(.., bytes)| bytes).sum(),
            _ => 0,
        };
        let told = self.story.get() ^ at_us ^ who << 48 ^ bytes;
        self.story.set(Chance::of(told).below(u64::MAX));
    }

    /// Who is due first, and when; by chance where several are.
    fn next(&self) -> Option<(u64, Actor)> {
        let now_us = self.now_us();
        let monotonic_us = self.clock.borrow().monotonic_us();
        let work = self.hands.borrow().waiting().into_iter();
        let work = work.map(|(at_us, number)| {
            let at_us = now_us + at_us.saturating_sub(monotonic_us);
            (at_us, Actor::Work(number))
        });
        let cameras = self.cameras.borrow();
        let cameras = cameras.iter().enumerate();
        let cameras =
            cameras.map(|(number, camera)| (camera.next_us().max(now_us), Actor::Camera(number)));
        let script = self.script.borrow();
        let script = script.front().map(|(at_us, _)| *at_us);
        let script = script.map(|at_us| (at_us.max(now_us), Actor::Script));
        let all = work.chain(cameras).chain(script);
        let mut first: Vec<(u64, Actor)> = Vec::new();
        for (at_us, actor) in all {
            if first.first().is_some_and(|(us, _)| at_us < *us) {
                first.clear();
            }
            if first.first().is_none_or(|(us, _)| at_us == *us) {
                first.push((at_us, actor));
            }
        }
        let chosen = self.chance.borrow_mut().below(first.len() as u64) as usize;
        Some(first.swap_remove(chosen))
    }

    fn go_to(&self, at_us: u64) {
        let mut left_us = at_us.saturating_sub(self.now_us());
        self.now_us.set(at_us.max(self.now_us()));
        while left_us > 0 {
            let step_us = u32::try_from(left_us).unwrap_or(u32::MAX);
            self.clock.borrow().advance_us(step_us);
            left_us -= u64::from(step_us);
        }
    }

    /// Takes note of what the store says.
    pub fn hear(&self) {
        let mut events = self.events.borrow_mut();
        while let Some(Ok(event)) = events.as_mut().map(broadcast::Receiver::try_recv) {
            tracing::debug!(at_us = self.now_us(), "{event:?}");
            self.ledger.borrow_mut().hears(&event, self.now_us());
        }
    }

    fn removed(&self, disk: usize, path: &Path, content: Vec<u8>, free: u64) {
        let (at_us, bytes) = (self.now_us(), content.len());
        tracing::info!(at_us, disk, bytes, path = %path.display(), "removed");
        let mut files = self.files();
        files.push((disk, path.to_owned(), content.len() as u64));
        let stream = place_of(path).map(|(stream, ..)| stream);
        let camera = self
            .fate
            .cameras
            .iter()
            .position(|model| Some(model.stream) == stream);
        let segment = place_of(path).map(|(.., segment)| segment);
        let is_planned = segment.is_some_and(|segment| {
            let excuses = &self.ledger.borrow().excuses;
            excuses.is_planned(self.now_us(), disk, &segment)
        });
        let on_it = files.iter().filter(|(on, ..)| *on == disk);
        let moving = on_it.filter(|(_, of, _)| match of == path {
            true => self.is_durable_elsewhere(disk, path, &content),
            false => self.is_elsewhere(disk, of),
        });
        let moving = moving.filter_map(|(_, path, _)| Some(place_of(path)?.2));
        let limit = self.scarcity.borrow().limit(disk);
        let before = Before {
            files: &files,
            camera_max: camera.and_then(|camera| self.fate.camera_max[camera]),
            disk_max: self.fate.disks[disk].1,
            free,
            reserve: self.reserve(disk),
            ahead: self.ahead(disk),
            camera_ahead: camera.map_or(0, |camera| self.camera_ahead(camera)),
            is_held: camera.is_some_and(|camera| self.holds.borrow().is_held(camera)),
            is_planned,
            moving: &moving.collect(),
            limit: limit.map(|limited| limited.bytes),
            could_move: self.could_move(disk, content.len() as u64),
        };
        if let Some(segment) = segment {
            let disks = self.disks.len();
            self.scarcity
                .borrow_mut()
                .deletes(segment, disks, self.now_us());
        }
        self.ledger
            .borrow_mut()
            .removes(disk, path, content, &before);
    }

    /// What was planned to be deleted, of a disk or of all, may be so later; also by the next start, where that goes on with it.
    pub fn plans_wait(&self, disk: Option<usize>, goes_on: bool) {
        let files = self.files().into_iter();
        let on_it = files.filter(|(on, ..)| disk.is_none_or(|disk| disk == *on));
        let segments = on_it.filter_map(|(_, path, _)| Some(place_of(&path)?.2));
        let excuses = &mut self.ledger.borrow_mut().excuses;
        excuses.plan_waits(self.now_us(), disk, segments.collect(), goes_on);
    }

    /// Whether a file of this content is on another disk too, whatever happens.
    fn is_durable_elsewhere(&self, disk: usize, path: &Path, content: &[u8]) -> bool {
        let mut others = self.disks.iter().enumerate().filter(|(on, _)| *on != disk);
        others.any(|(_, other)| other.state().image.durable(path) == Some(content))
    }

    /// Whether what is in a file is on another disk too, whatever happens.
    pub fn is_elsewhere(&self, disk: usize, path: &Path) -> bool {
        let state = self.disks[disk].state();
        let file = state.image.file(path);
        file.is_ok_and(|file| self.is_durable_elsewhere(disk, path, state.image.content(file)))
    }

    /// What the cameras may send in some seconds, and a hundredth of what the disk may hold.
    pub fn ahead(&self, disk: usize) -> u64 {
        let per_s: u64 = self.fate.cameras.iter().map(bytes_per_s).sum();
        let (capacity, max) = self.fate.disks[disk];
        per_s * AHEAD_S + max.unwrap_or(capacity).min(capacity) / 100
    }

    /// The same of one camera and what it may have.
    fn camera_ahead(&self, camera: usize) -> u64 {
        let max = self.fate.camera_max[camera].unwrap_or(0);
        bytes_per_s(&self.fate.cameras[camera]) * AHEAD_S + max / 100
    }

    /// Bytes that are to be free on a disk.
    pub fn reserve(&self, disk: usize) -> u64 {
        self.disks[disk].state().capacity / 100 * hearthkeep::limits::RESERVE_PERCENT
    }

    /// All files of footage: their disks, paths and sizes.
    pub fn files(&self) -> Vec<(usize, std::path::PathBuf, u64)> {
        let mut found = Vec::new();
        for (number, disk) in self.disks.iter().enumerate() {
            let state = disk.state();
            let files = state.image.all_files();
            let of_footage = files.filter(|(path, _)| place_of(path).is_some());
            found.extend(
                of_footage.map(|(path, content)| (number, path.to_owned(), content.len() as u64)),
            );
        }
        found
    }
}

fn bytes_per_s(model: &crate::cameras::Model) -> u64 {
    (model.bytes + CHUNK_BYTES) * SECOND_US / model.period_us
}
