//! What is on the disks in the end, opened by who holds the identity and held against what the cameras sent.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use hearthkeep::store::lock;
use hearthkeep::store::{MountedDisk, Store};
use hearthkeep_format::epoch::{self, EpochSecret};
use hearthkeep_format::fmp4::parse_fragment;
use hearthkeep_format::segment::{
    File, GapCause, HEADER_LEN, Header, ReadError, SegmentOpener, Start,
};
use hearthkeep_format::{EpochId, MetadataKey, SegmentId};

use crate::cameras::{Camera, number_of};
use crate::database::SimShelf;
use crate::house::House;
use crate::ledger::place_of;

const SECOND_US: u64 = 1_000_000;

/// A segment that was opened.
struct Opened {
    id: SegmentId,
    camera: usize,
    start: Start,
    pictures: Vec<usize>,
    /// Up to here every chunk opens.
    good_bytes: u64,
    /// Whether one behind that does too: sectors between them never came to the disk.
    has_hole: bool,
    damage: Option<String>,
    disk: usize,
    bytes: u64,
}

/// Everything that must hold in the end; what does not is returned.
pub fn check(house: &House) -> Vec<String> {
    let mut checker = Checker {
        house,
        secrets: BTreeMap::new(),
        violations: std::mem::take(&mut house.world.ledger.borrow_mut().violations),
    };
    let mut there = checker.open_all();
    checker.durable_is_there(&there);
    checker.budgets(&there);
    there.extend(checker.open_removed());
    for camera in 0..house.world.fate.cameras.len() {
        let mut of_it: Vec<_> = there
            .iter()
            .filter(|opened| opened.camera == camera)
            .collect();
        of_it.sort_by_key(|opened| (opened.start.sequence, opened.id));
        // What was deleted may have come back after a power cut.
        of_it.dedup_by_key(|opened| opened.id);
        checker.footage_of(camera, &of_it);
    }
    checker.catalog();
    checker.violations
}

struct Checker<'a> {
    house: &'a House,
    secrets: BTreeMap<EpochId, EpochSecret>,
    violations: Vec<String>,
}

