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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRandom;
    use crate::generation::{Created, create_first, create_next};
    use proptest::prelude::*;

    const STORE: StoreId = StoreId::from_bytes([1; 16]);

    struct People {
        owner: Identity,
        kit: Identity,
        other: Identity,
    }

    fn people() -> People {
        let [owner, kit, other] = [1, 2, 3].map(|seed| Identity::from_seed([seed; 32]));
        People { owner, kit, other }
    }

    fn first(people: &People) -> Created {
        create_first(
            &STORE,
            &people.owner,
            &people.kit,
            &mut SeededRandom::new(1),
        )
    }

    /// Three generations; the second adds an owner, who signs the third.
    fn three(people: &People) -> Vec<Vec<u8>> {
        let random = &mut SeededRandom::new(2);
        let one = first(people);
        let members = vec![
            Member::owner(&people.owner),
            Member::owner(&people.other),
            Member::recovery_kit(&people.kit),
        ];
        let statement = Statement::parse(&one.statement).unwrap();
        let two = create_next(&statement, &one.identity, &people.owner, members, random).unwrap();
        let statement = Statement::parse(&two.statement).unwrap();
        let members = vec![
            Member::owner(&people.other),
            Member::recovery_kit(&people.kit),
        ];
        let three = create_next(&statement, &two.identity, &people.other, members, random).unwrap();
        vec![one.statement, two.statement, three.statement]
    }

    fn root(people: &People) -> VerifyingKey {
        people.owner.signing_key().verifying_key()
    }

    #[test]
    fn the_layout_is_as_specified() {
        let people = people();
        let created = first(&people);
        let bytes = &created.statement;
        assert_eq!(bytes.len(), 1358 + 2 * 1249 + 64);
        assert_eq!(&bytes[..24], b"hearthkeep/v1/generation");
        assert_eq!(bytes[24..40], [1; 16]);
        assert_eq!(bytes[40..44], [0, 0, 0, 1]);
        assert_eq!(&bytes[44..1260], created.identity.recipient().as_bytes());
        assert_eq!(bytes[1260..1292], created.metadata_key.commitment());
        assert_eq!(bytes[1292..1324], [0; 32]);
        assert_eq!(&bytes[1324..1356], root(&people).as_bytes());
        assert_eq!(bytes[1356..1359], [0, 2, 1]);
        assert_eq!(&bytes[1359..2575], people.owner.recipient().as_bytes());
        assert_eq!(bytes[1358 + 1249], 2);
    }

    #[test]
    fn a_chain_verifies_from_its_root() {
        let people = people();
        let statements = three(&people);
        let chain = verify_chain(&statements, &STORE, &root(&people)).unwrap();
        assert_eq!(
            chain.iter().map(|s| s.number).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        assert_eq!(chain[2].members.len(), 2);
        assert!(
            chain
                .iter()
                .zip(&statements)
                .all(|(parsed, bytes)| parsed.as_bytes() == bytes)
        );
    }

    #[test]
    fn chains_that_do_not_hold_are_refused() {
        let people = people();
        let statements = three(&people);
        let foreign = Error::Foreign { what: WHAT };
        let verify =
            |statements: &[Vec<u8>]| verify_chain(statements, &STORE, &root(&people)).unwrap_err();
        assert_eq!(
            verify(&[]),
            Error::Truncated {
                what: "chain of statements"
            }
        );
        assert_eq!(
            verify(&statements[1..]),
            foreign,
            "the first one is missing"
        );
        assert_eq!(
            verify(&[statements[0].clone(), statements[2].clone()]),
            foreign
        );
        assert_eq!(
            verify(&[statements[0].clone(), statements[0].clone()]),
            foreign
        );
        let other_root = people.other.signing_key().verifying_key();
        assert_eq!(
            verify_chain(&statements, &STORE, &other_root).unwrap_err(),
            foreign
        );
        let other_store = StoreId::from_bytes([2; 16]);
        assert_eq!(
            verify_chain(&statements, &other_store, &root(&people)).unwrap_err(),
            foreign
        );
        // Another first statement by the same owner: the second does not follow from it.
        let again = create_first(
            &STORE,
            &people.owner,
            &people.kit,
            &mut SeededRandom::new(9),
        )
        .statement;
        assert_eq!(verify(&[again, statements[1].clone()]), foreign);
    }

    #[test]
    fn only_owners_sign() {
        let people = people();
        let created = first(&people);
        let statement = Statement::parse(&created.statement).unwrap();
        let recipient = created.identity.recipient();
        for stranger in [&people.kit, &people.other] {
            let key = stranger.signing_key();
            let members = vec![Member::owner(stranger)];
            let refused = create_next(
                &statement,
                &created.identity,
                stranger,
                members.clone(),
                &mut SeededRandom::new(1),
            );
            assert!(matches!(refused, Err(Error::Foreign { .. })));
            // The same, without asking: well formed, well signed, by the wrong one.
            let forged = sign(
                &STORE,
                2,
                &recipient,
                &[0; 32],
                &statement.hash(),
                &key,
                &members,
            );
            let statements = [created.statement.clone(), forged];
            let error = verify_chain(&statements, &STORE, &root(&people)).unwrap_err();
            assert_eq!(error, Error::Foreign { what: WHAT });
        }
        // A root key that is a kit's.
        let kit_key = people.kit.signing_key();
        let members = [Member::recovery_kit(&people.kit)];
        let forged = sign(
            &STORE, 1, &recipient, &[0; 32], &[0; 32], &kit_key, &members,
        );
        assert!(verify_chain(&[forged], &STORE, &kit_key.verifying_key()).is_err());
    }

    #[test]
    fn members_are_bounded_and_differ() {
        let people = people();
        let owner = Member::owner(&people.owner);
        assert!(check_members(&[]).is_err());
        assert!(check_members(&vec![owner.clone(); MEMBERS_MAX + 1]).is_err());
        assert!(check_members(&[owner.clone(), Member::recovery_kit(&people.owner)]).is_err());
        assert!(check_members(&[owner, Member::recovery_kit(&people.kit)]).is_ok());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let bytes = first(&people()).statement;
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(Statement::parse(&changed).is_err(), "byte {at}");
            assert!(Statement::parse(&bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(Statement::parse(&[bytes.as_slice(), &[0]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            prop_assert!(Statement::parse(&bytes).is_err());
            let labelled = [LABEL.as_slice(), &bytes].concat();
            prop_assert!(Statement::parse(&labelled).is_err());
        }

        #[test]
        fn mutations_are_refused(at in 0_usize..4000, replacement: Vec<u8>, remove in 0_usize..100) {
            let bytes = first(&people()).statement;
            let at = at.min(bytes.len());
            let mut changed = bytes.clone();
            changed.splice(at..(at + remove).min(bytes.len()), replacement);
            prop_assert!(changed == bytes || Statement::parse(&changed).is_err());
        }
    }
}
