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
  return /[=<>]|\b(in\s*\(|between\s|is\s+(not\s+)?null\b|starts_with\b|order\s+by\b)/i.test(text);
}

/** A value in a query. */
export function quoted(text: string): string {
  return `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"')}"`;
}

/** Where in the query the server found the mistake (counted from 0), if its message tells. */
export function errorPosition(message: string, query: string): number | undefined {
  const told = /\b(?:position|column|offset)\s*:?\s*(\d+)/i.exec(message)?.[1];
  const position = told === undefined ? undefined : Math.min(Math.max(Number(told) - 1, 0), query.length);
  // The position is often that of the end of what is wrong; what is quoted from the query is more exact.
  const quotes = [/near '([^']+)'/, /near "([^"]+)"/, /'([^']+)'/, /"([^"]+)"/, /`([^`]+)`/];
  const near = quotes.map((quote) => quote.exec(message)?.[1]).find((text) => text !== undefined && query.includes(text));
  if (near === undefined) return position;
  const before = position === undefined ? -1 : query.lastIndexOf(near, position);
  return before >= 0 ? before : query.indexOf(near);
}
