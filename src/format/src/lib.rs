//! Hearthkeep's sealed segments, envelopes and fragmented MP4.
//!
//! This crate does no IO and knows no clock and no randomness of its own: bytes go in, bytes come out, and whoever calls
//! it brings a [`Random`]. Whatever is opened in the browser, by the command line and by a fuzzer is opened here.
//! The layouts are specified in `docs/format.md`.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod aead;
pub mod age;
mod bech32;
pub mod epoch;
mod error;
pub mod fmp4;
pub mod fragmenter;
pub mod generation;
mod identity;
mod ids;
mod kdf;
mod keyring;
mod kind;
pub mod kit;
pub mod log;
pub mod merkle;
mod metadata;
pub mod passphrase;
mod random;
pub mod segment;
mod xseal;

pub use error::Error;
pub use identity::{Identity, RECIPIENT_LEN, Recipient, SigningKey, VerifyingKey};
pub use ids::{BootId, DiskId, EpochId, HoldId, LogId, RunId, SegmentId, StoreId, StreamId};
pub use keyring::{Keyring, OpenKeyring};
pub use kind::Kind;
pub use metadata::MetadataKey;
pub use random::Random;
#[cfg(any(test, feature = "test-util"))]
pub use random::SeededRandom;

/// What the readers and writers of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
