use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::{ServerName, UnixTime};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::*;
use crate::clock::SimClock;

const NOW_US: i64 = 1_795_000_000_000_000;
const DAY_US: u64 = 86_400_000_000;

struct House {
    folder: tempfile::TempDir,
    clock: Arc<SimClock>,
}

impl House {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(SimClock::new(NOW_US)),
        }
    }

    fn open(&self, host: &str, settings: TlsSettings) -> Tls {
        Tls::open_as(
            self.folder.path(),
            settings,
            self.clock.clone(),
            host,
            lan(&["192.168.1.9"]),
        )
        .unwrap()
    }

    /// Whether a client that trusts the authority believes a certificate that whoever has its key made for `name`.
    fn can_pretend(&self, tls: &Tls, name: &str) -> bool {
        let json = std::fs::read(self.folder.path().join("tls/authority.json")).unwrap();
        let certified: Certified = serde_json::from_slice(&json).unwrap();
        let mut names = Names::default();
        match name.parse() {
            Ok(address) => names.addresses.insert(address),
            Err(_) => names.dns.insert(name.to_owned()),
        };
        let rogue = certified.issue(&names, NOW_US).unwrap();
        is_believed(tls, &rogue.der(), name, NOW_US)
    }

    fn days_pass(&self, days: u64) {
        (0..days * 24).for_each(|_| self.clock.advance_us((DAY_US / 24) as u32));
    }
}

fn lan(addresses: &[&str]) -> Vec<IpAddr> {
    addresses
        .iter()
        .map(|address| address.parse().unwrap())
        .collect()
}

fn leaf(tls: &Tls) -> CertificateDer<'static> {
    tls.shown.get().cert[0].clone()
}

/// What a client that trusts the authority says to `name`.
fn is_believed(tls: &Tls, leaf: &CertificateDer<'_>, name: &str, now_us: i64) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(tls.authority().unwrap()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
        .build()
        .unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_micros(now_us as u64));
    verifier
        .verify_server_cert(leaf, &[], &name, &[], now)
        .is_ok()
}

#[test]
fn a_client_that_trusts_the_authority_believes_the_box_by_all_its_names() {
    let house = House::new();
    let tls = house.open(
        "attic",
        TlsSettings {
            names: vec!["nvr.example.org".into()],
            own: None,
        },
    );
    for name in [
        "attic.local",
        "localhost",
        "nvr.example.org",
        "127.0.0.1",
        "192.168.1.9",
        "::1",
    ] {
        assert!(is_believed(&tls, &leaf(&tls), name, NOW_US), "{name}");
        assert!(tls.is_own_host(name), "{name}");
    }
    assert!(tls.stands_for("attic.local") && !tls.stands_for("attic-2.local"));
    assert!(!is_believed(&tls, &leaf(&tls), "other.local", NOW_US));
    // Who types the bare name is served, after a warning: no certificate may be for it.
    assert!(tls.is_own_host("attic") && !tls.stands_for("attic"));
    assert!(!is_believed(
        &tls,
        &leaf(&tls),
        "localhost",
        NOW_US + 400 * DAY_US as i64
    ));
}

