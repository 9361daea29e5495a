/** Line icons on a grid of 24. */
const PATHS = {
  play: "M7 4.5v15l12-7.5z",
  pause: "M8 5v14M16 5v14",
  stepBack: "M17 5v14l-9-7zM6 5v14",
  stepForward: "M7 5v14l9-7zM18 5v14",
  back10: "M4 12a8 8 0 1 0 2.6-5.9M4 4v4.5h4.5",
  forward10: "M20 12a8 8 0 1 1-2.6-5.9M20 4v4.5h-4.5",
  fullScreen: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  shrink: "M9 4v5H4M15 4v5h5M9 20v-5H4M15 20v-5h5",
  camera: "M4 8h3l1.6-2.5h6.8L17 8h3v11H4zM12 16.5a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4z",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  key: "M14.5 13.5a4.5 4.5 0 1 0-4.2-2.9L4 17v3h3l1-1v-2h2v-2l1.3-1.3a4.5 4.5 0 0 0 3.2-.2zM16 8.5h.01",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M18.4 5.6 17 7M7 17l-1.4 1.4",
  moon: "M19.5 14A8 8 0 0 1 10 4.5 8 8 0 1 0 19.5 14z",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  sound: "M5 9.5v5h3.5L13 18V6L8.5 9.5zM16 9a4.2 4.2 0 0 1 0 6M18.5 6.5a7.8 7.8 0 0 1 0 11",
  muted: "M5 9.5v5h3.5L13 18V6L8.5 9.5zM16.5 9.5l5 5M21.5 9.5l-5 5",
  live: "M12 14a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM7.8 16.2a6 6 0 0 1 0-8.4M16.2 7.8a6 6 0 0 1 0 8.4M5 19a10 10 0 0 1 0-14M19 5a10 10 0 0 1 0 14",
  history: "M4 12a8 8 0 1 0 2.6-5.9M4 4v4.5h4.5M12 8v4.5l3 2",
  box: "M4 5h16v6H4zM4 13h16v6H4zM7.5 8h.01M7.5 16h.01",
  help: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.6 9.3a2.5 2.5 0 1 1 3.4 2.6c-.7.3-1 .8-1 1.6M12 16.6h.01",
  close: "M6 6l12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  print: "M7 9V4h10v5M7 17H4V9h16v8h-3M7 14h10v6H7z",
  warning: "M12 4 2.8 20h18.4zM12 10v4.5M12 17.2h.01",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20.5a7.5 7.5 0 0 1 15 0",
  check: "M5 12.5 10 17.5 19.5 7",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The mark: a house with a keyhole. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path class="mark-house" d="M5 15.5 16 6l11 9.5V26a1.6 1.6 0 0 1-1.6 1.6H6.6A1.6 1.6 0 0 1 5 26Z" />
      <path class="mark-hole" d="M16 14.2a2.8 2.8 0 0 1 1.5 5.2l.9 4.1h-4.8l.9-4.1a2.8 2.8 0 0 1 1.5-5.2Z" />
    </svg>
  );
}
