//! Requests to inputs: every rule, default and text of the reference, in its order. What only concerns the worker's side
//! is in `from_proto/tasks.rs`.

pub mod activity_execution_operations;
mod activity_executions;
mod batch_operations;
mod tasks;

pub use activity_executions::start_activity;
pub use batch_operations::start_batch;
pub use tasks::*;

use crate::check;
use steadfast_api::v1::common::SearchAttributes;
use steadfast_api::v1::enums::{
    UpdateWorkflowExecutionLifecycleStage as Stage, WorkflowIdConflictPolicy as Conflict,
    WorkflowIdReusePolicy as Reuse,
};
use steadfast_api::v1::workflow::PostResetOperation;
use steadfast_api::v1::workflowservice::{
    ExecuteMultiOperationRequest, PollWorkflowExecutionUpdateRequest, QueryWorkflowRequest,
    RequestCancelWorkflowExecutionRequest, ResetWorkflowExecutionRequest,
    SignalWithStartWorkflowExecutionRequest, SignalWorkflowExecutionRequest, StartWorkflowExecutionRequest,
    TerminateWorkflowExecutionRequest, UpdateWorkflowExecutionRequest, execute_multi_operation_request,
};
use steadfast_machine::workflow::input::{
    EagerWorker, Input, Query, RequestCancel, Reset, Signal, SignalWithStart, Start, Terminate, Update, What,
};
use steadfast_machine::{CallerId, Limits, Namespace, Reject, Time, duration};

/// What the rules need to know beside the request.
pub struct Context<'a> {
    pub limits: &'a Limits,
    pub namespace: &'a dyn Namespace,
    /// A new random id, for requests that came without one.
    pub fresh_id: fn() -> String,
}

/// An input, and the workflow that it is for.
pub type Addressed = (String, Input);

pub fn start(mut request: StartWorkflowExecutionRequest, context: &Context<'_>) -> Result<Start, Reject> {
    let limits = context.limits;
    let (reuse, conflict) =
        id_policies(request.workflow_id_reuse_policy, request.workflow_id_conflict_policy, Conflict::Fail);
    check::new_workflow_id(&request.workflow_id, limits)?;
    if let Some(policy) = &mut request.retry_policy {
        check::retry_policy(policy)?;
    }
    let start_delay = start_delay(&request.cron_schedule, request.workflow_start_delay.as_ref())?;
    cron(&request.cron_schedule)?;
    let workflow_type = request.workflow_type.unwrap_or_default().name;
    check::workflow_type(&workflow_type, limits)?;
    let task_queue = check::user_queue(request.task_queue.as_ref(), limits)?.name.clone();
    let timeouts = Timeouts::new(
        request.workflow_execution_timeout.as_ref(),
        request.workflow_run_timeout.as_ref(),
        request.workflow_task_timeout.as_ref(),
        limits,
    )?;
    let told = (request.workflow_execution_timeout.is_some(), request.workflow_run_timeout.is_some());
    let request_id = Some(request.request_id).filter(|id| !id.is_empty()).unwrap_or_else(context.fresh_id);
    check::request_id(&request_id, limits)?;
    let (reuse, conflict) = compatible(reuse, conflict)?;
    if request
        .on_conflict_options
        .as_ref()
        .is_some_and(|options| options.attach_completion_callbacks && !options.attach_request_id)
    {
        return Err(Reject::invalid("attaching request ID is required for attaching completion callbacks"));
    }
    let search_attributes = search_attributes(request.search_attributes, context)?;
    check::priority(request.priority.as_ref(), limits)?;
    check::callbacks(&mut request.completion_callbacks, limits)?;
    let links = check::links_without_callbacks(request.links, &request.completion_callbacks);
    check::links(&links, &request.completion_callbacks, limits)?;
    if request.time_skipping_config.is_some() {
        return Err(no_time_skipping());
    }
    check::blob(request.input.as_ref(), limits)?;
    check::memo(request.memo.as_ref(), limits)?;
    check::header(request.header.as_ref(), limits)?;
    check::user_metadata(request.user_metadata.as_ref(), limits)?;
    check::identity(&request.identity, limits)?;
    let eager_worker = request.request_eager_execution.then(|| EagerWorker {
        identity: request.identity.clone(),
        build_id: request.eager_worker_deployment_options.map(|options| options.build_id).unwrap_or_default(),
    });
    Ok(Start {
        workflow_id: request.workflow_id,
        workflow_type,
        task_queue,
        input: request.input,
        header: request.header,
        execution_timeout: timeouts.execution,
        execution_timeout_told: told.0,
        run_timeout_told: told.1,
        run_timeout: timeouts.run,
        task_timeout: timeouts.task,
        identity: request.identity,
        request_id,
        reuse,
        conflict,
        retry_policy: request.retry_policy,
        cron: request.cron_schedule,
        memo: request.memo.filter(|memo| !memo.fields.is_empty()),
        search_attributes,
        start_delay,
        user_metadata: request.user_metadata,
        links,
        priority: request.priority,
        callbacks: request.completion_callbacks,
        versioning_override: request.versioning_override,
        on_conflict: request.on_conflict_options,
        eager: request.request_eager_execution,
        eager_worker,
        last_result: request.last_completion_result,
        continued_failure: request.continued_failure,
        parent: None,
    })
}

