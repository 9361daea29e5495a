import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { success } from "../api/result";
import type { Core } from "./core";

vi.mock("../api/box", () => ({
  signInParameters: async () => success({ salt: "", memory_kib: 1, passes: 1, lanes: 1 }),
  signIn: async (name: string) => success({ name, sealed_identity: "" }),
  keyring: async () => success({ keyring: "", root: "cm9vdA==" }),
  claim: async () => success({ name: "Ada" }),
}));
const { People } = await import("./people");
const { erase } = await import("./kept");

const calls: string[] = [];
/** Every field of what was made is some bytes. */
const made = new Proxy({}, { get: () => new Uint8Array(4) });
const core = new Proxy({} as Core, {
  get: (_, name) => () => {
    calls.push(String(name));
    return name === "prepareClaim" ? made : new Uint8Array(4);
  },
});

beforeEach(() => {
  calls.length = 0;
  // As in a private window of some browsers.
  vi.stubGlobal("indexedDB", {
    open() {
      throw new DOMException("storage is off", "SecurityError");
    },
  });
});
afterEach(() => vi.unstubAllGlobals());

it("a browser that keeps nothing still signs in, and says that it keeps nothing", async () => {
  const people = new People(core);
  expect(await people.signIn("store", "Ada", "a passphrase")).toEqual(success({ name: "Ada", kept: false }));
  expect(people.who).toEqual({ store: "store", name: "Ada" });
  expect(calls).toContain("openKeyring");
});

it("a claim that the box took is not lost to a storage that failed", async () => {
  const people = new People(core);
  await people.prepareClaim("store", "Ada", "a passphrase");
  expect(await people.claim("code")).toEqual(success({ name: "Ada", kept: false }));
});

it("after a reload it asks for the passphrase", async () => {
  expect(await new People(core).reopen("store", "Ada")).toEqual(success(null));
});

it("where nothing can be kept, nothing is left to erase", async () => {
  await expect(erase()).resolves.toBeUndefined();
});
