//! Notices what nobody else does: that nothing of a stream becomes durable although it is said to be recorded.
//!
//! It asks for effects and not for causes: whether the thread that reads cameras makes turns, whether what was handed to a
//! disk becomes durable, whether pictures that come reach a segment. What does not is an open gap within ten seconds of its
//! begin, with the place where it is stuck. A thread of its own, so that none of those it watches can keep it from seeing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hearthkeep_format::log::Record;
use hearthkeep_format::segment::GapCause;

use super::Stream;
use super::gap::{DAMAGED, Stuck};
use super::progress::{Position, Progress};
use super::state::Phase;
use super::told::Told;
use crate::camera::ingest::IngestHandle;
use crate::clock::Clock;
use crate::limits::{
    STUCK_DISK_US_MAX, STUCK_INGEST_FATAL_US, STUCK_INGEST_US_MAX, STUCK_SEALING_US_MAX,
    WATCHDOG_PERIOD_US,
};
use crate::store::Store;

/// The thread. Dropping it ends it.
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// For how long the thread that reads cameras has made no turn, us.
    ingest_still_us: AtomicU64,
}

impl Watchdog {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub(super) fn start(
        streams: &[Stream],
        ingest: IngestHandle,
        clock: Arc<dyn Clock>,
        store: Arc<Store>,
    ) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let mut rounds = Rounds::new(streams, ingest, clock, store);
        let told = Arc::clone(&shared);
        let watch = move || {
            while !told.stop.load(Ordering::Acquire) {
                let still_us = rounds.turn();
                told.ingest_still_us.store(still_us, Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_micros(WATCHDOG_PERIOD_US));
            }
            rounds.tell_damage(true);
        };
        let thread = std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(watch)?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Whether the thread that reads cameras has made no turn for so long that only another process can help.
    pub(super) fn ingest_is_dead(&self) -> bool {
        self.shared.ingest_still_us.load(Ordering::Relaxed) >= STUCK_INGEST_FATAL_US
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there has been reported where it happened.
            let _ = thread.join();
        }
    }
}

struct Rounds {
    watched: Vec<Watched>,
    ingest: IngestHandle,
    clock: Arc<dyn Clock>,
    store: Arc<Store>,
    /// Turns of the thread that reads cameras, and when they were seen to change.
    turns: u64,
    turned_us: u64,
    looked_us: u64,
}

struct Watched {
    stream: Stream,
    position: Position,
    /// When that was seen to change, or there was nothing to wait for.
    moved_us: u64,
    restarted_us: u64,
    told: Told,
    told_damage: Told,
}

/// What is asked of a stream.
struct Seen {
    now_us: u64,
    phase: Phase,
    turned_us: u64,
    moved_us: u64,
    arrived_us: u64,
    sealed_us: u64,
    /// Whether the task knows of a gap itself.
    is_known: bool,
}

impl Rounds {
    fn new(
        streams: &[Stream],
        ingest: IngestHandle,
        clock: Arc<dyn Clock>,
        store: Arc<Store>,
    ) -> Self {
        let now_us = clock.monotonic_us();
        let watched = |stream: &Stream| Watched {
            stream: stream.clone(),
            position: Position::default(),
            moved_us: now_us,
            restarted_us: 0,
            told: Told::default(),
            told_damage: Told::default(),
        };
        Self {
            watched: streams.iter().map(watched).collect(),
            turns: ingest.turns(),
            ingest,
            clock,
            store,
            turned_us: now_us,
            looked_us: now_us,
        }
    }

    /// Looks at all streams. Returns for how long the thread that reads cameras has made no turn, us.
    fn turn(&mut self) -> u64 {
        let now_us = self.clock.monotonic_us();
        // The machine slept, or this process was stopped: nothing else got on meanwhile either.
        let slept = now_us.saturating_sub(self.looked_us) > 3 * WATCHDOG_PERIOD_US;
        self.looked_us = now_us;
        let turns = self.ingest.turns();
        if turns != self.turns || slept {
            (self.turns, self.turned_us) = (turns, now_us);
        }
        for watched in &mut self.watched {
            watched.look(now_us, self.turned_us, slept);
            watched.tell_holes(&self.store);
        }
        self.tell_damage(false);
        now_us.saturating_sub(self.turned_us)
    }

    /// Tells of pictures that may be damaged; all that is left where it `is_last`.
    fn tell_damage(&mut self, is_last: bool) {
        for watched in &mut self.watched {
            watched.tell_damage(&self.store, is_last, self.looked_us);
        }
    }
}

impl Watched {
    fn look(&mut self, now_us: u64, turned_us: u64, slept: bool) {
        let progress = Arc::clone(&self.stream.progress);
        let position = progress.position();
        if position.has_moved_from(&self.position) || position.queued_bytes == 0 || slept {
            (self.position, self.moved_us) = (position, now_us);
        }
        if slept {
            progress.expect();
        }
        let phase = self.stream.state.snapshot().phase;
        let stuck = stuck(&Seen {
            now_us,
            phase,
            turned_us,
            moved_us: self.moved_us,
            arrived_us: progress.arrived_us(),
            sealed_us: progress.sealed_us(),
            is_known: progress.gap().is_some_and(|gap| gap.stuck.is_none()),
        });
        match stuck {
            Some(stuck) => progress.stuck_at(stuck),
            None => progress.is_getting_on(),
        }
        if stuck == Some(Stuck::Sealing) && now_us - self.restarted_us > STUCK_SEALING_US_MAX {
            self.restarted_us = now_us;
            progress.restart();
        }
        self.tell(&progress, phase, now_us);
    }

