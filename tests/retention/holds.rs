//! Holds and the forecast, in a store.

use std::fs;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hearthkeep::clock::Clock as _;
use hearthkeep::state_file::StateKey;
use hearthkeep::store::retention::CameraBudget;
use hearthkeep::store::turns::Hands;
use hearthkeep::store::{Error, LogSettings, NewHold, Options, Store, lock};
use hearthkeep_format::StreamId;
use hearthkeep_format::log::{Hold, LogKey, Record};
use zeroize::Zeroizing;

use crate::budgeted;
use crate::store_support::{FaultyDisk, GENERATION, Home, START_US, Sealed, until};

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

fn options(home: &Home, budget: Option<(StreamId, u64)>) -> Options {
    with_log(home.options(), budget)
}

fn with_log(mut options: Options, budget: Option<(StreamId, u64)>) -> Options {
    options.log = Some(LogSettings {
        state_key: StateKey::new(Zeroizing::new([5; 32])),
        generation: GENERATION,
    });
    options.cameras = budget
        .map(|(stream, max_bytes)| budgeted(stream, max_bytes))
        .into_iter()
        .collect();
    options
}

fn hold_of(sealed: &Sealed) -> NewHold {
    let from_us = sealed.new.start.wall_us;
    NewHold {
        streams: vec![sealed.new.stream],
        from_us,
        to_us: Some(from_us + sealed.duration_us as i64),
        until_us: None,
        reason: " the fence ".to_owned(),
        who: "owner".to_owned(),
    }
}

fn is_read(store: &Store) {
    until("the log is read", || store.holds().is_ok());
}

fn set(store: &Store, new: NewHold) -> Hold {
    is_read(store);
    let (hold, ticket) = store.hold(new).unwrap();
    assert!(store.log().wait_for(ticket, Duration::from_secs(10)));
    hold
}

#[test]
fn a_hold_outlives_budgets_and_is_known_by_a_disk_alone() {
    let mut home = Home::new(60);
    let mut stream = home.stream(0);
    let sealed: Vec<_> = (0..6).map(|_| stream.seal(2, 500)).collect();
    let path = |home: &Home, n: usize| home.path_of(&sealed[n].new);
    let hold = {
        let (store, _) = home.open_with(options(&home, None));
        sealed.iter().for_each(|sealed| sealed.record(&store));
        until("all are catalogued", || {
            store.usage(&stream.id).segments == 6
        });
        set(&store, hold_of(&sealed[2]))
    };
    assert_eq!(
        (hold.reason.as_str(), hold.who.as_str()),
        ("the fence", "owner")
    );
    // The state folder is lost, and with it the catalog: what is held stands on the disk. Nothing of the camera may stay otherwise.
    home.state = tempfile::tempdir().unwrap();
    let (store, _) = home.open_with(options(&home, Some((stream.id, 0))));
    until("the others go", || store.usage(&stream.id).segments == 1);
    assert!(path(&home, 2).exists());
    assert_eq!(store.holds().unwrap(), std::slice::from_ref(&hold));
    store.unhold(&hold.id, "it is settled", "owner").unwrap();
    until("it goes", || !path(&home, 2).exists());
    assert!(matches!(
        store.unhold(&hold.id, "", ""),
        Err(Error::NoSuchHold)
    ));
}

