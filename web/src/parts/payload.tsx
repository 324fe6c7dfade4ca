// Payloads: the source text of JSON, laid out and coloured, every character as it came.

import { oneLine, layOut } from "../pure/json-text.ts";
import type { BoxedPayload, Payload } from "../pure/model.ts";
import { bytes } from "../pure/words.ts";
import { Copy } from "./copy.tsx";

/** More tokens than this are shown as plain text: a page must stay light. */
const TOKENS = 1500;

export function isPayload(value: unknown): value is BoxedPayload {
  return typeof value === "object" && value !== null && "$payload" in value;
}

export function PayloadView({ payload, href }: { payload: Payload; href?: string }) {
  if (payload.encoding === "binary/null") return <p class="payload muted">null</p>;
  const text = payload.text ?? payload.base64 ?? "";
  const tokens = payload.text !== undefined && payload.size === undefined && text.length < 200_000 ? layOut(text) : undefined;
  const plain = payload.encoding === "json/plain" || payload.encoding === "";
  const notes = [
    plain ? "" : payload.encoding,
    payload.text === undefined ? "base64" : "",
    payload.metadata?.messageType ?? "",
    payload.size === undefined ? "" : `the first ${bytes(text.length)} of ${bytes(payload.size)}`,
  ].filter(Boolean);
  return (
    <div class="payload">
      {notes.length > 0 && (
        <p class="notes">
          {notes.join(" · ")}
          {payload.size !== undefined && href && <a href={href} target="_blank">All of it</a>}
        </p>
      )}
      <pre tabIndex={0}>
        <code>
          {tokens === undefined || tokens.length > TOKENS
            ? (tokens?.map((token) => token.text).join("") ?? text)
            : tokens.map((token) => (token.kind === "space" || token.kind === "mark" ? token.text : <span class={token.kind}>{token.text}</span>))}
        </code>
      </pre>
      <Copy text={text} what="exactly as it was sent" />
    </div>
  );
}

export function Payloads({ payloads, href }: { payloads: BoxedPayload[]; href?: string }) {
  return (
    <>
      {payloads.map((one, index) => (
        <PayloadView key={index} payload={one.$payload} href={href} />
      ))}
    </>
  );
}

/** For places with little room. */
export function inline(boxed: BoxedPayload | undefined): string {
  if (!boxed) return "";
  const { text, encoding } = boxed.$payload;
  if (text === undefined) return encoding;
  return oneLine(text) ?? text;
}
