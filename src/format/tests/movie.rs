//! From a clip's samples through fragments and tables to a movie, checked with another parser.
//!
//! The files are kept under `target/tmp`, for a look with other tools.

#![allow(clippy::unwrap_used)]

mod clips;

use clips::{Clip, ClipTrack, Piece, Segment, export, keep, whole_run};
use hearthkeep_format::fmp4::{
    Error, FragmentView, MovieBuilder, RunView, SampleInfo, SampleTable, SegmentPlace, Track,
    init_segment, parse_fragment, parse_init,
};
use proptest::prelude::*;

const ORIGIN_US: i64 = 1_700_000_000_123_456;

fn clip() -> Clip {
    Clip::read(include_bytes!("data/h264_aac_160x90.mp4"))
}

fn other_clip() -> Clip {
    Clip::read(include_bytes!("data/h264_128x96.mp4"))
}

/// Bytes, distances, offsets and key frames of `samples` are those of the source.
fn assert_same(exported: &ClipTrack, source: &ClipTrack) {
    assert_eq!(exported.timescale, source.timescale);
    assert_eq!(exported.entries, source.entries);
    assert_eq!(exported.samples.len(), source.samples.len());
    let last = source.samples.len() - 1;
    for (index, (exported, source)) in exported.samples.iter().zip(&source.samples).enumerate() {
        // The last duration is not known to a camera's reader: it assumes the one before.
        let duration = if index == last {
            exported.duration
        } else {
            source.duration
        };
        let source = clips::ClipSample {
            duration,
            ..source.clone()
        };
        assert!(*exported == source, "sample {index}");
    }
}

fn total_ticks(track: &ClipTrack) -> u64 {
    track
        .samples
        .iter()
        .map(|sample| u64::from(sample.duration))
        .sum()
}

#[test]
fn one_run_over_several_segments_is_the_source() {
    let source = clip();
    let segments = source.record(0, 2);
    assert_eq!(segments.len(), 3);
    let tracks = source.tracks();
    let movie = Clip::read(&export(
        "one_run.mp4",
        &whole_run(&tracks, &segments, ORIGIN_US),
    ));
    assert!(movie.moov_first);
    assert_eq!(movie.created, 1_700_000_000 + 2_082_844_800);
    assert_eq!(movie.tracks.len(), 2);
    for (exported, source) in movie.tracks.iter().zip(&source.tracks) {
        assert_same(exported, source);
    }
    // The first picture is shown 80 ms after it is decoded, and so after the sound begins.
    assert_eq!((movie.begins(0), movie.begins(1)), (0.08, 0.0));
    assert_eq!(movie.tracks[0].media_time, 7200);
}

#[test]
fn fragments_behind_their_init_segment_parse_back() {
    let source = clip();
    let tracks = source.tracks();
    let init = init_segment(&tracks);
    assert_eq!(parse_init(&init).unwrap(), tracks);
    let names: Vec<_> = tracks
        .iter()
        .map(|track| track.codec_string().unwrap())
        .collect();
    assert_eq!(names, ["avc1.4d400b", "mp4a.40.2"]);

    let segments = source.record(0, 100);
    let [Segment { fragments, .. }] = &segments[..] else {
        panic!("one segment")
    };
    let mut next = [0; 2];
    for bytes in fragments {
        let view = parse_fragment(bytes).unwrap();
        for run in &view.runs {
            let track = run.track_id as usize - 1;
            let mut at = run.data.start;
            let mut time = run.decode_time;
            for info in &run.samples {
                let expected = &source.tracks[track].samples[next[track]];
                next[track] += 1;
                assert_eq!(bytes[at..at + info.size as usize], expected.data);
                assert_eq!((time, info.key), (expected.decode_time, expected.key));
                assert_eq!(info.composition_offset, expected.composition_offset);
                at += info.size as usize;
                time += u64::from(info.duration);
            }
        }
    }
    assert_eq!(next, [50, 95]);
    keep("fragments.mp4", &[&init[..], &fragments.concat()].concat());
}

