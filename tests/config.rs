//! The configuration file: what is accepted, and the very words in which mistakes are told.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use hearthkeep::config::{Config, Password, Placement, Tier};
use secrecy::ExposeSecret;

const GOOD: &str = r#"
state_dir = "/var/lib/hearthkeep"
[server]
listen = "127.0.0.1:9443"
names = ["hearthkeep.home.arpa"]
announce = false
[storage]
placement = "round-robin"
cold_after_days = 30
scrub_days = 90
[[disk]]
path = "/srv/footage"
max_bytes = "500GB"
[[disk]]
path = "spare"
[[disk]]
path = "cold"
tier = "cold"
[[camera]]
name = "front door"
url = "rtsp://192.168.1.20/stream1"
username = "viewer"
password_file = "front.pw"
keep_days = 14
[[camera]]
name = "garden"
url = "rtsp://admin:s%26cret@192.168.1.21:8554/live"
max_bytes = 20000000000
disk = "spare"
"#;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("/etc/hearthkeep/hearthkeep.toml")).map_err(|e| e.to_string())
}

#[test]
fn a_whole_configuration_is_read() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.state_dir, Path::new("/var/lib/hearthkeep"));
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:9443");
    assert_eq!(config.server.names, ["hearthkeep.home.arpa"]);
    assert!(!config.server.announce);
    assert!(config.server.certificate.is_none());
    assert_eq!(config.disks[0].max_bytes, Some(500_000_000_000));
    assert_eq!(config.disks[1].path, Path::new("/etc/hearthkeep/spare"));
    assert_eq!(
        (config.disks[1].tier, config.disks[2].tier),
        (Tier::Hot, Tier::Cold)
    );
    assert_eq!(config.storage.placement, Placement::RoundRobin);
    assert_eq!(config.storage.cold_after_days, Some(30));
    assert_eq!(config.storage.scrub_days, Some(90));
    assert_eq!(config.cameras[0].disk, None);
    assert_eq!(config.cameras[1].disk.as_ref(), Some(&config.disks[1].path));
    let front = &config.cameras[0];
    assert_eq!(
        (front.name.as_str(), front.keep_days),
        ("front door", Some(14))
    );
    let credentials = front.credentials.as_ref().unwrap();
    assert_eq!(credentials.username, "viewer");
    let Password::File(file) = &credentials.password else {
        panic!("{credentials:?}")
    };
    assert_eq!(file, Path::new("/etc/hearthkeep/front.pw"));
    let garden = &config.cameras[1];
    assert_eq!(garden.url.to_string(), "rtsp://192.168.1.21:8554/live");
    assert_eq!(garden.max_bytes, Some(20_000_000_000));
    let credentials = garden.credentials.as_ref().unwrap();
    assert_eq!(credentials.username, "admin");
    assert_eq!(
        credentials.password.reveal().unwrap().expose_secret(),
        "s&cret"
    );
}

#[test]
fn the_smallest_configuration_has_no_camera() {
    let config = parse("state_dir = \"state\"\n[[disk]]\npath = \"/srv\"\n").unwrap();
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:8443");
    assert!(config.server.announce);
    assert!(config.cameras.is_empty());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/nowhere/hearthkeep.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot read the configuration /nowhere/hearthkeep.toml: No such file"),
        "{error}"
    );
}

/// Each case stands in a file: the configuration, a line `---`, and the words expected.
/// `UPDATE_GOLDEN=1 cargo test --test config` writes the words as they are now.
#[test]
fn mistakes_are_told_in_these_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config");
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let content = std::fs::read_to_string(&path).unwrap();
        let (text, expected) = content.split_once("---\n").expect("a line --- in a case");
        let told = match Config::parse(text, Path::new("hearthkeep.toml")) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(
            !told.contains("hunter2"),
            "{} leaks: {told}",
            path.display()
        );
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, format!("{text}---\n{told}\n")).unwrap();
        } else {
            assert_eq!(told.trim_end(), expected.trim_end(), "{}", path.display());
        }
        cases += 1;
    }
    assert!(cases >= 12, "only {cases} cases found");
}

#[test]
fn no_debug_shows_a_secret() {
    let text = GOOD
        .replace("s%26cret", "hunter2")
        .replace("password_file = \"front.pw\"", "password = \"hunter2\"");
    let config = parse(&text).unwrap();
    assert!(!format!("{config:?} {config:#?}").contains("hunter2"));
}

/// Whatever byte is taken out or put in, an error never shows the password.
#[test]
fn no_damaged_configuration_shows_a_secret() {
    let inline = GOOD.replace("password_file = \"front.pw\"", "password = \"hunter2\"");
    let in_url = GOOD.replace("s%26cret", "hunter2");
    let long = GOOD.replace(
        "password_file = \"front.pw\"",
        "password = \"\"\"\nhunter2\n\"\"\"",
    );
    let table = format!("{GOOD}\ncamera2 = [{{ password = \"hunter2\" }}]\n");
    for good in [inline, in_url, long, table] {
        for at in (0..good.len()).filter(|&at| good.is_char_boundary(at)) {
            let secret = good.find("hunter2").unwrap();
            if (secret..secret + 7).contains(&at) {
                continue; // It would no longer be the password that is looked for.
            }
            for put in ["", "\"", "=", "\n", "[", "'", "#", " ", "x", "`"] {
                for skip in [0, 1] {
                    let damaged = format!("{}{put}{}", &good[..at], &good[at + skip..]);
                    if let Err(error) = parse(&damaged) {
                        assert!(!error.contains("hunter2"), "{damaged}\n\n{error}");
                    }
                }
            }
        }
    }
}
