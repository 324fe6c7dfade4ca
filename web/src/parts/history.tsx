// A run's history: what happened (grouped), or every event. Both ends are there at once; what lies between is loaded when
// it is asked for. Each event has an address.

import { useEffect, useMemo, useState } from "preact/hooks";
import { apiHref, get, problemOf } from "../api.ts";
import { ProblemLine } from "../pages/problem.tsx";
import type { RunRoute } from "../pages/run.tsx";
import { headline, rootCause } from "../pure/failure.ts";
import { groupEvents, type Group } from "../pure/groups.ts";
import type { HistoryEvent, HistoryPage, PendingActivity, Problem } from "../pure/model.ts";
import { clockTime, fullTime, instant, span } from "../pure/time.ts";
import { plural, words } from "../pure/words.ts";
import { runHref } from "../routes.ts";
import { Icon, type IconName } from "./icon.tsx";
import { inline } from "./payload.tsx";
import { Tree } from "./tree.tsx";

interface HistoryProps {
  path: string;
  route: RunRoute;
  events: HistoryEvent[];
  /** Where the pages after the oldest and before the newest begin. */
  tokens: { head: string; tail: string };
  pending: PendingActivity[];
  add: (events: HistoryEvent[]) => void;
}

interface Gap {
  after: number;
  before: number;
}

/** A stretch of events without a hole. */
function stretches(events: HistoryEvent[]): HistoryEvent[][] {
  const all: HistoryEvent[][] = [];
  for (const event of events) {
    const last = all.at(-1);
    if (last && last.at(-1)!.eventId + 1 === event.eventId) last.push(event);
    else all.push([event]);
  }
  return all;
}

