//! Under which names and addresses a box answers: what its certificate is for, and which `Host` it accepts.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Networks of houses: what the box's authority may vouch for, with their prefix lengths.
pub const PRIVATE_NETWORKS: [(IpAddr, u8); 8] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
];

/// Names in lower case, and addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// DNS names.
    pub dns: BTreeSet<String>,
    /// IP addresses.
    pub addresses: BTreeSet<IpAddr>,
}

impl Names {
    /// What the operator has configured and what does not change by itself: `localhost`, the host name, and the host name
    /// under `.local`, as mDNS announces it. The box answers to the bare host name too, but no certificate is for it.
    pub fn fixed(host: &str, configured: &[String]) -> Self {
        let mut names = Self::default();
        names.dns.insert("localhost".to_owned());
        let host = host.to_ascii_lowercase();
        let label = host.split('.').next().unwrap_or_default();
        let of_host = [host.clone(), label.to_owned()];
        names
            .dns
            .extend(of_host.into_iter().filter(|name| is_dns_name(name)));
        names.dns.extend(mdns_name_of(&host));
        for name in configured {
            let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
            if let Ok(address) = name.trim_matches(['[', ']']).parse::<IpAddr>() {
                names.addresses.insert(address.to_canonical());
            } else if is_dns_name(&name) {
                names.dns.insert(name);
            }
        }
        names
    }

    /// These, and the addresses that the box's interfaces have now.
    pub fn with_addresses(&self, interfaces: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut names = self.clone();
        names.addresses.extend([
            IpAddr::from(Ipv4Addr::LOCALHOST),
            Ipv6Addr::LOCALHOST.into(),
        ]);
        names
            .addresses
            .extend(interfaces.into_iter().map(|address| address.to_canonical()));
        names
    }

    /// Those that the authority may vouch for: addresses that are private or were configured, and names that are nobody
    /// else's.
    pub fn vouched_for(&self, fixed: &Self) -> Self {
        let mut names = self.clone();
        names.dns.retain(|name| is_narrow(name));
        names
            .addresses
            .retain(|address| is_private(*address) || fixed.addresses.contains(address));
        names
    }

    /// Whether an authority limited to these can speak for no whole top-level domain.
    pub fn are_narrow(&self) -> bool {
        self.dns.iter().all(|name| is_narrow(name))
    }

    /// Whether all of `others` are among these.
    pub fn cover(&self, others: &Self) -> bool {
        self.dns.is_superset(&others.dns) && self.addresses.is_superset(&others.addresses)
    }

    /// Whether `host`, as a browser sends it without a port, is this box.
    pub fn contain_host(&self, host: &str) -> bool {
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => self.addresses.contains(&address.to_canonical()),
            Err(_) => self
                .dns
                .contains(&host.trim_end_matches('.').to_ascii_lowercase()),
        }
    }
}

/// The addresses of this machine's interfaces; none where the system does not tell.
pub fn interface_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().map(if_addrs::Interface::ip).collect()
}

/// The machine's host name, as it was set.
pub fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The name under `.local` that the box is announced by, which its own certificate always stands for; `None` where the
/// machine's host name is no name for DNS.
pub fn mdns_name() -> Option<String> {
    mdns_name_of(&host_name())
}

fn mdns_name_of(host: &str) -> Option<String> {
    let label = host.split('.').next().unwrap_or_default();
    let name = format!("{}.local", label.to_ascii_lowercase());
    is_dns_name(&name).then_some(name)
}

/// Whether the address lies in one of [`PRIVATE_NETWORKS`].
pub fn is_private(address: IpAddr) -> bool {
    PRIVATE_NETWORKS
        .iter()
        .any(|(network, prefix)| match (address, network) {
            (IpAddr::V4(address), IpAddr::V4(network)) => {
                let mask = u32::MAX << (32 - prefix);
                address.to_bits() & mask == network.to_bits()
            }
            (IpAddr::V6(address), IpAddr::V6(network)) => {
                let mask = u128::MAX << (128 - prefix);
                address.to_bits() & mask == network.to_bits()
            }
            _ => false,
        })
}

/// Whether a name constraint to this is one to this box. It covers every name below as well (RFC 5280, 4.2.1.10), so that a
/// box called `camera` would vouch for all of `.camera`, a top-level domain that shops and banks can have names in.
pub fn is_narrow(name: &str) -> bool {
    name == "localhost" || name.contains('.')
}

fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(host: &str, configured: &[&str]) -> Vec<String> {
        let configured: Vec<String> = configured.iter().map(|&name| name.to_owned()).collect();
        Names::fixed(host, &configured).dns.into_iter().collect()
    }

    #[test]
    fn a_box_has_its_host_name_and_what_was_configured() {
        assert_eq!(names("Attic", &[]), ["attic", "attic.local", "localhost"]);
        let configured = ["NVR.example.org.", "10.1.2.3", "not a name", "-x", ""];
        let expected = [
            "attic",
            "attic.lan",
            "attic.local",
            "localhost",
            "nvr.example.org",
        ];
        assert_eq!(names("attic.lan", &configured), expected);
        assert_eq!(names("", &[]), ["localhost"]);
        let fixed = Names::fixed("attic", &["10.1.2.3".to_owned(), "[fd00::1]".to_owned()]);
        assert_eq!(fixed.addresses.len(), 2);
    }

    #[test]
    fn hosts_are_known_in_all_their_spellings() {
        let lan: IpAddr = "192.168.1.9".parse().unwrap();
        let names = Names::fixed("attic", &[]).with_addresses([lan]);
        for host in [
            "attic",
            "ATTIC.local",
            "attic.local.",
            "localhost",
            "127.0.0.1",
            "[::1]",
            "192.168.1.9",
        ] {
            assert!(names.contain_host(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "attic.local.evil.example",
            "192.168.1.8",
            "[::2]",
            "0.0.0.0",
        ] {
            assert!(!names.contain_host(host), "{host}");
        }
    }

    #[test]
    fn only_private_addresses_and_own_names_are_vouched_for() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for text in [
            "10.9.8.7",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.1.1",
            "127.0.0.2",
            "fd00::1",
            "fe80::1",
            "::1",
        ] {
            assert!(is_private(address(text)), "{text}");
        }
        for text in [
            "8.8.8.8",
            "172.32.0.1",
            "192.169.0.1",
            "2001:db8::1",
            "::2",
            "11.0.0.1",
        ] {
            assert!(!is_private(address(text)), "{text}");
        }
        let fixed = Names::fixed("attic", &["203.0.113.5".to_owned()]);
        let all = fixed.with_addresses([address("2001:db8::1"), address("10.0.0.9")]);
        let vouched = all.vouched_for(&fixed);
        assert!(all.contain_host("attic") && !vouched.contain_host("attic"));
        assert!(vouched.contain_host("attic.local") && vouched.contain_host("localhost"));
        assert!(vouched.are_narrow() && !all.are_narrow());
        assert!(vouched.addresses.contains(&address("203.0.113.5")));
        assert!(vouched.addresses.contains(&address("10.0.0.9")));
        assert!(!vouched.addresses.contains(&address("2001:db8::1")));
    }
}
