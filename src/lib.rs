//! Hearthkeep.

pub mod clock;
pub mod disk;
pub mod limits;
pub mod random;
pub mod store;
