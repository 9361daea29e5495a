import { describe, expect, it } from "vitest";
import type { SegmentEntry } from "../api/types";
import {
  damagedAt, damagedText, endOfGap, gapAt, gapBetween, gapText, mergeDamaged, mergeGaps, mergeSegments, segmentAfter, segmentFrom, stretches,
} from "./coverage";

const segment = (id: string, start_us: number, duration_us: number): SegmentEntry => ({
  id, start_us, duration_us, bytes: 1, sequence: 1, recovered: false, open: false,
});
const day = [segment("a", 0, 60e6), segment("b", 60.03e6, 60e6), segment("c", 200e6, 60e6)];

describe("coverage", () => {
  it("joins segments of one run into a stretch", () => {
    expect(stretches(day)).toEqual([
      { fromUs: 0, toUs: 120.03e6 },
      { fromUs: 200e6, toUs: 260e6 },
    ]);
  });

  it("finds the segment that holds an instant, or else the next", () => {
    expect(segmentFrom(day, 0)?.id).toBe("a");
    expect(segmentFrom(day, 59.9e6)?.id).toBe("a");
    expect(segmentFrom(day, 60.01e6)?.id).toBe("b");
    expect(segmentFrom(day, 150e6)?.id).toBe("c");
    expect(segmentFrom(day, 260e6)).toBeNull();
    expect(segmentAfter(day, "b")?.id).toBe("c");
    expect(segmentAfter(day, "c")).toBeNull();
  });

  it("takes the newer word on a segment that grew", () => {
    const grown = segment("c", 200e6, 65e6);
    expect(mergeSegments(day, [grown]).map((s) => s.duration_us)).toEqual([60e6, 60e6, 65e6]);
  });

  it("knows why there is nothing", () => {
    const gaps = [
      { start_us: 120e6, end_us: 199e6, cause: "camera-lost", sentence: "The camera was lost.", open: false },
      { start_us: 199e6, end_us: 200e6, cause: "no-key-frame", sentence: "No key frame.", open: false },
    ];
    expect(gapAt(gaps, 130e6)?.cause).toBe("camera-lost");
    expect(gapAt(gaps, 200e6)).toBeNull();
    expect(gapBetween(gaps, 119e6, 201e6)?.cause).toBe("camera-lost");
    expect(gapBetween(gaps, 0, 10)).toBeNull();
  });

  it("lets a gap that lasts reach to now, and says so", () => {
    const gap = { start_us: 120e6, end_us: 130e6, cause: "camera-lost", sentence: "The camera is off.", open: true };
    expect(endOfGap(gap, 150e6)).toBe(150e6);
    expect(endOfGap({ ...gap, open: false }, 150e6)).toBe(130e6);
    expect(gapAt([gap], 149e6)).toBe(gap);
    expect(gapAt([{ ...gap, open: false }], 149e6)).toBeNull();
    expect(gapText(gap, 150e6)).toBe("Nothing is recorded for 30 s. The camera is off.");
    expect(gapText({ ...gap, open: false }, 150e6)).toBe("10 s without footage. The camera is off.");
  });

  it("forgets a gap that lasted when footage came after it", () => {
    const lasting = { start_us: 120e6, end_us: 130e6, cause: "camera-lost", sentence: "", open: true };
    const over = { ...lasting, end_us: 199e6, open: false };
    expect(mergeGaps([lasting], [over], 60e6)).toEqual([over]);
  });

  it("says what may be damaged, and goes on with it where an answer begins in it", () => {
    const damaged = { start_us: 50e6, end_us: 70e6, sentence: "Packets were lost.", open: true };
    expect(damagedText(damaged, 80e6)).toBe("30 s. Packets were lost.");
    expect(damagedAt([damaged], 79e6)).toBe(damaged);
    expect(damagedAt([{ ...damaged, open: false }], 79e6)).toBeNull();
    const newer = { ...damaged, start_us: 60e6, end_us: 75e6, open: false };
    const later = { ...newer, start_us: 90e6, end_us: 95e6 };
    expect(mergeDamaged([damaged], [newer, later], 60e6)).toEqual([{ ...newer, start_us: 50e6 }, later]);
    const rotten = { ...newer, sentence: "The disk is bad." };
    expect(mergeDamaged([damaged], [rotten, later], 60e6)).toEqual([{ ...damaged, end_us: 60e6, open: false }, rotten, later]);
    expect(mergeDamaged([damaged], [], 60e6)).toEqual([{ ...damaged, end_us: 60e6, open: false }]);
  });
});
