// The list of workflows: counts by status, a box for queries and ids, rows that change by themselves.

import { useEffect, useRef, useState } from "preact/hooks";
import { clock, get, live, problemOf } from "../api.ts";
import { Icon } from "../parts/icon.tsx";
import { inline } from "../parts/payload.tsx";
import { lookOf, Status, STATUSES } from "../parts/status.tsx";
import { Ago } from "../parts/time.tsx";
import type { ListData, ListRow, Problem } from "../pure/model.ts";
import { and, errorPosition, looksLikeQuery, quoted, withStatus } from "../pure/query.ts";
import { coarseSpan, instant, span } from "../pure/time.ts";
import { go } from "../router.ts";
import { listHref, runHref, type Route } from "../routes.ts";

type ListRoute = Route & { page: "list" };

/** What the stream sends: rows that changed, and the order of all. */
type Update = Omit<ListData, "rows"> & { rows: ListRow[]; order: string[] };

const FAILING = 'TemporalReportedProblems IN ("category=WorkflowTaskFailed", "category=WorkflowTaskTimedOut")';

export function ListPage({ route, first, problem: firstProblem }: { route: ListRoute; first: ListData | undefined; problem: Problem | undefined }) {
  const [data, setData] = useState(first);
  const [problem, setProblem] = useState(firstProblem);
  const held = useRef(first);

  useEffect(() => {
    // Older pages stand still: rows that move while one reads them are of no use.
    if (route.from !== "" || (firstProblem && firstProblem.code !== "Unavailable")) return;
    const path = () =>
      `/namespaces/${encodeURIComponent(route.namespace)}/live?query=${encodeURIComponent(route.query)}&version=${held.current?.version ?? ""}`;
    return live(path, {
      list(update: Update) {
        const known = new Map((held.current?.rows ?? []).map((row) => [row.execution.runId, row]));
        for (const row of update.rows) known.set(row.execution.runId, row);
        const rows = update.order.flatMap((run) => known.get(run) ?? []);
        held.current = { ...update, rows };
        setData(held.current);
        setProblem(undefined);
      },
      problem: (sent: { error: Problem }) => setProblem(sent.error),
    });
  }, []);

  return (
    <>
      <div class="list-head">
        <h1>Workflows</h1>
        {data && <Counts route={route} data={data} />}
      </div>
      <QueryBox route={route} problem={problem} />
      {data && data.rows.length > 0 && <Table route={route} rows={data.rows} />}
      {data && data.rows.length === 0 && !problem && <Empty route={route} />}
      {data && (data.next !== "" || route.from !== "") && (
        <nav class="pages" aria-label="Pages">
          {route.from !== "" && <a class="button" href={listHref(route.namespace, route.query)}>Newest</a>}
          {route.from !== "" && <button type="button" onClick={() => history.back()}>Back</button>}
          {data.next !== "" && <a class="button" href={listHref(route.namespace, route.query, data.next)}>Older</a>}
        </nav>
      )}
    </>
  );
}

function Counts({ route, data }: { route: ListRoute; data: ListData }) {
  const { counts, status, rest, failing } = data;
  if (counts === null) return null;
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const known = STATUSES.filter((one) => (counts[one] ?? 0) > 0 || one === status);
  return (
    <ul class="counts" aria-label="Workflows by status">
      <li>
        <a href={listHref(route.namespace, rest)} aria-current={status === null ? "true" : undefined}>
          <b>{all.toLocaleString("en")}</b> all
        </a>
      </li>
      {known.map((one) => {
        const look = lookOf(one);
        return (
          <li key={one}>
            <a href={listHref(route.namespace, withStatus(rest, one))} class={look.tone} aria-current={status === one ? "true" : undefined}>
              <Icon name={look.icon} />
              <b>{(counts[one] ?? 0).toLocaleString("en")}</b> {look.word.toLowerCase()}
            </a>
          </li>
        );
      })}
      {failing !== null && failing > 0 && (
        <li>
          <a href={listHref(route.namespace, rest.includes(FAILING) ? rest : and(rest, FAILING))} class="bad" title="Running workflows whose code fails again and again">
            <Icon name="warn" />
            <b>{failing.toLocaleString("en")}</b> with failing code
          </a>
        </li>
      )}
    </ul>
  );
}

const EXAMPLES = [
  ['WorkflowType="transfer"', "of one type"],
  ['WorkflowId STARTS_WITH "transfer-"', "by the beginning of the id"],
  ['ExecutionStatus="Failed"', "by status"],
  ['StartTime > "2026-01-31T12:00:00Z"', "by time"],
  ['CloseTime IS NULL AND TaskQueue="default"', "open, on one queue"],
] as const;

