//! A store of this machine as `run`, `init` and `reindex` see it: locked, its disks mounted, its keyring on every disk.

use std::path::Path;
use std::sync::Arc;

use hearthkeep_format::{DiskId, Keyring, MetadataKey, Random};

use super::local::{open_disk, state_failure};
use super::output::{ExitStatus, Failure, OrFail};
use crate::config::{self, Config};
use crate::keys::StateFolder;
use crate::random::OsRandom;
use crate::store::layout::{self, DiskIdentity};
use crate::store::lock::{self, Lock};
use crate::store::{self, AbsentDisk, MountedDisk, SharedKeys};

/// Takes the lock of the configured store.
pub(super) fn lock(config: &Config) -> Result<Lock, Failure> {
    std::fs::create_dir_all(&config.state_dir).map_err(|error| {
        let folder = config.state_dir.display();
        Failure::new(
            ExitStatus::Failed,
            format_args!("the state folder {folder} cannot be made: {error}"),
        )
    })?;
    lock::acquire(&config.state_dir).map_err(|error| match error {
        store::Error::Locked { .. } => Failure::new(ExitStatus::Busy, error),
        error => Failure::new(ExitStatus::Failed, error),
    })
}

/// Makes sure that all configured disks can be used, and makes new ones of empty folders.
pub(super) fn identify_disks(config: &Config, state: &mut StateFolder) -> Result<(), Failure> {
    for disk in &config.disks {
        identify(&disk.path, state)?;
    }
    Ok(())
}

/// The configured disks: those that can be used, and those that cannot now.
#[derive(Default)]
pub(super) struct Disks {
    pub mounted: Vec<MountedDisk>,
    pub absent: Vec<AbsentDisk>,
}

/// Opens the configured disks, makes a new one of a folder that is empty, and sees to it that each carries the keyring.
///
/// A folder that was a disk of this store and has lost its id file is a bare mount point: it is refused. The others are used
/// all the same.
pub(super) fn mount(config: &Config, state: &mut StateFolder) -> Disks {
    let mut disks = Disks::default();
    for disk in &config.disks {
        match mount_one(disk, state) {
            Ok(mounted) => disks.mounted.push(mounted),
            Err(failure) => disks.absent.push(AbsentDisk {
                path: disk.path.clone(),
                error: failure.sentence,
            }),
        }
    }
    disks
}

impl Disks {
    /// These disks, if there is one to work with; says which of the others are not.
    pub(super) fn or_failure(self) -> Result<Self, Failure> {
        if let (true, Some(first)) = (self.mounted.is_empty(), self.absent.first()) {
            return Err(Failure::new(ExitStatus::Failed, &first.error));
        }
        for disk in &self.absent {
            eprintln!("hearthkeep: {}", disk.error);
        }
        Ok(self)
    }
}

fn mount_one(disk: &config::Disk, state: &mut StateFolder) -> Result<MountedDisk, Failure> {
    let id = identify(&disk.path, state)?;
    let mounted = MountedDisk::open(&disk.path, state.store(), id, disk.max_bytes)
        .or_fail(ExitStatus::Failed)?;
    write_keyring(&mounted, state)?;
    Ok(mounted)
}

/// Writes the keyring to a disk that does not have this version of it.
fn write_keyring(disk: &MountedDisk, state: &StateFolder) -> Result<(), Failure> {
    let bytes = state.keyring_bytes().map_err(state_failure)?;
    let keyring = Keyring::decode(&bytes).or_fail(ExitStatus::Damaged)?;
    let there = layout::read_keyring(&*disk.disk, &disk.path).ok();
    if there.is_none_or(|there| there.version < keyring.version) {
        layout::write_keyring(&*disk.disk, &disk.path, &keyring).or_fail(ExitStatus::Failed)?;
    }
    Ok(())
}

/// The store's metadata keys, shared with its threads.
pub(super) fn shared_keys(state: &StateFolder) -> SharedKeys {
    let copy = |key: &MetadataKey| MetadataKey::from_bytes(*key.as_bytes());
    let keys: Vec<_> = (1..)
        .map_while(|n| state.metadata_key(n).map(copy))
        .collect();
    Arc::new(move |generation: u32| {
        let index = usize::try_from(generation).ok()?.checked_sub(1)?;
        keys.get(index).map(copy)
    })
}

/// Which disk is at this path. An empty folder that the store has never used becomes a new disk.
fn identify(path: &Path, state: &mut StateFolder) -> Result<DiskId, Failure> {
    let disk = open_disk(path)?;
    let found = layout::identify(&disk, path).or_fail(ExitStatus::Failed)?;
    if let Some(identity) = found {
        if identity.store != state.store() {
            let error = store::Error::OtherStore {
                disk: path.to_owned(),
                found: identity.store,
            };
            return Err(Failure::new(ExitStatus::Failed, error));
        }
        let known = state.disks().iter().any(|known| known.id == identity.disk);
        if !known {
            state
                .remember_disk(path, identity.disk, &mut OsRandom)
                .map_err(state_failure)?;
        }
        return Ok(identity.disk);
    }
    if state.disks().iter().any(|known| known.path == path) {
        let error = store::Error::NotMounted {
            disk: path.to_owned(),
        };
        return Err(Failure::new(ExitStatus::Failed, error));
    }
    let id = new_id();
    let identity = DiskIdentity {
        store: state.store(),
        disk: id,
    };
    layout::mark(&disk, path, &identity).or_fail(ExitStatus::Failed)?;
    state
        .remember_disk(path, id, &mut OsRandom)
        .map_err(state_failure)?;
    Ok(id)
}

fn new_id() -> DiskId {
    let random: &mut dyn Random = &mut OsRandom;
    DiskId::random(random)
}