#[test]
fn a_hold_follows_footage_whose_time_becomes_known_later() {
    let home = Home::new(66);
    let begun_us = 1_000_000_000;
    home.clock.set_wall_us(begun_us);
    home.clock.set_trusted(false);
    let mut stream = home.stream(0);
    let offset_us = home.clock.wall_us() - home.clock.monotonic_us() as i64;
    stream.clock = Some((home.clock.boot_id(), offset_us));
    stream.clock_trusted = false;
    stream.wall_us = begun_us;
    let mut seal = || {
        stream.wall_us += 10_000_000;
        stream.seal(2, 500)
    };
    let sealed: Vec<_> = (0..6).map(|_| seal()).collect();
    sealed.iter().for_each(|sealed| sealed.leave_whole(&home));
    let path = |n: usize| home.path_of(&sealed[n].new);
    home.clock.advance_us(100_000_000);
    let hold = set(&home.open_with(options(&home, None)).0, hold_of(&sealed[2]));
    assert!(hold.to_us < DAY_US, "in 1970");
    // The time becomes known, and from now on nothing of the camera may stay.
    home.clock.set_wall_us(START_US);
    home.clock.set_trusted(true);
    for _ in 0..2 {
        let (store, _) = home.open_with(options(&home, Some((stream.id, 0))));
        until("the others go", || store.usage(&stream.id).segments == 1);
        assert!(path(2).exists() && !path(1).exists());
        let shown = store.timeline(&stream.id, i64::MIN, i64::MAX).unwrap();
        assert!(
            shown.segments[0].start_us > START_US - HOUR_US,
            "at its true time"
        );
        // Once more without a catalog and without what the state folder knows of the clock.
        drop(store);
        std::fs::remove_dir_all(home.state.path().join("catalog")).unwrap();
        drop(std::fs::remove_file(
            home.state.path().join("clock.anchors"),
        ));
    }
    let (store, _) = home.open_with(options(&home, Some((stream.id, 0))));
    is_read(&store);
    store.unhold(&hold.id, "", "").unwrap();
    until("it goes", || !path(2).exists());
}

#[test]
fn a_hold_is_known_where_the_disk_has_no_checkpoint_of_it_yet() {
    let home = Home::new(65);
    let mut stream = home.stream(0);
    let sealed: Vec<_> = (0..4).map(|_| stream.seal(2, 500)).collect();
    let checkpoint = |store: &Store| {
        let log = store.log().published().pop().unwrap();
        let log = LogKey::from_text(&log.key).unwrap().log().to_string();
        home.disk.path().join("log").join(log).join("checkpoint")
    };
    let (path, before) = {
        let (store, _) = home.open_with(options(&home, None));
        sealed.iter().for_each(|sealed| sealed.record(&store));
        until("all are catalogued", || {
            store.usage(&stream.id).segments == 4
        });
        is_read(&store);
        until("the log is begun", || !store.log().published().is_empty());
        let path = checkpoint(&store);
        let before = fs::read(&path).unwrap();
        set(&store, hold_of(&sealed[1]));
        (path, before)
    };
    // As where the recorder dies, or the disk refuses, after the state folder was told of it.
    fs::write(&path, before).unwrap();
    let (store, _) = home.open_with(options(&home, Some((stream.id, 0))));
    until("the others go", || store.usage(&stream.id).segments <= 1);
    assert!(home.path_of(&sealed[1].new).exists());
    assert_eq!(store.holds().unwrap().len(), 1);
    assert_eq!(store.log().troubles(), Vec::<String>::new());
}

#[test]
fn a_hold_that_makes_no_sense_is_not_set() {
    let home = Home::new(61);
    let mut stream = home.stream(0);
    let sealed = stream.seal(2, 500);
    let (store, _) = home.open_with(options(&home, None));
    is_read(&store);
    let good = hold_of(&sealed);
    let bad = [
        NewHold {
            reason: " ".to_owned(),
            ..good.clone()
        },
        NewHold {
            reason: "x".repeat(501),
            ..good.clone()
        },
        NewHold {
            to_us: Some(good.from_us),
            ..good.clone()
        },
        NewHold {
            until_us: Some(START_US - 1),
            ..good.clone()
        },
        NewHold {
            streams: vec![stream.id; 2049],
            ..good
        },
    ];
    for new in bad {
        assert!(matches!(store.hold(new), Err(Error::Hold(_))));
    }
    assert_eq!(store.holds().unwrap(), []);
    drop(store);
    let (store, _) = home.open();
    assert!(
        matches!(store.holds(), Err(Error::Log(_))),
        "without its log"
    );
}

