/** What playing jumped over, and how it is told. Pure. */
import type { GapEntry } from "../api/types";
import { clock, durationText } from "../timeline/day";

export interface Skipped {
  readonly fromUs: number;
  readonly toUs: number;
  readonly gap: GapEntry | null;
  /** How much of it is there but damaged. */
  readonly damagedUs: number;
}

/** Absences next to damage that are not worth a word of their own. */
const BESIDE_US = 1_500_000;
const SPANS_MAX = 256;

export function skippedText({ fromUs, toUs, gap, damagedUs }: Skipped): string {
  const missingUs = toUs - fromUs - damagedUs;
  const damage = damagedUs === 0 ? "" : `${durationText(Math.max(damagedUs, 1e6))} of this footage are damaged and were left out.`;
  if (damage !== "" && missingUs < BESIDE_US) return damage;
  const cause = gap ? ` ${gap.sentence}` : "";
  return `Skipped ${durationText(missingUs)} without footage, from ${clock(fromUs)}.${cause} ${damage}`.trimEnd();
}

/** Spans of wall time that were left out since they are damaged. */
export class LeftOut {
  #spans: { fromUs: number; toUs: number }[] = [];

  add(fromUs: number, toUs: number): void {
    this.#spans = this.#spans.filter((span) => span.fromUs !== fromUs);
    this.#spans.push({ fromUs, toUs });
    if (this.#spans.length > SPANS_MAX) this.#spans.shift();
  }

  /** How much of a span they cover, µs. They do not overlap one another. */
  within(fromUs: number, toUs: number): number {
    const shared = this.#spans.map((span) => Math.max(0, Math.min(span.toUs, toUs) - Math.max(span.fromUs, fromUs)));
    return shared.reduce((sum, us) => sum + us, 0);
  }
}
