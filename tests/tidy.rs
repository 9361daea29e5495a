//! Keeps the house in order: layers, foreign libraries, paths in comments, file sizes, leftovers.
//!
//! Each rule is a pure function from files to complaints, and each has a test of its own that shows
//! it complaining. What the rules are for stands in `docs/architecture.md`.

use std::fs;
use std::path::{Path, PathBuf};

use prose::{expanded, joined, links_in, paths_in, prose_of};
use rust::{app_sources, code_only, crate_names, imports, layer_of, room_of, words};

/// The rooms of the app and their layers: an import goes to a lower number only.
const ROOMS: &[(u8, &[&str])] = &[
    (5, &["cli"]),
    (4, &["web"]),
    (3, &["record", "play", "archive", "pool"]),
    (2, &["camera", "store", "people", "keys", "lan"]),
    (1, &["disk", "clock", "config", "state_file"]),
    // The floor of layer 1: numbers and randomness that the rest of it stands on.
    (0, &["limits", "random"]),
];

/// One foreign library, one room: the beginnings of crate names, and of the paths they may be in.
const FOREIGN: &[(&str, &[&str])] = &[
    ("retina", &["src/camera/", "src/camera.rs"]),
    ("ffmpeg_", &["src/media/"]),
    ("sled", &["src/store/catalog"]),
    ("mdns_sd", &["src/lan/", "src/lan.rs"]),
    ("actix_", &["src/web/", "src/web.rs"]),
    ("awc", &["src/web/", "src/cli/"]),
    ("clap", &["src/cli/", "src/cli.rs", "src/main.rs"]),
];

/// What the sans-IO core never touches.
const NOT_IN_FORMAT: &[&str] = &[
    "std::fs",
    "std::net",
    "std::time::SystemTime",
    "std::time::Instant",
];

const TOP_FOLDERS: &[&str] = &[
    "docs/",
    "src/",
    "tests/",
    "web-ui/",
    "packaging/",
    "systemd/",
    "benches/",
    "fuzz/",
    ".ci/",
];
const SKIPPED_FOLDERS: &[&str] = &[
    "target",
    "node_modules",
    "dist",
    ".git",
    ".cache",
    "data",
    "__pycache__",
    "corpus",
];
/// Built, not kept: a document may name them in a clean clone.
const BUILT: &[&str] = &["web-ui/dist", "web-ui/src/wasm", "web-ui/node_modules"];
const LINES_MAX: usize = 600;

#[path = "tidy/proofs.rs"]
mod proofs;
#[path = "tidy/prose.rs"]
mod prose;
#[path = "tidy/rust.rs"]
mod rust;

struct File {
    path: String,
    text: String,
}

impl File {
    fn is(&self, extensions: &[&str]) -> bool {
        extensions
            .iter()
            .any(|extension| self.path.ends_with(extension))
    }

    fn is_under(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }
}

#[test]
fn imports_go_down_only() {
    none(wrong_imports(&house()));
}

#[test]
fn one_foreign_library_one_room() {
    none(strangers(&house()));
}

#[test]
fn the_format_does_no_io() {
    none(io_in_format(&house()));
}

#[test]
fn every_path_that_is_named_exists() {
    let root = root();
    none(dead_paths(&house(), &|path| root.join(path).exists()));
}

#[test]
fn no_file_is_too_long() {
    none(long_files(&house()));
}

#[test]
fn nothing_is_left_undone_or_skipped() {
    none(leftovers(&house()));
}

#[test]
fn no_machine_is_named() {
    none(machine_paths(&house()));
}

fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

// The rules.

fn wrong_imports(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in app_sources(files) {
        let Some(room) = room_of(&file.path) else {
            continue;
        };
        let Some(layer) = layer_of(room) else {
            found.push(format!(
                "{}: room `{room}` has no layer in tests/tidy.rs",
                file.path
            ));
            continue;
        };
        for (line, target) in imports(&code_only(&file.text), "crate") {
            // An item of the crate's root, such as a macro, is no room.
            let Some(other) = layer_of(&target) else {
                continue;
            };
            if target != room && other >= layer {
                found.push(format!(
                    "{}:{line}: `{room}` (layer {layer}) imports `{target}` (layer {other})",
                    file.path
                ));
            }
        }
    }
    found
}

fn strangers(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.is(&[".rs"]) && file.is_under(&["src/"]))
    {
        for (line, word) in crate_names(&code_only(&file.text)) {
            for (library, homes) in FOREIGN {
                let matches = word == *library
                    || (word.starts_with(library)
                        && (library.ends_with('_') || word[library.len()..].starts_with('_')));
                if matches && !file.is_under(homes) {
                    let homes = homes.join(", ");
                    found.push(format!("{}:{line}: `{word}` belongs in {homes}", file.path));
                }
            }
        }
    }
    found
}

