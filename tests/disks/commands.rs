//! `hearthkeep disk`, with a running recorder and without one.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use hearthkeep::store::lock::holder;
use serde_json::Value;

use super::common::{Cameras, clip};
use super::installation::{CameraEntry, Installation, await_condition, path};

const LONG: Duration = Duration::from_secs(90);

/// Test cameras that send one good stream, and its address.
pub fn one_camera() -> (Cameras, String) {
    let cameras = Cameras::start(&[&format!("good={}", clip("h264_small").display())]);
    let url = cameras.url("good").to_owned();
    (cameras, url)
}

pub fn camera(url: &str) -> CameraEntry<'_> {
    CameraEntry {
        name: "good",
        url,
        more: "",
    }
}

pub fn disk(installation: &Installation, arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new(super::installation::HEARTHKEEP);
    let (subcommand, rest) = arguments.split_first().unwrap();
    command.args(["disk", subcommand, "--config"]);
    command
        .arg(installation.config())
        .args(rest)
        .output()
        .unwrap()
}

pub fn done(installation: &Installation, arguments: &[&str]) -> String {
    let output = disk(installation, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn refused(installation: &Installation, arguments: &[&str], code: i32, sentence: &str) {
    let output = disk(installation, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {output:?}"
    );
    assert!(said.contains(sentence), "{arguments:?}: {said}");
}

/// What `disk list --json` says of all disks.
pub fn all_listed(installation: &Installation) -> Vec<Value> {
    serde_json::from_str(&done(installation, &["list", "--json"])).unwrap()
}

/// What `disk list --json` says of the disk in this folder.
pub fn listed(installation: &Installation, folder: &Path) -> Value {
    let all = all_listed(installation);
    let row = all.iter().find(|row| row["path"] == path(folder));
    row.unwrap_or_else(|| panic!("{} is not among {all:?}", folder.display()))
        .clone()
}

pub fn folder(installation: &Installation, name: &str) -> std::path::PathBuf {
    let folder = installation.folder().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn segments(folder: &Path) -> usize {
    super::mounts::segments(folder).len()
}

#[test]
fn a_running_recorder_takes_a_disk_in_and_another_out() {
    let (_cameras, url) = one_camera();
    let installation = Installation::new(&[camera(&url)]);
    let before = std::fs::read_to_string(installation.config()).unwrap();
    let text = before.replace("[server]", "# As it was set up\n[server]");
    std::fs::write(installation.config(), &text).unwrap();
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |list| {
        list[0]["bytes"].as_u64() > Some(50_000)
    });

    let (old, new) = (installation.footage(), folder(&installation, "new"));
    done(&installation, &["add", path(&new), "--max-bytes", "500GB"]);
    let config = std::fs::read_to_string(installation.config()).unwrap();
    assert!(
        config.contains("# As it was set up") && config.contains("max_bytes = 500000000000"),
        "{config}"
    );
    assert!(new.join("keyring/a").exists(), "its keyring");
    await_condition("it is in use", LONG, || {
        listed(&installation, &new)["state"] == "in use"
    });
    // Again, as where it is in the configuration only; but not with other settings.
    done(&installation, &["add", path(&new)]);
    let otherwise = ["add", path(&new), "--max-bytes", "1GB"];
    refused(&installation, &otherwise, 78, "same \"path\"");

    // What could not be gone on with after a restart does not begin.
    let in_the_way = installation.state().join(".store.sealed.new");
    std::fs::create_dir(&in_the_way).unwrap();
    refused(&installation, &["drain", path(&old)], 1, "store.sealed");
    let row = listed(&installation, &old);
    assert_eq!(
        (&row["state"], &row["drain"]),
        (&"in use".into(), &Value::Null)
    );
    std::fs::remove_dir(&in_the_way).unwrap();
    done(&installation, &["drain", path(&old)]);
    await_condition("the old one is empty", LONG, || {
        let row = listed(&installation, &old);
        assert_eq!(row["error"], Value::Null, "{row}");
        row["state"] == "drained"
    });
    assert_eq!(segments(&old), 0);
    assert!(listed(&installation, &old)["drain"]["moved_bytes"].as_u64() > Some(50_000));
    // Nor is a disk taken out that a restart would use again.
    std::fs::create_dir(&in_the_way).unwrap();
    refused(&installation, &["retire", path(&old)], 1, "store.sealed");
    assert_eq!(listed(&installation, &old)["state"], "drained");
    std::fs::remove_dir(&in_the_way).unwrap();
    let before = std::fs::read_to_string(installation.config()).unwrap();
    done(&installation, &["retire", path(&old)]);
    // Again, as where the configuration could not be written then.
    std::fs::write(installation.config(), before).unwrap();
    done(&installation, &["retire", path(&old)]);
    let config = std::fs::read_to_string(installation.config()).unwrap();
    assert!(!config.contains("path = \"footage\""), "{config}");
    refused(
        &installation,
        &["retire", path(&old)],
        66,
        "`hearthkeep disk list` shows",
    );
    let id_file = std::fs::read_to_string(old.join("hearthkeep-disk.json")).unwrap();
    assert!(id_file.contains("\"retired\":true"), "{id_file}");
    let moved = segments(&new);
    recorder.until("it goes on on the new one", LONG, |_| {
        segments(&new) > moved
    });
    recorder.terminate();
    assert_eq!(installation.run("check", &[]).status.code(), Some(0));
    assert_eq!(segments(&old), 0);

    // One that was retired is not used by mistake, and may come back.
    installation.write_config_with_disks(&[camera(&url)], &["footage", "new"]);
    let status = installation.run("status", &["--json"]);
    assert_eq!(status.status.code(), Some(3));
    let row = listed(&installation, &old);
    assert!(
        row["error"].as_str().unwrap().contains("was retired"),
        "{row}"
    );
    installation.write_config_with_disks(&[camera(&url)], &["new"]);
    done(&installation, &["add", path(&old)]);
    assert_eq!(listed(&installation, &old)["state"], "in use");
}

#[test]
fn without_a_recorder_the_command_does_it_itself() {
    let (_cameras, url) = one_camera();
    let installation = Installation::new(&[camera(&url)]);
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |list| {
        list[0]["bytes"].as_u64() > Some(50_000)
    });
    recorder.terminate();
    let (old, new) = (installation.footage(), folder(&installation, "new"));
    refused(
        &installation,
        &["drain", path(&old)],
        1,
        "it is the only disk",
    );
    refused(
        &installation,
        &["retire", path(&old), "--forget"],
        1,
        "it is the only disk",
    );
    done(&installation, &["add", path(&new)]);
    let row = listed(&installation, &old);
    assert_eq!(
        (&row["state"], &row["tier"]),
        (&"in use".into(), &"hot".into())
    );
    assert!(
        row["used_bytes"].as_u64() > Some(50_000) && row["oldest_us"].as_i64() > Some(0),
        "{row}"
    );
    refused(&installation, &["retire", path(&old)], 1, "empty it first");
    for command in [&["drain"][..], &["drain", "--stop"], &["retire"]] {
        let nowhere = [command, &["nowhere"]].concat();
        refused(&installation, &nowhere, 66, "`hearthkeep disk list` shows");
    }
    let id = row["id"].as_str().unwrap();
    let told = done(&installation, &["drain", id]);
    assert!(told.contains("It is empty"), "{told}");
    assert_eq!(listed(&installation, &old)["state"], "drained");
    assert_eq!(segments(&old), 0);
    assert!(done(&installation, &["retire", id]).contains("No footage went with it"));
    assert_eq!(installation.run("check", &[]).status.code(), Some(0));
    let list = installation.list(&[]);
    assert!(!list.as_array().unwrap().is_empty());

    // A lost disk: what goes with it is said before.
    let spare = folder(&installation, "spare");
    done(&installation, &["add", path(&spare)]);
    let log_on = |disk: &Path| Installation::files(&disk.join("log")).len();
    assert_eq!(log_on(&spare), log_on(&new), "the log is on it at once");
    hold_all(&installation);
    std::fs::rename(&new, installation.folder().join("broken")).unwrap();
    std::fs::create_dir(&new).unwrap();
    assert_eq!(listed(&installation, &new)["state"], "absent");
    refused(
        &installation,
        &["retire", path(&new)],
        1,
        "MB are held, since somebody wants to keep them: empty it first",
    );
    let told = done(&installation, &["retire", path(&new), "--forget"]);
    assert!(
        told.contains("With it went") && told.contains("of it were held"),
        "{told}"
    );
    assert!(Installation::files(&new).is_empty());
    assert!(installation.list(&[]).as_array().unwrap().is_empty());
}

fn hold_all(installation: &Installation) {
    let mut command = std::process::Command::new(super::installation::HEARTHKEEP);
    let to = jiff::Timestamp::now().to_string();
    command.args([
        "hold",
        "add",
        "--all-cameras",
        "--reason",
        "the fence",
        "--config",
    ]);
    command.arg(installation.config());
    let span = ["--from", "2020-01-01T00:00:00Z", "--to", &to];
    let output = command.args(span).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_crash_is_still_known_after_a_disk_was_emptied_without_a_recorder() {
    let (_cameras, url) = one_camera();
    let installation = Installation::new(&[camera(&url)]);
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |list| {
        list[0]["duration_us"].as_u64() > Some(1_000_000)
    });
    recorder.kill();
    let (old, new) = (installation.footage(), folder(&installation, "new"));
    done(&installation, &["add", path(&new)]);
    done(&installation, &["drain", path(&old)]);
    done(&installation, &["drain", path(&old), "--stop"]);
    let mut recorder = installation.start();
    recorder.until("the gap says so", LONG, |list| {
        list[1]["gap_before"]["cause"] == "crash"
    });
    recorder.terminate();
}

#[test]
fn a_folder_that_is_no_disk_is_refused_and_not_written_to() {
    let (_cameras, url) = one_camera();
    let installation = Installation::new(&[camera(&url)]);
    let in_use = folder(&installation, "in use");
    std::fs::create_dir(in_use.join("photos")).unwrap();
    let other = Installation::new(&[camera(&url)]);
    let before = std::fs::read(installation.config()).unwrap();
    for (folder, sentence) in [
        (installation.folder().join("missing"), "cannot be opened"),
        (in_use.clone(), "not empty"),
        (other.footage(), "belongs to another store"),
    ] {
        refused(&installation, &["add", path(&folder)], 1, sentence);
    }
    refused(&installation, &["drain", "nowhere"], 66, "no such disk");
    assert_eq!(std::fs::read_dir(&in_use).unwrap().count(), 1);
    assert_eq!(std::fs::read(installation.config()).unwrap(), before);
    // A configuration that cannot be written is found out before anything is done.
    let spare = folder(&installation, "spare");
    let real = installation.folder().join("real.toml");
    std::fs::rename(installation.config(), &real).unwrap();
    let proc_file = Path::new("/proc/self/status");
    std::os::unix::fs::symlink(proc_file, installation.config()).unwrap();
    let output = disk(&installation, &["add", path(&spare)]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert_eq!(std::fs::read_dir(&spare).unwrap().count(), 0);
}

/// kill -9 at random moments of a drain, by the command and by the recorder: nothing is lost, and it ends.
#[test]
fn a_drain_that_is_killed_goes_on() {
    let mut chance = super::chance::Chance::new();
    let (_cameras, url) = one_camera();
    let installation = Installation::new(&[camera(&url)]);
    let recorder = installation.start();
    // Many segments: one more for each start.
    drop(recorder);
    for _ in 0..6 {
        let mut recorder = installation.start();
        let before = segments(&installation.footage());
        recorder.until("a segment", LONG, |list| {
            let listed = list.as_array().unwrap();
            listed.len() > before && listed.iter().all(|s| s["bytes"].as_u64() > Some(30_000))
        });
        recorder.kill();
    }
    // What a killed recorder leaves is mended, once, before anything moves.
    let mut recorder = installation.start();
    recorder.until("all is mended", LONG, |list| {
        let rows = list.as_array().unwrap();
        rows.len() > 6 && rows[..6].iter().all(|row| row["state"] == "recovered")
    });
    recorder.terminate();
    let files = || -> std::collections::BTreeMap<_, _> {
        let disks = [installation.footage(), installation.folder().join("new")];
        let found = disks.iter().flat_map(|disk| super::mounts::segments(disk));
        let read = |file: std::path::PathBuf| {
            let name = file.file_name().unwrap().to_owned();
            (name, std::fs::read(file).unwrap())
        };
        found.map(read).collect()
    };
    let recorded = files();
    let (old, new) = (installation.footage(), folder(&installation, "new"));
    done(&installation, &["add", path(&new)]);
    let mut killed = 0;
    loop {
        let mut command = std::process::Command::new(super::installation::HEARTHKEEP);
        command
            .args(["disk", "drain", path(&old), "--config"])
            .arg(installation.config());
        let mut child = command.spawn().unwrap();
        let life = Duration::from_millis(chance.below(400) * (killed + 1));
        let begun = std::time::Instant::now();
        let mut ended = None;
        await_condition("its time to come", LONG, || {
            ended = child.try_wait().unwrap();
            ended.is_some() || begun.elapsed() >= life
        });
        if let Some(status) = ended {
            assert!(status.success(), "{status}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        for (name, bytes) in &recorded {
            assert_eq!(files().get(name), Some(bytes), "after {killed} kills");
        }
    }
    println!("killed {killed} times");
    assert_eq!((segments(&old), segments(&new)), (0, recorded.len()));
    assert_eq!(files(), recorded);
    assert_eq!(installation.run("check", &[]).status.code(), Some(0));
}

#[test]
fn a_recorder_that_is_just_starting_is_waited_for() {
    let installation = Installation::new(&[]);
    let recorder = installation.start();
    await_condition("it has the store's lock", LONG, || {
        holder(&installation.state()).unwrap() == Some(recorder.pid())
    });
    let cold = installation.folder().join("cold");
    std::fs::create_dir(&cold).unwrap();
    // A slow machine may need longer than it is waited for; that the recorder is in the way is never said.
    await_condition("it is added", LONG, || {
        let output = disk(&installation, &["add", path(&cold), "--cold"]);
        assert_ne!(output.status.code(), Some(75), "{output:?}");
        output.status.success()
    });
    assert_eq!(all_listed(&installation).len(), 2);
    recorder.terminate();
}
