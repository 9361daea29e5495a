//! `hearthkeep status`: reads only, and works beside the recorder.

use std::collections::HashMap;
use std::path::PathBuf;

use hearthkeep_format::StreamId;
use serde::Serialize;

use super::ConfigArgument;
use super::local::{load_config, open_disk, state_failure};
use super::output::{ExitStatus, Failure, OrFail, line};
use super::span::rfc3339;
use super::{run, store};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::disk::Disk;
use crate::keys::StateFolder;
use crate::people::claim_code_path;
use crate::store::survey::{Surveyed, survey};
use crate::store::{browse, layout, lock};
use crate::web::tls::read_fingerprint;

/// Durable footage lies behind by a fragment and a batch; from here on it is said.
const FRESH_US: i64 = 10_000_000;

#[derive(Debug, clap::Args)]
pub struct StatusArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// How the box is. Scripts rely on these names.
#[derive(Serialize)]
struct Status {
    running: bool,
    pid: Option<u32>,
    claimed: bool,
    /// While there is no owner and the box runs: the file with the claim code.
    claim_code_file: Option<PathBuf>,
    /// What the configuration says to listen on.
    address: String,
    fingerprint: Option<String>,
    cameras: Vec<CameraStatus>,
    disks: Vec<DiskStatus>,
}

#[derive(Serialize)]
struct CameraStatus {
    camera: String,
    feed: String,
    /// "recording", "silent" (it runs, and nothing new comes), "stopped", "empty" or "removed" (from the configuration).
    state: &'static str,
    /// Wall time of the end of the newest footage.
    newest: Option<String>,
    age_s: Option<f64>,
    segments: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct DiskStatus {
    path: PathBuf,
    free_bytes: Option<u64>,
    footage_bytes: u64,
    /// What is wrong with it, if anything is.
    error: Option<String>,
}

pub(super) fn main(arguments: StatusArguments) -> Result<ExitStatus, Failure> {
    let config = load_config(&arguments.config.config)?;
    let state = StateFolder::load(&config.state_dir).map_err(state_failure)?;
    let pid = lock::holder(&config.state_dir).or_fail(ExitStatus::Failed)?;
    let settings = run::tls_settings(&config);
    let fingerprint = read_fingerprint(&config.state_dir, &settings);
    let looked: Vec<_> = config.disks.iter().map(look).collect();
    let code = claim_code_path(&config.state_dir);
    let status = Status {
        running: pid.is_some(),
        pid,
        claimed: state.is_claimed(),
        claim_code_file: (!state.is_claimed() && code.exists()).then_some(code),
        address: format!("https://{}", config.server.listen),
        fingerprint: fingerprint.or_fail(ExitStatus::Failed)?,
        cameras: cameras(&config, &state, pid.is_some(), &looked)?,
        disks: looked.into_iter().map(|(disk, _)| disk).collect(),
    };
    match arguments.json {
        true => line(serde_json::to_string_pretty(&status).or_fail(ExitStatus::Failed)?)?,
        false => show(&status)?,
    }
    Ok(ExitStatus::Done)
}

/// A disk, and what lies on it by stream. A disk that is not there is said, and the others are shown.
fn look(configured: &crate::config::Disk) -> (DiskStatus, Vec<Surveyed>) {
    let mut status = DiskStatus {
        path: configured.path.clone(),
        free_bytes: None,
        footage_bytes: 0,
        error: None,
    };
    let looked = open_disk(&configured.path).and_then(|disk| {
        status.free_bytes = Some(disk.space().or_fail(ExitStatus::Failed)?.free_bytes);
        if layout::identify(&disk, &configured.path)
            .or_fail(ExitStatus::Failed)?
            .is_none()
        {
            let sentence = "it is no disk of a store: not mounted, or not used yet";
            return Err(Failure::new(ExitStatus::Nothing, sentence));
        }
        survey(&configured.path).or_fail(ExitStatus::Failed)
    });
    let surveyed = looked.unwrap_or_else(|failure| {
        status.error = Some(failure.sentence);
        Vec::new()
    });
    status.footage_bytes = surveyed.iter().map(|one| one.bytes).sum();
    (status, surveyed)
}

fn cameras(
    config: &Config,
    state: &StateFolder,
    running: bool,
    looked: &[(DiskStatus, Vec<Surveyed>)],
) -> Result<Vec<CameraStatus>, Failure> {
    let known = match state.is_claimed() {
        true => state.streams().map_err(state_failure)?,
        false => Vec::new(),
    };
    let now_us = SystemClock::new().wall_us();
    let mut rows: Vec<CameraStatus> = Vec::new();
    for stream in &known {
        let on_disks = of_stream(&stream.id, looked);
        let newest_us = newest_end_us(config, state, &on_disks);
        let age_us = newest_us.map(|newest_us| now_us.saturating_sub(newest_us));
        let configured = config
            .cameras
            .iter()
            .any(|camera| camera.name == stream.name.camera);
        rows.push(CameraStatus {
            camera: stream.name.camera.clone(),
            feed: stream.name.feed.clone(),
            state: match age_us {
                _ if !configured => "removed",
                None => "empty",
                Some(_) if !running => "stopped",
                Some(age_us) if age_us <= FRESH_US => "recording",
                Some(_) => "silent",
            },
            newest: newest_us.map(rfc3339),
            age_s: age_us.map(|age_us| age_us as f64 / 1e6),
            segments: on_disks.iter().map(|(_, one)| one.segments).sum(),
            bytes: on_disks.iter().map(|(_, one)| one.bytes).sum(),
        });
    }
    let names: HashMap<_, _> = known
        .iter()
        .map(|stream| (&stream.name.camera, ()))
        .collect();
    for camera in config
        .cameras
        .iter()
        .filter(|camera| !names.contains_key(&camera.name))
    {
        rows.push(CameraStatus {
            camera: camera.name.clone(),
            feed: "main".to_owned(),
            state: "empty",
            newest: None,
            age_s: None,
            segments: 0,
            bytes: 0,
        });
    }
    Ok(rows)
}

/// What there is of a stream, with the number of the disk.
fn of_stream<'a>(
    stream: &StreamId,
    looked: &'a [(DiskStatus, Vec<Surveyed>)],
) -> Vec<(usize, &'a Surveyed)> {
    let disks = looked.iter().enumerate();
    let all = disks.flat_map(|(disk, (_, surveyed))| surveyed.iter().map(move |one| (disk, one)));
    all.filter(|(_, one)| one.stream == *stream).collect()
}

