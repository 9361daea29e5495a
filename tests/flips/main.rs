//! Every byte of a small store flipped, one at a time: the whole map. It is found, it costs at most the chunk that it hits, and
//! repairing makes nothing worse, wherever it is cut off.
#![allow(clippy::unwrap_used, missing_docs)]

mod log;
#[path = "../store_support/log_files.rs"]
mod log_files;
mod memory;
mod shelf;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep::store::check::{Findings, Kind};
use hearthkeep::store::inspect::Place;
use hearthkeep::store::layout;
use memory::Memory;
use shelf::{Footage, Sealed, Shelf};

/// What a flipped byte may cost, and what is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Region {
    /// A copy of the keyring, or the id file.
    Material,
    /// A file of the signed log.
    Log,
    Head,
    Fragment(u32),
    Footer,
    Copy,
    Tail,
    /// The only head that a torn segment has.
    TornHead,
    TornEnvelope,
    /// The last, cut fragment of a torn segment: nobody was ever told that it is there.
    TornRest,
}

fn region(sealed: &Sealed, n: usize) -> Region {
    let [envelope_end, head_end, fragments @ ..] = &sealed.edges[..] else {
        unreachable!("a segment has a head")
    };
    let fragment = fragments.iter().position(|end| n < *end);
    let fragment = fragment.map(|before| before as u32 + 1);
    if sealed.torn {
        return match (n, fragment) {
            (n, _) if (256..*envelope_end).contains(&n) => Region::TornEnvelope,
            (n, _) if n < *head_end => Region::TornHead,
            (_, Some(k)) => Region::Fragment(k),
            (_, None) => Region::TornRest,
        };
    }
    match (n, fragment) {
        (n, _) if n < *head_end => Region::Head,
        (_, Some(k)) if k as usize == fragments.len() => Region::Footer,
        (_, Some(k)) => Region::Fragment(k),
        (n, None) if n < sealed.bytes.len() - 128 => Region::Copy,
        (_, None) => Region::Tail,
    }
}

/// Whether a byte is of an envelope.
fn is_envelope(sealed: &Sealed, n: usize) -> bool {
    let envelope = 256..sealed.edges[0];
    let copy_at = sealed.bytes.len() - 128 - sealed.edges[1];
    envelope.contains(&n)
        || (!sealed.torn
            && n.checked_sub(copy_at)
                .is_some_and(|n| envelope.contains(&n)))
}

/// The store as it is, and what opens of it.
struct Whole {
    shelf: Shelf,
    footage: Vec<(Place, Footage)>,
}

impl Whole {
    fn new(seed: u64) -> Self {
        let shelf = Shelf::new(seed);
        let opened = |sealed: &Sealed| (sealed.place, shelf.footage(&shelf.disk, &sealed.place));
        let footage: Vec<_> = shelf.segments.iter().map(opened).collect();
        assert_eq!(
            footage.iter().map(|(_, f)| f.len()).collect::<Vec<_>>(),
            [3, 3, 2, 3]
        );
        let findings = shelf.check(&shelf.disk);
        assert!(findings.found.is_empty(), "{:?}", findings.found);
        assert_eq!(findings.torn.len(), 1);
        Self { shelf, footage }
    }

    fn segment(&self, path: &Path) -> Option<&Sealed> {
        let mut segments = self.shelf.segments.iter();
        segments.find(|sealed| sealed.place.path() == path)
    }

    fn footage(&self, place: &Place) -> &Footage {
        &self.footage.iter().find(|(of, _)| of == place).unwrap().1
    }

    /// Flips a bit and says what is wrong with what then happens.
    fn flip(&self, path: &Path, n: usize) -> (Region, Result<(), String>) {
        if path.starts_with(layout::LOG) {
            return (Region::Log, log::flip(&self.shelf, path, n));
        }
        let sealed = self.segment(path);
        let region = sealed.map_or(Region::Material, |sealed| region(sealed, n));
        let disk = self.part(sealed);
        let mut bytes = disk.bytes(path).to_vec();
        bytes[n] ^= 1 << (n % 8);
        disk.put(path, Arc::new(bytes));
        let findings = self.shelf.check(&disk);
        let told = self.found(&disk, &findings, (sealed, n), region);
        let lost = sealed.map_or(Ok(()), |sealed| self.lost(&disk, sealed, region));
        let repaired = self.repaired(&disk, &findings, (path, sealed), region);
        (region, told.and(lost).and(repaired))
    }

