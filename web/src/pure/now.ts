// The one line that a run's page begins with: what it waits for, since when, what went wrong last and when it goes on.
// Everything here follows from what the server describes and the events that are loaded.

import { causes, headline, rootCause } from "./failure.ts";
import type { Describe, Failure, HistoryEvent, PendingActivity, Pollers } from "./model.ts";
import { durationMs, instant } from "./time.ts";
import { plural } from "./words.ts";

export type Tone = "run" | "wait" | "warn" | "bad" | "good" | "off";

export interface Now {
  tone: Tone;
  title: string;
  /** What the title is about, set apart: an activity's type, a queue. */
  subject?: string;
  /** The title after its subject. */
  then?: string;
  /** Since when, and what began then. */
  since?: number;
  sinceWord?: string;
  /** The last error; its chain is shown below the line. */
  failure?: Failure;
  error?: string;
  attempt?: number;
  maximumAttempts?: number;
  /** When it goes on by itself, and what happens then. */
  next?: number;
  nextWord?: string;
  hint?: string;
  /** What else is going on, a sentence each. */
  also: string[];
  /** Another run that goes on from here. */
  continuedAs?: string;
  /** The child that is waited for. */
  child?: { workflowId?: string; runId?: string };
}

const MISFIT_TITLE = "The worker's code no longer fits this workflow's history";
const MISFIT_HINT =
  "The code was changed in a place that this run is already past. Put the change behind a patch (versioning), or take it back, and restart the worker: it goes on from here.";
const FIX_HINT = "Fix the code and restart the worker: it goes on from here, nothing is lost.";

export function now(describe: Describe, events: HistoryEvent[], pollers: Pollers, clock: number): Now {
  const info = describe.workflowExecutionInfo ?? {};
  if (info.status !== "Running" && info.status !== "Paused" && info.status !== undefined) return closed(describe, events);

  const troubles: Now[] = [];
  const queue = info.taskQueue ?? "";
  const unpolled = pollers.workflow[queue] === 0;

  const pause = describe.workflowExtendedInfo?.pauseInfo;
  if (info.status === "Paused" || pause) {
    troubles.push({ tone: "warn", title: "Paused", error: pause?.reason, hint: "It goes on when it is resumed.", also: [] });
  }

  const task = describe.pendingWorkflowTask;
  const failing = task && (task.attempt ?? 1) > 1 ? failingTask(events) : undefined;
  if (task && failing) {
    const next = task.state === "Scheduled" ? instant(task.scheduledTime) : undefined;
    const misfit = failing.event.attributes.cause === "NonDeterministicError";
    troubles.push({
      tone: "bad",
      title: misfit ? MISFIT_TITLE : failing.failure ? "The workflow's code keeps failing" : "Workers take the workflow task and do not answer",
      since: failing.since,
      sinceWord: "failing for",
      failure: failing.failure,
      error: failing.failure ? headline(rootCause(failing.failure)) : "The worker crashed, hangs, or blocks its event loop.",
      attempt: task.attempt,
      next: next !== undefined && next > clock ? next : undefined,
      nextWord: "next attempt",
      hint: misfit ? MISFIT_HINT : FIX_HINT,
      also: unpolled ? [`No worker polls the task queue ${queue} now.`] : [],
    });
  } else if (task && unpolled) {
    troubles.push({
      tone: "warn",
      title: "Waits for a worker: none polls the task queue",
      subject: queue,
      since: instant(task.originalScheduledTime ?? task.scheduledTime),
      hint: `Start a worker for the task queue ${queue}, or look whether its name is spelt as the worker spells it.`,
      also: [],
    });
  }

  const activities = [...(describe.pendingActivities ?? [])].sort((a, b) => severity(b, pollers, queue) - severity(a, pollers, queue));
  for (const activity of activities) troubles.push(pendingActivity(activity, events, pollers, queue, clock));

  for (const operation of describe.pendingNexusOperations ?? []) {
    const failure = operation.lastAttemptFailure;
    troubles.push({
      tone: failure ? "bad" : "wait",
      title: "Waits for the Nexus operation",
      subject: operation.operation,
      since: instant(operation.scheduledTime),
      failure,
      error: failure && headline(rootCause(failure)),
      attempt: operation.attempt,
      next: instant(operation.nextAttemptScheduleTime),
      nextWord: "next attempt",
      also: [],
    });
  }

  for (const child of describe.pendingChildren ?? []) {
    troubles.push({
      tone: "wait",
      title: "Waits for the child workflow",
      subject: child.workflowId,
      since: instant(events.find((event) => event.eventId === child.initiatedId)?.eventTime),
      child,
      also: [],
    });
  }

  for (const timer of openTimers(events)) {
    troubles.push({
      tone: "wait",
      title: timer.fires === undefined ? "Waits for a timer" : "Sleeps",
      since: timer.started,
      next: timer.fires,
      nextWord: "goes on",
      also: [],
    });
  }

  if (task && !failing && !unpolled) {
    const started = task.state === "Started";
    troubles.push({
      tone: "run",
      title: started ? "A worker runs its code" : "Waits for a worker to take its next step",
      since: instant(started ? task.startedTime : task.originalScheduledTime),
      also: [],
    });
  }

  if (troubles.length === 0) troubles.push(waitsForNews(describe, events, clock));

  const rank: Record<Tone, number> = { bad: 5, warn: 4, run: 3, wait: 2, good: 1, off: 0 };
  // Sorting is stable: among equals the order above holds.
  troubles.sort((a, b) => rank[b.tone] - rank[a.tone]);
  const [first, ...rest] = troubles as [Now, ...Now[]];
  first.also.push(...summary(rest));
  if (describe.workflowExtendedInfo?.cancelRequested) first.also.unshift("Its cancellation was asked for; the code decides what to do about it.");
  return first;
}

