/** Which chunks to read next. Pure. */
import type { ChunkEntry } from "../api/types";

/** The first read after a seek is small, so that a picture comes soon; later ones are large, so that requests are few. */
const BATCH_BYTES_MAX = 3 * 1024 * 1024;
const BATCH_US_MAX = 10_000_000;
const AFTER_TARGET_US = 600_000;

export interface Batch {
  readonly from: number;
  /** Before this. */
  readonly to: number;
}

/** Position in `chunks` of the key frame that decoding must begin with to show `offsetUs`; the first of all if it is later. */
export function keyChunkFor(chunks: readonly ChunkEntry[], offsetUs: number): number {
  let found = -1;
  for (const [at, chunk] of chunks.entries()) {
    if (chunk.start_us > offsetUs && found >= 0) break;
    if (chunk.key) found = at;
  }
  return found;
}

/** What to read first after a seek: from the key frame to a little behind the instant wanted. */
export function firstBatch(chunks: readonly ChunkEntry[], offsetUs: number): Batch | null {
  const from = keyChunkFor(chunks, offsetUs);
  if (from < 0) return null;
  let to = from + 1;
  while (to < chunks.length && (chunks[to]?.start_us ?? Infinity) < offsetUs + AFTER_TARGET_US) to += 1;
  return { from, to };
}

/** What to read next, from position `from` on; null at the end. */
export function nextBatch(chunks: readonly ChunkEntry[], from: number): Batch | null {
  const first = chunks[from];
  if (!first) return null;
  let to = from + 1;
  let bytes = first.bytes;
  for (let chunk = chunks[to]; chunk; chunk = chunks[to]) {
    bytes += chunk.bytes;
    if (bytes > BATCH_BYTES_MAX || chunk.start_us + chunk.duration_us - first.start_us > BATCH_US_MAX) break;
    if (chunk.offset !== (chunks[to - 1]?.offset ?? 0) + (chunks[to - 1]?.bytes ?? 0)) break;
    to += 1;
  }
  return { from, to };
}

export interface Kept {
  /** Numbers of the chunks to show. */
  readonly shown: ReadonlySet<number>;
  /** What is left out, in the segment's µs. */
  readonly leftOut: readonly { readonly startUs: number; readonly endUs: number }[];
  /** Whether the next key frame has still to come. */
  readonly awaitsKey: boolean;
}

/** Which chunks can be shown when some are damaged: behind one, nothing decodes until the next key frame. */
export function leaveOut(chunks: readonly ChunkEntry[], damaged: ReadonlySet<number>, awaitsKey: boolean): Kept {
  const shown = new Set<number>();
  const leftOut: { startUs: number; endUs: number }[] = [];
  let awaits = awaitsKey;
  for (const { k, key, start_us, duration_us } of chunks) {
    awaits = damaged.has(k) || (awaits && !key);
    if (!awaits) shown.add(k);
    else leftOut.push({ startUs: start_us, endUs: start_us + duration_us });
  }
  return { shown, leftOut, awaitsKey: awaits };
}

/**
 * Seconds to hold in front of the playhead: more when it runs fast, bounded by what a SourceBuffer takes, and little where the
 * browser has said that it wants no more for now.
 */
export const aheadWantedS = (rate: number, wantsMore = true): number => (wantsMore ? Math.min(12 + 10 * rate, 60) : 3 + rate);
