import { expect, it } from "vitest";
import { type Piece, WallClock, atListedTime } from "./wall-clock";

const ORIGIN = 1_000_000e6;

it("drift between segments of one run makes no seam, and wall time is each segment's own", () => {
  const clock = new WallClock(ORIGIN);
  const first: Piece = { segment: "a", run: "r", anchorUs: ORIGIN + 100e6, offsetS: 100, startS: 100 };
  clock.add(first);
  // 40 ms of drift in a minute.
  const anchorUs = ORIGIN + 100.04e6;
  const offsetS = clock.offsetFor("r", anchorUs, first);
  expect(offsetS).toBe(100);
  clock.add({ segment: "b", run: "r", anchorUs, offsetS, startS: 160 });
  expect(clock.wallUs(130)).toBe(ORIGIN + 130e6);
  expect(clock.wallUs(170)).toBe(ORIGIN + 170.04e6);
  expect(clock.playerSOf(ORIGIN + 170.04e6)).toBeCloseTo(170);
  expect(clock.playerSOf(ORIGIN + 130e6)).toBeCloseTo(130);
});

it("another run, or drift that piled up, is put where its anchor says", () => {
  const clock = new WallClock(ORIGIN);
  const first: Piece = { segment: "a", run: "r", anchorUs: ORIGIN, offsetS: 0, startS: 0 };
  expect(clock.offsetFor("r", ORIGIN + 0.5e6, first)).toBe(0.5);
  expect(clock.offsetFor("s", ORIGIN + 0.01e6, first)).toBe(0.01);
  expect(clock.offsetFor("r", ORIGIN + 0.01e6, null)).toBe(0.01);
});

it("reaches months ahead, and neither back before its origin nor over decades", () => {
  const clock = new WallClock(ORIGIN);
  expect(clock.reaches(ORIGIN + 300 * 86_400e6)).toBe(true);
  expect(clock.reaches(ORIGIN - 1)).toBe(false);
  expect(clock.reaches(ORIGIN + 56 * 365 * 86_400e6)).toBe(false);
});

it("a segment is moved to the time it is listed at", () => {
  const segment = { startUs: 61e6, anchorUs: 1e6, run: "r" };
  expect(atListedTime(segment, 61e6)).toEqual(segment);
  expect(atListedTime(segment, ORIGIN + 61e6)).toEqual({ startUs: ORIGIN + 61e6, anchorUs: ORIGIN + 1e6, run: "r" });
});
