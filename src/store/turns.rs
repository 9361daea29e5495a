//! Who gives the store's background work its turns: a thread for each, or whoever opened the store.
//!
//! A turn does what is due by the [`Clock`] and says when the next one is. In production a thread sleeps until then
//! ([`Driver::Threads`]); a simulator gives the turns itself, in the order and at the times that it likes ([`Hands`]), and so drives
//! the same code.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;

/// When work wants its next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At this monotonic time, us, or when its bell is rung before; a time that has passed means at once.
    At(u64),
    /// When its bell is rung.
    WhenTold,
    /// Never: it has ended.
    Never,
}

/// Work that is done in turns.
pub(super) trait Work: Send + 'static {
    /// Does what is due. Never waits for a time to come, but where it has a [`Rest`].
    fn turn(&mut self) -> Next;

    /// Whether nobody waits for it: a thread of its own then has the lowest priority.
    fn is_in_no_hurry(&self) -> bool {
        false
    }
}

/// Wakes who sleeps until the next turn. It is not lost where it is rung before he sleeps.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    wake: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *lock(&self.rung) = true;
        self.wake.notify_one();
    }

    fn wait(&self, longest: Option<Duration>) {
        let is_waiting = |rung: &mut bool| !*rung;
        let rung = lock(&self.rung);
        let mut rung = match longest {
            Some(longest) => {
                let waited = self.wake.wait_timeout_while(rung, longest, is_waiting);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.wake.wait_while(rung, is_waiting);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        *rung = false;
    }
}

/// Who gives the turns.
#[derive(Clone, Default)]
pub enum Driver {
    /// A thread for each piece of work.
    #[default]
    Threads,
    /// Whoever has these.
    Hands(Hands),
}

impl Driver {
    /// How work that is started with this bell may pause.
    pub(super) fn rest(&self, bell: &Arc<Bell>) -> Rest {
        match self {
            Self::Threads => Rest::Bell(Arc::clone(bell)),
            Self::Hands(_) => Rest::Never,
        }
    }

    /// Has work done from now on. `bell` is the one that is rung for it.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub(super) fn start(
        &self,
        name: String,
        mut work: impl Work,
        bell: Arc<Bell>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Worker> {
        match self {
            Self::Threads => {
                let (ending, ended) = mpsc::channel();
                let run = move || {
                    // Hangs up when the thread ends, by a panic too.
                    let _ending: mpsc::Sender<()> = ending;
                    go_on(&mut work, &bell, &*clock);
                };
                let thread = std::thread::Builder::new().name(name).spawn(run)?;
                Ok(Worker::Thread(thread, ended))
            }
            Self::Hands(hands) => {
                let mut jobs = lock(&hands.0);
                let next = Next::At(clock.monotonic_us());
                let job = Job {
                    state: State::Waits(Box::new(work), next),
                    bell,
                };
                jobs.push(job);
                Ok(Worker::Job(hands.clone(), jobs.len() - 1))
            }
        }
    }
}

fn go_on(work: &mut impl Work, bell: &Bell, clock: &dyn Clock) {
    if work.is_in_no_hurry() {
        step_back();
    }
    loop {
        match work.turn() {
            Next::Never => return,
            Next::WhenTold => bell.wait(None),
            Next::At(at_us) => {
                let left_us = at_us.saturating_sub(clock.monotonic_us());
                bell.wait(Some(Duration::from_micros(left_us)));
            }
        }
    }
}

/// Gives this thread the lowest priority there is for an ordinary user; the kernel derives that at the disk from it.
pub(super) fn step_back() {
    const LOWEST: i32 = 19;
    let this = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(this), LOWEST) {
        tracing::debug!(%error, "work in the background keeps its priority");
    }
}

/// How work pauses within a turn that is long. Only where it has a thread of its own, and not beyond its bell.
pub(super) enum Rest {
    Bell(Arc<Bell>),
    Never,
}

impl Rest {
    /// Pauses; false where it never does.
    pub(super) fn pause(&self, longest: Duration) -> bool {
        match self {
            Self::Bell(bell) => {
                bell.wait(Some(longest));
                true
            }
            Self::Never => false,
        }
    }
}

/// Work that was started.
pub(super) enum Worker {
    Thread(JoinHandle<()>, mpsc::Receiver<()>),
    Job(Hands, usize),
}

impl Worker {
    /// Whether it has ended, by itself or by a panic.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Thread(thread, _) => thread.is_finished(),
            Self::Job(hands, index) => matches!(lock(&hands.0)[*index].state, State::Ended),
        }
    }

    /// Waits for the end of work that was told to end; false where it died before.
    pub(super) fn join(self) -> bool {
        match self {
            Self::Thread(thread, _) => thread.join().is_ok(),
            Self::Job(hands, index) => hands.finish(index),
        }
    }

    /// The same, but waits no longer than this; false where it has not ended by then.
    pub(super) fn join_within(self, longest: Duration) -> bool {
        if let Self::Thread(_, ended) = &self
            && ended.recv_timeout(longest) == Err(mpsc::RecvTimeoutError::Timeout)
        {
            return false;
        }
        self.join()
    }
}

