//! Classes 15 to 18: what a hostile page, or somebody on the network, sends to the web pages.

use bad_input_test::pages::{get, post, send_to};
use bad_input_test::requests::*;
use bad_input_test::{Answer, Expect, Table, World, pages};
use std::sync::Arc;

const FORBIDDEN: &[&str] = &["HTTP 403"];
const BAD: &[&str] = &["HTTP 400", "HTTP 404"];
const RUN: &str = "/ui/api/namespaces/default/workflows/open/00000000-0000-0000-0000-000000000000";

pub async fn cases(world: &World, table: &mut Table) {
    paths(table);
    scripts(world, table).await;
    origins(table);
    hosts(table);
    bodies(table);
}

/// Class 15.
fn paths(table: &mut Table) {
    table.class(15);
    for path in [
        "/assets/../Cargo.toml",
        "/assets/../../../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/assets/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/assets/..%2f..%2fetc%2fpasswd.js",
        "/assets/..%5c..%5cetc%5cpasswd.js",
        "/assets/..\\..\\etc\\passwd.js",
        "/assets/%252e%252e%252fetc%252fpasswd.js",
        "/assets/%00.js",
        "/assets/app.js%00.css",
        "/assets/%c0%ae%c0%ae/etc/passwd.js",
        "/assets//etc/passwd.js",
        "/assets/manifest.json",
        "/assets/",
        "/assets/.js",
        "/../../../etc/passwd",
        "//etc/passwd",
        "/etc/passwd",
        "/.git/config",
        "/ui/api/../../etc/passwd",
        "/ui/api/nothing",
    ] {
        table.page(&format!("GET {path}"), get(path), BAD, "");
    }
    table.page("a path of 100 KB", get(&format!("/assets/{}.js", "a".repeat(100_000))), TOO_LONG, "");
    let long = format!("/namespaces/{}/workflows", "n".repeat(8000));
    table.page("a namespace of 8 KB", get(&long), &["HTTP 400", "HTTP 200"], "");
    let invalid = "/ui/api/namespaces/%ff/workflows";
    table.page("a namespace that is no UTF-8", get(invalid), BAD, "");
    let invalid = "/ui/api/namespaces/default/workflows/%ff";
    table.page("a workflow id that is no UTF-8", get(invalid), BAD, "");
    let nul = "/ui/api/namespaces/default/workflows/a%00b";
    table.page("a workflow id with a NUL", get(nul), BAD, "");
    table.page("a run id that is none", get("/ui/api/namespaces/default/workflows/open/never"), BAD, "");
    let events = format!("{RUN}/events");
    table.page("an event that is no number", get(&format!("{events}/one")), BAD, "");
    table.page("event -2^63", get(&format!("{events}/-9223372036854775808")), BAD, "");
    table.page("event 2^63", get(&format!("{events}/9223372036854775808")), BAD, "");
    table.page("around event -2^63", get(&format!("{RUN}/history?around=-9223372036854775808")), BAD, "");
    table.page(
        "a page token that is no base64",
        get("/ui/api/namespaces/default/workflows?page=%21"),
        BAD,
        "",
    );
    table.page(
        "a page token that is made up",
        get("/ui/api/namespaces/default/workflows?page=AAAA"),
        BAD,
        "",
    );
    table.page("a query that is none", get("/ui/api/namespaces/default/workflows?query=%28"), BAD, "");
    let long = format!("/ui/api/namespaces/default/workflows?query={}", "a".repeat(20_000));
    table.page("a query over 16 KiB", get(&long), BAD, "16 KiB");
    table.page("a parameter twice", get("/ui/api/namespaces/default/workflows?query=a&query=b"), BAD, "");
    table.page(
        "a parameter that is no UTF-8",
        get("/ui/api/namespaces/default/workflows?query=%ff"),
        BAD,
        "",
    );
}

const TOO_LONG: &[&str] = &["HTTP 404", "HTTP 414", "HTTP 431", "HTTP 400"];

/// Class 16: names that are scripts come back as text, under a policy that would not let them run.
async fn scripts(world: &World, table: &mut Table) {
    table.class(16);
    const SCRIPT: &str = "</script><script>alert(1)</script>";
    const IMAGE: &str = "\"><img src=x onerror=alert(1)>";
    const LINK: &str = "javascript:alert(1)";
    for (what, text) in [("script", SCRIPT), ("image", IMAGE), ("link", LINK)] {
        let id = format!("{text}{what}");
        world
            .start(start(|request| {
                request.workflow_id = id.clone();
                request.workflow_type = Some(workflow_type(text));
                request.identity = text.into();
                request.input = payloads(format!("\"{text}\""));
            }))
            .await;
        let path = format!("/namespaces/default/workflows/{}", encoded(&id));
        shown(table, &format!("a {what} as a workflow's id, type, identity and input"), path);
        shown(table, &format!("a {what} as a namespace"), format!("/namespaces/{}/workflows", encoded(text)));
        shown(
            table,
            &format!("a {what} as a queue"),
            format!("/namespaces/default/task-queues/{}", encoded(text)),
        );
        let query = format!("/namespaces/default/workflows?query={}", encoded(text));
        shown(table, &format!("a {what} as a query"), query);
        shown(table, &format!("a {what} as an address"), format!("/{}", encoded(text)));
        let data = format!("/ui/api/namespaces/default/workflows/{}", encoded(&id));
        let expect = Expect { codes: &["Ok"], text: "", may_write: false };
        table.act(&format!("a {what} in the data of a page"), expect, move |world: Arc<World>| async move {
            let answer = pages::send(&world, get(&data).as_bytes()).await;
            let text = answer.text.to_ascii_lowercase();
            let json = text.contains("content-type: application/json") && text.contains("nosniff");
            Answer::from_result(if json { Ok(()) } else { Err(answer.text) })
        });
    }
    shown(table, "the list itself", "/namespaces/default/workflows".into());
    shown(table, "a page that is not there", "/nothing/here".into());
}