#[test]
fn a_gap_between_runs_lasts_as_long_as_on_the_wall() {
    let source = clip();
    let tracks = source.tracks();
    // The second run's camera had counted for 100 s when it began.
    let (first, second) = (source.record(0, 1), source.record(100_000_000, 1));
    let gap_us = 10_333_333;
    let mut pieces = whole_run(&tracks, &first, ORIGIN_US);
    pieces.extend(whole_run(
        &tracks,
        &second,
        ORIGIN_US + gap_us - 100_000_000,
    ));
    let movie = Clip::read(&export("two_runs.mp4", &pieces));
    for (exported, source) in movie.tracks.iter().zip(&source.tracks) {
        let half = source.samples.len();
        assert_eq!(exported.samples.len(), 2 * half);
        let begins = exported.samples[half].decode_time;
        let wanted = (gap_us as u64 * u64::from(source.timescale) + 500_000) / 1_000_000;
        assert_eq!(begins, wanted, "to the nearest tick");
        let data = |index: usize| &source.samples[index % half].data;
        assert!((0..2 * half).all(|index| exported.samples[index].data == *data(index)));
        assert_eq!(exported.entries.len(), 1);
    }
}

#[test]
fn runs_that_overlap_follow_each_other_and_the_next_is_in_time_again() {
    let source = clip();
    let tracks = source.tracks();
    let run = source.record(0, 100);
    let mut pieces = whole_run(&tracks, &run, ORIGIN_US);
    pieces.extend(whole_run(&tracks, &run, ORIGIN_US + 1_500_000));
    pieces.extend(whole_run(&tracks, &run, ORIGIN_US + 10_000_000));
    let movie = Clip::read(&export("overlap.mp4", &pieces));
    let ends = movie
        .tracks
        .iter()
        .zip(&source.tracks)
        .map(|(exported, source)| {
            let count = source.samples.len();
            let end = exported.samples[..count - 1]
                .iter()
                .map(|s| u64::from(s.duration))
                .sum::<u64>();
            let timescale = f64::from(source.timescale);
            let second = exported.samples[count].decode_time as f64 / timescale;
            let third = exported.samples[2 * count].decode_time as f64 / timescale;
            assert!((third - 10.0).abs() < 1e-4);
            (end as f64 / timescale, second)
        });
    let ends: Vec<_> = ends.collect();
    assert!(ends.iter().all(|(end, second)| second > end));
    assert!(
        (ends[0].1 - ends[1].1).abs() < 1e-4,
        "tracks stay in step: {ends:?}"
    );
}

#[test]
fn other_parameters_become_another_sample_entry_and_sound_may_be_missing() {
    let (with_sound, silent) = (clip(), other_clip());
    let (tracks, silent_tracks) = (with_sound.tracks(), silent.tracks());
    let (first, second) = (with_sound.record(0, 100), silent.record(0, 100));
    let mut pieces = whole_run(&tracks, &first, ORIGIN_US);
    pieces.extend(whole_run(&silent_tracks, &second, ORIGIN_US + 3_000_000));
    pieces.extend(whole_run(&tracks, &first, ORIGIN_US + 5_000_000));
    let movie = Clip::read(&export("two_entries.mp4", &pieces));
    let [video, audio] = &movie.tracks[..] else {
        panic!("two tracks")
    };
    assert_eq!(
        video.entries,
        [&tracks[0].sample_entry[..], &silent_tracks[0].sample_entry]
    );
    let entries: Vec<_> = video.samples.iter().map(|sample| sample.entry).collect();
    assert_eq!(entries, [vec![0; 50], vec![1; 15], vec![0; 50]].concat());
    assert_eq!(video.samples[50].decode_time, 3 * 90_000);
    assert_eq!(video.samples[65].decode_time, 5 * 90_000);
    assert_eq!(audio.samples.len(), 2 * 95);
    assert_eq!(audio.samples[95].decode_time, 5 * 48_000);
}

#[test]
fn a_track_that_comes_later_is_delayed() {
    let (with_sound, silent) = (clip(), other_clip());
    let (tracks, silent_tracks) = (with_sound.tracks(), silent.tracks());
    let (first, second) = (silent.record(0, 100), with_sound.record(0, 100));
    let mut pieces = whole_run(&silent_tracks, &first, ORIGIN_US);
    pieces.extend(whole_run(&tracks, &second, ORIGIN_US + 3_000_000));
    let movie = Clip::read(&export("late_sound.mp4", &pieces));
    assert_eq!((movie.begins(0), movie.begins(1)), (0.0, 3.0));
    assert_eq!(movie.tracks[0].delay, 0);
    assert_eq!(
        movie.tracks[1].samples[0].data,
        with_sound.tracks[1].samples[0].data
    );
}

