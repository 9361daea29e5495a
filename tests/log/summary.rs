//! A start that goes on from what the state folder has summed up of the log.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use hearthkeep::limits::LOG_SUMMARY_ENTRIES;
use hearthkeep::store::{NewHold, Store};
use hearthkeep_format::log::Record;
use hearthkeep_format::segment::GapCause;
use hearthkeep_format::{HoldId, StreamId};

use crate::rig::{copy, folder, open};
use crate::store_support::{Home, until};
use crate::unread::LONG;

const SUMMARY: &str = "log.summary.sealed";
/// Records that are handed over at once.
const SOME: i64 = 2_000;

fn gap(stream: StreamId, number: i64) -> Record {
    Record::Gap {
        stream,
        cause: GapCause::CameraLost,
        from_us: 100 * number,
        to_us: 100 * number + 10,
    }
}

/// Makes the log longer by so many gaps, from this number on.
fn grow(home: &Home, store: &Store, from: i64, count: i64) {
    let (stream, numbers) = (home.stream(1).id, (from..from + count).collect::<Vec<_>>());
    for some in numbers.chunks(SOME as usize) {
        let tickets = some.iter().map(|n| store.log().append(gap(stream, *n)));
        let last = tickets.last().unwrap();
        assert!(store.log().wait_for(last, LONG));
    }
}

/// The same by as many as make another summary; waits for that.
fn grow_much(home: &Home, store: &Store, from: i64) -> i64 {
    let path = summary(home);
    let before = fs::read(&path).ok();
    let count = LOG_SUMMARY_ENTRIES as i64 + SOME;
    grow(home, store, from, count);
    until("it is summed up", || {
        fs::read(&path).is_ok_and(|now| Some(now) != before)
    });
    from + count
}

fn summary(home: &Home) -> PathBuf {
    home.state.path().join(SUMMARY)
}

fn opened(home: &Home) -> Store {
    let store = open(home);
    until("the log is read", || store.log().is_replayed());
    store
}

/// Holds a span of all streams.
fn hold(store: &Store, from_us: i64) -> HoldId {
    let (hold, ticket) = store
        .hold(NewHold {
            streams: Vec::new(),
            from_us,
            to_us: Some(from_us + 50),
            until_us: None,
            reason: "the fence".to_owned(),
            who: "robin".to_owned(),
        })
        .unwrap();
    assert!(store.log().wait_for(ticket, LONG));
    hold.id
}

/// What the log leads to: holds, and the beginnings of gaps.
fn known(home: &Home, store: &Store) -> (BTreeSet<HoldId>, Vec<i64>) {
    let holds = store.log().holds().into_iter().map(|hold| hold.id);
    let gaps = store.log().gaps(&home.stream(1).id, i64::MIN, i64::MAX);
    let numbers = gaps.iter().map(|gap| gap.from_us / 100);
    (holds.collect(), numbers.collect())
}

/// Changes a byte of an entry in the beginning.
fn rot(home: &Home) {
    let entries = folder(home.disk.path()).join("entries");
    let mut bytes = fs::read(&entries).unwrap();
    bytes[2_000] ^= 1;
    fs::write(entries, bytes).unwrap();
}

#[test]
fn what_was_summed_up_is_not_read_again_and_known_all_the_same() {
    let home = Home::new(71);
    let store = opened(&home);
    let (first, second) = (hold(&store, 0), hold(&store, 100));
    let end = grow_much(&home, &store, 0);
    // Behind the summary.
    store.unhold(&first, "", "").unwrap();
    let third = hold(&store, 200);
    grow(&home, &store, end, 5);
    let expected = (BTreeSet::from([second, third]), (0..end + 5).collect());
    store.close();
    drop(store);
    rot(&home);
    let store = opened(&home);
    assert_eq!(known(&home, &store), expected);
    assert_eq!(
        store.log().troubles(),
        Vec::<String>::new(),
        "it was not read"
    );
    store.close();
    drop(store);
    // One that is damaged, and none.
    for is_there in [true, false] {
        match is_there {
            true => fs::write(summary(&home), [7; 90]).unwrap(),
            false => fs::remove_file(summary(&home)).unwrap(),
        }
        let store = opened(&home);
        assert_eq!(known(&home, &store).0, expected.0);
        let troubles = store.log().troubles();
        assert!(
            troubles[0].contains("entries of the log cannot be read"),
            "{troubles:?}"
        );
        store.close();
    }
}

#[test]
fn one_of_another_history_is_not_believed() {
    let home = Home::new(72);
    let store = opened(&home);
    let end = grow_much(&home, &store, 0);
    store.close();
    drop(store);
    let other = Home::new(72);
    for (from, to) in [(&home.state, &other.state), (&home.disk, &other.disk)] {
        fs::remove_dir_all(to.path()).unwrap();
        copy(from.path(), to.path());
    }
    // Both go on, and differ from there.
    let store = opened(&home);
    hold(&store, 0);
    grow_much(&home, &store, end);
    store.close();
    drop(store);
    let store = opened(&other);
    let held = hold(&store, 100);
    let last = grow_much(&other, &store, end + 100_000);
    grow(&other, &store, last, SOME);
    let expected = known(&other, &store);
    assert_eq!(expected.0, BTreeSet::from([held]));
    store.close();
    drop(store);
    fs::copy(summary(&home), summary(&other)).unwrap();
    let store = opened(&other);
    assert_eq!(known(&other, &store), expected);
    store.close();
}
