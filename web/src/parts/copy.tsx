// Copies a text, exactly as it is.

import { useState } from "preact/hooks";
import { Icon } from "./icon.tsx";

export function Copy({ text, what }: { text: string; what: string }) {
  const [done, setDone] = useState(false);
  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // No clipboard without HTTPS: select it in a field, as in the old days.
      const field = document.createElement("textarea");
      field.value = text;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    setDone(true);
    setTimeout(() => setDone(false), 1200);
  }
  return (
    <button type="button" class="copy" onClick={copy} title={`Copy ${what}`} aria-label={`Copy ${what}`}>
      <Icon name={done ? "check" : "copy"} />
      <span class="hidden" role="status">{done ? "Copied" : ""}</span>
    </button>
  );
}
