//! How a running recorder is, told by itself: a socket in the state folder, which only its owner can open. Nothing is
//! written, and while nobody asks nothing is done.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::{STATUS_ANSWER_BYTES_MAX, STATUS_ANSWER_MS_MAX, STATUS_PAUSE_MS};
use crate::state_file;
use crate::web::RecorderFootage;
use crate::web::footage::{CameraForecast, DiskStatus, Footage as _, StreamState, StreamStatus};
use crate::web::tls::Tls;

const SOCKET: &str = "status.socket";

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
    /// For what there will not be room.
    #[serde(default)]
    pub forecast_troubles: Vec<String>,
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
}

/// Whether the page is served, once that is known: where and with which certificate, or why not.
pub type Page = OnceLock<Result<(SocketAddr, Arc<Tls>), String>>;

impl Report {
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
        };
        Self {
            addresses,
            page_error,
            clock_trusted: status.clock_trusted,
            strange_files: status.strange_files,
            log_troubles: status.log_troubles,
            forecast_troubles: forecast_troubles(&status.forecast, &status.disks),
            streams: footage.streams().into_iter().map(stream).collect(),
            disks: status.disks.into_iter().map(disk).collect(),
        }
    }
}

fn forecast_troubles(cameras: &[CameraForecast], disks: &[DiskStatus]) -> Vec<String> {
    let cameras = cameras.iter().filter_map(|camera| camera.trouble.clone());
    let disk = |disk: &DiskStatus| Some(format!("disk {}: {}", disk.path, disk.trouble.as_ref()?));
    cameras.chain(disks.iter().filter_map(disk)).collect()
}

fn stream(status: StreamStatus) -> StreamReport {
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

/// Answers whoever asks, until this is dropped.
pub struct Answering(PathBuf);

/// Begins to answer. To be called by whoever holds the store's lock.
pub fn answer(
    state_dir: &Path,
    report: impl Fn() -> Report + Send + 'static,
) -> io::Result<Answering> {
    let path = state_dir.join(SOCKET);
    // Left by a recorder that was killed.
    state_file::remove(&path)?;
    let (near, _folder) = near(state_dir)?;
    let listener = UnixListener::bind(near)?;
    let serve = move || {
        for asked in listener.incoming() {
            // Whoever asks sees that it was not answered; that it cannot be accepted (too many files) ends by itself.
            if asked.and_then(|stream| tell(stream, &report())).is_err() {
                std::thread::park_timeout(Duration::from_millis(STATUS_PAUSE_MS));
            }
        }
    };
    std::thread::Builder::new()
        .name("status".to_owned())
        .spawn(serve)?;
    Ok(Answering(path))
}

impl Drop for Answering {
    fn drop(&mut self) {
        // One that stays is removed at the next start.
        let _ = state_file::remove(&self.0);
    }
}

fn tell(mut stream: UnixStream, report: &Report) -> io::Result<()> {
    stream.set_write_timeout(Some(Duration::from_millis(STATUS_ANSWER_MS_MAX)))?;
    stream.write_all(&serde_json::to_vec(report)?)
}

/// Asks the recorder of this state folder; `None` where nobody answers.
pub fn ask(state_dir: &Path) -> io::Result<Option<Report>> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    let (near, _folder) = near(state_dir)?;
    let stream = match UnixStream::connect(near) {
        Err(error) if [NotFound, ConnectionRefused].contains(&error.kind()) => return Ok(None),
        connected => connected?,
    };
    stream.set_read_timeout(Some(Duration::from_millis(STATUS_ANSWER_MS_MAX)))?;
    let mut bytes = Vec::new();
    stream
        .take(STATUS_ANSWER_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes).map(Some).map_err(Into::into)
}

/// The socket by a short path, valid while the folder is held: the kernel takes 107 bytes.
fn near(state_dir: &Path) -> io::Result<(PathBuf, File)> {
    let folder = File::open(state_dir)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    Ok((path.into(), folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_comes_through_also_after_a_crash_and_in_a_deep_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a-long-name/".repeat(12));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(ask(&folder).unwrap().is_none());
        let report = || Report {
            addresses: vec!["https://attic.local:8443".to_owned()],
            page_error: None,
            clock_trusted: true,
            strange_files: 0,
            log_troubles: Vec::new(),
            forecast_troubles: Vec::new(),
            streams: Vec::new(),
            disks: Vec::new(),
        };
        let first = answer(&folder, report).unwrap();
        for _ in 0..3 {
            let told = ask(&folder).unwrap().unwrap();
            assert_eq!(told.addresses, report().addresses);
        }
        // A killed recorder removes nothing.
        std::mem::forget(first);
        let second = answer(&folder, report).unwrap();
        assert!(ask(&folder).unwrap().is_some());
        drop(second);
        assert!(ask(&folder).unwrap().is_none());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    }
}
