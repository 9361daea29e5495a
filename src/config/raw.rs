//! The configuration as written: keys and values with their places in the text, nothing checked but
//! types and spelling.
//!
//! The tree is walked by hand rather than derived, so that all mistakes are found in one go and each
//! is told with the words of this program.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;

/// A value and where it stands, in bytes.
pub(super) type At<T> = Spanned<T>;

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub state_dir: Option<At<String>>,
    pub server: Server,
    pub storage: Storage,
    pub disks: Vec<Disk>,
    pub cameras: Vec<Camera>,
}

/// `[server]`
#[derive(Debug, Default)]
pub(super) struct Server {
    pub listen: Option<At<String>>,
    pub names: Vec<At<String>>,
    pub announce: Option<bool>,
    pub certificate: Option<At<String>>,
    pub key: Option<At<String>>,
}

/// `[storage]`
#[derive(Debug, Default)]
pub(super) struct Storage {
    pub placement: Option<At<String>>,
    pub cold_after_days: Option<At<i64>>,
    pub scrub_days: Option<At<i64>>,
}

/// `[[disk]]`
#[derive(Debug)]
pub(super) struct Disk {
    pub path: Option<At<String>>,
    pub max_bytes: Option<At<String>>,
    pub tier: Option<At<String>>,
}

/// `[[camera]]`; no `Debug`, for it holds a password.
pub(super) struct Camera {
    pub name: Option<At<String>>,
    pub url: Option<At<String>>,
    pub username: Option<At<String>>,
    pub password: Option<At<String>>,
    pub password_file: Option<At<String>>,
    pub keep_days: Option<At<i64>>,
    pub max_bytes: Option<At<String>>,
    pub disk: Option<At<String>>,
}

impl std::fmt::Debug for Camera {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Camera")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Reads the text; what is wrong is added to `problems`, and what is right is returned all the same.
pub(super) fn read(text: &str, problems: &mut Vec<Problem>) -> File {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What follows from a text that was only half understood would be misleading.
        problems.extend(errors.iter().take(3).map(|error| syntax(error, text)));
        return File::default();
    }
    let mut file = File::default();
    let mut root = Section::new("the file", document, problems);
    file.state_dir = root.required("state_dir", "\"/var/lib/hearthkeep\"");
    let server = root.table("server");
    let storage = root.table("storage");
    if !root.table.contains_key("disk") {
        let advice = "add a line [[disk]], and below it path = \"/srv/footage\"";
        root.problems.push(Problem::new(
            0..0,
            "there is no [[disk]] to record to",
            advice,
        ));
    }
    let disks = root.tables("disk");
    let cameras = root.tables("camera");
    root.finish();
    if let Some(table) = server {
        let mut section = Section::new("[server]", table, problems);
        file.server = Server {
            listen: section.text("listen", "\"0.0.0.0:8443\""),
            names: section.texts("names", "[\"hearthkeep.home.arpa\"]"),
            announce: section.boolean("announce", "false"),
            certificate: section.text("certificate", "\"/etc/hearthkeep/tls.crt\""),
            key: section.text("key", "\"/etc/hearthkeep/tls.key\""),
        };
        section.finish();
    }
    if let Some(table) = storage {
        let mut section = Section::new("[storage]", table, problems);
        file.storage = Storage {
            placement: section.text("placement", "\"most-room\""),
            cold_after_days: section.integer("cold_after_days", "7"),
            scrub_days: section.integer("scrub_days", "30"),
        };
        section.finish();
    }
    file.disks = disks
        .into_iter()
        .map(|table| read_disk(table, problems))
        .collect();
    file.cameras = cameras
        .into_iter()
        .map(|table| read_camera(table, problems))
        .collect();
    file
}

fn read_disk(table: At<DeTable<'_>>, problems: &mut Vec<Problem>) -> Disk {
    let mut section = Section::new("[[disk]]", table, problems);
    let disk = Disk {
        path: section.required("path", "\"/srv/footage\""),
        max_bytes: section.size("max_bytes"),
        tier: section.text("tier", "\"cold\""),
    };
    section.finish();
    disk
}

fn read_camera(table: At<DeTable<'_>>, problems: &mut Vec<Problem>) -> Camera {
    let mut section = Section::new("[[camera]]", table, problems);
    let camera = Camera {
        name: section.required("name", "\"front door\""),
        url: section.required("url", "\"rtsp://192.168.1.20/stream1\""),
        username: section.text("username", "\"viewer\""),
        password: section.text_or_empty("password", "\"…\""),
        password_file: section.text("password_file", "\"/etc/hearthkeep/front.pw\""),
        keep_days: section.integer("keep_days", "14"),
        max_bytes: section.size("max_bytes"),
        disk: section.text("disk", "\"/srv/footage\""),
    };
    section.finish();
    camera
}

/// A table being taken apart: each key is asked for once; what is left over is unknown.
struct Section<'i, 'p> {
    title: &'static str,
    /// Where the section begins.
    head: Range<usize>,
    table: DeTable<'i>,
    known: Vec<&'static str>,
    problems: &'p mut Vec<Problem>,
}

impl<'i, 'p> Section<'i, 'p> {
    fn new(title: &'static str, table: At<DeTable<'i>>, problems: &'p mut Vec<Problem>) -> Self {
        let head = table.span();
        Self {
            title,
            head,
            table: table.into_inner(),
            known: Vec::new(),
            problems,
        }
    }

