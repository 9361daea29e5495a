/**
 * Keeps a live picture near the live edge: pure, so that it can be tested without a browser.
 *
 * Pictures come in fragments of about 100 ms. Playing at the very end would stall at every late one; the aim is a margin
 * that follows how unevenly they come.
 */

export interface Measured {
  readonly playingS: number;
  /** End of what can be played. */
  readonly bufferedEndS: number;
  readonly bufferedStartS: number;
  readonly rate: number;
}

export type Step =
  | { readonly kind: "rate"; readonly rate: number }
  | { readonly kind: "jump"; readonly toS: number }
  | { readonly kind: "nothing" };

const MARGIN_MIN_S = 0.12;
const MARGIN_MAX_S = 0.8;
const JUMP_BEHIND_S = 1.6;
const CALM_S = 0.08;
const NOTHING: Step = { kind: "nothing" };

export class LiveEdge {
  #marginS = 0.2;
  #lastArrivalMs: number | null = null;

  get marginS(): number {
    return this.#marginS;
  }

  /** A fragment came: the unevenness of arrivals sets the margin. Grows at once, shrinks slowly. */
  arrived(nowMs: number, durationS: number): void {
    if (this.#lastArrivalMs !== null) {
      const lateS = Math.max(0, (nowMs - this.#lastArrivalMs) / 1000 - durationS);
      const wanted = Math.min(MARGIN_MAX_S, Math.max(MARGIN_MIN_S, durationS * 0.6 + lateS + 0.06));
      this.#marginS = wanted > this.#marginS ? wanted : this.#marginS + (wanted - this.#marginS) * 0.03;
    }
    this.#lastArrivalMs = nowMs;
  }

  /** The player ran dry: a wider margin from now on. */
  stalled(): void {
    this.#marginS = Math.min(MARGIN_MAX_S, this.#marginS * 1.5);
  }

  step(measured: Measured): Step {
    const behindS = measured.bufferedEndS - measured.playingS;
    if (measured.playingS < measured.bufferedStartS || behindS > JUMP_BEHIND_S + this.#marginS || behindS < -0.5) {
      return { kind: "jump", toS: Math.max(measured.bufferedStartS, measured.bufferedEndS - this.#marginS) };
    }
    const excessS = behindS - this.#marginS;
    let rate = 1;
    if (excessS > 0.5) rate = 1.2;
    else if (excessS > CALM_S) rate = 1.06;
    else if (excessS < -CALM_S) rate = 0.94;
    // Once nudging, go on to the middle of the calm zone: no hunting at its border.
    else if (measured.rate > 1 && excessS > 0) rate = measured.rate;
    return rate === measured.rate ? NOTHING : { kind: "rate", rate };
  }
}