#[test]
fn the_authority_cannot_vouch_for_the_rest_of_the_world() {
    let house = House::new();
    let tls = house.open("attic", TlsSettings::default());
    let der = tls.authority().unwrap();
    let (_, authority) = X509Certificate::from_der(&der).unwrap();
    let constraints = authority.name_constraints().unwrap().unwrap();
    assert!(constraints.critical);
    assert!(constraints.value.excluded_subtrees.is_none());
    let permitted = constraints.value.permitted_subtrees.as_ref().unwrap();
    let dns = permitted.iter().filter_map(|subtree| match subtree.base {
        GeneralName::DNSName(name) => Some(name),
        _ => None,
    });
    assert_eq!(dns.collect::<Vec<_>>(), ["attic.local", "localhost"]);
    let networks = permitted.iter().filter_map(|subtree| match subtree.base {
        GeneralName::IPAddress(bytes) => Some(bytes.to_vec()),
        _ => None,
    });
    let networks: Vec<Vec<u8>> = networks.collect();
    assert_eq!(networks.len(), names::PRIVATE_NETWORKS.len());
    assert_eq!(permitted.len(), 2 + networks.len());
    for network in [
        [10, 0, 0, 0, 255, 0, 0, 0],
        [192, 168, 0, 0, 255, 255, 0, 0],
        [172, 16, 0, 0, 255, 240, 0, 0],
    ] {
        assert!(networks.contains(&network.to_vec()), "{network:?}");
    }
    let basic = authority.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && basic.value.ca && basic.value.path_len_constraint == Some(0));

    // And a client holds it to that: a leaf beyond the constraints is not believed, though the signature is right.
    for (name, is_allowed) in [
        ("attic.local", true),
        ("attic", false),
        ("bank.example", false),
        ("8.8.8.8", false),
        ("10.7.7.7", true),
    ] {
        assert_eq!(house.can_pretend(&tls, name), is_allowed, "{name}");
    }
}

#[test]
fn a_box_called_like_a_top_level_domain_cannot_vouch_for_it() {
    for host in ["camera", "Video", "cam.box", "zip.lan"] {
        let house = House::new();
        // A name without a dot is refused in the configuration; here it would do no harm either.
        let settings = TlsSettings {
            names: vec!["security".into(), "dev.".into()],
            own: None,
        };
        let tls = house.open(host, settings);
        for name in [
            "camera",
            "shop.bank.camera",
            "bank.video",
            "bank.cam",
            "bank.box",
            "bank.zip",
            "bank.security",
            "bank.dev",
            "bank.local",
        ] {
            assert!(!house.can_pretend(&tls, name), "{host}: {name}");
        }
    }
}

#[test]
fn an_authority_that_can_vouch_for_too_much_is_replaced() {
    let house = House::new();
    let folder = house.folder.path().join("tls");
    state_file::private_folder(&folder).unwrap();
    let fixed = Names::fixed("camera", &[]);
    let wide = Certified::authority(&fixed, NOW_US, &mut crate::random::OsRandom).unwrap();
    write(&folder.join("authority.json"), &wide).unwrap();
    let tls = house.open("camera", TlsSettings::default());
    assert_ne!(tls.authority().unwrap(), wide.der());
    assert!(!house.can_pretend(&tls, "shop.bank.camera"));
    assert!(is_believed(&tls, &leaf(&tls), "camera.local", NOW_US));
}

#[test]
fn a_leaf_is_for_servers_and_at_most_397_days() {
    let house = House::new();
    let tls = house.open("attic", TlsSettings::default());
    let der = leaf(&tls);
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    let validity = leaf.validity();
    let seconds = validity.not_after.timestamp() - validity.not_before.timestamp();
    assert!(seconds <= 397 * 86_400, "{seconds}");
    assert!(validity.not_before.timestamp() * 1_000_000 < NOW_US);
    let usage = leaf.extended_key_usage().unwrap().unwrap();
    assert!(usage.value.server_auth && !usage.value.any && !usage.value.client_auth);
    assert!(leaf.extensions().iter().any(|extension| {
        matches!(
            extension.parsed_extension(),
            ParsedExtension::SubjectAlternativeName(_)
        )
    }));
    assert!(!leaf.is_ca());
}

