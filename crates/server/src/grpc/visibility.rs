//! Lists and counts.

use crate::call::Call;
use crate::frontend::Frontend;
use crate::limits::{ARCHIVED_PAGE, LIST_PAGE};
use crate::status::Refusal;
use crate::to_proto;
use crate::token::{ListPage, bytes_of, uuid_of};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use steadfast_engine::NamespaceState;

use steadfast_api::v1::common::Payload;
use steadfast_api::v1::enums::WorkflowExecutionStatus as Status;
use steadfast_api::v1::filter::StartTimeFilter;
use steadfast_api::v1::workflow::WorkflowExecutionInfo;
use steadfast_api::v1::workflowservice::count_workflow_executions_response::AggregationGroup;
use steadfast_api::v1::workflowservice::*;
use steadfast_machine::{Kind, Reject, RunKey, Time};
use steadfast_query::{
    Attribute, AttributeType, Filter, GroupBy, QueryError, Schema, parse, resolve, status_name,
};
use steadfast_storage::{PageKey, VisibilityPage, VisibilityRow};

/// Names that lists of standalone activities have beside those of workflows.
struct ActivityNames<'a>(&'a NamespaceState);

impl Schema for ActivityNames<'_> {
    fn custom(&self, name: &str) -> Option<AttributeType> {
        self.0.custom(name)
    }

    fn alias(&self, name: &str) -> Option<Attribute> {
        match name {
            "ActivityId" => Attribute::built_in("WorkflowId"),
            "ActivityType" => Attribute::built_in("WorkflowType"),
            _ => None,
        }
    }
}

fn filter(query: &str, namespace: &NamespaceState, kind: Kind) -> Result<Filter, Refusal> {
    let refuse = |error: QueryError| Refusal::from(Reject::InvalidArgument(error.to_string()));
    let parsed = parse(query).map_err(refuse)?;
    let activities = ActivityNames(namespace);
    let schema: &dyn Schema = if kind == Kind::Activity { &activities } else { namespace };
    resolve(parsed, schema).map_err(refuse)
}

async fn page(
    frontend: &Frontend,
    namespace: &NamespaceState,
    query: &str,
    size: i32,
    token: &Bytes,
) -> Result<(Vec<WorkflowExecutionInfo>, Bytes), Refusal> {
    let (rows, next) = rows(frontend, namespace, Kind::Workflow, query, size, token).await?;
    Ok((rows.iter().map(|(key, row)| to_proto::listed(key, row)).collect(), next))
}

/// Open runs first, then by close time, start time (newest first) and run id; and the token of the next page.
pub(super) async fn rows(
    frontend: &Frontend,
    namespace: &NamespaceState,
    kind: Kind,
    query: &str,
    size: i32,
    token: &Bytes,
) -> Result<(Vec<(RunKey, VisibilityRow)>, Bytes), Refusal> {
    let filter = filter(query, namespace, kind)?
        .for_list()
        .map_err(|error| Refusal::from(Reject::InvalidArgument(error.to_string())))?;
    let size = usize::try_from(size).ok().filter(|size| (1..=LIST_PAGE).contains(size)).unwrap_or(LIST_PAGE);
    let after = if token.is_empty() {
        None
    } else {
        let page = frontend.tokens.open_list_page(token);
        let page = page.map_err(|_| Reject::invalid("Invalid NextPageToken."))?;
        Some(PageKey {
            close_time: Time(page.close_time),
            start_time: Time(page.start_time),
            run: uuid_of(&page.run),
        })
    };
    let mut page = frontend.engine.list(namespace.id, kind, filter.clone(), after, size).await?;
    if kind == Kind::Workflow && !filter.hides_divisions() {
        let batches = frontend.engine.list(namespace.id, Kind::Batch, filter, after, size).await?;
        page = merged(page, batches, size);
    }
    let next = page.next.map_or_else(Bytes::new, |next| {
        frontend.tokens.list_page(ListPage {
            close_time: next.close_time.0,
            start_time: next.start_time.0,
            run: bytes_of(next.run),
        })
    });
    Ok((page.rows, next))
}

