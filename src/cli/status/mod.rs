//! `hearthkeep status`: reads only, and works beside the recorder. How cameras and disks are the running recorder tells ([`report`]);
//! no drive is touched then, since one that hangs would not let this process end. Where none runs, it looks itself ([`look`]).

mod look;
pub mod report;
mod show;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ConfigArgument;
use super::local::{load_config, state_failure};
use super::output::{ExitStatus, Failure, OrFail, line};
use super::run;
use super::socket::{self, Answer, Request};
use super::span::rfc3339;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config};
use crate::keys::StateFolder;
use crate::people::claim_code_path;
use crate::store::lock;
use crate::web::footage::ScrubStatus;
use crate::web::tls::names::{Names, host_name, interface_addresses};
use crate::web::tls::read_fingerprint;
use look::Looked;
use report::{DiskReport, GapReport, Report, StreamReport, Trouble};

/// Durable footage lies behind by a fragment and a batch; from here on it is said.
const FRESH_US: i64 = 10_000_000;

#[derive(Debug, clap::Args)]
pub struct StatusArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// What `/metrics` says of a running recorder, in Prometheus' text format, without its token
    #[arg(long, conflicts_with = "json")]
    metrics: bool,
}

/// How the box is. Scripts rely on these names.
#[derive(Serialize)]
struct Status {
    running: bool,
    pid: Option<u32>,
    claimed: bool,
    /// While there is no owner and the box runs: the file with the claim code.
    claim_code_file: Option<PathBuf>,
    /// Where the page can be opened, the best first; of a box that does not run, where it could be.
    addresses: Vec<String>,
    fingerprint: Option<String>,
    clock_trusted: bool,
    cameras: Vec<CameraStatus>,
    disks: Vec<DiskStatus>,
    /// All that is wrong with a running recorder, a sentence each.
    troubles: Vec<String>,
}

#[derive(Serialize)]
struct CameraStatus {
    camera: String,
    feed: String,
    /// What the running recorder does: "recording", "connecting", "waiting" (for a key frame), "failed", "silent" (it records,
    /// and nothing new reaches the disk), "unknown" (the recorder does not know this camera, or does not answer). Else
    /// "stopped", "empty" (nothing was ever recorded) or "removed" (from the configuration).
    state: &'static str,
    /// Since when the recorder does so.
    since: Option<String>,
    /// What is wrong, and what to do.
    trouble: Option<Trouble>,
    /// The gap that is open, if nothing is kept now.
    gap: Option<Gap>,
    /// Wall time of the end of the newest footage.
    newest: Option<String>,
    age_s: Option<f64>,
    segments: u64,
    bytes: u64,
    /// What it records in a day, on average of the last week. Known to a running recorder, and not before it has some minutes' footage.
    bytes_per_day: Option<u64>,
    /// Days that its footage will be kept for at that rate; nothing where that is not known, or there is no end.
    kept_days: Option<f64>,
}

#[derive(Serialize)]
struct Gap {
    cause: String,
    /// To where there is footage.
    since: Option<String>,
}

impl From<&GapReport> for Gap {
    fn from(gap: &GapReport) -> Self {
        Self {
            cause: gap.cause.clone(),
            since: gap.since_us.map(rfc3339),
        }
    }
}

#[derive(Serialize)]
struct DiskStatus {
    path: PathBuf,
    free_bytes: Option<u64>,
    footage_bytes: u64,
    /// What footage may take in all. Known to a running recorder only, like the next two.
    room_bytes: Option<u64>,
    held_bytes: Option<u64>,
    /// Days until it is full and its oldest footage begins to go, at the rate of the last week; 0 where it does already.
    full_in_days: Option<f64>,
    /// What is wrong with it, if anything is.
    error: Option<String>,
    /// That it is slow to make footage safe, and what to do. Known to a running recorder only.
    slow: Option<String>,
    /// How far its footage was read again in the background; of a recorder that does not run, nothing.
    scrub: Option<ScrubStatus>,
}

pub(super) fn main(arguments: StatusArguments) -> Result<ExitStatus, Failure> {
    let config = load_config(&arguments.config.config)?;
    let state = StateFolder::load(&config.state_dir).map_err(state_failure)?;
    if arguments.metrics {
        return metrics(&config.state_dir);
    }
    let pid = lock::holder(&config.state_dir).or_fail(ExitStatus::Failed)?;
    let report = pid.and_then(|_| ask(&config.state_dir));
    let settings = run::tls_settings(&config);
    let fingerprint = read_fingerprint(&config.state_dir, &settings);
    let is_told = |disk: &&config::Disk| told_of(&disk.path, report.as_ref()).is_some();
    let untold = config.disks.iter().filter(|disk| !is_told(disk));
    let looked: Vec<_> = untold.map(Looked::at).collect();
    let code = claim_code_path(&config.state_dir);
    let cameras = cameras(&config, &state, pid.is_some(), report.as_ref(), &looked)?;
    let mut status = Status {
        running: pid.is_some(),
        pid,
        claimed: state.is_claimed(),
        claim_code_file: (!state.is_claimed() && code.exists()).then_some(code),
        addresses: addresses(&config, report.as_ref()),
        fingerprint: fingerprint.or_fail(ExitStatus::Failed)?,
        clock_trusted: match &report {
            Some(report) => report.clock_trusted,
            None => SystemClock::new().trusted(),
        },
        cameras,
        disks: disks(&config, looked, report.as_ref()),
        troubles: Vec::new(),
    };
    if status.running {
        status.troubles = troubles(&status, report.as_ref());
        status.troubles.extend(run::nested(&config));
    }
    match arguments.json {
        true => line(serde_json::to_string_pretty(&status).or_fail(ExitStatus::Failed)?)?,
        false => show::show(&status)?,
    }
    Ok(match (status.running, status.troubles.is_empty()) {
        (false, _) => ExitStatus::NotRunning,
        (true, false) => ExitStatus::Troubled,
        (true, true) => ExitStatus::Done,
    })
}

