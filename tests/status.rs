//! `hearthkeep status` knows what the running recorder knows, and says it with an exit code that a monitor can use.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/installation.rs"]
mod installation;

use std::net::TcpListener;
use std::time::Duration;

use common::{Cameras, clip};
use installation::{CameraEntry, Installation, await_condition};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn all_is_well_or_every_trouble_is_told() {
    let cameras = Cameras::start(&[&format!("good={}", clip("h264_small").display())]);
    let good = CameraEntry {
        name: "good",
        url: cameras.url("good"),
        more: "",
    };
    let installation = Installation::new(&[good]);
    let (code, status) = ask(&installation);
    assert_eq!((code, &status["running"]), (3, &false.into()), "{status:#}");
    assert_eq!(status["cameras"][0]["state"], "empty");
    assert!(is_empty(&status["addresses"]), "its port is not known yet");

    let mut recorder = installation.start();
    let mut status = Value::Null;
    await_condition("it is recorded and all is well", LONG, || {
        let (code, now) = ask(&installation);
        status = now;
        code == 0 && state(&status, "good") == "recording"
    });
    let opened = format!("https://{}", recorder.address());
    assert_eq!(status["addresses"][0], opened);
    assert!(
        installation
            .log()
            .contains(&format!("open the page at {opened}"))
    );
    assert!(is_empty(&status["troubles"]));
    let samples = [
        "hearthkeep_stream_state{camera=\"good\",feed=\"main\",state=\"recording\"} 1\n",
        "hearthkeep_stream_gap_open{camera=\"good\",feed=\"main\"} 0\n",
        "hearthkeep_holds 0\n",
    ];
    await_condition("the metrics say the same", LONG, || {
        let metrics = installation.run("status", &["--metrics"]);
        assert!(metrics.status.success(), "{metrics:?}");
        let text = String::from_utf8(metrics.stdout).unwrap();
        samples.iter().all(|sample| text.contains(sample))
    });
    recorder.kill();
    let metrics = installation.run("status", &["--metrics"]);
    assert_eq!(metrics.status.code(), Some(3), "{metrics:?}");
    assert_eq!(ask(&installation).0, 3, "killed");

    // A camera that is not there, one that the recorder does not know, and a disk that is away.
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("rtsp://{nobody}/live");
    let gone = |name| CameraEntry {
        name,
        url: &url,
        more: "",
    };
    let good = || CameraEntry {
        name: "good",
        url: cameras.url("good"),
        more: "",
    };
    installation.write_config_with_disks(&[good(), gone("gone")], &["footage", "away"]);
    let recorder = installation.start();
    await_condition(
        "the camera has failed and the other is recorded",
        LONG,
        || {
            let (_, status) = ask(&installation);
            state(&status, "gone") == "failed" && state(&status, "good") == "recording"
        },
    );
    installation
        .write_config_with_disks(&[good(), gone("gone"), gone("new")], &["footage", "away"]);
    let (code, status) = ask(&installation);
    assert_eq!((code, state(&status, "new").as_str()), (4, "unknown"));
    let troubles: Vec<_> = status["troubles"].as_array().unwrap().iter().collect();
    for (trouble, words) in troubles.iter().zip([
        ["\"gone\"", "cannot be reached"],
        ["\"new\"", "not known to the running recorder"],
        ["away", "cannot be opened"],
    ]) {
        let trouble = trouble.as_str().unwrap();
        assert!(words.iter().all(|word| trouble.contains(word)), "{trouble}");
    }
    assert_eq!(troubles.len(), 3, "{status:#}");
    let camera = &status["cameras"][1];
    assert!(camera["since"].is_string() && camera["trouble"]["advice"].is_string());
    let text = installation.run("status", &[]);
    let text = String::from_utf8_lossy(&text.stdout);
    assert!(text.contains("trouble      camera \"gone\": "), "{text}");
    recorder.terminate();
    assert!(!installation.state().join("status.socket").exists());
}