/// The work of a store that has no threads: whoever holds these gives it its turns.
#[derive(Clone, Default)]
pub struct Hands(Arc<Mutex<Vec<Job>>>);

struct Job {
    state: State,
    bell: Arc<Bell>,
}

enum State {
    Waits(Box<dyn Work>, Next),
    /// Its turn goes on, further out on this stack.
    Works,
    Ended,
}

impl Hands {
    /// When each piece of work that waits wants its turn, by monotonic time in us, with its number. One that waits to be told
    /// something is left out.
    pub fn waiting(&self) -> Vec<(u64, usize)> {
        let jobs = lock(&self.0);
        let waits = jobs.iter().enumerate().filter_map(|(index, job)| {
            let at_us = match job.state {
                State::Waits(..) if *lock(&job.bell.rung) => 0,
                State::Waits(_, Next::At(at_us)) => at_us,
                _ => return None,
            };
            Some((at_us, index))
        });
        waits.collect()
    }

    /// Gives a piece of work a turn, if it waits for one: it may be at it already, where it called what calls this.
    pub fn turn(&self, number: usize) {
        let taken = {
            let mut jobs = lock(&self.0);
            let job = &mut jobs[number];
            match std::mem::replace(&mut job.state, State::Works) {
                State::Waits(work, _) => {
                    *lock(&job.bell.rung) = false;
                    Some(work)
                }
                other => {
                    job.state = other;
                    None
                }
            }
        };
        let Some(mut work) = taken else { return };
        let state = match work.turn() {
            Next::Never => State::Ended,
            next => State::Waits(work, next),
        };
        self.put_back(number, state);
    }

    /// Gives no more turns: all that was begun stays as it is, as when the process dies.
    pub fn let_go(&self) {
        let states: Vec<_> = lock(&self.0)
            .iter_mut()
            .map(|job| std::mem::replace(&mut job.state, State::Ended))
            .collect();
        drop(states);
    }

    fn put_back(&self, number: usize, mut state: State) {
        let mut jobs = lock(&self.0);
        if !matches!(jobs[number].state, State::Ended) {
            std::mem::swap(&mut jobs[number].state, &mut state);
        }
        // What was let go of meanwhile may hold these hands itself: it goes when they are free.
        drop(jobs);
    }

    fn finish(&self, number: usize) -> bool {
        let waits = || matches!(lock(&self.0)[number].state, State::Waits(..));
        if !waits() {
            return false;
        }
        while waits() {
            self.turn(number);
        }
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimClock;

    struct Countdown(u64);

    impl Work for Countdown {
        fn turn(&mut self) -> Next {
            self.0 -= 1;
            match self.0 {
                0 => Next::Never,
                1 => Next::WhenTold,
                left => Next::At(1_000 - left),
            }
        }
    }

    #[test]
    fn hands_give_turns_when_they_are_wanted() {
        let (hands, bell) = (Hands::default(), Arc::<Bell>::default());
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(0));
        let start = |turns| {
            let driver = Driver::Hands(hands.clone());
            let work = Countdown(turns);
            driver
                .start("work".into(), work, Arc::clone(&bell), Arc::clone(&clock))
                .unwrap()
        };
        let first = start(3);
        assert_eq!(hands.waiting()[0].0, clock.monotonic_us());
        hands.turn(0);
        assert_eq!(hands.waiting()[0].0, 998);
        hands.turn(0);
        assert_eq!(hands.waiting(), [], "it waits to be told");
        bell.ring();
        assert_eq!(hands.waiting()[0].0, 0, "at once");
        assert!(!first.has_ended());
        hands.turn(0);
        assert!(first.has_ended());
        assert!(!first.join(), "it had ended before it was told to");
        assert!(start(5).join());
        let last = start(5);
        hands.let_go();
        assert!(last.has_ended() && !last.join());
    }

    #[test]
    fn a_thread_sleeps_until_its_turn_or_the_bell() {
        let bell = Arc::<Bell>::default();
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(0));
        let worker = Driver::Threads
            .start("work".into(), Countdown(4), Arc::clone(&bell), clock)
            .unwrap();
        // It asks to be told before its last turn: until then nothing ends it. A ring may still be heard before an earlier one.
        assert!(!worker.has_ended());
        while !worker.has_ended() {
            bell.ring();
            std::thread::yield_now();
        }
        assert!(worker.join());
    }
}
