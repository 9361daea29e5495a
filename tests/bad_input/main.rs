//! Whatever is wrong is said in a clear sentence with its exit code, and costs nothing else.
#![allow(clippy::unwrap_used)]

mod clock;
#[path = "../common/mod.rs"]
mod common;
mod disks;
#[path = "../common/installation.rs"]
mod installation;
#[path = "../common/judge.rs"]
mod judge;
mod newer;
mod repairs;
#[path = "../common/scripted.rs"]
mod scripted;
#[path = "../common/shifted.rs"]
mod shifted;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use common::{Cameras, clip};
use hearthkeep_format::{Identity, kit};
use installation::{CameraEntry, Installation, PASSPHRASE, await_condition, path, read};
use scripted::{Offer, Script, Scripted};
use serde_json::Value;

const CANARY: &str = "Canary-5vK-Nachtigall";
const LONG: Duration = Duration::from_secs(60);

/// One camera that works.
fn one_camera() -> (Cameras, String, PathBuf) {
    let clip = clip("h264_small");
    let cameras = Cameras::start(&[&format!("good={}", clip.display())]);
    let url = cameras.url("good").to_owned();
    (cameras, url, clip)
}

fn camera<'a>(name: &'a str, url: &'a str) -> CameraEntry<'a> {
    CameraEntry {
        name,
        url,
        more: "",
    }
}

/// Records until there are this many microseconds of the camera "good", and ends.
fn record(installation: &Installation, micros: u64) {
    let mut recorder = installation.start();
    recorder.until("something is recorded", LONG, |list| {
        recorded_us(list) >= micros
    });
    recorder.terminate();
}

fn recorded_us(list: &Value) -> u64 {
    let rows = list
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["camera"] == "good");
    rows.map(|row| row["duration_us"].as_u64().unwrap()).sum()
}

/// A command failed with this code and said this.
#[track_caller]
fn failed(output: &Output, code: i32, sentence: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(sentence), "not said: {sentence}\nbut: {said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn bad_cameras_are_named_and_cost_nothing_else() {
    let (_cameras, good, clip) = one_camera();
    let shown = format!("door={}", clip.display());
    let locked = Cameras::start(&["--user", "viewer", "--password", "right", &shown]);
    let basic = Cameras::start(&["--user", "viewer", "--password", "right", "--basic", &shown]);
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let no_video = Scripted::start(Script {
        offer: Offer::AudioOnly,
        ..Script::default()
    });
    let mjpeg = Scripted::start(Script {
        offer: Offer::Mjpeg,
        ..Script::default()
    });
    let with_canary = |url: &str| url.replace("rtsp://", &format!("rtsp://viewer:{CANARY}@"));

    let unreachable = with_canary(&format!("rtsp://{nobody}/live"));
    let wrong = locked.url("door").to_owned();
    let wrong_basic = with_canary(basic.url("door"));
    let silent = with_canary(&format!("rtsp://{}/live", silent.local_addr().unwrap()));
    let no_video = format!("rtsp://127.0.0.1:{}/live", no_video.port);
    let mjpeg = format!("rtsp://127.0.0.1:{}/live", mjpeg.port);
    let nowhere = good.replace("/good", "/nowhere");
    let wrong_more = format!("username = \"viewer\"\npassword = \"{CANARY}\"");
    let no_file = "username = \"viewer\"\npassword_file = \"missing.pw\"";
    let cases = [
        ("unreachable", unreachable.as_str(), "", "cannot be reached"),
        (
            "wrong password",
            &wrong,
            &wrong_more,
            "does not accept the user name or the password",
        ),
        (
            "wrong basic",
            &wrong_basic,
            "",
            "does not accept the user name or the password",
        ),
        (
            "no password",
            locked.url("door"),
            "",
            "wants a user name and a password",
        ),
        (
            "no password file",
            &wrong,
            no_file,
            "missing.pw cannot be read",
        ),
        ("silent", &silent, "", "did not answer within 8 s"),
        ("no video", &no_video, "", "offers no video"),
        ("mjpeg", &mjpeg, "", "which cannot be recorded"),
        ("nowhere", &nowhere, "", "has no stream of that path"),
    ];
    let mut entries = vec![camera("good", &good)];
    entries.extend(cases.map(|(name, url, more, _)| CameraEntry { name, url, more }));
    let installation = Installation::new(&entries);

    let mut recorder = installation.start();
    let is_said = |log: &str, name: &str, sentence: &str| {
        log.lines()
            .any(|line| line.contains(&format!("camera={name}")) && line.contains(sentence))
    };
    await_condition("every camera's trouble is in the log", LONG, || {
        let log = installation.log();
        cases
            .iter()
            .all(|(name, _, _, sentence)| is_said(&log, name, sentence))
    });
    recorder.until("the good camera is recorded", LONG, |list| {
        recorded_us(list) >= 10_000_000
    });
    recorder.terminate();

    let mp4 = installation.folder().join("good.mp4");
    let exported = installation.run("export", &["--camera", "good", "--out", path(&mp4)]);
    assert!(exported.status.success(), "{exported:?}");
    judge::exact(&mp4, &clip);
    let list = installation.list(&[]);
    assert!(
        list.as_array()
            .unwrap()
            .iter()
            .all(|row| row["camera"] == "good"),
        "{list:#}"
    );
    assert!(
        !installation.log().contains(CANARY),
        "a password is in the log:\n{}",
        installation.log()
    );
}

