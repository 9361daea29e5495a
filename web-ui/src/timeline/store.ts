/** Timelines as the box told them, by stream and day. */
import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import * as box from "../api/box";
import type { Failure, Result } from "../api/result";
import { success } from "../api/result";
import type { DamagedEntry, GapEntry, SegmentEntry } from "../api/types";
import { mergeDamaged, mergeGaps, mergeSegments, segmentAfter, segmentFrom } from "./coverage";
import { type Day, dayOf, nowUs } from "./day";

export interface DayTimeline {
  readonly segments: readonly SegmentEntry[];
  readonly gaps: readonly GapEntry[];
  readonly damaged: readonly DamagedEntry[];
  readonly failure: Failure | null;
  readonly loaded: boolean;
}

const EMPTY: DayTimeline = { segments: [], gaps: [], damaged: [], failure: null, loaded: false };
/** How long what is known of today stays good enough. */
const FRESH_MS = 4000;
/** How long until all of a day is asked for again: what was deleted since is not in what is new. */
const WHOLE_MS = 300_000;
const DAYS_KEPT = 60;
/** How many of the newest segments are asked for again each time. */
const RECENT = 4;

interface Entry {
  signal: Signal<DayTimeline>;
  loadedMs: number;
  /** When all of the day was asked for last. */
  wholeMs: number;
  loading: Promise<Result<null>> | null;
}

export class TimelineStore {
  readonly #entries = new Map<string, Entry>();

  of(stream: string, day: Day): ReadonlySignal<DayTimeline> {
    return this.#entry(stream, day).signal;
  }

  /** Asks the box, unless what is known is fresh: a day that is over changes by retention only. `force`: for all of it. */
  load(stream: string, day: Day, force = false): Promise<Result<null>> {
    const entry = this.#entry(stream, day);
    if (entry.loading) return entry.loading;
    if (force) entry.wholeMs = -Infinity;
    const over = day.endUs + 60e6 < nowUs();
    const age = performance.now() - entry.loadedMs;
    if (!force && entry.signal.value.loaded && !entry.signal.value.failure && (over ? age < WHOLE_MS : age < FRESH_MS)) {
      return Promise.resolve(success(null));
    }
    entry.loading = this.#ask(stream, day, entry).finally(() => {
      entry.loading = null;
    });
    return entry.loading;
  }

  /** The segment that holds an instant or the first after it, however long after. */
  async segmentFrom(stream: string, us: number): Promise<Result<SegmentEntry | null>> {
    const day = dayOf(us);
    const loaded = await this.load(stream, day);
    if (loaded.kind !== "success") return loaded;
    const found = segmentFrom(this.of(stream, day).value.segments, us);
    return found ? success(found) : this.#nextAfter(stream, day);
  }

  /** The segment after one; asks the box again where the day's last is reached. */
  async segmentAfter(stream: string, segment: SegmentEntry): Promise<Result<SegmentEntry | null>> {
    const day = dayOf(segment.start_us);
    const inDay = () => segmentAfter(mergeSegments([segment], this.of(stream, day).value.segments), segment.id);
    const known = inDay();
    if (known) return success(known);
    const loaded = await this.load(stream, day);
    if (loaded.kind !== "success") return loaded;
    const found = inDay();
    return found ? success(found) : this.#nextAfter(stream, day);
  }

  /** The first segment that begins after a day. */
  async #nextAfter(stream: string, day: Day): Promise<Result<SegmentEntry | null>> {
    if (day.endUs > nowUs()) return success(null);
    const answer = await box.timeline(stream, day.endUs - 1, day.endUs);
    if (answer.kind !== "success" || !answer.value.next) return answer.kind === "success" ? success(null) : answer;
    // The gap before it reaches back into the day, and is known since it came only.
    const isKnown = this.of(stream, day).value.gaps.some((gap) => gap.end_us > day.endUs);
    if (!isKnown) await this.load(stream, day, true);
    return success(answer.value.next);
  }

  gapsAround(stream: string, us: number): readonly GapEntry[] {
    return this.of(stream, dayOf(us)).value.gaps;
  }

  /** What is known may no longer be so, for any day; each is asked for again when it is looked at. */
  doubt(): void {
    for (const entry of this.#entries.values()) entry.loadedMs = entry.wholeMs = -Infinity;
  }

  clear(): void {
    this.#entries.clear();
  }

  /** Asks for what is new since the last segment that is known; for the whole day where nothing is, and now and then. */
  async #ask(stream: string, day: Day, entry: Entry): Promise<Result<null>> {
    const known = entry.signal.value;
    const now = performance.now();
    const isWhole = now - entry.wholeMs > WHOLE_MS;
    // What ended lately may yet turn out to be lost, with a disk that took it along.
    const fromUs = isWhole ? day.startUs : Math.max(day.startUs, known.segments.at(-RECENT)?.start_us ?? 0);
    const answer = await box.timeline(stream, fromUs, day.endUs);
    entry.loadedMs = performance.now();
    if (answer.kind === "success") {
      if (fromUs === day.startUs) entry.wholeMs = now;
      const older = fromUs === day.startUs ? EMPTY : known;
      const segments = mergeSegments(older.segments.filter((segment) => segment.start_us < fromUs), answer.value.segments);
      const gaps = mergeGaps(older.gaps, answer.value.gaps, fromUs);
      const damaged = mergeDamaged(older.damaged, answer.value.damaged, fromUs);
      entry.signal.value = { segments, gaps, damaged, failure: null, loaded: true };
      return success(null);
    }
    if (answer.kind === "error") entry.signal.value = { ...entry.signal.value, failure: answer };
    return answer;
  }

  #entry(stream: string, day: Day): Entry {
    const key = `${stream}/${day.key}`;
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = { signal: signal(EMPTY), loadedMs: 0, wholeMs: -Infinity, loading: null };
      this.#entries.set(key, entry);
      for (const oldest of this.#entries.keys()) {
        if (this.#entries.size <= DAYS_KEPT * 8) break;
        this.#entries.delete(oldest);
      }
    }
    return entry;
  }
}
