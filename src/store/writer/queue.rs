//! What waits to be written to a disk, and how much of it each stream may have.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use bytes::Bytes;
use hearthkeep_format::StreamId;

use super::{Pace, Refused, Segment};

/// The memory that all queues together may hold, in equal shares for the streams that write.
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
    fn has_room(&self, bytes: u64) -> bool {
        let streams = self.shared.streams.load(Ordering::Relaxed).max(1) as u64;
        let share = self.shared.bytes_max / streams;
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

/// A disk's queue: many streams push, the disk's thread takes all there is.
#[derive(Debug)]
pub(super) struct Queue {
    pace: Pace,
    inner: Mutex<Inner>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    commands: Vec<Queued>,
    bytes: u64,
    /// When the oldest of `commands` came.
    since: Option<Instant>,
    /// When the oldest came of those that were taken and are not yet durable.
    taken_since: Option<Instant>,
    /// The thread waits without a time to wake at.
    idle: bool,
    closing: bool,
}

impl Queue {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            inner: Mutex::default(),
            wake: Condvar::new(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    pub(super) fn admits(&self, account: &Account, bytes: u64) -> Result<(), Refused> {
        let inner = self.lock();
        let oldest = inner.taken_since.or(inner.since);
        let late = oldest.is_some_and(|since| since.elapsed() > self.pace.queue_age_max);
        if late || inner.closing || !account.has_room(bytes) {
            return Err(Refused::QueueFull);
        }
        Ok(())
    }

    /// Queues a command. It is dropped where the queue was closed: its segment has no tail then, as after a crash.
    pub(super) fn push(&self, account: &Arc<Account>, command: Command) {
        let bytes = command.bytes();
        let mut inner = self.lock();
        if inner.closing {
            return;
        }
        account.take(bytes);
        let account = Arc::clone(account);
        let charge = Charge { account, bytes };
        inner.commands.push(Queued { command, charge });
        inner.bytes += bytes;
        inner.since.get_or_insert_with(Instant::now);
        if inner.idle || inner.bytes >= self.pace.write_early_bytes {
            inner.idle = false;
            self.wake.notify_one();
        }
    }

    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_one();
    }

    /// Waits until a batch is due and takes it; `None` when the queue is closed and empty. Calling it says that all taken before
    /// is durable, or never will be.
    ///
    /// While streams write, this wakes once an interval: the thread sleeps through the interval whether or not
    /// anything is queued yet, and only when nothing came in it does a push have to wake it.
    pub(super) fn take(&self) -> Option<Vec<Queued>> {
        let mut inner = self.lock();
        inner.taken_since = None;
        let mut rested = Some(Instant::now() + self.pace.sync_interval);
        loop {
            let now = Instant::now();
            let oldest_due = inner.since.map(|since| since + self.pace.sync_interval);
            let due = rested.into_iter().chain(oldest_due).min();
            let early = inner.closing || inner.bytes >= self.pace.write_early_bytes;
            if !inner.commands.is_empty() && (early || due.is_some_and(|due| now >= due)) {
                inner.bytes = 0;
                inner.taken_since = inner.since.take();
                return Some(std::mem::take(&mut inner.commands));
            }
            if inner.closing {
                return None;
            }
            inner = match due {
                Some(due) if now < due => {
                    let waited = self.wake.wait_timeout(inner, due - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                _ => {
                    rested = None;
                    inner.idle = true;
                    self.wake
                        .wait(inner)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
