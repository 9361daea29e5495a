//! Hearthkeep: a home-base for security cameras that records sealed footage it cannot read back.
//!
//! Rooms, from the top; imports go down only (`docs/architecture.md`, kept by `tests/tidy.rs`):
//!
//! ```text
//! L5  cli
//! L4  web
//! L3  record   play   archive   pool
//! L2  camera   store   keys   people   lan
//! L1  disk   clock   random   config   limits   state_file
//! L0  hearthkeep-format (a crate of its own)
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod archive;
pub mod camera;
pub mod cli;
pub mod clock;
pub mod config;
pub mod disk;
pub mod keys;
pub mod lan;
pub mod limits;
pub mod people;
pub mod play;
pub mod pool;
pub mod random;
pub mod record;
pub mod state_file;
pub mod store;
pub mod web;
