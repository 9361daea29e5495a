//! Statements and chains of them: made, followed, forged.

use super::statement::{check_members, sign};
use super::*;
use crate::{SeededRandom, VerifyingKey};
use proptest::prelude::*;
use std::sync::LazyLock;

const WHAT: &str = "statement";
const STORE: StoreId = StoreId::from_bytes([1; 16]);

static FIRST: LazyLock<Vec<u8>> = LazyLock::new(|| first(&people()).statement);

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
        let labelled = [b"hearthkeep/v1/generation".as_slice(), &bytes].concat();
        prop_assert!(Statement::parse(&labelled).is_err());
    }

    #[test]
    fn mutations_are_refused(at in 0_usize..4000, replacement: Vec<u8>, remove in 0_usize..100) {
        let bytes = &*FIRST;
        let at = at.min(bytes.len());
        let mut changed = bytes.clone();
        changed.splice(at..(at + remove).min(bytes.len()), replacement);
        prop_assert!(changed == *bytes || Statement::parse(&changed).is_err());
    }
}