    /// The part of the disk that a flip has to do with: other files only cost time, 50,000 times.
    fn part(&self, sealed: Option<&Sealed>) -> Memory {
        let disk = self.shelf.disk.twin();
        for other in &self.shelf.segments {
            let is_beside = sealed.is_some_and(|sealed| match sealed.torn {
                true => sealed.place.stream == other.place.stream,
                false => sealed.place == other.place,
            });
            if !is_beside {
                disk.without(&other.place.path());
            }
        }
        disk
    }

    fn found(
        &self,
        disk: &Memory,
        findings: &Findings,
        (sealed, n): (Option<&Sealed>, usize),
        region: Region,
    ) -> Result<(), String> {
        let found = &findings.found;
        let is_expected = match region {
            Region::TornRest => found.is_empty(),
            Region::TornEnvelope => matches!(&found[..], [one] if one.kind == Kind::Envelope),
            // `log::flip` sees to it.
            Region::Log => false,
            Region::Material => {
                let is_it = |kind| matches!(kind, Kind::Keyring | Kind::IdFile);
                matches!(&found[..], [one] if is_it(one.kind))
            }
            Region::Head => matches!(&found[..], [one] if one.kind == Kind::Head),
            Region::Copy => matches!(&found[..], [one] if one.kind == Kind::Copy),
            Region::Tail => matches!(&found[..], [one] if one.kind == Kind::Tail),
            Region::Footer | Region::Fragment(_) => {
                matches!(&found[..], [one] if one.kind == Kind::Chunks)
            }
            Region::TornHead => found.len() == 1,
        };
        if !is_expected {
            return Err(format!("found {found:?}"));
        }
        match sealed.filter(|sealed| is_envelope(sealed, n)) {
            Some(sealed) => self.found_by_owner(disk, sealed, region),
            None => Ok(()),
        }
    }

    /// An envelope is what only an identity looks into. Everywhere else it would cost 50,000 decapsulations and see what the epoch's
    /// secret sees.
    fn found_by_owner(&self, disk: &Memory, sealed: &Sealed, region: Region) -> Result<(), String> {
        let told = self.shelf.open_check(disk, &sealed.place).finding;
        let told = told.ok_or("the owner finds nothing")?;
        let is_expected = match region {
            Region::TornEnvelope => told.kind == Kind::Refused,
            _ => told.lost_us == Some(0),
        };
        match is_expected {
            true => Ok(()),
            false => Err(format!("the owner finds {told:?}")),
        }
    }

    /// Nothing but what the flip covers is lost, and nothing false comes out.
    fn lost(&self, disk: &Memory, sealed: &Sealed, region: Region) -> Result<(), String> {
        let mut expected = self.footage(&sealed.place).clone();
        match region {
            Region::Fragment(k) => _ = expected.remove(&k),
            Region::TornHead => expected.clear(),
            _ => {}
        }
        let left = self.shelf.footage_by_epoch(disk, &sealed.place);
        match left == expected {
            true => Ok(()),
            false => Err(format!("{:?} opens", left.keys().collect::<Vec<_>>())),
        }
    }

