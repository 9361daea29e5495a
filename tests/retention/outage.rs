//! A state folder that takes nothing, or tells nothing, or hangs: recording and deletion go on, and it is told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use hearthkeep::clock::Clock as _;
use hearthkeep::config::{self, Tier};
use hearthkeep::store::catalog::{Batch, CatalogError, Database, Each, Memory, Shelf};
use hearthkeep::store::writer::State;
use hearthkeep::store::{AbsentDisk, DiskUse, Error, MountedDisk, Options, Store};
use hearthkeep_format::DiskId;

use crate::budgeted;
use crate::holds::{driven, go_on};
use crate::store_support::{self, FRAGMENT_US, FaultyDisk, Home, Stream, until};

/// Segments' entries are kept under this; what they come to elsewhere.
const BUCKETS: u8 = b'b';
/// Until the catalog is told of, and then until it is tried to be brought back.
const TOLD_US: u64 = 13_000_000;
const HOME_US: u32 = 61_000_000;
/// From the try that hangs until that is told.
const WAITS_US: u64 = 10_000_000;

/// A database that does what it is told.
#[derive(Clone, Default)]
struct Failing(Arc<Faults>);

#[derive(Default)]
struct Faults {
    memory: Memory,
    refuses: AtomicBool,
    refused: AtomicU64,
    is_unreadable: AtomicBool,
    hangs: Mutex<Hangs>,
    goes_on: Condvar,
}

#[derive(Default)]
struct Hangs {
    is_so: bool,
    /// Who waits for it.
    waiting: usize,
}

impl Failing {
    fn written(&self) -> Result<(), CatalogError> {
        match self.0.refuses.load(Ordering::SeqCst) {
            true => {
                self.0.refused.fetch_add(1, Ordering::SeqCst);
                Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem).into())
            }
            false => Ok(()),
        }
    }

    fn set(&self, refuses: bool, is_unreadable: bool) {
        // Who is refused reads it once more.
        self.0.is_unreadable.store(is_unreadable, Ordering::SeqCst);
        self.0.refuses.store(refuses, Ordering::SeqCst);
    }

    fn hang(&self, hangs: bool) {
        self.0.hangs.lock().unwrap().is_so = hangs;
        self.0.goes_on.notify_all();
    }

    /// As long as it hangs.
    fn wait(&self) {
        let mut hangs = self.0.hangs.lock().unwrap();
        hangs.waiting += 1;
        let mut hangs = (self.0.goes_on)
            .wait_while(hangs, |hangs| hangs.is_so)
            .unwrap();
        hangs.waiting -= 1;
    }
}

impl Shelf for Failing {
    fn open(&self) -> Result<Box<dyn Database>, CatalogError> {
        self.written()?;
        Ok(Box::new(self.clone()))
    }

    fn move_aside(&self) -> io::Result<PathBuf> {
        self.0.memory.move_aside()
    }

    fn remove(&self) -> io::Result<()> {
        self.0.memory.remove()
    }
}

impl Database for Failing {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError> {
        match self.0.is_unreadable.load(Ordering::SeqCst) && key[0] == BUCKETS {
            true => Err(io::Error::other("it cannot be read").into()),
            false => self.0.memory.get(key),
        }
    }

    fn scan(&self, prefix: &[u8], each: &mut Each<'_>) -> Result<(), CatalogError> {
        self.0.memory.scan(prefix, each)
    }

    fn apply(&self, batch: Batch) -> Result<(), CatalogError> {
        self.written()?;
        self.0.memory.apply(batch)
    }

    // What is applied is in memory, and written here.
    fn flush(&self) -> Result<(), CatalogError> {
        self.wait();
        self.written()
    }

    fn doubt(&self) {}
}

fn options(home: &Home, shelf: &Failing) -> Options {
    let mut options = home.options();
    options.catalog = Some(Arc::new(shelf.clone()));
    options
}