#[test]
fn files_that_are_no_segments_of_ours_are_named_and_left_alone() {
    let (_cameras, url, clip) = one_camera();
    let cameras = [camera("good", &url)];
    let installation = Installation::new(&cameras);
    let other = Installation::new(&cameras);
    record(&other, 1_000_000);
    record(&installation, 3_000_000);
    record(&installation, 6_000_000);
    let sizes = |path: &PathBuf| std::cmp::Reverse(std::fs::metadata(path).unwrap().len());
    let mut ours = segments(&installation);
    ours.sort_by_key(sizes);
    let folder = ours[0].parent().unwrap().to_owned();

    let foreign = folder.join(segments(&other)[0].file_name().unwrap());
    std::fs::copy(&segments(&other)[0], &foreign).unwrap();
    let garbage = folder.join("00112233445566778899aabbccddeeff.hks");
    std::fs::write(&garbage, b"random, and no segment".repeat(50)).unwrap();
    let moved = folder.join("ffeeddccbbaa99887766554433221100.hks");
    std::fs::copy(&ours[1], &moved).unwrap();
    let truncated = read(&ours[0]);
    std::fs::write(&ours[0], &truncated[..truncated.len() / 2]).unwrap();
    let strange = [
        (&foreign, "it belongs to another store"),
        (&garbage, "it is no segment file"),
        (&moved, "it is another segment than its path says"),
    ];

    let check = installation.run("check", &[]);
    assert_eq!(check.status.code(), Some(65), "{check:?}");
    let list = installation.run("list", &[]);
    assert!(list.status.success());
    for (file, sentence) in strange {
        let name = file.file_name().unwrap().to_str().unwrap();
        for said in [&check.stdout, &list.stderr] {
            let said = String::from_utf8_lossy(said);
            let is_said = said
                .lines()
                .any(|line| line.contains(name) && line.contains(sentence));
            assert!(is_said, "{name}: {sentence}\n{said}");
        }
    }
    let before: Vec<_> = strange.iter().map(|(file, _)| read(file)).collect();
    record(&installation, 8_000_000);
    let reindex = installation.run("reindex", &[]);
    failed(&reindex, 65, "it belongs to another store");
    let after: Vec<_> = strange.iter().map(|(file, _)| read(file)).collect();
    assert!(before == after, "strange files are left as they were");
    let log = installation.log();
    for (file, sentence) in strange {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(
            log.lines()
                .any(|line| line.contains(name) && line.contains(sentence)),
            "{log}"
        );
    }

    let recorder = installation.start();
    await_condition("status tells of the strange files", LONG, || {
        let status = installation.run("status", &[]);
        let said = String::from_utf8_lossy(&status.stdout).into_owned();
        said.contains("3 files on the disks cannot be read as footage of this box")
    });
    recorder.terminate();

    // The truncated one was closed after its last whole chunk; all the rest is exported, also what the last run may have recorded.
    let list = installation.list(&[]);
    let count = |state| {
        list.as_array()
            .unwrap()
            .iter()
            .filter(|row| row["state"] == state)
            .count()
    };
    assert_eq!(count("recovered"), 1, "{list:#}");
    assert!(count("whole") >= 2, "{list:#}");
    let mp4 = installation.folder().join("good.mp4");
    let exported = installation.run("export", &["--camera", "good", "--out", path(&mp4)]);
    assert!(exported.status.success(), "{exported:?}");
    let verdict = judge::slices(&mp4, &[&clip], &["--gaps"]);
    assert_eq!(verdict["ok"], true, "{verdict:#}");

    // A flipped bit inside a picture costs that picture's chunk, and is told.
    let mut flipped = read(&ours[1]);
    let middle = flipped.len() / 3;
    flipped[middle] ^= 1;
    std::fs::write(&ours[1], &flipped).unwrap();
    let name = ours[1].file_name().unwrap().to_str().unwrap();
    let check = installation.run("check", &[]);
    assert_eq!(check.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&check.stdout).contains(name));
    let exported = installation.run("export", &["--camera", "good", "--out", path(&mp4)]);
    failed(&exported, 65, "is damaged at chunk");
    let verdict = judge::slices(&mp4, &[&clip], &["--gaps"]);
    assert_eq!(verdict["ok"], true, "{verdict:#}");
}

