//! A wall clock that is wrong, for the program under test only.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// A library to preload, made by the C compiler that links Rust programs too, and the file it reads.
pub struct ShiftedClock {
    library: PathBuf,
    shift: PathBuf,
}

impl ShiftedClock {
    /// Makes both in a folder; the clock is right at first.
    pub fn make(folder: &Path) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/shifted_clock.c");
        let clock = Self {
            library: folder.join("shifted_clock.so"),
            shift: folder.join("shift"),
        };
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&clock.library)
            .arg(source)
            .status();
        assert!(made.unwrap().success());
        clock.show_the_time();
        clock
    }

    /// As a box without a battery for its clock.
    pub fn show_1970(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.write(1_000 - now.as_secs() as i64);
    }

    /// As a box whose clock was set by mistake.
    pub fn show_years_ahead(&self, years: i64) {
        self.write(years * 365 * 86_400);
    }

    pub fn show_the_time(&self) {
        self.write(0);
    }

    /// The environment of a program that is to have this clock.
    pub fn variables(&self) -> [(&str, &str); 2] {
        [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("SHIFTED_CLOCK", self.shift.to_str().unwrap()),
        ]
    }

    fn write(&self, seconds: i64) {
        std::fs::write(&self.shift, seconds.to_string()).unwrap();
    }
}
