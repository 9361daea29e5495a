//! What stands where on a disk (`docs/format.md`, 3 and 5), and how a disk is known.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use hearthkeep_format::{DiskId, EpochId, Keyring, SegmentId, StoreId, StreamId};
use serde::{Deserialize, Serialize};

use super::{Error, Result};
use crate::disk::{Disk, DiskFile, read_file};
use crate::limits::KEYRING_BYTES_MAX;

/// Beside this name it is tried whether a disk that was full takes something.
const ROOM_FILE: &str = "room";
/// The folder of all footage.
pub const FOOTAGE: &str = "footage";
/// The file that makes a folder a disk of a store.
pub const ID_FILE: &str = "hearthkeep-disk.json";
/// What a segment's file name ends with.
pub const EXTENSION: &str = ".hks";

/// The folder of the keyring's copies.
pub const KEYRING: &str = "keyring";
/// Their names.
pub const KEYRING_COPIES: [&str; 2] = ["a", "b"];
/// Where `hearthkeep repair` puts what it was told to put out of the way.
pub const LOST: &str = "lost";
/// The folder of the signed logs.
pub const LOG: &str = "log";

/// What the name of that ends with which is to replace what stands beside it.
pub(super) const NEW: &str = ".new";

const ID_FILE_BYTES_MAX: u64 = 4096;
const ID_FILE_FORMAT: u32 = 1;
/// Bytes that may be wrong in an id file that is still this disk's.
const WRONG_BYTES_MAX: usize = 2;

/// Where a segment's file is.
pub fn segment_path(stream: &StreamId, epoch: &EpochId, segment: &SegmentId) -> PathBuf {
    PathBuf::from(format!("{FOOTAGE}/{stream}/{epoch}/{segment}{EXTENSION}"))
}

/// The folder of a stream's epoch.
pub fn epoch_folder(stream: &StreamId, epoch: &EpochId) -> PathBuf {
    PathBuf::from(format!("{FOOTAGE}/{stream}/{epoch}"))
}

/// The folder of a stream.
pub fn stream_folder(stream: &StreamId) -> PathBuf {
    PathBuf::from(format!("{FOOTAGE}/{stream}"))
}

/// What the name of a copy ends with that is not whole yet.
const COPYING: &str = ".hks.moving";

/// Whether a file name is that of a copy that is not whole yet.
pub(super) fn is_copying(name: &str) -> bool {
    let segment = name.strip_suffix(COPYING);
    segment.is_some_and(|segment| SegmentId::from_hex(segment).is_some())
}

/// Where a segment is copied to before it is whole there.
pub(super) fn copying_path(stream: &StreamId, epoch: &EpochId, segment: &SegmentId) -> PathBuf {
    PathBuf::from(format!("{FOOTAGE}/{stream}/{epoch}/{segment}{COPYING}"))
}

/// The segment a file name stands for, if it is one's.
pub fn segment_of(name: &str) -> Option<SegmentId> {
    SegmentId::from_hex(name.strip_suffix(EXTENSION)?)
}

/// Who a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskIdentity {
    /// The store it belongs to.
    pub store: StoreId,
    /// The disk.
    pub disk: DiskId,
}

#[derive(Serialize, Deserialize)]
struct IdFile {
    format: u32,
    store: String,
    disk: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retired: bool,
}

/// Reads who a disk is; `None` where it has no id file, as a bare mount point has none.
///
/// # Errors
/// When the file cannot be read or understood. `at` is the disk's path, for the message.
pub fn identify(disk: &dyn Disk, at: &Path) -> Result<Option<DiskIdentity>> {
    Ok(read_id_file(disk, at)?.map(|(identity, _)| identity))
}

/// Whether a disk says that it was retired: it is used no more, whatever its path.
///
/// # Errors
/// As [`identify`].
pub fn is_retired(disk: &dyn Disk, at: &Path) -> Result<bool> {
    Ok(read_id_file(disk, at)?.is_some_and(|(_, retired)| retired))
}

/// Writes on a disk whether it is retired.
///
/// # Errors
/// As [`identify`], or when it cannot be written.
pub fn set_retired(disk: &dyn Disk, at: &Path, retired: bool) -> Result<()> {
    match read_id_file(disk, at)? {
        Some((identity, before)) if before != retired => {
            write_id_file(disk, at, &identity, retired)
        }
        _ => Ok(()),
    }
}

/// Whether a folder on a disk has the id file of a disk of this store, used or retired.
pub fn is_disk_of(disk: &dyn Disk, folder: &Path, store: &StoreId) -> bool {
    let bytes = read_file(disk, &folder.join(ID_FILE), ID_FILE_BYTES_MAX);
    let found = bytes.ok().and_then(|bytes| parse_id_file(&bytes));
    found.is_some_and(|(identity, _)| identity.store == *store)
}

