//! What the network is told, and when it is told nothing.

use std::net::{IpAddr, SocketAddr};

use crate::limits::{LAN_LABEL_BYTES_MAX, LAN_RENAMED_BYTES_MAX};

/// The service types: ours for programs that know it, and the page's for everything else (RFC 6763, 7).
pub(super) const SERVICES: [&str; 2] = ["_hearthkeep._tcp.local.", "_https._tcp.local."];

/// What the network is told of a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Where its page is served: the port that is told, and which addresses are.
    pub listen: SocketAddr,
    /// The name it is reached by, such as `attic.local`: one that its certificate stands for.
    pub host: String,
    /// SHA-256 of the certificate to compare, in hex pairs.
    pub fingerprint: String,
}

/// Why a box is not announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// Nobody else could reach it.
    #[error("the page is served on this machine only (server.listen)")]
    Loopback,
    /// `localhost.local` would be everybody.
    #[error(
        "this machine has no host name of its own: give it one, for example with hostnamectl set-hostname attic"
    )]
    NoName,
}

impl Announcement {
    /// Whether there is anything to tell.
    ///
    /// # Errors
    ///
    /// [`Silence`], where there is not.
    pub fn check(&self) -> Result<(), Silence> {
        if self.listen.ip().to_canonical().is_loopback() {
            return Err(Silence::Loopback);
        }
        let label = self.label();
        if label.is_empty() || label == "localhost" {
            return Err(Silence::NoName);
        }
        Ok(())
    }

    /// What people choose from a list. Cut so that there is room for the number that tells two of the same name apart.
    pub fn instance(&self) -> String {
        let mut name = format!("Hearthkeep on {}", self.label());
        let bytes_max = LAN_LABEL_BYTES_MAX - LAN_RENAMED_BYTES_MAX;
        while name.len() > bytes_max {
            name.pop();
        }
        name
    }

    /// Key and value of each TXT entry (RFC 6763, 6).
    pub fn txt(&self) -> [(&'static str, String); 3] {
        [
            ("path", "/".to_owned()),
            ("fp", self.fingerprint.clone()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ]
    }

    /// Whether an address of this machine is one that its page is served on and that others can reach.
    pub fn tells(&self, address: IpAddr) -> bool {
        if address.is_loopback() {
            return false;
        }
        match self.listen.ip().to_canonical() {
            IpAddr::V4(listen) if listen.is_unspecified() => address.is_ipv4(),
            // A socket for all of IPv6 takes IPv4 too.
            IpAddr::V6(listen) if listen.is_unspecified() => true,
            listen => address.to_canonical() == listen,
        }
    }

    /// The address of the page, for a browser.
    pub fn url(&self) -> String {
        format!("https://{}:{}", self.host, self.listen.port())
    }

    fn label(&self) -> &str {
        self.host.split('.').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(listen: &str, host: &str) -> Announcement {
        Announcement {
            listen: listen.parse().unwrap(),
            host: host.to_owned(),
            fingerprint: vec!["AB"; 32].join(":"),
        }
    }

    #[test]
    fn what_is_served_here_only_is_not_announced() {
        for listen in ["127.0.0.1:8443", "[::1]:8443", "[::ffff:127.0.0.9]:8443"] {
            let said = announcement(listen, "attic.local").check();
            assert_eq!(said, Err(Silence::Loopback), "{listen}");
        }
        for listen in ["0.0.0.0:8443", "[::]:8443", "192.168.1.5:8443"] {
            assert_eq!(announcement(listen, "attic.local").check(), Ok(()));
        }
        for host in ["localhost.local", ""] {
            let said = announcement("0.0.0.0:8443", host).check();
            assert_eq!(said, Err(Silence::NoName));
        }
    }

    #[test]
    fn the_addresses_told_are_those_that_are_served() {
        let cases = [
            ("0.0.0.0:1", "192.168.1.5", true),
            ("0.0.0.0:1", "fe80::1", false),
            ("0.0.0.0:1", "127.0.0.1", false),
            ("[::]:1", "192.168.1.5", true),
            ("[::]:1", "fd00::5", true),
            ("[::]:1", "::1", false),
            ("192.168.1.5:1", "192.168.1.5", true),
            ("192.168.1.5:1", "192.168.1.6", false),
            ("[::ffff:192.168.1.5]:1", "192.168.1.5", true),
            ("[fd00::5]:1", "fd00::5", true),
            ("[fd00::5]:1", "192.168.1.5", false),
        ];
        for (listen, address, is_told) in cases {
            let announcement = announcement(listen, "attic.local");
            let said = announcement.tells(address.parse().unwrap());
            assert_eq!(said, is_told, "{listen} {address}");
        }
    }

    #[test]
    fn names_and_entries_fit_what_dns_allows() {
        let usual = announcement("0.0.0.0:8443", "attic.local");
        assert_eq!(usual.instance(), "Hearthkeep on attic");
        assert_eq!(usual.url(), "https://attic.local:8443");
        let long = announcement("0.0.0.0:8443", &format!("{}.local", "x".repeat(63)));
        assert_eq!(format!("{} (99)", long.instance()).len(), 63);
        for (key, value) in long.txt() {
            assert!(key.len() + 1 + value.len() <= 255, "{key}={value}");
            // Keys of at most nine characters (RFC 6763, 6.4).
            assert!(key.len() <= 9, "{key}");
        }
        let service = |name: &str| name.len() - "_._tcp.local.".len();
        assert!(SERVICES.iter().all(|name| service(name) <= 15));
    }
}
