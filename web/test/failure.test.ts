import assert from "node:assert/strict";
import { test } from "node:test";
import { causes, headline, rootCause } from "../src/pure/failure.ts";
import { culprit, parseStack, placeInMessage } from "../src/pure/stack.ts";

function check(stack: string, own: string[], place: string | undefined) {
  const frames = parseStack(stack);
  assert.deepEqual(frames.filter((frame) => frame.own).map((frame) => `${frame.file}:${frame.line}`), own);
  const found = culprit(frames);
  assert.equal(found && `${found.file}:${found.line}`, place);
  return frames;
}

test("Python: the application's last line, with its source", () => {
  const frames = check(
    `  File "/app/.venv/lib/python3.11/site-packages/temporalio/worker/_workflow_instance.py", line 429, in activate
    self._run_once(check_conditions=index == 1)

  File "/app/transfer.py", line 29, in run
    fee = compute_fee(inp["cents"], 0)
          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^

  File "/app/fees.py", line 12, in compute_fee
    return cents // divisor
`,
    ["/app/transfer.py:29", "/app/fees.py:12"],
    "/app/fees.py:12",
  );
  assert.equal(frames.at(-1)?.source, "return cents // divisor");
  assert.equal(frames.length, 3);
});

test("TypeScript: the first line outside the packages", () => {
  check(
    `Error: boom
    at fail (/app/node_modules/lib/x.js:1:2)
    at transfer (/app/src/workflows.ts:14:9)
    at async Activator.startWorkflowNextHandler (/app/node_modules/@temporalio/workflow/lib/internals.js:1:2)
    at node:internal/process/task_queues:95:5`,
    ["/app/src/workflows.ts:14"],
    "/app/src/workflows.ts:14",
  );
});

test("Go: call and place on two lines", () => {
  check(
    `goroutine 12 [running]:
runtime/debug.Stack()
	/usr/local/go/src/runtime/debug/stack.go:24 +0x5e
main.Transfer({0x1, 0x2})
	/home/me/app/transfer.go:33 +0x1f
go.temporal.io/sdk/internal.(*workflowExecutor).Execute(0x1)
	/home/me/go/pkg/mod/go.temporal.io/sdk@v1.30.0/internal/internal_worker.go:800 +0x2`,
    ["/home/me/app/transfer.go:33"],
    "/home/me/app/transfer.go:33",
  );
});

test("Java: bare calls, as the SDK sends them", () => {
  check(
    `com.example.Transfer.withdraw(Transfer.java:41)
java.base/java.lang.reflect.Method.invoke(Method.java:580)
io.temporal.internal.sync.WorkflowInternal.run(WorkflowInternal.java:9)`,
    ["Transfer.java:41"],
    "Transfer.java:41",
  );
});

test(".NET, Ruby, PHP, Rust", () => {
  check("   at Shop.Transfer.Run(Input input) in /app/Transfer.cs:line 21\n   at System.Threading.Tasks.Task.Run()", ["/app/Transfer.cs:21"], "/app/Transfer.cs:21");
  check("/app/transfer.rb:9:in `withdraw'\n/usr/lib/gems/temporalio/x.rb:1:in 'run'", ["/app/transfer.rb:9"], "/app/transfer.rb:9");
  check("#0 /app/src/Transfer.php(17): App\\Transfer->run()\n#1 /app/vendor/temporal/x.php(3): y()", ["/app/src/Transfer.php:17"], "/app/src/Transfer.php:17");
  check(
    "   0: std::panicking::begin\n             at /rustc/abc/library/std/src/panicking.rs:1:2\n   1: worker::transfer\n             at ./src/transfer.rs:42:9",
    ["./src/transfer.rs:42"],
    "./src/transfer.rs:42",
  );
});

test("a place in the message stands in for a stack", () => {
  assert.deepEqual(placeInMessage("panicked at examples/worker/src/transfer.rs:42:13: attempt to divide by zero"), {
    file: "examples/worker/src/transfer.rs",
    line: 42,
  });
  assert.equal(placeInMessage("connect to 127.0.0.1:5000 refused"), undefined);
  const cause = rootCause({ message: "Workflow function panicked: attempt to divide by zero at src/transfer.rs:42" });
  assert.deepEqual([cause?.place?.file, cause?.place?.line, cause?.placeFrom], ["src/transfer.rs", 42, "message"]);
});

test("frames at the end of a message are a stack", () => {
  const cause = rootCause({
    message: `Workflow function panicked: attempt to divide by zero
    at workflow::share (examples/transfer/worker/src/workflow.rs:61:5)
    at examples/transfer/worker/src/workflow.rs:40:13`,
  });
  assert.equal(cause?.message, "Workflow function panicked: attempt to divide by zero");
  assert.equal(cause?.frames.length, 2);
  assert.deepEqual(cause?.place, { file: "examples/transfer/worker/src/workflow.rs", line: 61, call: "workflow::share", source: undefined });
  assert.equal(rootCause({ message: "one\ntwo" })?.message, "one\ntwo");
});

test("the innermost cause comes first", () => {
  const chain = causes({
    message: "Activity task failed",
    activityFailureInfo: { activityType: { name: "withdraw" } },
    cause: {
      message: "could not withdraw",
      applicationFailureInfo: { type: "RuntimeError" },
      cause: { message: "connection refused", applicationFailureInfo: { type: "ConnectionError", nonRetryable: true } },
    },
  });
  assert.deepEqual(chain.map(headline), ["ConnectionError: connection refused", "RuntimeError: could not withdraw", "Activity task failed"]);
  assert.equal(chain[0]?.retryable, false);
  assert.equal(chain[2]?.role, "activity withdraw failed");
});
