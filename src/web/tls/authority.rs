//! The box's own certificate authority, and the certificates it issues to itself.
//!
//! Somebody who tells a phone to trust this authority must not have to trust that the box is never broken into. So it
//! can vouch only for the box's own names and for private addresses (RFC 5280, 4.2.1.10, critical), only for servers, and
//! for no further authority. Its names have a dot, `localhost` excepted: a limit to `camera` would be none ([`is_narrow`]).
//!
//! [`is_narrow`]: super::names::is_narrow

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::Error;
use super::names::{Names, PRIVATE_NETWORKS};
use crate::limits::{AUTHORITY_DAYS, LEAF_DAYS, LEAF_RENEWED_DAYS_BEFORE};
use hearthkeep_format::Random;

/// No box existed before: an earlier clock is wrong, and a certificate from 1970 would be over when it is put right.
const EARLIEST_US: i64 = 1_767_225_600_000_000;
pub(super) const DAY_US: i64 = 86_400_000_000;

/// A certificate, its key, and what it is for: one file, so that they are replaced together.
#[derive(Serialize, Deserialize)]
pub struct Certified {
    /// The names it stands for (a leaf), or may vouch for (an authority).
    pub names: Names,
    /// Its validity, in µs since 1970.
    pub not_before_us: i64,
    /// See above.
    pub not_after_us: i64,
    #[serde(serialize_with = "write_bytes", deserialize_with = "read_bytes")]
    certificate: Zeroizing<Vec<u8>>,
    #[serde(serialize_with = "write_bytes", deserialize_with = "read_bytes")]
    key: Zeroizing<Vec<u8>>,
}

impl Certified {
    /// A new authority for the names in `fixed` and for private networks.
    ///
    /// # Errors
    ///
    /// [`Error::Certificate`].
    pub fn authority(fixed: &Names, now_us: i64, random: &mut dyn Random) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        let mut tag = [0; 4];
        random.fill(&mut tag);
        // Told apart from the authority of an earlier life of the same box, which a phone may still trust.
        let tag: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        let host = fixed.dns.iter().find(|name| name.ends_with(".local"));
        let host = host.map_or("this box", |name| name.trim_end_matches(".local"));
        params.distinguished_name.remove(DnType::CommonName);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Hearthkeep on {host} ({tag})"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: permitted(fixed),
            excluded_subtrees: Vec::new(),
        });
        let not_before_us = EARLIEST_US;
        let not_after_us = now_us.max(EARLIEST_US) + AUTHORITY_DAYS * DAY_US;
        set_validity(&mut params, not_before_us, not_after_us)?;
        let key = KeyPair::generate().map_err(Error::Certificate)?;
        let certificate = params.self_signed(&key).map_err(Error::Certificate)?;
        Ok(Self {
            names: fixed.clone(),
            not_before_us,
            not_after_us,
            certificate: Zeroizing::new(certificate.der().to_vec()),
            key: Zeroizing::new(key.serialize_der()),
        })
    }

    /// A certificate for a server with these names, from this authority. At most 397 days: some clients believe none that
    /// is longer.
    ///
    /// # Errors
    ///
    /// [`Error::Certificate`].
    pub fn issue(&self, names: &Names, now_us: i64) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params
            .distinguished_name
            .push(DnType::CommonName, "Hearthkeep");
        for name in &names.dns {
            let name = name.as_str().try_into().map_err(Error::Certificate)?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        params
            .subject_alt_names
            .extend(names.addresses.iter().copied().map(SanType::IpAddress));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        // A day back for clients whose clock is a little behind.
        let not_before_us = now_us.max(EARLIEST_US) - DAY_US;
        let not_after_us = not_before_us + LEAF_DAYS * DAY_US;
        set_validity(&mut params, not_before_us, not_after_us)?;
        let key = KeyPair::generate().map_err(Error::Certificate)?;
        let issuer_key = KeyPair::try_from(self.key.as_slice()).map_err(Error::Certificate)?;
        let issuer =
            Issuer::from_ca_cert_der(&self.der(), issuer_key).map_err(Error::Certificate)?;
        let certificate = params
            .signed_by(&key, &issuer)
            .map_err(Error::Certificate)?;
        Ok(Self {
            names: names.clone(),
            not_before_us,
            not_after_us,
            certificate: Zeroizing::new(certificate.der().to_vec()),
            key: Zeroizing::new(key.serialize_der()),
        })
    }

    /// Whether this authority may vouch for `fixed`, and for no whole top-level domain.
    pub fn fits(&self, fixed: &Names) -> bool {
        self.names.cover(fixed) && self.names.are_narrow()
    }

    /// Whether this authority lasts as long as a leaf issued now.
    pub fn lasts(&self, now_us: i64) -> bool {
        now_us.max(EARLIEST_US) + LEAF_DAYS * DAY_US < self.not_after_us
    }

    /// Whether this authority comes from a clock that was ahead of this time.
    pub fn is_of_the_future(&self, now_us: i64) -> bool {
        self.not_after_us - AUTHORITY_DAYS * DAY_US > now_us.max(EARLIEST_US) + DAY_US
    }

    /// Whether this leaf stands for all of `names` and is not near its end.
    pub fn serves(&self, names: &Names, now_us: i64) -> bool {
        let now_us = now_us.max(EARLIEST_US);
        let renewed_us = self.not_after_us - LEAF_RENEWED_DAYS_BEFORE * DAY_US;
        self.names.cover(names) && (self.not_before_us..renewed_us).contains(&now_us)
    }

    /// The certificate.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.certificate.to_vec())
    }

    /// Its key.
    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.to_vec()).into()
    }
}

fn permitted(fixed: &Names) -> Vec<GeneralSubtree> {
    let dns = fixed.dns.iter().cloned().map(GeneralSubtree::DnsName);
    let networks = PRIVATE_NETWORKS.iter().copied();
    let hosts = fixed
        .addresses
        .iter()
        .map(|address| (*address, if address.is_ipv4() { 32 } else { 128 }));
    let subnet = |(address, prefix)| {
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, prefix))
    };
    dns.chain(networks.chain(hosts).map(subnet)).collect()
}

/// Whole days, as rcgen takes them: the day of the start, and the day before the end.
fn set_validity(params: &mut CertificateParams, from_us: i64, to_us: i64) -> Result<(), Error> {
    let day = |us: i64| {
        let date = Timestamp::from_microsecond(us).map_err(|_| Error::Clock)?;
        let date = date.to_zoned(TimeZone::UTC).date();
        let (month, day) = (u8::try_from(date.month()), u8::try_from(date.day()));
        let (Ok(month), Ok(day)) = (month, day) else {
            return Err(Error::Clock);
        };
        Ok(rcgen::date_time_ymd(date.year().into(), month, day))
    };
    params.not_before = day(from_us)?;
    params.not_after = day(to_us)?;
    Ok(())
}

fn write_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&Zeroizing::new(BASE64.encode(bytes)))
}

fn read_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<Vec<u8>>, D::Error> {
    let text = Zeroizing::new(String::deserialize(deserializer)?);
    let bytes = BASE64
        .decode(text.as_bytes())
        .map_err(serde::de::Error::custom)?;
    Ok(Zeroizing::new(bytes))
}
