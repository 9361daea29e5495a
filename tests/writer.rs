//! The contract of the writer's thread: what is refused, what is durable, what a failure costs.
#![allow(clippy::unwrap_used, missing_docs)]

mod store_support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hearthkeep::limits::{DISK_LATE_MS_MIN, FAILED_FILES_MAX};
use hearthkeep::store::Kept;
use hearthkeep::store::writer::{
    Budget, Event, Following, Pace, Refused, SegmentHandle, State, Writer,
};
use store_support::{FaultyDisk, Home, QUICK, Sealed, until};

#[test]
fn what_is_finished_is_durable_and_found_again() {
    let home = Home::new(1);
    let mut stream = home.stream(0);
    let sealed: Vec<_> = (0..5).map(|_| stream.seal(8, 3000)).collect();
    {
        let (store, _) = home.open();
        assert_eq!(store.last(&stream.id).unwrap(), None);
        sealed.iter().for_each(|sealed| sealed.record(&store));
        // Closing writes, syncs and catalogues what is queued: nothing is waited for here.
        store.close();
        assert_eq!(store.usage(&stream.id).segments, 5);
        assert_eq!(store.last(&stream.id).unwrap().unwrap().sequence, 4);
    }
    for sealed in &sealed {
        assert_eq!(
            std::fs::read(home.path_of(&sealed.new)).unwrap(),
            sealed.bytes()
        );
    }
    let (store, report) = home.open();
    assert_eq!((report.inserted, report.recovered, report.files), (0, 0, 5));
    let timeline = store.timeline(&stream.id, i64::MIN, i64::MAX).unwrap();
    assert_eq!(timeline.segments.len(), 5);
    assert_eq!(timeline.gaps, []);
    let opened = store
        .open_segment(&stream.id, &sealed[3].new.segment)
        .unwrap();
    assert_eq!(opened.span.bytes, sealed[3].bytes().len() as u64);
    assert_eq!(opened.span.duration_us, sealed[3].duration_us);
}

#[test]
fn a_writer_that_is_closed_is_not_slow() {
    let home = Home::new(11);
    let mut stream = home.stream(0);
    let (sealed, next) = (stream.seal(2, 100), stream.seal(1, 100));
    let (store, _) = home.open();
    let handle = sealed.begin(&store);
    assert_eq!(handle.room(1), Ok(()));
    store.close();
    assert_eq!(handle.room(1), Err(Refused::Closed));
    let begun = store.begin(next.new, next.head.clone());
    assert_eq!(begun.err(), Some(Refused::Closed));
}

#[test]
fn an_open_segment_is_served_as_far_as_it_is_durable() {
    let home = Home::new(2);
    let mut stream = home.stream(0);
    let sealed = stream.seal(6, 1000);
    let (store, _) = home.open();
    let mut events = store.events();
    let handle = sealed.begin(&store);
    let queued = sealed.bytes().len() - sealed.end.len();
    until("all that was queued is durable", || {
        handle.segment().durable_bytes() == queued as u64
    });
    assert!(matches!(events.blocking_recv().unwrap(), Event::Durable(_)));
    let timeline = store.timeline(&stream.id, i64::MIN, i64::MAX).unwrap();
    assert!(timeline.segments[0].open);
    assert_eq!(timeline.segments[0].duration_us, sealed.duration_us);
    let opened = store.open_segment(&stream.id, &sealed.new.segment).unwrap();
    assert_eq!(
        hearthkeep_format::segment::ReadAt::size(&opened.front),
        queued as u64
    );
    let span = timeline.segments[0];
    let growing = Kept {
        segments: 1,
        bytes: queued as u64,
        oldest_us: Some(span.start_us),
        newest_us: Some(span.end_us()),
    };
    assert_eq!(store.kept(&stream.id), growing);
    handle.finish(sealed.end.clone(), sealed.duration_us);
    until("it is catalogued", || store.usage(&stream.id).segments == 1);
    let bytes = sealed.bytes().len() as u64;
    assert_eq!(store.kept(&stream.id), Kept { bytes, ..growing });
}

