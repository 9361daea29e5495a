//! Hearthkeep.
