//! A state folder whose disk becomes read-only, as a worn SD card does: recording and deletion go on, also after a restart, and it is
//! told.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::durable::{are_durable, ids};
use super::full_disk::{Seen, bytes_of, until_durable};
use super::installation::{Installation, Running, await_condition};
use super::loop_disk::{Kind, LoopDisk};
use super::rows::now_us;
use super::street::Street;
use super::viewer::{Viewer, Visit};

const CAMERAS: usize = 8;
const CLIPS: [&str; 1] = ["h264_360p15"];
const LONG: Duration = Duration::from_secs(90);
/// What the footage may take: more than the segments that are open, of which nothing can be deleted.
const BUDGET_BYTES: u64 = 22_000_000;
/// For how long it records in each life without its state folder: several times the budget comes.
const WITHOUT: Duration = Duration::from_secs(40);
/// Between two segments where nothing is missing.
const HOLE_US_MAX: i64 = 100_000;
/// Within which it must be told: from the end of a segment on.
const TOLD: Duration = Duration::from_secs(60);

pub fn read_only() {
    let street = Street::showing(CAMERAS, &CLIPS);
    let installation = Installation::unmade(&street.entries());
    let at = installation.folder().join("disk");
    std::fs::create_dir(&at).unwrap();
    let disk = LoopDisk::mount_new(Kind::Ext4, 256 << 20, &at);
    std::fs::create_dir(at.join("state")).unwrap();
    std::os::unix::fs::symlink(at.join("state"), installation.state()).unwrap();
    let footage = format!("footage\"\nmax_bytes = \"{}MB", BUDGET_BYTES / 1_000_000);
    installation.write_config_with_disks(&street.entries(), &[&footage]);
    installation.init();

    let mut recorder = installation.start();
    let viewer = Viewer::new(&installation, &mut recorder);
    let visit = viewer.visit(&mut recorder);
    let ids = ids(&visit);
    let used = || bytes_of(&installation.footage().join("footage"));
    await_condition("its budget is used", LONG, || {
        used() > BUDGET_BYTES / 100 * 80
    });
    assert_eq!(told(&installation, &visit), (None, false));
    disk.becomes_read_only();
    goes_on(&installation, &mut recorder, &visit, &ids);
    recorder.kill();

    // A start finds the folder as it is, and the page, the commands and the budget are there as before.
    let mut recorder = installation.start();
    let visit = viewer.visit(&mut recorder);
    goes_on(&installation, &mut recorder, &visit, &ids);
    recorder.terminate();

    // Another disk with what was on it, or the same after a look at it.
    disk.look_after();
    let mut recorder = installation.start();
    let visit = viewer.visit(&mut recorder);
    until_durable(&installation, &mut recorder, &visit, &ids, now_us());
    assert_eq!(told(&installation, &visit), (None, false));
    recorder.terminate();
    let before = installation.list(&[]);
    let output = installation.run("reindex", &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(installation.list(&[]), before);
    street.is_what_was_recorded(&installation);
    let checked = installation.run("check", &[]);
    let checked = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.contains(" 0 removed"), "{checked}");
}

/// It records without a gap and keeps its budget, and says what is wrong.
fn goes_on(installation: &Installation, recorder: &mut Running<'_>, visit: &Visit, ids: &[String]) {
    let from_us = now_us();
    until_durable(installation, recorder, visit, ids, from_us);
    let (begun, mut most) = (Instant::now(), 0);
    let (seen_from_us, mut seen) = (now_us(), Seen::default());
    while begun.elapsed() < WITHOUT {
        most = most.max(bytes_of(&installation.footage().join("footage")));
        assert!(!recorder.has_ended(), "{}", installation.log());
        // Before the budget takes what there was.
        seen.look(visit, ids);
        std::thread::park_timeout(Duration::from_millis(100));
    }
    println!("at most {most} bytes of {BUDGET_BYTES}");
    assert!(most <= BUDGET_BYTES / 100 * 105, "{most} bytes");
    assert!(
        most > BUDGET_BYTES / 2,
        "what may be kept is kept: {most} bytes"
    );
    await_condition("it is told", TOLD, || {
        let (trouble, is_measured) = told(installation, visit);
        trouble.is_some_and(|told| told.contains("is kept in memory")) && is_measured
    });
    until_durable(installation, recorder, visit, ids, now_us());
    assert!(are_durable(
        visit,
        ids,
        from_us + WITHOUT.as_micros() as i64
    ));
    // The end of a segment is durable a moment after the next one is shown.
    await_condition("no gap is left", TOLD, || {
        seen.look(visit, ids);
        seen.longest_hole_us(seen_from_us) < HOLE_US_MAX
    });
}

/// What the page, the command and the metrics say of the catalog, which is to be the same.
fn told(installation: &Installation, visit: &Visit) -> (Option<String>, bool) {
    let page = visit.get("/api/v1/status")["catalog_trouble"].clone();
    let output = installation.run("status", &["--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let troubles = status["troubles"].as_array().unwrap();
    let is_said = page != Value::Null && troubles.contains(&page);
    assert_eq!(is_said, page != Value::Null, "{page} {troubles:#?}");
    let metrics = installation.run("status", &["--metrics"]);
    let metrics = String::from_utf8(metrics.stdout).unwrap();
    let is_measured = metrics.contains("hearthkeep_catalog_failed 1\n");
    assert!(is_measured || metrics.contains("hearthkeep_catalog_failed 0\n"));
    (page.as_str().map(str::to_owned), is_measured)
}

/// Whether a file system can be told that it fails.
pub fn can_fail() -> bool {
    Path::new("/sys/fs/ext4/features").exists()
}
