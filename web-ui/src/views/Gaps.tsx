/** A day's gaps of one camera and what may be damaged, as a list: what the timeline shows to a pointer, for a keyboard and for ears. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { damagedText, gapText } from "../timeline/coverage";
import { clock, nowUs } from "../timeline/day";
import type { DayTimeline } from "../timeline/store";

interface Props {
  timeline: DayTimeline | null;
  onSeek: (us: number) => void;
}

export function Gaps({ timeline, onSeek }: Props) {
  // A day without any has no list, and who opened it finds it open when there is one again.
  const [isOpen, setOpen] = useState(false);
  const { gaps, damaged } = timeline ?? { gaps: [], damaged: [] };
  if (gaps.length === 0 && damaged.length === 0) return null;
  const counts = [counted(gaps.length, "gap", "gaps"), counted(damaged.length, "stretch that may be damaged", "stretches that may be damaged")];
  return (
    <details class="gaps" open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{counts.filter((count) => count !== null).join(" and ")} on this day</summary>
      <ul>
        {gaps.map((gap) => (
          <li key={`g${gap.start_us}`} data-cause={gap.cause} data-open={gap.open}>
            <At us={gap.start_us} onClick={() => onSeek(gap.end_us)} /> {gapText(gap, nowUs())}
          </li>
        ))}
        {damaged.map((each) => (
          <li key={`d${each.start_us}`} data-damaged data-open={each.open}>
            <At us={each.start_us} onClick={() => onSeek(each.start_us)} /> {damagedText(each, nowUs())}
          </li>
        ))}
      </ul>
    </details>
  );
}

const counted = (count: number, one: string, more: string): string | null => (count === 0 ? null : `${count} ${count === 1 ? one : more}`);

function At({ us, onClick }: { us: number; onClick: () => void }): ComponentChildren {
  return (
    <button type="button" class="link" onClick={onClick}>
      {clock(us)}
    </button>
  );
}
