//! Torn, foreign and damaged files, a catalog that lags, is short or is gone.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "common/left_out.rs"]
mod left_out;
mod store_support;

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use hearthkeep::disk::{Disk, RealDisk};
use hearthkeep::store::catalog::{Catalog, Entry};
use hearthkeep::store::recovery::Report;
use hearthkeep::store::{Error, MountedDisk, Store, browse, layout, lock};
use hearthkeep_format::segment::{File, SegmentOpener, scrub};
use hearthkeep_format::{DiskId, MetadataKey, StoreId};
use left_out::leave_out;
use store_support::{FaultyDisk, Home, Sealed, Stream, until};

/// What a reader with the generation's identity finds in a file: bodies of its fragments.
fn open_fragments(home: &Home, bytes: &[u8]) -> Vec<Vec<u8>> {
    let m = MetadataKey::from_bytes(home.m);
    let file = File::open(bytes, |head| {
        SegmentOpener::open(head, &home.generation, &m)
    })
    .unwrap();
    let report = scrub(bytes, &m).unwrap();
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    let places = file.places().to_vec();
    places
        .iter()
        .filter(|place| place.k > 0)
        .filter_map(|place| {
            let end = place.offset + u64::from(place.length);
            let opened = file
                .opener()
                .open_chunk(&bytes[place.offset as usize..end as usize]);
            let opened = opened.unwrap();
            (opened.chunk_type == hearthkeep_format::segment::ChunkType::Fragment)
                .then_some(opened.body)
        })
        .collect()
}

#[test]
fn a_file_cut_at_any_place_keeps_every_whole_fragment() {
    let mut stream_home = Home::new(20);
    let sealed = stream_home.stream(0).seal(4, 200);
    let whole = sealed.bytes();
    let ends: Vec<usize> = sealed
        .chunks
        .iter()
        .scan(sealed.head.len(), |end, chunk| {
            *end += chunk.len();
            Some(*end)
        })
        .collect();
    let cuts = (0..whole.len())
        .step_by(97)
        .chain(ends.iter().copied())
        .chain([sealed.head.len() - 1, sealed.head.len(), whole.len() - 1]);
    for cut in cuts {
        stream_home.disk = tempfile::tempdir().unwrap();
        stream_home.state = tempfile::tempdir().unwrap();
        mark(&stream_home);
        sealed.leave(&stream_home, cut);
        let (store, report) = stream_home.open();
        let path = stream_home.path_of(&sealed.new);
        if cut < sealed.head.len() {
            assert_eq!((report.removed, report.recovered), (1, 0), "cut at {cut}");
            assert!(!path.exists());
            continue;
        }
        assert_eq!(
            (report.removed, report.recovered),
            (0, 1),
            "cut at {cut}: {report:?}"
        );
        let fragments = open_fragments(&stream_home, &std::fs::read(&path).unwrap());
        let expected = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(fragments.len(), expected, "cut at {cut}");
        let span = store.last(&sealed.new.stream).unwrap().unwrap();
        assert_eq!(
            span.duration_us,
            expected as u64 * store_support::FRAGMENT_US
        );
        assert!(span.recovered);
    }
}

fn mark(home: &Home) {
    let disk = RealDisk::open(home.disk.path()).unwrap();
    let identity = layout::DiskIdentity {
        store: home.store,
        disk: home.disk_id,
    };
    layout::mark(&disk, home.disk.path(), &identity).unwrap();
}

