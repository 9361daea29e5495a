use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::random::OsRandom;

const PASSPHRASE: &str = "a quiet lighthouse at noon";

fn claimed(folder: &Path) -> (StateFolder, NewOwner) {
    let mut state = StateFolder::create_unclaimed(folder, &mut OsRandom).unwrap();
    let owner = NewOwner::make(&state.store(), "owner", PASSPHRASE, &mut OsRandom).unwrap();
    state.claim(&owner.claim, &mut OsRandom).unwrap();
    (state, owner)
}

fn name(camera: &str) -> StreamName {
    StreamName {
        camera: camera.to_owned(),
        feed: "main".to_owned(),
    }
}

#[test]
fn a_claimed_folder_is_loaded_and_opened_by_owner_and_kit() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("state");
    let (mut state, owner) = claimed(&folder);
    let (streams, bytes) = state
        .stream_ids(&[name("front door"), name("yard")], &mut OsRandom)
        .unwrap();
    assert_eq!(
        bytes.as_deref(),
        Some(state.keyring_bytes().unwrap().as_slice())
    );

    let mut again = StateFolder::load(&folder).unwrap();
    assert!(again.is_claimed());
    assert_eq!(again.store(), state.store());
    assert_eq!(again.root(), Some(owner.claim.verifying_key));
    let (first, second) = (state.sealing().unwrap(), again.sealing().unwrap());
    assert_eq!(
        (first.generation, first.recipient),
        (second.generation, second.recipient)
    );
    assert_eq!(again.streams().unwrap(), streams);
    // The same names in another order, and nothing new to write.
    let (swapped, bytes) = again
        .stream_ids(&[name("yard"), name("front door")], &mut OsRandom)
        .unwrap();
    assert_eq!(swapped, [streams[1].clone(), streams[0].clone()]);
    assert!(bytes.is_none());

    let keyring = read_keyring(&folder).unwrap().unwrap();
    for identity in [&owner.identity, &owner.kit] {
        let open = keyring.open(identity).unwrap();
        assert_eq!(open.root(), owner.claim.verifying_key);
        assert_eq!(decode_streams(&open.streams().unwrap()).unwrap(), streams);
    }
}

#[test]
fn an_unclaimed_folder_seals_to_nobody() {
    let root = tempfile::tempdir().unwrap();
    let made = StateFolder::open_or_create(root.path(), &mut OsRandom).unwrap();
    let mut again = StateFolder::open_or_create(root.path(), &mut OsRandom).unwrap();
    assert_eq!(made.store(), again.store());
    assert!(matches!(again.sealing(), Err(Error::NotClaimed)));
    assert!(matches!(again.keyring_bytes(), Err(Error::NotClaimed)));
    assert!(matches!(
        again.stream_ids(&[name("yard")], &mut OsRandom),
        Err(Error::NotClaimed)
    ));
    assert!(matches!(
        StateFolder::create_unclaimed(root.path(), &mut OsRandom),
        Err(Error::Exists { .. })
    ));
}

#[test]
fn there_is_one_owner() {
    let root = tempfile::tempdir().unwrap();
    let (mut state, owner) = claimed(root.path());
    let other = NewOwner::make(&state.store(), "other", PASSPHRASE, &mut OsRandom).unwrap();
    assert!(matches!(
        state.claim(&other.claim, &mut OsRandom),
        Err(Error::AlreadyClaimed)
    ));
    assert_eq!(
        StateFolder::load(root.path()).unwrap().root(),
        Some(owner.claim.verifying_key)
    );
}

