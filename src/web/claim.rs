//! First run: the box's state, and the claim that gives it its owner.

use std::net::IpAddr;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep_format::log::AuditKind;
use hearthkeep_format::passphrase::Params;
use hearthkeep_format::{MetadataKey, Recipient, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::cookies;
use super::error::{ApiError, ErrorBody};
use super::house::{House, address, blocking};
use crate::keys::{self, ClaimMaterial};
use crate::people::{NewAccount, Token};
use crate::random::OsRandom;
use crate::store::log::{WaitingAudits, audit};

/// What anybody on the network may know.
#[derive(Debug, Serialize, ToSchema)]
pub struct BoxState {
    /// Whether it has an owner.
    claimed: bool,
    /// The store's id, 32 hex digits: a claim is signed for it.
    store: String,
    /// Of the program.
    version: &'static str,
}

/// What the owner's client made (`docs/format.md`, 1 and 2). Bytes are base64.
#[derive(Deserialize, ToSchema)]
pub struct ClaimRequest {
    /// From the box's console, or its file `claim-code`.
    code: String,
    name: String,
    salt: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    #[serde(deserialize_with = "secret_text")]
    #[schema(value_type = String)]
    auth: Zeroizing<String>,
    sealed_identity: String,
    /// `age1pq...`
    recipient: String,
    verifying_key: String,
    statement: String,
    sealed_seed: String,
    sealed_metadata_key: String,
    #[serde(deserialize_with = "secret_text")]
    #[schema(value_type = String)]
    metadata_key: Zeroizing<String>,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Name {
    pub name: String,
}

/// `GET /api/v1/state`
#[utoipa::path(get, path = "/api/v1/state", tag = "box", responses((status = 200, body = BoxState)))]
pub async fn state(house: web::Data<House>) -> HttpResponse {
    let keys = house.keys();
    let (claimed, store) = (keys.is_claimed(), keys.store().to_string());
    HttpResponse::Ok().json(BoxState {
        claimed,
        store,
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// `POST /api/v1/claim`: makes the sender the owner of a box that has none.
#[utoipa::path(post, path = "/api/v1/claim", tag = "box", request_body = ClaimRequest, responses(
    (status = 201, body = Name, description = "Claimed, and signed in"),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody, description = "Not the claim code"),
    (status = 409, body = ErrorBody, description = "It has an owner"), (status = 429, body = ErrorBody)))]
pub async fn claim(
    request: HttpRequest,
    house: web::Data<House>,
    body: web::Json<ClaimRequest>,
) -> Result<HttpResponse, ApiError> {
    let address = address(&request)?;
    let (code, account, material) = body.into_inner().read()?;
    let name = Name {
        name: account.name.clone(),
    };
    let token = blocking(move || {
        if house.keys().is_claimed() {
            return Err(keys::Error::AlreadyClaimed.into());
        }
        house.people.count_claim_attempt(address)?;
        claim_at_desk(&house, &code, &account, &material, address)
    });
    let token = token.await?;
    Ok(HttpResponse::Created()
        .insert_header(cookies::set(&token))
        .json(name))
}

/// One at a time. The account first and the claim last: a power cut between them leaves a box without an owner, which can
/// be claimed again, and never one with an owner who cannot sign in.
fn claim_at_desk(
    house: &House,
    code: &str,
    account: &NewAccount,
    material: &ClaimMaterial,
    address: IpAddr,
) -> Result<Token, ApiError> {
    let mut desk = house.desk();
    if house.keys().is_claimed() {
        return Err(keys::Error::AlreadyClaimed.into());
    }
    if !desk.as_ref().is_some_and(|current| current.is(code)) {
        let message = "This is not the claim code. It stands on the box's console and in its file claim-code, and changes every 30 minutes.";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "wrong-code", message));
    }
    let store = house.keys().store();
    material.verify(&store)?;
    house.people.set_owner(account)?;
    make_true(house, account, material)?;
    if let Some(Err(error)) = desk.take().map(|spent| spent.spend()) {
        tracing::warn!("the claim code is spent, but its file stays: {error}");
    }
    tracing::info!("this box was claimed");
    house.footage.claimed();
    house.people.forgive_claim_attempt(address);
    Ok(house.people.begin_session(&account.name))
}