/// Batch operations stand among the workflows, as they are some in the reference, for those who ask for their division.
fn merged(mut page: VisibilityPage, other: VisibilityPage, size: usize) -> VisibilityPage {
    let order = |place: &PageKey| (Reverse(place.close_time), Reverse(place.start_time), place.run);
    let more = page.next.is_some() || other.next.is_some();
    // Up to where both are known.
    let end = page.next.iter().chain(&other.next).map(order).min();
    page.rows.extend(other.rows);
    page.rows.retain(|(key, row)| end.is_none_or(|end| order(&PageKey::of(row, key.run)) <= end));
    page.rows.sort_by_key(|(key, row)| order(&PageKey::of(row, key.run)));
    let more = more || page.rows.len() > size;
    page.rows.truncate(size);
    page.next = page.rows.last().filter(|_| more).map(|(key, row)| PageKey::of(row, key.run));
    page
}

pub async fn list_workflow_executions(
    frontend: &Frontend,
    _: Call,
    request: ListWorkflowExecutionsRequest,
) -> Result<ListWorkflowExecutionsResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let (executions, next_page_token) =
        page(frontend, &namespace, &request.query, request.page_size, &request.next_page_token).await?;
    Ok(ListWorkflowExecutionsResponse { executions, next_page_token })
}

pub async fn scan_workflow_executions(
    frontend: &Frontend,
    _: Call,
    request: ScanWorkflowExecutionsRequest,
) -> Result<ScanWorkflowExecutionsResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let (executions, next_page_token) =
        page(frontend, &namespace, &request.query, request.page_size, &request.next_page_token).await?;
    Ok(ScanWorkflowExecutionsResponse { executions, next_page_token })
}

pub async fn count_workflow_executions(
    frontend: &Frontend,
    _: Call,
    request: CountWorkflowExecutionsRequest,
) -> Result<CountWorkflowExecutionsResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    counted(frontend, &namespace, Kind::Workflow, &request.query).await
}

/// How many runs of a kind match, in groups if the query asks for them.
pub(super) async fn counted(
    frontend: &Frontend,
    namespace: &NamespaceState,
    kind: Kind,
    query: &str,
) -> Result<CountWorkflowExecutionsResponse, Refusal> {
    let filter = filter(query, namespace, kind)?;
    match filter.group_by() {
        None => {
            let mut count = 0;
            for kind in counted_kinds(kind, &filter) {
                count += frontend.engine.count(namespace.id, *kind, filter.clone()).await?;
            }
            Ok(CountWorkflowExecutionsResponse { count: signed(count), groups: Vec::new() })
        }
        Some(GroupBy::ExecutionStatus) => {
            let mut by_status = BTreeMap::<i32, u64>::new();
            for kind in counted_kinds(kind, &filter) {
                for (status, count) in
                    frontend.engine.count_by_status(namespace.id, *kind, filter.clone()).await?
                {
                    *by_status.entry(status).or_default() += count;
                }
            }
            let groups: Vec<AggregationGroup> = by_status
                .into_iter()
                .filter(|(_, count)| *count != 0)
                .map(|(status, count)| AggregationGroup {
                    group_values: vec![keyword(status_name(status).unwrap_or_default())],
                    count: signed(count),
                })
                .collect();
            Ok(CountWorkflowExecutionsResponse {
                count: groups.iter().map(|group| group.count).sum(),
                groups,
            })
        }
        Some(GroupBy::NamespaceDivision) => {
            Err(Reject::Unimplemented("GROUP BY TemporalNamespaceDivision is not built yet".into()).into())
        }
    }
}