#[test]
fn what_is_held_while_files_are_removed_stays_and_is_shown() {
    let home = Home::new(62);
    let mut stream = home.stream(0);
    let sealed: Vec<_> = (0..6).map(|_| stream.seal(2, 500)).collect();
    sealed.iter().for_each(|sealed| sealed.leave_whole(&home));
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let opened = Arc::new(OnceLock::<Arc<Store>>::new());
    let new = hold_of(&sealed[0]);
    let hold = Hold {
        id: hearthkeep_format::HoldId::from_bytes([1; 16]),
        streams: new.streams,
        from_us: START_US,
        to_us: i64::MAX,
        until_us: i64::MAX,
        reason: new.reason,
        who: new.who,
    };
    let to_hold = Arc::clone(&opened);
    // After the first of them is gone, all are held.
    *faults.removed.lock().unwrap() = Some(Box::new(move || {
        until("it is open", || to_hold.get().is_some());
        to_hold.get().unwrap().log().append(Record::Hold(hold));
    }));
    let options = with_log(home.options_on(disk), Some((stream.id, 0)));
    let (store, _) = home.open_with(options);
    let store = opened.get_or_init(|| Arc::new(store));
    until("one is gone", || store.usage(&stream.id).segments == 5);
    let shown = || {
        store
            .timeline(&stream.id, i64::MIN, i64::MAX)
            .unwrap()
            .segments
            .len()
    };
    until("the others are shown", || shown() == 5);
    assert!(sealed[1..].iter().all(|s| home.path_of(&s.new).exists()));
}

/// Gives all turns that are due, for so long.
pub fn go_on(home: &Home, hands: &Hands, seconds: u32) {
    for _ in 0..seconds / 10 {
        home.clock.advance_us(10_000_000);
        for _ in 0..10_000 {
            let now_us = home.clock.monotonic_us();
            let due = hands.waiting().into_iter().min();
            match due.filter(|(at_us, _)| *at_us <= now_us) {
                Some((_, number)) => hands.turn(number),
                None => break,
            }
        }
    }
}

pub fn driven(home: &Home, options: Options) -> (Store, Hands) {
    let lock = lock::acquire(home.state.path()).unwrap();
    let (store, hands, _) = Store::open_driven(options, lock).unwrap();
    (store, hands)
}

#[test]
fn a_hold_ends_at_its_time_and_not_because_the_clock_jumped() {
    let home = Home::new(63);
    let mut stream = home.stream(0);
    let sealed: Vec<_> = (0..3).map(|_| stream.seal(2, 500)).collect();
    sealed.iter().for_each(|sealed| sealed.leave_whole(&home));
    let new = NewHold {
        to_us: None,
        until_us: Some(START_US + HOUR_US),
        ..hold_of(&sealed[0])
    };
    set(&home.open_with(options(&home, None)).0, new);
    let (store, hands) = driven(&home, options(&home, Some((stream.id, 0))));
    go_on(&home, &hands, 60);
    home.clock.set_wall_us(home.clock.wall_us() + 1000 * DAY_US);
    go_on(&home, &hands, 1200);
    assert_eq!(store.holds().unwrap().len(), 1, "three years ahead");
    assert_eq!(store.usage(&stream.id).segments, 3);
    home.clock.set_wall_us(home.clock.wall_us() - 1000 * DAY_US);
    go_on(&home, &hands, 4000);
    assert_eq!(
        store.holds().unwrap().len(),
        0,
        "more than an hour has passed"
    );
    assert_eq!(store.usage(&stream.id).segments, 0);
}

