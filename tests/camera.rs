//! Sessions with a real RTSP server: GStreamer's, over clips with H.264, H.265 and AAC.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Cameras, clip};
use hearthkeep::camera::ingest::Ingest;
use hearthkeep::camera::{Error, ErrorKind, Event, Sample, Session, Timeouts, TrackKind};
use hearthkeep::clock::SystemClock;
use hearthkeep::config::{Camera, Config};

fn camera(url: &str, more: &str) -> Camera {
    let text = format!(
        "state_dir = \"s\"\n[[disk]]\npath = \"d\"\n[[camera]]\nname = \"c\"\nurl = \"{url}\"\n{more}"
    );
    let config = Config::parse(&text, std::path::Path::new("test.toml")).unwrap();
    config.cameras.into_iter().next().unwrap()
}

/// Runs a test's work where sessions live in the recorder: on the driven thread.
fn on_ingest<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let ingest = Ingest::start().unwrap();
    let _hurry = ingest.handle().hurry();
    let within = Duration::from_secs(60);
    let work = ingest
        .handle()
        .spawn(async move { tokio::time::timeout(within, work).await });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(work).unwrap().expect("it ends in time")
}

async fn connect(camera: &Camera) -> Result<Session, Error> {
    let timeouts = Timeouts {
        stall: Duration::from_secs(2),
        ..Default::default()
    };
    Session::connect(camera, Arc::new(SystemClock::new()), timeouts).await
}

fn serve(name: &str, clip_name: &str, options: &[&str]) -> Cameras {
    let clip = format!("{name}={}", clip(clip_name).display());
    Cameras::start(&[options, &[&clip]].concat())
}

/// The next samples, whatever else comes.
async fn samples(session: &mut Session, count: usize) -> Vec<Sample> {
    let mut samples = Vec::new();
    while samples.len() < count {
        match session.next().await.unwrap() {
            Event::Sample(sample) => samples.push(sample),
            other => panic!("{other:?}"),
        }
    }
    samples
}

/// Four seconds of a clip of 15 pictures and 46.875 AAC frames a second.
async fn check_step(session: &mut Session) {
    let samples = samples(session, 4 * 62).await;
    let of = |track| samples.iter().filter(move |sample| sample.track == track);
    let (pictures, sounds) = (of(0).count(), of(1).count());
    assert!(
        (55..=67).contains(&pictures),
        "{pictures} pictures, {sounds} sounds"
    );
    assert!(
        of(0).filter(|sample| sample.key).count() >= 3,
        "a key frame each second"
    );
    let ms = |sample: &Sample| sample.decode_time * 1000 / [90_000, 48_000][sample.track];
    let first = [0, 1].map(|track| ms(of(track).next().unwrap()));
    assert!(
        (first[0] - first[1]).abs() < 200,
        "tracks begin together: {first:?}"
    );
    for track in [0, 1] {
        let times: Vec<_> = of(track).map(ms).collect();
        assert!(
            times
                .windows(2)
                .all(|pair| (0..=200).contains(&(pair[1] - pair[0]))),
            "{times:?}"
        );
    }
    let last = [0, 1].map(|track| ms(of(track).next_back().unwrap()));
    assert!(
        (last[0] - last[1]).abs() < 300,
        "and stay together: {last:?}"
    );
}

#[test]
fn h264_and_aac_are_read() {
    let cameras = serve("door", "h264_small", &[]);
    let camera = camera(cameras.url("door"), "");
    on_ingest(async move {
        let mut session = connect(&camera).await.unwrap();
        assert_eq!(
            session.tracks()[0].kind,
            TrackKind::Video {
                width: 320,
                height: 180
            }
        );
        assert!(
            session.tracks()[0].codec.starts_with("avc1."),
            "{:?}",
            session.tracks()
        );
        let sound = TrackKind::Audio {
            sample_rate: 48_000,
            channels: 1,
        };
        assert_eq!(session.tracks()[1].kind, sound);
        check_step(&mut session).await;
    });
}

#[test]
fn h265_and_aac_are_read() {
    let cameras = serve("yard", "h265_small", &[]);
    let camera = camera(cameras.url("yard"), "");
    on_ingest(async move {
        let mut session = connect(&camera).await.unwrap();
        assert!(
            session.tracks()[0].codec.starts_with("hvc1."),
            "{:?}",
            session.tracks()
        );
        assert_eq!(&session.tracks()[0].sample_entry[4..8], b"hvc1");
        check_step(&mut session).await;
    });
}

