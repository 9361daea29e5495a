//! What can be wrong with a disk or a command, in sentences that say what to do.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::Shared;
use crate::{config, keys, store};

/// What the calls of this room return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a disk cannot be used, or not as commanded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store's own words.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The state folder's own words.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// The configuration's own words.
    #[error(transparent)]
    Config(#[from] config::EditError),
    /// It lies in another disk of the store, or around one or the state folder.
    #[error(transparent)]
    Nested(#[from] config::Nested),
    /// The configuration is not the recorder's to change.
    #[error(
        "the configuration {} may not be changed from here ({source}), and nothing was done: type `sudo {command}` on the box",
        path.display()
    )]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
        /// What does it, typed by who may.
        command: String,
    },
    /// The folder cannot be written to.
    #[error(
        "the recorder cannot write to the disk folder {} ({source}): give it to the user that the recorder runs as, such as with \
         `sudo chown hearthkeep: FOLDER`; a service may write below /srv, /mnt and /media only, unless its ReadWritePaths name more", path.display()
    )]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The folder cannot be opened.
    #[error(
        "the disk folder {} cannot be opened ({source}): make it, mount it, or change the path in the configuration",
        path.display()
    )]
    Open {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is something in the folder, and it is no disk of the store.
    #[error(
        "{} is no disk of this store, and not empty (there is {found:?} in it): name an empty folder for footage, such as a new one \
         in it", path.display()
    )]
    NotEmptyFolder {
        /// The folder.
        path: PathBuf,
        /// What is in it, for one.
        found: OsString,
    },
    /// An empty folder that nobody has made a disk of.
    #[error("{}", new_folder(path, *shared))]
    NewFolder {
        /// The folder.
        path: PathBuf,
        /// Whose file system it is on, where that is no disk of its own.
        shared: Option<Shared>,
    },
    /// It is one of the disks.
    #[error("this is the disk at {} already", path.display())]
    InUseAlready {
        /// That disk's folder.
        path: PathBuf,
    },
    /// It is configured at two paths.
    #[error(
        "the disk at {} is another configured one once more (a copy, or the same folder by another name): take one of both out of \
         the configuration", path.display()
    )]
    Twice {
        /// The second folder.
        path: PathBuf,
    },
    /// Its keyring is another owner's.
    #[error(
        "the disk {} is not used, since its keyring is not one that this box may replace: {source}", path.display()
    )]
    Untrusted {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        source: keys::Error,
    },
    /// Nothing is recorded yet.
    #[error(
        "the store is not open yet: the box waits for its owner, none of its disks is there, or it has just been started. Try again \
         once it records"
    )]
    NotOpen,
    /// The disk that is to be replaced is the one that is there.
    #[error("the disk at {} is there, and not lost: nothing takes its place", path.display())]
    StillThere {
        /// The folder.
        path: PathBuf,
    },
    /// The disk that is to be replaced is used at another folder.
    #[error(
        "the disk that was at {} is the one at {} now, and not lost: name another folder for a new one",
        path.display(), now.display()
    )]
    Moved {
        /// Where it was.
        path: PathBuf,
        /// Where it is.
        now: PathBuf,
    },
    /// It cannot be looked at what else is on it.
    #[error(
        "none of the disks is there, so what lies on this one cannot be moved: add another one with `hearthkeep disk add`, or say with \
         --forget that its footage is given up"
    )]
    NotLookedAt,
    /// It is out of the configuration, so that nobody looks what is on it.
    #[error(
        "this disk is not in the configuration, so that nobody knows what lies on it: put it back with `hearthkeep disk add`, or say with \
         --forget that its footage is given up"
    )]
    LeftOut,
    /// It is out of the configuration, so that nothing can be done with it.
    #[error("this disk is not in the configuration: put it back first, with `hearthkeep disk add`")]
    NotConfigured,
    /// There are files on it that the catalog does not know.
    #[error(
        "{files} files stay on it that are no whole footage of this box, or were moved and could not be deleted there: look at them with \
         `hearthkeep check`, and say with --forget that they are given up"
    )]
    LeftBehind {
        /// How many.
        files: u64,
    },
}

fn new_folder(path: &Path, shared: Option<Shared>) -> String {
    let path = path.display();
    let place = shared.map_or(String::new(), |shared| {
        format!(", and on {shared}: the disk that is meant may not be mounted")
    });
    format!(
        "{path} is an empty folder and no disk of this store{place}. Nothing is written there. Mount the disk; if this folder is \
         meant, `sudo hearthkeep disk add {path}` makes a disk of it"
    )
}
