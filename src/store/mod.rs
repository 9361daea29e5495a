//! Disks, the writer of segments, the catalog, recovery and retention.
//!
//! [`Store`] is the front of the room. What it writes, one thread a disk writes ([`writer`]); what is durable, a thread of its
//! own puts into the catalog ([`keeper`]), which also finishes recovery and runs retention. Both do it in [`turns`]. Segment files are the truth: the
//! [`catalog`] is rebuilt from them by [`recovery`] wherever it does not agree with them. Other processes read by [`browse`].

pub mod age;
pub mod browse;
pub mod catalog;
mod deleting;
mod error;
pub mod forecast;
pub mod held;
mod holds;
pub mod inspect;
mod keeper;
pub mod layout;
pub mod lock;
pub mod log;
mod mark;
mod mount;
mod pace;
mod pass;
pub mod recovery;
mod reserve;
pub mod retention;
pub mod survey;
mod timeline;
pub mod turns;
pub mod writer;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hearthkeep_format::log::{LogKey, Record};
use hearthkeep_format::{LogId, MetadataKey, SegmentId, StoreId, StreamId};
use tokio::sync::broadcast;

use crate::clock::Clock;
use crate::disk::Front;
use crate::limits::RESERVE_BYTES_MIN;
use crate::random::SharedRandom;
pub use catalog::CatalogError;
use catalog::{Catalog, Shelf, Usage};
pub use error::{Error, Result};
use forecast::Forecast;
pub use holds::NewHold;
use keeper::{Backlog, Keeper, Notes};
use lock::Lock;
pub use log::LogSettings;
use log::{Keeping, Log, LogDisk, LogFiles};
use mark::Mark;
pub use mount::{AbsentDisk, DiskStatus, MountedDisk};
use recovery::{Recovery, Report};
use retention::{CameraBudget, DiskState};
pub use timeline::{GapSpan, Span, Timeline};
use turns::{Driver, Hands};
use writer::{Budget, Event, Means, NewSegment, Pace, Refused, Segment, SegmentHandle};

/// Events that a listener may lag behind before it misses some.
const EVENTS_KEPT: usize = 1024;

/// Metadata keys by generation, for as long as the store is open.
pub type SharedKeys = Arc<dyn Fn(u32) -> Option<MetadataKey> + Send + Sync>;

/// What a store is opened with.
pub struct Options {
    /// The state folder: the catalog is its folder `catalog`.
    pub state_dir: PathBuf,
    /// The store.
    pub store: StoreId,
    /// Its disks, in the order of the configuration. See [`MountedDisk::open`].
    pub disks: Vec<MountedDisk>,
    /// Those of the configuration that are not there; what the catalog has of them stays in it.
    pub absent: Vec<AbsentDisk>,
    /// What cameras may keep.
    pub cameras: Vec<CameraBudget>,
    /// Metadata keys by generation.
    pub keys: SharedKeys,
    /// The time, for ages.
    pub clock: Arc<dyn Clock>,
    /// Free bytes to keep on each disk at least; 5 % of it where that is more, but never over a quarter of it.
    pub reserve_bytes_min: u64,
    /// How the writers work.
    pub pace: Pace,
    /// What the signed log is kept with; without it there is none.
    pub log: Option<LogSettings>,
    /// The memory of the writers' queues.
    pub queues: Arc<Budget>,
    /// Where the catalog's database is kept; where it is `None`, in the state folder.
    pub catalog: Option<Arc<dyn Shelf>>,
    /// For the tails of torn segments.
    pub random: SharedRandom,
}

impl Options {
    /// Options with the house's limits.
    pub fn new(
        state_dir: PathBuf,
        store: StoreId,
        disks: Vec<MountedDisk>,
        keys: SharedKeys,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            state_dir,
            store,
            disks,
            absent: Vec::new(),
            cameras: Vec::new(),
            keys,
            clock,
            reserve_bytes_min: RESERVE_BYTES_MIN,
            pace: Pace::default(),
            log: None,
            queues: Arc::default(),
            catalog: None,
            random: SharedRandom::default(),
        }
    }
}

/// A store that this process writes to. Closing it, or dropping it, makes durable what is queued.
pub struct Store {
    shared: Arc<Shared>,
    keeper: Mutex<Option<Keeper>>,
    mark: Mark,
    _lock: Lock,
}

