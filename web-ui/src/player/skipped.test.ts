import { describe, expect, it } from "vitest";
import { LeftOut, skippedText } from "./skipped";

const gap = { start_us: 0, end_us: 60e6, cause: "camera-lost", sentence: "The camera could not be reached.", open: false };
const spanned = { fromUs: 0, toUs: 60e6, gap, damagedUs: 0 };

describe("what was jumped over", () => {
  it("is told with its cause", () => {
    expect(skippedText(spanned)).toMatch(
      /^Skipped 1 min without footage, from \d\d:\d\d:\d\d\. The camera could not be reached\.$/,
    );
  });

  it("is told as damaged where it is there but does not open", () => {
    const damaged = { fromUs: 0, toUs: 2.1e6, gap: null, damagedUs: 2e6 };
    expect(skippedText(damaged)).toBe("2 s of this footage are damaged and were left out.");
    expect(skippedText({ ...damaged, damagedUs: 0.3e6, toUs: 0.4e6 })).toMatch(/^1 s of this footage/);
  });

  it("tells both where both are", () => {
    const text = skippedText({ ...spanned, damagedUs: 2e6 });
    expect(text).toMatch(/^Skipped 58 s without footage.*reached\. 2 s of this footage are damaged and were left out\.$/);
  });
});

it("damage is counted where it was met, however often it was read", () => {
  const leftOut = new LeftOut();
  for (let i = 0; i < 2; i += 1) {
    leftOut.add(10e6, 10.5e6);
    leftOut.add(10.5e6, 11e6);
  }
  expect(leftOut.within(9e6, 12e6)).toBe(1e6);
  expect(leftOut.within(10.75e6, 60e6)).toBe(0.25e6);
  expect(leftOut.within(11e6, 60e6)).toBe(0);
});
