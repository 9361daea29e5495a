//! Why a camera gives no pictures, in words for its owner. No error holds a secret.

use base64::Engine as _;
use secrecy::{ExposeSecret, SecretString};

use crate::config::CameraUrl;

/// What ended a session or kept it from beginning, and with whom.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct Error {
    /// The camera's address as it may be shown.
    pub address: String,
    /// What happened.
    pub kind: ErrorKind,
}

/// What can go wrong with a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection: the host or port does not answer, or its name is not known.
    Unreachable {
        /// What the system said.
        reason: String,
    },
    /// Connected, but no answer to a request in time.
    NoAnswer {
        /// How long was waited, in ms.
        waited_ms: u64,
    },
    /// It wants a user name and a password, and none is configured.
    CredentialsWanted,
    /// It does not accept the user name or the password.
    RefusedCredentials,
    /// It knows no stream of this path.
    NotFound,
    /// It answered a request with another status than success.
    Refused {
        /// The RTSP status.
        status: u16,
    },
    /// What it offers has no pictures.
    NoVideo,
    /// Its pictures are in a codec that cannot be recorded.
    UnsupportedCodec {
        /// The codec's name, as the camera says it.
        codec: String,
    },
    /// Its parameter sets came neither with the description nor with the pictures.
    NoParameters,
    /// It is connected but sends no pictures.
    Stalled {
        /// For how long, in ms.
        silent_ms: u64,
    },
    /// It ended the stream or the connection.
    Ended,
    /// Its time stamps went back, or ran ahead.
    Timestamps {
        /// By how much, in ms; negative: back.
        jump_ms: i64,
    },
    /// Its pictures come, but their time stamps hardly go on.
    TimeStandsStill {
        /// For how long, in ms.
        still_ms: u64,
    },
    /// A picture or audio frame beyond what is accepted.
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// It sends and sends, and nothing comes of it.
    Endless {
        /// What the recorder came to hold of it, in bytes.
        bytes: u64,
    },
    /// It sent what RTSP, RTP or its codec do not allow.
    BadData {
        /// What exactly, for a bug report.
        detail: String,
    },
    /// The configured password cannot be read.
    PasswordFile {
        /// Which file, and what is wrong with it.
        reason: String,
    },
}

impl Error {
    /// What is wrong, as a sentence with the camera's address.
    pub fn sentence(&self) -> String {
        let camera = &self.address;
        match &self.kind {
            ErrorKind::Unreachable { reason } => format!("{camera} cannot be reached: {reason}."),
            ErrorKind::NoAnswer { waited_ms } => {
                format!("{camera} did not answer within {} s.", waited_ms / 1000)
            }
            ErrorKind::CredentialsWanted => format!("{camera} wants a user name and a password."),
            ErrorKind::RefusedCredentials => {
                format!("{camera} does not accept the user name or the password.")
            }
            ErrorKind::NotFound => format!("{camera} has no stream of that path."),
            ErrorKind::Refused { status } => format!("{camera} refused with RTSP status {status}."),
            ErrorKind::NoVideo => format!("{camera} offers no video."),
            ErrorKind::UnsupportedCodec { codec } => {
                format!("{camera} sends {codec} video, which cannot be recorded.")
            }
            ErrorKind::NoParameters => {
                format!("{camera} sends pictures without the parameter sets to decode them.")
            }
            ErrorKind::Stalled { silent_ms } => {
                format!(
                    "{camera} is connected but has sent no picture for {} s.",
                    silent_ms / 1000
                )
            }
            ErrorKind::Ended => format!("{camera} ended the connection."),
            ErrorKind::Timestamps { jump_ms } if *jump_ms < 0 => {
                format!(
                    "{camera} sent time stamps that went back by {} ms.",
                    -jump_ms
                )
            }
            ErrorKind::Timestamps { jump_ms } => {
                format!("{camera} sent time stamps that ran ahead by {jump_ms} ms.")
            }
            ErrorKind::TimeStandsStill { still_ms } => {
                format!(
                    "{camera} has sent pictures for {} s whose time stamps stand still.",
                    still_ms / 1000
                )
            }
            ErrorKind::TooLarge { bytes } => {
                format!("{camera} sent a picture of {bytes} bytes, more than is accepted.")
            }
            ErrorKind::Endless { bytes } => {
                let megabytes = bytes >> 20;
                format!(
                    "{camera} sends something without an end: {megabytes} MiB, and no picture came of it."
                )
            }
            ErrorKind::BadData { detail } => {
                format!("{camera} sent what cannot be understood: {detail}.")
            }
            ErrorKind::PasswordFile { reason } => format!("{camera} was not asked: {reason}."),
        }
    }

