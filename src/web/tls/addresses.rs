//! Where a browser finds the page.

use std::net::{IpAddr, SocketAddr};

use super::names::{Names, is_narrow};

impl Names {
    /// The addresses to open in a browser, the best first, of a server with these names that listens there; none where its
    /// port is not known.
    pub fn addresses_of(&self, listen: SocketAddr) -> Vec<String> {
        if listen.port() == 0 {
            return Vec::new();
        }
        let ip = listen.ip().to_canonical();
        let mut hosts = Vec::new();
        if !ip.is_loopback() {
            let names = self.dns.iter().filter(|name| *name != "localhost");
            let mut names: Vec<_> = names.filter(|name| is_narrow(name)).cloned().collect();
            names.sort_by_key(|name| !name.ends_with(".local"));
            hosts.extend(names);
        }
        if ip.is_unspecified() {
            let others = self.addresses.iter().filter(|address| is_of(**address, ip));
            hosts.extend(others.map(|address| host_of(*address)));
        } else {
            hosts.push(host_of(ip));
        }
        if hosts.is_empty() {
            hosts.push("localhost".to_owned());
        }
        let port = listen.port();
        let address = |host: String| format!("https://{host}:{port}");
        hosts.into_iter().map(address).collect()
    }
}

/// Whether other machines reach this address, where the server listens on all of `family`'s.
fn is_of(address: IpAddr, family: IpAddr) -> bool {
    // Browsers take no zone, which an address of the link would need.
    let is_of_link = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    // A socket for all of IPv6 takes IPv4 too.
    !address.is_loopback() && !is_of_link && (family.is_ipv6() || address.is_ipv4())
}

fn host_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_opened_is_told() {
        let addresses = ["192.168.1.9", "fd00::9", "fe80::9", "127.0.0.1"];
        let configured = ["home.example.org".to_owned()];
        let names = Names::fixed("attic", &configured)
            .with_addresses(addresses.map(|address| address.parse().unwrap()));
        let cases: [(&str, &[&str]); 6] = [
            (
                "0.0.0.0:8443",
                &["attic.local", "home.example.org", "192.168.1.9"],
            ),
            (
                "[::]:8443",
                &[
                    "attic.local",
                    "home.example.org",
                    "192.168.1.9",
                    "[fd00::9]",
                ],
            ),
            (
                "192.168.1.9:8443",
                &["attic.local", "home.example.org", "192.168.1.9"],
            ),
            ("127.0.0.1:8443", &["127.0.0.1"]),
            ("[::1]:8443", &["[::1]"]),
            ("0.0.0.0:0", &[]),
        ];
        for (listen, hosts) in cases {
            let expected: Vec<_> = hosts
                .iter()
                .map(|host| format!("https://{host}:8443"))
                .collect();
            assert_eq!(
                names.addresses_of(listen.parse().unwrap()),
                expected,
                "{listen}"
            );
        }
        let alone = Names::default().addresses_of("0.0.0.0:8443".parse().unwrap());
        assert_eq!(alone, ["https://localhost:8443"]);
    }
}
