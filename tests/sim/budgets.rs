//! What lies on the disks while the recorder lives, held against what may: where nothing is wrong that would excuse more.

use std::collections::BTreeSet;

use crate::house::House;
use crate::ledger::{Known, Written, place_of};

const SECOND_US: u64 = 1_000_000;
/// What has happened so long ago has no effect any more; so long a start takes to look at all there is.
const OVER_US: u64 = 30 * SECOND_US;
/// What came so lately may be too much: written until retention sees that it is, moved until it has looked.
pub const WRITTEN_US: u64 = 4 * SECOND_US;
const MOVED_US: u64 = SECOND_US;
/// What has ended is in the catalog after so long, and only then may it be deleted: the last of a camera may have more than its budget alone.
const CATALOGUED_US: u64 = 4 * SECOND_US;

/// What lies somewhere.
#[derive(Default)]
struct Lies {
    bytes: u64,
    /// Whether something of it may be deleted: what is open never is.
    may_go: bool,
}

/// Notes what is beyond its bound although nothing excuses it. The recorder has been started at `started_us`.
pub fn judge(house: &House, started_us: u64) {
    let world = &house.world;
    let is_excused = !is_calm(house, started_us);
    world.ledger.borrow_mut().budgets.count(is_excused);
    if is_excused {
        return;
    }
    let files = world.files();
    let mut wrong = Vec::new();
    for (camera, max) in world.fate.camera_max.iter().enumerate() {
        let Some(max) = max else { continue };
        let stream = world.fate.cameras[camera].stream;
        let lies = lies(house, &files, |(_, of)| of == stream);
        let lately = written(house, |new| new.stream == stream);
        if lies.may_go && lies.bytes > max + max / 100 + lately {
            wrong.push(format!("camera {camera} has {} of {max} bytes", lies.bytes));
        }
    }
    for (disk, (_, max)) in world.fate.disks.iter().enumerate() {
        let lies = lies(house, &files, |(on, _)| on == disk);
        let state = world.disks[disk].state();
        let free = state.capacity.saturating_sub(state.image.bytes());
        drop(state);
        let reserve = world.reserve(disk);
        let lately = written(house, |new| new.disk == disk) + moved(house, disk);
        let is_beyond = max.is_some_and(|max| lies.bytes > max + max / 100 + lately);
        if lies.may_go && (is_beyond || free + lately < reserve) {
            let bytes = lies.bytes;
            wrong.push(format!(
                "disk {disk} has {bytes} of {max:?} bytes, {free} of {reserve} free"
            ));
        }
    }
    let at_s = world.now_us() / SECOND_US;
    let mut ledger = world.ledger.borrow_mut();
    wrong
        .into_iter()
        .for_each(|what| ledger.violated(format!("after {at_s} s {what}")));
}

/// Whether something on a disk may be deleted.
pub fn may_go(house: &House, files: &[(usize, std::path::PathBuf, u64)], disk: usize) -> bool {
    lies(house, files, |(on, _)| on == disk).may_go
}

/// Bytes that were recorded lately, of what is chosen.
fn written(house: &House, is_meant: impl Fn(&&Written) -> bool) -> u64 {
    let ledger = house.world.ledger.borrow();
    let since_us = house.world.now_us().saturating_sub(WRITTEN_US);
    let lately = ledger.written.iter().filter(is_meant);
    let lately = lately.filter(|new| !new.is_moved && new.at_us >= since_us);
    lately.map(|new| new.bytes).sum()
}

/// Bytes of what was just moved to a disk: one segment at a time is.
fn moved(house: &House, disk: usize) -> u64 {
    let ledger = house.world.ledger.borrow();
    let since_us = house.world.now_us().saturating_sub(MOVED_US);
    let moved = ledger.written.iter().filter(|new| new.is_moved);
    let moved = moved.filter(|new| new.disk == disk && new.at_us >= since_us);
    moved.map(|new| new.bytes).max().unwrap_or(0)
}

/// What lies there of what is chosen by its disk and stream; what is being moved counts once.
fn lies(
    house: &House,
    files: &[(usize, std::path::PathBuf, u64)],
    is_meant: impl Fn((usize, hearthkeep_format::StreamId)) -> bool,
) -> Lies {
    let world = &house.world;
    let (ledger, holds) = (world.ledger.borrow(), world.holds.borrow());
    let since_us = world.now_us().saturating_sub(OVER_US);
    let may_be_held = |stream| {
        let mut cameras = world.fate.cameras.iter();
        let camera = cameras.position(|model| model.stream == stream);
        camera.is_none_or(|camera| holds.may_be_held(camera, since_us))
    };
    let (mut counted, mut lies) = (BTreeSet::new(), Lies::default());
    for (disk, path, bytes) in files {
        let Some((stream, _, segment)) = place_of(path) else {
            continue;
        };
        if is_meant((*disk, stream)) && counted.insert(segment) {
            let known = ledger.known.get(&segment);
            // Of what failed, what is known to be there: the rest goes when its disk is looked at again.
            lies.bytes += match known {
                Some(known) if known.is_poisoned => known.durable_bytes.min(*bytes),
                Some(_) => *bytes,
                None => 0,
            };
            let has_ended =
                |known: &Known| !known.is_open && known.ended_us + CATALOGUED_US <= world.now_us();
            lies.may_go |= known.is_some_and(has_ended) && !may_be_held(stream);
        }
    }
    lies
}

/// Whether nothing is wrong, and nothing was shortly before.
fn is_calm(house: &House, started_us: u64) -> bool {
    let world = &house.world;
    let (now_us, ledger) = (world.now_us(), world.ledger.borrow());
    let since_us = now_us.saturating_sub(OVER_US);
    started_us < since_us
        && ledger.excuses.is_quiet(since_us, now_us)
        && world.disks.iter().all(|disk| {
            let faults = &disk.state().faults;
            *faults == crate::disk::Faults::default()
        })
}
