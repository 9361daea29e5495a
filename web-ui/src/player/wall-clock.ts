/**
 * Between wall time and the player's own seconds. Pure.
 *
 * Segments of one run follow one another in the player without a seam, although each has an anchor of its own (the
 * camera's clock drifts against the box's): the player's seconds go on evenly, and wall time is read from the anchor of the
 * segment that an instant lies in.
 */

export interface Piece {
  readonly segment: string;
  readonly run: string;
  /** Added to the run's seconds, gives the player's. */
  readonly offsetS: number;
  readonly anchorUs: number;
  /** The player's seconds it begins at. */
  startS: number;
}

/** A player's seconds count to here; the end of a MediaSource lies beyond it. */
const PLAYER_S_MAX = 9e7;
/** Beyond this the drift that piled up shows: the next segment is put where its own anchor says. */
const SEAM_MAX_S = 0.3;

export class WallClock {
  #pieces: Piece[] = [];

  /** The player's second 0 is this wall time. */
  constructor(readonly originUs: number) {}

  /** Whether an instant has a second in this player. */
  reaches(wallUs: number): boolean {
    const playerS = (wallUs - this.originUs) / 1e6;
    return playerS > 0 && playerS < PLAYER_S_MAX;
  }

  /** The offset for a segment that is appended after `previous` (null after a seek). */
  offsetFor(run: string, anchorUs: number, previous: Piece | null): number {
    const own = (anchorUs - this.originUs) / 1e6;
    if (previous?.run === run && Math.abs(own - previous.offsetS) < SEAM_MAX_S) return previous.offsetS;
    return own;
  }

  add(piece: Piece): void {
    this.#pieces = this.#pieces.filter((known) => known.segment !== piece.segment);
    this.#pieces.push(piece);
    this.#pieces.sort((a, b) => a.startS - b.startS);
    if (this.#pieces.length > 64) this.#pieces.shift();
  }

  clear(): void {
    this.#pieces = [];
  }

  wallUs(playerS: number): number {
    const piece = this.#at(playerS);
    return piece ? Math.round((playerS - piece.offsetS) * 1e6 + piece.anchorUs) : Math.round(this.originUs + playerS * 1e6);
  }

  playerS(wallUs: number, piece: Piece): number {
    return (wallUs - piece.anchorUs) / 1e6 + piece.offsetS;
  }

  /** The player's second that shows an instant, where a piece is known to hold it. */
  playerSOf(wallUs: number): number | null {
    const piece = this.#pieces.findLast((known) => this.playerS(wallUs, known) >= known.startS - 1e-3);
    return piece ? this.playerS(wallUs, piece) : null;
  }

  #at(playerS: number): Piece | null {
    let found = this.#pieces[0] ?? null;
    for (const piece of this.#pieces) {
      if (piece.startS > playerS + 1e-3) break;
      found = piece;
    }
    return found;
  }
}

/** A segment at the time the box lists it at: it says otherwise itself where it was recorded before the box knew the time. */
export function atListedTime<S extends { readonly startUs: number; readonly anchorUs: number }>(segment: S, startUs: number): S {
  return { ...segment, startUs, anchorUs: segment.anchorUs + (startUs - segment.startUs) };
}
