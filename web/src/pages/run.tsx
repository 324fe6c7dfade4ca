// A run's page: what it waits for and why, before anything else.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { apiHref, clock, live } from "../api.ts";
import { Actions } from "../parts/actions.tsx";
import { Copy } from "../parts/copy.tsx";
import { FailureView } from "../parts/failure.tsx";
import { History } from "../parts/history.tsx";
import { NowCard } from "../parts/now.tsx";
import { Payloads } from "../parts/payload.tsx";
import { Pending } from "../parts/pending.tsx";
import { Status } from "../parts/status.tsx";
import { ClockTime, Since } from "../parts/time.tsx";
import { Tree } from "../parts/tree.tsx";
import type { BoxedPayload, Describe, HistoryEvent, Pollers, Problem, RunData } from "../pure/model.ts";
import { ProblemLine } from "./problem.tsx";
import { now, type Tone } from "../pure/now.ts";
import { instant, span } from "../pure/time.ts";
import { bytes, plural } from "../pure/words.ts";
import { listHref, queueHref, runHref, type Route } from "../routes.ts";

export type RunRoute = Route & { page: "run" };

interface Update {
  describe?: Describe;
  events?: HistoryEvent[];
  pollers?: Pollers;
}

/** How it goes, for a tab that is not in front. */
const SIGNS: Record<Tone, string> = { run: "▶", wait: "…", warn: "⚠", bad: "✕", good: "✓", off: "■" };

/** Sorted by id, each once. */
export function merged(known: HistoryEvent[], more: HistoryEvent[]): HistoryEvent[] {
  if (more.length === 0) return known;
  const byId = new Map(known.map((event) => [event.eventId, event]));
  for (const event of more) byId.set(event.eventId, event);
  return [...byId.values()].sort((a, b) => a.eventId - b.eventId);
}

export function RunPage({ route, first }: { route: RunRoute; first: RunData }) {
  const { workflowId, runId } = first;
  const [describe, setDescribe] = useState(first.describe);
  const [pollers, setPollers] = useState(first.pollers);
  const [events, setEvents] = useState(() => merged(first.head.events, first.tail.events));
  const [problem, setProblem] = useState<Problem>();
  const last = useRef(events.at(-1)?.eventId ?? 0);
  const path = `/namespaces/${encodeURIComponent(route.namespace)}/workflows/${encodeURIComponent(workflowId)}/${encodeURIComponent(runId)}`;
  const info = describe.workflowExecutionInfo ?? {};
  const open = info.status === "Running" || info.status === "Paused";

  useEffect(() => {
    if (!open) return;
    return live(() => `${path}/live?after=${last.current}`, {
      problem: (sent: { error: Problem }) => setProblem(sent.error),
      run(update: Update) {
        setProblem(undefined);
        if (update.describe) setDescribe(update.describe);
        if (update.pollers) setPollers(update.pollers);
        if (update.events) {
          last.current = Math.max(last.current, update.events.at(-1)?.eventId ?? 0);
          setEvents((known) => merged(known, update.events!));
        }
      },
    });
  }, [open]);

  const line = now(describe, events, pollers, clock.value);
  useEffect(() => {
    document.title = `${SIGNS[line.tone]} ${workflowId} · Steadfast`;
  }, [line.tone]);
  const started = events.find((event) => event.eventType === "WorkflowExecutionStarted")?.attributes ?? {};
  const closed = open ? undefined : events.findLast((event) => event.eventType.startsWith("WorkflowExecution"));

  return (
    <>
      <p class="crumbs"><a href={listHref(route.namespace)}>Workflows</a></p>
      <header class="run-head">
        <div>
          <h1>
            <span class="mono">{workflowId}</span>
            <Copy text={workflowId} what="the workflow's id" />
          </h1>
          <Facts route={route} describe={describe} runId={runId} started={started} />
        </div>
        <Actions path={path} open={open} workflowId={workflowId} events={events} />
      </header>
      {problem && <ProblemLine problem={problem} />}
      <NowCard line={line} route={route} />
      {line.failure && (
        <section class="card why" aria-label="Why">
          <FailureView failure={line.failure} said={line.error} />
        </section>
      )}
      <Pending route={route} describe={describe} pollers={pollers} />
      <div class="halves">
        <Ends title="Input" payloads={started.input} empty="No arguments." href={apiHref(`${path}/events/1`)} />
        <Result open={open} event={closed} path={path} />
      </div>
      <History path={path} route={route} events={events} pending={describe.pendingActivities ?? []} tokens={{ head: first.head.next, tail: first.tail.next }} add={(more) => setEvents((known) => merged(known, more))} />
      <More describe={describe} />
    </>
  );
}

