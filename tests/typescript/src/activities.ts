/** Activities under test. */

import { activityInfo } from '@temporalio/activity';

let broken = false;

export function breakShaky(yes: boolean): void {
  broken = yes;
}

export async function shaky(): Promise<number> {
  if (broken) throw new Error('the bank is closed');
  return activityInfo().attempt;
}
