//! Whether the child makes progress: it owes some while it is given bytes or has been given all, unless the player is slow to
//! take what it made.

use std::io;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// What is known of the child.
pub(super) struct Watch {
    state: Mutex<State>,
    changed: Condvar,
    silence_max: Duration,
}

struct State {
    /// Since when nothing has changed.
    since: Instant,
    /// Whether we wait for it to take something, or to end.
    feeds: bool,
    /// Whether we wait for the player.
    shows: bool,
    is_over: bool,
    timed_out: bool,
}

impl Watch {
    pub(super) fn new(silence_max: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                since: Instant::now(),
                feeds: false,
                shows: false,
                is_over: false,
                timed_out: false,
            }),
            changed: Condvar::new(),
            silence_max,
        }
    }

    pub(super) fn silence_max(&self) -> Duration {
        self.silence_max
    }

    /// Begins or ends waiting for the child.
    pub(super) fn feeds(&self, feeds: bool) {
        let mut state = self.state();
        state.feeds = feeds;
        state.since = Instant::now();
    }

    /// Begins or ends waiting for the player.
    pub(super) fn shows(&self, shows: bool) {
        let mut state = self.state();
        state.shows = shows;
        state.since = Instant::now();
    }

    /// The child has ended; says whether it was ended for its silence.
    pub(super) fn end(&self) -> bool {
        let mut state = self.state();
        state.is_over = true;
        self.changed.notify_all();
        state.timed_out
    }

    /// Watches the child, on a thread that ends after [`Watch::end`].
    pub(super) fn guard(self: &Arc<Self>, child: &Child) -> io::Result<JoinHandle<()>> {
        // By a descriptor: its number may be another process's by then.
        let child = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
        let watch = Arc::clone(self);
        Ok(thread::spawn(move || {
            if watch.is_silent() {
                // That it has just ended by itself is as good.
                let _ = pidfd_send_signal(&child, Signal::KILL);
            }
        }))
    }

    /// Waits until it has been silent for too long, or is over.
    fn is_silent(&self) -> bool {
        let mut state = self.state();
        loop {
            if state.is_over {
                return false;
            }
            let owes = state.feeds && !state.shows;
            let left = match owes {
                true => self.silence_max.saturating_sub(state.since.elapsed()),
                false => self.silence_max,
            };
            if left.is_zero() {
                state.timed_out = true;
                return true;
            }
            let woken = self.changed.wait_timeout(state, left);
            (state, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