#[test]
fn of_what_a_disk_never_made_durable_few_files_stay() {
    let home = Home::new(4);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let (store, _) = home.open_with(home.options_on(disk));
    let mut stream = home.stream(0);
    let path = home.path_of(&stream.seal(1, 10).new);
    let epoch = path.parent().unwrap();
    let files = || std::fs::read_dir(epoch).map_or(0, Iterator::count);
    let most = usize::try_from(FAILED_FILES_MAX).unwrap();
    faults.fail_sync.store(true, Ordering::SeqCst);
    for _ in 0..most + 5 {
        let sealed = stream.seal(4, 1000);
        let handle = sealed.begin(&store);
        until("it is poisoned", || {
            handle.segment().state() == State::Poisoned
        });
    }
    until("the newest take no room", || {
        faults.removals.load(Ordering::SeqCst) == 5 && files() == most
    });
    faults.fail_sync.store(false, Ordering::SeqCst);
    stream.seal(4, 1000).record(&store);
    until("it is catalogued", || store.usage(&stream.id).segments == 1);
    assert_eq!(files(), most + 1);
}

#[test]
fn a_failed_fsync_poisons_one_segment_and_is_not_tried_again() {
    let home = Home::new(3);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let (store, _) = home.open_with(home.options_on(disk));
    let mut stream = home.stream(0);
    let sealed = stream.seal(4, 1000);
    let handle = store.begin(sealed.new, sealed.head.clone()).unwrap();
    until("the head is durable", || {
        handle.segment().durable_bytes() > 0
    });
    let durable = handle.segment().durable_bytes();
    faults.fail_sync.store(true, Ordering::SeqCst);
    handle.append(sealed.chunks[0].clone(), 500_000);
    until("it is poisoned", || {
        handle.segment().state() == State::Poisoned
    });
    faults.fail_sync.store(false, Ordering::SeqCst);
    let syncs = faults.syncs.load(Ordering::SeqCst);
    assert_eq!(handle.room(1), Err(Refused::Poisoned));
    handle.append(sealed.chunks[1].clone(), 1_000_000);
    assert_eq!(
        handle.segment().durable_bytes(),
        durable,
        "nothing more is acknowledged"
    );
    handle.finish(sealed.end.clone(), sealed.duration_us);
    // Another one is not concerned, and does not wake the first.
    let next = stream.seal(4, 1000);
    next.record(&store);
    until("both are catalogued", || {
        store.usage(&stream.id).segments == 2
    });
    assert!(faults.syncs.load(Ordering::SeqCst) > syncs);
    assert!(
        store.disks()[0]
            .error
            .as_ref()
            .unwrap()
            .contains("lost what was written")
    );
    let spans = store
        .timeline(&stream.id, i64::MIN, i64::MAX)
        .unwrap()
        .segments;
    assert_eq!(
        spans.len(),
        1,
        "the poisoned one plays to where it is durable: nothing yet"
    );
    drop(store);
    // The file was left with what it has; the next start makes a segment of it.
    let (store, report) = home.open();
    assert_eq!(report.recovered, 1);
    assert_eq!(store.usage(&stream.id).segments, 2);
}

#[test]
fn a_name_that_is_not_durable_poisons_its_segment() {
    let home = Home::new(4);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let (store, _) = home.open_with(home.options_on(disk));
    let mut stream = home.stream(0);
    faults.fail_sync_folder.store(true, Ordering::SeqCst);
    let first = stream.seal(1, 100);
    let handle = first.begin(&store);
    until("it is poisoned", || {
        handle.segment().state() == State::Poisoned
    });
    assert_eq!(handle.segment().durable_bytes(), 0);
    faults.fail_sync_folder.store(false, Ordering::SeqCst);
    stream.seal(1, 100).record(&store);
    until("the next is catalogued", || {
        store.usage(&stream.id).segments == 1
    });
}

