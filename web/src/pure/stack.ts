// Stack traces of the SDKs' languages taken apart into frames, so that the application's own lines can stand out and
// the frames of SDK and runtime can be folded.

export interface Frame {
  /** The text as it came, one or more lines. */
  raw: string;
  /** Whether it is the application's own code, as far as its file or name tells. */
  own: boolean;
  call?: string;
  file?: string;
  line?: number;
  /** The line's source, where the language sends it (Python does). */
  source?: string;
}

export interface Place {
  file: string;
  line: number;
  call?: string;
  source?: string;
}

const FOREIGN_FILE = [
  /[\\/](site|dist)-packages[\\/]/,
  /[\\/]lib[\\/]python\d/,
  /^<(frozen|string|stdin|built-in)/,
  /[\\/]temporalio[\\/]/,
  /[\\/]node_modules[\\/]/,
  /^(node:|internal[\\/]|webpack[\\/-])/,
  /[\\/]go[\\/]pkg[\\/]mod[\\/]/,
  /[\\/]go(lang)?[\\/](go)?src[\\/]/,
  /[\\/]usr[\\/]local[\\/]go[\\/]/,
  /go\.temporal\.io[\\/]/,
  /[\\/]\.cargo[\\/](registry|git)[\\/]/,
  /^[\\/]rustc[\\/]/,
  /[\\/]rustlib[\\/]/,
  /[\\/]gems[\\/]/,
  /[\\/]vendor[\\/]/,
];

const FOREIGN_CALL = [
  /^(java|javax|jdk|sun|com\.sun|kotlin|kotlinx|io\.temporal|io\.grpc)\./,
  /^(java|jdk)\.[\w.]+\//,
  /^(System|Microsoft|Temporalio)\./,
  /^(runtime|reflect|go\.temporal\.io)[./]/,
  /^(std|core|alloc|tokio|temporalio[\w]*|futures[\w]*|rust_begin_unwind)(::|$)/,
  /^(Temporal|React)\\/,
];

type Reader = (lines: string[], at: number) => { frame: Omit<Frame, "own">; used: number } | undefined;

const python: Reader = (lines, at) => {
  const found = /^\s*File "(.+?)", line (\d+)(?:, in (.+))?$/.exec(lines[at]!);
  if (!found) return undefined;
  let used = 1;
  // The source stands on the next line, sometimes with a line of ~~~^^^ below it.
  let source: string | undefined;
  const next = lines[at + 1];
  if (next !== undefined && /^\s{4}/.test(next) && !/^\s*File "/.test(next)) {
    source = next.trim();
    used = 2;
    if (/^\s*[~^]+\s*$/.test(lines[at + 2] ?? "")) used = 3;
  }
  const raw = lines.slice(at, at + used).join("\n");
  return { frame: { raw, file: found[1]!, line: Number(found[2]), call: found[3], source }, used };
};

/** `at call (file:line:column)` of JavaScript, `at call(File.java:line)` of the JVM, `at Call() in file:line n` of .NET. */
const at: Reader = (lines, index) => {
  const text = lines[index]!;
  const frame =
    /^\s*at (?:async )?(.+?) \((.+?):(\d+)(?::\d+)?\)$/.exec(text) ??
    /^\s*(?:at )?([\w$.<>/@ -]+)\(([\w$ .-]+\.(?:java|kt|scala|groovy)):(\d+)\)$/.exec(text) ??
    /^\s*at (.+?) in (.+?):line (\d+)$/.exec(text);
  if (frame) {
    const [raw, call, file, line] = frame;
    return { frame: { raw: raw!, call: call!.trim(), file: file!, line: Number(line) }, used: 1 };
  }
  const bare = /^\s*at (?:async )?(.+?):(\d+)(?::\d+)?$/.exec(text);
  if (bare) return { frame: { raw: text, file: bare[1]!, line: Number(bare[2]) }, used: 1 };
  const unknown = /^\s*at (.+)$/.exec(text) ?? /^([\w$.]+\([^()]*\))$/.exec(text);
  return unknown ? { frame: { raw: text, call: unknown[1]! }, used: 1 } : undefined;
};

