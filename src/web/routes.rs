//! All routes in one table. What is not marked public here needs a session; so does everything that is not here.

use actix_web::guard::{Any, Get, Guard, Head};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Route};

use super::error::ApiError;
use super::{claim, disks, holds, live, log, metrics, openapi, page, segments, sign_in, streams};
use crate::limits::REQUEST_BODY_BYTES_MAX;
use Access::{Monitor, Public, SignedIn};

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody on the network.
    Public,
    /// Who has a session: an owner, for nobody else has an account.
    SignedIn,
    /// Who has a session, or shows the token for metrics.
    Monitor,
}

/// A row of the table.
pub struct Entry {
    /// Who may ask.
    pub access: Access,
    /// The method.
    pub method: Method,
    /// The path, as actix-web and OpenAPI both write it.
    pub path: &'static str,
    handler: fn() -> Route,
}

/// The routes.
#[rustfmt::skip]
pub const ROUTES: &[Entry] = &[
    get(Public,   "/",                                         || web::route().guard(reading()).to(page::index)),
    get(Public,   "/ca.crt",                                   || web::get().to(claim::authority)),
    get(Public,   "/api/v1/state",                             || web::get().to(claim::state)),
    post(Public,  "/api/v1/claim",                             || web::post().to(claim::claim)),
    post(Public,  "/api/v1/sign-in/parameters",                || web::post().to(sign_in::parameters)),
    post(Public,  "/api/v1/sign-in",                           || web::post().to(sign_in::sign_in)),
    post(SignedIn, "/api/v1/sign-out",                         || web::post().to(sign_in::sign_out)),
    get(SignedIn, "/api/v1/session",                           || web::get().to(sign_in::session)),
    get(SignedIn, "/api/v1/keyring",                           || web::get().to(streams::keyring)),
    get(SignedIn, "/api/v1/streams",                           || web::get().to(streams::streams)),
    get(SignedIn, "/api/v1/streams/{stream}/timeline",         || web::get().to(streams::timeline)),
    get(SignedIn, "/api/v1/segments/{stream}/{segment}",       || web::get().to(segments::segment)),
    get(SignedIn, "/api/v1/segments/{stream}/{segment}/index", || web::get().to(segments::index)),
    get(SignedIn, "/api/v1/live/{stream}",                     || web::get().to(live::live)),
    get(SignedIn, "/api/v1/log/checkpoint",                    || web::get().to(log::checkpoint)),
    get(SignedIn, "/api/v1/log/entries",                       || web::get().to(log::entries)),
    get(SignedIn, "/api/v1/log/consistency",                   || web::get().to(log::consistency)),
    get(SignedIn, "/api/v1/log/inclusion",                     || web::get().to(log::inclusion)),
    get(SignedIn, "/api/v1/holds",                             || web::get().to(holds::list)),
    post(SignedIn, "/api/v1/holds",                            || web::post().to(holds::add)),
    post(SignedIn, "/api/v1/holds/{hold}/end",                 || web::post().to(holds::end)),
    get(SignedIn, "/api/v1/status",                            || web::get().to(streams::status)),
    get(SignedIn, "/api/v1/disks",                             || web::get().to(disks::list)),
    post(SignedIn, "/api/v1/disks",                            || web::post().to(disks::add)),
    post(SignedIn, "/api/v1/disks/{disk}/drain",               || web::post().to(disks::drain)),
    post(SignedIn, "/api/v1/disks/{disk}/keep",                || web::post().to(disks::keep)),
    post(SignedIn, "/api/v1/disks/{disk}/retire",              || web::post().to(disks::retire)),
    get(SignedIn, "/api/v1/openapi.json",                      || web::get().to(openapi::document)),
    get(Monitor,  "/metrics",                                  || web::get().to(metrics::metrics)),
];

/// Gives actix-web the table, and answers of our shape to what its extractors refuse.
pub fn configure(config: &mut ServiceConfig) {
    let bad_json = |error: actix_web::error::JsonPayloadError, _: &_| {
        use actix_web::error::JsonPayloadError as E;
        match error {
            E::OverflowKnownLength { .. } | E::Overflow { .. } => {
                let message = format!("A request has at most {REQUEST_BODY_BYTES_MAX} bytes.");
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message).into()
            }
            // serde's own words would repeat what was sent, secrets included.
            _ => ApiError::bad_request(
                "The request is not the JSON that the API's document describes.",
            )
            .into(),
        }
    };
    config.app_data(
        web::JsonConfig::default()
            .limit(REQUEST_BODY_BYTES_MAX)
            .error_handler(bad_json),
    );
    let bad_query = |_, _: &_| {
        ApiError::bad_request("A parameter in the address is missing or malformed.").into()
    };
    config.app_data(web::QueryConfig::default().error_handler(bad_query));
    let bad_path = |_, _: &_| ApiError::not_found("address").into();
    config.app_data(web::PathConfig::default().error_handler(bad_path));
    let mut entries = ROUTES.iter().peekable();
    while let Some(entry) = entries.next() {
        let mut resource = Resource::new(entry.path).route((entry.handler)());
        // Those of one path stand together.
        while let Some(other) = entries.next_if(|other| other.path == entry.path) {
            resource = resource.route((other.handler)());
        }
        config.service(resource.default_service(web::to(wrong_method)));
    }
    config.default_service(web::to(page::other));
}

/// Whether the table lets anybody ask this.
pub fn is_public(method: &Method, path: &str) -> bool {
    ROUTES
        .iter()
        .any(|entry| entry.access == Public && entry.method == *method && entry.path == path)
}

/// Whether the token for metrics is enough to read this.
pub fn is_for_monitors(path: &str) -> bool {
    ROUTES
        .iter()
        .any(|entry| entry.access == Monitor && entry.path == path)
}

async fn wrong_method() -> Result<&'static str, ApiError> {
    let message = "This address is asked in another way: see /api/v1/openapi.json.";
    Err(ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        message,
    ))
}

/// As [`page::other`] takes the page's other files.
fn reading() -> impl Guard {
    Any(Get()).or(Head())
}

const fn get(access: Access, path: &'static str, handler: fn() -> Route) -> Entry {
    Entry {
        access,
        method: Method::GET,
        path,
        handler,
    }
}

const fn post(access: Access, path: &'static str, handler: fn() -> Route) -> Entry {
    Entry {
        access,
        method: Method::POST,
        path,
        handler,
    }
}