fn read_id_file(disk: &dyn Disk, at: &Path) -> Result<Option<(DiskIdentity, bool)>> {
    let path = Path::new(ID_FILE);
    let bytes = match read_file(disk, path, ID_FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", &at.join(path), error)),
    };
    let parsed = parse_id_file(&bytes).map(Some);
    parsed.ok_or_else(|| Error::StrangeIdFile {
        disk: at.to_owned(),
    })
}

fn parse_id_file(bytes: &[u8]) -> Option<(DiskIdentity, bool)> {
    let file = serde_json::from_slice::<IdFile>(bytes).ok()?;
    let identity = DiskIdentity {
        store: StoreId::from_hex(&file.store)?,
        disk: DiskId::from_hex(&file.disk)?,
    };
    (file.format == ID_FILE_FORMAT).then_some((identity, file.retired))
}

/// Makes a folder a disk of a store: writes its id file, durably. Its other content is not touched.
///
/// # Errors
/// When it belongs to a store already, or cannot be written.
pub fn mark(disk: &dyn Disk, at: &Path, identity: &DiskIdentity) -> Result<()> {
    match identify(disk, at)? {
        Some(found) if found == *identity => return Ok(()),
        Some(found) if found.store != identity.store => {
            return Err(Error::OtherStore {
                disk: at.to_owned(),
                found: found.store,
            });
        }
        Some(found) => {
            return Err(Error::OtherDisk {
                disk: at.to_owned(),
                found: found.disk,
                expected: identity.disk,
            });
        }
        None => {}
    }
    write_id_file(disk, at, identity, false)
}

/// Makes an empty folder again of one that was just [marked](mark), and of which nothing is known.
///
/// # Errors
/// When something of it stays there.
pub fn unmark(disk: &dyn Disk, at: &Path) -> Result<()> {
    let keyring = Path::new(KEYRING);
    let copies = KEYRING_COPIES.iter().map(|name| keyring.join(name));
    // By its id file it is a disk.
    let mut files = std::iter::once(PathBuf::from(ID_FILE)).chain(copies);
    let mut unmark = || {
        files.try_for_each(|file| or_not_there(disk.remove_file(&file)))?;
        or_not_there(disk.remove_folder(keyring))?;
        disk.sync_folder(Path::new(""))
    };
    unmark().map_err(|error| Error::io("remove", &at.join(ID_FILE), error))
}

