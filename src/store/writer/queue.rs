//! What waits to be written to a disk, and how much of it each stream may have.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use hearthkeep_format::StreamId;

use super::{Following, Pace, Refused, Segment};
use crate::clock::Clock;
use crate::limits::DISK_LATE_MS_MIN;
use crate::store::turns::{Bell, Next};

/// Into so many parts a stream's share is divided, of which disks that are late have one while another disk answers.
const LATE_PARTS: u64 = 2;
/// Into so many parts a stream's share is divided, of which a segment needs no more than one to begin, however large the group of pictures
/// is that follows; but for its first fragment.
const FOLLOWING_PARTS: u64 = 4;

/// The memory that all queues together may hold, in equal shares for the streams that write. What waits for a disk that is late takes
/// no more than half of a share while another disk answers, which needs the rest.
#[derive(Debug)]
pub struct Budget {
    shared: Arc<Shared>,
    accounts: Mutex<HashMap<StreamId, Weak<Account>>>,
}

#[derive(Debug)]
struct Shared {
    bytes_max: u64,
    bytes: AtomicU64,
    streams: AtomicUsize,
    queues: Queues,
}

/// The queues of all disks whose writers are about.
#[derive(Default)]
struct Queues(Mutex<Vec<Weak<Queue>>>);

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Queues").finish_non_exhaustive()
    }
}

impl Queues {
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Queue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, queue: &Arc<Queue>) {
        let mut queues = self.lock();
        queues.retain(|queue| queue.strong_count() > 0);
        queues.push(Arc::downgrade(queue));
    }

    /// Whether a disk answers; it is another one than whoever asks, which does not.
    fn answers_one(&self) -> bool {
        let queues: Vec<_> = self.lock().iter().filter_map(Weak::upgrade).collect();
        queues.iter().any(|queue| queue.answers())
    }
}

/// A stream's share of the [`Budget`], as long as it writes or anything of it is queued.
#[derive(Debug)]
pub(super) struct Account {
    shared: Arc<Shared>,
    bytes: AtomicU64,
}

impl Budget {
    /// A budget of so many bytes for all streams.
    pub fn new(bytes_max: u64) -> Self {
        let shared = Shared {
            bytes_max,
            bytes: AtomicU64::new(0),
            streams: AtomicUsize::new(0),
            queues: Queues::default(),
        };
        Self {
            shared: Arc::new(shared),
            accounts: Mutex::default(),
        }
    }

    /// Bytes queued for all disks.
    pub fn queued_bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Takes note of a disk's queue.
    pub(super) fn serves(&self, queue: &Arc<Queue>) {
        self.shared.queues.add(queue);
    }

    /// The account of a stream, the one it has where it has one.
    pub(super) fn account(&self, stream: StreamId) -> Arc<Account> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(&stream).and_then(Weak::upgrade) {
            return account;
        }
        accounts.retain(|_, account| account.strong_count() > 0);
        self.shared.streams.fetch_add(1, Ordering::Relaxed);
        let account = Arc::new(Account {
            shared: Arc::clone(&self.shared),
            bytes: AtomicU64::new(0),
        });
        accounts.insert(stream, Arc::downgrade(&account));
        account
    }
}

impl Account {
    /// Whether there is room for so many bytes more, and for what is expected to follow them, on a disk that is late, or not.
    fn has_room(&self, bytes: u64, following: Following, is_late: bool) -> bool {
        let streams = self.shared.streams.load(Ordering::Relaxed).max(1) as u64;
        let share = match is_late && self.shared.queues.answers_one() {
            true => self.shared.bytes_max / streams / LATE_PARTS,
            false => self.shared.bytes_max / streams,
        };
        let group = (following.group as u64).min(share / FOLLOWING_PARTS);
        let bytes = bytes + group.max(following.first as u64);
        self.bytes.load(Ordering::Relaxed) + bytes <= share
            && self.shared.bytes.load(Ordering::Relaxed) + bytes <= self.shared.bytes_max
    }

    fn take(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.shared.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a stream asks for.
#[derive(Debug)]
pub(super) enum Command {
    Create {
        segment: Arc<Segment>,
        bytes: Bytes,
    },
    Append {
        segment: Arc<Segment>,
        bytes: Bytes,
        reached_us: u64,
    },
    Finish {
        segment: Arc<Segment>,
        bytes: Bytes,
        duration_us: u64,
    },
    Abandon {
        segment: Arc<Segment>,
    },
}

impl Command {
    fn bytes(&self) -> u64 {
        match self {
            Self::Create { bytes, .. }
            | Self::Append { bytes, .. }
            | Self::Finish { bytes, .. } => bytes.len() as u64,
            Self::Abandon { .. } => 0,
        }
    }
}

/// A command on its way, with what it holds of the budget.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) command: Command,
    pub(super) charge: Charge,
}

/// Bytes taken from the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Charge {
    account: Arc<Account>,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.give_back(self.bytes);
    }
}

/// A disk's queue: many streams push, the disk's writer takes all there is.
pub(super) struct Queue {
    pace: Pace,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    bell: Arc<Bell>,
    /// Whether its disk takes footage, by monotonic time, us; unless that is said it does.
    takes: OnceLock<Box<dyn Fn(u64) -> bool + Send + Sync>>,
}

/// Times are monotonic, us.
#[derive(Debug, Default)]
struct Inner {
    commands: Vec<Queued>,
    bytes: u64,
    /// When the oldest of `commands` came.
    since_us: Option<u64>,
    /// When the oldest came of those that were taken and are not yet durable.
    taken_since_us: Option<u64>,
    /// When the interval after the last batch is over.
    rested_us: Option<u64>,
    /// The writer waits without a time to wake at.
    idle: bool,
    closing: bool,
    /// The disk is gone: nothing more is written to it.
    lost: bool,
}

