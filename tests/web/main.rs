//! A real server on loopback with TLS, asked by a small client that says exactly what a test wants said.
#![allow(clippy::unwrap_used)]

mod access;
mod claim;
mod client;
mod disks;
mod footage;
mod holds;
mod house;
mod live;
mod metrics;
mod sign_in;
