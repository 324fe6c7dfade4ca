// The pages in a real browser, over a real server.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { after, before, test } from "node:test";
import { close, commands, divisionByZero, json, LIST, name, NAMESPACE, open, page, service, start, UI, worker } from "./world.mjs";

const NUMBERS = '{"foo":3544790567247868102,"bar":0.2345678901234568}';
const QUEUE = name("bank");
const workers = [];

before(async () => {
  workers.push(
    worker(QUEUE, {
      workflow({ workflowType, history, startedEventId }) {
        const has = (attributes) => history.events.some((event) => event[attributes]);
        switch (workflowType.name) {
          case "echo":
            return [commands.complete(Buffer.from(history.events[0].workflowExecutionStartedEventAttributes.input.payloads[0].data).toString())];
          case "divides":
            return { failure: divisionByZero };
          case "retries":
            return startedEventId.toNumber() > 4 ? [] : [commands.activity(QUEUE, "withdraw", '{"cents":4200}')];
          case "waits":
            return has("workflowExecutionSignaledEventAttributes") && history.events.some((e) => e.workflowExecutionSignaledEventAttributes?.signalName === "finish")
              ? [commands.complete('"done"')]
              : [];
          default:
            return [];
        }
      },
      activity: () => ({
        failure: {
          message: "could not withdraw",
          applicationFailureInfo: { type: "BankError" },
          cause: { message: "connect to http://accounts:5999 refused, worker/src/bank.rs:88:13", applicationFailureInfo: { type: "ConnectError" } },
        },
      }),
    }),
  );
});

after(async () => {
  for (const one of workers) await one.stop();
  await close();
});

/** Requests, bytes on the wire and hosts of what happens in `act`. */
async function measured(tab, act) {
  const session = await tab.context().newCDPSession(tab);
  await session.send("Network.enable");
  const seen = { requests: 0, bytes: 0, hosts: new Set() };
  const cached = new Set();
  session.on("Network.requestWillBeSent", ({ requestId, request }) => {
    if (request.url.startsWith("data:")) return;
    seen.requests += 1;
    seen.hosts.add(new URL(request.url).host);
    void requestId;
  });
  session.on("Network.requestServedFromCache", ({ requestId }) => {
    if (!cached.has(requestId)) seen.requests -= 1;
    cached.add(requestId);
  });
  session.on("Network.responseReceived", ({ requestId, response }) => {
    if (response.fromDiskCache && !cached.has(requestId)) {
      cached.add(requestId);
      seen.requests -= 1;
    }
    if (!response.fromDiskCache && response.mimeType === "text/event-stream") seen.bytes += response.encodedDataLength;
  });
  session.on("Network.loadingFinished", ({ encodedDataLength }) => (seen.bytes += encodedDataLength));
  await act();
  await tab.waitForSelector(".live.live");
  await session.detach();
  return seen;
}

test("the first visit of a full list is light, and the second lighter", async () => {
  await Promise.all(Array.from({ length: 70 }, (_, index) => start(name(`light-${index}`), { queue: name("nobody") })));
  const { tab, context, errors } = await open();
  const first = await measured(tab, async () => {
    await tab.goto(LIST);
    await tab.waitForSelector("table.workflows tbody tr");
  });
  assert.ok((await tab.locator("table.workflows tbody tr").count()) >= 50);
  assert.ok(first.requests <= 6, `${first.requests} requests`);
  assert.ok(first.bytes > 1000 && first.bytes <= 120_000, `${first.bytes} bytes`);
  assert.deepEqual([...first.hosts], [new URL(UI).host]);
  const elements = await tab.locator("*").count();
  assert.ok(elements <= 1500, `${elements} elements`);
  const second = await measured(tab, async () => {
    await tab.goto("about:blank");
    await tab.goto(LIST);
    await tab.waitForSelector("table.workflows tbody tr");
  });
  // about:blank, the page, its stream.
  assert.ok(second.requests - 1 <= 2, `${second.requests - 1} requests`);
  assert.deepEqual(errors, []);
  console.log(`list: ${first.requests} requests, ${first.bytes} bytes; again: ${second.requests - 1}, ${second.bytes} bytes; ${elements} elements`);
  await context.close();
});

