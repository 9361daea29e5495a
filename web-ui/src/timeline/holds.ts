/** Footage that is kept whatever its age: which spans of a stream, and how to write and read their times. Pure. */
import type { Hold } from "../api/types";
import { SECOND_US, dateOf } from "./day";
import type { Span } from "./scale";

const US_PER_MS = 1000;
const MS_PER_MINUTE = 60_000;
const MS_PER_DAY = 24 * 60 * MS_PER_MINUTE;

export const holdsOf = (holds: readonly Hold[], stream: string): readonly Hold[] =>
  holds.filter((hold) => hold.streams.length === 0 || hold.streams.includes(stream));

/** A hold that somebody ends on this page, and what is wrong with that. */
export interface Ending {
  readonly hold: Hold;
  readonly error: string | null;
}

/** What is listed: the holds that stand, and those of which it is not certain that they have ended, each in its place. */
export function listed(holds: readonly Hold[], endings: readonly Ending[]): readonly Hold[] {
  const all = [...holds];
  const known = new Set(holds.map((hold) => hold.id));
  for (const { hold } of endings) if (!known.has(hold.id)) all.push(hold);
  return all.sort((a, b) => a.from_us - b.from_us || a.id.localeCompare(b.id));
}

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

/** The first and the last instant that such a field may mean; null where it says none. */
export interface Meant {
  readonly firstUs: number;
  readonly lastUs: number;
}

/**
 * A local time means two instants where clocks go back over it. Where they skip it, it means what it would by the clock before
 * and by the clock after: who asks for the earlier and the later one keeps more, never less.
 */
export function meantBy(field: string): Meant | null {
  const asUtc = utcOf(field);
  if (!Number.isFinite(asUtc)) return null;
  const offsetAt = (ms: number): number => new Date(ms).getTimezoneOffset() * MS_PER_MINUTE;
  const both = [offsetAt(asUtc - MS_PER_DAY), offsetAt(asUtc + MS_PER_DAY)].map((offset) => asUtc + offset);
  const shown = both.filter((ms) => ms - offsetAt(ms) === asUtc);
  const meant = (shown.length > 0 ? shown : both).map((ms) => ms * US_PER_MS);
  return { firstUs: Math.min(...meant), lastUs: Math.max(...meant) };
}

/** What the two fields for a span show at first: whole seconds, and none of the span is outside. */
export const fieldsOf = (span: Span): { from: string; to: string } => ({
  from: fieldOf(span.fromUs),
  to: fieldOf(Math.ceil(span.toUs / SECOND_US) * SECOND_US),
});

/** The span that the two fields say, in whole microseconds; where one is as it was at first, its end of the span is too. */
export function spanBy(from: string, to: string, first: Span): Span | null {
  const untouched = fieldsOf(first);
  const fromUs = utcOf(from) === utcOf(untouched.from) ? Math.floor(first.fromUs) : meantBy(from)?.firstUs;
  const toUs = utcOf(to) === utcOf(untouched.to) ? Math.ceil(first.toUs) : meantBy(to)?.lastUs;
  return fromUs === undefined || toUs === undefined || fromUs >= toUs ? null : { fromUs, toUs };
}

/** A field's text as if it were UTC, in ms: browsers leave out seconds that are 0. */
const utcOf = (field: string): number => Date.parse(`${field}Z`);
