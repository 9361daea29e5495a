//! Cameras that misbehave: each fault ends the session with its own error, in time, and with no
//! secret in any word of ours or of a library's.
#![allow(clippy::unwrap_used)]

#[path = "common/scripted.rs"]
mod scripted;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hearthkeep::camera::{Error, ErrorKind, Event, Session, Timeouts, TrackKind};
use hearthkeep::clock::SystemClock;
use hearthkeep::config::{Camera, Config};
use scripted::{IDR, Offer, PPS, SLICE, SPS, Script, Scripted, Step, audio, video};

const QUICK: Timeouts = Timeouts {
    describe: Duration::from_secs(2),
    play: Duration::from_secs(2),
    parameters: Duration::from_millis(500),
    stall: Duration::from_millis(500),
};

fn camera(port: u16, more: &str) -> Camera {
    let text = format!(
        "state_dir = \"s\"\n[[disk]]\npath = \"d\"\n[[camera]]\nname = \"c\"\n\
         url = \"rtsp://127.0.0.1:{port}/live\"\n{more}"
    );
    let config = Config::parse(&text, std::path::Path::new("test.toml")).unwrap();
    config.cameras.into_iter().next().unwrap()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let within = Duration::from_secs(30);
    runtime.block_on(async {
        tokio::time::timeout(within, work)
            .await
            .expect("it ends in time")
    })
}

async fn connect(camera: &Camera) -> Result<Session, Error> {
    Session::connect(camera, Arc::new(SystemClock::new()), QUICK).await
}

/// All events of a scripted camera, and what ended it.
fn play(script: Script) -> (Vec<Event>, ErrorKind) {
    let server = Scripted::start(script);
    run(async {
        let mut events = Vec::new();
        let mut session = match connect(&camera(server.port, "")).await {
            Ok(session) => session,
            Err(error) => return (events, error.kind),
        };
        loop {
            match session.next().await {
                Ok(event) => events.push(event),
                Err(error) => return (events, error.kind),
            }
        }
    })
}

fn refusal(script: Script, more: &str) -> Error {
    let server = Scripted::start(script);
    run(async {
        connect(&camera(server.port, more))
            .await
            .err()
            .expect("it is refused")
    })
}

fn samples(events: &[Event]) -> Vec<(usize, i64, bool)> {
    let times = events.iter().filter_map(|event| match event {
        Event::Sample(sample) => Some((sample.track, sample.decode_time, sample.key)),
        _ => None,
    });
    times.collect()
}

#[test]
fn pictures_and_sound_come_in_step() {
    // The camera says that both tracks begin at these time stamps, video 20 ms before its first.
    let rtp_info = "url=rtsp://camera/live/video;seq=0;rtptime=98200,\
                    url=rtsp://camera/live/audio;seq=0;rtptime=5000";
    let steps = vec![
        video(100_000, IDR),
        audio(5_000 + 960 + 512, &[1, 2, 3]),
        video(103_000, SLICE),
        audio(5_000 + 960 + 1536, &[4, 5]),
    ];
    let script = Script {
        offer: Offer::VideoAndAudio,
        rtp_info: Some(rtp_info.to_owned()),
        steps,
        ..Default::default()
    };
    let server = Scripted::start(script);
    run(async {
        let mut session = connect(&camera(server.port, "")).await.unwrap();
        let tracks = session.tracks();
        assert_eq!(tracks.len(), 2);
        assert!(matches!(tracks[0].kind, TrackKind::Video { .. }));
        assert_eq!(tracks[0].codec, "avc1.42C01E");
        assert_eq!(&tracks[0].sample_entry[4..8], b"avc1");
        assert_eq!(
            tracks[1].kind,
            TrackKind::Audio {
                sample_rate: 48_000,
                channels: 1
            }
        );
        assert_eq!(&tracks[1].sample_entry[4..8], b"mp4a");
        let mut events = Vec::new();
        let end = loop {
            match session.next().await {
                Ok(event) => events.push(event),
                Err(error) => break error.kind,
            }
        };
        assert_eq!(end, ErrorKind::Ended);
        let expected = [
            (0, 0, true),
            (1, 512, true),
            (0, 3_000, false),
            (1, 1536, true),
        ];
        assert_eq!(samples(&events), expected);
        let Event::Sample(first) = &events[0] else {
            panic!("{events:?}")
        };
        assert_eq!(first.data, [&[0, 0, 0, 5][..], IDR].concat());
    });
}

