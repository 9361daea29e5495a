//! When a segment ends, and how its fragments are cut.

use std::sync::atomic::Ordering;
use std::sync::mpsc;

use hearthkeep::limits::{
    FRAGMENT_US_MAX, FRAGMENT_WATCHED_US_MAX, SEGMENT_CHUNKS_MAX, SEGMENT_NO_KEY_BYTES_MAX,
    SEGMENT_NO_KEY_US_MAX, SEGMENT_US_MAX,
};
use hearthkeep::play;
use hearthkeep_format::segment::GapCause;

use crate::rig::{PICTURE_TICKS, Rig, gop, script, stream};
use crate::scripted::{IDR, SLICE, Scripted, Step, large_video, video};
use crate::store_support::until;

const START: Option<GapCause> = Some(GapCause::Start);
const NO_KEY: Option<GapCause> = Some(GapCause::NoKeyFrame);

#[test]
fn segments_of_several_cameras_end_one_after_another() {
    // A key frame a second, faster than they would come.
    let seconds = || (0..140).map(|n| video(n * 90_000, IDR)).collect();
    let cameras: Vec<_> = (0..4)
        .map(|_| Scripted::start(script(vec![seconds(), vec![Step::Silence]])))
        .collect();
    let mut rig = Rig::start(&cameras.iter().collect::<Vec<_>>());
    for camera in 0..4 {
        until("it is all there", || {
            let durations = rig.segments(camera).into_iter().map(|s| s.duration_us);
            durations.sum::<u64>() >= 139_000_000
        });
    }
    rig.stop();
    for camera in 0..4 {
        let lengths: Vec<_> = rig.segments(camera).iter().map(|s| s.duration_us).collect();
        let first = SEGMENT_US_MAX * (camera as u64 + 1) / 4;
        assert_eq!(lengths[..2], [first, SEGMENT_US_MAX], "camera {camera}");
        let causes = rig.causes(camera);
        assert_eq!(causes[0], START);
        assert!(causes[1..].iter().all(Option::is_none), "{causes:?}");
    }
}

#[test]
fn without_a_key_frame_a_segment_ends_after_five_minutes() {
    // As far apart as time stamps may be.
    let slices = (1..40).map(|n| video(n * 9 * 90_000, SLICE)).collect();
    let camera = Scripted::start(script(vec![
        vec![video(0, IDR)],
        slices,
        (0..3).map(|n| video((360 + n) * 90_000, IDR)).collect(),
        vec![Step::Silence],
    ]));
    let mut rig = Rig::start(&[&camera]);
    until("the next is durable", || rig.segments(0).len() == 2);
    rig.stop();
    assert_eq!(rig.causes(0), [START, NO_KEY]);
    let first = rig.segments(0)[0];
    let most = SEGMENT_NO_KEY_US_MAX + 9_000_000;
    assert!(
        (SEGMENT_NO_KEY_US_MAX..most).contains(&first.duration_us),
        "{first:?}"
    );
    assert!(!first.open && !first.recovered);
}

#[test]
fn without_a_key_frame_a_segment_ends_at_its_largest() {
    const BYTES: usize = 6 << 20;
    let (go, told) = mpsc::channel();
    let many = SEGMENT_NO_KEY_BYTES_MAX as u32 / BYTES as u32 + 4;
    let large = |n: u32| large_video(n * PICTURE_TICKS, SLICE[0], BYTES);
    let camera = Scripted::start(script(vec![
        gop(0, 2),
        vec![Step::Await(told)],
        (2..many).flat_map(large).collect(),
        gop(many, 30),
        vec![Step::Silence],
    ]));
    let (mut rig, faults) = Rig::start_on_faulty(&[&camera]);
    faults.discard.store(true, Ordering::SeqCst);
    go.send(()).unwrap();
    until("the next is durable", || rig.segments(0).len() == 2);
    rig.stop();
    assert_eq!(rig.causes(0), [START, NO_KEY]);
    let bytes = rig.segments(0)[0].bytes;
    let most = SEGMENT_NO_KEY_BYTES_MAX + (16 << 20);
    assert!((SEGMENT_NO_KEY_BYTES_MAX..most).contains(&bytes), "{bytes}");
}

#[test]
fn a_segment_ends_with_its_last_chunk() {
    // Nothing but key frames, each a chunk of its own, a thousand a second.
    let count = SEGMENT_CHUNKS_MAX + 50;
    let camera = Scripted::start(script(vec![
        (0..count).map(|n| video(n * 90, IDR)).collect(),
        vec![Step::Silence],
    ]));
    let mut rig = Rig::start(&[&camera]);
    until("the next is durable", || rig.segments(0).len() == 2);
    rig.stop();
    assert_eq!(rig.causes(0), [START, None], "nothing is lost by it");
    let segments = rig.segments(0);
    assert!(segments.iter().all(|span| !span.open && !span.recovered));
    let index = index(&rig, 0);
    assert_eq!(index.len() as u32, SEGMENT_CHUNKS_MAX - 2);
}

#[test]
fn fragments_are_shorter_while_somebody_watches() {
    let (go, told) = mpsc::channel();
    let camera = Scripted::start(script(vec![
        gop(0, 60),
        vec![Step::Await(told)],
        gop(60, 60),
        vec![Step::Silence],
    ]));
    let mut rig = Rig::start(&[&camera]);
    until("what nobody watches is durable", || {
        rig.segments(0)
            .first()
            .is_some_and(|span| span.duration_us >= 1_500_000)
    });
    let viewer = rig.hub(0).join();
    go.send(()).unwrap();
    until("what is watched is durable", || {
        rig.segments(0)[0].duration_us >= 3_500_000
    });
    drop(viewer);
    rig.stop();
    let chunks = index(&rig, 0);
    let (before, after): (Vec<&play::ChunkPlace>, Vec<_>) =
        chunks.iter().partition(|chunk| chunk.start_us < 1_900_000);
    assert!(
        before
            .iter()
            .any(|chunk| chunk.duration_us >= FRAGMENT_US_MAX)
    );
    let picture_us = 33_334;
    let watched = after.iter().filter(|chunk| chunk.start_us >= 2_000_000);
    let longest = watched.map(|chunk| chunk.duration_us).max().unwrap();
    assert!(
        longest <= FRAGMENT_WATCHED_US_MAX + picture_us,
        "{longest} us"
    );
}

/// The chunks of a camera's first segment, without preamble and footer.
fn index(rig: &Rig, camera: usize) -> Vec<play::ChunkPlace> {
    let segment = rig.segments(camera)[0].segment;
    let open = rig.store.open_segment(&stream(camera), &segment).unwrap();
    let keys = rig.home.keys();
    play::index(&open.front, &*keys).unwrap().chunks
}
