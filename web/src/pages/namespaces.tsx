// The namespaces of the server, to switch to one.

import { listHref } from "../routes.ts";

export interface NamespacesData {
  namespaces: Array<{
    namespaceInfo?: { name?: string; description?: string; state?: string };
    config?: { workflowExecutionRetentionTtl?: string };
  }>;
}

export function NamespacesPage({ data, current }: { data: NamespacesData; current: string }) {
  const all = data.namespaces.filter((one) => one.namespaceInfo?.name !== "temporal-system");
  return (
    <>
      <h1>Namespaces</h1>
      <ul class="cards">
        {all.map(({ namespaceInfo, config }) => {
          const name = namespaceInfo?.name ?? "";
          const retention = days(config?.workflowExecutionRetentionTtl);
          return (
            <li key={name} class="card">
              <h2>
                <a href={listHref(name)}>{name}</a>
                {name === current && <span class="tag">shown now</span>}
              </h2>
              {namespaceInfo?.description && <p>{namespaceInfo.description}</p>}
              <p class="muted">
                {retention && `Closed workflows are kept for ${retention}.`}
                {namespaceInfo?.state && namespaceInfo.state !== "Registered" && ` ${namespaceInfo.state}`}
              </p>
            </li>
          );
        })}
      </ul>
    </>
  );
}

function days(duration: string | undefined): string | undefined {
  const seconds = Number(duration?.replace("s", ""));
  if (!(seconds > 0)) return undefined;
  const count = seconds / 86400;
  return count >= 1 ? `${Number(count.toFixed(1))} d` : `${Number((seconds / 3600).toFixed(1))} h`;
}
