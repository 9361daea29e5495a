//! A box for a test: its folder, its time, and a recorder that only pretends.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hearthkeep::clock::{Clock, SimClock, SystemClock};
use hearthkeep::keys::{NewOwner, StateFolder};
use hearthkeep::people::People;
use hearthkeep::pool::{Desk, Pool};
use hearthkeep::random::OsRandom;
use hearthkeep::store::NewHold;
use hearthkeep::store::log::{LogFiles, Published};
use hearthkeep::web::footage::*;
use hearthkeep::web::tls::{Tls, TlsSettings};
use hearthkeep::web::{Parts, Running, start};
use hearthkeep_format::{EpochId, HoldId, LogId, SegmentId, StoreId, StreamId};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::client::Client;

pub const STREAM: StreamId = StreamId::from_bytes([0x51; 16]);
pub const SEGMENT: SegmentId = SegmentId::from_bytes([0x52; 16]);
pub const PASSPHRASE: &str = "a quiet lighthouse at noon";

/// One stream, one segment of bytes that say where they are.
pub struct FakeFootage {
    pub segment: Vec<u8>,
    pub live: broadcast::Sender<Bytes>,
    pub open: Mutex<bool>,
    pub claimed: AtomicUsize,
    pub holds: Mutex<Vec<Hold>>,
}

struct InMemory(Vec<u8>);

impl ReadAt for InMemory {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let from = self.0.get(offset as usize..).unwrap_or_default();
        let length = from.len().min(buffer.len());
        buffer[..length].copy_from_slice(&from[..length]);
        Ok(length)
    }
}

impl Footage for FakeFootage {
    fn streams(&self) -> Vec<StreamStatus> {
        vec![StreamStatus {
            id: STREAM,
            camera: "<img src=x onerror=alert(1)>".to_owned(),
            feed: "main".to_owned(),
            state: StreamState::Recording,
            codec: Some("avc1.640028".to_owned()),
            width: Some(1920),
            height: Some(1080),
            audio: true,
            since_us: Some(1),
            bytes_stored: self.segment.len() as u64,
            first_us: Some(1),
            last_us: Some(2),
            gap: None,
            error: None,
        }]
    }

    fn timeline(
        &self,
        stream: StreamId,
        from_us: i64,
        to_us: i64,
    ) -> Result<Option<Timeline>, FootageError> {
        if from_us == 13 {
            return Err("the disk is gone: /srv/secret-path".into());
        }
        let gap = TimelineGap {
            start_us: from_us,
            end_us: to_us,
            cause: "start".to_owned(),
            sentence: String::new(),
            open: false,
        };
        Ok((stream == STREAM).then(|| Timeline {
            segments: Vec::new(),
            gaps: vec![gap],
            damaged: Vec::new(),
            next: Some(TimelineSegment {
                id: SEGMENT,
                epoch: EpochId::from_bytes([0x53; 16]),
                start_us: to_us + 9 * 86_400_000_000,
                duration_us: 60_000_000,
                bytes: self.segment.len() as u64,
                sequence: 1,
                recovered: false,
                open: false,
            }),
        }))
    }

    fn segment(
        &self,
        stream: StreamId,
        segment: SegmentId,
    ) -> Result<Option<OpenSegment>, FootageError> {
        let found = || OpenSegment {
            bytes: Arc::new(InMemory(self.segment.clone())),
            length: self.segment.len() as u64,
            open: *self.open.lock().unwrap(),
        };
        Ok((stream == STREAM && segment == SEGMENT).then(found))
    }

    fn index(
        &self,
        stream: StreamId,
        segment: SegmentId,
    ) -> Result<Option<SegmentIndex>, FootageError> {
        let chunk = ChunkPlace {
            k: 1,
            offset: 700,
            bytes: 300,
            start_us: 0,
            duration_us: 500_000,
            key: true,
        };
        let index = SegmentIndex {
            head_bytes: 700,
            chunks: vec![chunk],
            open: false,
        };
        Ok((stream == STREAM && segment == SEGMENT).then_some(index))
    }

