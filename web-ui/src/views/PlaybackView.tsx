/** Looking back: one camera's footage, and the day of all of them beneath. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Stream } from "../api/types";
import { Playback } from "../player/playback";
import { saveSnapshot } from "../player/snapshot";
import { Timeline } from "../timeline/Timeline";
import { type Day, dayOf, dayOfKey, nowUs, sameTime, shiftDay } from "../timeline/day";
import { type Span, follow, lengthOf, whole, zoom } from "../timeline/scale";
import { holds, streams, timelines } from "../ui/app-state";
import { toggleFullScreen } from "../ui/full-screen";
import { Button, Spinner } from "../ui/parts";
import { hrefTo, replaceRoute, route } from "../ui/route";
import { Controls } from "./Controls";
import { Gaps } from "./Gaps";
import { Keep } from "./Holds";
import { Stage } from "./Stage";
import { usePlaybackKeys } from "./playback-keys";

const RELOAD_EVERY_MS = 5000;
/** Where looking back begins when nothing was asked for. */
const BACK_AT_FIRST_US = 60e6;

export function PlaybackView() {
  const all = streams.value;
  if (!all) return <Spinner label="Asking the box for its cameras" />;
  if (all.length === 0) return <p class="empty">No cameras yet. Add one to the configuration file.</p>;
  return <Player all={all} />;
}

function Player({ all }: { all: readonly Stream[] }) {
  const frame = useRef<HTMLDivElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const [player, setPlayer] = useState<Playback | null>(null);
  const [selected, setSelected] = useState<string>(() => route.value.stream ?? all[0]?.id ?? "");
  const stream = all.find((candidate) => candidate.id === selected) ?? all[0];
  const [day, setDay] = useState<Day>(() => dayOf(route.value.atUs ?? nowUs()));
  const [span, setSpan] = useState<Span>(() => whole(day));

  useEffect(() => {
    if (!video.current) return undefined;
    const startUs = route.value.atUs ?? Math.min(nowUs(), stream?.last_us ?? nowUs()) - BACK_AT_FIRST_US;
    const made = new Playback(video.current, timelines, startUs);
    made.playing.value = true;
    setPlayer(made);
    return () => made.close();
  }, []);
  useEffect(() => {
    if (stream) player?.show(stream.id);
  }, [player, stream?.id]);
  // A link to an instant, followed while this view is open.
  useEffect(
    () =>
      route.subscribe((at) => {
        if (at.name !== "playback" || !player) return;
        if (at.stream) setSelected(at.stream);
        if (at.atUs !== null) player.seek(at.atUs);
      }),
    [player],
  );
  useLoadedDay(all, day);
  const cursorUs = player?.wallUs.value ?? day.startUs;

  // The day shown is the cursor's, and the part of it in view moves along.
  const cursorDay = player && (cursorUs < day.startUs || cursorUs >= day.endUs) ? dayOf(cursorUs) : day;
  useEffect(() => {
    if (cursorDay.key !== day.key) showDay(cursorDay);
  }, [cursorDay.key]);
  useEffect(() => {
    if (player?.playing.value && lengthOf(span) < day.endUs - day.startUs) {
      const followed = follow(span, cursorUs, day);
      if (followed !== span) setSpan(followed);
    }
  }, [Math.floor(cursorUs / 500_000)]);

  const showDay = (next: Day) => {
    setDay(next);
    setSpan(whole(next));
  };
  const goToDay = (next: Day | null) => {
    if (!next || !player || next.startUs > nowUs()) return;
    // The same time of that day, so that one can leaf through the days at a quarter past eight.
    const at = sameTime(cursorUs, next);
    showDay(next);
    player.seek(Math.min(at, nowUs() - BACK_AT_FIRST_US));
  };
  const seek = (us: number, on: string | null, done: boolean) => {
    if (on) setSelected(on);
    if (!player) return;
    if (done) {
      player.seek(us);
      replaceRoute(hrefTo("playback", on ?? selected, us));
    } else player.scrub(us);
  };
  const zoomBy = (factor: number) => setSpan(zoom(span, factor, Math.min(Math.max(cursorUs, span.fromUs), span.toUs), day));
  const select = (by: 1 | -1) => {
    const at = all.findIndex((candidate) => candidate.id === stream?.id);
    const next = all[(at + by + all.length) % all.length];
    if (next) setSelected(next.id);
  };
  const save = () => {
    if (stream) void saveSnapshot(video.current, stream.camera, cursorUs);
  };
  const fullScreen = () => toggleFullScreen(frame.current);
  usePlaybackKeys({ player, zoomBy, select, save, fullScreen });

  const rows = all.map((each) => ({ stream: each, timeline: timelines.of(each.id, day).value }));
  return (
    <div class="playback">
      <div class="stage" ref={frame}>
        <Stage video={video} player={player} stream={stream ?? null} />
        {player && <Controls {...{ player, save, fullScreen }} audio={stream?.audio ?? false} />}
      </div>
      <div class="below">
        <div class="day-bar">
          <Button icon="left" label="The day before" iconOnly kind="quiet" onClick={() => goToDay(shiftDay(day, -1))} />
          <label class="date">
            <span class="sr-only">Day</span>
            <input
              type="date"
              value={day.key}
              max={dayOf(nowUs()).key}
              onChange={(event) => goToDay(dayOfKey(event.currentTarget.value))}
            />
          </label>
          <Button
            icon="right"
            label="The day after"
            iconOnly
            kind="quiet"
            disabled={day.endUs > nowUs()}
            onClick={() => goToDay(shiftDay(day, 1))}
          />
          <span class="spring" />
          <Button icon="minus" label="Show more of the day" iconOnly kind="quiet" onClick={() => zoomBy(0.5)} />
          <Button icon="plus" label="Show less of the day" iconOnly kind="quiet" onClick={() => zoomBy(2)} />
          {stream && <Keep stream={stream} span={span} />}
          <a class="button plain" href={hrefTo("live", selected)}>
            Live
          </a>
        </div>
        <Timeline
          {...{ day, span, rows, cursorUs }}
          holds={holds.value}
          selected={stream?.id ?? null}
          onSpan={setSpan}
          onSelect={setSelected}
          onSeek={seek}
        />
        <Gaps timeline={rows.find((row) => row.stream.id === stream?.id)?.timeline ?? null} onSeek={(us) => seek(us, null, true)} />
      </div>
    </div>
  );
}

/** Keeps the day's timelines at hand; today's grows. */
function useLoadedDay(all: readonly Stream[], day: Day): void {
  const ids = useMemo(() => all.map((stream) => stream.id).join(), [all]);
  useEffect(() => {
    const load = () => {
      for (const id of ids.split(",")) void timelines.load(id, day);
    };
    load();
    const timer = setInterval(() => document.visibilityState === "visible" && load(), RELOAD_EVERY_MS);
    return () => clearInterval(timer);
  }, [ids, day.key]);
}
