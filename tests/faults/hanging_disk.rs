//! One of two disks hangs or crawls while much is recorded: its cameras go on with the other, and nothing of theirs is lost.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hearthkeep::limits::{QUEUE_AGE_MS_MAX, QUEUE_BYTES_MAX};

use super::durable::{are_durable, durable_us, visited};
use super::failing_disk::{on_two_disks, segments};
use super::fuse_disk::{Asked, Faults, Trouble};
use super::installation::await_condition;
use super::memory::resident_bytes;
use super::rows::now_us;
use super::slow_disk::{SLACK_BYTES, gaps};
use super::street::Street;

/// In 1080p: together they send more in [`QUEUE_AGE_MS_MAX`] than all queues may hold.
const CAMERAS: usize = 12;
const LONG: Duration = Duration::from_secs(90);
/// How long it is watched while all is well.
const WELL: Duration = Duration::from_secs(5);
/// Long enough for queues that nobody empties to be full before they are old.
const LASTS: Duration = Duration::from_secs(40);
/// From then on all are to be on the disk that works: the wait, a group of pictures and a batch, on a machine that is busy.
const GO_ON_US: i64 = 15_000_000;

pub fn beside_one_that_works() {
    all_goes_on_with_the_other(|faults, _| faults.hang(&[Asked::Write, Asked::Sync]));
}

pub fn that_crawls() {
    all_goes_on_with_the_other(|faults, bytes_per_s| faults.slow_down(bytes_per_s / 20));
}

/// Makes trouble for one of two disks; it is told how many bytes a second are recorded to both.
fn all_goes_on_with_the_other(trouble: impl Fn(&Faults, u64) -> Trouble<'_>) {
    let street = Street::showing(CAMERAS, &["h264_1080p30"]);
    let (installation, disk, [behind, other]) = on_two_disks(&street);
    let mut recorder = installation.start();
    let (visit, ids) = visited(&installation, &mut recorder);
    let is_on = |id: &String, disk: &Path| segments(disk).iter().any(|file| file.contains(id));
    await_condition("both disks are written to", LONG, || {
        are_durable(&visit, &ids, 0)
            && [&behind, &other]
                .iter()
                .all(|disk| !segments(disk).is_empty())
    });
    let hanging: Vec<_> = (0..CAMERAS).filter(|n| is_on(&ids[*n], &behind)).collect();
    assert!(!hanging.is_empty() && hanging.len() < CAMERAS);
    let written = bytes_of(&[&behind, &other]);
    std::thread::park_timeout(WELL);
    let bytes_per_s = (bytes_of(&[&behind, &other]) - written) / WELL.as_secs();
    assert!(
        bytes_per_s * QUEUE_AGE_MS_MAX / 1_000 > QUEUE_BYTES_MAX,
        "{bytes_per_s} bytes a second are not enough to fill the queues"
    );

    let before_bytes = resident_bytes(recorder.pid());
    let (begun_us, begun) = (now_us(), Instant::now());
    let trouble = trouble(&disk.faults, bytes_per_s);
    let (mut most_bytes, mut on_the_other) = (0, None);
    while begun.elapsed() < LASTS || on_the_other.is_none() {
        assert!(begun.elapsed() < LONG, "they do not go on");
        most_bytes = most_bytes.max(resident_bytes(recorder.pid()));
        if on_the_other.is_none() && are_durable(&visit, &ids, begun_us + GO_ON_US) {
            on_the_other = Some(begun.elapsed());
        }
        std::thread::park_timeout(Duration::from_millis(500));
    }
    let late_us = ids.iter().map(|id| now_us() - durable_us(&visit, id)).max();
    drop(trouble);
    let healed_us = now_us();
    await_condition("all are durable again", LONG, || {
        are_durable(&visit, &ids, healed_us)
    });
    recorder.terminate();

    let grown = most_bytes.saturating_sub(before_bytes);
    println!(
        "{} of {CAMERAS} cameras on it, {bytes_per_s} bytes/s in all: {} s of it were safe after {on_the_other:?}; safe within {late_us:?} us \
         at its end; memory grew by {} KiB",
        hanging.len(),
        GO_ON_US / 1_000_000,
        grown >> 10
    );
    assert!(grown < QUEUE_BYTES_MAX + SLACK_BYTES, "{grown} bytes");
    let list = installation.list(&[]);
    for id in &ids {
        let gaps = gaps(&list, id, "none", begun_us, healed_us);
        assert!(gaps.is_empty(), "{list:#}");
    }
    street.is_what_one_recorded(&installation, hanging[0]);
}

/// Bytes of all segments on these disks.
fn bytes_of(disks: &[&PathBuf]) -> u64 {
    let files = disks.iter().flat_map(|disk| segments(disk));
    files
        .filter_map(|file| std::fs::metadata(file).ok())
        .map(|metadata| metadata.len())
        .sum()
}
