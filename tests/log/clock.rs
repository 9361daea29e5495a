//! What the log tells of the clock, where the state folder came back from before that: footage is shown when it was.

use std::fs;

use hearthkeep::state_file::summed;
use hearthkeep::store::catalog::Catalog;
use hearthkeep::store::{Store, lock};
use hearthkeep_format::log::{AnchorCause, Record};
use hearthkeep_format::{BootId, Identity, MetadataKey, SeededRandom};

use crate::log_files::log_files;
use crate::rig::open;
use crate::store_support::{GENERATION, Home, START_US, Sealed, until};

const BOOT: BootId = BootId::from_bytes([8; 16]);
/// How long the board ran, in 1970, until it knew the time.
const RAN_US: u64 = 90_000_000;

/// A segment of a boot that learned the time later, as the log on the disk says; the state folder has anchors of another boot only.
fn with_a_stale_file(home: &Home) -> Sealed {
    let mut stream = home.stream(1);
    (stream.wall_us, stream.clock_trusted) = (5_000_000, false);
    stream.clock = Some((BOOT, 0));
    let sealed = stream.seal(4, 2_000);
    sealed.leave_whole(home);
    let anchor = Record::ClockAnchor {
        boot: BOOT,
        monotonic_us: RAN_US,
        wall_us: START_US,
        cause: AnchorCause::Trusted,
    };
    let key = Identity::generate(&mut SeededRandom::new(8)).signing_key();
    let m = MetadataKey::from_bytes(home.m);
    for (path, bytes) in log_files(home.store, &key, (GENERATION, &m), [anchor]) {
        let path = home.disk.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let january = BootId::from_bytes([7; 16]);
    let stale = format!(r#"{{"is_settled":true,"anchors":[["{january}",5,{START_US},1]]}}"#);
    fs::write(
        home.state.path().join("clock.anchors"),
        summed(stale.as_bytes()),
    )
    .unwrap();
    sealed
}

/// When the catalog says that a segment began.
fn shown_us(catalog: &Catalog, sealed: &Sealed) -> i64 {
    let entry = catalog.find(&sealed.new.stream, &sealed.new.segment);
    entry.unwrap().unwrap().start_us
}

fn true_us(sealed: &Sealed) -> i64 {
    START_US - RAN_US as i64 + sealed.new.start.wall_us
}

#[test]
fn reindex_dates_footage_by_the_log_too() {
    let home = Home::new(61);
    let sealed = with_a_stale_file(&home);
    let lock = lock::acquire(home.state.path()).unwrap();
    Store::reindex(home.options(), &lock).unwrap();
    let catalog = Catalog::open(&home.catalog(), &home.store).unwrap().catalog;
    assert_eq!(shown_us(&catalog, &sealed), true_us(&sealed));
    // From then on the state folder knows it.
    let kept = fs::read_to_string(home.state.path().join("clock.anchors")).unwrap();
    assert!(kept.contains(&BOOT.to_string()), "{kept}");
}

#[test]
fn a_start_that_has_read_the_log_dates_footage_by_it() {
    let home = Home::new(62);
    let sealed = with_a_stale_file(&home);
    let store = open(&home);
    until("it is shown when it was", || {
        let timeline = store.timeline(&sealed.new.stream, i64::MIN, i64::MAX);
        let segments = timeline.unwrap().segments;
        segments
            .iter()
            .any(|span| span.start_us == true_us(&sealed))
    });
    drop(store);
    let kept = fs::read_to_string(home.state.path().join("clock.anchors")).unwrap();
    assert!(kept.contains(&BOOT.to_string()), "{kept}");
}