/// Records segments, each of which is catalogued before the next begins.
fn record(home: &Home, store: &Store, stream: &mut Stream, segments: u64) {
    for _ in 0..segments {
        let sealed = stream.seal(2, 20_000);
        sealed.record(store);
        until("it is known", || {
            home.clock.advance_us(1_000_000);
            // Whoever looks while it cannot be read is told so.
            let known = store.last(&stream.id).ok().flatten();
            known.is_some_and(|span| span.segment == sealed.new.segment && !span.open)
        });
    }
}

fn segments(store: &Store, stream: &Stream) -> Vec<(u64, bool, bool)> {
    let timeline = store.timeline(&stream.id, i64::MIN, i64::MAX).unwrap();
    let facts = timeline.segments.iter();
    let mut facts: Vec<_> = facts.map(|s| (s.sequence, s.open, s.recovered)).collect();
    facts.sort_unstable();
    facts
}

#[test]
fn a_catalog_that_takes_nothing_goes_on_in_memory_and_comes_back() {
    let (home, shelf) = (Home::new(231), Failing::default());
    let mut stream = home.stream(0);
    const MAX_BYTES: u64 = 400_000;
    let with_budget = || {
        let mut options = options(&home, &shelf);
        options.cameras = vec![budgeted(stream.id, MAX_BYTES)];
        options
    };
    let options = with_budget();
    let reopened = with_budget();
    let (store, _) = home.open_with(options);
    record(&home, &store, &mut stream, 6);
    until("all is well", || store.catalog_trouble().is_none());
    shelf.set(true, false);
    record(&home, &store, &mut stream, 40);
    let all = segments(&store, &stream);
    assert!(all.len() > 2 && all.last().unwrap().0 == 45, "{all:?}");
    until("its budget is kept", || {
        home.clock.advance_us(1_000_000);
        store.usage(&stream.id).bytes <= MAX_BYTES
    });
    let path = home.path_of(&stream.seal(1, 10).new);
    until("what was marked is gone", || {
        let files = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        files as u64 <= store.usage(&stream.id).segments + 1
    });
    assert_eq!(store.casualty(), None);
    let trouble = store.catalog_trouble().unwrap();
    assert!(trouble.contains("is kept in memory"), "{trouble}");
    // It is tried again, and told as long as it is so.
    let refused = || shelf.0.refused.load(Ordering::SeqCst);
    let before = refused();
    home.clock.advance_us(HOME_US);
    until("it is tried again", || refused() > before);
    assert!(store.catalog_trouble().is_some());
    shelf.set(false, false);
    until("it is back", || {
        home.clock.advance_us(HOME_US);
        store.catalog_trouble().is_none()
    });
    record(&home, &store, &mut stream, 2);
    let before = segments(&store, &stream);
    drop(store);
    let (store, report) = home.open_with(reopened);
    assert_eq!(
        (report.inserted, report.forgotten),
        (0, 0),
        "it was all there"
    );
    // What came last may have cost the oldest one since.
    let after = segments(&store, &stream);
    assert!(
        before.ends_with(&after) && after.len() > 2,
        "{before:?} {after:?}"
    );
}

#[test]
fn the_numbers_of_what_was_deleted_are_taken_along_and_come_back() {
    let (home, shelf) = (Home::new(234), Failing::default());
    let mut stream = home.stream(0);
    let with_budget = || {
        let mut options = options(&home, &shelf);
        options.cameras = vec![budgeted(stream.id, 0)];
        options
    };
    let (opened, reopened) = (with_budget(), with_budget());
    let delete = |store: &Store, stream: &mut Stream| {
        let sealed = stream.seal(2, 100);
        let handle = sealed.begin(store);
        until("it is durable", || handle.segment().durable_us() > 0);
        handle.finish(sealed.end.clone(), sealed.duration_us);
        until("it is deleted", || {
            home.clock.advance_us(1_000_000);
            let is_gone = !home.path_of(&sealed.new).exists();
            is_gone && store.last(&stream.id).is_ok_and(|last| last.is_none())
        });
    };
    let (store, _) = home.open_with(opened);
    delete(&store, &mut stream);
    shelf.set(true, false);
    delete(&store, &mut stream);
    assert!(shelf.0.refused.load(Ordering::SeqCst) > 0);
    assert_eq!(store.next_sequence(&stream.id), 2);
    shelf.set(false, false);
    until("it is back", || {
        home.clock.advance_us(HOME_US);
        store.catalog_trouble().is_none()
    });
    drop(store);
    let (store, _) = home.open_with(reopened);
    assert_eq!(store.next_sequence(&stream.id), 2);
}

