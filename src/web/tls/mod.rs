//! HTTPS from the first byte: which certificate the box shows, and how it stays right while addresses change.
//!
//! `tls/` in the state folder holds `authority.json` (see [`succession`]) and `leaf.json`, mode 0600. The leaf is issued anew
//! when the box gets a name or an address that it does not stand for, and before it ends; the running server takes the new one for its
//! next connection. An operator's own certificate, where one is configured, is read again when its file changes.

mod addresses;
mod authority;
mod look;
pub mod names;
mod own;
mod succession;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256};

use crate::clock::{Clock, SteadyClock};
use crate::limits::{AUTHORITY_DOUBTED_S, TLS_FILE_BYTES_MAX};
use crate::state_file;
use authority::Certified;
pub use look::look;
use names::{Names, host_name, interface_addresses};
use succession::Now;

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Making or signing one failed.
    #[error("the box's certificate cannot be made: {0}")]
    Certificate(#[source] rcgen::Error),
    /// rustls does not take certificate and key.
    #[error("the certificate and its key do not work together: {0}")]
    Rustls(#[source] rustls::Error),
    /// The wall clock is beyond what a certificate can say.
    #[error("the clock is wrong: set the date of this machine")]
    Clock,
    /// An operator's own file is not what it should be.
    #[error("{} holds no {what} in PEM: check server.certificate and server.key in the configuration", .path.display())]
    Own {
        /// The file.
        path: PathBuf,
        /// What was looked for in it.
        what: &'static str,
    },
    /// A file of ours makes no sense.
    #[error("{} is damaged: remove it and start again; the box makes a new one, which devices must then be told to trust", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{} cannot be used: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What the operator has configured.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    /// Further names and addresses that the box is reached by.
    pub names: Vec<String>,
    /// An own certificate chain and its key, both PEM, instead of the box's authority.
    pub own: Option<OwnCertificate>,
}

/// Paths of an operator's own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCertificate {
    /// The chain, the server's certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The certificates of a running box.
pub struct Tls {
    folder: PathBuf,
    settings: TlsSettings,
    fixed: Names,
    clock: SteadyClock,
    shown: Arc<Shown>,
    current: RwLock<Current>,
}

struct Current {
    names: Names,
    /// The own authority's certificate; `None` with an operator's own certificate.
    authority: Option<CertificateDer<'static>>,
    /// SHA-256 of the own certificate's files, to see that they changed.
    own_hash: [u8; 32],
}

/// What is shown to the next client; replaced while the server runs.
struct Shown(RwLock<Arc<CertifiedKey>>);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown(..)")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

impl Shown {
    fn get(&self) -> Arc<CertifiedKey> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, key: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }
}

impl Tls {
    /// Reads or makes what is needed to serve HTTPS; `state_dir` is the state folder.
    ///
    /// # Errors
    ///
    /// See [`enum@Error`].
    pub fn open(
        state_dir: &Path,
        settings: TlsSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        Self::open_as(
            state_dir,
            settings,
            clock,
            &host_name(),
            interface_addresses(),
        )
    }

    fn open_as(
        state_dir: &Path,
        settings: TlsSettings,
        clock: Arc<dyn Clock>,
        host: &str,
        addresses: Vec<std::net::IpAddr>,
    ) -> Result<Self, Error> {
        let folder = state_dir.join("tls");
        state_file::private_folder(&folder).map_err(|source| io(&folder, source))?;
        let fixed = Names::fixed(host, &settings.names);
        let names = fixed.with_addresses(addresses);
        let clock = SteadyClock::new(clock, AUTHORITY_DOUBTED_S);
        let (key, authority, own_hash) = match &settings.own {
            Some(own) => {
                let (key, hash) = own::load(own)?;
                own::warn_of_open_key(own);
                (key, None, hash)
            }
            None => {
                let (key, authority) = certify(&folder, &fixed, &names, (now(&clock), true))?;
                (key, Some(authority), [0; 32])
            }
        };
        let shown = Arc::new(Shown(RwLock::new(Arc::new(key))));
        let current = RwLock::new(Current {
            names,
            authority,
            own_hash,
        });
        Ok(Self {
            folder,
            settings,
            fixed,
            clock,
            shown,
            current,
        })
    }

    /// Looks whether names, addresses, the date or an own certificate changed, and shows another certificate where it must.
    /// To be called every minute, on a thread that may block.
    ///
    /// # Errors
    ///
    /// See [`enum@Error`]; the certificate shown so far stays.
    pub fn refresh(&self) -> Result<(), Error> {
        self.refresh_with(interface_addresses())
    }

    fn refresh_with(&self, addresses: Vec<std::net::IpAddr>) -> Result<(), Error> {
        let names = self.fixed.with_addresses(addresses);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.names = names.clone();
        if let Some(own) = &self.settings.own {
            let (key, hash) = own::load(own)?;
            if hash != current.own_hash {
                tracing::info!("the configured certificate has changed and is now in use");
                own::warn_of_open_key(own);
                self.shown.set(key);
                current.own_hash = hash;
            }
            return Ok(());
        }
        let at = (now(&self.clock), false);
        let (key, authority) = certify(&self.folder, &self.fixed, &names, at)?;
        if key.cert != self.shown.get().cert {
            tracing::info!(
                "the box's certificate was issued anew: its names or addresses changed, or it was near its end"
            );
            self.shown.set(key);
        }
        current.authority = Some(authority);
        Ok(())
    }

