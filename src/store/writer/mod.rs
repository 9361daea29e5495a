//! One writer a disk, on a thread of its own, that writes what streams hand it and says what is durable.
//!
//! The contract, step by step, of a segment:
//!
//! ```text
//!            begin                 append*                 finish
//!  (none) ----------> open: queued -------> open: queued ----------> closing ---> closed
//!                       |  each 1.5 s: written, fdatasync'd,            |
//!                       |  its durable length goes up                   |
//!                       |                                               |
//!                       +--- abandon, or the handle is dropped ---> abandoned
//!                       +--- a write or fsync fails -------------> poisoned
//! ```
//!
//! 1. Nothing a stream calls ever waits for the disk: it is queued or refused. A queue that is full refuses before
//!    anything is taken, so that a segment may still be finished: [`SegmentHandle::finish`] is never refused. What waits for a
//!    disk that is late leaves a part of each stream's share to the disks that answer.
//! 2. What is queued of a segment is written in order, front to back, and counted as durable only when fdatasync of the
//!    file *and* fsync of the folders that name it have returned.
//! 3. A batch of writes begins at most [`SYNC_INTERVAL_MS_MAX`] after the first byte it holds was queued.
//! 4. A write or fsync that fails poisons the segment: its file is left with what it has, nothing of it is tried again, what
//!    is still queued of it is dropped, and its handle refuses from then on. Other segments are not concerned.
//! 5. Closing the writer writes, syncs and acknowledges all that was queued before.
//! 6. Where the disk is gone, all of its segments are poisoned at once, and nothing is written any more.
//!
//! [`SYNC_INTERVAL_MS_MAX`]: crate::limits::SYNC_INTERVAL_MS_MAX

mod latency;
mod queue;
mod work;

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hearthkeep_format::segment::Start;
use hearthkeep_format::{EpochId, Kind, SegmentId, StreamId};

use super::turns::{Bell, Driver, Worker};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::limits::{QUEUE_AGE_MS_MAX, QUEUE_BYTES_MAX, SYNC_INTERVAL_MS_MAX, WRITE_EARLY_BYTES};
pub use latency::Latency;
pub use queue::Budget;
use queue::{Account, Command, Queue};

/// What is expected at once after a segment's head, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Following {
    /// Its first fragment: without room for that nothing of it could be written.
    pub first: usize,
    /// The group of pictures that begins with it, as far as can be told.
    pub group: usize,
}

/// What a stream tells of a segment that it begins.
#[derive(Debug, Clone, Copy)]
pub struct NewSegment {
    /// The stream.
    pub stream: StreamId,
    /// What it holds.
    pub kind: Kind,
    /// Its epoch.
    pub epoch: EpochId,
    /// Its id.
    pub segment: SegmentId,
    /// What its start block says.
    pub start: Start,
}

/// Why bytes were not taken. Nothing of them was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The disk does not keep up: finish the segment, drop whole GOPs, begin another when there is room.
    #[error("the disk does not keep up: its queue is full")]
    QueueFull,
    /// The disk is taken out of use: begin another segment at the next key frame, on another disk.
    #[error("the disk is taken out of use")]
    Closed,
    /// The segment is poisoned: begin another.
    #[error("a write to this segment failed")]
    Poisoned,
    /// The disk is full, and retention has been told.
    #[error("the disk is full")]
    DiskFull,
    /// No disk can be written to.
    #[error("no disk can be written to")]
    NoDisk,
}

/// Where a segment stands. See the module's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It grows.
    Open,
    /// All of it is durable, its tail included.
    Closed,
    /// It ended without a tail, by its stream's choice; what was queued is durable.
    Abandoned,
    /// A write or fsync failed.
    Poisoned,
}

/// What the writer tells about a segment, in its turn: whoever listens must not wait.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// More of it is durable.
    Durable(Arc<Segment>),
    /// The whole of it is durable; it can be catalogued.
    Closed(Arc<Segment>),
    /// It was given up; it has no tail.
    Abandoned(Arc<Segment>),
    /// It is poisoned. What was durable before still is.
    Poisoned(Arc<Segment>, Arc<io::Error>),
}

/// A segment while this process knows it: what its stream said, and how far it is.
#[derive(Debug)]
pub struct Segment {
    /// What its stream said when it began.
    pub new: NewSegment,
    /// Number of the disk it is written to.
    pub disk: u16,
    state: AtomicU8,
    durable_bytes: AtomicU64,
    durable_us: AtomicU64,
    /// Media time to which its stream ended it, us; zero before.
    ended_us: AtomicU64,
    handed_us: AtomicU64,
}

