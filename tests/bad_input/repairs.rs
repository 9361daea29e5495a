//! What stands twice is damaged once: named, repaired, and gone from what is found.

use std::path::PathBuf;

use serde_json::Value;

use super::installation::{Installation, path, read};
use super::{camera, failed, one_camera, record, segments};

/// The findings of a `check`, by kind, and its exit code.
fn found(installation: &Installation, more: &[&str]) -> (Option<i32>, Vec<String>) {
    let output = installation.run("check", &[&["--json"], more].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["catalog"]["compared"], true, "{report:#}");
    let rows = |name: &str| report[name].as_array().unwrap().clone();
    let mut kinds: Vec<_> = [rows("damaged"), rows("strange")]
        .concat()
        .iter()
        .map(|row| row["kind"].as_str().unwrap().to_owned())
        .collect();
    kinds.sort();
    (output.status.code(), kinds)
}

fn flip(file: &PathBuf, at: usize) {
    let mut bytes = read(file);
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn the_catalog_of_a_recorder_at_work_is_compared() {
    let (_cameras, url, _) = one_camera();
    let installation = Installation::new(&[camera("good", &url)]);
    record(&installation, 2_000_000);
    let first = segments(&installation).remove(0);
    assert_eq!(found(&installation, &[]), (Some(0), vec![]));
    let own = installation.state().join("log.sealed");
    flip(&own, 40);
    assert_eq!(
        found(&installation, &[]),
        (Some(65), vec!["state".to_owned()])
    );
    flip(&own, 40);
    for (file, at) in [("people.sealed", 50), ("tls/leaf.json", 0)] {
        let file = installation.state().join(file);
        flip(&file, at);
        let expected = (Some(65), vec!["state".to_owned()]);
        assert_eq!(found(&installation, &[]), expected, "{}", file.display());
        flip(&file, at);
    }
    let mut recorder = installation.start();
    recorder.until("it records again", super::LONG, |list| {
        let rows = list.as_array().unwrap();
        rows.iter().any(|row| row["state"] == "open")
    });
    assert_eq!(found(&installation, &[]), (Some(0), vec![]));
    std::fs::remove_file(first).unwrap();
    assert_eq!(
        found(&installation, &[]),
        (Some(65), vec!["gone".to_owned()])
    );
    recorder.terminate();
}

#[test]
fn what_stands_twice_is_repaired_and_what_is_foreign_only_moved_when_asked() {
    let (_cameras, url, _) = one_camera();
    let installation = Installation::new(&[camera("good", &url)]);
    record(&installation, 2_000_000);
    let disk = installation.footage();
    let segment = segments(&installation).remove(0);
    let (whole, keyring) = (read(&segment), disk.join("keyring/b"));
    flip(&segment, 900);
    flip(&keyring, 100);
    flip(&installation.folder().join("state/keyring/a"), 100);
    flip(&disk.join("hearthkeep-disk.json"), 30);
    std::fs::write(disk.join("holiday.jpg"), "a picture").unwrap();
    let all = ["head", "id-file", "keyring", "keyring", "stranger"];
    let expected = (Some(65), all.map(str::to_owned).to_vec());
    assert_eq!(found(&installation, &[]), expected);
    let passphrase = installation.passphrase_file();
    let opened = found(&installation, &["--passphrase-file", path(&passphrase)]);
    assert_eq!(opened, expected);

    let plan = installation.run("repair", &["--dry-run"]);
    failed(&plan, 65, "");
    let said = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(said.contains("to be written anew beside it"), "{said}");
    assert!(said.contains("nothing was done"), "{said}");
    assert_eq!(found(&installation, &[]), expected, "{said}");

    let repair = installation.run("repair", &[]);
    failed(&repair, 65, "");
    assert_eq!(found(&installation, &[]).1, ["stranger"]);
    let again = installation.run("repair", &[]);
    failed(&again, 65, "");
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(
        said.contains("left as it is") && !said.contains("there is nothing"),
        "{said}"
    );
    assert!(
        said.ends_with("nothing of this can be repaired\n"),
        "{said}"
    );
    assert!(read(&segment) == whole, "it is the same file again");
    let repair = installation.run("repair", &["--quarantine"]);
    assert!(repair.status.success(), "{repair:?}");
    assert!(disk.join("lost/holiday.jpg").exists());
    assert_eq!(found(&installation, &[]), (Some(0), Vec::new()));

    // In what is too large to be looked through a disk may lie: it is told, and stays.
    let photographs = disk.join("photographs");
    (0..1001).for_each(|day| std::fs::create_dir_all(photographs.join(day.to_string())).unwrap());
    let unexplored = (Some(65), vec!["unexplored".to_owned()]);
    assert_eq!(found(&installation, &[]), unexplored);
    failed(&installation.run("repair", &["--quarantine"]), 65, "");
    assert_eq!(found(&installation, &[]), unexplored);
    std::fs::remove_dir(photographs.join("7")).unwrap();
    let stranger = (Some(65), vec!["stranger".to_owned()]);
    assert_eq!(found(&installation, &[]), stranger);
    std::fs::remove_dir_all(&photographs).unwrap();
    let repair = installation.run("repair", &["--json"]);
    assert!(repair.status.success(), "{repair:?}");
    let report: Value = serde_json::from_slice(&repair.stdout).unwrap();
    assert_eq!(report["steps"], serde_json::json!([]));

    // A segment that the catalog knows and that is gone is said; of a catalog that was repaired the signed log still says it.
    std::fs::remove_file(&segment).unwrap();
    assert!(found(&installation, &[]).1.contains(&"gone".to_owned()));
    failed(&installation.run("repair", &[]), 65, "");
    assert_eq!(found(&installation, &[]), (Some(65), Vec::new()));
    let check = installation.run("check", &["--json"]);
    let report: Value = serde_json::from_slice(&check.stdout).unwrap();
    assert_eq!(report["removed"].as_array().unwrap().len(), 1, "{report:#}");

    let mut recorder = installation.start();
    // By then it has the store.
    recorder.address();
    failed(&installation.run("repair", &[]), 75, "");
    recorder.terminate();
}
