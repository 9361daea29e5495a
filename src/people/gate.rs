//! How many passphrases are checked at once: each takes 19 MiB.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Error;
use crate::limits::{AUTH_AT_ONCE_MAX, AUTH_WAITING_MAX};

/// Lets two in, a few wait, and turns the others away.
#[derive(Debug, Default)]
pub(super) struct Gate {
    counts: Mutex<Counts>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    inside: usize,
    waiting: usize,
}

/// Somebody inside; leaves when dropped.
pub(super) struct Inside<'a>(&'a Gate);

impl Gate {
    /// Waits for a place; blocks the thread.
    pub fn enter(&self) -> Result<Inside<'_>, Error> {
        let mut counts = self.counts();
        if counts.inside >= AUTH_AT_ONCE_MAX {
            if counts.waiting >= AUTH_WAITING_MAX {
                return Err(Error::Busy);
            }
            counts.waiting += 1;
            let full = |counts: &mut Counts| counts.inside >= AUTH_AT_ONCE_MAX;
            counts = self
                .left
                .wait_while(counts, full)
                .unwrap_or_else(PoisonError::into_inner);
            counts.waiting -= 1;
        }
        counts.inside += 1;
        Ok(Inside(self))
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.counts().inside -= 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn two_at_a_time_and_a_bounded_queue() {
        let (gate, inside, most) = (Gate::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let (refused, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| match gate.enter() {
                    Ok(_inside) => {
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        inside.fetch_sub(1, Ordering::SeqCst);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(_) => {
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), AUTH_AT_ONCE_MAX);
        let (done, refused) = (done.into_inner(), refused.into_inner());
        assert!(
            done >= AUTH_AT_ONCE_MAX + AUTH_WAITING_MAX && done + refused == 32,
            "{done} + {refused}"
        );
    }
}
