// The way to the server: JSON by fetch, live updates by EventSource, all under the path that the page was served from.

import { signal } from "@preact/signals";
import type { Problem } from "./pure/model.ts";

export interface Boot {
  /** The path that everything is under: empty, or like /x/y. */
  base: string;
  namespace: string;
  version: string;
  data: unknown;
}

export const boot: Boot = JSON.parse(document.getElementById("boot")?.textContent ?? "{}");

/** What the server answered when it said no. */
export class Refusal extends Error {
  constructor(readonly problem: Problem) {
    super(problem.message);
  }
}

export function problemOf(error: unknown): Problem {
  if (error instanceof Refusal) return error.problem;
  return { code: "Unavailable", message: "The server cannot be reached." };
}

export function isProblem(data: unknown): data is { error: Problem } {
  return typeof data === "object" && data !== null && "error" in data;
}

async function answer<T>(response: Response): Promise<T> {
  let data: unknown;
  try {
    data = await response.json();
  } catch {
    throw new Refusal({ code: String(response.status), message: response.statusText || "The server's answer cannot be read." });
  }
  if (isProblem(data)) throw new Refusal(data.error);
  return data as T;
}

/** A JSON answer's own address, for a link. */
export function apiHref(path: string): string {
  return `${boot.base}/ui/api${path}`;
}

export async function get<T>(path: string, abort?: AbortSignal): Promise<T> {
  return answer(await fetch(apiHref(path), { signal: abort }));
}

export async function post<T>(path: string, body: unknown): Promise<T> {
  const headers = { "content-type": "application/json" };
  return answer(await fetch(apiHref(path), { method: "POST", headers, body: JSON.stringify(body) }));
}

/** What a server's clock shows more than ours, in milliseconds. */
let ahead = 0;

/** The server's time now; ticks once a second for whoever reads it while rendering. */
export const clock = signal(Date.now());

function tick(): void {
  clock.value = Date.now() + ahead;
}
setInterval(tick, 1000);

export type LiveState = "off" | "connecting" | "live";

/** How the page's stream stands, for the mark in the header. */
export const liveState = signal<LiveState>("off");

/**
 * Keeps a stream open while the page is visible. `path` is asked at every connection, so that it can name what the page
 * holds by then. Returns how to end it.
 */
export function live(path: () => string, on: Record<string, (data: any) => void>): () => void {
  let source: EventSource | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;

  function open(): void {
    close();
    if (document.hidden) return;
    liveState.value = "connecting";
    const made = new EventSource(apiHref(path()));
    source = made;
    made.addEventListener("hello", (event) => {
      liveState.value = "live";
      ahead = JSON.parse(event.data).now - Date.now();
      tick();
    });
    for (const [name, handle] of Object.entries(on)) {
      made.addEventListener(name, (event) => handle(JSON.parse(event.data)));
    }
    // Not the browser's own reconnection: it would name what the page held when it was first opened.
    made.onerror = () => {
      made.close();
      liveState.value = "connecting";
      retry = setTimeout(open, 1000);
    };
  }

  function close(): void {
    clearTimeout(retry);
    source?.close();
    source = undefined;
  }

  document.addEventListener("visibilitychange", open);
  open();
  return () => {
    document.removeEventListener("visibilitychange", open);
    close();
    liveState.value = "off";
  };
}
