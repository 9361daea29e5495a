//! Generations of the group: who footage is sealed to, and the seeds and metadata keys that follow
//! each other.

mod statement;

use zeroize::Zeroizing;

use crate::{Error, Identity, MetadataKey, Random, Result, SigningKey, StoreId, age};

pub use statement::{MEMBERS_MAX, Member, MemberKind, Statement, verify_chain};

const SEED_LABEL: &[u8] = b"hearthkeep/v1/generation-seed";
const METADATA_LABEL: &[u8] = b"hearthkeep/v1/metadata-key";

/// A generation as the client that made it has it.
#[derive(Debug)]
pub struct Created {
    /// The generation's number.
    pub number: u32,
    /// The signed statement (`docs/format.md`, 2.1).
    pub statement: Vec<u8>,
    /// The generation's seed, sealed to its members.
    pub sealed_seed: Vec<u8>,
    /// M, sealed to the generation.
    pub sealed_metadata_key: Vec<u8>,
    /// The seed of the generation before, sealed to this one; `None` in the first.
    pub previous_seed: Option<Vec<u8>>,
    /// The generation's identity. Members keep it; the recorder never has it while it is locked.
    pub identity: Identity,
    /// M, for the recorder.
    pub metadata_key: MetadataKey,
}

/// The first generation: one owner, whose signing key becomes the root key, and a recovery kit.
pub fn create_first(
    store: &StoreId,
    owner: &Identity,
    kit: &Identity,
    random: &mut dyn Random,
) -> Created {
    let members = vec![Member::owner(owner), Member::recovery_kit(kit)];
    create(
        store,
        1,
        [0; 32],
        None,
        &owner.signing_key(),
        members,
        random,
    )
}

/// The generation after `previous`: made when a member is removed or a kit replaced, by an owner of
/// `previous`.
///
/// # Errors
/// [`Error::Foreign`] when `owner` is no owner of `previous`, or `previous_identity` not that
/// generation's; [`Error::Limit`] or [`Error::Malformed`] when the members are none, too many, or
/// one of them stands there twice.
pub fn create_next(
    previous: &Statement,
    previous_identity: &Identity,
    owner: &Identity,
    members: Vec<Member>,
    random: &mut dyn Random,
) -> Result<Created> {
    let signing_key = owner.signing_key();
    if !previous.is_owner(&signing_key.verifying_key()) {
        return Err(Error::Foreign {
            what: "the signer of the new generation",
        });
    }
    if previous_identity.recipient() != previous.recipient {
        return Err(Error::Foreign {
            what: "the identity of the generation before",
        });
    }
    statement::check_members(&members)?;
    let number = previous.number.checked_add(1).ok_or(Error::Limit {
        what: "number of generations",
        limit: u32::MAX.into(),
    })?;
    Ok(create(
        &previous.store,
        number,
        previous.hash(),
        Some(previous_identity),
        &signing_key,
        members,
        random,
    ))
}

/// Opens a sealed seed with a member's identity, and compares it with the statement.
pub(crate) fn open_seed(
    sealed: &[u8],
    statement: &Statement,
    member: &Identity,
) -> Result<Identity> {
    expect_stanzas(
        sealed,
        statement.members.len(),
        "number of stanzas of a sealed seed",
    )?;
    checked_seed(sealed, member, statement)
}

/// Opens the seed of the generation that `statement` states with the identity of the generation
/// after it.
pub(crate) fn open_previous_seed(
    sealed: &[u8],
    statement: &Statement,
    following: &Identity,
) -> Result<Identity> {
    expect_stanzas(sealed, 1, "number of stanzas of a previous seed")?;
    checked_seed(sealed, following, statement)
}

/// Opens M with the generation's identity, and compares it with the statement.
pub(crate) fn open_metadata_key(
    sealed: &[u8],
    statement: &Statement,
    generation: &Identity,
) -> Result<MetadataKey> {
    expect_stanzas(sealed, 1, "number of stanzas of a sealed metadata key")?;
    let key = open_secret(
        METADATA_LABEL,
        "sealed metadata key",
        sealed,
        statement,
        generation,
    )?;
    let key = MetadataKey::from_bytes(*key);
    statement.check_metadata_key(&key)?;
    Ok(key)
}

fn create(
    store: &StoreId,
    number: u32,
    previous_hash: [u8; 32],
    previous_identity: Option<&Identity>,
    signer: &SigningKey,
    members: Vec<Member>,
    random: &mut dyn Random,
) -> Created {
    let identity = Identity::generate(random);
    let metadata_key = MetadataKey::generate(random);
    let recipient = identity.recipient();
    let member_recipients: Vec<_> = members.iter().map(|member| &member.recipient).collect();
    let seed = plaintext(SEED_LABEL, store, number, identity.seed());
    let sealed_seed = age::seal(&member_recipients, &seed, random);
    let m = plaintext(METADATA_LABEL, store, number, metadata_key.as_bytes());
    let sealed_metadata_key = age::seal(&[&recipient], &m, random);
    let previous_seed = previous_identity.map(|previous| {
        let seed = plaintext(SEED_LABEL, store, number - 1, previous.seed());
        age::seal(&[&recipient], &seed, random)
    });
    let statement = statement::sign(
        store,
        number,
        &recipient,
        &metadata_key.commitment(),
        &previous_hash,
        signer,
        &members,
    );
    Created {
        number,
        statement,
        sealed_seed,
        sealed_metadata_key,
        previous_seed,
        identity,
        metadata_key,
    }
}

fn checked_seed(sealed: &[u8], opener: &Identity, statement: &Statement) -> Result<Identity> {
    let seed = open_secret(SEED_LABEL, "sealed seed", sealed, statement, opener)?;
    let identity = Identity::from_seed(*seed);
    if identity.recipient() != statement.recipient {
        return Err(Error::Foreign {
            what: "sealed seed",
        });
    }
    Ok(identity)
}

fn open_secret(
    label: &[u8],
    what: &'static str,
    sealed: &[u8],
    statement: &Statement,
    opener: &Identity,
) -> Result<Zeroizing<[u8; 32]>> {
    let opened = age::open(&[opener], sealed)?;
    let (_, secret) = opened
        .split_last_chunk::<32>()
        .ok_or(Error::Malformed { what, offset: 0 })?;
    if *opened != *plaintext(label, &statement.store, statement.number, secret) {
        return Err(Error::Foreign { what });
    }
    Ok(Zeroizing::new(*secret))
}

fn plaintext(label: &[u8], store: &StoreId, number: u32, secret: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(
        [
            label,
            store.as_bytes().as_slice(),
            &number.to_be_bytes(),
            secret.as_slice(),
        ]
        .concat(),
    )
}

/// A stanza too many is a reader that nobody signed for.
fn expect_stanzas(sealed: &[u8], count: usize, what: &'static str) -> Result<()> {
    if age::stanza_count(sealed)? == count {
        Ok(())
    } else {
        Err(Error::Limit {
            what,
            limit: count as u64,
        })
    }
}

#[cfg(test)]
mod tests;