    fn subscribe(&self, stream: StreamId) -> Option<LiveFeed> {
        let backlog = vec![
            Bytes::from_static(b"\x01head"),
            Bytes::from_static(b"\x02first"),
        ];
        (stream == STREAM).then(|| LiveFeed {
            backlog,
            messages: self.live.subscribe(),
        })
    }

    fn logs(&self) -> Vec<Published> {
        Vec::new()
    }

    fn open_log(&self, _: Option<LogId>, _: u64) -> Option<LogFiles> {
        None
    }

    fn holds(&self) -> hearthkeep::store::Result<Vec<Hold>> {
        Ok(self.holds.lock().unwrap().clone())
    }

    fn hold(&self, new: NewHold) -> hearthkeep::store::Result<Hold> {
        let mut holds = self.holds.lock().unwrap();
        if new.reason.is_empty() {
            return Err(hearthkeep::store::Error::Hold("a hold needs a reason"));
        }
        let hold = Hold {
            id: HoldId::from_bytes([holds.len() as u8 + 1; 16]).to_string(),
            streams: new.streams.iter().map(StreamId::to_string).collect(),
            from_us: new.from_us,
            to_us: new.to_us,
            until_us: new.until_us,
            reason: new.reason,
            who: new.who,
            written: true,
        };
        holds.push(hold.clone());
        Ok(hold)
    }

    fn end_hold(&self, hold: &HoldId, _: &str) -> hearthkeep::store::Result<bool> {
        let mut holds = self.holds.lock().unwrap();
        let at = holds.iter().position(|known| known.id == hold.to_string());
        let ended = holds.remove(at.ok_or(hearthkeep::store::Error::NoSuchHold)?);
        // What was said to be for ever cannot be written to be over.
        Ok(ended.reason != "for ever")
    }

    fn status(&self) -> RecorderStatus {
        RecorderStatus::default()
    }

    fn measures(&self) -> Measures {
        let mut status = self.streams().remove(0);
        status.gap = Some(OpenGap {
            since_us: Some(1),
            cause: "camera-lost".to_owned(),
            sentence: String::new(),
        });
        let stream = StreamMeasures {
            status,
            gap_s: [("camera-lost".to_owned(), 12.5)].into(),
            gap_open_s: Some(2.5),
            durable_age_s: Some(3.25),
            queued_bytes: 4_096,
            packets_lost: 7,
            damaged_s: 2.5,
            reconnects: 1,
        };
        let disk = DiskMeasures {
            path: "/srv/a \"disk\"".to_owned(),
            failed: true,
            full: false,
            size_bytes: Some(1 << 40),
            free_bytes: None,
            used_bytes: 1_000_000,
            queued_bytes: 0,
            fsync_p99_s: Some(0.125),
            held_bytes: 5_000,
            full_in_days: Some(1.5),
            scrub: Some(ScrubMeasures {
                read_bytes: 7_000,
                damaged: 3,
                finished_s: None,
            }),
            write_errors: 3,
            sync_errors: 1,
            log_behind: true,
        };
        Measures {
            streams: vec![stream],
            disks: vec![disk],
            forecast: vec![CameraForecast {
                camera: "yard".to_owned(),
                bytes_per_day: Some(1_000),
                keep_days: Some(10),
                days: Some(2.5),
                trouble: None,
            }],
            clock_trusted: true,
            strange_files: 0,
            catalog_failed: true,
            deleted: [("age", (4, 4_000))].into(),
            holds: 2,
        }
    }

    fn claimed(&self) {
        self.claimed.fetch_add(1, Ordering::SeqCst);
    }
}

pub struct House {
    pub folder: tempfile::TempDir,
    pub clock: Arc<SimClock>,
    pub footage: Arc<FakeFootage>,
    pub client: Client,
    pub tls: Arc<Tls>,
    pub pool: Arc<Pool>,
    running: Option<Running>,
}

