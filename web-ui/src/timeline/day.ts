/** Days of the viewer's own time zone. Some have 23 or 25 hours: a day is two instants, never a count of hours. */

const US_PER_MS = 1000;
export const SECOND_US = 1_000_000;
export const MINUTE_US = 60 * SECOND_US;
export const HOUR_US = 60 * MINUTE_US;

export interface Day {
  /** "2026-11-22", in local time. */
  readonly key: string;
  readonly startUs: number;
  readonly endUs: number;
}

export const nowUs = (): number => Date.now() * US_PER_MS;
export const dateOf = (us: number): Date => new Date(us / US_PER_MS);

export function dayOf(us: number): Day {
  const at = dateOf(us);
  return dayFrom(at.getFullYear(), at.getMonth(), at.getDate());
}

/** The day a date picker says; null for what is not a date. */
export function dayOfKey(key: string): Day | null {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(key);
  if (!match) return null;
  const [year, month, date] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const day = dayFrom(year, month - 1, date);
  return day.key === key ? day : null;
}

/** The day `by` days later, whatever the clocks do in between. */
export function shiftDay(day: Day, by: number): Day {
  const at = dateOf(day.startUs);
  return dayFrom(at.getFullYear(), at.getMonth(), at.getDate() + by);
}

/** The same time by the clock on another day: a quarter past eight stays so when the clocks change in between. */
export function sameTime(us: number, day: Day): number {
  const [at, on] = [dateOf(us), dateOf(day.startUs)];
  const time = [at.getHours(), at.getMinutes(), at.getSeconds(), at.getMilliseconds()] as const;
  const moved = new Date(on.getFullYear(), on.getMonth(), on.getDate(), ...time).getTime() * US_PER_MS;
  return Math.min(Math.max(moved, day.startUs), day.endUs - 1);
}

export const hoursOf = (day: Day): number => (day.endUs - day.startUs) / HOUR_US;

function dayFrom(year: number, month: number, date: number): Day {
  // Where midnight itself is skipped (it is in some zones), Date gives the day's first instant.
  const start = new Date(year, month, date);
  const end = new Date(year, month, date + 1);
  const key = `${pad(start.getFullYear(), 4)}-${pad(start.getMonth() + 1, 2)}-${pad(start.getDate(), 2)}`;
  return { key, startUs: start.getTime() * US_PER_MS, endUs: end.getTime() * US_PER_MS };
}

const pad = (value: number, digits: number): string => String(value).padStart(digits, "0");

/** "14:03:10", or with tenths "14:03:10.2". */
export function clock(us: number, tenths = false): string {
  const at = dateOf(us);
  const text = `${pad(at.getHours(), 2)}:${pad(at.getMinutes(), 2)}:${pad(at.getSeconds(), 2)}`;
  return tenths ? `${text}.${Math.floor(at.getMilliseconds() / 100)}` : text;
}

const dateFormat = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", year: "numeric" });
export const dateText = (us: number): string => dateFormat.format(dateOf(us));

/** "12 s", "4 min 10 s", "2 h 5 min". */
export function durationText(us: number): string {
  const seconds = Math.max(0, Math.round(us / SECOND_US));
  if (seconds < 60) return `${seconds} s`;
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (hours === 0) return seconds % 60 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`;
  return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
}
