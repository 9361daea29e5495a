//! `check` beside a recorder that goes on, and `repair` on a disk that fails. Real files on a real disk.
#![allow(clippy::unwrap_used)]

mod store_support;

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hearthkeep::disk::{Disk, RealDisk};
use hearthkeep::store::Store;
use hearthkeep::store::anchors::Anchors;
use hearthkeep::store::check::{self, Catalogued, Findings, Kind, Known, Slice, Subject};
use hearthkeep::store::inspect::Keys;
use hearthkeep::store::repair::{Action, Refusal, Repair, plan};
use store_support::{FaultyDisk, Home, Sealed, until};

struct Desk {
    disks: [Subject; 1],
    anchors: Anchors,
}

impl Desk {
    fn of(home: &Home) -> Self {
        Self::on(home, Arc::new(RealDisk::open(home.disk.path()).unwrap()))
    }

    fn on(home: &Home, disk: Arc<dyn Disk>) -> Self {
        let subject = Subject {
            path: home.disk.path().to_owned(),
            disk,
            id: Some(home.disk_id),
            readers: 1,
        };
        Self {
            disks: [subject],
            anchors: Anchors::default(),
        }
    }

    fn known<'a>(&'a self, home: &Home, keys: &'a Keys) -> Known<'a> {
        Known {
            store: home.store,
            keys,
            streams: None,
            keyring: None,
            anchors: &self.anchors,
            folders: Vec::new(),
            at_work: true,
            open: None,
        }
    }

    /// Of the segments only: the store has no keyring.
    fn check(&self, home: &Home) -> Findings {
        let keys = home.keys();
        let known = self.known(home, &*keys);
        let mut findings = check::check(&self.disks, &known, Slice::ALL, &|_| Ok(()));
        findings.found.retain(|found| found.kind != Kind::Keyring);
        findings
    }

    /// Compares with what a store tells now; `meanwhile` is done when a segment is to be found, before the store is asked again.
    fn compare(
        &self,
        home: &Home,
        findings: &mut Findings,
        store: &Store,
        mut meanwhile: impl FnMut(),
    ) -> check::Compared {
        let keys = home.keys();
        let known = self.known(home, &*keys);
        let told = told(store).into_iter().map(Ok::<_, ()>);
        let still_has = |before: &Catalogued| {
            meanwhile();
            let now = told_now(store);
            Ok(now.contains(&(before.entry.segment, before.disk)))
        };
        let compared = findings.compare_told(told, still_has, &known, &self.disks);
        compared.unwrap()
    }

    fn repair_first(&self, home: &Home, findings: &Findings) -> Result<(), Refusal> {
        self.carry_out(home, findings, 1).remove(0).1
    }

    fn repair(&self, home: &Home, findings: &Findings) -> Vec<(Action, Result<(), Refusal>)> {
        self.carry_out(home, findings, usize::MAX)
    }

    /// Makes the first `steps_max` steps.
    fn carry_out(
        &self,
        home: &Home,
        findings: &Findings,
        steps_max: usize,
    ) -> Vec<(Action, Result<(), Refusal>)> {
        let keys = home.keys();
        let repair = Repair {
            disks: &self.disks,
            store: home.store,
            keys: &*keys,
            keyring: None,
        };
        let steps = plan(findings, false).into_iter().take(steps_max);
        steps
            .map(|step| (step.action.clone(), repair.carry_out(&step).map(drop)))
            .collect()
    }
}

/// All that a store's catalog has, page by page.
fn told(store: &Store) -> Vec<Catalogued> {
    let (mut told, mut from) = (Vec::new(), None);
    loop {
        let page = store.catalogued(from.as_ref()).unwrap();
        // As it goes over the socket.
        let text = serde_json::to_string(&page).unwrap();
        let page: check::Page = serde_json::from_str(&text).unwrap();
        told.extend(page.segments().unwrap());
        from = page.next().cloned();
        if from.is_none() {
            return told;
        }
    }
}