#[test]
fn what_cannot_be_taken_along_is_found_again_on_the_disks_while_it_records() {
    let (home, shelf) = (Home::new(232), Failing::default());
    let mut stream = home.stream(0);
    let (store, _) = home.open_with(options(&home, &shelf));
    record(&home, &store, &mut stream, 10);
    let open = stream.seal(3, 2_000);
    let handle = store.begin(open.new, open.head.clone()).unwrap();
    handle.append(open.chunks[0].clone(), FRAGMENT_US);
    until("some of it is durable", || {
        handle.segment().durable_us() > 0
    });
    shelf.set(true, true);
    record(&home, &store, &mut stream, 1);
    until("all is known again", || {
        home.clock.advance_us(1_000_000);
        store.usage(&stream.id).segments == 11
    });
    // What grew meanwhile was left alone.
    assert_eq!(handle.segment().state(), State::Open);
    handle.append(open.chunks[1].clone(), 2 * FRAGMENT_US);
    handle.append(open.chunks[2].clone(), 3 * FRAGMENT_US);
    handle.finish(open.end.clone(), open.duration_us);
    until("it is known too", || {
        home.clock.advance_us(1_000_000);
        store.usage(&stream.id).segments == 12
    });
    let bytes = std::fs::read(home.path_of(&open.new)).unwrap();
    assert_eq!(bytes, open.bytes());
    let expected: Vec<_> = (0..12).map(|n| (n, false, false)).collect();
    assert_eq!(segments(&store, &stream), expected);
    assert!(
        store.next_sequence(&stream.id) > 1 << 24,
        "there may be more"
    );
    assert_eq!(store.casualty(), None);
}

#[test]
fn a_state_folder_that_hangs_is_told() {
    let (home, shelf) = (Home::new(233), Failing::default());
    let mut stream = home.stream(0);
    let (store, _) = home.open_with(options(&home, &shelf));
    record(&home, &store, &mut stream, 1);
    shelf.hang(true);
    stream.seal(2, 100).record(&store);
    let begun_us = home.clock.monotonic_us();
    until("it hangs", || {
        home.clock.advance_us(500_000);
        shelf.0.hangs.lock().unwrap().waiting > 0
    });
    let hung_us = home.clock.monotonic_us();
    let mut silent_us = hung_us;
    until("it is told", || {
        let now_us = home.clock.monotonic_us();
        let is_told = store.catalog_trouble().is_some();
        if !is_told {
            silent_us = now_us;
            home.clock.advance_us(500_000);
        }
        is_told
    });
    let told_us = home.clock.monotonic_us() - begun_us;
    assert!(told_us > TOLD_US / 2, "{told_us}");
    assert!(silent_us <= hung_us + WAITS_US, "{hung_us} {silent_us}");
    // Who asks for the disks does not wait.
    assert_eq!(store.disks()[0].state, DiskUse::InUse);
    let trouble = store.catalog_trouble().unwrap();
    assert!(trouble.contains("has taken nothing for"), "{trouble}");
    // It records all the same.
    let next = stream.seal(2, 100);
    let handle = next.begin(&store);
    until("it is durable", || handle.segment().durable_us() > 0);
    handle.finish(next.end.clone(), next.duration_us);
    shelf.hang(false);
    until("all is well", || {
        home.clock.advance_us(500_000);
        store.catalog_trouble().is_none() && store.usage(&stream.id).segments == 3
    });
}

/// Another disk of the store, which fails when told to.
fn faulty(home: &Home, folder: &Path, number: u8) -> (MountedDisk, Arc<store_support::Faults>) {
    let id = home.another_disk(folder, number).id;
    let (disk, faults) = FaultyDisk::new(folder);
    let disk = MountedDisk::with(disk, folder, home.store, id, None).unwrap();
    (disk, faults)
}