interface FailingTask {
  failure?: Failure;
  since?: number;
  /** The last that failed, rather than only timed out. */
  event: HistoryEvent;
}

/** The failure of the current workflow task, from the events after the last one that completed. */
export function failingTask(events: HistoryEvent[]): FailingTask | undefined {
  let first: HistoryEvent | undefined;
  let last: HistoryEvent | undefined;
  let failure: Failure | undefined;
  for (let index = events.length - 1; index >= 0; index--) {
    const event = events[index]!;
    if (event.eventType === "WorkflowTaskCompleted") break;
    // A task that nobody took from a worker's own (sticky) queue only moves to the common one.
    const moved = event.eventType === "WorkflowTaskTimedOut" && event.attributes.timeoutType === "ScheduleToStart";
    if (moved || (event.eventType !== "WorkflowTaskFailed" && event.eventType !== "WorkflowTaskTimedOut")) continue;
    first = event;
    if (last === undefined || (failure === undefined && event.attributes.failure)) last = event;
    failure ??= event.attributes.failure;
  }
  return last && { failure, since: instant(first?.eventTime), event: last };
}

function severity(activity: PendingActivity, pollers: Pollers, ownQueue: string): number {
  if (activity.lastFailure) return 3;
  if (pollers.activity[activity.activityOptions?.taskQueue?.name ?? ownQueue] === 0) return 2;
  return activity.state === "Started" ? 0 : 1;
}

function pendingActivity(activity: PendingActivity, events: HistoryEvent[], pollers: Pollers, ownQueue: string, clock: number): Now {
  const queue = activity.activityOptions?.taskQueue?.name ?? ownQueue;
  const started = activity.state === "Started" || activity.state === "CancelRequested";
  const unpolled = pollers.activity[queue] === 0;
  const base = {
    subject: activity.activityType?.name,
    attempt: activity.attempt,
    maximumAttempts: activity.maximumAttempts || undefined,
    also: [] as string[],
  };
  if (activity.paused || activity.state?.startsWith("Pause")) {
    return { ...base, tone: "warn", title: "Waits for a paused activity", since: instant(activity.scheduledTime), failure: activity.lastFailure };
  }
  if (activity.lastFailure) {
    const next = started ? undefined : instant(activity.nextAttemptScheduleTime ?? activity.scheduledTime);
    const scheduled = firstScheduled(activity, events);
    return {
      ...base,
      tone: "bad",
      title: started ? "Tries the activity" : "Waits to try the activity",
      then: "again, which keeps failing",
      since: scheduled ?? instant(activity.lastAttemptCompleteTime),
      sinceWord: scheduled === undefined ? "last failed" : "trying for",
      failure: activity.lastFailure,
      error: headline(rootCause(activity.lastFailure)),
      next: next !== undefined && next > clock ? next : undefined,
      nextWord: "next attempt",
      hint: "It is tried again by itself. If the code is wrong, fix it and restart the worker: the next attempt runs the new code.",
      also: unpolled ? [`No worker polls the task queue ${queue} for activities now.`] : [],
    };
  }
  if (started) {
    return { ...base, tone: "run", title: "A worker runs the activity", since: instant(activity.lastStartedTime) };
  }
  if (unpolled) {
    const hint = `Start a worker with this activity on the task queue ${queue}.`;
    return { ...base, tone: "warn", title: `Waits for a worker: none polls the task queue ${queue} for the activity`, since: instant(activity.scheduledTime), hint };
  }
  const next = instant(activity.scheduledTime);
  return { ...base, tone: "wait", title: "Waits for a worker to take the activity", since: next !== undefined && next <= clock ? next : undefined };
}