test("numbers are shown and sent byte by byte", async () => {
  const id = name("numbers");
  await start(id, { queue: QUEUE, type: "echo", input: NUMBERS });
  const { tab, context } = await open();
  await tab.goto(page(id));
  const shown = '{\n  "foo": 3544790567247868102,\n  "bar": 0.2345678901234568\n}';
  await tab.waitForSelector("text=Completed");
  const blocks = tab.locator(".halves pre");
  await tab.waitForFunction(() => document.querySelectorAll(".halves pre").length === 2);
  assert.deepEqual(await blocks.allTextContents(), [shown, shown]);

  const waiting = name("numbers-signal");
  await start(waiting, { queue: QUEUE, type: "waits" });
  await tab.goto(page(waiting));
  await tab.click('.actions > button:text-is("Signal")');
  await tab.fill("dialog[open] input", "numbers");
  await tab.fill("dialog[open] textarea", NUMBERS);
  await tab.click('dialog[open] button:text-is("Signal")');
  await tab.waitForSelector(".history summary:has-text('numbers')");
  const { history } = await service.getWorkflowExecutionHistory({ namespace: NAMESPACE, execution: { workflowId: waiting } });
  const signal = history.events.find((event) => event.workflowExecutionSignaledEventAttributes).workflowExecutionSignaledEventAttributes;
  assert.equal(Buffer.from(signal.input.payloads[0].data).toString(), NUMBERS);
  await context.close();
});

test("from the list to the failing line of code is one click", async () => {
  const id = name("divides");
  await start(id, { queue: QUEUE, type: "divides" });
  const { tab, context, errors } = await open();
  await tab.goto(`${LIST}?query=${encodeURIComponent(`WorkflowId="${id}"`)}`);
  await tab.waitForSelector("table.workflows .tag.bad");
  await tab.click(`a:text-is("${id}")`);
  await tab.waitForSelector(".now.bad");
  for (const text of ["ZeroDivisionError: division by zero", "bank/fees.py", "line 7", "return cents // share", "bank/transfer.py", "restart the worker"]) {
    assert.ok(await tab.locator(`main >> text=${text}`).first().isVisible(), text);
  }
  assert.equal(await tab.locator("text=_run_once").first().isVisible(), false);
  assert.match(await tab.locator(".now").innerText(), /attempt \d+/);
  assert.deepEqual(errors, []);
  await context.close();
});

test("an activity that fails: its root cause, the line that its message names, the next attempt", async () => {
  const id = name("retries");
  await start(id, { queue: QUEUE, type: "retries" });
  const { tab, context } = await open();
  await tab.goto(page(id));
  await tab.waitForSelector(".now.bad");
  const now = await tab.locator(".now").innerText();
  assert.match(now, /withdraw/);
  assert.match(now, /ConnectError: connect to/);
  assert.match(now, /next attempt in \d+ s/);
  assert.match(await tab.locator(".place").first().innerText(), /src\/bank\.rs\s+line 88/);
  assert.match(await tab.locator(".causes").innerText(), /ConnectError[\s\S]*BankError/);
  await context.close();
});

test("what happens is seen without a reload", async () => {
  const id = name("live");
  const { tab, context } = await open();
  await tab.goto(`${LIST}?query=${encodeURIComponent(`WorkflowId="${id}"`)}`);
  await tab.waitForSelector(".live.live");
  await tab.waitForSelector("text=No workflow matches");
  await tab.evaluate(() => (window.sameDocument = true));
  await start(id, { queue: QUEUE, type: "waits" });
  await tab.waitForSelector(`a:text-is("${id}")`);
  await tab.click(`a:text-is("${id}")`);
  await tab.waitForSelector("text=Waits for a signal");
  await tab.waitForSelector(".live.live");
  const delays = [];
  for (let index = 0; index < 5; index++) {
    const signalName = `tick${index}`;
    await service.signalWorkflowExecution({ namespace: NAMESPACE, workflowExecution: { workflowId: id }, signalName, input: json("1") });
    const acknowledged = performance.now();
    await tab.waitForSelector(`.history >> text=${signalName}`);
    delays.push(Math.round(performance.now() - acknowledged));
  }
  console.log(`event on screen after ${delays.join(", ")} ms`);
  assert.ok(Math.min(...delays) <= 1000);
  await service.signalWorkflowExecution({ namespace: NAMESPACE, workflowExecution: { workflowId: id }, signalName: "finish" });
  await tab.waitForSelector(".now.good >> text=Completed");
  await tab.waitForSelector(".halves pre >> text=done");
  await tab.goBack();
  await tab.waitForSelector(".status.good >> text=Completed");
  assert.equal(await tab.evaluate(() => window.sameDocument), true);
  await context.close();
});

