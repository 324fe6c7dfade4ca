// The frame around every page.

import { useEffect } from "preact/hooks";
import { boot, liveState } from "../api.ts";
import { Icon } from "../parts/icon.tsx";
import type { ListData, RunData } from "../pure/model.ts";
import { loading, shown, type Shown } from "../router.ts";
import { listHref, namespacesHref } from "../routes.ts";
import { ListPage } from "./list.tsx";
import { NamespacesPage, type NamespacesData } from "./namespaces.tsx";
import { ProblemPage } from "./problem.tsx";
import { QueuePage, type QueueData } from "./queue.tsx";
import { RunPage } from "./run.tsx";

export function App() {
  const page = shown.value;
  const { namespace } = page.route;
  useEffect(() => {
    document.title = titleOf(page);
  }, [page]);
  return (
    <>
      <a class="skip" href="#main">To the content</a>
      {loading.value && <div class="loading" role="progressbar" aria-label="Loading" />}
      <header class="top">
        <a class="brand" href={listHref(namespace)} aria-label="Steadfast: workflows">
          <Icon name="anchor" />
          <span>Steadfast</span>
        </a>
        <nav aria-label="Main">
          <a href={listHref(namespace)} aria-current={page.route.page === "list" ? "page" : undefined}>Workflows</a>
          <a href={namespacesHref()} class="namespace" title="Switch the namespace" aria-current={page.route.page === "namespaces" ? "page" : undefined}>
            <span class="muted">namespace</span> {namespace}
          </a>
        </nav>
        <LiveMark />
      </header>
      <main id="main" key={keyOf(page)} tabIndex={-1}>
        <Page page={page} />
      </main>
      <footer>
        Steadfast {boot.version}
      </footer>
    </>
  );
}

function keyOf(page: Shown): string {
  return `${page.load}`;
}

function Page({ page }: { page: Shown }) {
  const { route, data, problem } = page;
  // A list with a mistake in its query is still a list: the mistake is shown under the query.
  if (route.page === "list") return <ListPage route={route} first={data as ListData | undefined} problem={problem} />;
  if (problem || data === undefined) return <ProblemPage problem={problem} namespace={route.namespace} />;
  switch (route.page) {
    case "run":
      return <RunPage route={route} first={data as RunData} />;
    case "queue":
      return <QueuePage route={route} first={data as QueueData} />;
    case "namespaces":
      return <NamespacesPage data={data as NamespacesData} current={route.namespace} />;
    default:
      return <ProblemPage problem={problem} namespace={route.namespace} />;
  }
}

function LiveMark() {
  const state = liveState.value;
  if (state === "off") return null;
  return (
    <span class={`live ${state}`} role="status" title={state === "live" ? "Changes appear by themselves" : "Trying to reach the server"}>
      <Icon name={state === "live" ? "dot" : "again"} />
      {state === "live" ? "Live" : "Reconnecting"}
    </span>
  );
}

function titleOf({ route }: Shown): string {
  switch (route.page) {
    case "run":
      return `${route.workflowId} · Steadfast`;
    case "queue":
      return `${route.queue} · Steadfast`;
    case "namespaces":
      return "Namespaces · Steadfast";
    default:
      return `Workflows · ${route.namespace} · Steadfast`;
  }
}