pub fn signal_with_start(
    mut request: SignalWithStartWorkflowExecutionRequest,
    context: &Context<'_>,
) -> Result<SignalWithStart, Reject> {
    let limits = context.limits;
    check::new_workflow_id(&request.workflow_id, limits)?;
    check::signal_name(&request.signal_name, limits)?;
    let workflow_type = request.workflow_type.unwrap_or_default().name;
    check::workflow_type(&workflow_type, limits)?;
    let task_queue = check::user_queue(request.task_queue.as_ref(), limits)?.name.clone();
    let told = (request.workflow_execution_timeout.is_some(), request.workflow_run_timeout.is_some());
    let request_id = Some(request.request_id).filter(|id| !id.is_empty()).unwrap_or_else(context.fresh_id);
    check::request_id(&request_id, limits)?;
    let timeouts = Timeouts::new(
        request.workflow_execution_timeout.as_ref(),
        request.workflow_run_timeout.as_ref(),
        request.workflow_task_timeout.as_ref(),
        limits,
    )?;
    if let Some(policy) = &mut request.retry_policy {
        check::retry_policy(policy)?;
    }
    let start_delay = start_delay(&request.cron_schedule, request.workflow_start_delay.as_ref())?;
    let (reuse, conflict) = id_policies(
        request.workflow_id_reuse_policy,
        request.workflow_id_conflict_policy,
        Conflict::UseExisting,
    );
    let (reuse, conflict) = compatible(reuse, conflict)?;
    if conflict == Conflict::Fail {
        return Err(Reject::invalid(
            "Invalid WorkflowIDConflictPolicy: WORKFLOW_ID_CONFLICT_POLICY_FAIL is not supported for this operation.",
        ));
    }
    cron(&request.cron_schedule)?;
    let search_attributes = search_attributes(request.search_attributes, context)?;
    check::priority(request.priority.as_ref(), limits)?;
    check::links(&request.links, &[], limits)?;
    if request.time_skipping_config.is_some() {
        return Err(no_time_skipping());
    }
    check::blob(request.input.as_ref(), limits)?;
    check::memo(request.memo.as_ref(), limits)?;
    check::header(request.header.as_ref(), limits)?;
    check::user_metadata(request.user_metadata.as_ref(), limits)?;
    check::identity(&request.identity, limits)?;
    check::blob(request.signal_input.as_ref(), limits)?;
    let signal = Signal {
        name: request.signal_name,
        input: request.signal_input,
        header: request.header.clone(),
        identity: request.identity.clone(),
        request_id: request_id.clone(),
        links: request.links.clone(),
        external: None,
        skip_workflow_task: false,
    };
    let start = Start {
        workflow_id: request.workflow_id,
        workflow_type,
        task_queue,
        input: request.input,
        header: request.header,
        execution_timeout: timeouts.execution,
        execution_timeout_told: told.0,
        run_timeout_told: told.1,
        run_timeout: timeouts.run,
        task_timeout: timeouts.task,
        identity: request.identity,
        request_id,
        reuse,
        conflict,
        retry_policy: request.retry_policy,
        cron: request.cron_schedule,
        memo: request.memo.filter(|memo| !memo.fields.is_empty()),
        search_attributes,
        start_delay,
        user_metadata: request.user_metadata,
        links: request.links,
        priority: request.priority,
        versioning_override: request.versioning_override,
        ..Start::default()
    };
    Ok(SignalWithStart { start, signal })
}

