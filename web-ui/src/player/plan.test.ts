import { describe, expect, it } from "vitest";
import type { ChunkEntry } from "../api/types";
import { firstBatch, keyChunkFor, leaveOut, nextBatch } from "./plan";

/** A minute of half-second chunks, a key frame every two seconds. */
const minute: ChunkEntry[] = Array.from({ length: 120 }, (_, at) => ({
  k: at + 1,
  offset: 5000 + at * 1000,
  bytes: 1000,
  start_us: at * 500_000,
  duration_us: 500_000,
  key: at % 4 === 0,
}));

describe("the first read after a seek", () => {
  it("begins at the key frame before the instant and ends just behind it", () => {
    expect(firstBatch(minute, 11_300_000)).toEqual({ from: 20, to: 24 });
    expect(firstBatch(minute, 0)).toEqual({ from: 0, to: 2 });
  });

  it("takes the first key frame where the instant lies before it", () => {
    const late = minute.slice(1);
    expect(keyChunkFor(late, 0)).toBe(3);
    expect(firstBatch(late, 600_000)).toEqual({ from: 3, to: 4 });
    expect(firstBatch(late, 2_000_000)).toEqual({ from: 3, to: 5 });
  });

  it("has nothing where there is no key frame", () => {
    expect(firstBatch([], 0)).toBeNull();
  });
});

describe("reading on", () => {
  it("takes ten seconds at once, and no more than three megabytes", () => {
    expect(nextBatch(minute, 24)).toEqual({ from: 24, to: 44 });
    const large = minute.map((chunk, at) => ({ ...chunk, bytes: 1_000_000, offset: at * 1_000_000 }));
    expect(nextBatch(large, 0)).toEqual({ from: 0, to: 3 });
  });

  it("goes on with a chunk that is larger than that by itself", () => {
    const huge = minute.map((chunk) => ({ ...chunk, bytes: 9_000_000 }));
    expect(nextBatch(huge, 0)).toEqual({ from: 0, to: 1 });
  });

  it("stops at a hole in the file and at the end", () => {
    const holed = minute.filter((chunk) => chunk.k !== 27);
    expect(nextBatch(holed, 24)).toEqual({ from: 24, to: 26 });
    expect(nextBatch(minute, 118)).toEqual({ from: 118, to: 120 });
    expect(nextBatch(minute, 120)).toBeNull();
  });
});

describe("a damaged chunk", () => {
  const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at);

  it("costs what follows it up to the next key frame, and nothing else", () => {
    const kept = leaveOut(minute.slice(0, 12), new Set([6]), false);
    expect([...kept.shown]).toEqual([...numbers(1, 6), ...numbers(9, 13)]);
    expect(kept.leftOut.map(({ startUs }) => startUs)).toEqual([2_500_000, 3_000_000, 3_500_000]);
    expect(kept.awaitsKey).toBe(false);
  });

  it("costs the whole GOP when it is the key frame", () => {
    expect([...leaveOut(minute.slice(0, 8), new Set([5]), false).shown]).toEqual([1, 2, 3, 4]);
  });

  it("at the end of what was read is remembered for what comes next", () => {
    const first = leaveOut(minute.slice(0, 7), new Set([7]), false);
    expect(first.awaitsKey).toBe(true);
    const second = leaveOut(minute.slice(7, 12), new Set(), first.awaitsKey);
    expect([...second.shown]).toEqual([9, 10, 11, 12]);
    expect(second.awaitsKey).toBe(false);
  });
});
