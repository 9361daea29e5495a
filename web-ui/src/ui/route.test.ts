import { expect, it, vi } from "vitest";

vi.stubGlobal("location", { hash: "" });
vi.stubGlobal("addEventListener", () => undefined);
const { hrefTo, parseRoute } = await import("./route");

const STREAM = "00112233445566778899aabbccddeeff";

it("addresses are read as they are written", () => {
  expect(parseRoute(hrefTo("playback", STREAM, 1_795_305_600_000_000))).toEqual({
    name: "playback",
    stream: STREAM,
    atUs: 1_795_305_600_000_000,
  });
  expect(parseRoute("")).toEqual({ name: "live", stream: null, atUs: null });
});

it("what a stranger's link says is checked", () => {
  expect(parseRoute("#/admin?stream=<script>&at=-1")).toEqual({ name: "live", stream: null, atUs: null });
});
