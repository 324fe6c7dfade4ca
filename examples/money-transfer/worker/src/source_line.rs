//! Failures that name the line of the source they come from.
//!
//! The Rust SDK sends a failure's message alone: a panic arrives at the server as "attempt to divide by zero", without a
//! word about where. Whoever looks at a stuck transfer wants the file and the line, so the worker adds them:
//!
//! - An error in an activity takes its line with it ([`AtThisLine`]), and [`LinesInFailures`] writes it into the stack trace
//!   of the failure that is sent.
//! - A panic leaves its line and its frames with [`remember_panics`]. Around an activity, [`ActivityPanics`] puts them into
//!   the stack trace; around a workflow, [`WorkflowPanics`] adds them to the message, because what the SDK makes of a
//!   panic there has no other place for them.

use crate::AccountError;
use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, Location, PanicHookInfo, catch_unwind, resume_unwind};
use std::pin::pin;
use temporalio_common::data_converters::{
    DefaultFailureConverter, FailureConverter, PayloadConversionError, PayloadConverter,
    SerializationContextData,
};
use temporalio_common::error::IncomingError;
use temporalio_common::protos::temporal::api::failure::v1::Failure;
use temporalio_sdk::activities::ActivityError;
use temporalio_sdk::interceptors::{
    ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next,
};
use temporalio_sdk::workflow_interceptors::{
    ExecuteWorkflowInput, ExecuteWorkflowResult, WorkflowInterceptor, WorkflowInterceptorContext,
    WorkflowInterceptorFuture, WorkflowNext,
};
use temporalio_sdk::{ApplicationFailure, OutgoingActivityError, OutgoingError, OutgoingWorkflowError};

/// Where the source of the example lies, seen from the project's folder. Frames from elsewhere are left out.
const OUR_SOURCE: &str = "examples/money-transfer/";

/// An error that knows where it came from.
#[derive(Debug)]
struct Located {
    error: Box<dyn Error + Send + Sync>,
    /// What goes into the failure's stack trace.
    trace: String,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Located {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// For results in activities: `call().await.at_this_line()?` fails the activity with the line of the `at_this_line`.
pub trait AtThisLine<T> {
    /// # Errors
    /// The same error, as the failure of an activity. It is tried again unless the error is final.
    #[track_caller]
    fn at_this_line(self) -> Result<T, ActivityError>;
}

impl<T> AtThisLine<T> for Result<T, AccountError> {
    #[track_caller]
    fn at_this_line(self) -> Result<T, ActivityError> {
        let line = Location::caller();
        self.map_err(|error| {
            let (kind, is_final) = (error.kind().to_owned(), error.is_final());
            let located = Located { error: error.into(), trace: format!("    at {line}") };
            let failure = ApplicationFailure::builder(located).type_name(kind).non_retryable(is_final);
            ActivityError::application(failure.build())
        })
    }
}

/// Writes the lines of located errors into the failures that are sent; otherwise the SDK's own converter.
pub struct LinesInFailures;

impl FailureConverter for LinesInFailures {
    fn to_failure(
        &self,
        error: OutgoingError,
        payload_converter: &PayloadConverter,
        context: &SerializationContextData,
    ) -> Failure {
        let application_failure = match &error {
            OutgoingError::Activity(OutgoingActivityError::Application(failure))
            | OutgoingError::Workflow(OutgoingWorkflowError::Application(failure)) => Some(failure),
            _ => None,
        };
        let located =
            application_failure.and_then(|failure| failure.source_error().downcast_ref::<Located>());
        let trace = located.map(|located| located.trace.clone());
        let mut failure = DefaultFailureConverter::default().to_failure(error, payload_converter, context);
        failure.stack_trace = trace.unwrap_or(failure.stack_trace);
        failure
    }

    fn to_error(
        &self,
        failure: Failure,
        payload_converter: &PayloadConverter,
        context: &SerializationContextData,
    ) -> Result<IncomingError, PayloadConversionError> {
        DefaultFailureConverter::default().to_error(failure, payload_converter, context)
    }
}

thread_local! {
    /// Workflow code is running on this thread: the SDK logs its panics itself.
    static IN_WORKFLOW: Cell<bool> = const { Cell::new(false) };
    /// The frames of the last panic on this thread, until somebody takes them.
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on a panic anywhere in the process leaves its frames for whoever catches it on the same thread.
pub fn remember_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let frames = frames_of(panic, &Backtrace::force_capture().to_string());
        LAST_PANIC.with_borrow_mut(|last| *last = Some(frames));
        if !IN_WORKFLOW.get() {
            tracing::error!(target: "worker", "{panic}");
        }
    }));
}

