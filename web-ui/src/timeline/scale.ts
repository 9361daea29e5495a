/** The part of a day that is in view, and what stands on its ruler. Pure. */
import { type Day, HOUR_US, MINUTE_US, SECOND_US, dateOf } from "./day";

export interface Span {
  readonly fromUs: number;
  readonly toUs: number;
}

export const SPAN_MIN_US = 2 * MINUTE_US;

export const whole = (day: Day): Span => ({ fromUs: day.startUs, toUs: day.endUs });
export const lengthOf = (span: Span): number => span.toUs - span.fromUs;
/** Where in the span an instant lies: 0 at its left edge, 1 at its right. */
export const fractionOf = (span: Span, us: number): number => (us - span.fromUs) / lengthOf(span);
export const instantAt = (span: Span, fraction: number): number => span.fromUs + fraction * lengthOf(span);

/** Zooms so that the instant under the pointer stays under it. `factor` above 1 shows less. */
export function zoom(span: Span, factor: number, aroundUs: number, day: Day): Span {
  const length = clamp(lengthOf(span) / factor, SPAN_MIN_US, day.endUs - day.startUs);
  const from = aroundUs - fractionOf(span, aroundUs) * length;
  return within({ fromUs: from, toUs: from + length }, day);
}

export const pan = (span: Span, byUs: number, day: Day): Span =>
  within({ fromUs: span.fromUs + byUs, toUs: span.toUs + byUs }, day);

/** Brings an instant into view when it has left it, with some room on the side it goes to. */
export function follow(span: Span, us: number, day: Day): Span {
  const at = fractionOf(span, us);
  if (at >= 0 && at <= 0.98) return span;
  return pan(span, us - instantAt(span, 0.15), day);
}

function within(span: Span, day: Day): Span {
  const length = Math.min(lengthOf(span), day.endUs - day.startUs);
  const from = clamp(span.fromUs, day.startUs, day.endUs - length);
  return { fromUs: from, toUs: from + length };
}

export const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

export interface Tick {
  readonly us: number;
  readonly label: string;
}

const STEPS_S = [10, 30, 60, 300, 600, 900, 1800, 3600, 2 * 3600, 3 * 3600, 6 * 3600];

/** Labelled instants at round local times, at least `gapPx` apart. On a day of 25 hours one hour stands there twice. */
export function ticks(span: Span, day: Day, widthPx: number, gapPx = 64): Tick[] {
  const wanted = (lengthOf(span) / SECOND_US) * (gapPx / Math.max(widthPx, 1));
  const step = STEPS_S.find((candidate) => candidate >= wanted) ?? 6 * 3600;
  // Clocks change by an hour, and on Lord Howe Island by half of one.
  const strideUs = Math.min(step * SECOND_US, HOUR_US / 2);
  const found: Tick[] = [];
  const first = day.startUs + Math.ceil((span.fromUs - day.startUs) / strideUs) * strideUs;
  for (let us = first; us <= span.toUs; us += strideUs) {
    const at = dateOf(us);
    if (step > 1800 && (at.getHours() * 3600 + at.getMinutes() * 60) % step !== 0) continue;
    found.push({ us, label: label(at, step, us === day.endUs) });
  }
  return found;
}

function label(at: Date, stepS: number, end: boolean): string {
  const two = (value: number) => String(value).padStart(2, "0");
  if (end) return "24:00";
  const text = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return stepS < 60 ? `${text}:${two(at.getSeconds())}` : text;
}
