// Which page is shown. A click on a link loads the next page's data first and swaps then, so there is never an empty
// page in between; only a slow answer shows the bar at the top.

import { batch, signal } from "@preact/signals";
import { boot, get, isProblem, problemOf } from "./api.ts";
import type { Problem } from "./pure/model.ts";
import { dataPath, parse, type Route } from "./routes.ts";

export interface Shown {
  route: Route;
  data?: unknown;
  problem?: Problem;
  /** Counts loads: a page that is loaded again is a new one. */
  load: number;
}

function first(): Shown {
  const route = parse(new URL(location.href));
  return isProblem(boot.data) ? { route, problem: boot.data.error, load: 0 } : { route, data: boot.data, load: 0 };
}

export const shown = signal<Shown>(first());
export const loading = signal(false);

let loads = 0;
let abort: AbortController | undefined;

async function show(scroll: number): Promise<void> {
  const url = new URL(location.href);
  const route = parse(url);
  const path = dataPath(route);
  abort?.abort();
  const own = new AbortController();
  abort = own;
  const slow = setTimeout(() => (loading.value = true), 120);
  const next: Shown = { route, load: ++loads };
  try {
    if (path === undefined) next.problem = { code: "NotFound", message: `There is no page at ${url.pathname}` };
    else next.data = await get(path, own.signal);
  } catch (error) {
    if (own.signal.aborted) return clearTimeout(slow);
    next.problem = problemOf(error);
  }
  clearTimeout(slow);
  batch(() => {
    loading.value = false;
    shown.value = next;
  });
  requestAnimationFrame(() => {
    // As after a page load: the keyboard starts at the content, and readers are told of it.
    document.getElementById("main")?.focus({ preventScroll: true });
    if (url.hash === "") scrollTo(0, scroll);
  });
}

export function go(href: string, replace = false): void {
  history.replaceState({ ...history.state, scroll: scrollY }, "");
  if (replace) history.replaceState({}, "", href);
  else history.pushState({}, "", href);
  void show(0);
}

/** Tries again what could not be had. */
export function reload(): void {
  void show(scrollY);
}

export function startRouter(): void {
  history.scrollRestoration = "manual";
  addEventListener("popstate", (event) => void show(event.state?.scroll ?? 0));
  addEventListener("beforeunload", () => history.replaceState({ ...history.state, scroll: scrollY }, ""));
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    const url = new URL(link.href);
    // A link inside the page is the browser's own business.
    if (url.pathname === location.pathname && url.search === location.search && url.hash !== "") return;
    if (!url.pathname.startsWith(`${boot.base}/`) || url.pathname.startsWith(`${boot.base}/ui/`)) return;
    event.preventDefault();
    go(link.href);
  });
}
