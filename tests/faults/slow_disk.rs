//! A disk that does not keep up, or does not answer: memory is bounded, who watches notices nothing, and what is lost is told.

use std::io::Write as _;
use std::process::Command;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use hearthkeep::keys::read_keyring;
use hearthkeep::limits::{QUEUE_AGE_MS_MAX, QUEUE_BYTES_MAX};
use hearthkeep_format::segment::{ChunkType, SegmentOpener};
use hearthkeep_format::{OpenKeyring, kit};
use serde_json::Value;

use super::client::{frame, try_read_frame};
use super::durable::{are_durable, until_durable, visited};
use super::fuse_disk::{Asked, FuseDisk};
use super::installation::{HEARTHKEEP, Installation, await_condition};
use super::memory::resident_bytes;
use super::rows::{cause, end_us, now_us, of_stream, start_us, text};
use super::street::Street;
use super::told_gap::ToldGap;
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
/// What is too long for a sync.
const LATE: Duration = Duration::from_millis(400);
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
    let (visit, ids) = visited(&installation, &mut recorder);
    let watched = Watched::start(&installation, &visit, &ids[0]);

    let written = disk.faults.written_bytes();
    let well = watched.during(WELL);
    let bytes_per_s = (disk.faults.written_bytes() - written) / WELL.as_secs();
    let before_bytes = resident_bytes(recorder.pid());
    let mut told = ToldGap::of_all(&installation, &street.names, &ids, "queue-full");

    let slowed_us = now_us();
    let trouble = disk.faults.slow_down(bytes_per_s / 10);
    let mut most_bytes = 0;
    let mut slow = watched.until(|| {
        most_bytes = most_bytes.max(resident_bytes(recorder.pid()));
        ToldGap::are_told(&mut told, &installation, &visit)
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
    for (id, told) in ids.iter().zip(&told) {
        let gaps = gaps(&list, id, "queue-full", slowed_us, healed_us + 3_000_000);
        println!("{} ms were not recorded", gaps.iter().sum::<i64>() / 1000);
        assert!(!gaps.is_empty(), "{list:#}");
        let mut rows = of_stream(&list, id).into_iter();
        let begun_us = rows
            .find(|row| cause(row) == Some("queue-full"))
            .map(begin_us);
        told.was_in_time(begun_us.unwrap());
    }
    street.is_what_was_recorded(&installation);
}

/// When the gap before a segment began.
pub fn begin_us(row: &Value) -> i64 {
    start_us(row) - row["gap_before"]["length_us"].as_i64().unwrap()
}

/// By how much memory may grow: by what comes until the queue is as old as it may be, which is more at one time than at another.
fn grown_bytes_max(bytes_per_s: u64) -> u64 {
    let queued = bytes_per_s * QUEUE_AGE_MS_MAX / 1_000 * 5 / 4;
    queued.min(QUEUE_BYTES_MAX) + SLACK_BYTES
}

/// It is told only once enough was measured, as a disk that spins up is late once and no slow one.
pub fn slow_to_sync() {
    let street = Street::new(CAMERAS * 2);
    let (installation, disk) = on_fuse(&street);
    let mut recorder = installation.start();
    let viewer = Viewer::new(&installation, &mut recorder);
    let visit = viewer.visit(&mut recorder);
    let trouble = disk.faults.delay_syncs(LATE);
    let ask = |command: &str, arguments: &[&str]| -> (Option<i32>, Value) {
        let output = installation.run(command, arguments);
        let told = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), told)
    };
    let mut told = Value::Null;
    await_condition("it is told", LONG, || {
        let (code, status) = ask("status", &["--json"]);
        told = status;
        code == Some(4) && told["disks"][0]["slow"].is_string()
    });
    drop(trouble);
    let slow = text(&told["disks"][0], "slow");
    let words = ["is slow", " ms to make footage safe", "use a faster one"];
    assert!(words.iter().all(|word| slow.contains(word)), "{slow}");
    let troubles = told["troubles"].as_array().unwrap();
    assert!(
        troubles
            .iter()
            .any(|it| it.as_str().unwrap().contains(&slow))
    );
    let shown = String::from_utf8(installation.run("status", &[]).stdout).unwrap();
    assert!(
        shown.contains("trouble      disk ") && shown.contains("is slow"),
        "{shown}"
    );
    let seen = visit.get("/api/v1/status");
    assert!(seen["disks"][0]["slow"].is_string(), "{seen:#}");
    assert!(seen["fsync_p99_ms"].as_f64().unwrap() > 300.0, "{seen:#}");
    let mut list = Command::new(HEARTHKEEP);
    list.args(["disk", "list", "--config"])
        .arg(installation.config());
    let listed = String::from_utf8(list.output().unwrap().stdout).unwrap();
    assert!(listed.contains("trouble   it is slow"), "{listed}");
    recorder.terminate();
}

