//! Transfers as workflows: start them, find them, and ask one how it gets on. The only file that knows the Temporal client.

use futures::{StreamExt, TryStreamExt};
use money::{
    Cents, FROM_ACCOUNT, STATE_QUERY, TASK_QUEUE, TO_ACCOUNT, TransferOrder, TransferState, WORKFLOW_TYPE,
};
use serde::Serialize;
use std::time::{Duration, SystemTime};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, WorkflowCountOptions, WorkflowDescribeOptions,
    WorkflowExecution, WorkflowHandle, WorkflowIdReusePolicy, WorkflowListOptions, WorkflowQueryOptions,
    WorkflowStartOptions,
};
use temporalio_common::protos::temporal::api::common::v1::WorkflowExecution as ExecutionKey;
use temporalio_common::protos::temporal::api::enums::v1::{IndexedValueType, WorkflowExecutionStatus};
use temporalio_common::protos::temporal::api::failure::v1::Failure;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use temporalio_common::protos::temporal::api::operatorservice::v1::{
    AddSearchAttributesRequest, ListSearchAttributesRequest,
};
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    DescribeWorkflowExecutionResponse, GetWorkflowExecutionHistoryReverseRequest,
};
use temporalio_common::search_attributes::{SearchAttributeKey, SearchAttributes};
use temporalio_common::{HasWorkflowDefinition, MemoValues, QueryDefinition, WorkflowDefinition};
use tokio::sync::OnceCell;
use tonic::{Code, IntoRequest, Status};

const FROM: SearchAttributeKey<String> = SearchAttributeKey::keyword(FROM_ACCOUNT);
const TO: SearchAttributeKey<String> = SearchAttributeKey::keyword(TO_ACCOUNT);
/// The memo field that holds the amount, so that lists can show it without opening each transfer.
const AMOUNT: &str = "amount";

/// How long a call to the server may take before the page says that the server does not answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a worker may take to answer a query; without a worker there is no answer.
const QUERY_TIMEOUT: Duration = Duration::from_millis(1500);
/// How many of the last events are read in search of the failure of a workflow task.
const LAST_EVENTS: i32 = 10;

/// The workflow, as its callers see it: the worker's code is not needed to start it.
struct MoneyTransfer;

impl WorkflowDefinition for MoneyTransfer {
    type Input = TransferOrder;
    type Output = TransferState;

    fn name(&self) -> &str {
        WORKFLOW_TYPE
    }
}

impl HasWorkflowDefinition for MoneyTransfer {
    type Run = MoneyTransfer;
}

struct StateQuery;

impl QueryDefinition for StateQuery {
    type Workflow = MoneyTransfer;
    type Input = ();
    type Output = TransferState;

    fn name(&self) -> &str {
        STATE_QUERY
    }
}

/// A transfer that was started.
#[derive(Clone, Debug, Serialize)]
pub struct Started {
    pub id: String,
    pub run_id: String,
    #[serde(flatten)]
    pub order: TransferOrder,
}

/// A transfer as a list shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    pub id: String,
    pub run_id: String,
    pub from: Option<String>,
    pub to: Option<String>,
    /// Unknown when somebody started it without a memo.
    pub amount: Option<Cents>,
    pub status: Standing,
    /// Milliseconds since 1970.
    pub started: Option<u64>,
    pub closed: Option<u64>,
}

/// How a transfer stands, as far as money is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Running,
    Done,
    /// Refused, refunded, cancelled or terminated.
    Failed,
}

#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("the Temporal server at {0} does not answer")]
    NoAnswer(String),
    #[error("{0}")]
    Refused(String),
}

/// The Temporal server, connected at first use.
pub struct Transfers {
    server: String,
    target: reqwest::Url,
    namespace: String,
    client: OnceCell<Client>,
}

