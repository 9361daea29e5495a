//! Disks, the writer of segments, the catalog, recovery and retention.
//!
//! [`Store`] is the front of the room. What it writes, one thread a disk writes ([`writer`]); what is durable, a thread of its
//! own puts into the catalog ([`keeper`]), which also finishes recovery and runs retention. Both do it in [`turns`]. Segment files are the truth: the
//! [`catalog`] is rebuilt from them by [`recovery`] wherever it does not agree with them. Other processes read by [`browse`].

pub mod age;
pub mod anchors;
pub mod browse;
pub mod catalog;
pub mod check;
mod copies;
mod damaged;
mod deleting;
mod disks;
mod error;
mod failed;
pub mod forecast;
mod glimpse;
mod growth;
mod health;
pub mod held;
mod holds;
pub mod inspect;
mod keeper;
mod later;
pub mod layout;
mod leftovers;
mod limiting;
pub mod lock;
pub mod log;
mod mark;
mod misplaced;
mod mount;
mod mover;
mod moves;
mod notes;
mod numbering;
mod opening;
mod options;
mod outage;
mod pass;
mod placement;
mod reading;
mod reanchoring;
pub mod recovery;
mod reindex;
pub mod repair;
mod reserve;
pub mod retention;
mod rewrite;
mod roll_call;
mod scrub;
mod slots;
pub mod survey;
mod timeline;
pub mod turns;
mod watch;
pub mod writer;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hearthkeep_format::log::{LogKey, Record};
use hearthkeep_format::{LogId, MetadataKey, SegmentId, StoreId, StreamId};
use tokio::sync::broadcast;

use crate::clock::Clock;
use crate::disk::{Disk, Front, Patience};
use crate::limits::DISK_START_PATIENCE_MS_MAX;
use crate::random::SharedRandom;
use anchors::Anchors;
pub use catalog::CatalogError;
use catalog::{Catalog, Shelf, Usage};
pub use disks::OnDisk;
pub use error::{Error, Result};
use forecast::Forecast;
pub use glimpse::{Glimpse, LastFootage};
pub use health::DiskFault;
use held::Held;
pub use holds::NewHold;
use keeper::Keeper;
use lock::Lock;
pub use log::LogSettings;
use log::{Keeping, Log, LogDisk, LogFiles};
use mark::Mark;
pub use misplaced::Misplaced;
pub use mount::{AbsentDisk, DiskStatus, DiskUse, MountedDisk};
use notes::Notes;
use opening::{prepare, recover};
pub use options::Options;
use outage::Waiting;
pub use reading::Kept;
use recovery::Report;
pub use reindex::{Carried, Reindexed};
use retention::{CameraBudget, DiskState};
use scrub::{Board, Scrub};
pub use scrub::{ScrubFinding, ScrubPhase, ScrubSettings, ScrubStatus, scrubbed};
use slots::Slots;
pub use slots::{Drain, Spread, being_taken_in, why_left_out};
pub use timeline::{GapSpan, Span, Timeline};
use turns::{Driver, Hands};
pub use watch::Doorkeeper;
use writer::{Event, Following, Means, NewSegment, Refused, Segment, SegmentHandle};

/// Events that a listener may lag behind before it misses some.
const EVENTS_KEPT: usize = 1024;

/// Metadata keys by generation, for as long as the store is open.
pub type SharedKeys = Arc<dyn Fn(u32) -> Option<MetadataKey> + Send + Sync>;

/// A store that this process writes to. Closing it, or dropping it, makes durable what is queued.
pub struct Store {
    shared: Arc<Shared>,
    keeper: Mutex<Option<Keeper>>,
    scrub: Mutex<Option<Scrub>>,
    mark: Mark,
    _lock: Lock,
}

