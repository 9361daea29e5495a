//! The page's timeline while a camera is away, when it is back, and where packets of it were lost.

use std::path::Path;
use std::time::Duration;

use super::common::{Cameras, clip};
use super::installation::{CameraEntry, Installation, PASSPHRASE, await_condition, path};
use super::rows::{now_us, was_told_in_time};
use super::{alone, drive};

const LONG: Duration = Duration::from_secs(90);

#[test]
fn the_timeline_shows_what_is_missing_while_it_is() {
    let _alone = alone();
    let door = format!("door={}", path(&clip("h264_small")));
    let cameras = Cameras::start(&[&door]);
    let url = cameras.url("door").to_owned();
    let port = url.rsplit(':').next().unwrap().split('/').next().unwrap();
    let installation =
        Installation::new(&CameraEntry::plain(&["door"], std::slice::from_ref(&url)));
    let mut recorder = installation.start();
    recorder.until("it is recorded", LONG, |list| {
        list[0]["duration_us"].as_i64() > Some(3_000_000)
    });
    let signals = tempfile::tempdir().unwrap();
    let url = format!("https://{}", recorder.address());
    let settings = [
        ("HEARTHKEEP_URL", url.as_str()),
        ("HEARTHKEEP_NAME", "owner"),
        ("HEARTHKEEP_PASSPHRASE", PASSPHRASE),
        ("HEARTHKEEP_SIGNALS", path(signals.path())),
    ];
    let (seen, gone_us) = std::thread::scope(|scope| {
        let browser = scope.spawn(|| drive(&["e2e/trouble.mjs", "gap"], &settings));
        let until = |name| until_seen(signals.path(), name, || browser.is_finished());
        let mut gone_us = now_us();
        let mut back = None;
        if until("well") {
            gone_us = now_us();
            drop(cameras);
        }
        if until("open") {
            back = Some(Cameras::start(&["--port", port, &door]));
        }
        if until("over") {
            back.as_mut().unwrap().tell("lose door 0.3");
        }
        (browser.join().unwrap(), gone_us)
    });
    assert_eq!(seen["ok"], true, "{seen:#}\n{}", installation.log());
    let shown_us = (seen["gap"]["shownMs"].as_f64().unwrap() * 1e3) as i64;
    was_told_in_time("the page", gone_us, shown_us);
    recorder.terminate();
}

/// Waits until the browser has seen something; false where it ends before that, and says itself what is wrong.
fn until_seen(signals: &Path, name: &str, has_ended: impl Fn() -> bool) -> bool {
    await_condition(name, 2 * LONG, || {
        signals.join(name).exists() || has_ended()
    });
    signals.join(name).exists()
}
