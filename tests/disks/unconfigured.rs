//! Disks that somebody took out of the configuration by hand: they are away, and not forgotten.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::commands::{camera, disk, done, folder, one_camera, refused};
use super::installation::{Installation, await_condition, path};
use super::mounts::segments;

const LONG: Duration = Duration::from_secs(90);

/// What `status` says, and its exit code.
fn status(installation: &Installation) -> (String, Option<i32>) {
    let output = installation.run("status", &[]);
    (
        String::from_utf8(output.stdout).unwrap(),
        output.status.code(),
    )
}

fn said(installation: &Installation, command: &str) -> (String, Option<i32>) {
    let output = installation.run(command, &[]);
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code())
}

fn ids(installation: &Installation) -> Vec<(String, String)> {
    let rows: Value = serde_json::from_str(&done(installation, &["list", "--json"])).unwrap();
    let rows = rows.as_array().unwrap().iter();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows.map(|row| (text(row, "path"), text(row, "id")))
        .collect()
}

fn is_in_use(installation: &Installation, folder: &Path) -> bool {
    super::commands::listed(installation, folder)["state"] == "in use"
}

#[test]
fn a_disk_taken_out_of_the_configuration_by_hand_is_away_and_no_number_comes_twice() {
    let (_cameras, url) = one_camera();
    let installation = Installation::unmade(&[camera(&url)]);
    let b = folder(&installation, "b");
    installation.write_config_with_disks(&[camera(&url)], &["b"]);
    installation.init();
    let a = folder(&installation, "a");
    done(&installation, &["add", path(&a)]);
    let both = std::fs::read_to_string(installation.config()).unwrap();
    let to_b = both.replace("name = \"good\"", "name = \"good\"\ndisk = \"b\"");
    std::fs::write(installation.config(), to_b).unwrap();
    let mut recorder = installation.start();
    recorder.until("it records to b", LONG, |list| {
        list[0]["bytes"].as_u64() > Some(50_000)
    });
    recorder.kill();
    assert!(segments(&a).is_empty() && !segments(&b).is_empty());
    let listed = ids(&installation);
    let id = listed.iter().find(|(at, _)| at == path(&b)).unwrap();
    let id = id.1.clone();

    installation.write_config_with_disks(&[camera(&url)], &["a"]);
    let mut recorder = installation.start();
    recorder.until("it records to a", LONG, |_| !segments(&a).is_empty());
    let (told, code) = status(&installation);
    assert_eq!(code, Some(4), "{told}");
    let advice = format!("hearthkeep disk retire --forget {id}");
    assert!(told.contains(path(&b)) && told.contains(&advice), "{told}");
    let (told, _) = said(&installation, "list");
    assert!(
        told.contains("footage may be missing here") && told.contains(&id),
        "{told}"
    );
    let (told, code) = said(&installation, "check");
    assert!(code == Some(1) && told.contains(&id), "{code:?}: {told}");
    // It is not the one disk that a store needs, and a disk with footage does not go without a word.
    refused(&installation, &["retire", path(&a)], 1, "disk");
    refused(&installation, &["retire", &id], 1, "--forget");
    recorder.terminate();

    std::fs::write(installation.config(), both).unwrap();
    let before = segments(&a).len() + segments(&b).len();
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |_| {
        segments(&a).len() + segments(&b).len() > before
    });
    await_condition("b is used again", LONG, || is_in_use(&installation, &b));
    let (told, code) = status(&installation);
    assert_eq!(code, Some(0), "{told}");
    recorder.terminate();
    let list = installation.list(&[]);
    let rows = list.as_array().unwrap().iter();
    let numbers: Vec<_> = rows.map(|row| row["sequence"].as_u64().unwrap()).collect();
    let once: HashSet<_> = numbers.iter().collect();
    assert_eq!(once.len(), numbers.len(), "{numbers:?}");
    // What nobody there had heard of was passed over.
    let passed_over = numbers.iter().filter(|number| **number >= 1 << 24);
    assert!(passed_over.count() > 0, "{numbers:?}");
    assert_eq!(said(&installation, "check").1, Some(0));
}

#[test]
fn one_that_was_left_out_is_put_back_or_given_up_by_command() {
    let (_cameras, url) = one_camera();
    let installation = Installation::unmade(&[camera(&url)]);
    let b = folder(&installation, "b");
    installation.write_config_with_disks(&[camera(&url)], &["b"]);
    installation.init();
    let mut recorder = installation.start();
    recorder.until("it records to b", LONG, |list| {
        list[0]["bytes"].as_u64() > Some(50_000)
    });
    recorder.terminate();
    let id = ids(&installation)[0].1.clone();
    let a = folder(&installation, "a");
    done(&installation, &["add", path(&a)]);
    installation.write_config_with_disks(&[camera(&url)], &["a"]);

    // With a recorder.
    let mut recorder = installation.start();
    recorder.until("it records to a", LONG, |_| !segments(&a).is_empty());
    assert_eq!(status(&installation).1, Some(4));
    done(&installation, &["add", path(&b)]);
    await_condition("b is in use", LONG, || is_in_use(&installation, &b));
    assert_eq!(ids(&installation).len(), 2);
    assert_eq!(status(&installation).1, Some(0));
    recorder.terminate();

    // And without.
    installation.write_config_with_disks(&[camera(&url)], &["a"]);
    let before = std::fs::read_to_string(installation.config()).unwrap();
    assert_eq!(ids(&installation).len(), 2);
    done(&installation, &["retire", "--forget", &id]);
    let after = std::fs::read_to_string(installation.config()).unwrap();
    assert_eq!(before, after);
    let left: Vec<_> = ids(&installation).into_iter().map(|(at, _)| at).collect();
    assert_eq!(left, [path(&a)]);
    let before = segments(&a).len();
    let mut recorder = installation.start();
    recorder.until("it records to a", LONG, |_| segments(&a).len() > before);
    assert_eq!(
        status(&installation).1,
        Some(0),
        "{:?}",
        status(&installation)
    );
    recorder.terminate();
    let output = disk(&installation, &["retire", &id]);
    assert_eq!(output.status.code(), Some(66), "{output:?}");
}
