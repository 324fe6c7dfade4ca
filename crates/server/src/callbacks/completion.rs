//! How a run's end is told: the HTTP request by which Nexus operations are completed.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use prost::Message as _;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use steadfast_api::v1::common::{Payload, callback};
use steadfast_api::v1::failure::{
    CanceledFailureInfo, Failure, NexusHandlerFailureInfo, TerminatedFailureInfo, TimeoutFailureInfo,
    failure::FailureInfo,
};
use steadfast_api::v1::history::history_event::Attributes;
use steadfast_engine::Call;
use steadfast_machine::Time;

use crate::json;

const STATE: HeaderName = HeaderName::from_static("nexus-operation-state");
const START_TIME: HeaderName = HeaderName::from_static("nexus-operation-start-time");
const CLOSE_TIME: HeaderName = HeaderName::from_static("nexus-operation-close-time");
const LINK: HeaderName = HeaderName::from_static("nexus-link");

/// What Go's `url.PathEscape` and `url.QueryEscape` leave as it is (the second writes a space as `+`).
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b':')
    .remove(b'=')
    .remove(b'@');
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

/// Headers and body that tell of the run's end. `Err` if there is nothing that could be sent, ever.
pub fn request(call: &Call) -> Result<(HeaderMap, Bytes), String> {
    let mut headers = HeaderMap::new();
    let (state, body) = told(call, &mut headers)?;
    headers.insert(STATE, HeaderValue::from_static(state));
    let given = match &call.callback.variant {
        Some(callback::Variant::Nexus(nexus)) => Some(&nexus.header),
        _ => None,
    };
    for (name, value) in given.into_iter().flatten() {
        let name = HeaderName::try_from(name).map_err(|_| format!("invalid header name {name:?}"))?;
        let value = HeaderValue::try_from(value).map_err(|_| format!("invalid value of header {name}"))?;
        headers.insert(name, value);
    }
    let mut unless_given = |name: HeaderName, value: String| {
        if !headers.contains_key(&name)
            && let Ok(value) = HeaderValue::try_from(value)
        {
            headers.insert(name, value);
        }
    };
    unless_given(USER_AGENT, concat!("steadfast/", env!("CARGO_PKG_VERSION")).into());
    unless_given(START_TIME, http_date(call.start_time));
    let closed = call.closed.event_time.as_ref().map_or(call.start_time, Time::from_timestamp);
    unless_given(CLOSE_TIME, timestamp(closed));
    unless_given(LINK, link(call));
    Ok((headers, body))
}

/// The state of the operation, and the body.
fn told(call: &Call, headers: &mut HeaderMap) -> Result<(&'static str, Bytes), String> {
    let failed = |message: &str, info| Failure {
        message: message.into(),
        failure_info: Some(info),
        ..Failure::default()
    };
    let (state, failure) = match &call.closed.attributes {
        Some(Attributes::WorkflowExecutionCompletedEventAttributes(done)) => {
            // An operation has one result, as workflows have in every SDK.
            let result = done.result.as_ref().and_then(|result| result.payloads.first());
            return Ok(("succeeded", content(result, headers)));
        }
        Some(Attributes::WorkflowExecutionFailedEventAttributes(failed)) => {
            ("failed", failed.failure.clone().unwrap_or_default())
        }
        Some(Attributes::WorkflowExecutionCanceledEventAttributes(canceled)) => {
            let info =
                CanceledFailureInfo { details: canceled.details.clone(), ..CanceledFailureInfo::default() };
            ("canceled", failed("operation canceled", FailureInfo::CanceledFailureInfo(info)))
        }
        // Why it was terminated is nobody's business outside.
        Some(Attributes::WorkflowExecutionTerminatedEventAttributes(_)) => {
            let info = FailureInfo::TerminatedFailureInfo(TerminatedFailureInfo::default());
            ("failed", failed("operation terminated", info))
        }
        Some(Attributes::WorkflowExecutionTimedOutEventAttributes(_)) => {
            let info = FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo::default());
            ("failed", failed("operation exceeded internal timeout", info))
        }
        _ => return Err(format!("invalid workflow execution status: {:?}", call.closed.event_type())),
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok((state, nexus_failure(&failure)?.to_string().into()))
}

