/** Where in the page one is, in the address's fragment: the box serves one document. */
import { computed, signal } from "@preact/signals";

export type RouteName = "live" | "playback" | "box";

export interface Route {
  readonly name: RouteName;
  readonly stream: string | null;
  /** Instant to show, µs. */
  readonly atUs: number | null;
}

// An object each time: going back to an address that `replaceRoute` left is a change too, although the text is the same.
const hash = signal({ text: location.hash });
addEventListener("hashchange", () => {
  hash.value = { text: location.hash };
});

export const route = computed<Route>(() => parseRoute(hash.value.text));

export function parseRoute(fragment: string): Route {
  const [name = "", query = ""] = fragment.replace(/^#\/?/, "").split("?");
  const given = new URLSearchParams(query);
  const at = Number(given.get("at"));
  const stream = given.get("stream");
  return {
    name: name === "playback" || name === "box" ? name : "live",
    stream: stream && /^[0-9a-f]{32}$/.test(stream) ? stream : null,
    atUs: Number.isSafeInteger(at) && at > 0 ? at : null,
  };
}

export function hrefTo(name: RouteName, stream: string | null = null, atUs: number | null = null): string {
  const query = new URLSearchParams();
  if (stream) query.set("stream", stream);
  if (atUs !== null) query.set("at", String(Math.round(atUs)));
  const text = query.toString();
  return text ? `#/${name}?${text}` : `#/${name}`;
}

/** Keeps the address in step with what is shown, without a new entry in the history. */
export function replaceRoute(href: string): void {
  history.replaceState(null, "", href);
}
