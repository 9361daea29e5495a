//! What the recorder itself writes, as seeds for its fuzz targets.

mod on_disks;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep::clock::SimClock;
use hearthkeep::people::{NewAccount, People};
use hearthkeep::pool::look_at_homes;
use hearthkeep::state_file::StateKey;
use hearthkeep::store::catalog::{Batch, Catalog, Database, Entry, Memory};
use hearthkeep::store::check::look_at_state;
use hearthkeep::web::tls::{Tls, TlsSettings};
use hearthkeep_format::log::{AuditKind, Checkpoint, Hold, LogKey, OPEN_END_US, Record, Stamped};
use hearthkeep_format::passphrase::Params;
use hearthkeep_format::segment::{Gap, GapCause};
use hearthkeep_format::{DiskId, EpochId, HoldId, Identity, Kind, SegmentId, StreamId};
use serde_json::{Value, json};

pub use on_disks::{log_files, log_starts, logs_deleted, logs_seen, repaired};

use crate::targets::{STATE_FILES, STORE, records_of};

const NOW_US: i64 = 1_790_000_000_000_000;

const SUMMARY: &str = "log.summary.sealed";

/// Catalogs, as their databases have them.
pub fn catalogs() -> Vec<(&'static str, Vec<u8>)> {
    let records = catalog();
    let whole = records_of(&records);
    // Summaries that together have more bytes than a number holds.
    let mut batch = Batch::default();
    let told = records.scan(b"s", &mut |key, summary| {
        let mut summary = summary.to_vec();
        summary[20..28].fill(0xFF);
        batch.0.push((key.to_vec(), Some(summary)));
        Ok(())
    });
    told.unwrap();
    assert!(batch.0.len() > 2);
    records.apply(batch).unwrap();
    vec![
        ("two-streams", whole),
        ("beyond-numbers", records_of(&records)),
    ]
}

/// Two streams on two disks.
fn catalog() -> Memory {
    let records = Memory::default();
    let catalog = Catalog::open_from(&records, &STORE).unwrap().catalog;
    for disk in [1, 2] {
        catalog
            .disk_number(&DiskId::from_bytes([disk; 16]))
            .unwrap();
    }
    let entries: Vec<_> = (0..24).map(entry).collect();
    catalog.insert(&entries).unwrap();
    records
}

fn entry(n: u8) -> Entry {
    Entry {
        stream: StreamId::from_bytes([n % 2; 16]),
        kind: Kind::Media,
        epoch: EpochId::from_bytes([n / 8; 16]),
        segment: SegmentId::from_bytes([n; 16]),
        disk: u16::from(n / 12),
        start_us: NOW_US + i64::from(n) * 60_000_000,
        duration_us: 60_000_000,
        bytes: 1000 + u32::from(n),
        sequence: u64::from(n) * 5,
        clock_trusted: n != 3,
        recovered: n == 5,
        tombstone: n == 7,
        torn: n == 9,
        gap: n.is_multiple_of(4).then_some(Gap {
            cause: GapCause::CameraLost,
            length_us: (n != 8).then_some(u64::from(n)),
        }),
    }
}