    /// What its owner can do next.
    pub fn advice(&self) -> &'static str {
        match &self.kind {
            ErrorKind::Unreachable { .. } | ErrorKind::NoAnswer { .. } => {
                "Check that the camera has power and network, and that host and port in \"url\" are \
                 right. It is tried again by itself."
            }
            ErrorKind::CredentialsWanted => {
                "Add \"username\" and \"password_file\" to this camera's section."
            }
            ErrorKind::RefusedCredentials => {
                "Correct \"username\" or the password in this camera's section; some cameras want a \
                 user of their own for RTSP or ONVIF."
            }
            ErrorKind::NotFound => {
                "Correct the path in \"url\": the camera's manual or ONVIF page tells it."
            }
            ErrorKind::Refused { .. } => {
                "Look whether too many viewers are connected to the camera, or restart it."
            }
            ErrorKind::NoVideo => "Correct the path in \"url\": this one leads to no video.",
            ErrorKind::UnsupportedCodec { .. } => {
                "Set the stream to H.264 or H.265 on the camera's own page."
            }
            ErrorKind::NoParameters
            | ErrorKind::TooLarge { .. }
            | ErrorKind::Endless { .. }
            | ErrorKind::BadData { .. } => {
                "Update the camera's firmware or try its other stream; if it stays, report it with \
                 the camera's model."
            }
            ErrorKind::TimeStandsStill { .. } => {
                "It is connected again by itself. If it stays, restart the camera, update its firmware or try its other stream."
            }
            ErrorKind::Stalled { .. } | ErrorKind::Ended => {
                "It is connected again by itself. If it happens often, look at the camera's network \
                 or restart it."
            }
            ErrorKind::Timestamps { .. } => {
                "Switch B-frames off on the camera's own page (H.264 profile Baseline or Main); if \
                 it was the camera's clock being set, it goes on by itself."
            }
            ErrorKind::PasswordFile { .. } => {
                "Write the camera's password into that file, readable by the recorder."
            }
        }
    }
}

impl ErrorKind {
    /// Whether the camera is just not there at present, or goes on with a new connection: worth trying often.
    pub fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::NoAnswer { .. }
                | Self::Stalled { .. }
                | Self::TimeStandsStill { .. }
                | Self::Ended
        )
    }
}

/// When an error of retina's came: the same words mean different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Until PLAY is answered.
    Connecting,
    /// After it.
    Playing,
}

/// Makes errors of one camera, and keeps its secrets out of them.
pub(super) struct Teller {
    address: String,
    has_credentials: bool,
    /// What must not be repeated, even if the camera does.
    secrets: Vec<SecretString>,
}

impl Teller {
    pub(super) fn new(url: &CameraUrl) -> Self {
        Self {
            address: url.to_string(),
            has_credentials: false,
            secrets: Vec::new(),
        }
    }

    /// Learns what must never be told.
    pub(super) fn hide(&mut self, username: &str, password: &SecretString) {
        let password = password.expose_secret();
        let basic =
            base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
        self.has_credentials = true;
        self.secrets = vec![SecretString::from(basic)];
        if !password.is_empty() {
            self.secrets.push(SecretString::from(password));
        }
    }

    pub(super) fn error(&self, kind: ErrorKind) -> Error {
        Error {
            address: self.address.clone(),
            kind,
        }
    }

    /// retina's errors are opaque but for a status and their text (0.4.21); whatever of the text is
    /// not known here becomes [`ErrorKind::BadData`].
    pub(super) fn retina(&self, phase: Phase, error: &retina::Error) -> Error {
        let text = error.to_string();
        let reason = |start: &str| text.strip_prefix(start).map(|rest| self.safe(rest));
        let kind = if let Some(status) = error.status_code() {
            match status {
                401 if self.has_credentials => ErrorKind::RefusedCredentials,
                401 => ErrorKind::CredentialsWanted,
                403 => ErrorKind::RefusedCredentials,
                404 => ErrorKind::NotFound,
                200..=299 => ErrorKind::BadData {
                    detail: self.safe(&text),
                },
                _ => ErrorKind::Refused { status },
            }
        } else if let Some(reason) = reason("Unable to connect to RTSP server: ") {
            ErrorKind::Unreachable { reason }
        } else if let Some(reason) = reason("Error reading from RTSP peer: ")
            .or_else(|| reason("Error writing to RTSP peer: "))
        {
            match phase {
                Phase::Connecting => ErrorKind::Unreachable { reason },
                Phase::Playing => ErrorKind::Ended,
            }
        } else if text.contains("Incomplete RTSP message at EOF") {
            ErrorKind::Ended
        } else {
            ErrorKind::BadData {
                detail: self.safe(&text),
            }
        };
        self.error(kind)
    }

    /// The first line of a foreign text, short, printable and without the camera's secrets.
    fn safe(&self, text: &str) -> String {
        let line = text.lines().next().unwrap_or_default();
        let hidden = self.secrets.iter().fold(line.to_owned(), |line, secret| {
            line.replace(secret.expose_secret(), "…")
        });
        printable(&hidden, 160)
            .trim_end_matches(['.', ':', ';'])
            .to_owned()
    }
}

/// A camera's own words, cut to what may stand in a log or a page.
pub(super) fn printable(text: &str, chars_max: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(chars_max)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_camera_repeats_is_hidden() {
        let config = crate::config::Config::parse(
            "state_dir = \"s\"\n[[disk]]\npath = \"d\"\n[[camera]]\nname = \"c\"\n\
             url = \"rtsp://u:hunter2@h/a?b\"\n",
            std::path::Path::new("h.toml"),
        )
        .unwrap();
        let mut teller = Teller::new(&config.cameras[0].url);
        teller.hide("u", &SecretString::from("hunter2"));
        let told = teller.safe("got \u{7}hunter2 and dTpodW50ZXIy here.\nsecond line hunter2");
        assert_eq!(told, "got … and … here");
        let error = teller.error(ErrorKind::Timestamps { jump_ms: -40 });
        assert_eq!(
            error.to_string(),
            "rtsp://h/a?… sent time stamps that went back by 40 ms."
        );
    }
}