#[test]
fn the_leaf_follows_addresses_and_dates_and_the_authority_stays() {
    let house = House::new();
    let tls = house.open("attic", TlsSettings::default());
    let (first, fingerprint) = (leaf(&tls), tls.fingerprint());
    tls.refresh_with(lan(&["192.168.1.9"])).unwrap();
    assert_eq!(leaf(&tls), first);
    assert_eq!(
        leaf(&house.open("attic", TlsSettings::default())),
        first,
        "the same after a restart"
    );

    tls.refresh_with(lan(&["192.168.1.10"])).unwrap();
    let second = leaf(&tls);
    assert!(is_believed(&tls, &second, "192.168.1.10", NOW_US));
    assert!(tls.is_own_host("192.168.1.10") && !tls.is_own_host("192.168.1.9"));

    house.days_pass(360);
    tls.refresh_with(lan(&["192.168.1.10"])).unwrap();
    assert_eq!(leaf(&tls), second);
    house.days_pass(10);
    tls.refresh_with(lan(&["192.168.1.10"])).unwrap();
    assert_ne!(leaf(&tls), second);
    assert!(is_believed(
        &tls,
        &leaf(&tls),
        "localhost",
        house.clock.wall_us()
    ));
    assert_eq!(tls.fingerprint(), fingerprint);
    assert_eq!(fingerprint.len(), 95);
}

#[test]
fn a_box_that_starts_in_1970_is_believed_when_its_clock_is_right() {
    let house = House::new();
    house.clock.set_wall_us(0);
    let tls = house.open("attic", TlsSettings::default());
    let fingerprint = tls.fingerprint();
    house.clock.set_wall_us(NOW_US);
    tls.refresh_with(lan(&[])).unwrap();
    assert!(is_believed(&tls, &leaf(&tls), "attic.local", NOW_US));
    assert_eq!(tls.fingerprint(), fingerprint);
}

#[test]
fn a_clock_that_is_ahead_for_a_while_replaces_no_authority() {
    let house = House::new();
    let fingerprint = house.open("attic", TlsSettings::default()).fingerprint();
    house.clock.set_wall_us(NOW_US + 15 * 365 * DAY_US as i64);
    let ahead = house.open("attic", TlsSettings::default());
    assert_eq!(ahead.fingerprint(), fingerprint, "started ahead");
    // While it runs, too, and though the clock is said to be right.
    for _ in 0..23 {
        house.clock.advance_us((DAY_US / 24) as u32);
        ahead.refresh_with(lan(&[])).unwrap();
        assert_eq!(ahead.fingerprint(), fingerprint);
    }
    house.clock.set_wall_us(NOW_US);
    ahead.refresh_with(lan(&[])).unwrap();
    assert_eq!(ahead.fingerprint(), fingerprint);
    assert!(is_believed(&ahead, &leaf(&ahead), "attic.local", NOW_US));
    // A clock that nobody vouches for ends nothing at all.
    house.clock.set_trusted(false);
    house.clock.set_wall_us(NOW_US + 15 * 365 * DAY_US as i64);
    for _ in 0..100 {
        house.clock.advance_us((DAY_US / 24) as u32);
        ahead.refresh_with(lan(&[])).unwrap();
        assert_eq!(ahead.fingerprint(), fingerprint);
    }
}

#[test]
fn an_authority_near_its_end_is_replaced_and_comes_back_if_that_was_the_clocks_fault() {
    let house = House::new();
    let tls = house.open("attic", TlsSettings::default());
    let first = tls.fingerprint();
    let ahead_us = NOW_US + 15 * 365 * DAY_US as i64;
    house.clock.set_wall_us(ahead_us);
    tls.refresh_with(lan(&[])).unwrap();
    house.days_pass(1);
    tls.refresh_with(lan(&[])).unwrap();
    let second = tls.fingerprint();
    assert_ne!(second, first, "a steady clock is believed");
    assert!(is_believed(&tls, &leaf(&tls), "attic.local", ahead_us));

    house.clock.set_wall_us(NOW_US);
    let right = house.open("attic", TlsSettings::default());
    assert_eq!(right.fingerprint(), first);
    assert!(is_believed(&right, &leaf(&right), "attic.local", NOW_US));
    // And when its time comes, the one that some device may trust by now is taken, and no third one made.
    house.clock.set_wall_us(NOW_US + 3_300 * DAY_US as i64);
    right.refresh_with(lan(&[])).unwrap();
    house.days_pass(1);
    right.refresh_with(lan(&[])).unwrap();
    assert_eq!(right.fingerprint(), second);
}

