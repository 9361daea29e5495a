//! What can be wrong with a state folder.

use std::io;
use std::path::PathBuf;

/// Why the keys of a store could not be read, made or changed. Each says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no store in this folder.
    #[error("there is no store in {}: make one with `hearthkeep init`, or start `hearthkeep run` and claim it in the page", .folder.display())]
    NotInitialised {
        /// The state folder.
        folder: PathBuf,
    },
    /// A store is there already.
    #[error("{} holds a store already: choose another state_dir, or move this folder away first", .folder.display())]
    Exists {
        /// The state folder.
        folder: PathBuf,
    },
    /// The machine key is gone.
    #[error("{} is missing, and without it this box cannot read its own settings: put it back from a backup of the state folder (footage still opens with the passphrase or the recovery kit, from the disks alone)", .path.display())]
    MachineKeyMissing {
        /// Where the key should be.
        path: PathBuf,
    },
    /// The machine key is not 32 bytes, or not the one that sealed the file.
    #[error("{} was changed, or was sealed by another machine key: put the whole state folder back from one backup, not single files", .path.display())]
    WrongMachineKey {
        /// The file that does not open.
        path: PathBuf,
    },
    /// A file that belongs to the store is gone.
    #[error("{} is missing: put the whole state folder back from one backup", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of this program has written it.
    #[error(
        "{} is of version {version}, which a newer version of Hearthkeep has written, and nothing here is touched: start that one again, or put \
         back the state folder that was copied before it", .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Of what it is.
        version: u32,
    },
    /// A file's content makes no sense.
    #[error("{} is damaged ({what}): put the whole state folder back from one backup", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Nobody has claimed the box yet: there is nobody to seal to.
    #[error("this box has no owner yet: claim it in its page, or run `hearthkeep init`")]
    NotClaimed,
    /// Somebody has claimed the box.
    #[error("this box has an owner already: sign in instead")]
    AlreadyClaimed,
    /// The material of a claim does not hold together.
    #[error("the claim was refused: {what}. Reload the page and try again")]
    BadClaim {
        /// What does not hold.
        what: &'static str,
    },
    /// The signed statements do not allow sealing to the newest generation.
    #[error(
        "the keyring was changed by somebody who may not ({what}): nothing is sealed to it. Put the state folder back from a backup"
    )]
    Untrusted {
        /// What does not verify.
        what: String,
    },
    /// More streams than a store may have.
    #[error("a store has at most {limit} streams, those of removed cameras included")]
    TooManyStreams {
        /// The limit.
        limit: usize,
    },
    /// The file system refused.
    #[error("{} cannot be {verb}: {source}", .path.display())]
    Io {
        /// "read" or "written".
        verb: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
