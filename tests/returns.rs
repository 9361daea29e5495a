//! Cameras that are back after a while, where they were or elsewhere: each is recorded again within 10 s.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/installation.rs"]
mod installation;
#[path = "common/left_out.rs"]
mod left_out;
#[path = "common/rows.rs"]
mod rows;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{Cameras, clip};
use installation::{CameraEntry, HEARTHKEEP, Installation, Running, path};
use rows::{cause, end_us, now_us, of_stream, start_us};

const LONG: Duration = Duration::from_secs(90);
/// So long that the wait before the next attempt has grown as far as it does, also if it grew as it does where a camera refuses.
const ABSENT: Duration = Duration::from_secs(40);
/// From the first moment at which the camera takes a connection to the first picture that is recorded again.
const BACK_US_MAX: i64 = 10_000_000;

#[test]
fn a_camera_that_reboots_is_recorded_within_10_s_of_its_return() {
    let shown = format!("door={}", clip("h264_small").display());
    let cameras = Cameras::start(&[&shown]);
    let url = cameras.url("door").to_owned();
    let port = port_of(&url);
    let installation = Installation::new(&[entry(&url)]);
    let mut recorder = installation.start();
    until_recorded_after(&mut recorder, 0);
    drop(cameras);
    stays_away();
    // It takes connections when this returns.
    let _cameras = Cameras::start(&["--port", &port, &shown]);
    is_back_in_time(&installation, recorder, now_us());
}

#[test]
fn a_camera_whose_name_leads_elsewhere_is_recorded_within_10_s() {
    if !rustix::process::geteuid().is_root() {
        let why = "another table of hosts for one process needs root";
        return left_out::leave_out("returns/a_camera_whose_name_leads_elsewhere", why);
    }
    let shown = format!("door={}", clip("h264_small").display());
    let cameras = Cameras::start(&[&shown]);
    let port = port_of(cameras.url("door"));
    let url = format!("rtsp://door.test:{port}/door");
    let installation = Installation::new(&[entry(&url)]);
    let hosts = installation.folder().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 localhost door.test\n").unwrap();
    let mut recorder = installation.spawn(with_hosts(&hosts, &installation));
    until_recorded_after(&mut recorder, 0);
    drop(cameras);
    stays_away();
    // As a router gives a camera another address. Nobody is at the first one any more.
    let elsewhere = ["--address", "127.0.0.2", "--port", &port, &shown];
    let _cameras = Cameras::start(&elsewhere);
    std::fs::write(&hosts, "127.0.0.1 localhost\n127.0.0.2 door.test\n").unwrap();
    is_back_in_time(&installation, recorder, now_us());
}

fn entry(url: &str) -> CameraEntry<'_> {
    CameraEntry {
        name: "door",
        url,
        more: "",
    }
}

fn port_of(url: &str) -> String {
    let address = url.trim_start_matches("rtsp://").split('/').next();
    let port = address.and_then(|address| address.rsplit_once(':'));
    port.unwrap().1.to_owned()
}

/// `run` where this file is the table of hosts.
fn with_hosts(hosts: &Path, installation: &Installation) -> Command {
    let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, path(hosts)])
        .args([HEARTHKEEP, "run", "--config", path(&installation.config())]);
    command
}

fn stays_away() {
    // That time passes is the subject here: there is no condition to wait for.
    std::thread::sleep(ABSENT);
}

/// Waits until something that was sent after this is durable.
fn until_recorded_after(recorder: &mut Running<'_>, wall_us: i64) {
    recorder.until("it is recorded", LONG, |list| {
        let rows = of_stream(list, "door");
        rows.last().is_some_and(|row| end_us(row) > wall_us)
    });
}

fn is_back_in_time(installation: &Installation, mut recorder: Running<'_>, returned_us: i64) {
    until_recorded_after(&mut recorder, returned_us);
    recorder.terminate();
    let list = installation.list(&[]);
    let rows = of_stream(&list, "door");
    let [before, after] = rows[..] else {
        panic!("{list:#}");
    };
    assert!(start_us(after) - end_us(before) > ABSENT.as_micros() as i64);
    assert_eq!(cause(after), Some("camera-lost"), "{list:#}");
    let back_us = start_us(after) - returned_us;
    println!("recorded again after {} ms", back_us / 1_000);
    assert!(back_us <= BACK_US_MAX, "after {back_us} us: {list:#}");
}
