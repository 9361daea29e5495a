//! The signed statement of a generation, and the chain they form.

use sha2::{Digest, Sha256};

use crate::identity::RECIPIENT_LEN;
use crate::{Error, Identity, MetadataKey, Recipient, Result, SigningKey, StoreId, VerifyingKey};

/// Members of a generation at most.
pub const MEMBERS_MAX: usize = 64;

const LABEL: &[u8; 24] = b"hearthkeep/v1/generation";
const WHAT: &str = "statement";
const SIGNATURE_LEN: usize = 64;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MemberKind {
    /// A person or device that may sign the next generation.
    Owner = 1,
    /// A recovery kit: it opens, it does not sign.
    RecoveryKit = 2,
}

/// Somebody the generation's seed is sealed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it is.
    pub kind: MemberKind,
    /// What the seed is sealed to.
    pub recipient: Recipient,
    /// What its signatures are verified with.
    pub verifying_key: VerifyingKey,
}

impl Member {
    /// An owner with this identity.
    pub fn owner(identity: &Identity) -> Self {
        Self::of(MemberKind::Owner, identity)
    }

    /// A recovery kit with this identity.
    pub fn recovery_kit(identity: &Identity) -> Self {
        Self::of(MemberKind::RecoveryKit, identity)
    }

    fn of(kind: MemberKind, identity: &Identity) -> Self {
        let verifying_key = identity.signing_key().verifying_key();
        Self {
            kind,
            recipient: identity.recipient(),
            verifying_key,
        }
    }
}

/// A statement that was parsed and whose signature is right. *Whose* it is, [`verify_chain`]
/// decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The store.
    pub store: StoreId,
    /// The generation's number, from 1.
    pub number: u32,
    /// What footage is sealed to.
    pub recipient: Recipient,
    /// [`MetadataKey::commitment`] of the generation's M.
    pub metadata_commitment: [u8; 32],
    /// SHA-256 of the statement before, zero in the first.
    pub previous: [u8; 32],
    /// Who signed.
    pub signer: VerifyingKey,
    /// Who the seed is sealed to.
    pub members: Vec<Member>,
    bytes: Vec<u8>,
}

impl Statement {
    /// Parses a statement and checks its signature with the key that it names.
    ///
    /// # Errors
    /// [`Error::Tampered`] when the signature is wrong, [`Error::Limit`], [`Error::Truncated`] or
    /// [`Error::Malformed`] when the layout is.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let (signed, signature) = bytes
            .split_last_chunk::<SIGNATURE_LEN>()
            .ok_or(Error::Truncated { what: WHAT })?;
        let mut fields = Fields {
            bytes: signed,
            at: 0,
        };
        if fields.array()? != *LABEL {
            return Err(Error::Malformed {
                what: WHAT,
                offset: 0,
            });
        }
        let store = StoreId::from_bytes(fields.array()?);
        let number = u32::from_be_bytes(fields.array()?);
        let recipient = fields.recipient()?;
        let metadata_commitment = fields.array()?;
        let previous = fields.array()?;
        let signer = fields.verifying_key()?;
        let members = fields.members()?;
        if number == 0 || fields.at != signed.len() {
            return Err(fields.malformed());
        }
        signer.verify(signed, signature)?;
        let bytes = bytes.to_vec();
        Ok(Self {
            store,
            number,
            recipient,
            metadata_commitment,
            previous,
            signer,
            members,
            bytes,
        })
    }

    /// The statement as it was parsed, signature and all.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its SHA-256, which the next statement carries.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// Whether this key is an owner's.
    pub fn is_owner(&self, key: &VerifyingKey) -> bool {
        self.members
            .iter()
            .any(|member| member.kind == MemberKind::Owner && member.verifying_key == *key)
    }

    /// Checks that a metadata key is the one this generation was made with.
    ///
    /// # Errors
    /// [`Error::Foreign`] when it is another.
    pub fn check_metadata_key(&self, key: &MetadataKey) -> Result<()> {
        if key.commitment() == self.metadata_commitment {
            Ok(())
        } else {
            Err(Error::Foreign {
                what: "metadata key",
            })
        }
    }
}