type Place = (
    hearthkeep_format::SegmentId,
    Option<hearthkeep_format::DiskId>,
);

fn told_now(store: &Store) -> HashSet<Place> {
    let told = told(store).into_iter().filter(|told| !told.entry.tombstone);
    told.map(|told| (told.entry.segment, told.disk)).collect()
}

fn recorded(home: &Home, store: &Store, streams: u64, segments: usize) -> Vec<Sealed> {
    let mut all = Vec::new();
    for number in 1..=streams {
        let mut stream = home.stream(number);
        all.extend((0..segments).map(|_| stream.seal(2, 500)));
    }
    all.iter().for_each(|sealed| sealed.record(store));
    until("all are catalogued", || told(store).len() == all.len());
    all
}

fn kinds(findings: &Findings) -> Vec<Kind> {
    findings.found.iter().map(|found| found.kind).collect()
}

#[test]
fn a_running_recorder_tells_all_that_it_has() {
    let home = Home::new(1);
    let (store, _) = home.open();
    // A page a stream, at least.
    let all = recorded(&home, &store, 3, 70);
    let desk = Desk::of(&home);
    let mut findings = desk.check(&home);
    let compared = desk.compare(&home, &mut findings, &store, || ());
    assert_eq!(kinds(&findings), []);
    assert_eq!((compared.known, compared.unknown), (all.len() as u64, 0));

    // One whose file somebody removed, and one that somebody cut.
    fs::remove_file(home.path_of(&all[3].new)).unwrap();
    let cut = &all[7];
    cut.leave(&home, cut.bytes().len() - cut.end.len());
    let mut findings = desk.check(&home);
    assert_eq!(kinds(&findings), [], "they look like what is not there yet");
    desk.compare(&home, &mut findings, &store, || ());
    let mut found = kinds(&findings);
    found.sort();
    assert_eq!(found, [Kind::Chunks, Kind::Gone]);
}

#[test]
fn what_is_finished_or_deleted_meanwhile_is_no_finding() {
    let home = Home::new(2);
    let (store, _) = home.open();
    let all = recorded(&home, &store, 1, 4);
    let mut stream = home.stream(5);
    let open = stream.seal(2, 500);
    let handle = open.begin(&store);
    until("it is on the disk", || handle.segment().durable_bytes() > 0);
    let desk = Desk::of(&home);
    let mut findings = desk.check(&home);
    assert_eq!((findings.segments.open, findings.segments.whole), (1, 4));

    // It is finished between the two looks.
    handle.finish(open.end.clone(), open.duration_us);
    until("it is catalogued", || told(&store).len() == 5);
    let compared = desk.compare(&home, &mut findings, &store, || ());
    assert_eq!((kinds(&findings), compared.known), (vec![], 5));

    // A disk is retired with all that is on it, as soon as a file of it is missing: the catalog forgets, the file goes.
    fs::remove_file(home.path_of(&all[1].new)).unwrap();
    let mut findings = desk.check(&home);
    let spare = tempfile::tempdir().unwrap();
    let _ = home.another_disk(spare.path(), 9);
    let wanted = hearthkeep::config::Disk {
        path: spare.path().to_owned(),
        max_bytes: None,
        tier: hearthkeep::config::Tier::Hot,
    };
    store.add_disk(&wanted, hearthkeep_format::DiskId::from_bytes([9; 16]));
    let mut is_asked = false;
    desk.compare(&home, &mut findings, &store, || {
        if !std::mem::replace(&mut is_asked, true) {
            store.expect_retirable(home.disk_id, true).unwrap();
            store.retire_disk(home.disk_id).unwrap();
            until("it is forgotten", || told_now(&store).is_empty());
        }
    });
    assert!(is_asked);
    assert_eq!(kinds(&findings), []);
}

