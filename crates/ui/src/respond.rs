//! Answers made on the spot: JSON and HTML, compressed where the browser takes it.

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::io::Write;

/// Below this a compressed answer is hardly shorter.
const WORTHWHILE: usize = 1024;

pub(crate) fn json(request: &HeaderMap, status: StatusCode, value: &Value) -> Response {
    compressed(request, status, "application/json", value.to_string().into_bytes())
}

/// Not to be kept by any cache, unless the caller says otherwise afterwards.
pub(crate) fn compressed(
    request: &HeaderMap,
    status: StatusCode,
    kind: &'static str,
    body: Vec<u8>,
) -> Response {
    let zipped = (body.len() >= WORTHWHILE && accepts(request, "gzip")).then(|| gzip(&body)).flatten();
    let encoded = zipped.is_some();
    let mut response = Response::new(Body::from(zipped.unwrap_or(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if encoded {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Whether the browser takes this encoding.
pub(crate) fn accepts(request: &HeaderMap, encoding: &str) -> bool {
    let offered = request.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    offered.split(',').any(|one| {
        let mut parts = one.split(';').map(str::trim);
        parts.next() == Some(encoding)
            && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(5));
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}
