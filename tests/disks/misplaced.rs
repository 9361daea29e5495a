//! A disk that comes up at another one's path keeps what is said of it, and not the other one's budget.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hearthkeep::config::{Config, Tier};
use hearthkeep::keys::StateFolder;
use hearthkeep::pool;
use hearthkeep_format::DiskId;

use super::commands::{all_listed, camera, done, folder, listed, one_camera, refused};
use super::installation::{Installation, await_condition, path};
use super::mounts::segments;

const LONG: Duration = Duration::from_secs(90);
const NOWHERE: &str = "rtsp://127.0.0.1:9/none";
const SMALL: u64 = 20_000_000;

/// What a start finds at a path: which disk, what it may hold, and what it is for.
type Found = (DiskId, Option<u64>, Tier);

fn found(installation: &Installation, folder: &Path) -> Found {
    let config = Config::load(&installation.config()).unwrap();
    let mut state = StateFolder::load(&config.state_dir).unwrap();
    let disks = pool::mount(&config, &mut state);
    let mut mounted = disks.mounted.iter();
    let disk = mounted.find(|disk| disk.path == folder).unwrap();
    (disk.id, disk.max_bytes, disk.tier)
}

/// Two disks, the second one small and cold, which nothing was recorded to.
fn two(installation: &Installation, url: &str) -> [PathBuf; 2] {
    let both = ["a", "b"].map(|name| folder(installation, name));
    installation.write_config_with_disks(&[camera(url)], &["a"]);
    installation.init();
    done(
        installation,
        &["add", path(&both[1]), "--max-bytes", "20MB", "--cold"],
    );
    both
}

fn swap([a, b]: &[PathBuf; 2]) {
    let aside = a.with_extension("aside");
    std::fs::rename(a, &aside).unwrap();
    std::fs::rename(b, a).unwrap();
    std::fs::rename(aside, b).unwrap();
}

fn trouble(installation: &Installation, folder: &Path) -> Option<String> {
    let row = listed(installation, folder);
    row["error"].as_str().map(str::to_owned)
}

/// Exchanges the paths in the configuration.
fn exchange(installation: &Installation, [a, b]: &[PathBuf; 2]) {
    let text = std::fs::read_to_string(installation.config()).unwrap();
    let quoted = |path: &str| format!("\"{path}\"");
    let text = text
        .replace(&quoted("a"), "\"?\"")
        .replace(&quoted(path(b)), &quoted(path(a)));
    std::fs::write(installation.config(), text.replace("\"?\"", &quoted("b"))).unwrap();
}

#[test]
fn what_is_said_of_a_disk_goes_with_it_until_somebody_says_otherwise() {
    let installation = Installation::unmade(&[camera(NOWHERE)]);
    let both = two(&installation, NOWHERE);
    let [a, b] = &both;
    let (large, small) = (found(&installation, a), found(&installation, b));
    assert_eq!((large.1, large.2), (None, Tier::Hot));
    assert_eq!((small.1, small.2), (Some(SMALL), Tier::Cold));

    swap(&both);
    // What a start has seen the next one does not take for meant.
    for _ in 0..3 {
        assert_eq!(found(&installation, b), large);
        assert_eq!(found(&installation, a), small);
    }
    for (folder, other) in [(a, b), (b, a)] {
        let told = trouble(&installation, folder).unwrap();
        assert!(
            told.contains(path(other)) && told.contains("mount the disks"),
            "{told}"
        );
    }

    exchange(&installation, &both);
    for _ in 0..2 {
        assert_eq!(found(&installation, b), large);
        assert_eq!(found(&installation, a), small);
        assert_eq!(trouble(&installation, a), None);
        assert_eq!(trouble(&installation, b), None);
    }
    // And so from then on.
    swap(&both);
    assert_eq!(found(&installation, a), large);
    assert!(trouble(&installation, a).is_some());
    swap(&both);
    assert_eq!(trouble(&installation, a), None);

    // As somebody says it, where that is meant.
    swap(&both);
    done(&installation, &["add", path(a)]);
    done(&installation, &["add", path(b)]);
    assert_eq!(found(&installation, a), (large.0, Some(SMALL), Tier::Cold));
    assert_eq!(found(&installation, b), (small.0, None, Tier::Hot));
    assert_eq!(trouble(&installation, a), None);
}

