//! Folders that are taken in, and disks that are taken out: wholly or not at all, also where the state folder takes nothing, and where it
//! happens while a store is being opened.

use std::path::Path;
use std::time::Duration;

use super::commands::{camera, done, folder, listed, refused};
use super::installation::{Installation, await_condition, path};
use super::waiting::lose;

const LONG: Duration = Duration::from_secs(90);
/// No camera answers there.
const NOWHERE: &str = "rtsp://127.0.0.1:9/none";

/// A folder is what it was before.
fn put_back(lost: &Path, at: &Path) {
    std::fs::remove_dir(at).unwrap();
    std::fs::rename(lost, at).unwrap();
}

fn until_open(installation: &Installation, times: usize) {
    await_condition("the store is open", LONG, || {
        let log = installation.log();
        log.matches("the store is open").count() == times
    });
}

fn until_in_use(installation: &Installation, disk: &Path) {
    await_condition("it is in use", LONG, || {
        listed(installation, disk)["state"] == "in use"
    });
}

#[test]
fn a_disk_is_replaced_only_by_one_that_is_taken() {
    let installation = Installation::new(&[camera(NOWHERE)]);
    let stranger = Installation::new(&[camera(NOWHERE)]);
    let usb = folder(&installation, "usb");
    done(&installation, &["add", path(&usb)]);
    let id = listed(&installation, &usb)["id"].clone();
    let replace = ["add", "--replace", path(&usb)];
    for runs in [false, true] {
        let recorder = runs.then(|| installation.start());
        if runs {
            until_open(&installation, 1);
        }
        let lost = lose(&usb);
        if runs {
            await_condition("it is missed", LONG, || {
                listed(&installation, &usb)["state"] == "absent"
            });
        }
        // Another box's disk is in its place.
        std::fs::remove_dir(&usb).unwrap();
        std::fs::rename(stranger.footage(), &usb).unwrap();
        refused(&installation, &replace, 1, "belongs to another store");
        std::fs::rename(&usb, stranger.footage()).unwrap();
        std::fs::create_dir(&usb).unwrap();
        // A right one, and nobody can remember it.
        let in_the_way = installation.state().join(".store.sealed.new");
        std::fs::create_dir(&in_the_way).unwrap();
        refused(&installation, &replace, 1, "store.sealed");
        let left = std::fs::read_dir(&usb).unwrap().count();
        assert_eq!(left, 0, "it is an empty folder again");
        let new = folder(&installation, "new");
        refused(&installation, &["add", path(&new)], 1, "store.sealed");
        assert_eq!(std::fs::read_dir(&new).unwrap().count(), 0);
        std::fs::remove_dir(&in_the_way).unwrap();

        put_back(&lost, &usb);
        until_in_use(&installation, &usb);
        assert_eq!(listed(&installation, &usb)["id"], id);
        drop(recorder);
    }
}