#[test]
fn a_folder_that_is_there_is_not_taken_for_durable() {
    let home = Home::new(9);
    let mut stream = home.stream(0);
    let (first, second) = (stream.seal(1, 100), stream.seal(1, 100));
    // A recorder made the folders, and died before it synced what names them.
    let path = home.path_of(&first.new);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let (store, _) = home.open_with(home.options_on(disk));
    let synced = || std::mem::take(&mut *faults.synced_folders.lock().unwrap());
    let below = path.strip_prefix(home.disk.path()).unwrap();
    let above: Vec<_> = below.ancestors().skip(1).map(Path::to_owned).collect();
    synced();
    let handle = first.begin(&store);
    until("it is durable", || handle.segment().durable_us() > 0);
    let mut found = synced();
    found.reverse();
    assert_eq!(found, above);
    let handle = second.begin(&store);
    until("the second too", || handle.segment().durable_us() > 0);
    assert_eq!(synced(), above[..1], "once is enough");
}

#[test]
fn a_slow_disk_refuses_in_equal_shares_and_never_blocks() {
    let home = Home::new(5);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let budget = Arc::new(Budget::new(1 << 20));
    let (sender, events) = std::sync::mpsc::channel();
    let means = home.means(Arc::clone(&budget), QUICK);
    let writer = Writer::start(disk, 0, means, move |event| sender.send(event).unwrap());
    let writer = writer.unwrap();
    faults.stall(true);
    let begun = Instant::now();
    let mut handles = Vec::new();
    let mut sealed: Vec<_> = (0..4).map(|n| home.stream(n).seal(1, 10)).collect();
    for sealed in &sealed {
        handles.push(
            writer
                .begin(sealed.new, sealed.head.clone(), Following::default())
                .unwrap(),
        );
    }
    let chunk = bytes::Bytes::from(vec![0; 10_000]);
    let mut taken = [0; 4];
    for (handle, taken) in handles.iter().zip(&mut taken) {
        while handle.room(chunk.len()).is_ok() {
            handle.append(chunk.clone(), 1);
            *taken += 1;
        }
        assert_eq!(handle.room(chunk.len()), Err(Refused::QueueFull));
    }
    assert!(
        taken.iter().all(|n| *n == taken[0] && *n >= 25),
        "{taken:?}"
    );
    assert!(budget.queued_bytes() <= 1 << 20);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "nothing waited for the disk"
    );
    // A full queue still takes an end.
    let end = sealed.remove(0).end;
    handles.remove(0).finish(end, 1);
    faults.stall(false);
    let closed = events
        .iter()
        .find(|event| matches!(event, Event::Closed(_)));
    assert!(closed.is_some());
    until("the queue is empty", || budget.queued_bytes() == 0);
    assert_eq!(handles[0].room(chunk.len()), Ok(()));
}

#[test]
fn a_segment_is_not_begun_where_what_follows_has_no_room() {
    let home = Home::new(1);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let budget = Arc::new(Budget::new(1 << 20));
    let writer = Writer::start(disk, 0, home.means(Arc::clone(&budget), QUICK), |_| ());
    let writer = writer.unwrap();
    faults.stall(true);
    let [first, second] = [1, 2].map(|sequence| home.stream(0).seal(sequence, 10));
    // More than could ever be queued: it is tried where there is room for much of it.
    let begin_with = |one: &Sealed, first, group| {
        let following = Following { first, group };
        writer.begin(one.new, one.head.clone(), following)
    };
    let handle = begin_with(&first, 10_000, usize::MAX).unwrap();
    let chunk = bytes::Bytes::from(vec![0; 10_000]);
    while handle.room(chunk.len()).is_ok() {
        handle.append(chunk.clone(), 1);
    }
    let begin = |first, group| begin_with(&second, first, group).map(drop);
    assert_eq!(begin(0, chunk.len()), Err(Refused::QueueFull));
    assert_eq!(begin(chunk.len(), 0), Err(Refused::QueueFull));
    assert_eq!(begin(0, 0), Ok(()), "for its head alone there is room");
    faults.stall(false);
    until("the queue is empty", || budget.queued_bytes() == 0);
    assert_eq!(begin(chunk.len(), chunk.len()), Ok(()));
    // Nothing of it could be written.
    until("the queue is empty", || budget.queued_bytes() == 0);
    assert_eq!(begin(1 << 20, 1 << 20), Err(Refused::QueueFull));
    assert_eq!(begin(1 << 19, 1 << 20), Ok(()), "half of all");
}

