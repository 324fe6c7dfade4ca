// A history folded into what happened: one line for an activity from scheduled to completed, one for a timer, a child, a
// signal. Workflow tasks are left out unless they failed; they are how the server works, not what the workflow did.

import type { Failure, HistoryEvent } from "./model.ts";
import { instant } from "./time.ts";
import { words } from "./words.ts";

export type GroupState = "open" | "failing" | "done" | "failed" | "cancelled" | "note";

export interface Group {
  /** The first of its events that is loaded. */
  id: number;
  kind: string;
  /** What it is about: the activity's type, the signal's name. */
  name: string;
  state: GroupState;
  /** How it ended, in a word. */
  outcome: string;
  start?: number;
  end?: number;
  attempts?: number;
  failure?: Failure;
  events: HistoryEvent[];
}

/** For each kind of event that continues a group: the attribute that names the group's first event. */
const CONTINUES: Array<[prefix: string, attributes: string[], kind: string]> = [
  ["ActivityTask", ["scheduledEventId"], "Activity"],
  ["Timer", ["startedEventId"], "Timer"],
  ["ChildWorkflowExecution", ["initiatedEventId"], "Child workflow"],
  ["StartChildWorkflowExecution", ["initiatedEventId"], "Child workflow"],
  ["SignalExternalWorkflowExecution", ["initiatedEventId"], "Signal to a workflow"],
  ["ExternalWorkflowExecutionSignaled", ["initiatedEventId"], "Signal to a workflow"],
  ["RequestCancelExternalWorkflowExecution", ["initiatedEventId"], "Cancel of a workflow"],
  ["ExternalWorkflowExecutionCancelRequested", ["initiatedEventId"], "Cancel of a workflow"],
  ["NexusOperation", ["scheduledEventId"], "Nexus operation"],
  ["WorkflowExecutionUpdate", ["acceptedEventId"], "Update"],
];

export function isWorkflowTask(event: HistoryEvent): boolean {
  return event.eventType.startsWith("WorkflowTask");
}

export function groupEvents(events: HistoryEvent[]): Group[] {
  const groups: Group[] = [];
  const byFirst = new Map<number, Group>();
  for (const event of events) {
    if (isWorkflowTask(event)) {
      if (isTroubledTask(event)) addTroubledTask(groups, event);
      continue;
    }
    const first = firstEventOf(event);
    const group = first === undefined ? undefined : byFirst.get(first);
    if (group) {
      addTo(group, event);
    } else {
      const made = begin(event);
      groups.push(made);
      byFirst.set(first ?? event.eventId, made);
    }
  }
  return groups;
}

function isTroubledTask(event: HistoryEvent): boolean {
  if (event.eventType === "WorkflowTaskTimedOut") return true;
  // A task that was thrown away for an unhandled command or a reset is no trouble of the application's.
  const harmless = ["UnhandledCommand", "ResetWorkflow", "ForceCloseCommand"];
  return event.eventType === "WorkflowTaskFailed" && !harmless.includes(event.attributes.cause);
}

/** Failures of the same task one after another are one line. */
function addTroubledTask(groups: Group[], event: HistoryEvent): void {
  const last = groups.at(-1);
  if (last?.kind === "Workflow task") {
    last.events.push(event);
    last.attempts = last.events.length;
    last.end = instant(event.eventTime);
    last.failure = event.attributes.failure ?? last.failure;
    return;
  }
  const timedOut = event.eventType === "WorkflowTaskTimedOut";
  groups.push({
    id: event.eventId,
    kind: "Workflow task",
    name: timedOut ? "the worker did not answer in time" : words(event.attributes.cause ?? "failed"),
    state: "failed",
    outcome: timedOut ? "timed out" : "failed",
    start: instant(event.eventTime),
    end: instant(event.eventTime),
    attempts: 1,
    failure: event.attributes.failure,
    events: [event],
  });
}

