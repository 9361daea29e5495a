//! From the configuration as written to the one that is used: what a value must be, and defaults.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::error::Problem;
use super::raw::{self, At};
use super::secret::UrlCredentials;
use super::{
    Camera, CameraUrl, Config, Credentials, Disk, OwnCertificate, Password, Placement, Server,
    Storage, Tier, size,
};
use crate::limits::{
    BUDGET_BYTES_MIN, CAMERA_NAME_CHARS_MAX, CAMERAS_MAX, DISKS_MAX, KEEP_DAYS_MAX, SCRUB_DAYS,
    SCRUB_DAYS_MAX,
};

const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8443);

/// The checked configuration; `None` where `problems` say why not (what is missing or of the wrong
/// type was reported when it was read).
pub(super) fn check(file: raw::File, folder: &Path, problems: &mut Vec<Problem>) -> Option<Config> {
    let mut check = Check { folder, problems };
    let server = check.server(file.server);
    check.unique(&file.disks, "disk", "path", DISKS_MAX, |disk| {
        disk.path.as_ref()
    });
    check.unique(&file.cameras, "camera", "name", CAMERAS_MAX, |camera| {
        camera.name.as_ref()
    });
    let disks: Vec<_> = file
        .disks
        .into_iter()
        .map(|disk| check.disk(disk))
        .collect();
    let disks = disks.into_iter().collect::<Option<Vec<_>>>();
    let storage = check.storage(file.storage, disks.as_deref());
    let cameras: Vec<_> = file
        .cameras
        .into_iter()
        .map(|camera| check.camera(camera, disks.as_deref()))
        .collect();
    Some(Config {
        state_dir: check.path(file.state_dir?),
        server: server?,
        storage: storage?,
        disks: disks?,
        cameras: cameras.into_iter().collect::<Option<_>>()?,
    })
}

