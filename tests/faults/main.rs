//! Faults made for real: disks that lose their power, run full, crawl, fail or hang, and a recorder that is stopped or runs
//! out of memory. Judged by the pictures that are exported afterwards.
//!
//! What the machine cannot do is left out, said and counted ([`left_out`]).
#![allow(clippy::unwrap_used)]

#[path = "../common/chance.rs"]
mod chance;
#[path = "../web/client.rs"]
#[allow(dead_code)]
mod client;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/installation.rs"]
mod installation;
#[path = "../common/judge.rs"]
mod judge;
#[path = "../common/left_out.rs"]
mod left_out;
#[path = "../common/rows.rs"]
mod rows;
#[path = "../common/street.rs"]
mod street;
#[path = "../common/told_gap.rs"]
mod told_gap;
#[path = "../common/viewer.rs"]
mod viewer;

mod durable;
mod failing_disk;
mod full_disk;
mod fuse_disk;
mod hanging_disk;
mod loop_disk;
mod machine;
mod memory;
mod pool;
mod power_cut;
mod slow_disk;
mod state_folder;
mod stopped;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use machine::Need;

/// A test's name, what it needs, and itself.
type Test = (&'static str, &'static [Need], fn());

const TESTS: &[Test] = &[
    (
        "power_cut::ext4",
        &[Need::Root, Need::Ext4],
        power_cut::on_ext4,
    ),
    (
        "power_cut::xfs",
        &[Need::Root, Need::Xfs],
        power_cut::on_xfs,
    ),
    (
        "slow_disk::a_tenth_of_the_speed",
        &[Need::Root, Need::Fuse],
        slow_disk::a_tenth_of_the_speed,
    ),
    (
        "slow_disk::slow_to_sync",
        &[Need::Root, Need::Fuse],
        slow_disk::slow_to_sync,
    ),
    (
        "slow_disk::reads_that_hang",
        &[Need::Root, Need::Fuse],
        slow_disk::reads_that_hang,
    ),
    (
        "failing_disk::errors",
        &[Need::Root, Need::Fuse],
        failing_disk::errors,
    ),
    (
        "failing_disk::a_sync_that_hangs",
        &[Need::Root, Need::Fuse],
        failing_disk::a_sync_that_hangs,
    ),
    (
        "failing_disk::a_sync_that_hangs_on_the_only_disk",
        &[Need::Root, Need::Fuse],
        failing_disk::a_sync_that_hangs_on_the_only_disk,
    ),
    (
        "hanging_disk::beside_one_that_works",
        &[Need::Root, Need::Fuse],
        hanging_disk::beside_one_that_works,
    ),
    (
        "hanging_disk::that_crawls",
        &[Need::Root, Need::Fuse],
        hanging_disk::that_crawls,
    ),
    (
        "pool::a_disk_that_goes_takes_along_what_was_queued",
        &[Need::Root, Need::Fuse],
        pool::a_disk_that_goes_takes_along_what_was_queued,
    ),
    ("full_disk::budgets_hold", &[], full_disk::budgets_hold),
    (
        "full_disk::no_room_at_all",
        &[Need::Root, Need::Ext4],
        full_disk::no_room_at_all,
    ),
    (
        "full_disk::no_inodes",
        &[Need::Root, Need::Ext4],
        full_disk::no_inodes,
    ),
    (
        "full_disk::no_inodes_beside_a_disk_with_room",
        &[Need::Root, Need::Ext4],
        full_disk::no_inodes_beside_a_disk_with_room,
    ),
    (
        "full_disk::no_room_for_the_state",
        &[Need::Root, Need::Ext4],
        full_disk::no_room_for_the_state,
    ),
    (
        "state_folder::read_only",
        &[Need::Root, Need::Ext4, Need::FailingExt4],
        state_folder::read_only,
    ),
    ("stopped::for_a_while", &[], stopped::for_a_while),
    (
        "memory::that_runs_out",
        &[Need::Root, Need::MemoryGroup],
        memory::that_runs_out,
    ),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They measure time, and would take the processor from each other.
    arguments.test_threads.get_or_insert(1);
    let mut left_out = Vec::new();
    let mut trials = Vec::new();
    for (name, needs, test) in TESTS {
        let missing = needs.iter().find_map(|need| need.missing());
        let trial = match missing {
            Some(words) if !left_out::is_allowed() => {
                Trial::test(*name, move || Err(Failed::from(words)))
            }
            Some(words) => {
                left_out.push((name, words));
                Trial::test(*name, || Ok(())).with_ignored_flag(true)
            }
            None => Trial::test(*name, || {
                test();
                Ok(())
            }),
        };
        trials.push(trial);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list && !left_out.is_empty() {
        for (name, words) in &left_out {
            eprintln!("left out: {name}: {words}");
            left_out::note(name, words);
        }
        eprintln!(
            "{} of {} fault tests were left out",
            left_out.len(),
            TESTS.len()
        );
    }
    conclusion.exit_code()
}
