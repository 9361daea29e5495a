//! Believing one certificate and no other: the one whose SHA-256 the console of the box showed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    /// Whether somebody showed other certificates.
    refused: AtomicBool,
}

impl Pinned {
    pub fn new(fingerprint: Fingerprint) -> Arc<Self> {
        let provider = Arc::new(ring::default_provider());
        Arc::new(Self {
            fingerprint,
            algorithms: provider.signature_verification_algorithms,
            provider,
            refused: AtomicBool::new(false),
        })
    }

    /// Whether a connection failed for its certificates.
    pub fn has_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
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
        self.refused.fetch_or(verified.is_err(), Ordering::Relaxed);
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
