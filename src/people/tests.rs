use std::os::unix::fs::PermissionsExt;

use hearthkeep_format::passphrase::Params;

use super::*;
use crate::clock::SimClock;

const NOW_US: i64 = 1_800_000_000_000_000;
const AUTH: [u8; 32] = [0xA5; 32];

struct House {
    folder: tempfile::TempDir,
    clock: Arc<SimClock>,
}

impl House {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(SimClock::new(NOW_US)),
        }
    }

    fn open(&self) -> People {
        self.open_with(1).unwrap()
    }

    fn open_with(&self, key: u8) -> Result<People, Error> {
        let key = StateKey::new(Zeroizing::new([key; 32]));
        People::open(
            self.folder.path(),
            key,
            Zeroizing::new([2; 32]),
            self.clock.clone(),
        )
    }
}

fn owner() -> NewAccount {
    NewAccount {
        name: "owner".to_owned(),
        salt: [3; 16],
        params: Params::default(),
        auth: Zeroizing::new(AUTH),
        sealed_identity: vec![4; 72],
    }
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

#[test]
fn the_right_auth_lets_in_and_nothing_else_does() {
    let house = House::new();
    let people = house.open();
    assert!(!people.has_accounts());
    people.set_owner(&owner()).unwrap();
    let signed_in = people.sign_in(address(1), "owner", &AUTH).unwrap();
    assert_eq!(signed_in.sealed_identity, owner().sealed_identity);
    assert_eq!(signed_in.parameters, people.parameters("owner"));
    assert_eq!(people.session(&signed_in.token).unwrap().name, "owner");
    for (name, auth) in [
        ("owner", [0; 32]),
        ("Owner", AUTH),
        ("", AUTH),
        ("", [0; 32]),
    ] {
        let refused = people.sign_in(address(1), name, &auth).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the name or the passphrase is wrong",
            "{name}"
        );
    }
}

#[test]
fn an_unknown_name_looks_like_a_known_one() {
    let house = House::new();
    let people = house.open();
    people.set_owner(&owner()).unwrap();
    let unknown = people.parameters("nobody");
    assert_eq!(
        unknown,
        house.open().parameters("nobody"),
        "the same after a restart"
    );
    assert_ne!(unknown.salt, people.parameters("somebody").salt);
    assert_eq!(unknown.params, people.parameters("owner").params);
    for name in ["owner", "nobody"] {
        for _ in 0..5 {
            let refused = people
                .sign_in(address(name.len() as u8), name, &[0; 32])
                .unwrap_err();
            assert!(matches!(refused, Error::WrongNameOrPassphrase));
        }
        let refused = people.sign_in(address(100), name, &[0; 32]).unwrap_err();
        assert!(
            matches!(refused, Error::Throttled { wait_s: 60 }),
            "{name}: {refused}"
        );
    }
}

#[test]
fn the_throttle_and_sessions_survive_a_restart() {
    let house = House::new();
    let token = {
        let people = house.open();
        people.set_owner(&owner()).unwrap();
        let token = people.sign_in(address(2), "owner", &AUTH).unwrap().token;
        for _ in 0..5 {
            people.sign_in(address(1), "owner", &[0; 32]).unwrap_err();
        }
        token
    };
    let people = house.open();
    let refused = people.sign_in(address(3), "owner", &AUTH).unwrap_err();
    assert!(
        matches!(refused, Error::Throttled { .. }),
        "the right passphrase is no way around it"
    );
    assert!(people.session(&token).is_some());
    house.clock.advance_us(60_000_000);
    people.sign_in(address(3), "owner", &AUTH).unwrap();

    people.end_session(&token).unwrap();
    assert!(people.session(&token).is_none());
    assert!(house.open().session(&token).is_none());
}

#[test]
fn a_clock_that_is_ahead_for_a_while_signs_nobody_out() {
    let house = House::new();
    let people = house.open();
    people.set_owner(&owner()).unwrap();
    let token = people.begin_session("owner");
    house.clock.advance_us(3_600_000_000);
    people.tidy();
    house.clock.set_wall_us(NOW_US + 15 * 365 * 86_400_000_000);
    let an_hour_passes = |people: &People| {
        for _ in 0..59 {
            assert!(people.session(&token).is_some());
            people.tidy();
            house.clock.advance_us(60_000_000);
        }
    };
    an_hour_passes(&people);
    an_hour_passes(&house.open());
    house.clock.set_wall_us(NOW_US);
    let people = house.open();
    assert!(people.session(&token).is_some());

    house.clock.set_trusted(false);
    house.clock.set_wall_us(NOW_US + 15 * 365 * 86_400_000_000);
    for _ in 0..100 {
        house.clock.advance_us(3_600_000_000);
        assert!(people.session(&token).is_some());
        people.tidy();
    }
    house.clock.set_trusted(true);
    people.tidy();
    assert!(people.session(&token).is_some());
    house.clock.advance_us(3_600_000_000);
    assert!(people.session(&token).is_none(), "a time that is sure");
}

