//! Which folders become disks: those that somebody names, and none by itself.

use std::time::Duration;

use super::commands::{camera, disk, done, folder, listed, one_camera};
use super::installation::{Installation, await_condition, path};

const LONG: Duration = Duration::from_secs(90);

#[test]
fn an_empty_folder_becomes_no_disk_by_itself() {
    let (_cameras, url) = one_camera();
    let installation = Installation::new(&[camera(&url)]);
    installation.write_config_with_disks(&[camera(&url)], &["footage", "usb"]);
    let usb = installation.folder().join("usb");
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |list| {
        list[0]["bytes"].as_u64() > Some(50_000)
    });
    let is_told = |words: &str| {
        let row = listed(&installation, &usb);
        row["error"]
            .as_str()
            .is_some_and(|error| error.contains(words))
    };
    assert!(is_told("cannot be opened"));
    std::fs::create_dir(&usb).unwrap();
    // It may be a mount point, which is mounted later.
    await_condition("it was looked at", LONG, || {
        is_told("an empty folder and no disk of this store, and on the file system of")
    });
    assert!(Installation::files(&usb).is_empty());
    recorder.terminate();
    let mut recorder = installation.start();
    recorder.until("it records again", LONG, |list| {
        list.as_array().unwrap().len() >= 2 && list[1]["bytes"].as_u64() > Some(0)
    });
    assert!(is_told("an empty folder and no disk of this store"));
    assert!(Installation::files(&usb).is_empty());

    // Who names it means it; that it is no disk of its own is said.
    let before = std::fs::read(installation.config()).unwrap();
    let output = disk(&installation, &["add", path(&usb)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("as on a box with one disk"),
        "{output:?}"
    );
    assert_eq!(
        std::fs::read(installation.config()).unwrap(),
        before,
        "it is in there"
    );
    await_condition("it is in use", LONG, || {
        listed(&installation, &usb)["state"] == "in use"
    });
    recorder.terminate();

    // Without a recorder too, and with what the configuration says of it.
    let cold = folder(&installation, "cold");
    let text = String::from_utf8(before).unwrap();
    let text = text.replacen(
        "[[disk]]",
        "[[disk]]\npath = \"cold\"\ntier = \"cold\"\n[[disk]]",
        1,
    );
    std::fs::write(installation.config(), text).unwrap();
    assert_eq!(listed(&installation, &cold)["state"], "absent");
    assert!(Installation::files(&cold).is_empty());
    done(&installation, &["add", path(&cold)]);
    let row = listed(&installation, &cold);
    assert_eq!(
        (&row["state"], &row["tier"]),
        (&"in use".into(), &"cold".into())
    );
}