#[test]
fn without_rtp_info_both_begin_at_once() {
    let steps = vec![video(7, IDR), audio(900_000, &[1]), video(3_007, SLICE)];
    let (events, _) = play(Script {
        offer: Offer::VideoAndAudio,
        steps,
        ..Default::default()
    });
    assert_eq!(
        samples(&events),
        [(0, 0, true), (1, 0, true), (0, 3_000, false)]
    );
}

#[test]
fn time_stamps_may_wrap() {
    let start = u32::MAX - 2_999;
    let steps = vec![video(start, IDR), video(0, SLICE), video(3_000, SLICE)];
    let (events, end) = play(Script {
        steps,
        ..Default::default()
    });
    assert_eq!(
        samples(&events),
        [(0, 0, true), (0, 3_000, false), (0, 6_000, false)]
    );
    assert_eq!(end, ErrorKind::Ended);
}

#[test]
fn b_frames_and_jumps_are_told_apart_from_damage() {
    let steps = vec![
        video(0, IDR),
        video(9_000, SLICE),
        video(3_000, SLICE),
        Step::Silence,
    ];
    let (events, end) = play(Script {
        steps,
        ..Default::default()
    });
    assert_eq!(samples(&events).len(), 2);
    assert_eq!(end, ErrorKind::Timestamps { jump_ms: -66 });
    let steps = vec![video(0, IDR), video(90_000 * 60, SLICE), Step::Silence];
    let (_, end) = play(Script {
        steps,
        ..Default::default()
    });
    assert_eq!(end, ErrorKind::Timestamps { jump_ms: 60_000 });
}

#[test]
fn parameter_sets_are_waited_for_and_may_change() {
    let mut other = SPS.to_vec();
    other[3] = 0x1f; // Another level.
    let steps = vec![
        video(0, SLICE),
        video(3_000, SPS),
        video(3_000, PPS),
        video(6_000, IDR),
        video(9_000, SLICE),
        Step::Rtp {
            channel: 0,
            mark: false,
            timestamp: 12_000,
            payload: other,
        },
        Step::Rtp {
            channel: 0,
            mark: false,
            timestamp: 12_000,
            payload: PPS.to_vec(),
        },
        video(12_000, IDR),
    ];
    // Marked parameter sets are units of their own for retina, so each half comes alone.
    let steps = steps
        .into_iter()
        .enumerate()
        .filter(|(i, _)| ![1, 2].contains(i));
    let mut steps: Vec<_> = steps.map(|(_, step)| step).collect();
    let unmarked = |payload: &[u8]| Step::Rtp {
        channel: 0,
        mark: false,
        timestamp: 6_000,
        payload: payload.to_vec(),
    };
    steps.splice(1..1, [unmarked(SPS), unmarked(PPS)]);
    let (events, _) = play(Script {
        offer: Offer::VideoBare,
        steps,
        ..Default::default()
    });
    let kinds: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Sample(sample) if sample.key => "key".to_owned(),
            Event::Sample(_) => "picture".to_owned(),
            Event::Parameters(tracks) => tracks[0].codec.clone(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        ["key", "picture", "avc1.42C01F", "key"],
        "the first slice was of no use"
    );
}

#[test]
fn parameter_sets_that_never_come_are_missed() {
    let steps = vec![video(0, SLICE), video(3_000, SLICE), Step::Silence];
    let (_, end) = play(Script {
        offer: Offer::VideoBare,
        steps,
        ..Default::default()
    });
    assert!(
        matches!(end, ErrorKind::NoParameters | ErrorKind::Stalled { .. }),
        "{end:?}"
    );
}

#[test]
fn silence_is_a_stall_even_with_sound() {
    let (events, end) = play(Script {
        steps: vec![video(0, IDR), Step::Silence],
        ..Default::default()
    });
    assert_eq!(samples(&events).len(), 1);
    assert!(
        matches!(end, ErrorKind::Stalled { silent_ms: 500.. }),
        "{end:?}"
    );
    // Sound as fast as it is taken: the session is never found waiting.
    let steps = vec![video(0, IDR), Step::Endless(|i| audio(i, &[0; 8]))];
    let (_, end) = play(Script {
        offer: Offer::VideoAndAudio,
        steps,
        ..Default::default()
    });
    assert!(
        matches!(end, ErrorKind::Stalled { silent_ms: 500.. }),
        "{end:?}"
    );
}

#[test]
fn a_lost_packet_is_reported() {
    let steps = vec![
        video(0, IDR),
        Step::Raw(interleaved(9, 3_000, SLICE)),
        Step::Silence,
    ];
    let (events, _) = play(Script {
        steps,
        ..Default::default()
    });
    assert!(
        matches!(
            events[..],
            [
                Event::Sample(_),
                Event::Lost {
                    track: 0,
                    packets: 8
                },
                Event::Sample(_)
            ]
        ),
        "{events:?}"
    );
}