#[test]
fn a_claim_that_does_not_hold_together_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut state = StateFolder::create_unclaimed(root.path(), &mut OsRandom).unwrap();
    let make = |store: &StoreId| {
        NewOwner::make(store, "owner", PASSPHRASE, &mut OsRandom)
            .unwrap()
            .claim
    };
    let other = make(&state.store());
    let mut claims = Vec::new();
    claims.push(("another store", make(&StoreId::random(&mut OsRandom))));
    let spoilt = |spoil: &dyn Fn(&mut ClaimMaterial)| {
        let mut claim = make(&state.store());
        spoil(&mut claim);
        claim
    };
    claims.push((
        "another signer",
        spoilt(&|claim| claim.verifying_key = other.verifying_key),
    ));
    claims.push((
        "another recipient",
        spoilt(&|claim| claim.recipient = other.recipient.clone()),
    ));
    claims.push(("a flipped bit", spoilt(&|claim| claim.statement[50] ^= 1)));
    claims.push(("no statement", spoilt(&|claim| claim.statement.clear())));
    claims.push((
        "another M",
        spoilt(&|claim| claim.metadata_key = MetadataKey::from_bytes([7; 32])),
    ));
    claims.push((
        "a seed to one",
        spoilt(&|claim| claim.sealed_seed = claim.sealed_metadata_key.clone()),
    ));
    claims.push((
        "an M to two",
        spoilt(&|claim| claim.sealed_metadata_key = claim.sealed_seed.clone()),
    ));
    claims.push((
        "a seed to nobody",
        spoilt(&|claim| claim.sealed_seed = b"nothing".to_vec()),
    ));
    for (what, claim) in &claims {
        let refused = state.claim(claim, &mut OsRandom).expect_err(what);
        assert!(
            matches!(refused, Error::BadClaim { .. }),
            "{what}: {refused}"
        );
    }
    assert!(!state.is_claimed());
    assert!(!StateFolder::load(root.path()).unwrap().is_claimed());
}

#[test]
fn what_is_missing_or_foreign_is_said_so() {
    let root = tempfile::tempdir().unwrap();
    let (one, two) = (root.path().join("one"), root.path().join("two"));
    assert!(matches!(
        StateFolder::load(&one),
        Err(Error::NotInitialised { .. })
    ));
    claimed(&one);
    claimed(&two);
    let copy = |name: &str| fs::copy(two.join(name), one.join(name)).unwrap();

    let kept = fs::read(one.join(MACHINE_KEY)).unwrap();
    copy(MACHINE_KEY);
    assert!(matches!(
        StateFolder::load(&one),
        Err(Error::WrongMachineKey { .. })
    ));
    fs::remove_file(one.join(MACHINE_KEY)).unwrap();
    let missing = StateFolder::load(&one).unwrap_err();
    assert!(matches!(missing, Error::MachineKeyMissing { .. }));
    assert!(
        missing.to_string().contains("put it back from a backup"),
        "{missing}"
    );
    assert!(matches!(
        StateFolder::open_or_create(&one, &mut OsRandom),
        Err(Error::MachineKeyMissing { .. })
    ));
    fs::write(one.join(MACHINE_KEY), kept).unwrap();
    StateFolder::load(&one).unwrap();

    // Somebody else's keyring: signed, but not by the pinned root.
    fs::copy(two.join("keyring/a"), one.join("keyring/a")).unwrap();
    fs::copy(two.join("keyring/a"), one.join("keyring/b")).unwrap();
    assert!(matches!(
        StateFolder::load(&one),
        Err(Error::Untrusted { .. })
    ));
    fs::remove_dir_all(one.join("keyring")).unwrap();
    assert!(matches!(
        StateFolder::load(&one),
        Err(Error::Missing { .. })
    ));
}

#[test]
fn one_copy_of_the_keyring_is_enough() {
    let root = tempfile::tempdir().unwrap();
    let (state, _) = claimed(root.path());
    fs::write(root.path().join("keyring/a"), b"torn").unwrap();
    assert_eq!(
        StateFolder::load(root.path())
            .unwrap()
            .keyring_bytes()
            .unwrap(),
        state.keyring_bytes().unwrap()
    );
    fs::write(root.path().join("keyring/b"), b"torn too").unwrap();
    assert!(matches!(
        StateFolder::load(root.path()),
        Err(Error::Damaged { .. })
    ));
}

#[test]
fn a_state_folder_from_a_backup_learns_its_streams_from_a_disk() {
    let root = tempfile::tempdir().unwrap();
    let (folder, disk) = (root.path().join("state"), root.path().join("disk"));
    let (mut state, _) = claimed(&folder);
    let backup = state.keyring_bytes().unwrap();
    let (streams, bytes) = state.stream_ids(&[name("yard")], &mut OsRandom).unwrap();
    write_keyring(&disk, &bytes.unwrap()).unwrap();
    write_keyring(&folder, &backup).unwrap();

    let mut restored = StateFolder::load(&folder).unwrap();
    assert!(restored.streams().unwrap().is_empty());
    assert!(
        restored
            .adopt(&read_keyring(&disk).unwrap().unwrap(), &mut OsRandom)
            .unwrap()
    );
    assert!(
        !restored
            .adopt(&read_keyring(&disk).unwrap().unwrap(), &mut OsRandom)
            .unwrap()
    );
    assert_eq!(
        StateFolder::load(&folder).unwrap().streams().unwrap(),
        streams
    );

    let (foreign, _) = claimed(&root.path().join("foreign"));
    let mut foreign = Keyring::decode(&foreign.keyring_bytes().unwrap()).unwrap();
    foreign.version = 99;
    assert!(matches!(
        restored.adopt(&foreign, &mut OsRandom),
        Err(Error::Untrusted { .. })
    ));
}

