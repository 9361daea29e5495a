//! What there is: streams, their timelines, the keyring, and how the box is.

use actix_web::{HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep_format::StreamId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ErrorBody};
use super::footage::{RecorderStatus, StreamStatus, Timeline};
use super::house::{House, blocking};
use crate::keys;
use crate::limits::TIMELINE_DAYS_MAX;

/// A span of wall time, µs since 1970.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Span {
    /// From here on.
    from: i64,
    /// To before here.
    to: i64,
}

/// What a viewer opens footage with, if they can.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyringAnswer {
    /// Base64 of the keyring (`docs/format.md`, 3).
    keyring: String,
    /// Base64 of the key that the first statement must be signed by.
    root: String,
}

/// How the box is.
#[derive(Debug, Serialize, ToSchema)]
pub struct BoxStatus {
    /// `locked`: the box cannot open past footage.
    state: &'static str,
    /// Of the program.
    version: &'static str,
    /// SHA-256 of the certificate to trust.
    fingerprint: String,
    #[serde(flatten)]
    recorder: RecorderStatus,
}

/// `GET /api/v1/streams`
#[utoipa::path(get, path = "/api/v1/streams", tag = "footage", responses((status = 200, body = [StreamStatus])))]
pub async fn streams(house: web::Data<House>) -> Result<HttpResponse, ApiError> {
    let streams = blocking(move || Ok(house.footage.streams())).await?;
    Ok(HttpResponse::Ok().json(streams))
}

/// `GET /api/v1/streams/{id}/timeline?from=&to=`
#[utoipa::path(get, path = "/api/v1/streams/{stream}/timeline", tag = "footage",
    params(("stream" = String, Path, description = "32 hex digits"), Span),
    responses((status = 200, body = Timeline), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn timeline(
    house: web::Data<House>,
    path: web::Path<String>,
    span: web::Query<Span>,
) -> Result<HttpResponse, ApiError> {
    let stream = stream_id(&path)?;
    let Span { from, to } = span.into_inner();
    let most_us = TIMELINE_DAYS_MAX * 86_400_000_000;
    if from >= to || to.checked_sub(from).is_none_or(|length| length > most_us) {
        let message = format!(
            "from must be before to, in µs since 1970, and at most {TIMELINE_DAYS_MAX} days before it."
        );
        return Err(ApiError::bad_request(message));
    }
    let timeline = blocking(move || {
        let found = house
            .footage
            .timeline(stream, from, to)
            .map_err(|error| ApiError::internal(&error))?;
        found.ok_or_else(|| ApiError::not_found("stream"))
    });
    Ok(HttpResponse::Ok().json(timeline.await?))
}

/// `GET /api/v1/keyring`
#[utoipa::path(get, path = "/api/v1/keyring", tag = "footage", responses(
    (status = 200, body = KeyringAnswer), (status = 409, body = ErrorBody, description = "The box has no owner")))]
pub async fn keyring(house: web::Data<House>) -> Result<HttpResponse, ApiError> {
    let keys = house.keys();
    let root = keys.root().ok_or(keys::Error::NotClaimed)?;
    let answer = KeyringAnswer {
        keyring: BASE64.encode(keys.keyring_bytes()?),
        root: BASE64.encode(root.as_bytes()),
    };
    Ok(HttpResponse::Ok().json(answer))
}

/// `GET /api/v1/status`
#[utoipa::path(get, path = "/api/v1/status", tag = "box", responses((status = 200, body = BoxStatus)))]
pub async fn status(house: web::Data<House>) -> Result<HttpResponse, ApiError> {
    let answer = blocking(move || {
        Ok(BoxStatus {
            state: "locked",
            version: env!("CARGO_PKG_VERSION"),
            fingerprint: house.tls.fingerprint(),
            recorder: house.footage.status(),
        })
    });
    Ok(HttpResponse::Ok().json(answer.await?))
}

pub(super) fn stream_id(text: &str) -> Result<StreamId, ApiError> {
    StreamId::from_hex(text).ok_or_else(|| ApiError::not_found("stream"))
}
