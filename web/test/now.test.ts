import assert from "node:assert/strict";
import { test } from "node:test";
import { groupEvents } from "../src/pure/groups.ts";
import type { Describe, HistoryEvent, Pollers } from "../src/pure/model.ts";
import { now } from "../src/pure/now.ts";

const START = Date.parse("2026-01-01T00:00:00Z");
const at = (seconds: number) => new Date(START + seconds * 1000).toISOString();

function history(...kinds: Array<[type: string, attributes?: Record<string, unknown>]>): HistoryEvent[] {
  return kinds.map(([eventType, attributes], index) => ({ eventId: index + 1, eventTime: at(index), eventType, attributes: attributes ?? {} }));
}

function check(describe: Describe, events: HistoryEvent[], pollers: Partial<Pollers> = {}) {
  const info = { status: "Running", taskQueue: "q", startTime: at(0), ...describe.workflowExecutionInfo };
  return now({ ...describe, workflowExecutionInfo: info }, events, { workflow: { q: 1 }, activity: { q: 1 }, ...pollers }, START + 100_000);
}

const failed = { failure: { message: "division by zero", applicationFailureInfo: { type: "ZeroDivisionError" } } };

test("a failing workflow task is named with its error, its attempts and what to do", () => {
  const events = history(["WorkflowExecutionStarted"], ["WorkflowTaskScheduled"], ["WorkflowTaskStarted"], ["WorkflowTaskFailed", failed], ["WorkflowTaskTimedOut"]);
  const line = check({ pendingWorkflowTask: { attempt: 7, state: "Scheduled", scheduledTime: at(110) } }, events);
  assert.equal(line.tone, "bad");
  assert.equal(line.error, "ZeroDivisionError: division by zero");
  assert.equal(line.attempt, 7);
  assert.equal(line.since, START + 3000);
  assert.equal(line.next, START + 110_000);
  assert.match(line.hint ?? "", /restart the worker/);
});

test("code that does not fit its history gets its own advice", () => {
  const events = history(["WorkflowTaskFailed", { ...failed, cause: "NonDeterministicError" }], ["WorkflowTaskTimedOut", { timeoutType: "StartToClose" }]);
  const line = check({ pendingWorkflowTask: { attempt: 3, state: "Started" } }, events);
  assert.match(line.title, /no longer fits/);
  assert.match(line.hint ?? "", /patch/);
});

test("a failure before the last completed task is past", () => {
  const events = history(["WorkflowTaskFailed", failed], ["WorkflowTaskCompleted"], ["TimerStarted", { timerId: "1", startToFireTimeout: "600s" }]);
  const line = check({}, events);
  assert.deepEqual([line.tone, line.title, line.next], ["wait", "Sleeps", START + 602_000]);
});

test("nobody polls the queue", () => {
  const line = check({ pendingWorkflowTask: { attempt: 1, state: "Scheduled", originalScheduledTime: at(1) } }, history(["WorkflowExecutionStarted"]), { workflow: { q: 0 } });
  assert.equal(line.tone, "warn");
  assert.match(line.title, /none polls/);
  assert.equal(line.subject, "q");
});

test("the failing activity comes before the healthy one", () => {
  const line = check(
    {
      pendingActivities: [
        { activityType: { name: "fine" }, state: "Started", attempt: 1, lastStartedTime: at(50) },
        { activityType: { name: "withdraw" }, state: "Scheduled", attempt: 4, nextAttemptScheduleTime: at(104), lastFailure: { message: "refused" } },
      ],
    },
    [],
  );
  assert.equal(line.subject, "withdraw");
  assert.equal(line.error, "refused");
  assert.equal(line.next, START + 104_000);
  assert.equal(line.also.length, 1);
});

test("nothing pending is waiting for a signal; a closed run tells its end", () => {
  assert.match(check({}, history(["WorkflowExecutionStarted"], ["WorkflowTaskCompleted"])).title, /signal/);
  const line = check({ workflowExecutionInfo: { status: "Failed", closeTime: at(9) } }, history(["WorkflowExecutionFailed", { failure: { message: "Activity task failed", cause: { message: "refused" } } }]));
  assert.deepEqual([line.tone, line.error, line.since], ["bad", "refused", START + 9000]);
});

test("a history is folded into what happened", () => {
  const groups = groupEvents(
    history(
      ["WorkflowExecutionStarted", { workflowType: { name: "transfer" } }],
      ["WorkflowTaskScheduled"],
      ["WorkflowTaskStarted"],
      ["WorkflowTaskFailed", failed],
      ["WorkflowTaskTimedOut"],
      ["WorkflowTaskCompleted"],
      ["ActivityTaskScheduled", { activityType: { name: "withdraw" } }],
      ["ActivityTaskStarted", { scheduledEventId: 7, attempt: 3 }],
      ["WorkflowExecutionSignaled", { signalName: "go" }],
      ["ActivityTaskCompleted", { scheduledEventId: 7 }],
      ["TimerStarted", { startToFireTimeout: "5s" }],
      ["WorkflowExecutionCompleted"],
    ),
  );
  assert.deepEqual(
    groups.map((group) => [group.id, group.kind, group.name, group.state, group.events.length]),
    [
      [1, "Started", "transfer", "note", 1],
      [4, "Workflow task", "Failed", "failed", 2],
      [7, "Activity", "withdraw", "done", 3],
      [9, "Signal", "go", "note", 1],
      [11, "Timer", "of 5s", "open", 1],
      [12, "Completed", "", "done", 1],
    ],
  );
  assert.equal(groups[2]?.attempts, 3);
});

test("a group whose beginning is not loaded still gathers", () => {
  const events = history(["ActivityTaskStarted", { scheduledEventId: 99 }], ["ActivityTaskCompleted", { scheduledEventId: 99 }]);
  const groups = groupEvents(events);
  assert.equal(groups.length, 1);
  assert.equal(groups[0]?.name, "that event 99 began");
});
