//! The signed log: what stands in it, and what is said where somebody changes it or the footage that it tells of.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../store_support/mod.rs"]
mod store_support;

mod keeping;
mod rig;
