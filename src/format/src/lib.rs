//! Hearthkeep.

pub mod fmp4;
pub mod fragmenter;