#[test]
fn claim_attempts_are_throttled() {
    let house = House::new();
    let people = house.open();
    (1..=5).for_each(|i| people.count_claim_attempt(address(i)).unwrap());
    assert!(people.count_claim_attempt(address(6)).is_err());
    assert!(house.open().count_claim_attempt(address(6)).is_err());
}

#[test]
fn a_new_owner_replaces_whom_a_claim_cut_short_left() {
    let house = House::new();
    let people = house.open();
    people
        .set_owner(&NewAccount {
            name: "ghost".to_owned(),
            ..owner()
        })
        .unwrap();
    let ghost = people.begin_session("ghost");
    people.set_owner(&owner()).unwrap();
    assert!(people.session(&ghost).is_none());
    assert!(people.sign_in(address(1), "ghost", &AUTH).is_err());
}

#[test]
fn a_replaced_account_has_a_new_passphrase_and_no_sessions() {
    let house = House::new();
    let people = house.open();
    people.set_owner(&owner()).unwrap();
    let token = people.begin_session("owner");
    let before = people.keep_before().unwrap();
    let kept = std::fs::read(&before).unwrap();
    let renewed = NewAccount {
        auth: Zeroizing::new([0x5A; 32]),
        sealed_identity: vec![5; 72],
        ..owner()
    };
    people.replace_account(&renewed).unwrap();
    for people in [&people, &house.open()] {
        assert!(people.session(&token).is_none());
        assert!(people.sign_in(address(1), "owner", &AUTH).is_err());
        let signed_in = people.sign_in(address(1), "owner", &renewed.auth).unwrap();
        assert_eq!(signed_in.sealed_identity, renewed.sealed_identity);
    }
    // A second time nothing of the first is lost: only that one can sign.
    assert_ne!(people.keep_before().unwrap(), before);
    assert_eq!(std::fs::read(&before).unwrap(), kept);
    let nobody = NewAccount {
        name: "nobody".to_owned(),
        ..owner()
    };
    assert!(people.replace_account(&nobody).is_err());
    // And back.
    std::fs::rename(before, house.folder.path().join(FILE)).unwrap();
    house.clock.advance_us(60_000_000);
    let back = house.open().sign_in(address(2), "owner", &AUTH).unwrap();
    assert_eq!(back.sealed_identity, owner().sealed_identity);
}

#[test]
fn what_makes_no_account_is_refused() {
    let house = House::new();
    let people = house.open();
    let weak = Params {
        memory_kib: 1024,
        ..Params::default()
    };
    let accounts = [
        NewAccount {
            name: String::new(),
            ..owner()
        },
        NewAccount {
            name: " owner".to_owned(),
            ..owner()
        },
        NewAccount {
            name: "own\ner".to_owned(),
            ..owner()
        },
        NewAccount {
            name: "o".repeat(65),
            ..owner()
        },
        NewAccount {
            params: weak,
            ..owner()
        },
        NewAccount {
            sealed_identity: vec![0; 71],
            ..owner()
        },
    ];
    for account in accounts {
        assert!(
            matches!(people.set_owner(&account), Err(Error::BadAccount { .. })),
            "{account:?}"
        );
    }
    assert!(!people.has_accounts());
}

#[test]
fn the_file_is_private_sealed_and_bound_to_its_box() {
    let house = House::new();
    house.open().set_owner(&owner()).unwrap();
    let path = house.folder.path().join(FILE);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(5).any(|window| window == b"owner"));
    assert!(matches!(
        house.open_with(9),
        Err(Error::WrongMachineKey { .. })
    ));
}

#[test]
fn at_leisure_means_later_not_never() {
    let house = House::new();
    let people = house.open();
    house.clock.advance_us(3_600_000_000);
    let token = people.begin_session("owner");
    let saved = || std::fs::read(house.folder.path().join(FILE)).unwrap();
    let before = saved();
    people.tidy();
    assert_eq!(saved(), before, "nothing to tell");
    house.clock.advance_us(3_700_000_000);
    people.session(&token).unwrap();
    people.tidy();
    assert_ne!(saved(), before);
}
