//! What is on the disks in the end, opened by who holds the identity and held against what the cameras sent.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

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
use crate::holes;
use crate::house::House;
use crate::ledger::{Asked, place_of};

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

/// What was held against what the cameras sent, and what was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judged {
    /// Pictures, of which each is to be there.
    pub pictures: Asked,
    /// Holes between pictures that are there, of which each is to be told.
    pub holes: Asked,
}

/// Everything that must hold in the end; what does not is returned.
pub fn check(house: &House) -> (Vec<String>, Judged) {
    let mut checker = Checker::of(house);
    checker.violations = std::mem::take(&mut house.world.ledger.borrow_mut().violations);
    let mut there = checker.open_all();
    checker.durable_is_there(&there);
    checker.budgets(&there);
    there.extend(checker.open_removed());
    for camera in 0..house.world.fate.cameras.len() {
        let mut of_it: Vec<_> = there
            .iter()
            .filter(|opened| opened.camera == camera)
            .collect();
        // What is being moved is there twice.
        of_it.sort_by_key(|opened| {
            let good_bytes = std::cmp::Reverse(opened.good_bytes);
            (opened.start.sequence, opened.id, good_bytes)
        });
        // What was deleted may have come back after a power cut.
        of_it.dedup_by_key(|opened| opened.id);
        checker.footage_of(camera, &of_it);
    }
    checker.catalog();
    (checker.violations, checker.judged)
}

/// Whether a segment's file on a disk is there and all of it opens.
pub fn is_whole(house: &House, disk: usize, path: &Path) -> bool {
    let state = house.world.disks[disk].state();
    let content = state.image.file(path).map(|file| state.image.content(file));
    let (Ok(content), Some((.., id))) = (content, place_of(path)) else {
        return false;
    };
    let opened = Checker::of(house).open(disk, id, content);
    opened.is_ok_and(|opened| opened.good_bytes == opened.bytes && opened.damage.is_none())
}

struct Checker<'a> {
    house: &'a House,
    secrets: BTreeMap<EpochId, EpochSecret>,
    violations: Vec<String>,
    judged: Judged,
}

impl<'a> Checker<'a> {
    fn of(house: &'a House) -> Self {
        Self {
            house,
            secrets: BTreeMap::new(),
            violations: Vec::new(),
            judged: Judged::default(),
        }
    }

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

