import { beforeAll, describe, expect, it } from "vitest";
import { HOUR_US, clock, dayOf, dayOfKey, durationText, hoursOf, sameTime, shiftDay } from "./day";

// Clocks go forward on 29 March 2026 at 02:00 and back on 25 October 2026 at 03:00.
beforeAll(() => {
  process.env["TZ"] = "Europe/Berlin";
});

const day = (key: string) => {
  const found = dayOfKey(key);
  if (!found) throw new Error(`${key} is a day`);
  return found;
};

describe("days", () => {
  it("have 23, 24 or 25 hours", () => {
    expect(hoursOf(day("2026-03-28"))).toBe(24);
    expect(hoursOf(day("2026-03-29"))).toBe(23);
    expect(hoursOf(day("2026-10-25"))).toBe(25);
  });

  it("follow one another without a hole over a change of clocks", () => {
    let at = day("2026-03-27");
    for (let i = 0; i < 4; i += 1) {
      const next = shiftDay(at, 1);
      expect(next.startUs).toBe(at.endUs);
      at = next;
    }
    expect(at.key).toBe("2026-03-31");
    expect(shiftDay(day("2026-10-26"), -1).key).toBe("2026-10-25");
  });

  it("hold their instants, the first and not the last", () => {
    const long = day("2026-10-25");
    expect(dayOf(long.startUs)).toEqual(long);
    expect(dayOf(long.endUs - 1)).toEqual(long);
    expect(dayOf(long.endUs).key).toBe("2026-10-26");
  });

  it("tell the repeated hour twice", () => {
    const long = day("2026-10-25");
    expect(clock(long.startUs + 2 * HOUR_US)).toBe("02:00:00");
    expect(clock(long.startUs + 3 * HOUR_US)).toBe("02:00:00");
    expect(clock(long.startUs + 4 * HOUR_US)).toBe("03:00:00");
  });

  it("hold a time by the clock, also over a change of clocks", () => {
    const quarterPast = (key: string) => day(key).startUs + 8.25 * HOUR_US;
    const before = quarterPast("2026-03-28");
    expect(clock(sameTime(before, day("2026-03-29")))).toBe("08:15:00");
    expect(sameTime(before, day("2026-03-29")) - day("2026-03-29").startUs).toBe(7.25 * HOUR_US);
    expect(clock(sameTime(quarterPast("2026-10-24"), day("2026-10-25")))).toBe("08:15:00");
    // 02:30 is left out on the day the clocks go forward: what comes instead is in that day.
    const skipped = sameTime(day("2026-03-28").startUs + 2.5 * HOUR_US, day("2026-03-29"));
    expect(dayOf(skipped).key).toBe("2026-03-29");
  });

  it("refuse what is not a date", () => {
    for (const key of ["", "2026-02-30", "26-1-1", "2026-13-01", "tomorrow"]) expect(dayOfKey(key)).toBeNull();
  });
});

it("durations read as people say them", () => {
  expect(durationText(12.4e6)).toBe("12 s");
  expect(durationText(250e6)).toBe("4 min 10 s");
  expect(durationText(7500e6)).toBe("2 h 5 min");
  expect(durationText(7200e6)).toBe("2 h");
});
