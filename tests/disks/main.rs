//! The pool of disks: they leave, return, are replaced, emptied, added and taken out while recording goes on.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../common/chance.rs"]
mod chance;
#[path = "../web/client.rs"]
#[allow(dead_code)]
mod client;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/installation.rs"]
mod installation;
#[path = "../common/left_out.rs"]
mod left_out;
#[path = "../common/rows.rs"]
mod rows;
#[path = "../store_support/mod.rs"]
mod store_support;
#[path = "../common/viewer.rs"]
mod viewer;

mod accused;
mod budgets;
mod coming;
mod commands;
mod cooling;
mod copies;
mod doubtful;
mod failing;
mod id_file;
mod limited;
mod misplaced;
mod mounts;
mod moved;
mod moving;
mod new;
mod reindexed;
mod rig;
mod silent;
mod taken;
mod unconfigured;
mod waiting;