#[test]
fn disks_that_were_exchanged_before_anything_was_remembered_keep_their_budgets() {
    let installation = Installation::unmade(&[camera(NOWHERE)]);
    let both = two(&installation, NOWHERE);
    let [a, b] = &both;
    let (large, small) = (found(&installation, a), found(&installation, b));
    std::fs::remove_file(installation.state().join("disks.json")).unwrap();
    swap(&both);
    assert_eq!(found(&installation, b), large);
    assert_eq!(found(&installation, a), small);
    // Back where they were; and what is remembered is made again where it is damaged.
    swap(&both);
    for _ in 0..2 {
        assert_eq!(found(&installation, a), large);
        assert_eq!(found(&installation, b), small);
        assert_eq!(trouble(&installation, b), None);
        std::fs::write(installation.state().join("disks.json"), "{").unwrap();
        let check = installation.run("check", &[]);
        let said = String::from_utf8_lossy(&check.stdout);
        assert_eq!(check.status.code(), Some(65), "{check:?}");
        assert!(said.contains("disks.json"), "{said}");
    }

    // A path that the configuration no longer has is nobody's: what is said of the new one counts.
    let c = installation.folder().join("c");
    std::fs::rename(b, &c).unwrap();
    let text = std::fs::read_to_string(installation.config()).unwrap();
    let text = text
        .replace(path(b), path(&c))
        .replace("20000000", "30000000");
    std::fs::write(installation.config(), text).unwrap();
    assert_eq!(
        found(&installation, &c),
        (small.0, Some(30_000_000), Tier::Cold)
    );
    assert_eq!(trouble(&installation, &c), None);
}

#[test]
fn a_recorder_tells_of_disks_that_were_exchanged() {
    let (_cameras, url) = one_camera();
    let installation = Installation::unmade(&[camera(&url)]);
    let both = two(&installation, &url);
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |_| !segments(&both[0]).is_empty());
    recorder.terminate();
    swap(&both);
    let mut recorder = installation.start();
    // The one for new footage is at the other path now.
    let before = segments(&both[1]).len();
    recorder.until("it records", LONG, |_| segments(&both[1]).len() > before);
    let output = installation.run("status", &[]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(
        told.contains("exchange their paths in the configuration"),
        "{told}"
    );
    recorder.terminate();
    swap(&both);
    let before = segments(&both[0]).len();
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |_| segments(&both[0]).len() > before);
    let output = installation.run("status", &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    recorder.terminate();
}

#[test]
fn a_budget_that_is_changed_where_a_misplaced_disk_belongs_counts() {
    let installation = Installation::unmade(&[camera(NOWHERE)]);
    let both = two(&installation, NOWHERE);
    let [a, b] = &both;
    let small = found(&installation, b);
    swap(&both);
    assert_eq!(found(&installation, a), small);
    let text = std::fs::read_to_string(installation.config()).unwrap();
    std::fs::write(installation.config(), text.replace("20000000", "40000000")).unwrap();
    for _ in 0..2 {
        assert_eq!(
            found(&installation, a),
            (small.0, Some(2 * SMALL), Tier::Cold)
        );
        assert!(trouble(&installation, a).unwrap().contains(path(b)));
    }
}

#[test]
fn a_disk_that_was_elsewhere_is_used_though_that_cannot_be_remembered() {
    let installation = Installation::unmade(&[camera(NOWHERE)]);
    let [a, b] = ["a", "b"].map(|name| folder(&installation, name));
    installation.write_config_with_disks(&[camera(NOWHERE)], &["a"]);
    installation.init();
    let disk = found(&installation, &a);
    std::fs::remove_dir(&b).unwrap();
    std::fs::rename(&a, &b).unwrap();
    installation.write_config_with_disks(&[camera(NOWHERE)], &["b"]);
    assert_eq!(found(&installation, &b), disk);
    std::fs::rename(&b, &a).unwrap();
    installation.write_config_with_disks(&[camera(NOWHERE)], &["a"]);
    // What is written first when the file is replaced.
    let beside = installation.state().join(".store.sealed.new");
    std::fs::create_dir(&beside).unwrap();
    assert_eq!(found(&installation, &a), disk);
}

