import type { ComponentChildren } from "preact";
import { Mark } from "../ui/icons";

import { ThemeButton } from "./ThemeButton";
import { YourBox } from "./YourBox";

/** The frame around what stands before one is in: claiming and signing in. */
export function DoorCard({ title, wide, children }: { title: string; wide?: boolean; children: ComponentChildren }) {
  return (
    <main class="door">
      <div class="door-corner">
        <ThemeButton />
      </div>
      <div class={wide ? "card wide" : "card"}>
        <p class="brand">
          <Mark /> Hearthkeep
        </p>
        <h1>{title}</h1>
        {children}
        <details class="your-box no-print">
          <summary>Is it your box?</summary>
          <YourBox />
        </details>
      </div>
    </main>
  );
}