#[test]
fn a_head_of_zeros_is_no_loss_but_damage_is_left_and_reported() {
    let home = Home::new(21);
    let mut stream = home.stream(0);
    let (zeros, foreign, flipped, misplaced) = (
        stream.seal(1, 50),
        stream.seal(1, 50),
        stream.seal(1, 50),
        stream.seal(1, 50),
    );
    zeros.leave_whole(&home);
    std::fs::write(home.path_of(&zeros.new), vec![0; 5000]).unwrap();
    foreign.leave_whole(&home);
    std::fs::write(
        home.path_of(&foreign.new),
        b"a picture of a cat, renamed".repeat(100),
    )
    .unwrap();
    // Both headers gone.
    flipped.leave_whole(&home);
    let file = std::fs::File::options()
        .write(true)
        .open(home.path_of(&flipped.new))
        .unwrap();
    file.write_at(b"x", 3).unwrap();
    let copy = flipped.bytes().len() - 128 - flipped.head.len();
    file.write_at(b"x", copy as u64 + 3).unwrap();
    misplaced.leave_whole(&home);
    let elsewhere = home
        .path_of(&misplaced.new)
        .with_file_name(format!("{}.hks", "ab".repeat(16)));
    std::fs::rename(home.path_of(&misplaced.new), &elsewhere).unwrap();
    let (store, report) = home.open();
    assert_eq!((report.removed, report.strange), (1, 3), "{report:?}");
    assert!(home.path_of(&foreign.new).exists() && home.path_of(&flipped.new).exists());
    assert!(elsewhere.exists());
    assert!(
        report
            .named
            .iter()
            .any(|(_, why)| why.to_string().contains("moved or renamed"))
    );
    assert_eq!(store.usage(&stream.id).segments, 0);
}

#[test]
fn one_flipped_bit_or_another_stores_id_deletes_nothing() {
    let home = Home::new(31);
    let mut stream = home.stream(0);
    // Torn in its third fragment: all lengths are there.
    let mut torn = |bit: Option<usize>| {
        let sealed = stream.seal(4, 300);
        sealed.leave(&home, sealed.head.len() + 900);
        let path = home.path_of(&sealed.new);
        if let Some(bit) = bit {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bytes).unwrap();
        }
        path
    };
    let chunk = {
        let whole = std::fs::read(torn(None)).unwrap();
        u32::from_be_bytes(whole[12..16].try_into().unwrap()) as usize
    };
    // The offset of chunk 0, and its length.
    let bits = (12 * 8..16 * 8).chain(chunk * 8..(chunk + 4) * 8);
    let mut left: Vec<_> = bits.map(|bit| torn(Some(bit))).collect();
    // What ends within its head, and is not this store's, or not this segment's.
    let foreign = Home::new(32).stream(0).seal(1, 50);
    let misnamed = home.stream(1).seal(1, 50);
    for (sealed, length) in [
        (&foreign, 700),
        (&foreign, 100),
        (&misnamed, 700),
        (&misnamed, 100),
    ] {
        let name = format!("{:032x}.hks", left.len());
        let path = home.path_of(&sealed.new).with_file_name(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &sealed.bytes()[..length]).unwrap();
        left.push(path);
    }
    let note = left[0].with_file_name(format!("{:032x}.hks", 1_u64 << 40));
    std::fs::write(&note, "milk, eggs").unwrap();
    left.push(note);
    // The same and nothing wrong with it.
    let cut = misnamed.new;
    misnamed.leave(&home, 100);
    let empty = home.stream(2).seal(1, 50);
    empty.leave(&home, 0);
    let sizes: Vec<_> = left
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .collect();
    let (store, report) = home.open();
    until("all was compared", || !home.path_of(&cut).exists());
    drop(store);
    assert!(!home.path_of(&empty.new).exists());
    assert_eq!(report.recovered, 1, "{report:?}");
    for (path, size) in left.iter().zip(sizes) {
        assert_eq!(path.metadata().unwrap().len(), size, "{}", path.display());
    }
}

#[test]
fn one_header_gone_is_read_from_the_copy() {
    let home = Home::new(22);
    let sealed = home.stream(0).seal(2, 50);
    sealed.leave_whole(&home);
    let file = std::fs::File::options()
        .write(true)
        .open(home.path_of(&sealed.new))
        .unwrap();
    file.write_at(b"x", 3).unwrap();
    let (store, report) = home.open();
    assert_eq!((report.inserted, report.strange), (1, 0));
    assert_eq!(store.usage(&sealed.new.stream).segments, 1);
}