/// A payload as the content of an HTTP message, in its own form where it has one there.
fn content(payload: Option<&Payload>, headers: &mut HeaderMap) -> Bytes {
    let Some(payload) = payload else { return Bytes::new() };
    let text = |name: &str| payload.metadata.get(name).and_then(|value| std::str::from_utf8(value).ok());
    let message_type = text("messageType").filter(|name| !name.is_empty() && payload.metadata.len() == 2);
    let alone = payload.metadata.len() == 1;
    let kind = match (text("encoding").unwrap_or_default(), message_type) {
        ("json/plain", _) => "application/json".into(),
        ("binary/null", _) if alone => return payload.data.clone(),
        ("binary/plain", _) if alone => "application/octet-stream".into(),
        ("json/protobuf", Some(name)) => format!("application/json; format=protobuf; message-type={name:?}"),
        ("binary/protobuf", Some(name)) => format!("application/x-protobuf; message-type={name:?}"),
        ("unknown/nexus-content", _) => {
            for (name, value) in payload.metadata.iter().filter(|(name, _)| *name != "encoding") {
                let header = HeaderName::try_from(format!("content-{name}"));
                if let (Ok(name), Ok(value)) = (header, HeaderValue::from_bytes(value)) {
                    headers.insert(name, value);
                }
            }
            return payload.data.clone();
        }
        _ => "application/x-temporal-payload".into(),
    };
    let whole = kind == "application/x-temporal-payload";
    if let Ok(kind) = HeaderValue::try_from(kind) {
        headers.insert(CONTENT_TYPE, kind);
    }
    if whole { payload.encode_to_vec().into() } else { payload.data.clone() }
}

/// A failure in the form of Nexus; in its details is the failure itself, without what stands beside them.
fn nexus_failure(failure: &Failure) -> Result<Value, String> {
    let mut told = Map::new();
    let mut put = |name: &str, text: &str| {
        if !text.is_empty() {
            told.insert(name.into(), text.into());
        }
    };
    put("message", &failure.message);
    put("stackTrace", &failure.stack_trace);
    if let Some(FailureInfo::NexusHandlerFailureInfo(info)) = &failure.failure_info {
        told.insert("metadata".into(), json!({"type": "nexus.HandlerError"}));
        told.insert("details".into(), handler_error(info));
    } else {
        let inner = Failure { message: String::new(), stack_trace: String::new(), ..failure.clone() };
        told.insert("metadata".into(), json!({"type": json::FAILURE}));
        told.insert("details".into(), json::of(json::FAILURE, &inner)?);
    }
    if let Some(cause) = &failure.cause {
        told.insert("cause".into(), nexus_failure(cause)?);
    }
    Ok(Value::Object(told))
}

fn handler_error(info: &NexusHandlerFailureInfo) -> Value {
    let mut told = Map::new();
    if !info.r#type.is_empty() {
        told.insert("type".into(), info.r#type.clone().into());
    }
    match info.retry_behavior {
        1 => drop(told.insert("retryableOverride".into(), true.into())),
        2 => drop(told.insert("retryableOverride".into(), false.into())),
        _ => {}
    }
    Value::Object(told)
}

/// Where the run is to be found: its first event, or the request that attached the callback.
fn link(call: &Call) -> String {
    let path = |text: &str| utf8_percent_encode(text, PATH).to_string();
    let (namespace, workflow, run) = (path(&call.namespace), path(&call.workflow_id), call.run_id);
    let query = match &call.attached_by {
        Some(request) => {
            let request = utf8_percent_encode(request, QUERY).to_string().replace(' ', "+");
            format!(
                "eventType=WorkflowExecutionOptionsUpdated&referenceType=RequestIdReference&requestID={request}"
            )
        }
        None => "eventID=1&eventType=WorkflowExecutionStarted&referenceType=EventReference".into(),
    };
    format!(
        "<temporal:///namespaces/{namespace}/workflows/{workflow}/{run}/history?{query}>; \
         type=\"temporal.api.common.v1.Link.WorkflowEvent\""
    )
}

/// `Mon, 23 Nov 2026 16:23:18 GMT`
fn http_date(time: Time) -> String {
    let seconds = u64::try_from(time.0.div_euclid(1_000_000_000)).unwrap_or(0);
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}

/// RFC 3339 with as many digits as it needs: none, three, six or nine.
fn timestamp(time: Time) -> String {
    let whole = prost_types::Timestamp { nanos: 0, ..time.timestamp() }.to_string();
    let nanos = time.0.rem_euclid(1_000_000_000);
    let mut text = whole.trim_end_matches('Z').to_owned();
    let _ = match nanos {
        0 => Ok(()),
        nanos if nanos % 1_000_000 == 0 => write!(text, ".{:03}", nanos / 1_000_000),
        nanos if nanos % 1_000 == 0 => write!(text, ".{:06}", nanos / 1_000),
        nanos => write!(text, ".{nanos:09}"),
    };
    text + "Z"
}

#[cfg(test)]
mod tests {
    use super::*;
    use steadfast_api::v1::common::{Callback, Payloads};
    use steadfast_api::v1::enums::EventType;
    use steadfast_api::v1::failure::ApplicationFailureInfo;
    use steadfast_api::v1::history::{
        HistoryEvent, WorkflowExecutionCompletedEventAttributes, WorkflowExecutionFailedEventAttributes,
    };

