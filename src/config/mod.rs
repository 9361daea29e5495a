//! The configuration: read as written ([`raw`]), checked, and from then on used only as checked.
//!
//! ```toml
//! state_dir = "/var/lib/hearthkeep"
//! [server]
//! listen = "0.0.0.0:8443"            # optional
//! announce = true                    # optional: tell the local network where the page is
//! [storage]
//! placement = "most-room"            # optional: or "round-robin", "spill-over"
//! cold_after_days = 7                # optional: then footage moves to the cold disks, and not only from full ones
//! scrub_days = 30                    # optional: all footage is read again once in so many days; 0 = never
//! [[disk]]
//! path = "/srv/footage"
//! max_bytes = "500GB"                # optional
//! tier = "cold"                      # optional: for old footage only
//! [[camera]]
//! name = "front door"
//! url = "rtsp://192.168.1.20/stream1"
//! username = "viewer"                # optional
//! password_file = "/etc/hearthkeep/front.pw"
//! keep_days = 14                     # optional
//! disk = "/srv/footage"              # optional: the disk to record it to, as long as that is there
//! ```

mod check;
mod error;
mod file;
mod nested;
mod raw;
mod secret;
mod size;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use error::{Error, Mistakes};
pub use file::{EditError, Edited, is_closed, read_text};
pub use nested::{Nested, plain, real};
pub use secret::{CameraUrl, Credentials, Password, PasswordFileError};
pub use size::{parse as parse_size, text as size_text};

/// A checked configuration. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the recorder's own state, absolute or relative to where the program runs.
    pub state_dir: PathBuf,
    /// What the page is served as.
    pub server: Server,
    /// How footage is spread over the disks.
    pub storage: Storage,
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

/// `[storage]`: how footage is spread over the disks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Storage {
    /// Which disk a new segment goes to.
    pub placement: Placement,
    /// Days after which footage moves to the cold disks; `None` leaves it where it is until its disk is full.
    pub cold_after_days: Option<u32>,
    /// All footage is read again in the background once in so many days; `None` is never.
    pub scrub_days: Option<u32>,
}

/// Which disk a new segment goes to, of those that work and have room. A camera's own disk comes first, whatever the rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Placement {
    /// The one with the most room: disks of any size fill and are written to in proportion.
    #[default]
    MostRoom,
    /// One after the other, whatever their sizes.
    RoundRobin,
    /// The first of the configuration, and the next one once it has no room.
    SpillOver,
}

impl Placement {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::MostRoom, Self::RoundRobin, Self::SpillOver];

    /// As the configuration names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MostRoom => "most-room",
            Self::RoundRobin => "round-robin",
            Self::SpillOver => "spill-over",
        }
    }
}

/// What a disk is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tier {
    /// For new footage.
    #[default]
    Hot,
    /// For footage of some age; for new footage only while no other disk takes it.
    Cold,
}

impl Tier {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Hot, Self::Cold];

    /// As the configuration names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Cold => "cold",
        }
    }
}

/// `[[disk]]`: a folder that footage is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The folder.
    pub path: PathBuf,
    /// The most that footage may take of it, in bytes; without it, all but a reserve.
    pub max_bytes: Option<u64>,
    /// What it is for.
    pub tier: Tier,
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
    /// The disk that it is recorded to while that one is there, as one of the disks has it for its path.
    pub disk: Option<PathBuf>,
}

impl Config {
    /// Reads and checks a file. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] when it cannot be read as text, [`Error::Mistakes`] when it cannot be used.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::parse(&read_text(path)?, path)
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
