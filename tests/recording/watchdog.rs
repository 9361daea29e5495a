//! A gap is seen while it lasts, within ten seconds of its begin: each `until` fails after that.

use std::time::{Duration, Instant};

use hearthkeep::limits::STUCK_INGEST_FATAL_US;
use hearthkeep::record::{OpenGap, Phase, Stuck};
use hearthkeep_format::segment::GapCause;

use crate::rig::{PICTURE_TICKS, Rig, gop, live_gop, script};
use crate::scripted::{Offer, SLICE, Script, Scripted, Step, audio, video};
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
        let wait = Step::Pause(Duration::from_millis(33));
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

/// Its connection stays open, and sound goes on: it is no camera that sends nothing, and none that can be recorded.
#[test]
fn a_camera_whose_pictures_end_while_its_sound_goes_on_is_connected_anew() {
    const AAC_TICKS: u32 = 1_024;
    let sound = (0..48_000 * 60 / AAC_TICKS).flat_map(|n| {
        let wait = Step::Pause(Duration::from_millis(21));
        [wait, audio(n * AAC_TICKS, &[0x21, 0x10, 0x05])]
    });
    let with_sound = |steps: Vec<Step>| Script {
        offer: Offer::VideoAndAudio,
        ..script(vec![live_gop(0, 45), steps])
    };
    let camera = Scripted::start_all(vec![
        with_sound(sound.collect()),
        // One of these may be spent on a TEARDOWN.
        with_sound(vec![Step::Silence]),
        with_sound(vec![Step::Silence]),
    ]);
    let mut rig = Rig::start(&[&camera]);
    until_recorded(&rig);
    within(Duration::from_secs(30), || gap(&rig));
    within(Duration::from_secs(30), || {
        (gap(&rig).is_none() && rig.segments(0).len() == 2).then_some(())
    });
    rig.stop();
    // Whoever notices first: the session, or the watchdog.
    let cause = rig.causes(0)[1].unwrap();
    println!("noticed as {}", cause.as_str());
    assert!(
        [GapCause::CameraStalled, GapCause::Stuck].contains(&cause),
        "{cause:?}"
    );
}

/// As a fault in the recorder would: the stream's task waits for what never comes, and nothing else is wrong.
#[test]
fn a_task_that_is_stuck_is_ended_and_the_camera_connected_anew() {
    let camera = Scripted::start_all(vec![
        script(vec![live_gop(0, 45), vec![Step::Silence]]),
        // One of these may be spent on a TEARDOWN.
        script(vec![live_gop(0, 45), vec![Step::Silence]]),
        script(vec![live_gop(0, 45), vec![Step::Silence]]),
    ]);
    let mut rig = Rig::start(&[&camera]);
    until_recorded(&rig);
    // The task does not notice that time passes, and so not that its camera has fallen silent.
    rig.clock.stand_still(true);
    let open = within(Duration::from_secs(90), || gap(&rig));
    assert_eq!(
        (open.cause, open.stuck),
        (GapCause::Stuck, Some(Stuck::Sealing))
    );
    within(Duration::from_secs(30), || {
        (rig.snapshot(0).phase != Phase::Recording).then_some(())
    });
    rig.clock.stand_still(false);
    within(Duration::from_secs(60), || {
        (gap(&rig).is_none() && rig.segments(0).len() == 2).then_some(())
    });
    rig.stop();
    assert_eq!(rig.causes(0)[1], Some(GapCause::Stuck));
    let gaps = rig.gaps(0);
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].cause, Some(GapCause::Stuck));
}

/// Waits for something, for longer than ten seconds.
fn within<T>(limit: Duration, mut find: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(begun.elapsed() < limit, "not within {limit:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_thread_that_hangs_for_good_ends_the_program() {
    let camera = Scripted::start(script(vec![minute()]));
    let rig = Rig::start(&[&camera]);
    until_recorded(&rig);
    rig.clock.hang(true);
    let begun = Instant::now();
    let casualty = within(Duration::from_secs(120), || rig.casualty());
    assert!(casualty.contains("hangs"), "{casualty}");
    let hung_us = u64::try_from(begun.elapsed().as_micros()).unwrap();
    // The last turn may have been a little before.
    assert!(
        hung_us + 2_000_000 > STUCK_INGEST_FATAL_US,
        "{hung_us} us: it might yet have gone on"
    );
    assert_eq!(gap(&rig).unwrap().stuck, Some(Stuck::Ingest));
}