function QueryBox({ route, problem }: { route: ListRoute; problem: Problem | undefined }) {
  const [text, setText] = useState(route.query);
  const [lost, setLost] = useState<Problem>();
  const box = useRef<HTMLInputElement>(null);

  useEffect(() => {
    function focus(event: KeyboardEvent): void {
      const inField = event.target instanceof HTMLElement && event.target.closest("input, textarea, dialog");
      if (event.key !== "/" || inField || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      box.current?.select();
    }
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    const wanted = text.trim();
    if (wanted === "" || looksLikeQuery(wanted)) return go(listHref(route.namespace, wanted));
    try {
      const found = await get<{ query?: string; workflowId?: string; runId?: string }>(
        `/namespaces/${encodeURIComponent(route.namespace)}/find?text=${encodeURIComponent(wanted)}`,
      );
      if (found.workflowId !== undefined) go(runHref(route.namespace, found.workflowId, found.runId));
      else go(listHref(route.namespace, found.query ?? ""));
    } catch (error) {
      setLost(problemOf(error));
    }
  }

  const shown = lost ?? problem;
  const at = shown && route.query !== "" ? errorPosition(shown.message, route.query) : undefined;
  return (
    <form class="query" role="search" onSubmit={submit}>
      <div class="field">
        <Icon name="search" />
        <input
          ref={box}
          type="search"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          placeholder='A query, or an id to go to   ( / )'
          aria-label="Query, workflow ID or run ID"
          aria-invalid={shown ? "true" : undefined}
          aria-describedby={shown ? "query-problem" : undefined}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
        />
        {route.query !== "" && <a class="clear" href={listHref(route.namespace)}>Clear</a>}
        <button type="submit">Go</button>
      </div>
      {shown && (
        <div class="query-problem" id="query-problem" role="alert">
          {at !== undefined && <pre>{`${route.query}\n${" ".repeat(at)}^`}</pre>}
          <p>
            <Icon name="warn" /> {shown.message}
          </p>
        </div>
      )}
      <details class="examples">
        <summary>What can I ask?</summary>
        <ul>
          {EXAMPLES.map(([query, what]) => (
            <li key={query}>
              <button type="button" class="code" onClick={() => { setText(query); box.current?.focus(); }}>{query}</button> {what}
            </li>
          ))}
        </ul>
        <p>Join conditions with AND and OR. Paste a workflow's id, a run's id or the beginning of an id, and press Enter.</p>
      </details>
    </form>
  );
}

function Table({ route, rows }: { route: ListRoute; rows: ListRow[] }) {
  return (
    <table class="workflows">
      <thead>
        <tr>
          <th scope="col">Status</th>
          <th scope="col">Workflow</th>
          <th scope="col">Type</th>
          <th scope="col" class="queue">Task queue</th>
          <th scope="col" class="end">Started</th>
          <th scope="col" class="end">Duration</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <Row key={row.execution.runId} route={route} row={row} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ route, row }: { route: ListRoute; row: ListRow }) {
  const { workflowId = "", runId } = row.execution;
  const type = row.type?.name ?? "";
  return (
    <tr class={row.trouble?.message ? "troubled" : undefined}>
      <td class="state">
        <Status status={row.paused ? "Paused" : row.status} />
        <Trouble row={row} />
      </td>
      <td class="id">
        <a class="mono stretched" href={runHref(route.namespace, workflowId, runId)} title={`Run ${runId}`}>{workflowId}</a>
        {row.trouble?.message && <span class={row.trouble.activity ? "trouble" : "trouble bad"}>{row.trouble.activity && `${row.trouble.activity}: `}{row.trouble.message}</span>}
      </td>
      <td class="type">
        <a class="quiet" href={listHref(route.namespace, `WorkflowType=${quoted(type)}`)} title="All of this type">{type}</a>
      </td>
      <td class="queue muted">{row.taskQueue}</td>
      <td class="end started"><Ago at={row.startTime} /></td>
      <td class="end duration"><Duration row={row} /></td>
    </tr>
  );
}

function Trouble({ row }: { row: ListRow }) {
  const { trouble, problems } = row;
  if (!trouble && !problems) return null;
  const inActivity = trouble?.activity !== undefined;
  const word = inActivity ? "retrying" : "failing";
  const title = inActivity
    ? `${trouble.activity} failed ${trouble.attempt} times: ${trouble.message ?? ""}`
    : `Its code keeps failing${trouble ? `, attempt ${trouble.attempt}` : ""}${problems ? ` (${inline(problems)})` : ""}`;
  return (
    <span class={inActivity ? "tag warn" : "tag bad"} title={title}>
      <Icon name={inActivity ? "again" : "warn"} /> {word}
    </span>
  );
}

function Duration({ row }: { row: ListRow }) {
  const start = instant(row.startTime);
  const end = instant(row.closeTime);
  if (start === undefined) return null;
  if (end !== undefined) return <>{span(end - start)}</>;
  return <span class="muted">{coarseSpan(Math.max(0, clock.value - start))}</span>;
}

function Empty({ route }: { route: ListRoute }) {
  if (route.query !== "") {
    return (
      <section class="card empty">
        <h2>No workflow matches</h2>
        <p><a href={listHref(route.namespace)}>Show all workflows</a></p>
      </section>
    );
  }
  return (
    <section class="card empty">
      <h2>No workflows yet</h2>
      <p>Start a worker and a workflow with any Temporal SDK, or from the command line; they appear here by themselves.</p>
      <pre>temporal workflow start --type my_workflow --task-queue my-queue --namespace {route.namespace}</pre>
    </section>
  );
}
