//! The disks by the API.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hearthkeep::clock::SystemClock;
use hearthkeep::config::Config;
use hearthkeep::keys::StateFolder;
use hearthkeep::store::{Options, Store, lock};
use rustix::process::{Gid, Uid};
use serde_json::{Value, json};

use crate::client::Client;
use crate::house::House;

/// Opens a store on one disk, as a recorder would once it has an owner.
fn open(house: &House) -> Arc<Store> {
    let (folder, toml) = (
        house.folder.path(),
        house.folder.path().join("hearthkeep.toml"),
    );
    std::fs::create_dir(folder.join("first")).unwrap();
    let text = "state_dir = \"state\" # of the box\n\n[[disk]]\npath = \"first\"\n";
    std::fs::write(&toml, text).unwrap();
    let config = Config::load(&toml).unwrap();
    let mut state = StateFolder::load(folder).unwrap();
    hearthkeep::pool::identify_all(&config, &mut state).unwrap();
    let disks = hearthkeep::pool::mount(&config, &mut state);
    let clock = Arc::new(SystemClock::new());
    let keys = Arc::new(|_| None);
    let mut options = Options::new(folder.to_owned(), state.store(), disks.mounted, keys, clock);
    options.doorkeeper = Some(Arc::clone(&house.pool) as _);
    let (store, _) = Store::open(options, lock::acquire(folder).unwrap()).unwrap();
    let store = Arc::new(store);
    house.pool.opened(Arc::clone(&store));
    store
}

fn disks(client: &Client) -> Vec<Value> {
    let answer = client.get("/api/v1/disks");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json().as_array().unwrap().clone()
}

