//! What the web asks of the recorder: a trait, so that serving can be tested without recording.
//!
//! Everything that crosses here is sealed already or metadata; no implementation can hand out a picture. The types are
//! those of the API's JSON.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hearthkeep_format::log;
use hearthkeep_format::{HoldId, LogId, SegmentId, StreamId};
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::broadcast;
use utoipa::ToSchema;

use crate::store::forecast;
use crate::store::log::{LogFiles, Published};
use crate::store::{self, NewHold};

pub use super::timeline::{DamagedSpan, Timeline, TimelineGap, TimelineSegment};

/// The recorder as the web sees it. `None` means that there is no such stream or segment.
pub trait Footage: Send + Sync + 'static {
    /// All streams, those of removed cameras with footage included. Must not block for long.
    fn streams(&self) -> Vec<StreamStatus>;

    /// What there is of a stream between two wall times, in µs. May block on the catalog, not on recording.
    fn timeline(
        &self,
        stream: StreamId,
        from_us: i64,
        to_us: i64,
    ) -> Result<Option<Timeline>, FootageError>;

    /// Opens a segment's file for reading, also one that is still being written. May block.
    fn segment(
        &self,
        stream: StreamId,
        segment: SegmentId,
    ) -> Result<Option<OpenSegment>, FootageError>;

    /// Where the chunks of a segment are. May block.
    fn index(
        &self,
        stream: StreamId,
        segment: SegmentId,
    ) -> Result<Option<SegmentIndex>, FootageError>;

    /// Follows a stream live. May block: what is durable already is read back from the disk.
    fn subscribe(&self, stream: StreamId) -> Option<LiveFeed>;

    /// The store's logs with their newest checkpoints, the oldest first.
    fn logs(&self) -> Vec<Published>;

    /// Opens a log that has at least so many entries, the newest where none is named. May block.
    fn open_log(&self, log: Option<LogId>, size: u64) -> Option<LogFiles>;

    /// The holds that stand.
    ///
    /// # Errors
    /// While they are not known.
    fn holds(&self) -> store::Result<Vec<Hold>>;

    /// Holds footage, from now on. Waits until that is written.
    ///
    /// # Errors
    /// Why it is not held.
    fn hold(&self, new: NewHold) -> store::Result<Hold>;

    /// Ends a hold. Waits until that is written, for a while: false where it could not be, and a restart would bring it back.
    ///
    /// # Errors
    /// Why it stands.
    fn end_hold(&self, hold: &HoldId, who: &str) -> store::Result<bool>;

    /// How the recorder is. Must not block for long.
    fn status(&self) -> RecorderStatus;

    /// What monitors ask. May block like [`status`](Self::status).
    fn measures(&self) -> Measures;

    /// Somebody has just claimed the box: there is now somebody to seal to.
    fn claimed(&self);
}

/// Why footage could not be served; its text goes to the log only.
pub type FootageError = Box<dyn std::error::Error + Send + Sync>;

/// Bytes that can be read at any offset, from several threads.
pub trait ReadAt: Send + Sync {
    /// Reads up to `buffer.len()` bytes from `offset`; 0 only at the end.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for std::fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }
}

/// A segment to be read. Holding it keeps its bytes readable, also when retention removes the segment meanwhile.
pub struct OpenSegment {
    /// Its sealed bytes.
    pub bytes: Arc<dyn ReadAt>,
    /// How many there are now.
    pub length: u64,
    /// Still being written: what is read may be followed by more.
    pub open: bool,
}

/// A stream followed live. Messages are those of `docs/format.md`, section 6.
pub struct LiveFeed {
    /// The head and the chunks since the last key frame.
    pub backlog: Vec<Bytes>,
    /// What follows, bounded: who reads too slowly is told so and must join again.
    pub messages: broadcast::Receiver<Bytes>,
}

/// What a camera's stream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    /// Chunks are being sealed and written.
    Recording,
    /// The camera is being connected to.
    Connecting,
    /// The camera answers; no key frame has come yet.
    Waiting,
    /// It cannot be recorded now: `error` says why and what helps. It is tried again by itself.
    Failed,
    /// It is not in the configuration any more, or the box is ending.
    Stopped,
}

/// Something that is wrong, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Trouble {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

/// A stream and how it is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StreamStatus {
    /// 32 hex digits.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub id: StreamId,
    /// The camera's name.
    pub camera: String,
    /// `main` or `sub`.
    pub feed: String,
    /// What it is doing.
    pub state: StreamState,
    /// As RFC 6381 writes it, such as `avc1.640028`.
    pub codec: Option<String>,
    /// In pixels.
    pub width: Option<u32>,
    /// In pixels.
    pub height: Option<u32>,
    /// Whether it has sound.
    pub audio: bool,
    /// Since when `state` is so, µs since 1970.
    pub since_us: Option<i64>,
    /// On all disks, of what is being recorded as far as it is safe from a power cut.
    pub bytes_stored: u64,
    /// The oldest footage, µs since 1970.
    pub first_us: Option<i64>,
    /// The newest footage, µs since 1970.
    pub last_us: Option<i64>,
    /// The gap that is open, if nothing is kept now.
    pub gap: Option<OpenGap>,
    /// What is wrong, if anything is.
    pub error: Option<Trouble>,
}

