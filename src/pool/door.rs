//! Which disk a folder is, and what must be right with it before it is used.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hearthkeep_format::{DiskId, Keyring};

use super::error::{Error, Result};
use super::folder::{Doors, Folder};
use super::homes::Homes;
use super::left_out::{self, NotHere};
use crate::config::{self, Config};
use crate::disk::{Disk, Patience};
use crate::keys::{Standing, StateFolder};
use crate::limits::DISK_START_PATIENCE_MS_MAX;
use crate::random::OsRandom;
use crate::store::layout::{self, DiskIdentity};
use crate::store::survey::survey;
use crate::store::{self, AbsentDisk, MountedDisk};

/// A file in the state folder of a box that is not claimed, and until the disks of its configuration are made.
pub(super) const TO_MAKE: &str = "disks-to-make";

/// The configured disks: those that can be used, and those that cannot now.
#[derive(Default)]
pub struct Disks {
    /// In the order of the configuration.
    pub mounted: Vec<MountedDisk>,
    /// Likewise, and why.
    pub absent: Vec<AbsentDisk>,
    /// Disks of the store that the configuration does not have.
    pub left_out: Vec<AbsentDisk>,
}

/// Makes sure that all configured disks can be used, and makes new ones of empty folders.
///
/// # Errors
/// What is wrong with the first that cannot.
pub fn identify_all(config: &Config, state: &mut StateFolder) -> Result<()> {
    if let Some(nested) = config.nested(config::real).next() {
        return Err(nested.into());
    }
    let doors = Doors::default();
    let mut disks = config.disks.iter();
    disks.try_for_each(|disk| {
        let folder = doors.open(&disk.path, DISK_START_PATIENCE_MS_MAX)?;
        identify(&folder, state, true).map(drop)
    })?;
    are_made(state);
    Ok(())
}

/// The first disks were made: those that come later need somebody who names them.
pub(super) fn are_made(state: &StateFolder) {
    let path = state.folder().join(TO_MAKE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::error!("{} cannot be removed: {error}", path.display());
        }
        _ => {}
    }
}

/// Opens the configured disks. What their keyrings know that ours does not is ours from then on; [`spread_keyring`] is to follow.
///
/// A folder without an id file is a bare mount point, or one that nobody has made a disk of: it is refused. The others are used
/// all the same. Drives that have to spin up do so together, and are waited for; one that does not answer in that time is left out.
pub fn mount(config: &Config, state: &mut StateFolder) -> Disks {
    let folders = open_all(&Doors::default(), &config.disks);
    mount_opened(&config.disks, folders, state)
}

/// The folders of a configuration, opened, in its order.
pub(super) type Opened = Vec<Result<Folder>>;

/// Opens the folders of all disks.
pub(super) fn open_all(doors: &Doors, disks: &[config::Disk]) -> Opened {
    let open = |wanted: &config::Disk| {
        let folder = doors.open(&wanted.path, DISK_START_PATIENCE_MS_MAX)?;
        // That of a folder the kernel may know without its drive.
        match layout::identify(&folder.disk, &folder.path) {
            // It is looked at more closely when it is mounted.
            Ok(_) | Err(store::Error::StrangeIdFile { .. }) => Ok(folder),
            Err(error) => Err(error.into()),
        }
    };
    std::thread::scope(|scope| {
        let opening = disks.iter().map(|disk| scope.spawn(move || open(disk)));
        let opening: Vec<_> = opening.collect();
        let opened = opening
            .into_iter()
            .map(|one| one.join().expect("opening a folder does not panic"));
        opened.collect()
    })
}

/// See [`mount`].
pub(super) fn mount_opened(
    configured: &[config::Disk],
    folders: Opened,
    state: &mut StateFolder,
) -> Disks {
    let mut disks = Disks::default();
    // By now those that had to spin up have.
    let patience = Patience::together(Duration::from_millis(DISK_START_PATIENCE_MS_MAX));
    for folder in folders.iter().flatten() {
        folder.disk.lane().set_patience(patience.clone());
    }
    for (index, (wanted, folder)) in configured.iter().zip(folders).enumerate() {
        let mounted = folder.and_then(|folder| mount_one(wanted, &folder, configured, state));
        let mounted = mounted.and_then(|(disk, _)| {
            match disks.mounted.iter().any(|other| other.id == disk.id) {
                true => Err(Error::Twice {
                    path: wanted.path.clone(),
                }),
                false => Ok(disk),
            }
        });
        match mounted {
            Ok(disk) => disks.mounted.push(disk),
            Err(error) => disks.absent.push(AbsentDisk {
                wanted: wanted.clone(),
                index,
                id: None,
                error: error.to_string(),
            }),
        }
    }
    let here = disks.mounted.iter().map(|disk| (disk.id, &*disk.path));
    let here: Vec<_> = here.collect();
    let away = disks.absent.iter().map(|away| &*away.wanted.path);
    let away: Vec<_> = away.collect();
    let not_here = NotHere::of(state, &here, &away);
    for (absent, id) in disks.absent.iter_mut().zip(not_here.expected) {
        absent.id = id;
    }
    let known = not_here.left_out.iter().zip(configured.len()..);
    disks.left_out = known
        .map(|(known, index)| left_out::absent(known, index))
        .collect();
    disks
}

