// Addresses of pages. They are those of Temporal's own UI.

import { boot } from "./api.ts";

export type Route =
  | { page: "list"; namespace: string; query: string; from: string }
  | { page: "run"; namespace: string; workflowId: string; runId: string; event?: number }
  | { page: "queue"; namespace: string; queue: string }
  | { page: "namespaces"; namespace: string }
  | { page: "lost"; namespace: string };

const part = encodeURIComponent;

export function parse(url: URL): Route {
  const path = url.pathname.startsWith(boot.base) ? url.pathname.slice(boot.base.length) : url.pathname;
  const parts = path.split("/").filter((one) => one !== "").map(decode);
  const [first, namespace = boot.namespace, section, id, run = "", ...rest] = parts;
  if (first === undefined) return { page: "list", namespace, query: "", from: "" };
  if (first !== "namespaces") return { page: "lost", namespace };
  if (parts.length === 1) return { page: "namespaces", namespace };
  if ((section === undefined || section === "workflows") && id === undefined) {
    return { page: "list", namespace, query: url.searchParams.get("query") ?? "", from: url.searchParams.get("page") ?? "" };
  }
  if (section === "workflows" && id !== undefined) {
    const inPath = rest[0] === "history" && rest[1] === "events" ? rest[2] : undefined;
    const event = Number(inPath ?? /^#event-(\d+)$/.exec(url.hash)?.[1]);
    return { page: "run", namespace, workflowId: id, runId: run, event: event > 0 ? event : undefined };
  }
  if (section === "task-queues" && id !== undefined) return { page: "queue", namespace, queue: id };
  return { page: "lost", namespace };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Where a page's data is, under /ui/api. */
export function dataPath(route: Route): string | undefined {
  const namespace = `/namespaces/${part(route.namespace)}`;
  switch (route.page) {
    case "list":
      return `${namespace}/workflows?query=${part(route.query)}&page=${part(route.from)}`;
    case "run":
      return `${namespace}/workflows/${part(route.workflowId)}${route.runId ? `/${part(route.runId)}` : ""}`;
    case "queue":
      return `${namespace}/task-queues/${part(route.queue)}`;
    case "namespaces":
      return "/namespaces";
    case "lost":
      return undefined;
  }
}

export function listHref(namespace: string, query = "", from = ""): string {
  const search = [query && `query=${part(query)}`, from && `page=${part(from)}`].filter(Boolean).join("&");
  return `${boot.base}/namespaces/${part(namespace)}/workflows${search ? `?${search}` : ""}`;
}

export function runHref(namespace: string, workflowId: string, runId?: string): string {
  const run = runId ? `/${part(runId)}/history` : "";
  return `${boot.base}/namespaces/${part(namespace)}/workflows/${part(workflowId)}${run}`;
}

export function queueHref(namespace: string, queue: string): string {
  return `${boot.base}/namespaces/${part(namespace)}/task-queues/${part(queue)}`;
}

export function namespacesHref(): string {
  return `${boot.base}/namespaces`;
}
