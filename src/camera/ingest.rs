//! The thread that reads all cameras, in batches.
//!
//! A camera sends some 350 packets a second, and a runtime that is woken for each spends most of its
//! time waking. Here the runtime is *driven*: nobody sleeps in `epoll_wait`; instead, every
//! [`INGEST_PERIOD_MS`] the thread runs it until nothing is ready any more, and sleeps again. What
//! arrives meanwhile waits in the kernel's socket buffer (200 ms of 8 Mbit/s are 200 KB) and is then taken
//! in few reads. While somebody watches live or a camera is being connected ([`IngestHandle::hurry`]),
//! the period is [`INGEST_PERIOD_WATCHED_MS`].
//!
//! # How a turn knows that nothing is ready
//!
//! On tokio's current-thread runtime a task that yields is woken only after the driver has been polled
//! (without waiting) for sockets and timers. So the turn yields, again and again, until in two turns
//! running none of the tasks spawned here has been polled: the first of them polls the driver, the
//! second runs what that has woken. A yield costs one `epoll_wait` that returns at once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use crate::limits::{
    INGEST_PERIOD_MS, INGEST_PERIOD_WATCHED_MS, INGEST_SHUTDOWN_MS_MAX, INGEST_TURN_MS_MAX,
};

/// Yields in one turn, so that a flood cannot keep the thread from hearing that it shall end.
const YIELDS_MAX: u32 = 4096;
/// Yields without a poll after which a turn ends.
const QUIET_YIELDS: u32 = 2;
/// Between turns when there is no task at all.
const IDLE: Duration = Duration::from_secs(1);

/// The thread. Dropping it ends it, as [`Ingest::shutdown`] does.
#[derive(Debug)]
pub struct Ingest {
    handle: IngestHandle,
    thread: Option<JoinHandle<()>>,
}

/// Gives work to the thread, from anywhere.
#[derive(Debug, Clone)]
pub struct IngestHandle {
    runtime: tokio::runtime::Handle,
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Debug, Default)]
struct Shared {
    /// Those who want the short period.
    hurries: AtomicUsize,
    /// Polls of tasks so far.
    polls: AtomicU64,
    /// Tasks that have not ended.
    tasks: AtomicUsize,
    /// Turns so far.
    turns: AtomicU64,
    stop: AtomicBool,
}

/// Keeps the period short until it is dropped.
#[derive(Debug)]
#[must_use = "the period is short only as long as this lives"]
pub struct Hurry(Arc<Shared>);

impl Drop for Hurry {
    fn drop(&mut self) {
        self.0.hurries.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ingest {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When the system gives no thread, or no epoll for the runtime.
    pub fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("ingest-blocking")
            .max_blocking_threads(4)
            .build()?;
        let shared = Arc::new(Shared::default());
        let runtime_handle = runtime.handle().clone();
        let thread = std::thread::Builder::new()
            .name("ingest".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || drive(runtime, &shared)
            })?;
        let handle = IngestHandle {
            runtime: runtime_handle,
            shared,
            thread: thread.thread().clone(),
        };
        Ok(Self {
            handle,
            thread: Some(thread),
        })
    }

    /// What gives work to it.
    pub fn handle(&self) -> &IngestHandle {
        &self.handle
    }

    /// Whether the thread has ended by itself: no task is run any more.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the thread. Tasks have a second to end by themselves, in which sessions that were dropped
    /// send their TEARDOWN; the others are dropped.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.handle.shared.stop.store(true, Ordering::Release);
        self.handle.thread.unpark();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.end();
    }
}

impl IngestHandle {
    /// Runs a task on the thread. It must not block: all cameras wait for it.
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        shared.tasks.fetch_add(1, Ordering::Relaxed);
        let ended = CountDown(Arc::clone(&shared));
        let joined = self.runtime.spawn(async move {
            let _ended = ended;
            let mut task = std::pin::pin!(task);
            std::future::poll_fn(|cx| {
                shared.polls.fetch_add(1, Ordering::Relaxed);
                task.as_mut().poll(cx)
            })
            .await
        });
        self.thread.unpark();
        joined
    }

    /// How many turns the thread has made; it makes at least one a second, unless something keeps it.
    pub fn turns(&self) -> u64 {
        self.shared.turns.load(Ordering::Relaxed)
    }

    /// Asks for the short period, for as long as what is returned lives: one for each live viewer,
    /// one for each camera being connected.
    pub fn hurry(&self) -> Hurry {
        self.shared.hurries.fetch_add(1, Ordering::Relaxed);
        self.thread.unpark();
        Hurry(Arc::clone(&self.shared))
    }
}

/// Counts a task as ended however it ends: returned, panicked, aborted or never begun.
struct CountDown(Arc<Shared>);

impl Drop for CountDown {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::Relaxed);
    }
}