#[test]
fn a_catalog_that_lags_is_short_or_gone_is_made_up_for() {
    let home = Home::new(23);
    let mut streams: Vec<_> = (0..3).map(|n| home.stream(n)).collect();
    {
        let (store, _) = home.open();
        streams.iter_mut().for_each(|stream| {
            (0..20).for_each(|_| stream.seal(2, 50).record(&store));
        });
        store.close();
    }
    // Behind: files of the newest epoch that the catalog has not heard of, and one that is torn.
    let newer: Vec<_> = streams
        .iter_mut()
        .map(|stream| stream.seal(2, 50))
        .collect();
    newer.iter().for_each(|sealed| sealed.leave_whole(&home));
    let torn = streams[0].seal(2, 50);
    torn.leave(&home, torn.head.len() + torn.chunks[0].len() + 7);
    let (store, report) = home.open();
    assert_eq!((report.inserted, report.recovered), (3, 1));
    assert_eq!(store.last(&streams[0].id).unwrap().unwrap().sequence, 21);
    drop(store);
    // Gone: the newest epochs at once, the others soon.
    streams.iter_mut().for_each(|stream| {
        stream.new_epoch(&home);
        stream.seal(2, 50).leave_whole(&home);
    });
    std::fs::remove_dir_all(home.catalog()).unwrap();
    let (store, _) = home.open();
    assert_eq!(store.last(&streams[0].id).unwrap().unwrap().sequence, 22);
    assert_eq!(store.last(&streams[1].id).unwrap().unwrap().sequence, 21);
    until("all is known again", || {
        store
            .streams()
            .iter()
            .map(|stream| store.usage(stream).segments)
            .sum::<u64>()
            == 67
    });
    // Short: a file deleted by hand is forgotten.
    drop(store);
    std::fs::remove_file(home.path_of(&newer[1].new)).unwrap();
    let (store, _) = home.open();
    until("it is forgotten", || {
        store.usage(&streams[1].id).segments == 21
    });
}

#[test]
fn a_torn_segment_of_the_newest_epoch_is_found_on_any_disk_before_the_start() {
    let home = Home::new(30);
    let other = tempfile::tempdir().unwrap();
    let open = || {
        let mut options = home.options();
        options.disks.push(home.another_disk(other.path(), 7));
        home.open_with(options)
    };
    let mut stream = home.stream(0);
    // Both disks have something of the epoch, and the last that the catalog knows lies on the first.
    let on_other = stream.seal(2, 50);
    on_other.leave_on(other.path(), on_other.bytes().len());
    stream.seal(2, 50).leave_whole(&home);
    drop(open());
    let torn = stream.seal(4, 50);
    torn.leave_on(other.path(), torn.bytes().len() - torn.end.len());
    let (store, report) = open();
    assert_eq!((report.recovered, report.inserted), (1, 0), "{report:?}");
    assert_eq!(store.last(&stream.id).unwrap().unwrap().sequence, 2);
    let last = store.last(&stream.id).unwrap().unwrap();
    assert_eq!(
        (last.segment, last.end_us()),
        (torn.new.segment, stream.wall_us)
    );
}

#[test]
fn a_torn_segment_that_the_disk_does_not_let_be_mended_is_gone_on_after() {
    let home = Home::new(33);
    let mut stream = home.stream(0);
    let sealed = stream.seal(4, 200);
    sealed.leave(&home, sealed.bytes().len() - sealed.end.len());
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    faults
        .fail_sync
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let (store, report) = home.open_with(home.options_on(disk));
    assert_eq!((report.recovered, report.strange), (0, 1));
    let last = store.last(&stream.id).unwrap().unwrap();
    assert_eq!((last.sequence, last.open), (0, true));
    assert_eq!(last.duration_us, sealed.duration_us);
    drop(store);
    let (store, _) = home.open();
    let last = store.last(&stream.id).unwrap().unwrap();
    assert_eq!((last.sequence, last.open), (0, false));
}

fn all_entries(home: &Home, streams: &[Stream]) -> Vec<Entry> {
    let catalog = Catalog::open(&home.catalog(), &home.store).unwrap().catalog;
    let of = |stream: &Stream| {
        catalog
            .oldest_first(&stream.id)
            .map(Result::unwrap)
            .collect()
    };
    streams
        .iter()
        .flat_map(|stream| -> Vec<Entry> { of(stream) })
        .collect()
}

