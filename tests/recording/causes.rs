//! What a camera does that leaves a gap, and what the gap is called.

use hearthkeep::record::Phase;
use hearthkeep_format::segment::GapCause;

use crate::rig::{PICTURE_TICKS, Rig, gop, live_gop, script};
use crate::scripted::{IDR, SLICE, Scripted, Step, video};
use crate::store_support::until;

/// Records a camera that ends a run with `last`, and is well again after it.
#[track_caller]
fn gap_after(last: Vec<Step>, cause: GapCause) {
    let camera = Scripted::start_all(vec![
        script(vec![gop(0, 45), last]),
        script(vec![gop(0, 45), vec![Step::Silence]]),
    ]);
    let mut rig = Rig::start(&[&camera]);
    rig.until_phase(0, Phase::Failed);
    until("it is recorded again", || rig.segments(0).len() == 2);
    rig.stop();
    assert_eq!(rig.causes(0), [Some(GapCause::Start), Some(cause)]);
    let segments = rig.segments(0);
    assert!(segments.iter().all(|span| !span.recovered && !span.open));
}

#[test]
fn a_connection_that_ends() {
    gap_after(Vec::new(), GapCause::CameraLost);
}

#[test]
fn a_clock_that_jumps() {
    let jump = video(90_000 * 60, SLICE);
    gap_after(vec![jump, Step::Silence], GapCause::Timestamps);
}

#[test]
fn a_jump_costs_two_seconds_at_most() {
    let jump = video(90_000 * 60, SLICE);
    let camera = Scripted::start_all(vec![
        script(vec![live_gop(0, 45), vec![jump]]),
        script(vec![live_gop(0, 45), vec![Step::Silence]]),
        script(vec![live_gop(0, 45), vec![Step::Silence]]),
    ]);
    let mut rig = Rig::start(&[&camera]);
    until("it is recorded again", || rig.segments(0).len() == 2);
    rig.stop();
    let gaps = rig.gaps(0);
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].cause, Some(GapCause::Timestamps));
    let length_us = gaps[0].end_us - gaps[0].start_us;
    assert!((0..=2_000_000).contains(&length_us), "{length_us} us");
}

#[test]
fn time_stamps_that_wrap_go_on() {
    // 32 bits of 90 kHz are 13 hours: they run out in the middle of this.
    let first = u32::MAX - 45 * PICTURE_TICKS;
    let picture = |n: u32| {
        let unit = if n.is_multiple_of(45) { IDR } else { SLICE };
        video(first.wrapping_add(n * PICTURE_TICKS), unit)
    };
    let pictures = (0..135).map(picture).collect();
    let camera = Scripted::start(script(vec![pictures, vec![Step::Silence]]));
    let mut rig = Rig::start(&[&camera]);
    until("all is durable", || {
        let segments = rig.segments(0);
        segments.iter().map(|span| span.duration_us).sum::<u64>() >= 4_400_000
    });
    assert_eq!(rig.snapshot(0).reconnects, 0);
    rig.stop();
    assert_eq!(
        rig.causes(0),
        [Some(GapCause::Start)],
        "one segment, one run"
    );
    assert_eq!(rig.segments(0)[0].duration_us, 4_500_000);
}

#[test]
fn what_is_no_rtsp() {
    let noise = vec![0xff; 4096];
    gap_after(vec![Step::Raw(noise), Step::Silence], GapCause::CameraData);
}

#[test]
fn changed_parameter_sets_begin_a_segment_in_the_same_session() {
    let part = |payload: &[u8]| Step::Rtp {
        channel: 0,
        mark: false,
        timestamp: 45 * PICTURE_TICKS,
        payload: payload.to_vec(),
    };
    let mut sps = crate::scripted::SPS.to_vec();
    sps[3] = 0x1f; // Another level.
    let changed = vec![
        part(&sps),
        part(crate::scripted::PPS),
        video(45 * PICTURE_TICKS, IDR),
    ];
    let pictures = (46..90).map(|n| video(n * PICTURE_TICKS, SLICE)).collect();
    let camera = Scripted::start(script(vec![
        gop(0, 45),
        changed,
        pictures,
        vec![Step::Silence],
    ]));
    let mut rig = Rig::start(&[&camera]);
    until("both are durable", || rig.segments(0).len() == 2);
    assert_eq!(rig.snapshot(0).codecs, ["avc1.42C01F"]);
    assert_eq!(rig.snapshot(0).reconnects, 0);
    rig.stop();
    let causes = [Some(GapCause::Start), Some(GapCause::Parameters)];
    assert_eq!(rig.causes(0), causes);
    // Nothing of the 45 pictures before and the 45 after is missing.
    for segment in rig.segments(0) {
        assert_eq!(segment.duration_us, 1_500_000, "{segment:?}");
    }
}
