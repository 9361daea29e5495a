//! Real file systems, unmounted under a running recorder. It needs root; who is not says so.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::commands::{camera, listed, one_camera};
use super::installation::{Installation, await_condition, path};
use super::left_out::leave_out;
use super::rows::{cause, now_us, number, of_stream, start_us};

const LONG: Duration = Duration::from_secs(90);
/// From the loss of a disk until it is told, and until it is used again after its return.
const ALARM: Duration = Duration::from_secs(10);
const RESUMED: Duration = Duration::from_secs(15);

/// An ext4 file system in a file, mounted or not. It is unmounted when dropped.
struct Loop {
    image: PathBuf,
    at: PathBuf,
}

impl Loop {
    fn new(folder: &Path, name: &str, at: &Path) -> Self {
        let image = folder.join(name);
        std::fs::File::create(&image)
            .unwrap()
            .set_len(256 << 20)
            .unwrap();
        run("mkfs.ext4", &["-q", "-F", path(&image)]);
        Self {
            image,
            at: at.to_owned(),
        }
    }

    fn mount(&self) {
        run("mount", &["-o", "loop", path(&self.image), path(&self.at)]);
    }

    /// As when it is unplugged: open files stay open, and the path leads to the bare mount point at once.
    fn unplug(&self) {
        run("umount", &["--lazy", path(&self.at)]);
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // It may not be mounted.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).output();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
}

/// Whether this can be done here; said where not.
fn can_mount() -> bool {
    let can = rustix_is_root() && Path::new("/dev/loop-control").exists();
    if !can {
        let why = "mounting file systems needs root and loop devices";
        leave_out("disks/mounts", why);
    }
    can
}

fn rustix_is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

pub fn segments(folder: &Path) -> Vec<PathBuf> {
    let footage = folder.join("footage");
    if !footage.exists() {
        return Vec::new();
    }
    let mut files = Installation::files(&footage);
    files.retain(|file| path(file).ends_with(".hks"));
    files
}

fn bytes(folder: &Path) -> u64 {
    let sizes = segments(folder)
        .into_iter()
        .map(|file| std::fs::metadata(file).map_or(0, |facts| facts.len()));
    sizes.sum()
}

#[test]
fn a_disk_that_is_unplugged_is_missed_within_10_s_and_used_within_15_s_of_its_return() {
    if !can_mount() {
        return;
    }
    let (_cameras, url) = one_camera();
    let installation = Installation::unmade(&[camera(&url)]);
    let usb = installation.folder().join("usb");
    std::fs::create_dir(&usb).unwrap();
    let stick = Loop::new(installation.folder(), "stick.img", &usb);
    stick.mount();
    // The camera's own disk is the one that goes.
    let write = || {
        installation.write_config_with_disks(&[camera(&url)], &["footage", "usb"]);
        let text = std::fs::read_to_string(installation.config()).unwrap();
        let text = text.replace("name = \"good\"", "name = \"good\"\ndisk = \"usb\"");
        std::fs::write(installation.config(), text).unwrap();
    };
    write();
    installation.init();
    let mut recorder = installation.start();
    recorder.until("it records to the stick", LONG, |_| bytes(&usb) > 50_000);
    let before = bytes(&installation.footage());
    assert_eq!(before, 0);

    let unplugged = Instant::now();
    stick.unplug();
    await_condition("the loss is told", ALARM, || {
        listed(&installation, &usb)["state"] == "absent"
    });
    let error = listed(&installation, &usb)["error"]
        .as_str()
        .unwrap()
        .to_owned();
    println!("told after {:?}: {error}", unplugged.elapsed());
    assert_eq!(installation.run("status", &[]).status.code(), Some(4));
    assert!(installation.log().contains("is gone"), "in the log");
    recorder.until("the other disk is in use", LONG, |_| {
        bytes(&installation.footage()) > 50_000
    });
    println!("recorded elsewhere after {:?}", unplugged.elapsed());
    is_bare(&usb);

    // Another disk is there for a while.
    let other = Loop::new(installation.folder(), "other.img", &usb);
    other.mount();
    await_condition("that is told", ALARM, || {
        let row = listed(&installation, &usb);
        row["error"]
            .as_str()
            .unwrap()
            .contains("its disk is not mounted")
    });
    let lost_and_found: Vec<_> = std::fs::read_dir(&usb).unwrap().collect();
    assert_eq!(lost_and_found.len(), 1, "nothing was written to it");
    other.unplug();

    stick.mount();
    let returned = Instant::now();
    let left = bytes(&usb);
    await_condition("it is used again", RESUMED, || {
        listed(&installation, &usb)["state"] == "in use"
    });
    println!("in use again after {:?}", returned.elapsed());
    // A segment ends after a minute; the camera's own disk gets the next.
    recorder.until("it is recorded to again", LONG, |_| {
        bytes(&usb) > left + 50_000
    });
    println!("recorded to again after {:?}", returned.elapsed());
    recorder.terminate();
    // What was torn when it went is whole; every gap has its cause.
    assert_eq!(installation.run("check", &[]).status.code(), Some(0));
    let list = installation.list(&[]);
    let rows = list.as_array().unwrap().iter();
    let causes: Vec<_> = rows.map(|row| row["gap_before"]["cause"].clone()).collect();
    assert!(causes.iter().any(|cause| cause == "disk-error"), "{list:#}");
    stick.unplug();
    is_bare(&usb);
}

#[test]
fn the_only_disk_is_recorded_to_within_15_s_of_its_return() {
    if !can_mount() {
        return;
    }
    let (_cameras, url) = one_camera();
    let installation = Installation::unmade(&[camera(&url)]);
    let usb = installation.folder().join("usb");
    std::fs::create_dir(&usb).unwrap();
    let stick = Loop::new(installation.folder(), "stick.img", &usb);
    stick.mount();
    installation.write_config_with_disks(&[camera(&url)], &["usb"]);
    installation.init();
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |_| bytes(&usb) > 50_000);

