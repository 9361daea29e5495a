/** The picture, and what there is to say about it. */
import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Stream } from "../api/types";
import type { Playback } from "../player/playback";
import { type Skipped, skippedText } from "../player/skipped";
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
      {state.kind === "end" && player?.playing.value && <Toast text={endText(stream)} />}
      {state.kind === "waiting" && <Said title={state.message} text="Trying again. It goes on by itself." busy />}
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

interface SaidProps {
  title: string;
  text: string;
  busy?: boolean;
  again?: () => void;
}

function Said({ title, text, busy, again }: SaidProps) {
  return (
    <div class="said" role="status">
      {busy && <span class="spinner-ring" aria-hidden="true" />}
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

/** The end of what there is, and why there is no more where the box knows. */
function endText(stream: Stream | null): string {
  return `That is all there is so far.${stream?.error ? ` ${stream.error.message}` : ""}`;
}

function SkippedToast({ skipped }: { skipped: Skipped | null }) {
  const [shown, setShown] = useState<Skipped | null>(null);
  useEffect(() => {
    setShown(skipped);
    const timer = setTimeout(() => setShown(null), SKIPPED_SHOWN_MS);
    return () => clearTimeout(timer);
  }, [skipped]);
  if (!shown) return null;
  return <Toast text={skippedText(shown)} />;
}

function Toast({ text }: { text: string }) {
  return (
    <div class="toast" role="status">
      {text}
    </div>
  );
}