impl Segment {
    fn new(new: NewSegment, disk: u16) -> Self {
        Self {
            new,
            disk,
            state: AtomicU8::new(State::Open as u8),
            durable_bytes: AtomicU64::new(0),
            durable_us: AtomicU64::new(0),
            ended_us: AtomicU64::new(0),
            handed_us: AtomicU64::new(0),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Open,
            1 => State::Closed,
            2 => State::Abandoned,
            _ => State::Poisoned,
        }
    }

    /// Bytes from its front that are durable.
    pub fn durable_bytes(&self) -> u64 {
        self.durable_bytes.load(Ordering::Acquire)
    }

    /// Media time of what is durable, us after its first sample.
    pub fn durable_us(&self) -> u64 {
        self.durable_us.load(Ordering::Acquire)
    }

    /// The wall time that is missing at its end, us, where its stream had ended it and its disk never took all of that: the stream
    /// does not know, and nor does the segment that follows.
    pub fn lost(&self) -> Option<(i64, i64)> {
        let (durable_us, ended_us) = (self.durable_us(), self.ended_us.load(Ordering::Acquire));
        let is_lost = self.state() == State::Poisoned && ended_us > durable_us;
        let at = |media_us| self.new.start.wall_us.saturating_add_unsigned(media_us);
        is_lost.then(|| (at(durable_us), at(ended_us)))
    }

    /// Media time of what was handed over to be written, us after its first sample.
    pub fn handed_us(&self) -> u64 {
        self.handed_us.load(Ordering::Acquire)
    }

    /// The disk it is written to is gone.
    pub(in crate::store) fn poison(&self) {
        if self.state() == State::Open {
            self.set(State::Poisoned);
        }
    }

    fn set(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }
}

/// How a writer works. The defaults are the house's limits; tests take shorter ones.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// From the first queued byte to the start of its batch, at most.
    pub sync_interval: Duration,
    /// Age of the oldest byte not yet durable from which on a stream is refused.
    pub queue_age_max: Duration,
    /// Queued bytes of a disk from which on a batch begins at once.
    pub write_early_bytes: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            sync_interval: Duration::from_millis(SYNC_INTERVAL_MS_MAX),
            queue_age_max: Duration::from_millis(QUEUE_AGE_MS_MAX),
            write_early_bytes: WRITE_EARLY_BYTES,
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(QUEUE_BYTES_MAX)
    }
}

/// What the writers of a store have in common.
#[derive(Clone)]
pub struct Means {
    /// The memory of their queues.
    pub budget: Arc<Budget>,
    /// How they work.
    pub pace: Pace,
    /// The time; of it only the monotonic one is asked.
    pub clock: Arc<dyn Clock>,
    /// Who gives them their turns.
    pub driver: Driver,
}

/// A disk's writer. Dropping it closes it.
pub struct Writer {
    disk: u16,
    queue: Arc<Queue>,
    budget: Arc<Budget>,
    latency: Arc<Mutex<Latency>>,
    errors: Arc<Errors>,
    worker: Mutex<Option<Worker>>,
}

/// How often a disk has failed since it was mounted.
#[derive(Debug, Default)]
pub(super) struct Errors {
    /// At making a file or writing to it.
    pub write: AtomicU64,
    /// At making something durable.
    pub sync: AtomicU64,
}