/// What the front and the keeper's thread have in common.
struct Shared {
    store: StoreId,
    disks: Vec<MountedDisk>,
    absent: Vec<AbsentDisk>,
    catalog: Catalog,
    /// Segments that the catalog does not have yet, or will not have before the next start.
    segments: Mutex<HashMap<SegmentId, Arc<Segment>>>,
    cameras: Vec<CameraBudget>,
    /// The last forecast.
    forecast: Mutex<Forecast>,
    gate: Mutex<()>,
    /// Files that are no whole footage of this store, as far as it has been compared.
    strange: AtomicU64,
    events: broadcast::Sender<Event>,
    log: Log,
    keys: SharedKeys,
    clock: Arc<dyn Clock>,
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
        let state_dir = options.state_dir.clone();
        let log = options.log.clone();
        let (budget, pace) = (Arc::clone(&options.queues), options.pace);
        let shared = prepare(options)?;
        let (report, backlog) = recover(&shared)?;
        if let Err(error) = shared.catalog.flush() {
            // The next start finds out again; nothing is worth a night that is not recorded.
            tracing::error!("{}", Error::Catalog(error));
        }
        let shared = Arc::new(shared);
        // Where the first segments go follows from it.
        for disk in &shared.disks {
            shared.state(disk);
        }
        let (notes, inbox) = Notes::new();
        let means = Means {
            budget,
            pace,
            clock: Arc::clone(&shared.clock),
            driver: driver.clone(),
        };
        for disk in &shared.disks {
            disk.start_writer(means.clone(), notes.clone(), shared.events.clone())?;
        }
        let mark = Mark::set(&state_dir);
        shared.log.append(Record::Started {
            boot: shared.clock.boot_id(),
            monotonic_us: shared.clock.monotonic_us(),
            after_crash: mark.after_crash(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        let log = log.map(|settings| Keeping::new(Arc::clone(&shared), settings, &state_dir));
        let keeper = Keeper::start(Arc::clone(&shared), driver, notes, inbox, backlog, log)
            .map_err(|error| Error::io("start a thread for", &shared.disks[0].path, error))?;
        let keeper = Mutex::new(Some(keeper));
        Ok((
            Self {
                shared,
                keeper,
                mark,
                _lock: lock,
            },
            report,
        ))
    }

    /// Rebuilds the catalog wholly from the disks: both ends of every segment are read.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn reindex(options: Options, _lock: &Lock) -> Result<Report> {
        let folder = options.state_dir.join("catalog");
        let removed = match &options.catalog {
            Some(shelf) => shelf.remove(),
            None => Catalog::remove(&folder),
        };
        removed.map_err(|error| Error::io("remove", &folder, error))?;
        let shared = prepare(options)?;
        let mut report = Report::default();
        for disk in &shared.disks {
            let recovery = shared.recovery(disk);
            let epochs = recovery
                .epochs()
                .map_err(|e| Error::io("list", &disk.path, e))?;
            for (stream, epoch) in &epochs {
                report.add(recovery.epoch(stream, epoch)?);
            }
        }
        shared.catalog.flush()?;
        Ok(report)
    }

    /// Begins a segment on the disk that has the most room. `head` is header, envelope and chunk 0. Never waits.
    ///
    /// # Errors
    /// Why no disk takes it now; ask again at the next key frame.
    pub fn begin(&self, new: NewSegment, head: Bytes) -> Result<SegmentHandle, Refused> {
        let mut refused = Refused::NoDisk;
        let mut disks: Vec<_> = self.shared.disks.iter().collect();
        // Of the catalog only what was read last: whoever writes to it may hold it for as long as the state folder's disk takes.
        let now_us = self.shared.clock.monotonic_us();
        disks.sort_by_cached_key(|disk| {
            Reverse(disk.preference(self.shared.growing_bytes(disk), now_us))
        });
        for disk in disks {
            match disk.begin(new, &head) {
                Ok(handle) => {
                    let segment = Arc::clone(handle.segment());
                    self.shared.segments().insert(new.segment, segment);
                    self.shared.log.begun(&new);
                    return Ok(handle);
                }
                Err(error) => refused = error,
            }
        }
        Err(refused)
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

    /// Whether the recorder before this one died.
    pub fn is_after_crash(&self) -> bool {
        self.mark.after_crash()
    }

    /// What there is of a stream in a span of wall time, us; open segments as far as they are durable.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn timeline(&self, stream: &StreamId, from_us: i64, to_us: i64) -> Result<Timeline> {
        // Memory first: what is catalogued between the two looks is seen twice rather than not at all.
        let mut spans = self.in_memory(stream);
        let catalogued = self.shared.catalog.timeline(stream, from_us, to_us)?;
        spans.retain(|span| catalogued.iter().all(|entry| entry.segment != span.segment));
        let later = spans.iter().filter(|span| span.start_us >= to_us).copied();
        let later = later.min_by_key(|span| span.start_us);
        let is_within = |span: &Span| span.start_us < to_us && span.end_us() > from_us;
        spans.retain(|span| span.duration_us > 0 && is_within(span));
        spans.extend(catalogued.iter().map(Span::of_entry));
        let next = self.shared.catalog.next_from(stream, to_us)?;
        let next = next.as_ref().map(Span::of_entry).or(later);
        let mut timeline = timeline::timeline(spans, next, from_us, to_us);
        let removed = self.log().removed(stream, from_us, to_us);
        timeline::tell_removed(&mut timeline.gaps, &removed);
        Ok(timeline)
    }

    /// Opens a segment for reading, as far as it is durable.
    ///
    /// # Errors
    /// [`Error::NoSegment`]; or what the disk or catalog says.
    pub fn open_segment(&self, stream: &StreamId, segment: &SegmentId) -> Result<OpenSegment> {
        let in_memory = self.shared.segments().get(segment).cloned();
        let in_memory = in_memory.filter(|known| known.new.stream == *stream);
        let (span, disk, limit) = if let Some(known) = in_memory {
            let span = Span::of_segment(&known);
            (span, known.disk, Some(span.bytes))
        } else {
            let entry = self.shared.catalog.find(stream, segment)?;
            let entry = entry
                .filter(|entry| !entry.tombstone)
                .ok_or(Error::NoSegment)?;
            let limit = entry.torn.then_some(u64::from(entry.bytes));
            (Span::of_entry(&entry), entry.disk, limit)
        };
        let disk = self.shared.disk(disk).ok_or(Error::NoSegment)?;
        let path = layout::segment_path(stream, &span.epoch, segment);
        let opened = disk.disk.open_read(&path).and_then(|file| match limit {
            Some(bytes) => Front::of(file, bytes),
            None => Front::whole(file),
        });
        match opened {
            Ok(front) => {
                let front = front.past_bad_sectors();
                Ok(OpenSegment { front, span })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::NoSegment),
            Err(error) => Err(Error::io("read", &disk.path.join(path), error)),
        }
    }

    /// What a stream has in the catalog.
    pub fn usage(&self, stream: &StreamId) -> Usage {
        self.shared.catalog.usage(stream)
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

    /// How the disks are.
    pub fn disks(&self) -> Vec<DiskStatus> {
        let used = |disk: &MountedDisk| self.shared.catalog.disk_bytes(disk.number());
        let mounted = self.shared.disks.iter();
        let mounted = mounted.map(|disk| disk.status(used(disk)));
        mounted
            .chain(self.shared.absent.iter().map(AbsentDisk::status))
            .collect()
    }

    /// Files on the disks that are no whole footage of this store, as far as they have been looked at since the start.
    pub fn strange_files(&self) -> u64 {
        self.shared.strange.load(Ordering::Relaxed)
    }

    /// The disks themselves, for the keyring's copies.
    pub fn mounted(&self) -> &[MountedDisk] {
        &self.shared.disks
    }

    /// What has died of it, in words: footage is lost, or not found again before the next start, until another process
    /// takes over.
    pub fn casualty(&self) -> Option<String> {
        let dead = self.shared.disks.iter().find(|d| d.writer_has_ended());
        if let Some(disk) = dead {
            return Some(format!("what writes to {}", disk.path.display()));
        }
        let keeper = self.keeper();
        let has_ended = keeper.as_ref().is_some_and(Keeper::has_ended);
        has_ended.then(|| "what keeps the catalog".to_owned())
    }

    /// Writes, syncs, acknowledges and catalogues all that is queued. Handles that are still about refuse from then on.
    pub fn close(&self) {
        let is_well = self.casualty().is_none();
        let keeper = self.keeper().take();
        self.shared.disks.iter().for_each(MountedDisk::close_writer);
        // The mark stays where something died: then the gap that follows is a crash's.
        if keeper.is_some_and(Keeper::stop) && is_well {
            self.mark.remove();
        }
    }

    fn keeper(&self) -> MutexGuard<'_, Option<Keeper>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_memory(&self, stream: &StreamId) -> Vec<Span> {
        let segments = self.shared.segments();
        let of_it = segments.values().filter(|s| s.new.stream == *stream);
        let durable = of_it.filter(|s| s.durable_bytes() > 0);
        durable.map(Span::of_segment).collect()
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

    fn forecast(&self) -> MutexGuard<'_, Forecast> {
        self.forecast.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of footage on a disk, those of segments that the catalog does not have yet included.
    fn growing_bytes(&self, disk: &MountedDisk) -> u64 {
        let segments = self.segments();
        let growing = segments.values().filter(|s| s.disk == disk.number());
        growing.map(|segment| segment.durable_bytes()).sum()
    }

    /// How a disk is, for retention.
    fn state(&self, disk: &MountedDisk) -> DiskState {
        let catalogued = self.catalog.disk_bytes(disk.number());
        disk.state(catalogued, self.growing_bytes(disk), self.reserve_bytes_min)
    }

    /// The mounted disks, as far as the log needs them: not those whose writer waits for them.
    fn log_disks(&self) -> Vec<LogDisk> {
        let answering = self.disks.iter().filter(|disk| !disk.keeps_waiting());
        let disk = |disk: &MountedDisk| LogDisk {
            id: disk.id,
            path: disk.path.clone(),
            disk: Arc::clone(&disk.disk),
        };
        answering.map(disk).collect()
    }

    fn disk(&self, number: u16) -> Option<&MountedDisk> {
        self.disks.iter().find(|disk| disk.number() == number)
    }

    fn recovery<'a>(&'a self, disk: &'a MountedDisk) -> Recovery<'a> {
        Recovery {
            store: self.store,
            disk: &*disk.disk,
            number: disk.number(),
            catalog: &self.catalog,
            keys: &*self.keys,
            random: &self.random,
        }
    }
}

/// Makes catalog and disks agree on the newest epochs; says which others are to be compared later.
fn recover(shared: &Shared) -> Result<(Report, Backlog)> {
    let (mut epochs, mut unknown) = (Vec::new(), Vec::new());
    for disk in &shared.disks {
        let recovery = shared.recovery(disk);
        // A folder that cannot be read is no reason not to record.
        let of_disk = recovery.epochs().unwrap_or_else(|error| {
            tracing::error!("{}", Error::io("list", &disk.path, error));
            Vec::new()
        });
        unknown.extend(recovery.unknown(&of_disk));
        epochs.push(of_disk);
    }
    let newest = recovery::newest(&shared.catalog, unknown)?;
    let (mut report, mut backlog) = (Report::default(), Vec::new());
    for (index, (disk, of_disk)) in shared.disks.iter().zip(epochs).enumerate() {
        for (stream, epoch) in of_disk {
            if newest.contains(&(stream, epoch)) {
                report.add(shared.recovery(disk).epoch(&stream, &epoch)?);
            } else {
                backlog.push((index, stream, epoch));
            }
        }
    }
    shared.strange.fetch_add(report.strange, Ordering::Relaxed);
    Ok((report, backlog))
}

/// Opens catalog and disks, without looking at any footage.
fn prepare(options: Options) -> Result<Shared> {
    if options.disks.is_empty() {
        return Err(Error::NoDisk);
    }
    let opened = match &options.catalog {
        Some(shelf) => Catalog::open_from(&**shelf, &options.store)?,
        None => reserve::open_catalog(&options.state_dir, &options.store)?,
    };
    if let Some((why, aside)) = &opened.moved_aside {
        let aside = aside.display();
        tracing::warn!(%aside, "the catalog is rebuilt from the footage: {why}");
    }
    for disk in &options.disks {
        disk.set_number(opened.catalog.disk_number(&disk.id)?);
    }
    Ok(Shared {
        store: options.store,
        disks: options.disks,
        absent: options.absent,
        catalog: opened.catalog,
        segments: Mutex::default(),
        cameras: options.cameras,
        forecast: Mutex::default(),
        gate: Mutex::default(),
        strange: AtomicU64::new(0),
        events: broadcast::channel(EVENTS_KEPT).0,
        log: Log::new(Arc::clone(&options.clock), options.log.as_ref()),
        keys: options.keys,
        clock: options.clock,
        random: options.random,
        reserve_bytes_min: options.reserve_bytes_min,
    })
}
