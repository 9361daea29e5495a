//! Reading what is written for people: comments and documents.

use std::path::Path;

use super::{File, TOP_FOLDERS};

/// What of a line is meant for people: all of a document, the comment of a source.
pub fn prose_of<'a>(file: &File, line: &'a str) -> Option<&'a str> {
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
pub fn paths_in(prose: &str) -> Vec<String> {
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

pub fn trimmed(path: &str) -> &str {
    // A comma outside braces ends a list, not a path.
    let end = path
        .find(',')
        .filter(|at| !path[..*at].contains('{'))
        .unwrap_or(path.len());
    path[..end].trim_end_matches(['.', ','])
}

/// The targets of a document's links into the house.
pub fn links_in(line: &str) -> Vec<String> {
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
pub fn expanded(path: &str) -> Vec<String> {
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

pub fn joined(folder: &Path, path: &str) -> String {
    folder.join(path).to_string_lossy().into_owned()
}