    /// Tells of footage whose segment had ended well, and which its disk took with it: nobody else would say why it is missing.
    fn tell_holes(&self, store: &Store) {
        for (from_us, to_us) in self.stream.progress.take_holes() {
            let cause = GapCause::DiskError;
            tracing::warn!(
                camera = %self.stream.camera,
                cause = cause.as_str(),
                "{:.1} s of footage that waited to be written are lost: their disk failed, or is gone",
                to_us.saturating_sub(from_us) as f64 / 1e6
            );
            store.log().append(Record::Gap {
                stream: self.stream.id,
                cause,
                from_us,
                to_us,
            });
        }
    }

    /// Tells the signed log where pictures may be damaged, and the other one that there are such, now and then.
    fn tell_damage(&mut self, store: &Store, is_last: bool, now_us: u64) {
        let Stream {
            id,
            camera,
            progress,
            ..
        } = &self.stream;
        let cause = GapCause::CameraData;
        let is_damaged = !progress.damage().0.is_empty();
        if is_damaged && self.told_damage.failed(DAMAGED, now_us) {
            tracing::warn!(%camera, cause = cause.as_str(), "{DAMAGED} The timeline marks them. Look at its cable or its reception.");
        }
        if let Some((from_us, to_us)) = progress.take_damage(is_last) {
            store.log().append(Record::Gap {
                stream: *id,
                cause,
                from_us,
                to_us,
            });
        }
    }

    /// Tells the log of a gap that no failure of the camera has told it.
    fn tell(&mut self, progress: &Progress, phase: Phase, now_us: u64) {
        let camera = &self.stream.camera;
        let gap = progress
            .gap()
            .filter(|_| phase == Phase::Recording || phase == Phase::Waiting);
        match gap.filter(|gap| gap.advice().is_some()) {
            Some(gap) => {
                let (cause, sentence) = (gap.cause.as_str(), gap.sentence());
                let advice = gap.advice().unwrap_or_default();
                if self.told.failed(sentence, now_us) {
                    tracing::warn!(%camera, cause, "no footage is kept: {sentence} {advice}");
                }
            }
            None if phase == Phase::Recording && self.told.returned() => {
                tracing::info!(%camera, "footage is kept again");
            }
            None => {}
        }
    }
}

/// Where a stream is stuck, if it is.
fn stuck(seen: &Seen) -> Option<Stuck> {
    let for_us = |since_us: u64| seen.now_us.saturating_sub(since_us);
    if matches!(seen.phase, Phase::Failed | Phase::Stopped) {
        return None;
    }
    if for_us(seen.turned_us) >= STUCK_INGEST_US_MAX {
        return Some(Stuck::Ingest);
    }
    if for_us(seen.moved_us) >= STUCK_DISK_US_MAX && !(seen.is_known) {
        return Some(Stuck::Disk);
    }
    if for_us(seen.sealed_us) < STUCK_SEALING_US_MAX {
        return None;
    }
    // A camera that sends nothing is its session's to notice, in time for nobody else to take notice of it.
    let silent_us = for_us(seen.arrived_us);
    let is_silent = (STUCK_INGEST_US_MAX..2 * STUCK_SEALING_US_MAX).contains(&silent_us);
    match seen.phase {
        _ if is_silent => None,
        Phase::Recording if !seen.is_known => Some(Stuck::Sealing),
        Phase::Waiting => Some(Stuck::KeyFrame),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: u64 = 1_000_000;
    /// A stream of which all goes well.
    const WELL: Seen = Seen {
        now_us: 100 * SECOND_US,
        phase: Phase::Recording,
        turned_us: 100 * SECOND_US,
        moved_us: 99 * SECOND_US,
        arrived_us: 100 * SECOND_US,
        sealed_us: 99 * SECOND_US,
        is_known: false,
    };

    #[test]
    fn what_does_not_get_on_is_found_by_where_it_stops() {
        let old_us = 90 * SECOND_US;
        assert_eq!(stuck(&WELL), None);
        let no_turns = Seen {
            turned_us: old_us,
            ..WELL
        };
        assert_eq!(stuck(&no_turns), Some(Stuck::Ingest));
        let not_durable = Seen {
            moved_us: old_us,
            ..WELL
        };
        assert_eq!(stuck(&not_durable), Some(Stuck::Disk));
        let not_sealed = |phase, is_known| Seen {
            sealed_us: old_us,
            phase,
            is_known,
            ..WELL
        };
        let recording = not_sealed(Phase::Recording, false);
        assert_eq!(stuck(&recording), Some(Stuck::Sealing));
        let waiting = not_sealed(Phase::Waiting, true);
        assert_eq!(stuck(&waiting), Some(Stuck::KeyFrame));
        assert_eq!(stuck(&not_sealed(Phase::Recording, true)), None, "known");
        assert_eq!(stuck(&not_sealed(Phase::Failed, false)), None, "told");
    }

    #[test]
    fn a_silent_camera_is_its_sessions_and_a_silent_session_is_not() {
        let silent = |seconds: u64| Seen {
            arrived_us: (100 - seconds) * SECOND_US,
            sealed_us: (100 - seconds) * SECOND_US,
            ..WELL
        };
        assert_eq!(stuck(&silent(8)), None);
        assert_eq!(stuck(&silent(15)), None);
        assert_eq!(stuck(&silent(16)), Some(Stuck::Sealing));
    }
}
