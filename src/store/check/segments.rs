//! Reading segments and saying what is wrong with them.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hearthkeep_format::segment::{
    Damage, File, Header, ReadAt, ReadError, Report, SegmentOpener, State, lost_at_torn_end, scrub,
};
use hearthkeep_format::{EpochId, Error as FormatError, StreamId};

use super::index::Indexed;
use super::{Finding, Findings, Kind, Known, Slice, Subject};
use crate::disk::{self, Disk, Front, Pace, Sequential, Turn};
use crate::store::inspect::{self, Facts, Inspected, Place, Strange, UsableHead};

/// Segments by how they end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// All of them.
    pub all: u64,
    /// Finished.
    pub whole: u64,
    /// Torn, and closed at a later start.
    pub recovered: u64,
    /// Being written, or torn.
    pub open: u64,
    /// Those of which more than the ends was read.
    pub read: u64,
    /// Their bytes.
    pub read_bytes: u64,
}

/// What there is to say of a segment.
#[derive(Default)]
pub struct Looked {
    /// What is wrong with it.
    pub finding: Option<Finding>,
    state: Option<State>,
    /// Its length where it was read.
    read_bytes: Option<u64>,
    facts: Option<Facts>,
    /// Where it should have the same envelope as others, and the envelope's hash.
    envelope: Option<Envelope>,
}

/// An envelope that a segment of an epoch has.
struct Envelope {
    epoch: (StreamId, EpochId),
    hash: [u8; 32],
    finding: Finding,
    place: Place,
    /// Whether the segment was finished with it: its root, which only a holder of M can have sealed, vouches for it.
    is_proven: bool,
    is_torn: bool,
}

/// A torn segment whose envelope is another one than all finished segments of its epoch have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistaken {
    /// On which of the disks it is, and where.
    pub torn: (usize, Place),
    /// One of the finished ones.
    pub finished: (usize, Place),
}

pub(super) fn look_at_all(
    disks: &[Subject],
    known: &Known<'_>,
    places: Vec<Vec<Place>>,
    slice: Slice,
    pace: &Pace<'_>,
    findings: &mut Findings,
) {
    let taken = Mutex::new((findings, Vec::new()));
    // Where files are read one at a time a core is left for that.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let is_ahead = |subject: &Subject| subject.readers <= 1 && cores > disks.len();
    let turns: Vec<_> = disks.iter().map(|_| Turn::default()).collect();
    let take = |number: usize, place: &Place| {
        let subject = &disks[number];
        let reading = match slice.has(&place.segment) {
            false => Reading::Ends,
            true if is_ahead(subject) => Reading::Ahead(&turns[number]),
            true => Reading::Through,
        };
        let looked = look(number, &*subject.disk, place, known, reading, pace);
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (findings, envelopes) = &mut *taken;
        if let Some(looked) = looked {
            envelopes.extend(findings.take(number, place, looked));
        }
    };
    std::thread::scope(|scope| {
        for (number, (subject, places)) in disks.iter().zip(&places).enumerate() {
            let next = Arc::new(AtomicUsize::new(0));
            let take = &take;
            let work = move |next: &AtomicUsize| {
                while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                    take(number, place);
                }
            };
            let is_alone = disks.len() == 1;
            // One works on what it has while another one reads.
            let workers = match is_ahead(subject) {
                true => 2,
                false => subject.readers.max(1),
            };
            let others = workers.min(places.len()) - usize::from(is_alone && !places.is_empty());
            for _ in 0..others {
                let next = Arc::clone(&next);
                scope.spawn(move || work(&next));
            }
            if is_alone {
                work(&next);
            }
        }
    });
    let (findings, envelopes) = taken.into_inner().unwrap_or_else(PoisonError::into_inner);
    lone_envelopes(envelopes, findings);
}

