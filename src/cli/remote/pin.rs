//! Believing one certificate and no other: the one whose SHA-256 the console of the box showed.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};

/// SHA-256 of a certificate, as a person types it: hex pairs, with or without colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl std::str::FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            "expected the 64 hex digits that `hearthkeep run` logs and `hearthkeep status` shows";
        let digits: Vec<u8> = text
            .bytes()
            .filter(|byte| !b": ".contains(byte))
            .map(|byte| {
                char::from(byte)
                    .to_digit(16)
                    .and_then(|digit| digit.try_into().ok())
            })
            .collect::<Option<_>>()
            .ok_or(wrong)?;
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|two| two.iter().fold(0, |all, digit| all << 4 | digit))
            .collect();
        let all = <[u8; 32]>::try_from(bytes)
            .ok()
            .filter(|_| digits.len() == 64);
        all.map(Self).ok_or_else(|| wrong.to_owned())
    }
}

impl Fingerprint {
    fn is_of(self, certificate: &CertificateDer<'_>) -> bool {
        Sha256::digest(certificate)[..] == self.0
    }
}

/// Accepts a chain that the pinned authority vouches for, or the pinned certificate itself.
#[derive(Debug)]
pub struct Pinned {
    fingerprint: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
    provider: Arc<CryptoProvider>,
    /// Why the last connection was refused.
    refusal: Mutex<Option<Refusal>>,
}

/// What is wrong with the certificates that somebody showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// None of them has the fingerprint.
    OtherCertificate,
    /// The right authority vouches for it, but not for this name or address.
    OtherName,
    /// It is not valid yet, or not any more.
    Date,
    /// Something else, in the error's words.
    Invalid,
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        use CertificateError as E;
        let Error::InvalidCertificate(error) = error else {
            return Self::Invalid;
        };
        match error {
            E::UnknownIssuer => Self::OtherCertificate,
            E::NotValidForName | E::NotValidForNameContext { .. } => Self::OtherName,
            E::Expired | E::ExpiredContext { .. } => Self::Date,
            E::NotValidYet | E::NotValidYetContext { .. } => Self::Date,
            _ => Self::Invalid,
        }
    }
}

impl Pinned {
    pub fn new(fingerprint: Fingerprint) -> Arc<Self> {
        let provider = Arc::new(ring::default_provider());
        Arc::new(Self {
            fingerprint,
            algorithms: provider.signature_verification_algorithms,
            provider,
            refusal: Mutex::new(None),
        })
    }

    /// Why the last connection failed, if that was for its certificates.
    pub fn refusal(&self) -> Option<Refusal> {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// TLS that believes this pin only.
    pub fn client_config(self: &Arc<Self>) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder.with_safe_default_protocol_versions()?;
        let pinned = Arc::clone(self) as Arc<dyn ServerCertVerifier>;
        Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(pinned)
            .with_no_client_auth())
    }

    fn verify(
        &self,
        shown: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.fingerprint.is_of(shown) {
            // This very certificate was compared by a person: what it says of itself adds nothing. That the other end has
            // its key is verified with the handshake's signature.
            return Ok(ServerCertVerified::assertion());
        }
        let authority = others.iter().find(|other| self.fingerprint.is_of(other));
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authority = authority.ok_or(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(shown, others, name, ocsp, now)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verify(shown, others, name, ocsp, now);
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) =
            verified.as_ref().err().map(Refusal::from);
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain as a box shows it, for `names`.
    fn chain(names: &[&str]) -> [CertificateDer<'static>; 2] {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        let (ca_key, key) = (rcgen::KeyPair::generate(), rcgen::KeyPair::generate());
        let (ca_key, key) = (ca_key.unwrap(), key.unwrap());
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(params, ca_key);
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let leaf = rcgen::CertificateParams::new(names).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        [leaf.der().clone(), ca.der().clone()]
    }

    #[test]
    fn another_certificate_another_name_and_a_wrong_date_are_told_apart() {
        let [leaf, authority] = chain(&["attic.local"]);
        let [stranger, strange_authority] = chain(&["attic.local"]);
        let pinned = Pinned::new(Fingerprint(Sha256::digest(&authority).into()));
        let day = std::time::Duration::from_secs(86_400);
        // rcgen's certificates are valid from 1975 to 4096.
        let (then, now) = (
            UnixTime::since_unix_epoch(day),
            UnixTime::since_unix_epoch(day * 20_000),
        );
        let verify = |shown, other: &CertificateDer<'static>, name: &'static str, now| {
            let name = ServerName::try_from(name).unwrap();
            let others = [other.clone()];
            let verified = pinned.verify_server_cert(shown, &others, &name, &[], now);
            assert_eq!(verified.is_err(), pinned.refusal().is_some());
            pinned.refusal()
        };
        assert_eq!(verify(&leaf, &authority, "attic.local", now), None);
        assert_eq!(
            verify(&leaf, &authority, "cellar.local", now),
            Some(Refusal::OtherName)
        );
        assert_eq!(
            verify(&leaf, &authority, "attic.local", then),
            Some(Refusal::Date)
        );
        for (shown, other) in [(&stranger, &strange_authority), (&stranger, &authority)] {
            let refusal = verify(shown, other, "attic.local", now);
            assert!(
                matches!(refusal, Some(Refusal::OtherCertificate | Refusal::Invalid)),
                "{refusal:?}"
            );
        }
        assert_eq!(verify(&leaf, &authority, "attic.local", now), None);
    }

    #[test]
    fn fingerprints_are_read_as_people_type_them() {
        let pairs = vec!["aB"; 32];
        let plain: Fingerprint = pairs.concat().parse().unwrap();
        assert_eq!(plain.0, [0xab; 32]);
        assert_eq!(pairs.join(":").parse(), Ok(plain));
        for wrong in [
            "",
            "ab",
            &pairs.concat()[1..],
            &(pairs.concat() + "ab"),
            &"zz".repeat(32),
        ] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
