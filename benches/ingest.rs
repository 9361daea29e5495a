//! What reading cameras costs: CPU seconds a camera-minute, for connecting, reading and depacketizing.
//!
//! `cargo bench --bench ingest -- --url rtsp://127.0.0.1:8554/cam --cameras 16 --seconds 60`
//!
//! reads `/cam0` to `/cam15` on the driven thread; `--watched` with its short period; `--woken` on an
//! ordinary current-thread runtime, for comparison. The counting begins when all play.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hearthkeep::camera::ingest::Ingest;
use hearthkeep::camera::{Event, Session, Timeouts};
use hearthkeep::clock::SystemClock;
use hearthkeep::config::{Camera, Config};

#[derive(Default)]
struct Counters {
    playing: AtomicUsize,
    failed: AtomicUsize,
    pictures: AtomicU64,
    sounds: AtomicU64,
    bytes: AtomicU64,
}

struct Arguments {
    url: String,
    cameras: usize,
    seconds: u64,
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Mode {
    Driven,
    Watched,
    Woken,
}

fn main() {
    let Some(arguments) = arguments() else {
        // `cargo bench` and `cargo test --benches` run every bench without arguments.
        println!("skipped: needs --url rtsp://HOST:PORT/PREFIX [--cameras N] [--seconds S]");
        return;
    };
    let counters = Arc::new(Counters::default());
    let work = |i: usize| {
        pull(
            camera(&format!("{}{i}", arguments.url)),
            Arc::clone(&counters),
        )
    };
    let measure = || measure(&arguments, &counters);
    if arguments.mode == Mode::Woken {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        (0..arguments.cameras).for_each(|i| drop(handle.spawn(work(i))));
        measure();
    } else {
        let ingest = Ingest::start().expect("a thread");
        let _hurry = (arguments.mode == Mode::Watched).then(|| ingest.handle().hurry());
        (0..arguments.cameras).for_each(|i| drop(ingest.handle().spawn(work(i))));
        measure();
    }
    std::process::exit(0); // Nobody waits for the sessions' farewells.
}

async fn pull(camera: Camera, counters: Arc<Counters>) {
    let connected =
        Session::connect(&camera, Arc::new(SystemClock::new()), Timeouts::default()).await;
    let outcome = match connected {
        Ok(session) => {
            counters.playing.fetch_add(1, Ordering::Relaxed);
            count(session, &counters).await
        }
        Err(error) => error,
    };
    eprintln!("{}: {outcome} {}", camera.name, outcome.advice());
    counters.failed.fetch_add(1, Ordering::Relaxed);
}

async fn count(mut session: Session, counters: &Counters) -> hearthkeep::camera::Error {
    loop {
        match session.next().await {
            Ok(Event::Sample(sample)) => {
                let counter = if sample.track == 0 {
                    &counters.pictures
                } else {
                    &counters.sounds
                };
                counter.fetch_add(1, Ordering::Relaxed);
                counters
                    .bytes
                    .fetch_add(sample.data.len() as u64, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

fn measure(arguments: &Arguments, counters: &Counters) {
    while counters.playing.load(Ordering::Relaxed) < arguments.cameras {
        assert_eq!(
            counters.failed.load(Ordering::Relaxed),
            0,
            "not all cameras play"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(2)); // What waited while others connected.
    let numbers = || {
        [&counters.pictures, &counters.sounds, &counters.bytes]
            .map(|counter| counter.load(Ordering::Relaxed))
    };
    let (before, cpu, begun) = (numbers(), cpu_s(), Instant::now());
    std::thread::sleep(Duration::from_secs(arguments.seconds));
    let (after, cpu, lasted) = (numbers(), cpu_s() - cpu, begun.elapsed().as_secs_f64());
    let [pictures, sounds, bytes] = [0, 1, 2].map(|i| (after[i] - before[i]) as f64);
    let camera_minutes = arguments.cameras as f64 * lasted / 60.0;
    let per_camera = |count: f64| count / lasted / arguments.cameras as f64;
    println!(
        "{:?}: {} cameras, {lasted:.1} s: {:.3} CPU s a camera-minute ({:.1} % of a core); each \
         {:.1} pictures/s, {:.1} sounds/s, {:.2} Mbit/s; resident {:.1} MB; failed {}",
        arguments.mode,
        arguments.cameras,
        cpu / camera_minutes,
        cpu / lasted * 100.0,
        per_camera(pictures),
        per_camera(sounds),
        per_camera(bytes) * 8.0 / 1e6,
        resident_mb(),
        counters.failed.load(Ordering::Relaxed),
    );
}

/// CPU time of this process, user and kernel, as the kernel accounts it to its threads.
fn cpu_s() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kib.unwrap_or_default() * 1024.0 / 1e6
}

fn camera(url: &str) -> Camera {
    let text = format!(
        "state_dir = \"state\"\n[[disk]]\npath = \"disk\"\n\
         [[camera]]\nname = \"{}\"\nurl = \"{url}\"\n",
        url.rsplit('/').next().unwrap_or("camera")
    );
    let config = Config::parse(&text, std::path::Path::new("bench.toml")).expect("a good address");
    config.cameras.into_iter().next().expect("one camera")
}

fn arguments() -> Option<Arguments> {
    let mut found = Arguments {
        url: String::new(),
        cameras: 16,
        seconds: 60,
        mode: Mode::Driven,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--url" => found.url = words.next()?,
            "--cameras" => found.cameras = words.next()?.parse().ok()?,
            "--seconds" => found.seconds = words.next()?.parse().ok()?,
            "--watched" => found.mode = Mode::Watched,
            "--woken" => found.mode = Mode::Woken,
            _ => {}
        }
    }
    (!found.url.is_empty()).then_some(found)
}