/** The pages behind a wire that can be cut. */
async function fragileWire() {
  const base = new URL(UI);
  const sockets = new Set();
  let cut = false;
  const server = createServer((near) => {
    if (cut) return near.destroy();
    const far = connect(Number(base.port), base.hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => sockets.delete(socket));
    }
    near.pipe(far).pipe(near);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: (address) => address.replace(base.host, `127.0.0.1:${server.address().port}`),
    cut() {
      cut = true;
      for (const socket of sockets) socket.destroy();
    },
    mend: () => (cut = false),
    close: () => server.close(),
  };
}

test("a link that broke is taken up again, with nothing missing and nothing twice", async () => {
  const id = name("broken-link");
  await start(id, { queue: QUEUE, type: "waits" });
  const wire = await fragileWire();
  const { tab, context } = await open();
  const signal = (signalName) => service.signalWorkflowExecution({ namespace: NAMESPACE, workflowExecution: { workflowId: id }, signalName });
  await tab.goto(wire.url(page(id)));
  await tab.waitForSelector(".live.live");
  await signal("before");
  await tab.waitForSelector(".history >> text=before");
  wire.cut();
  await tab.waitForSelector(".live.connecting");
  await signal("during");
  await signal("during");
  wire.mend();
  await tab.waitForSelector(".live.live");
  await signal("after");
  await tab.waitForSelector(".history >> text=after");
  const seen = await tab.locator(".groups .label .mono").allTextContents();
  assert.deepEqual(seen.filter((text) => /before|during|after/.test(text)), ["before", "during", "during", "after"]);
  await context.close();
  wire.cut();
  wire.close();
});

test("nobody polls the queue: the page says so", async () => {
  const id = name("lonely");
  await start(id, { queue: name("lonely-queue") });
  const { tab, context } = await open();
  await tab.goto(page(id));
  await tab.waitForSelector(".now.warn");
  assert.match(await tab.locator(".now").innerText(), /none polls the task queue lonely-queue/);
  await tab.click(".now a");
  await tab.waitForSelector("h1:has-text('Task queue')");
  assert.equal(await tab.locator("text=No worker polls this queue").count(), 2);
  await context.close();
});

test("a wrong query shows its message and the place of the mistake", async () => {
  const { tab, context } = await open();
  await tab.goto(LIST);
  await tab.fill("input[type=search]", 'WorkflowType = "a" AND Typo = 5');
  await tab.keyboard.press("Enter");
  await tab.waitForSelector(".query-problem");
  const lines = (await tab.locator(".query-problem pre").innerText()).split("\n");
  assert.equal(lines[1].indexOf("^"), lines[0].indexOf("Typo"));
  assert.equal(await tab.locator("input[type=search]").inputValue(), 'WorkflowType = "a" AND Typo = 5');
  await context.close();
});

test("a pasted id leads to its workflow, the beginning of one to a list; a status narrows it", async () => {
  const id = name("paste/me & co");
  const runId = await start(id, { queue: QUEUE, type: "waits" });
  const { tab, context } = await open();
  for (const text of [id, runId]) {
    await tab.goto(LIST);
    await tab.fill("input[type=search]", text);
    await tab.keyboard.press("Enter");
    await tab.waitForSelector(`h1:has-text("${id}")`);
    assert.ok(tab.url().includes(encodeURIComponent(id)), tab.url());
    await tab.reload();
    await tab.waitForSelector(`h1:has-text("${id}")`);
  }
  await tab.goto(LIST);
  await tab.fill("input[type=search]", "paste/m");
  await tab.keyboard.press("Enter");
  await tab.waitForURL(/STARTS_WITH/);
  await tab.waitForSelector(".query .clear");
  await tab.waitForSelector(`table.workflows a:text-is("${id}")`);
  await tab.click(".counts a.run");
  await tab.waitForSelector(".counts a.run[aria-current]");
  assert.ok(decodeURIComponent(tab.url()).includes('ExecutionStatus="Running"'));
  await tab.waitForSelector(`table.workflows a:text-is("${id}")`);
  await context.close();
});

