//! The keyring that each disk carries: with it and a member's identity, or the kit, a disk opens by
//! itself.

mod layout;

use crate::generation::{self, Created, Statement, verify_chain};
use crate::kdf::{Key, expand};
use crate::xseal::{xopen, xseal};
use crate::{Error, Identity, MetadataKey, Random, Result, StoreId, VerifyingKey};

const STREAMS_LABEL: &[u8] = b"hearthkeep/v1/streams";
const WHAT: &str = "keyring";

/// A keyring as it stands on a disk. Nothing in it is secret; what matters is sealed or signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    /// One higher at each change.
    pub version: u64,
    /// The store.
    pub store: StoreId,
    /// The statements of all generations, the first one first.
    pub statements: Vec<Vec<u8>>,
    /// Each generation's seed, sealed to its members.
    pub sealed_seeds: Vec<(u32, Vec<u8>)>,
    /// Each generation's M, sealed to the generation.
    pub sealed_metadata_keys: Vec<(u32, Vec<u8>)>,
    /// By the number of the generation that it is sealed to: the seed of the one before.
    pub previous_seeds: Vec<(u32, Vec<u8>)>,
    /// The list of streams, and the generation whose M seals it.
    pub streams: Option<(u32, Vec<u8>)>,
    /// Entries of types that this program does not know, kept for those who do.
    pub unknown: Vec<(u8, Vec<u8>)>,
}

impl Keyring {
    /// A keyring without entries, version 0.
    pub fn new(store: StoreId) -> Self {
        Self {
            version: 0,
            store,
            statements: Vec::new(),
            sealed_seeds: Vec::new(),
            sealed_metadata_keys: Vec::new(),
            previous_seeds: Vec::new(),
            streams: None,
            unknown: Vec::new(),
        }
    }

    /// Adds a generation. [`Keyring::seal_streams`] under its M must follow: it closes the change.
    pub fn add_generation(&mut self, created: &Created) {
        self.statements.push(created.statement.clone());
        self.sealed_seeds
            .push((created.number, created.sealed_seed.clone()));
        self.sealed_metadata_keys
            .push((created.number, created.sealed_metadata_key.clone()));
        if let Some(seed) = &created.previous_seed {
            self.previous_seeds.push((created.number, seed.clone()));
        }
    }

    /// The bytes to be written.
    pub fn encode(&self) -> Vec<u8> {
        layout::encode(self)
    }

    /// Reads what [`Keyring::encode`] writes and checks its hash. Who signed and sealed,
    /// [`Keyring::open`] checks.
    ///
    /// # Errors
    /// [`Error::Tampered`] when the hash is wrong (a torn write), [`Error::Truncated`],
    /// [`Error::Limit`] or [`Error::Malformed`] when the layout is.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        layout::decode(bytes)
    }

    /// The one to use of a disk's two copies: of those that are whole, the one with the higher
    /// version.
    ///
    /// # Errors
    /// When neither is whole: what is wrong with the first one that is there.
    pub fn newest(a: Option<&[u8]>, b: Option<&[u8]>) -> Result<Self> {
        let mut newest: Option<Self> = None;
        let mut wrong = None;
        for bytes in [a, b].into_iter().flatten() {
            match Self::decode(bytes) {
                Ok(keyring) if newest.as_ref().is_none_or(|n| n.version < keyring.version) => {
                    newest = Some(keyring);
                }
                Ok(_) => {}
                Err(error) => _ = wrong.get_or_insert(error),
            }
        }
        newest.ok_or(wrong.unwrap_or(Error::Truncated { what: WHAT }))
    }

    /// The statements, verified from their own root: the key that signed the first one.
    ///
    /// # Errors
    /// As [`verify_chain`].
    pub fn verify(&self) -> Result<Vec<Statement>> {
        let first = self
            .statements
            .first()
            .ok_or(Error::Truncated { what: WHAT })?;
        verify_chain(
            &self.statements,
            &self.store,
            &Statement::parse(first)?.signer,
        )
    }

    /// Opens the newest generation that `identity` is a member of, and from there all before it.
    ///
    /// The chain is verified from its own root. Whoever knows the root key (from the kit's page, or
    /// from before) MUST compare it with [`OpenKeyring::root`]: a disk can be given another
    /// keyring, whole and well signed.
    ///
    /// # Errors
    /// [`Error::NoMatchingIdentity`] when it is a member of none; [`Error::Foreign`],
    /// [`Error::Tampered`] or [`Error::Limit`] when an entry is not what the statements say, or can
    /// be opened by more than they say.
    pub fn open(&self, identity: &Identity) -> Result<OpenKeyring> {
        let chain = self.verify()?;
        let recipient = identity.recipient();
        let newest = chain
            .iter()
            .rposition(|statement| statement.members.iter().any(|m| m.recipient == recipient))
            .ok_or(Error::NoMatchingIdentity)?;
        let mut generations = Vec::with_capacity(newest + 1);
        for statement in chain[..=newest].iter().rev() {
            let opened = match generations.last() {
                None => try_each(&self.sealed_seeds, statement.number, |sealed| {
                    generation::open_seed(sealed, statement, identity)
                }),
                Some((after, _)) => {
                    try_each(&self.previous_seeds, statement.number + 1, |sealed| {
                        generation::open_previous_seed(sealed, statement, after)
                    })
                }
            }?;
            let m = try_each(&self.sealed_metadata_keys, statement.number, |sealed| {
                generation::open_metadata_key(sealed, statement, &opened)
            })?;
            generations.push((opened, m));
        }
        generations.reverse();
        Ok(OpenKeyring {
            keyring: self.clone(),
            chain,
            generations,
        })
    }

    /// Seals the list of streams, which counts as a change: the version goes up by one and is
    /// sealed with it.
    pub fn seal_streams(
        &mut self,
        m: &MetadataKey,
        generation: u32,
        json: &str,
        random: &mut dyn Random,
    ) {
        self.version += 1;
        let sealed = xseal(
            &streams_key(m),
            json.as_bytes(),
            &self.streams_bound(),
            random,
        );
        self.streams = Some((generation, sealed));
    }

    /// Opens the list of streams with the M of the generation that `streams` names.
    ///
    /// # Errors
    /// [`Error::Truncated`] when there is none, [`Error::Tampered`] when it was sealed for another
    /// version or store, under another M, or changed.
    pub fn open_streams(&self, m: &MetadataKey) -> Result<String> {
        let (_, sealed) = self.streams.as_ref().ok_or(Error::Truncated {
            what: "list of streams",
        })?;
        xopen(&streams_key(m), sealed, &self.streams_bound())
            .and_then(|json| String::from_utf8(json.to_vec()).ok())
            .ok_or(Error::Tampered {
                what: "list of streams",
            })
    }

    fn streams_bound(&self) -> Vec<u8> {
        [
            STREAMS_LABEL,
            self.store.as_bytes(),
            &self.version.to_be_bytes(),
        ]
        .concat()
    }
}