/// Footage of one epoch that lies on a disk before the store is opened.
fn leave(stream: &mut Stream, on: &Path, segments: usize) {
    for _ in 0..segments {
        let sealed = stream.seal(2, 20_000);
        sealed.leave_on(on, sealed.bytes().len());
    }
}

#[test]
fn a_disk_that_does_not_answer_keeps_none_but_itself_from_being_compared_again() {
    const MAX_BYTES: u64 = 500_000;
    let (home, shelf) = (Home::new(234), Failing::default());
    let usb = tempfile::tempdir().unwrap();
    let (mut stream, mut there) = (home.stream(0), home.stream(1));
    let (own, looked_at) = FaultyDisk::new(home.disk.path());
    let (disk, faults) = faulty(&home, usb.path(), 9);
    let mut options = home.options_on(own);
    options.catalog = Some(Arc::new(shelf.clone()));
    options.disks[0].max_bytes = Some(MAX_BYTES);
    options.disks.push(disk);
    let own = home.disk.path().to_owned();
    options.spread.pinned.insert(stream.id, own);
    leave(&mut stream, home.disk.path(), 3);
    leave(&mut there, usb.path(), 3);
    let (store, hands) = driven(&home, options);
    let known = |stream: &Stream| store.usage(&stream.id).segments;
    assert_eq!((known(&stream), known(&there)), (3, 3));
    let listed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&listed);
    *looked_at.listed.lock().unwrap() = Some(Box::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    }));
    faults.silent.store(true, Ordering::SeqCst);
    shelf.set(true, true);
    for _ in 0..2 {
        stream.seal(2, 200_000).record(&store);
    }
    go_on(&home, &hands, 20);
    assert_eq!((known(&stream), known(&there)), (5, 0));
    let used_bytes = || store.disks()[0].used_bytes;
    assert!(used_bytes() > MAX_BYTES, "it waits for what is not known");
    go_on(&home, &hands, 80);
    assert!(used_bytes() <= MAX_BYTES, "{} bytes", used_bytes());
    assert_eq!(store.disks()[1].state, DiskUse::InUse);
    let before = listed.load(Ordering::SeqCst);
    go_on(&home, &hands, 300);
    assert_eq!(listed.load(Ordering::SeqCst), before, "once is enough");
    faults.silent.store(false, Ordering::SeqCst);
    go_on(&home, &hands, 10);
    assert_eq!(known(&there), 3);
    assert_eq!(store.casualty(), None);
}

#[test]
fn what_only_the_database_knows_is_there_again_when_the_catalog_is_back() {
    let (home, shelf) = (Home::new(235), Failing::default());
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [away, retired] = [folders[0].path(), folders[1].path()];
    let mut stream = home.stream(0);
    let (mut on_it, mut gone) = (home.stream(1), home.stream(2));
    let with_budget = || {
        let mut options = options(&home, &shelf);
        options.cameras = vec![budgeted(stream.id, 150_000)];
        options
    };
    let absent = |path: &Path, index: usize, number: u8| AbsentDisk {
        wanted: config::Disk {
            path: path.to_owned(),
            max_bytes: None,
            tier: Tier::Hot,
        },
        index,
        id: Some(DiskId::from_bytes([number; 16])),
        error: "it is away".to_owned(),
    };
    let (mut whole, mut without) = (with_budget(), with_budget());
    let (mut later, mut at_last) = (with_budget(), with_budget());
    whole.disks.push(home.another_disk(away, 8));
    whole.disks.push(home.another_disk(retired, 9));
    without.absent = vec![absent(away, 1, 8), absent(retired, 2, 9)];
    later.absent = vec![absent(away, 1, 8)];
    at_last.disks.push(home.another_disk(away, 8));
    leave(&mut stream, home.disk.path(), 2);
    leave(&mut on_it, away, 3);
    leave(&mut gone, retired, 3);
    home.open_with(whole);

    let (store, hands) = driven(&home, without);
    let known = |store: &Store, stream: &Stream| store.usage(&stream.id).segments;
    assert_eq!((known(&store, &on_it), known(&store, &gone)), (3, 3));
    shelf.set(true, true);
    for _ in 0..4 {
        stream.seal(2, 20_000).record(&store);
        go_on(&home, &hands, 20);
    }
    assert_eq!((known(&store, &on_it), known(&store, &gone)), (0, 0));
    let before = segments(&store, &stream);
    assert!(before.len() > 1 && before[0].0 > 1, "{before:?}");
    let it = DiskId::from_bytes([9; 16]);
    let refused = store.expect_retirable(it, false).unwrap_err();
    assert!(matches!(refused, Error::Unlisted), "{refused}");
    store.expect_retirable(it, true).unwrap();
    store.retire_disk(it).unwrap();
    go_on(&home, &hands, 20);
    shelf.set(false, false);
    go_on(&home, &hands, 90);
    assert_eq!(store.catalog_trouble(), None);
    let is_so = |store: &Store| {
        assert_eq!((known(store, &on_it), known(store, &gone)), (3, 0));
        assert_eq!(segments(store, &stream), before);
    };
    is_so(&store);
    store.close();
    drop(store);
    for options in [later, at_last] {
        let (store, report) = home.open_with(options);
        assert_eq!((report.inserted, report.forgotten), (0, 0));
        is_so(&store);
    }
}

