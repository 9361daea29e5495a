//! Fragments become segments: when one begins, when it ends, and what is known of the gap before it.

use std::sync::Arc;

use bytes::Bytes;
use hearthkeep_format::fmp4::Fragment;
use hearthkeep_format::segment::{Begin, Gap, GapCause, Preamble, SegmentWriter, Start};
use hearthkeep_format::{Kind, StoreId, StreamId};

use super::live::LiveHub;
use super::progress::Progress;
use super::sealing::Epochs;
use super::segment::{End, Fate, OpenSegment};
use crate::clock::Clock;
use crate::keys::Sealing;
use crate::limits::SEGMENT_US_MAX;
use crate::random::SharedRandom;
use crate::store::Store;
use crate::store::writer::{NewSegment, Refused, SegmentHandle};

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
    /// Its sequence number.
    pub sequence: u64,
    /// Wall time of its end, in microseconds.
    pub wall_end_us: i64,
    /// Whether the recorder died since then.
    pub after_crash: bool,
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

    /// What the store knows of the stream; nothing where it has never recorded it. A catalog that cannot be read is no
    /// reason not to record: the stream then begins as if it were new.
    pub(super) fn of(store: &Store, stream: &StreamId) -> Option<Self> {
        let last = store.last(stream).unwrap_or_else(|error| {
            tracing::error!(%error, "the catalog cannot say what was recorded last");
            None
        })?;
        Some(Self {
            sequence: last.sequence,
            wall_end_us: last.end_us(),
            after_crash: last.recovered || store.is_after_crash(),
        })
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
    /// Wall time to which there is footage, in microseconds; of a poisoned segment, what was durable.
    last_end_us: Option<i64>,
    /// Why nothing is recorded since when; wall time in microseconds, `None` when not known.
    gap: Option<(GapCause, Option<i64>)>,
}

impl Writing {
    pub(super) fn new(materials: Materials, before: Option<Before>) -> Self {
        let gap = Before::gap(before.as_ref());
        let last_end_us = before.as_ref().map(|last| last.wall_end_us);
        let sequence = before.map_or(0, |last| last.sequence + 1);
        Self {
            epochs: Epochs::new(materials.store_id, materials.stream),
            segment: None,
            target_us: materials.first_target_us,
            sequence,
            last_end_us,
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
        if self.segment.is_none() {
            if !fragment.starts_with_key() {
                self.lost(GapCause::NoKeyFrame);
                return;
            }
            self.begin(fragment, &preamble());
        }
        // Out of its place meanwhile: should sealing panic, it is abandoned, and not finished as if all of it were there.
        let Some(mut segment) = self.segment.take() else {
            return;
        };
        match segment.seal(fragment, &mut self.materials.random) {
            Ok(fate) => {
                if fate == Fate::Queued {
                    self.materials.progress.sealed(segment.sealed_bytes());
                }
                self.segment = Some(segment);
                if let Fate::Refused(refused) = fate {
                    self.refused(refused, fragment, preamble);
                }
            }
            Err(error) => {
                tracing::error!(%error, "a fragment could not be sealed");
                self.ended(segment.end());
                drop(segment);
                self.end(GapCause::CameraData);
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
        let since = self
            .last_end_us
            .unwrap_or_else(|| self.materials.clock.wall_us());
        self.gap.get_or_insert((cause, Some(since)));
        self.materials.progress.lost(cause, Some(since));
    }

    /// Ends the segment; nothing is lost by it as long as another one begins with the next fragment.
    pub(super) fn finish(&mut self) {
        if let Some(segment) = self.segment.take() {
            let end = segment.finish(&mut self.materials.random);
            self.ended(end);
        }
    }

    /// Remembers how far footage reaches now.
    fn ended(&mut self, end: End) {
        match end {
            End::LiveOnly => {}
            End::Stored { end_us } => self.last_end_us = Some(end_us),
            End::Poisoned { durable_end_us } => {
                self.last_end_us = durable_end_us.or(self.last_end_us);
                self.lost(GapCause::DiskError);
            }
        }
    }

    /// Whether anybody watches the stream.
    pub(super) fn is_watched(&self) -> bool {
        self.materials.hub.is_watched()
    }

    fn must_change(&self, fragment: &Fragment) -> bool {
        let Some(segment) = &self.segment else {
            return false;
        };
        let due = !segment.is_stored() || segment.is_due(self.target_us);
        segment.must_end() || (fragment.starts_with_key() && due)
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
        self.lost(cause_of(refused));
        if fragment.starts_with_key() {
            self.begin(fragment, &preamble());
        } else {
            self.begin_live_only(fragment, &preamble());
        }
        if let Some(segment) = &mut self.segment
            && let Err(error) = segment.seal(fragment, &mut self.materials.random)
        {
            tracing::error!(%error, "a fragment could not be sealed");
        }
    }

    /// Begins a segment with the first of its fragments, on a disk if one takes it.
    fn begin(&mut self, fragment: &Fragment, preamble: &Preamble) {
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
        let file = match self
            .materials
            .store
            .begin(new, Bytes::copy_from_slice(writer.head()))
        {
            Ok(file) => {
                self.sequence += 1;
                self.gap = None;
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
        let start = Start {
            wall_us,
            monotonic_us: clock.monotonic_us(),
            boot: clock.boot_id(),
            clock_trusted: clock.trusted(),
            gap: self.gap.map(|(cause, since)| Gap {
                cause,
                length_us: gap_length_us(since, wall_us),
            }),
            sequence: self.sequence,
        };
        let sealing = Arc::clone(&self.materials.sealing);
        let random = &mut self.materials.random;
        let (epoch, secret) = self
            .epochs
            .next_segment(&sealing, start.monotonic_us, random);
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
