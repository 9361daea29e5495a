//! Hearthkeep.

pub mod clock;
pub mod limits;
pub mod random;