struct Check<'a> {
    folder: &'a Path,
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn problem(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.problems.push(Problem::new(span, message, advice));
    }

    fn path(&self, path: At<String>) -> PathBuf {
        self.folder.join(path.into_inner())
    }

    fn server(&mut self, server: raw::Server) -> Option<Server> {
        let listen = match server.listen {
            None => Some(LISTEN_DEFAULT),
            Some(text) => {
                let address = text.get_ref().parse().ok();
                if address.is_none() {
                    self.problem(
                        text.span(),
                        "\"listen\" must be an address and a port",
                        "for example listen = \"0.0.0.0:8443\" or \"[::]:8443\"",
                    );
                }
                address
            }
        };
        for name in &server.names {
            self.server_name(name);
        }
        let certificate = match (server.certificate, server.key) {
            (Some(certificate), Some(key)) => Some(OwnCertificate {
                certificate: self.path(certificate),
                key: self.path(key),
            }),
            (None, None) => None,
            (Some(alone), None) | (None, Some(alone)) => {
                self.problem(
                    alone.span(),
                    "\"certificate\" and \"key\" go together",
                    "give both files, or none: then the box makes its own",
                );
                None
            }
        };
        let names = server.names.into_iter().map(At::into_inner).collect();
        Some(Server {
            listen: listen?,
            names,
            announce: server.announce.unwrap_or(true),
            certificate,
        })
    }

    fn server_name(&mut self, name: &At<String>) {
        let host = url::Host::parse(name.get_ref());
        let (message, advice) = match host {
            Err(_) => (
                "not a name or address that a page can be reached by",
                "for example names = [\"hearthkeep.home.arpa\", \"192.168.1.5\"]",
            ),
            // A certificate authority limited to it would speak for a whole top-level domain.
            Ok(url::Host::Domain(domain))
                if domain != "localhost" && !domain.trim_end_matches('.').contains('.') =>
            {
                (
                    "a name without a dot could be a whole top-level domain, which no box may vouch for",
                    "give it the name of your network, for example names = [\"camera.home.arpa\"]; the host name under \
                     .local needs no entry",
                )
            }
            Ok(_) => return,
        };
        self.problem(name.span(), message, advice);
    }

    fn disk(&mut self, disk: raw::Disk) -> Option<Disk> {
        let max_bytes = self.budget(disk.max_bytes);
        let tier = self.one_of(disk.tier, "tier", &Tier::ALL, Tier::as_str);
        Some(Disk {
            path: self.path(disk.path?),
            max_bytes: max_bytes?,
            tier: tier?,
        })
    }

    /// `disks` is `None` where they are not known for their own mistakes.
    fn storage(&mut self, storage: raw::Storage, disks: Option<&[Disk]>) -> Option<Storage> {
        let rules = &Placement::ALL;
        let placement = self.one_of(storage.placement, "placement", rules, Placement::as_str);
        let place = storage.cold_after_days.as_ref().map(At::span);
        let scrub_days = self.scrub_days(storage.scrub_days);
        let example =
            "for example cold_after_days = 7; without it, footage moves when its disk is full";
        let cold_after_days = self.days(storage.cold_after_days, "cold_after_days", example)?;
        let has_cold = |disks: &[Disk]| disks.iter().any(|disk| disk.tier == Tier::Cold);
        if let (Some(place), Some(false)) = (place, disks.map(has_cold)) {
            self.problem(
                place,
                "\"cold_after_days\" says when footage goes to the cold disks, and there is none",
                "add tier = \"cold\" to a [[disk]] for old footage, or leave this line out",
            );
            return None;
        }
        Some(Storage {
            placement: placement?,
            cold_after_days,
            scrub_days: scrub_days?,
        })
    }

    /// A word of a short list; the first of it where there is none.
    fn one_of<T: Copy + Default>(
        &mut self,
        text: Option<At<String>>,
        key: &str,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Option<T> {
        let Some(text) = text else {
            return Some(T::default());
        };
        let found = all.iter().find(|one| name(**one) == text.get_ref());
        if found.is_none() {
            let names: Vec<_> = all
                .iter()
                .map(|one| format!("\"{}\"", name(*one)))
                .collect();
            self.problem(
                text.span(),
                format!("\"{key}\" is not one that is known"),
                format!("expected {}", names.join(" or ")),
            );
        }
        found.copied()
    }

    /// The outer `None` is a mistake: a camera can only be recorded to a disk that is there, and not to one for old footage.
    #[allow(clippy::option_option)]
    fn pinned(
        &mut self,
        disk: Option<At<String>>,
        disks: Option<&[Disk]>,
    ) -> Option<Option<PathBuf>> {
        let (Some(disk), Some(disks)) = (disk, disks) else {
            return Some(None);
        };
        let (place, path) = (disk.span(), self.path(disk));
        let (wrong, advice) = match disks.iter().find(|known| known.path == path) {
            Some(known) if known.tier == Tier::Hot => return Some(Some(path)),
            Some(_) => (
                "\"disk\" names a cold disk, which is for old footage",
                "name another one, or leave this line out",
            ),
            None => (
                "\"disk\" names no [[disk]] of this configuration",
                "write it as that disk's \"path\" is written",
            ),
        };
        self.problem(place, wrong, advice);
        None
    }

    /// The outer `None` is a mistake, the inner one no budget.
    #[allow(clippy::option_option)]
    fn budget(&mut self, text: Option<At<String>>) -> Option<Option<u64>> {
        let Some(text) = text else { return Some(None) };
        match size::parse(text.get_ref()) {
            None => {
                self.problem(
                    text.span(),
                    "\"max_bytes\" is not a size",
                    "expected a number and a unit, for example \"500GB\", \"1.5 TiB\" or 500000000000",
                );
                None
            }
            Some(bytes) if bytes < BUDGET_BYTES_MIN => {
                self.problem(
                    text.span(),
                    "\"max_bytes\" is too small to hold footage",
                    format!(
                        "expected at least {} MiB, for example \"500GB\"",
                        BUDGET_BYTES_MIN >> 20
                    ),
                );
                None
            }
            bytes => Some(bytes),
        }
    }

    fn camera(&mut self, camera: raw::Camera, disks: Option<&[Disk]>) -> Option<Camera> {
        let max_bytes = self.budget(camera.max_bytes);
        let example = "for example keep_days = 14; without it, footage stays until space is needed";
        let keep_days = self.days(camera.keep_days, "keep_days", example);
        let disk = self.pinned(camera.disk, disks);
        let name = camera.name.and_then(|name| self.name(name));
        let url = camera.url?;
        let place = url.span();
        let (url, given) = match CameraUrl::parse(url.get_ref()) {
            Ok(parsed) => parsed,
            Err((message, advice)) => {
                self.problem(place, format!("\"url\": {message}"), advice);
                return None;
            }
        };
        let written = Written {
            username: camera.username,
            password: camera.password,
            password_file: camera.password_file,
        };
        let credentials = self.credentials(place, given, written)?;
        Some(Camera {
            name: name?,
            url,
            credentials,
            keep_days: keep_days?,
            max_bytes: max_bytes?,
            disk: disk?,
        })
    }

    fn name(&mut self, name: At<String>) -> Option<String> {
        let text = name.get_ref();
        let wrong = if text.chars().count() > CAMERA_NAME_CHARS_MAX {
            format!("\"name\" is longer than {CAMERA_NAME_CHARS_MAX} characters")
        } else if text.chars().any(char::is_control) {
            "\"name\" has control characters".to_owned()
        } else if text.trim() != text {
            "\"name\" begins or ends with a space".to_owned()
        } else {
            return Some(name.into_inner());
        };
        self.problem(name.span(), wrong, "for example name = \"front door\"");
        None
    }

    /// The outer `None` is a mistake.
    #[allow(clippy::option_option)]
    fn scrub_days(&mut self, days: Option<At<i64>>) -> Option<Option<u32>> {
        let Some(days) = days else {
            return Some(Some(SCRUB_DAYS));
        };
        match u32::try_from(*days.get_ref()) {
            Ok(0) => Some(None),
            Ok(number @ 1..=SCRUB_DAYS_MAX) => Some(Some(number)),
            _ => {
                self.problem(
                    days.span(),
                    format!("\"scrub_days\" must be from 0 to {SCRUB_DAYS_MAX}"),
                    "for example scrub_days = 30: all footage is read again once in so many days; 0 is never",
                );
                None
            }
        }
    }

    /// The outer `None` is a mistake.
    #[allow(clippy::option_option)]
    fn days(&mut self, days: Option<At<i64>>, key: &str, example: &str) -> Option<Option<u32>> {
        let Some(days) = days else { return Some(None) };
        match u32::try_from(*days.get_ref()) {
            Ok(number @ 1..=KEEP_DAYS_MAX) => Some(Some(number)),
            _ => {
                self.problem(
                    days.span(),
                    format!("\"{key}\" must be from 1 to {KEEP_DAYS_MAX}"),
                    example,
                );
                None
            }
        }
    }

    /// The outer `None` is a mistake.
    #[allow(clippy::option_option)]
    fn credentials(
        &mut self,
        url: Range<usize>,
        given: UrlCredentials,
        written: Written,
    ) -> Option<Option<Credentials>> {
        let before = self.problems.len();
        if let (Some(_), Some(name)) = (&given.username, &written.username) {
            self.problem(
                name.span(),
                "the user name is given twice: here and in \"url\"",
                "keep one of them, best \"username\"",
            );
        }
        let places = [
            given.password.as_ref().map(|_| url.clone()),
            written.password.as_ref().map(At::span),
            written.password_file.as_ref().map(At::span),
        ];
        let mut given_places = places.into_iter().flatten();
        let first_place = given_places.next();
        if let Some(second) = given_places.next() {
            self.problem(
                second,
                "the password is given more than once",
                "keep one of: \"password_file\" (best), \"password\", or the one in \"url\"",
            );
        }
        let username = given.username.or(written.username.map(At::into_inner));
        let password = written
            .password_file
            .map(|file| Password::File(self.path(file)))
            .or(written
                .password
                .map(|text| Password::Inline(text.into_inner().into())))
            .or(given.password.map(Password::Inline));
        if let (None, Some(place)) = (&username, first_place) {
            let advice = "add username = \"…\", as the camera knows it";
            self.problem(place, "there is a password but no user name", advice);
        }
        if self.problems.len() > before {
            return None;
        }
        // Some cameras have a user without a password.
        let password = password.unwrap_or_else(|| Password::Inline(SecretString::from("")));
        Some(username.map(|username| Credentials { username, password }))
    }

    /// Reports too many sections, and those that carry the same key.
    fn unique<T>(
        &mut self,
        items: &[T],
        kind: &str,
        key: &str,
        most: usize,
        value: impl Fn(&T) -> Option<&At<String>>,
    ) {
        let mut seen = HashMap::new();
        for value in items.iter().filter_map(value) {
            if seen.insert(value.get_ref().clone(), ()).is_some() {
                self.problem(
                    value.span(),
                    format!("two [[{kind}]] sections have the same \"{key}\""),
                    format!("each {kind} needs a {key} of its own"),
                );
            }
        }
        if items.len() > most {
            let message = format!("there are {} [[{kind}]] sections", items.len());
            self.problem(0..0, message, format!("one box has at most {most}"));
        }
    }
}

/// What stands in the section about the user, beside the address.
struct Written {
    username: Option<At<String>>,
    password: Option<At<String>>,
    password_file: Option<At<String>>,
}
