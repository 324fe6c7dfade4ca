//! Who may ask, and what a browser may do with the answer.
//!
//! A server on a developer's machine is reached by every page that the developer's browser shows. Two things keep those
//! out: the Host check (a foreign name that was re-bound to this machine's address is refused) and the check of every
//! change (JSON content type, which a foreign page cannot send without being asked first, and the same origin).

use crate::UiOptions;
use crate::error::Problem;
use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_TYPE, HOST, HeaderValue, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A change, with its body, has come and is answered within this: longer than the longest wait for a worker.
const LONGEST_CHANGE: Duration = Duration::from_secs(60);

pub(crate) async fn guard(State(options): State<Arc<UiOptions>>, request: Request, next: Next) -> Response {
    let mut response = match refuse(&options, &request) {
        Some(problem) => problem.into_response(),
        None if reads(request.method()) => next.run(request).await,
        None => match timeout(LONGEST_CHANGE, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "DeadlineExceeded", "that took too long")
                .into_response(),
        },
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn refuse(options: &UiOptions, request: &Request) -> Option<Problem> {
    let forbidden = |message: String| Some(Problem::new(StatusCode::FORBIDDEN, "PermissionDenied", message));
    let host = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => text(request.headers(), HOST.as_str()).unwrap_or_default(),
    };
    if !host_allowed(options, host) {
        return forbidden(format!("the host name in {host:?} is not one that this server answers to"));
    }
    if reads(request.method()) {
        return None;
    }
    let content = text(request.headers(), CONTENT_TYPE.as_str()).unwrap_or_default();
    if content.split(';').next().is_none_or(|kind| !kind.trim().eq_ignore_ascii_case("application/json")) {
        return Some(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "InvalidArgument",
            "send application/json",
        ));
    }
    if !same_origin(request.headers(), host) {
        return forbidden("changes are only taken from the server's own pages".to_owned());
    }
    None
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn host_allowed(options: &UiOptions, host: &str) -> bool {
    let name = without_port(host).trim_end_matches('.').to_ascii_lowercase();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || name == "localhost"
        || name.ends_with(".localhost")
        || options.allowed_hosts.contains(&name)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

/// Browsers always name the origin of a change; a caller that names none is no browser, and is nobody's page.
fn same_origin(headers: &HeaderMap, host: &str) -> bool {
    if text(headers, "sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return false;
    }
    match headers.get(ORIGIN) {
        None => true,
        Some(origin) => origin
            .to_str()
            .ok()
            .and_then(|origin| origin.split_once("://"))
            .is_some_and(|(_, from)| from.eq_ignore_ascii_case(host)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn check(host: &str) -> bool {
        let options =
            UiOptions { allowed_hosts: ["steadfast.example.com".to_owned()].into(), ..Default::default() };
        host_allowed(&options, host)
    }

    #[test]
    fn only_own_names_and_addresses_are_answered() {
        for host in [
            "localhost",
            "localhost:8080",
            "LOCALHOST.",
            "a.localhost:1",
            "127.0.0.1:80",
            "[::1]:8080",
            "10.0.0.3",
            "steadfast.example.com:443",
        ] {
            assert!(check(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "127.0.0.1.evil.example",
            "[::1].evil",
        ] {
            assert!(!check(host), "{host}");
        }
    }

    #[track_caller]
    fn check_post(headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method("POST").uri("/x").header("host", "localhost:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        refuse(&UiOptions::default(), &request.body(Body::empty()).expect("a fixed request")).is_none()
    }

    #[test]
    fn a_change_needs_json_and_the_same_origin() {
        let json = ("content-type", "application/json");
        assert!(check_post(&[json]));
        assert!(check_post(&[json, ("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")]));
        assert!(!check_post(&[]));
        assert!(!check_post(&[("content-type", "text/plain")]));
        assert!(!check_post(&[json, ("origin", "http://localhost:3000")]));
        assert!(!check_post(&[json, ("origin", "null")]));
        assert!(!check_post(&[json, ("sec-fetch-site", "cross-site")]));
        assert!(!check_post(&[json, ("sec-fetch-site", "same-site")]));
    }
}
