//! Fragments become segments: when one begins, when it ends, and what is known of the gap before it.

use std::sync::Arc;

use bytes::Bytes;
use hearthkeep_format::fmp4::Fragment;
use hearthkeep_format::log::Record;
use hearthkeep_format::segment::{Begin, Gap, GapCause, Preamble, SegmentWriter, Start};
use hearthkeep_format::{Kind, StoreId, StreamId};

use super::anchor::STEP_US_MIN;
use super::damage::Damaged;
use super::live::LiveHub;
use super::progress::Progress;
use super::sealing::Epochs;
use super::segment::{End, Fate, OpenSegment};
use crate::clock::{Clock, offset_us};
use crate::keys::Sealing;
use crate::limits::SEGMENT_US_MAX;
use crate::random::SharedRandom;
use crate::store::writer::{Following, NewSegment, Refused, Segment, SegmentHandle};
use crate::store::{LastFootage, Store};

/// What the segments of one stream are made with.
pub(super) struct Materials {
    pub store_id: StoreId,
    pub stream: StreamId,
    pub sealing: Arc<Sealing>,
    pub store: Arc<Store>,
    pub hub: Arc<LiveHub>,
    pub clock: Arc<dyn Clock>,
    pub progress: Arc<Progress>,
    pub random: SharedRandom,
    /// Length of the first segment, so that the streams' segments do not all end together; in microseconds.
    pub first_target_us: u64,
}

/// What is known of the stream's last segment when the recorder starts.
pub(super) struct Before {
    /// Wall time of its end, in microseconds.
    pub wall_end_us: i64,
    /// Whether the recorder died since then.
    pub after_crash: bool,
    /// Whether there is no later footage, as far as can be known: a disk that is away may have some.
    pub is_certain: bool,
}

impl Before {
    /// The gap that a start finds: its cause, and wall time to which there is footage.
    pub(super) fn gap(before: Option<&Self>) -> (GapCause, Option<i64>) {
        match before {
            None => (GapCause::Start, None),
            Some(last) if last.after_crash => (GapCause::Crash, Some(last.wall_end_us)),
            Some(last) => (GapCause::Shutdown, Some(last.wall_end_us)),
        }
    }

    /// Says in the log what a start that `began` then finds missing, as the timeline and the metrics do.
    pub(super) fn tell(before: Option<&Self>, began: Moment, camera: &str, clock: &dyn Clock) {
        let (cause, since) = Self::gap(before);
        let began_us = began.wall_us(offset_us(clock));
        let Some(length_us) = gap_length_us(since, began_us) else {
            return;
        };
        // One that was ended and started at once misses less than a second.
        let (cause, seconds) = (cause.as_str(), length_us as f64 / 1_000_000.0);
        tracing::info!(%camera, cause, "nothing was recorded for {seconds:.1} s before this start");
    }

    /// What the store knows of the stream; nothing where it has never recorded it. A catalog that cannot be read is no
    /// reason not to record.
    pub(super) fn of(store: &Store, stream: &StreamId) -> Option<Self> {
        let last = store.last(stream).unwrap_or_else(|error| {
            tracing::error!(%error, "the catalog cannot say what was recorded last");
            None
        });
        let (wall_end_us, is_recovered) = match last {
            Some(last) => (last.end_us(), last.recovered),
            None => (store.usage(stream).last_us?, false),
        };
        Some(Self {
            wall_end_us,
            after_crash: is_recovered || store.is_after_crash(),
            is_certain: store.knows_all(),
        })
    }
}

impl From<LastFootage> for Before {
    fn from(last: LastFootage) -> Self {
        Self {
            wall_end_us: last.end_us,
            after_crash: last.after_crash,
            is_certain: false,
        }
    }
}

/// A moment that stays the same when the clock is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Wall time, as the clock said it then, us.
    wall_us: i64,
    /// Wall time less monotonic time, then; `None` where another run of the recorder said it.
    offset_us: Option<i64>,
}

impl Moment {
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self {
            wall_us: clock.wall_us(),
            offset_us: Some(offset_us(clock)),
        }
    }

    /// Its wall time, as a clock says it that is off monotonic time by so much. Less than a step is no setting: the two are never
    /// read at once, and segments are not moved by it either.
    fn wall_us(self, offset_us: i64) -> i64 {
        let moved_us = self
            .offset_us
            .map_or(0, |then| offset_us.saturating_sub(then));
        match moved_us.abs() < STEP_US_MIN {
            true => self.wall_us,
            false => self.wall_us.saturating_add(moved_us),
        }
    }
}