/// A keyring that a member has opened.
pub struct OpenKeyring {
    keyring: Keyring,
    chain: Vec<Statement>,
    /// From generation 1 on.
    generations: Vec<(Identity, MetadataKey)>,
}

impl OpenKeyring {
    /// The store.
    pub fn store(&self) -> StoreId {
        self.keyring.store
    }

    /// Identity and metadata key of a generation; `None` for one that was not opened.
    pub fn generation(&self, number: u32) -> Option<(&Identity, &MetadataKey)> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.generations
            .get(index)
            .map(|(identity, m)| (identity, m))
    }

    /// The newest generation that was opened. Lower than the last of [`OpenKeyring::statements`]
    /// for a member that was removed.
    pub fn newest(&self) -> u32 {
        self.chain[self.generations.len() - 1].number
    }

    /// The verified statements of all generations, also of those that could not be opened.
    pub fn statements(&self) -> &[Statement] {
        &self.chain
    }

    /// The root key: who signed the first statement.
    pub fn root(&self) -> VerifyingKey {
        self.chain[0].signer
    }

    /// The list of streams as JSON.
    ///
    /// # Errors
    /// [`Error::NoMatchingIdentity`] when it is sealed to a generation that was not opened, else as
    /// [`Keyring::open_streams`].
    pub fn streams(&self) -> Result<String> {
        let (number, _) = self.keyring.streams.as_ref().ok_or(Error::Truncated {
            what: "list of streams",
        })?;
        let (_, m) = self.generation(*number).ok_or(Error::NoMatchingIdentity)?;
        self.keyring.open_streams(m)
    }
}

impl std::fmt::Debug for OpenKeyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenKeyring(generations 1 to {}, ..)", self.newest())
    }
}

fn streams_key(m: &MetadataKey) -> Key {
    expand(m.as_bytes(), &[STREAMS_LABEL])
}

/// The first of a generation's entries that opens; if none does, why the first one did not.
fn try_each<T>(
    entries: &[(u32, Vec<u8>)],
    number: u32,
    open: impl Fn(&[u8]) -> Result<T>,
) -> Result<T> {
    let mut wrong = None;
    for (_, sealed) in entries.iter().filter(|(n, _)| *n == number) {
        match open(sealed) {
            Ok(opened) => return Ok(opened),
            Err(error) => _ = wrong.get_or_insert(error),
        }
    }
    Err(wrong.unwrap_or(Error::Truncated { what: WHAT }))
}

#[cfg(test)]
mod tests;
