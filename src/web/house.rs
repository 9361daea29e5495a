//! What all requests share: the rooms, and the desk where a new box is claimed.

use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::HttpRequest;
use actix_web::web;
use tokio::sync::Semaphore;

use super::error::ApiError;
use super::footage::Footage;
use super::metrics::Token;
use super::tls::Tls;
use crate::clock::Clock;
use crate::keys::StateFolder;
use crate::limits::LIVE_VIEWERS_MAX;
use crate::people::{self, ClaimCode, People, remove_claim_code};
use crate::pool::Desk;
use crate::random::OsRandom;

/// The rooms behind the routes.
pub struct House {
    pub keys: Arc<Mutex<StateFolder>>,
    pub people: Arc<People>,
    pub tls: Arc<Tls>,
    pub footage: Arc<dyn Footage>,
    pub disks: Option<Desk>,
    pub clock: Arc<dyn Clock>,
    /// What monitors show; `None` where it could not be made.
    pub metrics_token: Option<Token>,
    /// Places for live viewers; closed when the box ends, which shows them out.
    pub live: Arc<Semaphore>,
    /// The claim code while there is no owner. Held during a claim: two at once make one owner.
    desk: Mutex<Option<ClaimCode>>,
}

impl House {
    /// Opens the desk where the box has no owner, and clears it where it has.
    pub fn new(
        keys: Arc<Mutex<StateFolder>>,
        people: Arc<People>,
        tls: Arc<Tls>,
        (footage, disks): (Arc<dyn Footage>, Option<Desk>),
        clock: Arc<dyn Clock>,
    ) -> Result<Self, people::Error> {
        let (folder, is_claimed) = {
            let keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
            (keys.folder().to_owned(), keys.is_claimed())
        };
        let code = if is_claimed {
            remove_claim_code(&folder)?;
            None
        } else {
            Some(ClaimCode::make(&folder, Arc::clone(&clock), &mut OsRandom)?)
        };
        let metrics_token = Token::open(&folder, &mut OsRandom)
            .map_err(|error| {
                tracing::warn!(
                    "only who is signed in can read the metrics, there is no token: {error}"
                );
            })
            .ok();
        let (live, desk) = (Arc::new(Semaphore::new(LIVE_VIEWERS_MAX)), Mutex::new(code));
        let house = Self {
            keys,
            people,
            tls,
            footage,
            disks,
            clock,
            metrics_token,
            live,
            desk,
        };
        house.announce(&house.desk());
        Ok(house)
    }

    /// The keys. Held for moments only.
    pub fn keys(&self) -> MutexGuard<'_, StateFolder> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The claim code, to itself. Blocks while somebody claims.
    pub fn desk(&self) -> MutexGuard<'_, Option<ClaimCode>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What changes by itself: certificates, sessions, the claim code. Blocks; to be called every minute.
    pub fn tidy(&self) {
        if let Err(error) = self.tls.refresh() {
            tracing::warn!("the certificate in use stays: {error}");
        }
        self.people.tidy();
        let mut desk = self.desk();
        if self.keys().is_claimed() {
            // Claimed by another way than the page.
            *desk = None;
        } else if let Some(code) = desk.as_mut() {
            match code.renew_if_old(&mut OsRandom) {
                Ok(true) => self.announce(&desk),
                Ok(false) => {}
                Err(error) => tracing::error!("there is no claim code at present: {error}"),
            }
        }
    }

    /// Shows the code on a terminal, and only there: what a service prints ends in the journal.
    fn announce(&self, code: &Option<ClaimCode>) {
        let Some(code) = code else { return };
        tracing::info!(
            "this box has no owner yet: open its page and type the claim code in {}",
            code.path().display()
        );
        let mut out = std::io::stdout();
        if out.is_terminal() {
            let text = code.text();
            // A terminal that has gone away is no reason not to serve.
            let _ = writeln!(
                out,
                "\n  This box has no owner yet. Claim code (30 minutes):  {text}\n"
            );
        }
    }
}

/// Runs what blocks (Argon2, disks) on a thread that may; every handler but the live one goes through here.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    web::block(work)
        .await
        .unwrap_or_else(|error| Err(ApiError::internal(&error)))
}

/// Where a request comes from. The box stands behind no proxy, so this is the socket's other end.
pub fn address(request: &HttpRequest) -> Result<IpAddr, ApiError> {
    let peer = request
        .peer_addr()
        .ok_or_else(|| ApiError::internal(&"a connection without an address"))?;
    Ok(peer.ip())
}
