//! What a stream is doing, for whoever asks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hearthkeep_format::fmp4;
use hearthkeep_format::segment::GapCause;

use super::gap::OpenGap;
use super::told::Told;
use crate::camera::{self, Track, TrackKind};
use crate::clock::Clock;

/// What a stream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is being connected to.
    Connecting,
    /// It answers; no key frame has come yet.
    Waiting,
    /// It is recorded.
    Recording,
    /// It cannot be recorded now; it is tried again by itself, whatever is wrong.
    Failed,
    /// The recorder is stopping.
    Stopped,
}

impl Phase {
    /// Its name in interfaces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Waiting => "waiting",
            Self::Recording => "recording",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// What is wrong with a stream, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

impl From<&camera::Error> for Trouble {
    fn from(error: &camera::Error) -> Self {
        Self {
            message: error.sentence(),
            advice: error.advice().to_owned(),
        }
    }
}

impl From<&fmp4::Error> for Trouble {
    fn from(error: &fmp4::Error) -> Self {
        Self {
            message: format!("The camera sent what cannot be recorded: {error}."),
            advice: "If it goes on, look for newer firmware, or choose another video setting in the camera.".to_owned(),
        }
    }
}

impl Trouble {
    /// The watchdog ended its run.
    pub(super) fn stuck() -> Self {
        Self {
            message: "Its pictures came, and none of them was recorded: it is connected anew."
                .to_owned(),
            advice: "Report what the log says.".to_owned(),
        }
    }
}

/// A stream at one moment.
#[derive(Debug, Clone)]
pub struct StreamSnapshot {
    /// What it does.
    pub phase: Phase,
    /// Wall time since when it does so, in microseconds; while it has failed, since when it first did.
    pub since_us: i64,
    /// Codec strings (RFC 6381) of its tracks.
    pub codecs: Vec<String>,
    /// Width and height of the picture, in pixels, once known.
    pub dimensions: Option<(u16, u16)>,
    /// Whether it has sound.
    pub audio: bool,
    /// RTP packets that did not arrive, since the recorder started.
    pub packets_lost: u64,
    /// Connections after the first one, since the recorder started.
    pub reconnects: u64,
    /// The last thing that went wrong; `None` while all is well.
    pub trouble: Option<Trouble>,
    /// The gap that is open, if nothing is kept now.
    pub gap: Option<OpenGap>,
    /// For how long nothing was kept since the recorder started, by cause, us; the gap that is open included.
    pub gap_lengths_us: BTreeMap<GapCause, u64>,
    /// Pictures that may be damaged because packets were lost, as far as the log has not been told of them: from when to when in wall
    /// time, us; without an end while it lasts.
    pub damage: Vec<(i64, Option<i64>)>,
    /// For how long pictures may have been damaged since the recorder started, us.
    pub damaged_us: u64,
    /// Wall time to which there is durable footage, us.
    pub durable_end_us: Option<i64>,
    /// What is sealed and not yet durable, bytes.
    pub queued_bytes: u64,
}

/// The running state of one stream. What changes in it is logged here.
#[derive(Debug)]
pub(super) struct StreamState {
    /// The camera's name, for the log.
    camera: String,
    told: Mutex<Told>,
    snapshot: Mutex<StreamSnapshot>,
}

impl StreamState {
    pub(super) fn new(camera: String, now_us: i64) -> Self {
        let snapshot = StreamSnapshot {
            phase: Phase::Connecting,
            since_us: now_us,
            codecs: Vec::new(),
            dimensions: None,
            audio: false,
            packets_lost: 0,
            reconnects: 0,
            trouble: None,
            gap: None,
            gap_lengths_us: BTreeMap::new(),
            damage: Vec::new(),
            damaged_us: 0,
            durable_end_us: None,
            queued_bytes: 0,
        };
        Self {
            camera,
            told: Mutex::default(),
            snapshot: Mutex::new(snapshot),
        }
    }

    pub(super) fn snapshot(&self) -> StreamSnapshot {
        self.lock().clone()
    }

    pub(super) fn stopped(&self, now_us: i64) {
        self.lock().enter(Phase::Stopped, now_us);
    }

    pub(super) fn connecting(&self, now_us: i64) {
        let mut snapshot = self.lock();
        // While it fails again and again, that is what it is doing.
        if snapshot.trouble.is_none() {
            snapshot.enter(Phase::Connecting, now_us);
        }
    }

    pub(super) fn connected(&self, tracks: &[Track], now_us: i64) {
        let mut snapshot = self.lock();
        snapshot.reconnects += u64::from(snapshot.trouble.is_some());
        snapshot.enter(Phase::Waiting, now_us);
        snapshot.codecs = tracks.iter().map(|track| track.codec.clone()).collect();
        snapshot.dimensions = tracks.iter().find_map(|track| match track.kind {
            TrackKind::Video { width, height } => Some((width, height)),
            TrackKind::Audio { .. } => None,
        });
        snapshot.audio = tracks
            .iter()
            .any(|track| matches!(track.kind, TrackKind::Audio { .. }));
    }

    pub(super) fn recording(&self, now_us: i64) {
        let mut snapshot = self.lock();
        if snapshot.phase != Phase::Recording {
            snapshot.enter(Phase::Recording, now_us);
            snapshot.trouble = None;
            if self.told().returned() {
                tracing::info!(camera = %self.camera, "it is recorded again");
            }
        }
    }

    pub(super) fn failed(
        &self,
        cause: GapCause,
        mut trouble: Trouble,
        wait: Duration,
        clock: &dyn Clock,
    ) {
        let (message, advice) = (&trouble.message, &trouble.advice);
        if self.told().failed(message, clock.monotonic_us()) {
            let cause = cause.as_str();
            tracing::warn!(camera = %self.camera, cause, "{message} {advice}");
        }
        let mut snapshot = self.lock();
        if snapshot.phase != Phase::Failed {
            snapshot.enter(Phase::Failed, clock.wall_us());
        }
        let seconds = wait.as_secs().max(1);
        trouble.advice = format!("{} Trying again within {seconds} s.", trouble.advice);
        snapshot.trouble = Some(trouble);
    }

    pub(super) fn count_lost(&self, packets: u64) {
        self.lock().packets_lost += packets;
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, StreamSnapshot> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamSnapshot {
    fn enter(&mut self, phase: Phase, now_us: i64) {
        self.phase = phase;
        self.since_us = now_us;
    }
}