/// That nothing of a stream is kept now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OpenGap {
    /// To where there is footage, µs since 1970; nothing of a stream that was never recorded.
    pub since_us: Option<i64>,
    /// As `docs/format.md`, 5.6, names it.
    pub cause: String,
    /// The cause for people.
    pub sentence: String,
}

/// Where the chunks of a segment are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct SegmentIndex {
    /// Header, envelope and chunk 0.
    pub head_bytes: u64,
    /// The chunks with footage.
    pub chunks: Vec<ChunkPlace>,
    /// It is still being written.
    pub open: bool,
}

/// Where a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct ChunkPlace {
    /// Its number.
    pub k: u32,
    /// In the file.
    pub offset: u64,
    /// The whole chunk.
    pub bytes: u32,
    /// From the segment's first sample, µs.
    pub start_us: u64,
    /// µs.
    pub duration_us: u32,
    /// It starts with a key frame.
    pub key: bool,
}

/// How the recorder is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct RecorderStatus {
    /// The disks.
    pub disks: Vec<DiskStatus>,
    /// How long `fdatasync` took for 99 of 100 on the slowest disk, in ms; `None` before there were enough.
    pub fsync_p99_ms: Option<f64>,
    /// Whether the box trusts its clock.
    pub clock_trusted: bool,
    /// Files on the disks that are no whole footage of this box, as far as they have been looked at since its start.
    pub strange_files: u64,
    /// What is wrong with the signed log, and what it says was removed from the disks; a sentence each.
    pub log_troubles: Vec<String>,
    /// What is wrong with the catalog in the state folder, and what to do.
    pub catalog_trouble: Option<String>,
    /// For how long footage is kept, by camera.
    pub forecast: Vec<CameraForecast>,
}

/// Footage that is not deleted, whatever its age and however full the disks are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    /// 32 hex digits.
    pub id: String,
    /// 32 hex digits each; none means all cameras.
    pub streams: Vec<String>,
    /// From when on, µs since 1970.
    pub from_us: i64,
    /// Until when, µs since 1970; all that will be recorded too where it is missing.
    pub to_us: Option<i64>,
    /// When the hold itself ends, µs since 1970; when somebody ends it, where that is missing.
    pub until_us: Option<i64>,
    /// Why.
    pub reason: String,
    /// Who wanted it.
    pub who: String,
    /// Whether it is in the log: one that is not is forgotten when the recorder ends before it could be written.
    pub written: bool,
}

impl Hold {
    /// A hold of the log. `written` is whether it is in a checkpoint.
    pub fn of(hold: &log::Hold, written: bool) -> Self {
        let known = |us: i64| (us != log::OPEN_END_US).then_some(us);
        Self {
            id: hold.id.to_string(),
            streams: hold.streams.iter().map(StreamId::to_string).collect(),
            from_us: hold.from_us,
            to_us: known(hold.to_us),
            until_us: known(hold.until_us),
            reason: hold.reason.clone(),
            who: hold.who.clone(),
            written,
        }
    }
}

/// For how long a camera's footage is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CameraForecast {
    /// The camera's name.
    pub camera: String,
    /// What it records in a day, on average of the last week; `None` before that is known.
    pub bytes_per_day: Option<u64>,
    /// Days that its footage is to be kept for.
    pub keep_days: Option<u32>,
    /// Days that it will be kept for at this rate; `None` where that is not known, or there is no end.
    pub days: Option<f64>,
    /// What will go wrong, and what to do, if anything.
    pub trouble: Option<String>,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiskStatus {
    /// Where it is mounted.
    pub path: String,
    /// 32 hex digits, where it is known which disk it is.
    pub id: Option<String>,
    /// "in use", "absent", "draining" or "drained".
    pub state: String,
    /// "hot", or "cold" for old footage.
    pub tier: String,
    /// Size of the file system, where it answers.
    pub size_bytes: Option<u64>,
    /// What the file system has left, where it answers.
    pub free_bytes: Option<u64>,
    /// What footage takes.
    pub used_bytes: u64,
    /// Where its footage begins, µs since 1970.
    pub oldest_us: Option<i64>,
    /// How far it is emptied, where it is to be.
    pub drain: Option<DrainStatus>,
    /// What footage may take in all; `None` before that is known.
    pub room_bytes: Option<u64>,
    /// What of the footage is held; `None` before that is known.
    pub held_bytes: Option<u64>,
    /// Days until it is full and its oldest footage begins to go, at the rate of the last week; 0 where it does already. `None` where
    /// that is not known.
    pub full_in_days: Option<f64>,
    /// What will go wrong with it, and what to do, if anything.
    pub trouble: Option<String>,
    /// What is wrong with it, if anything is.
    pub error: Option<String>,
    /// What kind of trouble `error` is: "absent", "failing", "full" (other files take its room), "limited" (it takes no more although its
    /// file system has room, as without inodes or beyond a quota), "drain" (it cannot be emptied), "misplaced" (it is at another one's path)
    /// or "left-out" (it belongs to the store, and the configuration does not have it).
    #[serde(default)]
    pub fault: Option<String>,
    /// That it is slow to make footage safe, and what to do; `None` before enough was measured.
    #[serde(default)]
    pub slow: Option<String>,
    /// How far its footage was read again in the background; `None` where it is not, and before that begins.
    #[serde(default)]
    pub scrub: Option<ScrubStatus>,
}

