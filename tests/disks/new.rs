//! Which folders become disks: those that somebody names, and none by itself.

use std::time::Duration;

use super::commands::{camera, disk, done, folder, listed, one_camera, refused};
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
    let row = listed(&installation, &cold);
    assert_eq!(row["state"], "absent");
    let sizes = [&row["size_bytes"], &row["free_bytes"]];
    assert!(sizes.iter().all(|size| size.is_null()), "{row}");
    assert!(Installation::files(&cold).is_empty());
    done(&installation, &["add", path(&cold)]);
    let row = listed(&installation, &cold);
    assert_eq!(
        (&row["state"], &row["tier"]),
        (&"in use".into(), &"cold".into())
    );
}

#[test]
fn no_disk_lies_in_another_one() {
    let (_cameras, url) = one_camera();
    let installation = Installation::unmade(&[camera(&url)]);
    let at = |path: &str| installation.folder().join(path);
    std::fs::create_dir_all(at("footage")).unwrap();
    let kit = installation.kit_file();
    for (disks, sentence) in [
        (
            &["footage", "footage/sub"][..],
            "footage/sub lies in the disk",
        ),
        (&["footage/sub", "footage"], "footage/sub lies in the disk"),
        (&["."], "lies in the disk"),
    ] {
        installation.write_config_with_disks(&[camera(&url)], disks);
        let output = installation.run("init", &["--recovery-kit-out", path(&kit)]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said.contains(sentence), "{said}");
        assert!(!kit.exists(), "there is no owner yet, and so no kit");
    }
    installation.write_config(&[camera(&url)]);
    installation.init();
    let (inner, deep) = (at("footage/sub"), at("footage/footage/sub"));
    let (other, link) = (folder(&installation, "other"), at("link"));
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::create_dir_all(&deep).unwrap();
    std::os::unix::fs::symlink(installation.footage(), &link).unwrap();
    let before = std::fs::read(installation.config()).unwrap();
    let refuse_all = || {
        for folder in [&inner, &deep, &link.join("sub")] {
            for more in [&[][..], &["--replace"]] {
                let arguments = [&["add", path(folder)], more].concat();
                refused(&installation, &arguments, 1, "lies in the disk");
            }
        }
        let above = installation.folder();
        refused(&installation, &["add", path(above)], 1, "lies in the disk");
        assert!(Installation::files(&inner).is_empty() && Installation::files(&deep).is_empty());
        assert_eq!(std::fs::read(installation.config()).unwrap(), before);
    };
    refuse_all();
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |list| {
        list[0]["bytes"].as_u64() > Some(0)
    });
    refuse_all();
    // The configuration may say less than the recorder uses.
    installation.write_config_with_disks(&[camera(&url)], &["other"]);
    refused(&installation, &["add", path(&inner)], 1, "lies in the disk");
    std::fs::write(installation.config(), &before).unwrap();
    done(&installation, &["add", path(&other)]);
    recorder.terminate();
}

#[test]
fn disks_that_lie_in_each_other_already_are_used_and_never_moved_away() {
    let (_cameras, url) = one_camera();
    let installation = Installation::new(&[camera(&url)]);
    let made = folder(&installation, "made");
    done(&installation, &["add", path(&made)]);
    // Below a folder of its own, and where footage lies.
    for inner in ["footage/far/sub", "footage/footage/sub"] {
        let at = installation.folder().join(inner);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::rename(&made, &at).unwrap();
        installation.write_config_with_disks(&[camera(&url)], &["footage", inner]);
        let mut recorder = installation.start();
        let before = installation.list(&[]).as_array().unwrap().len();
        recorder.until("it records", LONG, |list| {
            list.as_array().unwrap().len() > before
        });
        assert_eq!(listed(&installation, &at)["state"], "in use");
        let status = installation.run("status", &[]);
        let said = String::from_utf8_lossy(&status.stdout);
        assert!(said.contains("lies in the disk"), "{said}");
        recorder.terminate();
        assert!(installation.log().contains("lies in the disk"));
        let sound = |command: &str, more: &[&str]| {
            let output = installation.run(command, more);
            assert!(output.status.success(), "{inner}: {output:?}");
            assert!(at.join("hearthkeep-disk.json").exists(), "{inner}");
        };
        sound("check", &[]);
        sound("repair", &["--quarantine"]);
        // It may be none of the configuration any more, or away and a bare mount point.
        installation.write_config(&[camera(&url)]);
        let output = installation.run("repair", &["--quarantine"]);
        assert_eq!(output.status.code(), Some(1), "it is away: {output:?}");
        assert!(at.join("hearthkeep-disk.json").exists(), "{inner}");
        std::fs::rename(&at, &made).unwrap();
        std::fs::create_dir(&at).unwrap();
        installation.write_config_with_disks(&[camera(&url)], &["footage", inner]);
        installation.run("repair", &["--quarantine"]);
        assert!(at.exists(), "{inner}");
        std::fs::remove_dir(&at).unwrap();
        let parent = at.parent().unwrap();
        if parent.ends_with("far") {
            std::fs::remove_dir(parent).unwrap();
        }
    }
}