export function History({ path, route, events, tokens, pending, add }: HistoryProps) {
  const [view, setView] = useState<"groups" | "all">(() => (new URLSearchParams(location.search).get("view") === "all" || route.event ? "all" : "groups"));
  const [walk, setWalk] = useState({ headEnd: 0, head: tokens.head, tailStart: 0, tail: tokens.tail });
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [target, setTarget] = useState(route.event);
  const parts = useMemo(() => stretches(events), [events]);

  async function load(query: string): Promise<HistoryPage | undefined> {
    setBusy(true);
    setProblem(undefined);
    try {
      const page = await get<HistoryPage>(`${path}/history?${query}`);
      add(page.events);
      return page;
    } catch (error) {
      setProblem(problemOf(error));
      return undefined;
    } finally {
      setBusy(false);
    }
  }

  async function loadAfter(gap: Gap): Promise<void> {
    const first = parts[0]?.at(-1)?.eventId === gap.after && walk.head !== "";
    const page = await load(first ? `token=${walk.head}` : `around=${gap.after + 50}`);
    if (first && page) setWalk((old) => ({ ...old, head: page.next }));
  }

  async function loadBefore(gap: Gap): Promise<void> {
    const last = parts.at(-1)?.[0]?.eventId === gap.before && walk.tail !== "";
    const page = await load(last ? `newest=true&token=${walk.tail}` : `around=${Math.max(1, gap.before - 50)}`);
    if (last && page) setWalk((old) => ({ ...old, tail: page.next }));
  }

  function show(next: "groups" | "all"): void {
    setView(next);
    const url = new URL(location.href);
    if (next === "all") url.searchParams.set("view", "all");
    else url.searchParams.delete("view");
    window.history.replaceState(window.history.state, "", url);
  }

  // A link to an event shows it, wherever it is.
  useEffect(() => {
    function follow(): void {
      const id = Number(/^#event-(\d+)$/.exec(location.hash)?.[1]);
      if (!(id > 0)) return;
      setView("all");
      setTarget(id);
    }
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  useEffect(() => {
    if (target === undefined) return;
    if (!events.some((event) => event.eventId === target)) void load(`around=${target}`);
  }, [target]);
  const here = target !== undefined && events.some((event) => event.eventId === target);
  useEffect(() => {
    if (here && view === "all") document.getElementById(`event-${target}`)?.scrollIntoView({ block: "center" });
  }, [here, target, view]);

  return (
    <section class="history" aria-label="History">
      <div class="history-head">
        <h2>History</h2>
        <div class="switch" role="group" aria-label="Detail">
          <button type="button" aria-pressed={view === "groups"} onClick={() => show("groups")}>What happened</button>
          <button type="button" aria-pressed={view === "all"} onClick={() => show("all")}>Every event</button>
        </div>
      </div>
      {problem && <ProblemLine problem={problem} />}
      {parts.map((part, index) => {
        const before = parts[index - 1]?.at(-1);
        const gap = before && { after: before.eventId, before: part[0]!.eventId };
        return (
          <div key={part[0]!.eventId}>
            {gap && (
              <div class="gap">
                <span>{plural(gap.before - gap.after - 1, "event")} in between</span>
                <button type="button" disabled={busy} onClick={() => void loadAfter(gap)}>Show the next</button>
                <button type="button" disabled={busy} onClick={() => void loadBefore(gap)}>Show the last of them</button>
              </div>
            )}
            {view === "all" ? <Events events={part} path={path} target={target} route={route} /> : <Groups events={part} path={path} route={route} pending={pending} />}
          </div>
        );
      })}
    </section>
  );
}

const SIGNS: Record<Group["state"], IconName> = { open: "zzz", failing: "again", done: "check", failed: "cross", cancelled: "slash", note: "dot" };

interface GroupsProps {
  events: HistoryEvent[];
  path: string;
  route: RunRoute;
  pending: PendingActivity[];
}

function Groups({ events, path, route, pending }: GroupsProps) {
  const groups = useMemo(() => groupEvents(events), [events]);
  const from = groups[0]?.start ?? 0;
  const until = Math.max(...groups.map((group) => group.end ?? from), from + 1);
  return (
    <ol class="groups">
      {groups.map((group) => (
        <GroupRow key={group.id} group={withPending(group, pending)} path={path} route={route} from={from} until={until} />
      ))}
    </ol>
  );
}

/** No event tells of an attempt that failed and is tried again; what is pending does. */
function withPending(group: Group, pending: PendingActivity[]): Group {
  if (group.state !== "open" || group.kind !== "Activity") return group;
  const id = group.events[0]?.attributes.activityId;
  const activity = pending.find((one) => one.activityId === id);
  if (!activity) return group;
  const failing = activity.lastFailure !== undefined;
  return {
    ...group,
    attempts: activity.attempt,
    failure: activity.lastFailure,
    state: failing ? "failing" : "open",
    outcome: activity.state === "Started" ? "running" : failing ? "waits for the next attempt" : "waiting",
  };
}

interface GroupRowProps {
  group: Group;
  path: string;
  route: RunRoute;
  from: number;
  until: number;
}

function GroupRow({ group, path, route, from, until }: GroupRowProps) {
  const [open, setOpen] = useState(false);
  const lasted = group.start !== undefined && group.end !== undefined ? group.end - group.start : undefined;
  const place = (ms: number) => (100 * (ms - from)) / (until - from);
  const isOpen = group.state === "open" || group.state === "failing";
  const error = group.failure && headline(rootCause(group.failure));
  return (
    <li class={`group ${group.state}`}>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <Icon name={SIGNS[group.state]} />
          <span class="label">
            <b>{group.kind}</b> <span class="mono">{group.name}</span>
            {(group.attempts ?? 1) > 1 && <span class="muted">{group.attempts}{group.kind === "Workflow task" ? " times" : " attempts"}</span>}
            {group.outcome && <span class="outcome">{group.outcome}</span>}
            {error && <span class="error">{error}</span>}
          </span>
          <span class="bar" aria-hidden="true">
            <span>
              {group.start !== undefined && (
                <i style={{ left: `${place(group.start)}%`, width: `${(isOpen ? 100 : place(group.end ?? group.start)) - place(group.start)}%` }} />
              )}
            </span>
          </span>
          <span class="lasted">{lasted !== undefined && group.events.length > 1 && !isOpen ? span(lasted) : ""}</span>
          <time title={group.start === undefined ? "" : fullTime(group.start)}>{group.start === undefined ? "" : clockTime(group.start)}</time>
        </summary>
        {open && group.events.map((event) => <EventBody key={event.eventId} event={event} path={path} route={route} headed />)}
      </details>
    </li>
  );
}

function Events({ events, path, target, route }: { events: HistoryEvent[]; path: string; target: number | undefined; route: RunRoute }) {
  return (
    <ol class="events">
      {events.map((event) => <EventRow key={event.eventId} event={event} path={path} marked={event.eventId === target} route={route} />)}
    </ol>
  );
}

function EventRow({ event, path, marked, route }: { event: HistoryEvent; path: string; marked: boolean; route: RunRoute }) {
  const [open, setOpen] = useState(marked);
  const time = instant(event.eventTime);
  return (
    <li id={`event-${event.eventId}`} class={marked ? "event marked" : "event"}>
      <details open={open || marked} onToggle={(toggled) => setOpen(toggled.currentTarget.open)}>
        <summary>
          <span class="number">{event.eventId}</span>
          <span class="label">
            <b>{words(event.eventType)}</b> <span class="muted">{gist(event)}</span>
          </span>
          <time title={time === undefined ? "" : fullTime(time)}>{time === undefined ? "" : clockTime(time)}</time>
        </summary>
        {(open || marked) && <EventBody event={event} path={path} route={route} />}
      </details>
    </li>
  );
}

/** What an event is about, in a few words. */
function gist(event: HistoryEvent): string {
  const a = event.attributes;
  if (a.failure) return headline(rootCause(a.failure));
  const name = a.activityType?.name ?? a.workflowType?.name ?? a.signalName ?? a.markerName ?? a.operation ?? a.startToFireTimeout ?? a.cause ?? a.reason;
  if (name !== undefined && event.eventType !== "WorkflowExecutionStarted") return String(name);
  const payload = a.result?.[0] ?? a.input?.[0];
  const text = payload ? inline(payload) : "";
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

function EventBody({ event, path, route, headed }: { event: HistoryEvent; path: string; route: RunRoute; headed?: boolean }) {
  const time = instant(event.eventTime);
  const { eventId, eventType, eventTime: _, attributes, ...rest } = event;
  return (
    <div class="event-body">
      {headed && (
        <p class="event-title">
          <a class="number" href={`${runHref(route.namespace, route.workflowId, route.runId)}#event-${eventId}`}>{eventId}</a>
          <b>{words(eventType)}</b>
          {time !== undefined && <time title={fullTime(time)}>{clockTime(time)}</time>}
        </p>
      )}
      <Tree value={{ ...attributes, ...rest }} href={apiHref(`${path}/events/${eventId}`)} />
    </div>
  );
}
