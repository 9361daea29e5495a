//! What the simulation knows by itself, and holds against what the recorder did.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hearthkeep::store::layout;
use hearthkeep::store::writer::{Event, Segment, State};
use hearthkeep_format::{EpochId, SegmentId, StreamId};

/// What of footage may be missing before a power cut, us.
pub const LOST_US_MAX: u64 = 2_500_000;
/// From trouble on a disk, what may be missing before and after it: until it is over, a disk is asked again and a key frame comes.
const TROUBLE_BEFORE_US: u64 = 5_000_000;
const TROUBLE_AFTER_US: u64 = 20_000_000;
/// From a plan that could not be carried out to the next.
const PLAN_WAITS_US: u64 = 60_000_000;

/// A segment of which the recorder said that some is durable.
#[derive(Debug, Clone)]
pub struct Known {
    pub stream: StreamId,
    pub sequence: u64,
    pub disk: usize,
    pub durable_bytes: u64,
    pub is_open: bool,
    pub is_poisoned: bool,
}

/// A file that the recorder removed.
pub struct Removed {
    pub path: PathBuf,
    pub content: Vec<u8>,
}

/// What a deletion is judged by: how things were just before it.
pub struct Before<'a> {
    /// Every file of footage: its disk, its path and its size.
    pub files: &'a [(usize, PathBuf, u64)],
    /// Bytes that the deleted segment's camera may have.
    pub camera_max: Option<u64>,
    pub disk_max: Option<u64>,
    pub free: u64,
    pub reserve: u64,
    /// What may be written until the next look, for which room is made before.
    pub ahead: u64,
    /// The same of its camera.
    pub camera_ahead: u64,
    /// Whether its camera's footage is held.
    pub is_held: bool,
    pub now_us: u64,
}

#[derive(Default)]
pub struct Ledger {
    pub known: BTreeMap<SegmentId, Known>,
    pub removed: Vec<Removed>,
    pub violations: Vec<String>,
    /// The recorder started without one of its disks and without a catalog that knew it, or after all footage of a camera was deleted:
    /// numbers may be given again.
    pub is_without: bool,
    /// What a disk did not let be removed.
    pub refused: BTreeSet<PathBuf>,
    /// Keys and checkpoints of the log that were published.
    pub published: BTreeSet<(String, String)>,
    /// When footage may be missing, true time, us; of all cameras, or of one.
    excuses: Vec<(u64, u64, Option<usize>)>,
    /// Until when what was planned before may be deleted, though its reason has gone meanwhile; us.
    plans_until_us: u64,
    /// Times from which on monotonic and wall time of the box do not go together with those before.
    pub jumps: Vec<u64>,
}

impl Ledger {
    pub fn violated(&mut self, what: String) {
        self.violations.push(what);
    }

    pub fn hears(&mut self, event: &Event) {
        let (Event::Durable(segment)
        | Event::Closed(segment)
        | Event::Abandoned(segment)
        | Event::Poisoned(segment, _)) = event
        else {
            return;
        };
        self.knows(segment);
    }

    fn knows(&mut self, segment: &Segment) {
        if segment.durable_bytes() == 0 {
            return;
        }
        let new = &segment.new;
        let known = Known {
            stream: new.stream,
            sequence: new.start.sequence,
            disk: usize::from(segment.disk),
            durable_bytes: segment.durable_bytes(),
            is_open: segment.state() == State::Open,
            is_poisoned: segment.state() == State::Poisoned,
        };
        self.known.insert(new.segment, known);
    }

    /// What is planned is carried out later, and may have no reason then.
    pub fn plans_may_wait(&mut self, now_us: u64) {
        self.plans_until_us = self.plans_until_us.max(now_us + PLAN_WAITS_US);
    }

    /// These streams have no footage, whether or not they had some before: their numbers begin anew.
    pub fn begin_anew(&mut self, streams: &[StreamId]) {
        let had_some = |known: &Known| streams.contains(&known.stream);
        self.is_without |= self.known.values().any(had_some);
    }

    /// The process is gone: nothing is open any more.
    pub fn all_are_closed(&mut self) {
        self.known
            .values_mut()
            .for_each(|known| known.is_open = false);
    }

