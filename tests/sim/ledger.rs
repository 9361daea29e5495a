//! What the simulation knows by itself, and holds against what the recorder did.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use hearthkeep::store::layout;
use hearthkeep::store::writer::{Event, Segment, State};
use hearthkeep_format::{EpochId, SegmentId, StreamId};

use crate::excuses::Excuses;

/// What of footage may be missing before a power cut, us.
pub const LOST_US_MAX: u64 = 2_500_000;
/// A segment of which the recorder said that some is durable.
#[derive(Debug, Clone)]
pub struct Known {
    pub stream: StreamId,
    pub sequence: u64,
    pub disk: usize,
    pub durable_bytes: u64,
    pub is_open: bool,
    pub is_poisoned: bool,
    /// When it was said first to have ended, true time, us.
    pub ended_us: u64,
}

/// A file that the recorder removed.
pub struct Removed {
    pub path: PathBuf,
    pub content: Vec<u8>,
}

/// Footage that came to a disk.
pub struct Written {
    /// When, true time, us.
    pub at_us: u64,
    pub disk: usize,
    pub stream: StreamId,
    pub bytes: u64,
    /// It was moved there.
    pub is_moved: bool,
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
    /// Whether its deletion may have been planned before, for a reason that has gone.
    pub is_planned: bool,
    /// Segments of the disk that are on another one too, just as durable: they are being moved.
    pub moving: &'a BTreeSet<SegmentId>,
    /// The bytes of footage to which its disk may be limited, since it says that it is full.
    pub limit: Option<u64>,
    /// Whether it could have been moved to a cold disk instead.
    pub could_move: bool,
}

/// How often something was looked at, and how often nothing was asked then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    pub all: u64,
    pub excused: u64,
}

impl Asked {
    pub fn count(&mut self, is_excused: bool) {
        self.all += 1;
        self.excused += u64::from(is_excused);
    }

    pub fn add(&mut self, other: &Self) {
        self.all += other.all;
        self.excused += other.excused;
    }

    pub fn percent(&self) -> u64 {
        self.excused * 100 / self.all.max(1)
    }
}

#[derive(Default)]
pub struct Ledger {
    pub known: BTreeMap<SegmentId, Known>,
    pub removed: Vec<Removed>,
    pub violations: Vec<String>,
    /// Segments that the recorder said somebody removed.
    pub accused: BTreeSet<SegmentId>,
    /// What of a stream became durable last, a segment and how much of it, and when, true time, us.
    pub durable: BTreeMap<StreamId, ((SegmentId, u64), u64)>,
    /// When a stream may have begun anew, true time, us: the recorder could not know until when there was footage, since it started without
    /// one of its disks and without a catalog that knew it, or after all of its footage was deleted. Its numbers go on.
    pub anew: BTreeMap<StreamId, Vec<u64>>,
    /// What a disk did not let be removed.
    pub refused: BTreeSet<PathBuf>,
    /// Keys and checkpoints of the log that were published.
    pub published: BTreeSet<(String, String)>,
    /// Numbers of segments of which nothing became durable, of which the log tells; and how many checkpoints there were then.
    hollow: BTreeMap<(StreamId, u64), usize>,
    /// Those of a recorder that ended before it could tell the log.
    untold: BTreeSet<(StreamId, u64)>,
    /// Segments that were removed from a disk that another one had too: they were moved. Where the other was left from a move before, it
    /// was the last that the recorder knows of.
    pub moved: Vec<(usize, SegmentId)>,
    /// Footage that was written lately.
    pub written: VecDeque<Written>,
    pub excuses: Excuses,
    /// Deletions that were judged.
    pub deletions: Asked,
    /// How often it was looked at what lies on the disks while the recorder lives.
    pub budgets: Asked,
    /// How often it was looked at whether cameras are recorded.
    pub progress: Asked,
    /// When the box began a boot, true time, us.
    pub boots: Vec<u64>,
    /// Times from which on monotonic and wall time of the box do not go together with those before.
    pub jumps: Vec<u64>,
}

impl Ledger {
    pub fn violated(&mut self, what: String) {
        self.violations.push(what);
    }

    pub fn hears(&mut self, event: &Event, now_us: u64) {
        let (Event::Durable(segment)
        | Event::Closed(segment)
        | Event::Abandoned(segment)
        | Event::Poisoned(segment, _)) = event
        else {
            return;
        };
        self.knows(segment, now_us);
    }

    fn knows(&mut self, segment: &Segment, now_us: u64) {
        let new = &segment.new;
        if segment.durable_bytes() == 0 {
            if segment.state() != State::Poisoned {
                return;
            }
            let place = (new.stream, new.start.sequence);
            self.hollow.insert(place, self.published.len());
            return;
        }
        let known = Known {
            stream: new.stream,
            sequence: new.start.sequence,
            disk: usize::from(segment.disk),
            durable_bytes: segment.durable_bytes(),
            is_open: segment.state() == State::Open,
            is_poisoned: segment.state() == State::Poisoned,
            ended_us: match self.known.get(&new.segment) {
                Some(before) if !before.is_open => before.ended_us,
                _ => now_us,
            },
        };
        self.durable
            .entry(new.stream)
            .and_modify(|(last, at_us)| {
                if *last != (new.segment, known.durable_bytes) {
                    (*last, *at_us) = ((new.segment, known.durable_bytes), now_us);
                }
            })
            .or_insert(((new.segment, known.durable_bytes), now_us));
        self.known.insert(new.segment, known);
    }

