//! The recorder in this process, with cameras that do what a test says and a disk that fails when told to: what ends runs
//! and segments, what the gap after them is called, and what live viewers see of it.
#![allow(clippy::unwrap_used)]

mod causes;
mod ends;
mod live;
mod panics;
mod rig;
#[path = "../common/scripted.rs"]
mod scripted;
mod slow_disk;
#[path = "../store_support/mod.rs"]
mod store_support;
mod watchdog;
