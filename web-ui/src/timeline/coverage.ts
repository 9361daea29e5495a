/** What a stream has of a span of time: stretches of footage, and the gaps between with their causes. Pure. */
import type { DamagedEntry, GapEntry, SegmentEntry } from "../api/types";
import { SECOND_US, durationText } from "./day";

export interface Stretch {
  readonly fromUs: number;
  readonly toUs: number;
}

/** Segments of one run follow one another to within a picture or two; the drift of a camera's clock adds a little. */
export const JOIN_MAX_US = 1.5 * SECOND_US;

export const endOf = (segment: SegmentEntry): number => segment.start_us + segment.duration_us;

/** Joins segments that follow one another: a day is a handful of stretches, not 1,440 bars. */
export function stretches(segments: readonly SegmentEntry[]): Stretch[] {
  const joined: { fromUs: number; toUs: number }[] = [];
  for (const segment of segments) {
    const last = joined.at(-1);
    if (last && segment.start_us - last.toUs <= JOIN_MAX_US) last.toUs = Math.max(last.toUs, endOf(segment));
    else joined.push({ fromUs: segment.start_us, toUs: endOf(segment) });
  }
  return joined;
}

/** The segment that holds an instant, or else the first one after it. */
export function segmentFrom(segments: readonly SegmentEntry[], us: number): SegmentEntry | null {
  let [low, high] = [0, segments.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const segment = segments[middle];
    if (segment && endOf(segment) <= us) low = middle + 1;
    else high = middle;
  }
  return segments[low] ?? null;
}

export function segmentAfter(segments: readonly SegmentEntry[], id: string): SegmentEntry | null {
  const at = segments.findIndex((segment) => segment.id === id);
  return at < 0 ? null : (segments[at + 1] ?? null);
}

/** Where a gap ends, or damage: what lasts goes on since the box told of it. */
export const endOfGap = (gap: GapEntry | DamagedEntry, nowUs: number): number => (gap.open ? nowUs : Math.min(gap.end_us, nowUs));

export const gapAt = (gaps: readonly GapEntry[], us: number): GapEntry | null =>
  gaps.find((gap) => gap.start_us <= us && (gap.open || us < gap.end_us)) ?? null;

/** What is said of a gap: how long it was or has been, and why. */
export function gapText(gap: GapEntry, nowUs: number): string {
  const length = durationText(endOfGap(gap, nowUs) - gap.start_us);
  return gap.open ? `Nothing is recorded for ${length}. ${gap.sentence}` : `${length} without footage. ${gap.sentence}`;
}

export const damagedAt = (damaged: readonly DamagedEntry[], us: number): DamagedEntry | null =>
  damaged.find((each) => each.start_us <= us && (each.open || us < each.end_us)) ?? null;

/** What is said of footage that may be damaged: how much it is, and why. */
export const damagedText = (damaged: DamagedEntry, nowUs: number): string =>
  `${durationText(endOfGap(damaged, nowUs) - damaged.start_us)}. ${damaged.sentence}`;

/** Two answers for neighbouring spans as one list, in order and without doubles; newer entries win. */
export function mergeSegments(older: readonly SegmentEntry[], newer: readonly SegmentEntry[]): SegmentEntry[] {
  const byId = new Map<string, SegmentEntry>();
  for (const segment of older) byId.set(segment.id, segment);
  for (const segment of newer) byId.set(segment.id, segment);
  return [...byId.values()].sort((a, b) => a.start_us - b.start_us);
}

/** Gaps that were known, and the newer word on all that reach beyond `fromUs`. */
export const mergeGaps = (older: readonly GapEntry[], newer: readonly GapEntry[], fromUs: number): GapEntry[] => [
  ...older.filter((gap) => gap.end_us <= fromUs),
  ...newer.filter((gap) => gap.end_us > fromUs),
];

/** Damage that was known up to `fromUs`, and the newer word on what is after it: an answer tells of no more than its span. */
export function mergeDamaged(older: readonly DamagedEntry[], newer: readonly DamagedEntry[], fromUs: number): DamagedEntry[] {
  const before = older.filter((each) => each.start_us < fromUs);
  const cut = before.map((each) => ({ ...each, end_us: Math.min(each.end_us, fromUs), open: false }));
  const joined: DamagedEntry[] = [];
  for (const each of [...cut, ...newer]) {
    const last = joined.at(-1);
    if (last?.sentence === each.sentence && each.start_us - last.end_us <= JOIN_MAX_US) {
      last.end_us = Math.max(last.end_us, each.end_us);
      last.open ||= each.open;
    } else joined.push({ ...each });
  }
  return joined;
}

/** The cause of an absence that playing met: the gap that covers most of it. */
export function gapBetween(gaps: readonly GapEntry[], fromUs: number, toUs: number): GapEntry | null {
  let [best, most] = [null as GapEntry | null, 0];
  for (const gap of gaps) {
    const shared = Math.min(gap.end_us, toUs) - Math.max(gap.start_us, fromUs);
    if (shared > most) [best, most] = [gap, shared];
  }
  return best;
}