    /// The recorder says that somebody removed these, which nobody does. Those that it was let forget to have deleted are excused.
    pub fn accuses(
        &mut self,
        segments: impl Iterator<Item = SegmentId>,
        forgotten: &BTreeSet<SegmentId>,
        at_us: u64,
    ) {
        for segment in segments.filter(|segment| !forgotten.contains(segment)) {
            if self.accused.insert(segment) {
                self.violated(format!(
                    "after {at_us} us somebody is said to have removed {segment}"
                ));
            }
        }
    }

    /// These streams may begin anew.
    pub fn begin_anew(&mut self, streams: impl Iterator<Item = StreamId>, now_us: u64) {
        for stream in streams {
            self.anew.entry(stream).or_default().push(now_us);
        }
    }

    /// Whether there was a segment between two of a stream of which nothing became durable; and whether the log may not know of it.
    pub fn is_hollow(&self, stream: StreamId, (last, next): (u64, u64)) -> (bool, bool) {
        let between = || (stream, last + 1)..(stream, next.max(last + 1));
        (
            self.hollow.range(between()).next().is_some(),
            self.untold.range(between()).next().is_some(),
        )
    }

    /// The process is gone: nothing is open any more.
    pub fn all_are_closed(&mut self) {
        // What was said while a checkpoint was being made is in the next one.
        let published = self.published.len();
        let untold = self.hollow.iter();
        let untold = untold.filter(|(_, before)| published < **before + 2);
        self.untold.extend(untold.map(|(place, _)| *place));
        self.known
            .values_mut()
            .for_each(|known| known.is_open = false);
    }

    /// Takes note of footage that came, and forgets what did so long ago.
    pub fn writes(&mut self, written: Written, long_ago_us: u64) {
        let until_us = written.at_us.saturating_sub(long_ago_us);
        while self.written.front().is_some_and(|old| old.at_us < until_us) {
            self.written.pop_front();
        }
        self.written.push_back(written);
    }

    /// A file was removed: it had a reason, and was the oldest that could go.
    pub fn removes(&mut self, disk: usize, path: &Path, content: Vec<u8>, before: &Before<'_>) {
        let Some((stream, _, segment)) = place_of(path) else {
            // Of the log, and what stood beside it while it was written, nothing is asked here; nor of a copy that was not finished.
            if path.starts_with(layout::FOOTAGE) && !is_copy(path) {
                self.violated(format!("{} was removed", path.display()));
            }
            return;
        };
        if before.moving.contains(&segment) {
            self.moved.push((disk, segment));
            return;
        }
        self.refused.remove(path);
        self.removed.push(Removed {
            path: path.to_owned(),
            content,
        });
        let Some(known) = self.known.get(&segment).cloned() else {
            return;
        };
        if known.is_open {
            self.violated(format!("{segment} was deleted while it grew"));
        }
        if before.is_held {
            self.violated(format!("{segment} was deleted although it was held"));
        }
        let mut counted = BTreeSet::new();
        let of_camera = before.files.iter().filter_map(|(_, path, bytes)| {
            let (of, _, segment) = place_of(path)?;
            // One that is being moved is there twice.
            (of == stream && counted.insert(segment)).then_some(bytes)
        });
        let of_camera: u64 = of_camera.sum();
        let on_disk = before.files.iter().filter(|(on, ..)| *on == disk);
        let of_disk: u64 = on_disk.map(|(.., bytes)| bytes).sum();
        let for_camera = before
            .camera_max
            .is_some_and(|max| of_camera + before.camera_ahead > max);
        let has_reason = for_camera
            || before
                .disk_max
                .is_some_and(|max| of_disk + before.ahead > max)
            || before.free < before.reserve + before.ahead
            || before
                .limit
                .is_some_and(|limit| of_disk + before.ahead > limit);
        // Of a hot disk that is full a little may be beyond its budget, or in its reserve, before what could be moved is deleted.
        let is_beyond = before.disk_max.is_some_and(|max| of_disk > max + max / 20)
            || before.free < before.reserve / 4;
        if before.could_move
            && !for_camera
            && !is_beyond
            && before.limit.is_none()
            && !before.is_planned
        {
            let sequence = known.sequence;
            self.violated(format!(
                "segment {sequence} of {stream} was deleted although a cold disk has room: {of_disk} of {:?} of its disk, {} of {} free",
                before.disk_max, before.free, before.reserve,
            ));
        }
        self.deletions.count(before.is_planned);
        if !has_reason && !before.is_planned {
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
                && !before.moving.contains(*id)
                && !deleted.contains(*id)
                && older.stream == stream
                && older.sequence < known.sequence
        });
        if let Some((_, older)) = older.filter(|_| !before.is_planned) {
            let (sequence, older) = (known.sequence, older.sequence);
            self.violated(format!(
                "segment {sequence} of {stream} was deleted before segment {older}"
            ));
        }
    }
}

/// Whether this is the name of a copy that is being made of a segment.
pub fn is_copy(path: &Path) -> bool {
    path.extension().is_some_and(|last| last == "moving")
}

/// Which segment a file is, by its path.
pub fn place_of(path: &Path) -> Option<(StreamId, EpochId, SegmentId)> {
    let mut names = path.components().map(|name| name.as_os_str().to_str());
    names.next()??.eq(layout::FOOTAGE).then_some(())?;
    let stream = StreamId::from_hex(names.next()??)?;
    let epoch = EpochId::from_hex(names.next()??)?;
    Some((stream, epoch, layout::segment_of(names.next()??)?))
}
