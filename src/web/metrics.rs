//! `GET /metrics`: how the box is, in the text format that Prometheus and others read. For who is signed in, and for a program
//! that has the token in the state folder, which opens nothing else.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hearthkeep_format::Random;
use subtle::ConstantTimeEq as _;

use super::error::ApiError;
use super::footage::{CameraForecast, DiskMeasures, Measures, StreamMeasures, StreamState};
use super::house::{House, blocking};
use crate::limits::METRICS_TOKEN_BYTES;
use crate::state_file;

/// The token's file in the state folder.
pub const TOKEN_FILE: &str = "metrics.token";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const STATES: [(StreamState, &str); 5] = [
    (StreamState::Recording, "recording"),
    (StreamState::Connecting, "connecting"),
    (StreamState::Waiting, "waiting"),
    (StreamState::Failed, "failed"),
    (StreamState::Stopped, "stopped"),
];

/// What a monitor shows instead of a session.
pub struct Token(String);

impl Token {
    /// Reads the token of a state folder, or makes one where there is none, or one that others than its owner could read.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(folder: &Path, random: &mut dyn Random) -> io::Result<Self> {
        let path = folder.join(TOKEN_FILE);
        let is_private =
            fs::metadata(&path).is_ok_and(|file| file.permissions().mode() & 0o077 == 0);
        if is_private
            && let Some(bytes) = state_file::read(&path, 4096)?
            && let Ok(text) = std::str::from_utf8(&bytes)
            && text.trim().len() >= METRICS_TOKEN_BYTES
        {
            return Ok(Self(text.trim().to_owned()));
        }
        let mut bytes = [0; METRICS_TOKEN_BYTES];
        random.fill(&mut bytes);
        let token = BASE64.encode(bytes);
        state_file::replace(&path, format!("{token}\n").as_bytes())?;
        Ok(Self(token))
    }

    /// Whether a request shows it (RFC 6750, 2.1).
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let shown = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        shown.is_some_and(|shown| shown.ct_eq(self.0.as_bytes()).into())
    }
}

/// `GET /metrics`
#[utoipa::path(get, path = "/metrics", tag = "box",
    responses((status = 200, description = "Prometheus' text format", content_type = "text/plain")))]
pub async fn metrics(house: web::Data<House>) -> Result<HttpResponse, ApiError> {
    let text = blocking(move || Ok(text_of(&house.footage.measures()))).await?;
    Ok(HttpResponse::Ok().content_type(TEXT).body(text))
}

/// All that is measured, in that format.
pub fn text_of(measures: &Measures) -> String {
    let mut text = Text::default();
    streams(&mut text, &measures.streams);
    gaps(&mut text, &measures.streams);
    disks(&mut text, &measures.disks);
    disk_errors(&mut text, &measures.disks);
    forecast(&mut text, &measures.forecast);
    deleted(&mut text, measures);
    text.one("holds", "Holds that stand.", measures.holds as f64);
    text.one(
        "clock_trusted",
        "Whether the box trusts its clock.",
        f64::from(u8::from(measures.clock_trusted)),
    );
    text.one(
        "strange_files",
        "Files on the disks that are no whole footage of this box.",
        measures.strange_files as f64,
    );
    text.one(
        "catalog_failed",
        "Whether the state folder does not take the catalog.",
        f64::from(u8::from(measures.catalog_failed)),
    );
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    text.family("hearthkeep_info", "gauge", "The program.");
    text.sample("hearthkeep_info", &version, 1.0);
    process(&mut text);
    text.0
}

