/** Footage that is kept whatever its age: which spans of a stream, and how to write and read their times. Pure. */
import type { Hold } from "../api/types";
import { dateOf } from "./day";
import type { Span } from "./scale";

export const holdsOf = (holds: readonly Hold[], stream: string): readonly Hold[] =>
  holds.filter((hold) => hold.streams.length === 0 || hold.streams.includes(stream));

/** The spans of a stream that are held, in order, none touching another. */
export function heldSpans(holds: readonly Hold[], stream: string): Span[] {
  const joined: { fromUs: number; toUs: number }[] = [];
  const spans = holdsOf(holds, stream).map((hold) => ({ fromUs: hold.from_us, toUs: hold.to_us ?? Infinity }));
  for (const span of spans.sort((a, b) => a.fromUs - b.fromUs)) {
    const last = joined.at(-1);
    if (last && span.fromUs <= last.toUs) last.toUs = Math.max(last.toUs, span.toUs);
    else joined.push(span);
  }
  return joined;
}

const pad = (value: number): string => String(value).padStart(2, "0");

/** What a field for date and time shows: "2026-11-22T14:03:10", in local time. */
export function fieldOf(us: number): string {
  const at = dateOf(us);
  const date = `${String(at.getFullYear()).padStart(4, "0")}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return `${date}T${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

/** The instant that such a field says; null where it says none. */
export function instantOf(field: string): number | null {
  const ms = new Date(field).getTime();
  return field && Number.isFinite(ms) ? ms * 1000 : null;
}
