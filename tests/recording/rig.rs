//! A recorder over a store in temporary folders.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use hearthkeep::clock::{Clock, SystemClock};
use hearthkeep::config::{Camera, Config};
use hearthkeep::keys::Sealing;
use hearthkeep::record::{LiveHub, Phase, Recorder, Setting, Source, StreamSnapshot};
use hearthkeep::store::writer::Event;
use hearthkeep::store::{GapSpan, Span, Store};
use hearthkeep_format::segment::GapCause;
use hearthkeep_format::{BootId, MetadataKey, SeededRandom, StreamId};

use tokio::sync::broadcast;

use crate::scripted::{IDR, SLICE, Script, Scripted, Step, video};
use crate::store_support::{Faults, FaultyDisk, GENERATION, Home, until};

/// 30 pictures a second.
pub const PICTURE_TICKS: u32 = 3_000;

/// A recorder at work. It ends when this is dropped.
pub struct Rig {
    pub home: Home,
    pub store: Arc<Store>,
    pub clock: Arc<PanickyClock>,
    recorder: Option<Recorder>,
    faults: Option<Arc<Faults>>,
    events: broadcast::Receiver<Event>,
    /// Why there was a gap before each segment that a disk took, by stream and sequence number.
    gaps_before: BTreeMap<(StreamId, u64), Option<GapCause>>,
}

impl Rig {
    pub fn start(cameras: &[&Scripted]) -> Self {
        let home = Home::new(77);
        let store = home.open().0;
        Self::start_on(home, store, cameras)
    }

    /// The same on a disk that fails when told to.
    pub fn start_on_faulty(cameras: &[&Scripted]) -> (Self, Arc<Faults>) {
        let home = Home::new(78);
        let (disk, faults) = FaultyDisk::new(home.disk.path());
        let store = home.open_with(home.options_on(disk)).0;
        let mut rig = Self::start_on(home, store, cameras);
        rig.faults = Some(Arc::clone(&faults));
        (rig, faults)
    }

    fn start_on(home: Home, store: Store, cameras: &[&Scripted]) -> Self {
        let clock = Arc::new(PanickyClock::default());
        let store = Arc::new(store);
        let setting = Setting {
            store_id: home.store,
            sealing: Sealing {
                generation: GENERATION,
                recipient: home.generation.recipient(),
                metadata_key: MetadataKey::from_bytes(home.m),
            },
            store: Arc::clone(&store),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        };
        let events = store.events();
        let source = |(number, camera): (usize, &&Scripted)| Source {
            id: stream(number),
            camera: configured(camera.port),
        };
        let sources = cameras.iter().enumerate().map(source).collect();
        let recorder = Some(Recorder::start(sources, setting).unwrap());
        Self {
            home,
            store,
            clock,
            recorder,
            faults: None,
            events,
            gaps_before: BTreeMap::new(),
        }
    }

    fn recorder(&self) -> &Recorder {
        self.recorder.as_ref().unwrap()
    }

    pub fn snapshot(&self, camera: usize) -> StreamSnapshot {
        self.recorder().streams()[camera].snapshot()
    }

    pub fn hub(&self, camera: usize) -> &Arc<LiveHub> {
        self.recorder().streams()[camera].hub()
    }

    pub fn casualty(&self) -> Option<String> {
        self.recorder().casualty()
    }

    pub fn until_phase(&self, camera: usize, phase: Phase) {
        until(&format!("it is {}", phase.as_str()), || {
            self.snapshot(camera).phase == phase
        });
    }

    /// The segments of a camera, in their order, as far as they are durable.
    pub fn segments(&self, camera: usize) -> Vec<Span> {
        let mut segments = self.timeline(camera).segments;
        segments.sort_by_key(|span| span.sequence);
        segments
    }

    /// What each segment of a camera says of the gap before it. A clock that a camera runs ahead of hides gaps from the
    /// timeline, but not from here.
    pub fn causes(&mut self, camera: usize) -> Vec<Option<GapCause>> {
        loop {
            let segment = match self.events.try_recv() {
                Ok(
                    Event::Durable(segment)
                    | Event::Closed(segment)
                    | Event::Abandoned(segment)
                    | Event::Poisoned(segment, _),
                ) => segment,
                Ok(_) => continue,
                Err(broadcast::error::TryRecvError::Lagged(missed)) => {
                    panic!("{missed} events were missed")
                }
                Err(_) => break,
            };
            let (new, start) = (&segment.new, &segment.new.start);
            let cause = start.gap.map(|gap| gap.cause);
            self.gaps_before.insert((new.stream, start.sequence), cause);
        }
        let of_it = self
            .gaps_before
            .iter()
            .filter(|((id, _), _)| *id == stream(camera));
        of_it.map(|(_, cause)| *cause).collect()
    }