fn segments(installation: &Installation) -> Vec<PathBuf> {
    let mut files = Installation::files(&installation.footage());
    files.retain(|file| file.extension().is_some_and(|e| e == "hks"));
    files
}

#[test]
fn secrets_that_are_wrong_and_commands_that_do_not_fit() {
    let (_cameras, url, _) = one_camera();
    let with_canary = url.replace("rtsp://", &format!("rtsp://viewer:{CANARY}@"));
    let cameras = [camera("good", &with_canary)];
    let installation = Installation::unmade(&cameras);
    let kit_file = installation.kit_file();
    let file = |name: &str, text: &str| {
        let file = installation.folder().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let init = |passphrase: &Path| {
        let given = [
            "--passphrase-file",
            path(passphrase),
            "--recovery-kit-out",
            path(&kit_file),
        ];
        installation.run("init", &given)
    };
    let weak = file("weak", "password1234\n");
    let short = file("short", "tulip\n");
    let empty = file("empty", "");
    let missing = installation.folder().join("missing");
    failed(
        &installation.run("list", &["--json"]),
        66,
        "hearthkeep init",
    );
    failed(&init(&weak), 77, "easy to guess");
    failed(&init(&short), 77, "at least 12 characters");
    failed(
        &init(&empty),
        77,
        "is empty: write the passphrase on its first line",
    );
    failed(&init(&missing), 1, "missing cannot be read");
    file("recovery-kit.txt", "an older kit");
    failed(
        &init(&installation.passphrase_file()),
        1,
        "recovery-kit.txt",
    );
    assert_eq!(read(&kit_file), b"an older kit");
    std::fs::remove_file(&kit_file).unwrap();
    installation.init();
    failed(
        &init(&installation.passphrase_file()),
        1,
        "holds a store with an owner already",
    );

    let mut recorder = installation.start();
    recorder.until("something is recorded", LONG, |list| {
        recorded_us(list) >= 1_000_000
    });
    let mut outputs = Vec::new();
    for subcommand in ["run", "init", "reindex"] {
        let output = installation.run(subcommand, &[]);
        failed(
            &output,
            75,
            &format!(
                "another hearthkeep process uses this store (process {})",
                recorder.pid()
            ),
        );
        outputs.push(output);
    }
    recorder.terminate();

    let export = |more: &[&str]| {
        let mp4 = installation.folder().join("out.mp4");
        let arguments = [&["--camera", "good", "--out", path(&mp4)], more].concat();
        let output = installation.run("export", &arguments);
        assert!(!mp4.exists() && !mp4.with_file_name("out.mp4.part").exists());
        output
    };
    let wrong = file("wrong", "a lamp in the hall mirror\n");
    let other_kit = file("other kit", Identity::from_seed([7; 32]).to_text().as_str());
    let owner = kit::parse(&String::from_utf8(read(&kit_file)).unwrap()).unwrap();
    let groups = kit::groups(&owner);
    let mut typed: String = groups.iter().map(|group| group.as_str()).collect();
    let other = if typed.starts_with('Q') { "P" } else { "Q" };
    typed.replace_range(..1, other);
    let mistyped = file("mistyped kit", &typed);
    outputs.extend([
        export(&["--passphrase-file", path(&wrong)]),
        export(&["--kit", path(&other_kit)]),
        export(&["--kit", path(&mistyped)]),
        export(&["--passphrase-file", path(&empty)]),
        export(&["--name", "somebody"]),
        export(&[
            "--from",
            "2001-01-01T00:00:00Z",
            "--to",
            "2001-01-02T00:00:00Z",
        ]),
        installation.run("export", &["--camera", "nobody", "--out", "-"]),
    ]);
    let [
        ..,
        by_wrong,
        by_other,
        by_mistyped,
        by_empty,
        somebody,
        long_ago,
        nobody,
    ] = &outputs[..]
    else {
        unreachable!()
    };
    failed(by_wrong, 77, "wrong passphrase");
    failed(by_other, 77, "this identity opens nothing of this store");
    failed(by_mistyped, 77, "recovery kit");
    failed(by_empty, 77, "is empty");
    failed(somebody, 77, "there is no account \"somebody\"");
    failed(
        long_ago,
        66,
        "there is no footage of this camera in that time",
    );
    failed(
        nobody,
        66,
        "there is no camera \"nobody\"; there are: \"good\"",
    );
    let check = installation.run("check", &["--passphrase-file", path(&wrong)]);
    failed(&check, 77, "wrong passphrase");

    for output in &outputs {
        for said in [&output.stdout, &output.stderr] {
            let said = String::from_utf8_lossy(said);
            assert!(
                !said.contains(CANARY) && !said.contains(PASSPHRASE),
                "{said}"
            );
        }
    }
    assert!(!installation.log().contains(CANARY) && !installation.log().contains(PASSPHRASE));
}

#[test]
fn mistakes_in_the_configuration_are_shown_where_they_stand() {
    let installation = Installation::unmade(&[camera("good", "rtsp://127.0.0.1/good")]);
    let good = std::fs::read_to_string(installation.config()).unwrap();
    let line_of =
        |text: &str, what: &str| text.lines().position(|line| line.contains(what)).unwrap() + 1;
    let url = format!("url = \"http://viewer:{CANARY}@127.0.0.1/good\"");
    for (right, wrong) in [
        ("url = \"rtsp://127.0.0.1/good\"", url.as_str()),
        ("path = \"footage\"", "pth = \"footage\""),
        ("listen = \"127.0.0.1:0\"", "listen = \"everywhere\""),
        ("name = \"good\"", "name = \"good"),
    ] {
        let text = good.replace(right, wrong);
        assert_ne!(text, good);
        std::fs::write(installation.config(), &text).unwrap();
        let place = format!("hearthkeep.toml:{}: ", line_of(&text, wrong));
        for subcommand in ["init", "run", "list", "check", "repair", "reindex"] {
            let output = installation.run(subcommand, &[]);
            failed(&output, 78, &place);
            assert!(
                !String::from_utf8_lossy(&output.stderr).contains(CANARY),
                "{output:?}"
            );
        }
    }
    std::fs::remove_file(installation.config()).unwrap();
    failed(
        &installation.run("run", &[]),
        78,
        "cannot read the configuration",
    );
}
