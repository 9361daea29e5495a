//! What a machine cannot do is left out and told at the end of `make test`; with `HEARTHKEEP_TEST_NO_SKIPS=1` it is a failure.

#![allow(dead_code, clippy::unwrap_used)]

use std::io::Write as _;

/// Whether something may be left out.
pub fn is_allowed() -> bool {
    std::env::var_os("HEARTHKEEP_TEST_NO_SKIPS").is_none()
}

/// Leaves a test out that cannot be done here, for this reason.
///
/// # Panics
/// Where nothing is to be left out.
pub fn leave_out(test: &str, why: &str) {
    assert!(is_allowed(), "{test}: {why}");
    println!("left out: {test}: {why}");
    note(test, why);
}

/// Notes that a test was left out, for who runs them all (`HEARTHKEEP_TEST_LEFT_OUT`, a file).
pub fn note(test: &str, why: &str) {
    let Some(file) = std::env::var_os("HEARTHKEEP_TEST_LEFT_OUT") else {
        return;
    };
    let file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(file);
    // In one write, since others write too.
    file.unwrap()
        .write_all(format!("{test}: {why}\n").as_bytes())
        .unwrap();
}
