//! A disk that says no, or nothing: what it did not take is not counted, and recording goes on.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fuser::Errno;
use serde_json::Value;

use super::durable::{are_durable, durable_us, until_durable, visited};
use super::fuse_disk::{Asked, FuseDisk};
use super::installation::{Installation, await_condition};
use super::rows::{cause, now_us, of_stream, start_us};
use super::slow_disk::{begin_us, gaps, on_fuse};
use super::street::Street;
use super::told_gap::ToldGap;

const CAMERAS: usize = 2;
const LONG: Duration = Duration::from_secs(60);
/// From a failed write until the stream is recorded again: to the next look at a disk that was full, and to a key frame.
const BACK_US_MAX: i64 = 5_000_000;
/// Longer than a disk's queue may be old.
const HANGS: Duration = Duration::from_secs(33);

pub fn errors() {
    let street = Street::new(CAMERAS);
    let (installation, disk) = on_fuse(&street);
    let mut recorder = installation.start();
    let (visit, ids) = visited(&installation, &mut recorder);
    let (mut begun_us, mut failed_us) = (None, Vec::new());
    let mut told = ToldGap::of_all(&installation, &street.names, &ids, "disk-error");
    // What is said of one is not to be what is left of another.
    for (asked, error, said) in [
        (Asked::Write, Errno::ENOSPC, "it was full"),
        (Asked::Sync, Errno::ENOSPC, "it was full"),
        (Asked::Write, Errno::EIO, "writing failed"),
        (Asked::Sync, Errno::EIO, "writing failed"),
        (Asked::Write, Errno::EROFS, "writing failed"),
    ] {
        let from_us = now_us();
        until_durable(&visit, &ids, from_us);
        let poisoned = count(&installation, "a segment is poisoned");
        begun_us.get_or_insert_with(now_us);
        disk.faults.fail(asked, CAMERAS as u64, error);
        await_condition("each segment is poisoned", LONG, || {
            count(&installation, "a segment is poisoned") == poisoned + CAMERAS
        });
        failed_us.push(now_us());
        // The first of them: metrics name a cause once.
        await_condition("it is told", LONG, || {
            ToldGap::are_told(&mut told, &installation, &visit)
        });
        let told = installation.run("status", &["--json"]);
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        let sentence = told["disks"][0]["error"].as_str().unwrap_or_default();
        assert!(sentence.contains(said), "{told:#}");
    }
    let from_us = now_us();
    await_condition("all are durable again", LONG, || {
        are_durable(&visit, &ids, from_us)
    });
    recorder.terminate();

    let (failed, tried_again) = disk.faults.failed_files();
    assert_eq!(
        (failed, tried_again),
        (5 * CAMERAS, 0),
        "files that failed, and were tried again"
    );
    let list = installation.list(&[]);
    for (id, told) in ids.iter().zip(&told) {
        let gaps = gaps(&list, id, "disk-error", begun_us.unwrap(), now_us());
        assert_eq!(gaps.len(), failed_us.len(), "{list:#}");
        let rows = of_stream(&list, id);
        let back = rows.iter().filter(|row| cause(row) == Some("disk-error"));
        told.was_in_time(begin_us(back.clone().next().unwrap()));
        let back: Vec<_> = back.map(|row| start_us(row)).collect();
        let worst = back
            .iter()
            .zip(&failed_us)
            .map(|(back, failed)| back - failed)
            .max();
        println!("recorded again after at most {} ms", worst.unwrap() / 1000);
        assert!(worst.unwrap() < BACK_US_MAX);
    }
    street.is_what_was_recorded(&installation);
    the_next_start_closes_them(&installation);
}

/// What is poisoned is torn; it gets its tail like all that is.
fn the_next_start_closes_them(installation: &Installation) {
    let mut recorder = installation.start();
    recorder.until("nothing of before is open", LONG, |list| {
        let rows = list.as_array().unwrap();
        let count = |state: &str| rows.iter().filter(|row| row["state"] == state).count();
        count("recovered") == 5 * CAMERAS && count("open") <= CAMERAS
    });
    recorder.terminate();
    let output = installation.run("check", &[]);
    assert!(output.status.success(), "{output:?}");
}

fn count(installation: &Installation, words: &str) -> usize {
    installation.log().matches(words).count()
}

