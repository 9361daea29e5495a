//! Footage of a running box, read over HTTPS. The box hands out ciphertext; it is opened here.

mod client;
mod pin;
mod segment;

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep_format::log::{Ask, Head};
use hearthkeep_format::merkle::Hash;
use hearthkeep_format::{
    Error as FormatError, Identity, Keyring, MetadataKey, OpenKeyring, VerifyingKey, passphrase,
};
use serde::Deserialize;
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use super::damage::Damage;
use super::output::{ExitStatus, Failure, OrFail};
use super::span::rfc3339;
use super::witness;
use crate::clock::{Clock, SystemClock};
use crate::limits::TIMELINE_DAYS_MAX;
use client::Client;
use pin::Fingerprint;
pub use segment::RemoteSegment;

/// What a box tells of at once.
const WINDOW_US: i64 = TIMELINE_DAYS_MAX * 86_400_000_000;
/// How often a box that has just started is asked for its log once more.
const LOG_ASKED_MAX: u32 = 20;
/// And after which time.
const LOG_ASKED_EVERY: Duration = Duration::from_millis(500);
/// How far the box's clock may be ahead of ours.
const AHEAD_US: i64 = 3_600_000_000;

/// Which box.
#[derive(Debug, Clone, clap::Args)]
pub struct BoxArguments {
    /// Read from the box at this address, such as https://192.168.1.5:8443, instead of from disks of this machine
    #[arg(
        long = "box",
        value_name = "URL",
        requires = "fingerprint",
        conflicts_with_all = ["config", "disks", "kit"]
    )]
    pub(super) url: Option<Url>,
    /// SHA-256 of the box's certificate, as its console shows it: no other box is believed
    #[arg(long, value_name = "SHA256", requires = "url")]
    fingerprint: Option<Fingerprint>,
}

/// A box that somebody has signed in to.
pub struct Remote {
    client: Rc<Client>,
    identity: Identity,
    streams: Vec<RemoteStream>,
}

/// A stream, as far as the command line wants to know. Other fields of the answer are left alone.
#[derive(Debug, Clone, Deserialize)]
pub struct RemoteStream {
    pub id: String,
    pub camera: String,
    pub feed: String,
    first_us: Option<i64>,
    last_us: Option<i64>,
}

