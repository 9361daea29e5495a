//! What every request passes before it reaches a room, and every answer on its way out. Denied by default: what is not
//! public by name needs a session, also what does not exist.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::uri::Authority;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, ResponseError, web};

use super::error::ApiError;
use super::house::House;
use super::{cookies, page, routes};
use crate::limits::ANSWER_S_MAX;

/// Only what comes from the box itself; WebAssembly for opening, blobs for Media Source Extensions and snapshots.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
     img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; worker-src 'self'; font-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// No HSTS: a browser that remembered it could not be taught the box's new authority by clicking a warning away.
const RULES: [(&str, &str); 8] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), microphone=(), geolocation=(), display-capture=()",
    ),
    ("cache-control", "no-store"),
];

/// The one middleware.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let mut response = match admit(&request) {
        Err(refused) => request.into_response(refused.error_response()),
        Ok(()) => answer(request, next).await?,
    };
    add_rules(response.headers_mut());
    Ok(response)
}

/// Adds the rules for browsers, where a handler did not set its own.
pub fn add_rules(headers: &mut HeaderMap) {
    for (name, value) in RULES {
        if !headers.contains_key(name) {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
    }
}

/// The head of an answer comes within a bounded time, whatever a client dribbles in or a disk does.
async fn answer(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    // No copy of the request is kept for the answer to a late one: routing needs it to itself.
    match tokio::time::timeout(Duration::from_secs(ANSWER_S_MAX), next.call(request)).await {
        Ok(answered) => answered.map(ServiceResponse::map_into_boxed_body),
        Err(_) => {
            let message = "This took too long. Try again.";
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", message).into())
        }
    }
}

/// Who may go on. Puts the session into the request for the handlers.
fn admit(request: &ServiceRequest) -> Result<(), ApiError> {
    let house = request
        .app_data::<web::Data<House>>()
        .expect("every app is given the house");
    let host = check_host(request, house)?;
    check_origin(request, &host)?;
    let session = cookies::token(request.headers()).and_then(|token| house.people.session(&token));
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    let is_public = routes::is_public(request.method(), request.path())
        || (is_read && page::is_public(request.path()));
    match session {
        Some(session) => drop(request.extensions_mut().insert(session)),
        None if is_public => {}
        None if is_read
            && routes::is_for_monitors(request.path())
            && shows_token(request, house) => {}
        None => return Err(ApiError::signed_out()),
    }
    Ok(())
}

fn shows_token(request: &ServiceRequest, house: &House) -> bool {
    let token = house.metrics_token.as_ref();
    token.is_some_and(|token| token.is_in(request.headers()))
}

/// A name that is not ours means that somebody's DNS leads a browser here under another site's name (rebinding).
fn check_host(request: &ServiceRequest, house: &House) -> Result<String, ApiError> {
    let mut hosts = request.headers().get_all(header::HOST);
    let authority = request.uri().authority().map(Authority::as_str);
    let host = match (hosts.next().map(HeaderValue::to_str), hosts.next()) {
        (Some(Ok(host)), None) => host.to_owned(),
        // HTTP/2 names it in `:authority` instead (RFC 9113, 8.3.1).
        (None, None) => authority.unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let agrees = authority.is_none_or(|authority| authority == host);
    if agrees && house.tls.is_own_host(without_port(&host)) {
        return Ok(host);
    }
    let message = "This box is not known by the name in the address. Use its own name or address, or add the name to server.names in its configuration.";
    Err(ApiError::new(
        StatusCode::MISDIRECTED_REQUEST,
        "unknown-host",
        message,
    ))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty() =>
        {
            name
        }
        _ => host,
    }
}

/// Requests that another site's page begins are refused; a program that is no browser sends neither header.
fn check_origin(request: &ServiceRequest, host: &str) -> Result<(), ApiError> {
    let refused = || {
        let message = "This request was begun by another site's page. Open the box's own page.";
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "foreign-origin",
            message,
        ))
    };
    let headers = request.headers();
    if text(headers, "origin").is_some_and(|origin| origin != format!("https://{host}")) {
        return refused();
    }
    let site = text(headers, "sec-fetch-site");
    if site.is_none_or(|site| site == "same-origin" || site == "none") {
        return Ok(());
    }
    // A link from elsewhere may lead to the page; nothing else may be asked for from elsewhere.
    let is_link = text(headers, "sec-fetch-mode") == Some("navigate");
    let leads_to_page = request.method() == Method::GET && !request.path().starts_with("/api/");
    if is_link && leads_to_page {
        Ok(())
    } else {
        refused()
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // What is not text is not one of the values we accept.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}