    pub fn excuse(&mut self, from_us: u64, to_us: u64, camera: Option<usize>) {
        match self.excuses.last_mut() {
            Some((from, to, of)) if *of == camera && from_us <= *to && from_us >= *from => {
                *to = to_us.max(*to);
            }
            _ => self.excuses.push((from_us, to_us, camera)),
        }
    }

    /// A disk gave trouble from one time to another.
    pub fn trouble(&mut self, from_us: u64, to_us: u64) {
        let from_us = from_us.saturating_sub(TROUBLE_BEFORE_US);
        self.excuse(from_us, to_us + TROUBLE_AFTER_US, None);
    }

    pub fn is_excused(&self, at_us: u64, camera: usize) -> bool {
        self.excuses.iter().any(|(from, to, of)| {
            (*from..=*to).contains(&at_us) && of.is_none_or(|of| of == camera)
        })
    }

    /// A file was removed: it had a reason, and was the oldest that could go.
    pub fn removes(&mut self, disk: usize, path: &Path, content: Vec<u8>, before: &Before<'_>) {
        let removed = Removed {
            path: path.to_owned(),
            content,
        };
        self.removed.push(removed);
        let Some((stream, _, segment)) = place_of(path) else {
            // Of the log, and what stood beside it while it was written, nothing is asked here.
            if path.starts_with(layout::FOOTAGE) {
                self.violated(format!("{} was removed", path.display()));
            }
            return;
        };
        let Some(known) = self.known.get(&segment).cloned() else {
            return;
        };
        if known.is_open {
            self.violated(format!("{segment} was deleted while it grew"));
        }
        if before.is_held {
            self.violated(format!("{segment} was deleted although it was held"));
        }
        let bytes = |is_meant: &dyn Fn(usize, StreamId) -> bool| -> u64 {
            let of = |(disk, path, bytes): &(usize, PathBuf, u64)| {
                place_of(path)
                    .filter(|(stream, ..)| is_meant(*disk, *stream))
                    .map_or(0, |_| *bytes)
            };
            before.files.iter().map(of).sum()
        };
        let of_camera = bytes(&|_, of| of == stream);
        let of_disk = bytes(&|on, _| on == disk);
        let has_reason = before
            .camera_max
            .is_some_and(|max| of_camera + before.camera_ahead > max)
            || before
                .disk_max
                .is_some_and(|max| of_disk + before.ahead > max)
            || before.free < before.reserve + before.ahead
            || before.now_us < self.plans_until_us;
        if !has_reason {
            let sequence = known.sequence;
            self.violated(format!(
                "segment {sequence} of {stream} was deleted without a reason: {of_camera} of {:?} bytes of its camera, {of_disk} of {:?} of its disk, {} of {} free",
                before.camera_max, before.disk_max, before.free, before.reserve,
            ));
        }
        let there: BTreeSet<_> = before
            .files
            .iter()
            .filter(|(on, ..)| *on == disk)
            .filter_map(|(_, path, _)| Some(place_of(path)?.2))
            .collect();
        // What should be gone may still be there, and what was deleted may be there again after a power cut, until the next start.
        let removed = self.removed.iter().map(|removed| &removed.path);
        let deleted: BTreeSet<_> = removed
            .chain(&self.refused)
            .filter_map(|path| Some(place_of(path)?.2))
            .collect();
        let older = self.known.iter().find(|(id, older)| {
            there.contains(*id)
                && !deleted.contains(*id)
                && older.stream == stream
                && older.sequence < known.sequence
        });
        if let Some((_, older)) = older.filter(|_| before.now_us >= self.plans_until_us) {
            let (sequence, older) = (known.sequence, older.sequence);
            self.violated(format!(
                "segment {sequence} of {stream} was deleted before segment {older}"
            ));
        }
    }
}

/// Which segment a file is, by its path.
pub fn place_of(path: &Path) -> Option<(StreamId, EpochId, SegmentId)> {
    let mut names = path.components().map(|name| name.as_os_str().to_str());
    names.next()??.eq(layout::FOOTAGE).then_some(())?;
    let stream = StreamId::from_hex(names.next()??)?;
    let epoch = EpochId::from_hex(names.next()??)?;
    Some((stream, epoch, layout::segment_of(names.next()??)?))
}
