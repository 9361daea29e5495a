//! The machine key: 32 bytes that open this folder's own sealed files, and nothing of the footage.

use std::io;
use std::path::Path;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Error, MACHINE_KEY, STORE};
use crate::limits::STATE_FILE_BYTES_MAX;
use crate::state_file::{self, StateKey};

pub(super) fn read_machine_key(folder: &Path) -> Result<Zeroizing<[u8; 32]>, Error> {
    let path = folder.join(MACHINE_KEY);
    let Some(bytes) = read(&path)? else {
        return Err(
            if folder.join(STORE).exists() || folder.join("keyring").exists() {
                Error::MachineKeyMissing { path }
            } else {
                Error::NotInitialised {
                    folder: folder.to_owned(),
                }
            },
        );
    };
    let key = <[u8; 32]>::try_from(bytes.as_slice());
    key.map(Zeroizing::new).map_err(|_| Error::Damaged {
        path,
        what: "not 32 bytes".to_owned(),
    })
}

pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let failed = |source: io::Error| Error::Io {
        verb: "read",
        path: path.to_owned(),
        source,
    };
    state_file::read(path, STATE_FILE_BYTES_MAX).map_err(failed)
}

pub(super) fn derive_state_key(machine_key: &[u8; 32]) -> StateKey {
    StateKey::new(expand(machine_key, b"hearthkeep/v1/state"))
}

pub(super) fn expand(machine_key: &[u8; 32], label: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::from_prk(machine_key)
        .expect("32 bytes are a whole PRK of SHA-256")
        .expand(label, key.as_mut_slice())
        .expect("HKDF gives far more than 32 bytes");
    key
}
