import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Hold } from "../api/types";
import { fieldOf, fieldsOf, heldSpans, holdsOf, listed, meantBy, spanBy } from "./holds";

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
  it("are listed until it is certain that they have ended", () => {
    const [first, second] = [hold([], 1, 2), hold(["a"], 3, 4)];
    const ids = (all: readonly Hold[]) => all.map(({ id }) => id);
    expect(ids(listed([second, first], []))).toEqual(["1", "3"]);
    expect(ids(listed([second], [{ hold: first, error: null }]))).toEqual(["1", "3"]);
    expect(ids(listed([], [{ hold: first, error: "It cannot be written." }]))).toEqual(["1"]);
    expect(ids(listed([first, second], [{ hold: first, error: "The box does not answer." }]))).toEqual(["1", "3"]);
  });

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
    expect(meantBy(fieldOf(us))).toEqual({ firstUs: us, lastUs: us });
    expect(meantBy("")).toBeNull();
    expect(meantBy("soon")).toBeNull();
  });
});

const at = (utc: string): number => Date.parse(utc) * 1000;

describe("a span that is kept, in Berlin", () => {
  const before = process.env["TZ"];
  beforeAll(() => {
    process.env["TZ"] = "Europe/Berlin";
  });
  afterAll(() => {
    if (before === undefined) delete process.env["TZ"];
    else process.env["TZ"] = before;
  });

  it("is what was in view where nobody typed, also in an hour that comes twice", () => {
    for (const utc of ["2026-10-25T00:30:00.250Z", "2026-10-25T01:30:00.250Z", "2026-10-25T12:00:00.250Z"]) {
      const span = { fromUs: at(utc), toUs: at(utc) + 600_000_500 };
      const { from, to } = fieldsOf(span);
      expect(spanBy(from, to, span)).toEqual(span);
    }
    expect(fieldsOf({ fromUs: at("2026-10-25T01:30:00Z"), toUs: at("2026-10-25T01:31:59.001Z") })).toEqual({
      from: "2026-10-25T02:30:00",
      to: "2026-10-25T02:32:00",
    });
  });

  it("is rounded outwards to what can be asked for", () => {
    const span = { fromUs: 1_000_000.75, toUs: 2_000_000.25 };
    const { from, to } = fieldsOf(span);
    expect(spanBy(from, to, span)).toEqual({ fromUs: 1_000_000, toUs: 2_000_001 });
  });

  it("keeps the end that nobody typed, and knows a field whose seconds the browser left out", () => {
    const span = { fromUs: at("2026-10-25T01:30:00.5Z"), toUs: at("2026-10-25T01:45:00.5Z") };
    const { to } = fieldsOf(span);
    expect(spanBy("2026-10-25T02:30", to, span)).toEqual(span);
    expect(spanBy("2026-10-25T01:10:00", to, span)).toEqual({ fromUs: at("2026-10-24T23:10:00Z"), toUs: span.toUs });
    expect(spanBy("2026-10-25T02:50", to, span)).toEqual({ fromUs: at("2026-10-25T00:50:00Z"), toUs: span.toUs });
    expect(spanBy("2026-10-25T04:00", to, span)).toBeNull();
  });

  it("is the wider one where what was typed comes twice", () => {
    const span = { fromUs: at("2026-10-25T10:00:00Z"), toUs: at("2026-10-25T11:00:00Z") };
    expect(spanBy("2026-10-25T02:10:00", "2026-10-25T02:20:00", span)).toEqual({
      fromUs: at("2026-10-25T00:10:00Z"),
      toUs: at("2026-10-25T01:20:00Z"),
    });
    // The first and the last second of that hour, and those beside it.
    expect(meantBy("2026-10-25T01:59:59")).toEqual({ firstUs: at("2026-10-24T23:59:59Z"), lastUs: at("2026-10-24T23:59:59Z") });
    expect(meantBy("2026-10-25T02:00:00")).toEqual({ firstUs: at("2026-10-25T00:00:00Z"), lastUs: at("2026-10-25T01:00:00Z") });
    expect(meantBy("2026-10-25T03:00:00")).toEqual({ firstUs: at("2026-10-25T02:00:00Z"), lastUs: at("2026-10-25T02:00:00Z") });
  });

  it("is the wider one where what was typed does not exist", () => {
    const span = { fromUs: at("2027-03-28T10:00:00Z"), toUs: at("2027-03-28T11:00:00Z") };
    expect(spanBy("2027-03-28T02:10:00", "2027-03-28T02:20:00", span)).toEqual({
      fromUs: at("2027-03-28T00:10:00Z"),
      toUs: at("2027-03-28T01:20:00Z"),
    });
    expect(meantBy("2027-03-28T01:59:59")).toEqual({ firstUs: at("2027-03-28T00:59:59Z"), lastUs: at("2027-03-28T00:59:59Z") });
    expect(meantBy("2027-03-28T03:00:00")).toEqual({ firstUs: at("2027-03-28T01:00:00Z"), lastUs: at("2027-03-28T01:00:00Z") });
  });
});