/// Finds those of an epoch's segments whose envelope is not the one that its finished segments have, or where none is finished that
/// most of them have: of a torn one nothing else tells that it is damaged.
fn lone_envelopes(envelopes: Vec<Envelope>, findings: &mut Findings) {
    let mut epochs: HashMap<_, Vec<Envelope>> = HashMap::new();
    for envelope in envelopes {
        epochs.entry(envelope.epoch).or_default().push(envelope);
    }
    for of_epoch in epochs.into_values() {
        let proven = proven(&of_epoch).map(|proven| (proven.hash, proven.at()));
        let mut counts: HashMap<[u8; 32], usize> = HashMap::new();
        for envelope in &of_epoch {
            *counts.entry(envelope.hash).or_default() += 1;
        }
        let most = counts.values().copied().max().unwrap_or(0);
        let is_tied = counts.values().filter(|count| **count == most).count() > 1;
        for envelope in of_epoch {
            match proven {
                Some((hash, _)) if envelope.hash == hash => {}
                Some((_, finished)) if envelope.is_torn => {
                    let torn = envelope.at();
                    findings.mistaken.push(Mistaken { torn, finished });
                    findings.found.push(envelope.finding.repairable());
                }
                None if !is_tied && counts[&envelope.hash] == most => {}
                _ => findings.found.push(envelope.finding),
            }
        }
    }
}

/// One whose envelope is proven, where that is the same for all that are.
fn proven(of_epoch: &[Envelope]) -> Option<&Envelope> {
    let mut proven = of_epoch.iter().filter(|envelope| envelope.is_proven);
    let first = proven.next()?;
    proven
        .all(|other| other.hash == first.hash)
        .then_some(first)
}

impl Envelope {
    fn at(&self) -> (usize, Place) {
        (self.finding.disk, self.place)
    }
}

impl Findings {
    fn take(&mut self, disk: usize, place: &Place, looked: Looked) -> Option<Envelope> {
        self.segments.all += 1;
        if looked.state == Some(State::Torn) {
            self.torn.push((disk, *place));
        }
        match looked.state {
            Some(State::Whole) => self.segments.whole += 1,
            Some(State::Recovered) => self.segments.recovered += 1,
            Some(State::Torn) => self.segments.open += 1,
            None => {}
        }
        if let Some(bytes) = looked.read_bytes {
            self.segments.read += 1;
            self.segments.read_bytes += bytes;
        }
        self.found.extend(looked.finding);
        let indexed = looked.facts.map(|facts| Indexed::new(disk, &facts));
        self.indexed.extend(indexed);
        looked.envelope
    }
}

/// How much of a segment is looked at.
#[derive(Debug, Clone, Copy)]
pub enum Reading<'a> {
    /// Its ends.
    Ends,
    /// All of it.
    Through,
    /// All of it, which another thread reads while nobody else has this turn.
    Ahead(&'a Turn),
}

/// Looks at one segment. `None` for one that has been deleted.
pub fn look(
    number: usize,
    disk: &dyn Disk,
    place: &Place,
    known: &Known<'_>,
    reading: Reading<'_>,
    pace: &Pace<'_>,
) -> Option<Looked> {
    let path = place.path();
    let finding = |kind, what: String| Finding {
        stream: Some(place.stream),
        ..Finding::new(kind, number, &path, what)
    };
    let front = match disk.open_read(&path).and_then(Front::whole) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            let what = format!("the file cannot be opened: {error}");
            return Some(Looked::only(finding(Kind::Unreadable, what)));
        }
        Ok(front) => front.past_bad_sectors(),
    };
    let looked = match reading {
        Reading::Ends => skim(&front, place, known),
        Reading::Through => examine(&front, place, known, &finding, |check| {
            check(&Sequential::new(&front, pace))
        }),
        Reading::Ahead(turn) => examine(&front, place, known, &finding, |check| {
            disk::read_ahead(&front, pace, turn, check)
        }),
    };
    let mut looked = looked.unwrap_or_else(|strange| {
        let kind = kind_of(&strange);
        Looked::only(finding(kind, strange.to_string()))
    });
    looked.tell_of_bad_sectors(&front, &finding);
    Some(looked)
}

