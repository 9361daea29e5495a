//! Whether the recorder gets on: of each camera that sends something becomes durable, where nothing is wrong that would excuse it. Disks that
//! are full while they show room are no excuse for long.

use crate::budgets;
use crate::disk::Faults;
use crate::house::House;

const SECOND_US: u64 = 1_000_000;
/// What has happened so long ago has no effect any more.
const OVER_US: u64 = 30 * SECOND_US;
/// The longest until something of a camera is durable again: a key frame comes within 5 s, a batch in 2.
const LATE_US: u64 = 12 * SECOND_US;
/// The same where a disk takes nothing although it shows room.
const SHORT_LATE_US: u64 = 25 * SECOND_US;

/// Notes which cameras are recorded no more. The recorder has been started at `started_us`.
pub fn judge(house: &House, started_us: u64) {
    let (world, now_us) = (&house.world, house.world.now_us());
    let since_us = now_us.saturating_sub(OVER_US);
    let is_short = excuse_short(house);
    let is_calm = started_us < since_us
        && world.disks.iter().all(|disk| {
            let mut faults = disk.state().faults.clone();
            (faults.files_max, faults.bytes_max) = (None, None);
            faults == Faults::default()
        });
    let mut ledger = world.ledger.borrow_mut();
    let holds = world.holds.borrow();
    // What is held may take all the room.
    let mut cameras = 0..world.fate.cameras.len();
    let is_held = cameras.any(|camera| holds.may_be_held(camera, since_us));
    let is_excused = !is_calm || is_held || !ledger.excuses.is_quiet_but_for_room(since_us);
    ledger.progress.count(is_excused);
    if is_excused {
        return;
    }
    let late_us = match is_short {
        true => SHORT_LATE_US,
        false => LATE_US,
    };
    for (number, camera) in world.cameras.borrow().iter().enumerate() {
        let durable = ledger.durable.get(&camera.model.stream);
        let at_us = durable.map_or(0, |(_, at_us)| *at_us);
        if camera.is_on && now_us > at_us + late_us {
            ledger.violated(format!(
                "after {now_us} us nothing of camera {number} is durable since {at_us}"
            ));
        }
    }
}

/// Whether a disk is short of something. One that is, and has nothing that may go, takes no footage until that ends: what is held wins. Of one
/// that has so little that no more than a few segments may go, nothing is asked meanwhile.
fn excuse_short(house: &House) -> bool {
    let (world, now_us) = (&house.world, house.world.now_us());
    let (mut is_short, files) = (false, world.files());
    for (number, disk) in world.disks.iter().enumerate() {
        let faults = disk.state().faults.clone();
        if faults.files_max.is_none() && faults.bytes_max.is_none() {
            continue;
        }
        is_short = true;
        let Some(limit) = world.scarcity.borrow().limit(number) else {
            continue;
        };
        let may_go = budgets::may_go(house, &files, number);
        let excuses = &mut world.ledger.borrow_mut().excuses;
        let from_us = now_us.saturating_sub(SECOND_US);
        if limit.is_little {
            excuses.trouble(number, from_us, now_us);
        } else if !may_go {
            excuses.is_full(number, from_us, now_us);
        }
    }
    is_short
}
