//! From cameras to sealed segments.
//!
//! One task a stream, all on the ingest thread. The contract of a task:
//!
//! 1. A run begins at the first key frame of an RTSP session and ends with it. Samples of a run come out exactly once, in
//!    order; between runs there is a gap with a cause, in the start block of the next segment.
//! 2. A segment begins with a key frame and ends before one, when it is due. Where the disk refuses a fragment, the segment
//!    is ended well, the fragment and those after it go to live viewers only, and the next key frame that the disk takes begins
//!    a segment.
//! 3. Told to stop, a task hands over everything it has taken, footer included, before it ends.
//! 4. A panic ends a run and no more: what was sealed before is kept, and the camera is tried again like after any failure.
//! 5. Nothing here waits for a disk, a viewer or another camera.
//!
//! [`ByHand`] records one stream without such a task.

mod anchor;
mod by_hand;
mod damage;
mod gap;
mod live;
mod progress;
mod run;
mod sealing;
mod segment;
mod state;
mod stream;
mod told;
mod waiting;
mod watchdog;
mod writing;

use std::sync::{Arc, mpsc};

use hearthkeep_format::segment::GapCause;
use hearthkeep_format::{StoreId, StreamId};
use tokio::sync::watch;

pub use by_hand::ByHand;
pub use gap::{DAMAGED, OpenGap, ROTTEN, Stuck, sentence};
pub use live::{Joined, LiveHub, RecentChunk, chunk_message, head_message};
pub use state::{Phase, StreamSnapshot, Trouble};
pub use waiting::Waiting;

use crate::camera::ingest::Ingest;
use crate::clock::Clock;
use crate::config::Camera;
use crate::keys::Sealing;
use crate::limits::SEGMENT_US_MAX;
use crate::random::SharedRandom;
use crate::store::Store;
use progress::Progress;
use state::StreamState;
use stream::StreamTask;
use watchdog::Watchdog;
use writing::{Before, Materials, Moment, Writing};

/// A camera's stream that is to be recorded.
#[derive(Debug, Clone)]
pub struct Source {
    /// The stream.
    pub id: StreamId,
    /// Its camera.
    pub camera: Camera,
}

/// What the recorder works with.
pub struct Setting {
    /// The store's id.
    pub store_id: StoreId,
    /// Whom to seal to.
    pub sealing: Sealing,
    /// Where to write.
    pub store: Arc<Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// The running recorder. It goes on until [`stop`](Self::stop).
pub struct Recorder {
    streams: Vec<Stream>,
    ingest: Ingest,
    watchdog: Watchdog,
    /// One a stream, in their order.
    tasks: Vec<tokio::task::JoinHandle<()>>,
    stop: watch::Sender<bool>,
    /// Disconnected when the last task has ended.
    ended: mpsc::Receiver<()>,
}

/// A stream that is being recorded.
#[derive(Clone)]
pub struct Stream {
    /// Its id.
    pub id: StreamId,
    /// Its camera's name.
    pub camera: String,
    state: Arc<StreamState>,
    progress: Arc<Progress>,
    hub: Arc<LiveHub>,
}

impl Stream {
    /// One of which nothing is kept yet, for this reason and since then.
    fn new(
        id: StreamId,
        camera: String,
        gap: (GapCause, Option<i64>),
        clock: &Arc<dyn Clock>,
    ) -> Self {
        Self {
            id,
            state: Arc::new(StreamState::new(camera.clone(), clock.wall_us())),
            camera,
            progress: Arc::new(Progress::new(Arc::clone(clock), gap)),
            hub: Arc::default(),
        }
    }

    /// What it does now.
    pub fn snapshot(&self) -> StreamSnapshot {
        let mut snapshot = self.state.snapshot();
        snapshot.gap_lengths_us = self.progress.gap_lengths_us();
        snapshot.durable_end_us = self.progress.end_us();
        snapshot.queued_bytes = self.progress.position().queued_bytes;
        snapshot.gap = self.progress.gap();
        (snapshot.damage, snapshot.damaged_us) = self.progress.damage();
        if snapshot.phase == Phase::Stopped {
            snapshot.gap = None;
        }
        let advised = |gap: &OpenGap| Trouble {
            message: gap.sentence().to_owned(),
            advice: gap.advice().unwrap_or_default().to_owned(),
        };
        let gap = snapshot.gap.as_ref();
        let troubling = gap.filter(|gap| gap.advice().is_some());
        snapshot.trouble = snapshot.trouble.or_else(|| troubling.map(advised));
        snapshot
    }