fn or_not_there(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Writes the id file, whatever there was before.
///
/// # Errors
/// When it cannot be written.
fn write_id_file(disk: &dyn Disk, at: &Path, identity: &DiskIdentity, retired: bool) -> Result<()> {
    replace(disk, Path::new(ID_FILE), &id_file(identity, retired))
        .map_err(|error| Error::io("write", &at.join(ID_FILE), error))
}

/// Writes an id file anew that is damaged. A disk that was retired stays so.
///
/// # Errors
/// When it cannot be written.
pub(super) fn mend_id_file(disk: &dyn Disk, at: &Path, identity: &DiskIdentity) -> Result<()> {
    let says_so = is_retired(disk, at).unwrap_or(false);
    let bytes = read_file(disk, Path::new(ID_FILE), ID_FILE_BYTES_MAX);
    let is_as_long = bytes.is_ok_and(|bytes| bytes.len() == id_file(identity, true).len());
    write_id_file(disk, at, identity, says_so || is_as_long)
}

/// The content of a disk's id file.
pub fn id_file(identity: &DiskIdentity, retired: bool) -> Vec<u8> {
    let file = IdFile {
        format: ID_FILE_FORMAT,
        store: identity.store.to_string(),
        disk: identity.disk.to_string(),
        retired,
    };
    serde_json::to_vec(&file).expect("strings and a number are always JSON")
}

/// Whether a disk's id file has what this one's should have, but for a byte or two that are wrong: another disk's id has nothing in common
/// with it.
pub fn is_nearly(disk: &dyn Disk, identity: &DiskIdentity) -> bool {
    let Ok(found) = read_file(disk, Path::new(ID_FILE), ID_FILE_BYTES_MAX) else {
        return false;
    };
    [false, true].iter().any(|retired| {
        let expected = id_file(identity, *retired);
        let wrong = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
        found.len() == expected.len() && (1..=WRONG_BYTES_MAX).contains(&wrong)
    })
}

/// Writes an id file anew that is nearly this disk's. Whether it was so.
///
/// # Errors
/// When it cannot be written.
pub fn mend_if_nearly(disk: &dyn Disk, at: &Path, identity: &DiskIdentity) -> Result<bool> {
    if !is_nearly(disk, identity) {
        return Ok(false);
    }
    let path = at.join(ID_FILE);
    mend_id_file(disk, at, identity)?;
    tracing::error!(
        "{} was damaged (a byte or two were wrong), and was written anew: where that happens again, look at the disk's health",
        path.display()
    );
    Ok(true)
}

/// Checks that a disk is the one the store knows under this path. One whose id file has a byte or two that are wrong is that one still:
/// it is written anew, if the disk takes it.
///
/// # Errors
/// A sentence that says what is there instead, and what to do.
pub fn expect(disk: &dyn Disk, at: &Path, expected: &DiskIdentity) -> Result<()> {
    match is_as_expected(disk, at, expected) {
        Ok(()) => Ok(()),
        Err(error) => match mend_if_nearly(disk, at, expected) {
            Ok(false) => Err(error),
            Ok(true) => Ok(()),
            Err(refused) => {
                tracing::debug!("{error} {refused}");
                Ok(())
            }
        },
    }
}

fn is_as_expected(disk: &dyn Disk, at: &Path, expected: &DiskIdentity) -> Result<()> {
    match identify(disk, at)? {
        None => Err(Error::NotMounted {
            disk: at.to_owned(),
        }),
        Some(found) if found.store != expected.store => Err(Error::OtherStore {
            disk: at.to_owned(),
            found: found.store,
        }),
        Some(found) if found.disk != expected.disk => Err(Error::OtherDisk {
            disk: at.to_owned(),
            found: found.disk,
            expected: expected.disk,
        }),
        Some(_) => Ok(()),
    }
}

/// Writes the keyring twice, one copy after the other, each durable before the next is touched.
///
/// # Errors
/// When a copy cannot be written; the other one is whole.
pub fn write_keyring(disk: &dyn Disk, at: &Path, keyring: &Keyring) -> Result<()> {
    let bytes = keyring.encode();
    let folder = Path::new(KEYRING);
    let write = || {
        create_folders(disk, folder)?;
        disk.sync_folder(Path::new(""))?;
        let copies = KEYRING_COPIES.iter();
        copies
            .map(|name| folder.join(name))
            .try_for_each(|copy| replace(disk, &copy, &bytes))
    };
    write().map_err(|error| Error::io("write", &at.join(folder), error))
}

/// Reads the newer whole copy of the keyring.
///
/// # Errors
/// When neither copy is there and whole.
pub fn read_keyring(disk: &dyn Disk, at: &Path) -> Result<Keyring> {
    let copy = |name| read_file(disk, &Path::new(KEYRING).join(name), KEYRING_BYTES_MAX).ok();
    let [a, b] = KEYRING_COPIES.map(copy);
    Keyring::newest(a.as_deref(), b.as_deref()).map_err(|source| Error::Keyring {
        disk: at.to_owned(),
        source,
    })
}

/// Makes a folder and those above it that are missing; the names of none of them are known to be durable then, also of those that
/// were there: whoever made them may have died before it synced the folder above.
pub(super) fn create_folders(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    let mut above: Vec<_> = named(folder).collect();
    above.reverse();
    for folder in above {
        match disk.create_folder(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A path and those above it that have a name on the disk.
pub(super) fn named(path: &Path) -> impl Iterator<Item = &Path> {
    path.ancestors().filter(|path| !path.as_os_str().is_empty())
}

/// Makes the file that is to replace another one, beside it; what an interrupted attempt left is removed.
pub(super) fn create_beside(
    disk: &dyn Disk,
    path: &Path,
) -> io::Result<(PathBuf, Box<dyn DiskFile>)> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(NEW);
    let beside = PathBuf::from(beside);
    match disk.remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create_new(&beside)?;
    Ok((beside, file))
}

/// Makes a file of some bytes, durably, and removes it again: a disk that has no room for that takes no footage.
pub(super) fn try_room(disk: &dyn Disk, bytes: &[u8]) -> io::Result<()> {
    let (path, file) = create_beside(disk, Path::new(ROOM_FILE))?;
    let taken = file
        .append(&mut [IoSlice::new(bytes)])
        .and_then(|()| file.sync_data());
    drop(file);
    taken.and(disk.remove_file(&path))
}

/// Replaces a file: whoever reads it, now or after a crash, sees the old or the new content.
pub(super) fn replace(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let (beside, file) = create_beside(disk, path)?;
    file.append(&mut [IoSlice::new(content)])?;
    put(disk, &beside, &*file, path)
}

/// Puts a file that was written beside another into its place, durably.
pub(super) fn put(
    disk: &dyn Disk,
    beside: &Path,
    file: &dyn DiskFile,
    path: &Path,
) -> io::Result<()> {
    file.sync_data()?;
    disk.rename(beside, path)?;
    disk.sync_folder(path.parent().unwrap_or(Path::new("")))
}