#[test]
fn a_range_begins_at_a_key_frame_and_keeps_sound_in_step() {
    let source = clip();
    let tracks = source.tracks();
    let segments = source.record(0, 100);
    let segment = &segments[0];
    let views: Vec<_> = segment
        .fragments
        .iter()
        .map(|f| parse_fragment(f).unwrap())
        .collect();
    let starts: Vec<bool> = views
        .iter()
        .map(|view| view.runs[0].samples[0].key)
        .collect();
    let first = 1 + starts[1..].iter().position(|&key| key).unwrap() as u32;
    let place = SegmentPlace::NewRun {
        origin_us: ORIGIN_US,
    };
    let end = segment.table.chunks() - 1;
    let piece = |chunks| Piece {
        tracks: &tracks,
        segment,
        chunks,
        place,
    };
    let movie = Clip::read(&export("range.mp4", &[piece(first..end)]));

    let runs = &views[first as usize].runs;
    let starts: Vec<u64> = runs.iter().map(|run| run.decode_time).collect();
    let shown = starts[0] as i64 + i64::from(runs[0].samples[0].composition_offset);
    let (video, audio) = (shown as f64 / 90_000.0, starts[1] as f64 / 48_000.0);
    assert_ne!(video, audio, "the case must be one of different starts");
    let delay = movie.begins(0) - movie.begins(1);
    assert!((delay - (video - audio)).abs() < 1e-9);
    assert_eq!(movie.begins(0).min(movie.begins(1)), 0.0);
    for (track, source) in movie.tracks.iter().zip(&source.tracks) {
        let at = source
            .samples
            .iter()
            .position(|s| s.data == track.samples[0].data)
            .unwrap();
        assert_eq!(
            source.samples[at].decode_time,
            starts[usize::from(!track.is_video)]
        );
    }

    let mut builder = MovieBuilder::new();
    let mut add = |chunks, place| {
        builder
            .add_segment(&tracks, &segment.table, chunks, place)
            .unwrap_err()
    };
    let chunks = end + 1;
    assert_eq!(add(0..1, SegmentPlace::SameRun), Error::NothingToContinue);
    assert_eq!(
        add(2..2, place),
        Error::ChunkRange {
            first: 2,
            end: 2,
            chunks
        }
    );
    assert_eq!(
        add(0..9, place),
        Error::ChunkRange {
            first: 0,
            end: 9,
            chunks
        }
    );
    if let Some(inside) = views.iter().position(|view| !view.runs[0].samples[0].key) {
        let inside = inside as u32;
        assert_eq!(
            add(inside..chunks, place),
            Error::NotAKeyFrame { chunk: inside }
        );
    }
    assert_eq!(MovieBuilder::new().finish(), Err(Error::NoSamples));
}

#[test]
fn another_timescale_is_converted_without_drift() {
    let source = clip();
    let mut slow = source.clone();
    // The same sound on a clock of 44.1 kHz: each frame lasts longer.
    slow.tracks[1].timescale = 44_100;
    let (tracks, slow_tracks) = (source.tracks(), slow.tracks());
    let (first, second) = (source.record(0, 100), slow.record(0, 100));
    let mut pieces = whole_run(&tracks, &first, ORIGIN_US);
    pieces.extend(whole_run(&slow_tracks, &second, ORIGIN_US + 5_000_000));
    let movie = Clip::read(&export("timescales.mp4", &pieces));
    let audio = &movie.tracks[1];
    assert_eq!(audio.timescale, 48_000);
    for (index, sample) in audio.samples[95..].iter().enumerate() {
        let wanted = 5 * 48_000 + index as u64 * 1024 * 48_000 / 44_100;
        assert_eq!(sample.decode_time, wanted);
    }
}

