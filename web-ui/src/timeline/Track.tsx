import { useMemo } from "preact/hooks";
import type { Stream } from "../api/types";
import { percent } from "./Timeline";
import { endOfGap, stretches } from "./coverage";
import { type Span, clamp, fractionOf } from "./scale";
import type { DayTimeline } from "./store";

/** Narrower than this a bar would not be seen at all. */
const WIDTH_MIN = 0.0012;

interface Props {
  stream: Stream;
  timeline: DayTimeline;
  span: Span;
  nowUs: number;
  selected: boolean;
  /** What of it is held. */
  held: readonly Span[];
}

/** What one camera has of the span in view. */
export function Track({ stream, timeline, span, nowUs, selected, held }: Props) {
  const joined = useMemo(() => stretches(timeline.segments), [timeline.segments]);
  const bars = joined.map((stretch) => place(span, stretch.fromUs, stretch.toUs)).filter((bar) => bar !== null);
  const gaps = timeline.gaps.flatMap((gap) => {
    const style = place(span, gap.start_us, endOfGap(gap, nowUs));
    return style ? [{ style, open: gap.open }] : [];
  });
  const damaged = timeline.damaged.map((each) => place(span, each.start_us, endOfGap(each, nowUs))).filter((style) => style !== null);
  const kept = held.map((each) => place(span, each.fromUs, each.toUs)).filter((style) => style !== null);
  const future = place(span, nowUs, Math.max(span.toUs, nowUs));
  return (
    <div
      class={selected ? "track selected" : "track"}
      data-stream={stream.id}
      data-stretches={joined.length}
      data-loaded={timeline.loaded}
    >
      {gaps.map(({ style, open }) => (
        <span key={`g${style.left}`} class={open ? "track-gap open" : "track-gap"} style={style} />
      ))}
      {bars.map((style) => (
        <span key={style.left} class="track-bar" style={style} />
      ))}
      {damaged.map((style) => (
        <span key={`d${style.left}`} class="track-damaged" style={style} />
      ))}
      {kept.map((style) => (
        <span key={`h${style.left}`} class="track-held" style={style} title="Kept: it is not deleted" />
      ))}
      {future && <span class="track-future" style={future} />}
      {timeline.failure && <span class="track-failure">{timeline.failure.message}</span>}
    </div>
  );
}

function place(span: Span, fromUs: number, toUs: number): { left: string; width: string } | null {
  if (toUs <= span.fromUs || fromUs >= span.toUs) return null;
  const left = clamp(fractionOf(span, fromUs), 0, 1);
  const right = clamp(fractionOf(span, toUs), 0, 1);
  return { left: percent(left), width: percent(Math.max(right - left, WIDTH_MIN)) };
}
