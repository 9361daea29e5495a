/** Dark, light, or as the system says. */
import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const KEY = "hearthkeep-theme";
const ORDER: readonly Theme[] = ["system", "light", "dark"];

const kept = localStorage.getItem(KEY);
export const theme = signal<Theme>(kept === "light" || kept === "dark" ? kept : "system");

export function applyTheme(): void {
  if (theme.value === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
}

export function nextTheme(): void {
  theme.value = ORDER[(ORDER.indexOf(theme.value) + 1) % ORDER.length] ?? "system";
  if (theme.value === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, theme.value);
  applyTheme();
}
