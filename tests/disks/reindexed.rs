//! The catalog is made anew while a disk is away: what lies on it stays known.

use std::path::Path;
use std::time::Duration;

use super::commands::{camera, folder, listed, one_camera};
use super::installation::{HEARTHKEEP, Installation, path};

const LONG: Duration = Duration::from_secs(90);

/// What a command says on both its outputs, and its exit code.
fn said(installation: &Installation, command: &str) -> (Option<i32>, String) {
    let output = installation.run(command, &[]);
    let both = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&both).into_owned(),
    )
}

fn bytes_on(installation: &Installation, disk: &Path) -> u64 {
    listed(installation, disk)["used_bytes"].as_u64().unwrap()
}

#[test]
fn what_lies_on_a_disk_that_is_away_stays_in_a_catalog_that_is_made_anew() {
    let (_cameras, url) = one_camera();
    let installation = Installation::new(&[camera(&url)]);
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |list| {
        list[0]["bytes"].as_u64() > Some(50_000)
    });
    recorder.terminate();
    let (old, new) = (installation.footage(), folder(&installation, "new"));
    let mut add = std::process::Command::new(HEARTHKEEP);
    add.args(["disk", "add", path(&new), "--config"])
        .arg(installation.config());
    assert!(add.status().unwrap().success());
    let before = bytes_on(&installation, &old);
    assert!(before > 50_000);

    let aside = installation.folder().join("unplugged");
    let unplug = || {
        std::fs::rename(&old, &aside).unwrap();
        std::fs::create_dir(&old).unwrap();
    };
    let plug_in = || {
        std::fs::remove_dir(&old).unwrap();
        std::fs::rename(&aside, &old).unwrap();
    };
    unplug();
    let (code, told) = said(&installation, "reindex");
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("1 segment on disks that are not here stay"),
        "{told}"
    );
    assert_eq!(listed(&installation, &old)["state"], "absent");
    assert_eq!(bytes_on(&installation, &old), before, "{told}");
    // It is entered once when it is back, too.
    plug_in();
    assert_eq!(installation.run("check", &[]).status.code(), Some(0));
    assert_eq!(bytes_on(&installation, &old), before);

    // Without the catalog before it nobody knows.
    std::fs::remove_dir_all(installation.state().join("catalog")).unwrap();
    unplug();
    let (code, told) = said(&installation, "reindex");
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("plug it in") && told.contains(path(&old)),
        "{told}"
    );
    assert_eq!(bytes_on(&installation, &old), 0);
    // Nor does a catalog that was made without it.
    let (code, told) = said(&installation, "reindex");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("does not know that disk"), "{told}");
    plug_in();
    let (code, told) = said(&installation, "reindex");
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(bytes_on(&installation, &old), before);
}