/// What a writer finds to do.
pub(super) enum Taken {
    /// To end at once: the disk is gone.
    Lost,
    /// This is due.
    Batch(Vec<Queued>),
    /// Nothing before that.
    Nothing(Next),
}

impl Queue {
    pub(super) fn new(pace: Pace, clock: Arc<dyn Clock>, bell: Arc<Bell>) -> Self {
        Self {
            pace,
            clock,
            inner: Mutex::default(),
            bell,
            takes: OnceLock::new(),
        }
    }

    /// Has it ask whether its disk takes footage, once.
    pub(super) fn takes_if(&self, takes: impl Fn(u64) -> bool + Send + Sync + 'static) {
        let _ = self.takes.set(Box::new(takes));
    }

    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// For how long the oldest byte that was taken has waited, us; zero while nothing is being written.
    pub(super) fn waited_us(&self) -> u64 {
        let now_us = self.clock.monotonic_us();
        self.lock().waited_us(now_us)
    }

    /// Whether its disk takes what is queued, and has not been waited for.
    fn answers(&self) -> bool {
        let now_us = self.clock.monotonic_us();
        let inner = self.lock();
        let answers = !inner.closing && inner.waited_us(now_us) <= DISK_LATE_MS_MIN * 1_000;
        drop(inner);
        answers && self.takes.get().is_none_or(|takes| takes(now_us))
    }

    pub(super) fn admits(
        &self,
        account: &Account,
        bytes: u64,
        following: Following,
    ) -> Result<(), Refused> {
        let now_us = self.clock.monotonic_us();
        let inner = self.lock();
        if inner.lost {
            return Err(Refused::Poisoned);
        }
        if inner.closing {
            return Err(Refused::Closed);
        }
        let oldest_us = inner.taken_since_us.or(inner.since_us);
        let age_max_us = micros(self.pace.queue_age_max);
        let is_old = oldest_us.is_some_and(|since_us| now_us.saturating_sub(since_us) > age_max_us);
        let is_late = inner.waited_us(now_us) > DISK_LATE_MS_MIN * 1_000;
        // The others are asked without it: they may be asked about this one meanwhile.
        drop(inner);
        match !is_old && account.has_room(bytes, following, is_late) {
            true => Ok(()),
            false => Err(Refused::QueueFull),
        }
    }

    /// Queues a command. It is dropped where the queue was closed: its segment has no tail then, as after a crash.
    pub(super) fn push(&self, account: &Arc<Account>, command: Command) {
        let bytes = command.bytes();
        let now_us = self.clock.monotonic_us();
        let mut inner = self.lock();
        if inner.closing {
            return;
        }
        account.take(bytes);
        let account = Arc::clone(account);
        let charge = Charge { account, bytes };
        inner.commands.push(Queued { command, charge });
        inner.bytes += bytes;
        inner.since_us.get_or_insert(now_us);
        if inner.idle || inner.bytes >= self.pace.write_early_bytes {
            inner.idle = false;
            self.bell.ring();
        }
    }

    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.bell.ring();
    }

    /// Gives up all that is queued: the disk is gone.
    pub(super) fn lose(&self) {
        let mut inner = self.lock();
        (inner.lost, inner.closing) = (true, true);
        inner.bytes = 0;
        let given_up = std::mem::take(&mut inner.commands);
        drop(inner);
        drop(given_up);
        self.bell.ring();
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lock().lost
    }

    /// Takes a batch if one is due.
    ///
    /// While streams write, a writer wakes once an interval: it sleeps through the interval whether or not anything is queued
    /// yet, and only when nothing came in it does a push have to wake it.
    pub(super) fn take(&self) -> Taken {
        let now_us = self.clock.monotonic_us();
        let mut inner = self.lock();
        if inner.lost {
            return Taken::Lost;
        }
        match inner.next(&self.pace, now_us) {
            Next::At(at_us) if at_us <= now_us => {
                inner.bytes = 0;
                inner.taken_since_us = inner.since_us.take();
                Taken::Batch(std::mem::take(&mut inner.commands))
            }
            next => Taken::Nothing(next),
        }
    }

    /// Says that all that was taken is durable, or never will be. Returns when there is something to do again.
    pub(super) fn done(&self) -> Next {
        let now_us = self.clock.monotonic_us();
        let mut inner = self.lock();
        inner.taken_since_us = None;
        inner.rested_us = Some(now_us.saturating_add(micros(self.pace.sync_interval)));
        inner.next(&self.pace, now_us)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// For how long the oldest byte that was taken has waited.
    fn waited_us(&self, now_us: u64) -> u64 {
        let since_us = self.taken_since_us;
        since_us.map_or(0, |since_us| now_us.saturating_sub(since_us))
    }

    /// When there is something to do: now, where that time has come.
    fn next(&mut self, pace: &Pace, now_us: u64) -> Next {
        let early = self.closing || self.bytes >= pace.write_early_bytes;
        if self.lost || (early && !self.commands.is_empty()) {
            return Next::At(now_us);
        }
        if self.closing {
            return Next::Never;
        }
        let interval_us = micros(pace.sync_interval);
        let oldest_due = self.since_us.map(|us| us.saturating_add(interval_us));
        match self.rested_us.into_iter().chain(oldest_due).min() {
            Some(due_us) if now_us < due_us || !self.commands.is_empty() => Next::At(due_us),
            _ => {
                self.rested_us = None;
                self.idle = true;
                Next::WhenTold
            }
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
