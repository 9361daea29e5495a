//! `log/deleted.sealed` on the disks: deletions that neither the log nor the state folder takes, as while that is read-only.
//!
//! They are written here before the files go, and sealed with the machine's own key: who has a disk alone cannot make a theft a
//! deletion. What is written here counts as long as the log that it was written beside has not gone on: all that was waiting is in that then.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep_format::log::{Deleted, Record, Stamped};
use hearthkeep_format::{LogId, Random, StoreId};

use super::files::LogFiles;
use super::own::OwnFile;
use crate::disk::{Disk, read_file};
use crate::limits::LOG_REFUGE_BYTES_MAX;
use crate::state_file::StateKey;
use crate::store::layout;

const FILE: &str = "deleted.sealed";
const HEAD: usize = 24;
const UNUSABLE: &str = "it was changed, or sealed by another machine key. Of some footage that was deleted while the state folder took nothing \
                        the signed log does not say so";
const SEALED: &str = "the state folder took nothing for a while: what was deleted then stands here, which only that folder opens. See what \
                      `hearthkeep check` says with it";

/// The log that the deletions are to go into, and how many entries of it are published.
pub(super) type Beside = (LogId, u64);

/// What a disk has of such deletions.
pub(super) struct Refuge {
    beside: Beside,
    sealed: Vec<u8>,
}

fn path() -> PathBuf {
    Path::new(layout::LOG).join(FILE)
}

/// What it is sealed for: that it stands where it was put.
fn name((log, size): Beside) -> String {
    format!("log/{FILE}/{log}/{size}")
}

/// Seals these for disks.
///
/// # Errors
/// Where they are more than a disk is to have.
pub(super) fn seal<'a>(
    key: &StateKey,
    beside: Beside,
    deleted: impl Iterator<Item = &'a Deleted>,
    random: &mut dyn Random,
) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    for deleted in deleted {
        let mut record = Vec::new();
        let stamped = Stamped {
            wall_us: 0,
            clock_trusted: false,
            record: Record::Deleted(deleted.clone()),
        };
        stamped.encode(&mut record).map_err(io::Error::other)?;
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        plain.extend_from_slice(&length.to_be_bytes());
        plain.append(&mut record);
    }
    let (log, size) = beside;
    let mut bytes = [log.as_bytes(), &size.to_be_bytes()[..]].concat();
    bytes.append(&mut key.seal(&name(beside), &plain, random));
    match bytes.len() as u64 > LOG_REFUGE_BYTES_MAX {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

/// Puts what was sealed on a disk, durably, in the place of what was there.
pub(super) fn put(disk: &dyn Disk, sealed: &[u8]) -> io::Result<()> {
    layout::replace(disk, &path(), sealed)
}

/// Removes it from a disk, if it is there.
pub(super) fn remove(disk: &dyn Disk) -> io::Result<()> {
    match disk.remove_file(&path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Reads what a disk has; `None` where it has none.
pub(super) fn read(disk: &dyn Disk) -> io::Result<Option<Refuge>> {
    let bytes = match read_file(disk, &path(), LOG_REFUGE_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let head = bytes.first_chunk::<HEAD>();
    let head = head.ok_or(io::ErrorKind::InvalidData)?;
    let (log, size) = head.split_at(16);
    let log = LogId::from_bytes(log.try_into().expect("24 bytes are 16 and 8"));
    let size = size.try_into().expect("24 bytes are 16 and 8");
    Ok(Some(Refuge {
        beside: (log, u64::from_be_bytes(size)),
        sealed: bytes[HEAD..].to_vec(),
    }))
}

impl Refuge {
    /// Whether its log has not gone on since, as far as these disks and what is known of the log say.
    pub fn counts<'a>(
        &self,
        mut disks: impl Iterator<Item = &'a dyn Disk>,
        store: &StoreId,
        known: Option<Beside>,
    ) -> bool {
        let (log, size) = self.beside;
        let went_on = |disk| {
            LogFiles::open(disk, store, &log).is_ok_and(|files| files.checkpoint.size > size)
        };
        known.is_none_or(|(of, now)| of != log || now <= size) && !disks.any(went_on)
    }

    /// The deletions; `None` where another key sealed them, or they are not as they were written.
    pub fn open(&self, key: &StateKey) -> Option<Vec<Deleted>> {
        let plain = key.open(&name(self.beside), &self.sealed)?;
        let (mut rest, mut deleted) = (&plain[..], Vec::new());
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (record, behind) = behind.split_at_checked(length)?;
            let stamped = Stamped::decode(record).ok()?;
            let Record::Deleted(record) = stamped.record else {
                return None;
            };
            deleted.push(record);
            rest = behind;
        }
        rest.is_empty().then_some(deleted)
    }
}

/// Says that one does not open.
pub(super) fn unusable(disk: &Path) {
    let file = disk.join(path());
    tracing::error!("{} cannot be used: {UNUSABLE}", file.display());
}

/// What disks remember of deletions that the log is still to be told.
#[derive(Default)]
pub struct OnDisks {
    /// The deletions.
    pub deleted: Vec<Deleted>,
    /// Where something is remembered that cannot be read: on which of the disks, in which file, and why.
    pub unread: Vec<(usize, PathBuf, String)>,
}

/// Asks disks for it. Without the state folder nobody can read it.
pub fn unlogged_on(
    disks: &[Arc<dyn Disk>],
    store: &StoreId,
    state: Option<(&Path, StateKey)>,
) -> OnDisks {
    let mut found = OnDisks::default();
    let signed = state.as_ref().and_then(|(folder, key)| {
        let (_, checkpoint) = OwnFile::new(folder, key.clone()).read(*store).ok()??;
        Some((checkpoint.log, checkpoint.size))
    });
    for (number, disk) in disks.iter().enumerate() {
        let why = match (read(&**disk), &state) {
            (Ok(None), _) => continue,
            (Ok(Some(refuge)), _)
                if !refuge.counts(disks.iter().map(|disk| &**disk), store, signed) =>
            {
                continue;
            }
            (Ok(Some(refuge)), Some((_, key))) => match refuge.open(key) {
                Some(records) => {
                    found.deleted.extend(records);
                    continue;
                }
                None => UNUSABLE.to_owned(),
            },
            (Ok(Some(_)), None) => SEALED.to_owned(),
            (Err(error), _) => error.to_string(),
        };
        found.unread.push((number, path(), why));
    }
    found
}
