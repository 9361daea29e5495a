//! Hearthkeep.

pub mod camera;
pub mod clock;
pub mod config;
pub mod limits;
pub mod random;