function firstEventOf(event: HistoryEvent): number | undefined {
  for (const [prefix, attributes] of CONTINUES) {
    if (!event.eventType.startsWith(prefix)) continue;
    for (const attribute of attributes) {
      const id = event.attributes[attribute];
      if (typeof id === "number" && id > 0) return id;
    }
  }
  return undefined;
}

function kindOf(type: string): string {
  return CONTINUES.find(([prefix]) => type.startsWith(prefix))?.[2] ?? words(type);
}

function begin(event: HistoryEvent): Group {
  const a = event.attributes;
  const time = instant(event.eventTime);
  const group: Group = {
    id: event.eventId,
    kind: kindOf(event.eventType),
    name: nameOf(event),
    state: "note",
    outcome: "",
    start: time,
    end: time,
    events: [],
  };
  switch (event.eventType) {
    case "WorkflowExecutionStarted":
      group.kind = "Started";
      group.name = a.workflowType?.name ?? "";
      break;
    case "WorkflowExecutionSignaled":
      group.kind = "Signal";
      break;
    case "MarkerRecorded":
      group.kind = "Marker";
      break;
    case "WorkflowExecutionCompleted":
      return { ...group, kind: "Completed", state: "done", events: [event] };
    case "WorkflowExecutionFailed":
    case "WorkflowExecutionTimedOut":
      return { ...group, kind: words(event.eventType.replace("WorkflowExecution", "")), state: "failed", failure: a.failure, events: [event] };
    case "WorkflowExecutionCanceled":
    case "WorkflowExecutionTerminated":
      return { ...group, kind: words(event.eventType.replace("WorkflowExecution", "")), name: a.reason ?? "", state: "cancelled", events: [event] };
  }
  addTo(group, event);
  return group;
}

function nameOf(event: HistoryEvent): string {
  const a = event.attributes;
  const child = event.eventType.includes("ChildWorkflow") ? (a.workflowId ?? a.workflowExecution?.workflowId) : undefined;
  const direct =
    child ?? a.activityType?.name ?? a.signalName ?? a.markerName ?? a.operation ?? a.acceptedRequest?.input?.name ??
    a.workflowType?.name ?? a.workflowExecution?.workflowId;
  if (direct !== undefined) return String(direct);
  if (event.eventType.startsWith("Timer")) return a.startToFireTimeout ? `of ${a.startToFireTimeout}` : `${a.timerId ?? ""}`;
  const first = firstEventOf(event);
  return first === undefined ? "" : `that event ${first} began`;
}

const ENDS: Array<[ending: string, state: GroupState, outcome: string]> = [
  ["Completed", "done", "completed"],
  ["Fired", "done", "fired"],
  ["Signaled", "done", "delivered"],
  ["TimedOut", "failed", "timed out"],
  ["CancelRequestFailed", "failed", "cancel failed"],
  ["CancelRequestCompleted", "note", "cancel delivered"],
  ["Failed", "failed", "failed"],
  ["Rejected", "failed", "rejected"],
  ["Canceled", "cancelled", "cancelled"],
  ["Terminated", "cancelled", "terminated"],
];

function addTo(group: Group, event: HistoryEvent): void {
  group.events.push(event);
  const time = instant(event.eventTime);
  if (time !== undefined) group.end = time;
  const a = event.attributes;
  if (typeof a.attempt === "number" && event.eventType === "ActivityTaskStarted") group.attempts = a.attempt;
  if (a.failure) group.failure = a.failure;
  if (event.eventType === "WorkflowExecutionSignaled" || event.eventType === "MarkerRecorded") return;
  const end = ENDS.find(([ending]) => event.eventType.endsWith(ending));
  const continues = CONTINUES.some(([prefix]) => event.eventType.startsWith(prefix));
  if (end && continues && end[2] !== "cancel delivered") {
    group.state = end[1];
    group.outcome = end[2];
  } else if (continues) {
    group.state = "open";
    group.outcome = event.eventType.endsWith("CancelRequested") ? "cancel requested" : event.eventType.endsWith("Started") && group.kind !== "Timer" ? "running" : "waiting";
  }
}
