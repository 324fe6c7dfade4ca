//! The HTML of every page: one shell with the first page's data in it.

use crate::UiOptions;
use crate::assets;
use crate::respond;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};

const HTML: &str = "text/html; charset=utf-8";
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' \
height='32' rx='8' fill='%23115e59'/%3E%3Cg fill='none' stroke='%23fff' stroke-width='2.6' stroke-linecap='round'%3E%3Ccircle \
cx='16' cy='8.5' r='2.7'/%3E%3Cpath d='M16 11.5V26M10.500 15h11M6.500 18.500c.6 4.800 4.500 7.500 9.500 7.500s8.900-2.700 \
9.500-7.500'/%3E%3C/g%3E%3C/svg%3E";

/// The page around `data` (what the page's own address under `/ui/api` gives, or `{"error": …}`).
pub(crate) fn html(
    options: &UiOptions,
    request: &HeaderMap,
    status: StatusCode,
    data: &Value,
    nonce: &[u8],
) -> Response {
    let Some(manifest) = assets::manifest() else {
        return respond::compressed(request, status, HTML, assets::not_built().into_owned());
    };
    let boot = json!({
        "base": options.public_path,
        "namespace": options.default_namespace,
        "version": options.version,
        "data": data,
    });
    let boot = script_safe(&boot.to_string());
    let base = attribute(&options.public_path);

    let mut hasher = DefaultHasher::new();
    (&boot, &manifest.script, &manifest.style, &options.version).hash(&mut hasher);
    let etag = format!("W/\"{:x}\"", hasher.finish());
    if request.get(IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes() == etag.as_bytes()) {
        // Without a policy: the one that the browser keeps with its copy names the nonce that is in that copy.
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        header(&mut response, ETAG, &etag);
        header(&mut response, CACHE_CONTROL, "no-cache");
        header(&mut response, VARY, "accept-encoding");
        return response;
    }

    let nonce = STANDARD.encode(nonce);
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
<meta name=\"color-scheme\" content=\"light dark\"><title>Steadfast</title>\
<link rel=\"icon\" href=\"{ICON}\"><link rel=\"stylesheet\" href=\"{base}/assets/{style}\">\
<script type=\"application/json\" id=\"boot\" nonce=\"{nonce}\">{boot}</script>\
<script type=\"module\" nonce=\"{nonce}\" src=\"{base}/assets/{script}\"></script></head>\
<body><div id=\"app\"></div><noscript>These pages need JavaScript. The same is to be had from the temporal command \
line.</noscript></body></html>",
        style = manifest.style,
        script = manifest.script,
    );
    let mut response = respond::compressed(request, status, HTML, page.into_bytes());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    header(&mut response, CONTENT_SECURITY_POLICY, &policy);
    header(&mut response, CACHE_CONTROL, "no-cache");
    if status == StatusCode::OK {
        header(&mut response, ETAG, &etag);
    }
    response
}

fn header(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// JSON that cannot end the script element it stands in, nor start a comment.
fn script_safe(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_leave_its_script_element() {
        let safe = script_safe(&json!({ "id": "</script><!--<script>" }).to_string());
        assert!(!safe.contains('<') && !safe.contains('>'));
        assert_eq!(serde_json::from_str::<Value>(&safe).expect("still JSON")["id"], "</script><!--<script>");
    }
}
