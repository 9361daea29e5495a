//! The page where things are wrong: each is said in its sentence, and what works goes on.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::common::{Cameras, clip};
use super::installation::{
    CameraEntry, Installation, PASSPHRASE, Running, await_condition, path, read,
};
use super::scripted::{Offer, Script, Scripted};
use super::shifted::ShiftedClock;
use super::{alone, drive, file_of};

const LONG: Duration = Duration::from_secs(90);

#[test]
fn the_page_says_what_is_wrong_and_plays_on() {
    let _alone = alone();
    let (small, h265) = (clip("h264_small"), clip("h265_small"));
    let cameras = Cameras::start(&[
        &format!("good={}", path(&small)),
        &format!("h265={}", path(&h265)),
    ]);
    let door = format!("door={}", path(&small));
    let locked = Cameras::start(&["--user", "viewer", "--password", "right", &door]);
    let no_video = Scripted::start_lasting(|| Script {
        offer: Offer::AudioOnly,
        ..Script::default()
    });
    let no_video = format!("rtsp://127.0.0.1:{}/live", no_video.port);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let nobody = format!("rtsp://{}/live", nobody.unwrap());
    let wrong = "username = \"viewer\"\npassword = \"wrong\"";
    let entries = [
        ("good", cameras.url("good"), ""),
        ("h265", cameras.url("h265"), ""),
        ("unreachable", &nobody, ""),
        ("wrong password", locked.url("door"), wrong),
        ("no video", &no_video, ""),
    ]
    .map(|(name, url, more)| CameraEntry { name, url, more });
    let installation = Installation::new(&entries);

    // A crash leaves a gap, and a segment that is closed at the next start.
    let mut recorder = installation.start();
    recorder.until("there is footage to be damaged", LONG, |list| {
        seconds_of_good(list, "open") > 12.0
    });
    recorder.kill();
    let killed = Instant::now();
    // Shorter ones are played over without a word.
    await_condition("a gap that is worth a word", LONG, || {
        killed.elapsed() > Duration::from_secs(4)
    });
    let mut recorder = installation.start();
    recorder.until("it is recorded again", LONG, |list| {
        seconds_of_good(list, "recovered") > 0.0 && seconds_of_good(list, "open") > 4.0
    });
    let (segment, offset) = damage(&installation);
    let offset = offset.to_string();
    let damaged = [
        ("HEARTHKEEP_DAMAGED", segment.as_str()),
        ("HEARTHKEEP_DAMAGED_AT", &offset),
    ];
    look(&installation, recorder, "bad-input", &damaged);

    // The disk is not mounted: what is at its path is the bare mount point.
    let elsewhere = installation.folder().join("elsewhere");
    std::fs::rename(installation.footage(), &elsewhere).unwrap();
    std::fs::create_dir(installation.footage()).unwrap();
    look(&installation, installation.start(), "no-disk", &[]);
    std::fs::remove_dir(installation.footage()).unwrap();
    std::fs::rename(&elsewhere, installation.footage()).unwrap();

    let clock = ShiftedClock::make(installation.folder());
    clock.show_1970();
    let recorder = installation.start_with(&clock.variables());
    look(&installation, recorder, "wrong-clock", &[]);
}

#[test]
fn a_claim_whose_answer_is_lost_leads_to_the_sign_in() {
    let _alone = alone();
    let installation = Installation::unmade(&[]);
    let recorder = installation.start();
    let code = installation.state().join("claim-code");
    let code = [("HEARTHKEEP_CLAIM_CODE_FILE", path(&code))];
    look(&installation, recorder, "lost-claim", &code);
}

/// Drives a browser through one of the scenarios of `web-ui/e2e/trouble.mjs`.
pub fn look(
    installation: &Installation,
    mut recorder: Running<'_>,
    scenario: &str,
    more: &[(&str, &str)],
) {
    let url = format!("https://{}", recorder.address());
    let settings = [
        ("HEARTHKEEP_URL", url.as_str()),
        ("HEARTHKEEP_NAME", "owner"),
        ("HEARTHKEEP_PASSPHRASE", PASSPHRASE),
    ];
    let seen = drive(
        &["e2e/trouble.mjs", scenario],
        &[&settings[..], more].concat(),
    );
    assert_eq!(
        seen["ok"],
        true,
        "{scenario}: {seen:#}\n{}",
        installation.log()
    );
    recorder.terminate();
}

/// Flips a bit in a picture of the longest segment that is closed. Which segment, and at which byte.
///
/// The one that the kill left torn may have a single chunk, if the one before it was just full: its middle is then the copy.
fn damage(installation: &Installation) -> (String, usize) {
    let list = installation.list(&[]);
    let closed = rows_of_good(&list)
        .into_iter()
        .filter(|row| row["state"] != "open")
        .max_by_key(|row| row["duration_us"].as_u64());
    let id = closed.expect("what was recorded before the kill is closed")["segment"]
        .as_str()
        .unwrap()
        .to_owned();
    let file = file_of(installation, &id);
    let mut bytes = read(&file);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    (id, middle)
}

fn rows_of_good(list: &Value) -> Vec<Value> {
    let rows = list.as_array().unwrap().iter();
    rows.filter(|row| row["camera"] == "good")
        .cloned()
        .collect()
}

fn seconds_of_good(list: &Value, state: &str) -> f64 {
    let rows = rows_of_good(list).into_iter();
    rows.filter(|row| row["state"] == state)
        .map(|row| row["duration_us"].as_f64().unwrap() / 1e6)
        .sum()
}
