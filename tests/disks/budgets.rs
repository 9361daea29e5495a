//! What lies on a disk is no more than it may be, also where footage comes from another disk, and where it comes faster than before.

use std::path::Path;

use hearthkeep::config::Tier;

use super::rig::{Rig, SECOND_US, options, second_disk, still_home};

/// Lets time pass; the most bytes that lay on a disk in it.
fn most_on(rig: &Rig<'_>, disk: &Path, seconds: u64) -> u64 {
    let used = (0..seconds * 10).map(|_| {
        rig.pass(SECOND_US / 10);
        rig.status(disk).used_bytes
    });
    used.max().unwrap_or(0)
}

#[test]
fn what_cools_waits_until_there_is_room_for_it() {
    let (home, folder) = still_home(71);
    let attic = folder.path().join("attic");
    let mut disk = second_disk(&home, &attic, 9);
    let max_bytes = 400_000;
    (disk.tier, disk.max_bytes) = (Tier::Cold, Some(max_bytes));
    let mut both = options(&home, vec![disk]);
    both.spread.cold_after_days = Some(7);
    let rig = Rig::open(&home, both);
    let mut stream = home.stream(1);
    let recorded: Vec<_> = (0..30).map(|_| rig.record(&mut stream).0).collect();
    let segment = recorded[0].bytes().len() as u64;
    assert!(max_bytes > 5 * segment && max_bytes < 15 * segment);
    // They are all old at once, and there is room for a third of them.
    rig.advance(8 * 86_400 * SECOND_US);
    stream.wall_us = hearthkeep::clock::Clock::wall_us(&*home.clock);
    rig.record(&mut stream);
    let most = most_on(&rig, &attic, 120);
    assert!(most > max_bytes - segment, "{most} bytes: it is in use");
    assert!(most <= max_bytes + segment, "{most} of {max_bytes} bytes");
    assert!(rig.status(&attic).used_bytes <= max_bytes);
}

#[test]
fn a_budget_holds_where_footage_comes_faster_than_before() {
    let (home, _folder) = still_home(72);
    let mut only = options(&home, Vec::new());
    let max_bytes = 2_000_000;
    only.disks[0].max_bytes = Some(max_bytes);
    let rig = Rig::open(&home, only);
    let mut stream = home.stream(1);
    // Little for so long that it is looked at seldom, and then a hundred times as much.
    for _ in 0..12 {
        stream.seal(1, 500).record(&rig.store);
        rig.pass(10 * SECOND_US);
    }
    let (mut most, mut a_second) = (0, 0);
    for _ in 0..60 {
        let sealed = stream.seal(2, 50_000);
        a_second = sealed.bytes().len() as u64;
        sealed.record(&rig.store);
        most = most_on(&rig, home.disk.path(), 1).max(most);
    }
    assert!(most > max_bytes / 2, "{most} bytes");
    assert!(most <= max_bytes + 4 * a_second, "{most} of {max_bytes}");
}
