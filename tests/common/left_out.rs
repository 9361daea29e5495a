//! What a machine cannot do is left out and told at the end of `make test`. With `HEARTHKEEP_TEST_NO_SKIPS=programs` it is a failure
//! where a package is missing, with any other value always.

#![allow(dead_code, clippy::unwrap_used)]

use std::io::Write as _;

/// Why a test is left out.
#[derive(Debug, Clone, Copy)]
pub struct Missing {
    /// In words.
    pub words: &'static str,
    /// Whether a package would bring it.
    pub is_program: bool,
}

impl Missing {
    /// Something of the machine itself.
    pub const fn of_the_machine(words: &'static str) -> Self {
        Self {
            words,
            is_program: false,
        }
    }

    /// Whether it is a failure.
    pub fn must_not_be(&self) -> bool {
        match std::env::var("HEARTHKEEP_TEST_NO_SKIPS").ok().as_deref() {
            None => false,
            Some("programs") => self.is_program,
            Some(_) => true,
        }
    }
}

/// Leaves a test out that cannot be done here.
///
/// # Panics
/// Where nothing is to be left out.
pub fn leave_out(test: &str, missing: Missing) {
    assert!(!missing.must_not_be(), "{test}: {}", missing.words);
    println!("left out: {test}: {}", missing.words);
    note(test, missing.words);
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
