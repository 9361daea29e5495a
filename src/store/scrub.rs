//! The background scrub: while the recorder works, all footage is read again, little by little, so that damage is told while there
//! may still be a copy of what it hit, and not on the day that somebody needs it.
//!
//! Each disk has its own round: the segments that the catalog has on it, stream by stream and the oldest first, each looked at by
//! [`check::look`](super::check::look) as `hearthkeep check` does without a secret. What is recorded after a round has come to its
//! stream is the next round's. A round takes the days of the configuration, and rests when it was faster. It is remembered in the
//! state folder ([`kept`]), and goes on there after a start. At its end the id file, the keyring and the signed log are read.
//!
//! Nothing waits for it. It has a thread of its own, at the lowest priority of an ordinary user: the kernel derives the
//! priority at the disk from that. The class `idle` was not taken, since what it reads may be kept waiting for ever while it holds
//! what others need. It reads at a rate that follows from bytes and days, and not at all while recording waits for the disk; what it
//! has read the kernel is told to forget. What it finds is looked at twice before it is told, since a disk that is just leaving and a
//! segment that is just deleted look like damage.

mod kept;
mod round;
mod walk;
mod work;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hearthkeep_format::{DiskId, SegmentId, StreamId};

use super::inspect::Place;
use super::keeper::Backlog;
use super::turns::{Bell, Driver, Worker};
use super::{Shared, Span};
use crate::limits::SCRUB_GOODBYE_MS_MAX;
pub(super) use kept::{FILE, look};
use round::Round;
use work::Work;

/// How footage is read again in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubSettings {
    /// Each segment once in so many days.
    pub days: u32,
    /// A start, or a disk that has come, is left in peace for this long.
    pub peace: Duration,
}

impl ScrubSettings {
    /// Each segment once in so many days, with the house's peace before.
    pub fn new(days: u32) -> Self {
        Self {
            days,
            peace: Duration::from_secs(60),
        }
    }
}

/// How far the footage of a disk was read again, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubStatus {
    /// What is done now.
    pub phase: ScrubPhase,
    /// When the round under way began, or the last one; wall time in us.
    pub begun_us: i64,
    /// When the last whole round ended, if one has.
    pub finished_us: Option<i64>,
    /// For how many days the round has been under way with its disk there, where those are more than twice those it may take.
    pub late_days: Option<u32>,
    /// Bytes that were read in the round.
    pub read_bytes: u64,
    /// Bytes that were read since the store was opened.
    pub read_since_start_bytes: u64,
    /// How many files are not as they should be.
    pub damaged: u64,
    /// Those of them that are told one by one: the first `SCRUB_FINDINGS_MAX` of a disk.
    pub findings: Vec<ScrubFinding>,
}

/// What the scrub does with a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScrubPhase {
    /// It reads.
    #[default]
    Reading,
    /// Recording needs the disk.
    Waiting,
    /// All was read, and the next round is not due.
    Resting,
    /// What reads has failed inside.
    Failed,
}

impl ScrubPhase {
    /// Its name in interfaces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Waiting => "waiting",
            Self::Resting => "resting",
            Self::Failed => "failed",
        }
    }
}

/// A segment that is not as it should be, or something that lies beside the footage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrubFinding {
    /// Where it is, below the disk's folder.
    pub path: String,
    /// Whose footage it is.
    pub stream: Option<StreamId>,
    /// What is wrong, in words.
    pub what: String,
    /// The wall time of the footage that is lost; of all that the file holds, where nothing is known to be lost.
    pub span_us: Option<(i64, i64)>,
}

/// What the scrub of the recorder of a state folder has found to be lost, by segment: from when to when in wall time, us. What it finds
/// now is there within minutes.
pub fn scrubbed(state_dir: &Path) -> HashMap<SegmentId, Vec<(i64, i64)>> {
    let mut lost = HashMap::<_, Vec<_>>::new();
    for round in kept::read(state_dir).values() {
        for (place, span_us) in round.lost() {
            lost.entry(place.segment).or_default().push(span_us);
        }
    }
    lost
}