pub fn a_sync_that_hangs() {
    let street = Street::new(CAMERAS * 2);
    let (installation, disk, [behind, other]) = on_two_disks(&street);
    let mut recorder = installation.start();
    let (visit, ids) = visited(&installation, &mut recorder);
    await_condition("both disks are written to", LONG, || {
        are_durable(&visit, &ids, 0)
            && [&behind, &other]
                .iter()
                .all(|disk| !segments(disk).is_empty())
    });
    let on_other = segments(&other);
    let is_there = |id: &&String| on_other.iter().any(|file| file.contains(id.as_str()));
    let (on_other, hanging): (Vec<_>, Vec<_>) = ids.iter().partition(is_there);
    assert!(!on_other.is_empty() && !hanging.is_empty());

    let trouble = disk.faults.hang(&[Asked::Sync]);
    let (hung_us, begun) = (now_us(), Instant::now());
    while begun.elapsed() < HANGS {
        let now = now_us();
        let late = on_other.iter().map(|id| now - durable_us(&visit, id)).max();
        assert!(
            late.unwrap() < 5_000_000,
            "{late:?} µs late on the disk that works"
        );
        std::thread::park_timeout(Duration::from_millis(500));
    }
    await_condition("those of the disk that hangs go to the other", LONG, || {
        hanging
            .iter()
            .all(|id| durable_us(&visit, id) > now_us() - 5_000_000)
    });
    drop(trouble);
    let healed_us = now_us();
    await_condition("what was queued is durable", LONG, || {
        are_durable(&visit, &ids, healed_us)
    });
    recorder.terminate();

    let list = installation.list(&[]);
    for id in on_other {
        assert!(
            of_stream(&list, id)[1..]
                .iter()
                .all(|row| cause(row).is_none()),
            "{list:#}"
        );
    }
    for id in hanging {
        // One whose segment ended meanwhile went to the other disk without any.
        let gaps = gaps(&list, id, "queue-full", hung_us, healed_us);
        println!("on the disk that hung: {gaps:?} µs were not recorded");
        assert!(gaps.iter().sum::<i64>() < BACK_US_MAX, "{list:#}");
    }
    street.is_what_was_recorded(&installation);
}

/// Nothing is durable while it lasts, which is told; nothing is lost by it.
pub fn a_sync_that_hangs_on_the_only_disk() {
    let street = Street::new(CAMERAS);
    let (installation, disk) = on_fuse(&street);
    let mut recorder = installation.start();
    let (visit, ids) = visited(&installation, &mut recorder);
    until_durable(&visit, &ids, now_us());
    let mut told = ToldGap::of_all(&installation, &street.names, &ids, "stuck");

    let trouble = disk.faults.hang(&[Asked::Sync]);
    await_condition("it is told", LONG, || {
        ToldGap::are_told(&mut told, &installation, &visit)
    });
    for (id, told) in ids.iter().zip(&told) {
        told.was_in_time(durable_us(&visit, id));
    }
    drop(trouble);
    let healed_us = now_us();
    until_durable(&visit, &ids, healed_us);
    recorder.terminate();
    let list = installation.list(&[]);
    for id in &ids {
        let rows = of_stream(&list, id);
        assert!(rows[1..].iter().all(|row| cause(row).is_none()), "{list:#}");
    }
    street.is_what_was_recorded(&installation);
}

/// An installation with two disks that segments go to in turn, and the folders in which they lie. The first is served by this process.
pub fn on_two_disks(street: &Street) -> (Installation, FuseDisk, [PathBuf; 2]) {
    let installation = Installation::unmade(&street.entries());
    let [behind, other] = ["behind", "other"].map(|name| installation.folder().join(name));
    std::fs::create_dir(&behind).unwrap();
    std::fs::create_dir(&other).unwrap();
    let disk = FuseDisk::mount(&behind, &installation.footage());
    let disks = ["footage", "other\"\n[storage]\nplacement = \"round-robin"];
    installation.write_config_with_disks(&street.entries(), &disks);
    installation.init();
    (installation, disk, [behind, other])
}

/// The paths of a disk's segments.
pub fn segments(disk: &std::path::Path) -> Vec<String> {
    let footage = disk.join("footage");
    let files = if footage.exists() {
        Installation::files(&footage)
    } else {
        Vec::new()
    };
    files
        .iter()
        .map(|file| file.to_string_lossy().into_owned())
        .collect()
}
