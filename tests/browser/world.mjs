// What the browser tests share: the server's address, a browser, and a worker that does what a test tells it to.
//
//   STEADFAST_UI      the pages, e.g. http://127.0.0.1:8080 or http://127.0.0.1:8080/x/y
//   STEADFAST_SERVER  the server behind them, e.g. 127.0.0.1:7233
//   CHROMIUM          the browser's program (default /usr/bin/chromium)

import { Connection } from "@temporalio/client";
import { randomUUID } from "node:crypto";
import { chromium } from "playwright-core";

function needed(name) {
  const value = process.env[name];
  if (!value) throw new Error(`set ${name}: see world.mjs`);
  return value;
}

export const UI = needed("STEADFAST_UI").replace(/\/$/, "");
export const NAMESPACE = process.env.STEADFAST_NAMESPACE ?? "default";

export const connection = await Connection.connect({ address: needed("STEADFAST_SERVER") });
export const service = connection.workflowService;

/** The queues of one test run are its own. */
const RUN = randomUUID().slice(0, 8);
export const name = (text) => `${text}-${RUN}`;

export function json(text) {
  return { payloads: [{ metadata: { encoding: Buffer.from("json/plain") }, data: Buffer.from(text) }] };
}

export async function start(workflowId, { queue, type = "transfer", input = "{}", memo } = {}) {
  const { runId } = await service.startWorkflowExecution({
    namespace: NAMESPACE,
    workflowId,
    workflowType: { name: type },
    taskQueue: { name: queue },
    input: json(input),
    memo: memo && { fields: { note: json(memo).payloads[0] } },
    identity: "browser-tests",
    requestId: randomUUID(),
  });
  return runId;
}

export function page(workflowId) {
  return `${UI}/namespaces/${NAMESPACE}/workflows/${encodeURIComponent(workflowId)}`;
}

export const LIST = `${UI}/namespaces/${NAMESPACE}/workflows`;

/** Commands of a workflow task, as the wire has them. */
export const commands = {
  complete: (text) => ({ commandType: "COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION", completeWorkflowExecutionCommandAttributes: { result: json(text) } }),
  timer: (seconds) => ({ commandType: "COMMAND_TYPE_START_TIMER", startTimerCommandAttributes: { timerId: randomUUID(), startToFireTimeout: { seconds: Math.floor(seconds), nanos: (seconds % 1) * 1e9 } } }),
  activity: (queue, type, input = "{}") => ({
    commandType: "COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK",
    scheduleActivityTaskCommandAttributes: {
      activityId: "1",
      activityType: { name: type },
      taskQueue: { name: queue },
      input: json(input),
      startToCloseTimeout: { seconds: 10 },
      retryPolicy: { initialInterval: { seconds: 20 }, backoffCoefficient: 1 },
    },
  }),
};

/** The names of command types on the wire are numbers. */
const COMMANDS = {
  COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK: 1,
  COMMAND_TYPE_START_TIMER: 3,
  COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION: 4,
};

const UNHANDLED_FAILURE = 14;

/** A failure as the Python SDK sends it. */
export const divisionByZero = {
  message: "division by zero",
  source: "PythonSDK",
  applicationFailureInfo: { type: "ZeroDivisionError" },
  stackTrace: `  File "/app/.venv/lib/python3.11/site-packages/temporalio/worker/_workflow_instance.py", line 429, in activate
    self._run_once(check_conditions=index == 1)

  File "/app/bank/transfer.py", line 41, in run
    fee = fee_of(cents, share)

  File "/app/bank/fees.py", line 7, in fee_of
    return cents // share
`,
};

/** Answers the tasks of one queue until it is stopped; `workflow` and `activity` give commands, a result, or a failure. */
export function worker(queue, { workflow, activity }) {
  let stopped = false;
  const answering = new Set();
  /** A task that arrives after the stop is not answered: the connection may be closed by then. */
  const answered = async (reply) => {
    const sent = reply.catch(() => undefined);
    answering.add(sent);
    await sent;
    answering.delete(sent);
  };
  /** A poll that found nothing is asked again. */
  const poll = (ask) => connection.withDeadline(Date.now() + 70_000, ask).catch((error) => {
    if (!stopped) throw error;
  });
  const asked = { namespace: NAMESPACE, taskQueue: { name: queue }, identity: "browser-tests" };
  async function workflows() {
    while (!stopped) {
      const task = await poll(() => service.pollWorkflowTaskQueue(asked));
      if (stopped || !task?.taskToken?.length) continue;
      const answer = await workflow(task);
      if (stopped) return;
      const reply = answer.failure
        ? service.respondWorkflowTaskFailed({ namespace: NAMESPACE, taskToken: task.taskToken, cause: UNHANDLED_FAILURE, failure: answer.failure })
        : service.respondWorkflowTaskCompleted({
            namespace: NAMESPACE,
            taskToken: task.taskToken,
            commands: answer.map((command) => ({ ...command, commandType: COMMANDS[command.commandType] })),
          });
      await answered(reply);
    }
  }
  async function activities() {
    while (!stopped) {
      const task = await poll(() => service.pollActivityTaskQueue(asked));
      if (stopped || !task?.taskToken?.length) continue;
      const answer = await activity(task);
      if (stopped) return;
      const reply = answer.failure
        ? service.respondActivityTaskFailed({ namespace: NAMESPACE, taskToken: task.taskToken, failure: answer.failure })
        : service.respondActivityTaskCompleted({ namespace: NAMESPACE, taskToken: task.taskToken, result: json(answer.result) });
      await answered(reply);
    }
  }
  void workflows();
  if (activity) void activities();
  return {
    stop: () => {
      stopped = true;
      return Promise.all(answering);
    },
  };
}

let browser;
export async function open({ width = 1440, colorScheme = "light", ...more } = {}) {
  browser ??= await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, ...more });
  context.setDefaultTimeout(15_000);
  const tab = await context.newPage();
  const errors = [];
  tab.on("pageerror", (error) => errors.push(error.message));
  tab.on("console", (message) => message.type() === "error" && /Content Security|Refused/.test(message.text()) && errors.push(message.text()));
  return { tab, context, errors };
}

export async function close() {
  await browser?.close();
  await connection.close();
  // Polls that hang would keep the process.
  setTimeout(() => process.exit(process.exitCode ?? 0), 500).unref();
}