impl Transfers {
    pub fn new(server: &str, namespace: &str) -> Result<Transfers, String> {
        let target = format!("http://{server}")
            .parse()
            .map_err(|error| format!("{server:?} is not an address of a server: {error}"))?;
        let (server, namespace) = (server.to_owned(), namespace.to_owned());
        Ok(Transfers { server, target, namespace, client: OnceCell::new() })
    }

    async fn client(&self) -> Result<&Client, TransferError> {
        self.client.get_or_try_init(|| self.in_time(self.connect())).await
    }

    async fn connect(&self) -> Result<Client, TransferError> {
        let options = ConnectionOptions::new(self.target.clone())
            .identity("money-transfer-api")
            .connect_timeout(CALL_TIMEOUT)
            .dns_load_balancing(None);
        let no_answer = |error: &dyn std::fmt::Display| {
            tracing::debug!("cannot connect: {error}");
            TransferError::NoAnswer(self.server.clone())
        };
        let connection = Connection::connect(options.build()).await.map_err(|error| no_answer(&error))?;
        self.register_search_attributes(&connection).await.map_err(|status| no_answer(&status))?;
        let client = Client::new(connection, ClientOptions::new(&self.namespace).build())
            .map_err(|error| no_answer(&error))?;
        tracing::info!("connected to the server at {}", self.server);
        Ok(client)
    }

    /// Makes the search attributes known that transfers carry, unless they are.
    async fn register_search_attributes(&self, connection: &Connection) -> Result<(), Status> {
        let mut operator = connection.operator_service();
        let known = operator
            .list_search_attributes(
                ListSearchAttributesRequest { namespace: self.namespace.clone() }.into_request(),
            )
            .await;
        let known = match known {
            Ok(answer) => answer.into_inner().custom_attributes,
            // A server that cannot list them was given them when it was started.
            Err(status) if status.code() == Code::Unimplemented => return Ok(()),
            Err(status) => return Err(status),
        };
        let missing = [FROM_ACCOUNT, TO_ACCOUNT].into_iter().filter(|name| !known.contains_key(*name));
        let search_attributes: std::collections::HashMap<_, _> =
            missing.map(|name| (name.to_owned(), i32::from(IndexedValueType::Keyword))).collect();
        if search_attributes.is_empty() {
            return Ok(());
        }
        let namespace = self.namespace.clone();
        let request = AddSearchAttributesRequest { search_attributes, namespace };
        match operator.add_search_attributes(request.into_request()).await {
            Err(status) if status.code() != Code::AlreadyExists => Err(status),
            _ => Ok(()),
        }
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, TransferError>>,
    ) -> Result<T, TransferError> {
        let in_time = tokio::time::timeout(CALL_TIMEOUT, call).await;
        in_time.unwrap_or_else(|_| Err(TransferError::NoAnswer(self.server.clone())))
    }