/// Our own frames of a panic, innermost first, one a line: `    at function (file:line:column)`.
fn frames_of(panic: &PanicHookInfo<'_>, backtrace: &str) -> String {
    let frames = our_frames(backtrace);
    let Some(place) = panic.location().map(Location::to_string) else { return frames.join("\n") };
    // The innermost frame is usually the place itself, with the function's name. Where it is not, say in a panic in a
    // dependency, the place comes first.
    match frames.first() {
        Some(first) if first.contains(place.as_str()) => frames.join("\n"),
        _ => [format!("    at {place}")].into_iter().chain(frames).collect::<Vec<_>>().join("\n"),
    }
}

/// Picks our frames out of a printed backtrace: pairs of lines, `12: crate::module::function` and `at file:line:column`. It
/// begins in this file, in the panic hook, and ends at the next frame of this file, where the machinery took over.
fn our_frames(backtrace: &str) -> Vec<String> {
    let mut frames: Vec<String> = Vec::new();
    let mut function = "";
    for line in backtrace.lines().map(str::trim) {
        if let Some((number, name)) = line.split_once(": ")
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            function = name;
        } else if let Some(place) = line.strip_prefix("at ")
            && let Some(start) = place.find(OUR_SOURCE)
        {
            match place.contains("source_line.rs") {
                true if frames.is_empty() => {}
                true => break,
                false => frames.push(frame(function, &place[start..])),
            }
        }
    }
    frames.dedup();
    frames
}

/// One frame as it is shown. The compiler's names for the inside of an async function say nothing, so they are left out.
fn frame(function: &str, place: &str) -> String {
    let name = function.split("::{{closure}}").next().unwrap_or(function);
    match name.split_once("::") {
        Some((_, inside_the_crate)) if !name.contains(['{', '<']) => {
            format!("    at {inside_the_crate} ({place})")
        }
        _ => format!("    at {place}"),
    }
}

fn take_last_panic() -> Option<String> {
    LAST_PANIC.with_borrow_mut(Option::take)
}

/// Gives the failure of an activity that panicked the panic's frames.
pub struct ActivityPanics;

impl ActivityInboundInterceptor for ActivityPanics {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        Box::pin(async move {
            let result = next.run(input).await;
            // The SDK catches the panic below us, in the poll that gave this result: on this thread, just now.
            match (result, take_last_panic()) {
                (Err(ActivityError::Application(failure)), Some(trace)) => {
                    let located = Located { error: failure.to_string().into(), trace };
                    let failure = ApplicationFailure::builder(located).type_name("panic".to_owned()).build();
                    Err(ActivityError::application(failure))
                }
                (result, _) => result,
            }
        })
    }
}

/// Adds the panic's frames to the message of a workflow that panics. The workflow task fails, as with any panic.
pub struct WorkflowPanics;

impl WorkflowInterceptor for WorkflowPanics {
    fn execute<'a>(
        &'a self,
        _context: WorkflowInterceptorContext,
        input: ExecuteWorkflowInput,
        next: WorkflowNext<'a, ExecuteWorkflowInput, WorkflowInterceptorFuture<'a, ExecuteWorkflowResult>>,
    ) -> WorkflowInterceptorFuture<'a, ExecuteWorkflowResult> {
        WorkflowInterceptorFuture::new(async move {
            let mut run = pin!(next.run(input));
            poll_fn(|context| {
                IN_WORKFLOW.set(true);
                let polled = catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context)));
                IN_WORKFLOW.set(false);
                polled.unwrap_or_else(|panic| resume_unwind(Box::new(with_frames(panic))))
            })
            .await
        })
    }
}

fn with_frames(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    format!("{text}\n{}", take_last_panic().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_frames_are_picked_and_the_machinery_is_left_out() {
        let backtrace = "
            0: std::backtrace_rs::backtrace::libunwind::trace
                      at /rustc/0123/library/std/src/../../backtrace/src/backtrace/libunwind.rs:117:9
            3: transfer_worker::source_line::remember_panics::{{closure}}
                      at ./examples/money-transfer/worker/src/source_line.rs:139:13
            9: core::panicking::panic_const::panic_const_div_by_zero
           10: exercise::workflow::share_of_balance
                      at /home/ann/steadfast/examples/money-transfer/worker-exercise/src/workflow.rs:61:5
           11: exercise::workflow::MoneyTransfer::begin::{{closure}}
                      at ./examples/money-transfer/worker-exercise/src/workflow.rs:77:9
           12: {async_fn#0}
                      at ./examples/money-transfer/worker-exercise/src/workflow.rs:88:21
           13: transfer_worker::source_line::poll
                      at ./examples/money-transfer/worker/src/source_line.rs:200:13
           14: {async_fn#0}
                      at ./examples/money-transfer/worker/src/run.rs:78:9";
        assert_eq!(
            our_frames(backtrace).join("\n"),
            "    at workflow::share_of_balance (examples/money-transfer/worker-exercise/src/workflow.rs:61:5)\n\
             \x20   at workflow::MoneyTransfer::begin (examples/money-transfer/worker-exercise/src/workflow.rs:77:9)\n\
             \x20   at examples/money-transfer/worker-exercise/src/workflow.rs:88:21"
        );
    }
}
