//! What the pages ask of a server: the few calls of the Temporal API that they use, with the transport behind them
//! erased, so that no handler is generic over it.

use futures_util::future::BoxFuture;
use steadfast_api::v1::workflowservice::workflow_service_client::WorkflowServiceClient;
use steadfast_api::v1::workflowservice::*;
use tokio::sync::watch;
use tonic::Status;

/// Tells that something in a namespace's list of workflows changed.
pub trait Changes: Send + Sync + 'static {
    /// A counter that moves after each change that a list of this namespace could show. The stream of a page ends when
    /// the sender is gone, which is how a server that stops lets go of its open pages.
    fn changes(&self, namespace: &str) -> watch::Receiver<u64>;
}

macro_rules! calls {
    ($($name:ident: $request:ident => $response:ident;)*) => {
        /// The calls in use, as an object-safe trait.
        pub(crate) trait Backend: Send + Sync + 'static {
            $(fn $name(&self, request: $request) -> BoxFuture<'static, Result<$response, Status>>;)*
        }

        impl<T> Backend for WorkflowServiceClient<T>
        where
            T: tonic::client::GrpcService<tonic::body::Body> + Clone + Send + Sync + 'static,
            T::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
            T::Future: Send,
            T::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
            <T::ResponseBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
        {
            $(fn $name(&self, request: $request) -> BoxFuture<'static, Result<$response, Status>> {
                let mut client = self.clone();
                Box::pin(async move { Ok(WorkflowServiceClient::$name(&mut client, request).await?.into_inner()) })
            })*
        }
    };
}

calls! {
    list_namespaces: ListNamespacesRequest => ListNamespacesResponse;
    list_workflow_executions: ListWorkflowExecutionsRequest => ListWorkflowExecutionsResponse;
    count_workflow_executions: CountWorkflowExecutionsRequest => CountWorkflowExecutionsResponse;
    describe_workflow_execution: DescribeWorkflowExecutionRequest => DescribeWorkflowExecutionResponse;
    get_workflow_execution_history: GetWorkflowExecutionHistoryRequest => GetWorkflowExecutionHistoryResponse;
    get_workflow_execution_history_reverse: GetWorkflowExecutionHistoryReverseRequest => GetWorkflowExecutionHistoryReverseResponse;
    describe_task_queue: DescribeTaskQueueRequest => DescribeTaskQueueResponse;
    signal_workflow_execution: SignalWorkflowExecutionRequest => SignalWorkflowExecutionResponse;
    request_cancel_workflow_execution: RequestCancelWorkflowExecutionRequest => RequestCancelWorkflowExecutionResponse;
    terminate_workflow_execution: TerminateWorkflowExecutionRequest => TerminateWorkflowExecutionResponse;
    query_workflow: QueryWorkflowRequest => QueryWorkflowResponse;
}
