//! What somebody removes while the recorder runs is missed within a day, also on a disk that was busy when its turn came.

use std::fs;

use hearthkeep::clock::Clock;
use hearthkeep::limits::{ROLL_CALL_MS, WRITE_EARLY_BYTES};
use hearthkeep::store::turns::Hands;
use hearthkeep::store::{Store, lock};

use super::rig::settings;
use super::store_support::Home;

const WRITER: usize = 0;
const SECOND_US: u64 = 1_000_000;

/// Gives all turns but the one of `spared` for so many simulated seconds.
fn pass(home: &Home, hands: &Hands, seconds: u64, spared: Option<usize>) {
    let end_us = home.clock.monotonic_us() + seconds * SECOND_US;
    loop {
        let waiting = hands.waiting().into_iter();
        let next = waiting.filter(|(_, n)| Some(*n) != spared).min();
        let Some((at_us, number)) = next.filter(|(at_us, _)| *at_us < end_us) else {
            let left_us = end_us.saturating_sub(home.clock.monotonic_us());
            return home.clock.advance_us(u32::try_from(left_us).unwrap());
        };
        let left_us = at_us.saturating_sub(home.clock.monotonic_us());
        home.clock.advance_us(u32::try_from(left_us).unwrap());
        hands.turn(number);
    }
}

#[test]
fn what_is_gone_from_a_disk_that_was_busy_is_missed_once_it_is_not() {
    let home = Home::new(51);
    let mut stream = home.stream(1);
    let there = [(); 3].map(|()| stream.seal(2, 100));
    there.iter().for_each(|sealed| sealed.leave_whole(&home));
    let mut options = home.options();
    options.log = Some(settings());
    let lock = lock::acquire(home.state.path()).unwrap();
    let (store, hands, _) = Store::open_driven(options, lock).unwrap();
    let known = |store: &Store| store.usage(&stream.id).segments;
    pass(&home, &hands, 60, None);
    assert_eq!(known(&store), 3);
    fs::remove_file(home.path_of(&there[1].new)).unwrap();
    pass(&home, &hands, 60, None);
    assert_eq!(known(&store), 3, "nobody has looked");

    // More is queued than is to be, and nothing of it is written.
    pass(&home, &hands, ROLL_CALL_MS / 1_000 - 180, None);
    assert_eq!(known(&store), 3, "nobody has looked");
    let mut other = home.stream(2);
    let handle = other.seal(9, WRITE_EARLY_BYTES as usize / 8).begin(&store);
    pass(&home, &hands, 300, Some(WRITER));
    assert_eq!(known(&store), 3, "the disk was left alone");
    pass(&home, &hands, 60, None);
    assert_eq!(known(&store), 2);
    assert_eq!(store.log().removed_count(), 1);
    drop(handle);
    store.close();
}
