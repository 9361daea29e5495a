//! What cameras do that no real server would: each gap is told wherever one may look, within 10 s, and ends by itself.

use std::time::Duration;

use hearthkeep::limits::BACKOFF_MS_MIN;
use serde_json::Value;

use super::installation::{CameraEntry, Installation, await_condition};
use super::rows::{now_us, text, was_told_in_time};
use super::scripted::{IDR, SLICE, Script, Scripted, Step, video};
use super::told_gap::ToldGap;
use super::viewer::Viewer;
use super::{LONG, duration_us, metrics, open_gap, rows, start_us};

/// Its next connection has pictures, and no key frame.
const KEYLESS: &str = "keyless";
const FPS: u32 = 30;
const TICKS: u32 = 90_000 / FPS;

/// For so long the recorder is off.
const MISSING_US: i64 = 1_500_000;

/// What a camera does last, before it is well again, and what the gap is called.
fn misdeeds() -> Vec<(&'static str, Vec<Vec<Step>>, &'static str)> {
    let jump = video(90_000 * 600, SLICE);
    let noise = Step::Raw(vec![0xff; 4096]);
    vec![
        ("silent", vec![vec![Step::Silence]], "camera-stalled"),
        ("jumps", vec![vec![jump, Step::Silence]], "timestamps"),
        ("noisy", vec![vec![noise, Step::Silence]], "camera-data"),
        ("leaves", vec![Vec::new()], "camera-lost"),
        (KEYLESS, vec![Vec::new(), slices(12 * FPS)], "no-key-frame"),
    ]
}