#[test]
fn a_torn_segment_gets_the_envelope_of_its_epoch() {
    let home = Home::new(4);
    let mut stream = home.stream(1);
    let (finished, torn) = (stream.seal(3, 2_000), stream.seal(3, 2_000));
    let kept = torn.bytes().len() - torn.end.len();
    torn.leave(&home, kept);
    let path = home.path_of(&torn.new);
    let mut bytes = fs::read(&path).unwrap();
    bytes[300] ^= 1;
    let desk = Desk::of(&home);

    // Of itself it cannot be known which is right, nor from another torn one.
    let other = stream.seal(1, 2_000);
    other.leave(&home, other.bytes().len() - other.end.len());
    fs::write(&path, &bytes).unwrap();
    let findings = desk.check(&home);
    assert_eq!(kinds(&findings), [Kind::Envelope, Kind::Envelope]);
    assert_eq!(findings.mistaken, []);
    fs::remove_file(home.path_of(&other.new)).unwrap();

    finished.leave_whole(&home);
    let findings = desk.check(&home);
    assert_eq!(kinds(&findings), [Kind::Envelope]);
    assert!(
        findings.found[0].repairable
            && findings.found[0].path == path.strip_prefix(home.disk.path()).unwrap()
    );

    // A finished one that is damaged by now vouches for nothing.
    let whole = fs::read(home.path_of(&finished.new)).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(home.path_of(&finished.new), &damaged).unwrap();
    let done = desk.repair_first(&home, &findings);
    assert!(done.unwrap_err().to_string().contains("is damaged itself"));
    assert_eq!(fs::read(&path).unwrap(), bytes);
    fs::write(home.path_of(&finished.new), &whole).unwrap();

    for (action, result) in desk.repair(&home, &findings) {
        assert!(result.is_ok(), "{action:?}: {result:?}");
    }
    let findings = desk.check(&home);
    assert_eq!((kinds(&findings), findings.torn), (vec![], vec![]));
    assert!(fs::read(&path).unwrap().starts_with(&torn.bytes()[..kept]));
}

#[test]
fn a_disk_that_fails_is_left_as_it_was() {
    let home = Home::new(3);
    let mut stream = home.stream(1);
    let (damaged, torn) = (stream.seal(3, 2_000), stream.seal(3, 2_000));
    damaged.leave_whole(&home);
    // A byte of the envelope: the copy of the head has it.
    let path = home.path_of(&damaged.new);
    let mut bytes = fs::read(&path).unwrap();
    bytes[700] ^= 1;
    fs::write(&path, &bytes).unwrap();
    torn.leave(&home, torn.bytes().len() - torn.end.len());
    let torn_path = home.path_of(&torn.new);
    let whole_chunks = fs::read(&torn_path).unwrap();

    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let desk = Desk::on(&home, disk);
    let findings = desk.check(&home);
    assert_eq!(kinds(&findings), [Kind::Head]);
    let names = || {
        let folder = path.parent().unwrap().read_dir().unwrap();
        let mut names: Vec<_> = folder.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let all_fail = |words: &str| {
        let done = desk.repair(&home, &findings);
        assert_eq!(done.len(), 2, "{done:?}");
        for (action, result) in done {
            let said = result.unwrap_err().to_string();
            assert!(said.contains(words), "{action:?}: {said}");
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "the old file");
        assert_eq!(names(), before, "nothing is left beside");
        let now = fs::read(&torn_path).unwrap();
        assert!(
            now.starts_with(&whole_chunks),
            "what was whole of a torn one"
        );
    };
    faults.fail_append.store(true, Ordering::SeqCst);
    all_fail("Input/output error");
    faults.fail_append.store(false, Ordering::SeqCst);
    faults.fail_sync.store(true, Ordering::SeqCst);
    all_fail("the disk lost what was written");
    faults.fail_sync.store(false, Ordering::SeqCst);

    for (action, result) in desk.repair(&home, &desk.check(&home)) {
        assert!(result.is_ok(), "{action:?}: {result:?}");
    }
    assert_eq!(kinds(&desk.check(&home)), []);
    assert_eq!(fs::read(&path).unwrap(), damaged.bytes());
    assert_eq!(desk.check(&home).torn, []);
}
