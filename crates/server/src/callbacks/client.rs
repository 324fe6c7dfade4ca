//! The call of a callback: one POST on a connection of its own, to an address that was looked at before it is used. It
//! follows no redirect, keeps nothing open, and reads only so much of the answer.

use super::{address, completion};
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use steadfast_api::v1::common::callback;
use steadfast_engine::{Call, Courier};
use steadfast_machine::limits::AddressRule;
use steadfast_machine::workflow::input::CallEnd;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use url::{Host, Url};

/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 << 10;

/// Calls over HTTP.
pub struct HttpCourier {
    rules: Vec<AddressRule>,
    /// Made when an address with TLS is first called: it holds the certificates that the system trusts.
    tls: OnceLock<Result<TlsConnector, String>>,
}

impl HttpCourier {
    pub fn new(rules: Vec<AddressRule>) -> HttpCourier {
        HttpCourier { rules, tls: OnceLock::new() }
    }

    async fn post(&self, call: &Call) -> Result<Answer, CallEnd> {
        let url = match &call.callback.variant {
            Some(callback::Variant::Nexus(nexus)) => nexus.url.as_str(),
            _ => return Err(for_good("unknown callback variant".into())),
        };
        let passing =
            |what: String| CallEnd::Failed { message: format!("Post {url:?}: {what}"), retryable: true };
        // The rules may have changed since the callback was attached, and may change again.
        let (url, reach) =
            address::allowed(url, &self.rules).map_err(|reject| passing(reject.message().to_owned()))?;
        let (headers, body) = completion::request(call).map_err(for_good)?;
        let stream = connect(&url, reach).await.map_err(passing)?;
        let request = request(&url, headers, body).map_err(for_good)?;
        let answer = if url.scheme() == "https" {
            let tls = self.tls.get_or_init(tls).as_ref().map_err(|error| passing(error.clone()))?;
            let name = ServerName::try_from(host(&url)).map_err(|error| for_good(error.to_string()))?;
            let stream = tls.connect(name, stream).await.map_err(|error| passing(error.to_string()))?;
            send(TokioIo::new(stream), request).await
        } else {
            send(TokioIo::new(stream), request).await
        };
        answer.map_err(passing)
    }
}

#[async_trait]
impl Courier for HttpCourier {
    async fn call(&self, call: Call) -> CallEnd {
        match self.post(&call).await {
            Ok(answer) => answer.end(),
            Err(end) => end,
        }
    }
}

fn for_good(message: String) -> CallEnd {
    CallEnd::Failed { message, retryable: false }
}

/// The host without the brackets that an IPv6 address has in a URL.
fn host(url: &Url) -> String {
    match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => String::new(),
    }
}

/// A connection to the first address that answers, of those that the host may lead to.
async fn connect(url: &Url, reach: address::Reach) -> Result<TcpStream, String> {
    let port = url.port_or_known_default().unwrap_or(443);
    let found = tokio::net::lookup_host((host(url), port)).await;
    let found = found.map_err(|error| format!("lookup {}: {error}", host(url)))?;
    let (may, may_not): (Vec<SocketAddr>, Vec<SocketAddr>) =
        found.partition(|found| reach.permits(found.ip()));
    let mut problem = match may_not.first() {
        Some(address) => format!("{} leads to {}, which may not be called", host(url), address.ip()),
        None => format!("lookup {}: no such host", host(url)),
    };
    for address in may {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => problem = format!("dial tcp {address}: {error}"),
        }
    }
    Err(problem)
}

fn tls() -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn request(url: &Url, headers: HeaderMap, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::try_from(path).map_err(|error| error.to_string())?;
    *request.headers_mut() = headers;
    let authority = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    request.headers_mut().insert(HOST, HeaderValue::try_from(authority).map_err(|error| error.to_string())?);
    Ok(request)
}

async fn send<Io>(io: Io, request: Request<Full<Bytes>>) -> Result<Answer, String>
where
    Io: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(io).await.map_err(|error| error.to_string())?;
    // It ends with this call: nothing is kept for another one.
    let mut running = JoinSet::new();
    running.spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let (head, body) = response.into_parts();
    if head.status.is_success() {
        return Ok(Answer { status: head.status, headers: head.headers, body: Bytes::new() });
    }
    let body = Limited::new(body, ANSWER_BYTES).collect().await;
    // A body that is too long, or breaks off, only costs the text of the error.
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    Ok(Answer { status: head.status, headers: head.headers, body })
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// A failure as a handler tells it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ToldFailure {
    message: String,
    metadata: std::collections::BTreeMap<String, String>,
    details: ToldDetails,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ToldDetails {
    r#type: String,
    retryable_override: Option<bool>,
}