/// Nanoseconds, with the defaults and caps of a new run.
struct Timeouts {
    execution: i64,
    run: i64,
    task: i64,
}

impl Timeouts {
    fn new(
        execution: Option<&prost_types::Duration>,
        run: Option<&prost_types::Duration>,
        task: Option<&prost_types::Duration>,
        limits: &Limits,
    ) -> Result<Timeouts, Reject> {
        let execution = check::timeout("WorkflowExecutionTimeoutSeconds", execution)?;
        let run = check::timeout("WorkflowRunTimeoutSeconds", run)?;
        let task = check::timeout("WorkflowTaskTimeoutSeconds", task)?;
        let least = |asked: i64, cap: i64| match (asked, cap) {
            (0, cap) => cap,
            (asked, 0) => asked,
            (asked, cap) => asked.min(cap),
        };
        let run = least(run, execution);
        let task = if task == 0 { limits.workflow_task_timeout } else { task };
        let task = least(task.min(limits.longest_workflow_task_timeout), run);
        Ok(Timeouts { execution, run, task })
    }
}

fn start_delay(cron: &str, delay: Option<&prost_types::Duration>) -> Result<i64, Reject> {
    if !cron.is_empty() && delay.is_some() {
        return Err(Reject::invalid("CronSchedule and WorkflowStartDelay may not be used together."));
    }
    check::timeout("WorkflowStartDelaySeconds", delay)
}

fn cron(schedule: &str) -> Result<(), Reject> {
    if schedule.is_empty() {
        Ok(())
    } else {
        steadfast_machine::cron::check_cron(schedule).map_err(Reject::InvalidArgument)
    }
}

fn no_time_skipping() -> Reject {
    Reject::Unimplemented("The Time-Skipping feature is not enabled for namespace.".into())
}

/// The policies with their defaults. A number that is no policy counts as not given: the reference takes it too.
fn id_policies(reuse: i32, conflict: i32, default_conflict: Conflict) -> (Reuse, Conflict) {
    let reuse = match Reuse::try_from(reuse).unwrap_or_default() {
        Reuse::Unspecified => Reuse::AllowDuplicate,
        reuse => reuse,
    };
    match (reuse, Conflict::try_from(conflict).unwrap_or_default()) {
        // The deprecated policy says by itself what a running one means.
        (Reuse::TerminateIfRunning, Conflict::Unspecified) => {
            (Reuse::AllowDuplicate, Conflict::TerminateExisting)
        }
        (reuse, Conflict::Unspecified) => (reuse, default_conflict),
        policies => policies,
    }
}

fn compatible(reuse: Reuse, conflict: Conflict) -> Result<(Reuse, Conflict), Reject> {
    match (reuse, conflict) {
        (Reuse::TerminateIfRunning, _) => Err(Reject::invalid(
            "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING cannot be used together \
             with a WorkflowIDConflictPolicy",
        )),
        (Reuse::RejectDuplicate, Conflict::TerminateExisting) => Err(Reject::invalid(
            "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE cannot be used together with \
             WorkflowIdConflictPolicy WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING",
        )),
        policies => Ok(policies),
    }
}

