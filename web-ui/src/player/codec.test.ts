import { afterEach, expect, it, vi } from "vitest";
import { codecName, mimeOf, whyUnplayable } from "./codec";

const only = (...codecs: string[]) => (mime: string) => codecs.map(mimeOf).includes(mime);
const why = (codecs: string, ...playable: string[]) => whyUnplayable(codecs, only(...playable), true);

afterEach(() => vi.unstubAllGlobals());

it("says nothing where the browser can play it", () => {
  expect(why("avc1.640028,mp4a.40.2", "avc1.640028,mp4a.40.2")).toBeNull();
});

it("tells what to do about H.265", () => {
  expect(codecName("hvc1.1.6.L93.B0,mp4a.40.2")).toBe("H.265");
  const said = why("hvc1.1.6.L93.B0,mp4a.40.2");
  for (const words of ["H.265", "Safari", "Firefox", "H.264", "recorded"]) expect(said).toContain(words);
});

it("blames the sound where the pictures alone would play", () => {
  const said = why("avc1.640028,mp4a.40.29", "avc1.640028");
  expect(said).toContain("mp4a.40.29");
  expect(said).toContain("AAC-LC");
  expect(said).not.toContain("sends H.264");
});

it("names the profile of an H.264 that is refused, and does not advise H.264", () => {
  const said = why("avc1.6e0028");
  expect(said).toContain("avc1.6e0028");
  expect(said).toContain("profile to High, Main or Baseline");
});

it("takes the managed source of a phone, and says so where there is none", () => {
  vi.stubGlobal("MediaSource", undefined);
  expect(whyUnplayable("avc1.640028")).toContain("17.1");
  vi.stubGlobal("ManagedMediaSource", { isTypeSupported: only("avc1.640028") });
  expect(whyUnplayable("avc1.640028")).toBeNull();
});