/// Each file of a state folder, as the target `state_files` reads it. All of them can be read, but the summary that tells of more segments
/// than there can be.
pub fn state_files() -> Vec<(&'static str, Vec<u8>)> {
    let contents = STATE_FILES.map(|(name, _)| match name {
        "people.sealed" => people(),
        name if name.starts_with("tls/") => certificate(name),
        name => serde_json::to_vec(&content(name)).unwrap(),
    });
    let folder = tempfile::tempdir().unwrap();
    let key = StateKey::new([1; 32].into());
    for ((name, behind), content) in STATE_FILES.iter().zip(&contents) {
        let bytes = behind.put(name, content, &key);
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    assert_eq!(look_at_state(folder.path(), &key, &STORE), []);
    assert_eq!(look_at_homes(folder.path()), None);
    let numbered = (0..).zip(STATE_FILES).zip(contents);
    let mut seeds: Vec<_> = numbered
        .map(|((number, (name, _)), content)| {
            let name = name.strip_prefix("tls/").unwrap_or(name);
            (name, [vec![number], content].concat())
        })
        .collect();
    let of = STATE_FILES.iter().position(|(name, _)| *name == SUMMARY);
    let mut beyond = summary();
    beyond["places"] = json!({"01".repeat(16): [[0, u64::MAX, 1]]});
    let beyond = serde_json::to_vec(&beyond).unwrap();
    let number = u8::try_from(of.unwrap()).unwrap();
    seeds.push(("log.summary.beyond", [vec![number], beyond].concat()));
    seeds
}

fn content(name: &str) -> Value {
    let id = |byte: u8| format!("{byte:02x}").repeat(16);
    match name {
        "clock.anchors" => json!({
            "is_settled": true,
            "anchors": [[id(1), 5, NOW_US, 1], [id(1), 9_000_000, NOW_US + 60_000_000, 2]],
        }),
        "scrub.json" => {
            let path = format!("footage/{}/{}/{}.hks", id(1), id(2), id(3));
            let found = json!({"path": path, "what": "whole, damaged at head", "span_us": [1, 2]});
            let at = json!({"stream": id(1), "after": [4, id(2)], "last": 9});
            json!({"version": 1, "disks": {id(3): {
                "begun_us": NOW_US, "finished_us": null, "is_over": false, "read_bytes": 9, "at": at, "found": [found], "more": 0,
            }}})
        }
        "disks.json" => {
            let home = json!({"disk": id(3), "path": "/srv/footage", "max_bytes": 5_000_000_000_u64, "cold": true});
            json!({"version": 1, "disks": [home]})
        }
        "log.sealed" => {
            json!({"version": 1, "seed": BASE64.encode([0x60; 32]), "checkpoint": checkpoint()})
        }
        "log.holds.sealed" => {
            let hold =
                json!({"record": BASE64.encode(hold()), "is_of_boot": true, "shifts_us": [7]});
            json!({"version": 1, "boot": id(1), "offsets_us": [NOW_US, 5], "holds": [hold]})
        }
        "log.deleted.sealed" => {
            json!([{"stream": id(1), "cause": 4, "segments": [[id(2), 7], [id(3), 8]]}])
        }
        SUMMARY => summary(),
        "log.audits.sealed" => json!([BASE64.encode(audit())]),
        "store.sealed" => json!({
            "version": 1, "store": STORE.to_string(), "root": null, "generation": 1,
            "metadata_keys": {"1": BASE64.encode([0x30; 32])},
            "disks": [{"path": "/srv/disk", "disk": id(1)}],
            "standings": [[id(1), "draining"]],
        }),
        "streams" => json!([{"id": id(1), "camera": "front door", "feed": "main"}]),
        other => panic!("{other} has no seed"),
    }
}

/// Of two logs, with something of each kind.
fn summary() -> Value {
    let id = |byte: u8| format!("{byte:02x}").repeat(16);
    let root = BASE64.encode([7; 32]);
    let held = json!({"record": BASE64.encode(hold()), "is_of_boot": true, "shifts_us": [7]});
    json!({
        "version": 1,
        "logs": [[id(5), 9, root], [id(6), 300, root]],
        "holds": {"version": 1, "boot": id(1), "offsets_us": [NOW_US, 5], "holds": [held]},
        "ended": [id(9)],
        "anchors": [[id(1), 5, NOW_US, 1]],
        "gaps": {id(1): [[NOW_US, NOW_US + 5, 2], [NOW_US + 9, OPEN_END_US, 1]]},
        "disks": [id(3), id(4)],
        "places": {id(1): [[0, 70, 1], [70, 3, 2], [90, 1, 255]], id(2): [[7, 1, 2]]},
    })
}

fn checkpoint() -> String {
    let signer = Identity::from_seed([0x60; 32]).signing_key();
    let key = LogKey {
        store: STORE,
        key: signer.verifying_key(),
    };
    let checkpoint = Checkpoint {
        store: STORE,
        log: key.log(),
        size: 3,
        root: [7; 32],
    };
    checkpoint.sign(&signer).unwrap()
}

fn hold() -> Vec<u8> {
    encoded(Record::Hold(Hold {
        id: HoldId::from_bytes([2; 16]),
        streams: vec![StreamId::from_bytes([1; 16])],
        from_us: NOW_US,
        to_us: NOW_US + 1,
        until_us: OPEN_END_US,
        reason: "the fence".to_owned(),
        who: "robin".to_owned(),
    }))
}

fn audit() -> Vec<u8> {
    encoded(Record::Audit {
        kind: AuditKind::Claimed,
        who: "robin".to_owned(),
        detail: "in the page".to_owned(),
    })
}

fn encoded(record: Record) -> Vec<u8> {
    let stamped = Stamped {
        wall_us: 0,
        clock_trusted: false,
        record,
    };
    let mut record = Vec::new();
    stamped.encode(&mut record).unwrap();
    record
}

/// An account that has signed in once, and one wrong passphrase.
fn people() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let key = StateKey::new([1; 32].into());
    let clock = Arc::new(SimClock::new(NOW_US));
    let people = People::open(folder.path(), key.clone(), [2; 32].into(), clock).unwrap();
    let owner = NewAccount {
        name: "owner".to_owned(),
        salt: [3; 16],
        params: Params::default(),
        auth: [0xA5; 32].into(),
        sealed_identity: vec![4; 72],
    };
    people.set_owner(&owner).unwrap();
    let address = std::net::IpAddr::from([10, 0, 0, 1]);
    people.sign_in(address, "owner", &[0xA5; 32]).unwrap();
    people.sign_in(address, "owner", &[0; 32]).unwrap_err();
    drop(people);
    let sealed = std::fs::read(folder.path().join("people.sealed")).unwrap();
    key.open("people.sealed", &sealed).unwrap().to_vec()
}

/// An authority and a leaf, as a start makes them.
fn certificate(name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(SimClock::new(NOW_US));
    Tls::open(folder.path(), TlsSettings::default(), clock).unwrap();
    // The one from before is another one of the same kind.
    let name = name.replace("-before", "");
    std::fs::read(folder.path().join(name)).unwrap()
}
