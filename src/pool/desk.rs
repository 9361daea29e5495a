//! The disks as they are commanded from afar, where the recorder changes its configuration itself.

use std::path::PathBuf;
use std::sync::Arc;

use hearthkeep_format::DiskId;

use super::error::{Error, Result};
use super::{Pool, Retired, configured, same};
use crate::config;
use crate::store::{self, DiskStatus};

/// The pool, and the configuration that goes with it.
#[derive(Clone)]
pub struct Desk {
    pool: Arc<Pool>,
    config: PathBuf,
}

impl Desk {
    /// The pool of the store that this configuration is of.
    pub fn new(pool: Arc<Pool>, config: PathBuf) -> Self {
        Self { pool, config }
    }

    /// The pool itself.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Takes a folder in: see [`Pool::add`].
    ///
    /// # Errors
    /// As [`Pool::add`] and [`configured`].
    pub fn add(&self, wanted: &config::Disk, who: &str) -> Result<DiskId> {
        let change = |edited: &mut config::Edited| {
            edited.add_disk(wanted);
            Ok(())
        };
        configured(&self.config, change, || self.pool.add(wanted, who))
    }

    /// Takes a disk out: see [`Pool::retire`].
    ///
    /// # Errors
    /// As [`Pool::retire`] and [`configured`].
    pub fn retire(&self, disk: &str, forget: bool, who: &str) -> Result<Retired> {
        let disks = self.pool.list()?;
        if disks.len() == 1 {
            return Err(store::Error::LastDisk.into());
        }
        let path = meant(&disks, disk)?.path.clone();
        let change = |edited: &mut config::Edited| edited.remove_disk(&path);
        configured(&self.config, change, || self.pool.retire(disk, forget, who))
    }
}

/// The disk that a folder or an id means.
///
/// # Errors
/// [`store::Error::NoSuchDisk`].
pub(super) fn meant<'a>(disks: &'a [DiskStatus], disk: &str) -> Result<&'a DiskStatus> {
    let wanted = DiskId::from_hex(disk);
    let is_it = |status: &&DiskStatus| match wanted {
        Some(id) => status.id == Some(id),
        None => same(&status.path, std::path::Path::new(disk)),
    };
    let found = disks.iter().find(is_it);
    found.ok_or(Error::Store(store::Error::NoSuchDisk))
}
