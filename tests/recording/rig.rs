//! A recorder over a store in temporary folders.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hearthkeep::clock::{Clock, SystemClock};
use hearthkeep::config::{Camera, Config};
use hearthkeep::keys::Sealing;
use hearthkeep::record::{LiveHub, Phase, Recorder, Setting, Source, StreamSnapshot};
use hearthkeep::store::{GapSpan, Span, Store};
use hearthkeep_format::segment::GapCause;
use hearthkeep_format::{BootId, MetadataKey, SeededRandom, StreamId};

use crate::scripted::{IDR, SLICE, Scripted, Step, video};
use crate::store_support::{GENERATION, Home, until};

/// 30 pictures a second.
pub const PICTURE_TICKS: u32 = 3_000;

/// A recorder at work. It ends when this is dropped.
pub struct Rig {
    pub home: Home,
    pub store: Arc<Store>,
    pub clock: Arc<PanickyClock>,
    recorder: Option<Recorder>,
}

impl Rig {
    pub fn start(cameras: &[&Scripted]) -> Self {
        let home = Home::new(77);
        let store = home.open().0;
        Self::start_on(home, store, cameras)
    }

    pub fn start_on(home: Home, store: Store, cameras: &[&Scripted]) -> Self {
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
        let source = |(number, camera): (u64, &&Scripted)| Source {
            id: StreamId::random(&mut SeededRandom::new(number)),
            camera: configured(camera.port),
        };
        let sources = (1..).zip(cameras).map(source).collect();
        let recorder = Some(Recorder::start(sources, setting).unwrap());
        Self {
            home,
            store,
            clock,
            recorder,
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

    /// The causes of a camera's gaps, in the order of time.
    pub fn causes(&self, camera: usize) -> Vec<Option<GapCause>> {
        self.gaps(camera).iter().map(|gap| gap.cause).collect()
    }

    pub fn gaps(&self, camera: usize) -> Vec<GapSpan> {
        self.timeline(camera).gaps
    }

    fn timeline(&self, camera: usize) -> hearthkeep::store::Timeline {
        let id = StreamId::random(&mut SeededRandom::new(camera as u64 + 1));
        self.store.timeline(&id, i64::MIN, i64::MAX).unwrap()
    }

    /// Ends recording; all that was taken is durable then.
    pub fn stop(&mut self) {
        self.recorder.take().unwrap().stop();
        self.store.close();
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

/// The machine's clock, which panics once on the thread that reads cameras when it was armed: as if a library did.
#[derive(Default)]
pub struct PanickyClock {
    real: SystemClock,
    pub armed: AtomicBool,
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
        self.real.monotonic_us()
    }

    fn boot_id(&self) -> BootId {
        self.real.boot_id()
    }

    fn trusted(&self) -> bool {
        true
    }
}
