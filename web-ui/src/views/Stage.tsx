/** The picture, and what there is to say about it. */
import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Stream } from "../api/types";
import type { Playback, Skipped } from "../player/playback";
import { clock, durationText } from "../timeline/day";
import { togglePlaying } from "./playback-keys";

const SKIPPED_SHOWN_MS = 6000;
/** A picture that is there within this time needs no spinner. */
const SPINNER_AFTER_MS = 250;

interface Props {
  video: RefObject<HTMLVideoElement | null>;
  player: Playback | null;
  stream: Stream | null;
}

export function Stage({ video, player, stream }: Props) {
  const state = player?.state.value ?? { kind: "idle" as const };
  return (
    <div
      class="picture"
      data-state={state.kind}
      data-first-picture-ms={player?.firstPictureMs.value ?? undefined}
    >
      <video ref={video} playsInline disablePictureInPicture onClick={() => player && togglePlaying(player)} />
      {stream && <span class="picture-name">{stream.camera}</span>}
      {state.kind === "loading" && <Late />}
      {state.kind === "empty" && (
        <Said title="Nothing was recorded here" text="There is no footage of this camera at this time or after it." />
      )}
      {state.kind === "end" && player?.playing.value && <Toast text="That is all there is so far." />}
      {state.kind === "error" && <Said title="This cannot be shown" text={state.message} again={() => player?.seek(player.wallUs.value)} />}
      {state.kind === "unplayable" && <Said title="This browser cannot show it" text={state.message} />}
      <SkippedToast skipped={player?.skipped.value ?? null} />
    </div>
  );
}

function Late() {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), SPINNER_AFTER_MS);
    return () => clearTimeout(timer);
  }, []);
  return late ? (
    <div class="said" role="status">
      <span class="spinner-ring" aria-hidden="true" />
      <p>Opening</p>
    </div>
  ) : null;
}

function Said({ title, text, again }: { title: string; text: string; again?: () => void }) {
  return (
    <div class="said" role="status">
      <p class="said-title">{title}</p>
      <p>{text}</p>
      {again && (
        <button type="button" class="button plain" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

function SkippedToast({ skipped }: { skipped: Skipped | null }) {
  const [shown, setShown] = useState<Skipped | null>(null);
  useEffect(() => {
    setShown(skipped);
    const timer = setTimeout(() => setShown(null), SKIPPED_SHOWN_MS);
    return () => clearTimeout(timer);
  }, [skipped]);
  if (!shown) return null;
  const { fromUs, toUs, gap } = shown;
  const cause = gap ? ` ${gap.sentence}` : "";
  return <Toast text={`Skipped ${durationText(toUs - fromUs)} without footage, from ${clock(fromUs)}.${cause}`} />;
}

function Toast({ text }: { text: string }) {
  return (
    <div class="toast" role="status">
      {text}
    </div>
  );
}
