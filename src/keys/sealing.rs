//! Whom the recorder seals to: only a generation that the owner has signed for.

use hearthkeep_format::generation::{self, Statement};
use hearthkeep_format::{Keyring, MetadataKey, Recipient};

use super::{Error, KnownStream, StateFolder, decode_streams};

/// Whom to seal to: the newest generation that the owner has signed.
#[derive(Debug)]
pub struct Sealing {
    /// The generation.
    pub generation: u32,
    /// Its recipient, out of a statement that verifies against the pinned root key.
    pub recipient: Recipient,
    /// Its metadata key.
    pub metadata_key: MetadataKey,
}

impl StateFolder {
    /// Whom to seal to. Asked when recording begins, and again only at the next start: until then nothing can sign a new
    /// generation. It fails rather than seal to anybody the owner has not signed for.
    ///
    /// # Errors
    ///
    /// [`Error::NotClaimed`], [`Error::Untrusted`].
    pub fn sealing(&self) -> Result<Sealing, Error> {
        let statement = self.verify(self.keyring.as_ref().ok_or(Error::NotClaimed)?)?;
        let metadata_key = self
            .metadata_key(statement.number)
            .ok_or_else(|| untrusted("its metadata key is not known here"))?;
        let metadata_key = MetadataKey::from_bytes(*metadata_key.as_bytes());
        Ok(Sealing {
            generation: statement.number,
            recipient: statement.recipient,
            metadata_key,
        })
    }

    /// The metadata key of a generation: opens times, sizes and names of footage, never pictures.
    pub fn metadata_key(&self, generation: u32) -> Option<&MetadataKey> {
        self.state.metadata_keys.get(&generation)
    }

    /// Checks the chain of statements against the pinned root and against falling back to an older generation.
    pub(super) fn verify(&self, keyring: &Keyring) -> Result<Statement, Error> {
        let root = self.state.root.ok_or(Error::NotClaimed)?;
        if keyring.store != self.state.store {
            return Err(untrusted("it belongs to another store"));
        }
        let chain = generation::verify_chain(&keyring.statements, &self.state.store, &root);
        let mut chain = chain.map_err(|error| Error::Untrusted {
            what: error.to_string(),
        })?;
        let newest = chain
            .pop()
            .ok_or_else(|| untrusted("it has no statement"))?;
        if newest.number != self.state.generation {
            return Err(untrusted(
                "it is not of the generation that this box last sealed to",
            ));
        }
        let commitment = self
            .metadata_key(newest.number)
            .map(MetadataKey::commitment);
        if commitment != Some(newest.metadata_commitment) {
            return Err(untrusted("its metadata key is not the one that was signed"));
        }
        Ok(newest)
    }

    pub(super) fn streams_of(&self, keyring: &Keyring) -> Result<Vec<KnownStream>, Error> {
        let damaged = |what: String| Error::Damaged {
            path: self.folder.join("keyring"),
            what,
        };
        let Some((generation, _)) = keyring.streams.as_ref() else {
            return Ok(Vec::new());
        };
        let key = self
            .metadata_key(*generation)
            .ok_or_else(|| damaged("its streams are of an unknown generation".to_owned()))?;
        let json = keyring
            .open_streams(key)
            .map_err(|error| damaged(error.to_string()))?;
        decode_streams(&json).map_err(damaged)
    }
}

fn untrusted(what: &str) -> Error {
    Error::Untrusted {
        what: what.to_owned(),
    }
}
