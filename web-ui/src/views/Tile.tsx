/** One camera, live. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Stream } from "../api/types";
import { LivePlayer, type LiveState } from "../player/live-player";
import { saveSnapshot } from "../player/snapshot";
import { nowUs } from "../timeline/day";
import { toggleFullScreen } from "../ui/full-screen";
import { Icon } from "../ui/icons";
import { Button } from "../ui/parts";
import { hrefTo } from "../ui/route";

interface Props {
  stream: Stream;
  enlarged: boolean;
  alone: boolean;
  onEnlarge: () => void;
}

export function Tile({ stream, enlarged, alone, onEnlarge }: Props) {
  const tile = useRef<HTMLElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const [state, setState] = useState<LiveState>({ kind: "connecting" });
  const [muted, setMuted] = useState(true);
  useEffect(() => {
    if (!video.current) return undefined;
    const player = new LivePlayer(video.current, stream.id);
    const stop = player.state.subscribe(setState);
    return () => {
      stop();
      player.close();
    };
  }, [stream.id]);
  useEffect(() => {
    if (!enlarged) setMuted(true);
  }, [enlarged]);
  useEffect(() => {
    if (video.current) video.current.muted = muted;
  }, [muted]);

  return (
    <article
      ref={tile}
      class={enlarged ? "tile enlarged" : "tile"}
      aria-label={stream.camera}
      data-stream={stream.id}
      data-state={state.kind}
    >
      <video ref={video} muted playsInline disablePictureInPicture />
      {alone ? (
        <div class="tile-face" onDblClick={() => toggleFullScreen(tile.current)} />
      ) : (
        <button
          type="button"
          class="tile-face"
          onClick={onEnlarge}
          onDblClick={() => toggleFullScreen(tile.current)}
          aria-label={enlarged ? `${stream.camera}: back to all cameras` : `${stream.camera}: enlarge`}
        />
      )}
      <Words stream={stream} state={state} />
      <p class="sr-only" role="status">
        {announced(stream, state)}
      </p>
      <footer class="tile-foot">
        <span class="tile-name">{stream.camera}</span>
        <span class={`pill ${state.kind}`}>{pill(stream, state)}</span>
        <span class="tile-tools">
          {stream.audio && (
            <Button
              icon={muted ? "muted" : "sound"}
              label={muted ? "Sound on" : "Sound off"}
              iconOnly
              kind="quiet"
              onClick={() => setMuted(!muted)}
            />
          )}
          <Button
            icon="camera"
            label="Save the picture"
            iconOnly
            kind="quiet"
            onClick={() => void saveSnapshot(video.current, stream.camera, nowUs())}
          />
          <a class="button quiet icon-only" href={hrefTo("playback", stream.id)} title="Look back" aria-label="Look back">
            <Icon name="history" />
          </a>
          <Button
            icon="fullScreen"
            label="Full screen"
            iconOnly
            kind="quiet"
            onClick={() => toggleFullScreen(tile.current)}
          />
        </span>
      </footer>
    </article>
  );
}

function pill(stream: Stream, state: LiveState): string {
  // A picture that stays since its camera is off says no more by its age.
  if (state.kind !== "playing" && state.kind !== "unplayable" && stream.error) return "No picture";
  switch (state.kind) {
    case "playing":
      return "Live";
    case "silent":
      return `${state.seconds} s ago`;
    case "connecting":
      return "Connecting";
    case "lost":
      return "Interrupted";
    case "stopped":
      return "Stopped";
    case "unplayable":
      return "Not shown here";
  }
}

/** What a screen reader says when the state changes: no seconds that count, and no word for each new attempt. */
function announced(stream: Stream, state: LiveState): string {
  if (state.kind === "playing") return `${stream.camera}: live`;
  if (state.kind === "unplayable" || state.kind === "stopped") return `${stream.camera}: ${state.message}`;
  if (stream.error) return `${stream.camera}: ${stream.error.message}`;
  return state.kind === "connecting" ? "" : `${stream.camera}: no live picture`;
}

/** Over the picture, where there is something to say: what is wrong, and what to do about it. */
function Words({ stream, state }: { stream: Stream; state: LiveState }) {
  if (state.kind === "playing") return null;
  if (state.kind === "unplayable") return <Said title="This browser cannot show it" text={state.message} />;
  // The box knows more about a camera than a silent socket does.
  if (stream.error && state.kind !== "stopped") return <Said title={stream.error.message} text={stream.error.advice} />;
  switch (state.kind) {
    case "silent":
      return <Said title={`No picture for ${state.seconds} s`} text="The last one stays. It goes on by itself when the camera does." />;
    case "lost":
      return <Said title={state.message} text="Trying again." busy />;
    case "stopped":
      return <Said title="Nothing can be shown" text={state.message} />;
    case "connecting":
      return <Said title={stream.state === "recording" ? "Connecting" : "Waiting for the camera"} busy />;
  }
}

function Said({ title, text, busy }: { title: string; text?: string; busy?: boolean }) {
  return (
    <div class="said">
      {busy && <span class="spinner-ring" aria-hidden="true" />}
      <p class="said-title">{title}</p>
      {text && <p>{text}</p>}
    </div>
  );
}
