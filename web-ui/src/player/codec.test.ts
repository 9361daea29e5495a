import { expect, it } from "vitest";
import { codecName, whyUnplayable } from "./codec";
import { snapshotName } from "./snapshot";

it("says which codec a browser lacks and what to do", () => {
  expect(whyUnplayable("avc1.640028,mp4a.40.2", () => true)).toBeNull();
  expect(whyUnplayable("hvc1.1.6.L120.90,mp4a.40.2", () => false)).toMatch(/H\.265.*Safari.*H\.264/);
  expect(codecName("xyz9.1")).toBe("xyz9.1");
});

it("snapshot names are ones that every file system takes", () => {
  const name = snapshotName('../gate: "north" <b>|?*\u0000', 1_795_305_600e6);
  expect(name).toMatch(/^_gate_ _north_ _b_____ .*\.png$/);
  expect(snapshotName("...", 0)).toMatch(/^camera /);
});