fn kind_of(strange: &Strange) -> Kind {
    match strange {
        Strange::NoSegment(_) => Kind::NoSegment,
        Strange::OtherStore(_) => Kind::Foreign,
        Strange::Misplaced | Strange::Twice => Kind::Misplaced,
        Strange::UnknownGeneration(_) => Kind::UnknownGeneration,
        Strange::Damaged(_) => Kind::Refused,
        Strange::Io(_) => Kind::Unreadable,
    }
}

/// The ends of a segment and nothing between.
fn skim(front: &Front, place: &Place, known: &Known<'_>) -> Result<Looked, Strange> {
    let state = |recovered| match recovered {
        true => State::Recovered,
        false => State::Whole,
    };
    match inspect::inspect(front, place, &known.store, known.keys) {
        Inspected::Whole(facts) => Ok(Looked {
            state: Some(state(facts.recovered)),
            facts: Some(facts.corrected(known.anchors)),
            ..Looked::default()
        }),
        Inspected::Torn => Ok(Looked {
            state: Some(State::Torn),
            ..Looked::default()
        }),
        Inspected::Strange(strange) => Err(strange),
    }
}

/// All of a segment, through what `read` hands to the check that it is given.
fn examine(
    front: &Front,
    place: &Place,
    known: &Known<'_>,
    finding: &dyn Fn(Kind, String) -> Finding,
    read: impl FnOnce(&dyn Fn(&dyn ReadAt) -> Result<Report, ReadError>) -> Result<Report, ReadError>,
) -> Result<Looked, Strange> {
    let mut head = inspect::find_head(front, place, &known.store, known.keys)?;
    head.start = known.anchors.corrected(&head.start);
    let check = |file: &dyn ReadAt| match known.open {
        None => scrub(file, &head.m),
        Some(keyring) => {
            let unlock = |bytes: &[u8]| {
                let header = Header::parse(bytes)?;
                let (identity, m) = keyring
                    .generation(header.generation)
                    .ok_or(FormatError::NoMatchingIdentity)?;
                SegmentOpener::open(bytes, identity, m)
            };
            File::open(file, unlock)?.check(Some(&head.m))
        }
    };
    let report = read(&check)?;
    let lost_chunks = match report.state {
        State::Torn => lost_at_torn_end(front, &head.m)?,
        _ => 0..0,
    };
    let facts = report.end.map(|end| Facts {
        header: head.header.clone(),
        start: head.start,
        end,
        recovered: report.state == State::Recovered,
        bytes: front.size(),
    });
    Ok(Looked {
        finding: describe(&report, lost_chunks, &head, finding),
        state: Some(report.state),
        read_bytes: Some(front.size()),
        facts,
        envelope: envelope(&report, &head, place, finding),
    })
}

/// What is to be compared with the epoch's other segments: not where it is known already that a head is damaged.
fn envelope(
    report: &Report,
    head: &UsableHead,
    place: &Place,
    finding: &dyn Fn(Kind, String) -> Finding,
) -> Option<Envelope> {
    let is_told = report
        .damage
        .iter()
        .any(|damage| matches!(damage, Damage::Head | Damage::Copy));
    let what =
        "its envelope is not the one that the other segments of the epoch have: it may not open";
    (!is_told).then(|| Envelope {
        epoch: (place.stream, place.epoch),
        hash: head.envelope,
        finding: finding(Kind::Envelope, what.to_owned()),
        place: *place,
        is_proven: is_proven(report),
        is_torn: report.state == State::Torn,
    })
}

/// Whether a segment's end block opened, and its root fits all that stands in it, the envelope too.
pub(in crate::store) fn is_proven(report: &Report) -> bool {
    report.state != State::Torn && report.damage.is_empty() && report.end.is_some()
}

