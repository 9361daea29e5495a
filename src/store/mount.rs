//! A disk of the store while this process uses it.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hearthkeep_format::{DiskId, Random, StoreId};
use tokio::sync::broadcast;

use super::health::{DiskFault, Health, Lying, is_full, less};
use super::layout::{self, DiskIdentity};
use super::misplaced::Misplaced;
use super::notes::Notes;
use super::retention::DiskState;
use super::scrub::ScrubStatus;
use super::slots::Drain;
use super::turns::{self, Driver};
use super::writer::{Event, Following, Means, NewSegment, Refused, Segment, SegmentHandle, Writer};
use super::{Error, Result};
use crate::config::{self, Tier};
use crate::disk::{BoundedDisk, Disk, Lane, Patience, RealDisk, Space, is_no_answer};
use crate::limits::{
    DISK_LATE_MS_MIN, DISK_PATIENCE_MS_MAX, FSYNC_SLOW_MS, LOG_PATIENCE_MS_MAX, RESERVE_PERCENT,
    SCRUB_YIELDS_MS, WRITE_EARLY_BYTES,
};

/// Room that a full disk must show before it is written to again, or this part of a small one.
const ROOM_BYTES_MIN: u64 = 64 << 20;
const ROOM_PART: u64 = 64;
/// What it must take then: as much as its segments have, within these.
const ROOM_TRIED_BYTES: RangeInclusive<u32> = (4 << 10)..=(64 << 10);

/// A disk that was found where it should be, and is known.
pub struct MountedDisk {
    /// Its folder.
    pub path: PathBuf,
    /// Its id.
    pub id: DiskId,
    /// Bytes of footage and of the signed log that it may hold.
    pub max_bytes: Option<u64>,
    /// What it is for.
    pub tier: Tier,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The same for who must not wait for it.
    errands: OnceLock<Arc<BoundedDisk>>,
    /// On a thread of its own: what hangs in a write may have been unplugged since.
    looks: OnceLock<Arc<BoundedDisk>>,
    /// On one of the lowest priority, for who is in no hurry.
    unhurried: OnceLock<Arc<BoundedDisk>>,
    number: AtomicU16,
    health: Arc<Health>,
    writer: OnceLock<Writer>,
    pub(super) misplaced: Option<Misplaced>,
}

/// A disk of the configuration that cannot be used now.
#[derive(Debug, Clone)]
pub struct AbsentDisk {
    /// What the configuration says of it.
    pub wanted: config::Disk,
    /// Its place among the disks of the configuration.
    pub index: usize,
    /// Which disk it is, where that is known.
    pub id: Option<DiskId>,
    /// Why, and what to do, in a sentence.
    pub error: String,
}

/// What is done with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskUse {
    /// It takes new footage.
    InUse,
    /// It is not there.
    Absent,
    /// It belongs to the store, and the configuration does not have it: it is not looked for.
    LeftOut,
    /// It is being emptied.
    Draining,
    /// It is there, and empty because it was to be.
    Drained,
}

impl DiskUse {
    /// Its name in the API and for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "in use",
            Self::Absent | Self::LeftOut => "absent",
            Self::Draining => "draining",
            Self::Drained => "drained",
        }
    }
}

/// How a disk is, for status and metrics.
#[derive(Debug, Clone)]
pub struct DiskStatus {
    /// Its folder.
    pub path: PathBuf,
    /// Which disk it is, where that is known.
    pub id: Option<DiskId>,
    /// What is done with it.
    pub state: DiskUse,
    /// What it is for.
    pub tier: Tier,
    /// How far it is emptied, where it is to be.
    pub drain: Option<Drain>,
    /// Segments on it that the catalog knows.
    pub segments: u64,
    /// Wall time at which its oldest footage starts, us.
    pub oldest_us: Option<i64>,
    /// Size and free space; `None` when the file system does not answer.
    pub space: Option<Space>,
    /// Bytes of catalogued segments on it.
    pub used_bytes: u64,
    /// Bytes that wait to be written.
    pub queued_bytes: u64,
    /// How long fdatasync takes, 99 of 100 times; `None` before there were enough.
    pub fsync_p99: Option<Duration>,
    /// Writes and syncs of footage that failed since it was mounted.
    pub errors: (u64, u64),
    /// Whether it is full.
    pub is_full: bool,
    /// The last failure, in a sentence, if there was one since the start.
    pub error: Option<String>,
    /// What kind that is of.
    pub fault: Option<DiskFault>,
    /// How far its footage was read again in the background.
    pub scrub: Option<ScrubStatus>,
}