/// The claim, and its word for the signed log, which there is none of yet. What records waits for the keys meanwhile.
fn make_true(
    house: &House,
    account: &NewAccount,
    material: &ClaimMaterial,
) -> Result<(), keys::Error> {
    let mut keys = house.keys();
    keys.claim(material, &mut OsRandom)?;
    let record = audit(AuditKind::Claimed, &account.name, "in the page");
    let mut waiting = WaitingAudits::new(keys.folder(), keys.state_key());
    if let Err(error) = waiting.add(record, &*house.clock, &mut OsRandom) {
        tracing::warn!("the signed log will not say who claimed this box: {error}");
    }
    Ok(())
}

impl ClaimRequest {
    fn read(self) -> Result<(Zeroizing<String>, NewAccount, ClaimMaterial), ApiError> {
        let invalid = |what: &str| {
            ApiError::bad_request(format!(
                "The claim's {what} is malformed. Reload the page and try again."
            ))
        };
        let metadata_key = secret("metadata_key", &self.metadata_key)?;
        let material = ClaimMaterial {
            recipient: Recipient::from_text(&self.recipient).map_err(|_| invalid("recipient"))?,
            verifying_key: VerifyingKey::from_bytes(&fixed("verifying_key", &self.verifying_key)?)
                .map_err(|_| invalid("verifying_key"))?,
            statement: bytes("statement", &self.statement)?,
            sealed_seed: bytes("sealed_seed", &self.sealed_seed)?,
            sealed_metadata_key: bytes("sealed_metadata_key", &self.sealed_metadata_key)?,
            metadata_key: MetadataKey::from_bytes(*metadata_key),
        };
        let account = NewAccount {
            name: self.name,
            salt: fixed("salt", &self.salt)?,
            params: Params {
                memory_kib: self.memory_kib,
                passes: self.passes,
                lanes: self.lanes,
            },
            auth: secret("auth", &self.auth)?,
            sealed_identity: bytes("sealed_identity", &self.sealed_identity)?,
        };
        Ok((Zeroizing::new(self.code), account, material))
    }
}

/// `GET /ca.crt`: the box's authority, for devices that are to trust it.
#[utoipa::path(get, path = "/ca.crt", tag = "box", responses(
    (status = 200, description = "The certificate, DER", content_type = "application/x-x509-ca-cert"),
    (status = 404, body = ErrorBody, description = "The box has a certificate of the operator's own")))]
pub async fn authority(house: web::Data<House>) -> Result<HttpResponse, ApiError> {
    let authority = house.tls.authority();
    let authority =
        authority.ok_or_else(|| ApiError::not_found("certificate authority on this box"))?;
    let mut response = HttpResponse::Ok();
    response.insert_header((
        header::CONTENT_DISPOSITION,
        "attachment; filename=\"hearthkeep-ca.crt\"",
    ));
    // The type that phones offer to install.
    Ok(response
        .content_type("application/x-x509-ca-cert")
        .body(authority.to_vec()))
}

/// Base64 of any length.
fn bytes(what: &str, text: &str) -> Result<Vec<u8>, ApiError> {
    BASE64.decode(text).map_err(|_| {
        ApiError::bad_request(format!(
            "{what} is not base64. Reload the page and try again."
        ))
    })
}

/// Base64 of exactly N bytes.
pub(super) fn fixed<const N: usize>(what: &str, text: &str) -> Result<[u8; N], ApiError> {
    let wrong = || {
        ApiError::bad_request(format!(
            "{what} is not {N} bytes. Reload the page and try again."
        ))
    };
    bytes(what, text)?.try_into().map_err(|_| wrong())
}

/// The same for what is erased after use.
pub(super) fn secret(what: &str, text: &str) -> Result<Zeroizing<[u8; 32]>, ApiError> {
    fixed(what, text).map(Zeroizing::new)
}

/// Text that is erased after use.
pub(super) fn secret_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}
