//! How a box gets its owner: what the owner's client made, and the checks before the box believes it.

use hearthkeep_format::generation::{self, MemberKind, Statement};
use hearthkeep_format::passphrase::{self, Params};
use hearthkeep_format::{Identity, MetadataKey, Random, Recipient, StoreId, VerifyingKey, age};
use zeroize::Zeroizing;

use super::Error;

/// Generation 1 of a store, as the owner's client hands it to the box. Of secrets it holds the metadata key only.
#[derive(Debug)]
pub struct ClaimMaterial {
    /// The owner's recipient.
    pub recipient: Recipient,
    /// The owner's signing key: the root of all statements from now on.
    pub verifying_key: VerifyingKey,
    /// The signed statement of generation 1.
    pub statement: Vec<u8>,
    /// The generation's seed, sealed to the owner and the recovery kit.
    pub sealed_seed: Vec<u8>,
    /// The metadata key, sealed to the generation.
    pub sealed_metadata_key: Vec<u8>,
    /// The metadata key, for the box to keep.
    pub metadata_key: MetadataKey,
}

impl ClaimMaterial {
    /// Checks that everything belongs together and to this store: the box would otherwise record what nobody can open.
    ///
    /// # Errors
    ///
    /// [`Error::BadClaim`], which says what does not hold.
    pub fn verify(&self, store: &StoreId) -> Result<(), Error> {
        let statements = std::slice::from_ref(&self.statement);
        let chain = generation::verify_chain(statements, store, &self.verifying_key)
            .map_err(|_| bad("its statement is not signed for this box by the key given"))?;
        let statement = chain.last().ok_or_else(|| bad("it has no statement"))?;
        self.verify_members(statement)?;
        if statement.number != 1 {
            return Err(bad("its statement is not of generation 1"));
        }
        if statement.metadata_commitment != self.metadata_key.commitment() {
            return Err(bad("its metadata key is not the one that was signed"));
        }
        // Who opens the seed cannot be seen from outside, but how many can.
        if age::stanza_count(&self.sealed_seed).ok() != Some(statement.members.len()) {
            return Err(bad("its seed is not sealed to exactly the members"));
        }
        if age::stanza_count(&self.sealed_metadata_key).ok() != Some(1) {
            return Err(bad(
                "its metadata key is not sealed to the generation alone",
            ));
        }
        Ok(())
    }

    fn verify_members(&self, statement: &Statement) -> Result<(), Error> {
        let of_kind = |kind| {
            statement
                .members
                .iter()
                .filter(move |member| member.kind == kind)
        };
        let (mut owners, mut kits) = (of_kind(MemberKind::Owner), of_kind(MemberKind::RecoveryKit));
        let (Some(owner), None) = (owners.next(), owners.next()) else {
            return Err(bad("it does not name exactly one owner"));
        };
        if owner.verifying_key != self.verifying_key || owner.recipient != self.recipient {
            return Err(bad("the owner it names is not the one who signs"));
        }
        let (Some(kit), None) = (kits.next(), kits.next()) else {
            return Err(bad("it does not name exactly one recovery kit"));
        };
        if kit.recipient == owner.recipient || kit.recipient == statement.recipient {
            return Err(bad("its recovery kit is not a secret of its own"));
        }
        Ok(())
    }
}

/// An owner made in this process, by `hearthkeep init`: what a browser makes when a box is claimed in its page.
#[derive(Debug)]
pub struct NewOwner {
    /// The owner's identity; to be dropped as soon as nothing is to be opened.
    pub identity: Identity,
    /// The recovery kit; to be shown once and dropped.
    pub kit: Identity,
    /// For [`super::StateFolder::claim`].
    pub claim: ClaimMaterial,
    /// The salt of the passphrase.
    pub salt: [u8; 16],
    /// What deriving from the passphrase costs.
    pub params: Params,
    /// What the box learns of the passphrase; it keeps a hash of it.
    pub auth: Zeroizing<[u8; 32]>,
    /// The identity under the passphrase.
    pub sealed_identity: Vec<u8>,
}

impl NewOwner {
    /// Makes identity, kit and generation 1 for `store`. Costs what one derivation from a passphrase costs: a second and
    /// 64 MiB.
    ///
    /// # Errors
    ///
    /// The passphrase cannot be derived from. Its strength is the caller's to check (`passphrase::check_strength`).
    pub fn make(
        store: &StoreId,
        name: &str,
        passphrase: &str,
        random: &mut dyn Random,
    ) -> hearthkeep_format::Result<Self> {
        let (identity, kit) = (Identity::generate(random), Identity::generate(random));
        let created = generation::create_first(store, &identity, &kit, random);
        let mut salt = [0; 16];
        random.fill(&mut salt);
        let params = Params::default();
        let derived = passphrase::derive(passphrase, &salt, params)?;
        Ok(Self {
            claim: ClaimMaterial {
                recipient: identity.recipient(),
                verifying_key: identity.signing_key().verifying_key(),
                statement: created.statement,
                sealed_seed: created.sealed_seed,
                sealed_metadata_key: created.sealed_metadata_key,
                metadata_key: created.metadata_key,
            },
            sealed_identity: derived.seal_identity(&identity, name, random),
            auth: derived.auth.clone(),
            identity,
            kit,
            salt,
            params,
        })
    }
}

fn bad(what: &'static str) -> Error {
    Error::BadClaim { what }
}