#[test]
fn a_rebuilt_catalog_equals_the_one_that_grew() {
    let home = Home::new(24);
    let mut streams: Vec<_> = (0..4).map(|n| home.stream(n)).collect();
    for _ in 0..3 {
        let (store, _) = home.open();
        for stream in &mut streams {
            stream.new_epoch(&home);
            (0..40).for_each(|_| stream.seal(1, 20).record(&store));
        }
    }
    let torn = streams[2].seal(3, 30);
    torn.leave(&home, torn.bytes().len() - 1);
    drop(home.open());
    let grown = all_entries(&home, &streams);
    assert_eq!(grown.len(), 4 * 3 * 40 + 1);
    let held = lock::acquire(home.state.path()).unwrap();
    let report = Store::reindex(home.options(), &held).unwrap().report;
    assert_eq!((report.inserted, report.files), (481, 481));
    drop(held);
    assert_eq!(all_entries(&home, &streams), grown);
}

#[test]
fn a_catalog_that_cannot_be_made_anew_stays_as_it_was() {
    let home = Home::new(34);
    let mut streams = vec![home.stream(0)];
    let (store, _) = home.open();
    (0..5).for_each(|_| streams[0].seal(1, 20).record(&store));
    drop(store);
    let before = all_entries(&home, &streams);
    assert_eq!(before.len(), 5);
    // The footage cannot be listed: a file stands in its place.
    let (footage, away) = (
        home.disk.path().join("footage"),
        home.disk.path().join("away"),
    );
    std::fs::rename(&footage, &away).unwrap();
    std::fs::write(&footage, "no folder").unwrap();
    let held = lock::acquire(home.state.path()).unwrap();
    let error = Store::reindex(home.options(), &held).err().unwrap();
    assert!(error.to_string().contains("list"), "{error}");
    assert_eq!(all_entries(&home, &streams), before);
    std::fs::remove_file(&footage).unwrap();
    std::fs::rename(&away, &footage).unwrap();
    Store::reindex(home.options(), &held).unwrap();
    assert_eq!(all_entries(&home, &streams), before);
    let left: Vec<_> = std::fs::read_dir(home.state.path()).unwrap().collect();
    let names = left.into_iter().map(|entry| entry.unwrap().file_name());
    assert!(
        names
            .into_iter()
            .all(|name| name != "catalog.new" && name != "catalog.old")
    );
}

#[test]
fn a_disk_that_is_not_the_one_expected_is_never_written_to() {
    let home = Home::new(25);
    let (path, other) = (home.disk.path(), DiskId::from_bytes([5; 16]));
    let open = |store, disk| {
        MountedDisk::open(path, store, disk, None)
            .map(drop)
            .unwrap_err()
    };
    let error = open(home.store, other);
    assert!(matches!(error, Error::OtherDisk { .. }), "{error}");
    let error = open(StoreId::from_bytes([6; 16]), home.disk_id);
    assert!(matches!(error, Error::OtherStore { .. }), "{error}");
    std::fs::remove_file(path.join(layout::ID_FILE)).unwrap();
    let error = open(home.store, home.disk_id);
    assert!(error.to_string().contains("is not mounted"), "{error}");
    assert_eq!(
        std::fs::read_dir(path).unwrap().count(),
        0,
        "nothing was written"
    );
}

