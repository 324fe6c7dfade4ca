//! Tokens: what the server hands out and gets back unread: task tokens and page tokens. Each is a message with a
//! keyed code in front, so that nobody makes one up, or uses one of another kind or of another database.

use bytes::Bytes;
use prost::Message;
use steadfast_machine::CallerId;
use steadfast_machine::workflow::input::WorkflowTaskToken;
use uuid::Uuid;

/// Bytes of the code in front of a token.
const CODE: usize = 16;

/// Makes and opens tokens with the key of this database.
#[derive(Clone)]
pub struct Tokens {
    key: [u8; 32],
}

/// A token that was not made here, or is of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadToken;

#[derive(Clone, PartialEq, Message)]
struct Content {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    WorkflowTask(WorkflowTask),
    #[prost(message, tag = "2")]
    ActivityTask(ActivityTask),
    #[prost(message, tag = "3")]
    QueryTask(QueryTask),
    #[prost(message, tag = "4")]
    HistoryPage(HistoryPage),
    #[prost(message, tag = "5")]
    ListPage(ListPage),
}

#[derive(Clone, PartialEq, Message)]
pub struct WorkflowTask {
    #[prost(bytes = "bytes", tag = "1")]
    pub namespace: Bytes,
    #[prost(string, tag = "2")]
    pub workflow_id: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub run: Bytes,
    #[prost(int64, tag = "4")]
    pub scheduled_event_id: i64,
    #[prost(int64, tag = "5")]
    pub started_event_id: i64,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "6")]
    pub started_time: i64,
    #[prost(int32, tag = "7")]
    pub attempt: i32,
}

impl WorkflowTask {
    pub fn position(&self) -> WorkflowTaskToken {
        WorkflowTaskToken {
            scheduled_event_id: self.scheduled_event_id,
            started_event_id: self.started_event_id,
            started_time: self.started_time,
            attempt: self.attempt,
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct ActivityTask {
    #[prost(bytes = "bytes", tag = "1")]
    pub namespace: Bytes,
    #[prost(string, tag = "2")]
    pub workflow_id: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub run: Bytes,
    #[prost(int64, tag = "4")]
    pub scheduled_event_id: i64,
    #[prost(int32, tag = "5")]
    pub attempt: i32,
    /// The id of a standalone activity, which has no workflow.
    #[prost(string, tag = "6")]
    pub activity_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct QueryTask {
    #[prost(bytes = "bytes", tag = "1")]
    pub namespace: Bytes,
    #[prost(string, tag = "2")]
    pub workflow_id: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub run: Bytes,
    #[prost(uint64, tag = "4")]
    caller: u64,
}

impl QueryTask {
    pub fn new(namespace: Uuid, workflow_id: String, run: Uuid, caller: CallerId) -> QueryTask {
        QueryTask { namespace: bytes_of(namespace), workflow_id, run: bytes_of(run), caller: caller.0 }
    }

    pub fn caller(&self) -> CallerId {
        CallerId(self.caller)
    }
}

/// Where the next page of a history begins, and of which run.
#[derive(Clone, PartialEq, Message)]
pub struct HistoryPage {
    #[prost(bytes = "bytes", tag = "1")]
    pub run: Bytes,
    /// Forward: the first event of the next page. Backward: the last one.
    #[prost(int64, tag = "2")]
    pub event: i64,
    #[prost(bool, tag = "3")]
    pub reverse: bool,
    /// The page is one of a task's history, which ends where the task began: 0, or one past its last event.
    #[prost(int64, tag = "4")]
    pub until: i64,
}

/// The last row of the page before.
#[derive(Clone, PartialEq, Message)]
pub struct ListPage {
    #[prost(int64, tag = "1")]
    pub close_time: i64,
    #[prost(int64, tag = "2")]
    pub start_time: i64,
    #[prost(bytes = "bytes", tag = "3")]
    pub run: Bytes,
}

/// A uuid as tokens carry it.
pub fn bytes_of(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

/// The uuid of a token's field. A token that opened holds what was put in, so nil only stands for an absent one.
pub fn uuid_of(bytes: &Bytes) -> Uuid {
    Uuid::from_slice(bytes).unwrap_or_default()
}

macro_rules! kinds {
    ($($seal:ident $open:ident $kind:ident;)*) => {$(
        pub fn $seal(&self, token: $kind) -> Bytes {
            self.seal(Kind::$kind(token))
        }

        pub fn $open(&self, token: &[u8]) -> Result<$kind, BadToken> {
            match self.open(token)? {
                Kind::$kind(token) => Ok(token),
                _ => Err(BadToken),
            }
        }
    )*};
}

impl Tokens {
    pub fn new(key: [u8; 32]) -> Tokens {
        Tokens { key }
    }

    kinds! {
        workflow_task open_workflow_task WorkflowTask;
        activity_task open_activity_task ActivityTask;
        query_task open_query_task QueryTask;
        history_page open_history_page HistoryPage;
        list_page open_list_page ListPage;
    }

    fn seal(&self, kind: Kind) -> Bytes {
        let content = Content { kind: Some(kind) };
        let mut token = Vec::with_capacity(CODE + content.encoded_len());
        token.extend_from_slice(&[0; CODE]);
        content.encode_raw(&mut token);
        let code = self.code(&token[CODE..]);
        token[..CODE].copy_from_slice(&code);
        token.into()
    }

    fn open(&self, token: &[u8]) -> Result<Kind, BadToken> {
        let (code, content) = token.split_first_chunk::<CODE>().ok_or(BadToken)?;
        if !constant_time_eq::constant_time_eq_16(code, &self.code(content)) {
            return Err(BadToken);
        }
        Content::decode(content).ok().and_then(|content| content.kind).ok_or(BadToken)
    }

    fn code(&self, content: &[u8]) -> [u8; CODE] {
        let hash = blake3::keyed_hash(&self.key, content);
        let mut code = [0; CODE];
        code.copy_from_slice(&hash.as_bytes()[..CODE]);
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> WorkflowTask {
        WorkflowTask {
            namespace: bytes_of(Uuid::from_u128(1)),
            workflow_id: "transfer-7".into(),
            run: bytes_of(Uuid::from_u128(2)),
            scheduled_event_id: 5,
            started_event_id: 6,
            started_time: 1_700_000_000_000_000_000,
            attempt: 2,
        }
    }

    #[test]
    fn a_token_opens_to_what_was_sealed() {
        let tokens = Tokens::new([7; 32]);
        assert_eq!(tokens.open_workflow_task(&tokens.workflow_task(task())), Ok(task()));
    }

    #[test]
    fn a_token_that_was_changed_cut_or_made_elsewhere_does_not_open() {
        let tokens = Tokens::new([7; 32]);
        let sealed = tokens.workflow_task(task());
        for place in 0..sealed.len() {
            let mut changed = sealed.to_vec();
            changed[place] ^= 1;
            assert_eq!(tokens.open_workflow_task(&changed), Err(BadToken), "byte {place}");
            assert_eq!(tokens.open_workflow_task(&sealed[..place]), Err(BadToken), "cut at {place}");
        }
        assert_eq!(Tokens::new([8; 32]).open_workflow_task(&sealed), Err(BadToken));
    }

    #[test]
    fn a_token_of_another_kind_does_not_open() {
        let tokens = Tokens::new([7; 32]);
        let page = tokens.history_page(HistoryPage { event: 3, ..HistoryPage::default() });
        assert_eq!(tokens.open_workflow_task(&page), Err(BadToken));
        assert_eq!(tokens.open_list_page(&page), Err(BadToken));
    }
}
