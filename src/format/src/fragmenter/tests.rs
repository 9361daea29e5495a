//! Tests of the contract at the top of the module.

use super::*;
use crate::fmp4::{Run, SampleTable, parse_fragment};
use proptest::prelude::*;

const VIDEO: TrackClock = TrackClock {
    timescale: 90_000,
    is_video: true,
};
const AUDIO: TrackClock = TrackClock {
    timescale: 48_000,
    is_video: false,
};

fn fragmenter(tracks: &[TrackClock]) -> Fragmenter {
    Fragmenter::new(tracks.to_vec(), Limits::default()).unwrap()
}

fn sample(track: usize, decode_time: u64, key: bool) -> Sample {
    let data = vec![decode_time as u8; 1 + decode_time as usize % 50];
    Sample {
        track,
        decode_time,
        composition_offset: 0,
        key,
        data,
    }
}

/// Pushes, checks and pulls.
fn feed(fragmenter: &mut Fragmenter, sample: Sample) -> Vec<Fragment> {
    fragmenter.push(sample).unwrap();
    fragmenter.check_invariants();
    let fragments = std::iter::from_fn(|| fragmenter.pull()).collect();
    fragmenter.check_invariants();
    fragments
}

/// (Track, first decode time, durations) of each run.
fn shape(fragment: &Fragment) -> Vec<(u32, u64, Vec<u32>)> {
    let durations = |run: &Run| run.samples().iter().map(|s| s.info.duration).collect();
    fragment
        .runs()
        .iter()
        .map(|run| (run.track_id(), run.decode_time(), durations(run)))
        .collect()
}

#[test]
fn a_key_frame_begins_a_fragment_and_ends_the_one_before_exactly() {
    let mut fragmenter = fragmenter(&[VIDEO, AUDIO]);
    let mut out = Vec::new();
    for (track, time, key) in [
        (0, 0, true),
        (1, 100, true),
        (0, 3000, false),
        (1, 1124, true),
        (0, 6010, true),
        (1, 2148, true),
        (0, 9000, false),
    ] {
        out.extend(feed(&mut fragmenter, sample(track, time, key)));
    }
    assert_eq!(out.len(), 1);
    assert_eq!(
        shape(&out[0]),
        [(1, 0, vec![3000, 3010]), (2, 100, vec![1024])]
    );
    assert!(out[0].starts_with_key());
    assert_eq!((out[0].decode_time_us(), out[0].duration_us()), (0, 66_777));
    let rest: Vec<_> = fragmenter.finish().collect();
    assert_eq!(rest.len(), 1);
    // The last durations are those of the samples before.
    assert_eq!(
        shape(&rest[0]),
        [(1, 6010, vec![2990, 2990]), (2, 1124, vec![1024, 1024])]
    );
    assert!(rest[0].starts_with_key());
    assert_eq!(rest[0].decode_time_us(), 66_777);
}

