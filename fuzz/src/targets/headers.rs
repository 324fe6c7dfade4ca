//! What a call says of itself: `grpc-timeout`, `client-name`, `client-version`, a line each.
//!
//! Promised beside: a timeout that is not written as gRPC writes it is none, one that is, is what it says.

use std::time::{Duration, Instant};
use steadfast_server::call::Call;
use tonic::metadata::{MetadataMap, MetadataValue};

pub fn run(input: &[u8]) {
    let mut headers = MetadataMap::new();
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut timeout = None;
    for name in ["grpc-timeout", "client-name", "client-version"] {
        // What HTTP lets through, which is more than text.
        let Some(value) = lines.next() else { break };
        let Ok(value) = http::HeaderValue::from_bytes(value) else { continue };
        if name == "grpc-timeout" {
            timeout = value.to_str().ok().map(str::to_owned);
        }
        headers.as_mut().insert(name, value);
    }
    headers.insert("authorization", MetadataValue::from_static("none"));
    let before = Instant::now();
    let Ok(call) = Call::new("Poll", &headers) else { return };
    let after = Instant::now();
    let said = timeout.as_deref().and_then(said);
    match (call.deadline, said) {
        (Some(deadline), Some(said)) => {
            assert!(deadline >= before + said && deadline <= after + said, "{timeout:?} is {said:?}");
        }
        (None, None) => {}
        (deadline, said) => panic!("{timeout:?} is {said:?}, and {deadline:?} was read"),
    }
    let longest = Duration::from_secs(20);
    let until = call.wait_until(longest, Duration::from_secs(1));
    assert!(until <= Instant::now() + longest, "a wait longer than the longest");
    if let Ok(Some(until)) = call.poll_until() {
        assert!(until > before && Some(until) <= call.deadline, "a poll longer than its call");
    }
    let _ = call.is_sdk();
}

/// The header once more, read in another way than the server does.
fn said(header: &str) -> Option<Duration> {
    let unit = header.chars().last()?;
    let digits = header.strip_suffix(unit)?;
    let valid = (1..=8).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
    let number = digits.parse::<u32>().ok().filter(|_| valid)?;
    let nanos: u128 = match unit {
        'n' => 1,
        'u' => 1_000,
        'm' => 1_000_000,
        'S' => 1_000_000_000,
        'M' => 60_000_000_000,
        'H' => 3_600_000_000_000,
        _ => return None,
    };
    let nanos = u128::from(number) * nanos;
    Some(Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32))
}
