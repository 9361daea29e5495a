//! Segments of which nothing can be opened any more, and that `hearthkeep repair --quarantine` puts out of the way: nobody is accused.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::installation::{Installation, await_condition};
use crate::seen::one_door;

const LONG: Duration = Duration::from_secs(60);
const HEADER: usize = 256;

fn segments(installation: &Installation) -> Vec<PathBuf> {
    let mut files = Installation::files(&installation.footage().join("footage"));
    files.sort();
    files
}

/// Where both heads of a finished segment begin.
fn heads(bytes: &[u8]) -> [usize; 2] {
    let tail = &bytes[bytes.len() - 128..];
    [
        0,
        u32::from_be_bytes(tail[12..16].try_into().unwrap()) as usize,
    ]
}

/// Changes both heads of a finished segment.
fn damage(file: &Path, change: impl Fn(&mut [u8])) {
    let mut bytes = fs::read(file).unwrap();
    for at in heads(&bytes) {
        change(&mut bytes[at..at + HEADER]);
    }
    fs::write(file, bytes).unwrap();
}

fn json(installation: &Installation, command: &str, more: &[&str]) -> (Option<i32>, Value) {
    let output = installation.run(command, &[&["--json"], more].concat());
    let json = serde_json::from_slice(&output.stdout);
    (
        output.status.code(),
        json.unwrap_or_else(|_| panic!("{output:?}")),
    )
}

fn kinds(rows: &Value) -> Vec<&str> {
    let rows = rows.as_array().unwrap().iter();
    let mut kinds: Vec<_> = rows.map(|row| row["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    kinds
}

#[test]
fn what_is_put_out_of_the_way_is_not_called_removed() {
    let (_cameras, installation) = one_door(4, 1_000_000);
    assert_eq!(json(&installation, "check", &[]).0, Some(0));
    let all = segments(&installation);
    assert_eq!(all.len(), 4);
    // Nothing of the first is what it was, the start block of the second is damaged, and at the third's place lies the fourth.
    damage(&all[0], |header| header.fill(0xEE));
    damage(&all[1], |header| header[200] ^= 1);
    fs::copy(&all[3], &all[2]).unwrap();
    let (code, report) = json(&installation, "check", &[]);
    assert_eq!(code, Some(65), "{report:#}");
    assert_eq!(kinds(&report["damaged"]), ["refused"]);
    assert_eq!(kinds(&report["strange"]), ["misplaced", "no-segment"]);
    let (code, report) = json(&installation, "repair", &[]);
    assert_eq!(code, Some(65), "nothing moves by itself: {report:#}");
    assert_eq!(segments(&installation), all);

    let waiting = installation.state().join("log.deleted.sealed");
    let (code, report) = json(&installation, "repair", &["--quarantine", "--dry-run"]);
    assert_eq!(code, Some(65), "{report:#}");
    assert!(!waiting.exists() && segments(&installation) == all);
    let (code, report) = json(&installation, "repair", &["--quarantine"]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(segments(&installation), all[3..]);
    assert!(waiting.exists());

    // Of the third nobody knows what became of it; the others were put out of the way.
    let removed = || {
        let (code, report) = json(&installation, "check", &[]);
        assert_eq!(code, Some(65), "{report:#}");
        for none in ["damaged", "strange", "log"] {
            assert_eq!(report[none], serde_json::json!([]), "{report:#}");
        }
        let removed = report["removed"].as_array().unwrap();
        assert_eq!(removed.len(), 1, "{report:#}");
        removed[0]["path"].as_str().unwrap().to_owned()
    };
    assert!(all[2].ends_with(removed()));
    let lost = installation.footage().join("lost");
    let aside = lost.join(all[2].strip_prefix(installation.footage()).unwrap());
    assert!(aside.exists());

    let mut recorder = installation.start();
    recorder.address();
    await_condition("the log has it", LONG, || !waiting.exists());
    await_condition("the recorder misses one", LONG, || {
        let (_, status) = json(&installation, "status", &[]);
        let told = status.to_string();
        assert!(
            !told.contains("3 segments") && !told.contains("2 segments"),
            "{told}"
        );
        told.contains("a segment that the log has is gone")
    });
    recorder.terminate();
    assert!(all[2].ends_with(removed()));
}