    /// Repairing loses nothing of what opened, of any segment, and makes whole what stands twice.
    fn repaired(
        &self,
        disk: &Memory,
        findings: &Findings,
        (path, sealed): (&Path, Option<&Sealed>),
        region: Region,
    ) -> Result<(), String> {
        let files = disk.files();
        let before = sealed.map(|sealed| self.shelf.footage_by_epoch(disk, &sealed.place));
        let refused = self.shelf.repair(disk, findings, false);
        if disk.changes() == 0 {
            let is_for_good = matches!(region, Region::Fragment(_) | Region::Footer);
            let is_torn = sealed.is_some_and(|sealed| sealed.torn);
            return match is_for_good || is_torn {
                true => Ok(()),
                false => Err("nothing was repaired".to_owned()),
            };
        }
        let is_restored = matches!(region, Region::Material | Region::Head | Region::Copy);
        if is_restored || region == Region::Tail {
            let left = self.shelf.check(disk).found;
            if !refused.is_empty() || !left.is_empty() {
                return Err(format!("repaired: {refused:?}, {left:?}"));
            }
        }
        if is_restored && disk.bytes(path) != self.shelf.disk.bytes(path) {
            return Err("it is another file after the repair".to_owned());
        }
        if let (Some(sealed), Some(before)) = (sealed.filter(|_| !is_restored), before) {
            let after = self.shelf.footage_by_epoch(disk, &sealed.place);
            if after != before {
                return Err("something else opens after the repair".to_owned());
            }
        }
        self.others_are_as_they_were(disk, &files, path)
    }

    fn others_are_as_they_were(
        &self,
        disk: &Memory,
        before: &BTreeMap<PathBuf, Arc<Vec<u8>>>,
        path: &Path,
    ) -> Result<(), String> {
        let after = disk.files();
        for (other, bytes) in before.iter().filter(|(other, _)| *other != path) {
            let now = after
                .get(other)
                .ok_or(format!("{} is gone", other.display()))?;
            let is_torn = self.segment(other).is_some_and(|sealed| sealed.torn);
            // One that was torn is closed: its whole chunks stay.
            let kept = if is_torn {
                self.segment(other).unwrap().edges.last().copied()
            } else {
                None
            };
            let kept = kept.unwrap_or(bytes.len());
            if now.get(..kept) != bytes.get(..kept) || (!is_torn && now.len() != kept) {
                return Err(format!("{} was changed", other.display()));
            }
        }
        Ok(())
    }
}

