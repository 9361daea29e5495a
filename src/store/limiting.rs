//! Disks that take nothing although their file system shows room: out of inodes, or beyond a quota that is not told.
//!
//! What such a disk has is all that it can have. Where nothing else takes what is recorded, some of its oldest goes, a little at a time and
//! no more than a part, for that may not help; and it is limited to what is left for a while.

use std::collections::HashSet;
use std::sync::Arc;

use super::Shared;
use super::health::Lying;
use super::mount::MountedDisk;
use super::moves;
use super::retention::DiskState;
use crate::config::Tier;

/// For each stream that is recorded about a segment is let go of, and so many more.
const MORE_SEGMENTS: u64 = 4;

/// Limits the disks that take nothing, and finds out which of those that are limited have to let go of something.
pub(super) fn look(shared: &Shared, mounted: &[Arc<MountedDisk>], now_us: u64) {
    for disk in mounted {
        if disk.is_full() && disk.shows_room() && takes_nothing(shared, disk) {
            limit(shared, disk, now_us);
        }
        if disk.is_limited(now_us) {
            let has_room = |other: &Arc<MountedDisk>| takes_instead(shared, disk, other, now_us);
            let used_bytes = shared.catalog.disk_bytes(disk.number()) + shared.growing_bytes(disk);
            disk.set_needed(!mounted.iter().any(has_room), used_bytes);
        }
    }
}

/// Whether a disk does not take even a small file.
pub(super) fn takes_nothing(shared: &Shared, disk: &MountedDisk) -> bool {
    let segment_bytes = moves::mean_bytes(shared, disk);
    disk.takes_nothing(segment_bytes, &mut shared.random.clone())
}

/// On a disk that takes nothing nothing is to be deleted ahead.
pub(super) fn expect_nothing(shared: &Shared, now: &[DiskState], then: &mut [DiskState]) {
    let now_us = shared.clock.monotonic_us();
    for (now, then) in now.iter().zip(then) {
        let disk = shared.slots.disk(now.disk);
        if disk.is_some_and(|disk| disk.is_full() && disk.is_limited(now_us)) {
            *then = *now;
        }
    }
}

fn limit(shared: &Shared, disk: &MountedDisk, now_us: u64) {
    let catalogued_bytes = shared.catalog.disk_bytes(disk.number());
    let streams: HashSet<_> = shared.segments().values().map(|s| s.new.stream).collect();
    let segment = u64::from(moves::mean_bytes(shared, disk).unwrap_or(0));
    let lying = Lying {
        used: catalogued_bytes + shared.growing_bytes(disk),
        segment,
        piece: segment * (streams.len() as u64 + MORE_SEGMENTS),
    };
    if disk.limit_to(lying, now_us) {
        tracing::error!(
            path = %disk.path.display(),
            "the disk says that it is full, though its file system shows room: it is out of inodes, or a quota is used up"
        );
    }
}

/// Whether another disk takes what would go to this one: to a cold one that is the oldest of the hot ones.
fn takes_instead(shared: &Shared, disk: &MountedDisk, other: &MountedDisk, now_us: u64) -> bool {
    if other.number() == disk.number()
        || !other.takes_footage(now_us)
        || shared.slots.is_draining(other.id)
    {
        return false;
    }
    shared.state(other);
    other.spare_bytes(shared.growing_bytes(other)) > 0
        && (disk.tier == Tier::Hot || moves::if_nearly_full(shared, other) == 0)
}
