//! A disk that does not keep up, or does not answer: memory is bounded, who watches notices nothing, and what is lost is told.

use std::io::Write as _;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use hearthkeep::limits::{QUEUE_AGE_MS_MAX, QUEUE_BYTES_MAX};
use serde_json::Value;

use super::client::{frame, try_read_frame};
use super::durable::{are_durable, ids, until_durable};
use super::fuse_disk::{Asked, FuseDisk};
use super::installation::{Installation, await_condition};
use super::memory::resident_bytes;
use super::rows::{cause, end_us, now_us, of_stream, start_us, text, was_told_in_time};
use super::street::Street;
use super::viewer::{Viewer, Visit};

/// What so many send in 30 s, in 1080p, is far more than [`SLACK_BYTES`].
const CAMERAS: usize = 4;
/// With `HEARTHKEEP_TEST_CLIPS=full`: what so many send in 30 s is more than may be queued.
const CAMERAS_FULL: usize = 10;
const LONG: Duration = Duration::from_secs(90);
/// How long it is watched while all is well.
const WELL: Duration = Duration::from_secs(8);
/// What else may take memory than what is queued: allocators keep some of what they get back.
pub const SLACK_BYTES: u64 = 24 << 20;
/// What a batch of the writer holds, and a fragment.
const UNKNOWN_US_MAX: i64 = 2_500_000;
/// How often it is looked whether what is waited for is so.
const LOOKS: Duration = Duration::from_millis(200);
/// By how much who watches may be later than while all was well. What is measured is less, and said; a live view that waited for
/// the disk would be later by tens of seconds.
const LATER_MAX: Duration = Duration::from_millis(1500);

/// An installation whose only disk is served by this process.
pub fn on_fuse(street: &Street) -> (Installation, FuseDisk) {
    let installation = Installation::unmade(&street.entries());
    let behind = installation.folder().join("behind");
    std::fs::create_dir(&behind).unwrap();
    let disk = FuseDisk::mount(&behind, &installation.footage());
    installation.init();
    (installation, disk)
}

pub fn a_tenth_of_the_speed() {
    let full = std::env::var("HEARTHKEEP_TEST_CLIPS").is_ok_and(|clips| clips == "full");
    let cameras = if full { CAMERAS_FULL } else { CAMERAS };
    let street = Street::showing(cameras, &["h264_1080p30"]);
    let (installation, disk) = on_fuse(&street);
    let mut recorder = installation.start();
    let viewer = Viewer::new(&installation, &mut recorder);
    let visit = viewer.visit(&mut recorder);
    let ids = ids(&visit);
    let watched = Watched::start(&visit, &ids[0]);

    let written = disk.faults.written_bytes();
    let well = watched.during(WELL);
    let bytes_per_s = (disk.faults.written_bytes() - written) / WELL.as_secs();
    let before_bytes = resident_bytes(recorder.pid());
    let said = installation.log().len();

    let slowed_us = now_us();
    let trouble = disk.faults.slow_down(bytes_per_s / 10);
    let mut most_bytes = 0;
    let mut told = vec![[None; 3]; cameras];
    let mut slow = watched.until(|| {
        most_bytes = most_bytes.max(resident_bytes(recorder.pid()));
        let metrics = visit.client().get("/metrics").body;
        let log = &installation.log()[said..];
        let metrics = String::from_utf8_lossy(&metrics);
        for ((camera, id), told) in street.names.iter().zip(&ids).zip(&mut told) {
            let of_it = format!(
                "gap_seconds_total{{camera=\"{camera}\",feed=\"main\",cause=\"queue-full\"}}"
            );
            let gaps = visit.timeline(id)["gaps"].as_array().unwrap().clone();
            let looks = [
                gaps.iter().any(|gap| gap["cause"] == "queue-full"),
                metrics.contains(&of_it),
                log.lines()
                    .any(|line| line.contains(camera) && line.contains("queue-full")),
            ];
            for (told, is_told) in told.iter_mut().zip(looks) {
                *told = told.or(is_told.then(now_us));
            }
        }
        told.iter().flatten().all(Option::is_some)
    });
    slow.add(watched.during(WELL));
    let grown = most_bytes.saturating_sub(before_bytes);
    drop(trouble);
    let healed_us = now_us();
    await_condition("all are recorded whole again", LONG, || {
        are_durable(&visit, &ids, healed_us + 2_000_000)
    });
    recorder.terminate();

    println!(
        "needs {bytes_per_s} bytes/s, had a tenth: memory grew by {} KiB; live: {well:?} before, {slow:?} meanwhile",
        grown >> 10
    );
    let grown_max = grown_bytes_max(bytes_per_s);
    assert!(grown < grown_max, "{grown} bytes, more than {grown_max}");
    let later = slow.later_than(&well);
    assert!(later < LATER_MAX, "later by {later:?}");
    let list = installation.list(&[]);
    for (id, told) in ids.iter().zip(told) {
        let gaps = gaps(&list, id, "queue-full", slowed_us, healed_us + 3_000_000);
        println!("{} ms were not recorded", gaps.iter().sum::<i64>() / 1000);
        assert!(!gaps.is_empty(), "{list:#}");
        let mut rows = of_stream(&list, id).into_iter();
        let begun_us = rows
            .find(|row| cause(row) == Some("queue-full"))
            .map(begin_us);
        for (place, told_us) in ["the timeline", "the metrics", "the log"].iter().zip(told) {
            was_told_in_time(place, begun_us.unwrap(), told_us.unwrap());
        }
    }
    street.is_what_was_recorded(&installation);
}