/// Checked by the namespace, which knows the names and types; `None` where there are none.
fn search_attributes(
    attributes: Option<SearchAttributes>,
    context: &Context<'_>,
) -> Result<Option<SearchAttributes>, Reject> {
    if let Some(attributes) = &attributes {
        context
            .namespace
            .check_search_attributes(attributes)
            .map_err(|bad| Reject::InvalidArgument(bad.into_text()))?;
    }
    let attributes = attributes.filter(|attributes| !attributes.indexed_fields.is_empty());
    Ok(attributes.map(|attributes| context.namespace.with_types(attributes)))
}

pub fn signal(request: SignalWorkflowExecutionRequest, context: &Context<'_>) -> Result<Addressed, Reject> {
    let limits = context.limits;
    let (_, run) = check::execution(request.workflow_execution.as_ref())?;
    check::signal_name(&request.signal_name, limits)?;
    check::request_id(&request.request_id, limits)?;
    check::links(&request.links, &[], limits)?;
    check::blob(request.input.as_ref(), limits)?;
    check::header(request.header.as_ref(), limits)?;
    check::identity(&request.identity, limits)?;
    let signal = Signal {
        name: request.signal_name,
        input: request.input,
        header: request.header,
        identity: request.identity,
        request_id: request.request_id,
        links: request.links,
        external: None,
        skip_workflow_task: false,
    };
    let id = request.workflow_execution.unwrap_or_default().workflow_id;
    Ok((id, Input { run, first_run: None, what: What::Signal(Box::new(signal)) }))
}

pub fn request_cancel(
    request: RequestCancelWorkflowExecutionRequest,
    context: &Context<'_>,
) -> Result<Addressed, Reject> {
    let (_, run) = check::execution(request.workflow_execution.as_ref())?;
    check::request_id(&request.request_id, context.limits)?;
    check::reason(&request.reason, context.limits)?;
    check::identity(&request.identity, context.limits)?;
    check::links(&request.links, &[], context.limits)?;
    let what = What::RequestCancel(RequestCancel {
        identity: request.identity,
        request_id: request.request_id,
        reason: request.reason,
        links: request.links,
        external: None,
    });
    let first_run = check::first_run_id(&request.first_execution_run_id);
    let id = request.workflow_execution.unwrap_or_default().workflow_id;
    Ok((id, Input { run, first_run, what }))
}

pub fn terminate(
    request: TerminateWorkflowExecutionRequest,
    context: &Context<'_>,
) -> Result<Addressed, Reject> {
    let (_, run) = check::execution(request.workflow_execution.as_ref())?;
    check::links(&request.links, &[], context.limits)?;
    check::blob(request.details.as_ref(), context.limits)?;
    check::reason(&request.reason, context.limits)?;
    check::identity(&request.identity, context.limits)?;
    let or = |given: String, default: &str| if given.is_empty() { default.into() } else { given };
    let what = What::Terminate(Terminate {
        reason: or(request.reason, "terminated by user via frontend"),
        details: request.details,
        identity: or(request.identity, "frontend-service"),
        links: request.links,
    });
    let first_run = check::first_run_id(&request.first_execution_run_id);
    let id = request.workflow_execution.unwrap_or_default().workflow_id;
    Ok((id, Input { run, first_run, what }))
}