    pub fn gaps(&self, camera: usize) -> Vec<GapSpan> {
        self.timeline(camera).gaps
    }

    fn timeline(&self, camera: usize) -> hearthkeep::store::Timeline {
        self.store
            .timeline(&stream(camera), i64::MIN, i64::MAX)
            .unwrap()
    }

    /// Ends recording; all that was taken is durable then.
    pub fn stop(&mut self) {
        self.recorder.take().unwrap().stop();
        self.store.close();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.clock.hang(false);
        // A test that failed meanwhile would wait for ever until its store is closed.
        if let Some(faults) = &self.faults {
            faults.stall(false);
        }
    }
}

pub fn stream(camera: usize) -> StreamId {
    StreamId::random(&mut SeededRandom::new(camera as u64 + 1))
}

pub fn script(steps: Vec<Vec<Step>>) -> Script {
    Script {
        steps: steps.into_iter().flatten().collect(),
        ..Script::default()
    }
}

fn configured(port: u16) -> Camera {
    let text = format!(
        "state_dir = \"s\"\n[[disk]]\npath = \"d\"\n[[camera]]\nname = \"c\"\nurl = \"rtsp://127.0.0.1:{port}/live\"\n"
    );
    let config = Config::parse(&text, std::path::Path::new("test.toml")).unwrap();
    config.cameras.into_iter().next().unwrap()
}

/// Pictures of one GOP, from this number on.
pub fn gop(first: u32, pictures: u32) -> Vec<Step> {
    let picture = |n: u32| video(n * PICTURE_TICKS, if n == first { IDR } else { SLICE });
    (first..first + pictures).map(picture).collect()
}

/// The same as a camera sends them, one after another.
pub fn live_gop(first: u32, pictures: u32) -> Vec<Step> {
    let wait = || Step::Pause(Duration::from_micros(33_333));
    let pictures = gop(first, pictures).into_iter();
    pictures.flat_map(|picture| [wait(), picture]).collect()
}

/// The machine's clock, which panics once on the thread that reads cameras when it was armed: as if a library did.
#[derive(Default)]
pub struct PanickyClock {
    real: SystemClock,
    pub armed: AtomicBool,
    hangs: Mutex<bool>,
    go_on: Condvar,
    /// The time at which it stands on that thread, if it does.
    stands_at_us: Mutex<Option<u64>>,
}

impl PanickyClock {
    /// Makes the thread that reads cameras hang when it asks for the time, or lets it go on.
    pub fn hang(&self, hangs: bool) {
        *self.hangs.lock().unwrap() = hangs;
        self.go_on.notify_all();
    }
}

impl PanickyClock {
    /// Lets no time pass on the thread that reads cameras.
    pub fn stand_still(&self, stands: bool) {
        let now_us = self.real.monotonic_us();
        *self.stands_at_us.lock().unwrap() = stands.then_some(now_us);
    }
}

impl Clock for PanickyClock {
    fn wall_us(&self) -> i64 {
        self.real.wall_us()
    }

    fn monotonic_us(&self) -> u64 {
        let on_ingest = std::thread::current().name() == Some("ingest");
        assert!(
            !(on_ingest && self.armed.swap(false, Ordering::SeqCst)),
            "on purpose"
        );
        if on_ingest {
            let hangs = self.hangs.lock().unwrap();
            drop(self.go_on.wait_while(hangs, |hangs| *hangs).unwrap());
        }
        let stands_at_us = *self.stands_at_us.lock().unwrap();
        match stands_at_us.filter(|_| on_ingest) {
            Some(at_us) => at_us,
            None => self.real.monotonic_us(),
        }
    }

    fn boot_id(&self) -> BootId {
        self.real.boot_id()
    }

    fn trusted(&self) -> bool {
        true
    }
}
