// A failure as the API sends it is a chain from the outside in ("Activity task failed" … "connection refused"). People
// want it from the inside out: what went wrong first, then through what it came.

import type { BoxedPayload, Failure } from "./model.ts";
import { culprit, parseStack, placeInMessage, type Frame, type Place } from "./stack.ts";

export interface Cause {
  /** `ZeroDivisionError`, `Timeout (StartToClose)`, … where there is one. */
  type?: string;
  message: string;
  /** What kind of thing this link of the chain is, in words. */
  role: string;
  frames: Frame[];
  place?: Place;
  /** Where `place` was found. */
  placeFrom?: "stack" | "message";
  retryable?: boolean;
  details?: BoxedPayload[];
  source?: string;
  encoded: boolean;
}

/** Deeper chains are cut; nobody reads them, and a stranger may have sent them. */
const DEPTH = 50;

/** The chain, innermost first. */
export function causes(failure: Failure | undefined): Cause[] {
  const chain: Cause[] = [];
  for (let at = failure; at !== undefined && chain.length < DEPTH; at = at.cause) chain.unshift(cause(at));
  return chain;
}

/** What went wrong first. Links that only say that something below failed are passed over. */
export function rootCause(failure: Failure | undefined): Cause | undefined {
  return causes(failure)[0];
}

function cause(failure: Failure): Cause {
  const told = failure.message ?? "";
  const within = failure.stackTrace ? undefined : stackInMessage(told);
  const message = within?.message ?? told;
  const frames = within?.frames ?? (failure.stackTrace ? parseStack(failure.stackTrace) : []);
  const inStack = culprit(frames);
  const place = inStack ?? placeInMessage(message);
  const application = failure.applicationFailureInfo;
  return {
    ...named(failure),
    message,
    frames,
    place,
    placeFrom: place === undefined ? undefined : inStack ? "stack" : "message",
    retryable: application ? !application.nonRetryable : undefined,
    details: application?.details ?? failure.timeoutFailureInfo?.lastHeartbeatDetails ?? failure.canceledFailureInfo?.details,
    source: failure.source,
    encoded: failure.encodedAttributes !== undefined && message === "Encoded failure",
  };
}

/**
 * A message that ends with frames, where there was no other place for them: the Rust SDK makes a message of a panic and
 * nothing else.
 */
function stackInMessage(text: string): { message: string; frames: Frame[] } | undefined {
  const lines = text.split("\n");
  let first = lines.length;
  while (first > 1 && /^\s*(at |File "|\d+: )/.test(lines[first - 1]!)) first -= 1;
  const frames = parseStack(lines.slice(first).join("\n"));
  return frames.some((frame) => frame.file !== undefined) ? { message: lines.slice(0, first).join("\n"), frames } : undefined;
}

function named(failure: Failure): { type?: string; role: string } {
  const activity = failure.activityFailureInfo;
  if (activity) return { role: `activity ${activity.activityType?.name ?? activity.activityId ?? ""} failed` };
  const child = failure.childWorkflowExecutionFailureInfo;
  if (child) return { role: `child workflow ${child.workflowExecution?.workflowId ?? child.workflowType?.name ?? ""} failed` };
  const nexus = failure.nexusOperationExecutionFailureInfo;
  if (nexus) return { role: `Nexus operation ${nexus.operation ?? ""} failed` };
  if (failure.timeoutFailureInfo) return { type: `${failure.timeoutFailureInfo.timeoutType ?? ""} timeout`.trim(), role: "timeout" };
  if (failure.canceledFailureInfo) return { type: "Cancelled", role: "cancelled" };
  if (failure.terminatedFailureInfo) return { type: "Terminated", role: "terminated" };
  if (failure.serverFailureInfo) return { type: "Server", role: "the server's own failure" };
  return { type: failure.applicationFailureInfo?.type || undefined, role: "error" };
}

/** `ZeroDivisionError: division by zero`, in one line. */
export function headline(cause: Cause | undefined): string {
  if (cause === undefined) return "";
  const message = cause.message.split("\n", 1)[0]!.trim();
  if (cause.type === undefined) return message || cause.role;
  if (message === "" || message.toLowerCase() === cause.type.toLowerCase()) return cause.type;
  return message.startsWith(`${cause.type}:`) ? message : `${cause.type}: ${message}`;
}
