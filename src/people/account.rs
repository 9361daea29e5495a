//! Accounts: what the box holds of a person, and how it checks what their client sends.

use argon2::{Algorithm, Argon2, Version};
use hearthkeep_format::Random;
use hearthkeep_format::passphrase::Params;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Error;
use super::base64_bytes;
use crate::limits::{
    ACCOUNT_NAME_CHARS_MAX, AUTH_MEMORY_KIB, AUTH_PASSES, PASSPHRASE_MEMORY_KIB_MAX,
    PASSPHRASE_MEMORY_KIB_MIN, PASSPHRASE_PASSES_MAX, PASSPHRASE_PASSES_MIN, SEALED_IDENTITY_BYTES,
};

/// An account as a client makes it. `docs/format.md`, 1.1, says what its fields are.
#[derive(Clone)]
pub struct NewAccount {
    /// The person's name, bound into the sealed identity.
    pub name: String,
    /// The salt of the passphrase.
    pub salt: [u8; 16],
    /// What deriving from the passphrase costs.
    pub params: Params,
    /// What the client sends to sign in; only a hash of it is kept.
    pub auth: Zeroizing<[u8; 32]>,
    /// The identity under the passphrase.
    pub sealed_identity: Vec<u8>,
}

impl std::fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccount")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a client needs to derive from the passphrase; made up for names that are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// The salt.
    pub salt: [u8; 16],
    /// What deriving costs.
    pub params: Params,
}

/// An account as it is kept.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    pub name: String,
    #[serde(with = "base64_bytes")]
    pub salt: [u8; 16],
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    #[serde(with = "base64_bytes")]
    pub sealed_identity: Vec<u8>,
    #[serde(with = "base64_bytes")]
    auth_salt: [u8; 16],
    #[serde(with = "base64_bytes")]
    auth_hash: [u8; 32],
}

impl Account {
    /// Checks and hashes what a client made.
    pub fn new(new: &NewAccount, random: &mut dyn Random) -> Result<Self, Error> {
        check_name(&new.name)?;
        check_params(new.params)?;
        if new.sealed_identity.len() != SEALED_IDENTITY_BYTES {
            return Err(Error::BadAccount {
                what: "its sealed identity has the wrong length",
            });
        }
        let mut auth_salt = [0; 16];
        random.fill(&mut auth_salt);
        Ok(Self {
            name: new.name.clone(),
            salt: new.salt,
            memory_kib: new.params.memory_kib,
            passes: new.params.passes,
            lanes: new.params.lanes,
            sealed_identity: new.sealed_identity.clone(),
            auth_salt,
            auth_hash: hash(&new.auth, &auth_salt),
        })
    }

    /// Stands in for a name that is not known: the same work, and no way to be right.
    pub fn nobody() -> Self {
        Self {
            name: String::new(),
            salt: [0; 16],
            memory_kib: 0,
            passes: 0,
            lanes: 0,
            sealed_identity: Vec::new(),
            auth_salt: [0; 16],
            auth_hash: [0; 32],
        }
    }

    pub fn parameters(&self) -> Parameters {
        let Self {
            memory_kib,
            passes,
            lanes,
            ..
        } = *self;
        Parameters {
            salt: self.salt,
            params: Params {
                memory_kib,
                passes,
                lanes,
            },
        }
    }

    /// Whether `auth` is this account's. Costs one Argon2id, and the same time for every answer.
    pub fn is_proved_by(&self, auth: &[u8; 32]) -> bool {
        let is_somebody = !self.name.is_empty();
        bool::from(hash(auth, &self.auth_salt).ct_eq(&self.auth_hash)) & is_somebody
    }
}

/// The parameters shown for a name nobody has: the same at each asking, so that asking tells nothing.
pub(super) fn made_up_parameters(server_key: &[u8; 32], name: &str) -> Parameters {
    let mac = keyed_hash(server_key, "salt", name);
    Parameters {
        salt: mac,
        params: Params::default(),
    }
}

/// 16 bytes that stand for `text`; without `server_key` they tell nothing of it.
pub(super) fn keyed_hash(server_key: &[u8; 32], purpose: &str, text: &str) -> [u8; 16] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(server_key).expect("HMAC takes keys of any length");
    mac.update(purpose.as_bytes());
    mac.update(&[0]);
    mac.update(text.as_bytes());
    let mac: [u8; 32] = mac.finalize().into_bytes().into();
    std::array::from_fn(|i| mac[i])
}

fn hash(auth: &[u8; 32], salt: &[u8; 16]) -> [u8; 32] {
    let params = argon2::Params::new(AUTH_MEMORY_KIB, AUTH_PASSES, 1, Some(32))
        .expect("constants within Argon2's bounds");
    let mut out = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(auth, salt, &mut out)
        .expect("lengths are within Argon2's bounds");
    out
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.chars().count() > ACCOUNT_NAME_CHARS_MAX {
        return Err(Error::BadAccount {
            what: "a name has 1 to 64 characters",
        });
    }
    if name.trim() != name || name.chars().any(char::is_control) {
        return Err(Error::BadAccount {
            what: "a name has no spaces at its ends and no line breaks",
        });
    }
    Ok(())
}

fn check_params(params: Params) -> Result<(), Error> {
    let Params {
        memory_kib,
        passes,
        lanes,
    } = params;
    let memory = PASSPHRASE_MEMORY_KIB_MIN..=PASSPHRASE_MEMORY_KIB_MAX;
    let enough = PASSPHRASE_PASSES_MIN..=PASSPHRASE_PASSES_MAX;
    if memory.contains(&memory_kib) && enough.contains(&passes) && lanes == 1 {
        return Ok(());
    }
    Err(Error::BadAccount {
        what: "its passphrase is derived with other costs than docs/format.md allows",
    })
}
