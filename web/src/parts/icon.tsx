// The few drawings of the pages, on a grid of 16.

const PATHS = {
  run: "M5 3.2v9.600l7.500-4.800z",
  check: "M3 8.500l3.300 3.300L13 4.500",
  cross: "M4 4l8 8M12 4l-8 8",
  stop: "M4.500 4.500h7v7h-7z",
  slash: "M8 2.500a5.500 5.500 0 1 0 0 11a5.500 5.500 0 1 0 0-11M4.200 11.800l7.600-7.600",
  clock: "M8 2.500a5.500 5.500 0 1 0 0 11a5.500 5.500 0 1 0 0-11M8 5v3.200l2.200 1.500",
  again: "M12.800 6A5.200 5.200 0 1 0 13 9.500M13 2.800V6h-3.200",
  pause: "M5.500 3.500v9M10.500 3.500v9",
  warn: "M8 2.200L14.300 13H1.700zM8 6.300v3.200M8 11.300v.2",
  bolt: "M9 1.800L3.500 9H8l-1 5.200L12.500 7H8z",
  copy: "M5.500 5.500h7.500v8H5.500zM10.500 5.500v-3H3v8h2.500",
  search: "M7 2.500a4.500 4.500 0 1 0 0 9a4.500 4.500 0 1 0 0-9M10.300 10.300L14 14",
  anchor: "M8 2.200a1.600 1.600 0 1 0 0 3.200a1.600 1.600 0 1 0 0-3.200M8 5.400V14M5 7.500h6M2.500 9.500c.4 2.800 2.600 4.500 5.500 4.500s5.100-1.700 5.500-4.500",
  chevron: "M6 4l4 4-4 4",
  dot: "M8 6.500a1.500 1.500 0 1 0 0 3a1.500 1.500 0 1 0 0-3",
  zzz: "M3 6h4l-4 5h4M9.500 3H13L9.500 7.500H13",
  link: "M6.500 9.500l3-3M7 4.500l1.500-1.500a2.800 2.800 0 0 1 4 4L11 8.500M9 11.500L7.500 13a2.800 2.800 0 0 1-4-4L5 7.500",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  const solid = name === "run" || name === "stop" || name === "dot" || name === "bolt";
  return (
    <svg class={solid ? "icon solid" : "icon"} viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
