//! Somebody who is signed in to a running box, and asks it what it has.

#![allow(dead_code, clippy::unwrap_used)]

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep_format::passphrase::{self, Params};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::client::Client;
use crate::installation::{Installation, PASSPHRASE, Running, await_condition};

/// What a timeline may span.
const DAYS_US: i64 = 30 * 86_400_000_000;

/// A login session, which outlives the box's restarts.
pub struct Viewer {
    authority: CertificateDer<'static>,
    cookie: String,
}

/// The viewer at a box as it runs now.
pub struct Visit(Client);

impl Viewer {
    /// Signs in.
    pub fn new(installation: &Installation, recorder: &mut Running<'_>) -> Self {
        let address = recorder.address();
        let authority = std::fs::read(installation.state().join("tls/authority.json")).unwrap();
        let authority: Value = serde_json::from_slice(&authority).unwrap();
        let der = BASE64.decode(authority["certificate"].as_str().unwrap());
        let authority = CertificateDer::from(der.unwrap());
        let client = Client::new(address.parse().unwrap(), authority.clone());
        let asked = client.post("/api/v1/sign-in/parameters", &json!({"name": "owner"}));
        let asked = asked.json();
        let number = |key: &str| u32::try_from(asked[key].as_u64().unwrap()).unwrap();
        let params = Params {
            memory_kib: number("memory_kib"),
            passes: number("passes"),
            lanes: number("lanes"),
        };
        let salt = BASE64.decode(asked["salt"].as_str().unwrap()).unwrap();
        let derived = passphrase::derive(PASSPHRASE, &salt.try_into().unwrap(), params).unwrap();
        let auth = BASE64.encode(*derived.auth);
        let answer = client.post("/api/v1/sign-in", &json!({"name": "owner", "auth": auth}));
        assert_eq!(answer.status, 200, "{answer:?}");
        let cookie = answer.cookie();
        Self { authority, cookie }
    }

    /// Waits until the box serves.
    pub fn visit(&self, recorder: &mut Running<'_>) -> Visit {
        let address: SocketAddr = recorder.address().parse().unwrap();
        Visit(Client::new(address, self.authority.clone()).signed_in(&self.cookie))
    }
}

impl Visit {
    pub fn get(&self, path: &str) -> Value {
        let answer = self.0.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// The client, for what is no JSON.
    pub const fn client(&self) -> &Client {
        &self.0
    }

    /// The streams, once all of them are recorded.
    pub fn until_all_record(&self, limit: std::time::Duration) -> Vec<Value> {
        let mut streams = Vec::new();
        await_condition("all cameras are recorded", limit, || {
            streams = self.streams();
            !streams.is_empty() && streams.iter().all(|stream| stream["state"] == "recording")
        });
        streams
    }

    pub fn streams(&self) -> Vec<Value> {
        self.get("/api/v1/streams").as_array().unwrap().clone()
    }

    /// What is durable of a stream.
    pub fn timeline(&self, stream: &str) -> Value {
        let now_us = jiff::Timestamp::now().as_microsecond();
        let (from, to) = (now_us - DAYS_US, now_us + 3_600_000_000);
        self.get(&format!(
            "/api/v1/streams/{stream}/timeline?from={from}&to={to}"
        ))
    }
}
