import { describe, expect, it } from "vitest";
import type { Hold } from "../api/types";
import { fieldOf, heldSpans, holdsOf, instantOf } from "./holds";

const hold = (streams: string[], from_us: number, to_us: number | null): Hold => ({
  id: `${from_us}`,
  streams,
  from_us,
  to_us,
  until_us: null,
  reason: "the fence",
  who: "owner",
  written: true,
});

describe("holds", () => {
  it("are those of a stream and those of all", () => {
    const all = [hold([], 1, 2), hold(["a"], 3, 4), hold(["b"], 5, 6)];
    expect(holdsOf(all, "a").map(({ id }) => id)).toEqual(["1", "3"]);
  });

  it("that overlap or touch are one span, and one without an end goes on", () => {
    const all = [hold(["a"], 50, null), hold([], 1, 10), hold(["a"], 10, 20), hold(["a"], 30, 40), hold(["a"], 15, 18)];
    expect(heldSpans(all, "a")).toEqual([
      { fromUs: 1, toUs: 20 },
      { fromUs: 30, toUs: 40 },
      { fromUs: 50, toUs: Infinity },
    ]);
  });

  it("are typed as local time", () => {
    const us = new Date(2026, 10, 2, 4, 5, 6).getTime() * 1000;
    expect(fieldOf(us)).toBe("2026-11-02T04:05:06");
    expect(instantOf(fieldOf(us))).toBe(us);
    expect(instantOf("")).toBeNull();
    expect(instantOf("soon")).toBeNull();
  });
});
