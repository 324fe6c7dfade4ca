// The activities that are pending: attempt, last failure with its stack, next retry.

import type { RunRoute } from "../pages/run.tsx";
import type { Describe, PendingActivity, Pollers } from "../pure/model.ts";
import { headline, rootCause } from "../pure/failure.ts";
import { durationMs, instant, span } from "../pure/time.ts";
import { clock } from "../api.ts";
import { queueHref } from "../routes.ts";
import { FailureView } from "./failure.tsx";
import { Icon } from "./icon.tsx";
import { Payloads } from "./payload.tsx";
import { Ago, Until } from "./time.tsx";

export function Pending({ route, describe, pollers }: { route: RunRoute; describe: Describe; pollers: Pollers }) {
  const activities = describe.pendingActivities ?? [];
  if (activities.length === 0) return null;
  const own = describe.workflowExecutionInfo?.taskQueue ?? "";
  return (
    <section aria-label="Pending activities">
      <h2>Pending activities <span class="count">{activities.length}</span></h2>
      <ul class="pending">
        {activities.map((activity) => (
          <Activity key={activity.activityId} route={route} activity={activity} pollers={pollers} own={own} alone={activities.length === 1} />
        ))}
      </ul>
    </section>
  );
}

interface ActivityProps {
  route: RunRoute;
  activity: PendingActivity;
  pollers: Pollers;
  own: string;
  /** The only one: its failure is open above already. */
  alone: boolean;
}

function Activity({ route, activity, pollers, own, alone }: ActivityProps) {
  const started = activity.state === "Started" || activity.state === "CancelRequested";
  const queue = activity.activityOptions?.taskQueue?.name ?? own;
  const next = started ? undefined : instant(activity.nextAttemptScheduleTime ?? activity.scheduledTime);
  return (
    <li class={activity.lastFailure ? "card bad" : "card"}>
      <p class="title">
        <Icon name={activity.lastFailure ? "cross" : started ? "bolt" : "zzz"} />
        <b class="mono">{activity.activityType?.name}</b>
        <span>{activity.paused ? "paused" : started ? "running" : "waiting"}</span>
        <span>attempt {activity.attempt ?? 1}{activity.maximumAttempts ? ` of ${activity.maximumAttempts}` : ""}</span>
        {started && <span class="muted">since <Ago at={activity.lastStartedTime} /></span>}
        {next !== undefined && next > clock.value && <span class="next">next attempt <Until ms={next} /></span>}
      </p>
      <p class="facts-line muted">
        {activity.lastWorkerIdentity && <span>worker <span class="mono">{activity.lastWorkerIdentity}</span></span>}
        {activity.lastHeartbeatTime && <span>last heartbeat <Ago at={activity.lastHeartbeatTime} /></span>}
        {activity.currentRetryInterval && activity.lastFailure && <span>tried every {span(durationMs(activity.currentRetryInterval) ?? 0)}</span>}
        <span>queue <a class="quiet" href={queueHref(route.namespace, queue)}>{queue}</a></span>
        <span>id {activity.activityId}</span>
      </p>
      {pollers.activity[queue] === 0 && <p class="callout warn"><Icon name="warn" /> No worker polls {queue} for activities.</p>}
      {activity.heartbeatDetails && activity.heartbeatDetails.length > 0 && (
        <details>
          <summary>Heartbeat details</summary>
          <Payloads payloads={activity.heartbeatDetails} />
        </details>
      )}
      {activity.lastFailure &&
        (alone ? null : (
          <details>
            <summary>{headline(rootCause(activity.lastFailure))}</summary>
            <FailureView failure={activity.lastFailure} />
          </details>
        ))}
    </li>
  );
}
