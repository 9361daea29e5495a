import { describe, expect, it } from "vitest";
import { aborted, failure, success } from "../api/result";
import { RENEWED, UNSEEN, complaintOf, witnessText, witnessed } from "./witness";

const well = { complaint: null, renewed: false, entries: 42, compared: true };
const MINUTE = 60_000;

describe("a witness of the log", () => {
  it("says that all is well, and whether there was anything to compare with", () => {
    const first = witnessed(UNSEEN, success({ ...well, compared: false }), MINUTE);
    expect(complaintOf(first)).toBeNull();
    expect(witnessText(first)).toMatch(/^All well: 42 entries, and from now on/);
    expect(witnessText(witnessed(first, success(well), MINUTE))).toContain("goes on from what this browser saw before");
    expect(witnessText(UNSEEN)).toBe("Not checked yet.");
  });

  it("says what is wrong, and forgets it when it is well again", () => {
    const wrong = witnessed(UNSEEN, success({ ...well, complaint: "the signed log was forked", entries: null }), 0);
    expect(complaintOf(wrong)).toBe("The signed log was forked.");
    expect(witnessText(wrong)).toBe("The signed log was forked.");
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
    expect(witnessText(witness)).toContain("could not be checked just now");
    witness = witnessed(witness, aborted, 3 * MINUTE);
    witness = witnessed(witness, gone, 6 * MINUTE);
    expect(complaintOf(witness)).toContain("has not been able to check");
    expect(complaintOf(witnessed(witness, success(well), 7 * MINUTE))).toBeNull();
  });
});
