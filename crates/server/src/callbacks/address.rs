//! Which addresses may be called. A server that calls any URL it is told is a way into the network that it stands in: no
//! address is allowed that is not configured, and names are not trusted to lead where they should.
//!
//! Whoever wrote a rule knows the hosts that it names, and what it lets be called without TLS. A name that was only let
//! through by a wildcard may lead to the public network alone; and none leads to the addresses at which machines learn
//! about themselves (link-local), to everybody, or to nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use steadfast_machine::Reject;
use steadfast_machine::limits::AddressRule;
use url::{Host, ParseError, Url};

/// Bytes of a URL, and of all names and values of a callback's header.
pub const URL_BYTES: usize = 1_000;
pub const HEADER_BYTES: usize = 8 << 10;

/// The URL, if a rule allows it, and where its host may lead.
pub fn allowed(text: &str, rules: &[AddressRule]) -> Result<(Url, Reach), Reject> {
    if text.len() > URL_BYTES {
        let message = format!("invalid url: url length longer than max length allowed of {URL_BYTES}");
        return Err(Reject::InvalidArgument(message));
    }
    let url = Url::parse(text).map_err(|error| {
        Reject::InvalidArgument(match error {
            ParseError::EmptyHost => "invalid url: missing host".into(),
            error => format!("invalid callback url: parse {text:?}: {error}"),
        })
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Reject::InvalidArgument(format!("invalid url: unknown scheme: {text}")));
    }
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(Reject::invalid("invalid url: missing host"));
    };
    let with_port = format!("{host}:{port}");
    for rule in rules {
        let short = url.port().is_none_or(|_| port == default_port(&url)) && matches(&rule.pattern, host);
        if !short && !matches(&rule.pattern, &with_port) {
            continue;
        }
        if !rule.allow_insecure && url.scheme() != "https" {
            let message =
                format!("invalid url: callback address does not allow insecure connections: {text}");
            return Err(Reject::InvalidArgument(message));
        }
        let named =
            !host_pattern(&rule.pattern).contains('*') || !matches!(url.host(), Some(Host::Domain(_)));
        let reach = if named || rule.allow_insecure { Reach::Private } else { Reach::Public };
        return Ok((url, reach));
    }
    let message = format!("invalid url: url does not match any configured callback address: {text}");
    Err(Reject::InvalidArgument(message))
}

fn default_port(url: &Url) -> u16 {
    if url.scheme() == "https" { 443 } else { 80 }
}

/// The host of a pattern, without its port.
fn host_pattern(pattern: &str) -> &str {
    pattern.rsplit_once(':').map_or(pattern, |(host, _)| host)
}

/// Whether `text` is as `pattern` says, in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

/// Where a host that is allowed may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Also to this machine and its own network.
    Private,
    Public,
}

impl Reach {
    /// Whether a name may lead there.
    pub fn permits(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let never = match address {
            IpAddr::V4(v4) => {
                v4.is_unspecified() || v4.is_broadcast() || v4.is_multicast() || v4.is_link_local()
            }
            IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local(),
        };
        !never && (self == Reach::Private || !is_private(address))
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || is_shared(v4) || v4.octets()[0] == 0,
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || embedded(v6).is_some_and(private_v4),
    }
}

fn private_v4(v4: Ipv4Addr) -> bool {
    is_private(IpAddr::V4(v4)) || v4.is_link_local()
}

/// 100.64.0.0/10, which providers use inside.
fn is_shared(v4: Ipv4Addr) -> bool {
    v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64
}

/// The address that a gateway between the two protocols would reach: 64:ff9b::/96 and 2002::/16.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = v6.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    if [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return Some(v4(high, low));
    }
    (a == 0x2002).then(|| v4(b, c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str, allow_insecure: bool) -> AddressRule {
        AddressRule { pattern: pattern.into(), allow_insecure }
    }

    fn check(url: &str, rules: &[AddressRule]) -> Result<Reach, String> {
        allowed(url, rules).map(|(_, reach)| reach).map_err(|reject| reject.message().to_owned())
    }

    #[test]
    fn nothing_is_allowed_that_is_not_configured() {
        let refused = check("http://evil.example/x", &[]);
        let text = "invalid url: url does not match any configured callback address: http://evil.example/x";
        assert_eq!(refused, Err(text.into()));
    }

    #[test]
    fn rules_name_hosts_and_ports_and_want_tls() {
        let rules =
            [rule("127.0.0.1:*", true), rule("*.example.com", false), rule("one.example:8443", false)];
        assert_eq!(check("http://127.0.0.1:7243/x", &rules), Ok(Reach::Private));
        assert_eq!(check("https://a.b.example.com/x", &rules), Ok(Reach::Public));
        assert_eq!(check("https://one.example:8443", &rules), Ok(Reach::Private));
        assert_eq!(
            check("http://a.example.com/", &rules),
            Err("invalid url: callback address does not allow insecure connections: http://a.example.com/"
                .into())
        );
        for url in ["https://a.example.com:444/", "https://one.example/", "https://example.com.evil/"] {
            assert!(check(url, &rules).is_err(), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_ours_is_refused() {
        let any = [rule("*", true)];
        for (url, text) in [
            ("ftp://a", "invalid url: unknown scheme: ftp://a"),
            ("http://", "invalid url: missing host"),
            (":bad", "invalid callback url: parse \":bad\": relative URL without a base"),
        ] {
            assert_eq!(check(url, &any), Err(text.into()));
        }
        assert!(check(&format!("http://a/{}", "x".repeat(URL_BYTES)), &any).is_err());
    }

    #[test]
    fn a_name_leads_only_where_its_rule_says() {
        let address = |text: &str| text.parse::<IpAddr>().expect("it is an address");
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
        ] {
            assert!(Reach::Private.permits(address(inside)), "{inside}");
            assert!(!Reach::Public.permits(address(inside)), "{inside}");
        }
        for never in [
            "169.254.169.254",
            "0.0.0.0",
            "::",
            "255.255.255.255",
            "224.0.0.1",
            "fe80::1",
            "ff02::1",
            "::ffff:169.254.169.254",
        ] {
            assert!(!Reach::Private.permits(address(never)), "{never}");
        }
        assert!(Reach::Public.permits(address("93.184.216.34")));
        assert!(Reach::Public.permits(address("2606:2800:220:1::1")));
    }

    #[test]
    fn wildcards_stand_for_any_characters() {
        assert!(matches("*", "a:1") && matches("a*", "a") && matches("*a*b", "xxaxxb"));
        assert!(!matches("a*a", "a") && !matches("a*b*c", "acb") && !matches("", "a"));
    }
}