#[test]
fn another_process_lists_what_is_there_while_it_is_written() {
    let home = Home::new(26);
    let (store, _) = home.open();
    let mut stream = home.stream(0);
    let whole: Vec<Sealed> = (0..3).map(|_| stream.seal(2, 50)).collect();
    whole.iter().for_each(|sealed| sealed.record(&store));
    let growing = stream.seal(4, 50);
    let handle = growing.begin(&store);
    until("it is durable", || {
        handle.segment().durable_us() == growing.duration_us
    });
    home.stream(1).seal(1, 50).record(&store);
    until("the other is catalogued", || store.streams().len() == 2);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(home.disk.path()).unwrap());
    let keys = home.keys();
    let listing = browse::list(&[disk], &home.store, &*keys, Some(&stream.id)).unwrap();
    assert!(listing.oddities.is_empty(), "{:?}", listing.oddities);
    let listed: Vec<_> = listing
        .segments
        .iter()
        .map(|listed| {
            (
                listed.facts.start.sequence,
                listed.facts.end.duration_us,
                listed.open,
            )
        })
        .collect();
    let second = 1_000_000;
    assert_eq!(
        listed,
        [
            (0, second, false),
            (1, second, false),
            (2, second, false),
            (3, 2 * second, true)
        ]
    );
    assert!(
        home.path_of(&growing.new).exists(),
        "reading closes nothing"
    );
    drop(handle);
}

#[test]
fn nobody_is_asked_for_a_secret_that_is_not_here() {
    let home = Home::new(27);
    home.stream(0).seal(1, 50).leave_whole(&home);
    let mut options = home.options();
    options.keys = Arc::new(|_| None);
    let (_store, report): (Store, Report) = home.open_with(options);
    assert_eq!(report.strange, 1);
    assert!(report.named[0].1.to_string().contains("generation 1"));
}

#[test]
fn the_keyring_is_read_from_whichever_copy_is_whole() {
    let home = Home::new(28);
    let disk = RealDisk::open(home.disk.path()).unwrap();
    let mut keyring = hearthkeep_format::Keyring::new(home.store);
    keyring.version = 4;
    layout::write_keyring(&disk, home.disk.path(), &keyring).unwrap();
    keyring.version = 5;
    layout::write_keyring(&disk, home.disk.path(), &keyring).unwrap();
    let folder = home.disk.path().join("keyring");
    assert_eq!(
        std::fs::read(folder.join("a")).unwrap(),
        std::fs::read(folder.join("b")).unwrap()
    );
    for (broken, whole) in [("a", "b"), ("b", "a")] {
        let bytes = std::fs::read(folder.join(whole)).unwrap();
        std::fs::write(folder.join(broken), &bytes[..20]).unwrap();
        let read = layout::read_keyring(&disk, home.disk.path()).unwrap();
        assert_eq!(read.version, 5);
        std::fs::write(folder.join(broken), &bytes).unwrap();
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let error = layout::read_keyring(&disk, home.disk.path()).unwrap_err();
    assert!(matches!(error, Error::Keyring { .. }));
}

#[test]
fn the_catalog_opens_on_a_full_disk() {
    let mut home = Home::new(29);
    let Some(small) = SmallDisk::mount(64 << 20) else {
        let why = "mounting a small file system needs root";
        leave_out("recovery/the_catalog_opens_on_a_full_disk", why);
        return;
    };
    home.move_to(&small.0);
    let mut stream = home.stream(0);
    {
        let (store, _) = home.open();
        (0..50).for_each(|_| stream.seal(1, 2000).record(&store));
    }
    let filler = std::fs::File::create(small.0.join("filler")).unwrap();
    let piece = vec![1; 4096];
    while std::io::Write::write_all(&mut &filler, &piece).is_ok() {}
    let torn = stream.seal(1, 20);
    assert!(
        std::fs::write(small.0.join("more"), &piece).is_err(),
        "it is full"
    );
    let mut options = home.options();
    options.reserve_bytes_min = 1 << 20;
    let (store, _) = home.open_with(options);
    let usage = store.usage(&stream.id);
    println!("{} segments are known on the full disk", usage.segments);
    // The room that was kept aside lets it record while retention works.
    torn.record(&store);
    until("it records again", || {
        let last = store.last(&stream.id).unwrap();
        last.is_some_and(|span| span.segment == torn.new.segment)
    });
}

/// A file system of its own, unmounted when dropped.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap().keep();
        let mut mount = std::process::Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]);
        let mounted = mount
            .arg(&folder)
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
        let _ = std::fs::remove_dir(&self.0);
    }
}
