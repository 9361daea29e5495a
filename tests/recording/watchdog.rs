//! A gap is seen while it lasts, within ten seconds of its begin: each `until` fails after that.

use hearthkeep::record::{OpenGap, Phase, Stuck};
use hearthkeep_format::segment::GapCause;

use crate::rig::{PICTURE_TICKS, Rig, gop, live_gop, script};
use crate::scripted::{SLICE, Scripted, Step, video};
use crate::store_support::until;

fn gap(rig: &Rig) -> Option<OpenGap> {
    rig.snapshot(0).gap
}

fn until_recorded(rig: &Rig) {
    until("it is durable", || {
        let is_long = |span: &hearthkeep::store::Span| span.duration_us > 400_000;
        rig.segments(0).last().is_some_and(is_long) && gap(rig).is_none()
    });
}

/// A minute of a camera as it sends it, so that a test ends before it does.
fn minute() -> Vec<Step> {
    (0..60)
        .flat_map(|second| live_gop(second * 30, 30))
        .collect()
}

#[test]
fn a_disk_that_hangs_is_noticed_and_so_is_that_it_goes_on() {
    let camera = Scripted::start(script(vec![minute()]));
    let (mut rig, faults) = Rig::start_on_faulty(&[&camera]);
    until_recorded(&rig);
    faults.stall(true);
    until("it is noticed", || gap(&rig).is_some());
    let open = gap(&rig).unwrap();
    assert_eq!(
        (open.cause, open.stuck),
        (GapCause::Stuck, Some(Stuck::Disk))
    );
    assert_eq!(open.since_us, rig.snapshot(0).durable_end_us);
    let snapshot = rig.snapshot(0);
    assert_eq!(
        snapshot.phase,
        Phase::Recording,
        "which is what the stream says"
    );
    assert!(snapshot.trouble.unwrap().message.contains("disk"));
    assert!(snapshot.queued_bytes > 0);
    faults.stall(false);
    until("it is over", || gap(&rig).is_none());
    assert!(rig.snapshot(0).trouble.is_none());
    assert!(rig.snapshot(0).gap_lengths_us[&GapCause::Stuck] > 1_000_000);
    rig.stop();
    assert_eq!(rig.gaps(0), [], "nothing was lost by it");
}

#[test]
fn a_thread_that_hangs_is_noticed() {
    let camera = Scripted::start(script(vec![minute()]));
    let mut rig = Rig::start(&[&camera]);
    until_recorded(&rig);
    rig.clock.hang(true);
    until("it is noticed", || gap(&rig).is_some());
    assert_eq!(gap(&rig).unwrap().stuck, Some(Stuck::Ingest));
    assert_eq!(rig.casualty(), None, "it may yet go on");
    rig.clock.hang(false);
    until("it is over", || gap(&rig).is_none());
    assert_eq!(rig.snapshot(0).phase, Phase::Recording);
    rig.stop();
    assert_eq!(
        rig.gaps(0),
        [],
        "the kernel and the camera kept what came meanwhile"
    );
}

#[test]
fn a_camera_that_falls_silent_or_goes_away_is_a_gap_while_it_does() {
    let camera = Scripted::start_all(vec![
        script(vec![live_gop(0, 30), vec![Step::Silence]]),
        // One of these may be spent on a TEARDOWN that the silent one did not answer.
        script(vec![live_gop(0, 30)]),
        script(vec![live_gop(0, 30)]),
    ]);
    let rig = Rig::start(&[&camera]);
    until_recorded(&rig);
    let end_us = rig.segments(0)[0].end_us();
    let causes = |cause: GapCause| gap(&rig).is_some_and(|gap| gap.cause == cause);
    until("it is silent", || causes(GapCause::CameraStalled));
    let since_us = gap(&rig).unwrap().since_us.unwrap();
    assert!((since_us - end_us).abs() < 1_000_000, "{since_us} {end_us}");
    until("it is recorded again", || gap(&rig).is_none());
    until("it is gone", || causes(GapCause::CameraLost));
    until("the gap grows", || {
        gap(&rig).is_some_and(|gap| gap.length_us > 400_000)
    });
    assert!(rig.snapshot(0).gap_lengths_us[&GapCause::CameraStalled] > 8_000_000);
}

#[test]
fn a_camera_without_key_frames_is_told() {
    let slices = (0..60 * 30).flat_map(|n| {
        let wait = Step::Pause(std::time::Duration::from_millis(33));
        [wait, video(n * PICTURE_TICKS, SLICE)]
    });
    let camera = Scripted::start(script(vec![slices.collect()]));
    let rig = Rig::start(&[&camera]);
    rig.until_phase(0, Phase::Waiting);
    until("it is told", || {
        gap(&rig).is_some_and(|gap| gap.cause == GapCause::NoKeyFrame)
    });
    let trouble = rig.snapshot(0).trouble.unwrap();
    assert!(trouble.advice.contains("key frame interval"), "{trouble:?}");
}

#[test]
fn there_is_a_gap_until_the_first_picture_and_none_without_need() {
    let camera = Scripted::start(script(vec![gop(0, 45), vec![Step::Silence]]));
    let rig = Rig::start(&[&camera]);
    let first = gap(&rig);
    assert!(first.is_none_or(|gap| gap.cause == GapCause::Start && gap.since_us.is_none()));
    until_recorded(&rig);
    assert!(rig.snapshot(0).gap_lengths_us[&GapCause::Start] > 0);
    assert!(rig.snapshot(0).trouble.is_none());
}
