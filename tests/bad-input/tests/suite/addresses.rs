//! Class 19: addresses that the server would be made to call. It calls none.

use bad_input_test::requests::*;
use bad_input_test::{Table, World};
use steadfast_api::v1::common::{Callback, callback};

pub async fn cases(_: &World, table: &mut Table) {
    table.class(19);
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:1/",
        "http://127.0.0.1:1/",
        "http://[::1]:1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://127.1/",
        "https://evil.example/",
        "http://user:password@localhost/",
        "file:///etc/passwd",
        "gopher://localhost:1/_x",
        "temporal://system",
        "javascript:alert(1)",
        "//localhost/",
        "",
    ] {
        let callbacks = || {
            let nexus = callback::Nexus { url: url.into(), ..Default::default() };
            vec![Callback { variant: Some(callback::Variant::Nexus(nexus)), ..Default::default() }]
        };
        table.invalid(
            &format!("a callback to {url:?}"),
            start(|r| r.completion_callbacks = callbacks()),
            "url",
        );
    }
    let unknown = vec![Callback::default()];
    let codes: &[&str] = &["Unimplemented", "InvalidArgument"];
    table.refused("a callback of no kind", start(|r| r.completion_callbacks = unknown), codes, "");
}
