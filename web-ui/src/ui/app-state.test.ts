import { beforeEach, describe, expect, it, vi } from "vitest";
import { type Result, failure, success } from "../api/result";

let session: Result<{ name: string }>;
let signOutAnswer: Result<null>;
let looked: Result<unknown>;
const asked: string[] = [];
vi.mock("../api/box", () => ({
  state: async () => success({ claimed: true, store: "s", version: "1" }),
  session: async () => session,
  signOut: async () => {
    asked.push("sign-out");
    return signOutAnswer;
  },
  streams: async () => success([]),
  status: async () => failure("unreachable", "gone"),
  holds: async () => failure("unreachable", "gone"),
}));
vi.mock("../vault/vault", () => ({
  vault: {
    call: async (name: string) => void asked.push(name),
    attempt: async (_: unknown, name: string) => {
      asked.push(name);
      return name === "lookAtLog" ? looked : success({ name: "Ada", kept: true });
    },
  },
}));
const remembered = new Map<string, string>();
vi.stubGlobal("localStorage", {
  getItem: (key: string) => remembered.get(key) ?? null,
  setItem: (key: string, value: string) => void remembered.set(key, value),
  removeItem: (key: string) => void remembered.delete(key),
});
vi.stubGlobal("BroadcastChannel", class { postMessage() {} });
vi.stubGlobal("isSecureContext", true);
vi.useFakeTimers();
vi.stubGlobal("document", { visibilityState: "visible" });
const { arrive, door, signOut, witness } = await import("./app-state");
const { complaintOf } = await import("./witness");

const gone = failure("unreachable", "The box does not answer.");
const well = success({ complaint: null, renewed: false, entries: 42, compared: true });
const note = () => (door.value.kind === "signed-out" ? door.value.note : "not signed out");

beforeEach(() => {
  asked.length = 0;
  remembered.clear();
  [session, signOutAnswer, looked] = [success({ name: "Ada" }), success(null), well];
});

describe("arriving", () => {
  it("opens what was kept for a session that lives", async () => {
    await arrive();
    expect(door.value.kind).toBe("open");
    expect(asked).not.toContain("close");
  });

  it("erases what was kept for a session that has ended", async () => {
    session = failure("signed-out", "Sign in first.", 401);
    await arrive();
    expect([door.value.kind, note()]).toEqual(["signed-out", null]);
    expect(asked).toContain("close");
  });

  it("keeps it where the box only did not answer", async () => {
    session = gone;
    await arrive();
    expect(note()).toBe(gone.kind === "error" ? gone.message : "");
    expect(asked).not.toContain("close");
  });
});

describe("signing out", () => {
  it("is told to the box", async () => {
    await arrive();
    await signOut();
    expect([note(), asked.includes("sign-out"), asked.includes("close")]).toEqual([null, true, true]);
  });

  it("where the box cannot be told says so, and tells it as soon as it answers", async () => {
    await arrive();
    signOutAnswer = gone;
    await signOut();
    expect(note()).toContain("could not be told");
    signOutAnswer = success(null);
    await vi.advanceTimersByTimeAsync(6000);
    expect([note(), remembered.size]).toEqual([null, 0]);
  });

  it("is told at the next arrival where the page was closed before", async () => {
    await arrive();
    signOutAnswer = gone;
    await signOut();
    await arrive();
    expect(note()).toContain("could not be told");
    signOutAnswer = success(null);
    session = failure("signed-out", "Sign in first.", 401);
    asked.length = 0;
    await arrive();
    expect(asked[0]).toBe("sign-out");
    expect([note(), remembered.size]).toEqual([null, 0]);
  });
});

describe("a box that does not answer for its log", () => {
  it("is complained of after visits that together are long enough", async () => {
    looked = failure("busy", "The box’s signed log is not open yet.", 503);
    const complaint = () => complaintOf(witness.value)?.text ?? null;
    await arrive();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(complaint()).toBeNull();
    await signOut();
    await vi.advanceTimersByTimeAsync(60 * 60_000);
    await arrive();
    await vi.advanceTimersByTimeAsync(1);
    expect(complaint()).toContain("has not been able to check since");
    looked = well;
    await vi.advanceTimersByTimeAsync(6000);
    expect([complaint(), remembered.size]).toEqual([null, 0]);
  });
});
