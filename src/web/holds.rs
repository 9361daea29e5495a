//! Holds, as people set and end them.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use hearthkeep_format::{HoldId, StreamId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody, sentence};
use super::footage::Hold;
use super::house::{House, blocking};
use super::streams::stream_id;
use crate::people::Session;
use crate::store::{self, NewHold};

/// Footage that is to be held. Times are µs since 1970.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// 32 hex digits each; none means all cameras.
    #[serde(default)]
    streams: Vec<String>,
    /// From when on.
    from_us: i64,
    /// Until when; without it, all that will be recorded too.
    to_us: Option<i64>,
    /// When the hold itself ends; without it, when somebody ends it.
    until_us: Option<i64>,
    /// Why.
    reason: String,
}

/// `GET /api/v1/holds`
#[utoipa::path(get, path = "/api/v1/holds", tag = "holds", responses((status = 200, body = [Hold]),
    (status = 503, body = ErrorBody, description = "The log, which has them, is still being read")))]
pub async fn list(house: web::Data<House>) -> Result<HttpResponse, ApiError> {
    let holds = blocking(move || Ok(house.footage.holds()?)).await?;
    Ok(HttpResponse::Ok().json(holds))
}

/// `POST /api/v1/holds`
#[utoipa::path(post, path = "/api/v1/holds", tag = "holds", request_body = HoldRequest, responses(
    (status = 200, body = Hold, description = "From now on it is not deleted"), (status = 400, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "It would leave too little room"),
    (status = 503, body = ErrorBody, description = "It cannot be written now")))]
pub async fn add(
    house: web::Data<House>,
    who: web::ReqData<Session>,
    request: web::Json<HoldRequest>,
) -> Result<HttpResponse, ApiError> {
    let request = request.into_inner();
    let streams = request.streams.iter().map(|text| stream_id(text));
    let streams: Vec<StreamId> = streams.collect::<Result<_, _>>()?;
    let new = NewHold {
        streams,
        from_us: request.from_us,
        to_us: request.to_us,
        until_us: request.until_us,
        reason: request.reason,
        who: who.name.clone(),
    };
    let hold = blocking(move || {
        let known = house.footage.streams();
        let is_known = |stream: &StreamId| known.iter().any(|known| known.id == *stream);
        if !new.streams.iter().all(is_known) {
            return Err(ApiError::not_found("stream"));
        }
        Ok(house.footage.hold(new)?)
    });
    Ok(HttpResponse::Ok().json(hold.await?))
}

/// Said where the end of a hold is not in the log.
const NOT_WRITTEN: &str = "It is ended, but the box cannot write that down now: after a restart it would be kept again. See what is wrong with its disks.";

/// `POST /api/v1/holds/{hold}/end`
#[utoipa::path(post, path = "/api/v1/holds/{hold}/end", tag = "holds",
    params(("hold" = String, Path, description = "32 hex digits")), responses(
    (status = 204, description = "What it held may be deleted"), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn end(
    house: web::Data<House>,
    who: web::ReqData<Session>,
    hold: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let hold = HoldId::from_hex(&hold).ok_or_else(|| ApiError::not_found("hold"))?;
    let name = who.name.clone();
    match blocking(move || Ok(house.footage.end_hold(&hold, &name)?)).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not-written",
            NOT_WRITTEN,
        )),
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        use store::Error as E;
        let text = sentence(&error);
        match error {
            E::NoSuchHold => Self::not_found("hold"),
            E::Hold(_) => Self::bad_request(text),
            E::HoldsTooMuch { .. } => Self::new(StatusCode::CONFLICT, "holds-too-much", text),
            E::Log(_) => Self::busy(&text),
            error => Self::internal(&error),
        }
    }
}