impl Checker<'_> {
    fn open_all(&mut self) -> Vec<Opened> {
        let mut found = Vec::new();
        for (number, disk) in self.house.world.disks.iter().enumerate() {
            let state = disk.state();
            for (path, content) in state.image.all_files() {
                let Some((.., id)) = place_of(path) else {
                    continue;
                };
                match self.open(number, id, content) {
                    Ok(opened) => {
                        let damage = opened.damage.as_ref();
                        let damage = damage.map(|what| format!("{}: {what}", path.display()));
                        self.violations.extend(damage);
                        found.push(opened);
                    }
                    // What was never durable may be anything.
                    Err(error) if self.is_known(&id) => self
                        .violations
                        .push(format!("{} does not open: {error}", path.display())),
                    Err(_) => {}
                }
            }
        }
        found
    }

    fn is_known(&self, segment: &SegmentId) -> bool {
        let ledger = self.house.world.ledger.borrow();
        ledger.known.contains_key(segment)
    }

    fn is_poisoned(&self, segment: &SegmentId) -> bool {
        let ledger = self.house.world.ledger.borrow();
        let known = ledger.known.get(segment);
        known.is_some_and(|known| known.is_poisoned)
    }

    /// What was deleted had been there; what never held anything is no matter.
    fn open_removed(&mut self) -> Vec<Opened> {
        let ledger = self.house.world.ledger.borrow();
        let removed = ledger.removed.iter();
        let removed = removed.filter_map(|removed| Some((place_of(&removed.path)?.2, removed)));
        let known = removed.filter(|(id, _)| ledger.known.contains_key(id));
        known
            .filter_map(|(id, removed)| self.open(usize::MAX, id, &removed.content).ok())
            .collect()
    }

    fn open(&mut self, disk: usize, id: SegmentId, content: &[u8]) -> Result<Opened, ReadError> {
        let m = MetadataKey::from_bytes(self.house.m);
        let (identity, secrets) = (&self.house.identity, &mut self.secrets);
        let file = File::open(content, |head| {
            let header = Header::parse(head)?;
            let secret = match secrets.entry(header.epoch) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => {
                    let envelope = &head[HEADER_LEN..header.first_chunk_offset as usize];
                    unknown.insert(epoch::open(envelope, identity, &header.place())?)
                }
            };
            SegmentOpener::open_with_epoch(head, secret, Some(&m))
        })?;
        let models = &self.house.world.fate.cameras;
        let stream = file.header().stream;
        let camera = models.iter().position(|model| model.stream == stream);
        let mut opened = Opened {
            id,
            camera: camera.unwrap_or(usize::MAX),
            start: file.opener().start()?,
            pictures: Vec::new(),
            good_bytes: file.opener().head_len() as u64,
            has_hole: false,
            damage: None,
            disk,
            bytes: content.len() as u64,
        };
        let mut buffer = Vec::new();
        for place in file.places() {
            // How much of it had been durable is looked at later: all of that must be there.
            opened.has_hole |= place.offset > opened.good_bytes;
            let Ok(body) = file.read_into(place, &mut buffer) else {
                opened.has_hole = true;
                continue;
            };
            let body = &buffer[body];
            let Ok(fragment) = parse_fragment(body) else {
                opened.damage = Some(format!("chunk {} is no fragment", place.k));
                return Ok(opened);
            };
            for run in &fragment.runs {
                let mut at = run.data.start;
                for sample in &run.samples {
                    let bytes = &body[at..at + sample.size as usize];
                    at += sample.size as usize;
                    match models
                        .get(opened.camera)
                        .and_then(|model| number_of(model, bytes))
                    {
                        Some(number) => opened.pictures.push(number),
                        None => opened.damage = Some("a picture that was never sent".to_owned()),
                    }
                }
            }
            if !opened.has_hole {
                opened.good_bytes = place.offset + u64::from(place.length);
            }
        }
        if file.footer().is_some() && !opened.has_hole {
            opened.good_bytes = content.len() as u64;
        }
        Ok(opened)
    }

    /// What the recorder called durable is there, and opens.
    fn durable_is_there(&mut self, there: &[Opened]) {
        let ledger = self.house.world.ledger.borrow();
        let mut removed = ledger.removed.iter();
        let mut removed_ids = Vec::new();
        removed_ids.extend(
            removed
                .by_ref()
                .filter_map(|removed| Some(place_of(&removed.path)?.2)),
        );
        for (id, known) in &ledger.known {
            let opened = there.iter().find(|opened| opened.id == *id);
            match opened {
                Some(opened) if opened.good_bytes >= known.durable_bytes => {}
                None if removed_ids.contains(id) => {}
                found => self.violations.push(format!(
                    "segment {} of {} on disk {}: {} bytes were durable, {} are there",
                    known.sequence,
                    known.stream,
                    known.disk,
                    known.durable_bytes,
                    found.map_or(0, |opened| opened.good_bytes),
                )),
            }
        }
    }

    /// Pictures come once and in order; what is missing lies in a gap that says so, and had a reason.
    fn footage_of(&mut self, camera: usize, segments: &[&Opened]) {
        let cameras = self.house.world.cameras.borrow();
        let sent = &cameras[camera];
        let mut last: Option<(usize, &Opened)> = None;
        let mut is_there = vec![false; sent.sent.len()];
        let is_without = self.house.world.ledger.borrow().is_without;
        for pair in segments.windows(2) {
            if !is_without && pair[0].start.sequence == pair[1].start.sequence {
                let sequence = pair[0].start.sequence;
                self.violations
                    .push(format!("camera {camera} has two segments {sequence}"));
            }
        }
        for segment in segments {
            for (nth, picture) in segment.pictures.iter().enumerate() {
                is_there[*picture] = true;
                if !is_without {
                    self.step(camera, sent, last, (*picture, segment), nth == 0);
                }
                last = Some((*picture, segment));
            }
        }
        let ledger = self.house.world.ledger.borrow();
        let missing = is_there.iter().zip(&sent.sent).enumerate();
        let missing = missing.filter(|(_, (is_there, _))| !**is_there);
        let inexcusable = missing.filter(|(_, (_, sent_us))| !ledger.is_excused(**sent_us, camera));
        let inexcusable: Vec<_> = inexcusable.collect();
        if let Some((picture, (_, sent_us))) = inexcusable.first() {
            let count = inexcusable.len();
            self.violations.push(format!(
                "camera {camera}: {count} pictures are missing for no reason, the first is {picture}, sent at {sent_us}"
            ));
        }
    }

    /// From one picture that is there to the next.
    fn step(
        &mut self,
        camera: usize,
        sent: &Camera,
        last: Option<(usize, &Opened)>,
        (picture, segment): (usize, &Opened),
        is_first: bool,
    ) {
        let sequence = segment.start.sequence;
        let next = last.map_or(0, |(last, _)| last + 1);
        if picture == next {
            return;
        }
        let what = match (self.told(camera, last, segment), segment.start.gap) {
            _ if picture < next => format!("picture {picture} comes after picture {}", next - 1),
            _ if !is_first && segment.has_hole => return,
            _ if !is_first => format!("pictures {next} to {picture} are missing within it"),
            (Some(told), _) => {
                let Some((last, _)) = last else { return };
                match self.too_wrong(sent, last, picture, told) {
                    Some(what) => what,
                    None => return,
                }
            }
            // The next had begun when the end of the last could not be written.
            (None, None) if last.is_some_and(|(_, last)| self.is_poisoned(&last.id)) => return,
            (None, None) => {
                format!("pictures {next} to {picture} are missing before it, and no gap is told")
            }
            (None, Some(gap)) => {
                let told = gap.length_us.map(|length_us| (gap.cause, length_us));
                let last = last.filter(|_| gap.cause != GapCause::Start);
                let Some(((last, _), told)) = last.zip(told) else {
                    return;
                };
                match self.too_wrong(sent, last, picture, told) {
                    Some(what) => what,
                    None => return,
                }
            }
        };
        self.violations
            .push(format!("camera {camera}, segment {sequence}: {what}"));
    }

    /// The cause and length of the gaps that are shown between two segments; `None` where they are not shown, or what is between them
    /// is not told by dates.
    fn told(
        &self,
        camera: usize,
        last: Option<(usize, &Opened)>,
        segment: &Opened,
    ) -> Option<(GapCause, u64)> {
        let shown = self.house.shown.borrow();
        let shown = shown.get(camera)?;
        let span = |id| shown.segments.iter().find(|span| span.segment == id);
        let (last, next) = (span(last?.1.id)?, span(segment.id)?);
        let (from_us, to_us) = (last.end_us(), next.start_us);
        let between = shown.gaps.iter().filter_map(|gap| {
            let length_us = gap.end_us.min(to_us) - gap.start_us.max(from_us);
            Some((gap.cause?, u64::try_from(length_us).ok()?))
        });
        let between: Vec<_> = between.filter(|(_, us)| *us > 0).collect();
        let is_of_disk = between
            .iter()
            .any(|(cause, _)| *cause == GapCause::DiskError);
        let first = between.first().map_or(GapCause::Start, |(cause, _)| *cause);
        let cause = if is_of_disk {
            GapCause::DiskError
        } else {
            first
        };
        Some((cause, between.iter().map(|(_, us)| us).sum()))
    }

    /// What is wrong with a gap that is told between two pictures.
    fn too_wrong(
        &self,
        sent: &Camera,
        last: usize,
        picture: usize,
        (cause, length_us): (GapCause, u64),
    ) -> Option<String> {
        let (from_us, to_us) = (sent.sent[last] + sent.model.period_us, sent.sent[picture]);
        let hole_us = to_us.saturating_sub(from_us);
        let ledger = self.house.world.ledger.borrow();
        // Dates from before a jump stay in use until a segment ends.
        let around = from_us.saturating_sub(70 * SECOND_US)..=to_us + SECOND_US;
        let has_jumped = ledger.jumps.iter().any(|at_us| around.contains(at_us));
        (!has_jumped && !tells(cause, length_us, hole_us)).then(|| {
            format!(
                "its gap ({cause}) is {length_us} us long, the hole {hole_us}, from {from_us} to {to_us}"
            )
        })
    }

    fn budgets(&mut self, there: &[Opened]) {
        let world = &self.house.world;
        for (number, max) in world.fate.camera_max.iter().enumerate() {
            let of_it = there.iter().filter(|opened| opened.camera == number);
            let bytes: u64 = of_it.map(|opened| opened.bytes).sum();
            if max.is_some_and(|max| bytes > max) {
                self.violations
                    .push(format!("camera {number} has {bytes} of {max:?} bytes"));
            }
        }
        for (number, (_, max)) in world.fate.disks.iter().enumerate() {
            let on_it = there.iter().filter(|opened| opened.disk == number);
            let bytes: u64 = on_it.map(|opened| opened.bytes).sum();
            let state = world.disks[number].state();
            let free = state.capacity.saturating_sub(state.image.bytes());
            drop(state);
            let reserve = world.reserve(number);
            if max.is_some_and(|max| bytes > max) || (free < reserve && bytes > 0) {
                self.violations.push(format!(
                    "disk {number} has {bytes} of {max:?} bytes, {free} of {reserve} free"
                ));
            }
        }
    }

    /// The catalog says what one says that is made anew from the footage.
    fn catalog(&mut self) {
        let kept = self.house.world.shelf.content();
        let anew = SimShelf::default();
        let folder = tempfile::tempdir().unwrap();
        let lock = lock::acquire(folder.path()).unwrap();
        let mut options = self.house.options(&anew);
        // The disks get their numbers in the same order.
        let number_of = |disk: &MountedDisk| {
            let disks = kept.iter().filter(|(key, _)| key.first() == Some(&b'd'));
            disks
                .into_iter()
                .position(|(_, id)| id == disk.id.as_bytes())
        };
        options.disks.sort_by_key(number_of);
        if let Err(error) = Store::reindex(options, &lock) {
            return self
                .violations
                .push(format!("no catalog can be made: {error}"));
        }
        let anew = anew.content();
        if kept == anew {
            return;
        }
        let keys: std::collections::BTreeSet<_> = kept.keys().chain(anew.keys()).collect();
        for key in keys
            .into_iter()
            .filter(|key| kept.get(*key) != anew.get(*key))
        {
            let (kept, anew) = (kept.get(key).map(Vec::len), anew.get(key).map(Vec::len));
            let kind = char::from(key[0]);
            self.violations.push(format!(
                "the catalog differs from a new one at {kind} {key:?}: {kept:?} and {anew:?} bytes"
            ));
        }
    }
}

/// Whether a gap of this length tells of the hole. Of a poisoned segment more may be there than was known to be durable.
fn tells(cause: GapCause, gap_us: u64, hole_us: u64) -> bool {
    let is_too_long = gap_us > hole_us + 3 * SECOND_US;
    gap_us + 2 * SECOND_US >= hole_us && (!is_too_long || cause == GapCause::DiskError)
}