/// A page with these names in it holds no element of theirs, and the headers that keep a browser from running any.
fn shown(table: &mut Table, name: &str, path: String) {
    let expect = Expect { codes: &["Ok"], text: "", may_write: false };
    table.act(name, expect, move |world: Arc<World>| async move {
        let answer = pages::send(&world, get(&path).as_bytes()).await;
        let (head, body) = answer.text.split_once("\r\n\r\n").unwrap_or((&answer.text, ""));
        let head = head.to_ascii_lowercase();
        // A program that was built without the pages says so, on a page that holds nothing of the request.
        let built = !body.contains("not built") && body.contains("id=\"boot\"");
        let policy = ["content-security-policy", "frame-ancestors 'none'", "default-src 'none'"];
        let always =
            ["x-content-type-options: nosniff", "x-frame-options: deny", "referrer-policy: no-referrer"];
        let wanted = always.iter().chain(policy.iter().filter(|_| built));
        let missing: Vec<&&str> = wanted.filter(|part| !head.contains(**part)).collect();
        Answer::from_result(if body.contains("<img") || body.contains("alert(1)</script>") {
            Err(format!("an element came through: {body}"))
        } else if !missing.is_empty() {
            Err(format!("missing {missing:?} in {head}"))
        } else {
            Ok(())
        })
    });
}

/// Class 17.
fn origins(table: &mut Table) {
    table.class(17);
    const LOCAL: &str = "Host: localhost\nContent-Type: application/json";
    for action in ["signal", "cancel", "terminate", "query"] {
        let path = format!("{RUN}/{action}");
        let body = r#"{"name":"go"}"#;
        let mut row = |what: &str, lines: &str, codes| {
            table.page(&format!("{action} {what}"), post(&path, lines, body), codes, "");
        };
        row("as text/plain", "Host: localhost\nContent-Type: text/plain", &["HTTP 415"]);
        row("as a form", "Host: localhost\nContent-Type: application/x-www-form-urlencoded", &["HTTP 415"]);
        row("without a type", "Host: localhost", &["HTTP 415"]);
        row(
            "as JSON that is text",
            "Host: localhost\nContent-Type: text/plain; application/json",
            &["HTTP 415"],
        );
        row("from another origin", &format!("{LOCAL}\nOrigin: http://evil.example"), FORBIDDEN);
        row("from another port", &format!("{LOCAL}\nOrigin: http://localhost:1"), FORBIDDEN);
        row("from a sandbox", &format!("{LOCAL}\nOrigin: null"), FORBIDDEN);
        row("from another site", &format!("{LOCAL}\nSec-Fetch-Site: cross-site"), FORBIDDEN);
        row("by GET", LOCAL, &["HTTP 404", "HTTP 405", "HTTP 400", "HTTP 422"]);
    }
    table.page("a form's override", get(&format!("{RUN}/terminate?_method=POST")), &["HTTP 405"], "");
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "FOO"] {
        let request = format!("{method} {RUN}/terminate HTTP/1.1\nHost: localhost\nConnection: close\n\n");
        table.page(method, request, &["HTTP 405", "HTTP 415", "HTTP 403", "HTTP 400", "HTTP 404"], "");
    }
    let preflight = format!(
        "OPTIONS {RUN}/terminate HTTP/1.1\nHost: localhost\nOrigin: http://evil.example\n\
         Access-Control-Request-Method: POST\nConnection: close\n\n"
    );
    let expect = Expect { codes: &["Ok"], text: "", may_write: false };
    table.act("a preflight gets no permission", expect, |world: Arc<World>| async move {
        let answer = pages::send(&world, preflight.as_bytes()).await;
        let granted = answer.text.to_ascii_lowercase().contains("access-control-allow");
        Answer::from_result(if granted { Err(answer.text) } else { Ok(()) })
    });
}