/// A pipe that nobody writes to keeps whoever opens it, as a drive that hangs does.
#[test]
fn what_hangs_on_a_disk_keeps_nobody_who_asks_a_running_recorder() {
    let cameras = Cameras::start(&[&format!("good={}", clip("h264_small").display())]);
    let good = CameraEntry {
        name: "good",
        url: cameras.url("good"),
        more: "",
    };
    let installation = Installation::new(&[good]);
    let recorder = installation.start();
    let mut status = Value::Null;
    await_condition("it is recorded", LONG, || {
        status = ask(&installation).1;
        status["cameras"][0]["newest"].is_string()
    });
    assert!(status["cameras"][0]["segments"].as_u64().unwrap() > 0);
    assert!(status["cameras"][0]["bytes"].as_u64().unwrap() > 0);
    assert!(status["disks"][0]["free_bytes"].as_u64().unwrap() > 0);
    let footage = installation.footage().join("footage");
    let segment = Installation::files(&footage).pop().unwrap();
    let newest = segment.with_file_name(format!("{}.hks", "f".repeat(32)));
    assert_eq!(newest.extension(), segment.extension());
    let made = std::process::Command::new("mkfifo").arg(&newest).status();
    assert!(made.unwrap().success());
    let (answered, answer) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| answered.send(ask(&installation)));
        let asked = answer.recv_timeout(LONG);
        // Whoever is kept is let go, so that this ends.
        let _ = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&newest);
        assert_eq!(asked.unwrap().0, 0);
    });
    std::fs::remove_file(&newest).unwrap();
    recorder.terminate();
}

#[test]
fn a_page_that_cannot_be_served_is_a_trouble() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let installation = Installation::new(&[]);
    let config = std::fs::read_to_string(installation.config()).unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    std::fs::write(
        installation.config(),
        config.replace("127.0.0.1:0", &listen),
    )
    .unwrap();
    assert_eq!(
        ask(&installation).1["addresses"][0],
        format!("https://{listen}")
    );
    let recorder = installation.start();
    let mut told = Value::Null;
    await_condition("it is told", LONG, || {
        told = ask(&installation).1;
        told["troubles"][0]
            .as_str()
            .is_some_and(|trouble| trouble.contains("cannot listen on"))
    });
    assert_eq!(ask(&installation).0, 4);
    assert!(is_empty(&told["addresses"]));
    recorder.terminate();
}

#[test]
fn what_the_background_scrub_found_is_a_trouble_also_after_a_restart() {
    let installation = Installation::new(&[]);
    let mut recorder = installation.start();
    recorder.address();
    await_condition("all is well", LONG, || ask(&installation).0 == 0);
    recorder.terminate();
    let disk = installation.footage();
    let id_file = std::fs::read(disk.join("hearthkeep-disk.json")).unwrap();
    let id_file: Value = serde_json::from_slice(&id_file).unwrap();
    let id = id_file["disk"].as_str().unwrap();
    let path = format!("footage/{0}/{0}/{0}.hks", "ab".repeat(16));
    let found = serde_json::json!({ "path": path, "what": "damaged at chunk 3", "span_us": null });
    let round = serde_json::json!({
        "begun_us": 1_790_000_000_000_000_i64, "finished_us": null, "is_over": false, "read_bytes": 5, "at": null,
        "found": [found], "more": 1,
    });
    let kept = serde_json::json!({ "version": 1, "disks": { id: round } });
    std::fs::write(
        installation.state().join("scrub.json"),
        hearthkeep::state_file::summed(kept.to_string().as_bytes()),
    )
    .unwrap();
    let recorder = installation.start();
    let mut told = Value::Null;
    await_condition("it is told", LONG, || {
        let (code, status) = ask(&installation);
        told = status;
        code == 4 && told["disks"][0]["scrub"].is_object()
    });
    let trouble = told["troubles"][0].as_str().unwrap();
    for words in [
        "2 of its files are damaged",
        &path,
        "damaged at chunk 3",
        "`hearthkeep check`",
    ] {
        assert!(trouble.contains(words), "{told:#}");
    }
    let scrub = &told["disks"][0]["scrub"];
    assert_eq!(
        (&scrub["state"], &scrub["damaged"]),
        (&"reading".into(), &2.into())
    );
    let text = installation.run("status", &[]);
    let text = String::from_utf8_lossy(&text.stdout);
    assert!(
        text.contains("of the footage read again since 2026-"),
        "{text}"
    );
    recorder.terminate();
}

fn ask(installation: &Installation) -> (i32, Value) {
    let output = installation.run("status", &["--json"]);
    let status = serde_json::from_slice(&output.stdout);
    (output.status.code().unwrap(), status.expect("JSON"))
}

fn state(status: &Value, camera: &str) -> String {
    let rows = status["cameras"].as_array().unwrap();
    let row = rows.iter().find(|row| row["camera"] == camera);
    row.map_or_else(String::new, |row| row["state"].as_str().unwrap().to_owned())
}

fn is_empty(list: &Value) -> bool {
    list.as_array().unwrap().is_empty()
}