#[test]
fn every_byte_flipped_once_is_found_and_costs_what_it_covers() {
    let whole = Whole::new(1);
    let files = whole.shelf.disk.files();
    let flips: Vec<(PathBuf, usize)> = files
        .iter()
        .flat_map(|(path, bytes)| (0..bytes.len()).map(move |n| (path.clone(), n)))
        .collect();
    let readers = std::thread::available_parallelism().map_or(2, usize::from);
    let results: Vec<_> = std::thread::scope(|scope| {
        let (flips, whole) = (&flips, &whole);
        let flip = |t| {
            let share = flips.iter().skip(t).step_by(readers);
            let flip = |(path, n): &'_ (PathBuf, usize)| (path.clone(), *n, whole.flip(path, *n));
            share.map(flip).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..readers).map(|t| scope.spawn(move || flip(t))).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut counted: BTreeMap<Region, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (path, n, (region, result)) in &results {
        *counted.entry(*region).or_default() += 1;
        if let Err(why) = result {
            wrong.push(format!("{} byte {n}, {region:?}: {why}", path.display()));
        }
    }
    println!("{} bytes: {counted:?}", results.len());
    assert_eq!(results.len(), flips.len());
    assert!(
        wrong.is_empty(),
        "{} wrong, such as {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(8)]
    );
}

/// Damage that repairing has something to do about, two at once among it.
fn damages(whole: &Whole) -> Vec<(&'static str, Vec<(PathBuf, usize)>)> {
    let sealed = &whole.shelf.segments[0];
    let path = sealed.place.path();
    let (head, copy) = (sealed.edges[1], sealed.bytes.len() - 128 - 300);
    let tail = sealed.bytes.len() - 60;
    let keyring = Path::new(layout::KEYRING);
    vec![
        ("nothing", Vec::new()),
        ("head", vec![(path.clone(), 20)]),
        ("envelope of the head", vec![(path.clone(), 700)]),
        ("chunk 0", vec![(path.clone(), head - 40)]),
        ("copy", vec![(path.clone(), copy)]),
        ("tail", vec![(path.clone(), tail)]),
        (
            "magic of the tail",
            vec![(path.clone(), sealed.bytes.len() - 128)],
        ),
        (
            "head and tail",
            vec![(path.clone(), head - 40), (path.clone(), tail)],
        ),
        (
            "head and a chunk",
            vec![(path.clone(), 20), (path.clone(), sealed.edges[2] - 40)],
        ),
        (
            "envelopes and tail",
            vec![(path.clone(), 700), (path, tail)],
        ),
        ("keyring", vec![(keyring.join("a"), 99)]),
        (
            "both keyrings",
            vec![(keyring.join("a"), 99), (keyring.join("b"), 98)],
        ),
        ("id file", vec![(layout::ID_FILE.into(), 5)]),
    ]
}

#[test]
fn repairing_that_is_cut_off_anywhere_loses_nothing_and_can_be_gone_on_with() {
    let whole = Whole::new(2);
    for (name, flips) in damages(&whole) {
        let damaged = whole.shelf.disk.twin();
        for (path, n) in flips {
            let mut bytes = damaged.bytes(&path).to_vec();
            bytes[n] ^= 0x20;
            damaged.put(&path, Arc::new(bytes));
        }
        let footage = |disk: &Memory| -> Vec<_> {
            let segments = whole.shelf.segments.iter();
            segments
                .map(|sealed| whole.shelf.footage(disk, &sealed.place))
                .collect()
        };
        let before = footage(&damaged);
        let done = damaged.twin();
        let refused = whole.shelf.repair(&done, &whole.shelf.check(&done), false);
        assert_eq!(
            refused.len(),
            usize::from(name == "envelopes and tail"),
            "{refused:?}"
        );
        assert_eq!(footage(&done), before, "{name}");
        let left = whole.shelf.check(&done).found;
        let is_left = matches!(name, "head and a chunk" | "envelopes and tail");
        assert_eq!(left.is_empty(), !is_left, "{name}: {left:?}");
        println!("{name}: {} changes", done.changes());
        for changes in 0..done.changes() {
            let cut = damaged.twin();
            cut.die_after(changes);
            let refused = whole.shelf.repair(&cut, &whole.shelf.check(&cut), false);
            assert!(!refused.is_empty(), "{name}, cut off at {changes}");
            let cut = cut.twin();
            assert_eq!(footage(&cut), before, "{name}, cut off at {changes}");
            whole.shelf.repair(&cut, &whole.shelf.check(&cut), false);
            assert_eq!(
                footage(&cut),
                before,
                "{name}, gone on with after {changes}"
            );
            let found = whole.shelf.check(&cut).found;
            let kinds = |found: &[hearthkeep::store::check::Finding]| -> Vec<_> {
                found
                    .iter()
                    .map(|f| f.kind)
                    .filter(|kind| *kind != Kind::Leftover)
                    .collect()
            };
            assert_eq!(
                kinds(&found),
                kinds(&left),
                "{name}, gone on with after {changes}"
            );
        }
    }
}

#[test]
fn the_damaged_end_that_is_cut_off_a_torn_segment_is_kept() {
    let whole = Whole::new(8);
    let sealed = whole.shelf.segments.iter().find(|sealed| sealed.torn);
    let sealed = sealed.unwrap();
    let path = sealed.place.path();
    let cut = Path::new(layout::LOST).join(path.with_extension("hks.cut"));
    let [.., before, last] = sealed.edges[..] else {
        panic!("it has fragments");
    };
    let repaired = |bytes: &[u8]| {
        let disk = whole.shelf.disk.twin();
        disk.put(&path, Arc::new(bytes.to_vec()));
        let footage = whole.shelf.footage(&disk, &sealed.place);
        let findings = whole.shelf.check(&disk);
        let refused = whole.shelf.repair(&disk, &findings, false);
        assert!(refused.is_empty(), "{refused:?}");
        assert_eq!(whole.shelf.footage(&disk, &sealed.place), footage);
        let kinds: Vec<_> = findings.found.iter().map(|found| found.kind).collect();
        (kinds, disk)
    };
    let mut bytes = sealed.bytes.clone();
    bytes[last - 40] ^= 1;
    let (kinds, disk) = repaired(&bytes);
    assert_eq!(kinds, [Kind::Chunks]);
    let closed = disk.bytes(&path);
    assert_eq!(closed[..before], bytes[..before]);
    assert!(
        !closed
            .windows(100)
            .any(|some| *some == bytes[before..before + 100])
    );
    assert_eq!(*disk.bytes(&cut), bytes[before..], "all that was cut off");

    // What a crash leaves of a chunk is no loss.
    let (kinds, disk) = repaired(&sealed.bytes);
    assert_eq!(kinds, []);
    assert!(
        disk.files()
            .keys()
            .all(|file| !file.starts_with(layout::LOST))
    );
}

/// Nothing beside it tells which envelope is right, so that only an identity finds it; and it costs that segment and no more.
#[test]
fn a_flipped_envelope_of_a_torn_segment_that_is_alone_is_found_by_who_opens_it() {
    let whole = Whole::new(5);
    let shelf = &whole.shelf;
    let sealed = shelf.segments.iter().find(|sealed| sealed.torn).unwrap();
    let path = sealed.place.path();
    for n in 256..sealed.edges[0] {
        let disk = shelf.disk.twin();
        let others = shelf.segments.iter();
        let others = others.filter(|other| other.place != sealed.place);
        others.for_each(|other| disk.without(&other.place.path()));
        let mut bytes = sealed.bytes.clone();
        bytes[n] ^= 1 << (n % 8);
        disk.put(&path, Arc::new(bytes));
        let findings = shelf.check(&disk);
        assert!(findings.found.is_empty(), "byte {n}: {:?}", findings.found);
        let told = shelf.open_check(&disk, &sealed.place).finding;
        assert_eq!(told.map(|told| told.kind), Some(Kind::Refused), "byte {n}");
        assert!(shelf.footage(&disk, &sealed.place).is_empty(), "byte {n}");
        let refused = shelf.repair(&disk, &findings, false);
        assert!(refused.is_empty(), "byte {n}: {refused:?}");
        let left = shelf.footage_by_epoch(&disk, &sealed.place);
        assert_eq!(left, *whole.footage(&sealed.place), "byte {n}");
    }
}

#[test]
fn a_finished_segment_without_an_envelope_is_told_and_left_as_it_is() {
    let whole = Whole::new(4);
    let sealed = &whole.shelf.segments[0];
    let path = sealed.place.path();
    let copy = sealed.bytes.len() - 128 - sealed.edges[1];
    let disk = whole.shelf.disk.twin();
    let mut bytes = sealed.bytes.clone();
    bytes[700] ^= 0x20;
    bytes[copy + 701] ^= 0x20;
    disk.put(&path, Arc::new(bytes.to_vec()));
    let findings = whole.shelf.check(&disk);
    let found: Vec<_> = findings.found.iter().map(|f| (f.kind, &f.path)).collect();
    assert_eq!(found, [(Kind::Root, &path)]);
    let what = &findings.found[0].what;
    assert!(what.contains("put the file back from a copy"), "{what}");
    assert!(!findings.found[0].repairable);
    assert!(whole.shelf.repair(&disk, &findings, false).is_empty());
    assert_eq!(*disk.bytes(&path), *bytes, "and nothing was done to it");
}

#[test]
fn what_does_not_belong_on_a_disk_is_named_and_moved_when_asked() {
    let whole = Whole::new(3);
    let disk = whole.shelf.disk.twin();
    let put = |path: PathBuf, bytes: &[u8]| disk.put(&path, Arc::new(bytes.to_vec()));
    let sealed = &whole.shelf.segments[0];
    let path = sealed.place.path();
    let beside = |name: String| path.with_file_name(name);
    let other = Shelf::new(4);
    let foreign = other.segments[0].place.segment;
    put(beside(format!("{foreign}.hks")), &other.segments[0].bytes);
    put(beside(format!("{}.hks", "ab".repeat(16))), &sealed.bytes);
    put(beside(format!("{}.hks", "cd".repeat(16))), b"milk, eggs");
    put(
        beside(format!("{}.hks.new", sealed.place.segment)),
        &sealed.bytes[..900],
    );
    put(beside("notes.txt".to_owned()), b"hello");
    put("keyring/a.new".into(), b"half");
    put("holiday/pictures.zip".into(), b"zip");
    let stream = format!("footage/{}", "ee".repeat(16));
    let unknown = format!("{stream}/{}/{}.hks", "ee".repeat(16), "ee".repeat(16));
    put(unknown.into(), &sealed.bytes);
    let kinds = |disk: &Memory| {
        let mut kinds: Vec<_> = whole
            .shelf
            .check(disk)
            .found
            .iter()
            .map(|f| f.kind)
            .collect();
        kinds.sort();
        kinds
    };
    use Kind::{Foreign, Leftover, Misplaced, NoSegment, Stranger, UnknownStream};
    let expected = [
        Foreign,
        Misplaced,
        Misplaced,
        UnknownStream,
        NoSegment,
        Leftover,
        Leftover,
        Stranger,
        Stranger,
    ];
    assert_eq!(kinds(&disk), expected);
    let before = disk.files();
    let refused = whole.shelf.repair(&disk, &whole.shelf.check(&disk), false);
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(kinds(&disk), expected, "nothing moves by itself");
    let refused = whole.shelf.repair(&disk, &whole.shelf.check(&disk), true);
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(kinds(&disk), [UnknownStream]);
    let mut was: Vec<_> = before.values().map(|b| b.to_vec()).collect();
    let mut is: Vec<_> = disk.files().values().map(|b| b.to_vec()).collect();
    // The torn one is closed by now.
    let torn = &whole.shelf.segments[2].bytes;
    let closed = disk.bytes(&whole.shelf.segments[2].place.path());
    was.retain(|bytes| bytes != torn);
    is.retain(|bytes| *bytes != *closed);
    was.sort();
    is.sort();
    assert!(was == is, "nothing is deleted");
}

#[test]
fn a_retired_disk_is_whole_and_stays_retired_whatever_is_flipped() {
    let whole = Whole::new(5);
    let id_file = whole.shelf.id_file(true);
    let path = Path::new(layout::ID_FILE);
    let disk = whole.shelf.disk.twin();
    disk.put(path, Arc::new(id_file.clone()));
    let found = whole.shelf.check(&disk).found;
    assert!(found.is_empty(), "{found:?}");
    for n in 0..id_file.len() {
        let mut flipped = id_file.clone();
        flipped[n] ^= 1 << (n % 8);
        disk.put(path, Arc::new(flipped));
        let findings = whole.shelf.check(&disk);
        let kinds: Vec<_> = findings.found.iter().map(|found| found.kind).collect();
        assert_eq!(kinds, [Kind::IdFile], "byte {n}");
        let refused = whole.shelf.repair(&disk, &findings, false);
        assert!(refused.is_empty(), "byte {n}: {refused:?}");
        assert_eq!(*disk.bytes(path), id_file, "byte {n}");
    }
}

#[test]
fn a_copy_that_is_being_made_is_known_and_one_that_was_left_is_named() {
    let whole = Whole::new(6);
    let disk = whole.shelf.disk.twin();
    let sealed = &whole.shelf.segments[0];
    let name = format!("{}.hks.moving", "ab".repeat(16));
    let path = sealed.place.path().with_file_name(name);
    disk.put(&path, Arc::new(sealed.bytes[..700].to_vec()));
    assert!(whole.shelf.check_beside(&disk).found.is_empty());
    let found = whole.shelf.check(&disk).found;
    let named: Vec<_> = found.iter().map(|f| (f.kind, f.path.clone())).collect();
    assert_eq!(named, [(Kind::Leftover, path)]);
}