test("cancel and terminate", async () => {
  const [one, two] = [name("to-cancel"), name("to-terminate")];
  await start(one, { queue: QUEUE, type: "waits" });
  await start(two, { queue: QUEUE, type: "waits" });
  const { tab, context } = await open();
  await tab.goto(page(one));
  await tab.click('.actions > button:text-is("Cancel")');
  await tab.fill("dialog[open] input", "changed my mind");
  await tab.click('dialog[open] button:text-is("Cancel")');
  await tab.waitForSelector("text=Its cancellation was asked for");
  await tab.goto(page(two));
  await tab.click('.actions > button:text-is("Terminate")');
  await tab.fill("dialog[open] input", "wrong amount");
  await tab.click('dialog[open] button:text-is("Terminate")');
  await tab.waitForSelector(".now.off >> text=Terminated");
  assert.match(await tab.locator(".now").innerText(), /wrong amount/);
  await context.close();
});

test("a long history: both ends at once, the middle on request, any event by its address", async () => {
  const id = name("long");
  const runId = await start(id, { queue: QUEUE, type: "waits" });
  // Many small steps, because the pages of a history count the batches in which it was written.
  const execution = { workflowId: id };
  for (let index = 0; index < 400; index++) {
    await service.signalWorkflowExecution({ namespace: NAMESPACE, workflowExecution: execution, signalName: `tick${index}` });
  }
  const { tab, context } = await open();
  await tab.goto(page(id));
  await tab.waitForSelector(".gap");
  const missing = async () => Number.parseInt(await tab.locator(".gap").innerText());
  const before = await missing();
  assert.ok(before > 50, `${before} events in between`);
  await tab.click('.gap button:text-is("Show the next")');
  await tab.waitForFunction((count) => !(Number.parseInt(document.querySelector(".gap")?.innerText) >= count), before);
  await tab.click('button:text-is("Every event")');
  assert.ok((await tab.locator("*").count()) <= 6000);
  await tab.goto(`${page(id)}/${runId}/history/events/250`);
  await tab.waitForSelector("#event-250.marked .event-body");
  await tab.goto(`${page(id)}/${runId}/history#event-333`);
  await tab.reload();
  await tab.waitForSelector("#event-333.marked .event-body");
  await context.close();
});

test("what strangers send is text and nothing else", async () => {
  const id = name("</script><img src=x onerror=document.title='broken'>");
  await start(id, { queue: QUEUE, type: "waits", input: '"<b>bold</b></script>"', memo: '"<svg onload=alert(1)>"' });
  const { tab, context, errors } = await open();
  await tab.goto(page(id));
  await tab.waitForSelector("h1");
  assert.equal(await tab.locator("h1 .mono").innerText(), id);
  assert.equal(await tab.locator("main img, main svg[onload], pre b").count(), 0);
  assert.notEqual(await tab.title(), "broken");
  assert.deepEqual(errors, []);
  await context.close();
});

const AXE = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

for (const colorScheme of ["light", "dark"]) {
  for (const width of [1440, 390]) {
    test(`every page fits and is accessible: ${colorScheme}, ${width} px`, async () => {
      const failing = name(`divides-${colorScheme}-${width}`);
      await start(failing, { queue: QUEUE, type: "divides" });
      const { tab, context, errors } = await open({ colorScheme, width, bypassCSP: true });
      const pages = [LIST, page(failing), page(name("numbers")), page(name("retries")), `${UI}/namespaces`, `${UI}/namespaces/${NAMESPACE}/task-queues/${QUEUE}`, page("no-such-workflow")];
      for (const url of pages) {
        await tab.goto(url);
        await tab.waitForSelector("main h1");
        const wide = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.ok(wide <= 0, `${url} is ${wide} px wider than the window`);
        await tab.evaluate(AXE);
        const { violations } = await tab.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
        const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
        assert.deepEqual(serious.map(({ id, nodes }) => `${url} ${id}: ${nodes[0].html} ${nodes[0].failureSummary}`), []);
      }
      assert.deepEqual(errors, []);
      await context.close();
    });
  }
}