impl Answer {
    /// What the answer means for the callback.
    fn end(&self) -> CallEnd {
        if self.status.is_success() {
            return CallEnd::Succeeded;
        }
        let json = self.headers.get(CONTENT_TYPE).is_some_and(|kind| {
            kind.to_str()
                .is_ok_and(|kind| kind.split(';').next().unwrap_or_default().trim() == "application/json")
        });
        let told = if json {
            serde_json::from_slice(&self.body).unwrap_or_default()
        } else {
            ToldFailure::default()
        };
        if told.metadata.get("type").is_some_and(|kind| kind == "nexus.HandlerError") {
            return handler_error(&told.details.r#type, &told.message, told.details.retryable_override);
        }
        let asked = self.headers.get("nexus-request-retryable").and_then(|value| value.to_str().ok());
        let retryable = match asked.map(str::to_ascii_lowercase).as_deref() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        match kind(self.status) {
            Some(kind) => handler_error(kind, "", retryable),
            None => {
                let mut message = format!("unexpected response status: \"{}\"", self.status);
                if !told.message.is_empty() {
                    message = format!("{message}: {}", told.message);
                }
                CallEnd::Failed { message, retryable: true }
            }
        }
    }
}

fn handler_error(kind: &str, message: &str, retryable: Option<bool>) -> CallEnd {
    let kind = if kind.is_empty() { "INTERNAL" } else { kind };
    let by_kind = !matches!(
        kind,
        "BAD_REQUEST" | "UNAUTHENTICATED" | "UNAUTHORIZED" | "NOT_FOUND" | "NOT_IMPLEMENTED" | "CONFLICT"
    );
    let text = if message.is_empty() { String::new() } else { format!(": {message}") };
    CallEnd::Failed {
        message: format!("handler error ({kind}){text}"),
        retryable: retryable.unwrap_or(by_kind),
    }
}

fn kind(status: StatusCode) -> Option<&'static str> {
    Some(match status.as_u16() {
        400 => "BAD_REQUEST",
        401 => "UNAUTHENTICATED",
        403 => "UNAUTHORIZED",
        404 => "NOT_FOUND",
        408 => "REQUEST_TIMEOUT",
        409 => "CONFLICT",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        501 => "NOT_IMPLEMENTED",
        503 => "UNAVAILABLE",
        520 => "UPSTREAM_TIMEOUT",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> CallEnd {
        let status = StatusCode::from_u16(status).expect("a status");
        let headers = headers
            .iter()
            .map(|&(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
        Answer { status, headers: headers.collect(), body: Bytes::from_static(body.as_bytes()) }.end()
    }

    fn failed(message: &str, retryable: bool) -> CallEnd {
        CallEnd::Failed { message: message.into(), retryable }
    }

    #[test]
    fn a_status_says_whether_to_try_again() {
        assert_eq!(end(204, &[], ""), CallEnd::Succeeded);
        assert_eq!(end(404, &[], "sorry"), failed("handler error (NOT_FOUND)", false));
        assert_eq!(end(429, &[], ""), failed("handler error (RESOURCE_EXHAUSTED)", true));
        assert_eq!(end(520, &[], ""), failed("handler error (UPSTREAM_TIMEOUT)", true));
        assert_eq!(end(302, &[], ""), failed("unexpected response status: \"302 Found\"", true));
        assert_eq!(
            end(500, &[("nexus-request-retryable", "false")], ""),
            failed("handler error (INTERNAL)", false)
        );
    }

    #[test]
    fn a_handler_may_say_it_itself() {
        let json = [("content-type", "application/json")];
        let told = r#"{"message":"no","metadata":{"type":"nexus.HandlerError"},"details":{"type":"CONFLICT","retryableOverride":true}}"#;
        assert_eq!(end(500, &json, told), failed("handler error (CONFLICT): no", true));
        assert_eq!(end(400, &json, r#"{"message":"no"}"#), failed("handler error (BAD_REQUEST)", false));
        assert_eq!(end(500, &json, "{{{"), failed("handler error (INTERNAL)", true));
        assert_eq!(
            end(418, &json, r#"{"message":"no"}"#),
            failed("unexpected response status: \"418 I'm a teapot\": no", true)
        );
    }
}
