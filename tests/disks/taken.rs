//! Folders that are taken in, and disks that are taken out: wholly or not at all, also where the state folder takes nothing, and where it
//! happens while a store is being opened.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hearthkeep::clock::SystemClock;
use hearthkeep::config::Config;
use hearthkeep::keys::{NewOwner, StateFolder};
use hearthkeep::pool::Pool;
use hearthkeep::random::OsRandom;
use hearthkeep::store::{Options, Store, lock};

use super::commands::{camera, done, folder, listed, refused};
use super::installation::{Installation, PASSPHRASE, await_condition, path};
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

/// Two disks of one store, whose folders are empty now, and where they are.
fn two_lost(installation: &Installation) -> [(PathBuf, PathBuf); 2] {
    let disks = [installation.footage(), folder(installation, "other")];
    installation.write_config_with_disks(&[camera(NOWHERE)], &["footage", "other"]);
    installation.init();
    disks.map(|disk| {
        let lost = lose(&disk);
        (disk, lost)
    })
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

#[test]
fn what_is_taken_out_or_replaced_while_a_store_is_being_opened_is_so_in_it() {
    let installation = Installation::unmade(&[camera(NOWHERE)]);
    let [(footage, _), (other, lost)] = two_lost(&installation);
    let config = Config::load(&installation.config()).unwrap();
    let state = StateFolder::load(&config.state_dir).unwrap();
    let store = state.store();
    let pool = Pool::new(Arc::new(Mutex::new(state)));
    assert!(pool.mount(&config).mounted.is_empty());
    put_back(&lost, &other);
    let found = pool.mount(&config);
    assert_eq!(found.mounted.len(), 1);

    let retired = pool.retire(path(&other), true, "owner").unwrap();
    assert_eq!(retired.unmarked, None, "it is there, and says so");
    let id_file = std::fs::read_to_string(other.join("hearthkeep-disk.json")).unwrap();
    assert!(id_file.contains("\"retired\":true"), "{id_file}");
    let new = pool.add(&config.disks[0], true, "owner").unwrap();
    let clock = Arc::new(SystemClock::new());
    let mut options = Options::new(
        config.state_dir.clone(),
        store,
        found.mounted,
        Arc::new(|_| None),
        clock,
    );
    options.absent = found.absent;
    let (store, _) = Store::open(options, lock::acquire(&config.state_dir).unwrap()).unwrap();
    let store = Arc::new(store);
    assert_eq!(store.disks().len(), 2, "it knows nothing of that yet");
    pool.opened(Arc::clone(&store));
    let disks = store.disks().into_iter();
    let disks: Vec<_> = disks.map(|disk| (disk.path, disk.id)).collect();
    assert_eq!(disks, [(footage, Some(new))]);
    store.close();
}

#[test]
fn where_a_claim_dies_before_its_disks_are_made_the_next_start_makes_them() {
    let installation = Installation::unmade(&[camera(NOWHERE)]);
    let to_make = installation.state().join("disks-to-make");
    let recorder = installation.start();
    await_condition("it waits for its owner", LONG, || to_make.exists());
    recorder.kill();
    let mut state = StateFolder::load(&installation.state()).unwrap();
    let owner = NewOwner::make(&state.store(), "owner", PASSPHRASE, &mut OsRandom).unwrap();
    state.claim(&owner.claim, &mut OsRandom).unwrap();
    drop(state);
    let recorder = installation.start();
    until_open(&installation, 1);
    until_in_use(&installation, &installation.footage());
    assert!(!to_make.exists());
    recorder.terminate();

    // What comes later needs somebody who names it.
    let later = folder(&installation, "later");
    installation.write_config_with_disks(&[camera(NOWHERE)], &["footage", "later"]);
    let recorder = installation.start();
    until_open(&installation, 2);
    assert_eq!(listed(&installation, &later)["state"], "absent");
    assert!(Installation::files(&later).is_empty());
    recorder.terminate();
}