    let unplugged = Instant::now();
    stick.unplug();
    await_condition("the gap is told", ALARM, || {
        gap(&installation)["cause"] == "disk-error"
    });
    println!("the gap was told after {:?}", unplugged.elapsed());
    await_condition("the loss is told", ALARM, || {
        listed(&installation, &usb)["state"] == "absent"
    });
    is_bare(&usb);

    stick.mount();
    let (returned, returned_us) = (Instant::now(), now_us());
    recorder.until("it is recorded to again", RESUMED, |list| {
        let rows = list.as_array().unwrap().iter();
        let of_it = |row: &&Value| number(row, "duration_us") > 0;
        rows.filter(of_it).any(|row| start_us(row) > returned_us)
    });
    println!("recorded to again after {:?}", returned.elapsed());
    assert!(segments(&usb).len() >= 2, "on the stick");
    await_condition("the gap is over", LONG, || {
        gap(&installation) == Value::Null
    });
    recorder.terminate();
    assert_eq!(installation.run("check", &[]).status.code(), Some(0));
    let list = installation.list(&[]);
    let rows = of_stream(&list, "good");
    let causes: Vec<_> = rows.iter().map(|row| cause(row)).collect();
    assert_eq!(causes, [Some("start"), Some("disk-error")], "{list:#}");
    stick.unplug();
    is_bare(&usb);
}

#[test]
fn a_disk_is_taken_out_for_a_while_as_the_documents_say() {
    if !can_mount() {
        return;
    }
    let (_cameras, url) = one_camera();
    let installation = Installation::new(&[camera(&url)]);
    let usb = installation.folder().join("usb");
    std::fs::create_dir(&usb).unwrap();
    let stick = Loop::new(installation.folder(), "stick.img", &usb);
    installation.write_config_with_disks(&[camera(&url)], &["footage", "usb"]);
    let text = std::fs::read_to_string(installation.config()).unwrap();
    let text = text.replace("name = \"good\"", "name = \"good\"\ndisk = \"usb\"");
    std::fs::write(installation.config(), text).unwrap();
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |_| {
        bytes(&installation.footage()) > 50_000
    });
    let error = || {
        listed(&installation, &usb)["error"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        error().contains("the disk that is meant may not be mounted"),
        "{}",
        error()
    );
    is_bare(&usb);
    // Nor does a new one become a disk before somebody says so.
    stick.mount();
    await_condition("it was looked at", ALARM, || {
        error().contains("no disk of this store. Nothing is written")
    });
    let output = super::commands::disk(&installation, &["add", path(&usb)]);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    await_condition("it is in use", LONG, || {
        listed(&installation, &usb)["state"] == "in use"
    });
    recorder.terminate();

    let mut recorder = installation.start();
    recorder.until("it records to the stick", LONG, |_| bytes(&usb) > 50_000);
    recorder.terminate();
    // Not lazily: nothing holds it any more.
    run("umount", &[path(&usb)]);
    let before = bytes(&installation.footage());
    let mut recorder = installation.start();
    recorder.until("it records elsewhere", LONG, |_| {
        bytes(&installation.footage()) > before + 50_000
    });
    assert_eq!(listed(&installation, &usb)["state"], "absent");
    is_bare(&usb);
    stick.mount();
    await_condition("it is used again", LONG, || {
        listed(&installation, &usb)["state"] == "in use"
    });
    recorder.terminate();
    assert_eq!(installation.run("check", &[]).status.code(), Some(0));
    stick.unplug();
    is_bare(&usb);
}

/// What `status` says of the camera's gap while it lasts.
fn gap(installation: &Installation) -> Value {
    let output = installation.run("status", &["--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    status["cameras"][0]["gap"].clone()
}

/// Nothing was written to the bare mount point, not even a folder.
fn is_bare(mount_point: &Path) {
    let there: Vec<_> = std::fs::read_dir(mount_point).unwrap().collect();
    assert!(there.is_empty(), "on the bare mount point: {there:?}");
}
