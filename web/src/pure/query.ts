// The list's query as the page handles it: adding a status, telling an id from a query, pointing at a mistake.

/** `rest` with the status picked; the server takes the same form apart again. */
export function withStatus(rest: string, status: string | null): string {
  if (status === null) return rest;
  const clause = `ExecutionStatus="${status}"`;
  if (rest === "") return clause;
  return /\bor\b/i.test(rest) ? `(${rest}) AND ${clause}` : `${rest} AND ${clause}`;
}

/** Adds one more condition. */
export function and(query: string, clause: string): string {
  if (query === "") return clause;
  return /\bor\b/i.test(query) ? `(${query}) AND ${clause}` : `${query} AND ${clause}`;
}

/** Whether this is a query, and not an id that somebody pasted: it has an operator between a name and a value. */
export function looksLikeQuery(text: string): boolean {
  return /[=<>]|\b(in|between|is|starts_with|like|order\s+by)\b/i.test(text.trim()) && /^[\s(`\w]/.test(text);
}

/** A value in a query. */
export function quoted(text: string): string {
  return `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"')}"`;
}

/** Where in the query the server found the mistake (counted from 0), if its message tells. */
export function errorPosition(message: string, query: string): number | undefined {
  const found = /\b(?:position|column|offset|char(?:acter)?)\s*:?\s*(\d+)/i.exec(message);
  if (found) return Math.min(Math.max(Number(found[1]) - 1, 0), query.length);
  const near = /near '([^']+)'/.exec(message);
  const at = near ? query.indexOf(near[1]!) : -1;
  return at < 0 ? undefined : at;
}
