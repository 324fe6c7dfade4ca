//! What the pages answer while nothing answers them: everything that does not depend on the server behind them.

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use std::sync::Arc;
use steadfast_api::v1::workflowservice::workflow_service_client::WorkflowServiceClient;
use steadfast_ui::{Changes, UiOptions, router};
use tokio::sync::watch;
use tower::ServiceExt;

struct Never(watch::Receiver<u64>);

impl Changes for Never {
    fn changes(&self, _namespace: &str) -> watch::Receiver<u64> {
        self.0.clone()
    }
}

async fn ask(public_path: &str, request: Request<Body>) -> Response<Body> {
    // Port 9 is the discard service, which nobody runs.
    let nobody = tonic::transport::Endpoint::from_static("http://127.0.0.1:9").connect_lazy();
    let options = UiOptions { public_path: public_path.into(), ..UiOptions::default() };
    let (_sender, changes) = watch::channel(0);
    let router = router(options, WorkflowServiceClient::new(nobody), Arc::new(Never(changes)));
    router.oneshot(request).await.expect("a router does not fail")
}

fn get(path: &str) -> Request<Body> {
    Request::builder()
        .uri(path)
        .header("host", "localhost:8080")
        .body(Body::empty())
        .expect("a fixed request")
}

async fn text(response: Response<Body>) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("a body in memory");
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn health_needs_no_host_name() {
    for (public_path, path) in [("", "/healthz"), ("/x/y", "/healthz"), ("/x/y", "/x/y/healthz")] {
        let response =
            ask(public_path, Request::get(path).body(Body::empty()).expect("a fixed request")).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(text(response).await, r#"{"status":"OK"}"#);
    }
}

#[tokio::test]
async fn every_way_in_leads_to_the_list() {
    for (public_path, path, to) in [
        ("", "/", "/namespaces/default/workflows"),
        ("", "/namespaces/a%2Fb", "/namespaces/a%2Fb/workflows"),
        ("/x/y", "/x/y", "/x/y/namespaces/default/workflows"),
        ("/x/y/", "/x/y/", "/x/y/namespaces/default/workflows"),
        ("/x/y", "/", "/x/y/namespaces/default/workflows"),
    ] {
        let response = ask(public_path, get(path)).await;
        assert_eq!(response.headers().get("location").map(|to| to.as_bytes()), Some(to.as_bytes()), "{path}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_an_error_in_words() {
    let response = ask("", get("/ui/api/namespaces/default/workflows")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(text(response).await.contains(r#""code":"Unavailable""#));
}

#[tokio::test]
async fn no_path_leads_out_of_the_pages() {
    for path in [
        "/assets/..%2f..%2fCargo.toml",
        "/assets/manifest.json",
        "/assets/not-built.html",
        "/assets/%2e%2e",
        "/assets/a.js",
    ] {
        assert_eq!(ask("", get(path)).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn strangers_are_refused() {
    let request = Request::builder().uri("/").header("host", "evil.example").body(Body::empty());
    assert_eq!(ask("", request.expect("a fixed request")).await.status(), StatusCode::FORBIDDEN);
    let terminate =
        Request::post("/ui/api/namespaces/default/workflows/a/b/terminate").header("host", "localhost");
    let plain = terminate.header("content-type", "text/plain").body(Body::from("{}"));
    assert_eq!(ask("", plain.expect("a fixed request")).await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn an_argument_that_is_no_json_is_refused_before_the_server_is_asked() {
    let request = Request::post("/ui/api/namespaces/default/workflows/a/b/signal")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Body::from(r#"{"name":"go","input":["{nope"]}"#));
    let response = ask("", request.expect("a fixed request")).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(text(response).await.contains("argument 1 is not JSON"));
}
