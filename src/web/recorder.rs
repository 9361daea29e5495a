//! The recorder as the web sees it: what [`Footage`] asks for, out of the rooms below.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hearthkeep_format::segment::ReadAt as _;
use hearthkeep_format::{HoldId, LogId, SegmentId, StreamId};

use super::footage::{
    CameraForecast, ChunkPlace, DiskMeasures, DiskStatus, Footage, FootageError, Hold, LiveFeed,
    Measures, OpenGap, OpenSegment, ReadAt, RecorderStatus, ScrubMeasures, SegmentIndex,
    StreamMeasures, StreamState, StreamStatus, Timeline, Trouble,
};
use super::timeline::{TimelineGap, damaged_row, gap_row, open_gap_row, rotten_row, segment_row};
use crate::clock::Clock;
use crate::disk::Front;
use crate::keys::StateFolder;
use crate::limits::HOLD_WRITTEN_MS_MAX;
use crate::play;
use crate::record::{self, LiveHub, Phase, Stream, StreamSnapshot, chunk_message, head_message};
use crate::store::forecast::{self, DiskForecast, Forecast};
use crate::store::log::{LogFiles, Published};
use crate::store::{self, NewHold, SharedKeys, Span, Store};

/// What is running since the box has an owner.
pub struct Recording {
    /// The store.
    pub store: Arc<Store>,
    /// The streams that are being recorded.
    pub streams: Vec<Stream>,
    /// Metadata keys by generation.
    pub keys: SharedKeys,
}

/// What is known before recording has begun, while there is no disk to record to.
#[derive(Default)]
struct Waiting {
    disks: Vec<store::DiskStatus>,
    streams: Vec<Stream>,
}

/// Serves what a recorder has and does. Before the box has an owner there is nothing.
pub struct RecorderFootage {
    keys: Arc<Mutex<StateFolder>>,
    clock: Arc<dyn Clock>,
    recording: OnceLock<Recording>,
    waiting: Mutex<Waiting>,
    claim: (Mutex<bool>, Condvar),
}

impl RecorderFootage {
    /// A recorder that has not begun.
    pub fn new(keys: Arc<Mutex<StateFolder>>, clock: Arc<dyn Clock>) -> Self {
        Self {
            keys,
            clock,
            recording: OnceLock::new(),
            waiting: Mutex::default(),
            claim: (Mutex::new(false), Condvar::new()),
        }
    }

    /// Recording cannot begin before one of these disks is there: nothing of these streams is kept meanwhile.
    pub fn waits_for_a_disk(&self, disks: Vec<store::DiskStatus>, streams: &[Stream]) {
        let streams = streams.to_vec();
        *self.waiting() = Waiting { disks, streams };
    }

    /// How much there is of a stream; `None` before recording has begun.
    pub fn kept(&self, stream: &StreamId) -> Option<store::Kept> {
        Some(self.recording.get()?.store.kept(stream))
    }

    /// Recording has begun; to be called once.
    pub fn begun(&self, recording: Recording) {
        if self.recording.set(recording).is_err() {
            tracing::error!("the recorder was begun twice");
        }
    }

    /// Blocks until somebody claims the box, or [`wake`](Self::wake) is called.
    pub fn wait_for_claim(&self) {
        let (woken, condition) = &self.claim;
        let woken = woken.lock().unwrap_or_else(PoisonError::into_inner);
        drop(condition.wait_while(woken, |woken| !*woken));
    }

    /// Ends [`wait_for_claim`](Self::wait_for_claim).
    pub fn wake(&self) {
        let (woken, condition) = &self.claim;
        *woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        condition.notify_all();
    }

    /// Whether recording has begun.
    pub fn has_begun(&self) -> bool {
        self.recording.get().is_some()
    }