function Facts({ route, describe, runId, started }: { route: RunRoute; describe: Describe; runId: string; started: Record<string, any> }) {
  const info = describe.workflowExecutionInfo ?? {};
  const start = instant(info.startTime);
  const end = instant(info.closeTime);
  const parent = info.parentExecution;
  const before = started.continuedExecutionRunId as string | undefined;
  return (
    <ul class="facts">
      <li><Status status={info.status} /></li>
      <li><a class="quiet" href={listHref(route.namespace, `WorkflowType="${info.type?.name ?? ""}"`)}>{info.type?.name}</a></li>
      <li>
        <span class="muted">started</span> <ClockTime at={info.startTime} />
      </li>
      {start !== undefined && (
        <li>
          <span class="muted">{end === undefined ? "for" : "took"}</span> {end === undefined ? <Since ms={start} /> : span(end - start)}
        </li>
      )}
      <li><span class="muted">queue</span> <a class="quiet" href={queueHref(route.namespace, info.taskQueue ?? "")}>{info.taskQueue}</a></li>
      <li><span class="muted">{plural(info.historyLength ?? 0, "event")}, {bytes(info.historySizeBytes ?? 0)}</span></li>
      <li class="run-id"><span class="muted">run</span> <span class="mono">{runId}</span><Copy text={runId} what="the run's id" /></li>
      {parent?.workflowId && (
        <li><span class="muted">child of</span> <a href={runHref(route.namespace, parent.workflowId, parent.runId)}>{parent.workflowId}</a></li>
      )}
      {before && <li><a href={runHref(route.namespace, route.workflowId, before)}>the run before</a></li>}
    </ul>
  );
}

function Ends({ title, payloads, empty, href }: { title: string; payloads: BoxedPayload[] | undefined; empty: string; href: string }) {
  return (
    <section class="card">
      <h2>{title}</h2>
      {payloads && payloads.length > 0 ? <Payloads payloads={payloads} href={href} /> : <p class="muted">{empty}</p>}
    </section>
  );
}

function Result({ open, event, path }: { open: boolean; event: HistoryEvent | undefined; path: string }) {
  if (open) {
    return (
      <section class="card">
        <h2>Result</h2>
        <p class="muted">Not yet: it is running.</p>
      </section>
    );
  }
  const a = event?.attributes ?? {};
  const payloads: BoxedPayload[] | undefined = a.result ?? a.details;
  const without = event?.eventType === "WorkflowExecutionFailed" ? "None: it failed, see above." : event?.eventType === "WorkflowExecutionCompleted" ? "Completed without a value." : "None.";
  return <Ends title="Result" payloads={payloads} empty={without} href={apiHref(`${path}/events/${event?.eventId ?? 1}`)} />;
}

function More({ describe }: { describe: Describe }) {
  const info = describe.workflowExecutionInfo ?? {};
  const attributes = useMemo(() => {
    const shown = { ...info.searchAttributes };
    delete shown.BuildIds;
    return shown;
  }, [info.searchAttributes]);
  return (
    <section class="more" aria-label="More">
      {info.memo && Object.keys(info.memo).length > 0 && (
        <details open>
          <summary><h2>Memo</h2></summary>
          <Tree value={info.memo} />
        </details>
      )}
      {Object.keys(attributes).length > 0 && (
        <details open>
          <summary><h2>Search attributes</h2></summary>
          <Tree value={attributes} />
        </details>
      )}
      <details>
        <summary><h2>All that the server says of it</h2></summary>
        <Tree value={{ ...describe.executionConfig, ...info, ...describe.workflowExtendedInfo }} without={["memo", "searchAttributes"]} />
      </details>
    </section>
  );
}