/// How far a disk's footage was read again in the background, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScrubStatus {
    /// "reading", "waiting" (recording needs the disk), "resting" (all was read, and the next round is not due) or "failed".
    pub state: String,
    /// How much of the footage was read in this round, percent.
    pub percent: u64,
    /// When this round began, µs since 1970.
    pub begun_us: i64,
    /// When the last whole round ended, µs since 1970.
    pub finished_us: Option<i64>,
    /// How many files are damaged or missing.
    pub damaged: u64,
    /// The first of them.
    pub findings: Vec<ScrubFinding>,
    /// What is wrong, and what to do, if anything is.
    pub trouble: Option<String>,
}

/// A file that is damaged or missing: a segment, a copy of the keyring, the id file, or the folder of a signed log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScrubFinding {
    /// Where it is, below the disk's folder.
    pub path: String,
    /// Of a segment whose footage it is, 32 hex digits.
    pub stream: Option<String>,
    /// What is wrong with it.
    pub what: String,
    /// The footage that is lost, or where nothing is known to be lost all of the segment's: from when, µs since 1970.
    pub from_us: Option<i64>,
    /// Until when.
    pub to_us: Option<i64>,
}

impl ScrubStatus {
    /// What the store says of a disk with so much footage.
    fn of(scrub: &store::ScrubStatus, footage_bytes: u64) -> Self {
        let finding = |finding: &store::ScrubFinding| ScrubFinding {
            path: finding.path.clone(),
            stream: finding.stream.map(|stream| stream.to_string()),
            what: finding.what.clone(),
            from_us: finding.span_us.map(|(from_us, _)| from_us),
            to_us: finding.span_us.map(|(_, to_us)| to_us),
        };
        let percent = match scrub.phase {
            store::ScrubPhase::Resting => 100,
            _ => (scrub.read_bytes / (footage_bytes / 100).max(1)).min(99),
        };
        Self {
            state: scrub.phase.as_str().to_owned(),
            percent,
            begun_us: scrub.begun_us,
            finished_us: scrub.finished_us,
            damaged: scrub.damaged,
            findings: scrub.findings.iter().map(finding).collect(),
            trouble: Self::trouble(scrub),
        }
    }

    fn trouble(scrub: &store::ScrubStatus) -> Option<String> {
        const ADVICE: &str = "`hearthkeep check` on the box says what is lost, `hearthkeep repair --dry-run` what can be made whole";
        let first = scrub.findings.first().map_or(String::new(), |first| {
            format!(" ({}: {})", first.path, first.what)
        });
        match (scrub.damaged, scrub.phase) {
            (0, store::ScrubPhase::Failed) => Some(
                "what reads its footage again in the background has failed inside: start the recorder again, and report what its log says"
                    .to_owned(),
            ),
            (0, _) => scrub.late_days.map(|days| {
                format!(
                    "its footage has been read again for {days} days now, more than twice as long as `scrub_days` gives it: recording needs \
                     the disk, or it is too slow for so much. A faster disk helps, or a larger `scrub_days`"
                )
            }),
            (1, _) => Some(format!("one of its files is damaged or missing{first}: {ADVICE}")),
            (n, _) => Some(format!(
                "{n} of its files are damaged or missing, of them the first{first}: {ADVICE}"
            )),
        }
    }
}

/// How far a disk is emptied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrainStatus {
    /// Where the others have no room, the oldest footage may be deleted.
    pub let_go: bool,
    /// Moved since the start of the recorder.
    pub moved_bytes: u64,
    /// Still on it.
    pub left_bytes: u64,
}