/** Go: the call, and below it, indented, `file:line +0x1f`. */
const go: Reader = (lines, index) => {
  const place = /^\s+(\S+\.(?:go|s)):(\d+)(?: \+0x[0-9a-f]+)?$/.exec(lines[index + 1] ?? "");
  if (!place || !/^\S.*$/.test(lines[index]!)) return undefined;
  const raw = lines.slice(index, index + 2).join("\n");
  const call = lines[index]!.replace(/\(.*\)$/, "");
  return { frame: { raw, call, file: place[1]!, line: Number(place[2]) }, used: 2 };
};

/** Rust: `  3: path::to::call` and below it `at file:line:column`. */
const rust: Reader = (lines, index) => {
  const call = /^\s*\d+: (.+)$/.exec(lines[index]!);
  if (!call) return undefined;
  const place = /^\s+at (.+?):(\d+)(?::\d+)?$/.exec(lines[index + 1] ?? "");
  const used = place ? 2 : 1;
  const raw = lines.slice(index, index + used).join("\n");
  return { frame: { raw, call: call[1]!, file: place?.[1], line: place ? Number(place[2]) : undefined }, used };
};

/** Ruby: `file:line:in 'call'`; PHP: `#0 file(line): call`. */
const scripts: Reader = (lines, index) => {
  const text = lines[index]!;
  const ruby = /^\s*(\S+?\.rb|<internal:[\w-]+>):(\d+):in [`'](.+)'$/.exec(text);
  if (ruby) return { frame: { raw: text, file: ruby[1]!, line: Number(ruby[2]), call: ruby[3]! }, used: 1 };
  const php = /^#\d+ (.+?)\((\d+)\): (.+)$/.exec(text);
  if (php) return { frame: { raw: text, file: php[1]!, line: Number(php[2]), call: php[3]! }, used: 1 };
  return undefined;
};

const READERS: Reader[] = [python, rust, go, scripts, at];

/** The frames in the order in which they came; lines that are none become frames without a file. */
export function parseStack(text: string): Frame[] {
  const lines = text.replace(/\r/g, "").split("\n").filter((line) => line.trim() !== "");
  const frames: Frame[] = [];
  for (let index = 0; index < lines.length; ) {
    const read = READERS.map((reader) => reader(lines, index)).find((one) => one !== undefined);
    if (read) {
      frames.push({ ...read.frame, own: isOwn(read.frame) });
      index += read.used;
    } else {
      frames.push({ raw: lines[index]!, own: false });
      index += 1;
    }
  }
  return frames;
}

function isOwn(frame: Omit<Frame, "own">): boolean {
  if (frame.file === undefined) return false;
  if (FOREIGN_FILE.some((pattern) => pattern.test(frame.file!))) return false;
  return frame.call === undefined || !FOREIGN_CALL.some((pattern) => pattern.test(frame.call!));
}

/** Python writes the innermost call last, all others first. */
export function isInnermostLast(frames: Frame[]): boolean {
  return frames.some((frame) => /^\s*File "/.test(frame.raw));
}

/** The application's own line that is nearest to where it went wrong. */
export function culprit(frames: Frame[]): Place | undefined {
  const own = frames.filter((frame) => frame.own && frame.file !== undefined && frame.line !== undefined);
  const frame = isInnermostLast(frames) ? own.at(-1) : own[0];
  return frame && { file: frame.file!, line: frame.line!, call: frame.call, source: frame.source };
}

/** A place that the message itself names, as the Rust worker's does: `attempt to divide by zero, src/transfer.rs:42:9`. */
export function placeInMessage(message: string): Place | undefined {
  const found = /((?:[A-Za-z]:)?[\w./\\@+-]*\w\.(?:rs|py|go|tsx?|jsx?|mjs|java|kt|rb|cs|php|scala|swift|cpp|cc|c)):(\d+)(?::\d+)?/.exec(message);
  return found ? { file: found[1]!, line: Number(found[2]) } : undefined;
}

/** Longer than this, a path is cut to its end. */
const PATH_CHARS = 70;

/** Enough of a path to know the file: all of a relative one, the end of one that begins somewhere on a worker's machine. */
export function shortFile(file: string): string {
  const parts = file.split(/[\\/]/).filter((part) => part !== "" && part !== ".");
  const absolute = /^([\\/]|[A-Za-z]:)/.test(file);
  return !absolute && file.length <= PATH_CHARS ? parts.join("/") : parts.slice(-2).join("/");
}
