// The shapes that the server's JSON has (crates/ui/src/proto_json.rs makes it from the API's messages): what is not set is
// left out, so nearly everything is optional.

export interface Payload {
  encoding: string;
  /** The source text; never parsed and written again, because numbers would change. */
  text?: string;
  base64?: string;
  /** All of its bytes, where only the first of them were sent. */
  size?: number;
  metadata?: Record<string, string>;
}

export interface BoxedPayload {
  $payload: Payload;
}

export type PayloadMap = Record<string, BoxedPayload>;

export interface Failure {
  message?: string;
  source?: string;
  stackTrace?: string;
  encodedAttributes?: BoxedPayload;
  cause?: Failure;
  applicationFailureInfo?: { type?: string; nonRetryable?: boolean; details?: BoxedPayload[]; nextRetryDelay?: string };
  timeoutFailureInfo?: { timeoutType?: string; lastHeartbeatDetails?: BoxedPayload[] };
  canceledFailureInfo?: { details?: BoxedPayload[] };
  terminatedFailureInfo?: object;
  serverFailureInfo?: { nonRetryable?: boolean };
  activityFailureInfo?: { activityType?: Named; activityId?: string; identity?: string; retryState?: string };
  childWorkflowExecutionFailureInfo?: { workflowExecution?: Execution; workflowType?: Named; retryState?: string };
  nexusOperationExecutionFailureInfo?: { endpoint?: string; service?: string; operation?: string };
}

export interface Named {
  name?: string;
}

export interface Execution {
  workflowId?: string;
  runId?: string;
}

export interface HistoryEvent {
  eventId: number;
  eventTime?: string;
  eventType: string;
  // Sixty kinds, all shown by the same code; what is read by name is checked where it is read.
  attributes: Record<string, any>;
  links?: unknown[];
  userMetadata?: { summary?: BoxedPayload; details?: BoxedPayload };
}

export interface PendingActivity {
  activityId?: string;
  activityType?: Named;
  state?: string;
  heartbeatDetails?: BoxedPayload[];
  lastHeartbeatTime?: string;
  lastStartedTime?: string;
  attempt?: number;
  maximumAttempts?: number;
  scheduledTime?: string;
  expirationTime?: string;
  lastFailure?: Failure;
  lastWorkerIdentity?: string;
  currentRetryInterval?: string;
  lastAttemptCompleteTime?: string;
  nextAttemptScheduleTime?: string;
  paused?: boolean;
  activityOptions?: { taskQueue?: Named; [option: string]: unknown };
}

export interface PendingChild {
  workflowId?: string;
  runId?: string;
  workflowTypeName?: string;
  initiatedId?: number;
}

export interface PendingWorkflowTask {
  state?: string;
  scheduledTime?: string;
  originalScheduledTime?: string;
  startedTime?: string;
  attempt?: number;
}

export interface PendingNexusOperation {
  endpoint?: string;
  service?: string;
  operation?: string;
  scheduledTime?: string;
  state?: string;
  attempt?: number;
  lastAttemptFailure?: Failure;
  nextAttemptScheduleTime?: string;
}

export interface WorkflowInfo {
  execution?: Execution;
  type?: Named;
  status?: string;
  startTime?: string;
  executionTime?: string;
  closeTime?: string;
  historyLength?: number;
  historySizeBytes?: number;
  taskQueue?: string;
  parentExecution?: Execution;
  memo?: PayloadMap;
  searchAttributes?: PayloadMap;
}

export interface Describe {
  executionConfig?: Record<string, unknown>;
  workflowExecutionInfo?: WorkflowInfo;
  pendingActivities?: PendingActivity[];
  pendingChildren?: PendingChild[];
  pendingWorkflowTask?: PendingWorkflowTask;
  pendingNexusOperations?: PendingNexusOperation[];
  workflowExtendedInfo?: { cancelRequested?: boolean; pauseInfo?: { reason?: string; identity?: string }; [more: string]: unknown };
}

/** How many workers poll each queue that this run waits on; null where the server does not tell. */
export interface Pollers {
  workflow: Record<string, number | null>;
  activity: Record<string, number | null>;
}

export interface HistoryPage {
  events: HistoryEvent[];
  /** Where the next page starts, in the direction of the walk; empty at the end. */
  next: string;
}

export interface RunData {
  workflowId: string;
  runId: string;
  describe: Describe;
  head: HistoryPage;
  tail: HistoryPage;
  pollers: Pollers;
}

export interface ListRow {
  execution: Execution;
  type?: Named;
  status?: string;
  startTime?: string;
  executionTime?: string;
  closeTime?: string;
  historyLength?: number;
  taskQueue?: string;
  problems?: BoxedPayload;
  paused?: boolean;
  /** What keeps a running workflow from going on: its own code, or an activity that is tried again and again. */
  trouble?: { attempt: number; activity?: string; message?: string | null };
}

export interface ListData {
  query: string;
  status: string | null;
  rest: string;
  rows: ListRow[];
  next: string;
  page: string;
  counts: Record<string, number> | null;
  failing: number | null;
  version: string;
}

export interface Problem {
  code: string;
  message: string;
  status?: number;
}