/// What the work tells, for whoever asks.
#[derive(Default)]
pub(super) struct Board {
    disks: Mutex<BTreeMap<DiskId, Told>>,
    /// Epochs of which segments are not there, for who says whether somebody removed them.
    missed: Mutex<Backlog>,
    /// Whether it is to end.
    is_over: AtomicBool,
}

/// Of a disk.
#[derive(Default)]
struct Told {
    round: Round,
    phase: ScrubPhase,
    late_days: Option<u32>,
    read_since_start_bytes: u64,
}

impl Board {
    /// How far a disk is; `None` while it has not been begun with, and where nothing is scrubbed.
    pub(super) fn status(&self, disk: DiskId) -> Option<ScrubStatus> {
        let disks = self.lock();
        let told = disks.get(&disk)?;
        let round = &told.round;
        Some(ScrubStatus {
            phase: told.phase,
            begun_us: round.begun_us,
            finished_us: round.finished_us,
            late_days: told.late_days,
            read_bytes: round.read_bytes,
            read_since_start_bytes: told.read_since_start_bytes,
            damaged: round.damaged(),
            findings: round.findings(),
        })
    }

    /// What of these segments of a stream was found to be lost, on any disk: from when to when in wall time, us.
    pub(super) fn lost(&self, stream: &StreamId, segments: &[Span]) -> Vec<(i64, i64)> {
        let disks = self.lock();
        let found = disks.values().flat_map(|told| told.round.lost());
        let found = found.filter(|(place, _)| place.stream == *stream);
        let within = |(place, (from_us, to_us)): (Place, (i64, i64))| {
            let span = segments.iter().find(|span| span.segment == place.segment)?;
            let lost = (from_us.max(span.start_us), to_us.min(span.end_us()));
            (lost.0 < lost.1).then_some(lost)
        };
        let mut lost: Vec<_> = found.filter_map(within).collect();
        lost.sort_unstable();
        lost
    }

    /// Where segments were missed since this was last asked.
    pub(super) fn take_missed(&self) -> Backlog {
        std::mem::take(&mut *self.missed())
    }

    fn missed(&self) -> MutexGuard<'_, Backlog> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DiskId, Told>> {
        self.disks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The scrub's handle.
pub(super) struct Scrub {
    shared: Arc<Shared>,
    bell: Arc<Bell>,
    worker: Worker,
}

impl Scrub {
    /// Begins. What there was in the state folder goes on.
    pub(super) fn start(
        shared: &Arc<Shared>,
        settings: ScrubSettings,
        state_dir: &std::path::Path,
        driver: &Driver,
    ) -> io::Result<Self> {
        let bell = Arc::<Bell>::default();
        let rest = driver.rest(&bell);
        let work = Work::new(Arc::clone(shared), settings, state_dir, rest);
        let clock = Arc::clone(&shared.clock);
        let worker = driver.start("store-scrub".into(), work, Arc::clone(&bell), clock)?;
        Ok(Self {
            shared: Arc::clone(shared),
            bell,
            worker,
        })
    }

    /// Whether it has died.
    pub(super) fn has_ended(&self) -> bool {
        self.worker.has_ended()
    }

    /// Tells it to end.
    pub(super) fn end(&self) {
        self.shared.scrub.is_over.store(true, Ordering::Relaxed);
        self.bell.ring();
    }

    /// Waits for its end, but not for a disk that hangs: nothing is lost with it.
    pub(super) fn join(self) {
        self.end();
        let longest = Duration::from_millis(SCRUB_GOODBYE_MS_MAX);
        if !self.worker.join_within(longest) {
            tracing::warn!(
                "what reads footage again in the background had ended, or waits for a disk that does not answer"
            );
        }
    }
}
