//! What live viewers see when a camera dies and comes back.

use hearthkeep::record::Phase;

use crate::rig::{Rig, gop, script};
use crate::scripted::{Scripted, Step};
use crate::store_support::until;

const HEAD: u8 = 1;

#[test]
fn the_last_pictures_of_a_lost_camera_are_not_live() {
    let camera = Scripted::start_all(vec![
        script(vec![gop(0, 45)]),
        script(vec![gop(0, 45), vec![Step::Silence]]),
    ]);
    let rig = Rig::start(&[&camera]);
    let mut viewer = rig.hub(0).join();
    rig.until_phase(0, Phase::Failed);
    let late = rig.hub(0).join();
    assert!(late.head.is_none() && late.recent.is_empty());
    // Who stays, and who came meanwhile, sees it again when it is back.
    rig.until_phase(0, Phase::Recording);
    for viewer in [&mut viewer.messages, &mut { late.messages }] {
        let mut heads = 0;
        until("the next segment's head", || {
            while let Ok(message) = viewer.try_recv() {
                heads += u32::from(message[0] == HEAD);
            }
            heads >= 1
        });
    }
    assert!(rig.hub(0).join().head.is_some());
}
