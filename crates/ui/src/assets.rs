//! The built pages inside the program. Names are looked up in a fixed map, so no path can lead anywhere else; each name
//! carries a hash of its content, so a browser keeps it for good; each file was compressed when it was built.

use crate::respond::accepts;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use serde::Deserialize;
use std::borrow::Cow;

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/pages"]
struct Pages;

/// Which files a page loads, as the build wrote it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Manifest {
    pub script: String,
    pub style: String,
}

/// `None` if this program was built without the pages.
pub(crate) fn manifest() -> Option<Manifest> {
    serde_json::from_slice(&Pages::get("manifest.json")?.data).ok()
}

/// The page that says how to build the pages.
pub(crate) fn not_built() -> Cow<'static, [u8]> {
    Pages::get("not-built.html").map(|file| file.data).unwrap_or_default()
}

pub(crate) fn serve(name: &str, request: &HeaderMap) -> Response {
    let Some(kind) = content_type(name) else { return StatusCode::NOT_FOUND.into_response() };
    for (encoding, ending) in [("br", ".br"), ("gzip", ".gz")] {
        if accepts(request, encoding)
            && let Some(file) = Pages::get(&format!("{name}{ending}"))
        {
            return answer(file.data, kind, Some(encoding));
        }
    }
    match Pages::get(name) {
        Some(file) => answer(file.data, kind, None),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn content_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

fn answer(data: Cow<'static, [u8]>, kind: &'static str, encoding: Option<&'static str>) -> Response {
    let body = match data {
        Cow::Borrowed(data) => Body::from(data),
        Cow::Owned(data) => Body::from(data),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}
