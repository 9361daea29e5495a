/** Dark, light, or as the system says. */
import { signal } from "@preact/signals";
import { remember, remembered } from "./memory";

export type Theme = "system" | "light" | "dark";
const KEY = "hearthkeep-theme";
const ORDER: readonly Theme[] = ["system", "light", "dark"];

const kept = remembered(KEY);
export const theme = signal<Theme>(kept === "light" || kept === "dark" ? kept : "system");

export function applyTheme(): void {
  if (theme.value === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
}

export function nextTheme(): void {
  theme.value = ORDER[(ORDER.indexOf(theme.value) + 1) % ORDER.length] ?? "system";
  remember(KEY, theme.value === "system" ? null : theme.value);
  applyTheme();
}
