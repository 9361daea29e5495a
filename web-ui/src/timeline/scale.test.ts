import { beforeAll, describe, expect, it } from "vitest";
import { type Day, HOUR_US, MINUTE_US, dayOfKey } from "./day";
import { SPAN_MIN_US, follow, fractionOf, lengthOf, pan, ticks, whole, zoom } from "./scale";

let day: Day;
beforeAll(() => {
  process.env["TZ"] = "Europe/Berlin";
  day = dayOfKey("2026-11-22") as Day;
});

describe("zooming", () => {
  it("keeps the instant under the pointer where it is", () => {
    const span = whole(day);
    const at = day.startUs + 8 * HOUR_US;
    const closer = zoom(span, 4, at, day);
    expect(lengthOf(closer)).toBeCloseTo(6 * HOUR_US);
    expect(fractionOf(closer, at)).toBeCloseTo(fractionOf(span, at));
  });

  it("stops at minutes and at the day", () => {
    const at = day.startUs + 10 * HOUR_US;
    expect(lengthOf(zoom(whole(day), 1e9, at, day))).toBeCloseTo(SPAN_MIN_US, 0);
    expect(zoom(zoom(whole(day), 10, at, day), 1e-9, at, day)).toEqual(whole(day));
  });

  it("does not leave the day", () => {
    const span = zoom(whole(day), 8, day.startUs, day);
    expect(pan(span, -5 * HOUR_US, day).fromUs).toBe(day.startUs);
    expect(pan(span, 50 * HOUR_US, day).toUs).toBe(day.endUs);
  });
});

it("the part in view follows the cursor, and rests while it is inside", () => {
  const span = { fromUs: day.startUs, toUs: day.startUs + HOUR_US };
  expect(follow(span, day.startUs + 30 * MINUTE_US, day)).toBe(span);
  const moved = follow(span, day.startUs + HOUR_US, day);
  expect(fractionOf(moved, day.startUs + HOUR_US)).toBeCloseTo(0.15);
});

describe("ticks", () => {
  it("stand at round local times and never too close", () => {
    const found = ticks(whole(day), day, 800);
    expect(found.map((tick) => tick.label)).toEqual([
      "00:00", "02:00", "04:00", "06:00", "08:00", "10:00", "12:00", "14:00", "16:00", "18:00", "20:00", "22:00", "24:00",
    ]);
    expect(ticks(whole(day), day, 320).length).toBeLessThanOrEqual(6);
  });

  it("show seconds when zoomed to minutes", () => {
    const from = day.startUs + 8 * HOUR_US;
    const found = ticks({ fromUs: from, toUs: from + 2 * MINUTE_US }, day, 800);
    expect(found[0]?.label).toBe("08:00:00");
    expect(found[1]?.label).toBe("08:00:10");
  });

  it("leave out the hour that is skipped and repeat the one that comes twice", () => {
    const short = dayOfKey("2026-03-29") as Day;
    const labels = ticks(whole(short), short, 1600).map((tick) => tick.label);
    expect(labels).not.toContain("02:00");
    expect(labels).toHaveLength(24);
    const long = dayOfKey("2026-10-25") as Day;
    expect(ticks(whole(long), long, 1600).filter((tick) => tick.label === "02:00")).toHaveLength(2);
  });
});