impl Writer {
    /// Starts the writer of a disk. `listener` is called in its turns.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub fn start(
        disk: Arc<dyn Disk>,
        number: u16,
        means: Means,
        listener: impl FnMut(Event) + Send + 'static,
    ) -> io::Result<Self> {
        let Means {
            budget,
            pace,
            clock,
            driver,
        } = means;
        let bell = Arc::<Bell>::default();
        let queue = Arc::new(Queue::new(pace, Arc::clone(&clock), Arc::clone(&bell)));
        budget.serves(&queue);
        let latency = Arc::new(Mutex::new(Latency::default()));
        let (at, to) = (Arc::clone(&clock), Arc::clone(&queue));
        let errors = Arc::<Errors>::default();
        let told = (Arc::clone(&latency), Arc::clone(&errors));
        let work = work::Work::new(disk, at, to, told, listener);
        let worker = driver.start(format!("disk-{number}"), work, bell, clock)?;
        Ok(Self {
            disk: number,
            queue,
            budget,
            latency,
            errors,
            worker: Mutex::new(Some(worker)),
        })
    }

    /// Has it ask, by monotonic time in us, whether its disk takes footage: one that does not needs no share of the memory. To be said once.
    pub fn takes_if(&self, takes: impl Fn(u64) -> bool + Send + Sync + 'static) {
        self.queue.takes_if(takes);
    }

    /// Begins a segment: its file is made with `head`, which ends with chunk 0. It is not where what follows would not be taken, unless
    /// that is more than one fragment and a large part of all that may be queued.
    ///
    /// # Errors
    /// [`Refused::QueueFull`], [`Refused::Closed`]: nothing was begun.
    pub fn begin(
        &self,
        new: NewSegment,
        head: Bytes,
        following: Following,
    ) -> Result<SegmentHandle, Refused> {
        let account = self.budget.account(new.stream);
        let segment = Arc::new(Segment::new(new, self.disk));
        let handle = SegmentHandle {
            segment,
            account,
            queue: Arc::clone(&self.queue),
            ended: false,
        };
        handle.room_before(head.len(), following)?;
        let segment = Arc::clone(&handle.segment);
        let create = Command::Create {
            segment,
            bytes: head,
        };
        handle.queue.push(&handle.account, create);
        Ok(handle)
    }

    /// How long fsync took lately.
    pub fn latency(&self) -> Latency {
        self.latency
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How often writing and syncing failed.
    pub fn errors(&self) -> (u64, u64) {
        let Errors { write, sync } = &*self.errors;
        (write.load(Ordering::Relaxed), sync.load(Ordering::Relaxed))
    }

    /// Bytes that wait to be written.
    pub fn queued_bytes(&self) -> u64 {
        self.queue.bytes()
    }

    /// For how long what it took last has been on its way to the disk, us.
    pub fn waited_us(&self) -> u64 {
        self.queue.waited_us()
    }

    /// Whether its work has ended by itself: nothing more is written to this disk.
    pub fn has_ended(&self) -> bool {
        self.worker().as_ref().is_some_and(Worker::has_ended)
    }

    /// Writes, syncs and acknowledges what is queued, and ends. Handles that are still about refuse from then on.
    pub fn close(&self) {
        if self.queue.is_lost() {
            return;
        }
        self.queue.close();
        let worker = self.worker().take();
        if worker.is_some_and(|worker| !worker.join()) {
            tracing::error!(disk = self.disk, "a disk's writer had died");
        }
    }

    /// Ends without writing anything more, because the disk is gone. What hangs in the disk is not waited for.
    pub fn abandon(&self) {
        self.queue.lose();
    }

    fn worker(&self) -> MutexGuard<'_, Option<Worker>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// A stream's end of a segment that is being written. Dropped without [`SegmentHandle::finish`], the segment is abandoned.
pub struct SegmentHandle {
    segment: Arc<Segment>,
    account: Arc<Account>,
    queue: Arc<Queue>,
    ended: bool,
}

impl std::fmt::Debug for SegmentHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("SegmentHandle");
        shown
            .field("segment", &self.segment)
            .finish_non_exhaustive()
    }
}

impl SegmentHandle {
    /// The segment.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Whether `bytes` would be taken now. Ask before sealing: what was sealed and is refused cannot be sealed again, and the
    /// footer would name it.
    ///
    /// # Errors
    /// Why not.
    pub fn room(&self, bytes: usize) -> Result<(), Refused> {
        self.room_before(bytes, Following::default())
    }

    fn room_before(&self, bytes: usize, following: Following) -> Result<(), Refused> {
        if self.segment.state() == State::Poisoned {
            return Err(Refused::Poisoned);
        }
        let admitted = self.queue.admits(&self.account, bytes as u64, following);
        if admitted == Err(Refused::Poisoned) {
            self.segment.poison();
        }
        admitted
    }

    /// Queues a chunk for which [`room`](Self::room) was granted, whatever has happened since: it is sealed, so a footer
    /// names it. With it the segment reaches to `reached_us` of media time after its first sample.
    pub fn append(&self, chunk: Bytes, reached_us: u64) {
        self.segment.handed_us.store(reached_us, Ordering::Release);
        let command = Command::Append {
            segment: Arc::clone(&self.segment),
            bytes: chunk,
            reached_us,
        };
        self.queue.push(&self.account, command);
    }

    /// Queues the end: footer, copy and tail. It is taken however full the queue is, so that a segment can always be ended
    /// well. `duration_us` is the media duration.
    pub fn finish(mut self, end: Bytes, duration_us: u64) {
        self.ended = true;
        self.segment.ended_us.store(duration_us, Ordering::Release);
        self.segment.handed_us.store(duration_us, Ordering::Release);
        let command = Command::Finish {
            segment: Arc::clone(&self.segment),
            bytes: end,
            duration_us,
        };
        self.queue.push(&self.account, command);
    }

    /// Ends the segment as it is, without a tail. What is queued is still written; the next start gives it a tail.
    pub fn abandon(self) {
        drop(self);
    }
}

impl Drop for SegmentHandle {
    fn drop(&mut self) {
        if !self.ended {
            let segment = Arc::clone(&self.segment);
            self.queue.push(&self.account, Command::Abandon { segment });
        }
    }
}
