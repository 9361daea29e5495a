//! Hearthkeep.

pub mod clock;
pub mod keys;
pub mod limits;
pub mod random;
pub mod state_file;
