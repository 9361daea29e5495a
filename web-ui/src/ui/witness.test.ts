import { describe, expect, it } from "vitest";
import { aborted, failure, success } from "../api/result";
import { RENEWED, UNSEEN, complaintOf, rememberedTime, wellText, witnessed } from "./witness";

const well = { complaint: null, renewed: false, entries: 42, compared: true };
const MINUTE = 60_000;

describe("a witness of the log", () => {
  it("says that all is well, and whether there was anything to compare with", () => {
    const first = witnessed(UNSEEN, success({ ...well, compared: false }), MINUTE);
    expect(complaintOf(first)).toBeNull();
    expect(wellText(first, false)).toMatch(/^All well: from now on/);
    const again = witnessed(first, success(well), MINUTE);
    expect(wellText(again, false)).toMatch(/^All well: the box’s record of its footage goes on from what you saw when you last looked\. Checked at/);
    expect(wellText(again, true)).not.toContain("All well");
    expect(wellText(UNSEEN, false)).toBe("Not checked yet.");
  });

  it("says what is wrong, and forgets it when it is well again", () => {
    const wrong = witnessed(UNSEEN, success({ ...well, complaint: "the signed log was forked", entries: null }), 0);
    expect(complaintOf(wrong)?.detail).toBe("The signed log was forked.");
    expect(complaintOf(wrong)?.text).toMatch(/^The box does not show the same past/);
    expect(complaintOf(witnessed(wrong, success(well), 1))).toBeNull();
  });

  it("says that a new log has begun for as long as the page is open", () => {
    const renewed = witnessed(UNSEEN, success({ ...well, renewed: true }), 0);
    expect(complaintOf(witnessed(renewed, success(well), MINUTE))).toBe(RENEWED);
  });

  it("lets no box get away with not answering", () => {
    const gone = failure("busy", "The box’s signed log is not open yet.", 503);
    let witness = witnessed(witnessed(UNSEEN, success(well), 0), gone, MINUTE);
    expect(complaintOf(witness)).toBeNull();
    expect(wellText(witness, false)).toContain("could not be checked just now");
    witness = witnessed(witness, aborted, 3 * MINUTE);
    witness = witnessed(witness, gone, 6 * MINUTE);
    expect(complaintOf(witness)?.text).toContain("has not been able to check");
    expect(complaintOf(witness)?.detail).toContain("is not open yet");
    expect(complaintOf(witnessed(witness, success(well), 7 * MINUTE))).toBeNull();
  });

  it("counts from the first visit in which the box did not answer", () => {
    const gone = failure("busy", "The box’s signed log is not open yet.", 503);
    const day = 24 * 60 * MINUTE;
    const second = witnessed(UNSEEN, gone, 3 * day, 2 * day);
    expect(complaintOf(second)?.text).toMatch(/has not been able to check since .*1970, .* whether/);
    expect(witnessed(second, gone, 3 * day + 1, 3 * day).failure?.sinceMs).toBe(2 * day);
    expect(complaintOf(witnessed(second, success(well), 3 * day))).toBeNull();
    const times = [null, "x", "-1", "1.5", "9"].map((text) => rememberedTime(text, 8));
    expect(times).toEqual([null, null, null, null, null]);
    expect(rememberedTime("7", 8)).toBe(7);
  });
});
