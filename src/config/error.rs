//! Mistakes in the configuration, told as a compiler would: where, what, and what would be right.
//!
//! The offending line is shown so that it can be found, but never a value that may be a secret: a
//! password, an address, or anything under a key that is not known to be harmless (a misspelt
//! `pasword` holds a password too).

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Keys whose values are shown when their line is.
const HARMLESS: &[&str] = &[
    "state_dir",
    "listen",
    "names",
    "announce",
    "certificate",
    "key",
    "placement",
    "cold_after_days",
    "scrub_days",
    "path",
    "tier",
    "max_bytes",
    "name",
    "keep_days",
    "disk",
    "password_file",
];

/// Why a configuration cannot be used. Its `Display` tells every mistake that was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file can be read but not used.
    #[error("{0}")]
    Mistakes(Mistakes),
}

/// The mistakes of one file, at least one.
#[derive(Debug)]
pub struct Mistakes(Vec<Mistake>);

/// One mistake, with the line it stands in (secrets hidden).
#[derive(Debug)]
struct Mistake {
    path: PathBuf,
    /// From 1.
    line: usize,
    message: String,
    advice: String,
    /// The line as it may be shown, and the columns to point at, in characters.
    shown: String,
    caret: Range<usize>,
}

/// What a check has to say about a place in the text, in bytes.
#[derive(Debug)]
pub(super) struct Problem {
    pub span: Range<usize>,
    pub message: String,
    pub advice: String,
}

impl Problem {
    pub(super) fn new(
        span: Range<usize>,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            span,
            message: message.into(),
            advice: advice.into(),
        }
    }
}

impl Error {
    /// The problems, in the order of the text. There must be one.
    pub(super) fn of(mut problems: Vec<Problem>, text: &str, path: &Path) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        Self::Mistakes(Mistakes(
            problems
                .into_iter()
                .map(|problem| Mistake::new(problem, text, path))
                .collect(),
        ))
    }
}

impl Mistake {
    fn new(problem: Problem, text: &str, path: &Path) -> Self {
        let start = floor_char_boundary(text, problem.span.start);
        let end = floor_char_boundary(text, problem.span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = text[line_start..].lines().next().unwrap_or_default();
        let shown = visible(line);
        let column = |at: usize| {
            let at = at.clamp(line_start, line_start + line.len());
            text[line_start..at]
                .chars()
                .count()
                .min(shown.chars().count())
        };
        Self {
            path: path.to_owned(),
            line: text[..line_start].matches('\n').count() + 1,
            message: problem.message,
            advice: problem.advice,
            caret: column(start)..column(end),
            shown,
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}: {}", self.path.display(), self.line, self.message)?;
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        if !self.shown.trim().is_empty() {
            let indent = " ".repeat(self.caret.start);
            let carets = "^".repeat(self.caret.len().max(1));
            writeln!(f, "  {number} | {}", self.shown)?;
            writeln!(f, "  {margin} | {indent}{carets}")?;
        }
        write!(f, "  {margin} = {}", self.advice)
    }
}

/// The line with everything hidden that may be a secret, comments included.
fn visible(line: &str) -> String {
    let trimmed = line.trim_start();
    if trimmed.starts_with('[') {
        let end = line.rfind(']').map_or(line.len(), |at| at + 1);
        let head = &line[..end];
        return if head.contains(['=', '"', '\'', '#']) {
            "…".to_owned()
        } else {
            head.to_owned()
        };
    }
    let Some((key, value)) = line.split_once('=') else {
        let word = trimmed.split_whitespace().next().unwrap_or_default();
        return match word {
            "" => String::new(),
            word if HARMLESS.contains(&word) => format!("{word} …"),
            _ => "…".to_owned(),
        };
    };
    if !key
        .trim()
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    {
        return "…".to_owned();
    }
    let value_start = value.len() - value.trim_start().len();
    let (gap, value) = value.split_at(value_start);
    if !HARMLESS.contains(&key.trim()) {
        return if value.is_empty() {
            line.to_owned()
        } else {
            format!("{key}={gap}…")
        };
    }
    let first = &value[..value_length(value)];
    let rest = value[first.len()..].trim();
    if rest.is_empty() {
        format!("{key}={gap}{first}")
    } else {
        format!("{key}={gap}{first} …")
    }
}

/// How long the first value of the rest of a line is, in bytes.
fn value_length(value: &str) -> usize {
    let close = match value.chars().next() {
        Some('"') => '"',
        Some('\'') => '\'',
        Some('[') => ']',
        _ => return value.find(char::is_whitespace).unwrap_or(value.len()),
    };
    value[1..].find(close).map_or(value.len(), |at| at + 2)
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn a_line_is_shown_without_its_secrets() {
        for (line, shown) in [
            ("[[camera]]  # hunter2", "[[camera]]"),
            ("  name = \"front door\"", "  name = \"front door\""),
            ("name = \"a\", password = \"hunter2\"", "name = \"a\" …"),
            ("keep_days = 14 # was hunter2", "keep_days = 14 …"),
            ("names = [\"a\", \"b\"] ", "names = [\"a\", \"b\"]"),
            ("password = \"hunter2\"", "password = …"),
            ("pasword=hunter2", "pasword=…"),
            ("url = \"rtsp://u:hunter2@h\"", "url = …"),
            ("camera = [{ password = \"hunter2\" }]", "camera = …"),
            ("[{ password = \"hunter2\" }]", "…"),
            ("\"hunter2\" = 1", "…"),
            ("hunter2", "…"),
            ("password hunter2", "…"),
            ("listen hunter2", "listen …"),
            ("hunter2\"\"\"", "…"),
            ("password =", "password ="),
            ("", ""),
        ] {
            assert_eq!(visible(line), shown, "{line}");
        }
    }
}