    fn call(attributes: Attributes) -> Call {
        let nexus = callback::Nexus { url: "http://a/".into(), ..callback::Nexus::default() };
        Call {
            callback: Callback { variant: Some(callback::Variant::Nexus(nexus)), ..Callback::default() },
            namespace: "my space".into(),
            workflow_id: "a/b".into(),
            run_id: uuid::Uuid::nil(),
            attached_by: None,
            start_time: Time(1_795_450_998_599_392_844),
            closed: HistoryEvent {
                event_time: Some(Time(1_795_450_999_000_500_000).timestamp()),
                event_type: EventType::WorkflowExecutionCompleted as i32,
                attributes: Some(attributes),
                ..HistoryEvent::default()
            },
        }
    }

    fn completed(payload: Option<Payload>) -> Call {
        let result = payload.map(|payload| Payloads { payloads: vec![payload] });
        call(Attributes::WorkflowExecutionCompletedEventAttributes(
            WorkflowExecutionCompletedEventAttributes { result, ..Default::default() },
        ))
    }

    fn payload(metadata: &[(&str, &'static str)]) -> Payload {
        Payload {
            metadata: metadata.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            data: Bytes::from_static(b"data"),
            ..Payload::default()
        }
    }

    #[test]
    fn a_result_is_sent_in_its_own_form() {
        for (metadata, kind) in [
            (&[("encoding", "json/plain")][..], Some("application/json")),
            (&[("encoding", "binary/plain")][..], Some("application/octet-stream")),
            (&[("encoding", "binary/null")][..], None),
            (
                &[("encoding", "json/protobuf"), ("messageType", "a.B")][..],
                Some("application/json; format=protobuf; message-type=\"a.B\""),
            ),
            (&[("encoding", "unknown/nexus-content"), ("type", "text/x")][..], Some("text/x")),
        ] {
            let (headers, body) = request(&completed(Some(payload(metadata)))).expect("it can be told");
            assert_eq!(headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()), kind, "{metadata:?}");
            assert_eq!(body, "data");
            assert_eq!(headers[STATE], "succeeded");
        }
        for odd in [&[][..], &[("encoding", "binary/plain"), ("k", "v")], &[("encoding", "json/protobuf")]] {
            let given = payload(odd);
            let (headers, body) = request(&completed(Some(given.clone()))).expect("it can be told");
            assert_eq!(headers[CONTENT_TYPE], "application/x-temporal-payload");
            assert_eq!(Payload::decode(body), Ok(given));
        }
        let (headers, body) = request(&completed(None)).expect("it can be told");
        assert!(body.is_empty() && !headers.contains_key(CONTENT_TYPE));
    }

    #[test]
    fn a_failure_carries_itself_and_its_causes() {
        let info = ApplicationFailureInfo { r#type: "T".into(), ..ApplicationFailureInfo::default() };
        let failure = Failure {
            message: "bad".into(),
            stack_trace: "here".into(),
            source: "x".into(),
            cause: Some(Box::new(Failure { message: "why".into(), ..Failure::default() })),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
            ..Failure::default()
        };
        let attributes =
            WorkflowExecutionFailedEventAttributes { failure: Some(failure), ..Default::default() };
        let failed = call(Attributes::WorkflowExecutionFailedEventAttributes(attributes));
        let (headers, body) = request(&failed).expect("it can be told");
        assert_eq!(headers[STATE], "failed");
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        let told: Value = serde_json::from_slice(&body).expect("it is JSON");
        let kind = json!({"type": "temporal.api.failure.v1.Failure"});
        assert_eq!(
            told,
            json!({
                "message": "bad", "stackTrace": "here", "metadata": kind,
                "details": {"source": "x", "cause": {"message": "why"}, "applicationFailureInfo": {"type": "T"}},
                "cause": {"message": "why", "metadata": kind, "details": {}},
            })
        );
    }

    #[test]
    fn times_and_the_link_are_as_the_reference_writes_them() {
        let (headers, _) = request(&completed(None)).expect("it can be told");
        assert_eq!(headers[START_TIME], "Mon, 23 Nov 2026 16:23:18 GMT");
        assert_eq!(headers[CLOSE_TIME], "2026-11-23T16:23:19.000500Z");
        assert_eq!(
            headers[LINK],
            "<temporal:///namespaces/my%20space/workflows/a%2Fb/00000000-0000-0000-0000-000000000000/history?\
             eventID=1&eventType=WorkflowExecutionStarted&referenceType=EventReference>; \
             type=\"temporal.api.common.v1.Link.WorkflowEvent\""
        );
        let attached = Call { attached_by: Some("r 1&".into()), ..completed(None) };
        let (headers, _) = request(&attached).expect("it can be told");
        assert!(headers[LINK].to_str().expect("text").contains("&requestID=r+1%26>"));
    }

    #[test]
    fn what_the_callback_says_goes_before_what_we_say() {
        let mut given = completed(None);
        if let Some(callback::Variant::Nexus(nexus)) = &mut given.callback.variant {
            nexus.header.insert("nexus-link".into(), "mine".into());
            nexus.header.insert("x-thing".into(), "v".into());
        }
        let (headers, _) = request(&given).expect("it can be told");
        assert_eq!(headers[LINK], "mine");
        assert_eq!(headers["x-thing"], "v");
    }
}
