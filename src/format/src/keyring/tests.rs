//! A keyring through its life: made, rolled, torn, forged.

use proptest::prelude::*;

use super::*;
use crate::generation::{Member, create_first, create_next};
use crate::{Recipient, SeededRandom, age};

const STORE: StoreId = StoreId::from_bytes([1; 16]);

struct Home {
    owner: Identity,
    kit: Identity,
    removed: Identity,
    keyring: Keyring,
    created: Vec<Created>,
}

/// Three generations: the second has another owner beside owner and kit, whom the third removes.
fn rolled() -> Home {
    let random = &mut SeededRandom::new(1);
    let [owner, kit, removed] = [1, 2, 3].map(|seed| Identity::from_seed([seed; 32]));
    let first = create_first(&STORE, &owner, &kit, random);
    let members = vec![
        Member::owner(&owner),
        Member::recovery_kit(&kit),
        Member::owner(&removed),
    ];
    let statement = Statement::parse(&first.statement).unwrap();
    let second = create_next(&statement, &first.identity, &owner, members, random).unwrap();
    let members = vec![Member::owner(&owner), Member::recovery_kit(&kit)];
    let statement = Statement::parse(&second.statement).unwrap();
    let third = create_next(&statement, &second.identity, &owner, members, random).unwrap();
    let created = vec![first, second, third];
    let mut keyring = Keyring::new(STORE);
    for generation in &created {
        keyring.add_generation(generation);
        keyring.seal_streams(&generation.metadata_key, generation.number, "[]", random);
    }
    Home {
        owner,
        kit,
        removed,
        keyring,
        created,
    }
}

#[test]
fn each_member_opens_all_history() {
    let home = rolled();
    let keyring = Keyring::decode(&home.keyring.encode()).unwrap();
    assert_eq!(keyring, home.keyring);
    for member in [&home.owner, &home.kit] {
        let open = keyring.open(member).unwrap();
        assert_eq!(open.newest(), 3);
        assert_eq!(open.root(), home.owner.signing_key().verifying_key());
        for created in &home.created {
            let (identity, m) = open.generation(created.number).unwrap();
            assert_eq!(identity.seed(), created.identity.seed());
            assert_eq!(m.as_bytes(), created.metadata_key.as_bytes());
        }
        assert!(open.generation(0).is_none());
        assert!(open.generation(4).is_none());
        assert_eq!(open.streams().unwrap(), "[]");
        assert_eq!(format!("{open:?}"), "OpenKeyring(generations 1 to 3, ..)");
    }
}

#[test]
fn who_was_removed_keeps_what_it_had_and_no_more() {
    let home = rolled();
    let open = home.keyring.open(&home.removed).unwrap();
    assert_eq!(open.newest(), 2);
    assert_eq!(open.statements().len(), 3);
    assert!(open.generation(1).is_some());
    assert!(open.generation(3).is_none());
    assert_eq!(open.streams().unwrap_err(), Error::NoMatchingIdentity);
    let stranger = Identity::from_seed([4; 32]);
    assert_eq!(
        home.keyring.open(&stranger).unwrap_err(),
        Error::NoMatchingIdentity
    );
}

#[test]
fn streams_are_bound_to_version_store_and_key() {
    let mut home = rolled();
    let random = &mut SeededRandom::new(5);
    let m = &home.created[2].metadata_key;
    let json = r#"[{"id":"02","camera":"front door","feed":"main"}]"#;
    let version = home.keyring.version;
    home.keyring.seal_streams(m, 3, json, random);
    assert_eq!(home.keyring.version, version + 1);
    assert_eq!(home.keyring.open_streams(m).unwrap(), json);
    let tampered = Error::Tampered {
        what: "list of streams",
    };
    assert_eq!(
        home.keyring
            .open_streams(&home.created[1].metadata_key)
            .unwrap_err(),
        tampered
    );
    // A list of an older version put into a newer keyring.
    let older = Keyring {
        version: version + 2,
        ..home.keyring.clone()
    };
    assert_eq!(older.open_streams(m).unwrap_err(), tampered);
    let elsewhere = Keyring {
        store: StoreId::from_bytes([9; 16]),
        ..home.keyring
    };
    assert_eq!(elsewhere.open_streams(m).unwrap_err(), tampered);
}

#[test]
fn of_two_copies_the_newest_whole_one_is_used() {
    let mut home = rolled();
    let old = home.keyring.encode();
    home.keyring.seal_streams(
        &home.created[2].metadata_key,
        3,
        "[]",
        &mut SeededRandom::new(6),
    );
    let new = home.keyring.encode();
    let torn = &new[..new.len() - 1];
    let version = |a, b| Keyring::newest(a, b).map(|keyring| keyring.version);
    assert_eq!(version(Some(&old), Some(&new)), Ok(4));
    assert_eq!(version(Some(&new), Some(&old)), Ok(4));
    assert_eq!(version(Some(&old), Some(torn)), Ok(3));
    assert_eq!(version(None, Some(&old)), Ok(3));
    assert_eq!(
        version(Some(torn), None),
        Err(Error::Tampered { what: WHAT })
    );
    assert_eq!(version(None, None), Err(Error::Truncated { what: WHAT }));
}