fn interleaved(sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0xe0];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&timestamp.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 0]);
    packet.extend_from_slice(payload);
    let length = (packet.len() as u16).to_be_bytes();
    [&[b'$', 0, length[0], length[1]][..], &packet].concat()
}

#[test]
fn what_is_offered_decides() {
    let kind = |offer| {
        refusal(
            Script {
                offer,
                ..Default::default()
            },
            "",
        )
        .kind
    };
    assert_eq!(kind(Offer::AudioOnly), ErrorKind::NoVideo);
    assert_eq!(
        kind(Offer::Mjpeg),
        ErrorKind::UnsupportedCodec {
            codec: "JPEG".to_owned()
        }
    );
    let server = Scripted::start(Script {
        offer: Offer::ManyThings,
        steps: vec![Step::Silence],
        ..Default::default()
    });
    run(async {
        let session = connect(&camera(server.port, "")).await.unwrap();
        assert_eq!(session.tracks().len(), 1);
        let ignored: Vec<_> = session
            .ignored()
            .iter()
            .map(|one| one.codec.as_str())
            .collect();
        assert_eq!(ignored, ["opus", "vnd.onvif.metadata", "h265"]);
    });
}

#[test]
fn statuses_have_their_sentences() {
    let told = |status| {
        refusal(
            Script {
                status: Some(status),
                ..Default::default()
            },
            "",
        )
    };
    let error = told(404);
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(
        error
            .sentence()
            .contains("/live has no stream of that path."),
        "{error}"
    );
    assert!(error.advice().contains("\"url\""));
    assert_eq!(told(401).kind, ErrorKind::CredentialsWanted);
    assert_eq!(told(453).kind, ErrorKind::Refused { status: 453 });
}

#[test]
fn nobody_there_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = run(async { connect(&camera(port, "")).await.err().unwrap() });
    assert!(
        matches!(error.kind, ErrorKind::Unreachable { .. }),
        "{error}"
    );
    assert!(error.sentence().contains("refused"), "{error}");
}

#[test]
fn no_answer_and_no_sense_are_told_apart() {
    let end = |step| {
        refusal(
            Script {
                garbage: Some(step),
                ..Default::default()
            },
            "",
        )
        .kind
    };
    assert_eq!(end(Step::Silence), ErrorKind::NoAnswer { waited_ms: 2_000 });
    let nonsense = end(Step::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()));
    assert!(
        matches!(nonsense, ErrorKind::BadData { .. }),
        "{nonsense:?}"
    );
    let header = end(Step::Raw(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nX: ".to_vec()));
    assert!(
        matches!(header, ErrorKind::Ended | ErrorKind::Unreachable { .. }),
        "{header:?}"
    );
    let (_, junk) = play(Script {
        steps: vec![Step::Raw(vec![0xff; 4096])],
        ..Default::default()
    });
    assert!(matches!(junk, ErrorKind::BadData { .. }), "{junk:?}");
}

#[test]
fn a_password_file_that_is_not_there_is_named() {
    let server = Scripted::start(Script::default());
    let camera = camera(
        server.port,
        "username = \"u\"\npassword_file = \"/nowhere/front.pw\"\n",
    );
    let error = run(async { connect(&camera).await.err().unwrap() });
    assert!(
        matches!(error.kind, ErrorKind::PasswordFile { .. }),
        "{error}"
    );
    assert!(
        error
            .sentence()
            .contains("/nowhere/front.pw cannot be read"),
        "{error}"
    );
}

/// Everything that anybody logs, at the most talkative level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_refused_password_is_in_no_error_and_no_log() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .init();
    let challenges = [
        "Basic realm=\"camera\"",
        "Digest realm=\"camera\", nonce=\"abcdef\", algorithm=MD5",
        "Digest realm=\"camera\", nonce=\"abcdef\", algorithm=SHA-256, qop=\"auth\"",
    ];
    for challenge in challenges {
        let script = Script {
            challenge: Some(challenge),
            ..Default::default()
        };
        let error = refusal(script, "username = \"viewer\"\npassword = \"hunter2\"\n");
        assert_eq!(error.kind, ErrorKind::RefusedCredentials, "{challenge}");
        assert!(!format!("{error} {error:?} {}", error.advice()).contains("hunter2"));
    }
    let told = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!told.is_empty(), "the log is caught");
    assert!(!told.contains("hunter2"), "{told}");
    assert!(
        !told.contains("dmlld2VyOmh1bnRlcjI="),
        "viewer:hunter2 in base64: {told}"
    );
}
