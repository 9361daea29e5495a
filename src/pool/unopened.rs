//! The disks while no store is open: at a start until one of them is there, which may take for ever.

use std::collections::HashMap;
use std::path::Path;

use hearthkeep_format::DiskId;

use crate::config;
use crate::store::{AbsentDisk, DiskStatus, OnDisk, being_taken_in};

/// What is configured, and what was found of it last.
#[derive(Default)]
pub(super) struct Unopened {
    /// The configuration's disks and those of commands since then; `None` before anybody looked.
    wanted: Option<Vec<config::Disk>>,
    absent: Vec<AbsentDisk>,
    /// Disks of the store that the configuration does not have.
    left_out: Vec<AbsentDisk>,
    /// What the catalog has on each.
    on_disk: HashMap<DiskId, OnDisk>,
    /// Those whose footage is given up, which the store may not know that is being opened.
    given_up: Vec<DiskId>,
}

impl Unopened {
    /// The disks to look for: those of the configuration, the first time.
    pub(super) fn begin(&mut self, configured: &[config::Disk]) -> Vec<config::Disk> {
        let wanted = self.wanted.get_or_insert_with(|| configured.to_vec());
        wanted.clone()
    }

    /// What was looked for and is not there. What is there now and was not is shown until the store is open.
    pub(super) fn missed(&mut self, absent: &[AbsentDisk], left_out: &[AbsentDisk]) {
        self.left_out = left_out.to_vec();
        let mut found = std::mem::take(&mut self.absent);
        found.retain(|before| {
            absent
                .iter()
                .all(|away| away.wanted.path != before.wanted.path)
        });
        for found in &mut found {
            found.error = being_taken_in(&found.wanted.path);
        }
        let is_wanted =
            |away: &AbsentDisk| self.disks().iter().any(|one| one.path == away.wanted.path);
        let shown = absent.iter().cloned().chain(found);
        self.absent = shown.filter(is_wanted).collect();
    }

    /// What the catalog has on each disk.
    pub(super) fn has(&mut self, on_disk: HashMap<DiskId, OnDisk>) {
        self.on_disk = on_disk;
    }

    pub(super) fn disks(&self) -> &[config::Disk] {
        self.wanted.as_deref().unwrap_or_default()
    }

    /// A disk that somebody has brought, in the place of another one or not: it is looked for like the others, and until then it is shown.
    pub(super) fn add(&mut self, disk: &config::Disk, id: DiskId, before: Option<DiskId>) {
        self.given_up.retain(|given_up| *given_up != id);
        self.given_up.extend(before);
        self.left_out
            .retain(|known| known.id != Some(id) && (before.is_none() || known.id != before));
        // Before anybody looked it is the configuration that says so.
        let Some(wanted) = &mut self.wanted else {
            return;
        };
        if wanted.iter().all(|known| known.path != disk.path) {
            wanted.push(disk.clone());
        }
        let index = self.absent.len();
        self.absent.retain(|away| away.wanted.path != disk.path);
        self.absent.push(AbsentDisk {
            wanted: disk.clone(),
            index,
            id: Some(id),
            error: being_taken_in(&disk.path),
        });
    }

    /// A disk that is used no more.
    pub(super) fn remove(&mut self, path: &Path, id: DiskId) {
        self.given_up.push(id);
        let known = self.left_out.len();
        self.left_out.retain(|known| known.id != Some(id));
        // What the configuration has at its path is another one.
        if self.left_out.len() < known {
            return;
        }
        self.wanted
            .iter_mut()
            .for_each(|wanted| wanted.retain(|disk| disk.path != path));
        self.absent.retain(|away| away.wanted.path != path);
    }

    /// The disks whose footage was given up since the start.
    pub(super) fn take_given_up(&mut self) -> Vec<DiskId> {
        std::mem::take(&mut self.given_up)
    }

    /// How they are; `None` where none is known to be away.
    pub(super) fn statuses(&self) -> Option<Vec<DiskStatus>> {
        let status = |away: &AbsentDisk| {
            let mut status = away.status();
            if let Some(there) = away.id.and_then(|id| self.on_disk.get(&id)) {
                status.segments = there.segments;
                status.used_bytes = there.bytes;
                status.oldest_us = there.oldest_us;
            }
            status
        };
        let left_out = self.left_out.iter().map(|known| status(known).left_out());
        let absent = self.absent.iter().map(status);
        let statuses: Vec<_> = absent.chain(left_out).collect();
        (!statuses.is_empty()).then_some(statuses)
    }
}
