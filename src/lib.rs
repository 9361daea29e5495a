//! Hearthkeep.

pub mod clock;
pub mod config;
pub mod limits;
pub mod random;