/// Class 18.
fn hosts(table: &mut Table) {
    table.class(18);
    for host in [
        "evil.example",
        "evil.example:8233",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil-localhost",
        "evil.example#localhost",
        "localhost@evil.example",
        "evil.example/localhost",
        "xn--lcalhost-54a",
        "",
        " ",
    ] {
        let request =
            format!("GET /namespaces/default/workflows HTTP/1.1\nHost: {host}\nConnection: close\n\n");
        table.page(&format!("host {host:?}"), request, &["HTTP 403", "HTTP 400"], "");
    }
    let request = "GET http://evil.example/ HTTP/1.1\nHost: localhost\nConnection: close\n\n";
    table.page("a foreign name in the first line", request, FORBIDDEN, "");
    table.page(
        "two hosts",
        "GET / HTTP/1.1\nHost: localhost\nHost: evil.example\nConnection: close\n\n",
        HOSTS,
        "",
    );
    table.page("no host in HTTP/1.0", "GET / HTTP/1.0\n\n", &["HTTP 403", "HTTP 400"], "");
    let data = "GET /ui/api/namespaces HTTP/1.1\nHost: evil.example\nConnection: close\n\n";
    table.page("data under a foreign name", data, FORBIDDEN, "");
    let live = "GET /ui/api/namespaces/default/live HTTP/1.1\nHost: evil.example\nConnection: close\n\n";
    table.page("live data under a foreign name", live, FORBIDDEN, "");
}

/// The first of two hosts is the one that counts, here and in every browser; what must not be is a crash.
const HOSTS: &[&str] = &["HTTP 307", "HTTP 400", "HTTP 403"];

/// Bodies and heads that are no HTTP, or no JSON (class 5, and 1 for their size).
fn bodies(table: &mut Table) {
    table.class(5);
    const LOCAL: &str = "Host: localhost\nContent-Type: application/json";
    let path = format!("{RUN}/signal");
    let refused: &[&str] = &["HTTP 400", "HTTP 422"];
    for (what, body) in [
        ("nothing", String::new()),
        ("no JSON", "{".into()),
        ("an array", "[]".into()),
        ("a number for the name", r#"{"name":1}"#.into()),
        ("JSON 200,000 deep", format!("{}{}", "[".repeat(200_000), "]".repeat(200_000))),
        ("JSON 200,000 objects deep", r#"{"a":"#.repeat(200_000)),
        ("half a surrogate pair", r#"{"name":"\ud800"}"#.into()),
        ("an argument that is no JSON", r#"{"name":"go","input":["{"]}"#.into()),
        ("an argument 100,000 deep", format!(r#"{{"name":"go","input":["{}"]}}"#, "[".repeat(100_000))),
    ] {
        table.page(&format!("a body that is {what}"), post(&path, LOCAL, &body), refused, "");
    }
    table.class(1);
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(5 << 20));
    table.page("a body of 5 MB", post(&path, LOCAL, &large), &["HTTP 413"], "");
    table.page(
        "a header of 1 MB",
        format!("GET / HTTP/1.1\nHost: localhost\nX: {}\n\n", "x".repeat(1 << 20)),
        HEAD,
        "",
    );
    let many: String = (0..1000).map(|at| format!("X-{at}: 1\n")).collect();
    table.page("1,000 headers", format!("GET / HTTP/1.1\nHost: localhost\n{many}\n"), HEAD, "");
    table.class(5);
    for (what, request) in [
        ("no HTTP at all", "hello\n\n".to_owned()),
        ("a version that is none", "GET / HTTP/9.9\nHost: localhost\n\n".into()),
        ("a header without a name", "GET / HTTP/1.1\nHost: localhost\n: x\n\n".into()),
        ("a NUL in a header", "GET / HTTP/1.1\nHost: localhost\nX: a\0b\n\n".into()),
        (
            "two lengths",
            "POST / HTTP/1.1\nHost: localhost\nContent-Length: 1\nContent-Length: 2\n\nab".into(),
        ),
        ("a negative length", "POST / HTTP/1.1\nHost: localhost\nContent-Length: -1\n\n".into()),
        ("a chunk that is none", CHUNK.replace("SIZE", "xyz")),
        ("a chunk that overflows", CHUNK.replace("SIZE", "fffffffffffffffff")),
    ] {
        table.page(&format!("a request with {what}"), request, ANY_REFUSAL, "");
    }
    let expect = Expect { codes: &["HTTP 400", "Closed"], text: "", may_write: false };
    table.act("the first bytes of TLS", expect, |world: Arc<World>| async move {
        let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 505]].concat();
        send_to(world.server_addresses().1, &hello).await
    });
}

const HEAD: &[&str] = &["HTTP 431", "HTTP 400"];
const ANY_REFUSAL: &[&str] = &["HTTP 400", "HTTP 415", "HTTP 505", "Closed"];
const CHUNK: &str = "POST /ui/api/namespaces/default/workflows/open/x/signal HTTP/1.1\nHost: localhost\n\
Content-Type: application/json\nTransfer-Encoding: chunked\n\nSIZE\r\n{}\r\n0\r\n\r\n";

/// As one segment of a path or one value of a query.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
