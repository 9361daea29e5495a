//! Looking at the files of `tls/` as a start will find them, without making any.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::UnixTime;

use super::authority::{Certified, DAY_US};
use super::{Error, read};

const AUTHORITY: &str = "tls/authority.json";
const LEAF: &str = "tls/leaf.json";

/// What is wrong with the box's own certificates: which file below the state folder, why, and what to do.
pub fn look(state_dir: &Path) -> Vec<(PathBuf, String)> {
    let authority = certified(state_dir, AUTHORITY).and_then(|authority| {
        authority.map_or(Ok(None), |it| is_whole(&it, &[]).map(|()| Some(it)))
    });
    let leaf = certified(state_dir, LEAF);
    let leaf = leaf.and_then(|leaf| match (leaf, &authority) {
        (Some(leaf), Ok(Some(authority))) => is_of(&leaf, authority),
        // With another authority comes another leaf.
        _ => Ok(()),
    });
    let wrong = [
        (
            AUTHORITY,
            authority.err(),
            "which devices must then be told to trust",
        ),
        (LEAF, leaf.err(), "and devices need not be told"),
    ];
    let sentence = |(file, why, then): (&str, Option<String>, &str)| {
        let why = why?;
        let what = format!(
            "it cannot be used: {why}; nobody can open the page or sign in. Stop the recorder, remove this file and start again: the box \
             makes a new one, {then}"
        );
        Some((PathBuf::from(file), what))
    };
    wrong.into_iter().filter_map(sentence).collect()
}

fn certified(state_dir: &Path, file: &str) -> Result<Option<Certified>, String> {
    read(&state_dir.join(file)).map_err(|error| match error {
        Error::Damaged { .. } => "it is not as it was written".to_owned(),
        error => error.to_string(),
    })
}

/// Whether certificate and key belong together; behind it come those of `above`.
fn is_whole(one: &Certified, above: &[&Certified]) -> Result<(), String> {
    let above = above.iter().map(|one| one.der());
    let chain = std::iter::once(one.der()).chain(above).collect();
    let key = CertifiedKey::from_der(chain, one.key_der(), &ring::default_provider());
    let key = key.map_err(|error| error.to_string())?;
    key.keys_match().map_err(|error| error.to_string())
}

/// Whether a client that trusts the authority believes the leaf, as long as that lasts.
fn is_of(leaf: &Certified, authority: &Certified) -> Result<(), String> {
    is_whole(leaf, &[authority])?;
    let mut roots = RootCertStore::empty();
    let mut verify = || -> Result<(), rustls::Error> {
        roots.add(authority.der())?;
        let der = leaf.der();
        let at_us = leaf.not_before_us.saturating_add(DAY_US);
        let at = Duration::from_micros(at_us.unsigned_abs());
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(&der)?,
            &roots,
            &[],
            UnixTime::since_unix_epoch(at),
            ring::default_provider()
                .signature_verification_algorithms
                .all,
        )
    };
    verify().map_err(|error| error.to_string())
}
