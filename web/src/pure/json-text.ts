// JSON laid out for reading without parsing its values: every number, string and key is shown by the very characters of
// its source, so 3544790567247868102 stays what it is.

export type TokenKind = "key" | "string" | "number" | "word" | "mark" | "space";

export interface Token {
  kind: TokenKind;
  text: string;
}

/** Deeper than this is shown as it came. */
const DEPTH = 200;

/** The tokens of `source` laid out with two spaces a level, or undefined if it is no JSON. */
export function layOut(source: string): Token[] | undefined {
  const tokens: Token[] = [];
  let at = 0;
  const spaces = /[ \t\n\r]*/y;
  const string = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
  const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
  const word = /true|false|null/y;

  function match(pattern: RegExp): string | undefined {
    pattern.lastIndex = at;
    const found = pattern.exec(source);
    if (found === null) return undefined;
    at = pattern.lastIndex;
    return found[0];
  }
  const skip = () => match(spaces);
  const put = (kind: TokenKind, text: string) => tokens.push({ kind, text });
  const line = (depth: number) => put("space", "\n" + "  ".repeat(depth));

  function value(depth: number): boolean {
    if (depth > DEPTH) return false;
    skip();
    const first = source[at];
    if (first === "{" || first === "[") return group(first, depth);
    for (const [kind, pattern] of [["string", string], ["number", number], ["word", word]] as const) {
      const text = match(pattern);
      if (text !== undefined) {
        put(kind, text);
        return true;
      }
    }
    return false;
  }

  function group(open: "{" | "[", depth: number): boolean {
    const close = open === "{" ? "}" : "]";
    at += 1;
    skip();
    if (source[at] === close) {
      at += 1;
      put("mark", open + close);
      return true;
    }
    put("mark", open);
    for (;;) {
      line(depth + 1);
      if (open === "{") {
        skip();
        const key = match(string);
        if (key === undefined) return false;
        put("key", key);
        skip();
        if (source[at] !== ":") return false;
        at += 1;
        put("mark", ": ");
      }
      if (!value(depth + 1)) return false;
      skip();
      const next = source[at];
      at += 1;
      if (next === ",") {
        put("mark", ",");
      } else if (next === close) {
        line(depth);
        put("mark", close);
        return true;
      } else {
        return false;
      }
    }
  }

  if (!value(0)) return undefined;
  skip();
  return at === source.length ? tokens : undefined;
}

/** On one line, for places with little room; undefined if it is no JSON. */
export function oneLine(source: string): string | undefined {
  const tokens = layOut(source);
  return tokens?.map((token) => (token.kind === "space" ? "" : token.text === "," ? ", " : token.text)).join("");
}
