//! Copies of what a test keeps aside.

#![allow(clippy::unwrap_used)]

use std::path::Path;

/// Copies a file, or a folder with all in it; a socket is left out.
pub fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        std::fs::copy(from, to).unwrap();
    }
    if from.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    }
}
