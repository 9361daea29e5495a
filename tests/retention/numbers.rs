//! Sequence numbers are never given twice, also not those of footage that is deleted.

use hearthkeep::store::catalog::Catalog;

use crate::budgeted;
use crate::store_support::{Home, Stream, until};

/// What a stream passes over where somebody may have been given more.
const PASSED_OVER: u64 = 1 << 24;

/// Records some segments, and deletes all there is.
fn record_and_delete(home: &Home, stream: &mut Stream, segments: usize) {
    let (store, _) = home.open();
    (0..segments).for_each(|_| stream.seal(1, 50).record(&store));
    drop(store);
    let mut options = home.options();
    options.cameras = vec![budgeted(stream.id, 0)];
    let (store, report) = home.open_with(options);
    assert_eq!(report.strange, 0);
    until("all is deleted", || store.usage(&stream.id).segments == 0);
    assert_eq!(store.last(&stream.id).unwrap(), None);
}

fn next(home: &Home, stream: &Stream) -> u64 {
    let (store, _) = home.open();
    store.next_sequence(&stream.id)
}

#[test]
fn a_stream_of_which_all_was_deleted_goes_on_with_its_numbers() {
    let home = Home::new(260);
    let mut stream = home.stream(0);
    assert_eq!(next(&home, &stream), 0, "nothing was ever recorded");
    assert_eq!(next(&home, &stream), 0, "nor is it at the second start");
    record_and_delete(&home, &mut stream, 70);
    assert_eq!(next(&home, &stream), 70);
    record_and_delete(&home, &mut stream, 2);
    assert_eq!(next(&home, &stream), 72);
    assert_eq!(
        next(&home, &home.stream(1)),
        0,
        "the other one has none yet"
    );
}

#[test]
fn what_is_left_of_older_footage_does_not_bring_numbers_back() {
    let home = Home::new(261);
    let mut stream = home.stream(0);
    let older = stream.seal(1, 50);
    record_and_delete(&home, &mut stream, 5);
    older.leave_whole(&home);
    let (store, _) = home.open();
    assert_eq!(store.last(&stream.id).unwrap().unwrap().sequence, 0);
    assert_eq!(store.next_sequence(&stream.id), 6);
}

#[test]
fn a_catalog_that_was_lost_costs_a_hole_in_the_numbers_once() {
    let home = Home::new(262);
    let mut stream = home.stream(0);
    record_and_delete(&home, &mut stream, 5);
    Catalog::remove(&home.catalog()).unwrap();
    is_beyond_once(&home, &mut stream, 5);
}

#[test]
fn a_catalog_of_a_version_that_remembered_no_numbers_costs_a_hole_once() {
    let home = Home::new(263);
    let mut stream = home.stream(0);
    let catalog = Catalog::open(&home.catalog(), &home.store).unwrap().catalog;
    catalog.disk_number(&home.disk_id).unwrap();
    catalog.flush().unwrap();
    drop(catalog);
    stream.seal(1, 50).leave_whole(&home);
    is_beyond_once(&home, &mut stream, 1);
}

/// The next start passes over numbers, and the one after it goes on from there.
fn is_beyond_once(home: &Home, stream: &mut Stream, below: u64) {
    let from = next(home, stream);
    assert!(from >= below + PASSED_OVER, "{from}");
    assert_eq!(next(home, stream), from);
    stream.sequence = from;
    stream.seal(1, 50).record(&home.open().0);
    assert_eq!(next(home, stream), from + 1);
}