impl DiskStatus {
    /// That its syncs are too slow, and what to do; `None` where they are fast enough, or were too few to say.
    pub fn slow(&self) -> Option<String> {
        let takes_ms = self.fsync_p99?.as_millis();
        (takes_ms > u128::from(FSYNC_SLOW_MS)).then(|| {
            format!(
                "it is slow, and takes {takes_ms} ms to make footage safe: a power cut can cost more than the last 2.5 s; look at its health, or use a faster one"
            )
        })
    }
}

impl MountedDisk {
    /// Opens a disk of the store at `path`, and checks that it is the one expected.
    ///
    /// # Errors
    /// A sentence that says what is there instead. Nothing was written.
    pub fn open(path: &Path, store: StoreId, id: DiskId, max_bytes: Option<u64>) -> Result<Self> {
        let disk = RealDisk::open(path).map_err(|error| Error::io("open", path, error))?;
        Self::with(Arc::new(disk), path, store, id, max_bytes)
    }

    /// The same with a disk that was opened on a lane, and is not waited for beyond that one's patience.
    ///
    /// # Errors
    /// As [`MountedDisk::open`].
    pub fn on(
        lane: &Arc<Lane>,
        disk: Arc<dyn Disk>,
        path: &Path,
        store: StoreId,
        id: DiskId,
        max_bytes: Option<u64>,
    ) -> Result<Self> {
        let bounded = Arc::new(BoundedDisk::on(Arc::clone(lane), Arc::clone(&disk)));
        let mut mounted = Self::with(
            Arc::clone(&bounded) as Arc<dyn Disk>,
            path,
            store,
            id,
            max_bytes,
        )?;
        mounted.disk = disk;
        let _ = mounted.errands.set(bounded);
        Ok(mounted)
    }

    /// The same with a disk that is open already, such as a simulated one.
    ///
    /// # Errors
    /// As [`MountedDisk::open`].
    pub fn with(
        disk: Arc<dyn Disk>,
        path: &Path,
        store: StoreId,
        id: DiskId,
        max_bytes: Option<u64>,
    ) -> Result<Self> {
        layout::expect(&*disk, path, &DiskIdentity { store, disk: id })?;
        Ok(Self {
            path: path.to_owned(),
            id,
            max_bytes,
            tier: Tier::default(),
            disk,
            errands: OnceLock::new(),
            looks: OnceLock::new(),
            unhurried: OnceLock::new(),
            number: AtomicU16::new(0),
            health: Arc::default(),
            writer: OnceLock::new(),
            misplaced: None,
        })
    }

    /// What the configuration says of its path.
    pub(super) fn wanted(&self) -> config::Disk {
        if let Some(misplaced) = &self.misplaced {
            return misplaced.wanted.clone();
        }
        config::Disk {
            path: self.path.clone(),
            max_bytes: self.max_bytes,
            tier: self.tier,
        }
    }

    /// Its number in the catalog.
    pub(super) fn number(&self) -> u16 {
        self.number.load(Ordering::Relaxed)
    }

    pub(super) fn set_number(&self, number: u16) {
        self.number.store(number, Ordering::Relaxed);
    }

    /// From now on [`patient`](Self::patient) waits for it for so long only. Where turns are given by hand, nothing hangs.
    pub(super) fn bound(&self, driver: &Driver, patience: &Patience) -> Result<()> {
        if matches!(driver, Driver::Hands(_)) {
            return Ok(());
        }
        for (lane, name) in [(&self.errands, "errands"), (&self.looks, "looks")] {
            if let Some(bounded) = lane.get() {
                bounded.lane().set_patience(patience.clone());
                continue;
            }
            let name = format!("{name}-{}", self.number());
            let bounded = BoundedDisk::new(Arc::clone(&self.disk), name, patience.clone())
                .map_err(|error| Error::io("start a thread for", &self.path, error))?;
            let _ = lane.set(Arc::new(bounded));
        }
        Ok(())
    }

    /// The disk, for a look whether it is still there, whatever hangs in it.
    pub(super) fn looked_at(&self) -> Arc<dyn Disk> {
        self.on_lane(&self.looks)
    }

