/** When each picture in the buffer is shown, for stepping from one to the next. Pure. */
export class Pictures {
  /** By fragment: its pictures' times in the player's seconds, ascending. */
  #fragments: { key: string; times: number[] }[] = [];

  add(key: string, times: Iterable<number>): void {
    const list = [...times];
    if (list.length === 0) return;
    this.#fragments = this.#fragments.filter((known) => known.key !== key);
    this.#fragments.push({ key, times: list });
    this.#fragments.sort((a, b) => (a.times[0] ?? 0) - (b.times[0] ?? 0));
  }

  clear(): void {
    this.#fragments = [];
  }

  /** Forgets what lies before an instant. */
  trim(beforeS: number): void {
    this.#fragments = this.#fragments.filter((fragment) => (fragment.times.at(-1) ?? 0) >= beforeS);
  }

  /** The picture `by` after (or before) the one shown at an instant; null where it is not in the buffer. */
  step(shownS: number, by: 1 | -1): number | null {
    const times = this.#fragments.flatMap((fragment) => fragment.times);
    let shown = -1;
    for (const [at, time] of times.entries()) {
      if (time > shownS + EPSILON_S) break;
      shown = at;
    }
    const wanted = times[shown + by];
    return shown + by >= 0 && wanted !== undefined ? wanted : null;
  }
}

/** A browser's currentTime is rounded to the microsecond. */
const EPSILON_S = 0.0005;
/** Seeking this far into a picture shows it, whatever the rounding. */
export const INTO_PICTURE_S = 0.001;
