/** A day's gaps of one camera as a list: what the timeline shows to a pointer, for a keyboard and for ears. */
import type { GapEntry } from "../api/types";
import { clock, durationText } from "../timeline/day";

interface Props {
  gaps: readonly GapEntry[];
  onSeek: (us: number) => void;
}

export function Gaps({ gaps, onSeek }: Props) {
  if (gaps.length === 0) return null;
  return (
    <details class="gaps">
      <summary>{gaps.length === 1 ? "1 gap on this day" : `${gaps.length} gaps on this day`}</summary>
      <ul>
        {gaps.map((gap) => (
          <li key={gap.start_us} data-cause={gap.cause}>
            <button type="button" class="link" onClick={() => onSeek(gap.end_us)}>
              {clock(gap.start_us)}
            </button>{" "}
            {durationText(gap.end_us - gap.start_us)} without footage. {gap.sentence}
          </li>
        ))}
      </ul>
    </details>
  );
}