    /// The disk, for all that looks after the other disks too: a call that hangs comes back with an error.
    pub fn patient(&self) -> Arc<dyn Disk> {
        self.on_lane(&self.errands)
    }

    /// The disk, for who is in no hurry: what hangs there keeps nobody else.
    pub(super) fn unhurried(&self) -> io::Result<Arc<dyn Disk>> {
        if self.errands.get().is_some() && self.unhurried.get().is_none() {
            let name = format!("unhurried-{}", self.number());
            let bounded = BoundedDisk::new(Arc::clone(&self.disk), name, running())?;
            bounded.lane().call(|| {
                turns::step_back();
                Ok(())
            })?;
            let _ = self.unhurried.set(Arc::new(bounded));
        }
        Ok(self.on_lane(&self.unhurried))
    }

    /// How many calls of that were given up.
    pub(super) fn given_up_unhurried(&self) -> u64 {
        let unhurried = self.unhurried.get();
        unhurried.map_or(0, |bounded| bounded.lane().given_up())
    }

    fn on_lane(&self, lane: &OnceLock<Arc<BoundedDisk>>) -> Arc<dyn Disk> {
        match lane.get() {
            Some(bounded) => Arc::clone(bounded) as Arc<dyn Disk>,
            None => Arc::clone(&self.disk),
        }
    }

    /// For how long a call has not come back that was given up.
    fn hangs_for(&self) -> Option<Duration> {
        self.errands.get()?.lane().hangs_for()
    }

    /// What the file system answers.
    pub(super) fn space(&self) -> Option<Space> {
        self.patient().space().ok()
    }

    pub(super) fn set_full(&self, full: bool) {
        self.health.set_full(full);
    }

    pub(super) fn is_full(&self) -> bool {
        self.health.is_full()
    }

    /// Whether its file system shows room, where it was full. One that does not answer is tried again.
    pub(super) fn shows_room(&self) -> bool {
        self.space().is_none_or(|space| {
            space.free_bytes >= ROOM_BYTES_MIN.min(space.total_bytes / ROOM_PART)
        })
    }

    /// Whether it says to a small file that it is full: what its file system shows may be no room, as where it is out of inodes.
    /// `segment_bytes` is how much a segment has.
    pub(super) fn takes_nothing(
        &self,
        segment_bytes: Option<u32>,
        random: &mut impl Random,
    ) -> bool {
        let (least, most) = ROOM_TRIED_BYTES.into_inner();
        let tried_bytes = segment_bytes.unwrap_or(most).clamp(least, most);
        // Some file systems make nothing of what is all the same.
        let mut bytes = vec![0; tried_bytes as usize];
        random.fill(&mut bytes);
        match layout::try_room(&*self.patient(), &bytes) {
            Ok(()) => {
                self.health.takes_again();
                false
            }
            Err(error) => is_full(&error),
        }
    }

    /// Limits it to a little less than lies there for a while, since it takes no more. Whether it was not before.
    pub(super) fn limit_to(&self, lying: Lying, now_us: u64) -> bool {
        self.health.limit_to(lying, now_us)
    }

    /// Whether it is limited so.
    pub(super) fn is_limited(&self, now_us: u64) -> bool {
        self.health.limit(now_us).is_some()
    }

    /// See [`Health::set_needed`].
    pub(super) fn set_needed(&self, is_needed: bool, used_bytes: u64) {
        self.health.set_needed(is_needed, used_bytes);
    }

    /// Whether it failed a short while ago.
    pub(super) fn is_avoided(&self, now_us: u64) -> bool {
        self.health.is_avoided(now_us)
    }

    /// Remembers that something failed that no writer tells of. One that does not answer in time, as while it spins up, has not failed.
    pub(super) fn failed(&self, error: &io::Error, now_us: u64) {
        match is_no_answer(error) {
            true => self.health.avoid(now_us),
            false => self.health.fail(error, now_us),
        }
    }

    /// Remembers that footage was deleted on it.
    pub(super) fn is_rid_of(&self, bytes: u64) {
        self.health.is_rid_of(bytes);
    }

    /// Remembers that something became durable that no writer tells of.
    pub(super) fn is_clean(&self, now_us: u64) {
        self.health.is_clean(now_us);
    }

