//! Why somebody was not let in, or an account not made.

use std::io;
use std::path::PathBuf;

/// What can go wrong with accounts and sign-ins.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name is not known, or the passphrase is another: never told apart.
    #[error("the name or the passphrase is wrong")]
    WrongNameOrPassphrase,
    /// Too many attempts, from this address or at this account.
    #[error("too many attempts: try again in {wait_s} s")]
    Throttled {
        /// Until the next attempt is looked at, in seconds.
        wait_s: u64,
    },
    /// Too many passphrases are being checked at this moment.
    #[error("too many people are signing in at once: try again in a moment")]
    Busy,
    /// What a client made for an account is not acceptable.
    #[error("the account was refused: {what}")]
    BadAccount {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file of accounts was changed or sealed by another machine key.
    #[error("{} was changed, or was sealed by another machine key: put the whole state folder back from one backup", .path.display())]
    WrongMachineKey {
        /// The file.
        path: PathBuf,
    },
    /// The file of accounts opens but makes no sense.
    #[error("{} is damaged ({what}): put the whole state folder back from one backup", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file system refused.
    #[error("{} cannot be {verb}: {source}", .path.display())]
    Io {
        /// "read" or "written".
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