/// What counts as of a kind.
fn counted_kinds(kind: Kind, filter: &Filter) -> &'static [Kind] {
    match kind {
        Kind::Workflow if !filter.hides_divisions() => &[Kind::Workflow, Kind::Batch],
        Kind::Activity => &[Kind::Activity],
        Kind::Batch => &[Kind::Batch],
        _ => &[Kind::Workflow],
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn keyword(text: &str) -> Payload {
    let kind = AttributeType::Keyword.name();
    Payload {
        metadata: [
            ("encoding".to_owned(), Bytes::from_static(b"json/plain")),
            ("type".to_owned(), Bytes::from_static(kind.as_bytes())),
        ]
        .into(),
        data: Bytes::from(format!("\"{text}\"")),
        ..Payload::default()
    }
}

pub async fn list_open_workflow_executions(
    frontend: &Frontend,
    _: Call,
    request: ListOpenWorkflowExecutionsRequest,
) -> Result<ListOpenWorkflowExecutionsResponse, Refusal> {
    use list_open_workflow_executions_request::Filters;
    let namespace = frontend.namespace(&request.namespace)?;
    let mut conditions = vec!["ExecutionStatus = 'Running'".to_owned()];
    conditions.extend(window("StartTime", request.start_time_filter.as_ref())?);
    conditions.extend(request.filters.map(|filters| match filters {
        Filters::ExecutionFilter(filter) => equals("WorkflowId", &filter.workflow_id),
        Filters::TypeFilter(filter) => equals("WorkflowType", &filter.name),
    }));
    let query = conditions.join(" AND ");
    let (executions, next_page_token) =
        page(frontend, &namespace, &query, request.maximum_page_size, &request.next_page_token).await?;
    Ok(ListOpenWorkflowExecutionsResponse { executions, next_page_token })
}

pub async fn list_closed_workflow_executions(
    frontend: &Frontend,
    _: Call,
    request: ListClosedWorkflowExecutionsRequest,
) -> Result<ListClosedWorkflowExecutionsResponse, Refusal> {
    use list_closed_workflow_executions_request::Filters;
    let namespace = frontend.namespace(&request.namespace)?;
    let mut conditions = vec!["ExecutionStatus != 'Running'".to_owned()];
    conditions.extend(window("CloseTime", request.start_time_filter.as_ref())?);
    match request.filters {
        None => {}
        Some(Filters::ExecutionFilter(filter)) => conditions.push(equals("WorkflowId", &filter.workflow_id)),
        Some(Filters::TypeFilter(filter)) => conditions.push(equals("WorkflowType", &filter.name)),
        Some(Filters::StatusFilter(filter)) => match Status::try_from(filter.status) {
            Ok(status) if !matches!(status, Status::Unspecified | Status::Running) => {
                conditions.push(equals("ExecutionStatus", status_name(filter.status).unwrap_or_default()));
            }
            _ => {
                return Err(Reject::invalid("StatusFilter must be specified and must be not Running.").into());
            }
        },
    }
    let query = conditions.join(" AND ");
    let (executions, next_page_token) =
        page(frontend, &namespace, &query, request.maximum_page_size, &request.next_page_token).await?;
    Ok(ListClosedWorkflowExecutionsResponse { executions, next_page_token })
}

fn equals(name: &str, value: &str) -> String {
    format!("{name} = '{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// The conditions of a window of time, both ends in it.
fn window(name: &str, filter: Option<&StartTimeFilter>) -> Result<Vec<String>, Reject> {
    let given =
        |time: Option<&prost_types::Timestamp>| time.map(Time::from_timestamp).filter(|time| time.is_set());
    let earliest = filter.and_then(|filter| given(filter.earliest_time.as_ref()));
    let latest = filter.and_then(|filter| given(filter.latest_time.as_ref()));
    if earliest.zip(latest).is_some_and(|(earliest, latest)| earliest > latest) {
        return Err(Reject::invalid("EarliestTime in StartTimeFilter should not be larger than LatestTime."));
    }
    let from = earliest.map(|time| format!("{name} >= {}", time.0));
    let to = latest.map(|time| format!("{name} <= {}", time.0));
    Ok(from.into_iter().chain(to).collect())
}

pub async fn list_archived_workflow_executions(
    frontend: &Frontend,
    _: Call,
    request: ListArchivedWorkflowExecutionsRequest,
) -> Result<ListArchivedWorkflowExecutionsResponse, Refusal> {
    frontend.namespace(&request.namespace)?;
    if request.page_size > ARCHIVED_PAGE {
        return Err(Reject::invalid(format!("PageSize is larger than allowed {ARCHIVED_PAGE}.")).into());
    }
    Err(Reject::invalid("Cluster is not configured for visibility archival.").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_lists_write_queries_that_the_language_knows() {
        let namespace = NamespaceState::new(uuid::Uuid::nil(), "default");
        let window = window(
            "StartTime",
            Some(&StartTimeFilter {
                earliest_time: Some(Time(1_700_000_000_000_000_001).timestamp()),
                latest_time: Some(Time(1_700_000_001_000_000_000).timestamp()),
            }),
        )
        .unwrap();
        assert_eq!(window.len(), 2);
        let awkward = equals("WorkflowId", "it's a \\ 'test'");
        let query = format!("ExecutionStatus = 'Running' AND {} AND {awkward}", window.join(" AND "));
        filter(&query, &namespace, Kind::Workflow).unwrap();
    }

    #[test]
    fn a_window_that_ends_before_it_begins_is_refused() {
        let filter = StartTimeFilter {
            earliest_time: Some(Time(2_000_000_000).timestamp()),
            latest_time: Some(Time(1_000_000_000).timestamp()),
        };
        assert!(window("CloseTime", Some(&filter)).is_err());
    }
}
