/** Timelines as the box told them, by stream and day. */
import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import * as box from "../api/box";
import type { Failure, Result } from "../api/result";
import { success } from "../api/result";
import type { GapEntry, SegmentEntry } from "../api/types";
import { mergeSegments, segmentAfter, segmentFrom } from "./coverage";
import { type Day, dayOf, nowUs, shiftDay } from "./day";

export interface DayTimeline {
  readonly segments: readonly SegmentEntry[];
  readonly gaps: readonly GapEntry[];
  readonly failure: Failure | null;
  readonly loaded: boolean;
}

const EMPTY: DayTimeline = { segments: [], gaps: [], failure: null, loaded: false };
/** How long what is known of today stays good enough. */
const FRESH_MS = 4000;
const DAYS_KEPT = 60;

interface Entry {
  signal: Signal<DayTimeline>;
  loadedMs: number;
  loading: Promise<Result<null>> | null;
}

export class TimelineStore {
  readonly #entries = new Map<string, Entry>();

  of(stream: string, day: Day): ReadonlySignal<DayTimeline> {
    return this.#entry(stream, day).signal;
  }

  /** Asks the box, unless what is known is fresh: a day that is over changes by retention only. */
  load(stream: string, day: Day, force = false): Promise<Result<null>> {
    const entry = this.#entry(stream, day);
    if (entry.loading) return entry.loading;
    const over = day.endUs + 60e6 < nowUs();
    const age = performance.now() - entry.loadedMs;
    if (!force && entry.signal.value.loaded && !entry.signal.value.failure && (over ? age < 300_000 : age < FRESH_MS)) {
      return Promise.resolve(success(null));
    }
    entry.loading = this.#ask(stream, day, entry).finally(() => {
      entry.loading = null;
    });
    return entry.loading;
  }

  /** The segment that holds an instant or the first after it, up to `untilUs`. */
  async segmentFrom(stream: string, us: number, untilUs: number): Promise<Result<SegmentEntry | null>> {
    for (let day = dayOf(us), asked = 0; asked < 8 && day.startUs <= untilUs; day = shiftDay(day, 1), asked += 1) {
      const loaded = await this.load(stream, day);
      if (loaded.kind !== "success") return loaded;
      const found = segmentFrom(this.of(stream, day).value.segments, us);
      if (found) return success(found);
    }
    return success(null);
  }

  /** The segment after one; asks the box again where the day's last is reached. */
  async segmentAfter(stream: string, segment: SegmentEntry): Promise<Result<SegmentEntry | null>> {
    const day = dayOf(segment.start_us);
    const known = segmentAfter(this.of(stream, day).value.segments, segment.id);
    if (known) return success(known);
    for (const next of [day, shiftDay(day, 1)]) {
      if (next.startUs > nowUs()) break;
      const loaded = await this.load(stream, next);
      if (loaded.kind !== "success") return loaded;
      const all = mergeSegments([segment], this.of(stream, next).value.segments);
      const found = segmentAfter(all, segment.id);
      if (found) return success(found);
    }
    return success(null);
  }

  gapsAround(stream: string, us: number): readonly GapEntry[] {
    return this.of(stream, dayOf(us)).value.gaps;
  }

  clear(): void {
    this.#entries.clear();
  }

  async #ask(stream: string, day: Day, entry: Entry): Promise<Result<null>> {
    const answer = await box.timeline(stream, day.startUs, day.endUs);
    entry.loadedMs = performance.now();
    if (answer.kind === "success") {
      const { segments, gaps } = answer.value;
      entry.signal.value = { segments: mergeSegments([], segments), gaps, failure: null, loaded: true };
      return success(null);
    }
    if (answer.kind === "error") entry.signal.value = { ...entry.signal.value, failure: answer };
    return answer;
  }

  #entry(stream: string, day: Day): Entry {
    const key = `${stream}/${day.key}`;
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = { signal: signal(EMPTY), loadedMs: 0, loading: null };
      this.#entries.set(key, entry);
      for (const oldest of this.#entries.keys()) {
        if (this.#entries.size <= DAYS_KEPT * 8) break;
        this.#entries.delete(oldest);
      }
    }
    return entry;
  }
}
