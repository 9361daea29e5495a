//! Cameras that send nonsense without an end, beside one that is well: memory stays bounded, each is told, and the good one shows no gap.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/installation.rs"]
mod installation;
#[path = "common/rows.rs"]
mod rows;
#[path = "common/scripted.rs"]
mod scripted;

use std::time::Duration;

use common::{Cameras, clip};
use hearthkeep::limits::{CAMERA_UNFINISHED_BYTES_MAX, SAMPLE_BYTES_MAX};
use installation::{CameraEntry, Installation, path};
use rows::{cause, end_us, now_us, of_stream};
use scripted::{IDR, Script, Scripted, Step, video};

const LONG: Duration = Duration::from_secs(120);
/// What else may come to be held meanwhile: what comes before it is looked at, the buffer that grows, and what allocators keep.
const SLACK_BYTES: u64 = 30 << 20;
const PIECE_BYTES: usize = 60_000;

/// What is sent, by name.
type Nonsense = (&'static str, fn() -> Script);

/// A piece (FU-A) of a picture of so many pieces, the `n`th of all; the last one of a picture says so.
fn piece(n: u32, pieces: u32) -> Step {
    let (first, last) = (n.is_multiple_of(pieces), n % pieces + 1 == pieces);
    let mut payload = vec![0x7c, 0x05 | u8::from(first) << 7 | u8::from(last) << 6];
    payload.resize(PIECE_BYTES, 0x5a);
    Step::Rtp {
        channel: 0,
        mark: last,
        timestamp: 3_000 + n / pieces * 3_000,
        payload,
    }
}

/// One picture without an end.
fn endless() -> Script {
    after_a_picture(|n| piece(n, u32::MAX))
}

/// Pictures beyond what is accepted.
fn huge() -> Script {
    after_a_picture(|n| piece(n, (SAMPLE_BYTES_MAX / PIECE_BYTES) as u32 + 2))
}

/// No RTSP at all.
fn noise() -> Script {
    after_a_picture(|n| Step::Raw(vec![n as u8 | 0x80; 16_384]))
}

fn after_a_picture(then: fn(u32) -> Step) -> Script {
    Script {
        steps: vec![video(0, IDR), Step::Endless(then)],
        ..Script::default()
    }
}

/// An answer whose headers have no end.
fn talkative() -> Script {
    let line = |n| match n {
        0 => Step::Raw(b"RTSP/1.0 200 OK\r\n".to_vec()),
        _ => Step::Raw([&b"X-More: "[..], &[b'a'; 16_000], b"\r\n"].concat()),
    };
    Script {
        garbage: Some(Step::Endless(line)),
        ..Script::default()
    }
}

/// An answer that announces more than there is room for.
fn announced() -> Script {
    let body = |n| match n {
        0 => {
            Step::Raw(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 4000000000\r\n\r\n".to_vec())
        }
        _ => Step::Raw(vec![b'v'; 16_384]),
    };
    Script {
        garbage: Some(Step::Endless(body)),
        ..Script::default()
    }
}

#[test]
fn nonsense_is_that_cameras_fault_and_takes_no_memory() {
    let good = Cameras::start(&[&format!("good={}", path(&clip("h264_small")))]);
    let scripts: [Nonsense; 5] = [
        ("endless", endless),
        ("huge", huge),
        ("noise", noise),
        ("talkative", talkative),
        ("announced", announced),
    ];
    let good_url = good.url("good").to_owned();
    let installation = Installation::new(&CameraEntry::plain(
        &["good"],
        std::slice::from_ref(&good_url),
    ));
    // What the recorder takes for itself is not laid to the others.
    let own_bytes = grown_beside(&installation, None);
    println!("without any: memory grew by {} KiB", own_bytes >> 10);
    for (name, script) in scripts {
        let camera = Scripted::start_lasting(script);
        let url = format!("rtsp://127.0.0.1:{}/live", camera.port);
        installation.write_config(&CameraEntry::plain(
            &["good", name],
            &[good_url.clone(), url],
        ));
        let grown_bytes = grown_beside(&installation, Some(name)).saturating_sub(own_bytes);
        println!("{name}: memory grew by {} KiB", grown_bytes >> 10);
        let most = CAMERA_UNFINISHED_BYTES_MAX + SLACK_BYTES;
        assert!(
            grown_bytes < most,
            "{name}: {grown_bytes} bytes, more than {most}"
        );
    }
    let list = installation.list(&[]);
    let good = of_stream(&list, "good");
    let causes: Vec<_> = good.iter().filter_map(|row| cause(row)).collect();
    let expected = [&["start"][..], &["shutdown"; 5]].concat();
    assert_eq!(causes, expected, "{list:#}");
    let log = installation.log();
    let (starts, rest): (Vec<_>, Vec<_>) = log
        .lines()
        .filter(|line| line.contains("camera=good"))
        .partition(|line| line.contains("before this start"));
    // The camera's clock may be a little ahead of the start that follows at once: then nothing is missing.
    assert!(starts.len() <= 5, "each start but the first: {starts:#?}");
    assert_eq!(rest, Vec::<&str>::new(), "nothing else is said of it");
}

/// Records until the camera of this name has been told, if there is one, and the good one for a while beside it. Returns by how much memory grew.
fn grown_beside(installation: &Installation, name: Option<&str>) -> u64 {
    let said = installation.log().len();
    let mut recorder = installation.start();
    recorder.address();
    let (pid, begun_us) = (recorder.pid(), now_us());
    let before_bytes = resident_bytes(pid);
    let mut most_bytes = before_bytes;
    let is_of_it = |line: &str, name: &str| {
        line.contains(&format!("camera={name}")) && line.contains("camera-data")
    };
    recorder.until("it is told, and the good one goes on", LONG, |list| {
        most_bytes = most_bytes.max(resident_bytes(pid));
        let log = installation.log();
        let is_told = name.is_none_or(|name| log[said..].lines().any(|line| is_of_it(line, name)));
        let last = of_stream(list, "good").last().copied().cloned();
        is_told && last.is_some_and(|row| end_us(&row) > begun_us + 6_000_000)
    });
    recorder.terminate();
    most_bytes - before_bytes
}

/// Memory that a process has in use, files that are cached aside.
fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mut lines = status.lines();
    let kib = lines.find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = kib.and_then(|line| line.split_whitespace().next());
    kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10
}
