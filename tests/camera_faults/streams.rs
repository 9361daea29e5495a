//! What a camera sends while it plays.

use hearthkeep::camera::{ErrorKind, Event, Timeouts, TrackKind};
use hearthkeep::limits::CAMERA_UNFINISHED_BYTES_MAX;

use crate::scripted::{IDR, Offer, PPS, SLICE, SPS, Script, Scripted, Step, audio, video};
use crate::{camera, connect, play, play_within, run};

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

/// A NAL unit that is not the last of its access unit.
fn part(timestamp: u32, payload: &[u8]) -> Step {
    Step::Rtp {
        channel: 0,
        mark: false,
        timestamp,
        payload: payload.to_vec(),
    }
}

#[test]
fn parameter_sets_are_waited_for_and_may_change() {
    let mut other = SPS.to_vec();
    other[3] = 0x1f; // Another level.
    let steps = vec![
        video(0, SLICE),
        part(6_000, SPS),
        part(6_000, PPS),
        video(6_000, IDR),
        video(9_000, SLICE),
        part(12_000, &other),
        part(12_000, PPS),
        video(12_000, IDR),
    ];
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

/// A fragment (FU-A) of a slice that neither begins nor ends.
fn middle(_: u32) -> Step {
    let mut payload = vec![0x7c, 0x05];
    payload.resize(16_000, 0x5a);
    part(3_000, &payload)
}

/// A picture that never ends, after one that did.
fn endless() -> Vec<Step> {
    let mut first = vec![0x7c, 0x85];
    first.resize(16_000, 0x5a);
    vec![video(0, IDR), part(3_000, &first), Step::Endless(middle)]
}

#[test]
fn a_picture_that_never_ends_is_cut_off_by_what_it_takes() {
    let script = Script {
        steps: endless(),
        ..Default::default()
    };
    let (events, end) = play_within(Timeouts::default(), script);
    assert_eq!(samples(&events).len(), 1);
    assert!(
        matches!(end, ErrorKind::Endless { bytes } if bytes > CAMERA_UNFINISHED_BYTES_MAX),
        "{end:?}"
    );
}

#[test]
fn a_picture_that_never_ends_and_hardly_grows_is_cut_off_by_time() {
    let slow = |i| match i % 2 {
        0 => Step::Pause(std::time::Duration::from_millis(20)),
        _ => middle(i),
    };
    let mut steps = endless();
    steps.pop();
    steps.push(Step::Endless(slow));
    let (events, end) = play(Script {
        steps,
        ..Default::default()
    });
    assert_eq!(samples(&events).len(), 1);
    assert!(
        matches!(
            end,
            ErrorKind::Stalled {
                silent_ms: 500..2_000
            }
        ),
        "{end:?}"
    );
}

#[test]
fn an_answer_that_never_ends_is_cut_off() {
    let line = |i| match i {
        0 => Step::Raw(b"RTSP/1.0 200 OK\r\n".to_vec()),
        _ => Step::Raw([&b"X-More: "[..], &[b'a'; 16_000], b"\r\n"].concat()),
    };
    let script = Script {
        garbage: Some(Step::Endless(line)),
        ..Default::default()
    };
    let (_, end) = play_within(Timeouts::default(), script);
    assert!(matches!(end, ErrorKind::Endless { .. }), "{end:?}");
}