#[test]
fn entries_that_are_not_what_the_statements_say_are_refused() {
    let home = rolled();
    let open = |change: &dyn Fn(&mut Keyring)| {
        let mut keyring = home.keyring.clone();
        change(&mut keyring);
        keyring.open(&home.owner).map(|_| ())
    };
    assert_eq!(open(&|_| {}), Ok(()));
    // A seed, an M, a previous seed of another generation.
    let swapped = |entries: &mut Vec<(u32, Vec<u8>)>| {
        let first = entries[0].1.clone();
        entries.last_mut().unwrap().1 = first;
    };
    assert!(open(&|k| swapped(&mut k.sealed_seeds)).is_err());
    assert!(open(&|k| swapped(&mut k.sealed_metadata_keys)).is_err());
    assert!(open(&|k| swapped(&mut k.previous_seeds)).is_err());
    // An entry that is missing.
    assert!(open(&|k| drop(k.sealed_seeds.pop())).is_err());
    assert!(open(&|k| drop(k.sealed_metadata_keys.pop())).is_err());
    assert!(open(&|k| drop(k.previous_seeds.pop())).is_err());
    assert!(open(&|k| k.statements.clear()).is_err());
    assert!(open(&|k| k.statements.swap(0, 1)).is_err());
    assert!(open(&|k| k.store = StoreId::from_bytes([7; 16])).is_err());
    // One that does not open beside one that does: a disk may carry both for a while.
    assert_eq!(
        open(&|k| k.sealed_seeds.insert(0, (3, b"torn".to_vec()))),
        Ok(())
    );
    // Of a removed newest statement, the generation before is left; the caller sees it by the
    // number.
    assert_eq!(open(&|k| drop(k.statements.pop())), Ok(()));
}

#[test]
fn a_reader_that_nobody_signed_for_is_noticed() {
    let home = rolled();
    let stranger = Identity::from_seed([4; 32]).recipient();
    let mut random = SeededRandom::new(8);
    let mut reseal = |secret: &[u8; 32], label: &[u8], number: u32, to: &[&Recipient]| {
        let plaintext = [
            label,
            STORE.as_bytes(),
            &number.to_be_bytes(),
            secret.as_slice(),
        ]
        .concat();
        age::seal(to, &plaintext, &mut random)
    };
    let [_, second, third] = &home.created[..] else {
        unreachable!()
    };
    let seed_label = b"hearthkeep/v1/generation-seed".as_slice();
    let (owner, kit) = (home.owner.recipient(), home.kit.recipient());
    let generation = third.identity.recipient();
    let seed = third.identity.seed();

    let good = reseal(seed, seed_label, 3, &[&owner, &kit]);
    let mut keyring = home.keyring.clone();
    keyring.sealed_seeds[2].1 = good;
    assert!(keyring.open(&home.owner).is_ok());

    let refused = |change: &dyn Fn(&mut Keyring, Vec<u8>), sealed: Vec<u8>| {
        let mut keyring = home.keyring.clone();
        change(&mut keyring, sealed);
        assert!(matches!(
            keyring.open(&home.owner),
            Err(Error::Limit { .. })
        ));
    };
    let sealed = reseal(seed, seed_label, 3, &[&owner, &kit, &stranger]);
    refused(&|k, sealed| k.sealed_seeds[2].1 = sealed, sealed);
    let sealed = reseal(
        second.identity.seed(),
        seed_label,
        2,
        &[&generation, &stranger],
    );
    refused(&|k, sealed| k.previous_seeds[1].1 = sealed, sealed);
    let sealed = reseal(
        third.metadata_key.as_bytes(),
        b"hearthkeep/v1/metadata-key",
        3,
        &[&generation, &stranger],
    );
    refused(&|k, sealed| k.sealed_metadata_keys[2].1 = sealed, sealed);

    // Another seed, another M: well sealed, not what was signed.
    let sealed = reseal(&[8; 32], seed_label, 3, &[&owner, &kit]);
    let mut keyring = home.keyring.clone();
    keyring.sealed_seeds[2].1 = sealed;
    assert_eq!(
        keyring.open(&home.owner).unwrap_err(),
        Error::Foreign {
            what: "sealed seed"
        }
    );
    let sealed = reseal(&[8; 32], b"hearthkeep/v1/metadata-key", 3, &[&generation]);
    let mut keyring = home.keyring.clone();
    keyring.sealed_metadata_keys[2].1 = sealed;
    assert_eq!(
        keyring.open(&home.owner).unwrap_err(),
        Error::Foreign {
            what: "metadata key"
        }
    );
}

#[test]
fn unknown_entries_are_kept() {
    let mut home = rolled();
    home.keyring
        .unknown
        .push((200, b"of a later version".to_vec()));
    let keyring = Keyring::decode(&home.keyring.encode()).unwrap();
    assert_eq!(keyring, home.keyring);
    assert!(keyring.open(&home.kit).is_ok());
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let mut keyring = Keyring::new(STORE);
    keyring.add_generation(&rolled().created[0]);
    let bytes = keyring.encode();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(Keyring::decode(&changed).is_err(), "byte {at}");
        assert!(Keyring::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(Keyring::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body: Vec<u8>, count: u32, entry: Vec<u8>) {
        use sha2::{Digest, Sha256};
        prop_assert!(Keyring::decode(&body).is_err());
        // Past the hash, where an attacker who knows the format gets.
        for rest in [body.clone(), [&count.to_be_bytes(), body.as_slice()].concat(), {
            let length = u32::try_from(entry.len()).unwrap().to_be_bytes();
            [&1_u32.to_be_bytes(), &[body.len() as u8][..], &length, &entry].concat()
        }] {
            let mut bytes = [b"HKKEYR\r\n".as_slice(), &[0; 24], &rest].concat();
            let hash = Sha256::digest(&bytes);
            bytes.extend_from_slice(&hash);
            if let Ok(keyring) = Keyring::decode(&bytes) {
                prop_assert!(keyring.open(&Identity::from_seed([1; 32])).is_err());
                prop_assert_eq!(Keyring::decode(&keyring.encode()), Ok(keyring));
            }
        }
    }
}