    /// What was deleted had been there, also where a start found it of which nobody had said that it is durable; what never held anything is
    /// no matter.
    fn open_removed(&mut self) -> Vec<Opened> {
        let ledger = self.house.world.ledger.borrow();
        let removed = ledger.removed.iter();
        let removed = removed.filter_map(|removed| Some((place_of(&removed.path)?.2, removed)));
        removed
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
            let copies = there.iter().filter(|opened| opened.id == *id);
            match copies.max_by_key(|opened| opened.good_bytes) {
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
        let stream = sent.model.stream;
        let anew = self.house.world.ledger.borrow().anew.get(&stream).cloned();
        let anew = anew.unwrap_or_default();
        let mut in_order: Vec<_> = segments
            .iter()
            .filter(|segment| !segment.pictures.is_empty())
            .collect();
        in_order.sort_by_key(|segment| segment.pictures[0]);
        let mut last: Option<(usize, &Opened)> = None;
        let mut is_there = vec![false; sent.sent.len()];
        for segment in in_order {
            let first_us = sent.sent[segment.pictures[0]];
            let is_anew = last.is_some_and(|(last, _)| {
                let between = sent.sent[last]..=first_us;
                anew.iter().any(|at_us| between.contains(at_us))
            });
            if let Some((_, last)) = last
                && last.start.sequence >= segment.start.sequence
            {
                let (before, after) = (last.start.sequence, segment.start.sequence);
                self.violations.push(format!(
                    "camera {camera} has segment {after} after segment {before}"
                ));
            }
            for (nth, picture) in segment.pictures.iter().enumerate() {
                is_there[*picture] = true;
                let is_anew = is_anew && nth == 0;
                self.step(camera, sent, last, (*picture, segment), (nth == 0, is_anew));
                last = Some((*picture, segment));
            }
        }
        let ledger = self.house.world.ledger.borrow();
        let disks = self.house.world.disks.len();
        let mut inexcusable = Vec::new();
        for (picture, (is_there, sent_us)) in is_there.iter().zip(&sent.sent).enumerate() {
            let of_it = (camera, stream);
            let is_excused = ledger.excuses.is_excused(*sent_us, of_it, disks);
            self.judged.pictures.count(is_excused);
            if !is_there && !is_excused {
                inexcusable.push((picture, *sent_us));
            }
        }
        if let Some((picture, sent_us)) = inexcusable.first() {
            let count = inexcusable.len();
            self.violations.push(format!(
                "camera {camera}: {count} pictures are missing for no reason, the first is {picture}, sent at {sent_us}"
            ));
        }
    }

    /// From one picture that is there to the next, the first of a segment or not, and of a stream that began anew.
    fn step(
        &mut self,
        camera: usize,
        sent: &Camera,
        last: Option<(usize, &Opened)>,
        (picture, segment): (usize, &Opened),
        (is_first, is_anew): (bool, bool),
    ) {
        let next = last.map_or(0, |(last, _)| last + 1);
        if picture == next {
            return;
        }
        let between = last.map(|(_, last)| (last.id, segment.id));
        let told = between.and_then(|between| holes::told(self.house, camera, between));
        let too_wrong = |last, told| holes::too_wrong(self.house, sent, (last, picture), told);
        let numbers = last.map(|(_, last)| (last.start.sequence, segment.start.sequence));
        let is_hollow = |numbers| {
            let ledger = self.house.world.ledger.borrow();
            ledger.is_hollow(sent.model.stream, numbers)
        };
        let (is_hollow, is_untold) = numbers.map_or((false, false), is_hollow);
        let wrong = match (told, segment.start.gap) {
            _ if picture < next => Some(Some(format!(
                "picture {picture} comes after picture {}",
                next - 1
            ))),
            _ if is_anew || (!is_first && segment.has_hole) => None,
            _ if !is_first => Some(Some(format!(
                "pictures {next} to {picture} are missing within it"
            ))),
            // What never became durable only the log can tell of, where the recorder lived to write it, and what is around is there still.
            (Some(_), _) if is_untold => None,
            (None, _) if is_hollow => None,
            // Where a power cut tore sectors out of what is there at its end, nobody without the key knows.
            (Some(_), _) if last.is_some_and(|(_, last)| last.has_hole) => None,
            (Some(told), _) => last.and_then(|(last, _)| too_wrong(last, told)),
            // The next had begun when the end of the last could not be written.
            (None, None) if last.is_some_and(|(_, last)| self.is_poisoned(&last.id)) => None,
            (None, None) => Some(Some(format!(
                "pictures {next} to {picture} are missing before it, and no gap is told"
            ))),
            (None, Some(gap)) => {
                let told = gap.length_us.map(|length_us| (gap.cause, length_us));
                // What the next one tells was known when it began: not that the end of the last would be torn.
                let is_known = |(_, last): &(_, &Opened)| {
                    last.good_bytes == last.bytes && gap.cause != GapCause::Start
                };
                let last = last.filter(is_known);
                last.zip(told)
                    .and_then(|((last, _), told)| too_wrong(last, Some(told)))
            }
        };
        self.judged.holes.count(wrong.is_none());
        if let Some(Some(what)) = wrong {
            let sequence = segment.start.sequence;
            self.violations
                .push(format!("camera {camera}, segment {sequence}: {what}"));
        }
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
        // What is remembered of sequence numbers no footage tells.
        let content = |shelf: &SimShelf| {
            let mut content = shelf.content();
            content.retain(|key, _| key.first() != Some(&b'n'));
            content
        };
        let kept = content(&self.house.world.shelf);
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
        let anew = content(&anew);
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