fn streams(text: &mut Text, streams: &[StreamMeasures]) {
    text.family(
        "hearthkeep_stream_state",
        "gauge",
        "What a stream does: 1 at its state.",
    );
    for stream in streams {
        for (state, name) in STATES {
            let labels = [stream.camera(), stream.feed(), ("state", name)];
            let is_so = stream.status.state == state;
            text.sample(
                "hearthkeep_stream_state",
                &labels,
                f64::from(u8::from(is_so)),
            );
        }
    }
    type Measure = fn(&StreamMeasures) -> Option<f64>;
    let rows: [(&str, &str, &str, Measure); 7] = [
        ("gap_open", "gauge", "Whether nothing is kept now.", |s| {
            Some(f64::from(u8::from(s.status.gap.is_some())))
        }),
        (
            "durable_age_seconds",
            "gauge",
            "Age of the newest picture that would survive a power cut.",
            |s| s.durable_age_s,
        ),
        (
            "stored_bytes",
            "gauge",
            "Footage on all disks, segments that have ended.",
            |s| Some(s.status.bytes_stored as f64),
        ),
        (
            "queued_bytes",
            "gauge",
            "What is sealed and not yet durable.",
            |s| Some(s.queued_bytes as f64),
        ),
        (
            "packets_lost_total",
            "counter",
            "RTP packets that did not arrive.",
            |s| Some(s.packets_lost as f64),
        ),
        (
            "damaged_seconds_total",
            "counter",
            "For how long pictures may have been damaged by lost packets.",
            |s| Some(s.damaged_s),
        ),
        (
            "reconnects_total",
            "counter",
            "Connections after the first one.",
            |s| Some(s.reconnects as f64),
        ),
    ];
    for (name, kind, help, measure) in rows {
        let name = format!("hearthkeep_stream_{name}");
        text.family(&name, kind, help);
        for stream in streams {
            if let Some(value) = measure(stream) {
                text.sample(&name, &[stream.camera(), stream.feed()], value);
            }
        }
    }
}

fn gaps(text: &mut Text, streams: &[StreamMeasures]) {
    let (total, open) = (
        "hearthkeep_stream_gap_seconds_total",
        "hearthkeep_stream_gap_open_seconds",
    );
    text.family(total, "counter", "For how long nothing was kept, by cause.");
    for stream in streams {
        for (cause, seconds) in &stream.gap_s {
            text.sample(
                total,
                &[stream.camera(), stream.feed(), ("cause", cause)],
                *seconds,
            );
        }
    }
    text.family(
        open,
        "gauge",
        "For how long nothing has been kept, while that lasts.",
    );
    for stream in streams {
        if let (Some(gap), Some(seconds)) = (&stream.status.gap, stream.gap_open_s) {
            let labels = [
                stream.camera(),
                stream.feed(),
                ("cause", gap.cause.as_str()),
            ];
            text.sample(open, &labels, seconds);
        }
    }
}

fn disks(text: &mut Text, disks: &[DiskMeasures]) {
    type Measure = fn(&DiskMeasures) -> Option<f64>;
    let rows: [(&str, &str, &str, Measure); 13] = [
        (
            "log_behind",
            "gauge",
            "Whether its copy of the signed log lacks something.",
            |d| Some(f64::from(u8::from(d.log_behind))),
        ),
        (
            "failed",
            "gauge",
            "Whether something is wrong with a disk.",
            |d| Some(f64::from(u8::from(d.failed))),
        ),
        ("full", "gauge", "Whether a disk is full.", |d| {
            Some(f64::from(u8::from(d.full)))
        }),
        ("size_bytes", "gauge", "Size of its file system.", |d| {
            d.size_bytes.map(|bytes| bytes as f64)
        }),
        (
            "free_bytes",
            "gauge",
            "What its file system has left.",
            |d| d.free_bytes.map(|bytes| bytes as f64),
        ),
        ("used_bytes", "gauge", "Footage on it.", |d| {
            Some(d.used_bytes as f64)
        }),
        (
            "queued_bytes",
            "gauge",
            "What waits to be written to it.",
            |d| Some(d.queued_bytes as f64),
        ),
        (
            "fsync_p99_seconds",
            "gauge",
            "How long fdatasync takes, 99 of 100 times.",
            |d| d.fsync_p99_s,
        ),
        ("held_bytes", "gauge", "Footage on it that is held.", |d| {
            Some(d.held_bytes as f64)
        }),
        (
            "full_in_days",
            "gauge",
            "Days until its oldest footage begins to go.",
            |d| d.full_in_days,
        ),
        (
            "scrub_read_bytes_total",
            "counter",
            "Footage that was read again in the background to find damage.",
            |d| Some(d.scrub?.read_bytes as f64),
        ),
        (
            "scrub_damaged_segments",
            "gauge",
            "Files on it that the background scrub found damaged or missing.",
            |d| Some(d.scrub?.damaged as f64),
        ),
        (
            "scrub_finished_timestamp_seconds",
            "gauge",
            "When all of its footage had been read again last.",
            |d| d.scrub?.finished_s,
        ),
    ];
    for (name, kind, help, measure) in rows {
        let name = format!("hearthkeep_disk_{name}");
        text.family(&name, kind, help);
        for disk in disks {
            if let Some(value) = measure(disk) {
                text.sample(&name, &[("path", &disk.path)], value);
            }
        }
    }
}

