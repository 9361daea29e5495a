//! Sealed segments by byte range. Ciphertext only: there is nothing else on the disk.

use std::io;
use std::sync::Arc;

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use hearthkeep_format::{SegmentId, StreamId};

use super::error::{ApiError, ErrorBody, sentence};
use super::footage::{OpenSegment, ReadAt, SegmentIndex};
use super::house::{House, blocking};
use super::range::{self, Wanted};
use super::streams::stream_id;
use crate::limits::READ_PIECE_BYTES_MAX;
use crate::store;

/// `GET /api/v1/segments/{stream}/{segment}`
#[utoipa::path(get, path = "/api/v1/segments/{stream}/{segment}", tag = "footage",
    params(("stream" = String, Path, description = "32 hex digits"), ("segment" = String, Path, description = "32 hex digits"),
        ("Range" = Option<String>, Header, description = "One range of bytes")),
    responses((status = 200, description = "The sealed segment", content_type = "application/octet-stream"),
        (status = 206, description = "The range asked for", content_type = "application/octet-stream"),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody, description = "It is on a disk that is not here"),
        (status = 416, body = ErrorBody, description = "The range begins beyond the end")))]
pub async fn segment(
    request: HttpRequest,
    house: web::Data<House>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (stream, segment) = ids(&path)?;
    let found = blocking(move || {
        let found = house
            .footage
            .segment(stream, segment)
            .map_err(|error| unreadable(&*error))?;
        found.ok_or_else(|| ApiError::not_found("segment"))
    });
    let OpenSegment {
        bytes,
        length,
        open,
    } = found.await?;
    let tag = format!("\"{segment}\"");
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .content_type("application/octet-stream");
    if !open {
        // A whole segment never changes. Vary, so that a browser whose cookie is gone asks again, and is refused.
        response.insert_header((
            header::CACHE_CONTROL,
            "private, max-age=31536000, immutable",
        ));
        response
            .insert_header((header::VARY, "Cookie"))
            .insert_header((header::ETAG, tag.as_str()));
    }
    let (from, to) = match wanted(request.headers(), length, &tag) {
        Wanted::Whole => (0, length),
        Wanted::Part(from, to) => {
            let range = format!("bytes {from}-{}/{length}", to - 1);
            response
                .status(StatusCode::PARTIAL_CONTENT)
                .insert_header((header::CONTENT_RANGE, range));
            (from, to)
        }
        Wanted::Unsatisfiable => return Ok(unsatisfiable(length)),
    };
    Ok(response.body(SizedStream::new(to - from, pieces(bytes, from, to))))
}

/// `GET /api/v1/segments/{stream}/{segment}/index`
#[utoipa::path(get, path = "/api/v1/segments/{stream}/{segment}/index", tag = "footage",
    params(("stream" = String, Path, description = "32 hex digits"), ("segment" = String, Path, description = "32 hex digits")),
    responses((status = 200, body = SegmentIndex), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "It is on a disk that is not here")))]
pub async fn index(
    house: web::Data<House>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (stream, segment) = ids(&path)?;
    let index = blocking(move || {
        let found = house
            .footage
            .index(stream, segment)
            .map_err(|error| unreadable(&*error))?;
        found.ok_or_else(|| ApiError::not_found("segment"))
    });
    Ok(HttpResponse::Ok().json(index.await?))
}

/// What is on a disk that is not here is no fault of the box, and somebody can plug it in.
fn unreadable(error: &(dyn std::error::Error + Send + Sync + 'static)) -> ApiError {
    match error.downcast_ref() {
        Some(away @ store::Error::Away { .. }) => {
            ApiError::new(StatusCode::CONFLICT, "disk-away", sentence(away))
        }
        _ => ApiError::internal(&error),
    }
}

/// Only ids reach the disk: a path cannot be spelt with 32 hex digits.
fn ids((stream, segment): &(String, String)) -> Result<(StreamId, SegmentId), ApiError> {
    let segment = SegmentId::from_hex(segment).ok_or_else(|| ApiError::not_found("segment"))?;
    Ok((stream_id(stream)?, segment))
}

fn wanted(headers: &HeaderMap, length: u64, tag: &str) -> Wanted {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_same = headers
        .get(header::IF_RANGE)
        .is_none_or(|value| value.as_bytes() == tag.as_bytes());
    match text(header::RANGE) {
        Some(range) if is_same => range::parse(range, length),
        _ => Wanted::Whole,
    }
}

fn unsatisfiable(length: u64) -> HttpResponse {
    let message = format!("The segment has {length} bytes. Ask for its index again.");
    let error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", message);
    let mut response = actix_web::ResponseError::error_response(&error);
    let range = header::HeaderValue::from_str(&format!("bytes */{length}"));
    response.headers_mut().insert(
        header::CONTENT_RANGE,
        range.expect("digits are a header's characters"),
    );
    response
}

/// Reads piece by piece as the client takes them, on threads that may wait for a disk.
fn pieces(bytes: Arc<dyn ReadAt>, from: u64, to: u64) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold((bytes, from), move |(bytes, at)| async move {
        if at == to {
            return Ok(None);
        }
        let length = (to - at).min(READ_PIECE_BYTES_MAX);
        let reading = bytes.clone();
        let piece = web::block(move || read_piece(&*reading, at, length as usize));
        let piece = piece.await.map_err(io::Error::other)??;
        let next = at + piece.len() as u64;
        Ok(Some((piece, (bytes, next))))
    })
}

fn read_piece(bytes: &dyn ReadAt, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; length];
    let read = bytes.read_at(&mut buffer, offset)?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    buffer.truncate(read);
    Ok(buffer.into())
}