/// A disk's path, and what is wrong with it.
fn told(at: &Path, fault: &str) -> (String, String) {
    (path(at).to_owned(), fault.to_owned())
}

/// The paths and troubles of all disks, and how many have this id.
fn rows(installation: &Installation, id: DiskId) -> (Vec<(String, String)>, usize) {
    let all = all_listed(installation);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let rows = all
        .iter()
        .map(|row| (text(&row["path"]), text(&row["fault"])));
    let of_it = all.iter().filter(|row| text(&row["id"]) == id.to_string());
    (rows.collect(), of_it.count())
}

#[test]
fn one_of_two_exchanged_disks_that_is_late_is_expected_and_not_left_out() {
    let (_cameras, url) = one_camera();
    let installation = Installation::unmade(&[camera(&url)]);
    let both = two(&installation, &url);
    let [a, b] = &both;
    let (large, small) = (found(&installation, a), found(&installation, b));
    swap(&both);
    let late = installation.folder().join("late");
    std::fs::rename(a, &late).unwrap();
    std::fs::create_dir(a).unwrap();
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |_| !segments(b).is_empty());
    let expected = vec![told(a, "absent"), told(b, "misplaced")];
    assert_eq!(rows(&installation, small.0), (expected, 1));
    assert_eq!(rows(&installation, large.0).1, 1);
    std::fs::remove_dir(a).unwrap();
    std::fs::rename(&late, a).unwrap();
    let expected = vec![told(a, "misplaced"), told(b, "misplaced")];
    await_condition("it is in use", LONG, || {
        rows(&installation, small.0) == (expected.clone(), 1)
    });
    recorder.terminate();
}

#[test]
fn a_disk_that_was_left_out_and_comes_up_at_a_configured_path_is_that_one_only() {
    let (_cameras, url) = one_camera();
    let installation = Installation::unmade(&[camera(&url)]);
    let both = two(&installation, &url);
    let [a, b] = &both;
    let (large, small) = (found(&installation, a), found(&installation, b));
    let c = folder(&installation, "c");
    done(&installation, &["add", path(&c)]);
    // The first is dead, the second out of the configuration.
    std::fs::rename(a, a.with_extension("dead")).unwrap();
    std::fs::create_dir(a).unwrap();
    installation.write_config_with_disks(&[camera(&url)], &["a", "c"]);
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |_| !segments(&c).is_empty());
    let expected = vec![told(a, "absent"), told(&c, ""), told(b, "left-out")];
    assert_eq!(rows(&installation, small.0), (expected, 1));
    for more in [&[][..], &["--stop"]] {
        let arguments = [&["drain", path(b)], more].concat();
        refused(&installation, &arguments, 1, "is not in the configuration");
    }
    std::fs::remove_dir(a).unwrap();
    std::fs::rename(b, a).unwrap();
    // The dead one is not looked for at another one's path, and nobody has given it up.
    let expected = vec![told(a, ""), told(&c, ""), told(a, "left-out")];
    await_condition("it is in use", LONG, || {
        rows(&installation, small.0) == (expected.clone(), 1)
    });
    let id = large.0.to_string();
    assert_eq!(rows(&installation, large.0), (expected.clone(), 1));
    refused(&installation, &["retire", &id], 1, "--forget");
    recorder.terminate();
    let recorder = installation.start();
    await_condition("a start says the same", LONG, || {
        rows(&installation, large.0) == (expected.clone(), 1)
    });
    done(&installation, &["retire", "--forget", &id]);
    let expected = vec![told(a, ""), told(&c, "")];
    assert_eq!(rows(&installation, large.0), (expected, 0));
    recorder.terminate();
}
