import { describe, expect, it } from "vitest";
import type { ChunkEntry } from "../api/types";
import { firstBatch, keyChunkFor, nextBatch } from "./plan";

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