pub fn reset(request: ResetWorkflowExecutionRequest, context: &Context<'_>) -> Result<Addressed, Reject> {
    if request.request_id.is_empty() {
        return Err(Reject::invalid("RequestId is not set on request."));
    }
    check::request_id(&request.request_id, context.limits)?;
    check::reason(&request.reason, context.limits)?;
    check::identity(&request.identity, context.limits)?;
    let (_, run) = check::execution(request.workflow_execution.as_ref())?;
    let mut reset = Reset {
        request_id: request.request_id,
        reason: request.reason,
        identity: request.identity,
        finish_event_id: request.workflow_task_finish_event_id,
        post_operations: request.post_reset_operations.iter().map(encoded).collect(),
        ..Reset::default()
    };
    reset.exclude(request.reset_reapply_type, &request.reset_reapply_exclude_types)?;
    let id = request.workflow_execution.unwrap_or_default().workflow_id;
    Ok((id, Input { run, first_run: None, what: What::Reset(Box::new(reset)) }))
}

fn encoded(operation: &PostResetOperation) -> bytes::Bytes {
    prost::Message::encode_to_vec(operation).into()
}

pub fn query(
    request: QueryWorkflowRequest,
    caller: CallerId,
    deadline: Time,
    context: &Context<'_>,
) -> Result<Addressed, Reject> {
    let (_, run) = check::execution(request.execution.as_ref())?;
    let query = request.query.ok_or_else(|| Reject::invalid("WorkflowQuery is not set on request."))?;
    if query.query_type.is_empty() {
        return Err(Reject::invalid("QueryType is not set on request."));
    }
    check::blob(query.query_args.as_ref(), context.limits)?;
    check::header(query.header.as_ref(), context.limits)?;
    let what = Query { caller, query, reject_condition: request.query_reject_condition, deadline };
    let id = request.execution.unwrap_or_default().workflow_id;
    Ok((id, Input { run, first_run: None, what: What::Query(Box::new(what)) }))
}

pub fn update(
    request: UpdateWorkflowExecutionRequest,
    caller: CallerId,
    context: &Context<'_>,
) -> Result<Addressed, Reject> {
    let (_, run) = check::execution(request.workflow_execution.as_ref())?;
    let first_run = check::first_run_id(&request.first_execution_run_id);
    let id = request.workflow_execution.clone().unwrap_or_default().workflow_id;
    let update = checked_update(request, caller, context)?;
    Ok((id, Input { run, first_run, what: What::Update(Box::new(update)) }))
}

fn checked_update(
    request: UpdateWorkflowExecutionRequest,
    caller: CallerId,
    context: &Context<'_>,
) -> Result<Update, Reject> {
    let mut inner = request.request.unwrap_or_default();
    let Some(meta) = &mut inner.meta else {
        return Err(Reject::invalid("Update meta is not set on request."));
    };
    check::update_id(&meta.update_id, context.limits)?;
    if meta.update_id.is_empty() {
        meta.update_id = (context.fresh_id)();
    }
    match &inner.input {
        None => return Err(Reject::invalid("Update input is not set on request.")),
        Some(input) if input.name.is_empty() => {
            return Err(Reject::invalid("Update name is not set on request."));
        }
        Some(input) => {
            check::update_name(&input.name, context.limits)?;
            check::blob(input.args.as_ref(), context.limits)?;
            check::header(input.header.as_ref(), context.limits)?;
        }
    }
    let stage = match stage(request.wait_policy.map_or(0, |policy| policy.lifecycle_stage)) {
        Stage::Unspecified => Stage::Completed,
        Stage::Admitted => {
            return Err(Reject::PermissionDenied(
                "UpdateWorkflowExecution issued asynchronously and waiting on update admitted is not supported."
                    .into(),
            ));
        }
        stage => stage,
    };
    check::callbacks(&mut inner.completion_callbacks, context.limits)?;
    inner.links =
        check::links_without_callbacks(std::mem::take(&mut inner.links), &inner.completion_callbacks);
    check::links(&inner.links, &inner.completion_callbacks, context.limits)?;
    Ok(Update { caller, request: inner, stage: stage as i32 })
}

fn stage(number: i32) -> Stage {
    Stage::try_from(number).unwrap_or_default()
}