    fn take(&mut self, key: &'static str) -> Option<At<DeValue<'i>>> {
        self.known.push(key);
        self.table.remove(key)
    }

    fn wrong_type(&mut self, key: &str, value: &At<DeValue<'_>>, wanted: &str, example: &str) {
        let found = name_of(value.get_ref());
        self.problems.push(Problem::new(
            value.span(),
            format!("\"{key}\" in {} must be {wanted}, not {found}", self.title),
            format!("for example {key} = {example}"),
        ));
    }

    fn required(&mut self, key: &'static str, example: &str) -> Option<At<String>> {
        if !self.table.contains_key(key) {
            self.known.push(key);
            self.problems.push(Problem::new(
                self.head.clone(),
                format!("\"{key}\" is missing in {}", self.title),
                format!("for example {key} = {example}"),
            ));
            return None;
        }
        self.text(key, example)
    }

    fn text(&mut self, key: &'static str, example: &str) -> Option<At<String>> {
        let text = self.text_or_empty(key, example)?;
        if text.get_ref().is_empty() {
            self.problems.push(Problem::new(
                text.span(),
                format!("\"{key}\" in {} is empty", self.title),
                format!("for example {key} = {example}"),
            ));
            return None;
        }
        Some(text)
    }

    fn text_or_empty(&mut self, key: &'static str, example: &str) -> Option<At<String>> {
        let value = self.take(key)?;
        let span = value.span();
        match value.get_ref() {
            DeValue::String(text) => Some(At::new(span, text.to_string())),
            _ => {
                self.wrong_type(key, &value, "a text in quotes", example);
                None
            }
        }
    }

    fn texts(&mut self, key: &'static str, example: &str) -> Vec<At<String>> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let texts: Option<Vec<_>> = value.get_ref().as_array().and_then(|array| {
            let text = |item: &At<DeValue<'_>>| {
                item.get_ref()
                    .as_str()
                    .map(|text| At::new(item.span(), text.to_owned()))
            };
            array.iter().map(text).collect()
        });
        texts.unwrap_or_else(|| {
            self.wrong_type(key, &value, "a list of texts", example);
            Vec::new()
        })
    }

    fn integer(&mut self, key: &'static str, example: &str) -> Option<At<i64>> {
        let value = self.take(key)?;
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok());
        if number.is_none() {
            self.wrong_type(key, &value, "a whole number", example);
        }
        Some(At::new(value.span(), number?))
    }

    fn boolean(&mut self, key: &'static str, example: &str) -> Option<bool> {
        let value = self.take(key)?;
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.wrong_type(key, &value, "true or false", example);
        }
        boolean
    }

    /// A size may be written as a number or as a text with a unit.
    fn size(&mut self, key: &'static str) -> Option<At<String>> {
        let value = self.take(key)?;
        let text = match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            _ => None,
        };
        if text.is_none() {
            self.wrong_type(
                key,
                &value,
                "whole bytes or a text with a unit",
                "\"500GB\"",
            );
        }
        Some(At::new(value.span(), text?))
    }

    fn table(&mut self, key: &'static str) -> Option<At<DeTable<'i>>> {
        let value = self.take(key)?;
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Some(At::new(span, table)),
            other => {
                let what = name_of(&other);
                self.problems.push(Problem::new(
                    span,
                    format!("\"{key}\" must be one section, not {what}"),
                    format!("write it as [{key}] on a line of its own"),
                ));
                None
            }
        }
    }

    fn tables(&mut self, key: &'static str) -> Vec<At<DeTable<'i>>> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let span = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            self.problems.push(not_sections(span, key));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            let span = item.span();
            match item.into_inner() {
                DeValue::Table(table) => tables.push(At::new(span, table)),
                _ => self.problems.push(not_sections(span, key)),
            }
        }
        tables
    }

    /// Reports what nobody has asked for.
    fn finish(self) {
        for (key, _) in self.table {
            let advice = match nearest(key.get_ref(), &self.known) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            let message = format!("unknown key \"{}\" in {}", short(key.get_ref()), self.title);
            self.problems
                .push(Problem::new(key.span(), message, advice));
        }
    }
}

fn not_sections(span: Range<usize>, key: &str) -> Problem {
    Problem::new(
        span,
        format!("there can be several of \"{key}\": each is a section in double brackets"),
        format!("write it as [[{key}]] on a line of its own"),
    )
}

/// What the parser has to say, in this program's form. Its message may quote the text, and so a
/// secret: what stands in its quotes is left out.
fn syntax(error: &toml::de::Error, text: &str) -> Problem {
    let end = text.len();
    let span = error.span().unwrap_or(end..end);
    if error.message() == "duplicate key" {
        return Problem::new(
            span,
            "the same key twice in one section",
            "keep one of them",
        );
    }
    let mut message = String::new();
    for (i, piece) in error.message().split('`').enumerate() {
        message.push_str(if i % 2 == 0 { piece } else { "…" });
    }
    let message = format!(
        "this is not TOML: {}",
        message.trim_end_matches(", expected …")
    );
    Problem::new(
        span,
        message,
        "a line is [section], [[section]] or key = value, with texts in double quotes",
    )
}

/// The known key that was probably meant.
fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let key = key.to_lowercase().replace('-', "_");
    let scored = known
        .iter()
        .map(|&name| (strsim::jaro_winkler(&key, name), name));
    scored
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// A key as it may be quoted: short and without control characters.
fn short(key: &str) -> String {
    key.chars().filter(|c| !c.is_control()).take(32).collect()
}

fn name_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
