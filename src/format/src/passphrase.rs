//! An identity under a passphrase (`docs/format.md`, 1.1): what a box may hold of a person.

mod strength;

use argon2::{Algorithm, Argon2, Version};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::kdf::{Key, expand};
use crate::xseal::{xopen, xseal};
use crate::{Error, Identity, Random, Result};

pub use strength::{check_strength, check_strength_for};

const MEMORY_KIB_MIN: u32 = 64 * 1024;
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MIN: u32 = 3;
const PASSES_MAX: u32 = 16;
const LANES: u32 = 1;

/// What Argon2id costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes; only 1 is accepted.
    pub lanes: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            memory_kib: MEMORY_KIB_MIN,
            passes: PASSES_MIN,
            lanes: LANES,
        }
    }
}

/// What follows from a passphrase: one half to show the box, one that never leaves the client.
pub struct Derived {
    /// Proof for the box that the passphrase is known.
    pub auth: Zeroizing<[u8; 32]>,
    wrap: Key,
    salt: [u8; 16],
    params: Params,
}

/// Derives both halves with Argon2id (RFC 9106). Takes about a quarter of a second.
///
/// # Errors
/// [`Error::Weak`] when a box asks for less than is safe: it would be guessing at the passphrase.
/// [`Error::Limit`] when it asks for more than a client can give, or memory is short.
pub fn derive(passphrase: &str, salt: &[u8; 16], params: Params) -> Result<Derived> {
    params.check()?;
    let argon = argon2::Params::new(params.memory_kib, params.passes, params.lanes, Some(32))
        .expect("the bounds checked are within Argon2's own");
    let normal = normalised(passphrase);
    let mut root = Key::default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, argon)
        .hash_password_into(normal.as_bytes(), salt, root.as_mut_slice())
        .map_err(|_| Error::Limit {
            what: "memory for the passphrase, in KiB",
            limit: u64::from(params.memory_kib),
        })?;
    Ok(Derived {
        auth: expand(&root, &[b"hearthkeep/v1/auth"]),
        wrap: expand(&root, &[b"hearthkeep/v1/wrap"]),
        salt: *salt,
        params,
    })
}

impl Derived {
    /// Seals an identity, bound to the account's name and to salt and parameters.
    pub fn seal_identity(
        &self,
        identity: &Identity,
        name: &str,
        random: &mut dyn Random,
    ) -> Vec<u8> {
        xseal(
            &self.wrap,
            identity.seed(),
            &self.associated_data(name),
            random,
        )
    }

    /// Opens what [`Derived::seal_identity`] sealed.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`], which is also what another name or a changed blob looks like.
    pub fn open_identity(&self, sealed: &[u8], name: &str) -> Result<Identity> {
        xopen(&self.wrap, sealed, &self.associated_data(name))
            .and_then(|seed| seed.as_slice().try_into().ok().map(Identity::from_seed))
            .ok_or(Error::WrongPassphrase)
    }

    fn associated_data(&self, name: &str) -> Vec<u8> {
        let Params {
            memory_kib,
            passes,
            lanes,
        } = self.params;
        [
            b"hearthkeep/v1/identity\x01".as_slice(),
            &memory_kib.to_be_bytes(),
            &passes.to_be_bytes(),
            &lanes.to_be_bytes(),
            &self.salt,
            name.as_bytes(),
        ]
        .concat()
    }
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Derived(..)")
    }
}

/// In NFC, so that every keyboard and browser gives the same bytes.
fn normalised(text: &str) -> Zeroizing<String> {
    // NFC is at most three times as long (UAX #15): allocated once, a secret leaves no copies.
    let mut normal = Zeroizing::new(String::with_capacity(text.len() * 3));
    normal.extend(text.nfc());
    normal
}

impl Params {
    fn check(&self) -> Result<()> {
        if self.memory_kib < MEMORY_KIB_MIN || self.passes < PASSES_MIN {
            return Err(Error::Weak {
                what: "what the box asks of the passphrase",
            });
        }
        let bounded = |what, value: u32, limit: u32| {
            if value > limit {
                Err(Error::Limit {
                    what,
                    limit: limit.into(),
                })
            } else {
                Ok(())
            }
        };
        bounded(
            "memory for the passphrase, in KiB",
            self.memory_kib,
            MEMORY_KIB_MAX,
        )?;
        bounded(
            "number of passes for the passphrase",
            self.passes,
            PASSES_MAX,
        )?;
        if self.lanes != LANES {
            return Err(Error::Limit {
                what: "number of lanes for the passphrase",
                limit: LANES.into(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRandom;

    #[test]
    fn an_identity_comes_back_under_its_passphrase_and_name_only() {
        let identity = Identity::from_seed([5; 32]);
        // The same word, composed and decomposed.
        let derived = derive("B\u{e4}r im K\u{fc}hlschrank", &[6; 16], Params::default()).unwrap();
        let again = derive(
            "Ba\u{308}r im Ku\u{308}hlschrank",
            &[6; 16],
            Params::default(),
        )
        .unwrap();
        assert_eq!(derived.auth, again.auth);
        let sealed = derived.seal_identity(&identity, "jo", &mut SeededRandom::new(1));
        assert_eq!(sealed.len(), 24 + 32 + 16);
        assert_eq!(
            again.open_identity(&sealed, "jo").unwrap().seed(),
            identity.seed()
        );
        let refused =
            |result: Result<Identity>| assert_eq!(result.unwrap_err(), Error::WrongPassphrase);
        refused(derived.open_identity(&sealed, "Jo"));
        refused(derived.open_identity(&sealed[1..], "jo"));
        refused(derived.open_identity(&[], "jo"));
        let other_salt =
            derive("B\u{e4}r im K\u{fc}hlschrank", &[7; 16], Params::default()).unwrap();
        refused(other_salt.open_identity(&sealed, "jo"));
    }

    /// Follows `docs/format.md`, 1.1, step by step.
    #[test]
    fn keys_follow_as_specified() {
        let derived = derive("kettle", &[6; 16], Params::default()).unwrap();
        let mut root = [0; 32];
        Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            argon2::Params::new(65_536, 3, 1, Some(32)).unwrap(),
        )
        .hash_password_into(b"kettle", &[6; 16], &mut root)
        .unwrap();
        assert_eq!(derived.auth, expand(&root, &[b"hearthkeep/v1/auth"]));
        let wrap: Key = expand(&root, &[b"hearthkeep/v1/wrap"]);
        let sealed = derived.seal_identity(
            &Identity::from_seed([5; 32]),
            "jo",
            &mut SeededRandom::new(1),
        );
        let bound = [
            b"hearthkeep/v1/identity\x01\0\x01\0\0\0\0\0\x03\0\0\0\x01".as_slice(),
            &[6; 16],
            b"jo",
        ]
        .concat();
        assert_eq!(xopen(&wrap, &sealed, &bound).unwrap().as_slice(), [5; 32]);
    }

    #[test]
    fn parameters_out_of_bounds_are_refused_before_any_work() {
        let good = Params::default();
        let refused = |params| derive("kettle", &[6; 16], params).unwrap_err();
        for weak in [
            Params {
                memory_kib: 65_535,
                ..good
            },
            Params { passes: 2, ..good },
        ] {
            assert!(matches!(refused(weak), Error::Weak { .. }));
        }
        for large in [
            Params {
                memory_kib: 1_048_577,
                ..good
            },
            Params { passes: 17, ..good },
            Params { lanes: 2, ..good },
            Params { lanes: 0, ..good },
        ] {
            assert!(matches!(refused(large), Error::Limit { .. }));
        }
    }
}