#[test]
fn passwords_open_digest_and_basic_cameras() {
    for options in [
        &["--user", "viewer", "--password", "p@ss word"][..],
        &["--user", "viewer", "--password", "p@ss word", "--basic"],
    ] {
        let cameras = serve("door", "h264_small", options);
        let url = cameras.url("door").to_owned();
        on_ingest(async move {
            let keys = "username = \"viewer\"\npassword = \"p@ss word\"\n";
            let mut session = connect(&camera(&url, keys)).await.unwrap();
            samples(&mut session, 10).await;
            let in_url = url.replace("rtsp://", "rtsp://viewer:p%40ss%20word@");
            let mut session = connect(&camera(&in_url, "")).await.unwrap();
            samples(&mut session, 10).await;
            let wrong = keys.replace("p@ss word", "another");
            let error = connect(&camera(&url, &wrong)).await.err().unwrap();
            assert_eq!(error.kind, ErrorKind::RefusedCredentials, "{error}");
            let error = connect(&camera(&url, "")).await.err().unwrap();
            assert_eq!(error.kind, ErrorKind::CredentialsWanted, "{error}");
        });
    }
}

#[test]
fn a_wrong_path_is_not_found() {
    let cameras = serve("door", "h264_small", &[]);
    let camera = camera(&cameras.url("door").replace("/door", "/window"), "");
    let error = on_ingest(async move { connect(&camera).await.err().unwrap() });
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}

/// Pulls after the server has been told something, until `enough` says so of an event or the session
/// ends.
fn pull_after(
    command: &str,
    enough: impl Fn(&Event) -> bool + Send + 'static,
) -> (Vec<Event>, Option<ErrorKind>) {
    let mut cameras = serve("door", "h264_small", &[]);
    let camera = camera(cameras.url("door"), "");
    let command = command.to_owned();
    on_ingest(async move {
        let mut session = connect(&camera).await.unwrap();
        samples(&mut session, 20).await;
        let told = tokio::task::spawn_blocking(move || {
            cameras.tell(&command);
            cameras
        });
        let _cameras = told.await.unwrap();
        let mut events = Vec::new();
        loop {
            match session.next().await {
                Ok(event) => events.push(event),
                Err(error) => return (events, Some(error.kind)),
            }
            if events.last().is_some_and(&enough) {
                return (events, None);
            }
        }
    })
}

#[test]
fn a_camera_that_falls_silent_is_noticed() {
    let (_, end) = pull_after("stall door", |_| false);
    assert!(
        matches!(
            end,
            Some(ErrorKind::Stalled {
                silent_ms: 2000..4000
            })
        ),
        "{end:?}"
    );
}

/// RTCP's BYE leaves the connection open, and retina does not tell of it.
#[test]
fn a_stream_that_ends_is_noticed() {
    let (_, end) = pull_after("kill door", |_| false);
    assert!(
        matches!(end, Some(ErrorKind::Stalled { .. } | ErrorKind::Ended)),
        "{end:?}"
    );
}

#[test]
fn a_connection_that_ends_is_noticed() {
    let (_, end) = pull_after("drop door", |_| false);
    assert_eq!(end, Some(ErrorKind::Ended));
}

#[test]
fn lost_packets_are_reported() {
    let (events, end) = pull_after("lose door 0.3", |event| matches!(event, Event::Lost { .. }));
    assert_eq!(end, None, "{events:?}");
}

#[test]
fn a_codec_change_is_told_before_its_first_picture() {
    let command = format!("switch door {}", clip("h264_other").display());
    let seen = std::sync::atomic::AtomicBool::new(false);
    let (events, end) = pull_after(&command, move |event| match event {
        Event::Parameters(_) => {
            seen.store(true, std::sync::atomic::Ordering::Relaxed);
            false
        }
        Event::Sample(sample) => {
            sample.track == 0 && seen.load(std::sync::atomic::Ordering::Relaxed)
        }
        _ => false,
    });
    assert_eq!(end, None);
    let changed = events
        .iter()
        .rposition(|event| matches!(event, Event::Parameters(_)))
        .unwrap();
    let Event::Parameters(tracks) = &events[changed] else {
        unreachable!()
    };
    assert_eq!(tracks.len(), 2);
    assert_eq!(
        tracks[0].kind,
        TrackKind::Video {
            width: 480,
            height: 270
        }
    );
    let Some(Event::Sample(first)) = events.last() else {
        panic!("{events:?}")
    };
    assert!(
        first.key,
        "the first picture of the new parameter sets is a key frame"
    );
}

#[test]
fn a_server_that_dies_ends_the_session() {
    let cameras = serve("door", "h264_small", &[]);
    let camera = camera(cameras.url("door"), "");
    let kind = on_ingest(async move {
        let mut session = connect(&camera).await.unwrap();
        samples(&mut session, 20).await;
        drop(cameras);
        loop {
            if let Err(error) = session.next().await {
                return error.kind;
            }
        }
    });
    assert_eq!(kind, ErrorKind::Ended);
}
