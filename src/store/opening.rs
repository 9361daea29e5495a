//! How a store is opened: catalog and disks, and both compared.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use hearthkeep_format::{EpochId, StreamId};
use tokio::sync::broadcast;

use super::anchors::Anchors;
use super::catalog::{self, Catalog};
use super::keeper::Backlog;
use super::log::Log;
use super::recovery::{self, Elsewhere, Recovery, Report};
use super::scrub::Board;
use super::slots::Slots;
use super::{EVENTS_KEPT, Error, MountedDisk, Options, Result, Shared, reserve};
use crate::disk::Disk;

impl Shared {
    /// What compares a disk with the catalog.
    pub(super) fn recovery<'a>(
        &'a self,
        number: u16,
        disk: &'a dyn Disk,
        elsewhere: &'a Elsewhere<'a>,
    ) -> Recovery<'a> {
        Recovery {
            store: self.store,
            disk,
            number,
            catalog: &self.catalog,
            anchors: &self.anchors,
            keys: &*self.keys,
            elsewhere,
            growing: None,
            random: &self.random,
        }
    }

    /// Makes catalog and disk agree on one epoch. What is strange counts once [`Shared::found`] is told.
    pub(super) fn compare(
        &self,
        disk: &MountedDisk,
        stream: &StreamId,
        epoch: &EpochId,
    ) -> Result<Report> {
        let elsewhere = |number| self.other(number);
        let growing = || self.growing(stream, epoch);
        let patient = disk.patient();
        let mut recovery = self.recovery(disk.number(), &*patient, &elsewhere);
        recovery.growing = Some(&growing);
        let report = recovery.epoch(stream, epoch)?;
        // Whether the log was told before the crash that came between, nobody knows.
        self.log.deleted(&report.deleted);
        if report.undeleted > 0 {
            let segments = report.undeleted;
            tracing::info!(
                segments,
                "a deletion was interrupted: what is still there is kept until it is decided on again"
            );
        }
        Ok(report)
    }

    /// The same before a disk is used. What another disk did not answer for is compared once more in the background: then it is told
    /// what is strange. Whether that is so.
    pub(super) fn compare_first(
        &self,
        disk: &MountedDisk,
        stream: &StreamId,
        epoch: &EpochId,
    ) -> Result<(Report, bool)> {
        let mut report = self.compare(disk, stream, epoch)?;
        let is_undecided = !report.undecided.is_empty();
        if is_undecided {
            (report.strange, report.named) = (0, Vec::new());
        }
        Ok((report, is_undecided))
    }

    /// Counts what a comparison found that is not made again.
    pub(super) fn found(&self, report: &Report) {
        self.strange.fetch_add(report.strange, Ordering::Relaxed);
    }

    /// The epochs of a disk; and of those that the catalog does not know there, how new they are.
    pub(super) fn epochs_of(
        &self,
        disk: &MountedDisk,
        report: &mut Report,
    ) -> (Vec<(StreamId, EpochId)>, Vec<recovery::Unknown>) {
        let epochs = self.listed(disk, report);
        let elsewhere = |number| self.other(number);
        let patient = disk.patient();
        let recovery = self.recovery(disk.number(), &*patient, &elsewhere);
        let unknown = recovery.unknown(&epochs, report);
        (epochs, unknown)
    }

    /// The epochs of a disk.
    pub(super) fn listed(
        &self,
        disk: &MountedDisk,
        report: &mut Report,
    ) -> Vec<(StreamId, EpochId)> {
        let elsewhere = |number| self.other(number);
        let patient = disk.patient();
        let recovery = self.recovery(disk.number(), &*patient, &elsewhere);
        // A folder that cannot be read is no reason not to record.
        recovery.epochs(report).unwrap_or_else(|error| {
            let path = disk.path.display();
            tracing::error!("the footage on {path} cannot be listed: {error}");
            report.not_read(&error);
            Vec::new()
        })
    }
}

