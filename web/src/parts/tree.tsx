// Any part of an event or a description: names in words, payloads and failures as such, times as times.

import type { ComponentChildren } from "preact";
import type { Failure } from "../pure/model.ts";
import { instant } from "../pure/time.ts";
import { words } from "../pure/words.ts";
import { shown } from "../router.ts";
import { runHref } from "../routes.ts";
import { FailureView } from "./failure.tsx";
import { isPayload, Payloads, PayloadView } from "./payload.tsx";
import { ClockTime } from "./time.tsx";

interface TreeProps {
  value: Record<string, unknown>;
  /** Where payloads that were cut are whole. */
  href?: string;
  /** Names that are shown elsewhere. */
  without?: string[];
}

export function Tree({ value, href, without = [] }: TreeProps) {
  const entries = Object.entries(value).filter(([name, one]) => !without.includes(name) && !NOISE.includes(name) && !isEmpty(one));
  if (entries.length === 0) return <p class="muted">Nothing more.</p>;
  // A map of payloads is somebody's own (memo, search attributes, headers): its names are shown letter by letter.
  const own = Object.values(value).every(isPayload);
  return (
    <dl class="tree">
      {entries.map(([name, one]) => (
        <div key={name} class={isBlock(one) ? "block" : "pair"}>
          <dt class={own ? "mono" : undefined}>{own ? name : words(name)}</dt>
          <dd>{show(name, one, href)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Of no use to a reader: names say the same. */
const NOISE = ["namespaceId", "parentWorkflowNamespaceId"];

/** `0s` is how the API says that there is no such limit. */
function isEmpty(value: unknown): boolean {
  if (value === "0s" || value === null) return true;
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function isBlock(value: unknown): boolean {
  return typeof value === "object" && value !== null && simple(value) === undefined && !isExecution(value);
}

/** `{name: "x"}` is only a name. */
function simple(value: object): string | undefined {
  const keys = Object.keys(value);
  const name = (value as { name?: unknown }).name;
  if (typeof name === "string" && keys.every((key) => key === "name" || key === "kind")) return name;
  return undefined;
}

function isExecution(value: object): value is { workflowId: string; runId?: string } {
  const keys = Object.keys(value);
  return keys.includes("workflowId") && keys.every((key) => key === "workflowId" || key === "runId");
}

function show(name: string, value: unknown, href: string | undefined): ComponentChildren {
  if (isPayload(value)) return <PayloadView payload={value.$payload} href={href} />;
  if (Array.isArray(value)) {
    if (value.every(isPayload)) return <Payloads payloads={value} href={href} />;
    if (value.every((one) => typeof one !== "object")) return value.join(", ");
    return value.map((one, index) => <div key={index}>{show(name, one, href)}</div>);
  }
  if (typeof value === "object" && value !== null) {
    if (/failure$/i.test(name)) return <FailureView failure={value as Failure} />;
    if (isExecution(value)) {
      return <a href={runHref(shown.value.route.namespace, value.workflowId, value.runId)}>{value.workflowId}</a>;
    }
    return simple(value) ?? <Tree value={value as Record<string, unknown>} href={href} />;
  }
  const text = String(value);
  if (/time$/i.test(name) && instant(text) !== undefined) return <ClockTime at={text} />;
  if (/eventid$/i.test(name)) return <a href={`#event-${text}`}>{text}</a>;
  if (typeof value === "boolean") return value ? "yes" : "no";
  return text;
}
