import { useEffect, useRef } from "preact/hooks";
import { type Playback, RATES } from "../player/playback";
import { isTyping } from "./Shell";

interface Wanted {
  player: Playback | null;
  zoomBy: (factor: number) => void;
  select: (by: 1 | -1) => void;
  save: () => void;
  fullScreen: () => void;
}

export function usePlaybackKeys(wanted: Wanted): void {
  const latest = useRef(wanted);
  latest.current = wanted;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const { player } = latest.current;
      if (!player || isTyping(event)) return;
      // A focused button takes the space bar itself.
      if (event.key === " " && event.target instanceof HTMLButtonElement) return;
      const act = actions(latest.current, player)[event.key];
      if (!act) return;
      event.preventDefault();
      act(event);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

function actions(wanted: Wanted, player: Playback): Record<string, (event: KeyboardEvent) => void> {
  const jump = (sign: 1 | -1) => (event: KeyboardEvent) =>
    player.seek(player.wallUs.value + sign * (event.shiftKey ? 60e6 : 10e6));
  return {
    " ": () => togglePlaying(player),
    k: () => togglePlaying(player),
    ArrowLeft: jump(-1),
    ArrowRight: jump(1),
    ",": () => player.step(-1),
    ".": () => player.step(1),
    "[": () => changeRate(player, -1),
    "]": () => changeRate(player, 1),
    ArrowUp: () => wanted.select(-1),
    ArrowDown: () => wanted.select(1),
    "+": () => wanted.zoomBy(2),
    "=": () => wanted.zoomBy(2),
    "-": () => wanted.zoomBy(0.5),
    m: () => player.setMuted(!player.muted.value),
    s: wanted.save,
    f: wanted.fullScreen,
  };
}

export function togglePlaying(player: Playback): void {
  if (player.playing.value) player.pause();
  else player.play();
}

export function changeRate(player: Playback, by: 1 | -1): void {
  const at = RATES.indexOf(player.rate.value as (typeof RATES)[number]);
  const next = RATES[at + by];
  if (next !== undefined) player.setRate(next);
}