#[test]
fn a_disk_that_is_late_leaves_half_of_each_share_to_one_that_answers() {
    let home = Home::new(12);
    let (slow, faults) = FaultyDisk::new(home.disk.path());
    let other = tempfile::tempdir().unwrap();
    let (other, others) = FaultyDisk::new(other.path());
    let budget = Arc::new(Budget::new(1 << 20));
    let means = || home.means(Arc::clone(&budget), QUICK);
    let slow = Writer::start(slow, 0, means(), |_| {}).unwrap();
    let answering = Writer::start(other, 1, means(), |_| {}).unwrap();
    let takes = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&takes);
    answering.takes_if(move |_| asked.load(Ordering::SeqCst));
    let chunk = bytes::Bytes::from(vec![0; 10_000]);
    let fill = |handle: &SegmentHandle| {
        let mut taken = 0;
        while handle.room(chunk.len()).is_ok() {
            handle.append(chunk.clone(), 1);
            taken += chunk.len();
        }
        taken
    };
    let mut stream = home.stream(0);
    let (first, second) = (stream.seal(1, 10), stream.seal(1, 10));
    faults.stall(true);
    others.stall(true);
    let hanging = slow
        .begin(first.new, first.head.clone(), Following::default())
        .unwrap();
    until("it waits for its disk", || slow.waited_us() > 0);
    home.clock
        .advance_us(u32::try_from(DISK_LATE_MS_MIN * 1_000).unwrap());
    let taken = fill(&hanging);
    assert!((400_000..=1 << 19).contains(&taken), "{taken}");
    // The other half is for who goes on with the other disk.
    let going_on = answering
        .begin(second.new, second.head.clone(), Following::default())
        .unwrap();
    let taken = fill(&going_on);
    assert!(
        taken > 400_000 && budget.queued_bytes() <= 1 << 20,
        "{taken}"
    );
    others.stall(false);
    until("it has written that", || budget.queued_bytes() < 1 << 19);
    assert_eq!(hanging.room(chunk.len()), Err(Refused::QueueFull));
    // Where no other is left, or none that takes footage, it has all.
    takes.store(false, Ordering::SeqCst);
    assert_eq!(hanging.room(chunk.len()), Ok(()));
    takes.store(true, Ordering::SeqCst);
    assert_eq!(hanging.room(chunk.len()), Err(Refused::QueueFull));
    answering.close();
    let taken = fill(&hanging);
    assert!(taken > 400_000, "{taken}");
    faults.stall(false);
    until("all is written", || budget.queued_bytes() == 0);
}

#[test]
fn a_queue_that_is_too_old_refuses() {
    let home = Home::new(6);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let pace = Pace {
        queue_age_max: Duration::from_millis(40),
        ..QUICK
    };
    let writer = Writer::start(disk, 0, home.means(Arc::default(), pace), |_| {}).unwrap();
    let sealed = home.stream(0).seal(1, 10);
    faults.stall(true);
    let handle = writer
        .begin(sealed.new, sealed.head.clone(), Following::default())
        .unwrap();
    until("it refuses", || handle.room(1) == Err(Refused::QueueFull));
    faults.stall(false);
    until("it takes again", || handle.room(1).is_ok());
}