/// What the front and the keeper's thread have in common.
struct Shared {
    store: StoreId,
    state_dir: PathBuf,
    slots: Slots,
    doorkeeper: Option<Arc<dyn Doorkeeper>>,
    cold_after_days: Option<u32>,
    /// Whether there may be segments that nobody here has heard of: a disk was away when the store was opened, or did not let all be
    /// read.
    may_not_know_all: AtomicBool,
    catalog: Catalog,
    /// Where the catalog goes back to after it had to go on in memory; nowhere before the next start, where it was made there.
    home: Option<Arc<dyn Shelf>>,
    waiting: Arc<Waiting>,
    /// Segments that the catalog does not have yet, or will not have before the next start.
    segments: Mutex<HashMap<SegmentId, Arc<Segment>>>,
    cameras: Vec<CameraBudget>,
    records: bool,
    at_rest: bool,
    /// The last forecast.
    forecast: Mutex<Forecast>,
    /// Segments that were deleted since the start and their bytes, by reason.
    deleted: Mutex<BTreeMap<&'static str, (u64, u64)>>,
    /// What is held, and by which version of the holds.
    held: Mutex<Option<(u64, Arc<Held>)>>,
    gate: Mutex<()>,
    scrub: Board,
    /// Files that are no whole footage of this store, as far as it has been compared.
    strange: AtomicU64,
    events: broadcast::Sender<Event>,
    log: Log,
    keys: SharedKeys,
    clock: Arc<dyn Clock>,
    anchors: Anchors,
    random: SharedRandom,
    reserve_bytes_min: u64,
}

/// A segment opened for reading.
pub struct OpenSegment {
    /// Its durable bytes.
    pub front: Front,
    /// What is known of it.
    pub span: Span,
}

impl Store {
    /// Opens a store: checks the catalog against the newest epochs on the disks and closes torn segments there. Older epochs are
    /// compared afterwards, in the background.
    ///
    /// # Errors
    /// When no disk can be used or the catalog cannot even be begun anew.
    pub fn open(options: Options, lock: Lock) -> Result<(Self, Report)> {
        Self::open_with(options, lock, &Driver::Threads)
    }

