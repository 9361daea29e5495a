//! A certificate that the operator brings.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustls::crypto::ring;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Error, OwnCertificate};
use crate::limits::TLS_FILE_BYTES_MAX;
use crate::state_file;

/// Reads chain and key; with them the hash of both files.
pub(super) fn load(own: &OwnCertificate) -> Result<(CertifiedKey, [u8; 32]), Error> {
    let (certificate, key) = (read(&own.certificate)?, read(&own.key)?);
    let wrong = |path: &Path, what| Error::Own {
        path: path.to_owned(),
        what,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| wrong(&own.certificate, "certificate"))?;
    let private =
        PrivateKeyDer::from_pem_slice(&key).map_err(|_| wrong(&own.key, "private key"))?;
    let hash = Sha256::new()
        .chain_update(&*certificate)
        .chain_update(&*key)
        .finalize();
    let key = CertifiedKey::from_der(chain, private, &ring::default_provider());
    Ok((key.map_err(Error::Rustls)?, hash.into()))
}

/// Warns of a key that every user of this machine may read.
pub(super) fn warn_of_open_key(own: &OwnCertificate) {
    if is_open_to_all(&own.key) {
        tracing::warn!(
            "every user of this machine may read {}, and so pretend to be this box: chmod o= {}",
            own.key.display(),
            own.key.display()
        );
    }
}

fn is_open_to_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o007 != 0)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let bytes = state_file::read(path, TLS_FILE_BYTES_MAX);
    let bytes = bytes.and_then(|bytes| bytes.ok_or_else(|| std::io::ErrorKind::NotFound.into()));
    bytes.map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_for_its_user_and_perhaps_a_group() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, is_open) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
            std::fs::set_permissions(file.path(), PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(is_open_to_all(file.path()), is_open, "{mode:o}");
        }
        assert!(!is_open_to_all(Path::new("/nowhere/tls.key")));
    }
}
