//! Bounds what a camera can make us hold that sends and sends while nothing comes of it: a picture, a header or an answer without an end.
//!
//! retina keeps what is not whole, without a bound, and does not say how much that is. What the process holds is known to the system:
//! it is asked before and after each poll of a connection, once two in a row have brought nothing. What grows by a poll is that
//! connection's, but for the little that other threads come to hold in those milliseconds.

use std::fs;
use std::pin::pin;
use std::task::{Context, Poll};

use tokio::task::coop;

use super::ErrorKind;

/// Polls in a row that bring nothing, from which on it is counted. A turn of a camera that is well ends with one.
const FRUITLESS_MIN: u32 = 2;

/// Of the 128 operations that tokio grants a task in a turn, those that a connection is not left which has brought nothing: each of
/// the others may read a whole receive buffer of the kernel (6 MiB), which nobody looks at in between.
const OPERATIONS_SPENT: u32 = 126;

/// What one connection has come to hold since its last picture or answer.
pub(super) struct Flood {
    held_bytes: fn() -> Option<i64>,
    most_bytes: u64,
    fruitless: u32,
    unfinished_bytes: i64,
}

impl Flood {
    /// A connection that begins, and by how much memory may grow over it.
    pub(super) fn new(most_bytes: u64) -> Self {
        Self {
            held_bytes,
            most_bytes,
            fruitless: 0,
            unfinished_bytes: 0,
        }
    }

    /// A picture came.
    pub(super) fn fruitful(&mut self) {
        (self.fruitless, self.unfinished_bytes) = (0, 0);
    }

    /// Polls the connection.
    ///
    /// # Errors
    /// [`ErrorKind::Endless`] instead of waiting on.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, ErrorKind>> {
        let is_counted = self.fruitless >= FRUITLESS_MIN;
        if is_counted {
            spend(cx);
        }
        let before = is_counted.then(self.held_bytes).flatten();
        let polled = poll(cx);
        if let Some((before, after)) = before.zip(before.and_then(|_| (self.held_bytes)())) {
            self.unfinished_bytes += after - before;
        }
        let Poll::Pending = polled else {
            return polled.map(Ok);
        };
        self.fruitless = match coop::has_budget_remaining() {
            true => self.fruitless.saturating_add(1),
            // It has read all that it may in a turn, and is not done: the next one is looked at.
            false => self.fruitless.max(FRUITLESS_MIN),
        };
        let bytes = u64::try_from(self.unfinished_bytes).unwrap_or(0);
        match bytes > self.most_bytes {
            true => Poll::Ready(Err(ErrorKind::Endless { bytes })),
            false => Poll::Pending,
        }
    }
}

/// Leaves the task few operations until it has given way to others.
fn spend(cx: &mut Context<'_>) {
    for _ in 0..OPERATIONS_SPENT {
        if pin!(coop::consume_budget()).poll(cx).is_pending() {
            return;
        }
    }
}

/// What this process holds in memory that is not a file's; `None` where the system does not say.
fn held_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mut lines = status.lines();
    let kib = lines.find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib = kib.trim().strip_suffix(" kB")?.parse::<i64>().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::task::Waker;

    use super::*;

    const MOST_BYTES: u64 = 18 << 20;

    thread_local! {
        static HELD: Cell<i64> = const { Cell::new(1 << 40) };
        static ASKED: Cell<u32> = const { Cell::new(0) };
    }

    fn held() -> Option<i64> {
        ASKED.set(ASKED.get() + 1);
        Some(HELD.get())
    }

    fn flood() -> Flood {
        Flood {
            held_bytes: held,
            ..Flood::new(MOST_BYTES)
        }
    }

    fn idle() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    /// A poll that makes memory grow, and of which nothing comes.
    fn fruitless(flood: &mut Flood, bytes: u64) -> Poll<Result<(), ErrorKind>> {
        flood.poll(&mut idle(), |_| {
            HELD.set(HELD.get() + bytes as i64);
            Poll::Pending
        })
    }

    #[test]
    fn a_camera_that_is_well_costs_no_look() {
        let mut flood = flood();
        for _ in 0..1000 {
            assert_eq!(
                flood.poll(&mut idle(), |_| Poll::Ready(())),
                Poll::Ready(Ok(()))
            );
            flood.fruitful();
            assert_eq!(fruitless(&mut flood, 1 << 20), Poll::Pending);
        }
        assert_eq!(ASKED.get(), 0);
    }

    #[test]
    fn what_comes_without_a_picture_has_a_bound() {
        let mut flood = flood();
        let most = MOST_BYTES;
        for bytes in [most, most, most / 2, most / 2] {
            assert_eq!(fruitless(&mut flood, bytes), Poll::Pending);
        }
        // Sound and the like are no end of it.
        assert_eq!(
            flood.poll(&mut idle(), |_| Poll::Ready(())),
            Poll::Ready(Ok(()))
        );
        let end = ErrorKind::Endless { bytes: most + 1 };
        assert_eq!(fruitless(&mut flood, 1), Poll::Ready(Err(end)));
        flood.fruitful();
        assert_eq!(fruitless(&mut flood, most + 1), Poll::Pending);
    }

    #[test]
    fn what_others_hold_is_not_laid_to_it() {
        let mut flood = flood();
        for _ in 0..100 {
            HELD.set(HELD.get() + (64 << 20));
            assert_eq!(fruitless(&mut flood, 0), Poll::Pending);
        }
    }

    #[test]
    fn the_system_says_what_is_held() {
        let before = held_bytes().unwrap();
        assert!(before > 1 << 16);
        let held = vec![1_u8; 64 << 20];
        assert!(held_bytes().unwrap() > before + (32 << 20));
        assert_eq!(held.iter().filter(|byte| **byte == 1).count(), held.len());
    }
}
