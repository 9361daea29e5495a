//! Hearthkeep.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod camera;
pub mod clock;
pub mod config;
pub mod limits;
pub mod random;
