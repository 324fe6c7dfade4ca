/** Workflows under test; they run in the SDK's sandbox. */

import * as wf from '@temporalio/workflow';
import type * as activities from './activities.ts';

const { shaky } = wf.proxyActivities<typeof activities>({
  startToCloseTimeout: '10s',
  retry: { initialInterval: '100ms', backoffCoefficient: 1 },
});

export const add = wf.defineSignal<[string]>('add');
export const close = wf.defineSignal('close');
export const look = wf.defineQuery<string[]>('look');
export const put = wf.defineUpdate<number, [string]>('put');

export async function oneActivity(): Promise<number> {
  return await shaky();
}

export async function basket(): Promise<string[]> {
  const items: string[] = [];
  let closed = false;
  wf.setHandler(add, (item) => void items.push(item));
  wf.setHandler(close, () => void (closed = true));
  wf.setHandler(look, () => items);
  wf.setHandler(
    put,
    async (item) => {
      items.push(item);
      await wf.sleep(10);
      return items.length;
    },
    {
      validator: (item) => {
        if (!item) throw new Error('an item has a name');
      },
    }
  );
  await wf.condition(() => closed && wf.allHandlersFinished());
  return items;
}

export async function breaks(): Promise<string> {
  await wf.sleep(1);
  const nothing = undefined as unknown as { name: string };
  return nothing.name;
}

export async function parent(): Promise<string> {
  return await wf.executeChild(child, { args: ['Ada'] });
}

export async function child(name: string): Promise<string> {
  return `Hello, ${name}`;
}

export async function countDown(left: number): Promise<string> {
  if (left > 0) await wf.continueAsNew<typeof countDown>(left - 1);
  return 'done';
}
