//! Signing in and out. The passphrase never comes here: a client sends what it derives from it.

use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::claim::{Name, secret, secret_text};
use super::cookies;
use super::error::{ApiError, ErrorBody};
use super::house::{House, address, blocking};
use crate::limits::ACCOUNT_NAME_CHARS_MAX;
use crate::people::{self, Parameters, Session};

/// Whose parameters.
#[derive(Deserialize, ToSchema)]
pub struct ParametersRequest {
    name: String,
}

/// What a client derives with: Argon2id, version 0x13.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignInParameters {
    /// Base64 of 16 bytes.
    salt: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// What a client derived.
#[derive(Deserialize, ToSchema)]
pub struct SignInRequest {
    name: String,
    /// Base64 of 32 bytes.
    #[serde(deserialize_with = "secret_text")]
    #[schema(value_type = String)]
    auth: Zeroizing<String>,
}

/// Somebody is signed in, and gets what only their passphrase opens.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedIn {
    name: String,
    /// Base64.
    sealed_identity: String,
    #[serde(flatten)]
    parameters: SignInParameters,
}

impl From<Parameters> for SignInParameters {
    fn from(Parameters { salt, params }: Parameters) -> Self {
        let salt = BASE64.encode(salt);
        Self {
            salt,
            memory_kib: params.memory_kib,
            passes: params.passes,
            lanes: params.lanes,
        }
    }
}

/// `POST /api/v1/sign-in/parameters`: the same for a name that nobody has.
#[utoipa::path(post, path = "/api/v1/sign-in/parameters", tag = "sign-in", request_body = ParametersRequest, responses(
    (status = 200, body = SignInParameters), (status = 400, body = ErrorBody)))]
pub async fn parameters(
    house: web::Data<House>,
    body: web::Json<ParametersRequest>,
) -> Result<HttpResponse, ApiError> {
    check_name(&body.name)?;
    Ok(HttpResponse::Ok().json(SignInParameters::from(house.people.parameters(&body.name))))
}

/// `POST /api/v1/sign-in`: always a new login session; one that the client had ends.
#[utoipa::path(post, path = "/api/v1/sign-in", tag = "sign-in", request_body = SignInRequest, responses(
    (status = 200, body = SignedIn), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody, description = "Not this name with this passphrase"),
    (status = 429, body = ErrorBody, description = "Too often; Retry-After says how many seconds to wait")))]
pub async fn sign_in(
    request: HttpRequest,
    house: web::Data<House>,
    body: web::Json<SignInRequest>,
) -> Result<HttpResponse, ApiError> {
    let (address, before) = (address(&request)?, cookies::token(request.headers()));
    let SignInRequest { name, auth } = body.into_inner();
    check_name(&name)?;
    let auth = secret("auth", &auth)?;
    let signed_in = blocking(move || {
        let signed_in = house.people.sign_in(address, &name, &auth);
        if matches!(signed_in, Err(people::Error::WrongNameOrPassphrase)) {
            // Not the name: it may be the passphrase, typed into the wrong field. The throttle bounds these lines.
            tracing::warn!(from = %address, "a sign-in was refused: the name or the passphrase is wrong");
        }
        let signed_in = signed_in?;
        // It is over at once, and who is right is let in, whatever the disk does.
        if let Some(Err(error)) = before.map(|before| house.people.end_session(&before)) {
            tracing::warn!(
                "a login session that has ended may be open again after a restart: {error}"
            );
        }
        Ok(signed_in)
    });
    let signed_in = signed_in.await?;
    let body = SignedIn {
        name: signed_in.name,
        sealed_identity: BASE64.encode(signed_in.sealed_identity),
        parameters: signed_in.parameters.into(),
    };
    Ok(HttpResponse::Ok()
        .insert_header(cookies::set(&signed_in.token))
        .json(body))
}

/// `POST /api/v1/sign-out`: ends this login session, its live views included.
#[utoipa::path(post, path = "/api/v1/sign-out", tag = "sign-in", responses((status = 204, description = "Signed out")))]
pub async fn sign_out(
    request: HttpRequest,
    house: web::Data<House>,
) -> Result<HttpResponse, ApiError> {
    if let Some(token) = cookies::token(request.headers()) {
        blocking(move || Ok(house.people.end_session(&token)?)).await?;
    }
    Ok(HttpResponse::NoContent()
        .insert_header(cookies::clear())
        .finish())
}

/// `GET /api/v1/session`
#[utoipa::path(get, path = "/api/v1/session", tag = "sign-in", responses((status = 200, body = Name)))]
pub async fn session(session: web::ReqData<Session>) -> HttpResponse {
    HttpResponse::Ok().json(Name {
        name: session.name.clone(),
    })
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if name.chars().count() <= ACCOUNT_NAME_CHARS_MAX {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "A name has at most {ACCOUNT_NAME_CHARS_MAX} characters."
    )))
}
