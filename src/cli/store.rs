//! A store of this machine as `run`, `init` and `reindex` see it: locked, its disks mounted, its keyring on every disk.

use std::path::Path;
use std::sync::Arc;

use hearthkeep_format::{DiskId, Keyring, MetadataKey, Random};
use zeroize::Zeroizing;

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

/// Opens the configured disks, and makes a new one of a folder that is empty. What their keyrings know that ours does not is
/// ours from then on; [`spread_keyring`] is to follow.
///
/// A folder that was a disk of this store and has lost its id file is a bare mount point: it is refused. The others are used
/// all the same.
pub(super) fn mount(config: &Config, state: &mut StateFolder) -> Disks {
    let mut disks = Disks::default();
    for disk in &config.disks {
        match mount_one(disk, state) {
            Ok(mounted) if disks.mounted.iter().any(|other| other.id == mounted.id) => {
                disks.absent.push(twice(&mounted));
            }
            Ok(mounted) => disks.mounted.push(mounted),
            Err(failure) => disks.absent.push(AbsentDisk {
                path: disk.path.clone(),
                error: failure.sentence,
            }),
        }
    }
    disks
}

fn twice(disk: &MountedDisk) -> AbsentDisk {
    let path = disk.path.display();
    AbsentDisk {
        path: disk.path.clone(),
        error: format!(
            "the disk at {path} is another configured one once more (a copy, or the same folder by another name): take one of both out of the configuration"
        ),
    }
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
    // Both copies may be damaged, or not there yet: then ours replaces them.
    if let Ok(keyring) = layout::read_keyring(&*mounted.disk, &mounted.path) {
        state.adopt(&keyring, &mut OsRandom).map_err(|error| {
            let path = disk.path.display();
            let sentence = format!(
                "the disk {path} is not used, since its keyring is not one that this box may replace: {error}"
            );
            Failure::new(ExitStatus::Failed, sentence)
        })?;
    }
    Ok(mounted)
}

/// Writes the keyring to every disk that has another one, before anything that it names is recorded there.
pub(super) fn spread_keyring(disks: &[MountedDisk], state: &StateFolder) -> Result<(), Failure> {
    let bytes = state.keyring_bytes().map_err(state_failure)?;
    let keyring = Keyring::decode(&bytes).or_fail(ExitStatus::Damaged)?;
    for disk in disks {
        let there = layout::read_keyring(&*disk.disk, &disk.path);
        if there.is_ok_and(|there| there.encode() == bytes) {
            continue;
        }
        // A full disk must not keep the recorder from starting: only the newest cameras' names are missing on it, and the
        // next start writes them.
        if let Err(error) = layout::write_keyring(&*disk.disk, &disk.path, &keyring) {
            tracing::warn!("{error}; it is written at the next start");
        }
    }
    Ok(())
}

/// The store's metadata keys, shared with its threads.
pub(super) fn shared_keys(state: &StateFolder) -> SharedKeys {
    let keys: Vec<_> = (1..)
        .map_while(|n| {
            state
                .metadata_key(n)
                .map(|key| Zeroizing::new(*key.as_bytes()))
        })
        .collect();
    Arc::new(move |generation: u32| {
        let index = usize::try_from(generation).ok()?.checked_sub(1)?;
        keys.get(index).map(|key| MetadataKey::from_bytes(**key))
    })
}

/// Which disk is at this path. An empty folder that the store has never used becomes a new disk.
fn identify(path: &Path, state: &mut StateFolder) -> Result<DiskId, Failure> {
    let disk = open_disk(path)?;
    // However the configuration writes it: what is remembered must be found again.
    let path = &std::fs::canonicalize(path).or_fail(ExitStatus::Failed)?;
    let found = layout::identify(&disk, path).or_fail(ExitStatus::Failed)?;
    if let Some(identity) = found {
        if identity.store != state.store() {
            let error = store::Error::OtherStore {
                disk: path.to_owned(),
                found: identity.store,
            };
            return Err(Failure::new(ExitStatus::Failed, error));
        }
        state
            .remember_disk(path, identity.disk, &mut OsRandom)
            .map_err(state_failure)?;
        return Ok(identity.disk);
    }
    if state.disks().iter().any(|known| known.path == *path) {
        let error = store::Error::NotMounted {
            disk: path.to_owned(),
        };
        return Err(Failure::new(ExitStatus::Failed, error));
    }
    refuse_what_is_in_use(path)?;
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

/// What a folder holds that is no disk yet is somebody's: only an empty one, as a new file system's is, becomes a disk.
fn refuse_what_is_in_use(path: &Path) -> Result<(), Failure> {
    let entries = std::fs::read_dir(path).or_fail(ExitStatus::Failed)?;
    let found = entries
        .filter_map(Result::ok)
        .find(|entry| entry.file_name() != "lost+found");
    let Some(found) = found else { return Ok(()) };
    let (path, name) = (path.display(), found.file_name());
    let sentence = format!(
        "{path} is no disk of this store, and not empty (there is {name:?} in it): name an empty folder for footage, such as a new one in it"
    );
    Err(Failure::new(ExitStatus::Failed, sentence))
}

fn new_id() -> DiskId {
    let random: &mut dyn Random = &mut OsRandom;
    DiskId::random(random)
}
