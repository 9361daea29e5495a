/** Days on which the clocks change, in zones that do it differently. */
import { beforeAll, describe, expect, it } from "vitest";
import { type Day, HOUR_US, clock, dayOf, dayOfKey, hoursOf, shiftDay } from "./day";
import { ticks, whole } from "./scale";

const day = (key: string) => dayOfKey(key) as Day;
const labels = (key: string) => ticks(whole(day(key)), day(key), 2000).map((tick) => tick.label);

const ZONES = [
  { zone: "Europe/Berlin", forward: "2026-03-29", back: "2026-10-25", byH: 1, skipped: "02:00", twice: "02:00" },
  { zone: "America/New_York", forward: "2026-03-08", back: "2026-11-01", byH: 1, skipped: "02:00", twice: "01:00" },
  { zone: "Australia/Lord_Howe", forward: "2026-10-04", back: "2026-04-05", byH: 0.5, skipped: "02:00", twice: null },
  // At midnight: the day begins at 01:00.
  { zone: "Africa/Cairo", forward: "2026-04-24", back: "2026-10-29", byH: 1, skipped: "00:00", twice: "23:00" },
] as const;

describe.each(ZONES)("in $zone", ({ zone, forward, back, byH, skipped, twice }) => {
  beforeAll(() => {
    process.env["TZ"] = zone;
  });

  it("days are as long as the clocks make them", () => {
    expect(hoursOf(day(forward))).toBe(24 - byH);
    expect(hoursOf(day(back))).toBe(24 + byH);
  });

  it("days follow one another, and hold their instants", () => {
    for (const key of [forward, back]) {
      const at = day(key);
      expect(shiftDay(at, -1).endUs).toBe(at.startUs);
      expect(shiftDay(at, 1).startUs).toBe(at.endUs);
      for (let us = at.startUs; us < at.endUs; us += HOUR_US / 4) expect(dayOf(us)).toEqual(at);
      expect(dayOf(at.endUs - 1)).toEqual(at);
      expect(dayOf(at.endUs)).toEqual(shiftDay(at, 1));
    }
  });

  it("the ruler has whole hours only, none that is skipped, and one twice that comes twice", () => {
    expect(labels(forward).every((label) => label.endsWith(":00"))).toBe(true);
    expect(labels(back).every((label) => label.endsWith(":00"))).toBe(true);
    expect(labels(forward)).not.toContain(skipped);
    expect(labels(back).filter((label) => label === twice)).toHaveLength(twice === null ? 0 : 2);
  });

  it("the clock repeats what is repeated", () => {
    const at = day(back);
    const times = Array.from({ length: hoursOf(at) * 2 }, (_, half) => clock(at.startUs + (half * HOUR_US) / 2));
    expect(times.length - new Set(times).size).toBe(byH * 2);
  });
});
