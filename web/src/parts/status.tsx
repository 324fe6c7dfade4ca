// A run's status: a sign and a word, never a colour alone.

import { Icon, type IconName } from "./icon.tsx";

interface Look {
  word: string;
  icon: IconName;
  tone: string;
}

const LOOKS: Record<string, Look> = {
  Running: { word: "Running", icon: "run", tone: "run" },
  Completed: { word: "Completed", icon: "check", tone: "good" },
  Failed: { word: "Failed", icon: "cross", tone: "bad" },
  Canceled: { word: "Cancelled", icon: "slash", tone: "off" },
  Terminated: { word: "Terminated", icon: "stop", tone: "off" },
  ContinuedAsNew: { word: "Continued", icon: "again", tone: "good" },
  TimedOut: { word: "Timed out", icon: "clock", tone: "bad" },
  Paused: { word: "Paused", icon: "pause", tone: "warn" },
};

/** In the order in which they are counted. */
export const STATUSES = ["Running", "Completed", "Failed", "TimedOut", "Canceled", "Terminated", "ContinuedAsNew", "Paused"];

export function lookOf(status: string | undefined): Look {
  return LOOKS[status ?? ""] ?? { word: status ?? "Unknown", icon: "dot", tone: "off" };
}

export function Status({ status }: { status: string | undefined }) {
  const look = lookOf(status);
  return (
    <span class={`status ${look.tone}`}>
      <Icon name={look.icon} />
      {look.word}
    </span>
  );
}