/// The segments of one stream, one after another.
pub(super) struct Writing {
    materials: Materials,
    epochs: Epochs,
    segment: Option<OpenSegment>,
    target_us: u64,
    /// Sequence number of the next segment that a disk takes.
    sequence: u64,
    first_sequence: u64,
    /// To when there is footage; of a poisoned segment, what was durable.
    last_end: Option<Moment>,
    /// What the clock was off monotonic time when the segment began.
    segment_offset_us: i64,
    /// The last one that had ended whole, and what the clock was off then: its end may yet not be written.
    ending: Option<(Arc<Segment>, i64)>,
    group: Group,
    /// Why nothing is recorded since when; `None` when not known.
    gap: Option<(GapCause, Option<Moment>)>,
}

impl Writing {
    /// `waited` is since when there was no disk to record to, where that was so: from then on nothing else is the cause.
    pub(super) fn new(
        materials: Materials,
        before: Option<Before>,
        waited: Option<Moment>,
    ) -> Self {
        let (cause, _) = Before::gap(before.as_ref());
        let is_certain = before.as_ref().is_some_and(|last| last.is_certain);
        let last_end = before.as_ref().map(|last| Moment {
            wall_us: last.wall_end_us,
            offset_us: None,
        });
        let sequence = materials.store.next_sequence(&materials.stream);
        let last_certain = last_end.filter(|_| is_certain);
        let gap = match waited {
            None => (cause, last_certain),
            Some(since) => {
                tell_before(&materials, cause, last_certain, since);
                (GapCause::DiskError, Some(since))
            }
        };
        Self {
            epochs: Epochs::new(materials.store_id, materials.stream),
            segment: None,
            target_us: materials.first_target_us,
            sequence,
            last_end,
            segment_offset_us: 0,
            ending: None,
            group: Group::default(),
            first_sequence: sequence,
            gap: Some(gap),
            materials,
        }
    }

    /// Takes the next fragment of a run. A segment ends before a key frame when it is due; one that cannot be stored is
    /// followed by a live-only one until the disk takes a key frame again.
    pub(super) fn take(&mut self, fragment: &Fragment, preamble: &mut dyn FnMut() -> Preamble) {
        if self.must_change(fragment) {
            self.finish();
        }
        self.group.take(fragment);
        if self.segment.is_none() {
            if !fragment.starts_with_key() {
                self.lost(GapCause::NoKeyFrame);
                return;
            }
            self.begin(fragment, &preamble());
        }
        if let Some(Fate::Refused(refused)) = self.seal(fragment) {
            self.refused(refused, fragment, preamble);
        }
    }

    /// Seals a fragment of the running segment, and says what became of it; `None` where there is none, or it cannot be sealed.
    fn seal(&mut self, fragment: &Fragment) -> Option<Fate> {
        // Out of its place meanwhile: should sealing panic, it is abandoned, and not finished as if all of it were there.
        let mut segment = self.segment.take()?;
        match segment.seal(fragment, &mut self.materials.random) {
            Ok(fate) => {
                if fate == Fate::Queued {
                    self.materials.progress.sealed(segment.sealed_bytes());
                }
                self.segment = Some(segment);
                Some(fate)
            }
            Err(error) => {
                tracing::error!(%error, "a fragment could not be sealed");
                self.ended(segment.end());
                drop(segment);
                self.end(GapCause::CameraData);
                None
            }
        }
    }

    /// Ends the segment because nothing more comes for now, and remembers why.
    pub(super) fn end(&mut self, cause: GapCause) {
        self.finish();
        self.lost(cause);
        self.materials.hub.pause();
    }

    /// Remembers why nothing is recorded since the last segment, unless an earlier cause stands.
    pub(super) fn lost(&mut self, cause: GapCause) {
        let clock = &*self.materials.clock;
        let since = self.last_end.unwrap_or_else(|| Moment::now(clock));
        self.gap.get_or_insert((cause, Some(since)));
        let since_us = since.wall_us(offset_us(clock));
        self.materials.progress.lost(cause, Some(since_us));
    }

    /// Ends the segment; nothing is lost by it as long as another one begins with the next fragment.
    pub(super) fn finish(&mut self) {
        if let Some(segment) = self.segment.take() {
            if let Some(stored) = segment.stored() {
                self.ending = Some((Arc::clone(stored), self.segment_offset_us));
            }
            let end = segment.finish(&mut self.materials.random);
            self.ended(end);
        }
    }