#[test]
fn another_name_needs_another_authority() {
    let house = House::new();
    let before = house.open("attic", TlsSettings::default()).fingerprint();
    let renamed = house.open("cellar", TlsSettings::default());
    assert_ne!(renamed.fingerprint(), before);
    assert!(is_believed(
        &renamed,
        &leaf(&renamed),
        "cellar.local",
        NOW_US
    ));
}

#[test]
fn an_own_certificate_is_read_again_when_it_changes() {
    let house = House::new();
    let path = |name: &str| house.folder.path().join(name);
    let write = || {
        let made = rcgen::generate_simple_self_signed(vec!["nvr.example.org".to_owned()]).unwrap();
        std::fs::write(path("own.crt"), made.cert.pem()).unwrap();
        std::fs::write(path("own.key"), made.signing_key.serialize_pem()).unwrap();
        fingerprint(made.cert.der())
    };
    let own = OwnCertificate {
        certificate: path("own.crt"),
        key: path("own.key"),
    };
    let settings = TlsSettings {
        names: Vec::new(),
        own: Some(own),
    };
    let first = write();
    let tls = house.open("attic", settings.clone());
    assert_eq!(tls.fingerprint(), first);
    assert!(tls.authority().is_none());
    let second = write();
    tls.refresh_with(lan(&[])).unwrap();
    assert_eq!(tls.fingerprint(), second);
    std::fs::write(path("own.crt"), "not a certificate").unwrap();
    assert!(
        tls.refresh_with(lan(&[]))
            .unwrap_err()
            .to_string()
            .contains("server.certificate")
    );
    assert_eq!(tls.fingerprint(), second);
}

#[test]
fn keys_are_for_the_box_only() {
    let house = House::new();
    house.open("attic", TlsSettings::default());
    let folder = house.folder.path().join("tls");
    for name in ["authority.json", "leaf.json"] {
        let mode = std::fs::metadata(folder.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    std::fs::write(folder.join("authority.json"), "{").unwrap();
    let clock = house.clock.clone();
    let damaged = Tls::open_as(
        house.folder.path(),
        TlsSettings::default(),
        clock,
        "attic",
        vec![],
    )
    .unwrap_err();
    assert!(matches!(damaged, Error::Damaged { .. }));
}

#[test]
fn what_no_client_would_believe_is_found() {
    let house = House::new();
    let found = || -> Vec<_> {
        let found = look(house.folder.path()).into_iter();
        found.map(|(file, _)| file.display().to_string()).collect()
    };
    assert!(found().is_empty(), "there are none yet");
    house.open("attic", TlsSettings::default());
    assert!(found().is_empty());
    for file in ["tls/authority.json", "tls/leaf.json"] {
        let path = house.folder.path().join(file);
        let whole = std::fs::read(&path).unwrap();
        let text = String::from_utf8(whole.clone()).unwrap();
        // A brace, the middle of the key, and what the certificate begins with.
        let key = text.find("\"key\":\"").unwrap() + 100;
        let certificate = text.find("\"certificate\":\"").unwrap() + 16;
        for at in [0, key, certificate] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(found(), [file], "byte {at}");
        }
        std::fs::write(&path, &whole).unwrap();
    }
    // The signature is at the end of the leaf.
    let path = house.folder.path().join("tls/leaf.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let from = text.find("\"certificate\":\"").unwrap() + 15;
    let end = from + text[from..].find('"').unwrap();
    let mut bytes = text.into_bytes();
    bytes[end - 20] = if bytes[end - 20] == b'A' { b'B' } else { b'A' };
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(found(), ["tls/leaf.json"]);
}
