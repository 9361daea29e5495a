//! The cookie of a login session.
//!
//! `__Host-` makes browsers refuse it from plain HTTP, from other hosts of a domain, and for part of the site; HttpOnly
//! keeps it from scripts; SameSite=Strict from requests that another site begins.

use actix_web::http::header::{self, HeaderMap, HeaderValue};

use crate::limits::SESSION_ABSOLUTE_S_MAX;
use crate::people::Token;

const NAME: &str = "__Host-hearthkeep";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

/// The token in a request's cookies, if there is one. With several, the first counts.
pub fn token(headers: &HeaderMap) -> Option<Token> {
    let cookies = headers
        .get_all(header::COOKIE)
        .filter_map(|value| value.to_str().ok());
    let pairs = cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.split_once('='));
    let ours = pairs
        .map(|(name, value)| (name.trim(), value.trim()))
        .find(|(name, _)| *name == NAME);
    ours.and_then(|(_, value)| Token::from_text(value))
}

/// The header that hands a token to the browser.
pub fn set(token: &Token) -> (header::HeaderName, HeaderValue) {
    let value = format!(
        "{NAME}={}; {ATTRIBUTES}; Max-Age={SESSION_ABSOLUTE_S_MAX}",
        *token.to_text()
    );
    let mut value =
        HeaderValue::from_str(&value).expect("base64 and constants are a header's characters");
    value.set_sensitive(true);
    (header::SET_COOKIE, value)
}

/// The header that takes it back.
pub fn clear() -> (header::HeaderName, HeaderValue) {
    let value = format!("{NAME}=; {ATTRIBUTES}; Max-Age=0");
    (
        header::SET_COOKIE,
        HeaderValue::from_str(&value).expect("constants are a header's characters"),
    )
}
