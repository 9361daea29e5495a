//! How a running recorder is, told by itself.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::super::socket::{self, Answer, Request};
use crate::web::RecorderFootage;
use crate::web::footage::{
    CameraForecast, DiskStatus, Footage as _, ScrubStatus, StreamState, StreamStatus,
};
use crate::web::tls::Tls;

/// What a running recorder says of itself. No secrets, and nothing of the footage.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Where its page can be opened.
    pub addresses: Vec<String>,
    /// Why there is no page, if there is none.
    pub page_error: Option<String>,
    pub clock_trusted: bool,
    /// Files on the disks that are no whole footage of this box.
    #[serde(default)]
    pub strange_files: u64,
    /// What is wrong with the signed log, and what it says was removed.
    #[serde(default)]
    pub log_troubles: Vec<String>,
    /// What is wrong with the catalog in the state folder.
    #[serde(default)]
    pub catalog_trouble: Option<String>,
    /// For what there will not be room.
    #[serde(default)]
    pub forecast_troubles: Vec<String>,
    /// For how long footage is kept, by camera.
    #[serde(default)]
    pub forecast: Vec<CameraForecast>,
    pub streams: Vec<StreamReport>,
    pub disks: Vec<DiskReport>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct StreamReport {
    pub camera: String,
    pub feed: String,
    /// "recording", "connecting", "waiting", "failed" or "stopped".
    pub state: String,
    /// Since when, in µs of wall time.
    pub since_us: Option<i64>,
    pub trouble: Option<Trouble>,
    #[serde(default)]
    pub gap: Option<GapReport>,
    /// What there is of it; nothing before the store is open.
    #[serde(default)]
    pub kept: Option<KeptReport>,
}

/// How much there is of a stream.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct KeptReport {
    pub segments: u64,
    pub bytes: u64,
    /// To where there is footage, in µs of wall time.
    pub newest_us: Option<i64>,
}

impl StreamReport {
    /// Whether it is of this camera's feed.
    pub fn is(&self, camera: &str, feed: &str) -> bool {
        self.camera == camera && self.feed == feed
    }
}

/// That nothing of a stream is kept now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GapReport {
    /// As `docs/format.md`, 5.6, names it.
    pub cause: String,
    /// To where there is footage, in µs of wall time.
    pub since_us: Option<i64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trouble {
    pub message: String,
    pub advice: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct DiskReport {
    pub path: PathBuf,
    pub error: Option<String>,
    /// That it is slow to make footage safe, and what to do.
    #[serde(default)]
    pub slow: Option<String>,
    /// What its file system has left, where that answers.
    #[serde(default)]
    pub free_bytes: Option<u64>,
    #[serde(default)]
    pub footage_bytes: u64,
    /// As [`DiskStatus`] has it, like the next two.
    #[serde(default)]
    pub room_bytes: Option<u64>,
    #[serde(default)]
    pub held_bytes: Option<u64>,
    #[serde(default)]
    pub full_in_days: Option<f64>,
    /// How far its footage was read again in the background.
    #[serde(default)]
    pub scrub: Option<ScrubStatus>,
}

/// Whether the page is served, once that is known: where and with which certificate, or why not.
pub type Page = OnceLock<Result<(SocketAddr, Arc<Tls>), String>>;

impl Report {
    /// Whether recording has not begun, for there is no disk.
    pub fn has_no_disk(&self) -> bool {
        let is_away = |disk: &DiskReport| disk.error.is_some();
        !self.disks.is_empty()
            && self.disks.iter().all(is_away)
            && self.streams.iter().all(|stream| stream.kept.is_none())
    }

    /// How it is now.
    pub fn of(footage: &RecorderFootage, page: &Page) -> Self {
        let (mut addresses, mut page_error) = (Vec::new(), None);
        match page.get() {
            Some(Ok((listen, tls))) => addresses = tls.names().addresses_of(*listen),
            Some(Err(error)) => page_error = Some(error.clone()),
            None => {}
        }
        let status = footage.status();
        let disk = |disk: DiskStatus| DiskReport {
            path: disk.path.into(),
            error: disk.error,
            slow: disk.slow,
            free_bytes: disk.free_bytes,
            footage_bytes: disk.used_bytes,
            room_bytes: disk.room_bytes,
            held_bytes: disk.held_bytes,
            full_in_days: disk.full_in_days,
            scrub: disk.scrub,
        };
        Self {
            addresses,
            page_error,
            clock_trusted: status.clock_trusted,
            strange_files: status.strange_files,
            log_troubles: status.log_troubles,
            catalog_trouble: status.catalog_trouble,
            forecast_troubles: forecast_troubles(&status.forecast, &status.disks),
            forecast: status.forecast,
            streams: footage
                .streams()
                .into_iter()
                .map(|status| stream(footage, status))
                .collect(),
            disks: status.disks.into_iter().map(disk).collect(),
        }
    }

    /// For how long the footage of a camera is kept.
    pub fn kept_of(&self, camera: &str) -> Option<&CameraForecast> {
        self.forecast.iter().find(|it| it.camera == camera)
    }
}

fn forecast_troubles(cameras: &[CameraForecast], disks: &[DiskStatus]) -> Vec<String> {
    let cameras = cameras.iter().filter_map(|camera| camera.trouble.clone());
    let disk = |disk: &DiskStatus| Some(format!("disk {}: {}", disk.path, disk.trouble.as_ref()?));
    cameras.chain(disks.iter().filter_map(disk)).collect()
}

fn stream(footage: &RecorderFootage, status: StreamStatus) -> StreamReport {
    let state = match status.state {
        StreamState::Recording => "recording",
        StreamState::Connecting => "connecting",
        StreamState::Waiting => "waiting",
        StreamState::Failed => "failed",
        StreamState::Stopped => "stopped",
    };
    StreamReport {
        camera: status.camera,
        feed: status.feed,
        state: state.to_owned(),
        since_us: status.since_us,
        kept: footage.kept(&status.id).map(|kept| KeptReport {
            segments: kept.segments,
            bytes: kept.bytes,
            newest_us: kept.newest_us,
        }),
        gap: status.gap.map(|gap| GapReport {
            cause: gap.cause,
            since_us: gap.since_us,
        }),
        trouble: status.error.map(|trouble| Trouble {
            message: trouble.message,
            advice: trouble.advice,
        }),
    }
}

/// Asks the recorder of this state folder how it is; `None` where nobody answers.
pub fn ask(state_dir: &Path) -> io::Result<Option<Report>> {
    match socket::ask(state_dir, &Request::Status)? {
        None => Ok(None),
        Some(Answer::Done(report)) => Ok(Some(report)),
        Some(Answer::NotYet(why) | Answer::Refused(why)) => Err(io::Error::other(why)),
    }
}