#[test]
fn what_was_granted_is_taken_however_late_it_comes() {
    let home = Home::new(11);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let mut options = home.options_on(disk);
    options.pace.queue_age_max = Duration::from_millis(40);
    let (store, _) = home.open_with(options);
    let sealed = home.stream(0).seal(1, 1000);
    faults.stall(true);
    let handle = store.begin(sealed.new, sealed.head.clone()).unwrap();
    let chunk = sealed.chunks[0].clone();
    assert_eq!(handle.room(chunk.len()), Ok(()));
    until("it grants no more", || handle.room(1).is_err());
    handle.append(chunk, sealed.duration_us);
    handle.finish(sealed.end.clone(), sealed.duration_us);
    faults.stall(false);
    store.close();
    let written = std::fs::read(home.path_of(&sealed.new)).unwrap();
    assert!(
        written == sealed.bytes(),
        "the footer names all that is there"
    );
}

#[test]
fn chunks_of_an_interval_are_written_and_synced_together() {
    let home = Home::new(7);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let pace = Pace {
        sync_interval: Duration::from_millis(300),
        ..QUICK
    };
    let writer = Writer::start(disk, 0, home.means(Arc::default(), pace), |_| {}).unwrap();
    let sealed = home.stream(0).seal(20, 100);
    let handle = writer
        .begin(sealed.new, sealed.head.clone(), Following::default())
        .unwrap();
    for chunk in &sealed.chunks {
        handle.append(chunk.clone(), 1);
    }
    let begun = Instant::now();
    let whole = (sealed.bytes().len() - sealed.end.len()) as u64;
    until("it is durable", || {
        handle.segment().durable_bytes() == whole
    });
    assert!(
        begun.elapsed() < Duration::from_millis(1200),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(faults.appends.load(Ordering::SeqCst), 1);
    assert_eq!(faults.syncs.load(Ordering::SeqCst), 1);
    assert!(writer.latency().p99_so_far().is_some());
}

#[test]
fn an_abandoned_segment_gets_its_tail_while_the_recorder_runs() {
    let home = Home::new(8);
    let (store, _) = home.open();
    let mut stream = home.stream(0);
    let sealed = stream.seal(6, 500);
    drop(sealed.begin(&store));
    until("it is catalogued", || store.usage(&stream.id).segments == 1);
    let span = store
        .timeline(&stream.id, i64::MIN, i64::MAX)
        .unwrap()
        .segments[0];
    assert!(span.recovered && !span.open);
    assert_eq!(span.duration_us, sealed.duration_us);
}

#[test]
fn a_writer_that_dies_is_told_and_leaves_the_mark_of_a_crash() {
    let home = Home::new(9);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let (store, _) = home.open_with(home.options_on(disk));
    assert_eq!(store.casualty(), None);
    faults.panic.store(true, Ordering::SeqCst);
    drop(home.stream(0).seal(1, 100).begin(&store));
    until("it is told", || store.casualty().is_some());
    let what = store.casualty().unwrap();
    assert!(what.contains(home.disk.path().to_str().unwrap()), "{what}");
    drop(store);
    assert!(home.open().0.is_after_crash());
}

#[test]
fn a_keeper_that_dies_is_told() {
    let home = Home::new(10);
    let mut options = home.options();
    // It asks for a key when it gives an abandoned segment its tail.
    options.keys = Arc::new(|_| panic!("on purpose"));
    let (store, _) = home.open_with(options);
    drop(home.stream(0).seal(1, 100).begin(&store));
    until("it is told", || store.casualty().is_some());
    assert_eq!(store.casualty().unwrap(), "what keeps the catalog");
    drop(store);
    let (store, report) = home.open();
    assert!(store.is_after_crash());
    assert_eq!(report.recovered, 1);
    store.close();
    drop(store);
    assert!(!home.open().0.is_after_crash());
}
