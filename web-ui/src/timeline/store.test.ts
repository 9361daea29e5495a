import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { GapEntry, SegmentEntry, TimelineAnswer } from "../api/types";
import { success } from "../api/result";
import { dayOf, nowUs, shiftDay } from "./day";

const asked: { fromUs: number; toUs: number }[] = [];
let recorded: SegmentEntry[] = [];
let gaps: GapEntry[] = [];

/** The box's route: what lies in the span, and the first after it. */
vi.mock("../api/box", () => ({
  timeline: (_: string, fromUs: number, toUs: number) => {
    asked.push({ fromUs, toUs });
    const answer: TimelineAnswer = {
      segments: recorded.filter((s) => s.start_us < toUs && s.start_us + s.duration_us > fromUs),
      gaps: gaps.filter((gap) => gap.start_us < toUs && gap.end_us > fromUs),
      damaged: [],
      next: recorded.find((s) => s.start_us >= toUs) ?? null,
    };
    return Promise.resolve(success(answer));
  },
}));
const { TimelineStore } = await import("./store");

const segment = (id: string, start_us: number): SegmentEntry => ({
  id, start_us, duration_us: 60e6, bytes: 1, sequence: 1, recovered: false, open: false,
});
const found = async (answer: Promise<unknown>) => ((await answer) as { value: SegmentEntry | null }).value?.id ?? null;

beforeEach(() => {
  vi.useFakeTimers({ now: new Date(2026, 10, 23, 12, 0, 0) });
  asked.length = 0;
});
afterEach(() => vi.useRealTimers());

describe("over a gap of days", () => {
  const monday = () => dayOf(nowUs()).startUs + 8 * 3600e6;
  const longAgo = () => shiftDay(dayOf(nowUs()), -40).startUs + 1000e6;
  beforeEach(() => {
    recorded = [segment("old", longAgo()), segment("new", monday())];
    gaps = [{ start_us: longAgo() + 60e6, end_us: monday(), cause: "shutdown", sentence: "Off.", open: false }];
  });

  it("the next segment is found by one question after the day's", async () => {
    const store = new TimelineStore();
    expect(await found(store.segmentAfter("s", segment("old", longAgo())))).toBe("new");
    expect(asked.length).toBe(2);
    expect(store.gapsAround("s", longAgo() + 60e6)[0]?.cause).toBe("shutdown");
  });

  it("a seek into the gap finds what comes after it", async () => {
    expect(await found(new TimelineStore().segmentFrom("s", longAgo() + 20 * 86_400e6))).toBe("new");
  });

  it("nothing comes after the last", async () => {
    const store = new TimelineStore();
    expect(await found(store.segmentAfter("s", segment("new", monday())))).toBeNull();
    expect(await found(store.segmentFrom("s", monday() + 3600e6))).toBeNull();
  });

  it("what was recorded since a day was loaded is found, and so is the gap before it", async () => {
    const store = new TimelineStore();
    const [later, laterGaps] = [recorded, gaps];
    [recorded, gaps] = [recorded.slice(0, 1), []];
    expect(await found(store.segmentAfter("s", segment("old", longAgo())))).toBeNull();
    [recorded, gaps] = [later, laterGaps];
    expect(await found(store.segmentAfter("s", segment("old", longAgo())))).toBe("new");
    expect(store.gapsAround("s", longAgo() + 60e6)[0]?.cause).toBe("shutdown");
  });
});

describe("today", () => {
  it("is asked for from its last known segment on", async () => {
    const today = dayOf(nowUs());
    recorded = Array.from({ length: 100 }, (_, at) => segment(`m${at}`, today.startUs + at * 60e6));
    gaps = [{ start_us: today.startUs + 10e6, end_us: today.startUs + 11e6, cause: "crash", sentence: "", open: false }];
    const store = new TimelineStore();
    await store.load("s", today);
    recorded.push(segment("m100", today.startUs + 100 * 60e6));
    vi.advanceTimersByTime(5000);
    await store.load("s", today);
    expect(asked).toEqual([
      { fromUs: today.startUs, toUs: today.endUs },
      { fromUs: today.startUs + 96 * 60e6, toUs: today.endUs },
    ]);
    const known = store.of("s", today).value;
    expect(known.segments.map((s) => s.id)).toEqual(recorded.map((s) => s.id));
    expect(known.gaps).toEqual(gaps);
  });

  it("loses what a disk took along before it was durable", async () => {
    const today = dayOf(nowUs());
    recorded = ["a", "b", "c"].map((id, at) => segment(id, today.startUs + at * 60e6));
    gaps = [];
    const store = new TimelineStore();
    await store.load("s", today);
    recorded = recorded.filter((each) => each.id !== "b");
    gaps = [{ start_us: today.startUs + 60e6, end_us: today.startUs + 120e6, cause: "disk-error", sentence: "", open: false }];
    vi.advanceTimersByTime(5000);
    await store.load("s", today);
    expect(store.of("s", today).value.segments.map((s) => s.id)).toEqual(["a", "c"]);
    expect(store.of("s", today).value.gaps).toEqual(gaps);
  });

  it("is asked for whole once a disk has come or gone", async () => {
    const today = dayOf(nowUs());
    recorded = Array.from({ length: 10 }, (_, at) => segment(`m${at}`, today.startUs + at * 60e6));
    gaps = [];
    const store = new TimelineStore();
    await store.load("s", today);
    recorded = recorded.slice(5);
    store.doubt();
    await store.load("s", today);
    expect(store.of("s", today).value.segments.length).toBe(5);
  });

  it("is asked for whole now and then, so that what was deleted goes", async () => {
    const today = dayOf(nowUs());
    recorded = [segment("a", today.startUs), segment("b", today.startUs + 60e6)];
    const store = new TimelineStore();
    await store.load("s", today);
    recorded = recorded.slice(1);
    vi.advanceTimersByTime(301_000);
    await store.load("s", today);
    expect(store.of("s", today).value.segments.map((s) => s.id)).toEqual(["b"]);
  });
});