/// Wall time at which a stream's newest footage ends, in microseconds.
fn newest_end_us(
    config: &Config,
    state: &StateFolder,
    on_disks: &[(usize, &Surveyed)],
) -> Option<i64> {
    let keys = store::shared_keys(state);
    let ends = on_disks.iter().filter_map(|(disk, surveyed)| {
        let (_, place) = surveyed.newest.as_ref()?;
        let disk = open_disk(&config.disks.get(*disk)?.path).ok()?;
        let path = layout::segment_path(&place.stream, &place.epoch, &place.segment);
        let (facts, _) = browse::look(&disk, &path, place, &state.store(), &*keys).ok()?;
        Some(
            facts
                .start
                .wall_us
                .saturating_add_unsigned(facts.end.duration_us),
        )
    });
    ends.max()
}

fn show(status: &Status) -> Result<(), Failure> {
    match status.pid {
        Some(pid) => line(format_args!("recorder     running (process {pid})"))?,
        None => line("recorder     not running; start it with `hearthkeep run`")?,
    }
    match (status.claimed, &status.claim_code_file) {
        (true, _) => line("owner        claimed")?,
        (false, Some(file)) => line(format_args!(
            "owner        none yet: open the page and type the claim code in {}",
            file.display()
        ))?,
        (false, None) => line(
            "owner        none yet: start `hearthkeep run` for a claim code, or use `hearthkeep init`",
        )?,
    }
    line(format_args!("address      {}", status.address))?;
    let fingerprint = status.fingerprint.as_deref();
    line(format_args!(
        "fingerprint  {}",
        fingerprint.unwrap_or("made at the first run")
    ))?;
    for camera in &status.cameras {
        let newest = match (&camera.newest, camera.age_s) {
            (Some(newest), Some(age_s)) => format!("newest {newest} ({})", ago(age_s)),
            _ => "nothing recorded".to_owned(),
        };
        let (name, megabytes) = (&camera.camera, camera.bytes as f64 / 1e6);
        line(format_args!(
            "camera       {name:<16} {:<9}  {megabytes:>10.1} MB  {newest}",
            camera.state
        ))?;
    }
    for disk in &status.disks {
        let free = disk
            .free_bytes
            .map_or("?".to_owned(), |bytes| format!("{:.1}", bytes as f64 / 1e9));
        let wrong = disk
            .error
            .as_ref()
            .map_or(String::new(), |error| format!(": {error}"));
        line(format_args!(
            "disk         {}  {:.1} GB of footage, {free} GB free{wrong}",
            disk.path.display(),
            disk.footage_bytes as f64 / 1e9,
        ))?;
    }
    Ok(())
}

fn ago(age_s: f64) -> String {
    match age_s.max(0.0) {
        age_s if age_s < 120.0 => format!("{age_s:.0} s ago"),
        age_s if age_s < 7_200.0 => format!("{:.0} min ago", age_s / 60.0),
        age_s if age_s < 172_800.0 => format!("{:.0} h ago", age_s / 3_600.0),
        age_s => format!("{:.0} days ago", age_s / 86_400.0),
    }
}
