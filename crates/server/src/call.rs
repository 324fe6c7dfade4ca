//! What a call says about itself beside its message: its deadline, and who calls.

use crate::limits::{LONGEST_POLL, NO_DEADLINE, SHORTEST_POLL, TAIL};
use crate::status::Refusal;
use std::time::{Duration, Instant};
use steadfast_machine::Reject;
use tonic::metadata::MetadataMap;

/// The clients that the reference knows, and the major version from which it does not support them.
pub const SUPPORTED_CLIENTS: &[(&str, &str, u64)] = &[
    ("temporal-go", "<2.0.0", 2),
    ("temporal-java", "<2.0.0", 2),
    ("temporal-php", "<2.0.0", 2),
    ("temporal-typescript", "<2.0.0", 2),
    ("temporal-cli", "<2.0.0", 2),
    ("temporal-server", "<2.0.0", 2),
    ("temporal-ui", "<3.0.0", 3),
    ("Nexus-go-sdk", "<2.0.0", 2),
];

#[derive(Clone, Debug)]
pub struct Call {
    /// The RPC's name, like `StartWorkflowExecution`.
    pub method: &'static str,
    /// When the caller gives up.
    pub deadline: Option<Instant>,
    pub client: String,
}

impl Call {
    /// Reads the headers. A client that is too new, or does not know its own version, is refused.
    pub fn new(method: &'static str, headers: &MetadataMap) -> Result<Call, Refusal> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let client = text("client-name");
        supported(client, text("client-version"))?;
        let deadline = timeout(text("grpc-timeout")).and_then(|timeout| Instant::now().checked_add(timeout));
        Ok(Call { method, deadline, client: client.into() })
    }

    /// How long a poll for a task may wait; `None` when there is no time left to answer one.
    pub fn poll_until(&self) -> Result<Option<Instant>, Reject> {
        let deadline = self.deadline.ok_or_else(|| Reject::invalid("Context timeout is not set."))?;
        let now = Instant::now();
        if deadline < now + SHORTEST_POLL {
            return Err(Reject::FailedPrecondition("Context timeout is too short.".into()));
        }
        Ok(deadline.checked_sub(TAIL).filter(|until| *until > now).map(|until| until.min(now + LONGEST_POLL)))
    }

    /// How long a wait of at most `longest` may last.
    pub fn wait_until(&self, longest: Duration, tail: Duration) -> Instant {
        let now = Instant::now();
        let asked =
            self.deadline.map_or(now + NO_DEADLINE, |deadline| deadline.checked_sub(tail).unwrap_or(now));
        asked.min(now + longest)
    }

    /// The command line and the web UI are shown the history as it is stored, without events that are not in it.
    pub fn is_sdk(&self) -> bool {
        !matches!(self.client.as_str(), "temporal-cli" | "temporal-ui")
    }
}

fn supported(client: &str, version: &str) -> Result<(), Refusal> {
    if client.is_empty() || version.is_empty() {
        return Ok(());
    }
    let Some((_, supported, beyond)) = SUPPORTED_CLIENTS.iter().find(|(name, ..)| *name == client) else {
        return Ok(());
    };
    match version.split('.').next().map(str::parse::<u64>) {
        Some(Ok(major)) if major >= *beyond => Err(Refusal::ClientVersion {
            client: client.into(),
            version: version.into(),
            supported: (*supported).into(),
        }),
        Some(Ok(_)) => Ok(()),
        _ => Err(Reject::invalid(format!("Unable to parse client version: {version}")).into()),
    }
}

/// The `grpc-timeout` header: at most eight digits and a unit.
fn timeout(header: &str) -> Option<Duration> {
    let (digits, unit) = header.split_at_checked(header.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    fn call(headers: &[(&'static str, &str)]) -> Result<Call, tonic::Status> {
        let mut map = MetadataMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Call::new("Poll", &map).map_err(Into::into)
    }

    #[test]
    fn the_timeout_header_is_read_as_grpc_writes_it() {
        assert_eq!(timeout("15S"), Some(Duration::from_secs(15)));
        assert_eq!(timeout("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(timeout("2H"), Some(Duration::from_secs(7200)));
        for bad in ["", "S", "15", "-1S", "123456789S", "1.5S", "15é"] {
            assert_eq!(timeout(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_poll_needs_a_deadline_that_leaves_time_to_answer() {
        let refused = |call: Call| tonic::Status::from(Refusal::from(call.poll_until().unwrap_err()));
        let none = refused(call(&[]).unwrap());
        assert_eq!((none.code(), none.message()), (Code::InvalidArgument, "Context timeout is not set."));
        let short = refused(call(&[("grpc-timeout", "1S")]).unwrap());
        assert_eq!(
            (short.code(), short.message()),
            (Code::FailedPrecondition, "Context timeout is too short.")
        );
        let now = Instant::now();
        let until = call(&[("grpc-timeout", "10S")]).unwrap().poll_until().unwrap().unwrap();
        assert!(until > now + Duration::from_secs(8) && until < now + Duration::from_secs(10));
        let long = call(&[("grpc-timeout", "10M")]).unwrap().poll_until().unwrap().unwrap();
        assert!(long < now + Duration::from_secs(61));
    }

    #[test]
    fn a_client_from_the_future_is_refused() {
        let refused = call(&[("client-name", "temporal-go"), ("client-version", "2.0.0")]).unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        let bad = call(&[("client-name", "temporal-go"), ("client-version", "new")]).unwrap_err();
        assert_eq!(bad.code(), Code::InvalidArgument);
        assert!(call(&[("client-name", "temporal-go"), ("client-version", "1.33.0")]).is_ok());
        assert!(call(&[("client-name", "my-own"), ("client-version", "9")]).is_ok());
    }
}