/// Mounts one of those that are configured, and says whether its keyring knew what ours did not.
pub(super) fn mount_one(
    wanted: &config::Disk,
    folder: &Folder,
    configured: &[config::Disk],
    state: &mut StateFolder,
) -> Result<(MountedDisk, bool)> {
    let before = state.disks().to_vec();
    let id = identify(folder, state, false)?;
    let (lane, raw) = (folder.disk.lane(), Arc::clone(&folder.raw));
    let store = state.store();
    let mut mounted = MountedDisk::on(lane, raw, &wanted.path, store, id, wanted.max_bytes)?;
    mounted.tier = wanted.tier;
    let mut homes = Homes::read(state.folder());
    let last = before.iter().rev().find(|known| known.id == id);
    let last = last.map(|known| &*known.path);
    if let Some(misplaced) = homes.place(id, last, &folder.real_path, wanted, configured) {
        mounted.misplace(misplaced);
    }
    homes.keep(state);
    let has_news = adopt(&folder.disk, &wanted.path, state)?;
    Ok((mounted, has_news))
}

/// Takes over what a disk's keyring knows that ours does not, and gives it ours.
fn exchange_keyrings(folder: &Folder, state: &mut StateFolder) -> Result<()> {
    let (disk, path) = (&folder.disk, &folder.path);
    adopt(disk, path, state)?;
    let keyring = Keyring::decode(&state.keyring_bytes()?);
    let keyring = keyring.map_err(|source| store::Error::Keyring {
        disk: state.folder().to_owned(),
        source,
    })?;
    Ok(layout::write_keyring(disk, path, &keyring)?)
}

/// Both copies may be damaged, or not there yet: then ours replaces them.
fn adopt(disk: &dyn Disk, path: &Path, state: &mut StateFolder) -> Result<bool> {
    let Ok(keyring) = layout::read_keyring(disk, path) else {
        return Ok(false);
    };
    let adopted = state.adopt(&keyring, &mut OsRandom);
    adopted.map_err(|source| Error::Untrusted {
        path: path.to_owned(),
        source,
    })
}

/// Writes the keyring to every disk that has another one, before anything that it names is recorded there.
///
/// # Errors
/// [`Error::Keys`]. That a disk does not take it is logged, and tried again at the next start.
pub fn spread_keyring<'a>(
    disks: impl Iterator<Item = &'a MountedDisk>,
    state: &StateFolder,
) -> Result<()> {
    let bytes = state.keyring_bytes()?;
    let keyring = Keyring::decode(&bytes).map_err(|source| store::Error::Keyring {
        disk: state.folder().to_owned(),
        source,
    })?;
    for disk in disks {
        let patient = disk.patient();
        let there = layout::read_keyring(&*patient, &disk.path);
        if there.is_ok_and(|there| there.encode() == bytes) {
            continue;
        }
        // A full disk must not keep the recorder from starting: only the newest cameras' names are missing on it, and the
        // next start writes them.
        if let Err(error) = layout::write_keyring(&*patient, &disk.path, &keyring) {
            tracing::warn!("{error}; it is written at the next start");
        }
    }
    Ok(())
}

/// Which disk is at this path. An empty folder that the store has never used becomes a new disk, and one that was retired is taken in,
/// only where `anew` says so: somebody named it just now. What is found empty by itself may be a bare mount point.
pub(super) fn identify(folder: &Folder, state: &mut StateFolder, anew: bool) -> Result<DiskId> {
    let taken = take(folder, state, anew, None)?;
    match state.remember_disk(&folder.real_path, taken.id, &mut OsRandom) {
        // No night is lost for it.
        Err(error) if !anew => {
            let path = folder.real_path.display();
            tracing::error!(
                "that the disk {} is at {path} now is not remembered: {error}",
                taken.id
            );
        }
        remembered => remembered?,
    }
    Ok(taken.id)
}

/// Takes a folder in that somebody named just now, with all that is remembered of it; in the place of the disk that was `before` at its
/// path, if there is one. Where that fails nothing is remembered, and the folder is as it was.
pub(super) fn take_in(
    folder: &Folder,
    state: &mut StateFolder,
    before: Option<DiskId>,
) -> Result<DiskId> {
    let taken = take(folder, state, true, before)?;
    let mut remember = || -> Result<()> {
        if state.is_claimed() {
            exchange_keyrings(folder, state)?;
        }
        Ok(state.take_disk(&folder.real_path, taken.id, before, &mut OsRandom)?)
    };
    match remember() {
        Ok(()) => Ok(taken.id),
        Err(error) => {
            taken.leave(folder);
            Err(error)
        }
    }
}

/// What a folder was before it was taken.
enum Was {
    InUse,
    Retired,
    Empty,
}

/// A folder that is a disk now.
struct Taken {
    id: DiskId,
    was: Was,
}