    /// Starts a transfer. Its id must never have been used: the idempotency keys of its bookings are made of it.
    pub async fn start(&self, id: String, order: TransferOrder) -> Result<Started, TransferError> {
        let client = self.client().await?;
        let mut memo = MemoValues::new();
        memo.insert(AMOUNT, order.amount);
        let options = WorkflowStartOptions::new(TASK_QUEUE, &id)
            .id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)
            .search_attributes(SearchAttributes::new([
                FROM.value_set(order.from.clone()),
                TO.value_set(order.to.clone()),
            ]))
            .memo(memo)
            .static_summary(format!("{} from {} to {}", order.amount, order.from, order.to))
            .build();
        let start = async {
            let started = client.start_workflow(MoneyTransfer, order.clone(), options).await;
            started.map_err(|error| TransferError::Refused(error.to_string()))
        };
        let handle = self.in_time(start).await?;
        let run_id = handle.run_id().unwrap_or_default().to_owned();
        Ok(Started { id, run_id, order })
    }

    /// Transfers that match the rest of a visibility query, latest first.
    pub async fn list(&self, condition: &str, limit: usize) -> Result<Vec<Listed>, TransferError> {
        let query = format!("WorkflowType = '{WORKFLOW_TYPE}'{condition}");
        let options = WorkflowListOptions::builder().limit(limit).build();
        let list = async {
            let found = self.client().await?.list_workflows(query, options).map_ok(|found| listed(&found));
            found.try_collect().await.map_err(|error| TransferError::Refused(error.to_string()))
        };
        self.in_time(list).await
    }

    /// How many transfers match the rest of a visibility query.
    pub async fn count(&self, condition: &str) -> Result<usize, TransferError> {
        let query = format!("WorkflowType = '{WORKFLOW_TYPE}'{condition}");
        let count = async {
            let counted = self.client().await?.count_workflows(query, WorkflowCountOptions::default()).await;
            counted.map(|counted| counted.count()).map_err(|error| TransferError::Refused(error.to_string()))
        };
        self.in_time(count).await
    }

    async fn handle(&self, id: &str) -> Result<WorkflowHandle<Client, MoneyTransfer>, TransferError> {
        Ok(self.client().await?.get_workflow_handle::<MoneyTransfer>(id))
    }

    /// What the server knows of a transfer; needs no worker.
    pub async fn describe(&self, id: &str) -> Result<DescribeWorkflowExecutionResponse, TransferError> {
        let describe = async {
            let described = self.handle(id).await?.describe(WorkflowDescribeOptions::default()).await;
            described
                .map(|described| described.into_raw())
                .map_err(|error| TransferError::Refused(error.to_string()))
        };
        self.in_time(describe).await
    }

    /// The transfer's own account of itself, if a worker gives it in time.
    pub async fn state(&self, id: &str) -> Option<TransferState> {
        let handle = self.handle(id).await.ok()?;
        let query = handle.query(StateQuery, (), WorkflowQueryOptions::default());
        tokio::time::timeout(QUERY_TIMEOUT, query).await.ok()?.ok()
    }

    /// Why the last workflow task of a transfer failed, if it did.
    pub async fn workflow_task_failure(&self, id: &str, run_id: &str) -> Option<Failure> {
        let mut service = self.client().await.ok()?.connection().workflow_service();
        let request = GetWorkflowExecutionHistoryReverseRequest {
            namespace: self.namespace.clone(),
            execution: Some(ExecutionKey { workflow_id: id.to_owned(), run_id: run_id.to_owned() }),
            maximum_page_size: LAST_EVENTS,
            ..Default::default()
        };
        let call = service.get_workflow_execution_history_reverse(request.into_request());
        let page = tokio::time::timeout(CALL_TIMEOUT, call).await.ok()?.ok()?.into_inner();
        page.history?.events.into_iter().find_map(|event| match event.attributes {
            Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => failed.failure,
            _ => None,
        })
    }
}

fn listed(found: &WorkflowExecution) -> Listed {
    let attributes = found.search_attributes();
    Listed {
        id: found.id().to_owned(),
        run_id: found.run_id().to_owned(),
        from: attributes.get(&FROM),
        to: attributes.get(&TO),
        amount: found.memo().get(AMOUNT).ok().flatten(),
        status: match found.raw().status() {
            WorkflowExecutionStatus::Running => Standing::Running,
            WorkflowExecutionStatus::Completed => Standing::Done,
            _ => Standing::Failed,
        },
        started: found.start_time().and_then(milliseconds),
        closed: found.close_time().and_then(milliseconds),
    }
}

/// Milliseconds since 1970.
pub fn milliseconds(time: SystemTime) -> Option<u64> {
    time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis().try_into().ok()
}

/// Starts many transfers, a few at a time, and gives what was started or the first error.
pub async fn start_all(
    transfers: &Transfers,
    orders: Vec<(String, TransferOrder)>,
) -> Result<Vec<Started>, TransferError> {
    /// More would not be faster, and fewer leave the server idle.
    const AT_ONCE: usize = 16;
    futures::stream::iter(orders)
        .map(|(id, order)| transfers.start(id, order))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}