fn drive(runtime: tokio::runtime::Runtime, shared: &Shared) {
    while !shared.stop.load(Ordering::Acquire) {
        let begun = Instant::now();
        runtime.block_on(turn(shared));
        std::thread::park_timeout(period(shared).saturating_sub(begun.elapsed()));
    }
    let deadline = Instant::now() + Duration::from_millis(INGEST_SHUTDOWN_MS_MAX);
    while shared.tasks.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
        runtime.block_on(turn(shared));
        std::thread::park_timeout(Duration::from_millis(5));
    }
    // The last session's TEARDOWN is a task of retina's, which is not counted.
    runtime.block_on(turn(shared));
    runtime.shutdown_background();
}

fn period(shared: &Shared) -> Duration {
    if shared.hurries.load(Ordering::Relaxed) > 0 {
        Duration::from_millis(INGEST_PERIOD_WATCHED_MS)
    } else if shared.tasks.load(Ordering::Relaxed) > 0 {
        Duration::from_millis(INGEST_PERIOD_MS)
    } else {
        IDLE
    }
}

/// Runs tasks until nothing is ready, or a flood has kept them busy for long.
async fn turn(shared: &Shared) {
    shared.turns.fetch_add(1, Ordering::Relaxed);
    let until = Instant::now() + Duration::from_millis(INGEST_TURN_MS_MAX);
    let mut quiet = 0;
    for _ in 0..YIELDS_MAX {
        let before = shared.polls.load(Ordering::Relaxed);
        tokio::task::yield_now().await;
        quiet = if shared.polls.load(Ordering::Relaxed) == before {
            quiet + 1
        } else {
            0
        };
        if quiet == QUIET_YIELDS || Instant::now() > until {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use tokio::io::AsyncReadExt as _;

    /// A socket that is written to from here and read by a task.
    fn socket(handle: &IngestHandle) -> (std::net::TcpStream, tokio::task::JoinHandle<Vec<u8>>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let writer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (reader, _) = listener.accept().unwrap();
        reader.set_nonblocking(true).unwrap();
        let read = handle.spawn(async move {
            let mut reader = tokio::net::TcpStream::from_std(reader).unwrap();
            let mut all = Vec::new();
            reader.read_to_end(&mut all).await.unwrap();
            all
        });
        (writer, read)
    }

    fn wait<T>(task: tokio::task::JoinHandle<T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(task).unwrap()
    }

    #[test]
    fn everything_that_arrives_is_read_in_few_turns() {
        let ingest = Ingest::start().unwrap();
        let (mut writer, read) = socket(ingest.handle());
        let sent: Vec<u8> = (0..8_000_000_u32).map(|i| i as u8).collect();
        writer.write_all(&sent).unwrap();
        drop(writer);
        assert_eq!(wait(read), sent);
        let shared = &ingest.handle().shared;
        let turns = shared.turns.load(Ordering::Relaxed);
        let polls = shared.polls.load(Ordering::Relaxed);
        assert!(turns < 50, "{turns} turns, {polls} polls");
    }

    #[test]
    fn timers_fire_and_tasks_wake_each_other() {
        let ingest = Ingest::start().unwrap();
        let (send, receive) = tokio::sync::oneshot::channel();
        let waiting = ingest.handle().spawn(async move { receive.await.unwrap() });
        ingest.handle().spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            send.send(7).unwrap();
        });
        assert_eq!(wait(waiting), 7);
    }

    #[test]
    fn work_from_a_blocking_thread_comes_back() {
        let ingest = Ingest::start().unwrap();
        let task = ingest
            .handle()
            .spawn(async { tokio::task::spawn_blocking(|| 7).await.unwrap() });
        assert_eq!(wait(task), 7);
    }

    #[test]
    fn a_panic_ends_only_its_task() {
        let ingest = Ingest::start().unwrap();
        let bad = ingest.handle().spawn(async { panic!("on purpose") });
        let good = ingest.handle().spawn(async { 7 });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        assert!(runtime.block_on(bad).unwrap_err().is_panic());
        assert_eq!(wait(good), 7);
    }

    #[test]
    fn ending_drops_what_does_not_end() {
        struct Flag(std::sync::mpsc::Sender<()>);
        impl Drop for Flag {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let ingest = Ingest::start().unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        let flag = Flag(send);
        ingest.handle().spawn(async move {
            let _flag = flag;
            std::future::pending::<()>().await;
        });
        let begun = Instant::now();
        ingest.shutdown();
        receive.recv().unwrap();
        assert!(begun.elapsed() < Duration::from_millis(INGEST_SHUTDOWN_MS_MAX + 2_000));
    }

    #[test]
    fn hurrying_lasts_as_long_as_its_guard() {
        let ingest = Ingest::start().unwrap();
        let shared = Arc::clone(&ingest.handle().shared);
        assert_eq!(period(&shared), IDLE);
        let task = ingest.handle().spawn(std::future::pending::<()>());
        let slow = period(&shared);
        let (first, second) = (ingest.handle().hurry(), ingest.handle().hurry());
        drop(first);
        assert!(period(&shared) < slow);
        drop(second);
        assert_eq!(period(&shared), slow);
        task.abort();
    }
}
