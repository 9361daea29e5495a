//! Reading Rust, as far as the rules of `tests/tidy.rs` need it.

use super::{File, ROOMS};

pub fn app_sources(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| {
        let nested = file.is_under(&["src/format/", "src/media/"]);
        let front = ["src/main.rs", "src/lib.rs"].contains(&file.path.as_str());
        file.is(&[".rs"]) && file.is_under(&["src/"]) && !nested && !front
    })
}

pub fn room_of(path: &str) -> Option<&str> {
    path.strip_prefix("src/")?.split(['/', '.']).next()
}

pub fn layer_of(room: &str) -> Option<u8> {
    ROOMS
        .iter()
        .find(|(_, rooms)| rooms.contains(&room))
        .map(|(layer, _)| *layer)
}

/// The first steps after `root::`, also out of a group: `root::{a, b::c}` gives a and b.
/// A step of two parts is given too (`b::c`), for rules about deeper paths.
pub fn imports(code: &str, root: &str) -> Vec<(usize, String)> {
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

pub fn targets(rest: &str, prefix: &str, give: &mut dyn FnMut(String)) {
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
pub fn crate_names(code: &str) -> Vec<(usize, &str)> {
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
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str, usize)> {
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
pub fn code_only(text: &str) -> String {
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

pub fn quoted(rest: &str) -> usize {
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

pub fn raw_string(rest: &str) -> usize {
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
pub fn character(rest: &str) -> usize {
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
