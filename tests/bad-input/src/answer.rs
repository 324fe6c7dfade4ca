//! What came back, as a case compares it.

/// An answer of any protocol in two strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The gRPC code as tonic spells it, `HTTP 404`, or what became of a connection.
    pub code: String,
    /// The message; of HTTP, the head and the body.
    pub text: String,
}

impl Answer {
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Answer {
        Answer { code: code.into(), text: text.into() }
    }

    /// Of a case that measures something itself: `Ok`, or `Failed` with what was wrong.
    pub fn from_result(result: Result<(), String>) -> Answer {
        match result {
            Ok(()) => Answer::new("Ok", ""),
            Err(wrong) => Answer::new("Failed", wrong),
        }
    }
}
