//! What can be wrong with a store, in sentences that say what to do.

use std::io;
use std::path::{Path, PathBuf};

use hearthkeep_format::{DiskId, StoreId};

use super::CatalogError;
use crate::config::size_text;

/// What the calls of this room return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store cannot be used, or not as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine refused.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process holds the lock.
    #[error(
        "another hearthkeep process uses this store{}: stop it first, or let it work; \
         list, play, export and check can be used meanwhile", pid_words(.pid)
    )]
    Locked {
        /// The process, where the lock file tells.
        pid: Option<u32>,
    },
    /// A folder that should be a disk has no id file.
    #[error(
        "{} has no hearthkeep-disk.json: its disk is not mounted, or it is new. \
         Nothing is written there. Mount the disk. Where it is lost, and another one is to take its place here, \
         `sudo hearthkeep disk add --replace {}` says so", disk.display(), disk.display()
    )]
    NotMounted {
        /// The folder.
        disk: PathBuf,
    },
    /// A disk is no longer where it was.
    #[error(
        "the disk at {} is gone: it was unmounted or unplugged, or another one is mounted there. It is used again by itself \
         once it is back", disk.display()
    )]
    Gone {
        /// The folder.
        disk: PathBuf,
    },
    /// A disk did not answer in time.
    #[error(
        "the disk at {} does not answer: it may be spinning up. Where that lasts, look at its cable, its power and its health. It is          used by itself once it answers", disk.display()
    )]
    NoAnswer {
        /// The folder.
        disk: PathBuf,
    },
    /// A disk was retired.
    #[error(
        "the disk at {} was retired: `hearthkeep disk add` takes it into use again", disk.display()
    )]
    Retired {
        /// The folder.
        disk: PathBuf,
    },
    /// No disk of the configuration goes by this id.
    #[error("there is no such disk in use: `hearthkeep disk list` shows those there are")]
    NoSuchDisk,
    /// The disk cannot be emptied, for the others have not enough room.
    #[error(
        "the other disks have room for {} of the {} of footage on it: add a disk, or say with --let-go that the oldest footage may \
         be deleted to make room", size_text(*.there), size_text(*.needed)
    )]
    NoRoom {
        /// Bytes of footage on it.
        needed: u64,
        /// Bytes that the others may take.
        there: u64,
    },
    /// Nothing would be left to record to.
    #[error(
        "it is the only disk there is to record to: add another one first, with `hearthkeep disk add`; one that is mounted at its folder \
         takes its place with --replace"
    )]
    LastDisk,
    /// The disk still has footage.
    #[error(
        "there are {} of footage on it ({segments} segments{}){}: empty it first with `hearthkeep disk drain`, or say with --forget that \
         this footage is given up", size_text(*.bytes), since_words(.oldest_us), held_words(*.held_bytes)
    )]
    NotEmpty {
        /// Segments that the catalog knows there.
        segments: u64,
        /// Their bytes.
        bytes: u64,
        /// Wall time at which the oldest starts, us.
        oldest_us: Option<i64>,
        /// Those of their bytes that are held.
        held_bytes: u64,
    },
    /// What was known of a disk that is away lies in a state folder that tells nothing.
    #[error(
        "the disk is away, and what lies on it stands in the catalog, which the state folder does not give (`hearthkeep status` says why): \
         mend that or bring the disk back first, or say with --forget that its footage is given up"
    )]
    Unlisted,
    /// A disk's id file cannot be understood.
    #[error(
        "{}/hearthkeep-disk.json cannot be understood: it is damaged or a newer version's. \
         Nothing is written there. Where it is damaged, `hearthkeep repair` writes it anew while the recorder is stopped; where a newer \
         version wrote it, use that version", disk.display()
    )]
    StrangeIdFile {
        /// The disk's folder.
        disk: PathBuf,
    },
    /// Another disk of the store is where this one should be.
    #[error(
        "{} holds disk {found} where the store expects disk {expected}: \
         mount the right one there, or change the configuration's paths", disk.display()
    )]
    OtherDisk {
        /// The folder.
        disk: PathBuf,
        /// The disk that is there.
        found: DiskId,
        /// The disk that should be.
        expected: DiskId,
    },
    /// A disk of another store is there.
    #[error(
        "{} belongs to another store ({found}): nothing is written there. \
         Use an empty folder or this store's own disk", disk.display()
    )]
    OtherStore {
        /// The folder.
        disk: PathBuf,
        /// The store it belongs to.
        found: StoreId,
    },
    /// No copy of a disk's keyring is whole.
    #[error(
        "no copy of the keyring on {} can be read: {source}. Each disk of the store has one: read another disk; on the box itself \
         `hearthkeep repair` writes it anew", disk.display()
    )]
    Keyring {
        /// The disk's folder.
        disk: PathBuf,
        /// What is wrong with it.
        source: hearthkeep_format::Error,
    },
    /// None of the disks can be used.
    #[error(
        "none of the store's disks can be used: `hearthkeep disk list` says what is wrong with each. Mount one, or add another with \
         `hearthkeep disk add`"
    )]
    NoDisk,
    /// No such segment.
    #[error("there is no such segment: it may have been deleted to make room")]
    NoSegment,
    /// The segment is on a disk that is not there.
    #[error(
        "this footage is on the disk {}, which is not here: plug it in and mount it, and it plays again", disk.display()
    )]
    Away {
        /// Its folder in the configuration.
        disk: PathBuf,
    },
    /// The log would go with a disk.
    #[error(
        "the other disks do not have all of the signed log yet, and it would go with this one: try again in a moment; where that does \
         not help, `hearthkeep status` says what is wrong with them"
    )]
    LastLog,
    /// What a hold asks for makes no sense.
    #[error("{0}")]
    Hold(&'static str),
    /// There is no room for another hold.
    #[error(
        "all holds together would take {} of the {} that the disks have for footage, and leave too little to new \
         footage: end holds that are not needed any more, hold less, or add a disk", size_text(*held_bytes), size_text(*room_bytes)
    )]
    HoldsTooMuch {
        /// What would be held.
        held_bytes: u64,
        /// What there is room for.
        room_bytes: u64,
    },
    /// No such hold.
    #[error("there is no such hold: it may have been ended by somebody else")]
    NoSuchHold,
    /// The log cannot take it.
    #[error("{0}")]
    Log(&'static str),
    /// The catalog cannot be used.
    #[error(
        "{0}. It is rebuilt from the footage at the next start; \
         `hearthkeep reindex` does it at once while the recorder is stopped"
    )]
    Catalog(#[from] CatalogError),
}

impl Error {
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

fn since_words(oldest_us: &Option<i64>) -> String {
    let oldest = oldest_us.and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
    oldest.map_or_else(String::new, |at| format!(", the oldest of {at:.0}"))
}

fn held_words(bytes: u64) -> String {
    match bytes {
        0 => String::new(),
        bytes => format!(
            ", of which {} are held, since somebody wants to keep them",
            size_text(bytes)
        ),
    }
}

fn pid_words(pid: &Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}
