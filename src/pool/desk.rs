//! The disks as they are commanded from afar, where the recorder changes its configuration itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep_format::DiskId;

use super::error::{Error, Result};
use super::{Pool, Retired, same};
use crate::config::{self, Config, EditError, Tier};
use crate::store::{self, DiskStatus, DiskUse};

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
    /// As [`Pool::add`] and [`with_disk`].
    pub fn add(&self, wanted: &config::Disk, replace: bool, who: &str) -> Result<DiskId> {
        let mut wanted = wanted.clone();
        let edited = with_disk(&self.config, &mut wanted)?;
        let id = self.pool.add(&wanted, replace, who)?;
        edited.map(config::Edited::save).transpose()?;
        Ok(id)
    }

    /// Takes a disk out: see [`Pool::retire`]. One that was taken out when the configuration could not be written is taken out of that.
    ///
    /// # Errors
    /// As [`Pool::retire`] and [`without_disk`].
    pub fn retire(&self, disk: &str, forget: bool, who: &str) -> Result<Retired> {
        let disks = self.pool.list()?;
        let path = match meant(&disks, disk) {
            // There is nothing of it in the configuration.
            Ok(found) if found.state == DiskUse::LeftOut => {
                return self.pool.retire(disk, forget, who);
            }
            Ok(_) if is_last(&disks) => return Err(store::Error::LastDisk.into()),
            Ok(found) => found.path.clone(),
            Err(error) => self.pool.taken_out(disk).ok_or(error)?,
        };
        let edited = without_disk(&self.config, &path, forget)?;
        let retired = self.pool.retire(disk, forget, who)?;
        edited.save()?;
        Ok(retired)
    }
}

/// A configuration with a further disk, to be saved once that is taken in. That it cannot be written, or could not be used then, is
/// found out before anything is done. `None` where it has the disk as it is wanted, or where no more than its folder is; `wanted` is as
/// that has it then.
///
/// # Errors
/// [`Error::Config`]; [`Error::NotOurs`]; [`Error::Nested`]; [`Error::InUseAlready`], where it writes the folder otherwise.
pub fn with_disk(config: &Path, wanted: &mut config::Disk) -> Result<Option<config::Edited>> {
    let loaded = Config::load(config).map_err(EditError::from)?;
    let before = loaded.disks;
    let others = before.iter().map(|disk| &*disk.path);
    if let Some(nested) =
        config::Nested::find(&wanted.path, others, &loaded.state_dir, config::real)
    {
        return Err(nested.into());
    }
    let is_plain = (wanted.max_bytes, wanted.tier) == (None, Tier::default());
    let as_wanted = |disk: &&config::Disk| {
        let says_the_same = (disk.max_bytes, disk.tier) == (wanted.max_bytes, wanted.tier);
        disk.path == wanted.path && (is_plain || says_the_same)
    };
    if let Some(disk) = before.iter().find(as_wanted) {
        *wanted = disk.clone();
        return Ok(None);
    }
    let edited = || {
        let mut edited = config::Edited::open(config)?;
        edited.add_disk(wanted);
        edited.check()?;
        Ok(edited)
    };
    let edited = edited().map_err(|error| or_not_ours(error, || added(config, wanted)))?;
    match before
        .into_iter()
        .find(|disk| same(&disk.path, &wanted.path))
    {
        Some(disk) => Err(Error::InUseAlready { path: disk.path }),
        None => Ok(Some(edited)),
    }
}

/// The same without a disk, which is named by its folder as the configuration has it.
///
/// # Errors
/// [`Error::Config`], [`Error::NotOurs`].
pub fn without_disk(config: &Path, disk: &Path, forget: bool) -> Result<config::Edited> {
    let edited = || {
        let mut edited = config::Edited::open(config)?;
        edited.remove_disk(disk)?;
        edited.check()?;
        Ok(edited)
    };
    edited().map_err(|error| or_not_ours(error, || taken_out(config, disk, forget)))
}

/// A configuration is its people's: where it is closed to the recorder, who may change it is told the command.
fn or_not_ours(error: EditError, command: impl FnOnce() -> String) -> Error {
    match error {
        EditError::Write { path, source } if config::is_closed(&source) => Error::NotOurs {
            path,
            source,
            command: command(),
        },
        error => error.into(),
    }
}

fn added(config: &Path, wanted: &config::Disk) -> String {
    let mut command = command("add", config, &wanted.path);
    if let Some(bytes) = wanted.max_bytes {
        command.push_str(&format!(" --max-bytes {bytes}"));
    }
    if wanted.tier == Tier::Cold {
        command.push_str(" --cold");
    }
    command
}

fn taken_out(config: &Path, disk: &Path, forget: bool) -> String {
    let mut command = command("retire", config, disk);
    if forget {
        command.push_str(" --forget");
    }
    command
}

fn command(what: &str, config: &Path, disk: &Path) -> String {
    let (config, disk) = (in_a_shell(config), in_a_shell(disk));
    format!("hearthkeep disk {what} --config {config} {disk}")
}

/// A path as a shell takes it.
fn in_a_shell(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    match text.chars().all(is_plain) {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Whether of these no more than one is in the configuration.
pub(super) fn is_last(disks: &[DiskStatus]) -> bool {
    let configured = disks.iter().filter(|disk| disk.state != DiskUse::LeftOut);
    configured.count() == 1
}

/// The disk that a folder or an id means.
///
/// # Errors
/// [`store::Error::NoSuchDisk`].
pub(super) fn meant<'a>(disks: &'a [DiskStatus], disk: &str) -> Result<&'a DiskStatus> {
    let wanted = DiskId::from_hex(disk);
    let is_it = |status: &&DiskStatus| match wanted {
        Some(id) => status.id == Some(id),
        None => same(&status.path, Path::new(disk)),
    };
    let found = disks.iter().find(is_it);
    found.ok_or(Error::Store(store::Error::NoSuchDisk))
}
