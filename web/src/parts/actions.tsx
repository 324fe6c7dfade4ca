// Signal, cancel, terminate: a native dialog each.

import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { post, problemOf } from "../api.ts";
import { ProblemLine } from "../pages/problem.tsx";
import { layOut } from "../pure/json-text.ts";
import type { BoxedPayload, HistoryEvent, Problem } from "../pure/model.ts";
import { parseStack } from "../pure/stack.ts";
import { Stack } from "./failure.tsx";
import { Payloads } from "./payload.tsx";

interface ActionsProps {
  path: string;
  open: boolean;
  workflowId: string;
  events: HistoryEvent[];
}

export function Actions({ path, open, workflowId, events }: ActionsProps) {
  if (!open) {
    return (
      <div class="actions">
        <QueryAction path={path} />
      </div>
    );
  }
  return (
    <div class="actions">
      <QueryAction path={path} />
      <SignalAction path={path} events={events} />
      <ReasonAction path={`${path}/cancel`} word="Cancel" title={`Ask ${workflowId} to cancel`}>
        The workflow is told, and its code may clean up before it ends.
      </ReasonAction>
      <ReasonAction path={`${path}/terminate`} word="Terminate" danger title={`Terminate ${workflowId}`}>
        It ends at once; its code gets no chance to clean up. This cannot be undone.
      </ReasonAction>
    </div>
  );
}

interface DialogProps {
  word: string;
  title: string;
  danger?: boolean;
  /** Throws what went wrong; what it returns as true keeps the dialog open. */
  act: () => Promise<unknown>;
  ready: boolean;
  children: ComponentChildren;
}

function Dialog({ word, title, danger, act, ready, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    try {
      if ((await act()) !== true) dialog.current?.close();
    } catch (error) {
      setProblem(problemOf(error));
    }
    setBusy(false);
  }
  return (
    <>
      <button type="button" class={danger ? "danger" : ""} onClick={() => dialog.current?.showModal()}>{word}</button>
      <dialog ref={dialog} aria-label={title} onClick={(event) => event.target === dialog.current && dialog.current?.close()}>
        <form onSubmit={submit}>
          <h2>{title}</h2>
          {children}
          {problem && <ProblemLine problem={problem} />}
          <p class="buttons">
            <button type="button" onClick={() => dialog.current?.close()}>Close</button>
            <button type="submit" class={danger ? "danger solid" : "solid"} disabled={busy || !ready}>{word}</button>
          </p>
        </form>
      </dialog>
    </>
  );
}

function ReasonAction({ path, word, title, danger, children }: { path: string; word: string; title: string; danger?: boolean; children: string }) {
  const [reason, setReason] = useState("");
  return (
    <Dialog word={word} title={title} danger={danger} ready act={() => post(path, { reason })}>
      <p>{children}</p>
      <label>
        Reason <span class="muted">(optional)</span>
        <input value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
      </label>
    </Dialog>
  );
}

function SignalAction({ path, events }: { path: string; events: HistoryEvent[] }) {
  const [name, setName] = useState("");
  const [input, setInput] = useState("");
  const past = [...new Set(events.flatMap((event) => (event.eventType === "WorkflowExecutionSignaled" ? [String(event.attributes.signalName)] : [])))];
  const valid = input.trim() === "" || layOut(input) !== undefined;
  const send = () => post(`${path}/signal`, { name: name.trim(), input: input.trim() === "" ? [] : [input.trim()] });
  return (
    <Dialog word="Signal" title="Send a signal" ready={name.trim() !== "" && valid} act={send}>
      <label>
        Signal name
        <input value={name} list="signal-names" required onInput={(event) => setName(event.currentTarget.value)} autocomplete="off" spellcheck={false} />
      </label>
      <datalist id="signal-names">{past.map((one) => <option key={one} value={one} />)}</datalist>
      <label>
        Argument, as JSON <span class="muted">(empty for none; sent byte by byte as it stands)</span>
        <textarea class="mono" rows={6} value={input} spellcheck={false} onInput={(event) => setInput(event.currentTarget.value)} aria-invalid={valid ? undefined : "true"} />
      </label>
      {!valid && <p class="problem-line">This is not JSON yet.</p>}
    </Dialog>
  );
}

interface Answer {
  queryResult?: BoxedPayload[];
  queryRejected?: { status?: string };
}

/** Asks the workflow's own code; the call stack is a query like any other. */
function QueryAction({ path }: { path: string }) {
  const [name, setName] = useState(STACK);
  const [input, setInput] = useState("");
  const [answer, setAnswer] = useState<{ name: string; payloads: BoxedPayload[] }>();
  const valid = input.trim() === "" || layOut(input) !== undefined;
  async function ask(): Promise<true> {
    const asked = name.trim();
    setAnswer(undefined);
    const got = await post<Answer>(`${path}/query`, { name: asked, input: input.trim() === "" ? [] : [input.trim()] });
    setAnswer({ name: asked, payloads: got.queryResult ?? [] });
    return true;
  }
  return (
    <Dialog word="Query" title="Ask the workflow's code" ready={name.trim() !== "" && valid} act={ask}>
      <p class="muted">A worker answers from the code's memory; nothing is changed. <code>{STACK}</code> shows where the code stands.</p>
      <label>
        Query name
        <input value={name} list="query-names" required onInput={(event) => setName(event.currentTarget.value)} autocomplete="off" spellcheck={false} />
      </label>
      <datalist id="query-names">
        <option value={STACK} />
        <option value="__temporal_workflow_metadata" />
      </datalist>
      <label>
        Argument, as JSON <span class="muted">(empty for none)</span>
        <input class="mono" value={input} spellcheck={false} onInput={(event) => setInput(event.currentTarget.value)} aria-invalid={valid ? undefined : "true"} />
      </label>
      {answer && (
        <div class="answer" role="status">
          <h3>Answer of {answer.name}</h3>
          {answer.name === STACK ? <StackText payload={answer.payloads[0]} /> : <Payloads payloads={answer.payloads} />}
          {answer.payloads.length === 0 && <p class="muted">Nothing.</p>}
        </div>
      )}
    </Dialog>
  );
}

const STACK = "__stack_trace";

function StackText({ payload }: { payload: BoxedPayload | undefined }) {
  let text = "";
  try {
    // A string is a string: nothing is lost by parsing one.
    text = String(JSON.parse(payload?.$payload.text ?? '""'));
  } catch {
    text = payload?.$payload.text ?? "";
  }
  return <Stack frames={parseStack(text)} />;
}
