//! The page: files that npm built, inside the binary.

use actix_web::http::Method;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, Responder};
use rust_embed::RustEmbed;

use super::error::ApiError;

#[derive(RustEmbed)]
#[folder = "web-ui/dist"]
#[exclude = "*.map"]
struct Dist;

const NOT_BUILT: &str = "This hearthkeep was built without its page. Build it with `make web`, and then the program again. \
     The command line and the API work without it.\n";

/// Whether a path without a session may be asked for because it is a file of the page.
pub fn is_public(path: &str) -> bool {
    path == "/" || file_name(path).is_some_and(|name| Dist::iter().any(|file| file == name))
}

/// `GET /`
#[utoipa::path(get, path = "/", tag = "page", responses((status = 200, description = "The page, HTML", content_type = "text/html")))]
pub async fn index(request: HttpRequest) -> impl Responder {
    match file(&request, "index.html") {
        Some(response) => response,
        None => HttpResponse::Ok()
            .content_type("text/plain; charset=utf-8")
            .body(NOT_BUILT),
    }
}

/// Everything no route is for: a file of the page, or nothing.
pub async fn other(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    let found = file_name(request.path())
        .filter(|_| is_read)
        .and_then(|name| file(&request, name));
    found.ok_or_else(|| ApiError::not_found("address"))
}

fn file_name(path: &str) -> Option<&str> {
    path.strip_prefix('/')
        .filter(|name| !name.is_empty() && !name.starts_with("api/"))
}

fn file(request: &HttpRequest, name: &str) -> Option<HttpResponse> {
    // Only names from the list: in a debug build files come from the disk, and `get` alone would look there.
    let name = Dist::iter().find(|file| file == name)?;
    let file = Dist::get(&name)?;
    let tag: String = file
        .metadata
        .sha256_hash()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tag = format!("\"{tag}\"");
    let mut response = HttpResponse::Ok();
    // The build names its assets by their content; everything else keeps its name over updates.
    let is_hashed = name.starts_with("assets/");
    let cache = if is_hashed {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    response
        .insert_header((header::CACHE_CONTROL, cache))
        .insert_header((header::ETAG, tag.as_str()));
    let known = request
        .headers()
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    if known == Some(tag.as_str()) {
        return Some(
            response
                .status(actix_web::http::StatusCode::NOT_MODIFIED)
                .finish(),
        );
    }
    Some(
        response
            .content_type(content_type(&name))
            .body(file.data.into_owned()),
    )
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
