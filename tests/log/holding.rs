//! `hearthkeep hold`, beside a running recorder and without one: what is held outlives retention, restarts and a lost catalog.

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::common::{Cameras, clip};
use crate::installation::{CameraEntry, HEARTHKEEP, Installation, await_condition, path};

const LONG: Duration = Duration::from_secs(90);

/// The smallest budget that a disk can have, and cameras that are soon beyond it.
const BUDGET: &str = "16MiB";
const NAMES: [&str; 4] = ["door", "yard", "lane", "shed"];

struct Street {
    _cameras: Cameras,
    installation: Installation,
}

impl Street {
    fn new(clip_name: &str, names: &[&str]) -> Self {
        let clip = clip(clip_name);
        let mounts = names
            .iter()
            .map(|name| format!("{name}={}", clip.display()));
        let mounts: Vec<_> = mounts.collect();
        let mounts: Vec<_> = mounts.iter().map(String::as_str).collect();
        let cameras = Cameras::start(&mounts);
        let urls: Vec<_> = names
            .iter()
            .map(|name| cameras.url(name).to_owned())
            .collect();
        let installation = Installation::new(&CameraEntry::plain(names, &urls));
        Self {
            _cameras: cameras,
            installation,
        }
    }

    /// Runs the recorder until each camera has a segment of so many bytes more.
    fn record(&self, cameras: usize, bytes: u64) {
        let mut recorder = self.installation.start();
        let before = self.installation.list(&[]).as_array().unwrap().len();
        recorder.until("it is recorded", LONG, |list| {
            let rows = list.as_array().unwrap();
            let is_open =
                |row: &&Value| row["state"] == "open" && row["bytes"].as_u64() > Some(bytes);
            rows.len() == before + cameras && rows.iter().filter(is_open).count() == cameras
        });
        recorder.terminate();
    }

    /// From the next start on the disk is to have next to nothing.
    fn keep_little(&self) {
        let config = self.installation.config();
        let text = std::fs::read_to_string(&config).unwrap();
        let limited = format!("path = \"footage\"\nmax_bytes = \"{BUDGET}\"");
        std::fs::write(&config, text.replace("path = \"footage\"", &limited)).unwrap();
    }
}

/// What is listed of a camera: of each segment its id, when it begins and when it ends.
fn segments(installation: &Installation, camera: &str) -> Vec<(String, String, String)> {
    let list = installation.list(&["--camera", camera]);
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let rows = list.as_array().unwrap().iter();
    rows.map(|row| (text(row, "segment"), text(row, "start"), text(row, "end")))
        .collect()
}

fn file_of(installation: &Installation, segment: &str) -> Option<PathBuf> {
    let mut files = Installation::files(&installation.footage()).into_iter();
    files.find(|file| path(file).contains(segment))
}

fn hold(installation: &Installation, arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new(HEARTHKEEP);
    let (subcommand, rest) = arguments.split_first().unwrap();
    command.args(["hold", subcommand, "--config"]);
    let command = command.arg(installation.config()).args(rest);
    command.env("SUDO_USER", "robin").output().unwrap()
}

