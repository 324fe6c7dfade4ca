// Times on the page. Ages tick by themselves; the exact time is in the title.

import { clock } from "../api.ts";
import { ago, clockTime, coarseSpan, fullTime, instant } from "../pure/time.ts";

/** `3 min ago`. */
export function Ago({ at }: { at: string | undefined }) {
  const ms = instant(at);
  if (ms === undefined) return <span class="muted">–</span>;
  return (
    <time dateTime={at} title={fullTime(ms)}>
      {ago(clock.value - ms)}
    </time>
  );
}

/** `14:03:22.187`, with the date in the title. */
export function ClockTime({ at }: { at: string | undefined }) {
  const ms = instant(at);
  if (ms === undefined) return <span class="muted">–</span>;
  return (
    <time dateTime={at} title={fullTime(ms)}>
      {clockTime(ms)}
    </time>
  );
}

/** How long since, counting up. */
export function Since({ ms }: { ms: number }) {
  return <time title={fullTime(ms)}>{coarseSpan(Math.max(0, clock.value - ms))}</time>;
}

/** How long until, counting down; what is due says so. */
export function Until({ ms }: { ms: number }) {
  const left = ms - clock.value;
  return <time title={fullTime(ms)}>{left < 1000 ? "now" : `in ${coarseSpan(left)}`}</time>;
}