impl Taken {
    /// Makes the folder what it was.
    fn leave(&self, folder: &Folder) {
        let (disk, path) = (&folder.disk, &folder.path);
        let left = match self.was {
            Was::InUse => Ok(()),
            Was::Retired => layout::set_retired(disk, path, true),
            Was::Empty => layout::unmark(disk, path),
        };
        if let Err(error) = left {
            tracing::error!("{} is not as it was before: {error}", path.display());
        }
    }
}

/// Makes a disk of what is at this path, as [`identify`] says, and remembers nothing. The disk that it is to replace may be known there.
fn take(folder: &Folder, state: &StateFolder, anew: bool, before: Option<DiskId>) -> Result<Taken> {
    let (disk, path) = (&folder.disk, &folder.real_path);
    mend(folder, state)?;
    if let Some(identity) = layout::identify(disk, path)? {
        if identity.store != state.store() {
            return Err(store::Error::OtherStore {
                disk: path.to_owned(),
                found: identity.store,
            }
            .into());
        }
        if Some(identity.disk) == before {
            return Err(Error::StillThere {
                path: folder.path.clone(),
            });
        }
        let says_so = layout::is_retired(disk, path)?;
        if (says_so || state.standing(identity.disk) == Standing::Retired) && !anew {
            return Err(store::Error::Retired {
                disk: path.to_owned(),
            }
            .into());
        }
        layout::set_retired(disk, path, false).map_err(|error| unwritable(folder, error))?;
        let was = if says_so { Was::Retired } else { Was::InUse };
        let id = identity.disk;
        return Ok(Taken { id, was });
    }
    let last = state.disk_at(path);
    if last.is_some() && last != before {
        return Err(store::Error::NotMounted {
            disk: path.to_owned(),
        }
        .into());
    }
    refuse_what_is_in_use(folder)?;
    if !anew {
        return Err(Error::NewFolder {
            path: path.to_owned(),
            shared: folder.shared(state.folder()),
        });
    }
    let identity = DiskIdentity {
        store: state.store(),
        disk: DiskId::random(&mut OsRandom),
    };
    layout::mark(disk, path, &identity).map_err(|error| unwritable(folder, error))?;
    Ok(Taken {
        id: identity.disk,
        was: Was::Empty,
    })
}

/// A bit that has flipped in an id file makes no other disk of the one that was last at this path, where its keyring is this store's.
fn mend(folder: &Folder, state: &StateFolder) -> Result<()> {
    let (disk, path) = (&folder.disk, &folder.real_path);
    let Some(known) = state.disk_at(path) else {
        return Ok(());
    };
    let identity = DiskIdentity {
        store: state.store(),
        disk: known,
    };
    let keyring = layout::read_keyring(disk, path);
    if keyring.is_ok_and(|keyring| keyring.store == identity.store) {
        let mended = layout::mend_if_nearly(disk, path, &identity);
        mended.map_err(|error| unwritable(folder, error))?;
    }
    Ok(())
}

/// That a folder is closed to who runs this has words of its own.
fn unwritable(folder: &Folder, error: store::Error) -> Error {
    match error {
        store::Error::Io { source, .. } if config::is_closed(&source) => Error::NotWritable {
            path: folder.path.clone(),
            source,
        },
        error => error.into(),
    }
}

/// What a folder holds that is no disk yet is somebody's: only an empty one, as a new file system's is, becomes a disk.
fn refuse_what_is_in_use(folder: &Folder) -> Result<()> {
    match folder.something()? {
        None => Ok(()),
        Some(found) => Err(Error::NotEmptyFolder {
            path: folder.real_path.clone(),
            found,
        }),
    }
}

/// The disk that was at a path last.
pub(super) fn remembered(path: &Path, state: &StateFolder) -> Option<DiskId> {
    let known = |path: PathBuf| state.disk_at(&path);
    // Where its drive hangs, only one that is written otherwise waits for it.
    let plain = std::path::absolute(path).ok().and_then(known);
    plain.or_else(|| known(std::fs::canonicalize(path).ok()?))
}

/// Where a disk was last, if that is not this folder any more.
pub(super) fn moved_to(id: DiskId, folder: &Folder, state: &StateFolder) -> Option<PathBuf> {
    let last = state.path_of(id)?;
    (last != folder.real_path).then(|| last.to_owned())
}

/// Segment files on a disk, whatever they are.
pub(super) fn footage_files(path: &Path) -> Result<u64> {
    let surveyed = survey(path).map_err(|source| Error::Open {
        path: path.to_owned(),
        source,
    })?;
    Ok(surveyed.iter().map(|one| one.segments).sum())
}

/// Says on a disk that it is used no more, if it is still the one.
pub(super) fn mark_retired(folder: &Folder, id: DiskId) -> Result<()> {
    let (disk, path) = (&folder.disk, &folder.path);
    match layout::identify(disk, path)? {
        Some(identity) if identity.disk == id => Ok(layout::set_retired(disk, path, true)?),
        _ => Err(store::Error::NotMounted {
            disk: path.to_owned(),
        }
        .into()),
    }
}