    /// Remembers how far footage reaches now.
    fn ended(&mut self, end: End) {
        match end {
            End::LiveOnly => {}
            End::Stored { end_us } => self.last_end = Some(self.moment(end_us)),
            End::Poisoned { durable_end_us } => {
                let durable_end = durable_end_us.map(|end_us| self.moment(end_us));
                self.last_end = durable_end.or(self.last_end);
                self.lost(GapCause::DiskError);
            }
        }
    }

    /// A wall time of the running segment.
    fn moment(&self, wall_us: i64) -> Moment {
        Moment {
            wall_us,
            offset_us: Some(self.segment_offset_us),
        }
    }

    /// Pictures of a span of wall time may be damaged, and those since `open_us`.
    pub(super) fn damaged(&self, span: Option<Damaged<i64>>, open_us: Option<i64>) {
        self.materials.progress.damaged(span, open_us);
    }

    /// Whether anybody watches the stream.
    pub(super) fn is_watched(&self) -> bool {
        self.materials.hub.is_watched()
    }

    fn must_change(&self, fragment: &Fragment) -> bool {
        let Some(segment) = &self.segment else {
            return false;
        };
        // What waits for a disk that hangs is all there once it answers; what comes goes on with another one.
        let is_to_be_left = |stored: &Arc<Segment>| self.materials.store.is_to_be_left(stored);
        let due = || {
            let is_left = segment.stored().is_none_or(is_to_be_left);
            is_left || segment.is_due(self.target_us)
        };
        segment.must_end() || (fragment.starts_with_key() && due())
    }

    /// The disk did not take a fragment: the file ends. A key frame may begin another; else live viewers go on in a segment that
    /// is never written.
    fn refused(
        &mut self,
        refused: Refused,
        fragment: &Fragment,
        preamble: &mut dyn FnMut() -> Preamble,
    ) {
        tracing::debug!(stream = %self.materials.stream, "{refused}: footage is lost until a key frame is taken again");
        self.finish();
        if fragment.starts_with_key() {
            self.begin(fragment, &preamble());
            match self.seal(fragment) {
                // Another disk has taken the key frame: nothing is lost.
                Some(Fate::Queued) => return,
                Some(Fate::LiveOnly) => return self.lost(cause_of(refused)),
                // Neither does that disk, now that it is to: what would follow could not be decoded.
                Some(Fate::Refused(_)) => self.finish(),
                None => return,
            }
        }
        self.begin_live_only(fragment, &preamble());
        self.lost(cause_of(refused));
        self.seal(fragment);
    }

    /// Where the end of the last segment could not be written, the gap begins there: it may be deleted before the one that comes, which is
    /// what tells of it then. The cause is that of the longer part.
    fn look_back(&mut self) {
        let lost = |(segment, offset_us): &(Arc<Segment>, i64)| {
            let (from_us, to_us) = segment.lost()?;
            let from = Moment {
                wall_us: from_us,
                offset_us: Some(*offset_us),
            };
            Some((from, to_us.saturating_sub(from_us)))
        };
        let Some((from, lost_us)) = self.ending.as_ref().and_then(lost) else {
            return;
        };
        self.ending = None;
        let clock = &*self.materials.clock;
        let gap_us = |since: Moment| {
            let offset_us = offset_us(clock);
            clock.wall_us().saturating_sub(since.wall_us(offset_us))
        };
        let cause = match self.gap {
            Some((cause, Some(since))) if gap_us(since) > lost_us => cause,
            Some((_, None)) => return,
            _ => GapCause::DiskError,
        };
        self.gap = Some((cause, Some(from)));
        self.last_end = Some(from);
    }

    /// Begins a segment with the first of its fragments, on a disk if one takes it.
    fn begin(&mut self, fragment: &Fragment, preamble: &Preamble) {
        self.look_back();
        let Some((writer, start)) = self.seal_head(fragment, preamble) else {
            return;
        };
        let new = NewSegment {
            stream: self.materials.stream,
            kind: Kind::Media,
            epoch: writer.header().epoch,
            segment: writer.id(),
            start,
        };
        let head = Bytes::copy_from_slice(writer.head());
        let following = self.group.expected(fragment);
        let file = match self.materials.store.begin_before(new, head, following) {
            Ok(file) => {
                self.sequence += 1;
                self.gap = None;
                // What comes after this one does not begin at the end of the one before.
                self.ending = None;
                let segment = Arc::clone(file.segment());
                let sealed_bytes = writer.head().len() as u64;
                self.materials.progress.begun(segment, sealed_bytes);
                Some(file)
            }
            Err(refused) => {
                self.lost(cause_of(refused));
                None
            }
        };
        self.open(writer, file, fragment, preamble);
    }

