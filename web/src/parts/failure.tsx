// A failure: first the line of the application's code, then the chain of causes from the innermost out, each with the
// application's own frames in sight and those of SDK and runtime folded.

import { causes, headline, type Cause } from "../pure/failure.ts";
import type { Failure } from "../pure/model.ts";
import { shortFile, type Frame, type Place } from "../pure/stack.ts";
import { plural } from "../pure/words.ts";
import { Copy } from "./copy.tsx";
import { Payloads } from "./payload.tsx";

/** `said` is what stands above it already: a lone cause that has nothing to add is not said again. */
export function FailureView({ failure, said }: { failure: Failure; said?: string }) {
  const chain = causes(failure);
  const place = chain.find((cause) => cause.place !== undefined)?.place;
  return (
    <div class="failure">
      {place && <PlaceView place={place} />}
      {!(place && chain.length === 1 && addsNothing(chain[0]!, said)) && (
        <ol class="causes">
          {chain.map((cause, index) => (
            <CauseView key={index} cause={cause} first={index === 0} />
          ))}
        </ol>
      )}
    </div>
  );
}

function addsNothing(cause: Cause, said: string | undefined): boolean {
  const more = cause.message.includes("\n") || cause.encoded || cause.details?.length || cause.frames.length > 1;
  return headline(cause) === said && cause.retryable !== false && !more;
}

/** The line to look at. */
function PlaceView({ place }: { place: Place }) {
  return (
    <div class="place">
      <p class="where">
        <span class="file" title={place.file}>
          <b>{shortFile(place.file)}</b>{" "}
          <span class="line">line {place.line}</span>
        </span>
        {place.call && (
          <span class="muted">
            in <code>{place.call}</code>
          </span>
        )}
        <Copy text={`${place.file}:${place.line}`} what="file and line" />
      </p>
      {place.source && (
        <pre class="source" tabIndex={0}>
          <span class="number">{place.line}</span>
          <code>{place.source}</code>
        </pre>
      )}
    </div>
  );
}

/** A first cause of a single frame has been shown as the place already. */
function CauseView({ cause, first }: { cause: Cause; first: boolean }) {
  const rest = cause.message.includes("\n") ? cause.message : undefined;
  return (
    <li class={first ? "cause root" : "cause"}>
      <p class="headline">
        {!first && <span class="muted">which came up as </span>}
        <b>{headline(cause)}</b>
        {cause.role !== "error" && cause.role.toLowerCase() !== cause.type?.toLowerCase() && <span class="muted"> – {cause.role}</span>}
        {cause.retryable === false && <span class="tag">not retryable</span>}
      </p>
      {rest && <pre class="message" tabIndex={0}>{rest}</pre>}
      {cause.encoded && <p class="muted">The failure is encoded; its text needs the codec of the worker.</p>}
      {cause.details && cause.details.length > 0 && <Payloads payloads={cause.details} />}
      {cause.frames.length > (first && cause.place ? 1 : 0) && <Stack frames={cause.frames} />}
    </li>
  );
}

/** Frames of others in a row are folded into one. */
export function Stack({ frames }: { frames: Frame[] }) {
  const runs: Array<{ own: boolean; frames: Frame[] }> = [];
  for (const frame of frames) {
    const last = runs.at(-1);
    if (last && last.own === frame.own) last.frames.push(frame);
    else runs.push({ own: frame.own, frames: [frame] });
  }
  // Where nothing is the application's, folding would leave nothing to read.
  const none = !frames.some((frame) => frame.own);
  return (
    <div class="stack">
      {runs.map((run, index) =>
        run.own || none ? (
          run.frames.map((frame, at) => <FrameView key={`${index}.${at}`} frame={frame} />)
        ) : (
          <details key={index}>
            <summary>{plural(run.frames.length, "frame")} of the SDK and the runtime</summary>
            {run.frames.map((frame, at) => (
              <FrameView key={at} frame={frame} />
            ))}
          </details>
        ),
      )}
    </div>
  );
}

function FrameView({ frame }: { frame: Frame }) {
  if (frame.file === undefined) return <p class="frame raw">{frame.raw.trim()}</p>;
  return (
    <div class={frame.own ? "frame own" : "frame"}>
      <p title={frame.file}>
        <b>{frame.own ? shortFile(frame.file) : frame.file}</b>
        {frame.line !== undefined && `:${frame.line}`} {frame.call && <span class="muted">{frame.call}</span>}
      </p>
      {frame.source && <code>{frame.source}</code>}
    </div>
  );
}
