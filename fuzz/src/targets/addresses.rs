//! Addresses that callbacks are to call: lines of rules (`+` in front lets them be called without TLS), then the URL.
//!
//! Promised beside: what is allowed is http or https, with a host, and without TLS only where a rule says so; without rules nothing
//! is allowed; and no name leads to what machines know about themselves.

use std::net::IpAddr;
use steadfast_machine::limits::AddressRule;
use steadfast_server::callbacks::address::{Reach, URL_BYTES, allowed};

pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines: Vec<&str> = text.split('\n').collect();
    let url = lines.pop().unwrap_or_default();
    let rules: Vec<AddressRule> = lines
        .iter()
        .map(|line| {
            let insecure = line.strip_prefix('+');
            AddressRule { pattern: insecure.unwrap_or(line).to_owned(), allow_insecure: insecure.is_some() }
        })
        .collect();
    assert!(allowed(url, &[]).is_err(), "nothing is configured");
    if let Ok((parsed, reach)) = allowed(url, &rules) {
        assert!(url.len() <= URL_BYTES && matches!(parsed.scheme(), "http" | "https"), "{parsed}");
        assert!(parsed.host_str().is_some_and(|host| !host.is_empty()), "{parsed}");
        let insecure = rules.iter().any(|rule| rule.allow_insecure);
        assert!(parsed.scheme() == "https" || insecure, "{parsed} without TLS");
        // What was allowed is allowed again as it is written then: what is called is what was looked at.
        if parsed.as_str().len() <= URL_BYTES {
            let again = allowed(parsed.as_str(), &rules);
            assert_eq!(again.ok(), Some((parsed, reach)), "it reads otherwise when it is written again");
        }
    }
    if let Some((bytes, _)) = input.split_first_chunk::<16>() {
        let address = IpAddr::from(*bytes);
        assert!(Reach::Private.permits(address) || !Reach::Public.permits(address), "{address}");
        let v4 = IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]);
        assert!(Reach::Private.permits(v4) || !Reach::Public.permits(v4), "{v4}");
        assert!(!(bytes[..2] == [169, 254] && Reach::Private.permits(v4)), "{v4}");
        assert!(!(bytes[0] == 10 && Reach::Public.permits(v4)), "{v4}");
    }
}