/// Makes catalog and disks agree on the newest epochs; says which others are to be compared later. A disk that does not answer is
/// away from then on, and comes back as any other.
pub(super) fn recover(shared: &Shared) -> Result<(Report, Backlog)> {
    let (mut epochs, mut unknown) = (Vec::new(), Vec::new());
    let (mut report, mut backlog) = (Report::default(), Vec::new());
    for disk in shared.slots.mounted() {
        let mut found = Report::default();
        let (of_disk, unknown_there) = shared.epochs_of(&disk, &mut found);
        if answers(shared, &disk, &found) {
            unknown.extend(unknown_there);
            epochs.push((disk, of_disk));
        }
        report.add(found);
    }
    let newest = recovery::newest(&shared.catalog, unknown)?;
    for (disk, of_disk) in epochs {
        let (mut found, mut older) = (Report::default(), Backlog::new());
        for (stream, epoch) in of_disk {
            if !newest.contains(&(stream, epoch)) {
                older.push((disk.number(), stream, epoch));
            } else if found.unanswered == 0 {
                let (seen, is_undecided) = shared.compare_first(&disk, &stream, &epoch)?;
                found.add(seen);
                older.extend(is_undecided.then_some((disk.number(), stream, epoch)));
            }
        }
        if answers(shared, &disk, &found) {
            shared.found(&found);
            backlog.extend(older);
        }
        report.add(found);
    }
    Ok((report, backlog))
}

/// Whether a disk answered when it was looked at; one that did not is away.
fn answers(shared: &Shared, disk: &MountedDisk, found: &Report) -> bool {
    if found.unanswered == 0 {
        return true;
    }
    let silent = Error::NoAnswer {
        disk: disk.path.clone(),
    };
    tracing::error!("{silent}");
    shared.slots.miss(&disk.path, &silent.to_string());
    false
}

/// Opens catalog and disks, without looking at any footage.
pub(super) fn prepare(options: Options) -> Result<Shared> {
    let (opened, home) = match &options.catalog {
        Some(shelf) => (
            Catalog::open_from(&**shelf, &options.store)?,
            Arc::clone(shelf),
        ),
        None => (
            reserve::open_catalog(&options.state_dir, &options.store)?,
            reserve::shelf(&options.state_dir),
        ),
    };
    opened.catalog.may_go_on_in_memory();
    // One that was made in memory does not know what the other one does of disks that are away.
    let home = opened.catalog.why_in_memory().is_none().then_some(home);
    Ok(Shared {
        home,
        ..prepare_with(options, opened)?
    })
}

/// The same with a catalog that is open.
pub(super) fn prepare_with(options: Options, opened: catalog::Opened) -> Result<Shared> {
    if let Some((why, aside)) = &opened.moved_aside {
        let aside = aside.display();
        tracing::warn!(%aside, "the catalog is rebuilt from the footage: {why}");
    }
    for disk in &options.disks {
        disk.set_number(opened.catalog.disk_number(&disk.id)?);
    }
    let log = Log::new(Arc::clone(&options.clock), options.log.as_ref());
    let anchors = Anchors::read(&options.state_dir, || {
        let disks = options.disks.iter().map(MountedDisk::patient);
        Anchors::logged(&disks.collect::<Vec<_>>(), &options.store, &options.keys)
    });
    if let Some(record) = anchors.look(&*options.clock) {
        log.append(record);
    }
    let slots = Slots::new(
        options.disks,
        &options.absent,
        &options.left_out,
        &options.spread,
    );
    Ok(Shared {
        store: options.store,
        state_dir: options.state_dir,
        may_not_know_all: AtomicBool::new(!slots.is_whole()),
        slots,
        doorkeeper: options.doorkeeper,
        cold_after_days: options.spread.cold_after_days,
        catalog: opened.catalog,
        home: None,
        waiting: Arc::default(),
        segments: Mutex::default(),
        cameras: options.cameras,
        records: options.records,
        at_rest: options.at_rest,
        forecast: Mutex::default(),
        deleted: Mutex::default(),
        held: Mutex::default(),
        gate: Mutex::default(),
        scrub: Board::default(),
        strange: AtomicU64::new(0),
        events: broadcast::channel(EVENTS_KEPT).0,
        anchors,
        log,
        keys: options.keys,
        clock: options.clock,
        random: options.random,
        reserve_bytes_min: options.reserve_bytes_min,
    })
}