    /// The same without threads: what they would do, the caller does in the turns that he gives with the hands.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_driven(options: Options, lock: Lock) -> Result<(Self, Hands, Report)> {
        let hands = Hands::default();
        let (store, report) = Self::open_with(options, lock, &Driver::Hands(hands.clone()))?;
        Ok((store, hands, report))
    }

    fn open_with(options: Options, lock: Lock, driver: &Driver) -> Result<(Self, Report)> {
        if options.disks.is_empty() {
            return Err(Error::NoDisk);
        }
        let state_dir = options.state_dir.clone();
        let retired = options.retired.clone();
        let (log, scrub) = (options.log.clone(), options.scrub);
        let (budget, pace) = (Arc::clone(&options.queues), options.pace);
        let shared = prepare(options)?;
        let patience = Patience::together(Duration::from_millis(DISK_START_PATIENCE_MS_MAX));
        for disk in &shared.slots.mounted() {
            disk.bound(driver, &patience)?;
        }
        let (report, backlog) = recover(&shared)?;
        if report.unread > 0 {
            shared.may_not_know_all.store(true, Ordering::Relaxed);
        }
        let numbered = shared.begin_numbers();
        if let Err(error) = numbered.and_then(|()| shared.catalog.flush()) {
            // The next start finds out again; nothing is worth a night that is not recorded.
            tracing::error!("{}", Error::Catalog(error));
        }
        let shared = Arc::new(shared);
        // Where the first segments go follows from it.
        let disks = shared.slots.mounted();
        for disk in &disks {
            shared.state(disk);
        }
        let (notes, inbox) = Notes::new(Arc::clone(&shared.waiting), Arc::clone(&shared.clock));
        let means = Means {
            budget,
            pace,
            clock: Arc::clone(&shared.clock),
            driver: driver.clone(),
        };
        for disk in &disks {
            disk.bound(driver, &mount::running())?;
            disk.start_writer(means.clone(), notes.clone(), shared.events.clone())?;
        }
        let mark = match shared.records {
            true => Mark::set(&state_dir),
            false => Mark::untouched(&state_dir),
        };
        if shared.records {
            shared.log.append(Record::Started {
                boot: shared.clock.boot_id(),
                monotonic_us: shared.clock.monotonic_us(),
                after_crash: mark.after_crash(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            });
        }
        let log = log.map(|settings| Keeping::new(Arc::clone(&shared), settings, &state_dir));
        let keeper = Keeper::start(Arc::clone(&shared), means, notes, inbox, backlog, log)
            .map_err(|error| Error::io("start a thread for", &state_dir, error))?;
        let keeper = Mutex::new(Some(keeper));
        if !shared.at_rest {
            let keeper = keeper.lock().unwrap_or_else(PoisonError::into_inner);
            let keeper = keeper.iter();
            keeper.for_each(|keeper| shared.give_up(&retired, keeper.notes()));
        }
        // Nothing is recorded less without it.
        let scrub = scrub.and_then(|settings| {
            let begun = Scrub::start(&shared, settings, &state_dir, driver);
            begun
                .map_err(|error| {
                    tracing::error!("no footage is read again in the background: {error}")
                })
                .ok()
        });
        Ok((
            Self {
                shared,
                keeper,
                scrub: Mutex::new(scrub),
                mark,
                _lock: lock,
            },
            report,
        ))
    }

    /// [`begin_before`](Self::begin_before) where nothing is known of what follows.
    ///
    /// # Errors
    /// The same.
    pub fn begin(&self, new: NewSegment, head: Bytes) -> Result<SegmentHandle, Refused> {
        self.begin_before(new, head, Following::default())
    }

    /// Begins a segment on the disk that the rule of placement names, or the next that takes it. `head` is header, envelope and chunk 0;
    /// `following` says what is expected at once after it. Never waits.
    ///
    /// # Errors
    /// Why no disk takes it now; ask again at the next key frame.
    pub fn begin_before(
        &self,
        new: NewSegment,
        head: Bytes,
        following: Following,
    ) -> Result<SegmentHandle, Refused> {
        let mut refused = Refused::NoDisk;
        // Of the catalog only what was read last: whoever writes to it may hold it for as long as the state folder's disk takes.
        let growing_bytes = |disk: &MountedDisk| self.shared.growing_bytes(disk);
        let now_us = self.shared.clock.monotonic_us();
        let disks = self
            .shared
            .slots
            .in_order(&new.stream, now_us, growing_bytes);
        for disk in disks {
            // Whoever finds its file finds it here too, or would take it for torn.
            let mut segments = self.shared.segments();
            match disk.begin(new, &head, following) {
                Ok(handle) => {
                    segments.insert(new.segment, Arc::clone(handle.segment()));
                    drop(segments);
                    self.shared.log.begun(&new);
                    return Ok(handle);
                }
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Whether the disk of a segment keeps waiting while another one takes footage: at the next key frame it should end, and another one
    /// begin.
    pub fn is_to_be_left(&self, segment: &Segment) -> bool {
        let now_us = self.shared.clock.monotonic_us();
        self.shared.slots.is_to_be_left(segment.disk, now_us)
    }

    /// The newest segment of a stream: what a gap is measured from after a start.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn last(&self, stream: &StreamId) -> Result<Option<Span>> {
        let catalogued = self.shared.catalog.last(stream)?;
        let spans = self.in_memory(stream);
        let spans = spans
            .into_iter()
            .chain(catalogued.as_ref().map(Span::of_entry));
        Ok(spans.max_by_key(|span| span.sequence))
    }

    /// Whether there is no footage that nobody here has heard of: no disk was away when the store was opened, and all could be read.
    pub fn knows_all(&self) -> bool {
        !self.shared.may_not_know_all.load(Ordering::Relaxed)
    }

    /// Whether the recorder before this one died.
    pub fn is_after_crash(&self) -> bool {
        self.mark.after_crash()
    }

    /// What a stream has in the catalog.
    pub fn usage(&self, stream: &StreamId) -> Usage {
        self.shared.catalog.usage(stream)
    }

    /// What was looked at in the catalog since it was opened: see [`Catalog::looks`].
    pub fn looks(&self) -> u64 {
        self.shared.catalog.looks()
    }

    /// The streams that have segments in the catalog.
    pub fn streams(&self) -> Vec<StreamId> {
        self.shared.catalog.streams()
    }

    /// What happens to segments, from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// The signed log.
    pub fn log(&self) -> &Log {
        &self.shared.log
    }

    /// A log of the store, on a disk that has all of it up to `size`, for reading; the one that is being written where none is named.
    /// `None` where there is no such log, or no disk has that much of it.
    pub fn open_log(&self, log: Option<LogId>, size: u64) -> Option<LogFiles> {
        let log = match log {
            Some(log) => log,
            None => LogKey::from_text(&self.log().published().last()?.key)
                .ok()?
                .log(),
        };
        let open = |disk: LogDisk| LogFiles::open(&*disk.disk, &self.shared.store, &log).ok();
        let mut found = self.shared.log_disks().into_iter().filter_map(open);
        found.find(|files| files.checkpoint.size >= size)
    }

    /// For how long footage will be kept, as it was last reckoned.
    pub fn forecast(&self) -> Forecast {
        self.shared.forecast().clone()
    }

    /// Segments that were deleted since the start and their bytes, by reason.
    pub fn deleted(&self) -> BTreeMap<&'static str, (u64, u64)> {
        self.shared.deleted().clone()
    }

    /// Files on the disks that are no whole footage of this store, as far as they have been looked at since the start.
    pub fn strange_files(&self) -> u64 {
        self.shared.strange.load(Ordering::Relaxed)
    }

    /// What has died of it, in words: footage is lost, or not found again before the next start, until another process
    /// takes over.
    pub fn casualty(&self) -> Option<String> {
        let disks = self.shared.slots.mounted();
        if let Some(disk) = disks.iter().find(|disk| disk.writer_has_ended()) {
            return Some(format!("what writes to {}", disk.path.display()));
        }
        let keeper = self.keeper();
        let has_ended = keeper.as_ref().is_some_and(Keeper::has_ended);
        has_ended.then(|| "what keeps the catalog".to_owned())
    }

    /// Writes, syncs, acknowledges and catalogues all that is queued. Handles that are still about refuse from then on.
    pub fn close(&self) {
        let is_well = self.casualty().is_none();
        let scrub = self.scrub().take();
        scrub.iter().for_each(Scrub::end);
        let keeper = self.keeper().take();
        let disks = self.shared.slots.mounted();
        disks.iter().for_each(|disk| disk.close_writer());
        // The mark stays where something died: then the gap that follows is a crash's.
        if keeper.is_some_and(Keeper::stop) && is_well && self.shared.records {
            self.mark.remove();
        }
        scrub.into_iter().for_each(Scrub::join);
    }

    fn keeper(&self) -> MutexGuard<'_, Option<Keeper>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn scrub(&self) -> MutexGuard<'_, Option<Scrub>> {
        self.scrub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_memory(&self, stream: &StreamId) -> Vec<Span> {
        let segments = self.shared.segments();
        let of_it = segments.values().filter(|s| s.new.stream == *stream);
        let durable = of_it.filter(|s| s.durable_bytes() > 0);
        durable
            .map(|segment| self.shared.span_of(segment))
            .collect()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn segments(&self) -> MutexGuard<'_, HashMap<SegmentId, Arc<Segment>>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn span_of(&self, segment: &Arc<Segment>) -> Span {
        Span::of_segment(segment, &self.anchors.corrected(&segment.new.start))
    }

    fn forecast(&self) -> MutexGuard<'_, Forecast> {
        self.forecast.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deleted(&self) -> MutexGuard<'_, BTreeMap<&'static str, (u64, u64)>> {
        self.deleted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of footage on a disk, those of segments that the catalog does not have yet included.
    fn growing_bytes(&self, disk: &MountedDisk) -> u64 {
        let segments = self.segments();
        let growing = segments.values().filter(|s| s.disk == disk.number());
        growing.map(|segment| segment.durable_bytes()).sum()
    }

    /// How a disk is, for retention; and for placement from then on.
    fn state(&self, disk: &MountedDisk) -> DiskState {
        let catalogued = self.catalog.disk_bytes(disk.number());
        let loose_us = self
            .catalog
            .disk_oldest_loose_us(disk.number(), &self.held());
        disk.set_oldest_us(loose_us.unwrap_or(None));
        disk.has_log_of(self.log.bytes());
        let growing = self.growing_bytes(disk);
        let now_us = self.clock.monotonic_us();
        disk.state(catalogued, growing, self.reserve_bytes_min, now_us)
    }

    fn held(&self) -> Arc<Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = self.log.holds_version();
        if held.as_ref().is_none_or(|(version, _)| *version != newest) {
            let (now, version) = self.log.held();
            *held = Some((version, Arc::new(now)));
        }
        let (_, held) = held.as_ref().expect("it was set");
        Arc::clone(held)
    }

    fn other(&self, number: u16) -> Option<Arc<dyn Disk>> {
        let disk = self.slots.disk(number)?;
        Some(disk.patient())
    }

    /// The mounted disks, as far as the log needs them: not those whose writer waits for them.
    fn log_disks(&self) -> Vec<LogDisk> {
        let mounted = self.slots.mounted().into_iter();
        let answering = mounted.filter(|disk| !disk.keeps_waiting());
        let disk = |disk: Arc<MountedDisk>| LogDisk {
            id: disk.id,
            path: disk.path.clone(),
            disk: disk.patient(),
        };
        answering.map(disk).collect()
    }
}
