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

/** Why these codecs cannot be shown here; null when they can. */
export function whyUnplayable(
  codecs: string,
  supports: (mime: string) => boolean = (mime) => globalThis.MediaSource?.isTypeSupported(mime) ?? false,
): string | null {
  if (supports(mimeOf(codecs))) return null;
  const name = codecName(codecs);
  if (name === "H.265") {
    return (
      "This camera sends H.265, which this browser cannot play. Open this page in Safari, in Firefox, or in Chrome on a " +
      "machine that decodes H.265 in hardware; or set the camera to H.264. It is recorded all the same, and " +
      "“hearthkeep export” saves it as a file."
    );
  }
  return `This camera sends ${name}, which this browser cannot play. Try another browser, or set the camera to H.264. It is recorded all the same.`;
}
