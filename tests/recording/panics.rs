//! A panic on what a camera sends costs that camera some seconds, and nothing else.

use std::sync::atomic::Ordering;
use std::sync::mpsc;

use hearthkeep::record::Phase;
use hearthkeep_format::segment::GapCause;

use crate::rig::{Rig, gop, script};
use crate::scripted::{Scripted, Step};
use crate::store_support::until;

#[test]
fn a_panic_ends_a_run_and_the_camera_is_recorded_again() {
    let (go, told) = mpsc::channel();
    let hostile = Scripted::start_all(vec![
        script(vec![gop(0, 45), vec![Step::Await(told)], gop(45, 30)]),
        script(vec![gop(0, 45), vec![Step::Silence]]),
    ]);
    let other = Scripted::start(script(vec![gop(0, 45), vec![Step::Silence]]));
    let mut rig = Rig::start(&[&hostile, &other]);
    until("both are recorded", || {
        rig.segments(0).len() == 1 && rig.segments(1).len() == 1
    });
    rig.clock.armed.store(true, Ordering::SeqCst);
    go.send(()).unwrap();
    rig.until_phase(0, Phase::Failed);
    let trouble = rig.snapshot(0).trouble.unwrap();
    assert!(
        trouble.message.contains("a fault of Hearthkeep"),
        "{trouble:?}"
    );
    rig.until_phase(0, Phase::Recording);
    assert_eq!(rig.snapshot(1).phase, Phase::Recording);
    assert_eq!(rig.casualty(), None);
    until("both runs are durable", || rig.segments(0).len() == 2);
    rig.stop();

    let segments = rig.segments(0);
    assert!(
        segments.iter().all(|span| !span.recovered && !span.open),
        "what was taken before the panic was ended well: {segments:?}"
    );
    let start = Some(GapCause::Start);
    assert_eq!(rig.causes(0), [start, Some(GapCause::CameraData)]);
    assert_eq!(rig.causes(1), [start]);
}
