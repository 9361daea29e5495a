//! Who is accused of having removed footage: nobody, while it may lie on a disk that is away or does not answer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hearthkeep::clock::SimClock;
use hearthkeep::store::MountedDisk;
use hearthkeep_format::DiskId;
use hearthkeep_format::log::Record;
use hearthkeep_format::segment::GapCause;

use super::doubtful::{with_a_segment, with_log};
use super::rig::{Rig, SECOND_US, away, options, path_of, second_disk};
use super::store_support::{FaultyDisk, Home, START_US, Sealed, until};

const LONG: Duration = Duration::from_secs(120);

fn removed(rig: &Rig) -> u64 {
    let count = rig.store.log().removed_count();
    assert_eq!(rig.store.log().troubles().is_empty(), count == 0);
    count
}

/// The segment of the second disk lies on a third, and the catalog is lost that knew of it.
fn with_one_moved(seed: u64) -> (Home, tempfile::TempDir, Sealed, [PathBuf; 2]) {
    let (home, folder, sealed) = with_a_segment(seed);
    let (usb, third) = (folder.path().join("usb"), folder.path().join("third"));
    second_disk(&home, &third, 8);
    sealed.leave_on(&third, sealed.bytes().len());
    std::fs::remove_file(usb.join(path_of(&sealed))).unwrap();
    std::fs::remove_dir_all(home.catalog()).unwrap();
    (home, folder, sealed, [usb, third])
}

fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).unwrap();
}

#[test]
fn what_is_there_again_is_no_longer_called_removed() {
    let (home, folder, sealed) = with_a_segment(81);
    let (usb, elsewhere) = (folder.path().join("usb"), folder.path().join("elsewhere"));
    let (file, aside) = (path_of(&sealed), folder.path().join("aside"));
    rename(&usb.join(&file), &aside);
    let both = options(&home, vec![second_disk(&home, &usb, 9)]);
    let rig = Rig::open(&home, with_log(both));
    rig.pass(20 * SECOND_US);
    assert_eq!(removed(&rig), 1);
    rename(&usb, &elsewhere);
    rig.pass(5 * SECOND_US);
    assert_eq!(removed(&rig), 1);
    std::fs::create_dir_all(elsewhere.join(&file).parent().unwrap()).unwrap();
    rename(&aside, &elsewhere.join(&file));
    rename(&elsewhere, &usb);
    rig.pass(10 * SECOND_US);
    assert_eq!(rig.read(&sealed), sealed.bytes());
    assert_eq!(removed(&rig), 0);
}

#[test]
fn what_may_lie_on_a_disk_that_is_away_was_removed_by_nobody() {
    for is_there in [true, false] {
        let (home, folder, sealed, [usb, third]) = with_one_moved(82);
        if !is_there {
            std::fs::remove_file(third.join(path_of(&sealed))).unwrap();
        }
        let elsewhere = folder.path().join("elsewhere");
        rename(&third, &elsewhere);
        let mut two = with_log(options(&home, vec![second_disk(&home, &usb, 9)]));
        let id = DiskId::from_bytes([8; 16]);
        two.absent.push(away(&third, 2, Some(id)));
        let rig = Rig::open(&home, two);
        rig.pass(200 * SECOND_US);
        assert_eq!(removed(&rig), 0);
        rename(&elsewhere, &third);
        rig.pass(10 * SECOND_US);
        assert_eq!(removed(&rig), u64::from(!is_there));
    }
}

#[test]
fn what_may_lie_on_a_disk_that_hangs_was_removed_by_nobody() {
    let (mut home, _folder, sealed, [usb, third]) = with_one_moved(83);
    home.clock = Arc::new(SimClock::new(START_US).going());
    // So that it is compared in the background.
    let mut stream = home.stream(1);
    stream.sequence = sealed.new.start.sequence + 1;
    (0..2).for_each(|_| stream.new_epoch(&home));
    let newer = stream.seal(2, 20_000);
    newer.leave_on(&usb, newer.bytes().len());
    let (disk, faults) = FaultyDisk::new(&third);
    // Footage, stream and epoch are listed once before; then the epoch is compared.
    let (listed, hanging) = (AtomicU64::new(0), Arc::clone(&faults));
    let hook = move || hanging.stall_reads(listed.fetch_add(1, Ordering::SeqCst) >= 3);
    *faults.listed.lock().unwrap() = Some(Box::new(hook));
    let id = DiskId::from_bytes([8; 16]);
    let disk = MountedDisk::with(disk, &third, home.store, id, None).unwrap();
    let all = options(&home, vec![second_disk(&home, &usb, 9), disk]);
    let store = home.open_with(with_log(all)).0;
    let begun = Instant::now();
    let is_told = || {
        let disks = store.disks();
        let of_it = disks.iter().find(|status| status.path == third);
        let error = of_it.and_then(|status| status.error.clone());
        error.is_some_and(|error| error.contains("has not answered"))
    };
    while !is_told() {
        assert!(begun.elapsed() < LONG, "that it hangs is told");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    // Nobody waits for it any more. The walk may write what is to be told first; what is told after that comes behind the search.
    home.clock.advance_us(70_000_000);
    for from_us in [1, 3] {
        let ticket = store.log().append(Record::Gap {
            stream: stream.id,
            cause: GapCause::CameraLost,
            from_us,
            to_us: from_us + 1,
        });
        assert!(store.log().wait_for(ticket, LONG));
    }
    assert_eq!(store.log().removed_count(), 0);
    *faults.listed.lock().unwrap() = None;
    faults.stall_reads(false);
    until("it is found", || {
        home.clock.advance_us(1_000_000);
        store
            .open_segment(&sealed.new.stream, &sealed.new.segment)
            .is_ok()
    });
    assert_eq!(store.log().removed_count(), 0);
    store.close();
}
