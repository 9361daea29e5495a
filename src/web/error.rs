//! How the API says that something is wrong: `{"error": {"code", "message"}}`, the message a sentence that says what to do.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use super::guard::add_rules;
use crate::{keys, people};

/// An answer other than the one asked for.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after_s: Option<u64>,
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorDetail {
    /// For programs: stays the same.
    #[schema(example = "signed-out")]
    code: &'static str,
    /// For people: says what to do next.
    message: String,
}

impl ApiError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after_s: None,
        }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", message)
    }

    pub fn signed_out() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "signed-out", "Sign in first.")
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            format!("There is no such {what}. Reload the page to see what there is."),
        )
    }

    pub fn busy(message: &str) -> Self {
        Self {
            retry_after_s: Some(5),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
        }
    }

    /// A fault of the box: told in full to the log, and to the client only that it is there.
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!("a request failed: {error}");
        let message = "The box could not do this; its log says why. Try again, and look at its disks if it stays so.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        let detail = ErrorDetail {
            code: self.code,
            message: self.message.clone(),
        };
        let mut response = response.json(ErrorBody { error: detail });
        add_rules(response.headers_mut());
        response
    }
}

impl From<people::Error> for ApiError {
    fn from(error: people::Error) -> Self {
        use people::Error as E;
        let sentence = sentence(&error);
        match error {
            E::WrongNameOrPassphrase => {
                Self::new(StatusCode::UNAUTHORIZED, "wrong-sign-in", sentence)
            }
            E::Throttled { wait_s } => Self {
                retry_after_s: Some(wait_s),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "throttled", sentence)
            },
            E::Busy => Self::busy(&sentence),
            E::BadAccount { .. } => Self::bad_request(sentence),
            error => Self::internal(&error),
        }
    }
}

impl From<keys::Error> for ApiError {
    fn from(error: keys::Error) -> Self {
        use keys::Error as E;
        let sentence = sentence(&error);
        match error {
            E::NotClaimed => Self::new(StatusCode::CONFLICT, "not-claimed", sentence),
            E::AlreadyClaimed => Self::new(StatusCode::CONFLICT, "already-claimed", sentence),
            E::BadClaim { .. } => Self::bad_request(sentence),
            error => Self::internal(&error),
        }
    }
}

/// An error of a room, as a sentence of its own.
pub(super) fn sentence(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