    /// Remembers how much the signed log takes on it.
    pub(super) fn has_log_of(&self, bytes: u64) {
        self.health.has_log_of(bytes);
    }

    fn footage_bytes_max(&self) -> Option<u64> {
        self.max_bytes.map(|max| self.health.of_footage(max))
    }

    /// Bytes that it may still take beside its reserve and within its budget, as it was last looked at.
    pub(super) fn spare_bytes(&self, growing_bytes: u64) -> i64 {
        self.health
            .spare_bytes(growing_bytes, self.footage_bytes_max())
    }

    /// Wall time at which its oldest footage started when it was last looked at, us.
    pub(super) fn oldest_us(&self) -> i64 {
        self.health.oldest_us()
    }

    pub(super) fn set_oldest_us(&self, oldest_us: Option<i64>) {
        self.health.set_oldest_us(oldest_us.unwrap_or(i64::MAX));
    }

    pub(super) fn start_writer(
        &self,
        means: Means,
        notes: Notes,
        events: broadcast::Sender<Event>,
    ) -> Result<()> {
        let (health, clock) = (Arc::clone(&self.health), Arc::clone(&means.clock));
        let listener = move |event: Event| {
            match &event {
                Event::Poisoned(_, error) => health.fail(error, clock.monotonic_us()),
                Event::Durable(_) | Event::Closed(_) => health.is_clean(clock.monotonic_us()),
                Event::Abandoned(_) => {}
            }
            notes.tell(event.clone());
            // Nobody may listen: that is no failure.
            let _ = events.send(event);
        };
        let writer = Writer::start(Arc::clone(&self.disk), self.number(), means, listener)
            .map_err(|error| Error::io("start the writer of", &self.path, error))?;
        let health = Arc::clone(&self.health);
        writer.takes_if(move |now_us| !health.is_full() && !health.is_avoided(now_us));
        if self.writer.set(writer).is_err() {
            tracing::error!(path = %self.path.display(), "a disk has two writers");
        }
        Ok(())
    }

    pub(super) fn begin(
        &self,
        new: NewSegment,
        head: &Bytes,
        following: Following,
    ) -> Result<SegmentHandle, Refused> {
        if self.is_full() {
            return Err(Refused::DiskFull);
        }
        let writer = self.writer.get().ok_or(Refused::NoDisk)?;
        writer.begin(new, head.clone(), following)
    }

    pub(super) fn writer_has_ended(&self) -> bool {
        self.writer.get().is_some_and(Writer::has_ended)
    }

    /// Whether its writer has waited for it for so long that others should not begin to, or somebody has given up waiting.
    pub(super) fn keeps_waiting(&self) -> bool {
        self.waited_us() > LOG_PATIENCE_MS_MAX * 1_000
    }

    /// Whether it has been waited for, so that others are asked before it.
    pub(super) fn is_late(&self) -> bool {
        self.waited_us() > DISK_LATE_MS_MIN * 1_000
    }

    /// Whether it would take footage now, as far as is known.
    pub(super) fn takes_footage(&self, now_us: u64) -> bool {
        !self.is_full() && !self.is_avoided(now_us) && !self.is_late()
    }

    /// Whether somebody gave up waiting for it, and that call has not come back.
    pub(super) fn hangs(&self) -> bool {
        self.hangs_for().is_some()
    }

    /// For how long the call has lasted that it has not come back from, us.
    fn waited_us(&self) -> u64 {
        let hangs_us = self
            .hangs_for()
            .map_or(0, |hangs| u64::try_from(hangs.as_micros()).unwrap_or(0));
        let writer_us = self.writer.get().map_or(0, Writer::waited_us);
        writer_us.max(hangs_us)
    }

    /// What is wrong with it, and that in a sentence.
    fn trouble(&self, now_us: u64) -> Option<(DiskFault, String)> {
        let waited_us = self.waited_us();
        if waited_us > 2 * DISK_PATIENCE_MS_MAX * 1_000 {
            let seconds = waited_us / 1_000_000;
            let told = "look at its cable, its power and its health";
            let sentence = format!("it has not answered for {seconds} s: {told}");
            return Some((DiskFault::Failing, sentence));
        }
        let misplaced = || Some((DiskFault::Misplaced, self.misplaced.as_ref()?.why.clone()));
        self.health.trouble(now_us).or_else(misplaced)
    }