    /// The configuration of a TLS server that shows what is current at each connection.
    ///
    /// # Errors
    ///
    /// [`Error::Rustls`].
    pub fn server_config(&self) -> Result<ServerConfig, Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(Error::Rustls)?;
        Ok(builder
            .with_no_client_auth()
            .with_cert_resolver(self.shown.clone()))
    }

    /// The box's authority, for devices that are to trust it; `None` with an operator's own certificate.
    pub fn authority(&self) -> Option<CertificateDer<'static>> {
        self.current().authority.clone()
    }

    /// What a person compares before trusting the box: SHA-256 of the authority's certificate, or of the own one, in hex
    /// pairs. It stays the same when a leaf is issued anew.
    pub fn fingerprint(&self) -> String {
        let shown = self.shown.get();
        let authority = self.current().authority.clone();
        let certificate = authority.as_ref().or(shown.cert.first());
        certificate
            .map(|certificate| fingerprint(certificate))
            .unwrap_or_default()
    }

    /// Whether the certificate that is shown stands for this DNS name.
    pub fn stands_for(&self, name: &str) -> bool {
        let shown = self.shown.get();
        let leaf = shown.cert.first();
        let leaf = leaf.and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
        let name = ServerName::try_from(name).ok();
        leaf.zip(name)
            .is_some_and(|(leaf, name)| verify_server_name(&leaf, &name).is_ok())
    }

    /// Whether `host`, without its port, is a name or address of this box.
    pub fn is_own_host(&self, host: &str) -> bool {
        self.current().names.contain_host(host)
    }

    /// The names and addresses the box answers by, as it was last looked.
    pub fn names(&self) -> Names {
        self.current().names.clone()
    }

    fn current(&self) -> std::sync::RwLockReadGuard<'_, Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// SHA-256 of a certificate as people compare it: `AB:CD:..`.
pub fn fingerprint(certificate: &[u8]) -> String {
    let pairs: Vec<String> = Sha256::digest(certificate)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    pairs.join(":")
}

/// What [`Tls::fingerprint`] says, from the files alone and without making any; `None` where there is no authority yet.
///
/// # Errors
///
/// See [`enum@Error`].
pub fn read_fingerprint(state_dir: &Path, settings: &TlsSettings) -> Result<Option<String>, Error> {
    if let Some(own) = &settings.own {
        let (key, _) = own::load(own)?;
        return Ok(key.cert.first().map(|certificate| fingerprint(certificate)));
    }
    let authority = read(&state_dir.join("tls/authority.json"))?;
    Ok(authority.map(|authority| fingerprint(&authority.der())))
}

fn now(clock: &SteadyClock) -> Now {
    Now {
        us: clock.inner().wall_us(),
        is_trusted: clock.inner().trusted(),
        is_steady: clock.wall_us().is_some(),
    }
}

/// The leaf to show and the authority it comes from: those of the folder, or new ones where they no longer do. At a start a leaf that the
/// folder does not take is shown all the same: there is no other.
fn certify(
    folder: &Path,
    fixed: &Names,
    names: &Names,
    (now, is_start): (Now, bool),
) -> Result<(CertifiedKey, CertificateDer<'static>), Error> {
    let path = folder.join("leaf.json");
    let names = names.vouched_for(fixed);
    let authority = succession::authority(folder, &fixed.vouched_for(fixed), now)?;
    let leaf = match read(&path)?.filter(|leaf| leaf.serves(&names, now.us)) {
        Some(leaf) => leaf,
        None => {
            let leaf = authority.issue(&names, now.us)?;
            match write(&path, &leaf) {
                Err(error) if is_start => {
                    tracing::error!("the certificate is another one after the next start: {error}");
                }
                written => written?,
            }
            leaf
        }
    };
    // The chain holds the authority, so that a client who knows its fingerprint only can verify it.
    let chain = vec![leaf.der(), authority.der()];
    let key = CertifiedKey::from_der(chain, leaf.key_der(), &ring::default_provider());
    Ok((key.map_err(Error::Rustls)?, authority.der()))
}

fn read(path: &Path) -> Result<Option<Certified>, Error> {
    let bytes = state_file::read(path, TLS_FILE_BYTES_MAX).map_err(|source| io(path, source))?;
    let damaged = |_| Error::Damaged {
        path: path.to_owned(),
    };
    bytes
        .map(|bytes| serde_json::from_slice(&bytes).map_err(damaged))
        .transpose()
}

fn write(path: &Path, certified: &Certified) -> Result<(), Error> {
    let json =
        zeroize::Zeroizing::new(serde_json::to_vec(certified).expect("plain values become JSON"));
    state_file::replace(path, &json).map_err(|source| io(path, source))
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}