pub fn poll_update(
    request: PollWorkflowExecutionUpdateRequest,
    caller: CallerId,
) -> Result<Addressed, Reject> {
    let update = request.update_ref.ok_or_else(|| Reject::invalid("UpdateRef is not set on request."))?;
    let execution = update.workflow_execution.unwrap_or_default();
    let run = check::loaded(&execution.workflow_id, &execution.run_id)?;
    let stage = stage(request.wait_policy.map_or(0, |policy| policy.lifecycle_stage)) as i32;
    Ok((
        execution.workflow_id,
        Input { run, first_run: None, what: What::PollUpdate { caller, update_id: update.update_id, stage } },
    ))
}

/// Update-with-start: the only multi-operation there is.
pub fn multi_operation(
    request: ExecuteMultiOperationRequest,
    caller: CallerId,
    context: &Context<'_>,
) -> Result<Addressed, Reject> {
    use execute_multi_operation_request::operation::Operation;
    let not_both = || Reject::invalid("Operations have to be exactly [Start, Update].");
    let mut operations = request.operations.into_iter().map(|operation| operation.operation);
    let (Some(Some(Operation::StartWorkflow(start))), Some(Some(Operation::UpdateWorkflow(update))), None) =
        (operations.next(), operations.next(), operations.next())
    else {
        return Err(not_both());
    };
    let start_id = start.workflow_id.clone();
    let start = checked_multi_start(&request.namespace, start, context);
    // Where the start is refused, no id is there that the update's could differ from.
    let known_id = start.as_ref().ok().map(|_| start_id.as_str());
    let update = checked_multi_update(&request.namespace, known_id, update, caller, context);
    match (start, update) {
        (Ok(start), Ok(update)) => {
            let what = What::UpdateWithStart { start: Box::new(start), update: Box::new(update) };
            Ok((start_id, Input::current(what)))
        }
        (start, update) => {
            let of = |error: Option<Reject>| Err(error.unwrap_or(Reject::OperationAborted));
            Err(Reject::MultiOperation {
                message: "Update-with-Start could not be executed.".into(),
                operations: vec![of(start.err()), of(update.err())],
            })
        }
    }
}

fn checked_multi_start(
    namespace: &str,
    request: StartWorkflowExecutionRequest,
    context: &Context<'_>,
) -> Result<Start, Reject> {
    if !request.namespace.is_empty() && request.namespace != namespace {
        return Err(Reject::invalid("Operation namespace did not match request's namespace."));
    }
    let refusals = [
        (!request.cron_schedule.is_empty(), "CronSchedule is not allowed."),
        (request.request_eager_execution, "RequestEagerExecution is not supported."),
        (duration::known(request.workflow_start_delay.as_ref()) > 0, "WorkflowStartDelay is not supported."),
    ];
    let start = start(request, context)?;
    match refusals.into_iter().find(|(refused, _)| *refused) {
        Some((_, refusal)) => Err(Reject::invalid(refusal)),
        None => Ok(start),
    }
}

fn checked_multi_update(
    namespace: &str,
    workflow_id: Option<&str>,
    request: UpdateWorkflowExecutionRequest,
    caller: CallerId,
    context: &Context<'_>,
) -> Result<Update, Reject> {
    if !request.namespace.is_empty() && request.namespace != namespace {
        return Err(Reject::invalid("Operation namespace did not match request's namespace."));
    }
    let (id, run) = check::execution(request.workflow_execution.as_ref())?;
    let id = id.to_owned();
    let first_run = request.first_execution_run_id.clone();
    let update = checked_update(request, caller, context)?;
    if !first_run.is_empty() {
        return Err(Reject::invalid("FirstExecutionRunId is not allowed."));
    }
    if run.is_some() {
        return Err(Reject::invalid("RunId is not allowed."));
    }
    if workflow_id.is_some_and(|known| known != id) {
        return Err(Reject::invalid("WorkflowId is not consistent with previous operation(s)."));
    }
    Ok(update)
}