#[test]
fn what_a_strange_camera_does_is_told_everywhere_and_ends_by_itself() {
    let cameras = misdeeds();
    let causes: Vec<_> = cameras
        .iter()
        .map(|(name, _, cause)| (*name, *cause))
        .collect();
    let names: Vec<_> = causes.iter().map(|(name, _)| *name).collect();
    let servers: Vec<_> = cameras
        .into_iter()
        .map(|(_, last, _)| then_well(last))
        .collect();
    let urls = servers
        .iter()
        .map(|camera| format!("rtsp://127.0.0.1:{}/live", camera.port));
    let installation = Installation::new(&CameraEntry::plain(&names, &urls.collect::<Vec<_>>()));
    let mut recorder = installation.start();
    let viewer = Viewer::new(&installation, &mut recorder);
    let visit = viewer.visit(&mut recorder);
    let streams = visit.streams();
    let stream_of = |name: &str| {
        let of_it = streams.iter().find(|stream| stream["camera"] == name);
        text(of_it.unwrap(), "id")
    };
    let new = |(name, cause): &(&str, &'static str)| {
        ToldGap::new(&installation, name, &stream_of(name), cause)
    };
    // In status, the metrics and the timeline.
    let is_open = |name: &str, cause: &str| {
        let open = format!("hearthkeep_stream_gap_open{{camera=\"{name}\",feed=\"main\"}} 1\n");
        let gaps = visit.timeline(&stream_of(name))["gaps"].clone();
        let is_it = |gap: &Value| gap["open"] == true && gap["cause"] == cause;
        gaps.as_array().unwrap().iter().any(is_it)
            && open_gap(&installation, name)["cause"] == cause
            && metrics(&installation).contains(&open)
    };
    let mut told: Vec<_> = causes.iter().map(new).collect();
    // It begins anew by itself soon after it was told: all are looked for at once.
    let mut open_us = None;
    await_condition("all tell of all", LONG, || {
        if open_us.is_none() && is_open("silent", "camera-stalled") {
            open_us = Some(now_us());
        }
        ToldGap::are_told(&mut told, &installation, &visit) && open_us.is_some()
    });
    recorder.until("all are recorded again", LONG, |list| {
        names.iter().all(|name| rows(list, name).len() >= 2)
    });
    let list = installation.list(&[]);
    for (gap, (name, _)) in told.iter().zip(&causes) {
        let first = rows(&list, name)[0];
        // The moment of the last picture, by what was recorded of it.
        let last_us = start_us(first) + duration_us(first);
        // That it sends no key frame begins with its next connection; until then it is one that went.
        let is_keyless = *name == KEYLESS;
        let away_us = if is_keyless {
            BACKOFF_MS_MIN as i64 * 1_000
        } else {
            0
        };
        gap.was_in_time(last_us + away_us);
        if *name == "silent" {
            was_told_in_time("whoever asks what is open", last_us, open_us.unwrap());
        }
    }
    await_condition("no gap is open", LONG, || {
        names
            .iter()
            .all(|name| open_gap(&installation, name) == Value::Null)
    });
    let counted = metrics(&installation);
    for (name, cause) in &causes {
        let metric = format!(
            "hearthkeep_stream_gap_seconds_total{{camera=\"{name}\",feed=\"main\",cause=\"{cause}\"}}"
        );
        assert!(counted.contains(&metric), "{metric}: {counted}");
    }
    recorder.terminate();
    // What it does itself is told in the same way.
    let after = |cause| {
        // What is too short is no gap.
        let ended_us = now_us();
        await_condition("footage is missing", LONG, || {
            now_us() > ended_us + MISSING_US
        });
        let begun_us = now_us();
        let mut told: Vec<_> = names.iter().map(|name| new(&(name, cause))).collect();
        let mut recorder = installation.start();
        let visit = viewer.visit(&mut recorder);
        await_condition(cause, LONG, || {
            ToldGap::are_told(&mut told, &installation, &visit)
        });
        told.iter().for_each(|gap| gap.was_in_time(begun_us));
        recorder
    };
    let mut recorder = after("shutdown");
    recorder.until("they go on after a stop", LONG, |list| {
        names.iter().all(|name| {
            let last = rows(list, name).last().copied().cloned();
            last.is_some_and(|row| row["gap_before"]["cause"] == "shutdown")
        })
    });
    recorder.kill();
    after("crash").terminate();
    let list = installation.list(&[]);
    for (name, cause) in &causes {
        let rows = rows(&list, name);
        let causes: Vec<_> = rows
            .iter()
            .map(|row| row["gap_before"]["cause"].as_str().unwrap_or_default())
            .collect();
        // The segment after a gap says why it began.
        let began = if *name == KEYLESS {
            "camera-lost"
        } else {
            cause
        };
        assert_eq!(causes[..2], ["start", began], "{name}: {causes:?}");
    }
}

/// Is well for two seconds, ends so, a connection each, and is well from then on.
fn then_well(last: Vec<Vec<Step>>) -> Scripted {
    let mut first = pictures(60);
    let mut last = last.into_iter();
    first.extend(last.next().unwrap());
    let well = || script(pictures(60 * FPS));
    // Some of these may be spent on a TEARDOWN that nobody answered.
    let scripts = [script(first)].into_iter().chain(last.map(script));
    Scripted::start_all(scripts.chain((0..8).map(|_| well())).collect())
}

fn script(steps: Vec<Step>) -> Script {
    Script {
        steps,
        ..Script::default()
    }
}

/// Pictures as a camera sends them, a key frame each second.
fn pictures(count: u32) -> Vec<Step> {
    let unit = |n: u32| if n.is_multiple_of(FPS) { IDR } else { SLICE };
    paced(count, unit)
}

/// The same without any key frame.
fn slices(count: u32) -> Vec<Step> {
    paced(count, |_| SLICE)
}

fn paced(count: u32, unit: impl Fn(u32) -> &'static [u8]) -> Vec<Step> {
    let wait = || Step::Pause(Duration::from_secs(1) / FPS);
    let picture = |n: u32| [wait(), video(n * TICKS, unit(n))];
    (0..count).flat_map(picture).collect()
}