    /// Whether recording needs nobody to begin, neither an owner nor a disk: where it has not, it is about to.
    pub fn is_not_held_up(&self) -> bool {
        self.waiting().disks.is_empty() && self.keys().is_claimed()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream that is recorded, or is to be once there is a disk.
    fn stream(&self, id: StreamId) -> Option<Stream> {
        if self.recording.get().is_some() {
            return self.live_stream(id).map(|(_, stream)| stream.clone());
        }
        let waiting = self.waiting();
        let stream = waiting.streams.iter().find(|stream| stream.id == id);
        stream.cloned()
    }

    fn keys(&self) -> MutexGuard<'_, StateFolder> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disks(&self) -> Vec<store::DiskStatus> {
        match self.recording.get() {
            Some(recording) => recording.store.disks(),
            None => self.waiting().disks.clone(),
        }
    }

    fn store(&self) -> store::Result<&Store> {
        let recording = self.recording.get();
        let recording = recording.ok_or(store::Error::Log(
            "nothing can be held before the recorder records: try again when it does",
        ))?;
        Ok(&recording.store)
    }

    fn forecast(&self) -> Forecast {
        let recording = self.recording.get();
        recording.map_or_else(Forecast::default, |recording| recording.store.forecast())
    }

    fn lacks_log(&self, disk: &store::DiskStatus) -> bool {
        let (Some(recording), Some(id)) = (self.recording.get(), &disk.id) else {
            return false;
        };
        !recording.store.log().is_whole_on(id)
    }

    fn live_stream(&self, id: StreamId) -> Option<(&Recording, &Stream)> {
        let recording = self.recording.get()?;
        let stream = recording.streams.iter().find(|stream| stream.id == id)?;
        Some((recording, stream))
    }

