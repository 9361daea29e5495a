//! The signed log: what stands in it, and what is said where somebody changes it or the footage that it tells of.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/copied.rs"]
mod copied;
#[path = "../common/installation.rs"]
mod installation;
#[path = "../store_support/log_files.rs"]
mod log_files;
#[path = "../store_support/mod.rs"]
mod store_support;

mod aside;
mod audits;
mod away;
mod begun;
mod called;
mod clock;
mod copies;
mod full;
mod givenup;
mod hanging;
mod holding;
mod keeping;
mod long;
mod rig;
mod seen;
mod summary;
mod unread;
mod untaken;
mod words;