impl House {
    /// A new box, not claimed.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimClock::new(SystemClock::new().wall_us()));
        let footage = Arc::new(FakeFootage {
            segment: (0..1_000_000u32).map(|i| (i / 7) as u8).collect(),
            live: broadcast::channel(16).0,
            open: Mutex::new(false),
            claimed: AtomicUsize::new(0),
            holds: Mutex::default(),
        });
        let (running, tls, pool) = run(folder.path(), clock.clone(), footage.clone());
        let client = Client::new(running.address(), tls.authority().unwrap());
        Self {
            folder,
            clock,
            footage,
            client,
            tls,
            pool,
            running: Some(running),
        }
    }

    /// A box with an owner, and a client that is signed in.
    pub fn claimed() -> (Self, Client, HashMap<String, String>) {
        let house = Self::new();
        let claim = house.claim_body("owner");
        let answer = house.client.post("/api/v1/claim", &claim);
        assert_eq!(answer.status, 201, "{answer:?}");
        let client = house.client.signed_in(&answer.cookie());
        let kept =
            ["name", "auth"].map(|key| (key.to_owned(), claim[key].as_str().unwrap().to_owned()));
        (house, client, kept.into())
    }

    pub fn restart(&mut self) {
        self.running.take().unwrap().stop();
        let (running, tls, pool) =
            run(self.folder.path(), self.clock.clone(), self.footage.clone());
        self.client = Client::new(running.address(), tls.authority().unwrap());
        (self.running, self.tls, self.pool) = (Some(running), tls, pool);
    }

    pub fn code(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("claim-code"))
            .unwrap()
            .trim()
            .to_owned()
    }

    pub fn store(&self) -> StoreId {
        let state = self.client.get("/api/v1/state").json();
        StoreId::from_hex(state["store"].as_str().unwrap()).unwrap()
    }

    /// What a browser sends to claim.
    pub fn claim_body(&self, name: &str) -> Value {
        let owner = NewOwner::make(&self.store(), name, PASSPHRASE, &mut OsRandom).unwrap();
        json!({
            "code": self.code(),
            "name": name,
            "salt": BASE64.encode(owner.salt),
            "memory_kib": owner.params.memory_kib,
            "passes": owner.params.passes,
            "lanes": owner.params.lanes,
            "auth": BASE64.encode(*owner.auth),
            "sealed_identity": BASE64.encode(&owner.sealed_identity),
            "recipient": owner.claim.recipient.to_text(),
            "verifying_key": BASE64.encode(owner.claim.verifying_key.as_bytes()),
            "statement": BASE64.encode(&owner.claim.statement),
            "sealed_seed": BASE64.encode(&owner.claim.sealed_seed),
            "sealed_metadata_key": BASE64.encode(&owner.claim.sealed_metadata_key),
            "metadata_key": BASE64.encode(owner.claim.metadata_key.as_bytes()),
        })
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

fn run(
    folder: &Path,
    clock: Arc<SimClock>,
    footage: Arc<FakeFootage>,
) -> (Running, Arc<Tls>, Arc<Pool>) {
    let keys = StateFolder::open_or_create(folder, &mut OsRandom).unwrap();
    let people = People::open(folder, keys.state_key(), keys.server_key(), clock.clone()).unwrap();
    let tls = Arc::new(Tls::open(folder, TlsSettings::default(), clock.clone()).unwrap());
    let keys = Arc::new(Mutex::new(keys));
    let pool = Arc::new(Pool::new(Arc::clone(&keys)));
    let parts = Parts {
        listen: "127.0.0.1:0".parse().unwrap(),
        keys,
        people: Arc::new(people),
        tls: tls.clone(),
        footage,
        disks: Some(Desk::new(Arc::clone(&pool), folder.join("hearthkeep.toml"))),
        clock,
    };
    (start(parts).unwrap(), tls, pool)
}
