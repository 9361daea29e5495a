//! Asking a box over HTTPS, one request after another.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use awc::http::{Method, StatusCode, header};
use awc::{Client as Http, Connector};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use url::Url;

use super::pin::{Fingerprint, Pinned, Refusal};
use crate::cli::output::{ExitStatus, Failure, OrFail};

/// From the first packet until TLS stands.
const CONNECT_S_MAX: u64 = 10;
/// For a whole answer: Argon2 on a small box, or a piece of a segment over a slow network.
const ANSWER_S_MAX: u64 = 60;
/// The longest answer: a keyring in Base64.
const ANSWER_BYTES_MAX: usize = 96 << 20;

/// A box, and the session with it.
pub struct Client {
    base: Url,
    http: Http,
    pinned: Arc<Pinned>,
    runtime: Runtime,
    tasks: LocalSet,
    cookie: Option<String>,
}

/// What a box answers.
pub struct Answer {
    pub status: StatusCode,
    /// All of a segment's bytes, where this is a range of them.
    pub whole_bytes: Option<u64>,
    pub body: Bytes,
    cookie: Option<String>,
}

impl Client {
    pub fn new(base: Url, fingerprint: Fingerprint) -> Result<Rc<Self>, Failure> {
        let pinned = Pinned::new(fingerprint);
        let config = pinned.client_config().or_fail(ExitStatus::Failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.or_fail(ExitStatus::Failed)?;
        let tasks = LocalSet::new();
        let http = tasks.block_on(&runtime, async {
            let limit = Duration::from_secs(CONNECT_S_MAX);
            let connector = Connector::new()
                .rustls_0_23(Arc::new(config))
                .timeout(limit);
            let client = Http::builder().connector(connector).disable_redirects();
            client.timeout(Duration::from_secs(ANSWER_S_MAX)).finish()
        });
        Ok(Rc::new(Self {
            base,
            http,
            pinned,
            runtime,
            tasks,
            cookie: None,
        }))
    }

    /// The same box, with the session that an answer began.
    pub fn signed_in(self: Rc<Self>, answer: &Answer) -> Result<Rc<Self>, Failure> {
        let mut client = Rc::try_unwrap(self)
            .map_err(|_| Failure::new(ExitStatus::Failed, "this box is asked by somebody else"))?;
        client.cookie.clone_from(&answer.cookie);
        Ok(Rc::new(client))
    }

    /// An answer that is JSON.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.asked(Method::GET, path, None, None)?.json()
    }

    /// An answer that is bytes.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        Ok(self.asked(Method::GET, path, None, None)?.body.to_vec())
    }

    /// Sends JSON.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        self.asked(Method::POST, path, Some(body), None)
    }

    /// Bytes `from..to` of what is at `path`.
    pub fn range(&self, path: &str, from: u64, to: u64) -> Result<Answer, Failure> {
        let range = format!("bytes={from}-{}", to - 1);
        self.asked(Method::GET, path, None, Some(range))
    }

    fn asked(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        range: Option<String>,
    ) -> Result<Answer, Failure> {
        let url = self.base.join(path).or_fail(ExitStatus::Failed)?;
        let mut request = self.http.request(method, url.as_str());
        if let Some(cookie) = &self.cookie {
            request = request.insert_header((header::COOKIE, cookie.as_str()));
        }
        if let Some(range) = range {
            request = request.insert_header((header::RANGE, range));
        }
        let answer = self.tasks.block_on(&self.runtime, async {
            let sent = match body {
                Some(body) => request.send_json(body).await,
                None => request.send().await,
            };
            let mut response = sent.map_err(|error| error.to_string())?;
            let body = response.body().limit(ANSWER_BYTES_MAX).await;
            Ok(Answer {
                status: response.status(),
                whole_bytes: text(response.headers(), header::CONTENT_RANGE)
                    .and_then(|range| range.rsplit_once('/')?.1.parse().ok()),
                cookie: text(response.headers(), header::SET_COOKIE)
                    .and_then(|cookie| cookie.split(';').next())
                    .map(str::to_owned),
                body: body.map_err(|error| error.to_string())?,
            })
        });
        answer
            .map_err(|error| self.unreachable(&error))?
            .or_refused()
    }

    fn unreachable(&self, error: &String) -> Failure {
        if let Some(refusal) = self.pinned.refusal() {
            let host = self.base.host_str().unwrap_or_default();
            return Failure::new(ExitStatus::Refused, refused(host, refusal, error));
        }
        let sentence = format!("the box at {} cannot be reached: {error}", self.base);
        Failure::new(ExitStatus::Unreachable, sentence)
    }
}

impl Answer {
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| {
            let sentence = "the box answers otherwise than this version of hearthkeep expects: is it one, and of this version?";
            Failure::new(ExitStatus::Failed, sentence)
        })
    }

    /// Refusals become failures, in the box's own words.
    fn or_refused(self) -> Result<Self, Failure> {
        if self.status.is_success() {
            return Ok(self);
        }
        let status = match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ExitStatus::Refused,
            StatusCode::NOT_FOUND | StatusCode::CONFLICT => ExitStatus::Nothing,
            _ => ExitStatus::Failed,
        };
        let told: Option<Value> = serde_json::from_slice(&self.body).ok();
        let words = told
            .as_ref()
            .and_then(|told| told["error"]["message"].as_str());
        // What a box says ends on a terminal: no control characters.
        let words: String = words
            .unwrap_or("it gives no reason")
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        Err(Failure::new(
            status,
            format_args!("the box says: {words} ({})", self.status.as_u16()),
        ))
    }
}

/// Why no connection was made, and what to do.
fn refused(host: &str, refusal: Refusal, error: &str) -> String {
    match refusal {
        Refusal::OtherCertificate => format!(
            "{host} is not the box with this fingerprint: compare it, letter by letter, with what the box's console or `hearthkeep \
             status` shows there. Where they are the same, another machine answers at this address"
        ),
        Refusal::OtherName => format!(
            "this is the box with this fingerprint, but its certificate does not stand for {host}: give --box an address that \
             `hearthkeep status` shows there, or add this one to server.names in the box's configuration"
        ),
        Refusal::Date => format!(
            "this is the box with this fingerprint, but its certificate is not valid now: see that the clocks of the box and of \
             this machine are right ({error})"
        ),
        Refusal::Invalid => format!("{host} showed a certificate that cannot be believed: {error}"),
    }
}

fn text(headers: &header::HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