fn done(installation: &Installation, arguments: &[&str]) -> String {
    let output = hold(installation, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Holds a span, and returns the hold's id.
fn add(installation: &Installation, of: &[&str], (from, to): (&str, &str), reason: &str) -> String {
    let span = ["--from", from, "--to", to, "--reason", reason];
    let said = done(installation, &[&["add"], of, &span].concat());
    let id = said.split("hold remove ").nth(1).unwrap();
    id.split('`').next().unwrap().to_owned()
}

fn listed(installation: &Installation) -> Vec<Value> {
    let json = done(installation, &["list", "--json"]);
    serde_json::from_str(&json).unwrap()
}

#[test]
fn what_is_held_on_the_command_line_stays_until_that_is_ended() {
    let street = Street::new("h264_1080p30", &NAMES);
    let installation = &street.installation;
    street.record(NAMES.len(), 1_000_000);
    let all = NAMES.map(|name| segments(installation, name).remove(0));
    let (kept, from, to) = &all[0];
    let first = add(installation, &["--camera", "door"], (from, to), "the fence");
    let holds = listed(installation);
    assert_eq!(holds.len(), 1);
    assert_eq!(holds[0]["reason"], "the fence");
    assert_eq!(holds[0]["who"], "robin, on the command line");
    let is_there = |segment: &str| file_of(installation, segment).is_some();
    assert!(all.iter().all(|(segment, ..)| is_there(segment)));

    // From here on what is recorded is more than the disk is to have.
    street.keep_little();
    let recorder = installation.start();
    await_condition("the others go", LONG, || {
        all[1..].iter().all(|(segment, ..)| !is_there(segment))
    });
    assert!(is_there(kept), "what is held stays");
    assert_eq!(listed(installation), holds, "the recorder has it too");
    await_condition("it records", LONG, || {
        !segments(installation, "yard").is_empty()
    });
    let (growing, from, _) = segments(installation, "yard").pop().unwrap();
    let to_come = (from.as_str(), "2999-01-01T00:00:00Z");
    let second = add(
        installation,
        &["--camera", "yard"],
        to_come,
        "whatever comes",
    );
    recorder.terminate();

    // Neither a restart nor a lost catalog ends a hold: the log on the disk is its home.
    std::fs::remove_dir_all(installation.state().join("catalog")).unwrap();
    let said = installation.run("reindex", &[]);
    let words = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{said:?}");
    assert!(words.contains("2 holds"), "{words}");
    assert!(words.contains(&format!("the fence ({first})")), "{words}");
    let shed = segments(installation, "shed").pop().unwrap().0;
    let recorder = installation.start();
    await_condition("what is not held goes", LONG, || !is_there(&shed));
    assert!(is_there(kept) && is_there(&growing));
    done(installation, &["remove", &first]);
    await_condition("it goes once it is not held", LONG, || !is_there(kept));
    assert!(is_there(&growing));
    recorder.terminate();
    done(installation, &["remove", &second]);
    assert_eq!(listed(installation), Vec::<Value>::new());
    assert_eq!(done(installation, &["list"]), "nothing is held\n");
    assert!(is_there(&growing), "a command by itself deletes nothing");
    let recorder = installation.start();
    await_condition("it goes at the next start", LONG, || !is_there(&growing));
    recorder.terminate();
}

/// What `disk list` and `status` say of the only disk as JSON, and then for people.
fn disk_told(installation: &Installation) -> ([Value; 2], [String; 2]) {
    let told = |subcommand: &[&str], arguments: &[&str]| {
        let mut command = std::process::Command::new(HEARTHKEEP);
        command.args(subcommand).arg("--config");
        let command = command.arg(installation.config()).args(arguments);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let of_both = |arguments: &[&str]| {
        [
            told(&["disk", "list"], arguments),
            told(&["status"], arguments),
        ]
    };
    // While the store is being opened nobody tells.
    let read = |json: String| serde_json::from_str(&json).unwrap_or(Value::Null);
    let [listed, status] = of_both(&["--json"]).map(read);
    let rows = [listed[0].clone(), status["disks"][0].clone()];
    (rows, of_both(&[]))
}

#[test]
fn what_is_held_and_when_a_disk_is_full_stands_in_disk_list_and_status() {
    let street = Street::new("h264_1080p30", &NAMES);
    let installation = &street.installation;
    street.record(NAMES.len(), 4_500_000);
    // A busy machine may have made more than one of a camera's footage.
    let spans: Vec<_> = NAMES
        .iter()
        .flat_map(|name| segments(installation, name))
        .collect();
    let from = spans.iter().map(|(_, from, _)| from).min().unwrap();
    let to = spans.iter().map(|(.., to)| to).max().unwrap();
    add(installation, &["--all-cameras"], (from, to), "all of it");

    // Without a recorder nobody has reckoned it.
    let (rows, words) = disk_told(installation);
    for row in &rows {
        for key in ["room_bytes", "held_bytes", "full_in_days"] {
            assert_eq!(row[key], Value::Null, "{key}: {row}");
        }
    }
    assert!(words[0].contains("room      not known"), "{}", words[0]);

    let recorder = installation.start();
    let held = |row: &Value| row["held_bytes"].as_u64();
    await_condition("it is reckoned", LONG, || {
        let (rows, _) = disk_told(installation);
        rows.iter().all(|row| held(row) > Some(18_000_000))
    });
    let (rows, words) = disk_told(installation);
    for row in &rows {
        assert!(row["room_bytes"].as_u64() > held(row), "{row}");
        assert_eq!(
            row["full_in_days"],
            Value::Null,
            "too little to tell a rate"
        );
    }
    assert_eq!(rows[0]["trouble"], Value::Null);
    for words in &words {
        assert!(
            words.contains("when it is full is not known yet"),
            "{words}"
        );
    }
    recorder.terminate();

    // What is held takes more than the disk is to have from now on.
    street.keep_little();
    let recorder = installation.start();
    await_condition("it is reckoned again", LONG, || {
        let (rows, _) = disk_told(installation);
        rows.iter().all(|row| row["full_in_days"] == 0.0)
    });
    let (rows, words) = disk_told(installation);
    assert_eq!(rows[0]["room_bytes"], 16 << 20);
    let trouble = rows[0]["trouble"].as_str().unwrap();
    assert!(
        trouble.starts_with("footage that is held takes"),
        "{trouble}"
    );
    assert!(
        words[0].contains(&format!("trouble   {trouble}")),
        "{}",
        words[0]
    );
    for words in &words {
        let full = "full, the oldest goes for the newest";
        assert!(words.contains(full), "{words}");
    }
    recorder.terminate();
}

#[test]
fn a_crash_is_still_known_after_a_hold_was_set_without_a_recorder() {
    let street = Street::new("h264_small", &["door"]);
    let installation = &street.installation;
    let mut recorder = installation.start();
    recorder.until("it is recorded", LONG, |list| {
        list[0]["duration_us"].as_u64() > Some(1_000_000)
    });
    recorder.kill();
    let (_, from, to) = &segments(installation, "door")[0];
    add(installation, &["--all-cameras"], (from, to), "the crash");
    let mut recorder = installation.start();
    recorder.until("the gap says so", LONG, |list| {
        list[1]["gap_before"]["cause"] == "crash"
    });
    recorder.terminate();
}

#[test]
fn what_cannot_be_held_is_refused_in_words_with_a_recorder_and_without() {
    let street = Street::new("h264_small", &["door"]);
    let installation = &street.installation;
    street.record(1, 10_000);
    let (_, from, to) = segments(installation, "door").remove(0);
    let (from, to) = (from.as_str(), to.as_str());
    let long = "x".repeat(501);
    let nobody = "0".repeat(32);
    let refusals = || {
        let refused = |arguments: &[&str], code: i32, sentence: &str| {
            let output = hold(installation, arguments);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
            assert!(said.contains(sentence), "{arguments:?}: {said}");
        };
        let add = |camera: &str, from: &str, to: &str, reason: &str, code, sentence: &str| {
            let span = ["--from", from, "--to", to, "--reason", reason];
            refused(
                &[&["add", "--camera", camera], &span[..]].concat(),
                code,
                sentence,
            );
        };
        add("shed", from, to, "why", 66, "there are: \"door\"");
        add("door", from, to, " ", 2, "say why");
        add("door", from, to, &long, 2, "at most 500");
        add("door", "yesterday", to, "why", 2, "yesterday");
        add("door", to, from, "why", 1, "ends before it begins");
        let (begin, end) = ("2998-01-01T00:00:00Z", "2999-01-01T00:00:00Z");
        add("door", begin, end, "why", 1, "begins in the future");
        let span = ["--from", from, "--to", to, "--reason", "why"];
        refused(&[&["add"], &span[..]].concat(), 2, "--camera");
        let until = ["--all-cameras", "--until", from];
        refused(
            &[&["add"], &until[..], &span[..]].concat(),
            1,
            "end in the past",
        );
        refused(&["remove", "7"], 2, "32 hex digits");
        refused(&["remove", &nobody], 66, "no such hold");
        assert_eq!(listed(installation), Vec::<Value>::new());
    };
    refusals();
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |list| {
        list.as_array().unwrap().len() == 2
    });
    refusals();
    recorder.terminate();
    let unmade = Installation::unmade(&[]);
    let output = hold(&unmade, &["list"]);
    assert_eq!(output.status.code(), Some(66), "{output:?}");
}
