/** The official TypeScript SDK, unmodified, against the server. */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Client, Connection, WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker, type WorkflowBundle } from '@temporalio/worker';
import * as activities from './activities.ts';
import { eventually, Server } from './server.ts';
import * as workflows from './workflows.ts';

let bundle: WorkflowBundle;
let server: Server;
let connection: Connection;
let native: NativeConnection;
let client: Client;

before(async () => {
  const quiet = new DefaultLogger('ERROR', () => undefined);
  Runtime.install({ logger: quiet });
  bundle = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('workflows.ts', import.meta.url)),
    logger: quiet,
  });
  server = await Server.start();
  connection = await Connection.connect({ address: server.address });
  native = await NativeConnection.connect({ address: server.address });
  client = new Client({ connection });
});

after(async () => {
  await native.close();
  await connection.close();
  await server.stop();
});

/** Runs `body` beside a worker on a queue of its own. */
async function served(body: (queue: { taskQueue: string }) => Promise<void>): Promise<void> {
  const taskQueue = randomUUID();
  const { shaky } = activities;
  const worker = await Worker.create({ connection: native, workflowBundle: bundle, activities: { shaky }, taskQueue });
  await worker.runUntil(body({ taskQueue }));
}

test('retries of an activity are seen, and end', () =>
  served(async (queue) => {
    activities.breakShaky(true);
    const handle = await client.workflow.start(workflows.oneActivity, { workflowId: randomUUID(), ...queue });
    await eventually('a third attempt, with the last failure', async () => {
      const [pending] = (await handle.describe()).raw.pendingActivities ?? [];
      return (pending?.attempt ?? 0) >= 3 && pending?.lastFailure?.message === 'the bank is closed';
    });
    activities.breakShaky(false);
    assert.ok((await handle.result()) >= 3);
  }));

test('signals, queries and updates', () =>
  served(async (queue) => {
    const handle = await client.workflow.start(workflows.basket, { workflowId: randomUUID(), ...queue });
    await handle.signal(workflows.add, 'bread');
    assert.equal(await handle.executeUpdate(workflows.put, { args: ['milk'] }), 2);
    await assert.rejects(handle.executeUpdate(workflows.put, { args: [''] }), WorkflowUpdateFailedError);
    assert.deepEqual(await handle.query(workflows.look), ['bread', 'milk']);
    await handle.signal(workflows.close);
    assert.deepEqual(await handle.result(), ['bread', 'milk']);
    assert.deepEqual(await handle.query(workflows.look), ['bread', 'milk'], 'closed runs answer too');
    await assert.rejects(handle.signal(workflows.add, 'late'), WorkflowNotFoundError);
    const query = `WorkflowId = "${handle.workflowId}" AND ExecutionStatus = "Completed"`;
    assert.equal((await client.workflow.count(query)).count, 1);
  }));

test('an error in workflow code fails its task and names file and line', () =>
  served(async (queue) => {
    const handle = await client.workflow.start(workflows.breaks, { workflowId: randomUUID(), ...queue });
    await eventually('a second attempt of the workflow task', async () => {
      const task = (await handle.describe()).raw.pendingWorkflowTask;
      return (task?.attempt ?? 0) >= 2;
    });
    const { events } = await handle.fetchHistory();
    const failed = events?.find((event) => event.workflowTaskFailedEventAttributes)?.workflowTaskFailedEventAttributes;
    assert.match(failed?.failure?.message ?? '', /Cannot read properties of undefined/);
    assert.match(failed?.failure?.stackTrace ?? '', /workflows\.ts:\d+/);
    await handle.terminate('seen');
  }));

test('children, and runs that go on as new', () =>
  served(async (queue) => {
    const options = { workflowId: randomUUID(), ...queue };
    assert.equal(await client.workflow.execute(workflows.parent, options), 'Hello, Ada');
    assert.equal(await client.workflow.execute(workflows.countDown, { ...options, args: [2] }), 'done');
  }));

test('a killed server goes on where it was', () =>
  served(async (queue) => {
    const handle = await client.workflow.start(workflows.basket, { workflowId: randomUUID(), ...queue });
    for (const item of ['bread', 'milk']) {
      await handle.signal(workflows.add, item);
      await server.kill();
      await server.start();
    }
    await eventually('the client is connected again', () => handle.signal(workflows.close).then(() => true, () => false));
    assert.deepEqual(await handle.result(), ['bread', 'milk']);
  }));