#[test]
fn what_is_not_compared_yet_is_known_once_the_catalog_is_back() {
    let (home, shelf) = (Home::new(236), Failing::default());
    let usb = tempfile::tempdir().unwrap();
    let (mut stream, mut there) = (home.stream(0), home.stream(1));
    let (disk, faults) = faulty(&home, usb.path(), 9);
    let mut options = options(&home, &shelf);
    options.disks.push(disk);
    let own = home.disk.path().to_owned();
    options.spread.pinned.insert(stream.id, own);
    leave(&mut there, usb.path(), 3);
    let (store, hands) = driven(&home, options);
    faults.silent.store(true, Ordering::SeqCst);
    shelf.set(true, true);
    stream.seal(2, 20_000).record(&store);
    go_on(&home, &hands, 20);
    let known = || store.usage(&there.id).segments;
    assert_eq!(known(), 0);
    shelf.set(false, false);
    go_on(&home, &hands, 90);
    assert_eq!((store.catalog_trouble(), known()), (None, 3));
    // Somebody took one of them away meanwhile, which nobody could see yet.
    let files = usb.path().join("footage").join(there.id.to_string());
    let epoch = files.join(there.epoch().to_string());
    let one = std::fs::read_dir(epoch).unwrap().next().unwrap().unwrap();
    std::fs::remove_file(one.path()).unwrap();
    faults.silent.store(false, Ordering::SeqCst);
    go_on(&home, &hands, 10);
    assert_eq!(known(), 2);
}

#[test]
fn what_was_deleted_meanwhile_does_not_come_back_with_the_catalog() {
    let (home, shelf) = (Home::new(237), Failing::default());
    let folder = tempfile::tempdir().unwrap();
    let usb = folder.path().join("usb");
    std::fs::create_dir(&usb).unwrap();
    let mut stream = home.stream(0);
    let mut options = options(&home, &shelf);
    options.disks.push(home.another_disk(&usb, 9));
    options.spread.pinned.insert(stream.id, usb.clone());
    options.cameras = vec![budgeted(stream.id, 150_000)];
    leave(&mut stream, &usb, 2);
    let (store, hands) = driven(&home, options);
    shelf.set(true, true);
    for _ in 0..4 {
        stream.seal(2, 20_000).record(&store);
        go_on(&home, &hands, 20);
    }
    let before = segments(&store, &stream);
    assert!(before.len() > 1 && before[0].0 > 1, "{before:?}");
    // Nobody can look there any more when it is back.
    std::fs::rename(&usb, folder.path().join("unplugged")).unwrap();
    go_on(&home, &hands, 10);
    assert_eq!(store.disks()[1].state, DiskUse::Absent);
    shelf.set(false, false);
    go_on(&home, &hands, 90);
    assert_eq!(store.catalog_trouble(), None);
    let known = store.usage(&stream.id).segments;
    assert_eq!(known, before.len() as u64);
}
