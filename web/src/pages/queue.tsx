// A task queue: who polls it, and what waits in it.

import { useEffect, useState } from "preact/hooks";
import { get } from "../api.ts";
import { Icon } from "../parts/icon.tsx";
import { Ago } from "../parts/time.tsx";
import { and, quoted } from "../pure/query.ts";
import { durationMs, span } from "../pure/time.ts";
import { plural } from "../pure/words.ts";
import { dataPath, listHref, type Route } from "../routes.ts";

interface Half {
  pollers?: Array<{ identity?: string; lastAccessTime?: string; ratePerSecond?: number }>;
  stats?: { approximateBacklogCount?: number; approximateBacklogAge?: string; tasksAddRate?: number; tasksDispatchRate?: number };
}

export interface QueueData {
  name: string;
  workflow: Half;
  activity: Half;
}

/** Who polls changes seldom, and there is no stream for it. */
const AGAIN_MS = 5000;

export function QueuePage({ route, first }: { route: Route & { page: "queue" }; first: QueueData }) {
  const [data, setData] = useState(first);
  useEffect(() => {
    async function again(): Promise<void> {
      if (document.hidden) return;
      // What cannot be had now is asked for again soon; the page keeps what it knows.
      setData(await get<QueueData>(dataPath(route)!).catch(() => data));
    }
    const timer = setInterval(() => void again(), AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  const query = and(`TaskQueue=${quoted(data.name)}`, 'ExecutionStatus="Running"');
  return (
    <>
      <p class="crumbs"><a href={listHref(route.namespace)}>Workflows</a></p>
      <h1>Task queue <span class="mono">{data.name}</span></h1>
      <p><a href={listHref(route.namespace, query)}>Running workflows on this queue</a></p>
      <div class="halves">
        <HalfView half={data.workflow} title="Workflow tasks" />
        <HalfView half={data.activity} title="Activities" />
      </div>
    </>
  );
}

function HalfView({ half, title }: { half: Half; title: string }) {
  const pollers = half.pollers ?? [];
  const { approximateBacklogCount: waiting = 0, approximateBacklogAge: age, tasksAddRate = 0, tasksDispatchRate = 0 } = half.stats ?? {};
  const ageMs = durationMs(age);
  return (
    <section class="card">
      <h2>{title}</h2>
      {pollers.length === 0 ? (
        <p class="callout warn"><Icon name="warn" /> No worker polls this queue.</p>
      ) : (
        <p>{plural(pollers.length, "worker")} poll{pollers.length === 1 ? "s" : ""} this queue.</p>
      )}
      <p>
        {waiting === 0 ? "Nothing waits in it" : `${plural(waiting, "task")} wait in it`}
        {waiting > 0 && ageMs !== undefined && `, the oldest for ${span(ageMs)}`}
        {tasksAddRate + tasksDispatchRate > 0 && `; ${tasksAddRate.toFixed(1)} added and ${tasksDispatchRate.toFixed(1)} taken a second`}.
      </p>
      {pollers.length > 0 && (
        <table class="plain">
          <thead><tr><th scope="col">Worker</th><th scope="col">Last asked for work</th></tr></thead>
          <tbody>
            {pollers.map((one) => (
              <tr key={one.identity}><td class="mono">{one.identity}</td><td><Ago at={one.lastAccessTime} /></td></tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
