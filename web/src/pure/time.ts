// Times and durations as people read them.

/** Milliseconds since 1970, or undefined for no time (the API's zero time counts as none). */
export function instant(text: string | undefined): number | undefined {
  if (!text) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) || ms <= 0 ? undefined : ms;
}

/** `1.5s` of the API in milliseconds. */
export function durationMs(text: string | undefined): number | undefined {
  const found = /^(-?\d+(?:\.\d+)?)s$/.exec(text ?? "");
  return found ? Number(found[1]) * 1000 : undefined;
}

/** Two units at most: `850 ms`, `2.4 s`, `3 min 20 s`, `4 h 10 min`, `12 d 3 h`. */
export function span(ms: number): string {
  const abs = Math.abs(ms);
  if (abs < 1000) return `${Math.round(abs)} ms`;
  if (abs < 10_000) return `${(Math.floor(abs / 100) / 10).toFixed(1).replace(/\.0$/, "")} s`;
  return units(abs);
}

/** As `span`, in whole seconds: what a ticking clock shows. */
export function coarseSpan(ms: number): string {
  return Math.abs(ms) < 1000 ? "0 s" : units(Math.abs(ms));
}

function units(abs: number): string {
  const seconds = Math.floor(abs / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return two(minutes, "min", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return two(hours, "h", minutes % 60, "min");
  return two(Math.floor(hours / 24), "d", hours % 24, "h");
}

function two(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}

/** `3 min ago`, one unit, for lists. */
export function ago(ms: number): string {
  if (ms < 5_000) return "just now";
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s ago`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ago`;
  return `${Math.floor(hours / 24)} d ago`;
}

const DAY: Intl.DateTimeFormatOptions = { year: "numeric", month: "short", day: "numeric" };

/** The local time to the millisecond, with its date. */
export function fullTime(ms: number): string {
  const date = new Date(ms);
  return `${date.toLocaleDateString(undefined, DAY)}, ${clockTime(ms)}`;
}

/** `14:03:22.187` */
export function clockTime(ms: number): string {
  const date = new Date(ms);
  const two = (n: number) => String(n).padStart(2, "0");
  const millis = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`;
}
