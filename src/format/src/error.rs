//! What can be wrong with bytes that are to be opened.

/// Why bytes could not be parsed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end before what they promise.
    #[error("{what} is cut short")]
    Truncated {
        /// The structure that was being read.
        what: &'static str,
    },
    /// A check of authenticity failed: the bytes are not those that were sealed, or the key is another.
    #[error("{what} was changed or damaged after it was sealed")]
    Tampered {
        /// The structure whose check failed.
        what: &'static str,
    },
    /// None of the identities given can open this envelope.
    #[error("no identity at hand opens this envelope")]
    NoMatchingIdentity,
    /// A version or suite that this program does not know.
    #[error("{what} has version {found}, which this program does not know")]
    UnknownVersion {
        /// The structure that carries the version.
        what: &'static str,
        /// The version found.
        found: u32,
    },
    /// The bytes are not laid out as they must be.
    #[error("{what} is malformed at byte {offset}")]
    Malformed {
        /// The structure that was being read.
        what: &'static str,
        /// Where in it, in bytes.
        offset: usize,
    },
    /// A documented limit is exceeded (see `docs/format.md`, section 7).
    #[error("{what} is beyond the limit of {limit}")]
    Limit {
        /// What is too large or too many.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The bytes are whole but belong to something else (another store, stream or generation).
    #[error("{what} belongs to something else")]
    Foreign {
        /// What does not belong here.
        what: &'static str,
    },
    /// A text that a person copies has a mistake in it. It is not quoted: it may be a secret.
    #[error("{what} has a mistake in it: compare it with the original, character by character")]
    Mistyped {
        /// The text that was being read.
        what: &'static str,
    },
    /// The passphrase does not open the identity that was sealed under it.
    #[error("the passphrase is wrong, or the identity sealed under it was changed")]
    WrongPassphrase,
    /// Parameters weaker than this program accepts, whoever asks for them.
    #[error("{what} is weaker than this program accepts")]
    Weak {
        /// What is too weak.
        what: &'static str,
    },
    /// What was asked for is sealed under a key that was not given.
    #[error("{what} is sealed under a key that is not at hand")]
    MissingKey {
        /// What was asked for.
        what: &'static str,
    },
}