/// A fragment of samples that are nowhere.
fn view(runs: &[(u32, u64, &[SampleInfo])]) -> FragmentView {
    let run = |&(track_id, decode_time, samples): &(u32, u64, &[SampleInfo])| RunView {
        track_id,
        decode_time,
        samples: samples.to_vec(),
        data: 0..0,
    };
    FragmentView {
        sequence: 0,
        runs: runs.iter().map(run).collect(),
        payload: 0..0,
    }
}

fn info(size: u32, duration: u32) -> SampleInfo {
    SampleInfo {
        size,
        duration,
        composition_offset: 0,
        key: true,
    }
}

#[test]
fn beyond_four_gibibytes_offsets_have_64_bits() {
    let tracks = clip().tracks();
    for (chunks, large) in [(2_u32, false), (5, true)] {
        let views: Vec<_> = (0..u64::from(chunks))
            .map(|time| view(&[(1, time * 3000, &[info(1 << 30, 3000)])]))
            .collect();
        let table = SampleTable::from_views(&views).unwrap();
        let mut builder = MovieBuilder::new();
        let place = SegmentPlace::NewRun { origin_us: 0 };
        builder
            .add_segment(&tracks, &table, 0..chunks, place)
            .unwrap();
        let movie = builder.finish().unwrap();
        let has = |kind: &[u8]| movie.head().windows(4).any(|window| window == kind);
        assert_eq!((has(b"co64"), has(b"stco")), (large, !large));
        let head = movie.head().len() as u64;
        let size = (u64::from(chunks) << 30) + if large { 16 } else { 8 };
        let header = if large {
            [&[0, 0, 0, 1][..], b"mdat", &size.to_be_bytes()].concat()
        } else {
            [&(size as u32).to_be_bytes()[..], b"mdat"].concat()
        };
        assert!(movie.head().ends_with(&header));
        assert_eq!(movie.file_bytes(), head + (u64::from(chunks) << 30));
    }
}

#[test]
fn a_gap_that_players_cannot_show_is_refused() {
    let tracks = clip().tracks();
    let table = SampleTable::from_views(&[view(&[(1, 0, &[info(1, 3000)])])]).unwrap();
    let mut builder = MovieBuilder::new();
    let place = |origin_us| SegmentPlace::NewRun { origin_us };
    builder
        .add_segment(&tracks, &table, 0..1, place(0))
        .unwrap();
    builder
        .add_segment(&tracks, &table, 0..1, place(20_000_000_000))
        .unwrap();
    let late = builder.add_segment(&tracks, &table, 0..1, place(50_000_000_000));
    assert!(
        matches!(late, Err(Error::GapTooLong { track: 1, .. })),
        "{late:?}"
    );
}

proptest! {
    /// Many short runs: each begins at its wall time to the nearest tick, and keeps its distances.
    #[test]
    fn nothing_adds_up_over_many_runs(
        runs in prop::collection::vec((1_000_000..9_000_000_i64, 1..12_usize, 0..1_000_000_u64), 1..40),
    ) {
        let source = clip();
        let tracks: Vec<Track> = source.tracks();
        let mut builder = MovieBuilder::new();
        let mut origin_us = ORIGIN_US;
        let mut wanted = Vec::new();
        let mut bytes = 0;
        for &(distance_us, samples, first) in &runs {
            let infos = vec![info(3, 3003); samples];
            let table = SampleTable::from_views(&[view(&[(1, first, &infos)])]).unwrap();
            // `first` ticks of the run have gone by before the first sample.
            let place = SegmentPlace::NewRun { origin_us };
            builder.add_segment(&tracks, &table, 0..1, place).unwrap();
            let begin_us = i128::from(origin_us - ORIGIN_US) * 90_000 + 500_000;
            let begin = (begin_us.div_euclid(1_000_000)) as u64 + first;
            wanted.extend((0..samples as u64).map(|index| begin + index * 3003));
            bytes += 3 * samples;
            origin_us += distance_us + 11_111_112;
        }
        let movie = builder.finish().unwrap();
        let mut file = movie.head().to_vec();
        file.resize(file.len() + bytes, 0);
        let movie = Clip::read(&file);
        let times: Vec<u64> =
            movie.tracks[0].samples.iter().map(|s| s.decode_time + wanted[0]).collect();
        prop_assert_eq!(times, wanted);
        prop_assert!(total_ticks(&movie.tracks[0]) > 0);
    }
}