fn io_in_format(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.is(&[".rs"]) && file.is_under(&["src/format/src/"]))
    {
        let code = code_only(&file.text);
        for banned in NOT_IN_FORMAT {
            let (room, rest) = banned.split_once("::").expect("every entry is a path");
            let last = banned.rsplit("::").next().expect("a path has a last part");
            // Types are known by their name however they were imported; modules by their path.
            let lines: Vec<usize> = if last.starts_with(char::is_uppercase) {
                words(&code)
                    .filter(|(_, word, _)| *word == last)
                    .map(|(line, ..)| line)
                    .collect()
            } else {
                let found = imports(&code, room).into_iter();
                found
                    .filter(|(_, target)| target == rest)
                    .map(|(line, _)| line)
                    .collect()
            };
            for line in lines {
                found.push(format!(
                    "{}:{line}: `{banned}` in the sans-IO core",
                    file.path
                ));
            }
        }
    }
    found
}

fn dead_paths(files: &[File], exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let kinds = [
        ".rs", ".md", ".ts", ".tsx", ".py", ".sh", ".toml", ".service", "Makefile",
    ];
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is(&kinds)) {
        for (number, line) in file.text.lines().enumerate() {
            let mut named = Vec::new();
            if let Some(prose) = prose_of(file, line) {
                named.extend(paths_in(prose));
            }
            if file.is(&[".md"]) {
                named.extend(links_in(line));
            }
            named.sort();
            named.dedup();
            // A comment may speak from the root or, in a nested crate, from there.
            for path in named.iter().flat_map(|path| expanded(path)) {
                let mut folders = Path::new(&file.path).ancestors().skip(1);
                let known = folders.any(|folder| {
                    let path = joined(folder, &path);
                    BUILT.iter().any(|built| path.starts_with(built)) || exists(&path)
                });
                if !known {
                    let at = number + 1;
                    found.push(format!("{}:{at}: `{path}` does not exist", file.path));
                }
            }
        }
    }
    found
}

fn long_files(files: &[File]) -> Vec<String> {
    let kinds = [".rs", ".ts", ".tsx", ".css", ".py", ".sh"];
    let folders = ["src/", "tests/", "web-ui/src/"];
    files
        .iter()
        .filter(|file| file.is(&kinds) && file.is_under(&folders))
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(file, lines)| format!("{}: {lines} lines, {LINES_MAX} are allowed", file.path))
        .collect()
}

fn leftovers(files: &[File]) -> Vec<String> {
    let rust: &[&str] = &["#[ignore", "todo!(", "unimplemented!("];
    let script: &[&str] = &[".only(", ".skip("];
    let mut found = Vec::new();
    for file in files {
        let (banned, code) = if file.is(&[".rs"]) {
            (rust, code_only(&file.text))
        } else if file.is(&[".ts", ".tsx", ".js", ".mjs"]) {
            (script, file.text.clone())
        } else {
            continue;
        };
        for (number, line) in code.lines().enumerate() {
            for mark in banned.iter().filter(|mark| line.contains(**mark)) {
                found.push(format!("{}:{}: `{mark}`", file.path, number + 1));
            }
        }
    }
    found
}

fn machine_paths(files: &[File]) -> Vec<String> {
    // In two pieces, since this file is looked at too.
    let banned = [
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
    ];
    let mut found = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            for path in banned {
                // Inside a longer path or address it is somebody's folder name, not a machine's.
                let at_start = line.match_indices(path).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-*>".contains(c))
                });
                if at_start {
                    found.push(format!("{}:{}: names {path}…", file.path, number + 1));
                }
            }
        }
    }
    found
}

// The files.

fn root() -> PathBuf {
    PathBuf::from(option_env!("CARGO_MANIFEST_DIR").unwrap_or("."))
}

/// Every text file of the house that is not built or fetched.
fn house() -> Vec<File> {
    let root = root();
    let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the house can be read") {
            let path = entry.expect("the house can be read").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let inner = path
                .strip_prefix(&root)
                .expect("found below the root")
                .to_string_lossy();
            let inner = inner.into_owned();
            // In a worktree .git is a file.
            if SKIPPED_FOLDERS.contains(&name.as_str()) || BUILT.contains(&inner.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.push(File { path: inner, text });
            }
        }
    }
    assert!(
        found.len() > 10,
        "the house was not found: run this from its root"
    );
    found
}
