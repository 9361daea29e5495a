/** A day of several cameras: a ruler, a track each, gaps with their causes, and a cursor. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Hold, Stream } from "../api/types";
import type { DayTimeline } from "./store";
import { Track } from "./Track";
import { heldSpans } from "./holds";
import { damagedAt, damagedText, gapAt, gapText } from "./coverage";
import { type Day, clock, nowUs } from "./day";
import { type Span, fractionOf, instantAt, lengthOf, pan, ticks, zoom } from "./scale";
import { type Gesture, useGestures } from "./gestures";

export interface Row {
  readonly stream: Stream;
  readonly timeline: DayTimeline;
}

interface Props {
  day: Day;
  span: Span;
  rows: readonly Row[];
  holds: readonly Hold[];
  selected: string | null;
  cursorUs: number;
  onSpan: (span: Span) => void;
  onSelect: (stream: string) => void;
  /** While dragging `done` is false. */
  onSeek: (us: number, stream: string | null, done: boolean) => void;
}

interface Hover {
  readonly fraction: number;
  readonly stream: string | null;
  /** The cursor follows and tells the time itself. */
  readonly dragging: boolean;
}

export function Timeline(props: Props) {
  const { day, span, rows, holds, selected, cursorUs, onSpan, onSelect, onSeek } = props;
  const tracks = useRef<HTMLDivElement>(null);
  const widthPx = useWidth(tracks);
  const [hover, setHover] = useState<Hover | null>(null);
  const now = nowUs();

  const act = (gesture: Gesture) => {
    const at = (fraction: number) => instantAt(span, fraction);
    switch (gesture.kind) {
      case "zoom":
        return onSpan(zoom(span, gesture.factor, at(gesture.fraction), day));
      case "pan":
        return onSpan(pan(span, gesture.by * lengthOf(span), day));
      case "hover":
        return setHover(
          gesture.fraction === null ? null : { fraction: gesture.fraction, stream: gesture.stream, dragging: false },
        );
      case "seek":
        setHover({ fraction: gesture.fraction, stream: gesture.stream, dragging: true });
        return onSeek(Math.min(at(gesture.fraction), nowUs()), gesture.stream, gesture.done);
    }
  };
  useGestures(tracks, act);

  const cursor = fractionOf(span, cursorUs);
  return (
    <div class="timeline">
      <div class="timeline-names">
        <div class="timeline-corner" />
        {rows.map(({ stream }) => (
          <button
            key={stream.id}
            type="button"
            class={stream.id === selected ? "timeline-name selected" : "timeline-name"}
            aria-pressed={stream.id === selected}
            onClick={() => onSelect(stream.id)}
          >
            {stream.camera}
          </button>
        ))}
      </div>
      <div
        ref={tracks}
        class="timeline-tracks"
        role="slider"
        tabIndex={0}
        aria-label="Time of day"
        aria-valuemin={day.startUs / 1e6}
        aria-valuemax={day.endUs / 1e6}
        aria-valuenow={Math.round(cursorUs / 1e6)}
        aria-valuetext={clock(cursorUs)}
      >
        <div class="timeline-ruler" data-ruler>
          {ticks(span, day, widthPx).map((tick) => (
            <span key={tick.us} class="tick" style={{ left: percent(fractionOf(span, tick.us)) }}>
              {tick.label}
            </span>
          ))}
        </div>
        {rows.map(({ stream, timeline }) => (
          <Track
            key={stream.id}
            stream={stream}
            timeline={timeline}
            span={span}
            nowUs={now}
            selected={stream.id === selected}
            held={heldSpans(holds, stream.id)}
          />
        ))}
        {cursor >= 0 && cursor <= 1 && (
          <div class="cursor" style={{ left: percent(cursor) }}>
            <span class={`cursor-time${edge(cursor)}`}>{clock(cursorUs)}</span>
          </div>
        )}
        {hover && <Bubble hover={hover} span={span} rows={rows} nowUs={now} />}
      </div>
    </div>
  );
}

/** The time under the pointer and, over a gap, why there is nothing; over what may be damaged, why. */
function Bubble({ hover, span, rows, nowUs: now }: { hover: Hover; span: Span; rows: readonly Row[]; nowUs: number }) {
  const us = instantAt(span, hover.fraction);
  const row = rows.find(({ stream }) => stream.id === hover.stream);
  const gap = row && us < now ? gapAt(row.timeline.gaps, us) : null;
  const damaged = row && !gap ? damagedAt(row.timeline.damaged, us) : null;
  if (hover.dragging && !gap && !damaged) return null;
  return (
    <div class={`bubble${edge(hover.fraction)}`} style={{ left: percent(hover.fraction) }}>
      <b>{clock(us)}</b>
      {gap && <span>{gapText(gap, now)}</span>}
      {damaged && <span>{damagedText(damaged, now)}</span>}
    </div>
  );
}

/** Near an edge, what hangs on the cursor leans inwards. */
const edge = (fraction: number): string => (fraction < 0.12 ? " at-start" : fraction > 0.88 ? " at-end" : "");

export const percent = (fraction: number): string => `${(fraction * 100).toFixed(4)}%`;

function useWidth(element: { readonly current: HTMLElement | null }): number {
  const [width, setWidth] = useState(800);
  useLayoutEffect(() => {
    if (element.current) setWidth(element.current.clientWidth);
  }, []);
  useEffect(() => {
    if (!element.current) return undefined;
    const observer = new ResizeObserver(([entry]) => entry && setWidth(entry.contentRect.width));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return width;
}