#[test]
fn fragments_last_as_long_as_asked_for() {
    let mut fragmenter = fragmenter(&[VIDEO]);
    let mut lengths = Vec::new();
    for index in 0..61_u64 {
        if index == 31 {
            fragmenter.set_duration_max_us(100_000);
        }
        for fragment in feed(&mut fragmenter, sample(0, index * 3000, index == 0)) {
            lengths.push(fragment.runs()[0].samples().len());
            assert_eq!(fragment.starts_with_key(), lengths.len() == 1);
        }
    }
    assert_eq!(lengths, [15, 15, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
}

#[test]
fn without_video_sound_decides() {
    let mut fragmenter = fragmenter(&[AUDIO]);
    let mut out = Vec::new();
    for index in 0..60 {
        out.extend(feed(&mut fragmenter, sample(0, index * 1024, false)));
    }
    assert_eq!(out.len(), 2);
    assert!(out.iter().all(|fragment| fragment.starts_with_key()));
    assert_eq!(out[0].runs()[0].samples().len(), 24);
    assert!(out[0].runs()[0].samples().iter().all(|s| s.info.key));
}

#[test]
fn sound_goes_on_while_video_stands_still() {
    let mut fragmenter = fragmenter(&[VIDEO, AUDIO]);
    feed(&mut fragmenter, sample(0, 0, true));
    let mut out = Vec::new();
    for index in 0..200 {
        out.extend(feed(&mut fragmenter, sample(1, index * 1024, true)));
    }
    assert!(
        out.is_empty(),
        "nothing could be played before the first key frame"
    );
    out.extend(feed(&mut fragmenter, sample(0, 400_000, false)));
    assert_eq!(out.len(), 1);
    assert!(out[0].starts_with_key());
    out.clear();
    for index in 200..300 {
        out.extend(feed(&mut fragmenter, sample(1, index * 1024, true)));
    }
    assert_eq!(out.len(), 1);
    assert!(!out[0].starts_with_key());
    assert_eq!(out[0].runs()[0].track_id(), 2);
    assert_eq!(out[0].decode_time_us(), 199 * 1024 * 1_000_000 / 48_000);
}

#[test]
fn flushing_keeps_durations_exact() {
    let mut fragmenter = fragmenter(&[VIDEO]);
    feed(&mut fragmenter, sample(0, 0, true));
    fragmenter.flush();
    assert!(
        fragmenter.pull().is_none(),
        "the only sample's duration is not known"
    );
    feed(&mut fragmenter, sample(0, 3001, false));
    fragmenter.flush();
    fragmenter.check_invariants();
    assert_eq!(shape(&fragmenter.pull().unwrap()), [(1, 0, vec![3001])]);
    let rest: Vec<_> = fragmenter.finish().collect();
    assert_eq!(shape(&rest[0]), [(1, 3001, vec![3001])]);
}

#[test]
fn an_only_sample_gets_an_assumed_duration() {
    let mut fragmenter = fragmenter(&[VIDEO, AUDIO]);
    feed(&mut fragmenter, sample(0, 0, true));
    feed(&mut fragmenter, sample(1, 7, true));
    let rest: Vec<_> = fragmenter.finish().collect();
    assert_eq!(shape(&rest[0]), [(1, 0, vec![3000]), (2, 7, vec![1024])]);
    let nothing = super::Fragmenter::<Vec<u8>>::new(vec![AUDIO], Limits::default()).unwrap();
    assert_eq!(nothing.finish().count(), 0);
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let mut fragmenter = fragmenter(&[VIDEO, AUDIO]);
    assert_eq!(
        fragmenter.push(sample(1, 0, true)),
        Err(Error::BeforeFirstKey)
    );
    assert_eq!(
        fragmenter.push(sample(0, 0, false)),
        Err(Error::BeforeFirstKey)
    );
    feed(&mut fragmenter, sample(0, 50, true));
    feed(&mut fragmenter, sample(1, 50, true));
    let cases = [
        (sample(2, 60, true), Error::UnknownTrack { track: 2 }),
        (
            Sample {
                data: vec![],
                ..sample(0, 60, true)
            },
            Error::EmptySample { track: 0 },
        ),
        (
            sample(0, 50, true),
            Error::NotMonotonic {
                track: 0,
                previous: 50,
                next: 50,
            },
        ),
        (
            sample(1, 49, true),
            Error::NotMonotonic {
                track: 1,
                previous: 50,
                next: 49,
            },
        ),
        (
            sample(0, 1 << 33, true),
            Error::GapTooLong {
                track: 0,
                ticks: (1 << 33) - 50,
            },
        ),
        (sample(0, 1 << 63, true), Error::TimeOutOfRange { track: 0 }),
    ];
    for (wrong, error) in cases {
        assert_eq!(fragmenter.push(wrong), Err(error));
        fragmenter.check_invariants();
    }
    let large = Sample {
        data: vec![0; FRAGMENT_BYTES_MAX as usize - 100],
        ..sample(0, 60, true)
    };
    assert!(matches!(
        fragmenter.push(large),
        Err(Error::SampleTooLarge { track: 0, .. })
    ));
    fragmenter.push(sample(0, 60, true)).unwrap();
    assert_eq!(fragmenter.push(sample(0, 70, false)), Err(Error::NotPulled));
    assert_eq!(shape(&fragmenter.pull().unwrap()), [(1, 50, vec![10])]);
    feed(&mut fragmenter, sample(0, 70, false));
}

#[test]
fn unusable_tracks_and_limits_are_refused() {
    let new = |tracks: &[TrackClock], limits| Fragmenter::<Vec<u8>>::new(tracks.to_vec(), limits);
    for tracks in [
        &[][..],
        &[VIDEO, VIDEO],
        &[TrackClock {
            timescale: 0,
            ..AUDIO
        }],
        &[AUDIO; 9],
    ] {
        assert!(matches!(
            new(tracks, Limits::default()),
            Err(Error::Tracks { .. })
        ));
    }
    for (bytes, samples) in [(0, 1), (FRAGMENT_BYTES_MAX + 1, 1), (1, 0), (1, 4097)] {
        let limits = Limits {
            fragment_bytes_max: bytes,
            fragment_samples_max: samples,
        };
        assert!(matches!(new(&[VIDEO], limits), Err(Error::TooMany { .. })));
    }
}

#[test]
fn the_largest_sample_fits() {
    let mut fragmenter = fragmenter(&[VIDEO, AUDIO]);
    let bytes = FRAGMENT_BYTES_MAX as usize - overhead_bytes_max(2) - SAMPLE_OVERHEAD_BYTES_MAX;
    feed(
        &mut fragmenter,
        Sample {
            data: vec![1; bytes],
            ..sample(0, 0, true)
        },
    );
    feed(&mut fragmenter, sample(1, 0, true));
    let out: Vec<_> = fragmenter.finish().collect();
    assert_eq!(out.len(), 2);
    assert!(
        out.iter()
            .all(|fragment| fragment.encoded_len() <= FRAGMENT_BYTES_MAX as usize)
    );
}

/// One thing that a test does to a fragmenter.
#[derive(Debug, Clone)]
enum Step {
    Push {
        audio: bool,
        ticks: u32,
        key: bool,
        bytes: usize,
        composition_offset: i32,
    },
    SetDurationMax(u32),
    Flush,
}

fn any_step() -> impl Strategy<Value = Step> {
    let push = (
        any::<bool>(),
        1..20_000_u32,
        any::<prop::sample::Index>(),
        1..400_usize,
        -9..9,
    )
        .prop_map(|(audio, ticks, key, bytes, composition_offset)| {
            let key = key.index(6) == 0;
            Step::Push {
                audio,
                ticks,
                key,
                bytes,
                composition_offset,
            }
        });
    prop_oneof![
        20 => push,
        1 => (0..1_000_000_u32).prop_map(Step::SetDurationMax),
        1 => Just(Step::Flush),
    ]
}

proptest! {
    #[test]
    fn every_sample_comes_out_once_and_exact(
        steps in prop::collection::vec(any_step(), 0..200),
        bytes_max in 700..5000_u32,
        samples_max in 1..40_u32,
    ) {
        let limits = Limits { fragment_bytes_max: bytes_max, fragment_samples_max: samples_max };
        let mut fragmenter = Fragmenter::new(vec![VIDEO, AUDIO], limits).unwrap();
        let mut pushed = [const { Vec::<(u64, Sample)>::new() }; 2];
        let mut ends = [0_u64; 2];
        let mut out = Vec::new();
        for step in steps {
            match step {
                Step::SetDurationMax(us) => fragmenter.set_duration_max_us(us),
                Step::Flush => fragmenter.flush(),
                Step::Push { audio, ticks, key, bytes, composition_offset } => {
                    let track = usize::from(audio);
                    let decode_time = ends[track];
                    let data: Vec<u8> = (0..bytes).map(|i| (i as u64 + decode_time) as u8).collect();
                    let sample = Sample { track, decode_time, composition_offset, key, data };
                    match fragmenter.push(sample.clone()) {
                        Ok(()) => {
                            ends[track] += u64::from(ticks);
                            pushed[track].push((decode_time, sample));
                        }
                        Err(error) => {
                            prop_assert_eq!(error, Error::BeforeFirstKey);
                            prop_assert!(pushed[0].is_empty());
                        }
                    }
                }
            }
            fragmenter.check_invariants();
            out.extend(std::iter::from_fn(|| fragmenter.pull()));
            fragmenter.check_invariants();
        }
        out.extend(fragmenter.finish());

        let mut table = SampleTable::new();
        let mut given = [const { Vec::new() }; 2];
        for fragment in &out {
            let mut bytes = Vec::new();
            fragment.write_to(1, &mut bytes);
            prop_assert!(bytes.len() <= bytes_max as usize);
            let view = parse_fragment(&bytes).unwrap();
            table.push_fragment(fragment).unwrap();
            for run in &view.runs {
                prop_assert!(run.samples.len() <= samples_max as usize);
                let mut time = run.decode_time;
                let mut at = run.data.start;
                for (index, info) in run.samples.iter().enumerate() {
                    let data = bytes[at..at + info.size as usize].to_vec();
                    at += info.size as usize;
                    given[run.track_id as usize - 1].push((time, *info, data));
                    time += u64::from(info.duration);
                    let late_key = run.track_id == 1 && info.key && index > 0;
                    prop_assert!(!late_key, "a key frame begins its fragment");
                }
            }
            let key = view.runs[0].track_id == 1 && view.runs[0].samples[0].key;
            prop_assert_eq!(fragment.starts_with_key(), key);
        }
        for (pushed, given) in pushed.iter().zip(&given) {
            prop_assert_eq!(pushed.len(), given.len());
            for (index, ((time, sample), (given_time, info, data))) in
                pushed.iter().zip(given).enumerate()
            {
                prop_assert_eq!(time, given_time);
                prop_assert_eq!(&sample.data, data);
                prop_assert_eq!(sample.composition_offset, info.composition_offset);
                prop_assert_eq!(sample.key || sample.track == 1, info.key);
                if let Some((next, _)) = pushed.get(index + 1) {
                    prop_assert_eq!(u64::from(info.duration), next - time);
                }
            }
        }
        prop_assert_eq!(table.samples() as usize, pushed[0].len() + pushed[1].len());
    }
}