/** When its first attempt was scheduled: what the server describes is the current attempt's time. */
function firstScheduled(activity: PendingActivity, events: HistoryEvent[]): number | undefined {
  const event = events.findLast((one) => one.eventType === "ActivityTaskScheduled" && one.attributes.activityId === activity.activityId);
  return instant(event?.eventTime);
}

/** Timers that were started and neither fired nor cancelled, next one first. */
export function openTimers(events: HistoryEvent[]): Array<{ id: string; started?: number; fires?: number }> {
  const open = new Map<number, { id: string; started?: number; fires?: number }>();
  for (const event of events) {
    if (event.eventType === "TimerStarted") {
      const started = instant(event.eventTime);
      const lasts = durationMs(event.attributes.startToFireTimeout);
      const fires = started !== undefined && lasts !== undefined ? started + lasts : undefined;
      open.set(event.eventId, { id: String(event.attributes.timerId ?? ""), started, fires });
    } else if (event.eventType === "TimerFired" || event.eventType === "TimerCanceled") {
      open.delete(event.attributes.startedEventId);
    }
  }
  return [...open.values()].sort((a, b) => (a.fires ?? Infinity) - (b.fires ?? Infinity));
}

function waitsForNews(describe: Describe, events: HistoryEvent[], clock: number): Now {
  const info = describe.workflowExecutionInfo ?? {};
  const execution = instant(info.executionTime);
  const started = instant(info.startTime);
  if (execution !== undefined && started !== undefined && execution > clock) {
    return { tone: "wait", title: "Has not begun yet: its start is delayed", since: started, next: execution, nextWord: "begins", also: [] };
  }
  return { tone: "wait", title: "Waits for a signal or an update", since: instant(events.at(-1)?.eventTime), also: [] };
}

function summary(rest: Now[]): string[] {
  if (rest.length > 3) {
    const failing = rest.filter((one) => one.tone === "bad").length;
    const more = `${plural(rest.length, "more thing")} pending`;
    return [failing > 0 ? `${more}, ${failing} of them failing.` : `${more}.`];
  }
  return rest.map((one) => `Also: ${[lower(one.title), one.subject, one.then].filter(Boolean).join(" ")}${one.error ? ` (${one.error})` : ""}.`);
}

function lower(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

function closed(describe: Describe, events: HistoryEvent[]): Now {
  const info = describe.workflowExecutionInfo ?? {};
  const end = instant(info.closeTime);
  const last = events.findLast((event) => event.eventType.startsWith("WorkflowExecution"));
  const a = last?.attributes ?? {};
  const base = { since: end, sinceWord: "ended", also: [] as string[], continuedAs: a.newExecutionRunId as string | undefined };
  switch (info.status) {
    case "Completed":
      return { ...base, tone: "good", title: "Completed" };
    case "Failed":
      return { ...base, tone: "bad", title: "Failed", failure: a.failure, error: headline(causes(a.failure)[0]) };
    case "TimedOut":
      return { ...base, tone: "bad", title: "Timed out: its run or execution timeout passed" };
    case "Canceled":
      return { ...base, tone: "off", title: "Cancelled" };
    case "Terminated":
      return { ...base, tone: "off", title: "Terminated", error: a.reason || undefined, also: a.identity ? [`By ${a.identity}.`] : [] };
    case "ContinuedAsNew":
      return { ...base, tone: "good", title: "Goes on as a new run" };
    default:
      return { ...base, tone: "off", title: info.status ?? "Unknown" };
  }
}
