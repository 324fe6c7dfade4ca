// A page that could not be had.

import type { Problem } from "../pure/model.ts";
import { Icon } from "../parts/icon.tsx";
import { reload } from "../router.ts";
import { listHref } from "../routes.ts";

export function ProblemPage({ problem, namespace }: { problem: Problem | undefined; namespace: string }) {
  const missing = problem?.code === "NotFound";
  return (
    <section class="card problem">
      <h1>
        <Icon name="warn" /> {missing ? "There is nothing here" : "That did not work"}
      </h1>
      <p>{problem?.message}</p>
      <p class="buttons">
        {!missing && <button type="button" onClick={reload}>Try again</button>}
        <a class="button" href={listHref(namespace)}>To the workflows</a>
      </p>
    </section>
  );
}

/** One line, next to what it is about. */
export function ProblemLine({ problem }: { problem: Problem }) {
  return (
    <p class="problem-line" role="alert">
      <Icon name="warn" /> {problem.message}
    </p>
  );
}
