//! Keeps the house in order: layers, foreign libraries, paths in comments, file sizes, leftovers.
//!
//! Each rule is a pure function from files to complaints, and each has a test of its own that shows
//! it complaining. What the rules are for stands in `docs/architecture.md`.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the app and their layers: an import goes to a lower number only.
const ROOMS: &[(u8, &[&str])] = &[
    (5, &["cli"]),
    (4, &["web"]),
    (3, &["record", "play", "archive"]),
    (2, &["camera", "store", "people", "keys", "lan"]),
    (1, &["disk", "clock", "config", "limits", "random"]),
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
                let known = BUILT.iter().any(|built| path.starts_with(built))
                    || folders.any(|folder| exists(&joined(folder, &path)));
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

// Reading Rust, as far as the rules need it.

fn app_sources(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| {
        let nested = file.is_under(&["src/format/", "src/media/"]);
        let front = ["src/main.rs", "src/lib.rs"].contains(&file.path.as_str());
        file.is(&[".rs"]) && file.is_under(&["src/"]) && !nested && !front
    })
}

fn room_of(path: &str) -> Option<&str> {
    path.strip_prefix("src/")?.split(['/', '.']).next()
}

fn layer_of(room: &str) -> Option<u8> {
    ROOMS
        .iter()
        .find(|(_, rooms)| rooms.contains(&room))
        .map(|(layer, _)| *layer)
}

/// The first steps after `root::`, also out of a group: `root::{a, b::c}` gives a and b.
/// A step of two parts is given too (`b::c`), for rules about deeper paths.
fn imports(code: &str, root: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, word, end) in words(code) {
        if word != root {
            continue;
        }
        if let Some(rest) = code[end..].trim_start().strip_prefix("::") {
            targets(rest, "", &mut |target| found.push((line, target)));
        }
    }
    found
}

fn targets(rest: &str, prefix: &str, give: &mut dyn FnMut(String)) {
    let rest = rest.trim_start();
    let Some(group) = rest.strip_prefix('{') else {
        let name: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if name.is_empty() {
            return;
        }
        let deeper = rest[name.len()..].trim_start().strip_prefix("::");
        let path = format!("{prefix}{name}");
        if let Some(deeper) = deeper.filter(|_| prefix.is_empty()) {
            targets(deeper, &format!("{path}::"), give);
        }
        give(path);
        return;
    };
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return targets(&group[begin..at], prefix, give),
            '}' => depth -= 1,
            ',' if depth == 0 => {
                targets(&group[begin..at], prefix, give);
                begin = at + 1;
            }
            _ => {}
        }
    }
}

/// Words that stand where a crate's name would: at the beginning of a path, or after `use`.
fn crate_names(code: &str) -> Vec<(usize, &str)> {
    let mut before = "";
    let mut found = Vec::new();
    for (line, word, end) in words(code) {
        let begins = !code[..end - word.len()].trim_end().ends_with("::");
        if begins && (code[end..].trim_start().starts_with("::") || before == "use") {
            found.push((line, word));
        }
        before = word;
    }
    found
}

/// (line, word, where it ends), from the first to the last.
fn words(code: &str) -> impl Iterator<Item = (usize, &str, usize)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut line, mut counted) = (1, 0);
    code.split(move |c| !is_word(c))
        .filter(|word| !word.is_empty())
        .map(move |word| {
            let begin = word.as_ptr() as usize - code.as_ptr() as usize;
            line += code[counted..begin].matches('\n').count();
            counted = begin;
            (line, word, begin + word.len())
        })
}

/// The text without comments and without what stands in quotes; lines keep their numbers.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            'r' => raw_string(rest),
            '"' => quoted(rest),
            '\'' => character(rest),
            _ => 0,
        };
        let taken = if skipped == 0 { c.len_utf8() } else { skipped };
        if skipped == 0 {
            code.push(c);
        } else {
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
        }
        rest = &rest[taken..];
    }
    code
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
    if !rest[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = hashes + 2;
    rest[begin..]
        .find(&end)
        .map_or(rest.len(), |at| begin + at + end.len())
}

/// A character literal, told from a lifetime by its closing quote.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    let Some((_, first)) = chars.next() else {
        return 0;
    };
    let closing = if first == '\\' {
        rest[3..].find('\'').map(|at| at + 3)
    } else {
        chars.next().map(|(at, _)| at)
    };
    closing
        .filter(|at| rest[*at..].starts_with('\''))
        .map_or(0, |at| at + 1)
}

// Reading prose.

/// What of a line is meant for people: all of a document, the comment of a source.
fn prose_of<'a>(file: &File, line: &'a str) -> Option<&'a str> {
    if file.is(&[".md"]) {
        return Some(line);
    }
    let trimmed = line.trim_start();
    if file.is(&[".rs", ".ts", ".tsx"]) {
        let block = trimmed.starts_with('*') || trimmed.starts_with("/*");
        // After an odd number of quotes it is the inside of a string.
        let comment = line
            .split_once("//")
            .filter(|(code, _)| code.matches('"').count() % 2 == 0);
        return if block {
            Some(trimmed)
        } else {
            comment.map(|(_, prose)| prose)
        };
    }
    let at = line
        .match_indices('#')
        .find(|(at, _)| line[..*at].trim_end().len() < *at || *at == 0);
    at.map(|(at, _)| &line[at + 1..])
}

/// Whatever begins with one of the house's folders.
fn paths_in(prose: &str) -> Vec<String> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "._-/*{},<>$…".contains(c);
    let mut found = Vec::new();
    for folder in TOP_FOLDERS {
        for (at, _) in prose.match_indices(folder) {
            let before = prose[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || "./-_~>}:@$".contains(c)) {
                continue;
            }
            let end = prose[at..]
                .find(|c| !is_path(c))
                .map_or(prose.len(), |length| at + length);
            found.push(trimmed(&prose[at..end]).to_string());
        }
    }
    found
}

fn trimmed(path: &str) -> &str {
    // A comma outside braces ends a list, not a path.
    let end = path
        .find(',')
        .filter(|at| !path[..*at].contains('{'))
        .unwrap_or(path.len());
    path[..end].trim_end_matches(['.', ','])
}

/// The targets of a document's links into the house.
fn links_in(line: &str) -> Vec<String> {
    let targets = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let own = targets.filter(|target| !target.contains(':') && !target.starts_with(['#', '/']));
    own.map(|target| target.split('#').next().unwrap_or(target).to_string())
        .filter(|target| !target.is_empty())
        .collect()
}

/// `a/{b,c}.rs` names two files; of `a/b*` and `a/<name>` only the folder can be known.
fn expanded(path: &str) -> Vec<String> {
    if let Some((before, rest)) = path.split_once('{')
        && let Some((inside, after)) = rest.split_once('}')
        && !inside.is_empty()
    {
        let each = inside.split(',').map(|one| format!("{before}{one}{after}"));
        return each.flat_map(|path| expanded(&path)).collect();
    }
    let open = path
        .find(['*', '<', '>', '$', '{', '}', '…'])
        .unwrap_or(path.len());
    let known = if open < path.len() {
        path[..open].rfind('/').map_or("", |at| &path[..at])
    } else {
        path
    };
    vec![known.trim_end_matches('/').to_string()]
}

fn joined(folder: &Path, path: &str) -> String {
    folder.join(path).to_string_lossy().into_owned()
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
