/** A day's gaps of one camera as a list: what the timeline shows to a pointer, for a keyboard and for ears. */
import type { GapEntry } from "../api/types";
import { gapText } from "../timeline/coverage";
import { clock, nowUs } from "../timeline/day";

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
          <li key={gap.start_us} data-cause={gap.cause} data-open={gap.open}>
            <button type="button" class="link" onClick={() => onSeek(gap.end_us)}>
              {clock(gap.start_us)}
            </button>{" "}
            {gapText(gap, nowUs())}
          </li>
        ))}
      </ul>
    </details>
  );
}