    fn open(
        &self,
        stream: StreamId,
        segment: SegmentId,
    ) -> Result<Option<store::OpenSegment>, FootageError> {
        let Some(recording) = self.recording.get() else {
            return Ok(None);
        };
        match recording.store.open_segment(&stream, &segment) {
            Ok(open) => Ok(Some(open)),
            Err(store::Error::NoSegment) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Footage for RecorderFootage {
    fn streams(&self) -> Vec<StreamStatus> {
        let known = self.keys().streams().unwrap_or_default();
        let status = |known: &crate::keys::KnownStream| {
            let live = self.stream(known.id);
            let mut status = describe(live.as_ref());
            if self.recording.get().is_none() && !self.waiting().disks.is_empty() {
                status.state = StreamState::Failed;
                status.error = Some(no_disk());
                let snapshot = live.as_ref().map(Stream::snapshot);
                status.last_us = snapshot.and_then(|snapshot| snapshot.durable_end_us);
            }
            status.id = known.id;
            status.camera.clone_from(&known.name.camera);
            status.feed.clone_from(&known.name.feed);
            if let Some(kept) = self.kept(&known.id) {
                status.bytes_stored = kept.bytes;
                status.first_us = kept.oldest_us;
                status.last_us = kept.newest_us;
            }
            status
        };
        known.iter().map(status).collect()
    }

    fn timeline(
        &self,
        stream: StreamId,
        from_us: i64,
        to_us: i64,
    ) -> Result<Option<Timeline>, FootageError> {
        let known = self.keys().streams().unwrap_or_default();
        if !known.iter().any(|known| known.id == stream) {
            return Ok(None);
        }
        let Some(recording) = self.recording.get() else {
            let open = self.stream(stream).and_then(|stream| stream.snapshot().gap);
            let open = open.and_then(|gap| open_gap_row(&gap, self.clock.wall_us()));
            let open = open.filter(|gap| gap.start_us < to_us && gap.end_us > from_us);
            return Ok(Some(Timeline {
                gaps: open.into_iter().collect(),
                ..Timeline::default()
            }));
        };
        let live = || self.live_stream(stream).map(|(_, live)| live.snapshot());
        let before = live();
        let timeline = recording.store.timeline(&stream, from_us, to_us)?;
        let now_us = self.clock.wall_us();
        let open = live().and_then(|live| live.gap);
        let row = |gap: &record::OpenGap| open_gap_row(gap, now_us);
        // One that ended meanwhile may have done so after the store was asked, which knows nothing of it then.
        let is_known = |open: &TimelineGap| {
            let begins = |span: &Span| span.duration_us > 0 && span.start_us >= open.start_us;
            let mut told = timeline.gaps.iter();
            told.any(|told| told.end_us > open.start_us) || timeline.segments.iter().any(begins)
        };
        let ended = before.as_ref().and_then(|live| row(live.gap.as_ref()?));
        let open = open.as_ref().and_then(row);
        let open = open.or_else(|| ended.filter(|gap| !is_known(gap)));
        let open = open.filter(|gap| gap.start_us < to_us && gap.end_us > from_us);
        let is_told = |start_us| timeline.damaged.iter().any(|told| told.0 == start_us);
        let untold = before.map_or_else(Vec::new, |live| live.damage).into_iter();
        let untold = untold.filter(|(start_us, _)| !is_told(*start_us));
        let untold = untold.map(|(start_us, end_us)| damaged_row(start_us, end_us, now_us));
        let untold = untold.filter(|span| span.start_us < to_us && span.end_us > from_us);
        let told = timeline.damaged.iter();
        let told = told.map(|&(start_us, end_us)| damaged_row(start_us, Some(end_us), now_us));
        let rotten = timeline.rotten.iter().map(rotten_row);
        let mut damaged: Vec<_> = told.chain(untold).chain(rotten).collect();
        damaged.sort_by_key(|span| span.start_us);
        let away = recording.store.disks_away();
        let gaps = timeline.gaps.iter().map(|gap| gap_row(gap, &away));
        Ok(Some(Timeline {
            segments: timeline.segments.iter().map(segment_row).collect(),
            gaps: gaps.chain(open).collect(),
            damaged,
            // Of one that has just begun nothing can be read yet.
            next: timeline
                .next
                .filter(|next| next.duration_us > 0)
                .as_ref()
                .map(segment_row),
        }))
    }

    fn segment(
        &self,
        stream: StreamId,
        segment: SegmentId,
    ) -> Result<Option<OpenSegment>, FootageError> {
        let open = self.open(stream, segment)?;
        Ok(open.map(|store::OpenSegment { front, span }| OpenSegment {
            length: front.size(),
            bytes: Arc::new(Bytewise(front)),
            open: span.open,
        }))
    }

    fn index(
        &self,
        stream: StreamId,
        segment: SegmentId,
    ) -> Result<Option<SegmentIndex>, FootageError> {
        let (Some(recording), Some(open)) = (self.recording.get(), self.open(stream, segment)?)
        else {
            return Ok(None);
        };
        let index = play::index(&open.front, &*recording.keys)?;
        let place = |chunk: &play::ChunkPlace| ChunkPlace {
            k: chunk.k,
            offset: chunk.offset,
            bytes: chunk.bytes,
            start_us: chunk.start_us,
            duration_us: chunk.duration_us,
            key: chunk.key,
        };
        Ok(Some(SegmentIndex {
            head_bytes: index.head_bytes,
            chunks: index.chunks.iter().map(place).collect(),
            open: open.span.open,
        }))
    }

    fn subscribe(&self, stream: StreamId) -> Option<LiveFeed> {
        let (recording, live) = self.live_stream(stream)?;
        Some(join(&recording.store, stream, live.hub()))
    }

    fn logs(&self) -> Vec<Published> {
        let recording = self.recording.get();
        recording.map_or_else(Vec::new, |recording| recording.store.log().published())
    }

    fn open_log(&self, log: Option<LogId>, size: u64) -> Option<LogFiles> {
        self.recording.get()?.store.open_log(log, size)
    }

    fn holds(&self) -> store::Result<Vec<Hold>> {
        let holds = self.store()?.holds()?;
        Ok(holds.iter().map(|hold| Hold::of(hold, true)).collect())
    }

    fn hold(&self, new: NewHold) -> store::Result<Hold> {
        let store = self.store()?;
        let (hold, ticket) = store.hold(new)?;
        let longest = Duration::from_millis(HOLD_WRITTEN_MS_MAX);
        Ok(Hold::of(&hold, store.log().wait_for(ticket, longest)))
    }

    fn end_hold(&self, hold: &HoldId, who: &str) -> store::Result<bool> {
        let store = self.store()?;
        let ticket = store.unhold(hold, "it is not needed any more", who)?;
        let longest = Duration::from_millis(HOLD_WRITTEN_MS_MAX);
        Ok(store.log().wait_for(ticket, longest))
    }

    fn status(&self) -> RecorderStatus {
        let disks = self.disks();
        let slowest = disks.iter().filter_map(|disk| disk.fsync_p99).max();
        let forecast = self.forecast();
        let row = |disk: &store::DiskStatus| DiskStatus::of(disk).foreseen(forecast.of_disk(disk));
        RecorderStatus {
            forecast: forecast.cameras.iter().map(forecast_row).collect(),
            disks: disks.iter().map(row).collect(),
            fsync_p99_ms: slowest.map(|duration| duration.as_secs_f64() * 1e3),
            clock_trusted: self.clock.trusted(),
            strange_files: self
                .recording
                .get()
                .map_or(0, |recording| recording.store.strange_files()),
            log_troubles: self
                .recording
                .get()
                .map_or_else(Vec::new, |recording| recording.store.log().troubles()),
            catalog_trouble: self
                .recording
                .get()
                .and_then(|recording| recording.store.catalog_trouble()),
        }
    }

    fn measures(&self) -> Measures {
        let measured = |status: StreamStatus| {
            let snapshot = self.stream(status.id).map(|stream| stream.snapshot());
            measures_of(status, snapshot.as_ref(), self.clock.wall_us())
        };
        let status = self.status();
        let store = self.recording.get().map(|recording| &recording.store);
        let disks = self.disks();
        // A disk that was left out may have been where another one is now, which comes before it: a series has a path once.
        let is_first = |(nth, disk): &(usize, &store::DiskStatus)| {
            disks[..*nth].iter().all(|other| other.path != disk.path)
        };
        let told = disks.iter().enumerate().filter(is_first);
        Measures {
            streams: self.streams().into_iter().map(measured).collect(),
            disks: told
                .map(|(_, disk)| DiskMeasures {
                    log_behind: self.lacks_log(disk),
                    ..disk_measures(disk, self.forecast().of_disk(disk))
                })
                .collect(),
            forecast: status.forecast,
            clock_trusted: status.clock_trusted,
            strange_files: status.strange_files,
            deleted: store.map_or_else(BTreeMap::new, |store| store.deleted()),
            holds: store.map_or(0, |store| store.log().holds().len() as u64),
            catalog_failed: status.catalog_trouble.is_some(),
        }
    }

    fn claimed(&self) {
        self.wake();
    }
}

fn forecast_row(camera: &forecast::CameraForecast) -> CameraForecast {
    CameraForecast {
        camera: camera.load.camera.clone(),
        bytes_per_day: camera.load.bytes_per_day,
        keep_days: camera.load.keep_days,
        days: camera.days,
        trouble: camera.trouble.clone(),
    }
}

/// Joins a stream and reads from its file what is no longer in memory.
fn join(store: &Store, stream: StreamId, hub: &LiveHub) -> LiveFeed {
    let joined = hub.join();
    let mut backlog = Vec::new();
    if let Some((segment, head)) = joined.head {
        backlog.push(head_message(&segment, &head));
        let file = store.open_segment(&stream, &segment).ok();
        for chunk in joined.recent {
            let bytes = chunk.bytes.or_else(|| {
                let mut bytes = vec![0; chunk.length];
                file.as_ref()?
                    .front
                    .read_at(chunk.offset, &mut bytes)
                    .ok()?;
                Some(Bytes::from(bytes))
            });
            // Behind a hole nothing could be shown until the next key frame comes by itself.
            let Some(bytes) = bytes else { break };
            backlog.push(chunk_message(&segment, &bytes));
        }
    }
    LiveFeed {
        backlog,
        messages: joined.messages,
    }
}

/// A file read with as many bytes as there are, as HTTP ranges want it.
struct Bytewise(Front);

impl ReadAt for Bytewise {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.0.size().saturating_sub(offset);
        let length = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        self.0.read_at(offset, &mut buffer[..length])?;
        Ok(length)
    }
}

fn no_disk() -> Trouble {
    Trouble {
        message: "Nothing is recorded: there is no disk to record on.".to_owned(),
        advice: "The view \"Box\" says what is wrong with each; recording begins as soon as one is there.".to_owned(),
    }
}

fn describe(live: Option<&Stream>) -> StreamStatus {
    let snapshot = live.map(Stream::snapshot);
    let state = match snapshot.as_ref().map(|snapshot| snapshot.phase) {
        Some(Phase::Recording) => StreamState::Recording,
        Some(Phase::Connecting) => StreamState::Connecting,
        Some(Phase::Waiting) => StreamState::Waiting,
        Some(Phase::Failed) => StreamState::Failed,
        Some(Phase::Stopped) | None => StreamState::Stopped,
    };
    let dimensions = snapshot.as_ref().and_then(|snapshot| snapshot.dimensions);
    let trouble = snapshot
        .as_ref()
        .and_then(|snapshot| snapshot.trouble.as_ref());
    StreamStatus {
        id: StreamId::from_bytes([0; 16]),
        camera: String::new(),
        feed: String::new(),
        state,
        codec: snapshot
            .as_ref()
            .map(|s| s.codecs.join(", "))
            .filter(|codecs| !codecs.is_empty()),
        width: dimensions.map(|(width, _)| width.into()),
        height: dimensions.map(|(_, height)| height.into()),
        audio: snapshot.as_ref().is_some_and(|snapshot| snapshot.audio),
        since_us: snapshot.as_ref().map(|snapshot| snapshot.since_us),
        bytes_stored: 0,
        first_us: None,
        last_us: None,
        gap: snapshot
            .as_ref()
            .and_then(|snapshot| snapshot.gap.as_ref())
            .map(|gap| OpenGap {
                since_us: gap.since_us,
                cause: gap.cause.as_str().to_owned(),
                sentence: gap.sentence().to_owned(),
            }),
        error: trouble.map(|trouble| Trouble {
            message: trouble.message.clone(),
            advice: trouble.advice.clone(),
        }),
    }
}

fn measures_of(
    status: StreamStatus,
    snapshot: Option<&StreamSnapshot>,
    now_us: i64,
) -> StreamMeasures {
    let seconds = |us: i64| us.max(0) as f64 / 1e6;
    let gaps = snapshot.map(|snapshot| snapshot.gap_lengths_us.clone());
    let gaps = gaps.unwrap_or_default().into_iter();
    let gap = snapshot.and_then(|snapshot| snapshot.gap);
    let end_us = snapshot.and_then(|snapshot| snapshot.durable_end_us);
    StreamMeasures {
        gap_s: gaps
            .map(|(cause, us)| (cause.as_str().to_owned(), us as f64 / 1e6))
            .collect(),
        gap_open_s: gap.map(|gap| gap.length_us as f64 / 1e6),
        durable_age_s: end_us.map(|end_us| seconds(now_us.saturating_sub(end_us))),
        queued_bytes: snapshot.map_or(0, |snapshot| snapshot.queued_bytes),
        packets_lost: snapshot.map_or(0, |snapshot| snapshot.packets_lost),
        damaged_s: snapshot.map_or(0.0, |snapshot| snapshot.damaged_us as f64 / 1e6),
        reconnects: snapshot.map_or(0, |snapshot| snapshot.reconnects),
        status,
    }
}

fn disk_measures(disk: &store::DiskStatus, will_be: Option<&DiskForecast>) -> DiskMeasures {
    DiskMeasures {
        path: disk.path.display().to_string(),
        failed: disk.error.is_some(),
        full: disk.is_full,
        size_bytes: disk.space.map(|space| space.total_bytes),
        free_bytes: disk.space.map(|space| space.free_bytes),
        used_bytes: disk.used_bytes,
        queued_bytes: disk.queued_bytes,
        fsync_p99_s: disk.fsync_p99.map(|duration| duration.as_secs_f64()),
        held_bytes: will_be.map_or(0, |disk| disk.room.held_bytes),
        full_in_days: will_be.and_then(|disk| disk.full_in_days),
        scrub: disk.scrub.as_ref().map(|scrub| ScrubMeasures {
            read_bytes: scrub.read_since_start_bytes,
            damaged: scrub.damaged,
            finished_s: scrub.finished_us.map(|us| us as f64 / 1e6),
        }),
        write_errors: disk.errors.0,
        sync_errors: disk.errors.1,
        log_behind: false,
    }
}