#[test]
fn streams_that_two_keyrings_gave_out_apart_are_all_kept() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("state");
    let (mut state, _) = claimed(&folder);
    let backup = state.keyring_bytes().unwrap();
    let (yard, bytes) = state.stream_ids(&[name("yard")], &mut OsRandom).unwrap();
    let on_disk = Keyring::decode(&bytes.unwrap()).unwrap();

    write_keyring(&folder, &backup).unwrap();
    let mut restored = StateFolder::load(&folder).unwrap();
    let names = [name("yard"), name("door")];
    let (again, _) = restored.stream_ids(&names, &mut OsRandom).unwrap();
    assert_ne!(again[0].id, yard[0].id);
    assert!(restored.adopt(&on_disk, &mut OsRandom).unwrap());
    let all = StateFolder::load(&folder).unwrap().streams().unwrap();
    assert_eq!(all, [again.clone(), yard].concat());
    let version = |state: &StateFolder| {
        Keyring::decode(&state.keyring_bytes().unwrap())
            .unwrap()
            .version
    };
    assert!(
        version(&restored) > on_disk.version,
        "it replaces what stands on the disk"
    );
    assert!(!restored.adopt(&on_disk, &mut OsRandom).unwrap());
    let (known, changed) = restored.stream_ids(&names, &mut OsRandom).unwrap();
    assert_eq!(
        (known, changed),
        (again, None),
        "what is being recorded keeps its id"
    );
}

#[test]
fn disks_are_remembered_and_all_files_private() {
    let root = tempfile::tempdir().unwrap();
    let (mut state, _) = claimed(root.path());
    let id = DiskId::random(&mut OsRandom);
    state
        .remember_disk(Path::new("/srv/old"), id, &mut OsRandom)
        .unwrap();
    state
        .remember_disk(Path::new("/srv/footage"), id, &mut OsRandom)
        .unwrap();
    // Where it was before is a bare mount point now.
    let known = ["/srv/old", "/srv/footage"].map(|path| KnownDisk {
        path: path.into(),
        id,
    });
    assert_eq!(StateFolder::load(root.path()).unwrap().disks(), known);
    // Another disk there makes nobody forget the one that was; and what is there again is the last.
    let (footage, second) = (Path::new("/srv/footage"), DiskId::random(&mut OsRandom));
    let third = DiskId::random(&mut OsRandom);
    for (there, kept) in [
        (second, vec![id]),
        (third, vec![id, second]),
        (second, vec![id, third]),
    ] {
        state.remember_disk(footage, there, &mut OsRandom).unwrap();
        let loaded = StateFolder::load(root.path()).unwrap();
        assert_eq!(loaded.disk_at(footage), Some(there));
        assert_eq!(loaded.path_of(there), Some(footage));
        assert!(kept.iter().all(|id| loaded.path_of(*id).is_some()));
    }
    state
        .set_standing(id, Standing::Draining, &mut OsRandom)
        .unwrap();
    let loaded = StateFolder::load(root.path()).unwrap();
    assert_eq!(loaded.standing(id), Standing::Draining);
    let other = DiskId::random(&mut OsRandom);
    assert_eq!(loaded.standing(other), Standing::InUse);
    // Where it was may become another disk.
    state
        .set_standing(id, Standing::Retired, &mut OsRandom)
        .unwrap();
    let loaded = StateFolder::load(root.path()).unwrap();
    assert_eq!(loaded.standing(id), Standing::Retired);
    assert!(loaded.path_of(id).is_none() && loaded.path_of(second).is_some());
    for entry in [MACHINE_KEY, STORE, "keyring/a", "keyring/b"] {
        let mode = fs::metadata(root.path().join(entry))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{entry}");
    }
    assert_eq!(
        fs::metadata(root.path()).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert!(!format!("{state:?}").contains("machine"));
}