/// Verifies all statements of a store, from generation 1 on: each is signed by an owner of the one
/// before, the first by the root key, which must be an owner's. Returns them parsed, the newest
/// last.
///
/// # Errors
/// [`Error::Foreign`] when a statement is not of this store, was signed by somebody else, or does
/// not follow the one before it; [`Error::Truncated`] without any statement; else as
/// [`Statement::parse`].
pub fn verify_chain(
    statements: &[Vec<u8>],
    store: &StoreId,
    root: &VerifyingKey,
) -> Result<Vec<Statement>> {
    let mut chain: Vec<Statement> = Vec::new();
    for bytes in statements {
        let statement = Statement::parse(bytes)?;
        if statement.store != *store {
            return Err(Error::Foreign { what: WHAT });
        }
        let (number, previous, may_sign) = match chain.last() {
            None => (
                1,
                [0; 32],
                statement.signer == *root && statement.is_owner(root),
            ),
            Some(before) => (
                before
                    .number
                    .checked_add(1)
                    .ok_or(Error::Foreign { what: WHAT })?,
                before.hash(),
                before.is_owner(&statement.signer),
            ),
        };
        if statement.number != number || statement.previous != previous || !may_sign {
            return Err(Error::Foreign { what: WHAT });
        }
        chain.push(statement);
    }
    if chain.is_empty() {
        return Err(Error::Truncated {
            what: "chain of statements",
        });
    }
    Ok(chain)
}

/// Writes and signs a statement.
pub(super) fn sign(
    store: &StoreId,
    number: u32,
    recipient: &Recipient,
    metadata_commitment: &[u8; 32],
    previous: &[u8; 32],
    signer: &SigningKey,
    members: &[Member],
) -> Vec<u8> {
    let count = u16::try_from(members.len()).expect("members were counted before");
    let mut bytes = [
        LABEL.as_slice(),
        store.as_bytes(),
        &number.to_be_bytes(),
        recipient.as_bytes(),
        metadata_commitment,
        previous,
        signer.verifying_key().as_bytes(),
        &count.to_be_bytes(),
    ]
    .concat();
    for member in members {
        bytes.push(member.kind as u8);
        bytes.extend_from_slice(member.recipient.as_bytes());
        bytes.extend_from_slice(member.verifying_key.as_bytes());
    }
    let signature = signer.sign(&bytes);
    bytes.extend_from_slice(&signature);
    bytes
}

/// From one to [`MEMBERS_MAX`], nobody twice.
pub(super) fn check_members(members: &[Member]) -> Result<()> {
    if members.is_empty() || members.len() > MEMBERS_MAX {
        return Err(Error::Limit {
            what: "number of members",
            limit: MEMBERS_MAX as u64,
        });
    }
    let twice = members.iter().enumerate().any(|(index, member)| {
        members[..index].iter().any(|before| {
            before.recipient == member.recipient || before.verifying_key == member.verifying_key
        })
    });
    if twice {
        Err(Error::Malformed {
            what: "list of members",
            offset: 0,
        })
    } else {
        Ok(())
    }
}

struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn take(&mut self, length: usize) -> Result<&[u8]> {
        let taken = self
            .at
            .checked_add(length)
            .and_then(|end| self.bytes.get(self.at..end))
            .ok_or(Error::Truncated { what: WHAT })?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many were taken"))
    }

    fn recipient(&mut self) -> Result<Recipient> {
        let malformed = self.malformed();
        Recipient::from_bytes(self.take(RECIPIENT_LEN)?).map_err(|_| malformed)
    }

    fn verifying_key(&mut self) -> Result<VerifyingKey> {
        let malformed = self.malformed();
        VerifyingKey::from_bytes(&self.array()?).map_err(|_| malformed)
    }

    fn members(&mut self) -> Result<Vec<Member>> {
        let count = usize::from(u16::from_be_bytes(self.array()?));
        if count == 0 || count > MEMBERS_MAX {
            return Err(Error::Limit {
                what: "number of members",
                limit: MEMBERS_MAX as u64,
            });
        }
        let members = (0..count)
            .map(|_| self.member())
            .collect::<Result<Vec<_>>>()?;
        check_members(&members)?;
        Ok(members)
    }

    fn member(&mut self) -> Result<Member> {
        let malformed = self.malformed();
        let kind = match self.array()? {
            [1] => MemberKind::Owner,
            [2] => MemberKind::RecoveryKit,
            [_] => return Err(malformed),
        };
        Ok(Member {
            kind,
            recipient: self.recipient()?,
            verifying_key: self.verifying_key()?,
        })
    }

    fn malformed(&self) -> Error {
        Error::Malformed {
            what: WHAT,
            offset: self.at,
        }
    }
}