/// When the gap before a segment began.
fn begin_us(row: &Value) -> i64 {
    start_us(row) - row["gap_before"]["length_us"].as_i64().unwrap()
}

/// By how much memory may grow: by what comes until the queue is as old as it may be, which is more at one time than at another.
fn grown_bytes_max(bytes_per_s: u64) -> u64 {
    let queued = bytes_per_s * QUEUE_AGE_MS_MAX / 1_000 * 5 / 4;
    queued.min(QUEUE_BYTES_MAX) + SLACK_BYTES
}

pub fn reads_that_hang() {
    let street = Street::new(CAMERAS);
    let (installation, disk) = on_fuse(&street);
    let mut recorder = installation.start();
    let viewer = Viewer::new(&installation, &mut recorder);
    let visit = viewer.visit(&mut recorder);
    let ids = ids(&visit);
    let watched = Watched::start(&visit, &ids[0]);
    until_durable(&visit, &ids[..1], 0);
    let segment = text(&visit.timeline(&ids[0])["segments"][0], "id");
    let address = format!("/api/v1/segments/{}/{segment}", ids[0]);

    let trouble = disk.faults.hang(&[Asked::Read]);
    let hung_us = now_us();
    let client = visit.client().clone();
    let reading = std::thread::spawn(move || client.get(&address).status);
    watched.until(|| are_durable(&visit, &ids, hung_us + 3_000_000));
    assert!(!reading.is_finished(), "it had to wait for the disk");
    drop(trouble);
    assert_eq!(reading.join().unwrap(), 200);
    recorder.terminate();
    let list = installation.list(&[]);
    for id in &ids {
        assert!(
            of_stream(&list, id)[1..]
                .iter()
                .all(|row| cause(row).is_none()),
            "{list:#}"
        );
    }
    street.is_what_was_recorded(&installation);
}

/// Every hole of a stream's footage says why, and is of the time when there was a reason. Returns how long each was.
pub fn gaps(list: &Value, stream: &str, expected: &str, from_us: i64, to_us: i64) -> Vec<i64> {
    let mut gaps = Vec::new();
    for pair in of_stream(list, stream).windows(2) {
        let (end_us, start_us) = (end_us(pair[0]), start_us(pair[1]));
        let is_gap = start_us - end_us > 100_000;
        assert_eq!(cause(pair[1]), is_gap.then_some(expected), "{pair:#?}");
        if is_gap {
            gaps.push(start_us - end_us);
            assert!(
                end_us > from_us - 3_000_000 && start_us < to_us,
                "{pair:#?}"
            );
            // What was written and not known to be durable may be there after all: the gap counts it in.
            let told = pair[1]["gap_before"]["length_us"].as_i64().unwrap();
            let unknown = told - (start_us - end_us);
            assert!((0..UNKNOWN_US_MAX).contains(&unknown), "{pair:#?}");
        }
    }
    gaps
}

/// Somebody who watches a camera live; what arrives is noted with its time.
pub struct Watched(Receiver<Instant>);

/// How it was for who watched.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    chunks: u32,
    for_so_long: Duration,
    longest_silence: Duration,
}

impl Watched {
    pub fn start(visit: &Visit, stream: &str) -> Self {
        const CHUNK: u8 = 2;
        const PING: u8 = 9;
        const PONG: u8 = 10;
        let (answer, mut socket) = visit
            .client()
            .upgrade(&format!("/api/v1/live/{stream}"), &[]);
        assert_eq!(answer.status, 101, "{answer:?}");
        let (arrived, arrivals) = mpsc::channel();
        // It ends with the recorder, or with who listens.
        std::thread::spawn(move || {
            while let Ok((opcode, message)) = try_read_frame(&mut socket) {
                let is_over = match (opcode, message.first()) {
                    (PING, _) => socket.write_all(&frame(PONG, &message)).is_err(),
                    (_, Some(&CHUNK)) => arrived.send(Instant::now()).is_err(),
                    _ => false,
                };
                if is_over {
                    return;
                }
            }
        });
        let watched = Self(arrivals);
        // What comes at once is of the past.
        watched.during(Duration::from_secs(1));
        watched
    }

    pub fn during(&self, time: Duration) -> Seen {
        let begun = Instant::now();
        self.until(|| begun.elapsed() >= time)
    }

    /// Watches until something is so.
    pub fn until(&self, mut is_so: impl FnMut() -> bool) -> Seen {
        let begun = Instant::now();
        let (mut last, mut chunks, mut longest_silence) = (begun, 0, Duration::ZERO);
        while !is_so() {
            assert!(begun.elapsed() < LONG, "waited too long");
            let looked = Instant::now();
            while looked.elapsed() < LOOKS {
                match self.0.recv_timeout(LOOKS) {
                    Ok(at) => {
                        chunks += 1;
                        longest_silence = longest_silence.max(at.saturating_duration_since(last));
                        last = at;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => panic!("the box ended the view"),
                }
            }
        }
        longest_silence = longest_silence.max(last.elapsed());
        Seen {
            chunks,
            for_so_long: begun.elapsed(),
            longest_silence,
        }
    }
}

impl Seen {
    fn add(&mut self, more: Self) {
        self.chunks += more.chunks;
        self.for_so_long += more.for_so_long;
        self.longest_silence = self.longest_silence.max(more.longest_silence);
    }

    /// By how much more what is shown lies behind the camera: chunks come as fast as time passes.
    fn later_than(&self, well: &Self) -> Duration {
        let apart = well.for_so_long / well.chunks;
        let silence = self.longest_silence.saturating_sub(well.longest_silence);
        let shown = apart * self.chunks;
        silence.max(self.for_so_long.saturating_sub(shown))
    }
}
