import { expect, it } from "vitest";
import { snapshotName } from "./snapshot";

it("snapshot names are ones that every file system takes", () => {
  const name = snapshotName('../gate: "north" <b>|?*\u0000', 1_795_305_600e6);
  expect(name).toMatch(/^_gate_ _north_ _b_____ .*\.png$/);
  expect(snapshotName("...", 0)).toMatch(/^camera /);
});