/// Writes the numbers of the running recorder.
fn metrics(state_dir: &Path) -> Result<ExitStatus, Failure> {
    let answer = socket::ask::<String>(state_dir, &Request::Metrics);
    match answer.or_fail(ExitStatus::Failed)? {
        None => Ok(ExitStatus::NotRunning),
        Some(Answer::Done(text)) => line(text.trim_end()).map(|()| ExitStatus::Done),
        Some(Answer::NotYet(why) | Answer::Refused(why)) => {
            Err(Failure::new(ExitStatus::Failed, why))
        }
    }
}

/// What the running recorder says; `None`, with a word of why, where it does not.
fn ask(state_dir: &Path) -> Option<Report> {
    report::ask(state_dir).unwrap_or_else(|error| {
        eprintln!("hearthkeep: the running recorder cannot be asked how it is: {error}");
        None
    })
}

fn addresses(config: &Config, report: Option<&Report>) -> Vec<String> {
    match report {
        Some(report) => report.addresses.clone(),
        None => Names::fixed(&host_name(), &config.server.names)
            .with_addresses(interface_addresses())
            .addresses_of(config.server.listen),
    }
}

/// What the running recorder says of a disk.
fn told_of<'a>(path: &Path, report: Option<&'a Report>) -> Option<&'a DiskReport> {
    report?.disks.iter().find(|disk| disk.path == path)
}

/// What the recorder and, of those that it does not know, this process found out about the disks.
fn disks(config: &Config, looked: Vec<Looked>, report: Option<&Report>) -> Vec<DiskStatus> {
    let mut looked: Vec<_> = looked.into_iter().map(|looked| looked.status).collect();
    let disk = |configured: &config::Disk| match told_of(&configured.path, report) {
        Some(told) => Some(DiskStatus::of(told)),
        None => {
            let at = looked.iter().position(|it| it.path == configured.path)?;
            Some(looked.remove(at))
        }
    };
    let mut disks: Vec<_> = config.disks.iter().filter_map(disk).collect();
    // Those that the recorder knows and the configuration does not have.
    let is_shown = |told: &DiskReport| {
        let mut configured = config.disks.iter();
        configured.any(|one| told_of(&one.path, report).is_some_and(|of| std::ptr::eq(of, told)))
    };
    let told = report.iter().flat_map(|report| &report.disks);
    disks.extend(told.filter(|told| !is_shown(told)).map(DiskStatus::of));
    disks
}

impl DiskStatus {
    fn of(told: &DiskReport) -> Self {
        Self {
            path: told.path.clone(),
            free_bytes: told.free_bytes,
            footage_bytes: told.footage_bytes,
            room_bytes: told.room_bytes,
            held_bytes: told.held_bytes,
            full_in_days: told.full_in_days,
            error: told.error.clone(),
            slow: told.slow.clone(),
            scrub: told.scrub.clone(),
        }
    }
}

/// Of files: what is wrong with them, and what to do.
const NO_FOOTAGE: &str = "cannot be read as footage of this box (damaged, moved or foreign): `hearthkeep check` names each";

/// All that is wrong, a sentence each.
fn troubles(status: &Status, report: Option<&Report>) -> Vec<String> {
    let mut troubles = Vec::new();
    match report {
        Some(report) => troubles.extend(report.page_error.clone()),
        None => troubles.push(
            "the process that holds this store does not say how it is: it is just starting, or is another command".to_owned(),
        ),
    }
    if !status.claimed {
        troubles.push("nothing is recorded until this box has an owner".to_owned());
    }
    if !status.clock_trusted {
        troubles.push(
            "this box does not know the time: see that it can reach a time server".to_owned(),
        );
    }
    for camera in &status.cameras {
        let name = &camera.camera;
        match (&camera.trouble, camera.state) {
            (Some(Trouble { message, advice }), _) => {
                troubles.push(format!("camera \"{name}\": {message} {advice}"));
            }
            (None, "silent") => troubles.push(format!(
                "camera \"{name}\" is recorded, but nothing new has reached a disk for more than 10 s"
            )),
            (None, "unknown") if status.claimed && report.is_some_and(Report::has_no_disk) => {
                troubles.push(format!(
                    "camera \"{name}\" is not recorded: there is no disk to record on. It is as soon as there is one"
                ));
            }
            (None, "unknown") if status.claimed && report.is_some() => troubles.push(format!(
                "camera \"{name}\" is not known to the running recorder: start it again, and it takes up the configuration"
            )),
            (None, state @ ("failed" | "stopped")) => {
                troubles.push(format!("camera \"{name}\" is {state}"));
            }
            _ => {}
        }
    }
    match report.map_or(0, |report| report.strange_files) {
        0 => {}
        1 => troubles.push(format!("a file on the disks {NO_FOOTAGE}")),
        n => troubles.push(format!("{n} files on the disks {NO_FOOTAGE}")),
    }
    troubles.extend(report.and_then(|report| report.catalog_trouble.clone()));
    troubles.extend(
        report
            .into_iter()
            .flat_map(|report| [&report.log_troubles[..], &report.forecast_troubles].concat()),
    );
    troubles.extend(status.disks.iter().flat_map(disk_troubles));
    troubles
}

