//! The configuration: read as written ([`raw`]), checked, and from then on used only as checked.
//!
//! ```toml
//! state_dir = "/var/lib/hearthkeep"
//! [server]
//! listen = "0.0.0.0:8443"            # optional
//! announce = true                    # optional: tell the local network where the page is
//! [[disk]]
//! path = "/srv/footage"
//! max_bytes = "500GB"                # optional
//! [[camera]]
//! name = "front door"
//! url = "rtsp://192.168.1.20/stream1"
//! username = "viewer"                # optional
//! password_file = "/etc/hearthkeep/front.pw"
//! keep_days = 14                     # optional
//! ```

mod check;
mod error;
mod raw;
mod secret;
mod size;

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use error::{Error, Mistakes};
pub use secret::{CameraUrl, Credentials, Password, PasswordFileError};

use crate::limits::CONFIG_BYTES_MAX;

/// A checked configuration. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the recorder's own state, absolute or relative to where the program runs.
    pub state_dir: PathBuf,
    /// What the page is served as.
    pub server: Server,
    /// Where footage goes; at least one.
    pub disks: Vec<Disk>,
    /// Whose footage; may be empty.
    pub cameras: Vec<Camera>,
}

/// `[server]`: where and as what the page is served.
#[derive(Debug, Clone)]
pub struct Server {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// Names and addresses the page is reached by, beside the machine's own.
    pub names: Vec<String>,
    /// Whether the local network is told where the page is.
    pub announce: bool,
    /// The owner's own certificate instead of the box's.
    pub certificate: Option<OwnCertificate>,
}

/// A certificate that the owner brings.
#[derive(Debug, Clone)]
pub struct OwnCertificate {
    /// PEM file of the certificate and its chain.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
}

/// `[[disk]]`: a folder that footage is written to.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The folder.
    pub path: PathBuf,
    /// The most that footage may take of it, in bytes; without it, all but a reserve.
    pub max_bytes: Option<u64>,
}

/// `[[camera]]`: what is recorded.
#[derive(Debug, Clone)]
pub struct Camera {
    /// Its name: unique, 1 to 64 characters.
    pub name: String,
    /// Where it is.
    pub url: CameraUrl,
    /// Whom it lets in; `None` for a camera that asks nobody.
    pub credentials: Option<Credentials>,
    /// Footage older than this may go, in days.
    pub keep_days: Option<u32>,
    /// The most that its footage may take, in bytes.
    pub max_bytes: Option<u64>,
}

impl Config {
    /// Reads and checks a file. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] when it cannot be read as text, [`Error::Mistakes`] when it cannot be used.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let cannot = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let mut text = zeroize::Zeroizing::new(String::new());
        let file = std::fs::File::open(path).map_err(cannot)?;
        file.take(CONFIG_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(cannot)?;
        if text.len() as u64 > CONFIG_BYTES_MAX {
            let message = format!("it is longer than {CONFIG_BYTES_MAX} bytes");
            return Err(cannot(std::io::Error::new(
                std::io::ErrorKind::FileTooLarge,
                message,
            )));
        }
        Self::parse(&text, path)
    }

    /// Checks a configuration already in memory; `path` is where it stands, for messages and for
    /// the folder that relative paths start from.
    ///
    /// # Errors
    ///
    /// [`Error::Mistakes`], with all that were found.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let file = raw::read(text, &mut problems);
        let folder = path.parent().unwrap_or(Path::new(""));
        match check::check(file, folder, &mut problems) {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(Error::of(problems, text, path)),
        }
    }
}