/// What there is of a stream in a span.
#[derive(Debug, Default, Deserialize)]
pub struct Timeline {
    pub segments: Vec<TimelineSegment>,
    pub gaps: Vec<Gap>,
    pub damaged: Vec<Damage>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct TimelineSegment {
    pub id: String,
    pub start_us: i64,
    pub duration_us: u64,
    pub bytes: u64,
    pub sequence: u64,
    pub recovered: bool,
    pub open: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Gap {
    pub start_us: i64,
    pub end_us: i64,
    pub cause: String,
    pub sentence: String,
    /// Whether it lasts.
    #[serde(default)]
    pub open: bool,
}

#[derive(Deserialize)]
struct Parameters {
    salt: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

#[derive(Deserialize)]
struct SignedIn {
    name: String,
    sealed_identity: String,
}

#[derive(Deserialize)]
struct LogHead {
    key: String,
    checkpoint: String,
}

#[derive(Deserialize)]
struct LogHeads {
    newest: LogHead,
    before: Vec<LogHead>,
}

#[derive(Deserialize)]
struct Proof {
    hashes: Vec<String>,
}

#[derive(Deserialize)]
struct KeyringAnswer {
    keyring: String,
    root: String,
}

impl BoxArguments {
    /// Signs in; `None` where no box was named.
    pub(super) fn sign_in(
        &self,
        account: &str,
        passphrase: impl FnOnce() -> Result<Zeroizing<String>, Failure>,
    ) -> Result<Option<Remote>, Failure> {
        let (Some(url), Some(fingerprint)) = (&self.url, self.fingerprint) else {
            return Ok(None);
        };
        if url.scheme() != "https" || url.host().is_none() {
            let sentence = "--box is an address such as https://192.168.1.5:8443";
            return Err(Failure::new(ExitStatus::Failed, sentence));
        }
        Remote::sign_in(
            Client::new(url.clone(), fingerprint)?,
            account,
            &passphrase()?,
        )
        .map(Some)
    }
}

impl Remote {
    fn sign_in(client: Rc<Client>, account: &str, text: &str) -> Result<Self, Failure> {
        let asked = client.post("/api/v1/sign-in/parameters", &json!({ "name": account }))?;
        let told: Parameters = asked.json()?;
        let salt = base64(&told.salt)?.try_into().map_err(|_| nonsense())?;
        let params = passphrase::Params {
            memory_kib: told.memory_kib,
            passes: told.passes,
            lanes: told.lanes,
        };
        let derived = passphrase::derive(text, &salt, params).or_fail(ExitStatus::Damaged)?;
        let auth = Zeroizing::new(BASE64.encode(derived.auth.as_slice()));
        let body = json!({ "name": account, "auth": *auth });
        let answer = client.post("/api/v1/sign-in", &body)?;
        let signed_in: SignedIn = answer.json()?;
        let client = client.signed_in(&answer)?;
        let sealed = base64(&signed_in.sealed_identity)?;
        let identity = derived
            .open_identity(&sealed, &signed_in.name)
            .or_fail(ExitStatus::Damaged)?;
        let streams = client.get("/api/v1/streams")?;
        Ok(Self {
            client,
            identity,
            streams,
        })
    }

    /// All streams of the box.
    pub fn streams(&self) -> &[RemoteStream] {
        &self.streams
    }

    /// The stream of a camera.
    pub fn stream(&self, camera: &str) -> Result<&RemoteStream, Failure> {
        let found = self.streams.iter().find(|stream| stream.camera == camera);
        let names = || self.streams.iter().map(|stream| stream.camera.as_str());
        found.ok_or_else(|| super::local::no_such_camera(camera, names()))
    }

    /// What opens the footage. The box's word for the root key is compared with the keyring's own signatures; that it is
    /// the right box, its pinned certificate says.
    pub fn keyring(&self) -> Result<OpenKeyring, Failure> {
        let answer: KeyringAnswer = self.client.get("/api/v1/keyring")?;
        let keyring = Keyring::decode(&base64(&answer.keyring)?).or_fail(ExitStatus::Damaged)?;
        let open = keyring.open(&self.identity).map_err(|error| match error {
            FormatError::NoMatchingIdentity => Failure::new(
                ExitStatus::Refused,
                "this account opens nothing of the box's footage",
            ),
            error => Failure::new(ExitStatus::Damaged, format_args!("the keyring: {error}")),
        })?;
        let root: [u8; 32] = base64(&answer.root)?.try_into().map_err(|_| nonsense())?;
        match VerifyingKey::from_bytes(&root).is_ok_and(|root| root == open.root()) {
            true => Ok(open),
            false => Err(Failure::new(
                ExitStatus::Damaged,
                "the box's keyring is signed by another owner than the box says: somebody may have changed it",
            )),
        }
    }

    /// Compares the box's signed log with what this user has seen of it before, and says what is wrong.
    pub fn witness(&self) -> Result<ExitStatus, Failure> {
        let keyring = self.keyring()?;
        let store = keyring.store();
        let shown = match self.logs() {
            Ok(shown) => shown,
            Err(failure) => return Ok(witness::not_shown(&store, &failure)),
        };
        let head = |head: LogHead| Head {
            key: head.key,
            note: head.checkpoint,
        };
        let shown = shown.before.into_iter().chain([shown.newest]);
        let shown: Vec<_> = shown.map(head).collect();
        let copy = |m: &MetadataKey| MetadataKey::from_bytes(*m.as_bytes());
        let keys = |generation| keyring.generation(generation).map(|(_, m)| copy(m));
        Ok(witness::examine(&store, &shown, None, &keys, |ask| {
            self.proof(ask)
        }))
    }

    /// The logs that the box shows. One that has just started opens them first.
    fn logs(&self) -> Result<LogHeads, Failure> {
        let mut asked = 0;
        loop {
            match self.client.get("/api/v1/log/checkpoint") {
                Err(_) if asked < LOG_ASKED_MAX => asked += 1,
                answer => return answer,
            }
            std::thread::sleep(LOG_ASKED_EVERY);
        }
    }

    fn proof(&self, ask: &Ask) -> witness::Answer {
        const LOG: &str = "/api/v1/log";
        let hashes = |path: String| -> Result<Vec<Hash>, Failure> {
            let proof: Proof = self.client.get(&path)?;
            let hash = |text: &String| base64(text)?.try_into().map_err(|_| nonsense());
            proof.hashes.iter().map(hash).collect()
        };
        match ask {
            Ask::Consistency { log, from, to } => {
                let path = format!("{LOG}/consistency?log={log}&from={from}&to={to}");
                Ok((Vec::new(), hashes(path)?))
            }
            Ask::First { log, size } => {
                let path = format!("{LOG}/entries?log={log}&from=0&to=1");
                let first = self.client.bytes(&path)?;
                let path = format!("{LOG}/inclusion?log={log}&index=0&size={size}");
                Ok((first, hashes(path)?))
            }
            Ask::Done(_) => Ok((Vec::new(), Vec::new())),
        }
    }

    /// What there is of a stream in a span; asked for in pieces that the box answers.
    pub fn timeline(&self, stream: &RemoteStream, span: &Range<i64>) -> Result<Timeline, Failure> {
        let mut all = Timeline::default();
        // What is being recorded is not in the stream's bounds yet; a new camera's first segment has none.
        let now_us = SystemClock::new().wall_us();
        let last_us = stream.last_us.unwrap_or(now_us).max(now_us);
        let end_us = last_us.saturating_add(AHEAD_US).min(span.end);
        let first_us = stream.first_us.unwrap_or(now_us - WINDOW_US / 2);
        let mut from = first_us.max(span.start);
        while from < end_us {
            let to = from.saturating_add(WINDOW_US).min(end_us);
            let path = format!("/api/v1/streams/{}/timeline?from={from}&to={to}", stream.id);
            let piece: Timeline = self.client.get(&path)?;
            all.segments.extend(piece.segments);
            all.gaps.extend(piece.gaps);
            all.damaged.extend(piece.damaged);
            from = to;
        }
        let order = |one: &TimelineSegment| (one.start_us, one.sequence, one.id.clone());
        all.segments.sort_by_cached_key(order);
        // One that two pieces share was told twice.
        all.segments.dedup_by(|one, other| one.id == other.id);
        Ok(all)
    }

    /// The segments of a stream that may lie in a span, and what it means for the exit status that some cannot be read now.
    pub fn segments(
        &self,
        stream: &RemoteStream,
        span: &Range<i64>,
    ) -> Result<(Vec<RemoteSegment>, ExitStatus), Failure> {
        let timeline = self.timeline(stream, span)?;
        let away = tell_away(&timeline, span);
        let remote = |segment: &TimelineSegment| {
            RemoteSegment::new(Rc::clone(&self.client), &stream.id, segment).ok_or_else(nonsense)
        };
        let segments = timeline.segments.iter().map(remote);
        Ok((segments.collect::<Result<_, _>>()?, away))
    }
}

/// Says what of a span is on disks that the box does not have now. Returns what that means for a command that writes footage out.
pub fn tell_away(timeline: &Timeline, span: &Range<i64>) -> ExitStatus {
    let away = timeline.gaps.iter().filter(|gap| gap.cause == "away");
    let away = away.filter(|gap| gap.start_us < span.end && gap.end_us > span.start);
    let mut status = ExitStatus::Done;
    for gap in away {
        let (from, to) = (rfc3339(gap.start_us), rfc3339(gap.end_us));
        eprintln!("left out: {from} to {to}: {}", gap.sentence);
        status = ExitStatus::Failed;
    }
    status
}

impl Drop for Remote {
    fn drop(&mut self) {
        // A session that stays behind ends by itself.
        let _ = self.client.post("/api/v1/sign-out", &json!({}));
    }
}

fn base64(text: &str) -> Result<Vec<u8>, Failure> {
    BASE64.decode(text).map_err(|_| nonsense())
}

fn nonsense() -> Failure {
    Failure::new(
        ExitStatus::Failed,
        "the box's answer makes no sense; is it of this version?",
    )
}