fn disk_troubles(disk: &DiskStatus) -> Vec<String> {
    let damage = disk.scrub.as_ref().and_then(|scrub| scrub.trouble.as_ref());
    let troubles = [disk.error.as_ref(), disk.slow.as_ref(), damage];
    let told = |trouble: &String| format!("disk {}: {trouble}", disk.path.display());
    troubles.into_iter().flatten().map(told).collect()
}

fn cameras(
    config: &Config,
    state: &StateFolder,
    running: bool,
    report: Option<&Report>,
    looked: &[Looked],
) -> Result<Vec<CameraStatus>, Failure> {
    let known = match state.is_claimed() {
        true => state.streams().map_err(state_failure)?,
        false => Vec::new(),
    };
    let now_us = SystemClock::new().wall_us();
    let mut rows: Vec<CameraStatus> = Vec::new();
    let streams = report.map(|report| &report.streams[..]).unwrap_or_default();
    for stream in &known {
        let name = &stream.name;
        let mut told = streams.iter().filter(|it| it.is(&name.camera, &name.feed));
        let kept = told.find_map(|told| told.kept);
        let kept = kept.unwrap_or_else(|| look::kept(config, state, &stream.id, looked));
        let newest_us = kept.newest_us;
        rows.push(CameraStatus {
            newest: newest_us.map(rfc3339),
            age_s: newest_us.map(|newest_us| now_us.saturating_sub(newest_us) as f64 / 1e6),
            segments: kept.segments,
            bytes: kept.bytes,
            ..CameraStatus::new(&name.camera, &name.feed)
        });
    }
    for camera in &config.cameras {
        if !rows.iter().any(|row| row.camera == camera.name) {
            rows.push(CameraStatus::new(&camera.name, "main"));
        }
    }
    let sure_us = report
        .is_none_or(|report| report.clock_trusted)
        .then_some(now_us);
    for row in &mut rows {
        let told = streams.iter().find(|it| it.is(&row.camera, &row.feed));
        row.since = told.and_then(|told| told.since_us).map(rfc3339);
        row.trouble = told.and_then(|told| told.trouble.clone());
        let foreseen = report.and_then(|report| report.kept_of(&row.camera));
        row.bytes_per_day = foreseen.and_then(|foreseen| foreseen.bytes_per_day);
        row.kept_days = foreseen.and_then(|foreseen| foreseen.days);
        row.gap = told.and_then(|told| told.gap.as_ref()).map(Gap::from);
        row.state = match config.cameras.iter().any(|it| it.name == row.camera) {
            true => row.state_of(running, told, sure_us),
            false => "removed",
        };
    }
    Ok(rows)
}

impl CameraStatus {
    fn new(camera: &str, feed: &str) -> Self {
        Self {
            camera: camera.to_owned(),
            feed: feed.to_owned(),
            state: "empty",
            since: None,
            trouble: None,
            gap: None,
            newest: None,
            age_s: None,
            segments: 0,
            bytes: 0,
            bytes_per_day: None,
            kept_days: None,
        }
    }

    /// The state of a camera of the configuration. Without a time there is no telling how fresh its footage is.
    fn state_of(
        &self,
        running: bool,
        told: Option<&StreamReport>,
        now_us: Option<i64>,
    ) -> &'static str {
        let Some(told) = told else {
            return match (running, self.newest.is_some()) {
                (true, _) => "unknown",
                (false, true) => "stopped",
                (false, false) => "empty",
            };
        };
        match told.state.as_str() {
            "recording" => {
                let Some(now_us) = now_us else {
                    return "recording";
                };
                // The first footage takes as long to come as any that follows.
                let since_us = told.since_us.unwrap_or(now_us);
                let age_us = now_us.saturating_sub(since_us) as f64;
                let age_us = self.age_s.map_or(age_us, |age_s| age_us.min(age_s * 1e6));
                if age_us <= FRESH_US as f64 {
                    "recording"
                } else {
                    "silent"
                }
            }
            "connecting" => "connecting",
            "waiting" => "waiting",
            "stopped" => "stopped",
            _ => "failed",
        }
    }
}
