//! The signed log as viewers get it (`docs/format.md`, 9.5): ciphertext, checkpoints and proofs.

use std::io;

use actix_web::{HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep_format::LogId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ErrorBody};
use super::house::{House, blocking};
use crate::store::log::{LogFiles, Published};

/// A log's key and newest checkpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogHead {
    /// The key, as C2SP's signed-note writes it.
    key: String,
    /// The newest checkpoint: a signed note.
    checkpoint: String,
}

/// The logs of the box.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogHeads {
    /// The log that is being written.
    newest: LogHead,
    /// Those before it, the oldest first.
    before: Vec<LogHead>,
}

/// A span of entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Indices {
    /// A log's id, 32 hex digits; the newest where it is left out.
    log: Option<String>,
    /// From this index, or number of entries.
    from: u64,
    /// To before this index, or number of entries.
    to: u64,
}

/// An entry, and the tree that it is to be found in.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Leaf {
    /// A log's id, 32 hex digits; the newest where it is left out.
    log: Option<String>,
    /// The entry's index.
    index: u64,
    /// The number of entries of the tree.
    size: u64,
}

/// A proof: hashes in the order of RFC 6962, in base64.
#[derive(Debug, Serialize, ToSchema)]
pub struct Proof {
    hashes: Vec<String>,
}

/// `GET /api/v1/log/checkpoint`
#[utoipa::path(get, path = "/api/v1/log/checkpoint", tag = "log",
    responses((status = 200, body = LogHeads), (status = 503, body = ErrorBody, description = "The log is not open yet")))]
pub async fn checkpoint(house: web::Data<House>) -> Result<HttpResponse, ApiError> {
    let published = blocking(move || Ok(house.footage.logs())).await?;
    let mut before: Vec<_> = published.into_iter().map(LogHead::from).collect();
    let newest = before.pop();
    let newest = newest.ok_or_else(|| ApiError::busy("The box's signed log is not open yet."))?;
    Ok(HttpResponse::Ok().json(LogHeads { newest, before }))
}

/// `GET /api/v1/log/entries?from=&to=`
#[utoipa::path(get, path = "/api/v1/log/entries", tag = "log", params(Indices),
    responses((status = 200, description = "Sealed entries, as many whole ones as fit 256 KiB", content_type = "application/octet-stream"),
        (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn entries(
    house: web::Data<House>,
    indices: web::Query<Indices>,
) -> Result<HttpResponse, ApiError> {
    let Indices { log, from, to } = indices.into_inner();
    let read = move |files: &LogFiles| files.piece(from, to);
    let bytes = of_log(house, log, (from, to), read).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .body(bytes))
}

/// `GET /api/v1/log/consistency?from=&to=`
#[utoipa::path(get, path = "/api/v1/log/consistency", tag = "log", params(Indices),
    responses((status = 200, body = Proof), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn consistency(
    house: web::Data<House>,
    indices: web::Query<Indices>,
) -> Result<HttpResponse, ApiError> {
    let Indices { log, from, to } = indices.into_inner();
    let prove = move |files: &LogFiles| files.consistency(from, to);
    let hashes = of_log(house, log, (from, to), prove).await?;
    Ok(HttpResponse::Ok().json(Proof::of(&hashes)))
}

/// `GET /api/v1/log/inclusion?index=&size=`
#[utoipa::path(get, path = "/api/v1/log/inclusion", tag = "log", params(Leaf),
    responses((status = 200, body = Proof), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn inclusion(
    house: web::Data<House>,
    leaf: web::Query<Leaf>,
) -> Result<HttpResponse, ApiError> {
    let Leaf { log, index, size } = leaf.into_inner();
    let after = index.saturating_add(1);
    let prove = move |files: &LogFiles| files.inclusion(index, size);
    let hashes = of_log(house, log, (after, size), prove).await?;
    Ok(HttpResponse::Ok().json(Proof::of(&hashes)))
}

/// Reads from a log that has as many entries as are asked for.
async fn of_log<T: Send + 'static>(
    house: web::Data<House>,
    log: Option<String>,
    (from, to): (u64, u64),
    read: impl FnOnce(&LogFiles) -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    if from > to {
        let message = "Entries are counted from 0, and a span of them goes forward.";
        return Err(ApiError::bad_request(message));
    }
    let no_log = || ApiError::not_found("log, or it does not have as many entries,");
    let log = match log {
        Some(text) => Some(LogId::from_hex(&text).ok_or_else(no_log)?),
        None => None,
    };
    let reading = blocking(move || {
        let files = house.footage.open_log(log, to).ok_or_else(no_log)?;
        read(&files).map_err(|error| ApiError::internal(&error))
    });
    reading.await
}

impl From<Published> for LogHead {
    fn from(published: Published) -> Self {
        Self {
            key: published.key,
            checkpoint: published.note,
        }
    }
}

impl Proof {
    fn of(hashes: &[[u8; 32]]) -> Self {
        let hashes = hashes.iter().map(|hash| BASE64.encode(hash)).collect();
        Self { hashes }
    }
}