impl DiskStatus {
    /// What the store says of a disk.
    pub fn of(disk: &store::DiskStatus) -> Self {
        let drain = disk.drain.as_ref().map(|drain| DrainStatus {
            let_go: drain.let_go,
            moved_bytes: drain.moved_bytes,
            left_bytes: disk.used_bytes,
        });
        Self {
            path: disk.path.display().to_string(),
            id: disk.id.map(|id| id.to_string()),
            state: disk.state.as_str().to_owned(),
            tier: disk.tier.as_str().to_owned(),
            size_bytes: disk.space.map(|space| space.total_bytes),
            free_bytes: disk.space.map(|space| space.free_bytes),
            used_bytes: disk.used_bytes,
            oldest_us: disk.oldest_us,
            drain,
            room_bytes: None,
            held_bytes: None,
            full_in_days: None,
            trouble: None,
            error: disk.error.clone(),
            fault: disk.fault.map(|fault| fault.as_str().to_owned()),
            slow: disk.slow(),
            scrub: disk
                .scrub
                .as_ref()
                .map(|scrub| ScrubStatus::of(scrub, disk.used_bytes)),
        }
    }

    /// Whether it is absent because the configuration does not have it any more.
    pub fn is_left_out(&self) -> bool {
        self.fault.as_deref() == Some(store::DiskFault::LeftOut.as_str())
    }

    /// The same with what will be of it.
    #[must_use]
    pub fn foreseen(self, will_be: Option<&forecast::DiskForecast>) -> Self {
        Self {
            room_bytes: will_be.map(|disk| disk.room.bytes),
            held_bytes: will_be.map(|disk| disk.room.held_bytes),
            full_in_days: will_be.and_then(|disk| disk.full_in_days),
            trouble: will_be.and_then(|disk| disk.trouble.clone()),
            ..self
        }
    }
}

/// What monitors ask.
#[derive(Debug, Clone, Default)]
pub struct Measures {
    /// The streams.
    pub streams: Vec<StreamMeasures>,
    /// For how long footage is kept, by camera.
    pub forecast: Vec<CameraForecast>,
    /// The disks of the configuration.
    pub disks: Vec<DiskMeasures>,
    /// As [`RecorderStatus`] has it.
    pub clock_trusted: bool,
    /// As [`RecorderStatus`] has it.
    pub strange_files: u64,
    /// Segments that were deleted since the recorder started, and their bytes, by reason.
    pub deleted: BTreeMap<&'static str, (u64, u64)>,
    /// Holds that stand.
    pub holds: u64,
    /// Whether the state folder does not take the catalog.
    pub catalog_failed: bool,
}

/// A stream, measured.
#[derive(Debug, Clone)]
pub struct StreamMeasures {
    /// How it is.
    pub status: StreamStatus,
    /// For how long nothing was kept since the recorder started, s, by cause.
    pub gap_s: BTreeMap<String, f64>,
    /// For how long nothing has been kept, s, while that lasts.
    pub gap_open_s: Option<f64>,
    /// Age of the newest durable picture, s.
    pub durable_age_s: Option<f64>,
    /// What is sealed and not yet durable, bytes.
    pub queued_bytes: u64,
    /// RTP packets that did not arrive.
    pub packets_lost: u64,
    /// For how long pictures may have been damaged by that since the recorder started, s.
    pub damaged_s: f64,
    /// Connections after the first one.
    pub reconnects: u64,
}

/// A disk, measured.
#[derive(Debug, Clone)]
pub struct DiskMeasures {
    /// Where it is mounted.
    pub path: String,
    /// Whether something is wrong with it.
    pub failed: bool,
    /// Whether it is full.
    pub full: bool,
    /// Of its file system; `None` when that does not answer.
    pub size_bytes: Option<u64>,
    /// What its file system has left.
    pub free_bytes: Option<u64>,
    /// What footage takes.
    pub used_bytes: u64,
    /// What waits to be written.
    pub queued_bytes: u64,
    /// How long fdatasync takes, 99 of 100 times, s; `None` before there were enough.
    pub fsync_p99_s: Option<f64>,
    /// What of the footage is held.
    pub held_bytes: u64,
    /// As in [`DiskStatus`].
    pub full_in_days: Option<f64>,
    /// Writes of footage that failed.
    pub write_errors: u64,
    /// Syncs of footage that failed.
    pub sync_errors: u64,
    /// Whether its copy of the signed log lacks something.
    pub log_behind: bool,
    /// What was read again in the background; `None` where nothing is.
    pub scrub: Option<ScrubMeasures>,
}

/// What was read again in the background, measured.
#[derive(Debug, Clone, Copy)]
pub struct ScrubMeasures {
    /// Since the recorder started.
    pub read_bytes: u64,
    /// Segments that are damaged or missing.
    pub damaged: u64,
    /// When the last whole round ended, s since 1970; `None` before the first.
    pub finished_s: Option<f64>,
}

pub(super) fn as_text<S: Serializer>(
    id: &impl std::fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
