//! One task a stream: connects, records a run, waits, and connects again, until it is told to stop.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use hearthkeep_format::segment::GapCause;
use tokio::sync::watch;
use tokio::time::timeout;

use super::progress::Progress;
use super::run::{Run, RunEnd};
use super::state::{StreamState, Trouble};
use super::writing::Writing;
use crate::camera::ingest::IngestHandle;
use crate::camera::{self, Backoff, ErrorKind, Event, Session, Timeouts};
use crate::clock::Clock;
use crate::config::Camera;
use crate::limits::{CONNECT_HURRY_MS_MAX, EVENTS_AFTER_STOP_MAX};
use crate::random::OsRandom;

/// Everything that one stream's task owns.
pub(super) struct StreamTask {
    pub camera: Camera,
    pub state: Arc<StreamState>,
    pub writing: Writing,
    pub progress: Arc<Progress>,
    pub clock: Arc<dyn Clock>,
    pub ingest: IngestHandle,
    pub stop: watch::Receiver<bool>,
}

impl StreamTask {
    /// Records until it is told to stop. All it has taken is then in the disk's queue.
    pub(super) async fn record(mut self) {
        let mut backoff = Backoff::default();
        while !*self.stop.borrow() {
            self.state.connecting(self.clock.wall_us());
            let begun_us = self.clock.monotonic_us();
            // A library's panic on what one camera sends must not end that camera's footage, let alone unseen.
            let end = match AssertUnwindSafe(self.attempt()).catch_unwind().await {
                Ok(end) => end,
                Err(_) => RunEnd::Camera(self.panicked()),
            };
            let up = Duration::from_micros(self.clock.monotonic_us().saturating_sub(begun_us));
            let (cause, trouble, wait) = match end {
                RunEnd::Stopped => break,
                RunEnd::Camera(error) => {
                    let wait = backoff.wait(up, &error.kind, &mut OsRandom);
                    (gap_cause(&error.kind), Trouble::from(&error), wait)
                }
                RunEnd::Unrecordable(error) => {
                    let trouble = Trouble::from(&error);
                    let wait = backoff.wait(up, &ErrorKind::Ended, &mut OsRandom);
                    (GapCause::CameraData, trouble, wait)
                }
                RunEnd::Stuck => {
                    let wait = backoff.wait(up, &ErrorKind::Ended, &mut OsRandom);
                    (GapCause::Stuck, Trouble::stuck(), wait)
                }
            };
            self.writing.end(cause);
            self.state.failed(cause, trouble, wait, &*self.clock);
            self.pause(wait).await;
        }
        self.writing.end(GapCause::Shutdown);
        self.state.stopped(self.clock.wall_us());
    }

    /// Connects and records until something ends it.
    async fn attempt(&mut self) -> RunEnd {
        match self.connect().await {
            Some(Ok(session)) => self.record_session(session).await,
            Some(Err(error)) => RunEnd::Camera(error),
            None => RunEnd::Stopped,
        }
    }

    /// The panic itself has been reported where it happened.
    fn panicked(&self) -> camera::Error {
        camera::Error {
            address: self.camera.url.to_string(),
            kind: ErrorKind::BadData {
                detail: "the recorder stumbled over it, which is a fault of Hearthkeep".to_owned(),
            },
        }
    }

    /// `None` when it was told to stop meanwhile.
    async fn connect(&mut self) -> Option<Result<Session, camera::Error>> {
        // A dialogue of requests and answers would take a period of the ingest thread for each of them.
        let mut hurry = Some(self.ingest.hurry());
        let clock = Arc::clone(&self.clock);
        let connecting = Session::connect(&self.camera, clock, Timeouts::default());
        let patience = tokio::time::sleep(Duration::from_millis(CONNECT_HURRY_MS_MAX));
        tokio::pin!(connecting, patience);
        loop {
            tokio::select! {
                session = &mut connecting => return Some(session),
                _ = self.stop.wait_for(|stop| *stop) => return None,
                () = &mut patience, if hurry.is_some() => hurry = None,
            }
        }
    }

    async fn record_session(&mut self, mut session: Session) -> RunEnd {
        let mut run = Run::new(session.tracks(), Arc::clone(&self.clock), &mut OsRandom);
        self.state.connected(session.tracks(), self.clock.wall_us());
        self.progress.expect();
        let mut hurry = None;
        let mut after_stop = 0;
        let end = loop {
            // What makes a run's anchor is not to wait for a slow turn.
            let wants_hurry = !run.has_begun() || self.writing.is_watched();
            if wants_hurry != hurry.is_some() {
                hurry = wants_hurry.then(|| self.ingest.hurry());
            }
            let event = tokio::select! {
                // Most events are there already: waiting for the stop, which takes locks, is spared them.
                biased;
                event = session.next() => event,
                () = self.progress.restarted() => break RunEnd::Stuck,
                () = stopped(&mut self.stop) => break RunEnd::Stopped,
            };
            match event {
                Ok(Event::Sample(sample)) => {
                    let had_begun = run.has_begun();
                    self.progress.arrived(sample.arrived_us);
                    if let Err(error) = run.take(sample, &mut self.writing) {
                        break RunEnd::Unrecordable(error);
                    }
                    if run.has_begun() && !had_begun {
                        self.progress.expect();
                        self.state.recording(self.clock.wall_us());
                    }
                }
                Ok(Event::Parameters(tracks)) => {
                    run.finish(&mut self.writing);
                    self.writing.lost(GapCause::Parameters);
                    self.state.connected(&tracks, self.clock.wall_us());
                    run = Run::new(&tracks, Arc::clone(&self.clock), &mut OsRandom);
                }
                Ok(Event::Lost { track, packets }) => {
                    self.state.count_lost(packets.into());
                    if session.is_video(track) {
                        run.lost();
                    }
                }
                Err(error) => break RunEnd::Camera(error),
            }
            after_stop += u32::from(*self.stop.borrow());
            if after_stop == EVENTS_AFTER_STOP_MAX {
                break RunEnd::Stopped;
            }
        };
        run.finish(&mut self.writing);
        end
    }

    async fn pause(&mut self, wait: Duration) {
        // Running out of time is what is expected here; the other outcome is seen by the caller's loop.
        let _ = timeout(wait, self.stop.wait_for(|stop| *stop)).await;
    }
}

/// Told to stop, and the kernel asked once more: what has arrived by then is to be taken first.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that the recorder is gone, which is to stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
    tokio::task::yield_now().await;
}

/// The cause of the gap that an error of the camera begins.
fn gap_cause(kind: &ErrorKind) -> GapCause {
    match kind {
        ErrorKind::Stalled { .. } => GapCause::CameraStalled,
        ErrorKind::Timestamps { .. } | ErrorKind::TimeStandsStill { .. } => GapCause::Timestamps,
        ErrorKind::TooLarge { .. }
        | ErrorKind::BadData { .. }
        | ErrorKind::Endless { .. }
        | ErrorKind::NoParameters
        | ErrorKind::NoVideo
        | ErrorKind::UnsupportedCodec { .. } => GapCause::CameraData,
        _ => GapCause::CameraLost,
    }
}