fn describe(
    report: &Report,
    lost_chunks: Range<u32>,
    head: &UsableHead,
    finding: &dyn Fn(Kind, String) -> Finding,
) -> Option<Finding> {
    // Of what the format's report calls tampered a disk's flipped bit is the likelier cause.
    let mut what = report
        .to_string()
        .replace(", tampered at ", ", damaged at ");
    let kind = report.damage.iter().map(kind_of_damage).min();
    let kind = if lost_chunks.is_empty() {
        kind?
    } else {
        what.push_str(", damaged at ");
        what.push_str(&Damage::Chunks(lost_chunks.clone()).to_string());
        Kind::Chunks
    };
    let repairable = matches!(kind, Kind::Head | Kind::Copy | Kind::Tail);
    let lost_us: u64 = report.lost.iter().map(|lost| lost.end - lost.start).sum();
    let is_told = lost_chunks.is_empty()
        && !matches!(kind, Kind::Root)
        && (kind != Kind::Chunks || !report.lost.is_empty());
    match kind {
        Kind::Head => what.push_str("; the copy serves, and nothing is lost"),
        Kind::Copy => what.push_str("; the first head serves, and nothing is lost"),
        Kind::Tail | Kind::Stray => what.push_str("; nothing is lost"),
        Kind::Root => what.push_str(
            "; somebody changed it, or both of its envelopes are damaged, without which it does not open. Nothing in it says what was \
             there: put the file back from a copy of the disk, if there is one",
        ),
        _ => {}
    }
    let at = |us| head.start.wall_us.saturating_add_unsigned(us);
    let from = report.lost.iter().map(|lost| lost.start).min();
    let to = report.lost.iter().map(|lost| lost.end).max();
    let span = match (from.zip(to), &report.end) {
        (Some((from, to)), _) => Some(at(from)..at(to)),
        (None, Some(end)) => Some(at(0)..at(end.duration_us)),
        (None, None) => None,
    };
    Some(Finding {
        span_us: span,
        lost_us: is_told.then_some(lost_us),
        repairable,
        ..finding(kind, what)
    })
}

/// The worst comes first.
fn kind_of_damage(damage: &Damage) -> Kind {
    match damage {
        Damage::Chunks(_) => Kind::Chunks,
        Damage::Root => Kind::Root,
        Damage::Head => Kind::Head,
        Damage::Copy => Kind::Copy,
        Damage::Tail => Kind::Tail,
        Damage::Stray(_) => Kind::Stray,
    }
}

impl Looked {
    /// What is wrong with a segment that is known to have been finished.
    pub(in crate::store) fn of_a_closed_one(self, number: usize, place: &Place) -> Option<Finding> {
        let is_torn = self.is_torn();
        self.finding
            .or_else(|| is_torn.then(|| Finding::cut(number, place)))
    }

    /// Whether it has no tail.
    pub(super) fn is_torn(&self) -> bool {
        self.state == Some(State::Torn)
    }

    fn only(finding: Finding) -> Self {
        Self {
            finding: Some(finding),
            ..Self::default()
        }
    }

    /// Where sectors cannot be read, the file is left as it is: what is there today may be read tomorrow.
    fn tell_of_bad_sectors(&mut self, front: &Front, finding: &dyn Fn(Kind, String) -> Finding) {
        let bad_sectors = front.bad_sectors();
        let what = match bad_sectors {
            0 => return,
            1 => "the disk cannot read one of its sectors".to_owned(),
            n => format!("the disk cannot read {n} of its sectors"),
        };
        match &mut self.finding {
            Some(finding) => {
                finding.what = format!("{}; {what}", finding.what);
                finding.repairable = false;
            }
            none => *none = Some(finding(Kind::Unreadable, what)),
        }
        self.finding
            .iter_mut()
            .for_each(|f| f.bad_sectors = bad_sectors);
    }
}