pub fn reads_that_hang() {
    let street = Street::new(CAMERAS);
    let (installation, disk) = on_fuse(&street);
    let mut recorder = installation.start();
    let (visit, ids) = visited(&installation, &mut recorder);
    let watched = Watched::start(&installation, &visit, &ids[0]);
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
pub struct Watched(Receiver<Arrival>);

/// A chunk that arrived.
struct Arrival {
    at: Instant,
    /// From the camera's time of its end until then, us. Where the recorder reads the camera late this is no less: a run's pictures have
    /// the camera's times.
    behind_us: i64,
}

/// How it was for who watched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    longest_silence: Duration,
    most_behind_us: Option<i64>,
}

impl Watched {
    pub fn start(installation: &Installation, visit: &Visit, stream: &str) -> Self {
        const BINARY: u8 = 2;
        const PING: u8 = 9;
        const PONG: u8 = 10;
        let (answer, mut socket) = visit
            .client()
            .upgrade(&format!("/api/v1/live/{stream}"), &[]);
        assert_eq!(answer.status, 101, "{answer:?}");
        let keys = opened_by_the_kit(installation);
        let (arrived, arrivals) = mpsc::channel();
        // It ends with the recorder, or with who listens.
        std::thread::spawn(move || {
            let mut segment = None;
            while let Ok((opcode, message)) = try_read_frame(&mut socket) {
                let is_over = match opcode {
                    BINARY => arrival(&keys, &mut segment, &message)
                        .is_some_and(|arrival| arrived.send(arrival).is_err()),
                    PING => socket.write_all(&frame(PONG, &message)).is_err(),
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
        let (mut last, mut seen) = (begun, Seen::default());
        while !is_so() {
            assert!(begun.elapsed() < LONG, "waited too long");
            let looked = Instant::now();
            while looked.elapsed() < LOOKS {
                match self.0.recv_timeout(LOOKS) {
                    Ok(arrival) => {
                        seen.add(Seen {
                            longest_silence: arrival.at.saturating_duration_since(last),
                            most_behind_us: Some(arrival.behind_us),
                        });
                        last = arrival.at;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => panic!("the box ended the view"),
                }
            }
        }
        seen.longest_silence = seen.longest_silence.max(last.elapsed());
        seen
    }
}

fn opened_by_the_kit(installation: &Installation) -> OpenKeyring {
    let keyring = read_keyring(&installation.state()).unwrap().unwrap();
    let text = std::fs::read_to_string(installation.kit_file()).unwrap();
    keyring.open(&kit::parse(&text).unwrap()).unwrap()
}

/// Reads a live message: the head of a segment, or a chunk of it.
fn arrival(
    keys: &OpenKeyring,
    segment: &mut Option<SegmentOpener>,
    message: &[u8],
) -> Option<Arrival> {
    const HEAD: u8 = 1;
    const ID_LEN: usize = 16;
    let (kind, rest) = message.split_first()?;
    let content = &rest[ID_LEN..];
    if *kind == HEAD {
        let (identity, m) = keys.generation(1).unwrap();
        *segment = Some(SegmentOpener::open(content, identity, m).unwrap());
        return None;
    }
    let segment = segment.as_ref().expect("a head comes first");
    let entry = segment.entry(content).unwrap().unwrap();
    let after_us = entry.start_us + u64::from(entry.duration_us);
    let end_us = segment.start().unwrap().wall_us + after_us as i64;
    (entry.chunk_type == ChunkType::Fragment).then(|| Arrival {
        at: Instant::now(),
        behind_us: now_us() - end_us,
    })
}

impl Seen {
    fn add(&mut self, more: Self) {
        self.longest_silence = self.longest_silence.max(more.longest_silence);
        self.most_behind_us = self.most_behind_us.max(more.most_behind_us);
    }

    /// By how much more what is shown lies behind the camera at most, and by how much longer nothing came.
    fn later_than(&self, well: &Self) -> Duration {
        let silence = self.longest_silence.saturating_sub(well.longest_silence);
        let behind_us = self.most_behind_us.unwrap() - well.most_behind_us.unwrap();
        silence.max(Duration::from_micros(behind_us.max(0).unsigned_abs()))
    }
}