fn until_it_is(client: &Client, path: &Path, state: &str) -> Value {
    let begun = Instant::now();
    loop {
        let rows = disks(client);
        let row = rows
            .iter()
            .find(|row| row["path"] == path.to_str().unwrap());
        match row {
            Some(row) if row["state"] == state => return row.clone(),
            _ => assert!(begun.elapsed() < Duration::from_secs(30), "{rows:?}"),
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn a_disk_is_added_emptied_and_taken_out() {
    let (house, client, _) = House::claimed();
    let early = client.get("/api/v1/disks");
    assert_eq!(
        (early.status, early.code().as_str()),
        (409, "disk"),
        "nothing is open yet"
    );
    let store = open(&house);
    let (first, second) = (
        house.folder.path().join("first"),
        house.folder.path().join("second"),
    );
    let id = disks(&client)[0]["id"].as_str().unwrap().to_owned();
    let ask = |what: &str, body: Value| client.post(&format!("/api/v1/disks/{id}/{what}"), &body);

    // What cannot be done is said, and nothing is done.
    let only = ask("drain", json!({}));
    assert_eq!((only.status, only.code().as_str()), (409, "disk"));
    assert_eq!(ask("retire", json!({"forget": true})).status, 409);
    let missing = client.post("/api/v1/disks", &json!({"path": second}));
    assert!(
        missing.status == 409
            && missing.json()["error"]["message"]
                .as_str()
                .unwrap()
                .contains("cannot be opened")
    );
    assert_eq!(
        client
            .post("/api/v1/disks", &json!({"path": "second"}))
            .status,
        400
    );
    assert_eq!(
        client
            .post("/api/v1/disks", &json!({"path": second, "format": true}))
            .status,
        400
    );
    let nobody = client.post(
        "/api/v1/disks/00112233445566778899aabbccddeeff/drain",
        &json!({}),
    );
    assert_eq!(nobody.status, 404);

    std::fs::create_dir(&second).unwrap();
    let added = client.post(
        "/api/v1/disks",
        &json!({"path": second, "max_bytes": 500_000_000}),
    );
    assert_eq!(added.status, 200, "{added:?}");
    let row = until_it_is(&client, &second, "in use");
    assert_eq!(row["id"], added.json()["id"]);
    assert!(second.join("keyring/a").exists());
    assert_eq!(ask("drain", json!({"let_go": false})).status, 204);
    until_it_is(&client, &first, "drained");
    assert_eq!(ask("keep", json!({})).status, 204);
    until_it_is(&client, &first, "in use");
    assert_eq!(ask("drain", json!({})).status, 204);
    until_it_is(&client, &first, "drained");
    let toml = house.folder.path().join("hearthkeep.toml");
    let before = std::fs::read(&toml).unwrap();
    // Twice, as where the configuration could not be written when it was taken out.
    for _ in 0..2 {
        std::fs::write(&toml, &before).unwrap();
        let retired = ask("retire", json!({}));
        assert_eq!(
            (retired.status, &retired.json()["segments"]),
            (200, &json!(0))
        );
        assert_eq!(disks(&client).len(), 1);
    }
    let config = std::fs::read_to_string(&toml).unwrap();
    assert!(
        config.contains("# of the box") && config.contains("second") && !config.contains("first"),
        "{config}"
    );
    // Both are asked with the method of their own, and no other.
    assert_eq!(
        client.request("DELETE", "/api/v1/disks", &[], b"").status,
        405
    );
    store.close();
}

/// As installed: the recorder reads its configuration and may not change it.
#[test]
fn a_configuration_that_is_not_the_recorders_is_left_alone_and_the_command_told() {
    as_nobody();
    let (house, client, _) = House::claimed();
    let folder = house.folder.path();
    let (etc, second) = (folder.join("etc"), folder.join("second's"));
    std::fs::create_dir(&etc).unwrap();
    std::os::unix::fs::symlink("etc/hearthkeep.toml", folder.join("hearthkeep.toml")).unwrap();
    let store = open(&house);
    let before = std::fs::read(etc.join("hearthkeep.toml")).unwrap();
    std::fs::set_permissions(&etc, PermissionsExt::from_mode(0o555)).unwrap();
    std::fs::create_dir(&second).unwrap();

    let refused = |to: &str, body: Value, command: &str| {
        let answer = client.post(to, &body);
        assert_eq!((answer.status, answer.code().as_str()), (409, "disk"));
        let said = answer.json()["error"]["message"].clone();
        assert!(said.as_str().unwrap().contains(command), "{said}");
    };
    let toml = folder.join("hearthkeep.toml");
    let (toml, path) = (toml.to_str().unwrap(), second.to_str().unwrap());
    let quoted = path.replace('\'', "'\\''");
    refused(
        "/api/v1/disks",
        json!({"path": path, "max_bytes": 5000, "cold": true}),
        &format!("`sudo hearthkeep disk add --config {toml} '{quoted}' --max-bytes 5000 --cold`"),
    );
    assert_eq!(std::fs::read_dir(&second).unwrap().count(), 0);
    assert_eq!(disks(&client).len(), 1);

    // A disk that somebody with the right to has had taken in.
    let wanted = hearthkeep::config::Disk {
        path: second.clone(),
        max_bytes: None,
        tier: hearthkeep::config::Tier::Hot,
    };
    let id = house.pool.add(&wanted, false, "robin").unwrap();
    until_it_is(&client, &second, "in use");
    std::fs::set_permissions(&etc, PermissionsExt::from_mode(0o755)).unwrap();
    let text = format!(
        "{}[[disk]]\npath = \"{path}\"\n",
        String::from_utf8_lossy(&before)
    );
    std::fs::write(etc.join("hearthkeep.toml"), &text).unwrap();
    std::fs::set_permissions(&etc, PermissionsExt::from_mode(0o555)).unwrap();
    refused(
        &format!("/api/v1/disks/{id}/retire"),
        json!({"forget": true}),
        &format!("`sudo hearthkeep disk retire --config {toml} '{quoted}' --forget`"),
    );
    assert_eq!(disks(&client).len(), 2, "it is in use");
    let after = std::fs::read_to_string(etc.join("hearthkeep.toml")).unwrap();
    assert_eq!(after, text);
    std::fs::set_permissions(&etc, PermissionsExt::from_mode(0o755)).unwrap();
    store.close();
}

/// Root may write anywhere. This thread, and those that it starts, are nobody's from now on.
fn as_nobody() {
    if rustix::process::geteuid().is_root() {
        let (user, group) = (Uid::from_raw(65534), Gid::from_raw(65534));
        rustix::thread::set_thread_res_gid(group, group, group).unwrap();
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
    }
}