fn disk_errors(text: &mut Text, disks: &[DiskMeasures]) {
    let name = "hearthkeep_disk_errors_total";
    text.family(name, "counter", "Writes and syncs of footage that failed.");
    for disk in disks {
        for (kind, count) in [("write", disk.write_errors), ("sync", disk.sync_errors)] {
            text.sample(name, &[("path", &disk.path), ("kind", kind)], count as f64);
        }
    }
}

fn deleted(text: &mut Text, measures: &Measures) {
    let (segments, bytes) = (
        "hearthkeep_deleted_segments_total",
        "hearthkeep_deleted_bytes_total",
    );
    text.family(
        segments,
        "counter",
        "Segments that were deleted, by reason.",
    );
    for (reason, (count, _)) in &measures.deleted {
        text.sample(segments, &[("reason", reason)], *count as f64);
    }
    text.family(bytes, "counter", "Footage that was deleted, by reason.");
    for (reason, (_, count)) in &measures.deleted {
        text.sample(bytes, &[("reason", reason)], *count as f64);
    }
}

fn forecast(text: &mut Text, cameras: &[CameraForecast]) {
    type Measure = fn(&CameraForecast) -> Option<f64>;
    let rows: [(&str, &str, Measure); 3] = [
        (
            "kept_days",
            "For how long its footage is kept at this rate.",
            |c| c.days,
        ),
        ("keep_days", "For how long it is to be kept.", |c| {
            c.keep_days.map(f64::from)
        }),
        (
            "bytes_per_day",
            "What it records, on average of a week.",
            |c| c.bytes_per_day.map(|bytes| bytes as f64),
        ),
    ];
    for (name, help, measure) in rows {
        let name = format!("hearthkeep_camera_{name}");
        text.family(&name, "gauge", help);
        for camera in cameras {
            if let Some(value) = measure(camera) {
                text.sample(&name, &[("camera", &camera.camera)], value);
            }
        }
    }
}

/// This process, by the names that all exporters use.
fn process(text: &mut Text) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    if let Some(kib) = kib {
        let name = "process_resident_memory_bytes";
        text.family(name, "gauge", "Resident memory.");
        text.sample(name, &[], (kib * 1024) as f64);
    }
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let name = "process_cpu_seconds_total";
    text.family(name, "counter", "Processor time.");
    text.sample(name, &[], used.tv_sec as f64 + used.tv_nsec as f64 / 1e9);
}

impl StreamMeasures {
    fn camera(&self) -> (&'static str, &str) {
        ("camera", &self.status.camera)
    }

    fn feed(&self) -> (&'static str, &str) {
        ("feed", &self.status.feed)
    }
}

/// Prometheus' text exposition format, version 0.0.4.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.0
            .push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn one(&mut self, name: &str, help: &str, value: f64) {
        let name = format!("hearthkeep_{name}");
        self.family(&name, "gauge", help);
        self.sample(&name, &[], value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            for c in text.chars() {
                match c {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        // Writing to a string does not fail.
        let _ = writeln!(self.0, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;

    #[test]
    fn a_name_cannot_leave_its_label() {
        let mut text = Text::default();
        text.sample("x", &[("camera", "a\"} 1\nb\\"), ("feed", "main")], 0.5);
        assert_eq!(text.0, "x{camera=\"a\\\"} 1\\nb\\\\\",feed=\"main\"} 0.5\n");
    }

    #[test]
    fn a_token_stays_and_one_that_others_could_read_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Token::open(folder.path(), &mut OsRandom).unwrap().0;
        let first = open();
        assert_eq!(first.len(), 43, "256 bits");
        assert_eq!(open(), first);
        let path = folder.path().join(TOKEN_FILE);
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_ne!(open(), first);
        assert_eq!(mode(), 0o600);
    }
}