    fn begin_live_only(&mut self, fragment: &Fragment, preamble: &Preamble) {
        if let Some((writer, _)) = self.seal_head(fragment, preamble) {
            self.open(writer, None, fragment, preamble);
        }
    }

    fn open(
        &mut self,
        writer: SegmentWriter,
        file: Option<SegmentHandle>,
        fragment: &Fragment,
        preamble: &Preamble,
    ) {
        let hub = Arc::clone(&self.materials.hub);
        let media_start_us = fragment.decode_time_us();
        self.segment = Some(OpenSegment::new(
            writer,
            file,
            hub,
            media_start_us,
            preamble.anchor_us,
        ));
        let first = self.sequence <= self.first_sequence + 1;
        self.target_us = if first {
            self.materials.first_target_us
        } else {
            SEGMENT_US_MAX
        };
    }

    /// A writer and what its start block says; `None` when the format's limits forbid it.
    fn seal_head(
        &mut self,
        fragment: &Fragment,
        preamble: &Preamble,
    ) -> Option<(SegmentWriter, Start)> {
        let clock = &self.materials.clock;
        let wall_us = preamble
            .anchor_us
            .saturating_add_unsigned(fragment.decode_time_us());
        let (now_us, offset_us) = (clock.monotonic_us(), offset_us(&**clock));
        self.segment_offset_us = offset_us;
        let start = Start {
            wall_us,
            // The same moment in both, so that a clock which is set right later moves the one by the other.
            monotonic_us: u64::try_from(wall_us.saturating_sub(offset_us)).unwrap_or(0),
            boot: clock.boot_id(),
            clock_trusted: clock.trusted(),
            gap: self.gap.map(|(cause, since)| Gap {
                cause,
                length_us: gap_length_us(since.map(|since| since.wall_us(offset_us)), wall_us),
            }),
            sequence: self.sequence,
        };
        let sealing = Arc::clone(&self.materials.sealing);
        let random = &mut self.materials.random;
        let (epoch, secret) = self.epochs.next_segment(&sealing, now_us, random);
        let begin = Begin {
            store: self.materials.store_id,
            stream: self.materials.stream,
            epoch,
            kind: Kind::Media,
            start,
            preamble,
        };
        match SegmentWriter::begin(begin, secret, &sealing.metadata_key, random) {
            Ok((writer, _)) => Some((writer, start)),
            Err(error) => {
                tracing::error!(%error, "a segment could not be begun");
                None
            }
        }
    }
}

/// How large a group of pictures is: a disk that does not keep up is not given a part of one.
#[derive(Debug, Default)]
struct Group {
    /// Bytes of the last one.
    last: usize,
    /// Bytes of the one that comes, so far.
    this: usize,
}

impl Group {
    fn take(&mut self, fragment: &Fragment) {
        if fragment.starts_with_key() {
            self.last = std::mem::take(&mut self.this);
        }
        self.this += fragment.encoded_len();
    }

    /// What is expected of one that begins with this fragment.
    fn expected(&self, first: &Fragment) -> Following {
        Following {
            first: OpenSegment::room_for(first),
            group: self.last,
        }
    }
}

/// Tells the log of what was missing before the recorder waited for a disk: no segment does.
fn tell_before(materials: &Materials, cause: GapCause, last_end: Option<Moment>, since: Moment) {
    let offset_us = offset_us(&*materials.clock);
    let Some(from_us) = last_end.map(|end| end.wall_us(offset_us)) else {
        return;
    };
    let to_us = since.wall_us(offset_us);
    if from_us < to_us {
        materials.store.log().append(Record::Gap {
            stream: materials.stream,
            cause,
            from_us,
            to_us,
        });
    }
}

/// How long a gap was that began at `since` and ends at `until`; a clock that was set back leaves it unknown.
fn gap_length_us(since: Option<i64>, until: i64) -> Option<u64> {
    since
        .and_then(|since| until.checked_sub(since))
        .and_then(|length| u64::try_from(length).ok())
}

fn cause_of(refused: Refused) -> GapCause {
    match refused {
        Refused::QueueFull => GapCause::QueueFull,
        _ => GapCause::DiskError,
    }
}