    /// Whether recording needs all of it now, so that who is in no hurry leaves it alone.
    pub(super) fn is_needed(&self) -> bool {
        self.writer.get().is_some_and(|w| {
            w.waited_us() > SCRUB_YIELDS_MS * 1_000 || w.queued_bytes() > WRITE_EARLY_BYTES
        })
    }

    /// Whether it has been slow to sync lately.
    pub(super) fn is_slow(&self) -> bool {
        let p99 = self.writer.get().and_then(|w| w.latency().p99_so_far());
        p99.is_some_and(|p99| p99 > Duration::from_millis(SCRUB_YIELDS_MS))
    }

    pub(super) fn close_writer(&self) {
        if let Some(writer) = self.writer.get() {
            writer.close();
        }
    }

    /// Ends the writer of a disk that is gone, and all that was being written to it.
    pub(super) fn abandon_writer<'a>(&self, segments: impl Iterator<Item = &'a Arc<Segment>>) {
        if let Some(writer) = self.writer.get() {
            writer.abandon();
        }
        segments.for_each(|segment| segment.poison());
    }

    /// What retention needs to know, and [`MountedDisk::spare_bytes`] from then on. Where the file system does not answer, nothing is
    /// deleted for its sake. Of a disk that is limited the rest is a reserve, and new footage has no room there; where that has another disk
    /// to go to, nothing is deleted for it.
    pub(super) fn state(
        &self,
        catalogued_bytes: u64,
        growing_bytes: u64,
        reserve_bytes_min: u64,
        now_us: u64,
    ) -> DiskState {
        let space = self.space();
        let used_bytes = catalogued_bytes + growing_bytes;
        let limit = self.health.limit(now_us);
        let reserve = |space: Space| {
            let part = space.total_bytes / 100 * RESERVE_PERCENT;
            part.max(reserve_bytes_min).min(space.total_bytes / 4)
        };
        let beyond = |space: Space| {
            let all = space.free_bytes.saturating_add(used_bytes);
            limit.map_or(0, |most| all.saturating_sub(most))
        };
        let with_limit = |space: Space| reserve(space).max(beyond(space));
        let spare = space.map_or(i64::MIN, |space| less(space.free_bytes, with_limit(space)));
        self.health.looked_at(spare, catalogued_bytes);
        let reserve_bytes = match self.health.lets_go() {
            true => space.map_or(0, with_limit),
            false => space.map_or(0, reserve),
        };
        DiskState {
            disk: self.number(),
            used_bytes,
            max_bytes: self.footage_bytes_max(),
            free_bytes: space.map_or(u64::MAX, |space| space.free_bytes),
            reserve_bytes,
        }
    }

    /// Without what the catalog and the slots know.
    pub(super) fn status(&self, now_us: u64) -> DiskStatus {
        let writer = self.writer.get();
        let trouble = self.trouble(now_us);
        let fault = trouble.as_ref().map(|(fault, _)| *fault);
        DiskStatus {
            path: self.path.clone(),
            id: Some(self.id),
            state: DiskUse::InUse,
            tier: self.tier,
            drain: None,
            segments: 0,
            oldest_us: None,
            space: self.space(),
            used_bytes: 0,
            queued_bytes: writer.map_or(0, Writer::queued_bytes),
            errors: writer.map_or((0, 0), Writer::errors),
            fsync_p99: writer.and_then(|writer| writer.latency().p99()),
            is_full: self.is_full() || self.health.limit(now_us).is_some(),
            error: trouble.map(|(_, sentence)| sentence),
            fault,
            scrub: None,
        }
    }
}

impl AbsentDisk {
    /// The same among the disks that are there.
    pub fn status(&self) -> DiskStatus {
        DiskStatus {
            path: self.wanted.path.clone(),
            id: self.id,
            state: DiskUse::Absent,
            tier: self.wanted.tier,
            drain: None,
            segments: 0,
            oldest_us: None,
            space: None,
            used_bytes: 0,
            queued_bytes: 0,
            fsync_p99: None,
            errors: (0, 0),
            is_full: false,
            error: Some(self.error.clone()),
            fault: Some(DiskFault::Absent),
            scrub: None,
        }
    }
}

/// For how long a disk is waited for while the recorder runs.
pub(super) fn running() -> Patience {
    Patience::Each(Duration::from_millis(DISK_PATIENCE_MS_MAX))
}
