// The line that says what a run waits for.

import { runHref, queueHref } from "../routes.ts";
import type { RunRoute } from "../pages/run.tsx";
import type { Now, Tone } from "../pure/now.ts";
import { Icon, type IconName } from "./icon.tsx";
import { Since, Until } from "./time.tsx";

const ICONS: Record<Tone, IconName> = { run: "bolt", wait: "zzz", warn: "warn", bad: "cross", good: "check", off: "stop" };

export function NowCard({ line, route }: { line: Now; route: RunRoute }) {
  return (
    <section class={`now ${line.tone}`} aria-label="Now">
      <span class="sign"><Icon name={ICONS[line.tone]} /></span>
      <div class="what">
        <p class="title">
          {line.title} {line.subject && <Subject line={line} route={route} />} {line.then}
        </p>
        {line.error && <p class="error">{line.error}</p>}
        <p class="when">
          {line.since !== undefined && (
            <span>
              {line.sinceWord === "ended" || line.sinceWord === "last failed" ? (
                <>{line.sinceWord} <Since ms={line.since} /> ago</>
              ) : (
                <>{line.sinceWord ?? "for"} <Since ms={line.since} /></>
              )}
            </span>
          )}
          {(line.attempt ?? 0) > 1 && <span>attempt {line.attempt}{line.maximumAttempts ? ` of ${line.maximumAttempts}` : ""}</span>}
          {line.next !== undefined && <span class="next">{line.nextWord} <Until ms={line.next} /></span>}
          {line.continuedAs && <a href={runHref(route.namespace, route.workflowId, line.continuedAs)}>the next run</a>}
        </p>
        {line.hint && <p class="hint">{line.hint}</p>}
        {line.also.map((sentence) => <p key={sentence} class="also">{sentence}</p>)}
      </div>
    </section>
  );
}

function Subject({ line, route }: { line: Now; route: RunRoute }) {
  if (line.child?.workflowId) return <a class="mono" href={runHref(route.namespace, line.child.workflowId, line.child.runId)}>{line.subject}</a>;
  if (line.title.endsWith("task queue")) return <a class="mono" href={queueHref(route.namespace, line.subject ?? "")}>{line.subject}</a>;
  return <span class="mono">{line.subject}</span>;
}