    /// Where to watch it live.
    pub fn hub(&self) -> &Arc<LiveHub> {
        &self.hub
    }
}

impl Recorder {
    /// Begins to record `sources`. A recorder may have none, as before a camera is configured.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub fn start(sources: Vec<Source>, setting: Setting) -> std::io::Result<Self> {
        Self::start_after(None, sources, setting)
    }

    /// The same once there is a disk that was waited for.
    ///
    /// # Errors
    /// As [`Recorder::start`].
    pub fn start_after(
        waiting: Option<&Waiting>,
        sources: Vec<Source>,
        setting: Setting,
    ) -> std::io::Result<Self> {
        let ingest = Ingest::start()?;
        let (running, ended) = mpsc::channel();
        let (stop, stopping) = watch::channel(false);
        let count = sources.len() as u64;
        let sealing = Arc::new(setting.sealing);
        let began = waiting.map_or_else(|| Moment::now(&*setting.clock), Waiting::since);
        let (mut streams, mut tasks) = (Vec::new(), Vec::new());
        for (index, source) in (1..).zip(sources) {
            let before = Before::of(&setting.store, &source.id);
            Before::tell(before.as_ref(), began, &source.camera.name, &*setting.clock);
            let waited = waiting.map_or(&[][..], Waiting::streams).iter();
            let waited = waited.clone().find(|stream| stream.id == source.id);
            let stream = waited.cloned().unwrap_or_else(|| {
                let (name, gap) = (source.camera.name.clone(), Before::gap(before.as_ref()));
                Stream::new(source.id, name, gap, &setting.clock)
            });
            let (state, progress) = (Arc::clone(&stream.state), Arc::clone(&stream.progress));
            let materials = Materials {
                store_id: setting.store_id,
                stream: source.id,
                sealing: Arc::clone(&sealing),
                store: Arc::clone(&setting.store),
                hub: Arc::clone(&stream.hub),
                clock: Arc::clone(&setting.clock),
                progress: Arc::clone(&progress),
                random: SharedRandom::default(),
                first_target_us: SEGMENT_US_MAX * index / count,
            };
            streams.push(stream);
            let task = StreamTask {
                writing: Writing::new(materials, before, waiting.map(Waiting::since)),
                progress,
                camera: source.camera,
                state,
                clock: Arc::clone(&setting.clock),
                ingest: ingest.handle().clone(),
                stop: stopping.clone(),
            };
            let running = running.clone();
            tasks.push(ingest.handle().spawn(async move {
                task.record().await;
                drop(running);
            }));
        }
        let watchdog = Watchdog::start(
            &streams,
            ingest.handle().clone(),
            setting.clock,
            setting.store,
        )?;
        Ok(Self {
            streams,
            ingest,
            watchdog,
            tasks,
            stop,
            ended,
        })
    }

    /// The streams, in the order of the configuration.
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// What has died of it, in words; whoever runs it should then end, to be started again. Panics are contained in each
    /// stream's task, so this says something only where that failed too.
    pub fn casualty(&self) -> Option<String> {
        if self.ingest.has_ended() {
            return Some("the thread that reads the cameras".to_owned());
        }
        if self.watchdog.ingest_is_dead() {
            return Some("the thread that reads the cameras, which hangs,".to_owned());
        }
        let mut tasks = self.streams.iter().zip(&self.tasks);
        tasks
            .find(|(_, task)| task.is_finished())
            .map(|(stream, _)| format!("what records the camera \"{}\"", stream.camera))
    }

    /// Ends all streams. When this returns, everything that was taken from cameras is in the disks' queues; the store makes
    /// it durable when it is closed.
    pub fn stop(self) {
        if self.watchdog.ingest_is_dead() {
            // Nothing more would come of waiting for it; what was handed over is in the queues.
            std::mem::forget(self.ingest);
            return;
        }
        // The streams are to hear of it now, and not in the next turn.
        let _hurry = self.ingest.handle().hurry();
        // Nobody listens any more when all tasks have ended already.
        let _ = self.stop.send(true);
        // An error here says that the last task has ended, which is what is waited for.
        let _ = self.ended.recv();
        self.ingest.shutdown();
    }
}
