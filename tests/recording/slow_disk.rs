//! A disk that does not keep up, or fails: what is queued is bounded, live goes on, and footage comes back by itself.

use std::sync::atomic::Ordering;
use std::sync::mpsc;

use hearthkeep::limits::{LIVE_RECENT_BYTES_MAX, QUEUE_BYTES_MAX};
use hearthkeep::record::LiveHub;
use hearthkeep_format::SegmentId;
use hearthkeep_format::segment::GapCause;

use crate::rig::{PICTURE_TICKS, Rig, gop, live_gop, script};
use crate::scripted::{IDR, SLICE, Scripted, Step, large_video, video};
use crate::store_support::until;

const START: Option<GapCause> = Some(GapCause::Start);

/// The segment that is shown live.
fn shown(hub: &LiveHub) -> Option<SegmentId> {
    hub.join().head.map(|(segment, _)| segment)
}

fn recent_bytes(hub: &LiveHub) -> u64 {
    let recent = hub.join().recent;
    let kept = recent.iter().filter_map(|chunk| chunk.bytes.as_ref());
    kept.map(|bytes| bytes.len() as u64).sum()
}

#[test]
fn a_full_queue_costs_footage_and_not_memory_and_ends_with_the_next_key_frame() {
    const BYTES: usize = 6 << 20;
    let large = QUEUE_BYTES_MAX as u32 / BYTES as u32 + 10;
    let ((flood, flooding), (go_on, going_on)) = (mpsc::channel(), mpsc::channel());
    let key = 30 + large;
    let first = key + 30;
    let camera = Scripted::start(script(vec![
        gop(0, 30),
        vec![Step::Await(flooding)],
        (30..key)
            .flat_map(|n| large_video(n * PICTURE_TICKS, SLICE[0], BYTES))
            .collect(),
        // For its head there is room, and for the pictures after it, which cannot be decoded without it.
        large_video(key * PICTURE_TICKS, IDR[0], BYTES),
        (key + 1..first)
            .map(|n| video(n * PICTURE_TICKS, SLICE))
            .collect(),
        vec![Step::Await(going_on)],
        // These are shown, but nothing could be decoded of them in a file.
        (first..first + 15)
            .map(|n| video(n * PICTURE_TICKS, SLICE))
            .collect(),
        gop(first + 15, 45),
        vec![Step::Silence],
    ]));
    let (mut rig, faults) = Rig::start_on_faulty(&[&camera]);
    until("it is recorded", || rig.segments(0).len() == 1);
    let stored = shown(rig.hub(0));
    faults.stall(true);
    flood.send(()).unwrap();
    until("it is shown live only", || {
        let queued = rig.store.disks()[0].queued_bytes;
        assert!(queued <= QUEUE_BYTES_MAX, "{queued} bytes are queued");
        let recent = recent_bytes(rig.hub(0));
        assert!(
            recent <= LIVE_RECENT_BYTES_MAX,
            "{recent} bytes for viewers"
        );
        shown(rig.hub(0)) != stored
    });
    let before_key = shown(rig.hub(0));
    until("the key frame is shown", || shown(rig.hub(0)) != before_key);
    let gap = rig.snapshot(0).gap.unwrap();
    assert_eq!(gap.cause, GapCause::QueueFull, "while it lasts");
    faults.stall(false);
    until("what was queued is durable", || !rig.segments(0)[0].open);
    go_on.send(()).unwrap();
    until("it is recorded again", || rig.segments(0).len() == 2);
    assert_eq!(shown(rig.hub(0)), Some(rig.segments(0)[1].segment));
    assert_eq!(rig.snapshot(0).gap, None);
    rig.stop();
    assert_eq!(rig.causes(0), [START, Some(GapCause::QueueFull)]);
    let segments = rig.segments(0);
    assert!(segments.iter().all(|span| !span.open && !span.recovered));
    assert!(
        segments[0].bytes > QUEUE_BYTES_MAX / 2,
        "what was taken is kept"
    );
}

#[test]
fn a_gap_after_a_failed_write_begins_where_footage_is_durable() {
    let ((first, second), (third, fourth)) = (mpsc::channel(), mpsc::channel());
    let camera = Scripted::start(script(vec![
        live_gop(0, 30),
        vec![Step::Await(second)],
        live_gop(30, 75),
        vec![Step::Await(fourth)],
        live_gop(105, 45),
        vec![Step::Silence],
    ]));
    let (mut rig, faults) = Rig::start_on_faulty(&[&camera]);
    until("something is durable", || {
        rig.segments(0)
            .first()
            .is_some_and(|span| span.duration_us > 400_000)
    });
    faults.stall(true);
    first.send(()).unwrap();
    let hub = rig.hub(0);
    // Four fragments of half a second; what comes after them waits for its next picture.
    until("two more seconds are queued", || {
        let recent = hub.join().recent;
        recent.len() >= 4 && recent.iter().all(|chunk| chunk.bytes.is_some())
    });
    faults.fail_sync.store(true, Ordering::SeqCst);
    faults.stall(false);
    until("writing failed", || rig.store.disks()[0].error.is_some());
    faults.fail_sync.store(false, Ordering::SeqCst);
    third.send(()).unwrap();
    until("it is recorded again", || rig.segments(0).len() == 2);
    rig.stop();
    assert_eq!(rig.causes(0), [START, Some(GapCause::DiskError)]);
    let (segments, gaps) = (rig.segments(0), rig.gaps(0));
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let gap = gaps[0];
    assert_eq!(gap.start_us, segments[0].end_us());
    assert_eq!(gap.end_us, segments[1].start_us);
    let length_us = gap.end_us - gap.start_us;
    assert!(
        length_us > 1_500_000,
        "two seconds are lost, and not {length_us} us"
    );
}
