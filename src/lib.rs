//! Hearthkeep.

pub mod camera;
pub mod clock;
pub mod config;
pub mod keys;
pub mod limits;
pub mod people;
pub mod random;
pub mod state_file;
pub mod web;