#[test]
fn a_jump_to_just_beyond_the_end_of_a_hold_does_not_end_it() {
    const DAYS: i64 = 5;
    let home = Home::new(68);
    let mut stream = home.stream(0);
    let mut sealed = Vec::new();
    // So much is known to have passed, which is more than the jump goes beyond.
    for n in 0..DAYS * 24 {
        stream.wall_us = START_US + (n - DAYS * 24) * HOUR_US;
        sealed.push(stream.seal(2, 500));
    }
    sealed.iter().for_each(|sealed| sealed.leave_whole(&home));
    let new = NewHold {
        to_us: None,
        until_us: Some(START_US + 10 * DAY_US),
        ..hold_of(&sealed[0])
    };
    set(&home.open_with(options(&home, None)).0, new);
    let (store, hands) = driven(&home, options(&home, Some((stream.id, 1))));
    go_on(&home, &hands, 60);
    let segments = store.usage(&stream.id).segments;
    home.clock.set_wall_us(home.clock.wall_us() + 12 * DAY_US);
    go_on(&home, &hands, 22 * 3600);
    assert_eq!(store.holds().unwrap().len(), 1, "it has not stood yet");
    assert_eq!(store.usage(&stream.id).segments, segments);
    go_on(&home, &hands, 12 * 3600);
    assert_eq!(store.holds().unwrap().len(), 0, "it has stood");
}

/// Entries of the log that is being written.
fn entries(store: &Store) -> u64 {
    let published = store.log().published();
    let note = &published.last().unwrap().note;
    note.lines().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_disk_that_does_not_let_go_does_not_fill_the_log() {
    let home = Home::new(67);
    let mut stream = home.stream(0);
    for _ in 0..40 {
        stream.seal(2, 500).leave_whole(&home);
    }
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    faults.keep_footage.store(true, Ordering::SeqCst);
    let options = with_log(home.options_on(disk), Some((stream.id, 0)));
    let (store, hands) = driven(&home, options);
    go_on(&home, &hands, 120);
    assert_eq!(store.usage(&stream.id).segments, 40);
    assert!(faults.removals.load(Ordering::SeqCst) > 0, "it was tried");
    let before = entries(&store);
    go_on(&home, &hands, 3600);
    // A file each five minutes: that it is to go, and that it stayed.
    let grown = entries(&store) - before;
    assert!((10..40).contains(&grown), "{grown} entries in an hour");
    assert_eq!(store.usage(&stream.id).segments, 40);
    faults.keep_footage.store(false, Ordering::SeqCst);
    go_on(&home, &hands, 400);
    assert_eq!(store.usage(&stream.id).segments, 0, "it goes on by itself");
}

#[test]
fn it_is_told_for_how_long_footage_will_be_kept() {
    let home = Home::new(64);
    let mut stream = home.stream(0);
    let mut bytes = 0;
    // An hour's worth each hour, for four days, but none at night.
    stream.wall_us = START_US - 4 * DAY_US;
    for hour in 0..96 {
        if hour % 24 < 12 {
            let sealed = stream.seal(1, 10_000);
            bytes += sealed.bytes().len() as u64;
            sealed.leave_whole(&home);
        }
        stream.wall_us = START_US - 4 * DAY_US + (hour + 1) * HOUR_US;
    }
    let mut options = options(&home, None);
    options.cameras = vec![CameraBudget {
        name: "yard".to_owned(),
        streams: vec![stream.id],
        keep_days: Some(30),
        max_bytes: None,
    }];
    options.disks[0].max_bytes = Some(2 * bytes);
    let (store, hands) = driven(&home, options);
    go_on(&home, &hands, 120);
    let forecast = store.forecast();
    let camera = &forecast.cameras[0];
    let (rate, days) = (camera.load.bytes_per_day.unwrap(), camera.days.unwrap());
    assert!(rate.abs_diff(bytes / 4) < bytes / 100, "{rate} of {bytes}");
    assert!((7.9..8.1).contains(&days), "{days}");
    let full = forecast.disks[0].full_in_days.unwrap();
    assert!((3.9..4.1).contains(&full), "{full}");
    let trouble = camera.trouble.as_deref().unwrap();
    assert!(
        trouble.starts_with("camera \"yard\": keep_days is 30"),
        "{trouble}"
    );
}
