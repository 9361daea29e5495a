//! A browser that comes back checks the signed log against what it saw, and says what somebody did to the store meanwhile.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use super::common::{Cameras, clip};
use super::installation::{CameraEntry, HEARTHKEEP, Installation, await_condition, path};
use super::trouble::look;
use super::{alone, copy, file_of};

const LONG: Duration = Duration::from_secs(90);

/// A box at an address that stays the same, as browsers keep what they saw by address; and the browser.
struct Seen {
    installation: Installation,
    profile: tempfile::TempDir,
    images: tempfile::TempDir,
}

impl Seen {
    fn new(cameras: &[CameraEntry<'_>]) -> Self {
        let installation = Installation::new(cameras);
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = std::fs::read_to_string(installation.config()).unwrap();
        let config = config.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
        std::fs::write(installation.config(), config).unwrap();
        Self {
            installation,
            profile: tempfile::tempdir().unwrap(),
            images: tempfile::tempdir().unwrap(),
        }
    }

    /// One start and end of the recorder: what it does is in the log.
    fn run(&self) {
        let before = self.entries();
        let mut recorder = self.installation.start();
        recorder.address();
        await_condition("its log is written on", LONG, || self.entries() > before);
        recorder.terminate();
    }

    /// Bytes of all logs on the disk.
    fn entries(&self) -> u64 {
        let log = self.installation.footage().join("log");
        if !log.exists() {
            return 0;
        }
        let files = Installation::files(&log).into_iter();
        let entries = files.filter(|file| file.ends_with("entries"));
        entries.map(|file| file.metadata().unwrap().len()).sum()
    }

    /// The browser comes back; says what it should of the log: that all is well where nothing is given.
    fn says(&self, words: Option<&str>) {
        let profile = ("HEARTHKEEP_PROFILE", path(self.profile.path()));
        let words = words.map(|words| ("HEARTHKEEP_SAYS", words));
        let settings: Vec<_> = [profile].into_iter().chain(words).collect();
        look(
            &self.installation,
            self.installation.start(),
            "log",
            &settings,
        );
    }

    fn keep(&self, name: &str) {
        image(self.installation.folder(), &self.images.path().join(name));
    }

    fn put_back(&self, name: &str) {
        image(&self.images.path().join(name), self.installation.folder());
    }
}

/// State folder and disk as they are now, or as they were.
fn image(of: &Path, to: &Path) {
    for name in ["state", "footage"] {
        let _ = std::fs::remove_dir_all(to.join(name));
        copy(&of.join(name), &to.join(name));
    }
}

#[test]
fn a_browser_that_comes_back_says_what_became_of_the_signed_log() {
    let _alone = alone();
    let seen = Seen::new(&[]);
    seen.run();
    seen.keep("old");
    let log = seen.installation.footage().join("log");
    let old_log = seen.images.path().join("log");
    copy(&log, &old_log);
    seen.says(None);
    for _ in 0..3 {
        seen.run();
    }
    seen.says(None);
    seen.keep("newest");

    // The whole box as it was: what it says now contradicts what was seen.
    seen.put_back("old");
    seen.says(Some("The signed log was rolled back"));
    // Over what was seen another history grows.
    for _ in 0..8 {
        seen.run();
    }
    seen.says(Some("The signed log was forked"));
    seen.put_back("newest");
    seen.says(None);

    // An older copy of the log alone: the recorder knows better, and begins another one, which is said.
    std::fs::remove_dir_all(&log).unwrap();
    copy(&old_log, &log);
    seen.says(Some(
        "A new signed log has begun since this browser last looked",
    ));
    std::fs::remove_dir_all(&log).unwrap();
    std::fs::remove_file(seen.installation.state().join("log.sealed")).unwrap();
    seen.says(Some("Another signed log is shown"));
}

fn door(url: &str) -> CameraEntry<'_> {
    CameraEntry {
        name: "door",
        url,
        more: "",
    }
}

/// Runs the recorder until it has recorded a segment more.
fn record(installation: &Installation) {
    let mut recorder = installation.start();
    let before = installation.list(&[]).as_array().unwrap().len();
    recorder.until("it is recorded", LONG, |list| {
        list[before]["duration_us"].as_u64() > Some(2_000_000)
    });
    recorder.terminate();
}

#[test]
fn a_segment_that_was_removed_is_told_on_the_page_as_that() {
    let _alone = alone();
    let cameras = Cameras::start(&[&format!("door={}", path(&clip("h264_small")))]);
    let installation = Installation::new(&[door(cameras.url("door"))]);
    (0..3).for_each(|_| record(&installation));
    // The one in the middle, so that there is footage before and after it.
    let segment = installation.list(&[])[1]["segment"]
        .as_str()
        .unwrap()
        .to_owned();
    std::fs::remove_file(file_of(&installation, &segment)).unwrap();
    look(&installation, installation.start(), "removed", &[]);
}

#[test]
fn footage_is_kept_and_let_go_on_the_page() {
    let _alone = alone();
    let cameras = Cameras::start(&[&format!("door={}", path(&clip("h264_small")))]);
    let installation = Installation::new(&[door(cameras.url("door"))]);
    record(&installation);
    let holds = || -> Vec<serde_json::Value> {
        let mut list = std::process::Command::new(HEARTHKEEP);
        list.args(["hold", "list", "--json", "--config"]);
        let output = list.arg(installation.config()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    look(&installation, installation.start(), "keep", &[]);
    let held = holds();
    assert_eq!(held.len(), 1, "{held:?}");
    assert_eq!(held[0]["reason"], "the broken fence");
    assert_eq!(held[0]["who"], "owner");
    assert_eq!(held[0]["streams"].as_array().unwrap().len(), 1);
    look(&installation, installation.start(), "let-go", &[]);
    assert!(holds().is_empty());
    look(&installation, installation.start(), "keep", &[]);
    look(&installation, installation.start(), "unwritten", &[]);
    assert!(holds().is_empty());
}
