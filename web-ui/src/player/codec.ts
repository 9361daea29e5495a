/** What this browser can play, said in a sentence where it cannot. */

const NAMES: readonly (readonly [prefix: string, name: string])[] = [
  ["avc1", "H.264"],
  ["avc3", "H.264"],
  ["hvc1", "H.265"],
  ["hev1", "H.265"],
  ["av01", "AV1"],
  ["mp4a", "AAC"],
  ["opus", "Opus"],
];

export const mimeOf = (codecs: string): string => `video/mp4; codecs="${codecs}"`;

export function codecName(codecs: string): string {
  const first = codecs.split(",")[0]?.trim().toLowerCase() ?? "";
  return NAMES.find(([prefix]) => first.startsWith(prefix))?.[1] ?? (first || "an unknown codec");
}

type Source = typeof MediaSource;

/** What plays footage in this browser. An iPhone has the managed kind only (iOS 17.1 and later). */
export const mediaSource = (): Source | null =>
  globalThis.MediaSource ?? (globalThis as { ManagedMediaSource?: Source }).ManagedMediaSource ?? null;

const NO_SOURCE =
  "This browser lets no page play what it opens itself (it has no Media Source Extensions). On an iPhone or iPad that takes " +
  "iOS 17.1 or later; elsewhere any current browser will do.";
const RECORDED = "It is recorded all the same, and “hearthkeep export” saves it as a file.";

const supportsHere = (mime: string): boolean => mediaSource()?.isTypeSupported(mime) ?? false;

/** Why these codecs (pictures first) cannot be shown here; null when they can. */
export function whyUnplayable(codecs: string, supports = supportsHere, hasSource = mediaSource() !== null): string | null {
  if (!hasSource) return NO_SOURCE;
  if (supports(mimeOf(codecs))) return null;
  const [pictures = "", sound] = codecs.split(",").map((codec) => codec.trim());
  const name = codecName(pictures);
  if (sound && supports(mimeOf(pictures))) {
    return `This camera’s sound (${codecName(sound)}, ${sound}) is of a kind that this browser cannot play, and so it shows no pictures either. Set the camera’s sound to AAC-LC or switch it off, or try another browser. ${RECORDED}`;
  }
  if (name === "H.265") {
    return `This camera sends H.265, which this browser cannot play. Open this page in Safari, in Firefox, or in Chrome on a machine that decodes H.265 in hardware; or set the camera to H.264. ${RECORDED}`;
  }
  if (name === "H.264") {
    return `This camera sends H.264 in a profile (${pictures}) that this browser cannot play. Set the camera’s H.264 profile to High, Main or Baseline, or try another browser. ${RECORDED}`;
  }
  return `This camera sends ${name}, which this browser cannot play. Try another browser, or set the camera to H.264. ${RECORDED}`;
}
